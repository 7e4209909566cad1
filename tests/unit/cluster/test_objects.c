/* Lease, seat, Secrets and the keeper against an API server that remembers objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "cluster/certs.h"
#include "cluster/keeper.h"
#include "cluster/seat.h"
#include "cluster/token.h"
#include "crypto/crypto.h"
#include "kube/lease.h"
#include "unit/kube/fake.h"

static const struct ea_kube_res pods = {"", "v1", "pods", "Pod", true};
static const struct ea_kube_res secrets = {"", "v1", "secrets", "Secret", true};
static const struct ea_kube_res configurations = {"admissionregistration.k8s.io", "v1",
                                                  "validatingwebhookconfigurations",
                                                  "ValidatingWebhookConfiguration", false};
static const struct ea_kube_res roles = {"rbac.authorization.k8s.io", "v1", "clusterroles",
                                         "ClusterRole", false};

struct world {
    struct fake fake;
    struct ea_kube *kube;
    char dir[64];
};

static int setup(void **state)
{
    struct world *w = ea_xalloc(sizeof(*w));

    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/ea-cluster-XXXXXX");
    fake_start(&w->fake, "objects");
    *state = w;
    return mkdtemp(w->dir) && ea_kube_new(w->fake.config, NULL, &w->kube, NULL) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"tls/ca.crt", "tls/tls.crt", "tls/tls.key", "token"};

    ea_kube_free(w->kube);
    fake_stop(&w->fake);
    for (size_t i = 0; i < EA_COUNT(names); i++) {
        EA_AUTO_FREE char *p = ea_xasprintf("%s/%s", w->dir, names[i]);

        (void)unlink(p);
    }
    EA_AUTO_FREE char *tls = ea_xasprintf("%s/tls", w->dir);

    (void)rmdir(tls);
    (void)rmdir(w->dir);
    free(w);
    return 0;
}

/* Text at a dotted path of an object, NUL-terminated; "" when the object or member is not there. */
static const char *text_of(struct world *w, const struct ea_kube_res *res, const char *ns,
                           const char *name, const char *path)
{
    static char out[256];
    struct ea_arena a;
    struct ea_val v;

    out[0] = 0;
    ea_arena_init(&a, 1 << 20, 0);
    if (ea_kube_get(w->kube, res, ns, name, &a, &v, NULL) == 0)
        (void)snprintf(out, sizeof(out), "%.*s", EA_STRF(ea_val_path_str(&v, path)));
    ea_arena_done(&a);
    return out;
}

/* ---- lease ---- */

static struct ea_lease *lease(struct world *w, const char *identity)
{
    struct ea_lease_opts o = {.config = w->fake.config,
                              .ns = "n",
                              .name = "l",
                              .identity = identity,
                              .lease_s = 3,
                              .renew_s = 2,
                              .retry_s = 1};
    struct ea_lease *l;

    assert_int_equal(ea_lease_new(&o, &l, NULL), 0);
    return l;
}

static bool attempt(struct ea_lease *l)
{
    bool held = false;

    assert_int_equal(ea_lease_try(l, &held, NULL), 0);
    return held;
}

static void lease_is_held_by_one(void **state)
{
    struct world *w = *state;
    struct ea_lease *a = lease(w, "a"), *b = lease(w, "b");

    assert_true(attempt(a));
    assert_int_equal(ea_lease_term(a), 0);
    assert_false(attempt(b));
    assert_true(ea_str_is(ea_lease_holder(b), "a"));
    assert_true(attempt(a)); /* renewed */
    assert_false(attempt(b));
    ea_sleep_us(2100000);
    assert_false(ea_lease_held(
        a)); /* not renewed in time: over by its own clock, before another may take it */
    assert_false(attempt(b)); /* b saw it change a moment ago */
    ea_sleep_us(1500000);
    assert_true(attempt(b));
    assert_int_equal(ea_lease_term(b), 1);
    assert_false(attempt(a));
    assert_int_equal(ea_lease_release(b, NULL), 0);
    assert_false(ea_lease_held(b));
    assert_true(attempt(a)); /* at once, it was given back */
    assert_int_equal(ea_lease_term(a), 2);
    ea_lease_free(a);
    ea_lease_free(b);
}

