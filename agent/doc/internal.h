/* doc/internal.h - what the files of doc/ share and nobody else includes.
 *
 * Thread:  [owner] of the arena.
 */
#ifndef EA_DOC_INTERNAL_H
#define EA_DOC_INTERNAL_H

#include "doc/json.h"
#include "doc/val.h"

/* Hardening that zeroes every local would clear scratch arrays that are written before they are
 * read. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define EA_UNINITIALIZED __attribute__((uninitialized))
#endif
#endif
#ifndef EA_UNINITIALIZED
#define EA_UNINITIALIZED
#endif

/* Maps with more members than this have an index; up to here a linear scan over lengths is as fast.
 */
#define EA_MAP_LINEAR 16u

/* A subtree that was checked and not built. */
struct ea_raw {
    struct ea_arena *a;
    const char *text;
    const char *const *lazy;
    unsigned max_depth;
    int state; /* 0 = untouched, 1 = built, -E2BIG = the arena was full */
    struct ea_val built;
};

/* Builds the subtree again, from text that was found correct. 0 or -E2BIG. */
EA_MUST_CHECK int ea_json_build_raw(struct ea_raw *raw, size_t n);

/* Members in the arena with room for the index in front of them when n asks for one; NULL = over
 * the cap. */
struct ea_member *ea_map_alloc(struct ea_arena *a, uint32_t n);
/* Fills the index in front of m[0..n), n > EA_MAP_LINEAR, made by ea_map_alloc. -1, or the position
 * of the second of two equal keys. */
ptrdiff_t ea_map_index(struct ea_member *m, uint32_t n);

#endif
