#include "base/fd.h"
#include "doc/print.h"
#include "node/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/ea-node-XXXXXX";

static void put(const char *path, const char *text, unsigned mode)
{
    char full[256], dir[256];

    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    (void)snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(full, '/') - full), full);
    assert_int_equal(ea_mkdirs(dir, 0755, NULL), 0);
    assert_int_equal(ea_write_file(full, text, strlen(text), mode, NULL), 0);
}

static int make_root(void **state)
{
    char link[256];

    assert_non_null(mkdtemp(root));
    put("/etc/os-release", "NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n", 0644);
    put("/etc/kubernetes/pki/ca.key", "secret", 0600);
    put("/etc/kubernetes/pki/ca.crt", "public", 0644);
    put("/var/lib/kubelet/config.yaml",
        "authentication: {anonymous: {enabled: no}}\nauthorization: {mode: Webhook}\n", 0600);
    put("/proc/sys/kernel/osrelease", "6.1.0\n", 0444);
    put("/proc/sys/net/ipv4/ip_forward", "1\n", 0444);
    (void)snprintf(link, sizeof(link), "%s/etc/kubernetes/kubelet.conf", root);
    assert_int_equal(symlink("/../../../../etc/passwd", link), 0);
    return 0;
}

static int drop_root(void **state)
{
    char cmd[64];

    (void)snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
    return system(cmd);
}

static void test_facts(void **state)
{
    struct ea_arena a;
    struct ea_val v;
    struct ea_err err = {0};

    ea_arena_init(&a, 16u << 20, 0);
    assert_int_equal(ea_node_facts(&a, root, &v, &err), 0);
    assert_true(ea_str_is(ea_val_path_str(&v, "os.id"), "debian"));
    assert_true(ea_str_is(ea_val_path_str(&v, "os.versionId"), "12"));
    assert_true(ea_str_is(ea_val_path_str(&v, "kernel.release"), "6.1.0"));
    assert_true(
        ea_str_is(ea_val_get_str(ea_val_path(&v, "kernel.sysctl"), "net.ipv4.ip_forward"), "1"));
    assert_true(ea_str_is(ea_val_path_str(&v, "kubelet.config.authorization.mode"), "Webhook"));
    assert_false(ea_val_path(&v, "kubelet.config.authentication.anonymous.enabled")->b);
    assert_true(ea_str_is(ea_val_path_str(&v, "kubelet.file.mode"), "0600"));
    const struct ea_val *pki = ea_val_get(ea_val_getz(&v, "files"), EA_STR("/etc/kubernetes/pki"));

    assert_non_null(pki);
    assert_int_equal(pki->n, 2);
    /* a link that points out of the root stays inside it: nothing is there */
    assert_null(ea_val_get(ea_val_getz(&v, "files"), EA_STR("/etc/kubernetes/kubelet.conf")));
    ea_arena_done(&a);
}

static void test_bad_files(void **state)
{
    struct ea_arena a;
    struct ea_val v;
    struct ea_err err = {0};

    put("/var/lib/kubelet/config.yaml", "a: [unclosed", 0600);
    put("/etc/os-release", "\xff\xfe", 0644);
    ea_arena_init(&a, 16u << 20, 0);
    assert_int_equal(ea_node_facts(&a, root, &v, &err), 0);
    const struct ea_val *bad = ea_val_getz(&v, "unreadable");

    assert_int_equal(bad->n, 2);
    assert_null(ea_val_path(&v, "kubelet.config"));
    assert_int_equal(ea_node_facts(&a, "/nonexistent", &v, &err), -ENOENT);
    ea_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_facts),
                                       cmocka_unit_test(test_bad_files)};

    return cmocka_run_group_tests(tests, make_root, drop_root);
}
