/* controls/judge.c - one object against every control that is asked about it.
 *
 * For each control, in order of id: rules, level, selectors, settings, request, facts; then match
 * conditions, validations and messages. Variables are lazy and shared: within a control always, and
 * those of the libraries between all controls of one family, because nothing that they may read
 * differs. A control near its cost limit is judged again on its own, so that sharing never changes
 * a verdict.
 */
#include "base/limits.h"
#include "controls/internal.h"
#include "controls/judge_run.h"

/* ---- facts that hold for all controls of one call ---- */

static struct ea_val group_kind(struct ea_arena *a, struct ea_str group, struct ea_str version,
                                struct ea_str last_key, struct ea_str last)
{
    struct ea_member *m = ea_arena_alloc(a, 3 * sizeof(*m));

    if (!m)
        return ea_val_null();
    m[0] =
        (struct ea_member){ea_val_str(EA_STR("group")), ea_val_str(group.p ? group : EA_STR(""))};
    m[1] = (struct ea_member){ea_val_str(EA_STR("version")),
                              ea_val_str(version.p ? version : EA_STR(""))};
    m[2] = (struct ea_member){ea_val_str(last_key), ea_val_str(last.p ? last : EA_STR(""))};
    return ea_val_map(m, 3);
}

/* The request that would have created the object: everything but who asked. */
static struct ea_val make_request(struct ea_arena *a, const struct ea_subject *s)
{
    const struct ea_gvr *g = &s->gvr;
    struct ea_member *m = ea_arena_alloc(a, 12 * sizeof(*m));
    struct ea_val kind = group_kind(a, g->group, g->version, EA_STR("kind"), g->kind);
    struct ea_val resource = group_kind(a, g->group, g->version, EA_STR("resource"), g->resource);
    uint32_t n = 0;

    if (!m)
        return ea_val_null();
#define PUT(k, v) (m[n++] = (struct ea_member){ea_val_str(EA_STR(k)), (v)})
    PUT("kind", kind);
    PUT("resource", resource);
    PUT("requestKind", kind);
    PUT("requestResource", resource);
    if (g->subresource.n) {
        PUT("subResource", ea_val_str(g->subresource));
        PUT("requestSubResource", ea_val_str(g->subresource));
    }
    if (s->name.n)
        PUT("name", ea_val_str(s->name));
    if (s->namespace_.n)
        PUT("namespace", ea_val_str(s->namespace_));
    PUT("operation", ea_val_str(ea_str(ea_op_name(s->op))));
    PUT("userInfo", ea_val_map(NULL, 0));
    PUT("dryRun", ea_val_bool(false));
#undef PUT
    return ea_val_map(m, n);
}

enum ea_level ea_effective_level(enum ea_level floor, bool namespaced,
                                 const struct ea_val *namespace_object)
{
    const struct ea_val *labels =
        namespaced ? ea_val_path(namespace_object, "metadata.labels") : NULL;
    const struct ea_val *v = ea_val_getz(labels, "eucs-agent.io/level");
    int level = ea_val_is(v, EA_V_STRING) ? ea_level_parse(ea_val_text(v)) : -1;

    return level > (int)floor ? (enum ea_level)level : floor;
}

static int job_init(struct ea_job *j, const struct ea_ruleset *rs, const struct ea_subject *s,
                    const struct ea_judge_opts *o, struct ea_arena *a)
{
    int64_t sec = o->now_us / 1000000, us = o->now_us % 1000000;

    if (us < 0) {
        us += 1000000;
        sec--;
    }
    *j = (struct ea_job){.rs = rs, .s = s, .o = o, .a = a};
    j->now = (struct ea_val){.type = EA_V_TIMESTAMP, .n = (uint32_t)(us * 1000), .i = sec};
    j->ns = s->namespace_object;
    if (!j->ns && s->gvr.namespaced && s->namespace_.n && o->lookup && o->lookup->namespace_)
        j->ns = o->lookup->namespace_(o->lookup->arg, a, s->namespace_);
    j->level = ea_effective_level(o->floor, s->gvr.namespaced, j->ns);
    j->level_val = ea_val_str(ea_str(ea_level_names[j->level]));
    if (rs->priv->n_families) {
        j->shared = ea_arena_zalloc(a, rs->priv->n_families * sizeof(*j->shared));
        if (!j->shared)
            return -E2BIG;
    }
    return 0;
}

