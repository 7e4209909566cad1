/* controls/parse.c - one control file into a compiled control.
 *
 * Every problem is noted with file and line. A control whose own text cannot be understood stays in
 * the set with compile_error, so that what it would have judged is `unknown` and not silently
 * absent.
 */
#include <stdio.h>

#include "base/buf.h"
#include "base/limits.h"
#include "controls/internal.h"
#include "doc/print.h"

#define MAX_LIST 256u    /* entries of any list of one control */
#define MAX_JOIN 100000u /* objects of one join */

static const char *const spec_fields[] = {
    "title",     "severity",    "level",      "requirements", "fit",        "perspective",
    "rationale", "remediation", "references", "action",       "kubernetes", "use",
    "context",   "params",      "match",      "ratchet",      "policy",     NULL};
static const char *const policy_fields[] = {
    "matchConstraints", "matchConditions",  "variables", "validations",
    "failurePolicy",    "auditAnnotations", NULL};

/* The member, or its parent for messages when it is absent. */
static const struct ea_val *at(const struct ea_val *map, const char *key)
{
    const struct ea_val *v = ea_val_get(map, ea_str(key));

    return v ? v : map;
}

static int parse_word(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                      const char *key, const char *const *words, int n)
{
    struct ea_str s = ea_val_get_str(spec, key);
    struct ea_buf b;

    for (int i = 0; i < n; i++)
        if (ea_str_is(s, words[i]))
            return i;
    ea_buf_init(&b, 256);
    for (int i = 0; i < n; i++)
        ea_buf_addf(&b, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
    ea_problem_add(l, f, at(spec, key), true, "%s must be %.*s", key, EA_STRF(ea_buf_str(&b)));
    ea_buf_done(&b);
    return -1;
}

/* A list of strings; absent is an empty list. */
static bool parse_strings(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *v,
                          const char *what, const struct ea_str **ret, unsigned *ret_n)
{
    struct ea_str *out;

    *ret = NULL;
    *ret_n = 0;
    if (!v)
        return true;
    if (v->type != EA_V_LIST || v->n > MAX_LIST) {
        ea_problem_add(l, f, v, true, "%s must be a list of strings", what);
        return false;
    }
    out = ea_arena_zalloc(l->a, (v->n + 1) * sizeof(*out));
    for (size_t i = 0; out && i < v->n; i++) {
        const struct ea_val *s = ea_val_at(v, i);

        if (!ea_val_is(s, EA_V_STRING) || s->n == 0) {
            ea_problem_add(l, f, s, true, "%s must be a list of strings", what);
            return false;
        }
        out[i] = ea_val_text(s);
    }
    *ret = out;
    *ret_n = out ? v->n : 0;
    return out != NULL;
}

static bool parse_refs(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *refs,
                       struct ea_control *c)
{
    struct ea_ref *out;
    size_t n = 0;

    if (!refs)
        return true;
    if (refs->type != EA_V_MAP || refs->n > MAX_LIST) {
        ea_problem_add(l, f, refs, true, "references must be a map of framework to parts");
        return false;
    }
    for (size_t i = 0; i < refs->n; i++) {
        const struct ea_val *v = ea_val_force(&refs->members[i].val);

        n += v->type == EA_V_LIST ? v->n : 1;
    }
    out = ea_arena_zalloc(l->a, (n + 1) * sizeof(*out));
    if (!out)
        return false;
    for (size_t i = 0; i < refs->n; i++) {
        struct ea_str framework = ea_val_text(&refs->members[i].key);
        const struct ea_val *v = ea_val_force(&refs->members[i].val);
        size_t k = v->type == EA_V_LIST ? v->n : 1;

        for (size_t j = 0; j < k; j++) {
            const struct ea_val *part = v->type == EA_V_LIST ? ea_val_at(v, j) : v;

            if (!ea_val_is(part, EA_V_STRING)) {
                ea_problem_add(l, f, part, true,
                               "references.%.*s must be a word or a list of words",
                               EA_STRF(framework));
                return false;
            }
            out[c->n_refs++] = (struct ea_ref){framework, ea_val_text(part)};
        }
    }
    c->refs = out;
    return true;
}

static bool parse_metadata(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                           struct ea_control *c)
{
    int severity = parse_word(l, f, spec, "severity", ea_severity_names, EA_SEVERITY_COUNT);
    int level = parse_word(l, f, spec, "level", ea_level_names, EA_LEVEL_COUNT);
    int fit = parse_word(l, f, spec, "fit", ea_fit_names, EA_FIT_COUNT);
    int who = parse_word(l, f, spec, "perspective", ea_perspective_names, EA_PERSPECTIVE_COUNT);
    int action = parse_word(l, f, spec, "action", ea_action_names, EA_ACTION_COUNT);
    static const char *const texts[] = {"title", "rationale", "remediation"};
    bool ok = severity >= 0 && level >= 0 && fit >= 0 && who >= 0 && action >= 0;

    c->severity = severity < 0 ? EA_SEV_INFO : (enum ea_severity)severity;
    c->level = level < 0 ? EA_BASIC : (enum ea_level)level;
    c->fit = fit < 0 ? EA_FIT_WEAK : (enum ea_fit)fit;
    c->perspective = who < 0 ? EA_FOR_BOTH : (enum ea_perspective)who;
    c->action = action < 0 ? EA_AUDIT : (enum ea_action)action;
    c->title = ea_str_trim(ea_val_get_str(spec, "title"));
    c->rationale = ea_str_trim(ea_val_get_str(spec, "rationale"));
    c->remediation = ea_str_trim(ea_val_get_str(spec, "remediation"));
    for (size_t i = 0; i < EA_COUNT(texts); i++)
        if (ea_str_trim(ea_val_get_str(spec, texts[i])).n == 0) {
            ea_problem_add(l, f, at(spec, texts[i]), true, "%s must be a text that is not empty",
                           texts[i]);
            ok = false;
        }
    if (!parse_strings(l, f, ea_val_getz(spec, "requirements"), "requirements", &c->requirements,
                       &c->n_requirements))
        ok = false;
    else if (c->n_requirements == 0) {
        ea_problem_add(l, f, at(spec, "requirements"), true,
                       "requirements must name at least one requirement of the catalogue");
        ok = false;
    }
    return parse_refs(l, f, ea_val_getz(spec, "references"), c) && ok;
}

static bool parse_version(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                          struct ea_control *c)
{
    const struct ea_val *v = ea_val_getz(spec, "kubernetes");
    struct ea_str minor, s = ea_val_is(v, EA_V_STRING) ? ea_val_text(v) : EA_STR_NULL;
    struct ea_str major = ea_str_cut(s, '.', &minor);
    uint64_t n = 0;

    if (!ea_str_is(major, "1") || ea_str_to_u64(minor, &n) < 0 || n < 26 ||
        n > EA_CEL_NEWEST_MINOR) {
        ea_problem_add(l, f, at(spec, "kubernetes"), true,
                       "kubernetes must be a string from \"1.26\" to \"1.%u\"",
                       EA_CEL_NEWEST_MINOR);
        return false;
    }
    c->kubernetes = (unsigned)n;
    return true;
}

/* Own resource rules replace those of the libraries; otherwise every library's rules count. */
static bool collect_rules(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *own,
                          const struct ea_str *use, unsigned n_use, struct ea_rulesb *b)
{
    if (own && !ea_rules_parse(l, f, own, b))
        return false;
    for (unsigned i = 0; i < n_use && !ea_val_getz(own, "resourceRules"); i++) {
        struct ea_library *lib = ea_library_find(l, use[i]);

        if (lib->constraints && !ea_rules_parse(l, lib->file, lib->constraints, b))
            return false;
    }
    return true;
}

static bool parse_selectors(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *own,
                            struct ea_control *c)
{
    struct ea_str mp = ea_val_get_str(own, "matchPolicy");

    if (mp.n && !ea_str_is(mp, "Equivalent") && !ea_str_is(mp, "Exact")) {
        ea_problem_add(l, f, at(own, "matchPolicy"), true,
                       "matchPolicy must be Equivalent or Exact");
        return false;
    }
    c->exact = ea_str_is(mp, "Exact");
    c->namespace_selector = ea_val_getz(own, "namespaceSelector");
    c->object_selector = ea_val_getz(own, "objectSelector");
    if ((c->namespace_selector && !ea_selector_valid(c->namespace_selector)) ||
        (c->object_selector && !ea_selector_valid(c->object_selector))) {
        ea_problem_add(
            l, f, own, true,
            "a label selector needs matchLabels or matchExpressions with key and operator");
        return false;
    }
    return true;
}

static bool parse_constraints(struct ea_loader *l, const struct ea_cfile *f,
                              const struct ea_val *policy, const struct ea_str *use, unsigned n_use,
                              struct ea_control *c)
{
    static const char *const known[] = {"resourceRules",     "excludeResourceRules",
                                        "namespaceSelector", "objectSelector",
                                        "matchPolicy",       NULL};
    const struct ea_val *own = ea_val_getz(policy, "matchConstraints");
    struct ea_rulesb b = {0};

    if (own && (own->type != EA_V_MAP || ea_unknown_fields(l, f, own, "matchConstraints", known))) {
        if (own->type != EA_V_MAP)
            ea_problem_add(l, f, own, true, "matchConstraints must be a map");
        return false;
    }
    if (!collect_rules(l, f, own, use, n_use, &b) || !parse_selectors(l, f, own, c))
        return false;
    c->rules = b.r;
    c->n_rules = b.n;
    if (b.n == 0 && !c->node) {
        ea_problem_add(
            l, f, policy, true,
            "no resource rules: name a library under use or write policy.matchConstraints");
        return false;
    }
    return true;
}

static bool parse_match(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                        struct ea_control *c)
{
    static const char *const known[] = {"node", NULL};
    const struct ea_val *m = ea_val_getz(spec, "match");

    if (!m)
        return true;
    if (m->type != EA_V_MAP || !ea_val_is(ea_val_getz(m, "node"), EA_V_BOOL)) {
        ea_problem_add(l, f, m, true, "match must be {node: true}");
        return false;
    }
    c->node = ea_val_get_bool(m, "node", false);
    return ea_unknown_fields(l, f, m, "match", known) == 0;
}

static bool parse_ratchet(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                          struct ea_control *c)
{
    static const char *const known[] = {"grows", NULL};
    const struct ea_val *r = ea_val_getz(spec, "ratchet");

    if (!r)
        return true;
    if (r->type != EA_V_MAP || ea_unknown_fields(l, f, r, "ratchet", known) ||
        !ea_val_getz(r, "grows")) {
        ea_problem_add(l, f, r, true, "ratchet must be {grows: [names of lists]}");
        return false;
    }
    return parse_strings(l, f, ea_val_getz(r, "grows"), "ratchet.grows", &c->ratchet_grows,
                         &c->n_ratchet);
}

static bool parse_use(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                      const struct ea_str **ret, unsigned *ret_n)
{
    if (!parse_strings(l, f, ea_val_getz(spec, "use"), "use", ret, ret_n))
        return false;
    for (unsigned i = 0; i < *ret_n; i++)
        if (!ea_library_find(l, (*ret)[i])) {
            ea_problem_add(l, f, ea_val_at(ea_val_getz(spec, "use"), i), true,
                           "there is no library %.*s (lib/%.*s.yaml)", EA_STRF((*ret)[i]),
                           EA_STRF((*ret)[i]));
            return false;
        }
    return true;
}

/* ---- expressions ---- */

static bool build_env(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *policy,
                      const struct ea_family *lib, struct ea_control *c)
{
    const struct ea_val *vars = ea_val_getz(policy, "variables");
    struct ea_family own = {.n_vars = lib->n_vars, .n_progs = lib->n_progs};
    struct ea_cel_env *env = ea_arena_zalloc(l->a, sizeof(*env));
    size_t n;

    if (vars && (vars->type != EA_V_LIST || vars->n > MAX_LIST)) {
        ea_problem_add(l, f, vars, true, "policy.variables must be a list");
        return false;
    }
    n = lib->n_vars + (vars ? vars->n : 0);
    own.vars = ea_arena_zalloc(l->a, n * sizeof(*own.vars));
    own.progs = ea_arena_zalloc(l->a, n * sizeof(*own.progs));
    if (!own.vars || !own.progs || !env)
        return false;
    memcpy(own.vars, lib->vars, lib->n_vars * sizeof(*lib->vars));
    if (lib->n_progs)
        memcpy(own.progs, lib->progs, lib->n_progs * sizeof(*lib->progs));
    if (!ea_variables_compile(l, f, vars, &own, c->kubernetes))
        return false;
    *env = (struct ea_cel_env){.flavour = EA_CEL_KUBERNETES,
                               .minor = c->kubernetes,
                               .vars = own.vars,
                               .n_vars = own.n_vars};
    c->env = env;
    c->variables = own.progs;
    c->n_variables = own.n_progs;
    return true;
}

static bool parse_conditions(struct ea_loader *l, const struct ea_cfile *f,
                             const struct ea_val *policy, struct ea_control *c)
{
    static const char *const known[] = {"name", "expression", NULL};
    const struct ea_val *v = ea_val_getz(policy, "matchConditions");
    const struct ea_cel_prog **out;
    bool ok = true;

    if (!v)
        return true;
    if (v->type != EA_V_LIST || v->n > MAX_LIST) {
        ea_problem_add(l, f, v, true, "policy.matchConditions must be a list");
        return false;
    }
    out = ea_arena_zalloc(l->a, (v->n + 1) * sizeof(*out));
    if (!out)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        const struct ea_val *m = ea_val_at(v, i);
        char what[64];

        snprintf(what, sizeof(what), "matchConditions[%zu].expression", i);
        if (ea_val_get_str(m, "name").n == 0) {
            ea_problem_add(l, f, m, true, "a match condition needs a name and an expression");
            ok = false;
            continue;
        }
        if (ea_unknown_fields(l, f, m, "a match condition", known))
            ok = false;
        out[i] = ea_compile_at(l, f, at(m, "expression"), what, c->env, EA_CEL_WANT_BOOL);
        ok = ok && out[i];
    }
    c->match_conditions = out;
    c->n_match_conditions = v->n;
    return ok;
}

