/* Truncation at every byte, flipped bits everywhere, zeros and garbage in the tail, failing disks:
 * nothing is lost silently. */
#include <signal.h>

#include "helper.h"

#include <sys/resource.h>

/* A closed log of three records (opened, one, closed) in one segment, with a cursor, every file of
 * it in memory. */
struct file {
    char name[64];
    uint8_t *p;
    uint64_t n;
};
static struct file files[16];
static size_t n_files;

static void load_file(const char *name)
{
    struct file *f = &files[n_files++];
    char path[EA_PATH];
    struct ea_err err;
    size_t n = 0;

    snprintf(f->name, sizeof(f->name), "%s", name);
    assert_int_equal(ea_path(path, test_dir, "%s", name), 0);
    if (ea_read_file(path, 1u << 20, (char **)&f->p, &n, &err) != 0)
        fail_msg("%s", err.text);
    f->n = n;
}

static void save_file(const struct file *f, uint64_t n)
{
    char path[EA_PATH];
    int fd;

    assert_int_equal(ea_path(path, test_dir, "%s", f->name), 0);
    fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ea_write_all(fd, f->p, n), 0);
    close(fd);
}

static void small_log(void)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_cursor cur = {.epoch = 1, .seq_next = 2, .segment = 1, .offset = 128, .acked = 2};
    struct ea_state st;
    struct ea_slots_found found;
    struct ea_err err;

    o.cluster_uid = o.node_uid = NULL; /* so that uids is there too */
    l = open_log(&o);
    append(l, 1, NULL);
    close_log(l);
    assert_int_equal(ea_state_load(test_dir, &st, &found), 0);
    memcpy(cur.uuid, st.uuid, 16);
    assert_int_equal(ea_cursor_store(test_dir, "siem", &cur, &err), 0);
    n_files = 0;
    load_file("seg-0000000000000001.ev");
    load_file("state");
    load_file("cur-siem");
    load_file("uids");
    load_file("epochs/1/checkpoint");
    load_file("epochs/1/key.pem");
    load_file("epochs/1/private.pem");
    load_file("epochs/1/origin");
}

static void drop_files(void)
{
    for (size_t i = 0; i < n_files; i++)
        free(files[i].p);
    n_files = 0;
}

static void must_break(const struct file *f, uint64_t off, uint8_t mask)
{
    struct ea_verify_report rep;

    flip(test_dir, f->name, off, mask);
    rep = verify(test_dir);
    flip(test_dir, f->name, off, mask);
    if (rep.holds)
        fail_msg("%s: byte %" PRIu64 " xor %02x was not noticed", f->name, off, mask);
    if (rep.where[0] == '\0')
        fail_msg("%s: byte %" PRIu64 ": no place is named", f->name, off);
}

static void test_every_flip(void **state)
{
    uint64_t used;

    small_log();
    assert_holds(test_dir);
    used = ea_last_nonzero(files[0].p, files[0].n);
    assert_true(used > 128 + 3 * 40);
    /* Every bit of header, records and pads; a bit of every byte of the small files; samples of
     * zeros. */
    for (uint64_t i = 0; i < used * 8; i += getenv("EA_TEST_ALL") ? 1 : 3)
        must_break(&files[0], i / 8, (uint8_t)(1u << (i % 8)));
    for (uint64_t i = used; i < files[0].n; i += i < used + 16 ? 1 : 509)
        must_break(&files[0], i, (uint8_t)(1u << (i % 8)));
    must_break(&files[0], files[0].n - 1, 0x80);
    for (size_t k = 1; k < n_files; k++)
        for (uint64_t i = 0; i < files[k].n;
             i += (i > 130 && files[k].n > 4096 && i < 4090) || i > 4240 ? 61 : 1)
            must_break(&files[k], i, (uint8_t)(1u << ((i * 5) % 8)));
    assert_holds(test_dir);
    drop_files();
}

