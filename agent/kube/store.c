/* kube/store.c - tables of objects: open addressing over pointers, keyed by namespace and name. */
#include "kube/store.h"

#include "base/limits.h"
#include "doc/json.h"
#include "kube/pack.h"

#include <pthread.h>

struct table {
    char *group, *version, *resource, *kind;
    struct ea_kube_res res;
    bool keep_json, synced;
    struct ea_object **slots; /* NULL = free */
    size_t size, n;           /* size: power of two or 0 */
    size_t json_bytes, bytes;
    uint32_t mark;
    _Atomic ea_mono_us heard;
};

struct ea_store {
    pthread_rwlock_t lock;
    struct kube_packer *packer;
    struct table *tables[EA_MAX_WATCHES];
    _Atomic unsigned n; /* tables[0..n) are complete and never move */
};

struct ea_object *ea_object_ref(struct ea_object *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void ea_object_unref(struct ea_object *o)
{
    if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        free(o);
}

int ea_object_json(const struct ea_object *o, struct ea_arena *a, struct ea_str *ret)
{
    const char *kept = o->bytes + o->ns_n + o->name_n + o->uid_n + o->rv_n + 4;
    char *text;

    if (o->store_n == o->json_n) {
        *ret = ea_strn(kept, o->json_n);
        return 0;
    }
    text = ea_arena_alloc(a, o->json_n + 1u);
    if (!text || kube_unpack(ea_strn(kept, o->store_n), text, o->json_n) < 0)
        return -E2BIG; /* what we packed ourselves unpacks: only the arena can be too small */
    text[o->json_n] = 0;
    *ret = ea_strn(text, o->json_n);
    return 0;
}

int ea_object_parse(const struct ea_object *o, struct ea_arena *a, struct ea_val *ret)
{
    struct ea_str text;
    int rc;

    if (!o->json_n)
        return -ENODATA;
    rc = ea_object_json(o, a, &text);
    return rc ? rc : ea_json_parse(a, text, NULL, ret, NULL, NULL);
}

struct ea_store *ea_store_new(void)
{
    struct ea_store *s = ea_xalloc(sizeof(*s));

    pthread_rwlock_init(&s->lock, NULL);
    s->packer = kube_packer_new();
    return s;
}

static void table_free(struct table *t)
{
    for (size_t i = 0; i < t->size; i++)
        ea_object_unref(t->slots[i]);
    free(t->slots);
    free(t->group);
    free(t->version);
    free(t->resource);
    free(t->kind);
    free(t);
}

void ea_store_free(struct ea_store *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        table_free(s->tables[i]);
    pthread_rwlock_destroy(&s->lock);
    kube_packer_free(s->packer);
    free(s);
}

int ea_store_add(struct ea_store *s, const struct ea_kube_res *res, bool keep_json)
{
    struct table *t;
    int id = -E2BIG;

    t = ea_xalloc(sizeof(*t));
    t->group = ea_str_dupz(ea_str(res->group));
    t->version = ea_str_dupz(ea_str(res->version));
    t->resource = ea_str_dupz(ea_str(res->resource));
    t->kind = ea_str_dupz(ea_str(res->kind ? res->kind : ""));
    t->keep_json = keep_json;
    t->res = (struct ea_kube_res){t->group, t->version, t->resource, t->kind, res->namespaced};
    atomic_init(&t->heard, 0);
    pthread_rwlock_wrlock(&s->lock);
    if (s->n < EA_MAX_WATCHES) {
        id = (int)s->n;
        s->tables[id] = t;
        s->n++;
    }
    pthread_rwlock_unlock(&s->lock);
    if (id < 0)
        table_free(t);
    return id;
}

unsigned ea_store_tables(const struct ea_store *s)
{
    return s->n;
}

const struct ea_kube_res *ea_store_res(const struct ea_store *s, unsigned table)
{
    return &s->tables[table]->res;
}

int ea_store_find_table(const struct ea_store *s, struct ea_str api_version, struct ea_str kind)
{
    struct ea_str version, group = ea_str_cut(api_version, '/', &version);

    if (!version.p) {
        version = group;
        group = EA_STR("");
    }
    for (unsigned i = 0; i < s->n; i++) {
        const struct ea_kube_res *r = &s->tables[i]->res;

        if (ea_str_is(kind, r->kind) && ea_str_is(group, r->group) &&
            ea_str_is(version, r->version))
            return (int)i;
    }
    return -ENOENT;
}

/* ---- the hash table ---- */

static uint64_t hash_name(struct ea_str ns, struct ea_str name)
{
    return ea_hash(name.p, name.n) * 31 + (ns.n ? ea_hash(ns.p, ns.n) : 0);
}

static bool is_named(const struct ea_object *o, struct ea_str ns, struct ea_str name)
{
    return o->name_n == name.n && o->ns_n == ns.n && ea_str_eq(ea_object_name(o), name) &&
           ea_str_eq(ea_object_ns(o), ns);
}

static size_t slot_of(const struct table *t, struct ea_str ns, struct ea_str name)
{
    size_t i = hash_name(ns, name) & (t->size - 1);

    while (t->slots[i] && !is_named(t->slots[i], ns, name))
        i = (i + 1) & (t->size - 1);
    return i;
}

static void grow(struct table *t)
{
    struct ea_object **old = t->slots;
    size_t was = t->size;

    t->size = was ? was * 2 : 16;
    t->slots = ea_xalloc(t->size * sizeof(*t->slots));
    for (size_t i = 0; i < was; i++) {
        if (old[i])
            t->slots[slot_of(t, ea_object_ns(old[i]), ea_object_name(old[i]))] = old[i];
    }
    free(old);
}

/* Closes the hole at i so that no probe sequence breaks (Knuth 6.4 R). */
static void remove_slot(struct table *t, size_t i)
{
    size_t j = i;

    t->slots[i] = NULL;
    t->n--;
    for (;;) {
        j = (j + 1) & (t->size - 1);
        if (!t->slots[j])
            return;
        size_t home =
            hash_name(ea_object_ns(t->slots[j]), ea_object_name(t->slots[j])) & (t->size - 1);
        bool stays = i <= j ? (i < home && home <= j) : (i < home || home <= j);

        if (stays)
            continue;
        t->slots[i] = t->slots[j];
        t->slots[j] = NULL;
        i = j;
    }
}

static size_t object_size(const struct ea_object *o)
{
    return sizeof(*o) + o->ns_n + o->name_n + o->uid_n + o->rv_n + o->store_n + 5u;
}

static char *put_str(char *at, struct ea_str s)
{
    if (s.n)
        memcpy(at, s.p, s.n);
    at[s.n] = 0;
    return at + s.n + 1;
}

static struct ea_object *make_object(struct ea_store *s, unsigned table,
                                     const struct ea_object_in *in)
{
    struct ea_str json = s->tables[table]->keep_json ? in->json : EA_STR("");
    struct ea_str kept = json;
    struct ea_buf packed;
    struct ea_object *o;
    char *at;

    ea_buf_init(&packed, json.n + 64);
    if (kube_pack(s->packer, json, &packed) == 0)
        kept = ea_buf_str(&packed);
    o = ea_xalloc(sizeof(*o) + in->ns.n + in->name.n + in->uid.n + in->rv.n + kept.n + 5);
    atomic_init(&o->refs, 1);
    o->table = (uint16_t)table;
    o->ns_n = (uint16_t)in->ns.n;
    o->name_n = (uint16_t)in->name.n;
    o->uid_n = (uint8_t)in->uid.n;
    o->rv_n = (uint8_t)in->rv.n;
    o->json_n = (uint32_t)json.n;
    o->store_n = (uint32_t)kept.n;
    at = put_str(o->bytes, in->ns);
    at = put_str(at, in->name);
    at = put_str(at, in->uid);
    at = put_str(at, in->rv);
    (void)put_str(at, kept);
    ea_buf_done(&packed);
    return o;
}

int ea_store_put(struct ea_store *s, unsigned table, const struct ea_object_in *in,
                 struct ea_object **ret_old, bool *ret_changed)
{
    struct table *t = s->tables[table];
    struct ea_object *o, *old;
    size_t i;

    if (in->name.n > 1024 || in->ns.n > 1024 || in->uid.n > 255 || in->rv.n > 255 ||
        in->json.n > UINT32_MAX / 2)
        return -E2BIG;
    o = make_object(s, table, in);
    pthread_rwlock_wrlock(&s->lock);
    if (t->n * 10 >= t->size * 7)
        grow(t);
    i = slot_of(t, in->ns, in->name);
    old = t->slots[i];
    if (old && in->rv.n && ea_str_eq(ea_object_uid(old), in->uid) &&
        ea_str_eq(ea_object_rv(old), in->rv)) {
        old->mark = t->mark;
        pthread_rwlock_unlock(&s->lock);
        ea_object_unref(o);
        *ret_old = NULL;
        *ret_changed = false;
        return 0;
    }
    o->mark = t->mark;
    t->slots[i] = o;
    t->n += old ? 0 : 1;
    t->json_bytes += o->json_n - (old ? old->json_n : 0);
    t->bytes += object_size(o) - (old ? object_size(old) : 0);
    pthread_rwlock_unlock(&s->lock);
    *ret_old = old;
    *ret_changed = true;
    return 0;
}

static struct ea_object *take(struct table *t, size_t i)
{
    struct ea_object *o = t->slots[i];

    t->json_bytes -= o->json_n;
    t->bytes -= object_size(o);
    remove_slot(t, i);
    return o;
}

struct ea_object *ea_store_del(struct ea_store *s, unsigned table, struct ea_str ns,
                               struct ea_str name)
{
    struct table *t = s->tables[table];
    struct ea_object *o = NULL;

    pthread_rwlock_wrlock(&s->lock);
    if (t->size) {
        size_t i = slot_of(t, ns, name);

        if (t->slots[i])
            o = take(t, i);
    }
    pthread_rwlock_unlock(&s->lock);
    return o;
}

void ea_store_begin(struct ea_store *s, unsigned table)
{
    pthread_rwlock_wrlock(&s->lock);
    s->tables[table]->mark++;
    pthread_rwlock_unlock(&s->lock);
}

void ea_store_sweep(struct ea_store *s, unsigned table,
                    void (*gone)(void *arg, struct ea_object *o), void *arg)
{
    struct table *t = s->tables[table];
    struct ea_object **dead;
    size_t n = 0, i = 0;

    pthread_rwlock_wrlock(&s->lock);
    dead = ea_xalloc((t->n + 1) * sizeof(*dead));
    while (i < t->size) {
        if (t->slots[i] && t->slots[i]->mark != t->mark)
            dead[n++] = take(t, i); /* another object may have moved here: look again */
        else
            i++;
    }
    pthread_rwlock_unlock(&s->lock);
    for (i = 0; i < n; i++) {
        gone(arg, dead[i]);
        ea_object_unref(dead[i]);
    }
    free(dead);
}

struct ea_object *ea_store_find(const struct ea_store *s, unsigned table, struct ea_str ns,
                                struct ea_str name)
{
    struct table *t = s->tables[table];
    struct ea_object *o = NULL;

    pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
    if (t->size)
        o = t->slots[slot_of(t, ns, name)];
    if (o)
        ea_object_ref(o);
    pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
    return o;
}

struct ea_object **ea_store_list(const struct ea_store *s, unsigned table, struct ea_str ns,
                                 size_t cap, size_t *ret_n, bool *ret_cut)
{
    struct table *t = s->tables[table];
    struct ea_object **l;
    size_t n = 0;
    bool cut = false;

    pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
    l = ea_xalloc((EA_MIN(t->n, cap) + 1) * sizeof(*l));
    for (size_t i = 0; i < t->size && !cut; i++) {
        if (!t->slots[i] || (ns.n && !ea_str_eq(ea_object_ns(t->slots[i]), ns)))
            continue;
        if (n == cap)
            cut = true;
        else
            l[n++] = ea_object_ref(t->slots[i]);
    }
    pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
    *ret_n = n;
    *ret_cut = cut;
    return l;
}

/* ---- freshness ---- */

void ea_store_set_synced(struct ea_store *s, unsigned table, bool synced)
{
    pthread_rwlock_wrlock(&s->lock);
    s->tables[table]->synced = synced;
    pthread_rwlock_unlock(&s->lock);
}

bool ea_store_synced(const struct ea_store *s, unsigned table)
{
    bool r;

    pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
    r = s->tables[table]->synced;
    pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
    return r;
}

void ea_store_touch(struct ea_store *s, unsigned table)
{
    atomic_store_explicit(&s->tables[table]->heard, ea_mono_now(), memory_order_relaxed);
}

uint64_t ea_store_age_us(const struct ea_store *s, unsigned table)
{
    ea_mono_us heard = atomic_load_explicit(&s->tables[table]->heard, memory_order_relaxed);
    ea_mono_us now = ea_mono_now();

    if (!heard)
        return UINT64_MAX;
    return now > heard ? now - heard : 0;
}

void ea_store_stat(const struct ea_store *s, unsigned table, struct ea_store_stat *ret)
{
    const struct table *t = s->tables[table];

    pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
    *ret = (struct ea_store_stat){t->n, t->json_bytes, t->bytes + t->size * sizeof(*t->slots)};
    pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
}