static bool parse_validation(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *v,
                             size_t i, const struct ea_cel_env *env, struct ea_validation *ret)
{
    static const char *const known[] = {"expression", "message", "messageExpression", "reason",
                                        NULL};
    const struct ea_val *me = ea_val_getz(v, "messageExpression");
    char what[64];

    if (!ea_val_is(v, EA_V_MAP)) {
        ea_problem_add(l, f, v, true, "a validation must be a map");
        return false;
    }
    if (ea_unknown_fields(l, f, v, "a validation", known))
        return false;
    ret->line = ea_yaml_line(&f->doc, at(v, "expression"));
    ret->source = ea_val_get_str(v, "expression");
    ret->message = ea_str_trim(ea_val_get_str(v, "message"));
    ret->reason = ea_val_get_str(v, "reason");
    snprintf(what, sizeof(what), "validations[%zu].expression", i);
    ret->expr = ea_compile_at(l, f, at(v, "expression"), what, env, EA_CEL_WANT_BOOL);
    if (me) {
        snprintf(what, sizeof(what), "validations[%zu].messageExpression", i);
        ret->message_expr = ea_compile_at(l, f, me, what, env, EA_CEL_WANT_STRING);
        if (!ret->message_expr)
            return false;
    }
    if (ea_val_getz(v, "message") &&
        (ret->message.n == 0 || memchr(ret->message.p, '\n', ret->message.n))) {
        ea_problem_add(l, f, at(v, "message"), true, "message must be one line that is not empty");
        return false;
    }
    return ret->expr != NULL;
}

