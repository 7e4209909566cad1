/* controls/joins.c - spec.context: named, bounded sets of other objects, asked from the caller's
 * lookup. */
#include "controls/judge_run.h"
#include "doc/build.h"

static bool missing(struct ea_job *j, struct ea_finding *f, const struct ea_join *jn,
                    const char *why)
{
    f->result = EA_UNKNOWN;
    f->reason = EA_R_MISSING_CONTEXT;
    f->detail = ea_arena_printf(j->a, "context.%.*s: %s", EA_STRF(jn->name), why);
    return false;
}

static bool eval(struct ea_job *j, struct ea_cel_run *r, const struct ea_cel_prog *p,
                 struct ea_val *ret, struct ea_finding *f)
{
    struct ea_cel_diag d;

    if (ea_cel_eval(r, p, ret, &d) == 0)
        return true;
    f->result = EA_UNKNOWN;
    f->reason = d.kind == EA_CEL_E_COST       ? EA_R_COST_LIMIT
                : d.kind == EA_CEL_E_DEADLINE ? EA_R_DEADLINE
                                              : EA_R_EVALUATION_ERROR;
    f->detail = ea_arena_str(j->a, ea_str(d.text));
    return false;
}

/* The objects whose labels fit; selector is a plain map of labels or a LabelSelector. */
static struct ea_val filter(struct ea_job *j, const struct ea_val *list,
                            const struct ea_val *selector)
{
    struct ea_member m = {ea_val_str(EA_STR("matchLabels")), *selector};
    struct ea_val wrapped = ea_val_map(&m, 1);
    const struct ea_val *sel =
        ea_val_getz(selector, "matchLabels") || ea_val_getz(selector, "matchExpressions")
            ? selector
            : &wrapped;
    struct ea_listb b;

    ea_listb_init(&b, j->a);
    for (size_t i = 0; i < list->n; i++)
        if (ea_selector_matches(sel, ea_val_at(list, i)))
            ea_listb_add(&b, *ea_val_at(list, i));
    return ea_listb_end(&b);
}

static bool answer(struct ea_job *j, const struct ea_join *jn, struct ea_cel_run *r,
                   struct ea_val *ret, struct ea_finding *f)
{
    const struct ea_val *given = ea_val_get(j->s->context, jn->name);
    struct ea_val ns = ea_val_null(), sel;
    bool complete = false;

    if (given) {
        *ret = *given;
        return true;
    }
    if (!j->o->lookup || !j->o->lookup->list)
        return missing(j, f, jn, "other objects are not known");
    if (jn->ns && !eval(j, r, jn->ns, &ns, f))
        return false;
    if (jn->ns && ns.type != EA_V_STRING) {
        f->result = EA_UNKNOWN;
        f->reason = EA_R_EVALUATION_ERROR;
        f->detail =
            ea_arena_printf(j->a, "context.%.*s: the namespace is no string", EA_STRF(jn->name));
        return false;
    }
    if (j->o->lookup->list(j->o->lookup->arg, j->a, jn->api_version, jn->kind,
                           ns.type == EA_V_STRING ? ea_val_text(&ns) : EA_STR(""), jn->cap, ret,
                           &complete) < 0)
        return missing(j, f, jn, "other objects are not known");
    if (!complete)
        return missing(j, f, jn, "the set of objects is not complete");
    if (!jn->selector)
        return true;
    if (!eval(j, r, jn->selector, &sel, f))
        return false;
    if (sel.type == EA_V_MAP)
        *ret = filter(j, ret, &sel);
    return true;
}

bool ea_joins_bind(struct ea_job *j, const struct ea_control *c, struct ea_cel_run *r,
                   struct ea_finding *f)
{
    struct ea_mapb b;
    struct ea_val v;

    ea_mapb_init(&b, j->a);
    for (unsigned i = 0; i < c->priv->n_joins; i++) {
        if (!answer(j, &c->priv->joins[i], r, &v, f))
            return false;
        ea_mapb_put(&b, c->priv->joins[i].name, v);
    }
    ea_cel_run_bind(r, EA_S_CONTEXT, ea_mapb_end(&b));
    return true;
}
