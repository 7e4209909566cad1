/* audit/dir.c - the folder: walked, watched, looked through again when something moved. This thread
 * logs here. */
#include "audit/dir.h"

#include "audit/dir_priv.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEBOUNCE_MS 100u
#define DEBOUNCE_MAX_MS 1000u /* a folder that never rests is read all the same */
#define AGAIN_MS 300u
#define ROUND_MS 30000u /* file systems that tell nothing (network, some overlays) */
#define EVENTS                                                                                     \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO |            \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct walk {
    struct ea_dir *d;
    struct found {
        char *path;
        struct stat st;
    } * f;
    size_t n;
    bool full;
};

static bool wanted(const char *name)
{
    struct ea_str s = ea_str(name);

    return ea_str_ends(s, EA_STR(".yaml")) || ea_str_ends(s, EA_STR(".yml")) ||
           ea_str_ends(s, EA_STR(".json"));
}

static void found_file(struct walk *w, char *rel, const struct stat *st)
{
    if (w->n == EA_MAX_DIR_FILES) {
        if (!w->full)
            ea_log(EA_LOG_ERROR, "too-many-files", EA_KV_U64("limit", EA_MAX_DIR_FILES));
        w->full = true;
        free(rel);
        return;
    }
    if ((w->n & (w->n - 1)) == 0)
        w->f = ea_xrealloc(w->f, (w->n ? 2 * w->n : 1) * sizeof(*w->f));
    w->f[w->n].path = rel;
    w->f[w->n++].st = *st;
}

static int walk_dir(struct walk *w, const char *rel, unsigned depth);

static void walk_entry(struct walk *w, const char *rel, const char *name, unsigned depth)
{
    char *path = *rel ? ea_xasprintf("%s/%s", rel, name) : ea_str_dupz(ea_str(name));
    EA_AUTO_FREE char *full = ea_xasprintf("%s/%s", w->d->path, path);
    struct stat st;

    /* folders are not followed through links (loops), files are (mounted ConfigMaps consist of
     * links) */
    if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode)) {
        (void)walk_dir(w, path, depth + 1);
        free(path);
    } else if (wanted(name) && stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
        found_file(w, path, &st);
    } else {
        free(path);
    }
}

static int walk_dir(struct walk *w, const char *rel, unsigned depth)
{
    EA_AUTO_FREE char *full = ea_xasprintf("%s%s%s", w->d->path, *rel ? "/" : "", rel);
    struct dirent *e;
    DIR *dir;

    if (depth > EA_MAX_DIR_DEPTH) {
        ea_log(EA_LOG_ERROR, "folder-too-deep", EA_KV_Z("folder", rel));
        return 0;
    }
    /* watched before it is read, so that nothing falls in between */
    if (inotify_add_watch(w->d->inotify, full, EVENTS) < 0 && errno == ENOSPC)
        ea_log(EA_LOG_WARN, "no-more-watches", EA_KV_Z("folder", rel),
               EA_KV_Z("hint", "fs.inotify.max_user_watches"));
    dir = opendir(full);
    if (!dir)
        return -errno;
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.')
            walk_entry(w, rel, e->d_name, depth);
    }
    closedir(dir);
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

static bool moved(struct dir_file *f, const struct stat *st)
{
    uint64_t mtime = (uint64_t)st->st_mtim.tv_sec * 1000000000ull + (uint64_t)st->st_mtim.tv_nsec;
    bool is = f->mtime_ns != mtime || f->size != (uint64_t)st->st_size ||
              f->inode != (uint64_t)st->st_ino;

    f->mtime_ns = mtime;
    f->size = (uint64_t)st->st_size;
    f->inode = (uint64_t)st->st_ino;
    return is;
}

static void drop_missing(struct ea_dir *d)
{
    size_t i = 0;
    struct ea_str key;
    void *value;

    while (ea_map_next(&d->files, &i, &key, &value)) {
        struct dir_file *f = value;

        if (f->round == d->round)
            continue;
        dir_drop(d, f);
        (void)ea_map_del(&d->files, key);
        dir_file_free(f);
    }
}

/* Something was let go: an object that stood in two files may live on in the other. */
static void read_shadowed(struct ea_dir *d)
{
    size_t i = 0;
    struct ea_str key;
    void *value;

    while (ea_map_next(&d->files, &i, &key, &value)) {
        struct dir_file *f = value;

        if (f->shadowed)
            dir_read(d, f);
    }
}

static void root_state(struct ea_dir *d, int rc)
{
    struct ea_kube_event e = {.type = rc ? EA_KUBE_GAP_OPENED : EA_KUBE_GAP_CLOSED,
                              .reason = "not-found",
                              .from = ea_wall_now()};

    if (d->root_gone == (rc != 0) || !d->told_all)
        return;
    d->root_gone = rc != 0;
    if (rc)
        ea_log(EA_LOG_ERROR, "folder-unreadable", EA_KV_Z("folder", d->path),
               EA_KV_Z("error", strerror(-rc)));
    d->o.event(d->o.arg, &e);
}

static void count(struct ea_dir *d)
{
    size_t i = 0, bad = 0, n = 0;
    struct ea_str key;
    void *value;

    while (ea_map_next(&d->files, &i, &key, &value)) {
        const struct dir_file *f = value;

        bad += f->bad;
        n++;
    }
    pthread_mutex_lock(&d->lock);
    d->stat.files = n;
    d->stat.bad_files = bad;
    d->stat.objects = d->places.n;
    d->stat.rounds++;
    if (!bad)
        d->stat.error[0] = 0;
    pthread_mutex_unlock(&d->lock);
}

