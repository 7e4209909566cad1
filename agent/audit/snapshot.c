/* audit/snapshot.c - findings published for readers. */
#include "audit/snapshot.h"

#include "audit/audit_priv.h"

#include <stdatomic.h>

#define FRESH_US 1000000ll

struct ea_snapshot_priv {
    atomic_uint refs;
    struct ea_ruleset *rules;
};

void ea_snapshot_unref(struct ea_snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->priv->refs, 1) != 1)
        return;
    for (size_t i = 0; i < s->n; i++)
        ea_object_unref(s->rows[i].object);
    ea_ruleset_unref(s->priv->rules);
    free(s->rows);
    free(s->controls);
    free(s->priv);
    free(s);
}

static int compare(const void *x, const void *y)
{
    const struct ea_row *a = x, *b = y;
    int c;

    if (a->exempted != b->exempted)
        return a->exempted ? 1 : -1;
    if (a->result != b->result)
        return a->result == EA_FAIL ? -1 : 1;
    if (a->control->severity != b->control->severity)
        return a->control->severity > b->control->severity ? -1 : 1;
    if (a->control != b->control)
        return a->control < b->control ? -1 : 1;
    c = ea_str_cmp(ea_object_ns(a->object), ea_object_ns(b->object));
    return c ? c : ea_str_cmp(ea_object_name(a->object), ea_object_name(b->object));
}

static void count(struct ea_snapshot *s, const struct verdict *v)
{
    for (uint32_t i = 0; i < v->n; i++) {
        struct ea_control_count *c = &s->controls[v->e[i].control];

        if (v->e[i].result == EA_FAIL && (v->e[i].flags & VERDICT_EXEMPT))
            c->exempted++;
        else
            c->n[v->e[i].result]++;
    }
}

/* Failures are taken before unknowns when there are more than may be shown. */
static void add_rows(struct ea_snapshot *s, const struct ea_audit *a, const struct entry *e,
                     enum ea_result want)
{
    for (uint32_t i = 0; i < e->now->n; i++) {
        const struct verdict_entry *x = &e->now->e[i];

        if (x->result != want)
            continue;
        if (s->n == EA_MAX_SNAPSHOT_ROWS) {
            s->cut++;
            continue;
        }
        if ((s->n & (s->n - 1)) == 0)
            s->rows = ea_xrealloc(s->rows, (s->n ? 2 * s->n : 1) * sizeof(*s->rows));
        s->rows[s->n++] = (struct ea_row){.res = ea_store_res(a->o.store, e->object->table),
                                          .object = ea_object_ref(e->object),
                                          .control = verdict_control(e->now, i),
                                          .result = (enum ea_result)x->result,
                                          .reason = (enum ea_reason)x->reason,
                                          .exempted = (x->flags & VERDICT_EXEMPT) != 0};
    }
}

static struct ea_snapshot *make(struct ea_audit *a)
{
    struct ea_snapshot *s = ea_xalloc(sizeof(*s));
    struct entry *e;

    s->priv = ea_xalloc(sizeof(*s->priv));
    atomic_init(&s->priv->refs, 1);
    s->priv->rules = ea_ruleset_ref(a->o.rules);
    s->n_controls = a->o.rules->n_controls;
    s->controls = ea_xalloc((s->n_controls + 1) * sizeof(*s->controls));
    for (unsigned i = 0; i < s->n_controls; i++)
        s->controls[i].control = &a->o.rules->controls[i];
    for (int pass = 0; pass < 2; pass++) {
        size_t b = 0;

        for (e = entries_next(&a->entries, &b, NULL); e;
             e = entries_next(&a->entries, &b, e->next)) {
            if (!e->now || e->now->rules != a->o.rules)
                continue;
            if (pass == 0)
                count(s, e->now);
            add_rows(s, a, e, pass == 0 ? EA_FAIL : EA_UNKNOWN);
        }
    }
    if (s->n)
        qsort(s->rows, s->n, sizeof(*s->rows), compare);
    s->at = ea_wall_now();
    s->version = a->version;
    return s;
}

struct ea_snapshot *ea_audit_snapshot(struct ea_audit *a)
{
    struct ea_snapshot *s;
    struct ea_audit_stat st;

    ea_audit_stat(a, &st);
    pthread_mutex_lock(&a->lock);
    s = a->published;
    if (!s || (s->version != a->version && ea_wall_now() - s->at > FRESH_US) ||
        s->stat.synced != st.synced) {
        ea_snapshot_unref(s);
        s = a->published = make(a);
        s->stat = st;
    }
    atomic_fetch_add(&s->priv->refs, 1);
    pthread_mutex_unlock(&a->lock);
    return s;
}

int ea_audit_explain(struct ea_audit *a, const struct ea_row *row, struct ea_arena *arena,
                     struct ea_finding *ret, struct ea_err *err)
{
    struct ea_val *doc = ea_arena_alloc(arena, sizeof(*doc));
    struct ea_subject s;
    struct ea_judge_opts jo;
    struct ea_ruleset *rules;
    const struct ea_control *c;
    int rc;

    if (!doc ||
        ea_arena_defer(arena, (void (*)(void *))ea_object_unref, ea_object_ref(row->object)) < 0)
        return ea_fail(err, -E2BIG, "out of memory");
    rc = ea_object_parse(row->object, arena, doc);
    if (rc)
        return ea_fail(err, rc == -ENODATA ? -ENOENT : rc, "the object is not kept");
    pthread_mutex_lock(&a->lock);
    rules = ea_ruleset_ref(a->o.rules);
    s = audit_subject(a, row->object, doc);
    /* no exemptions: the row says whether one covers it, and they may be exchanged meanwhile */
    jo = (struct ea_judge_opts){
        .lookup = &a->o.lookup, .now_us = ea_wall_now(), .floor = a->o.floor, .trace = true};
    pthread_mutex_unlock(&a->lock);
    c = ea_control_find(rules, row->control->id);
    rc = c ? ea_judge_one(rules, c, &s, &jo, arena, ret, err)
           : ea_fail(err, -ENOENT, "the control is gone");
    if (ea_arena_defer(arena, (void (*)(void *))ea_ruleset_unref, rules) < 0 && rc == 0)
        rc = ea_fail(err, -E2BIG, "out of memory");
    return rc;
}
