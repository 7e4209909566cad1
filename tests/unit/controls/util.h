/* What the tests of this room share: control folders made on the fly, objects from text, one judged
 * control. */
#ifndef TEST_CONTROLS_UTIL_H
#define TEST_CONTROLS_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/limits.h"
#include "controls/finding.h"
#include "controls/internal.h"
#include "controls/manifest.h"
#include "doc/yaml.h"

#define CATALOGUE                                                                                  \
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Catalogue\nmetadata: {name: eucs}\nspec:\n"         \
    "  categories:\n  - {id: OPS, title: Operations}\n"                                            \
    "  groups:\n  - {id: pod, title: Pods}\n  - {id: rbac, title: Roles}\n"                        \
    "  kinds:\n  - {kind: Gateway, group: gateway.networking.k8s.io, version: v1, resource: "      \
    "gateways, scope: namespaced}\n"                                                               \
    "  controls:\n  - id: OPS-21\n    category: OPS\n    title: Hardening\n    requirements:\n"    \
    "    - {id: OPS-21.1B, level: basic, gist: harden}\n"                                          \
    "    - {id: OPS-21.2S, level: substantial, gist: harden more}\n"                               \
    "    - {id: OPS-21.3H, level: high, gist: watch it, automatedMonitoring: explicit}\n"

#define PODSPEC                                                                                    \
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Library\nmetadata: {name: podspec}\nspec:\n"        \
    "  matchConstraints:\n    resourceRules:\n"                                                    \
    "    - {apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: "       \
    "[pods, pods/ephemeralcontainers]}\n"                                                          \
    "    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: "       \
    "[deployments]}\n"                                                                             \
    "  variables:\n"                                                                               \
    "  - name: podSpec\n    expression: \"object.kind == 'Pod' ? object.?spec.orValue({}) : "      \
    "object.?spec.?template.?spec.orValue({})\"\n"                                                 \
    "  - name: containers\n    expression: variables.podSpec.?containers.orValue([]) + "           \
    "variables.podSpec.?initContainers.orValue([])"                                                \
    " + variables.podSpec.?ephemeralContainers.orValue([])\n"

