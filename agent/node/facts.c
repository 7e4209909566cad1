#include "node/facts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/openat2.h>
#include <unistd.h>

#define FILE_BYTES (256u << 10)
#define TREE_ENTRIES 512u
#define TREE_DEPTH 3u

extern const struct ea_fact ea_fact_files, ea_fact_kernel, ea_fact_kubelet, ea_fact_os;
static const struct ea_fact *const facts[] = {&ea_fact_files, &ea_fact_kernel, &ea_fact_kubelet,
                                              &ea_fact_os};

/* Opens below the root; the kernel itself refuses links that leave it. */
static int open_below(const struct ea_fact_read *r, const char *path, uint64_t flags)
{
    struct open_how how = {/* openat2 takes no further flag beside O_PATH */
                           .flags = flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, r->root_fd, path, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

static void say_unreadable(struct ea_fact_read *r, const char *path)
{
    ea_listb_add(r->unreadable, ea_val_str(ea_arena_str(r->arena, ea_str(path))));
}

struct ea_str ea_fact_text(struct ea_fact_read *r, const char *path)
{
    int fd = open_below(r, path, O_RDONLY);
    size_t n = 0;

    if (fd < 0) {
        if (fd != -ENOENT && fd != -ENOTDIR)
            say_unreadable(r, path);
        return EA_STR_NULL;
    }
    EA_AUTO_FD int owned = fd;
    struct stat st;
    char *p = ea_arena_alloc(r->arena, FILE_BYTES + 1);

    if (!p || fstat(owned, &st) || !S_ISREG(st.st_mode)) {
        say_unreadable(r, path);
        return EA_STR_NULL;
    }
    while (n < FILE_BYTES) {
        ssize_t got = read(owned, p + n, FILE_BYTES - n);

        if (got <= 0)
            break;
        n += (size_t)got;
    }
    if (n == FILE_BYTES || !ea_utf8_valid(p, n)) {
        say_unreadable(r, path);
        return EA_STR_NULL;
    }
    p[n] = '\0';
    return ea_strn(p, n);
}

static struct ea_val stat_of(struct ea_fact_read *r, const char *path, const struct stat *st)
{
    struct ea_mapb m;
    const char *type = S_ISREG(st->st_mode)   ? "file"
                       : S_ISDIR(st->st_mode) ? "dir"
                       : S_ISLNK(st->st_mode) ? "link"
                                              : "other";

    ea_mapb_init(&m, r->arena);
    ea_mapb_putz(&m, "path", ea_val_str(ea_arena_str(r->arena, ea_str(path))));
    ea_mapb_putz(&m, "mode", ea_val_str(ea_arena_printf(r->arena, "%04o", st->st_mode & 07777u)));
    ea_mapb_putz(&m, "uid", ea_val_int(st->st_uid));
    ea_mapb_putz(&m, "gid", ea_val_int(st->st_gid));
    ea_mapb_putz(&m, "type", ea_val_str(ea_str(type)));
    return ea_mapb_end(&m);
}

struct ea_val ea_fact_stat(struct ea_fact_read *r, const char *path)
{
    struct stat st;
    EA_AUTO_FD int fd = open_below(r, path, O_PATH);

    if (fd < 0 || fstat(fd, &st))
        return ea_val_null();
    return stat_of(r, path, &st);
}

static void walk(struct ea_fact_read *r, struct ea_listb *out, const char *path, unsigned depth)
{
    int fd = open_below(r, path, O_RDONLY | O_DIRECTORY);

    if (fd < 0) {
        if (fd != -ENOENT && fd != -ENOTDIR)
            say_unreadable(r, path);
        return;
    }
    DIR *d = fdopendir(fd);

    if (!d) {
        close(fd);
        return;
    }
    for (struct dirent *e = readdir(d); e && out->n < TREE_ENTRIES; e = readdir(d)) {
        struct stat st;
        struct ea_str sub = ea_arena_printf(r->arena, "%s/%s", path, e->d_name);

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || !sub.p ||
            !ea_utf8_valid(sub.p, sub.n) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        ea_listb_add(out, stat_of(r, sub.p, &st));
        if (S_ISDIR(st.st_mode) && depth < TREE_DEPTH)
            walk(r, out, sub.p, depth + 1);
    }
    (void)closedir(d);
}

struct ea_val ea_fact_tree(struct ea_fact_read *r, const char *path)
{
    struct ea_listb out;

    ea_listb_init(&out, r->arena);
    walk(r, &out, path, 1);
    return ea_listb_end(&out);
}

int ea_node_facts(struct ea_arena *a, const char *root, struct ea_val *ret, struct ea_err *err)
{
    EA_AUTO_FD int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0) {
        int e = -errno;

        return ea_fail(err, e, "node root %s: %s", root, strerror(-e));
    }
    struct ea_listb unreadable;
    struct ea_mapb m;
    struct ea_fact_read r = {a, root_fd, &unreadable};

    ea_listb_init(&unreadable, a);
    ea_mapb_init(&m, a);
    ea_mapb_putz(&m, "root", ea_val_str(ea_arena_str(a, ea_str(root))));
    for (size_t i = 0; i < EA_COUNT(facts); i++) {
        struct ea_val v = ea_val_null();

        if (facts[i]->read(&r, &v))
            return ea_fail(err, -E2BIG, "node facts: %s is too large", facts[i]->name);
        if (v.type != EA_V_NULL)
            ea_mapb_put(&m, ea_str(facts[i]->name), v);
    }
    ea_mapb_putz(&m, "unreadable", ea_listb_end(&unreadable));
    *ret = ea_mapb_end(&m);
    return m.failed || unreadable.failed ? ea_fail(err, -E2BIG, "node facts are too large") : 0;
}
