/* A folder of manifests, a log and an audit between them. */
#ifndef TEST_AUDIT_HELPER_H
#define TEST_AUDIT_HELPER_H

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/dir.h"
#include "audit/snapshot.h"
#include "base/fd.h"
#include "doc/json.h"

struct rig {
    char root[64];
    struct ea_ruleset *rules;
    struct ea_elog *log;
    struct ea_store *store;
    struct ea_audit *audit;
    struct ea_dir *dir;
    const struct ea_exemptions *exemptions;
    bool follow;   /* do not record at the start */
    uint64_t seen; /* records read so far */
};

static inline char *rig_path(const struct rig *r, const char *name)
{
    return ea_xasprintf("%s/%s", r->root, name);
}

static inline void rig_write(const struct rig *r, const char *name, const char *text)
{
    EA_AUTO_FREE char *p = ea_xasprintf("%s/in/%s", r->root, name);

    assert_int_equal(ea_write_file(p, text, strlen(text), 0644, NULL), 0);
}

static inline void rig_remove(const struct rig *r, const char *name)
{
    EA_AUTO_FREE char *p = ea_xasprintf("%s/in/%s", r->root, name);

    assert_int_equal(unlink(p), 0);
}

static inline const struct ea_val *rig_namespace(void *arg, struct ea_arena *a, struct ea_str name)
{
    struct rig *r = arg;
    int t = ea_store_find_table(r->store, EA_STR("v1"), EA_STR("Namespace"));
    struct ea_object *o = t < 0 ? NULL : ea_store_find(r->store, (unsigned)t, EA_STR_NULL, name);
    struct ea_val *v;

    if (!o)
        return NULL;
    v = ea_arena_alloc(a, sizeof(*v));
    assert_int_equal(ea_arena_defer(a, (void (*)(void *))ea_object_unref, o), 0);
    assert_int_equal(ea_object_parse(o, a, v), 0);
    return v;
}

static inline void rig_up(struct rig *r)
{
    EA_AUTO_FREE char *log = rig_path(r, "log");
    EA_AUTO_FREE char *digest = rig_path(r, "log/verdicts");
    EA_AUTO_FREE char *in = rig_path(r, "in");
    struct ea_elog_opts lo = {
        .dir = log, .domain = "test", .first_epoch = 1, .keep_free_percent = 100};
    struct ea_audit_opts ao = {.rules = r->rules,
                               .exemptions = r->exemptions,
                               .digest_path = digest,
                               .floor = EA_HIGH,
                               .outage_gaps = true};
    struct ea_dir_opts dop = {.path = in, .event = ea_audit_event, .debounce_ms = 20};
    struct ea_err err = {0};

    if (ea_elog_open(&lo, &r->log, &err) < 0)
        fail_msg("%s", err.text);
    r->store = ea_store_new();
    ao.store = r->store;
    ao.log = r->log;
    ao.lookup = (struct ea_lookup){.arg = r, .namespace_ = rig_namespace};
    ao.record = !r->follow;
    if (ea_audit_new(&ao, &r->audit, &err) < 0)
        fail_msg("%s", err.text);
    dop.store = r->store;
    dop.rules = r->rules;
    dop.arg = r->audit;
    if (ea_dir_start(&dop, &r->dir, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void rig_down(struct rig *r)
{
    struct ea_err err = {0};

    ea_dir_stop(r->dir);
    ea_audit_free(r->audit);
    ea_store_free(r->store);
    if (ea_elog_close(r->log, "test", &err) < 0)
        fail_msg("%s", err.text);
}

static inline int rig_setup(void **state)
{
    struct rig *r = ea_xalloc(sizeof(*r));
    struct ea_ruleset_opts o = {0};
    struct ea_err err = {0};
    EA_AUTO_FREE char *in = NULL;

    (void)snprintf(r->root, sizeof(r->root), "/tmp/ea-audit-XXXXXX");
    if (!mkdtemp(r->root) || ea_ruleset_load(&o, &r->rules, NULL, &err) < 0)
        return -1;
    in = rig_path(r, "in");
    *state = r;
    return mkdir(in, 0755);
}

static inline void rig_rm(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        EA_AUTO_FREE char *p = ea_xasprintf("%s/%s", path, e->d_name);

        if (e->d_type == DT_DIR)
            rig_rm(p);
        else
            (void)unlink(p);
    }
    if (d)
        closedir(d);
    (void)rmdir(path);
}

static inline int rig_teardown(void **state)
{
    struct rig *r = *state;

    rig_rm(r->root);
    ea_ruleset_unref(r->rules);
    free(r);
    return 0;
}

/* Counts records of a type whose bytes hold both texts; the first one goes to `first`
 * (NUL-terminated, may be NULL). */
static inline unsigned rig_count(struct rig *r, enum ea_record_type type, const char *a,
                                 const char *b, char *first, size_t size)
{
    EA_AUTO_FREE char *log = rig_path(r, "log");
    struct ea_reader *rd;
    struct ea_record_view v;
    unsigned n = 0;

    assert_int_equal(ea_reader_open(log, 0, 0, &rd, NULL), 0);
    while (ea_reader_next(rd, &v, NULL) == 0) {
        if (v.type != type || v.seq < r->seen || !memmem(v.bytes.p, v.bytes.n, a, strlen(a)) ||
            (b && !memmem(v.bytes.p, v.bytes.n, b, strlen(b))))
            continue;
        if (n++ == 0 && first)
            (void)snprintf(first, size, "%.*s", EA_STRF(v.bytes));
    }
    ea_reader_close(rd);
    return n;
}

/* Forget what is in the log so far. */
static inline void rig_mark(struct rig *r)
{
    struct ea_elog_stat st;

    ea_elog_stat(r->log, &st);
    r->seen = st.next_seq;
}

static inline void rig_wait(struct rig *r, enum ea_record_type type, const char *a, const char *b)
{
    ea_mono_us end = ea_mono_now() + 15000000;

    while (rig_count(r, type, a, b, NULL, 0) == 0) {
        if (ea_mono_now() > end)
            fail_msg("no record of type %d with \"%s\" and \"%s\"", (int)type, a, b ? b : "");
        ea_sleep_us(20000);
    }
}

#endif
