/* web/web.h - status page, metrics and API over TLS. Every path but /login and /style.css is
 * authorised.
 *
 * Thread:  start and stop are [owner]; `fill` and `authorize` are called on the server's threads,
 * several at a time when workers > 1. Owns:    its server and the browser sessions
 * (EA_MAX_WEB_SESSIONS, 12 hours each). Limits:  EA_MAX_WEB_FINDINGS findings on the page and in
 * one API answer. Never:   judges, decides who may see what, logs a token. Source:  GET / /metrics
 * /api/v1/status /api/v1/findings; GET /login?token=T or POST /login (form), /logout.
 * docs/WEBHOOK.md names the rest.
 */
#ifndef EA_WEB_WEB_H
#define EA_WEB_WEB_H

#include "base/arena.h"
#include "base/clock.h"
#include "net/server.h"
#include "web/health.h"

/* All texts of a snapshot live in the arena given to `fill` or longer, are UTF-8 and need not be
 * harmless: they are escaped here. An empty text or a NULL array is left out. */
struct ea_web_count {
    struct ea_str name; /* "fail", "critical", … */
    uint64_t n;
};
struct ea_web_listener {
    struct ea_str name, url;
};
struct ea_web_finding {
    struct ea_str control, severity, action, result, requirement;
    struct ea_str kind, ns, name, path, message, remediation;
    ea_wall_us since; /* when this verdict was first given; 0 = not known */
    bool exempted;
};
struct ea_web_sink {
    struct ea_str name;
    uint64_t acked, pending, lost, dead, retries;
    bool holding;
};

struct ea_web_snapshot {
    /* the agent */
    struct ea_str version, node, cluster, source,
        role; /* role: "leader", "seat", "node", "embedded" */
    ea_wall_us started, now;
    /* rules */
    struct ea_str ruleset_sha256, enforcement, level;
    uint64_t controls, compile_errors, exemptions;
    /* listeners and readiness */
    const struct ea_web_listener *listeners;
    unsigned n_listeners;
    const struct ea_health_check *checks;
    unsigned n_checks;
    /* findings */
    uint64_t objects;
    const struct ea_web_count *results,
        *severities; /* severities: of the failing ones, gravest first */
    unsigned n_results, n_severities;
    const struct ea_web_finding *findings; /* failing, gravest and newest first */
    unsigned n_findings;
    uint64_t findings_total; /* before cutting; 0 = n_findings */
    /* admission */
    bool admission;
    uint64_t reviews, denied, dry_runs;
    /* evidence */
    struct ea_str origin, key;
    uint64_t epoch, next_seq, synced_seq, bytes, lost, checkpoint_size;
    bool evidence_healthy;
    const struct ea_web_sink *sinks;
    unsigned n_sinks;
};

struct ea_web_opts {
    struct ea_server_opts
        server; /* address, port, TLS files, workers, report; handle, arg and name are set here */
    void *report_arg;
    void (*fill)(void *arg, struct ea_arena *a, struct ea_web_snapshot *ret);
    /* May the bearer of this token do this? 200 yes, 401 who is that, 403 no, 503 cannot be asked
     * now. An empty token is never passed. */
    unsigned (*authorize)(void *arg, struct ea_str token, const char *verb, struct ea_str path);
    void *arg;
};

struct ea_web;
EA_MUST_CHECK int ea_web_start(const struct ea_web_opts *o, struct ea_web **ret,
                               struct ea_err *err);
uint16_t ea_web_port(const struct ea_web *w);
void ea_web_stop(struct ea_web *w); /* NULL is fine */

#endif
