#include "cel/trace.h"

#include "base/limits.h"
#include "cel/vm.h"
#include "doc/print.h"

/* Paths longer than this are cut at the front; documents end at EA_MAX_DEPTH. */
#define STEPS (EA_MAX_DEPTH * 2)
/* Reasons kept of one verdict: more than any answer lists, so that the count stays right for a
 * while. */
#define REASONS 4096u

static struct ea_cel_org *make(struct ea_arena *a, enum ea_cel_org_kind kind,
                               const struct ea_cel_org *parent)
{
    struct ea_cel_org *o = ea_arena_zalloc(a, sizeof *o);

    if (o == NULL)
        return NULL;
    o->kind = (uint8_t)kind;
    o->parent = parent;
    return o;
}

const struct ea_cel_org *ea_cel_org_root(struct ea_arena *a, unsigned slot,
                                         const struct ea_val *value)
{
    struct ea_cel_org *o = make(a, EA_ORG_ROOT, NULL);

    if (o) {
        o->slot = slot;
        o->value = *value;
        o->present = true;
    }
    return o;
}

const struct ea_cel_org *ea_cel_org_child(struct ea_arena *a, const struct ea_cel_org *parent,
                                          const struct ea_val *key, const struct ea_val *value)
{
    struct ea_cel_org *o;

    if (parent == NULL || parent->kind == EA_ORG_DERIVED || parent->kind == EA_ORG_SET)
        return parent;
    if (parent->kind == EA_ORG_LIST)
        return key->type == EA_V_INT ? ea_cel_org_item(a, parent, (uint32_t)key->i, value) : parent;
    o = make(a, key->type == EA_V_STRING ? EA_ORG_KEY : EA_ORG_INDEX, parent);
    if (o) {
        o->key = *key;
        o->present = value != NULL;
        if (value)
            o->value = *ea_val_force(value);
    }
    return o;
}

const struct ea_cel_org *ea_cel_org_item(struct ea_arena *a, const struct ea_cel_org *parent,
                                         uint32_t i, const struct ea_val *value)
{
    struct ea_val key = ea_val_int(i);

    if (parent && parent->kind == EA_ORG_LIST)
        return i < parent->n ? parent->items[i] : parent->parent;
    return ea_cel_org_child(a, parent, &key, value);
}

const struct ea_cel_org *ea_cel_org_derived(struct ea_arena *a, const struct ea_cel_org *parent)
{
    if (parent == NULL || parent->kind == EA_ORG_DERIVED || parent->kind == EA_ORG_SET)
        return parent;
    return make(a, EA_ORG_DERIVED, parent);
}

const struct ea_cel_org *ea_cel_org_list(struct ea_arena *a, const struct ea_cel_org **items,
                                         uint32_t n, const struct ea_cel_org *from, bool selected)
{
    struct ea_cel_org *o = make(a, EA_ORG_LIST, from);
    uint32_t i;

    if (o == NULL || n == 0)
        return o;
    o->items = ea_arena_alloc(a, n * sizeof(void *));
    if (o->items == NULL)
        return NULL;
    memcpy((void *)o->items, (const void *)items, n * sizeof(void *));
    o->n = n;
    o->selected = selected;
    for (i = 0; o->parent == NULL && i < n; i++)
        o->parent = items[i];
    return o;
}

const struct ea_cel_org *ea_cel_org_concat(struct ea_arena *a, const struct ea_val *x,
                                           const struct ea_cel_org *ox, const struct ea_val *y,
                                           const struct ea_cel_org *oy)
{
    const struct ea_cel_org **items;
    uint32_t i;

    if (x->n == 0 || y->n == 0)
        return x->n == 0 && (y->n || ox == NULL) ? oy : ox;
    items = ea_arena_alloc(a, ((size_t)x->n + y->n) * sizeof(void *));
    if (items == NULL)
        return NULL;
    for (i = 0; i < x->n; i++)
        items[i] = ea_cel_org_item(a, ox, i, &x->items[i]);
    for (i = 0; i < y->n; i++)
        items[x->n + i] = ea_cel_org_item(a, oy, i, &y->items[i]);
    return ea_cel_org_list(a, items, x->n + y->n, ox ? ox : oy,
                           (ox && ox->selected) || (oy && oy->selected));
}

