/* The one JSON rendering of a finding, byte by byte: other tools rely on it. */
#include "util.h"

#define TAIL                                                                                       \
    "\"remediation\":\"change "                                                                    \
    "it\",\"requirements\":[\"OPS-21.1B\"],\"references\":{\"pss\":\"baseline\",\"cis\":[\"5.2."   \
    "2\"]},\"exemption\":null}"
#define ON(expr)                                                                                   \
    "  policy:\n" ON_PODS "    validations: [{expression: \"" expr                                 \
    "\", message: \"not \\\"good\\\"\"}]\n"

static void line(const char *control, const char *manifest, const struct ea_source *src,
                 const char *want)
{
    struct ea_ruleset *rs = one_control("a", control);
    struct ea_arena a;
    struct ea_findings f;
    struct ea_buf b;

    ea_arena_init(&a, 1u << 22, 0);
    struct ea_subject s = subject(&a, manifest);

    f = judge(rs, &s, &opts_high, &a);
    assert_int_equal(f.n, 1);
    ea_buf_init(&b, 1u << 16);
    assert_int_equal(ea_finding_render(&b, &f.f[0], &s, src), 0);
    assert_str(ea_buf_str(&b), want);
    ea_buf_done(&b);
    ea_buf_init(&b, 64);
    assert_int_equal(ea_finding_render(&b, &f.f[0], &s, src), -E2BIG);
    ea_buf_done(&b);
    ea_arena_done(&a);
    ea_ruleset_unref(rs);
}

static void golden(void **state)
{
    struct ea_source src = {.file = EA_STR("a.yaml"), .document = 2, .line = 7};
    struct ea_source item = {
        .file = EA_STR("a \"b\".yaml"), .document = 0, .item = 3, .line = 9, .has_item = true};

    (void)state;
    line(HEAD("a") ON("!object.spec.?hostPID.orValue(false)"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {hostPID: "
         "true}\n",
         &src,
         "{\"control\":\"a\",\"result\":\"fail\",\"reason\":null,\"action\":\"deny\",\"severity\":"
         "\"high\",\"level\":\"basic\","
         "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"namespace\":\"shop\",\"name\":"
         "\"web\"},"
         "\"source\":{\"file\":\"a.yaml\",\"document\":2,\"item\":null,\"line\":7},\"path\":\"spec."
         "hostPID\",\"message\":\"not \\\"good\\\"\","
         "\"failures\":[{\"validation\":0,\"path\":\"spec.hostPID\",\"element\":null,\"message\":"
         "\"not \\\"good\\\"\"}]," TAIL);
    line(HEAD("a") ON("true"),
         "apiVersion: v1\nkind: Pod\nmetadata: {generateName: web-}\nspec: {}\n", &item,
         "{\"control\":\"a\",\"result\":\"pass\",\"reason\":null,\"action\":\"deny\",\"severity\":"
         "\"high\",\"level\":\"basic\","
         "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":"
         "null},"
         "\"source\":{\"file\":\"a "
         "\\\"b\\\".yaml\",\"document\":0,\"item\":3,\"line\":9},\"path\":null,\"message\":null,"
         "\"failures\":[]," TAIL);
    line(HEAD("a") ON("oldObject == null"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {}\n", NULL,
         "{\"control\":\"a\",\"result\":\"skip\",\"reason\":\"no-request\",\"action\":\"deny\","
         "\"severity\":\"high\",\"level\":\"basic\","
         "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":"
         "\"web\"},"
         "\"source\":null,\"path\":null,\"message\":\"the control judges a request, and there is "
         "none\",\"failures\":[]," TAIL);
    line(HEAD("a") ON("namespaceObject.metadata.name == 'x'"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {}\n", NULL,
         "{\"control\":\"a\",\"result\":\"unknown\",\"reason\":\"missing-context\",\"action\":"
         "\"deny\",\"severity\":\"high\",\"level\":\"basic\","
         "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"namespace\":\"default\",\"name\":"
         "\"web\"},"
         "\"source\":null,\"path\":null,\"message\":\"the namespace is not "
         "known\",\"failures\":[]," TAIL);
}

static void many_failures(void **state)
{
    struct ea_finding f = {
        .result = EA_FAIL, .n_failures = EA_MAX_FAILURES, .n_more = 5, .action = EA_DENY};
    struct ea_failure v[EA_MAX_FAILURES];
    struct ea_ruleset *rs = one_control("a", HEAD("a") ON("true"));
    struct ea_subject s = {.gvr = {.version = EA_STR("v1"), .kind = EA_STR("Node")},
                           .name = EA_STR("n1"),
                           .namespace_ = EA_STR("stray")};
    struct ea_buf b;

    (void)state;
    for (unsigned i = 0; i < EA_MAX_FAILURES; i++)
        v[i] = (struct ea_failure){.message = EA_STR("m"), .path = EA_STR("p")};
    f.failures = v;
    f.message = EA_STR("m");
    f.control = &rs->controls[0];
    ea_buf_init(&b, 1u << 16);
    assert_int_equal(ea_finding_render(&b, &f, &s, NULL), 0);
    ea_buf_addc(&b, 0);
    assert_non_null(strstr(b.p, "\"message\":\"m\"}],\"more\":5,\"remediation\""));
    /* without an object the names of the request remain; a cluster-scoped kind has no namespace */
    assert_non_null(strstr(
        b.p,
        "\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"namespace\":null,\"name\":\"n1\"}"));
    ea_buf_clear(&b);
    assert_int_equal(ea_finding_sentence(&b, &f), 0);
    assert_str(ea_buf_str(&b), "a (OPS-21.1B): m at p and 20 more. Fix: change it");
    f.result = EA_UNKNOWN;
    f.reason = EA_R_COST_LIMIT;
    f.detail = EA_STR("too dear");
    ea_buf_clear(&b);
    assert_int_equal(ea_finding_sentence(&b, &f), 0);
    assert_str(ea_buf_str(&b), "a (OPS-21.1B): unknown (cost-limit): too dear");
    ea_buf_done(&b);
    ea_ruleset_unref(rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden), cmocka_unit_test(many_failures)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
