/* The directory source: kinds, lists, bad files, moves, folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "helper.h"

struct told {
    struct rig *r;
    pthread_mutex_t lock;
    char text[4096];
};

static void on_event(void *arg, const struct ea_kube_event *e)
{
    static const char *const sign[] = {"+", "-", "S", "G", "g"};
    struct told *t = arg;
    size_t n;

    if (e->type == EA_KUBE_SYNCED && e->res)
        return;
    pthread_mutex_lock(&t->lock);
    n = strlen(t->text);
    if (e->type == EA_KUBE_UPSERT)
        (void)snprintf(t->text + n, sizeof(t->text) - n, "+%s/%.*s/%.*s@%.*s:%u ", e->res->resource,
                       EA_STRF(e->ns), EA_STRF(e->name), EA_STRF(e->file), e->line);
    else if (e->type == EA_KUBE_DELETE)
        (void)snprintf(t->text + n, sizeof(t->text) - n, "-%s/%.*s ", e->res->resource,
                       EA_STRF(e->name));
    else
        (void)snprintf(t->text + n, sizeof(t->text) - n, "%s%.*s:%u ", sign[e->type],
                       EA_STRF(e->file), e->line);
    pthread_mutex_unlock(&t->lock);
}

static void start(struct told *t, struct rig *r)
{
    EA_AUTO_FREE char *in = rig_path(r, "in");
    struct ea_dir_opts o = {
        .path = in, .rules = r->rules, .event = on_event, .arg = t, .debounce_ms = 20};
    struct ea_err err = {0};

    memset(t, 0, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->r = r;
    r->store = o.store = ea_store_new();
    if (ea_dir_start(&o, &r->dir, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop(struct told *t)
{
    ea_dir_stop(t->r->dir);
    ea_store_free(t->r->store);
}

static void expect(struct told *t, const char *want)
{
    ea_mono_us end = ea_mono_now() + 10000000;

    for (;;) {
        pthread_mutex_lock(&t->lock);
        bool is = strcmp(t->text, want) == 0;
        if (is)
            t->text[0] = 0;
        pthread_mutex_unlock(&t->lock);
        if (is)
            return;
        if (ea_mono_now() > end)
            fail_msg("told \"%s\" instead of \"%s\"", t->text, want);
        ea_sleep_us(10000);
    }
}

#define CM(name) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name "}\n"

static void kinds_lists_and_foreign_documents(void **state)
{
    struct rig *r = *state;
    struct told t;
    struct ea_object *o;
    struct ea_arena a;
    struct ea_str json;

    rig_write(r, "a.yaml", "# comment\n" CM("one") "---\nreplicas: 3\n---\n" CM("two") "---\n");
    rig_write(r, "b.json",
              "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"apps/"
              "v1beta1\",\"kind\":\"Deployment\","
              "\"metadata\":{\"name\":\"d\",\"namespace\":\"x\"}},\n{\"apiVersion\":\"e.io/"
              "v1\",\"kind\":\"Box\",\"metadata\":"
              "{\"generateName\":\"g-\"}}]}");
    rig_write(r, "c.yml",
              "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p}\n  spec: {}\n");
    rig_write(r, ".hidden.yaml", CM("no"));
    rig_write(r, "notes.txt", CM("no"));
    start(&t, r);
    expect(&t, "+configmaps/default/one@a.yaml:2 +configmaps/default/two@a.yaml:8 "
               "+deployments/x/d@b.json:1 +boxes//g-*@b.json:2 "
               "+pods/default/p@c.yml:4 S:0 ");
    o = ea_store_find(r->store,
                      (unsigned)ea_store_find_table(r->store, EA_STR("v1"), EA_STR("Pod")),
                      EA_STR("default"), EA_STR("p"));
    assert_non_null(o);
    assert_int_equal(ea_object_uid(o).n, 36);
    ea_arena_init(&a, 1 << 16, 0);
    assert_int_equal(ea_object_json(o, &a, &json), 0);
    assert_true(ea_str_find(json, EA_STR("\"kind\":\"Pod\"")) > 0);
    ea_arena_done(&a);
    ea_object_unref(o);
    stop(&t);
}

static void changes_moves_and_deletes(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *sub = rig_path(r, "in/sub");
    struct told t;

    rig_write(r, "a.yaml", CM("one") "---\n" CM("two"));
    start(&t, r);
    expect(&t, "+configmaps/default/one@a.yaml:1 +configmaps/default/two@a.yaml:5 S:0 ");
    rig_write(r, "a.yaml", CM("one") "data: {k: v}\n"); /* changed, and one gone */
    expect(&t, "+configmaps/default/one@a.yaml:1 -configmaps/two ");
    assert_int_equal(mkdir(sub, 0755), 0);
    rig_write(r, "sub/b.yaml", CM("three"));
    expect(&t, "+configmaps/default/three@sub/b.yaml:1 ");
    rig_write(r, "sub/c.yaml", CM("four"));
    expect(&t, "+configmaps/default/four@sub/c.yaml:1 ");
    rig_remove(r, "sub/c.yaml");
    expect(&t, "-configmaps/four ");
    stop(&t);
}

