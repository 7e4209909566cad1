/* web/api.c - the snapshot as JSON. */
#include "base/limits.h"
#include "web/render.h"

static void text(struct ea_buf *b, const char *key, struct ea_str s)
{
    (void)ea_buf_addf(b, "\"%s\":", key);
    (void)ea_buf_add_json(b, s.p ? s : EA_STR(""));
}

static void when(struct ea_buf *b, const char *key, ea_wall_us t)
{
    char out[32];

    if (!t) {
        (void)ea_buf_addf(b, "\"%s\":null", key);
        return;
    }
    ea_rfc3339(t, 3, out);
    (void)ea_buf_addf(b, "\"%s\":\"%s\"", key, out);
}

static void counts(struct ea_buf *b, const char *key, const struct ea_web_count *c, unsigned n)
{
    (void)ea_buf_addf(b, "\"%s\":{", key);
    for (unsigned i = 0; i < n; i++) {
        (void)ea_buf_addz(b, i ? "," : "");
        (void)ea_buf_add_json(b, c[i].name);
        (void)ea_buf_addf(b, ":%llu", (unsigned long long)c[i].n);
    }
    (void)ea_buf_addc(b, '}');
}

static void number(struct ea_buf *b, const char *key, uint64_t n)
{
    (void)ea_buf_addf(b, "\"%s\":%llu", key, (unsigned long long)n);
}

static void agent_json(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    (void)ea_buf_addz(b, "\"agent\":{");
    text(b, "version", s->version);
    (void)ea_buf_addc(b, ',');
    text(b, "node", s->node);
    (void)ea_buf_addc(b, ',');
    text(b, "cluster", s->cluster);
    (void)ea_buf_addc(b, ',');
    text(b, "source", s->source);
    (void)ea_buf_addc(b, ',');
    text(b, "role", s->role);
    (void)ea_buf_addc(b, ',');
    when(b, "started", s->started);
    (void)ea_buf_addc(b, ',');
    when(b, "now", s->now);
    (void)ea_buf_addz(b, "},\"ruleset\":{");
    text(b, "sha256", s->ruleset_sha256);
    (void)ea_buf_addc(b, ',');
    text(b, "enforcement", s->enforcement);
    (void)ea_buf_addc(b, ',');
    text(b, "level", s->level);
    (void)ea_buf_addc(b, ',');
    number(b, "controls", s->controls);
    (void)ea_buf_addc(b, ',');
    number(b, "compileErrors", s->compile_errors);
    (void)ea_buf_addc(b, ',');
    number(b, "exemptions", s->exemptions);
    (void)ea_buf_addc(b, '}');
}

static void lists_json(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    (void)ea_buf_addz(b, ",\"listeners\":[");
    for (unsigned i = 0; i < s->n_listeners; i++) {
        (void)ea_buf_addz(b, i ? ",{" : "{");
        text(b, "name", s->listeners[i].name);
        (void)ea_buf_addc(b, ',');
        text(b, "url", s->listeners[i].url);
        (void)ea_buf_addc(b, '}');
    }
    (void)ea_buf_addz(b, "],\"checks\":[");
    for (unsigned i = 0; i < s->n_checks; i++) {
        (void)ea_buf_addz(b, i ? ",{" : "{");
        text(b, "name", ea_str(s->checks[i].name));
        (void)ea_buf_addf(b, ",\"ok\":%s,", s->checks[i].ok ? "true" : "false");
        text(b, "why", s->checks[i].ok ? EA_STR("") : ea_str(s->checks[i].why));
        (void)ea_buf_addc(b, '}');
    }
    (void)ea_buf_addz(b, "],\"sinks\":[");
    for (unsigned i = 0; i < s->n_sinks; i++) {
        const struct ea_web_sink *k = &s->sinks[i];

        (void)ea_buf_addz(b, i ? ",{" : "{");
        text(b, "name", k->name);
        (void)ea_buf_addf(b,
                          ",\"acked\":%llu,\"pending\":%llu,\"lost\":%llu,\"dead\":%llu,"
                          "\"retries\":%llu,\"holding\":%s}",
                          (unsigned long long)k->acked, (unsigned long long)k->pending,
                          (unsigned long long)k->lost, (unsigned long long)k->dead,
                          (unsigned long long)k->retries, k->holding ? "true" : "false");
    }
    (void)ea_buf_addc(b, ']');
}

