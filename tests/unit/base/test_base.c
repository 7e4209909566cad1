#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/map.h"
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_str(void **state)
{
    struct ea_str rest;

    assert_true(ea_str_is(ea_str_trim(EA_STR("  a b \n")), "a b"));
    assert_true(ea_str_is(ea_str_cut(EA_STR("a=b=c"), '=', &rest), "a"));
    assert_true(ea_str_is(rest, "b=c"));
    assert_true(ea_str_is(ea_str_cut(rest, '/', &rest), "b=c"));
    assert_null(rest.p);
    assert_int_equal(ea_str_find(EA_STR("hello"), EA_STR("ll")), 2);
    assert_int_equal(ea_str_find(EA_STR("hello"), EA_STR("lo!")), -1);
    assert_true(ea_str_cmp(EA_STR("a"), EA_STR("ab")) < 0);
    assert_true(ea_str_starts(EA_STR("abc"), EA_STR("ab")));
    assert_false(ea_str_ends(EA_STR("abc"), EA_STR("ab")));
    assert_true(ea_str_eq(EA_STR_NULL, EA_STR("")));
}

static void test_numbers(void **state)
{
    int64_t i;
    uint64_t u;

    assert_int_equal(ea_str_to_i64(EA_STR("-9223372036854775808"), &i), 0);
    assert_true(i == INT64_MIN);
    assert_int_equal(ea_str_to_i64(EA_STR("9223372036854775808"), &i), -ERANGE);
    assert_int_equal(ea_str_to_u64(EA_STR("18446744073709551616"), &u), -ERANGE);
    assert_int_equal(ea_str_to_u64(EA_STR(""), &u), -EINVAL);
    assert_int_equal(ea_str_to_u64(EA_STR("12x"), &u), -EINVAL);
    assert_int_equal(ea_str_to_duration_us(EA_STR("100ms"), &u), 0);
    assert_int_equal(u, 100000);
    assert_int_equal(ea_str_to_duration_us(EA_STR("7"), &u), -EINVAL);
    assert_int_equal(ea_str_to_bytes(EA_STR("64Mi"), &u), 0);
    assert_int_equal(u, 64u << 20);
    assert_int_equal(ea_str_to_bytes(EA_STR("99999999999999Ti"), &u), -ERANGE);
}

static void test_utf8(void **state)
{
    static const char *const bad[] = {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                                      "abc\x80",  "\xe2\x82",     "\xf0\x8f\xbf\xbf"};
    static const char *const good[] = {
        "", "abc", "ä€😀", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf", "aaaaaaaaaaaaaaaaaaä"};

    for (size_t i = 0; i < EA_COUNT(bad); i++)
        assert_false(ea_utf8_valid(bad[i], strlen(bad[i])));
    for (size_t i = 0; i < EA_COUNT(good); i++)
        assert_true(ea_utf8_valid(good[i], strlen(good[i])));
    char out[4];

    assert_int_equal(ea_utf8_put(0x1F600, out), 4);
    assert_memory_equal(out, "😀", 4);
    assert_int_equal(ea_utf8_put(0xD800, out), 0);
    assert_int_equal(ea_utf8_put(0x110000, out), 0);
}

static void test_base64_hex(void **state)
{
    uint8_t *p, raw[4];
    size_t n;

    for (size_t len = 0; len < 20; len++) {
        const uint8_t in[20] = "\x00\xff\xfe"
                               "0123456789abcdefg";
        char *text = ea_base64(in, len);

        assert_int_equal(ea_unbase64(ea_str(text), &p, &n), 0);
        assert_int_equal(n, len);
        assert_memory_equal(p, in, len);
        free(p);
        free(text);
    }
    assert_int_equal(ea_unbase64(EA_STR("_-8="), &p, &n), 0);
    free(p);
    assert_int_equal(ea_unbase64(EA_STR("a"), &p, &n), -EINVAL);
    assert_int_equal(ea_unbase64(EA_STR("ab==c"), &p, &n), -EINVAL);
    assert_int_equal(ea_unbase64(EA_STR("a!bc"), &p, &n), -EINVAL);
    assert_int_equal(ea_unhex(EA_STR("00fFa9"), raw, 4, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(raw[1], 0xff);
    assert_int_equal(ea_unhex(EA_STR("0"), raw, 4, &n), -EINVAL);
    assert_int_equal(ea_unhex(EA_STR("0011223344"), raw, 4, &n), -EINVAL);
}

static void test_errors(void **state)
{
    struct ea_err e = {0};

    assert_int_equal(ea_fail(&e, -ENOENT, "no %s", "file"), -ENOENT);
    assert_int_equal(ea_wrap(&e, "reading %d", 7), -ENOENT);
    assert_string_equal(e.text, "reading 7: no file");
    char longer[1000];

    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    ea_fail(&e, -EINVAL, "%s", longer);
    for (int i = 0; i < 100; i++)
        ea_wrap(&e, "context");
    assert_true(strlen(e.text) < sizeof(e.text));
    assert_int_equal(ea_fail(NULL, -EINVAL, "ignored"), -EINVAL);
}

static unsigned cleanups;
static void count_cleanup(void *arg)
{
    cleanups += (unsigned)(uintptr_t)arg;
}

static void test_arena(void **state)
{
    struct ea_arena a;

    ea_arena_init(&a, 1u << 20, 1024);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 500; i++) {
            char *p = ea_arena_alloc(&a, 100);

            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, i, 100);
        }
        assert_int_equal(ea_arena_defer(&a, count_cleanup, (void *)(uintptr_t)1), 0);
        ea_arena_reset(&a);
        assert_int_equal(cleanups, round + 1);
    }
    assert_null(ea_arena_alloc(&a, 2u << 20));
    assert_null(ea_arena_alloc(&a, SIZE_MAX - 4));
    struct ea_str s = ea_arena_printf(&a, "%s-%d", "x", 42);

    assert_true(ea_str_is(s, "x-42"));
    ea_arena_done(&a);
}

