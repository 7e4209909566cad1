/* Recovery of a log whose files were damaged. The first byte of the input chooses:
 *   even  the rest is a segment file: walking it stays inside it, goes forward, and finds only
 * whole records odd   the rest are changes (file, offset, xor) to a small closed log on disk:
 * opening it never crashes, its new records are there afterwards, no id has two contents, and
 * verify says whether it holds */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/crc32c.h"
#include "evidence/log.h"
#include "evidence/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

/* ---- a segment in memory ---- */

static void walk(const uint8_t *p, size_t size)
{
    struct ea_seg_header h = {.epoch = 1};
    struct ea_scan scan;
    struct ea_scan_item it;
    enum ea_scan_what what;
    uint64_t at, steps = 0, next = 0;
    struct ea_footer f;

    if (size >= EA_SEG_HEADER && ea_seg_header_get(p, &h) < 0)
        h = (struct ea_seg_header){.epoch = 1};
    if (size >= EA_FOOTER && ea_footer_get(p + size - EA_FOOTER, &f) == 0)
        CHECK(ea_tree_valid(&f.tree));
    ea_scan_init(&scan, p, size, &h);
    at = scan.off;
    next = scan.expect;
    do {
        what = ea_scan_next(&scan, &it);
        CHECK(it.off >= at && it.off + it.size <= size);
        CHECK(scan.off >= at && scan.off <= size && scan.expect >= next);
        CHECK(++steps <= 2 * size + 2);
        if (what == EA_SCAN_RECORD) {
            CHECK(it.h.seq == scan.expect - 1 && it.payload.n == it.h.len);
            CHECK((const uint8_t *)it.payload.p == p + it.off + EA_REC_HEADER);
            CHECK(ea_crc32c(0, it.payload.p, it.payload.n) == it.h.payload_crc);
        }
        at = it.off;
        next = scan.expect;
    } while (what != EA_SCAN_END && what != EA_SCAN_TORN);
}

/* Headers get right checksums, so that the walk meets more than garbage. */
static void mend_headers(uint8_t *p, size_t size)
{
    struct ea_seg_header h = {.epoch = 1};
    uint32_t seed;

    if (size >= EA_SEG_HEADER && ea_seg_header_get(p, &h) < 0)
        h = (struct ea_seg_header){.epoch = 1};
    seed = ea_rec_seed(h.uuid, h.epoch, h.first_seq);
    for (size_t i = EA_SEG_HEADER; i + EA_REC_HEADER <= size; i += 8)
        if (memcmp(p + i, "EVR1", 4) == 0)
            (void)ea_rec_header_rebind(p + i, seed);
}

static void segment_in_memory(const uint8_t *data, size_t size, bool mend)
{
    uint8_t *p = malloc(size + 1);

    CHECK(p != NULL);
    memcpy(p, data, size);
    if (mend)
        mend_headers(p, size);
    walk(p, size);
    free(p);
}

/* ---- a log on disk ---- */

static const char *const NAMES[] = {
    "seg-0000000000000001.ev", "seg-0000000000000002.ev", "state",           "epochs/1/checkpoint",
    "epochs/1/key.pem",        "epochs/1/private.pem",    "epochs/1/origin", "uids"};
static struct {
    char *p;
    size_t n;
} files[EA_COUNT(NAMES)];
static char dir[128];

static struct ea_elog_opts options(void)
{
    return (struct ea_elog_opts){.dir = dir,
                                 .domain = "eucs-agent.local",
                                 .first_epoch = 1,
                                 .boot_id = "boot",
                                 .segment_bytes = 16384,
                                 .keep_free_percent = 100};
}

static void append(struct ea_elog *l, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct ea_err err;

        if (ea_elog_append(l, EA_REC_ASSESSMENT, EA_STR("{\"result\":\"pass\"}"), false, 0, NULL,
                           &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
    }
}

static void remove_below(const char *path, bool self)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        char sub[EA_PATH];
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            ea_path(sub, path, "%s", e->d_name) < 0)
            continue;
        if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode))
            remove_below(sub, true);
        else
            unlink(sub);
    }
    if (d)
        closedir(d);
    if (self)
        rmdir(path);
}

static void remove_dir(void)
{
    if (dir[0])
        remove_below(dir, true);
}

