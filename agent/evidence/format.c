/* evidence/format.c - segment, record, footer and slot bytes; walking a segment. */
#include "evidence/format.h"

#include "evidence/crc32c.h"
#include "evidence/record.h"

static const uint8_t SEG_MAGIC[8] = {'E', 'V', 'S', 'E', 'G', '0', '0', '1'};
static const uint8_t REC_MAGIC[4] = {'E', 'V', 'R', '1'};
static const uint8_t SEAL_MAGIC[8] = {'E', 'V', 'S', 'E', 'A', 'L', '0', '1'};
static const uint8_t STATE_MAGIC[8] = {'E', 'V', 'S', 'T', 'A', 'T', 'E', '1'};
static const uint8_t CURSOR_MAGIC[8] = {'E', 'V', 'C', 'U', 'R', 'S', 'R', '1'};

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}
static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}
static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}
static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* Words first: tails are megabytes of zeros. */
uint64_t ea_first_nonzero(const uint8_t *p, uint64_t n)
{
    uint64_t i = 0, w;

    for (; i + 8 <= n; i += 8) {
        memcpy(&w, p + i, 8);
        if (w)
            break;
    }
    while (i < n && p[i] == 0)
        i++;
    return i;
}

uint64_t ea_last_nonzero(const uint8_t *p, uint64_t n)
{
    uint64_t w;

    while (n >= 8) {
        memcpy(&w, p + n - 8, 8);
        if (w)
            break;
        n -= 8;
    }
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n;
}

static bool zeros(const uint8_t *p, uint64_t n)
{
    return ea_first_nonzero(p, n) == n;
}

/* ---- segment header ---- */

void ea_seg_header_put(uint8_t out[EA_SEG_HEADER], const struct ea_seg_header *h)
{
    memset(out, 0, EA_SEG_HEADER);
    memcpy(out, SEG_MAGIC, 8);
    put16(out + 8, EA_FORMAT_VERSION);
    put16(out + 10, EA_SEG_HEADER);
    put32(out + 12, h->flags);
    memcpy(out + 16, h->uuid, 16);
    put64(out + 32, h->epoch);
    put64(out + 40, h->first_seq);
    put64(out + 48, h->created_ms);
    memcpy(out + 56, h->prev_leaf, EA_SHA256_LEN);
    put32(out + 124, ea_crc32c(0, out, 124));
}

int ea_seg_header_get(const uint8_t in[EA_SEG_HEADER], struct ea_seg_header *ret)
{
    if (zeros(in, EA_SEG_HEADER))
        return -ENODATA;
    if (memcmp(in, SEG_MAGIC, 8) != 0 || get32(in + 124) != ea_crc32c(0, in, 124))
        return -EBADMSG;
    if (get16(in + 8) != EA_FORMAT_VERSION || get16(in + 10) != EA_SEG_HEADER)
        return -ENOTSUP;
    if (!zeros(in + 88, 36) || (get32(in + 12) & ~EA_SEG_REWRITE))
        return -EBADMSG;
    ret->flags = get32(in + 12);
    memcpy(ret->uuid, in + 16, 16);
    ret->epoch = get64(in + 32);
    ret->first_seq = get64(in + 40);
    ret->created_ms = get64(in + 48);
    memcpy(ret->prev_leaf, in + 56, EA_SHA256_LEN);
    return 0;
}

/* ---- record header ---- */

uint32_t ea_rec_seed(const uint8_t uuid[16], uint64_t epoch, uint64_t first_seq)
{
    uint8_t b[32];

    memcpy(b, uuid, 16);
    put64(b + 16, epoch);
    put64(b + 24, first_seq);
    return ea_crc32c(0, b, sizeof(b));
}

void ea_rec_header_put(uint8_t out[EA_REC_HEADER], uint32_t seed, const struct ea_rec_header *h)
{
    memcpy(out, REC_MAGIC, 4);
    put32(out + 4, h->len);
    put64(out + 8, h->seq);
    put64(out + 16, h->time_ms);
    put16(out + 24, h->type);
    put16(out + 26, 0);
    put32(out + 28, 0);
    put32(out + 32, h->payload_crc);
    put32(out + 36, ea_crc32c(seed, out, 36));
}

