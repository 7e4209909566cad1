/* Boundaries of JSON values in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kube/scan.h"

struct seen {
    char text[8][256];
    size_t n, oversize;
    uint64_t size;
    int answer;
};

static int on_value(void *arg, struct ea_str b)
{
    struct seen *s = arg;

    assert_true(s->n < 8 && b.n < 256);
    memcpy(s->text[s->n], b.p, b.n);
    s->text[s->n++][b.n] = 0;
    return s->answer;
}
static int on_oversize(void *arg, struct ea_str head, uint64_t size)
{
    struct seen *s = arg;

    s->oversize++;
    s->size = size;
    assert_true(head.n <= 4096 && head.p[0] == '{');
    return 0;
}

static const char stream[] = " {\"a\":\"}{\\\"\\\\\"}\n{\"b\":[{},{\"c\":[1,2]}]}\r\n\t{}";

static void stream_at_every_piece_size(void **state)
{
    for (size_t piece = 1; piece <= sizeof(stream); piece++) {
        struct seen s = {.n = 0};
        struct ea_scan_ops ops = {on_value, on_oversize, &s};
        struct ea_stream_scan sc;

        ea_stream_scan_init(&sc, 200, &ops);
        for (size_t at = 0; at < sizeof(stream) - 1; at += piece)
            assert_int_equal(
                ea_stream_scan_feed(&sc, stream + at, EA_MIN(piece, sizeof(stream) - 1 - at)), 0);
        assert_int_equal(s.n, 3);
        assert_string_equal(s.text[0], "{\"a\":\"}{\\\"\\\\\"}");
        assert_string_equal(s.text[1], "{\"b\":[{},{\"c\":[1,2]}]}");
        assert_string_equal(s.text[2], "{}");
        assert_true(ea_stream_scan_idle(&sc));
        ea_stream_scan_done(&sc);
    }
}

static void stream_refuses_what_is_no_object(void **state)
{
    static const char *const bad[] = {"[1]", "1", "x", "}", "\"a\""};

    for (size_t i = 0; i < EA_COUNT(bad); i++) {
        struct seen s = {.n = 0};
        struct ea_scan_ops ops = {on_value, on_oversize, &s};
        struct ea_stream_scan sc;

        ea_stream_scan_init(&sc, 200, &ops);
        assert_int_equal(ea_stream_scan_feed(&sc, bad[i], strlen(bad[i])), -EINVAL);
        ea_stream_scan_done(&sc);
    }
}

static void large_value_is_passed_over_and_the_next_is_found(void **state)
{
    for (size_t piece = 1; piece < 40; piece += 3) {
        struct seen s = {.n = 0};
        struct ea_scan_ops ops = {on_value, on_oversize, &s};
        struct ea_stream_scan sc;
        char text[300] = "{\"x\":\"";
        size_t n = 6;

        while (n < 120)
            text[n++] = 'y';
        memcpy(text + n, "\"}{\"z\":1}", 9);
        n += 9;
        ea_stream_scan_init(&sc, 64, &ops);
        for (size_t at = 0; at < n; at += piece)
            assert_int_equal(ea_stream_scan_feed(&sc, text + at, EA_MIN(piece, n - at)), 0);
        assert_int_equal(s.oversize, 1);
        assert_int_equal(s.size, 122);
        assert_int_equal(s.n, 1);
        assert_string_equal(s.text[0], "{\"z\":1}");
        ea_stream_scan_done(&sc);
    }
}

static void endless_value_ends_the_stream(void **state)
{
    struct seen s = {.n = 0};
    struct ea_scan_ops ops = {on_value, on_oversize, &s};
    struct ea_stream_scan sc;
    char text[64];
    int rc = 0;

    memset(text, '[', sizeof(text));
    text[0] = '{';
    ea_stream_scan_init(&sc, 64, &ops);
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = ea_stream_scan_feed(&sc, text, sizeof(text));
    assert_int_equal(rc, -E2BIG);
    ea_stream_scan_done(&sc);
}

static void answer_of_a_callback_ends_the_feed(void **state)
{
    struct seen s = {.answer = -ECANCELED};
    struct ea_scan_ops ops = {on_value, on_oversize, &s};
    struct ea_stream_scan sc;

    ea_stream_scan_init(&sc, 200, &ops);
    assert_int_equal(ea_stream_scan_feed(&sc, "{}{}", 4), -ECANCELED);
    assert_int_equal(s.n, 1);
    ea_stream_scan_done(&sc);
}

static int feed_list(const char *text, size_t piece, struct seen *s, struct ea_list_scan *sc)
{
    struct ea_scan_ops ops = {on_value, on_oversize, s};
    size_t n = strlen(text);
    int rc = 0;

    ea_list_scan_init(sc, 64, 256, &ops);
    for (size_t at = 0; at < n && rc == 0; at += piece)
        rc = ea_list_scan_feed(sc, text + at, EA_MIN(piece, n - at));
    return rc;
}

static void list_gives_items_and_keeps_the_rest(void **state)
{
    static const char text[] =
        "{\"kind\":\"PodList\",\"metadata\":{\"items\":[9],\"continue\":\"a]b\"},\n"
        "\"items\" : [ {\"a\":[{}]} , {\"b\":\"]\"}\n], \"x\":[{\"y\":1}]}\n";

    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        struct seen s = {.n = 0};
        struct ea_list_scan sc;

        assert_int_equal(feed_list(text, piece, &s, &sc), 0);
        assert_true(ea_list_scan_complete(&sc));
        assert_int_equal(s.n, 2);
        assert_string_equal(s.text[0], "{\"a\":[{}]}");
        assert_string_equal(s.text[1], "{\"b\":\"]\"}");
        ea_buf_addc(&sc.head, 0);
        assert_string_equal(
            sc.head.p, "{\"kind\":\"PodList\",\"metadata\":{\"items\":[9],\"continue\":\"a]b\"},\n"
                       "\"items\" : [], \"x\":[{\"y\":1}]}");
        ea_list_scan_done(&sc);
    }
}

static void list_edges(void **state)
{
    struct {
        const char *text;
        int rc;
        bool complete;
        size_t n;
    } t[] = {
        {"{\"items\":null}", 0, true, 0},
        {"{\"items\":[]}", 0, true, 0},
        {"{\"items\":[{\"a\":1}", 0, false, 1},
        {"{\"items\":[1]}", -EINVAL, false, 0},
        {"[]", -EINVAL, false, 0},
        {"{}{}", -EINVAL, false, 0},
        {"{\"a\":{\"items\":[{}]}}", 0, true, 0},
        {"{\"k\":\"items\",\"l\":[1]}", 0, true, 0},
        {"{\"itemsx\":[{}],\"items\":[{}]}", 0, true, 1},
        {"", 0, false, 0},
    };

    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct seen s = {.n = 0};
        struct ea_list_scan sc;
        int rc = feed_list(t[i].text, 3, &s, &sc);

        assert_int_equal(rc, t[i].rc);
        if (rc == 0)
            assert_int_equal(ea_list_scan_complete(&sc), t[i].complete);
        assert_int_equal(s.n, t[i].n);
        ea_list_scan_done(&sc);
    }
}

static void list_head_is_capped(void **state)
{
    struct seen s = {.n = 0};
    struct ea_scan_ops ops = {on_value, on_oversize, &s};
    struct ea_list_scan sc;
    int rc = 0;

    ea_list_scan_init(&sc, 64, 32, &ops);
    rc = ea_list_scan_feed(&sc, "{\"metadata\":\"", 13);
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = ea_list_scan_feed(&sc, "xxxxxxxxxx", 10);
    assert_int_equal(rc, -E2BIG);
    ea_list_scan_done(&sc);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(stream_at_every_piece_size),
        cmocka_unit_test(stream_refuses_what_is_no_object),
        cmocka_unit_test(large_value_is_passed_over_and_the_next_is_found),
        cmocka_unit_test(endless_value_ends_the_stream),
        cmocka_unit_test(answer_of_a_callback_ends_the_feed),
        cmocka_unit_test(list_gives_items_and_keeps_the_rest),
        cmocka_unit_test(list_edges),
        cmocka_unit_test(list_head_is_capped),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
