/* evidence/log.c - opening, appending, closing. Where a record goes: render, hash, one pwrite,
 * advance. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/crc32c.h"
#include "evidence/log_int.h"

#define FS_TMPFS 0x01021994
#define FS_RAMFS 0x858458f6
#define FS_OVERLAY 0x794c7630

/* ---- locks and waiting ---- */

int ea_elog_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, ea_mono_us until)
{
    struct timespec ts = {.tv_sec = (time_t)(until / 1000000),
                          .tv_nsec = (long)(until % 1000000) * 1000};

    if (until == 0)
        return -pthread_cond_wait(c, m);
    return -pthread_cond_timedwait(c, m, &ts);
}

int ea_elog_lock(struct ea_elog *l, ea_mono_us deadline)
{
    struct timespec ts = {.tv_sec = (time_t)(deadline / 1000000),
                          .tv_nsec = (long)(deadline % 1000000) * 1000};

    if (deadline == 0 || pthread_mutex_trylock(&l->m) == 0)
        return deadline == 0 ? -pthread_mutex_lock(&l->m) : 0;
#if defined(__SANITIZE_THREAD__)
    /* The thread sanitizer does not know pthread_mutex_clocklock. */
    while (pthread_mutex_trylock(&l->m) != 0) {
        if (ea_mono_now() >= deadline)
            return -ETIME;
        ea_sleep_us(50);
    }
    (void)ts;
    return 0;
#else
    return pthread_mutex_clocklock(&l->m, CLOCK_MONOTONIC, &ts) == 0 ? 0 : -ETIME;
#endif
}

/* ---- appending ---- */

void ea_batch_done(struct ea_batch *b)
{
    free(b->p);
    free(b->leaves);
    *b = (struct ea_batch){0};
}

/* Grows to at most EA_MAX_UNSYNCED and a record, and stays; nothing is allocated per record. */
static void batch_room(struct ea_batch *b, size_t more)
{
    if (b->cap - b->n < more) {
        b->cap = EA_MAX(b->n + more, EA_MAX(2 * b->cap, (size_t)65536));
        b->p = ea_xrealloc(b->p, b->cap);
    }
    if (b->count == b->leaves_cap) {
        b->leaves_cap = EA_MAX(2 * b->leaves_cap, (size_t)256);
        b->leaves = ea_xrealloc(b->leaves, b->leaves_cap * EA_SHA256_LEN);
    }
}

/* The prepared file becomes the current segment: a header and a rename, no sync. */
static int rotate(struct ea_elog *l)
{
    struct ea_seg_header h = {
        .epoch = l->epoch, .first_seq = l->next_seq, .created_ms = (uint64_t)ea_wall_now() / 1000};
    char from[EA_PATH], to[EA_PATH];
    uint8_t raw[EA_SEG_HEADER];
    int r;

    memcpy(h.uuid, l->state.uuid, 16);
    memcpy(h.prev_leaf, l->prev, EA_SHA256_LEN);
    ea_seg_header_put(raw, &h);
    if ((r = ea_path(from, l->dir, "next.tmp")) < 0 ||
        (r = ea_seg_path(to, l->dir, l->next_number)) < 0 ||
        (r = ea_evidence_io.pwrite_all(l->next_fd, raw, sizeof(raw), 0)) < 0)
        return r;
    if (rename(from, to) < 0)
        return -errno;
    l->folder_dirty = true;
    if (l->cur.fd >= 0)
        l->full[l->n_full++] = (struct ea_full_seg){l->cur, l->next_seq - 1};
    l->cur = (struct ea_open_seg){l->next_number++, l->next_seq,
                                  l->next_size,     EA_SEG_HEADER,
                                  l->next_fd,       ea_rec_seed(h.uuid, h.epoch, h.first_seq)};
    l->next_fd = -1;
    l->next_size = 0;
    l->want_size = 0;
    return 0;
}

/* Gets a segment with room for `need` bytes. 0, 1 = wait and try again, -errno. */
static int segment_room(struct ea_elog *l, uint64_t need)
{
    if (l->cur.fd >= 0 && l->cur.end + need + EA_FOOTER <= l->cur.size)
        return 0;
    if (l->next_fd >= 0 && EA_SEG_HEADER + need + EA_FOOTER <= l->next_size &&
        l->n_full < EA_PENDING_SEGMENTS)
        return rotate(l);
    if (l->next_err && l->next_fd < 0)
        return l->next_err;
    if (l->next_fd >= 0 && EA_SEG_HEADER + need + EA_FOOTER > l->next_size)
        l->want_size = EA_SEG_HEADER + need + EA_FOOTER;
    l->want_next = true;
    return 1;
}

