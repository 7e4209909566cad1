#include "cel/lex.h"

#include <math.h>

#include "base/limits.h"
#include "cel/value.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static char peek(const struct ea_cel_lexer *l, uint32_t off)
{
    return l->at + off < l->n ? l->s[l->at + off] : '\0';
}

static void skip_space(struct ea_cel_lexer *l)
{
    for (;;) {
        char c = peek(l, 0);

        if (l->at >= l->n)
            return;
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            l->at++;
        } else if (c == '/' && peek(l, 1) == '/') {
            while (l->at < l->n && l->s[l->at] != '\n')
                l->at++;
        } else {
            return;
        }
    }
}

static enum ea_cel_tok bad(struct ea_cel_lexer *l, uint32_t pos, const char *what)
{
    ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, pos, "Syntax error: %s", what);
    return EA_TK_BAD;
}

/* Moves behind the closing quote; l->at stands on the opening one. */
static enum ea_cel_tok string_token(struct ea_cel_lexer *l, bool raw, bool bytes)
{
    char q = peek(l, 0);
    bool triple = peek(l, 1) == q && peek(l, 2) == q;
    uint32_t from = l->pos;

    l->at += triple ? 3 : 1;
    while (l->at < l->n) {
        char c = peek(l, 0);

        if (c == '\\' && !raw) {
            l->at += 2;
        } else if (c == q && (!triple || (peek(l, 1) == q && peek(l, 2) == q))) {
            l->at += triple ? 3 : 1;
            return bytes ? EA_TK_BYTES : EA_TK_STRING;
        } else if (!triple && (c == '\n' || c == '\r')) {
            break;
        } else {
            l->at++;
        }
    }
    return bad(l, from, "unterminated string");
}

static void skip_digits(struct ea_cel_lexer *l)
{
    while (is_digit(peek(l, 0)))
        l->at++;
}

/* "e+5" behind the digits. */
static bool skip_exponent(struct ea_cel_lexer *l)
{
    uint32_t sign = peek(l, 1) == '+' || peek(l, 1) == '-' ? 1 : 0;

    if ((peek(l, 0) | 0x20) != 'e' || !is_digit(peek(l, 1 + sign)))
        return false;
    l->at += 1 + sign;
    skip_digits(l);
    return true;
}

static enum ea_cel_tok number_token(struct ea_cel_lexer *l)
{
    enum ea_cel_tok tok = EA_TK_INT;

    if (peek(l, 0) == '0' && (peek(l, 1) | 0x20) == 'x' && hex_of(peek(l, 2)) >= 0) {
        l->at += 2;
        while (hex_of(peek(l, 0)) >= 0)
            l->at++;
    } else {
        skip_digits(l);
        if (peek(l, 0) == '.' && is_digit(peek(l, 1))) {
            tok = EA_TK_FLOAT;
            l->at++;
            skip_digits(l);
        }
        if (skip_exponent(l))
            tok = EA_TK_FLOAT;
    }
    if (tok == EA_TK_INT && (peek(l, 0) | 0x20) == 'u') {
        l->at++;
        tok = EA_TK_UINT;
    }
    return tok;
}

static enum ea_cel_tok word_token(struct ea_cel_lexer *l)
{
    struct ea_str w;

    while (is_letter(peek(l, 0)) || is_digit(peek(l, 0)))
        l->at++;
    w = ea_strn(l->s + l->pos, l->at - l->pos);
    switch (w.n) {
    case 2:
        return ea_str_is(w, "in") ? EA_TK_IN : EA_TK_IDENT;
    case 4:
        return ea_str_is(w, "true") ? EA_TK_TRUE : ea_str_is(w, "null") ? EA_TK_NULL : EA_TK_IDENT;
    case 5:
        return ea_str_is(w, "false") ? EA_TK_FALSE : EA_TK_IDENT;
    default:
        return EA_TK_IDENT;
    }
}

