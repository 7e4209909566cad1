/* kube/watch.c - keeps a watch up: list, watch, resume, list again. One thread each; this is where
 * it logs. */
#include "base/limits.h"
#include "base/log.h"
#include "doc/json.h"
#include "kube/list.h"
#include "kube/scan.h"
#include "kube/watch_priv.h"

#include <stdio.h>

#define STACK_BYTES (512u << 10)
#define BACKOFF_MIN_US 800000ull
#define BACKOFF_MAX_US 30000000ull
#define BACKOFF_RESET_US 120000000ull
#define SLOW_US 60000000ull /* forbidden or absent: somebody must change something first */
#define TOO_NEW_TRIES 3u
#define SKIP_RELIST_US (1800ull * 1000000) /* look again at what could not be read */
#define GUARD_MS 10000u /* after timeoutSeconds the server must have ended the stream */

const char *const ea_watch_state_names[EA_WATCH_STATE_COUNT] = {"listing", "watching", "retrying",
                                                                "forbidden", "absent"};

uint64_t kube_backoff_next(struct kube_backoff *b, ea_mono_us now)
{
    uint64_t us;

    if (!b->next_us || now - b->last > BACKOFF_RESET_US)
        b->next_us = BACKOFF_MIN_US;
    us = b->next_us;
    b->next_us = EA_MIN(us * 2, BACKOFF_MAX_US);
    b->last = now;
    us = ea_kube_jitter(us);
    return EA_MIN(us, BACKOFF_MAX_US + BACKOFF_MIN_US);
}

static bool stopping(void *arg)
{
    return atomic_load(&((struct ea_informer *)arg)->stopping);
}

static void set_state(struct kube_watch *w, enum ea_watch_state s)
{
    atomic_store(&w->state, (int)s);
}

static void set_error(struct kube_watch *w, const char *text)
{
    pthread_mutex_lock(&w->lock);
    (void)snprintf(w->error, sizeof(w->error), "%.255s", text);
    pthread_mutex_unlock(&w->lock);
}

/* ---- list ---- */

static int list_object(void *arg, struct ea_str bytes)
{
    struct kube_watch *w = arg;

    if (stopping(w->owner))
        return -ECANCELED;
    return kube_apply_bytes(w, bytes);
}

static int list_oversize(void *arg, struct ea_str head, uint64_t size)
{
    (void)size;
    kube_skip(arg, "object-too-large", head);
    return 0;
}

static void list_restart(void *arg)
{
    struct kube_watch *w = arg;

    ea_store_begin(w->owner->o.store, w->table);
    w->skipped_now = false;
}

static int do_list(struct kube_watch *w, struct ea_err *err)
{
    struct ea_list_opts o = {.label_selector = w->want.label_selector,
                             .field_selector = w->want.field_selector,
                             .object = list_object,
                             .oversize = list_oversize,
                             .restart = list_restart,
                             .arg = w};
    struct ea_kube_event e = {.type = EA_KUBE_SYNCED,
                              .res = ea_store_res(w->owner->o.store, w->table)};
    char rv[256];
    int rc;

    if (atomic_load(&w->state) == EA_WATCH_RETRYING)
        set_state(w, EA_WATCH_LISTING);
    w->in_list = true;
    list_restart(w);
    rc = ea_kube_list(w->kube, &w->want.res, &o, rv, &w->retry_after_ms, err);
    if (rc == 0 && !rv[0])
        rc = ea_fail(err, -EINVAL, "list %s: no resourceVersion", w->want.res.resource);
    if (rc == 0) {
        memcpy(w->rv, rv, sizeof(rv));
        w->listed_at = ea_mono_now();
        w->skip_gap = w->skipped_now;
        pthread_mutex_lock(&w->owner->dispatch);
        /* an object that could not be read is not gone: without a whole list nothing is */
        if (!w->skipped_now)
            ea_store_sweep(w->owner->o.store, w->table, kube_swept, w);
        ea_store_set_synced(w->owner->o.store, w->table, true);
        w->owner->o.event(w->owner->o.arg, &e);
        pthread_mutex_unlock(&w->owner->dispatch);
        atomic_fetch_add(&w->lists, 1);
        atomic_store(&w->listed, true);
        kube_heard(w);
        kube_gap_close(w, false);
    }
    w->in_list = false;
    return rc;
}

