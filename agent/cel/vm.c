/* The machine: one evaluation of one program. The loop itself is vm_loop.h, what it calls seldom is
 * vm_ops.c. */
#include "cel/vm.h"

#include <stdio.h>

#include "base/limits.h"
#include "cel/regex.h"

/* Frames of this many values lie on the C stack; larger ones in the arena. */
#define FRAME 56u

/* Member of a map by a constant string: small maps by a scan of lengths, large ones by their index.
 */
static inline const struct ea_val *lookup(const struct ea_val *map, const struct ea_val *key)
{
    const struct ea_member *m = map->members;

    if (EA_UNLIKELY((map->flags & EA_VF_INDEXED) || map->aux))
        return ea_cel_map_find(map, key);
    /* An empty map may have no members at all: no pointer behind its end. */
    for (uint32_t left = map->n; left > 0; left--, m++) {
        if (m->key.n == key->n && m->key.type == EA_V_STRING &&
            memcmp(m->key.s, key->s, key->n) == 0)
            return ea_val_force(&m->val);
    }
    return NULL;
}

static inline int select_optional(struct ea_cel_vm *m, const struct ea_val *v,
                                  const struct ea_val *key, struct ea_val *ret)
{
    if (v->type == EA_V_OPTIONAL) {
        if (v->opt == NULL) {
            *ret = *v;
            return 0;
        }
        v = ea_val_force(v->opt);
    }
    if (EA_LIKELY(v->type == EA_V_MAP)) {
        *ret = ea_cel_optional(lookup(v, key));
        return 0;
    }
    return ea_cel_vm_select(m, EA_I_SELECT_OPT, v, key, ret);
}

static inline struct ea_val loop_start(unsigned macro)
{
    switch (macro) {
    case EA_MACRO_ALL:
    case EA_MACRO_EXISTS:
        return ea_val_bool(macro == EA_MACRO_ALL);
    case EA_MACRO_ONE:
        return ea_val_int(0);
    case EA_MACRO_TRANSFORM_MAP:
    case EA_MACRO_TRANSFORM_ENTRY:
        return (struct ea_val){.type = EA_V_OPAQUE, .ptr = NULL};
    default:
        return ea_val_list(NULL, 0);
    }
}

/* Frame of a loop: range, position (i) and room (n), accumulator, first variable, second variable.
 */
static inline void bind_next(struct ea_val *l)
{
    uint32_t i = (uint32_t)l[1].i++;
    bool two = l[1].flags;

    if (EA_LIKELY(l[0].type == EA_V_LIST)) {
        if (two)
            l[3] = ea_val_int(i);
        l[3 + two] = *ea_val_force(&l[0].items[i]);
    } else {
        l[3] = l[0].members[i].key;
        if (two)
            l[4] = *ea_val_force(&l[0].members[i].val);
    }
}

static struct ea_val loop_value(const struct ea_val *l, unsigned macro)
{
    switch (macro) {
    case EA_MACRO_ONE:
        return ea_val_bool(l[2].i == 1);
    case EA_MACRO_TRANSFORM_MAP:
    case EA_MACRO_TRANSFORM_ENTRY:
        if (l[2].ptr == NULL)
            return ea_val_map(NULL, 0);
        return ea_cel_mapb_end((struct ea_cel_mapb *)l[2].ptr);
    default:
        return l[2];
    }
}

static bool interrupted(struct ea_cel_vm *m)
{
    m->steps = 0;
    if (m->run->interrupted == NULL || !m->run->interrupted(m->run->interrupted_arg))
        return false;
    m->fatal = -ETIME;
    m->fatal_kind = EA_CEL_E_DEADLINE;
    m->fatal_text = "operation interrupted";
    return true;
}

/* Position of the innermost region around an instruction, or -1. */
static int find_region(const struct ea_cel_prog *p, uint32_t at)
{
    uint32_t i;

    for (i = 0; i < p->n_regions; i++) {
        if (at >= p->regions[i].start && at < p->regions[i].end)
            return (int)i;
    }
    return -1;
}

static int call_failed(struct ea_cel_vm *m, const struct ea_cel_fn *fn, int rc,
                       const struct ea_val *args, unsigned n)
{
    if (rc == EA_CEL_FULL)
        return ea_cel_vm_full(m);
    if (rc == EA_CEL_NO_OVERLOAD)
        return ea_cel_vm_overload(m, fn->name.p, n > 0 ? &args[0] : NULL, n > 1 ? &args[1] : NULL);
    return ea_cel_vm_raise(m, "%s", m->cx.error ? m->cx.error : fn->name.p);
}

static int box(struct ea_cel_vm *m, struct ea_val *v)
{
    struct ea_val *copy = ea_arena_alloc(m->cx.arena, sizeof *copy);

    if (copy == NULL)
        return ea_cel_vm_full(m);
    *copy = *v;
    *v = ea_cel_optional(copy);
    return 0;
}

/* ---- trace mode ---- */

static void set_element(struct ea_cel_vm *m, const struct ea_val *frame,
                        const struct ea_cel_org **orgs, int loop)
{
    m->element = (struct ea_cel_element){0};
    if (loop >= 0) {
        m->element.org = orgs[loop + 3];
        m->element.val = frame[loop + 3];
    }
}

static void loop_next(struct ea_cel_vm *m, const struct ea_val *l, const struct ea_cel_org **o)
{
    uint32_t i = (uint32_t)l[1].i - 1;

    if (l[0].type == EA_V_LIST)
        o[3] = ea_cel_org_item(m->cx.arena, o[0], i, &l[0].items[i]);
    else
        o[3] = ea_cel_org_child(m->cx.arena, o[0], &l[0].members[i].key,
                                ea_val_force(&l[0].members[i].val));
    o[4] = o[3];
}

