/* admission/serve.c - a request, from the socket to the answer. Start at ea_admission_handle. */
#include "admission/serve.h"

#include <stdio.h>
#include <strings.h>

#include "admission/serve_priv.h"
#include "base/limits.h"

#define DEFAULT_TIMEOUT_US 10000000u
#define MAX_TIMEOUT_US 30000000u

/* One review on its way through the five steps. */
struct call {
    struct work *w;
    struct policy *policy;
    struct ea_review_env env;
    struct ea_review rv;
    struct ea_position pos;
    ea_mono_us append_by; /* the log may be waited for until then */
    char evidence[128];
    const char *lost; /* why there is no record of a decision that ought to have one */
    bool recorded;
};

/* The tag of a request: its caller, whether it counts as unauthenticated, and its bytes. */
#define TAG_CALLER(t) ((enum ea_caller)((t)&0xff))
#define TAG_LIMITED 0x100u
#define TAG_BYTES(t) ((size_t)((t) >> 16))

/* ---- policy ---- */

static struct policy *policy_get(struct ea_admission *a)
{
    struct policy *p;

    /* Pointer and reference under one lock, else the last reader could free it in between. */
    pthread_mutex_lock(&a->lock);
    p = a->policy;
    p->refs++;
    pthread_mutex_unlock(&a->lock);
    return p;
}

static void policy_put(struct ea_admission *a, struct policy *p)
{
    bool last;

    pthread_mutex_lock(&a->lock);
    last = --p->refs == 0;
    pthread_mutex_unlock(&a->lock);
    if (!last)
        return;
    ea_ruleset_unref(p->p.rules);
    if (p->p.release)
        p->p.release(p->p.release_arg);
    free(p);
}

static struct policy *policy_new(const struct ea_admission_policy *from)
{
    struct policy *p = ea_xalloc(sizeof(*p));

    p->p = *from;
    p->p.rules = ea_ruleset_ref(from->rules);
    p->refs = 1;
    return p;
}

void ea_admission_publish(struct ea_admission *a, const struct ea_admission_policy *from)
{
    struct policy *p = policy_new(from), *old;

    pthread_mutex_lock(&a->lock);
    old = a->policy;
    a->policy = p;
    pthread_mutex_unlock(&a->lock);
    policy_put(a, old);
}

/* ---- before the body: who calls, and may he ---- */

/* In a time that does not depend on where they differ. */
static bool same_secret(struct ea_str given, const char *secret)
{
    size_t n = strlen(secret);
    unsigned char diff = given.n != n;

    for (size_t i = 0; i < n; i++)
        diff |= (unsigned char)(secret[i] ^ (given.n ? given.p[i % given.n] : 0));
    return n > 0 && diff == 0;
}

static enum ea_caller who_calls(struct ea_admission *a, struct ea_request *rq, struct ea_str token,
                                bool *ret_limited)
{
    ea_mono_us now = ea_mono_now();
    bool known;

    pthread_mutex_lock(&a->lock);
    known = same_secret(token, a->tokens.current);
    known |= same_secret(token, a->tokens.previous) && now < a->tokens.grace_until;
    *ret_limited = !a->tokens.unlimited && now >= a->tokens.unlimited_until;
    pthread_mutex_unlock(&a->lock);
    if (ea_request_client(rq).n)
        return EA_CALLER_CLIENT_CERTIFICATE;
    return known ? EA_CALLER_PATH_TOKEN : EA_CALLER_NONE;
}

static bool is_json(struct ea_str type)
{
    struct ea_str media = ea_str_trim(ea_str_cut(type, ';', &(struct ea_str){0}));

    return media.n == 16 && strncasecmp(media.p, "application/json", 16) == 0;
}

