/* cel/lib.h - the libraries of functions: one file each, one table each, listed in lib.c.
 *
 * Thread:  tables are constants; functions are [owner] of the context's arena and pure otherwise.
 */
#ifndef EA_CEL_LIB_H
#define EA_CEL_LIB_H

#include "cel/prog.h"
#include "cel/time.h"
#include "cel/value.h"

extern const struct ea_cel_fn ea_cel_lib_std[], ea_cel_lib_time[], ea_cel_lib_strings[],
    ea_cel_lib_lists[], ea_cel_lib_sets[], ea_cel_lib_regex[], ea_cel_lib_net[], ea_cel_lib_url[],
    ea_cel_lib_quantity[], ea_cel_lib_semver[], ea_cel_lib_format[];

/* "…".format([…]), format.c. */
ea_cel_call ea_cel_string_format;

/* Text and order of the opaque kinds, each by its own file. */
struct ea_str ea_cel_ip_text(struct ea_arena *a, const struct ea_val *v);
bool ea_cel_ip_equal(const struct ea_val *a, const struct ea_val *b);
struct ea_str ea_cel_url_text(struct ea_arena *a, const struct ea_val *v);
bool ea_cel_url_equal(const struct ea_val *a, const struct ea_val *b);
struct ea_str ea_cel_quantity_text(struct ea_arena *a, const struct ea_val *v);
int ea_cel_quantity_compare(const struct ea_val *a, const struct ea_val *b);
struct ea_str ea_cel_semver_text(struct ea_arena *a, const struct ea_val *v);
int ea_cel_semver_compare(const struct ea_val *a, const struct ea_val *b);
/* A quarter of the size of a named format's pattern: what a character's check is charged. */
uint64_t ea_cel_format_weight(const struct ea_val *v);
struct ea_str ea_cel_format_text(struct ea_arena *a, const struct ea_val *v);
/* Makes the opaque value of a type name from its text ("kubernetes.Quantity", "1Gi"). 0, -EINVAL,
 * -E2BIG. */
EA_MUST_CHECK int ea_cel_opaque_parse(struct ea_cel_ctx *cx, struct ea_str type, struct ea_str text,
                                      struct ea_val *ret);

#endif
