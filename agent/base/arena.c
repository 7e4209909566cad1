#include "base/arena.h"

#include <stdio.h>

struct ea_arena_block {
    struct ea_arena_block *prev;
    size_t size; /* of the whole block, this header included */
    char data[] __attribute__((aligned(16)));
};

struct ea_arena_cleanup {
    struct ea_arena_cleanup *next;
    void (*fn)(void *);
    void *arg;
};

void ea_arena_init(struct ea_arena *a, size_t cap, size_t first)
{
    *a = (struct ea_arena){.cap = cap, .grow = first ? first : 16u << 10};
}

static void run_cleanups(struct ea_arena *a)
{
    while (a->cleanups) {
        struct ea_arena_cleanup *c = a->cleanups;

        a->cleanups = c->next;
        c->fn(c->arg);
    }
}

void ea_arena_reset(struct ea_arena *a)
{
    run_cleanups(a);
    while (a->block && a->block != a->first) {
        struct ea_arena_block *b = a->block;

        a->block = b->prev;
        a->used -= b->size;
        free(b);
    }
    if (a->block) {
        a->at = a->block->data;
        a->end = (char *)a->block + a->block->size;
        a->grow = a->block->size;
    }
}

void ea_arena_done(struct ea_arena *a)
{
    ea_arena_reset(a);
    free(a->block);
    *a = (struct ea_arena){.cap = a->cap, .grow = a->grow};
}

void *ea_arena_slow(struct ea_arena *a, size_t n, size_t align)
{
    size_t need;

    if (__builtin_add_overflow(n, sizeof(struct ea_arena_block) + align, &need) ||
        need > a->cap - EA_MIN(a->used, a->cap))
        return NULL;
    size_t size = EA_MAX(a->grow, need);

    size = EA_MIN(size, a->cap - a->used);
    struct ea_arena_block *b = malloc(size);

    if (!b)
        return NULL;
    b->prev = a->block; /* NOLINT(clang-analyzer-unix.Malloc): need is never 0 */
    b->size = size;
    if (!a->first)
        a->first = b;
    a->block = b;
    a->used += size;
    a->at = b->data;
    a->end = (char *)b + size;
    if (a->grow < (4u << 20))
        a->grow *= 2;
    uintptr_t at = ((uintptr_t)a->at + (align - 1)) & ~(uintptr_t)(align - 1);

    a->at = (char *)at + n;
    return (void *)at;
}

struct ea_str ea_arena_str(struct ea_arena *a, struct ea_str s)
{
    char *p = ea_arena_alloc_aligned(a, s.n + 1, 1);

    if (!p)
        return EA_STR_NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return ea_strn(p, s.n);
}

struct ea_str ea_arena_printf(struct ea_arena *a, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n >= 0 ? ea_arena_alloc_aligned(a, (size_t)n + 1, 1) : NULL;

    if (p)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p ? ea_strn(p, (size_t)n) : EA_STR_NULL;
}

int ea_arena_defer(struct ea_arena *a, void (*fn)(void *), void *arg)
{
    struct ea_arena_cleanup *c = ea_arena_alloc(a, sizeof(*c));

    if (!c) {
        fn(arg);
        return -E2BIG;
    }
    *c = (struct ea_arena_cleanup){a->cleanups, fn, arg};
    a->cleanups = c;
    return 0;
}
