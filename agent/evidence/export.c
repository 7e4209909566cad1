/* evidence/export.c - one folder per epoch: log.ndjson, checkpoint, key.pem, and leaves.hex where
 * records were freed. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "evidence/log.h"
#include "evidence/store.h"

struct out {
    const char *dir, *to;
    uint64_t epoch;
    FILE *f; /* log.ndjson of the epoch */
    char folder[EA_PATH];
    uint64_t next; /* seq of the next record */
    bool damaged;
    struct ea_err first; /* what was damaged first */
};

static int copy_file(const struct out *o, const char *file, struct ea_err *err)
{
    char path[EA_PATH];
    EA_AUTO_FREE char *p = NULL;
    size_t n = 0;
    int r = ea_epoch_read(o->dir, o->epoch, file, EA_MAX_PEM, &p, &n, err);

    if (r == -ENOENT)
        return 0; /* no checkpoint yet */
    if (r == 0 && (r = ea_path(path, o->folder, "%s", file)) < 0)
        return ea_fail(err, r, "the path %s is too long", o->folder);
    return r < 0 ? r : ea_write_file(path, p, n, 0644, err);
}

static int write_leaves(const struct out *o, uint64_t want, struct ea_err *err)
{
    uint8_t(*leaves)[EA_SHA256_LEN] = NULL;
    char path[EA_PATH], hex[2 * EA_SHA256_LEN + 1];
    uint64_t n = 0;
    FILE *f;
    int r = ea_leaves_load(o->dir, o->epoch, &leaves, &n, err);

    if (r < 0)
        return r;
    if (n < want) {
        free(leaves);
        return ea_fail(err, -EBADMSG,
                       "epoch %" PRIu64 ": records 0 to %" PRIu64 " are gone and only %" PRIu64
                       " of their hashes are kept",
                       o->epoch, want - 1, n);
    }
    f = ea_path(path, o->folder, "leaves.hex") < 0 ? NULL : fopen(path, "we");
    r = f ? 0 : -errno;
    for (uint64_t i = 0; i < want && r == 0; i++) {
        ea_hex(leaves[i], EA_SHA256_LEN, hex);
        r = fprintf(f, "%s\n", hex) < 0 ? -EIO : 0;
    }
    if (f && fclose(f) != 0 && r == 0)
        r = -errno;
    free(leaves);
    return r < 0 ? ea_fail(err, r, "writing %s: %s", path, strerror(-r)) : 0;
}

static int end_epoch(struct out *o, struct ea_err *err)
{
    int r;

    if (!o->f)
        return 0;
    r = fclose(o->f) != 0 ? -errno : 0;
    o->f = NULL;
    return r < 0 ? ea_fail(err, r, "writing %s/log.ndjson: %s", o->folder, strerror(-r)) : 0;
}

/* The checkpoint is copied before the records are read, so that it never covers more than the
 * export has. */
static int begin_epoch(struct out *o, uint64_t epoch, uint64_t first_seq, struct ea_err *err)
{
    char path[EA_PATH];
    int r = end_epoch(o, err);

    o->epoch = epoch;
    o->next = first_seq;
    if (r == 0 && (ea_path(o->folder, o->to, "epoch-%" PRIu64, epoch) < 0 ||
                   ea_path(path, o->folder, "log.ndjson") < 0))
        r = ea_fail(err, -ENAMETOOLONG, "the path %s is too long", o->to);
    if (r == 0)
        r = ea_mkdirs(o->folder, 0755, err);
    if (r == 0)
        r = copy_file(o, "checkpoint", err);
    if (r == 0)
        r = copy_file(o, "checkpoint.tsr", err);
    if (r == 0)
        r = copy_file(o, "key.pem", err);
    if (r == 0 && first_seq > 0)
        r = write_leaves(o, first_seq, err);
    if (r == 0 && !(o->f = fopen(path, "we")))
        r = ea_fail(err, -errno, "making %s: %s", path, strerror(errno));
    return r;
}

/* Epochs of which no record is left still have their leaves and their checkpoint. */
static int freed_epochs(struct out *o, uint64_t below, struct ea_err *err)
{
    EA_AUTO_FREE uint64_t *epochs = NULL;
    size_t n = 0;
    int r = ea_epoch_list(o->dir, &epochs, &n);

    if (r < 0)
        return ea_fail(err, r, "reading %s/epochs: %s", o->dir, strerror(-r));
    for (size_t i = 0; i < n && epochs[i] < below && r == 0; i++) {
        uint64_t leaves = ea_leaves_count(o->dir, epochs[i]);

        if (leaves > 0)
            r = begin_epoch(o, epochs[i], leaves, err);
    }
    return r;
}

static int one_record(struct out *o, const struct ea_record_view *v, struct ea_err *err)
{
    int r = 0;

    if (!o->f || v->epoch != o->epoch) {
        if (!o->f)
            r = freed_epochs(o, v->epoch, err);
        if (r == 0)
            r = begin_epoch(o, v->epoch, v->seq, err);
        if (r < 0)
            return r;
    }
    if (v->seq > o->next && !o->damaged)
        return ea_fail(err, -EAGAIN,
                       "the log freed records %" PRIu64 " to %" PRIu64 " of epoch %" PRIu64
                       " meanwhile: export again",
                       o->next, v->seq - 1, v->epoch);
    o->next = v->seq + 1;
    if (fwrite(v->bytes.p, 1, v->bytes.n, o->f) != v->bytes.n || fputc('\n', o->f) == EOF)
        return ea_fail(err, -EIO, "writing %s/log.ndjson failed", o->folder);
    return 0;
}

static int copy_records(struct out *o, struct ea_reader *reader, struct ea_err *err)
{
    struct ea_record_view v;
    struct ea_err why;
    int r = 0;

    while (r == 0) {
        int got = ea_reader_next(reader, &v, &why);

        if (got == -ENODATA)
            return 0;
        if (got == 0) {
            r = one_record(o, &v, err);
        } else if (got != -EBADMSG) {
            r = ea_fail(err, got, "%s", why.text);
        } else if (!o->damaged) {
            o->damaged = true; /* exported without it: verify will say where */
            o->first = why;
        }
    }
    return r;
}

int ea_evidence_export(const char *dir, const char *out, struct ea_err *err)
{
    struct out o = {.dir = dir, .to = out};
    struct ea_reader *reader = NULL;
    int r, end;

    if ((r = ea_reader_open(dir, 0, 0, &reader, err)) < 0)
        return r;
    ea_reader_thorough(reader);
    r = ea_mkdirs(out, 0755, err);
    if (r == 0)
        r = copy_records(&o, reader, err);
    ea_reader_close(reader);
    if (r == 0 && !o.f)
        r = freed_epochs(&o, UINT64_MAX, err);
    if (r == 0 && !o.f)
        r = ea_fail(err, -ENOENT, "%s holds no records", dir);
    end = end_epoch(&o, r == 0 ? err : NULL);
    if (r == 0)
        r = end;
    return r == 0 && o.damaged
               ? ea_fail(err, -EBADMSG, "exported without what is damaged: %s", o.first.text)
               : r;
}
