/* crypto/cert.c - making certificates and reading what controls and the cluster room want to know
 * of one. */
#include "crypto/crypto.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/internal.h"

static int no_passphrase(char *buf, int size, int rw, void *arg)
{
    return -1;
}

static X509 *read_cert(struct ea_str pem)
{
    BIO *b;
    X509 *x;

    if (pem.n == 0 || pem.n > EA_MAX_PEM)
        return NULL;
    b = BIO_new_mem_buf(pem.p, (int)pem.n);
    EA_ASSERT(b != NULL);
    x = PEM_read_bio_X509(b, NULL, no_passphrase, NULL);
    BIO_free(b);
    return x;
}

static bool set_serial(X509 *x)
{
    uint8_t raw[16];
    BIGNUM *n;
    bool ok;

    ea_random(raw, sizeof(raw));
    raw[0] &= 0x7f; /* RFC 5280 4.1.2.2: positive */
    raw[0] |= 0x40; /* and never zero */
    n = BN_bin2bn(raw, sizeof(raw), NULL);
    ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return ok;
}

static bool set_name(X509 *x, const char *cn)
{
    X509_NAME *n = X509_NAME_new();
    bool ok =
        n &&
        X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0) == 1 &&
        X509_set_subject_name(x, n) == 1;

    X509_NAME_free(n);
    return ok;
}

static bool add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;
    bool ok;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

/* Names go in as structures, not as configuration text, so that no character of a name can become
 * syntax. */
static bool push_name(GENERAL_NAMES *names, int type, const void *p, size_t n)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = type == GEN_DNS ? (ASN1_STRING *)ASN1_IA5STRING_new()
                                     : (ASN1_STRING *)ASN1_OCTET_STRING_new();

    if (!g || !s || ASN1_STRING_set(s, p, (int)n) != 1) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(g, type, s);
    if (sk_GENERAL_NAME_push(names, g) <= 0) {
        GENERAL_NAME_free(g);
        return false;
    }
    return true;
}

static int add_names(X509 *x, const struct ea_cert_req *req, struct ea_err *err)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;
    int r = 0;

    for (const char *const *d = req->dns; ok && d && *d; d++)
        ok = push_name(names, GEN_DNS, *d, strlen(*d));
    for (const char *const *i = req->ips; ok && i && *i; i++) {
        uint8_t raw[16];
        size_t n = inet_pton(AF_INET, *i, raw) == 1    ? 4
                   : inet_pton(AF_INET6, *i, raw) == 1 ? 16
                                                       : 0;

        if (n == 0) {
            r = ea_fail(err, -EINVAL, "'%s' is no IP address", *i);
            break;
        }
        ok = push_name(names, GEN_IPADD, raw, n);
    }
    if (r == 0 && ok && sk_GENERAL_NAME_num(names) > 0)
        ok = X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    if (r == 0 && !ok)
        r = ea_openssl_fail(err, -EINVAL, "adding subject alternative names");
    return r;
}

static bool add_extensions(X509 *x, X509 *signer, const struct ea_cert_req *req)
{
    const char *usage =
        req->ca ? "critical,keyCertSign,cRLSign,digitalSignature" : "critical,digitalSignature";

    return add_ext(x, signer, NID_basic_constraints,
                   req->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           add_ext(x, signer, NID_key_usage, usage) &&
           (req->ca ||
            add_ext(x, signer, NID_ext_key_usage, req->client ? "clientAuth" : "serverAuth")) &&
           add_ext(x, signer, NID_subject_key_identifier, "hash") &&
           add_ext(x, signer, NID_authority_key_identifier, "keyid:always");
}

static int fill_cert(X509 *x, X509 *issuer, EVP_PKEY *pub, const struct ea_cert_req *req,
                     struct ea_err *err)
{
    X509 *signer = issuer ? issuer : x;

    /* Back-dated by five minutes: the API server's clock may be behind ours. */
    if (X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x) ||
        !set_name(x, req->common_name) ||
        X509_set_issuer_name(x, X509_get_subject_name(signer)) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(x), -300) ||
        !X509_time_adj_ex(X509_getm_notAfter(x), (int)req->days, 0, NULL) ||
        X509_set_pubkey(x, pub) != 1)
        return ea_openssl_fail(err, -EINVAL, "making a certificate");
    if (!add_extensions(x, signer, req))
        return ea_openssl_fail(err, -EINVAL, "adding certificate extensions");
    return add_names(x, req, err);
}

