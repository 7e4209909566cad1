/* evidence/log.h - the append-only log of one agent: ledger and queue at once.
 *
 * Thread:  ea_log_append and ea_log_stat are [any] (one lock inside); open and close are [owner].
 * Owns:    its folder (flock on `lock`), its segments, its key, and one thread that syncs and makes
 * checkpoints. Limits:  EA_MAX_RECORD a record, EA_MAX_UNSYNCED, the disk limit. Never: interprets
 * a body; loses a record whose append returned 0 to a kill; gives one id two contents. Source:
 * docs/EVIDENCE.md (formats on disk, epochs, checkpoints).
 */
#ifndef EA_EVIDENCE_LOG_H
#define EA_EVIDENCE_LOG_H

#include "base/base.h"
#include "base/clock.h"
#include "evidence/record.h"

struct ea_elog;

enum ea_sync { EA_SYNC_INTERVAL, EA_SYNC_ALWAYS, EA_SYNC_OS };

struct ea_elog_opts {
    const char *dir;         /* made when missing, mode 0700 */
    const char *domain;      /* of the origin, e.g. "eucs-agent.local" */
    const char *cluster_uid; /* NULL or "": a random UUID kept beside the log (directory source) */
    const char *node_uid;    /* the same */
    uint64_t first_epoch;    /* of a store created empty: Unix seconds under Kubernetes, 1 with the
                                directory source */
    uint64_t
        min_epoch; /* above any epoch known elsewhere (the node's checkpoint object), 0 = none */
    enum ea_sync sync;
    uint64_t sync_interval_us; /* default 100 ms */
    uint64_t segment_bytes;    /* default 16 MiB */
    uint64_t disk_limit;       /* bytes, default 1 GiB */
    bool block_when_full;      /* default false: evict-oldest */
    enum ea_key_type key_type;
    const char *agent_version;
    const char *ruleset_sha256; /* hex, goes into log.opened; may be NULL */
    const char *boot_id;        /* NULL: /proc/sys/kernel/random/boot_id; tests set it */
    uint64_t heartbeat_us;      /* default 60 s without other records */
    uint64_t min_size; /* size of the checkpoint of epoch min_epoch known elsewhere: a shorter log
                          begins a new epoch */
    uint64_t checkpoint_us;     /* default 60 s after the first uncovered record */
    uint64_t keep_free_percent; /* of the file system, default 15; 100 = do not look */
};

/* Opens or creates, recovers, continues or begins an epoch, appends log.opened or log.reopened,
 * starts the thread. 0, -EBUSY (another process owns it), -EINVAL (files that are no log of ours:
 * nothing is touched), -errno. */
EA_MUST_CHECK int ea_elog_open(const struct ea_elog_opts *o, struct ea_elog **ret,
                               struct ea_err *err);

struct ea_position {
    uint64_t epoch, seq;
    uint8_t leaf[EA_SHA256_LEN];
    uint64_t end; /* for ea_elog_wait_synced */
};

/* Appends one record whose body is JCS; it is written (not necessarily synced) when this returns 0.
 * urgent       starts a sync now (a denial, a loss); does not wait for it.
 * deadline     monotonic us until which the lock may be waited for; 0 = no limit.
 * 0, -E2BIG (record too large), -ETIME (lock not had in time), -ENOSPC (disk limit with block),
 * -EIO/-errno (writing failed; counted). */
EA_MUST_CHECK int ea_elog_append(struct ea_elog *l, enum ea_record_type type, struct ea_str body,
                                 bool urgent, ea_mono_us deadline, struct ea_position *ret,
                                 struct ea_err *err);
/* Waits until everything up to pos is synced (sync: always). 0, -ETIME, -EIO. */
EA_MUST_CHECK int ea_elog_wait_synced(struct ea_elog *l, const struct ea_position *pos,
                                      ea_mono_us deadline);
