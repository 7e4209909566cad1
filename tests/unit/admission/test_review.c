/* A review from its bytes to its answer, by the small rule set of rules/. */
#include "util.h"

#include "base/limits.h"

struct bench {
    struct ea_arena a;
    struct ea_ruleset *rules;
    struct ea_review_env env;
    struct ea_review rv;
    struct ea_buf record;
};

static void digest(void *arg, bool keyed, struct ea_str bytes, char ret_hex[65])
{
    (void)arg;
    snprintf(ret_hex, 65, "%s%zu", keyed ? "k" : "", bytes.n);
}

static int setup(void **state)
{
    struct bench *b = ea_xalloc(sizeof(*b));

    ea_arena_init(&b->a, 64u << 20, 0);
    ea_buf_init(&b->record, EA_MAX_RECORD);
    b->rules = load_rules();
    b->env = (struct ea_review_env){.rules = b->rules,
                                    .enforcement = EA_DENY,
                                    .floor = EA_BASIC,
                                    .now = 1000000,
                                    .digest = digest,
                                    .caller = EA_CALLER_PATH_TOKEN};
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    ea_arena_done(&b->a);
    ea_buf_done(&b->record);
    ea_ruleset_unref(b->rules);
    free(b);
    return 0;
}

/* The answer as text; b->rv is filled, b->record rendered and checked to be canonical. */
static const char *review(struct bench *b, const char *text)
{
    struct ea_str answer;
    struct ea_err err = {0};
    struct ea_val v;
    struct ea_buf again;

    if (ea_review(&b->env, &b->a, ea_str(text), &b->rv, &answer, &err))
        fail_msg("%s", err.text);
    if (ea_json_parse(&b->a, answer, NULL, &v, NULL, &err))
        fail_msg("answer: %s in %s", err.text, answer.p);
    ea_buf_clear(&b->record);
    assert_int_equal(ea_review_record(&b->env, &b->rv, &b->record), 0);
    if (ea_json_parse(&b->a, ea_buf_str(&b->record), NULL, &v, NULL, &err))
        fail_msg("record: %s", err.text);
    ea_buf_init(&again, EA_MAX_RECORD);
    assert_int_equal(ea_jcs_print(&again, &v), 0);
    if (!ea_str_eq(ea_buf_str(&again), ea_buf_str(&b->record)))
        fail_msg("not canonical: %.*s\nbut: %.*s", EA_STRF(ea_buf_str(&b->record)),
                 EA_STRF(ea_buf_str(&again)));
    ea_buf_done(&again);
    assert_int_equal(ea_buf_addc(&b->record, 0), 0);
    return answer.p;
}

static void refused(struct bench *b, const char *text, const char *why)
{
    struct ea_str answer;
    struct ea_err err = {0};

    assert_true(ea_review(&b->env, &b->a, ea_str(text), &b->rv, &answer, &err) < 0);
    assert_has(err.text, why);
}

/* ---- verdicts ---- */

static void test_allowed(void **state)
{
    struct bench *b = *state;

    assert_string_equal(
        review(b, CREATE_POD("{\"containers\":[" PLAIN("app") "]}")),
        "{\"apiVersion\":\"admission.k8s.io/"
        "v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":\"r-1\",\"allowed\":true}}");
    assert_string_equal(b->record.p, "{\"allowed\":true,\"caller\":\"path-token\",\"counts\":{"
                                     "\"fail\":0,\"pass\":3,\"skip\":0,\"unknown\":0},"
                                     "\"enforcement\":\"deny\",\"failed\":[],\"level\":\"basic\","
                                     "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
                                     "\"name\":\"web\",\"namespace\":\"shop\",\"resource\":"
                                     "\"pods\",\"subResource\":\"\",\"uid\":\"u-1\"},"
                                     "\"operation\":\"CREATE\",\"request\":\"r-1\",\"ruleset\":"
                                     "\"\",\"unknown\":[],\"user\":\"jane\"}");
}

