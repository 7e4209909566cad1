/* app/scan_filter.h - which controls a command is about: --control, --reference, --level, --group.
 *
 * Thread:  [any] once made.
 */
#ifndef EA_APP_SCAN_FILTER_H
#define EA_APP_SCAN_FILTER_H

#include "app/cmd.h"
#include "controls/ruleset.h"

struct ea_filter {
    const char *const *controls;
    size_t n_controls;
    const char *const *references; /* FRAMEWORK[:PART] */
    size_t n_references;
    const struct ea_catalogue *catalogue;
};

/* 0, -EINVAL: a control that does not exist, a reference that no control has. */
EA_MUST_CHECK int ea_filter_init(struct ea_filter *f, const struct ea_args *a,
                                 const struct ea_ruleset *rs, struct ea_err *err);
/* As ea_judge_opts.wanted. */
bool ea_filter_wants(void *filter, const struct ea_control *c);
/* Does the control carry FRAMEWORK[:PART]? pss:restricted takes baseline in, as the standard does;
 * eucs:PART is a requirement, a control of the scheme or a category. */
bool ea_control_has_reference(const struct ea_catalogue *cat, const struct ea_control *c,
                              struct ea_str reference);

#endif
