/* The loader: what it takes, what it refuses, and that every problem says file and line. */
#include "util.h"

#include "controls/cases.h"

static void loads_and_compiles(void **state)
{
    struct folder f;
    struct ea_problems p;

    (void)state;
    folder_new(&f);
    put(&f, "pod/a.yaml",
        HEAD("a") "  use: [podspec]\n  policy:\n    validations:\n    - expression: "
                  "variables.containers.size() >= 0\n      message: m\n");
    put(&f, "pod/a.cases.yaml", CASES("a"));
    struct ea_ruleset *rs = load(&f, &p);

    assert_int_equal(p.n, 0);
    assert_int_equal(rs->n_controls, 1);
    assert_int_equal(rs->n_compile_errors, 0);
    assert_int_equal(rs->catalogue.n_requirements, 3);
    const struct ea_control *c = ea_control_find(rs, EA_STR("a"));

    assert_non_null(c);
    assert_null(ea_control_find(rs, EA_STR("b")));
    assert_str(c->group, "pod");
    assert_int_equal(c->action, EA_DENY);
    assert_int_equal(c->severity, EA_SEV_HIGH);
    assert_int_equal(c->n_rules, 3);
    assert_int_equal(c->n_variables, 2);
    assert_int_equal(c->n_refs, 2);
    assert_int_equal(c->kubernetes, 30);
    assert_false(c->fail_closed);
    assert_false(c->reads_old);
    assert_false(c->reads_namespace);
    struct ea_ruleset *again = ea_ruleset_ref(rs);

    ea_ruleset_unref(rs);
    assert_int_equal(again->n_controls, 1);
    ea_ruleset_unref(again);
    folder_done(&f);
}

/* Control text -> the problem that it gives: ":line: text". */
static void problem(const char *text, unsigned line, const char *want)
{
    struct folder f;
    struct ea_problems p = {0};
    bool found = false;

    folder_new(&f);
    put(&f, "pod/a.yaml", text);
    struct ea_ruleset *rs = load(&f, &p);

    for (size_t i = 0; i < p.n; i++) {
        if (p.p[i].line == line && ea_str_find(p.p[i].text, ea_str(want)) >= 0 &&
            ea_str_ends(p.p[i].file, EA_STR("/pod/a.yaml")))
            found = true;
    }
    if (!found) {
        for (size_t i = 0; i < p.n; i++)
            print_message("have %.*s:%u: %.*s\n", EA_STRF(p.p[i].file), p.p[i].line,
                          EA_STRF(p.p[i].text));
        fail_msg("no problem at line %u with: %s", line, want);
    }
    assert_int_equal(rs->n_compile_errors, 1);
    assert_non_null(rs->controls[0].compile_error);
    assert_non_null(strstr(rs->controls[0].compile_error, "/pod/a.yaml:"));
    ea_ruleset_unref(rs);
    folder_done(&f);
}

#define POLICY(expr)                                                                               \
    "  policy:\n" ON_PODS "    validations:\n    - expression: \"" expr "\"\n      message: m\n"

