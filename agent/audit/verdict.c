/* audit/verdict.c - interning of verdicts. */
#include "audit/verdict.h"

#include "base/limits.h"
#include "evidence/record.h"

#define HASH_TEXT                                                                                  \
    (256u                                                                                          \
     << 10) /* bytes of failure texts that count for the hash; sixteen failures are far below */

void verdict_pool_init(struct verdict_pool *p)
{
    memset(p, 0, sizeof(*p));
    p->size = 1024;
    p->buckets = ea_xalloc(p->size * sizeof(*p->buckets));
}

void verdict_pool_done(struct verdict_pool *p)
{
    for (size_t i = 0; i < p->size; i++) {
        while (p->buckets[i]) {
            struct verdict *v = p->buckets[i];

            p->buckets[i] = v->next;
            free(v);
        }
    }
    free(p->buckets);
    memset(p, 0, sizeof(*p));
}

/* The first 64 bits of a SHA-256: the digest file compares them with those of an earlier process,
 * and nobody may be able to make a failure look like a pass. */
static uint64_t hash64(struct ea_str text)
{
    uint8_t h[EA_SHA256_LEN];
    uint64_t r;

    ea_leaf_hash(text, h);
    memcpy(&r, h, sizeof(r));
    return r ? r : 1;
}

static uint64_t failures_hash(const struct ea_finding *f, struct ea_buf *b)
{
    if (f->result == EA_UNKNOWN && f->detail.n)
        return hash64(f->detail);
    if (f->result != EA_FAIL)
        return 0;
    ea_buf_clear(b);
    for (unsigned i = 0; i < f->n_failures; i++) {
        const struct ea_failure *x = &f->failures[i];

        ea_buf_addf(b, "%u\n", x->validation);
        ea_buf_adds(b, x->key_path.n ? x->key_path : x->path);
        ea_buf_addc(b, '\n');
        ea_buf_adds(b, x->value);
        ea_buf_addc(b, '\n');
        ea_buf_adds(b, x->message);
        ea_buf_addc(b, '\n');
    }
    ea_buf_addf(b, "%u\n", f->n_more);
    return hash64(ea_buf_str(b));
}

static size_t size_of(uint32_t n)
{
    return sizeof(struct verdict) + n * sizeof(struct verdict_entry);
}

static bool same(const struct verdict *v, const struct ea_ruleset *rules, uint64_t hash,
                 const struct verdict_entry *e, uint32_t n)
{
    return v->hash == hash && v->n == n && v->rules == rules &&
           memcmp(v->e, e, n * sizeof(*e)) == 0;
}

static void grow(struct verdict_pool *p)
{
    struct verdict **old = p->buckets;
    size_t was = p->size;

    p->size *= 2;
    p->buckets = ea_xalloc(p->size * sizeof(*p->buckets));
    for (size_t i = 0; i < was; i++) {
        while (old[i]) {
            struct verdict *v = old[i];

            old[i] = v->next;
            v->next = p->buckets[v->hash & (p->size - 1)];
            p->buckets[v->hash & (p->size - 1)] = v;
        }
    }
    free(old);
}

static struct verdict *intern(struct verdict_pool *p, const struct ea_ruleset *rules, uint64_t hash,
                              const struct verdict_entry *e, uint32_t n)
{
    struct verdict *v = p->buckets[hash & (p->size - 1)];

    while (v && !same(v, rules, hash, e, n))
        v = v->next;
    if (v)
        return verdict_ref(v);
    if (p->n >= p->size)
        grow(p);
    v = ea_xalloc(size_of(n));
    v->refs = 1;
    v->n = n;
    v->hash = hash;
    v->rules = rules;
    memcpy(v->e, e, n * sizeof(*e));
    v->next = p->buckets[hash & (p->size - 1)];
    p->buckets[hash & (p->size - 1)] = v;
    p->n++;
    p->bytes += size_of(n);
    return v;
}

struct verdict *verdict_take(struct verdict_pool *p, const struct ea_ruleset *rules,
                             const struct ea_findings *f, struct ea_arena *scratch)
{
    struct verdict_entry *e = ea_arena_zalloc(scratch, (f->n + 1) * sizeof(*e));
    struct verdict *v;
    struct ea_buf b, all;

    if (f->n == 0 || !e)
        return NULL;
    ea_buf_init(&b, HASH_TEXT);
    ea_buf_init(&all, HASH_TEXT);
    for (unsigned i = 0; i < f->n; i++) {
        const struct ea_finding *x = &f->f[i];

        e[i].control = (uint16_t)(x->control - rules->controls);
        e[i].result = (uint8_t)x->result;
        e[i].reason = (uint8_t)x->reason;
        e[i].flags = x->exemption ? VERDICT_EXEMPT : 0;
        e[i].hash = failures_hash(x, &b);
        ea_buf_adds(&all, x->control->id);
        ea_buf_addf(&all, " %u %u %u %llx\n", e[i].result, e[i].reason, e[i].flags,
                    (unsigned long long)e[i].hash);
    }
    v = intern(p, rules, hash64(ea_buf_str(&all)), e, f->n);
    ea_buf_done(&b);
    ea_buf_done(&all);
    return v;
}

struct verdict *verdict_ref(struct verdict *v)
{
    if (v)
        v->refs++;
    return v;
}

void verdict_unref(struct verdict_pool *p, struct verdict *v)
{
    struct verdict **at;

    if (!v || --v->refs)
        return;
    at = &p->buckets[v->hash & (p->size - 1)];
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    p->n--;
    p->bytes -= size_of(v->n);
    free(v);
}

const struct verdict_entry *verdict_find(const struct verdict *v, struct ea_str control)
{
    uint32_t lo = 0, hi = v ? v->n : 0;

    while (lo < hi) { /* in order of control id, as the rule set is */
        uint32_t mid = lo + (hi - lo) / 2;
        int c = ea_str_cmp(control, verdict_control(v, mid)->id);

        if (c == 0)
            return &v->e[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

bool verdict_entry_same(const struct verdict_entry *a, const struct verdict_entry *b)
{
    if (!a || !b)
        return a == b;
    return a->result == b->result && a->reason == b->reason && a->flags == b->flags &&
           a->hash == b->hash;
}
