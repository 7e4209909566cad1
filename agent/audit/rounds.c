/* audit/rounds.c - life of an audit, and what it does by the clock: takeover, retry,
 * re-attestation, exemptions that begin or end. */
#include "audit/audit_priv.h"

#include "audit/snapshot.h"
#include "base/log.h"

#include <stdio.h>

#define KEEP_GONE_US (600ull * 1000000) /* of objects deleted while another pod records */

static struct ea_metric *finding_gauge(enum ea_result r, enum ea_severity s)
{
    char labels[64];

    (void)snprintf(labels, sizeof(labels), "result=\"%s\",severity=\"%s\"", ea_result_names[r],
                   ea_severity_names[s]);
    return ea_metric(
        EA_GAUGE, "eucs_agent_findings",
        "Present verdicts, one for each object and control; exempted failures are not counted",
        labels);
}

static void make_metrics(struct ea_audit *a)
{
    for (unsigned r = 0; r < EA_RESULT_COUNT; r++) {
        char labels[64];

        for (unsigned s = 0; s < EA_SEVERITY_COUNT; s++)
            a->m_findings[r][s] = finding_gauge((enum ea_result)r, (enum ea_severity)s);
        (void)snprintf(labels, sizeof(labels), "result=\"%s\"", ea_result_names[r]);
        a->m_records[r] =
            ea_metric(EA_COUNTER, "eucs_agent_assessments_total", "Assessments recorded", labels);
    }
    a->m_exempted = ea_metric(EA_GAUGE, "eucs_agent_findings_exempted",
                              "Present failures that an exemption covers", NULL);
    a->m_objects = ea_metric(EA_GAUGE, "eucs_agent_objects_judged", "Objects with a verdict", NULL);
    a->m_gaps = ea_metric(EA_GAUGE, "eucs_agent_gaps_open",
                          "Resources and files that cannot be observed now", NULL);
    a->m_judge = ea_metric(EA_HISTOGRAM, "eucs_agent_judge_seconds",
                           "Time to judge one object against every control that matches it", NULL);
    a->m_failed = ea_metric(EA_COUNTER, "eucs_agent_assessments_failed_total",
                            "Records of the watch that could not be written", NULL);
}

static void add_set(struct ea_audit *a, struct ea_ruleset *rules)
{
    a->sets = ea_xrealloc(a->sets, (a->n_sets + 1) * sizeof(*a->sets));
    a->sets[a->n_sets++] = ea_ruleset_ref(rules);
    a->o.rules = rules;
}

int ea_audit_new(const struct ea_audit_opts *o, struct ea_audit **ret, struct ea_err *err)
{
    struct ea_audit *a = ea_xalloc(sizeof(*a));
    struct ea_elog_stat st = {0};
    ea_wall_us written = 0;
    int rc = 0;

    a->o = *o;
    pthread_mutex_init(&a->lock, NULL);
    verdict_pool_init(&a->pool);
    entries_init(&a->entries);
    ea_map_init(&a->namespaces);
    ea_map_init(&a->gaps);
    ea_arena_init(&a->arena, EA_ARENA_OBJECT, 64u << 10);
    ea_buf_init(&a->body, EA_MAX_RECORD / 2);
    add_set(a, o->rules);
    make_metrics(a);
    a->ticked = ea_wall_now();
    if (o->log && o->digest_path) {
        ea_elog_stat(o->log, &st);
        rc = digest_open(o->digest_path, st.node_uid, st.epoch, &a->digest, &written, err);
        if (rc == 0 && o->outage_gaps)
            a->outage_from = written;
    }
    if (rc) {
        ea_audit_free(a);
        return rc;
    }
    *ret = a;
    return 0;
}

static void free_gap(void *p)
{
    struct gap *g = p;

    free(g->reason);
    free(g);
}

static void end_round(struct ea_audit *a)
{
    for (size_t i = 0; i < a->round_n; i++)
        ea_object_unref(a->round[i]);
    free(a->round);
    a->round = NULL;
    a->round_n = 0;
}

