/* app/agent_hello.c - what the embedded default prints for people: where everything listens, a
 * review to try, findings as they come and go. */
#include <stdio.h>

#include "app/agent_web.h"
#include "app/cmd.h"
#include "audit/snapshot.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/map.h"

static const char sample_review[] =
    "{\"apiVersion\":\"admission.k8s.io/"
    "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"705ab4f5-6393-11e8-b7cc-"
    "42010a800002\",\n"
    " \"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"resource\":{\"group\":\"\","
    "\"version\":\"v1\",\"resource\":\"pods\"},\n"
    " \"requestKind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"requestResource\":{"
    "\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},\n"
    " \"name\":\"debug\",\"namespace\":\"shop\",\"operation\":\"CREATE\",\"userInfo\":{"
    "\"username\":\"dev@example.eu\"},\"dryRun\":false,\n"
    " \"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"debug\","
    "\"namespace\":\"shop\"},\"spec\":{\"containers\":[\n"
    "  "
    "{\"name\":\"debug\",\"image\":\"registry.example.eu/tools/"
    "debug:latest\",\"securityContext\":{\"privileged\":true}}]}}}}\n";

/* ---- findings as they change ---- */

struct ea_agent_shown {
    struct ea_map shown; /* "control kind namespace/name" of failures on the screen */
    uint64_t version;
};

static void print_failure(struct ea_agent *a, const struct ea_row *row, const char *key)
{
    const char *red = ea_colour() ? "\033[31m" : "", *plain = ea_colour() ? "\033[0m" : "";
    struct ea_finding f = {0};
    struct ea_arena arena;

    ea_arena_init(&arena, EA_ARENA_OBJECT, 0);
    printf("%sFAIL%s %-8s %s\n", red, plain, ea_severity_names[row->control->severity], key);
    if (ea_audit_explain(a->audit, row, &arena, &f, NULL) == 0) {
        if (f.n_failures && f.failures[0].path.n)
            printf("     at %.*s: %.*s\n", EA_STRF(f.failures[0].path), EA_STRF(f.message));
        else if (f.message.n)
            printf("     %.*s\n", EA_STRF(f.message));
    }
    ea_arena_done(&arena);
}

static char *key_of(const struct ea_row *row)
{
    struct ea_str ns = ea_object_ns(row->object);

    return ea_xasprintf("%.*s  %s %.*s%s%.*s", EA_STRF(row->control->id), row->res->kind,
                        EA_STRF(ns), ns.n ? "/" : "", EA_STRF(ea_object_name(row->object)));
}

static void show_failures(struct ea_agent *a, const struct ea_snapshot *s, struct ea_map *now)
{
    static char mark;

    for (size_t i = 0; i < s->n; i++) {
        if (s->rows[i].result != EA_FAIL || s->rows[i].exempted)
            continue;
        EA_AUTO_FREE char *key = key_of(&s->rows[i]);

        if (!ea_map_find(&a->shown->shown, ea_str(key)) && !ea_map_find(now, ea_str(key)))
            print_failure(a, &s->rows[i], key);
        ea_map_put(now, ea_str(key), &mark);
    }
}

void ea_agent_show_changes(struct ea_agent *a)
{
    if (!a->shown)
        a->shown = ea_xalloc(sizeof(*a->shown));
    struct ea_snapshot *s = ea_audit_snapshot(a->audit);
    const char *green = ea_colour() ? "\033[32m" : "", *plain = ea_colour() ? "\033[0m" : "";
    struct ea_map now;
    struct ea_str key;
    size_t i = 0;

    if (s->version == a->shown->version) {
        ea_snapshot_unref(s);
        return;
    }
    a->shown->version = s->version;
    ea_map_init(&now);
    show_failures(a, s, &now);
    while (ea_map_next(&a->shown->shown, &i, &key, NULL)) {
        if (!ea_map_find(&now, key))
            printf("%sok%s   mended or gone: %.*s\n", green, plain, EA_STRF(key));
    }
    printf("---- %llu objects: %llu pass, %llu fail, %llu unknown\n",
           (unsigned long long)s->stat.objects, (unsigned long long)s->stat.by_result[EA_PASS],
           (unsigned long long)s->stat.by_result[EA_FAIL],
           (unsigned long long)s->stat.by_result[EA_UNKNOWN]);
    (void)fflush(stdout);
    ea_map_done(&a->shown->shown, NULL);
    a->shown->shown = now;
    ea_snapshot_unref(s);
}

void ea_agent_shown_free(struct ea_agent *a)
{
    if (!a->shown)
        return;
    ea_map_done(&a->shown->shown, NULL);
    free(a->shown);
    a->shown = NULL;
}

/* ---- the greeting ---- */

void ea_agent_hello(struct ea_agent *a, const char *state_dir)
{
    const struct ea_config *c = a->config;
    EA_AUTO_FREE char *review = ea_xasprintf("%s/review-denied.json", state_dir);
    struct ea_err err = {0};

    printf("eucs-agent %s: %u controls, level %s, enforcement %s, watching %s\n\n", EA_VERSION,
           a->rules->set->n_controls, c->level, c->enforcement, c->source_path);
    printf("  webhook    https://127.0.0.1:%u/validate\n", ea_admission_port(a->admission));
    printf("  web        https://127.0.0.1:%u/login?token=%s\n", ea_web_port(a->web->server),
           a->web->token);
    printf("             /metrics and /api/v1 take the same token: -H 'Authorization: Bearer …' "
           "(%s/web.token)\n",
           c->evidence_dir);
    printf("  health     http://127.0.0.1:%u/readyz\n", ea_health_port(a->web->health));
    printf("  evidence   %s and %s.ndjson\n\n", c->evidence_dir, c->evidence_dir);
    if (ea_write_file(review, sample_review, sizeof(sample_review) - 1, 0644, &err) == 0)
        printf("A review that is denied:\n  curl -s --cacert %s/ca.crt -H 'Content-Type: "
               "application/json' \\\n"
               "    --data-binary @%s https://127.0.0.1:%u/validate\n\n",
               a->tls_dir, review, ea_admission_port(a->admission));
    printf("Change a file in %s and see what happens; stop with Ctrl-C, then: eucs-agent evidence "
           "verify %s\n\n",
           c->source_path, c->evidence_dir);
    (void)fflush(stdout);
}