static void lease_term_never_falls(void **state)
{
    struct world *w = *state;
    static const struct ea_kube_res leases = {"coordination.k8s.io", "v1", "leases", "Lease", true};
    struct ea_lease *a = lease(w, "a"), *again;

    assert_true(attempt(a));
    assert_int_equal(ea_kube_delete(w->kube, &leases, "n", "l", NULL), 0);
    assert_true(attempt(a));
    assert_int_equal(ea_lease_term(a), 1);
    /* the same pod after a restart in place: no wait for its own Lease, same term */
    again = lease(w, "a");
    assert_true(attempt(again));
    assert_int_equal(ea_lease_term(again), 1);
    ea_lease_free(a);
    ea_lease_free(again);
}

static void lease_durations_are_checked(void **state)
{
    struct world *w = *state;
    struct ea_lease_opts o = {.config = w->fake.config,
                              .ns = "n",
                              .name = "l",
                              .identity = "a",
                              .lease_s = 5,
                              .renew_s = 5};
    struct ea_lease *l;

    assert_int_equal(ea_lease_new(&o, &l, NULL), -EINVAL);
}

/* ---- seat ---- */

static _Atomic bool serves;
static _Atomic int changes;

static bool serving(void *arg)
{
    return serves;
}

static void changed(void *arg, bool held, uint64_t term)
{
    changes += held ? 1 : -1;
}

static void wait_ready(struct ea_seat *s, bool want)
{
    ea_mono_us end = ea_mono_now() + 10000000;

    while (ea_seat_ready(s) != want && ea_mono_now() < end)
        ea_sleep_us(20000);
    assert_int_equal(ea_seat_ready(s), want);
}

static void seat_labels_only_what_serves(void **state)
{
    struct world *w = *state;
    struct ea_seat_opts o = {.config = w->fake.config,
                             .ns = "n",
                             .lease = "l",
                             .pod = "p",
                             .identity = "p_1",
                             .serving = serving,
                             .changed = changed};
    struct ea_seat *s;
    struct ea_arena a;
    struct ea_val v;
    char why[200];

    serves = false;
    changes = 0;
    ea_arena_init(&a, 1 << 20, 0);
    assert_int_equal(
        ea_kube_create(
            w->kube, &pods, "n",
            EA_STR("{\"metadata\":{\"name\":\"p\",\"labels\":{\"app\":\"x\",\"" EA_SEAT_LABEL
                   "\":\"true\"}}}"),
            &a, &v, NULL),
        0);
    assert_int_equal(ea_seat_start(&o, &s, NULL), 0);
    while (!ea_seat_held(s))
        ea_sleep_us(20000);
    ea_sleep_us(700000);
    /* a label of an earlier life is gone, the other labels are not */
    assert_int_equal(ea_kube_get(w->kube, &pods, "n", "p", &a, &v, NULL), 0);
    assert_null(ea_val_get(ea_val_path(&v, "metadata.labels"), EA_STR(EA_SEAT_LABEL)));
    assert_true(ea_str_is(ea_val_path_str(&v, "metadata.labels.app"), "x"));
    ea_seat_why(s, why, sizeof(why));
    assert_string_equal(why, "not serving yet");
    serves = true;
    wait_ready(s, true);
    assert_int_equal(ea_kube_get(w->kube, &pods, "n", "p", &a, &v, NULL), 0);
    assert_true(ea_str_is(
        ea_val_text(ea_val_get(ea_val_path(&v, "metadata.labels"), EA_STR(EA_SEAT_LABEL))),
        "true"));
    serves = false;
    wait_ready(s, false);
    serves = true;
    wait_ready(s, true);
    ea_seat_drain(s);
    assert_false(ea_seat_ready(s));
    assert_true(ea_seat_held(s));
    assert_int_equal(ea_kube_get(w->kube, &pods, "n", "p", &a, &v, NULL), 0);
    assert_null(ea_val_get(ea_val_path(&v, "metadata.labels"), EA_STR(EA_SEAT_LABEL)));
    assert_int_equal(changes, 1);
    ea_seat_stop(s);
    static const struct ea_kube_res leases = {"coordination.k8s.io", "v1", "leases", "Lease", true};
    assert_string_equal(text_of(w, &leases, "n", "l", "spec.holderIdentity"), "");
    ea_arena_done(&a);
}

/* ---- Secrets ---- */

