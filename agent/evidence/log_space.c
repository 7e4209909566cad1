/* evidence/log_space.c - the next segment, the disk limit, freeing old segments, and saying what
 * was lost by it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/log_int.h"

#define ZERO_PIECE (2ull << 20) /* bytes; a few milliseconds of a slow disk */

/* ---- how much there is ---- */

static uint64_t count_bytes(struct ea_elog *l, struct ea_seg_list *list)
{
    uint64_t total = 0, *epochs = NULL;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        total += EA_MAX(list->v[i].disk, list->v[i].size);
    if (ea_epoch_list(l->dir, &epochs, &n) == 0)
        for (size_t i = 0; i < n; i++)
            total += ea_leaves_count(l->dir, epochs[i]) * EA_SHA256_LEN;
    free(epochs);
    pthread_mutex_lock(&l->m);
    l->live_bytes = total;
    pthread_mutex_unlock(&l->m);
    return total;
}

void ea_elog_count_bytes(struct ea_elog *l)
{
    struct ea_seg_list list;

    if (ea_seg_list_load(l->dir, &l->state, &list, NULL) < 0)
        return;
    (void)count_bytes(l, &list);
    ea_seg_list_done(&list);
}

static bool over_limit(struct ea_elog *l, uint64_t live, uint64_t more)
{
    uint64_t free_bytes, total;

    if (live + more > l->disk_limit)
        return true;
    if (l->keep_free_percent >= 100 || ea_evidence_io.space(l->dir, &free_bytes, &total) < 0)
        return false;
    return free_bytes < more + total / 100 * l->keep_free_percent;
}

/* ---- what is lost when a segment goes ---- */

struct content {
    uint64_t epoch, first_seq, last_seq, count, bytes, first_time, last_time;
    uint8_t (*leaves)[EA_SHA256_LEN];
};

/* Leaves of all records of a segment. A damaged record's leaf is the `prev` of the one behind it.
 */
static int read_content(struct ea_elog *l, const struct ea_seg_entry *e, uint64_t end_seq,
                        struct content *c, struct ea_err *err)
{
    struct ea_seg_image img;
    struct ea_scan scan;
    struct ea_scan_item it;
    enum ea_scan_what what;
    struct ea_record_parts parts;
    int r = ea_seg_image_load(l->dir, e->number, &img, err);

    *c = (struct content){.epoch = e->h.epoch, .first_seq = e->h.first_seq, .bytes = e->size};
    if (r < 0)
        return r;
    c->leaves = ea_try_alloc((end_seq - e->h.first_seq + 1) * EA_SHA256_LEN);
    if (c->leaves)
        memset(c->leaves, 0, (end_seq - e->h.first_seq + 1) * EA_SHA256_LEN);
    ea_scan_init(&scan, img.p, img.limit, &e->h);
    while (c->leaves && (what = ea_scan_next(&scan, &it)) != EA_SCAN_END && what != EA_SCAN_TORN) {
        uint64_t i = it.h.seq - e->h.first_seq;

        if (what == EA_SCAN_GAP || it.h.seq >= end_seq)
            continue;
        if (what == EA_SCAN_RECORD) {
            ea_leaf_hash(it.payload, c->leaves[i]);
            if (i > 0 && ea_record_parse(it.payload, &parts) == 0)
                memcpy(c->leaves[i - 1], parts.prev, EA_SHA256_LEN);
        }
        c->count++;
        c->first_time = c->first_time ? c->first_time : it.h.time_ms;
        c->last_time = it.h.time_ms;
    }
    c->last_seq = end_seq - 1;
    ea_seg_image_done(&img);
    return c->leaves ? 0 : ea_fail(err, -ENOMEM, "no memory to free a segment");
}

void ea_elog_note_loss(struct ea_elog *l, const struct ea_loss *loss)
{
    struct ea_loss *last;

    if (l->n_losses < EA_LOSS_QUEUE) {
        l->losses[l->n_losses++] = *loss;
        return;
    }
    /* A full queue means a disk that takes nothing: counts stay right, the ranges become one. */
    last = &l->losses[EA_LOSS_QUEUE - 1];
    last->count += loss->count;
    last->bytes += loss->bytes;
    last->last_seq = loss->last_seq;
    last->last_time = loss->last_time;
}

