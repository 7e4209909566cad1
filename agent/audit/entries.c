/* audit/entries.c - uid -> judged object. */
#include "audit/audit_priv.h"

void entries_init(struct entries *t)
{
    t->size = 1024;
    t->n = 0;
    t->buckets = ea_xalloc(t->size * sizeof(*t->buckets));
}

static size_t bucket_of(const struct entries *t, struct ea_str uid)
{
    return ea_hash(uid.p, uid.n) & (t->size - 1);
}

struct entry *entries_find(const struct entries *t, struct ea_str uid)
{
    struct entry *e = t->buckets[bucket_of(t, uid)];

    while (e && !ea_str_eq(ea_object_uid(e->object), uid))
        e = e->next;
    return e;
}

static void grow(struct entries *t)
{
    struct entry **old = t->buckets;
    size_t was = t->size;

    t->size *= 2;
    t->buckets = ea_xalloc(t->size * sizeof(*t->buckets));
    for (size_t i = 0; i < was; i++) {
        while (old[i]) {
            struct entry *e = old[i];
            size_t b = bucket_of(t, ea_object_uid(e->object));

            old[i] = e->next;
            e->next = t->buckets[b];
            t->buckets[b] = e;
        }
    }
    free(old);
}

struct entry *entries_get(struct entries *t, struct ea_object *o)
{
    struct entry *e = entries_find(t, ea_object_uid(o));
    size_t b;

    if (e)
        return e;
    if (t->n >= t->size)
        grow(t);
    e = ea_xalloc(sizeof(*e));
    e->object = ea_object_ref(o);
    b = bucket_of(t, ea_object_uid(o));
    e->next = t->buckets[b];
    t->buckets[b] = e;
    t->n++;
    return e;
}

void entries_del(struct entries *t, struct entry *e)
{
    struct entry **at = &t->buckets[bucket_of(t, ea_object_uid(e->object))];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    t->n--;
    ea_object_unref(e->object);
    free(e);
}

struct entry *entries_next(const struct entries *t, size_t *bucket, struct entry *last)
{
    struct entry *e = last;

    while (!e && *bucket < t->size)
        e = t->buckets[(*bucket)++];
    return e;
}
