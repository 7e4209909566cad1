/* kube/client.c - single calls: connection, retry, codes. */
#include "kube/client.h"

#include "base/limits.h"
#include "doc/json.h"

#include <sys/random.h>

#define TRIES 10u
#define TOTAL_MS 30000u
#define CONNECT_MS 10000u
#define WAIT_MAX_MS (60u * 1000) /* a longer Retry-After is the caller's business */

struct ea_kube {
    struct ea_kube_config *config;
    struct ea_kube_creds *creds; /* the token of the next call */
    struct ea_kube_creds *conn;  /* what the connection was made with, whose strings it borrows */
    struct ea_kube_opts opts;
    struct ea_http *http;
    long status;
};

uint64_t ea_kube_jitter(uint64_t us)
{
    uint64_t r;

    if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
        r = ea_mono_now() * 0x9e3779b97f4a7c15ull;
    return us + (us ? r % us : 0);
}

int ea_kube_new(struct ea_kube_config *c, const struct ea_kube_opts *o, struct ea_kube **ret,
                struct ea_err *err)
{
    struct ea_kube *k = ea_xalloc(sizeof(*k));

    (void)err;
    k->config = ea_kube_config_ref(c);
    if (o)
        k->opts = *o;
    if (!k->opts.total_ms)
        k->opts.total_ms = TOTAL_MS;
    if (!k->opts.tries)
        k->opts.tries = TRIES;
    *ret = k;
    return 0;
}

static void disconnect(struct ea_kube *k)
{
    ea_http_free(k->http);
    k->http = NULL;
    ea_kube_creds_unref(k->conn);
    k->conn = NULL;
}

void ea_kube_free(struct ea_kube *k)
{
    if (!k)
        return;
    disconnect(k);
    ea_kube_creds_unref(k->creds);
    ea_kube_config_unref(k->config);
    free(k);
}

static int authorize(void *arg, struct ea_buf *b, struct ea_err *err)
{
    const struct ea_kube *k = arg;

    return ea_kube_creds_authorize(k->creds, b) ? ea_fail(err, -E2BIG, "the token is too long") : 0;
}

/* Current credentials; a new connection when certificates changed. */
static int ready(struct ea_kube *k, struct ea_err *err)
{
    struct ea_kube_creds *now = NULL;
    int rc = ea_kube_config_creds(k->config, &now, err);

    if (rc)
        return rc;
    ea_kube_creds_unref(k->creds);
    k->creds = now;
    if (k->conn && ea_kube_creds_tls_generation(k->conn) != ea_kube_creds_tls_generation(now))
        disconnect(k);
    if (!k->conn)
        k->conn = ea_kube_creds_ref(now);
    if (!k->http) {
        struct ea_http_opts o = {.connect_ms = CONNECT_MS,
                                 .total_ms = k->opts.total_ms,
                                 .max_response = EA_MAX_API_REPLY,
                                 .user_agent = "eucs-agent/" EA_VERSION,
                                 .authorize = authorize,
                                 .authorize_arg = k};

        ea_kube_config_http(k->config, k->conn, &o);
        return ea_http_new(&o, &k->http, err);
    }
    return 0;
}

int ea_kube_path(struct ea_buf *b, const struct ea_kube_res *res, const char *ns, const char *name,
                 const char *sub)
{
    if (res->group && *res->group)
        ea_buf_addf(b, "/apis/%s/%s", res->group, res->version);
    else
        ea_buf_addf(b, "/api/%s", res->version);
    if (res->namespaced && ns && *ns) {
        ea_buf_addz(b, "/namespaces/");
        ea_url_escape(b, ea_str(ns));
    }
    ea_buf_addf(b, "/%s", res->resource);
    if (name && *name) {
        ea_buf_addc(b, '/');
        ea_url_escape(b, ea_str(name));
    }
    if (sub && *sub)
        ea_buf_addf(b, "/%s", sub);
    return b->failed;
}

