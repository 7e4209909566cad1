/* doc/json.c: what is accepted, what is refused and how that is said, limits, raw subtrees, cJSON
 * as oracle. */
#include "unit/doc/doctest.h"
#include "unit/doc/oracle.h"

#include "base/limits.h"
#include "doc/build.h"
#include "fuzz/fuzz_json.c"

static struct ea_str read_data(struct ea_arena *a, const char *path)
{
    struct ea_str s;
    char *p;
    size_t n;

    assert_int_equal(ea_read_file(path, 64u << 20, &p, &n, NULL), 0);
    s = ea_arena_str(a, ea_strn(p, n));
    free(p);
    return s;
}

static void test_scalars(void **state)
{
    static const struct {
        const char *text;
        enum ea_vtype type;
        int64_t i;
        double d;
    } cases[] = {
        {"null", EA_V_NULL, 0, 0},
        {"true", EA_V_BOOL, 1, 0},
        {" false ", EA_V_BOOL, 0, 0},
        {"0", EA_V_INT, 0, 0},
        {"-0", EA_V_INT, 0, 0},
        {"-1", EA_V_INT, -1, 0},
        {"123456789012345678", EA_V_INT, 123456789012345678, 0},
        {"9223372036854775807", EA_V_INT, INT64_MAX, 0},
        {"-9223372036854775808", EA_V_INT, INT64_MIN, 0},
        {"9223372036854775808", EA_V_DOUBLE, 0, 9223372036854775808.0},
        {"-9223372036854775809", EA_V_DOUBLE, 0, -9223372036854775808.0},
        {"1.0", EA_V_DOUBLE, 0, 1.0},
        {"-0.0", EA_V_DOUBLE, 0, -0.0},
        {"1e2", EA_V_DOUBLE, 0, 100.0},
        {"1E+2", EA_V_DOUBLE, 0, 100.0},
        {"25e-1", EA_V_DOUBLE, 0, 2.5},
        {"0.1", EA_V_DOUBLE, 0, 0.1},
        {"1.7976931348623157e308", EA_V_DOUBLE, 0, 1.7976931348623157e308},
        {"5e-324", EA_V_DOUBLE, 0, 5e-324},
        {"1e-400", EA_V_DOUBLE, 0, 0},
        {"0e999", EA_V_DOUBLE, 0, 0},
        {"123456789012345678901234567890", EA_V_DOUBLE, 0, 123456789012345678901234567890.0},
        /* half way between two doubles, and a digit more far behind */
        {"9007199254740993", EA_V_INT, 9007199254740993, 0},
        {"9007199254740993.0", EA_V_DOUBLE, 0, 9007199254740992.0},
        {"9007199254740993.00000000000000000000000000000000000001", EA_V_DOUBLE, 0,
         9007199254740994.0},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_val v = must_parse(*state, cases[i].text);

        assert_int_equal(v.type, cases[i].type);
        if (v.type == EA_V_INT)
            assert_int_equal(v.i, cases[i].i);
        if (v.type == EA_V_BOOL)
            assert_int_equal(v.b, cases[i].i);
        if (v.type == EA_V_DOUBLE)
            assert_true(v.d == cases[i].d);
    }
}

static void test_long_numbers(void **state)
{
    struct ea_buf b;
    struct ea_val v;
    int i;

    ea_buf_init(&b, 1u << 20);
    /* 0.(5000 zeros)1 e5001 is 1 */
    ea_buf_addz(&b, "0.");
    for (i = 0; i < 5000; i++)
        ea_buf_addc(&b, '0');
    ea_buf_addz(&b, "1e5001");
    assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, NULL), 0);
    assert_true(v.type == EA_V_DOUBLE && v.d == 1.0);
    /* a one and 5000 zeros, e-5000 */
    ea_buf_clear(&b);
    ea_buf_addc(&b, '1');
    for (i = 0; i < 5000; i++)
        ea_buf_addc(&b, '0');
    ea_buf_addz(&b, "e-5000");
    assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, NULL), 0);
    assert_true(v.type == EA_V_DOUBLE && v.d == 1.0);
    /* 400 digits and no exponent */
    ea_buf_clear(&b);
    for (i = 0; i < 400; i++)
        ea_buf_addc(&b, '9');
    assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, NULL), -EINVAL);
    ea_buf_done(&b);
}

