/* evidence/log_sync.c - the log's thread: syncing, sealing, checkpoints, heartbeats, and what
 * happens when a sync fails. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/checkpoint.h"
#include "evidence/log_int.h"

#define SHRINK_ABOVE (256u << 10) /* bytes of a batch's buffer that may stay allocated */

struct snapshot {
    struct ea_open_seg cur;
    struct ea_full_seg full[EA_PENDING_SEGMENTS];
    unsigned n_full;
    uint64_t next_seq, others;
    bool folder_dirty;
};

static void swap_batches(struct ea_elog *l)
{
    struct ea_batch b = l->flight;

    l->flight = l->fill;
    l->fill = b;
}

/* Data first, then the footer: a footer on disk says that its records are. */
int ea_elog_seal(struct ea_elog *l, int fd, const struct ea_open_seg *s, const struct ea_tree *tree,
                 const uint8_t leaf[EA_SHA256_LEN], bool shrink)
{
    struct ea_footer f = {
        .count = tree->size - s->first_seq, .last_seq = tree->size - 1, .end = s->end};
    uint8_t raw[EA_FOOTER];
    struct stat st;
    uint64_t size;
    int r = ea_evidence_io.sync(fd);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    size = (uint64_t)st.st_size;
    if (shrink) {
        uint64_t end = (s->end + EA_FOOTER - 1) / EA_FOOTER * EA_FOOTER;

        /* Only zeros go. First shorter, then longer again by zeros: no moment shows half a footer
         * in front of other bytes. */
        if (end + EA_FOOTER < size &&
            (ftruncate(fd, (off_t)end) < 0 || ftruncate(fd, (off_t)(end + EA_FOOTER)) < 0))
            return -errno;
        size = EA_MIN(size, end + EA_FOOTER);
    }
    if (size < s->end + EA_FOOTER) { /* cut by someone: the footer still gets its own place */
        size = (s->end + EA_FOOTER - 1) / EA_FOOTER * EA_FOOTER + EA_FOOTER;
        if (ftruncate(fd, (off_t)size) < 0)
            return -errno;
    }
    memcpy(f.last_leaf, leaf, EA_SHA256_LEN);
    ea_tree_copy(&f.tree, tree);
    ea_footer_put(raw, &f);
    r = ea_evidence_io.pwrite_all(fd, raw, sizeof(raw), size - EA_FOOTER);
    return r < 0 ? r : ea_evidence_io.sync(fd);
}

static int sync_files(struct ea_elog *l, const struct snapshot *s, struct ea_tree *tree,
                      uint8_t leaf[EA_SHA256_LEN])
{
    const struct ea_batch *b = &l->flight;
    uint64_t base = tree->size;
    int r = 0;

    if (s->folder_dirty && (r = ea_fsync_dir(l->dir)) < 0)
        return r;
    for (unsigned i = 0; i < s->n_full && r == 0; i++) {
        while (tree->size <= s->full[i].last_seq) {
            memcpy(leaf, b->leaves[tree->size - base], EA_SHA256_LEN);
            ea_tree_add(tree, leaf);
        }
        r = ea_elog_seal(l, s->full[i].seg.fd, &s->full[i].seg, tree, leaf, false);
    }
    if (r == 0 && s->cur.fd >= 0 && tree->size < s->next_seq)
        r = ea_evidence_io.sync(s->cur.fd);
    while (r == 0 && tree->size < s->next_seq) {
        memcpy(leaf, b->leaves[tree->size - base], EA_SHA256_LEN);
        ea_tree_add(tree, leaf);
    }
    return r;
}

/* ---- a sync failed ---- */

static void stick(struct ea_elog *l, const struct ea_full_seg *f)
{
    if (f->seg.fd >= 0)
        close(f->seg.fd);
    if (l->n_stuck < EA_COUNT(l->stuck))
        l->stuck[l->n_stuck++] = *f;
}

static int rewrite_batch(const struct ea_batch *b, struct ea_open_seg *seg)
{
    size_t off = 0;
    int r;

    while (off < b->n)
        off += ea_rec_size(ea_rec_header_rebind((uint8_t *)b->p + off, seg->seed));
    if (b->n == 0)
        return 0;
    r = ea_evidence_io.pwrite_all(seg->fd, b->p, b->n, seg->end);
    seg->end += r == 0 ? b->n : 0;
    return r;
}

