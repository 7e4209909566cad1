/* The judge: every result and reason, level, selectors, dispatch, messages, sharing, what denies.
 */
#include "util.h"

#include "doc/build.h"

#define POD(spec)                                                                                  \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec: " spec "\n"
#define VALIDATE(expr) "    validations:\n    - {expression: \"" expr "\", message: bad}\n"
#define ON(expr) "  policy:\n" ON_PODS VALIDATE(expr)

struct bench {
    struct ea_arena a;
};

static int setup(void **state)
{
    struct bench *b = ea_xalloc(sizeof(*b));

    ea_arena_init(&b->a, 64u << 20, 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    ea_arena_done(&b->a);
    free(b);
    return 0;
}

/* The only finding of a one-control set for a manifest. */
static struct ea_finding only(struct bench *b, const char *control, const char *manifest,
                              const struct ea_judge_opts *o)
{
    struct ea_ruleset *rs = one_control("a", control);
    struct ea_subject s = subject(&b->a, manifest);
    struct ea_findings f;

    if (rs->controls[0].compile_error)
        fail_msg("%s", rs->controls[0].compile_error);
    f = judge(rs, &s, o, &b->a);
    assert_int_equal(f.n, 1);
    /* texts of a finding may lie in the set: keep it until the process ends */
    assert_int_equal(ea_arena_defer(&b->a, (void (*)(void *))ea_ruleset_unref, rs), 0);
    return f.f[0];
}

static void results(void **state)
{
    struct bench *b = *state;
    struct ea_finding f;

    f = only(b, HEAD("a") ON("!object.spec.?hostPID.orValue(false)"), POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_PASS);
    f = only(b, HEAD("a") ON("!object.spec.?hostPID.orValue(false)"), POD("{hostPID: true}"),
             &opts_high);
    assert_int_equal(f.result, EA_FAIL);
    assert_int_equal(f.reason, EA_R_NONE);
    assert_int_equal(f.n_failures, 1);
    assert_str(f.message, "bad");
    assert_str(f.failures[0].path, "spec.hostPID");
    assert_int_equal(f.failures[0].root, 0);
    f = only(b, HEAD("a") ON("object.spec.nothing == 1"), POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_UNKNOWN);
    assert_int_equal(f.reason, EA_R_EVALUATION_ERROR);
    assert_true(ea_str_find(f.detail, EA_STR("nothing")) >= 0);
    f = only(b,
             HEAD("a") "  policy:\n    matchConditions: [{name: m, expression: "
                       "'has(object.spec.x)'}]\n" ON_PODS VALIDATE("false"),
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_SKIP);
    assert_int_equal(f.reason, EA_R_NONE);
    f = only(b,
             HEAD("a") "  policy:\n    matchConditions: [{name: m, expression: 'object.spec.x == "
                       "1'}]\n" ON_PODS VALIDATE("false"),
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_UNKNOWN);
    /* an error does not matter when another condition is false */
    f = only(
        b,
        HEAD("a") "  policy:\n    matchConditions: [{name: m, expression: 'object.spec.x == 1'}, "
                  "{name: k, expression: 'has(object.spec.y)'}]\n" ON_PODS VALIDATE("false"),
        POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_SKIP);
    /* a failure counts more than an error beside it */
    f = only(b,
             HEAD("a") "  policy:\n" ON_PODS
                       "    validations: [{expression: 'object.spec.x == 1', message: e}, "
                       "{expression: 'has(object.spec.y)', message: two}]\n",
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_FAIL);
    assert_str(f.message, "two");
    assert_int_equal(f.failures[0].validation, 1);
}

static void without_request(void **state)
{
    struct bench *b = *state;
    struct ea_finding f;

    f = only(b, HEAD("a") ON("oldObject == null"), POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_SKIP);
    assert_int_equal(f.reason, EA_R_NO_REQUEST);
    f = only(b, HEAD("a") ON("request.userInfo.username == 'x'"), POD("{}"), &opts_high);
    assert_int_equal(f.reason, EA_R_NO_REQUEST);
    f = only(b,
             HEAD("a") "  policy:\n    matchConstraints: {resourceRules: [{apiGroups: [\"\"], "
                       "apiVersions: [v1], operations: [UPDATE, DELETE], resources: "
                       "[pods]}]}\n" VALIDATE("true"),
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_SKIP);
    assert_int_equal(f.reason, EA_R_NO_REQUEST);
    /* what can be made up is */
    f = only(b,
             HEAD("a") ON("request.operation == 'CREATE' && request.kind.kind == 'Pod' && "
                          "request.resource.resource == 'pods' && request.name == 'web' && "
                          "request.namespace == 'default' && !request.dryRun"),
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_PASS);
}

static void with_request(void **state)
{
    struct bench *b = *state;
    struct ea_ruleset *rs = one_control(
        "a",
        HEAD("a") ON("request.userInfo.username == 'alice' && oldObject.metadata.name == 'web'"));
    struct ea_subject s = update(&b->a, POD("{}"), POD("{hostPID: true}"));
    struct ea_findings f;

    s.request = yaml(&b->a, "{operation: UPDATE, userInfo: {username: alice}}");
    f = judge(rs, &s, &opts_high, &b->a);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.f[0].result, EA_PASS);
    s.op = EA_OP_DELETE; /* the rules do not ask for it */
    f = judge(rs, &s, &opts_high, &b->a);
    assert_int_equal(f.n, 0);
    ea_ruleset_unref(rs);
}

