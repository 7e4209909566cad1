/* Runs: variables, budgets, deadlines, the checker's demands on results and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/limits.h"
#include "unit/cel/cel_test.h"

static const struct ea_cel_prog *compile(const struct ea_cel_env *env, const char *expr)
{
    const struct ea_cel_prog *p;
    struct ea_cel_diag d;

    if (ea_cel_compile(&cel_arena, ea_str(expr), env, EA_CEL_WANT_ANY, &p, &d))
        fail_msg("%s: %s", expr, d.text);
    return p;
}

static void refused(enum ea_cel_want want, const char *expr, const char *part)
{
    const struct ea_cel_prog *p;
    struct ea_cel_diag d;

    assert_int_equal(ea_cel_compile(&cel_arena, ea_str(expr), &cel_env, want, &p, &d), -EINVAL);
    assert_int_equal(d.kind, EA_CEL_E_CHECK);
    if (!strstr(d.text, part) || d.line != 1 || d.column == 0)
        fail_msg("%s: %u:%u %s", expr, d.line, d.column, d.text);
}

static void accepted(enum ea_cel_want want, const char *expr)
{
    const struct ea_cel_prog *p;
    struct ea_cel_diag d;

    if (ea_cel_compile(&cel_arena, ea_str(expr), &cel_env, want, &p, &d))
        fail_msg("%s: %s", expr, d.text);
}

static void test_results_have_the_type_wanted(void **state)
{
    refused(EA_CEL_WANT_BOOL, "object.spec.hostNetwork", "must evaluate to bool");
    refused(EA_CEL_WANT_BOOL, "1", "must evaluate to bool");
    refused(EA_CEL_WANT_BOOL, "object.?x.orValue(object.y)", "must evaluate to bool");
    refused(EA_CEL_WANT_BOOL, "true ? true : object.x", "must evaluate to bool");
    refused(EA_CEL_WANT_BOOL, "!!object.x", "must evaluate to bool");
    refused(EA_CEL_WANT_STRING, "object.metadata.name", "must evaluate to string");
    accepted(EA_CEL_WANT_BOOL, "!object.spec.hostNetwork");
    accepted(EA_CEL_WANT_BOOL, "object.spec.hostNetwork == true");
    accepted(EA_CEL_WANT_BOOL, "object.a && object.b");
    accepted(EA_CEL_WANT_BOOL, "object.a.all(x, x)");
    accepted(EA_CEL_WANT_STRING, "'name ' + object.metadata.name");
    accepted(EA_CEL_WANT_STRING, "string(object.metadata.name)");
    assert_string_equal(ea_cel_prog_type(compile(&cel_env, "[1]")), "list(int)");
    assert_string_equal(ea_cel_prog_type(compile(&cel_env, "object.x")), "dyn");
    assert_string_equal(ea_cel_prog_type(compile(&cel_env, "{'a': [true]}")),
                        "map(string, list(bool))");
    assert_string_equal(ea_cel_prog_type(compile(&cel_env, "quantity('1')")),
                        "kubernetes.Quantity");
}

static void test_names_are_known(void **state)
{
    refused(EA_CEL_WANT_ANY, "obj.x", "undeclared reference to 'obj'");
    refused(EA_CEL_WANT_ANY, "object.x.foo(1)", "undeclared reference to 'foo'");
    refused(EA_CEL_WANT_ANY, "variables.nope", "undefined field 'nope'");
    refused(EA_CEL_WANT_ANY, "request.uid", "undefined field 'uid'");
    refused(EA_CEL_WANT_ANY, "request.userInfo.name", "undefined field 'name'");
    refused(EA_CEL_WANT_ANY, "request.operation.x", "does not support field selection");
    refused(EA_CEL_WANT_ANY, "namespaceObject.metadata.uid", "undefined field 'uid'");
    refused(EA_CEL_WANT_ANY, "authorizer.group('')", "undeclared reference to 'authorizer'");
    refused(EA_CEL_WANT_ANY, "Object{spec: 1}", "undeclared reference");
    accepted(EA_CEL_WANT_BOOL, "request.userInfo.groups.exists(g, g == 'system:masters')");
    accepted(EA_CEL_WANT_BOOL, "namespaceObject.metadata.labels.all(k, v, k != v)");
    accepted(EA_CEL_WANT_BOOL, "has(request.dryRun) && request.dryRun");
    accepted(EA_CEL_WANT_BOOL, "request.options == null");
    refused(EA_CEL_WANT_ANY, "request.operation == 1",
            "found no matching overload for '_==_' applied to '(string, int)'");
}

static void test_types_survive_their_text(void **state)
{
    static const char *const types[] = {
        "list(string)", "map(string, list(dyn))", "optional_type(int)", "request", "namespace",
        "bool",         "kubernetes.Quantity"};
    size_t i;

    for (i = 0; i < EA_COUNT(types); i++) {
        const struct ea_cel_var var = {{"x", 1}, types[i]};
        const struct ea_cel_env env = {.flavour = EA_CEL_KUBERNETES, .vars = &var, .n_vars = 1};

        assert_string_equal(ea_cel_prog_type(compile(&env, "x")), types[i]);
    }
}

static void test_reads(void **state)
{
    const struct ea_cel_prog *p =
        compile(&cel_env, "object.x == 1 || variables.containers.size() > 0");

    assert_true(ea_cel_prog_reads(p, 0));
    assert_true(ea_cel_prog_reads(p, 1));
    assert_false(ea_cel_prog_reads(p, 2));
    assert_string_equal(cel_z(ea_cel_prog_source(p)),
                        "object.x == 1 || variables.containers.size() > 0");
}

static void test_lazy_variables_are_evaluated_once(void **state)
{
    static const struct ea_cel_var vars[] = {{{"object", 6}, NULL},
                                             {{"variables.a", 11}, NULL},
                                             {{"variables.bad", 13}, NULL},
                                             {{"variables.loop", 14}, NULL}};
    const struct ea_cel_env env = {
        .flavour = EA_CEL_KUBERNETES, .vars = vars, .n_vars = EA_COUNT(vars)};
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;
    uint64_t first;

    assert_int_equal(ea_cel_run_init(&run, &cel_arena, &env), 0);
    ea_cel_run_bind(&run, 0, cel_doc("{'l':[1,2,3]}"));
    ea_cel_run_bind_lazy(&run, 1, compile(&env, "object.l.map(x, x * 2)"));
    ea_cel_run_bind_lazy(&run, 2, compile(&env, "object.nope"));
    ea_cel_run_bind_lazy(&run, 3, compile(&env, "variables.loop"));
    assert_int_equal(cel_eval(&run, "variables.a.size() == 3", &v, &d), 0);
    assert_true(v.b);
    first = run.cost;
    assert_int_equal(cel_eval(&run, "variables.a.size() == 3", &v, &d), 0);
    /* the second time only the expression itself: two for the variable, one each for size and == */
    assert_int_equal(run.cost - first, 4);
    assert_true(first > 40);
    /* errors are kept and absorbed like others */
    assert_int_equal(cel_eval(&run, "variables.bad == 1 || true", &v, &d), 0);
    assert_int_equal(run.slots[2].state, EA_CEL_FAILED);
    assert_int_equal(cel_eval(&run, "variables.bad == 1", &v, &d), -EINVAL);
    assert_string_equal(d.text, "no such key: nope");
    assert_int_equal(cel_eval(&run, "variables.loop", &v, &d), -EINVAL);
    assert_non_null(strstr(d.text, "depends on itself"));
}