/* ---- watch ---- */

struct stream {
    struct kube_watch *w;
    struct ea_stream_scan scan;
    struct ea_buf body; /* of a refusal */
    long status;
    uint64_t retry_after_ms, values;
    struct ea_err refusal; /* what an ERROR event said */
};

static int on_status(void *arg, const struct ea_http_reply *head)
{
    struct stream *s = arg;

    s->status = head->status;
    s->retry_after_ms = head->retry_after_ms;
    if (head->status == 200) {
        atomic_store(&s->w->broken_at, 0);
        set_state(s->w, EA_WATCH_WATCHING);
        set_error(s->w, "");
        kube_heard(s->w);
        kube_gap_close(s->w, true);
    }
    return 0;
}

static bool has_cause(const struct ea_val *status, const char *reason)
{
    const struct ea_val *l = ea_val_path(status, "details.causes");

    for (size_t i = 0; ea_val_is(l, EA_V_LIST) && i < l->n; i++) {
        if (ea_str_is(ea_val_get_str(ea_val_at(l, i), "reason"), reason))
            return true;
    }
    return false;
}

/* A Status in place of an object. */
static int refused(struct kube_watch *w, const struct ea_val *status, struct ea_err *err)
{
    int64_t code = ea_val_get_int(status, "code", 500);
    struct ea_str reason = ea_val_get_str(status, "reason"),
                  text = ea_val_get_str(status, "message");
    int rc = -EIO;

    if (code == 410 || ea_str_is(reason, "Expired") || ea_str_is(reason, "Gone")) {
        rc = -ESTALE;
    } else if (code == 504 && has_cause(status, "ResourceVersionTooLarge")) {
        rc = ++w->too_new >= TOO_NEW_TRIES ? -ESTALE : -ETIME;
    } else if (code == 401 || code == 403) {
        rc = -EACCES;
    } else if (code == 404) {
        rc = -ENOENT;
    } else if (code == 429) {
        rc = -EBUSY;
    }
    return ea_fail(err, rc, "%.*s", EA_STRF(text));
}

static int on_event(void *arg, struct ea_str bytes)
{
    struct stream *s = arg;
    struct kube_watch *w = s->w;
    struct ea_val root;
    const struct ea_val *object;
    struct ea_str type, rv;
    struct ea_err err;
    int rc;

    static const char *const lazy[] = {"managedFields", NULL};
    static const struct ea_json_opts opts = {lazy, 0};

    if (stopping(w->owner))
        return -ECANCELED;
    ea_arena_reset(&w->arena);
    rc = ea_json_parse(&w->arena, bytes, &opts, &root, NULL, &err);
    type = rc ? EA_STR_NULL : ea_val_get_str(&root, "type");
    object = rc ? NULL : ea_val_getz(&root, "object");
    if (rc || !ea_val_is(object, EA_V_MAP)) {
        kube_skip(w, rc == -E2BIG ? "object-too-large" : "object-unreadable",
                  ea_strn(bytes.p, EA_MIN(bytes.n, 4096u)));
        return 0;
    }
    if (ea_str_is(type, "ERROR")) {
        return refused(w, object, &s->refusal);
    }
    kube_heard(w);
    s->values++;
    w->too_new = 0;
    rc = 0;
    if (ea_str_is(type, "ADDED") || ea_str_is(type, "MODIFIED"))
        rc = kube_apply(w, object, false);
    else if (ea_str_is(type, "DELETED"))
        rc = kube_apply(w, object, true);
    else if (!ea_str_is(type, "BOOKMARK"))
        kube_skip(w, "object-unreadable", EA_STR_NULL);
    rv = ea_val_path_str(object, "metadata.resourceVersion");
    if (rc == 0 && rv.n && rv.n < sizeof(w->rv)) {
        memcpy(w->rv, rv.p, rv.n);
        w->rv[rv.n] = 0;
    }
    return rc;
}

static int on_oversize(void *arg, struct ea_str head, uint64_t size)
{
    struct stream *s = arg;

    (void)size;
    kube_skip(s->w, "object-too-large", head);
    return 0;
}

static int on_data(void *arg, const char *p, size_t n)
{
    struct stream *s = arg;

    if (s->status != 200) {
        if (s->body.n + n <= EA_MAX_STATUS_REPLY)
            (void)ea_buf_add(&s->body, p, n);
        return 0;
    }
    return ea_stream_scan_feed(&s->scan, p, n);
}

