/* The language in the conformance flavour, and where the two flavours differ: every line of the
 * table both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/limits.h"
#include "unit/cel/cel_test.h"

static const char object[] =
    "{'a':1,'n':null,'s':'text','l':[1,2,3],'m':{'k':'v'},'f':1.5,'b':true}";

/* Answer to an expression over `object` as a line of JSON. */
static const char *ask(const char *expr, const char *env)
{
    enum ea_cel_flavour flavour;
    struct ea_buf line, out;
    unsigned minor;
    const char *p;

    assert_int_equal(ea_cel_env_parse(ea_str(env), &flavour, &minor), 0);
    ea_buf_init(&line, 1u << 20);
    ea_buf_init(&out, 1u << 20);
    ea_buf_addz(&line, "{\"id\":1,\"expr\":");
    ea_buf_add_json(&line, ea_str(expr));
    ea_buf_addz(&line, ",\"bindings\":{\"object\":{\"json\":");
    for (p = object; *p; p++)
        ea_buf_addc(&line, *p == '\'' ? '"' : *p);
    ea_buf_addz(&line, "}}}");
    assert_int_equal(ea_cel_batch_line(&cel_arena, ea_buf_str(&line), flavour, minor, &out), 0);
    p = cel_z(ea_buf_str(&out));
    ea_buf_done(&line);
    ea_buf_done(&out);
    return p;
}

static void gives(const char *expr, const char *env, const char *value)
{
    const char *got = ask(expr, env);
    struct ea_str want = ea_arena_printf(&cel_arena, "{\"id\":1,\"value\":%s}\n", value);

    if (!ea_str_is(want, got))
        fail_msg("%s (%s):\n  want %s\n  got  %s", expr, env, want.p, got);
}

static void is_true(const char *expr)
{
    gives(expr, "cel", "{\"bool\":true}");
}

/* The error's text holds `part`, its kind is `kind`. */
static void fails(const char *expr, const char *env, const char *kind, const char *part)
{
    const char *got = ask(expr, env);
    struct ea_str k = ea_arena_printf(&cel_arena, "\"kind\":\"%s\"", kind);

    if (!strstr(got, "\"error\"") || !strstr(got, k.p) || !strstr(got, part))
        fail_msg("%s (%s): want %s error with '%s', got %s", expr, env, kind, part, got);
}

static void test_literals(void **state)
{
    gives("[0x1F, -0x1F, 7u, 0xFFu, 1e3, .5, 1.5e-3]", "cel",
          "{\"list\":[{\"int\":\"31\"},{\"int\":\"-31\"},{\"uint\":\"7\"},{\"uint\":\"255\"},{"
          "\"double\":\"1000\"},{\"double\":\"0.5\"},"
          "{\"double\":\"0.0015\"}]}");
    gives("-9223372036854775808", "cel", "{\"int\":\"-9223372036854775808\"}");
    gives("18446744073709551615u", "cel", "{\"uint\":\"18446744073709551615\"}");
    fails("9223372036854775808", "cel", "parse", "invalid int literal");
    fails("18446744073709551616u", "cel", "parse", "invalid uint literal");
    gives("'\\x41\\101\\u0041\\U00000041'", "cel", "{\"string\":\"AAAA\"}");
    gives("r'\\n' + R\"\\x\"", "cel", "{\"string\":\"\\\\n\\\\x\"}");
    gives("'''a\n'b''' + \"\"\"c\"d\"\"\"", "cel", "{\"string\":\"a\\n'bc\\\"d\"}");
    gives("b'\\xff\\000é'", "cel", "{\"bytes\":\"/wDDqQ==\"}");
    fails("'\\xZZ'", "cel", "parse", "unescape");
    fails("'\\ud800'", "cel", "parse", "code point");
    fails("'\\400'", "cel", "parse", "unescape");
    fails("'abc", "cel", "parse", "unterminated");
    fails("'a\nb'", "cel", "parse", "unterminated");
    gives("{}", "cel", "{\"map\":[]}");
    gives("[1,2,]", "cel", "{\"list\":[{\"int\":\"1\"},{\"int\":\"2\"}]}");
    gives("true // comment", "cel", "{\"bool\":true}");
}

