/* admission/serve.h - the webhook: HTTPS in, verdict out, evidence written before the answer
 * leaves.
 *
 * Thread:  start and stop are [owner]; publish, set_tokens, ready and stat are [any].
 * Owns:    its server, one helper thread, references to the published rule set.
 * Limits:  EA_MAX_ADMISSION_BODY; callers without token or certificate: EA_UNAUTHENTICATED_CALLS,
 * EA_UNAUTHENTICATED_BYTES, then 429. Never:   waits for sinks, asks Kubernetes, logs. Source:
 * docs/WEBHOOK.md.
 */
#ifndef EA_ADMISSION_SERVE_H
#define EA_ADMISSION_SERVE_H

#include "admission/review.h"
#include "evidence/log.h"
#include "net/server.h"

struct ea_admission;

/* What reviews are judged by; exchanged as a whole. */
struct ea_admission_policy {
    struct ea_ruleset *rules;               /* a reference is taken */
    const struct ea_exemptions *exemptions; /* may be NULL; must live until `release` */
    enum ea_action enforcement;
    enum ea_level floor;
    bool existing_deny;
    void (*release)(void *arg); /* may be NULL: called once when no review uses this policy any
                                   more, on any thread */
    void *release_arg;
};

/* The secret in the webhook's path. */
struct ea_admission_tokens {
    char current[65], previous[65]; /* "" = none */
    ea_mono_us grace_until;         /* the previous one is accepted until then */
    bool unlimited; /* callers without a token are not limited (directory source; configuration
                       lacks the token) */
    ea_mono_us unlimited_until; /* the same, until then */
};

struct ea_admission_opts {
    /* Address, port, TLS files, workers and time-outs; max_body 0 = EA_MAX_ADMISSION_BODY. handle,
     * head, done, arg and name are set here; `report` is called with report_arg. */
    struct ea_server_opts server;
    void *report_arg;
    struct ea_elog *log;  /* NULL: nothing is recorded (tests) */
    enum ea_sync sync;    /* EA_SYNC_ALWAYS: the answer waits until its record is synced */
    bool block_when_full; /* a decision that cannot be recorded is answered 500 */
    const struct ea_lookup *lookup; /* may be NULL */
    const struct ea_owners *owners; /* may be NULL */
    void (*digest)(void *arg, bool keyed, struct ea_str bytes, char ret_hex[65]);
    void *digest_arg;
    struct ea_admission_policy policy;
    struct ea_admission_tokens tokens;
};

/* On failure nothing is taken over: the policy's release is not called. */
EA_MUST_CHECK int ea_admission_start(const struct ea_admission_opts *o, struct ea_admission **ret,
                                     struct ea_err *err);
uint16_t ea_admission_port(const struct ea_admission *a);
void ea_admission_publish(struct ea_admission *a, const struct ea_admission_policy *from);
void ea_admission_set_tokens(struct ea_admission *a, const struct ea_admission_tokens *t);
/* False when decisions have not reached the log for two seconds; why (may be NULL) gets one
 * sentence. */
bool ea_admission_ready(struct ea_admission *a, char *why, size_t n);

struct ea_admission_stat {
    uint64_t reviews, denied, dry_runs, bad, lost, unauthenticated, refused;
    unsigned in_flight;
};
void ea_admission_stat(struct ea_admission *a, struct ea_admission_stat *ret);
/* Running reviews end for at most grace_us. NULL is fine. */
void ea_admission_stop(struct ea_admission *a, uint64_t grace_us);

#endif
