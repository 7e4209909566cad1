/* evidence/log_int.h - the open log, shared by log.c, log_sync.c, log_space.c and log_recover.c
 * alone.
 *
 * Thread:  two locks. `m` guards appending: seq, prev, the current segment, the batch being filled;
 * it is held for memory work and one pwrite, never for a sync. `sync_m` serialises syncing, signing
 * and freeing; it is taken before `m`, never inside it.
 */
#ifndef EA_EVIDENCE_LOG_INT_H
#define EA_EVIDENCE_LOG_INT_H

#include <pthread.h>

#include "evidence/log.h"
#include "evidence/store.h"

#define EA_PENDING_SEGMENTS 16 /* full segments waiting for their sync and footer */
#define EA_LOSS_QUEUE                                                                              \
    64 /* loss records waiting for room; further ones are merged into the last                     \
        */
#define EA_UNCOVERED_MAX 100000u
#define EA_RESERVE_BYTES (256u << 10)

struct ea_open_seg {
    uint64_t number, first_seq, size, end;
    int fd; /* -1: none */
    uint32_t seed;
};

/* Records that are written and not yet synced: bytes as on disk (header, payload, pad), and their
 * leaves. */
struct ea_batch {
    char *p;
    size_t n, cap;
    uint8_t (*leaves)[EA_SHA256_LEN];
    size_t count, leaves_cap;
};

struct ea_full_seg {
    struct ea_open_seg seg;
    uint64_t last_seq;
};

struct ea_loss {
    char sink[72];
    uint64_t epoch, first_seq, last_seq, count, bytes, first_time, last_time;
    const char *reason;
};

struct ea_elog {
    pthread_mutex_t m, sync_m;
    pthread_cond_t wake;     /* the thread has something to do */
    pthread_cond_t moved;    /* synced, next segment ready, room in the batch */
    pthread_cond_t appended; /* for ea_elog_wait_appended */

    /* constant while open */
    char *dir;
    int lock_fd;
    char origin[320];
    size_t origin_n;
    char cluster_uid[64], node_uid[64];
    uint64_t epoch, opened_epoch, quarantined;
    struct ea_state state; /* sync_m */
    enum ea_sync sync;
    uint64_t sync_interval_us, heartbeat_us, checkpoint_us, segment_bytes, disk_limit,
        keep_free_percent;
    bool block_when_full, volatile_fs;
    struct ea_key *key;
    uint64_t key_prefix;
    pthread_t thread;
    bool thread_runs;

    /* m */
    struct ea_open_seg cur;
    struct ea_full_seg full[EA_PENDING_SEGMENTS];
    unsigned n_full;
    int next_fd; /* prepared file, still called next.tmp; -1: none */
    uint64_t next_size, next_number;
    int next_err; /* why there is none */
    bool want_next;
    uint64_t want_size; /* of a record that needs a larger segment, 0 = ordinary */
    uint64_t next_seq;
    uint8_t prev[EA_SHA256_LEN];
    struct ea_batch fill;
    size_t flight_bytes; /* of the batch that is being synced */
    bool dirty, urgent, folder_dirty, stop, closed;
    bool broken; /* unsynced records wait in memory for a disk that takes them */
    bool write_failed;
    unsigned appended_waiters;
    uint64_t appended_n, lost, sync_errors, syncs, evicted;
    uint64_t others;     /* records other than checkpoint.published */
    uint64_t synced_seq; /* records below it are synced */
    uint64_t checkpoint_size;
    uint64_t others_covered; /* by the last checkpoint */
    uint64_t live_bytes;     /* of segments and leaves, as of the last count */

    /* sync_m */
    struct ea_batch flight; /* being synced; kept while `broken` */
    struct ea_tree tree;    /* of the synced records */
    uint64_t others_synced;
    uint8_t synced_leaf[EA_SHA256_LEN];
    struct ea_open_seg synced_seg; /* number and end of what is synced; fd unused */
    struct ea_full_seg stuck[EA_PENDING_SEGMENTS * 2]; /* segments whose sync failed, fds closed */
    unsigned n_stuck;
    char note[1024]; /* last checkpoint, until its record is appended */
    uint64_t note_size;
    uint8_t note_root[EA_SHA256_LEN];
    bool note_due;

    /* sync_m */
    struct ea_loss losses[EA_LOSS_QUEUE];
    unsigned n_losses;
    uint64_t io_error_first, io_error_last;
    int io_error_code;
    bool io_error_due;
};

/* ---- log.c ---- */
int ea_elog_lock(struct ea_elog *l, ea_mono_us deadline);
/* Appends without waiting for anything: -EAGAIN when there is no room right now. For the log's own
 * records. */
int ea_elog_append_own(struct ea_elog *l, enum ea_record_type type, struct ea_str body);
/* A segment is made under another name, with its header, and appears whole and synced when it is
 * published. On failure the fd is closed. For opening, and after a broken sync. */
int ea_elog_segment_make(struct ea_elog *l, uint64_t number, uint64_t size, uint64_t first_seq,
                         const uint8_t prev[EA_SHA256_LEN], uint32_t flags, struct ea_open_seg *ret,
                         struct ea_err *err);
int ea_elog_segment_publish(struct ea_elog *l, struct ea_open_seg *seg, struct ea_err *err);
void ea_batch_done(struct ea_batch *b);
int ea_elog_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, ea_mono_us until);

/* ---- log_sync.c ---- */
/* Syncs what is appended; advances the tree; seals full segments. sync_m is held. */
int ea_elog_sync_held(struct ea_elog *l, struct ea_err *err);
/* Signs and writes a checkpoint over what is synced. sync_m is held. 1 = written, 0 = nothing new.
 */
int ea_elog_checkpoint_held(struct ea_elog *l, struct ea_err *err);
void *ea_elog_thread(void *arg);
/* The log's own records that waited for room: log.io_error, evidence.loss, checkpoint.published.
 * sync_m is held. */
void ea_elog_append_waiting(struct ea_elog *l);
/* Writes the footer of a segment whose records are all in `tree`, syncs. */
int ea_elog_seal(struct ea_elog *l, int fd, const struct ea_open_seg *s, const struct ea_tree *tree,
                 const uint8_t leaf[EA_SHA256_LEN], bool shrink);

/* ---- log_space.c ---- */
/* Prepares the next segment, freeing old ones when needed. sync_m is held. */
int ea_elog_prepare_next(struct ea_elog *l);
void ea_elog_count_bytes(struct ea_elog *l);
/* Renders and appends what waits in the loss queue. */
void ea_elog_append_losses(struct ea_elog *l);
void ea_elog_note_loss(struct ea_elog *l, const struct ea_loss *loss);

/* ---- log_recover.c ---- */
struct ea_recovered {
    bool fresh;         /* no log was here */
    bool clean;         /* the last owner closed it */
    const char *reason; /* why a new epoch begins, NULL = continue */
    uint64_t cut_bytes; /* taken to quarantine */
    uint64_t lost;      /* seqs missing inside */
    uint64_t lost_first, lost_last;
    uint64_t prev_epoch; /* last epoch with records, 0 = none */
    char prev_origin[320];
    uint64_t prev_size;
    uint8_t prev_root[EA_SHA256_LEN];
};
/* Finds out what the folder holds, mends its tail, sets epoch, seq, prev, tree and the current
 * segment. */
int ea_elog_recover(struct ea_elog *l, const struct ea_elog_opts *o, struct ea_recovered *ret,
                    struct ea_err *err);

#endif
