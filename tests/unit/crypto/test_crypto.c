/* Digests against published vectors, keys and signatures against RFC 8032, certificates made and
 * read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/fd.h"
#include "crypto/crypto.h"

#include "fuzz/fuzz_x509.c"

static void assert_hex(const uint8_t *p, size_t n, const char *want)
{
    char hex[129];

    assert_true(n <= 64);
    ea_hex(p, n, hex);
    assert_string_equal(hex, want);
}

static void test_sha256(void **state)
{
    uint8_t h[EA_SHA256_LEN], again[EA_SHA256_LEN];
    struct ea_str pieces[4] = {EA_STR("a"), EA_STR(""), EA_STR("b"), EA_STR("c")};
    static char million[1000000];

    ea_sha256("", 0, h);
    assert_hex(h, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ea_sha256("abc", 3, h);
    assert_hex(h, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ea_sha256v(pieces, 4, again);
    assert_memory_equal(h, again, 32);
    memset(million, 'a', sizeof(million));
    ea_sha256(million, sizeof(million), h);
    assert_hex(h, 32, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_hmac(void **state)
{
    uint8_t h[EA_SHA256_LEN], key[131];

    /* RFC 4231, cases 2 and 6. */
    ea_hmac_sha256(EA_STR("Jefe"), EA_STR("what do ya want for nothing?"), h);
    assert_hex(h, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    ea_hmac_sha256(ea_strn((char *)key, sizeof(key)),
                   EA_STR("Test Using Larger Than Block-Size Key - Hash Key First"), h);
    assert_hex(h, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void *hash_thread(void *arg)
{
    uint8_t h[EA_SHA256_LEN], want[EA_SHA256_LEN];

    ea_sha256(arg, strlen(arg), want);
    for (int i = 0; i < 1000; i++) {
        ea_sha256(arg, strlen(arg), h);
        if (memcmp(h, want, sizeof(h)) != 0)
            return (void *)1;
    }
    return NULL;
}

static void test_threads(void **state)
{
    static char text[4][8] = {"one", "two", "three", "four"};
    pthread_t t[4];
    void *r;

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hash_thread, text[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &r);
        assert_null(r);
    }
}

static void test_random(void **state)
{
    char a[37], b[37];
    uint8_t x[32] = {0}, y[32] = {0};

    ea_uuid4(a);
    ea_uuid4(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    ea_random(x, sizeof(x));
    ea_random(y, sizeof(y));
    assert_memory_not_equal(x, y, sizeof(x));
    assert_true(ea_secret_eq(EA_STR("abc"), EA_STR("abc")));
    assert_false(ea_secret_eq(EA_STR("abc"), EA_STR("abd")));
    assert_false(ea_secret_eq(EA_STR("abc"), EA_STR("ab")));
    assert_true(ea_secret_eq(EA_STR_NULL, EA_STR("")));
    ea_cleanse(x, sizeof(x));
    for (size_t i = 0; i < sizeof(x); i++)
        assert_int_equal(x[i], 0);
}

static void test_ed25519(void **state)
{
    uint8_t seed[32], raw[32], sig[80];
    struct ea_key *k = NULL;
    struct ea_err err;
    size_t n;

    /* RFC 8032 7.1 test 2. */
    assert_int_equal(
        ea_unhex(EA_STR("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"), seed,
                 32, &n),
        0);
    assert_int_equal(ea_key_from_seed(seed, &k, &err), 0);
    assert_int_equal(ea_key_public_raw(k, raw), 0);
    assert_hex(raw, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_int_equal(ea_key_sign(k, EA_STR("r"), sig, &n, &err), 0);
    assert_int_equal(n, 64);
    assert_hex(sig, 64,
               "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458"
               "f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    assert_int_equal(ea_key_verify(k, EA_STR("r"), ea_strn((char *)sig, n), &err), 0);
    assert_int_equal(ea_key_verify(k, EA_STR("s"), ea_strn((char *)sig, n), &err), -EBADMSG);
    sig[5] ^= 1;
    assert_int_equal(ea_key_verify(k, EA_STR("r"), ea_strn((char *)sig, n), &err), -EBADMSG);
    ea_key_free(k);
}

static void round_trip(enum ea_key_type type)
{
    struct ea_key *k = NULL, *priv = NULL, *pub = NULL;
    struct ea_buf a, b;
    struct ea_err err;
    uint8_t sig[80], raw[32];
    size_t n;

    ea_buf_init(&a, 8192);
    ea_buf_init(&b, 8192);
    assert_int_equal(ea_key_new(type, &k, &err), 0);
    assert_int_equal(ea_key_type(k), type);
    assert_int_equal(ea_key_public_raw(k, raw), type == EA_KEY_ED25519 ? 0 : -EINVAL);
    assert_int_equal(ea_key_private_pem(k, &a, &err), 0);
    assert_int_equal(ea_key_public_pem(k, &b, &err), 0);
    assert_int_equal(ea_key_from_pem(ea_buf_str(&a), &priv, &err), 0);
    assert_int_equal(ea_key_from_pem(ea_buf_str(&b), &pub, &err), 0);
    assert_int_equal(ea_key_sign(priv, EA_STR("text"), sig, &n, &err), 0);
    assert_int_equal(ea_key_verify(pub, EA_STR("text"), ea_strn((char *)sig, n), &err), 0);
    /* A public key cannot sign and has no private text. */
    assert_true(ea_key_sign(pub, EA_STR("text"), sig, &n, &err) < 0);
    ea_buf_clear(&a);
    assert_true(ea_key_private_pem(pub, &a, &err) < 0);
    ea_buf_clear(&a);
    ea_buf_clear(&b);
    assert_int_equal(ea_key_public_der(priv, &a, &err), 0);
    assert_int_equal(ea_key_public_der(pub, &b, &err), 0);
    assert_true(ea_str_eq(ea_buf_str(&a), ea_buf_str(&b)));
    ea_buf_done(&a);
    ea_buf_done(&b);
    ea_buf_init(&a, 10);
    assert_int_equal(ea_key_public_pem(pub, &a, &err), -E2BIG);
    ea_buf_done(&a);
    ea_key_free(k);
    ea_key_free(priv);
    ea_key_free(pub);
}

static void test_round_trip(void **state)
{
    round_trip(EA_KEY_ED25519);
    round_trip(EA_KEY_ECDSA_P256);
}

static void test_bad_pem(void **state)
{
    struct ea_key *k = NULL;
    struct ea_cert_info info;
    struct ea_err err;
    struct ea_str bad[] = {EA_STR(""), EA_STR("hello"),
                           EA_STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")};

    for (size_t i = 0; i < EA_COUNT(bad); i++) {
        assert_int_equal(ea_key_from_pem(bad[i], &k, &err), -EINVAL);
        assert_int_equal(ea_cert_info(bad[i], &info, &err), -EINVAL);
    }
}

struct pair {
    struct ea_buf cert, key;
};

static void make(const struct ea_cert_req *req, const struct pair *issuer, struct pair *ret)
{
    struct ea_err err = {0};

    ea_buf_init(&ret->cert, 16384);
    ea_buf_init(&ret->key, 16384);
    if (ea_cert_make(req, issuer ? ea_buf_str(&issuer->cert) : EA_STR_NULL,
                     issuer ? ea_buf_str(&issuer->key) : EA_STR_NULL, &ret->cert, &ret->key,
                     &err) < 0)
        fail_msg("%s", err.text);
}

static void done(struct pair *p)
{
    ea_buf_done(&p->cert);
    ea_buf_done(&p->key);
}

static void test_certificates(void **state)
{
    static const char *const dns[] = {"eucs-agent.eucs-system.svc", "localhost", NULL},
                             *const ips[] = {"127.0.0.1", "::1", NULL},
                             *const bad_ips[] = {"localhost", NULL};
    struct ea_cert_req ca = {.common_name = "test CA", .days = 365, .ca = true},
                       server = {.common_name = "server", .dns = dns, .ips = ips, .days = 30},
                       client = {.common_name = "client", .days = 1, .client = true};
    struct pair a, b, c, d;
    struct ea_cert_info info;
    struct ea_err err;
    char cmd[2048];
    const char *tmp = getenv("TMPDIR");
    char dir[256];

    make(&ca, NULL, &a);
    make(&server, &a, &b);
    make(&client, &a, &c);
    assert_int_equal(ea_cert_info(ea_buf_str(&a.cert), &info, &err), 0);
    assert_string_equal(info.subject, "CN=test CA");
    assert_true(info.is_ca && info.self_signed);
    assert_string_equal(info.key_type, "EC");
    assert_int_equal(info.key_bits, 256);
    assert_true(info.not_before < time(NULL) && info.not_after > time(NULL) + 364 * 86400);
    assert_int_equal(ea_cert_info(ea_buf_str(&b.cert), &info, &err), 0);
    assert_string_equal(info.subject, "CN=server");
    assert_string_equal(info.issuer, "CN=test CA");
    assert_false(info.is_ca || info.self_signed);

    /* A second implementation of the rules agrees: names, purposes, chain. */
    snprintf(dir, sizeof(dir), "%s/ea-crypto-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(cmd, sizeof(cmd), "%s/a.pem", dir);
    assert_int_equal(ea_write_file(cmd, a.cert.p, a.cert.n, 0600, &err), 0);
    snprintf(cmd, sizeof(cmd), "%s/b.pem", dir);
    assert_int_equal(ea_write_file(cmd, b.cert.p, b.cert.n, 0600, &err), 0);
    snprintf(cmd, sizeof(cmd), "%s/c.pem", dir);
    assert_int_equal(ea_write_file(cmd, c.cert.p, c.cert.n, 0600, &err), 0);
    snprintf(cmd, sizeof(cmd),
             "cd %s && V='openssl verify -x509_strict -CAfile a.pem' && $V -purpose sslserver "
             "-verify_hostname localhost b.pem >/dev/null && "
             "$V -purpose sslserver -verify_ip ::1 b.pem >/dev/null && $V -purpose sslclient c.pem "
             ">/dev/null && "
             "! $V -purpose sslserver -verify_hostname other b.pem >/dev/null 2>&1 && ! $V "
             "-purpose sslserver c.pem >/dev/null 2>&1; r=$?; "
             "rm -r %s; exit $r",
             dir, dir);
    assert_int_equal(system(cmd), 0);

    /* Refused: an issuer's key that is not its own, a name that is no address, nonsense. */
    ea_buf_init(&d.cert, 16384);
    ea_buf_init(&d.key, 16384);
    assert_int_equal(
        ea_cert_make(&server, ea_buf_str(&a.cert), ea_buf_str(&b.key), &d.cert, &d.key, &err),
        -EINVAL);
    server.ips = bad_ips;
    assert_int_equal(ea_cert_make(&server, EA_STR_NULL, EA_STR_NULL, &d.cert, &d.key, &err),
                     -EINVAL);
    server.common_name = "";
    assert_int_equal(ea_cert_make(&server, EA_STR_NULL, EA_STR_NULL, &d.cert, &d.key, &err),
                     -EINVAL);
    done(&a);
    done(&b);
    done(&c);
    done(&d);
}

static void test_seeds(void **state)
{
    DIR *d = opendir(EA_TEST_DATA "/fuzz/seeds/x509");
    struct dirent *e;
    int n = 0;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        char path[512], *p = NULL;
        size_t size = 0;

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), EA_TEST_DATA "/fuzz/seeds/x509/%s", e->d_name);
        assert_int_equal(ea_read_file(path, 1u << 20, &p, &size, NULL), 0);
        assert_int_equal(LLVMFuzzerTestOneInput((uint8_t *)p, size), 0);
        free(p);
        n++;
    }
    closedir(d);
    assert_true(n >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),     cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_random),
        cmocka_unit_test(test_ed25519),    cmocka_unit_test(test_bad_pem),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
