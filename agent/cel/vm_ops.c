/* What the loop calls when the short way does not do. */
#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "cel/time.h"
#include "cel/vm.h"

int ea_cel_vm_full(struct ea_cel_vm *m)
{
    m->fatal = -E2BIG;
    m->fatal_kind = EA_CEL_E_COST;
    m->fatal_text = "operation cancelled: memory limit exceeded";
    return -E2BIG;
}

int ea_cel_vm_raise(struct ea_cel_vm *m, const char *fmt, ...)
{
    struct ea_cel_error *e = ea_arena_alloc(m->cx.arena, sizeof *e);
    struct ea_str s;
    char text[240];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s = ea_arena_str(m->cx.arena, ea_str(text));
    if (e == NULL || s.p == NULL)
        return ea_cel_vm_full(m);
    *e = (struct ea_cel_error){.text = s.p, .pos = UINT32_MAX};
    m->err = e;
    return -EINVAL;
}

int ea_cel_raise(struct ea_cel_ctx *cx, const char *fmt, ...)
{
    struct ea_str s;
    char text[240];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s = ea_arena_str(cx->arena, ea_str(text));
    cx->error = s.p;
    return s.p ? EA_CEL_RAISED : EA_CEL_FULL;
}

int ea_cel_vm_overload(struct ea_cel_vm *m, const char *what, const struct ea_val *a,
                       const struct ea_val *b)
{
    return ea_cel_vm_raise(m, "no such overload: %s(%s%s%s)", what, a ? ea_cel_value_type(a) : "",
                           b ? ", " : "", b ? ea_cel_value_type(b) : "");
}

/* ---- arithmetic ---- */

static int int_arith(struct ea_cel_vm *m, enum ea_cel_op op, int64_t x, int64_t y,
                     struct ea_val *ret)
{
    int64_t r = 0;
    bool over;

    switch (op) {
    case EA_I_ADD:
        over = __builtin_add_overflow(x, y, &r);
        break;
    case EA_I_SUB:
        over = __builtin_sub_overflow(x, y, &r);
        break;
    case EA_I_MUL:
        over = __builtin_mul_overflow(x, y, &r);
        break;
    default:
        if (y == 0)
            return ea_cel_vm_raise(m, op == EA_I_DIV ? "division by zero" : "modulus by zero");
        over = x == INT64_MIN && y == -1;
        if (!over)
            r = op == EA_I_DIV ? x / y : x % y;
        break;
    }
    *ret = ea_val_int(r);
    return over ? ea_cel_vm_raise(m, "integer overflow") : 0;
}

static int uint_arith(struct ea_cel_vm *m, enum ea_cel_op op, uint64_t x, uint64_t y,
                      struct ea_val *ret)
{
    uint64_t r = 0;
    bool over = false;

    switch (op) {
    case EA_I_ADD:
        over = __builtin_add_overflow(x, y, &r);
        break;
    case EA_I_SUB:
        over = __builtin_sub_overflow(x, y, &r);
        break;
    case EA_I_MUL:
        over = __builtin_mul_overflow(x, y, &r);
        break;
    default:
        if (y == 0)
            return ea_cel_vm_raise(m, op == EA_I_DIV ? "division by zero" : "modulus by zero");
        r = op == EA_I_DIV ? x / y : x % y;
        break;
    }
    *ret = ea_cel_uint(r);
    return over ? ea_cel_vm_raise(m, "unsigned integer overflow") : 0;
}

static int concat(struct ea_cel_vm *m, const struct ea_val *a, const struct ea_val *b,
                  struct ea_val *ret)
{
    char *p;

    if (a->n == 0 || b->n == 0) {
        *ret = a->n == 0 ? *b : *a;
        return 0;
    }
    p = a->n + (uint64_t)b->n > UINT32_MAX
            ? NULL
            : ea_arena_alloc_aligned(m->cx.arena, (size_t)a->n + b->n, 1);
    if (p == NULL)
        return ea_cel_vm_full(m);
    memcpy(p, a->s, a->n);
    memcpy(p + a->n, b->s, b->n);
    *ret = *a;
    ret->s = p;
    ret->n = a->n + b->n;
    return 0;
}

