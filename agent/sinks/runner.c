/* sinks/runner.c - one thread per sink: reads the log from the cursor, delivers in batches, owns
 * clock, cursor and retries. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "evidence/store.h"
#include "sinks/sink.h"

#define BATCH_RECORDS 512u
#define BATCH_BYTES (256u << 10)
#define IDLE_US 200000u
#define GATHER_US 5000u
#define NO_HURRY_US 20000u
#define PERSIST_US 1000000u
#define TYPES 64u

struct ea_sink_runner {
    char *name, *dir;
    const struct ea_sink_ops *ops;
    struct ea_sink *sink;
    struct ea_elog *log;
    bool wanted[TYPES]; /* by type number */
    bool filters;
    uint64_t retry_base_us, retry_max_us;
    pthread_t thread;

    pthread_mutex_t m;
    pthread_cond_t wake;
    struct ea_cursor at; /* delivered up to here; counters from the start of the sink */
    uint64_t retries;
    bool holding, stop;
    ea_mono_us stop_at;
    char error[256];

    /* the thread alone */
    struct ea_reader *reader;
    struct ea_cursor next; /* as `at`, with the batch that is on its way */
    uint64_t stored_seq, stored_epoch;
    ea_mono_us stored_at;
    unsigned failures;
};

/* ---- the cursor ---- */

static void commit(struct ea_sink_runner *r)
{
    uint64_t generation;

    ea_reader_place(r->reader, &r->next.segment, &r->next.offset);
    pthread_mutex_lock(&r->m);
    generation = r->at.generation;
    r->at = r->next;
    r->at.generation = generation;
    r->holding = false;
    r->error[0] = '\0';
    pthread_mutex_unlock(&r->m);
    r->failures = 0;
}

/* Never beyond what is synced: after a power loss the cursor would point at ids that the log does
 * not have. */
static int persist(struct ea_sink_runner *r, bool force, struct ea_err *err)
{
    ea_mono_us now = ea_mono_now();
    struct ea_position pos = {.epoch = r->at.epoch, .end = r->at.seq_next};
    struct ea_cursor copy = r->at; /* only this thread changes it */
    int c;

    if (r->at.epoch == r->stored_epoch && r->at.seq_next == r->stored_seq && r->stored_at != 0)
        return 0;
    if (!force && now < r->stored_at + PERSIST_US)
        return 0;
    if (ea_elog_wait_synced(r->log, &pos, now + PERSIST_US) < 0)
        return 0; /* the disk is slow: the cursor lags, which costs duplicates only */
    c = ea_cursor_store(r->dir, r->name, &copy, err);
    pthread_mutex_lock(&r->m);
    r->at.generation = copy.generation;
    pthread_mutex_unlock(&r->m);
    r->stored_at = now;
    if (c == 0) {
        r->stored_epoch = r->at.epoch;
        r->stored_seq = r->at.seq_next;
    }
    return c;
}

static int load_cursor(struct ea_sink_runner *r, struct ea_str start, struct ea_err *err)
{
    struct ea_slots_found found;
    struct ea_elog_stat st;
    struct ea_state state;
    int c, s = ea_state_load(r->dir, &state, &found);

    if (s < 0)
        return ea_fail(err, s, "reading %s/state: %s", r->dir, strerror(-s));
    c = ea_cursor_load(r->dir, r->name, &r->at, &found);
    if (c == 0 && memcmp(r->at.uuid, state.uuid, 16) == 0)
        return 0;
    /* Damaged, or of a log that is gone: from the oldest live record, duplicates do no harm. */
    r->at = (struct ea_cursor){.generation = c == 0 ? r->at.generation : 0};
    memcpy(r->at.uuid, state.uuid, 16);
    if (c == -ENOENT && ea_str_is(start, "now")) {
        ea_elog_stat(r->log, &st);
        r->at.epoch = st.epoch;
        r->at.seq_next = st.next_seq;
    } else if (c < 0 && c != -ENOENT && c != -EBADMSG) {
        return ea_fail(err, c, "reading the cursor of sink %s: %s", r->name, strerror(-c));
    }
    return persist(r, true, err);
}

/* ---- delivering ---- */

static bool stopping(struct ea_sink_runner *r, bool *ret_late)
{
    bool s;

    pthread_mutex_lock(&r->m);
    s = r->stop;
    *ret_late = s && ea_mono_now() >= r->stop_at;
    pthread_mutex_unlock(&r->m);
    return s;
}