/* ---- one control ---- */

static void verdict(struct ea_finding *f, enum ea_result result, enum ea_reason reason,
                    const char *detail)
{
    f->result = result;
    f->reason = reason;
    f->detail = ea_str(detail);
}

static enum ea_reason reason_of(const struct ea_cel_diag *d)
{
    switch (d->kind) {
    case EA_CEL_E_COST:
        return EA_R_COST_LIMIT;
    case EA_CEL_E_DEADLINE:
        return EA_R_DEADLINE;
    default:
        return EA_R_EVALUATION_ERROR;
    }
}

static void verdict_diag(struct ea_job *j, struct ea_finding *f, const struct ea_cel_diag *d)
{
    f->result = EA_UNKNOWN;
    f->reason = reason_of(d);
    f->detail = ea_arena_str(j->a, ea_str(d->text));
}

static bool context_missing(const struct ea_job *j, const struct ea_control *c)
{
    return c->needs_context && c->priv->n_joins == 0 && !j->s->context;
}

static bool needs_request(const struct ea_control *c, unsigned ops)
{
    return c->reads_old || c->reads_request || !(ops & EA_OP_CREATE);
}

/* What can be said before any expression runs; true when that settles it. */
static bool settled_early(struct ea_job *j, const struct ea_control *c, unsigned ops,
                          struct ea_finding *f)
{
    if (c->compile_error) {
        verdict(f, EA_UNKNOWN, EA_R_COMPILE_ERROR, c->compile_error);
    } else if (!j->s->has_request && needs_request(c, ops)) {
        verdict(f, EA_SKIP, EA_R_NO_REQUEST, "the control judges a request, and there is none");
    } else if (c->missing_param) {
        verdict(f, EA_UNKNOWN, EA_R_NOT_CONFIGURED, "a required param is not set");
    } else if (c->node && !j->s->node) {
        verdict(f, EA_UNKNOWN, EA_R_NOT_OBSERVABLE, "node facts are not known here");
    } else if (c->reads_namespace && j->s->gvr.namespaced && !j->ns) {
        verdict(f, EA_UNKNOWN, EA_R_MISSING_CONTEXT, "the namespace is not known");
    } else if (context_missing(j, c)) {
        verdict(f, EA_UNKNOWN, EA_R_MISSING_CONTEXT, "other objects are not known");
    } else if (j->o->interrupted && j->o->interrupted(j->o->interrupted_arg)) {
        verdict(f, EA_UNKNOWN, EA_R_DEADLINE, "not judged before the deadline");
    } else {
        return false;
    }
    return true;
}

