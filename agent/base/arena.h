/* base/arena.h - one capped arena per unit of work.
 *
 * Thread:  [owner]; one thread at a time.
 * Owns:    its blocks. Nothing inside is freed alone; ea_arena_reset keeps the first block for the
 * next unit of work. Limits:  `cap` bytes in all; beyond it allocation returns NULL (callers answer
 * -E2BIG).
 */
#ifndef EA_BASE_ARENA_H
#define EA_BASE_ARENA_H

#include "base/base.h"

struct ea_arena_block;

struct ea_arena {
    char *at; /* next free byte of the current block */
    char *end;
    struct ea_arena_block *block; /* newest block */
    struct ea_arena_block *first;
    size_t used; /* bytes of all blocks */
    size_t cap;
    size_t grow; /* size of the next block */
    struct ea_arena_cleanup *cleanups;
};

/* cap in bytes, > 0; first = size of the first block, made at first use (0 = 16 KiB). */
void ea_arena_init(struct ea_arena *a, size_t cap, size_t first);
/* Gives everything back but the first block; runs cleanups. */
void ea_arena_reset(struct ea_arena *a);
void ea_arena_done(struct ea_arena *a);
void *ea_arena_slow(struct ea_arena *a, size_t n, size_t align);

/* Uninitialised memory aligned to `align` (a power of two), NULL over the cap. */
static inline void *ea_arena_alloc_aligned(struct ea_arena *a, size_t n, size_t align)
{
    uintptr_t at = ((uintptr_t)a->at + (align - 1)) & ~(uintptr_t)(align - 1);

    if (EA_LIKELY(a->at != NULL && at <= (uintptr_t)a->end && n <= (uintptr_t)a->end - at)) {
        a->at = (char *)at + n;
        return (void *)at;
    }
    return ea_arena_slow(a, n, align);
}
static inline void *ea_arena_alloc(struct ea_arena *a, size_t n)
{
    return ea_arena_alloc_aligned(a, n, 16);
}
static inline void *ea_arena_zalloc(struct ea_arena *a, size_t n)
{
    void *p = ea_arena_alloc(a, n);

    if (p)
        memset(p, 0, n);
    return p;
}
/* Copy, NUL-terminated (the NUL is not counted). p NULL over the cap. */
struct ea_str ea_arena_str(struct ea_arena *a, struct ea_str s);
struct ea_str ea_arena_printf(struct ea_arena *a, const char *fmt, ...) EA_PRINTF(2, 3);
/* Calls fn(arg) at reset or done, newest first. 0 or -E2BIG (fn was called at once). */
int ea_arena_defer(struct ea_arena *a, void (*fn)(void *), void *arg);

#endif