/* Full jitter, doubling; a hold waits at the upper end. */
static void back_off(struct ea_sink_runner *r, bool hold, const struct ea_err *err)
{
    uint64_t max = r->retry_base_us << EA_MIN(r->failures, 20u), wait, dice;
    ea_mono_us until;

    ea_random(&dice, sizeof(dice));
    max = hold ? r->retry_max_us : EA_MIN(max, r->retry_max_us);
    wait = hold ? max / 2 + dice % (max / 2 + 1) : 1 + dice % max;
    r->failures++;
    until = ea_mono_now() + wait;
    pthread_mutex_lock(&r->m);
    r->retries++;
    r->holding = hold;
    snprintf(r->error, sizeof(r->error), "%.*s", (int)sizeof(r->error) - 1, ea_err_text(err));
    while (ea_mono_now() < until && !(r->stop && ea_mono_now() >= r->stop_at)) {
        ea_mono_us at = r->stop ? EA_MIN(until, r->stop_at) : until;
        struct timespec ts = {.tv_sec = (time_t)(at / 1000000),
                              .tv_nsec = (long)(at % 1000000) * 1000};

        pthread_cond_timedwait(&r->wake, &r->m, &ts);
    }
    pthread_mutex_unlock(&r->m);
}

static int rewind_reader(struct ea_sink_runner *r, struct ea_err *err)
{
    ea_reader_close(r->reader);
    r->reader = NULL;
    r->next = r->at;
    return ea_reader_open(r->dir, r->at.epoch, r->at.seq_next, &r->reader, err);
}

/* Records between what was wanted and what came were freed before this sink had them. */
static void note_jump(struct ea_sink_runner *r, uint64_t epoch, uint64_t seq)
{
    uint64_t from = 0, to = 0;

    if (r->next.epoch == 0) { /* from the oldest there is: the sink starts here */
        r->next.epoch = epoch;
        r->next.seq_next = seq;
    }
    if (r->next.epoch == epoch)
        r->next.lost += seq > r->next.seq_next ? seq - r->next.seq_next : 0;
    else if (ea_evidence_count_from(r->dir, r->next.epoch, r->next.seq_next, &from, NULL) == 0 &&
             ea_evidence_count_from(r->dir, epoch, seq, &to, NULL) == 0)
        r->next.lost += from > to ? from - to : 0;
    r->next.epoch = epoch;
    r->next.seq_next = seq;
}

/* A record that the destination does not want: kept in dead-<name>.ndjson and reported, so that it
 * is nowhere lost silently. */
