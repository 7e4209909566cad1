/* From the tree to bytecode: one pass, a region for every operand whose error may be absorbed,
 * jumps patched as they are known. */
#include <stdio.h>

#include "base/limits.h"
#include "cel/ast.h"
#include "cel/prog.h"
#include "cel/regex.h"
#include "cel/value.h"

struct code {
    struct ea_cel_unit *u;
    struct ea_cel_ins *ins;
    uint32_t *pos;
    uint8_t *calls;
    uint32_t n, size;
    struct ea_val *consts;
    uint32_t n_consts, consts_size;
    struct ea_cel_region *regions;
    uint32_t n_regions, regions_size;
    const struct ea_cel_fn **fns;
    uint32_t n_fns, fns_size;
    const struct ea_cel_regex **regexes;
    uint32_t n_regexes, regexes_size;
    uint16_t *reads;
    uint32_t n_reads, reads_size;
    uint32_t depth, depth_max;
    uint32_t n_locals;
    int32_t loop; /* first frame index of the innermost loop, or -1 */
    uint32_t in_calls;
};

static bool gen(struct code *c, const struct ea_cel_node *n);

static bool full(struct code *c, uint32_t pos)
{
    ea_cel_fail(c->u, EA_CEL_E_PARSE, -E2BIG, pos, "program too large");
    return false;
}

/* Room for one more in a growing array of the arena. */
static bool room(struct code *c, void *array, uint32_t n, uint32_t *size, size_t each)
{
    void **pp = array;
    void *p;
    uint32_t want = *size ? *size * 2 : 16;

    if (n < *size)
        return true;
    p = ea_arena_alloc(c->u->a, want * each);
    if (p == NULL)
        return full(c, 0);
    if (n)
        memcpy(p, *pp, n * each);
    *pp = p;
    *size = want;
    return true;
}

/* Appends one instruction and notes what it does to the depth of the stack. */
static bool emit(struct code *c, const struct ea_cel_node *at, enum ea_cel_op op, unsigned a,
                 unsigned b, int32_t arg, int delta)
{
    uint32_t size_pos = c->size, size_calls = size_pos;

    if (c->n >= EA_MAX_CEL_CODE) {
        ea_cel_fail(c->u, EA_CEL_E_PARSE, -E2BIG, at->pos,
                    "program too large (more than %u instructions)", EA_MAX_CEL_CODE);
        return false;
    }
    if (!room(c, &c->ins, c->n, &c->size, sizeof *c->ins) ||
        !room(c, &c->pos, c->n, &size_pos, sizeof *c->pos) ||
        !room(c, &c->calls, c->n, &size_calls, sizeof *c->calls))
        return false;
    c->ins[c->n] =
        (struct ea_cel_ins){.op = (uint8_t)op, .a = (uint8_t)a, .b = (uint16_t)b, .c = arg};
    c->calls[c->n] = (uint8_t)EA_MIN(c->in_calls, 255u);
    c->pos[c->n++] = at->pos;
    c->depth = (uint32_t)((int)c->depth + delta);
    c->depth_max = EA_MAX(c->depth_max, c->depth);
    return true;
}

static int32_t constant(struct code *c, struct ea_val v)
{
    uint32_t i;

    for (i = 0; v.type == EA_V_STRING && i < c->n_consts; i++) {
        if (c->consts[i].type == EA_V_STRING &&
            ea_str_eq(ea_val_text(&c->consts[i]), ea_val_text(&v)))
            return (int32_t)i;
    }
    if (!room(c, &c->consts, c->n_consts, &c->consts_size, sizeof *c->consts))
        return -1;
    c->consts[c->n_consts] = v;
    return (int32_t)c->n_consts++;
}

static bool emit_const(struct code *c, const struct ea_cel_node *at, struct ea_val v)
{
    int32_t i = constant(c, v);

    return i >= 0 && emit(c, at, EA_I_CONST, 0, 0, i, 1);
}

