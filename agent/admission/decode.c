/* admission/decode.c - the bytes of an AdmissionReview to the subject that is judged. */
#include "admission/review.h"
#include "base/limits.h"
#include "doc/build.h"
#include "doc/json.h"

const char *const ea_caller_names[EA_CALLER_COUNT] = {NULL, "client-certificate", "path-token",
                                                      "none"};

static int wrong(struct ea_err *err, const char *path, const char *what)
{
    return ea_fail(err, -EINVAL, "AdmissionReview: %s %s", path, what);
}

/* A string member of `map`; required: present and not empty. 0 or -EINVAL. */
static int get_string(const struct ea_val *map, const char *key, const char *path, bool required,
                      struct ea_str *ret, struct ea_err *err)
{
    const struct ea_val *v = ea_val_get(map, ea_str(key));

    *ret = EA_STR("");
    if (v && v->type != EA_V_NULL && v->type != EA_V_STRING)
        return wrong(err, path, "must be a string");
    if (v && v->type == EA_V_STRING)
        *ret = ea_val_text(v);
    if (required && ret->n == 0)
        return wrong(err, path, "is missing");
    return 0;
}

static int get_map(const struct ea_val *map, const char *key, const char *path, bool required,
                   const struct ea_val **ret, struct ea_err *err)
{
    const struct ea_val *v = ea_val_get(map, ea_str(key));

    *ret = NULL;
    if (v && v->type != EA_V_NULL && v->type != EA_V_MAP)
        return wrong(err, path, "must be an object");
    if (v && v->type == EA_V_MAP)
        *ret = v;
    if (required && !*ret)
        return wrong(err, path, "is missing");
    return 0;
}

static int check_envelope(struct ea_review *rv, struct ea_err *err)
{
    struct ea_str api, kind;
    int rc;

    if (rv->root.type != EA_V_MAP)
        return ea_fail(err, -EINVAL, "the body is no AdmissionReview: a JSON object is expected");
    rc = get_string(&rv->root, "kind", "kind", true, &kind, err);
    if (rc == 0)
        rc = get_string(&rv->root, "apiVersion", "apiVersion", true, &api, err);
    if (rc)
        return rc;
    if (!ea_str_is(kind, "AdmissionReview"))
        return ea_fail(err, -EINVAL, "kind is \"%.*s\", AdmissionReview is expected",
                       EA_STRF(kind));
    if (!ea_str_is(api, "admission.k8s.io/v1"))
        return ea_fail(err, -EINVAL, "apiVersion is \"%.*s\", admission.k8s.io/v1 is expected",
                       EA_STRF(api));
    return get_map(&rv->root, "request", "request", true, &rv->request, err);
}

/* request.kind, .resource and .subResource. */
static int read_resource(struct ea_arena *a, struct ea_review *rv, struct ea_err *err)
{
    struct ea_gvr *g = &rv->subject.gvr;
    const struct ea_val *kind, *resource;
    struct ea_str group, version;
    int rc = get_map(rv->request, "kind", "request.kind", true, &kind, err);

    if (rc == 0)
        rc = get_map(rv->request, "resource", "request.resource", true, &resource, err);
    if (rc == 0)
        rc = get_string(kind, "group", "request.kind.group", false, &group, err);
    if (rc == 0)
        rc = get_string(kind, "version", "request.kind.version", true, &version, err);
    if (rc == 0)
        rc = get_string(kind, "kind", "request.kind.kind", true, &g->kind, err);
    if (rc == 0)
        rc = get_string(resource, "group", "request.resource.group", false, &g->group, err);
    if (rc == 0)
        rc = get_string(resource, "version", "request.resource.version", true, &g->version, err);
    if (rc == 0)
        rc = get_string(resource, "resource", "request.resource.resource", true, &g->resource, err);
    if (rc == 0)
        rc = get_string(rv->request, "subResource", "request.subResource", false, &g->subresource,
                        err);
    if (rc)
        return rc;
    rv->api_version =
        group.n ? ea_arena_printf(a, "%.*s/%.*s", EA_STRF(group), EA_STRF(version)) : version;
    return 0;
}

/* object and oldObject, as the operation demands them. */
static int read_objects(struct ea_review *rv, struct ea_err *err)
{
    struct ea_subject *s = &rv->subject;
    const struct ea_val *object, *old;
    bool needs_object = s->op == EA_OP_CREATE || s->op == EA_OP_UPDATE;
    int rc = get_map(rv->request, "object", "request.object", needs_object, &object, err);

    if (rc == 0)
        rc = get_map(rv->request, "oldObject", "request.oldObject", s->op == EA_OP_UPDATE, &old,
                     err);
    if (rc)
        return rc;
    s->object = object && s->op != EA_OP_DELETE ? *object : ea_val_null();
    s->old_object = old && (s->op == EA_OP_UPDATE || s->op == EA_OP_DELETE) ? *old : ea_val_null();
    return 0;
}

/* The name is missing with generateName, and in each review of a deletecollection: then the old
 * object has it. */
