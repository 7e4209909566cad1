/* doc/build.h - building documents in an arena, by hand.
 *
 * Thread:  [owner] of the arena.
 * Limits:  the arena's cap; every function answers -E2BIG through `failed`, which is sticky.
 */
#ifndef EA_DOC_BUILD_H
#define EA_DOC_BUILD_H

#include "doc/val.h"

/* A map under construction. Keys and values are not copied. */
struct ea_mapb {
    struct ea_arena *a;
    struct ea_member *m;
    uint32_t n, size;
    int failed;
};
void ea_mapb_init(struct ea_mapb *b, struct ea_arena *a);
void ea_mapb_put(struct ea_mapb *b, struct ea_str key, struct ea_val v);
#define ea_mapb_putz(b, lit, v) ea_mapb_put((b), EA_STR(lit), (v))
/* The finished map (indexed when large); keys must be distinct. */
struct ea_val ea_mapb_end(struct ea_mapb *b);

struct ea_listb {
    struct ea_arena *a;
    struct ea_val *v;
    uint32_t n, size;
    int failed;
};
void ea_listb_init(struct ea_listb *b, struct ea_arena *a);
void ea_listb_add(struct ea_listb *b, struct ea_val v);
struct ea_val ea_listb_end(struct ea_listb *b);

/* Copies n members into the arena, with an index when there are many. 0, -E2BIG, -EEXIST (a key
 * repeats; *ret_dup, when not NULL, is the position of the second one). */
EA_MUST_CHECK int ea_map_seal(struct ea_arena *a, const struct ea_member *m, uint32_t n,
                              struct ea_val *ret, uint32_t *ret_dup);

/* Deep copy into another arena, strings included, raw nodes built. 0 or -E2BIG. */
EA_MUST_CHECK int ea_val_copy(struct ea_arena *a, const struct ea_val *v, struct ea_val *ret);

#endif
