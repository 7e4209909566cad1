/* app/agent_seat.c - under Kubernetes: seat, certificate, path token, webhook configuration, in
 * this order.
 *
 * The main thread drives it from the tick; the seat's and the keeper's threads only ask (serving,
 * render) or report (changed, applied). A pod that once held the seat keeps its watches when it
 * loses it: it is warm for the next time, and reviews that still run keep what they look at. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "app/agent.h"
#include "app/agent_web.h"
#include "app/webhook_config.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/certs.h"
#include "cluster/keeper.h"
#include "cluster/seat.h"
#include "cluster/token.h"
#include "cluster/webhook.h"
#include "crypto/crypto.h"

#define TOKEN_LIFE_US (24ll * 3600 * 1000000)
#define TOKEN_GRACE_US (3600ull * 1000000)
#define TOKEN_SETTLE_US (60ull * 1000000) /* API servers still use the URL that they had */
#define CERT_CHECK_US (12ull * 3600 * 1000000)
#define RETRY_US (10ull * 1000000)
#define CONFIGURE_US (15ull * 1000000)

struct ea_agent_seat {
    struct ea_agent *agent;
    struct ea_seat *seat;     /* NULL with seats.enabled false: always held */
    struct ea_keeper *keeper; /* NULL until there is something to lead callers to */
    char *ns, *pod, *token_secret, *tls_secret, *token_file, *identity;
    bool in_cluster, watching, fail;
    atomic_bool held, applied, configured; /* configured: applied at least once */
    _Atomic uint64_t term;

    pthread_mutex_t lock; /* token, ca: the keeper's thread renders with them */
    struct ea_path_token token;
    struct ea_buf ca;
    ea_mono_us next_cert, next_try, applied_at, started;
};

/* ---- names and places ---- */

static const char *or_env(const char *value, const char *name)
{
    const char *env = *value ? NULL : getenv(name);

    return *value ? value : env ? env : "";
}

/* Stable over restarts in place, so that a restart need not wait for the end of its own Lease. */
static int load_identity(struct ea_agent_seat *s, struct ea_err *err)
{
    EA_AUTO_FREE char *path = ea_xasprintf("%s/seat.id", s->agent->config->evidence_dir);
    EA_AUTO_FREE char *text = NULL;
    char uuid[37];
    size_t n = 0;
    int r = ea_read_file(path, 64, &text, &n, err);

    if (r && r != -ENOENT)
        return r;
    if (r || n != 36) {
        ea_uuid4(uuid);
        r = ea_write_file(path, uuid, 36, 0600, err);
        if (r)
            return r;
    } else {
        memcpy(uuid, text, sizeof(uuid));
    }
    s->identity = ea_xasprintf("%s_%s", *s->pod ? s->pod : "eucs-agent", uuid);
    return 0;
}

static struct ea_token_place token_place(const struct ea_agent_seat *s)
{
    return (struct ea_token_place){.kube = s->in_cluster ? s->agent->kube : NULL,
                                   .ns = s->ns,
                                   .secret = s->token_secret,
                                   .file = s->token_file};
}

/* ---- certificate ---- */

static int own_certificate(struct ea_agent_seat *s, struct ea_buf *bundle, struct ea_err *err)
{
    struct ea_agent *a = s->agent;
    EA_AUTO_FREE char *svc = ea_xasprintf("%s", a->config->webhook_service);
    EA_AUTO_FREE char *svc_ns = ea_xasprintf("%s.%s", svc, s->ns);
    EA_AUTO_FREE char *svc_full = ea_xasprintf("%s.%s.svc", svc, s->ns);
    const char *const names[] = {svc, svc_ns, svc_full, NULL};
    const struct ea_certs_opts o = {
        .ns = s->ns, .secret = s->tls_secret, .names = names, .dir = a->tls_dir};
    bool changed;

    return ea_certs_ensure(a->kube, &o, bundle, &changed, err);
}