static int concat_lists(struct ea_cel_vm *m, const struct ea_val *a, const struct ea_val *b,
                        struct ea_val *ret)
{
    struct ea_val *p;

    if (a->n == 0 || b->n == 0) {
        *ret = a->n == 0 ? *b : *a;
        return 0;
    }
    p = a->n + (uint64_t)b->n > UINT32_MAX
            ? NULL
            : ea_arena_alloc(m->cx.arena, ((size_t)a->n + b->n) * sizeof *p);
    if (p == NULL)
        return ea_cel_vm_full(m);
    memcpy(p, a->items, a->n * sizeof *p);
    memcpy(p + a->n, b->items, b->n * sizeof *p);
    *ret = ea_val_list(p, a->n + b->n);
    return 0;
}

static int double_arith(enum ea_cel_op op, double x, double y, struct ea_val *ret)
{
    *ret = ea_val_double(op == EA_I_ADD   ? x + y
                         : op == EA_I_SUB ? x - y
                         : op == EA_I_MUL ? x * y
                                          : x / y);
    return 0;
}

static int time_arith(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *a,
                      const struct ea_val *b, struct ea_val *ret)
{
    const char *why = ea_cel_time_arith(op == EA_I_SUB, a, b, ret);

    return why == NULL ? 0 : ea_cel_vm_raise(m, "%s", why);
}

/* Both sides of one type. 1 = there is no such operation. */
static int same_type_arith(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *a,
                           const struct ea_val *b, struct ea_val *ret)
{
    switch (a->type) {
    case EA_V_INT:
        return int_arith(m, op, a->i, b->i, ret);
    case EA_V_UINT:
        return uint_arith(m, op, a->u, b->u, ret);
    case EA_V_DOUBLE:
        return op == EA_I_MOD ? 1 : double_arith(op, a->d, b->d, ret);
    case EA_V_STRING:
    case EA_V_BYTES:
        return op == EA_I_ADD ? concat(m, a, b, ret) : 1;
    case EA_V_LIST:
        return op == EA_I_ADD ? concat_lists(m, a, b, ret) : 1;
    case EA_V_TIMESTAMP:
        return op == EA_I_SUB ? time_arith(m, op, a, b, ret) : 1;
    case EA_V_DURATION:
        return op == EA_I_ADD || op == EA_I_SUB ? time_arith(m, op, a, b, ret) : 1;
    default:
        return 1;
    }
}

int ea_cel_vm_arith(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *a,
                    const struct ea_val *b, struct ea_val *ret)
{
    static const char *const names[] = {"_+_", "_-_", "_*_", "_/_", "_%_"};
    int rc = 1;

    if (a->type == b->type)
        rc = same_type_arith(m, op, a, b, ret);
    else if (a->type == EA_V_TIMESTAMP && b->type == EA_V_DURATION &&
             (op == EA_I_ADD || op == EA_I_SUB))
        rc = time_arith(m, op, a, b, ret);
    else if (a->type == EA_V_DURATION && b->type == EA_V_TIMESTAMP && op == EA_I_ADD)
        rc = time_arith(m, op, a, b, ret);
    return rc == 1 ? ea_cel_vm_overload(m, names[op - EA_I_ADD], a, b) : rc;
}

int ea_cel_vm_negate(struct ea_cel_vm *m, const struct ea_val *a, struct ea_val *ret)
{
    if (a->type == EA_V_DOUBLE) {
        *ret = ea_val_double(-a->d);
        return 0;
    }
    if (a->type != EA_V_INT)
        return ea_cel_vm_overload(m, "-_", a, NULL);
    if (a->i == INT64_MIN)
        return ea_cel_vm_raise(m, "integer overflow");
    *ret = ea_val_int(-a->i);
    return 0;
}

int ea_cel_vm_in(struct ea_cel_vm *m, const struct ea_val *x, const struct ea_val *range, bool *ret)
{
    if (range->type == EA_V_LIST) {
        *ret = ea_cel_list_has(range, x);
        return 0;
    }
    if (range->type != EA_V_MAP)
        return ea_cel_vm_overload(m, "@in", x, range);
    *ret = ea_cel_map_find(range, x) != NULL;
    return 0;
}

