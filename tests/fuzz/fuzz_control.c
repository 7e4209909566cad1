/* Control files: whatever stands in one, the set loads, says why not, or keeps the control as one
 * that does not compile. */
#include <stdio.h>

#include "base/limits.h"
#include "controls/cases.h"
#include "controls/embedded.h"
#include "controls/judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static const char catalogue[] =
    "kind: Catalogue\nspec:\n  categories: [{id: OPS}]\n  groups: [{id: pod}]\n"
    "  controls: [{id: OPS-21, category: OPS, requirements: [{id: OPS-21.1B, level: basic, gist: "
    "g}]}]\n";
static const char library[] =
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Library\nmetadata: {name: podspec}\nspec:\n"
    "  matchConstraints: {resourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: "
    "[CREATE], resources: [pods]}]}\n"
    "  variables: [{name: podSpec, expression: object.?spec.orValue({})}]\n";

static void judge(const struct ea_ruleset *rs)
{
    static const struct ea_member members[] = {
        {{.type = EA_V_STRING, .n = 4, .s = "kind"}, {.type = EA_V_STRING, .n = 3, .s = "Pod"}},
        {{.type = EA_V_STRING, .n = 4, .s = "spec"}, {.type = EA_V_MAP}},
    };
    struct ea_subject s = {.op = EA_OP_CREATE,
                           .object = ea_val_map(members, 2),
                           .name = EA_STR("p"),
                           .namespace_ = EA_STR("n")};
    struct ea_judge_opts o = {.floor = EA_HIGH, .trace = true};
    struct ea_case_totals totals = {0};
    struct ea_findings f;
    struct ea_arena a;

    CHECK(ea_builtin_kind(EA_STR("v1"), EA_STR("Pod"), &s.gvr));
    ea_arena_init(&a, 4u << 20, 0);
    if (ea_judge(rs, &s, &o, &a, &f, NULL) == 0)
        for (unsigned i = 0; i < f.n; i++)
            CHECK((f.f[i].result == EA_UNKNOWN) ==
                  (f.f[i].reason != EA_R_NONE && f.f[i].result != EA_SKIP));
    ea_arena_done(&a);
    CHECK(ea_cases_run(rs, EA_STR_NULL, NULL, NULL, &totals, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_embedded_file files[] = {
        {"catalogue.yaml", catalogue, sizeof(catalogue) - 1},
        {"lib/podspec.yaml", library, sizeof(library) - 1},
        {"pod/x.cases.yaml", (const char *)data, size},
        {"pod/x.yaml", (const char *)data, size},
        {NULL, NULL, 0},
    };
    struct ea_ruleset_opts o = {.files = files, .lint = true};
    struct ea_problems problems;
    struct ea_ruleset *rs = NULL;
    struct ea_err err = {0};
    int r;

    if (size > 65536)
        return 0;
    r = ea_ruleset_load(&o, &rs, &problems, &err);
    CHECK(r <= 0);
    if (r < 0) {
        CHECK(err.code == r && err.text[0]);
        return 0;
    }
    CHECK(rs->n_controls == 1);
    if (rs->n_compile_errors)
        CHECK(problems.n > 0 && rs->controls[0].compile_error);
    for (size_t i = 0; i < problems.n; i++)
        CHECK(problems.p[i].line > 0 && problems.p[i].file.n > 0);
    judge(rs);
    ea_ruleset_unref(rs);
    return 0;
}
