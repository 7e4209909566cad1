#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int ea_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n) {
        ssize_t w = write(fd, at, n);

        if (w < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (w == 0)
            return -EIO;
        at += w;
        n -= (size_t)w;
    }
    return 0;
}

int ea_pwrite_all(int fd, const void *p, size_t n, uint64_t off)
{
    const char *at = p;

    while (n) {
        ssize_t w = pwrite(fd, at, n, (off_t)off);

        if (w < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (w == 0)
            return -EIO;
        at += w;
        off += (uint64_t)w;
        n -= (size_t)w;
    }
    return 0;
}

static int sys_fail(struct ea_err *err, const char *path)
{
    int e = -errno;

    return ea_fail(err, e, "%s: %s", path, strerror(-e));
}

/* read() again when a signal came. */
static ssize_t read_some(int fd, void *p, size_t n)
{
    ssize_t r;

    do
        r = read(fd, p, n);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Where reading starts: the size of a regular file and room to see its end, a page for all else. */
static int first_size(int fd, const char *path, size_t cap, size_t *ret, struct ea_err *err)
{
    struct stat st;

    *ret = 4096;
    if (fstat(fd, &st))
        return 0;
    if (S_ISDIR(st.st_mode))
        return ea_fail(err, -EISDIR, "%s: is a folder", path);
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        *ret = EA_MIN((size_t)st.st_size, cap) + 2;
    return 0;
}

int ea_read_file(const char *path, size_t cap, char **ret_p, size_t *ret_n, struct ea_err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    EA_AUTO_FD int own = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    int fd = is_stdin ? STDIN_FILENO : own;
    size_t size, n = 0;

    if (fd < 0)
        return sys_fail(err, path);
    int bad = first_size(fd, path, cap, &size, err);

    if (bad)
        return bad;
    EA_AUTO_FREE char *p = ea_xalloc(size);

    for (;;) {
        if (n + 1 >= size && n <= cap) {
            size = EA_MIN(size * 2, cap + 2);
            p = ea_xrealloc(p, size);
        }
        if (n > cap)
            return ea_fail(err, -E2BIG, "%s: larger than %zu bytes", path, cap);
        ssize_t r = read_some(fd, p + n, size - n - 1);

        if (r < 0)
            return sys_fail(err, path);
        if (r == 0)
            break;
        n += (size_t)r;
    }
    p[n] = '\0';
    *ret_n = n;
    *ret_p = p;
    p = NULL;
    return 0;
}

int ea_fsync_dir(const char *path)
{
    EA_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return fsync(fd) ? -errno : 0;
}

static int sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return ea_fsync_dir(".");
    EA_AUTO_FREE char *dir = ea_str_dupz(ea_strn(path, slash == path ? 1 : (size_t)(slash - path)));

    return ea_fsync_dir(dir);
}

int ea_write_file(const char *path, const void *p, size_t n, unsigned mode, struct ea_err *err)
{
    EA_AUTO_FREE char *tmp = ea_xasprintf("%s.tmp.%ld", path, (long)getpid());
    EA_AUTO_FD int fd =
        open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
    int r = fd < 0 ? -errno : 0;

    if (!r && fchmod(fd, (mode_t)mode))
        r = -errno;
    if (!r)
        r = ea_write_all(fd, p, n);
    if (!r && fsync(fd))
        r = -errno;
    if (!r && rename(tmp, path))
        r = -errno;
    if (!r)
        r = sync_parent(path);
    if (r) {
        (void)unlink(tmp);
        return ea_fail(err, r, "%s: %s", path, strerror(-r));
    }
    return 0;
}

int ea_mkdirs(const char *path, unsigned mode, struct ea_err *err)
{
    EA_AUTO_FREE char *p = ea_str_dupz(ea_str(path));

    for (char *at = p + 1; *p; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char c = *at;

        *at = '\0';
        if (mkdir(p, (mode_t)mode) && errno != EEXIST) {
            int e = -errno;

            return ea_fail(err, e, "%s: %s", p, strerror(-e));
        }
        *at = c;
        if (c == '\0')
            break;
    }
    return 0;
}
