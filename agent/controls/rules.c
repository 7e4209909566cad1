/* controls/rules.c - matchConstraints: which control is asked about which resource, and label
 * selectors.
 *
 * Semantics of admissionregistration.k8s.io/v1 MatchResources. Rule versions count only with
 * matchPolicy: Exact, because with Equivalent (the default) a request for another served version is
 * converted first.
 */
#include <stdio.h>

#include "base/limits.h"
#include "controls/internal.h"

static bool star(struct ea_str s)
{
    return s.n == 1 && s.p[0] == '*';
}

bool ea_rule_names(const struct ea_match_rule *r, const struct ea_gvr *gvr, bool exact)
{
    if (!star(r->resource) && !ea_str_eq(r->resource, gvr->resource))
        return false;
    if (!star(r->group) && !ea_str_eq(r->group, gvr->group))
        return false;
    if (!star(r->subresource) && !ea_str_eq(r->subresource, gvr->subresource))
        return false;
    if (exact && !star(r->version) && !ea_str_eq(r->version, gvr->version))
        return false;
    return r->scope == 0 || (r->scope == 'N') == gvr->namespaced;
}

static bool name_listed(const struct ea_val *names, struct ea_str name)
{
    if (!names)
        return true;
    for (size_t i = 0; i < names->n; i++) {
        const struct ea_val *v = ea_val_at(names, i);

        if (ea_val_is(v, EA_V_STRING) && ea_str_eq(ea_val_text(v), name))
            return true;
    }
    return false;
}

unsigned ea_rules_ops(const struct ea_control *c, const struct ea_gvr *gvr, struct ea_str name)
{
    unsigned ops = 0, off = 0;

    for (unsigned i = 0; i < c->n_rules; i++) {
        const struct ea_match_rule *r = &c->rules[i];

        if (!ea_rule_names(r, gvr, c->exact) || !name_listed(r->names, name))
            continue;
        if (r->exclude)
            off |= r->ops;
        else
            ops |= r->ops;
    }
    return ops & ~off;
}

/* ---- parsing ---- */

static bool rule_add(struct ea_loader *l, struct ea_rulesb *b, const struct ea_match_rule *r)
{
    if (b->n == b->size) {
        unsigned size = b->size ? b->size * 2 : 16;
        struct ea_match_rule *v = size > 4096 ? NULL : ea_arena_alloc(l->a, size * sizeof(*v));

        if (!v)
            return false;
        if (b->n)
            memcpy(v, b->r, b->n * sizeof(*v));
        b->r = v;
        b->size = size;
    }
    b->r[b->n++] = *r;
    return true;
}

/* A list of non-empty strings (an empty string is the core group, where allowed). */
static const struct ea_val *string_list(struct ea_loader *l, const struct ea_cfile *f,
                                        const struct ea_val *rule, const char *key, bool empty_ok)
{
    const struct ea_val *v = ea_val_get(rule, ea_str(key));
    bool ok = ea_val_is(v, EA_V_LIST) && v->n > 0;

    for (size_t i = 0; ok && i < v->n; i++) {
        const struct ea_val *s = ea_val_at(v, i);

        ok = ea_val_is(s, EA_V_STRING) && (empty_ok || s->n > 0);
    }
    if (!ok) {
        ea_problem_add(l, f, v ? v : rule, true,
                       "resourceRules: %s must be a list of strings that is not empty", key);
        return NULL;
    }
    return v;
}

static bool parse_ops(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *rule,
                      unsigned *ret)
{
    const struct ea_val *v = string_list(l, f, rule, "operations", false);

    *ret = 0;
    for (size_t i = 0; v && i < v->n; i++) {
        struct ea_str s = ea_val_text(ea_val_at(v, i));
        unsigned op = star(s) ? EA_OP_ALL : ea_op_parse(s);

        if (!op) {
            ea_problem_add(l, f, ea_val_at(v, i), true, "resourceRules: unknown operation %.*s",
                           EA_STRF(s));
            return false;
        }
        *ret |= op;
    }
    return v != NULL;
}

static bool parse_scope(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *rule,
                        char *ret)
{
    struct ea_str scope = ea_val_get_str(rule, "scope");

    *ret = scope.n == 0 || star(scope) ? 0 : scope.p[0];
    if (*ret == 0 || ea_str_is(scope, "Namespaced") || ea_str_is(scope, "Cluster"))
        return true;
    ea_problem_add(l, f, ea_val_getz(rule, "scope"), true,
                   "scope must be Namespaced, Cluster or *");
    return false;
}

