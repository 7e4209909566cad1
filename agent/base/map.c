#include "base/map.h"

static char gone; /* address marks a deleted slot */

void ea_map_init(struct ea_map *m)
{
    *m = (struct ea_map){0};
}

static bool is_live(const struct ea_map_slot *s)
{
    return s->key && s->value != &gone;
}

void ea_map_done(struct ea_map *m, void (*free_value)(void *))
{
    for (size_t i = 0; i < m->size; i++) {
        if (is_live(&m->slots[i]) && free_value)
            free_value(m->slots[i].value);
        free(m->slots[i].key);
    }
    free(m->slots);
    *m = (struct ea_map){0};
}

static struct ea_map_slot *slot_of(const struct ea_map *m, struct ea_str key, uint64_t hash,
                                   struct ea_map_slot **ret_free)
{
    struct ea_map_slot *first_gone = NULL;

    if (m->size == 0)
        return NULL;
    for (size_t i = hash & (m->size - 1);; i = (i + 1) & (m->size - 1)) {
        struct ea_map_slot *s = &m->slots[i];

        if (!s->key) {
            if (ret_free)
                *ret_free = first_gone ? first_gone : s;
            return NULL;
        }
        if (s->value == &gone) {
            first_gone = first_gone ? first_gone : s;
            continue;
        }
        if (s->hash == hash && s->key_n == key.n &&
            (key.n == 0 || memcmp(s->key, key.p, key.n) == 0))
            return s;
    }
}

static void grow(struct ea_map *m)
{
    struct ea_map old = *m;

    m->size = old.n * 2 >= old.size ? (old.size ? old.size * 2 : 16) : old.size;
    m->slots = ea_xalloc(m->size * sizeof(*m->slots));
    m->used = m->n;
    for (size_t i = 0; i < old.size; i++) {
        if (!is_live(&old.slots[i])) {
            free(old.slots[i].key);
            continue;
        }
        size_t at = old.slots[i].hash & (m->size - 1);

        while (m->slots[at].key)
            at = (at + 1) & (m->size - 1);
        m->slots[at] = old.slots[i];
    }
    free(old.slots);
}

void *ea_map_find(const struct ea_map *m, struct ea_str key)
{
    struct ea_map_slot *s = slot_of(m, key, ea_hash(key.p, key.n), NULL);

    return s ? s->value : NULL;
}

void *ea_map_put(struct ea_map *m, struct ea_str key, void *value)
{
    uint64_t hash = ea_hash(key.p, key.n);

    if ((m->used + 1) * 4 > m->size * 3)
        grow(m);
    struct ea_map_slot *at = NULL, *s = slot_of(m, key, hash, &at);

    if (s) {
        void *old = s->value;

        s->value = value;
        return old;
    }
    if (at->key)
        free(at->key);
    else
        m->used++;
    *at = (struct ea_map_slot){hash, ea_str_dupz(key), key.n, value};
    m->n++;
    return NULL;
}

void *ea_map_del(struct ea_map *m, struct ea_str key)
{
    struct ea_map_slot *s = slot_of(m, key, ea_hash(key.p, key.n), NULL);

    if (!s)
        return NULL;
    void *old = s->value;

    s->value = &gone;
    m->n--;
    return old;
}

bool ea_map_next(const struct ea_map *m, size_t *i, struct ea_str *ret_key, void **ret_value)
{
    for (; *i < m->size; (*i)++) {
        const struct ea_map_slot *s = &m->slots[*i];

        if (!is_live(s))
            continue;
        if (ret_key)
            *ret_key = ea_strn(s->key, s->key_n);
        if (ret_value)
            *ret_value = s->value;
        (*i)++;
        return true;
    }
    return false;
}