static void test_longest_prefix_wins(void **state)
{
    static const struct ea_cel_var vars[] = {
        {{"a", 1}, NULL}, {{"a.b", 3}, NULL}, {{"a.b.c", 5}, NULL}};
    const struct ea_cel_env env = {.flavour = EA_CEL_CONFORMANCE, .vars = vars, .n_vars = 2};
    const struct ea_cel_env all = {.flavour = EA_CEL_CONFORMANCE, .vars = vars, .n_vars = 3};
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;

    assert_int_equal(ea_cel_run_init(&run, &cel_arena, &all), 0);
    ea_cel_run_bind(&run, 0, cel_doc("{'b':{'c':1,'d':2}}"));
    ea_cel_run_bind(&run, 1, cel_doc("{'c':3}"));
    ea_cel_run_bind(&run, 2, ea_val_int(4));
    assert_int_equal(cel_eval(&run, "a.b.c", &v, &d), 0);
    assert_int_equal(v.i, 4);
    run.env = &env;
    assert_int_equal(cel_eval(&run, "a.b.c", &v, &d), 0);
    assert_int_equal(v.i, 3);
    assert_int_equal(cel_eval(&run, "a['b'].d", &v, &d), 0);
    assert_int_equal(v.i, 2);
    /* a loop's variable hides them, a leading dot does not see the loop */
    assert_int_equal(cel_eval(&run, "[{'b': 7}].map(a, a.b)[0]", &v, &d), 0);
    assert_int_equal(v.i, 7);
    assert_int_equal(cel_eval(&run, "[7].map(a, .a.b.c)[0]", &v, &d), 0);
    assert_int_equal(v.i, 3);
}