static void test_denied_golden(void **state)
{
    struct bench *b = *state;

    assert_string_equal(
        review(b, CREATE_POD("{\"containers\":[" PRIVILEGED("app") "," PRIVILEGED(
                      "log") ",{\"name\":\"c\",\"image\":\"x:latest\"}]}")),
        "{\"apiVersion\":\"admission.k8s.io/"
        "v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":\"r-1\",\"allowed\":false,"
        "\"status\":{\"status\":\"Failure\",\"code\":403,\"reason\":\"Forbidden\",\"message\":"
        "\"Pod shop/web: 1 control denies it:\\n"
        "- pod-privileged (OPS-21.1B, OPS-21.2S) critical: privileged: app, log at "
        "spec.containers[0].securityContext.privileged\\n"
        "  and at spec.containers[1].securityContext.privileged\\n"
        "  Fix: Change the field.\\n"
        "Also found, not denied:\\n"
        "- pod-tag (OPS-21.1B, OPS-21.2S) low: image tag latest at spec.containers[2].image\\n"
        "  Fix: Change the "
        "field.\",\"details\":{\"causes\":[{\"reason\":\"pod-privileged\",\"message\":\"privileged:"
        " app, log\","
        "\"field\":\"spec.containers[0].securityContext.privileged\"}]}},\"auditAnnotations\":{"
        "\"failed\":\"pod-privileged,pod-tag\"},"
        "\"warnings\":[\"pod-tag (OPS-21.1B): image tag latest at spec.containers[2].image\"]}}");
    assert_has(b->record.p, "\"failed\":[{\"action\":\"deny\",\"control\":\"pod-privileged\","
                            "\"effect\":\"deny\",\"paths\":["
                            "\"spec.containers[0].securityContext.privileged\",\"spec.containers[1]"
                            ".securityContext.privileged\"],"
                            "\"severity\":\"critical\"},{\"action\":\"warn\",\"control\":\"pod-"
                            "tag\",\"effect\":\"warn\"");
    assert_has(b->record.p, "\"sha256\":\"");
}

static void test_enforcement_is_a_ceiling(void **state)
{
    struct bench *b = *state;
    const char *bad = CREATE_POD("{\"containers\":[" PRIVILEGED("app") "]}");

    b->env.enforcement = EA_WARN;
    assert_has(review(b, bad),
               "\"allowed\":true,\"auditAnnotations\":{\"failed\":\"pod-privileged\"},"
               "\"warnings\":[\"pod-privileged (OPS-21.1B): privileged: app at spec.");
    b->env.enforcement = EA_AUDIT;
    assert_has_not(review(b, bad), "warnings");
    assert_true(b->rv.allowed);
    assert_has(b->record.p, "\"effect\":\"audit\"");
}

static void test_level(void **state)
{
    struct bench *b = *state;
    const char *pod = CREATE_POD("{\"containers\":[" PLAIN("app") "]}");

    (void)review(b, pod);
    assert_true(b->rv.allowed);
    b->env.floor = EA_HIGH;
    assert_has(review(b, pod), "pod-high-only");
    assert_false(b->rv.allowed);
}

static void test_generate_name_and_names(void **state)
{
    struct bench *b = *state;

    assert_has(review(b, REVIEW(GVR_POD, "CREATE",
                                "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{"
                                "\"generateName\":\"web-\"},"
                                "\"spec\":{\"containers\":[" PRIVILEGED("a") "]}}")),
               "Pod shop/(name not given yet): 1 control denies it");
    /* deletecollection: the request has no name */
    assert_has(
        review(
            b,
            REVIEW(
                "\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"PersistentVolumeClaim\"},"
                "\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":"
                "\"persistentvolumeclaims\"}",
                "DELETE", "\"object\":null,\"oldObject\":{\"metadata\":{\"name\":\"precious\"}}")),
        "a precious claim goes");
    assert_true(ea_str_is(b->rv.subject.name, "precious"));
    assert_true(b->rv.allowed);
    assert_has_not(b->record.p, "sha256");
}

static void test_connect(void **state)
{
    struct bench *b = *state;
    const char *gvr = NULL;

    (void)gvr;
    assert_has(
        review(b, REVIEW("\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"PodExecOptions\"},"
                         "\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},"
                         "\"subResource\":\"exec\"",
                         "CONNECT",
                         "\"name\":\"web\",\"object\":{\"kind\":\"PodExecOptions\",\"apiVersion\":"
                         "\"v1\",\"command\":[\"sh\"]},"
                         "\"oldObject\":null,\"dryRun\":false")),
        "pod-exec (OPS-21.1B): a person opens a shell");
    assert_has(b->record.p, "\"subResource\":\"exec\"");
}