static void patch(struct code *c, uint32_t at)
{
    c->ins[at].c = (int32_t)c->n;
}

/* Errors of [start, now) continue here, above `depth` values. */
static bool region(struct code *c, uint32_t start, uint32_t depth)
{
    if (start == c->n)
        return true;
    if (!room(c, &c->regions, c->n_regions, &c->regions_size, sizeof *c->regions))
        return false;
    c->regions[c->n_regions++] = (struct ea_cel_region){
        .start = start, .end = c->n, .target = c->n, .depth = depth, .loop = c->loop};
    return true;
}

static bool gen_guarded(struct code *c, const struct ea_cel_node *n)
{
    uint32_t start = c->n, depth = c->depth, calls = c->in_calls;
    bool ok;

    c->in_calls = 0;
    ok = gen(c, n) && region(c, start, depth);
    c->in_calls = calls;
    return ok;
}

/* ---- constants known at compile time ---- */

static bool fold(struct code *c, const struct ea_cel_node *n, struct ea_val *ret);

static bool fold_list(struct code *c, const struct ea_cel_node *n, struct ea_val *ret)
{
    struct ea_val *items;
    uint32_t i;

    for (i = 0; i < n->n; i++) {
        if ((n->args[i]->flags & EA_NF_ENTRY) || n->args[i]->kind > EA_N_MAP)
            return false;
    }
    items = ea_arena_alloc(c->u->a, n->n * sizeof *items);
    for (i = 0; items && i < n->n; i++) {
        if (!fold(c, n->args[i], &items[i]))
            return false;
    }
    *ret = ea_val_list(items, n->n);
    return items != NULL;
}

static bool fold_map(struct code *c, const struct ea_cel_node *n, struct ea_val *ret)
{
    struct ea_cel_mapb b;
    struct ea_val k, v, *old;
    uint32_t i;

    if (ea_cel_mapb_init(&b, c->u->a, n->n / 2))
        return false;
    for (i = 0; i < n->n; i += 2) {
        if ((n->args[i]->flags & EA_NF_ENTRY) || !fold(c, n->args[i], &k) ||
            !fold(c, n->args[i + 1], &v))
            return false;
        if (!c->u->k8s && k.type != EA_V_STRING && k.type != EA_V_INT && k.type != EA_V_UINT &&
            k.type != EA_V_BOOL)
            return false;
        if (ea_cel_mapb_add(&b, &k, &v, &old)) {
            if (!c->u->k8s)
                return false; /* a repeated key is for the machine to judge */
            *old = v;
        }
    }
    *ret = ea_cel_mapb_end(&b);
    return true;
}

/* Conversions of constants are computed now (cel-go: OptOptimize); one that fails makes the program
 * bad in Kubernetes, and an error at run time elsewhere. */
static bool fold_call(struct code *c, const struct ea_cel_node *n, struct ea_val *ret)
{
    static const char *const conversions[] = {"int",  "uint", "double", "string",   "bytes",
                                              "bool", "dyn",  "type",   "duration", "timestamp"};
    struct ea_cel_ctx cx = {.arena = c->u->a, .k8s = c->u->k8s};
    struct ea_val arg;
    size_t i;
    int rc;

    if (n->target || n->n != 1)
        return false;
    for (i = 0; i < EA_COUNT(conversions) && !ea_str_is(n->name, conversions[i]); i++)
        ;
    if (i == EA_COUNT(conversions) || n->fn == NULL || n->fn->call == NULL ||
        !fold(c, n->args[0], &arg))
        return false;
    rc = n->fn->call(&cx, &arg, 1, ret);
    if (rc == 0)
        return true;
    if (c->u->k8s && n->args[0]->kind == EA_N_LIT && i >= 8)
        ea_cel_fail(c->u, EA_CEL_E_CHECK, -EINVAL, n->args[0]->pos, "invalid %s argument",
                    conversions[i]);
    else if (c->u->k8s)
        ea_cel_fail(c->u, EA_CEL_E_CHECK, -EINVAL, n->pos, "%s",
                    cx.error ? cx.error : "no such overload");
    return false;
}

