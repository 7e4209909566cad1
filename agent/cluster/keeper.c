/* cluster/keeper.c - the webhook configuration, applied and mended. The thread logs here. */
#include "cluster/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cluster/webhook.h"
#include "doc/build.h"
#include "doc/json.h"
#include "doc/print.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define ARENA (32u << 20)
#define MAX_CONFIGURATION (4u << 20)
#define PAUSE_US 500000ull
#define LOOK_S 60u /* without any event */
#define RETRY_S 3u

static const struct ea_kube_res configurations = {"admissionregistration.k8s.io", "v1",
                                                  "validatingwebhookconfigurations",
                                                  "ValidatingWebhookConfiguration", false};
static const struct ea_kube_res roles = {"rbac.authorization.k8s.io", "v1", "clusterroles",
                                         "ClusterRole", false};

struct ea_keeper {
    struct ea_keeper_opts o;
    char *name, *role, *selector;
    struct ea_kube *kube;
    struct ea_store *store;
    struct ea_informer *informer;
    pthread_t thread;
    bool running;
    struct ea_buf applied; /* what the server took last; empty = nothing yet */
    char rv[256];          /* of our own last write */
    pthread_mutex_t lock;  /* what follows */
    pthread_cond_t moved;
    bool stopping, dirty, fail, ok;
    bool applied_fail, applied_once;
    char reason[32], error[256];
    struct ea_metric *m_drift, *m_ok;
};

static void on_event(void *arg, const struct ea_kube_event *e)
{
    if (e->type == EA_KUBE_UPSERT || e->type == EA_KUBE_DELETE)
        ea_keeper_poke(arg);
}

void ea_keeper_poke(struct ea_keeper *k)
{
    pthread_mutex_lock(&k->lock);
    k->dirty = true;
    pthread_cond_signal(&k->moved);
    pthread_mutex_unlock(&k->lock);
}

void ea_keeper_set_fail(struct ea_keeper *k, bool fail, const char *reason)
{
    pthread_mutex_lock(&k->lock);
    if (k->fail != fail) {
        k->fail = fail;
        (void)snprintf(k->reason, sizeof(k->reason), "%s", reason);
        k->dirty = true;
        pthread_cond_signal(&k->moved);
    }
    pthread_mutex_unlock(&k->lock);
}

bool ea_keeper_ok(struct ea_keeper *k, char *why, size_t n)
{
    bool ok;

    pthread_mutex_lock(&k->lock);
    ok = k->ok;
    if (why)
        (void)snprintf(why, n, "%s",
                       ok            ? ""
                       : k->error[0] ? k->error
                                     : "the webhook configuration was not applied yet");
    pthread_mutex_unlock(&k->lock);
    return ok;
}

/* ---- records ---- */

static void append(struct ea_keeper *k, enum ea_record_type type, struct ea_buf *b)
{
    struct ea_position pos;
    struct ea_err err;

    if (k->o.log &&
        (b->failed || ea_elog_append(k->o.log, type, ea_buf_str(b), true, 0, &pos, &err) < 0))
        ea_log_err(EA_LOG_ERROR, "record-not-written", &err);
}

static void record_drift(struct ea_keeper *k, struct ea_str field, struct ea_str manager)
{
    struct ea_buf b;

    ea_metric_add(k->m_drift, 1);
    ea_log(EA_LOG_WARN, "webhook-drift", EA_KV_Z("name", k->name), EA_KV_STR("field", field),
           EA_KV_STR("manager", manager));
    ea_buf_init(&b, 8192);
    ea_buf_addz(&b, "{\"field\":");
    ea_buf_add_json(&b, field);
    ea_buf_addz(&b, ",\"manager\":");
    if (manager.n)
        ea_buf_add_json(&b, manager);
    else
        ea_buf_addz(&b, "null");
    ea_buf_addz(&b, ",\"name\":");
    ea_buf_add_json(&b, ea_str(k->name));
    ea_buf_addc(&b, '}');
    append(k, EA_REC_WEBHOOK_DRIFT, &b);
    ea_buf_done(&b);
}

static void record_flip(struct ea_keeper *k, bool fail, const char *reason)
{
    struct ea_buf b;

    ea_log(EA_LOG_INFO, "failure-policy", EA_KV_Z("enforce", fail ? "Fail" : "Ignore"),
           EA_KV_Z("reason", reason));
    ea_buf_init(&b, 4096);
    ea_buf_addf(&b, "{\"failurePolicy\":\"%s\",\"reason\":\"%s\",\"webhook\":",
                fail ? "Fail" : "Ignore", reason);
    ea_buf_add_json(&b, ea_str(k->name));
    ea_buf_addc(&b, '}');
    append(k, EA_REC_CONFIG_CHANGED, &b);
    ea_buf_done(&b);
}

/* ---- one look ---- */

/* uid of the release's ClusterRole; -ENOENT when the release is gone. */
static int owner_uid(struct ea_keeper *k, struct ea_arena *a, char uid[64], struct ea_err *err)
{
    struct ea_val v;
    int rc;

    uid[0] = 0;
    if (!*k->role)
        return 0;
    rc = ea_kube_get(k->kube, &roles, NULL, k->role, a, &v, err);
    if (rc == 0)
        (void)snprintf(uid, 64, "%.*s", EA_STRF(ea_val_path_str(&v, "metadata.uid")));
    return rc;
}

