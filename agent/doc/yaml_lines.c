#include <math.h>

#include "base/limits.h"
#include "doc/yaml_internal.h"

/* Where a node stands is asked for its address: every array of items or members is one span with a
 * line per entry. */
struct span {
    const char *base;
    const uint32_t *line;
    uint32_t n;
    uint32_t stride;
};

struct ea_yaml_lines {
    struct ea_arena *a;
    struct span *spans;
    uint32_t n, size;
};

struct ea_yaml_lines *ea_yaml_lines_new(struct ea_arena *a)
{
    struct ea_yaml_lines *l = ea_arena_zalloc(a, sizeof *l);

    if (l)
        l->a = a;
    return l;
}

static bool room_for_span(struct ea_yaml_lines *l)
{
    uint32_t size = l->size ? l->size * 2 : 32;
    struct span *s;

    if (l->n < l->size)
        return true;
    s = ea_arena_alloc(l->a, (size_t)size * sizeof *s);
    if (s == NULL)
        return false;
    if (l->n)
        memcpy(s, l->spans, (size_t)l->n * sizeof *s);
    l->spans = s;
    l->size = size;
    return true;
}

static uint32_t *new_span(struct ea_yaml_lines *l, const void *base, size_t stride, uint32_t n)
{
    uint32_t *line = ea_arena_alloc_aligned(l->a, (size_t)n * sizeof *line, sizeof *line);

    if (line == NULL || !room_for_span(l))
        return NULL;
    l->spans[l->n++] =
        (struct span){.base = base, .line = line, .n = n, .stride = (uint32_t)stride};
    return line;
}

int ea_yaml_lines_add(struct ea_yaml_lines *l, const void *base, size_t stride,
                      const uint32_t *line, uint32_t n)
{
    uint32_t *copy;

    if (n == 0)
        return 0;
    copy = new_span(l, base, stride, n);
    if (copy == NULL)
        return -E2BIG;
    memcpy(copy, line, (size_t)n * sizeof *copy);
    return 0;
}

static int by_base(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct span *)a)->base,
              y = (uintptr_t)((const struct span *)b)->base;

    return (x > y) - (x < y);
}

void ea_yaml_lines_seal(struct ea_yaml_lines *l)
{
    if (l->n > 1)
        qsort(l->spans, l->n, sizeof *l->spans, by_base);
}

unsigned ea_yaml_line(const struct ea_yaml_doc *d, const struct ea_val *node)
{
    uintptr_t at = (uintptr_t)node;
    uint32_t low = 0, high;

    if (node == &d->root)
        return d->line;
    if (d->lines == NULL)
        return 0;
    for (high = d->lines->n; low < high;) {
        uint32_t mid = low + (high - low) / 2;
        const struct span *s = &d->lines->spans[mid];

        if (at < (uintptr_t)s->base)
            high = mid;
        else if (at >= (uintptr_t)s->base + (uintptr_t)s->n * s->stride)
            low = mid + 1;
        else
            return s->line[(at - (uintptr_t)s->base) / s->stride];
    }
    return 0;
}

/* ---- JSON ---- */

/* Counts lines forward; nodes are visited in the order of the text. */
struct cursor {
    struct ea_yaml_lines *l;
    const char *at, *end;
    uint32_t line;
};

static void advance(struct cursor *c, const char *to)
{
    const char *nl;

    if (to < c->at || to >= c->end)
        return;
    while ((nl = memchr(c->at, '\n', (size_t)(to - c->at)))) {
        c->line++;
        c->at = nl + 1;
    }
    c->at = to;
}

/* The text of the first string or key inside v says where v is. */
static const char *place_of(const struct ea_val *v)
{
    while (v->n && (v->type == EA_V_LIST || v->type == EA_V_MAP))
        v = v->type == EA_V_MAP ? &v->members[0].key : &v->items[0];
    return v->type == EA_V_STRING ? v->s : NULL;
}

static int json_lines(struct cursor *c, struct ea_val *v);

static int json_entries(struct cursor *c, const struct ea_val *v, uint32_t *line)
{
    bool map = v->type == EA_V_MAP;
    uint32_t i;
    int rc = 0;

    for (i = 0; i < v->n && rc == 0; i++) {
        const char *place = map ? v->members[i].key.s : place_of(&v->items[i]);
        /* the tree was just parsed and belongs to nobody yet */
        struct ea_val *child = (struct ea_val *)(map ? &v->members[i].val : &v->items[i]);

        if (place)
            advance(c, place);
        line[i] = c->line;
        rc = json_lines(c, child);
    }
    return rc;
}

static int json_lines(struct cursor *c, struct ea_val *v)
{
    size_t stride = v->type == EA_V_MAP ? sizeof(struct ea_member) : sizeof(struct ea_val);
    uint32_t *line;

    if (v->type == EA_V_DOUBLE && v->d == trunc(v->d) && fabs(v->d) < 9223372036854775808.0)
        *v = ea_val_int((int64_t)v->d);
    if ((v->type != EA_V_MAP && v->type != EA_V_LIST) || v->n == 0)
        return 0;
    line = new_span(c->l, v->items, stride, v->n);
    return line ? json_entries(c, v, line) : -E2BIG;
}

int ea_yaml_lines_of_json(struct ea_yaml_lines *l, struct ea_str text, unsigned from,
                          struct ea_val *root)
{
    struct cursor c = {.l = l, .at = text.p, .end = text.p + text.n, .line = from};
    int rc = json_lines(&c, root);

    ea_yaml_lines_seal(l);
    return rc;
}
