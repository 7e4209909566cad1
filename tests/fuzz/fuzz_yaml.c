/* Both YAML profiles: what is accepted prints as JSON that reads back the same, and every node has
 * a line. */
#include <stdio.h>

#include "base/arena.h"
#include "doc/json.h"
#include "doc/print.h"
#include "doc/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static void check_lines(const struct ea_yaml_doc *d, const struct ea_val *v, unsigned max,
                        unsigned budget)
{
    uint32_t i;

    for (i = 0; i < v->n && v->type == EA_V_LIST && budget; i++, budget--) {
        unsigned line = ea_yaml_line(d, &v->items[i]);

        CHECK(line >= 1 && line <= max);
        check_lines(d, &v->items[i], max, budget / 2);
    }
    for (i = 0; i < v->n && v->type == EA_V_MAP && budget; i++, budget--) {
        unsigned line = ea_yaml_line(d, &v->members[i].val);

        CHECK(line >= 1 && line <= max && line == ea_yaml_line(d, &v->members[i].key));
        check_lines(d, &v->members[i].val, max, budget / 2);
    }
}

static void check_document(struct ea_arena *a, const struct ea_yaml_doc *d, unsigned max)
{
    struct ea_val again;
    struct ea_buf b;
    int rc;

    CHECK(d->line >= 1 && d->line <= max);
    check_lines(d, &d->root, max, 1000);
    ea_buf_init(&b, 16u << 20);
    rc = ea_json_print(&b, &d->root);
    /* aliases may make a small text large */
    CHECK(rc == 0 || rc == -E2BIG);
    if (rc == 0) {
        CHECK(ea_json_parse(a, ea_buf_str(&b), NULL, &again, NULL, NULL) == 0);
        CHECK(ea_val_equal(&d->root, &again));
    }
    ea_buf_done(&b);
}

static void one_profile(struct ea_str text, enum ea_yaml_profile profile, unsigned lines)
{
    struct ea_yaml_stream s;
    struct ea_err err = {0};
    struct ea_arena a;
    size_t i;
    int rc;

    ea_arena_init(&a, 256u << 20, 0);
    rc = ea_yaml_parse(&a, text, profile, &s, &err);
    CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
    CHECK(rc == 0 || (err.code == rc && err.text[0]));
    for (i = 0; rc == 0 && i < s.n; i++)
        check_document(&a, &s.docs[i], lines);
    ea_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    unsigned lines = 2;
    size_t i;

    if (size)
        memcpy(copy, data, size);
    /* YAML has more line ends than one: CR, NEL, LS, PS */
    for (i = 0; i < size; i++)
        lines += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 ||
                 data[i] == 0xa9;
    one_profile(ea_strn(copy, size), EA_YAML_STRICT, lines);
    one_profile(ea_strn(copy, size), EA_YAML_KUBERNETES, lines);
    free(copy);
    return 0;
}
