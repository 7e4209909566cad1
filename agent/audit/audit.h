/* audit/audit.h - judge on change and on schedule, keep the last verdict per object, record every
 * change of verdict.
 *
 * Thread:  every function is [any] (one lock inside, held while an object is judged: some 10 us);
 *          new, free are [owner].
 * Owns:    verdicts and the digest file; shares rule set, store, exemptions and log, which must
 *          outlive it.
 * Limits:  EA_ARENA_OBJECT to judge one object; per object about 50 bytes beside the store,
 *          verdicts are interned.
 * Never:   records an unchanged verdict (but for re-attestation), takes what it cannot see for a
 *          pass, asks the API server.
 * Source:  docs/EVIDENCE.md (bodies of assessment, object.gone, gap.opened, gap.closed,
 *          exemption.used, exemption.expired, takeover).
 */
#ifndef EA_AUDIT_AUDIT_H
#define EA_AUDIT_AUDIT_H

#include "controls/judge.h"
#include "evidence/log.h"
#include "kube/watch.h"

struct ea_audit;

/* A node's facts as an object:
 * {"apiVersion","kind","metadata":{"name","uid"},"facts":{…node/facts.h…}}; node controls judge
 * `facts`. */
#define EA_NODE_FACTS_GROUP "agent.eucs-agent.io"
#define EA_NODE_FACTS_VERSION "v1alpha1"
#define EA_NODE_FACTS_KIND "NodeFacts"

struct ea_audit_opts {
    struct ea_ruleset *rules;               /* shared (a reference is taken) */
    const struct ea_exemptions *exemptions; /* may be NULL */
    struct ea_store *store;                 /* the source's; updated before each event */
    struct ea_lookup lookup;                /* joins and namespaces */
    struct ea_elog *log;                    /* NULL: verdicts only */
    const char *digest_path; /* file beside the log that spares a full repeat after a restart; NULL
                                = none */
    enum ea_level floor;
    bool record;      /* from the start; see ea_audit_lead */
    uint64_t term;    /* leaseTransitions, 0 without a lease */
    bool outage_gaps; /* record the time since the digest was written as a gap of every resource */
};

/* 0, -errno of the digest file (a damaged or foreign digest is no error: everything is recorded
 * again). */
EA_MUST_CHECK int ea_audit_new(const struct ea_audit_opts *o, struct ea_audit **ret,
                               struct ea_err *err);
/* Writes the digest to the end. No event may come any more. */
void ea_audit_free(struct ea_audit *a);

/* For ea_informer_opts.event and ea_dir_opts.event; arg is the struct ea_audit. */
void ea_audit_event(void *arg, const struct ea_kube_event *e);

/* Begin or stop to record under this term. Beginning records `takeover` (when takeover_record) and
 * every verdict that differs from what was recorded last; failures first. */
void ea_audit_lead(struct ea_audit *a, bool lead, uint64_t term, bool takeover_record);
/* Another rule set or other exemptions (shared; exemptions may be NULL): every stored object is
 * judged again. The exemptions used before are not touched any more when this returns. */
void ea_audit_set_rules(struct ea_audit *a, struct ea_ruleset *rules,
                        const struct ea_exemptions *exemptions);
/* Call every second or so: repeats records that could not be written, judges again what an
 * exemption covered, refreshes gauges. */
void ea_audit_tick(struct ea_audit *a);
/* Scheduled re-attestation: records the present verdict of the next `max` objects again, changed or
 * not. Objects left in this round; 0 = round complete, the next call starts another. */
size_t ea_audit_attest(struct ea_audit *a, size_t max);
/* Judges every stored object again (a clock-dependent control, a doubt). */
void ea_audit_rejudge(struct ea_audit *a);

/* For admission's controllers rule: the object with this uid and kind is judged here and fails
 * f->control with every failure of f (paths compared below the pod template). arg is the struct
 * ea_audit. */
bool ea_audit_owner(void *arg, struct ea_str uid, struct ea_str kind, const struct ea_finding *f);

struct ea_audit_stat {
    uint64_t objects, judged, records, failed_records;
    uint64_t by_result[EA_RESULT_COUNT]; /* present (object, control) pairs; exempted failures not
                                            in fail */
    uint64_t fails[EA_SEVERITY_COUNT];   /* present failures by severity, without exempted ones */
    uint64_t exempted;
    uint64_t gaps;                  /* open now */
    size_t verdicts, verdict_bytes; /* distinct ones, and their memory */
    bool synced;                    /* every table of the store was told whole */
};
void ea_audit_stat(struct ea_audit *a, struct ea_audit_stat *ret);

#endif
