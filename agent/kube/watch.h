/* kube/watch.h - an informer: list and watch a set of resources for ever, keep their store, tell
 * what changed.
 *
 * Thread:  start, stop are [owner]; the rest is [any]. Each watch has a thread (512 KiB stack, of
 *          which little is touched) and one connection; events leave one at a time, under one
 *          lock, in the order of the store. About 25 watches are usual.
 * Owns:    threads and connections; the store is the caller's and must outlive it. Event contents
 *          are borrowed for the call.
 * Limits:  EA_MAX_OBJECT an object: a larger one is reported (gap `object-too-large`), never
 *          dropped silently; EA_MAX_WATCHES.
 * Never:   interprets a resourceVersion, ends by itself, gives up.
 * Source:  Kubernetes API concepts "Efficient detection of changes"; client-go reflector (back-off
 *          0.8 s doubling to 30 s with jitter, reset after two minutes of peace).
 */
#ifndef EA_KUBE_WATCH_H
#define EA_KUBE_WATCH_H

#include "kube/client.h"

enum ea_kube_event_type {
    EA_KUBE_UPSERT, /* an object appeared or changed */
    EA_KUBE_DELETE, /* it is gone (object: its last state when known, else NULL) */
    EA_KUBE_SYNCED, /* the resource was listed whole; what was not told since the last list is gone
                       (deletes were sent) */
    EA_KUBE_GAP_OPENED, /* it cannot be observed: reason, from */
    EA_KUBE_GAP_CLOSED  /* it can again; complete: every change in between was told, else states in
                           between may be missing */
};

/* Any source of objects tells through this: watches, and the directory source of audit/. */
struct ea_kube_event {
    enum ea_kube_event_type type;
    const struct ea_kube_res *res;
    struct ea_str key; /* metadata.uid, or what the source made up; one object, one key */
    struct ea_str ns, name, rv;
    const struct ea_val *object;
    bool initial;       /* part of a list, not of a change */
    const char *reason; /* of a gap: connection, forbidden, not-found, expired, server-error,
                           unauthorized, object-too-large, object-unreadable, unreadable-file */
    ea_wall_us from;    /* of a gap: last time that the resource was heard */
    bool complete;
    struct ea_str file; /* directory source: where it stands; else empty */
    unsigned document, item, line;
    bool has_item;
};

struct ea_kube_want {
    struct ea_kube_res res;
    const char *label_selector, *field_selector; /* NULL = all */
    bool keep_json;
};

struct ea_informer_opts {
    struct ea_kube_config *config; /* shared */
    struct ea_store *store;        /* gets one table for each want, in order */
    const struct ea_kube_want *want;
    unsigned n_want;
    void (*event)(void *arg, const struct ea_kube_event *e);
    void *arg;
    unsigned gap_after_ms; /* silence by a broken connection that counts as a gap; 0 = 10 s */
    unsigned watch_s;      /* 0 = random 300..600; tests */
};

struct ea_informer;
EA_MUST_CHECK int ea_informer_start(const struct ea_informer_opts *o, struct ea_informer **ret,
                                    struct ea_err *err);
/* Every resource that can be observed was listed at least once. */
bool ea_informer_synced(const struct ea_informer *i);
/* Microseconds since the quietest watch that can be observed was last heard while it was connected:
 * 0 for connected ones (a quiet watch is not stale), the time since the connection broke for
 * others. UINT64_MAX before the first list. */
uint64_t ea_informer_stale_us(const struct ea_informer *i);

enum ea_watch_state {
    EA_WATCH_LISTING,
    EA_WATCH_WATCHING,
    EA_WATCH_RETRYING,
    EA_WATCH_FORBIDDEN,
    EA_WATCH_ABSENT,
    EA_WATCH_STATE_COUNT
};
extern const char *const
    ea_watch_state_names[EA_WATCH_STATE_COUNT]; /* listing watching retrying forbidden absent */
struct ea_watch_stat {
    const struct ea_kube_res *res;
    enum ea_watch_state state;
    uint64_t lists, restarts, events, skipped;
    char error[256]; /* the last one, empty when none */
};
unsigned ea_informer_watches(const struct ea_informer *i);
void ea_informer_stat(const struct ea_informer *i, unsigned n, struct ea_watch_stat *ret);
/* Ends all threads (within about half a second), frees. No event comes after it. */
void ea_informer_stop(struct ea_informer *i);

/* ---- for sources that are no watch, and tests ---- */

/* The object as it is kept: compact JSON without metadata.managedFields, with apiVersion and kind.
 * -EINVAL (no name). */
EA_MUST_CHECK int ea_kube_compact(const struct ea_val *object, const struct ea_kube_res *res,
                                  struct ea_arena *a, struct ea_val *ret_doc, struct ea_buf *json,
                                  struct ea_object_in *ret, struct ea_err *err);

#endif
