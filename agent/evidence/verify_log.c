/* evidence/verify_log.c - checking a log's own folder: every byte of every file that belongs to it.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/verify_int.h"

struct log_check {
    struct ea_verify *v;
    const char *dir;
    struct ea_state state;
    bool have_state;
    struct ea_seg_list list;
    uint64_t *epochs;
    size_t n_epochs;
    const uint8_t *uuid;
    char uid_part[160]; /* "/c/<cluster>/n/<node>/e/", when the log made its own */
    /* records that the next segment repeats */
    uint64_t over_first;
    uint8_t (*over)[EA_SHA256_LEN];
    size_t n_over;
};

/* ---- small files ---- */

static void check_slots(struct log_check *c, const char *file, int result, unsigned broken,
                        unsigned slot)
{
    struct ea_verify *v = c->v;

    if (result < 0 && result != -EBADMSG) {
        ea_verify_breach(v, "%s/%s: %s", c->dir, file,
                         result == -ENOENT ? "missing or empty" : strerror(-result));
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        if (broken & (1u << i))
            ea_verify_breach(v, "%s/%s: slot %u (bytes %u to %u) is damaged", c->dir, file, i,
                             i * EA_SLOT_STEP, i * EA_SLOT_STEP + slot - 1);
    if (broken & 4)
        ea_verify_breach(v, "%s/%s: bytes outside the two slots are not zero", c->dir, file);
}

static int check_cursor(void *arg, const char *sink, int result, const struct ea_cursor *cur)
{
    struct log_check *c = arg;
    struct ea_slots_found found = {0};
    struct ea_cursor again;
    char file[80];

    result = ea_cursor_load(c->dir, sink, &again, &found);
    snprintf(file, sizeof(file), "cur-%s", sink);
    check_slots(c, file, result, found.broken, EA_CURSOR_SLOT);
    if (result == 0 && c->uuid && memcmp(again.uuid, c->uuid, 16) != 0)
        ea_verify_breach(c->v, "%s/%s: belongs to another log", c->dir, file);
    return 0;
}

static void check_reserve(struct log_check *c)
{
    EA_AUTO_FREE char *p = NULL;
    char path[EA_PATH];
    size_t n = 0, at;

    if (ea_path(path, c->dir, "reserve") < 0 || ea_read_file(path, 1u << 24, &p, &n, NULL) < 0)
        return;
    at = ea_first_nonzero((uint8_t *)p, n);
    if (at < n)
        ea_verify_breach(c->v, "%s: byte %zu of the reserve is not zero", path, at);
}

static void check_uids(struct log_check *c)
{
    EA_AUTO_FREE char *p = NULL;
    char path[EA_PATH], cluster[64], node[64], again[160];
    size_t n = 0;

    if (ea_path(path, c->dir, "uids") < 0 || ea_read_file(path, 4096, &p, &n, NULL) < 0)
        return;
    if (sscanf(p, "cluster %63[^\n]\nnode %63[^\n]\n", cluster, node) != 2) {
        ea_verify_breach(c->v, "%s: wanted two lines, 'cluster UUID' and 'node UUID'", path);
        return;
    }
    snprintf(again, sizeof(again), "cluster %s\nnode %s\n", cluster, node);
    if (strlen(again) != n || memcmp(again, p, n) != 0)
        ea_verify_breach(c->v, "%s: wanted two lines, 'cluster UUID' and 'node UUID'", path);
    snprintf(c->uid_part, sizeof(c->uid_part), "/c/%s/n/%s/e/", cluster, node);
}

/* The uids beside the log are those of the newest epoch, unless the configuration gives some. */
static void check_uids_used(struct log_check *c, const char *origin)
{
    char path[EA_PATH];

    if (c->uid_part[0] && origin[0] && !strstr(origin, c->uid_part) &&
        ea_path(path, c->dir, "uids") == 0) {
        char cluster[64], node[64];

        /* One of the two may come from the configuration. */
        if (sscanf(c->uid_part, "/c/%63[^/]/n/%63[^/]/", cluster, node) == 2 &&
            !strstr(origin, cluster) && !strstr(origin, node))
            ea_verify_breach(c->v, "%s: neither uid is in the origin %s", path, origin);
        else
            ea_verify_breach(c->v, "%s: does not agree with the origin %s", path, origin);
    }
}

/* ---- segments ---- */

/* A write that was stopped half-way by a kill: what is there ends exactly at a page, was never
 * acknowledged, and the log was not closed. */
static bool torn_write(const struct log_check *c, const struct ea_seg_image *img,
                       const struct ea_seg_entry *e, const struct ea_scan_item *it, uint64_t expect)
{
    uint64_t end = it->off + it->size;
    struct ea_rec_header h;

    if (!c->have_state || c->state.clean || end % 4096 != 0 || it->size == 0)
        return false;
    if (it->size < EA_REC_HEADER)
        return memcmp(img->p + it->off, "EVR1", EA_MIN(it->size, 4u)) == 0;
    return ea_rec_header_get(img->p + it->off, ea_rec_seed(e->h.uuid, e->h.epoch, e->h.first_seq),
                             &h) == 0 &&
           h.seq == expect && it->off + ea_rec_size(h.len) > end;
}

static void remember_over(struct log_check *c, uint64_t seq, struct ea_str record)
{
    if (c->n_over == 0)
        c->over_first = seq;
    c->over = ea_xrealloc(c->over, (c->n_over + 1) * sizeof(*c->over));
    ea_leaf_hash(record, c->over[c->n_over++]);
}

static void compare_over(struct log_check *c, uint64_t seq, struct ea_str record, const char *place)
{
    uint8_t leaf[EA_SHA256_LEN];

    if (c->n_over == 0 || seq < c->over_first || seq >= c->over_first + c->n_over)
        return;
    ea_leaf_hash(record, leaf);
    if (memcmp(leaf, c->over[seq - c->over_first], EA_SHA256_LEN) != 0)
        ea_verify_breach(c->v,
                         "%s: record %" PRIu64
                         " differs from its copy in the segment before: two contents of one id",
                         place, seq);
}

static void check_record(struct log_check *c, struct ea_epoch_check *ec,
                         const struct ea_scan_item *it, const char *place,
                         const uint8_t (*leaves)[EA_SHA256_LEN], uint64_t n_leaves)
{
    struct ea_record_parts p;
    uint8_t leaf[EA_SHA256_LEN];

    compare_over(c, it->h.seq, it->payload, place);
    ea_epoch_check_record(ec, it->payload, place, &p);
    if (it->dirty_pad)
        ea_verify_breach(c->v, "%s: %s record %" PRIu64 ": the pad behind the record is not zero",
                         place, ec->label, it->h.seq);
    if (p.type.n > 0 && (p.seq != it->h.seq || p.time_ms != it->h.time_ms ||
                         ea_record_type_number(p.type) != it->h.type))
        ea_verify_breach(c->v,
                         "%s: %s record %" PRIu64 ": seq, time or type of header and record differ",
                         place, ec->label, it->h.seq);
    if (it->h.seq < n_leaves) {
        ea_leaf_hash(it->payload, leaf);
        if (memcmp(leaf, leaves[it->h.seq], EA_SHA256_LEN) != 0)
            ea_verify_breach(c->v,
                             "%s/epochs/…/leaves: entry %" PRIu64 " is not the hash of the record",
                             c->dir, it->h.seq);
    }
}

static void check_footer(struct log_check *c, struct ea_epoch_check *ec,
                         const struct ea_seg_image *img, const struct ea_seg_entry *e, uint64_t end,
                         const char *file)
{
    const struct ea_footer *f = &img->f;
    bool tree_same = f->tree.size == ec->tree.size && f->tree.n == ec->tree.n &&
                     memcmp(f->tree.stack, ec->tree.stack, (size_t)f->tree.n * EA_SHA256_LEN) == 0;

    if (f->end != end || f->last_seq + 1 != ec->next || f->count != ec->next - e->h.first_seq ||
        memcmp(f->last_leaf, ec->prev, EA_SHA256_LEN) != 0 || !tree_same)
        ea_verify_breach(c->v, "%s: the footer (byte %" PRIu64 ") does not agree with the records",
                         file, img->n - EA_FOOTER);
}

struct seg_place {
    char file[EA_PATH];
    bool last_of_log, last_of_epoch;
    uint64_t end_seq; /* records from here on are repeated in the next segment */
    uint64_t end;     /* offset behind the last record */
    bool over;        /* some are */
};

static void check_tail(struct log_check *c, struct ea_epoch_check *ec, const struct ea_seg_entry *e,
                       const struct ea_seg_image *img, struct seg_place *at)
{
    bool cut = img->footer == -ENODATA && (img->n % EA_FOOTER != 0 || at->end + EA_FOOTER > img->n);

    if (img->footer == -EBADMSG)
        ea_verify_breach(c->v, "%s: the footer (byte %" PRIu64 ") is damaged", at->file,
                         img->n - EA_FOOTER);
    if (img->footer == 0 && !at->over)
        check_footer(c, ec, img, e, at->end, at->file);
    if (cut && !at->over)
        ea_verify_breach(c->v, "%s: the file ends at byte %" PRIu64 ", shorter than it was made",
                         at->file, img->n);
    if (img->footer == -ENODATA && !at->last_of_log && !at->over) {
        if (c->have_state && !c->state.clean)
            ea_verify_say(c->v, "%s: full and not sealed yet", at->file);
        else
            ea_verify_breach(c->v, "%s: not the last segment, and without a footer", at->file);
    }
}

static void check_items(struct log_check *c, struct ea_epoch_check *ec,
                        const struct ea_seg_entry *e, const struct ea_seg_image *img,
                        struct seg_place *at, const uint8_t (*leaves)[EA_SHA256_LEN],
                        uint64_t n_leaves)
{
    char place[EA_PATH + 64];
    struct ea_scan scan;
    struct ea_scan_item it;
    uint64_t off;

    ea_scan_init(&scan, img->p, img->limit, &e->h);
    at->end = scan.off;
    for (;;) {
        enum ea_scan_what what = ea_scan_next(&scan, &it);

        off = it.off;
        snprintf(place, sizeof(place), "%s at byte %" PRIu64, at->file, off);
        if (what == EA_SCAN_END)
            return;
        if (what == EA_SCAN_RECORD && it.h.seq >= at->end_seq) {
            remember_over(c, it.h.seq, it.payload);
            at->over = true;
            continue;
        }
        if (what == EA_SCAN_TORN) {
            if (at->last_of_log && torn_write(c, img, e, &it, ec->next))
                ea_verify_say(c->v,
                              "%s: the last write was stopped half-way, it was never acknowledged",
                              place);
            else
                ea_verify_breach(
                    c->v, "%s: %s: %" PRIu64 " bytes where record %" PRIu64 " or zeros must be",
                    place, ec->label, it.size, ec->next);
            return;
        }
        if (what != EA_SCAN_RECORD) {
            ea_verify_breach(c->v, "%s: %s record %" PRIu64 ": %s (%" PRIu64 " lost)", place,
                             ec->label, ec->next,
                             what == EA_SCAN_DAMAGED ? "damaged, its checksum does not match"
                                                     : "no record here, and one behind",
                             it.lost);
            ec->next += it.lost;
        } else {
            check_record(c, ec, &it, place, leaves, n_leaves);
        }
        at->end = it.off + it.size;
    }
}

static int check_segment(struct log_check *c, struct ea_epoch_check *ec, size_t i,
                         const uint8_t (*leaves)[EA_SHA256_LEN], uint64_t n_leaves,
                         struct ea_err *err)
{
    const struct ea_seg_entry *e = &c->list.v[i];
    struct seg_place at = {
        .last_of_log = i + 1 == c->list.n, .last_of_epoch = true, .end_seq = UINT64_MAX};
    struct ea_seg_image img;
    int r;

    for (size_t k = c->list.n; k-- > i + 1;) {
        if (c->list.v[k].usable && c->list.v[k].h.epoch == e->h.epoch) {
            at.last_of_epoch = false;
            at.end_seq = c->list.v[k].h.first_seq;
        }
    }
    if ((r = ea_seg_path(at.file, c->dir, e->number)) < 0)
        return ea_fail(err, r, "the path %s is too long", c->dir);
    r = ea_seg_image_load(c->dir, e->number, &img, err);
    if (r == -ENOENT) { /* freed by its owner while we read */
        ea_verify_say(c->v, "%s: freed while verifying", at.file);
        return 0;
    }
    if (r < 0)
        return r;
    if (e->h.first_seq > ec->next) {
        ea_verify_breach(
            c->v, "%s: %s: records %" PRIu64 " to %" PRIu64 " are missing before this segment",
            at.file, ec->label, ec->next, e->h.first_seq - 1);
        ec->next = e->h.first_seq;
    } else if (e->header == 0 && e->h.first_seq == ec->next &&
               memcmp(e->h.prev_leaf, ec->prev, EA_SHA256_LEN) != 0) {
        ea_verify_breach(
            c->v, "%s at byte 56: the header's hash of the record before does not match", at.file);
    }
    if (e->header == 0 && c->uuid && memcmp(e->h.uuid, c->uuid, 16) != 0)
        ea_verify_breach(c->v, "%s at byte 16: the segment belongs to another log", at.file);
    check_items(c, ec, e, &img, &at, leaves, n_leaves);
    check_tail(c, ec, e, &img, &at);
    if (!at.over)
        c->n_over = 0;
    ea_seg_image_done(&img);
    return 0;
}

static void check_headers(struct log_check *c)
{
    char path[EA_PATH];

    for (size_t i = 0; i < c->list.n; i++) {
        const struct ea_seg_entry *e = &c->list.v[i];

        if (e->header == 0 || ea_seg_path(path, c->dir, e->number) < 0)
            continue;
        if (e->header == -ENOTSUP)
            ea_verify_breach(c->v, "%s: written by a newer version", path);
        else
            ea_verify_breach(c->v, "%s: the header (bytes 0 to 127) is damaged%s", path,
                             e->usable ? "; its records are read" : "");
    }
}

/* ---- epochs ---- */

static void check_private_key(struct log_check *c, struct ea_epoch_check *ec, uint64_t epoch)
{
    EA_AUTO_FREE char *pem = NULL;
    struct ea_key *priv = NULL, *pub = NULL;
    struct ea_buf a, b;
    struct ea_err why = {0};
    size_t n = 0;
    int r = ea_epoch_read(c->dir, epoch, "private.pem", 16384, &pem, &n, &why);

    if (r == -ENOENT)
        return;
    if (r < 0) {
        ea_verify_say(c->v, "%s: the private key cannot be read here (%s)", ec->label, why.text);
        return;
    }
    ea_buf_init(&a, 16384);
    ea_buf_init(&b, 16384);
    if (ea_key_from_pem(ea_strn(pem, n), &priv, &why) < 0 || ea_key_private_pem(priv, &a, &why) < 0)
        ea_verify_breach(c->v, "%s/epochs/%" PRIu64 "/private.pem: %s", c->dir, epoch, why.text);
    else if (!ea_str_eq(ea_buf_str(&a), ea_strn(pem, n)))
        ea_verify_breach(c->v,
                         "%s/epochs/%" PRIu64
                         "/private.pem: the text is not the canonical form of this key",
                         c->dir, epoch);
    else if (ea_epoch_key(c->dir, epoch, false, &pub, NULL) == 0) {
        ea_cleanse(a.p, a.n);
        ea_buf_clear(&a);
        if (ea_key_public_der(priv, &a, NULL) == 0 && ea_key_public_der(pub, &b, NULL) == 0 &&
            !ea_str_eq(ea_buf_str(&a), ea_buf_str(&b)))
            ea_verify_breach(c->v, "%s/epochs/%" PRIu64 "/private.pem: does not belong to key.pem",
                             c->dir, epoch);
    }
    if (a.p)
        ea_cleanse(a.p, a.n);
    ea_cleanse(pem, n);
    ea_buf_done(&a);
    ea_buf_done(&b);
    ea_key_free(priv);
    ea_key_free(pub);
}

static void epoch_origin(struct log_check *c, uint64_t epoch, char out[320])
{
    EA_AUTO_FREE char *p = NULL;
    struct ea_err why;
    size_t n = 0;

    out[0] = '\0';
    if (ea_epoch_read(c->dir, epoch, "origin", 319, &p, &n, &why) < 0)
        ea_verify_breach(c->v, "%s", why.text);
    else if (n < 2 || p[n - 1] != '\n' || memchr(p, '\n', n) != p + n - 1 || memchr(p, '\0', n))
        ea_verify_breach(c->v, "%s/epochs/%" PRIu64 "/origin: not one line", c->dir, epoch);
    else
        snprintf(out, 320, "%.*s", (int)(n - 1), p);
}

static int check_leaves(struct log_check *c, struct ea_epoch_check *ec, uint64_t epoch,
                        uint64_t first, uint8_t (**leaves)[EA_SHA256_LEN], uint64_t *n,
                        struct ea_err *err)
{
    EA_AUTO_FREE char *p = NULL;
    size_t bytes = 0;
    int r = ea_leaves_load(c->dir, epoch, leaves, n, err);

    if (r < 0)
        return r;
    if (ea_epoch_read(c->dir, epoch, "leaves", EA_MAX_SEGMENT, &p, &bytes, NULL) == 0 &&
        bytes % EA_SHA256_LEN != 0)
        ea_verify_breach(c->v,
                         "%s/epochs/%" PRIu64 "/leaves: %zu bytes are no whole number of hashes",
                         c->dir, epoch, bytes);
    for (uint64_t i = 0; i < EA_MIN(first, *n); i++)
        ea_epoch_check_leaf(ec, (*leaves)[i]);
    return 0;
}

static uint64_t first_live_seq(const struct log_check *c, uint64_t epoch)
{
    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.v[i].usable && c->list.v[i].h.epoch == epoch)
            return c->list.v[i].h.first_seq;
    return UINT64_MAX;
}

