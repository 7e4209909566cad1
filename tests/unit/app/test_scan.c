/* scan without the process around it: reading input, naming subjects, the five formats, filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>
#include <cmocka.h>

#include "app/scan_filter.h"
#include "app/scan_input.h"
#include "app/scan_report.h"
#include "base/fd.h"
#include "base/limits.h"

#include <stdio.h>

struct messages {
    char errors[4096], warnings[4096];
};

static void add(char *to, size_t size, struct ea_str file, unsigned line, const char *text)
{
    size_t n = strlen(to);

    (void)snprintf(to + n, size - n, "%.*s:%u: %s\n", EA_STRF(file), line, text);
}

static void on_error(void *arg, struct ea_str file, unsigned line, const char *text)
{
    struct messages *m = arg;

    add(m->errors, sizeof(m->errors), file, line, text);
}

static void on_warning(void *arg, struct ea_str file, unsigned line, const char *text)
{
    struct messages *m = arg;

    add(m->warnings, sizeof(m->warnings), file, line, text);
}

static void input(struct ea_scan_input *in, struct messages *m)
{
    memset(m, 0, sizeof(*m));
    ea_scan_input_init(in);
    in->on_error = on_error;
    in->on_warning = on_warning;
    in->arg = m;
}

static void check(const struct ea_scan_object *o, const char *kind, unsigned document, int item,
                  unsigned line)
{
    assert_true(ea_str_is(o->kind, kind));
    assert_int_equal(o->src.document, document);
    assert_int_equal(o->src.has_item, item >= 0);
    if (item >= 0)
        assert_int_equal(o->src.item, item);
    if (o->src.line != line)
        fail_msg("%s: line %u, wanted %u", kind, o->src.line, line);
}

static void yaml_streams(void **state)
{
    struct ea_scan_input in;
    struct messages m;

    (void)state;
    input(&in, &m);
    ea_scan_input_bytes(
        &in, EA_STR("a.yaml"),
        EA_STR("# head\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\napiVersion: "
               "v1\nkind: List\nitems:\n"
               "- apiVersion: v1\n  kind: Service\n  metadata: {name: s}\n- apiVersion: v1\n  "
               "kind: ConfigMap\n  metadata: {name: c}\n"
               "---\napiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p}\n  spec: {}\n"),
        true);
    assert_string_equal(m.errors, "");
    assert_int_equal(in.n, 4);
    check(&in.v[0], "Pod", 0, -1, 2);
    check(&in.v[1], "Service", 1, 0, 10);
    check(&in.v[2], "ConfigMap", 1, 1, 13);
    check(&in.v[3], "Pod", 2, 0, 20);
    assert_true(ea_str_is(in.v[3].api_version, "v1"));
    ea_scan_input_done(&in);
}

static void json_streams(void **state)
{
    struct ea_scan_input in;
    struct messages m;

    (void)state;
    input(&in, &m);
    ea_scan_input_bytes(
        &in, EA_STR("a.json"),
        EA_STR("{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n\n"
               "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [\n    {\n      "
               "\"apiVersion\": \"v1\", \"kind\": \"Secret\"\n    },\n"
               "    {\n      \"apiVersion\": \"v1\", \"kind\": \"Node\"\n    }\n  ]\n}\n"),
        true);
    assert_string_equal(m.errors, "");
    assert_int_equal(in.n, 3);
    check(&in.v[0], "Pod", 0, -1, 1);
    check(&in.v[1], "Secret", 1, 0, 7);
    check(&in.v[2], "Node", 1, 1, 10);
    /* a repeated key is what the API tools accept, with a warning */
    ea_scan_input_bytes(&in, EA_STR("b.json"),
                        EA_STR("{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"kind\": \"Pod\"}"),
                        true);
    assert_int_equal(in.n, 4);
    assert_true(strlen(m.warnings) > 0);
    ea_scan_input_done(&in);
}

