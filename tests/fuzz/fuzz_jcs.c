/* Canonical printing: what was printed reads back and prints the same bytes, and says the same as
 * the document. */
#include <stdio.h>

#include "base/arena.h"
#include "doc/json.h"
#include "doc/num.h"
#include "doc/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

typedef int print_fn(struct ea_buf *b, const struct ea_val *v);

static void check_sorted(const struct ea_val *v)
{
    uint32_t i;

    for (i = 0; i < v->n && v->type == EA_V_LIST; i++)
        check_sorted(&v->items[i]);
    for (i = 0; i < v->n && v->type == EA_V_MAP; i++) {
        CHECK(i == 0 ||
              ea_jcs_cmp(ea_val_text(&v->members[i - 1].key), ea_val_text(&v->members[i].key)) < 0);
        check_sorted(&v->members[i].val);
    }
}

static bool print_twice(struct ea_arena *a, const struct ea_val *v, print_fn *print,
                        struct ea_val *ret)
{
    struct ea_buf first, second;
    struct ea_str kept;
    int rc;

    ea_buf_init(&first, 64u << 20);
    ea_buf_init(&second, 64u << 20);
    rc = print(&first, v);
    CHECK(rc == 0 || rc == -EINVAL);
    if (rc == 0) {
        kept = ea_arena_str(a, ea_buf_str(&first));
        CHECK(kept.p && ea_json_parse(a, kept, NULL, ret, NULL, NULL) == 0);
        check_sorted(ret);
        CHECK(print(&second, ret) == 0);
        CHECK(ea_str_eq(kept, ea_buf_str(&second)));
    }
    ea_buf_done(&first);
    ea_buf_done(&second);
    return rc == 0;
}

/* Every double prints as text that reads back as itself. */
static void check_number(const uint8_t *data, size_t size)
{
    char text[EA_NUM_MAX];
    double d, again;
    unsigned n;

    if (size < sizeof d)
        return;
    memcpy(&d, data, sizeof d);
    if (d - d != 0)
        return;
    n = ea_num_print(d, text);
    CHECK(n < sizeof text && text[n] == '\0');
    CHECK(ea_num_parse(ea_strn(text, n), &again) == 0 && again == d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_arena a;
    struct ea_val v, again;

    check_number(data, size);
    ea_arena_init(&a, 256u << 20, 0);
    if (ea_json_parse(&a, ea_strn((const char *)data, size), NULL, &v, NULL, NULL) == 0) {
        CHECK(print_twice(&a, &v, ea_jcs_print_full, &again));
        if (print_twice(&a, &v, ea_jcs_print, &again))
            CHECK(ea_val_equal(&v, &again));
    }
    ea_arena_done(&a);
    return 0;
}