/* The abandoned segments: what was synced stays and gets a footer, what was rewritten goes. Best
 * effort: where segments overlap, readers take the higher number. */
static void clean_stuck(struct ea_elog *l, uint64_t synced_seq, const struct ea_tree *tree,
                        const uint8_t leaf[EA_SHA256_LEN])
{
    char path[EA_PATH];

    for (unsigned i = 0; i < l->n_stuck; i++) {
        struct ea_open_seg s = l->stuck[i].seg;

        if (ea_seg_path(path, l->dir, s.number) < 0)
            continue;
        if (s.first_seq >= synced_seq) {
            unlink(path);
            continue;
        }
        s.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (s.fd < 0)
            continue;
        if (s.number == l->synced_seg.number) {
            s.end = l->synced_seg.end;
            if (ftruncate(s.fd, (off_t)s.end) == 0)
                (void)ea_elog_seal(l, s.fd, &s, tree, leaf, true);
        }
        close(s.fd);
    }
    l->n_stuck = 0;
    if (ea_fsync_dir(l->dir) < 0)
        l->folder_dirty = true;
}

static const uint8_t *unsynced_leaf(const struct ea_elog *l, uint64_t i)
{
    return i < l->flight.count ? l->flight.leaves[i] : l->fill.leaves[i - l->flight.count];
}

/* With `sync: os` nothing is kept in memory: the records stay where they were written, and their
 * segments get footers as they would have. Best effort, as above. Advances the tree. */
static void seal_stuck(struct ea_elog *l)
{
    uint64_t base = l->tree.size;
    uint8_t leaf[EA_SHA256_LEN];
    char path[EA_PATH];

    memcpy(leaf, l->synced_leaf, EA_SHA256_LEN);
    for (unsigned i = 0; i < l->n_stuck; i++) {
        const struct ea_open_seg *s = &l->stuck[i].seg;
        EA_AUTO_FD int fd = -1;

        while (l->tree.size <= l->stuck[i].last_seq) {
            memcpy(leaf, unsynced_leaf(l, l->tree.size - base), EA_SHA256_LEN);
            ea_tree_add(&l->tree, leaf);
        }
        if (ea_seg_path(path, l->dir, s->number) == 0 &&
            (fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) >= 0)
            (void)ea_elog_seal(l, fd, s, &l->tree, leaf, false);
    }
}

/* After a failed fsync the kernel may have dropped the pages: the same file is never trusted again.
 * What is not synced is written from memory into a new segment. m and sync_m are held. */
static int rewrite(struct ea_elog *l, struct ea_err *err)
{
    bool os = l->sync == EA_SYNC_OS;
    uint64_t synced = l->tree.size, first = os ? l->next_seq : synced;
    uint64_t need = EA_SEG_HEADER + l->flight.n + l->fill.n + EA_FOOTER;
    uint64_t size = EA_MAX(l->segment_bytes, (need + EA_FOOTER - 1) / EA_FOOTER * EA_FOOTER);
    struct ea_open_seg seg;
    struct ea_tree before;
    uint8_t leaf[EA_SHA256_LEN];
    int r;

    for (unsigned i = 0; i < l->n_full; i++)
        stick(l, &l->full[i]);
    l->n_full = 0;
    if (l->cur.fd >= 0) {
        stick(l, &(struct ea_full_seg){l->cur, l->next_seq - 1});
        l->cur.fd = -1;
    }
    r = ea_elog_segment_make(l, l->next_number, size, first, os ? l->prev : l->synced_leaf,
                             os ? 0 : EA_SEG_REWRITE, &seg, err);
    if (r < 0)
        return r;
    if ((r = rewrite_batch(&l->flight, &seg)) < 0 || (r = rewrite_batch(&l->fill, &seg)) < 0) {
        close(seg.fd);
        return ea_fail(err, r, "rewriting unsynced records: %s", strerror(-r));
    }
    if ((r = ea_elog_segment_publish(l, &seg, err)) < 0)
        return r;
    l->next_number++;
    ea_tree_copy(&before, &l->tree);
    memcpy(leaf, l->synced_leaf, EA_SHA256_LEN);
    if (os)
        seal_stuck(l);
    while (l->tree.size < l->next_seq)
        ea_tree_add(&l->tree, unsynced_leaf(l, l->tree.size - synced));
    EA_ASSERT(l->tree.size == l->next_seq);
    if (!os)
        clean_stuck(l, synced, &before, leaf);
    l->n_stuck = 0;
    memcpy(l->synced_leaf, l->prev, EA_SHA256_LEN);
    l->cur = l->synced_seg = seg;
    l->others_synced = l->others;
    l->flight.n = l->flight.count = l->fill.n = l->fill.count = 0;
    l->flight_bytes = 0;
    l->synced_seq = l->next_seq;
    l->broken = l->dirty = false;
    l->syncs++;
    l->io_error_due = true;
    pthread_cond_broadcast(&l->moved);
    return 0;
}