/* After a restart the flip costs one record at most, and the log still says so. */
static void test_flip_and_restart(void **state)
{
    struct ea_elog_opts o = options();
    uint64_t used;

    small_log();
    used = ea_last_nonzero(files[0].p, files[0].n);
    o.cluster_uid = o.node_uid = NULL;
    for (uint64_t i = EA_SEG_HEADER; i < used; i += 23) {
        uint64_t damaged = 0, n;
        struct ea_elog *l;

        flip(test_dir, files[0].name, i, (uint8_t)(1u << (i % 8)));
        l = open_log(&o);
        append(l, 1, NULL);
        close_log(l);
        assert_false(verify(test_dir).holds);
        n = count_records(test_dir, &damaged);
        /* 3 old ones of which one may be gone, 3 new ones, and evidence.loss when one inside was
         * lost. A flip in a pad costs none. */
        if (n < 5 || n > 7)
            fail_msg("byte %" PRIu64 ": %" PRIu64 " records are left", i, n);
        sh("rm -rf '%s'/*; mkdir -p '%s'/epochs/1", test_dir, test_dir);
        for (size_t k = 0; k < n_files; k++)
            save_file(&files[k], files[k].n);
    }
    drop_files();
}

/* A flip in the segment's header costs no record. */
static void test_header_is_rebuilt(void **state)
{
    struct ea_elog_opts o = options();

    o.cluster_uid = o.node_uid = NULL;
    small_log();
    for (uint64_t i = 0; i < EA_SEG_HEADER; i += 11) {
        struct ea_elog *l;

        flip(test_dir, files[0].name, i, 0x10);
        assert_int_equal(count_records(test_dir, NULL), 3);
        assert_false(verify(test_dir).holds);
        l = open_log(&o);
        append(l, 1, NULL);
        close_log(l);
        assert_int_equal(count_records(test_dir, NULL), 6);
        sh("rm -rf '%s'/*; mkdir -p '%s'/epochs/1", test_dir, test_dir);
        for (size_t k = 0; k < n_files; k++)
            save_file(&files[k], files[k].n);
    }
    drop_files();
}

/* Recovery of a segment cut at any byte yields exactly a prefix, and what follows has other ids. */
static void test_truncate_everywhere(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_seg_image img;
    struct ea_err err;
    uint64_t ends[4], used, k = 0;
    struct ea_scan scan;
    struct ea_scan_item it;
    struct ea_seg_header h;

    o.cluster_uid = o.node_uid = NULL;
    small_log();
    assert_int_equal(ea_seg_image_load(test_dir, 1, &img, &err), 0);
    assert_int_equal(ea_seg_header_get(img.p, &h), 0);
    ea_scan_init(&scan, img.p, img.limit, &h);
    while (ea_scan_next(&scan, &it) == EA_SCAN_RECORD)
        ends[k++] = it.off + EA_REC_HEADER + it.h.len; /* the pad may be cut off */
    assert_int_equal(k, 3);
    used = ea_last_nonzero(img.p, img.n);
    ea_seg_image_done(&img);
    for (uint64_t cut = 0; cut <= used; cut++) {
        uint64_t want = 0, damaged = 0, got;

        save_file(&files[0], cut);
        for (k = 0; k < 3; k++)
            want += ends[k] <= cut;
        got = count_records(test_dir, &damaged);
        if (got != want || damaged != 0)
            fail_msg("cut at %" PRIu64 ": %" PRIu64 " records and %" PRIu64
                     " damaged, wanted %" PRIu64,
                     cut, got, damaged, want);
        if (verify(test_dir).holds)
            fail_msg("cut at %" PRIu64 " was not noticed", cut);
    }
    for (uint64_t cut = 0; cut <= used; cut += 97) {
        struct ea_position pos;
        struct ea_elog *l;
        uint64_t want = 0;

        save_file(&files[0], cut);
        for (k = 0; k < 3; k++)
            want += ends[k] <= cut;
        l = open_log(&o);
        append(l, 1, &pos);
        assert_true(pos.epoch >= 2);
        close_log(l);
        assert_int_equal(count_records(test_dir, NULL), want + 3);
        sh("rm -rf '%s'/*; mkdir -p '%s'/epochs/1", test_dir, test_dir);
        for (k = 0; k < n_files; k++)
            save_file(&files[k], files[k].n);
    }
    drop_files();
}

static void open_and_leave(void *arg)
{
    struct ea_elog *l = open_log(arg);

    append(l, 20, NULL);
}

