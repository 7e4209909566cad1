/* evidence/store.c - segment files: listing, reading, rebuilding a damaged header. */
#include "evidence/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "evidence/record.h"

static int real_sync(int fd)
{
    return fdatasync(fd) == 0 ? 0 : -errno;
}

static int real_allocate(int fd, uint64_t n)
{
    return -posix_fallocate(fd, 0, (off_t)n);
}

static int real_space(const char *dir, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs fs;

    if (statvfs(dir, &fs) < 0)
        return -errno;
    *ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    *ret_total = (uint64_t)fs.f_blocks * fs.f_frsize;
    return 0;
}

struct ea_evidence_io ea_evidence_io = {ea_pwrite_all, real_sync, real_allocate, real_space};

int ea_zero_range(int fd, uint64_t off, uint64_t n)
{
    static const char zeros[256u << 10];
    int r = 0;

    while (n > 0 && r == 0) {
        size_t part = (size_t)EA_MIN(n, (uint64_t)sizeof(zeros));

        r = ea_pwrite_all(fd, zeros, part, off);
        off += part;
        n -= part;
    }
    return r;
}

void *ea_try_alloc(size_t n)
{
    struct ea_buf b;

    ea_buf_init(&b, n + 1);
    return ea_buf_reserve(&b, n) < 0 ? NULL : b.p;
}

int ea_path(char out[EA_PATH], const char *dir, const char *fmt, ...)
{
    int n = snprintf(out, EA_PATH, "%s/", dir), m;
    va_list ap;

    if (n < 0 || n >= EA_PATH)
        return -ENAMETOOLONG;
    va_start(ap, fmt);
    m = vsnprintf(out + n, (size_t)(EA_PATH - n), fmt, ap);
    va_end(ap);
    return m < 0 || m >= EA_PATH - n ? -ENAMETOOLONG : 0;
}

int ea_seg_path(char out[EA_PATH], const char *dir, uint64_t number)
{
    return ea_path(out, dir, "seg-%016" PRIx64 ".ev", number);
}

