/* app/agent.h - the running agent: what `run` starts, in the order of its fields, and stops in the
 * reverse order.
 *
 * Thread:  start, tick, reload and stop are [owner] (the main thread).
 * Owns:    everything below.
 */
#ifndef EA_APP_AGENT_H
#define EA_APP_AGENT_H

#include "admission/serve.h"
#include "app/config.h"
#include "audit/audit.h"
#include "audit/dir.h"
#include "controls/exempt.h"
#include "controls/judge.h"
#include "evidence/log.h"
#include "kube/discovery.h"
#include "kube/watch.h"
#include "sinks/sink.h"

#include <pthread.h>
#include <stdatomic.h>

#define EA_AGENT_SINKS 16u

/* A rule set with its exemptions: exchanged as a whole on reload, freed when the last review that
 * uses it has ended. */
struct ea_agent_rules {
    atomic_uint refs;
    struct ea_ruleset *set;
    struct ea_exemptions *exemptions; /* may be NULL */
};

struct ea_agent {
    const char *config_path; /* NULL: the embedded default */
    struct ea_config *config;
    bool embedded;  /* `run` without a configuration: prints for people, sinks to a file */
    bool directory; /* source.kind */

    pthread_mutex_t rules_lock; /* the pointer alone */
    struct ea_agent_rules *rules;
    struct ea_kube_config *kube_config;
    struct ea_kube *kube;
    char cluster_uid[64], node_uid[64];

    struct ea_elog *log;
    uint8_t digest_key[32];
    struct ea_sink_runner *sinks[EA_AGENT_SINKS];
    unsigned n_sinks;

    struct ea_store *store;
    struct ea_lookup lookup;
    struct ea_owners owners;
    struct ea_audit *audit;
    struct ea_discovery *discovery;
    struct ea_informer *informer;
    struct ea_dir *dir;

    char *tls_dir; /* where certificates made by the agent lie */
    struct ea_admission *admission;
    struct ea_agent_seat *seat;
    struct ea_agent_web *web;
    struct ea_agent_node *node;   /* NULL without node.root */
    struct ea_agent_shown *shown; /* embedded */
};

/* What the command line says; a value that is not NULL overrides the configuration of the embedded
 * default. */
struct ea_agent_args {
    const char *config, *state_dir, *watch_dir, *webhook_port, *web_port, *health_port;
};

EA_MUST_CHECK int ea_agent_start(struct ea_agent *a, const struct ea_agent_args *args,
                                 struct ea_err *err);
/* Every 200 ms or so. */
void ea_agent_tick(struct ea_agent *a);
/* SIGHUP: controls, parameters and exemptions are read again; what is wrong is logged and the old
 * ones stay. */
void ea_agent_reload(struct ea_agent *a);
/* reason: "sigterm", "start-failed", … Also after a start that failed half way. */
void ea_agent_stop(struct ea_agent *a, const char *reason);

/* ---- the parts, each in a file of its own ---- */

/* agent_rules.c */
EA_MUST_CHECK int ea_agent_rules_load(const struct ea_config *c, struct ea_agent_rules **ret,
                                      struct ea_err *err);
void ea_agent_rules_unref(void *p);
/* Referenced; [any]. */
struct ea_agent_rules *ea_agent_rules_get(struct ea_agent *a);
/* Takes over `rules`; gives the old ones, which the caller unrefs. */
struct ea_agent_rules *ea_agent_rules_swap(struct ea_agent *a, struct ea_agent_rules *rules);
/* agent_log.c: identity, log, sinks. */
EA_MUST_CHECK int ea_agent_log_open(struct ea_agent *a, struct ea_err *err);
EA_MUST_CHECK int ea_agent_sinks_start(struct ea_agent *a, struct ea_err *err);
void ea_agent_digest(void *agent, bool keyed, struct ea_str bytes, char ret_hex[65]);
/* Appends a record whose body is {} or a finished JCS object; failures are logged. */
void ea_agent_record(struct ea_agent *a, enum ea_record_type type, struct ea_str body);
/* agent_source.c: store, audit, informer or folder. */
EA_MUST_CHECK int ea_agent_source_start(struct ea_agent *a, struct ea_err *err);
/* Begins to watch the cluster: a pod with the seat does. */
EA_MUST_CHECK int ea_agent_source_watch(struct ea_agent *a, struct ea_err *err);
void ea_agent_source_stop(struct ea_agent *a);
bool ea_agent_source_ready(struct ea_agent *a, char *why, size_t n);
/* agent_node.c: facts of the own node, judged into the own log; nothing without node.root. */
EA_MUST_CHECK int ea_agent_node_start(struct ea_agent *a, struct ea_err *err);
void ea_agent_node_tick(struct ea_agent *a);
void ea_agent_node_rules(struct ea_agent *a);
void ea_agent_node_stop(struct ea_agent *a);
/* agent_serve.c: webhook, web, health. */
EA_MUST_CHECK int ea_agent_serve_start(struct ea_agent *a, struct ea_err *err);
void ea_agent_serve_stop(struct ea_agent *a);
/* With one more reference to the rules, given back by its `release`. */
void ea_agent_policy(struct ea_agent *a, struct ea_admission_policy *ret);
/* agent_seat.c: seat, certificate, path token, webhook configuration; nothing with the directory
 * source. */
EA_MUST_CHECK int ea_agent_seat_start(struct ea_agent *a, struct ea_err *err);
EA_MUST_CHECK int ea_agent_seat_certificate(struct ea_agent *a, struct ea_err *err);
EA_MUST_CHECK int ea_agent_seat_take(struct ea_agent *a, struct ea_err *err);
void ea_agent_seat_tick(struct ea_agent *a);
/* The rule set changed: the webhook configuration may too. */
void ea_agent_seat_poke(struct ea_agent *a);
bool ea_agent_seat_held(const struct ea_agent *a);
bool ea_agent_seat_ready(struct ea_agent *a, char *why, size_t n);
/* Callers are led away; running requests may end. */
void ea_agent_seat_drain(struct ea_agent *a);
void ea_agent_seat_release(struct ea_agent *a);
/* agent_hello.c: what `make run` prints, then findings as they change. */
void ea_agent_hello(struct ea_agent *a, const char *state_dir);
void ea_agent_show_changes(struct ea_agent *a);
void ea_agent_shown_free(struct ea_agent *a);

#endif
