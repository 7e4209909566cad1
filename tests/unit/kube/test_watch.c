/* Lists and watches against every fault that the API documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "doc/json.h"
#include "fake.h"
#include "kube/watch_priv.h"

static const struct ea_kube_res pods = {"", "v1", "pods", "Pod", true};

struct run {
    struct fake fake;
    struct ea_store *store;
    struct ea_informer *informer;
    pthread_mutex_t lock;
    char text[4096]; /* events: "+a +b =c -d S G(expired) g(all)" */
};

static void on_event(void *arg, const struct ea_kube_event *e)
{
    struct run *r = arg;
    size_t n;

    pthread_mutex_lock(&r->lock);
    n = strlen(r->text);
    switch (e->type) {
    case EA_KUBE_UPSERT:
        assert_true(ea_str_is(ea_val_get_str(e->object, "kind"), "Pod"));
        assert_true(ea_str_is(ea_val_get_str(e->object, "apiVersion"), "v1"));
        assert_null(ea_val_path(e->object, "metadata.managedFields"));
        assert_non_null(ea_val_path(e->object, "spec.containers"));
        assert_true(e->rv.n > 0 && e->key.n > 0);
        (void)snprintf(r->text + n, sizeof(r->text) - n, "%s%.*s@%.*s ", e->initial ? "+" : "~",
                       EA_STRF(e->name), EA_STRF(e->rv));
        break;
    case EA_KUBE_DELETE:
        (void)snprintf(r->text + n, sizeof(r->text) - n, "-%.*s ", EA_STRF(e->key));
        break;
    case EA_KUBE_SYNCED:
        (void)snprintf(r->text + n, sizeof(r->text) - n, "S ");
        break;
    case EA_KUBE_GAP_OPENED:
        assert_true(e->from > 0);
        (void)snprintf(r->text + n, sizeof(r->text) - n, "G(%s) ", e->reason);
        break;
    case EA_KUBE_GAP_CLOSED:
        (void)snprintf(r->text + n, sizeof(r->text) - n, "g(%s) ", e->complete ? "all" : "part");
        break;
    }
    pthread_mutex_unlock(&r->lock);
}