static int run_init(struct ea_job *j, const struct ea_control *c, bool share, struct ea_cel_run *r)
{
    const struct ea_shared *sh = share ? &j->shared[c->priv->family] : NULL;
    int e = ea_cel_run_init(r, j->a, c->env);

    if (e < 0)
        return e;
    r->budget = EA_CEL_COST_CONTROL;
    r->interrupted = j->o->interrupted;
    r->interrupted_arg = j->o->interrupted_arg;
    if (c->priv->uses_request && !j->has_request_val) {
        j->request = j->s->request.type == EA_V_MAP ? j->s->request : make_request(j->a, j->s);
        j->has_request_val = true;
    }
    ea_cel_run_bind(r, EA_S_OBJECT, j->s->object);
    ea_cel_run_bind(r, EA_S_OLD_OBJECT, j->s->old_object);
    if (c->priv->uses_request)
        ea_cel_run_bind(r, EA_S_REQUEST, j->request);
    ea_cel_run_bind(r, EA_S_PARAMS, c->params);
    ea_cel_run_bind(r, EA_S_NAMESPACE_OBJECT,
                    j->s->gvr.namespaced && j->ns ? *j->ns : ea_val_null());
    if (j->s->context)
        ea_cel_run_bind(r, EA_S_CONTEXT, *j->s->context);
    if (j->s->node)
        ea_cel_run_bind(r, EA_S_NODE, *j->s->node);
    ea_cel_run_bind(r, EA_S_NOW, j->now);
    ea_cel_run_bind(r, EA_S_LEVEL, j->level_val);
    for (unsigned i = 0; i < c->n_variables; i++)
        if (sh && sh->slots && i < c->priv->n_shared)
            r->slots[EA_S_FIXED + i] = sh->slots[i];
        else
            ea_cel_run_bind_lazy(r, EA_S_FIXED + i, c->variables[i]);
    return 0;
}

/* Keeps the values that this control has evaluated for the next ones of its family. */
static void share_back(struct ea_job *j, const struct ea_control *c, const struct ea_cel_run *r)
{
    struct ea_shared *sh = &j->shared[c->priv->family];
    bool fresh = false;

    if (!sh->slots) {
        sh->slots = ea_arena_alloc(j->a, c->priv->n_shared * sizeof(*sh->slots));
        if (!sh->slots)
            return;
        for (unsigned i = 0; i < c->priv->n_shared; i++)
            sh->slots[i] = (struct ea_cel_slot){.state = EA_CEL_LAZY, .prog = c->variables[i]};
    }
    for (unsigned i = 0; i < c->priv->n_shared; i++)
        if (sh->slots[i].state != EA_CEL_DONE && r->slots[EA_S_FIXED + i].state == EA_CEL_DONE) {
            sh->slots[i] = r->slots[EA_S_FIXED + i];
            fresh = true;
        }
    if (fresh)
        sh->cost += r->cost;
}

/* true: all match; false: *f is settled. */
static bool conditions_match(struct ea_job *j, const struct ea_control *c, struct ea_cel_run *r,
                             struct ea_finding *f)
{
    struct ea_cel_diag diag, first = {0};
    struct ea_val v;

    for (unsigned i = 0; i < c->n_match_conditions; i++) {
        if (ea_cel_eval(r, c->match_conditions[i], &v, &diag) == 0) {
            if (v.type == EA_V_BOOL && !v.b) {
                verdict(f, EA_SKIP, EA_R_NONE, "a match condition is false");
                return false;
            }
        } else if (first.kind == EA_CEL_E_NONE) {
            first = diag;
            if (diag.kind != EA_CEL_E_EVAL)
                break;
        }
    }
    if (first.kind == EA_CEL_E_NONE)
        return true;
    verdict_diag(j, f, &first);
    return false;
}

static struct ea_str message_of(struct ea_job *j, const struct ea_validation *v,
                                struct ea_cel_run *r)
{
    struct ea_cel_diag diag;
    struct ea_val out;

    if (v->message_expr && ea_cel_eval(r, v->message_expr, &out, &diag) == 0 &&
        out.type == EA_V_STRING) {
        struct ea_str s = ea_str_trim(ea_val_text(&out));

        if (s.n > 0 && s.n <= EA_MAX_CEL_MESSAGE && !memchr(s.p, '\n', s.n) &&
            !memchr(s.p, '\r', s.n))
            return s;
    }
    if (v->message.n)
        return v->message;
    return ea_arena_printf(j->a, "failed expression: %.*s", EA_STRF(ea_str_trim(v->source)));
}

/* Runs the validations. 0 or -E2BIG when the failures could not be noted. */
static int validate(struct ea_job *j, const struct ea_control *c, struct ea_cel_run *r,
                    struct ea_finding *f)
{
    struct ea_cel_diag diag, first = {0};
    struct ea_val v;
    bool failed = false;
    int e;

