/* Resolves names and types the tree. The Kubernetes flavour refuses here what the API server
 * refuses; the conformance flavour turns what is unknown into an error at run time, so that it can
 * be absorbed. */
#include <stdio.h>

#include "cel/ast.h"
#include "cel/prog.h"
#include "cel/value.h"

/* Loop variables in sight, innermost first. */
struct scope {
    const struct scope *up;
    struct ea_str name;
    uint16_t local;
    const struct ea_cel_type *type;
};

static bool check(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc);

static bool refuse(struct ea_cel_unit *u, uint32_t pos, const char *fmt, ...) EA_PRINTF(3, 4);
static bool refuse(struct ea_cel_unit *u, uint32_t pos, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, pos, "%s", text);
    return false;
}

static bool full(struct ea_cel_unit *u, uint32_t pos)
{
    ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, pos, "program too large");
    return false;
}

/* An error at run time (conformance) or now (Kubernetes). */
static bool fails(struct ea_cel_unit *u, struct ea_cel_node *n, const char *fmt, ...)
    EA_PRINTF(3, 4);
static bool fails(struct ea_cel_unit *u, struct ea_cel_node *n, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (u->k8s)
        return refuse(u, n->pos, "%s", text);
    n->kind = EA_N_FAIL;
    n->name = ea_arena_str(u->a, ea_str(text));
    n->type = &ea_cel_t_dyn;
    return n->name.p ? true : full(u, n->pos);
}

/* ---- names ---- */

static const struct ea_cel_node *chain_base(const struct ea_cel_node *n)
{
    while (n->kind == EA_N_SELECT && !(n->flags & (EA_NF_OPTIONAL | EA_NF_HAS)))
        n = n->target;
    return n->kind == EA_N_IDENT ? n : NULL;
}

/* The chain a.b.c spells this dotted name. */
static bool chain_is(const struct ea_cel_node *n, struct ea_str name)
{
    for (; n->kind == EA_N_SELECT; n = n->target) {
        if (name.n <= n->name.n || name.p[name.n - n->name.n - 1] != '.' ||
            memcmp(name.p + name.n - n->name.n, n->name.p, n->name.n) != 0)
            return false;
        name.n -= n->name.n + 1;
    }
    return ea_str_eq(n->name, name);
}

/* The chain a.b.c begins with the words of a declared dotted name ("variables" of "variables.x").
 */
static bool chain_leads_to(const struct ea_cel_node *n, struct ea_str name)
{
    size_t i;

    for (i = 0; i < name.n; i++) {
        if (name.p[i] == '.' && chain_is(n, ea_strn(name.p, i)))
            return true;
    }
    return false;
}

static const struct scope *find_local(const struct scope *sc, struct ea_str name)
{
    for (; sc; sc = sc->up) {
        if (ea_str_eq(sc->name, name))
            return sc;
    }
    return NULL;
}

/* A chain as a declared variable or a type. */
static bool resolve(struct ea_cel_unit *u, struct ea_cel_node *n)
{
    unsigned i;
    struct ea_str name;

    for (i = 0; i < u->env->n_vars; i++) {
        if (!chain_is(n, u->env->vars[i].name))
            continue;
        n->kind = EA_N_VAR;
        n->slot = (int32_t)i;
        n->type = u->k8s ? ea_cel_type_parse(u->a, u->env->vars[i].type) : &ea_cel_t_dyn;
        return true;
    }
    name = n->name;
    if (n->kind == EA_N_SELECT) {
        static const char *const dotted[] = {
            "google.protobuf.Timestamp", "google.protobuf.Duration", "net.IP",           "net.CIDR",
            "kubernetes.Quantity",       "kubernetes.URL",           "kubernetes.Semver"};

        for (i = 0; i < EA_COUNT(dotted) && !chain_is(n, ea_str(dotted[i])); i++)
            ;
        if (i == EA_COUNT(dotted))
            return false;
        name = ea_str(dotted[i]);
    }
    if (!ea_cel_type_value(name, u->k8s, u->minor, &n->lit))
        return false;
    n->kind = EA_N_LIT;
    n->type = &ea_cel_t_type;
    return true;
}

static bool check_ident(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct scope *local = n->flags & EA_NF_ABSOLUTE ? NULL : find_local(sc, n->name);

    if (local) {
        n->kind = EA_N_LOCAL;
        n->local = local->local;
        n->type = local->type;
        return true;
    }
    if (resolve(u, n))
        return true;
    return fails(u, n, "undeclared reference to '%.*s' (in container '')", EA_STRF(n->name));
}