/* The value of a tree that is known now. Refusals fail the unit. */
static bool fold(struct code *c, const struct ea_cel_node *n, struct ea_val *ret)
{
    switch (n->kind) {
    case EA_N_LIT:
        *ret = n->lit;
        return true;
    case EA_N_LIST:
        return fold_list(c, n, ret);
    case EA_N_MAP:
        return fold_map(c, n, ret);
    case EA_N_CALL:
        return fold_call(c, n, ret);
    default:
        return false;
    }
}

/* ---- attributes ---- */

/* A selection on anything but a variable, another selection or a conditional costs one more
 * (cel-go: relative attribute). */
static bool gen_base(struct code *c, const struct ea_cel_node *n)
{
    bool attribute = n->kind == EA_N_VAR || n->kind == EA_N_LOCAL || n->kind == EA_N_INDEX ||
                     (n->kind == EA_N_SELECT && !(n->flags & EA_NF_HAS)) ||
                     (n->kind == EA_N_OP && n->op == EA_OP_COND);

    return gen(c, n) && (attribute || emit(c, n, EA_I_CHARGE, 0, 0, 1, 0));
}

/* A branch or a key that is an attribute itself is not charged for its variable: it is one
 * attribute with what stands around it (cel-go). */
static bool gen_branch(struct code *c, const struct ea_cel_node *n)
{
    const struct ea_cel_node *base = n;

    while ((base->kind == EA_N_SELECT && !(base->flags & EA_NF_HAS)) || base->kind == EA_N_INDEX)
        base = base->target;
    if (!gen(c, n))
        return false;
    if ((base == n && n->kind != EA_N_VAR && n->kind != EA_N_LOCAL) ||
        (base->kind == EA_N_OP && base->op == EA_OP_COND))
        return true;
    return emit(c, n, EA_I_CHARGE, 0, 0, -1, 0);
}

static bool gen_select(struct code *c, const struct ea_cel_node *n)
{
    enum ea_cel_op op = n->flags & EA_NF_HAS        ? EA_I_HAS
                        : n->flags & EA_NF_OPTIONAL ? EA_I_SELECT_OPT
                                                    : EA_I_SELECT;
    int32_t key;

    if (!gen_base(c, n->target))
        return false;
    key = constant(c, ea_val_str(n->name));
    return key >= 0 && emit(c, n, op, 0, 0, key, 0);
}

static bool gen_index(struct code *c, const struct ea_cel_node *n)
{
    struct ea_val key;

    /* cel-go makes a qualifier of a constant key when it plans, and has none for other types */
    if (c->u->k8s && fold(c, n->args[0], &key) && key.type != EA_V_STRING && key.type != EA_V_INT &&
        key.type != EA_V_UINT && key.type != EA_V_BOOL && key.type != EA_V_DOUBLE) {
        ea_cel_fail(c->u, EA_CEL_E_CHECK, -EINVAL, n->args[0]->pos, "invalid qualifier type: %s",
                    ea_cel_value_type(&key));
        return false;
    }
    return gen_base(c, n->target) && gen_branch(c, n->args[0]) &&
           emit(c, n, n->flags & EA_NF_OPTIONAL ? EA_I_INDEX_OPT : EA_I_INDEX, 0, 0, 0, -1);
}

static bool gen_var(struct code *c, const struct ea_cel_node *n)
{
    struct ea_str name = c->u->env->vars[n->slot].name;
    unsigned cost = 1;
    size_t i;

    for (i = 0; i < name.n; i++)
        cost += name.p[i] == '.';
    for (i = 0; i < c->n_reads && c->reads[i] != n->slot; i++)
        ;
    if (i == c->n_reads) {
        if (!room(c, &c->reads, c->n_reads, &c->reads_size, sizeof *c->reads))
            return false;
        c->reads[c->n_reads++] = (uint16_t)n->slot;
    }
    return emit(c, n, EA_I_VAR, 0, cost, n->slot, 1);
}

