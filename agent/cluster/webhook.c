/* cluster/webhook.c - rendering and comparing the webhook configuration. */
#include "cluster/webhook.h"

#include <stdio.h>

/* What no webhook of ours may ever stand in the way of. */
static const struct {
    const char *group, *resource;
} never[] = {
    {"coordination.k8s.io", "leases"},
    {"", "events"},
    {"events.k8s.io", "events"},
    {"", "nodes/status"},
    {"", "bindings"},
    {"", "pods/binding"},
    {"authentication.k8s.io", "tokenreviews"},
    {"authentication.k8s.io", "selfsubjectreviews"},
    {"authorization.k8s.io", "subjectaccessreviews"},
    {"authorization.k8s.io", "selfsubjectaccessreviews"},
    {"authorization.k8s.io", "localsubjectaccessreviews"},
    {"authorization.k8s.io", "selfsubjectrulesreviews"},
};

static const char *const always_excluded[] = {"kube-node-lease", "kube-public", "kube-system"};

struct cell {
    struct ea_str group, version;
    char resource[160]; /* with subresource */
    char scope;         /* 'N', 'C', '*' */
    unsigned enforce, advise;
};

struct cells {
    struct cell *c;
    size_t n, size;
};

static bool wild(struct ea_str s)
{
    return s.n == 0 || memchr(s.p, '*', s.n);
}

static bool is_never(struct ea_str group, const char *resource)
{
    for (size_t i = 0; i < EA_COUNT(never); i++) {
        if (ea_str_is(group, never[i].group) && strcmp(resource, never[i].resource) == 0)
            return true;
    }
    return false;
}

static struct cell *cell_of(struct cells *l, const struct ea_match_rule *r, const char *resource)
{
    for (size_t i = 0; i < l->n; i++) {
        struct cell *c = &l->c[i];

        if (ea_str_eq(c->group, r->group) && ea_str_eq(c->version, r->version) &&
            strcmp(c->resource, resource) == 0)
            return c;
    }
    if (l->n == l->size) {
        l->size = l->size ? 2 * l->size : 64;
        l->c = ea_xrealloc(l->c, l->size * sizeof(*l->c));
    }
    l->c[l->n] = (struct cell){.group = r->group.p ? r->group : EA_STR(""),
                               .version = r->version,
                               .scope = r->scope ? r->scope : '*'};
    (void)snprintf(l->c[l->n].resource, sizeof(l->c[l->n].resource), "%s", resource);
    return &l->c[l->n++];
}

static void add_rule(struct cells *l, const struct ea_match_rule *r, bool denies)
{
    char resource[160];
    struct cell *c;
    int n;

    if (r->exclude || wild(r->resource) || wild(r->version) || (r->group.n && wild(r->group)) ||
        (r->subresource.n && wild(r->subresource)))
        return;
    n = snprintf(resource, sizeof(resource), "%.*s%s%.*s", EA_STRF(r->resource),
                 r->subresource.n ? "/" : "", EA_STRF(r->subresource));
    if (n < 0 || n >= (int)sizeof(resource) || is_never(r->group, resource))
        return;
    c = cell_of(l, r, resource);
    if (c->scope != (r->scope ? r->scope : '*'))
        c->scope = '*';
    c->advise |= r->ops;
    if (denies)
        c->enforce |=
            r->ops &
            ~(unsigned)EA_OP_DELETE; /* nothing may stand in the way of removing what is bad */
}

static int by_rule(const void *x, const void *y)
{
    const struct cell *a = x, *b = y;
    int c = ea_str_cmp(a->group, b->group);

    if (c == 0)
        c = ea_str_cmp(a->version, b->version);
    if (c == 0)
        c = strcmp(a->resource, b->resource);
    return c;
}

static void collect(const struct ea_ruleset *rs, enum ea_action ceiling, struct cells *l)
{
    for (unsigned i = 0; i < rs->n_controls; i++) {
        const struct ea_control *c = &rs->controls[i];
        bool denies = EA_MIN(c->action, ceiling) == EA_DENY && !c->missing_param;

        for (unsigned k = 0; k < c->n_rules && !c->node; k++)
            add_rule(l, &c->rules[k], denies);
    }
    if (l->n)
        qsort(l->c, l->n, sizeof(*l->c), by_rule);
    for (size_t i = 0; i < l->n; i++)
        l->c[i].advise &= ~l->c[i].enforce; /* each operation in exactly one webhook */
}

/* ---- JSON ---- */

static void put(struct ea_buf *b, const char *key, const char *value)
{
    ea_buf_addf(b, "\"%s\":", key);
    ea_buf_add_json(b, ea_str(value));
}

