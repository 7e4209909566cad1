#include "doc/print.h"

#include <math.h>

#include "base/limits.h"
#include "doc/internal.h"
#include "doc/num.h"

/* Documents stop at EA_MAX_DEPTH; what we wrap around them stays far below as much again. */
#define PRINT_DEPTH (2 * EA_MAX_DEPTH)
#define SORT_ON_STACK 32u
#define MAX_SAFE_INT INT64_C(9007199254740991)

enum style { COMPACT, JCS_EVIDENCE, JCS_FULL };

static int print(struct ea_buf *b, const struct ea_val *v, enum style style, unsigned depth);

/* ---- order of keys ---- */

/* Bytes of UTF-8 sort as code points. UTF-16 differs in one place only: a code point above U+FFFF
 * begins with a surrogate and so sorts before U+E000 to U+FFFF, whose first bytes are 0xee and
 * 0xef. */
static int utf16_rank(unsigned char c)
{
    if (c >= 0xf0)
        return c - 2;
    return c >= 0xee ? c + 0x100 : c;
}

int ea_jcs_cmp(struct ea_str a, struct ea_str b)
{
    size_t n = EA_MIN(a.n, b.n), i = 0;

    while (i < n && a.p[i] == b.p[i])
        i++;
    if (i < n)
        return utf16_rank((unsigned char)a.p[i]) - utf16_rank((unsigned char)b.p[i]);
    return a.n < b.n ? -1 : a.n > b.n;
}

static int cmp_members(const void *a, const void *b)
{
    const struct ea_member *const *x = a, *const *y = b;

    return ea_jcs_cmp(ea_val_text(&(*x)->key), ea_val_text(&(*y)->key));
}

static void sort_members(const struct ea_member **m, uint32_t n)
{
    uint32_t i, j;

    if (n > SORT_ON_STACK) {
        qsort(m, n, sizeof *m, cmp_members);
        return;
    }
    for (i = 1; i < n; i++) {
        const struct ea_member *x = m[i];

        for (j = i; j > 0 && ea_jcs_cmp(ea_val_text(&x->key), ea_val_text(&m[j - 1]->key)) < 0; j--)
            m[j] = m[j - 1];
        m[j] = x;
    }
}

/* ---- numbers ---- */