static void test_buf(void **state)
{
    struct ea_buf b;

    ea_buf_init(&b, 64);
    assert_int_equal(ea_buf_addf(&b, "%s", "hello"), 0);
    assert_int_equal(
        ea_buf_add(&b, "0123456789012345678901234567890123456789012345678901234567890123456789",
                   70),
        -E2BIG);
    assert_int_equal(ea_buf_addc(&b, 'x'), -E2BIG);
    assert_int_equal(b.n, 5);
    ea_buf_done(&b);
    ea_buf_init(&b, 1u << 16);
    assert_int_equal(ea_buf_add_json(&b, EA_STR("a\"\\\b\t\n\f\r\x01/ü")), 0);
    char *text = ea_buf_take(&b);

    assert_string_equal(text, "\"a\\\"\\\\\\b\\t\\n\\f\\r\\u0001/ü\"");
    free(text);
    for (int i = 0; i < 60000; i++)
        assert_int_equal(ea_buf_addc(&b, 'x'), 0);
    ea_buf_drop(&b, 59990);
    assert_true(ea_str_is(ea_buf_str(&b), "xxxxxxxxxx"));
    ea_buf_done(&b);
}

static void test_clock(void **state)
{
    char out[32];
    int64_t t;

    ea_rfc3339(0, 0, out);
    assert_string_equal(out, "1970-01-01T00:00:00Z");
    ea_rfc3339(-1, 6, out);
    assert_string_equal(out, "1969-12-31T23:59:59.999999Z");
    assert_int_equal(ea_rfc3339_parse(EA_STR("2024-02-29T12:30:45.123+02:00"), &t), 0);
    ea_rfc3339(t, 3, out);
    assert_string_equal(out, "2024-02-29T10:30:45.123Z");
    static const char *const bad[] = {"2023-02-29T00:00:00Z",  "2024-01-01",
                                      "2024-01-01T24:00:00Z",  "2024-01-01T00:00:00",
                                      "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00Zx",
                                      "2024-00-01T00:00:00Z"};

    for (size_t i = 0; i < EA_COUNT(bad); i++)
        assert_int_equal(ea_rfc3339_parse(ea_str(bad[i]), &t), -EINVAL);
    for (int64_t day = -200000; day < 200000; day += 37) {
        ea_wall_us in = day * 86400000000ll + 5000000;

        ea_rfc3339(in, 0, out);
        assert_int_equal(ea_rfc3339_parse(ea_str(out), &t), 0);
        assert_true(t == in);
    }
}

