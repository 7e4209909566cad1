/* TAGGED: JSON that keeps the types JSON does not have (docs/CEL.md). */
#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cel/lib.h"
#include "doc/num.h"

#define DEPTH (2 * EA_MAX_DEPTH)

static int print(struct ea_buf *b, const struct ea_val *v, unsigned depth);

static int text(struct ea_buf *b, const char *tag, struct ea_str s)
{
    ea_buf_addf(b, "{\"%s\":", tag);
    ea_buf_add_json(b, s);
    return ea_buf_addc(b, '}');
}

static int print_double(struct ea_buf *b, double d)
{
    char s[EA_NUM_MAX + 8];

    if (isnan(d) || isinf(d))
        return text(b, "double",
                    isnan(d) ? EA_STR("NaN")
                    : d > 0  ? EA_STR("Infinity")
                             : EA_STR("-Infinity"));
    if (d == 0 && signbit(d))
        return text(b, "double", EA_STR("-0"));
    s[ea_num_print(d, s)] = '\0';
    return text(b, "double", ea_str(s));
}

static int print_bytes(struct ea_buf *b, const struct ea_val *v)
{
    char *s = ea_base64((const uint8_t *)(v->n ? v->s : ""), v->n);
    int rc = text(b, "bytes", ea_str(s));

    free(s);
    return rc;
}

static int print_map(struct ea_buf *b, const struct ea_val *v, unsigned depth)
{
    uint32_t i;
    int rc = ea_buf_addz(b, "{\"map\":[");

    for (i = 0; i < v->n && rc == 0; i++) {
        rc = ea_buf_addz(b, i ? ",[" : "[");
        if (rc == 0)
            rc = print(b, &v->members[i].key, depth);
        if (rc == 0)
            rc = ea_buf_addc(b, ',');
        if (rc == 0)
            rc = print(b, &v->members[i].val, depth);
        if (rc == 0)
            rc = ea_buf_addc(b, ']');
    }
    return rc ? rc : ea_buf_addz(b, "]}");
}

static int print_list(struct ea_buf *b, const struct ea_val *v, unsigned depth)
{
    uint32_t i;
    int rc = ea_buf_addz(b, "{\"list\":[");

    for (i = 0; i < v->n && rc == 0; i++) {
        if (i)
            rc = ea_buf_addc(b, ',');
        if (rc == 0)
            rc = print(b, &v->items[i], depth);
    }
    return rc ? rc : ea_buf_addz(b, "]}");
}

static int print_optional(struct ea_buf *b, const struct ea_val *v, unsigned depth)
{
    int rc = ea_buf_addz(b, "{\"optional\":");

    if (rc == 0)
        rc = v->opt ? print(b, v->opt, depth) : ea_buf_addz(b, "null");
    return rc ? rc : ea_buf_addc(b, '}');
}

static int print_opaque(struct ea_buf *b, const struct ea_val *v)
{
    struct ea_arena a;
    struct ea_str s;
    int rc;

    ea_arena_init(&a, 1u << 20, 0);
    s = ea_cel_opaque_text(&a, v);
    ea_buf_addf(b, "{\"opaque\":[\"%s\",", ea_cel_opaque_name((enum ea_cel_opaque)v->n));
    ea_buf_add_json(b, s);
    rc = ea_buf_addz(b, "]}");
    ea_arena_done(&a);
    return rc;
}

static int print(struct ea_buf *b, const struct ea_val *v, unsigned depth)
{
    char s[48];

    if (depth > DEPTH)
        return -E2BIG;
    v = ea_val_force(v);
    switch (v->type) {
    case EA_V_NULL:
        return ea_buf_addz(b, "{\"null\":null}");
    case EA_V_BOOL:
        return ea_buf_addz(b, v->b ? "{\"bool\":true}" : "{\"bool\":false}");
    case EA_V_INT:
        return ea_buf_addf(b, "{\"int\":\"%lld\"}", (long long)v->i);
    case EA_V_UINT:
        return ea_buf_addf(b, "{\"uint\":\"%llu\"}", (unsigned long long)v->u);
    case EA_V_DOUBLE:
        return print_double(b, v->d);
    case EA_V_STRING:
        return text(b, "string", ea_val_text(v));
    case EA_V_TYPE:
        return text(b, "type", ea_val_text(v));
    case EA_V_BYTES:
        return print_bytes(b, v);
    case EA_V_TIMESTAMP:
        ea_cel_timestamp_text(v->i, v->n, s);
        return text(b, "timestamp", ea_str(s));
    case EA_V_DURATION:
        ea_cel_duration_text(v->i, s);
        return text(b, "duration", ea_str(s));
    case EA_V_LIST:
        return print_list(b, v, depth + 1);
    case EA_V_MAP:
        return print_map(b, v, depth + 1);
    case EA_V_OPTIONAL:
        return print_optional(b, v, depth + 1);
    case EA_V_OPAQUE:
        return print_opaque(b, v);
    default:
        return -EINVAL;
    }
}