static bool parse_validations(struct ea_loader *l, const struct ea_cfile *f,
                              const struct ea_val *policy, struct ea_control *c)
{
    const struct ea_val *v = ea_val_getz(policy, "validations");
    struct ea_validation *out;
    bool ok = true;

    if (!ea_val_is(v, EA_V_LIST) || v->n == 0 || v->n > MAX_LIST) {
        ea_problem_add(l, f, v ? v : policy, true,
                       "policy.validations must be a list with at least one validation");
        return false;
    }
    out = ea_arena_zalloc(l->a, v->n * sizeof(*out));
    if (!out)
        return false;
    for (size_t i = 0; i < v->n; i++)
        ok = parse_validation(l, f, ea_val_at(v, i), i, c->env, &out[i]) && ok;
    c->validations = out;
    c->n_validations = v->n;
    return ok;
}

/* auditAnnotations travel to an exported policy; here they are only held to compile. */
static bool parse_annotations(struct ea_loader *l, const struct ea_cfile *f,
                              const struct ea_val *policy, const struct ea_control *c)
{
    const struct ea_val *v = ea_val_getz(policy, "auditAnnotations");

    if (v && v->type != EA_V_LIST) {
        ea_problem_add(l, f, v, true, "policy.auditAnnotations must be a list");
        return false;
    }
    for (size_t i = 0; v && i < v->n; i++)
        if (!ea_compile_at(l, f, at(ea_val_at(v, i), "valueExpression"),
                           "auditAnnotations.valueExpression", c->env, EA_CEL_WANT_ANY))
            return false;
    return true;
}

