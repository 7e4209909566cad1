#include "cel/batch.h"

#include "base/limits.h"
#include "doc/json.h"
#include "doc/print.h"

int ea_cel_env_parse(struct ea_str s, enum ea_cel_flavour *ret_flavour, unsigned *ret_minor)
{
    struct ea_str rest;
    uint64_t minor;

    *ret_minor = 0;
    if (ea_str_is(s, "cel")) {
        *ret_flavour = EA_CEL_CONFORMANCE;
        return 0;
    }
    if (!ea_str_is(ea_str_cut(s, ':', &rest), "kubernetes"))
        return -EINVAL;
    *ret_flavour = EA_CEL_KUBERNETES;
    if (rest.p == NULL)
        return 0;
    if (!ea_str_starts(rest, EA_STR("1.")) ||
        ea_str_to_u64(ea_strn(rest.p + 2, rest.n - 2), &minor) || minor == 0 || minor > 999)
        return -EINVAL;
    *ret_minor = (unsigned)minor;
    return 0;
}

static const char *kind_name(enum ea_cel_errkind kind)
{
    switch (kind) {
    case EA_CEL_E_PARSE:
        return "parse";
    case EA_CEL_E_CHECK:
        return "check";
    case EA_CEL_E_COST:
    case EA_CEL_E_DEADLINE:
        return "cost";
    default:
        return "eval";
    }
}

static void add_id(struct ea_buf *out, const struct ea_val *id)
{
    ea_buf_addz(out, "{\"id\":");
    if (id == NULL || ea_json_print(out, id))
        ea_buf_addz(out, "null");
}

static int answer_error(struct ea_buf *out, const struct ea_val *id, const char *kind,
                        const char *text, unsigned line, unsigned column)
{
    add_id(out, id);
    ea_buf_addz(out, ",\"error\":");
    /* a text cut in the middle of a character is cut before it */
    for (size_t n = strlen(text);; n--) {
        if (n == 0 || ea_utf8_valid(text, n)) {
            ea_buf_add_json(out, ea_strn(text, n));
            break;
        }
    }
    ea_buf_addf(out, ",\"kind\":\"%s\"", kind);
    if (line)
        ea_buf_addf(out, ",\"line\":%u,\"column\":%u", line, column);
    return ea_buf_addz(out, "}\n");
}

/* Variables and their values out of "bindings". */
static int bind(struct ea_arena *a, const struct ea_val *bindings, struct ea_cel_env *env,
                struct ea_val **ret_values, struct ea_err *err)
{
    uint32_t i, n = ea_val_is(bindings, EA_V_MAP) ? bindings->n : 0;
    struct ea_cel_var *vars = ea_arena_zalloc(a, (n + 1) * sizeof *vars);
    struct ea_val *values = ea_arena_zalloc(a, (n + 1) * sizeof *values);
    int rc;

    if (vars == NULL || values == NULL)
        return ea_fail(err, -E2BIG, "too many bindings");
    for (i = 0; i < n; i++) {
        vars[i].name = ea_val_text(&bindings->members[i].key);
        rc = ea_cel_parse_tagged(a, &bindings->members[i].val, &values[i], err);
        if (rc)
            return ea_wrap(err, "binding %.*s", (int)EA_MIN(vars[i].name.n, 100u), vars[i].name.p);
    }
    env->vars = vars;
    env->n_vars = n;
    *ret_values = values;
    return 0;
}

static int evaluate(struct ea_arena *a, struct ea_str expr, const struct ea_cel_env *env,
                    const struct ea_val *values, struct ea_val *ret, struct ea_cel_diag *diag,
                    uint64_t *cost, const char **type)
{
    const struct ea_cel_prog *prog;
    struct ea_cel_run run;
    unsigned i;
    int rc = ea_cel_compile(a, expr, env, EA_CEL_WANT_ANY, &prog, diag);

    if (rc)
        return rc;
    if (ea_cel_run_init(&run, a, env)) {
        *diag = (struct ea_cel_diag){.kind = EA_CEL_E_COST, .text = "too many variables"};
        return -E2BIG;
    }
    for (i = 0; values && i < env->n_vars; i++)
        ea_cel_run_bind(&run, i, values[i]);
    *type = ea_cel_prog_type(prog);
    rc = ea_cel_eval(&run, prog, ret, diag);
    *cost = run.cost;
    return rc;
}

int ea_cel_batch_line(struct ea_arena *a, struct ea_str line, enum ea_cel_flavour flavour,
                      unsigned minor, struct ea_buf *out)
{
    struct ea_cel_env env = {.flavour = flavour, .minor = minor};
    struct ea_cel_diag diag = {0};
    struct ea_val doc, value, *values = NULL;
    const struct ea_val *id, *expr;
    struct ea_err err = {0};
    struct ea_str name;
    const char *type = "dyn";
    uint64_t cost = 0;

    if (ea_json_parse(a, line, NULL, &doc, NULL, &err))
        return answer_error(out, NULL, "parse", ea_err_text(&err), 0, 0);
    id = ea_val_getz(&doc, "id");
    expr = ea_val_getz(&doc, "expr");
    name = ea_val_get_str(&doc, "env");
    if (!ea_val_is(expr, EA_V_STRING) ||
        (name.p && ea_cel_env_parse(name, &env.flavour, &env.minor)))
        return answer_error(out, id, "parse",
                            "expr must be a string, env one of cel, kubernetes, kubernetes:1.NN", 0,
                            0);
    env.disable_macros = ea_val_get_bool(&doc, "disableMacros", false);
    if (bind(a, ea_val_getz(&doc, "bindings"), &env, &values, &err))
        return answer_error(out, id, "parse", ea_err_text(&err), 0, 0);
    if (evaluate(a, ea_val_text(expr), &env, values, &value, &diag, &cost, &type))
        return answer_error(out, id, kind_name(diag.kind), diag.text, diag.line, diag.column);
    add_id(out, id);
    ea_buf_addz(out, ",\"value\":");
    if (ea_cel_print_tagged(out, &value))
        return out->failed ? out->failed : -E2BIG;
    if (ea_val_get_bool(&doc, "stats", false)) {
        ea_buf_addf(out, ",\"cost\":%llu,\"type\":", (unsigned long long)cost);
        ea_buf_add_json(out, ea_str(type));
    }
    return ea_buf_addz(out, "}\n");
}
