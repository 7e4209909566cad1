/* Which overload of a function or an operator fits, and what it gives. */
#include <stdio.h>

#include "cel/check.h"
#include "cel/value.h"

bool ea_cel_refuse(struct ea_cel_unit *u, uint32_t pos, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, pos, "%s", text);
    return false;
}

bool ea_cel_check_full(struct ea_cel_unit *u, uint32_t pos)
{
    ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, pos, "program too large");
    return false;
}

/* An error at run time (conformance) or now (Kubernetes). */
bool ea_cel_unknown(struct ea_cel_unit *u, struct ea_cel_node *n, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (u->k8s)
        return ea_cel_refuse(u, n->pos, "%s", text);
    n->kind = EA_N_FAIL;
    n->name = ea_arena_str(u->a, ea_str(text));
    n->type = &ea_cel_t_dyn;
    return n->name.p ? true : ea_cel_check_full(u, n->pos);
}

/* ---- overloads ---- */

bool ea_cel_no_overload(struct ea_cel_unit *u, struct ea_cel_node *n, const char *name,
                        struct ea_cel_node *const *args, uint32_t n_args,
                        const struct ea_cel_node *target)
{
    char text[160] = "";
    size_t at = 0;
    uint32_t i;

    if (target)
        at = (size_t)snprintf(text, sizeof text, "%s.", ea_cel_type_text(u->a, target->type));
    at = EA_MIN(at, sizeof text - 1);
    at += (size_t)snprintf(text + at, sizeof text - at, "(");
    for (i = 0; i < n_args && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? ", " : "",
                               ea_cel_type_text(u->a, args[i]->type));
    if (at < sizeof text)
        snprintf(text + at, sizeof text - at, ")");
    if (!u->k8s)
        return ea_cel_unknown(u, n, "no such overload: %s", name);
    return ea_cel_refuse(u, n->pos, "found no matching overload for '%s' applied to '%s'", name,
                         text);
}

#define LIST_OF(name)                                                                              \
    static const struct ea_cel_type list_##name = {.kind = EA_T_LIST, .a = &ea_cel_t_##name}
LIST_OF(int);
LIST_OF(uint);
LIST_OF(double);
LIST_OF(duration);
LIST_OF(bool);
LIST_OF(timestamp);
LIST_OF(bytes);
LIST_OF(list_dyn);
#define list_list list_list_dyn

static const struct ea_cel_type *sig_type(char c)
{
    switch (c) {
    case 's':
        return &ea_cel_t_string;
    case 'y':
        return &ea_cel_t_bytes;
    case 'b':
        return &ea_cel_t_bool;
    case 'i':
        return &ea_cel_t_int;
    case 'u':
        return &ea_cel_t_uint;
    case 'd':
        return &ea_cel_t_double;
    case 'n':
        return &ea_cel_t_null;
    case 'T':
        return &ea_cel_t_timestamp;
    case 'D':
        return &ea_cel_t_duration;
    case 't':
        return &ea_cel_t_type;
    case 'l':
        return &ea_cel_t_list_dyn;
    case 'L':
        return &ea_cel_t_list_string;
    case 'j':
        return &list_int;
    case 'v':
        return &list_uint;
    case 'k':
        return &list_double;
    case 'K':
        return &list_duration;
    case 'B':
        return &list_bool;
    case 'M':
        return &list_timestamp;
    case 'Y':
        return &list_bytes;
    case 'q':
        return &list_list;
    case 'm':
        return &ea_cel_t_map_dyn;
    case 'Q':
        return ea_cel_type_opaque("kubernetes.Quantity");
    case 'I':
        return ea_cel_type_opaque("net.IP");
    case 'C':
        return ea_cel_type_opaque("net.CIDR");
    case 'U':
        return ea_cel_type_opaque("kubernetes.URL");
    case 'V':
        return ea_cel_type_opaque("kubernetes.Semver");
    case 'F':
        return ea_cel_type_opaque("kubernetes.NamedFormat");
    default:
        return &ea_cel_t_dyn;
    }
}

const struct ea_cel_type *ea_cel_held(const struct ea_cel_type *t)
{
    return t->kind == EA_T_LIST || t->kind == EA_T_OPTIONAL ? t->a : &ea_cel_t_dyn;
}

static bool sig_fits(char c, const struct ea_cel_type *t, const struct ea_cel_type *first)
{
    if (c == 'o')
        return t->kind == EA_T_OPTIONAL || t->kind == EA_T_DYN || t->kind == EA_T_ANY_ELEM;
    if (c == 'e')
        return ea_cel_type_join(ea_cel_held(first), t) != NULL;
    if (c == 'z')
        return ea_cel_type_fits(&ea_cel_t_list_dyn, t) &&
               ea_cel_type_join(ea_cel_held(first), ea_cel_held(t)) != NULL;
    return ea_cel_type_fits(sig_type(c), t);
}