static void says_file_and_line(void **state)
{
    (void)state;
    problem(HEAD("a") POLICY("object.spec.x =="), 19, "validations[0].expression");
    problem(HEAD("a") POLICY("nothing.here == 1"), 19, "undeclared reference");
    problem(HEAD("a") POLICY("object.spec.hostPID"), 19, "validations[0].expression");
    problem(HEAD("a") POLICY("authorizer == null"), 19, "authorizer is not offered here");
    problem(HEAD("a") POLICY("variables.x == 1"), 19, "undeclared reference");
    problem(HEAD("a") "  colour: red\n" POLICY("true"), 16, "unknown field colour in spec");
    problem(HEAD("a") "  use: [nolib]\n" POLICY("true"), 16, "there is no library nolib");
    problem(HEAD("a") "  policy:\n" ON_PODS
                      "    paramKind: {}\n    validations: [{expression: 'true', message: m}]\n",
            18, "unknown field paramKind");
    problem(HEAD("a") "  policy:\n" ON_PODS, 16, "policy.validations must be a list");
    problem(HEAD("a") "  policy:\n    validations: [{expression: 'true', message: m}]\n", 16,
            "no resource rules");
    problem(HEAD("a") "  policy:\n    failurePolicy: Maybe\n" ON_PODS
                      "    validations: [{expression: 'true', message: m}]\n",
            17, "failurePolicy must be Fail or Ignore");
    problem(HEAD("a") "  params: {days: {type: int, default: x}}\n" POLICY("true"), 16,
            "the default is no int");
    problem(HEAD("a") "  params: {days: {type: age}}\n" POLICY("true"), 16, "type must be string");
    problem(HEAD("a") "  params: {days: {type: int}}\n" POLICY("true"), 16,
            "needs a default or required: true");
    problem(HEAD("a") "  match: {node: 1}\n" POLICY("true"), 16, "match must be {node: true}");
    problem(HEAD("a") "  ratchet: {}\n" POLICY("true"), 16, "ratchet must be");
    problem(HEAD("a") "  context: [{name: x}]\n" POLICY("true"), 16,
            "a join needs name, apiVersion, kind and cap");
    problem(HEAD("a") "  policy:\n    matchConditions: [{expression: 'true'}]\n" ON_PODS
                      "    validations: [{expression: 'true', message: m}]\n",
            17, "a match condition needs a name");
    problem(HEAD("a") "  policy:\n    variables: [{name: 1x, expression: '1'}]\n" ON_PODS
                      "    validations: [{expression: 'true', message: m}]\n",
            17, "a variable needs a name");
    problem(HEAD("a") "  policy:\n    variables: [{name: b, expression: variables.c}, {name: c, "
                      "expression: '1'}]\n" ON_PODS
                      "    validations: [{expression: 'true', message: m}]\n",
            17, "undeclared reference");
    problem(HEAD("a") "  policy:\n" ON_PODS
                      "    validations: [{expression: 'true', messageExpression: '1 + 1'}]\n",
            18, "validations[0].messageExpression");
    problem(HEAD_AT("a", "basic", "awful", "deny") POLICY("true"), 6,
            "severity must be info, low, medium, high or critical");
    problem(HEAD_AT("a", "none", "high", "deny") POLICY("true"), 7,
            "level must be basic, substantial or high");
    problem(HEAD_AT("a", "basic", "high", "shout") POLICY("true"), 14,
            "action must be audit, warn or deny");
    problem("apiVersion: eucs-agent.io/v1alpha1\nkind: Control\nmetadata: {name: a}\nspec: 1\n", 4,
            "spec must be a map");
    problem("apiVersion: v1\nkind: Control\nmetadata: {name: a}\nspec: {}\n", 1,
            "must be kind Control");
    problem("apiVersion: eucs-agent.io/v1alpha1\nkind: Control\n  metadata: {name: a}\n", 3,
            "line 3");
    problem("a: 1\na: 2\n", 2, "");
    problem("a: yes\n", 1, "");
    problem(HEAD("a") "---\n" HEAD("a"), 1, "one document is wanted");
}

