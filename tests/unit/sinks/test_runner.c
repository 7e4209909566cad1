/* The runner: delivery in order, retries, holds, refusals, filters, restarts, kills, eviction - and
 * always the sum. */
#include <signal.h>

#include "../evidence/helper.h"

#include "doc/build.h"
#include "sinks/sink.h"

/* A destination that does what the test says and remembers what it took. */
struct ea_sink {
    int unused;
};
static pthread_mutex_t taken_m = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint64_t epoch, seq;
} taken[20000], batch[20000];
static size_t n_taken, n_batch;
static enum ea_sink_answer next_send, next_flush; /* one answer other than sent, then sent again */
static uint64_t refuse_every;
static bool always_hold;

static int fake_open(const struct ea_val *config, struct ea_sink **ret, struct ea_err *err)
{
    *ret = ea_xalloc(sizeof(**ret));
    return 0;
}

static enum ea_sink_answer once(enum ea_sink_answer *a)
{
    enum ea_sink_answer r = *a;

    *a = EA_SINK_SENT;
    return r;
}

static enum ea_sink_answer fake_send(struct ea_sink *s, const struct ea_record_view *r,
                                     struct ea_err *err)
{
    enum ea_sink_answer a;

    pthread_mutex_lock(&taken_m);
    a = always_hold ? EA_SINK_HOLD : once(&next_send);
    if (a == EA_SINK_SENT && refuse_every && r->seq % refuse_every == 3)
        a = EA_SINK_REFUSED;
    if (a == EA_SINK_SENT && n_batch < EA_COUNT(batch)) {
        batch[n_batch].epoch = r->epoch;
        batch[n_batch++].seq = r->seq;
    }
    pthread_mutex_unlock(&taken_m);
    if (a != EA_SINK_SENT)
        ea_fail(err, -EIO, "the test said so");
    return a;
}

static enum ea_sink_answer fake_flush(struct ea_sink *s, struct ea_err *err)
{
    enum ea_sink_answer a;

    pthread_mutex_lock(&taken_m);
    a = once(&next_flush);
    for (size_t i = 0; a == EA_SINK_SENT && i < n_batch && n_taken < EA_COUNT(taken); i++)
        taken[n_taken++] = (__typeof__(taken[0])){batch[i].epoch, batch[i].seq};
    n_batch = 0;
    pthread_mutex_unlock(&taken_m);
    if (a != EA_SINK_SENT)
        ea_fail(err, -EIO, "the test said so");
    return a;
}

static void fake_close(struct ea_sink *s)
{
    free(s);
}

static const struct ea_sink_option fake_options[] = {{"colour", "string", NULL, "a test's option"},
                                                     {NULL}};
static const struct ea_sink_ops fake = {
    "fake", "a test's destination", fake_options, fake_open, fake_send, fake_flush, fake_close};

static struct ea_arena arena;

/* A configuration of string members; ends with NULL. */
static struct ea_val config(const char *key, ...)
{
    struct ea_mapb b;
    va_list ap;

    ea_mapb_init(&b, &arena);
    va_start(ap, key);
    for (; key; key = va_arg(ap, const char *)) {
        const char *value = va_arg(ap, const char *);

        if (strcmp(key, "types") == 0) {
            struct ea_listb l;

            ea_listb_init(&l, &arena);
            ea_listb_add(&l, ea_val_str(ea_arena_str(&arena, ea_str(value))));
            ea_mapb_put(&b, ea_str(key), ea_listb_end(&l));
        } else {
            ea_mapb_put(&b, ea_str(key), ea_val_str(ea_arena_str(&arena, ea_str(value))));
        }
    }
    va_end(ap);
    return ea_mapb_end(&b);
}

static int setup(void **state)
{
    ea_arena_init(&arena, 1u << 20, 0);
    n_taken = n_batch = 0;
    next_send = next_flush = EA_SINK_SENT;
    refuse_every = 0;
    always_hold = false;
    return fresh(state);
}

