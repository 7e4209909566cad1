/* crypto/sha.c - SHA-256, HMAC, random, constant-time comparison. */
#include "crypto/crypto.h"

#include <pthread.h>
#include <stdio.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t ctx_key;
static EVP_MD *sha256_md;
static __thread EVP_MD_CTX *thread_ctx;

static void ctx_free(void *p)
{
    EVP_MD_CTX_free(p);
}

static void setup(void)
{
    /* Fetched once: the implicit fetch of every EVP_sha256() use costs more than hashing a short
     * record. */
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    EA_ASSERT(sha256_md != NULL);
    EA_ASSERT(pthread_key_create(&ctx_key, ctx_free) == 0);
}

static EVP_MD_CTX *context(void)
{
    if (EA_LIKELY(thread_ctx != NULL))
        return thread_ctx;
    EA_ASSERT(pthread_once(&once, setup) == 0);
    thread_ctx = EVP_MD_CTX_new();
    EA_ASSERT(thread_ctx != NULL && EVP_DigestInit_ex2(thread_ctx, sha256_md, NULL) == 1);
    EA_ASSERT(pthread_setspecific(ctx_key, thread_ctx) == 0);
    return thread_ctx;
}

void ea_sha256v(const struct ea_str *pieces, size_t n, uint8_t out[EA_SHA256_LEN])
{
    EVP_MD_CTX *c = context();
    bool ok = EVP_DigestInit_ex2(c, NULL, NULL) == 1;

    for (size_t i = 0; i < n; i++)
        ok = ok && EVP_DigestUpdate(c, pieces[i].p, pieces[i].n) == 1;
    ok = ok && EVP_DigestFinal_ex(c, out, NULL) == 1;
    EA_ASSERT(ok);
}

void ea_sha256(const void *p, size_t n, uint8_t out[EA_SHA256_LEN])
{
    struct ea_str s = {p, n};

    ea_sha256v(&s, 1, out);
}

void ea_hmac_sha256(struct ea_str key, struct ea_str msg, uint8_t out[EA_SHA256_LEN])
{
    unsigned n = 0;

    EA_ASSERT(key.n <= INT32_MAX);
    EA_ASSERT(HMAC(EVP_sha256(), key.p ? key.p : "", (int)key.n,
                   (const uint8_t *)(msg.p ? msg.p : ""), msg.n, out, &n) != NULL &&
              n == EA_SHA256_LEN);
}

void ea_random(void *p, size_t n)
{
    uint8_t *at = p;

    while (n > 0) {
        size_t part = EA_MIN(n, (size_t)1 << 20);

        EA_ASSERT(RAND_bytes(at, (int)part) == 1);
        at += part;
        n -= part;
    }
}

void ea_uuid4(char out[37])
{
    uint8_t b[16];

    ea_random(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

bool ea_secret_eq(struct ea_str a, struct ea_str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

void ea_cleanse(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