static void test_subresources_without_workload(void **state)
{
    struct bench *b = *state;

    (void)review(
        b,
        REVIEW("\"kind\":{\"group\":\"autoscaling\",\"version\":\"v1\",\"kind\":\"Scale\"},"
               "\"resource\":{\"group\":\"apps\",\"version\":\"v1\",\"resource\":\"deployments\"},"
               "\"subResource\":\"scale\"",
               "UPDATE", "\"name\":\"web\",\"object\":{\"spec\":{}},\"oldObject\":{\"spec\":{}}"));
    assert_true(b->rv.allowed);
    assert_int_equal(b->rv.findings.n, 0);
    (void)review(b,
                 REVIEW("\"kind\":{\"group\":\"policy\",\"version\":\"v1\",\"kind\":\"Eviction\"},"
                        "\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"pods\"},"
                        "\"subResource\":\"eviction\"",
                        "CREATE", "\"name\":\"web\",\"object\":{\"metadata\":{}}"));
    assert_true(b->rv.allowed);
    assert_int_equal(b->rv.findings.n, 0);
}

static void test_unknown_kinds_pass(void **state)
{
    struct bench *b = *state;

    (void)review(
        b,
        REVIEW("\"kind\":{\"group\":\"x.example\",\"version\":\"v9\",\"kind\":\"Thing\"},"
               "\"resource\":{\"group\":\"x.example\",\"version\":\"v9\",\"resource\":\"things\"}",
               "CREATE", "\"object\":{\"a\":1}"));
    assert_true(b->rv.allowed);
    assert_int_equal(b->rv.findings.n, 0);
}

static void test_unknown_denies_with_fail(void **state)
{
    struct bench *b = *state;

    assert_has(
        review(
            b,
            REVIEW("\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"ConfigMap\"},"
                   "\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"configmaps\"}",
                   "CREATE", "\"object\":{\"data\":{}}")),
        "[not decided: evaluation-error]");
    assert_false(b->rv.allowed);
    assert_has(b->record.p, "\"unknown\":[{\"control\":\"pod-broken\",\"effect\":\"deny\","
                            "\"reason\":\"evaluation-error\"}]");
}

static void test_secrets_are_hashed_with_a_key(void **state)
{
    struct bench *b = *state;
    static const char object[] =
        "{ \"type\":\"kubernetes.io/service-account-token\", \"data\":{\"t\":\"}]\\\"{\"} }";
    char want[64];

    (void)review(b,
                 REVIEW("\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Secret\"},"
                        "\"resource\":{\"group\":\"\",\"version\":\"v1\",\"resource\":\"secrets\"}",
                        "CREATE",
                        "\"object\": { \"type\":\"kubernetes.io/service-account-token\", "
                        "\"data\":{\"t\":\"}]\\\"{\"} } "));
    assert_false(b->rv.allowed);
    snprintf(want, sizeof(want), "\"hmacSha256\":\"k%zu\"", sizeof(object) - 1);
    assert_has(b->record.p, want);
    assert_has_not(b->record.p, "\"sha256\"");
}

/* ---- deadline ---- */

static void test_deadline(void **state)
{
    struct bench *b = *state;

    b->env.deadline = 1;
    assert_has(review(b, CREATE_POD("{\"containers\":[" PRIVILEGED("app") "]}")),
               "not decided: pod-host-path (deadline)");
    assert_true(b->rv.allowed);
    assert_int_equal(b->rv.n_unknown, 3);
    assert_has(b->record.p, "\"reason\":\"deadline\"");
}

/* ---- the repair rule ---- */