static int teardown(void **state)
{
    ea_arena_done(&arena);
    return gone(state);
}

static struct ea_sink_runner *start(struct ea_elog *l, const struct ea_sink_ops *ops,
                                    struct ea_val c)
{
    struct ea_sink_runner *r = NULL;
    struct ea_err err = {0};

    if (ea_sink_start(l, test_dir, "siem", ops, &c, &r, &err) != 0)
        fail_msg("%s", err.text);
    return r;
}

static struct ea_sink_stat drain(struct ea_sink_runner *r)
{
    struct ea_sink_stat st;

    for (int i = 0; i < 1000; i++) {
        ea_sink_stat(r, &st);
        if (st.pending == 0)
            return st;
        ea_sleep_us(10000);
    }
    fail_msg("%" PRIu64 " records stay pending: %s", st.pending, st.error);
    return st;
}

/* The law: what was appended since the sink began is somewhere. */
static void assert_sum(const struct ea_sink_stat *st, uint64_t appended)
{
    if (st->acked + st->filtered + st->dead + st->lost + st->pending != appended)
        fail_msg("%" PRIu64 " appended, but %" PRIu64 " acked + %" PRIu64 " filtered + %" PRIu64
                 " dead + %" PRIu64 " lost + %" PRIu64 " pending",
                 appended, st->acked, st->filtered, st->dead, st->lost, st->pending);
}

static void assert_in_order(uint64_t first, uint64_t last)
{
    uint64_t want = first;

    /* Each at least once, and never a gap: a repeated piece starts at or before what was already
     * there. */
    pthread_mutex_lock(&taken_m);
    for (size_t i = 0; i < n_taken; i++) {
        assert_true(taken[i].seq <= want);
        if (taken[i].seq == want)
            want++;
    }
    pthread_mutex_unlock(&taken_m);
    assert_int_equal(want, last + 1);
}

static void test_deliver(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r;
    struct ea_sink_stat st;
    struct ea_elog_stat ls;

    append(l, 10, NULL); /* before the sink: not its business */
    r = start(l, &fake, config("name", "siem", "type", "fake", NULL));
    append(l, 500, NULL);
    st = drain(r);
    assert_sum(&st, 500);
    assert_int_equal(st.acked, 500);
    assert_in_order(11, 510);
    ea_elog_stat(l, &ls);
    assert_int_equal(st.seq_next, ls.next_seq);
    ea_sink_stop(r, 1000000);
    append(l, 7, NULL);
    /* It goes on where it was. */
    r = start(l, &fake, config(NULL, NULL));
    st = drain(r);
    assert_sum(&st, 507);
    assert_in_order(11, 517);
    ea_sink_stop(r, 1000000);
    close_log(l);
    assert_holds(test_dir);
}

static void test_from_oldest_across_epochs(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r;
    struct ea_sink_stat st;
    uint64_t total;
    struct ea_err err;

    append(l, 100, NULL);
    close_log(l);
    o.key_type = EA_KEY_ECDSA_P256;
    l = open_log(&o); /* a new epoch */
    append(l, 100, NULL);
    r = start(l, &fake, config("start", "oldest", NULL));
    st = drain(r);
    assert_int_equal(ea_evidence_count_from(test_dir, 0, 0, &total, &err), 0);
    assert_int_equal(total, 102 + 101);
    assert_sum(&st, total);
    assert_int_equal(st.acked, total);
    assert_int_equal(st.epoch, 2);
    ea_sink_stop(r, 1000000);
    close_log(l);
    /* Sealed, delivered, closed: log.closed came after the sink stopped and waits. */
    l = open_log(&o);
    r = start(l, &fake, config(NULL, NULL));
    st = drain(r);
    assert_sum(&st, total + 2);
    ea_sink_stop(r, 1000000);
    close_log(l);
}