static void test_structure(void **state)
{
    struct ea_val v = must_parse(*state, " { \"a\" : [ 1 , { } , [ ] ] ,\r\n\t\"b\" : { \"c\" : { "
                                         "\"d\" : \"x\" } } , \"\" : null } ");

    assert_int_equal(v.type, EA_V_MAP);
    assert_int_equal(v.n, 3);
    assert_int_equal(ea_val_getz(&v, "a")->n, 3);
    assert_int_equal(ea_val_at(ea_val_getz(&v, "a"), 0)->i, 1);
    assert_int_equal(ea_val_at(ea_val_getz(&v, "a"), 1)->type, EA_V_MAP);
    assert_int_equal(ea_val_at(ea_val_getz(&v, "a"), 2)->type, EA_V_LIST);
    assert_null(ea_val_at(ea_val_getz(&v, "a"), 3));
    assert_str(ea_val_path_str(&v, "b.c.d"), "x");
    assert_int_equal(ea_val_getz(&v, "")->type, EA_V_NULL);
    assert_null(ea_val_getz(&v, "d"));
}

static void test_strings(void **state)
{
    static const struct {
        const char *text, *want;
        size_t n;
    } cases[] = {
        {"\"\"", "", 0},
        {"\"abc\"", "abc", 3},
        {"\"0123456789abcdef0123456789abcdef\"", "0123456789abcdef0123456789abcdef", 32},
        {"\"0123456789abcde\\n0123\"", "0123456789abcde\n0123", 20},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"a\\u0000b\"", "a\0b", 3},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 x\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 x",
         11},
        {"\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
         10},
        {"\"\x7f\"", "\x7f", 1},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_val v = must_parse(*state, cases[i].text);

        assert_int_equal(v.type, EA_V_STRING);
        assert_int_equal(v.n, cases[i].n);
        assert_memory_equal(v.s, cases[i].want, v.n);
        /* without escapes the text itself is the string */
        if (strchr(cases[i].text, '\\') == NULL)
            assert_ptr_equal(v.s, cases[i].text + 1);
    }
}

/* Every special byte at every offset of the 16 byte steps, and every length up to the end of the
 * text. */
