/* evidence/log_recover.c - what the folder holds, its tail mended, and the decision: continue the
 * epoch or begin a new one. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/checkpoint.h"
#include "evidence/log_int.h"

/* The records of one epoch as found on disk. */
struct walk {
    uint64_t epoch;
    struct ea_tree tree; /* stops growing at the first leaf that cannot be known */
    uint8_t leaf[EA_SHA256_LEN];
    uint64_t next_seq;
    uint64_t unknown; /* leaves right before the next record that are not known yet */
    bool gap;         /* the tree stopped */
    uint64_t cut, lost, lost_first, lost_last;
    bool junk;      /* bytes that are no record were passed over */
    bool irregular; /* the last segment is shorter than it was made */
    uint64_t end_segment, end_off, end_size;
    bool any, sealed;
};

struct recovery {
    struct ea_elog *l;
    const struct ea_elog_opts *o;
    struct ea_recovered *out;
    struct ea_state state;
    int state_result;
    uint8_t boot[16];
    struct ea_seg_list list;
    uint64_t *epochs;
    size_t n_epochs;
    uint64_t epoch;           /* the newest that has segments, or the state's */
    uint64_t checkpoint_size; /* of that epoch, local */
    bool checkpoint_bad;
    bool power_loss; /* not closed, and another boot */
};

/* ---- identity ---- */

static bool word_ok(const char *z, size_t max)
{
    size_t n = strlen(z);

    for (size_t i = 0; i < n; i++) {
        char c = z[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '.' || c == '_'))
            return false;
    }
    return n > 0 && n <= max;
}

/* Random uids live in `uids` beside the log. */
static int own_uids(struct ea_elog *l, char cluster[64], char node[64], struct ea_err *err)
{
    char path[EA_PATH], text[160], again[160];
    EA_AUTO_FREE char *p = NULL;
    size_t n = 0;
    int r = ea_path(path, l->dir, "uids");

    if (r < 0)
        return ea_fail(err, r, "the path %s is too long", l->dir);
    r = ea_read_file(path, sizeof(text), &p, &n, err);
    if (r == 0) {
        if (sscanf(p, "cluster %63[^\n]\nnode %63[^\n]\n", cluster, node) == 2 &&
            word_ok(cluster, 63) && word_ok(node, 63)) {
            snprintf(again, sizeof(again), "cluster %s\nnode %s\n", cluster, node);
            if (strcmp(again, p) == 0)
                return 0;
        }
        return ea_fail(err, -EINVAL,
                       "%s is damaged: wanted two lines, 'cluster UUID' and 'node UUID'", path);
    }
    if (r != -ENOENT)
        return r;
    ea_uuid4(cluster);
    ea_uuid4(node);
    snprintf(text, sizeof(text), "cluster %s\nnode %s\n", cluster, node);
    return ea_write_file(path, text, strlen(text), 0600, err);
}

static int set_identity(struct ea_elog *l, const struct ea_elog_opts *o, struct ea_err *err)
{
    char cluster[64] = "", node[64] = "";
    bool own_cluster = !o->cluster_uid || !*o->cluster_uid,
         own_node = !o->node_uid || !*o->node_uid;
    int r;

    if (!o->domain || !word_ok(o->domain, 160))
        return ea_fail(err, -EINVAL,
                       "the evidence domain '%s' is not 1 to 160 letters, digits, '.', '-' or '_'",
                       o->domain ? o->domain : "");
    if ((own_cluster || own_node) && (r = own_uids(l, cluster, node, err)) < 0)
        return r;
    if (!own_cluster)
        snprintf(cluster, sizeof(cluster), "%s", o->cluster_uid);
    if (!own_node)
        snprintf(node, sizeof(node), "%s", o->node_uid);
    if (!word_ok(cluster, 62) || !word_ok(node, 62))
        return ea_fail(err, -EINVAL,
                       "the uids of cluster and node are 1 to 62 letters, digits, '.', '-' or '_'");
    memcpy(l->cluster_uid, cluster, sizeof(cluster));
    memcpy(l->node_uid, node, sizeof(node));
    return 0;
}

