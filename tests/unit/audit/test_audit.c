/* From files to verdicts to records, over restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "helper.h"

#define POD(name, privileged)                                                                      \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: " name                                            \
    ", namespace: shop}\nspec:\n  containers:\n"                                                   \
    "  - {name: c, image: "                                                                        \
    "'r.example/i@sha256:0000000000000000000000000000000000000000000000000000000000000000', "      \
    "securityContext: {privileged: " privileged "}}\n"
#define FAIL "\"control\":\"pod-privileged\""

static void found_changed_deleted(void **state)
{
    struct rig *r = *state;
    char text[8192];
    struct ea_record_parts parts;
    struct ea_arena a;
    struct ea_val body;

    rig_write(r, "a.yaml", POD("web", "true"));
    rig_up(r);
    assert_int_equal(
        rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"result\":\"fail\"", text, sizeof(text)), 1);
    assert_int_equal(ea_record_parse(ea_str(text), &parts), 0);
    ea_arena_init(&a, 1 << 20, 0);
    assert_int_equal(ea_json_parse(&a, parts.body, NULL, &body, NULL, NULL), 0);
    assert_true(ea_str_is(ea_val_path_str(&body, "object.name"), "web"));
    assert_true(ea_str_is(ea_val_path_str(&body, "object.namespace"), "shop"));
    assert_true(ea_str_is(ea_val_path_str(&body, "object.kind"), "Pod"));
    assert_true(ea_str_is(ea_val_path_str(&body, "object.apiVersion"), "v1"));
    assert_true(ea_str_is(ea_val_get_str(&body, "trigger"), "first"));
    assert_true(ea_str_is(ea_val_get_str(ea_val_at(ea_val_getz(&body, "failures"), 0), "path"),
                          "spec.containers[0].securityContext.privileged"));
    assert_true(ea_val_getz(&body, "requirements")->n > 0);
    ea_arena_done(&a);
    assert_true(rig_count(r, EA_REC_ASSESSMENT, "\"result\":\"pass\"", NULL, NULL, 0) > 5);

    rig_mark(r);
    rig_write(r, "a.yaml", POD("web", "false"));
    rig_wait(r, EA_REC_ASSESSMENT, FAIL, "\"result\":\"pass\"");
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "", NULL, text, sizeof(text)),
                     1); /* nothing else changed */
    assert_non_null(strstr(text, "\"previous\":\"fail\""));
    assert_non_null(strstr(text, "\"trigger\":\"change\""));

    rig_mark(r);
    rig_write(r, "a.yaml", "# a comment\n" POD("web", "false"));
    rig_write(r, "b.yaml", POD("other", "true"));
    rig_wait(r, EA_REC_ASSESSMENT, FAIL, "\"name\":\"other\"");
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"name\":\"web\"", NULL, NULL, 0), 0);

    rig_remove(r, "b.yaml");
    rig_wait(r, EA_REC_OBJECT_GONE, "\"name\":\"other\"", "\"pod-privileged\"");
    rig_down(r);
}

static void restart_records_only_what_changed(void **state)
{
    struct rig *r = *state;

    rig_write(r, "a.yaml",
              POD("same", "true") "---\n" POD("mended", "true") "---\n" POD("removed", "true"));
    rig_up(r);
    rig_mark(r);
    rig_down(r);
    rig_write(r, "a.yaml",
              POD("same", "true") "---\n" POD("mended", "false") "---\n" POD("added", "true"));
    rig_up(r);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"name\":\"same\"", NULL, NULL, 0), 0);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"name\":\"mended\"", FAIL, NULL, 0), 1);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"name\":\"added\"", FAIL, NULL, 0), 1);
    assert_int_equal(rig_count(r, EA_REC_OBJECT_GONE, "\"name\":\"removed\"",
                               "\"reason\":\"vanished\"", NULL, 0),
                     1);
    assert_int_equal(rig_count(r, EA_REC_OBJECT_GONE, "", NULL, NULL, 0), 1);
    /* the time without an agent is a gap of what is watched, closed when all was told */
    assert_int_equal(rig_count(r, EA_REC_GAP_OPENED, "\"reason\":\"agent-stopped\"",
                               "\"scope\":\"watch:pods\"", NULL, 0),
                     1);
    assert_int_equal(
        rig_count(r, EA_REC_GAP_CLOSED, "\"complete\":false", "\"scope\":\"watch:pods\"", NULL, 0),
        1);
    rig_down(r);
}

