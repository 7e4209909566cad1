/* doc/val.c, doc/build.c: lookup, equality, builders, copies. */
#include "unit/doc/doctest.h"

#include "doc/build.h"

static void test_get(void **state)
{
    struct ea_val v = must_parse(*state, "{\"s\":\"text\",\"b\":true,\"i\":7,\"d\":1.5,\"n\":null,"
                                         "\"l\":[1,\"x\"],\"m\":{\"k\":{\"z\":\"deep\"}}}");

    assert_str(ea_val_get_str(&v, "s"), "text");
    assert_null(ea_val_get_str(&v, "b").p);
    assert_null(ea_val_get_str(&v, "absent").p);
    assert_true(ea_val_get_bool(&v, "b", false));
    assert_true(ea_val_get_bool(&v, "absent", true));
    assert_false(ea_val_get_bool(&v, "i", false));
    assert_int_equal(ea_val_get_int(&v, "i", -1), 7);
    assert_int_equal(ea_val_get_int(&v, "d", -1), -1);
    assert_int_equal(ea_val_get_int(&v, "absent", -1), -1);
    assert_int_equal(ea_val_getz(&v, "n")->type, EA_V_NULL);
    assert_int_equal(ea_val_at(ea_val_getz(&v, "l"), 0)->i, 1);
    assert_null(ea_val_at(ea_val_getz(&v, "l"), 2));
    assert_null(ea_val_at(&v, 0));
    assert_null(ea_val_at(NULL, 0));
    assert_str(ea_val_path_str(&v, "m.k.z"), "deep");
    assert_ptr_equal(ea_val_path(&v, "m"), ea_val_getz(&v, "m"));
    assert_null(ea_val_path(&v, "m.k.y"));
    assert_null(ea_val_path(&v, "s.k"));
    assert_null(ea_val_path(NULL, "m"));
    assert_null(ea_val_get(NULL, EA_STR("a")));
    assert_null(ea_val_getz(ea_val_getz(&v, "s"), "a"));
    assert_int_equal(ea_val_find(NULL, EA_STR("a")), -1);
    assert_int_equal(ea_val_find(&v, EA_STR("m")), 6);
    assert_int_equal(ea_val_find(&v, EA_STR_NULL), -1);
    assert_true(ea_val_is(&v, EA_V_MAP));
    assert_false(ea_val_is(NULL, EA_V_MAP));
}

static void test_type_names(void **state)
{
    struct ea_val v = must_parse(*state, "[null,true,1,1.5,\"\",[],{}]");
    static const char *const names[] = {"null",   "boolean", "number", "number",
                                        "string", "list",    "map"};
    size_t i;

    for (i = 0; i < EA_COUNT(names); i++)
        assert_string_equal(ea_val_type_name(&v.items[i]), names[i]);
    assert_string_equal(ea_val_type_name(NULL), "null");
}

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"null", "null", true},
        {"null", "false", false},
        {"true", "true", true},
        {"true", "false", false},
        {"1", "1.0", true},
        {"1", "1.5", false},
        {"0", "-0.0", true},
        {"9007199254740993", "9007199254740992.0", false},
        {"9007199254740992", "9007199254740992.0", true},
        {"9223372036854775807", "9223372036854775808", false},
        {"-9223372036854775808", "-9223372036854775808.0", true},
        {"1e300", "1e300", true},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"a\"", "\"ab\"", false},
        {"\"1\"", "1", false},
        {"[1,2]", "[1,2.0]", true},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":2}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{}", "[]", false},
        {"{\"a\":null}", "{}", false},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_val a = must_parse(*state, cases[i].a), b = must_parse(*state, cases[i].b);

        assert_int_equal(ea_val_equal(&a, &b), cases[i].equal);
        assert_int_equal(ea_val_equal(&b, &a), cases[i].equal);
    }
}

static void test_equal_uint(void **state)
{
    struct ea_val u = {.type = EA_V_UINT, .u = UINT64_MAX}, minus = ea_val_int(-1),
                  one_u = {.type = EA_V_UINT, .u = 1}, one = ea_val_int(1);
    struct ea_val big = ea_val_double(18446744073709551616.0), one_d = ea_val_double(1);

    assert_false(ea_val_equal(&u, &minus));
    assert_true(ea_val_equal(&u, &u));
    assert_true(ea_val_equal(&one_u, &one));
    assert_false(ea_val_equal(&u, &big));
    assert_true(ea_val_equal(&one_u, &one_d));
}

static void test_builders(void **state)
{
    struct ea_mapb m;
    struct ea_listb l;
    struct ea_val v;
    int i;

    ea_listb_init(&l, *state);
    for (i = 0; i < 100; i++)
        ea_listb_add(&l, ea_val_int(i));
    ea_mapb_init(&m, *state);
    ea_mapb_putz(&m, "list", ea_listb_end(&l));
    ea_mapb_putz(&m, "b", ea_val_bool(true));
    v = ea_mapb_end(&m);
    assert_int_equal(m.failed, 0);
    assert_int_equal(ea_val_at(ea_val_getz(&v, "list"), 99)->i, 99);
    assert_int_equal(v.flags, 0);
    ea_mapb_init(&m, *state);
    for (i = 0; i < 1000; i++)
        ea_mapb_put(&m, ea_arena_printf(*state, "key%d", i), ea_val_int(i));
    v = ea_mapb_end(&m);
    assert_int_equal(v.n, 1000);
    assert_true(v.flags & EA_VF_INDEXED);
    assert_int_equal(ea_val_get_int(&v, "key999", -1), 999);
    ea_mapb_init(&m, *state);
    v = ea_mapb_end(&m);
    assert_int_equal(v.type, EA_V_MAP);
    assert_int_equal(v.n, 0);
}