static bool parse_join(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *j,
                       const struct ea_control *c, struct ea_join *ret)
{
    static const char *const known[] = {"name",     "apiVersion", "kind", "namespace",
                                        "selector", "cap",        NULL};
    const struct ea_val *ns = ea_val_getz(j, "namespace"), *selector = ea_val_getz(j, "selector");
    int64_t cap = ea_val_get_int(j, "cap", 0);

    ret->name = ea_val_get_str(j, "name");
    ret->kind = ea_val_get_str(j, "kind");
    ret->api_version = ea_val_get_str(j, "apiVersion");
    if (ret->name.n == 0 || ret->kind.n == 0 || ret->api_version.n == 0 || cap < 1 ||
        cap > MAX_JOIN) {
        ea_problem_add(l, f, j, true, "a join needs name, apiVersion, kind and cap (1 to %u)",
                       MAX_JOIN);
        return false;
    }
    ret->cap = (unsigned)cap;
    if (ea_unknown_fields(l, f, j, "a join", known))
        return false;
    if (ns)
        ret->ns = ea_compile_at(l, f, ns, "context namespace", c->env, EA_CEL_WANT_ANY);
    if (selector)
        ret->selector = ea_compile_at(l, f, selector, "context selector", c->env, EA_CEL_WANT_ANY);
    return (!ns || ret->ns) && (!selector || ret->selector);
}

