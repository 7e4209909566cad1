/* Checkpoint notes: whatever is accepted has one spelling, and verifying it never crashes. */
#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "evidence/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static const struct ea_key *fixed_key(void)
{
    static struct ea_key *k;
    static const uint8_t seed[32] = {1, 2, 3};

    if (!k && ea_key_from_seed(seed, &k, NULL) < 0)
        abort();
    return k;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_str note = ea_strn((const char *)data, size);
    struct ea_checkpoint c;
    struct ea_err err = {0};
    struct ea_buf b;
    char *root64;
    int r = ea_checkpoint_parse(note, &c, &err);

    CHECK(r == 0 || (r == -EINVAL && err.text[0]));
    if (r < 0)
        return 0;
    root64 = ea_base64(c.root, sizeof(c.root));
    ea_buf_init(&b, EA_MAX_CHECKPOINT);
    ea_buf_addf(&b, "%.*s\n%" PRIu64 "\n%s\n", EA_STRF(c.origin), c.size, root64);
    CHECK(ea_str_eq(ea_buf_str(&b), c.text));
    CHECK(c.text.n + 1 + c.signatures.n == size);
    r = ea_checkpoint_verify(&c, fixed_key(), &err);
    CHECK(r == 0 || r == -ENOKEY || r == -EBADMSG);
    /* Signed by us it verifies, whatever the origin is. */
    ea_buf_clear(&b);
    if (ea_checkpoint_sign(&b, fixed_key(), c.origin, c.size, c.root, NULL) == 0) {
        CHECK(ea_checkpoint_parse(ea_buf_str(&b), &c, &err) == 0);
        CHECK(ea_checkpoint_verify(&c, fixed_key(), &err) == 0);
    }
    ea_buf_done(&b);
    free(root64);
    return 0;
}
