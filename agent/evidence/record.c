/* evidence/record.c - record types, canonical bytes, leaf and genesis hashes. */
#include "evidence/record.h"

#include "base/limits.h"

const char *ea_record_type_name(unsigned type)
{
    switch (type) {
#define X(n, id, name)                                                                             \
    case n:                                                                                        \
        return name;
        EA_RECORD_TYPES(X)
#undef X
    default:
        return NULL;
    }
}

unsigned ea_record_type_number(struct ea_str name)
{
#define X(n, id, text)                                                                             \
    if (ea_str_is(name, text))                                                                     \
        return n;
    EA_RECORD_TYPES(X)
#undef X
    return 0;
}

static char *put(char *at, const char *p, size_t n)
{
    memcpy(at, p, n);
    return at + n;
}
#define PUT(at, lit) put((at), (lit), sizeof(lit) - 1)

static char *put_u64(char *at, uint64_t v)
{
    char b[20];
    size_t i = sizeof(b);

    do {
        b[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return put(at, b + i, sizeof(b) - i);
}

/* The members stand in JCS order, which for these seven names is plain alphabetic order. */
size_t ea_record_put(char *out, struct ea_str type, struct ea_str origin, uint64_t seq,
                     uint64_t time_ms, const uint8_t prev[EA_SHA256_LEN], struct ea_str body)
{
    static const char digits[] = "0123456789abcdef";
    char *at = out;

    at = PUT(at, "{\"body\":");
    at = put(at, body.p, body.n);
    at = PUT(at, ",\"origin\":\"");
    at = put(at, origin.p, origin.n);
    at = PUT(at, "\",\"prev\":\"");
    for (int i = 0; i < EA_SHA256_LEN; i++) {
        *at++ = digits[prev[i] >> 4];
        *at++ = digits[prev[i] & 15];
    }
    at = PUT(at, "\",\"seq\":");
    at = put_u64(at, seq);
    at = PUT(at, ",\"time\":");
    at = put_u64(at, time_ms);
    at = PUT(at, ",\"type\":\"");
    at = put(at, type.p, type.n);
    at = PUT(at, "\",\"v\":1}");
    return (size_t)(at - out);
}

int ea_record_render(struct ea_buf *b, const char *type, struct ea_str origin, uint64_t seq,
                     uint64_t time_ms, const uint8_t prev[EA_SHA256_LEN], struct ea_str body)
{
    struct ea_str t = ea_str(type);
    int r = ea_buf_reserve(b, ea_record_bound(t, origin, body));

    if (r < 0)
        return r;
    b->n += ea_record_put(b->p + b->n, t, origin, seq, time_ms, prev, body);
    return 0;
}

/* The envelope is taken apart from its end, where nothing of the body can be mistaken for it: the
 * walker cuts the text before the value and then the member's name. */
static bool strip(struct ea_str *s, struct ea_str tail)
{
    if (!ea_str_ends(*s, tail))
        return false;
    s->n -= tail.n;
    return true;
}

static bool strip_number(struct ea_str *s, struct ea_str name, uint64_t *ret)
{
    size_t i = s->n;
    struct ea_str digits;

    while (i > 0 && s->p[i - 1] >= '0' && s->p[i - 1] <= '9')
        i--;
    digits = ea_strn(s->p + i, s->n - i);
    if (digits.n == 0 || (digits.n > 1 && digits.p[0] == '0') || ea_str_to_u64(digits, ret) < 0 ||
        *ret > (1ull << 53) - 1)
        return false;
    s->n = i;
    return strip(s, name);
}

static bool strip_text(struct ea_str *s, struct ea_str name, struct ea_str *ret)
{
    size_t i = s->n;

    while (i > 0 && s->p[i - 1] != '"' && s->p[i - 1] != '\\' && (unsigned char)s->p[i - 1] >= 0x20)
        i--;
    *ret = ea_strn(s->p + i, s->n - i);
    s->n = i;
    return strip(s, name);
}

int ea_record_parse(struct ea_str record, struct ea_record_parts *ret)
{
    struct ea_str s = record, prev;
    size_t n;

    if (!strip(&s, EA_STR("\",\"v\":1}")) || !strip_text(&s, EA_STR(",\"type\":\""), &ret->type) ||
        !strip_number(&s, EA_STR(",\"time\":"), &ret->time_ms) ||
        !strip_number(&s, EA_STR("\",\"seq\":"), &ret->seq) ||
        !strip_text(&s, EA_STR("\",\"prev\":\""), &prev) ||
        !strip_text(&s, EA_STR(",\"origin\":\""), &ret->origin))
        return -EINVAL;
    if (prev.n != 2 * EA_SHA256_LEN || ea_unhex(prev, ret->prev, sizeof(ret->prev), &n) < 0)
        return -EINVAL;
    for (size_t i = 0; i < prev.n; i++) /* upper case would be a second spelling of the same hash */
        if (prev.p[i] >= 'A' && prev.p[i] <= 'F')
            return -EINVAL;
    if (!ea_str_starts(s, EA_STR("{\"body\":{")) || !ea_str_ends(s, EA_STR("}")) ||
        s.n < sizeof("{\"body\":{}") - 1)
        return -EINVAL;
    ret->body = ea_strn(s.p + 8, s.n - 8);
    return 0;
}

void ea_leaf_hash(struct ea_str record, uint8_t out[EA_SHA256_LEN])
{
    struct ea_str pieces[] = {EA_STR("\0"), record};

    ea_sha256v(pieces, 2, out);
}

void ea_genesis_hash(struct ea_str origin, uint8_t out[EA_SHA256_LEN])
{
    struct ea_str pieces[] = {EA_STR("eucs-agent/evidence/v1/genesis\n"), origin, EA_STR("\n")};

    ea_sha256v(pieces, 3, out);
}