/* What a crash can leave behind the last record. */
static void test_tails(void **state)
{
    struct ea_elog_opts o = options();
    static const uint8_t garbage[] =
        "EVR1 this is no record, and it is long enough to look like a header of one, nearly";

    for (unsigned kind = 0; kind < 4; kind++) {
        struct ea_seg_image img;
        struct ea_err err;
        struct ea_elog *l;
        struct ea_elog_stat st;
        char path[EA_PATH];
        uint64_t end;
        int fd;

        in_killed_child(open_and_leave, &o);
        assert_int_equal(ea_seg_image_load(test_dir, 1, &img, &err), 0);
        end = (ea_last_nonzero(img.p, img.n) + 7) & ~7ull;
        assert_int_equal(ea_seg_path(path, test_dir, 1), 0);
        fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        if (kind == 1)
            assert_int_equal(ea_pwrite_all(fd, garbage, sizeof(garbage), end), 0);
        if (kind == 2) /* a copy of an earlier record, whole */
            assert_int_equal(ea_pwrite_all(fd, img.p + EA_SEG_HEADER, 512, end), 0);
        if (kind == 3)
            assert_int_equal(ea_pwrite_all(fd, "x", 1, end + 4000), 0);
        close(fd);
        ea_seg_image_done(&img);
        if (kind > 0)
            assert_false(verify(test_dir).holds);
        l = open_log(&o);
        ea_elog_stat(l, &st);
        assert_int_equal(st.epoch, kind == 0 ? 1 : 2);
        assert_int_equal(st.quarantined > 0, kind > 0);
        append(l, 1, NULL);
        close_log(l);
        assert_holds(test_dir);
        if (kind > 0)
            sh("ls '%s'/quarantine/*.bin > /dev/null", test_dir);
        assert_int_equal(count_records(test_dir, NULL), 24);
        sh("rm -rf '%s'/*", test_dir);
    }
}

static void test_lost_files(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_position pos;
    struct ea_elog *l;
    static const char *const victims[] = {"state", "epochs/1/private.pem", "epochs/1/origin",
                                          "seg-*"};

    for (size_t i = 0; i < EA_COUNT(victims); i++) {
        l = open_log(&o);
        append(l, 5, NULL);
        close_log(l);
        sh("rm -f '%s'/%s", test_dir, victims[i]);
        l = open_log(&o);
        append(l, 1, &pos);
        assert_int_equal(pos.epoch, 2);
        close_log(l);
        /* Missing records and a missing origin are breaches; a missing state or private key is only
         * a new epoch. */
        assert_int_equal(verify(test_dir).holds, i < 2);
        sh("rm -rf '%s'/*", test_dir);
    }
    /* Both slots broken. */
    l = open_log(&o);
    append(l, 5, NULL);
    close_log(l);
    flip(test_dir, "state", 20, 1);
    flip(test_dir, "state", 4096 + 20, 1);
    assert_false(verify(test_dir).holds);
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 2);
    close_log(l);
    assert_holds(test_dir);
    /* One slot broken: nothing happens but that verify says so until the next write. */
    flip(test_dir, "state", 20, 1);
    assert_false(verify(test_dir).holds);
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 2);
    close_log(l);
    assert_holds(test_dir);
}

/* ---- a disk that fails ---- */

static struct ea_evidence_io real_io;
static int fail_syncs;

static int failing_sync(int fd)
{
    if (__atomic_load_n(&fail_syncs, __ATOMIC_RELAXED) > 0 &&
        __atomic_fetch_sub(&fail_syncs, 1, __ATOMIC_RELAXED) > 0)
        return -EIO;
    return real_io.sync(fd);
}