static int watch_path(struct kube_watch *w, struct ea_buf *b, unsigned timeout_s)
{
    (void)ea_kube_path(b, &w->want.res, NULL, NULL, NULL);
    ea_buf_addf(b,
                "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=", timeout_s);
    ea_url_escape(b, ea_str(w->rv));
    if (w->want.label_selector) {
        ea_buf_addz(b, "&labelSelector=");
        ea_url_escape(b, ea_str(w->want.label_selector));
    }
    if (w->want.field_selector) {
        ea_buf_addz(b, "&fieldSelector=");
        ea_url_escape(b, ea_str(w->want.field_selector));
    }
    return ea_buf_addc(b, 0);
}

/* The answer to the request itself was a refusal. */
static int refused_stream(struct stream *s, struct ea_err *err)
{
    struct ea_val root;

    ea_arena_reset(&s->w->arena);
    if (ea_json_parse(&s->w->arena, ea_buf_str(&s->body), NULL, &root, NULL, NULL) == 0 &&
        ea_str_is(ea_val_get_str(&root, "kind"), "Status"))
        return refused(s->w, &root, err);
    return ea_kube_answer(s->status, ea_buf_str(&s->body), err);
}

static int do_watch(struct kube_watch *w, struct ea_err *err)
{
    unsigned timeout_s =
        w->owner->o.watch_s ? w->owner->o.watch_s : (unsigned)(ea_kube_jitter(300));
    struct stream s = {.w = w};
    struct ea_scan_ops ops = {on_event, on_oversize, &s};
    struct ea_http_stream hs = {on_status, on_data, NULL, &s, timeout_s * 1000 + GUARD_MS};
    ea_mono_us start = ea_mono_now();
    struct ea_buf path;
    int rc;

    ea_buf_init(&path, 4096);
    ea_buf_init(&s.body, EA_MAX_STATUS_REPLY);
    ea_stream_scan_init(&s.scan, EA_MAX_OBJECT + 4096, &ops);
    rc = watch_path(w, &path, timeout_s);
    if (rc == 0)
        rc = ea_kube_stream(w->kube, path.p, &hs, err);
    if (rc == 0 && s.status != 200)
        rc = refused_stream(&s, err);
    if (rc && s.refusal.code && err)
        *err = s.refusal;
    else if (rc == -EINVAL)
        (void)ea_fail(err, rc, "watch %s: the stream is not made of JSON objects",
                      w->want.res.resource);
    w->retry_after_ms = s.retry_after_ms;
    /* a server that ends every watch at once must not be asked in a loop */
    if (rc == 0 && s.values == 0 && ea_mono_now() - start < 1000000)
        rc = ea_fail(err, -EPIPE, "watch %s: ended at once", w->want.res.resource);
    ea_stream_scan_done(&s.scan);
    ea_buf_done(&s.body);
    ea_buf_done(&path);
    return rc;
}

/* ---- the thread ---- */

static void nap(struct kube_watch *w, uint64_t us)
{
    ea_mono_us end = ea_mono_now() + us;

    while (!stopping(w->owner)) {
        ea_mono_us now = ea_mono_now();

        if (now >= end)
            return;
        ea_sleep_us(EA_MIN(end - now, 200000ull));
        if (atomic_load(&w->listed) &&
            now - atomic_load(&w->broken_at) > w->owner->o.gap_after_ms * 1000ull)
            kube_gap_open(w, "connection");
    }
}