static void test_map(void **state)
{
    struct ea_map m;
    char key[32];

    ea_map_init(&m);
    for (uintptr_t i = 1; i <= 5000; i++) {
        (void)snprintf(key, sizeof(key), "key-%lu", (unsigned long)i);
        assert_null(ea_map_put(&m, ea_str(key), (void *)i));
    }
    for (uintptr_t i = 1; i <= 5000; i += 2) {
        (void)snprintf(key, sizeof(key), "key-%lu", (unsigned long)i);
        assert_ptr_equal(ea_map_del(&m, ea_str(key)), (void *)i);
        assert_null(ea_map_del(&m, ea_str(key)));
    }
    for (uintptr_t i = 1; i <= 5000; i++) {
        (void)snprintf(key, sizeof(key), "key-%lu", (unsigned long)i);
        assert_ptr_equal(ea_map_find(&m, ea_str(key)), i % 2 ? NULL : (void *)i);
    }
    size_t i = 0, n = 0;

    while (ea_map_next(&m, &i, NULL, NULL))
        n++;
    assert_int_equal(n, 2500);
    assert_int_equal(m.n, 2500);
    /* deleting and adding again for ever keeps the table small */
    for (uintptr_t r = 0; r < 100000; r++) {
        (void)snprintf(key, sizeof(key), "churn-%lu", (unsigned long)(r % 7));
        ea_map_put(&m, ea_str(key), &m);
        ea_map_del(&m, ea_str(key));
    }
    assert_true(m.size <= 16384);
    ea_map_done(&m, NULL);
}

static void test_files(void **state)
{
    char dir[] = "/tmp/ea-base-XXXXXX", path[64];
    struct ea_err err = {0};
    char *p;
    size_t n;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/a/b", dir);
    assert_int_equal(ea_mkdirs(path, 0700, &err), 0);
    assert_int_equal(ea_mkdirs(path, 0700, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/a/b/f", dir);
    assert_int_equal(ea_write_file(path, "hello", 5, 0600, &err), 0);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(ea_read_file(path, 5, &p, &n, &err), 0);
    assert_int_equal(n, 5);
    assert_string_equal(p, "hello");
    free(p);
    assert_int_equal(ea_read_file(path, 4, &p, &n, &err), -E2BIG);
    assert_int_equal(ea_read_file(dir, 4, &p, &n, &err), -EISDIR);
    assert_int_equal(ea_read_file("/nonexistent/x", 4, &p, &n, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    unlink(path);
    (void)snprintf(path, sizeof(path), "%s/a/b", dir);
    rmdir(path);
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    rmdir(path);
    rmdir(dir);
}

static void test_metrics(void **state)
{
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    ea_metric_label(&b, "kind", EA_STR("a\"b\\c\nd"));
    char *labels = ea_buf_take(&b);

    ea_metric_add(ea_metric(EA_COUNTER, "eucs_agent_test_total", "a test", labels), 3);
    ea_metric_add(ea_metric(EA_COUNTER, "eucs_agent_test_total", "a test", labels), 4);
    ea_metric_set(ea_metric(EA_GAUGE, "eucs_agent_gauge", "a gauge", NULL), 1.5);
    ea_metric_observe_us(ea_metric(EA_HISTOGRAM, "eucs_agent_seconds", "a histogram", "x=\"1\""),
                         300);
    assert_int_equal(ea_metrics_print(&b), 0);
    char *text = ea_buf_take(&b);

    assert_non_null(strstr(text, "eucs_agent_test_total{kind=\"a\\\"b\\\\c\\nd\"} 7\n"));
    assert_non_null(strstr(text, "# TYPE eucs_agent_gauge gauge\neucs_agent_gauge 1.5\n"));
    assert_non_null(strstr(text, "eucs_agent_seconds_bucket{x=\"1\",le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(text, "eucs_agent_seconds_bucket{x=\"1\",le=\"0.00025\"} 0\n"));
    assert_non_null(strstr(text, "eucs_agent_seconds_count{x=\"1\"} 1\n"));
    free(text);
    free(labels);
    ea_buf_done(&b);
}

static void test_hash(void **state)
{
    assert_true(ea_hash("abc", 3) == ea_hash("abc", 3));
    assert_true(ea_hash("abc", 3) != ea_hash("abd", 3));
    assert_true(ea_hash("abcdefgh", 8) != ea_hash("abcdefgh\0", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_utf8),    cmocka_unit_test(test_base64_hex),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf),     cmocka_unit_test(test_clock),
        cmocka_unit_test(test_map),     cmocka_unit_test(test_files),
        cmocka_unit_test(test_metrics), cmocka_unit_test(test_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
