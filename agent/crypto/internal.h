/* crypto/internal.h - shared by the files of this room alone.
 *
 * Thread:  [any].
 */
#ifndef EA_CRYPTO_INTERNAL_H
#define EA_CRYPTO_INTERNAL_H

#include <openssl/bio.h>
#include <openssl/evp.h>

#include "base/limits.h"
#include "crypto/crypto.h"

/* "<what>: <OpenSSL's reason>"; empties OpenSSL's error queue; returns code. */
int ea_openssl_fail(struct ea_err *err, int code, const char *what);
int ea_bio_to_buf(BIO *bio, struct ea_buf *b);
/* Borrowed. */
EVP_PKEY *ea_key_pkey(const struct ea_key *k);

#endif
