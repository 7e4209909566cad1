/* From the tree of events to nodes: aliases, merge keys, repeated keys, limits. */
#include <stdio.h>

#include "base/limits.h"
#include "doc/build.h"
#include "doc/yaml_internal.h"

static int build_node(struct ea_ybuild *b, struct ea_ynode *n);

/* ---- a map under construction: in the order of first appearance, a later value replaces an
 * earlier one ---- */

struct ymap {
    struct ea_arena *tmp;
    struct ea_member *m;
    uint32_t *line;
    uint8_t *merged; /* came in by a merge key */
    uint32_t n, size;
    uint32_t *slots; /* open addressing, entry + 1; NULL while small */
    uint32_t mask;
};

static bool ymap_grow(struct ymap *y)
{
    uint32_t size = y->size ? y->size * 2 : 8;
    struct ea_member *m = ea_arena_alloc(y->tmp, (size_t)size * sizeof *m);
    uint32_t *line = ea_arena_alloc(y->tmp, (size_t)size * sizeof *line);
    uint8_t *merged = ea_arena_alloc(y->tmp, size);

    if (m == NULL || line == NULL || merged == NULL)
        return false;
    if (y->n) {
        memcpy(m, y->m, y->n * sizeof *m);
        memcpy(line, y->line, y->n * sizeof *line);
        memcpy(merged, y->merged, y->n);
    }
    y->m = m;
    y->line = line;
    y->merged = merged;
    y->size = size;
    return true;
}

static uint32_t *ymap_slot(const struct ymap *y, struct ea_str key)
{
    uint32_t at = (uint32_t)ea_hash(key.p, key.n) & y->mask;

    while (y->slots[at] && !ea_str_eq(ea_val_text(&y->m[y->slots[at] - 1].key), key))
        at = (at + 1) & y->mask;
    return &y->slots[at];
}

static bool ymap_rehash(struct ymap *y)
{
    uint32_t size = y->size * 2, i;

    y->slots = ea_arena_zalloc(y->tmp, (size_t)size * sizeof *y->slots);
    y->mask = size - 1;
    for (i = 0; y->slots && i < y->n; i++)
        *ymap_slot(y, ea_val_text(&y->m[i].key)) = i + 1;
    return y->slots != NULL;
}

static ptrdiff_t ymap_find(const struct ymap *y, struct ea_str key)
{
    uint32_t i;

    if (y->slots)
        return (ptrdiff_t)*ymap_slot(y, key) - 1;
    for (i = 0; i < y->n; i++) {
        if (ea_str_eq(ea_val_text(&y->m[i].key), key))
            return (ptrdiff_t)i;
    }
    return -1;
}

static int ymap_set(struct ymap *y, ptrdiff_t at, struct ea_member m, uint32_t line, bool merged)
{
    if (at < 0) {
        if (y->n == y->size && (!ymap_grow(y) || (y->size > 16 && !ymap_rehash(y))))
            return -E2BIG;
        at = (ptrdiff_t)y->n++;
        y->m[at].key = m.key;
        if (y->slots)
            *ymap_slot(y, ea_val_text(&m.key)) = (uint32_t)at + 1;
    }
    y->m[at].val = m.val;
    y->line[at] = line;
    y->merged[at] = merged;
    return 0;
}

/* ---- limits ---- */

/* The guard of go.yaml.in/yaml/v2 against documents that are nearly all alias; counting is the
 * same, so the verdict is too. */
static bool too_much_aliasing(const struct ea_ybuild *b)
{
    double decoded = (double)b->decoded, allowed = 0.99;

    if (b->decoded_by_alias <= 100 || b->decoded <= 1000)
        return false;
    if (b->decoded >= 4000000)
        allowed = 0.10;
    else if (b->decoded > 400000)
        allowed = 0.99 - 0.89 * ((decoded - 400000) / 3600000);
    return (double)b->decoded_by_alias / decoded > allowed;
}

static int count(struct ea_ybuild *b, const struct ea_ynode *n, uint64_t nodes)
{
    b->decoded += nodes;
    if (b->in_alias)
        b->decoded_by_alias += nodes;
    if (b->decoded > EA_MAX_YAML_NODES)
        return ea_yaml_fail(b, -E2BIG, n, "the document has more than %u nodes", EA_MAX_YAML_NODES);
    return 0;
}

/* ---- nodes ---- */

static int check_tag(struct ea_ybuild *b, const struct ea_ynode *n)
{
    return n->tag.p && b->profile == EA_YAML_STRICT
               ? ea_yaml_fail(b, -EINVAL, n, "tags are not allowed")
               : 0;
}

