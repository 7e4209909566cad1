/* TAGGED there and back, the lines of `cel eval --batch`, text and equality of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/cel/cel_test.h"

static const char *batch(const char *line)
{
    struct ea_buf out;
    const char *p;

    ea_buf_init(&out, 1u << 20);
    assert_int_equal(ea_cel_batch_line(&cel_arena, ea_str(line), EA_CEL_CONFORMANCE, 0, &out), 0);
    p = cel_z(ea_buf_str(&out));
    ea_buf_done(&out);
    return p;
}

static void test_tagged_round_trip(void **state)
{
    static const char *const values[] = {
        "{\"null\":null}",
        "{\"bool\":true}",
        "{\"int\":\"-9223372036854775808\"}",
        "{\"uint\":\"18446744073709551615\"}",
        "{\"double\":\"1.5\"}",
        "{\"double\":\"NaN\"}",
        "{\"double\":\"-Infinity\"}",
        "{\"double\":\"-0\"}",
        "{\"double\":\"1e+300\"}",
        "{\"string\":\"a\\\"b\\n\u00e9\"}",
        "{\"bytes\":\"/wA=\"}",
        "{\"list\":[]}",
        "{\"list\":[{\"int\":\"1\"},{\"list\":[{\"null\":null}]}]}",
        "{\"map\":[[{\"string\":\"a\"},{\"int\":\"1\"}],[{\"int\":\"2\"},{\"map\":[]}],[{\"bool\":"
        "false},{\"uint\":\"3\"}]]}",
        "{\"timestamp\":\"2009-02-13T23:31:30Z\"}",
        "{\"timestamp\":\"0001-01-01T00:00:00.000000001Z\"}",
        "{\"timestamp\":\"9999-12-31T23:59:59.999999999Z\"}",
        "{\"duration\":\"1.5s\"}",
        "{\"duration\":\"-0.000000001s\"}",
        "{\"duration\":\"0s\"}",
        "{\"type\":\"int\"}",
        "{\"type\":\"google.protobuf.Timestamp\"}",
        "{\"optional\":null}",
        "{\"optional\":{\"string\":\"x\"}}",
        "{\"opaque\":[\"kubernetes.Quantity\",\"1Gi\"]}",
        "{\"opaque\":[\"net.IP\",\"10.0.0.1\"]}",
        "{\"opaque\":[\"net.CIDR\",\"2001:db8::/32\"]}",
        "{\"opaque\":[\"kubernetes.Semver\",\"1.2.3-a.1+b\"]}",
        "{\"opaque\":[\"kubernetes.URL\",\"https://a/b?c\"]}",
    };
    size_t i;

    for (i = 0; i < EA_COUNT(values); i++) {
        struct ea_str line = ea_arena_printf(
            &cel_arena, "{\"id\":\"x\",\"expr\":\"v\",\"bindings\":{\"v\":%s}}", values[i]);
        struct ea_str want =
            ea_arena_printf(&cel_arena, "{\"id\":\"x\",\"value\":%s}\n", values[i]);

        assert_string_equal(batch(line.p), want.p);
    }
}

static void test_bindings_may_be_json(void **state)
{
    assert_string_equal(
        batch("{\"id\":1,\"expr\":\"a.b.c + 1\",\"bindings\":{\"a.b\":{\"json\":{\"c\":41}}}}"),
        "{\"id\":1,\"value\":{\"int\":\"42\"}}\n");
    assert_string_equal(
        batch("{\"id\":[1],\"expr\":\"x.y\",\"bindings\":{\"x\":{\"json\":{\"y\":1.0}}}}"),
        "{\"id\":[1],\"value\":{\"double\":\"1\"}}\n");
}

static void test_bad_lines(void **state)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"", "\"id\":null"},
        {"{", "\"kind\":\"parse\""},
        {"[]", "expr must be a string"},
        {"{\"id\":7}", "{\"id\":7,\"error\":"},
        {"{\"id\":7,\"expr\":1}", "expr must be a string"},
        {"{\"id\":7,\"expr\":\"1\",\"env\":\"gcc\"}", "expr must be a string, env one of"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":1}}", "binding v"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"int\":\"x\"}}}", "bad value for the tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"uint\":\"-1\"}}}",
         "bad value for the tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"nope\":1}}}", "unknown tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"bytes\":\"*\"}}}",
         "bad value for the tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"timestamp\":\"x\"}}}",
         "bad value for the tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"list\":{}}}}", "bad value for the tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"map\":[[1]]}}}", "bad value for the tag"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"map\":[[{\"int\":\"1\"},{\"int\":\"1\"}],"
         "[{\"uint\":\"1\"},{\"int\":\"1\"}]]}}}",
         "repeats"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"map\":[[{\"list\":[]},{\"int\":\"1\"}]]}}"
         "}",
         "key is"},
        {"{\"id\":7,\"expr\":\"v\",\"bindings\":{\"v\":{\"opaque\":[\"x\",\"y\"]}}}",
         "bad opaque value"},
        {"{\"id\":7,\"expr\":\"1 +\"}", "\"kind\":\"parse\",\"line\":1,\"column\":4"},
        {"{\"id\":7,\"expr\":\"1 / 0\"}", "\"kind\":\"eval\",\"line\":1,\"column\":3"},
        {"{\"id\":7,\"expr\":\"x\",\"env\":\"kubernetes\"}",
         "\"kind\":\"check\",\"line\":1,\"column\":1"},
        {"{\"id\":7,\"expr\":\"lists.range(1000000).size() > 0\"}", "\"kind\":\"cost\""},
        {"{\"id\":7,\"expr\":\"[1].all(x, true)\",\"disableMacros\":true}", "unbound function"},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        const char *got = batch(cases[i].line);

        if (!strstr(got, cases[i].part) || !strstr(got, "\"error\":"))
            fail_msg("%s\n  got %s", cases[i].line, got);
    }
}

static void test_statistics_are_optional(void **state)
{
    assert_string_equal(batch("{\"id\":1,\"expr\":\"[1,2].all(x, x > "
                              "0)\",\"env\":\"kubernetes:1.30\",\"stats\":true}"),
                        "{\"id\":1,\"value\":{\"bool\":true},\"cost\":11,\"type\":\"bool\"}\n");
}

static void test_environments(void **state)
{
    enum ea_cel_flavour f;
    unsigned minor;

    assert_int_equal(ea_cel_env_parse(EA_STR("kubernetes:1.30"), &f, &minor), 0);
    assert_int_equal(f, EA_CEL_KUBERNETES);
    assert_int_equal(minor, 30);
    assert_int_equal(ea_cel_env_parse(EA_STR("kubernetes"), &f, &minor), 0);
    assert_int_equal(minor, 0);
    assert_int_equal(ea_cel_env_parse(EA_STR("cel"), &f, &minor), 0);
    assert_int_equal(f, EA_CEL_CONFORMANCE);
    assert_int_equal(ea_cel_env_parse(EA_STR("kubernetes:2.0"), &f, &minor), -EINVAL);
    assert_int_equal(ea_cel_env_parse(EA_STR("kubernetes:1."), &f, &minor), -EINVAL);
    assert_int_equal(ea_cel_env_parse(EA_STR("cel:1.30"), &f, &minor), -EINVAL);
    assert_int_equal(ea_cel_env_parse(EA_STR(""), &f, &minor), -EINVAL);
}

static void test_text_and_equality(void **state)
{
    struct ea_val one = ea_val_int(1), same = ea_val_double(1), yes = ea_val_bool(true),
                  text = ea_val_str(EA_STR("x"));
    struct ea_val list = ea_val_list(&one, 1), other = ea_val_list(&same, 1),
                  map = cel_doc("{'a':[1]}");

    assert_string_equal(cel_z(ea_cel_to_text(&cel_arena, &one)), "1");
    assert_string_equal(cel_z(ea_cel_to_text(&cel_arena, &yes)), "true");
    assert_string_equal(cel_z(ea_cel_to_text(&cel_arena, &text)), "x");
    assert_null(ea_cel_to_text(&cel_arena, &list).p);
    assert_true(ea_cel_equal(&one, &same));
    assert_true(ea_cel_equal(&list, &other));
    assert_false(ea_cel_equal(&one, &yes));
    assert_false(ea_cel_equal(&list, &map));
    assert_true(ea_cel_equal(&map, &map));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tagged_round_trip), cmocka_unit_test(test_bindings_may_be_json),
        cmocka_unit_test(test_bad_lines),         cmocka_unit_test(test_statistics_are_optional),
        cmocka_unit_test(test_environments),      cmocka_unit_test(test_text_and_equality),
    };

    return cmocka_run_group_tests(tests, cel_setup, cel_teardown);
}