static int dead_letter(struct ea_sink_runner *r, const struct ea_record_view *v,
                       const struct ea_err *why, struct ea_err *err)
{
    char path[EA_PATH];
    struct ea_buf b;
    EA_AUTO_FD int fd = -1;
    int c = ea_path(path, r->dir, "dead-%s.ndjson", r->name);

    ea_buf_init(&b, 2 * EA_MAX_RECORD);
    ea_buf_addz(&b, "{\"error\":");
    ea_buf_add_json(&b, ea_str(ea_err_text(why)));
    ea_buf_addz(&b, ",\"record\":");
    ea_buf_adds(&b, v->bytes);
    ea_buf_addz(&b, "}\n");
    if (c == 0)
        c = b.failed;
    if (c == 0 &&
        (fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        c = -errno;
    if (c == 0)
        c = ea_write_all(fd, b.p, b.n);
    if (c == 0 && fdatasync(fd) < 0)
        c = -errno;
    if (c < 0) {
        ea_buf_done(&b);
        return ea_fail(err, c, "keeping a refused record of sink %s: %s", r->name, strerror(-c));
    }
    /* A refused report of a refusal is not reported again: it would never end. */
    if (v->type != EA_REC_DELIVERY_REJECTED) {
        ea_buf_clear(&b);
        ea_buf_addf(&b, "{\"epoch\":%" PRIu64 ",\"reason\":", v->epoch);
        ea_buf_add_json(&b, ea_str(ea_err_text(why)));
        ea_buf_addf(&b, ",\"seq\":%" PRIu64 ",\"sink\":\"%s\"}", v->seq, r->name);
        c = ea_elog_append(r->log, EA_REC_DELIVERY_REJECTED, ea_buf_str(&b), false,
                           ea_mono_now() + 1000000, NULL, err);
    }
    ea_buf_done(&b);
    return c;
}

enum step { STEP_MORE, STEP_FULL, STEP_IDLE, STEP_FAILED, STEP_HELD };

static enum step failed_step(enum ea_sink_answer a)
{
    return a == EA_SINK_HOLD ? STEP_HELD : STEP_FAILED;
}

/* A refusal: what was sent before it is flushed and committed first, so that the dead letter is
 * written once. */
static enum step refuse(struct ea_sink_runner *r, const struct ea_record_view *v,
                        struct ea_cursor before, struct ea_err *err)
{
    struct ea_cursor behind = r->next;
    struct ea_err why = *err;
    enum ea_sink_answer a;

    r->next = before;
    a = r->ops->flush(r->sink, err);
    if (a != EA_SINK_SENT)
        return failed_step(a);
    commit(r);
    r->next = behind;
    if (dead_letter(r, v, &why, err) < 0)
        return STEP_HELD;
    r->next.dead++;
    commit(r);
    return STEP_MORE;
}

static enum step one_record(struct ea_sink_runner *r, size_t *bytes, struct ea_err *err)
{
    struct ea_record_view v;
    struct ea_cursor before;
    enum ea_sink_answer a;
    int c = ea_reader_next(r->reader, &v, err);

    if (c == -ENODATA)
        return STEP_IDLE;
    if (c < 0 && c != -EBADMSG)
        return STEP_FAILED;
    if (v.epoch != r->next.epoch || v.seq != r->next.seq_next)
        note_jump(r, v.epoch, v.seq);
    before = r->next;
    if (c == -EBADMSG) {
        r->next.lost += v.skipped;
        r->next.seq_next += v.skipped;
        return STEP_MORE;
    }
    r->next.seq_next++;
    if (r->filters && (v.type >= TYPES || !r->wanted[v.type])) {
        r->next.filtered++;
        return STEP_MORE;
    }
    a = r->ops->send(r->sink, &v, err);
    if (a == EA_SINK_REFUSED)
        return refuse(r, &v, before, err);
    if (a != EA_SINK_SENT) {
        r->next = before;
        return failed_step(a);
    }
    r->next.acked++;
    *bytes += v.bytes.n;
    return *bytes >= BATCH_BYTES ? STEP_FULL : STEP_MORE;
}

static enum step one_batch(struct ea_sink_runner *r, struct ea_err *err)
{
    enum step s = STEP_MORE;
    size_t bytes = 0;

    for (unsigned n = 0; n < BATCH_RECORDS && s == STEP_MORE; n++)
        s = one_record(r, &bytes, err);
    if (r->next.seq_next != r->at.seq_next || r->next.epoch != r->at.epoch) {
        struct ea_err why = {0};
        enum ea_sink_answer a = r->ops->flush(r->sink, &why);

        if (a == EA_SINK_SENT) {
            commit(r);
        } else if (s != STEP_FAILED && s != STEP_HELD) {
            *err = why;
            s = failed_step(a);
        }
    }
    return s;
}

static void *run(void *arg)
{
    struct ea_sink_runner *r = arg;
    struct ea_err err = {0};
    bool late = false;
    unsigned idle = 0;

    r->next = r->at;
    for (;;) {
        bool stop = stopping(r, &late);
        enum step s = STEP_FAILED;

        if (late)
            break;
        if (r->reader || rewind_reader(r, &err) == 0)
            s = one_batch(r, &err);
        if (s == STEP_IDLE && stop)
            break;
        if (persist(r, false, &err) < 0)
            s = STEP_HELD;
        if (s == STEP_FAILED || s == STEP_HELD) {
            back_off(r, s == STEP_HELD, &err);
            ea_reader_close(r->reader);
            r->reader = NULL;
        } else if (s == STEP_IDLE) {
            /* A moment's patience makes one batch of what comes together, instead of a wake-up for
             * each record. Told that there is more and still nothing read: the cursor stands in
             * another epoch, nothing to hurry for. */
            if (ea_elog_wait_appended(r->log, r->at.epoch, r->at.seq_next, IDLE_US) == 0)
                ea_sleep_us(++idle > 1 ? NO_HURRY_US : GATHER_US);
        } else {
            idle = 0;
        }
    }
    (void)!persist(r, true, &err); /* an older cursor costs duplicates only */
    return NULL;
}

/* ---- starting and stopping ---- */

static bool known_option(const struct ea_sink_option *o, struct ea_str key)
{
    for (; o && o->key; o++)
        if (ea_str_is(key, o->key))
            return true;
    return false;
}

static int read_types(struct ea_sink_runner *r, const struct ea_val *config, struct ea_err *err)
{
    const struct ea_val *list = ea_val_getz(config, "types");

    if (!list || list->type == EA_V_NULL)
        return 0;
    if (list->type != EA_V_LIST)
        return ea_fail(err, -EINVAL, "sink %s: types is a list of record types", r->name);
    r->filters = true;
    for (size_t i = 0; i < list->n; i++) {
        const struct ea_val *v = ea_val_at(list, i);
        unsigned t = ea_val_is(v, EA_V_STRING) ? ea_record_type_number(ea_val_text(v)) : 0;

        if (t == 0 || t >= TYPES)
            return ea_fail(err, -EINVAL, "sink %s: types[%zu] is no record type", r->name, i);
        r->wanted[t] = true;
    }
    return 0;
}

static int read_config(struct ea_sink_runner *r, const struct ea_val *config, struct ea_err *err)
{
    struct ea_str start = ea_sink_opt(config, ea_sink_common_options, "start");

    for (uint32_t i = 0; config && config->type == EA_V_MAP && i < config->n; i++) {
        struct ea_str key = ea_val_text(&config->members[i].key);

        if (!known_option(ea_sink_common_options, key) && !known_option(r->ops->options, key))
            return ea_fail(err, -EINVAL,
                           "sink %s: unknown option '%.*s' (see `eucs-agent sinks list`)", r->name,
                           EA_STRF(key));
    }
    if (!ea_str_is(start, "now") && !ea_str_is(start, "oldest"))
        return ea_fail(err, -EINVAL, "sink %s: start is now or oldest", r->name);
    if (ea_str_to_duration_us(ea_sink_opt(config, ea_sink_common_options, "retryBase"),
                              &r->retry_base_us) < 0 ||
        ea_str_to_duration_us(ea_sink_opt(config, ea_sink_common_options, "retryMax"),
                              &r->retry_max_us) < 0 ||
        r->retry_base_us == 0 || r->retry_max_us < r->retry_base_us ||
        r->retry_max_us > 3600000000u)
        return ea_fail(
            err, -EINVAL,
            "sink %s: retryBase and retryMax are durations, 0 < retryBase <= retryMax <= 1h",
            r->name);
    return read_types(r, config, err);
}

static void runner_free(struct ea_sink_runner *r)
{
    if (r->sink)
        r->ops->close(r->sink);
    ea_reader_close(r->reader);
    pthread_mutex_destroy(&r->m);
    pthread_cond_destroy(&r->wake);
    free(r->name);
    free(r->dir);
    free(r);
}

int ea_sink_start(struct ea_elog *log, const char *log_dir, const char *name,
                  const struct ea_sink_ops *ops, const struct ea_val *config,
                  struct ea_sink_runner **ret, struct ea_err *err)
{
    struct ea_sink_runner *r;
    pthread_condattr_t attr;
    int c;

    *ret = NULL;
    if (!ea_sink_name_ok(ea_str(name)))
        return ea_fail(err, -EINVAL,
                       "a sink's name is 1 to 64 letters, digits, '-', '_', '.', not '%s'", name);
    r = ea_xalloc(sizeof(*r));
    r->name = ea_str_dupz(ea_str(name));
    r->dir = ea_str_dupz(ea_str(log_dir));
    r->ops = ops;
    r->log = log;
    EA_ASSERT(pthread_condattr_init(&attr) == 0 &&
              pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    EA_ASSERT(pthread_mutex_init(&r->m, NULL) == 0 && pthread_cond_init(&r->wake, &attr) == 0);
    pthread_condattr_destroy(&attr);
    c = read_config(r, config, err);
    if (c == 0 && (c = ops->open(config, &r->sink, err)) < 0)
        ea_wrap(err, "sink %s", name);
    if (c == 0)
        c = load_cursor(r, ea_sink_opt(config, ea_sink_common_options, "start"), err);
    if (c == 0 && pthread_create(&r->thread, NULL, run, r) != 0)
        c = ea_fail(err, -EAGAIN, "no thread for sink %s", name);
    if (c < 0) {
        runner_free(r);
        return c;
    }
    *ret = r;
    return 0;
}

void ea_sink_stat(struct ea_sink_runner *r, struct ea_sink_stat *ret)
{
    struct ea_elog_stat st;
    struct ea_cursor at;

    pthread_mutex_lock(&r->m);
    at = r->at;
    *ret = (struct ea_sink_stat){.name = r->name, .retries = r->retries, .holding = r->holding};
    memcpy(ret->error, r->error, sizeof(ret->error));
    pthread_mutex_unlock(&r->m);
    ret->acked = at.acked;
    ret->filtered = at.filtered;
    ret->dead = at.dead;
    ret->lost = at.lost;
    ret->epoch = at.epoch;
    ret->seq_next = at.seq_next;
    ea_elog_stat(r->log, &st);
    if (st.epoch == at.epoch)
        ret->pending = st.next_seq - EA_MIN(st.next_seq, at.seq_next);
    else if (ea_evidence_count_from(r->dir, at.epoch, at.seq_next, &ret->pending, NULL) < 0)
        ret->pending = 0;
}

void ea_sink_stop(struct ea_sink_runner *r, uint64_t grace_us)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->m);
    r->stop = true;
    r->stop_at = ea_mono_now() + grace_us;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->m);
    pthread_join(r->thread, NULL);
    runner_free(r);
}