static unsigned refuse(struct ea_admission *a, struct ea_request *rq, unsigned status,
                       const char *extra, const char *text)
{
    struct ea_buf b;

    atomic_fetch_add(&a->bad, 1);
    ea_metric_add(a->m_bad, 1);
    ea_buf_init(&b, 64u << 10);
    (void)ea_review_failure(&b, status, text);
    ea_respond(rq, status, "application/json", extra, ea_buf_str(&b));
    ea_buf_done(&b);
    return status;
}

/* Callers without a token have four places, so that they cannot take the memory or the time of
 * those with one. */
static bool take_place(struct ea_admission *a, size_t bytes)
{
    bool room = atomic_fetch_add(&a->none_calls, 1) < EA_UNAUTHENTICATED_CALLS;

    room &= atomic_fetch_add(&a->none_bytes, bytes) + bytes <= EA_UNAUTHENTICATED_BYTES;
    if (!room) {
        atomic_fetch_sub(&a->none_calls, 1);
        atomic_fetch_sub(&a->none_bytes, bytes);
    }
    return room;
}

static unsigned on_head(void *arg, struct ea_request *rq)
{
    struct ea_admission *a = arg;
    struct ea_str path = ea_request_path(rq), prefix = EA_STR("/validate/"), token = EA_STR("");
    size_t bytes = (size_t)ea_request_content_length(rq);
    enum ea_caller caller;
    bool limited;

    if (ea_str_starts(path, prefix))
        token = ea_strn(path.p + prefix.n, path.n - prefix.n);
    else if (!ea_str_is(path, "/validate"))
        return refuse(a, rq, 404, NULL, "reviews are posted to /validate");
    if (!ea_str_is(ea_request_method(rq), "POST"))
        return refuse(a, rq, 405, "Allow: POST\r\n", "reviews are posted: use POST");
    if (!is_json(ea_request_header(rq, "content-type")))
        return refuse(a, rq, 415, NULL, "the Content-Type must be application/json");
    caller = who_calls(a, rq, token, &limited);
    limited = limited && caller == EA_CALLER_NONE;
    if (limited && !take_place(a, bytes)) {
        atomic_fetch_add(&a->none_refused, 1);
        atomic_fetch_add(&a->refused, 1);
        ea_metric_add(a->m_refused, 1);
        return refuse(a, rq, 429, "Retry-After: 1\r\n", "too many calls without the path's token");
    }
    *ea_request_tag(rq) = (uint64_t)caller | (limited ? TAG_LIMITED : 0) | (uint64_t)bytes << 16;
    ea_metric_set(a->m_in_flight, atomic_fetch_add(&a->in_flight, 1) + 1);
    return 0;
}

static void on_done(void *arg, struct ea_request *rq)
{
    struct ea_admission *a = arg;
    uint64_t tag = *ea_request_tag(rq);

    ea_metric_set(a->m_in_flight, atomic_fetch_sub(&a->in_flight, 1) - 1);
    if (tag & TAG_LIMITED) {
        atomic_fetch_sub(&a->none_calls, 1);
        atomic_fetch_sub(&a->none_bytes, TAG_BYTES(tag));
    }
}

/* ---- the steps ---- */

/* The API server says in the query how long it waits. Judging ends at 80 % of that, waiting for the
 * log at 90 %. */
static void prepare(struct ea_admission *a, struct ea_request *rq, struct call *c)
{
    struct ea_str given = ea_request_query(rq, "timeout");
    uint64_t timeout = DEFAULT_TIMEOUT_US;
    ea_mono_us start = ea_request_start(rq);

    if (given.n && (ea_str_to_duration_us(given, &timeout) || timeout == 0))
        timeout = DEFAULT_TIMEOUT_US;
    timeout = EA_MIN(timeout, MAX_TIMEOUT_US);
    memset(c, 0, sizeof(*c));
    c->w = &a->work[ea_request_worker(rq)];
    c->policy = policy_get(a);
    c->append_by = start + timeout / 10 * 9;
    c->env = (struct ea_review_env){
        .rules = c->policy->p.rules,
        .lookup = a->o.lookup,
        .exemptions = c->policy->p.exemptions,
        .owners = a->o.owners,
        .enforcement = c->policy->p.enforcement,
        .floor = c->policy->p.floor,
        .existing_deny = c->policy->p.existing_deny,
        .now = ea_wall_now(),
        .deadline = start + timeout / 10 * 8,
        .caller = TAG_CALLER(*ea_request_tag(rq)),
        .digest = a->o.digest,
        .digest_arg = a->o.digest_arg,
    };
}

