/* controls/cases.h - the examples beside every control (<check-id>.cases.yaml), run through the
 * judge.
 *
 * Thread:  [any]; the rule set is immutable.
 * Limits:  EA_MAX_OWN_FILE a file, EA_ARENA_OBJECT a case.
 * Source:  docs/CONTROLS.md (the fields of a case).
 */
#ifndef EA_CONTROLS_CASES_H
#define EA_CONTROLS_CASES_H

#include "controls/judge.h"

/* Fields that a case may have; NULL-terminated. */
extern const char *const ea_case_fields[];

struct ea_case_totals {
    unsigned passed, failed;
};

/* Runs the cases of one control (id not empty) or of all. Every failed case is one call of say
 * ("file:line: control, case: what"). Adds to *totals. 0, -ENOENT (no such control), -E2BIG. */
EA_MUST_CHECK int ea_cases_run(const struct ea_ruleset *rs, struct ea_str id,
                               void (*say)(void *arg, const char *line), void *arg,
                               struct ea_case_totals *totals, struct ea_err *err);
/* Cases of one control: how many expect pass, fail and anything else. */
struct ea_case_counts {
    unsigned pass, fail, other;
};
void ea_cases_count(const struct ea_ruleset *rs, const struct ea_control *c,
                    struct ea_case_counts *ret);

#endif