static void sync_failed(struct ea_elog *l, const struct snapshot *s, int code)
{
    l->sync_errors++;
    l->broken = true;
    l->io_error_code = code;
    l->io_error_first = l->tree.size;
    l->io_error_last = s->next_seq - 1;
    /* The snapshot's full segments are not in l->full any more; its current one is still l->cur or
     * went to l->full. */
    for (unsigned i = 0; i < s->n_full; i++)
        stick(l, &s->full[i]);
    pthread_cond_broadcast(&l->moved);
}

/* ---- syncing ---- */

static bool take_snapshot(struct ea_elog *l, struct snapshot *s)
{
    if (l->fill.count == 0 && l->n_full == 0 && !l->folder_dirty) {
        l->dirty = l->urgent = false;
        return false;
    }
    EA_ASSERT(l->flight.count == 0);
    swap_batches(l);
    l->flight_bytes = l->flight.n;
    s->cur = l->cur;
    s->n_full = l->n_full;
    memcpy(s->full, l->full, l->n_full * sizeof(l->full[0]));
    s->next_seq = l->next_seq;
    s->others = l->others;
    s->folder_dirty = l->folder_dirty;
    l->n_full = 0;
    l->folder_dirty = l->dirty = l->urgent = false;
    pthread_cond_broadcast(&l->moved); /* the batch being filled is empty again */
    return true;
}

int ea_elog_sync_held(struct ea_elog *l, struct ea_err *err)
{
    struct snapshot s;
    struct ea_tree tree;
    uint8_t leaf[EA_SHA256_LEN];
    size_t done = 0;
    int r = 0;

    pthread_mutex_lock(&l->m);
    if (l->broken)
        r = rewrite(l, err);
    if (r < 0 || !take_snapshot(l, &s)) {
        pthread_mutex_unlock(&l->m);
        return r;
    }
    pthread_mutex_unlock(&l->m);
    ea_tree_copy(&tree, &l->tree);
    memcpy(leaf, l->synced_leaf, EA_SHA256_LEN);
    r = sync_files(l, &s, &tree, leaf);
    pthread_mutex_lock(&l->m);
    if (r == 0) {
        for (unsigned i = 0; i < s.n_full; i++)
            close(s.full[i].seg.fd);
        ea_tree_copy(&l->tree, &tree);
        memcpy(l->synced_leaf, leaf, EA_SHA256_LEN);
        l->synced_seg = s.cur;
        l->others_synced = s.others;
        l->synced_seq = s.next_seq;
        done = l->flight.n;
        l->flight.n = l->flight.count = l->flight_bytes = 0;
        l->syncs++;
        pthread_cond_broadcast(&l->moved);
    } else {
        sync_failed(l, &s, r);
        r = rewrite(l, err);
    }
    pthread_mutex_unlock(&l->m);
    if (r == 0 && l->flight.cap > SHRINK_ABOVE && done < l->flight.cap / 8)
        ea_batch_done(&l->flight); /* the burst is over: give its memory back */
    return r;
}

/* ---- checkpoints ---- */

static void publish_note(struct ea_elog *l)
{
    char hex[2 * EA_SHA256_LEN + 1];
    struct ea_buf b;

    ea_buf_init(&b, 8192);
    ea_hex(l->note_root, EA_SHA256_LEN, hex);
    ea_buf_addz(&b, "{\"note\":");
    ea_buf_add_json(&b, ea_str(l->note));
    ea_buf_addf(&b,
                ",\"root\":\"%s\",\"size\":%" PRIu64 ",\"targets\":[\"epochs/%" PRIu64
                "/checkpoint\"]}",
                hex, l->note_size, l->epoch);
    if (ea_elog_append_own(l, EA_REC_CHECKPOINT_PUBLISHED, ea_buf_str(&b)) != -EAGAIN) {
        pthread_mutex_lock(&l->m);
        l->note_due = false;
        pthread_mutex_unlock(&l->m);
    }
    ea_buf_done(&b);
}

