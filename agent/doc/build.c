#include "doc/build.h"

#include "base/limits.h"
#include "doc/internal.h"

int ea_map_seal(struct ea_arena *a, const struct ea_member *m, uint32_t n, struct ea_val *ret,
                uint32_t *ret_dup)
{
    struct ea_member *copy = ea_map_alloc(a, n);
    ptrdiff_t dup = -1;
    uint32_t i, j;

    if (copy == NULL)
        return -E2BIG;
    if (n)
        memcpy(copy, m, n * sizeof *m);
    if (n > EA_MAP_LINEAR)
        dup = ea_map_index(copy, n);
    for (i = 1; n <= EA_MAP_LINEAR && i < n && dup < 0; i++) {
        for (j = 0; j < i && dup < 0; j++) {
            if (ea_str_eq(ea_val_text(&m[i].key), ea_val_text(&m[j].key)))
                dup = (ptrdiff_t)i;
        }
    }
    if (dup >= 0) {
        if (ret_dup)
            *ret_dup = (uint32_t)dup;
        return -EEXIST;
    }
    *ret = ea_val_map(copy, n);
    if (n > EA_MAP_LINEAR)
        ret->flags |= EA_VF_INDEXED;
    return 0;
}

/* Twice the room; NULL when the arena is full. */
static void *grow(struct ea_arena *a, const void *old, uint32_t n, uint32_t *size, size_t each)
{
    uint32_t want = *size ? *size * 2 : 8;
    void *p = want > EA_MAX_JSON_NODES * 2 ? NULL : ea_arena_alloc(a, want * each);

    if (p == NULL)
        return NULL;
    if (n)
        memcpy(p, old, n * each);
    *size = want;
    return p;
}

void ea_mapb_init(struct ea_mapb *b, struct ea_arena *a)
{
    *b = (struct ea_mapb){.a = a};
}

void ea_mapb_put(struct ea_mapb *b, struct ea_str key, struct ea_val v)
{
    if (b->failed)
        return;
    if (b->n == b->size) {
        struct ea_member *m = grow(b->a, b->m, b->n, &b->size, sizeof *b->m);

        if (m == NULL) {
            b->failed = -E2BIG;
            return;
        }
        b->m = m;
    }
    b->m[b->n++] = (struct ea_member){.key = ea_val_str(key), .val = v};
}

struct ea_val ea_mapb_end(struct ea_mapb *b)
{
    struct ea_val v = ea_val_null();

    if (b->failed)
        return v;
    if (b->n <= EA_MAP_LINEAR)
        return ea_val_map(b->m, b->n);
    b->failed = ea_map_seal(b->a, b->m, b->n, &v, NULL);
    /* a key that repeats is the caller's mistake, not an input's */
    EA_ASSERT(b->failed != -EEXIST);
    return v;
}

void ea_listb_init(struct ea_listb *b, struct ea_arena *a)
{
    *b = (struct ea_listb){.a = a};
}

void ea_listb_add(struct ea_listb *b, struct ea_val v)
{
    if (b->failed)
        return;
    if (b->n == b->size) {
        struct ea_val *items = grow(b->a, b->v, b->n, &b->size, sizeof *b->v);

        if (items == NULL) {
            b->failed = -E2BIG;
            return;
        }
        b->v = items;
    }
    b->v[b->n++] = v;
}

struct ea_val ea_listb_end(struct ea_listb *b)
{
    return b->failed ? ea_val_null() : ea_val_list(b->v, b->n);
}

/* ---- deep copy ---- */

#define COPY_DEPTH (8 * EA_MAX_DEPTH)

static int copy(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret, unsigned depth);

static int copy_bytes(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret)
{
    struct ea_str s = ea_arena_str(a, ea_val_text(v));

    if (s.p == NULL)
        return -E2BIG;
    *ret = *v;
    ret->s = s.p;
    return 0;
}

static int copy_list(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret, unsigned depth)
{
    struct ea_val *items = ea_arena_alloc(a, v->n * sizeof *items);
    uint32_t i;
    int rc = items ? 0 : -E2BIG;

    for (i = 0; i < v->n && rc == 0; i++)
        rc = copy(a, &v->items[i], &items[i], depth);
    *ret = *v;
    ret->items = items;
    return rc;
}

static int copy_map(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret, unsigned depth)
{
    bool indexed = v->flags & EA_VF_INDEXED;
    struct ea_member *m = indexed ? ea_map_alloc(a, v->n) : ea_arena_alloc(a, v->n * sizeof *m);
    uint32_t i;
    int rc = m ? 0 : -E2BIG;

    for (i = 0; i < v->n && rc == 0; i++) {
        rc = copy(a, &v->members[i].key, &m[i].key, depth);
        if (rc == 0)
            rc = copy(a, &v->members[i].val, &m[i].val, depth);
    }
    if (rc == 0 && indexed)
        EA_ASSERT(ea_map_index(m, v->n) < 0);
    *ret = *v;
    ret->members = m;
    return rc;
}

static int copy(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret, unsigned depth)
{
    if (depth > COPY_DEPTH)
        return -E2BIG;
    if (v->type == EA_V_RAW) {
        const struct ea_raw *raw = v->ptr;

        v = ea_val_force_slow(v);
        if (raw->state != 1)
            return -E2BIG;
    }
    switch (v->type) {
    case EA_V_STRING:
    case EA_V_BYTES:
        return copy_bytes(a, v, ret);
    case EA_V_LIST:
        return copy_list(a, v, ret, depth + 1);
    case EA_V_MAP:
        return copy_map(a, v, ret, depth + 1);
    default:
        *ret = *v;
        return 0;
    }
}

int ea_val_copy(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret)
{
    return copy(a, v, ret, 0);
}