static int put_int(struct ea_buf *b, uint64_t u, bool neg)
{
    char out[24];
    size_t at = sizeof out;

    do {
        out[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (neg)
        out[--at] = '-';
    return ea_buf_add(b, out + at, sizeof out - at);
}

static int print_int(struct ea_buf *b, const struct ea_val *v, enum style style)
{
    bool neg = v->type == EA_V_INT && v->i < 0;
    uint64_t u = neg ? 0 - (uint64_t)v->i : v->u;
    char out[EA_NUM_MAX];

    if (style == COMPACT || u <= (uint64_t)MAX_SAFE_INT)
        return put_int(b, u, neg);
    if (style == JCS_EVIDENCE)
        return -EINVAL;
    return ea_buf_add(b, out, ea_num_print(neg ? -(double)u : (double)u, out));
}

static int print_double(struct ea_buf *b, double d, enum style style)
{
    char out[EA_NUM_MAX];
    unsigned n;
    int rc;

    if (style == JCS_EVIDENCE || !isfinite(d))
        return -EINVAL;
    if (style == COMPACT && d == 0)
        return ea_buf_addz(b, signbit(d) ? "-0.0" : "0.0");
    n = ea_num_print(d, out);
    rc = ea_buf_add(b, out, n);
    /* a double that happens to be whole is read back as a double */
    if (rc == 0 && style == COMPACT && memchr(out, '.', n) == NULL && memchr(out, 'e', n) == NULL)
        rc = ea_buf_add(b, ".0", 2);
    return rc;
}

/* ---- containers ---- */

static int print_list(struct ea_buf *b, const struct ea_val *v, enum style style, unsigned depth)
{
    uint32_t i;
    int rc = ea_buf_addc(b, '[');

    for (i = 0; i < v->n && rc == 0; i++) {
        if (i)
            rc = ea_buf_addc(b, ',');
        if (rc == 0)
            rc = print(b, &v->items[i], style, depth);
    }
    return rc ? rc : ea_buf_addc(b, ']');
}

static int print_member(struct ea_buf *b, const struct ea_member *m, enum style style,
                        unsigned depth, bool first)
{
    int rc = first ? 0 : ea_buf_addc(b, ',');

    if (rc == 0)
        rc = m->key.type == EA_V_STRING ? ea_buf_add_json(b, ea_val_text(&m->key)) : -EINVAL;
    if (rc == 0)
        rc = ea_buf_addc(b, ':');
    return rc ? rc : print(b, &m->val, style, depth);
}

static int print_sorted(struct ea_buf *b, const struct ea_val *v, const struct ea_member **sorted,
                        enum style style, unsigned depth)
{
    uint32_t i;
    int rc = 0;

    for (i = 0; i < v->n; i++) {
        if (v->members[i].key.type != EA_V_STRING)
            return -EINVAL;
        sorted[i] = &v->members[i];
    }
    sort_members(sorted, v->n);
    for (i = 1; i < v->n; i++) {
        if (ea_str_eq(ea_val_text(&sorted[i - 1]->key), ea_val_text(&sorted[i]->key)))
            return -EINVAL;
    }
    for (i = 0; i < v->n && rc == 0; i++)
        rc = print_member(b, sorted[i], style, depth, i == 0);
    return rc;
}

/* Apart from print_sorted_small, so that a large array on the stack is not in every frame of the
 * recursion. */
static int print_sorted_large(struct ea_buf *b, const struct ea_val *v, enum style style,
                              unsigned depth)
{
    size_t n = (size_t)v->n * sizeof(const struct ea_member *);
    struct ea_buf sorted;
    int rc;

    ea_buf_init(&sorted, n);
    rc = ea_buf_reserve(&sorted, n) ? -E2BIG : 0;
    if (rc == 0)
        rc = print_sorted(b, v, (const struct ea_member **)(void *)sorted.p, style, depth);
    ea_buf_done(&sorted);
    return rc;
}

static int print_sorted_small(struct ea_buf *b, const struct ea_val *v, enum style style,
                              unsigned depth)
{
    EA_UNINITIALIZED const struct ea_member *sorted[SORT_ON_STACK];

    return print_sorted(b, v, sorted, style, depth);
}

static int print_map(struct ea_buf *b, const struct ea_val *v, enum style style, unsigned depth)
{
    uint32_t i;
    int rc = ea_buf_addc(b, '{');

    if (rc == 0 && style != COMPACT)
        rc = v->n > SORT_ON_STACK ? print_sorted_large(b, v, style, depth)
                                  : print_sorted_small(b, v, style, depth);
    for (i = 0; style == COMPACT && i < v->n && rc == 0; i++)
        rc = print_member(b, &v->members[i], style, depth, i == 0);
    return rc ? rc : ea_buf_addc(b, '}');
}

static int print(struct ea_buf *b, const struct ea_val *v, enum style style, unsigned depth)
{
    v = ea_val_force(v);
    switch (v->type) {
    case EA_V_NULL:
        return ea_buf_add(b, "null", 4);
    case EA_V_BOOL:
        return v->b ? ea_buf_add(b, "true", 4) : ea_buf_add(b, "false", 5);
    case EA_V_INT:
    case EA_V_UINT:
        return print_int(b, v, style);
    case EA_V_DOUBLE:
        return print_double(b, v->d, style);
    case EA_V_STRING:
        return ea_buf_add_json(b, ea_val_text(v));
    case EA_V_LIST:
        return depth ? print_list(b, v, style, depth - 1) : -E2BIG;
    case EA_V_MAP:
        return depth ? print_map(b, v, style, depth - 1) : -E2BIG;
    default:
        return -EINVAL;
    }
}

static int print_all(struct ea_buf *b, const struct ea_val *v, enum style style)
{
    uint64_t before = ea_doc_overflows();
    int rc = print(b, v, style, PRINT_DEPTH);

    /* a null that stands for a subtree which did not fit must not pass for the document */
    return rc == 0 && ea_doc_overflows() != before ? -E2BIG : rc;
}

int ea_json_print(struct ea_buf *b, const struct ea_val *v)
{
    return print_all(b, v, COMPACT);
}

int ea_jcs_print(struct ea_buf *b, const struct ea_val *v)
{
    return print_all(b, v, JCS_EVIDENCE);
}

int ea_jcs_print_full(struct ea_buf *b, const struct ea_val *v)
{
    return print_all(b, v, JCS_FULL);
}