static void settings_and_context(void **state)
{
    struct bench *b = *state;
    struct ea_finding f;

    f = only(b, HEAD("a") "  params: {x: {type: int, required: true}}\n" ON("params.x == 1"),
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_UNKNOWN);
    assert_int_equal(f.reason, EA_R_NOT_CONFIGURED);
    assert_false(ea_finding_denies(&f, EA_DENY));
    f = only(b, HEAD("a") "  params: {x: {type: int, default: 1}}\n" ON("params.x == 1"), POD("{}"),
             &opts_high);
    assert_int_equal(f.result, EA_PASS);
    f = only(b, HEAD("a") ON("namespaceObject.metadata.name == 'x'"), POD("{}"), &opts_high);
    assert_int_equal(f.reason, EA_R_MISSING_CONTEXT);
    f = only(b,
             HEAD("a") "  context: [{name: pods, apiVersion: v1, kind: Pod, cap: 10}]\n" ON(
                 "size(context.pods) == 0"),
             POD("{}"), &opts_high);
    assert_int_equal(f.reason, EA_R_MISSING_CONTEXT);
    f = only(b, HEAD("a") ON("level == 'high' && now == timestamp('2026-01-01T00:00:00Z')"),
             POD("{}"), &opts_high);
    assert_int_equal(f.result, EA_PASS);
}

static const struct ea_val *namespace_of(void *arg, struct ea_arena *a, struct ea_str name)
{
    (void)a;
    return ea_str_is(name, "default") ? arg : NULL;
}

static int list_of(void *arg, struct ea_arena *a, struct ea_str api, struct ea_str kind,
                   struct ea_str ns, size_t cap, struct ea_val *ret, bool *complete)
{
    (void)arg;
    (void)api;
    (void)cap;
    *ret = yaml(
        a,
        "[{metadata: {name: p1, labels: {app: web}}}, {metadata: {name: p2, labels: {app: db}}}]");
    *complete = ea_str_is(kind, "NetworkPolicy") && ea_str_is(ns, "default");
    return 0;
}