static void test_places_of_errors(void **state)
{
    static const struct {
        const char *expr;
        unsigned line, column;
    } cases[] = {
        {"1 +", 1, 4},     {"1 +\n  * 2", 2, 3}, {"a b", 1, 3},   {"'é' + $", 1, 7},
        {"[1, 2", 1, 6},   {"{1: 2, 3}", 1, 9},  {"for", 1, 1},   {"x.all(1, true)", 1, 7},
        {"has(x)", 1, 5},  {"(1", 1, 3},         {"1 ? 2", 1, 6}, {"a.'b'", 1, 3},
        {"f(1,,2)", 1, 5}, {"!-a", 1, 3},        {"", 1, 1},
    };
    struct ea_cel_env env = {.flavour = EA_CEL_CONFORMANCE};
    const struct ea_cel_prog *p;
    struct ea_cel_diag d;
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        assert_int_equal(
            ea_cel_compile(&cel_arena, ea_str(cases[i].expr), &env, EA_CEL_WANT_ANY, &p, &d),
            -EINVAL);
        assert_int_equal(d.kind, EA_CEL_E_PARSE);
        if (d.line != cases[i].line || d.column != cases[i].column)
            fail_msg("%s: %u:%u %s", cases[i].expr, d.line, d.column, d.text);
    }
}

static void test_operators(void **state)
{
    is_true("1 + 2 * 3 - 4 / 2 % 3 == 5");
    is_true("7 / -2 == -3 && -7 % 3 == -1");
    is_true("'a' + 'b' == 'ab' && b'a' + b'b' == b'ab' && [1] + [2] == [1, 2]");
    is_true("1 < 2u && 2u > 1.5 && 1.5 <= 2 && 'a' < 'b' && b'a' < b'b' && false < true");
    is_true("1 == 1.0 && 1u == 1 && [1] == [1.0] && {'a': 1} == {'a': 1u}");
    is_true("!(1 == '1') && 1 != '1' && null == null && !(null == 0)");
    is_true("2 in [1, 2.0] && !('x' in []) && 'a' in {'a': 1} && !(1 in {'a': 1})");
    is_true("double('NaN') != double('NaN') && !(double('NaN') < 1.0)");
    fails("9223372036854775807 + 1", "cel", "eval", "integer overflow");
    fails("-9223372036854775808 - 1", "cel", "eval", "integer overflow");
    fails("9223372036854775807 * 2", "cel", "eval", "integer overflow");
    fails("-(-9223372036854775808)", "cel", "eval", "integer overflow");
    fails("-9223372036854775808 / -1", "cel", "eval", "integer overflow");
    fails("0u - 1u", "cel", "eval", "unsigned integer overflow");
    fails("1 / 0", "cel", "eval", "division by zero");
    fails("1u % 0u", "cel", "eval", "modulus by zero");
    fails("1 + 1u", "cel", "eval", "no such overload");
    fails("'a' - 'b'", "cel", "eval", "no such overload");
    fails("1.5 % 1.0", "cel", "eval", "no such overload");
    fails("!1", "cel", "eval", "no such overload");
    fails("-'a'", "cel", "eval", "no such overload");
    fails("1 < 'a'", "cel", "eval", "no such overload");
    fails("1 in 2", "cel", "eval", "no such overload");
}

static void test_errors_are_absorbed(void **state)
{
    is_true("1 / 0 > 1 || true");
    is_true("true || 1 / 0 > 1");
    is_true("!(false && 1 / 0 > 1)");
    is_true("!(1 / 0 > 1 && false)");
    fails("1 / 0 > 1 || false", "cel", "eval", "division by zero");
    fails("1 / 0 > 1 && true", "cel", "eval", "division by zero");
    fails("(1 / 0 > 1) ? true : true", "cel", "eval", "division by zero");
    is_true("true ? true : 1 / 0 > 1");
    is_true("false ? 1 / 0 > 1 : true");
    is_true("(1 / 0 > 1 || true) && ([][0] || true)");
    is_true("'horses' && false == false || true");
    fails("1 && true", "cel", "eval", "no such overload");
    /* the first error is the one reported */
    fails("1 / 0 > 1 || [][0]", "cel", "eval", "division by zero");
    is_true("x || true");
    is_true("f(1) || true");
    fails("x", "cel", "eval", "undeclared reference to 'x' (in container '')");
    fails("f(1)", "cel", "eval", "unbound function");
}

