/* Expressions over one Deployment with what the API server's CEL environment of 1.37 answers:
 * value, run-time cost, or the kind and place of the error (vectors-1.37.jsonl; made with
 * k8s.io/apiserver's pkg/cel/environment). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/fd.h"
#include "doc/print.h"
#include "unit/cel/cel_test.h"

static bool same(const struct ea_val *a, const struct ea_val *b);

static bool same_list(const struct ea_val *a, const struct ea_val *b)
{
    uint32_t i;

    if (a->n != b->n)
        return false;
    for (i = 0; i < a->n; i++) {
        if (!same(&a->items[i], &b->items[i]))
            return false;
    }
    return true;
}

/* Entries in any order. */
static bool same_map(const struct ea_val *a, const struct ea_val *b)
{
    uint32_t i, j;

    if (a->n != b->n)
        return false;
    for (i = 0; i < a->n; i++) {
        for (j = 0; j < b->n && !same_list(&a->items[i], &b->items[j]); j++)
            ;
        if (j == b->n)
            return false;
    }
    return true;
}

/* Two TAGGED values. */
static bool same(const struct ea_val *a, const struct ea_val *b)
{
    const struct ea_val *x, *y;
    struct ea_str tag;

    if (a->type != EA_V_MAP || b->type != EA_V_MAP || a->n != 1 || b->n != 1)
        return ea_val_equal(a, b);
    tag = ea_val_text(&a->members[0].key);
    x = &a->members[0].val;
    y = &b->members[0].val;
    if (!ea_str_eq(tag, ea_val_text(&b->members[0].key)))
        return false;
    if (ea_str_is(tag, "list"))
        return same_list(x, y);
    if (ea_str_is(tag, "map"))
        return same_map(x, y);
    if (ea_str_is(tag, "optional"))
        return same(x, y);
    if (ea_str_is(tag, "double"))
        return strtod(cel_z(ea_val_text(x)), NULL) ==
                   strtod(ea_arena_str(&cel_arena, ea_val_text(y)).p, NULL) ||
               ea_str_eq(ea_val_text(x), ea_val_text(y));
    return ea_val_equal(x, y);
}

static struct ea_val answer_of(const struct ea_val *row, struct ea_str object)
{
    struct ea_buf line, out;
    struct ea_val v;

    ea_buf_init(&line, 1u << 20);
    ea_buf_init(&out, 1u << 20);
    ea_buf_addz(&line, "{\"id\":1,\"stats\":true,\"expr\":");
    ea_buf_add_json(&line, ea_val_get_str(row, "expr"));
    ea_buf_addz(&line, ",\"bindings\":{\"object\":{\"json\":");
    ea_buf_adds(&line, object);
    ea_buf_addz(&line, "}}}");
    assert_int_equal(ea_cel_batch_line(&cel_arena, ea_buf_str(&line), EA_CEL_KUBERNETES, 37, &out),
                     0);
    assert_int_equal(
        ea_json_parse(&cel_arena, ea_arena_str(&cel_arena, ea_buf_str(&out)), NULL, &v, NULL, NULL),
        0);
    ea_buf_done(&line);
    ea_buf_done(&out);
    return v;
}

/* NULL, or what is wrong. */
static const char *judge(const struct ea_val *row, const struct ea_val *got)
{
    const struct ea_val *want = ea_val_getz(row, "value"), *value = ea_val_getz(got, "value");
    struct ea_str kind = ea_val_get_str(row, "error"), got_kind = ea_val_get_str(got, "kind");

    if (want) {
        if (value == NULL || !same(want, value))
            return "value";
        return ea_val_get_int(row, "cost", -1) == ea_val_get_int(got, "cost", -2) ? NULL : "cost";
    }
    if (value)
        return "a value instead of an error";
    if (ea_str_is(kind, "check") != (ea_str_is(got_kind, "check") || ea_str_is(got_kind, "parse")))
        return "kind of error";
    if (ea_val_getz(row, "line") &&
        (ea_val_get_int(row, "line", 0) != ea_val_get_int(got, "line", -1) ||
         ea_val_get_int(row, "column", 0) != ea_val_get_int(got, "column", -1)))
        return "place of the error";
    return NULL;
}

static void test_vectors(void **state)
{
    struct ea_str rest, line;
    struct ea_err err = {0};
    struct ea_buf object;
    size_t n = 0, rows = 0, failed = 0;
    char *text = NULL;

    if (ea_read_file(EA_TEST_DATA "/unit/cel/vectors-1.37.jsonl", 4u << 20, &text, &n, &err))
        fail_msg("%s", err.text);
    ea_buf_init(&object, 1u << 20);
    for (rest = ea_strn(text, n); rest.p && rest.n;) {
        struct ea_val row, got;
        const char *why;

        line = ea_str_cut(rest, '\n', &rest);
        if (ea_json_parse(&cel_arena, line, NULL, &row, NULL, &err))
            fail_msg("line %zu: %s", rows + 1, err.text);
        if (ea_val_getz(&row, "object")) {
            assert_int_equal(ea_json_print(&object, ea_val_getz(&row, "object")), 0);
            continue;
        }
        rows++;
        got = answer_of(&row, ea_buf_str(&object));
        why = judge(&row, &got);
        if (why) {
            struct ea_buf b;

            failed++;
            ea_buf_init(&b, 1u << 20);
            assert_int_equal(ea_json_print(&b, &got), 0);
            print_error("%s: %.*s\n   got %.*s\n", why, EA_STRF(line), EA_STRF(ea_buf_str(&b)));
            ea_buf_done(&b);
        }
    }
    ea_buf_done(&object);
    free(text);
    assert_true(rows > 500);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};

    return cmocka_run_group_tests(tests, cel_setup, cel_teardown);
}