/* Waits for room in memory and on disk. wait false: -EAGAIN instead. */
static int room(struct ea_elog *l, uint64_t need, bool wait, ea_mono_us deadline)
{
    for (;;) {
        int r = 1;

        if (l->closed)
            return -ESHUTDOWN;
        if (l->broken && l->flight_bytes + l->fill.n + need > EA_MAX_UNSYNCED)
            return -EIO;
        if (l->flight_bytes + l->fill.n + need <= EA_MAX_UNSYNCED)
            r = l->broken && l->cur.fd < 0 ? -EIO : segment_room(l, need);
        else
            l->urgent = true;
        if (r <= 0)
            return r;
        pthread_cond_signal(&l->wake);
        if (!wait)
            return -EAGAIN;
        if (ea_elog_cond_wait(&l->moved, &l->m, deadline) == -ETIMEDOUT)
            return -ETIME;
    }
}

/* A write that failed half-way leaves bytes behind the end: take them away, or leave the segment.
 */
static int write_failed(struct ea_elog *l, size_t n, int code)
{
    l->write_failed = true;
    l->lost++;
    if (ea_zero_range(l->cur.fd, l->cur.end, n) < 0) {
        struct stat st;

        /* Nothing beyond the file's end can have been written when the write failed for lack of
         * size. */
        if (fstat(l->cur.fd, &st) == 0 && (uint64_t)st.st_size <= l->cur.end)
            return code;
        l->cur.size = 0; /* no room: the next append rotates */
    }
    return code;
}

static void wake_after_append(struct ea_elog *l, bool urgent, size_t size)
{
    bool wake = !l->dirty;

    l->dirty = true;
    if ((l->sync == EA_SYNC_ALWAYS || (urgent && l->sync == EA_SYNC_INTERVAL)) && !l->urgent)
        wake = l->urgent = true;
    if (l->fill.n >= EA_MAX_UNSYNCED / 4 && l->fill.n - size < EA_MAX_UNSYNCED / 4)
        wake = l->urgent = true;
    if (l->next_fd < 0 && !l->want_next && !l->next_err && l->cur.end > l->cur.size / 2)
        wake = l->want_next = true;
    if (wake)
        pthread_cond_signal(&l->wake);
    if (l->appended_waiters)
        pthread_cond_broadcast(&l->appended);
}

/* m is held. */
static int append_held(struct ea_elog *l, enum ea_record_type type, struct ea_str body, bool urgent,
                       bool wait, ea_mono_us deadline, struct ea_position *ret)
{
    struct ea_str name = ea_str(ea_record_type_name(type)), origin = {l->origin, l->origin_n};
    size_t bound = ea_record_bound(name, origin, body), size;
    struct ea_rec_header h = {.type = (uint16_t)type};
    uint8_t leaf[EA_SHA256_LEN];
    char *at;
    int r = room(l, ea_rec_size(bound), wait, deadline);

    if (r < 0)
        return r;
    batch_room(&l->fill, ea_rec_size(bound));
    at = l->fill.p + l->fill.n;
    h.seq = l->next_seq;
    h.time_ms = (uint64_t)(ea_wall_now() / 1000);
    h.len =
        (uint32_t)ea_record_put(at + EA_REC_HEADER, name, origin, h.seq, h.time_ms, l->prev, body);
    size = ea_rec_size(h.len);
    memset(at + EA_REC_HEADER + h.len, 0, size - EA_REC_HEADER - h.len);
    h.payload_crc = ea_crc32c(0, at + EA_REC_HEADER, h.len);
    ea_rec_header_put((uint8_t *)at, l->cur.seed, &h);
    ea_leaf_hash(ea_strn(at + EA_REC_HEADER, h.len), leaf);
    if ((r = ea_evidence_io.pwrite_all(l->cur.fd, at, size, l->cur.end)) < 0)
        return write_failed(l, size, r);
    /* Only here, after the whole write, does anything advance. */
    l->write_failed = false;
    l->cur.end += size;
    l->next_seq++;
    memcpy(l->prev, leaf, EA_SHA256_LEN);
    memcpy(l->fill.leaves[l->fill.count++], leaf, EA_SHA256_LEN);
    if (l->sync != EA_SYNC_OS)
        l->fill.n += size;
    l->appended_n++;
    l->others += type != EA_REC_CHECKPOINT_PUBLISHED;
    if (ret) {
        *ret = (struct ea_position){.epoch = l->epoch, .seq = h.seq, .end = h.seq + 1};
        memcpy(ret->leaf, leaf, EA_SHA256_LEN);
    }
    wake_after_append(l, urgent, size);
    return 0;
}

