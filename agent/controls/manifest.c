/* controls/manifest.c - null fields and the few defaults that controls read. */
#include "base/limits.h"
#include "controls/manifest.h"
#include "doc/build.h"

/* ---- null is absent ---- */

static bool has_null(const struct ea_val *v, unsigned depth)
{
    v = ea_val_force(v);
    if (depth > EA_MAX_DEPTH)
        return false;
    if (v->type == EA_V_MAP) {
        for (size_t i = 0; i < v->n; i++) {
            const struct ea_val *m = ea_val_force(&v->members[i].val);

            if (m->type == EA_V_NULL ||
                ((m->type == EA_V_MAP || m->type == EA_V_LIST) && has_null(m, depth + 1)))
                return true;
        }
    } else if (v->type == EA_V_LIST) {
        for (size_t i = 0; i < v->n; i++)
            if (has_null(ea_val_at(v, i), depth + 1))
                return true;
    }
    return false;
}

static struct ea_val without_null(struct ea_arena *a, const struct ea_val *v, unsigned depth,
                                  int *failed)
{
    v = ea_val_force(v);
    if (depth > EA_MAX_DEPTH || !has_null(v, depth))
        return *v;
    if (v->type == EA_V_LIST) {
        struct ea_listb b;

        ea_listb_init(&b, a);
        for (size_t i = 0; i < v->n; i++)
            ea_listb_add(&b, without_null(a, ea_val_at(v, i), depth + 1, failed));
        *failed |= b.failed;
        return ea_listb_end(&b);
    }
    if (v->type == EA_V_MAP) {
        struct ea_mapb b;

        ea_mapb_init(&b, a);
        for (size_t i = 0; i < v->n; i++) {
            const struct ea_val *m = ea_val_force(&v->members[i].val);

            if (m->type != EA_V_NULL)
                ea_mapb_put(&b, ea_val_text(&v->members[i].key),
                            without_null(a, m, depth + 1, failed));
        }
        *failed |= b.failed;
        return ea_mapb_end(&b);
    }
    return *v;
}

/* ---- defaults ---- */

enum dflt {
    D_STRING, /* the text */
    D_COPY,   /* the value of the sibling field named by the text */
    D_POLICY_TYPES,
    D_SUBJECT_GROUP
};

/* One default: kind "*pod" is every kind with a pod spec, seen from that spec. A path ends in []
 * where every item is meant. */
static const struct {
    const char *group, *kind, *path, *field;
    enum dflt how;
    const char *text;
} defaults[] = {
    {"", "Service", "spec", "type", D_STRING, "ClusterIP"},
    {"", "Secret", "", "type", D_STRING, "Opaque"},
    {"", "*pod", "", "serviceAccountName", D_COPY, "serviceAccount"},
    {"", "*pod", "", "serviceAccountName", D_STRING, "default"},
    {"networking.k8s.io", "NetworkPolicy", "spec", "policyTypes", D_POLICY_TYPES, NULL},
    {"rbac.authorization.k8s.io", "RoleBinding", "roleRef", "apiGroup", D_STRING,
     "rbac.authorization.k8s.io"},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", "roleRef", "apiGroup", D_STRING,
     "rbac.authorization.k8s.io"},
    {"rbac.authorization.k8s.io", "RoleBinding", "subjects[]", "apiGroup", D_SUBJECT_GROUP, NULL},
    {"rbac.authorization.k8s.io", "ClusterRoleBinding", "subjects[]", "apiGroup", D_SUBJECT_GROUP,
     NULL},
    {"storage.k8s.io", "StorageClass", "", "reclaimPolicy", D_STRING, "Delete"},
    {"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "webhooks[]",
     "failurePolicy", D_STRING, "Fail"},
    {"admissionregistration.k8s.io", "MutatingWebhookConfiguration", "webhooks[]", "failurePolicy",
     D_STRING, "Fail"},
};

static const struct {
    const char *group, *kind, *path;
} pod_specs[] = {
    {"", "Pod", "spec"},
    {"", "PodTemplate", "template.spec"},
    {"", "ReplicationController", "spec.template.spec"},
    {"apps", "Deployment", "spec.template.spec"},
    {"apps", "StatefulSet", "spec.template.spec"},
    {"apps", "DaemonSet", "spec.template.spec"},
    {"apps", "ReplicaSet", "spec.template.spec"},
    {"batch", "Job", "spec.template.spec"},
    {"batch", "CronJob", "spec.jobTemplate.spec.template.spec"},
};

static struct ea_val policy_types(struct ea_arena *a, const struct ea_val *spec)
{
    static const struct ea_val words[2] = {{.type = EA_V_STRING, .n = 7, .s = "Ingress"},
                                           {.type = EA_V_STRING, .n = 6, .s = "Egress"}};
    const struct ea_val *egress = ea_val_getz(spec, "egress");

    return ea_val_list(words, ea_val_is(egress, EA_V_LIST) && egress->n > 0 ? 2 : 1);
}