static void test_repair_rule(void **state)
{
    struct bench *b = *state;

    /* old and unchanged: a warning */
    assert_has(review(b, UPDATE_POD("{\"hostname\":\"n\",\"containers\":[" PRIVILEGED("app") "]}",
                                    "{\"containers\":[" PRIVILEGED("app") "]}")),
               "pod-privileged (OPS-21.1B) was there before: ");
    assert_true(b->rv.allowed);
    assert_has(b->record.p, "\"effect\":\"existing\"");
    /* a second one beside it */
    (void)review(b, UPDATE_POD("{\"containers\":[" PRIVILEGED("app") "," PRIVILEGED("two") "]}",
                               "{\"containers\":[" PRIVILEGED("app") "," PLAIN("two") "]}"));
    assert_false(b->rv.allowed);
    /* one of two removed */
    (void)review(b, UPDATE_POD("{\"containers\":[" PLAIN("app") "," PRIVILEGED("two") "]}",
                               "{\"containers\":[" PRIVILEGED("app") "," PRIVILEGED("two") "]}"));
    assert_true(b->rv.allowed);
    /* hostPath /tmp to / */
    (void)review(b,
                 UPDATE_POD("{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]}",
                            "{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/tmp\"}}]}"));
    assert_false(b->rv.allowed);
    (void)review(b,
                 UPDATE_POD("{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/tmp\"}}]}",
                            "{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/tmp\"}}]}"));
    assert_true(b->rv.allowed);
}

#define CRB(subjects)                                                                              \
    "{\"metadata\":{\"name\":\"x\"},\"roleRef\":{\"name\":\"cluster-admin\"},\"subjects\":"        \
    "[" subjects "]}"
#define GVR_CRB                                                                                    \
    "\"kind\":{\"group\":\"rbac.authorization.k8s.io\",\"version\":\"v1\",\"kind\":"               \
    "\"ClusterRoleBinding\"},"                                                                     \
    "\"resource\":{\"group\":\"rbac.authorization.k8s.io\",\"version\":\"v1\",\"resource\":"       \
    "\"clusterrolebindings\"}"

static void test_subjects_may_only_shrink(void **state)
{
    struct bench *b = *state;

    (void)review(
        b, REVIEW(GVR_CRB, "UPDATE",
                  "\"object\":" CRB("{\"name\":\"a\"},{\"name\":\"b\"}") ",\"oldObject\":" CRB(
                      "{\"name\":\"a\"}")));
    assert_false(b->rv.allowed);
    (void)review(b, REVIEW(GVR_CRB, "UPDATE",
                           "\"object\":" CRB("{\"name\":\"a\"}") ",\"oldObject\":" CRB(
                               "{\"name\":\"a\"},{\"name\":\"b\"}")));
    assert_true(b->rv.allowed);
}

static void test_harmless_updates(void **state)
{
    struct bench *b = *state;

    /* being deleted, spec unchanged: whatever it is, it must go */
    (void)review(
        b,
        REVIEW(GVR_POD, "UPDATE",
               "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web\","
               "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},"
               "\"spec\":{\"containers\":[" PRIVILEGED(
                   "app") "]}},\"oldObject\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":"
                          "{\"name\":\"web\",\"finalizers\":[\"f\"]},\"spec\":{\"containers\":"
                          "[" PRIVILEGED("app") "]}}"));
    assert_true(b->rv.allowed);
}

/* ---- the controllers rule ---- */

static bool owner_fails(void *arg, struct ea_str uid, struct ea_str kind,
                        const struct ea_finding *f)
{
    (void)arg;
    return ea_str_is(uid, "rs-1") && ea_str_is(kind, "ReplicaSet") &&
           ea_str_is(f->control->id, "pod-privileged");
}

#define OWNED_POD(user, uid, more)                                                                 \
    "{\"apiVersion\":\"admission.k8s.io/"                                                          \
    "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"r-1\"," GVR_POD                      \
    ",\"operation\":\"CREATE\",\"namespace\":\"shop\",\"userInfo\":{\"username\":\"" user          \
    "\"},\"object\":{\"apiVersion\":\"v1\","                                                       \
    "\"kind\":\"Pod\",\"metadata\":{\"generateName\":\"web-\",\"ownerReferences\":[{"              \
    "\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","                                          \
    "\"name\":\"web\",\"uid\":\"" uid                                                              \
    "\",\"controller\":true}]},\"spec\":{\"containers\":[" PRIVILEGED("app") "]" more "}}}}"