static void set_origin(struct ea_elog *l, const char *domain, uint64_t epoch)
{
    int n = snprintf(l->origin, sizeof(l->origin), "%s/c/%s/n/%s/e/%" PRIu64, domain,
                     l->cluster_uid, l->node_uid, epoch);

    EA_ASSERT(n > 0 && n < (int)sizeof(l->origin));
    l->origin_n = (size_t)n;
    l->epoch = epoch;
}

static int read_boot_id(const char *given, uint8_t out[16], struct ea_err *err)
{
    EA_AUTO_FREE char *p = NULL;
    uint8_t hash[EA_SHA256_LEN];
    size_t n = 0;
    int r;

    if (!given) {
        r = ea_read_file("/proc/sys/kernel/random/boot_id", 256, &p, &n, err);
        if (r < 0)
            return ea_wrap(err, "finding out whether the machine was restarted");
        given = p;
    }
    ea_sha256(given, strlen(given), hash);
    memcpy(out, hash, 16);
    return 0;
}

/* Origin of a stored epoch; empty when unknown. */
static void stored_origin(const char *dir, uint64_t epoch, char out[320])
{
    EA_AUTO_FREE char *p = NULL;
    size_t n = 0;

    out[0] = '\0';
    if (ea_epoch_read(dir, epoch, "origin", 319, &p, &n, NULL) == 0 && n > 1 && p[n - 1] == '\n') {
        p[n - 1] = '\0';
        snprintf(out, 320, "%s", p);
    }
}

/* ---- walking an epoch ---- */

static const struct ea_seg_entry *next_of(const struct recovery *c, size_t i)
{
    for (size_t k = i + 1; k < c->list.n; k++)
        if (c->list.v[k].usable && c->list.v[k].h.epoch == c->list.v[i].h.epoch)
            return &c->list.v[k];
    return NULL;
}

static void add_leaf(struct walk *w, const uint8_t leaf[EA_SHA256_LEN])
{
    if (!w->gap)
        ea_tree_add(&w->tree, leaf);
}

static void walk_missing(struct walk *w, uint64_t n)
{
    if (w->lost == 0)
        w->lost_first = w->next_seq;
    w->lost += n;
    w->lost_last = w->next_seq + n - 1;
    w->unknown += n;
    w->next_seq += n;
}

static void walk_record(struct walk *w, struct ea_str record)
{
    struct ea_record_parts parts;

    /* The record behind a single damaged one carries its leaf. */
    if (w->unknown == 1 && ea_record_parse(record, &parts) == 0)
        add_leaf(w, parts.prev);
    else if (w->unknown > 0)
        w->gap = true;
    w->unknown = 0;
    ea_leaf_hash(record, w->leaf);
    add_leaf(w, w->leaf);
    w->next_seq++;
}