static void put_ops(struct ea_buf *b, unsigned ops)
{
    bool first = true;

    ea_buf_addz(b, "\"operations\":[");
    for (unsigned op = 1; op <= EA_OP_CONNECT; op <<= 1) {
        if (!(ops & op))
            continue;
        ea_buf_addf(b, "%s\"%s\"", first ? "" : ",", ea_op_name(op));
        first = false;
    }
    ea_buf_addc(b, ']');
}

static unsigned ops_of(const struct cell *c, bool enforce)
{
    return enforce ? c->enforce : c->advise;
}

static bool together(const struct cell *a, const struct cell *b, bool enforce)
{
    return ea_str_eq(a->group, b->group) && ea_str_eq(a->version, b->version) &&
           a->scope == b->scope && ops_of(a, enforce) == ops_of(b, enforce);
}

static void put_rule(struct ea_buf *b, const struct cells *l, size_t at, bool enforce, bool *done)
{
    const struct cell *c = &l->c[at];
    bool first = true;

    ea_buf_addz(b, "{\"apiGroups\":[");
    ea_buf_add_json(b, c->group);
    ea_buf_addz(b, "],\"apiVersions\":[");
    ea_buf_add_json(b, c->version);
    ea_buf_addz(b, "],");
    put_ops(b, ops_of(c, enforce));
    ea_buf_addz(b, ",\"resources\":[");
    for (size_t i = at; i < l->n; i++) {
        if (done[i] || !together(c, &l->c[i], enforce))
            continue;
        done[i] = true;
        if (!first)
            ea_buf_addc(b, ',');
        ea_buf_add_json(b, ea_str(l->c[i].resource));
        first = false;
    }
    ea_buf_addf(b, "],\"scope\":\"%s\"}",
                c->scope == 'N'   ? "Namespaced"
                : c->scope == 'C' ? "Cluster"
                                  : "*");
}

static void put_rules(struct ea_buf *b, const struct cells *l, bool enforce)
{
    bool *done = ea_xalloc(l->n + 1), first = true;

    ea_buf_addz(b, "\"rules\":[");
    for (size_t i = 0; i < l->n; i++) {
        if (done[i] || !ops_of(&l->c[i], enforce))
            continue;
        if (!first)
            ea_buf_addc(b, ',');
        put_rule(b, l, i, enforce, done);
        first = false;
    }
    ea_buf_addc(b, ']');
    free(done);
}