/* ---- literals ---- */

static bool bitmap(struct code *c, const struct ea_cel_node *n, uint32_t step, int32_t *ret)
{
    uint32_t i, entries = n->n / step;
    char *bits = NULL;

    *ret = -1;
    for (i = 0; i < entries; i++) {
        if (!(n->args[i * step]->flags & EA_NF_ENTRY))
            continue;
        if (bits == NULL)
            bits = ea_arena_zalloc(c->u->a, entries / 8 + 1);
        if (bits == NULL)
            return full(c, n->pos);
        bits[i / 8] = (char)(bits[i / 8] | (1 << (i % 8)));
    }
    if (bits == NULL)
        return true;
    *ret = constant(c, ea_cel_bytes(bits, entries / 8 + 1));
    return *ret >= 0;
}

static bool gen_aggregate(struct code *c, const struct ea_cel_node *n, enum ea_cel_op op,
                          uint32_t step)
{
    struct ea_val v;
    int32_t bits;
    uint32_t i;

    if (fold(c, n, &v))
        return emit_const(c, n, v);
    if (c->u->failed || n->n / step > UINT16_MAX)
        return full(c, n->pos);
    if (!bitmap(c, n, step, &bits))
        return false;
    for (i = 0; i < n->n; i++) {
        if (!gen(c, n->args[i]))
            return false;
    }
    return emit(c, n, op, bits >= 0, n->n / step, bits, 1 - (int)n->n);
}

/* ---- operators ---- */

static bool by_size(const struct ea_cel_node *n)
{
    return n->type->kind == EA_T_STRING || n->type->kind == EA_T_BYTES;
}

static bool is_constant_set(const struct ea_cel_node *n)
{
    uint32_t i;

    if (n->kind != EA_N_LIST)
        return false;
    for (i = 0; i < n->n; i++) {
        if (n->args[i]->kind != EA_N_LIT || (n->args[i]->flags & EA_NF_ENTRY) ||
            n->args[i]->lit.type == EA_V_BYTES || n->args[i]->lit.type == EA_V_NULL)
            return false;
    }
    return true;
}

static bool gen_logic(struct code *c, const struct ea_cel_node *n)
{
    bool and = n->op == EA_OP_AND;
    uint32_t jump;

    if (!gen_guarded(c, n->args[0]))
        return false;
    jump = c->n;
    if (!emit(c, n, and? EA_I_AND_LEFT : EA_I_OR_LEFT, 0, 0, 0, 0) || !gen_guarded(c, n->args[1]) ||
        !emit(c, n, and? EA_I_AND_RIGHT : EA_I_OR_RIGHT, 0, 0, 0, -1))
        return false;
    patch(c, jump);
    return true;
}

static bool gen_cond(struct code *c, const struct ea_cel_node *n)
{
    uint32_t cond, jump, local = c->n_locals++;

    if (!gen(c, n->args[0]))
        return false;
    cond = c->n;
    if (!emit(c, n, EA_I_COND, 0, local, 0, -1) || !gen_branch(c, n->args[1]))
        return false;
    jump = c->n;
    if (!emit(c, n, EA_I_JUMP, 0, 0, 0, -1))
        return false;
    patch(c, cond);
    if (!gen_branch(c, n->args[2]))
        return false;
    patch(c, jump);
    return emit(c, n, EA_I_COND_END, 0, local, 0, 0);
}

