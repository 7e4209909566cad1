/* doc/val.h - the one read-only node type over JSON and YAML, which is also the CEL value: 16
 * bytes, passed by value.
 *
 * Thread:  a tree without EA_V_RAW nodes is immutable and [any]; a tree with raw nodes is [owner]
 * until they were touched, because the first touch builds the subtree in the document's arena.
 * ea_doc_settle() builds them all. Owns:    nothing; strings are slices of the source text or of
 * the arena, which must outlive the value. Limits:  those of the parser that made it
 * (base/limits.h). Never:   changes after publication (but for raw nodes, where nobody sees a
 * difference).
 */
#ifndef EA_DOC_VAL_H
#define EA_DOC_VAL_H

#include "base/arena.h"
#include "base/base.h"

enum ea_vtype {
    EA_V_NULL = 0,
    EA_V_BOOL,
    EA_V_INT,  /* int64; from JSON: a number token without . e E that fits */
    EA_V_UINT, /* CEL only */
    EA_V_DOUBLE,
    EA_V_STRING,    /* n bytes of valid UTF-8 */
    EA_V_BYTES,     /* CEL only */
    EA_V_LIST,      /* n items */
    EA_V_MAP,       /* n members, in source order; keys of JSON and YAML are strings */
    EA_V_RAW,       /* a subtree not built yet; only doc/ sees it: use ea_val_force */
    EA_V_TIMESTAMP, /* CEL only: i = Unix seconds, n = nanoseconds 0..999999999 */
    EA_V_DURATION,  /* CEL only: i = nanoseconds */
    EA_V_TYPE,      /* CEL only: s,n = name of the type */
    EA_V_OPTIONAL,  /* CEL only: opt NULL = none */
    EA_V_OPAQUE,    /* CEL only: ptr to an object of cel/, n = its kind */
    EA_V_ERROR,     /* CEL only: ptr to an error of cel/ */
    EA_V_COUNT
};

struct ea_member;

struct ea_val {
    uint8_t type;  /* enum ea_vtype */
    uint8_t flags; /* EA_VF_… */
    uint16_t aux;  /* of the type's owner */
    uint32_t n;    /* bytes, items, members */
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        const char *s;
        const struct ea_val *items;
        const struct ea_member *members;
        const struct ea_val *opt;
        const void *ptr;
    };
};
_Static_assert(sizeof(struct ea_val) == 16, "the node is the CEL value and must stay two words");

struct ea_member {
    struct ea_val key;
    struct ea_val val;
};

#define EA_VF_INDEXED 1u /* a hash index lies in front of the members (large maps) */
#define EA_VF_CEL 2u     /* built by CEL: keys may be other than strings */

static inline struct ea_val ea_val_null(void)
{
    return (struct ea_val){.type = EA_V_NULL};
}
static inline struct ea_val ea_val_bool(bool b)
{
    return (struct ea_val){.type = EA_V_BOOL, .b = b};
}
static inline struct ea_val ea_val_int(int64_t i)
{
    return (struct ea_val){.type = EA_V_INT, .i = i};
}
static inline struct ea_val ea_val_double(double d)
{
    return (struct ea_val){.type = EA_V_DOUBLE, .d = d};
}
static inline struct ea_val ea_val_str(struct ea_str s)
{
    return (struct ea_val){.type = EA_V_STRING, .n = (uint32_t)s.n, .s = s.p};
}
static inline struct ea_val ea_val_list(const struct ea_val *items, uint32_t n)
{
    return (struct ea_val){.type = EA_V_LIST, .n = n, .items = items};
}
/* Members without an index: lookup is linear. Use ea_map_seal (doc/build.h) for large ones. */
static inline struct ea_val ea_val_map(const struct ea_member *members, uint32_t n)
{
    return (struct ea_val){.type = EA_V_MAP, .n = n, .members = members};
}
static inline struct ea_str ea_val_text(const struct ea_val *v)
{
    return (struct ea_str){v->s, v->n};
}

/* Builds a raw subtree; returns the node to use instead (v itself when it is not raw). Never NULL:
 * a subtree that cannot be built because the arena is full becomes a null node and this thread's
 * ea_doc_overflows() goes up. */
const struct ea_val *ea_val_force_slow(const struct ea_val *v);
/* How often this thread met a raw node that could not be built. Whoever judges a document compares
 * before and after: when it went up, a null node stood for something that was there, and the
 * verdict is void. */
uint64_t ea_doc_overflows(void);
static inline const struct ea_val *ea_val_force(const struct ea_val *v)
{
    return EA_LIKELY(v->type != EA_V_RAW) ? v : ea_val_force_slow(v);
}
static inline bool ea_val_is(const struct ea_val *v, enum ea_vtype t)
{
    return v != NULL && v->type == t;
}

/* Member by key; NULL when absent or v is NULL or no map. The node returned is forced. */
const struct ea_val *ea_val_get(const struct ea_val *v, struct ea_str key);
#define ea_val_getz(v, lit) ea_val_get((v), EA_STR(lit))
/* Position of the member or -1. */
ptrdiff_t ea_val_find(const struct ea_val *map, struct ea_str key);
/* Item of a list; NULL when out of range or no list. Forced. */
const struct ea_val *ea_val_at(const struct ea_val *v, size_t i);
/* Walks "a.b.c" (keys without dots); NULL when any step is missing. */
const struct ea_val *ea_val_path(const struct ea_val *v, const char *dotted);
/* Text of a string member, or EA_STR_NULL when absent or no string. */
struct ea_str ea_val_get_str(const struct ea_val *v, const char *key);
/* As ea_val_path for strings. */
struct ea_str ea_val_path_str(const struct ea_val *v, const char *dotted);
bool ea_val_get_bool(const struct ea_val *v, const char *key, bool dflt);
int64_t ea_val_get_int(const struct ea_val *v, const char *key, int64_t dflt);
/* Deep equality of documents (JSON values: 1 and 1.0 are equal, member order does not matter). */
bool ea_val_equal(const struct ea_val *a, const struct ea_val *b);
/* Name of the JSON type for messages: null, boolean, number, string, list, map. */
const char *ea_val_type_name(const struct ea_val *v);

#endif
