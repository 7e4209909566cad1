/* evidence/verify_int.h - what verifying an export and verifying a log's own folder share.
 *
 * Thread:  [owner].
 */
#ifndef EA_EVIDENCE_VERIFY_INT_H
#define EA_EVIDENCE_VERIFY_INT_H

#include "base/arena.h"
#include "evidence/checkpoint.h"
#include "evidence/log.h"
#include "evidence/store.h"

struct ea_verify {
    struct ea_verify_report *rep;
    void (*say)(void *arg, const char *line);
    void *arg;
    struct ea_arena arena; /* one body at a time */
    /* the epoch before, for the link */
    bool have_previous;
    uint64_t prev_total;
    char prev_origin[320];
    uint8_t prev_root[EA_SHA256_LEN];
};

/* One epoch, record by record. */
struct ea_epoch_check {
    struct ea_verify *v;
    char label[64]; /* "epoch 3" */
    char origin[320];
    struct ea_tree tree;
    uint8_t prev[EA_SHA256_LEN];
    uint64_t next;    /* seq of the next record */
    uint64_t absent;  /* leaves without their record */
    uint64_t present; /* records read */
    /* the checkpoint, read before the records, so that a growing log is never shorter than it */
    bool have_cp;
    struct ea_checkpoint cp;
    char *cp_text;
    size_t cp_n;
    bool root_seen; /* the tree passed through cp.size */
    uint8_t root_at_cp[EA_SHA256_LEN];
    uint64_t published; /* largest size in a checkpoint.published record */
    bool have_key_hash;
    char key_hash[65];
    bool closed; /* the last record is log.closed */
};

/* A note for the reader. */
void ea_verify_say(struct ea_verify *v, const char *fmt, ...) EA_PRINTF(2, 3);
/* A breach: `holds` becomes false, the first one is kept in `where`. */
void ea_verify_breach(struct ea_verify *v, const char *fmt, ...) EA_PRINTF(2, 3);

/* origin may be empty: then the first record or the checkpoint tells it. */
void ea_epoch_check_init(struct ea_epoch_check *c, struct ea_verify *v, const char *origin);
void ea_epoch_check_done(struct ea_epoch_check *c);
/* Reads and parses the checkpoint file; a missing one is a note later. */
int ea_epoch_check_note(struct ea_epoch_check *c, const char *path, struct ea_err *err);
/* A leaf whose record is not there. */
void ea_epoch_check_leaf(struct ea_epoch_check *c, const uint8_t leaf[EA_SHA256_LEN]);
/* place: "seg-….ev at byte 128", for messages. ret may be NULL. */
void ea_epoch_check_record(struct ea_epoch_check *c, struct ea_str record, const char *place,
                           struct ea_record_parts *ret);
/* Signature, root, key, summary line; makes this epoch the previous one. */
void ea_epoch_check_end(struct ea_epoch_check *c, const char *checkpoint_path,
                        const char *key_path);

/* A log's own folder. */
int ea_verify_log(struct ea_verify *v, const char *dir, struct ea_err *err);

#endif