static void start(struct run *r, const char *scenario)
{
    struct ea_kube_want want = {.res = pods, .keep_json = true};
    struct ea_informer_opts o = {
        .want = &want, .n_want = 1, .event = on_event, .arg = r, .watch_s = 300};
    struct ea_err err = {0};

    memset(r, 0, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    fake_start(&r->fake, scenario);
    r->store = ea_store_new();
    o.config = r->fake.config;
    o.store = r->store;
    if (ea_informer_start(&o, &r->informer, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop(struct run *r)
{
    ea_informer_stop(r->informer);
    ea_store_free(r->store);
    fake_stop(&r->fake);
    pthread_mutex_destroy(&r->lock);
}

/* The events so far are exactly these within 15 s. */
static void wait_events(struct run *r, const char *want)
{
    ea_mono_us end = ea_mono_now() + 15000000;
    char got[4096];

    for (;;) {
        pthread_mutex_lock(&r->lock);
        memcpy(got, r->text, sizeof(got));
        pthread_mutex_unlock(&r->lock);
        if (strcmp(got, want) == 0)
            return;
        if (ea_mono_now() > end)
            fail_msg("events \"%s\" instead of \"%s\"", got, want);
        ea_sleep_us(20000);
    }
}

static struct ea_watch_stat stat_of(struct run *r)
{
    struct ea_watch_stat s;

    ea_informer_stat(r->informer, 0, &s);
    return s;
}

static void expect_events(const char *scenario, const char *want)
{
    struct run r;

    start(&r, scenario);
    wait_events(&r, want);
    stop(&r);
}

static void pages_then_watch_in_pieces(void **state)
{
    struct run r;
    struct ea_object *o;
    struct ea_arena a;
    struct ea_str json;

    start(&r, "pages");
    wait_events(&r, "+a@1 +b@2 +c@3 S ~d@11 ~a@12 -uid-b ");
    o = ea_store_find(r.store, 0, EA_STR("n"), EA_STR("a"));
    assert_non_null(o);
    ea_arena_init(&a, 1 << 16, 0);
    assert_int_equal(ea_object_json(o, &a, &json), 0);
    assert_true(ea_str_is(json,
                          "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\","
                          "\"namespace\":\"n\",\"uid\":\"uid-a\","
                          "\"resourceVersion\":\"12\"},\"spec\":{\"containers\":[{\"name\":\"c\","
                          "\"image\":\"i\"}]}}"));
    ea_arena_done(&a);
    ea_object_unref(o);
    assert_null(ea_store_find(r.store, 0, EA_STR("n"), EA_STR("b")));
    assert_true(ea_informer_synced(r.informer));
    assert_int_equal(ea_informer_stale_us(r.informer), 0);
    assert_int_equal(stat_of(&r).state, EA_WATCH_WATCHING);
    stop(&r);
}

static void expired_continue_token_is_one_full_list(void **state)
{
    /* b was there on the first page and is gone in the full list */
    expect_events("expired_continue", "+a@1 +b@2 +c@3 -uid-b S ");
}

static void expired_watch_lists_again_and_finds_deletes(void **state)
{
    expect_events("expired_watch",
                  "+a@1 +b@2 +c@3 S G(expired) -uid-b +b@9 +d@12 -uid-c S g(part) ");
}

static void gone_by_status_code(void **state)
{
    expect_events("http_410", "+a@1 S G(expired) +b@11 -uid-a S g(part) ");
}

static void retry_after_is_honoured(void **state)
{
    struct run r;
    ea_mono_us t = ea_mono_now();

    start(&r, "retry_after");
    wait_events(&r, "+a@1 S ");
    assert_true(ea_mono_now() - t >= 900000);
    stop(&r);
}

static void version_too_new_is_asked_again_then_listed(void **state)
{
    expect_events("too_new", "+a@1 S G(expired) S g(part) ~z@12 ");
}

static void cut_in_the_middle_resumes(void **state)
{
    expect_events("cut", "+a@1 S ~b@11 ~c@12 ");
}

static void normal_end_resumes_from_the_bookmark(void **state)
{
    expect_events("ends", "+a@1 S ~b@16 ");
}

static void forbidden_is_a_state(void **state)
{
    struct run r;

    start(&r, "forbidden");
    wait_events(&r, "G(forbidden) ");
    assert_int_equal(stat_of(&r).state, EA_WATCH_FORBIDDEN);
    assert_true(ea_informer_synced(r.informer)); /* nothing more can be had */
    assert_non_null(strstr(stat_of(&r).error, "pods is forbidden"));
    stop(&r);
}

static void absent_is_a_state(void **state)
{
    struct run r;

    start(&r, "absent");
    wait_events(&r, "G(not-found) ");
    assert_int_equal(stat_of(&r).state, EA_WATCH_ABSENT);
    stop(&r);
}

static void unauthorized_tries_again_soon(void **state)
{
    expect_events("unauthorized", "G(unauthorized) +a@1 S g(part) ");
}

static void too_large_object_is_told(void **state)
{
    struct run r;

    start(&r, "oversize");
    wait_events(&r, "+a@1 G(object-too-large) +c@3 S ~d@11 ");
    assert_int_equal(stat_of(&r).skipped, 2);
    stop(&r);
}

static void garbage_does_not_end_it(void **state)
{
    struct run r;

    start(&r, "garbage");
    wait_events(&r, "+a@1 S G(object-unreadable) ~b@11 ");
    assert_int_equal(stat_of(&r).skipped, 3);
    stop(&r);
}

static void broken_lists_are_listed_again(void **state)
{
    expect_events("broken_list", "+a@1 S ");
}

static void backoff_doubles_and_resets(void **state)
{
    struct kube_backoff b = {0};
    uint64_t base = 800000;

    for (int i = 0; i < 10; i++) {
        uint64_t us = kube_backoff_next(&b, 1000000);

        assert_true(us >= base && us <= 2 * base && us <= 30800000);
        base = base * 2 > 30000000 ? 30000000 : base * 2;
    }
    assert_true(kube_backoff_next(&b, 1000000 + 121000000ull) <= 1600000);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(pages_then_watch_in_pieces),
        cmocka_unit_test(expired_continue_token_is_one_full_list),
        cmocka_unit_test(expired_watch_lists_again_and_finds_deletes),
        cmocka_unit_test(gone_by_status_code),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(version_too_new_is_asked_again_then_listed),
        cmocka_unit_test(cut_in_the_middle_resumes),
        cmocka_unit_test(normal_end_resumes_from_the_bookmark),
        cmocka_unit_test(forbidden_is_a_state),
        cmocka_unit_test(absent_is_a_state),
        cmocka_unit_test(unauthorized_tries_again_soon),
        cmocka_unit_test(too_large_object_is_told),
        cmocka_unit_test(garbage_does_not_end_it),
        cmocka_unit_test(broken_lists_are_listed_again),
        cmocka_unit_test(backoff_doubles_and_resets),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
