/* The repair rule with the built-in controls: what was wrong before must not stop a change, what
 * makes it worse must. */
#include "util.h"

#include "doc/json.h"

struct fixture {
    struct ea_arena a;
    struct ea_ruleset *rs;
};

static int setup(void **state)
{
    struct fixture *f = ea_xalloc(sizeof(*f));
    struct ea_ruleset_opts o = {0};

    ea_arena_init(&f->a, 64u << 20, 0);
    assert_int_equal(ea_ruleset_load(&o, &f->rs, NULL, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ea_ruleset_unref(f->rs);
    ea_arena_done(&f->a);
    free(f);
    return 0;
}

/* New failures of one control in an update; -1: the new object does not fail it. */
static int fresh_with(struct fixture *f, const struct ea_ruleset *rs, const char *control,
                      const char *old, const char *new)
{
    struct ea_subject s = update(&f->a, old, new);
    struct ea_judge_opts o = {.floor = EA_HIGH,
                              .ignore_level = true,
                              .trace = true,
                              .all_failures = true,
                              .now_us = 1767225600000000};
    const struct ea_control *c = ea_control_find(rs, ea_str(control));
    struct ea_finding found;
    struct ea_err err = {0};
    unsigned n = 99;

    assert_non_null(c);
    assert_int_equal(ea_judge_one(rs, c, &s, &o, &f->a, &found, &err), 0);
    if (found.result != EA_FAIL)
        return -1;
    assert_int_equal(ea_repair_compare(rs, &s, &o, &found, &f->a, &n, &err), 0);
    return (int)n;
}

static int fresh(struct fixture *f, const char *control, const char *old, const char *new)
{
    return fresh_with(f, f->rs, control, old, new);
}

#define DEPLOY(meta, replicas, pod)                                                                \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web" meta                             \
    "}\nspec: {replicas: " replicas ", template: {spec: " pod "}}\n"
#define PRIV "securityContext: {privileged: true}"
#define CAPS(list)                                                                                 \
    "{containers: [{name: a, image: x, securityContext: {capabilities: {add: [" list "]}}}]}"

static void worse_is_new(void **state)
{
    struct fixture *f = *state;

    /* a second privileged container beside an old one */
    assert_int_equal(fresh(f, "pod-privileged",
                           DEPLOY("", "1", "{containers: [{name: a, image: x, " PRIV "}]}"),
                           DEPLOY("", "1",
                                  "{containers: [{name: a, image: x, " PRIV
                                  "}, {name: b, image: x, " PRIV "}]}")),
                     1);
    /* the same container under another name */
    assert_int_equal(fresh(f, "pod-privileged",
                           DEPLOY("", "1", "{containers: [{name: a, image: x, " PRIV "}]}"),
                           DEPLOY("", "1", "{containers: [{name: b, image: x, " PRIV "}]}")),
                     1);
    /* a privileged ephemeral container */
    assert_int_equal(
        fresh(f, "pod-privileged",
              "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, " PRIV
              "}]}\n",
              "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, " PRIV
              "}], ephemeralContainers: [{name: d, " PRIV "}]}\n"),
        1);
    /* SYS_ADMIN beside NET_ADMIN, in either order */
    assert_int_equal(fresh(f, "pod-capabilities-added", DEPLOY("", "1", CAPS("NET_ADMIN")),
                           DEPLOY("", "1", CAPS("NET_ADMIN, SYS_ADMIN"))),
                     1);
    assert_int_equal(fresh(f, "pod-capabilities-added", DEPLOY("", "1", CAPS("NET_ADMIN")),
                           DEPLOY("", "1", CAPS("SYS_ADMIN, NET_ADMIN"))),
                     1);
    /* hostPath /tmp to / */
    assert_true(fresh(f, "pod-host-path",
                      DEPLOY("", "1", "{volumes: [{name: v, hostPath: {path: /tmp}}]}"),
                      DEPLOY("", "1", "{volumes: [{name: v, hostPath: {path: /}}]}")) > 0);
    /* one more kind of host access */
    assert_int_equal(fresh(f, "pod-host-network", DEPLOY("", "1", "{hostPID: true}"),
                           DEPLOY("", "1", "{hostPID: true, hostNetwork: true}")),
                     1);
}

#define BINDING(subjects)                                                                          \
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\n"    \
    "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "                     \
    "cluster-admin}\nsubjects: [" subjects "]\n"
#define ALICE "{kind: User, name: alice, apiGroup: rbac.authorization.k8s.io}"
#define BOB "{kind: User, name: bob, apiGroup: rbac.authorization.k8s.io}"

static void subjects_may_only_shrink(void **state)
{
    struct fixture *f = *state;

    assert_true(fresh(f, "rbac-cluster-admin-binding", BINDING(ALICE), BINDING(ALICE ", " BOB)) >
                0);
    assert_true(fresh(f, "rbac-cluster-admin-binding", BINDING(ALICE), BINDING(BOB)) > 0);
    assert_int_equal(
        fresh(f, "rbac-cluster-admin-binding", BINDING(ALICE ", " BOB), BINDING(ALICE)), 0);
    assert_int_equal(
        fresh(f, "rbac-cluster-admin-binding", BINDING(ALICE ", " BOB), BINDING(BOB ", " ALICE)),
        0);
}

/* The old object as the webhook gets it: raw until somebody reads it. */
static void raw_old_object(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{\"oldObject\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
                               "\"metadata\":{\"name\":\"p\"},\"spec\":{\"hostPID\":true}}}";
    struct ea_judge_opts o = {.floor = EA_HIGH, .trace = true, .all_failures = true};
    struct ea_subject s = subject(
        &f->a,
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: b}}\nspec: {hostPID: true}\n");
    struct ea_finding found;
    struct ea_val root;
    unsigned n = 99;

    assert_int_equal(ea_json_parse(&f->a, ea_str(text), &ea_json_review_opts, &root, NULL, NULL),
                     0);
    s.op = EA_OP_UPDATE;
    s.has_request = true;
    s.old_object = root.members[0].val; /* not forced */
    assert_int_equal(s.old_object.type, EA_V_RAW);
    assert_int_equal(ea_judge_one(f->rs, ea_control_find(f->rs, EA_STR("pod-host-pid")), &s, &o,
                                  &f->a, &found, NULL),
                     0);
    assert_int_equal(found.result, EA_FAIL);
    assert_int_equal(ea_repair_compare(f->rs, &s, &o, &found, &f->a, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_false(ea_repair_always_allowed(&s)); /* labels changed, and scan adds a namespace */
}

static void repair_is_old(void **state)
{
    struct fixture *f = *state;
    static const char two[] = DEPLOY(
        "", "1", "{containers: [{name: a, image: x, " PRIV "}, {name: b, image: x, " PRIV "}]}");

    /* remove one of two: the list's order and length do not matter */
    assert_int_equal(fresh(f, "pod-privileged", two,
                           DEPLOY("", "1", "{containers: [{name: b, image: x, " PRIV "}]}")),
                     0);
    assert_int_equal(
        fresh(
            f, "pod-privileged", two,
            DEPLOY("", "1", "{containers: [{name: b, image: x, " PRIV "}, {name: a, image: x}]}")),
        0);
    /* remove all */
    assert_int_equal(
        fresh(f, "pod-privileged", two, DEPLOY("", "1", "{containers: [{name: a, image: x}]}")),
        -1);
    /* scale, relabel, roll to another image and back */
    assert_int_equal(fresh(f, "pod-privileged", two,
                           DEPLOY("", "5",
                                  "{containers: [{name: a, image: x, " PRIV
                                  "}, {name: b, image: x, " PRIV "}]}")),
                     0);
    assert_int_equal(fresh(f, "pod-privileged", two,
                           DEPLOY(", labels: {x: z}", "1",
                                  "{containers: [{name: a, image: x, " PRIV
                                  "}, {name: b, image: x, " PRIV "}]}")),
                     0);
    assert_int_equal(fresh(f, "pod-privileged", two,
                           DEPLOY("", "1",
                                  "{containers: [{name: a, image: new, " PRIV
                                  "}, {name: b, image: x, " PRIV "}]}")),
                     0);
    assert_int_equal(fresh(f, "pod-capabilities-added", DEPLOY("", "1", CAPS("NET_ADMIN")),
                           DEPLOY("", "1",
                                  "{containers: [{name: a, image: new, securityContext: "
                                  "{capabilities: {add: [NET_ADMIN]}}}]}")),
                     0);
    /* one of two capabilities goes */
    assert_int_equal(fresh(f, "pod-capabilities-added",
                           DEPLOY("", "1", CAPS("NET_ADMIN, SYS_ADMIN")),
                           DEPLOY("", "1", CAPS("SYS_ADMIN"))),
                     0);
    /* one of two volumes goes */
    assert_int_equal(
        fresh(
            f, "pod-host-path",
            DEPLOY(
                "", "1",
                "{volumes: [{name: v, hostPath: {path: /tmp}}, {name: w, hostPath: {path: /x}}]}"),
            DEPLOY("", "1", "{volumes: [{name: w, hostPath: {path: /x}}]}")),
        0);
    /* a field that was missing is still missing */
    assert_int_equal(fresh(f, "pod-seccomp", DEPLOY("", "1", "{containers: [{name: a, image: x}]}"),
                           DEPLOY("", "2", "{containers: [{name: a, image: y}]}")),
                     0);
    assert_int_equal(fresh(f, "pod-run-as-non-root",
                           DEPLOY("", "1", "{containers: [{name: a, image: x}]}"),
                           DEPLOY("", "2", "{containers: [{name: a, image: y}]}")),
                     0);
}

static void unknown_and_bare(void **state)
{
    struct fixture *f = *state;
    struct ea_ruleset *rs;
#define POD(x) "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: " x "\n"
#define META(x, y)                                                                                 \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {l: " x "}}\nspec: " y "\n"
    /* the old side cannot be judged: it excuses nothing */
    rs = one_control(
        "a", HEAD("a") "  policy:\n" ON_PODS
                       "    validations: [{expression: 'object.spec.x == 1', message: m}]\n");
    assert_int_equal(fresh_with(f, rs, "a", POD("{}"), POD("{x: 2}")), 1);
    assert_int_equal(fresh_with(f, rs, "a", POD("{x: 1}"), POD("{x: 2}")), 1);
    assert_int_equal(fresh_with(f, rs, "a", POD("{x: 3}"), POD("{x: 2}")), 1); /* another value */
    assert_int_equal(fresh_with(f, rs, "a", POD("{x: 2, y: 1}"), POD("{x: 2, y: 2}")), 0);
    ea_ruleset_unref(rs);
    /* a failure without a path: only when nothing but metadata and status changed */
    rs = one_control("a", HEAD("a") "  policy:\n" ON_PODS
                                    "    validations: [{expression: '1 > 2', message: m}]\n");
    assert_int_equal(fresh_with(f, rs, "a", META("a", "{x: 1}"), META("b", "{x: 1}")), 0);
    assert_int_equal(fresh_with(f, rs, "a", META("a", "{x: 1}"), META("a", "{x: 2}")), 1);
    ea_ruleset_unref(rs);
    /* a control that compares both sides: the old object followed itself, so the change is new */
    rs = one_control("a", HEAD("a") "  policy:\n" ON_PODS
                                    "    validations: [{expression: 'object.spec.x >= "
                                    "oldObject.spec.x', message: m}]\n");
    assert_int_equal(fresh_with(f, rs, "a", POD("{x: 3}"), POD("{x: 2}")), 1);
    ea_ruleset_unref(rs);
}

static void no_update_no_excuse(void **state)
{
    struct fixture *f = *state;
    struct ea_subject s = subject(&f->a, POD("{hostPID: true}"));
    struct ea_judge_opts o = {.floor = EA_HIGH, .trace = true, .all_failures = true};
    struct ea_finding found;
    unsigned n;

    assert_int_equal(ea_judge_one(f->rs, ea_control_find(f->rs, EA_STR("pod-host-pid")), &s, &o,
                                  &f->a, &found, NULL),
                     0);
    assert_int_equal(found.result, EA_FAIL);
    assert_int_equal(ea_repair_compare(f->rs, &s, &o, &found, &f->a, &n, NULL), 0);
    assert_int_equal(n, 1);
}

static void always_allowed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *old, *new;
        bool allowed;
    } t[] = {
        {POD("{hostPID: true}"), POD("{hostPID: true}"), true},
        {POD("{hostPID: true}"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, deletionTimestamp: "
         "'2026-01-01T00:00:00Z', labels: {x: z}}\nspec: {hostPID: true}\n",
         true},
        {POD("{hostPID: true}"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, deletionTimestamp: "
         "'2026-01-01T00:00:00Z'}\nspec: {hostPID: true, hostIPC: true}\n",
         false},
        {POD("{hostPID: true}"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, resourceVersion: '2'}\nspec: {hostPID: "
         "true}\nstatus: {phase: Running}\n",
         true},
        {POD("{hostPID: true}"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, finalizers: [x]}\nspec: {hostPID: true}\n",
         true},
        {POD("{hostPID: true}"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {x: z}}\nspec: {hostPID: true}\n",
         false},
        {POD("{hostPID: true}"),
         "apiVersion: v1\nkind: Pod\nmetadata: {name: p, finalizers: [x]}\nspec: {hostPID: "
         "true}\nstatus: {phase: x}\n",
         false},
        {POD("{hostPID: true}"), POD("{}"), false},
    };

    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct ea_subject s = update(&f->a, t[i].old, t[i].new);

        if (ea_repair_always_allowed(&s) != t[i].allowed)
            fail_msg("case %zu", i);
        s.op = EA_OP_CREATE;
        assert_false(ea_repair_always_allowed(&s));
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(worse_is_new),     T(subjects_may_only_shrink), T(raw_old_object), T(repair_is_old),
        T(unknown_and_bare), T(no_update_no_excuse),      T(always_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
