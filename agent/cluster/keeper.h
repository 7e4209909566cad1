/* cluster/keeper.h - keeps the webhook configuration as it should be: applied, watched, mended.
 *
 * Thread:  start, stop are [owner]; the rest is [any]. A thread of its own applies; `render` and
 *          `applied` are called there.
 * Owns:    its thread, a watch on the one object, a connection.
 * Limits:  one apply at a time, at most two a second.
 * Never:   puts the configuration back when the release (its ClusterRole) is gone, so that
 *          uninstalling works under a running agent.
 * Source:  docs/WEBHOOK.md, docs/EVIDENCE.md (webhook.drift, config.changed).
 */
#ifndef EA_CLUSTER_KEEPER_H
#define EA_CLUSTER_KEEPER_H

#include "evidence/log.h"
#include "kube/watch.h"

struct ea_keeper;

struct ea_keeper_opts {
    struct ea_kube_config *config; /* shared */
    struct ea_elog *log;           /* drift and flips; may be NULL */
    const char *name;              /* of the ValidatingWebhookConfiguration */
    const char *owner_role;        /* ClusterRole of the release, "" or NULL = none */
    bool fail;                     /* failurePolicy wanted at start */
    /* The whole configuration as it should be now (cluster/webhook.h); owner_uid is "" without an
     * owner. */
    int (*render)(void *arg, bool fail, const char *owner_uid, struct ea_buf *json,
                  struct ea_err *err);
    void (*applied)(void *arg); /* the server has it; may be NULL */
    void *arg;
};

EA_MUST_CHECK int ea_keeper_start(const struct ea_keeper_opts *o, struct ea_keeper **ret,
                                  struct ea_err *err);
/* What `render` makes may have changed (certificate, token, rule set): look now. */
void ea_keeper_poke(struct ea_keeper *k);
/* failurePolicy of enforce from now on; reason goes into the record: "ready", "not-ready",
 * "break-glass", "shutdown". */
void ea_keeper_set_fail(struct ea_keeper *k, bool fail, const char *reason);
/* The server has the configuration as it should be. why (may be NULL) gets one sentence when not.
 */
bool ea_keeper_ok(struct ea_keeper *k, char *why, size_t n);
/* open: failurePolicy Ignore first, for at most five seconds. Frees. NULL is fine. */
void ea_keeper_stop(struct ea_keeper *k, bool open);

#endif