static void test_controllers_rule(void **state)
{
    struct bench *b = *state;
    struct ea_owners owners = {.fails = owner_fails};
    const char *good =
        OWNED_POD("system:serviceaccount:kube-system:replicaset-controller", "rs-1", "");

    (void)review(b, good);
    assert_false(b->rv.allowed); /* nobody knows owners here */
    b->env.owners = &owners;
    assert_has(review(b, good), "pod-privileged (OPS-21.1B) comes from its owner");
    assert_true(b->rv.allowed);
    assert_has(b->record.p, "\"effect\":\"owner\"");
    (void)review(b, OWNED_POD("system:kube-controller-manager", "rs-1", ""));
    assert_true(b->rv.allowed);
    (void)review(b, OWNED_POD("jane", "rs-1", "")); /* forged owner */
    assert_false(b->rv.allowed);
    (void)review(b, OWNED_POD("system:serviceaccount:kube-system:job-controller", "rs-1",
                              "")); /* another controller */
    assert_false(b->rv.allowed);
    (void)review(b, OWNED_POD("system:serviceaccount:shop:replicaset-controller", "rs-1", ""));
    assert_false(b->rv.allowed);
    (void)review(b, OWNED_POD("system:serviceaccount:kube-system:replicaset-controller", "rs-2",
                              "")); /* an owner nobody has seen */
    assert_false(b->rv.allowed);
    /* more than the owner had */
    (void)review(b, OWNED_POD("system:kube-controller-manager", "rs-1",
                              ",\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]"));
    assert_false(b->rv.allowed);
    b->env.existing_deny = true;
    (void)review(b, good);
    assert_false(b->rv.allowed);
}

/* ---- warnings and sizes ---- */

static void test_warnings_are_cut(void **state)
{
    struct bench *b = *state;
    struct ea_buf text;
    const struct ea_val *list;
    struct ea_val v;
    size_t chars = 0;

    ea_buf_init(&text, 1u << 20);
    (void)ea_buf_addz(&text,
                      "{\"apiVersion\":\"admission.k8s.io/"
                      "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"r-1\"," GVR_POD
                      ",\"operation\":\"CREATE\",\"object\":{\"kind\":\"Pod\",\"spec\":{"
                      "\"containers\":[{\"name\":\"");
    for (int i = 0; i < 300; i++)
        (void)ea_buf_addz(&text, i == 3 ? "\\u0007\\n" : "\xc3\xa4");
    (void)ea_buf_addz(&text, "\",\"securityContext\":{\"privileged\":true}}]}}}}");
    (void)ea_buf_addc(&text, 0);
    b->env.enforcement = EA_WARN;
    assert_int_equal(ea_json_parse(&b->a, ea_str(review(b, text.p)), NULL, &v, NULL, NULL), 0);
    list = ea_val_path(&v, "response.warnings");
    assert_int_equal(list->n, 1);
    for (size_t i = 0; i < ea_val_at(list, 0)->n; i++) {
        unsigned char c = (unsigned char)ea_val_at(list, 0)->s[i];

        assert_true(c >= 0x20);
        chars += (c & 0xc0) != 0x80;
    }
    assert_int_equal(chars, EA_MAX_WARNING_LEN);
    ea_buf_done(&text);
}

static void test_many_failures_fit(void **state)
{
    struct bench *b = *state;
    struct ea_buf text;

    ea_buf_init(&text, 8u << 20);
    (void)ea_buf_addz(&text,
                      "{\"apiVersion\":\"admission.k8s.io/"
                      "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"r-1\"," GVR_POD
                      ",\"operation\":\"CREATE\",\"name\":\"");
    for (int i = 0; i < 200000; i++)
        (void)ea_buf_addc(&text, 'n');
    (void)ea_buf_addz(&text, "\",\"object\":{\"kind\":\"Pod\",\"spec\":{\"containers\":[");
    for (int i = 0; i < 2000; i++)
        (void)ea_buf_addf(&text, "%s{\"name\":\"%d\",\"securityContext\":{\"privileged\":true}}",
                          i ? "," : "", i);
    (void)ea_buf_addz(&text, "]}}}}");
    (void)ea_buf_addc(&text, 0);
    (void)review(b, text.p);
    assert_false(b->rv.allowed);
    assert_true(b->record.n < 16384);
    assert_has(b->record.p, "\"more\":");
    ea_buf_done(&text);
}