/* What a failure means for state, gap and resume point; how long to wait before the next try. */
static uint64_t failed(struct kube_watch *w, int rc, const struct ea_err *err)
{
    ea_mono_us now = ea_mono_now();
    bool unauthorized = ea_kube_status(w->kube) == 401;
    uint64_t us;

    atomic_fetch_add(&w->restarts, 1);
    ea_metric_add(w->m_restarts, 1);
    if (!atomic_load(&w->broken_at))
        atomic_store(&w->broken_at, now);
    set_error(w, ea_err_text(err));
    if (rc == -ESTALE) {
        w->rv[0] = 0;
        w->too_new = 0;
        kube_gap_open(w, "expired");
        return atomic_load(&w->state) == EA_WATCH_WATCHING ? 0
                                                           : kube_backoff_next(&w->backoff, now);
    }
    if (rc == -EACCES || rc == -ENOENT) {
        set_state(w, rc == -EACCES ? EA_WATCH_FORBIDDEN : EA_WATCH_ABSENT);
        kube_gap_open(w, rc == -ENOENT ? "not-found" : unauthorized ? "unauthorized" : "forbidden");
        w->rv[0] = 0; /* rights may have been missing for long */
        us = unauthorized ? kube_backoff_next(&w->backoff, now) : ea_kube_jitter(SLOW_US);
    } else {
        set_state(w, EA_WATCH_RETRYING);
        us = kube_backoff_next(&w->backoff, now);
    }
    ea_log(EA_LOG_WARN, "watch-interrupted", EA_KV_Z("resource", w->want.res.resource),
           EA_KV_Z("error", ea_err_text(err)), EA_KV_U64("retry_ms", us / 1000));
    return EA_MAX(us, w->retry_after_ms * 1000);
}

static void *watch_main(void *arg)
{
    struct kube_watch *w = arg;

    while (!stopping(w->owner)) {
        struct ea_err err = {0};
        int rc;

        w->retry_after_ms = 0;
        if (w->skip_gap && w->rv[0] && ea_mono_now() - w->listed_at > SKIP_RELIST_US)
            w->rv[0] = 0;
        rc = w->rv[0] ? do_watch(w, &err) : do_list(w, &err);
        if (rc == -ECANCELED)
            break;
        if (rc)
            nap(w, failed(w, rc, &err));
        struct ea_store_stat st;
        ea_store_stat(w->owner->o.store, w->table, &st);
        ea_metric_set(w->m_objects, (double)st.objects);
    }
    return NULL;
}

/* ---- the informer ---- */

static struct ea_metric *metric(enum ea_metric_kind kind, const char *name, const char *help,
                                const struct kube_watch *w, const char *type)
{
    struct ea_buf b;
    struct ea_metric *m;

    ea_buf_init(&b, 1024);
    ea_metric_label(&b, "resource", ea_str(w->want.res.resource));
    ea_metric_label(&b, "group", ea_str(w->want.res.group));
    if (type)
        ea_metric_label(&b, "type", ea_str(type));
    ea_buf_addc(&b, 0);
    m = ea_metric(kind, name, help, b.p);
    ea_buf_done(&b);
    return m;
}

static int watch_init(struct ea_informer *i, struct kube_watch *w, const struct ea_kube_want *want,
                      struct ea_err *err)
{
    static const char events[] = "Objects that a watch told, by kind of change";
    struct ea_kube_opts ko = {.stopping = stopping, .stopping_arg = i};
    int table = ea_store_add(i->o.store, &want->res, want->keep_json);

    if (table < 0)
        return ea_fail(err, table, "more than %u resources to watch", EA_MAX_WATCHES);
    w->owner = i;
    w->want = *want;
    w->table = (unsigned)table;
    w->want.res = *ea_store_res(i->o.store, w->table);
    w->want.label_selector =
        want->label_selector ? ea_str_dupz(ea_str(want->label_selector)) : NULL;
    w->want.field_selector =
        want->field_selector ? ea_str_dupz(ea_str(want->field_selector)) : NULL;
    w->heard_wall = ea_wall_now();
    atomic_store(&w->broken_at, ea_mono_now());
    pthread_mutex_init(&w->lock, NULL);
    ea_arena_init(&w->arena, EA_ARENA_OBJECT, 16u << 10);
    ea_buf_init(&w->json, EA_MAX_OBJECT);
    w->m_events[0] = metric(EA_COUNTER, "eucs_agent_watch_events_total", events, w, "added");
    w->m_events[1] = metric(EA_COUNTER, "eucs_agent_watch_events_total", events, w, "modified");
    w->m_events[2] = metric(EA_COUNTER, "eucs_agent_watch_events_total", events, w, "deleted");
    w->m_restarts = metric(EA_COUNTER, "eucs_agent_watch_interruptions_total",
                           "Lists and watches that failed", w, NULL);
    w->m_skipped = metric(EA_COUNTER, "eucs_agent_watch_skipped_total",
                          "Objects that could not be read or were too large", w, NULL);
    w->m_objects = metric(EA_GAUGE, "eucs_agent_watch_objects", "Objects in the store", w, NULL);
    return ea_kube_new(i->o.config, &ko, &w->kube, err);
}