static int build_alias(struct ea_ybuild *b, struct ea_ynode *n)
{
    struct ea_ynode *t = n->target;
    int rc;

    if (t->state == EA_Y_BUSY)
        return ea_yaml_fail(b, -EINVAL, n, "the anchor \"%.*s\" contains itself", EA_STRF(n->text));
    if (++b->aliases > EA_MAX_YAML_ALIASES)
        return ea_yaml_fail(b, -E2BIG, n, "more than %u aliases in one document",
                            EA_MAX_YAML_ALIASES);
    rc = t->state == EA_Y_DONE ? 0 : build_node(b, t);
    if (rc)
        return rc;
    b->in_alias++;
    rc = count(b, n, t->weight);
    b->in_alias--;
    if (rc)
        return rc;
    if (b->profile == EA_YAML_KUBERNETES && too_much_aliasing(b))
        return ea_yaml_fail(b, -EINVAL, n, "the document is nearly all aliases");
    if (b->depth + t->height > EA_MAX_DEPTH)
        return ea_yaml_fail(b, -E2BIG, n, "nested more than %u levels deep", EA_MAX_DEPTH);
    n->built = t->built;
    n->weight = t->weight + 1;
    n->height = t->height;
    return 0;
}

static int resolve(struct ea_ybuild *b, const struct ea_ynode *n, struct ea_yscalar *ret)
{
    return b->profile == EA_YAML_STRICT ? ea_yaml_resolve_strict(b, n, ret)
                                        : ea_yaml_resolve_kubernetes(b, n, ret);
}

static int build_scalar(struct ea_ybuild *b, struct ea_ynode *n)
{
    struct ea_yscalar s;
    int rc = resolve(b, n, &s);

    n->weight = 1;
    if (rc == 0 && b->profile == EA_YAML_KUBERNETES)
        return ea_yaml_json_value(b, n, &s, &n->built);
    n->built = s.v;
    return rc;
}

static int build_list(struct ea_ybuild *b, struct ea_ynode *n)
{
    struct ea_val *items = ea_arena_alloc(b->a, (size_t)n->n * sizeof *items);
    uint32_t *line = ea_arena_alloc(b->tmp, (size_t)n->n * sizeof *line), i = 0;
    struct ea_ynode *c;
    int rc;

    if (items == NULL || line == NULL)
        return -E2BIG;
    n->weight = 1;
    for (c = n->first; c; c = c->next) {
        rc = build_node(b, c);
        if (rc)
            return rc;
        n->weight += c->weight;
        n->height = EA_MAX(n->height, c->height);
        line[i] = c->line;
        items[i++] = c->built;
    }
    n->height++;
    n->built = ea_val_list(items, n->n);
    return ea_yaml_lines_add(b->lines, items, sizeof *items, line, n->n);
}

/* isMerge() of go.yaml.in/yaml/v2 */
static bool is_merge(const struct ea_ynode *k)
{
    return k->kind == EA_Y_SCALAR && ea_str_is(k->text, "<<") &&
           (k->implicit || ea_str_is(k->tag, "tag:yaml.org,2002:merge"));
}

/* A key is resolved here and not built, because what JSON cannot hold as a value (infinity) may
 * still be a key. */
static int count_key(struct ea_ybuild *b, struct ea_ynode *k)
{
    bool alias = k->kind == EA_Y_ALIAS;
    int rc = count(b, k, 1);

    k->weight = alias ? 2 : 1;
    if (rc || !alias)
        return rc;
    if (++b->aliases > EA_MAX_YAML_ALIASES)
        return ea_yaml_fail(b, -E2BIG, k, "more than %u aliases in one document",
                            EA_MAX_YAML_ALIASES);
    b->in_alias++;
    rc = count(b, k, 1);
    b->in_alias--;
    return rc;
}

static int key_of(struct ea_ybuild *b, struct ea_ynode *k, struct ea_str *ret)
{
    const struct ea_ynode *n = k->kind == EA_Y_ALIAS ? k->target : k;
    struct ea_yscalar s;
    int rc;

    if (n->kind != EA_Y_SCALAR)
        return ea_yaml_fail(b, -EINVAL, k, "a %s cannot be a key",
                            n->kind == EA_Y_LIST ? "list" : "map");
    rc = count_key(b, k);
    if (rc == 0)
        rc = check_tag(b, n);
    if (rc == 0)
        rc = resolve(b, n, &s);
    if (rc)
        return rc;
    if (b->profile == EA_YAML_KUBERNETES)
        return ea_yaml_key_text(b, n, &s, ret);
    if (s.v.type == EA_V_NULL)
        return ea_yaml_fail(b, -EINVAL, k, "null cannot be a key");
    *ret = n->text;
    return 0;
}