/* ---- relations ---- */

/* The place itself: what was computed lies where it came from. */
static const struct ea_cel_org *place(const struct ea_cel_org *o)
{
    while (o && (o->kind == EA_ORG_DERIVED || o->kind == EA_ORG_LIST))
        o = o->parent;
    return o;
}

bool ea_cel_org_placed(const struct ea_cel_org *o)
{
    return o && (o->kind == EA_ORG_SET || place(o));
}

static bool below(const struct ea_cel_org *o, const struct ea_cel_org *ancestor)
{
    ancestor = place(ancestor);
    for (o = place(o); o && ancestor; o = place(o->parent)) {
        if (o == ancestor)
            return true;
    }
    return false;
}

static bool same_step(const struct ea_cel_org *x, const struct ea_cel_org *y)
{
    if (x->kind != y->kind)
        return false;
    return x->kind == EA_ORG_ROOT ? x->slot == y->slot : ea_cel_equal(&x->key, &y->key);
}

static unsigned steps(const struct ea_cel_org *o)
{
    unsigned n = 0;

    for (o = place(o); o; o = place(o->parent))
        n++;
    return n;
}

/* x is y or lies above it. */
static bool leads_to(const struct ea_cel_org *x, const struct ea_cel_org *y)
{
    unsigned nx = steps(x), ny = steps(y);

    x = place(x);
    y = place(y);
    if (nx > ny || x == NULL)
        return false;
    for (; ny > nx; ny--)
        y = place(y->parent);
    for (; x && y; x = place(x->parent), y = place(y->parent)) {
        if (x == y)
            return true;
        if (!same_step(x, y))
            return false;
    }
    return true;
}

/* It, or one of its reasons, lies in the element. */
static bool inside(const struct ea_cel_org *o, const struct ea_cel_org *element)
{
    if (o->kind != EA_ORG_SET)
        return below(o, element);
    for (uint32_t i = 0; i < o->n; i++) {
        if (below(o->reasons[i].path, element))
            return true;
    }
    return false;
}

const struct ea_cel_org *ea_cel_org_pick(const struct ea_cel_org *x, const struct ea_cel_org *y,
                                         const struct ea_cel_element *e, bool prefer_last)
{
    bool bx, by;

    if (x == NULL || y == NULL)
        return x ? x : y;
    bx = inside(x, e->org);
    by = inside(y, e->org);
    if (bx != by)
        return bx ? x : y;
    if (x->kind == EA_ORG_SET || y->kind == EA_ORG_SET)
        return y->kind == EA_ORG_SET && (x->kind != EA_ORG_SET || prefer_last) ? y : x;
    return prefer_last ? y : x;
}

/* ---- sets ---- */

/* Appends, but for what is there already; a missing place above another reason says nothing more.
 */
static void add_reason(struct ea_cel_blame *v, uint32_t *n, const struct ea_cel_blame *r)
{
    uint32_t i;

    for (i = 0; i < *n; i++) {
        const struct ea_cel_org *old = place(v[i].path), *new = place(r->path);

        if (leads_to(new, old) && (steps(new) == steps(old) || !new->present))
            return;
        if (old && !old->present && leads_to(old, new)) {
            v[i] = *r;
            return;
        }
    }
    v[(*n)++] = *r;
}

static uint32_t count(const struct ea_cel_org *o)
{
    return o == NULL ? 0 : o->kind == EA_ORG_SET ? o->n : 1;
}

static void add_all(struct ea_cel_blame *v, uint32_t *n, const struct ea_cel_org *o,
                    const struct ea_cel_element *e)
{
    struct ea_cel_blame one = {.path = o, .element = e->org, .element_val = e->val};
    uint32_t i;

    if (o && o->kind != EA_ORG_SET)
        add_reason(v, n, &one);
    for (i = 0; o && o->kind == EA_ORG_SET && i < o->n; i++)
        add_reason(v, n, &o->reasons[i]);
}