static const struct ea_cel_type *field_type(const struct ea_cel_type *object, struct ea_str name)
{
    const struct ea_cel_field *f;

    for (f = object->fields; f->name; f++) {
        if (ea_str_is(name, f->name))
            return f->type;
    }
    return NULL;
}

/* Type of target.name; NULL after a refusal. */
static const struct ea_cel_type *select_type(struct ea_cel_unit *u, const struct ea_cel_node *n,
                                             const struct ea_cel_type *t)
{
    const struct ea_cel_type *f;

    switch (t->kind) {
    case EA_T_DYN:
    case EA_T_ANY_ELEM:
        return &ea_cel_t_dyn;
    case EA_T_MAP:
        return t->b;
    case EA_T_OBJECT:
        f = field_type(t, n->name);
        if (f == NULL)
            refuse(u, n->pos, "undefined field '%.*s'", EA_STRF(n->name));
        return f;
    case EA_T_OPTIONAL:
        f = select_type(u, n, t->a);
        return f == NULL ? NULL : f->kind == EA_T_OPTIONAL ? f : ea_cel_type_optional(u->a, f);
    default:
        if (u->k8s)
            refuse(u, n->pos, "type '%s' does not support field selection",
                   ea_cel_type_text(u->a, t));
        return u->k8s ? NULL : &ea_cel_t_dyn;
    }
}

static bool unknown_variable(struct ea_cel_unit *u, struct ea_cel_node *n)
{
    unsigned i;

    for (i = 0; u->k8s && n->target->kind == EA_N_IDENT && i < u->env->n_vars; i++) {
        if (chain_leads_to(n->target, u->env->vars[i].name))
            return true;
    }
    return false;
}

static bool check_select(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_node *base = n->flags & EA_NF_OPTIONAL ? NULL : chain_base(n);
    const struct ea_cel_type *t;

    if (n->flags & EA_NF_HAS)
        base = NULL;
    if (base && ((base->flags & EA_NF_ABSOLUTE) || !find_local(sc, base->name))) {
        if (resolve(u, n))
            return true;
        if (unknown_variable(u, n))
            return refuse(u, n->pos, "undefined field '%.*s'", EA_STRF(n->name));
    }
    if (!check(u, n->target, sc))
        return false;
    if ((n->flags & EA_NF_OPTIONAL) && u->k8s && u->minor < 28)
        return refuse(u, n->pos, "unsupported syntax '.?'");
    t = select_type(u, n, n->target->type);
    if (t == NULL)
        return u->failed ? false : full(u, n->pos);
    if (n->flags & EA_NF_HAS)
        t = &ea_cel_t_bool;
    else if ((n->flags & EA_NF_OPTIONAL) && t->kind != EA_T_OPTIONAL)
        t = ea_cel_type_optional(u->a, t);
    else if ((n->flags & EA_NF_OPTIONAL) && n->target->type->kind != EA_T_OPTIONAL)
        t = ea_cel_type_optional(u->a, t);
    n->type = t;
    return t ? true : full(u, n->pos);
}

/* ---- overloads ---- */