void ea_elog_append_losses(struct ea_elog *l)
{
    unsigned done = 0;

    for (; done < l->n_losses; done++) {
        const struct ea_loss *x = &l->losses[done];
        char body[640];
        int n = snprintf(body, sizeof(body),
                         "{\"bytes\":%" PRIu64 ",\"count\":%" PRIu64 ",\"epoch\":%" PRIu64
                         ",\"first_seq\":%" PRIu64 ",\"first_time\":%" PRIu64
                         ",\"last_seq\":%" PRIu64 ",\"last_time\":%" PRIu64 ",\"reason\":\"%s\"",
                         x->bytes, x->count, x->epoch, x->first_seq, x->first_time, x->last_seq,
                         x->last_time, x->reason);

        snprintf(body + n, sizeof(body) - (size_t)n, x->sink[0] ? ",\"sink\":\"%s\"}" : "}",
                 x->sink);
        if (ea_elog_append_own(l, EA_REC_EVIDENCE_LOSS, ea_str(body)) < 0)
            break;
    }
    memmove(l->losses, l->losses + done, (l->n_losses - done) * sizeof(l->losses[0]));
    l->n_losses -= done;
}

struct cursors {
    struct ea_elog *l;
    const struct content *c; /* NULL: only look */
    unsigned n, behind;
    uint64_t epoch, last_seq;
    uint64_t missed;
};

static int each_cursor(void *arg, const char *sink, int result, const struct ea_cursor *cur)
{
    struct cursors *x = arg;
    bool damaged = result < 0;
    uint64_t from;

    x->n++;
    if (!damaged &&
        (cur->epoch > x->epoch || (cur->epoch == x->epoch && cur->seq_next > x->last_seq)))
        return 0;
    x->behind++;
    if (!x->c)
        return 0;
    from = !damaged && cur->epoch == x->epoch ? EA_MAX(cur->seq_next, x->c->first_seq)
                                              : x->c->first_seq;
    struct ea_loss loss = {.epoch = x->epoch,
                           .first_seq = from,
                           .last_seq = x->last_seq,
                           .count = x->last_seq - from + 1,
                           .bytes = x->c->bytes,
                           .first_time = x->c->first_time,
                           .last_time = x->c->last_time,
                           .reason = "disk-limit"};
    snprintf(loss.sink, sizeof(loss.sink), "%s", sink);
    x->missed = EA_MAX(x->missed, loss.count);
    ea_elog_note_loss(x->l, &loss);
    return 0;
}

static void note_losses(struct ea_elog *l, const struct content *c)
{
    struct cursors x = {.l = l, .c = c, .epoch = c->epoch, .last_seq = c->last_seq};

    (void)ea_cursor_each(l->dir, each_cursor, &x);
    if (x.n == 0) { /* nobody has these records anywhere else */
        struct ea_loss loss = {.epoch = c->epoch,
                               .first_seq = c->first_seq,
                               .last_seq = c->last_seq,
                               .count = c->count,
                               .bytes = c->bytes,
                               .first_time = c->first_time,
                               .last_time = c->last_time,
                               .reason = "disk-limit"};

        ea_elog_note_loss(l, &loss);
        x.missed = c->count;
    }
    pthread_mutex_lock(&l->m);
    l->evicted += x.missed;
    pthread_mutex_unlock(&l->m);
}

/* ---- freeing ---- */

/* Seq behind the last record of list->v[i] that counts. */
static uint64_t end_of(struct ea_elog *l, const struct ea_seg_list *list, size_t i)
{
    const struct ea_seg_entry *e = &list->v[i];
    struct ea_footer f;

    for (size_t k = i + 1; k < list->n; k++)
        if (list->v[k].usable && list->v[k].h.epoch == e->h.epoch)
            return EA_MAX(list->v[k].h.first_seq, e->h.first_seq);
    if (ea_seg_footer_load(l->dir, e, &f) == 0)
        return f.last_seq + 1;
    return ea_seg_scan_end(
        l->dir, e); /* the last segment of an epoch that was not sealed because it is damaged */
}

