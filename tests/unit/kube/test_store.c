/* The store against a plain array as its model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/buf.h"
#include "kube/store.h"

static const struct ea_kube_res pods = {"", "v1", "pods", "Pod", true};
static const struct ea_kube_res deploys = {"apps", "v1", "deployments", "Deployment", true};

static bool put(struct ea_store *s, const char *ns, const char *name, const char *uid,
                const char *rv, const char *json, struct ea_object **old)
{
    struct ea_object_in in = {ea_str(ns), ea_str(name), ea_str(uid), ea_str(rv), ea_str(json)};
    bool changed;

    assert_int_equal(ea_store_put(s, 0, &in, old, &changed), 0);
    return changed;
}

static void put_find_replace_delete(void **state)
{
    struct ea_store *s = ea_store_new();
    struct ea_object *old, *o;
    struct ea_arena a;
    struct ea_val v;

    assert_int_equal(ea_store_add(s, &pods, true), 0);
    assert_int_equal(ea_store_add(s, &deploys, false), 1);
    assert_int_equal(ea_store_find_table(s, EA_STR("apps/v1"), EA_STR("Deployment")), 1);
    assert_int_equal(ea_store_find_table(s, EA_STR("v1"), EA_STR("Pod")), 0);
    assert_int_equal(ea_store_find_table(s, EA_STR("v1"), EA_STR("Deployment")), -ENOENT);
    assert_true(put(s, "a", "x", "u1", "1", "{\"n\":1}", &old));
    assert_null(old);
    assert_false(
        put(s, "a", "x", "u1", "1", "{\"n\":1}", &old)); /* the same version is no change */
    assert_true(put(s, "a", "x", "u1", "2", "{\"n\":2}", &old));
    assert_true(ea_str_is(ea_object_rv(old), "1"));
    ea_object_unref(old);
    assert_true(put(s, "b", "x", "u2", "3", "{}", &old));
    o = ea_store_find(s, 0, EA_STR("a"), EA_STR("x"));
    assert_non_null(o);
    assert_true(ea_str_is(ea_object_uid(o), "u1"));
    assert_true(ea_str_is(ea_object_ns(o), "a"));
    assert_true(ea_str_is(ea_object_name(o), "x"));
    ea_arena_init(&a, 1 << 20, 0);
    assert_int_equal(ea_object_parse(o, &a, &v), 0);
    assert_int_equal(ea_val_get_int(&v, "n", 0), 2);
    ea_arena_done(&a);
    old = ea_store_del(s, 0, EA_STR("a"), EA_STR("x"));
    assert_ptr_equal(old, o);
    ea_object_unref(old);
    assert_true(ea_str_is(ea_object_rv(o), "2")); /* our reference keeps it */
    ea_object_unref(o);
    assert_null(ea_store_find(s, 0, EA_STR("a"), EA_STR("x")));
    assert_null(ea_store_del(s, 0, EA_STR("a"), EA_STR("x")));
    ea_store_free(s);
}

static void large_objects_come_back_as_they_were(void **state)
{
    struct ea_store *s = ea_store_new();
    unsigned seed = 7;

    assert_int_equal(ea_store_add(s, &pods, true), 0);
    for (size_t n = 1; n < 300000; n = n * 3 + 1) {
        struct ea_buf b;
        struct ea_object *old, *o;
        struct ea_arena a;
        struct ea_str json;
        struct ea_val v;

        ea_buf_init(&b, 1 << 20);
        ea_buf_addz(&b, "{\"kind\":\"Pod\",\"spec\":\"");
        for (size_t i = 0; i < n; i++) /* half of it does not shrink */
            ea_buf_addc(&b, i % 2 ? 'x' : (char)('a' + rand_r(&seed) % 26));
        ea_buf_addz(&b, "\"}");
        ea_buf_addc(&b, 0);
        b.n--;
        assert_true(put(s, "n", "p", "u", n % 2 ? "1" : "2", b.p, &old) || n > 1);
        ea_object_unref(old);
        o = ea_store_find(s, 0, EA_STR("n"), EA_STR("p"));
        ea_arena_init(&a, 16 << 20, 0);
        assert_int_equal(ea_object_json(o, &a, &json), 0);
        assert_true(ea_str_eq(json, ea_buf_str(&b)));
        assert_int_equal(ea_object_parse(o, &a, &v), 0);
        assert_int_equal(ea_val_get_str(&v, "spec").n, n);
        ea_arena_done(&a);
        ea_object_unref(o);
        ea_object_unref(ea_store_del(s, 0, EA_STR("n"), EA_STR("p")));
        ea_buf_done(&b);
    }
    ea_store_free(s);
}

static void table_without_json(void **state)
{
    struct ea_store *s = ea_store_new();
    struct ea_object_in in = {EA_STR("n"), EA_STR("x"), EA_STR("u"), EA_STR("1"),
                              EA_STR("{\"a\":1}")};
    struct ea_object *old, *o;
    struct ea_store_stat st;
    struct ea_arena a;
    struct ea_val v;
    bool changed;

    assert_int_equal(ea_store_add(s, &pods, false), 0);
    assert_int_equal(ea_store_put(s, 0, &in, &old, &changed), 0);
    o = ea_store_find(s, 0, EA_STR("n"), EA_STR("x"));
    ea_arena_init(&a, 1 << 16, 0);
    assert_int_equal(ea_object_parse(o, &a, &v), -ENODATA);
    ea_arena_done(&a);
    ea_object_unref(o);
    ea_store_stat(s, 0, &st);
    assert_int_equal(st.objects, 1);
    assert_int_equal(st.json_bytes, 0);
    ea_store_free(s);
}