/* One rule for every combination of group, version and resource. */
static bool flatten(struct ea_loader *l, struct ea_match_rule *r, const struct ea_val *groups,
                    const struct ea_val *versions, const struct ea_val *resources,
                    struct ea_rulesb *b)
{
    for (size_t g = 0; g < groups->n; g++)
        for (size_t v = 0; v < versions->n; v++)
            for (size_t i = 0; i < resources->n; i++) {
                r->group = ea_val_text(ea_val_at(groups, g));
                r->version = ea_val_text(ea_val_at(versions, v));
                r->resource =
                    ea_str_cut(ea_val_text(ea_val_at(resources, i)), '/', &r->subresource);
                if (!rule_add(l, b, r))
                    return false;
            }
    return true;
}

static bool parse_rule(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *rule,
                       bool exclude, struct ea_rulesb *b)
{
    static const char *const known[] = {"apiGroups",     "apiVersions", "operations", "resources",
                                        "resourceNames", "scope",       NULL};
    struct ea_match_rule r = {.exclude = exclude};
    const struct ea_val *groups, *versions, *resources;

    if (!ea_val_is(rule, EA_V_MAP)) {
        ea_problem_add(l, f, rule, true, "a resource rule must be a map");
        return false;
    }
    if (ea_unknown_fields(l, f, rule, "a resource rule", known))
        return false;
    groups = string_list(l, f, rule, "apiGroups", true);
    versions = string_list(l, f, rule, "apiVersions", false);
    resources = string_list(l, f, rule, "resources", false);
    if (!groups || !versions || !resources || !parse_ops(l, f, rule, &r.ops) ||
        !parse_scope(l, f, rule, &r.scope))
        return false;
    if (ea_val_getz(rule, "resourceNames") &&
        !(r.names = string_list(l, f, rule, "resourceNames", false)))
        return false;
    if (flatten(l, &r, groups, versions, resources, b))
        return true;
    ea_problem_add(l, f, rule, true, "too many resource rules");
    return false;
}

bool ea_rules_parse(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *constraints,
                    struct ea_rulesb *b)
{
    static const struct {
        const char *key;
        bool exclude;
    } lists[] = {{"resourceRules", false}, {"excludeResourceRules", true}};

    for (size_t k = 0; k < EA_COUNT(lists); k++) {
        const struct ea_val *v = ea_val_get(constraints, ea_str(lists[k].key));

        if (v && v->type != EA_V_LIST) {
            ea_problem_add(l, f, v, true, "matchConstraints.%s must be a list", lists[k].key);
            return false;
        }
        for (size_t i = 0; v && i < v->n; i++)
            if (!parse_rule(l, f, ea_val_at(v, i), lists[k].exclude, b))
                return false;
    }
    return true;
}

/* ---- dispatch ---- */

static struct ea_str dispatch_key(const struct ea_gvr *g, char *buf, size_t size)
{
    size_t n = g->group.n + g->resource.n + g->subresource.n + 2;
    char *p = buf;

    if (n > size)
        return EA_STR_NULL;
    memcpy(p, g->group.p ? g->group.p : "", g->group.n);
    p += g->group.n;
    *p++ = '/';
    memcpy(p, g->resource.p ? g->resource.p : "", g->resource.n);
    p += g->resource.n;
    *p++ = '/';
    memcpy(p, g->subresource.p ? g->subresource.p : "", g->subresource.n);
    return ea_strn(buf, n);
}

static bool wild(const struct ea_match_rule *r)
{
    return star(r->group) || star(r->resource) || star(r->subresource);
}

static bool plain(const struct ea_control *c)
{
    for (unsigned k = 0; k < c->n_rules; k++)
        if (c->rules[k].exclude || c->rules[k].scope || c->rules[k].names)
            return false;
    return !c->exact;
}

/* Controls with a rule that names the resource, scope and version left to the judge. gvr NULL:
 * controls with a wildcard. */
static struct ea_dispatch *collect(struct ea_loader *l, const struct ea_gvr *gvr)
{
    const struct ea_ruleset *rs = l->rs;
    struct ea_dispatch *d = ea_arena_zalloc(l->a, sizeof(*d) + rs->n_controls * sizeof(d->e[0]));

    if (!d)
        return NULL;
    for (unsigned i = 0; i < rs->n_controls; i++) {
        const struct ea_control *c = &rs->controls[i];
        unsigned ops = 0;

        for (unsigned k = 0; k < c->n_rules; k++) {
            struct ea_match_rule r = c->rules[k];

            r.scope = 0;
            if (!r.exclude && (gvr ? ea_rule_names(&r, gvr, false) : wild(&r)))
                ops |= r.ops;
        }
        if (ops) {
            d->e[d->n].c = c;
            d->e[d->n].plain = gvr && plain(c);
            d->e[d->n++].ops = ops;
        }
    }
    return d;
}