static int covered_by_checkpoint(struct ea_elog *l, uint64_t epoch, uint64_t end_seq,
                                 struct ea_err *err)
{
    int r = 0;

    if (epoch == l->epoch && l->checkpoint_size < end_seq) {
        r = ea_elog_sync_held(l, err);
        if (r == 0)
            r = ea_elog_checkpoint_held(l, err);
    }
    return EA_MIN(r, 0);
}

static int unlink_segment(struct ea_elog *l, uint64_t number, struct ea_err *err)
{
    char path[EA_PATH];
    int r = ea_seg_path(path, l->dir, number);

    /* Published before the file goes: a missing segment below first_live is normal. */
    l->state.first_live = number + 1;
    l->state.next_segment = l->next_number;
    if (r == 0)
        r = ea_state_store(l->dir, &l->state, err);
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = ea_fail(err, -errno, "freeing %s: %s", path, strerror(errno));
    return r == 0 ? ea_fsync_dir(l->dir) : r;
}

/* What must be kept of a segment's records before they go: a checkpoint over them, and their
 * hashes. */
static int keep_hashes(struct ea_elog *l, const struct ea_seg_entry *e, uint64_t end,
                       struct content *c, struct ea_err *err)
{
    int r = covered_by_checkpoint(l, e->h.epoch, end, err);

    if (r == 0)
        r = read_content(l, e, end, c, err);
    if (r == 0)
        r = ea_leaves_store(l->dir, c->epoch, c->first_seq,
                            (const uint8_t(*)[EA_SHA256_LEN])c->leaves, end - c->first_seq, err);
    return r;
}

static int free_segment(struct ea_elog *l, const struct ea_seg_entry *e, uint64_t end,
                        struct ea_err *err)
{
    struct cursors x = {.l = l, .epoch = e->h.epoch, .last_seq = end - 1};
    struct content c = {0};
    bool lossy;
    int r = 0;

    if (end == e->h.first_seq)
        return unlink_segment(l, e->number, err);
    ea_cursor_each(l->dir, each_cursor, &x);
    lossy = x.n == 0 || x.behind > 0;
    if (lossy && l->block_when_full)
        return -ENODATA;
    r = keep_hashes(l, e, end, &c, err);
    if (r == 0)
        r = unlink_segment(l, e->number, err);
    if (r == 0 && c.count > 0 && lossy)
        note_losses(l, &c);
    free(c.leaves);
    return r;
}

/* Frees the oldest segment. 0, -ENODATA (none may go), -errno. */
static int free_oldest(struct ea_elog *l, struct ea_err *err)
{
    struct ea_seg_list list;
    uint64_t keep;
    size_t i = 0;
    int r;

    pthread_mutex_lock(&l->m);
    keep = l->n_full ? l->full[0].seg.number : l->cur.fd >= 0 ? l->cur.number : l->next_number;
    pthread_mutex_unlock(&l->m);
    if ((r = ea_seg_list_load(l->dir, &l->state, &list, err)) < 0)
        return r;
    while (i < list.n && !list.v[i].usable) /* what nobody can read is left for people to look at */
        i++;
    if (i == list.n || list.v[i].number >= keep)
        r = -ENODATA;
    else
        r = free_segment(l, &list.v[i], end_of(l, &list, i), err);
    ea_seg_list_done(&list);
    return r;
}

/* ---- the next segment ---- */

static void keep_reserve(struct ea_elog *l)
{
    char path[EA_PATH];
    EA_AUTO_FD int fd = -1;

    if (ea_path(path, l->dir, "reserve") < 0 || access(path, F_OK) == 0)
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && ea_evidence_io.allocate(fd, EA_RESERVE_BYTES) < 0)
        unlink(path);
}

