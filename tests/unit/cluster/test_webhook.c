/* What the webhook configuration covers and what it never covers, for the built-in controls and for
 * rules made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "cluster/webhook.h"
#include "doc/json.h"

struct made {
    struct ea_arena a;
    struct ea_buf json;
    struct ea_val v;
};

static const struct ea_webhook_opts plain = {.name = "x",
                                             .service_ns = "eucs",
                                             .service = "hook",
                                             .release_ns = "eucs",
                                             .enforcement = EA_DENY};

static void render(struct made *m, const struct ea_ruleset *rs, const struct ea_webhook_opts *o)
{
    struct ea_err err = {0};

    ea_arena_init(&m->a, 16 << 20, 0);
    ea_buf_init(&m->json, 1 << 20);
    if (ea_webhook_render(rs, o, &m->json, &err) < 0 ||
        ea_json_parse(&m->a, ea_buf_str(&m->json), NULL, &m->v, NULL, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(ea_buf_addc(&m->json, 0), 0);
}

static void done(struct made *m)
{
    ea_arena_done(&m->a);
    ea_buf_done(&m->json);
}

static const struct ea_val *hook(const struct made *m, const char *name)
{
    const struct ea_val *l = ea_val_getz(&m->v, "webhooks");

    for (size_t i = 0; i < l->n; i++) {
        if (ea_str_is(ea_val_get_str(ea_val_at(l, i), "name"), name))
            return ea_val_at(l, i);
    }
    return NULL;
}

static bool has(const struct ea_val *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++) {
        if (ea_str_is(ea_val_text(ea_val_at(list, i)), text))
            return true;
    }
    return false;
}

/* Number of rules of a webhook that cover this operation. */
static unsigned covers(const struct ea_val *h, const char *group, const char *resource,
                       const char *op)
{
    const struct ea_val *rules = h ? ea_val_getz(h, "rules") : NULL;
    unsigned n = 0;

    for (size_t i = 0; rules && i < rules->n; i++) {
        const struct ea_val *r = ea_val_at(rules, i);

        n += has(ea_val_getz(r, "apiGroups"), group) &&
             has(ea_val_getz(r, "resources"), resource) && has(ea_val_getz(r, "operations"), op);
    }
    return n;
}

static struct ea_ruleset *builtin(void)
{
    struct ea_ruleset_opts o = {0};
    struct ea_ruleset *rs;
    struct ea_err err = {0};