const struct ea_cel_org *ea_cel_org_union(struct ea_arena *a, const struct ea_cel_org *x,
                                          const struct ea_cel_org *y,
                                          const struct ea_cel_element *e)
{
    uint32_t total = count(x) + count(y);
    struct ea_cel_blame *v;
    struct ea_cel_org *o;

    if (x == NULL || y == NULL || total > REASONS)
        return x ? x : y;
    v = ea_arena_alloc(a, total * sizeof *v);
    o = v ? make(a, EA_ORG_SET, NULL) : NULL;
    if (o == NULL)
        return x;
    add_all(v, &o->n, x, e);
    add_all(v, &o->n, y, e);
    o->reasons = v;
    return o;
}

/* Sets of a loop grow by doubling: their capacity is the next power of two, at least 8. */
static uint32_t capacity(uint32_t n)
{
    return n <= 8 ? 8 : 1u << (32 - __builtin_clz(n - 1));
}

/* The reasons of one element's verdict: what lies in the element says more than what stands
 * elsewhere and let it count. */
static void add_verdict(struct ea_cel_blame *v, uint32_t *n, const struct ea_cel_org *from,
                        const struct ea_cel_element *e)
{
    bool narrow = inside(from, e->org);
    uint32_t i;

    for (i = 0; i < from->n; i++) {
        struct ea_cel_blame r = from->reasons[i];

        if (narrow && !below(r.path, e->org))
            continue;
        if (narrow && !below(r.element, e->org)) {
            /* found by a loop over something computed: the element is ours */
            r.element = e->org;
            r.element_val = e->val;
        }
        v[(*n)++] = r;
    }
}

const struct ea_cel_org *ea_cel_org_add(struct ea_arena *a, const struct ea_cel_org *set,
                                        const struct ea_cel_org *verdict,
                                        const struct ea_cel_element *e)
{
    struct ea_cel_org *o = set ? (struct ea_cel_org *)set : make(a, EA_ORG_SET, NULL);
    const struct ea_cel_org *from = verdict ? verdict : e->org;
    uint32_t more = count(from);
    struct ea_cel_blame *v;

    if (o == NULL || more == 0 || o->n + more > REASONS)
        return o;
    v = (struct ea_cel_blame *)o->reasons;
    if (v == NULL || capacity(o->n + more) > capacity(o->n)) {
        v = ea_arena_alloc(a, capacity(o->n + more) * sizeof *v);
        if (v == NULL)
            return o;
        if (o->n && o->reasons)
            memcpy(v, o->reasons, o->n * sizeof *v);
        o->reasons = v;
    }
    if (from->kind != EA_ORG_SET) {
        v[o->n++] = (struct ea_cel_blame){.path = from, .element = e->org, .element_val = e->val};
        return o;
    }
    add_verdict(v, &o->n, from, e);
    return o;
}

const struct ea_cel_org *ea_cel_org_size(struct ea_arena *a, const struct ea_cel_org *list,
                                         const struct ea_val *v)
{
    const struct ea_cel_org *set = NULL;
    uint32_t i;

    if (list == NULL || list->kind != EA_ORG_LIST || !list->selected || list->n == 0 ||
        v->type != EA_V_LIST)
        return ea_cel_org_derived(a, list);
    for (i = 0; i < list->n && i < v->n; i++) {
        struct ea_cel_element e = {.org = list->items[i], .val = *ea_val_force(&v->items[i])};

        if (e.org)
            set = ea_cel_org_add(a, set, e.org, &e);
    }
    return set ? set : ea_cel_org_derived(a, list);
}

/* ---- answers ---- */

static bool plain_key(struct ea_str s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.n > 0;
}

static void add_key(struct ea_buf *b, struct ea_str key)
{
    size_t i;

    if (plain_key(key)) {
        if (b->n)
            ea_buf_addc(b, '.');
        ea_buf_adds(b, key);
        return;
    }
    ea_buf_addz(b, "['");
    for (i = 0; i < key.n; i++) {
        if (key.p[i] == '\'' || key.p[i] == '\\')
            ea_buf_addc(b, '\\');
        ea_buf_addc(b, key.p[i]);
    }
    ea_buf_addz(b, "']");
}

/* [3], or in the path by content [name="app"], else the element's canonical JSON. */
static void add_index(struct ea_buf *b, const struct ea_cel_org *o, bool by_content)
{
    struct ea_str name = by_content && o->present ? ea_val_get_str(&o->value, "name") : EA_STR_NULL;

    if (name.p) {
        ea_buf_addz(b, "[name=");
        ea_buf_add_json(b, name);
        ea_buf_addc(b, ']');
        return;
    }
    ea_buf_addc(b, '[');
    if (!by_content || !o->present || ea_jcs_print_full(b, &o->value))
        ea_cel_add_text(b, &o->key);
    ea_buf_addc(b, ']');
}