static void test_unbound_variables_are_errors(void **state)
{
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;

    assert_int_equal(ea_cel_run_init(&run, &cel_arena, &cel_env), 0);
    assert_int_equal(cel_eval(&run, "namespaceObject.metadata.name == 'x'", &v, &d), -EINVAL);
    assert_int_equal(d.kind, EA_CEL_E_EVAL);
    assert_non_null(strstr(d.text, "namespaceObject"));
    assert_int_equal(cel_eval(&run, "namespaceObject.metadata.name == 'x' || true", &v, &d), 0);
}

static void test_costs_end_a_call_and_a_run(void **state)
{
    static const char nested[] =
        "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, "
        "[1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, "
        "a + b + c"
        " + d + e + f > 0))))))";
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;

    cel_run(&run, "{}");
    assert_int_equal(cel_eval(&run, nested, &v, &d), -E2BIG);
    assert_int_equal(d.kind, EA_CEL_E_COST);
    assert_non_null(strstr(d.text, "cost limit exceeded"));
    assert_true(run.cost > EA_CEL_COST_CALL && run.cost < EA_CEL_COST_CALL + 100);
    /* not even || saves it */
    assert_int_equal(cel_eval(&run, "true || false", &v, &d), 0);
    run.budget = run.cost + 20;
    assert_int_equal(cel_eval(&run, "[1,2,3].all(x, x > 0)", &v, &d), 0);
    assert_int_equal(cel_eval(&run, "[1,2,3].all(x, x > 0)", &v, &d), -E2BIG);
    assert_int_equal(d.kind, EA_CEL_E_COST);
}

static unsigned asked;

static bool stop(void *arg)
{
    asked++;
    return asked >= *(unsigned *)arg;
}

static void test_deadline(void **state)
{
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;
    unsigned after = 3;

    cel_run(&run, "{}");
    run.interrupted = stop;
    run.interrupted_arg = &after;
    asked = 0;
    assert_int_equal(cel_eval(&run, "lists.range(1000).all(x, x >= 0) || true", &v, &d), -ETIME);
    assert_int_equal(d.kind, EA_CEL_E_DEADLINE);
    assert_int_equal(asked, 3);
}

