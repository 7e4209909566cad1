/* evidence/verify.c - checking records, chain, root and signature; the folder of an export. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "doc/json.h"
#include "evidence/verify_int.h"

/* ---- saying ---- */

/* Text of damaged files ends up in messages: nothing in it may reach a terminal or break a reader.
 */
static void make_printable(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f)
            *s = '?';
}

void ea_verify_say(struct ea_verify *v, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    if (!v->say)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    make_printable(line);
    v->say(v->arg, line);
}

void ea_verify_breach(struct ea_verify *v, const char *fmt, ...)
{
    char text[sizeof(v->rep->where)];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    make_printable(text);
    if (v->rep->holds)
        memcpy(v->rep->where, text, sizeof(text));
    v->rep->holds = false;
    ea_verify_say(v, "BROKEN %s", text);
}

/* ---- one epoch ---- */

static void set_origin(struct ea_epoch_check *c, struct ea_str origin)
{
    const char *e = NULL;

    snprintf(c->origin, sizeof(c->origin), "%.*s", EA_STRF(origin));
    for (const char *p = c->origin; (p = strstr(p, "/e/")) != NULL; p++)
        e = p + 3;
    snprintf(c->label, sizeof(c->label), "epoch %.24s", e ? e : "?");
    if (c->next == 0)
        ea_genesis_hash(origin, c->prev);
}

void ea_epoch_check_init(struct ea_epoch_check *c, struct ea_verify *v, const char *origin)
{
    *c = (struct ea_epoch_check){.v = v, .label = "epoch ?"};
    ea_tree_init(&c->tree);
    if (origin[0])
        set_origin(c, ea_str(origin));
}

void ea_epoch_check_done(struct ea_epoch_check *c)
{
    free(c->cp_text);
    c->cp_text = NULL;
}

static void note_root(struct ea_epoch_check *c)
{
    if (c->have_cp && c->tree.size == c->cp.size && !c->root_seen) {
        c->root_seen = true;
        ea_tree_root(&c->tree, c->root_at_cp);
    }
}

int ea_epoch_check_note(struct ea_epoch_check *c, const char *path, struct ea_err *err)
{
    struct ea_err why;
    int r = ea_read_file(path, EA_MAX_CHECKPOINT, &c->cp_text, &c->cp_n, err);

    if (r == -ENOENT)
        return 0;
    if (r == -E2BIG) {
        ea_verify_breach(c->v, "%s: larger than a checkpoint can be", path);
        return 0;
    }
    if (r < 0)
        return r;
    if (ea_checkpoint_parse(ea_strn(c->cp_text, c->cp_n), &c->cp, &why) < 0) {
        ea_verify_breach(c->v, "%s: %s", path, why.text);
        return 0;
    }
    c->have_cp = true;
    if (!c->origin[0])
        set_origin(c, c->cp.origin);
    else if (!ea_str_is(c->cp.origin, c->origin))
        ea_verify_breach(c->v, "%s: is of the log %.*s, the records are of %s", path,
                         EA_STRF(c->cp.origin), c->origin);
    note_root(c);
    return 0;
}

void ea_epoch_check_leaf(struct ea_epoch_check *c, const uint8_t leaf[EA_SHA256_LEN])
{
    ea_tree_add(&c->tree, leaf);
    memcpy(c->prev, leaf, EA_SHA256_LEN);
    c->next++;
    c->absent++;
    note_root(c);
}

/* log.opened of a new epoch names the epoch before it and the key. */
static void check_opened(struct ea_epoch_check *c, const struct ea_val *body, const char *place)
{
    struct ea_str hash = ea_val_path_str(body, "key.sha256"),
                  origin = ea_val_path_str(body, "previous.origin"),
                  root = ea_val_path_str(body, "previous.root");
    int64_t size = ea_val_get_int(ea_val_getz(body, "previous"), "size", -1);
    struct ea_verify *v = c->v;
    char hex[2 * EA_SHA256_LEN + 1];

    if (hash.n == 64) {
        snprintf(c->key_hash, sizeof(c->key_hash), "%.*s", EA_STRF(hash));
        c->have_key_hash = true;
    }
    if (origin.n == 0) {
        if (v->have_previous)
            ea_verify_breach(v, "%s: %s does not name the epoch before it, %s", place, c->label,
                             v->prev_origin);
        return;
    }
    if (!v->have_previous) {
        ea_verify_say(v, "%s follows %.*s, which is not here", c->label, EA_STRF(origin));
        return;
    }
    if (!ea_str_is(origin, v->prev_origin)) {
        ea_verify_breach(v, "%s: %s follows %.*s, found is %s", place, c->label, EA_STRF(origin),
                         v->prev_origin);
        return;
    }
    ea_hex(v->prev_root, EA_SHA256_LEN, hex);
    if (size < 0 || (uint64_t)size > v->prev_total)
        ea_verify_breach(v, "%s: the epoch before had %" PRId64 " records, %" PRIu64 " are here",
                         place, size, v->prev_total);
    else if ((uint64_t)size == v->prev_total && !ea_str_is(root, hex))
        ea_verify_breach(v, "%s: the root hash of the epoch before is not the one recorded", place);
    else if ((uint64_t)size < v->prev_total)
        ea_verify_breach(v,
                         "%s: %s was begun when the epoch before had %" PRId64
                         " unbroken records, %" PRIu64 " are here",
                         place, c->label, size, v->prev_total);
}

