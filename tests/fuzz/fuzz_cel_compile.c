/* Any bytes as an expression, in both flavours: compiled or refused with a place, and
 * deterministic. */
#include <stdio.h>

#include "base/arena.h"
#include "cel/cel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ea_cel_var vars[] = {
        {{"object", 6}, NULL}, {{"request", 7}, "request"}, {{"variables.a", 11}, "list(dyn)"}};
    const unsigned minors[] = {0, 27, 30};
    struct ea_arena a;
    unsigned i;

    if (size > 4096)
        return 0;
    ea_arena_init(&a, 16u << 20, 0);
    for (i = 0; i < 4; i++) {
        struct ea_cel_env env = {.flavour = i < 3 ? EA_CEL_KUBERNETES : EA_CEL_CONFORMANCE,
                                 .minor = i < 3 ? minors[i] : 0,
                                 .vars = vars,
                                 .n_vars = EA_COUNT(vars)};
        struct ea_str src = ea_strn((const char *)data, size);
        const struct ea_cel_prog *p = NULL, *q = NULL;
        struct ea_cel_diag d, e;
        int rc = ea_cel_compile(&a, src, &env, EA_CEL_WANT_ANY, &p, &d);

        CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
        CHECK((rc == 0) == (p != NULL));
        if (rc) {
            CHECK(d.line >= 1 && d.column >= 1 && d.text[0] != '\0');
            CHECK(d.kind == EA_CEL_E_PARSE || d.kind == EA_CEL_E_CHECK);
        } else {
            CHECK(ea_str_eq(ea_cel_prog_source(p), src));
            CHECK(ea_cel_prog_type(p) != NULL);
        }
        CHECK(ea_cel_compile(&a, src, &env, EA_CEL_WANT_ANY, &q, &e) == rc);
        CHECK(rc == 0 || strcmp(d.text, e.text) == 0);
        ea_arena_reset(&a);
    }
    ea_arena_done(&a);
    return 0;
}
