/* Lists: Kubernetes' own (pkg/cel/library/lists.go) and cel-go's extension, version 3; sets
 * (ext/sets.go). */
#include "cel/lib.h"

static int is_sorted(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    uint32_t i;
    int c;

    if (args[0].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(true);
    for (i = 1; i < args[0].n; i++) {
        if (ea_cel_compare(ea_val_force(&args[0].items[i - 1]), ea_val_force(&args[0].items[i]),
                           &c))
            return EA_CEL_NO_OVERLOAD;
        if (c > 0)
            *ret = ea_val_bool(false);
    }
    return 0;
}

static int add(struct ea_cel_ctx *cx, struct ea_val *total, const struct ea_val *v)
{
    const char *why;

    if (total->type != v->type)
        return EA_CEL_NO_OVERLOAD;
    switch (v->type) {
    case EA_V_INT:
        return __builtin_add_overflow(total->i, v->i, &total->i)
                   ? ea_cel_raise(cx, "integer overflow")
                   : 0;
    case EA_V_UINT:
        return __builtin_add_overflow(total->u, v->u, &total->u)
                   ? ea_cel_raise(cx, "unsigned integer overflow")
                   : 0;
    case EA_V_DOUBLE:
        total->d += v->d;
        return 0;
    case EA_V_DURATION:
        why = ea_cel_time_arith(false, total, v, total);
        return why ? ea_cel_raise(cx, "%s", why) : 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

static int sum(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    uint32_t i;
    int rc = 0;

    if (args[0].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_int(0);
    for (i = 0; i < args[0].n && rc == 0; i++) {
        const struct ea_val *v = ea_val_force(&args[0].items[i]);

        if (i == 0) {
            *ret = *v;
            rc = v->type == EA_V_INT || v->type == EA_V_UINT || v->type == EA_V_DOUBLE ||
                         v->type == EA_V_DURATION
                     ? 0
                     : EA_CEL_NO_OVERLOAD;
        } else {
            rc = add(cx, ret, v);
        }
    }
    return rc;
}

static int extreme(struct ea_cel_ctx *cx, const struct ea_val *list, int sign, struct ea_val *ret)
{
    uint32_t i;
    int c;

    if (list->type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    if (list->n == 0)
        return ea_cel_raise(cx, "%s called on empty list", sign < 0 ? "min" : "max");
    *ret = *ea_val_force(&list->items[0]);
    for (i = 0; i < list->n; i++) {
        const struct ea_val *v = ea_val_force(&list->items[i]);

        if (ea_cel_compare(v, ret, &c))
            return EA_CEL_NO_OVERLOAD;
        if (c != 2 && c * sign > 0)
            *ret = *v;
    }
    return 0;
}

static int min(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return extreme(cx, &args[0], -1, ret);
}

static int max(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return extreme(cx, &args[0], 1, ret);
}

/* ---- version 3 of the extension: 1.34 ---- */

static int slice(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    int64_t from = args[1].i, to = args[2].i;

    if (args[0].type != EA_V_LIST || args[1].type != EA_V_INT || args[2].type != EA_V_INT)
        return EA_CEL_NO_OVERLOAD;
    if (from < 0 || to < 0)
        return ea_cel_raise(cx, "cannot slice(%lld, %lld), negative indexes not supported",
                            (long long)from, (long long)to);
    if (from > to)
        return ea_cel_raise(
            cx, "cannot slice(%lld, %lld), start index must be less than or equal to end index",
            (long long)from, (long long)to);
    if (to > (int64_t)args[0].n)
        return ea_cel_raise(cx, "cannot slice(%lld, %lld), list is length %u", (long long)from,
                            (long long)to, args[0].n);
    *ret = ea_val_list(args[0].items + from, (uint32_t)(to - from));
    return 0;
}

/* A list that grows in the arena. */
struct grow {
    struct ea_cel_ctx *cx;
    struct ea_val *v;
    uint32_t n, size;
};

static int push(struct grow *g, const struct ea_val *v)
{
    if (g->n == g->size) {
        uint32_t size = g->size ? g->size * 2 : 16;
        struct ea_val *p = ea_arena_alloc(g->cx->arena, (size_t)size * sizeof *p);

        if (p == NULL)
            return EA_CEL_FULL;
        if (g->n)
            memcpy(p, g->v, g->n * sizeof *p);
        g->v = p;
        g->size = size;
    }
    g->v[g->n++] = *v;
    return 0;
}

static int flatten_into(struct grow *g, const struct ea_val *list, int64_t depth)
{
    uint32_t i;
    int rc = 0;

    for (i = 0; i < list->n && rc == 0; i++) {
        const struct ea_val *v = ea_val_force(&list->items[i]);

        rc = v->type == EA_V_LIST && depth > 0 ? flatten_into(g, v, depth - 1) : push(g, v);
    }
    return rc;
}

static int flatten(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct grow g = {.cx = cx};
    int64_t depth = n > 1 ? args[1].i : 1;
    int rc;

    if (args[0].type != EA_V_LIST || (n > 1 && args[1].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    if (depth < 0)
        return ea_cel_raise(cx, "level must be non-negative");
    rc = flatten_into(&g, &args[0], EA_MIN(depth, 256));
    *ret = ea_val_list(g.v, g.n);
    return rc;
}

/* Charged as every element with every other, before it starts. */
static bool over(struct ea_cel_ctx *cx, uint64_t n)
{
    return n > cx->limit || *cx->cost + 2 * n * n > cx->limit;
}

static int distinct(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    struct grow g = {.cx = cx};
    uint32_t i;
    int rc = 0;

    if (args[0].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = args[0];
    if (over(cx, args[0].n))
        return 0; /* the machine ends the evaluation */
    for (i = 0; i < args[0].n && rc == 0; i++) {
        const struct ea_val *v = ea_val_force(&args[0].items[i]);
        struct ea_val seen = ea_val_list(g.v, g.n);

        if (!ea_cel_list_has(&seen, v))
            rc = push(&g, v);
    }
    *ret = ea_val_list(g.v, g.n);
    return rc;
}

static int by_order(const struct ea_val *x, const struct ea_val *y)
{
    int c = 0;

    return ea_cel_compare(x, y, &c) || c == 2 ? 0 : c;
}

/* Positions in the order of the keys: merge sort, bottom up, stable, without recursion. */
static void merge_sort(const struct ea_val *keys, uint32_t *v, uint32_t *half, uint32_t n)
{
    uint64_t width, from;

    for (width = 1; width < n; width *= 2) {
        for (from = 0; from < n; from += 2 * width) {
            uint64_t mid = EA_MIN(from + width, (uint64_t)n),
                     to = EA_MIN(from + 2 * width, (uint64_t)n), a = from, b = mid, i;

            for (i = from; i < to; i++)
                half[i] = b >= to || (a < mid && by_order(&keys[v[a]], &keys[v[b]]) <= 0) ? v[a++]
                                                                                          : v[b++];
        }
        memcpy(v, half, n * sizeof *v);
    }
}

int ea_cel_sort_by(struct ea_cel_ctx *cx, const struct ea_val *list, const struct ea_val *keys,
                   struct ea_val *ret)
{
    uint32_t *order, i, n = list->n;
    struct ea_val *v;
    int c;

    *ret = *list;
    if (list->type != EA_V_LIST || keys->type != EA_V_LIST)
        return ea_cel_raise(cx, "no such overload: sort(%s)", ea_cel_value_type(list));
    if (keys->n != n)
        return ea_cel_raise(cx, "sort: %u elements, but %u keys", n, keys->n);
    if (over(cx, n) || n == 0)
        return 0;
    order = ea_arena_alloc(cx->arena, (size_t)n * 2 * sizeof *order);
    v = ea_arena_alloc(cx->arena, (size_t)n * 2 * sizeof *v);
    if (order == NULL || v == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < n; i++) {
        order[i] = i;
        v[n + i] = *ea_val_force(&keys->items[i]);
        if (v[n + i].type != v[n].type)
            return ea_cel_raise(cx, "list elements must have the same type");
        if (ea_cel_compare(&v[n], &v[n + i], &c))
            return ea_cel_raise(cx, "list elements must be comparable");
    }
    merge_sort(v + n, order, order + n, n);
    for (i = 0; i < n; i++)
        v[i] = *ea_val_force(&list->items[order[i]]);
    *ret = ea_val_list(v, n);
    return 0;
}

static int sort(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return args[0].type == EA_V_LIST ? ea_cel_sort_by(cx, &args[0], &args[0], ret)
                                     : EA_CEL_NO_OVERLOAD;
}

static int includes(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    *ret = ea_val_bool(args[0].type == EA_V_LIST ? ea_cel_list_has(&args[0], &args[1])
                                                 : ea_cel_equal(&args[0], &args[1]));
    return 0;
}

static int lists_range(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    struct ea_val *v;
    int64_t i, count = args[0].i;

    if (args[0].type != EA_V_INT)
        return EA_CEL_NO_OVERLOAD;
    if (count < 0)
        return ea_cel_raise(cx, "lists.range: size must be non-negative, got %lld",
                            (long long)count);
    if (count > 10000000)
        return ea_cel_raise(cx, "lists.range: size %lld exceeds maximum allowed (10000000)",
                            (long long)count);
    v = ea_arena_alloc(cx->arena, (size_t)count * sizeof *v);
    for (i = 0; v && i < count; i++)
        v[i] = ea_val_int(i);
    *ret = ea_val_list(v, (uint32_t)count);
    return v ? 0 : EA_CEL_FULL;
}

/* ---- sets ---- */

static bool contains_all(const struct ea_val *list, const struct ea_val *of)
{
    uint32_t i;

    for (i = 0; i < of->n; i++) {
        if (!ea_cel_list_has(list, ea_val_force(&of->items[i])))
            return false;
    }
    return true;
}

static bool over_budget(struct ea_cel_ctx *cx, const struct ea_val *args)
{
    /* what the call is charged is known before it starts */
    return *cx->cost + (uint64_t)args[0].n * args[1].n > cx->limit;
}

static int sets_contains(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                         struct ea_val *ret)
{
    if (args[0].type != EA_V_LIST || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(!over_budget(cx, args) && contains_all(&args[0], &args[1]));
    return 0;
}

static int sets_equivalent(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                           struct ea_val *ret)
{
    if (args[0].type != EA_V_LIST || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(!over_budget(cx, args) && contains_all(&args[0], &args[1]) &&
                       contains_all(&args[1], &args[0]));
    return 0;
}

static int sets_intersects(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                           struct ea_val *ret)
{
    uint32_t i;

    if (args[0].type != EA_V_LIST || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(false);
    for (i = 0; !over_budget(cx, args) && i < args[1].n && !ret->b; i++)
        ret->b = ea_cel_list_has(&args[0], ea_val_force(&args[1].items[i]));
    return 0;
}

#define COMPARABLE(result)                                                                         \
    "j.:" result " v.:" result " k.:" result " B.:" result " K.:" result " M.:" result             \
    " L.:" result " Y.:" result

const struct ea_cel_fn ea_cel_lib_lists[] = {
    EA_FN("isSorted", COMPARABLE("b"), is_sorted, 0, EA_COST_TRAVERSE),
    EA_FN("sum", "j.:i v.:u k.:d K.:D", sum, 0, EA_COST_TRAVERSE),
    EA_FN("min", COMPARABLE("e"), min, 0, EA_COST_TRAVERSE),
    EA_FN("max", COMPARABLE("e"), max, 0, EA_COST_TRAVERSE),
    EA_FN("includes", "*.*:b", includes, 37, EA_COST_TRAVERSE),
    EA_FN("slice", "l.ii:X", slice, 34, EA_COST_LIST),
    EA_FN("flatten", "q.:E l.i:l", flatten, 34, EA_COST_FLATTEN),
    EA_FN("distinct", "l.:X", distinct, 34, EA_COST_COMPARE),
    EA_FN("sort", COMPARABLE("X"), sort, 34, EA_COST_COMPARE),
    EA_FN("lists.range", "i:j", lists_range, 34, EA_COST_LIST),
    EA_FN_END,
};

const struct ea_cel_fn ea_cel_lib_sets[] = {
    EA_FN("sets.contains", "lz:b", sets_contains, 29, EA_COST_SETS),
    EA_FN("sets.equivalent", "lz:b", sets_equivalent, 29, EA_COST_SETS_TWICE),
    EA_FN("sets.intersects", "lz:b", sets_intersects, 29, EA_COST_SETS),
    EA_FN_END,
};
