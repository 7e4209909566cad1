/* Resolves names and types the tree. The Kubernetes flavour refuses here what the API server
 * refuses; the conformance flavour turns what is unknown into an error at run time, so that it can
 * be absorbed. */
#include "cel/check.h"

#include <stdio.h>

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
    return ea_cel_unknown(u, n, "undeclared reference to '%.*s' (in container '')",
                          EA_STRF(n->name));
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
            ea_cel_refuse(u, n->pos, "undefined field '%.*s'", EA_STRF(n->name));
        return f;
    case EA_T_OPTIONAL:
        f = select_type(u, n, t->a);
        return f == NULL ? NULL : f->kind == EA_T_OPTIONAL ? f : ea_cel_type_optional(u->a, f);
    default:
        if (u->k8s)
            ea_cel_refuse(u, n->pos, "type '%s' does not support field selection",
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

/* A chain of plain names as a variable or a type. 0 = it is none, 1 = it is, -1 = refused. */
static int check_chain(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_node *base = n->flags & (EA_NF_OPTIONAL | EA_NF_HAS) ? NULL : chain_base(n);

    if (base == NULL || (!(base->flags & EA_NF_ABSOLUTE) && find_local(sc, base->name)))
        return 0;
    if (resolve(u, n))
        return 1;
    if (!unknown_variable(u, n))
        return 0;
    ea_cel_refuse(u, n->pos, "undefined field '%.*s'", EA_STRF(n->name));
    return -1;
}

static bool check_select(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *t;
    int chain = check_chain(u, n, sc);

    if (chain)
        return chain > 0;
    if (!check(u, n->target, sc))
        return false;
    if ((n->flags & EA_NF_OPTIONAL) && u->k8s && u->minor < 28)
        return ea_cel_refuse(u, n->pos, "unsupported syntax '.?'");
    t = select_type(u, n, n->target->type);
    if (t == NULL)
        return u->failed ? false : ea_cel_check_full(u, n->pos);
    if (n->flags & EA_NF_HAS)
        t = &ea_cel_t_bool;
    else if ((n->flags & EA_NF_OPTIONAL) &&
             (t->kind != EA_T_OPTIONAL || n->target->type->kind != EA_T_OPTIONAL))
        t = ea_cel_type_optional(u->a, t);
    n->type = t;
    return t ? true : ea_cel_check_full(u, n->pos);
}

/* ---- calls ---- */

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
        return ea_cel_no_overload(u, n, value ? "orValue" : "or", n->args, 1, n->target);
    if (t->kind != EA_T_OPTIONAL || !u->k8s)
        return true;
    join = ea_cel_type_join(value ? t->a : t, a);
    if (join == NULL)
        return ea_cel_no_overload(u, n, value ? "orValue" : "or", n->args, 1, n->target);
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
            return ea_cel_refuse(u, n->pos, "undeclared reference to '%.*s' (in container '')",
                                 EA_STRF(n->name));
        return ea_cel_unknown(u, n, "unbound function: %.*s", EA_STRF(n->name));
    }
    if (fn->call == NULL && n->target && n->n == 1) {
        n->fn = fn;
        return check_or(u, n);
    }
    return ea_cel_check_call(u, n, fn) && (!format || !u->k8s || ea_cel_check_format(u, n));
}

static bool check_operator(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    uint32_t i;

    for (i = 0; i < n->n; i++) {
        if (!check(u, n->args[i], sc))
            return false;
    }
    return ea_cel_check_operator(u, n);
}

/* What target[key] is; NULL when no overload fits. */
static const struct ea_cel_type *index_type(const struct ea_cel_unit *u,
                                            const struct ea_cel_type *t,
                                            const struct ea_cel_type *key, bool optional)
{
    if (t->kind == EA_T_LIST && (!u->k8s || ea_cel_type_fits(&ea_cel_t_int, key)))
        return t->a;
    if (t->kind == EA_T_MAP && (!u->k8s || ea_cel_type_fits(t->a, key)))
        return t->b;
    if (t->kind != EA_T_DYN && t->kind != EA_T_ANY_ELEM && u->k8s)
        return NULL;
    /* what an optional dyn holds takes the type of the other side (cel-go: a type parameter) */
    return optional && t->kind == EA_T_DYN ? &ea_cel_t_any : &ea_cel_t_dyn;
}

static bool check_index(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    struct ea_cel_node *operands[2] = {n->target, n->args[0]};
    const struct ea_cel_type *t, *r;
    bool optional = n->flags & EA_NF_OPTIONAL;

    if (!check(u, n->target, sc) || !check(u, n->args[0], sc))
        return false;
    if (optional && u->k8s && u->minor < 28)
        return ea_cel_refuse(u, n->pos, "unsupported syntax '[?'");
    t = n->target->type;
    if (t->kind == EA_T_OPTIONAL) {
        optional = true;
        t = t->a;
    }
    r = index_type(u, t, n->args[0]->type, optional);
    if (r == NULL)
        return ea_cel_no_overload(u, n, n->flags & EA_NF_OPTIONAL ? "_[?_]" : "_[_]", operands, 2,
                                  NULL);
    if (r->kind == EA_T_ANY_ELEM && !optional)
        r = &ea_cel_t_dyn;
    n->type = optional ? ea_cel_type_optional(u->a, r) : r;
    return n->type ? true : ea_cel_check_full(u, n->pos);
}

