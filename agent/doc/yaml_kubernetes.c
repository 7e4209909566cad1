/* Scalars as sigs.k8s.io/yaml v1.6 sees them: go.yaml.in/yaml/v2 resolve.go and decode.go, then
 * convertToJSONableObject of yaml.go, then Go's encoding/json. The order of the attempts below is
 * the order there, because it decides. */
#include <math.h>
#include <stdio.h>

#include "doc/json_scan.h"
#include "doc/num.h"
#include "doc/yaml_internal.h"

enum tag {
    TAG_NONE,
    TAG_STR,
    TAG_BOOL,
    TAG_INT,
    TAG_FLOAT,
    TAG_NULL,
    TAG_TIMESTAMP,
    TAG_BINARY,
    TAG_OTHER
};

static const char *const tag_names[] = {"",       "!!str",       "!!bool",   "!!int", "!!float",
                                        "!!null", "!!timestamp", "!!binary", "?"};

static enum tag tag_of(struct ea_str tag)
{
    static const struct ea_str prefix = {"tag:yaml.org,2002:", 18};
    int i;

    if (tag.p == NULL || tag.n == 0)
        return TAG_NONE;
    if (!ea_str_starts(tag, prefix))
        return TAG_OTHER;
    for (i = TAG_STR; i < TAG_OTHER; i++) {
        if (ea_str_is(ea_strn(tag.p + prefix.n, tag.n - prefix.n), tag_names[i] + 2))
            return (enum tag)i;
    }
    return TAG_OTHER;
}

/* ---- words ---- */

static bool word_in(struct ea_str s, const char *const *words)
{
    for (; *words; words++) {
        if (ea_str_is(s, *words))
            return true;
    }
    return false;
}

