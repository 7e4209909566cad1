/* app/agent_web.c - the snapshot that the status page and the API print. */
#include "app/agent_web.h"

#include <stdio.h>

#include "audit/snapshot.h"
#include "base/limits.h"

#define SHOWN 200u /* findings judged anew for their paths and messages; more are counted */

static void unref(void *s)
{
    ea_snapshot_unref(s);
}

static struct ea_str copy(struct ea_arena *a, const char *z)
{
    return ea_arena_str(a, ea_str(z));
}

static void fill_finding(struct ea_agent *a, struct ea_arena *arena, const struct ea_row *row,
                         struct ea_web_finding *ret)
{
    const struct ea_control *c = row->control;
    struct ea_finding f = {0};

    *ret = (struct ea_web_finding){
        .control = c->id,
        .severity = ea_str(ea_severity_names[c->severity]),
        .action = ea_str(ea_action_names[row->exempted ? EA_AUDIT : c->action]),
        .result = ea_str(ea_result_names[row->result]),
        .requirement = c->n_requirements ? c->requirements[0] : EA_STR_NULL,
        .kind = ea_str(row->res->kind),
        .ns = ea_object_ns(row->object),
        .name = ea_object_name(row->object),
        .remediation = c->remediation,
        .exempted = row->exempted,
    };
    if (ea_audit_explain(a->audit, row, arena, &f, NULL))
        return; /* gone or mended since: the row says what the snapshot knew */
    ret->message = f.message.n ? f.message : f.detail;
    if (f.n_failures)
        ret->path = f.failures[0].path;
}

static void fill_findings(struct ea_agent *a, struct ea_arena *arena, struct ea_web_snapshot *ret)
{
    struct ea_snapshot *s = ea_audit_snapshot(a->audit);
    size_t failing = 0;

    while (failing < s->n && s->rows[failing].result == EA_FAIL) /* they come first */
        failing++;
    size_t n = EA_MIN(failing, (size_t)SHOWN);
    struct ea_web_finding *rows = ea_arena_zalloc(arena, (n + 1) * sizeof(*rows));
    struct ea_web_count *results = ea_arena_zalloc(arena, EA_RESULT_COUNT * sizeof(*results));
    struct ea_web_count *severities =
        ea_arena_zalloc(arena, EA_SEVERITY_COUNT * sizeof(*severities));

    /* the rows borrow names from the snapshot */
    if (ea_arena_defer(arena, unref, s) || !rows || !results || !severities)
        return;
    for (size_t i = 0; i < n; i++)
        fill_finding(a, arena, &s->rows[i], &rows[i]);
    for (unsigned i = 0; i < EA_RESULT_COUNT; i++)
        results[i] = (struct ea_web_count){ea_str(ea_result_names[i]), s->stat.by_result[i]};
    for (unsigned i = 0; i < EA_SEVERITY_COUNT; i++) {
        unsigned sev = EA_SEVERITY_COUNT - 1 - i;

        severities[i] = (struct ea_web_count){ea_str(ea_severity_names[sev]), s->stat.fails[sev]};
    }
    ret->findings = rows;
    ret->n_findings = (unsigned)n;
    ret->findings_total = failing + (failing == s->n ? s->cut : 0);
    ret->results = results;
    ret->n_results = EA_RESULT_COUNT;
    ret->severities = severities;
    ret->n_severities = EA_SEVERITY_COUNT;
    ret->objects = s->stat.objects;
}

static struct ea_web_listener listener(struct ea_arena *arena, const char *name, const char *scheme,
                                       const char *address, unsigned port)
{
    bool v6 = strchr(address, ':') != NULL;

    return (struct ea_web_listener){ea_str(name),
                                    ea_arena_printf(arena, "%s://%s%s%s:%u", scheme, v6 ? "[" : "",
                                                    address, v6 ? "]" : "", port)};
}

static void fill_listeners(struct ea_agent *a, struct ea_arena *arena, struct ea_web_snapshot *ret)
{
    struct ea_web_listener *l = ea_arena_zalloc(arena, 3 * sizeof(*l));
    const struct ea_config *c = a->config;
    unsigned n = 0;

    if (!l)
        return;
    if (a->admission)
        l[n++] = listener(arena, "webhook", "https", c->webhook_address,
                          ea_admission_port(a->admission));
    if (a->web->server)
        l[n++] = listener(arena, "web", "https", c->web_address, ea_web_port(a->web->server));
    if (a->web->health)
        l[n++] =
            listener(arena, "health", "http", c->health_address, ea_health_port(a->web->health));
    ret->listeners = l;
    ret->n_listeners = n;
}

static void fill_evidence(struct ea_agent *a, struct ea_arena *arena, struct ea_web_snapshot *ret)
{
    struct ea_elog_stat st;
    struct ea_web_sink *sinks = ea_arena_zalloc(arena, (a->n_sinks + 1) * sizeof(*sinks));

    ea_elog_stat(a->log, &st);
    ret->origin = copy(arena, st.origin);
    ret->epoch = st.epoch;
    ret->next_seq = st.next_seq;
    ret->synced_seq = st.synced_seq;
    ret->bytes = st.bytes;
    ret->lost = st.lost;
    ret->checkpoint_size = st.last_checkpoint_size;
    ret->evidence_healthy = st.healthy;
    for (unsigned i = 0; sinks && i < a->n_sinks; i++) {
        struct ea_sink_stat s;

        ea_sink_stat(a->sinks[i], &s);
        sinks[i] = (struct ea_web_sink){copy(arena, s.name), s.acked,  s.pending, s.lost, s.dead,
                                        s.retries,           s.holding};
    }
    ret->sinks = sinks;
    ret->n_sinks = sinks ? a->n_sinks : 0;
}

void ea_agent_web_fill(void *agent, struct ea_arena *arena, struct ea_web_snapshot *ret)
{
    struct ea_agent *a = agent;
    struct ea_health_check *checks = ea_arena_zalloc(arena, EA_MAX_HEALTH_CHECKS * sizeof(*checks));
    struct ea_agent_rules *rules = ea_agent_rules_get(a);

    *ret = (struct ea_web_snapshot){
        .version = EA_STR(EA_VERSION),
        .node = copy(arena, *a->config->node_name ? a->config->node_name : getenv("NODE_NAME") ?: ""),
        .cluster = copy(arena, a->cluster_uid),
        .source = a->directory ? ea_arena_printf(arena, "folder %s", a->config->source_path)
                               : ea_arena_printf(arena, "API server %s", ea_kube_config_server(a->kube_config)),
        .role = a->embedded ? EA_STR("embedded") : EA_STR("seat"),
        .started = a->web->started,
        .now = ea_wall_now(),
        .ruleset_sha256 = copy(arena, rules->set->sha256),
        .enforcement = copy(arena, a->config->enforcement),
        .level = copy(arena, a->config->level),
        .controls = rules->set->n_controls,
        .compile_errors = rules->set->n_compile_errors,
    };
    ea_agent_rules_unref(rules);
    if (checks) {
        ret->checks = checks;
        ret->n_checks = ea_agent_checks(a, true, checks, EA_MAX_HEALTH_CHECKS);
    }
    if (a->admission) {
        struct ea_admission_stat st;

        ea_admission_stat(a->admission, &st);
        ret->admission = true;
        ret->reviews = st.reviews;
        ret->denied = st.denied;
        ret->dry_runs = st.dry_runs;
    }
    fill_listeners(a, arena, ret);
    fill_evidence(a, arena, ret);
    fill_findings(a, arena, ret);
}