static void test_sync_fails(void **state)
{
    for (int failures = 1; failures <= 4; failures++) {
        struct ea_elog_opts o = options();
        struct ea_elog *l;
        struct ea_position pos;
        struct ea_elog_stat st;

        real_io = ea_evidence_io;
        ea_evidence_io.sync = failing_sync;
        l = open_log(&o);
        append(l, 60, &pos);
        assert_int_equal(ea_elog_wait_synced(l, &pos, ea_mono_now() + 5000000), 0);
        append(l, 60, &pos);
        __atomic_store_n(&fail_syncs, failures, __ATOMIC_RELAXED);
        append(l, 3, &pos);
        for (int i = 0; i < 100; i++) {
            int r = ea_elog_wait_synced(l, &pos, ea_mono_now() + 1000000);

            if (r == 0)
                break;
            assert_true(r == -EIO || r == -ETIME); /* and tried again a second later */
            ea_sleep_us(50000);
        }
        ea_elog_stat(l, &st);
        assert_true(st.healthy);
        assert_true(st.synced_seq >= pos.end);
        append(l, 60, &pos);
        close_log(l);
        ea_evidence_io = real_io;
        assert_holds(test_dir);
        assert_true(st.sync_errors > 0);
        sh("cat '%s'/seg-* | grep -a -q log.io_error", test_dir);
        l = open_log(&o);
        append(l, 1, &pos);
        assert_int_equal(pos.epoch, 1);
        close_log(l);
        assert_holds(test_dir);
        assert_true(count_records(test_dir, NULL) >= 60 + 60 + 3 + 60 + 5);
        sh("rm -rf '%s'/*", test_dir);
    }
}

static unsigned write_calls, fail_write_at; /* 0 = none fails */

static int failing_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    unsigned at = __atomic_load_n(&fail_write_at, __ATOMIC_RELAXED);

    if (at && __atomic_add_fetch(&write_calls, 1, __ATOMIC_RELAXED) == at) {
        if (n > 100)
            (void)!real_io.pwrite_all(fd, p, n / 2, off); /* half of it got there */
        return -EIO;
    }
    return real_io.pwrite_all(fd, p, n, off);
}

static void test_write_fails(void **state)
{
    for (unsigned fail_at = 1; fail_at < 20; fail_at++) {
        struct ea_elog_opts o = options();
        unsigned ok = 0, failed = 0;
        uint64_t last = 0;
        struct ea_elog *l;

        real_io = ea_evidence_io;
        ea_evidence_io.pwrite_all = failing_pwrite;
        l = open_log(&o);
        append(l, 1, NULL);
        assert_int_equal(ea_elog_wait_synced(l, &(struct ea_position){.epoch = 1, .end = 2}, 0), 0);
        __atomic_store_n(&write_calls, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&fail_write_at, fail_at, __ATOMIC_RELAXED);
        for (int i = 0; i < 60; i++) {
            struct ea_position pos;
            struct ea_err err;
            int r = ea_elog_append(l, EA_REC_ASSESSMENT,
                                   EA_STR("{\"a\":\"0123456789012345678901234567890123456789\"}"),
                                   false, 0, &pos, &err);

            if (r == 0) {
                assert_true(pos.seq > last);
                last = pos.seq;
                ok++;
            } else {
                assert_int_equal(r, -EIO);
                failed++;
            }
        }
        __atomic_store_n(&fail_write_at, 0, __ATOMIC_RELAXED);
        close_log(l);
        ea_evidence_io = real_io;
        assert_true(failed <= 1);
        assert_holds(test_dir);
        assert_true(count_records(test_dir, NULL) >= ok + 3);
        sh("rm -rf '%s'/*", test_dir);
    }
}

/* No more file size is to be had: the answer is an error, at once, and the log holds. */
static void no_space_child(void *arg)
{
    struct ea_elog_opts *o = arg;
    struct ea_elog *l = open_log(o);
    unsigned failed = 0;

    append(l, 10, NULL);
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){12000, 12000}) != 0)
        _exit(97);
    for (int i = 0; i < 100; i++) {
        struct ea_err err;

        failed += ea_elog_append(l, EA_REC_ASSESSMENT, EA_STR("{\"a\":1}"), false,
                                 ea_mono_now() + 3000000, NULL, &err) < 0;
    }
    if (failed == 0 || failed == 100)
        _exit(98);
}

static void test_no_space(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;

    in_killed_child(no_space_child, &o);
    assert_true(count_records(test_dir, NULL) > 11);
    l = open_log(&o);
    append(l, 10, NULL);
    close_log(l);
    assert_holds(test_dir);
}

/* ---- the limit ---- */