static bool resolve_word(struct ea_str s, enum tag *ret_tag, struct ea_val *ret)
{
    static const char *const yes[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON",  NULL};
    static const char *const no[] = {"n",     "N",     "no",  "No",  "NO",  "false",
                                     "False", "FALSE", "off", "Off", "OFF", NULL};
    static const char *const null[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    static const char *const inf[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL};
    static const char *const minus_inf[] = {"-.inf", "-.Inf", "-.INF", NULL};

    if (s.n > 5)
        return false;
    if (word_in(s, yes) || word_in(s, no)) {
        *ret_tag = TAG_BOOL;
        *ret = ea_val_bool(word_in(s, yes));
    } else if (word_in(s, null)) {
        *ret_tag = TAG_NULL;
        *ret = ea_val_null();
    } else if (word_in(s, nan_words) || word_in(s, inf) || word_in(s, minus_inf)) {
        *ret_tag = TAG_FLOAT;
        *ret = ea_val_double(word_in(s, nan_words) ? (double)NAN
                             : word_in(s, inf)     ? INFINITY
                                                   : -INFINITY);
    } else {
        return false;
    }
    return true;
}

/* ---- numbers ---- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* The base that a number's prefix asks for, and where its digits begin. */
static unsigned base_of(struct ea_str s, size_t *ret_at)
{
    char prefix = s.n >= 3 ? (char)(s.p[1] | 0x20) : 0;

    *ret_at = 0;
    if (s.p[0] != '0')
        return 10;
    *ret_at = 2;
    if (prefix == 'x')
        return 16;
    if (prefix == 'b')
        return 2;
    *ret_at = prefix == 'o' ? 2 : 1;
    return 8;
}

/* strconv.ParseUint(s, base, 64); base 0 goes by the prefix. */
static bool go_uint(struct ea_str s, unsigned base, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;

    if (s.n == 0)
        return false;
    if (base == 0)
        base = base_of(s, &i);
    for (; i < s.n; i++) {
        unsigned d = (unsigned)digit_value(s.p[i]);

        if (d >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
    }
    *ret = v;
    return true;
}

/* strconv.ParseInt(s, base, 64). */
static bool go_int(struct ea_str s, unsigned base, int64_t *ret)
{
    bool neg = s.n && s.p[0] == '-';
    uint64_t u;

    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = ea_strn(s.p + 1, s.n - 1);
    if (!go_uint(s, base, &u) || u > (uint64_t)INT64_MAX + neg)
        return false;
    *ret = neg ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

/* Underscores may stand between digits only. */
static bool underscores_ok(struct ea_str s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] == '_' &&
            (i == 0 || i + 1 == s.n || digit_value(s.p[i - 1]) > 9 || digit_value(s.p[i + 1]) > 9))
            return false;
    }
    return true;
}

/* Numbers are short; *ret stays without underscores. False = over the cap. */
static bool strip_underscores(struct ea_arena *tmp, struct ea_str s, struct ea_str *ret)
{
    char *p;
    size_t i, n = 0;

    *ret = s;
    if (memchr(s.p, '_', s.n) == NULL)
        return true;
    p = ea_arena_alloc_aligned(tmp, s.n, 1);
    if (p == NULL)
        return false;
    for (i = 0; i < s.n; i++) {
        if (s.p[i] != '_')
            p[n++] = s.p[i];
    }
    *ret = ea_strn(p, n);
    return true;
}

/* The regular expression yamlStyleFloat; ea_num_parse accepts the same strings. */
static bool resolve_float(struct ea_str s, enum tag *ret_tag, struct ea_val *ret)
{
    double d;

    if (ea_num_parse(s, &d))
        return false;
    *ret_tag = TAG_FLOAT;
    *ret = ea_val_double(d);
    return true;
}

static bool resolve_binary_int(struct ea_str s, int64_t *ret)
{
    if (s.n > 2 && s.p[0] == '0' && s.p[1] == 'b')
        return go_int(ea_strn(s.p + 2, s.n - 2), 2, ret);
    return false;
}

static bool resolve_number(struct ea_str plain, enum tag *ret_tag, struct ea_val *ret)
{
    int64_t i;
    uint64_t u;

    *ret_tag = TAG_INT;
    if (go_int(plain, 0, &i)) {
        *ret = ea_val_int(i);
    } else if (go_uint(plain, 0, &u)) {
        *ret = (struct ea_val){.type = EA_V_UINT, .u = u};
    } else if (resolve_float(plain, ret_tag, ret)) {
        return true;
    } else if (resolve_binary_int(plain, &i)) {
        *ret = ea_val_int(i);
    } else {
        return false;
    }
    return true;
}

/* A character that no number has makes a long text cheap to pass over. */
static bool may_be_number(struct ea_str s)
{
    static const char other[] = "+-._xXoO";
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (digit_value(s.p[i]) > 15 && strchr(other, s.p[i]) == NULL)
            return false;
        if (s.p[i] == '\0')
            return false;
    }
    return true;
}

/* ---- timestamps: only their form matters, they stay strings ---- */

