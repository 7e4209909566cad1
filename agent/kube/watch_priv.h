/* kube/watch_priv.h - one watch: watch.c keeps it up, apply.c brings its objects into the store.
 *
 * Thread:  a watch belongs to its thread; what others read is atomic or under `lock`.
 */
#ifndef EA_KUBE_WATCH_PRIV_H
#define EA_KUBE_WATCH_PRIV_H

#include "base/metrics.h"
#include "kube/watch.h"

#include <pthread.h>

struct kube_backoff {
    uint64_t next_us;
    ea_mono_us last;
};
/* How long to wait after a failure now. */
uint64_t kube_backoff_next(struct kube_backoff *b, ea_mono_us now);

struct kube_watch {
    struct ea_informer *owner;
    struct ea_kube_want want;
    unsigned table;
    pthread_t thread;
    struct ea_kube *kube;
    struct ea_arena arena;
    struct ea_buf json;
    struct kube_backoff backoff;
    char rv[256]; /* resume point; "" = list */
    bool in_list; /* objects come from a list */
    bool gap_open,
        skip_gap; /* skip_gap: an object could not be read; ends with a list that could */
    bool skipped_now;
    unsigned too_new; /* times in a row that the server did not know our version yet */
    ea_wall_us heard_wall;
    ea_mono_us listed_at;
    uint64_t retry_after_ms;
    _Atomic ea_mono_us broken_at; /* 0 = connected */
    _Atomic int state;
    _Atomic bool listed;
    _Atomic uint64_t lists, restarts, events, skipped;
    pthread_mutex_t lock; /* error */
    char error[256];
    struct ea_metric *m_events[3], *m_restarts, *m_skipped, *m_objects;
};

struct ea_informer {
    struct ea_informer_opts o;
    struct kube_watch *w;
    unsigned n;
    pthread_mutex_t dispatch; /* events leave one at a time */
    _Atomic bool stopping;
};

/* One object of a list or watch event. 0 or a code that ends the stream; unreadable objects are
 * counted, not fatal. */
int kube_apply(struct kube_watch *w, const struct ea_val *object, bool deleted);
int kube_apply_bytes(struct kube_watch *w, struct ea_str bytes);
/* An object that could not be taken. */
void kube_skip(struct kube_watch *w, const char *reason, struct ea_str head);
void kube_swept(void *arg, struct ea_object *o);
void kube_gap_open(struct kube_watch *w, const char *reason);
void kube_gap_close(struct kube_watch *w, bool complete);
void kube_heard(struct kube_watch *w);

#endif