static bool parse_joins(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                        struct ea_control *c, struct ea_control_priv *p)
{
    const struct ea_val *v = ea_val_getz(spec, "context");
    struct ea_join *out;

    if (!v || (v->type == EA_V_LIST && v->n == 0))
        return true;
    if (v->type != EA_V_LIST || v->n > 16) {
        ea_problem_add(l, f, v, true, "context must be a list of at most 16 joins");
        return false;
    }
    out = ea_arena_zalloc(l->a, v->n * sizeof(*out));
    if (!out)
        return false;
    for (size_t i = 0; i < v->n; i++)
        if (!parse_join(l, f, ea_val_at(v, i), c, &out[i]))
            return false;
    p->joins = out;
    p->n_joins = v->n;
    return true;
}

/* ---- what a control reads, directly or through its variables ---- */

#define MAX_VARS 512u

struct reads {
    const struct ea_control *c;
    bool var[MAX_VARS];
    bool fixed[EA_S_FIXED];
    bool user_info;
};

static void reads_prog(struct reads *r, const struct ea_cel_prog *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < EA_S_FIXED; i++)
        r->fixed[i] = r->fixed[i] || ea_cel_prog_reads(p, i);
    /* `request` is typed, so that the field can only be reached by its name. */
    if (ea_cel_prog_reads(p, EA_S_REQUEST) &&
        ea_str_find(ea_cel_prog_source(p), EA_STR("userInfo")) >= 0)
        r->user_info = true;
    for (unsigned i = 0; i < r->c->n_variables && i < MAX_VARS; i++)
        if (ea_cel_prog_reads(p, EA_S_FIXED + i))
            r->var[i] = true;
}