static void token_in_a_secret(void **state)
{
    struct world *w = *state;
    struct ea_token_place p = {.kube = w->kube, .ns = "n", .secret = "t"};
    struct ea_path_token a, b, c;
    struct ea_err err = {0};

    assert_int_equal(ea_token_load(&p, &a, NULL), 0);
    assert_int_equal(strlen(a.current), 64);
    assert_string_equal(a.previous, "");
    assert_int_equal(ea_token_load(&p, &b, NULL), 0); /* another pod sees the same */
    assert_string_equal(a.current, b.current);
    c = a;
    assert_int_equal(ea_token_rotate(&p, &a, NULL), 0);
    assert_string_not_equal(a.current, b.current);
    assert_string_equal(a.previous, b.current);
    assert_int_equal(ea_token_rotate(&p, &c, NULL),
                     0); /* it was rotated already: theirs is taken */
    assert_string_equal(c.current, a.current);
    struct ea_arena ar;
    struct ea_val v;
    ea_arena_init(&ar, 1 << 20, 0);
    assert_int_equal(ea_kube_patch(w->kube, &secrets, "n", "t", "application/merge-patch+json",
                                   EA_STR("{\"data\":{\"current\":\"eA==\"}}"), &ar, &v, NULL),
                     0);
    ea_arena_done(&ar);
    assert_int_equal(ea_token_load(&p, &b, &err), -EINVAL);
    assert_null(strstr(err.text, a.current));
}