static int check_records(struct log_check *c, struct ea_epoch_check *ec, uint64_t epoch,
                         uint64_t first, struct ea_err *err)
{
    uint8_t(*leaves)[EA_SHA256_LEN] = NULL;
    uint64_t n_leaves = 0;
    int r = check_leaves(c, ec, epoch, first, &leaves, &n_leaves, err);

    c->n_over = 0;
    for (size_t i = 0; i < c->list.n && r == 0; i++)
        if (c->list.v[i].usable && c->list.v[i].h.epoch == epoch)
            r = check_segment(c, ec, i, (const uint8_t(*)[EA_SHA256_LEN])leaves, n_leaves, err);
    free(leaves);
    return r;
}

static int check_epoch(struct log_check *c, uint64_t epoch, bool newest, struct ea_err *err)
{
    char origin[320], cp[EA_PATH], key[EA_PATH];
    EA_AUTO_FREE struct ea_epoch_check *ec = ea_xalloc(sizeof(*ec));
    uint64_t first = first_live_seq(c, epoch);
    int r;

    if (ea_epoch_path(cp, c->dir, epoch, "checkpoint") < 0 ||
        ea_epoch_path(key, c->dir, epoch, "key.pem") < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path %s is too long", c->dir);
    if (first == UINT64_MAX && ea_leaves_count(c->dir, epoch) == 0 && access(cp, F_OK) != 0) {
        ea_verify_say(c->v, "epoch %" PRIu64 ": begun and never used", epoch);
        return 0;
    }
    epoch_origin(c, epoch, origin);
    ea_epoch_check_init(ec, c->v, origin);
    if (newest)
        check_uids_used(c, origin);
    r = ea_epoch_check_note(ec, cp, err);
    if (r == 0)
        r = check_records(c, ec, epoch, first, err);
    if (r == 0) {
        ea_epoch_check_end(ec, cp, key);
        check_private_key(c, ec, epoch);
    }
    ea_epoch_check_done(ec);
    return r;
}

static int all_epochs(struct log_check *c, uint64_t **ret, size_t *ret_n, struct ea_err *err)
{
    int r = ea_epoch_list(c->dir, &c->epochs, &c->n_epochs);
    size_t n = c->n_epochs;

    if (r < 0)
        return ea_fail(err, r, "reading %s/epochs: %s", c->dir, strerror(-r));
    *ret = ea_xalloc((n + c->list.n + 1) * sizeof(**ret));
    if (n > 0)
        memcpy(*ret, c->epochs, n * sizeof(**ret));
    for (size_t i = 0; i < c->list.n; i++) {
        size_t k = 0;
        uint64_t e = c->list.v[i].h.epoch;

        if (!c->list.v[i].usable)
            continue;
        while (k < n && (*ret)[k] < e)
            k++;
        if (k < n && (*ret)[k] == e)
            continue;
        memmove(*ret + k + 1, *ret + k, (n - k) * sizeof(**ret));
        (*ret)[k] = e;
        n++;
    }
    *ret_n = n;
    return 0;
}

int ea_verify_log(struct ea_verify *v, const char *dir, struct ea_err *err)
{
    struct log_check c = {.v = v, .dir = dir};
    struct ea_slots_found found;
    EA_AUTO_FREE uint64_t *epochs = NULL;
    size_t n = 0;
    int r = ea_state_load(dir, &c.state, &found);

    c.have_state = r == 0;
    check_slots(&c, "state", r, found.broken, EA_STATE_SLOT);
    if ((r = ea_seg_list_load(dir, c.have_state ? &c.state : NULL, &c.list, err)) < 0)
        return r;
    if (c.have_state)
        c.uuid = c.state.uuid;
    for (size_t i = 0; i < c.list.n && !c.uuid; i++)
        if (c.list.v[i].header == 0)
            c.uuid = c.list.v[i].h.uuid;
    check_headers(&c);
    check_uids(&c);
    check_reserve(&c);
    ea_cursor_each(dir, check_cursor, &c);
    r = all_epochs(&c, &epochs, &n, err);
    if (r == 0 && n == 0)
        r = ea_fail(err, -EINVAL, "%s holds no evidence log", dir);
    for (size_t i = 0; i < n && r == 0; i++)
        r = check_epoch(&c, epochs[i], i + 1 == n, err);
    for (size_t i = 0; i < c.list.n && c.have_state && r == 0; i++)
        if (c.list.v[i].number < c.state.first_live)
            ea_verify_say(v, "%s/seg-%016" PRIx64 ".ev: was freed, and is still there", dir,
                          c.list.v[i].number);
    ea_seg_list_done(&c.list);
    free(c.epochs);
    free(c.over);
    return r;
}