static void check_body(struct ea_epoch_check *c, const struct ea_record_parts *p, const char *place)
{
    struct ea_val body;
    struct ea_err why;

    ea_arena_reset(&c->v->arena);
    if (ea_json_parse(&c->v->arena, p->body, NULL, &body, NULL, &why) < 0) {
        ea_verify_breach(c->v, "%s: %s record %" PRIu64 ": the body is no JSON: %s", place,
                         c->label, p->seq, why.text);
        return;
    }
    c->closed = ea_str_is(p->type, "log.closed");
    if (p->seq == 0 && ea_str_is(p->type, "log.opened"))
        check_opened(c, &body, place);
    else if (ea_str_is(p->type, "checkpoint.published"))
        c->published = EA_MAX(c->published, (uint64_t)ea_val_get_int(&body, "size", 0));
}

void ea_epoch_check_record(struct ea_epoch_check *c, struct ea_str record, const char *place,
                           struct ea_record_parts *ret)
{
    struct ea_record_parts own = {0}, *p = ret ? ret : &own;
    struct ea_verify *v = c->v;
    uint8_t leaf[EA_SHA256_LEN];

    ea_leaf_hash(record, leaf);
    c->present++;
    v->rep->records++;
    if (ea_record_parse(record, p) < 0) {
        ea_verify_breach(v, "%s: %s record %" PRIu64 ": not a record in canonical form", place,
                         c->label, c->next);
        *p = (struct ea_record_parts){.seq = c->next};
    } else {
        if (!c->origin[0])
            set_origin(c, p->origin);
        if (!ea_str_is(p->origin, c->origin))
            ea_verify_breach(v, "%s: %s record %" PRIu64 ": origin is %.*s", place, c->label,
                             c->next, EA_STRF(p->origin));
        if (p->seq != c->next)
            ea_verify_breach(v, "%s: %s: record %" PRIu64 " where %" PRIu64 " must be", place,
                             c->label, p->seq, c->next);
        else if (memcmp(p->prev, c->prev, EA_SHA256_LEN) != 0)
            ea_verify_breach(
                v,
                "%s: %s record %" PRIu64
                ": the hash chain is broken (this record or the one before was changed)",
                place, c->label, p->seq);
        check_body(c, p, place);
    }
    /* Goes on from what is there, so that one change is one message. */
    ea_tree_add(&c->tree, leaf);
    memcpy(c->prev, leaf, EA_SHA256_LEN);
    c->next = EA_MAX(p->seq, c->next) + 1;
    note_root(c);
}

/* ---- checkpoint and key ---- */

/* A key file has one spelling, so that any changed byte shows. */
static bool key_canonical(const struct ea_key *k, const char *pem, size_t n)
{
    struct ea_buf b;
    bool same;

    ea_buf_init(&b, 8192);
    same = ea_key_public_pem(k, &b, NULL) == 0 && b.n == n && memcmp(b.p, pem, n) == 0;
    ea_buf_done(&b);
    return same;
}

static struct ea_key *check_key(struct ea_epoch_check *c, const char *path)
{
    EA_AUTO_FREE char *pem = NULL;
    uint8_t hash[EA_SHA256_LEN];
    char hex[2 * EA_SHA256_LEN + 1];
    struct ea_key *k = NULL;
    struct ea_err why;
    struct ea_buf der;
    size_t n = 0;

    if (ea_read_file(path, 16384, &pem, &n, &why) < 0 ||
        ea_key_from_pem(ea_strn(pem, n), &k, &why) < 0) {
        ea_verify_breach(c->v, "%s: %s", path, why.text);
        return NULL;
    }
    if (!key_canonical(k, pem, n))
        ea_verify_breach(c->v, "%s: the text is not the canonical form of this key", path);
    ea_buf_init(&der, 4096);
    if (ea_key_public_der(k, &der, &why) == 0) {
        ea_sha256(der.p, der.n, hash);
        ea_hex(hash, sizeof(hash), hex);
        if (c->have_key_hash && strcmp(hex, c->key_hash) != 0)
            ea_verify_breach(c->v, "%s: is not the key that %s names in its first record", path,
                             c->label);
    }
    ea_buf_done(&der);
    return k;
}