/* A file of this round: known or new, to be read or not. */
static void meet(struct ea_dir *d, const struct found *x)
{
    struct dir_file *f = ea_map_find(&d->files, ea_str(x->path));
    bool changed;

    if (!f) {
        f = ea_xalloc(sizeof(*f));
        f->path = ea_str_dupz(ea_str(x->path));
        (void)ea_map_put(&d->files, ea_str(f->path), f);
    }
    f->round = d->round;
    changed = moved(f, &x->st);
    if (changed)
        f->tries = 0;
    f->due = changed || (f->bad && !f->told_bad);
}

/* Looks through the folder once. 0, or why the folder cannot be read. */
static int look(struct ea_dir *d)
{
    struct walk w = {.d = d};
    int rc = walk_dir(&w, "", 0);

    d->again = false;
    if (w.n)
        qsort(w.f, w.n, sizeof(*w.f), by_path);
    d->round++;
    for (size_t i = 0; i < w.n && rc == 0; i++)
        meet(d, &w.f[i]);
    /* first what went, so that an object that moved to another file is taken over there */
    if (rc == 0 && !w.full)
        drop_missing(d);
    for (size_t i = 0; i < w.n; i++) {
        struct dir_file *f = rc ? NULL : ea_map_find(&d->files, ea_str(w.f[i].path));

        if (f && f->due)
            dir_read(d, f);
        free(w.f[i].path);
    }
    free(w.f);
    if (d->n_orphans)
        read_shadowed(d);
    dir_settle(d);
    root_state(d, rc);
    count(d);
    return rc;
}

/* Everything was told once: the tables are whole. */
static void tell_synced(struct ea_dir *d)
{
    struct ea_kube_event all = {.type = EA_KUBE_SYNCED};
    unsigned n = ea_store_tables(d->o.store);

    for (unsigned t = 0; t < n; t++)
        ea_store_set_synced(d->o.store, t, true);
    d->told_all = true;
    for (unsigned t = 0; t < n; t++) {
        struct ea_kube_event e = {.type = EA_KUBE_SYNCED, .res = ea_store_res(d->o.store, t)};

        d->o.event(d->o.arg, &e);
    }
    d->o.event(d->o.arg, &all);
}

/* ---- the thread ---- */

static void drain(int fd)
{
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));

    while (read(fd, buf, sizeof(buf)) > 0)
        ;
}

/* Waits for a change or the time; true when something moved. */
static bool wait_change(struct ea_dir *d, unsigned ms)
{
    struct pollfd p[2] = {{.fd = d->inotify, .events = POLLIN}, {.fd = d->wake, .events = POLLIN}};
    int rc = poll(p, 2, (int)ms);

    if (rc <= 0 || !(p[0].revents & POLLIN))
        return false;
    drain(d->inotify);
    return true;
}

static void *dir_main(void *arg)
{
    struct ea_dir *d = arg;

    while (!atomic_load(&d->stopping)) {
        bool change = wait_change(d, d->again ? AGAIN_MS : ROUND_MS);
        ea_mono_us end = ea_mono_now() + DEBOUNCE_MAX_MS * 1000ull;

        while (change && !atomic_load(&d->stopping) && ea_mono_now() < end)
            change = wait_change(d, d->o.debounce_ms);
        if (!atomic_load(&d->stopping))
            (void)look(d);
    }
    return NULL;
}

int ea_dir_start(const struct ea_dir_opts *o, struct ea_dir **ret, struct ea_err *err)
{
    struct ea_dir *d = ea_xalloc(sizeof(*d));
    static const struct ea_gvr namespaces = {
        .version = {"v1", 2}, .resource = {"namespaces", 10}, .kind = {"Namespace", 9}};
    int rc;

    d->o = *o;
    d->path = ea_str_dupz(ea_str(o->path));
    if (!d->o.debounce_ms)
        d->o.debounce_ms = DEBOUNCE_MS;
    ea_ruleset_ref(o->rules);
    ea_map_init(&d->files);
    ea_map_init(&d->places);
    ea_arena_init(&d->arena, EA_ARENA_SCAN, 64u << 10);
    ea_buf_init(&d->json, EA_MAX_MANIFEST);
    pthread_mutex_init(&d->lock, NULL);
    d->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    d->wake = eventfd(0, EFD_CLOEXEC);
    rc = d->inotify < 0 || d->wake < 0 ? ea_fail(err, -errno, "inotify: %s", strerror(errno)) : 0;
    if (rc == 0) {
        (void)dir_table(d, &namespaces);
        rc = look(d);
        if (rc)
            rc = ea_fail(err, rc, "%s: %s", o->path, strerror(-rc));
    }
    if (rc == 0) {
        tell_synced(d);
        rc = -pthread_create(&d->thread, NULL, dir_main, d);
        d->running = rc == 0;
    }
    if (rc) {
        ea_dir_stop(d);
        return rc;
    }
    *ret = d;
    return 0;
}

void ea_dir_stop(struct ea_dir *d)
{
    if (!d)
        return;
    atomic_store(&d->stopping, true);
    if (d->running) {
        uint64_t one = 1;

        (void)!write(d->wake, &one,
                     sizeof(one)); /* an eventfd takes it, or is full of wake-ups already */
        pthread_join(d->thread, NULL);
    }
    if (d->inotify >= 0)
        close(d->inotify);
    if (d->wake >= 0)
        close(d->wake);
    ea_map_done(&d->files, dir_file_free);
    ea_map_done(&d->places, free);
    ea_arena_done(&d->arena);
    ea_buf_done(&d->json);
    ea_ruleset_unref(d->o.rules);
    pthread_mutex_destroy(&d->lock);
    free(d->path);
    free(d);
}

void ea_dir_stat(struct ea_dir *d, struct ea_dir_stat *ret)
{
    pthread_mutex_lock(&d->lock);
    *ret = d->stat;
    pthread_mutex_unlock(&d->lock);
}
