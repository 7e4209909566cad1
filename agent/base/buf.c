#include "base/buf.h"

#include <stdio.h>

void ea_buf_init(struct ea_buf *b, size_t cap)
{
    *b = (struct ea_buf){.cap = cap};
}

void ea_buf_done(struct ea_buf *b)
{
    free(b->p);
    *b = (struct ea_buf){.cap = b->cap};
}

int ea_buf_reserve(struct ea_buf *b, size_t more)
{
    size_t need;

    if (b->failed)
        return b->failed;
    /* one spare byte keeps room for the NUL of ea_buf_take */
    if (__builtin_add_overflow(b->n, more, &need) || need > b->cap)
        return b->failed = -E2BIG;
    if (need < b->size)
        return 0;
    size_t size = EA_MAX(b->size + b->size / 2, need + 1);

    size = EA_MAX(size, (size_t)256);
    if (size > b->cap)
        size = EA_MAX(b->cap, need) + 1;
    char *p = realloc(b->p, size);

    if (!p)
        return b->failed = -ENOMEM;
    b->p = p;
    b->size = size;
    return 0;
}

int ea_buf_add(struct ea_buf *b, const void *p, size_t n)
{
    int r = ea_buf_reserve(b, n);

    if (r)
        return r;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

int ea_buf_addf(struct ea_buf *b, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    int r = n < 0 ? -EINVAL : ea_buf_reserve(b, (size_t)n + 1);

    if (!r) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    va_end(ap);
    return r;
}

void ea_buf_drop(struct ea_buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

char *ea_buf_take(struct ea_buf *b)
{
    char *p = b->p ? b->p : ea_xalloc(1);

    p[b->n] = '\0';
    *b = (struct ea_buf){.cap = b->cap};
    return p;
}

/* Copies bytes up to the first that JSON escapes; how many. `to` has room for n bytes. */
static size_t copy_plain(char *to, const char *p, size_t n)
{
    size_t i = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);

    /* eight at once: a high bit stands where a byte is a quote, a backslash or below 0x20; only the
     * lowest counts */
    for (; n - i >= 8; i += 8) {
        uint64_t w, quote, slash, hit;

        memcpy(&w, p + i, sizeof w);
        memcpy(to + i, &w, sizeof w);
        quote = w ^ (ones * '"');
        slash = w ^ (ones * '\\');
        hit = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w)) &
              high;
        if (hit)
            return i + (size_t)__builtin_ctzll(hit) / 8;
    }
#endif
    for (; i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\'; i++)
        to[i] = p[i];
    return i;
}

static int add_escape(struct ea_buf *b, unsigned char c)
{
    static const char escapes[32] = {[8] = 'b', [9] = 't', [10] = 'n', [12] = 'f', [13] = 'r'};
    char pair[2] = {'\\', (char)c};

    if (c < 0x20 && !escapes[c])
        return ea_buf_addf(b, "\\u%04x", c);
    if (c < 0x20)
        pair[1] = escapes[c];
    return ea_buf_add(b, pair, 2);
}

int ea_buf_add_json(struct ea_buf *b, struct ea_str s)
{
    size_t i = 0;

    ea_buf_addc(b, '"');
    while (ea_buf_reserve(b, s.n - i + 1) == 0) {
        size_t n = s.n > i ? copy_plain(b->p + b->n, s.p + i, s.n - i) : 0;

        b->n += n;
        i += n;
        if (i == s.n)
            return ea_buf_addc(b, '"');
        add_escape(b, (unsigned char)s.p[i++]);
    }
    return b->failed;
}