static bool gen_operator(struct code *c, const struct ea_cel_node *n)
{
    static const uint8_t ops[] = {
        [EA_OP_NOT] = EA_I_NOT, [EA_OP_NEG] = EA_I_NEG, [EA_OP_ADD] = EA_I_ADD,
        [EA_OP_SUB] = EA_I_SUB, [EA_OP_MUL] = EA_I_MUL, [EA_OP_DIV] = EA_I_DIV,
        [EA_OP_MOD] = EA_I_MOD, [EA_OP_EQ] = EA_I_EQ,   [EA_OP_NE] = EA_I_NE,
        [EA_OP_LT] = EA_I_LT,   [EA_OP_LE] = EA_I_LE,   [EA_OP_GT] = EA_I_GT,
        [EA_OP_GE] = EA_I_GE,   [EA_OP_IN] = EA_I_IN,
    };
    unsigned a = 0;
    uint32_t i;

    if (n->op == EA_OP_AND || n->op == EA_OP_OR)
        return gen_logic(c, n);
    if (n->op == EA_OP_COND)
        return gen_cond(c, n);
    if (n->op == EA_OP_IN && c->u->k8s && n->args[1]->kind == EA_N_LIST && n->args[1]->n == 0)
        return emit_const(c, n,
                          ea_val_bool(false)); /* cel-go does not even look at what is sought */
    if (n->op == EA_OP_IN)
        a = is_constant_set(n->args[1]) ? 2 : n->args[1]->type->kind == EA_T_LIST ? 1 : 0;
    else if (n->n == 2)
        a = by_size(n->args[0]) || by_size(n->args[1]);
    c->in_calls += a != 2;
    for (i = 0; i < n->n; i++) {
        if (!gen(c, n->args[i]))
            return false;
    }
    c->in_calls -= a != 2;
    return emit(c, n, (enum ea_cel_op)ops[n->op], a, 0, 0, 1 - (int)n->n);
}

/* ---- calls ---- */

/* a.?b.orValue(literal) is one instruction. */
static bool fuse_or_value(struct code *c, const struct ea_cel_node *n)
{
    const struct ea_cel_node *t = n->target, *d = n->args[0];
    int32_t key, dflt;

    if (t->kind != EA_N_SELECT || !(t->flags & EA_NF_OPTIONAL) || d->kind != EA_N_LIT ||
        !gen_base(c, t->target))
        return false;
    key = constant(c, ea_val_str(t->name));
    dflt = constant(c, d->lit);
    return key >= 0 && dflt >= 0 && key <= UINT16_MAX &&
           emit(c, t, EA_I_SELECT_OR, 0, (unsigned)key, dflt, 0);
}

static bool gen_or(struct code *c, const struct ea_cel_node *n)
{
    bool value = ea_str_is(n->fn->name, "orValue");
    uint32_t jump;

    if (value && fuse_or_value(c, n))
        return true;
    if (c->u->failed || !gen(c, n->target))
        return false;
    jump = c->n;
    if (!emit(c, n, value ? EA_I_OR_VALUE : EA_I_OR_OPT, 0, 0, 0, value ? 0 : -1) ||
        !gen(c, n->args[0]))
        return false;
    if (!emit(c, n, value ? EA_I_OR_END : EA_I_IS_OPT, 0, 0, 0, value ? -1 : 0))
        return false;
    patch(c, jump);
    return true;
}

/* matches() with a literal: the pattern is compiled once, here. */
static bool gen_matches(struct code *c, const struct ea_cel_node *n, const struct ea_cel_node *text,
                        const struct ea_cel_node *pattern)
{
    const struct ea_cel_regex *re;
    const char *why = NULL;
    int32_t k;
    int rc = ea_cel_regex_compile(c->u->a, ea_val_text(&pattern->lit), &re, &why);

    if (rc == -EINVAL && c->u->k8s) {
        ea_cel_fail(c->u, EA_CEL_E_CHECK, -EINVAL, pattern->pos,
                    "invalid matches argument: error parsing regexp: %s", why);
        return false;
    }
    if (rc) {
        /* an error at run time, where it may be absorbed */
        struct ea_str s =
            ea_arena_printf(c->u->a, "error parsing regexp: %s", why ? why : "too large");

        k = s.p ? constant(c, ea_val_str(s)) : -1;
        return k >= 0 && gen(c, text) && emit(c, n, EA_I_FAIL, 0, 0, k, 0);
    }
    k = constant(c, pattern->lit);
    if (k < 0 || k > UINT16_MAX ||
        !room(c, &c->regexes, c->n_regexes, &c->regexes_size, sizeof *c->regexes))
        return false;
    c->regexes[c->n_regexes++] = re;
    return gen(c, text) && emit(c, n, EA_I_MATCHES, 0, (unsigned)k, (int32_t)c->n_regexes - 1, 0);
}