int ea_rec_header_get(const uint8_t in[EA_REC_HEADER], uint32_t seed, struct ea_rec_header *ret)
{
    if (memcmp(in, REC_MAGIC, 4) != 0 || get32(in + 36) != ea_crc32c(seed, in, 36))
        return -EBADMSG;
    ret->len = get32(in + 4);
    ret->seq = get64(in + 8);
    ret->time_ms = get64(in + 16);
    ret->type = get16(in + 24);
    ret->payload_crc = get32(in + 32);
    if (ret->len == 0 || ret->len > EA_MAX_RECORD || get16(in + 26) != 0 || get32(in + 28) != 0)
        return -EBADMSG;
    return 0;
}

uint32_t ea_rec_header_rebind(uint8_t h[EA_REC_HEADER], uint32_t seed)
{
    put32(h + 36, ea_crc32c(seed, h, 36));
    return get32(h + 4);
}

/* ---- footer ---- */

void ea_footer_put(uint8_t out[EA_FOOTER], const struct ea_footer *f)
{
    memset(out, 0, EA_FOOTER);
    memcpy(out, SEAL_MAGIC, 8);
    put64(out + 8, f->count);
    put64(out + 16, f->last_seq);
    put64(out + 24, f->end);
    memcpy(out + 32, f->last_leaf, EA_SHA256_LEN);
    put64(out + 64, f->tree.size);
    put32(out + 72, f->tree.n);
    memcpy(out + 76, f->tree.stack, (size_t)f->tree.n * EA_SHA256_LEN);
    put32(out + 4092, ea_crc32c(0, out, 4092));
}

int ea_footer_get(const uint8_t in[EA_FOOTER], struct ea_footer *ret)
{
    if (memcmp(in, SEAL_MAGIC, 8) != 0)
        return -ENODATA;
    if (get32(in + 4092) != ea_crc32c(0, in, 4092))
        return -EBADMSG;
    ret->count = get64(in + 8);
    ret->last_seq = get64(in + 16);
    ret->end = get64(in + 24);
    memcpy(ret->last_leaf, in + 32, EA_SHA256_LEN);
    ret->tree.size = get64(in + 64);
    ret->tree.n = get32(in + 72);
    if (ret->tree.n > EA_TREE_DEPTH || !ea_tree_valid(&ret->tree))
        return -EBADMSG;
    memcpy(ret->tree.stack, in + 76, (size_t)ret->tree.n * EA_SHA256_LEN);
    if (!zeros(in + 76 + (size_t)ret->tree.n * EA_SHA256_LEN,
               4092 - 76 - (size_t)ret->tree.n * EA_SHA256_LEN))
        return -EBADMSG;
    return 0;
}

/* ---- state and cursor slots ---- */

void ea_state_put(uint8_t out[EA_STATE_SLOT], const struct ea_state *s)
{
    memset(out, 0, EA_STATE_SLOT);
    memcpy(out, STATE_MAGIC, 8);
    put64(out + 8, s->generation);
    memcpy(out + 16, s->uuid, 16);
    put64(out + 32, s->epoch);
    put64(out + 40, s->first_live);
    put64(out + 48, s->next_segment);
    memcpy(out + 56, s->boot_id, 16);
    put32(out + 72, s->clean);
    put32(out + 508, ea_crc32c(0, out, 508));
}

int ea_state_get(const uint8_t in[EA_STATE_SLOT], struct ea_state *ret)
{
    if (memcmp(in, STATE_MAGIC, 8) != 0 || get32(in + 508) != ea_crc32c(0, in, 508) ||
        !zeros(in + 76, 432))
        return -EBADMSG;
    ret->generation = get64(in + 8);
    memcpy(ret->uuid, in + 16, 16);
    ret->epoch = get64(in + 32);
    ret->first_live = get64(in + 40);
    ret->next_segment = get64(in + 48);
    memcpy(ret->boot_id, in + 56, 16);
    ret->clean = get32(in + 72);
    return 0;
}

void ea_cursor_put(uint8_t out[EA_CURSOR_SLOT], const struct ea_cursor *c)
{
    const uint64_t fields[] = {c->epoch, c->seq_next, c->segment, c->offset,
                               c->acked, c->dead,     c->lost,    c->filtered};

    memset(out, 0, EA_CURSOR_SLOT);
    memcpy(out, CURSOR_MAGIC, 8);
    put64(out + 8, c->generation);
    memcpy(out + 16, c->uuid, 16);
    for (size_t i = 0; i < EA_COUNT(fields); i++)
        put64(out + 32 + 8 * i, fields[i]);
    put32(out + 124, ea_crc32c(0, out, 124));
}

