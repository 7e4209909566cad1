/* doc/print.c, doc/num.c: compact JSON, canonical JSON (RFC 8785), numbers. */
#include "unit/doc/doctest.h"

#include <locale.h>
#include <math.h>

#include "doc/build.h"
#include "doc/num.h"
#include "fuzz/fuzz_jcs.c"

static uint64_t bits_of(double d)
{
    uint64_t u;

    memcpy(&u, &d, sizeof u);
    return u;
}

static double of_bits(uint64_t u)
{
    double d;

    memcpy(&d, &u, sizeof d);
    return d;
}

/* RFC 8785 appendix B, the finite values. */
static const struct {
    uint64_t bits;
    const char *text;
} rfc8785_numbers[] = {
    {0x0000000000000000, "0"},
    {0x8000000000000000, "0"},
    {0x0000000000000001, "5e-324"},
    {0x8000000000000001, "-5e-324"},
    {0x7fefffffffffffff, "1.7976931348623157e+308"},
    {0xffefffffffffffff, "-1.7976931348623157e+308"},
    {0x4340000000000000, "9007199254740992"},
    {0xc340000000000000, "-9007199254740992"},
    {0x4430000000000000, "295147905179352830000"},
    {0x44b52d02c7e14af5, "9.999999999999997e+22"},
    {0x44b52d02c7e14af6, "1e+23"},
    {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
    {0x444b1ae4d6e2ef4e, "999999999999999700000"},
    {0x444b1ae4d6e2ef4f, "999999999999999900000"},
    {0x444b1ae4d6e2ef50, "1e+21"},
    {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
    {0x3eb0c6f7a0b5ed8d, "0.000001"},
    {0x41b3de4355555553, "333333333.3333332"},
    {0x41b3de4355555554, "333333333.33333325"},
    {0x41b3de4355555555, "333333333.3333333"},
    {0x41b3de4355555556, "333333333.3333334"},
    {0x41b3de4355555557, "333333333.33333343"},
    {0xbecbf647612f3696, "-0.0000033333333333333333"},
    {0x43143ff3c1cb0959, "1424953923781206.2"},
    /* above a power of two the nearest 16 digits do not read back, the neighbour does */
    {0x3d30000000000000, "5.684341886080802e-14"},
    {0x0010000000000000, "2.2250738585072014e-308"},
    {0x000fffffffffffff, "2.225073858507201e-308"},
    {0x3fb999999999999a, "0.1"},
    {0x3fd3333333333334, "0.30000000000000004"},
    {0x4415af1d78b58c40, "100000000000000000000"},
    {0x3f50624dd2f1a9fc, "0.001"},
    {0x40091eb851eb851f, "3.14"},
};

static void test_rfc8785_numbers(void **state)
{
    char out[EA_NUM_MAX];
    size_t i;

    for (i = 0; i < EA_COUNT(rfc8785_numbers); i++) {
        double back;
        unsigned n = ea_num_print(of_bits(rfc8785_numbers[i].bits), out);

        assert_string_equal(out, rfc8785_numbers[i].text);
        assert_int_equal(n, strlen(out));
        assert_int_equal(ea_num_parse(ea_str(out), &back), 0);
        assert_true(back == of_bits(rfc8785_numbers[i].bits));
    }
}

/* The exact digits of every power of two are known to nobody by heart, but shortest means: no
 * shorter text reads back. */
static void test_powers_of_two(void **state)
{
    char out[EA_NUM_MAX], shorter[40];
    int e;

    for (e = -1074; e < 1024; e++) {
        double d = ldexp(1, e), back;
        int digits = 0;
        unsigned i, n = ea_num_print(d, out);

        assert_int_equal(ea_num_parse(ea_strn(out, n), &back), 0);
        assert_int_equal(bits_of(back), bits_of(d));
        for (i = 0; i < n && out[i] != 'e'; i++)
            digits += out[i] >= '0' && out[i] <= '9' && (digits || out[i] != '0');
        if (digits > 1 && digits <= 17 && strchr(out, 'e')) {
            snprintf(shorter, sizeof shorter, "%.*e", digits - 2, d);
            assert_true(strtod(shorter, NULL) != d);
        }
    }
}

static void test_num_parse(void **state)
{
    static const char *const wrong[] = {"",    "+",   "-",    ".",     "e1",  "1e",
                                        "1e+", "1.e", "1..2", "0x1",   "1 ",  " 1",
                                        "1f",  "inf", "nan",  "1e1.5", "--1", "1_0"};
    double d;
    size_t i;

    for (i = 0; i < EA_COUNT(wrong); i++)
        assert_int_equal(ea_num_parse(ea_str(wrong[i]), &d), -EINVAL);
    assert_int_equal(ea_num_parse(EA_STR("+.5e1"), &d), 0);
    assert_true(d == 5);
    assert_int_equal(ea_num_parse(EA_STR("5."), &d), 0);
    assert_true(d == 5);
    assert_int_equal(ea_num_parse(EA_STR("-1e400"), &d), -ERANGE);
    assert_true(isinf(d) && d < 0);
    assert_int_equal(ea_num_parse(EA_STR("1.7976931348623159e308"), &d), -ERANGE);
    assert_int_equal(ea_num_parse(EA_STR("1e-99999999999999999999"), &d), 0);
    assert_true(d == 0);
    assert_int_equal(ea_num_parse(EA_STR("1e99999999999999999999"), &d), -ERANGE);
    assert_int_equal(ea_num_parse(EA_STR("2.4703282292062327208e-324"), &d), 0);
    assert_true(d == 0);
    assert_int_equal(ea_num_parse(EA_STR("2.4703282292062328e-324"), &d), 0);
    assert_true(d == 5e-324);
}

/* Against strtod, on random texts of random lengths. */
static void test_num_parse_random(void **state)
{
    uint64_t s = 42;
    int i, k;

    for (i = 0; i < 200000; i++) {
        char text[64];
        int n = 0;
        double d;

        for (k = 0; k < (int)(s >> 33) % 24 + 1; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            text[n++] = (char)('0' + (s >> 40) % 10);
            if (k == 3)
                text[n++] = '.';
        }
        n += snprintf(text + n, sizeof text - (size_t)n, "e%d", (int)((s >> 20) % 680) - 340);
        if (ea_num_parse(ea_strn(text, (size_t)n), &d) == 0 && d != strtod(text, NULL))
            fail_msg("%s", text);
    }
}

static void test_locale(void **state)
{
    char out[EA_NUM_MAX];
    double d;

    /* where no such locale is installed, the test is the one of the C locale */
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8"))
        setlocale(LC_NUMERIC, "fr_FR.UTF-8");
    ea_num_print(0.30000000000000004, out);
    assert_string_equal(out, "0.30000000000000004");
    assert_int_equal(ea_num_parse(EA_STR("123456789.123456789123456789"), &d), 0);
    assert_true(d == 123456789.12345679);
    setlocale(LC_NUMERIC, "C");
}

static void test_compact(void **state)
{
    static const char *const same[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        "1.0",
        "-0.0",
        "1e+21",
        "1e-7",
        "\"\"",
        "\"a\\\"b\\\\c\\b\\t\\n\\f\\r\\u0001\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
        "[]",
        "{}",
        "[1,[2,{}],\"\"]",
        "{\"b\":1,\"a\":{\"\":null}}",
        "100000000000000000000.0",
    };
    size_t i;

    for (i = 0; i < EA_COUNT(same); i++) {
        struct ea_val v = must_parse(*state, same[i]);

        assert_str(printed(*state, &v, ea_json_print), same[i]);
    }
}

static void test_rfc8785_document(void **state)
{
    struct ea_val v = must_parse(
        *state,
        "{\n  \"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],\n"
        "  \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n"
        "  \"literals\": [null, true, false]\n}");

    assert_str(
        printed(*state, &v, ea_jcs_print_full),
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
        "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

/* RFC 8785 §3.2.3: the emoji, a surrogate pair in UTF-16, comes before U+FB33. */
static void test_rfc8785_sorting(void **state)
{
    struct ea_val v = must_parse(
        *state, "{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\",\"\\ufb33\":\"Hebrew "
                "Letter Dalet With Dagesh\","
                "\"1\":\"One\",\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
                "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}");

    assert_str(
        printed(*state, &v, ea_jcs_print),
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\",\"\xc3\xb6\":\"Latin "
        "Small Letter O With Diaeresis\","
        "\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning "
        "Face\",\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}");
}

static void test_key_order(void **state)
{
    /* in order; each pair is compared both ways */
    static const char *const keys[] = {"",
                                       "\r",
                                       "1",
                                       "10",
                                       "A",
                                       "a",
                                       "aa",
                                       "b",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xc3\xb6",
                                       "\xe2\x82\xac",
                                       "\xed\x9f\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf0\x90\x80\x80"
                                       "a",
                                       "\xf0\x9f\x98\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\xee\x80\x80",
                                       "\xee\x80\x80\xf0\x9f\x98\x80",
                                       "\xef\xac\xb3",
                                       "\xef\xbf\xbf"};
    size_t i, j;

    for (i = 0; i < EA_COUNT(keys); i++) {
        for (j = 0; j < EA_COUNT(keys); j++) {
            int c = ea_jcs_cmp(ea_str(keys[i]), ea_str(keys[j]));

            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
        }
    }
}

static void test_many_keys(void **state)
{
    static const int sizes[] = {31, 32, 33, 1000};
    size_t s;

    for (s = 0; s < EA_COUNT(sizes); s++) {
        int i, n = sizes[s];
        struct ea_mapb m;
        struct ea_val v, again;
        struct ea_str text;

        ea_mapb_init(&m, *state);
        for (i = 0; i < n; i++)
            ea_mapb_put(&m, ea_arena_printf(*state, "%d", (i * 7919) % n), ea_val_int(i));
        v = ea_mapb_end(&m);
        assert_int_equal(m.failed, 0);
        text = printed(*state, &v, ea_jcs_print);
        assert_int_equal(ea_json_parse(*state, text, NULL, &again, NULL, NULL), 0);
        assert_true(ea_val_equal(&v, &again));
        for (i = 1; i < n; i++)
            assert_true(ea_str_cmp(ea_val_text(&again.members[i - 1].key),
                                   ea_val_text(&again.members[i].key)) < 0);
    }
}

static int print_rc(int (*print)(struct ea_buf *, const struct ea_val *), const struct ea_val *v,
                    size_t cap)
{
    struct ea_buf b;
    int rc;

    ea_buf_init(&b, cap);
    rc = print(&b, v);
    ea_buf_done(&b);
    return rc;
}

static void test_refused(void **state)
{
    struct ea_member twice[] = {{ea_val_str(EA_STR("a")), ea_val_null()},
                                {ea_val_str(EA_STR("a")), ea_val_null()}};
    struct ea_member number_key[] = {{ea_val_int(1), ea_val_null()}};
    struct ea_val nan = ea_val_double((double)NAN), inf = ea_val_double(INFINITY),
                  half = ea_val_double(0.5);
    struct ea_val most = ea_val_int(9007199254740991), more = ea_val_int(9007199254740992),
                  less = ea_val_int(-9007199254740992);
    struct ea_val repeated = ea_val_map(twice, 2), keyed = ea_val_map(number_key, 1),
                  time = {.type = EA_V_TIMESTAMP};
    struct ea_val text = must_parse(*state, "[\"abcdefgh\",12345678]");

    assert_int_equal(print_rc(ea_json_print, &nan, 100), -EINVAL);
    assert_int_equal(print_rc(ea_json_print, &inf, 100), -EINVAL);
    assert_int_equal(print_rc(ea_jcs_print_full, &inf, 100), -EINVAL);
    assert_int_equal(print_rc(ea_jcs_print, &half, 100), -EINVAL);
    assert_int_equal(print_rc(ea_jcs_print_full, &half, 100), 0);
    assert_int_equal(print_rc(ea_jcs_print, &most, 100), 0);
    assert_int_equal(print_rc(ea_jcs_print, &more, 100), -EINVAL);
    assert_int_equal(print_rc(ea_jcs_print, &less, 100), -EINVAL);
    assert_int_equal(print_rc(ea_jcs_print_full, &more, 100), 0);
    assert_int_equal(print_rc(ea_jcs_print, &repeated, 100), -EINVAL);
    assert_int_equal(print_rc(ea_json_print, &keyed, 100), -EINVAL);
    assert_int_equal(print_rc(ea_jcs_print, &keyed, 100), -EINVAL);
    assert_int_equal(print_rc(ea_json_print, &time, 100), -EINVAL);
    for (size_t cap = 0; cap < 21; cap++)
        assert_int_equal(print_rc(ea_json_print, &text, cap), -E2BIG);
    assert_int_equal(print_rc(ea_json_print, &text, 21), 0);
}

/* ECMAScript has only doubles: the canonical form of a large integer is that of the double next to
 * it. */
static void test_full_integers(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"9007199254740993", "9007199254740992"},
        {"9223372036854775807", "9223372036854776000"},
        {"-9223372036854775808", "-9223372036854776000"},
        {"18446744073709551616", "18446744073709552000"},
        {"-0.0", "0"},
        {"1.0", "1"},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        struct ea_val v = must_parse(*state, cases[i].text);

        assert_str(printed(*state, &v, ea_jcs_print_full), cases[i].want);
    }
}

/* A hand-made chain deeper than any document is refused and not followed to the end of the stack.
 */
static void test_deep(void **state)
{
    struct ea_val *chain = ea_arena_alloc(*state, 100000 * sizeof *chain);
    int i;

    chain[0] = ea_val_null();
    for (i = 1; i < 100000; i++)
        chain[i] = ea_val_list(&chain[i - 1], 1);
    assert_int_equal(print_rc(ea_json_print, &chain[99999], 1u << 20), -E2BIG);
    assert_int_equal(print_rc(ea_json_print, &chain[200], 1u << 20), 0);
    assert_int_equal(ea_doc_settle(&chain[99999]), -E2BIG);
    assert_false(ea_val_equal(&chain[99999], &chain[99998]));
}

/* strconv.FormatFloat(x, 'g', -1, 32) */
static void test_go32(void **state)
{
    static const struct {
        double d;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {0.1, "0.1"},
        {2.5, "2.5"},
        {-1.5, "-1.5"},
        {123456, "123456"},
        {1234567, "1.234567e+06"},
        {1e6, "1e+06"},
        {100000, "100000"},
        {1e21, "1e+21"},
        {1e-4, "0.0001"},
        {1e-5, "1e-05"},
        {1e-7, "1e-07"},
        {3.4e38, "3.4e+38"},
        {1e39, "+Inf"},
        {-1e39, "-Inf"},
        {16777217, "1.6777216e+07"},
        {0.3, "0.3"},
        {1e-45, "1e-45"},
        {1e-46, "0"},
    };
    char out[EA_NUM_MAX];
    size_t i;

    for (i = 0; i < EA_COUNT(cases); i++) {
        ea_num_print_go32(cases[i].d, out);
        assert_string_equal(out, cases[i].text);
    }
    ea_num_print_go32((double)NAN, out);
    assert_string_equal(out, "NaN");
}

/* Strings of every length, with every byte at every place, read back as they were. */
static void test_strings(void **state)
{
    char text[40];
    size_t at, n;
    int c;

    for (n = 0; n < sizeof text; n++) {
        for (at = 0; at < n; at++) {
            for (c = 0; c < 0x80; c++) {
                struct ea_val v, again;

                memset(text, at % 2 ? 'a' : '\\', sizeof text);
                text[at] = (char)c;
                v = ea_val_str(ea_strn(text, n));
                assert_int_equal(ea_json_parse(*state, printed(*state, &v, ea_json_print), NULL,
                                               &again, NULL, NULL),
                                 0);
                assert_true(ea_val_equal(&v, &again));
            }
        }
        ea_arena_reset(*state);
    }
}

static void test_seeds(void **state)
{
    assert_true(run_seeds("jcs", LLVMFuzzerTestOneInput) >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        doc_test(test_rfc8785_numbers),
        doc_test(test_powers_of_two),
        doc_test(test_num_parse),
        doc_test(test_num_parse_random),
        doc_test(test_locale),
        doc_test(test_compact),
        doc_test(test_rfc8785_document),
        doc_test(test_rfc8785_sorting),
        doc_test(test_key_order),
        doc_test(test_many_keys),
        doc_test(test_refused),
        doc_test(test_full_integers),
        doc_test(test_deep),
        doc_test(test_go32),
        doc_test(test_strings),
        doc_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
