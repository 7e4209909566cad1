/* evidence/record.h - what a record is and its canonical bytes.
 *
 * Thread:  [any]; pure functions.
 * Source:  docs/EVIDENCE.md (record types and bodies), RFC 8785, RFC 6962 2.1.
 */
#ifndef EA_EVIDENCE_RECORD_H
#define EA_EVIDENCE_RECORD_H

#include "base/buf.h"
#include "crypto/crypto.h"

/* Type numbers are stored on disk and never reused; names and bodies: docs/EVIDENCE.md. */
#define EA_RECORD_TYPES(X)                                                                         \
    X(1, LOG_OPENED, "log.opened")                                                                 \
    X(2, LOG_REOPENED, "log.reopened")                                                             \
    X(3, LOG_CLOSED, "log.closed")                                                                 \
    X(4, HEARTBEAT, "heartbeat")                                                                   \
    X(5, CHECKPOINT_PUBLISHED, "checkpoint.published")                                             \
    X(6, RULESET_CHANGED, "ruleset.changed")                                                       \
    X(7, ADMISSION_DECISION, "admission.decision")                                                 \
    X(8, ASSESSMENT, "assessment")                                                                 \
    X(9, TAKEOVER, "takeover")                                                                     \
    X(10, EXEMPTION_USED, "exemption.used")                                                        \
    X(11, EXEMPTION_EXPIRED, "exemption.expired")                                                  \
    X(12, GAP_OPENED, "gap.opened")                                                                \
    X(13, GAP_CLOSED, "gap.closed")                                                                \
    X(14, DELIVERY_REJECTED, "delivery.rejected")                                                  \
    X(15, EVIDENCE_LOSS, "evidence.loss")                                                          \
    X(16, CLOCK_STEP, "clock.step")                                                                \
    X(17, OBJECT_GONE, "object.gone")                                                              \
    X(18, RECORDS_SUPPRESSED, "records.suppressed")                                                \
    X(19, LOG_IO_ERROR, "log.io_error")                                                            \
    X(20, CLUSTER_CHECKPOINT, "cluster.checkpoint")                                                \
    X(21, WEBHOOK_DRIFT, "webhook.drift")                                                          \
    X(22, CONFIG_CHANGED, "config.changed")                                                        \
    X(23, ADMISSION_UNAUTHENTICATED, "admission.unauthenticated")

enum ea_record_type {
#define X(n, id, name) EA_REC_##id = n,
    EA_RECORD_TYPES(X)
#undef X
};

/* NULL for an unknown number. */
const char *ea_record_type_name(unsigned type);
/* 0 for an unknown name. */
unsigned ea_record_type_number(struct ea_str name);

/* Appends the whole record: {"body":…,"origin":…,"prev":…,"seq":…,"time":…,"type":…,"v":1}. `body`
 * is JCS already (an object). */
int ea_record_render(struct ea_buf *b, const char *type, struct ea_str origin, uint64_t seq,
                     uint64_t time_ms, const uint8_t prev[EA_SHA256_LEN], struct ea_str body);
/* The same into memory of at least ea_record_bound bytes; number of bytes. */
size_t ea_record_put(char *out, struct ea_str type, struct ea_str origin, uint64_t seq,
                     uint64_t time_ms, const uint8_t prev[EA_SHA256_LEN], struct ea_str body);
static inline size_t ea_record_bound(struct ea_str type, struct ea_str origin, struct ea_str body)
{
    return 192 + type.n + origin.n + body.n;
}
/* Takes a record's envelope apart; slices of `record`. The body is not looked at beyond its first
 * and last byte. 0, -EINVAL (not the canonical envelope of version 1). */
struct ea_record_parts {
    struct ea_str body, origin, type;
    uint64_t seq, time_ms;
    uint8_t prev[EA_SHA256_LEN];
};
EA_MUST_CHECK int ea_record_parse(struct ea_str record, struct ea_record_parts *ret);
/* SHA256(0x00 || record). */
void ea_leaf_hash(struct ea_str record, uint8_t out[EA_SHA256_LEN]);
/* SHA256("eucs-agent/evidence/v1/genesis" LF origin LF). */
void ea_genesis_hash(struct ea_str origin, uint8_t out[EA_SHA256_LEN]);

#endif
