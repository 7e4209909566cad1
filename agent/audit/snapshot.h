/* audit/snapshot.h - the findings of one moment, for readers that must not wait: dashboard, API,
 * reports.
 *
 * Thread:  a snapshot is immutable, reference-counted and [any].
 * Owns:    references to objects and rule set; must be given back before the audit and its store
 *          are freed.
 * Limits:  EA_MAX_SNAPSHOT_ROWS rows, the worst ones; `cut` says how many more there were.
 */
#ifndef EA_AUDIT_SNAPSHOT_H
#define EA_AUDIT_SNAPSHOT_H

#include "audit/audit.h"

struct ea_row {
    const struct ea_kube_res *res;
    struct ea_object *object; /* namespace, name, uid, resourceVersion */
    const struct ea_control *control;
    enum ea_result result; /* fail or unknown */
    enum ea_reason reason;
    bool exempted;
};

struct ea_control_count {
    const struct ea_control *control;
    uint64_t n[EA_RESULT_COUNT], exempted;
};

struct ea_snapshot {
    struct ea_row *rows; /* failures first, then by severity, control, namespace, name */
    size_t n, cut;
    struct ea_control_count *controls; /* one for each control of the set, in its order */
    unsigned n_controls;
    struct ea_audit_stat stat;
    ea_wall_us at;
    uint64_t version; /* counts up with every change of a verdict */
    struct ea_snapshot_priv *priv;
};

/* At most one a second is made; an unchanged state gives the same one again. The caller unrefs. */
struct ea_snapshot *ea_audit_snapshot(struct ea_audit *a);
void ea_snapshot_unref(struct ea_snapshot *s);
/* The finding of one row with its failures, judged anew in the arena. 0, -ENOENT (the object or its
 * failure is gone), -E2BIG. */
EA_MUST_CHECK int ea_audit_explain(struct ea_audit *a, const struct ea_row *row,
                                   struct ea_arena *arena, struct ea_finding *ret,
                                   struct ea_err *err);

#endif