static void lookup(void **state)
{
    struct bench *b = *state;
    struct ea_val ns =
        yaml(&b->a,
             "{metadata: {name: default, labels: {tier: gold, eucs-agent.io/level: substantial}}}");
    struct ea_lookup l = {&ns, namespace_of, list_of};
    struct ea_judge_opts o = {.lookup = &l, .floor = EA_BASIC, .now_us = 0};
    struct ea_finding f;

    f = only(
        b, HEAD("a") ON("namespaceObject.metadata.labels.tier == 'gold' && level == 'substantial'"),
        POD("{}"), &o);
    assert_int_equal(f.result, EA_PASS);
#define JOIN(kind, extra)                                                                          \
    "  context:\n  - {name: nps, apiVersion: networking.k8s.io/v1, kind: " kind                    \
    ", namespace: object.metadata.namespace, cap: 10" extra "}\n"
    f = only(b, HEAD("a") JOIN("NetworkPolicy", "") ON("size(context.nps) == 2"), POD("{}"), &o);
    assert_int_equal(f.result, EA_PASS);
    f = only(b,
             HEAD("a") JOIN("NetworkPolicy", ", selector: \"{'app': 'web'}\"")
                 ON("size(context.nps) == 1 && context.nps[0].metadata.name == 'p1'"),
             POD("{}"), &o);
    assert_int_equal(f.result, EA_PASS);
    f = only(b, HEAD("a") JOIN("Service", "") ON("size(context.nps) == 2"), POD("{}"), &o);
    assert_int_equal(f.reason, EA_R_MISSING_CONTEXT); /* cut: what was not seen is no pass */
    f = only(b, HEAD("a") JOIN("NetworkPolicy", ", selector: \"object.spec.no\"") ON("true"),
             POD("{}"), &o);
    assert_int_equal(f.reason, EA_R_EVALUATION_ERROR);
}

static void levels(void **state)
{
    struct bench *b = *state;
    struct ea_ruleset *rs =
        one_control("a", HEAD_AT("a", "substantial", "high", "deny") ON("true"));
    struct ea_subject s = subject(&b->a, POD("{}"));
    struct ea_val up =
        yaml(&b->a, "{metadata: {name: default, labels: {eucs-agent.io/level: high}}}");
    struct ea_val down =
        yaml(&b->a, "{metadata: {name: default, labels: {eucs-agent.io/level: basic}}}");
    struct ea_val odd =
        yaml(&b->a, "{metadata: {name: default, labels: {eucs-agent.io/level: top}}}");
    struct ea_judge_opts o = {.floor = EA_BASIC};

    assert_int_equal(judge(rs, &s, &o, &b->a).n, 0);
    o.floor = EA_SUBSTANTIAL;
    assert_int_equal(judge(rs, &s, &o, &b->a).n, 1);
    s.namespace_object = &down; /* honoured only upwards */
    assert_int_equal(judge(rs, &s, &o, &b->a).n, 1);
    o.floor = EA_BASIC;
    assert_int_equal(judge(rs, &s, &o, &b->a).n, 0);
    s.namespace_object = &odd;
    assert_int_equal(judge(rs, &s, &o, &b->a).n, 0);
    s.namespace_object = &up;
    assert_int_equal(judge(rs, &s, &o, &b->a).n, 1);
    s.namespace_object = NULL;
    o.ignore_level = true;
    assert_int_equal(judge(rs, &s, &o, &b->a).n, 1);
    assert_int_equal(ea_effective_level(EA_BASIC, false, &up),
                     EA_BASIC); /* cluster-scoped: the floor */
    ea_ruleset_unref(rs);
}

