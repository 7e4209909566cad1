/* What the unit tests of doc/ share. */
#ifndef EA_TESTS_DOCTEST_H
#define EA_TESTS_DOCTEST_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "doc/json.h"
#include "doc/print.h"

#ifndef EA_TEST_DATA
#define EA_TEST_DATA "tests"
#endif

/* One arena per test, by setup and teardown. */
static inline int arena_setup(void **state)
{
    struct ea_arena *a = ea_xalloc(sizeof *a);

    ea_arena_init(a, 512u << 20, 0);
    *state = a;
    return 0;
}

static inline int arena_teardown(void **state)
{
    ea_arena_done(*state);
    free(*state);
    return 0;
}

#define doc_test(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)

static inline struct ea_val must_parse(struct ea_arena *a, const char *text)
{
    struct ea_val v = {0};
    struct ea_err err = {0};

    if (ea_json_parse(a, ea_str(text), NULL, &v, NULL, &err))
        fail_msg("%s: %s", text, ea_err_text(&err));
    return v;
}

static inline void assert_str(struct ea_str s, const char *want)
{
    if (!ea_str_is(s, want))
        fail_msg("\"%.*s\" is not \"%s\"", EA_STRF(s), want);
}

/* The text that a printer makes of v, in the arena. */
static inline struct ea_str printed(struct ea_arena *a, const struct ea_val *v,
                                    int (*print)(struct ea_buf *, const struct ea_val *))
{
    struct ea_buf b;
    struct ea_str s;

    ea_buf_init(&b, 64u << 20);
    assert_int_equal(print(&b, v), 0);
    s = ea_arena_str(a, ea_buf_str(&b));
    ea_buf_done(&b);
    return s;
}

/* Runs a fuzz target over every file of its seed folder; returns how many there were. */
static inline int run_seeds(const char *name, int (*target)(const uint8_t *, size_t))
{
    char dir[256], path[640];
    struct dirent *e;
    int n = 0;
    DIR *d;

    snprintf(dir, sizeof dir, EA_TEST_DATA "/fuzz/seeds/%s", name);
    d = opendir(dir);
    assert_non_null(d);
    while ((e = readdir(d))) {
        char *p;
        size_t len;

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        assert_int_equal(ea_read_file(path, 16u << 20, &p, &len, NULL), 0);
        target((const uint8_t *)p, len);
        free(p);
        n++;
    }
    closedir(d);
    return n;
}

#endif