void web_status_json(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    (void)ea_buf_addc(b, '{');
    agent_json(b, s);
    lists_json(b, s);
    (void)ea_buf_addz(b, ",\"findings\":{");
    number(b, "objects", s->objects);
    (void)ea_buf_addc(b, ',');
    counts(b, "results", s->results, s->n_results);
    (void)ea_buf_addc(b, ',');
    counts(b, "failing", s->severities, s->n_severities);
    (void)ea_buf_addz(b, "},\"admission\":");
    if (s->admission)
        (void)ea_buf_addf(b, "{\"reviews\":%llu,\"denied\":%llu,\"dryRuns\":%llu}",
                          (unsigned long long)s->reviews, (unsigned long long)s->denied,
                          (unsigned long long)s->dry_runs);
    else
        (void)ea_buf_addz(b, "null");
    (void)ea_buf_addz(b, ",\"evidence\":{");
    text(b, "origin", s->origin);
    (void)ea_buf_addc(b, ',');
    text(b, "key", s->key);
    (void)ea_buf_addf(b,
                      ",\"epoch\":%llu,\"nextSeq\":%llu,\"syncedSeq\":%llu,\"bytes\":%llu,\"lost\":"
                      "%llu,\"checkpointSize\":%llu,"
                      "\"healthy\":%s}}\n",
                      (unsigned long long)s->epoch, (unsigned long long)s->next_seq,
                      (unsigned long long)s->synced_seq, (unsigned long long)s->bytes,
                      (unsigned long long)s->lost, (unsigned long long)s->checkpoint_size,
                      s->evidence_healthy ? "true" : "false");
}

static bool matches(const struct ea_web_finding *f, const struct web_filter *w)
{
    return (!w->severity.n || ea_str_eq(w->severity, f->severity)) &&
           (!w->control.n || ea_str_eq(w->control, f->control)) &&
           (!w->ns.n || ea_str_eq(w->ns, f->ns)) && (!w->kind.n || ea_str_eq(w->kind, f->kind));
}

static void finding_json(struct ea_buf *b, const struct ea_web_finding *f)
{
    const struct {
        const char *key;
        struct ea_str s;
    } texts[] = {{"control", f->control},
                 {"result", f->result},
                 {"severity", f->severity},
                 {"action", f->action},
                 {"requirement", f->requirement},
                 {"kind", f->kind},
                 {"namespace", f->ns},
                 {"name", f->name},
                 {"path", f->path},
                 {"message", f->message},
                 {"remediation", f->remediation}};

    (void)ea_buf_addc(b, '{');
    for (size_t i = 0; i < EA_COUNT(texts); i++) {
        text(b, texts[i].key, texts[i].s);
        (void)ea_buf_addc(b, ',');
    }
    when(b, "since", f->since);
    (void)ea_buf_addf(b, ",\"exempted\":%s}", f->exempted ? "true" : "false");
}

void web_findings_json(struct ea_buf *b, const struct ea_web_snapshot *s,
                       const struct web_filter *f)
{
    uint64_t limit =
                 f->limit ? EA_MIN(f->limit, (uint64_t)EA_MAX_WEB_FINDINGS) : EA_MAX_WEB_FINDINGS,
             n = 0, found = 0;

    (void)ea_buf_addz(b, "{\"items\":[");
    for (unsigned i = 0; i < s->n_findings; i++) {
        if (!matches(&s->findings[i], f))
            continue;
        found++;
        if (n >= limit)
            continue;
        (void)ea_buf_addz(b, n++ ? "," : "");
        finding_json(b, &s->findings[i]);
    }
    (void)ea_buf_addf(b, "],\"matching\":%llu,\"total\":%llu}\n", (unsigned long long)found,
                      (unsigned long long)(s->findings_total ? s->findings_total : s->n_findings));
}
