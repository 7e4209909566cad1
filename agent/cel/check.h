/* cel/check.h - what the checker's files share.
 *
 * Thread:  [owner] of the compilation.
 */
#ifndef EA_CEL_CHECK_H
#define EA_CEL_CHECK_H

#include "cel/ast.h"
#include "cel/prog.h"

/* All answer false after a refusal: the unit has failed. */
bool ea_cel_refuse(struct ea_cel_unit *u, uint32_t pos, const char *fmt, ...) EA_PRINTF(3, 4);
bool ea_cel_check_full(struct ea_cel_unit *u, uint32_t pos);
/* An error at run time in the conformance flavour (true), a refusal in Kubernetes'. */
bool ea_cel_unknown(struct ea_cel_unit *u, struct ea_cel_node *n, const char *fmt, ...)
    EA_PRINTF(3, 4);
bool ea_cel_no_overload(struct ea_cel_unit *u, struct ea_cel_node *n, const char *name,
                        struct ea_cel_node *const *args, uint32_t n_args,
                        const struct ea_cel_node *target);
bool ea_cel_expects_bool(struct ea_cel_unit *u, const struct ea_cel_node *arg);
/* Types of a call or an operator whose arguments are typed. */
bool ea_cel_check_call(struct ea_cel_unit *u, struct ea_cel_node *n, const struct ea_cel_fn *fn);
bool ea_cel_check_operator(struct ea_cel_unit *u, struct ea_cel_node *n);
/* What a list or an optional holds; dyn for everything else. */
const struct ea_cel_type *ea_cel_held(const struct ea_cel_type *t);

#endif