/* Who wrote it last beside us. */
static struct ea_str foreign_manager(const struct ea_val *live)
{
    const struct ea_val *l = ea_val_path(live, "metadata.managedFields");
    struct ea_str last = EA_STR_NULL, when = EA_STR_NULL;

    for (size_t i = 0; ea_val_is(l, EA_V_LIST) && i < l->n; i++) {
        struct ea_str m = ea_val_get_str(ea_val_at(l, i), "manager"),
                      t = ea_val_get_str(ea_val_at(l, i), "time");

        if (!ea_str_is(m, "eucs-agent") && ea_str_cmp(t, when) >= 0) {
            last = m;
            when = t;
        }
    }
    return last;
}

/* Compares what is there with what we put there; live NULL = deleted. */
static void look_for_drift(struct ea_keeper *k, struct ea_arena *a, const struct ea_val *live)
{
    struct ea_val mine;
    struct ea_buf where;

    if (!k->applied.n ||
        (live && ea_str_is(ea_val_path_str(live, "metadata.resourceVersion"), k->rv)))
        return;
    ea_buf_init(&where, 4096);
    if (!live)
        record_drift(k, EA_STR("(deleted)"), EA_STR_NULL);
    else if (ea_json_parse(a, ea_buf_str(&k->applied), NULL, &mine, NULL, NULL) == 0 &&
             !ea_webhook_covers(&mine, live, &where))
        record_drift(k, ea_buf_str(&where), foreign_manager(live));
    if (live)
        (void)snprintf(k->rv, sizeof(k->rv), "%.*s",
                       EA_STRF(ea_val_path_str(live, "metadata.resourceVersion")));
    ea_buf_done(&where);
}

/* PUT with the resourceVersion that was seen, for what apply cannot remove (webhooks that others
 * added). */
static int replace(struct ea_keeper *k, struct ea_arena *a, const struct ea_val *want,
                   struct ea_val *live, struct ea_err *err)
{
    struct ea_mapb root, meta;
    const struct ea_val *m = ea_val_getz(want, "metadata");
    struct ea_val whole;
    struct ea_buf b;
    int rc;

    ea_mapb_init(&meta, a);
    for (uint32_t i = 0; i < m->n; i++)
        ea_mapb_put(&meta, ea_val_text(&m->members[i].key), m->members[i].val);
    ea_mapb_putz(&meta, "resourceVersion",
                 ea_val_str(ea_val_path_str(live, "metadata.resourceVersion")));
    ea_mapb_init(&root, a);
    for (uint32_t i = 0; i < want->n; i++) {
        struct ea_str key = ea_val_text(&want->members[i].key);

        ea_mapb_put(&root, key,
                    ea_str_is(key, "metadata") ? ea_mapb_end(&meta) : want->members[i].val);
    }
    whole = ea_mapb_end(&root);
    ea_buf_init(&b, MAX_CONFIGURATION);
    rc = ea_json_print(&b, &whole);
    if (rc == 0)
        rc = ea_kube_update(k->kube, &configurations, NULL, k->name, ea_buf_str(&b), a, live, err);
    ea_buf_done(&b);
    return rc;
}

static int write_it(struct ea_keeper *k, struct ea_arena *a, struct ea_str json,
                    const struct ea_val *want, struct ea_err *err)
{
    struct ea_val live;
    int rc = ea_kube_apply(k->kube, &configurations, NULL, k->name, json, a, &live, err);

    if (rc == 0 && !ea_webhook_covers(want, &live, NULL))
        rc = replace(k, a, want, &live, err);
    if (rc)
        return rc;
    ea_buf_clear(&k->applied);
    rc = ea_buf_adds(&k->applied, json);
    (void)snprintf(k->rv, sizeof(k->rv), "%.*s",
                   EA_STRF(ea_val_path_str(&live, "metadata.resourceVersion")));
    ea_log(EA_LOG_INFO, "webhook-applied", EA_KV_Z("name", k->name));
    if (k->o.applied)
        k->o.applied(k->o.arg);
    return rc;
}

static int look(struct ea_keeper *k, bool fail, struct ea_arena *a, struct ea_err *err)
{
    struct ea_val live, want;
    struct ea_buf json;
    char uid[64];
    bool there;
    int rc = ea_kube_get(k->kube, &configurations, NULL, k->name, a, &live, err);

    if (rc && rc != -ENOENT)
        return rc;
    there = rc == 0;
    rc = owner_uid(k, a, uid, err);
    if (rc == -ENOENT)
        return ea_fail(
            err, -ENOENT,
            "ClusterRole %s is gone: the release was removed, its webhook configuration stays away",
            k->role);
    if (rc)
        return rc;
    look_for_drift(k, a, there ? &live : NULL);
    ea_buf_init(&json, MAX_CONFIGURATION);
    rc = k->o.render(k->o.arg, fail, uid, &json, err);
    if (rc == 0)
        rc = ea_json_parse(a, ea_buf_str(&json), NULL, &want, NULL, err);
    if (rc == 0 && (!there || !ea_webhook_covers(&want, &live, NULL))) {
        rc = write_it(k, a, ea_buf_str(&json), &want, err);
    } else if (rc == 0 && !k->applied.n) {
        /* as an earlier process left it: from now on every change is somebody else's */
        (void)ea_buf_adds(&k->applied, ea_buf_str(&json));
        (void)snprintf(k->rv, sizeof(k->rv), "%.*s",
                       EA_STRF(ea_val_path_str(&live, "metadata.resourceVersion")));
        if (k->o.applied)
            k->o.applied(k->o.arg);
    }
    ea_buf_done(&json);
    return rc;
}