int ea_cel_print_tagged(struct ea_buf *b, const struct ea_val *v)
{
    int rc = print(b, v, 0);

    return b->failed ? -E2BIG : rc;
}

/* ---- reading ---- */

static int parse(struct ea_arena *a, const struct ea_val *json, struct ea_val *ret, unsigned depth,
                 struct ea_err *err);

static int bad(struct ea_err *err, const char *tag)
{
    return ea_fail(err, -EINVAL, "bad value for the tag \"%s\"", tag);
}

static int parse_number(const char *tag, const struct ea_val *v, struct ea_val *ret,
                        struct ea_err *err)
{
    struct ea_str s = ea_val_is(v, EA_V_STRING) ? ea_val_text(v) : EA_STR_NULL;

    if (strcmp(tag, "double") == 0) {
        ret->type = EA_V_DOUBLE;
        if (v->type == EA_V_INT)
            ret->d = (double)v->i;
        else if (v->type == EA_V_DOUBLE)
            ret->d = v->d;
        else if (s.p == NULL || ea_cel_parse_double(s, &ret->d))
            return bad(err, tag);
        return 0;
    }
    if (strcmp(tag, "int") == 0) {
        ret->type = EA_V_INT;
        if (v->type == EA_V_INT)
            ret->i = v->i;
        else if (s.p == NULL || ea_str_to_i64(s, &ret->i))
            return bad(err, tag);
        return 0;
    }
    ret->type = EA_V_UINT;
    if (v->type == EA_V_INT && v->i >= 0)
        ret->u = (uint64_t)v->i;
    else if (s.p == NULL || ea_str_to_u64(s, &ret->u))
        return bad(err, tag);
    return 0;
}

static int parse_list(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret,
                      unsigned depth, struct ea_err *err)
{
    struct ea_val *items;
    uint32_t i;
    int rc;

    if (v->type != EA_V_LIST)
        return bad(err, "list");
    items = ea_arena_zalloc(a, v->n * sizeof *items);
    if (items == NULL)
        return ea_fail(err, -E2BIG, "value is too large");
    for (i = 0; i < v->n; i++) {
        rc = parse(a, &v->items[i], &items[i], depth, err);
        if (rc)
            return rc;
    }
    *ret = ea_val_list(items, v->n);
    return 0;
}

static int parse_map(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret, unsigned depth,
                     struct ea_err *err)
{
    struct ea_cel_mapb b;
    struct ea_val key, val, *old;
    uint32_t i;
    int rc;

    if (v->type != EA_V_LIST)
        return bad(err, "map");
    if (ea_cel_mapb_init(&b, a, v->n))
        return ea_fail(err, -E2BIG, "value is too large");
    for (i = 0; i < v->n; i++) {
        const struct ea_val *pair = ea_val_force(&v->items[i]);

        if (pair->type != EA_V_LIST || pair->n != 2)
            return bad(err, "map");
        rc = parse(a, &pair->items[0], &key, depth, err);
        if (rc == 0)
            rc = parse(a, &pair->items[1], &val, depth, err);
        if (rc)
            return rc;
        if (key.type != EA_V_STRING && key.type != EA_V_INT && key.type != EA_V_UINT &&
            key.type != EA_V_BOOL)
            return ea_fail(err, -EINVAL, "a map's key is a string, int, uint or bool");
        rc = ea_cel_mapb_add(&b, &key, &val, &old);
        if (rc)
            return ea_fail(err, rc == -E2BIG ? rc : -EINVAL, "a map's key repeats");
    }
    *ret = ea_cel_mapb_end(&b);
    return 0;
}

static int parse_bytes(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret,
                       struct ea_err *err)
{
    struct ea_str s;
    uint8_t *p = NULL;
    size_t n = 0;

