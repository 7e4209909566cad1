/* app/agent_serve.c - the listeners: webhook, web, health; who may see the web. */
#include <pthread.h>
#include <stdio.h>

#include "app/agent.h"
#include "app/agent_web.h"
#include "app/tls_files.h"
#include "base/fd.h"
#include "base/log.h"
#include "crypto/crypto.h"

#define DRAIN_US 5000000u
#define TOKEN_BYTES 32u
#define WEB_CONNECTIONS 128u
#define HEALTH_CONNECTIONS 64u

static void report(void *arg, const char *slug, const struct ea_err *err)
{
    if (err)
        ea_log_err(EA_LOG_ERROR, slug, err);
    else
        ea_log(EA_LOG_INFO, slug, EA_KV_Z("listener", arg));
}

/* ---- certificates ---- */

const char *ea_agent_cert(const struct ea_agent *a, const char *name, char path[512])
{
    (void)snprintf(path, 512, "%s/%s", a->tls_dir, name);
    return path;
}

/* "https://[::1]:8443/x" -> "::1" */
static void host_of(const char *url, char *out, size_t n)
{
    const char *at = strstr(url, "://");
    struct ea_str rest, host = ea_str_cut(ea_str(at ? at + 3 : url), '/', &rest);

    if (host.n && host.p[0] == '[')
        host = ea_str_cut(ea_strn(host.p + 1, host.n - 1), ']', &rest);
    else
        host = ea_str_cut(host, ':', &rest);
    (void)snprintf(out, n, "%.*s", EA_STRF(host));
}

int ea_agent_tls_ensure(struct ea_agent *a, struct ea_err *err)
{
    const char *host = *a->config->node_name ? a->config->node_name : getenv("NODE_NAME");
    char url_host[256] = "";

    if (*a->config->webhook_url)
        host_of(a->config->webhook_url, url_host, sizeof(url_host));
    const char *names[8] = {"localhost", "127.0.0.1", "::1", "eucs-agent"};
    size_t n = 4;

    if (host && *host)
        names[n++] = host;
    if (*url_host)
        names[n++] = url_host;
    if (!a->tls_dir)
        a->tls_dir = ea_xasprintf("%s/tls", a->config->evidence_dir);
    return ea_tls_files_ensure(a->tls_dir, names, err);
}

/* ---- webhook ---- */

void ea_agent_policy(struct ea_agent *a, struct ea_admission_policy *ret)
{
    struct ea_agent_rules *rules = ea_agent_rules_get(a);

    *ret = (struct ea_admission_policy){
        .rules = rules->set,
        .exemptions = rules->exemptions,
        .enforcement = (enum ea_action)ea_action_parse(ea_str(a->config->enforcement)),
        .floor = (enum ea_level)ea_level_parse(ea_str(a->config->level)),
        .existing_deny = strcmp(a->config->existing_workloads, "deny") == 0,
        .release = ea_agent_rules_unref,
        .release_arg = rules,
    };
}

static int start_webhook(struct ea_agent *a, struct ea_err *err)
{
    const struct ea_config *c = a->config;
    char crt[512], key[512];
    struct ea_admission_opts o = {
        .server = {.address = c->webhook_address,
                   .port = (uint16_t)c->webhook_port,
                   .tls = true,
                   .cert_file =
                       *c->webhook_cert ? c->webhook_cert : ea_agent_cert(a, "tls.crt", crt),
                   .key_file = *c->webhook_cert ? c->webhook_key : ea_agent_cert(a, "tls.key", key),
                   .client_ca_file = *c->webhook_client_ca ? c->webhook_client_ca : NULL,
                   .workers = (unsigned)c->webhook_workers,
                   .report = report},
        .report_arg = (void *)"webhook",
        .log = a->log,
        .sync = strcmp(c->evidence_sync, "always") == 0 ? EA_SYNC_ALWAYS : EA_SYNC_INTERVAL,
        .block_when_full = strcmp(c->when_full, "block") == 0,
        .lookup = &a->lookup,
        .owners = &a->owners,
        .digest = ea_agent_digest,
        .digest_arg = a,
        /* until the seat publishes the path token, callers who have it cannot be told from others
         */
        .tokens = {.unlimited = true},
    };

    ea_agent_policy(a, &o.policy);
    int r = ea_admission_start(&o, &a->admission, err);

    if (r) /* the policy was released there */
        return ea_wrap(err, "webhook on %s port %u", c->webhook_address, (unsigned)c->webhook_port);
    ea_log(EA_LOG_INFO, "listening", EA_KV_Z("listener", "webhook"),
           EA_KV_Z("address", c->webhook_address),
           EA_KV_U64("port", ea_admission_port(a->admission)));
    return 0;
}

/* ---- health ---- */

static void add(struct ea_health_check *c, unsigned *n, unsigned cap, const char *name, bool ok,
                const char *why)
{
    if (*n == cap)
        return;
    c[*n] = (struct ea_health_check){.name = name, .ok = ok};
    (void)snprintf(c[*n].why, sizeof(c[*n].why), "%s", ok ? "" : why);
    (*n)++;
}

