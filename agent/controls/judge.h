/* controls/judge.h - the one evaluator: webhook, watch, scan and tests call it.
 *
 * Thread:  ea_judge is [any] (the rule set is immutable; the arena is the caller's).
 * Owns:    nothing; findings live in the caller's arena.
 * Limits:  EA_CEL_COST_CONTROL a control, EA_MAX_FAILURES a finding, the arena's cap.
 * Never:   reads a clock (now is given), asks Kubernetes (lookup is given), logs.
 */
#ifndef EA_CONTROLS_JUDGE_H
#define EA_CONTROLS_JUDGE_H

#include "controls/exempt.h"
#include "controls/ruleset.h"

enum ea_result { EA_PASS, EA_FAIL, EA_SKIP, EA_UNKNOWN, EA_RESULT_COUNT };
enum ea_reason {
    EA_R_NONE,
    EA_R_EVALUATION_ERROR,
    EA_R_COST_LIMIT,
    EA_R_DEADLINE,
    EA_R_MISSING_CONTEXT,
    EA_R_NOT_OBSERVABLE,
    EA_R_NOT_CONFIGURED,
    EA_R_NO_REQUEST,
    EA_R_COMPILE_ERROR,
    EA_REASON_COUNT
};
extern const char *const ea_result_names[EA_RESULT_COUNT];
extern const char *const ea_reason_names[EA_REASON_COUNT]; /* "evaluation-error" …; [0] = NULL */

/* What is judged. */
struct ea_subject {
    struct ea_gvr gvr;
    unsigned op;              /* one EA_OP_… */
    bool has_request;         /* false in scan and watch: UPDATE/DELETE-only controls and readers of
                                 oldObject are skip (no-request) */
    struct ea_val object;     /* null on DELETE */
    struct ea_val old_object; /* null unless UPDATE or DELETE */
    struct ea_val request;    /* AdmissionRequest as CEL sees it (no object, oldObject, uid); null =
                                 made up from the rest */
    const struct ea_val *namespace_object; /* NULL = not known: readers are unknown
                                              (missing-context) when namespaced */
    const struct ea_val *context;          /* map of named facts, or NULL */
    struct ea_str namespace_, name;        /* as shown; name empty with generateName */
    const struct ea_val
        *node; /* facts of the node for node controls; NULL: they are unknown (not-observable) */
};

/* Answers joins and names; app/ passes the informer store, tests an array. All values live in the
 * given arena or longer. */
struct ea_lookup {
    void *arg;
    /* The Namespace object, NULL when unknown. */
    const struct ea_val *(*namespace_)(void *arg, struct ea_arena *a, struct ea_str name);
    /* Objects of one kind, of one namespace (empty: all), at most cap; *ret_complete false when cut
     * or the store is not synced. */
    int (*list)(void *arg, struct ea_arena *a, struct ea_str api_version, struct ea_str kind,
                struct ea_str ns, size_t cap, struct ea_val *ret, bool *ret_complete);
};

struct ea_judge_opts {
    const struct ea_lookup *lookup;         /* may be NULL */
    const struct ea_exemptions *exemptions; /* may be NULL */
    int64_t now_us;                         /* wall clock given by the caller */
    enum ea_level
        floor; /* the configured level; a namespace label may raise it (eucs-agent.io/level) */
    bool ignore_level;              /* scan --control/--reference: judge whatever matches */
    bool (*interrupted)(void *arg); /* deadline: controls not yet judged are unknown (deadline) */
    void *interrupted_arg;
    bool (*wanted)(void *arg, const struct ea_control *c); /* scan filters; NULL = all */
    void *wanted_arg;
    bool trace;        /* find paths of failures; costs a second run of the failed expressions */
    bool all_failures; /* no cap of EA_MAX_FAILURES (the repair rule compares them all) */
};

/* One failing element (DESIGN: the tuple of the repair rule is control, validation, key_path,
 * value). */
struct ea_failure {
    unsigned validation;
    struct ea_str path, key_path, element, message;
    struct ea_str value; /* canonical JSON of what is there; empty when missing */
    unsigned
        root; /* 0 = object, 1 = elsewhere (context, request): never excused by an old object */
};

struct ea_finding {
    const struct ea_control *control;
    enum ea_result result;
    enum ea_reason reason;
    struct ea_str detail;  /* text of the evaluation error, name of the missing thing */
    struct ea_str message; /* of the first failure */
    struct ea_failure *failures;
    unsigned n_failures;                  /* listed */
    unsigned n_more;                      /* found beyond those listed */
    const struct ea_exemption *exemption; /* set: the failure does not count, action audit */
    enum ea_action action;                /* the control's own, audit when exempted */
    uint64_t cost;
};

struct ea_findings {
    struct ea_finding *f; /* in order of control id */
    unsigned n;
};

/* Judges one object against every control whose rules match it and whose level applies. Nothing for
 * other controls. 0 (findings say the rest) or -E2BIG (arena full before the findings could be
 * made). */
EA_MUST_CHECK int ea_judge(const struct ea_ruleset *rs, const struct ea_subject *s,
                           const struct ea_judge_opts *o, struct ea_arena *a,
                           struct ea_findings *ret, struct ea_err *err);
/* One control only, whatever its level and rules say (repair rule, cases). */
EA_MUST_CHECK int ea_judge_one(const struct ea_ruleset *rs, const struct ea_control *c,
                               const struct ea_subject *s, const struct ea_judge_opts *o,
                               struct ea_arena *a, struct ea_finding *ret, struct ea_err *err);

/* True when this finding alone denies a request: `fail` whose action and the enforcement are both
 * deny; `unknown` only with failurePolicy Fail on a deny control, or when the cost limit was hit on
 * a deny control (padding must not buy admission). not-configured never denies; an exempted failure
 * neither. */
bool ea_finding_denies(const struct ea_finding *f, enum ea_action enforcement);
/* The level that counts for an object: the floor, or the namespace's label eucs-agent.io/level when
 * that is higher. */
enum ea_level ea_effective_level(enum ea_level floor, bool namespaced,
                                 const struct ea_val *namespace_object);

/* ---- the repair rule (a failure that was there before does not deny) ---- */

enum ea_repair { EA_REPAIR_NEW, EA_REPAIR_OLD };
/* For an UPDATE: judges the old object with the same control and marks which failures of `f` are
 * new. The finding's failures must have been collected with trace and all_failures. *ret_new =
 * number of failures that the old object lacks; 0 = excused. An old side that is unknown excuses
 * nothing; a failure without a path is excused only if the object is unchanged but for metadata and
 * status; control->ratchet_grows names lists that may only shrink. */
EA_MUST_CHECK int ea_repair_compare(const struct ea_ruleset *rs, const struct ea_subject *subject,
                                    const struct ea_judge_opts *o, const struct ea_finding *f,
                                    struct ea_arena *a, unsigned *ret_new, struct ea_err *err);
/* True when an UPDATE is always allowed: deletionTimestamp with unchanged spec, status only,
 * finalizers only. */
bool ea_repair_always_allowed(const struct ea_subject *subject);

#endif