static void bad_input(void **state)
{
    struct ea_scan_input in;
    struct messages m;

    (void)state;
    input(&in, &m);
    ea_scan_input_bytes(&in, EA_STR("a.yaml"), EA_STR("a: b\n c: [\n"), true);
    assert_int_equal(in.n_errors, 1);
    assert_non_null(strstr(m.errors, "a.yaml:2: "));
    ea_scan_input_bytes(&in, EA_STR("b.yaml"), EA_STR("\n\nhello: world\n"), true);
    assert_non_null(
        strstr(m.errors, "b.yaml:3: no Kubernetes object: apiVersion or kind is missing"));
    ea_scan_input_bytes(&in, EA_STR("c.yaml"), EA_STR("- 1\n"), true);
    assert_non_null(strstr(m.errors, "c.yaml:1: no Kubernetes object: not a map"));
    ea_scan_input_bytes(
        &in, EA_STR("d.yaml"),
        EA_STR(
            "apiVersion: v1\nkind: List\nitems:\n- {kind: Pod}\n- {apiVersion: v1, kind: Pod}\n"),
        true);
    assert_int_equal(in.n, 1); /* items of a plain List say both themselves */
    assert_non_null(
        strstr(m.errors, "d.yaml:4: no Kubernetes object: apiVersion or kind is missing"));
    ea_scan_input_bytes(&in, EA_STR("e.json"), EA_STR("{\"apiVersion\": "), true);
    assert_non_null(strstr(m.errors, "e.json:1: invalid JSON"));
    /* in a folder, a values.yaml is no error */
    assert_int_equal(in.n_foreign, 0);
    ea_scan_input_bytes(&in, EA_STR("values.yaml"), EA_STR("replicas: 3\n"), false);
    assert_int_equal(in.n_foreign, 1);
    assert_int_equal(in.n_errors, 5);
    ea_scan_input_bytes(&in, EA_STR("empty.yaml"), EA_STR(""), true);
    ea_scan_input_bytes(&in, EA_STR("comment.yaml"), EA_STR("# nothing\n---\n"), true);
    assert_int_equal(in.n_errors, 5);
    ea_scan_input_add(&in, "/nonexistent.yaml");
    assert_int_equal(in.n_errors, 6);
    ea_scan_input_bytes(&in, EA_STR("f.yaml"),
                        EA_STR("apiVersion: v1\nkind: List\nitems:\n- kind: List\n  items:\n  - "
                               "kind: List\n    items:\n    - kind: List\n      items:\n"
                               "      - {kind: List, items: [{kind: Pod}]}\n"),
                        true);
    assert_int_equal(in.n_errors, 7);
    ea_scan_input_done(&in);
}