static const char *loss_reason(int rc)
{
    if (rc == -ETIME)
        return "the log did not answer in time";
    if (rc == -ENOSPC)
        return "the disk is full";
    return rc == -E2BIG ? "the record is too large" : "the log cannot be written";
}

/* A dry run leaves no trace. Callers whose word counts for nothing are counted instead (watch.c).
 */
static void record(struct ea_admission *a, struct ea_request *rq, struct call *c)
{
    bool limited = *ea_request_tag(rq) & TAG_LIMITED;
    int rc;

    if (c->rv.dry_run || !a->o.log)
        return;
    if (limited) {
        atomic_fetch_add(&a->none_count, 1);
        atomic_fetch_add(&a->unauthenticated, 1);
        return;
    }
    ea_buf_clear(&c->w->record);
    rc = ea_review_record(&c->env, &c->rv, &c->w->record);
    atomic_store(&c->w->appending, ea_mono_now());
    if (rc == 0)
        rc = ea_elog_append(a->o.log, EA_REC_ADMISSION_DECISION, ea_buf_str(&c->w->record),
                            !c->rv.allowed, c->append_by, &c->pos, NULL);
    atomic_store(&c->w->appending, 0);
    if (rc) {
        c->lost = loss_reason(rc);
        admission_note_loss(a);
        return;
    }
    c->recorded = true;
    admission_note_good(a);
    ea_position_text(a->o.log, &c->pos, c->evidence);
}

/* With sync: always the answer waits on the side while this thread goes on with others. */
static bool park(struct ea_admission *a, struct ea_request *rq, struct call *c)
{
    struct ea_buf *lost = &c->w->record;

    ea_buf_clear(lost);
    if (!a->o.block_when_full &&
        ea_review_answer(&c->env, &c->rv, NULL, "the log did not sync in time", lost))
        ea_buf_clear(lost);
    if (admission_park(a, rq, &c->pos, c->append_by, ea_buf_str(&c->w->answer), ea_buf_str(lost)))
        return true;
    if (ea_elog_wait_synced(a->o.log, &c->pos, c->append_by) == 0)
        return false;
    c->lost = "the log did not sync in time";
    admission_note_loss(a);
    return false;
}

static void answer(struct ea_admission *a, struct ea_request *rq, struct call *c)
{
    struct ea_buf *b = &c->w->answer;
    int rc = 0;

    ea_buf_clear(b);
    if (!c->lost)
        rc = ea_review_answer(&c->env, &c->rv, c->recorded ? c->evidence : NULL, NULL, b);
    if (rc == 0 && c->recorded && a->o.sync == EA_SYNC_ALWAYS && park(a, rq, c))
        return;
    if (c->lost && a->o.block_when_full) {
        (void)refuse(a, rq, 500, NULL, c->lost);
        return;
    }
    if (c->lost) {
        ea_buf_clear(b);
        rc = ea_review_answer(&c->env, &c->rv, NULL, c->lost, b);
    }
    if (rc)
        (void)refuse(a, rq, 500, NULL, "the answer does not fit in memory");
    else
        ea_respond(rq, 200, "application/json", NULL, ea_buf_str(b));
}