static void object_in_two_files(void **state)
{
    struct rig *r = *state;
    struct told t;

    rig_write(r, "a.yaml", CM("one") "data: {from: a}\n");
    rig_write(r, "b.yaml", CM("one") "data: {from: b}\n");
    start(&t, r);
    expect(&t, "+configmaps/default/one@a.yaml:1 S:0 ");
    rig_remove(r, "a.yaml"); /* it lives on in the other */
    expect(&t, "+configmaps/default/one@b.yaml:1 ");
    stop(&t);
}

static void moved_object_is_not_deleted(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *a = rig_path(r, "in/a.yaml");
    EA_AUTO_FREE char *z = rig_path(r, "in/z.yaml");
    struct told t;
    struct ea_dir_stat st;

    rig_write(r, "a.yaml", CM("one"));
    start(&t, r);
    expect(&t, "+configmaps/default/one@a.yaml:1 S:0 ");
    assert_int_equal(rename(a, z), 0);
    rig_write(r, "m.yaml", CM("marker"));
    expect(&t, "+configmaps/default/marker@m.yaml:1 ");
    ea_dir_stat(r->dir, &st);
    assert_int_equal(st.objects, 2);
    assert_int_equal(st.files, 2);
    stop(&t);
}

static void bad_file_keeps_its_objects(void **state)
{
    struct rig *r = *state;
    struct told t;
    struct ea_dir_stat st;

    rig_write(r, "a.yaml", CM("one"));
    rig_write(r, "bad.yaml", "a: b\nc: [\n");
    start(&t, r);
    expect(&t, "+configmaps/default/one@a.yaml:1 Gbad.yaml:3 S:0 ");
    rig_write(r, "a.yaml", "apiVersion: v1\n  kind: broken\n");
    expect(&t, "Ga.yaml:2 ");
    ea_dir_stat(r->dir, &st);
    assert_int_equal(st.bad_files, 2);
    assert_int_equal(st.objects, 1);
    assert_non_null(strstr(st.error, "line"));
    rig_write(r, "a.yaml", CM("one") "data: {k: v}\n");
    expect(&t, "+configmaps/default/one@a.yaml:1 ga.yaml:0 ");
    rig_remove(r, "bad.yaml");
    expect(&t, "gbad.yaml:0 ");
    ea_dir_stat(r->dir, &st);
    assert_int_equal(st.bad_files, 0);
    assert_string_equal(st.error, "");
    stop(&t);
}

static void object_without_a_name_is_told(void **state)
{
    struct rig *r = *state;
    struct told t;

    rig_write(r, "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n");
    start(&t, r);
    expect(&t, "Ga.yaml:1 S:0 ");
    stop(&t);
}

static void folder_goes_and_comes(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *in = rig_path(r, "in");
    struct told t;

    rig_write(r, "a.yaml", CM("one"));
    start(&t, r);
    expect(&t, "+configmaps/default/one@a.yaml:1 S:0 ");
    rig_rm(in);
    ea_sleep_us(300000);
    /* whatever was seen in between, at the end the folder is a gap: either its file went first, or
     * all at once */
    pthread_mutex_lock(&t.lock);
    assert_non_null(strstr(t.text, "G:0 "));
    pthread_mutex_unlock(&t.lock);
    stop(&t);
}

static void missing_folder_is_an_error(void **state)
{
    struct rig *r = *state;
    EA_AUTO_FREE char *p = rig_path(r, "nowhere");
    struct ea_store *s = ea_store_new();
    struct ea_dir_opts o = {.path = p, .rules = r->rules, .store = s, .event = on_event};
    struct ea_dir *d;
    struct ea_err err;

    assert_int_equal(ea_dir_start(&o, &d, &err), -ENOENT);
    assert_non_null(strstr(err.text, "nowhere"));
    ea_store_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest t[] = {
        T(kinds_lists_and_foreign_documents),
        T(changes_moves_and_deletes),
        T(object_in_two_files),
        T(moved_object_is_not_deleted),
        T(bad_file_keeps_its_objects),
        T(object_without_a_name_is_told),
        T(folder_goes_and_comes),
        T(missing_folder_is_an_error),
    };

    return cmocka_run_group_tests(t, NULL, NULL);
}