/* ---- selection ---- */

/* For messages: a key as text. */
static const char *key_text(const struct ea_val *key, char out[80])
{
    struct ea_buf b;
    size_t n;

    ea_buf_init(&b, 4096);
    if (ea_cel_add_text(&b, key))
        ea_buf_addz(&b, ea_cel_value_type(key));
    n = EA_MIN(b.n, (size_t)79);
    if (n)
        memcpy(out, b.p, n);
    out[n] = '\0';
    ea_buf_done(&b);
    return out;
}

/* Not a map: null and scalars hold nothing in Kubernetes (cel-go, refQualify); here they do not
 * support selection. */
static int select_other(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *v,
                        const struct ea_val *key, struct ea_val *ret)
{
    if (m->prog->k8s && v->type != EA_V_LIST && op != EA_I_SELECT) {
        *ret = op == EA_I_HAS ? ea_val_bool(false) : ea_cel_optional(NULL);
        return 0;
    }
    if (m->prog->k8s && v->type == EA_V_LIST)
        return ea_cel_vm_raise(m, "unsupported index type 'string' in list");
    if (m->prog->k8s)
        return ea_cel_vm_raise(m, "no such key: %.*s", EA_STRF(ea_val_text(key)));
    return ea_cel_vm_raise(m, "no such key: %.*s, type '%s' does not support field selection",
                           EA_STRF(ea_val_text(key)), ea_cel_value_type(v));
}

int ea_cel_vm_select(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *v,
                     const struct ea_val *key, struct ea_val *ret)
{
    const struct ea_val *held = v, *found;

    if (v->type == EA_V_OPTIONAL) {
        if (v->opt == NULL) {
            *ret = op == EA_I_HAS ? ea_val_bool(false) : *v;
            return 0;
        }
        held = ea_val_force(v->opt);
        if (op == EA_I_SELECT)
            op = EA_I_SELECT_OPT;
    }
    if (held->type != EA_V_MAP)
        return select_other(m, op, held, key, ret);
    found = ea_cel_map_find(held, key);
    if (op == EA_I_HAS)
        *ret = ea_val_bool(found != NULL);
    else if (op == EA_I_SELECT_OPT)
        *ret = ea_cel_optional(found);
    else if (found)
        *ret = *found;
    else
        return ea_cel_vm_raise(m, "no such key: %.*s", EA_STRF(ea_val_text(key)));
    return 0;
}

/* Position in a list out of an int, uint or whole double. */
static bool list_index(const struct ea_val *key, int64_t *ret)
{
    if (key->type == EA_V_INT) {
        *ret = key->i;
    } else if (key->type == EA_V_UINT) {
        *ret = key->u > INT64_MAX ? -1 : (int64_t)key->u;
    } else if (key->type == EA_V_DOUBLE && key->d == trunc(key->d) && fabs(key->d) < 9e18) {
        *ret = (int64_t)key->d;
    } else {
        return false;
    }
    return true;
}

static int index_list(struct ea_cel_vm *m, const struct ea_val *v, const struct ea_val *key,
                      const struct ea_val **ret)
{
    int64_t i;

    if (!list_index(key, &i))
        return ea_cel_vm_raise(m, "unsupported index type '%s' in list", ea_cel_value_type(key));
    *ret = i >= 0 && i < (int64_t)v->n ? ea_val_force(&v->items[i]) : NULL;
    return 0;
}

int ea_cel_vm_index(struct ea_cel_vm *m, bool optional, const struct ea_val *v,
                    const struct ea_val *key, struct ea_val *ret)
{
    const struct ea_val *found = NULL;
    char text[80];
    int rc;

    if (v->type == EA_V_OPTIONAL) {
        if (v->opt == NULL) {
            *ret = *v;
            return 0;
        }
        v = ea_val_force(v->opt);
        optional = true;
    }
    if (v->type == EA_V_MAP) {
        found = ea_cel_map_find(v, key);
    } else if (v->type == EA_V_LIST) {
        rc = index_list(m, v, key, &found);
        if (rc)
            return rc;
    } else if (!(m->prog->k8s && optional)) {
        return m->prog->k8s ? ea_cel_vm_raise(m, "no such key: %s", key_text(key, text))
                            : ea_cel_vm_overload(m, "_[_]", v, key);
    }
    if (optional) {
        *ret = ea_cel_optional(found);
        return 0;
    }
    if (found == NULL)
        return ea_cel_vm_raise(m,
                               v->type == EA_V_LIST ? "index out of bounds: %s" : "no such key: %s",
                               key_text(key, text));
    *ret = *found;
    return 0;
}