/* Gives the last bytes back, so that leaves, state and the loss record can be written on a full
 * disk. */
static void use_reserve(struct ea_elog *l)
{
    char path[EA_PATH];

    if (ea_path(path, l->dir, "reserve") == 0)
        unlink(path);
}

static int make_room(struct ea_elog *l, uint64_t size, struct ea_err *err)
{
    for (;;) {
        struct ea_seg_list list;
        uint64_t live;
        int r = ea_seg_list_load(l->dir, &l->state, &list, err);

        if (r < 0)
            return r;
        live = count_bytes(l, &list);
        ea_seg_list_done(&list);
        if (!over_limit(l, live, size))
            return 0;
        r = free_oldest(l, err);
        if (r == -ENODATA) /* the current segment and the next are the least, unless the rule is to
                              block */
            return l->block_when_full ? ea_fail(err, -ENOSPC, "the log reached its disk limit") : 0;
        if (r < 0)
            return r;
    }
}

/* Written once with zeros, a segment's blocks are no longer marked unwritten: a later fdatasync
 * writes data and no journal, and an append finds its page in the cache. Done ahead of need, in
 * pieces, so that records which arrive meanwhile are synced in time. */
static int write_zeros(struct ea_elog *l, int fd, uint64_t size)
{
    int r = 0;

    for (uint64_t off = 0; off < size && r == 0; off += ZERO_PIECE) {
        bool urgent;

        r = ea_zero_range(fd, off, EA_MIN(size - off, ZERO_PIECE));
        if (r == 0)
            r = ea_evidence_io.sync(fd);
        pthread_mutex_lock(&l->m);
        urgent = l->urgent && !l->broken;
        pthread_mutex_unlock(&l->m);
        if (urgent)
            (void)ea_elog_sync_held(l, NULL); /* its failure is remembered in `broken` */
    }
    return r;
}

static int make_file(struct ea_elog *l, uint64_t size, struct ea_err *err)
{
    char path[EA_PATH];
    int fd, r;

    if (ea_path(path, l->dir, "next.tmp") < 0)
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ea_fail(err, -errno, "making %s: %s", path, strerror(errno));
    while ((r = ea_evidence_io.allocate(fd, size)) == -ENOSPC && !l->block_when_full) {
        use_reserve(l);
        if (free_oldest(l, err) < 0)
            break;
    }
    if (r == 0)
        r = write_zeros(l, fd, size);
    if (r < 0) {
        close(fd);
        unlink(path);
        return ea_fail(err, r, "allocating a segment of %" PRIu64 " bytes: %s", size, strerror(-r));
    }
    return fd;
}

int ea_elog_prepare_next(struct ea_elog *l)
{
    struct ea_err err = {0};
    uint64_t size;
    int fd;

    pthread_mutex_lock(&l->m);
    size = EA_MAX(l->segment_bytes, (l->want_size + EA_FOOTER - 1) / EA_FOOTER * EA_FOOTER);
    if (l->next_fd >= 0 && l->next_size >= size) {
        l->want_next = false;
        pthread_cond_broadcast(&l->moved);
        pthread_mutex_unlock(&l->m);
        return 0;
    }
    if (l->next_fd >= 0) {
        close(l->next_fd);
        l->next_fd = -1;
    }
    pthread_mutex_unlock(&l->m);
    (void)ea_elog_sync_held(l, NULL); /* full segments can be freed only when they are synced */
    fd = make_room(l, size, &err);
    if (fd == 0)
        fd = make_file(l, size, &err);
    pthread_mutex_lock(&l->m);
    l->next_err = EA_MIN(fd, 0);
    l->next_fd = fd > 0 ? fd : -1;
    l->next_size = fd > 0 ? size : 0;
    l->want_next = false;
    pthread_cond_broadcast(&l->moved);
    pthread_mutex_unlock(&l->m);
    if (fd > 0)
        keep_reserve(l);
    return EA_MIN(fd, 0);
}
