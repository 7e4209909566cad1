/* unit/cel/cel_test.h - what the tests of cel/ share: an arena per group, documents in single
 * quotes, one environment. */
#ifndef EA_UNIT_CEL_TEST_H
#define EA_UNIT_CEL_TEST_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cel/batch.h"
#include "cel/cel.h"
#include "doc/json.h"

static struct ea_arena cel_arena EA_UNUSED;
static const struct ea_cel_prog *cel_last EA_UNUSED; /* compiled last by cel_eval */
static char *cel_text EA_UNUSED;

static const struct ea_cel_var cel_vars[] EA_UNUSED = {{{"object", 6}, NULL},
                                                       {{"variables.containers", 20}, "list(dyn)"},
                                                       {{"request", 7}, "request"},
                                                       {{"namespaceObject", 15}, "namespace"},
                                                       {{"params", 6}, NULL}};
static struct ea_cel_env cel_env EA_UNUSED = {
    .flavour = EA_CEL_KUBERNETES, .vars = cel_vars, .n_vars = EA_COUNT(cel_vars)};

static int EA_UNUSED cel_setup(void **state)
{
    ea_arena_init(&cel_arena, 64u << 20, 0);
    return 0;
}

static int EA_UNUSED cel_teardown(void **state)
{
    ea_arena_done(&cel_arena);
    free(cel_text);
    return 0;
}

/* NUL-terminated copy that lives until the next call. */
static const char *EA_UNUSED cel_z(struct ea_str s)
{
    free(cel_text);
    cel_text = ea_str_dupz(s);
    return cel_text;
}

/* JSON with ' for ". */
static struct ea_val EA_UNUSED cel_doc(const char *json)
{
    struct ea_str s = ea_arena_str(&cel_arena, ea_str(json));
    struct ea_err err = {0};
    struct ea_val v;
    char *p;

    for (p = (char *)s.p; *p; p++) {
        if (*p == '\'')
            *p = '"';
    }
    if (ea_json_parse(&cel_arena, s, NULL, &v, NULL, &err))
        fail_msg("%s: %s", json, err.text);
    return v;
}

/* A run over cel_env with `object` bound and variables.containers as in the podspec library. */
static void EA_UNUSED cel_run(struct ea_cel_run *run, const char *object)
{
    const struct ea_cel_prog *containers;
    struct ea_cel_diag d;

    assert_int_equal(ea_cel_run_init(run, &cel_arena, &cel_env), 0);
    ea_cel_run_bind(run, 0, cel_doc(object));
    assert_int_equal(
        ea_cel_compile(&cel_arena,
                       EA_STR("object.spec.template.spec.containers + "
                              "object.spec.template.spec.?initContainers.orValue([])"
                              " + object.spec.template.spec.?ephemeralContainers.orValue([])"),
                       &cel_env, EA_CEL_WANT_ANY, &containers, &d),
        0);
    ea_cel_run_bind_lazy(run, 1, containers);
}

static int EA_UNUSED cel_eval(struct ea_cel_run *run, const char *expr, struct ea_val *v,
                              struct ea_cel_diag *d)
{
    if (ea_cel_compile(&cel_arena, ea_str(expr), run->env, EA_CEL_WANT_ANY, &cel_last, d))
        fail_msg("%s: %u:%u %s", expr, d->line, d->column, d->text);
    return ea_cel_eval(run, cel_last, v, d);
}

#endif