static void test_string_offsets(void **state)
{
    static const char *const specials[] = {"", "\\n", "\\u00e9", "\xc3\xa9", "\xf0\x9f\x98\x80"};
    static const size_t decoded[] = {0, 1, 2, 2, 4};
    char text[160];
    size_t at, len, s;

    for (s = 0; s < EA_COUNT(specials); s++) {
        for (len = 0; len < 70; len++) {
            for (at = 0; at <= len; at++) {
                int n = snprintf(
                    text, sizeof text, "\"%.*s%s%.*s\"", (int)at,
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                    specials[s], (int)(len - at),
                    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
                struct ea_val v;
                struct ea_err err = {0};
                char *exact = malloc((size_t)n);

                memcpy(exact, text, (size_t)n);
                ea_arena_reset(*state);
                assert_int_equal(
                    ea_json_parse(*state, ea_strn(exact, (size_t)n), NULL, &v, NULL, &err), 0);
                assert_int_equal(v.n, len + decoded[s]);
                free(exact);
            }
        }
    }
}

static const struct {
    const char *text;
    size_t n; /* 0 = strlen */
    const char *message;
} refused[] = {
    {"", 0, "there is no value"},
    {"  \n ", 0, "there is no value"},
    {"{", 0, "line 1, column 2 (byte 1): the text ends too early"},
    {"[1,", 0, "the text ends too early"},
    {"[1,]", 0, "column 4 (byte 3): expected a value"},
    {"[1 2]", 0, "column 4 (byte 3): expected ',' or ']'"},
    {"{\"a\":1,}", 0, "expected a key in quotes"},
    {"{a:1}", 0, "expected a key in quotes"},
    {"{\"a\" 1}", 0, "expected ':' after the key"},
    {"{\"a\":1]", 0, "expected ',' or '}'"},
    {"[1}", 0, "expected ',' or ']'"},
    {"]", 0, "expected a value"},
    {"nul", 0, "the text ends too early"},
    {"nulL", 0, "expected a value"},
    {"TRUE", 0, "expected a value"},
    {"nullx", 0, "there is more text after the value"},
    {"{} {}", 0, "column 4 (byte 3): there is more text after the value"},
    {"// c\n1", 0, "expected a value"},
    {"'a'", 0, "expected a value"},
    {"NaN", 0, "expected a value"},
    {"-Infinity", 0, "a number wants a digit"},
    {"01", 0, "a number does not start with 0"},
    {"-01", 0, "a number does not start with 0"},
    {"1.", 0, "the text ends too early"},
    {"[1.]", 0, "a number wants a digit behind the point"},
    {"[1.e1]", 0, "a number wants a digit behind the point"},
    {"[.5]", 0, "expected a value"},
    {"[+1]", 0, "expected a value"},
    {"[-]", 0, "a number wants a digit here"},
    {"[1e]", 0, "a number wants a digit in its exponent"},
    {"[1e+]", 0, "a number wants a digit in its exponent"},
    {"0x10", 0, "there is more text after the value"},
    {"1e999", 0, "the number is too large for a double"},
    {"[-1e999]", 0, "the number is too large for a double"},
    {"[1.8e308]", 0, "the number is too large for a double"},
    {"\"abc", 0, "the text ends inside a string"},
    {"\"abc\\", 0, "the text ends inside a string"},
    {"\"\\x\"", 0, "unknown escape"},
    {"\"\\u12g4\"", 0, "\\u wants four hexadecimal digits"},
    {"\"\\u12", 0, "\\u wants four hexadecimal digits"},
    {"\"\\ud800\"", 0, "lone surrogate"},
    {"\"\\udc00\"", 0, "lone surrogate"},
    {"\"\\ud800\\u0041\"", 0, "lone surrogate"},
    {"\"\\ud800\\ud800\"", 0, "lone surrogate"},
    {"\"\\ud83d\\n\"", 0, "lone surrogate"},
    {"\"a\nb\"", 0, "line 1, column 3 (byte 2): control character in a string"},
    {"\"a\0b\"", 5, "control character in a string"},
    {"[1\0]", 4, "expected ',' or ']'"},
    {"[\f1]", 0, "expected a value"},
    {"[\xc2\xa0"
     "1]",
     0, "expected a value"},
    {"\"\xff\"", 0, "invalid UTF-8"},
    {"\"\x80\"", 0, "invalid UTF-8"},
    {"\"\xc0\xaf\"", 0, "invalid UTF-8"},
    {"\"\xc3\"", 0, "invalid UTF-8"},
    {"\"\xe0\x80\xaf\"", 0, "invalid UTF-8"},
    {"\"\xed\xa0\x80\"", 0, "invalid UTF-8"},
    {"\"\xf0\x80\x80\xaf\"", 0, "invalid UTF-8"},
    {"\"\xf4\x90\x80\x80\"", 0, "invalid UTF-8"},
    {"\"\xf5\x80\x80\x80\"", 0, "invalid UTF-8"},
    {"\"\xe2\x82", 0, "invalid UTF-8"},
    {"\xef\xbb\xbf{}", 0, "a byte order mark is not allowed"},
    {"{\"a\":1,\n \"a\":2}", 0, "line 2, column 2 (byte 9): the key \"a\" repeats"},
    {"{\"\":1,\"\":2}", 0, "the key \"\" repeats"},
    {"{\"a\":1,\"\\u0061\":2}", 0, "the key \"a\" repeats"},
    {"{\"\\u0061\":1,\"a\":2}", 0, "the key \"a\" repeats"},
    {"{\"a/b\":1,\"a\\/b\":2}", 0, "the key \"a/b\" repeats"},
    {"[\"\xe2\x82\xac\",x]", 0, "column 6 (byte 7): expected a value"},
};

static void test_refused(void **state)
{
    size_t i;

    for (i = 0; i < EA_COUNT(refused); i++) {
        struct ea_str text =
            ea_strn(refused[i].text, refused[i].n ? refused[i].n : strlen(refused[i].text));
        struct ea_err err = {0};
        struct ea_val v;

        assert_int_equal(ea_json_parse(*state, text, NULL, &v, NULL, &err), -EINVAL);
        assert_int_equal(err.code, -EINVAL);
        if (strstr(err.text, refused[i].message) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", refused[i].text, err.text,
                     refused[i].message);
    }
}

/* What is refused is refused in a subtree that is left raw too, with the same words. */
static void test_refused_raw(void **state)
{
    size_t i;

    for (i = 0; i < EA_COUNT(refused); i++) {
        struct ea_buf b;
        struct ea_err lazy = {0}, eager = {0};
        struct ea_val v;
        int rc;

        ea_buf_init(&b, 4096);
        ea_buf_addz(&b, "{\"oldObject\":[");
        ea_buf_add(&b, refused[i].text, refused[i].n ? refused[i].n : strlen(refused[i].text));
        ea_buf_addz(&b, "]}");
        rc = ea_json_parse(*state, ea_buf_str(&b), &ea_json_review_opts, &v, NULL, &lazy);
        assert_int_equal(rc, ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, &eager));
        assert_string_equal(lazy.text, eager.text);
        ea_buf_done(&b);
    }
}