int ea_dispatch_build(struct ea_loader *l)
{
    const struct ea_ruleset *rs = l->rs;
    char buf[1024];

    ea_map_init(&l->priv->dispatch);
    for (unsigned i = 0; i < rs->n_controls; i++)
        for (unsigned k = 0; k < rs->controls[i].n_rules; k++) {
            const struct ea_match_rule *r = &rs->controls[i].rules[k];
            struct ea_gvr g = {
                .group = r->group, .resource = r->resource, .subresource = r->subresource};
            struct ea_str key = dispatch_key(&g, buf, sizeof(buf));
            struct ea_dispatch *d;

            if (wild(r) || !key.p || ea_map_find(&l->priv->dispatch, key))
                continue;
            d = collect(l, &g);
            if (!d)
                return -E2BIG;
            ea_map_put(&l->priv->dispatch, key, d);
        }
    l->priv->rest = collect(l, NULL);
    return l->priv->rest ? 0 : -E2BIG;
}

const struct ea_dispatch *ea_dispatch_find(const struct ea_ruleset *rs, const struct ea_gvr *gvr)
{
    char buf[1024];
    struct ea_str key = dispatch_key(gvr, buf, sizeof(buf));
    const struct ea_dispatch *d = key.p ? ea_map_find(&rs->priv->dispatch, key) : NULL;

    return d ? d : rs->priv->rest;
}

bool ea_ruleset_asks_for(const struct ea_ruleset *r, const struct ea_gvr *gvr)
{
    const struct ea_dispatch *d = ea_dispatch_find(r, gvr);

    for (unsigned i = 0; i < d->n; i++)
        for (unsigned k = 0; k < d->e[i].c->n_rules; k++) {
            const struct ea_match_rule *m = &d->e[i].c->rules[k];

            if (!m->exclude && ea_rule_names(m, gvr, d->e[i].c->exact))
                return true;
        }
    return false;
}

/* ---- label selectors (apimachinery metav1.LabelSelector) ---- */

enum sel_op { SEL_IN, SEL_NOT_IN, SEL_EXISTS, SEL_NOT_EXISTS, SEL_BAD };

static enum sel_op sel_op(struct ea_str s)
{
    static const char *const words[] = {"In", "NotIn", "Exists", "DoesNotExist"};

    for (int i = 0; i < 4; i++)
        if (ea_str_is(s, words[i]))
            return (enum sel_op)i;
    return SEL_BAD;
}

static bool expression_valid(const struct ea_val *e)
{
    const struct ea_val *values = ea_val_getz(e, "values");
    enum sel_op op = sel_op(ea_val_get_str(e, "operator"));

    if (op == SEL_BAD || ea_val_get_str(e, "key").n == 0)
        return false;
    return (op != SEL_IN && op != SEL_NOT_IN) || (ea_val_is(values, EA_V_LIST) && values->n > 0);
}

bool ea_selector_valid(const struct ea_val *selector)
{
    const struct ea_val *labels = ea_val_getz(selector, "matchLabels");
    const struct ea_val *exprs = ea_val_getz(selector, "matchExpressions");

    if (!ea_val_is(selector, EA_V_MAP) || (labels && labels->type != EA_V_MAP) ||
        (exprs && exprs->type != EA_V_LIST))
        return false;
    for (size_t i = 0; labels && i < labels->n; i++)
        if (!ea_val_is(&labels->members[i].val, EA_V_STRING))
            return false;
    for (size_t i = 0; exprs && i < exprs->n; i++)
        if (!expression_valid(ea_val_at(exprs, i)))
            return false;
    return true;
}

static bool listed(const struct ea_val *values, const struct ea_val *have)
{
    for (size_t i = 0; values && i < values->n; i++)
        if (ea_val_equal(ea_val_at(values, i), have))
            return true;
    return false;
}

bool ea_selector_matches(const struct ea_val *selector, const struct ea_val *object)
{
    const struct ea_val *labels = ea_val_path(object, "metadata.labels");
    const struct ea_val *want = ea_val_getz(selector, "matchLabels");
    const struct ea_val *exprs = ea_val_getz(selector, "matchExpressions");

    for (size_t i = 0; want && i < want->n; i++) {
        const struct ea_val *have = ea_val_get(labels, ea_val_text(&want->members[i].key));

        if (!have || !ea_val_equal(have, ea_val_force(&want->members[i].val)))
            return false;
    }
    for (size_t i = 0; exprs && i < exprs->n; i++) {
        const struct ea_val *e = ea_val_at(exprs, i);
        const struct ea_val *have = ea_val_get(labels, ea_val_get_str(e, "key"));
        const struct ea_val *values = ea_val_getz(e, "values");
        bool ok = false;

        switch (sel_op(ea_val_get_str(e, "operator"))) {
        case SEL_IN:
            ok = have && listed(values, have);
            break;
        case SEL_NOT_IN:
            ok = !have || !listed(values, have);
            break;
        case SEL_EXISTS:
            ok = have != NULL;
            break;
        case SEL_NOT_EXISTS:
            ok = !have;
            break;
        case SEL_BAD:
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}
