/* Kubeconfigs, service accounts and exec plugins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "kube/config_priv.h"

#define HEAD                                                                                       \
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"                                         \
    "contexts:\n- name: one\n  context: {cluster: c, user: u, namespace: blue}\n- name: two\n  "   \
    "context: {cluster: d, user: u}\n"                                                             \
    "clusters:\n- name: c\n  cluster: {server: \"https://10.0.0.1:6443/\", "                       \
    "certificate-authority-data: Q0E=}\n"                                                          \
    "- name: d\n  cluster: {server: \"https://other\", insecure-skip-tls-verify: true, "           \
    "tls-server-name: api, proxy-url: "                                                            \
    "\"http://p:3128\"}\n"

static struct ea_kube_config *parse(const char *text, const char *context)
{
    struct ea_kube_config *c = NULL;
    struct ea_err err = {0};

    if (ea_kube_config_parse(ea_str(text), "/etc/k", context, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}

static void expect_error(const char *text, const char *context, const char *part)
{
    struct ea_kube_config *c = NULL;
    struct ea_err err = {0};

    assert_int_not_equal(ea_kube_config_parse(ea_str(text), "/etc/k", context, &c, &err), 0);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static char *header(struct ea_kube_config *c)
{
    struct ea_kube_creds *k;
    struct ea_err err = {0};
    struct ea_buf b;
    char *r;

    if (ea_kube_config_creds(c, &k, &err) < 0)
        fail_msg("%s", err.text);
    ea_buf_init(&b, 4096);
    assert_int_equal(ea_kube_creds_authorize(k, &b), 0);
    ea_kube_creds_unref(k);
    r = ea_buf_take(&b);
    return r ? r : ea_str_dupz(EA_STR(""));
}

static void contexts(void **state)
{
    struct ea_kube_config *c = parse(HEAD "users:\n- name: u\n  user: {token: abc}\n", NULL);
    struct ea_http_opts o = {0};
    struct ea_kube_creds *k;
    char *h = header(c);

    assert_string_equal(ea_kube_config_server(c), "https://10.0.0.1:6443");
    assert_string_equal(ea_kube_config_namespace(c), "blue");
    assert_string_equal(h, "Bearer abc");
    free(h);
    assert_int_equal(ea_kube_config_creds(c, &k, NULL), 0);
    ea_kube_config_http(c, k, &o);
    assert_true(ea_str_is(o.ca_pem, "CA"));
    assert_false(o.insecure_skip_verify);
    ea_kube_creds_unref(k);
    ea_kube_config_unref(c);

    c = parse(HEAD "users:\n- name: u\n  user: {username: a, password: b}\n", "two");
    h = header(c);
    assert_string_equal(h, "Basic YTpi");
    free(h);
    assert_string_equal(ea_kube_config_namespace(c), "default");
    assert_int_equal(ea_kube_config_creds(c, &k, NULL), 0);
    ea_kube_config_http(c, k, &o);
    assert_true(o.insecure_skip_verify);
    assert_string_equal(o.tls_server_name, "api");
    assert_string_equal(o.proxy, "http://p:3128");
    assert_null(o.ca_pem.p);
    ea_kube_creds_unref(k);
    ea_kube_config_unref(c);
}

static void paths_are_relative_to_the_file(void **state)
{
    struct ea_kube_config *c = parse(
        "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: pki/ca.crt}}]\n"
        "users: [{name: u, user: {client-certificate: a.crt, client-key: /abs/a.key, tokenFile: t, "
        "token: ignored}}]\n",
        NULL);

    assert_string_equal(c->ca.file, "/etc/k/pki/ca.crt");
    assert_string_equal(c->cert.file, "/etc/k/a.crt");
    assert_string_equal(c->key.file, "/abs/a.key");
    assert_string_equal(c->token.file, "/etc/k/t");
    assert_null(c->token.data.p);
    ea_kube_config_unref(c);
}

static void errors_say_what_is_wrong(void **state)
{
    expect_error("a: b\n", NULL, "current-context is not set");
    expect_error(HEAD, NULL, "users has no entry \"u\"");
    expect_error(HEAD "users: [{name: u, user: {token: x}}]\n", "nope",
                 "contexts has no entry \"nope\"");
    expect_error(HEAD "users: [{name: u}]\n", NULL, "has no map \"user\"");
    expect_error(HEAD "users: [{name: u, user: {as: root}}]\n", NULL, "user.as is not supported");
    expect_error(HEAD "users: [{name: u, user: {auth-provider: {name: gcp}}}]\n", NULL,
                 "auth-provider is not supported");
    expect_error(HEAD "users: [{name: u, user: {client-certificate: a}}]\n", NULL,
                 "belong together");
    expect_error(
        HEAD "users: [{name: u, user: {client-certificate-data: '%%', client-key-data: eA==}}]\n",
        NULL, "is not base64");
    expect_error(HEAD "users: [{name: u, user: {exec: {apiVersion: "
                      "client.authentication.k8s.io/v1alpha1, command: x}}}]\n",
                 NULL, "exec.apiVersion");
    expect_error(HEAD "users: [{name: u, user: {exec: {apiVersion: "
                      "client.authentication.k8s.io/v1, command: x}}}]\n",
                 NULL, "interactiveMode is required");
    expect_error(HEAD "users: [{name: u, user: {exec: {apiVersion: "
                      "client.authentication.k8s.io/v1, command: x, interactiveMode: "
                      "Always}}}]\n",
                 NULL, "needs a terminal");
    expect_error(HEAD "users: [{name: u, user: {exec: {apiVersion: "
                      "client.authentication.k8s.io/v1, interactiveMode: Never}}}]\n",
                 NULL, "exec.command is missing");
    expect_error("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: "
                 "[{name: c, cluster: {server: ftp://x}}]\n",
                 NULL, "http or https");
    expect_error("- a\n", NULL, "is a map");
    expect_error("{", NULL, "");
    expect_error("a: 1\n---\nb: 2\n", NULL, "one document");
}

static char dir[64];

static void write_file(const char *name, const char *text, unsigned mode)
{
    EA_AUTO_FREE char *path = ea_xasprintf("%s/%s", dir, name);

    assert_int_equal(ea_write_file(path, text, strlen(text), mode, NULL), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void in_cluster_reads_again(void **state)
{
    struct ea_kube_config *c;
    struct ea_kube_creds *k, *k2;
    struct ea_err err;
    char *h;

    unsetenv("KUBERNETES_SERVICE_HOST");
    assert_int_equal(ea_kube_config_in_cluster(dir, &c, &err), -ENOENT);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
    assert_int_equal(ea_kube_config_in_cluster(dir, &c, &err), -ENOENT); /* no token yet */
    write_file("token", "one\n", 0600);
    write_file("ca.crt", "CA1", 0600);
    write_file("namespace", "eucs\n", 0600);
    assert_int_equal(ea_kube_config_in_cluster(dir, &c, &err), 0);
    assert_string_equal(ea_kube_config_server(c), "https://[fd00::1]:6443");
    assert_string_equal(ea_kube_config_namespace(c), "eucs");
    assert_true(ea_kube_config_is_in_cluster(c));
    h = header(c);
    assert_string_equal(h, "Bearer one");
    free(h);

    write_file("token", "two", 0600);
    h = header(c); /* within the minute: as it was */
    assert_string_equal(h, "Bearer one");
    free(h);
    assert_int_equal(ea_kube_config_creds(c, &k, &err), 0);
    ea_kube_config_rejected(c, k); /* 401: look at once */
    h = header(c);
    assert_string_equal(h, "Bearer two");
    free(h);
    assert_int_equal(ea_kube_config_creds(c, &k2, &err), 0);
    assert_int_equal(ea_kube_creds_tls_generation(k),
                     ea_kube_creds_tls_generation(k2)); /* only the token */
    ea_kube_creds_unref(k2);

    write_file("ca.crt", "CA2", 0600);
    c->read_at -= 61ull * 1000000; /* a minute later */
    assert_int_equal(ea_kube_config_creds(c, &k2, &err), 0);
    assert_int_not_equal(ea_kube_creds_tls_generation(k), ea_kube_creds_tls_generation(k2));
    ea_kube_creds_unref(k2);
    ea_kube_creds_unref(k);

    write_file("token", "bad token",
               0600); /* a token that would split the header: the old one is kept */
    c->read_at -= 61ull * 1000000;
    h = header(c);
    assert_string_equal(h, "Bearer two");
    free(h);
    ea_kube_config_unref(c);
}