/* The CA for caBundle; makes or renews what the agent makes itself. */
static int ensure_certificate(struct ea_agent_seat *s, struct ea_err *err)
{
    struct ea_agent *a = s->agent;
    const char *file = a->config->webhook_ca;
    EA_AUTO_FREE char *own = NULL;
    EA_AUTO_FREE char *text = NULL;
    struct ea_buf bundle;
    size_t n = 0;
    int r = 0;

    ea_buf_init(&bundle, EA_MAX_PEM);
    if (*a->config->webhook_cert) {
        r = *file ? ea_read_file(file, EA_MAX_PEM, &text, &n, err) : 0;
    } else if (s->in_cluster) {
        r = own_certificate(s, &bundle, err);
    } else {
        r = ea_agent_tls_ensure(a, err);
        own = ea_xasprintf("%s/ca.crt", a->tls_dir);
        if (!r)
            r = ea_read_file(own, EA_MAX_PEM, &text, &n, err);
    }
    if (!r && text)
        ea_buf_add(&bundle, text, n);
    if (!r) {
        (void)pthread_mutex_lock(&s->lock);
        ea_buf_done(&s->ca);
        s->ca = bundle;
        (void)pthread_mutex_unlock(&s->lock);
        s->next_cert = ea_mono_now() + CERT_CHECK_US;
        return 0;
    }
    ea_buf_done(&bundle);
    return r;
}

/* ---- path token ---- */

/* What the webhook accepts now: while the API server may still use a URL without the current token,
 * nobody is limited for its lack. */
static void publish_tokens(struct ea_agent_seat *s)
{
    struct ea_agent *a = s->agent;
    struct ea_admission_tokens t = {
        .unlimited = a->config->allow_unauthenticated || !atomic_load(&s->applied),
        .unlimited_until = s->applied_at ? s->applied_at + TOKEN_SETTLE_US : 0,
        .grace_until = ea_mono_now() + TOKEN_GRACE_US};

    (void)pthread_mutex_lock(&s->lock);
    memcpy(t.current, s->token.current, sizeof(t.current));
    memcpy(t.previous, s->token.previous, sizeof(t.previous));
    (void)pthread_mutex_unlock(&s->lock);
    if (a->admission)
        ea_admission_set_tokens(a->admission, &t);
}

static void rotate_token(struct ea_agent_seat *s)
{
    const struct ea_token_place p = token_place(s);
    struct ea_path_token t = s->token;
    struct ea_err err = {0};

    if (ea_token_rotate(&p, &t, &err)) {
        ea_log_err(EA_LOG_ERROR, "token-not-rotated", &err);
        s->next_try = ea_mono_now() + RETRY_US;
        return;
    }
    (void)pthread_mutex_lock(&s->lock);
    s->token = t;
    (void)pthread_mutex_unlock(&s->lock);
    atomic_store(&s->applied, false);
    s->applied_at = 0;
    publish_tokens(s);
    ea_keeper_poke(s->keeper);
    ea_log(EA_LOG_INFO, "token-rotated");
}

/* ---- webhook configuration ---- */

static int render(void *arg, bool fail, const char *owner_uid, struct ea_buf *json,
                  struct ea_err *err)
{
    struct ea_agent_seat *s = arg;
    struct ea_agent_rules *rules = ea_agent_rules_get(s->agent);
    struct ea_webhook_opts o;

    ea_webhook_from_config(s->agent->config, s->ns, &o);
    o.owner_uid = *owner_uid ? owner_uid : NULL;
    o.fail = fail;
    (void)pthread_mutex_lock(&s->lock);
    o.token = s->token.current;
    o.ca_pem = ea_buf_str(&s->ca);
    int r = ea_webhook_render(rules->set, &o, json, err);

    (void)pthread_mutex_unlock(&s->lock);
    ea_agent_rules_unref(rules);
    return r;
}

static void on_applied(void *arg)
{
    struct ea_agent_seat *s = arg;

    atomic_store(&s->applied, true);
    atomic_store(&s->configured, true);
}