static void digest_of_another_log_is_not_believed(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *path = rig_path(r, "log/verdicts");
    EA_AUTO_FREE char *text = NULL;
    size_t n;

    rig_write(r, "a.yaml", POD("web", "true"));
    rig_up(r);
    rig_mark(r);
    rig_down(r);
    assert_int_equal(ea_read_file(path, 1 << 20, &text, &n, NULL), 0);
    assert_non_null(strstr(text, "\tshop\tweb\t"));
    text[strlen("eucs-agent verdicts 1\t")] ^= 1;
    assert_int_equal(ea_write_file(path, text, n, 0600, NULL), 0);
    rig_up(r);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"result\":\"fail\"", NULL, 0), 1);
    rig_down(r);
}

static void mark_without_an_end_is_recorded_again(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *path = rig_path(r, "log/verdicts");
    EA_AUTO_FREE char *text = NULL;
    EA_AUTO_FREE char *more = NULL;
    const char *uid;
    size_t n;

    rig_write(r, "a.yaml", POD("web", "true"));
    rig_up(r);
    rig_mark(r);
    rig_down(r);
    assert_int_equal(ea_read_file(path, 1 << 20, &text, &n, NULL), 0);
    uid = strrchr(text, '\t') + 1;
    more = ea_xasprintf("%s-\t%s", text, uid); /* killed between mark and record */
    assert_int_equal(ea_write_file(path, more, strlen(more), 0600, NULL), 0);
    rig_up(r);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"result\":\"fail\"", NULL, 0), 1);
    rig_down(r);
}

static void follower_records_at_takeover(void **state)
{
    struct rig *r = *state;

    r->follow = true;
    rig_write(r, "a.yaml", POD("web", "true"));
    rig_write(r, "b.yaml", POD("ok", "false"));
    rig_up(r);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "", NULL, NULL, 0), 0);
    ea_audit_lead(r->audit, true, 7, true);
    assert_int_equal(rig_count(r, EA_REC_TAKEOVER, "\"term\":7", NULL, NULL, 0), 1);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"term\":7", NULL, 0), 2);
    ea_audit_lead(r->audit, false, 7, false);
    rig_mark(r);
    rig_write(r, "a.yaml", POD("web", "false"));
    rig_remove(r, "b.yaml");
    ea_sleep_us(300000);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "", NULL, NULL, 0), 0);
    assert_int_equal(rig_count(r, EA_REC_OBJECT_GONE, "", NULL, NULL, 0), 0);
    ea_audit_lead(r->audit, true, 9, true);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"result\":\"pass\"", NULL, 0), 1);
    assert_int_equal(rig_count(r, EA_REC_OBJECT_GONE, "\"name\":\"ok\"", "\"term\":9", NULL, 0), 1);
    rig_down(r);
}

static void attestation_repeats_everything(void **state)
{
    struct rig *r = *state;
    unsigned n;

    rig_write(r, "a.yaml", POD("web", "true") "---\n" POD("two", "true"));
    rig_up(r);
    n = rig_count(r, EA_REC_ASSESSMENT, "", NULL, NULL, 0);
    rig_mark(r);
    assert_int_equal(ea_audit_attest(r->audit, 1), 1);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"trigger\":\"attestation\"", NULL, NULL, 0),
                     n / 2);
    assert_int_equal(ea_audit_attest(r->audit, 10), 0);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"trigger\":\"attestation\"", NULL, NULL, 0),
                     n);
    rig_down(r);
}

