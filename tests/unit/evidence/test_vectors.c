/* The published test vectors of the record format, the tree and the checkpoint, and JCS order where
 * this room depends on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "evidence/checkpoint.h"
#include "evidence/crc32c.h"
#include "evidence/format.h"
#include "evidence/record.h"

#define ORIGIN                                                                                     \
    "evidence.example.eu/c/6f1d0b9e-0000-4000-8000-000000000001/n/"                                \
    "9b2c1a4e-0000-4000-8000-00000000000a/e/1"

static const char *const BODIES[3] = {
    "{\"agent_version\":\"0.1.0\",\"reason\":\"start\"}",
    "{\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"api-7c9f\",\"namespace\":"
    "\"payments\",\"sha256\":"
    "\"ecb4c485d13bae8a904c5f8c610dc0395f5be6afe2b691200582508fc9987b7f\",\"uid\":\"0d6c3b52-0000-"
    "4000-8000-0000000000b1\"},"
    "\"result\":\"fail\",\"rule\":\"eucs.ops.21-1.no-privileged\"}",
    "{\"reason\":\"sigterm\"}"};
static const char *const TYPES[3] = {"log.opened", "compliance.finding", "log.closed"};
static const char *const LEAVES[3] = {
    "8b4ac0d34ea04e71250a6b6030f8d6cd7dd4ccc7cef9d302cdc7ee75380de265",
    "aae9cc70c86ac33630aa0542e8b697046aa54d2b06b3542a6aea84e90f605089",
    "6fac55c2aa59eb20820e9cf37b3af97274f87e65dc4d7a743fd6cb1b2febb9a5"};
#define GENESIS "05cc09fac6643d6e5f8866bf7a8eb4266b6c06c12dfcc049caaedfaf8d096a95"
#define ROOT2 "fdda373aba15fa4049ad6f99048f9bdebfbbcc758d33d18b635cbfa63a716b0d"
#define ROOT3 "e169480640f41b7382881b2dca435cb9d0f30b4fdd9d3351b10a469d5c1b8d53"
#define SEED "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
#define PUBLIC "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

static void assert_hex(const uint8_t *p, size_t n, const char *want)
{
    char hex[129];

    assert_true(n <= 64);
    ea_hex(p, n, hex);
    assert_string_equal(hex, want);
}

static void render_all(struct ea_buf out[3], uint8_t leaf[3][EA_SHA256_LEN])
{
    uint8_t prev[EA_SHA256_LEN];

    ea_genesis_hash(EA_STR(ORIGIN), prev);
    for (int i = 0; i < 3; i++) {
        ea_buf_init(&out[i], 4096);
        assert_int_equal(ea_record_render(&out[i], TYPES[i], EA_STR(ORIGIN), (uint64_t)i,
                                          1789000000000u + (uint64_t)i, prev, ea_str(BODIES[i])),
                         0);
        ea_leaf_hash(ea_buf_str(&out[i]), leaf[i]);
        memcpy(prev, leaf[i], EA_SHA256_LEN);
    }
}

static void test_records(void **state)
{
    static const size_t length[3] = {293, 517, 271};
    struct ea_buf out[3], all;
    uint8_t leaf[3][EA_SHA256_LEN], hash[EA_SHA256_LEN];

    ea_genesis_hash(EA_STR(ORIGIN), hash);
    assert_hex(hash, 32, GENESIS);
    render_all(out, leaf);
    ea_buf_init(&all, 8192);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out[i].n, length[i]);
        assert_hex(leaf[i], 32, LEAVES[i]);
        ea_buf_adds(&all, ea_buf_str(&out[i]));
        ea_buf_addc(&all, '\n');
        ea_buf_done(&out[i]);
    }
    assert_int_equal(all.n, 1084);
    ea_sha256(all.p, all.n, hash);
    assert_hex(hash, 32, "ae5861ae2e4818db245b10cc68336c38eefa0fbfc7638edaba127d3bcbe71ba0");
    ea_buf_done(&all);
}

static void test_parse(void **state)
{
    struct ea_buf out[3];
    uint8_t leaf[3][EA_SHA256_LEN];
    struct ea_record_parts parts;

    render_all(out, leaf);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ea_record_parse(ea_buf_str(&out[i]), &parts), 0);
        assert_true(ea_str_is(parts.body, BODIES[i]) && ea_str_is(parts.type, TYPES[i]) &&
                    ea_str_is(parts.origin, ORIGIN));
        assert_int_equal(parts.seq, i);
        assert_int_equal(parts.time_ms, 1789000000000u + (uint64_t)i);
        /* A record that is cut at either end is not one. */
        for (size_t n = 0; n < out[i].n; n++) {
            assert_int_equal(ea_record_parse(ea_strn(out[i].p, n), &parts), -EINVAL);
            if (n > 0)
                assert_int_equal(ea_record_parse(ea_strn(out[i].p + n, out[i].n - n), &parts),
                                 -EINVAL);
        }
        ea_buf_done(&out[i]);
    }
    assert_int_equal(ea_record_parse(EA_STR(""), &parts), -EINVAL);
    /* A second spelling of the same values is refused. */
    assert_int_equal(ea_record_parse(EA_STR("{\"body\":{},\"origin\":\"o\",\"prev\":\"" GENESIS
                                            "\",\"seq\":00,\"time\":1,\"type\":\"t\",\"v\":1}"),
                                     &parts),
                     -EINVAL);
    assert_int_equal(
        ea_record_parse(EA_STR("{\"body\":{},\"origin\":\"o\",\"prev\":"
                               "\"05CC09FAC6643D6E5F8866BF7A8EB4266B6C06C12DFCC049CAAEDFAF8D096A95"
                               "\",\"seq\":0,\"time\":1,\"type\":\"t\",\"v\":1}"),
                        &parts),
        -EINVAL);
    assert_int_equal(
        ea_record_parse(EA_STR("{\"body\":{},\"origin\":\"o\",\"prev\":\"" GENESIS
                               "\",\"seq\":9007199254740992,\"time\":1,\"type\":\"t\",\"v\":1}"),
                        &parts),
        -EINVAL);
    assert_int_equal(ea_record_parse(EA_STR("{\"body\":{},\"origin\":\"o\",\"prev\":\"" GENESIS
                                            "\",\"seq\":0,\"time\":1,\"type\":\"t\",\"v\":1}"),
                                     &parts),
                     0);
}