/* Takes bytes out of a segment's tail; they are kept in quarantine/. */
static int cut_tail(struct recovery *c, struct walk *w, uint64_t number,
                    const struct ea_seg_image *img, uint64_t off, struct ea_err *err)
{
    uint64_t n = ea_last_nonzero(img->p + off, img->limit - off);
    char path[EA_PATH];
    EA_AUTO_FD int fd = -1;
    int r;

    if (n == 0)
        return 0;
    if ((r = ea_quarantine(c->l->dir, number, off, img->p + off, n, err)) < 0)
        return r;
    if (ea_seg_path(path, c->l->dir, number) < 0 ||
        (fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
        return ea_fail(err, -errno, "opening segment %" PRIx64 ": %s", number, strerror(errno));
    r = ea_zero_range(fd, off, n);
    if (r == 0)
        r = ea_evidence_io.sync(fd);
    w->cut += n;
    return r < 0 ? ea_fail(err, r, "cutting the tail of %s: %s", path, strerror(-r)) : 0;
}

static void walk_item(struct walk *w, enum ea_scan_what what, const struct ea_scan_item *it)
{
    if (it->lost)
        walk_missing(w, it->lost);
    if (what == EA_SCAN_RECORD)
        walk_record(w, it->payload);
    w->end_off = it->off + it->size;
}

/* After a power loss the first hole behind the checkpoint ends the log: what lies behind it was
 * never synced, or cannot be told from what was not. It goes to quarantine. */
static bool ends_at_hole(const struct recovery *c, const struct walk *w, bool mend)
{
    return mend && c->power_loss && w->next_seq >= c->checkpoint_size;
}

/* One segment. 1 = the walk ends here (power loss: what lies behind was never synced), 0, -errno.
 */
static int walk_items(struct recovery *c, struct walk *w, const struct ea_seg_entry *e,
                      const struct ea_seg_image *img, uint64_t end_seq, bool last, bool mend,
                      struct ea_err *err)
{
    struct ea_scan scan;
    struct ea_scan_item it;

    ea_scan_init(&scan, img->p, img->limit, &e->h);
    w->end_off = scan.off;
    for (;;) {
        enum ea_scan_what what = ea_scan_next(&scan, &it);
        bool hole = what == EA_SCAN_DAMAGED || what == EA_SCAN_GAP, torn = what == EA_SCAN_TORN;
        int r;

        if (what == EA_SCAN_END)
            return 0;
        if (what == EA_SCAN_RECORD &&
            it.h.seq >= end_seq) /* repeated in the next segment, which counts */
            return 0;
        if ((torn && last && mend) || (hole && ends_at_hole(c, w, mend))) {
            r = cut_tail(c, w, e->number, img, it.off, err);
            return r < 0 ? r : hole;
        }
        w->junk = w->junk || what == EA_SCAN_GAP || torn;
        if (torn)
            return 0;
        walk_item(w, what, &it);
    }
}

/* A segment that is followed by another one and has no footer: the process died between filling and
 * sealing it, or its sync failed. */
static void seal_finished(struct recovery *c, const struct walk *w, const struct ea_seg_entry *e,
                          const struct ea_seg_entry *next)
{
    struct ea_open_seg s = {
        .number = e->number, .first_seq = e->h.first_seq, .size = e->size, .end = w->end_off};
    bool rewrite = next->h.flags & EA_SEG_REWRITE;
    char path[EA_PATH];
    EA_AUTO_FD int fd = -1;

    if (w->gap || w->unknown || w->tree.size != next->h.first_seq ||
        w->tree.size <= e->h.first_seq || ea_seg_path(path, c->l->dir, e->number) < 0)
        return;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || (rewrite && ftruncate(fd, (off_t)w->end_off) < 0))
        return;
    (void)ea_elog_seal(c->l, fd, &s, &w->tree, w->leaf, rewrite);
}

/* Whole segments behind a cut go to quarantine. */
static int quarantine_segments(struct recovery *c, struct walk *w, size_t from, struct ea_err *err)
{
    char path[EA_PATH], to[EA_PATH];

    for (size_t i = from; i < c->list.n; i++) {
        const struct ea_seg_entry *e = &c->list.v[i];
        int r = ea_path(to, c->l->dir, "quarantine");

        if (r == 0)
            r = ea_mkdirs(to, 0700, err);
        if (r < 0)
            return r;
        if (ea_seg_path(path, c->l->dir, e->number) < 0 ||
            ea_path(to, c->l->dir, "quarantine/seg-%016" PRIx64 "-whole-%" PRId64 ".ev", e->number,
                    ea_wall_now() / 1000) < 0)
            return -ENAMETOOLONG;
        if (rename(path, to) < 0)
            return ea_fail(err, -errno, "moving %s to quarantine: %s", path, strerror(errno));
        w->cut += e->size;
    }
    return ea_fsync_dir(c->l->dir);
}

static int walk_image(struct recovery *c, struct walk *w, size_t i, const struct ea_seg_entry *next,
                      bool mend, struct ea_seg_image *img, struct ea_err *err)
{
    const struct ea_seg_entry *e = &c->list.v[i];
    int r;

    w->any = true;
    w->end_segment = e->number;
    w->end_size = img->n;
    w->sealed = img->footer == 0;
    w->junk = w->junk || img->footer == -EBADMSG || e->header != 0;
    r = walk_items(c, w, e, img, next ? next->h.first_seq : UINT64_MAX, !next, mend, err);
    if (r == 1 && next)
        return quarantine_segments(c, w, i + 1, err) < 0 ? -EIO : 1;
    if (r != 0)
        return r;
    if (!next && !w->sealed)
        w->irregular = img->n % EA_FOOTER != 0 || w->end_off + EA_FOOTER > img->n;
    if (next && mend && img->footer == -ENODATA)
        seal_finished(c, w, e, next);
    return 0;
}

static int walk_segment(struct recovery *c, struct walk *w, size_t i, bool mend, struct ea_err *err)
{
    const struct ea_seg_entry *e = &c->list.v[i], *next = next_of(c, i);
    struct ea_seg_image img;
    int r;

    if (next && next->h.first_seq <= e->h.first_seq) /* wholly repeated in the next one, or empty */
        return 0;
    if (e->h.first_seq > w->next_seq) {
        if (w->any && ends_at_hole(c, w, mend))
            return (r = quarantine_segments(c, w, i, err)) < 0 ? r : 1;
        walk_missing(w, e->h.first_seq - w->next_seq);
    }
    if ((r = ea_seg_image_load(c->l->dir, e->number, &img, err)) < 0)
        return r;
    r = walk_image(c, w, i, next, mend, &img, err);
    ea_seg_image_done(&img);
    return r;
}

/* Where the walk can start: behind the last footer that its successor agrees with, else at the
 * first segment with the leaves of what was freed. Index of the first segment to walk. */
static size_t walk_start(struct recovery *c, struct walk *w)
{
    size_t first = c->list.n;
    struct ea_footer f;

    for (size_t i = c->list.n; i-- > 0;) {
        const struct ea_seg_entry *e = &c->list.v[i], *next;

        if (!e->usable || e->h.epoch != w->epoch)
            continue;
        first = i;
        next = next_of(c, i);
        /* The newest segment is always walked: its tail decides. */
        if (next && e->header == 0 && ea_seg_footer_load(c->l->dir, e, &f) == 0 &&
            f.last_seq + 1 == next->h.first_seq) {
            ea_tree_copy(&w->tree, &f.tree);
            memcpy(w->leaf, f.last_leaf, EA_SHA256_LEN);
            w->next_seq = f.last_seq + 1;
            w->any = true;
            return i + 1;
        }
    }
    if (first < c->list.n && c->list.v[first].h.first_seq > 0) {
        uint64_t want = c->list.v[first].h.first_seq, n = 0;
        uint8_t(*leaves)[EA_SHA256_LEN] = NULL;

        if (ea_leaves_load(c->l->dir, w->epoch, &leaves, &n, NULL) == 0 && n >= want)
            for (uint64_t i = 0; i < want; i++)
                ea_tree_add(&w->tree, leaves[i]);
        else
            w->gap = true;
        memcpy(w->leaf, c->list.v[first].h.prev_leaf, EA_SHA256_LEN);
        w->next_seq = want;
        free(leaves);
    }
    return first;
}

static int walk_epoch(struct recovery *c, uint64_t epoch, bool mend, struct walk *w,
                      struct ea_err *err)
{
    char origin[320];
    int r = 0;

    *w = (struct walk){.epoch = epoch};
    ea_tree_init(&w->tree);
    stored_origin(c->l->dir, epoch, origin);
    ea_genesis_hash(ea_str(origin), w->leaf);
    for (size_t i = walk_start(c, w); i < c->list.n && r == 0; i++)
        if (c->list.v[i].usable && c->list.v[i].h.epoch == epoch)
            r = walk_segment(c, w, i, mend, err);
    return EA_MIN(r, 0);
}

/* ---- the decision ---- */

static void read_checkpoint(struct recovery *c)
{
    EA_AUTO_FREE char *p = NULL;
    struct ea_checkpoint cp;
    struct ea_key *k = NULL;
    size_t n = 0;
    int r = ea_epoch_read(c->l->dir, c->epoch, "checkpoint", EA_MAX_CHECKPOINT, &p, &n, NULL);

    if (r == -ENOENT)
        return;
    c->checkpoint_bad = r < 0 || ea_checkpoint_parse(ea_strn(p, n), &cp, NULL) < 0 ||
                        ea_epoch_key(c->l->dir, c->epoch, false, &k, NULL) < 0 ||
                        ea_checkpoint_verify(&cp, k, NULL) < 0;
    if (!c->checkpoint_bad)
        c->checkpoint_size = cp.size;
    ea_key_free(k);
}

/* The private key belongs to key.pem. */
static bool load_key(struct recovery *c)
{
    struct ea_key *pub = NULL;
    struct ea_buf a, b;
    bool ok = false;

    ea_buf_init(&a, 4096);
    ea_buf_init(&b, 4096);
    if (ea_epoch_key(c->l->dir, c->epoch, true, &c->l->key, NULL) == 0 &&
        ea_epoch_key(c->l->dir, c->epoch, false, &pub, NULL) == 0)
        ok = ea_key_public_der(c->l->key, &a, NULL) == 0 && ea_key_public_der(pub, &b, NULL) == 0 &&
             ea_str_eq(ea_buf_str(&a), ea_buf_str(&b));
    ea_key_free(pub);
    ea_buf_done(&a);
    ea_buf_done(&b);
    return ok;
}

/* What the files say against going on. */
static const char *why_files(const struct recovery *c, const struct walk *w)
{
    if (w->lost || w->gap || w->junk)
        return "corruption";
    if (w->cut || w->irregular)
        return "tail-cut";
    if (!w->any)
        return "log-lost";
    if (c->state_result < 0)
        return "state-lost";
    if (c->state.epoch != c->epoch || (c->n_epochs > 0 && c->epochs[c->n_epochs - 1] > c->epoch))
        return "epoch-interrupted";
    if (c->power_loss)
        return "boot-changed";
    if (c->checkpoint_bad)
        return "checkpoint-damaged";
    return w->next_seq < c->checkpoint_size ? "shorter-than-checkpoint" : NULL;
}

/* NULL = the epoch goes on; its key is loaded then. */
static const char *why_new_epoch(struct recovery *c, const struct walk *w)
{
    const char *why = why_files(c, w);
    char origin[320];

    if (why)
        return why;
    stored_origin(c->l->dir, c->epoch, origin);
    if (c->epoch < c->o->min_epoch || (c->epoch == c->o->min_epoch && w->next_seq < c->o->min_size))
        return "shorter-than-published";
    if (strcmp(origin, c->l->origin) != 0)
        return "origin-changed";
    if (!load_key(c))
        return "key-lost";
    return ea_key_type(c->l->key) != c->o->key_type ? "key-type-changed" : NULL;
}

static int seal_old(struct recovery *c, const struct walk *w)
{
    struct ea_open_seg s = {.number = w->end_segment, .end = w->end_off};
    char path[EA_PATH];
    EA_AUTO_FD int fd = -1;

    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.v[i].number == w->end_segment)
            s.first_seq = c->list.v[i].h.first_seq;
    if (w->sealed || w->next_seq == s.first_seq)
        return 0;
    if (ea_seg_path(path, c->l->dir, w->end_segment) < 0)
        return -ENAMETOOLONG;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : ea_elog_seal(c->l, fd, &s, &w->tree, w->leaf, true);
}