static void folders(void **state)
{
    struct ea_scan_input in;
    struct messages m;
    char dir[] = "/tmp/ea-scan-XXXXXX", path[128];

    (void)state;
    assert_non_null(mkdtemp(dir));
    static const char *const files[] = {"b.yaml",        "a.yml",        "sub/c.json",
                                        "sub/notes.txt", ".hidden.yaml", "values.yaml"};

    for (size_t i = 0; i < EA_COUNT(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/sub", dir);
        assert_int_equal(ea_mkdirs(path, 0700, NULL), 0);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        const char *text =
            strstr(files[i], "values") ? "a: 1\n" : "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}\n";

        assert_int_equal(ea_write_file(path, text, strlen(text), 0600, NULL), 0);
    }
    input(&in, &m);
    (void)snprintf(path, sizeof(path), "%s/", dir);
    ea_scan_input_add(&in, path);
    assert_string_equal(m.errors, "");
    assert_int_equal(in.n, 3);
    assert_int_equal(in.n_foreign, 1);
    assert_true(ea_str_ends(in.v[0].src.file, EA_STR("/a.yml")));
    assert_true(ea_str_ends(in.v[1].src.file, EA_STR("/b.yaml")));
    assert_true(ea_str_ends(in.v[2].src.file, EA_STR("/sub/c.json")));
    assert_int_equal(ea_str_find(in.v[0].src.file, EA_STR("//")), -1);
    ea_scan_input_done(&in);
    (void)snprintf(path, sizeof(path), "rm -rf '%s'", dir);
    assert_int_equal(system(path), 0);
}

/* ---- subjects and formats ---- */

struct fixture {
    struct ea_ruleset *rs;
};

static int setup(void **state)
{
    struct fixture *f = ea_xalloc(sizeof(*f));
    struct ea_ruleset_opts o = {0};

    assert_int_equal(ea_ruleset_load(&o, &f->rs, NULL, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ea_ruleset_unref(f->rs);
    free(f);
    return 0;
}

static void subjects(void **state)
{
    struct fixture *f = *state;
    struct ea_scan_input in;
    struct ea_scan_index x;
    struct ea_arena a;
    struct ea_subject s;
    struct messages m;

    input(&in, &m);
    ea_arena_init(&a, 1u << 22, 0);
    ea_scan_input_bytes(
        &in, EA_STR("a"),
        EA_STR("{apiVersion: extensions/v1beta1, kind: Deployment, metadata: {name: d}}\n---\n"
               "{apiVersion: v1, kind: Namespace, metadata: {name: shop, namespace: stray}}\n---\n"
               "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: "
               "{name: x}, spec: {group: x.io, scope: Cluster, names: {kind: Fox, plural: "
               "foxen}}}\n---\n"
               "{apiVersion: x.io/v1, kind: Fox, metadata: {name: f}}\n---\n"
               "{apiVersion: y.io/v2, kind: Proxy, metadata: {name: p, namespace: ns1}}\n---\n"
               "{apiVersion: v1, kind: PodList, items: [{metadata: {generateName: g-}, spec: "
               "{hostPID: null}}]}\n---\n"
               "{apiVersion: cert-manager.io/v1, kind: ClusterIssuer, metadata: {name: i}}\n"),
        true);
    assert_string_equal(m.errors, "");
    assert_int_equal(in.n, 7);
    ea_scan_index_init(&x, f->rs, &in, false);
    static const struct {
        const char *group, *version, *resource, *ns, *name;
    } want[] = {
        {"apps", "v1", "deployments", "default", "d"},
        {"", "v1", "namespaces", "", "shop"},
        {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "", "x"},
        {"x.io", "v1", "foxen", "", "f"},
        {"y.io", "v2", "proxies", "ns1", "p"},
        {"", "v1", "pods", "default", ""},
        {"cert-manager.io", "v1", "clusterissuers", "", "i"},
    };

    for (size_t i = 0; i < EA_COUNT(want); i++) {
        assert_int_equal(ea_scan_subject(&x, &in.v[i], &a, &s), 0);
        if (!ea_str_is(s.gvr.group, want[i].group) || !ea_str_is(s.gvr.version, want[i].version) ||
            !ea_str_is(s.gvr.resource, want[i].resource) || !ea_str_is(s.namespace_, want[i].ns) ||
            !ea_str_is(s.name, want[i].name))
            fail_msg("case %zu: %.*s/%.*s/%.*s %.*s/%.*s", i, EA_STRF(s.gvr.group),
                     EA_STRF(s.gvr.version), EA_STRF(s.gvr.resource), EA_STRF(s.namespace_),
                     EA_STRF(s.name));
        if (i == 0)
            assert_true(ea_str_is(ea_val_get_str(&s.object, "apiVersion"), "extensions/v1beta1"));
        if (i == 5) {
            assert_true(ea_str_is(ea_val_get_str(&s.object, "kind"), "Pod"));
            assert_null(ea_val_path(&s.object, "spec.hostPID"));
        }
    }
    assert_non_null(x.lookup.namespace_(x.lookup.arg, &a, EA_STR("shop")));
    assert_null(x.lookup.namespace_(x.lookup.arg, &a, EA_STR("other")));
    struct ea_val list;
    bool complete = true;

    assert_int_equal(x.lookup.list(x.lookup.arg, &a, EA_STR("v1"), EA_STR("Pod"), EA_STR("default"),
                                   10, &list, &complete),
                     0);
    assert_int_equal(list.n, 1);
    assert_false(complete);
    ea_scan_index_done(&x);
    ea_scan_input_done(&in);
    ea_arena_done(&a);
}

static int collect(void *arg, const void *p, size_t n)
{
    return ea_buf_add(arg, p, n);
}

static const char manifests[] =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: \"bad<&>\\\"\", namespace: shop}\nspec: {hostPID: "
    "true, containers: [{name: a, image: 'r.example/a:1'}]}\n---\n"
    "apiVersion: nothing.example/v1\nkind: Nothing\nmetadata: {name: n}\n";

/* All of one format's bytes for the manifests above. */
static struct ea_buf render(struct ea_ruleset *rs, const struct ea_scan_format *format,
                            struct ea_scan_report *r)
{
    struct ea_scan_input in;
    struct ea_scan_index x;
    struct ea_arena a;
    struct messages m;
    struct ea_buf out;
    struct ea_judge_opts o = {.floor = EA_HIGH, .trace = true, .now_us = 1767225600000000};

    ea_buf_init(&out, 64u << 20);
    input(&in, &m);
    ea_arena_init(&a, 1u << 24, 0);
    ea_scan_input_bytes(&in, EA_STR("dir/a b.yaml"), EA_STR(manifests), true);
    ea_scan_index_init(&x, rs, &in, false);
    o.lookup = &x.lookup;
    ea_scan_report_init(r, format, rs);
    r->write = collect;
    r->write_arg = &out;
    r->level = EA_HIGH;
    r->now_us = o.now_us;
    ea_scan_report_problem(r, EA_STR("broken.yaml"), 3, "not \"YAML\"");
    ea_scan_report_begin(r);
    for (size_t i = 0; i < in.n; i++) {
        struct ea_subject s;
        struct ea_findings f;

        assert_int_equal(ea_scan_subject(&x, &in.v[i], &a, &s), 0);
        assert_int_equal(ea_judge(rs, &s, &o, &a, &f, NULL), 0);
        if (f.n == 0)
            ea_scan_report_not_judged(r, in.v[i].api_version, in.v[i].kind);
        ea_scan_report_object(r, &s, &in.v[i].src, &f);
    }
    assert_int_equal(ea_scan_report_end(r), 0);
    ea_buf_addc(&out, 0);
    ea_scan_index_done(&x);
    ea_scan_input_done(&in);
    ea_arena_done(&a);
    return out;
}

static const char *text_of(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsString(v) ? v->valuestring : "(none)";
}

static void jsonl(void **state)
{
    struct fixture *f = *state;
    struct ea_scan_report r;
    struct ea_buf b = render(f->rs, &ea_scan_jsonl, &r);
    char *save = NULL;
    size_t lines = 0, failed = 0;

    for (char *line = strtok_r(b.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        cJSON *v = cJSON_Parse(line);

        assert_non_null(v);
        lines++;
        if (strcmp(text_of(v, "control"), "pod-host-pid") == 0) {
            assert_string_equal(text_of(v, "result"), "fail");
            assert_string_equal(text_of(v, "path"), "spec.hostPID");
            assert_string_equal(text_of(cJSON_GetObjectItem(v, "object"), "name"), "bad<&>\"");
            assert_string_equal(text_of(cJSON_GetObjectItem(v, "source"), "file"), "dir/a b.yaml");
            failed++;
        }
        cJSON_Delete(v);
    }
    assert_int_equal(failed, 1);
    assert_int_equal(lines, r.results[EA_PASS] + r.results[EA_FAIL] + r.results[EA_SKIP] +
                                r.results[EA_UNKNOWN]);
    assert_int_equal(r.objects, 2);
    ea_scan_report_done(&r);
    ea_buf_done(&b);
}

static void json(void **state)
{
    struct fixture *f = *state;
    struct ea_scan_report r;
    struct ea_buf b = render(f->rs, &ea_scan_json, &r);
    cJSON *v = cJSON_Parse(b.p);

    assert_non_null(v);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(v, "findings")), r.findings);
    assert_true(r.findings > 10);
    assert_string_equal(text_of(cJSON_GetArrayItem(cJSON_GetObjectItem(v, "notJudged"), 0), "kind"),
                        "Nothing");
    assert_string_equal(text_of(cJSON_GetArrayItem(cJSON_GetObjectItem(v, "errors"), 0), "message"),
                        "not \"YAML\"");
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(v, "summary"), "fail")->valueint,
                     r.results[EA_FAIL]);
    cJSON_Delete(v);
    ea_scan_report_done(&r);
    ea_buf_done(&b);
}