static void selectors(void **state)
{
    struct bench *b = *state;
    struct ea_val gold = yaml(&b->a, "{metadata: {name: default, labels: {tier: gold}}}");
    struct ea_subject s = subject(&b->a, POD("{}"));
#define SELECT(sel)                                                                                \
    HEAD("a")                                                                                      \
    "  policy:\n    matchConstraints:\n      " sel                                                 \
    "\n      resourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE], "        \
    "resources: [pods]}]\n" VALIDATE("true")
    static const struct {
        const char *control;
        unsigned n;
    } t[] = {
        {SELECT("objectSelector: {matchLabels: {app: web}}"), 1},
        {SELECT("objectSelector: {matchLabels: {app: db}}"), 0},
        {SELECT(
             "objectSelector: {matchExpressions: [{key: app, operator: In, values: [db, web]}]}"),
         1},
        {SELECT("objectSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}"),
         0},
        {SELECT(
             "objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}"),
         1},
        {SELECT("objectSelector: {matchExpressions: [{key: tier, operator: Exists}]}"), 0},
        {SELECT("objectSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}"), 1},
        {SELECT("namespaceSelector: {matchLabels: {tier: gold}}"), 1},
        {SELECT("namespaceSelector: {matchLabels: {tier: tin}}"), 0},
    };

    s.namespace_object = &gold;
    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct ea_ruleset *rs = one_control("a", t[i].control);
        struct ea_findings f = judge(rs, &s, &opts_high, &b->a);

        if (f.n != t[i].n)
            fail_msg("case %zu: %u findings", i, f.n);
        ea_ruleset_unref(rs);
    }
    struct ea_ruleset *rs =
        one_control("a", SELECT("namespaceSelector: {matchLabels: {tier: gold}}"));
    struct ea_findings f;

    s.namespace_object = NULL;
    f = judge(rs, &s, &opts_high, &b->a);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.f[0].reason, EA_R_MISSING_CONTEXT);
    ea_ruleset_unref(rs);
}

static void dispatch(void **state)
{
    struct bench *b = *state;
    struct folder f;
#define RULES(rules) "  policy:\n    matchConstraints: {" rules "}\n" VALIDATE("true")
    folder_new(&f);
    put(&f, "pod/a.yaml",
        HEAD("a") RULES("resourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: "
                        "[CREATE], resources: [pods]}]"));
    put(&f, "pod/b.yaml",
        HEAD("b") RULES("resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], "
                        "resources: ['*']}]"));
    put(&f, "pod/c.yaml",
        HEAD("c") RULES("resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: "
                        "[CREATE], resources: ['*/scale']}]"));
    put(&f, "pod/d.yaml",
        HEAD("d") RULES("matchPolicy: Exact, resourceRules: [{apiGroups: [apps], apiVersions: "
                        "[v1beta1], operations: [CREATE], resources: [deployments]}]"));
    put(&f, "pod/e.yaml",
        HEAD("e")
            RULES("excludeResourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: "
                  "[CREATE], resources: [pods]}], resourceRules: [{apiGroups: [\"\"], apiVersions: "
                  "[v1], operations: [CREATE, UPDATE], resources: [pods, services]}]"));
    put(&f, "pod/f.yaml",
        HEAD("f") RULES("resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: "
                        "[CREATE], resources: [namespaces, pods], scope: Cluster}]"));
    put(&f, "pod/g.yaml",
        HEAD("g") RULES("resourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: "
                        "[CREATE], resources: [pods], resourceNames: [db]}]"));
    struct ea_ruleset *rs = load(&f, NULL);
    static const struct {
        struct ea_gvr g;
        const char *ids;
    } t[] = {
        {{{"", 0}, {"v1", 2}, {"pods", 4}, {"", 0}, {"Pod", 3}, true}, "ab"},
        {{{"", 0}, {"v1", 2}, {"services", 8}, {"", 0}, {"Service", 7}, true}, "be"},
        {{{"", 0}, {"v1", 2}, {"namespaces", 10}, {"", 0}, {"Namespace", 9}, false}, "bf"},
        {{{"apps", 4}, {"v1", 2}, {"deployments", 11}, {"scale", 5}, {"Scale", 5}, true}, "c"},
        {{{"apps", 4}, {"v1", 2}, {"deployments", 11}, {"", 0}, {"Deployment", 10}, true}, "b"},
        {{{"apps", 4}, {"v1beta1", 7}, {"deployments", 11}, {"", 0}, {"Deployment", 10}, true},
         "bd"},
        {{{"x.io", 4}, {"v1", 2}, {"things", 6}, {"", 0}, {"Thing", 5}, true}, "b"},
        {{{"x.io", 4}, {"v1", 2}, {"things", 6}, {"scale", 5}, {"Scale", 5}, true}, ""},
    };

    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct ea_subject s = {.gvr = t[i].g,
                               .op = EA_OP_CREATE,
                               .has_request = true,
                               .name = EA_STR("web"),
                               .object = yaml(&b->a, "{}")};
        struct ea_findings found = judge(rs, &s, &opts_high, &b->a);
        char ids[16] = "";

        for (unsigned k = 0; k < found.n; k++)
            strncat(ids, found.f[k].control->id.p, 1);
        if (strcmp(ids, t[i].ids) != 0)
            fail_msg("case %zu: %s, wanted %s", i, ids, t[i].ids);
        assert_int_equal(ea_ruleset_asks_for(rs, &t[i].g), *t[i].ids != 0);
    }
    ea_ruleset_unref(rs);
    folder_done(&f);
}

