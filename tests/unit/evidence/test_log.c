/* Appending, closing, killing, epochs, reading. */
#include <signal.h>

#include "helper.h"

#include <pthread.h>
#include <sys/resource.h>

static void test_open_append_close(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_elog_stat st;
    struct ea_position pos;
    struct ea_verify_report rep;
    struct ea_err err = {0};
    char text[128];

    append(l, 5, &pos);
    assert_int_equal(pos.epoch, 1);
    assert_int_equal(pos.seq, 5);
    ea_position_text(l, &pos, text);
    assert_true(ea_str_starts(ea_str(text), EA_STR("9b2c1a4e-0000-4000-8000-00000000000a-e1-5:")));
    assert_int_equal(strlen(text), 36 + 6 + 16);
    ea_elog_stat(l, &st);
    assert_string_equal(st.origin, "eucs-agent.local/c/6f1d0b9e-0000-4000-8000-000000000001/n/"
                                   "9b2c1a4e-0000-4000-8000-00000000000a/e/1");
    assert_int_equal(st.next_seq, 6);
    assert_true(st.healthy);
    /* Bad input is refused and changes nothing. */
    assert_int_equal(ea_elog_append(l, (enum ea_record_type)99, EA_STR("{}"), false, 0, NULL, &err),
                     -EINVAL);
    assert_int_equal(ea_elog_append(l, EA_REC_ASSESSMENT, EA_STR("[]"), false, 0, NULL, &err),
                     -EINVAL);
    close_log(l);
    rep = verify(test_dir);
    assert_true(rep.holds);
    assert_int_equal(rep.records, 7);
    assert_int_equal(rep.signed_records, 7);
    assert_int_equal(rep.unsigned_tail, 0);
    assert_int_equal(rep.epochs, 1);
    assert_int_equal(count_records(test_dir, NULL), 7);
    /* A clean close continues the epoch, also after another boot. */
    o.boot_id = "boot-b";
    l = open_log(&o);
    append(l, 100, &pos);
    assert_int_equal(pos.epoch, 1);
    assert_int_equal(pos.seq, 7 + 100);
    close_log(l);
    assert_holds(test_dir);
    assert_int_equal(count_records(test_dir, NULL), 7 + 1 + 100 + 1);
}

static void test_large_records(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    size_t n = 1000000;
    EA_AUTO_FREE char *body = malloc(n + 1);
    struct ea_position pos;
    struct ea_err err = {0};

    memset(body, 'x', n);
    memcpy(body, "{\"a\":\"", 6);
    memcpy(body + n - 2, "\"}", 3);
    append(l, 3, NULL);
    /* Larger than a segment: it gets one of its own. */
    for (int i = 0; i < 4; i++) {
        if (ea_elog_append(l, EA_REC_ASSESSMENT, ea_strn(body, n), false, 0, &pos, &err) != 0)
            fail_msg("%s", err.text);
        append(l, 3, NULL);
    }
    close_log(l);
    assert_holds(test_dir);
    assert_int_equal(count_records(test_dir, NULL), 1 + 3 + 4 * 4 + 1);
    l = open_log(&o);
    EA_AUTO_FREE char *big = malloc((1u << 20) + 1);
    memset(big, 'x', 1u << 20);
    memcpy(big, "{\"a\":\"", 6);
    memcpy(big + (1u << 20) - 2, "\"}", 3);
    assert_int_equal(
        ea_elog_append(l, EA_REC_ASSESSMENT, ea_strn(big, 1u << 20), false, 0, &pos, &err), -E2BIG);
    close_log(l);
}

static void test_two_owners(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o), *second = NULL;
    struct ea_err err = {0};
    pid_t pid;
    int status;

    assert_int_equal(ea_elog_open(&o, &second, &err), -EBUSY);
    assert_null(second);
    pid = fork();
    if (pid == 0)
        _exit(ea_elog_open(&o, &second, &err) == -EBUSY ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    append(l, 1, NULL);
    close_log(l);
    assert_holds(test_dir);
}

static void test_foreign_files(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = NULL;
    struct ea_err err = {0};

    sh("head -c 20000 /dev/urandom > %s/seg-0000000000000001.ev; sha256sum < "
       "%s/seg-0000000000000001.ev > %s.sum",
       test_dir, test_dir, test_dir);
    assert_int_equal(ea_elog_open(&o, &l, &err), -EINVAL);
    sh("sha256sum < %s/seg-0000000000000001.ev | cmp - %s.sum; rm %s.sum %s/seg-*", test_dir,
       test_dir, test_dir, test_dir);
    sh("echo hello > %s/state", test_dir);
    assert_int_equal(ea_elog_open(&o, &l, &err), -EINVAL);
    sh("grep -q hello %s/state", test_dir);
}

