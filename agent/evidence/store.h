/* evidence/store.h - the files of a log's folder, below the level of records being appended.
 *
 * Thread:  [any] for reading; writers are the log's owner alone.
 * Owns:    nothing between calls.
 * Limits:  EA_MAX_SEGMENT a segment file that is read.
 * Never:   deletes or changes a file unless the function's name says so.
 * Source:  docs/EVIDENCE.md, "Files".
 */
#ifndef EA_EVIDENCE_STORE_H
#define EA_EVIDENCE_STORE_H

#include "evidence/format.h"

#define EA_PATH 4096

/* dir "/" fmt…; -ENAMETOOLONG. */
EA_MUST_CHECK int ea_path(char out[EA_PATH], const char *dir, const char *fmt, ...) EA_PRINTF(3, 4);

/* System calls that can fail for lack of space or a broken disk; tests put failing ones here. */
struct ea_evidence_io {
    int (*pwrite_all)(int fd, const void *p, size_t n, uint64_t off); /* 0 or -errno */
    int (*sync)(int fd);                                              /* fdatasync: 0 or -errno */
    int (*allocate)(int fd, uint64_t n); /* posix_fallocate from 0: 0 or -errno */
    int (*space)(const char *dir, uint64_t *ret_free, uint64_t *ret_total); /* bytes; 0 or -errno */
};
extern struct ea_evidence_io ea_evidence_io;

/* Overwrites a range with zeros, past the hooks above: it mends, it does not record. 0 or -errno.
 */
EA_MUST_CHECK int ea_zero_range(int fd, uint64_t off, uint64_t n);
/* Memory whose size comes from a file: NULL when there is none. Freed with free. */
void *ea_try_alloc(size_t n);

/* ---- segments ---- */

struct ea_seg_entry {
    uint64_t number;
    uint64_t size; /* of the file */
    uint64_t disk; /* bytes that it occupies */
    int header;    /* result of ea_seg_header_get */
    bool usable;   /* h is right: header whole, or rebuilt from its first record */
    struct ea_seg_header h;
};
struct ea_seg_list {
    struct ea_seg_entry *v; /* by number */
    size_t n;
    size_t foreign; /* files named like segments whose content is no log of ours */
};
/* hint: the state, or NULL; used to rebuild a damaged header. A missing folder is an empty list. */
EA_MUST_CHECK int ea_seg_list_load(const char *dir, const struct ea_state *hint,
                                   struct ea_seg_list *ret, struct ea_err *err);
void ea_seg_list_done(struct ea_seg_list *l);
EA_MUST_CHECK int ea_seg_path(char out[EA_PATH], const char *dir, uint64_t number);

/* One segment in memory. */
struct ea_seg_image {
    uint8_t *p; /* freed by ea_seg_image_done */
    uint64_t n;
    uint64_t limit; /* records lie below it */
    int footer;     /* result of ea_footer_get; -ENODATA when there is none */
    struct ea_footer f;
};
EA_MUST_CHECK int ea_seg_image_load(const char *dir, uint64_t number, struct ea_seg_image *ret,
                                    struct ea_err *err);
void ea_seg_image_done(struct ea_seg_image *i);
/* Only the footer: 0, -ENODATA, -EBADMSG, -errno. */
EA_MUST_CHECK int ea_seg_footer_load(const char *dir, const struct ea_seg_entry *e,
                                     struct ea_footer *ret);

/* Seq behind the last record found by walking; first_seq when there is none or the file cannot be
 * read. */
uint64_t ea_seg_scan_end(const char *dir, const struct ea_seg_entry *e);

/* ---- state and cursors: two slots ---- */

struct ea_slots_found {
    unsigned broken; /* bit 0 and 1: that slot is damaged; bit 2: bytes between the slots */
};
/* 0, -ENOENT (no file, or an empty one), -EBADMSG (no slot is whole), -errno. */
EA_MUST_CHECK int ea_state_load(const char *dir, struct ea_state *ret,
                                struct ea_slots_found *found);
/* Raises the generation, writes the older slot, syncs. */
EA_MUST_CHECK int ea_state_store(const char *dir, struct ea_state *s, struct ea_err *err);
EA_MUST_CHECK int ea_cursor_load(const char *dir, const char *sink, struct ea_cursor *ret,
                                 struct ea_slots_found *found);
EA_MUST_CHECK int ea_cursor_store(const char *dir, const char *sink, struct ea_cursor *c,
                                  struct ea_err *err);
/* Letters, digits, '-', '_' and '.', 1 to 64, not starting with '.'. */
bool ea_sink_name_ok(struct ea_str name);
/* Calls fn for every cursor file; a damaged one with its error and a zero cursor. fn returns < 0 to
 * stop. */
int ea_cursor_each(const char *dir,
                   int (*fn)(void *arg, const char *sink, int result, const struct ea_cursor *c),
                   void *arg);

/* ---- epochs/<n>/ ---- */

/* Ascending; heap, the caller frees. */
EA_MUST_CHECK int ea_epoch_list(const char *dir, uint64_t **ret, size_t *ret_n);
EA_MUST_CHECK int ea_epoch_path(char out[EA_PATH], const char *dir, uint64_t epoch,
                                const char *file);
/* Makes the folder with origin, key.pem and private.pem (0600), synced. */
EA_MUST_CHECK int ea_epoch_create(const char *dir, uint64_t epoch, struct ea_str origin,
                                  const struct ea_key *k, struct ea_err *err);
EA_MUST_CHECK int ea_epoch_key(const char *dir, uint64_t epoch, bool private_key,
                               struct ea_key **ret, struct ea_err *err);
/* Overwrites and unlinks private.pem; a missing one is fine. */
EA_MUST_CHECK int ea_epoch_forget_key(const char *dir, uint64_t epoch, struct ea_err *err);
/* Whole small file of an epoch's folder; heap. -ENOENT when absent. */
EA_MUST_CHECK int ea_epoch_read(const char *dir, uint64_t epoch, const char *file, size_t cap,
                                char **ret, size_t *ret_n, struct ea_err *err);
/* Leaves of freed records, from seq 0 on, 32 bytes each. */
EA_MUST_CHECK int ea_leaves_load(const char *dir, uint64_t epoch, uint8_t (**ret)[EA_SHA256_LEN],
                                 uint64_t *ret_n, struct ea_err *err);
EA_MUST_CHECK int ea_leaves_store(const char *dir, uint64_t epoch, uint64_t first_seq,
                                  const uint8_t (*leaves)[EA_SHA256_LEN], uint64_t n,
                                  struct ea_err *err);
uint64_t ea_leaves_count(const char *dir, uint64_t epoch);

/* Copies bytes that recovery takes out of a segment to quarantine/, synced. */
EA_MUST_CHECK int ea_quarantine(const char *dir, uint64_t segment, uint64_t off, const void *p,
                                size_t n, struct ea_err *err);

#endif