static void token_in_a_file(void **state)
{
    struct world *w = *state;
    EA_AUTO_FREE char *path = ea_xasprintf("%s/token", w->dir);
    struct ea_token_place p = {.file = path};
    struct ea_path_token a, b;
    struct stat st;

    assert_int_equal(ea_token_load(&p, &a, NULL), 0);
    assert_int_equal(ea_token_rotate(&p, &a, NULL), 0);
    assert_int_equal(ea_token_load(&p, &b, NULL), 0);
    assert_string_equal(a.current, b.current);
    assert_string_equal(a.previous, b.previous);
    assert_true(a.rotated / 1000 == b.rotated / 1000);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void certificate_in_a_secret(void **state)
{
    struct world *w = *state;
    EA_AUTO_FREE char *dir = ea_xasprintf("%s/tls", w->dir);
    EA_AUTO_FREE char *crt = ea_xasprintf("%s/tls.crt", dir);
    EA_AUTO_FREE char *pem = NULL;
    const char *names[] = {"svc", "svc.n", "svc.n.svc", NULL};
    struct ea_certs_opts o = {.ns = "n", .secret = "s", .names = names, .dir = dir};
    struct ea_cert_info info;
    struct ea_buf ca, ca2;
    size_t n;
    bool now;

    ea_buf_init(&ca, 1 << 16);
    ea_buf_init(&ca2, 1 << 16);
    assert_int_equal(ea_certs_ensure(w->kube, &o, &ca, &now, NULL), 0);
    assert_true(now);
    assert_int_equal(ea_cert_info(ea_buf_str(&ca), &info, NULL), 0);
    assert_true(info.is_ca);
    assert_int_equal(ea_read_file(crt, 1 << 16, &pem, &n, NULL), 0);
    assert_int_equal(ea_cert_info(ea_strn(pem, n), &info, NULL), 0);
    assert_false(info.is_ca);
    assert_int_equal(ea_certs_ensure(w->kube, &o, &ca2, &now, NULL), 0); /* nothing to do */
    assert_false(now);
    assert_true(ea_str_eq(ea_buf_str(&ca), ea_buf_str(&ca2)));
    assert_int_equal(unlink(crt), 0); /* another node: files from the Secret */
    assert_int_equal(ea_certs_ensure(w->kube, &o, &ca2, &now, NULL), 0);
    assert_true(now);
    assert_true(ea_str_eq(ea_buf_str(&ca), ea_buf_str(&ca2)));
    names[0] = "other"; /* another name: another certificate of the same CA */
    assert_int_equal(ea_certs_ensure(w->kube, &o, &ca2, &now, NULL), 0);
    assert_true(now);
    assert_true(ea_str_eq(ea_buf_str(&ca), ea_buf_str(&ca2)));
    ea_buf_done(&ca);
    ea_buf_done(&ca2);
}

/* ---- keeper ---- */

static _Atomic int applied;

static int render(void *arg, bool fail, const char *uid, struct ea_buf *json, struct ea_err *err)
{
    return ea_buf_addf(
        json,
        "{\"apiVersion\":\"admissionregistration.k8s.io/"
        "v1\",\"kind\":\"ValidatingWebhookConfiguration\",\"metadata\":{\"name\":\"x\","
        "\"ownerReferences\":[{\"uid\":\"%s\"}]},\"webhooks\":[{\"name\":\"enforce\","
        "\"failurePolicy\":\"%s\"}]}",
        uid, fail ? "Fail" : "Ignore");
}

static void on_applied(void *arg)
{
    applied++;
}

static const char *policy(struct world *w)
{
    static char out[32];
    struct ea_arena a;
    struct ea_val v;

    out[0] = 0;
    ea_arena_init(&a, 1 << 20, 0);
    if (ea_kube_get(w->kube, &configurations, NULL, "x", &a, &v, NULL) == 0)
        (void)snprintf(
            out, sizeof(out), "%.*s",
            EA_STRF(ea_val_get_str(ea_val_at(ea_val_getz(&v, "webhooks"), 0), "failurePolicy")));
    ea_arena_done(&a);
    return out;
}

static void wait_policy(struct world *w, const char *want)
{
    ea_mono_us end = ea_mono_now() + 10000000;

    while (strcmp(policy(w), want) != 0 && ea_mono_now() < end)
        ea_sleep_us(50000);
    assert_string_equal(policy(w), want);
}

static void keeper_applies_mends_and_lets_go(void **state)
{
    struct world *w = *state;
    struct ea_keeper_opts o = {.config = w->fake.config,
                               .name = "x",
                               .owner_role = "release",
                               .render = render,
                               .applied = on_applied};
    struct ea_keeper *k;
    struct ea_arena a;
    struct ea_val v;
    char why[200];

    applied = 0;
    ea_arena_init(&a, 1 << 20, 0);
    assert_int_equal(ea_kube_create(w->kube, &roles, NULL,
                                    EA_STR("{\"metadata\":{\"name\":\"release\"}}"), &a, &v, NULL),
                     0);
    assert_int_equal(ea_keeper_start(&o, &k, NULL), 0);
    wait_policy(w, "Ignore");
    ea_keeper_set_fail(k, true, "ready");
    wait_policy(w, "Fail");
    assert_int_equal(
        ea_kube_patch(
            w->kube, &configurations, NULL, "x", "application/merge-patch+json",
            EA_STR("{\"webhooks\":[{\"name\":\"enforce\",\"failurePolicy\":\"Ignore\"}]}"), &a, &v,
            NULL),
        0);
    ea_keeper_poke(k);
    wait_policy(w, "Fail");
    assert_true(ea_keeper_ok(k, NULL, 0));
    assert_true(applied >= 3);
    assert_int_equal(ea_kube_delete(w->kube, &configurations, NULL, "x", NULL), 0);
    ea_keeper_poke(k);
    wait_policy(w, "Fail");
    /* the release goes: its configuration must not come back */
    assert_int_equal(ea_kube_delete(w->kube, &roles, NULL, "release", NULL), 0);
    assert_int_equal(ea_kube_delete(w->kube, &configurations, NULL, "x", NULL), 0);
    ea_keeper_poke(k);
    ea_sleep_us(1500000);
    assert_string_equal(policy(w), "");
    assert_false(ea_keeper_ok(k, why, sizeof(why)));
    assert_non_null(strstr(why, "release is gone"));
    ea_keeper_stop(k, false);
    ea_arena_done(&a);
}

static void keeper_opens_at_the_end(void **state)
{
    struct world *w = *state;
    struct ea_keeper_opts o = {
        .config = w->fake.config, .name = "x", .render = render, .fail = true};
    struct ea_keeper *k;

    assert_int_equal(ea_keeper_start(&o, &k, NULL), 0);
    wait_policy(w, "Fail");
    ea_keeper_stop(k, true);
    assert_string_equal(policy(w), "Ignore");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest t[] = {
        T(lease_is_held_by_one),        T(lease_term_never_falls),
        T(lease_durations_are_checked), T(seat_labels_only_what_serves),
        T(token_in_a_secret),           T(token_in_a_file),
        T(certificate_in_a_secret),     T(keeper_applies_mends_and_lets_go),
        T(keeper_opens_at_the_end),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