struct writer {
    struct ea_elog_opts o;
    unsigned n;
};

static void write_some(void *arg)
{
    struct writer *w = arg;
    struct ea_elog *l = open_log(&w->o);

    append(l, w->n, NULL);
}

static void test_kill_same_boot(void **state)
{
    struct writer w = {options(), 300};
    struct ea_position pos;
    struct ea_elog *l;

    in_killed_child(write_some, &w);
    assert_int_equal(count_records(test_dir, NULL), 301);
    assert_holds(test_dir);
    l = open_log(&w.o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1);
    assert_int_equal(pos.seq, 302); /* 0 opened, 300, reopened, this */
    close_log(l);
    assert_holds(test_dir);
    assert_int_equal(count_records(test_dir, NULL), 304);
}

static void test_kill_other_boot(void **state)
{
    struct writer w = {options(), 300};
    struct ea_verify_report rep;
    struct ea_position pos;
    struct ea_elog *l;

    in_killed_child(write_some, &w);
    w.o.boot_id = "boot-b";
    l = open_log(&w.o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 2);
    assert_int_equal(pos.seq, 1);
    close_log(l);
    rep = verify(test_dir);
    if (!rep.holds)
        fail_msg("%s", rep.where);
    assert_int_equal(rep.epochs, 2);
    assert_int_equal(rep.records, 301 + 3);
    /* What survived was signed by the old key, which is then gone. */
    assert_int_equal(rep.signed_records, 301 + 3);
    assert_int_equal(file_size(test_dir, "epochs/1/private.pem"), 0);
    assert_true(file_size(test_dir, "epochs/2/private.pem") > 0);
}

struct identity {
    uint64_t epoch, seq;
    uint8_t leaf[EA_SHA256_LEN];
};

static size_t collect(struct identity *v, size_t cap)
{
    struct ea_reader *r = NULL;
    struct ea_record_view view;
    struct ea_err err = {0};
    size_t n = 0;

    assert_int_equal(ea_reader_open(test_dir, 0, 0, &r, &err), 0);
    while (n < cap && ea_reader_next(r, &view, &err) == 0) {
        v[n] = (struct identity){.epoch = view.epoch, .seq = view.seq};
        ea_leaf_hash(view.bytes, v[n++].leaf);
    }
    ea_reader_close(r);
    return n;
}

/* Delivered, then lost with the power: the tail is cut at every length, the machine boots again,
 * and no id has two contents. */
static void test_ids_after_power_loss(void **state)
{
    static struct identity before[64], after[64];
    struct writer w = {options(), 20};
    struct ea_elog *l;
    size_t n, m;

    for (uint64_t cut = 0; cut < 3000; cut += 173) {
        uint64_t end = 0;

        in_killed_child(write_some, &w);
        n = collect(before, 64);
        assert_int_equal(n, 21);
        {
            struct ea_seg_image img;
            struct ea_err err;
            char path[EA_PATH];

            assert_int_equal(ea_seg_image_load(test_dir, 1, &img, &err), 0);
            end = ea_last_nonzero(img.p, img.n);
            memset(img.p + end - EA_MIN(cut, end), 0, EA_MIN(cut, end));
            assert_int_equal(ea_seg_path(path, test_dir, 1), 0);
            assert_int_equal(ea_write_file(path, img.p, img.n, 0600, &err), 0);
            ea_seg_image_done(&img);
        }
        w.o.boot_id = "boot-b";
        l = open_log(&w.o);
        append(l, 20, NULL);
        close_log(l);
        assert_holds(test_dir);
        m = collect(after, 64);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < m; k++)
                if (before[i].epoch == after[k].epoch && before[i].seq == after[k].seq)
                    assert_memory_equal(before[i].leaf, after[k].leaf, EA_SHA256_LEN);
        w.o.boot_id = "boot-a";
        sh("rm -rf '%s'/*", test_dir);
    }
}

static void test_epoch_numbers(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_position pos;
    struct ea_elog *l;

    o.first_epoch = 1789000000;
    o.min_epoch = 1789000005;
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1789000006);
    close_log(l);
    /* The published checkpoint is of this epoch and no longer than the log: it goes on. */
    o.min_epoch = 1789000006;
    o.min_size = 3;
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1789000006);
    close_log(l);
    /* The published one is longer: this log was set back. */
    o.min_size = 1000;
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1789000007);
    close_log(l);
    /* A known higher epoch. */
    o.min_epoch = 1800000000;
    o.min_size = 0;
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1800000001);
    close_log(l);
    /* Another key type, another origin. */
    o.key_type = EA_KEY_ECDSA_P256;
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1800000002);
    close_log(l);
    o.domain = "evidence.example.eu";
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1800000003);
    close_log(l);
    assert_int_equal(verify(test_dir).epochs, 5);
    assert_holds(test_dir);
}