static void check_checkpoint(struct ea_epoch_check *c, const struct ea_key *k, const char *path)
{
    struct ea_verify *v = c->v;
    struct ea_err why;

    if (ea_checkpoint_verify(&c->cp, k, &why) < 0) {
        ea_verify_breach(v, "%s: %s", path, why.text);
        return;
    }
    if (c->cp.size > c->tree.size)
        ea_verify_breach(
            v, "%s: signs %" PRIu64 " records of %s, only %" PRIu64 " are here: the log was cut",
            path, c->cp.size, c->label, c->tree.size);
    else if (!c->root_seen || memcmp(c->root_at_cp, c->cp.root, EA_SHA256_LEN) != 0)
        ea_verify_breach(
            v, "%s: the root hash of the first %" PRIu64 " records of %s is not the signed one",
            path, c->cp.size, c->label);
}

/* A record says that a larger checkpoint was made than the file shows: in a growing log it came
 * after we read the file. */
static void check_published(struct ea_epoch_check *c, const char *path)
{
    struct ea_epoch_check again = {.v = c->v};

    if (c->published <= (c->have_cp ? c->cp.size : 0))
        return;
    if (ea_epoch_check_note(&again, path, NULL) < 0 || !again.have_cp ||
        again.cp.size < c->published)
        ea_verify_breach(c->v,
                         "%s: %s published a checkpoint of %" PRIu64 " records, the file has %s",
                         path, c->label, c->published, again.have_cp ? "an older one" : "none");
    ea_epoch_check_done(&again);
}

void ea_epoch_check_end(struct ea_epoch_check *c, const char *checkpoint_path, const char *key_path)
{
    struct ea_verify *v = c->v;
    uint64_t total = c->tree.size, is_signed = c->have_cp ? EA_MIN(c->cp.size, total) : 0;
    struct ea_key *k = check_key(c, key_path);
    char absent[80] = "", tail[96] = "";

    if (k && c->have_cp)
        check_checkpoint(c, k, checkpoint_path);
    check_published(c, checkpoint_path);
    ea_key_free(k);
    v->rep->epochs++;
    v->rep->signed_records += is_signed;
    v->rep->unsigned_tail += total - is_signed;
    v->rep->absent += c->absent;
    if (c->absent)
        snprintf(absent, sizeof(absent),
                 ", %" PRIu64 " records absent (delivered or lost: evidence.loss says)", c->absent);
    if (total > is_signed)
        snprintf(tail, sizeof(tail),
                 ", %" PRIu64 " after the last checkpoint (chained, not yet signed)",
                 total - is_signed);
    ea_verify_say(v, "%s: %" PRIu64 " records, %" PRIu64 " signed%s%s%s", c->label, c->present,
                  is_signed, absent, tail, c->closed ? ", closed" : "");
    if (total > 0) {
        v->have_previous = true;
        v->prev_total = total;
        memcpy(v->prev_origin, c->origin, sizeof(c->origin));
        ea_tree_root(&c->tree, v->prev_root);
    }
}

/* ---- an export ---- */