static void test_selection(void **state)
{
    is_true("object.m.k == 'v' && object['m']['k'] == 'v' && object.l[1] == 2 && object.l[1u] == 2 "
            "&& object.l[1.0] == 2");
    fails("object.nope", "cel", "eval", "no such key: nope");
    fails("object['nope']", "cel", "eval", "no such key: nope");
    fails("object.l[3]", "cel", "eval", "index out of bounds: 3");
    fails("object.l[-1]", "cel", "eval", "index out of bounds: -1");
    fails("object.l['a']", "cel", "eval", "unsupported index type");
    fails("object.a.b", "cel", "eval", "does not support field selection");
    is_true("has(object.m) && has(object.n) && !has(object.nope)");
    fails("has(object.nope.x)", "cel", "eval", "no such key: nope");
    is_true("{'for': 1}.for == 1 && {'namespace': {'package': 2}}.namespace.package == 2");
    is_true("{1: 'a', true: 'b', 2u: 'c', 'd': 'e'}[2.0] == 'c'");
    fails("{1.5: 1}", "cel", "eval", "unsupported key type");
}

static void test_macros(void **state)
{
    is_true("[1,2,3].all(x, x > 0) && ![1,2,3].all(x, x > 1) && [].all(x, false)");
    is_true("[1,2,3].exists(x, x == 2) && ![1,2,3].exists(x, x > 3) && ![].exists(x, true)");
    is_true("[1,2,3].exists_one(x, x == 2) && ![1,2,2].exists_one(x, x == 2) && ![].exists_one(x, "
            "true)");
    is_true("[1,2,3].map(x, x * 2) == [2,4,6] && [1,2,3].map(x, x > 1, x * 2) == [4,6]");
    is_true("[1,2,3].filter(x, x != 2) == [1,3] && {'a':1,'b':2}.filter(k, k == 'a') == ['a']");
    is_true("{'a':1,'b':2}.all(k, k in ['a','b']) && {'a':1}.map(k, k) == ['a']");
    is_true("[[1,2],[3]].all(l, l.all(x, x > 0)) && [1].map(x, [2].map(x, x)) == [[2]]");
    /* errors inside are absorbed by what decides, in any order */
    is_true("[1,0].exists(x, 1 / x == 1) && [0,1].exists(x, 1 / x == 1)");
    is_true("![0,2].all(x, 1 / x == 1) && ![2,0].all(x, 1 / x == 1)");
    fails("[0,1].all(x, 1 / x == 1)", "cel", "eval", "division by zero");
    fails("[0,2].exists(x, 1 / x == 1)", "cel", "eval", "division by zero");
    fails("[0].map(x, 1 / x)", "cel", "eval", "division by zero");
    fails("[1,0].exists_one(x, 1 / x == 1)", "cel", "eval", "division by zero");
    fails("1.all(x, true)", "cel", "eval", "iterable");
    fails("[1].all(x, 1)", "cel", "eval", "no such overload");
    fails("[1].filter(x, 1)", "cel", "eval", "no such overload");
    /* with two variables */
    is_true("[3,4].all(i, v, v == i + 3) && {'a':'b'}.exists(k, v, k + v == 'ab') && "
            "[5].existsOne(i, v, v == 5)");
    is_true(
        "[1,2].transformList(i, v, i + v) == [1,3] && [1,2].transformList(i, v, i > 0, v) == [2]");
    is_true("{'a':1}.transformMap(k, v, v + 1) == {'a':2} && {'a':'b'}.transformMapEntry(k, v, {v: "
            "k}) == {'b':'a'}");
    fails("{'a':1,'b':1}.transformMapEntry(k, v, {v: k})", "cel", "eval", "already exists");
    fails("[1].all(x, x, true)", "cel", "parse", "duplicate variable");
    is_true("object.l.sortBy(x, -x) == [3,2,1]");
}