/* ---- literals ---- */

/* The value of an entry; false: left out. -EINVAL when a "?" entry is no optional. */
static int entry(struct ea_cel_vm *m, const struct ea_val *bits, uint32_t i,
                 const struct ea_val **v, bool *there)
{
    *there = true;
    if (bits == NULL || !(bits->s[i / 8] & (1 << (i % 8))))
        return 0;
    if ((*v)->type != EA_V_OPTIONAL)
        return ea_cel_vm_raise(m, "cannot initialize optional entry from non-optional value");
    *there = (*v)->opt != NULL;
    if (*there)
        *v = ea_val_force((*v)->opt);
    return 0;
}

int ea_cel_vm_list(struct ea_cel_vm *m, const struct ea_val *items, uint32_t n,
                   const struct ea_val *bits, struct ea_val *ret)
{
    struct ea_val *p = ea_arena_alloc(m->cx.arena, n * sizeof *p);
    uint32_t i, k = 0;
    bool there;

    if (p == NULL)
        return ea_cel_vm_full(m);
    for (i = 0; i < n; i++) {
        const struct ea_val *v = &items[i];
        int rc = entry(m, bits, i, &v, &there);

        if (rc)
            return rc;
        if (there)
            p[k++] = *v;
    }
    *ret = ea_val_list(p, k);
    return 0;
}

int ea_cel_vm_map(struct ea_cel_vm *m, const struct ea_val *items, uint32_t n,
                  const struct ea_val *bits, struct ea_val *ret)
{
    struct ea_cel_mapb b;
    struct ea_val *old;
    uint32_t i;
    bool there;
    char text[80];
    int rc = ea_cel_mapb_init(&b, m->cx.arena, n);

    if (rc)
        return ea_cel_vm_full(m);
    for (i = 0; i < n; i++) {
        const struct ea_val *k = &items[2 * i], *v = &items[2 * i + 1];

        /* cel-go takes any type for a key here */
        if (!m->prog->k8s && k->type != EA_V_STRING && k->type != EA_V_INT &&
            k->type != EA_V_UINT && k->type != EA_V_BOOL)
            return ea_cel_vm_raise(m, "unsupported key type: %s", ea_cel_value_type(k));
        rc = entry(m, bits, i, &v, &there);
        if (rc)
            return rc;
        rc = there ? ea_cel_mapb_add(&b, k, v, &old) : 0;
        if (rc == -E2BIG)
            return ea_cel_vm_full(m);
        if (rc == -EEXIST && !m->prog->k8s)
            return ea_cel_vm_raise(m, "Failed with repeated key: %s", key_text(k, text));
        if (rc == -EEXIST)
            *old = *v; /* cel-go: the last one wins */
    }
    *ret = ea_cel_mapb_end(&b);
    return 0;
}

/* ---- loops ---- */

int ea_cel_vm_iter(struct ea_cel_vm *m, const struct ea_val *range, struct ea_val *local)
{
    if (range->type != EA_V_LIST && range->type != EA_V_MAP)
        return ea_cel_vm_raise(m, "no such overload: got '%s', expected iterable type",
                               ea_cel_value_type(range));
    local[0] = *range;
    local[1] = (struct ea_val){.type = EA_V_INT};
    return 0;
}

int ea_cel_vm_collect(struct ea_cel_vm *m, struct ea_val *local, const struct ea_val *v)
{
    struct ea_val *items = (struct ea_val *)local[2].items;

    if (items == NULL) {
        items = ea_arena_alloc(m->cx.arena, (size_t)local[0].n * sizeof *items);
        if (items == NULL)
            return ea_cel_vm_full(m);
        local[2].items = items;
    }
    items[local[2].n++] = *v;
    return 0;
}