/* The fixed part of a control; what follows stands below spec. */
#define HEAD_AT(id, level, severity, action)                                                       \
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Control\nmetadata: {name: " id "}\nspec:\n"         \
    "  title: A title\n  severity: " severity "\n  level: " level                                  \
    "\n  requirements: [OPS-21.1B]\n  fit: direct\n"                                               \
    "  perspective: workload\n  rationale: because\n  remediation: change it\n  references: "      \
    "{pss: baseline, cis: [\"5.2.2\"]}\n"                                                          \
    "  action: " action "\n  kubernetes: \"1.30\"\n"
#define HEAD(id) HEAD_AT(id, "basic", "high", "deny")
#define ON_PODS                                                                                    \
    "    matchConstraints: {resourceRules: [{apiGroups: [\"\"], apiVersions: [v1], operations: "   \
    "[CREATE, UPDATE], resources: [pods]}]}\n"

#define CASES(id)                                                                                  \
    "apiVersion: eucs-agent.io/v1alpha1\nkind: Cases\nmetadata: {name: " id "}\ncases:\n"          \
    "- {name: pass, expect: pass, object: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: " \
    "{hostPID: false}}}\n"                                                                         \
    "- {name: 'pass, field missing', expect: pass, object: {apiVersion: v1, kind: Pod, metadata: " \
    "{name: a}, spec: {}}}\n"                                                                      \
    "- {name: fail, expect: fail, object: {apiVersion: v1, kind: Pod, metadata: {name: a}, spec: " \
    "{hostPID: true}}}\n"

struct folder {
    char path[64];
};

static inline void put(const struct folder *f, const char *rel, const char *text)
{
    char full[512], dir[512];
    char *slash;

    (void)snprintf(full, sizeof(full), "%s/%s", f->path, rel);
    (void)snprintf(dir, sizeof(dir), "%s", full);
    slash = strrchr(dir, '/');
    *slash = 0;
    assert_int_equal(ea_mkdirs(dir, 0700, NULL), 0);
    assert_int_equal(ea_write_file(full, text, strlen(text), 0600, NULL), 0);
}

static inline void folder_new(struct folder *f)
{
    (void)snprintf(f->path, sizeof(f->path), "/tmp/ea-controls-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    put(f, "catalogue.yaml", CATALOGUE);
    put(f, "lib/podspec.yaml", PODSPEC);
}

static inline void folder_done(const struct folder *f)
{
    char cmd[128];

    (void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", f->path);
    assert_int_equal(system(cmd), 0);
}

static inline struct ea_ruleset *load(const struct folder *f, struct ea_problems *problems)
{
    struct ea_ruleset_opts o = {.dir = f->path};
    struct ea_ruleset *rs = NULL;
    struct ea_err err = {0};

    if (ea_ruleset_load(&o, &rs, problems, &err) < 0)
        fail_msg("load: %s", err.text);
    return rs;
}

/* A rule set of one control pod/<id>.yaml. */
static inline struct ea_ruleset *one_control(const char *id, const char *text)
{
    struct folder f;
    struct ea_ruleset *rs;
    char rel[128];

    folder_new(&f);
    (void)snprintf(rel, sizeof(rel), "pod/%s.yaml", id);
    put(&f, rel, text);
    rs = load(&f, NULL);
    folder_done(&f);
    return rs;
}

static inline struct ea_val yaml(struct ea_arena *a, const char *text)
{
    struct ea_yaml_stream s = {0};
    struct ea_err err = {0};

    if (ea_yaml_parse(a, ea_str(text), EA_YAML_KUBERNETES, &s, &err) < 0)
        fail_msg("yaml: %s", err.text);
    assert_int_equal(s.n, 1);
    return s.docs[0].root;
}

/* The subject of a manifest, as scan makes it. */
static inline struct ea_subject subject(struct ea_arena *a, const char *text)
{
    struct ea_val v = yaml(a, text);
    struct ea_subject s = {.op = EA_OP_CREATE};

    assert_true(
        ea_builtin_kind(ea_val_get_str(&v, "apiVersion"), ea_val_get_str(&v, "kind"), &s.gvr));
    s.name = ea_val_path_str(&v, "metadata.name");
    if (s.gvr.namespaced) {
        s.namespace_ = ea_val_path_str(&v, "metadata.namespace");
        if (s.namespace_.n == 0)
            s.namespace_ = EA_STR("default");
    }
    assert_int_equal(ea_manifest_complete(a, &s.gvr, true, s.namespace_, &v, &s.object), 0);
    return s;
}

/* An update of old to new, as the webhook sees it. */
static inline struct ea_subject update(struct ea_arena *a, const char *old, const char *new)
{
    struct ea_subject was = subject(a, old), s = subject(a, new);

    s.op = EA_OP_UPDATE;
    s.has_request = true;
    s.old_object = was.object;
    return s;
}

static inline struct ea_findings judge(const struct ea_ruleset *rs, const struct ea_subject *s,
                                       const struct ea_judge_opts *o, struct ea_arena *a)
{
    struct ea_findings f = {0};
    struct ea_err err = {0};

    if (ea_judge(rs, s, o, a, &f, &err) < 0)
        fail_msg("judge: %s", err.text);
    return f;
}

static const struct ea_judge_opts opts_high
    __attribute__((unused)) = {.floor = EA_HIGH, .trace = true, .now_us = 1767225600000000};

#define assert_str(have, want)                                                                     \
    do {                                                                                           \
        struct ea_str have_ = (have);                                                              \
        char *z_ = ea_str_dupz(have_);                                                             \
        assert_string_equal(z_, want);                                                             \
        free(z_);                                                                                  \
    } while (0)

#endif
