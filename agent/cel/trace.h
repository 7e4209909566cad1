/* cel/trace.h - where values come from, while a program runs in trace mode.
 *
 * Thread:  [owner]; everything lies in the arena of the run.
 * Rule:    NULL is an origin too: the value was made by the expression. A full arena loses origins,
 * never a verdict.
 */
#ifndef EA_CEL_TRACE_H
#define EA_CEL_TRACE_H

#include "cel/cel.h"

enum ea_cel_org_kind {
    EA_ORG_ROOT,    /* the variable in `slot` */
    EA_ORG_KEY,     /* parent.key */
    EA_ORG_INDEX,   /* parent[key] */
    EA_ORG_DERIVED, /* computed from parent */
    EA_ORG_LIST,    /* a list made by the expression, whose items have origins */
    EA_ORG_SET      /* a verdict over several elements */
};

/* One reason: the path that decided, and the element of the loop it was found in. */
struct ea_cel_blame {
    const struct ea_cel_org *path;
    const struct ea_cel_org *element; /* NULL outside of loops */
    struct ea_val element_val;
};

struct ea_cel_org {
    uint8_t kind;
    bool present;  /* KEY, INDEX: something is there */
    bool selected; /* LIST: made by filter, so that its items are the answer */
    unsigned slot;
    uint32_t n; /* LIST: items, SET: reasons */
    const struct ea_cel_org *parent;
    struct ea_val key;
    struct ea_val value;
    union {
        const struct ea_cel_org **items;
        const struct ea_cel_blame *reasons;
    };
};

/* The element that the innermost loop looks at. */
struct ea_cel_element {
    const struct ea_cel_org *org;
    struct ea_val val;
};

struct ea_cel_trace {
    struct ea_arena *arena;
    const struct ea_cel_org **slots; /* origin of each slot's value */
    const struct ea_cel_org *result; /* of the program run last */
};

const struct ea_cel_org *ea_cel_org_root(struct ea_arena *a, unsigned slot,
                                         const struct ea_val *value);
/* parent.key or parent[key]; value NULL = nothing is there. */
const struct ea_cel_org *ea_cel_org_child(struct ea_arena *a, const struct ea_cel_org *parent,
                                          const struct ea_val *key, const struct ea_val *value);
const struct ea_cel_org *ea_cel_org_item(struct ea_arena *a, const struct ea_cel_org *parent,
                                         uint32_t i, const struct ea_val *value);
const struct ea_cel_org *ea_cel_org_derived(struct ea_arena *a, const struct ea_cel_org *parent);
/* Of a list made here; items as given. */
const struct ea_cel_org *ea_cel_org_list(struct ea_arena *a, const struct ea_cel_org **items,
                                         uint32_t n, const struct ea_cel_org *from, bool selected);
const struct ea_cel_org *ea_cel_org_concat(struct ea_arena *a, const struct ea_val *x,
                                           const struct ea_cel_org *ox, const struct ea_val *y,
                                           const struct ea_cel_org *oy);
/* True when the value lies somewhere, rather than in the expression. */
bool ea_cel_org_placed(const struct ea_cel_org *o);
/* Which operand a result is blamed on: the one that lies in the element, else a set, else the first
 * that has an origin. */
const struct ea_cel_org *ea_cel_org_pick(const struct ea_cel_org *x, const struct ea_cel_org *y,
                                         const struct ea_cel_element *e, bool prefer_last);
/* Both decided: all reasons of both. */
const struct ea_cel_org *ea_cel_org_union(struct ea_arena *a, const struct ea_cel_org *x,
                                          const struct ea_cel_org *y,
                                          const struct ea_cel_element *e);
/* Adds the reasons of one element's verdict to a loop's set (NULL at first). */
const struct ea_cel_org *ea_cel_org_add(struct ea_arena *a, const struct ea_cel_org *set,
                                        const struct ea_cel_org *verdict,
                                        const struct ea_cel_element *e);
/* size(x): the items of a filter's result are the reasons. */
const struct ea_cel_org *ea_cel_org_size(struct ea_arena *a, const struct ea_cel_org *list,
                                         const struct ea_val *v);
/* Fills the answers from the origin of a false result. Number of reasons. */
size_t ea_cel_org_explain(struct ea_arena *a, const struct ea_cel_org *o, struct ea_cel_why *ret,
                          size_t cap);

#endif