static void bad_rules(void **state)
{
    static const struct {
        const char *rule, *want;
    } t[] = {
        {"{apiGroups: [\"\"], apiVersions: [v1], operations: [MAKE], resources: [pods]}",
         "unknown operation MAKE"},
        {"{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE]}",
         "resources must be a list"},
        {"{apiGroups: [], apiVersions: [v1], operations: [CREATE], resources: [pods]}",
         "apiGroups must be a list"},
        {"{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: "
         "Half}",
         "scope must be"},
        {"{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods], extra: "
         "1}",
         "unknown field extra"},
        {"1", "must be a map"},
    };
    char text[4096];

    (void)state;
    for (size_t i = 0; i < EA_COUNT(t); i++) {
        (void)snprintf(text, sizeof(text),
                       "%s  policy:\n    matchConstraints: {resourceRules: [%s]}\n    validations: "
                       "[{expression: 'true', message: m}]\n",
                       HEAD("a"), t[i].rule);
        problem(text, 17, t[i].want);
    }
    problem(HEAD("a") "  policy:\n    matchConstraints: {resourceRules: [], matchPolicy: Loose}\n  "
                      "  validations: [{expression: 'true', message: m}]\n",
            17, "matchPolicy must be");
    problem(HEAD("a") "  policy:\n    matchConstraints: {objectSelector: {matchExpressions: [{key: "
                      "a, operator: Is}]}, resourceRules: [{apiGroups: "
                      "[\"\"], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}\n    "
                      "validations: [{expression: 'true', message: m}]\n",
            17, "a label selector needs");
}

