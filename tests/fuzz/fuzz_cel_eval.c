/* Any expression over a fixed object: ends within its budget, gives a value that prints and reads
 * back, and its trace agrees. */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "cel/cel.h"
#include "doc/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static const char object_json[] =
    "{\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\",\"labels\":{\"a.b/"
    "c\":\"x\"}},\"spec\":{\"n\":null,\"r\":3,\"f\":1.5,"
    "\"containers\":[{\"name\":\"app\",\"image\":\"r/"
    "x:1\",\"ports\":[{\"p\":1},{\"p\":2,\"h\":9}]},{\"name\":\"b\",\"sc\":{\"privileged\""
    ":true}}],\"init\":[{\"name\":\"i\"}]}}";

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void prints_and_reads(struct ea_arena *a, const struct ea_val *v)
{
    struct ea_val doc, again;
    struct ea_buf b, c;

    ea_buf_init(&b, 64u << 20);
    ea_buf_init(&c, 64u << 20);
    if (ea_cel_print_tagged(&b, v) == 0) {
        struct ea_json_opts opts = {.max_depth = 4 * EA_MAX_DEPTH};

        CHECK(ea_utf8_valid(b.p, b.n));
        if (ea_json_parse(a, ea_buf_str(&b), &opts, &doc, NULL, NULL) == 0 &&
            ea_cel_parse_tagged(a, &doc, &again, NULL) == 0) {
            CHECK(ea_cel_print_tagged(&c, &again) == 0);
            CHECK(ea_str_eq(ea_buf_str(&b), ea_buf_str(&c)));
        }
    }
    ea_buf_done(&b);
    ea_buf_done(&c);
}

static void traces(struct ea_cel_run *run, const struct ea_cel_prog *p, const struct ea_val *v)
{
    struct ea_cel_why why[4];
    struct ea_cel_diag d;
    uint64_t cost = run->cost;
    size_t n = 0, i;
    int rc = ea_cel_why(run, p, why, EA_COUNT(why), &n, &d);

    CHECK(run->cost == cost && run->trace == NULL);
    /* looking at everything may cost more than the budget, but it never changes the answer */
    CHECK(rc == 0 || rc == -E2BIG);
    CHECK(n == 0 || (v->type == EA_V_BOOL && !v->b));
    for (i = 0; i < n && i < EA_COUNT(why); i++)
        CHECK(why[i].path.p != NULL && why[i].key_path.p != NULL && why[i].root < run->env->n_vars);
}

static void evaluate(struct ea_arena *a, const struct ea_cel_env *env, struct ea_str src)
{
    const struct ea_cel_prog *p, *lazy;
    struct ea_cel_run run;
    struct ea_cel_diag d = {0};
    struct ea_val object, v;
    int rc;

    if (ea_cel_compile(a, src, env, EA_CEL_WANT_ANY, &p, &d))
        return;
    CHECK(ea_json_parse(a, ea_str(object_json), NULL, &object, NULL, NULL) == 0);
    CHECK(ea_cel_run_init(&run, a, env) == 0);
    CHECK(ea_cel_compile(a, EA_STR("object.spec.containers + object.spec.init"), env,
                         EA_CEL_WANT_ANY, &lazy, &d) == 0);
    run.interrupted = never;
    run.budget = 100000;
    ea_cel_run_bind(&run, 0, object);
    ea_cel_run_bind_lazy(&run, 1, lazy);
    rc = ea_cel_eval(&run, p, &v, &d);
    CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
    if (rc == -EINVAL)
        CHECK(d.kind == EA_CEL_E_EVAL && d.text[0] != '\0');
    if (rc == 0) {
        prints_and_reads(a, &v);
        if (v.type == EA_V_BOOL)
            traces(&run, p, &v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ea_cel_var vars[] = {{{"object", 6}, NULL},
                                             {{"variables.c", 11}, "list(dyn)"}};
    struct ea_cel_env env = {.flavour = EA_CEL_KUBERNETES, .vars = vars, .n_vars = EA_COUNT(vars)};
    struct ea_arena a;

    if (size > 4096)
        return 0;
    ea_arena_init(&a, 32u << 20, 0);
    evaluate(&a, &env, ea_strn((const char *)data, size));
    ea_arena_reset(&a);
    env.flavour = EA_CEL_CONFORMANCE;
    evaluate(&a, &env, ea_strn((const char *)data, size));
    ea_arena_done(&a);
    return 0;
}