static const struct ea_cel_type *sig_result(struct ea_cel_unit *u, char c,
                                            const struct ea_cel_type *first)
{
    switch (c) {
    case 'E':
        return first ? ea_cel_held(first) : &ea_cel_t_dyn;
    case 'X':
        return first && first->kind != EA_T_ANY_ELEM ? first : &ea_cel_t_dyn;
    case 'W':
        return ea_cel_type_optional(u->a, first ? first : &ea_cel_t_dyn);
    case 'e':
        return first && first->kind == EA_T_LIST && first->a->kind != EA_T_ANY_ELEM ? first->a
                                                                                    : &ea_cel_t_dyn;
    case 'o':
        return ea_cel_type_optional(u->a, &ea_cel_t_any);
    case 'P':
        return ea_cel_type_optional(u->a, &ea_cel_t_list_string);
    case 'N':
        return ea_cel_type_map(u->a, &ea_cel_t_string, &ea_cel_t_list_string);
    case 'G':
        return ea_cel_type_optional(u->a, sig_type('F'));
    default:
        return sig_type(c);
    }
}

/* A call that looks for its overload. */
struct call {
    const struct ea_cel_type *const *types; /* NULL: any */
    uint32_t n;
    bool member;
    unsigned minor;
};

/* "@NN" behind an overload. */
static const char *read_since(const char *p, unsigned *since)
{
    *since = 0;
    if (*p == '@')
        p++;
    for (; *p >= '0' && *p <= '9'; p++)
        *since = *since * 10 + (unsigned)(*p - '0');
    return p;
}

/* One overload at *pp; moves *pp behind it. *ret = letter of the result. */
static bool overload(const char **pp, const struct call *c, char *ret)
{
    const char *p = *pp;
    bool fits = (p[0] && p[1] == '.') == c->member;
    unsigned since;
    uint32_t i = 0;

    for (; *p != ':'; p++) {
        if (*p == '.')
            continue;
        if (i < c->n && c->types)
            fits = fits && sig_fits(*p, c->types[i], c->types[0]);
        i++;
    }
    *ret = p[1];
    p = read_since(p + 2, &since);
    *pp = *p == ' ' ? p + 1 : p;
    return fits && i == c->n && since <= c->minor;
}

#define MAX_ARGS 8u

/* What one more overload that fits says about the result. */
static void merge_result(struct ea_cel_node *n, const struct ea_cel_type *other, bool first)
{
    if (first) {
        n->type = other;
        return;
    }
    n->flags |= EA_NF_SEVERAL;
    if (n->type == NULL || other == NULL || n->type->kind != other->kind ||
        other->kind >= EA_T_LIST)
        n->type = &ea_cel_t_dyn;
}

/* The first overload gives an empty list its element type, so that no other fits any more. */
static bool is_empty_list(const struct ea_cel_type *const *types, uint32_t n)
{
    return n > 0 && types[0]->kind == EA_T_LIST && types[0]->a->kind == EA_T_ANY_ELEM;
}

bool ea_cel_check_call(struct ea_cel_unit *u, struct ea_cel_node *n, const struct ea_cel_fn *fn)
{
    const struct ea_cel_type *types[MAX_ARGS];
    uint32_t i, k = 0;
    const char *p = fn->sig;
    bool found = false;
    char r;

    if (n->n + 1 > MAX_ARGS)
        return ea_cel_no_overload(u, n, fn->name.p, n->args, 0, n->target);
    if (n->target)
        types[k++] = n->target->type;
    for (i = 0; i < n->n; i++)
        types[k++] = n->args[i]->type;
    while (*p) {
        struct call c = {.types = u->k8s ? types : NULL, .n = k, .member = n->target != NULL};

        c.minor = u->k8s ? u->minor : 255;
        if (!overload(&p, &c, &r))
            continue;
        if (!found || u->k8s)
            merge_result(n, sig_result(u, r, k ? types[0] : NULL), !found);
        found = true;
        if (is_empty_list(types, k))
            break;
    }
    if (!found)
        return ea_cel_no_overload(u, n, fn->name.p, n->args, n->n, n->target);
    n->fn = fn;
    return n->type ? true : ea_cel_check_full(u, n->pos);
}

/* ---- operators ---- */

static const struct {
    const char *name, *sig, *cross;
} operators[] = {
    [EA_OP_NOT] = {"!_", "b:b", ""},
    [EA_OP_NEG] = {"-_", "i:i d:d", ""},
    [EA_OP_ADD] = {"_+_", "ii:i uu:u dd:d ss:s yy:y TD:T DT:T DD:D", ""},
    [EA_OP_SUB] = {"_-_", "ii:i uu:u dd:d TD:T TT:D DD:D", ""},
    [EA_OP_MUL] = {"_*_", "ii:i uu:u dd:d", ""},
    [EA_OP_DIV] = {"_/_", "ii:i uu:u dd:d", ""},
    [EA_OP_MOD] = {"_%_", "ii:i uu:u", ""},
    [EA_OP_EQ] = {"_==_", "", ""},
    [EA_OP_NE] = {"_!=_", "", ""},
    [EA_OP_LT] = {"_<_", "bb:b ii:b uu:b dd:b ss:b yy:b TT:b DD:b",
                  "iu:b id:b ui:b ud:b di:b du:b"},
    [EA_OP_LE] = {"_<=_", "bb:b ii:b uu:b dd:b ss:b yy:b TT:b DD:b",
                  "iu:b id:b ui:b ud:b di:b du:b"},
    [EA_OP_GT] = {"_>_", "bb:b ii:b uu:b dd:b ss:b yy:b TT:b DD:b",
                  "iu:b id:b ui:b ud:b di:b du:b"},
    [EA_OP_GE] = {"_>=_", "bb:b ii:b uu:b dd:b ss:b yy:b TT:b DD:b",
                  "iu:b id:b ui:b ud:b di:b du:b"},
    [EA_OP_IN] = {"@in", "", ""},
    [EA_OP_AND] = {"_&&_", "bb:b", ""},
    [EA_OP_OR] = {"_||_", "bb:b", ""},
    [EA_OP_COND] = {"_?_:_", "", ""},
};