static void sarif(void **state)
{
    struct fixture *f = *state;
    struct ea_scan_report r;
    struct ea_buf b = render(f->rs, &ea_scan_sarif, &r);
    cJSON *v = cJSON_Parse(b.p), *run, *res, *rules;
    bool found = false;

    assert_non_null(v);
    assert_string_equal(text_of(v, "version"), "2.1.0");
    run = cJSON_GetArrayItem(cJSON_GetObjectItem(v, "runs"), 0);
    rules = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(run, "tool"), "driver"),
                                "rules");
    assert_int_equal(cJSON_GetArraySize(rules), f->rs->n_controls);
    cJSON_ArrayForEach(res, cJSON_GetObjectItem(run, "results"))
    {
        const cJSON *rule =
            cJSON_GetArrayItem(rules, cJSON_GetObjectItem(res, "ruleIndex")->valueint);
        const cJSON *loc = cJSON_GetArrayItem(cJSON_GetObjectItem(res, "locations"), 0);
        const cJSON *phys = cJSON_GetObjectItem(loc, "physicalLocation");

        assert_string_equal(text_of(rule, "id"), text_of(res, "ruleId"));
        assert_string_equal(text_of(cJSON_GetObjectItem(phys, "artifactLocation"), "uri"),
                            "dir/a%20b.yaml");
        if (strcmp(text_of(res, "kind"), "fail") != 0)
            assert_string_equal(text_of(res, "level"), "none"); /* SARIF 3.27.10 */
        if (strcmp(text_of(res, "ruleId"), "pod-host-pid") == 0) {
            found = true;
            assert_string_equal(text_of(res, "level"), "error");
            assert_int_equal(strlen(text_of(cJSON_GetObjectItem(res, "partialFingerprints"),
                                            "eucsFindingUid/v1")),
                             64);
        }
    }
    assert_true(found);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(
        cJSON_GetArrayItem(cJSON_GetObjectItem(run, "invocations"), 0), "executionSuccessful")));
    cJSON_Delete(v);
    ea_scan_report_done(&r);
    ea_buf_done(&b);
}

