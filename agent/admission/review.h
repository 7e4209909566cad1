/* admission/review.h - AdmissionReview bytes to a decision, its evidence body and the answer: the
 * same code for the webhook and for `eucs-agent review`.
 *
 * Thread:  [any]; everything lives in the caller's arena. The environment is immutable during a
 * review. Owns:    nothing. The body is borrowed and must outlive the review. Limits:  the arena's
 * cap, EA_MAX_DEPTH, EA_MAX_WARNINGS, EA_MAX_WARNING_LEN, EA_MAX_FAILURES, EA_MAX_DENIAL. Never:
 * reads a clock but for the deadline, does I/O, logs, writes evidence. Source:
 * k8s.io/api/admission/v1, docs/WEBHOOK.md.
 */
#ifndef EA_ADMISSION_REVIEW_H
#define EA_ADMISSION_REVIEW_H

#include "base/buf.h"
#include "base/clock.h"
#include "controls/judge.h"

/* What is known about the owners of an object; app/ passes the verdict store, tests an array. */
struct ea_owners {
    void *arg;
    /* The object with this uid and kind was judged here and fails f->control with every failure of
     * f. */
    bool (*fails)(void *arg, struct ea_str uid, struct ea_str kind, const struct ea_finding *f);
};

enum ea_caller {
    EA_CALLER_UNKNOWN,
    EA_CALLER_CLIENT_CERTIFICATE,
    EA_CALLER_PATH_TOKEN,
    EA_CALLER_NONE,
    EA_CALLER_COUNT
};
extern const char *const
    ea_caller_names[EA_CALLER_COUNT]; /* "client-certificate" "path-token" "none"; [0] = NULL */

struct ea_review_env {
    const struct ea_ruleset *rules;
    const struct ea_lookup *lookup;         /* may be NULL */
    const struct ea_exemptions *exemptions; /* may be NULL */
    const struct ea_owners *owners;         /* may be NULL: the controllers rule excuses nobody */
    enum ea_action enforcement;             /* ceiling of every control's action */
    enum ea_level floor;
    bool existing_deny; /* existingWorkloads: deny */
    ea_wall_us now;
    ea_mono_us deadline; /* controls not judged by then are unknown (deadline); 0 = none */
    enum ea_caller caller;
    /* Hex of SHA-256, or of HMAC-SHA-256 under a per-agent key when keyed (Secrets). NULL: no
     * digest in the record. */
    void (*digest)(void *arg, bool keyed, struct ea_str bytes, char ret_hex[65]);
    void *digest_arg;
};

/* What a finding means for this request. */
enum ea_effect {
    EA_EFFECT_NONE, /* pass or skip */
    EA_EFFECT_DENY,
    EA_EFFECT_WARN,
    EA_EFFECT_AUDIT,    /* recorded, not shown */
    EA_EFFECT_EXISTING, /* would deny, but was there before (repair rule) */
    EA_EFFECT_OWNER,    /* would deny, but the owner was there before (controllers rule) */
    EA_EFFECT_EXEMPT,
    EA_EFFECT_COUNT
};
extern const char *const ea_effect_names[EA_EFFECT_COUNT];

struct ea_review {
    /* decoded */
    struct ea_val root;           /* the AdmissionReview */
    const struct ea_val *request; /* its request */
    struct ea_str body, uid, operation, user;
    struct ea_str api_version; /* of the judged kind: "apps/v1" */
    struct ea_str object_uid;
    struct ea_subject subject;
    bool dry_run;
    bool nothing_judged; /* Scale, Eviction, Binding, TokenRequest: no workload in them */
    /* judged */
    struct ea_findings findings;
    uint8_t *effects; /* enum ea_effect of each finding */
    unsigned n_pass, n_fail, n_skip, n_unknown;
    bool exhausted; /* the arena was full before all findings were made */
    /* decided */
    bool allowed;
};

/* 0, -EINVAL or -E2BIG (answer 400 with err's text). */
EA_MUST_CHECK int ea_review_decode(const struct ea_review_env *env, struct ea_arena *a,
                                   struct ea_str body, struct ea_review *ret, struct ea_err *err);
/* Judges and sorts out what denies. 0 always: what cannot be judged is a finding or `exhausted`. */
void ea_review_judge(const struct ea_review_env *env, struct ea_arena *a, struct ea_review *rv);
void ea_review_decide(const struct ea_review_env *env, struct ea_arena *a, struct ea_review *rv);
/* Body of the admission.decision record, JCS. 0 or -E2BIG. */
EA_MUST_CHECK int ea_review_record(const struct ea_review_env *env, const struct ea_review *rv,
                                   struct ea_buf *b);
/* The AdmissionReview that answers. evidence: position for the audit annotation, NULL = none (dry
 * run, command line); lost: why the decision could not be recorded, NULL = it could. 0 or -E2BIG.
 */
EA_MUST_CHECK int ea_review_answer(const struct ea_review_env *env, const struct ea_review *rv,
                                   const char *evidence, const char *lost, struct ea_buf *b);
/* A metav1.Status for requests that are no review. */
int ea_review_failure(struct ea_buf *b, unsigned status, const char *text);

/* decode, judge, decide, answer: for the command line. *ret_answer lies in the arena. 0, -EINVAL,
 * -E2BIG. */
EA_MUST_CHECK int ea_review(const struct ea_review_env *env, struct ea_arena *a, struct ea_str body,
                            struct ea_review *ret, struct ea_str *ret_answer, struct ea_err *err);

#endif