/* What can still be signed of the old epoch is signed by its own key, and its last segment sealed.
 * Best effort: what fails here stays chained and unsigned, which verify says. */
static void finish_old(struct recovery *c, const struct walk *w, bool sign)
{
    struct ea_key *k = NULL;
    uint8_t root[EA_SHA256_LEN];
    char path[EA_PATH], origin[320];
    struct ea_buf b;
    int r;

    if (w->gap || w->unknown || w->tree.size != w->next_seq || w->next_seq == 0 || !w->any ||
        seal_old(c, w) < 0)
        return;
    if (!sign || w->next_seq <= c->checkpoint_size || c->checkpoint_bad)
        return;
    stored_origin(c->l->dir, w->epoch, origin);
    if (!origin[0] || ea_epoch_key(c->l->dir, w->epoch, true, &k, NULL) < 0)
        return;
    ea_buf_init(&b, 4096);
    ea_tree_root(&w->tree, root);
    r = ea_checkpoint_sign(&b, k, ea_str(origin), w->tree.size, root, NULL);
    if (r == 0)
        r = ea_epoch_path(path, c->l->dir, w->epoch, "checkpoint");
    if (r == 0)
        r = ea_write_file(path, b.p, b.n, 0644, NULL);
    (void)r;
    ea_key_free(k);
    ea_buf_done(&b);
}

