#include "doc/val.h"

#include "base/limits.h"
#include "doc/internal.h"

static _Thread_local uint64_t overflows;

uint64_t ea_doc_overflows(void)
{
    return overflows;
}

const struct ea_val *ea_val_force_slow(const struct ea_val *v)
{
    static const struct ea_val null_val = {.type = EA_V_NULL};
    struct ea_raw *raw;

    if (v->type != EA_V_RAW)
        return v;
    raw = (struct ea_raw *)v->ptr;
    if (raw->state == 0)
        raw->state = ea_json_build_raw(raw, v->n) == 0 ? 1 : -E2BIG;
    if (raw->state == 1)
        return &raw->built;
    overflows++;
    return &null_val;
}

/* ---- lookup ---- */

/* Slots of the index: the load stays between a quarter and a half. */
static uint32_t index_size(uint32_t n)
{
    return 4u << (31 - __builtin_clz(n));
}

struct ea_member *ea_map_alloc(struct ea_arena *a, uint32_t n)
{
    size_t index = n > EA_MAP_LINEAR ? (size_t)index_size(n) * sizeof(uint32_t) : 0;
    char *p = ea_arena_alloc(a, index + (size_t)n * sizeof(struct ea_member));

    return p ? (struct ea_member *)(void *)(p + index) : NULL;
}

static bool key_is(const struct ea_val *key, struct ea_str s)
{
    return key->n == s.n && key->type == EA_V_STRING && memcmp(key->s, s.p, s.n) == 0;
}

ptrdiff_t ea_map_index(struct ea_member *m, uint32_t n)
{
    uint32_t mask = index_size(n) - 1, i, at;
    uint32_t *slots = (uint32_t *)(void *)m - (mask + 1);

    memset(slots, 0, ((size_t)mask + 1) * sizeof *slots);
    for (i = 0; i < n; i++) {
        struct ea_str key = ea_val_text(&m[i].key);

        at = (uint32_t)ea_hash(key.p, key.n) & mask;
        for (; slots[at] != 0; at = (at + 1) & mask) {
            if (key_is(&m[slots[at] - 1].key, key))
                return (ptrdiff_t)i;
        }
        slots[at] = i + 1;
    }
    return -1;
}

static ptrdiff_t find_indexed(const struct ea_val *map, struct ea_str key)
{
    uint32_t mask = index_size(map->n) - 1;
    const uint32_t *slots = (const uint32_t *)(const void *)map->members - (mask + 1);
    uint32_t at = (uint32_t)ea_hash(key.p, key.n) & mask;

    for (; slots[at] != 0; at = (at + 1) & mask) {
        if (key_is(&map->members[slots[at] - 1].key, key))
            return (ptrdiff_t)(slots[at] - 1);
    }
    return -1;
}

ptrdiff_t ea_val_find(const struct ea_val *map, struct ea_str key)
{
    uint32_t i;

    if (map == NULL)
        return -1;
    map = ea_val_force(map);
    if (map->type != EA_V_MAP)
        return -1;
    if (key.p == NULL)
        key.p = "";
    if (map->flags & EA_VF_INDEXED)
        return find_indexed(map, key);
    for (i = 0; i < map->n; i++) {
        if (key_is(&map->members[i].key, key))
            return (ptrdiff_t)i;
    }
    return -1;
}

const struct ea_val *ea_val_get(const struct ea_val *v, struct ea_str key)
{
    ptrdiff_t i = ea_val_find(v, key);

    return i < 0 ? NULL : ea_val_force(&ea_val_force(v)->members[i].val);
}

const struct ea_val *ea_val_at(const struct ea_val *v, size_t i)
{
    if (v == NULL)
        return NULL;
    v = ea_val_force(v);
    return v->type == EA_V_LIST && i < v->n ? ea_val_force(&v->items[i]) : NULL;
}

const struct ea_val *ea_val_path(const struct ea_val *v, const char *dotted)
{
    struct ea_str rest = ea_str(dotted);

    while (v && rest.p)
        v = ea_val_get(v, ea_str_cut(rest, '.', &rest));
    return v;
}

static struct ea_str text_of(const struct ea_val *v)
{
    return ea_val_is(v, EA_V_STRING) ? ea_val_text(v) : EA_STR_NULL;
}

struct ea_str ea_val_get_str(const struct ea_val *v, const char *key)
{
    return text_of(ea_val_get(v, ea_str(key)));
}

struct ea_str ea_val_path_str(const struct ea_val *v, const char *dotted)
{
    return text_of(ea_val_path(v, dotted));
}