static struct ea_kube_config *exec_config(const char *script, bool info)
{
    char text[2048];

    write_file("plugin", script, 0700);
    (void)snprintf(
        text, sizeof(text),
        HEAD
        "users:\n- name: u\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n"
        "      command: %s/plugin\n      args: [a b, $HOME]\n      env: [{name: TOKEN, value: "
        "s3}]\n"
        "      interactiveMode: Never\n      provideClusterInfo: %s\n",
        dir, info ? "true" : "false");
    return parse(text, NULL);
}

#define CRED                                                                                       \
    "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{"

static void exec_runs_without_a_shell(void **state)
{
    struct ea_kube_config *c =
        exec_config("#!/bin/sh\n[ \"$1\" = 'a b' ] && [ \"$2\" = '$HOME' ] || exit 3\n"
                    "echo \"$KUBERNETES_EXEC_INFO\" >" /* checked below */
                    "\"$(dirname \"$0\")/info\"\necho x >>\"$(dirname \"$0\")/calls\"\n"
                    "printf '" CRED "\"token\":\"%s\"}}' \"$TOKEN\"\n",
                    true);
    EA_AUTO_FREE char *info_path = ea_xasprintf("%s/info", dir);
    EA_AUTO_FREE char *calls_path = ea_xasprintf("%s/calls", dir);
    EA_AUTO_FREE char *info = NULL;
    EA_AUTO_FREE char *calls = NULL;
    struct ea_kube_creds *k;
    size_t n;
    char *h = header(c);

    assert_string_equal(h, "Bearer s3");
    free(h);
    h = header(c); /* no expiry: not run again */
    free(h);
    c->read_at -= 61ull * 1000000; /* nor by the clock */
    h = header(c);
    free(h);
    assert_int_equal(ea_read_file(info_path, 4096, &info, &n, NULL), 0);
    assert_string_equal(
        info,
        "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"spec\":"
        "{\"interactive\":false,\"cluster\":{\"server\":\"https://10.0.0.1:6443\","
        "\"certificate-authority-data\":\"Q0E=\"}}}\n");
    assert_int_equal(ea_kube_config_creds(c, &k, NULL), 0);
    ea_kube_config_rejected(c, k);
    ea_kube_creds_unref(k);
    h = header(c); /* 401: run again */
    free(h);
    assert_int_equal(ea_read_file(calls_path, 4096, &calls, &n, NULL), 0);
    assert_string_equal(calls, "x\nx\n");
    ea_kube_config_unref(c);
}