static void find_reads(struct ea_control *c, struct ea_control_priv *p)
{
    struct reads r = {.c = c};

    for (unsigned i = 0; i < c->n_match_conditions; i++)
        reads_prog(&r, c->match_conditions[i]);
    for (unsigned i = 0; i < c->n_validations; i++) {
        reads_prog(&r, c->validations[i].expr);
        reads_prog(&r, c->validations[i].message_expr);
    }
    for (unsigned i = 0; i < p->n_joins; i++) {
        reads_prog(&r, p->joins[i].ns);
        reads_prog(&r, p->joins[i].selector);
    }
    /* A variable sees only earlier ones: from the last to the first, one pass is enough. */
    for (unsigned i = EA_MIN(c->n_variables, MAX_VARS); i-- > 0;)
        if (r.var[i])
            reads_prog(&r, c->variables[i]);
    c->reads_old = r.fixed[EA_S_OLD_OBJECT];
    c->reads_namespace = r.fixed[EA_S_NAMESPACE_OBJECT];
    c->reads_params = r.fixed[EA_S_PARAMS];
    c->reads_now = r.fixed[EA_S_NOW];
    c->reads_level = r.fixed[EA_S_LEVEL];
    c->reads_authorizer = r.fixed[EA_S_AUTHORIZER];
    c->needs_context = r.fixed[EA_S_CONTEXT] || p->n_joins > 0;
    c->reads_request = r.user_info;
    p->uses_request = r.fixed[EA_S_REQUEST];
}

/* ---- the parts of a finding that never change ---- */

static struct ea_str arena_take(struct ea_loader *l, struct ea_buf *b)
{
    struct ea_str s = b->failed ? EA_STR_NULL : ea_arena_str(l->a, ea_buf_str(b));

    ea_buf_done(b);
    return s.p ? s : EA_STR("");
}

static void prerender(struct ea_loader *l, const struct ea_val *spec, const struct ea_control *c,
                      struct ea_control_priv *p)
{
    const struct ea_val *refs = ea_val_getz(spec, "references");
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    ea_buf_addf(&b, ",\"severity\":\"%s\",\"level\":\"%s\"", ea_severity_names[c->severity],
                ea_level_names[c->level]);
    p->json_head = arena_take(l, &b);
    ea_buf_init(&b, 1u << 20);
    ea_buf_addz(&b, ",\"remediation\":");
    ea_buf_add_json(&b, c->remediation);
    ea_buf_addz(&b, ",\"requirements\":[");
    for (unsigned i = 0; i < c->n_requirements; i++) {
        if (i)
            ea_buf_addc(&b, ',');
        ea_buf_add_json(&b, c->requirements[i]);
    }
    ea_buf_addz(&b, "],\"references\":");
    if (!ea_val_is(refs, EA_V_MAP) || ea_json_print(&b, refs) < 0)
        ea_buf_addz(&b, "{}");
    p->json_tail = arena_take(l, &b);
}

/* ---- the whole file ---- */

static bool parse_failure_policy(struct ea_loader *l, const struct ea_cfile *f,
                                 const struct ea_val *policy, struct ea_control *c)
{
    struct ea_str fp = ea_val_get_str(policy, "failurePolicy");

    c->fail_closed = ea_str_is(fp, "Fail");
    if (fp.n == 0 || c->fail_closed || ea_str_is(fp, "Ignore"))
        return true;
    ea_problem_add(l, f, at(policy, "failurePolicy"), true, "failurePolicy must be Fail or Ignore");
    return false;
}

static bool compile_policy(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                           const struct ea_str *use, unsigned n_use, struct ea_control *c,
                           struct ea_control_priv *p)
{
    const struct ea_val *policy = ea_val_getz(spec, "policy");
    struct ea_family *lib;
    bool ok;

    if (ea_family_get(l, use, n_use, c->kubernetes, &lib) < 0) {
        ea_problem_add(l, f, at(spec, "use"), true, "a library that it uses does not compile");
        return false;
    }
    if (!build_env(l, f, policy, lib, c))
        return false;
    ok = parse_conditions(l, f, policy, c);
    if (!parse_validations(l, f, policy, c) || !ok || !parse_annotations(l, f, policy, c) ||
        !parse_joins(l, f, spec, c, p))
        return false;
    p->family = n_use && lib->shareable ? (int)(lib - l->families) : -1;
    p->n_shared = p->family >= 0 ? lib->n_progs : 0;
    find_reads(c, p);
    return true;
}