static void add_nested(struct ea_buf *b, unsigned depth, bool maps)
{
    unsigned i;

    for (i = 0; i < depth; i++)
        ea_buf_addz(b, maps ? "{\"a\":" : "[");
    ea_buf_addz(b, "1");
    for (i = 0; i < depth; i++)
        ea_buf_addc(b, maps ? '}' : ']');
}

static int parse_nested(struct ea_arena *a, unsigned depth, bool maps,
                        const struct ea_json_opts *opts, struct ea_err *err)
{
    struct ea_buf b;
    struct ea_val v;
    int rc;

    ea_buf_init(&b, 16u << 20);
    add_nested(&b, depth, maps);
    rc = ea_json_parse(a, ea_buf_str(&b), opts, &v, NULL, err);
    ea_buf_done(&b);
    return rc;
}

static void test_depth(void **state)
{
    static const char *const lazy[] = {"a", NULL};
    const struct ea_json_opts shallow = {.max_depth = 3}, raw = {.lazy = lazy},
                              more = {.max_depth = 100000};
    struct ea_err err = {0};

    assert_int_equal(parse_nested(*state, EA_MAX_DEPTH, false, NULL, &err), 0);
    assert_int_equal(parse_nested(*state, EA_MAX_DEPTH, true, &raw, &err), 0);
    assert_int_equal(parse_nested(*state, EA_MAX_DEPTH + 1, false, NULL, &err), -E2BIG);
    assert_non_null(strstr(err.text, "nested too deeply"));
    assert_int_equal(parse_nested(*state, EA_MAX_DEPTH + 1, true, &raw, &err), -E2BIG);
    assert_int_equal(parse_nested(*state, EA_MAX_DEPTH + 1, true, &more, &err), -E2BIG);
    assert_int_equal(parse_nested(*state, 10000, false, NULL, &err), -E2BIG);
    assert_string_equal(err.text,
                        "JSON refused at line 1, column 129 (byte 128): nested too deeply");
    assert_int_equal(parse_nested(*state, 10000, true, &raw, &err), -E2BIG);
    assert_int_equal(parse_nested(*state, 3, false, &shallow, &err), 0);
    assert_int_equal(parse_nested(*state, 4, false, &shallow, &err), -E2BIG);
}

/* A raw subtree that is as deep as is allowed builds when it is touched. */
static void test_depth_raw_builds(void **state)
{
    static const char *const lazy[] = {"a", NULL};
    const struct ea_json_opts raw = {.lazy = lazy};
    struct ea_buf b;
    struct ea_val v;

    ea_buf_init(&b, 1u << 20);
    add_nested(&b, EA_MAX_DEPTH, true);
    assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), &raw, &v, NULL, NULL), 0);
    assert_int_equal(v.members[0].val.type, EA_V_RAW);
    assert_int_equal(ea_doc_settle(&v), 0);
    assert_true(ea_str_eq(printed(*state, &v, ea_json_print), ea_buf_str(&b)));
    ea_buf_done(&b);
}

static void large_map(struct ea_buf *b, int n, int repeat)
{
    int i;

    ea_buf_addc(b, '{');
    for (i = 0; i < n; i++)
        ea_buf_addf(b, "%s\"key-%d\":%d", i ? "," : "", i == n - 1 && repeat >= 0 ? repeat : i, i);
    ea_buf_addc(b, '}');
}