static int cert_pem(X509 *x, struct ea_buf *b, struct ea_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int r = 0;

    EA_ASSERT(bio != NULL);
    if (PEM_write_bio_X509(bio, x) != 1)
        r = ea_openssl_fail(err, -EIO, "writing a certificate");
    else if ((r = ea_bio_to_buf(bio, b)) < 0)
        ea_fail(err, r, "writing a certificate: the buffer is too small");
    BIO_free(bio);
    return r;
}

static int read_issuer(struct ea_str cert_pem, struct ea_str key_pem, X509 **ret_cert,
                       struct ea_key **ret_key, struct ea_err *err)
{
    int r;

    if (cert_pem.n == 0)
        return 0;
    *ret_cert = read_cert(cert_pem);
    if (!*ret_cert)
        return ea_openssl_fail(err, -EINVAL, "reading the issuer's certificate");
    r = ea_key_from_pem(key_pem, ret_key, err);
    if (r == 0 && X509_check_private_key(*ret_cert, ea_key_pkey(*ret_key)) != 1)
        r = ea_openssl_fail(err, -EINVAL, "the issuer's key does not belong to its certificate");
    return r;
}

static int make_signed(X509 *x, X509 *issuer, const struct ea_key *signer, const struct ea_key *key,
                       const struct ea_cert_req *req, struct ea_err *err)
{
    int r = fill_cert(x, issuer, ea_key_pkey(key), req, err);

    if (r == 0 && X509_sign(x, ea_key_pkey(signer),
                            ea_key_type(signer) == EA_KEY_ED25519 ? NULL : EVP_sha256()) <= 0)
        r = ea_openssl_fail(err, -EIO, "signing a certificate");
    return r;
}

int ea_cert_make(const struct ea_cert_req *req, struct ea_str issuer_cert_pem,
                 struct ea_str issuer_key_pem, struct ea_buf *cert, struct ea_buf *key_pem,
                 struct ea_err *err)
{
    struct ea_key *key = NULL, *issuer_key = NULL;
    X509 *x, *issuer = NULL;
    int r;

    if (!req->common_name || !*req->common_name || strlen(req->common_name) > 64 ||
        req->days == 0 || req->days > 36500)
        return ea_fail(err, -EINVAL,
                       "a certificate needs a common name of 1 to 64 bytes and 1 to 36500 days");
    if ((r = ea_key_new(EA_KEY_ECDSA_P256, &key, err)) < 0)
        return r;
    x = X509_new();
    EA_ASSERT(x != NULL);
    r = read_issuer(issuer_cert_pem, issuer_key_pem, &issuer, &issuer_key, err);
    if (r == 0)
        r = make_signed(x, issuer, issuer_key ? issuer_key : key, key, req, err);
    if (r == 0)
        r = cert_pem(x, cert, err);
    if (r == 0)
        r = ea_key_private_pem(key, key_pem, err);
    X509_free(x);
    X509_free(issuer);
    ea_key_free(issuer_key);
    ea_key_free(key);
    return r;
}

static void name_text(const X509_NAME *n, char *out, size_t cap)
{
    BIO *b = BIO_new(BIO_s_mem());
    int got;

    EA_ASSERT(b != NULL);
    X509_NAME_print_ex(b, n, 0, XN_FLAG_RFC2253);
    got = BIO_read(b, out, (int)cap - 1);
    out[got > 0 ? got : 0] = '\0';
    BIO_free(b);
}

static int64_t unix_time(const ASN1_TIME *t)
{
    struct tm tm;

    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

int ea_cert_info(struct ea_str pem, struct ea_cert_info *ret, struct ea_err *err)
{
    X509 *x = read_cert(pem);
    EVP_PKEY *pk;
    const char *type;

    if (!x)
        return ea_openssl_fail(err, -EINVAL, "reading a certificate");
    *ret = (struct ea_cert_info){0};
    name_text(X509_get_subject_name(x), ret->subject, sizeof(ret->subject));
    name_text(X509_get_issuer_name(x), ret->issuer, sizeof(ret->issuer));
    ret->not_before = unix_time(X509_get0_notBefore(x));
    ret->not_after = unix_time(X509_get0_notAfter(x));
    ret->is_ca = X509_check_ca(x) > 0;
    ret->self_signed = X509_self_signed(x, 0) == 1;
    pk = X509_get0_pubkey(x);
    type = pk ? EVP_PKEY_get0_type_name(pk) : NULL;
    snprintf(ret->key_type, sizeof(ret->key_type), "%s", type ? type : "unknown");
    if (pk && EVP_PKEY_get_bits(pk) > 0)
        ret->key_bits = (unsigned)EVP_PKEY_get_bits(pk);
    ERR_clear_error();
    X509_free(x);
    return 0;
}