int ea_cursor_get(const uint8_t in[EA_CURSOR_SLOT], struct ea_cursor *ret)
{
    uint64_t *const fields[] = {&ret->epoch, &ret->seq_next, &ret->segment, &ret->offset,
                                &ret->acked, &ret->dead,     &ret->lost,    &ret->filtered};

    if (memcmp(in, CURSOR_MAGIC, 8) != 0 || get32(in + 124) != ea_crc32c(0, in, 124) ||
        !zeros(in + 96, 28))
        return -EBADMSG;
    ret->generation = get64(in + 8);
    memcpy(ret->uuid, in + 16, 16);
    for (size_t i = 0; i < EA_COUNT(fields); i++)
        *fields[i] = get64(in + 32 + 8 * i);
    return 0;
}

/* ---- walking ---- */

void ea_scan_init(struct ea_scan *s, const uint8_t *p, uint64_t limit,
                  const struct ea_seg_header *h)
{
    *s = (struct ea_scan){.p = p,
                          .limit = limit,
                          .off = EA_MIN(EA_SEG_HEADER, limit),
                          .expect = h->first_seq,
                          .seed = ea_rec_seed(h->uuid, h->epoch, h->first_seq)};
}

static bool header_at(const struct ea_scan *s, uint64_t off, struct ea_rec_header *h)
{
    return s->limit - off >= EA_REC_HEADER && ea_rec_header_get(s->p + off, s->seed, h) == 0 &&
           h->seq >= s->expect;
}

/* A valid header further on tells a hole from a torn tail. */
static bool find_later(const struct ea_scan *s, uint64_t from, uint64_t *ret_off,
                       struct ea_rec_header *h)
{
    for (uint64_t off = from; off + EA_REC_HEADER <= s->limit; off += 8) {
        if (memcmp(s->p + off, REC_MAGIC, 4) == 0 && header_at(s, off, h)) {
            *ret_off = off;
            return true;
        }
    }
    return false;
}

static enum ea_scan_what finish(struct ea_scan *s, struct ea_scan_item *ret)
{
    uint64_t left = s->limit - s->off;

    ret->off = s->off;
    ret->size = ea_last_nonzero(s->p + s->off, left);
    s->off = s->limit;
    return ret->size == 0 ? EA_SCAN_END : EA_SCAN_TORN;
}

enum ea_scan_what ea_scan_next(struct ea_scan *s, struct ea_scan_item *ret)
{
    uint64_t left = s->limit - s->off, size, later;
    struct ea_rec_header h;

    memset(ret, 0, sizeof(*ret));
    ret->off = s->off;
    if (!header_at(s, s->off, &h)) {
        if (left < EA_REC_HEADER || !find_later(s, s->off + 8, &later, &h))
            return finish(s, ret);
        ret->size = later - s->off;
        ret->lost = h.seq - s->expect;
        s->off = later;
        s->expect = h.seq;
        return EA_SCAN_GAP;
    }
    if (h.seq > s->expect) { /* whole records are missing without a trace of their bytes */
        ret->lost = h.seq - s->expect;
        s->expect = h.seq;
        return EA_SCAN_GAP;
    }
    size = ea_rec_size(h.len);
    if (EA_REC_HEADER + (uint64_t)h.len >
        left) /* cut off in the middle: nothing can lie behind it */
        return finish(s, ret);
    ret->size = EA_MIN(size, left);
    if (ea_crc32c(0, s->p + ret->off + EA_REC_HEADER, h.len) != h.payload_crc) {
        if (zeros(s->p + ret->off + ret->size,
                  left - ret->size)) /* a write that stopped half-way looks like this */
            return finish(s, ret);
        ret->h = h;
        ret->lost = 1;
        s->off += ret->size;
        s->expect = h.seq + 1;
        return EA_SCAN_DAMAGED;
    }
    ret->h = h;
    s->off += ret->size;
    s->expect = h.seq + 1;
    ret->payload = ea_strn((const char *)s->p + ret->off + EA_REC_HEADER, h.len);
    ret->dirty_pad =
        !zeros(s->p + ret->off + EA_REC_HEADER + h.len, ret->size - EA_REC_HEADER - h.len);
    return EA_SCAN_RECORD;
}