static void test_exhausted_memory_does_not_admit(void **state)
{
    struct bench *b = *state;
    struct ea_review_env *env = &b->env;
    struct ea_arena small;
    struct ea_str answer;
    const char *text = CREATE_POD("{\"containers\":[" PRIVILEGED("app") "]}");
    unsigned denied = 0, refused_n = 0;

    for (size_t cap = 2048; cap < 200000; cap += 1024) {
        int rc;

        ea_arena_init(&small, cap, 1024);
        rc = ea_review(env, &small, ea_str(text), &b->rv, &answer, NULL);
        assert_true(rc == 0 || rc == -E2BIG);
        if (rc == 0) {
            assert_false(b->rv.allowed);
            denied++;
        } else {
            refused_n++;
        }
        ea_arena_done(&small);
    }
    assert_true(denied > 0 && refused_n > 0);
}

/* ---- what is no review ---- */

static void test_bad_input(void **state)
{
    struct bench *b = *state;
    struct ea_buf deep;

    refused(b, "", "empty");
    refused(b, "{", "no JSON");
    refused(b, "[]", "a JSON object is expected");
    refused(b, "nonsense", "no JSON");
    refused(b, "{}", "kind is missing");
    refused(b, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\"}", "AdmissionReview is expected");
    refused(b, "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1beta1\"}",
            "admission.k8s.io/v1 is expected");
    refused(b, "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\"}",
            "request is missing");
    refused(b,
            "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{}}",
            "request.uid is missing");
    refused(b,
            "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/"
            "v1\",\"request\":{\"uid\":\"\"}}",
            "request.uid is missing");
    refused(b,
            "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/"
            "v1\",\"request\":{\"uid\":7}}",
            "request.uid must be a string");
    refused(b,
            "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/"
            "v1\",\"request\":{\"uid\":\"a\",\"operation\":\"PATCH\"}}",
            "CREATE, UPDATE, DELETE or CONNECT");
    refused(b,
            REVIEW("\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"}", "CREATE",
                   "\"object\":{}"),
            "request.resource is missing");
    refused(b, REVIEW(GVR_POD, "CREATE", "\"object\":null"), "request.object is missing");
    refused(b, REVIEW(GVR_POD, "CREATE", "\"object\":[]"), "request.object must be an object");
    refused(b, REVIEW(GVR_POD, "UPDATE", "\"object\":{}"), "request.oldObject is missing");
    refused(b, REVIEW(GVR_POD, "CREATE", "\"object\":{},\"dryRun\":\"yes\""),
            "request.dryRun must be true or false");
    refused(b, REVIEW(GVR_POD, "CREATE", "\"object\":{\"a\":1,\"a\":2}"), "no JSON");
    refused(b, REVIEW(GVR_POD, "CREATE", "\"object\":{\"a\":\"\xff\"}"), "no JSON");
    ea_buf_init(&deep, 1u << 20);
    (void)ea_buf_addz(&deep, "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/"
                             "v1\",\"request\":{\"object\":");
    for (int i = 0; i < 10000; i++)
        (void)ea_buf_addz(&deep, "{\"a\":");
    (void)ea_buf_addc(&deep, 0);
    refused(b, deep.p, "no JSON");
    ea_buf_done(&deep);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_allowed),
        TEST(test_denied_golden),
        TEST(test_enforcement_is_a_ceiling),
        TEST(test_level),
        TEST(test_generate_name_and_names),
        TEST(test_connect),
        TEST(test_subresources_without_workload),
        TEST(test_unknown_kinds_pass),
        TEST(test_unknown_denies_with_fail),
        TEST(test_secrets_are_hashed_with_a_key),
        TEST(test_deadline),
        TEST(test_repair_rule),
        TEST(test_subjects_may_only_shrink),
        TEST(test_harmless_updates),
        TEST(test_controllers_rule),
        TEST(test_warnings_are_cut),
        TEST(test_many_failures_fit),
        TEST(test_exhausted_memory_does_not_admit),
        TEST(test_bad_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
