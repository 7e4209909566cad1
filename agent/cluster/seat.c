/* cluster/seat.c - Lease and label. The thread logs here. */
#include "cluster/seat.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#include <pthread.h>
#include <stdio.h>

#define LOOK_US 500000ull
#define LABEL_RETRY_US 2000000ull

struct ea_seat {
    struct ea_seat_opts o;
    char *ns, *pod;
    struct ea_lease *lease;
    struct ea_kube *kube; /* for the label: its own connection */
    pthread_t thread;
    bool running;
    _Atomic bool stopping, draining, asked, held, labelled, serving;
    ea_mono_us label_tried;
    pthread_mutex_t lock; /* label and error: drain comes from another thread */
    char error[256];
    struct ea_metric *m_held, *m_ready;
};

static const struct ea_kube_res pods = {"", "v1", "pods", "Pod", true};

static bool stopping(void *arg)
{
    return atomic_load(&((struct ea_seat *)arg)->stopping);
}

static void set_error(struct ea_seat *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    (void)snprintf(s->error, sizeof(s->error), "%.255s", text);
    pthread_mutex_unlock(&s->lock);
}

/* The caller holds the lock. */
static int patch_label(struct ea_seat *s, bool on)
{
    struct ea_str body = on ? EA_STR("{\"metadata\":{\"labels\":{\"" EA_SEAT_LABEL "\":\"true\"}}}")
                            : EA_STR("{\"metadata\":{\"labels\":{\"" EA_SEAT_LABEL "\":null}}}");
    struct ea_err err;
    int rc = 0;

    if (*s->pod)
        rc = ea_kube_patch(s->kube, &pods, s->ns, s->pod, "application/merge-patch+json", body,
                           NULL, NULL, &err);
    if (rc == -ENOENT && !on)
        rc = 0;
    if (rc) {
        ea_log_err(EA_LOG_WARN, "seat-label", &err);
        (void)snprintf(s->error, sizeof(s->error), "%.255s", err.text);
        return rc;
    }
    if (atomic_exchange(&s->labelled, on) != on)
        ea_log(EA_LOG_INFO, on ? "seat-labelled" : "seat-unlabelled", EA_KV_Z("pod", s->pod));
    return 0;
}

static void want_label(struct ea_seat *s, bool on)
{
    pthread_mutex_lock(&s->lock);
    on = on && !atomic_load(&s->draining);
    if (atomic_load(&s->labelled) != on && ea_mono_now() - s->label_tried >= LABEL_RETRY_US) {
        if (patch_label(s, on) < 0)
            s->label_tried = ea_mono_now();
    }
    pthread_mutex_unlock(&s->lock);
}

static void set_held(struct ea_seat *s, bool held)
{
    if (atomic_exchange(&s->held, held) == held)
        return;
    if (!held)
        want_label(s, false);
    s->o.changed(s->o.arg, held, ea_lease_term(s->lease));
}

static void try_lease(struct ea_seat *s)
{
    struct ea_err err;
    bool held = false;
    int rc = ea_lease_try(s->lease, &held, &err);

    if (rc == -ECANCELED)
        return;
    if (rc) {
        ea_log_err(EA_LOG_WARN, "seat-lease", &err);
        set_error(s, err.text);
    } else {
        set_error(s, "");
    }
    set_held(s, held);
    atomic_store(&s->asked, rc == 0 || atomic_load(&s->asked));
}

static void *seat_main(void *arg)
{
    struct ea_seat *s = arg;
    ea_mono_us next = 0;

    pthread_mutex_lock(&s->lock);
    atomic_store(&s->labelled, true); /* a label of an earlier life: off before anything else */
    (void)patch_label(s, false);
    pthread_mutex_unlock(&s->lock);
    while (!stopping(s)) {
        bool serving;

        if (ea_mono_now() >= next) {
            try_lease(s);
            next = ea_mono_now() + ea_lease_pause_us(s->lease);
        }
        if (atomic_load(&s->held) && !ea_lease_held(s->lease))
            set_held(s,
                     false); /* not renewed in time: stop at once, whatever the server says later */
        serving = atomic_load(&s->held) && s->o.serving(s->o.arg);
        atomic_store(&s->serving, serving);
        want_label(s, serving);
        ea_metric_set(s->m_held, atomic_load(&s->held));
        ea_metric_set(s->m_ready, ea_seat_ready(s));
        ea_sleep_us(LOOK_US);
    }
    return NULL;
}

