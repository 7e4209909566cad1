/* evidence/epochs.c - epochs/<n>/: origin, keys, checkpoint, leaves of freed records. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/store.h"

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

int ea_epoch_list(const char *dir, uint64_t **ret, size_t *ret_n)
{
    char path[EA_PATH], again[32];
    struct dirent *de;
    uint64_t *v = NULL;
    size_t n = 0, size = 0;
    DIR *d;

    *ret = NULL;
    *ret_n = 0;
    if (ea_path(path, dir, "epochs") < 0)
        return -ENAMETOOLONG;
    d = opendir(path);
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    while ((de = readdir(d)) != NULL) {
        uint64_t e;

        if (ea_str_to_u64(ea_str(de->d_name), &e) < 0)
            continue;
        snprintf(again, sizeof(again), "%" PRIu64, e);
        if (strcmp(again, de->d_name) != 0)
            continue;
        if (n == size) {
            size = size ? 2 * size : 16;
            v = ea_xrealloc(v, size * sizeof(*v));
        }
        v[n++] = e;
    }
    closedir(d);
    if (n > 0)
        qsort(v, n, sizeof(*v), by_value);
    *ret = v;
    *ret_n = n;
    return 0;
}

int ea_epoch_path(char out[EA_PATH], const char *dir, uint64_t epoch, const char *file)
{
    return ea_path(out, dir, "epochs/%" PRIu64 "%s%s", epoch, file ? "/" : "", file ? file : "");
}

static int write_in(const char *dir, uint64_t epoch, const char *file, struct ea_str s,
                    unsigned mode, struct ea_err *err)
{
    char path[EA_PATH];
    int r = ea_epoch_path(path, dir, epoch, file);

    return r < 0 ? ea_fail(err, r, "the path of epoch %" PRIu64 " is too long", epoch)
                 : ea_write_file(path, s.p, s.n, mode, err);
}

int ea_epoch_create(const char *dir, uint64_t epoch, struct ea_str origin, const struct ea_key *k,
                    struct ea_err *err)
{
    char path[EA_PATH], up[EA_PATH];
    struct ea_buf b;
    int r;

    if (ea_epoch_path(path, dir, epoch, NULL) < 0 || ea_path(up, dir, "epochs") < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path of epoch %" PRIu64 " is too long", epoch);
    if ((r = ea_mkdirs(path, 0700, err)) < 0)
        return r;
    ea_buf_init(&b, 16384);
    /* The private key first: an epoch folder that has a public key can sign. */
    if ((r = ea_key_private_pem(k, &b, err)) == 0)
        r = write_in(dir, epoch, "private.pem", ea_buf_str(&b), 0600, err);
    if (b.p)
        ea_cleanse(b.p, b.n);
    ea_buf_clear(&b);
    if (r == 0 && (r = ea_key_public_pem(k, &b, err)) == 0)
        r = write_in(dir, epoch, "key.pem", ea_buf_str(&b), 0644, err);
    ea_buf_clear(&b);
    if (r == 0) {
        ea_buf_adds(&b, origin);
        ea_buf_addc(&b, '\n');
        r = write_in(dir, epoch, "origin", ea_buf_str(&b), 0644, err);
    }
    ea_buf_done(&b);
    if (r == 0 && ((r = ea_fsync_dir(up)) < 0 || (r = ea_fsync_dir(dir)) < 0))
        ea_fail(err, r, "syncing the folder of epoch %" PRIu64 ": %s", epoch, strerror(-r));
    return r;
}

int ea_epoch_read(const char *dir, uint64_t epoch, const char *file, size_t cap, char **ret,
                  size_t *ret_n, struct ea_err *err)
{
    char path[EA_PATH];
    int r = ea_epoch_path(path, dir, epoch, file);

    return r < 0 ? ea_fail(err, r, "the path of epoch %" PRIu64 " is too long", epoch)
                 : ea_read_file(path, cap, ret, ret_n, err);
}