/* ---- literals ---- */

static const struct ea_cel_type *entry_type(struct ea_cel_unit *u, const struct ea_cel_node *value,
                                            bool optional)
{
    const struct ea_cel_type *t = value->type;

    if (!optional)
        return t;
    if (u->k8s && u->minor < 28) {
        ea_cel_refuse(u, value->pos, "unsupported syntax '?'");
        return NULL;
    }
    if (t->kind == EA_T_OPTIONAL)
        return t->a;
    if (u->k8s && t->kind != EA_T_DYN) {
        ea_cel_refuse(u, value->pos, "expected type 'optional_type(dyn)' but found '%s'",
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
        return ea_cel_refuse(u, at->pos, "expected type '%s' but found '%s'",
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
    return n->type ? true : ea_cel_check_full(u, n->pos);
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
    return n->type ? true : ea_cel_check_full(u, n->pos);
}

/* ---- comprehensions ---- */

#define COMP_LOCALS 5u

static bool check_opt_map(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    const struct ea_cel_type *t = n->target->type;
    struct scope var = {.up = sc, .name = n->name, .local = (uint16_t)(n->local + 3)};
    bool flat = n->op == EA_MACRO_OPT_FLAT_MAP;

    if (u->k8s && t->kind != EA_T_OPTIONAL && t->kind != EA_T_DYN)
        return ea_cel_no_overload(u, n, "hasValue", NULL, 0, n->target);
    var.type = ea_cel_held(t);
    if (var.type->kind == EA_T_ANY_ELEM)
        var.type = &ea_cel_t_dyn;
    if (!check(u, n->args[0], &var))
        return false;
    t = n->args[0]->type;
    if (flat && u->k8s && t->kind != EA_T_OPTIONAL && t->kind != EA_T_DYN)
        return ea_cel_no_overload(u, n, "_?_:_", n->args, 1, NULL);
    n->type =
        flat && t->kind == EA_T_OPTIONAL ? t : ea_cel_type_optional(u->a, flat ? &ea_cel_t_dyn : t);
    return n->type ? true : ea_cel_check_full(u, n->pos);
}

static bool wants_bool(struct ea_cel_unit *u, const struct ea_cel_node *n,
                       const struct ea_cel_node *pred)
{
    if (!u->k8s || ea_cel_type_fits(&ea_cel_t_bool, pred->type))
        return true;
    if (n->op == EA_MACRO_ALL || n->op == EA_MACRO_EXISTS)
        return ea_cel_expects_bool(u, pred);
    return ea_cel_refuse(u, n->pos,
                         "found no matching overload for '_?_:_' applied to '(%s, dyn, dyn)'",
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
            return ea_cel_refuse(
                u, n->target->pos,
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

/* Predicates and results of a loop. */
static bool check_body(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *vars)
{
    uint32_t i;

    for (i = 0; i < n->n; i++) {
        bool pred = n->op <= EA_MACRO_ONE || n->op == EA_MACRO_FILTER || (n->n == 2 && i == 0);

        if (!check(u, n->args[i], vars) || (pred && !wants_bool(u, n, n->args[i])))
            return false;
    }
    return true;
}

static bool check_loop(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    struct scope one = {.up = sc, .name = n->name}, two = {.up = &one, .name = n->name2};
    const struct ea_cel_type *range = n->target->type;

    if (n->op == EA_MACRO_SORT_BY && u->k8s && !ea_cel_type_fits(&ea_cel_t_list_dyn, range))
        return ea_cel_no_overload(u, n, "@sortByAssociatedKeys", n->args, 1, n->target);
    one.local = (uint16_t)(n->local + 3);
    two.local = (uint16_t)(n->local + 4);
    if (!range_types(u, n, &one, &two) || !check_body(u, n, n->flags & EA_NF_TWO ? &two : &one))
        return false;
    n->type = comp_type(u, n, &one);
    return n->type ? true : ea_cel_check_full(u, n->pos);
}

static bool check_comp(struct ea_cel_unit *u, struct ea_cel_node *n, const struct scope *sc)
{
    unsigned save = u->cur_locals;
    bool ok;

    if (!check(u, n->target, sc))
        return false;
    n->local = (uint16_t)save;
    u->cur_locals += COMP_LOCALS;
    u->n_locals = EA_MAX(u->n_locals, u->cur_locals);
    ok = n->op >= EA_MACRO_OPT_MAP ? check_opt_map(u, n, sc) : check_loop(u, n, sc);
    u->cur_locals = save;
    return ok;
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
        return ea_cel_unknown(u, n, "undeclared reference to a message type (in container '')");
    default:
        return true;
    }
}

int ea_cel_check(struct ea_cel_unit *u, struct ea_cel_node *root, enum ea_cel_want want)
{
    if (!check(u, root, NULL))
        return u->failed;
    if (u->k8s && want == EA_CEL_WANT_BOOL && root->type->kind != EA_T_BOOL)
        ea_cel_refuse(u, root->pos, "must evaluate to bool");
    if (u->k8s && want == EA_CEL_WANT_STRING && root->type->kind != EA_T_STRING)
        ea_cel_refuse(u, root->pos, "must evaluate to string");
    return u->failed;
}
