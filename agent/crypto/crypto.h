/* crypto/crypto.h - digests, signatures, random, certificates: the only room that includes OpenSSL
 * keys and digests.
 *
 * Thread:  contexts are [owner]; functions without a context are [any].
 * Owns:    keys are opaque and freed by their owner with ea_key_free (memory is cleansed).
 * Never:   logs, prints key material, lets a key leave but by ea_key_private_pem.
 * Source:  FIPS 180-4, RFC 2104, RFC 8032, RFC 5280, RFC 2986.
 */
#ifndef EA_CRYPTO_CRYPTO_H
#define EA_CRYPTO_CRYPTO_H

#include "base/base.h"
#include "base/buf.h"

#define EA_SHA256_LEN 32

/* One-shot over up to 4 pieces; fast path without allocation (a per-thread context). */
void ea_sha256(const void *p, size_t n, uint8_t out[EA_SHA256_LEN]);
void ea_sha256v(const struct ea_str *pieces, size_t n, uint8_t out[EA_SHA256_LEN]);
void ea_hmac_sha256(struct ea_str key, struct ea_str msg, uint8_t out[EA_SHA256_LEN]);
/* Aborts when the system has no randomness. */
void ea_random(void *p, size_t n);
/* RFC 9562 version 4, 36 characters and NUL. */
void ea_uuid4(char out[37]);
/* Constant time. */
bool ea_secret_eq(struct ea_str a, struct ea_str b);
void ea_cleanse(void *p, size_t n);

enum ea_key_type { EA_KEY_ED25519, EA_KEY_ECDSA_P256 };
struct ea_key;

EA_MUST_CHECK int ea_key_new(enum ea_key_type t, struct ea_key **ret, struct ea_err *err);
/* Seed of 32 bytes, Ed25519 only (tests, vectors). */
EA_MUST_CHECK int ea_key_from_seed(const uint8_t seed[32], struct ea_key **ret, struct ea_err *err);
/* PEM, private or public. 0, -EINVAL. */
EA_MUST_CHECK int ea_key_from_pem(struct ea_str pem, struct ea_key **ret, struct ea_err *err);
EA_MUST_CHECK int ea_key_private_pem(const struct ea_key *k, struct ea_buf *b, struct ea_err *err);
EA_MUST_CHECK int ea_key_public_pem(const struct ea_key *k, struct ea_buf *b, struct ea_err *err);
/* SubjectPublicKeyInfo, DER. */
EA_MUST_CHECK int ea_key_public_der(const struct ea_key *k, struct ea_buf *b, struct ea_err *err);
/* Ed25519: 32 raw bytes. -EINVAL for other types. */
EA_MUST_CHECK int ea_key_public_raw(const struct ea_key *k, uint8_t out[32]);
enum ea_key_type ea_key_type(const struct ea_key *k);
/* Ed25519 over msg; ECDSA: DER signature over SHA-256 of msg. sig >= 80 bytes. */
EA_MUST_CHECK int ea_key_sign(const struct ea_key *k, struct ea_str msg, uint8_t *sig,
                              size_t *ret_n, struct ea_err *err);
/* 0 good, -EBADMSG bad, other errors. */
EA_MUST_CHECK int ea_key_verify(const struct ea_key *k, struct ea_str msg, struct ea_str sig,
                                struct ea_err *err);
void ea_key_free(struct ea_key *k);

/* ---- certificates ---- */

struct ea_cert_req {
    const char *common_name;
    const char *const *dns; /* NULL-terminated subject alternative names, may be NULL */
    const char *const *ips; /* textual addresses, may be NULL */
    unsigned days;
    bool ca;
    bool client; /* extended key usage clientAuth instead of serverAuth */
};
/* Makes an ECDSA P-256 key and certificate, signed by issuer (PEM certificate and key) or by
 * itself. PEM into the buffers. */
EA_MUST_CHECK int ea_cert_make(const struct ea_cert_req *req, struct ea_str issuer_cert_pem,
                               struct ea_str issuer_key_pem, struct ea_buf *cert_pem,
                               struct ea_buf *key_pem, struct ea_err *err);

struct ea_cert_info {
    char subject[256], issuer[256];
    int64_t not_before, not_after; /* Unix seconds */
    char key_type[16];             /* "RSA" "EC" "ED25519" … */
    unsigned key_bits;
    bool is_ca, self_signed;
};
/* First certificate of a PEM text. 0, -EINVAL. */
EA_MUST_CHECK int ea_cert_info(struct ea_str pem, struct ea_cert_info *ret, struct ea_err *err);

#endif
