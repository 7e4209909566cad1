/* kube/discovery.c - /api and /apis into a table. */
#include "kube/discovery.h"

#include "base/limits.h"
#include "doc/build.h"

#include <stdio.h>

#define DISCOVERY_ARENA (64u << 20) /* bytes; a cluster with hundreds of CRDs needs about 1 MiB */

static bool has_verb(const struct ea_val *verbs, const char *verb)
{
    for (size_t i = 0; ea_val_is(verbs, EA_V_LIST) && i < verbs->n; i++) {
        const struct ea_val *v = ea_val_at(verbs, i);

        if (ea_val_is(v, EA_V_STRING) && ea_str_is(ea_val_text(v), verb))
            return true;
    }
    return false;
}

static void fill(struct ea_discovery *d, struct ea_api_resource *r, const struct ea_val *v,
                 struct ea_str group, struct ea_str version, bool preferred)
{
    const struct ea_val *verbs = ea_val_getz(v, "verbs");

    *r = (struct ea_api_resource){.group = group,
                                  .version = version,
                                  .resource = ea_arena_str(&d->arena, ea_val_get_str(v, "name")),
                                  .kind = ea_arena_str(&d->arena, ea_val_get_str(v, "kind")),
                                  .namespaced = ea_val_get_bool(v, "namespaced", false),
                                  .preferred = preferred,
                                  .get = has_verb(verbs, "get"),
                                  .list = has_verb(verbs, "list"),
                                  .watch = has_verb(verbs, "watch"),
                                  .create = has_verb(verbs, "create"),
                                  .update = has_verb(verbs, "update"),
                                  .delete_ = has_verb(verbs, "delete")};
}

int ea_discovery_add(struct ea_discovery *d, const struct ea_val *list, bool preferred,
                     struct ea_err *err)
{
    const struct ea_val *l = ea_val_getz(list, "resources");
    struct ea_str gv = ea_val_get_str(list, "groupVersion"), version, group;
    struct ea_api_resource *r;
    size_t n = d->n;

    if (!gv.n || !ea_val_is(l, EA_V_LIST))
        return ea_fail(err, -EINVAL, "no APIResourceList");
    gv = ea_arena_str(&d->arena, gv);
    group = ea_str_cut(gv, '/', &version);
    if (!version.p) {
        version = group;
        group = EA_STR("");
    }
    r = ea_arena_alloc(&d->arena, (d->n + l->n + 1) * sizeof(*r));
    if (!r || !gv.p)
        return ea_fail(err, -E2BIG, "too many resources");
    if (d->n)
        memcpy(r, d->r, d->n * sizeof(*r));
    for (size_t i = 0; i < l->n; i++) {
        const struct ea_val *v = ea_val_at(l, i);
        struct ea_str name = ea_val_get_str(v, "name");

        if (name.n && !memchr(name.p, '/', name.n))
            fill(d, &r[n++], v, group, version, preferred);
    }
    d->r = r;
    d->n = n;
    return 0;
}

static int missing(struct ea_discovery *d, struct ea_str gv)
{
    struct ea_str *m = ea_arena_alloc(&d->arena, (d->n_missing + 1) * sizeof(*m));

    if (!m)
        return -E2BIG;
    if (d->n_missing)
        memcpy(m, d->missing, d->n_missing * sizeof(*m));
    m[d->n_missing++] = ea_arena_str(&d->arena, gv);
    d->missing = m;
    return 0;
}

static int load_group(struct ea_kube *k, struct ea_discovery *d, const char *prefix,
                      struct ea_str gv, bool preferred, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val v;
    char path[512];
    int rc;

    if (gv.n > 400)
        return missing(d, gv);
    (void)snprintf(path, sizeof(path), "%s/%.*s", prefix, EA_STRF(gv));
    ea_arena_init(&a, 2 * DISCOVERY_ARENA, 0);
    rc = ea_kube_call(k, "GET", path, NULL, EA_STR_NULL, &a, &v, NULL);
    rc = rc ? rc : ea_discovery_add(d, &v, preferred, NULL);
    ea_arena_done(&a);
    if (rc == -ECANCELED || rc == -E2BIG)
        return ea_fail(err, rc, "discovery of %.*s", EA_STRF(gv));
    return rc ? missing(d, gv) : 0;
}