/* Around the size from which maps have an index, and far above. */
static void test_map_sizes(void **state)
{
    static const int sizes[] = {1, 2, 15, 16, 17, 18, 31, 32, 33, 64, 65, 1000, 20000};
    size_t s;

    for (s = 0; s < EA_COUNT(sizes); s++) {
        struct ea_buf b;
        struct ea_val v;
        int i, n = sizes[s];

        ea_buf_init(&b, 16u << 20);
        large_map(&b, n, -1);
        assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, NULL), 0);
        assert_int_equal(v.n, n);
        assert_int_equal(!!(v.flags & EA_VF_INDEXED), n > 16);
        for (i = 0; i < n; i++) {
            char key[32];

            snprintf(key, sizeof key, "key-%d", i);
            assert_int_equal(ea_val_get_int(&v, key, -1), i);
            assert_int_equal(ea_val_find(&v, ea_str(key)), i);
        }
        assert_int_equal(ea_val_find(&v, EA_STR("key-x")), -1);
        assert_int_equal(ea_val_find(&v, EA_STR("")), -1);
        ea_buf_done(&b);
    }
}

static void test_repeated_in_large(void **state)
{
    static const int sizes[] = {2, 16, 17, 18, 33, 5000};
    size_t s;

    for (s = 0; s < EA_COUNT(sizes); s++) {
        int at, n = sizes[s];

        for (at = 0; at<n - 1; at += n> 100 ? 997 : 1) {
            struct ea_buf b;
            struct ea_val v;
            struct ea_err err = {0}, lazy = {0};
            char want[64];

            ea_buf_init(&b, 16u << 20);
            ea_buf_addz(&b, "{\"oldObject\":");
            large_map(&b, n, at);
            ea_buf_addz(&b, "}");
            assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, &err), -EINVAL);
            snprintf(want, sizeof want, "the key \"key-%d\" repeats", at);
            assert_non_null(strstr(err.text, want));
            assert_int_equal(
                ea_json_parse(*state, ea_buf_str(&b), &ea_json_review_opts, &v, NULL, &lazy),
                -EINVAL);
            assert_string_equal(err.text, lazy.text);
            ea_buf_done(&b);
        }
    }
}

static void test_large_inputs(void **state)
{
    enum { SIZE = 8 << 20 };
    char *p = malloc(SIZE + 64);
    struct ea_err err = {0};
    struct ea_val v;

    assert_non_null(p);
    /* one string */
    memset(p, 'x', SIZE);
    p[0] = p[SIZE - 1] = '"';
    assert_int_equal(ea_json_parse(*state, ea_strn(p, SIZE), NULL, &v, NULL, &err), 0);
    assert_int_equal(v.n, SIZE - 2);
    /* one string that never ends */
    assert_int_equal(ea_json_parse(*state, ea_strn(p, SIZE - 1), NULL, &v, NULL, &err), -EINVAL);
    /* white space */
    memset(p, ' ', SIZE);
    assert_int_equal(ea_json_parse(*state, ea_strn(p, SIZE), NULL, &v, NULL, &err), -EINVAL);
    memset(p, '\n', SIZE - 1);
    p[SIZE - 1] = '1';
    assert_int_equal(ea_json_parse(*state, ea_strn(p, SIZE), NULL, &v, NULL, &err), 0);
    assert_int_equal(v.i, 1);
    /* more values than allowed */
    memset(p, ',', SIZE + 64);
    for (size_t i = 1; i < SIZE; i += 2)
        p[i] = '1';
    p[0] = '[';
    p[SIZE] = ']';
    assert_int_equal(ea_json_parse(*state, ea_strn(p, SIZE + 1), NULL, &v, NULL, &err), -E2BIG);
    assert_non_null(strstr(err.text, "too many values"));
    /* brackets only */
    memset(p, '[', SIZE);
    assert_int_equal(ea_json_parse(*state, ea_strn(p, SIZE), NULL, &v, NULL, &err), -E2BIG);
    assert_non_null(strstr(err.text, "nested too deeply"));
    free(p);
}

static void test_long_list(void **state)
{
    struct ea_buf b;
    struct ea_val v;
    int i, n = 300000;

    ea_buf_init(&b, 16u << 20);
    ea_buf_addc(&b, '[');
    for (i = 0; i < n; i++)
        ea_buf_addf(&b, "%s%d", i ? "," : "", i);
    ea_buf_addc(&b, ']');
    assert_int_equal(ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, NULL), 0);
    assert_int_equal(v.n, n);
    for (i = 0; i < n; i += 777)
        assert_int_equal(v.items[i].i, i);
    ea_buf_done(&b);
}

/* A document cut anywhere is refused, lazily and not, and nothing is read behind its end (the copy
 * is exact). */