int ea_epoch_key(const char *dir, uint64_t epoch, bool private_key, struct ea_key **ret,
                 struct ea_err *err)
{
    char *pem = NULL;
    size_t n = 0;
    int r =
        ea_epoch_read(dir, epoch, private_key ? "private.pem" : "key.pem", 16384, &pem, &n, err);

    if (r < 0)
        return r;
    r = ea_key_from_pem(ea_strn(pem, n), ret, err);
    ea_cleanse(pem, n);
    free(pem);
    return r;
}

int ea_epoch_forget_key(const char *dir, uint64_t epoch, struct ea_err *err)
{
    char path[EA_PATH], folder[EA_PATH];
    uint8_t noise[512];
    EA_AUTO_FD int fd = -1;
    struct stat st;
    int r = 0;

    if (ea_epoch_path(path, dir, epoch, "private.pem") < 0 ||
        ea_epoch_path(folder, dir, epoch, NULL) < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path of epoch %" PRIu64 " is too long", epoch);
    fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || st.st_size > 16384)
        return ea_fail(err, -EINVAL, "%s is no key of ours", path);
    for (off_t off = 0; r == 0 && off < st.st_size; off += (off_t)sizeof(noise)) {
        ea_random(noise, sizeof(noise));
        r = ea_pwrite_all(fd, noise, sizeof(noise), (uint64_t)off);
    }
    if (r == 0 && fdatasync(fd) < 0)
        r = -errno;
    if (r == 0 && unlink(path) < 0)
        r = -errno;
    if (r == 0)
        r = ea_fsync_dir(folder);
    return r < 0 ? ea_fail(err, r, "erasing %s: %s", path, strerror(-r)) : 0;
}

uint64_t ea_leaves_count(const char *dir, uint64_t epoch)
{
    char path[EA_PATH];
    struct stat st;

    if (ea_epoch_path(path, dir, epoch, "leaves") < 0 || stat(path, &st) < 0)
        return 0;
    return (uint64_t)st.st_size / EA_SHA256_LEN;
}

int ea_leaves_load(const char *dir, uint64_t epoch, uint8_t (**ret)[EA_SHA256_LEN], uint64_t *ret_n,
                   struct ea_err *err)
{
    char *p = NULL;
    size_t n = 0;
    int r = ea_epoch_read(dir, epoch, "leaves", EA_MAX_SEGMENT, &p, &n, err);

    *ret = NULL;
    *ret_n = 0;
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    *ret = (uint8_t(*)[EA_SHA256_LEN])p;
    *ret_n = n / EA_SHA256_LEN;
    return 0;
}

/* By position, so that doing it again after a crash changes nothing. */
int ea_leaves_store(const char *dir, uint64_t epoch, uint64_t first_seq,
                    const uint8_t (*leaves)[EA_SHA256_LEN], uint64_t n, struct ea_err *err)
{
    char path[EA_PATH], folder[EA_PATH];
    EA_AUTO_FD int fd = -1;
    int r;

    if (ea_epoch_path(path, dir, epoch, "leaves") < 0 ||
        ea_epoch_path(folder, dir, epoch, NULL) < 0)
        return ea_fail(err, -ENAMETOOLONG, "the path of epoch %" PRIu64 " is too long", epoch);
    if ((r = ea_mkdirs(folder, 0700, err)) < 0)
        return r;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ea_fail(err, -errno, "opening %s: %s", path, strerror(errno));
    r = ea_evidence_io.pwrite_all(fd, leaves, n * EA_SHA256_LEN, first_seq * EA_SHA256_LEN);
    if (r == 0)
        r = ea_evidence_io.sync(fd);
    if (r == 0)
        r = ea_fsync_dir(folder);
    return r < 0 ? ea_fail(err, r, "writing %s: %s", path, strerror(-r)) : 0;
}