static void watch_done(struct kube_watch *w)
{
    ea_kube_free(w->kube);
    ea_arena_done(&w->arena);
    ea_buf_done(&w->json);
    free((char *)w->want.label_selector);
    free((char *)w->want.field_selector);
    pthread_mutex_destroy(&w->lock);
}

static int start_thread(struct kube_watch *w, struct ea_err *err)
{
    pthread_attr_t at;
    int rc;

    pthread_attr_init(&at);
    pthread_attr_setstacksize(&at, STACK_BYTES);
    rc = pthread_create(&w->thread, &at, watch_main, w);
    pthread_attr_destroy(&at);
    return rc ? ea_fail(err, -rc, "a watch's thread: %s", strerror(rc)) : 0;
}

int ea_informer_start(const struct ea_informer_opts *o, struct ea_informer **ret,
                      struct ea_err *err)
{
    struct ea_informer *i = ea_xalloc(sizeof(*i));
    unsigned made = 0, running = 0;
    int rc = 0;

    i->o = *o;
    if (!i->o.gap_after_ms)
        i->o.gap_after_ms = 10000;
    ea_kube_config_ref(o->config);
    pthread_mutex_init(&i->dispatch, NULL);
    i->w = ea_xalloc((o->n_want + 1) * sizeof(*i->w));
    for (; made < o->n_want && rc == 0; made++)
        rc = watch_init(i, &i->w[made], &o->want[made], err);
    i->n = made;
    for (; running < i->n && rc == 0; running++) {
        rc = start_thread(&i->w[running], err);
        if (rc)
            break;
    }
    if (rc == 0) {
        *ret = i;
        return 0;
    }
    atomic_store(&i->stopping, true);
    for (unsigned k = 0; k < running; k++)
        pthread_join(i->w[k].thread, NULL);
    for (unsigned k = 0; k < made; k++)
        if (i->w[k].owner)
            watch_done(&i->w[k]);
    free(i->w);
    ea_kube_config_unref(i->o.config);
    free(i);
    return rc;
}

void ea_informer_stop(struct ea_informer *i)
{
    if (!i)
        return;
    atomic_store(&i->stopping, true);
    for (unsigned k = 0; k < i->n; k++)
        pthread_join(i->w[k].thread, NULL);
    for (unsigned k = 0; k < i->n; k++)
        watch_done(&i->w[k]);
    pthread_mutex_destroy(&i->dispatch);
    ea_kube_config_unref(i->o.config);
    free(i->w);
    free(i);
}

static bool observable(const struct kube_watch *w)
{
    int s = atomic_load(&w->state);

    return s != EA_WATCH_FORBIDDEN && s != EA_WATCH_ABSENT;
}

bool ea_informer_synced(const struct ea_informer *i)
{
    for (unsigned k = 0; k < i->n; k++) {
        if (observable(&i->w[k]) && !atomic_load(&i->w[k].listed))
            return false;
    }
    return true;
}

uint64_t ea_informer_stale_us(const struct ea_informer *i)
{
    ea_mono_us now = ea_mono_now();
    uint64_t worst = 0;

    for (unsigned k = 0; k < i->n; k++) {
        ea_mono_us broken = atomic_load(&i->w[k].broken_at);

        if (!observable(&i->w[k]))
            continue;
        if (!atomic_load(&i->w[k].listed))
            return UINT64_MAX;
        if (broken && now > broken && now - broken > worst)
            worst = now - broken;
    }
    return worst;
}

unsigned ea_informer_watches(const struct ea_informer *i)
{
    return i->n;
}

void ea_informer_stat(const struct ea_informer *i, unsigned n, struct ea_watch_stat *ret)
{
    struct kube_watch *w = &i->w[n];

    ret->res = &w->want.res;
    ret->state = (enum ea_watch_state)atomic_load(&w->state);
    ret->lists = atomic_load(&w->lists);
    ret->restarts = atomic_load(&w->restarts);
    ret->events = atomic_load(&w->events);
    ret->skipped = atomic_load(&w->skipped);
    pthread_mutex_lock(&w->lock);
    memcpy(ret->error, w->error, sizeof(ret->error));
    pthread_mutex_unlock(&w->lock);
}