static void test_tree(void **state)
{
    uint8_t leaf[3][EA_SHA256_LEN], root[EA_SHA256_LEN], path[EA_TREE_DEPTH][EA_SHA256_LEN];
    struct ea_tree t;
    size_t n;

    for (int i = 0; i < 3; i++)
        assert_int_equal(ea_unhex(ea_str(LEAVES[i]), leaf[i], 32, &n), 0);
    ea_tree_init(&t);
    ea_tree_root(&t, root);
    assert_hex(root, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ea_tree_add(&t, leaf[0]);
    ea_tree_root(&t, root);
    assert_hex(root, 32, LEAVES[0]);
    ea_tree_add(&t, leaf[1]);
    ea_tree_root(&t, root);
    assert_hex(root, 32, ROOT2);
    ea_tree_add(&t, leaf[2]);
    ea_tree_root(&t, root);
    assert_hex(root, 32, ROOT3);

    /* Inclusion of seq 1 in size 3: L0, L2. */
    assert_int_equal(ea_tree_path(leaf, 3, 1, path), 2);
    assert_hex(path[0], 32, LEAVES[0]);
    assert_hex(path[1], 32, LEAVES[2]);
    assert_int_equal(ea_tree_path_root(leaf[1], 1, 3, path, 2, root), 0);
    assert_hex(root, 32, ROOT3);
    assert_int_equal(ea_tree_path(leaf, 3, 3, path), 0);
}

/* The recursive definition of RFC 6962 2.1, as an oracle. */
static void mth(uint8_t (*leaf)[EA_SHA256_LEN], uint64_t n, uint8_t out[EA_SHA256_LEN])
{
    uint8_t l[EA_SHA256_LEN], r[EA_SHA256_LEN];
    uint64_t k = 1;

    if (n == 1) {
        memcpy(out, leaf[0], EA_SHA256_LEN);
        return;
    }
    while (k * 2 < n)
        k *= 2;
    mth(leaf, k, l);
    mth(leaf + k, n - k, r);
    ea_node_hash(l, r, out);
}

static void test_tree_sizes(void **state)
{
    static uint8_t leaf[130][EA_SHA256_LEN];
    uint8_t want[EA_SHA256_LEN], got[EA_SHA256_LEN], path[EA_TREE_DEPTH][EA_SHA256_LEN];
    struct ea_tree t;

    ea_tree_init(&t);
    for (uint64_t n = 1; n <= 130; n++) {
        ea_sha256(&n, sizeof(n), leaf[n - 1]);
        ea_tree_add(&t, leaf[n - 1]);
        assert_true(ea_tree_valid(&t));
        mth(leaf, n, want);
        ea_tree_root(&t, got);
        assert_memory_equal(want, got, 32);
        for (uint64_t i = 0; i < n; i += 1 + n / 7) {
            unsigned depth = ea_tree_path((const uint8_t(*)[EA_SHA256_LEN])leaf, n, i, path);

            assert_int_equal(
                ea_tree_path_root(leaf[i], i, n, (const uint8_t(*)[EA_SHA256_LEN])path, depth, got),
                0);
            assert_memory_equal(want, got, 32);
            assert_int_equal(ea_tree_path_root(leaf[i], i, n, (const uint8_t(*)[EA_SHA256_LEN])path,
                                               depth + 1, got),
                             -EINVAL);
            if (n > 1) {
                path[0][0] ^= 1;
                assert_int_equal(ea_tree_path_root(leaf[i], i, n,
                                                   (const uint8_t(*)[EA_SHA256_LEN])path, depth,
                                                   got),
                                 0);
                assert_memory_not_equal(want, got, 32);
            }
        }
    }
}

static const char CHECKPOINT[] = ORIGIN
    "\n3\n4WlIBkD0G3OCiBstykNcudDzC0/dnTNRsQpGnVwbjVM=\n\n\xe2\x80\x94 " ORIGIN " inigj/"
    "G1lv3QFOfjS6gwKj74vTSRTmRott7xWp4ioeAzsfI0oRyGxqz9lF8Jrkk99laaIVpXex7pzBrixitHfue3eAU=\n";

static void test_checkpoint(void **state)
{
    uint8_t seed[32], raw[32], id[4], root[32], hash[32];
    struct ea_checkpoint c;
    struct ea_key *k = NULL, *other = NULL;
    struct ea_err err;
    struct ea_buf b;
    size_t n;

    assert_int_equal(ea_unhex(EA_STR(SEED), seed, 32, &n), 0);
    assert_int_equal(ea_key_from_seed(seed, &k, &err), 0);
    assert_int_equal(ea_key_public_raw(k, raw), 0);
    assert_hex(raw, 32, PUBLIC);
    assert_int_equal(ea_checkpoint_keyid(k, EA_STR(ORIGIN), id, &err), 0);
    assert_hex(id, 4, "8a78a08f");
    assert_int_equal(ea_unhex(EA_STR(ROOT3), root, 32, &n), 0);
    ea_buf_init(&b, 4096);
    assert_int_equal(ea_checkpoint_sign(&b, k, EA_STR(ORIGIN), 3, root, &err), 0);
    assert_int_equal(b.n, sizeof(CHECKPOINT) - 1);
    assert_memory_equal(b.p, CHECKPOINT, b.n);
    ea_sha256(b.p, b.n, hash);
    assert_hex(hash, 32, "b5732cd2e3d0201d0dccac411f04083ee0c82d03d38ae1eb0a387a6c54af35ea");

    assert_int_equal(ea_checkpoint_parse(ea_buf_str(&b), &c, &err), 0);
    assert_int_equal(c.size, 3);
    assert_memory_equal(c.root, root, 32);
    assert_int_equal(ea_checkpoint_verify(&c, k, &err), 0);
    assert_int_equal(ea_key_new(EA_KEY_ED25519, &other, &err), 0);
    assert_int_equal(ea_checkpoint_verify(&c, other, &err), -ENOKEY);
    /* Every flipped bit makes it unreadable, unknown or false. */
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << (i % 8)));
        if (ea_checkpoint_parse(ea_buf_str(&b), &c, &err) == 0)
            assert_true(ea_checkpoint_verify(&c, k, &err) < 0);
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << (i % 8)));
    }
    /* A cosignature of an unknown key is passed over. */
    ea_buf_addz(&b, "\xe2\x80\x94 witness.example/w AAAAAAAAAAA=\n");
    assert_int_equal(ea_checkpoint_parse(ea_buf_str(&b), &c, &err), 0);
    assert_int_equal(ea_checkpoint_verify(&c, k, &err), 0);
    ea_buf_done(&b);
    ea_key_free(k);
    ea_key_free(other);
}

