/* The standard library: sizes, substrings, conversions, types, optionals. */
#include <math.h>
#include <stdio.h>

#include "cel/lib.h"
#include "cel/regex.h"

static int size(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    switch (args[0].type) {
    case EA_V_STRING:
    case EA_V_BYTES:
    case EA_V_LIST:
    case EA_V_MAP:
        *ret = ea_val_int((int64_t)ea_cel_size(&args[0]));
        return 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

static int contains(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    if (args[0].type != EA_V_STRING || args[1].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(ea_str_find(ea_val_text(&args[0]), ea_val_text(&args[1])) >= 0);
    return 0;
}

static int starts_with(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    if (args[0].type != EA_V_STRING || args[1].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(ea_str_starts(ea_val_text(&args[0]), ea_val_text(&args[1])));
    return 0;
}

static int ends_with(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    if (args[0].type != EA_V_STRING || args[1].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(ea_str_ends(ea_val_text(&args[0]), ea_val_text(&args[1])));
    return 0;
}

static int matches(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    const struct ea_cel_regex *re;
    bool found = false;
    int rc;

    if (args[0].type != EA_V_STRING || args[1].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    rc = ea_cel_regex_get(cx, ea_val_text(&args[1]), &re);
    if (rc == 0)
        rc = ea_cel_regex_matches(cx, re, ea_val_text(&args[0]), &found);
    *ret = ea_val_bool(found);
    return rc;
}

/* ---- conversions ---- */

static int range(struct ea_cel_ctx *cx)
{
    return ea_cel_raise(cx, "range error: integer overflow");
}

static int malformed(struct ea_cel_ctx *cx, const struct ea_val *v, const char *type)
{
    return ea_cel_raise(cx, "type conversion error from '%.*s' to '%s'", (int)EA_MIN(v->n, 80u),
                        v->s ? v->s : "", type);
}

static int to_int(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    const struct ea_val *v = &args[0];
    struct ea_str s = ea_val_text(v);
    int64_t i = 0;

    switch (v->type) {
    case EA_V_INT:
        *ret = *v;
        return 0;
    case EA_V_UINT:
        *ret = ea_val_int((int64_t)v->u);
        return v->u > INT64_MAX ? range(cx) : 0;
    case EA_V_DOUBLE:
        /* the bounds themselves are refused: they may have been rounded (cel-go,
         * doubleToInt64Checked) */
        if (!(v->d > -9223372036854775808.0 && v->d < 9223372036854775808.0))
            return range(cx);
        *ret = ea_val_int((int64_t)v->d);
        return 0;
    case EA_V_STRING:
        if (s.n > 1 && s.p[0] == '+')
            s = ea_strn(s.p + 1, s.n - 1);
        if (ea_str_to_i64(s, &i))
            return malformed(cx, v, "int");
        *ret = ea_val_int(i);
        return 0;
    case EA_V_TIMESTAMP:
        *ret = ea_val_int(v->i);
        return 0;
    case EA_V_DURATION:
        *ret = ea_val_int(v->i);
        return 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

static int to_uint(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    const struct ea_val *v = &args[0];
    uint64_t u = 0;

    switch (v->type) {
    case EA_V_UINT:
        *ret = *v;
        return 0;
    case EA_V_INT:
        *ret = ea_cel_uint((uint64_t)v->i);
        return v->i < 0 ? ea_cel_raise(cx, "range error: unsigned integer overflow") : 0;
    case EA_V_DOUBLE:
        if (!(v->d >= 0 && v->d < 18446744073709551616.0))
            return ea_cel_raise(cx, "range error: unsigned integer overflow");
        *ret = ea_cel_uint((uint64_t)v->d);
        return 0;
    case EA_V_STRING:
        if (ea_str_to_u64(ea_val_text(v), &u))
            return malformed(cx, v, "uint");
        *ret = ea_cel_uint(u);
        return 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

static int to_double(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    const struct ea_val *v = &args[0];
    double d = 0;

    switch (v->type) {
    case EA_V_DOUBLE:
        *ret = *v;
        return 0;
    case EA_V_INT:
        *ret = ea_val_double((double)v->i);
        return 0;
    case EA_V_UINT:
        *ret = ea_val_double((double)v->u);
        return 0;
    case EA_V_STRING:
        if (ea_cel_parse_double(ea_val_text(v), &d) ||
            (isinf(d) && memchr(v->s, 'n', v->n) == NULL && memchr(v->s, 'N', v->n) == NULL))
            return malformed(cx, v, "double");
        *ret = ea_val_double(d);
        return 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

static int to_string(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    const struct ea_val *v = &args[0];
    struct ea_str s;

    switch (v->type) {
    case EA_V_BYTES:
        if (!ea_utf8_valid(v->n ? v->s : "", v->n))
            return ea_cel_raise(cx, "invalid UTF-8 in bytes, cannot convert to string");
        *ret = ea_val_str(ea_val_text(v));
        return 0;
    case EA_V_STRING:
        *ret = *v;
        return 0;
    case EA_V_OPAQUE:
        if (v->n != EA_OPAQUE_IP && v->n != EA_OPAQUE_CIDR)
            return EA_CEL_NO_OVERLOAD;
        break;
    case EA_V_BOOL:
    case EA_V_INT:
    case EA_V_UINT:
    case EA_V_DOUBLE:
    case EA_V_TIMESTAMP:
    case EA_V_DURATION:
        break;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
    s = ea_cel_to_text(cx->arena, v);
    *ret = ea_val_str(s);
    return s.p ? 0 : EA_CEL_FULL;
}

static int to_bytes(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    if (args[0].type != EA_V_STRING && args[0].type != EA_V_BYTES)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_cel_bytes(args[0].s, args[0].n);
    return 0;
}

static int to_bool(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    /* what Go's strconv.ParseBool takes */
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    size_t i;

    if (args[0].type == EA_V_BOOL) {
        *ret = args[0];
        return 0;
    }
    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    for (i = 0; i < EA_COUNT(yes); i++) {
        if (ea_str_is(ea_val_text(&args[0]), yes[i]) || ea_str_is(ea_val_text(&args[0]), no[i])) {
            *ret = ea_val_bool(ea_str_is(ea_val_text(&args[0]), yes[i]));
            return 0;
        }
    }
    return malformed(cx, &args[0], "bool");
}

static int to_dyn(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    *ret = args[0];
    return 0;
}

static int type_of(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    *ret = ea_cel_type_of(ea_cel_value_type(&args[0]));
    return 0;
}

/* ---- optionals ---- */

static int boxed(struct ea_cel_ctx *cx, const struct ea_val *v, struct ea_val *ret)
{
    struct ea_val *copy = ea_arena_alloc(cx->arena, sizeof *copy);

    if (copy == NULL)
        return EA_CEL_FULL;
    *copy = *v;
    *ret = ea_cel_optional(copy);
    return 0;
}

static int optional_of(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    return boxed(cx, &args[0], ret);
}

static int optional_non_zero(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                             struct ea_val *ret)
{
    *ret = ea_cel_optional(NULL);
    return ea_cel_is_zero(&args[0]) ? 0 : boxed(cx, &args[0], ret);
}

static int optional_none(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                         struct ea_val *ret)
{
    *ret = ea_cel_optional(NULL);
    return 0;
}

static int has_value(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    if (args[0].type != EA_V_OPTIONAL)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(args[0].opt != NULL);
    return 0;
}

static int value(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    if (args[0].type != EA_V_OPTIONAL)
        return EA_CEL_NO_OVERLOAD;
    if (args[0].opt == NULL)
        return ea_cel_raise(cx, "optional.none() dereference");
    *ret = *ea_val_force(args[0].opt);
    return 0;
}

const struct ea_cel_fn ea_cel_lib_std[] = {
    EA_FN("size", "s:i y:i l:i m:i s.:i y.:i l.:i m.:i", size, 0, EA_COST_ONE),
    EA_FN("contains", "s.s:b", contains, 0, EA_COST_CONTAINS),
    EA_FN("startsWith", "s.s:b", starts_with, 0, EA_COST_ARG2),
    EA_FN("endsWith", "s.s:b", ends_with, 0, EA_COST_ARG2),
    EA_FN("matches", "s.s:b ss:b", matches, 0, EA_COST_REGEX),
    EA_FN("int", "i:i u:i d:i s:i T:i D:i@255", to_int, 0, EA_COST_ONE),
    EA_FN("uint", "u:u i:u d:u s:u", to_uint, 0, EA_COST_ONE),
    EA_FN("double", "d:d i:d u:d s:d", to_double, 0, EA_COST_ONE),
    EA_FN("string", "s:s b:s i:s u:s d:s y:s T:s D:s I:s@30 C:s@30", to_string, 0, EA_COST_CONVERT),
    EA_FN("bytes", "y:y s:y", to_bytes, 0, EA_COST_CONVERT),
    EA_FN("bool", "b:b s:b", to_bool, 0, EA_COST_ONE),
    EA_FN("dyn", "*:*", to_dyn, 0, EA_COST_ONE),
    EA_FN("type", "*:t", type_of, 0, EA_COST_ONE),
    EA_FN("optional.of", "*:W", optional_of, 28, EA_COST_ONE),
    EA_FN("optional.ofNonZeroValue", "*:W", optional_non_zero, 28, EA_COST_ONE),
    EA_FN("optional.none", ":o", optional_none, 28, EA_COST_ONE),
    EA_FN("hasValue", "o.:b", has_value, 28, EA_COST_ONE),
    EA_FN("value", "o.:E", value, 28, EA_COST_ONE),
    EA_FN("orValue", "o.*:*", NULL, 28, EA_COST_ONE),
    EA_FN("or", "o.o:*", NULL, 28, EA_COST_ONE),
    EA_FN_END,
};