static void test_limits_of_source(void **state)
{
    const struct ea_cel_prog *p;
    struct ea_cel_diag d;
    struct ea_buf b;
    unsigned i;

    ea_buf_init(&b, 1u << 20);
    for (i = 0; i < EA_MAX_CEL_SOURCE; i++)
        ea_buf_addc(&b, ' ');
    ea_buf_addc(&b, '1');
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_ANY, &p, &d),
                     -E2BIG);
    ea_buf_clear(&b);
    for (i = 0; i < 5000; i++)
        ea_buf_addz(&b, "((");
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_ANY, &p, &d),
                     -E2BIG);
    assert_non_null(strstr(d.text, "nested too deeply"));
    ea_buf_clear(&b);
    ea_buf_addz(&b, "object");
    for (i = 0; i < 5000; i++)
        ea_buf_addz(&b, ".a");
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_ANY, &p, &d),
                     -E2BIG);
    ea_buf_clear(&b);
    ea_buf_addz(&b, "1");
    for (i = 0; i < 5000; i++)
        ea_buf_addz(&b, "+1");
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_ANY, &p, &d),
                     -E2BIG);
    /* long chains of && and || are balanced */
    ea_buf_clear(&b);
    ea_buf_addz(&b, "object.a");
    for (i = 0; i < 400; i++)
        ea_buf_addz(&b, i % 2 ? " || object.b" : " && object.a");
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_BOOL, &p, &d),
                     0);
    ea_buf_clear(&b);
    ea_buf_addz(&b, "[object.a");
    for (i = 0; i < 2000; i++)
        ea_buf_addz(&b, ",object");
    ea_buf_addz(&b, "]");
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_ANY, &p, &d),
                     0);
    ea_buf_clear(&b);
    ea_buf_addz(&b, "'\xff'");
    assert_int_equal(ea_cel_compile(&cel_arena, ea_buf_str(&b), &cel_env, EA_CEL_WANT_ANY, &p, &d),
                     -EINVAL);
    ea_buf_done(&b);
}

/* What grows stays inside the arena: the run ends with an error of kind cost, and memory is given
 * back. */
