/* audit/scan.c - the path of one object: told, judged, compared, recorded. */
#include "audit/audit_priv.h"

#include "base/log.h"
#include "controls/manifest.h"
#include "doc/build.h"
#include "doc/print.h"

/* ---- judging ---- */

struct ea_subject audit_subject(const struct ea_audit *a, const struct ea_object *o,
                                const struct ea_val *doc)
{
    const struct ea_kube_res *res = ea_store_res(a->o.store, o->table);
    struct ea_str name = ea_object_name(o);

    /* what the agent knows of its own node comes as an object of a kind that only the agent makes
     */
    bool is_node =
        strcmp(res->kind, EA_NODE_FACTS_KIND) == 0 && strcmp(res->group, EA_NODE_FACTS_GROUP) == 0;

    return (struct ea_subject){
        .node = is_node ? ea_val_getz(doc, "facts") : NULL,
        .gvr = {.group = ea_str(res->group),
                .version = ea_str(res->version),
                .resource = ea_str(res->resource),
                .kind = ea_str(res->kind),
                .namespaced = res->namespaced},
        .op = EA_OP_CREATE,
        .object = *doc,
        .namespace_ = ea_object_ns(o),
        .name = name,
    };
}

int audit_judge(struct ea_audit *a, const struct ea_object *o, const struct ea_val *doc,
                struct ea_findings *ret)
{
    struct ea_subject s = audit_subject(a, o, doc);
    struct ea_judge_opts jo = {.lookup = &a->o.lookup,
                               .exemptions = a->o.exemptions,
                               .now_us = ea_wall_now(),
                               .floor = a->o.floor,
                               .trace = true};
    struct ea_str api_version = ea_val_get_str(doc, "apiVersion");
    struct ea_gvr known;
    struct ea_val whole;
    ea_mono_us start = ea_mono_now();
    int rc;

    /* the same completion as scan, so that both give the same verdict */
    rc = ea_manifest_complete(&a->arena, &s.gvr, ea_builtin_kind(api_version, s.gvr.kind, &known),
                              EA_STR("default"), doc, &whole);
    if (rc == 0) {
        s.object = whole;
        rc = ea_judge(a->o.rules, &s, &jo, &a->arena, ret, NULL);
    }
    a->stat.judged++;
    ea_metric_observe_us(a->m_judge, ea_mono_now() - start);
    return rc;
}

static void count(struct ea_audit *a, const struct verdict *v, int64_t by)
{
    for (uint32_t i = 0; v && i < v->n; i++) {
        const struct verdict_entry *e = &v->e[i];

        if (e->result == EA_FAIL && (e->flags & VERDICT_EXEMPT))
            a->stat.exempted += (uint64_t)by;
        else
            a->present[e->result][verdict_control(v, i)->severity] += (uint64_t)by;
    }
}

static void set_now(struct ea_audit *a, struct entry *e, struct verdict *v)
{
    if (e->now != v)
        a->version++;
    count(a, e->now, -1);
    count(a, v, 1);
    verdict_unref(&a->pool, e->now);
    e->now = v;
}

/* A document of the object `o` was told. */
static void take(struct ea_audit *a, struct ea_object *o, const struct ea_val *doc)
{
    struct entry *e = entries_find(&a->entries, ea_object_uid(o));
    struct ea_findings f = {0};
    struct verdict *v;

    if (audit_judge(a, o, doc, &f) < 0) {
        ea_log(EA_LOG_ERROR, "object-not-judged", EA_KV_STR("namespace", ea_object_ns(o)),
               EA_KV_STR("name", ea_object_name(o)));
        audit_gap_open(a, audit_scope(a, ea_store_res(a->o.store, o->table)), "object-too-large",
                       ea_wall_now(), EA_STR_NULL, 0);
        return; /* the last verdict stays; what cannot be judged is no pass */
    }
    v = verdict_take(&a->pool, a->o.rules, &f, &a->arena);
    if (!v && !e) { /* nothing asks about such objects, or no longer */
        if (a->digest)
            digest_forget(a->digest, ea_object_uid(o));
        return;
    }
    if (!e)
        e = entries_get(&a->entries, o);
    if (e->object != o) {
        ea_object_unref(e->object);
        e->object = ea_object_ref(o);
    }
    e->gone = 0;
    set_now(a, e, v);
    if (a->o.record)
        audit_record_changes(a, e, &f);
}

