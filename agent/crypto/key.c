/* crypto/key.c - Ed25519 and ECDSA P-256 keys, PEM and DER, signatures. */
#include "crypto/crypto.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/internal.h"

struct ea_key {
    EVP_PKEY *pkey;
    enum ea_key_type type;
};

int ea_openssl_fail(struct ea_err *err, int code, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return ea_fail(err, code, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

/* Takes pkey. */
static int wrap_key(EVP_PKEY *pkey, struct ea_key **ret, struct ea_err *err)
{
    enum ea_key_type t = EA_KEY_ED25519;
    char group[32] = "";
    size_t n = 0;
    struct ea_key *k;

    if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC) {
        t = EA_KEY_ECDSA_P256;
        if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), &n) != 1 ||
            (strcmp(group, "prime256v1") != 0 && strcmp(group, "P-256") != 0)) {
            EVP_PKEY_free(pkey);
            return ea_fail(err, -EINVAL, "the key is on curve %s, wanted P-256",
                           group[0] ? group : "unknown");
        }
    } else if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(pkey);
        return ea_fail(err, -EINVAL, "the key is neither Ed25519 nor ECDSA P-256");
    }
    k = ea_xalloc(sizeof(*k));
    k->pkey = pkey;
    k->type = t;
    *ret = k;
    return 0;
}

int ea_key_new(enum ea_key_type t, struct ea_key **ret, struct ea_err *err)
{
    EVP_PKEY *p = t == EA_KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                      : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

    if (!p)
        return ea_openssl_fail(err, -EIO, "making a key");
    return wrap_key(p, ret, err);
}

int ea_key_from_seed(const uint8_t seed[32], struct ea_key **ret, struct ea_err *err)
{
    EVP_PKEY *p = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);

    if (!p)
        return ea_openssl_fail(err, -EINVAL, "reading an Ed25519 seed");
    return wrap_key(p, ret, err);
}

/* A key file with a pass phrase is refused instead of asking on the terminal. */
static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    return -1;
}

int ea_key_from_pem(struct ea_str pem, struct ea_key **ret, struct ea_err *err)
{
    EVP_PKEY *p = NULL;
    BIO *b;

    if (pem.n == 0 || pem.n > EA_MAX_PEM)
        return ea_fail(err, -EINVAL, "a PEM text of %zu bytes is no key", pem.n);
    b = BIO_new_mem_buf(pem.p, (int)pem.n);
    EA_ASSERT(b != NULL);
    p = PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    if (!p) {
        ERR_clear_error();
        BIO_free(b);
        b = BIO_new_mem_buf(pem.p, (int)pem.n);
        EA_ASSERT(b != NULL);
        p = PEM_read_bio_PUBKEY(b, NULL, no_passphrase, NULL);
    }
    BIO_free(b);
    if (!p)
        return ea_openssl_fail(err, -EINVAL, "reading a PEM key");
    return wrap_key(p, ret, err);
}

int ea_bio_to_buf(BIO *bio, struct ea_buf *b)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    return ea_buf_add(b, p, (size_t)n);
}

/* Private key material never stays in freed memory: a secure BIO is cleansed when freed. */
int ea_key_private_pem(const struct ea_key *k, struct ea_buf *b, struct ea_err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    int r = 0;

    EA_ASSERT(bio != NULL);
    if (PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        r = ea_openssl_fail(err, -EINVAL,
                            "writing a private key (does this key have a private part?)");
    else if ((r = ea_bio_to_buf(bio, b)) < 0)
        ea_fail(err, r, "writing a private key: the buffer is too small");
    BIO_free(bio);
    return r;
}

int ea_key_public_pem(const struct ea_key *k, struct ea_buf *b, struct ea_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int r = 0;

    EA_ASSERT(bio != NULL);
    if (PEM_write_bio_PUBKEY(bio, k->pkey) != 1)
        r = ea_openssl_fail(err, -EIO, "writing a public key");
    else if ((r = ea_bio_to_buf(bio, b)) < 0)
        ea_fail(err, r, "writing a public key: the buffer is too small");
    BIO_free(bio);
    return r;
}

int ea_key_public_der(const struct ea_key *k, struct ea_buf *b, struct ea_err *err)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(k->pkey, &der), r;

    if (n <= 0)
        return ea_openssl_fail(err, -EIO, "writing a public key");
    r = ea_buf_add(b, der, (size_t)n);
    OPENSSL_free(der);
    return r < 0 ? ea_fail(err, r, "writing a public key: the buffer is too small") : 0;
}

int ea_key_public_raw(const struct ea_key *k, uint8_t out[32])
{
    size_t n = 32;

    if (k->type != EA_KEY_ED25519 || EVP_PKEY_get_raw_public_key(k->pkey, out, &n) != 1 || n != 32)
        return -EINVAL;
    return 0;
}

enum ea_key_type ea_key_type(const struct ea_key *k)
{
    return k->type;
}

int ea_key_sign(const struct ea_key *k, struct ea_str msg, uint8_t *sig, size_t *ret_n,
                struct ea_err *err)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t n = 80;
    int r = 0;

    EA_ASSERT(c != NULL);
    if (EVP_DigestSignInit_ex(c, NULL, k->type == EA_KEY_ED25519 ? NULL : "SHA256", NULL, NULL,
                              k->pkey, NULL) != 1 ||
        EVP_DigestSign(c, sig, &n, (const uint8_t *)(msg.p ? msg.p : ""), msg.n) != 1)
        r = ea_openssl_fail(err, -EINVAL, "signing");
    else
        *ret_n = n;
    EVP_MD_CTX_free(c);
    return r;
}

int ea_key_verify(const struct ea_key *k, struct ea_str msg, struct ea_str sig, struct ea_err *err)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    int r = 0;

    EA_ASSERT(c != NULL);
    if (EVP_DigestVerifyInit_ex(c, NULL, k->type == EA_KEY_ED25519 ? NULL : "SHA256", NULL, NULL,
                                k->pkey, NULL) != 1)
        r = ea_openssl_fail(err, -EIO, "verifying a signature");
    else if (EVP_DigestVerify(c, (const uint8_t *)(sig.p ? sig.p : ""), sig.n,
                              (const uint8_t *)(msg.p ? msg.p : ""), msg.n) != 1)
        r = ea_openssl_fail(err, -EBADMSG, "the signature does not match");
    EVP_MD_CTX_free(c);
    return r;
}

void ea_key_free(struct ea_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    free(k);
}

EVP_PKEY *ea_key_pkey(const struct ea_key *k)
{
    return k->pkey;
}