long ea_kube_status(const struct ea_kube *k)
{
    return k->status;
}

static bool stopping(const struct ea_kube *k)
{
    return k->opts.stopping && k->opts.stopping(k->opts.stopping_arg);
}

static int wait_ms(const struct ea_kube *k, uint64_t ms, struct ea_err *err)
{
    ea_mono_us end = ea_mono_now() + ms * 1000;

    for (;;) {
        ea_mono_us now = ea_mono_now();

        if (stopping(k))
            return ea_fail(err, -ECANCELED, "stopping");
        if (now >= end)
            return 0;
        ea_sleep_us(EA_MIN(end - now, 200000ull));
    }
}

/* A server that closes an idle connection at the very moment of our call: nothing of it was carried
 * out in practice, and all our writes are idempotent by name or carry a resourceVersion. */
static bool dropped(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET;
}

int ea_kube_raw(struct ea_kube *k, const char *method, const char *path, const char *content_type,
                struct ea_str body, struct ea_http_reply *ret, struct ea_err *err)
{
    bool again = false, renewed = false;

    for (unsigned t = 1;; t++) {
        int rc = ready(k, err);

        k->status = 0;
        if (rc)
            return rc;
        rc = ea_http_do(k->http, method, path, content_type, "application/json", body, ret, err);
        if (dropped(rc) && !again) {
            again = true;
            continue;
        }
        if (rc)
            return rc;
        k->status = ret->status;
        if (ret->status == 401 && !renewed) {
            renewed = true;
            ea_kube_config_rejected(k->config, k->creds);
            continue;
        }
        if (!(ret->status == 429 || ret->status >= 500) || !ret->retry_after_ms ||
            ret->retry_after_ms > WAIT_MAX_MS || t >= k->opts.tries)
            return 0;
        rc = wait_ms(
            k, ea_kube_jitter(ret->retry_after_ms * 1000 / 2) / 1000 + ret->retry_after_ms / 2,
            err);
        if (rc)
            return rc;
    }
}

static int code_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    case 410:
        return -ESTALE;
    case 413:
        return -E2BIG;
    case 429:
        return -EBUSY;
    case 400:
    case 405:
    case 406:
    case 415:
    case 422:
        return -EINVAL;
    default:
        return status >= 200 && status < 300 ? 0 : -EIO;
    }
}

int ea_kube_answer(long status, struct ea_str body, struct ea_err *err)
{
    int code = code_of(status);
    struct ea_arena a;
    struct ea_val root;
    struct ea_str message = EA_STR_NULL;

    if (code == 0)
        return 0;
    ea_arena_init(&a, 16 * EA_MAX_STATUS_REPLY, 4096);
    if (ea_json_parse(&a, body, NULL, &root, NULL, NULL) == 0)
        message = ea_val_get_str(&root, "message");
    if (message.n)
        (void)ea_fail(err, code, "the API server answers %ld: %.*s", status, EA_STRF(message));
    else
        (void)ea_fail(err, code, "the API server answers %ld", status);
    ea_arena_done(&a);
    return code;
}

int ea_kube_call(struct ea_kube *k, const char *method, const char *path, const char *content_type,
                 struct ea_str body, struct ea_arena *a, struct ea_val *ret, struct ea_err *err)
{
    struct ea_http_reply r;
    struct ea_str copy;
    int rc = ea_kube_raw(k, method, path, content_type, body, &r, err);

    if (rc == 0)
        rc = ea_kube_answer(r.status, r.body, err);
    if (rc)
        return rc;
    if (!a || !ret)
        return 0;
    copy = ea_arena_str(a, r.body); /* the reply's bytes are the connection's */
    if (!copy.p)
        return ea_fail(err, -E2BIG, "the answer is too large");
    rc = ea_json_parse(a, copy, NULL, ret, NULL, err);
    return rc ? ea_wrap(err, "answer of the API server") : 0;
}

