/* The JSON parser against itself (lazy and eager), against cJSON, and against its own printer. */
#include <stdio.h>

#include "base/arena.h"
#include "doc/json.h"
#include "doc/print.h"
#include "unit/doc/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static void print_is_stable(struct ea_arena *a, const struct ea_val *v,
                            const struct ea_buf *printed)
{
    struct ea_val again;
    struct ea_buf b;

    CHECK(ea_json_parse(a, ea_buf_str(printed), NULL, &again, NULL, NULL) == 0);
    CHECK(ea_val_equal(v, &again));
    ea_buf_init(&b, 64u << 20);
    CHECK(ea_json_print(&b, &again) == 0);
    CHECK(ea_str_eq(ea_buf_str(&b), ea_buf_str(printed)));
    ea_buf_done(&b);
}

/* Nobody may see that a subtree was left raw. */
static void lazy_is_the_same(struct ea_arena *a, struct ea_str text, const struct ea_val *eager,
                             const struct ea_buf *printed)
{
    static const char *const names[] = {"managedFields", "oldObject", "a", "", NULL};
    const struct ea_json_opts opts = {.lazy = names};
    struct ea_err err = {0};
    struct ea_val v;
    struct ea_buf b;
    int rc = ea_json_parse(a, text, &opts, &v, NULL, &err);

    CHECK((rc == 0) == (eager != NULL));
    if (rc)
        return;
    ea_buf_init(&b, 64u << 20);
    CHECK(ea_json_print(&b, &v) == 0);
    CHECK(ea_str_eq(ea_buf_str(&b), ea_buf_str(printed)));
    CHECK(ea_doc_settle(&v) == 0);
    CHECK(ea_val_equal(eager, &v));
    ea_buf_done(&b);
}

static void compare_with_cjson(struct ea_str text, const struct ea_val *v, const char *message)
{
    const char *end = NULL;
    cJSON *j = cJSON_ParseWithLengthOpts(text.p, text.n, &end, 0);

    if (v) {
        CHECK(j != NULL);
        CHECK(oracle_same(v, j));
    } else if (j) {
        /* cJSON reads the first value and looks no further */
        CHECK(oracle_known_difference(message));
    }
    cJSON_Delete(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    struct ea_str text = ea_strn(copy, size);
    struct ea_err err = {0};
    struct ea_arena a;
    struct ea_buf b;
    struct ea_val v;
    size_t used = 0;
    int rc;

    if (size)
        memcpy(copy, data, size);
    ea_arena_init(&a, 256u << 20, 0);
    ea_buf_init(&b, 64u << 20);
    rc = ea_json_parse(&a, text, NULL, &v, NULL, &err);
    CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
    CHECK(rc == 0 || (err.code == rc && err.text[0]));
    if (rc == 0) {
        CHECK(ea_json_print(&b, &v) == 0);
        print_is_stable(&a, &v, &b);
    }
    lazy_is_the_same(&a, text, rc == 0 ? &v : NULL, &b);
    compare_with_cjson(text, rc == 0 ? &v : NULL, err.text);
    if (ea_json_parse(&a, text, &ea_json_review_opts, &v, &used, NULL) == 0)
        CHECK(used > 0 && used <= size);
    ea_buf_done(&b);
    ea_arena_done(&a);
    free(copy);
    return 0;
}
