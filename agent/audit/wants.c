/* audit/wants.c - rules to watches. */
#include "audit/wants.h"

#include "base/limits.h"

static const struct {
    const char *group, *resource;
} never[] = {
    {"", "events"}, {"events.k8s.io", "events"}, {"coordination.k8s.io", "leases"}, {"", "bindings"},
};

struct making {
    const struct ea_discovery *d;
    const struct ea_wants_opts *o;
    struct ea_arena *a;
    struct ea_wants *w;
    int failed;
};

static bool excluded(const struct making *m, struct ea_str group, struct ea_str resource)
{
    for (size_t i = 0; i < EA_COUNT(never); i++) {
        if (ea_str_is(group, never[i].group) && ea_str_is(resource, never[i].resource))
            return true;
    }
    return !m->o->secrets && !group.n && ea_str_is(resource, "secrets");
}

static bool have(const struct ea_wants *w, struct ea_str group, struct ea_str resource)
{
    for (unsigned i = 0; i < w->n; i++) {
        if (ea_str_is(group, w->w[i].res.group) && ea_str_is(resource, w->w[i].res.resource))
            return true;
    }
    return false;
}

static const char *z(struct making *m, struct ea_str s)
{
    struct ea_str c = ea_arena_str(m->a, s.p ? s : EA_STR(""));

    if (!c.p)
        m->failed = -E2BIG;
    return c.p ? c.p : "";
}

static void miss(struct making *m, struct ea_str group, struct ea_str resource)
{
    struct ea_str name = group.n ? ea_arena_printf(m->a, "%.*s.%.*s", EA_STRF(resource), EA_STRF(group)) : ea_arena_str(m->a, resource);
    struct ea_str *l;

    for (unsigned i = 0; i < m->w->n_missing; i++) {
        if (ea_str_eq(m->w->missing[i], name))
            return;
    }
    l = ea_arena_alloc(m->a, (m->w->n_missing + 1) * sizeof(*l));
    if (!l) {
        m->failed = -E2BIG;
        return;
    }
    if (m->w->n_missing)
        memcpy(l, m->w->missing, m->w->n_missing * sizeof(*l));
    l[m->w->n_missing++] = name;
    m->w->missing = l;
}

static void add(struct making *m, const struct ea_api_resource *r)
{
    if (m->w->n == EA_MAX_WATCHES) {
        m->failed = -E2BIG;
        return;
    }
    m->w->w[m->w->n++] = (struct ea_kube_want){
        .res = {z(m, r->group), z(m, r->version), z(m, r->resource), z(m, r->kind), r->namespaced},
        .keep_json = true,
    };
}

static bool concrete(struct ea_str s)
{
    return s.n && !memchr(s.p, '*', s.n);
}

static void add_rule(struct making *m, const struct ea_match_rule *r)
{
    const struct ea_api_resource *x;

    if (r->exclude || r->subresource.n || !(r->ops & (EA_OP_CREATE | EA_OP_UPDATE)) || !concrete(r->resource) ||
        (r->group.n && !concrete(r->group)))
        return;
    if (excluded(m, r->group, r->resource) || have(m->w, r->group, r->resource))
        return;
    x = ea_discovery_resource(m->d, r->group, EA_STR_NULL, r->resource);
    if (!x || !x->list || !x->watch)
        x = ea_discovery_resource(m->d, r->group, r->version, r->resource);
    if (x && x->list && x->watch)
        add(m, x);
    else
        miss(m, r->group, r->resource);
}

int ea_audit_wants(const struct ea_ruleset *rs, const struct ea_discovery *d, const struct ea_wants_opts *o, struct ea_arena *a,
                   struct ea_wants *ret)
{
    struct making m = {d, o, a, ret, 0};
    static const struct ea_match_rule namespaces = {.version = {"v1", 2}, .resource = {"namespaces", 10}, .ops = EA_OP_CREATE};

    memset(ret, 0, sizeof(*ret));
    ret->w = ea_arena_zalloc(a, EA_MAX_WATCHES * sizeof(*ret->w));
    if (!ret->w)
        return -E2BIG;
    add_rule(&m, &namespaces); /* levels and selectors hang on them */
    for (unsigned i = 0; i < rs->n_controls; i++) {
        for (unsigned k = 0; k < rs->controls[i].n_rules; k++)
            add_rule(&m, &rs->controls[i].rules[k]);
    }
    return m.failed;
}