bool ea_val_get_bool(const struct ea_val *v, const char *key, bool dflt)
{
    const struct ea_val *m = ea_val_get(v, ea_str(key));

    return ea_val_is(m, EA_V_BOOL) ? m->b : dflt;
}

int64_t ea_val_get_int(const struct ea_val *v, const char *key, int64_t dflt)
{
    const struct ea_val *m = ea_val_get(v, ea_str(key));

    return ea_val_is(m, EA_V_INT) ? m->i : dflt;
}

/* ---- equality ---- */

/* Parsers stop at EA_MAX_DEPTH; a tree made by hand that is deeper than this equals nothing. */
#define EQUAL_DEPTH (8 * EA_MAX_DEPTH)

static bool equal(const struct ea_val *a, const struct ea_val *b, unsigned depth);

static bool is_number(const struct ea_val *v)
{
    return v->type == EA_V_INT || v->type == EA_V_UINT || v->type == EA_V_DOUBLE;
}

/* An integer equals a double only when the double holds exactly that integer. */
static bool int_is_double(const struct ea_val *v, double d)
{
    if (v->type == EA_V_UINT)
        return d >= 0 && d < 18446744073709551616.0 && d == (double)(uint64_t)d &&
               (uint64_t)d == v->u;
    return d >= -9223372036854775808.0 && d < 9223372036854775808.0 && d == (double)(int64_t)d &&
           (int64_t)d == v->i;
}

static bool numbers_equal(const struct ea_val *a, const struct ea_val *b)
{
    if (a->type == EA_V_DOUBLE)
        return b->type == EA_V_DOUBLE ? a->d == b->d : int_is_double(b, a->d);
    if (b->type == EA_V_DOUBLE)
        return int_is_double(a, b->d);
    return a->u == b->u && (a->type == b->type || a->i >= 0);
}

static bool maps_equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    uint32_t i;

    if (a->n != b->n)
        return false;
    for (i = 0; i < a->n; i++) {
        const struct ea_val *other = ea_val_get(b, ea_val_text(&a->members[i].key));

        if (other == NULL || !equal(&a->members[i].val, other, depth))
            return false;
    }
    return true;
}

static bool lists_equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    uint32_t i;

    if (a->n != b->n)
        return false;
    for (i = 0; i < a->n; i++) {
        if (!equal(&a->items[i], &b->items[i], depth))
            return false;
    }
    return true;
}

static bool equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    a = ea_val_force(a);
    b = ea_val_force(b);
    if (is_number(a) && is_number(b))
        return numbers_equal(a, b);
    if (a->type != b->type || depth > EQUAL_DEPTH)
        return false;
    switch (a->type) {
    case EA_V_NULL:
        return true;
    case EA_V_BOOL:
        return a->b == b->b;
    case EA_V_STRING:
        return ea_str_eq(ea_val_text(a), ea_val_text(b));
    case EA_V_LIST:
        return lists_equal(a, b, depth + 1);
    case EA_V_MAP:
        return maps_equal(a, b, depth + 1);
    default:
        return false;
    }
}

bool ea_val_equal(const struct ea_val *a, const struct ea_val *b)
{
    return equal(a, b, 0);
}

const char *ea_val_type_name(const struct ea_val *v)
{
    switch (v ? ea_val_force(v)->type : EA_V_NULL) {
    case EA_V_NULL:
        return "null";
    case EA_V_BOOL:
        return "boolean";
    case EA_V_INT:
    case EA_V_UINT:
    case EA_V_DOUBLE:
        return "number";
    case EA_V_STRING:
        return "string";
    case EA_V_LIST:
        return "list";
    case EA_V_MAP:
        return "map";
    default:
        return "other";
    }
}

static int settle(const struct ea_val *v, unsigned depth)
{
    uint32_t i;
    int rc = 0;

    if (v->type == EA_V_RAW) {
        const struct ea_raw *raw = v->ptr;

        v = ea_val_force_slow(v);
        if (raw->state != 1)
            return -E2BIG;
    }
    if (depth > EQUAL_DEPTH)
        return -E2BIG;
    for (i = 0; v->type == EA_V_MAP && i < v->n && rc == 0; i++) {
        if (v->members[i].val.type == EA_V_MAP || v->members[i].val.type == EA_V_LIST ||
            v->members[i].val.type == EA_V_RAW)
            rc = settle(&v->members[i].val, depth + 1);
    }
    for (i = 0; v->type == EA_V_LIST && i < v->n && rc == 0; i++)
        rc = settle(&v->items[i], depth + 1);
    return rc;
}

int ea_doc_settle(const struct ea_val *v)
{
    return settle(v, 0);
}
