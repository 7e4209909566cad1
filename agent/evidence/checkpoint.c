/* evidence/checkpoint.c - checkpoints as C2SP signed notes. */
#include "evidence/checkpoint.h"

#include <inttypes.h>

#include "base/limits.h"

#define DASH "\xe2\x80\x94 " /* U+2014 and a space open a signature line */

int ea_checkpoint_keyid(const struct ea_key *k, struct ea_str name, uint8_t out[4],
                        struct ea_err *err)
{
    uint8_t raw[33], hash[EA_SHA256_LEN];
    int r = 0;

    if (ea_key_type(k) == EA_KEY_ED25519) {
        raw[0] = 0x01;
        if (ea_key_public_raw(k, raw + 1) < 0)
            return ea_fail(err, -EINVAL, "the key has no raw public part");
        ea_sha256v((struct ea_str[]){name, EA_STR("\n"), ea_strn((char *)raw, sizeof(raw))}, 3,
                   hash);
    } else {
        struct ea_buf der;

        ea_buf_init(&der, 4096);
        r = ea_key_public_der(k, &der, err);
        if (r == 0)
            ea_sha256(der.p, der.n, hash);
        ea_buf_done(&der);
    }
    if (r == 0)
        memcpy(out, hash, 4);
    return r;
}

int ea_checkpoint_sign(struct ea_buf *b, const struct ea_key *k, struct ea_str origin,
                       uint64_t size, const uint8_t root[EA_SHA256_LEN], struct ea_err *err)
{
    EA_AUTO_FREE char *root64 = ea_base64(root, EA_SHA256_LEN);
    EA_AUTO_FREE char *sig64 = NULL;
    uint8_t blob[4 + 80];
    size_t start = b->n, n = 0;
    int r;

    ea_buf_addf(b, "%.*s\n%" PRIu64 "\n%s\n", EA_STRF(origin), size, root64);
    if (b->failed)
        return ea_fail(err, b->failed, "the checkpoint does not fit its buffer");
    if ((r = ea_checkpoint_keyid(k, origin, blob, err)) < 0 ||
        (r = ea_key_sign(k, ea_strn(b->p + start, b->n - start), blob + 4, &n, err)) < 0)
        return r;
    sig64 = ea_base64(blob, 4 + n);
    ea_buf_addf(b, "\n" DASH "%.*s %s\n", EA_STRF(origin), sig64);
    return b->failed ? ea_fail(err, b->failed, "the checkpoint does not fit its buffer") : 0;
}

/* Base64 in its one canonical spelling: what does not come out the same when encoded again is
 * refused. */
static int strict_base64(struct ea_str s, uint8_t **ret, size_t *ret_n)
{
    EA_AUTO_FREE char *again = NULL;
    int r = ea_unbase64(s, ret, ret_n);

    if (r < 0)
        return r;
    again = ea_base64(*ret, *ret_n);
    if (ea_str_eq(s, ea_str(again)))
        return 0;
    free(*ret);
    *ret = NULL;
    return -EINVAL;
}

static bool take_line(struct ea_str *rest, struct ea_str *ret)
{
    const char *lf = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

    if (!lf)
        return false;
    *ret = ea_strn(rest->p, (size_t)(lf - rest->p));
    rest->n -= ret->n + 1;
    rest->p = lf + 1;
    return true;
}

/* An origin is a key's name in signature lines: no white space, no control characters, no '+'. */
static bool name_ok(struct ea_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f || s.p[i] == '+')
            return false;
    return s.n > 0 && ea_utf8_valid(s.p, s.n);
}

/* Splits one signature line. */
static int parse_line(struct ea_str line, struct ea_str *ret_name, uint8_t **ret_blob,
                      size_t *ret_n)
{
    struct ea_str name, b64 = EA_STR_NULL;

    if (!ea_str_starts(line, EA_STR(DASH)))
        return -EINVAL;
    line = ea_strn(line.p + sizeof(DASH) - 1, line.n - (sizeof(DASH) - 1));
    name = ea_str_cut(line, ' ', &b64);
    if (!name_ok(name) || b64.n == 0 || strict_base64(b64, ret_blob, ret_n) < 0)
        return -EINVAL;
    if (*ret_n < 5) {
        free(*ret_blob);
        *ret_blob = NULL;
        return -EINVAL;
    }
    *ret_name = name;
    return 0;
}

static int parse_text(struct ea_str *rest, struct ea_checkpoint *ret, struct ea_err *err)
{
    struct ea_str size, root, empty;
    EA_AUTO_FREE uint8_t *root_raw = NULL;
    const char *start = rest->p;
    size_t n = 0;

    if (!take_line(rest, &ret->origin) || !take_line(rest, &size) || !take_line(rest, &root))
        return ea_fail(err, -EINVAL, "a checkpoint has three lines of text, this one ends early");
    ret->text = ea_strn(start, (size_t)(rest->p - start));
    if (!name_ok(ret->origin))
        return ea_fail(err, -EINVAL, "line 1 of the checkpoint is no origin");
    if (ea_str_to_u64(size, &ret->size) < 0 || (size.n > 1 && size.p[0] == '0') || size.p[0] == '+')
        return ea_fail(err, -EINVAL, "line 2 of the checkpoint is no size");
    if (strict_base64(root, &root_raw, &n) < 0 || n != EA_SHA256_LEN)
        return ea_fail(err, -EINVAL, "line 3 of the checkpoint is no root hash");
    memcpy(ret->root, root_raw, EA_SHA256_LEN);
    if (!take_line(rest, &empty) || empty.n != 0)
        return ea_fail(err, -EINVAL, "line 4 of the checkpoint is not empty");
    return 0;
}

int ea_checkpoint_parse(struct ea_str note, struct ea_checkpoint *ret, struct ea_err *err)
{
    struct ea_str rest = note, line, name;
    size_t n = 0, signatures = 0;
    int r;

    if (note.n > EA_MAX_CHECKPOINT)
        return ea_fail(err, -EINVAL, "a checkpoint of %zu bytes is too long", note.n);
    if ((r = parse_text(&rest, ret, err)) < 0)
        return r;
    ret->signatures = rest;
    while (take_line(&rest, &line)) {
        EA_AUTO_FREE uint8_t *blob = NULL;

        signatures++;
        if (parse_line(line, &name, &blob, &n) < 0)
            return ea_fail(err, -EINVAL, "line %zu of the checkpoint is no signature",
                           4 + signatures);
    }
    if (rest.n != 0 || signatures == 0)
        return ea_fail(err, -EINVAL, "the checkpoint does not end with a signature line");
    return 0;
}

int ea_checkpoint_verify(const struct ea_checkpoint *c, const struct ea_key *k, struct ea_err *err)
{
    struct ea_str rest = c->signatures, line, name;
    uint8_t id[4];
    bool good = false;
    int r = ea_checkpoint_keyid(k, c->origin, id, err);

    if (r < 0)
        return r;
    while (take_line(&rest, &line)) {
        EA_AUTO_FREE uint8_t *blob = NULL;
        size_t n = 0;

        if (parse_line(line, &name, &blob, &n) < 0)
            return ea_fail(err, -EBADMSG, "a signature line cannot be read");
        if (!ea_str_eq(name, c->origin) || memcmp(blob, id, 4) != 0)
            continue;
        if (ea_key_verify(k, c->text, ea_strn((char *)blob + 4, n - 4), err) < 0)
            return ea_fail(err, -EBADMSG,
                           "the checkpoint's signature does not match its text and key");
        good = true;
    }
    return good ? 0 : ea_fail(err, -ENOKEY, "the checkpoint has no signature of this key");
}
