/* Macros become one node each; the machine has loops of its own for them, so nothing is expanded
 * into calls. */
#include "cel/ast.h"

struct macro {
    const char *name;
    uint8_t args;  /* number of arguments of the call */
    uint8_t macro; /* enum ea_cel_macro */
    uint8_t vars;  /* how many of them are variables */
    uint8_t since; /* Kubernetes 1.since */
};

static const struct macro macros[] = {
    {"all", 2, EA_MACRO_ALL, 1, 0},
    {"exists", 2, EA_MACRO_EXISTS, 1, 0},
    {"exists_one", 2, EA_MACRO_ONE, 1, 0},
    {"map", 2, EA_MACRO_MAP, 1, 0},
    {"map", 3, EA_MACRO_MAP, 1, 0},
    {"filter", 2, EA_MACRO_FILTER, 1, 0},
    {"sortBy", 2, EA_MACRO_SORT_BY, 1, 34},
    {"optMap", 2, EA_MACRO_OPT_MAP, 1, 28},
    {"optFlatMap", 2, EA_MACRO_OPT_FLAT_MAP, 1, 28},
    {"all", 3, EA_MACRO_ALL, 2, 32},
    {"exists", 3, EA_MACRO_EXISTS, 2, 32},
    {"existsOne", 3, EA_MACRO_ONE, 2, 32},
    {"exists_one", 3, EA_MACRO_ONE, 2, 32},
    {"transformList", 3, EA_MACRO_TRANSFORM_LIST, 2, 32},
    {"transformList", 4, EA_MACRO_TRANSFORM_LIST, 2, 32},
    {"transformMap", 3, EA_MACRO_TRANSFORM_MAP, 2, 32},
    {"transformMap", 4, EA_MACRO_TRANSFORM_MAP, 2, 32},
    {"transformMapEntry", 3, EA_MACRO_TRANSFORM_ENTRY, 2, 32},
    {"transformMapEntry", 4, EA_MACRO_TRANSFORM_ENTRY, 2, 32},
};

static struct ea_cel_node *has(struct ea_cel_unit *u, struct ea_cel_node *call)
{
    struct ea_cel_node *arg = call->args[0];

    if (arg->kind != EA_N_SELECT || (arg->flags & (EA_NF_HAS | EA_NF_OPTIONAL))) {
        ea_cel_fail(u, EA_CEL_E_PARSE, -EINVAL, arg->pos, "invalid argument to has() macro");
        return NULL;
    }
    arg->flags |= EA_NF_HAS;
    return arg;
}

static bool take_variable(struct ea_cel_unit *u, const struct ea_cel_node *arg, struct ea_str *ret)
{
    if (arg->kind != EA_N_IDENT || (arg->flags & EA_NF_ABSOLUTE)) {
        ea_cel_fail(u, EA_CEL_E_PARSE, -EINVAL, arg->pos, "argument is not an identifier");
        return false;
    }
    *ret = arg->name;
    return true;
}

static const struct macro *find_macro(const struct ea_cel_unit *u, const struct ea_cel_node *call)
{
    size_t i;

    for (i = 0; i < EA_COUNT(macros); i++) {
        const struct macro *m = &macros[i];

        if (m->args == call->n && !(u->k8s && m->since > u->minor) &&
            ea_str_is(call->name, m->name))
            return m;
    }
    return NULL;
}

struct ea_cel_node *ea_cel_macro_expand(struct ea_cel_unit *u, struct ea_cel_node *call)
{
    const struct macro *m;

    if (u->env->disable_macros)
        return call;
    if (call->target == NULL)
        return ea_str_is(call->name, "has") && call->n == 1 ? has(u, call) : call;
    m = find_macro(u, call);
    if (m == NULL)
        return call;
    if (!take_variable(u, call->args[0], &call->name) ||
        (m->vars == 2 && !take_variable(u, call->args[1], &call->name2)))
        return NULL;
    if (m->vars == 2 && ea_str_eq(call->name, call->name2)) {
        ea_cel_fail(u, EA_CEL_E_PARSE, -EINVAL, call->args[1]->pos, "duplicate variable name: %.*s",
                    EA_STRF(call->name));
        return NULL;
    }
    call->kind = EA_N_COMP;
    call->op = m->macro;
    call->args += m->vars;
    call->n -= m->vars;
    if (m->vars == 2)
        call->flags |= EA_NF_TWO;
    return call;
}
