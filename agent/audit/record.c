/* audit/record.c - the bodies of records, keys in JCS order by hand (all keys are ASCII and sorted
 * here). */
#include "audit/audit_priv.h"

#include "base/log.h"

/* ---- pieces ---- */

static void put_str(struct ea_buf *b, const char *key, struct ea_str s)
{
    ea_buf_addf(b, "\"%s\":", key);
    if (s.p)
        ea_buf_add_json(b, s);
    else
        ea_buf_addz(b, "null");
}

static struct ea_str or_null(struct ea_str s)
{
    return s.n ? s : EA_STR_NULL;
}

static void put_object(struct ea_buf *b, const struct ea_kube_res *res, const struct ea_object *o)
{
    ea_buf_addz(b, "\"object\":{\"apiVersion\":\"");
    if (*res->group)
        ea_buf_addf(b, "%s/", res->group);
    ea_buf_addf(b, "%s\",", res->version);
    put_str(b, "kind", ea_str(res->kind));
    ea_buf_addc(b, ',');
    put_str(b, "name", ea_object_name(o));
    ea_buf_addc(b, ',');
    put_str(b, "namespace", or_null(ea_object_ns(o)));
    ea_buf_addc(b, ',');
    put_str(b, "resourceVersion", or_null(ea_object_rv(o)));
    ea_buf_addc(b, ',');
    put_str(b, "uid", or_null(ea_object_uid(o)));
    ea_buf_addc(b, '}');
}

static void put_failures(struct ea_buf *b, const struct ea_finding *f)
{
    ea_buf_addz(b, "\"failures\":[");
    for (unsigned i = 0; i < f->n_failures; i++) {
        const struct ea_failure *x = &f->failures[i];

        ea_buf_addz(b, i ? ",{" : "{");
        put_str(b, "element", or_null(x->element));
        ea_buf_addc(b, ',');
        put_str(b, "message", x->message);
        ea_buf_addc(b, ',');
        put_str(b, "path", or_null(x->path));
        ea_buf_addf(b, ",\"validation\":%u}", x->validation);
    }
    ea_buf_addc(b, ']');
}

static void put_requirements(struct ea_buf *b, const struct ea_control *c)
{
    ea_buf_addz(b, "\"requirements\":[");
    for (unsigned i = 0; i < c->n_requirements; i++) {
        if (i)
            ea_buf_addc(b, ',');
        ea_buf_add_json(b, c->requirements[i]);
    }
    ea_buf_addc(b, ']');
}

struct assessment {
    const struct ea_kube_res *res;
    const struct ea_object *object;
    const struct ea_control *control;
    const struct ea_finding
        *finding; /* NULL: the control no longer applies, which is said as skip */
    const struct verdict_entry *previous;
    const char *trigger;
};

static void body_assessment(struct ea_buf *b, const struct ea_audit *a, const struct assessment *x)
{
    const struct ea_finding *f = x->finding;
    enum ea_result result = f ? f->result : EA_SKIP;
    const char *reason = f ? ea_reason_names[f->reason] : NULL;

    ea_buf_clear(b);
    ea_buf_addf(b, "{\"action\":\"%s\",", ea_action_names[f ? f->action : x->control->action]);
    put_str(b, "control", x->control->id);
    if (f && f->detail.n) {
        ea_buf_addc(b, ',');
        put_str(b, "detail", f->detail);
    }
    ea_buf_addc(b, ',');
    put_str(b, "exemption", f && f->exemption ? f->exemption->name : EA_STR_NULL);
    if (result == EA_FAIL) {
        ea_buf_addc(b, ',');
        put_failures(b, f);
    }
    ea_buf_addf(b, ",\"level\":\"%s\"", ea_level_names[x->control->level]);
    if (f && f->n_more)
        ea_buf_addf(b, ",\"more\":%u", f->n_more);
    ea_buf_addc(b, ',');
    put_object(b, x->res, x->object);
    ea_buf_addc(b, ',');
    put_str(b, "previous",
            x->previous ? ea_str(ea_result_names[x->previous->result]) : EA_STR_NULL);
    ea_buf_addc(b, ',');
    put_str(b, "reason", ea_str(reason));
    ea_buf_addc(b, ',');
    put_requirements(b, x->control);
    ea_buf_addf(b,
                ",\"result\":\"%s\",\"ruleset\":\"%s\",\"severity\":\"%s\",\"term\":%llu,"
                "\"trigger\":\"%s\"}",
                ea_result_names[result], a->o.rules->sha256,
                ea_severity_names[x->control->severity], (unsigned long long)a->o.term, x->trigger);
}