static int load_core(struct ea_kube *k, struct ea_discovery *d, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val v;
    int rc;

    ea_arena_init(&a, DISCOVERY_ARENA, 0);
    rc = ea_kube_call(k, "GET", "/api", NULL, EA_STR_NULL, &a, &v, err);
    const struct ea_val *l = rc ? NULL : ea_val_getz(&v, "versions");
    for (size_t i = 0; rc == 0 && ea_val_is(l, EA_V_LIST) && i < l->n; i++) {
        const struct ea_val *e = ea_val_at(l, i);

        if (ea_val_is(e, EA_V_STRING))
            rc = load_group(k, d, "/api", ea_val_text(e), i == 0, err);
    }
    ea_arena_done(&a);
    return rc;
}

static int load_groups(struct ea_kube *k, struct ea_discovery *d, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_val v;
    unsigned n = 0;
    int rc;

    ea_arena_init(&a, DISCOVERY_ARENA, 0);
    rc = ea_kube_call(k, "GET", "/apis", NULL, EA_STR_NULL, &a, &v, err);
    const struct ea_val *groups = rc ? NULL : ea_val_getz(&v, "groups");
    for (size_t i = 0; rc == 0 && ea_val_is(groups, EA_V_LIST) && i < groups->n; i++) {
        const struct ea_val *g = ea_val_at(groups, i), *versions = ea_val_getz(g, "versions");
        struct ea_str preferred = ea_val_path_str(g, "preferredVersion.groupVersion");

        for (size_t j = 0; rc == 0 && ea_val_is(versions, EA_V_LIST) && j < versions->n; j++) {
            struct ea_str gv = ea_val_get_str(ea_val_at(versions, j), "groupVersion");

            if (++n > EA_MAX_DISCOVERY_GROUPS)
                rc = ea_fail(err, -E2BIG, "more than %u API group versions",
                             EA_MAX_DISCOVERY_GROUPS);
            else
                rc = load_group(k, d, "/apis", gv, ea_str_eq(gv, preferred), err);
        }
    }
    ea_arena_done(&a);
    return rc;
}

int ea_discovery_load(struct ea_kube *k, struct ea_discovery **ret, struct ea_err *err)
{
    struct ea_discovery *d = ea_xalloc(sizeof(*d));
    int rc;

    ea_arena_init(&d->arena, DISCOVERY_ARENA, 0);
    rc = load_core(k, d, err);
    if (rc == 0)
        rc = load_groups(k, d, err);
    if (rc) {
        ea_discovery_free(d);
        return ea_wrap(err, "discovery");
    }
    *ret = d;
    return 0;
}

void ea_discovery_free(struct ea_discovery *d)
{
    if (!d)
        return;
    ea_arena_done(&d->arena);
    free(d);
}

const struct ea_api_resource *ea_discovery_kind(const struct ea_discovery *d,
                                                struct ea_str api_version, struct ea_str kind)
{
    struct ea_str version, group = ea_str_cut(api_version, '/', &version);

    if (!version.p) {
        version = group;
        group = EA_STR("");
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct ea_api_resource *r = &d->r[i];

        if (ea_str_eq(r->kind, kind) && ea_str_eq(r->group, group) &&
            ea_str_eq(r->version, version))
            return r;
    }
    return NULL;
}

const struct ea_api_resource *ea_discovery_resource(const struct ea_discovery *d,
                                                    struct ea_str group, struct ea_str version,
                                                    struct ea_str resource)
{
    for (size_t i = 0; i < d->n; i++) {
        const struct ea_api_resource *r = &d->r[i];

        if (ea_str_eq(r->resource, resource) && ea_str_eq(r->group, group) &&
            (version.n ? ea_str_eq(r->version, version) : r->preferred))
            return r;
    }
    return NULL;
}