static bool gen_args(struct code *c, const struct ea_cel_node *n)
{
    uint32_t i;

    c->in_calls++;
    if (n->target && !gen(c, n->target))
        return false;
    for (i = 0; i < n->n; i++) {
        if (!gen(c, n->args[i]))
            return false;
    }
    c->in_calls--;
    return true;
}

static bool gen_call(struct code *c, const struct ea_cel_node *n)
{
    const struct ea_cel_node *last = n->n ? n->args[n->n - 1] : NULL;
    uint32_t args = n->n + (n->target ? 1 : 0);
    struct ea_val v;

    if (n->fn->call == NULL)
        return gen_or(c, n);
    if (fold_call(c, n, &v))
        return emit_const(c, n, v);
    if (c->u->failed)
        return false;
    if (ea_str_is(n->fn->name, "matches") && args == 2 && last->kind == EA_N_LIT &&
        last->lit.type == EA_V_STRING)
        return gen_matches(c, n, n->target ? n->target : n->args[0], last);
    if (!gen_args(c, n) || !room(c, &c->fns, c->n_fns, &c->fns_size, sizeof *c->fns))
        return false;
    c->fns[c->n_fns++] = n->fn;
    return emit(c, n, EA_I_CALL, args, n->flags & EA_NF_SEVERAL ? 1 : 0, (int32_t)c->n_fns - 1,
                1 - (int)args);
}

/* ---- comprehensions ---- */

static bool gen_opt_map(struct code *c, const struct ea_cel_node *n)
{
    uint32_t jump;

    if (!emit(c, n, EA_I_MARK, 0, n->local, 0, 0) || !gen(c, n->target))
        return false;
    jump = c->n;
    if (!emit(c, n, EA_I_OPT_BIND, 0, n->local + 3u, 0, -1) ||
        !emit(c, n, EA_I_CHARGE_SINCE, 0, n->local, 0, 0) || !gen(c, n->args[0]) ||
        !emit(c, n, n->op == EA_MACRO_OPT_MAP ? EA_I_OPT_OF : EA_I_IS_OPT, 0, 0, 0, 0))
        return false;
    patch(c, jump);
    return true;
}

static bool gen_body(struct code *c, const struct ea_cel_node *n, int32_t head)
{
    const struct ea_cel_node *last = n->args[n->n - 1];

    switch (n->op) {
    case EA_MACRO_ALL:
        return gen_guarded(c, last) && emit(c, n, EA_I_ALL, 0, n->local, head, -1);
    case EA_MACRO_EXISTS:
        return gen_guarded(c, last) && emit(c, n, EA_I_EXISTS, 0, n->local, head, -1);
    case EA_MACRO_ONE:
        return gen(c, last) && emit(c, n, EA_I_ONE, 0, n->local, head, -1);
    case EA_MACRO_FILTER:
        return gen(c, last) && emit(c, n, EA_I_KEEP, 0, n->local, head, -1) &&
               emit(c, n, EA_I_COLLECT_VAR, 0, n->local, head, 0);
    default:
        if (n->n == 2 && !(gen(c, n->args[0]) && emit(c, n, EA_I_KEEP, 0, n->local, head, -1)))
            return false;
        return gen(c, last) && emit(c, n,
                                    n->op == EA_MACRO_TRANSFORM_MAP     ? EA_I_COLLECT_MAP
                                    : n->op == EA_MACRO_TRANSFORM_ENTRY ? EA_I_COLLECT_ENTRY
                                                                        : EA_I_COLLECT,
                                    0, n->local, head, -1);
    }
}

