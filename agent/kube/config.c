/* kube/config.c - credentials: kept, read again, replaced. */
#include "kube/config_priv.h"

#include "base/fd.h"
#include "base/limits.h"

#include <stdio.h>

#define REREAD_US                                                                                  \
    (60ull * 1000000) /* files may be rotated under us (bound tokens: at 80 % of their life) */
#define REJECT_PAUSE_US                                                                            \
    (10ull *                                                                                       \
     1000000) /* a server that refuses everybody must not make us run the plugin in a loop */
#define EXPIRY_LEEWAY_US (10ll * 1000000)

void kube_blob_free(struct kube_blob *b)
{
    if (b->p)
        explicit_bzero(b->p, b->n);
    free(b->p);
    *b = (struct kube_blob){NULL, 0};
}

struct kube_blob kube_blob_dup(struct ea_str s)
{
    return (struct kube_blob){ea_str_dupz(s), s.n};
}

static bool blob_eq(const struct kube_blob *a, const struct kube_blob *b)
{
    return (a->p == NULL) == (b->p == NULL) && a->n == b->n &&
           ea_str_eq(ea_strn(a->p ? a->p : "", a->n), ea_strn(b->p ? b->p : "", b->n));
}

struct ea_kube_creds *ea_kube_creds_ref(struct ea_kube_creds *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void ea_kube_creds_unref(struct ea_kube_creds *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    kube_blob_free(&k->ca);
    kube_blob_free(&k->cert);
    kube_blob_free(&k->key);
    kube_blob_free(&k->token);
    kube_blob_free(&k->basic);
    free(k);
}

uint64_t ea_kube_creds_tls_generation(const struct ea_kube_creds *k)
{
    return k->tls_generation;
}

int ea_kube_creds_authorize(const struct ea_kube_creds *k, struct ea_buf *b)
{
    if (k->token.p) {
        ea_buf_addz(b, "Bearer ");
        return ea_buf_add(b, k->token.p, k->token.n);
    }
    if (k->basic.p) {
        char *enc = ea_base64((const uint8_t *)k->basic.p, k->basic.n);
        int rc;

        ea_buf_addz(b, "Basic ");
        rc = ea_buf_addz(b, enc);
        explicit_bzero(enc, strlen(enc));
        free(enc);
        return rc;
    }
    return 0;
}

struct ea_kube_config *kube_config_new(void)
{
    struct ea_kube_config *c = ea_xalloc(sizeof(*c));

    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

struct ea_kube_config *ea_kube_config_ref(struct ea_kube_config *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

static void source_free(struct kube_source *s)
{
    kube_blob_free(&s->data);
    free(s->file);
}

void ea_kube_config_unref(struct ea_kube_config *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    ea_kube_creds_unref(c->creds);
    source_free(&c->ca);
    source_free(&c->cert);
    source_free(&c->key);
    source_free(&c->token);
    kube_blob_free(&c->basic);
    kube_exec_free(c->exec);
    free(c->server);
    free(c->namespace_);
    free(c->tls_server_name);
    free(c->proxy);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

const char *ea_kube_config_server(const struct ea_kube_config *c)
{
    return c->server;
}

const char *ea_kube_config_namespace(const struct ea_kube_config *c)
{
    return c->namespace_ ? c->namespace_ : "default";
}

bool ea_kube_config_is_in_cluster(const struct ea_kube_config *c)
{
    return c->in_cluster;
}

/* ---- in the cluster ---- */

static int in_cluster_server(char **ret, struct ea_err *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");

    if (!host || !*host)
        return ea_fail(err, -ENOENT,
                       "KUBERNETES_SERVICE_HOST is not set: this does not run in a pod");
    if (!port || !*port)
        port = "443";
    *ret = strchr(host, ':') ? ea_xasprintf("https://[%s]:%s", host, port)
                             : ea_xasprintf("https://%s:%s", host, port);
    return 0;
}

int ea_kube_config_in_cluster(const char *root, struct ea_kube_config **ret, struct ea_err *err)
{
    struct ea_kube_config *c = kube_config_new();
    EA_AUTO_FREE char *ns_file = NULL;
    char *ns = NULL;
    size_t n;
    int rc;

    if (!root)
        root = "/var/run/secrets/kubernetes.io/serviceaccount";
    c->in_cluster = true;
    rc = in_cluster_server(&c->server, err);
    if (rc) {
        ea_kube_config_unref(c);
        return rc;
    }
    c->token.file = ea_xasprintf("%s/token", root);
    c->ca.file = ea_xasprintf("%s/ca.crt", root);
    ns_file = ea_xasprintf("%s/namespace", root);
    if (ea_read_file(ns_file, 4096, &ns, &n, NULL) == 0) {
        c->namespace_ = ea_str_dupz(ea_str_trim(ea_strn(ns, n)));
        free(ns);
    }
    struct ea_kube_creds *k = NULL;
    rc = ea_kube_config_creds(c, &k, err); /* fails now rather than at the first call */
    if (rc) {
        ea_kube_config_unref(c);
        return rc;
    }
    ea_kube_creds_unref(k);
    *ret = c;
    return 0;
}

/* ---- credentials ---- */

static int read_source(const struct kube_source *s, struct kube_blob *ret, const char *what,
                       struct ea_err *err)
{
    char *p;
    size_t n;
    int rc;

    if (s->data.p) {
        *ret = kube_blob_dup(ea_strn(s->data.p, s->data.n));
        return 0;
    }
    if (!s->file)
        return 0;
    rc = ea_read_file(s->file, EA_MAX_CREDENTIAL, &p, &n, err);
    if (rc) {
        ea_wrap(err, "reading the %s", what);
        return rc;
    }
    *ret = (struct kube_blob){p, n};
    return 0;
}

/* A token from a file ends at the first white space at its end; one in the middle would split the
 * header. */
static int trim_token(struct kube_blob *t, struct ea_err *err)
{
    if (!t->p)
        return 0;
    while (t->n && strchr(" \t\r\n", t->p[t->n - 1]))
        t->p[--t->n] = 0;
    for (size_t i = 0; i < t->n; i++) {
        if ((unsigned char)t->p[i] <= ' ' || (unsigned char)t->p[i] == 127)
            return ea_fail(err, -EINVAL, "the token holds a space or control character");
    }
    if (t->n == 0)
        return ea_fail(err, -EACCES, "the token is empty");
    return 0;
}

static int read_creds(struct ea_kube_config *c, struct ea_kube_creds **ret, struct ea_err *err)
{
    struct ea_kube_creds *k = ea_xalloc(sizeof(*k));
    int rc;

    atomic_init(&k->refs, 1);
    rc = read_source(&c->ca, &k->ca, "certificate authority", err);
    if (!rc && c->exec)
        rc = kube_exec_run(c->exec, k, err);
    if (!rc && !k->cert.p)
        rc = read_source(&c->cert, &k->cert, "client certificate", err);
    if (!rc && !k->key.p)
        rc = read_source(&c->key, &k->key, "client key", err);
    if (!rc && !k->token.p)
        rc = read_source(&c->token, &k->token, "token", err);
    if (!rc)
        rc = trim_token(&k->token, err);
    if (!rc && c->basic.p)
        k->basic = kube_blob_dup(ea_strn(c->basic.p, c->basic.n));
    if (rc) {
        ea_kube_creds_unref(k);
        return rc;
    }
    *ret = k;
    return 0;
}

static bool expired(const struct ea_kube_creds *k)
{
    return k->expires && ea_wall_now() + EXPIRY_LEEWAY_US >= k->expires;
}

static bool due(const struct ea_kube_config *c, ea_mono_us now)
{
    if (!c->creds || expired(c->creds))
        return true;
    if (c->rejected && (!c->rejected_at || now - c->rejected_at >= REJECT_PAUSE_US))
        return true;
    /* a plugin is not run on a clock: its answer says how long it is good */
    return !c->exec && now - c->read_at >= REREAD_US;
}

int ea_kube_config_creds(struct ea_kube_config *c, struct ea_kube_creds **ret, struct ea_err *err)
{
    ea_mono_us now = ea_mono_now();
    int rc = 0;

    pthread_mutex_lock(&c->lock);
    if (due(c, now)) {
        struct ea_kube_creds *k = NULL;

        rc = read_creds(c, &k, err);
        if (rc == 0) {
            bool same = c->creds && blob_eq(&c->creds->ca, &k->ca) &&
                        blob_eq(&c->creds->cert, &k->cert) && blob_eq(&c->creds->key, &k->key);

            if (!same)
                c->generation++;
            k->tls_generation = c->generation;
            ea_kube_creds_unref(c->creds);
            c->creds = k;
            if (c->rejected)
                c->rejected_at = now;
            c->rejected = false;
            c->read_at = now;
        } else if (c->creds && !expired(c->creds)) {
            rc = 0; /* a file that cannot be read for a moment (rotation): what we have is still
                       good */
            c->read_at = now;
        }
    }
    if (rc == 0) {
        *ret = ea_kube_creds_ref(c->creds);
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

void ea_kube_config_rejected(struct ea_kube_config *c, const struct ea_kube_creds *k)
{
    pthread_mutex_lock(&c->lock);
    if (c->creds == k)
        c->rejected = true;
    pthread_mutex_unlock(&c->lock);
}

void ea_kube_config_http(const struct ea_kube_config *c, const struct ea_kube_creds *k,
                         struct ea_http_opts *o)
{
    o->base_url = c->server;
    o->ca_pem = ea_strn(k->ca.p, k->ca.n);
    o->cert_pem = ea_strn(k->cert.p, k->cert.n);
    o->key_pem = ea_strn(k->key.p, k->key.n);
    o->ca_file = o->cert_file = o->key_file = NULL;
    o->tls_server_name = c->tls_server_name;
    o->proxy = c->proxy;
    o->insecure_skip_verify = c->insecure;
}