unsigned ea_agent_checks(void *arg, bool ready, struct ea_health_check *c, unsigned cap)
{
    struct ea_agent *a = arg;
    struct ea_elog_stat st;
    char why[200] = "";
    unsigned n = 0;

    if (!ready) {
        /* a sick disk is no reason to restart: only what a restart can mend belongs here, and
         * answering is proof enough */
        add(c, &n, cap, "ping", true, "");
        return n;
    }
    /* only now: it waits for the log's lock, which a hung disk may hold */
    ea_elog_stat(a->log, &st);
    struct ea_agent_rules *rules = ea_agent_rules_get(a);

    add(c, &n, cap, "rules", rules->set->n_controls > 0, "no control is loaded");
    ea_agent_rules_unref(rules);
    add(c, &n, cap, "evidence", st.healthy, "the log cannot be written");
    bool ok = ea_agent_source_ready(a, why, sizeof(why));

    add(c, &n, cap, "caches", ok, why);
    if (a->config->webhook_enabled) {
        ok = a->admission && ea_admission_ready(a->admission, why, sizeof(why));
        add(c, &n, cap, "webhook", ok, a->admission ? why : "not listening yet");
    }
    ok = ea_agent_seat_ready(a, why, sizeof(why));
    add(c, &n, cap, "seat", ok, why);
    return n;
}

/* ---- web ---- */

/* The token of the configuration's file, or one made now: a new one at every start, readable by the
 * agent's user alone. */
static int load_token(struct ea_agent *a, struct ea_agent_web *w, struct ea_err *err)
{
    const char *file = a->config->web_token_file;
    EA_AUTO_FREE char *own = ea_xasprintf("%s/web.token", a->config->evidence_dir);
    EA_AUTO_FREE char *text = NULL;
    size_t n;

    if (*file) {
        int r = ea_read_file(file, 4096, &text, &n, err);
        struct ea_str token = r ? EA_STR_NULL : ea_str_trim(ea_strn(text, n));

        if (r || token.n < 16 || token.n >= sizeof(w->token))
            return r ? r
                     : ea_fail(err, -EINVAL, "web.tokenFile %s: a token has 16 to %zu characters",
                               file, sizeof(w->token) - 1);
        memcpy(w->token, token.p, token.n);
        return 0;
    }
    uint8_t raw[TOKEN_BYTES];

    ea_random(raw, sizeof(raw));
    ea_hex(raw, sizeof(raw), w->token);
    return ea_write_file(own, w->token, strlen(w->token), 0600, err);
}

static int start_web(struct ea_agent *a, struct ea_err *err)
{
    const struct ea_config *c = a->config;
    char crt[512], key[512];
    struct ea_agent_web *w = a->web;
    int r = load_token(a, w, err);
    const struct ea_web_opts o = {
        .server = {.address = c->web_address,
                   .port = (uint16_t)c->web_port,
                   .tls = true,
                   .cert_file =
                       *c->webhook_cert ? c->webhook_cert : ea_agent_cert(a, "tls.crt", crt),
                   .key_file = *c->webhook_cert ? c->webhook_key : ea_agent_cert(a, "tls.key", key),
                   .workers = 1,
                   .max_connections = WEB_CONNECTIONS,
                   .report = report},
        .report_arg = (void *)"web",
        .fill = ea_agent_web_fill,
        .authorize = ea_agent_web_authorize,
        .arg = a,
    };

    if (!r)
        r = ea_web_start(&o, &w->server, err);
    if (r)
        return ea_wrap(err, "web on %s port %u", c->web_address, (unsigned)c->web_port);
    ea_log(EA_LOG_INFO, "listening", EA_KV_Z("listener", "web"), EA_KV_Z("address", c->web_address),
           EA_KV_U64("port", ea_web_port(w->server)));
    return 0;
}

static int start_health(struct ea_agent *a, struct ea_err *err)
{
    const struct ea_config *c = a->config;
    const struct ea_health_opts o = {
        .server = {.address = c->health_address,
                   .port = (uint16_t)c->health_port,
                   .workers = 1,
                   .max_connections = HEALTH_CONNECTIONS},
        .checks = ea_agent_checks,
        .arg = a,
    };
    int r = ea_health_start(&o, &a->web->health, err);

    if (r)
        return ea_wrap(err, "health on %s port %u", c->health_address, (unsigned)c->health_port);
    ea_log(EA_LOG_INFO, "listening", EA_KV_Z("listener", "health"),
           EA_KV_Z("address", c->health_address),
           EA_KV_U64("port", ea_health_port(a->web->health)));
    return 0;
}

/* ---- start and stop ---- */

int ea_agent_serve_start(struct ea_agent *a, struct ea_err *err)
{
    int r = 0;

    a->web = ea_agent_web_new();
    a->web->started = ea_wall_now();
    if (a->config->webhook_enabled || a->config->web_enabled)
        r = a->seat ? ea_agent_seat_certificate(a, err) : ea_agent_tls_ensure(a, err);
    if (!r && a->config->webhook_enabled)
        r = start_webhook(a, err);
    if (!r && a->config->web_enabled)
        r = start_web(a, err);
    if (!r && a->config->health_enabled)
        r = start_health(a, err);
    return r;
}

void ea_agent_serve_stop(struct ea_agent *a)
{
    if (a->admission)
        ea_admission_stop(a->admission, DRAIN_US);
    a->admission = NULL;
    if (!a->web)
        return;
    if (a->web->server)
        ea_web_stop(a->web->server);
    if (a->web->health)
        ea_health_stop(a->web->health);
    ea_agent_web_free(a->web);
    a->web = NULL;
}