static struct ea_str path_text(struct ea_arena *a, const struct ea_cel_org *o, bool by_content,
                               unsigned *root)
{
    const struct ea_cel_org *chain[STEPS];
    struct ea_str s;
    struct ea_buf b;
    unsigned n = 0;

    for (o = place(o); o && o->kind != EA_ORG_ROOT && n < STEPS; o = place(o->parent))
        chain[n++] = o;
    if (o && o->kind == EA_ORG_ROOT)
        *root = o->slot;
    ea_buf_init(&b, EA_MAX_OBJECT);
    while (n-- > 0) {
        if (chain[n]->kind == EA_ORG_KEY)
            add_key(&b, ea_val_text(&chain[n]->key));
        else
            add_index(&b, chain[n], by_content);
    }
    s = ea_arena_str(a, ea_buf_str(&b));
    ea_buf_done(&b);
    return s.p ? s : EA_STR("");
}

static struct ea_str element_name(const struct ea_cel_blame *r)
{
    struct ea_str name;

    if (r->element == NULL)
        return EA_STR("");
    if (r->element_val.type == EA_V_STRING)
        return ea_val_text(&r->element_val);
    name = ea_val_get_str(&r->element_val, "name");
    return name.p ? name : EA_STR("");
}

static void explain_one(struct ea_arena *a, const struct ea_cel_blame *r, struct ea_cel_why *why)
{
    const struct ea_cel_org *at = place(r->path);

    *why = (struct ea_cel_why){.element = element_name(r)};
    why->path = path_text(a, at, false, &why->root);
    why->key_path = path_text(a, at, true, &why->root);
    if (at && at->present) {
        why->value = at->value;
        why->has_value = true;
    }
}

size_t ea_cel_org_explain(struct ea_arena *a, const struct ea_cel_org *o, struct ea_cel_why *ret,
                          size_t cap)
{
    struct ea_cel_blame one = {.path = o};
    uint32_t i;

    if (place(o) == NULL)
        return 0;
    if (o->kind != EA_ORG_SET) {
        if (cap > 0)
            explain_one(a, &one, &ret[0]);
        return 1;
    }
    for (i = 0; i < o->n && i < cap; i++)
        explain_one(a, &o->reasons[i], &ret[i]);
    return o->n;
}

/* ---- the run ---- */

int ea_cel_why(struct ea_cel_run *r, const struct ea_cel_prog *p, struct ea_cel_why *ret,
               size_t cap, size_t *ret_n, struct ea_cel_diag *ret_diag)
{
    size_t bytes = r->env->n_vars * sizeof(struct ea_cel_slot);
    struct ea_cel_slot *slots = ea_arena_alloc(r->arena, bytes), *saved = r->slots;
    struct ea_cel_trace trace = {.arena = r->arena};
    uint64_t cost = r->cost;
    struct ea_val v;
    unsigned i;
    int rc;

    *ret_n = 0;
    trace.slots = ea_arena_zalloc(r->arena, (r->env->n_vars + 1) * sizeof(void *));
    if (slots == NULL || trace.slots == NULL) {
        if (ret_diag)
            *ret_diag = (struct ea_cel_diag){.kind = EA_CEL_E_COST,
                                             .text = "operation cancelled: memory limit exceeded"};
        return -E2BIG;
    }
    /* variables are evaluated once more, for their origins */
    if (bytes)
        memcpy(slots, saved, bytes);
    for (i = 0; i < r->env->n_vars; i++) {
        if (slots[i].prog && slots[i].state != EA_CEL_BUSY)
            slots[i].state = EA_CEL_LAZY;
    }
    r->slots = slots;
    r->trace = &trace;
    r->cost = 0;
    rc = ea_cel_eval(r, p, &v, ret_diag);
    r->slots = saved;
    r->trace = NULL;
    r->cost = cost;
    if (rc == 0 && v.type == EA_V_BOOL && !v.b)
        *ret_n = ea_cel_org_explain(r->arena, trace.result, ret, cap);
    return rc;
}