/* "<node uid>-e<epoch>-<seq>:<16 hex of leaf>" for audit annotations. */
void ea_position_text(const struct ea_elog *l, const struct ea_position *pos, char out[128]);
/* Signs a checkpoint over what is synced, now. */
EA_MUST_CHECK int ea_elog_checkpoint(struct ea_elog *l, struct ea_err *err);

struct ea_elog_stat {
    char origin[320];
    char node_uid[64];
    uint64_t epoch, next_seq, synced_seq, bytes, appended, lost, sync_errors, last_checkpoint_size;
    bool healthy;     /* false after writing or syncing failed and was not recovered */
    bool volatile_fs; /* the folder lies on tmpfs, ramfs or overlay: nothing there survives the node
                         or the container */
    uint64_t syncs;   /* fdatasync of the log that succeeded */
    uint64_t evicted; /* records freed before every sink had them */
    uint64_t quarantined;       /* bytes that recovery at open took out of the log */
    uint64_t opened_epoch;      /* epoch before this open, 0 for a new log */
    uint64_t key_sha256_prefix; /* first 8 bytes of SHA-256 over the public key (DER), big-endian:
                                   to compare with key.pem */
};
void ea_elog_stat(struct ea_elog *l, struct ea_elog_stat *ret);
/* Appends log.closed{reason}, syncs, makes the last checkpoint, frees. */
int ea_elog_close(struct ea_elog *l, const char *reason, struct ea_err *err);

/* ---- reading: sinks and export ---- */

struct ea_record_view {
    uint64_t epoch, seq, time_ms;
    unsigned type;
    struct ea_str bytes; /* canonical record; borrowed until the next call */
    uint64_t skipped;    /* with -EBADMSG: records that were passed over, the first being seq */
};
struct ea_reader; /* [owner]; reads a live or a closed log, segment by segment */
/* from: first (epoch, seq) wanted; 0,0 = oldest live. dir may be a log that another process owns.
 */
EA_MUST_CHECK int ea_reader_open(const char *dir, uint64_t epoch, uint64_t seq,
                                 struct ea_reader **ret, struct ea_err *err);
/* 0, -ENODATA (nothing more now), -EBADMSG (a damaged record was skipped: *ret has its seq when
 * known), -errno. */
EA_MUST_CHECK int ea_reader_next(struct ea_reader *r, struct ea_record_view *ret,
                                 struct ea_err *err);
void ea_reader_close(struct ea_reader *r);
/* For a log that nobody writes: looks for records behind damage up to the end of the last segment
 * too. */
void ea_reader_thorough(struct ea_reader *r);
/* Where the last record returned ended: hints for a cursor. */
void ea_reader_place(const struct ea_reader *r, uint64_t *ret_segment, uint64_t *ret_offset);
/* Records from (epoch, seq) to the end of the log, whether they are still there or not. 0, -errno.
 */
EA_MUST_CHECK int ea_evidence_count_from(const char *dir, uint64_t epoch, uint64_t seq,
                                         uint64_t *ret, struct ea_err *err);
/* Blocks until a record beyond those the reader saw was appended, or until timeout_us; the live log
 * only. */
int ea_elog_wait_appended(struct ea_elog *l, uint64_t epoch, uint64_t seq, uint64_t timeout_us);

/* ---- export and verify (offline) ---- */

/* Writes one folder per epoch into out: log.ndjson, checkpoint, key.pem (leaves.hex). 0, -errno. */
EA_MUST_CHECK int ea_evidence_export(const char *dir, const char *out, struct ea_err *err);

struct ea_verify_report {
    uint64_t epochs, records, signed_records, unsigned_tail, absent;
    bool holds;
    char where[512]; /* first breach: file, epoch, seq, byte offset, what */
};
/* path: an export folder, one epoch's folder in it, or a log's own folder. One line per epoch and
 * finding goes to `say` (may be NULL). 0 = read (see holds), -ENOENT/-EINVAL/-errno = unreadable.
 */
EA_MUST_CHECK int ea_evidence_verify(const char *path, struct ea_verify_report *ret,
                                     void (*say)(void *arg, const char *line), void *arg,
                                     struct ea_err *err);

#endif
