/* sinks/file/file.c - the record's bytes and a line feed, appended to a file: what a collector on
 * the node picks up, or an archive. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "sinks/sink.h"

#define BUFFER (256u << 10)
#define MAX_KEEP 1000u

struct ea_sink {
    char *path;
    int fd;
    bool sync;
    unsigned mode;
    uint64_t max_bytes, keep;
    struct ea_buf lines; /* of the batch */
};

static const struct ea_sink_option options[] = {
    {"path", "string", NULL, "file to append to; made when missing, its folder too"},
    {"sync", "bool", "true", "fdatasync after each batch: delivered means on the disk"},
    {"mode", "octal", "0640", "permissions of a new file"},
    {"maxBytes", "bytes", "0",
     "at this size the file is renamed to PATH.1, PATH.1 to PATH.2, …; 0 = never"},
    {"keep", "number", "5", "renamed files that are kept"},
    {NULL},
};

/* A line without its end was being written when the process was killed; its record was not
 * acknowledged and comes again. */
static int drop_half_line(int fd)
{
    struct stat st;
    uint64_t end;
    char b[4096];

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return 0;
    for (end = (uint64_t)st.st_size; end > 0;) {
        size_t n = (size_t)EA_MIN(end, sizeof(b));
        ssize_t got = pread(fd, b, n, (off_t)(end - n));

        if (got != (ssize_t)n)
            return got < 0 ? -errno : -EIO;
        while (n > 0 && b[n - 1] != '\n') {
            n--;
            end--;
        }
        if (n > 0)
            break;
    }
    return end < (uint64_t)st.st_size && ftruncate(fd, (off_t)end) < 0 ? -errno : 0;
}

static int open_file(struct ea_sink *s, struct ea_err *err)
{
    EA_AUTO_FREE char *folder = ea_str_dupz(ea_str(s->path));
    char *slash = strrchr(folder, '/');
    int r;

    if (slash && slash != folder) {
        *slash = '\0';
        if ((r = ea_mkdirs(folder, 0750, err)) < 0)
            return r;
    }
    s->fd = open(s->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, s->mode);
    if (s->fd < 0)
        return ea_fail(err, -errno, "opening %s: %s", s->path, strerror(errno));
    r = drop_half_line(s->fd);
    return r < 0 ? ea_fail(err, r, "reading the end of %s: %s", s->path, strerror(-r)) : 0;
}

static void file_close(struct ea_sink *s)
{
    if (s->fd >= 0)
        close(s->fd);
    ea_buf_done(&s->lines);
    free(s->path);
    free(s);
}

static int parse_mode(struct ea_str s, unsigned *ret)
{
    *ret = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '7' || s.n > 5)
            return -EINVAL;
        *ret = *ret * 8 + (unsigned)(s.p[i] - '0');
    }
    return s.n > 0 && *ret <= 0777 ? 0 : -EINVAL;
}

static int file_open(const struct ea_val *config, struct ea_sink **ret, struct ea_err *err)
{
    struct ea_str path = ea_sink_opt(config, options, "path");
    struct ea_sink *s;
    int r;

    if (path.n == 0 || path.n > 4000 || memchr(path.p, '\0', path.n))
        return ea_fail(err, -EINVAL, "path is missing: the file to append to");
    s = ea_xalloc(sizeof(*s));
    s->fd = -1;
    s->path = ea_str_dupz(path);
    ea_buf_init(&s->lines, BUFFER + EA_MAX_RECORD + 1);
    r = ea_sink_opt_bool(config, options, "sync", &s->sync, err);
    if (r == 0)
        r = ea_sink_opt_bytes(config, options, "maxBytes", &s->max_bytes, err);
    if (r == 0)
        r = ea_sink_opt_bytes(config, options, "keep", &s->keep, err);
    if (r == 0 && (s->keep == 0 || s->keep > MAX_KEEP))
        r = ea_fail(err, -EINVAL, "keep is 1 to %u", MAX_KEEP);
    if (r == 0 && parse_mode(ea_sink_opt(config, options, "mode"), &s->mode) < 0)
        r = ea_fail(err, -EINVAL, "mode must be quoted octal digits such as \"0640\"");
    if (r == 0)
        r = open_file(s, err);
    if (r < 0) {
        file_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* Someone renamed or removed the file (logrotate): go on in a new one. */
static bool still_there(const struct ea_sink *s)
{
    struct stat a, b;

    return s->fd >= 0 && fstat(s->fd, &a) == 0 && stat(s->path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int rotate(struct ea_sink *s, uint64_t more, struct ea_err *err)
{
    struct stat st;

    if (s->max_bytes == 0 || fstat(s->fd, &st) < 0 || st.st_size == 0 ||
        (uint64_t)st.st_size + more <= s->max_bytes)
        return 0;
    for (uint64_t i = s->keep; i > 0; i--) {
        EA_AUTO_FREE char *to = ea_xasprintf("%s.%" PRIu64, s->path, i);
        EA_AUTO_FREE char *from =
            i > 1 ? ea_xasprintf("%s.%" PRIu64, s->path, i - 1) : ea_str_dupz(ea_str(s->path));

        if (rename(from, to) < 0 && errno != ENOENT)
            return ea_fail(err, -errno, "renaming %s: %s", from, strerror(errno));
    }
    close(s->fd);
    s->fd = -1;
    return open_file(s, err);
}

static enum ea_sink_answer failed(int code)
{
    return code == -ENOSPC || code == -EDQUOT || code == -EACCES || code == -EROFS || code == -EFBIG
               ? EA_SINK_HOLD
               : EA_SINK_RETRY;
}

/* All of a batch or nothing: what is written again must not stand behind a torn line. */
static int write_batch(struct ea_sink *s)
{
    struct stat st;
    bool regular = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
    int r = ea_write_all(s->fd, s->lines.p, s->lines.n);

    if (r == 0 && s->sync && regular && fdatasync(s->fd) < 0)
        r = -errno;
    if (r < 0 && regular && ftruncate(s->fd, st.st_size) < 0)
        r = -EIO;
    return r;
}

static int reopen(struct ea_sink *s, struct ea_err *err)
{
    if (still_there(s))
        return 0;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    return open_file(s, err);
}

static enum ea_sink_answer file_flush(struct ea_sink *s, struct ea_err *err)
{
    int r;

    if (s->lines.n == 0)
        return EA_SINK_SENT;
    r = reopen(s, err);
    if (r == 0)
        r = rotate(s, s->lines.n, err);
    if (r == 0 && (r = write_batch(s)) < 0)
        ea_fail(err, r, "writing %s: %s", s->path, strerror(-r));
    ea_buf_clear(&s->lines);
    return r == 0 ? EA_SINK_SENT : failed(r);
}

static enum ea_sink_answer file_send(struct ea_sink *s, const struct ea_record_view *r,
                                     struct ea_err *err)
{
    if (ea_buf_adds(&s->lines, r->bytes) < 0 || ea_buf_addc(&s->lines, '\n') < 0) {
        ea_buf_clear(&s->lines);
        ea_fail(err, -E2BIG, "a batch does not fit its buffer");
        return EA_SINK_RETRY;
    }
    return EA_SINK_SENT;
}

extern const struct ea_sink_ops ea_sink_file;
const struct ea_sink_ops ea_sink_file = {
    .name = "file",
    .summary = "JSON lines appended to a file, each line a record's exact bytes",
    .options = options,
    .open = file_open,
    .send = file_send,
    .flush = file_flush,
    .close = file_close,
};
