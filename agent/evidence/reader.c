/* evidence/reader.c - reading records in order, from a log that may be growing. */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "evidence/crc32c.h"
#include "evidence/log.h"
#include "evidence/store.h"

#define WINDOW (256u << 10)

struct ea_reader {
    char *dir;
    int fd; /* of the current segment; -1: none yet, or waiting for the first */
    struct ea_seg_entry seg;
    uint32_t seed;
    uint64_t off, limit;
    uint64_t epoch, seq; /* next record wanted */
    bool thorough;
    char *buf; /* window of the file */
    size_t cap, n;
    uint64_t buf_off;
};

static int list_segments(const char *dir, struct ea_seg_list *list, struct ea_err *err)
{
    struct ea_slots_found found;
    struct ea_state st;

    return ea_seg_list_load(dir, ea_state_load(dir, &st, &found) == 0 ? &st : NULL, list, err);
}

int ea_reader_open(const char *dir, uint64_t epoch, uint64_t seq, struct ea_reader **ret,
                   struct ea_err *err)
{
    struct ea_reader *r;
    struct stat st;

    *ret = NULL;
    if (stat(dir, &st) < 0)
        return ea_fail(err, -errno, "opening the log %s: %s", dir, strerror(errno));
    r = ea_xalloc(sizeof(*r));
    r->dir = ea_str_dupz(ea_str(dir));
    r->fd = -1;
    r->epoch = epoch;
    r->seq = seq;
    *ret = r;
    return 0;
}

void ea_reader_close(struct ea_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    free(r->buf);
    free(r->dir);
    free(r);
}

void ea_reader_thorough(struct ea_reader *r)
{
    r->thorough = true;
}

void ea_reader_place(const struct ea_reader *r, uint64_t *ret_segment, uint64_t *ret_offset)
{
    *ret_segment = r->fd >= 0 ? r->seg.number : 0;
    *ret_offset = r->off;
}