static void kinds(void **state)
{
    struct ea_ruleset *rs = one_control("a", HEAD("a") ON("true"));
    struct ea_gvr g;
    static const struct {
        const char *api, *kind, *group, *resource;
    } old[] = {
        {"extensions/v1beta1", "Deployment", "apps", "deployments"},
        {"extensions/v1beta1", "Ingress", "networking.k8s.io", "ingresses"},
        {"extensions/v1beta1", "NetworkPolicy", "networking.k8s.io", "networkpolicies"},
        {"apps/v1beta1", "StatefulSet", "apps", "statefulsets"},
        {"apps/v1beta2", "DaemonSet", "apps", "daemonsets"},
        {"batch/v1beta1", "CronJob", "batch", "cronjobs"},
        {"policy/v1beta1", "PodDisruptionBudget", "policy", "poddisruptionbudgets"},
        {"rbac.authorization.k8s.io/v1beta1", "ClusterRole", "rbac.authorization.k8s.io",
         "clusterroles"},
        {"autoscaling/v1", "HorizontalPodAutoscaler", "autoscaling", "horizontalpodautoscalers"},
        {"v1", "Secret", "", "secrets"},
    };

    (void)state;
    for (size_t i = 0; i < EA_COUNT(old); i++) {
        assert_true(ea_builtin_kind(ea_str(old[i].api), ea_str(old[i].kind), &g));
        assert_str(g.group, old[i].group);
        assert_str(g.resource, old[i].resource);
    }
    assert_false(ea_builtin_kind(EA_STR("v2"), EA_STR("Pod"), &g));
    assert_false(ea_builtin_kind(EA_STR("apps/one"), EA_STR("Deployment"), &g));
    assert_false(ea_builtin_kind(EA_STR("extensions/v1"), EA_STR("Deployment"), &g));
    assert_false(ea_builtin_kind(EA_STR("extensions/v1beta1"), EA_STR("Pod"), &g));
    assert_false(ea_builtin_kind(EA_STR("example.com/v1"), EA_STR("Deployment"), &g));
    assert_true(ea_ruleset_kind(rs, EA_STR("gateway.networking.k8s.io/v1"), EA_STR("Gateway"), &g));
    assert_str(g.resource, "gateways");
    assert_false(ea_ruleset_kind(rs, EA_STR("gateway.networking.k8s.io/v1"), EA_STR("Other"), &g));
    ea_ruleset_unref(rs);
}

static void messages(void **state)
{
    struct bench *b = *state;
    struct ea_finding f;
#define MSG(rest)                                                                                  \
    HEAD("a")                                                                                      \
    "  policy:\n" ON_PODS "    validations: [{expression: \"has(object.spec.x)\"" rest "}]\n"
    f = only(b, MSG(", messageExpression: \"'pod ' + object.metadata.name\""), POD("{}"),
             &opts_high);
    assert_str(f.message, "pod web");
    f = only(b, MSG(", messageExpression: \"' pod '\""), POD("{}"), &opts_high);
    assert_str(f.message, "pod");
    f = only(b, MSG(", messageExpression: \"string(object.spec.none)\", message: plain"), POD("{}"),
             &opts_high);
    assert_str(f.message, "plain");
    f = only(b, MSG(", messageExpression: \"''\", message: plain"), POD("{}"), &opts_high);
    assert_str(f.message, "plain");
    f = only(b, MSG(", messageExpression: 'string(object.spec.two)', message: plain"),
             POD("{two: \"a\\nb\"}"), &opts_high);
    assert_str(f.message, "plain");
    f = only(b, MSG(""), POD("{}"), &opts_high);
    assert_str(f.message, "failed expression: has(object.spec.x)");
}