    if (v->type != EA_V_STRING || ea_unbase64(ea_val_text(v), &p, &n))
        return bad(err, "bytes");
    s = ea_arena_str(a, ea_strn((const char *)p, n));
    free(p);
    if (s.p == NULL)
        return ea_fail(err, -E2BIG, "value is too large");
    *ret = ea_cel_bytes(s.p, s.n);
    return 0;
}

static int parse_opaque(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret,
                        struct ea_err *err)
{
    struct ea_cel_ctx cx = {.arena = a};
    int rc;

    if (v->type != EA_V_LIST || v->n != 2 || !ea_val_is(ea_val_at(v, 0), EA_V_STRING) ||
        !ea_val_is(ea_val_at(v, 1), EA_V_STRING))
        return bad(err, "opaque");
    rc = ea_cel_opaque_parse(&cx, ea_val_text(ea_val_at(v, 0)), ea_val_text(ea_val_at(v, 1)), ret);
    return rc ? ea_fail(err, rc == EA_CEL_FULL ? -E2BIG : -EINVAL, "bad opaque value: %s",
                        cx.error ? cx.error : "unknown type")
              : 0;
}

static int parse_optional(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret,
                          unsigned depth, struct ea_err *err)
{
    struct ea_val *held;
    int rc;

    *ret = ea_cel_optional(NULL);
    if (v->type == EA_V_NULL)
        return 0;
    held = ea_arena_zalloc(a, sizeof *held);
    if (held == NULL)
        return ea_fail(err, -E2BIG, "value is too large");
    rc = parse(a, v, held, depth, err);
    *ret = ea_cel_optional(held);
    return rc;
}

static int parse_text(struct ea_arena *a, const char *tag, const struct ea_val *v,
                      struct ea_val *ret, struct ea_err *err)
{
    if (v->type != EA_V_STRING)
        return bad(err, tag);
    if (strcmp(tag, "timestamp") == 0)
        return ea_cel_timestamp_parse(ea_val_text(v), ret) ? bad(err, tag) : 0;
    if (strcmp(tag, "duration") == 0)
        return ea_cel_duration_parse(ea_val_text(v), ret) ? bad(err, tag) : 0;
    *ret = *v;
    if (strcmp(tag, "type") == 0)
        ret->type = EA_V_TYPE;
    return 0;
}

static int parse(struct ea_arena *a, const struct ea_val *json, struct ea_val *ret, unsigned depth,
                 struct ea_err *err)
{
    static const char *const tags[] = {"null",   "bool",   "json",      "int",      "uint",
                                       "double", "list",   "map",       "bytes",    "optional",
                                       "opaque", "string", "timestamp", "duration", "type"};
    const struct ea_val *v;
    size_t i;

    json = ea_val_force(json);
    if (json->type != EA_V_MAP || json->n != 1 || depth > DEPTH)
        return ea_fail(err, -EINVAL,
                       depth > DEPTH ? "value is nested too deeply"
                                     : "a TAGGED value is an object with one member");
    for (i = 0; i < EA_COUNT(tags) && !ea_str_is(ea_val_text(&json->members[0].key), tags[i]); i++)
        ;
    v = ea_val_force(&json->members[0].val);
    *ret = ea_val_null();
    switch (i) {
    case 0:
        return v->type == EA_V_NULL ? 0 : bad(err, "null");
    case 1:
        *ret = *v;
        return v->type == EA_V_BOOL ? 0 : bad(err, "bool");
    case 2:
        *ret = *v;
        return 0;
    case 3:
    case 4:
    case 5:
        return parse_number(tags[i], v, ret, err);
    case 6:
        return parse_list(a, v, ret, depth + 1, err);
    case 7:
        return parse_map(a, v, ret, depth + 1, err);
    case 8:
        return parse_bytes(a, v, ret, err);
    case 9:
        return parse_optional(a, v, ret, depth + 1, err);
    case 10:
        return parse_opaque(a, v, ret, err);
    case 11:
    case 12:
    case 13:
    case 14:
        return parse_text(a, tags[i], v, ret, err);
    default:
        return ea_fail(err, -EINVAL, "unknown tag \"%.*s\"",
                       (int)EA_MIN(json->members[0].key.n, 40u), json->members[0].key.s);
    }
}

int ea_cel_parse_tagged(struct ea_arena *a, const struct ea_val *json, struct ea_val *ret,
                        struct ea_err *err)
{
    return parse(a, json, ret, 0, err);
}