static void exec_runs_again_when_expired(void **state)
{
    struct ea_kube_config *c =
        exec_config("#!/bin/sh\nf=\"$(dirname \"$0\")/n\"; n=$(($(cat \"$f\" 2>/dev/null || echo "
                    "0)+1)); echo $n >\"$f\"\n"
                    "printf '" CRED
                    "\"token\":\"t%s\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\"}}' $n\n",
                    false);
    char *h = header(c);

    assert_string_equal(h, "Bearer t1");
    free(h);
    h = header(c);
    assert_string_equal(h, "Bearer t2");
    free(h);
    ea_kube_config_unref(c);
}

static void exec_failures(void **state)
{
    static const struct {
        const char *script, *part;
    } t[] = {
        {"#!/bin/sh\nexit 7\n", "exit status 7"},
        {"#!/bin/sh\nkill -9 $$\n", "signal 9"},
        {"#!/bin/sh\necho no\n", "is not JSON"},
        {"#!/bin/sh\necho '{}'\n", "no ExecCredential"},
        {"#!/bin/sh\necho '" CRED "}}'\n", "neither a token nor a certificate"},
        {"#!/bin/sh\necho '" CRED "\"clientCertificateData\":\"x\"}}'\n", "without a key"},
        {"#!/bin/sh\necho '" CRED "\"token\":\"x\",\"expirationTimestamp\":\"soon\"}}'\n",
         "RFC 3339"},
        {"#!/bin/sh\nyes | head -c 2000000\n", "more than"},
        {"not a program", "plugin"},
    };

    for (size_t i = 0; i < EA_COUNT(t); i++) {
        struct ea_kube_config *c = exec_config(t[i].script, false);
        struct ea_kube_creds *k;
        struct ea_err err = {0};

        assert_int_not_equal(ea_kube_config_creds(c, &k, &err), 0);
        if (!strstr(err.text, t[i].part))
            fail_msg("\"%s\" does not say \"%s\"", err.text, t[i].part);
        ea_kube_config_unref(c);
    }
}

static void seeds_run(void **state)
{
    for (unsigned i = 1; i < 6; i++) {
        EA_AUTO_FREE char *path = ea_xasprintf(EA_TEST_DATA "/fuzz/seeds/kubeconfig/%u.yaml", i);
        EA_AUTO_FREE char *text = NULL;
        struct ea_kube_config *c = NULL;
        struct ea_err err = {0};
        size_t n;

        assert_int_equal(ea_read_file(path, 1 << 20, &text, &n, &err), 0);
        if (ea_kube_config_parse(ea_strn(text, n), "/x", NULL, &c, &err) < 0)
            fail_msg("%s: %s", path, err.text);
        ea_kube_config_unref(c);
    }
}

static int setup(void **state)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/ea-config-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}
static int teardown(void **state)
{
    static const char *const names[] = {"token", "ca.crt", "namespace", "plugin",
                                        "info",  "calls",  "n"};

    for (size_t i = 0; i < EA_COUNT(names); i++) {
        EA_AUTO_FREE char *p = ea_xasprintf("%s/%s", dir, names[i]);

        (void)unlink(p);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(contexts),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(errors_say_what_is_wrong),
        cmocka_unit_test_setup_teardown(in_cluster_reads_again, setup, teardown),
        cmocka_unit_test_setup_teardown(exec_runs_without_a_shell, setup, teardown),
        cmocka_unit_test_setup_teardown(exec_runs_again_when_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(exec_failures, setup, teardown),
        cmocka_unit_test(seeds_run),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
