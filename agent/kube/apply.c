/* kube/apply.c - objects into the store, changes out as events. */
#include "base/limits.h"
#include "base/log.h"
#include "doc/build.h"
#include "doc/json.h"
#include "doc/print.h"
#include "kube/watch_priv.h"

static const char *const lazy_members[] = {"managedFields", NULL};
static const struct ea_json_opts object_opts = {lazy_members, 0};

/* A map without one member; values are shared. */
static struct ea_val without(struct ea_arena *a, const struct ea_val *map, struct ea_str drop,
                             const struct ea_val *instead)
{
    struct ea_mapb b;

    ea_mapb_init(&b, a);
    for (uint32_t i = 0; i < map->n; i++) {
        struct ea_str key = ea_val_text(&map->members[i].key);

        if (!ea_str_eq(key, drop))
            ea_mapb_put(&b, key, map->members[i].val);
        else if (instead)
            ea_mapb_put(&b, key, *instead);
    }
    return ea_mapb_end(&b);
}

static struct ea_val api_version_of(struct ea_arena *a, const struct ea_kube_res *res)
{
    if (res->group && *res->group)
        return ea_val_str(ea_arena_printf(a, "%s/%s", res->group, res->version));
    return ea_val_str(ea_str(res->version));
}

/* Items of a list of a built-in kind carry neither apiVersion nor kind, which controls may read. */
static struct ea_val with_type(struct ea_arena *a, const struct ea_val *object,
                               const struct ea_kube_res *res)
{
    struct ea_mapb b;

    ea_mapb_init(&b, a);
    if (!ea_val_getz(object, "apiVersion"))
        ea_mapb_putz(&b, "apiVersion", api_version_of(a, res));
    if (!ea_val_getz(object, "kind") && res->kind && *res->kind)
        ea_mapb_putz(&b, "kind", ea_val_str(ea_str(res->kind)));
    if (b.n == 0)
        return *object;
    for (uint32_t i = 0; i < object->n; i++)
        ea_mapb_put(&b, ea_val_text(&object->members[i].key), object->members[i].val);
    return ea_mapb_end(&b);
}

int ea_kube_compact(const struct ea_val *object, const struct ea_kube_res *res, struct ea_arena *a,
                    struct ea_val *ret_doc, struct ea_buf *json, struct ea_object_in *ret,
                    struct ea_err *err)
{
    const struct ea_val *meta = ea_val_getz(object, "metadata");
    struct ea_val doc, lean;

    if (!ea_val_is(meta, EA_V_MAP) || !ea_val_get_str(meta, "name").n)
        return ea_fail(err, -EINVAL, "an object of %s without metadata.name", res->resource);
    doc = *object;
    if (ea_val_find(meta, EA_STR("managedFields")) >= 0) {
        lean = without(a, meta, EA_STR("managedFields"), NULL);
        doc = without(a, &doc, EA_STR("metadata"), &lean);
    }
    doc = with_type(a, &doc, res);
    ea_buf_clear(json);
    if (ea_json_print(json, &doc) < 0)
        return ea_fail(err, -E2BIG, "an object of %s is too large", res->resource);
    *ret_doc = doc;
    *ret = (struct ea_object_in){ea_val_get_str(meta, "namespace"), ea_val_get_str(meta, "name"),
                                 ea_val_get_str(meta, "uid"),
                                 ea_val_get_str(meta, "resourceVersion"), ea_buf_str(json)};
    return 0;
}

static void emit(struct kube_watch *w, struct ea_kube_event *e)
{
    e->res = ea_store_res(w->owner->o.store, w->table);
    w->owner->o.event(w->owner->o.arg, e);
}

static void emit_gone(struct kube_watch *w, const struct ea_object *o, const struct ea_val *last)
{
    struct ea_kube_event e = {.type = EA_KUBE_DELETE,
                              .key = ea_object_uid(o),
                              .ns = ea_object_ns(o),
                              .name = ea_object_name(o),
                              .rv = ea_object_rv(o),
                              .object = last,
                              .initial = w->in_list};

    ea_metric_add(w->m_events[2], 1);
    emit(w, &e);
}

void kube_swept(void *arg, struct ea_object *o)
{
    emit_gone(arg, o, NULL);
}