static void start_keeper(struct ea_agent_seat *s)
{
    struct ea_agent *a = s->agent;
    struct ea_err err = {0};
    const struct ea_keeper_opts o = {
        .config = a->kube_config,
        .log = a->log,
        .name = a->config->webhook_name,
        .owner_role = a->config->webhook_owner,
        .fail = s->fail,
        .render = render,
        .applied = on_applied,
        .arg = s,
    };

    if (ea_keeper_start(&o, &s->keeper, &err)) {
        ea_log_err(EA_LOG_ERROR, "webhook-configuration", &err);
        s->next_try = ea_mono_now() + RETRY_US;
        return;
    }
    ea_log(EA_LOG_INFO, "webhook-configuration-kept", EA_KV_Z("name", a->config->webhook_name));
}

/* ---- the seat ---- */

static bool serving(void *arg)
{
    struct ea_agent_seat *s = arg;
    char why[200];

    if (!s->agent->config->webhook_enabled)
        return ea_agent_source_ready(s->agent, why, sizeof(why));
    return s->agent->admission && ea_agent_source_ready(s->agent, why, sizeof(why)) &&
           ea_admission_ready(s->agent->admission, why, sizeof(why));
}

static void changed(void *arg, bool held, uint64_t term)
{
    struct ea_agent_seat *s = arg;

    atomic_store(&s->term, term);
    atomic_store(&s->held, held);
    ea_log(EA_LOG_INFO, held ? "seat-taken" : "seat-lost", EA_KV_U64("term", term));
    ea_audit_lead(s->agent->audit, held, term, held);
}

static int take_seat(struct ea_agent_seat *s, struct ea_err *err)
{
    const struct ea_seat_opts o = {
        .config = s->agent->kube_config,
        .ns = s->ns,
        .lease = s->agent->config->seats_lease,
        .pod = *s->pod ? s->pod : NULL,
        .identity = s->identity,
        .serving = serving,
        .changed = changed,
        .arg = s,
    };

    if (!s->agent->config->seats_enabled) {
        changed(s, true, 0);
        return 0;
    }
    return ea_seat_start(&o, &s->seat, err);
}

int ea_agent_seat_start(struct ea_agent *a, struct ea_err *err)
{
    if (a->directory)
        return 0;
    struct ea_agent_seat *s = a->seat = ea_xalloc(sizeof(*s));
    const struct ea_config *c = a->config;
    const char *ns = ea_release_namespace(c, ea_kube_config_namespace(a->kube_config));

    (void)pthread_mutex_init(&s->lock, NULL);
    ea_buf_init(&s->ca, EA_MAX_PEM);
    s->agent = a;
    s->started = ea_mono_now();
    s->in_cluster = ea_kube_config_is_in_cluster(a->kube_config);
    s->ns = ea_xasprintf("%s", ns);
    s->pod = ea_xasprintf("%s", or_env(c->pod_name, "POD_NAME"));
    s->token_secret = ea_xasprintf("%s-webhook-token", c->webhook_name);
    s->tls_secret = ea_xasprintf("%s-webhook-tls", c->webhook_name);
    s->token_file = ea_xasprintf("%s/webhook.token", c->evidence_dir);
    return load_identity(s, err);
}

/* The certificate must be there before the listener starts, the rest when the listener answers. */
int ea_agent_seat_certificate(struct ea_agent *a, struct ea_err *err)
{
    a->tls_dir = ea_xasprintf("%s/tls", a->config->evidence_dir);
    return a->config->webhook_enabled ? ensure_certificate(a->seat, err) : 0;
}

int ea_agent_seat_take(struct ea_agent *a, struct ea_err *err)
{
    struct ea_agent_seat *s = a->seat;

    if (!s)
        return 0;
    const struct ea_token_place p = token_place(s);
    int r = a->config->webhook_enabled ? ea_token_load(&p, &s->token, err) : 0;

    if (r)
        return ea_wrap(err, "path token of the webhook");
    publish_tokens(s);
    return take_seat(s, err);
}

/* ---- ticks ---- */

static void tick_watch(struct ea_agent_seat *s)
{
    struct ea_err err = {0};

    if (s->watching || !atomic_load(&s->held) || ea_mono_now() < s->next_try)
        return;
    if (ea_agent_source_watch(s->agent, &err)) {
        ea_log_err(EA_LOG_ERROR, "watch-not-started", &err);
        s->next_try = ea_mono_now() + RETRY_US;
        return;
    }
    s->watching = true;
}