static void test_truncated(void **state)
{
    struct ea_str text = read_data(*state, EA_TEST_DATA "/bench/data/review.json");
    struct ea_arena a;
    size_t n;

    ea_arena_init(&a, 64u << 20, 0);
    text = ea_str_trim(text);
    for (n = 0; n < text.n; n++) {
        char *copy = malloc(n ? n : 1);
        struct ea_val v;

        memcpy(copy, text.p, n);
        ea_arena_reset(&a);
        assert_int_equal(ea_json_parse(&a, ea_strn(copy, n), &ea_json_review_opts, &v, NULL, NULL),
                         -EINVAL);
        assert_int_equal(ea_json_parse(&a, ea_strn(copy, n), NULL, &v, NULL, NULL), -EINVAL);
        free(copy);
    }
    ea_arena_done(&a);
}

static void test_review(void **state)
{
    struct ea_str text = read_data(*state, EA_TEST_DATA "/bench/data/review.json");
    struct ea_val eager, lazy;
    const struct ea_val *old;

    assert_int_equal(ea_json_parse(*state, text, NULL, &eager, NULL, NULL), 0);
    assert_int_equal(ea_json_parse(*state, text, &ea_json_review_opts, &lazy, NULL, NULL), 0);
    assert_int_equal(ea_val_getz(&lazy, "request")->members[0].key.type, EA_V_STRING);
    old = ea_val_path(&lazy, "request.object.metadata");
    assert_int_equal(old->members[ea_val_find(old, EA_STR("managedFields"))].val.type, EA_V_RAW);
    old = ea_val_path(&lazy, "request.object.metadata.managedFields");
    assert_int_equal(old->type, EA_V_LIST);
    /* the second touch finds what the first one built */
    assert_ptr_equal(old, ea_val_path(&lazy, "request.object.metadata.managedFields"));
    assert_true(ea_val_equal(&eager, &lazy));
    assert_true(
        ea_str_eq(printed(*state, &eager, ea_json_print), printed(*state, &lazy, ea_json_print)));
    assert_true(ea_str_eq(printed(*state, &eager, ea_json_print), ea_str_trim(text)));
}

static void test_lazy_scalars_and_nesting(void **state)
{
    struct ea_val v;
    const struct ea_val *old;

    assert_int_equal(ea_json_parse(*state,
                                   EA_STR("{\"oldObject\":null,\"managedFields\":\"x\",\"a\":[{"
                                          "\"oldObject\":{\"managedFields\":[1]}}]}"),
                                   &ea_json_review_opts, &v, NULL, NULL),
                     0);
    assert_int_equal(v.members[0].val.type, EA_V_NULL);
    assert_int_equal(v.members[1].val.type, EA_V_STRING);
    old = &v.members[2].val.items[0].members[0].val;
    assert_int_equal(old->type, EA_V_RAW);
    assert_string_equal(ea_val_type_name(old), "map");
    old = ea_val_force(old);
    assert_int_equal(old->members[0].val.type, EA_V_RAW);
    assert_int_equal(ea_val_at(ea_val_getz(old, "managedFields"), 0)->i, 1);
}

/* Any ceiling of memory ends in -E2BIG or in success, never in anything else; what is raw says so
 * when it cannot be built. */
static void test_memory_ceilings(void **state)
{
    struct ea_str text = read_data(*state, EA_TEST_DATA "/bench/data/review.json");
    size_t cap, ok = 0;

    for (cap = 64; cap < 200000; cap += cap / 8) {
        struct ea_arena a;
        struct ea_val v;
        struct ea_err err = {0};
        int rc;

        ea_arena_init(&a, cap, 64);
        rc = ea_json_parse(&a, text, &ea_json_review_opts, &v, NULL, &err);
        assert_true(rc == 0 || rc == -E2BIG);
        if (rc == 0) {
            uint64_t before = ea_doc_overflows();
            struct ea_buf b;
            int settled = ea_doc_settle(&v);

            assert_true(settled == 0 || settled == -E2BIG);
            assert_int_equal(ea_doc_overflows() != before, settled != 0);
            ea_buf_init(&b, 1u << 20);
            assert_int_equal(ea_json_print(&b, &v), settled);
            ea_buf_done(&b);
            ok++;
        } else {
            assert_non_null(strstr(err.text, "memory"));
        }
        ea_arena_done(&a);
    }
    assert_true(ok > 5);
}