static int enter(struct ea_reader *r, const struct ea_seg_entry *e, struct ea_err *err)
{
    struct ea_footer f;
    char path[EA_PATH];
    int fd;

    if (ea_seg_path(path, r->dir, e->number) < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path %s is too long", r->dir);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    if (r->fd >= 0)
        close(r->fd);
    r->fd = fd;
    r->seg = *e;
    r->seed = ea_rec_seed(e->h.uuid, e->h.epoch, e->h.first_seq);
    r->off = EA_SEG_HEADER;
    r->limit = ea_seg_footer_load(r->dir, e, &f) == 0 ? f.end : EA_MAX_SEGMENT;
    r->n = 0;
    return 0;
}

static bool before(uint64_t e1, uint64_t s1, uint64_t e2, uint64_t s2)
{
    return e1 < e2 || (e1 == e2 && s1 < s2);
}

/* The last segment that starts at or before what is wanted, else the first one behind it. */
static int start(struct ea_reader *r, struct ea_err *err)
{
    const struct ea_seg_entry *best = NULL;
    struct ea_seg_list list;
    int c = list_segments(r->dir, &list, err);

    if (c < 0)
        return c;
    for (size_t i = 0; i < list.n; i++) {
        const struct ea_seg_entry *e = &list.v[i];

        if (e->usable && (!best || !before(r->epoch, r->seq, e->h.epoch, e->h.first_seq)))
            best = e;
    }
    c = best ? enter(r, best, err) : -ENODATA;
    ea_seg_list_done(&list);
    return c;
}

/* The segment behind the current one. -ENODATA when there is none. With `look`, only says whether
 * there is one. */
static int advance(struct ea_reader *r, bool look, struct ea_err *err)
{
    struct ea_seg_list list;
    int c = list_segments(r->dir, &list, err);

    if (c < 0)
        return c;
    c = -ENODATA;
    for (size_t i = 0; i < list.n; i++) {
        if (list.v[i].number > r->seg.number && list.v[i].usable) {
            c = look ? 0 : enter(r, &list.v[i], err);
            break;
        }
    }
    ea_seg_list_done(&list);
    return c;
}

/* Makes [off, off+n) available; fewer bytes at the end of the file. */
static int fill(struct ea_reader *r, uint64_t off, size_t n, const uint8_t **ret_p, size_t *ret_n,
                bool again)
{
    if (again || off < r->buf_off || off + n > r->buf_off + r->n) {
        size_t want = EA_MAX(n, (size_t)WINDOW);
        ssize_t got;

        if (r->cap < want) { /* at most a window or a record */
            r->buf = ea_xrealloc(r->buf, want);
            r->cap = want;
        }
        do
            got = pread(r->fd, r->buf, want, (off_t)off);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return -errno;
        r->buf_off = off;
        r->n = (size_t)got;
    }
    *ret_p = (const uint8_t *)r->buf + (off - r->buf_off);
    *ret_n = r->n - (size_t)(off - r->buf_off);
    return 0;
}

/* One record at r->off. 0, -ENODATA (no whole record there), -EBADMSG (good header, bad payload; h
 * is set), -errno. */
static int read_one(struct ea_reader *r, struct ea_rec_header *h, struct ea_str *payload,
                    bool again)
{
    const uint8_t *p = NULL;
    size_t n = 0;
    int c;

    if (r->off + EA_REC_HEADER > r->limit)
        return -ENODATA;
    c = fill(r, r->off, EA_REC_HEADER, &p, &n, again);
    if (c < 0)
        return c;
    if (n < EA_REC_HEADER || ea_rec_header_get(p, r->seed, h) < 0)
        return -ENODATA;
    c = fill(r, r->off, EA_REC_HEADER + h->len, &p, &n, false);
    if (c < 0)
        return c;
    if (n < EA_REC_HEADER + (size_t)h->len) /* the file ends before the record does */
        return -ENODATA;
    if (ea_crc32c(0, p + EA_REC_HEADER, h->len) != h->payload_crc)
        return -EBADMSG;
    *payload = ea_strn((const char *)p + EA_REC_HEADER, h->len);
    return 0;
}

/* Looks behind bytes that are no record for one that is: to the end of the segment, or not far
 * where the log may be growing (at its end every look would else read the whole unused rest). */
static bool find_later(struct ea_reader *r, uint64_t limit, uint64_t *ret_off,
                       struct ea_rec_header *h)
{
    for (uint64_t off = r->off + 8; off + EA_REC_HEADER <= limit; off += 8) {
        const uint8_t *p = NULL;
        size_t n = 0;

        if (fill(r, off, EA_REC_HEADER, &p, &n, false) < 0 || n < EA_REC_HEADER)
            return false;
        if (memcmp(p, "EVR1", 4) == 0 && ea_rec_header_get(p, r->seed, h) == 0) {
            *ret_off = off;
            return true;
        }
    }
    return false;
}

static int report_skip(struct ea_reader *r, struct ea_record_view *ret, uint64_t seq, uint64_t n,
                       struct ea_err *err)
{
    *ret = (struct ea_record_view){.epoch = r->seg.h.epoch, .seq = seq, .skipped = n};
    return ea_fail(err, -EBADMSG,
                   "epoch %" PRIu64 " record %" PRIu64 " in segment %016" PRIx64 " at byte %" PRIu64
                   " is damaged",
                   r->seg.h.epoch, seq, r->seg.number, r->off);
}

/* There is no record at the current place. Either the log ends here, or the segment does, or bytes
 * are damaged. 1 = go on reading, else the result. */
static int at_gap(struct ea_reader *r, struct ea_record_view *ret, struct ea_err *err)
{
    bool more = advance(r, true, NULL) == 0;
    struct ea_rec_header h;
    struct ea_str payload;
    uint64_t off;
    int c;

    /* Looked for the next segment first: what was appended here before it came is visible now. */
    c = read_one(r, &h, &payload, true);
    if (c != -ENODATA && !(c == -EBADMSG && !more))
        return c == 0 || c == -EBADMSG
                   ? 1
                   : ea_fail(err, c, "reading the log %s: %s", r->dir, strerror(-c));
    if (c == -ENODATA &&
        find_later(r, more || r->thorough ? r->limit : EA_MIN(r->limit, r->off + 4096), &off, &h)) {
        uint64_t from = r->seq;
        struct ea_rec_header here;

        /* A read beside a write may show later bytes and not yet earlier ones: looked at once more,
         * what was written first is there. */
        if (read_one(r, &here, &payload, true) != -ENODATA)
            return 1;
        r->off = off;
        if (h.seq > from && r->epoch == r->seg.h.epoch) {
            r->seq = h.seq;
            return report_skip(r, ret, from, h.seq - from, err);
        }
        return 1;
    }
    if (!more)
        return -ENODATA;
    c = advance(r, false, err);
    return c == 0 ? 1 : c;
}

static int take(struct ea_reader *r, const struct ea_rec_header *h, struct ea_str payload,
                int result, struct ea_record_view *ret, struct ea_err *err)
{
    uint64_t at = r->off;

    r->off += ea_rec_size(h->len);
    r->epoch = r->seg.h.epoch;
    r->seq = h->seq + 1;
    if (result == -EBADMSG) {
        uint64_t off = r->off;

        r->off = at;
        report_skip(r, ret, h->seq, 1, err);
        r->off = off;
        return -EBADMSG;
    }
    *ret = (struct ea_record_view){.epoch = r->seg.h.epoch,
                                   .seq = h->seq,
                                   .time_ms = h->time_ms,
                                   .type = h->type,
                                   .bytes = payload};
    return 0;
}

/* A bad payload may be a write in progress: it is damage when something lies behind it and it is
 * still bad. -EAGAIN = not yet known. */
static int confirm_damage(struct ea_reader *r, struct ea_rec_header *h, struct ea_str *payload)
{
    struct ea_rec_header behind;
    struct ea_str unused;
    uint64_t keep = r->off;
    int c = read_one(r, h, payload, true), c2;

    if (c != -EBADMSG)
        return c;
    r->off += ea_rec_size(h->len);
    c2 = read_one(r, &behind, &unused, true);
    r->off = keep;
    if (c2 == -ENODATA && !r->thorough && advance(r, true, NULL) < 0)
        return -EAGAIN;
    return read_one(r, h, payload, true);
}

int ea_reader_next(struct ea_reader *r, struct ea_record_view *ret, struct ea_err *err)
{
    int c;

    if (r->fd < 0 && (c = start(r, err)) < 0)
        return c;
    for (;;) {
        struct ea_rec_header h = {0};
        struct ea_str payload = EA_STR_NULL;

        c = read_one(r, &h, &payload, false);
        if (c == -EBADMSG && (c = confirm_damage(r, &h, &payload)) == -EAGAIN)
            return -ENODATA;
        if (c == -ENODATA) {
            if ((c = at_gap(r, ret, err)) <= 0)
                return c;
            continue;
        }
        if (c < 0 && c != -EBADMSG)
            return ea_fail(err, c, "reading the log %s: %s", r->dir, strerror(-c));
        if (before(r->seg.h.epoch, h.seq, r->epoch,
                   r->seq)) { /* repeated after a failed sync, or before what is wanted */
            r->off += ea_rec_size(h.len);
            continue;
        }
        return take(r, &h, payload, c, ret, err);
    }
}

/* ---- counting ---- */

static uint64_t end_of(const char *dir, const struct ea_seg_list *list, size_t i)
{
    const struct ea_seg_entry *e = &list->v[i];
    struct ea_footer f;

    if (ea_seg_footer_load(dir, e, &f) == 0)
        return f.last_seq + 1;
    return ea_seg_scan_end(dir, e);
}

int ea_evidence_count_from(const char *dir, uint64_t epoch, uint64_t seq, uint64_t *ret,
                           struct ea_err *err)
{
    struct ea_seg_list list;
    uint64_t *epochs = NULL;
    size_t n = 0;
    int c = list_segments(dir, &list, err);

    *ret = 0;
    if (c < 0)
        return c;
    c = ea_epoch_list(dir, &epochs, &n);
    for (size_t k = 0; k < n && c == 0; k++) {
        uint64_t end = ea_leaves_count(dir, epochs[k]), from = epochs[k] == epoch ? seq : 0;

        if (epochs[k] < epoch)
            continue;
        for (size_t i = list.n; i-- > 0;) {
            if (list.v[i].usable && list.v[i].h.epoch == epochs[k]) {
                end = EA_MAX(end, end_of(dir, &list, i));
                break;
            }
        }
        *ret += end > from ? end - from : 0;
    }
    ea_seg_list_done(&list);
    free(epochs);
    return c < 0 ? ea_fail(err, c, "reading %s/epochs: %s", dir, strerror(-c)) : 0;
}
