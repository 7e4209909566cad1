/* kube/store.h - what the watches saw: per resource a table from namespace/name to one compact,
 * immutable object.
 *
 * Thread:  a store is [any] (one read-write lock).
 * Owns:    objects, reference-counted: one allocation each, JSON without managedFields. A
 *          reference keeps an object after its removal.
 * Limits:  EA_MAX_WATCHES tables; memory is about 130 bytes an object beside its JSON; a table may
 *          keep no JSON at all.
 * Never:   parses, interprets a resourceVersion (compared for equality only).
 */
#ifndef EA_KUBE_STORE_H
#define EA_KUBE_STORE_H

#include "base/arena.h"
#include "base/clock.h"
#include "doc/val.h"

#include <stdatomic.h>

/* One resource of the API; the strings are borrowed by whoever takes it unless it says that it
 * copies. */
struct ea_kube_res {
    const char *group;    /* "" = core */
    const char *version;  /* "v1" */
    const char *resource; /* "deployments" */
    const char *kind; /* "Deployment"; "" = not known (custom resources say it in each object) */
    bool namespaced;
};

struct ea_object {
    atomic_uint refs;
    uint32_t json_n;  /* bytes of the JSON text */
    uint32_t store_n; /* bytes of it as kept; fewer than json_n when it is deflated */
    uint32_t mark;    /* the list that saw it last; of the store */
    uint16_t ns_n, name_n;
    uint8_t uid_n, rv_n;
    uint16_t table;
    char bytes[]; /* namespace, name, uid, resourceVersion, JSON as kept; each with a NUL */
};
static inline struct ea_str ea_object_ns(const struct ea_object *o)
{
    return ea_strn(o->bytes, o->ns_n);
}
static inline struct ea_str ea_object_name(const struct ea_object *o)
{
    return ea_strn(o->bytes + o->ns_n + 1, o->name_n);
}
static inline struct ea_str ea_object_uid(const struct ea_object *o)
{
    return ea_strn(o->bytes + o->ns_n + o->name_n + 2, o->uid_n);
}
static inline struct ea_str ea_object_rv(const struct ea_object *o)
{
    return ea_strn(o->bytes + o->ns_n + o->name_n + o->uid_n + 3, o->rv_n);
}
struct ea_object *ea_object_ref(struct ea_object *o);
void ea_object_unref(struct ea_object *o);
/* The JSON text, in the arena or a slice of the object, which must outlive it. Empty when the table
 * keeps none. 0 or -E2BIG. */
EA_MUST_CHECK int ea_object_json(const struct ea_object *o, struct ea_arena *a, struct ea_str *ret);
/* The document, parsed into the arena; the object must outlive it. 0, -ENODATA (no JSON kept),
 * -E2BIG. */
EA_MUST_CHECK int ea_object_parse(const struct ea_object *o, struct ea_arena *a,
                                  struct ea_val *ret);

struct ea_store;
struct ea_store *ea_store_new(void);
void ea_store_free(struct ea_store *s);
/* A table; the resource is copied. Its number from 0, or -E2BIG. keep_json false: names, uids and
 * versions only. */
int ea_store_add(struct ea_store *s, const struct ea_kube_res *res, bool keep_json);
unsigned ea_store_tables(const struct ea_store *s);
/* The table's resource; valid as long as the store. */
const struct ea_kube_res *ea_store_res(const struct ea_store *s, unsigned table);
/* Table of (apiVersion, kind), or -ENOENT. */
int ea_store_find_table(const struct ea_store *s, struct ea_str api_version, struct ea_str kind);

/* What is stored of one object. */
struct ea_object_in {
    struct ea_str ns, name, uid, rv, json;
};
/* Sets. *ret_old: what was there (the caller unrefs) or NULL. False when it was there already with
 * this uid and resourceVersion (it is then only marked as seen). -E2BIG when a name is longer than
 * the API allows. */
EA_MUST_CHECK int ea_store_put(struct ea_store *s, unsigned table, const struct ea_object_in *in,
                               struct ea_object **ret_old, bool *ret_changed);
/* Removes; what was there (the caller unrefs) or NULL. */
struct ea_object *ea_store_del(struct ea_store *s, unsigned table, struct ea_str ns,
                               struct ea_str name);
/* A list starts: what is not put until ea_store_sweep is gone. */
void ea_store_begin(struct ea_store *s, unsigned table);
/* Removes what no put has seen since ea_store_begin; calls gone (outside of the lock) for each. */
void ea_store_sweep(struct ea_store *s, unsigned table,
                    void (*gone)(void *arg, struct ea_object *o), void *arg);

/* Referenced (the caller unrefs) or NULL. */
struct ea_object *ea_store_find(const struct ea_store *s, unsigned table, struct ea_str ns,
                                struct ea_str name);
/* The objects of one namespace (empty: all), referenced, at most cap; *ret_n of them, *ret_cut when
 * there were more. The array is the caller's (free), and so are the references. */
struct ea_object **ea_store_list(const struct ea_store *s, unsigned table, struct ea_str ns,
                                 size_t cap, size_t *ret_n, bool *ret_cut);

/* ---- how fresh it is ---- */
void ea_store_set_synced(struct ea_store *s, unsigned table, bool synced);
bool ea_store_synced(const struct ea_store *s, unsigned table);
/* The source was heard (an event, a bookmark, a list). */
void ea_store_touch(struct ea_store *s, unsigned table);
/* Microseconds since then; UINT64_MAX = never. */
uint64_t ea_store_age_us(const struct ea_store *s, unsigned table);
struct ea_store_stat {
    size_t objects, json_bytes, bytes; /* bytes: all of it, as asked for */
};
void ea_store_stat(const struct ea_store *s, unsigned table, struct ea_store_stat *ret);

#endif