static void test_shorter_than_checkpoint(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_verify_report rep;
    struct ea_position pos;

    append(l, 3, NULL);
    close_log(l);
    sh("cp -a '%s' '%s'", test_dir, test_dir2);
    l = open_log(&o);
    append(l, 3, NULL);
    close_log(l);
    /* The segment of an older backup, closed cleanly, beside the newer checkpoint. */
    sh("cp -a '%s'/seg-* '%s'/", test_dir2, test_dir);
    rep = verify(test_dir);
    assert_false(rep.holds);
    assert_non_null(strstr(rep.where, "cut"));
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 2);
    close_log(l);
    assert_false(verify(test_dir).holds); /* the old checkpoint still says what is missing */
}

static void test_checkpoints(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_elog_stat st;
    struct ea_err err = {0};
    struct ea_position pos;

    o.checkpoint_us = 100000;
    o.heartbeat_us = 300000;
    l = open_log(&o);
    append(l, 10, NULL);
    assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    ea_elog_stat(l, &st);
    assert_int_equal(st.last_checkpoint_size, 11);
    append(l, 1, &pos);
    for (int i = 0; i < 100 && st.last_checkpoint_size < 13; i++) {
        ea_sleep_us(20000);
        ea_elog_stat(l, &st);
    }
    assert_true(st.last_checkpoint_size >=
                13); /* 11, checkpoint.published, the one record; made by time */
    ea_sleep_us(150000);
    ea_elog_stat(l, &st);
    /* A checkpoint.published alone does not make the next checkpoint due. */
    assert_int_equal(st.next_seq, st.last_checkpoint_size + 1);
    for (int i = 0; i < 100 && st.next_seq == st.last_checkpoint_size + 1; i++) {
        ea_sleep_us(20000);
        ea_elog_stat(l, &st);
    }
    assert_true(st.next_seq > st.last_checkpoint_size + 1 ||
                st.last_checkpoint_size > 14); /* a heartbeat came */
    assert_int_equal(ea_elog_wait_synced(l, &pos, ea_mono_now() + 5000000), 0);
    close_log(l);
    assert_holds(test_dir);
}

/* 64 connections that each wait for their record: one sync serves many. */
struct always {
    struct ea_elog *l;
    unsigned n;
};

static void *always_thread(void *arg)
{
    struct always *a = arg;

    for (unsigned i = 0; i < a->n; i++) {
        struct ea_position pos;
        struct ea_err err = {0};

        if (ea_elog_append(a->l, EA_REC_ADMISSION_DECISION, EA_STR("{\"allowed\":true}"), false, 0,
                           &pos, &err) != 0 ||
            ea_elog_wait_synced(a->l, &pos, ea_mono_now() + 20000000) != 0)
            return (void *)1;
    }
    return NULL;
}

static int slow_sync(int fd)
{
    ea_sleep_us(2000); /* a disk, not a cache */
    return fdatasync(fd) == 0 ? 0 : -errno;
}