static bool gen_comp(struct code *c, const struct ea_cel_node *n)
{
    /* what one turn of the loop costs besides the predicate: its condition and the accumulator */
    unsigned turn = n->op == EA_MACRO_ALL ? 3 : n->op == EA_MACRO_EXISTS ? 4 : 0;
    int32_t outer = c->loop;
    uint32_t head;

    if (n->op >= EA_MACRO_OPT_MAP)
        return gen_opt_map(c, n);
    if (!gen(c, n->target) ||
        !emit(c, n, EA_I_ITER, n->op | (n->flags & EA_NF_TWO ? 0x80u : 0), n->local, 0, -1))
        return false;
    head = c->n;
    c->loop = n->local;
    if (!emit(c, n, EA_I_NEXT, turn, n->local, 0, 0) || !gen_body(c, n, (int32_t)head))
        return false;
    c->loop = outer;
    patch(c, head);
    return emit(c, n, EA_I_RESULT, n->op, n->local, outer, 1) &&
           (n->op != EA_MACRO_SORT_BY ||
            emit(c, n, EA_I_SORT_BY, n->args[0]->type->kind == EA_T_DYN, n->local, 0, 0));
}

static bool gen_fail(struct code *c, const struct ea_cel_node *n)
{
    int32_t k = constant(c, ea_val_str(n->name));

    return k >= 0 && emit(c, n, EA_I_FAIL, 0, 0, k, 1);
}

static bool gen(struct code *c, const struct ea_cel_node *n)
{
    EA_ASSERT(n != NULL);
    switch ((enum ea_cel_node_kind)n->kind) {
    case EA_N_LIT:
        return emit_const(c, n, n->lit);
    case EA_N_VAR:
        return gen_var(c, n);
    case EA_N_LOCAL:
        return emit(c, n, EA_I_LOCAL, 0, n->local, 0, 1);
    case EA_N_SELECT:
        return gen_select(c, n);
    case EA_N_INDEX:
        return gen_index(c, n);
    case EA_N_LIST:
        return gen_aggregate(c, n, EA_I_LIST, 1);
    case EA_N_MAP:
        return gen_aggregate(c, n, EA_I_MAP, 2);
    case EA_N_OP:
        return gen_operator(c, n);
    case EA_N_CALL:
        return gen_call(c, n);
    case EA_N_COMP:
        return gen_comp(c, n);
    default:
        return gen_fail(c, n);
    }
}

/* A jump that lands on the same kind of test with the same value goes on to where that one jumps.
 */
static void thread_jumps(struct code *c)
{
    uint32_t i;

    for (i = c->n; i-- > 0;) {
        struct ea_cel_ins *in = &c->ins[i];

        if ((in->op == EA_I_AND_LEFT || in->op == EA_I_OR_LEFT) && (uint32_t)in->c < c->n &&
            c->ins[in->c].op == in->op)
            in->c = c->ins[in->c].c;
    }
}

int ea_cel_compile_ast(struct ea_cel_unit *u, struct ea_cel_node *root, struct ea_cel_prog *p)
{
    struct code c = {.u = u, .n_locals = u->n_locals, .loop = -1};

    if (!gen(&c, root) || !emit(&c, root, EA_I_RET, 0, 0, 0, -1))
        return u->failed ? u->failed
                         : ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, 0, "program too large");
    if (c.n_locals > UINT16_MAX)
        return ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, 0, "program too large");
    thread_jumps(&c);
    p->code = c.ins;
    p->n_code = c.n;
    p->pos = c.pos;
    p->calls = c.calls;
    p->consts = c.consts;
    p->n_consts = c.n_consts;
    p->regions = c.regions;
    p->n_regions = c.n_regions;
    p->fns = c.fns;
    p->n_fns = c.n_fns;
    p->regexes = c.regexes;
    p->n_regexes = c.n_regexes;
    p->reads = c.reads;
    p->n_reads = c.n_reads;
    p->n_locals = c.n_locals;
    p->stack_max = c.depth_max + 1;
    return 0;
}
