/* cel/vm_loop.h - the loop of the machine. vm.c includes it twice: as it runs, and once more for
 * trace mode, where every value on the stack has an origin beside it and && || all exists look at
 * everything.
 *
 * Thread:  [owner] of the run.
 */
#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#if EA_CEL_TRACE
#define ORG(p) (orgs[(p)-frame])
#define SET_ORG(p, e) (ORG(p) = (e))
#else
#define SET_ORG(p, e) ((void)0)
#endif

#define NEXT_OP() goto *labels[(++pc)->op]
#define JUMP_TO(t)                                                                                 \
    do {                                                                                           \
        pc = m->prog->code + (t);                                                                  \
        goto *labels[pc->op];                                                                      \
    } while (0)
/* An instruction's helper failed: 0 goes on. */
#define TRY(e)                                                                                     \
    do {                                                                                           \
        if (EA_UNLIKELY((e) != 0))                                                                 \
            goto failed;                                                                           \
    } while (0)

static int PASTE(run_, EA_CEL_TRACE)(struct ea_cel_vm *m, struct ea_val *frame,
                                     const struct ea_cel_org **orgs, struct ea_val *ret,
                                     uint64_t *ret_cost)
{
    static const void *const labels[] = {
#define OP(name, operand, in, out, cost) &&L_##name,
#include "cel/op.def"
#undef OP
    };
    const struct ea_cel_ins *pc = m->prog->code;
    const struct ea_val *const k = m->prog->consts;
    struct ea_val *sp = frame + m->prog->n_locals; /* next free */
    struct ea_val tmp, *l;
    uint64_t cost = 0;
    int c, rc;

    m->cx.cost = &cost;
    goto *labels[pc->op];

L_CONST:
    SET_ORG(sp, NULL);
    *sp++ = k[pc->c];
    NEXT_OP();
L_LOCAL:
    cost += 1;
    SET_ORG(sp, ORG(frame + pc->b));
    *sp++ = frame[pc->b];
    NEXT_OP();
L_VAR:
    cost += pc->b;
    if (EA_LIKELY(m->run->slots[pc->c].state == EA_CEL_VALUE ||
                  m->run->slots[pc->c].state == EA_CEL_DONE)) {
        *sp = m->run->slots[pc->c].val;
    } else {
        TRY(ea_cel_vm_var(m, (unsigned)pc->c, sp, cost));
    }
    SET_ORG(sp, m->run->trace->slots[pc->c] ? m->run->trace->slots[pc->c]
                : m->run->env->vars[pc->c].setting
                    ? NULL
                    : ea_cel_org_root(m->cx.arena, (unsigned)pc->c, sp));
    sp++;
    NEXT_OP();
L_CHARGE:
    cost += (uint64_t)(int64_t)pc->c;
    NEXT_OP();

L_SELECT:
    cost += 1;
    if (EA_LIKELY(sp[-1].type == EA_V_MAP)) {
        const struct ea_val *v = lookup(&sp[-1], &k[pc->c]);

        SET_ORG(sp - 1, ea_cel_org_child(m->cx.arena, ORG(sp - 1), &k[pc->c], v));
        if (EA_LIKELY(v != NULL)) {
            sp[-1] = *v;
            NEXT_OP();
        }
    }
    TRY(ea_cel_vm_select(m, EA_I_SELECT, &sp[-1], &k[pc->c], &tmp));
    cost -= tmp.opt == NULL; /* an optional without this member */
    SET_ORG(sp - 1, ea_cel_org_child(m->cx.arena, ORG(sp - 1), &k[pc->c], tmp.opt));
    sp[-1] = tmp;
    NEXT_OP();
L_SELECT_OPT:
    TRY(select_optional(m, &sp[-1], &k[pc->c], &tmp));
    cost += tmp.opt != NULL;
    SET_ORG(sp - 1, ea_cel_org_child(m->cx.arena, ORG(sp - 1), &k[pc->c], tmp.opt));
    sp[-1] = tmp;
    NEXT_OP();
L_SELECT_OR:
    TRY(select_optional(m, &sp[-1], &k[pc->b], &tmp));
    cost += tmp.opt != NULL;
    SET_ORG(sp - 1, ea_cel_org_child(m->cx.arena, ORG(sp - 1), &k[pc->b], tmp.opt));
    sp[-1] = tmp.opt ? *tmp.opt : k[pc->c];
    NEXT_OP();
L_HAS:
    if (EA_LIKELY(sp[-1].type == EA_V_MAP)) {
        const struct ea_val *v = lookup(&sp[-1], &k[pc->c]);

        SET_ORG(sp - 1, ea_cel_org_child(m->cx.arena, ORG(sp - 1), &k[pc->c], v));
        sp[-1] = ea_val_bool(v != NULL);
        NEXT_OP();
    }
    TRY(ea_cel_vm_select(m, EA_I_HAS, &sp[-1], &k[pc->c], &tmp));
    cost -= sp[-1].type == EA_V_OPTIONAL && sp[-1].opt == NULL;
    SET_ORG(sp - 1, ea_cel_org_child(m->cx.arena, ORG(sp - 1), &k[pc->c], NULL));
    sp[-1] = tmp;
    NEXT_OP();
L_INDEX:
    cost += 1;
    TRY(ea_cel_vm_index(m, false, &sp[-2], &sp[-1], &tmp));
    cost -= tmp.type == EA_V_OPTIONAL && tmp.opt == NULL && sp[-2].type == EA_V_OPTIONAL;
    SET_ORG(sp - 2, ea_cel_org_child(m->cx.arena, ORG(sp - 2), &sp[-1],
                                     tmp.type == EA_V_OPTIONAL ? tmp.opt : &tmp));
    sp--;
    sp[-1] = tmp;
    NEXT_OP();
L_INDEX_OPT:
    TRY(ea_cel_vm_index(m, true, &sp[-2], &sp[-1], &tmp));
    cost += tmp.opt != NULL;
    SET_ORG(sp - 2, ea_cel_org_child(m->cx.arena, ORG(sp - 2), &sp[-1], tmp.opt));
    sp--;
    sp[-1] = tmp;
    NEXT_OP();

L_LIST:
    cost += 10;
    TRY(ea_cel_vm_list(m, sp - pc->b, pc->b, pc->a ? &k[pc->c] : NULL, &tmp));
#if EA_CEL_TRACE
    ORG(sp - pc->b) =
        pc->a ? NULL
              : ea_cel_org_list(m->cx.arena, orgs + (sp - frame) - pc->b, pc->b, NULL, false);
#endif
    sp -= pc->b;
    *sp++ = tmp;
    NEXT_OP();
L_MAP:
    cost += 30;
    TRY(ea_cel_vm_map(m, sp - 2 * pc->b, pc->b, pc->a ? &k[pc->c] : NULL, &tmp));
    sp -= 2 * pc->b;
    SET_ORG(sp, NULL);
    *sp++ = tmp;
    NEXT_OP();

L_NOT:
    cost += 1;
    if (EA_UNLIKELY(sp[-1].type != EA_V_BOOL))
        TRY(ea_cel_vm_overload(m, "!_", &sp[-1], NULL));
    sp[-1].b = !sp[-1].b;
    NEXT_OP();
L_NEG:
    cost += 1;
    TRY(ea_cel_vm_negate(m, &sp[-1], &tmp));
    sp[-1] = tmp;
    NEXT_OP();
L_ADD:
    cost += pc->a ? ea_cel_cost_concat(&sp[-2], &sp[-1]) : 1;
    goto arithmetic;
L_SUB:
L_MUL:
L_DIV:
L_MOD:
    cost += 1;
arithmetic:
    TRY(ea_cel_vm_arith(m, (enum ea_cel_op)pc->op, &sp[-2], &sp[-1], &tmp));
#if EA_CEL_TRACE
    if (tmp.type == EA_V_LIST)
        ORG(sp - 2) = ea_cel_org_concat(m->cx.arena, &sp[-2], ORG(sp - 2), &sp[-1], ORG(sp - 1));
    else
        ORG(sp - 2) = ea_cel_org_pick(ORG(sp - 2), ORG(sp - 1), &m->element, false);
#endif
    sp--;
    sp[-1] = tmp;
    NEXT_OP();
L_EQ:
L_NE:
    cost += ea_cel_cost_equal(&sp[-2], &sp[-1]);
    SET_ORG(sp - 2, ea_cel_org_pick(ORG(sp - 2), ORG(sp - 1), &m->element, false));
    tmp = ea_val_bool(ea_cel_equal(&sp[-2], &sp[-1]) == (pc->op == EA_I_EQ));
    sp--;
    sp[-1] = tmp;
    NEXT_OP();
L_LT:
L_LE:
L_GT:
L_GE:
    cost += pc->a ? ea_cel_cost_equal(&sp[-2], &sp[-1]) : 1;
    if (EA_UNLIKELY(ea_cel_compare(&sp[-2], &sp[-1], &c)))
        TRY(ea_cel_vm_overload(m,
                               pc->op == EA_I_LT   ? "_<_"
                               : pc->op == EA_I_LE ? "_<=_"
                               : pc->op == EA_I_GT ? "_>_"
                                                   : "_>=_",
                               &sp[-2], &sp[-1]));
    SET_ORG(sp - 2, ea_cel_org_pick(ORG(sp - 2), ORG(sp - 1), &m->element, false));
    sp--;
    sp[-1] = ea_val_bool(c != 2 && (pc->op == EA_I_LT   ? c < 0
                                    : pc->op == EA_I_LE ? c <= 0
                                    : pc->op == EA_I_GT ? c > 0
                                                        : c >= 0));
    NEXT_OP();
L_IN : {
    bool found = false;

    cost += pc->a == 2 && m->prog->k8s ? 0 : pc->a && sp[-1].type == EA_V_LIST ? sp[-1].n : 1;
    TRY(ea_cel_vm_in(m, &sp[-2], &sp[-1], &found));
    SET_ORG(sp - 2, ea_cel_org_pick(ORG(sp - 2), ORG(sp - 1), &m->element, false));
    sp--;
    sp[-1] = ea_val_bool(found);
    NEXT_OP();
}

L_AND_LEFT:
L_OR_LEFT:
    if (!EA_CEL_TRACE && sp[-1].type == EA_V_BOOL && sp[-1].b == (pc->op == EA_I_OR_LEFT))
        JUMP_TO(pc->c);
    NEXT_OP();
L_AND_RIGHT:
L_OR_RIGHT : {
    const bool wins = pc->op == EA_I_OR_RIGHT; /* the value that decides alone */

    sp--;
    if (EA_LIKELY(sp[-1].type == EA_V_BOOL && sp[0].type == EA_V_BOOL)) {
#if EA_CEL_TRACE
        if (sp[-1].b == wins && sp[0].b == wins)
            ORG(sp - 1) = ea_cel_org_union(m->cx.arena, ORG(sp - 1), ORG(sp), &m->element);
        else if (sp[-1].b != wins && sp[0].b != wins)
            ORG(sp - 1) = ea_cel_org_pick(ORG(sp - 1), ORG(sp), &m->element, true);
        else if (sp[0].b == wins)
            ORG(sp - 1) = ORG(sp);
#endif
        sp[-1].b = wins ? sp[-1].b || sp[0].b : sp[-1].b && sp[0].b;
        NEXT_OP();
    }
    if (sp[-1].type == EA_V_BOOL && sp[-1].b == wins)
        NEXT_OP();
    if (sp[0].type == EA_V_BOOL && sp[0].b == wins) {
        SET_ORG(sp - 1, ORG(sp));
        sp[-1] = sp[0];
        NEXT_OP();
    }
    if (sp[-1].type == EA_V_ERROR || sp[0].type == EA_V_ERROR) {
        m->err = (struct ea_cel_error *)(sp[-1].type == EA_V_ERROR ? sp[-1].ptr : sp[0].ptr);
        goto raise;
    }
    TRY(ea_cel_vm_overload(m, wins ? "_||_" : "_&&_", &sp[-1], &sp[0]));
    NEXT_OP();
}
L_COND:
    sp--;
    if (EA_UNLIKELY(sp[0].type != EA_V_BOOL))
        TRY(ea_cel_vm_overload(m, "_?_:_", &sp[0], NULL));
    SET_ORG(frame + pc->b, ORG(sp));
    if (!sp[0].b)
        JUMP_TO(pc->c);
    NEXT_OP();
L_COND_END:
#if EA_CEL_TRACE
    if (ORG(sp - 1) == NULL)
        ORG(sp - 1) = ORG(frame + pc->b);
#endif
    NEXT_OP();
L_JUMP:
    JUMP_TO(pc->c);

L_CALL : {
    const struct ea_cel_fn *fn = m->prog->fns[pc->c];

    sp -= pc->a;
    m->cx.error = NULL;
    tmp = ea_val_null();
    rc = fn->call(&m->cx, sp, pc->a, &tmp);
    cost += fn->cost == EA_COST_ONE || (pc->b && fn->cost >= EA_COST_BY_OVERLOAD)
                ? 1
                : ea_cel_call_cost(fn, sp, pc->a, &tmp);
    if (EA_UNLIKELY(rc))
        TRY(call_failed(m, fn, rc, sp, pc->a));
    if (EA_UNLIKELY(cost > m->limit))
        goto cost_limit;
#if EA_CEL_TRACE
    ORG(sp) = call_origin(m, fn, sp, orgs + (sp - frame), pc->a, &tmp);
#endif
    *sp++ = tmp;
    NEXT_OP();
}
L_MATCHES : {
    bool found = false;

    cost += ea_cel_cost_matches(&sp[-1], &k[pc->b]);
    if (EA_UNLIKELY(sp[-1].type != EA_V_STRING))
        TRY(ea_cel_vm_overload(m, "matches", &sp[-1], &k[pc->b]));
    if (EA_UNLIKELY(cost > m->limit))
        goto cost_limit;
    rc = ea_cel_regex_matches(&m->cx, m->prog->regexes[pc->c], ea_val_text(&sp[-1]), &found);
    if (EA_UNLIKELY(rc))
        TRY(rc == EA_CEL_FULL ? ea_cel_vm_full(m) : ea_cel_vm_raise(m, "%s", m->cx.error));
    sp[-1] = ea_val_bool(found);
    NEXT_OP();
}

L_OR_VALUE:
    if (EA_UNLIKELY(sp[-1].type != EA_V_OPTIONAL))
        TRY(ea_cel_vm_overload(m, "orValue", &sp[-1], NULL));
    if (sp[-1].opt) {
        tmp = *ea_val_force(sp[-1].opt);
        sp[-1] = tmp;
        JUMP_TO(pc->c);
    }
    NEXT_OP();
L_OR_END:
    sp--;
#if EA_CEL_TRACE
    if (ea_cel_org_placed(ORG(sp)))
        ORG(sp - 1) = ORG(sp);
#endif
    sp[-1] = sp[0];
    NEXT_OP();
L_OR_OPT:
    if (EA_UNLIKELY(sp[-1].type != EA_V_OPTIONAL))
        TRY(ea_cel_vm_overload(m, "or", &sp[-1], NULL));
    if (sp[-1].opt)
        JUMP_TO(pc->c);
    sp--;
    NEXT_OP();
L_IS_OPT:
    if (EA_UNLIKELY(sp[-1].type != EA_V_OPTIONAL))
        TRY(ea_cel_vm_overload(m, "or", &sp[-1], NULL));
    NEXT_OP();
L_OPT_BIND:
    cost += 1;
    if (EA_UNLIKELY(sp[-1].type != EA_V_OPTIONAL))
        TRY(ea_cel_vm_overload(m, "hasValue", &sp[-1], NULL));
    if (sp[-1].opt == NULL) {
        cost += 1; /* optional.none() */
        JUMP_TO(pc->c);
    }
    sp--;
    frame[pc->b] = *ea_val_force(sp->opt);
    SET_ORG(frame + pc->b, ORG(sp));
    NEXT_OP();
L_OPT_OF:
    cost += 1;
    TRY(box(m, &sp[-1]));
    NEXT_OP();
L_MARK:
    frame[pc->b] = ea_val_int((int64_t)cost);
    NEXT_OP();
L_CHARGE_SINCE:
    cost += cost - (uint64_t)frame[pc->b].i;
    NEXT_OP();

L_ITER:
    sp--;
    TRY(ea_cel_vm_iter(m, sp, frame + pc->b));
    l = frame + pc->b;
    l[1].flags = pc->a & EA_ITER_TWO ? 1 : 0;
    l[2] = loop_start(pc->a & EA_ITER_MACRO);
    SET_ORG(l, ORG(sp));
    SET_ORG(l + 1, NULL);
    SET_ORG(l + 2, NULL);
    NEXT_OP();
L_NEXT:
    l = frame + pc->b;
    if ((uint64_t)l[1].i >= l[0].n) {
        SET_ORG(l + 3, NULL);
        JUMP_TO(pc->c);
    }
    cost += pc->a;
    if (EA_UNLIKELY(cost > m->limit))
        goto cost_limit;
    if (EA_UNLIKELY(++m->steps >= 100) && interrupted(m))
        goto ended;
    bind_next(l);
#if EA_CEL_TRACE
    loop_next(m, l, orgs + (l - frame));
    set_element(m, frame, orgs, pc->b);
#endif
    NEXT_OP();
L_ALL:
L_EXISTS : {
    const bool wins = pc->op == EA_I_EXISTS;

    sp--;
    l = frame + pc->b;
    if (EA_LIKELY(sp->type == EA_V_BOOL)) {
        if (sp->b != wins)
            JUMP_TO(pc->c);
        l[2] = *sp;
#if EA_CEL_TRACE
        ORG(l + 2) = ea_cel_org_add(m->cx.arena, ORG(l + 2), ORG(sp), &m->element);
        JUMP_TO(pc->c);
#endif
        if ((uint64_t)l[1].i < l[0].n)
            cost += wins ? 3 : 2; /* the loop's condition, once more */
        NEXT_OP();
    }
    /* an error is kept unless an element decides; the first one counts */
    if (l[2].type == EA_V_BOOL && (!EA_CEL_TRACE || l[2].b != wins)) {
        if (sp->type != EA_V_ERROR) {
            (void)ea_cel_vm_overload(m, wins ? "_||_" : "_&&_", sp, NULL);
            if (m->fatal)
                goto ended;
            *sp = (struct ea_val){.type = EA_V_ERROR, .ptr = m->err};
        }
        l[2] = *sp;
    }
    JUMP_TO(pc->c);
}
L_ONE:
    sp--;
    if (EA_UNLIKELY(sp->type != EA_V_BOOL))
        TRY(ea_cel_vm_overload(m, "_?_:_", sp, NULL));
    cost += sp->b ? 2 : 0;
    l = frame + pc->b;
    l[2].i += sp->b;
#if EA_CEL_TRACE
    if (sp->b)
        ORG(l + 2) = ea_cel_org_add(m->cx.arena, ORG(l + 2), ORG(sp), &m->element);
#endif
    JUMP_TO(pc->c);
L_KEEP:
    sp--;
    if (EA_UNLIKELY(sp->type != EA_V_BOOL))
        TRY(ea_cel_vm_overload(m, "_?_:_", sp, NULL));
    if (!sp->b)
        JUMP_TO(pc->c);
    NEXT_OP();
L_COLLECT:
    sp--;
    cost += 12;
    l = frame + pc->b;
    TRY(ea_cel_vm_collect(m, l, sp));
#if EA_CEL_TRACE
    loop_collect(m, l, orgs + (l - frame),
                 ORG(sp) ? ORG(sp) : ea_cel_org_derived(m->cx.arena, m->element.org));
#endif
    JUMP_TO(pc->c);
L_COLLECT_VAR:
    cost += 13;
    l = frame + pc->b;
    TRY(ea_cel_vm_collect(m, l, &l[3]));
#if EA_CEL_TRACE
    loop_collect(m, l, orgs + (l - frame), ORG(l + 3));
#endif
    JUMP_TO(pc->c);
L_COLLECT_MAP:
    sp--;
    cost += 3;
    TRY(ea_cel_vm_collect_map(m, frame + pc->b, &frame[pc->b + 3], sp));
    JUMP_TO(pc->c);
L_COLLECT_ENTRY:
    sp--;
    cost += 2;
    TRY(ea_cel_vm_collect_entry(m, frame + pc->b, sp));
    JUMP_TO(pc->c);
L_RESULT:
    l = frame + pc->b;
    cost += 1;
    if (l[2].type == EA_V_ERROR) {
        m->err = (struct ea_cel_error *)l[2].ptr;
        goto raise;
    }
#if EA_CEL_TRACE
    ORG(sp) = loop_result(m, l, orgs + (l - frame), pc->a);
    set_element(m, frame, orgs, pc->c);
#endif
    cost += pc->a == EA_MACRO_ONE;
    *sp++ = loop_value(l, pc->a);
    NEXT_OP();
L_SORT_BY:
    m->cx.error = NULL;
    rc = ea_cel_sort_by(&m->cx, &frame[pc->b], &sp[-1], &tmp);
    cost += 2 + (pc->a ? 1 : ea_cel_cost_self_compare(&sp[-1]));
    if (EA_UNLIKELY(rc))
        TRY(rc == EA_CEL_FULL ? ea_cel_vm_full(m) : ea_cel_vm_raise(m, "%s", m->cx.error));
    SET_ORG(sp - 1, ea_cel_org_derived(m->cx.arena, ORG(frame + pc->b)));
    sp[-1] = tmp;
    NEXT_OP();
L_FAIL:
    TRY(ea_cel_vm_raise(m, "%.*s", EA_STRF(ea_val_text(&k[pc->c]))));
    NEXT_OP();
L_RET:
    if (EA_UNLIKELY(cost > m->limit))
        goto cost_limit;
    *ret = *ea_val_force(&sp[-1]);
#if EA_CEL_TRACE
    m->run->trace->result = ORG(sp - 1);
#endif
    *ret_cost = cost;
    return 0;

failed:
    if (m->fatal)
        goto ended;
raise:
    rc = find_region(m->prog, (uint32_t)(pc - m->prog->code));
    if (m->err->pos == UINT32_MAX)
        m->err->pos = m->prog->pos[pc - m->prog->code];
    if (rc >= 0) {
        const struct ea_cel_region *r = &m->prog->regions[rc];

        cost += m->prog->calls[pc - m->prog->code];
#if EA_CEL_TRACE
        set_element(m, frame, orgs, r->loop);
#endif
        sp = frame + m->prog->n_locals + r->depth;
        SET_ORG(sp, NULL);
        *sp++ = (struct ea_val){.type = EA_V_ERROR, .ptr = m->err};
        JUMP_TO(r->target);
    }
    *ret_cost = cost;
    return -EINVAL;
cost_limit:
    m->fatal = -E2BIG;
    m->fatal_kind = EA_CEL_E_COST;
    m->fatal_text = "operation cancelled: actual cost limit exceeded";
ended:
    *ret_cost = cost;
    return m->fatal;
}

#undef ORG
#undef SET_ORG
#undef NEXT_OP
#undef JUMP_TO
#undef TRY
#undef PASTE
#undef PASTE2