int ea_elog_checkpoint_held(struct ea_elog *l, struct ea_err *err)
{
    uint8_t root[EA_SHA256_LEN];
    char path[EA_PATH];
    struct ea_buf b;
    bool closed;
    int r;

    if (l->tree.size <= l->checkpoint_size)
        return 0;
    ea_tree_root(&l->tree, root);
    ea_buf_init(&b, sizeof(l->note) - 1);
    r = ea_checkpoint_sign(&b, l->key, ea_strn(l->origin, l->origin_n), l->tree.size, root, err);
    if (r == 0)
        r = ea_epoch_path(path, l->dir, l->epoch, "checkpoint");
    if (r == 0)
        r = ea_write_file(path, b.p, b.n, 0644, err);
    if (r == 0) {
        memcpy(l->note, b.p, b.n);
        l->note[b.n] = '\0';
        memcpy(l->note_root, root, sizeof(root));
        l->note_size = l->tree.size;
        pthread_mutex_lock(&l->m);
        l->checkpoint_size = l->tree.size;
        l->others_covered = l->others_synced;
        closed = l->closed;
        l->note_due = !closed;
        pthread_mutex_unlock(&l->m);
        if (!closed)
            publish_note(l);
    }
    ea_buf_done(&b);
    return r < 0 ? r : 1;
}

int ea_elog_checkpoint(struct ea_elog *l, struct ea_err *err)
{
    int r;

    pthread_mutex_lock(&l->sync_m);
    r = ea_elog_sync_held(l, err);
    if (r == 0)
        r = ea_elog_checkpoint_held(l, err);
    pthread_mutex_unlock(&l->sync_m);
    return EA_MIN(r, 0);
}

/* ---- the thread ---- */

struct timers {
    ea_mono_us dirty_since, uncovered_since, last_checkpoint, last_record, retry_at, own_at;
    uint64_t last_seq;
    int64_t wall_minus_mono;
    bool clock_known;
};

struct due {
    bool sync, checkpoint, heartbeat, next, own;
};

static ea_mono_us earlier(ea_mono_us a, ea_mono_us b)
{
    return a == 0 ? b : b == 0 ? a : EA_MIN(a, b);
}

static bool reached(ea_mono_us at, ea_mono_us now, ea_mono_us *until)
{
    if (at <= now)
        return true;
    *until = earlier(*until, at);
    return false;
}

static void look_sync(const struct ea_elog *l, const struct timers *t, struct due *d,
                      ea_mono_us now, ea_mono_us *until)
{
    if (l->broken)
        d->sync = reached(t->retry_at, now, until);
    else if (l->urgent)
        d->sync = true;
    else if (l->dirty && l->sync != EA_SYNC_OS)
        d->sync = reached(t->dirty_since + l->sync_interval_us, now, until);
}

static void look_checkpoint(const struct ea_elog *l, const struct timers *t, struct due *d,
                            uint64_t uncovered, ea_mono_us now, ea_mono_us *until)
{
    ea_mono_us spaced = t->last_checkpoint + EA_MIN(l->checkpoint_us, 1000000u);

    if (uncovered >= EA_UNCOVERED_MAX)
        d->checkpoint = reached(spaced, now, until);
    else if (uncovered > 0)
        d->checkpoint = reached(EA_MAX(t->uncovered_since + l->checkpoint_us, spaced), now, until);
}

static void look_space(const struct ea_elog *l, const struct timers *t, struct due *d,
                       ea_mono_us now, ea_mono_us *until)
{
    if (l->want_next && l->next_err == 0)
        d->next = true;
    else if (l->want_next || l->next_err)
        d->next = reached(t->retry_at, now, until);
}

