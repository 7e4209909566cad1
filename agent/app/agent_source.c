/* app/agent_source.c - where objects come from: what to watch follows from the rule set. */
#include <stdio.h>

#include "app/agent.h"
#include "app/lookup.h"
#include "base/limits.h"
#include "base/log.h"

#define STALE_US                                                                                   \
    60000000u /* a watch that has been cut off for this long makes the agent not ready */

/* Reads Secrets' contents nowhere: their controls judge at admission, where the API server sends
 * them. */
static bool is_watchable(const struct ea_match_rule *m)
{
    if (m->exclude || m->subresource.n || !(m->ops & (EA_OP_CREATE | EA_OP_UPDATE)))
        return false;
    return !ea_str_is(m->resource, "*") && !ea_str_is(m->group, "*") &&
           !(m->group.n == 0 && ea_str_is(m->resource, "secrets"));
}

struct wants {
    struct ea_kube_want *w;
    unsigned n;
    struct ea_discovery *d;
};

static void want(struct wants *ws, struct ea_str group, struct ea_str version,
                 struct ea_str resource)
{
    /* the version that the rule names, else the preferred one: matchPolicy Equivalent */
    const struct ea_api_resource *r =
        ea_str_is(version, "*") ? NULL : ea_discovery_resource(ws->d, group, version, resource);

    if (!r)
        r = ea_discovery_resource(ws->d, group, EA_STR_NULL, resource);
    if (!r || !r->list || !r->watch) {
        ea_log(EA_LOG_INFO, "not-served", EA_KV_STR("group", group),
               EA_KV_STR("resource", resource));
        return;
    }
    for (unsigned i = 0; i < ws->n; i++) {
        if (ea_str_is(r->group, ws->w[i].res.group) &&
            ea_str_is(r->resource, ws->w[i].res.resource))
            return;
    }
    if (ws->n == EA_MAX_WATCHES) {
        ea_log(EA_LOG_ERROR, "too-many-watches", EA_KV_STR("resource", resource));
        return;
    }
    /* the discovery's strings live in its arena, NUL-terminated copies are needed */
    struct ea_arena *a = &ws->d->arena;

    ws->w[ws->n++] = (struct ea_kube_want){
        .res = {ea_arena_str(a, r->group).p, ea_arena_str(a, r->version).p,
                ea_arena_str(a, r->resource).p, ea_arena_str(a, r->kind).p, r->namespaced},
        .keep_json = true};
}

static void all_wants(struct wants *ws, const struct ea_ruleset *set)
{
    /* level labels and selectors hang on namespaces */
    want(ws, EA_STR_NULL, EA_STR("v1"), EA_STR("namespaces"));
    for (unsigned i = 0; i < set->n_controls; i++) {
        const struct ea_control *c = &set->controls[i];

        for (unsigned j = 0; j < c->n_rules; j++) {
            if (is_watchable(&c->rules[j]))
                want(ws, c->rules[j].group, c->rules[j].version, c->rules[j].resource);
        }
    }
}

static int start_audit(struct ea_agent *a, struct ea_err *err)
{
    EA_AUTO_FREE char *digest = ea_xasprintf("%s/verdicts", a->config->evidence_dir);

    a->store = ea_store_new();
    ea_lookup_from_store(a->store, &a->lookup);
    const struct ea_audit_opts o = {
        .rules = a->rules->set,
        .exemptions = a->rules->exemptions,
        .store = a->store,
        .lookup = a->lookup,
        .log = a->log,
        .digest_path = digest,
        .floor = (enum ea_level)ea_level_parse(ea_str(a->config->level)),
        .record = a->directory,
        .outage_gaps = !a->directory,
    };
    int r = ea_audit_new(&o, &a->audit, err);

    a->owners = (struct ea_owners){.arg = a->audit, .fails = ea_audit_owner};
    return r;
}

int ea_agent_source_watch(struct ea_agent *a, struct ea_err *err)
{
    if (a->discovery)
        ea_discovery_free(a->discovery);
    a->discovery = NULL;
    int r = ea_discovery_load(a->kube, &a->discovery, err);

    if (r)
        return ea_wrap(err, "asking the API server what it serves");
    for (size_t i = 0; i < a->discovery->n_missing; i++)
        ea_log(EA_LOG_WARN, "api-group-unreachable", EA_KV_STR("group", a->discovery->missing[i]));
    struct wants ws = {.w = ea_xalloc(EA_MAX_WATCHES * sizeof(*ws.w)), .d = a->discovery};

    all_wants(&ws, a->rules->set);
    const struct ea_informer_opts o = {
        .config = a->kube_config,
        .store = a->store,
        .want = ws.w,
        .n_want = ws.n,
        .event = ea_audit_event,
        .arg = a->audit,
    };

    r = ea_informer_start(&o, &a->informer, err);
    free(ws.w);
    return r;
}

int ea_agent_source_start(struct ea_agent *a, struct ea_err *err)
{
    int r = start_audit(a, err);

    if (r)
        return r;
    if (!a->directory)
        return 0;
    const struct ea_dir_opts o = {
        .path = a->config->source_path,
        .rules = a->rules->set,
        .store = a->store,
        .event = ea_audit_event,
        .arg = a->audit,
    };

    return ea_dir_start(&o, &a->dir, err);
}

bool ea_agent_source_ready(struct ea_agent *a, char *why, size_t n)
{
    if (a->directory) {
        if (!a->dir) {
            (void)snprintf(why, n, "the folder was not read yet");
            return false;
        }
        return true;
    }
    if (!ea_agent_seat_held(a))
        return true; /* without the seat nothing is watched */
    if (!a->informer || !ea_informer_synced(a->informer)) {
        (void)snprintf(why, n, "the first lists are not complete");
        return false;
    }
    if (ea_informer_stale_us(a->informer) > STALE_US) {
        (void)snprintf(why, n, "a watch has been cut off for more than a minute");
        return false;
    }
    return true;
}

void ea_agent_source_stop(struct ea_agent *a)
{
    if (a->informer)
        ea_informer_stop(a->informer);
    if (a->dir)
        ea_dir_stop(a->dir);
    if (a->audit)
        ea_audit_free(a->audit);
    if (a->discovery)
        ea_discovery_free(a->discovery);
    if (a->store)
        ea_store_free(a->store);
    a->informer = NULL;
    a->dir = NULL;
    a->audit = NULL;
    a->discovery = NULL;
    a->store = NULL;
}