static void all_elements(void **state)
{
    struct bench *b = *state;
    struct ea_judge_opts o = opts_high;
    struct ea_finding f;
    struct ea_buf text;

    f = only(b,
             HEAD("a") "  use: [podspec]\n  policy:\n" VALIDATE(
                 "variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"),
             POD("{containers: [{name: a, securityContext: {privileged: true}}, {name: b}], "
                 "initContainers: [{name: i, securityContext: {privileged: true}}]}"),
             &o);
    assert_int_equal(f.n_failures, 2);
    assert_str(f.failures[0].path, "spec.containers[0].securityContext.privileged");
    assert_str(f.failures[0].element, "a");
    assert_str(f.failures[1].path, "spec.initContainers[0].securityContext.privileged");
    assert_str(f.failures[1].element, "i");
    ea_buf_init(&text, 1u << 20);
    ea_buf_addz(&text, POD("{containers: ["));
    ea_buf_drop(&text, 0);
    text.n -= 1; /* the newline of POD */
    for (int i = 0; i < 20; i++)
        ea_buf_addf(&text, "{name: c%d, securityContext: {privileged: true}},", i);
    ea_buf_addz(&text, "]}\n");
    ea_buf_addc(&text, 0);
    f = only(b,
             HEAD("a") "  use: [podspec]\n  policy:\n" VALIDATE(
                 "variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"),
             text.p, &o);
    assert_int_equal(f.n_failures, EA_MAX_FAILURES);
    assert_int_equal(f.n_more, 4);
    o.all_failures = true;
    f = only(b,
             HEAD("a") "  use: [podspec]\n  policy:\n" VALIDATE(
                 "variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"),
             text.p, &o);
    assert_int_equal(f.n_failures, 20);
    assert_int_equal(f.n_more, 0);
    assert_str(f.failures[19].value, "true");
    ea_buf_done(&text);
}

static void cost(void **state)
{
    struct bench *b = *state;
    struct ea_buf text;
    struct ea_finding f;

    ea_buf_init(&text, 4u << 20);
    ea_buf_addz(&text, "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  l: [");
    for (int i = 0; i < 2000; i++)
        ea_buf_addz(&text, "1,");
    ea_buf_addz(&text, "]\n");
    ea_buf_addc(&text, 0);
    f = only(b, HEAD("a") ON("object.spec.l.all(x, object.spec.l.all(y, x == y))"), text.p,
             &opts_high);
    assert_int_equal(f.result, EA_UNKNOWN);
    assert_int_equal(f.reason, EA_R_COST_LIMIT);
    assert_true(ea_finding_denies(&f, EA_DENY)); /* padding must not buy admission */
    assert_false(ea_finding_denies(&f, EA_WARN));
    f = only(b,
             HEAD_AT("a", "basic", "high", "warn")
                 ON("object.spec.l.all(x, object.spec.l.all(y, x == y))"),
             text.p, &opts_high);
    assert_int_equal(f.reason, EA_R_COST_LIMIT);
    assert_false(ea_finding_denies(&f, EA_DENY));
    ea_buf_done(&text);
}

static bool late(void *arg)
{
    return ++*(int *)arg > 1;
}

static void deadline(void **state)
{
    struct bench *b = *state;
    struct folder f;
    int calls = 0;
    struct ea_judge_opts o = {.floor = EA_HIGH, .interrupted = late, .interrupted_arg = &calls};
    struct ea_subject s = subject(&b->a, POD("{}"));
    struct ea_findings found;

    folder_new(&f);
    put(&f, "pod/a.yaml", HEAD("a") ON("true"));
    put(&f, "pod/b.yaml", HEAD("b") ON("true"));
    struct ea_ruleset *rs = load(&f, NULL);

    found = judge(rs, &s, &o, &b->a);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.f[0].result, EA_PASS);
    assert_int_equal(found.f[1].result, EA_UNKNOWN);
    assert_int_equal(found.f[1].reason, EA_R_DEADLINE);
    assert_false(ea_finding_denies(&found.f[1], EA_DENY));
    ea_ruleset_unref(rs);
    folder_done(&f);
}