/* Made once: a closed log of two segments. */
static void make_template(void)
{
    struct ea_elog_opts o;
    struct ea_elog *l = NULL;
    struct ea_err err;

    if (files[0].p)
        return;
    snprintf(dir, sizeof(dir), "%s/ea-fuzz-spool-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(dir) != NULL);
    atexit(remove_dir);
    o = options();
    CHECK(ea_elog_open(&o, &l, &err) == 0);
    append(l, 40);
    CHECK(ea_elog_close(l, "template", &err) == 0);
    for (size_t i = 0; i < EA_COUNT(NAMES); i++) {
        char path[EA_PATH];

        CHECK(ea_path(path, dir, "%s", NAMES[i]) == 0 &&
              ea_read_file(path, 1u << 20, &files[i].p, &files[i].n, &err) == 0);
    }
}

static void write_files(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < EA_COUNT(NAMES); i++) {
        char path[EA_PATH];
        char *p = malloc(files[i].n);
        size_t n = files[i].n;
        FILE *f;

        CHECK(p != NULL && ea_path(path, dir, "%s", NAMES[i]) == 0);
        memcpy(p, files[i].p, n);
        for (size_t k = 0; k + 4 <= size; k += 4) {
            size_t off = data[k + 1] | (size_t)data[k + 2] << 8;

            if (data[k] % (2 * EA_COUNT(NAMES)) == i)
                p[off % files[i].n] = (char)(p[off % files[i].n] ^ data[k + 3]);
            else if (data[k] % (2 * EA_COUNT(NAMES)) == i + EA_COUNT(NAMES) &&
                     (data[k] & 0xc0) == 0xc0)
                n = off % (files[i].n + 1);
        }
        f = fopen(path, "we");
        CHECK(f != NULL && fwrite(p, 1, n, f) == n && fclose(f) == 0);
        free(p);
    }
}

#define MAX_SEEN 512
static struct {
    uint64_t epoch, seq;
    uint8_t leaf[EA_SHA256_LEN];
} seen[MAX_SEEN];
static size_t n_seen;

/* Reads everything; each id has the content that it had before. Number of whole records. */
static uint64_t read_all(void)
{
    struct ea_reader *r = NULL;
    struct ea_record_view v;
    struct ea_err err;
    uint64_t n = 0;
    int c;

    CHECK(ea_reader_open(dir, 0, 0, &r, &err) == 0);
    ea_reader_thorough(r);
    while ((c = ea_reader_next(r, &v, &err)) == 0 || c == -EBADMSG) {
        uint8_t leaf[EA_SHA256_LEN];
        size_t i = 0;

        if (c == -EBADMSG)
            continue;
        ea_leaf_hash(v.bytes, leaf);
        while (i < n_seen && !(seen[i].epoch == v.epoch && seen[i].seq == v.seq))
            i++;
        if (i == n_seen && n_seen < MAX_SEEN) {
            seen[i].epoch = v.epoch;
            seen[i].seq = v.seq;
            memcpy(seen[i].leaf, leaf, sizeof(leaf));
            n_seen++;
        }
        CHECK(i == MAX_SEEN || memcmp(seen[i].leaf, leaf, sizeof(leaf)) == 0);
        CHECK(++n < 10000);
    }
    CHECK(c == -ENODATA);
    ea_reader_close(r);
    return n;
}

static void log_on_disk(const uint8_t *data, size_t size)
{
    struct ea_elog_opts o;
    struct ea_verify_report rep;
    struct ea_elog *l = NULL;
    struct ea_err err = {0};
    uint64_t before, after;
    int r;

    make_template();
    remove_below(dir, false);
    {
        char path[EA_PATH];

        CHECK(ea_path(path, dir, "epochs/1") == 0 && ea_mkdirs(path, 0700, &err) == 0);
    }
    write_files(data, size);
    o = options();
    n_seen = 0;
    before = read_all();
    r = ea_evidence_verify(dir, &rep, NULL, NULL, &err);
    CHECK(r == 0 || r == -EINVAL);
    CHECK(r != 0 || rep.holds || rep.where[0]);
    r = ea_elog_open(&o, &l, &err);
    CHECK(r == 0 || (r == -EINVAL && err.text[0]));
    if (r < 0)
        return;
    append(l, 3);
    CHECK(ea_elog_close(l, "fuzz", &err) == 0);
    after = read_all();
    CHECK(after >= 5); /* opened or reopened, three, closed */
    CHECK(after + 2 >= before);
    CHECK(ea_evidence_verify(dir, &rep, NULL, NULL, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        log_on_disk(data + 1, EA_MIN(size - 1, (size_t)64));
    else
        segment_in_memory(data + 1, size - 1, data[0] & 2);
    return 0;
}
