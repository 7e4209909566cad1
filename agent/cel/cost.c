/* Charges of calls, as cel-go (interpreter/runtimecost.go) and the API server
 * (pkg/cel/library/cost.go) count them. */
#include "cel/lib.h"
#include "cel/vm.h"

/* A tenth, rounded up: what a string's traversal costs. */
static uint64_t tenth(uint64_t n)
{
    return (n + 9) / 10;
}

/* The call and the list that it makes. */
#define NEW_LIST 11u

uint64_t ea_cel_cost_self_compare(const struct ea_val *list)
{
    uint64_t n = ea_cel_size(list);
    bool texts = list->type == EA_V_LIST && n > 0 &&
                 (ea_val_force(&list->items[0])->type == EA_V_STRING ||
                  ea_val_force(&list->items[0])->type == EA_V_BYTES);

    return NEW_LIST + 2 * n * n + (texts ? n * n / 10 : 0);
}

uint64_t ea_cel_cost_equal(const struct ea_val *a, const struct ea_val *b)
{
    bool texts = a->type == EA_V_STRING || b->type == EA_V_STRING;
    uint32_t least = EA_MIN(a->n, b->n);

    /* up to ten bytes of text are at most ten code points: no need to count them */
    if (a->type == EA_V_STRING && b->type == EA_V_STRING && least <= 10)
        return least != 0;
    if (!texts && a->type < EA_V_STRING && b->type < EA_V_STRING)
        return 1;
    if (a->type == EA_V_OPTIONAL && a->opt)
        return ea_cel_cost_equal(ea_val_force(a->opt), b);
    if (b->type == EA_V_OPTIONAL && b->opt)
        return ea_cel_cost_equal(a, ea_val_force(b->opt));
    return tenth(EA_MIN(ea_cel_size(a), ea_cel_size(b)));
}

uint64_t ea_cel_cost_concat(const struct ea_val *a, const struct ea_val *b)
{
    return tenth(ea_cel_size(a) + ea_cel_size(b));
}

uint64_t ea_cel_cost_matches(const struct ea_val *text, const struct ea_val *pattern)
{
    return tenth(1 + ea_cel_size(text)) * ((ea_cel_size(pattern) + 3) / 4);
}

static uint64_t traverse(const struct ea_val *v, unsigned depth)
{
    uint64_t cost = 0;
    uint32_t i;

    v = ea_val_force(v);
    switch (v->type) {
    case EA_V_STRING:
    case EA_V_BYTES:
        return v->n / 10;
    case EA_V_LIST:
        for (i = 0; i < v->n && depth < 64; i++)
            cost += traverse(&v->items[i], depth + 1);
        return cost;
    case EA_V_MAP:
        for (i = 0; i < v->n && depth < 64; i++)
            cost +=
                traverse(&v->members[i].key, depth + 1) + traverse(&v->members[i].val, depth + 1);
        return cost;
    default:
        return 1;
    }
}

/* Bytes of an address or a range, for comparisons. */
static uint64_t address_size(const struct ea_val *v)
{
    return v->type == EA_V_OPAQUE ? 4 : ea_cel_size(v);
}

static uint64_t contains_range(const struct ea_val *args, bool cidr)
{
    uint64_t cost = tenth(2 * address_size(&args[0]));

    if (cidr)
        cost += tenth(address_size(&args[0])) + 1;
    return cost + (args[1].type == EA_V_STRING ? tenth(ea_cel_size(&args[1])) : 0);
}

/* Charges that depend on two arguments. */
static uint64_t cost_of_two(enum ea_cel_cost kind, const struct ea_val *args)
{
    switch (kind) {
    case EA_COST_ARG2:
        return tenth(ea_cel_size(&args[1]));
    case EA_COST_REGEX:
        return ea_cel_cost_matches(&args[0], &args[1]);
    case EA_COST_CONTAINS:
        return tenth(ea_cel_size(&args[0])) * tenth(ea_cel_size(&args[1]));
    case EA_COST_SETS:
    case EA_COST_SETS_TWICE:
        return ea_cel_size(&args[0]) * ea_cel_size(&args[1]) * (kind == EA_COST_SETS ? 1 : 2) + 1;
    case EA_COST_CONTAINS_IP:
    case EA_COST_CONTAINS_CIDR:
        return contains_range(args, kind == EA_COST_CONTAINS_CIDR);
    case EA_COST_VALIDATE:
        return tenth(1 + ea_cel_size(&args[1])) * ea_cel_format_weight(&args[0]);
    default:
        return 1;
    }
}

static uint64_t cost_of_flatten(const struct ea_val *args, unsigned n)
{
    uint64_t depth = n > 1 && args[1].type == EA_V_INT && args[1].i >= 0 ? (uint64_t)args[1].i : 1;

    return NEW_LIST + ea_cel_size(&args[0]) * EA_MIN(depth, 1000u);
}

uint64_t ea_cel_call_cost(const struct ea_cel_fn *fn, const struct ea_val *args, unsigned n,
                          const struct ea_val *ret)
{
    if (n == 0)
        return 1;
    switch ((enum ea_cel_cost)fn->cost) {
    case EA_COST_ARG:
        return tenth(ea_cel_size(&args[0]));
    case EA_COST_ARG_TWICE:
        return (ea_cel_size(&args[0]) * 2 + 9) / 10;
    case EA_COST_RESULT_TWICE:
        return ret->type == EA_V_STRING ? (ea_cel_size(ret) * 2 + 9) / 10 : 1;
    case EA_COST_TRAVERSE:
        return traverse(&args[0], 0);
    case EA_COST_LIST:
        return NEW_LIST + (ret->type == EA_V_LIST ? ret->n : 1);
    case EA_COST_FLATTEN:
        return cost_of_flatten(args, n);
    case EA_COST_COMPARE:
        return ea_cel_cost_self_compare(&args[0]);
    case EA_COST_CONVERT:
        if (ret->type == args[0].type ||
            (args[0].type != EA_V_BYTES && args[0].type != EA_V_STRING))
            return 1;
        return tenth(ea_cel_size(&args[0]));
    default:
        return n > 1 ? cost_of_two((enum ea_cel_cost)fn->cost, args) : 1;
    }
}
