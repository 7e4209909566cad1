/* format(): cel-spec's rules, and in the Kubernetes flavour those of cel-go's strings version 2,
 * which prints numbers as English text does ("1,234.500", "1.05 × 10⁰³") and quotes what lies
 * inside lists and maps. */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "cel/lib.h"

#define MAX_PRECISION 100

struct fmt {
    struct ea_cel_ctx *cx;
    struct ea_buf b;
};

static int text_of(struct fmt *f, const struct ea_val *v, unsigned depth);

static int wrong(struct fmt *f, const char *what, const struct ea_val *v)
{
    return ea_cel_raise(f->cx, "error during formatting: %s, was given %s", what,
                        ea_cel_value_type(v));
}

static bool add_special(struct fmt *f, double d)
{
    if (!isnan(d) && !isinf(d))
        return false;
    ea_buf_addz(&f->b, isnan(d) ? "NaN" : d > 0 ? "Infinity" : "-Infinity");
    return true;
}

/* ---- %f and %e ---- */

/* Digits before the point in groups of three. */
static void add_grouped(struct fmt *f, const char *s)
{
    size_t n = strcspn(s, "."), sign = s[0] == '-', i;

    for (i = 0; i < n; i++) {
        if (i > sign && (n - i) % 3 == 0)
            ea_buf_addc(&f->b, ',');
        ea_buf_addc(&f->b, s[i]);
    }
    ea_buf_addz(&f->b, s + n);
}

static int add_fixed(struct fmt *f, double d, int precision)
{
    char s[512];

    if (f->cx->k8s && isinf(d))
        return ea_buf_addz(&f->b, d > 0 ? "\u221e" : "-\u221e");
    if (add_special(f, d))
        return 0;
    snprintf(s, sizeof s, "%.*f", precision, d);
    if (f->cx->k8s)
        add_grouped(f, s);
    else
        ea_buf_addz(&f->b, s);
    return 0;
}