int audit_append(struct ea_audit *a, enum ea_record_type type, bool urgent)
{
    struct ea_position pos;
    struct ea_err err;
    int rc = a->body.failed;

    if (rc == 0)
        rc = ea_elog_append(a->o.log, type, ea_buf_str(&a->body), urgent, 0, &pos, &err);
    else
        (void)ea_fail(&err, rc, "the body is larger than a record may be");
    if (rc) {
        a->stat.failed_records++;
        ea_metric_add(a->m_failed, 1);
        ea_log_err(EA_LOG_ERROR, "record-not-written", &err);
        return rc;
    }
    a->stat.records++;
    return 0;
}

/* ---- assessments ---- */

/* An exemption was used for the first time on this object and control. */
static int record_exemption_used(struct ea_audit *a, const struct assessment *x)
{
    const struct ea_exemption *e = x->finding->exemption;
    struct ea_buf *b = &a->body;

    ea_buf_clear(b);
    ea_buf_addc(b, '{');
    put_str(b, "approver", or_null(e->approver));
    ea_buf_addc(b, ',');
    put_str(b, "control", x->control->id);
    ea_buf_addf(b, ",\"end\":%lld,", (long long)(e->end_us / 1000));
    put_str(b, "exemption", e->name);
    ea_buf_addc(b, ',');
    put_object(b, x->res, x->object);
    ea_buf_addc(b, ',');
    put_str(b, "owner", or_null(e->owner));
    ea_buf_addc(b, ',');
    put_str(b, "reason", or_null(e->reason));
    ea_buf_addc(b, ',');
    put_str(b, "riskRef", or_null(e->risk_ref));
    ea_buf_addf(b, ",\"term\":%llu}", (unsigned long long)a->o.term);
    return audit_append(a, EA_REC_EXEMPTION_USED, false);
}

static int record_one(struct ea_audit *a, const struct assessment *x)
{
    bool was_exempt = x->previous && (x->previous->flags & VERDICT_EXEMPT);
    int rc;

    body_assessment(&a->body, a, x);
    rc = audit_append(a, EA_REC_ASSESSMENT, false);
    if (rc == 0) {
        ea_metric_add(a->m_records[x->finding ? x->finding->result : EA_SKIP], 1);
        if (x->finding && x->finding->exemption && !was_exempt)
            rc = record_exemption_used(a, x);
    }
    return rc;
}

static const struct ea_finding *finding_of(const struct ea_findings *f, struct ea_str control)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (ea_str_eq(f->f[i].control->id, control))
            return &f->f[i];
    }
    return NULL;
}

/* A skip says that nothing was judged: worth a record only where something else was said before. */
static bool worth_saying(const struct ea_finding *f, const struct verdict_entry *before)
{
    if (!f || f->result == EA_SKIP)
        return before && before->result != EA_SKIP;
    return true;
}

/* Failures first: what is written when the disk fills up or the power goes is what matters. */
static const enum ea_result order[] = {EA_FAIL, EA_UNKNOWN, EA_PASS, EA_SKIP};

/* The findings of one result, when they say something new (or all is to be said). */
static int record_result(struct ea_audit *a, struct entry *e, const struct ea_findings *f, bool all,
                         struct assessment *x, enum ea_result result)
{
    int rc = 0;

    for (unsigned i = 0; i < f->n && rc == 0; i++) {
        const struct verdict_entry *before = verdict_find(e->recorded, f->f[i].control->id);

        if (f->f[i].result != result || !worth_saying(&f->f[i], all ? NULL : before))
            continue;
        if (!all && before && verdict_entry_same(verdict_find(e->now, f->f[i].control->id), before))
            continue;
        x->control = f->f[i].control;
        x->finding = &f->f[i];
        x->previous = before;
        rc = record_one(a, x);
    }
    return rc;
}

/* Controls that said something before and no longer apply. */
static int record_dropped(struct ea_audit *a, struct entry *e, const struct ea_findings *f,
                          struct assessment *x)
{
    int rc = 0;

    for (uint32_t i = 0; e->recorded && i < e->recorded->n && rc == 0; i++) {
        const struct ea_control *c = verdict_control(e->recorded, i);

        if (finding_of(f, c->id) || e->recorded->e[i].result == EA_SKIP)
            continue;
        x->control = c;
        x->finding = NULL;
        x->previous = &e->recorded->e[i];
        rc = record_one(a, x);
    }
    return rc;
}

static int record_findings(struct ea_audit *a, struct entry *e, const struct ea_findings *f,
                           bool all, const char *trigger)
{
    struct assessment x = {
        .res = ea_store_res(a->o.store, e->object->table), .object = e->object, .trigger = trigger};
    int rc = 0;

    for (size_t k = 0; k < EA_COUNT(order) && rc == 0; k++)
        rc = record_result(a, e, f, all, &x, order[k]);
    return rc ? rc : record_dropped(a, e, f, &x);
}