static void count(struct ea_admission *a, struct ea_request *rq, const struct call *c)
{
    static const unsigned ops[5] = {0, EA_OP_CREATE, EA_OP_UPDATE, EA_OP_DELETE, EA_OP_CONNECT};
    const struct ea_review *rv = &c->rv;
    unsigned op = 0;

    for (unsigned i = 1; i < 5; i++)
        if (ops[i] == rv->subject.op)
            op = i;
    ea_metric_add(a->m_requests[rv->allowed][op][rv->dry_run], 1);
    ea_metric_observe_us(a->m_duration, ea_mono_now() - ea_request_start(rq));
    ea_metric_add(a->m_bytes, rv->body.n);
    atomic_fetch_add(&a->reviews, 1);
    if (rv->dry_run)
        atomic_fetch_add(&a->dry_runs, 1);
    if (rv->allowed)
        return;
    atomic_fetch_add(&a->denied, 1);
    for (unsigned i = 0; i < rv->findings.n; i++) {
        struct ea_buf label;

        if (rv->effects[i] != EA_EFFECT_DENY)
            continue;
        ea_buf_init(&label, 1024);
        ea_metric_label(&label, "control", rv->findings.f[i].control->id);
        if (ea_buf_add(&label, "", 1) == 0)
            ea_metric_add(ea_metric(EA_COUNTER, "eucs_agent_admission_denied_total",
                                    "Denials, by control.", label.p),
                          1);
        ea_buf_done(&label);
    }
}

/* A review: decode, judge, decide, record, answer. The record is in the log before the answer
 * leaves. */
static void ea_admission_handle(void *arg, struct ea_request *rq)
{
    struct ea_admission *a = arg;
    struct ea_arena *arena = ea_request_arena(rq);
    struct ea_err err = {0};
    struct call c;

    prepare(a, rq, &c);
    if (ea_review_decode(&c.env, arena, ea_request_body(rq), &c.rv, &err)) {
        (void)refuse(a, rq, 400, NULL, ea_err_text(&err));
    } else {
        ea_review_judge(&c.env, arena, &c.rv);
        ea_review_decide(&c.env, arena, &c.rv);
        record(a, rq, &c);
        count(a, rq, &c);
        answer(a, rq, &c);
    }
    policy_put(a, c.policy);
}

/* ---- readiness ---- */

bool ea_admission_ready(struct ea_admission *a, char *why, size_t n)
{
    ea_mono_us now = ea_mono_now(), since = atomic_load(&a->failing_since);

    /* A thread that hangs in the append itself cannot say so: its time is looked at from here. */
    for (unsigned i = 0; i < a->o.server.workers; i++) {
        uint64_t begun = atomic_load(&a->work[i].appending);

        if (begun && (!since || begun < since))
            since = begun;
    }
    if (!since || now < since + SICK_US)
        return true;
    if (why)
        snprintf(why, n, "decisions have not reached the evidence log for %llu s",
                 (unsigned long long)((now - since) / 1000000));
    return false;
}

void ea_admission_stat(struct ea_admission *a, struct ea_admission_stat *ret)
{
    *ret = (struct ea_admission_stat){
        .reviews = atomic_load(&a->reviews),
        .denied = atomic_load(&a->denied),
        .dry_runs = atomic_load(&a->dry_runs),
        .bad = atomic_load(&a->bad),
        .lost = atomic_load(&a->lost),
        .unauthenticated = atomic_load(&a->unauthenticated),
        .refused = atomic_load(&a->refused),
        .in_flight = atomic_load(&a->in_flight),
    };
}

void ea_admission_set_tokens(struct ea_admission *a, const struct ea_admission_tokens *t)
{
    pthread_mutex_lock(&a->lock);
    a->tokens = *t;
    pthread_mutex_unlock(&a->lock);
}

/* ---- start and stop ---- */

