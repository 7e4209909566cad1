/* controls/exempt.h - exemptions: an agreed, reasoned, dated exception from one control (EUCS
 * ISP-03).
 *
 * Thread:  a loaded set is immutable and [any].
 * Owns:    its arena.
 * Source:  docs/EXEMPTIONS.md.
 */
#ifndef EA_CONTROLS_EXEMPT_H
#define EA_CONTROLS_EXEMPT_H

#include "doc/val.h"

struct ea_exemption {
    struct ea_str name, control, reason, owner, approver, risk_ref;
    int64_t start_us, end_us;
    struct ea_str ns, kind, object; /* empty = any; object may end with * */
    struct ea_val document;
};

struct ea_exemptions;
/* A YAML file, or a folder of them, of kind Exemption. 0, -EINVAL (file:line: what is missing),
 * -errno. */
EA_MUST_CHECK int ea_exemptions_load(const char *path, struct ea_exemptions **ret,
                                     struct ea_err *err);
void ea_exemptions_free(struct ea_exemptions *e);
/* All of them; e may be NULL. Number of entries. */
size_t ea_exemptions_list(const struct ea_exemptions *e, const struct ea_exemption **ret);
/* The exemption in force for (control, object) at now_us, or NULL. */
const struct ea_exemption *ea_exemption_find(const struct ea_exemptions *e, struct ea_str control,
                                             struct ea_str kind, struct ea_str ns,
                                             struct ea_str name, int64_t now_us);

#endif
