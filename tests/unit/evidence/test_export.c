/* An export verifies with us and without us; what was changed in it is found by both. */
#include "helper.h"

#include <signal.h>

#ifndef EA_TEST_DATA
#define EA_TEST_DATA "tests"
#endif

static char out[300];

static void export_log(int want)
{
    struct ea_err err = {0};
    int r;

    snprintf(out, sizeof(out), "%s/export", test_dir);
    sh("rm -rf '%s'", out);
    r = ea_evidence_export(test_dir, out, &err);
    if (r != want)
        fail_msg("export: %d, %s", r, err.text);
}

/* Exit status of the auditor's procedure, which shares no code with us. */
static int audit(const char *epoch)
{
    char cmd[1024];

    snprintf(cmd, sizeof(cmd), "%s/lib/audit-export.sh '%s/%s' > /dev/null 2>&1", EA_TEST_DATA, out,
             epoch);
    return system(cmd) == 0 ? 0 : 1;
}

static void three_epochs(void)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_err err;

    append(l, 30, NULL);
    assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    append(l, 1, NULL);
    close_log(l);
    o.key_type = EA_KEY_ECDSA_P256;
    l = open_log(&o);
    append(l, 12, NULL);
    /* A body with everything that a second parser could take otherwise. */
    assert_int_equal(ea_elog_append(l, EA_REC_ASSESSMENT,
                                    EA_STR("{\"a\":\",\\\"origin\\\":\\\"x\\\",\\\"prev\\\":\\\"\","
                                           "\"b\":{\"seq\":5,\"v\":1},\"c\":\"\xc3\xa9\\u0000\"}"),
                                    false, 0, NULL, &err),
                     0);
    close_log(l);
    o.key_type = EA_KEY_ED25519;
    l = open_log(&o);
    append(l, 3, NULL);
    close_log(l);
}

static void test_export_holds(void **state)
{
    struct ea_verify_report rep;

    three_epochs();
    assert_holds(test_dir);
    export_log(0);
    rep = verify(out);
    if (!rep.holds)
        fail_msg("%s", rep.where);
    assert_int_equal(rep.epochs, 3);
    assert_int_equal(rep.unsigned_tail, 0);
    assert_int_equal(rep.records, (1 + 30 + 1 + 1 + 1) + (1 + 13 + 1) + (1 + 3 + 1));
    assert_int_equal(audit("epoch-1"), 0);
    assert_int_equal(audit("epoch-2"), 0);
    assert_int_equal(audit("epoch-3"), 0);
    snprintf(out + strlen(out), 20, "/epoch-2");
    assert_holds(out); /* one epoch by itself */
}

static void test_export_of_open_log(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);
    struct ea_verify_report rep;
    struct ea_err err;

    append(l, 5, NULL);
    export_log(0);
    rep = verify(out);
    assert_true(rep.holds);
    assert_int_equal(rep.signed_records, 0); /* no checkpoint yet, and it says so */
    assert_int_equal(rep.unsigned_tail, 6);
    assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    append(l, 5, NULL);
    export_log(0);
    rep = verify(out);
    assert_true(rep.holds);
    assert_int_equal(rep.signed_records, 6);
    assert_int_equal(rep.unsigned_tail, 6); /* checkpoint.published and five */
    close_log(l);
}

