/* audit/digest.c - what the log says about each object, in one append-only text file beside it.
 *
 *   eucs-agent verdicts 1 TAB node uid TAB epoch
 *   +TAB hash of the verdict TAB identity      the log holds this verdict
 *   -TAB uid                                   the log is about to say something else
 *
 * A line is one write(), so that a kill leaves whole lines; the mark comes before the record and
 * the new line after it, so that no order of events can make the digest claim what the log does not
 * say. After a power loss the log begins another epoch, and the digest is void. */
#include "audit/audit_priv.h"
#include "base/fd.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define REWRITE_BYTES (8u << 20)

struct earlier {
    uint64_t hash;
    size_t n;
    char identity[];
};

struct digest {
    int fd, tmp;
    char *path, *tmp_path;
    char header[160];
    size_t size, written_size; /* now, and after the last rewrite */
    struct ea_map earlier;     /* uid -> struct earlier */
    struct ea_buf line;
    bool failed;
};

static struct ea_str uid_of(struct ea_str identity)
{
    const char *tab = memrchr(identity.p, '\t', identity.n);

    return tab ? ea_strn(tab + 1, (size_t)(identity.p + identity.n - tab - 1)) : identity;
}

static void drop(struct digest *d, struct ea_str uid)
{
    free(ea_map_del(&d->earlier, uid));
}

static void load_line(struct digest *d, struct ea_str line)
{
    struct ea_str rest = line, kind = ea_str_cut(rest, '\t', &rest), hash;
    struct earlier *e;
    uint8_t h[8];
    size_t n;

    if (ea_str_is(kind, "-")) {
        drop(d, rest);
        return;
    }
    hash = ea_str_cut(rest, '\t', &rest);
    if (!ea_str_is(kind, "+") || ea_unhex(hash, h, sizeof(h), &n) < 0 || n != sizeof(h) || !rest.n)
        return;
    e = ea_xalloc(sizeof(*e) + rest.n);
    memcpy(&e->hash, h, sizeof(h));
    e->n = rest.n;
    memcpy(e->identity, rest.p, rest.n);
    free(ea_map_put(&d->earlier, uid_of(rest), e));
}

static void load(struct digest *d, struct ea_str text)
{
    struct ea_str header = ea_str(d->header);

    if (!ea_str_starts(text, header))
        return; /* of another log or epoch */
    text = ea_strn(text.p + header.n, text.n - header.n);
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);

        if (!end)
            return; /* a torn last line */
        load_line(d, ea_strn(text.p, (size_t)(end - text.p)));
        text = ea_strn(end + 1, text.n - (size_t)(end + 1 - text.p));
    }
}

static void put(struct digest *d, int fd)
{
    if (d->failed || fd < 0)
        return;
    if (d->line.failed || ea_write_all(fd, d->line.p, d->line.n) < 0) {
        /* a digest that cannot be kept up is worse than none */
        ea_log(EA_LOG_WARN, "digest-not-written", EA_KV_Z("file", d->path));
        d->failed = true;
        (void)unlink(d->path);
        return;
    }
    d->size += d->line.n;
}

static void add_line(struct digest *d, int fd, uint64_t hash, struct ea_str identity)
{
    char hex[17];

    ea_hex((const uint8_t *)&hash, sizeof(hash), hex);
    ea_buf_clear(&d->line);
    ea_buf_addz(&d->line, "+\t");
    ea_buf_addz(&d->line, hex);
    ea_buf_addc(&d->line, '\t');
    ea_buf_adds(&d->line, identity);
    ea_buf_addc(&d->line, '\n');
    put(d, fd);
}