static void put_client(struct ea_buf *b, const struct ea_webhook_opts *o)
{
    bool token = o->token && *o->token;

    ea_buf_addz(b, "\"clientConfig\":{");
    if (o->ca_pem.n) {
        EA_AUTO_FREE char *enc = ea_base64((const uint8_t *)o->ca_pem.p, o->ca_pem.n);

        put(b, "caBundle", enc);
        ea_buf_addc(b, ',');
    }
    if (o->url && *o->url) {
        EA_AUTO_FREE char *url =
            ea_xasprintf("%s/validate%s%s", o->url, token ? "/" : "", token ? o->token : "");

        put(b, "url", url);
    } else {
        EA_AUTO_FREE char *path =
            ea_xasprintf("/validate%s%s", token ? "/" : "", token ? o->token : "");

        ea_buf_addz(b, "\"service\":{");
        put(b, "name", o->service);
        ea_buf_addc(b, ',');
        put(b, "namespace", o->service_ns);
        ea_buf_addc(b, ',');
        put(b, "path", path);
        ea_buf_addf(b, ",\"port\":%u}", o->service_port ? o->service_port : 443);
    }
    ea_buf_addc(b, '}');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_namespaces(struct ea_buf *b, const struct ea_webhook_opts *o)
{
    size_t n = 0, extra = 0;
    const char **names;

    while (o->exempt_namespaces && o->exempt_namespaces[extra])
        extra++;
    names = ea_xalloc((EA_COUNT(always_excluded) + extra + 1) * sizeof(*names));
    for (size_t i = 0; i < EA_COUNT(always_excluded); i++)
        names[n++] = always_excluded[i];
    for (size_t i = 0; i < extra; i++)
        names[n++] = o->exempt_namespaces[i];
    if (o->release_ns && *o->release_ns)
        names[n++] = o->release_ns;
    qsort(names, n, sizeof(*names), by_text);
    ea_buf_addz(b, "\"namespaceSelector\":{\"matchExpressions\":[{\"key\":\"kubernetes.io/"
                   "metadata.name\",\"operator\":\"NotIn\",\"values\":[");
    for (size_t i = 0; i < n; i++) {
        if (i && strcmp(names[i], names[i - 1]) == 0)
            continue;
        if (i)
            ea_buf_addc(b, ',');
        ea_buf_add_json(b, ea_str(names[i]));
    }
    ea_buf_addz(b, "]}]}");
    free(names);
}

static void put_webhook(struct ea_buf *b, const struct cells *l, const struct ea_webhook_opts *o,
                        bool enforce)
{
    ea_buf_addz(b, "{\"admissionReviewVersions\":[\"v1\"],");
    put_client(b, o);
    ea_buf_addf(b, ",\"failurePolicy\":\"%s\",", enforce && o->fail ? "Fail" : "Ignore");
    /* the API server itself and the kubelets must work when we do not */
    ea_buf_addz(b, "\"matchConditions\":["
                   "{\"expression\":\"request.userInfo.username != "
                   "'system:apiserver'\",\"name\":\"not-the-api-server\"},"
                   "{\"expression\":\"!('system:nodes' in "
                   "request.userInfo.groups)\",\"name\":\"not-a-kubelet\"}],"
                   "\"matchPolicy\":\"Equivalent\",");
    put(b, "name", enforce ? EA_WEBHOOK_ENFORCE : EA_WEBHOOK_ADVISE);
    ea_buf_addc(b, ',');
    put_namespaces(b, o);
    ea_buf_addz(b, ",\"objectSelector\":{},");
    put_rules(b, l, enforce);
    ea_buf_addf(b, ",\"sideEffects\":\"NoneOnDryRun\",\"timeoutSeconds\":%u}",
                o->timeout_s ? EA_MIN(o->timeout_s, 30u) : 3u);
}

static bool any(const struct cells *l, bool enforce)
{
    for (size_t i = 0; i < l->n; i++) {
        if (ops_of(&l->c[i], enforce))
            return true;
    }
    return false;
}

int ea_webhook_render(const struct ea_ruleset *rs, const struct ea_webhook_opts *o,
                      struct ea_buf *json, struct ea_err *err)
{
    struct cells l = {0};
    bool enforce;

    if (!(o->url && *o->url) && !(o->service && *o->service && o->service_ns && *o->service_ns))
        return ea_fail(err, -EINVAL,
                       "the webhook configuration needs a URL, or a Service and its namespace");
    collect(rs, o->enforcement, &l);
    ea_buf_addz(json, "{\"apiVersion\":\"admissionregistration.k8s.io/"
                      "v1\",\"kind\":\"ValidatingWebhookConfiguration\",\"metadata\":{"
                      "\"labels\":{\"app.kubernetes.io/managed-by\":\"eucs-agent\"},");
    put(json, "name", o->name);
    if (o->owner_role && *o->owner_role && o->owner_uid && *o->owner_uid) {
        ea_buf_addz(json, ",\"ownerReferences\":[{\"apiVersion\":\"rbac.authorization.k8s.io/"
                          "v1\",\"kind\":\"ClusterRole\",");
        put(json, "name", o->owner_role);
        ea_buf_addc(json, ',');
        put(json, "uid", o->owner_uid);
        ea_buf_addz(json, "}]");
    }
    ea_buf_addz(json, "},\"webhooks\":[");
    enforce = any(&l, true);
    if (enforce)
        put_webhook(json, &l, o, true);
    if (any(&l, false)) {
        if (enforce)
            ea_buf_addc(json, ',');
        put_webhook(json, &l, o, false);
    }
    ea_buf_addz(json, "]}");
    free(l.c);
    return json->failed ? ea_fail(err, -E2BIG, "the webhook configuration is too large") : 0;
}

/* ---- comparing ---- */

static void step(struct ea_buf *where, struct ea_str key)
{
    if (!where)
        return;
    if (where->n)
        ea_buf_addc(where, '.');
    ea_buf_adds(where, key);
}

bool ea_webhook_covers(const struct ea_val *want, const struct ea_val *live, struct ea_buf *where)
{
    size_t mark = where ? where->n : 0;

    if (!live || want->type != live->type)
        return false;
    if (want->type == EA_V_LIST) {
        bool same = want->n == live->n;

        for (uint32_t i = 0; i < want->n && same; i++) {
            char index[16];

            (void)snprintf(index, sizeof(index), "%u", i);
            step(where, ea_str(index));
            same = ea_webhook_covers(ea_val_at(want, i), ea_val_at(live, i), where);
            if (same && where)
                where->n = mark;
        }
        return same;
    }
    if (want->type != EA_V_MAP)
        return ea_val_equal(want, live);
    /* an empty selector matches everything: anything in it is a change */
    if (want->n == 0)
        return live->n == 0;
    for (uint32_t i = 0; i < want->n; i++) {
        struct ea_str key = ea_val_text(&want->members[i].key);

        step(where, key);
        if (!ea_webhook_covers(ea_val_force(&want->members[i].val), ea_val_get(live, key), where))
            return false;
        if (where)
            where->n = mark;
    }
    return true;
}