static void test_stream(void **state)
{
    static const char text[] = "{\"a\":1}\n {\"b\":[2]}\n3 \"x\"";
    struct ea_str rest = EA_STR(text);
    static const enum ea_vtype types[] = {EA_V_MAP, EA_V_MAP, EA_V_INT, EA_V_STRING};
    struct ea_val v;
    size_t used, i;

    for (i = 0; i < EA_COUNT(types); i++) {
        assert_int_equal(ea_json_parse(*state, rest, NULL, &v, &used, NULL), 0);
        assert_int_equal(v.type, types[i]);
        rest = ea_strn(rest.p + used, rest.n - used);
    }
    assert_int_equal(rest.n, 0);
    assert_int_equal(ea_json_parse(*state, rest, NULL, &v, &used, NULL), -EINVAL);
}

/* ---- generated documents, with cJSON as oracle ---- */

static uint64_t seed = 88172645463325252u;

static unsigned rnd(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % n);
}

static void generate(struct ea_buf *b, unsigned depth)
{
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-1",
                                          "12345",
                                          "1.5",
                                          "-2e10",
                                          "\"\"",
                                          "\"abc\"",
                                          "\"\\u00e9\\n\"",
                                          "\"\xc3\xa9\"",
                                          "9223372036854775808",
                                          "1e300",
                                          "\"a longer string that spans several steps\""};
    unsigned i, n = rnd(depth > 4 ? 3 : 24);
    bool map = rnd(2);

    if (depth > 6 || rnd(3) == 0) {
        ea_buf_addz(b, scalars[rnd(EA_COUNT(scalars))]);
        return;
    }
    ea_buf_addc(b, map ? '{' : '[');
    for (i = 0; i < n; i++) {
        if (i)
            ea_buf_addz(b, rnd(4) ? "," : " ,\n");
        if (map)
            ea_buf_addf(b, "\"%s%u\":", rnd(5) ? "k" : "\\u006b", rnd(200) ? i : 0);
        generate(b, depth + 1 + (n > 8));
    }
    ea_buf_addc(b, map ? '}' : ']');
}

static void mutate(struct ea_buf *b)
{
    static const char bytes[] = "{}[]\",:\\0e.-\n\x01\x80\xc3 u";
    unsigned i;

    for (i = rnd(3); i > 0 && b->n; i--)
        b->p[rnd((unsigned)b->n)] = bytes[rnd(sizeof bytes - 1)];
}

static void test_oracle(void **state)
{
    unsigned i, accepted = 0, rejected = 0, differ = 0;
    struct ea_buf b;

    ea_buf_init(&b, 16u << 20);
    for (i = 0; i < 20000; i++) {
        struct ea_err err = {0};
        struct ea_val v;
        const char *end;
        cJSON *j;

        ea_buf_clear(&b);
        generate(&b, 0);
        if (i % 2)
            mutate(&b);
        ea_arena_reset(*state);
        if (ea_json_parse(*state, ea_buf_str(&b), NULL, &v, NULL, &err) == 0) {
            accepted++;
            j = cJSON_ParseWithLengthOpts(b.p, b.n, &end, 0);
            if (j == NULL || !oracle_same(&v, j))
                fail_msg("differs from cJSON: %.*s", (int)b.n, b.p);
        } else {
            rejected++;
            j = cJSON_ParseWithLengthOpts(b.p, b.n, &end, 0);
            differ += j != NULL;
            if (j && !oracle_known_difference(err.text))
                fail_msg("only cJSON takes (%s): %.*s", err.text, (int)b.n, b.p);
        }
        cJSON_Delete(j);
    }
    /* the generator reaches all three */
    assert_true(accepted > 5000 && rejected > 2000 && differ > 100);
    ea_buf_done(&b);
}

static void test_seeds(void **state)
{
    assert_true(run_seeds("json", LLVMFuzzerTestOneInput) >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        doc_test(test_scalars),
        doc_test(test_long_numbers),
        doc_test(test_structure),
        doc_test(test_strings),
        doc_test(test_string_offsets),
        doc_test(test_refused),
        doc_test(test_refused_raw),
        doc_test(test_depth),
        doc_test(test_depth_raw_builds),
        doc_test(test_map_sizes),
        doc_test(test_repeated_in_large),
        doc_test(test_large_inputs),
        doc_test(test_long_list),
        doc_test(test_truncated),
        doc_test(test_review),
        doc_test(test_lazy_scalars_and_nesting),
        doc_test(test_memory_ceilings),
        doc_test(test_stream),
        doc_test(test_oracle),
        doc_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