static void test_hostile_growth(void **state)
{
    static const char *const exprs[] = {
        "[1,2,3,4].map(a, [1,2,3,4].map(b, [1,2,3,4].map(c, lists.range(100000))))",
        "lists.range(9000000).size() == 0",
        "lists.range(20000).map(x, lists.range(200)).flatten().sort().size() > 0",
        "lists.range(3000).distinct().size() == 3000",
        "lists.range(3000).map(x, "
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.replace('a', "
        "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')).join().replace('"
        "', 'aaaaaaaaaaaaaaaaa').size() > 0",
    };
    size_t i;

    for (i = 0; i < EA_COUNT(exprs); i++) {
        const struct ea_cel_prog *p;
        struct ea_cel_run run;
        struct ea_cel_diag d;
        struct ea_arena a;
        struct ea_val v;

        ea_arena_init(&a, 16u << 20, 0);
        assert_int_equal(ea_cel_run_init(&run, &a, &cel_env), 0);
        if (ea_cel_compile(&cel_arena, ea_str(exprs[i]), &cel_env, EA_CEL_WANT_ANY, &p, &d))
            fail_msg("%s: %s", exprs[i], d.text);
        assert_int_equal(ea_cel_eval(&run, p, &v, &d), -E2BIG);
        assert_int_equal(d.kind, EA_CEL_E_COST);
        ea_arena_done(&a);
    }
}

static void test_regex_bombs_end(void **state)
{
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;

    cel_run(&run, "{}");
    /* catastrophic for a backtracking matcher: an error, soon */
    assert_int_equal(
        cel_eval(&run,
                 "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a+)+$')",
                 &v, &d),
        -EINVAL);
    assert_non_null(strstr(d.text, "took too long"));
    /* set off again and again behind ||, it ends the run */
    assert_int_equal(
        cel_eval(
            &run,
            "lists.range(1000).all(x, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'"
            ".matches('^(a+)+$') || true)",
            &v, &d),
        -E2BIG);
    assert_int_equal(d.kind, EA_CEL_E_COST);
}

static void test_regex_is_re2(void **state)
{
    static const char *const refused_patterns[] = {
        "(?=a)",    "(?!a)",     "(?<=a)",    "(?<!a)", "(a)\\\\1", "(?>a)", "a++",   "a*+",
        "a{1001}",  "(?(1)a)",   "(*ACCEPT)", "\\\\C",  "\\\\K",    "\\\\R", "\\\\h", "\\\\Z",
        "(?x)a",    "[a",        "(a",        "a)",     "*a",       "a**",   "\\\\",  "(?P=n)",
        "\\\\g{1}", "[[:foo:]]", "a{2,1}",    "(?#c)",  "(?R)"};
    static const struct {
        const char *expr;
        bool want;
    } cases[] = {
        {"'foobar'.matches('o+b')", true},
        {"'foobar'.matches('^foo$')", false},
        {"'a\\n'.matches('a$')", false},
        {"'a\\vb'.matches('a\\\\sb')", false},
        {"'a b'.matches('a\\\\sb')", true},
        {"'a{,2}'.matches('^a{,2}$')", true},
        {"'x'.matches('^\\\\pL$')", true},
        {"'\u00e9'.matches('^\\\\w$')", false},
        {"'\u00e9'.matches('^.$')", true},
        {"'A'.matches('(?i)a')", true},
        {"'a.b'.matches('^\\\\Qa.b\\\\E$')", true},
        {"'axb'.matches('^\\\\Qa.b\\\\E$')", false},
        {"'ab'.matches('(?P<n>a)(?:b)')", true},
        {"'aaa'.matches('^a{2,3}?$')", true},
        {"']'.matches('[]]')", true},
        {"'a'.matches('[[:alpha:]]')", true},
        {"'\\n'.matches('^.$')", false},
        {"'\\n'.matches('(?s)^.$')", true},
        {"'S'.matches('[^\\\\S]')", false},
        {"''.matches('')", true},
        {"'12'.matches('\\\\x{31}\\\\62')", true},
    };
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;
    size_t i;

    for (i = 0; i < EA_COUNT(refused_patterns); i++) {
        struct ea_str expr = ea_arena_printf(&cel_arena, "'a'.matches('%s')", refused_patterns[i]);

        refused(EA_CEL_WANT_BOOL, expr.p, "error parsing regexp");
    }
    cel_run(&run, "{}");
    for (i = 0; i < EA_COUNT(cases); i++) {
        if (cel_eval(&run, cases[i].expr, &v, &d))
            fail_msg("%s: %s", cases[i].expr, d.text);
        if (v.b != cases[i].want)
            fail_msg("%s", cases[i].expr);
    }
    assert_int_equal(cel_eval(&run, "'a'.matches(object.p)", &v, &d), -EINVAL);
}

static void test_programs_are_shared_between_runs(void **state)
{
    const struct ea_cel_prog *p =
        compile(&cel_env, "object.a.map(x, x + 1) == [2, 3] && object.s.matches('^x+$')");
    unsigned i;

    for (i = 0; i < 3; i++) {
        struct ea_cel_run run;
        struct ea_cel_diag d;
        struct ea_val v;

        cel_run(&run, i == 1 ? "{'a':[5],'s':'x'}" : "{'a':[1,2],'s':'xx'}");
        assert_int_equal(ea_cel_eval(&run, p, &v, &d), 0);
        assert_int_equal(v.b, i != 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_have_the_type_wanted),
        cmocka_unit_test(test_names_are_known),
        cmocka_unit_test(test_types_survive_their_text),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_lazy_variables_are_evaluated_once),
        cmocka_unit_test(test_longest_prefix_wins),
        cmocka_unit_test(test_unbound_variables_are_errors),
        cmocka_unit_test(test_costs_end_a_call_and_a_run),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_limits_of_source),
        cmocka_unit_test(test_hostile_growth),
        cmocka_unit_test(test_regex_bombs_end),
        cmocka_unit_test(test_regex_is_re2),
        cmocka_unit_test(test_programs_are_shared_between_runs),
    };

    return cmocka_run_group_tests(tests, cel_setup, cel_teardown);
}