static int begin_epoch(struct recovery *c, uint64_t epoch, struct ea_err *err)
{
    struct ea_elog *l = c->l;
    int r;

    ea_key_free(l->key);
    l->key = NULL;
    set_origin(l, c->o->domain, epoch);
    if ((r = ea_key_new(c->o->key_type, &l->key, err)) < 0 ||
        (r = ea_epoch_create(l->dir, epoch, ea_strn(l->origin, l->origin_n), l->key, err)) < 0)
        return r;
    ea_tree_init(&l->tree);
    ea_genesis_hash(ea_strn(l->origin, l->origin_n), l->prev);
    memcpy(l->synced_leaf, l->prev, EA_SHA256_LEN);
    l->next_seq = l->synced_seq = 0;
    l->checkpoint_size = 0;
    /* The state names the epoch before its first segment exists: whatever is found later with a
     * lower one was interrupted. */
    l->state.epoch = epoch;
    l->state.next_segment = l->next_number;
    if ((r = ea_state_store(l->dir, &l->state, err)) < 0 ||
        (r = ea_elog_segment_make(l, l->next_number, l->segment_bytes, 0, l->prev, 0, &l->cur,
                                  err)) < 0 ||
        (r = ea_elog_segment_publish(l, &l->cur, err)) < 0)
        return r;
    l->next_number++;
    l->synced_seg = l->cur;
    return 0;
}