static void test_checkpoint_ecdsa(void **state)
{
    uint8_t root[32] = {1};
    struct ea_checkpoint c;
    struct ea_key *k = NULL;
    struct ea_err err;
    struct ea_buf b;

    assert_int_equal(ea_key_new(EA_KEY_ECDSA_P256, &k, &err), 0);
    ea_buf_init(&b, 4096);
    assert_int_equal(ea_checkpoint_sign(&b, k, EA_STR("example/e/1"), 7, root, &err), 0);
    assert_int_equal(ea_checkpoint_parse(ea_buf_str(&b), &c, &err), 0);
    assert_int_equal(ea_checkpoint_verify(&c, k, &err), 0);
    b.p[12] = '8';
    assert_int_equal(ea_checkpoint_parse(ea_buf_str(&b), &c, &err), 0);
    assert_int_equal(ea_checkpoint_verify(&c, k, &err), -EBADMSG);
    ea_buf_done(&b);
    ea_key_free(k);
}

static void test_record_header(void **state)
{
    struct ea_buf out[3];
    uint8_t leaf[3][EA_SHA256_LEN], raw[EA_REC_HEADER], uuid[16];
    struct ea_rec_header h = {.type = 1, .time_ms = 1789000000000u}, again;
    uint32_t seed;

    for (int i = 0; i < 16; i++)
        uuid[i] = (uint8_t)i;
    render_all(out, leaf);
    seed = ea_rec_seed(uuid, 1, 0);
    h.len = (uint32_t)out[0].n;
    h.payload_crc = ea_crc32c(0, out[0].p, out[0].n);
    ea_rec_header_put(raw, seed, &h);
    assert_hex(raw, sizeof(raw),
               "4556523125010000000000000000000000a2b588a0010000010000000000000094bd04e19961c722");
    assert_int_equal(ea_rec_header_get(raw, seed, &again), 0);
    assert_int_equal(again.len, 293);
    /* Bytes of another segment, epoch or log do not count. */
    assert_int_equal(ea_rec_header_get(raw, ea_rec_seed(uuid, 2, 0), &again), -EBADMSG);
    assert_int_equal(ea_rec_header_get(raw, ea_rec_seed(uuid, 1, 1), &again), -EBADMSG);
    for (size_t i = 0; i < sizeof(raw) * 8; i++) {
        raw[i / 8] ^= (uint8_t)(1 << (i % 8));
        assert_int_equal(ea_rec_header_get(raw, seed, &again), -EBADMSG);
        raw[i / 8] ^= (uint8_t)(1 << (i % 8));
    }
    for (int i = 0; i < 3; i++)
        ea_buf_done(&out[i]);
}

