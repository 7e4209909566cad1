/* app/scan_index.c - names over the whole input of a scan: resources of kinds, namespaces, joins.
 */
#include <stdio.h>

#include "app/scan_input.h"
#include "base/limits.h"
#include "controls/manifest.h"
#include "doc/build.h"

static const struct ea_val *lookup_namespace(void *arg, struct ea_arena *a, struct ea_str name)
{
    const struct ea_scan_index *x = arg;

    return ea_map_find(&x->namespaces, name);
}

static int lookup_list(void *arg, struct ea_arena *a, struct ea_str api_version, struct ea_str kind,
                       struct ea_str ns, size_t cap, struct ea_val *ret, bool *ret_complete)
{
    const struct ea_scan_index *x = arg;
    struct ea_listb b;

    *ret_complete = x->complete;
    ea_listb_init(&b, a);
    for (size_t i = 0; i < x->in->n; i++) {
        const struct ea_scan_object *o = &x->in->v[i];
        struct ea_subject s;

        if (!ea_str_eq(o->kind, kind) || !ea_str_eq(o->api_version, api_version))
            continue;
        if (ea_scan_subject(x, o, a, &s) < 0)
            return -E2BIG;
        if (ns.n && !ea_str_eq(s.namespace_, ns))
            continue;
        if (b.n >= cap) {
            *ret_complete = false;
            break;
        }
        ea_listb_add(&b, s.object);
    }
    *ret = ea_listb_end(&b);
    return b.failed ? -E2BIG : 0;
}

static void index_crd(struct ea_scan_index *x, const struct ea_val *crd)
{
    struct ea_gvr *g = ea_arena_zalloc(&x->arena, sizeof(*g));
    struct ea_str key;

    if (!g)
        return;
    g->group = ea_val_path_str(crd, "spec.group");
    g->kind = ea_val_path_str(crd, "spec.names.kind");
    g->resource = ea_val_path_str(crd, "spec.names.plural");
    g->namespaced = ea_str_is(ea_val_path_str(crd, "spec.scope"), "Namespaced");
    g->subresource = EA_STR("");
    key = ea_arena_printf(&x->arena, "%.*s/%.*s", EA_STRF(g->group), EA_STRF(g->kind));
    if (key.p && g->group.n && g->kind.n && g->resource.n)
        ea_map_put(&x->crds, key, g);
}

void ea_scan_index_init(struct ea_scan_index *x, const struct ea_ruleset *rs,
                        const struct ea_scan_input *in, bool complete)
{
    memset(x, 0, sizeof(*x));
    x->rs = rs;
    x->in = in;
    x->complete = complete;
    x->lookup = (struct ea_lookup){x, lookup_namespace, lookup_list};
    ea_map_init(&x->namespaces);
    ea_map_init(&x->crds);
    ea_arena_init(&x->arena, EA_ARENA_SCAN, 0);
    for (size_t i = 0; i < in->n; i++) {
        const struct ea_scan_object *o = &in->v[i];

        if (ea_str_is(o->kind, "Namespace") && ea_str_is(o->api_version, "v1")) {
            struct ea_str name = ea_val_path_str(&o->object, "metadata.name");

            if (name.n)
                ea_map_put(&x->namespaces, name, (void *)&o->object);
        } else if (ea_str_is(o->kind, "CustomResourceDefinition")) {
            index_crd(x, &o->object);
        }
    }
}

void ea_scan_index_done(struct ea_scan_index *x)
{
    ea_map_done(&x->namespaces, NULL);
    ea_map_done(&x->crds, NULL);
    ea_arena_done(&x->arena);
}

/* The plural that almost every custom resource has; only rules with wildcards can match it anyway.
 */
static struct ea_str plural(struct ea_arena *a, struct ea_str kind)
{
    struct ea_str s = ea_arena_printf(a, "%.*s", EA_STRF(kind));
    char last, before;

    if (!s.p || s.n < 2)
        return kind;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            ((char *)s.p)[i] = (char)(s.p[i] + 32);
    last = s.p[s.n - 1];
    before = s.p[s.n - 2];
    if (last == 'y' && !strchr("aeiou", before))
        return ea_arena_printf(a, "%.*sies", (int)s.n - 1, s.p);
    if (last == 's' || last == 'x' || (last == 'h' && (before == 'c' || before == 's')))
        return ea_arena_printf(a, "%.*ses", EA_STRF(s));
    return ea_arena_printf(a, "%.*ss", EA_STRF(s));
}

static void resolve(const struct ea_scan_index *x, const struct ea_scan_object *o,
                    struct ea_arena *a, struct ea_gvr *ret)
{
    struct ea_str group, version;
    const struct ea_gvr *crd;
    char key[512];
    int n;

    if (ea_ruleset_kind(x->rs, o->api_version, o->kind, ret))
        return;
    ea_api_version_split(o->api_version, &group, &version);
    n = snprintf(key, sizeof(key), "%.*s/%.*s", EA_STRF(group), EA_STRF(o->kind));
    crd = n > 0 && (size_t)n < sizeof(key) ? ea_map_find(&x->crds, ea_strn(key, (size_t)n)) : NULL;
    if (crd) {
        *ret = *crd;
        ret->version = version;
        return;
    }
    *ret = (struct ea_gvr){.group = group,
                           .version = version,
                           .resource = plural(a, o->kind),
                           .subresource = EA_STR(""),
                           .kind = o->kind,
                           .namespaced = true};
}

int ea_scan_subject(const struct ea_scan_index *x, const struct ea_scan_object *o,
                    struct ea_arena *a, struct ea_subject *ret)
{
    const struct ea_val *meta = ea_val_getz(&o->object, "metadata");
    struct ea_gvr ignored;
    struct ea_val object = o->object;

    memset(ret, 0, sizeof(*ret));
    resolve(x, o, a, &ret->gvr);
    ret->op = EA_OP_CREATE;
    ret->name = ea_val_get_str(meta, "name");
    if (ret->gvr.namespaced) {
        ret->namespace_ = ea_val_get_str(meta, "namespace");
        if (ret->namespace_.n == 0)
            ret->namespace_ = EA_STR("default");
    }
    /* An item of a typed list (PodList) says neither apiVersion nor kind; the API server shows
     * both. */
    if (!ea_val_getz(&object, "kind") || !ea_val_getz(&object, "apiVersion")) {
        struct ea_mapb b;

        ea_mapb_init(&b, a);
        ea_mapb_putz(&b, "apiVersion", ea_val_str(o->api_version));
        ea_mapb_putz(&b, "kind", ea_val_str(o->kind));
        for (size_t i = 0; i < object.n; i++) {
            struct ea_str k = ea_val_text(&object.members[i].key);

            if (!ea_str_is(k, "apiVersion") && !ea_str_is(k, "kind"))
                ea_mapb_put(&b, k, object.members[i].val);
        }
        if (b.failed)
            return -E2BIG;
        object = ea_mapb_end(&b);
    }
    return ea_manifest_complete(a, &ret->gvr, ea_builtin_kind(o->api_version, o->kind, &ignored),
                                ret->namespace_, &object, &ret->object);
}