static void test_retry_and_hold(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r =
        start(l, &fake, config("retryBase", "5ms", "retryMax", "20ms", NULL));
    struct ea_sink_stat st;
    uint64_t n = 0;

    for (int i = 0; i < 60; i++) {
        pthread_mutex_lock(&taken_m);
        next_send = i % 3 == 0 ? EA_SINK_RETRY : i % 3 == 1 ? EA_SINK_HOLD : EA_SINK_SENT;
        next_flush = i % 4 == 0 ? EA_SINK_RETRY : i % 4 == 2 ? EA_SINK_HOLD : EA_SINK_SENT;
        pthread_mutex_unlock(&taken_m);
        append(l, 20, NULL);
        n += 20;
        ea_sink_stat(r, &st);
        ea_sleep_us(3000);
    }
    st = drain(r);
    assert_sum(&st, n);
    assert_int_equal(st.acked, n);
    assert_true(st.retries > 0);
    assert_string_equal(st.error, "");
    assert_false(st.holding);
    assert_in_order(1, n);
    ea_sink_stop(r, 1000000);
    close_log(l);
}

static void test_refused(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r;
    struct ea_sink_stat st;
    struct ea_elog_stat ls;
    uint64_t before;
    FILE *f;
    char cmd[600];
    unsigned long lines = 0;

    ea_elog_stat(l, &ls);
    before = ls.next_seq;
    refuse_every = 10;
    r = start(l, &fake, config("retryBase", "5ms", NULL));
    append(l, 200, NULL);
    st = drain(r);
    ea_sleep_us(50000);
    st = drain(r); /* its own reports too */
    ea_elog_stat(l, &ls);
    assert_sum(&st, ls.next_seq - before);
    assert_true(st.dead >= 20);
    ea_sink_stop(r, 1000000);
    close_log(l);
    snprintf(cmd, sizeof(cmd), "wc -l < %s/dead-siem.ndjson", test_dir);
    f = popen(cmd, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &lines), 1);
    pclose(f);
    assert_int_equal(lines, st.dead);
    sh("cat %s/seg-* | grep -a -q delivery.rejected", test_dir);
    assert_holds(test_dir);
}

static void test_filter(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r = start(l, &fake, config("types", "admission.decision", NULL));
    struct ea_sink_stat st;
    struct ea_err err;

    append(l, 50, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ea_elog_append(l, EA_REC_ADMISSION_DECISION, EA_STR("{\"allowed\":false}"),
                                        true, 0, NULL, &err),
                         0);
    append(l, 50, NULL);
    st = drain(r);
    assert_sum(&st, 105);
    assert_int_equal(st.acked, 5);
    assert_int_equal(st.filtered, 100);
    ea_sink_stop(r, 1000000);
    close_log(l);
}

/* The destination is away, the limit frees what it did not have: lost, counted, recorded. */
static void test_evicted(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_sink_runner *r;
    struct ea_sink_stat st;
    struct ea_elog_stat ls;
    uint64_t before;

    o.disk_limit = 5 * 16384;
    l = open_log(&o);
    ea_elog_stat(l, &ls);
    before = ls.next_seq;
    always_hold = true;
    r = start(l, &fake, config("retryBase", "5ms", "retryMax", "10ms", NULL));
    for (int i = 0; i < 20; i++)
        append(l, 50, NULL);
    ea_elog_stat(l, &ls);
    ea_sink_stat(r, &st);
    assert_true(st.holding || st.retries > 0);
    assert_sum(&st, st.seq_next - before + ls.next_seq - st.seq_next);
    pthread_mutex_lock(&taken_m);
    always_hold = false;
    pthread_mutex_unlock(&taken_m);
    st = drain(r);
    ea_elog_stat(l, &ls);
    assert_sum(&st, ls.next_seq - before);
    assert_true(st.lost > 0 && st.acked > 0);
    ea_sink_stop(r, 1000000);
    close_log(l);
    assert_holds(test_dir);
    sh("cat %s/seg-* | grep -a evidence.loss | grep -a -q '\"sink\":\"siem\"'", test_dir);
}

