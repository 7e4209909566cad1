/* cel/value.h - operations on values that the machine and the libraries share.
 *
 * Thread:  [owner] of the arena; pure otherwise.
 */
#ifndef EA_CEL_VALUE_H
#define EA_CEL_VALUE_H

#include "base/buf.h"
#include "doc/val.h"

/* Kinds of opaque values: `n` of the node. The object begins with nothing in common; see the
 * library that makes it. */
enum ea_cel_opaque {
    EA_OPAQUE_NONE,
    EA_OPAQUE_QUANTITY,
    EA_OPAQUE_IP,
    EA_OPAQUE_CIDR,
    EA_OPAQUE_URL,
    EA_OPAQUE_SEMVER,
    EA_OPAQUE_FORMAT
};

/* Go's strconv.ParseFloat for decimal text, "NaN", "Inf", "Infinity" with sign. 0 or -EINVAL; out
 * of range is an infinity. */
EA_MUST_CHECK int ea_cel_parse_double(struct ea_str s, double *ret);

/* c is one of the characters of set. */
static inline bool ea_cel_one_of(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}
static inline struct ea_val ea_cel_uint(uint64_t u)
{
    return (struct ea_val){.type = EA_V_UINT, .u = u};
}
static inline struct ea_val ea_cel_bytes(const char *p, size_t n)
{
    return (struct ea_val){.type = EA_V_BYTES, .n = (uint32_t)n, .s = p};
}
static inline struct ea_val ea_cel_duration(int64_t ns)
{
    return (struct ea_val){.type = EA_V_DURATION, .i = ns};
}
static inline struct ea_val ea_cel_timestamp(int64_t s, uint32_t ns)
{
    return (struct ea_val){.type = EA_V_TIMESTAMP, .n = ns, .i = s};
}
static inline struct ea_val ea_cel_type_of(const char *name)
{
    return (struct ea_val){.type = EA_V_TYPE, .n = (uint32_t)strlen(name), .s = name};
}
static inline struct ea_val ea_cel_optional(const struct ea_val *v)
{
    return (struct ea_val){.type = EA_V_OPTIONAL, .opt = v};
}
static inline struct ea_val ea_cel_opaque(enum ea_cel_opaque kind, const void *p)
{
    return (struct ea_val){.type = EA_V_OPAQUE, .n = (uint32_t)kind, .ptr = p};
}

/* Name of a value's type: "int", "google.protobuf.Timestamp", "optional_type", "net.IP" … */
const char *ea_cel_value_type(const struct ea_val *v);

/* Orders two values of comparable types. 0 with *ret <0, 0, >0, or 2 for unordered (NaN); -EINVAL
 * when they have no order. */
EA_MUST_CHECK int ea_cel_compare(const struct ea_val *a, const struct ea_val *b, int *ret);
/* Member of any map by any key (numbers across types); forced; NULL when absent. */
const struct ea_val *ea_cel_map_find(const struct ea_val *map, const struct ea_val *key);
/* v in list. */
bool ea_cel_list_has(const struct ea_val *list, const struct ea_val *v);

/* A map under construction with keys of any type. */
struct ea_cel_mapb {
    struct ea_arena *a;
    struct ea_member *m;
    uint32_t *slots; /* hash of positions + 1, NULL while small */
    uint32_t n, size, mask;
};
/* Room for n entries. 0 or -E2BIG. */
EA_MUST_CHECK int ea_cel_mapb_init(struct ea_cel_mapb *b, struct ea_arena *a, uint32_t n);
/* 0, -EEXIST (an equal key is there; *ret_old = its value, writable), -E2BIG. */
EA_MUST_CHECK int ea_cel_mapb_add(struct ea_cel_mapb *b, const struct ea_val *key,
                                  const struct ea_val *v, struct ea_val **ret_old);
/* The finished map; large ones keep their index. */
struct ea_val ea_cel_mapb_end(struct ea_cel_mapb *b);

/* Code points of UTF-8 text. */
size_t ea_cel_utf8_len(const char *p, size_t n);
/* Size as CEL's size(): code points, bytes, items, members; 1 for everything else. */
uint64_t ea_cel_size(const struct ea_val *v);
/* Zero value of its type, for optional.ofNonZeroValue. */
bool ea_cel_is_zero(const struct ea_val *v);
/* Appends the text that string() gives. 0, -E2BIG, -EINVAL (type has none). */
int ea_cel_add_text(struct ea_buf *b, const struct ea_val *v);
/* Shortest decimal of a double as Go's strconv.FormatFloat(d, 'g'-like of CEL string(): %v.
 * NUL-terminated. */
void ea_cel_double_text(double d, char out[40]);
void ea_cel_duration_text(int64_t ns, char out[40]);
void ea_cel_timestamp_text(int64_t s, uint32_t ns, char out[48]);
/* Text of an opaque value: quantities, addresses, … in the arena; EA_STR_NULL when the arena is
 * full. */
struct ea_str ea_cel_opaque_text(struct ea_arena *a, const struct ea_val *v);
bool ea_cel_opaque_equal(const struct ea_val *a, const struct ea_val *b);
const char *ea_cel_opaque_name(enum ea_cel_opaque kind);

#endif