int ea_elog_append(struct ea_elog *l, enum ea_record_type type, struct ea_str body, bool urgent,
                   ea_mono_us deadline, struct ea_position *ret, struct ea_err *err)
{
    const char *name = ea_record_type_name(type);
    int r;

    if (!name || body.n < 2 || body.p[0] != '{' || body.p[body.n - 1] != '}')
        return ea_fail(err, -EINVAL, "a record needs a known type and an object as its body");
    if (ea_record_bound(ea_str(name), ea_strn(l->origin, l->origin_n), body) > EA_MAX_RECORD)
        return ea_fail(err, -E2BIG, "a record of %zu bytes is larger than %u", body.n,
                       EA_MAX_RECORD);
    if (ea_elog_lock(l, deadline) < 0)
        return ea_fail(err, -ETIME, "the log was busy until the deadline");
    r = append_held(l, type, body, urgent, true, deadline, ret);
    pthread_mutex_unlock(&l->m);
    if (r == -ETIME)
        return ea_fail(err, r, "the log had no room until the deadline");
    return r < 0 ? ea_fail(err, r, "writing an evidence record: %s", strerror(-r)) : 0;
}

int ea_elog_append_own(struct ea_elog *l, enum ea_record_type type, struct ea_str body)
{
    int r;

    pthread_mutex_lock(&l->m);
    r = append_held(l, type, body, false, false, 0, NULL);
    pthread_mutex_unlock(&l->m);
    return r;
}

int ea_elog_wait_synced(struct ea_elog *l, const struct ea_position *pos, ea_mono_us deadline)
{
    int r = 0;

    if (pos->epoch != l->epoch)
        return 0;
    pthread_mutex_lock(&l->m);
    while (l->synced_seq < pos->end && r == 0) {
        if (l->broken) {
            r = -EIO;
        } else {
            l->urgent = true;
            pthread_cond_signal(&l->wake);
            if (ea_elog_cond_wait(&l->moved, &l->m, deadline) == -ETIMEDOUT &&
                l->synced_seq < pos->end)
                r = -ETIME;
        }
    }
    pthread_mutex_unlock(&l->m);
    return r;
}

int ea_elog_wait_appended(struct ea_elog *l, uint64_t epoch, uint64_t seq, uint64_t timeout_us)
{
    ea_mono_us until = ea_mono_now() + timeout_us;
    int r = 0;

    pthread_mutex_lock(&l->m);
    l->appended_waiters++;
    while (r == 0 && !l->closed && l->epoch == epoch && l->next_seq <= seq)
        if (ea_elog_cond_wait(&l->appended, &l->m, until) == -ETIMEDOUT)
            r = -ETIME;
    l->appended_waiters--;
    pthread_mutex_unlock(&l->m);
    return r;
}

void ea_position_text(const struct ea_elog *l, const struct ea_position *pos, char out[128])
{
    char hex[17];

    ea_hex(pos->leaf, 8, hex);
    snprintf(out, 128, "%s-e%" PRIu64 "-%" PRIu64 ":%s", l->node_uid, pos->epoch, pos->seq, hex);
}

void ea_elog_stat(struct ea_elog *l, struct ea_elog_stat *ret)
{
    *ret = (struct ea_elog_stat){.epoch = l->epoch,
                                 .volatile_fs = l->volatile_fs,
                                 .quarantined = l->quarantined,
                                 .opened_epoch = l->opened_epoch,
                                 .key_sha256_prefix = l->key_prefix};
    memcpy(ret->origin, l->origin, sizeof(ret->origin));
    memcpy(ret->node_uid, l->node_uid, sizeof(ret->node_uid));
    pthread_mutex_lock(&l->m);
    ret->next_seq = l->next_seq;
    ret->synced_seq = l->synced_seq;
    ret->bytes = l->live_bytes;
    ret->appended = l->appended_n;
    ret->lost = l->lost;
    ret->sync_errors = l->sync_errors;
    ret->last_checkpoint_size = l->checkpoint_size;
    ret->syncs = l->syncs;
    ret->evicted = l->evicted;
    ret->healthy = !l->broken && !l->write_failed && !(l->next_err && l->next_fd < 0);
    pthread_mutex_unlock(&l->m);
}