int ea_seat_start(const struct ea_seat_opts *o, struct ea_seat **ret, struct ea_err *err)
{
    struct ea_seat *s = ea_xalloc(sizeof(*s));
    struct ea_kube_opts ko = {.total_ms = 5000, .tries = 2};
    struct ea_lease_opts lo = {.config = o->config,
                               .ns = o->ns,
                               .name = o->lease,
                               .identity = o->identity,
                               .lease_s = o->lease_s,
                               .renew_s = o->renew_s,
                               .retry_s = o->retry_s,
                               .stopping = stopping,
                               .stopping_arg = s};
    int rc;

    s->o = *o;
    s->ns = ea_str_dupz(ea_str(o->ns));
    s->pod = ea_str_dupz(ea_str(o->pod ? o->pod : ""));
    pthread_mutex_init(&s->lock, NULL);
    s->m_held =
        ea_metric(EA_GAUGE, "eucs_agent_seat_held", "1 while this pod holds the seat", NULL);
    s->m_ready = ea_metric(EA_GAUGE, "eucs_agent_seat_ready",
                           "1 while this pod holds the seat, serves and is labelled", NULL);
    rc = ea_lease_new(&lo, &s->lease, err);
    if (rc == 0)
        rc = ea_kube_new(o->config, &ko, &s->kube, err);
    if (rc == 0) {
        rc = -pthread_create(&s->thread, NULL, seat_main, s);
        s->running = rc == 0;
    }
    if (rc) {
        ea_seat_stop(s);
        return rc;
    }
    *ret = s;
    return 0;
}

bool ea_seat_held(const struct ea_seat *s)
{
    return atomic_load(&s->held) && ea_lease_held(s->lease);
}

bool ea_seat_asked(const struct ea_seat *s)
{
    return atomic_load(&s->asked);
}

uint64_t ea_seat_term(const struct ea_seat *s)
{
    return ea_lease_term(s->lease);
}

bool ea_seat_ready(const struct ea_seat *s)
{
    return ea_seat_held(s) && atomic_load(&s->serving) && atomic_load(&s->labelled) &&
           !atomic_load(&s->draining);
}

void ea_seat_why(struct ea_seat *s, char *out, size_t n)
{
    const char *text = "";

    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->draining))
        text = "draining";
    else if (!atomic_load(&s->held))
        text = s->error[0]               ? s->error
               : !atomic_load(&s->asked) ? "the Lease was not asked for yet"
                                         : "another pod holds the seat";
    else if (!atomic_load(&s->serving))
        text = "not serving yet";
    else if (!atomic_load(&s->labelled))
        text = s->error[0] ? s->error : "the pod is not labelled yet";
    (void)snprintf(out, n, "%s", text);
    pthread_mutex_unlock(&s->lock);
}

void ea_seat_drain(struct ea_seat *s)
{
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->draining, true);
    if (atomic_load(&s->labelled))
        (void)patch_label(s, false);
    pthread_mutex_unlock(&s->lock);
}

void ea_seat_stop(struct ea_seat *s)
{
    struct ea_err err;

    if (!s)
        return;
    if (s->running) {
        ea_seat_drain(s);
        atomic_store(&s->stopping, true);
        pthread_join(s->thread, NULL);
        atomic_store(&s->stopping, false); /* the release is still a call */
        if (ea_lease_release(s->lease, &err) < 0)
            ea_log_err(EA_LOG_WARN, "seat-release", &err);
    }
    ea_lease_free(s->lease);
    ea_kube_free(s->kube);
    pthread_mutex_destroy(&s->lock);
    free(s->ns);
    free(s->pod);
    free(s);
}