static bool seat_serves(const struct ea_agent_seat *s)
{
    return s->seat ? ea_seat_ready(s->seat) : serving((void *)s);
}

static void tick_keeper(struct ea_agent_seat *s)
{
    const struct ea_config *c = s->agent->config;
    bool ready = atomic_load(&s->held) && seat_serves(s);
    bool fail = ready && !c->break_glass;

    if (!c->webhook_enabled || !c->webhook_configure)
        return;
    if (!s->keeper) {
        s->fail = fail;
        if (ready && ea_mono_now() >= s->next_try)
            start_keeper(s);
        return;
    }
    if (fail != s->fail) {
        s->fail = fail;
        ea_keeper_set_fail(s->keeper, fail,
                           fail             ? "ready"
                           : c->break_glass ? "break-glass"
                                            : "not-ready");
    }
}

static void tick_token(struct ea_agent_seat *s)
{
    if (!s->keeper)
        return;
    if (atomic_load(&s->applied) && !s->applied_at) {
        s->applied_at = ea_mono_now();
        publish_tokens(s);
    }
    if (atomic_load(&s->held) && ea_wall_now() - s->token.rotated > TOKEN_LIFE_US &&
        ea_mono_now() >= s->next_try)
        rotate_token(s);
}

static void tick_certificate(struct ea_agent_seat *s)
{
    struct ea_err err = {0};

    if (!s->next_cert || ea_mono_now() < s->next_cert)
        return;
    s->next_cert = ea_mono_now() + CERT_CHECK_US;
    if (ensure_certificate(s, &err))
        ea_log_err(EA_LOG_ERROR, "certificate-not-renewed", &err);
    else if (s->keeper)
        ea_keeper_poke(s->keeper);
}

void ea_agent_seat_tick(struct ea_agent *a)
{
    if (!a->seat)
        return;
    tick_watch(a->seat);
    tick_keeper(a->seat);
    tick_token(a->seat);
    tick_certificate(a->seat);
}

void ea_agent_seat_poke(struct ea_agent *a)
{
    if (a->seat && a->seat->keeper)
        ea_keeper_poke(a->seat->keeper);
}

/* At the start a seat is ready when the API server has the webhook configuration too; if that
 * cannot be had, the pod serves all the same (a configuration of before may want answers). */
static bool configured(const struct ea_agent_seat *s)
{
    const struct ea_config *c = s->agent->config;

    return !c->webhook_enabled || !c->webhook_configure || atomic_load(&s->configured) ||
           ea_mono_now() - s->started > CONFIGURE_US;
}

bool ea_agent_seat_ready(struct ea_agent *a, char *why, size_t n)
{
    struct ea_agent_seat *s = a->seat;

    if (!s)
        return true;
    if (s->seat && !ea_seat_held(s->seat) && ea_seat_asked(s->seat))
        return true; /* a pod without a seat serves nobody and is fine */
    if (s->seat && !ea_seat_ready(s->seat)) {
        ea_seat_why(s->seat, why, n);
        return false;
    }
    if (!configured(s)) {
        (void)snprintf(why, n, "the webhook configuration was not applied yet");
        return false;
    }
    return true;
}

bool ea_agent_seat_held(const struct ea_agent *a)
{
    return !a->seat || atomic_load(&a->seat->held);
}

/* ---- the way back ---- */

void ea_agent_seat_drain(struct ea_agent *a)
{
    if (!a->seat)
        return;
    if (a->seat->seat)
        ea_seat_drain(a->seat->seat);
    /* with one seat the last one goes: nothing may wait for an answer that nobody gives */
    ea_keeper_stop(a->seat->keeper, true);
    a->seat->keeper = NULL;
}

void ea_agent_seat_release(struct ea_agent *a)
{
    struct ea_agent_seat *s = a->seat;

    if (!s)
        return;
    ea_seat_stop(s->seat);
    ea_buf_done(&s->ca);
    ea_cleanse(&s->token, sizeof(s->token));
    (void)pthread_mutex_destroy(&s->lock);
    free(s->ns);
    free(s->pod);
    free(s->token_secret);
    free(s->tls_secret);
    free(s->token_file);
    free(s->identity);
    free(s);
    a->seat = NULL;
}