static void test_optionals(void **state)
{
    is_true("object.?a.orValue(5) == 1 && object.?z.orValue(5) == 5 && object[?'a'].hasValue() && "
            "!object[?'z'].hasValue()");
    is_true("object.?m.?k.orValue('') == 'v' && object.?z.?k.orValue('d') == 'd' && "
            "object.?m.k.orValue('') == 'v'");
    is_true("object.l[?1].value() == 2 && !object.l[?9].hasValue()");
    is_true("optional.of(1).or(optional.of(2)).value() == 1 && "
            "optional.none().or(optional.of(2)).value() == 2");
    is_true("optional.none().orValue(optional.none().orValue(3)) == 3");
    is_true("optional.of(1).optMap(x, x + 1).value() == 2 && !optional.none().optMap(x, x + "
            "1).hasValue()");
    is_true("optional.of({'a':1}).optFlatMap(m, m.?a).value() == 1");
    is_true("!optional.ofNonZeroValue('').hasValue() && !optional.ofNonZeroValue(0).hasValue() && "
            "optional.ofNonZeroValue([0]).hasValue()");
    is_true("[?object.?z, ?object.?a] == [1] && {?'x': object.?z, 'y': 2} == {'y': 2}");
    is_true("optional.of(1) == optional.of(1.0) && optional.none() == optional.none() && "
            "optional.of(1) != optional.none()");
    fails("optional.none().value()", "cel", "eval", "optional.none() dereference");
    fails("1.orValue(2)", "cel", "eval", "no such overload");
    fails("[?1]", "cel", "eval", "non-optional");
    /* what stands behind orValue is evaluated only when it is needed */
    is_true("optional.of(true).orValue(1 / 0 == 1)");
    gives("object.?z", "cel", "{\"optional\":null}");
    gives("object.?m.?k", "cel", "{\"optional\":{\"string\":\"v\"}}");
}

/* DESIGN: the run-time differences of the two flavours. */
static void test_flavours_differ(void **state)
{
    const char *k = "kubernetes";

    fails("object.n.?x.hasValue()", "cel", "eval", "does not support field selection");
    gives("object.n.?x.hasValue()", k, "{\"bool\":false}");
    fails("object.s.?x.hasValue()", "cel", "eval", "does not support field selection");
    gives("object.s.?x.hasValue()", k, "{\"bool\":false}");
    fails("has(object.n.x)", "cel", "eval", "does not support field selection");
    gives("has(object.n.x)", k, "{\"bool\":false}");
    fails("object.a[?'x'].hasValue()", "cel", "eval", "no such overload");
    gives("object.a[?'x'].hasValue()", k, "{\"bool\":false}");
    fails("{'a':1,'a':2}.a", "cel", "eval", "repeated key");
    gives("{'a':1,'a':2}.a", k, "{\"int\":\"2\"}");
    fails("{dyn('a'):1,object.s:2,'text':3}.a == 1 && {object.s:1,object.s:2}.text == 2", "cel",
          "eval", "repeated key");
    gives("{object.s:1,object.s:2}.text", k, "{\"int\":\"2\"}");
    gives("{'a-b': 1}.`a-b`", "cel", "{\"int\":\"1\"}");
    fails("{'a-b': 1}.`a-b`", k, "parse", "unsupported syntax: '`'");
    fails("'abc'.indexOf('a', 30)", "cel", "eval", "index out of range: 30");
    gives("'abc'.indexOf('a', 30)", k, "{\"int\":\"-1\"}");
    fails("'abc'.lastIndexOf('a', 30)", "cel", "eval", "index out of range: 30");
    gives("'abc'.lastIndexOf('a', 30)", k, "{\"int\":\"-1\"}");
    gives("'%.2f'.format([1234.5])", "cel", "{\"string\":\"1234.50\"}");
    gives("'%.2f'.format([1234.5])", k, "{\"string\":\"1,234.50\"}");
    gives("'%.2e'.format([1234.5])", "cel", "{\"string\":\"1.23e+03\"}");
    gives("'%.2e'.format([1234.5])", k, "{\"string\":\"1.234500\u00d710\u2070\u00b3\"}");
    gives("'%s'.format([['a', 1.5]])", "cel", "{\"string\":\"[a, 1.5]\"}");
    gives("'%s'.format([['a', 1.5]])", k, "{\"string\":\"[\\\"a\\\", 1.500000]\"}");
    gives("'%d'.format([double('NaN')])", "cel", "{\"string\":\"NaN\"}");
    fails("'%d'.format([double('NaN')])", k, "check", "decimal clause");
    gives("duration('123.321s').getMilliseconds()", "cel", "{\"int\":\"321\"}");
    gives("duration('123.321s').getMilliseconds()", k, "{\"int\":\"123321\"}");
    gives("ip('::ffff:c0a8:1') == ip('192.168.0.1')", "cel", "{\"bool\":true}");
    fails("ip('::ffff:c0a8:1') == ip('192.168.0.1')", k, "eval", "not allowed");
    gives("1 / 0 in []", k, "{\"bool\":false}");
    fails("1 / 0 in []", "cel", "eval", "division by zero");
    /* unknown names and mixed literals: at run time, or at compile time */
    gives("x || true", "cel", "{\"bool\":true}");
    fails("x || true", k, "check", "undeclared reference to 'x'");
    gives("[1, 'a'].size()", "cel", "{\"int\":\"2\"}");
    fails("[1, 'a'].size()", k, "check", "expected type 'int' but found 'string'");
    fails("int('x')", "cel", "eval", "type conversion error");
    fails("int('x')", k, "check", "type conversion error");
}