void audit_scan_object(struct ea_audit *a, struct ea_object *o)
{
    struct ea_val doc;

    ea_arena_reset(&a->arena);
    if (ea_object_parse(o, &a->arena, &doc) < 0)
        return; /* a table without JSON is not judged */
    take(a, o, &doc);
}

void audit_scan_all(struct ea_audit *a, struct ea_str ns)
{
    for (unsigned t = 0; t < ea_store_tables(a->o.store); t++) {
        size_t n;
        bool cut;
        struct ea_object **l;

        if (ns.n && !ea_store_res(a->o.store, t)->namespaced)
            continue;
        l = ea_store_list(a->o.store, t, ns, SIZE_MAX, &n, &cut);
        for (size_t i = 0; i < n; i++) {
            pthread_mutex_lock(&a->lock);
            /* changed or deleted meanwhile: its own event tells */
            struct ea_object *now =
                ea_store_find(a->o.store, t, ea_object_ns(l[i]), ea_object_name(l[i]));

            if (now == l[i])
                audit_scan_object(a, l[i]);
            ea_object_unref(now);
            pthread_mutex_unlock(&a->lock);
            ea_object_unref(l[i]);
        }
        free(l);
    }
}

/* ---- events ---- */

static bool is_namespace(const struct ea_kube_res *res)
{
    return res && !*res->group && strcmp(res->resource, "namespaces") == 0;
}

static int table_of(const struct ea_audit *a, const struct ea_kube_res *res)
{
    for (unsigned t = 0; res && t < ea_store_tables(a->o.store); t++) {
        if (ea_store_res(a->o.store, t) == res)
            return (int)t;
    }
    return -ENOENT;
}

/* True when the labels of a namespace are others than before, so that its objects must be judged
 * again. */
static bool namespace_changed(struct ea_audit *a, const struct ea_kube_event *e)
{
    const struct ea_val *labels = ea_val_path(e->object, "metadata.labels");
    uintptr_t hash = 1;
    void *old;

    if (labels) {
        ea_buf_clear(&a->body);
        if (ea_json_print(&a->body, labels) == 0)
            hash = (uintptr_t)(ea_hash(a->body.p, a->body.n) | 1);
    }
    old = ea_map_put(&a->namespaces, e->name, (void *)hash);
    return old != (void *)hash;
}

/* Returns true when the namespace's objects must be looked at again, after the lock. */
static bool upsert(struct ea_audit *a, const struct ea_kube_event *e)
{
    int table = table_of(a, e->res);
    struct ea_object *o =
        table < 0 ? NULL : ea_store_find(a->o.store, (unsigned)table, e->ns, e->name);
    bool again = false;

    if (!o)
        return false;
    if (is_namespace(e->res))
        again = namespace_changed(a, e) && a->namespaces_ready;
    if (a->namespaces_ready)
        take(a, o, e->object);
    ea_object_unref(o);
    return again;
}

static void deleted(struct ea_audit *a, const struct ea_kube_event *e)
{
    struct entry *x = entries_find(&a->entries, e->key);

    if (is_namespace(e->res))
        (void)ea_map_del(&a->namespaces, e->name);
    if (!x)
        return; /* when an earlier process recorded it, the end of the list tells */
    if (!a->o.record && x->recorded) {
        set_now(a, x, NULL);
        x->gone = ea_mono_now(); /* whoever records next must close it */
        return;
    }
    if (a->o.record)
        audit_record_gone(a, x);
    set_now(a, x, NULL);
    verdict_unref(&a->pool, x->recorded);
    entries_del(&a->entries, x);
}

static void vanished(void *arg, struct ea_str identity)
{
    audit_record_vanished(arg, identity);
}

