/* controls/catalogue.c - the scheme as data: requirements by id, control groups, kinds of known
 * custom resources. */
#include <stdio.h>

#include "controls/internal.h"

static int cmp_requirements(const void *a, const void *b)
{
    return ea_str_cmp(((const struct ea_requirement *)a)->id,
                      ((const struct ea_requirement *)b)->id);
}

const struct ea_requirement *ea_requirement_find(const struct ea_catalogue *c, struct ea_str id)
{
    size_t lo = 0, hi = c->n_requirements;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int d = ea_str_cmp(c->requirements[mid].id, id);

        if (d == 0)
            return &c->requirements[mid];
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static int load_kinds(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *kinds,
                      struct ea_err *err)
{
    for (size_t i = 0; kinds && i < kinds->n; i++) {
        const struct ea_val *k = ea_val_at(kinds, i);
        struct ea_gvr *g = ea_arena_zalloc(l->a, sizeof(*g));
        struct ea_str key;

        if (!g)
            return ea_fail(err, -E2BIG, "%.*s: too large", EA_STRF(f->path));
        g->group = ea_val_get_str(k, "group");
        g->version = ea_val_get_str(k, "version");
        g->resource = ea_val_get_str(k, "resource");
        g->kind = ea_val_get_str(k, "kind");
        g->subresource = EA_STR("");
        g->namespaced = ea_str_is(ea_val_get_str(k, "scope"), "namespaced");
        if (g->kind.n == 0 || g->resource.n == 0 || g->version.n == 0) {
            ea_problem_add(l, f, k, true, "a kind needs kind, version and resource");
            continue;
        }
        key = ea_arena_printf(l->a, "%.*s/%.*s", EA_STRF(g->group), EA_STRF(g->kind));
        if (!key.p)
            return ea_fail(err, -E2BIG, "%.*s: too large", EA_STRF(f->path));
        ea_map_put(&l->priv->kinds, key, g);
    }
    return 0;
}

static void load_requirement(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *q,
                             struct ea_requirement *ret)
{
    int level = ea_level_parse(ea_val_get_str(q, "level"));

    ret->id = ea_val_get_str(q, "id");
    ret->gist = ea_val_get_str(q, "gist");
    ret->automated = ea_val_getz(q, "automatedMonitoring") != NULL;
    if (ret->id.n == 0)
        ea_problem_add(l, f, q, true, "a requirement needs an id");
    if (level < 0)
        ea_problem_add(l, f, q, true, "requirement %.*s: level is not basic, substantial or high",
                       EA_STRF(ret->id));
    ret->level = level < 0 ? EA_HIGH : (enum ea_level)level;
}

static int load_controls(struct ea_loader *l, const struct ea_cfile *f,
                         const struct ea_val *controls, struct ea_err *err)
{
    struct ea_catalogue *c = &l->rs->catalogue;
    struct ea_requirement *v;
    size_t n = 0;

    for (size_t i = 0; i < controls->n; i++) {
        const struct ea_val *q = ea_val_getz(ea_val_at(controls, i), "requirements");

        n += ea_val_is(q, EA_V_LIST) ? q->n : 0;
    }
    v = ea_arena_zalloc(l->a, (n ? n : 1) * sizeof(*v));
    if (!v)
        return ea_fail(err, -E2BIG, "%.*s: too large", EA_STRF(f->path));
    c->requirements = v;
    c->n_controls = controls->n;
    for (size_t i = 0; i < controls->n; i++) {
        const struct ea_val *k = ea_val_at(controls, i);
        const struct ea_val *q = ea_val_getz(k, "requirements");

        for (size_t j = 0; ea_val_is(q, EA_V_LIST) && j < q->n; j++) {
            struct ea_requirement *r = &v[c->n_requirements++];

            load_requirement(l, f, ea_val_at(q, j), r);
            r->control = ea_val_get_str(k, "id");
            r->category = ea_val_get_str(k, "category");
        }
    }
    qsort(v, c->n_requirements, sizeof(*v), cmp_requirements);
    for (unsigned i = 1; i < c->n_requirements; i++)
        if (ea_str_eq(v[i - 1].id, v[i].id))
            ea_problem_add(l, f, controls, true, "requirement %.*s stands twice", EA_STRF(v[i].id));
    return 0;
}

/* The catalogue states how many of each it holds, so that a lost line is noticed. */
static int check_counts(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                        struct ea_err *err)
{
    const struct ea_catalogue *c = &l->rs->catalogue;
    const struct ea_val *counts = ea_val_getz(spec, "counts");
    unsigned by_level[EA_LEVEL_COUNT] = {0};
    const struct {
        const char *name;
        unsigned have;
    } want[] = {{"categories", c->n_categories},
                {"controls", c->n_controls},
                {"requirements", c->n_requirements}};

    if (!counts)
        return 0;
    for (unsigned i = 0; i < c->n_requirements; i++)
        by_level[c->requirements[i].level]++;
    for (size_t i = 0; i < EA_COUNT(want); i++)
        if (ea_val_get_int(counts, want[i].name, (int64_t)want[i].have) != (int64_t)want[i].have)
            return ea_fail(err, -EINVAL, "%.*s:%u: counts.%s is %lld, but the file holds %u",
                           EA_STRF(f->path), ea_yaml_line(&f->doc, counts), want[i].name,
                           (long long)ea_val_get_int(counts, want[i].name, 0), want[i].have);
    for (int i = 0; i < EA_LEVEL_COUNT; i++)
        if (ea_val_get_int(counts, ea_level_names[i], by_level[i]) != (int64_t)by_level[i])
            return ea_fail(
                err, -EINVAL, "%.*s:%u: counts.%s does not match the %u requirements of that level",
                EA_STRF(f->path), ea_yaml_line(&f->doc, counts), ea_level_names[i], by_level[i]);
    return 0;
}

int ea_catalogue_load(struct ea_loader *l, struct ea_err *err)
{
    struct ea_cfile *f = ea_files_find(l->priv, EA_STR("catalogue.yaml"));
    const struct ea_val *spec, *controls, *categories;
    int r;

    if (!f)
        return ea_fail(err, -ENOENT, "%s: catalogue.yaml is missing",
                       l->o->dir ? l->o->dir : "controls");
    if (!f->parsed)
        return ea_fail(err, -EINVAL, "%.*s: %.*s", EA_STRF(f->path), EA_STRF(f->error));
    f->used = true;
    spec = ea_val_getz(&f->doc.root, "spec");
    controls = ea_val_getz(spec, "controls");
    categories = ea_val_getz(spec, "categories");
    if (!ea_str_is(ea_val_get_str(&f->doc.root, "kind"), "Catalogue") ||
        !ea_val_is(controls, EA_V_LIST) || !ea_val_is(categories, EA_V_LIST))
        return ea_fail(
            err, -EINVAL,
            "%.*s:1: kind must be Catalogue, with lists spec.categories and spec.controls",
            EA_STRF(f->path));
    l->rs->catalogue.document = f->doc.root;
    l->rs->catalogue.n_categories = categories->n;
    r = load_controls(l, f, controls, err);
    if (r == 0)
        r = check_counts(l, f, spec, err);
    if (r == 0)
        r = load_kinds(l, f, ea_val_getz(spec, "kinds"), err);
    return r;
}

bool ea_ruleset_kind(const struct ea_ruleset *r, struct ea_str api_version, struct ea_str kind,
                     struct ea_gvr *ret)
{
    char key[512];
    struct ea_str group, version;
    const struct ea_gvr *g;
    int n;

    if (ea_builtin_kind(api_version, kind, ret))
        return true;
    ea_api_version_split(api_version, &group, &version);
    n = snprintf(key, sizeof(key), "%.*s/%.*s", EA_STRF(group), EA_STRF(kind));
    /* Core has one version; a manifest of "v2" is nothing that a server knows. */
    if (n < 0 || (size_t)n >= sizeof(key) || group.n == 0)
        return false;
    g = ea_map_find(&r->priv->kinds, ea_strn(key, (size_t)n));
    if (!g)
        return false;
    *ret = *g;
    return true;
}