static void add_superscript(struct fmt *f, const char *digits)
{
    static const char *const up[] = {"\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
                                     "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};

    for (; *digits; digits++) {
        if (*digits == '-')
            ea_buf_addz(&f->b, "\u207b");
        else if (*digits >= '0' && *digits <= '9')
            ea_buf_addz(&f->b, up[*digits - '0']);
    }
}

static void add_padding(struct fmt *f, size_t cells, int width)
{
    for (; cells < (size_t)width; cells++)
        ea_buf_addc(&f->b, ' ');
}

/* cel-go prints with "%<precision>e": six digits always, and the precision is the least width. */
static int add_english(struct fmt *f, double d, int precision)
{
    char s[64], *e;

    if (isnan(d) || isinf(d)) {
        add_padding(f, isnan(d) ? 3 : 1 + (d < 0), precision);
        return ea_buf_addz(&f->b, isnan(d) ? "NaN" : d > 0 ? "\u221e" : "-\u221e");
    }
    snprintf(s, sizeof s, "%e", d);
    e = strchr(s, 'e');
    if (e == NULL)
        return -EINVAL;
    *e++ = '\0';
    add_padding(f, strlen(s) + 3 + strlen(e) - (*e == '+'), precision);
    ea_buf_addf(&f->b, "%s\u00d710", s);
    add_superscript(f, e);
    return 0;
}

static int add_scientific(struct fmt *f, double d, int precision)
{
    char s[256];

    if (f->cx->k8s)
        return add_english(f, d, precision);
    if (add_special(f, d))
        return 0;
    snprintf(s, sizeof s, "%.*e", precision, d);
    return ea_buf_addz(&f->b, s);
}

static int add_float(struct fmt *f, const struct ea_val *v, char clause, int precision)
{
    double d = v->d;

    if (!f->cx->k8s && v->type == EA_V_INT)
        d = (double)v->i;
    else if (!f->cx->k8s && v->type == EA_V_UINT)
        d = (double)v->u;
    else if (v->type != EA_V_DOUBLE)
        return wrong(f,
                     clause == 'f' ? "fixed-point clause can only be used on doubles"
                                   : "scientific clause can only be used on doubles",
                     v);
    return clause == 'f' ? add_fixed(f, d, precision) : add_scientific(f, d, precision);
}

/* ---- %d %b %o %x ---- */

static void add_radix(struct fmt *f, const struct ea_val *v, unsigned shift, bool upper)
{
    uint64_t u = v->type == EA_V_INT && v->i < 0 ? 0 - v->u : v->type == EA_V_BOOL ? v->b : v->u;
    char s[72];
    size_t at = sizeof s;

    s[--at] = '\0';
    do {
        s[--at] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[u & ((1u << shift) - 1)];
        u >>= shift;
    } while (u);
    if (v->type == EA_V_INT && v->i < 0)
        s[--at] = '-';
    ea_buf_addz(&f->b, s + at);
}

static int add_decimal(struct fmt *f, const struct ea_val *v)
{
    if (v->type == EA_V_INT || v->type == EA_V_UINT)
        return ea_cel_add_text(&f->b, v);
    if (!f->cx->k8s && v->type == EA_V_DOUBLE && add_special(f, v->d))
        return 0;
    return wrong(f, "decimal clause can only be used on integers", v);
}

static int add_hex(struct fmt *f, const struct ea_val *v, bool upper)
{
    uint32_t i;

    if (v->type == EA_V_INT || v->type == EA_V_UINT) {
        add_radix(f, v, 4, upper);
        return 0;
    }
    if (v->type != EA_V_STRING && v->type != EA_V_BYTES)
        return wrong(f, "only integers, byte buffers, and strings can be formatted as hex", v);
    for (i = 0; i < v->n; i++)
        ea_buf_addf(&f->b, upper ? "%02X" : "%02x", (unsigned char)v->s[i]);
    return 0;
}

/* ---- %s ---- */

static int add_list(struct fmt *f, const struct ea_val *v, unsigned depth)
{
    uint32_t i;
    int rc = ea_buf_addc(&f->b, '[');

    for (i = 0; i < v->n && rc == 0; i++) {
        if (i)
            ea_buf_addz(&f->b, ", ");
        rc = text_of(f, &v->items[i], depth + 1);
    }
    ea_buf_addc(&f->b, ']');
    return rc;
}

struct entry {
    struct ea_str key;
    const struct ea_member *m;
};

static int by_key(const void *x, const void *y)
{
    return ea_str_cmp(((const struct entry *)x)->key, ((const struct entry *)y)->key);
}

/* What entries are ordered by: the key as it is printed. */
static struct ea_str key_text(struct fmt *f, const struct ea_val *key)
{
    if (f->cx->k8s && key->type == EA_V_STRING)
        return ea_arena_printf(f->cx->arena, "\"%.*s\"", EA_STRF(ea_val_text(key)));
    return ea_cel_to_text(f->cx->arena, key);
}

/* Entries in the order of their keys' text. */
static int add_map(struct fmt *f, const struct ea_val *v, unsigned depth)
{
    struct entry *e = ea_arena_alloc(f->cx->arena, v->n * sizeof *e);
    uint32_t i;
    int rc = 0;

    if (e == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < v->n; i++) {
        e[i] = (struct entry){.key = key_text(f, &v->members[i].key), .m = &v->members[i]};
        if (e[i].key.p == NULL)
            return EA_CEL_FULL;
    }
    if (v->n > 1)
        qsort(e, v->n, sizeof *e, by_key);
    ea_buf_addc(&f->b, '{');
    for (i = 0; i < v->n && rc == 0; i++) {
        if (i)
            ea_buf_addz(&f->b, ", ");
        rc = text_of(f, &e[i].m->key, depth + 1);
        ea_buf_addz(&f->b, f->cx->k8s ? ":" : ": ");
        if (rc == 0)
            rc = text_of(f, &e[i].m->val, depth + 1);
    }
    ea_buf_addc(&f->b, '}');
    return rc;
}

/* A string as Go's %q writes it. */
static void add_go_quoted(struct fmt *f, struct ea_str s)
{
    static const char plain[] = "\a\b\f\n\r\t\v\\\"", escaped[] = "abfnrtv\\\"";
    size_t i;

    ea_buf_addc(&f->b, '"');
    for (i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const char *at = c ? strchr(plain, c) : NULL;

        if (at)
            ea_buf_addf(&f->b, "\\%c", escaped[at - plain]);
        else if (c < 0x20 || c == 0x7f)
            ea_buf_addf(&f->b, "\\x%02x", c);
        else if (c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xA0)
            ea_buf_addf(&f->b, "\\u%04x", (unsigned char)s.p[++i]);
        else
            ea_buf_addc(&f->b, (char)c);
    }
    ea_buf_addc(&f->b, '"');
}

/* Kubernetes: inside lists and maps values read as literals. */
static bool add_literal(struct fmt *f, const struct ea_val *v)
{
    char s[400];

    switch (v->type) {
    case EA_V_STRING:
    case EA_V_BYTES:
        if (v->type == EA_V_BYTES)
            ea_buf_addc(&f->b, 'b');
        add_go_quoted(f, ea_val_text(v));
        return true;
    case EA_V_DOUBLE:
        if (isnan(v->d) || isinf(v->d))
            ea_buf_addz(&f->b, isnan(v->d) ? "\"NaN\"" : v->d > 0 ? "\"+Inf\"" : "\"-Inf\"");
        snprintf(s, sizeof s, "%.6f", v->d);
        if (!isnan(v->d) && !isinf(v->d))
            ea_buf_addz(&f->b, s);
        return true;
    case EA_V_TIMESTAMP:
    case EA_V_DURATION:
        ea_buf_addz(&f->b, v->type == EA_V_TIMESTAMP ? "timestamp(\"" : "duration(\"");
        ea_cel_add_text(&f->b, v);
        ea_buf_addz(&f->b, "\")");
        return true;
    default:
        return false;
    }
}

static int text_of(struct fmt *f, const struct ea_val *v, unsigned depth)
{
    v = ea_val_force(v);
    if (depth > EA_MAX_DEPTH)
        return ea_cel_raise(f->cx, "error during formatting: value is nested too deeply");
    if (f->cx->k8s && depth > 0 && add_literal(f, v))
        return 0;
    switch (v->type) {
    case EA_V_LIST:
        return add_list(f, v, depth);
    case EA_V_MAP:
        return add_map(f, v, depth);
    case EA_V_DOUBLE:
        if (!f->cx->k8s && add_special(f, v->d))
            return 0;
        break;
    case EA_V_OPTIONAL:
    case EA_V_OPAQUE:
        return wrong(f,
                     "string clause can only be used on strings, bools, bytes, ints, doubles, "
                     "maps, lists, types, durations, and timestamps",
                     v);
    default:
        break;
    }
    return ea_cel_add_text(&f->b, v);
}

/* ---- the pattern ---- */

static int clause(struct fmt *f, char c, int precision, const struct ea_val *v)
{
    switch (c) {
    case 's':
        return text_of(f, v, 0);
    case 'd':
        return add_decimal(f, v);
    case 'f':
    case 'e':
        return add_float(f, v, c, precision < 0 ? 6 : precision);
    case 'b':
        if (v->type != EA_V_INT && v->type != EA_V_UINT && v->type != EA_V_BOOL)
            return wrong(f, "only integers and bools can be formatted as binary", v);
        add_radix(f, v, 1, false);
        return 0;
    case 'o':
        if (v->type != EA_V_INT && v->type != EA_V_UINT)
            return wrong(f, "octal clause can only be used on integers", v);
        add_radix(f, v, 3, false);
        return 0;
    default:
        return add_hex(f, v, c == 'X');
    }
}

/* ".3" before a clause's letter. */
static int read_precision(struct fmt *f, const char **pp, const char *end, int *ret)
{
    const char *p = *pp;
    int v = 0;

    *ret = -1;
    if (p == end || *p != '.')
        return 0;
    for (p++; p < end && *p >= '0' && *p <= '9' && v <= MAX_PRECISION; p++)
        v = v * 10 + (*p - '0');
    if (p == *pp + 1 || v > MAX_PRECISION)
        return ea_cel_raise(f->cx,
                            "could not parse formatting clause: error while parsing precision");
    *pp = p;
    *ret = v;
    return 0;
}

static int run(struct fmt *f, struct ea_str pattern, const struct ea_val *list)
{
    const char *p = pattern.p, *end = pattern.p + pattern.n;
    uint32_t used = 0;
    int rc = 0, precision;

    while (p < end && rc == 0) {
        if (*p != '%') {
            ea_buf_addc(&f->b, *p++);
            continue;
        }
        if (++p < end && *p == '%') {
            ea_buf_addc(&f->b, *p++);
            continue;
        }
        rc = read_precision(f, &p, end, &precision);
        if (rc)
            return rc;
        if (p == end)
            return ea_cel_raise(f->cx,
                                "could not parse formatting clause: unexpected end of string");
        if (!ea_cel_one_of("sdfebxXo", *p))
            return ea_cel_raise(
                f->cx, "could not parse formatting clause: unrecognized formatting clause \"%c\"",
                (unsigned char)*p < 0x80 ? *p : '?');
        if (used >= list->n)
            return ea_cel_raise(f->cx, "index %u out of range", used);
        rc = clause(f, *p++, precision, ea_val_force(&list->items[used++]));
    }
    return rc;
}

int ea_cel_string_format(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                         struct ea_val *ret)
{
    struct fmt f = {.cx = cx};
    struct ea_str s;
    int rc;

    if (args[0].type != EA_V_STRING || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    ea_buf_init(&f.b, EA_MAX_CEL_FORMAT);
    rc = run(&f, ea_val_text(&args[0]), &args[1]);
    if (rc == 0 && f.b.failed)
        rc = EA_CEL_FULL;
    /* bytes are printed as they are, so that the result may not be text */
    if (rc == 0 && !ea_utf8_valid(f.b.n ? f.b.p : "", f.b.n))
        rc = ea_cel_raise(cx, "error during formatting: invalid UTF-8 in bytes");
    if (rc == 0) {
        s = ea_arena_str(cx->arena, ea_buf_str(&f.b));
        rc = s.p ? 0 : EA_CEL_FULL;
        *ret = ea_val_str(s);
    }
    ea_buf_done(&f.b);
    return rc;
}