static void denies(void **state)
{
    struct bench *b = *state;
    struct ea_finding f;

    f = only(b, HEAD("a") ON("false"), POD("{}"), &opts_high);
    assert_true(ea_finding_denies(&f, EA_DENY));
    assert_false(ea_finding_denies(&f, EA_WARN));
    assert_false(ea_finding_denies(&f, EA_AUDIT));
    f = only(b, HEAD_AT("a", "basic", "high", "warn") ON("false"), POD("{}"), &opts_high);
    assert_false(ea_finding_denies(&f, EA_DENY));
    f = only(b, HEAD("a") ON("object.spec.x == 1"), POD("{}"), &opts_high);
    assert_false(ea_finding_denies(&f, EA_DENY)); /* failurePolicy Ignore */
    f = only(
        b, HEAD("a") "  policy:\n    failurePolicy: Fail\n" ON_PODS VALIDATE("object.spec.x == 1"),
        POD("{}"), &opts_high);
    assert_true(ea_finding_denies(&f, EA_DENY));
    f = only(b,
             HEAD("a") "  params: {x: {type: int, required: true}}\n  policy:\n    failurePolicy: "
                       "Fail\n" ON_PODS VALIDATE("params.x == 1"),
             POD("{}"), &opts_high);
    assert_false(ea_finding_denies(&f, EA_DENY));
    f = only(b, HEAD("a") ON("true"), POD("{}"), &opts_high);
    assert_false(ea_finding_denies(&f, EA_DENY));
}

static void compile_error(void **state)
{
    struct bench *b = *state;
    struct ea_ruleset *rs = one_control("a", HEAD("a") ON("nothing == 1"));
    struct ea_subject s = subject(&b->a, POD("{}"));
    struct ea_findings f = judge(rs, &s, &opts_high, &b->a);

    assert_int_equal(f.n, 1);
    assert_int_equal(f.f[0].result, EA_UNKNOWN);
    assert_int_equal(f.f[0].reason, EA_R_COMPILE_ERROR);
    ea_ruleset_unref(rs);
}

/* Controls of one family share values; the verdicts are those that each has alone. */
static void sharing(void **state)
{
    struct bench *b = *state;
    struct folder f;
    struct ea_subject s =
        subject(&b->a, POD("{containers: [{name: a, image: x}], initContainers: [{name: b}]}"));

    folder_new(&f);
    put(&f, "pod/a.yaml",
        HEAD("a") "  use: [podspec]\n  policy:\n" VALIDATE(
            "variables.containers.all(c, has(c.image))"));
    put(&f, "pod/b.yaml",
        HEAD("b") "  use: [podspec]\n  policy:\n" VALIDATE("variables.containers.size() == 2"));
    put(&f, "pod/c.yaml",
        HEAD("c") "  use: [podspec]\n  policy:\n    variables: [{name: k, expression: "
                  "variables.containers.size() + 1}]\n" VALIDATE("variables.k == 3"));
    put(&f, "pod/d.yaml",
        HEAD("d") "  use: [podspec]\n  policy:\n    variables: [{name: k, expression: "
                  "variables.containers.size() - 1}]\n" VALIDATE("variables.k == 3"));
    struct ea_ruleset *rs = load(&f, NULL);
    struct ea_findings found = judge(rs, &s, &opts_high, &b->a);

    for (unsigned i = 0; i < rs->n_controls; i++)
        assert_null(rs->controls[i].compile_error);
    assert_int_equal(found.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        struct ea_finding alone;

        assert_int_equal(ea_judge_one(rs, found.f[i].control, &s, &opts_high, &b->a, &alone, NULL),
                         0);
        assert_int_equal(alone.result, found.f[i].result);
        assert_int_equal(alone.n_failures, found.f[i].n_failures);
        if (alone.n_failures)
            assert_true(ea_str_eq(alone.failures[0].path, found.f[i].failures[0].path));
    }
    assert_int_equal(found.f[0].result, EA_FAIL);
    assert_str(found.f[0].failures[0].element, "b");
    assert_int_equal(found.f[1].result, EA_PASS);
    assert_int_equal(found.f[2].result, EA_PASS);
    assert_int_equal(found.f[3].result, EA_FAIL);
    ea_ruleset_unref(rs);
    folder_done(&f);
}