static int put(struct kube_watch *w, const struct ea_object_in *in, const struct ea_val *doc)
{
    struct ea_object *old = NULL;
    bool changed = false;
    int rc = ea_store_put(w->owner->o.store, w->table, in, &old, &changed);

    if (rc)
        return rc;
    /* deleted and made again while we were not looking: two objects, two lives */
    if (old && !ea_str_eq(ea_object_uid(old), in->uid))
        emit_gone(w, old, NULL);
    if (changed) {
        struct ea_kube_event e = {.type = EA_KUBE_UPSERT,
                                  .key = in->uid,
                                  .ns = in->ns,
                                  .name = in->name,
                                  .rv = in->rv,
                                  .object = doc,
                                  .initial = w->in_list};

        ea_metric_add(w->m_events[old ? 1 : 0], 1);
        emit(w, &e);
    }
    ea_object_unref(old);
    return 0;
}

int kube_apply(struct kube_watch *w, const struct ea_val *object, bool deleted)
{
    const struct ea_kube_res *res = ea_store_res(w->owner->o.store, w->table);
    struct ea_object_in in = {0};
    struct ea_val doc;
    struct ea_err err;
    int rc = ea_kube_compact(object, res, &w->arena, &doc, &w->json, &in, &err);

    if (rc) {
        kube_skip(w, rc == -E2BIG ? "object-too-large" : "object-unreadable", EA_STR_NULL);
        return 0;
    }
    atomic_fetch_add(&w->events, 1);
    pthread_mutex_lock(&w->owner->dispatch);
    if (deleted) {
        struct ea_object *o = ea_store_del(w->owner->o.store, w->table, in.ns, in.name);

        if (o)
            emit_gone(w, o, &doc);
        ea_object_unref(o);
    } else {
        rc = put(w, &in, &doc);
    }
    pthread_mutex_unlock(&w->owner->dispatch);
    if (rc)
        kube_skip(w, "object-unreadable", in.name);
    return 0;
}

int kube_apply_bytes(struct kube_watch *w, struct ea_str bytes)
{
    struct ea_val object = ea_val_null();
    struct ea_err err;

    ea_arena_reset(&w->arena);
    if (ea_json_parse(&w->arena, bytes, &object_opts, &object, NULL, &err) < 0) {
        kube_skip(w, "object-unreadable", ea_strn(bytes.p, EA_MIN(bytes.n, 4096u)));
        return 0;
    }
    return kube_apply(w, &object, false);
}

/* The value after "name": in the first bytes of an object, for the log. */
static struct ea_str name_in(struct ea_str head)
{
    static const char key[] = "\"name\":";
    const char *at = head.n ? memmem(head.p, head.n, key, sizeof(key) - 1) : NULL;
    const char *end;

    if (!at)
        return EA_STR_NULL;
    at = memchr(at + sizeof(key) - 1, '"', (size_t)(head.p + head.n - at) - (sizeof(key) - 1));
    if (!at++)
        return EA_STR_NULL;
    end = memchr(at, '"', (size_t)(head.p + head.n - at));
    return end ? ea_strn(at, (size_t)(end - at)) : EA_STR_NULL;
}

void kube_skip(struct kube_watch *w, const char *reason, struct ea_str head)
{
    atomic_fetch_add(&w->skipped, 1);
    ea_metric_add(w->m_skipped, 1);
    ea_log(EA_LOG_WARN, "watch-object-skipped", EA_KV_Z("resource", w->want.res.resource),
           EA_KV_Z("reason", reason), EA_KV_STR("name", name_in(head)));
    w->skipped_now = w->skip_gap = true;
    kube_gap_open(w, reason);
}

void kube_gap_open(struct kube_watch *w, const char *reason)
{
    struct ea_kube_event e = {.type = EA_KUBE_GAP_OPENED, .reason = reason, .from = w->heard_wall};

    if (w->gap_open)
        return;
    w->gap_open = true;
    pthread_mutex_lock(&w->owner->dispatch);
    emit(w, &e);
    pthread_mutex_unlock(&w->owner->dispatch);
}

void kube_gap_close(struct kube_watch *w, bool complete)
{
    struct ea_kube_event e = {
        .type = EA_KUBE_GAP_CLOSED, .complete = complete, .from = w->heard_wall};

    if (!w->gap_open || w->skip_gap)
        return;
    w->gap_open = false;
    pthread_mutex_lock(&w->owner->dispatch);
    emit(w, &e);
    pthread_mutex_unlock(&w->owner->dispatch);
}

void kube_heard(struct kube_watch *w)
{
    w->heard_wall = ea_wall_now();
    ea_store_touch(w->owner->o.store, w->table);
}
