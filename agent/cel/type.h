/* cel/type.h - static types of the checker.
 *
 * Thread:  [any]; types are immutable. Simple ones are constants, parameterised ones lie in the
 * compilation's arena.
 */
#ifndef EA_CEL_TYPE_H
#define EA_CEL_TYPE_H

#include "base/arena.h"
#include "base/buf.h"
#include "doc/val.h"

enum ea_cel_tkind {
    EA_T_DYN,
    EA_T_NULL,
    EA_T_BOOL,
    EA_T_INT,
    EA_T_UINT,
    EA_T_DOUBLE,
    EA_T_STRING,
    EA_T_BYTES,
    EA_T_TIMESTAMP,
    EA_T_DURATION,
    EA_T_TYPE,
    EA_T_LIST,
    EA_T_MAP,
    EA_T_OPTIONAL,
    EA_T_OPAQUE,
    EA_T_OBJECT,
    EA_T_ANY_ELEM /* element of an empty literal: fits everything and takes the other side's type */
};

struct ea_cel_field {
    const char *name;
    const struct ea_cel_type *type;
};

struct ea_cel_type {
    enum ea_cel_tkind kind;
    const struct ea_cel_type *a;       /* element, map key, optional's value */
    const struct ea_cel_type *b;       /* map value */
    const char *name;                  /* opaque and object types */
    const struct ea_cel_field *fields; /* objects; ends with a NULL name */
};

extern const struct ea_cel_type ea_cel_t_dyn, ea_cel_t_null, ea_cel_t_bool, ea_cel_t_int,
    ea_cel_t_uint, ea_cel_t_double, ea_cel_t_string, ea_cel_t_bytes, ea_cel_t_timestamp,
    ea_cel_t_duration, ea_cel_t_type, ea_cel_t_any, ea_cel_t_list_dyn, ea_cel_t_map_dyn,
    ea_cel_t_list_string;

/* NULL when the arena is full. */
const struct ea_cel_type *ea_cel_type_list(struct ea_arena *a, const struct ea_cel_type *elem);
const struct ea_cel_type *ea_cel_type_map(struct ea_arena *a, const struct ea_cel_type *k,
                                          const struct ea_cel_type *v);
const struct ea_cel_type *ea_cel_type_optional(struct ea_arena *a, const struct ea_cel_type *v);
const struct ea_cel_type *ea_cel_type_opaque(const char *name);
/* "list(string)", "map(string, dyn)", "optional_type(dyn)", "request", "namespace" … ; dyn for NULL
 * and for what is unknown. */
const struct ea_cel_type *ea_cel_type_parse(struct ea_arena *a, const char *text);
/* The text of a type, NUL-terminated, in the arena ("dyn" when it is full). */
const char *ea_cel_type_text(struct ea_arena *a, const struct ea_cel_type *t);
/* A value of type `from` may stand where `to` is wanted (dyn fits both ways). */
bool ea_cel_type_fits(const struct ea_cel_type *to, const struct ea_cel_type *from);
/* Exactly alike, where Kubernetes wants literals homogeneous (an empty literal's elements are like
 * anything). */
bool ea_cel_type_same(const struct ea_cel_type *x, const struct ea_cel_type *y);
/* The common type of two branches, NULL when they do not agree. */
const struct ea_cel_type *ea_cel_type_join(const struct ea_cel_type *x,
                                           const struct ea_cel_type *y);

#endif