static bool no_overload(struct ea_cel_unit *u, struct ea_cel_node *n, const char *name,
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
        return fails(u, n, "no such overload: %s", name);
    return refuse(u, n->pos, "found no matching overload for '%s' applied to '%s'", name, text);
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

static const struct ea_cel_type *held(const struct ea_cel_type *t)
{
    return t->kind == EA_T_LIST || t->kind == EA_T_OPTIONAL ? t->a : &ea_cel_t_dyn;
}

static bool sig_fits(char c, const struct ea_cel_type *t, const struct ea_cel_type *first)
{
    if (c == 'o')
        return t->kind == EA_T_OPTIONAL || t->kind == EA_T_DYN || t->kind == EA_T_ANY_ELEM;
    if (c == 'e')
        return ea_cel_type_join(held(first), t) != NULL;
    if (c == 'z')
        return ea_cel_type_fits(&ea_cel_t_list_dyn, t) &&
               ea_cel_type_join(held(first), held(t)) != NULL;
    return ea_cel_type_fits(sig_type(c), t);
}

static const struct ea_cel_type *sig_result(struct ea_cel_unit *u, char c,
                                            const struct ea_cel_type *first)
{
    switch (c) {
    case 'E':
        return first ? held(first) : &ea_cel_t_dyn;
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

/* One overload at *pp against the types; moves *pp behind it. shape: style and number of arguments
 * agree; false = not this one. */
static bool overload(const char **pp, const struct ea_cel_type *const *types, uint32_t n,
                     bool member, unsigned minor, bool k8s, bool *shape, char *ret)
{
    const char *p = *pp;
    bool fits = true, is_member = p[0] && p[1] == '.';
    uint32_t i = 0;

    for (; *p && *p != ':'; p++) {
        if (*p == '.')
            continue;
        fits = fits && i < n && (types == NULL || sig_fits(*p, types[i], types[0]));
        i++;
    }
    *shape = i == n && is_member == member;
    *ret = p[1];
    p += 2;
    if (*p == '@') {
        unsigned since = (unsigned)strtoul(p + 1, NULL, 10);

        if (k8s && since > minor)
            *shape = false;
        while (*p && *p != ' ')
            p++;
    }
    *pp = *p == ' ' ? p + 1 : p;
    return fits && *shape;
}

#define MAX_ARGS 8u

static bool check_call_types(struct ea_cel_unit *u, struct ea_cel_node *n,
                             const struct ea_cel_fn *fn)
{
    const struct ea_cel_type *types[MAX_ARGS];
    uint32_t i, k = 0;
    const char *p = fn->sig;
    bool any_shape = false, shape, found = false;
    char r;

    if (n->n + 1 > MAX_ARGS)
        return no_overload(u, n, fn->name.p, n->args, 0, n->target);
    if (n->target)
        types[k++] = n->target->type;
    for (i = 0; i < n->n; i++)
        types[k++] = n->args[i]->type;
    while (*p) {
        bool ok =
            overload(&p, u->k8s ? types : NULL, k, n->target != NULL, u->minor, u->k8s, &shape, &r);

        any_shape |= shape;
        if (ok && !found) {
            n->type = sig_result(u, r, k ? types[0] : NULL);
            found = true;
            /* the first overload gives an empty list its element type, so that no other fits any
             * more */
            if (k && types[0]->kind == EA_T_LIST && types[0]->a->kind == EA_T_ANY_ELEM)
                break;
        } else if (ok && u->k8s) {
            const struct ea_cel_type *other = sig_result(u, r, k ? types[0] : NULL);

            n->flags |= EA_NF_SEVERAL;
            if (n->type == NULL || other == NULL || n->type->kind != other->kind ||
                other->kind >= EA_T_LIST)
                n->type = &ea_cel_t_dyn;
        }
    }
    if (!found || !any_shape)
        return no_overload(u, n, fn->name.p, n->args, n->n, n->target);
    n->fn = fn;
    return n->type ? true : full(u, n->pos);
}

/* "optional.of(…)": the receiver is a chain that spells a namespace of functions. */
static const struct ea_cel_fn *namespaced(struct ea_cel_unit *u, const struct ea_cel_node *n)
{
    const struct ea_cel_node *t = n->target;
    char name[64];
    int len;

    if (t == NULL || t->kind != EA_N_IDENT)
        return NULL;
    len = snprintf(name, sizeof name, "%.*s.%.*s", EA_STRF(t->name), EA_STRF(n->name));
    return len > 0 && (size_t)len < sizeof name ? ea_cel_fn_find(ea_str(name), u->k8s, u->minor)
                                                : NULL;
}

static bool check_or(struct ea_cel_unit *u, struct ea_cel_node *n)
{
    const struct ea_cel_type *t = n->target->type, *a = n->args[0]->type, *join;
    bool value = ea_str_is(n->name, "orValue");

    n->type = &ea_cel_t_dyn;
    if (t->kind != EA_T_OPTIONAL && t->kind != EA_T_DYN && t->kind != EA_T_ANY_ELEM)
        return no_overload(u, n, value ? "orValue" : "or", n->args, 1, n->target);
    if (t->kind != EA_T_OPTIONAL || !u->k8s)
        return true;
    join = ea_cel_type_join(value ? t->a : t, a);
    if (join == NULL)
        return no_overload(u, n, value ? "orValue" : "or", n->args, 1, n->target);
    n->type = join->kind == EA_T_ANY_ELEM ? &ea_cel_t_dyn : join;
    return true;
}

static bool check_call(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_fn *fn = namespaced(u, n);
    uint32_t i;

    bool format = ea_str_is(n->name, "format"), ok;

    if (fn)
        n->target = NULL;
    u->in_format += format;
    ok = n->target == NULL || check(u, n->target, sc);
    for (i = 0; ok && i < n->n; i++)
        ok = check(u, n->args[i], sc);
    u->in_format -= format;
    if (!ok)
        return false;
    if (fn == NULL)
        fn = ea_cel_fn_find(n->name, u->k8s, u->minor);
    if (fn == NULL) {
        if (u->k8s)
            return refuse(u, n->pos, "undeclared reference to '%.*s' (in container '')",
                          EA_STRF(n->name));
        return fails(u, n, "unbound function: %.*s", EA_STRF(n->name));
    }
    if (fn->call == NULL && n->target && n->n == 1) {
        n->fn = fn;
        return check_or(u, n);
    }
    return check_call_types(u, n, fn) && (!format || !u->k8s || ea_cel_check_format(u, n));
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
    bool shape;
    char r;

    while (*sig) {
        if (overload(&sig, types, n, false, 0, false, &shape, &r))
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

static bool expects_bool(struct ea_cel_unit *u, const struct ea_cel_node *arg)
{
    if (ea_cel_type_fits(&ea_cel_t_bool, arg->type))
        return true;
    return refuse(u, arg->pos, "expected type 'bool' but found '%s'",
                  ea_cel_type_text(u->a, arg->type));
}

static bool check_operator(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *types[3], *t = NULL;
    uint32_t i;

    for (i = 0; i < n->n; i++) {
        if (!check(u, n->args[i], sc))
            return false;
        types[i] = n->args[i]->type;
    }
    n->type = n->op == EA_OP_NOT || n->op >= EA_OP_EQ ? &ea_cel_t_bool : &ea_cel_t_dyn;
    if (!u->k8s) {
        if (n->op == EA_OP_COND)
            n->type = &ea_cel_t_dyn;
        return true;
    }
    switch (n->op) {
    case EA_OP_AND:
    case EA_OP_OR:
        if (!expects_bool(u, n->args[0]) || !expects_bool(u, n->args[1]))
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
    return t ? true : no_overload(u, n, operators[n->op].name, n->args, n->n, NULL);
}

static bool check_index(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *t, *k, *r = &ea_cel_t_dyn;
    bool optional = n->flags & EA_NF_OPTIONAL;

    if (!check(u, n->target, sc) || !check(u, n->args[0], sc))
        return false;
    if (optional && u->k8s && u->minor < 28)
        return refuse(u, n->pos, "unsupported syntax '[?'");
    t = n->target->type;
    k = n->args[0]->type;
    if (t->kind == EA_T_OPTIONAL) {
        optional = true;
        t = t->a;
    }
    if (t->kind == EA_T_LIST && (!u->k8s || ea_cel_type_fits(&ea_cel_t_int, k)))
        r = t->a;
    else if (t->kind == EA_T_MAP && (!u->k8s || ea_cel_type_fits(t->a, k)))
        r = t->b;
    else if (t->kind != EA_T_DYN && t->kind != EA_T_ANY_ELEM && u->k8s)
        return no_overload(u, n, n->flags & EA_NF_OPTIONAL ? "_[?_]" : "_[_]",
                           (struct ea_cel_node *[]){n->target, n->args[0]}, 2, NULL);
    if (r->kind == EA_T_ANY_ELEM && !optional)
        r = &ea_cel_t_dyn;
    /* what an optional dyn holds takes the type of the other side (cel-go: a type parameter) */
    n->type = optional ? ea_cel_type_optional(u->a, t->kind == EA_T_DYN ? &ea_cel_t_any : r) : r;
    return n->type ? true : full(u, n->pos);
}

/* ---- literals ---- */

static const struct ea_cel_type *entry_type(struct ea_cel_unit *u, const struct ea_cel_node *value,
                                            bool optional)
{
    const struct ea_cel_type *t = value->type;

    if (!optional)
        return t;
    if (u->k8s && u->minor < 28) {
        refuse(u, value->pos, "unsupported syntax '?'");
        return NULL;
    }
    if (t->kind == EA_T_OPTIONAL)
        return t->a;
    if (u->k8s && t->kind != EA_T_DYN) {
        refuse(u, value->pos, "expected type 'optional_type(dyn)' but found '%s'",
               ea_cel_type_text(u->a, t));
        return NULL;
    }
    return &ea_cel_t_dyn;
}

/* The element type so far and one more entry. Kubernetes wants them alike, but for the arguments of
 * format(). */
static bool add_type(struct ea_cel_unit *u, const struct ea_cel_node *at,
                     const struct ea_cel_type *t, const struct ea_cel_type **first,
                     const struct ea_cel_type **so_far)
{
    const struct ea_cel_type *join;

    if (t == NULL)
        return false;
    if (*first == NULL) {
        *first = *so_far = t;
        return true;
    }
    if (u->k8s && u->in_format == 0 && !ea_cel_type_same(*first, t))
        return refuse(u, at->pos, "expected type '%s' but found '%s'",
                      ea_cel_type_text(u->a, *first), ea_cel_type_text(u->a, t));
    join = ea_cel_type_join(*so_far, t);
    *so_far = join ? join : &ea_cel_t_dyn;
    return true;
}

static bool check_list(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *first = NULL, *e = NULL;
    uint32_t i;

    for (i = 0; i < n->n; i++) {
        struct ea_cel_node *x = n->args[i];

        if (!check(u, x, sc) ||
            !add_type(u, x, entry_type(u, x, x->flags & EA_NF_ENTRY), &first, &e))
            return false;
    }
    n->type = ea_cel_type_list(u->a, e ? e : &ea_cel_t_any);
    return n->type ? true : full(u, n->pos);
}

static bool check_map(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *first_k = NULL, *first_v = NULL, *k = NULL, *v = NULL;
    uint32_t i;

    for (i = 0; i < n->n; i += 2) {
        struct ea_cel_node *key = n->args[i], *x = n->args[i + 1];

        if (!check(u, key, sc) || !check(u, x, sc) || !add_type(u, key, key->type, &first_k, &k) ||
            !add_type(u, x, entry_type(u, x, key->flags & EA_NF_ENTRY), &first_v, &v))
            return false;
    }
    n->type = ea_cel_type_map(u->a, k ? k : &ea_cel_t_any, v ? v : &ea_cel_t_any);
    return n->type ? true : full(u, n->pos);
}

/* ---- comprehensions ---- */

#define COMP_LOCALS 5u

static bool check_opt_map(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *t = n->target->type;
    struct scope var = {.up = sc, .name = n->name, .local = (uint16_t)(n->local + 3)};
    bool flat = n->op == EA_MACRO_OPT_FLAT_MAP;

    if (u->k8s && t->kind != EA_T_OPTIONAL && t->kind != EA_T_DYN)
        return no_overload(u, n, "hasValue", NULL, 0, n->target);
    var.type = held(t);
    if (var.type->kind == EA_T_ANY_ELEM)
        var.type = &ea_cel_t_dyn;
    if (!check(u, n->args[0], &var))
        return false;
    t = n->args[0]->type;
    if (flat && u->k8s && t->kind != EA_T_OPTIONAL && t->kind != EA_T_DYN)
        return no_overload(u, n, "_?_:_", n->args, 1, NULL);
    n->type =
        flat && t->kind == EA_T_OPTIONAL ? t : ea_cel_type_optional(u->a, flat ? &ea_cel_t_dyn : t);
    return n->type ? true : full(u, n->pos);
}

static bool wants_bool(struct ea_cel_unit *u, const struct ea_cel_node *n,
                       const struct ea_cel_node *pred)
{
    if (!u->k8s || ea_cel_type_fits(&ea_cel_t_bool, pred->type))
        return true;
    if (n->op == EA_MACRO_ALL || n->op == EA_MACRO_EXISTS)
        return expects_bool(u, pred);
    return refuse(u, n->pos, "found no matching overload for '_?_:_' applied to '(%s, dyn, dyn)'",
                  ea_cel_type_text(u->a, pred->type));
}

/* Types of the variables over a range. */
static bool range_types(struct ea_cel_unit *u, const struct ea_cel_node *n, struct scope *one,
                        struct scope *two)
{
    const struct ea_cel_type *t = n->target->type;
    bool pair = n->flags & EA_NF_TWO;

    one->type = two->type = &ea_cel_t_dyn;
    switch (t->kind) {
    case EA_T_LIST:
        one->type = pair ? &ea_cel_t_int : t->a;
        two->type = t->a;
        break;
    case EA_T_MAP:
        one->type = t->a;
        two->type = t->b;
        break;
    case EA_T_DYN:
    case EA_T_ANY_ELEM:
        break;
    default:
        if (u->k8s)
            return refuse(u, n->target->pos,
                          "expression of type '%s' cannot be range of a comprehension (must be "
                          "list, map, or dynamic)",
                          ea_cel_type_text(u->a, t));
        break;
    }
    if (one->type->kind == EA_T_ANY_ELEM)
        one->type = &ea_cel_t_dyn;
    if (two->type->kind == EA_T_ANY_ELEM)
        two->type = &ea_cel_t_dyn;
    return true;
}

static const struct ea_cel_type *comp_type(struct ea_cel_unit *u, const struct ea_cel_node *n,
                                           const struct scope *one)
{
    const struct ea_cel_type *last = n->args[n->n - 1]->type;

    switch (n->op) {
    case EA_MACRO_MAP:
    case EA_MACRO_TRANSFORM_LIST:
        return ea_cel_type_list(u->a, last);
    case EA_MACRO_FILTER:
        return ea_cel_type_list(u->a, one->type);
    case EA_MACRO_SORT_BY:
        return n->target->type;
    case EA_MACRO_TRANSFORM_MAP:
        return ea_cel_type_map(u->a, n->target->type->kind == EA_T_LIST ? &ea_cel_t_int : one->type,
                               last);
    case EA_MACRO_TRANSFORM_ENTRY:
        return last->kind == EA_T_MAP ? last : &ea_cel_t_map_dyn;
    default:
        return &ea_cel_t_bool;
    }
}

static bool check_comp(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    struct scope one = {.up = sc, .name = n->name}, two = {.up = &one, .name = n->name2};
    unsigned save = u->cur_locals;
    bool ok;
    uint32_t i;

    if (!check(u, n->target, sc))
        return false;
    n->local = (uint16_t)save;
    u->cur_locals += COMP_LOCALS;
    u->n_locals = EA_MAX(u->n_locals, u->cur_locals);
    one.local = (uint16_t)(n->local + 3);
    two.local = (uint16_t)(n->local + 4);
    if (n->op >= EA_MACRO_OPT_MAP) {
        ok = check_opt_map(u, n, sc);
        u->cur_locals = save;
        return ok;
    }
    if (n->op == EA_MACRO_SORT_BY && u->k8s && !sig_fits('l', n->target->type, n->target->type))
        return no_overload(u, n, "@sortByAssociatedKeys", n->args, 1, n->target);
    ok = range_types(u, n, &one, &two);
    for (i = 0; ok && i < n->n; i++) {
        bool pred = n->op <= EA_MACRO_ONE || n->op == EA_MACRO_FILTER || (n->n == 2 && i == 0);

        ok = check(u, n->args[i], n->flags & EA_NF_TWO ? &two : &one);
        if (ok && pred)
            ok = wants_bool(u, n, n->args[i]);
    }
    u->cur_locals = save;
    if (!ok)
        return false;
    n->type = comp_type(u, n, &one);
    return n->type ? true : full(u, n->pos);
}

static const struct ea_cel_type *literal_type(const struct ea_val *v)
{
    switch (v->type) {
    case EA_V_NULL:
        return &ea_cel_t_null;
    case EA_V_BOOL:
        return &ea_cel_t_bool;
    case EA_V_INT:
        return &ea_cel_t_int;
    case EA_V_UINT:
        return &ea_cel_t_uint;
    case EA_V_DOUBLE:
        return &ea_cel_t_double;
    case EA_V_STRING:
        return &ea_cel_t_string;
    case EA_V_BYTES:
        return &ea_cel_t_bytes;
    default:
        return &ea_cel_t_dyn;
    }
}

static bool check(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    switch ((enum ea_cel_node_kind)n->kind) {
    case EA_N_LIT:
        n->type = literal_type(&n->lit);
        return true;
    case EA_N_IDENT:
        return check_ident(u, n, sc);
    case EA_N_SELECT:
        return check_select(u, n, sc);
    case EA_N_INDEX:
        return check_index(u, n, sc);
    case EA_N_CALL:
        return check_call(u, n, sc);
    case EA_N_OP:
        return check_operator(u, n, sc);
    case EA_N_LIST:
        return check_list(u, n, sc);
    case EA_N_MAP:
        return check_map(u, n, sc);
    case EA_N_COMP:
        return check_comp(u, n, sc);
    case EA_N_STRUCT:
        return fails(u, n, "undeclared reference to a message type (in container '')");
    default:
        return true;
    }
}

int ea_cel_check(struct ea_cel_unit *u, struct ea_cel_node *root, enum ea_cel_want want)
{
    if (!check(u, root, NULL))
        return u->failed;
    if (u->k8s && want == EA_CEL_WANT_BOOL && root->type->kind != EA_T_BOOL)
        refuse(u, root->pos, "must evaluate to bool");
    if (u->k8s && want == EA_CEL_WANT_STRING && root->type->kind != EA_T_STRING)
        refuse(u, root->pos, "must evaluate to string");
    return u->failed;
}