/* min to max digits; false when they are not there or the number is outside. */
static bool take_number(struct ea_str *s, size_t min, size_t max, int low, int high, int *ret)
{
    size_t n = 0;
    int v = 0;

    while (n < s->n && n < max && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (s->p[n++] - '0');
    if (n < min || v < low || v > high)
        return false;
    *s = ea_strn(s->p + n, s->n - n);
    *ret = v;
    return true;
}

static bool take_char(struct ea_str *s, const char *any)
{
    if (s->n == 0 || s->p[0] == '\0' || strchr(any, s->p[0]) == NULL)
        return false;
    *s = ea_strn(s->p + 1, s->n - 1);
    return true;
}

static bool day_exists(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return day <= days[month - 1] + (month == 2 && leap);
}

static bool take_fraction(struct ea_str *s)
{
    size_t n = 0;

    if (!take_char(s, ".,"))
        return true;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    *s = ea_strn(s->p + n, s->n - n);
    return n > 0;
}

static bool take_zone(struct ea_str *s)
{
    int v;

    if (take_char(s, "Z"))
        return true;
    return take_char(s, "+-") && take_number(s, 2, 2, 0, 24, &v) && take_char(s, ":") &&
           take_number(s, 2, 2, 0, 60, &v);
}

/* 15:4:5.9 */
static bool take_clock(struct ea_str *s)
{
    int v;

    return take_number(s, 1, 2, 0, 23, &v) && take_char(s, ":") &&
           take_number(s, 1, 2, 0, 59, &v) && take_char(s, ":") &&
           take_number(s, 1, 2, 0, 59, &v) && take_fraction(s);
}

/* 2006-1-2, 2006-1-2 15:4:5.9, 2006-1-2[Tt]15:4:5.9Z07:00 */
static bool is_timestamp(struct ea_str s)
{
    int year, month, day;
    bool zone;

    if (!take_number(&s, 4, 4, 0, 9999, &year) || !take_char(&s, "-") ||
        !take_number(&s, 1, 2, 1, 12, &month) || !take_char(&s, "-") ||
        !take_number(&s, 1, 2, 1, 31, &day) || !day_exists(year, month, day))
        return false;
    if (s.n == 0)
        return true;
    zone = s.p[0] != ' ';
    if (!take_char(&s, "Tt ") || !take_clock(&s))
        return false;
    return (!zone || take_zone(&s)) && s.n == 0;
}

/* ---- resolve ---- */

/* The table of resolve.go: what a first character lets a plain scalar be. */
enum hint { HINT_STRING, HINT_WORD, HINT_POINT, HINT_NUMBER };

static enum hint hint_of(struct ea_str s)
{
    char c = s.n ? s.p[0] : '~';

    if (c == '.')
        return HINT_POINT;
    if (c == '+' || c == '-' || (c >= '0' && c <= '9'))
        return HINT_NUMBER;
    return c != '\0' && strchr("yYnNtTfFoO~", c) ? HINT_WORD : HINT_STRING;
}

static int resolve_untagged(struct ea_ybuild *b, struct ea_str s, enum tag want, enum tag *ret_tag,
                            struct ea_val *ret)
{
    enum hint hint = want == TAG_STR ? HINT_STRING : hint_of(s);
    struct ea_str plain;

    *ret_tag = TAG_STR;
    *ret = ea_val_str(s);
    if (hint == HINT_STRING || resolve_word(s, ret_tag, ret))
        return 0;
    if (want == TAG_TIMESTAMP && is_timestamp(s)) {
        *ret_tag = TAG_TIMESTAMP;
        return 0;
    }
    if (hint == HINT_WORD || !may_be_number(s) || (hint == HINT_POINT && !underscores_ok(s)))
        return 0;
    if (!strip_underscores(b->tmp, s, &plain))
        return -E2BIG;
    if (!(hint == HINT_POINT ? resolve_float(plain, ret_tag, ret)
                             : resolve_number(plain, ret_tag, ret)))
        *ret_tag = TAG_STR;
    return 0;
}

static int decode_binary(struct ea_ybuild *b, const struct ea_ynode *n, struct ea_yscalar *ret)
{
    struct ea_str copy, text = n->text;
    uint8_t *p = NULL;
    size_t len, i, used = 0;

    /* Go's decoder skips line ends, wants the padding, and nothing else */
    for (i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '\r' || c == '\n')
            continue;
        if (digit_value(c) == 99 && c != '+' && c != '/' && c != '=')
            return ea_yaml_fail(b, -EINVAL, n, "!!binary is not base64");
        used++;
    }
    if (used % 4 || ea_unbase64(text, &p, &len))
        return ea_yaml_fail(b, -EINVAL, n, "!!binary is not base64");
    copy = ea_arena_str(b->a, ea_strn((const char *)p, len));
    free(p);
    if (copy.p == NULL)
        return -E2BIG;
    *ret = (struct ea_yscalar){.v = ea_val_str(copy), .binary = true};
    return 0;
}

int ea_yaml_resolve_kubernetes(struct ea_ybuild *b, const struct ea_ynode *n,
                               struct ea_yscalar *ret)
{
    enum tag want = tag_of(n->tag), got;