static struct ea_cel_mapb *loop_map(struct ea_cel_vm *m, struct ea_val *local, uint32_t room)
{
    struct ea_cel_mapb *b = (struct ea_cel_mapb *)local[2].ptr, bigger;
    struct ea_val *old;
    uint32_t i;

    if (b && b->n < b->size)
        return b;
    if (b == NULL) {
        b = ea_arena_zalloc(m->cx.arena, sizeof *b);
        local[2].ptr = b;
    }
    if (b == NULL || ea_cel_mapb_init(&bigger, m->cx.arena, EA_MAX(room, b->size * 2)))
        return NULL;
    for (i = 0; i < b->n; i++) {
        if (ea_cel_mapb_add(&bigger, &b->m[i].key, &b->m[i].val, &old))
            return NULL;
    }
    *b = bigger;
    return b;
}

int ea_cel_vm_collect_map(struct ea_cel_vm *m, struct ea_val *local, const struct ea_val *k,
                          const struct ea_val *v)
{
    struct ea_cel_mapb *b = loop_map(m, local, local[0].n);
    struct ea_val *old;
    char text[80];
    int rc = b ? ea_cel_mapb_add(b, k, v, &old) : -E2BIG;

    if (rc == -EEXIST)
        return ea_cel_vm_raise(m, "insert failed: key '%s' already exists", key_text(k, text));
    return rc ? ea_cel_vm_full(m) : 0;
}

int ea_cel_vm_collect_entry(struct ea_cel_vm *m, struct ea_val *local, const struct ea_val *map)
{
    uint32_t i;
    int rc = 0;

    if (map->type != EA_V_MAP)
        return ea_cel_vm_overload(m, "cel.@mapInsert", map, NULL);
    for (i = 0; i < map->n && rc == 0; i++)
        rc = ea_cel_vm_collect_map(m, local, &map->members[i].key, &map->members[i].val);
    return rc;
}

/* ---- variables ---- */

static int failed_again(struct ea_cel_vm *m, const struct ea_cel_slot *s)
{
    return ea_cel_vm_raise(m, "%s", s->diag ? s->diag->text : "variable failed");
}

int ea_cel_vm_var(struct ea_cel_vm *m, unsigned slot, struct ea_val *ret, uint64_t cost)
{
    struct ea_cel_slot *s = &m->run->slots[slot];
    struct ea_str name = m->run->env->vars[slot].name;
    struct ea_cel_diag diag;
    int rc;

    if (s->state == EA_CEL_FAILED)
        return failed_again(m, s);
    if (s->state == EA_CEL_UNBOUND)
        return ea_cel_vm_raise(m, "no such attribute: %.*s", EA_STRF(name));
    if (s->state == EA_CEL_BUSY || m->run->depth >= EA_MAX_CEL_LAZY)
        return ea_cel_vm_raise(m, "variable '%.*s' depends on itself or too deeply on others",
                               EA_STRF(name));
    s->state = EA_CEL_BUSY;
    m->run->cost += cost - m->flushed;
    m->flushed = cost;
    if (m->run->trace)
        m->run->trace->result = NULL;
    rc = ea_cel_eval(m->run, s->prog, &s->val, &diag);
    if (rc == 0) {
        s->state = EA_CEL_DONE;
        if (m->run->trace)
            m->run->trace->slots[slot] = m->run->trace->result;
        *ret = s->val;
    } else if (rc == -EINVAL) {
        s->state = EA_CEL_FAILED;
        s->diag = ea_arena_alloc(m->cx.arena, sizeof diag);
        if (s->diag == NULL)
            return ea_cel_vm_full(m);
        *s->diag = diag;
        return failed_again(m, s);
    } else {
        s->state = EA_CEL_LAZY;
        m->fatal = rc;
        m->fatal_kind = diag.kind;
        m->fatal_text = rc == -ETIME ? "operation interrupted"
                                     : "operation cancelled: actual cost limit exceeded";
        return rc;
    }
    /* what the variable spent counts against the run, not against this expression */
    rc = m->run->cost >= m->run->budget;
    m->limit = EA_MIN((uint64_t)EA_CEL_COST_CALL, cost + (rc ? 0 : m->run->budget - m->run->cost));
    m->cx.limit = m->limit;
    return 0;
}
