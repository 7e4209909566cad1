/* base/map.h - hash map from bytes to a pointer.
 *
 * Thread:  [owner].
 * Owns:    copies of the keys; values belong to the caller.
 */
#ifndef EA_BASE_MAP_H
#define EA_BASE_MAP_H

#include "base/base.h"

struct ea_map_slot {
    uint64_t hash;
    char *key; /* NULL = never used; tombstones keep value EA_MAP_GONE */
    size_t key_n;
    void *value;
};

struct ea_map {
    struct ea_map_slot *slots;
    size_t size; /* power of two or 0 */
    size_t n;    /* live entries */
    size_t used; /* live entries and tombstones */
};

void ea_map_init(struct ea_map *m);
/* free_value may be NULL. */
void ea_map_done(struct ea_map *m, void (*free_value)(void *));
/* NULL when absent. */
void *ea_map_find(const struct ea_map *m, struct ea_str key);
/* Sets; returns the old value or NULL. */
void *ea_map_put(struct ea_map *m, struct ea_str key, void *value);
/* Removes; returns the old value or NULL. */
void *ea_map_del(struct ea_map *m, struct ea_str key);
/* Iterates: size_t i = 0; while (ea_map_next(&m, &i, &key, &value)) …; deleting the current key is
 * allowed. */
bool ea_map_next(const struct ea_map *m, size_t *i, struct ea_str *ret_key, void **ret_value);

#endif