    *ret = (struct ea_yscalar){.v = ea_val_str(n->text)};
    if (want == TAG_BINARY)
        return decode_binary(b, n, ret);
    if (want == TAG_OTHER || (want == TAG_NONE && !n->implicit))
        return 0;
    if (resolve_untagged(b, n->text, want, &got, &ret->v))
        return -E2BIG;
    if (want == TAG_FLOAT && got == TAG_INT && ret->v.type == EA_V_INT) {
        ret->v = ea_val_double((double)ret->v.i);
        return 0;
    }
    if (want != TAG_NONE && want != TAG_STR && want != got)
        return ea_yaml_fail(b, -EINVAL, n, "\"%.*s\" is no %s", (int)EA_MIN(n->text.n, 40),
                            n->text.p, tag_names[want]);
    return 0;
}

/* ---- on to JSON ---- */

/* Go prints every byte that is no UTF-8 as U+FFFD. */
static int to_text(struct ea_ybuild *b, struct ea_str s, struct ea_str *ret)
{
    const char *at = s.p, *end = s.p + s.n;
    char *out;
    size_t n = 0;

    *ret = s;
    if (ea_utf8_valid(s.p, s.n))
        return 0;
    out = ea_arena_alloc_aligned(b->a, s.n * 3, 1);
    if (out == NULL)
        return -E2BIG;
    while (at < end) {
        unsigned len = ea_utf8_len(at, (size_t)(end - at));

        memcpy(out + n, len ? at : "\xef\xbf\xbd", len ? len : 3);
        n += len ? len : 3;
        at += len ? len : 1;
    }
    *ret = ea_strn(out, n);
    return 0;
}

static int number_key(struct ea_ybuild *b, const struct ea_val *v, struct ea_str *ret)
{
    char text[EA_NUM_MAX];

    if (v->type == EA_V_INT)
        snprintf(text, sizeof text, "%lld", (long long)v->i);
    else if (isnan(v->d) || isinf((float)v->d))
        snprintf(text, sizeof text, "%s", isnan(v->d) ? ".nan" : v->d < 0 ? "-.inf" : ".inf");
    else
        ea_num_print_go32(v->d, text);
    *ret = ea_arena_str(b->a, ea_str(text));
    return ret->p ? 0 : -E2BIG;
}

int ea_yaml_key_text(struct ea_ybuild *b, const struct ea_ynode *n, const struct ea_yscalar *s,
                     struct ea_str *ret)
{
    switch (s->v.type) {
    case EA_V_STRING:
        return s->binary ? to_text(b, ea_val_text(&s->v), ret) : (*ret = ea_val_text(&s->v), 0);
    case EA_V_BOOL:
        *ret = s->v.b ? EA_STR("true") : EA_STR("false");
        return 0;
    case EA_V_INT:
    case EA_V_DOUBLE:
        return number_key(b, &s->v, ret);
    default:
        return ea_yaml_fail(b, -EINVAL, n, "%s cannot be a key",
                            s->v.type == EA_V_NULL ? "null" : "an integer above 2^63-1");
    }
}

int ea_yaml_json_value(struct ea_ybuild *b, const struct ea_ynode *n, const struct ea_yscalar *s,
                       struct ea_val *ret)
{
    struct ea_str text;
    int rc;

    *ret = s->v;
    switch (s->v.type) {
    case EA_V_UINT:
        *ret = ea_val_double((double)s->v.u);
        return 0;
    case EA_V_DOUBLE:
        if (!isfinite(s->v.d))
            return ea_yaml_fail(b, -EINVAL, n, "infinity and NaN have no JSON value");
        if (s->v.d == trunc(s->v.d) && fabs(s->v.d) < 9223372036854775808.0)
            *ret = ea_val_int((int64_t)s->v.d);
        return 0;
    case EA_V_STRING:
        if (!s->binary)
            return 0;
        rc = to_text(b, ea_val_text(&s->v), &text);
        *ret = ea_val_str(text);
        return rc;
    default:
        return 0;
    }
}