static void counts_and_snapshot(void **state)
{
    struct rig *r = *state;
    struct ea_audit_stat st;
    struct ea_snapshot *s;
    struct ea_finding f;
    struct ea_arena a;
    uint64_t fails;
    size_t i;

    for (i = 0; i < 20; i++) {
        EA_AUTO_FREE char *name = ea_xasprintf("p%zu.yaml", i);
        EA_AUTO_FREE char *text = ea_xasprintf(POD("p%zu", "true"), i);

        rig_write(r, name, text);
    }
    rig_up(r);
    ea_audit_stat(r->audit, &st);
    assert_int_equal(st.objects, 20);
    assert_int_equal(st.verdicts, 1); /* twenty objects, one verdict in memory */
    assert_true(st.synced);
    assert_true(st.by_result[EA_FAIL] >= 20 && st.by_result[EA_PASS] >= 20);
    s = ea_audit_snapshot(r->audit);
    assert_true(s->n >= st.by_result[EA_FAIL]);
    assert_int_equal(s->rows[0].control->severity, EA_SEV_CRITICAL);
    for (i = 0; i < s->n_controls; i++) {
        if (ea_str_is(s->controls[i].control->id, "pod-privileged"))
            assert_int_equal(s->controls[i].n[EA_FAIL], 20);
    }
    for (i = 0; i < s->n && !ea_str_is(s->rows[i].control->id, "pod-privileged"); i++)
        ;
    assert_true(i < s->n);
    ea_arena_init(&a, 8 << 20, 0);
    assert_int_equal(ea_audit_explain(r->audit, &s->rows[i], &a, &f, NULL), 0);
    assert_int_equal(f.result, EA_FAIL);
    assert_true(ea_str_is(f.failures[0].path, "spec.containers[0].securityContext.privileged"));
    ea_arena_done(&a);
    ea_snapshot_unref(s);
    fails = st.by_result[EA_FAIL];
    rig_write(r, "p0.yaml", POD("p0", "false"));
    rig_wait(r, EA_REC_ASSESSMENT, FAIL, "\"result\":\"pass\"");
    ea_audit_stat(r->audit, &st);
    assert_int_equal(st.by_result[EA_FAIL], fails - 1);
    rig_down(r);
}

static void namespace_level_counts(void **state)
{
    struct rig *r = *state;

    rig_write(r, "a.yaml", POD("web", "true"));
    rig_up(r);
    rig_mark(r);
    /* a changed label may raise the level: the namespace's objects are judged again, and nothing is
     * repeated when it does not matter */
    rig_write(r, "ns.yaml",
              "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: "
              "{eucs-agent.io/level: high}}\n");
    rig_wait(r, EA_REC_ASSESSMENT, "\"kind\":\"Namespace\"", "\"name\":\"shop\"");
    ea_sleep_us(200000);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, "\"name\":\"web\"", FAIL, NULL, 0), 0);
    rig_down(r);
}

#define DEPLOYMENT                                                                                 \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: shop, uid: "            \
    "11111111-1111-1111-1111-111111111111}\n"                                                      \
    "spec:\n  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n    "  \
    "spec:\n      containers:\n"                                                                   \
    "      - {name: c, image: i, securityContext: {privileged: true}}\n      - {name: e, image: "  \
    "i, securityContext: "                                                                         \
    "{privileged: true}}\n"