/* r, b, br, rb before a quote, in either case; 0 when there is no such prefix. */
static uint32_t string_prefix(const struct ea_cel_lexer *l, bool *raw, bool *bytes)
{
    uint32_t i;

    *raw = *bytes = false;
    for (i = 0; i < 2; i++) {
        char c = (char)(peek(l, i) | 0x20);

        if (c == 'r' && !*raw)
            *raw = true;
        else if (c == 'b' && !*bytes && i == 0)
            *bytes = true;
        else
            break;
    }
    return peek(l, i) == '"' || peek(l, i) == '\'' ? i : UINT32_MAX;
}

static enum ea_cel_tok quoted_token(struct ea_cel_lexer *l)
{
    l->at++;
    while (is_letter(peek(l, 0)) || is_digit(peek(l, 0)) || ea_cel_one_of("-./ ", peek(l, 0)))
        l->at++;
    if (peek(l, 0) != '`' || l->at == l->pos + 1)
        return bad(l, l->pos, "bad escaped identifier");
    l->at++;
    return EA_TK_QUOTED;
}

static enum ea_cel_tok punctuation(struct ea_cel_lexer *l)
{
    static const struct {
        char text[3];
        uint8_t tok;
    } table[] = {
        {"==", EA_TK_EQ},    {"!=", EA_TK_NE},     {"<=", EA_TK_LE},      {">=", EA_TK_GE},
        {"&&", EA_TK_AND},   {"||", EA_TK_OR},     {"(", EA_TK_LPAREN},   {")", EA_TK_RPAREN},
        {"[", EA_TK_LBRACK}, {"]", EA_TK_RBRACK},  {"{", EA_TK_LBRACE},   {"}", EA_TK_RBRACE},
        {".", EA_TK_DOT},    {",", EA_TK_COMMA},   {"?", EA_TK_QUESTION}, {":", EA_TK_COLON},
        {"!", EA_TK_NOT},    {"-", EA_TK_MINUS},   {"+", EA_TK_PLUS},     {"*", EA_TK_STAR},
        {"/", EA_TK_SLASH},  {"%", EA_TK_PERCENT}, {"<", EA_TK_LT},       {">", EA_TK_GT},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(table); i++) {
        uint32_t n = table[i].text[1] ? 2 : 1;

        if (peek(l, 0) == table[i].text[0] && (n == 1 || peek(l, 1) == table[i].text[1])) {
            l->at += n;
            return (enum ea_cel_tok)table[i].tok;
        }
    }
    return bad(l, l->at, "token recognition error");
}

void ea_cel_lex_next(struct ea_cel_lexer *l)
{
    bool raw, bytes;
    uint32_t prefix;
    char c;

    if (l->u->failed) {
        l->tok = EA_TK_BAD;
        return;
    }
    skip_space(l);
    l->pos = l->at;
    c = peek(l, 0);
    if (l->at >= l->n) {
        l->tok = EA_TK_EOF;
    } else if (is_letter(c) || c == '"' || c == '\'') {
        prefix = string_prefix(l, &raw, &bytes);
        if (prefix != UINT32_MAX) {
            l->at += prefix;
            l->tok = string_token(l, raw, bytes);
        } else {
            l->tok = word_token(l);
        }
    } else if (is_digit(c) || (c == '.' && is_digit(peek(l, 1)))) {
        l->tok = number_token(l);
    } else if (c == '`') {
        l->tok = quoted_token(l);
    } else {
        l->tok = punctuation(l);
    }
    l->end = l->at;
}

/* ---- values of literals ---- */

static int bad_escape(struct ea_cel_lexer *l, const char *what)
{
    return ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos, "Syntax error: %s", what);
}

/* Reads `n` digits of the base at *pp. -1 when they are not there. */
static int64_t digits(const char **pp, const char *end, int n, int base)
{
    int64_t v = 0;
    int i;

    for (i = 0; i < n; i++, (*pp)++) {
        int d = *pp < end ? hex_of(**pp) : -1;

        if (d < 0 || d >= base)
            return -1;
        v = v * base + d;
    }
    return v;
}

static int simple_escape(char c)
{
    switch (c) {
    case 'a':
        return '\a';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    case '\\':
    case '?':
    case '"':
    case '\'':
    case '`':
        return c;
    default:
        return -1;
    }
}