void audit_close_leftovers(struct ea_audit *a, unsigned table)
{
    const struct ea_kube_res *res = ea_store_res(a->o.store, table);
    struct ea_buf name;

    if (!a->digest || !a->o.record || !a->tables[table].told)
        return;
    ea_buf_init(&name, 1024);
    ea_buf_addf(&name, "%s/%s", res->group, res->resource);
    digest_leftovers(a->digest, ea_buf_str(&name), vanished, a);
    ea_buf_done(&name);
}

static void told(struct ea_audit *a, unsigned table)
{
    struct audit_table *t = &a->tables[table];

    t->told = true;
    if (t->outage_open) {
        t->outage_open = false;
        audit_gap_close(a, audit_scope(a, ea_store_res(a->o.store, table)), false);
    }
    audit_close_leftovers(a, table);
}

static bool synced(struct ea_audit *a, const struct ea_kube_event *e)
{
    int table = table_of(a, e->res);
    bool first = is_namespace(e->res) && !a->namespaces_ready;

    if (!e->res && a->digest && a->o.record) { /* a source that tells everything at once */
        digest_leftovers(a->digest, EA_STR_NULL, vanished, a);
        return false;
    }
    if (table < 0)
        return false;
    if (first)
        a->namespaces_ready = true;
    if (a->namespaces_ready && !first)
        told(a, (unsigned)table);
    return first;
}

/* The agent was not there: each resource has a gap from the last sign of life until it is listed
 * again. */
static void outage(struct ea_audit *a, const struct ea_kube_res *res)
{
    int table = table_of(a, res);

    if (table < 0 || a->tables[table].seen)
        return;
    a->tables[table].seen = true;
    if (!a->outage_from || !a->o.record)
        return;
    a->tables[table].outage_open = true;
    audit_gap_open(a, audit_scope(a, res), "agent-stopped", a->outage_from, EA_STR_NULL, 0);
}

/* What was stored while namespaces were not known is judged now. */
static void catch_up(struct ea_audit *a)
{
    audit_scan_all(a, EA_STR_NULL);
    pthread_mutex_lock(&a->lock);
    for (unsigned t = 0; t < ea_store_tables(a->o.store); t++) {
        if (ea_store_synced(a->o.store, t))
            told(a, t);
    }
    pthread_mutex_unlock(&a->lock);
}

static bool gap(struct ea_audit *a, const struct ea_kube_event *e)
{
    struct ea_str scope;
    bool first = false;

    if (e->file.n) {
        scope = ea_arena_printf(&a->arena, "watch:directory/%.*s", EA_STRF(e->file));
    } else {
        scope = audit_scope(a, e->res);
    }
    if (e->type == EA_KUBE_GAP_OPENED) {
        audit_gap_open(a, scope, e->reason, e->from, e->file, e->line);
        /* without namespaces their readers are unknown (missing-context), and the rest must go on
         */
        first =
            is_namespace(e->res) && !a->namespaces_ready && strcmp(e->reason, "connection") != 0;
        a->namespaces_ready = a->namespaces_ready || first;
    } else {
        audit_gap_close(a, scope, e->complete);
    }
    return first;
}

void ea_audit_event(void *arg, const struct ea_kube_event *e)
{
    struct ea_audit *a = arg;
    bool again = false, first = false;

    pthread_mutex_lock(&a->lock);
    ea_arena_reset(&a->arena);
    outage(a, e->res);
    switch (e->type) {
    case EA_KUBE_UPSERT:
        again = upsert(a, e);
        break;
    case EA_KUBE_DELETE:
        deleted(a, e);
        break;
    case EA_KUBE_SYNCED:
        first = synced(a, e);
        break;
    case EA_KUBE_GAP_OPENED:
    case EA_KUBE_GAP_CLOSED:
        first = gap(a, e);
        break;
    }
    pthread_mutex_unlock(&a->lock);
    if (again)
        audit_scan_all(a, e->name);
    if (first)
        catch_up(a);
}
