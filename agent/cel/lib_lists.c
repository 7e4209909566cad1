/* Lists: Kubernetes' own (pkg/cel/library/lists.go) and cel-go's extension, version 3; sets (ext/sets.go). */
#include <stdlib.h>

#include "cel/lib.h"

static int is_sorted(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    uint32_t i;
    int c;

    if (args[0].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(true);
    for (i = 1; i < args[0].n; i++) {
        if (ea_cel_compare(ea_val_force(&args[0].items[i - 1]), ea_val_force(&args[0].items[i]), &c))
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
        return __builtin_add_overflow(total->i, v->i, &total->i) ? ea_cel_raise(cx, "integer overflow") : 0;
    case EA_V_UINT:
        return __builtin_add_overflow(total->u, v->u, &total->u) ? ea_cel_raise(cx, "unsigned integer overflow") : 0;
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
            rc = v->type == EA_V_INT || v->type == EA_V_UINT || v->type == EA_V_DOUBLE || v->type == EA_V_DURATION ? 0 : EA_CEL_NO_OVERLOAD;
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
        return ea_cel_raise(cx, "cannot slice(%lld, %lld), negative indexes not supported", (long long)from, (long long)to);
    if (from > to)
        return ea_cel_raise(cx, "cannot slice(%lld, %lld), start index must be less than or equal to end index", (long long)from, (long long)to);
    if (to > (int64_t)args[0].n)
        return ea_cel_raise(cx, "cannot slice(%lld, %lld), list is length %u", (long long)from, (long long)to, args[0].n);
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

static int distinct(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct grow g = {.cx = cx};
    uint32_t i;
    int rc = 0;

    if (args[0].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *cx->cost += (uint64_t)args[0].n * args[0].n / 2;
    if (*cx->cost > cx->limit)
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

static int by_order(const void *x, const void *y)
{
    int c = 0;

    return ea_cel_compare(x, y, &c) || c == 2 ? 0 : c;
}

static int sort(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_val *v, *half;
    uint32_t i, width, from;
    int c;

    if (args[0].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    v = ea_arena_alloc(cx->arena, args[0].n * sizeof *v);
    half = ea_arena_alloc(cx->arena, args[0].n * sizeof *v);
    if (v == NULL || half == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < args[0].n; i++) {
        v[i] = *ea_val_force(&args[0].items[i]);
        if (ea_cel_compare(&v[0], &v[i], &c) || v[i].type != v[0].type)
            return ea_cel_raise(cx, "list elements must have the same type and be comparable");
    }
    /* merge sort, bottom up: stable, no recursion */
    for (width = 1; width < args[0].n; width *= 2) {
        for (from = 0; from < args[0].n; from += 2 * width) {
            uint32_t mid = EA_MIN(from + width, args[0].n), to = EA_MIN(from + 2 * width, args[0].n), a = from, b = mid;

            for (i = from; i < to; i++)
                half[i] = b >= to || (a < mid && by_order(&v[a], &v[b]) <= 0) ? v[a++] : v[b++];
        }
        memcpy(v, half, args[0].n * sizeof *v);
    }
    *ret = ea_val_list(v, args[0].n);
    return 0;
}

static int lists_range(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_val *v;
    int64_t i, count = args[0].i;

    if (args[0].type != EA_V_INT)
        return EA_CEL_NO_OVERLOAD;
    if (count < 0)
        count = 0;
    *cx->cost += (uint64_t)count;
    *ret = ea_val_list(NULL, 0);
    if (*cx->cost > cx->limit)
        return 0; /* the machine ends the evaluation */
    v = ea_arena_alloc(cx->arena, (size_t)count * sizeof *v);
    for (i = 0; v && i < count; i++)
        v[i] = ea_val_int(i);
    *ret = ea_val_list(v, (uint32_t)count);
    return v ? 0 : EA_CEL_FULL;
}

static int first_last(struct ea_cel_ctx *cx, const struct ea_val *list, bool last, struct ea_val *ret)
{
    if (list->type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_cel_optional(list->n ? ea_val_force(&list->items[last ? list->n - 1 : 0]) : NULL);
    return 0;
}

static int first(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return first_last(cx, &args[0], false, ret);
}

static int last(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return first_last(cx, &args[0], true, ret);
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

static int sets_contains(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    if (args[0].type != EA_V_LIST || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(!over_budget(cx, args) && contains_all(&args[0], &args[1]));
    return 0;
}

static int sets_equivalent(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    if (args[0].type != EA_V_LIST || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(!over_budget(cx, args) && contains_all(&args[0], &args[1]) && contains_all(&args[1], &args[0]));
    return 0;
}

static int sets_intersects(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    uint32_t i;

    if (args[0].type != EA_V_LIST || args[1].type != EA_V_LIST)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(false);
    for (i = 0; !over_budget(cx, args) && i < args[1].n && !ret->b; i++)
        ret->b = ea_cel_list_has(&args[0], ea_val_force(&args[1].items[i]));
    return 0;
}

const struct ea_cel_fn ea_cel_lib_lists[] = {
    EA_FN("isSorted", "l.:b", is_sorted, 0, EA_COST_TRAVERSE),
    EA_FN("sum", "l.:E", sum, 0, EA_COST_TRAVERSE),
    EA_FN("min", "l.:E", min, 0, EA_COST_TRAVERSE),
    EA_FN("max", "l.:E", max, 0, EA_COST_TRAVERSE),
    EA_FN("slice", "l.ii:X", slice, 34, EA_COST_ONE),
    EA_FN("flatten", "l.:l l.i:l", flatten, 34, EA_COST_FLATTEN),
    EA_FN("distinct", "l.:X", distinct, 34, EA_COST_SIZE_ARG),
    EA_FN("sort", "l.:X", sort, 34, EA_COST_SIZE_ARG),
    EA_FN("lists.range", "i:l", lists_range, 34, EA_COST_ONE),
    EA_FN("first", "l.:W@255", first, EA_NOT_KUBERNETES, EA_COST_ONE),
    EA_FN("last", "l.:W@255", last, EA_NOT_KUBERNETES, EA_COST_ONE),
    EA_FN_END,
};

const struct ea_cel_fn ea_cel_lib_sets[] = {
    EA_FN("sets.contains", "ll:b", sets_contains, 29, EA_COST_SETS),
    EA_FN("sets.equivalent", "ll:b", sets_equivalent, 29, EA_COST_SETS),
    EA_FN("sets.intersects", "ll:b", sets_intersects, 29, EA_COST_SETS),
    EA_FN_END,
};
