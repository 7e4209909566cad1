/* cluster/seat.h - the right to serve the webhook and to record for the cluster: one Lease, and a
 * label on the own pod that the webhook Service selects.
 *
 * Thread:  start, drain, stop are [owner]; the questions are [any]. A thread of its own renews;
 *          `serving` and `changed` are called there.
 * Owns:    its thread, the Lease while it holds it, the label eucs-agent.io/seat of the own pod.
 * Limits:  one seat for the whole cluster (one Lease); times as in kube/lease.h.
 * Never:   labels a pod that does not serve, ends the process when the Lease is lost.
 *
 * Order: own label off at start -> Lease -> serving -> label; back: label off -> (drain) -> Lease
 * released.
 */
#ifndef EA_CLUSTER_SEAT_H
#define EA_CLUSTER_SEAT_H

#include "kube/lease.h"

#define EA_SEAT_LABEL "eucs-agent.io/seat"

struct ea_seat;

struct ea_seat_opts {
    struct ea_kube_config *config; /* shared */
    const char *ns, *lease;
    const char *pod; /* own pod; NULL or "" = none to label (an agent outside of the cluster) */
    const char *identity; /* stable over restarts in place, so that a restart need not wait for its
                             own Lease */
    unsigned lease_s, renew_s, retry_s; /* 0: 15, 10, 2 */
    bool (*serving)(void *arg); /* caches synced, certificate served; asked twice a second while the
                                   Lease is held */
    void (*changed)(void *arg, bool held, uint64_t term); /* Lease taken or lost */
    void *arg;
};

EA_MUST_CHECK int ea_seat_start(const struct ea_seat_opts *o, struct ea_seat **ret,
                                struct ea_err *err);
bool ea_seat_held(const struct ea_seat *s);
/* The API server was asked at least once, so that "not held" means something. */
bool ea_seat_asked(const struct ea_seat *s);
uint64_t ea_seat_term(const struct ea_seat *s);
/* Held, serving and labelled: requests are sent here. */
bool ea_seat_ready(const struct ea_seat *s);
/* What the seat waits for, for /readyz: empty when ready. */
void ea_seat_why(struct ea_seat *s, char *out, size_t n);
/* Takes the label off and keeps it off; the Lease is kept. The caller lets running requests end,
 * then stops. */
void ea_seat_drain(struct ea_seat *s);
/* Drains when that was not done, releases the Lease, frees. NULL is fine. */
void ea_seat_stop(struct ea_seat *s);

#endif
