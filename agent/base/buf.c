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

int ea_buf_add_json(struct ea_buf *b, struct ea_str s)
{
    static const char escapes[32] = {[8] = 'b', [9] = 't', [10] = 'n', [12] = 'f', [13] = 'r'};

    ea_buf_addc(b, '"');
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (EA_LIKELY(c >= 0x20 && c != '"' && c != '\\'))
            continue;
        ea_buf_add(b, s.p + from, i - from);
        from = i + 1;
        if (c >= 0x20) {
            char pair[2] = {'\\', (char)c};

            ea_buf_add(b, pair, 2);
        } else if (escapes[c]) {
            char pair[2] = {'\\', escapes[c]};

            ea_buf_add(b, pair, 2);
        } else {
            ea_buf_addf(b, "\\u%04x", c);
        }
    }
    ea_buf_add(b, s.p ? s.p + from : "", s.n - from);
    return ea_buf_addc(b, '"');
}