/* Delivers into a file, dies, starts again: every record is in the file at least once, and the sum
 * is right. */
static void deliver_and_die(void *arg)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r;
    char path[400];
    unsigned seed = *(unsigned *)arg;

    ea_arena_init(&arena, 1u << 20, 0);
    snprintf(path, sizeof(path), "%s/out.ndjson", test_dir);
    r = start(l, ea_sink_find(EA_STR("file")), config("path", path, "start", "oldest", NULL));
    append(l, 300 + seed * 37, NULL);
    ea_sleep_us(1000 * (seed * 31 % 60));
    ea_sink_stat(r, &(struct ea_sink_stat){0});
}

static void test_kill_and_restart(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_sink_runner *r;
    struct ea_sink_stat st;
    struct ea_elog_stat ls;
    char path[400];

    for (unsigned round = 0; round < 6; round++)
        in_killed_child(deliver_and_die, &round);
    snprintf(path, sizeof(path), "%s/out.ndjson", test_dir);
    l = open_log(&o);
    r = start(l, ea_sink_find(EA_STR("file")), config("path", path, "start", "oldest", NULL));
    st = drain(r);
    ea_elog_stat(l, &ls);
    assert_int_equal(ls.epoch, 1);
    assert_sum(&st, ls.next_seq);
    ea_sink_stop(r, 2000000);
    close_log(l);
    assert_holds(test_dir);
    /* The file has every seq, duplicates allowed, and no torn line. */
    sh("/usr/bin/python3 - %s %" PRIu64 " <<'P'\n"
       "import json,sys\n"
       "seen=set()\n"
       "for line in open(sys.argv[1],'rb'):\n"
       "    assert line.endswith(b'\\n')\n"
       "    seen.add(json.loads(line)['seq'])\n"
       "missing=set(range(int(sys.argv[2])))-seen\n"
       "assert not missing, sorted(missing)[:5]\n"
       "P",
       path, ls.next_seq);
}

/* Both slots of the cursor broken: from the oldest live record. */
static void test_cursor_damaged(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r = start(l, &fake, config(NULL, NULL));
    struct ea_sink_stat st;

    append(l, 20, NULL);
    drain(r);
    ea_sink_stop(r, 1000000);
    flip(test_dir, "cur-siem", 40, 1);
    flip(test_dir, "cur-siem", 4096 + 40, 1);
    r = start(l, &fake, config(NULL, NULL));
    st = drain(r);
    assert_sum(&st, 21);
    ea_sink_stop(r, 1000000);
    close_log(l);
    assert_holds(test_dir);
}

static void test_bad_config(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_sink_runner *r = NULL;
    struct ea_err err;
    struct ea_val bad[] = {config("color", "red", NULL), config("start", "yesterday", NULL),
                           config("retryBase", "soon", NULL), config("types", "no.such.type", NULL),
                           config("retryMax", "1us", NULL)};

    for (size_t i = 0; i < EA_COUNT(bad); i++)
        assert_int_equal(ea_sink_start(l, test_dir, "siem", &fake, &bad[i], &r, &err), -EINVAL);
    assert_int_equal(ea_sink_start(l, test_dir, "../siem", &fake, &bad[0], &r, &err), -EINVAL);
    bad[0] = config("colour", "red", NULL);
    assert_int_equal(ea_sink_start(l, test_dir, "siem", &fake, &bad[0], &r, &err), 0);
    ea_sink_stop(r, 0);
    close_log(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_deliver),          T(test_from_oldest_across_epochs),
        T(test_retry_and_hold),   T(test_refused),
        T(test_filter),           T(test_evicted),
        T(test_kill_and_restart), T(test_cursor_damaged),
        T(test_bad_config),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