void ea_audit_free(struct ea_audit *a)
{
    if (!a)
        return;
    ea_snapshot_unref(a->published);
    end_round(a);
    for (size_t b = 0; b < a->entries.size; b++) {
        while (a->entries.buckets[b]) {
            struct entry *e = a->entries.buckets[b];

            a->entries.buckets[b] = e->next;
            ea_object_unref(e->object);
            free(e);
        }
    }
    free(a->entries.buckets);
    verdict_pool_done(&a->pool);
    for (size_t i = 0; i < a->n_sets; i++)
        ea_ruleset_unref(a->sets[i]);
    free(a->sets);
    ea_map_done(&a->namespaces, NULL);
    ea_map_done(&a->gaps, free_gap);
    digest_close(a->digest);
    ea_arena_done(&a->arena);
    ea_buf_done(&a->body);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* ---- recording what differs ---- */

/* Judges what is stored under the entry and records it; the entry may change under the lock only.
 */
static void repeat(struct ea_audit *a, struct entry *e, bool all)
{
    struct ea_findings f = {0};
    struct ea_val doc;
    struct verdict *v;

    ea_arena_reset(&a->arena);
    if (ea_object_parse(e->object, &a->arena, &doc) < 0 || audit_judge(a, e->object, &doc, &f) < 0)
        return;
    v = verdict_take(&a->pool, a->o.rules, &f, &a->arena);
    /* time may have passed since it was judged: record what holds now */
    if (v == e->now) {
        verdict_unref(&a->pool, v);
        if (all)
            audit_record_all(a, e, &f);
        else
            audit_record_changes(a, e, &f);
        return;
    }
    verdict_unref(&a->pool, v);
    audit_scan_object(a, e->object);
}

static void close_gone(struct ea_audit *a, struct entry *e)
{
    audit_record_gone(a, e);
    verdict_unref(&a->pool, e->recorded);
    entries_del(&a->entries, e);
}

static bool fails(const struct verdict *v)
{
    for (uint32_t i = 0; v && i < v->n; i++) {
        if (v->e[i].result == EA_FAIL)
            return true;
    }
    return false;
}

/* Everything that was not recorded as it is: objects with failures first. */
static void catch_up_records(struct ea_audit *a)
{
    for (int pass = 0; pass < 2; pass++) {
        struct entry *e = NULL, *next;
        size_t b = 0;

        for (e = entries_next(&a->entries, &b, NULL); e; e = next) {
            next = entries_next(&a->entries, &b, e->next);
            if (e->gone)
                close_gone(a, e);
            else if (e->now != e->recorded && (pass == 1 || fails(e->now)))
                repeat(a, e, false);
        }
    }
}

void ea_audit_lead(struct ea_audit *a, bool lead, uint64_t term, bool takeover_record)
{
    pthread_mutex_lock(&a->lock);
    a->o.term = term;
    if (lead && !a->o.record) {
        a->o.record = true;
        if (takeover_record)
            audit_record_takeover(a);
        catch_up_records(a);
        for (unsigned t = 0; t < ea_store_tables(a->o.store); t++)
            audit_close_leftovers(a, t);
    }
    a->o.record = lead;
    pthread_mutex_unlock(&a->lock);
}

void ea_audit_set_rules(struct ea_audit *a, struct ea_ruleset *rules,
                        const struct ea_exemptions *exemptions)
{
    bool ready;

    pthread_mutex_lock(&a->lock);
    add_set(a, rules);
    a->o.exemptions = exemptions;
    ready = a->namespaces_ready;
    pthread_mutex_unlock(&a->lock);
    if (ready)
        audit_scan_all(a, EA_STR_NULL);
}

void ea_audit_rejudge(struct ea_audit *a)
{
    audit_scan_all(a, EA_STR_NULL);
}

/* ---- by the clock ---- */

/* True when an exemption began or ended since the last look; its end is recorded. */
static bool exemptions_moved(struct ea_audit *a, ea_wall_us from, ea_wall_us to)
{
    const struct ea_exemption *x;
    size_t n = ea_exemptions_list(a->o.exemptions, &x);
    bool moved = false;

    for (size_t i = 0; i < n; i++) {
        bool began = x[i].start_us > from && x[i].start_us <= to,
             ended = x[i].end_us > from && x[i].end_us <= to;

        if (ended)
            audit_record_expired(a, &x[i]);
        moved = moved || began || ended;
    }
    return moved;
}

static void drop_old_gone(struct ea_audit *a)
{
    struct entry *e, *next;
    ea_mono_us now = ea_mono_now();
    size_t b = 0;

    for (e = entries_next(&a->entries, &b, NULL); e; e = next) {
        next = entries_next(&a->entries, &b, e->next);
        if (e->gone && now - e->gone > KEEP_GONE_US) {
            verdict_unref(&a->pool, e->recorded);
            entries_del(&a->entries, e);
        }
    }
}

static void rewrite_digest(struct ea_audit *a)
{
    struct entry *e;
    struct ea_buf id;
    size_t b = 0;

    ea_buf_init(&id, 8192);
    digest_rewrite_begin(a->digest);
    for (e = entries_next(&a->entries, &b, NULL); e; e = entries_next(&a->entries, &b, e->next)) {
        if (!e->recorded)
            continue;
        ea_buf_clear(&id);
        audit_identity(&id, ea_store_res(a->o.store, e->object->table), e->object);
        if (!id.failed)
            digest_rewrite_add(a->digest, e->recorded->hash, ea_buf_str(&id));
    }
    digest_rewrite_end(a->digest);
    ea_buf_done(&id);
}

static void gauges(struct ea_audit *a)
{
    for (unsigned r = 0; r < EA_RESULT_COUNT; r++)
        for (unsigned s = 0; s < EA_SEVERITY_COUNT; s++)
            ea_metric_set(a->m_findings[r][s], (double)a->present[r][s]);
    ea_metric_set(a->m_exempted, (double)a->stat.exempted);
    ea_metric_set(a->m_objects, (double)a->entries.n);
    ea_metric_set(a->m_gaps, (double)a->gaps.n);
}

void ea_audit_tick(struct ea_audit *a)
{
    ea_wall_us now = ea_wall_now();
    bool moved;

    pthread_mutex_lock(&a->lock);
    moved = exemptions_moved(a, a->ticked, now);
    a->ticked = now;
    if (a->retry && a->o.record) {
        a->retry = false;
        catch_up_records(a);
    }
    if (!a->o.record)
        drop_old_gone(a);
    if (a->digest && digest_due(a->digest))
        rewrite_digest(a);
    gauges(a);
    pthread_mutex_unlock(&a->lock);
    if (moved)
        audit_scan_all(a, EA_STR_NULL);
}

static void begin_round(struct ea_audit *a)
{
    struct entry *e;
    size_t b = 0;

    a->round = ea_xalloc((a->entries.n + 1) * sizeof(*a->round));
    for (e = entries_next(&a->entries, &b, NULL); e; e = entries_next(&a->entries, &b, e->next)) {
        if (!e->gone)
            a->round[a->round_n++] = ea_object_ref(e->object);
    }
}

size_t ea_audit_attest(struct ea_audit *a, size_t max)
{
    size_t left;

    pthread_mutex_lock(&a->lock);
    if (!a->round)
        begin_round(a);
    while (max && a->round_n) {
        struct ea_object *o = a->round[--a->round_n];
        struct entry *e = entries_find(&a->entries, ea_object_uid(o));

        if (e && !e->gone && a->o.record) {
            repeat(a, e, true);
            max--;
        }
        ea_object_unref(o);
    }
    left = a->round_n;
    if (!left)
        end_round(a);
    pthread_mutex_unlock(&a->lock);
    return left;
}

static bool all_told(const struct ea_audit *a)
{
    for (unsigned t = 0; t < ea_store_tables(a->o.store); t++) {
        if (!ea_store_synced(a->o.store, t))
            return false;
    }
    return a->namespaces_ready;
}

void ea_audit_stat(struct ea_audit *a, struct ea_audit_stat *ret)
{
    pthread_mutex_lock(&a->lock);
    *ret = a->stat;
    ret->objects = a->entries.n;
    for (unsigned r = 0; r < EA_RESULT_COUNT; r++) {
        ret->by_result[r] = 0;
        for (unsigned s = 0; s < EA_SEVERITY_COUNT; s++)
            ret->by_result[r] += a->present[r][s];
    }
    for (unsigned s = 0; s < EA_SEVERITY_COUNT; s++)
        ret->fails[s] = a->present[EA_FAIL][s];
    ret->gaps = a->gaps.n;
    ret->verdicts = a->pool.n;
    ret->verdict_bytes = a->pool.bytes;
    ret->synced = all_told(a);
    pthread_mutex_unlock(&a->lock);
}