static void test_builders_full(void **state)
{
    struct ea_arena a;
    struct ea_mapb m;
    struct ea_listb l;
    struct ea_val v;
    int i;

    ea_arena_init(&a, 2048, 256);
    ea_mapb_init(&m, &a);
    for (i = 0; i < 1000; i++)
        ea_mapb_putz(&m, "same text, other address does not matter here", ea_val_null());
    assert_int_equal(m.failed, -E2BIG);
    v = ea_mapb_end(&m);
    assert_int_equal(v.type, EA_V_NULL);
    ea_listb_init(&l, &a);
    for (i = 0; i < 1000; i++)
        ea_listb_add(&l, ea_val_null());
    assert_int_equal(l.failed, -E2BIG);
    assert_int_equal(ea_listb_end(&l).type, EA_V_NULL);
    ea_arena_done(&a);
}

static void test_seal(void **state)
{
    struct ea_member m[20];
    struct ea_val v;
    uint32_t dup = 0;
    int i;

    for (i = 0; i < 20; i++)
        m[i] = (struct ea_member){ea_val_str(ea_arena_printf(*state, "k%d", i)), ea_val_int(i)};
    assert_int_equal(ea_map_seal(*state, m, 20, &v, &dup), 0);
    assert_int_equal(ea_val_get_int(&v, "k19", -1), 19);
    assert_int_equal(ea_map_seal(*state, m, 0, &v, &dup), 0);
    assert_int_equal(v.n, 0);
    m[19].key = m[3].key;
    assert_int_equal(ea_map_seal(*state, m, 20, &v, &dup), -EEXIST);
    assert_int_equal(dup, 19);
    m[5].key = m[3].key;
    assert_int_equal(ea_map_seal(*state, m, 8, &v, &dup), -EEXIST);
    assert_int_equal(dup, 5);
    assert_int_equal(ea_map_seal(*state, m, 8, &v, NULL), -EEXIST);
}

/* A copy shares nothing with the text and arena it came from, raw subtrees included. */
static void test_copy(void **state)
{
    static const char source[] = "{\"oldObject\":{\"a\":[1,\"text\",{\"\\u0062\":null}]},\"s\":"
                                 "\"plain\",\"e\":\"esc\\n\",\"d\":1.5,\"l\":[],\"m\":{}}";
    char *text = strdup(source);
    struct ea_val v, copy, want = must_parse(*state, source);
    struct ea_arena from;

    ea_arena_init(&from, 1u << 20, 0);
    assert_int_equal(ea_json_parse(&from, ea_str(text), &ea_json_review_opts, &v, NULL, NULL), 0);
    assert_int_equal(ea_val_copy(*state, &v, &copy), 0);
    ea_arena_done(&from);
    memset(text, 'x', strlen(text));
    free(text);
    assert_true(ea_val_equal(&copy, &want));
    assert_int_equal(ea_doc_settle(&copy), 0);
}

static void test_copy_indexed(void **state)
{
    struct ea_mapb m;
    struct ea_val v, copy;
    struct ea_arena from;
    int i;

    ea_arena_init(&from, 1u << 20, 0);
    ea_mapb_init(&m, &from);
    for (i = 0; i < 100; i++)
        ea_mapb_put(&m, ea_arena_printf(&from, "k%d", i), ea_val_int(i));
    v = ea_mapb_end(&m);
    assert_int_equal(ea_val_copy(*state, &v, &copy), 0);
    ea_arena_done(&from);
    for (i = 0; i < 100; i++)
        assert_int_equal(ea_val_get(&copy, ea_arena_printf(*state, "k%d", i))->i, i);
}

static void test_copy_full(void **state)
{
    struct ea_val
        v = must_parse(
            *state, "{\"a\":[1,2,3,{\"b\":\"some text that wants room\"}],\"c\":{\"d\":[[[[]]]]}}"),
        copy;
    size_t cap, whole = 0;

    for (cap = 16; cap < 4096; cap += 16) {
        struct ea_arena a;
        int rc;

        ea_arena_init(&a, cap, 16);
        rc = ea_val_copy(&a, &v, &copy);
        assert_true(rc == -E2BIG || (rc == 0 && ea_val_equal(&v, &copy)));
        whole += rc == 0;
        ea_arena_done(&a);
    }
    assert_true(whole > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        doc_test(test_get),        doc_test(test_type_names), doc_test(test_equal),
        doc_test(test_equal_uint), doc_test(test_builders),   doc_test(test_builders_full),
        doc_test(test_seal),       doc_test(test_copy),       doc_test(test_copy_indexed),
        doc_test(test_copy_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