/* The origin of the list in the making is kept beside the loop's position. */
static void loop_collect(struct ea_cel_vm *m, const struct ea_val *l, const struct ea_cel_org **o,
                         const struct ea_cel_org *item)
{
    struct ea_cel_org *list = (struct ea_cel_org *)o[1];

    if (list == NULL) {
        const struct ea_cel_org **items =
            ea_arena_alloc(m->cx.arena, (size_t)l[0].n * sizeof(void *));

        list =
            items ? (struct ea_cel_org *)ea_cel_org_list(m->cx.arena, items, 0, o[0], false) : NULL;
        if (list)
            list->items = items;
        o[1] = list;
    }
    if (list)
        list->items[list->n++] = item;
}

static const struct ea_cel_org *loop_result(struct ea_cel_vm *m, const struct ea_val *l,
                                            const struct ea_cel_org **o, unsigned macro)
{
    struct ea_cel_org *list = (struct ea_cel_org *)o[1];

    switch (macro) {
    case EA_MACRO_ALL:
        return l[2].b || o[2] == NULL ? o[0] : o[2];
    case EA_MACRO_EXISTS:
        return l[2].b && o[2] ? o[2] : o[0];
    case EA_MACRO_ONE:
        return l[2].i > 1 && o[2] ? o[2] : o[0];
    case EA_MACRO_FILTER:
        if (list)
            list->selected = true;
        return list ? list : o[0];
    case EA_MACRO_MAP:
    case EA_MACRO_TRANSFORM_LIST:
        if (list && o[0] && o[0]->kind == EA_ORG_LIST && o[0]->selected)
            list->selected = true;
        return list ? list : o[0];
    default:
        return ea_cel_org_derived(m->cx.arena, o[0]);
    }
}

static const struct ea_cel_org *call_origin(struct ea_cel_vm *m, const struct ea_cel_fn *fn,
                                            const struct ea_val *args,
                                            const struct ea_cel_org **orgs, unsigned n,
                                            const struct ea_val *result)
{
    static const char *const through[] = {"dyn", "optional.of", "optional.ofNonZeroValue", "value",
                                          "hasValue"};
    const struct ea_cel_org *o = NULL;
    unsigned i;

    if (ea_str_is(fn->name, "size") && n == 1)
        return ea_cel_org_size(m->cx.arena, orgs[0], &args[0]);
    for (i = 0; i < EA_COUNT(through); i++) {
        if (ea_str_is(fn->name, through[i]))
            return n ? orgs[0] : NULL;
    }
    for (i = 0; i < n; i++)
        o = ea_cel_org_pick(o, orgs[i], &m->element, false);
    return o && (result->type == EA_V_LIST || result->type == EA_V_MAP || o->kind == EA_ORG_LIST)
               ? ea_cel_org_derived(m->cx.arena, o)
               : o;
}

#define EA_CEL_TRACE 0
#include "cel/vm_loop.h"
#undef EA_CEL_TRACE
#define EA_CEL_TRACE 1
#include "cel/vm_loop.h"
#undef EA_CEL_TRACE

/* ---- entry ---- */

static int run_in(struct ea_cel_vm *m, struct ea_val *ret, uint64_t *ret_cost)
{
    uint32_t need = m->prog->n_locals + m->prog->stack_max;
    struct ea_val small[FRAME], *frame = small;
    const struct ea_cel_org **orgs = NULL;

    if (need > FRAME)
        frame = ea_arena_alloc(m->cx.arena, need * sizeof *frame);
    if (m->run->trace)
        orgs = ea_arena_zalloc(m->cx.arena, need * sizeof(void *));
    if (frame == NULL || (m->run->trace && orgs == NULL))
        return ea_cel_vm_full(m);
    return m->run->trace ? run_1(m, frame, orgs, ret, ret_cost)
                         : run_0(m, frame, NULL, ret, ret_cost);
}

static void diagnose(const struct ea_cel_vm *m, int rc, struct ea_cel_diag *d)
{
    uint32_t pos = UINT32_MAX;

    *d = (struct ea_cel_diag){.kind = EA_CEL_E_EVAL};
    if (rc == -EINVAL) {
        snprintf(d->text, sizeof d->text, "%s", m->err->text);
        pos = m->err->pos;
    } else {
        d->kind = m->fatal_kind;
        snprintf(d->text, sizeof d->text, "%s", m->fatal_text);
    }
    if (pos != UINT32_MAX)
        ea_cel_locate(m->prog->source, pos, &d->line, &d->column);
}

int ea_cel_eval(struct ea_cel_run *r, const struct ea_cel_prog *p, struct ea_val *ret,
                struct ea_cel_diag *ret_diag)
{
    struct ea_cel_vm m = {.run = r, .prog = p, .cx = {.arena = r->arena, .k8s = p->k8s, .run = r}};
    uint64_t cost = 0, left = r->cost < r->budget ? r->budget - r->cost : 0;
    int rc;

    m.limit = EA_MIN((uint64_t)EA_CEL_COST_CALL, left);
    m.cx.limit = m.limit;
    r->depth++;
    rc = run_in(&m, ret, &cost);
    r->depth--;
    if (cost > m.flushed)
        r->cost += cost - m.flushed;
    if (rc && ret_diag)
        diagnose(&m, rc, ret_diag);
    return rc;
}
