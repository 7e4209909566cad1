/* kube/lease.h - one coordination.k8s.io Lease: acquire, renew, release.
 *
 * Thread:  ea_lease_try, ea_lease_release are [owner]; ea_lease_held and ea_lease_term are [any].
 * Owns:    its own connection, so that a busy client cannot cost a lease.
 * Limits:  10 s a call (the renew deadline); lease > renew > 1.2 x retry, checked.
 * Never:   compares a remote time with our clock, ends the process when the lease is lost, logs.
 * Source:  client-go/tools/leaderelection (the algorithm and its constants 15 s, 10 s, 2 s, 1.2);
 *          no fencing: writes made under the lease must carry resourceVersion preconditions.
 */
#ifndef EA_KUBE_LEASE_H
#define EA_KUBE_LEASE_H

#include "kube/client.h"

struct ea_lease;

struct ea_lease_opts {
    struct ea_kube_config *config;
    const char *ns, *name;
    const char *identity;               /* pod name "_" uuid */
    unsigned lease_s, renew_s, retry_s; /* 0: 15, 10, 2 */
    bool (*stopping)(void *arg);
    void *stopping_arg;
};

/* 0, -EINVAL (durations). */
EA_MUST_CHECK int ea_lease_new(const struct ea_lease_opts *o, struct ea_lease **ret,
                               struct ea_err *err);
/* Does not release. */
void ea_lease_free(struct ea_lease *l);
/* One attempt to acquire or renew. *ret_held: ours now. 0 = the server answered (held or not, also
 * when somebody was faster); codes of ea_kube_call: nothing is known, *ret_held tells whether the
 * last renewal still counts. */
EA_MUST_CHECK int ea_lease_try(struct ea_lease *l, bool *ret_held, struct ea_err *err);
/* Microseconds to wait before the next attempt (jittered). */
uint64_t ea_lease_pause_us(const struct ea_lease *l);
/* Ours by the local clock: renewed within the renew deadline. */
bool ea_lease_held(const struct ea_lease *l);
/* leaseTransitions of our holding; never falls, even when the Lease was deleted and made again. */
uint64_t ea_lease_term(const struct ea_lease *l);
/* Who holds it as last seen; empty when nobody. Borrowed until the next call; [owner]. */
struct ea_str ea_lease_holder(const struct ea_lease *l);
/* Gives it back when held, so that the next one need not wait. */
EA_MUST_CHECK int ea_lease_release(struct ea_lease *l, struct ea_err *err);

#endif