static int continue_epoch(struct recovery *c, const struct walk *w, struct ea_err *err)
{
    struct ea_elog *l = c->l;
    const struct ea_seg_entry *e = NULL;
    char path[EA_PATH];
    int r;

    ea_tree_copy(&l->tree, &w->tree);
    memcpy(l->prev, w->leaf, EA_SHA256_LEN);
    memcpy(l->synced_leaf, w->leaf, EA_SHA256_LEN);
    l->next_seq = l->synced_seq = w->next_seq;
    l->checkpoint_size = c->checkpoint_size;
    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.v[i].number == w->end_segment)
            e = &c->list.v[i];
    if (!w->sealed && e) {
        if ((r = ea_seg_path(path, l->dir, e->number)) < 0)
            return ea_fail(err, r, "the path %s is too long", l->dir);
        l->cur = (struct ea_open_seg){e->number,
                                      e->h.first_seq,
                                      w->end_size,
                                      w->end_off,
                                      open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW),
                                      ea_rec_seed(e->h.uuid, e->h.epoch, e->h.first_seq)};
        if (l->cur.fd < 0)
            return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
        /* After a kill the records may still be in the page cache alone. */
        if ((r = ea_evidence_io.sync(l->cur.fd)) < 0)
            return ea_fail(err, r, "syncing %s: %s", path, strerror(-r));
    }
    l->synced_seg = l->cur;
    return ea_state_store(l->dir, &l->state, err);
}

static uint64_t next_epoch(const struct recovery *c)
{
    uint64_t e = c->epoch;

    if (c->out->fresh)
        return EA_MAX(EA_MAX(c->o->first_epoch, 1u), c->o->min_epoch + 1);
    if (c->state_result == 0)
        e = EA_MAX(e, c->state.epoch);
    if (c->n_epochs > 0)
        e = EA_MAX(e, c->epochs[c->n_epochs - 1]);
    return EA_MAX(e, c->o->min_epoch) + 1;
}

/* The newest epoch that has records: the new one links to it. */
static int link_previous(struct recovery *c, struct walk *w, struct ea_err *err)
{
    uint64_t epoch = c->epoch;
    struct walk *found = w;
    EA_AUTO_FREE struct walk *other = NULL;

    while (found->next_seq == 0) {
        uint64_t below = 0;
        int r;

        for (size_t i = 0; i < c->list.n; i++)
            if (c->list.v[i].usable && c->list.v[i].h.epoch < epoch)
                below = EA_MAX(below, c->list.v[i].h.epoch);
        if (below == 0)
            return 0;
        epoch = below;
        if (!other)
            other = ea_xalloc(sizeof(*other));
        found = other;
        if ((r = walk_epoch(c, epoch, false, found, err)) < 0)
            return r;
    }
    c->out->prev_epoch = epoch;
    stored_origin(c->l->dir, epoch, c->out->prev_origin);
    c->out->prev_size = found->tree.size;
    ea_tree_root(&found->tree, c->out->prev_root);
    return 0;
}