static int read_names(struct ea_review *rv, struct ea_err *err)
{
    struct ea_subject *s = &rv->subject;
    const struct ea_val *o = s->object.type == EA_V_MAP ? &s->object : &s->old_object, *meta;
    int rc = get_string(rv->request, "namespace", "request.namespace", false, &s->namespace_, err);

    if (rc == 0)
        rc = get_string(rv->request, "name", "request.name", false, &s->name, err);
    if (rc)
        return rc;
    meta = ea_val_getz(o, "metadata");
    if (s->name.n == 0 && s->op != EA_OP_CONNECT && ea_val_is(meta, EA_V_MAP))
        s->name = ea_val_get_str(meta, "name");
    if (ea_val_is(meta, EA_V_MAP))
        rv->object_uid = ea_val_get_str(meta, "uid");
    /* A Namespace is in itself, says its request; for us it is cluster-scoped. */
    s->gvr.namespaced =
        s->namespace_.n > 0 && !(s->gvr.group.n == 0 && ea_str_is(s->gvr.resource, "namespaces"));
    if (!s->gvr.namespaced)
        s->namespace_ = EA_STR("");
    return 0;
}

static int read_caller(struct ea_review *rv, struct ea_err *err)
{
    const struct ea_val *user, *dry = ea_val_getz(rv->request, "dryRun");
    int rc = get_map(rv->request, "userInfo", "request.userInfo", false, &user, err);

    if (rc == 0 && user)
        rc = get_string(user, "username", "request.userInfo.username", false, &rv->user, err);
    if (rc == 0 && dry && dry->type != EA_V_NULL && dry->type != EA_V_BOOL)
        rc = wrong(err, "request.dryRun", "must be true or false");
    rv->dry_run = ea_val_is(dry, EA_V_BOOL) && dry->b;
    return rc;
}

/* The request as CEL sees it: everything but the objects, which have variables of their own, and
 * the uid. */
static int make_request(struct ea_arena *a, struct ea_review *rv, struct ea_err *err)
{
    struct ea_mapb b;

    ea_mapb_init(&b, a);
    for (uint32_t i = 0; i < rv->request->n; i++) {
        struct ea_str key = ea_val_text(&rv->request->members[i].key);

        if (!ea_str_is(key, "object") && !ea_str_is(key, "oldObject") && !ea_str_is(key, "uid"))
            ea_mapb_put(&b, key, rv->request->members[i].val);
    }
    rv->subject.request = ea_mapb_end(&b);
    return b.failed ? ea_fail(err, -E2BIG, "the review does not fit in memory") : 0;
}

/* Objects of sub-resources that carry no workload: the rules of a careless control might still name
 * them. */
static bool carries_nothing(const struct ea_review *rv)
{
    static const char *const kinds[][2] = {{"autoscaling/v1", "Scale"},
                                           {"policy/v1", "Eviction"},
                                           {"policy/v1beta1", "Eviction"},
                                           {"v1", "Binding"},
                                           {"authentication.k8s.io/v1", "TokenRequest"}};

    for (size_t i = 0; rv->subject.gvr.subresource.n && i < EA_COUNT(kinds); i++)
        if (ea_str_is(rv->api_version, kinds[i][0]) && ea_str_is(rv->subject.gvr.kind, kinds[i][1]))
            return true;
    return false;
}

int ea_review_decode(const struct ea_review_env *env, struct ea_arena *a, struct ea_str body,
                     struct ea_review *ret, struct ea_err *err)
{
    int rc;

    (void)env;
    memset(ret, 0, sizeof(*ret));
    ret->body = body;
    ret->user = ret->object_uid = EA_STR("");
    if (body.n == 0)
        return ea_fail(err, -EINVAL, "the body is empty: an AdmissionReview is expected");
    rc = ea_json_parse(a, body, &ea_json_review_opts, &ret->root, NULL, err);
    if (rc)
        return ea_wrap(err, "the body is no JSON that is accepted here");
    rc = check_envelope(ret, err);
    if (rc == 0)
        rc = get_string(ret->request, "uid", "request.uid", true, &ret->uid, err);
    if (rc == 0 && ret->uid.n > 256)
        rc = wrong(err, "request.uid", "is longer than 256 bytes");
    if (rc == 0)
        rc = get_string(ret->request, "operation", "request.operation", true, &ret->operation, err);
    if (rc)
        return rc;
    ret->subject.op = ea_op_parse(ret->operation);
    if (!ret->subject.op)
        return wrong(err, "request.operation", "must be CREATE, UPDATE, DELETE or CONNECT");
    ret->subject.has_request = true;
    rc = read_resource(a, ret, err);
    if (rc == 0)
        rc = read_objects(ret, err);
    if (rc == 0)
        rc = read_names(ret, err);
    if (rc == 0)
        rc = read_caller(ret, err);
    if (rc == 0)
        rc = make_request(a, ret, err);
    ret->nothing_judged = rc == 0 && carries_nothing(ret);
    return rc;
}