static void test_evict_oldest(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_elog_stat st;
    struct ea_verify_report rep;
    uint64_t total;
    struct ea_err err;

    o.disk_limit = 5 * 16384;
    l = open_log(&o);
    for (int i = 0; i < 20; i++) {
        append(l, 50, NULL);
        assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    }
    ea_elog_stat(l, &st);
    assert_true(st.healthy);
    assert_true(st.evicted > 300);
    assert_true(st.bytes <= 6 * 16384 + st.evicted * 64);
    close_log(l);
    rep = verify(test_dir);
    if (!rep.holds)
        fail_msg("%s", rep.where);
    assert_true(rep.absent > 300);
    assert_int_equal(rep.unsigned_tail, 0);
    assert_int_equal(ea_evidence_count_from(test_dir, 0, 0, &total, &err), 0);
    assert_int_equal(total, rep.absent + rep.records);
    sh("cat '%s'/seg-* | grep -a -q evidence.loss", test_dir);
    assert_int_equal(count_records(test_dir, NULL), rep.records);
    /* It goes on with the tree that the leaves tell. */
    o.disk_limit = 1u << 20;
    l = open_log(&o);
    append(l, 200, NULL);
    close_log(l);
    assert_holds(test_dir);
    /* A flipped leaf of a freed record is found by the root hash. */
    flip(test_dir, "epochs/1/leaves", 1000, 4);
    assert_false(verify(test_dir).holds);
    flip(test_dir, "epochs/1/leaves", 1000, 4);
    /* A lost segment in the middle is found. */
    sh("cd '%s' && rm $(ls seg-* | sed -n 2p)", test_dir);
    assert_false(verify(test_dir).holds);
}

static void test_block_when_full(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_err err;
    unsigned ok = 0;
    int r = 0;

    o.disk_limit = 3 * 16384;
    o.block_when_full = true;
    l = open_log(&o);
    while (ok < 1000 && (r = ea_elog_append(l, EA_REC_ASSESSMENT, EA_STR("{\"a\":1}"), false, 0,
                                            NULL, &err)) == 0)
        ok++;
    assert_int_equal(r, -ENOSPC);
    assert_true(ok > 20);
    assert_int_equal(ea_elog_close(l, "sigterm", &err),
                     -ENOSPC); /* no room for log.closed: not a clean close */
    assert_holds(test_dir);
    assert_true(count_records(test_dir, NULL) >= ok);
}