static bool parse_policy(struct ea_loader *l, struct ea_cfile *f, const struct ea_val *spec,
                         struct ea_control *c, struct ea_control_priv *p)
{
    const struct ea_val *policy = ea_val_getz(spec, "policy");
    const struct ea_str *use;
    unsigned n_use;
    bool ok;

    if (!ea_val_is(policy, EA_V_MAP)) {
        ea_problem_add(l, f, at(spec, "policy"), true,
                       "policy must hold the fields of ValidatingAdmissionPolicy.spec");
        return false;
    }
    /* Rules first: a control that fails below is still `unknown` for what it would have judged. */
    if (!parse_match(l, f, spec, c) || !parse_use(l, f, spec, &use, &n_use) ||
        !parse_constraints(l, f, policy, use, n_use, c))
        return false;
    ok = ea_unknown_fields(
             l, f, policy,
             "policy (the fields of ValidatingAdmissionPolicy.spec; settings go to spec.params)",
             policy_fields) == 0;
    return parse_version(l, f, spec, c) && parse_failure_policy(l, f, policy, c) &&
           compile_policy(l, f, spec, use, n_use, c, p) && ok;
}

static bool parse_all(struct ea_loader *l, struct ea_cfile *f, struct ea_control *c,
                      struct ea_control_priv *p)
{
    static const char *const top[] = {"apiVersion", "kind", "metadata", "spec", NULL};
    const struct ea_val *root = &f->doc.root, *spec = ea_val_getz(root, "spec");
    bool ok = true;

    if (!ea_str_is(ea_val_get_str(root, "apiVersion"), EA_API_VERSION) ||
        !ea_str_is(ea_val_get_str(root, "kind"), "Control")) {
        ea_problem_add(l, f, root, true, "must be kind Control of " EA_API_VERSION);
        return false;
    }
    if (!ea_val_is(spec, EA_V_MAP)) {
        ea_problem_add(l, f, at(root, "spec"), true, "spec must be a map");
        return false;
    }
    if (ea_unknown_fields(l, f, root, "a control", top) +
        ea_unknown_fields(l, f, spec, "spec", spec_fields))
        ok = false;
    ok = parse_metadata(l, f, spec, c) && ok;
    ok = parse_ratchet(l, f, spec, c) && ok;
    ok = ea_params_parse(l, f, spec, c) && ok;
    ok = parse_policy(l, f, spec, c, p) && ok;
    prerender(l, spec, c, p);
    return ok;
}

int ea_control_parse(struct ea_loader *l, struct ea_cfile *f, struct ea_control *ret)
{
    struct ea_control_priv *p = ea_arena_zalloc(l->a, sizeof(*p));
    struct ea_str rest, stem;
    size_t before = l->n;

    if (!p)
        return -E2BIG;
    f->used = true;
    ret->group = ea_str_cut(f->rel, '/', &rest);
    stem = ea_strn(rest.p, rest.n - (ea_str_ends(rest, EA_STR(".yml")) ? 4 : 5));
    ret->id = ea_val_path_str(&f->doc.root, "metadata.name");
    if (!f->parsed || ret->id.n == 0)
        ret->id = stem;
    ret->file = f->path;
    ret->document = f->doc.root;
    ret->priv = p;
    p->family = -1;
    p->file = f;
    if (f->parsed && parse_all(l, f, ret, p))
        return 0;
    for (size_t i = f->parsed ? before : 0; i < l->n && !ret->compile_error; i++)
        if (l->p[i].fatal && (ea_str_eq(l->p[i].file, f->path) || f->parsed)) {
            struct ea_str e = ea_arena_printf(l->a, "%.*s:%u: %.*s", EA_STRF(l->p[i].file),
                                              l->p[i].line, EA_STRF(l->p[i].text));

            ret->compile_error = e.p;
        }
    if (!ret->compile_error)
        ret->compile_error = "the control file could not be read";
    return 0;
}