static int named(struct ea_kube *k, const char *method, const struct ea_kube_res *res,
                 const char *ns, const char *name, const char *query, const char *type,
                 struct ea_str body, struct ea_arena *a, struct ea_val *ret, struct ea_err *err)
{
    struct ea_buf p;
    int rc;

    ea_buf_init(&p, 4096);
    (void)ea_kube_path(&p, res, ns, name, NULL);
    ea_buf_addz(&p, query);
    ea_buf_addc(&p, 0);
    rc = p.failed ? ea_fail(err, -E2BIG, "the name is too long")
                  : ea_kube_call(k, method, p.p, type, body, a, ret, err);
    ea_buf_done(&p);
    if (rc)
        ea_wrap(err, "%s %s %s", method, res->resource, name ? name : "");
    return rc;
}

int ea_kube_get(struct ea_kube *k, const struct ea_kube_res *res, const char *ns, const char *name,
                struct ea_arena *a, struct ea_val *ret, struct ea_err *err)
{
    return named(k, "GET", res, ns, name, "", NULL, EA_STR_NULL, a, ret, err);
}

int ea_kube_create(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                   struct ea_str json, struct ea_arena *a, struct ea_val *ret, struct ea_err *err)
{
    return named(k, "POST", res, ns, NULL, "?fieldManager=eucs-agent", "application/json", json, a,
                 ret, err);
}

int ea_kube_update(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                   const char *name, struct ea_str json, struct ea_arena *a, struct ea_val *ret,
                   struct ea_err *err)
{
    return named(k, "PUT", res, ns, name, "?fieldManager=eucs-agent", "application/json", json, a,
                 ret, err);
}

int ea_kube_patch(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                  const char *name, const char *type, struct ea_str patch, struct ea_arena *a,
                  struct ea_val *ret, struct ea_err *err)
{
    return named(k, "PATCH", res, ns, name, "?fieldManager=eucs-agent", type, patch, a, ret, err);
}

int ea_kube_apply(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                  const char *name, struct ea_str json, struct ea_arena *a, struct ea_val *ret,
                  struct ea_err *err)
{
    return named(k, "PATCH", res, ns, name, "?fieldManager=eucs-agent&force=true",
                 "application/apply-patch+yaml", json, a, ret, err);
}

int ea_kube_delete(struct ea_kube *k, const struct ea_kube_res *res, const char *ns,
                   const char *name, struct ea_err *err)
{
    int rc = named(k, "DELETE", res, ns, name, "", NULL, EA_STR_NULL, NULL, NULL, err);

    return rc == -ENOENT ? 0 : rc;
}

/* ---- streams ---- */

struct stream_head {
    struct ea_kube *k;
    const struct ea_http_stream *s;
};

static int head_status(void *arg, const struct ea_http_reply *head)
{
    struct stream_head *h = arg;

    h->k->status = head->status;
    if (head->status == 401)
        ea_kube_config_rejected(h->k->config, h->k->creds);
    return h->s->on_status ? h->s->on_status(h->s->arg, head) : 0;
}
static int head_data(void *arg, const char *p, size_t n)
{
    struct stream_head *h = arg;

    return h->s->on_data(h->s->arg, p, n);
}
static int head_tick(void *arg)
{
    struct stream_head *h = arg;

    if (stopping(h->k))
        return -ECANCELED;
    return h->s->tick ? h->s->tick(h->s->arg) : 0;
}

int ea_kube_stream(struct ea_kube *k, const char *path, const struct ea_http_stream *s,
                   struct ea_err *err)
{
    struct stream_head h = {k, s};
    struct ea_http_stream inner = {head_status, head_data, head_tick, &h, s->idle_ms};
    int rc = ready(k, err);

    k->status = 0;
    return rc ? rc : ea_http_stream(k->http, path, "application/json", &inner, err);
}