static void test_functions_come_with_versions(void **state)
{
    static const struct {
        const char *expr;
        unsigned since;
    } cases[] = {
        {"object.?a.hasValue()", 28},
        {"[1][?0].hasValue()", 28},
        {"sign(quantity('1')) == 1", 28},
        {"1 < 1.5", 28},
        {"strings.quote('a') == ''", 29},
        {"'%s'.format(['a']) == 'a'", 29},
        {"sets.contains([1], [1])", 29},
        {"isIP('::1')", 30},
        {"isCIDR('::/0')", 30},
        {"string(ip('::1')) == '::1'", 30},
        {"format.dns1123Label().validate('a').hasValue()", 31},
        {"[1].all(i, v, true)", 32},
        {"[1].transformList(i, v, v) == [1]", 32},
        {"semver('1.0.0').major() == 1", 33},
        {"[1].sort() == [1]", 34},
        {"[2,1].sortBy(x, x) == [1,2]", 34},
        {"[[1]].flatten() == [1]", 34},
        {"[1].includes(1)", 37},
        {"'a'.lowerAscii() == 'a'", 1},
        {"isURL('/')", 1},
        {"['a'].join() == 'a'", 1},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_cel_env env = cel_env;
        const struct ea_cel_prog *p;
        struct ea_cel_diag d;

        env.minor = cases[i].since;
        if (ea_cel_compile(&cel_arena, ea_str(cases[i].expr), &env, EA_CEL_WANT_BOOL, &p, &d))
            fail_msg("%s in 1.%u: %s", cases[i].expr, env.minor, d.text);
        if (cases[i].since == 1)
            continue;
        env.minor--;
        if (ea_cel_compile(&cel_arena, ea_str(cases[i].expr), &env, EA_CEL_WANT_BOOL, &p, &d) !=
            -EINVAL)
            fail_msg("%s compiles in 1.%u already", cases[i].expr, env.minor);
        assert_true(d.line == 1 && d.column >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_places_of_errors),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_errors_are_absorbed),
        cmocka_unit_test(test_selection),
        cmocka_unit_test(test_macros),
        cmocka_unit_test(test_optionals),
        cmocka_unit_test(test_flavours_differ),
        cmocka_unit_test(test_functions_come_with_versions),
    };

    return cmocka_run_group_tests(tests, cel_setup, cel_teardown);
}
