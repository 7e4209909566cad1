#include "base/base.h"

#include <pthread.h>
#include <sys/random.h>

int ea_str_cmp(struct ea_str a, struct ea_str b)
{
    size_t n = EA_MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;

    if (c)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool ea_str_starts(struct ea_str s, struct ea_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool ea_str_ends(struct ea_str s, struct ea_str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

ptrdiff_t ea_str_find(struct ea_str s, struct ea_str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);

    return at ? at - s.p : -1;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct ea_str ea_str_trim(struct ea_str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct ea_str ea_str_cut(struct ea_str s, char sep, struct ea_str *rest)
{
    const char *at = s.n ? memchr(s.p, sep, s.n) : NULL;

    if (!at) {
        *rest = EA_STR_NULL;
        return s;
    }
    size_t n = (size_t)(at - s.p);

    *rest = (struct ea_str){at + 1, s.n - n - 1};
    return (struct ea_str){s.p, n};
}

bool ea_str_is_one_of(struct ea_str s, const char *choices)
{
    struct ea_str rest = ea_str(choices);

    while (rest.p) {
        if (ea_str_eq(ea_str_cut(rest, '|', &rest), s))
            return true;
    }
    return false;
}

int ea_str_to_u64(struct ea_str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d = (unsigned)(unsigned char)s.p[i] - '0';

        if (d > 9)
            return -EINVAL;
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
            return -ERANGE;
    }
    *ret = v;
    return 0;
}

int ea_str_to_i64(struct ea_str s, int64_t *ret)
{
    bool neg = s.n && s.p[0] == '-';
    uint64_t v;

    if (neg) {
        s.p++;
        s.n--;
    }
    int r = ea_str_to_u64(s, &v);

    if (r)
        return r;
    if (v > (uint64_t)INT64_MAX + (neg ? 1u : 0u))
        return -ERANGE;
    *ret = neg ? (int64_t)(0 - v) : (int64_t)v;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static int with_unit(struct ea_str s, const struct unit *units, size_t n_units, uint64_t *ret)
{
    size_t digits = 0;
    uint64_t v;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    int r = ea_str_to_u64(ea_strn(s.p, digits), &v);

    if (r)
        return r;
    for (size_t i = 0; i < n_units; i++) {
        if (ea_str_is(ea_strn(s.p + digits, s.n - digits), units[i].name)) {
            if (__builtin_mul_overflow(v, units[i].factor, ret))
                return -ERANGE;
            return 0;
        }
    }
    return -EINVAL;
}

int ea_str_to_duration_us(struct ea_str s, uint64_t *ret_us)
{
    static const struct unit units[] = {
        {"us", 1},          {"ms", 1000},         {"s", 1000000},
        {"m", 60000000ull}, {"h", 3600000000ull}, {"d", 86400000000ull}};

    return with_unit(s, units, EA_COUNT(units), ret_us);
}

int ea_str_to_bytes(struct ea_str s, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1},
                                        {"k", 1000},
                                        {"M", 1000000},
                                        {"G", 1000000000},
                                        {"Ki", 1ull << 10},
                                        {"Mi", 1ull << 20},
                                        {"Gi", 1ull << 30},
                                        {"Ti", 1ull << 40}};

    return with_unit(s, units, EA_COUNT(units), ret);
}

/* The first byte narrows the second: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool second_byte(uint8_t first, uint8_t second)
{
    uint8_t lo = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t hi = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;

    return second >= lo && second <= hi;
}

unsigned ea_utf8_len(const char *p, size_t left)
{
    const uint8_t *s = (const uint8_t *)p;
    uint8_t c = *s;
    unsigned n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c <= 0xDF ? 2 : c <= 0xEF ? 3 : c <= 0xF4 ? 4 : 0;

    if (n <= 1)
        return n;
    if (left < n || !second_byte(c, s[1]))
        return 0;
    for (unsigned i = 2; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    }
    return n;
}

bool ea_utf8_valid(const char *p, size_t n)
{
    const char *s = p, *end = p + n;

    while (s < end) {
        if (end - s >= 8) {
            uint64_t w;

            memcpy(&w, s, 8);
            if (!(w & 0x8080808080808080ull)) {
                s += 8;
                continue;
            }
        }
        unsigned len = ea_utf8_len(s, (size_t)(end - s));

        if (!len)
            return false;
        s += len;
    }
    return true;
}

unsigned ea_utf8_put(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | (cp >> 6));
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            return 0;
        out[0] = (char)(0xE0 | (cp >> 12));
        out[1] = (char)(0x80 | ((cp >> 6) & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    if (cp > 0x10FFFF)
        return 0;
    out[0] = (char)(0xF0 | (cp >> 18));
    out[1] = (char)(0x80 | ((cp >> 12) & 0x3F));
    out[2] = (char)(0x80 | ((cp >> 6) & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

char *ea_str_dupz(struct ea_str s)
{
    char *p = ea_xalloc(s.n + 1);

    if (s.n)
        memcpy(p, s.p, s.n);
    return p;
}

void ea_hex(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int ea_unhex(struct ea_str s, uint8_t *out, size_t cap, size_t *ret_n)
{
    if (s.n % 2 || s.n / 2 > cap)
        return -EINVAL;
    for (size_t i = 0; i < s.n / 2; i++) {
        int hi = hex_digit(s.p[2 * i]), lo = hex_digit(s.p[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return -EINVAL;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    *ret_n = s.n / 2;
    return 0;
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *ea_base64(const uint8_t *p, size_t n)
{
    char *out = ea_xalloc((n + 2) / 3 * 4 + 1), *o = out;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t w = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);

        *o++ = base64_alphabet[w >> 18];
        *o++ = base64_alphabet[w >> 12 & 63];
        *o++ = i + 1 < n ? base64_alphabet[w >> 6 & 63] : '=';
        *o++ = i + 2 < n ? base64_alphabet[w & 63] : '=';
    }
    return out;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

int ea_unbase64(struct ea_str s, uint8_t **ret_p, size_t *ret_n)
{
    uint8_t *out = ea_xalloc(s.n / 4 * 3 + 4);
    size_t n = 0, digits = 0, pads = 0;
    uint32_t w = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (is_space(s.p[i]))
            continue;
        if (s.p[i] == '=') {
            pads++;
            continue;
        }
        int d = base64_digit(s.p[i]);

        if (d < 0 || pads) {
            free(out);
            return -EINVAL;
        }
        w = w << 6 | (uint32_t)d;
        if (++digits % 4 == 0) {
            out[n++] = (uint8_t)(w >> 16);
            out[n++] = (uint8_t)(w >> 8);
            out[n++] = (uint8_t)w;
        }
    }
    size_t tail = digits % 4;

    if (tail == 1 || pads > 2 || (pads && (tail + pads) % 4)) {
        free(out);
        return -EINVAL;
    }
    if (tail == 2)
        out[n++] = (uint8_t)(w >> 4);
    if (tail == 3) {
        out[n++] = (uint8_t)(w >> 10);
        out[n++] = (uint8_t)(w >> 2);
    }
    *ret_p = out;
    *ret_n = n;
    return 0;
}

/* SipHash-1-3 with a key of this process, so that nobody outside can choose colliding keys. */

static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void sip_init(void)
{
    if (getrandom(sip_key, sizeof(sip_key), 0) != (ssize_t)sizeof(sip_key))
        abort();
}

__attribute__((constructor)) static void sip_start(void)
{
    (void)pthread_once(&sip_once, sip_init);
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIP_ROUND                                                                                  \
    do {                                                                                           \
        v0 += v1;                                                                                  \
        v1 = ROTL(v1, 13) ^ v0;                                                                    \
        v0 = ROTL(v0, 32);                                                                         \
        v2 += v3;                                                                                  \
        v3 = ROTL(v3, 16) ^ v2;                                                                    \
        v0 += v3;                                                                                  \
        v3 = ROTL(v3, 21) ^ v0;                                                                    \
        v2 += v1;                                                                                  \
        v1 = ROTL(v1, 17) ^ v2;                                                                    \
        v2 = ROTL(v2, 32);                                                                         \
    } while (0)

uint64_t ea_hash(const void *p, size_t n)
{
    const uint8_t *s = p;
    uint64_t v0 = sip_key[0] ^ 0x736f6d6570736575ull, v1 = sip_key[1] ^ 0x646f72616e646f6dull;
    uint64_t v2 = sip_key[0] ^ 0x6c7967656e657261ull, v3 = sip_key[1] ^ 0x7465646279746573ull;
    uint64_t w, tail = (uint64_t)n << 56;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        memcpy(&w, s + i, 8);
        v3 ^= w;
        SIP_ROUND;
        v0 ^= w;
    }
    for (unsigned shift = 0; i < n; i++, shift += 8)
        tail |= (uint64_t)s[i] << shift;
    v3 ^= tail;
    SIP_ROUND;
    v0 ^= tail;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}