static void names_too_long_are_refused(void **state)
{
    struct ea_store *s = ea_store_new();
    static char name[2000];
    struct ea_object_in in = {
        EA_STR("n"), {name, sizeof(name)}, EA_STR("u"), EA_STR("1"), EA_STR("{}")};
    struct ea_object *old;
    bool changed;

    memset(name, 'x', sizeof(name));
    assert_int_equal(ea_store_add(s, &pods, true), 0);
    assert_int_equal(ea_store_put(s, 0, &in, &old, &changed), -E2BIG);
    ea_store_free(s);
}

#define MODEL 400

static void count_gone(void *arg, struct ea_object *o)
{
    int *model = arg;
    int i = atoi(o->bytes + o->ns_n + 2);

    assert_int_equal(model[i], 1); /* exactly those that the last list did not see */
    model[i] = 0;
}

static void random_operations_against_a_model(void **state)
{
    struct ea_store *s = ea_store_new();
    int model[MODEL] = {0}; /* 0 absent, 1 there and unseen, 2 seen by this list */
    unsigned seed = 12345, rv = 1;

    assert_int_equal(ea_store_add(s, &pods, true), 0);
    for (int round = 0; round < 60; round++) {
        ea_store_begin(s, 0);
        for (int i = 0; i < MODEL; i++)
            model[i] = model[i] ? 1 : 0;
        for (int k = 0; k < 300; k++) {
            char name[16], version[16];
            struct ea_object *old;
            int i = rand_r(&seed) % MODEL;

            (void)snprintf(name, sizeof(name), "p%d", i);
            if (rand_r(&seed) % 3) {
                (void)snprintf(version, sizeof(version), "%u", rv++);
                assert_true(put(s, "n", name, "u", version, "{}", &old));
                assert_int_equal(old != NULL, model[i] != 0);
                ea_object_unref(old);
                model[i] = 2;
            } else {
                old = ea_store_del(s, 0, EA_STR("n"), ea_str(name));
                assert_int_equal(old != NULL, model[i] != 0);
                ea_object_unref(old);
                model[i] = 0;
            }
        }
        ea_store_sweep(s, 0, count_gone, model);
        size_t live = 0, n;
        bool cut;
        for (int i = 0; i < MODEL; i++) {
            char name[16];
            struct ea_object *o;

            assert_int_not_equal(model[i], 1);
            (void)snprintf(name, sizeof(name), "p%d", i);
            o = ea_store_find(s, 0, EA_STR("n"), ea_str(name));
            assert_int_equal(o != NULL, model[i] != 0);
            ea_object_unref(o);
            live += model[i] != 0;
        }
        struct ea_object **l = ea_store_list(s, 0, EA_STR_NULL, 1000, &n, &cut);
        assert_int_equal(n, live);
        assert_false(cut);
        for (size_t i = 0; i < n; i++)
            ea_object_unref(l[i]);
        free(l);
    }
    ea_store_free(s);
}

static void list_by_namespace_and_cap(void **state)
{
    struct ea_store *s = ea_store_new();
    struct ea_object *old, **l;
    size_t n;
    bool cut;

    assert_int_equal(ea_store_add(s, &pods, true), 0);
    for (int i = 0; i < 10; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "p%d", i);
        assert_true(put(s, i % 2 ? "odd" : "even", name, "u", "1", "{}", &old));
    }
    l = ea_store_list(s, 0, EA_STR("odd"), 100, &n, &cut);
    assert_int_equal(n, 5);
    assert_false(cut);
    for (size_t i = 0; i < n; i++) {
        assert_true(ea_str_is(ea_object_ns(l[i]), "odd"));
        ea_object_unref(l[i]);
    }
    free(l);
    l = ea_store_list(s, 0, EA_STR_NULL, 3, &n, &cut);
    assert_int_equal(n, 3);
    assert_true(cut);
    for (size_t i = 0; i < n; i++)
        ea_object_unref(l[i]);
    free(l);
    ea_store_free(s);
}

static void freshness(void **state)
{
    struct ea_store *s = ea_store_new();

    assert_int_equal(ea_store_add(s, &pods, true), 0);
    assert_true(ea_store_age_us(s, 0) == UINT64_MAX);
    assert_false(ea_store_synced(s, 0));
    ea_store_touch(s, 0);
    assert_true(ea_store_age_us(s, 0) < 10000000);
    ea_store_set_synced(s, 0, true);
    assert_true(ea_store_synced(s, 0));
    ea_store_free(s);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(put_find_replace_delete),
        cmocka_unit_test(large_objects_come_back_as_they_were),
        cmocka_unit_test(table_without_json),
        cmocka_unit_test(names_too_long_are_refused),
        cmocka_unit_test(random_operations_against_a_model),
        cmocka_unit_test(list_by_namespace_and_cap),
        cmocka_unit_test(freshness),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