void digest_rewrite_begin(struct digest *d)
{
    size_t i = 0;
    struct ea_str key;
    void *value;

    d->size = 0;
    d->tmp = open(d->tmp_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    ea_buf_clear(&d->line);
    ea_buf_addz(&d->line, d->header);
    put(d, d->tmp);
    while (ea_map_next(&d->earlier, &i, &key, &value)) {
        const struct earlier *e = value;

        add_line(d, d->tmp, e->hash, ea_strn(e->identity, e->n));
    }
}

void digest_rewrite_add(struct digest *d, uint64_t hash, struct ea_str identity)
{
    add_line(d, d->tmp, hash, identity);
}

void digest_rewrite_end(struct digest *d)
{
    if (d->tmp < 0 || rename(d->tmp_path, d->path) < 0) {
        d->failed = true;
        if (d->tmp >= 0)
            close(d->tmp);
        d->tmp = -1;
        return;
    }
    if (d->fd >= 0)
        close(d->fd);
    d->fd = d->tmp;
    d->tmp = -1;
    d->written_size = d->size;
}

bool digest_due(const struct digest *d)
{
    return !d->failed && d->size > REWRITE_BYTES && d->size > 4 * d->written_size;
}

int digest_open(const char *path, const char *node_uid, uint64_t epoch, struct digest **ret,
                ea_wall_us *ret_written, struct ea_err *err)
{
    struct digest *d = ea_xalloc(sizeof(*d));
    EA_AUTO_FREE char *text = NULL;
    struct stat st;
    size_t n = 0;
    int rc;

    d->fd = d->tmp = -1;
    d->path = ea_str_dupz(ea_str(path));
    d->tmp_path = ea_xasprintf("%s.new", path);
    ea_map_init(&d->earlier);
    ea_buf_init(&d->line, 16384);
    (void)snprintf(d->header, sizeof(d->header), "eucs-agent verdicts 1\t%.63s\t%llu\n", node_uid,
                   (unsigned long long)epoch);
    *ret_written = stat(path, &st) == 0
                       ? (ea_wall_us)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000
                       : 0;
    rc = ea_read_file(path, EA_MAX_DIGEST, &text, &n, NULL);
    if (rc == 0)
        load(d, ea_strn(text, n));
    digest_rewrite_begin(d);
    digest_rewrite_end(d);
    if (d->failed) {
        rc = ea_fail(err, -errno ? -errno : -EIO, "the verdict digest %s cannot be written", path);
        digest_close(d);
        return rc;
    }
    *ret = d;
    return 0;
}

void digest_close(struct digest *d)
{
    if (!d)
        return;
    if (d->fd >= 0) {
        (void)futimens(d->fd, NULL); /* until here it was true */
        close(d->fd);
    }
    ea_map_done(&d->earlier, free);
    ea_buf_done(&d->line);
    free(d->path);
    free(d->tmp_path);
    free(d);
}

bool digest_find(const struct digest *d, struct ea_str uid, uint64_t *ret_hash)
{
    const struct earlier *e = ea_map_find(&d->earlier, uid);

    if (e)
        *ret_hash = e->hash;
    return e != NULL;
}

void digest_mark(struct digest *d, struct ea_str uid)
{
    ea_buf_clear(&d->line);
    ea_buf_addz(&d->line, "-\t");
    ea_buf_adds(&d->line, uid);
    ea_buf_addc(&d->line, '\n');
    put(d, d->fd);
    drop(d, uid); /* last: uid may be a slice of what is freed */
}

void digest_set(struct digest *d, struct ea_str uid, uint64_t hash, struct ea_str identity)
{
    drop(d, uid);
    add_line(d, d->fd, hash, identity);
}

void digest_forget(struct digest *d, struct ea_str uid)
{
    digest_mark(d, uid);
}

void digest_leftovers(struct digest *d, struct ea_str resource,
                      void (*fn)(void *arg, struct ea_str identity), void *arg)
{
    size_t i = 0;
    struct ea_str key;
    void *value;

    while (ea_map_next(&d->earlier, &i, &key, &value)) {
        struct earlier *e = value;
        struct ea_str id = ea_strn(e->identity, e->n);

        if (resource.n &&
            !(ea_str_starts(id, resource) && id.n > resource.n && id.p[resource.n] == '\t'))
            continue;
        fn(arg, id);
        digest_mark(d, uid_of(id));
    }
}