static void test_group_commit(void **state)
{
    struct ea_elog_opts o = options();
    pthread_t t[64];
    struct always a = {.n = 10};
    struct ea_elog_stat before, after;
    int (*quick)(int) = ea_evidence_io.sync;
    void *failed;

    o.sync = EA_SYNC_ALWAYS;
    o.segment_bytes = 1u << 20;
    ea_evidence_io.sync = slow_sync; /* before the log's thread runs */
    a.l = open_log(&o);
    ea_elog_stat(a.l, &before);
    for (size_t i = 0; i < EA_COUNT(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, always_thread, &a), 0);
    for (size_t i = 0; i < EA_COUNT(t); i++) {
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    ea_elog_stat(a.l, &after);
    close_log(a.l);
    ea_evidence_io.sync = quick;
    if (640 < 8 * (after.syncs - before.syncs))
        fail_msg("%" PRIu64 " syncs for 640 records", after.syncs - before.syncs);
    assert_holds(test_dir);
}

struct race {
    struct ea_elog *l;
    unsigned n, who;
};

static void *race_thread(void *arg)
{
    struct race *a = arg;

    for (unsigned i = 0; i < a->n; i++) {
        struct ea_err err = {0};
        char body[64];

        snprintf(body, sizeof(body), "{\"i\":%u,\"who\":%u}", i, a->who);
        if (ea_elog_append(a->l, EA_REC_ASSESSMENT, ea_str(body), i % 16 == 0,
                           i % 3 ? 0 : ea_mono_now() + 10000000, NULL, &err) != 0)
            return (void *)1;
    }
    return NULL;
}

static void *read_thread(void *arg)
{
    struct race *a = arg;
    struct ea_reader *r = NULL;
    struct ea_record_view v;
    struct ea_err err = {0};
    uint64_t next = 0;
    struct ea_record_parts p;

    if (ea_reader_open(test_dir, 0, 0, &r, &err) != 0)
        return (void *)1;
    while (next < a->n) {
        int c = ea_reader_next(r, &v, &err);

        if (c == -ENODATA) {
            (void)ea_elog_wait_appended(a->l, 1, next, 100000);
            continue;
        }
        if (c != 0 || v.seq != next || ea_record_parse(v.bytes, &p) != 0 || p.seq != next)
            break;
        next++;
    }
    ea_reader_close(r);
    return (void *)(uintptr_t)(next < a->n);
}

static void test_threads_and_reader(void **state)
{
    struct ea_elog_opts o = options();
    struct race a[4], reader;
    pthread_t t[4], rt;
    void *failed;

    o.segment_bytes = 65536;
    o.checkpoint_us = 20000;
    reader.l = open_log(&o);
    reader.n = 4 * 1000;
    assert_int_equal(pthread_create(&rt, NULL, read_thread, &reader), 0);
    for (unsigned i = 0; i < 4; i++) {
        a[i] = (struct race){reader.l, 1000, i};
        assert_int_equal(pthread_create(&t[i], NULL, race_thread, &a[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        struct ea_elog_stat st;

        ea_elog_stat(reader.l, &st);
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
    pthread_join(rt, &failed);
    assert_null(failed);
    assert_holds(test_dir); /* while it is open */
    close_log(reader.l);
    assert_holds(test_dir);
    assert_true(count_records(test_dir, NULL) >= 4002);
}

/* A child appends and says after each record that it has its answer; then it is killed. */
static void test_kill_while_appending(void **state)
{
    struct ea_elog_opts o = options();

    o.segment_bytes = 32768;
    for (int round = 0; round < 5; round++) {
        int pipefd[2], status;
        uint64_t acked = 0, id[2];
        struct ea_reader *r = NULL;
        struct ea_record_view v;
        struct ea_err err = {0};
        bool found = false;
        pid_t pid;

        assert_int_equal(pipe(pipefd), 0);
        pid = fork();
        if (pid == 0) {
            struct ea_elog *l = open_log(&o);

            for (;;) {
                struct ea_position pos;

                append(l, 1, &pos);
                if (write(pipefd[1], (uint64_t[]){pos.epoch, pos.seq}, 16) != 16)
                    _exit(1);
            }
        }
        close(pipefd[1]);
        while (acked < 200 + 100 * (uint64_t)round && read(pipefd[0], id, 16) == 16)
            acked++;
        kill(pid, SIGKILL);
        while (read(pipefd[0], id, 16) == 16)
            acked++;
        close(pipefd[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(acked >= 200);
        assert_int_equal(ea_reader_open(test_dir, id[0], id[1], &r, &err), 0);
        found = ea_reader_next(r, &v, &err) == 0 && v.epoch == id[0] && v.seq == id[1];
        ea_reader_close(r);
        assert_true(found);
        assert_holds(test_dir);
    }
    close_log(open_log(&o));
    assert_holds(test_dir);
    assert_int_equal(verify(test_dir).unsigned_tail, 0);
}

static void test_reader_positions(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_err err = {0};
    struct ea_reader *r;
    struct ea_record_view v;
    uint64_t n;

    append(l, 200, NULL);
    for (uint64_t seq = 0; seq < 200; seq += 13) {
        assert_int_equal(ea_reader_open(test_dir, 1, seq, &r, &err), 0);
        assert_int_equal(ea_reader_next(r, &v, &err), 0);
        assert_int_equal(v.seq, seq);
        ea_reader_close(r);
    }
    assert_int_equal(ea_reader_open(test_dir, 1, 201, &r, &err), 0);
    assert_int_equal(ea_reader_next(r, &v, &err), -ENODATA);
    append(l, 1, NULL);
    assert_int_equal(ea_reader_next(r, &v, &err), 0);
    assert_int_equal(v.seq, 201);
    ea_reader_close(r);
    assert_int_equal(ea_evidence_count_from(test_dir, 1, 100, &n, &err), 0);
    assert_int_equal(n, 102);
    assert_int_equal(ea_elog_wait_appended(l, 1, 202, 10000), -ETIME);
    assert_int_equal(ea_elog_wait_appended(l, 1, 201, 10000), 0);
    close_log(l);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, gone)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_open_append_close),       T(test_large_records),        T(test_two_owners),
        T(test_foreign_files),           T(test_kill_same_boot),       T(test_kill_other_boot),
        T(test_epoch_numbers),           T(test_ids_after_power_loss), T(test_checkpoints),
        T(test_shorter_than_checkpoint), T(test_group_commit),         T(test_threads_and_reader),
        T(test_kill_while_appending),    T(test_reader_positions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