/* Result type over all overloads that fit; NULL when none does. */
static const struct ea_cel_type *operator_type(const char *sig,
                                               const struct ea_cel_type *const *types, uint32_t n,
                                               const struct ea_cel_type *so_far)
{
    struct call c = {.types = types, .n = n, .minor = 255};
    char r;

    while (*sig) {
        if (overload(&sig, &c, &r))
            so_far = so_far == NULL || so_far == sig_type(r) ? sig_type(r) : &ea_cel_t_dyn;
    }
    return so_far;
}

/* list + list is an overload of its own, with the common element type. */
static const struct ea_cel_type *add_lists(struct ea_cel_unit *u, const struct ea_cel_type *x,
                                           const struct ea_cel_type *y,
                                           const struct ea_cel_type *so_far)
{
    const struct ea_cel_type *join;
    bool lx = x->kind == EA_T_LIST, ly = y->kind == EA_T_LIST;

    if (!lx && !ly)
        return so_far && (x->kind == EA_T_DYN && y->kind == EA_T_DYN) ? &ea_cel_t_dyn : so_far;
    if ((!lx && x->kind != EA_T_DYN) || (!ly && y->kind != EA_T_DYN))
        return so_far;
    join = lx && ly ? ea_cel_type_join(x->a, y->a) : &ea_cel_t_dyn;
    return join ? ea_cel_type_list(u->a, join) : NULL;
}

static const struct ea_cel_type *in_type(const struct ea_cel_type *x,
                                         const struct ea_cel_type *range)
{
    const struct ea_cel_type *e =
        range->kind == EA_T_LIST || range->kind == EA_T_MAP ? range->a : &ea_cel_t_dyn;

    if (range->kind != EA_T_LIST && range->kind != EA_T_MAP && range->kind != EA_T_DYN &&
        range->kind != EA_T_ANY_ELEM)
        return NULL;
    return ea_cel_type_join(e, x) ? &ea_cel_t_bool : NULL;
}

bool ea_cel_expects_bool(struct ea_cel_unit *u, const struct ea_cel_node *arg)
{
    if (ea_cel_type_fits(&ea_cel_t_bool, arg->type))
        return true;
    return ea_cel_refuse(u, arg->pos, "expected type 'bool' but found '%s'",
                         ea_cel_type_text(u->a, arg->type));
}

bool ea_cel_check_operator(struct ea_cel_unit *u, struct ea_cel_node *n)
{
    const struct ea_cel_type *types[3] = {&ea_cel_t_dyn, &ea_cel_t_dyn, &ea_cel_t_dyn}, *t = NULL;
    uint32_t i;

    for (i = 0; i < n->n; i++)
        types[i] = n->args[i]->type;
    n->type = n->op == EA_OP_NOT || (n->op >= EA_OP_EQ && n->op != EA_OP_COND) ? &ea_cel_t_bool
                                                                               : &ea_cel_t_dyn;
    if (!u->k8s)
        return true;
    switch (n->op) {
    case EA_OP_AND:
    case EA_OP_OR:
        if (!ea_cel_expects_bool(u, n->args[0]) || !ea_cel_expects_bool(u, n->args[1]))
            return false;
        t = &ea_cel_t_bool;
        break;
    case EA_OP_EQ:
    case EA_OP_NE:
        t = ea_cel_type_join(types[0], types[1]) ? &ea_cel_t_bool : NULL;
        break;
    case EA_OP_IN:
        t = in_type(types[0], types[1]);
        break;
    case EA_OP_COND:
        t = ea_cel_type_fits(&ea_cel_t_bool, types[0]) ? ea_cel_type_join(types[1], types[2])
                                                       : NULL;
        break;
    case EA_OP_ADD:
        t = add_lists(u, types[0], types[1],
                      operator_type(operators[n->op].sig, types, n->n, NULL));
        break;
    default:
        t = operator_type(operators[n->op].sig, types, n->n, NULL);
        if (u->minor >= 28)
            t = operator_type(operators[n->op].cross, types, n->n, t);
        break;
    }
    n->type = t;
    return t ? true : ea_cel_no_overload(u, n, operators[n->op].name, n->args, n->n, NULL);
}