static void nulls_and_defaults(void **state)
{
    struct bench *b = *state;
    struct ea_subject s;

    s = subject(&b->a, POD("{hostPID: null, containers: [{name: a, securityContext: null}]}"));
    assert_null(ea_val_path(&s.object, "spec.hostPID"));
    assert_null(
        ea_val_getz(ea_val_at(ea_val_path(&s.object, "spec.containers"), 0), "securityContext"));
    assert_str(ea_val_path_str(&s.object, "metadata.namespace"), "default");
    assert_str(ea_val_path_str(&s.object, "spec.serviceAccountName"), "default");
    s = subject(
        &b->a,
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: x}\nspec: {ports: []}\n");
    assert_str(ea_val_path_str(&s.object, "spec.type"), "ClusterIP");
    assert_str(s.namespace_, "x");
    s = subject(&b->a, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "
                       "s}\nspec: {podSelector: {}, egress: [{}]}\n");
    assert_int_equal(ea_val_path(&s.object, "spec.policyTypes")->n, 2);
    s = subject(&b->a, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "
                       "s}\nspec: {podSelector: {}}\n");
    assert_int_equal(ea_val_path(&s.object, "spec.policyTypes")->n, 1);
    s = subject(
        &b->a,
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: "
        "s}\nroleRef: {kind: ClusterRole, name: x}\n"
        "subjects: [{kind: User, name: a}, {kind: ServiceAccount, name: b, namespace: c}]\n");
    assert_str(ea_val_path_str(&s.object, "roleRef.apiGroup"), "rbac.authorization.k8s.io");
    assert_str(ea_val_get_str(ea_val_at(ea_val_getz(&s.object, "subjects"), 0), "apiGroup"),
               "rbac.authorization.k8s.io");
    assert_str(ea_val_get_str(ea_val_at(ea_val_getz(&s.object, "subjects"), 1), "apiGroup"), "");
    assert_null(ea_val_path(&s.object, "metadata.namespace"));
    assert_int_equal(s.namespace_.n, 0);
}

static void arena_full(void **state)
{
    struct bench *b = *state;
    struct ea_ruleset *rs = one_control("a", HEAD("a") "  use: [podspec]\n  policy:\n" VALIDATE(
                                                 "variables.containers.all(c, has(c.image))"));
    struct ea_subject s = subject(&b->a, POD("{containers: [{name: a, image: x}]}"));

    for (size_t cap = 64; cap <= 16384; cap *= 2) {
        struct ea_arena small;
        struct ea_findings f;
        struct ea_err err = {0};
        int r;

        ea_arena_init(&small, cap, 64);
        r = ea_judge(rs, &s, &opts_high, &small, &f, &err);
        assert_true(r == 0 || r == -E2BIG);
        if (r == 0 && f.n)
            assert_true(f.f[0].result == EA_PASS || f.f[0].result == EA_UNKNOWN);
        ea_arena_done(&small);
    }
    ea_ruleset_unref(rs);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(results),
        T(without_request),
        T(with_request),
        T(settings_and_context),
        T(lookup),
        T(levels),
        T(selectors),
        T(dispatch),
        T(kinds),
        T(messages),
        T(all_elements),
        T(cost),
        T(deadline),
        T(denies),
        T(compile_error),
        T(sharing),
        T(nulls_and_defaults),
        T(arena_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