    if (ea_ruleset_load(&o, &rs, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return rs;
}

static void every_operation_in_exactly_one(void **state)
{
    static const char *const ops[] = {"CREATE", "UPDATE", "DELETE", "CONNECT"};
    struct ea_ruleset *rs = builtin();
    struct made m;
    const struct ea_val *enforce, *advise;
    unsigned checked = 0;

    render(&m, rs, &plain);
    enforce = hook(&m, EA_WEBHOOK_ENFORCE);
    advise = hook(&m, EA_WEBHOOK_ADVISE);
    assert_non_null(enforce);
    assert_non_null(advise);
    for (unsigned i = 0; i < rs->n_controls; i++) {
        const struct ea_control *c = &rs->controls[i];

        for (unsigned k = 0; k < c->n_rules && !c->node; k++) {
            const struct ea_match_rule *r = &c->rules[k];
            char group[256], resource[256];

            (void)snprintf(group, sizeof(group), "%.*s", EA_STRF(r->group));
            (void)snprintf(resource, sizeof(resource), "%.*s%s%.*s", EA_STRF(r->resource),
                           r->subresource.n ? "/" : "", EA_STRF(r->subresource));
            for (unsigned b = 0; b < 4; b++) {
                unsigned e = covers(enforce, group, resource, ops[b]),
                         a = covers(advise, group, resource, ops[b]);

                assert_true(e + a <= 1);
                if (!(r->ops & (1u << b)) || r->exclude)
                    continue;
                assert_int_equal(e + a, 1);
                if (c->action == EA_DENY && b != 2 && !c->missing_param)
                    assert_int_equal(e, 1);
                if (b == 2)
                    assert_int_equal(e, 0);
                checked++;
            }
        }
    }
    assert_true(checked > 100);
    assert_int_equal(covers(enforce, "", "pods/ephemeralcontainers", "UPDATE"), 1);
    assert_int_equal(covers(enforce, "apps", "deployments", "CREATE"), 1);
    done(&m);
    ea_ruleset_unref(rs);
}

static void nothing_denies_without_enforcement(void **state)
{
    struct ea_ruleset *rs = builtin();
    struct ea_webhook_opts o = plain;
    struct made m;

    o.enforcement = EA_WARN;
    o.fail = true;
    render(&m, rs, &o);
    assert_null(hook(&m, EA_WEBHOOK_ENFORCE));
    assert_int_equal(covers(hook(&m, EA_WEBHOOK_ADVISE), "", "pods", "CREATE"), 1);
    assert_true(ea_str_is(ea_val_get_str(hook(&m, EA_WEBHOOK_ADVISE), "failurePolicy"), "Ignore"));
    done(&m);
    ea_ruleset_unref(rs);
}

static struct ea_match_rule rule(const char *group, const char *resource, const char *sub,
                                 unsigned ops)
{
    return (struct ea_match_rule){.group = ea_str(group),
                                  .version = EA_STR("v1"),
                                  .resource = ea_str(resource),
                                  .subresource = ea_str(sub),
                                  .ops = ops};
}

static void what_is_never_covered(void **state)
{
    struct ea_match_rule rules[] = {
        rule("coordination.k8s.io", "leases", "", EA_OP_ALL),
        rule("", "events", "", EA_OP_ALL),
        rule("", "nodes", "status", EA_OP_ALL),
        rule("*", "pods", "", EA_OP_ALL),
        rule("", "*", "", EA_OP_ALL),
        rule("", "pods", "*", EA_OP_ALL),
        rule("authorization.k8s.io", "subjectaccessreviews", "", EA_OP_ALL),
        rule("", "nodes", "", EA_OP_CREATE | EA_OP_DELETE),
        rule("", "secrets", "", EA_OP_ALL),
    };
    struct ea_control c[2] = {
        {.id = EA_STR("a"), .action = EA_DENY, .rules = rules, .n_rules = EA_COUNT(rules) - 1},
        {.id = EA_STR("n"), .action = EA_DENY, .rules = &rules[8], .n_rules = 1, .node = true}};
    struct ea_ruleset rs = {.controls = c, .n_controls = 2};
    struct made m;

    render(&m, &rs, &plain);
    assert_null(strstr(m.json.p, "leases"));
    assert_null(strstr(m.json.p, "events"));
    assert_null(strstr(m.json.p, "nodes/status"));
    assert_null(strstr(m.json.p, "reviews\""));
    assert_null(strstr(m.json.p, "secrets"));
    assert_null(strstr(m.json.p, "[\"*\"]"));
    assert_int_equal(covers(hook(&m, EA_WEBHOOK_ENFORCE), "", "nodes", "CREATE"), 1);
    assert_int_equal(covers(hook(&m, EA_WEBHOOK_ADVISE), "", "nodes", "DELETE"), 1);
    assert_int_equal(covers(hook(&m, EA_WEBHOOK_ENFORCE), "", "nodes", "DELETE"), 0);
    done(&m);
}

static void control_without_its_setting_does_not_deny(void **state)
{
    struct ea_match_rule r = rule("", "pods", "", EA_OP_CREATE);
    struct ea_control c = {
        .id = EA_STR("a"), .action = EA_DENY, .rules = &r, .n_rules = 1, .missing_param = true};
    struct ea_ruleset rs = {.controls = &c, .n_controls = 1};
    struct made m;

    render(&m, &rs, &plain);
    assert_null(hook(&m, EA_WEBHOOK_ENFORCE));
    assert_non_null(hook(&m, EA_WEBHOOK_ADVISE));
    done(&m);
}

static void fields_of_each_webhook(void **state)
{
    static const char *const exempt[] = {"cni", "kube-system", NULL};
    struct ea_ruleset *rs = builtin();
    struct ea_webhook_opts o = plain;
    struct made m;
    const struct ea_val *l;

    o.fail = true;
    o.exempt_namespaces = exempt;
    o.owner_role = "release";
    o.owner_uid = "u-1";
    o.token = "abc";
    o.ca_pem = EA_STR("CA");
    o.timeout_s = 99;
    render(&m, rs, &o);
    assert_true(ea_str_is(ea_val_get_str(hook(&m, EA_WEBHOOK_ENFORCE), "failurePolicy"), "Fail"));
    assert_true(ea_str_is(ea_val_get_str(hook(&m, EA_WEBHOOK_ADVISE), "failurePolicy"), "Ignore"));
    l = ea_val_path(&m.v, "metadata.ownerReferences");
    assert_true(ea_str_is(ea_val_get_str(ea_val_at(l, 0), "kind"), "ClusterRole"));
    assert_true(ea_str_is(ea_val_get_str(ea_val_at(l, 0), "uid"), "u-1"));
    l = ea_val_getz(&m.v, "webhooks");
    for (size_t i = 0; i < l->n; i++) {
        const struct ea_val *h = ea_val_at(l, i),
                            *x = ea_val_at(ea_val_path(h, "namespaceSelector.matchExpressions"), 0);

        assert_true(ea_str_is(ea_val_get_str(x, "key"), "kubernetes.io/metadata.name"));
        assert_true(ea_str_is(ea_val_get_str(x, "operator"), "NotIn"));
        assert_int_equal(ea_val_getz(x, "values")->n, 5); /* each once */
        assert_true(has(ea_val_getz(x, "values"), "cni") && has(ea_val_getz(x, "values"), "eucs") &&
                    has(ea_val_getz(x, "values"), "kube-system") &&
                    has(ea_val_getz(x, "values"), "kube-public") &&
                    has(ea_val_getz(x, "values"), "kube-node-lease"));
        assert_true(ea_str_is(ea_val_path_str(h, "clientConfig.service.path"), "/validate/abc"));
        assert_true(ea_str_is(ea_val_path_str(h, "clientConfig.caBundle"), "Q0E="));
        assert_true(ea_str_is(ea_val_get_str(h, "sideEffects"), "NoneOnDryRun"));
        assert_true(ea_str_is(ea_val_get_str(h, "matchPolicy"), "Equivalent"));
        assert_int_equal(ea_val_get_int(h, "timeoutSeconds", 0), 30);
        assert_int_equal(ea_val_getz(h, "matchConditions")->n, 2);
    }
    done(&m);
    o.url = "https://127.0.0.1:8443";
    render(&m, rs, &o);
    assert_true(ea_str_is(ea_val_path_str(hook(&m, EA_WEBHOOK_ADVISE), "clientConfig.url"),
                          "https://127.0.0.1:8443/validate/abc"));
    assert_null(ea_val_path(hook(&m, EA_WEBHOOK_ADVISE), "clientConfig.service"));
    done(&m);
    ea_ruleset_unref(rs);
}

static void nowhere_to_call_is_an_error(void **state)
{
    struct ea_ruleset rs = {0};
    struct ea_webhook_opts o = {.name = "x"};
    struct ea_buf b;
    struct ea_err err;

    ea_buf_init(&b, 1 << 16);
    assert_int_equal(ea_webhook_render(&rs, &o, &b, &err), -EINVAL);
    ea_buf_done(&b);
}

static void comparing(void **state)
{
    static const struct {
        const char *want, *live, *where; /* where NULL: covered */
    } t[] = {
        {"{\"a\":1}", "{\"b\":2,\"a\":1}", NULL},
        {"{\"a\":1}", "{\"a\":2}", "a"},
        {"{\"a\":{\"b\":[1,2]}}", "{\"a\":{\"b\":[1,2],\"c\":3}}", NULL},
        {"{\"a\":{\"b\":[1,2]}}", "{\"a\":{\"b\":[1,2,3]}}", "a.b"},
        {"{\"a\":{\"b\":[1,{\"x\":2}]}}", "{\"a\":{\"b\":[1,{\"x\":3}]}}", "a.b.1.x"},
        {"{\"s\":{}}", "{\"s\":{\"m\":1}}", "s"},
        {"{\"s\":{\"m\":1}}", "{\"s\":{}}", "s.m"},
        {"{\"a\":1,\"z\":1}", "{\"a\":1}", "z"},
        {"{\"a\":\"x\"}", "{\"a\":[]}", "a"},
    };

    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct ea_arena a;
        struct ea_val w, l;
        struct ea_buf b;

        ea_arena_init(&a, 1 << 20, 0);
        ea_buf_init(&b, 256);
        assert_int_equal(ea_json_parse(&a, ea_str(t[i].want), NULL, &w, NULL, NULL), 0);
        assert_int_equal(ea_json_parse(&a, ea_str(t[i].live), NULL, &l, NULL, NULL), 0);
        assert_int_equal(ea_webhook_covers(&w, &l, &b), t[i].where == NULL);
        if (t[i].where)
            assert_true(ea_str_is(ea_buf_str(&b), t[i].where));
        ea_buf_done(&b);
        ea_arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(every_operation_in_exactly_one),
        cmocka_unit_test(nothing_denies_without_enforcement),
        cmocka_unit_test(what_is_never_covered),
        cmocka_unit_test(control_without_its_setting_does_not_deny),
        cmocka_unit_test(fields_of_each_webhook),
        cmocka_unit_test(nowhere_to_call_is_an_error),
        cmocka_unit_test(comparing),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