/* The map with one more member. */
static struct ea_val with(struct ea_arena *a, const struct ea_val *map, struct ea_str key,
                          struct ea_val v, int *failed)
{
    struct ea_mapb b;

    ea_mapb_init(&b, a);
    for (size_t i = 0; i < map->n; i++)
        if (!ea_str_eq(ea_val_text(&map->members[i].key), key))
            ea_mapb_put(&b, ea_val_text(&map->members[i].key), map->members[i].val);
    ea_mapb_put(&b, key, v);
    *failed |= b.failed;
    return ea_mapb_end(&b);
}

static struct ea_val set_default(struct ea_arena *a, const struct ea_val *map, size_t d,
                                 int *failed)
{
    struct ea_str field = ea_str(defaults[d].field);
    struct ea_val v;

    if (!ea_val_is(map, EA_V_MAP) || ea_val_get(map, field))
        return *map;
    switch (defaults[d].how) {
    case D_STRING:
        v = ea_val_str(ea_str(defaults[d].text));
        break;
    case D_COPY: {
        const struct ea_val *other = ea_val_get(map, ea_str(defaults[d].text));

        if (!other)
            return *map;
        v = *other;
        break;
    }
    case D_POLICY_TYPES:
        v = policy_types(a, map);
        break;
    case D_SUBJECT_GROUP:
    default:
        v = ea_val_str(ea_str_is(ea_val_get_str(map, "kind"), "ServiceAccount")
                           ? EA_STR("")
                           : EA_STR("rbac.authorization.k8s.io"));
        break;
    }
    return with(a, map, field, v, failed);
}

/* Applies default d to what lies at path below v ("" = v itself). */
static struct ea_val apply_at(struct ea_arena *a, const struct ea_val *v, struct ea_str path,
                              size_t d, int *failed)
{
    struct ea_str rest, key = ea_str_cut(path, '.', &rest);
    const struct ea_val *child;
    struct ea_val changed;
    bool every = ea_str_ends(key, EA_STR("[]"));

    v = ea_val_force(v);
    if (path.n == 0)
        return set_default(a, v, d, failed);
    if (every)
        key.n -= 2;
    child = ea_val_get(v, key);
    if (!child)
        return *v;
    if (!every) {
        changed = apply_at(a, child, rest, d, failed);
        if (changed.type == child->type && changed.n == child->n && changed.ptr == child->ptr)
            return *v;
        return with(a, v, key, changed, failed);
    }
    if (child->type != EA_V_LIST)
        return *v;
    struct ea_listb b;

    ea_listb_init(&b, a);
    for (size_t i = 0; i < child->n; i++)
        ea_listb_add(&b, apply_at(a, ea_val_at(child, i), rest, d, failed));
    *failed |= b.failed;
    return with(a, v, key, ea_listb_end(&b), failed);
}

static const char *pod_spec_path(const struct ea_gvr *gvr)
{
    for (size_t i = 0; i < EA_COUNT(pod_specs); i++)
        if (ea_str_is(gvr->kind, pod_specs[i].kind) && ea_str_is(gvr->group, pod_specs[i].group))
            return pod_specs[i].path;
    return NULL;
}

static struct ea_val with_defaults(struct ea_arena *a, const struct ea_gvr *gvr, struct ea_val v,
                                   int *failed)
{
    const char *pod = pod_spec_path(gvr);

    for (size_t i = 0; i < EA_COUNT(defaults); i++) {
        if (strcmp(defaults[i].kind, "*pod") == 0) {
            if (pod)
                v = apply_at(a, &v, ea_str(pod), i, failed);
        } else if (ea_str_is(gvr->kind, defaults[i].kind) &&
                   ea_str_is(gvr->group, defaults[i].group)) {
            v = apply_at(a, &v, ea_str(defaults[i].path), i, failed);
        }
    }
    return v;
}

int ea_manifest_complete(struct ea_arena *a, const struct ea_gvr *gvr, bool builtin,
                         struct ea_str ns, const struct ea_val *object, struct ea_val *ret)
{
    const struct ea_val *meta;
    int failed = 0;
    struct ea_val v = *ea_val_force(object);

    if (v.type == EA_V_MAP && builtin) {
        v = without_null(a, &v, 0, &failed);
        v = with_defaults(a, gvr, v, &failed);
    }
    meta = ea_val_getz(&v, "metadata");
    if (v.type == EA_V_MAP && gvr->namespaced && ns.n && ea_val_get_str(meta, "namespace").n == 0) {
        static const struct ea_val empty = {.type = EA_V_MAP};
        struct ea_val m = with(a, ea_val_is(meta, EA_V_MAP) ? meta : &empty, EA_STR("namespace"),
                               ea_val_str(ns), &failed);

        v = with(a, &v, EA_STR("metadata"), m, &failed);
    }
    *ret = v;
    return failed ? -E2BIG : 0;
}