/* ---- segments made in place ---- */

int ea_elog_segment_make(struct ea_elog *l, uint64_t number, uint64_t size, uint64_t first_seq,
                         const uint8_t prev[EA_SHA256_LEN], uint32_t flags, struct ea_open_seg *ret,
                         struct ea_err *err)
{
    struct ea_seg_header h = {.epoch = l->epoch,
                              .first_seq = first_seq,
                              .created_ms = (uint64_t)ea_wall_now() / 1000,
                              .flags = flags};
    char tmp[EA_PATH];
    uint8_t raw[EA_SEG_HEADER];
    int fd, r;

    memcpy(h.uuid, l->state.uuid, 16);
    memcpy(h.prev_leaf, prev, EA_SHA256_LEN);
    ea_seg_header_put(raw, &h);
    if (ea_path(tmp, l->dir, "new.tmp") < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path %s is too long", l->dir);
    fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ea_fail(err, -errno, "making %s: %s", tmp, strerror(errno));
    r = ea_evidence_io.allocate(fd, size);
    if (r == 0)
        r = ea_evidence_io.pwrite_all(fd, raw, sizeof(raw), 0);
    if (r < 0) {
        close(fd);
        unlink(tmp);
        return ea_fail(err, r, "making a segment of %" PRIu64 " bytes: %s", size, strerror(-r));
    }
    *ret = (struct ea_open_seg){number,        first_seq, size,
                                EA_SEG_HEADER, fd,        ea_rec_seed(h.uuid, h.epoch, first_seq)};
    return 0;
}

int ea_elog_segment_publish(struct ea_elog *l, struct ea_open_seg *seg, struct ea_err *err)
{
    char tmp[EA_PATH], path[EA_PATH];
    int r = -ENAMETOOLONG;

    if (ea_path(tmp, l->dir, "new.tmp") == 0 && ea_seg_path(path, l->dir, seg->number) == 0) {
        r = ea_evidence_io.sync(seg->fd);
        if (r == 0 && rename(tmp, path) < 0)
            r = -errno;
        if (r == 0)
            r = ea_fsync_dir(l->dir);
    }
    if (r == 0)
        return 0;
    close(seg->fd);
    seg->fd = -1;
    return ea_fail(err, r, "making segment %" PRIx64 ": %s", seg->number, strerror(-r));
}

/* ---- opening and closing ---- */

static int take_lock(struct ea_elog *l, struct ea_err *err)
{
    char path[EA_PATH];

    if (ea_path(path, l->dir, "lock") < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path %s is too long", l->dir);
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (l->lock_fd < 0)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? ea_fail(err, -EBUSY, "the log in %s belongs to another process that runs",
                             l->dir)
                   : ea_fail(err, -errno, "locking %s: %s", path, strerror(errno));
    return 0;
}

static void init_sync(struct ea_elog *l)
{
    pthread_condattr_t attr;

    EA_ASSERT(pthread_condattr_init(&attr) == 0 &&
              pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    EA_ASSERT(pthread_mutex_init(&l->m, NULL) == 0 && pthread_mutex_init(&l->sync_m, NULL) == 0);
    EA_ASSERT(pthread_cond_init(&l->wake, &attr) == 0 && pthread_cond_init(&l->moved, &attr) == 0 &&
              pthread_cond_init(&l->appended, &attr) == 0);
    pthread_condattr_destroy(&attr);
}

static void elog_free(struct ea_elog *l)
{
    if (l->cur.fd >= 0)
        close(l->cur.fd);
    for (unsigned i = 0; i < l->n_full; i++)
        close(l->full[i].seg.fd);
    if (l->next_fd >= 0)
        close(l->next_fd);
    if (l->lock_fd >= 0)
        close(l->lock_fd); /* gives the lock back */
    ea_key_free(l->key);
    ea_batch_done(&l->fill);
    ea_batch_done(&l->flight);
    pthread_cond_destroy(&l->wake);
    pthread_cond_destroy(&l->moved);
    pthread_cond_destroy(&l->appended);
    pthread_mutex_destroy(&l->m);
    pthread_mutex_destroy(&l->sync_m);
    free(l->dir);
    free(l);
}

static void set_options(struct ea_elog *l, const struct ea_elog_opts *o)
{
    uint64_t page = 4096;

    l->sync = o->sync;
    l->sync_interval_us = o->sync_interval_us ? o->sync_interval_us : 100000;
    l->heartbeat_us = o->heartbeat_us ? o->heartbeat_us : 60000000;
    l->checkpoint_us = o->checkpoint_us ? o->checkpoint_us : 60000000;
    l->segment_bytes =
        EA_MIN(EA_MAX(o->segment_bytes ? o->segment_bytes : 16u << 20, 4 * page), EA_MAX_SEGMENT);
    l->segment_bytes = l->segment_bytes / page * page;
    l->disk_limit = o->disk_limit ? o->disk_limit : 1u << 30;
    l->keep_free_percent = o->keep_free_percent ? o->keep_free_percent : 15;
    l->block_when_full = o->block_when_full;
}

/* log.opened for a new epoch, log.reopened otherwise; body members in JCS order. */
static int opening_record(struct ea_elog *l, const struct ea_elog_opts *o,
                          const struct ea_recovered *rec, struct ea_err *err)
{
    bool new_epoch = rec->reason != NULL;
    uint8_t hash[EA_SHA256_LEN];
    char hex[2 * EA_SHA256_LEN + 1];
    struct ea_buf b, der;
    int r;

    ea_buf_init(&b, 8192);
    ea_buf_init(&der, 4096);
    r = ea_key_public_der(l->key, &der, err);
    if (r == 0) {
        ea_sha256(der.p, der.n, hash);
        for (int i = 0; i < 8; i++)
            l->key_prefix = l->key_prefix << 8 | hash[i];
        ea_hex(hash, sizeof(hash), hex);
        ea_buf_addz(&b, "{\"agent_version\":");
        ea_buf_add_json(&b, ea_str(o->agent_version ? o->agent_version : ""));
        ea_buf_addf(&b, ",\"clean\":%s,\"cut_bytes\":%" PRIu64,
                    rec->clean || rec->fresh ? "true" : "false", rec->cut_bytes);
        ea_buf_addf(&b, ",\"key\":{\"sha256\":\"%s\",\"type\":\"%s\"}", hex,
                    ea_key_type(l->key) == EA_KEY_ED25519 ? "ed25519" : "ecdsa-p256");
        ea_buf_addf(&b, ",\"lost\":%" PRIu64, rec->lost);
        if (new_epoch && rec->prev_epoch) {
            ea_hex(rec->prev_root, EA_SHA256_LEN, hex);
            ea_buf_addf(&b,
                        ",\"previous\":{\"origin\":\"%s\",\"root\":\"%s\",\"size\":%" PRIu64 "}",
                        rec->prev_origin, hex, rec->prev_size);
        }
        if (new_epoch)
            ea_buf_addf(&b, ",\"reason\":\"%s\"", rec->reason);
        if (o->ruleset_sha256) {
            ea_buf_addz(&b, ",\"ruleset_sha256\":");
            ea_buf_add_json(&b, ea_str(o->ruleset_sha256));
        }
        ea_buf_addc(&b, '}');
        r = b.failed ? ea_fail(err, b.failed, "the opening record does not fit")
                     : ea_elog_append(l, new_epoch ? EA_REC_LOG_OPENED : EA_REC_LOG_REOPENED,
                                      ea_buf_str(&b), true, 0, NULL, err);
    }
    ea_buf_done(&b);
    ea_buf_done(&der);
    return r;
}

static int after_recovery(struct ea_elog *l, const struct ea_elog_opts *o,
                          const struct ea_recovered *rec, struct ea_err *err)
{
    struct statfs fs;
    int r;

    if (statfs(l->dir, &fs) == 0)
        l->volatile_fs = fs.f_type == FS_TMPFS || fs.f_type == (__typeof__(fs.f_type))FS_RAMFS ||
                         fs.f_type == FS_OVERLAY;
    l->others = l->next_seq - EA_MIN(l->next_seq, l->checkpoint_size);
    l->others_synced = l->others;
    if (rec->lost) {
        struct ea_loss loss = {.epoch = rec->prev_epoch,
                               .first_seq = rec->lost_first,
                               .last_seq = rec->lost_last,
                               .count = rec->lost,
                               .reason = "corruption"};

        ea_elog_note_loss(l, &loss);
    }
    ea_elog_count_bytes(l);
    if (pthread_create(&l->thread, NULL, ea_elog_thread, l) != 0)
        return ea_fail(err, -EAGAIN, "no thread for the log");
    l->thread_runs = true;
    if ((r = opening_record(l, o, rec, err)) < 0)
        return r;
    if (rec->reason && rec->prev_epoch) {
        struct ea_position pos = {.epoch = l->epoch, .end = l->next_seq};

        /* The old key can go once the record that names its successor is on disk. */
        if (ea_elog_wait_synced(l, &pos, ea_mono_now() + 5000000) == 0)
            return ea_epoch_forget_key(l->dir, rec->prev_epoch, err);
    }
    return 0;
}

static void stop_thread(struct ea_elog *l)
{
    if (!l->thread_runs)
        return;
    pthread_mutex_lock(&l->m);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->m);
    pthread_join(l->thread, NULL);
    l->thread_runs = false;
}

int ea_elog_open(const struct ea_elog_opts *o, struct ea_elog **ret, struct ea_err *err)
{
    struct ea_recovered rec = {0};
    struct ea_elog *l;
    int r;

    *ret = NULL;
    if (!o->dir || !*o->dir || strlen(o->dir) > EA_PATH - 256)
        return ea_fail(err, -EINVAL, "the log needs a folder");
    if ((r = ea_mkdirs(o->dir, 0700, err)) < 0)
        return r;
    l = ea_xalloc(sizeof(*l));
    l->dir = ea_str_dupz(ea_str(o->dir));
    l->lock_fd = l->cur.fd = l->next_fd = -1;
    init_sync(l);
    set_options(l, o);
    r = take_lock(l, err);
    if (r == 0)
        r = ea_elog_recover(l, o, &rec, err);
    if (r == 0)
        r = after_recovery(l, o, &rec, err);
    if (r < 0) {
        stop_thread(l);
        elog_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

/* log.closed is the last record: what waited goes before it. The thread is gone, so room is made
 * here. sync_m is held. */
static int append_closed(struct ea_elog *l, struct ea_str body)
{
    int r = -EAGAIN;

    for (int tries = 0; tries < 4 && r == -EAGAIN; tries++) {
        ea_elog_append_waiting(l);
        pthread_mutex_lock(&l->m);
        r = append_held(l, EA_REC_LOG_CLOSED, body, true, false, 0, NULL);
        l->closed = r != -EAGAIN;
        pthread_mutex_unlock(&l->m);
        if (r == -EAGAIN && ((r = ea_elog_sync_held(l, NULL)) == 0 || r == -EIO) &&
            (r = ea_elog_prepare_next(l)) == 0)
            r = -EAGAIN;
    }
    pthread_mutex_lock(&l->m);
    l->closed = true;
    pthread_cond_broadcast(&l->moved);
    pthread_cond_broadcast(&l->appended);
    pthread_mutex_unlock(&l->m);
    return r;
}

int ea_elog_close(struct ea_elog *l, const char *reason, struct ea_err *err)
{
    char path[EA_PATH];
    struct ea_buf b;
    int r, c;

    if (!l)
        return 0;
    ea_buf_init(&b, 4096);
    ea_buf_addz(&b, "{\"reason\":");
    ea_buf_add_json(&b, ea_str(reason));
    ea_buf_addc(&b, '}');
    stop_thread(l);
    pthread_mutex_lock(&l->sync_m);
    r = append_closed(l, ea_buf_str(&b));
    if (r < 0)
        ea_fail(err, r, "writing the log's last record: %s", strerror(-r));
    c = ea_elog_sync_held(l, err);
    if (c == 0)
        c = ea_elog_checkpoint_held(l, err);
    if (c >= 0 && r == 0) {
        l->state.clean = 1;
        l->state.next_segment = l->next_number;
        c = ea_state_store(l->dir, &l->state, err);
    }
    pthread_mutex_unlock(&l->sync_m);
    ea_buf_done(&b);
    if (ea_path(path, l->dir, "next.tmp") == 0)
        unlink(path);
    elog_free(l);
    return r < 0 ? r : EA_MIN(c, 0);
}