static int add_pair(struct ea_ybuild *b, struct ymap *y, struct ea_ynode *k)
{
    struct ea_str key = EA_STR_NULL;
    ptrdiff_t at;
    int rc = key_of(b, k, &key);

    if (rc == 0)
        rc = build_node(b, k->next);
    if (rc)
        return rc;
    at = ymap_find(y, key);
    if (at >= 0 && y->merged && !y->merged[at]) {
        if (b->profile == EA_YAML_STRICT)
            return ea_yaml_fail(b, -EINVAL, k, "the key \"%.*s\" repeats (first on line %u)",
                                (int)EA_MIN(key.n, 100), key.p, y->line[at]);
        if (!ea_yaml_warn(b, k->line, "key \"%.*s\" repeats, the last one counts",
                          (int)EA_MIN(key.n, 100), key.p))
            return -E2BIG;
    }
    return ymap_set(y, at, (struct ea_member){.key = ea_val_str(key), .val = k->next->built},
                    k->line, false);
}

static int merge_map(struct ea_ybuild *b, struct ymap *y, struct ea_ynode *src, uint32_t line)
{
    const struct ea_ynode *n = src->kind == EA_Y_ALIAS ? src->target : src;
    uint32_t i;
    int rc;

    if (n->kind != EA_Y_MAP)
        return ea_yaml_fail(b, -EINVAL, src, "a merge key (<<) wants a map or a list of maps");
    rc = build_node(b, src);
    for (i = 0; i < src->built.n && rc == 0; i++) {
        const struct ea_member *m = &src->built.members[i];

        rc = ymap_set(y, ymap_find(y, ea_val_text(&m->key)), *m, line, true);
    }
    return rc;
}

/* Earlier maps of a list win over later ones, so they are set last. */
static int merge_list(struct ea_ybuild *b, struct ymap *y, struct ea_ynode *list, uint32_t line)
{
    struct ea_ynode **all = ea_arena_alloc(b->tmp, (size_t)list->n * sizeof *all), *c;
    uint32_t i = 0;
    int rc = all ? 0 : -E2BIG;

    for (c = list->first; all && c; c = c->next)
        all[i++] = c;
    while (i > 0 && rc == 0)
        rc = merge_map(b, y, all[--i], line);
    list->weight = 0;
    for (i = 0; i < list->n && rc == 0; i++)
        list->weight += all[i]->weight;
    return rc;
}

static int merge(struct ea_ybuild *b, struct ymap *y, struct ea_ynode *k)
{
    if (b->profile == EA_YAML_STRICT)
        return ea_yaml_fail(b, -EINVAL, k, "merge keys (<<) are not allowed");
    if (k->next->kind == EA_Y_LIST)
        return merge_list(b, y, k->next, k->line);
    return merge_map(b, y, k->next, k->line);
}

static int build_map(struct ea_ybuild *b, struct ea_ynode *n)
{
    struct ymap y = {.tmp = b->tmp};
    struct ea_ynode *k;
    int rc = 0;

    n->weight = 1;
    for (k = n->first; k && rc == 0; k = k->next->next) {
        bool merging = is_merge(k);

        rc = merging ? merge(b, &y, k) : add_pair(b, &y, k);
        n->weight += (merging ? 0 : k->weight) + k->next->weight;
        /* the map that held what is merged is gone: its height is one too many, on the safe side */
        n->height = EA_MAX(n->height, k->next->height);
    }
    if (rc)
        return rc;
    n->height++;
    rc = ea_map_seal(b->a, y.m, y.n, &n->built, NULL);
    return rc ? rc
              : ea_yaml_lines_add(b->lines, n->built.members, sizeof(struct ea_member), y.line,
                                  y.n);
}

static int build_node(struct ea_ybuild *b, struct ea_ynode *n)
{
    int rc;

    if (n->state == EA_Y_DONE)
        return 0;
    n->state = EA_Y_BUSY;
    rc = count(b, n, 1);
    if (rc)
        return rc;
    rc = check_tag(b, n);
    if (rc)
        return rc;
    b->depth += n->kind == EA_Y_LIST || n->kind == EA_Y_MAP;
    switch (n->kind) {
    case EA_Y_SCALAR:
        rc = build_scalar(b, n);
        break;
    case EA_Y_LIST:
        rc = build_list(b, n);
        break;
    case EA_Y_MAP:
        rc = build_map(b, n);
        break;
    default:
        rc = build_alias(b, n);
    }
    b->depth -= n->kind == EA_Y_LIST || n->kind == EA_Y_MAP;
    n->state = EA_Y_DONE;
    return rc;
}

int ea_yaml_build(struct ea_ybuild *b, struct ea_ynode *root, struct ea_val *ret)
{
    int rc;

    b->decoded = 1;
    rc = build_node(b, root);
    *ret = root->built;
    ea_yaml_lines_seal(b->lines);
    return rc;
}
