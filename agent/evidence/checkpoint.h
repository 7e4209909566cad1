/* evidence/checkpoint.h - checkpoints as C2SP signed notes.
 *
 * Thread:  [any].
 * Limits:  EA_MAX_CHECKPOINT a note.
 * Source:  C2SP tlog-checkpoint and signed-note; docs/EVIDENCE.md.
 */
#ifndef EA_EVIDENCE_CHECKPOINT_H
#define EA_EVIDENCE_CHECKPOINT_H

#include "base/buf.h"
#include "crypto/crypto.h"

/* First four bytes of SHA-256 over name, LF, 0x01 and the raw key (Ed25519), or over the
 * SubjectPublicKeyInfo (ECDSA). */
EA_MUST_CHECK int ea_checkpoint_keyid(const struct ea_key *k, struct ea_str name, uint8_t out[4],
                                      struct ea_err *err);
/* Appends the whole note: three lines, an empty one, the signature line. The key's name is the
 * origin. */
EA_MUST_CHECK int ea_checkpoint_sign(struct ea_buf *b, const struct ea_key *k, struct ea_str origin,
                                     uint64_t size, const uint8_t root[EA_SHA256_LEN],
                                     struct ea_err *err);

struct ea_checkpoint {
    struct ea_str origin, text; /* text: what is signed; slices of the note */
    struct ea_str signatures;   /* the signature lines */
    uint64_t size;
    uint8_t root[EA_SHA256_LEN];
};
/* Strict: one spelling for every content. Signatures are checked for form only. 0, -EINVAL. */
EA_MUST_CHECK int ea_checkpoint_parse(struct ea_str note, struct ea_checkpoint *ret,
                                      struct ea_err *err);
/* 0 when a line of this key verifies and none of this key fails; -EBADMSG (fails), -ENOKEY (no line
 * of this key). Unknown keys (cosignatures) are passed over. */
EA_MUST_CHECK int ea_checkpoint_verify(const struct ea_checkpoint *c, const struct ea_key *k,
                                       struct ea_err *err);

#endif