/* A whole epoch freed: its hashes and its checkpoint still verify, and the link to the next one. */
static void test_epoch_freed(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_verify_report rep;
    struct ea_err err = {0};
    char out[400];

    o.disk_limit = 6 * 16384;
    l = open_log(&o);
    append(l, 100, NULL);
    close_log(l);
    o.key_type = EA_KEY_ECDSA_P256;
    l = open_log(&o);
    for (int i = 0; i < 10; i++) {
        append(l, 50, NULL);
        assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    }
    close_log(l);
    assert_int_equal(file_size(test_dir, "epochs/1/leaves"), 102 * 32);
    rep = verify(test_dir);
    if (!rep.holds)
        fail_msg("%s", rep.where);
    assert_int_equal(rep.epochs, 2);
    assert_true(rep.absent > 102);
    snprintf(out, sizeof(out), "%s/export", test_dir);
    if (ea_evidence_export(test_dir, out, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(verify(out).absent, rep.absent);
    assert_holds(out);
    flip(test_dir, "epochs/1/leaves", 33, 1);
    assert_false(verify(test_dir).holds);
}

static int nearly_full(const char *dir, uint64_t *ret_free, uint64_t *ret_total)
{
    *ret_free = 14u << 20;
    *ret_total = 100u << 20;
    return 0;
}

/* Others have filled the disk: the log shrinks to its least and goes on. */
static void test_keeps_disk_free(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_elog_stat st;

    real_io = ea_evidence_io;
    ea_evidence_io.space = nearly_full;
    o.keep_free_percent = 0; /* the default, 15 */
    l = open_log(&o);
    append(l, 500, NULL);
    ea_elog_stat(l, &st);
    close_log(l);
    ea_evidence_io = real_io;
    assert_true(st.healthy);
    if (st.evicted <= 100 || st.bytes > 4 * 16384 + st.evicted * 64)
        fail_msg("%" PRIu64 " evicted, %" PRIu64 " bytes left, next seq %" PRIu64, st.evicted,
                 st.bytes, st.next_seq);
    assert_holds(test_dir);
}

/* The kernel syncs when it likes: checkpoints sync, and a failed sync loses nothing that was
 * written. */
static void test_sync_os(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_position pos;
    struct ea_elog_stat st;
    struct ea_err err;

    o.sync = EA_SYNC_OS;
    real_io = ea_evidence_io;
    ea_evidence_io.sync = failing_sync;
    l = open_log(&o);
    append(l, 200, &pos);
    assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    ea_elog_stat(l, &st);
    assert_int_equal(st.last_checkpoint_size, 201);
    append(l, 20, &pos);
    __atomic_store_n(&fail_syncs, 1, __ATOMIC_RELAXED);
    assert_int_equal(ea_elog_checkpoint(l, &err), 0); /* goes on in a new segment */
    append(l, 20, &pos);
    assert_int_equal(ea_elog_wait_synced(l, &pos, ea_mono_now() + 5000000), 0);
    ea_elog_stat(l, &st);
    assert_true(st.healthy);
    assert_int_equal(st.sync_errors, 1);
    close_log(l);
    ea_evidence_io = real_io;
    assert_holds(test_dir);
    assert_true(count_records(test_dir, NULL) >= 242);
    l = open_log(&o);
    append(l, 1, &pos);
    assert_int_equal(pos.epoch, 1);
    close_log(l);
    assert_holds(test_dir);
}

static int stuck_syncs;

static int stuck_sync(int fd)
{
    while (__atomic_load_n(&stuck_syncs, __ATOMIC_RELAXED))
        ea_sleep_us(1000);
    return real_io.sync(fd);
}

/* A disk that does not answer: the append gives up at its deadline, says so, and goes on when the
 * disk does. */
static void test_deadline(void **state)
{
    static char body[200000];
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_err err;
    ea_mono_us start;
    unsigned ok = 0;
    int r = 0;

    o.segment_bytes = 32u << 20;
    memset(body, 'x', sizeof(body));
    memcpy(body, "{\"a\":\"", 6);
    memcpy(body + sizeof(body) - 2, "\"}", 2);
    real_io = ea_evidence_io;
    ea_evidence_io.sync = stuck_sync;
    l = open_log(&o);
    __atomic_store_n(&stuck_syncs, 1, __ATOMIC_RELAXED);
    start = ea_mono_now();
    while (r == 0 && ok < 1000) {
        start = ea_mono_now();
        r = ea_elog_append(l, EA_REC_ASSESSMENT, ea_strn(body, sizeof(body)), false, start + 100000,
                           NULL, &err);
        ok += r == 0;
    }
    assert_int_equal(r, -ETIME);
    assert_true(ea_mono_now() - start < 3000000);
    assert_true(ok >= 15 && ok <= 25); /* 4 MiB */
    __atomic_store_n(&stuck_syncs, 0, __ATOMIC_RELAXED);
    assert_int_equal(ea_elog_append(l, EA_REC_ASSESSMENT, ea_strn(body, sizeof(body)), true,
                                    ea_mono_now() + 20000000, NULL, &err),
                     0);
    close_log(l);
    ea_evidence_io = real_io;
    assert_holds(test_dir);
    assert_int_equal(count_records(test_dir, NULL), ok + 3);
}

static void test_volatile(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog_stat st;
    struct ea_elog *l;
    char path[] = "/dev/shm/ea-evidence-XXXXXX";

    if (access("/dev/shm", W_OK) != 0)
        return; /* no file system in memory here */
    assert_non_null(mkdtemp(path));
    o.dir = path;
    l = open_log(&o);
    ea_elog_stat(l, &st);
    close_log(l);
    sh("rm -rf %s", path);
    assert_true(st.volatile_fs);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, gone)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_every_flip),
        T(test_flip_and_restart),
        T(test_header_is_rebuilt),
        T(test_truncate_everywhere),
        T(test_tails),
        T(test_lost_files),
        T(test_sync_fails),
        T(test_write_fails),
        T(test_no_space),
        T(test_evict_oldest),
        T(test_block_when_full),
        T(test_epoch_freed),
        T(test_keeps_disk_free),
        T(test_sync_os),
        T(test_deadline),
        T(test_volatile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