static void recorded(struct ea_audit *a, struct entry *e)
{
    struct ea_buf id;

    verdict_unref(&a->pool, e->recorded);
    e->recorded = verdict_ref(e->now);
    if (!a->digest)
        return;
    ea_buf_init(&id, 8192);
    audit_identity(&id, ea_store_res(a->o.store, e->object->table), e->object);
    if (e->now && !id.failed)
        digest_set(a->digest, ea_object_uid(e->object), e->now->hash, ea_buf_str(&id));
    else
        digest_forget(a->digest, ea_object_uid(e->object));
    ea_buf_done(&id);
}

static void record(struct ea_audit *a, struct entry *e, const struct ea_findings *f, bool all,
                   const char *trigger)
{
    if (!a->o.log) {
        recorded(a, e);
        return;
    }
    if (a->digest)
        digest_mark(a->digest, ea_object_uid(e->object));
    if (record_findings(a, e, f, all, trigger) == 0)
        recorded(a, e);
    else
        a->retry = true;
}

void audit_record_changes(struct ea_audit *a, struct entry *e, const struct ea_findings *f)
{
    uint64_t hash;

    if (e->now == e->recorded)
        return;
    if (!e->recorded && a->digest && e->now &&
        digest_find(a->digest, ea_object_uid(e->object), &hash) && hash == e->now->hash) {
        recorded(a, e); /* the log says so already, from before the restart */
        return;
    }
    record(a, e, f, false, e->recorded ? "change" : "first");
}

void audit_record_all(struct ea_audit *a, struct entry *e, const struct ea_findings *f)
{
    record(a, e, f, true, "attestation");
}

/* ---- the end of objects ---- */

void audit_record_gone(struct ea_audit *a, struct entry *e)
{
    const struct ea_kube_res *res = ea_store_res(a->o.store, e->object->table);
    const struct verdict *v = e->recorded ? e->recorded : e->now;
    struct ea_buf *b = &a->body;
    uint64_t hash;
    bool first = true;

    if (!e->recorded && !(a->digest && digest_find(a->digest, ea_object_uid(e->object), &hash)))
        return; /* never said anything about it */
    ea_buf_clear(b);
    ea_buf_addz(b, "{\"failing\":[");
    for (uint32_t i = 0; v && i < v->n; i++) {
        if (v->e[i].result != EA_FAIL)
            continue;
        if (!first)
            ea_buf_addc(b, ',');
        ea_buf_add_json(b, verdict_control(v, i)->id);
        first = false;
    }
    ea_buf_addz(b, "],");
    put_object(b, res, e->object);
    ea_buf_addf(b, ",\"reason\":\"deleted\",\"term\":%llu}", (unsigned long long)a->o.term);
    if (a->digest)
        digest_mark(a->digest, ea_object_uid(e->object));
    if (a->o.log && audit_append(a, EA_REC_OBJECT_GONE, false) < 0)
        return; /* the digest still knows it: the next start closes it */
    if (a->digest)
        digest_forget(a->digest, ea_object_uid(e->object));
}

static void put_encoded(struct ea_buf *b, struct ea_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < 0x20 || c == '%' || c == 0x7f)
            ea_buf_addf(b, "%%%02x", c);
        else
            ea_buf_addc(b, (char)c);
    }
}

static struct ea_str decode(struct ea_arena *a, struct ea_str s)
{
    char *out = ea_arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; out && i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        size_t one;

        if (c == '%' && i + 2 < s.n && ea_unhex(ea_strn(s.p + i + 1, 2), &c, 1, &one) == 0)
            i += 2;
        out[n++] = (char)c;
    }
    return ea_strn(out, n);
}

void audit_identity(struct ea_buf *b, const struct ea_kube_res *res, const struct ea_object *o)
{
    ea_buf_addf(b, "%s/%s\t%s\t", res->group, res->resource, res->version);
    ea_buf_addz(b, res->kind);
    ea_buf_addc(b, '\t');
    put_encoded(b, ea_object_ns(o));
    ea_buf_addc(b, '\t');
    put_encoded(b, ea_object_name(o));
    ea_buf_addc(b, '\t');
    put_encoded(b, ea_object_uid(o));
}

