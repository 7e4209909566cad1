#include "doc/json_scan.h"

const char *ea_json_skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits; -1 when they are not there. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t v = 0;
    int i;

    if (end - at < 4)
        return -1;
    for (i = 0; i < 4; i++) {
        int d = hex_digit(at[i]);

        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* `at` is behind the backslash and the u. */
static const char *check_unicode(const char *at, const char *end, const char **ret_end)
{
    int32_t u = hex4(at, end), low;

    *ret_end = at;
    if (u < 0)
        return "\\u wants four hexadecimal digits";
    *ret_end = at + 4;
    if (u < 0xd800 || u > 0xdfff)
        return NULL;
    *ret_end = at;
    if (u > 0xdbff || end - at < 6 || at[4] != '\\' || at[5] != 'u')
        return "lone surrogate";
    low = hex4(at + 6, end);
    if (low < 0xdc00 || low > 0xdfff)
        return "lone surrogate";
    *ret_end = at + 10;
    return NULL;
}

/* `at` is behind the backslash. */
static const char *check_escape(const char *at, const char *end, const char **ret_end)
{
    *ret_end = at;
    if (at == end)
        return "the text ends inside a string";
    if (*at == 'u')
        return check_unicode(at + 1, end, ret_end);
    *ret_end = at + 1;
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return NULL;
    default:
        *ret_end = at;
        return "unknown escape";
    }
}

const char *ea_json_check_string(const char *at, const char *end, const char **ret_end,
                                 bool *ret_escapes)
{
    *ret_escapes = false;
    for (;;) {
        const char *what;
        unsigned n;

        at = ea_json_scan_plain(at, end);
        *ret_end = at;
        if (at == end)
            return "the text ends inside a string";
        if (*at == '"') {
            *ret_end = at + 1;
            return NULL;
        }
        if ((unsigned char)*at < 0x20)
            return "control character in a string";
        if (*at == '\\') {
            *ret_escapes = true;
            what = check_escape(at + 1, end, &at);
            if (what) {
                *ret_end = at;
                return what;
            }
            continue;
        }
        /* text that is not ASCII comes in runs */
        do {
            n = ea_utf8_len(at, (size_t)(end - at));
            at += n;
        } while (n > 1 && at < end && (unsigned char)*at >= 0x80);
        *ret_end = at;
        if (n == 0)
            return "invalid UTF-8";
    }
}

static size_t put_escape(const char **at, char *out)
{
    uint32_t u;
    char c = *(*at)++;

    switch (c) {
    case 'b':
        *out = '\b';
        return 1;
    case 'f':
        *out = '\f';
        return 1;
    case 'n':
        *out = '\n';
        return 1;
    case 'r':
        *out = '\r';
        return 1;
    case 't':
        *out = '\t';
        return 1;
    case 'u':
        u = (uint32_t)hex4(*at, *at + 4);
        *at += 4;
        if (u >= 0xd800 && u <= 0xdbff) {
            u = 0x10000 + ((u - 0xd800) << 10) + ((uint32_t)hex4(*at + 2, *at + 6) - 0xdc00);
            *at += 6;
        }
        return ea_utf8_put(u, out);
    default:
        *out = c;
        return 1;
    }
}

size_t ea_json_unescape(const char *at, size_t n, char *out)
{
    const char *end = at + n;
    char *to = out;

    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash ? slash : end) - at);

        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (slash) {
            at++;
            to += put_escape(&at, to);
        }
    }
    return (size_t)(to - out);
}

static bool digit_at(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static const char *skip_digits(const char *at, const char *end)
{
    while (digit_at(at, end))
        at++;
    return at;
}

/* [eE][+-]digits, if it is there. */
static const char *check_exponent(const char *at, const char *end, const char **ret_end,
                                  bool *ret_int)
{
    *ret_end = at;
    if (at == end || (*at != 'e' && *at != 'E'))
        return NULL;
    *ret_int = false;
    at++;
    if (at < end && (*at == '+' || *at == '-'))
        at++;
    *ret_end = skip_digits(at, end);
    return *ret_end == at ? "a number wants a digit in its exponent" : NULL;
}

const char *ea_json_check_number(const char *at, const char *end, const char **ret_end,
                                 bool *ret_int)
{
    *ret_int = true;
    if (at < end && *at == '-')
        at++;
    *ret_end = at;
    if (!digit_at(at, end))
        return "a number wants a digit here";
    if (*at == '0' && digit_at(at + 1, end))
        return "a number does not start with 0";
    at = skip_digits(at, end);
    if (at < end && *at == '.') {
        *ret_int = false;
        *ret_end = ++at;
        if (!digit_at(at, end))
            return "a number wants a digit behind the point";
        at = skip_digits(at, end);
    }
    return check_exponent(at, end, ret_end, ret_int);
}