    for (unsigned i = 0; i < c->n_validations; i++) {
        if (ea_cel_eval(r, c->validations[i].expr, &v, &diag) < 0) {
            if (first.kind == EA_CEL_E_NONE)
                first = diag;
            if (diag.kind != EA_CEL_E_EVAL)
                break;
            continue;
        }
        if (v.type == EA_V_BOOL && v.b)
            continue;
        failed = true;
        e = ea_failures_add(j, c, i, message_of(j, &c->validations[i], r), r, f);
        if (e < 0)
            return e;
    }
    if (failed) {
        verdict(f, EA_FAIL, EA_R_NONE, NULL);
        f->message = f->failures[0].message;
    } else if (first.kind != EA_CEL_E_NONE) {
        verdict_diag(j, f, &first);
    } else {
        verdict(f, EA_PASS, EA_R_NONE, NULL);
    }
    return 0;
}

static int run_control(struct ea_job *j, const struct ea_control *c, bool share,
                       struct ea_finding *f)
{
    struct ea_cel_run r;
    int e = run_init(j, c, share, &r);

    if (e < 0)
        return e;
    if (c->priv->n_joins && !ea_joins_bind(j, c, &r, f))
        return 0;
    if (conditions_match(j, c, &r, f)) {
        e = validate(j, c, &r, f);
        if (e < 0)
            return e;
    }
    f->cost = r.cost;
    if (share)
        share_back(j, c, &r);
    return 0;
}

static void apply_exemption(struct ea_job *j, struct ea_finding *f)
{
    const struct ea_exemption *x;

    if (f->result != EA_FAIL || !j->o->exemptions)
        return;
    x = ea_exemption_find(j->o->exemptions, f->control->id, j->s->gvr.kind, j->s->namespace_,
                          j->s->name, j->o->now_us);
    /* EUCS ISP-03.3S: from Substantial on, an exception needs an accepted risk. */
    if (!x || (j->level >= EA_SUBSTANTIAL && x->risk_ref.n == 0))
        return;
    f->exemption = x;
    f->action = EA_AUDIT;
}

static int judge_control(struct ea_job *j, const struct ea_control *c, unsigned ops,
                         struct ea_finding *f)
{
    bool share = j->shared && c->priv->family >= 0 && c->priv->n_shared > 0;
    uint64_t before = share ? j->shared[c->priv->family].cost : 0;
    int e;

    *f = (struct ea_finding){.control = c, .action = c->action};
    if (settled_early(j, c, ops, f))
        return 0;
    e = run_control(j, c, share, f);
    if (e == 0 && before > 0 &&
        (f->cost + before > EA_CEL_COST_CALL || f->reason == EA_R_COST_LIMIT)) {
        /* It may have been spared what others paid for: near the limit only its own account counts.
         */
        *f = (struct ea_finding){.control = c, .action = c->action};
        e = run_control(j, c, false, f);
    }
    if (e == 0)
        apply_exemption(j, f);
    return e;
}

/* ---- which controls ---- */

enum selected { SEL_NO, SEL_YES, SEL_UNKNOWN };

static enum selected selected(struct ea_job *j, const struct ea_control *c)
{
    const struct ea_subject *s = j->s;

    if (c->object_selector) {
        const struct ea_val *old = ea_val_force(&s->old_object);
        bool hit =
            (s->object.type == EA_V_MAP && ea_selector_matches(c->object_selector, &s->object)) ||
            (old->type == EA_V_MAP && ea_selector_matches(c->object_selector, old));

        if (!hit)
            return SEL_NO;
    }
    if (!c->namespace_selector)
        return SEL_YES;
    if (s->gvr.group.n == 0 && ea_str_is(s->gvr.resource, "namespaces"))
        return ea_selector_matches(c->namespace_selector,
                                   s->object.type == EA_V_MAP ? &s->object : &s->old_object)
                   ? SEL_YES
                   : SEL_NO;
    if (!s->gvr.namespaced)
        return SEL_YES;
    if (!j->ns)
        return SEL_UNKNOWN;
    return ea_selector_matches(c->namespace_selector, j->ns) ? SEL_YES : SEL_NO;
}