/* Says what is due and else sets *until. m is held. */
static bool look(struct ea_elog *l, struct timers *t, struct due *d, ea_mono_us now,
                 ea_mono_us *until)
{
    uint64_t uncovered = l->others - EA_MIN(l->others, l->others_covered);

    *d = (struct due){0};
    *until = 0;
    if (l->next_seq != t->last_seq) {
        t->last_seq = l->next_seq;
        t->last_record = now;
    }
    t->dirty_since = !l->dirty ? 0 : t->dirty_since ? t->dirty_since : now;
    t->uncovered_since = uncovered == 0 ? 0 : t->uncovered_since ? t->uncovered_since : now;
    look_sync(l, t, d, now, until);
    look_checkpoint(l, t, d, uncovered, now, until);
    look_space(l, t, d, now, until);
    d->heartbeat = reached(t->last_record + l->heartbeat_us, now, until);
    if (l->n_losses || l->io_error_due || l->note_due)
        d->own = reached(t->own_at, now, until);
    return d->sync || d->checkpoint || d->heartbeat || d->next || d->own;
}

/* A step of the wall clock against the monotonic one of more than two seconds is evidence: times
 * before and after do not compare. */
static void check_clock(struct ea_elog *l, struct timers *t)
{
    int64_t now = ea_wall_now() - (int64_t)ea_mono_now(), step = now - t->wall_minus_mono;
    char body[160];

    if (t->clock_known && (step > 2000000 || step < -2000000)) {
        snprintf(body, sizeof(body),
                 "{\"after\":%" PRId64 ",\"before\":%" PRId64 ",\"step_ms\":%" PRId64 "}",
                 ea_wall_now() / 1000, (ea_wall_now() - step) / 1000, step / 1000);
        if (ea_elog_append_own(l, EA_REC_CLOCK_STEP, ea_str(body)) == -EAGAIN)
            return; /* the difference is still there the next time */
    }
    t->wall_minus_mono = now;
    t->clock_known = true;
}

void ea_elog_append_waiting(struct ea_elog *l)
{
    char body[256];

    if (l->io_error_due) {
        snprintf(body, sizeof(body),
                 "{\"errno\":%d,\"error\":\"sync failed\",\"first_seq\":%" PRIu64
                 ",\"last_seq\":%" PRIu64 ",\"rewritten\":%s}",
                 -l->io_error_code, l->io_error_first, l->io_error_last,
                 l->sync == EA_SYNC_OS ? "false" : "true");
        if (ea_elog_append_own(l, EA_REC_LOG_IO_ERROR, ea_str(body)) != -EAGAIN)
            l->io_error_due = false;
    }
    ea_elog_append_losses(l);
    if (l->note_due)
        publish_note(l);
}

static void own_records(struct ea_elog *l, struct timers *t, const struct due *d)
{
    check_clock(l, t);
    ea_elog_append_waiting(l);
    if (d->heartbeat)
        (void)ea_elog_append_own(l, EA_REC_HEARTBEAT, EA_STR("{}"));
}

static void work(struct ea_elog *l, struct timers *t, const struct due *d)
{
    struct ea_err err = {0};
    int r = 0;

    pthread_mutex_lock(&l->sync_m);
    if (d->next && ea_elog_prepare_next(l) < 0)
        t->retry_at = ea_mono_now() + 1000000;
    if (d->sync || d->checkpoint) {
        r = ea_elog_sync_held(l, &err);
        t->dirty_since = 0; /* what is unsynced now came after this one began */
    }
    if (r < 0)
        t->retry_at = ea_mono_now() + 1000000;
    if (d->checkpoint && r == 0) {
        (void)ea_elog_checkpoint_held(
            l, &err); /* again in a second when it failed: uncovered records stay uncovered */
        t->last_checkpoint = ea_mono_now();
        t->uncovered_since = 0;
    }
    own_records(l, t, d);
    t->own_at = ea_mono_now() + 100000;
    pthread_mutex_unlock(&l->sync_m);
}

void *ea_elog_thread(void *arg)
{
    struct ea_elog *l = arg;
    struct timers t = {.last_record = ea_mono_now()};
    struct due d;
    ea_mono_us until;

    pthread_mutex_lock(&l->m);
    while (!l->stop) {
        if (!look(l, &t, &d, ea_mono_now(), &until)) {
            ea_elog_cond_wait(&l->wake, &l->m, until);
            continue;
        }
        pthread_mutex_unlock(&l->m);
        work(l, &t, &d);
        pthread_mutex_lock(&l->m);
    }
    pthread_mutex_unlock(&l->m);
    return NULL;
}
