/* admission/serve_priv.h - what serve.c and watch.c share. */
#ifndef EA_ADMISSION_SERVE_PRIV_H
#define EA_ADMISSION_SERVE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "admission/serve.h"
#include "base/metrics.h"

#define SICK_US 2000000u /* a log that takes nothing for this long makes the seat not ready */

struct policy {
    struct ea_admission_policy p;
    unsigned refs; /* under the admission's lock */
};

/* Buffers of one worker, and since when it is inside an append (0 = it is not). */
struct work {
    struct ea_buf record, answer;
    _Atomic uint64_t appending;
};

/* An answer that waits for its record's sync. */
struct parked {
    struct parked *next;
    uint64_t ticket;
    struct ea_position pos;
    ea_mono_us deadline;
    char *good, *lost; /* with the record synced, without */
    size_t good_n, lost_n;
};

struct ea_admission {
    struct ea_admission_opts o;
    struct ea_server *server;
    struct work *work;
    pthread_mutex_t lock; /* policy, tokens */
    struct policy *policy;
    struct ea_admission_tokens tokens;

    /* callers without token or certificate */
    atomic_uint none_calls;
    atomic_size_t none_bytes;
    _Atomic uint64_t none_count, none_refused;

    /* what did not reach the log */
    _Atomic uint64_t lost_count, lost_first_ms, lost_last_ms;
    _Atomic uint64_t failing_since; /* monotonic us of the first of a row of failures, 0 = the last
                                       append was good */

    atomic_uint in_flight;
    _Atomic uint64_t reviews, denied, dry_runs, bad, lost, unauthenticated, refused;
    struct ea_metric *m_requests[2][5][2]; /* allowed, operation (0 = other), dry run */
    struct ea_metric *m_duration, *m_in_flight, *m_bytes, *m_bad, *m_lost, *m_refused;

    /* watch.c */
    pthread_t thread;
    bool thread_started;
    pthread_mutex_t park_lock;
    pthread_cond_t park_cond;
    struct parked *parked, **parked_end;
    bool no_park, stop;
};

int admission_watch_start(struct ea_admission *a, struct ea_err *err);
/* Answers what is parked, ends the thread. */
void admission_watch_stop(struct ea_admission *a);
/* Takes the parked answer over, or false when nothing may be parked any more. */
bool admission_park(struct ea_admission *a, struct ea_request *rq, const struct ea_position *pos,
                    ea_mono_us deadline, struct ea_str good, struct ea_str lost);
void admission_note_loss(struct ea_admission *a);
void admission_note_good(struct ea_admission *a);

#endif
