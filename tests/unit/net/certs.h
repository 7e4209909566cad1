/* Certificates for the tests of net/, made by OpenSSL at run time. */
#ifndef TEST_NET_CERTS_H
#define TEST_NET_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

struct test_ca {
    X509 *cert;
    EVP_PKEY *key;
};

static void test_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static struct test_ca test_cert(const char *cn, const struct test_ca *issuer, long serial)
{
    struct test_ca c = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(c.cert);

    X509_set_version(c.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(c.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(c.cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    X509_set_pubkey(c.cert, c.key);
    X509_set_issuer_name(c.cert, X509_get_subject_name(issuer ? issuer->cert : c.cert));
    test_extension(c.cert, issuer ? issuer->cert : c.cert, NID_basic_constraints,
                   issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (issuer)
        test_extension(c.cert, issuer->cert, NID_subject_alt_name,
                       "DNS:localhost,DNS:agent.test,IP:127.0.0.1");
    assert_true(X509_sign(c.cert, issuer ? issuer->key : c.key, EVP_sha256()) > 0);
    return c;
}

static void test_cert_free(struct test_ca *c)
{
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
}

/* Writes DIR/NAME.crt and DIR/NAME.key by rename, as a careful operator does. */
static void test_cert_write(const struct test_ca *c, const char *dir, const char *name)
{
    char path[256], tmp[256];
    FILE *f;

    snprintf(tmp, sizeof(tmp), "%s/tmp", dir);
    snprintf(path, sizeof(path), "%s/%s.crt", dir, name);
    f = fopen(tmp, "w");
    assert_non_null(f);
    assert_true(PEM_write_X509(f, c->cert));
    fclose(f);
    assert_int_equal(rename(tmp, path), 0);
    snprintf(path, sizeof(path), "%s/%s.key", dir, name);
    f = fopen(tmp, "w");
    assert_non_null(f);
    assert_true(PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    assert_int_equal(rename(tmp, path), 0);
}

#endif