static void whole_set_refused(void **state)
{
    struct folder f;
    struct ea_ruleset_opts o = {0};
    struct ea_ruleset *rs = NULL;
    struct ea_err err = {0};

    (void)state;
    o.dir = "/nonexistent";
    assert_int_equal(ea_ruleset_load(&o, &rs, NULL, &err), -ENOENT);
    folder_new(&f);
    o.dir = f.path;
    put(&f, "lib/bad.yaml", "a: [\n");
    assert_int_equal(ea_ruleset_load(&o, &rs, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "lib/bad.yaml"));
    put(&f, "lib/bad.yaml",
        "apiVersion: eucs-agent.io/v1alpha1\nkind: Library\nmetadata: {name: good}\nspec: {}\n");
    assert_int_equal(ea_ruleset_load(&o, &rs, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "metadata.name must be the file's name"));
    put(&f, "lib/bad.yaml",
        "apiVersion: eucs-agent.io/v1alpha1\nkind: Library\nmetadata: {name: bad}\nspec: "
        "{variables: [{name: x, expression: '1 +'}]}\n");
    put(&f, "pod/a.yaml", HEAD("a") "  use: [bad]\n" POLICY("true"));
    assert_int_equal(ea_ruleset_load(&o, &rs, NULL, &err), 0);
    assert_int_equal(rs->n_compile_errors, 1);
    ea_ruleset_unref(rs);
    put(&f, "rbac/a.yaml", HEAD("a") POLICY("true"));
    assert_int_equal(ea_ruleset_load(&o, &rs, NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is also in"));
    put(&f, "catalogue.yaml",
        "kind: Catalogue\nspec: {categories: [], controls: [], counts: {requirements: 5}}\n");
    assert_int_equal(ea_ruleset_load(&o, &rs, NULL, &err), -EINVAL);
    assert_non_null(
        strstr(err.text, "catalogue.yaml:2: counts.requirements is 5, but the file holds 0"));
    folder_done(&f);
}

static void params_from_configuration(void **state)
{
    struct folder f;
    struct ea_arena a;
    struct ea_ruleset *rs;
    struct ea_val p;
    struct ea_ruleset_opts o = {.params = &p};
    struct ea_problems problems;
    struct ea_err err = {0};

    (void)state;
    ea_arena_init(&a, 1u << 20, 0);
    folder_new(&f);
    o.dir = f.path;
    put(&f, "pod/a.yaml",
        HEAD("a") "  params:\n    days: {type: int, default: 30}\n    names: {type: list(string), "
                  "required: true}\n" POLICY("params.days == 30 && size(params.names) > 0"));
    p = yaml(&a, "{}");
    assert_int_equal(ea_ruleset_load(&o, &rs, &problems, &err), 0);
    assert_true(rs->controls[0].missing_param);
    assert_true(rs->controls[0].reads_params);
    ea_ruleset_unref(rs);
    p = yaml(&a, "a: {names: [x], days: 5}");
    assert_int_equal(ea_ruleset_load(&o, &rs, &problems, &err), 0);
    ea_arena_reset(&a);
    assert_false(rs->controls[0].missing_param);
    assert_int_equal(ea_val_get_int(&rs->controls[0].params, "days", 0), 5);
    ea_ruleset_unref(rs);
    p = yaml(&a, "a: {names: [1]}");
    assert_int_equal(ea_ruleset_load(&o, &rs, &problems, &err), 0);
    assert_int_equal(rs->n_compile_errors, 1);
    assert_non_null(
        strstr(rs->controls[0].compile_error, "params.names to a list, wanted list(string)"));
    ea_ruleset_unref(rs);
    p = yaml(&a, "a: {nemes: [x]}");
    assert_int_equal(ea_ruleset_load(&o, &rs, &problems, &err), 0);
    assert_non_null(strstr(rs->controls[0].compile_error, "which this control does not have"));
    ea_ruleset_unref(rs);
    folder_done(&f);
    ea_arena_done(&a);
}

static void what_it_reads(void **state)
{
    struct ea_ruleset *rs;

    (void)state;
    rs = one_control(
        "a", HEAD("a") "  policy:\n" ON_PODS
                       "    variables:\n    - {name: u, expression: request.userInfo.username}\n   "
                       " - {name: w, expression: variables.u}\n"
                       "    validations: [{expression: variables.w == 'x', message: m}]\n");
    assert_null(rs->controls[0].compile_error);
    assert_true(rs->controls[0].reads_request);
    ea_ruleset_unref(rs);
    rs = one_control("a", HEAD("a") POLICY("request.operation == 'CREATE'"));
    assert_false(rs->controls[0].reads_request);
    assert_true(rs->controls[0].priv->uses_request);
    ea_ruleset_unref(rs);
    rs = one_control("a", HEAD("a") "  policy:\n" ON_PODS
                                    "    variables: [{name: o, expression: oldObject}]\n    "
                                    "validations: [{expression: 'true', message: m}]\n");
    assert_false(rs->controls[0].reads_old); /* nobody asks for the variable */
    ea_ruleset_unref(rs);
    rs = one_control("a", HEAD("a")
                              POLICY("oldObject == null && namespaceObject.metadata.name == 'x' && "
                                     "level == 'high' && now > timestamp('2020-01-01T00:00:00Z')"));
    assert_null(rs->controls[0].compile_error);
    assert_true(rs->controls[0].reads_old);
    assert_true(rs->controls[0].reads_namespace);
    assert_true(rs->controls[0].reads_level);
    assert_true(rs->controls[0].reads_now);
    ea_ruleset_unref(rs);
}

static void lint_of(const char *control, const char *cases, const char *want)
{
    struct folder f;
    struct ea_ruleset *rs;
    struct ea_problems p = {0};
    struct ea_err err = {0};
    struct ea_ruleset_opts o = {.lint = true};
    bool found = want == NULL && true;

    folder_new(&f);
    o.dir = f.path;
    put(&f, "pod/a.yaml", control);
    put(&f, "pod/b.yaml",
        HEAD("b") "  use: [podspec]\n"
                  "  policy: {validations: [{expression: 'true', message: m}]}\n");
    put(&f, "pod/b.cases.yaml", CASES("b"));
    if (cases)
        put(&f, "pod/a.cases.yaml", cases);
    assert_int_equal(ea_ruleset_load(&o, &rs, &p, &err), 0);
    for (size_t i = 0; want && i < p.n; i++)
        found = found || ea_str_find(p.p[i].text, ea_str(want)) >= 0;
    if (!found || (!want && p.n)) {
        for (size_t i = 0; i < p.n; i++)
            print_message("have %.*s:%u: %.*s\n", EA_STRF(p.p[i].file), p.p[i].line,
                          EA_STRF(p.p[i].text));
        fail_msg("wanted: %s", want ? want : "nothing");
    }
    ea_ruleset_unref(rs);
    folder_done(&f);
}

#define HEAD_WITH(id, reqs, fit, refs, action)                                                     \
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Control\nmetadata: {name: " id "}\nspec:\n"         \
    "  title: A title\n  severity: high\n  level: basic\n  requirements: " reqs "\n  fit: " fit    \
    "\n"                                                                                           \
    "  perspective: workload\n  rationale: because\n  remediation: change it\n  references: " refs \
    "\n"                                                                                           \
    "  action: " action "\n  kubernetes: \"1.30\"\n"

static void lint(void **state)
{
    (void)state;
    lint_of(HEAD("a") POLICY("!object.spec.?hostPID.orValue(false)"), CASES("a"), NULL);
    lint_of(HEAD("a") POLICY("true"), NULL, "a.cases.yaml is missing");
    lint_of(HEAD("z") POLICY("true"), CASES("z"), "metadata.name is z, but the file's name says a");
    lint_of(HEAD_WITH("a", "[OPS-99.1B]", "direct", "{}", "warn") POLICY("true"), CASES("a"),
            "unknown requirement OPS-99.1B");
    lint_of(HEAD_WITH("a", "[OPS-21.3H]", "direct", "{}", "warn") POLICY("true"), CASES("a"),
            "level is basic, but its requirements begin at high");
    lint_of(HEAD_WITH("a", "[OPS-21.1B, OPS-21.1B]", "direct", "{}", "warn") POLICY("true"),
            CASES("a"), "stands twice");
    lint_of(HEAD_WITH("a", "[OPS-21.1B]", "direct", "{pss: Baseline}", "warn") POLICY("true"),
            CASES("a"), "references.pss must be exactly one word");
    lint_of(HEAD_WITH("a", "[OPS-21.1B]", "direct", "{pss: [baseline, restricted]}", "warn")
                POLICY("true"),
            CASES("a"), "references.pss must be exactly one word");
    lint_of(HEAD_WITH("a", "[OPS-21.1B]", "direct", "{sox: [x]}", "warn") POLICY("true"),
            CASES("a"), "unknown framework sox");
    lint_of(HEAD_WITH("a", "[OPS-21.1B]", "weak", "{}", "deny") POLICY("true"), CASES("a"),
            "action deny needs fit direct");
    lint_of(HEAD_AT("a", "basic", "low", "deny") POLICY("true"), CASES("a"),
            "action deny needs severity high or critical");
    lint_of(HEAD("a") "  match: {node: true}\n" POLICY("true"), CASES("a"), "action must be audit");
    lint_of(HEAD("a") "  policy:\n" ON_PODS "    validations: [{expression: 'true'}]\n", CASES("a"),
            "neither message nor messageExpression");
    lint_of(HEAD("a") POLICY("true"),
            "apiVersion: eucs-agent.io/v1alpha1\nkind: Cases\nmetadata: {name: a}\ncases: [{name: "
            "x, expect: pass, objekt: {}}]\n",
            "unknown field objekt");
    lint_of(HEAD("a") POLICY("true"),
            "apiVersion: eucs-agent.io/v1alpha1\nkind: Cases\nmetadata: {name: a}\ncases: [{name: "
            "x, expect: maybe}]\n",
            "expect must be pass, fail, skip or unknown");
    lint_of(HEAD("a") POLICY("true"),
            "apiVersion: eucs-agent.io/v1alpha1\nkind: Cases\nmetadata: {name: a}\ncases: [{name: "
            "x, expect: pass}]\n",
            "one that passes, one that fails and one whose name says which field is missing");
}

struct lines {
    char text[8192];
};

static void collect(void *arg, const char *line)
{
    struct lines *l = arg;

    strncat(l->text, line, sizeof(l->text) - strlen(l->text) - 2);
    strcat(l->text, "\n");
}

static void cases(void **state)
{
    struct folder f;
    struct ea_case_totals t = {0};
    struct lines l = {""};
    struct ea_err err = {0};
    struct ea_case_counts n;

    (void)state;
    folder_new(&f);
    put(&f, "pod/a.yaml",
        HEAD("a") "  params: {days: {type: int, default: 1}}\n" POLICY(
            "!object.spec.?hostPID.orValue(false)"));
    put(&f, "pod/a.cases.yaml",
        CASES("a") "- {name: wrong result, expect: pass, object: {apiVersion: v1, kind: Pod, "
                   "metadata: {name: a}, spec: {hostPID: true}}}\n"
                   "- {name: wrong message, expect: fail, message: other, object: {apiVersion: v1, "
                   "kind: Pod, metadata: {name: a}, spec: {hostPID: true}}}\n"
                   "- {name: wrong path, expect: fail, path: spec.x, object: {apiVersion: v1, "
                   "kind: Pod, metadata: {name: a}, spec: {hostPID: true}}}\n"
                   "- {name: no rule, expect: pass, operation: CREATE, object: {apiVersion: v1, "
                   "kind: Service, metadata: {name: a}}}\n"
                   "- {name: bad param, expect: pass, params: {days: x}, object: {apiVersion: v1, "
                   "kind: Pod, metadata: {name: a}}}\n"
                   "- {name: no kind, expect: pass, object: {apiVersion: v9, kind: Thing, "
                   "metadata: {name: a}}}\n");
    struct ea_ruleset *rs = load(&f, NULL);

    assert_int_equal(ea_cases_run(rs, EA_STR("a"), collect, &l, &t, &err), 0);
    assert_int_equal(t.passed, 3);
    assert_int_equal(t.failed, 6);
    assert_non_null(
        strstr(l.text, "/pod/a.cases.yaml:8: a, wrong result: expected pass, got fail: m"));
    assert_non_null(
        strstr(l.text, "a, wrong message: expected a message with \"other\", got \"m\""));
    assert_non_null(strstr(
        l.text, "a, wrong path: expected a failure at spec.x, the first one is at spec.hostPID"));
    assert_non_null(
        strstr(l.text, "a, no rule: the control's rules do not ask for CREATE of services"));
    assert_non_null(strstr(l.text, "a, bad param: params.days has the wrong type"));
    assert_non_null(strstr(l.text, "a, no kind: unknown kind v9, Thing"));
    assert_int_equal(ea_cases_run(rs, EA_STR("nope"), collect, &l, &t, &err), -ENOENT);
    ea_cases_count(rs, &rs->controls[0], &n);
    assert_int_equal(n.pass, 6);
    assert_int_equal(n.fail, 3);
    ea_ruleset_unref(rs);
    folder_done(&f);
}

static void count_files(void *arg, struct ea_str path, struct ea_str bytes)
{
    (void)bytes;
    assert_true(path.n > 0);
    (*(unsigned *)arg)++;
}

static void embedded(void **state)
{
    struct ea_ruleset_opts o = {.lint = true};
    struct ea_ruleset *rs = NULL;
    struct ea_problems p;
    struct ea_err err = {0};
    unsigned n = 0;

    (void)state;
    assert_int_equal(ea_ruleset_load(&o, &rs, &p, &err), 0);
    assert_true(rs->n_controls > 40);
    assert_int_equal(rs->catalogue.n_requirements, 535);
    assert_int_equal(rs->catalogue.n_controls, 120);
    assert_int_equal(rs->catalogue.n_categories, 20);
    ea_ruleset_files(rs, count_files, &n);
    assert_true(n > rs->n_controls);
    for (size_t i = 0; i < p.n; i++)
        print_message("%.*s:%u: %.*s\n", EA_STRF(p.p[i].file), p.p[i].line, EA_STRF(p.p[i].text));
    assert_int_equal(p.n, 0);
    ea_ruleset_unref(rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_compiles),
        cmocka_unit_test(says_file_and_line),
        cmocka_unit_test(bad_rules),
        cmocka_unit_test(whole_set_refused),
        cmocka_unit_test(params_from_configuration),
        cmocka_unit_test(what_it_reads),
        cmocka_unit_test(lint),
        cmocka_unit_test(cases),
        cmocka_unit_test(embedded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