/* The control's operations, its level and the caller's choice all say yes. */
static bool is_asked(const struct ea_job *j, const struct ea_control *c, unsigned ops)
{
    if (!ops || (j->s->has_request && !(ops & j->s->op)))
        return false;
    if (!j->o->ignore_level && c->level > j->level)
        return false;
    return !j->o->wanted || j->o->wanted(j->o->wanted_arg, c);
}

/* The subject is a node's facts: controls about nodes have no rules to be found by. */
static int judge_node(struct ea_job *j, const struct ea_ruleset *rs, struct ea_findings *ret,
                      struct ea_err *err)
{
    for (unsigned i = 0; i < rs->n_controls; i++) {
        const struct ea_control *c = &rs->controls[i];

        if (!c->node || !is_asked(j, c, EA_OP_ALL))
            continue;
        if (judge_control(j, c, EA_OP_ALL, &ret->f[ret->n]) < 0)
            return ea_fail(err, -E2BIG, "no memory left to judge the node");
        ret->n++;
    }
    return 0;
}

int ea_judge(const struct ea_ruleset *rs, const struct ea_subject *s, const struct ea_judge_opts *o,
             struct ea_arena *a, struct ea_findings *ret, struct ea_err *err)
{
    const struct ea_dispatch *d = ea_dispatch_find(rs, &s->gvr);
    struct ea_job j;

    ret->n = 0;
    ret->f = ea_arena_alloc(a, (d->n + (s->node ? rs->n_controls : 0u) + 1) * sizeof(*ret->f));
    if (!ret->f || job_init(&j, rs, s, o, a) < 0)
        return ea_fail(err, -E2BIG, "no memory left to judge the object");
    for (unsigned i = 0; i < d->n; i++) {
        const struct ea_control *c = d->e[i].c;
        unsigned ops = d->e[i].plain ? d->e[i].ops : ea_rules_ops(c, &s->gvr, s->name);
        enum selected sel;

        if (!is_asked(&j, c, ops))
            continue;
        sel = selected(&j, c);
        if (sel == SEL_NO)
            continue;
        if (sel == SEL_UNKNOWN) {
            ret->f[ret->n] = (struct ea_finding){.control = c, .action = c->action};
            verdict(&ret->f[ret->n++], EA_UNKNOWN, EA_R_MISSING_CONTEXT,
                    "the namespace is not known");
            continue;
        }
        if (judge_control(&j, c, ops, &ret->f[ret->n]) < 0)
            return ea_fail(err, -E2BIG, "no memory left to judge the object");
        ret->n++;
    }
    return s->node ? judge_node(&j, rs, ret, err) : 0;
}

int ea_judge_one(const struct ea_ruleset *rs, const struct ea_control *c,
                 const struct ea_subject *s, const struct ea_judge_opts *o, struct ea_arena *a,
                 struct ea_finding *ret, struct ea_err *err)
{
    struct ea_job j;
    unsigned ops = c->n_rules ? ea_rules_ops(c, &s->gvr, s->name) : EA_OP_ALL;

    if (job_init(&j, rs, s, o, a) < 0 || judge_control(&j, c, ops, ret) < 0)
        return ea_fail(err, -E2BIG, "no memory left to judge the object");
    return 0;
}

bool ea_finding_denies(const struct ea_finding *f, enum ea_action enforcement)
{
    if (enforcement != EA_DENY || f->action != EA_DENY)
        return false;
    if (f->result == EA_FAIL)
        return f->exemption == NULL;
    if (f->result != EA_UNKNOWN || f->reason == EA_R_NOT_CONFIGURED)
        return false;
    return f->reason == EA_R_COST_LIMIT || f->control->fail_closed;
}