/* seg-<16 lower-case hex>.ev */
static bool parse_name(const char *name, uint64_t *ret)
{
    uint64_t v = 0;

    if (strlen(name) != 23 || memcmp(name, "seg-", 4) != 0 || memcmp(name + 20, ".ev", 4) != 0)
        return false;
    for (int i = 4; i < 20; i++) {
        char c = name[i];

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

static int by_number(const void *a, const void *b)
{
    const struct ea_seg_entry *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

static ssize_t pread_full(int fd, void *p, size_t n, uint64_t off)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = pread(fd, (char *)p + got, n - got, (off_t)(off + got));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

static int read_entry(const char *dir, uint64_t number, struct ea_seg_entry *e)
{
    char path[EA_PATH];
    uint8_t raw[EA_SEG_HEADER] = {0};
    EA_AUTO_FD int fd = -1;
    struct stat st;
    ssize_t n;

    *e = (struct ea_seg_entry){.number = number};
    if (ea_seg_path(path, dir, number) < 0)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    e->size = (uint64_t)st.st_size;
    e->disk = (uint64_t)st.st_blocks * 512;
    n = pread_full(fd, raw, sizeof(raw), 0);
    if (n < 0)
        return (int)n;
    e->header = ea_seg_header_get(raw, &e->h);
    e->usable = e->header == 0;
    return 0;
}

/* The first record alone tells first_seq, its `prev` the leaf before; uuid and epoch come from what
 * surrounds it. The CRC of the record's header, which covers all of them, says whether the guess is
 * right. */
static bool try_rebuild(const char *dir, struct ea_seg_entry *e, const uint8_t uuid[16],
                        uint64_t epoch)
{
    uint8_t head[EA_REC_HEADER];
    char path[EA_PATH];
    EA_AUTO_FD int fd = -1;
    EA_AUTO_FREE char *payload = NULL;
    struct ea_rec_header h;
    struct ea_record_parts parts;
    uint64_t seq = 0;

    if (ea_seg_path(path, dir, e->number) < 0 ||
        (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0 ||
        pread_full(fd, head, sizeof(head), EA_SEG_HEADER) != sizeof(head))
        return false;
    for (int i = 7; i >= 0; i--)
        seq = seq << 8 | head[8 + i];
    if (ea_rec_header_get(head, ea_rec_seed(uuid, epoch, seq), &h) < 0)
        return false;
    e->h = (struct ea_seg_header){.epoch = epoch, .first_seq = seq, .created_ms = h.time_ms};
    memcpy(e->h.uuid, uuid, 16);
    payload = ea_try_alloc(h.len);
    if (payload &&
        pread_full(fd, payload, h.len, EA_SEG_HEADER + EA_REC_HEADER) == (ssize_t)h.len &&
        ea_record_parse(ea_strn(payload, h.len), &parts) == 0)
        memcpy(e->h.prev_leaf, parts.prev, EA_SHA256_LEN);
    return true;
}

static void rebuild_headers(const char *dir, const struct ea_state *hint, struct ea_seg_list *l)
{
    const uint8_t *uuid = hint ? hint->uuid : NULL;
    EA_AUTO_FREE uint64_t *epochs = NULL;
    size_t n = 0, damaged = 0;

    for (size_t i = 0; i < l->n; i++) {
        damaged += !l->v[i].usable && l->v[i].header == -EBADMSG;
        if (!uuid && l->v[i].header == 0)
            uuid = l->v[i].h.uuid;
    }
    if (damaged == 0 || !uuid || ea_epoch_list(dir, &epochs, &n) < 0)
        return;
    for (size_t i = 0; i < l->n; i++) {
        struct ea_seg_entry *e = &l->v[i];

        if (e->usable || e->header != -EBADMSG)
            continue;
        e->usable = hint && try_rebuild(dir, e, uuid, hint->epoch);
        for (size_t k = 0; k < n && !e->usable; k++)
            e->usable = try_rebuild(dir, e, uuid, epochs[k]);
    }
}

int ea_seg_list_load(const char *dir, const struct ea_state *hint, struct ea_seg_list *ret,
                     struct ea_err *err)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    size_t size = 0;
    int r = 0;

    *ret = (struct ea_seg_list){0};
    if (!d)
        return errno == ENOENT
                   ? 0
                   : ea_fail(err, -errno, "reading the folder %s: %s", dir, strerror(errno));
    while ((de = readdir(d)) != NULL) {
        uint64_t number;

        if (!parse_name(de->d_name, &number))
            continue;
        if (ret->n == size) {
            size = size ? 2 * size : 64;
            ret->v = ea_xrealloc(ret->v, size * sizeof(*ret->v));
        }
        r = read_entry(dir, number, &ret->v[ret->n]);
        if (r == -ENOENT) { /* freed by its owner meanwhile */
            r = 0;
            continue;
        }
        if (r < 0) {
            ea_fail(err, r, "reading %s/%s: %s", dir, de->d_name, strerror(-r));
            break;
        }
        ret->n++;
    }
    closedir(d);
    if (r < 0) {
        ea_seg_list_done(ret);
        return r;
    }
    if (ret->n > 0)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_number);
    rebuild_headers(dir, hint, ret);
    for (size_t i = 0; i < ret->n; i++)
        ret->foreign += !ret->v[i].usable && ret->v[i].header != -ENODATA;
    return 0;
}

void ea_seg_list_done(struct ea_seg_list *l)
{
    free(l->v);
    *l = (struct ea_seg_list){0};
}

/* A footer never reaches below the segment's header, and records never reach into it. */
static int footer_from(const uint8_t *last, uint64_t size, struct ea_footer *f)
{
    int r = ea_footer_get(last, f);

    if (r == 0 && (f->end < EA_SEG_HEADER || f->end > size - EA_FOOTER))
        return -EBADMSG;
    return r;
}

int ea_seg_image_load(const char *dir, uint64_t number, struct ea_seg_image *ret,
                      struct ea_err *err)
{
    char path[EA_PATH];
    EA_AUTO_FD int fd = -1;
    struct stat st;
    ssize_t n;

    *ret = (struct ea_seg_image){.footer = -ENODATA};
    if (ea_seg_path(path, dir, number) < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path of segment %" PRIx64 " is too long", number);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > EA_MAX_SEGMENT)
        return ea_fail(err, -EINVAL, "%s is no segment: no regular file, or larger than %u bytes",
                       path, EA_MAX_SEGMENT);
    ret->p = ea_try_alloc((size_t)st.st_size + 1);
    if (!ret->p)
        return ea_fail(err, -ENOMEM, "no memory to read %s", path);
    n = pread_full(fd, ret->p, (size_t)st.st_size, 0);
    if (n < 0) {
        ea_seg_image_done(ret);
        return ea_fail(err, (int)n, "reading %s: %s", path, strerror((int)-n));
    }
    ret->n = (uint64_t)n;
    ret->limit = ret->n;
    if (ret->n >= EA_SEG_HEADER + EA_FOOTER) {
        ret->footer = footer_from(ret->p + ret->n - EA_FOOTER, ret->n, &ret->f);
        if (ret->footer != -ENODATA)
            ret->limit = ret->n - EA_FOOTER;
    }
    /* A read beside a write may show later bytes and not yet earlier ones. What lies before the
     * last byte seen was written before it: read again, it is all there. */
    if (ret->footer == -ENODATA && pread_full(fd, ret->p, ea_last_nonzero(ret->p, ret->n), 0) < 0) {
        ea_seg_image_done(ret);
        return ea_fail(err, -EIO, "reading %s failed", path);
    }
    return 0;
}

void ea_seg_image_done(struct ea_seg_image *i)
{
    free(i->p);
    i->p = NULL;
}

int ea_seg_footer_load(const char *dir, const struct ea_seg_entry *e, struct ea_footer *ret)
{
    char path[EA_PATH];
    uint8_t raw[EA_FOOTER];
    EA_AUTO_FD int fd = -1;
    ssize_t n;

    if (e->size < EA_SEG_HEADER + EA_FOOTER)
        return -ENODATA;
    if (ea_seg_path(path, dir, e->number) < 0)
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    n = pread_full(fd, raw, sizeof(raw), e->size - EA_FOOTER);
    if (n < 0)
        return (int)n;
    return n == sizeof(raw) ? footer_from(raw, e->size, ret) : -ENODATA;
}

uint64_t ea_seg_scan_end(const char *dir, const struct ea_seg_entry *e)
{
    struct ea_seg_image img;
    struct ea_scan scan;
    struct ea_scan_item it;
    enum ea_scan_what what;

    if (ea_seg_image_load(dir, e->number, &img, NULL) < 0)
        return e->h.first_seq;
    ea_scan_init(&scan, img.p, img.limit, &e->h);
    do
        what = ea_scan_next(&scan, &it);
    while (what != EA_SCAN_END && what != EA_SCAN_TORN);
    ea_seg_image_done(&img);
    return scan.expect;
}

int ea_quarantine(const char *dir, uint64_t segment, uint64_t off, const void *p, size_t n,
                  struct ea_err *err)
{
    char path[EA_PATH];
    int r;

    if (ea_path(path, dir, "quarantine") < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path of the quarantine is too long");
    r = ea_mkdirs(path, 0700, err);
    if (r < 0)
        return r;
    if (ea_path(path, dir, "quarantine/seg-%016" PRIx64 "-%" PRIu64 "-%" PRId64 ".bin", segment,
                off, ea_wall_now() / 1000) < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path of the quarantine is too long");
    r = ea_write_file(path, p, n, 0600, err);
    return r < 0 ? ea_wrap(err, "keeping %zu bytes that are taken out of the log", n) : 0;
}