static void test_crc32c(void **state)
{
    /* RFC 3720 B.4 and the usual check value. */
    uint8_t b[64];
    uint32_t hw;

    assert_int_equal(ea_crc32c_table(0, "123456789", 9), 0xe3069283u);
    memset(b, 0, 32);
    assert_int_equal(ea_crc32c_table(0, b, 32), 0x8a9136aau);
    memset(b, 0xff, 32);
    assert_int_equal(ea_crc32c_table(0, b, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(ea_crc32c_table(0, b, 32), 0x46dd794eu);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)(31 - i);
    assert_int_equal(ea_crc32c_table(0, b, 32), 0x113fdb5cu);
    assert_int_equal(ea_crc32c(ea_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
    if (!ea_crc32c_hw(0, b, 0, &hw))
        return; /* this processor has only the table */
    for (size_t n = 0; n < sizeof(b); n++) {
        ea_random(b, sizeof(b));
        assert_true(ea_crc32c_hw(0x12345678u, b, n, &hw));
        assert_int_equal(hw, ea_crc32c_table(0x12345678u, b, n));
    }
}

static void test_types(void **state)
{
    assert_string_equal(ea_record_type_name(7), "admission.decision");
    assert_null(ea_record_type_name(0));
    assert_null(ea_record_type_name(24));
    for (unsigned t = 1; t <= 23; t++)
        assert_int_equal(ea_record_type_number(ea_str(ea_record_type_name(t))), t);
    assert_int_equal(ea_record_type_number(EA_STR("admission")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),       cmocka_unit_test(test_parse),
        cmocka_unit_test(test_tree),          cmocka_unit_test(test_tree_sizes),
        cmocka_unit_test(test_checkpoint),    cmocka_unit_test(test_checkpoint_ecdsa),
        cmocka_unit_test(test_record_header), cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
