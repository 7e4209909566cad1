/* Exemption files: what they must say, when they hold, and what they do to a verdict. */
#include "util.h"

#define X(name, rest)                                                                              \
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Exemption\nmetadata: {name: " name                  \
    "}\nspec:\n  control: a\n" rest
#define WHO "  reason: needed\n  owner: team\n  approver: ciso\n"
#define WHEN "  start: 2026-01-01\n  end: 2026-01-31\n"
#define SELF "  selector: {namespace: shop, kind: Pod, name: 'web-*'}\n"
#define DAY 86400000000ll
#define JAN 1767225600000000ll /* 2026-01-01T00:00:00Z in microseconds */

static struct folder dir;

static int setup(void **state)
{
    (void)state;
    folder_new(&dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    folder_done(&dir);
    return 0;
}

static int load_text(const char *text, struct ea_exemptions **ret, struct ea_err *err)
{
    char path[128];

    put(&dir, "x/e.yaml", text);
    (void)snprintf(path, sizeof(path), "%s/x/e.yaml", dir.path);
    return ea_exemptions_load(path, ret, err);
}

static void refused(void **state)
{
    static const struct {
        const char *text, *want;
    } t[] = {
        {X("e", WHO SELF "  start: 2026-01-01\n"), ":4: spec.end is missing"},
        {X("e", WHO SELF "  end: 2026-01-01\n"), "spec.start is missing"},
        {X("e", SELF WHEN "  owner: o\n  approver: p\n"), "spec.reason is missing"},
        {X("e", SELF WHEN "  reason: o\n  approver: p\n"), "spec.owner is missing"},
        {X("e", SELF WHEN "  reason: o\n  owner: p\n"), "spec.approver is missing"},
        {X("e", WHO WHEN), "spec.selector is missing"},
        {X("e", WHO WHEN "  selector: {}\n"), "spec.selector is empty"},
        {X("e", WHO WHEN "  selector: {nam: x}\n"), "unknown field nam in spec.selector"},
        {X("e", WHO SELF WHEN "  forever: true\n"), "unknown field forever in spec"},
        {X("e", WHO SELF "  start: 2026-02-01\n  end: 2026-01-01\n"),
         ":11: spec.end lies before spec.start"},
        {X("e", WHO SELF "  start: soon\n  end: 2026-01-01\n"), "spec.start is no date"},
        {X("e", WHO SELF "  start: 2026-01-01\n  end: never\n"), "spec.end is no date"},
        {"apiVersion: v1\nkind: Exemption\n", "must be kind Exemption"},
        {"apiVersion: eucs-agent.io/v1alpha1\nkind: Exemption\nspec: {}\n",
         "metadata.name is missing"},
        {X("e", WHO SELF WHEN) "---\n" X("e", WHO SELF WHEN), "exemption e stands twice"},
        {"a: [\n", "line"},
    };

    (void)state;
    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct ea_exemptions *e = NULL;
        struct ea_err err = {0};

        assert_int_equal(load_text(t[i].text, &e, &err), -EINVAL);
        if (!strstr(err.text, t[i].want) || !strstr(err.text, "/x/e.yaml"))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static bool holds(const struct ea_exemptions *e, const char *control, const char *kind,
                  const char *ns, const char *name, int64_t now)
{
    return ea_exemption_find(e, ea_str(control), ea_str(kind), ea_str(ns), ea_str(name), now) !=
           NULL;
}

static void when_and_what(void **state)
{
    struct ea_exemptions *e = NULL;
    struct ea_err err = {0};
    const struct ea_exemption *list;

    (void)state;
    assert_int_equal(load_text(X("e", WHO SELF WHEN), &e, &err), 0);
    assert_int_equal(ea_exemptions_list(e, &list), 1);
    assert_str(list->reason, "needed");
    assert_int_equal(list->start_us, JAN);
    assert_int_equal(list->end_us, JAN + 31 * DAY); /* the last day counts whole */
    assert_true(holds(e, "a", "Pod", "shop", "web-1", JAN));
    assert_true(holds(e, "a", "Pod", "shop", "web-1", JAN + 31 * DAY - 1));
    assert_false(holds(e, "a", "Pod", "shop", "web-1", JAN - 1));
    assert_false(holds(e, "a", "Pod", "shop", "web-1", JAN + 31 * DAY)); /* expired */
    assert_false(holds(e, "b", "Pod", "shop", "web-1", JAN));
    assert_false(holds(e, "a", "Job", "shop", "web-1", JAN));
    assert_false(holds(e, "a", "Pod", "other", "web-1", JAN));
    assert_false(holds(e, "a", "Pod", "shop", "db", JAN));
    assert_false(holds(NULL, "a", "Pod", "shop", "web-1", JAN));
    ea_exemptions_free(e);
    assert_int_equal(
        load_text(X("e", WHO "  selector: {kind: Pod}\n  start: '2026-01-01T12:00:00+02:00'\n  "
                             "end: '2026-01-01T11:00:00Z'\n"),
                  &e, &err),
        0);
    assert_false(holds(e, "a", "Pod", "x", "y", JAN + 10 * 3600000000ll - 1));
    assert_true(holds(e, "a", "Pod", "x", "y", JAN + 10 * 3600000000ll));
    assert_false(holds(e, "a", "Pod", "x", "y", JAN + 11 * 3600000000ll));
    ea_exemptions_free(e);
}

static void folder_of_files(void **state)
{
    struct ea_exemptions *e = NULL;
    struct ea_err err = {0};
    const struct ea_exemption *list;
    char path[128];

    (void)state;
    put(&dir, "many/1.yaml", X("one", WHO SELF WHEN));
    put(&dir, "many/2.yml", X("two", WHO SELF WHEN) "---\n" X("three", WHO SELF WHEN));
    put(&dir, "many/readme.txt", "no");
    (void)snprintf(path, sizeof(path), "%s/many", dir.path);
    assert_int_equal(ea_exemptions_load(path, &e, &err), 0);
    assert_int_equal(ea_exemptions_list(e, &list), 3);
    ea_exemptions_free(e);
    assert_int_equal(ea_exemptions_load("/nonexistent.yaml", &e, &err), -ENOENT);
}

#define POD "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop}\nspec: {}\n"

static void verdict(void **state)
{
    struct ea_exemptions *e = NULL;
    struct ea_err err = {0};
    struct ea_arena a;
    struct ea_ruleset *rs = one_control(
        "a", HEAD("a") "  policy:\n" ON_PODS
                       "    validations: [{expression: 'has(object.spec.x)', message: m}]\n");
    struct ea_judge_opts o = {.floor = EA_BASIC, .now_us = JAN};
    struct ea_findings f;

    (void)state;
    ea_arena_init(&a, 1u << 22, 0);
    struct ea_subject s = subject(&a, POD);

    assert_int_equal(load_text(X("e", WHO SELF WHEN), &e, &err), 0);
    o.exemptions = e;
    f = judge(rs, &s, &o, &a);
    assert_int_equal(f.f[0].result, EA_FAIL); /* stays a failure */
    assert_non_null(f.f[0].exemption);
    assert_int_equal(f.f[0].action, EA_AUDIT);
    assert_false(ea_finding_denies(&f.f[0], EA_DENY));
    o.now_us = JAN + 31 * DAY;
    f = judge(rs, &s, &o, &a);
    assert_null(f.f[0].exemption); /* expired */
    assert_true(ea_finding_denies(&f.f[0], EA_DENY));
    o.now_us = JAN;
    o.floor = EA_SUBSTANTIAL; /* wants an accepted risk */
    f = judge(rs, &s, &o, &a);
    assert_null(f.f[0].exemption);
    ea_exemptions_free(e);
    assert_int_equal(load_text(X("e", WHO SELF WHEN "  riskRef: RISK-1\n"), &e, &err), 0);
    o.exemptions = e;
    f = judge(rs, &s, &o, &a);
    assert_non_null(f.f[0].exemption);
    ea_exemptions_free(e);
    ea_ruleset_unref(rs);
    ea_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(when_and_what, setup, teardown),
        cmocka_unit_test_setup_teardown(folder_of_files, setup, teardown),
        cmocka_unit_test_setup_teardown(verdict, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
