/* audit/audit_priv.h - inside of the audit: scan.c, record.c, rounds.c, digest.c, snapshot.c and
 * owner.c share it.
 *
 * Thread:  everything under `lock`.
 */
#ifndef EA_AUDIT_PRIV_H
#define EA_AUDIT_PRIV_H

#include "audit/audit.h"
#include "audit/verdict.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/metrics.h"

#include <pthread.h>

/* One judged object. */
struct entry {
    struct entry *next;       /* same bucket */
    struct ea_object *object; /* as last told; a reference shared with the store */
    struct verdict *now;      /* last judgement */
    struct verdict *recorded; /* last one in the log; NULL = none by this process */
    ea_mono_us gone;          /* deleted while somebody else records; 0 = it lives */
};

struct entries {
    struct entry **buckets;
    size_t size, n;
};
void entries_init(struct entries *t);
struct entry *entries_find(const struct entries *t, struct ea_str uid);
/* The entry of this uid, made when missing. */
struct entry *entries_get(struct entries *t, struct ea_object *o);
/* Unlinks; the caller has emptied it. */
void entries_del(struct entries *t, struct entry *e);
/* Iterates; deleting the current one is allowed. */
struct entry *entries_next(const struct entries *t, size_t *bucket, struct entry *last);

struct gap {
    ea_wall_us from;
    char *reason;
};

struct digest;

struct ea_snapshot;

struct audit_table {
    bool told;        /* listed whole at least once */
    bool outage_open; /* the gap of the agent's own absence */
    bool seen;
};

struct ea_audit {
    pthread_mutex_t lock;
    struct ea_audit_opts o;
    struct ea_ruleset **sets; /* every set used so far, referenced: verdicts point into them */
    size_t n_sets;
    struct verdict_pool pool;
    struct entries entries;
    struct ea_map namespaces; /* name -> hash of its labels */
    struct ea_map gaps;       /* scope -> struct gap */
    struct audit_table tables[EA_MAX_WATCHES];
    bool namespaces_ready;  /* until then nothing is judged: level and selectors hang on them */
    bool retry;             /* a record could not be written */
    ea_wall_us outage_from; /* 0 = not known or told already */
    struct digest *digest;
    struct ea_arena arena; /* of one object */
    struct ea_buf body;
    ea_wall_us ticked;
    uint64_t version; /* of the verdicts, for snapshots */
    struct ea_audit_stat stat;
    struct ea_object **round; /* re-attestation: what is left */
    size_t round_n;
    struct ea_snapshot *published;
    struct ea_metric *m_findings[EA_RESULT_COUNT][EA_SEVERITY_COUNT], *m_exempted, *m_objects,
        *m_gaps, *m_judge, *m_failed;
    struct ea_metric *m_records[EA_RESULT_COUNT];
    uint64_t present[EA_RESULT_COUNT][EA_SEVERITY_COUNT];
};

/* ---- scan.c ---- */
/* Judges a document as this object; findings live in a->arena. 0, -E2BIG. */
int audit_judge(struct ea_audit *a, const struct ea_object *o, const struct ea_val *doc,
                struct ea_findings *ret);
/* Parses, judges, takes over, records. */
void audit_scan_object(struct ea_audit *a, struct ea_object *o);
/* Every object of one namespace (empty: all), one lock an object: the caller does not hold it. */
void audit_scan_all(struct ea_audit *a, struct ea_str ns);
struct ea_subject audit_subject(const struct ea_audit *a, const struct ea_object *o,
                                const struct ea_val *doc);

/* What an earlier process recorded of a resource that is told whole and that nobody has met again
 * is gone. */
void audit_close_leftovers(struct ea_audit *a, unsigned table);

/* ---- record.c ---- */
/* Records what differs between e->recorded and e->now. f: the findings of e->now. */
void audit_record_changes(struct ea_audit *a, struct entry *e, const struct ea_findings *f);
/* Records the present verdict again. */
void audit_record_all(struct ea_audit *a, struct entry *e, const struct ea_findings *f);
void audit_record_gone(struct ea_audit *a, struct entry *e);
/* Of an object known from the digest alone: its identity text. */
void audit_record_vanished(struct ea_audit *a, struct ea_str identity);
void audit_gap_open(struct ea_audit *a, struct ea_str scope, const char *reason, ea_wall_us from,
                    struct ea_str file, unsigned line);
void audit_gap_close(struct ea_audit *a, struct ea_str scope, bool complete);
int audit_append(struct ea_audit *a, enum ea_record_type type, bool urgent);
void audit_record_takeover(struct ea_audit *a);
void audit_record_expired(struct ea_audit *a, const struct ea_exemption *x);
/* "watch:deployments.apps" */
struct ea_str audit_scope(struct ea_audit *a, const struct ea_kube_res *res);
/* Resource, version, kind, namespace, name, uid of an object, one line for the digest: fields by
 * tab, control bytes and % as %XX. */
void audit_identity(struct ea_buf *b, const struct ea_kube_res *res, const struct ea_object *o);

/* ---- digest.c: the file that remembers what was recorded ---- */
/* 0 (also when there is none or it does not fit this log), -errno. *ret_written: when the old one
 * was last written, 0 = none. */
int digest_open(const char *path, const char *node_uid, uint64_t epoch, struct digest **ret,
                ea_wall_us *ret_written, struct ea_err *err);
void digest_close(struct digest *d);
/* What was recorded last for this uid by an earlier process; false = nothing known. */
bool digest_find(const struct digest *d, struct ea_str uid, uint64_t *ret_hash);
/* The log is about to say something else about uid. */
void digest_mark(struct digest *d, struct ea_str uid);
/* The log now says this. */
void digest_set(struct digest *d, struct ea_str uid, uint64_t hash, struct ea_str identity);
void digest_forget(struct digest *d, struct ea_str uid);
/* The file grew far beyond what lives: write it anew. begin, an add for each object recorded by
 * this process, end. What an earlier process recorded and this one has not met is kept by itself.
 */
bool digest_due(const struct digest *d);
void digest_rewrite_begin(struct digest *d);
void digest_rewrite_add(struct digest *d, uint64_t hash, struct ea_str identity);
void digest_rewrite_end(struct digest *d);
/* Objects of one resource (empty: all) that an earlier process recorded and this one has not met;
 * forgets them. */
void digest_leftovers(struct digest *d, struct ea_str resource,
                      void (*fn)(void *arg, struct ea_str identity), void *arg);

#endif
