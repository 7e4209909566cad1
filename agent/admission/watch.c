/* admission/watch.c - the helper thread: answers that wait for a sync, losses and unauthenticated
 * calls that want a record.
 *
 * A worker never waits for the disk longer than its answer may; what it had to leave out is made
 * good here when the disk is back. */
#include <stdio.h>
#include <time.h>

#include "admission/serve_priv.h"

#define LOOK_US 250000
#define MINUTE_US 60000000u
#define APPEND_US 200000

void admission_note_loss(struct ea_admission *a)
{
    uint64_t now_ms = (uint64_t)ea_wall_now() / 1000, none = 0;

    atomic_fetch_add(&a->lost, 1);
    ea_metric_add(a->m_lost, 1);
    if (atomic_fetch_add(&a->lost_count, 1) == 0)
        atomic_store(&a->lost_first_ms, now_ms);
    atomic_store(&a->lost_last_ms, now_ms);
    (void)atomic_compare_exchange_strong(&a->failing_since, &none, ea_mono_now());
}

void admission_note_good(struct ea_admission *a)
{
    if (atomic_load_explicit(&a->failing_since, memory_order_relaxed))
        atomic_store(&a->failing_since, 0);
}

/* ---- records that are due ---- */

static void record_losses(struct ea_admission *a)
{
    uint64_t n = atomic_load(&a->lost_count);
    struct ea_position pos;
    char body[256];
    int len;

    if (!n)
        return;
    len = snprintf(
        body, sizeof(body),
        "{\"count\":%llu,\"first_time\":%llu,\"last_time\":%llu,\"reason\":\"append failed\","
        "\"scope\":\"admission\"}",
        (unsigned long long)n, (unsigned long long)atomic_load(&a->lost_first_ms),
        (unsigned long long)atomic_load(&a->lost_last_ms));
    if (ea_elog_append(a->o.log, EA_REC_EVIDENCE_LOSS, ea_strn(body, (size_t)len), true,
                       ea_mono_now() + APPEND_US, &pos, NULL))
        return;
    atomic_fetch_sub(&a->lost_count, n);
    admission_note_good(a);
}

/* One record a minute however many came: nobody without a token can fill the log. */
static void record_unauthenticated(struct ea_admission *a, ea_mono_us *last)
{
    uint64_t n = atomic_load(&a->none_count), refused = atomic_load(&a->none_refused);
    ea_mono_us now = ea_mono_now();
    struct ea_position pos;
    char body[128];
    int len;

    if ((!n && !refused) || (*last && now - *last < MINUTE_US))
        return;
    len = snprintf(body, sizeof(body), "{\"count\":%llu,\"refused\":%llu}", (unsigned long long)n,
                   (unsigned long long)refused);
    if (ea_elog_append(a->o.log, EA_REC_ADMISSION_UNAUTHENTICATED, ea_strn(body, (size_t)len),
                       false, now + APPEND_US, &pos, NULL))
        return;
    *last = now;
    atomic_fetch_sub(&a->none_count, n);
    atomic_fetch_sub(&a->none_refused, refused);
}

/* ---- parked answers ---- */

bool admission_park(struct ea_admission *a, struct ea_request *rq, const struct ea_position *pos,
                    ea_mono_us deadline, struct ea_str good, struct ea_str lost)
{
    struct parked *p = ea_xalloc(sizeof(*p));

    p->pos = *pos;
    p->deadline = deadline;
    p->good = ea_str_dupz(good);
    p->good_n = good.n;
    p->lost = lost.n ? ea_str_dupz(lost) : NULL;
    p->lost_n = lost.n;
    pthread_mutex_lock(&a->park_lock);
    if (a->no_park) {
        pthread_mutex_unlock(&a->park_lock);
        free(p->good);
        free(p->lost);
        free(p);
        return false;
    }
    p->ticket = ea_request_park(rq);
    *a->parked_end = p;
    a->parked_end = &p->next;
    pthread_cond_broadcast(&a->park_cond);
    pthread_mutex_unlock(&a->park_lock);
    return true;
}

static void release(struct ea_admission *a, struct parked *p, bool synced)
{
    if (synced || p->lost)
        ea_respond_parked(a->server, p->ticket, 200, "application/json", NULL,
                          synced ? ea_strn(p->good, p->good_n) : ea_strn(p->lost, p->lost_n));
    else
        ea_respond_parked(a->server, p->ticket, 500, "text/plain; charset=utf-8", NULL,
                          EA_STR("the evidence could not be synced\n"));
    free(p->good);
    free(p->lost);
    free(p);
}

/* All that is parked now shares one wait: the sync that covers the newest covers the others. */
static void release_batch(struct ea_admission *a, struct parked *batch)
{
    struct parked *last = batch, *next;
    ea_mono_us deadline = batch->deadline;
    bool synced;

    for (struct parked *p = batch; p; p = p->next) {
        if (p->pos.epoch > last->pos.epoch ||
            (p->pos.epoch == last->pos.epoch && p->pos.seq > last->pos.seq))
            last = p;
        deadline = EA_MIN(deadline, p->deadline);
    }
    synced = ea_elog_wait_synced(a->o.log, &last->pos, deadline) == 0;
    if (!synced)
        admission_note_loss(a);
    else
        admission_note_good(a);
    for (; batch; batch = next) {
        next = batch->next;
        release(a, batch, synced);
    }
}

static void wait_a_moment(struct ea_admission *a)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += LOOK_US * 1000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    (void)pthread_cond_timedwait(&a->park_cond, &a->park_lock, &ts);
}

static void *run(void *arg)
{
    struct ea_admission *a = arg;
    ea_mono_us last_unauthenticated = 0, next_look = 0;

    pthread_mutex_lock(&a->park_lock);
    while (!a->stop || a->parked) {
        struct parked *batch = a->parked;

        if (!batch && !a->stop && ea_mono_now() < next_look) {
            wait_a_moment(a);
            continue;
        }
        a->parked = NULL;
        a->parked_end = &a->parked;
        pthread_mutex_unlock(&a->park_lock);
        if (batch)
            release_batch(a, batch);
        if (ea_mono_now() >= next_look) {
            next_look = ea_mono_now() + LOOK_US;
            record_losses(a);
            record_unauthenticated(a, &last_unauthenticated);
        }
        pthread_mutex_lock(&a->park_lock);
    }
    pthread_mutex_unlock(&a->park_lock);
    last_unauthenticated = 0;
    record_losses(a);
    record_unauthenticated(a, &last_unauthenticated);
    return NULL;
}

int admission_watch_start(struct ea_admission *a, struct ea_err *err)
{
    pthread_condattr_t attr;
    int rc;

    a->parked_end = &a->parked;
    pthread_mutex_init(&a->park_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->park_cond, &attr);
    pthread_condattr_destroy(&attr);
    if (!a->o.log)
        return 0;
    rc = pthread_create(&a->thread, NULL, run, a);
    if (rc)
        return ea_fail(err, -rc, "admission: thread: %s", strerror(rc));
    a->thread_started = true;
    (void)pthread_setname_np(a->thread, "admission");
    return 0;
}

void admission_watch_stop(struct ea_admission *a)
{
    pthread_mutex_lock(&a->park_lock);
    a->no_park = true;
    a->stop = true;
    pthread_cond_broadcast(&a->park_cond);
    pthread_mutex_unlock(&a->park_lock);
    if (a->thread_started)
        pthread_join(a->thread, NULL);
    a->thread_started = false;
}
