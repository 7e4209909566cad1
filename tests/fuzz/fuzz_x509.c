/* PEM texts from outside: certificates and keys. */
#include <stdio.h>

#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_str pem = ea_strn((const char *)data, size);
    struct ea_cert_info info;
    struct ea_key *k = NULL;
    struct ea_err err = {0};
    int r = ea_cert_info(pem, &info, &err);

    CHECK(r == 0 || (r == -EINVAL && err.text[0]));
    if (r == 0)
        CHECK(memchr(info.subject, 0, sizeof(info.subject)) &&
              memchr(info.issuer, 0, sizeof(info.issuer)) &&
              memchr(info.key_type, 0, sizeof(info.key_type)));
    r = ea_key_from_pem(pem, &k, &err);
    CHECK(r == 0 || r == -EINVAL);
    if (r == 0) {
        struct ea_buf b;
        uint8_t sig[80];
        size_t n = 0;

        ea_buf_init(&b, 1u << 16);
        CHECK(ea_key_public_pem(k, &b, &err) == 0);
        if (ea_key_sign(k, EA_STR("x"), sig, &n, &err) == 0)
            CHECK(n <= sizeof(sig));
        ea_buf_done(&b);
        ea_key_free(k);
    }
    return 0;
}
