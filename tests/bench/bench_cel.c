/* One line a figure: name, median, unit. Compile and evaluate typical control expressions over a
 * Deployment. */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cel/cel.h"
#include "doc/json.h"

#define ROUNDS 31u

static const char object_json[] =
    "{\"apiVersion\":\"apps/"
    "v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\",\"namespace\":\"prod\",\"labels\":"
    "{\"app\":\"web\"}},"
    "\"spec\":{\"replicas\":3,\"template\":{\"spec\":{\"automountServiceAccountToken\":false,"
    "\"containers\":[{\"name\":\"app\",\"image\":"
    "\"registry.example.com/team/"
    "app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"ports\":[{"
    "\"containerPort\""
    ":8080}],\"securityContext\":{\"privileged\":false,\"runAsNonRoot\":true,\"capabilities\":{"
    "\"drop\":[\"ALL\"]}},\"resources\":{\"limits\":"
    "{\"cpu\":\"1\",\"memory\":\"1Gi\"}}},{\"name\":\"sidecar\",\"image\":\"registry.example.com/"
    "team/sidecar:1.2.3\",\"securityContext\":{"
    "\"privileged\":false,\"runAsNonRoot\":true,\"capabilities\":{\"drop\":[\"ALL\"]}}}],"
    "\"initContainers\":[{\"name\":\"init\",\"image\":"
    "\"registry.example.com/team/init:1.0.0\",\"securityContext\":{\"runAsNonRoot\":true}}]}}}}";

static const struct ea_cel_var vars[] = {{{"object", 6}, NULL},
                                         {{"variables.podSpec", 17}, NULL},
                                         {{"variables.containers", 20}, "list(dyn)"}};
static const struct ea_cel_env env = {
    .flavour = EA_CEL_KUBERNETES, .vars = vars, .n_vars = EA_COUNT(vars)};

static const struct {
    const char *name, *expr;
} cases[] = {
    {"privileged", "variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"},
    {"host-pid", "!variables.podSpec.?hostPID.orValue(false)"},
    {"has-chain", "!has(object.spec.template.spec.hostNetwork) || "
                  "object.spec.template.spec.hostNetwork == false"},
    {"run-as-non-root", "variables.podSpec.?securityContext.?runAsNonRoot.orValue(false) || "
                        "variables.containers.all(c, "
                        "c.?securityContext.?runAsNonRoot.orValue(false))"},
    {"drop-all", "variables.containers.all(c, "
                 "c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL'))"},
    {"registry", "variables.containers.all(c, c.image.startsWith('registry.example.com/'))"},
    {"digest-regex", "variables.containers.exists(c, c.image.matches('@sha256:[0-9a-f]{64}$'))"},
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

static void die(const char *what, const struct ea_cel_diag *d)
{
    fprintf(stderr, "bench_cel: %s: %s\n", what, d->text);
    exit(1);
}

static const struct ea_cel_prog *compile(struct ea_arena *a, const char *expr,
                                         enum ea_cel_want want)
{
    const struct ea_cel_prog *p;
    struct ea_cel_diag d;

    if (ea_cel_compile(a, ea_str(expr), &env, want, &p, &d))
        die(expr, &d);
    return p;
}

static double bench_compile(struct ea_arena *a, const char *expr)
{
    double v[ROUNDS];
    unsigned r, i, n = 200;

    for (r = 0; r < ROUNDS; r++) {
        ea_mono_us t0 = ea_mono_now();

        for (i = 0; i < n; i++) {
            compile(a, expr, EA_CEL_WANT_BOOL);
            ea_arena_reset(a);
        }
        v[r] = (double)(ea_mono_now() - t0) / n;
    }
    return median(v);
}

/* Nanoseconds of one evaluation, the variables evaluated before. */
static double bench_eval(struct ea_arena *a, struct ea_cel_run *run, const struct ea_cel_prog *p)
{
    double v[ROUNDS];
    struct ea_cel_diag d;
    struct ea_val ret;
    unsigned r, i, n = 2000;

    (void)a;
    for (r = 0; r < ROUNDS; r++) {
        ea_mono_us t0 = ea_mono_now();

        for (i = 0; i < n; i++) {
            run->cost = 0;
            if (ea_cel_eval(run, p, &ret, &d))
                die("eval", &d);
        }
        v[r] = (double)(ea_mono_now() - t0) * 1000 / n;
    }
    return median(v);
}

int main(void)
{
    struct ea_arena programs, memory, scratch;
    const struct ea_cel_prog *pod, *containers;
    struct ea_cel_run run;
    struct ea_val object;
    size_t i;

    ea_arena_init(&programs, 64u << 20, 0);
    ea_arena_init(&memory, 1u << 30, 1u << 20);
    ea_arena_init(&scratch, 64u << 20, 1u << 18);
    if (ea_json_parse(&programs, ea_str(object_json), NULL, &object, NULL, NULL) ||
        ea_cel_run_init(&run, &memory, &env))
        return 1;
    pod = compile(&programs, "object.spec.template.spec", EA_CEL_WANT_ANY);
    containers =
        compile(&programs,
                "variables.podSpec.containers + variables.podSpec.?initContainers.orValue([]) + "
                "variables.podSpec.?ephemeralContainers.orValue([])",
                EA_CEL_WANT_ANY);
    ea_cel_run_bind(&run, 0, object);
    ea_cel_run_bind_lazy(&run, 1, pod);
    ea_cel_run_bind_lazy(&run, 2, containers);
    for (i = 0; i < EA_COUNT(cases); i++) {
        const struct ea_cel_prog *p = compile(&programs, cases[i].expr, EA_CEL_WANT_BOOL);

        printf("cel/compile/%-16s %8.2f us (bar 20)\n", cases[i].name,
               bench_compile(&scratch, cases[i].expr));
        printf("cel/eval/%-19s %8.0f ns (bar 300)\n", cases[i].name, bench_eval(&memory, &run, p));
    }
    ea_arena_done(&scratch);
    ea_arena_done(&memory);
    ea_arena_done(&programs);
    return 0;
}