static void junit(void **state)
{
    struct fixture *f = *state;
    struct ea_scan_report r;
    struct ea_buf b = render(f->rs, &ea_scan_junit, &r);

    assert_non_null(
        strstr(b.p, "<testcase classname=\"pod-host-pid\" name=\"Pod shop/bad&lt;&amp;&gt;&quot;\" "
                    "file=\"dir/a b.yaml\" line=\"1\" time=\"0\"><failure type=\"deny\""));
    assert_non_null(strstr(b.p, "timestamp=\"2026-01-01T00:00:00\""));
    assert_non_null(strstr(b.p, "<testsuite name=\"input\" tests=\"1\""));
    assert_null(strstr(b.p, "bad<"));
    ea_scan_report_done(&r);
    ea_buf_done(&b);
}

static void table(void **state)
{
    struct fixture *f = *state;
    struct ea_scan_report r;
    struct ea_buf b = render(f->rs, &ea_scan_table, &r);

    assert_non_null(strstr(b.p, "Pod shop/bad<&>\"  dir/a b.yaml:1\n"));
    assert_non_null(strstr(b.p, "deny"));
    assert_non_null(strstr(b.p, "at spec.hostPID\n"));
    assert_non_null(strstr(b.p, "2 objects, level high: "));
    assert_null(strchr(b.p, '\033')); /* no colours unless asked for */
    ea_scan_report_done(&r);
    ea_buf_done(&b);
}

static void references(void **state)
{
    struct fixture *f = *state;
    const struct ea_catalogue *cat = &f->rs->catalogue;
    const struct ea_control *privileged = ea_control_find(f->rs, EA_STR("pod-privileged"));
    const struct ea_control *seccomp = ea_control_find(f->rs, EA_STR("pod-seccomp"));

    assert_non_null(privileged);
    assert_non_null(seccomp);
    assert_true(ea_control_has_reference(cat, privileged, EA_STR("pss")));
    assert_true(ea_control_has_reference(cat, privileged, EA_STR("pss:baseline")));
    assert_true(ea_control_has_reference(cat, privileged,
                                         EA_STR("pss:restricted"))); /* as the standard does */
    assert_true(ea_control_has_reference(cat, seccomp, EA_STR("pss:restricted")));
    assert_false(ea_control_has_reference(cat, seccomp, EA_STR("pss:baseline")));
    assert_true(ea_control_has_reference(cat, privileged, EA_STR("cis:5.2.2")));
    assert_false(ea_control_has_reference(cat, privileged, EA_STR("cis:5.2")));
    assert_true(ea_control_has_reference(cat, privileged, EA_STR("eucs:OPS-21.1B")));
    assert_true(ea_control_has_reference(cat, privileged, EA_STR("eucs:OPS-21")));
    assert_true(ea_control_has_reference(cat, privileged, EA_STR("eucs:OPS")));
    assert_false(ea_control_has_reference(cat, privileged, EA_STR("eucs:HR")));
    assert_false(ea_control_has_reference(cat, privileged, EA_STR("none")));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_streams),
        cmocka_unit_test(json_streams),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(folders),
        T(subjects),
        T(jsonl),
        T(json),
        T(sarif),
        T(junit),
        T(table),
        T(references),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