/* Every byte of a signed export, changed: found by us; the attacks by the auditor's tools too. */
static void test_export_changed(void **state)
{
    static const char *const names[] = {"epoch-3/log.ndjson", "epoch-3/checkpoint",
                                        "epoch-3/key.pem"};

    three_epochs();
    export_log(0);
    for (size_t f = 0; f < EA_COUNT(names); f++) {
        uint64_t n = file_size(out, names[f]);

        assert_true(n > 100);
        for (uint64_t i = 0; i < n; i += f == 0 ? 3 : 1) {
            flip(out, names[f], i, (uint8_t)(1u << (i % 8)));
            if (verify(out).holds)
                fail_msg("%s: byte %" PRIu64 " was not noticed", names[f], i);
            flip(out, names[f], i, (uint8_t)(1u << (i % 8)));
        }
    }
    assert_holds(out);
    sh("cd '%s' && cp -r epoch-1 keep", out);
#define ATTACK(script)                                                                             \
    do {                                                                                           \
        sh("cd '%s'/epoch-1 && " script, out);                                                     \
        assert_false(verify(out).holds);                                                           \
        assert_int_equal(audit("epoch-1"), 1);                                                     \
        sh("cd '%s' && rm -r epoch-1 && cp -r keep epoch-1", out);                                 \
    } while (0)
    ATTACK("sed -i 5d log.ndjson");                    /* delete */
    ATTACK("sed -i '5{h;d};6{p;x}' log.ndjson");       /* reorder */
    ATTACK("sed -i '7s/fail/pass/' log.ndjson");       /* edit */
    ATTACK("sed -i '$s/sigterm/sigkill/' log.ndjson"); /* edit the last */
    ATTACK("sed -i '$d' log.ndjson");                  /* cut */
    ATTACK("sed -i '4p' log.ndjson");                  /* repeat */
    ATTACK("openssl genpkey -algorithm ed25519 | openssl pkey -pubout > key.pem"); /* another key */
    ATTACK("sed -i 2s/.*/3/ checkpoint"); /* another size */
    /* A whole epoch gone: the next one names it. */
    sh("cd '%s' && rm -r epoch-2", out);
    assert_false(verify(out).holds);
}

/* Records freed for lack of room: their hashes are exported, and the rest still verifies. */
static void test_export_with_leaves(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l;
    struct ea_verify_report rep, whole;
    struct ea_err err;

    o.disk_limit = 5 * 16384;
    l = open_log(&o);
    for (int i = 0; i < 12; i++) {
        append(l, 50, NULL);
        assert_int_equal(ea_elog_checkpoint(l, &err), 0);
    }
    close_log(l);
    whole = verify(test_dir);
    export_log(0);
    rep = verify(out);
    if (!rep.holds)
        fail_msg("%s", rep.where);
    assert_true(rep.absent > 100);
    assert_int_equal(rep.absent, whole.absent);
    assert_int_equal(rep.records, whole.records);
    flip(out, "epoch-1/leaves.hex", 65 * 20 + 3, 1);
    assert_false(verify(out).holds);
}

/* A damaged record is left out, the export says so, and so does verify. */
static void test_export_of_damage(void **state)
{
    struct ea_elog_opts o = options();
    struct ea_elog *l = open_log(&o);

    append(l, 5, NULL);
    close_log(l);
    flip(test_dir, "seg-0000000000000001.ev", 1200, 1);
    export_log(-EBADMSG);
    assert_false(verify(out).holds);
    assert_int_equal(audit("epoch-1"), 1);
}

static void test_not_a_log(void **state)
{
    struct ea_verify_report rep;
    struct ea_err err = {0};

    assert_int_equal(ea_evidence_verify(test_dir, &rep, NULL, NULL, &err), -EINVAL);
    assert_true(err.text[0] != '\0');
    assert_int_equal(ea_evidence_verify("/nowhere", &rep, NULL, NULL, &err), -ENOENT);
    assert_int_equal(ea_evidence_verify("/etc/passwd", &rep, NULL, NULL, &err), -EINVAL);
    snprintf(out, sizeof(out), "%s/export", test_dir);
    assert_int_equal(ea_evidence_export("/nowhere", out, &err), -ENOENT);
    assert_int_equal(ea_evidence_export(test_dir, out, &err), -ENOENT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, gone)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_export_holds),       T(test_export_of_open_log), T(test_export_changed),
        T(test_export_with_leaves), T(test_export_of_damage),   T(test_not_a_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
