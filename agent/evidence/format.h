/* evidence/format.h - the bytes of the log on disk: pure functions between structures and bytes,
 * all little-endian.
 *
 * Thread:  [any].
 * Never:   reads or writes a file.
 * Source:  docs/EVIDENCE.md, "Files".
 */
#ifndef EA_EVIDENCE_FORMAT_H
#define EA_EVIDENCE_FORMAT_H

#include "base/limits.h"
#include "evidence/tree.h"

#define EA_SEG_HEADER 128u /* bytes of a segment's header */
#define EA_REC_HEADER 40u  /* bytes of a record's header */
#define EA_FOOTER                                                                                  \
    4096u /* bytes of a sealed segment's footer, and kept free at the end of an open one */
#define EA_FORMAT_VERSION 1u

#define EA_SEG_REWRITE                                                                             \
    1u /* header flag: repeats unsynced records of an abandoned segment; the higher number wins */

struct ea_seg_header {
    uint8_t uuid[16];
    uint64_t epoch, first_seq, created_ms;
    uint32_t flags;
    uint8_t prev_leaf[EA_SHA256_LEN];
};
void ea_seg_header_put(uint8_t out[EA_SEG_HEADER], const struct ea_seg_header *h);
/* 0, -ENODATA (all zeros), -EBADMSG (damaged), -ENOTSUP (whole, but of a newer version). */
EA_MUST_CHECK int ea_seg_header_get(const uint8_t in[EA_SEG_HEADER], struct ea_seg_header *ret);

struct ea_rec_header {
    uint32_t len; /* of the payload, without the pad */
    uint64_t seq, time_ms;
    uint16_t type;
    uint32_t payload_crc;
};
/* What binds a record to its segment: CRC-32C of uuid, epoch and first_seq. */
uint32_t ea_rec_seed(const uint8_t uuid[16], uint64_t epoch, uint64_t first_seq);
void ea_rec_header_put(uint8_t out[EA_REC_HEADER], uint32_t seed, const struct ea_rec_header *h);
/* 0 or -EBADMSG. */
EA_MUST_CHECK int ea_rec_header_get(const uint8_t in[EA_REC_HEADER], uint32_t seed,
                                    struct ea_rec_header *ret);
/* Binds a record that is whole to another segment; returns its payload's length. */
uint32_t ea_rec_header_rebind(uint8_t h[EA_REC_HEADER], uint32_t seed);
/* Bytes of header, payload and pad. */
static inline uint64_t ea_rec_size(uint64_t len)
{
    return (EA_REC_HEADER + len + 7) & ~7ull;
}

struct ea_footer {
    uint64_t count, last_seq, end; /* end: offset behind the last record */
    uint8_t last_leaf[EA_SHA256_LEN];
    struct ea_tree tree; /* of the epoch, with the last record */
};
void ea_footer_put(uint8_t out[EA_FOOTER], const struct ea_footer *f);
/* 0, -ENODATA (no footer's magic), -EBADMSG. */
EA_MUST_CHECK int ea_footer_get(const uint8_t in[EA_FOOTER], struct ea_footer *ret);

/* Files of two slots at 0 and EA_SLOT_STEP; the valid slot of the higher generation counts. */
#define EA_SLOT_STEP 4096u
#define EA_STATE_SLOT 512u
#define EA_CURSOR_SLOT 128u

struct ea_state {
    uint64_t generation;
    uint8_t uuid[16];
    uint64_t epoch, first_live, next_segment;
    uint8_t boot_id[16];
    uint32_t clean;
};
void ea_state_put(uint8_t out[EA_STATE_SLOT], const struct ea_state *s);
EA_MUST_CHECK int ea_state_get(const uint8_t in[EA_STATE_SLOT], struct ea_state *ret);

struct ea_cursor {
    uint64_t generation;
    uint8_t uuid[16];
    uint64_t epoch, seq_next, segment, offset, acked, dead, lost, filtered;
};
void ea_cursor_put(uint8_t out[EA_CURSOR_SLOT], const struct ea_cursor *c);
EA_MUST_CHECK int ea_cursor_get(const uint8_t in[EA_CURSOR_SLOT], struct ea_cursor *ret);

/* ---- walking the records of one segment held in memory ---- */

enum ea_scan_what {
    EA_SCAN_RECORD,  /* whole; payload is set */
    EA_SCAN_DAMAGED, /* header good, payload not: skipped by its length */
    EA_SCAN_GAP,     /* bytes that are no record, and a valid one behind them */
    EA_SCAN_TORN,    /* bytes that are no record, and none behind them; the walk is over */
    EA_SCAN_END,     /* zeros to the limit; the walk is over */
};
struct ea_scan {
    const uint8_t *p;
    uint64_t limit;  /* records lie below it */
    uint64_t off;    /* of the next record; starts at EA_SEG_HEADER */
    uint64_t expect; /* seq of the next record */
    uint32_t seed;
};
struct ea_scan_item {
    uint64_t off, size;     /* bytes of the item, pad included */
    struct ea_rec_header h; /* RECORD, DAMAGED */
    struct ea_str payload;  /* RECORD */
    uint64_t lost;          /* seqs missing: DAMAGED 1, GAP any number */
    bool dirty_pad;         /* RECORD with something but zeros in its pad */
};
void ea_scan_init(struct ea_scan *s, const uint8_t *p, uint64_t limit,
                  const struct ea_seg_header *h);
/* Always advances; linear in the segment's size over a whole walk. */
enum ea_scan_what ea_scan_next(struct ea_scan *s, struct ea_scan_item *ret);
/* Index of the first byte that is not zero, or n. */
uint64_t ea_first_nonzero(const uint8_t *p, uint64_t n);
/* Index behind the last byte that is not zero, or 0. */
uint64_t ea_last_nonzero(const uint8_t *p, uint64_t n);

#endif