static void make_metrics(struct ea_admission *a)
{
    static const char *const ops[5] = {"OTHER", "CREATE", "UPDATE", "DELETE", "CONNECT"};
    static const char *const yes[2] = {"false", "true"};
    char labels[96];

    for (unsigned allowed = 0; allowed < 2; allowed++)
        for (unsigned op = 0; op < 5; op++)
            for (unsigned dry = 0; dry < 2; dry++) {
                snprintf(labels, sizeof(labels), "allowed=\"%s\",operation=\"%s\",dry_run=\"%s\"",
                         yes[allowed], ops[op], yes[dry]);
                a->m_requests[allowed][op][dry] =
                    ea_metric(EA_COUNTER, "eucs_agent_admission_requests_total",
                              "Admission reviews answered.", labels);
            }
    a->m_duration = ea_metric(EA_HISTOGRAM, "eucs_agent_admission_request_duration_seconds",
                              "From the complete head of a review to its answer.", NULL);
    a->m_in_flight = ea_metric(EA_GAUGE, "eucs_agent_admission_requests_in_flight",
                               "Reviews being received or judged.", NULL);
    a->m_bytes = ea_metric(EA_COUNTER, "eucs_agent_admission_request_bytes_total",
                           "Bytes of the reviews judged.", NULL);
    a->m_bad = ea_metric(EA_COUNTER, "eucs_agent_admission_bad_requests_total",
                         "Requests that were no review or could not be answered.", NULL);
    a->m_lost = ea_metric(EA_COUNTER, "eucs_agent_admission_evidence_lost_total",
                          "Decisions that could not be recorded.", NULL);
    a->m_refused = ea_metric(EA_COUNTER, "eucs_agent_admission_unauthenticated_refused_total",
                             "Calls without token or certificate answered 429.", NULL);
}

static void on_report(void *arg, const char *slug, const struct ea_err *err)
{
    struct ea_admission *a = arg;

    a->o.server.report(a->o.report_arg, slug, err);
}

static void admission_free(struct ea_admission *a)
{
    for (unsigned i = 0; i < a->o.server.workers; i++) {
        ea_buf_done(&a->work[i].record);
        ea_buf_done(&a->work[i].answer);
    }
    policy_put(a, a->policy);
    pthread_mutex_destroy(&a->park_lock);
    pthread_cond_destroy(&a->park_cond);
    pthread_mutex_destroy(&a->lock);
    free(a->work);
    free(a);
}

int ea_admission_start(const struct ea_admission_opts *o, struct ea_admission **ret,
                       struct ea_err *err)
{
    struct ea_admission *a = ea_xalloc(sizeof(*a));
    struct ea_server_opts so = o->server;
    int rc;

    a->o = *o;
    a->o.server.workers = so.workers = EA_MAX(so.workers, 1u);
    a->tokens = o->tokens;
    a->policy = policy_new(&o->policy);
    pthread_mutex_init(&a->lock, NULL);
    a->work = ea_xalloc(so.workers * sizeof(*a->work));
    for (unsigned i = 0; i < so.workers; i++) {
        ea_buf_init(&a->work[i].record, EA_MAX_RECORD);
        ea_buf_init(&a->work[i].answer, EA_MAX_REVIEW_ANSWER);
    }
    make_metrics(a);
    so.handle = ea_admission_handle;
    so.head = on_head;
    so.done = on_done;
    so.report = so.report ? on_report : NULL;
    so.arg = a;
    so.name = "webhook";
    so.max_body = so.max_body ? so.max_body : EA_MAX_ADMISSION_BODY;
    so.max_body_total = so.max_body_total ? so.max_body_total : (size_t)EA_MAX_ADMISSION_BODY * 16;
    rc = admission_watch_start(a, err);
    if (rc == 0)
        rc = ea_server_start(&so, &a->server, err);
    if (rc) {
        a->policy->p.release = NULL; /* nothing was taken over */
        admission_watch_stop(a);
        admission_free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

uint16_t ea_admission_port(const struct ea_admission *a)
{
    return ea_server_port(a->server);
}

void ea_admission_stop(struct ea_admission *a, uint64_t grace_us)
{
    if (!a)
        return;
    /* The helper first: whatever is parked is answered by it; what still comes waits for its sync
     * on its own thread. */
    admission_watch_stop(a);
    ea_server_stop(a->server, grace_us);
    admission_free(a);
}
