/* controls/judge_run.h - what the files of the judge share about one call.
 *
 * Thread:  [owner] of the call's arena.
 */
#ifndef EA_CONTROLS_JUDGE_RUN_H
#define EA_CONTROLS_JUDGE_RUN_H

#include "controls/internal.h"

/* Values of one family's variables, evaluated once for all its controls. */
struct ea_shared {
    struct ea_cel_slot *slots; /* NULL until the first control of the family ran */
    uint64_t cost;             /* at least what the values have cost */
};

struct ea_job {
    const struct ea_ruleset *rs;
    const struct ea_subject *s;
    const struct ea_judge_opts *o;
    struct ea_arena *a;
    const struct ea_val *ns; /* NULL = not known */
    enum ea_level level;
    struct ea_val level_val, now, request;
    bool has_request_val;
    struct ea_shared *shared; /* by family */
};

/* Notes one false validation with all its failing elements (traced when asked). 0 or -E2BIG. */
EA_MUST_CHECK int ea_failures_add(struct ea_job *j, const struct ea_control *c, unsigned validation,
                                  struct ea_str message, struct ea_cel_run *r,
                                  struct ea_finding *f);
/* Answers the control's joins and binds `context`; false: *f is settled (missing-context,
 * evaluation-error). */
bool ea_joins_bind(struct ea_job *j, const struct ea_control *c, struct ea_cel_run *r,
                   struct ea_finding *f);

#endif