/* The number behind "\x41", "\u0041", "\101" at *pp; -1 when it is none. */
static int64_t escape_number(const char **pp, const char *end, bool bytes)
{
    char c = **pp;

    if (c >= '0' && c <= '3')
        return digits(pp, end, 3, 8);
    ++*pp;
    if (c == 'x' || c == 'X')
        return digits(pp, end, 2, 16);
    if ((c == 'u' || c == 'U') && !bytes)
        return digits(pp, end, c == 'u' ? 4 : 8, 16);
    return -1;
}

/* One escape at *pp (behind the backslash); appends to *out. */
static int escape(struct ea_cel_lexer *l, const char **pp, const char *end, bool bytes, char **out)
{
    int c = *pp < end ? simple_escape(**pp) : -1;
    int64_t v;
    unsigned n;

    if (*pp >= end)
        return bad_escape(l, "unterminated escape");
    if (c >= 0) {
        *(*out)++ = (char)c;
        ++*pp;
        return 0;
    }
    v = escape_number(pp, end, bytes);
    if (v < 0)
        return bad_escape(l, "unable to unescape string");
    if (bytes) {
        *(*out)++ = (char)v;
        return 0;
    }
    n = v <= 0x10FFFF ? ea_utf8_put((uint32_t)v, *out) : 0;
    *out += n;
    return n ? 0 : bad_escape(l, "escape is no Unicode code point");
}

int ea_cel_lex_string(struct ea_cel_lexer *l, struct ea_val *ret)
{
    const char *p = l->s + l->pos, *end = l->s + l->end;
    bool raw = false, bytes = l->tok == EA_TK_BYTES;
    char q, *buf, *out;

    for (; *p != '"' && *p != '\''; p++)
        raw |= *p == 'r' || *p == 'R';
    q = *p;
    if (end - p >= 6 && p[1] == q && p[2] == q) {
        p += 3;
        end -= 3;
    } else {
        p += 1;
        end -= 1;
    }
    *ret =
        (struct ea_val){.type = bytes ? EA_V_BYTES : EA_V_STRING, .s = p, .n = (uint32_t)(end - p)};
    if (raw || memchr(p, '\\', (size_t)(end - p)) == NULL)
        return 0;
    /* an escape is never shorter than what it stands for */
    buf = out = ea_arena_alloc(l->u->a, (size_t)(end - p) + 1);
    if (buf == NULL)
        return ea_cel_fail(l->u, EA_CEL_E_PARSE, -E2BIG, l->pos, "program too large");
    while (p < end) {
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        p++;
        if (escape(l, &p, end, bytes, &out))
            return l->u->failed;
    }
    ret->s = buf;
    ret->n = (uint32_t)(out - buf);
    return 0;
}

static int float_value(struct ea_cel_lexer *l, bool negative, struct ea_val *ret)
{
    double d = 0;

    /* beyond the range is infinity, as strconv.ParseFloat gives together with its error: refused */
    if (ea_cel_parse_double(ea_strn(l->s + l->pos, l->end - l->pos), &d) || isinf(d))
        return ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos, "invalid double literal");
    *ret = ea_val_double(negative ? -d : d);
    return 0;
}

int ea_cel_lex_number(struct ea_cel_lexer *l, bool negative, struct ea_val *ret)
{
    uint32_t i = l->pos, end = l->end, base = 10;
    uint64_t v = 0;

    if (l->tok == EA_TK_FLOAT)
        return float_value(l, negative, ret);
    if (l->tok == EA_TK_UINT)
        end--;
    if (end - i > 2 && l->s[i] == '0' && (l->s[i + 1] | 0x20) == 'x') {
        base = 16;
        i += 2;
    }
    for (; i < end; i++) {
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)hex_of(l->s[i]), &v))
            goto range;
    }
    if (l->tok == EA_TK_UINT) {
        *ret = (struct ea_val){.type = EA_V_UINT, .u = v};
        return 0;
    }
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        goto range;
    *ret = ea_val_int(negative ? (int64_t)(0 - v) : (int64_t)v);
    return 0;
range:
    return ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos, "invalid %s literal",
                       l->tok == EA_TK_UINT ? "uint" : "int");
}