static int refuse_foreign(const struct recovery *c, struct ea_err *err)
{
    const char *dir = c->l->dir;

    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.v[i].header == -ENOTSUP)
            return ea_fail(err, -EINVAL, "%s/seg-%016" PRIx64 ".ev was written by a newer version",
                           dir, c->list.v[i].number);
    if (c->list.n > 0 && c->list.foreign == c->list.n && c->state_result < 0)
        return ea_fail(err, -EINVAL, "the files seg-*.ev in %s are no evidence log", dir);
    if (c->list.n == 0 && c->state_result == -EBADMSG)
        return ea_fail(err, -EINVAL, "the file %s/state is no state of an evidence log", dir);
    if (c->state_result < 0 && c->state_result != -ENOENT && c->state_result != -EBADMSG)
        return ea_fail(err, c->state_result, "reading %s/state: %s", dir,
                       strerror(-c->state_result));
    return 0;
}

static int survey(struct recovery *c, struct ea_err *err)
{
    struct ea_slots_found found;
    int r;

    c->state_result = ea_state_load(c->l->dir, &c->state, &found);
    if ((r = ea_seg_list_load(c->l->dir, c->state_result == 0 ? &c->state : NULL, &c->list, err)) <
        0)
        return r;
    if ((r = refuse_foreign(c, err)) < 0)
        return r;
    if ((r = ea_epoch_list(c->l->dir, &c->epochs, &c->n_epochs)) < 0)
        return ea_fail(err, r, "reading %s/epochs: %s", c->l->dir, strerror(-r));
    for (size_t i = 0; i < c->list.n; i++)
        if (c->list.v[i].usable)
            c->epoch = EA_MAX(c->epoch, c->list.v[i].h.epoch);
    if (c->epoch == 0 && c->state_result == 0)
        c->epoch = c->state.epoch;
    c->out->fresh = c->list.n == 0 && c->state_result < 0 && c->n_epochs == 0;
    c->out->clean = c->state_result == 0 && c->state.clean == 1;
    c->power_loss =
        !c->out->clean && c->state_result == 0 && memcmp(c->state.boot_id, c->boot, 16) != 0;
    return 0;
}

static int decide(struct recovery *c, struct ea_err *err)
{
    EA_AUTO_FREE struct walk *w = ea_xalloc(sizeof(*w));
    struct ea_elog *l = c->l;
    int r = 0;

    set_origin(l, c->o->domain, c->epoch);
    if (!c->out->fresh) {
        read_checkpoint(c);
        r = walk_epoch(c, c->epoch, true, w, err);
    }
    if (r < 0)
        return r;
    c->out->reason = c->out->fresh ? "created" : why_new_epoch(c, w);
    c->out->cut_bytes = w->cut;
    c->out->lost = w->lost;
    c->out->lost_first = w->lost_first;
    c->out->lost_last = w->lost_last;
    l->quarantined = w->cut;
    l->opened_epoch = c->out->fresh ? 0 : c->epoch;
    if (!c->out->reason)
        return continue_epoch(c, w, err);
    if (!c->out->fresh) {
        finish_old(c, w, strcmp(c->out->reason, "corruption") != 0);
        if ((r = link_previous(c, w, err)) < 0)
            return r;
    }
    return begin_epoch(c, next_epoch(c), err);
}

int ea_elog_recover(struct ea_elog *l, const struct ea_elog_opts *o, struct ea_recovered *ret,
                    struct ea_err *err)
{
    struct recovery c = {.l = l, .o = o, .out = ret};
    char path[EA_PATH];
    int r = read_boot_id(o->boot_id, c.boot, err);

    if (r == 0)
        r = survey(&c, err);
    if (r == 0)
        r = set_identity(l, o, err);
    if (r == 0) {
        l->state = c.state_result == 0 ? c.state : (struct ea_state){0};
        if (c.state_result < 0) { /* segments know the log's uuid, if there are any */
            ea_random(l->state.uuid, 16);
            for (size_t i = 0; i < c.list.n; i++)
                if (c.list.v[i].usable)
                    memcpy(l->state.uuid, c.list.v[i].h.uuid, 16);
        }
        l->state.clean = 0;
        memcpy(l->state.boot_id, c.boot, 16);
        l->next_number = EA_MAX(l->state.next_segment, 1u);
        if (c.list.n > 0)
            l->next_number = EA_MAX(l->next_number, c.list.v[c.list.n - 1].number + 1);
        for (int i = 0; i < 2; i++)
            if (ea_path(path, l->dir, i ? "next.tmp" : "new.tmp") == 0)
                unlink(path);
        r = decide(&c, err);
    }
    ea_seg_list_done(&c.list);
    free(c.epochs);
    return r;
}