static void owner_has_the_same_failures(void **state)
{
    struct rig *r = *state;
    struct ea_str uid = EA_STR("11111111-1111-1111-1111-111111111111");
    struct ea_failure fs[3] = {
        {.key_path = EA_STR("spec.containers[name=c].securityContext.privileged"),
         .value = EA_STR("true")},
        {.key_path = EA_STR("spec.containers[name=e].securityContext.privileged"),
         .value = EA_STR("true")},
        {.key_path = EA_STR("spec.containers[name=x].securityContext.privileged"),
         .value = EA_STR("true")},
    };
    struct ea_finding f = {.result = EA_FAIL, .failures = fs, .n_failures = 1};
    struct ea_snapshot *s;
    struct ea_finding own;
    struct ea_arena a;
    size_t i;

    rig_write(r, "a.yaml", DEPLOYMENT);
    rig_up(r);
    f.control = ea_control_find(r->rules, EA_STR("pod-privileged"));
    /* the way a failing element is named is the evaluator's: take it from the owner itself, below
     * its template */
    s = ea_audit_snapshot(r->audit);
    for (i = 0; i < s->n && s->rows[i].control != f.control; i++)
        ;
    assert_true(i < s->n);
    ea_arena_init(&a, 8 << 20, 0);
    assert_int_equal(ea_audit_explain(r->audit, &s->rows[i], &a, &own, NULL), 0);
    assert_int_equal(own.n_failures, 2);
    for (i = 0; i < 2; i++) {
        struct ea_str p = own.failures[i].key_path;

        assert_true(ea_str_starts(p, EA_STR("spec.template.spec.containers")));
        fs[i].key_path = ea_strn(p.p + strlen("spec.template."), p.n - strlen("spec.template."));
        fs[i].value = own.failures[i].value;
        fs[i].validation = own.failures[i].validation;
    }
    assert_true(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    f.n_failures = 2;
    assert_true(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    fs[1].value = EA_STR("false");
    assert_false(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    fs[1].value = EA_STR_NULL;
    assert_true(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    f.n_failures = 3; /* one that the owner has not */
    assert_false(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    f.n_failures = 1;
    assert_false(ea_audit_owner(r->audit, uid, EA_STR("ReplicaSet"), &f));
    assert_false(ea_audit_owner(r->audit, EA_STR("22222222-1111-1111-1111-111111111111"),
                                EA_STR("Deployment"), &f));
    f.n_more = 1; /* two in all, as many as the owner has */
    assert_true(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    f.n_more = 2;
    assert_false(ea_audit_owner(r->audit, uid, EA_STR("Deployment"), &f));
    ea_arena_done(&a);
    ea_snapshot_unref(s);
    rig_down(r);
}

static void exemption_is_used_and_ends(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *path = rig_path(r, "ex.yaml");
    char start[32], end[32], text[1024];
    struct ea_exemptions *x;
    struct ea_err err = {0};
    struct ea_audit_stat st;

    ea_rfc3339(ea_wall_now() - 86400000000ll, 0, start);
    ea_rfc3339(ea_wall_now() + 3000000, 0, end);
    (void)snprintf(text, sizeof(text),
                   "apiVersion: eucs-agent.io/v1alpha1\nkind: Exemption\nmetadata: {name: "
                   "agreed}\nspec:\n  control: pod-privileged\n"
                   "  selector: {namespace: shop, kind: Pod, name: web}\n  reason: needs the "
                   "device\n  owner: team-a\n  approver: ciso\n"
                   "  riskRef: R-1\n  start: %s\n  end: %s\n",
                   start, end);
    assert_int_equal(ea_write_file(path, text, strlen(text), 0644, NULL), 0);
    if (ea_exemptions_load(path, &x, &err) < 0)
        fail_msg("%s", err.text);
    r->exemptions = x;
    rig_write(r, "a.yaml", POD("web", "true"));
    rig_up(r);
    assert_int_equal(rig_count(r, EA_REC_EXEMPTION_USED, "\"exemption\":\"agreed\"",
                               "\"riskRef\":\"R-1\"", NULL, 0),
                     1);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"exemption\":\"agreed\"", NULL, 0), 1);
    ea_audit_stat(r->audit, &st);
    assert_int_equal(st.exempted, 1);
    ea_mono_us limit = ea_mono_now() + 10000000;
    while (rig_count(r, EA_REC_EXEMPTION_EXPIRED, "agreed", NULL, NULL, 0) == 0 &&
           ea_mono_now() < limit) {
        ea_audit_tick(r->audit);
        ea_sleep_us(100000);
    }
    assert_int_equal(rig_count(r, EA_REC_EXEMPTION_EXPIRED, "agreed", NULL, NULL, 0), 1);
    assert_int_equal(rig_count(r, EA_REC_ASSESSMENT, FAIL, "\"exemption\":null", NULL, 0), 1);
    rig_down(r);
    ea_exemptions_free(x);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest t[] = {
        T(found_changed_deleted),
        T(restart_records_only_what_changed),
        T(digest_of_another_log_is_not_believed),
        T(mark_without_an_end_is_recorded_again),
        T(follower_records_at_takeover),
        T(attestation_repeats_everything),
        T(counts_and_snapshot),
        T(namespace_level_counts),
        T(owner_has_the_same_failures),
        T(exemption_is_used_and_ends),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