/* One look with its consequences; 0 or a code (logged). */
static int look_and_tell(struct ea_keeper *k)
{
    struct ea_arena a;
    struct ea_err err = {0};
    char reason[32];
    bool fail, flipped;
    int rc;

    pthread_mutex_lock(&k->lock);
    k->dirty = false;
    fail = k->fail;
    memcpy(reason, k->reason, sizeof(reason));
    flipped = k->applied_once ? k->applied_fail != fail : fail;
    pthread_mutex_unlock(&k->lock);
    ea_arena_init(&a, ARENA, 0);
    rc = look(k, fail, &a, &err);
    ea_arena_done(&a);
    if (rc)
        ea_log_err(EA_LOG_WARN, "webhook-configuration", &err);
    else if (flipped)
        record_flip(k, fail, reason);
    pthread_mutex_lock(&k->lock);
    if (rc == 0) {
        k->applied_once = true;
        k->applied_fail = fail;
    }
    k->ok = rc == 0;
    (void)snprintf(k->error, sizeof(k->error), "%.255s", rc ? err.text : "");
    pthread_mutex_unlock(&k->lock);
    ea_metric_set(k->m_ok, rc == 0);
    return rc;
}

static void *keeper_main(void *arg)
{
    struct ea_keeper *k = arg;
    unsigned pause = 0;

    for (;;) {
        struct timespec until;
        bool stop;

        pthread_mutex_lock(&k->lock);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += pause;
        while (!k->stopping && !k->dirty &&
               pthread_cond_timedwait(&k->moved, &k->lock, &until) == 0)
            ;
        stop = k->stopping;
        pthread_mutex_unlock(&k->lock);
        if (stop)
            return NULL;
        pause = look_and_tell(k) ? RETRY_S : LOOK_S;
        ea_sleep_us(PAUSE_US);
    }
}

int ea_keeper_start(const struct ea_keeper_opts *o, struct ea_keeper **ret, struct ea_err *err)
{
    struct ea_keeper *k = ea_xalloc(sizeof(*k));
    struct ea_kube_opts ko = {.total_ms = 5000, .tries = 2};
    struct ea_kube_want want = {.res = configurations};
    struct ea_informer_opts io = {
        .config = o->config, .want = &want, .n_want = 1, .event = on_event, .arg = k};
    int rc;

    k->o = *o;
    k->fail = o->fail;
    (void)snprintf(k->reason, sizeof(k->reason), "ready");
    k->name = ea_str_dupz(ea_str(o->name));
    k->role = ea_str_dupz(ea_str(o->owner_role ? o->owner_role : ""));
    k->selector = ea_xasprintf("metadata.name=%s", o->name);
    want.field_selector = k->selector;
    ea_buf_init(&k->applied, MAX_CONFIGURATION);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->moved, NULL);
    k->m_drift = ea_metric(EA_COUNTER, "eucs_agent_webhook_drift_total",
                           "Foreign changes of the webhook configuration", NULL);
    k->m_ok = ea_metric(EA_GAUGE, "eucs_agent_webhook_configured",
                        "1 while the webhook configuration is as it should be", NULL);
    k->store = io.store = ea_store_new();
    rc = ea_kube_new(o->config, &ko, &k->kube, err);
    if (rc == 0)
        rc = ea_informer_start(&io, &k->informer, err);
    if (rc == 0) {
        rc = -pthread_create(&k->thread, NULL, keeper_main, k);
        k->running = rc == 0;
    }
    if (rc) {
        ea_keeper_stop(k, false);
        return rc;
    }
    *ret = k;
    return 0;
}

void ea_keeper_stop(struct ea_keeper *k, bool open)
{
    if (!k)
        return;
    if (k->running) {
        pthread_mutex_lock(&k->lock);
        k->stopping = true;
        pthread_cond_signal(&k->moved);
        pthread_mutex_unlock(&k->lock);
        pthread_join(k->thread, NULL);
        if (open) {
            ea_keeper_set_fail(k, false, "shutdown");
            (void)look_and_tell(k);
        }
    }
    ea_informer_stop(k->informer);
    ea_store_free(k->store);
    ea_kube_free(k->kube);
    ea_buf_done(&k->applied);
    pthread_cond_destroy(&k->moved);
    pthread_mutex_destroy(&k->lock);
    free(k->name);
    free(k->role);
    free(k->selector);
    free(k);
}