/* Hash lines of freed records. */
static int read_leaves_hex(struct ea_epoch_check *c, const char *folder, struct ea_err *err)
{
    char path[EA_PATH];
    EA_AUTO_FREE char *p = NULL;
    struct ea_str rest, line;
    size_t n = 0, got = 0;
    uint8_t leaf[EA_SHA256_LEN];
    int r = ea_path(path, folder, "leaves.hex");

    if (r < 0)
        return ea_fail(err, r, "the path %s is too long", folder);
    r = ea_read_file(path, EA_MAX_SEGMENT, &p, &n, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    for (rest = ea_strn(p, n); rest.n > 0;) {
        char hex[2 * EA_SHA256_LEN + 1];

        line = ea_str_cut(rest, '\n', &rest);
        if (ea_unhex(line, leaf, sizeof(leaf), &got) < 0 || got != EA_SHA256_LEN ||
            (ea_hex(leaf, got, hex), !ea_str_is(line, hex))) {
            ea_verify_breach(c->v, "%s: line %" PRIu64 " is no hash", path, c->next + 1);
            return 0;
        }
        ea_epoch_check_leaf(c, leaf);
    }
    if (n > 0 && p[n - 1] != '\n')
        ea_verify_breach(c->v, "%s: the last line has no end", path);
    return 0;
}

static int read_ndjson(struct ea_epoch_check *c, const char *folder, struct ea_err *err)
{
    char path[EA_PATH], place[EA_PATH + 64];
    EA_AUTO_FREE char *line = NULL;
    uint64_t number = 0, off = 0;
    size_t cap = 0;
    ssize_t n;
    FILE *f;

    if (ea_path(path, folder, "log.ndjson") < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path %s is too long", folder);
    f = fopen(path, "re");
    if (!f)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    while ((n = getline(&line, &cap, f)) > 0) {
        snprintf(place, sizeof(place), "%s line %" PRIu64 " (byte %" PRIu64 ")", path, ++number,
                 off);
        off += (uint64_t)n;
        if (line[n - 1] != '\n')
            ea_verify_breach(c->v, "%s: the last line has no end", place);
        else
            n--;
        ea_epoch_check_record(c, ea_strn(line, (size_t)n), place, NULL);
    }
    n = ferror(f) ? -EIO : 0;
    fclose(f);
    return n < 0 ? ea_fail(err, (int)n, "reading %s failed", path) : 0;
}

static int verify_folder(struct ea_verify *v, const char *folder, struct ea_err *err)
{
    char cp[EA_PATH], key[EA_PATH];
    struct ea_epoch_check *c = ea_xalloc(sizeof(*c));
    int r = 0;

    ea_epoch_check_init(c, v, "");
    if (ea_path(cp, folder, "checkpoint") < 0 || ea_path(key, folder, "key.pem") < 0)
        r = ea_fail(err, -ENAMETOOLONG, "the path %s is too long", folder);
    if (r == 0)
        r = ea_epoch_check_note(c, cp, err);
    if (r == 0)
        r = read_leaves_hex(c, folder, err);
    if (r == 0)
        r = read_ndjson(c, folder, err);
    if (r == 0)
        ea_epoch_check_end(c, cp, key);
    ea_epoch_check_done(c);
    free(c);
    return r;
}

struct folder {
    char *path;
    uint64_t epoch;
};

static int by_epoch(const void *a, const void *b)
{
    const struct folder *x = a, *y = b;

    return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

/* Folders below `path` that hold a log.ndjson, by the number at the end of their name. */
static int list_folders(const char *path, struct folder **ret, size_t *ret_n)
{
    DIR *d = opendir(path);
    struct dirent *de;
    struct folder *v = NULL;
    size_t n = 0;

    if (!d)
        return -errno;
    while ((de = readdir(d)) != NULL) {
        char file[EA_PATH];
        size_t i = strlen(de->d_name);
        uint64_t e;

        while (i > 0 && de->d_name[i - 1] >= '0' && de->d_name[i - 1] <= '9')
            i--;
        if (de->d_name[0] == '.' || ea_str_to_u64(ea_str(de->d_name + i), &e) < 0 ||
            ea_path(file, path, "%s/log.ndjson", de->d_name) < 0 || access(file, F_OK) != 0)
            continue;
        v = ea_xrealloc(v, (n + 1) * sizeof(*v));
        v[n++] = (struct folder){ea_xasprintf("%s/%s", path, de->d_name), e};
    }
    closedir(d);
    if (n > 0)
        qsort(v, n, sizeof(*v), by_epoch);
    *ret = v;
    *ret_n = n;
    return 0;
}

static int verify_export(struct ea_verify *v, const char *path, struct ea_err *err)
{
    struct folder *f = NULL;
    size_t n = 0;
    int r = list_folders(path, &f, &n);

    if (r < 0)
        return ea_fail(err, r, "opening %s: %s", path, strerror(-r));
    if (n == 0)
        r = ea_fail(err, -EINVAL, "%s is neither an evidence log nor an export of one", path);
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            r = verify_folder(v, f[i].path, err);
        free(f[i].path);
    }
    free(f);
    return r;
}

static bool holds_segments(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    bool yes = false;

    while (d && !yes && (de = readdir(d)) != NULL)
        yes = strncmp(de->d_name, "seg-", 4) == 0 || strcmp(de->d_name, "state") == 0;
    if (d)
        closedir(d);
    return yes;
}

int ea_evidence_verify(const char *path, struct ea_verify_report *ret,
                       void (*say)(void *arg, const char *line), void *arg, struct ea_err *err)
{
    struct ea_verify v = {.rep = ret, .say = say, .arg = arg};
    char file[EA_PATH];
    struct stat st;
    int r;

    *ret = (struct ea_verify_report){.holds = true};
    if (stat(path, &st) < 0)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || ea_path(file, path, "log.ndjson") < 0)
        return ea_fail(err, -EINVAL,
                       "%s is no folder; give the log's folder, an export, or one epoch of it",
                       path);
    ea_arena_init(&v.arena, 16u << 20, 0);
    if (access(file, F_OK) == 0)
        r = verify_folder(&v, path, err);
    else if (holds_segments(path))
        r = ea_verify_log(&v, path, err);
    else
        r = verify_export(&v, path, err);
    ea_arena_done(&v.arena);
    return r;
}