void audit_record_vanished(struct ea_audit *a, struct ea_str identity)
{
    struct ea_str rest = identity, group, resource = ea_str_cut(rest, '\t', &rest),
                  version = ea_str_cut(rest, '\t', &rest), kind = ea_str_cut(rest, '\t', &rest),
                  ns = ea_str_cut(rest, '\t', &rest), name = ea_str_cut(rest, '\t', &rest);
    struct ea_buf *b = &a->body;

    group = ea_str_cut(resource, '/', &resource);
    ea_buf_clear(b);
    ea_buf_addz(b, "{\"failing\":[],\"object\":{\"apiVersion\":");
    if (group.n) {
        struct ea_str gv =
            ea_arena_printf(&a->arena, "%.*s/%.*s", EA_STRF(group), EA_STRF(version));

        ea_buf_add_json(b, gv);
    } else {
        ea_buf_add_json(b, version);
    }
    ea_buf_addc(b, ',');
    put_str(b, "kind", kind);
    ea_buf_addc(b, ',');
    put_str(b, "name", decode(&a->arena, name));
    ea_buf_addc(b, ',');
    put_str(b, "namespace", or_null(decode(&a->arena, ns)));
    ea_buf_addz(b, ",\"resourceVersion\":null,");
    put_str(b, "uid", decode(&a->arena, rest));
    ea_buf_addf(b, "},\"reason\":\"vanished\",\"term\":%llu}", (unsigned long long)a->o.term);
    if (a->o.log)
        (void)audit_append(a, EA_REC_OBJECT_GONE, false);
}

/* ---- gaps, takeover, exemptions ---- */

struct ea_str audit_scope(struct ea_audit *a, const struct ea_kube_res *res)
{
    if (!res)
        return EA_STR("watch:directory");
    if (*res->group)
        return ea_arena_printf(&a->arena, "watch:%s.%s", res->resource, res->group);
    return ea_arena_printf(&a->arena, "watch:%s", res->resource);
}

void audit_gap_open(struct ea_audit *a, struct ea_str scope, const char *reason, ea_wall_us from,
                    struct ea_str file, unsigned line)
{
    struct gap *g = ea_map_find(&a->gaps, scope);
    struct ea_buf *b = &a->body;

    if (g)
        return;
    g = ea_xalloc(sizeof(*g));
    g->from = from;
    g->reason = ea_str_dupz(ea_str(reason));
    (void)ea_map_put(&a->gaps, scope, g);
    if (!a->o.log || !a->o.record)
        return;
    ea_buf_clear(b);
    ea_buf_addc(b, '{');
    if (file.n) {
        put_str(b, "file", file);
        ea_buf_addc(b, ',');
    }
    ea_buf_addf(b, "\"from\":%lld,", (long long)(from / 1000));
    if (line)
        ea_buf_addf(b, "\"line\":%u,", line);
    put_str(b, "reason", ea_str(reason));
    ea_buf_addc(b, ',');
    put_str(b, "scope", scope);
    ea_buf_addf(b, ",\"term\":%llu}", (unsigned long long)a->o.term);
    (void)audit_append(a, EA_REC_GAP_OPENED, true);
}

void audit_gap_close(struct ea_audit *a, struct ea_str scope, bool complete)
{
    struct gap *g = ea_map_del(&a->gaps, scope);
    struct ea_buf *b = &a->body;

    if (!g)
        return;
    if (a->o.log && a->o.record) {
        ea_buf_clear(b);
        ea_buf_addf(b, "{\"complete\":%s,\"from\":%lld,", complete ? "true" : "false",
                    (long long)(g->from / 1000));
        put_str(b, "reason", ea_str(g->reason));
        ea_buf_addc(b, ',');
        put_str(b, "scope", scope);
        ea_buf_addf(b, ",\"term\":%llu,\"to\":%lld}", (unsigned long long)a->o.term,
                    (long long)(ea_wall_now() / 1000));
        (void)audit_append(a, EA_REC_GAP_CLOSED, false);
    }
    free(g->reason);
    free(g);
}

void audit_record_takeover(struct ea_audit *a)
{
    if (!a->o.log)
        return;
    ea_buf_clear(&a->body);
    ea_buf_addf(&a->body, "{\"objects\":%zu,\"ruleset\":\"%s\",\"term\":%llu}", a->entries.n,
                a->o.rules->sha256, (unsigned long long)a->o.term);
    (void)audit_append(a, EA_REC_TAKEOVER, true);
}

void audit_record_expired(struct ea_audit *a, const struct ea_exemption *x)
{
    struct ea_buf *b = &a->body;

    if (!a->o.log || !a->o.record)
        return;
    ea_buf_clear(b);
    ea_buf_addc(b, '{');
    put_str(b, "control", x->control);
    ea_buf_addf(b, ",\"end\":%lld,", (long long)(x->end_us / 1000));
    put_str(b, "exemption", x->name);
    ea_buf_addc(b, ',');
    put_str(b, "owner", or_null(x->owner));
    ea_buf_addf(b, ",\"term\":%llu}", (unsigned long long)a->o.term);
    (void)audit_append(a, EA_REC_EXEMPTION_EXPIRED, false);
}
