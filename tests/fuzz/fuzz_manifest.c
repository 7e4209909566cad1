/* Manifests: whatever scan reads, every object gets its findings and every line of output is JSON.
 */
#include "app/scan_index.c"
#include "app/scan_input.c"

#include "doc/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static struct ea_ruleset *rules(void)
{
    static struct ea_ruleset *rs;
    struct ea_ruleset_opts o = {0};

    if (!rs)
        CHECK(ea_ruleset_load(&o, &rs, NULL, NULL) == 0);
    return rs;
}

static void check_line(struct ea_arena *a, struct ea_str line)
{
    struct ea_val v;
    struct ea_err err = {0};

    if (ea_json_parse(a, line, NULL, &v, NULL, &err) < 0) {
        fprintf(stderr, "%s: %.*s\n", err.text, EA_STRF(line));
        abort();
    }
    CHECK(ea_val_get_str(&v, "control").n > 0);
    CHECK(ea_val_path(&v, "object.kind"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_scan_input in;
    struct ea_scan_index x;
    struct ea_arena a;
    struct ea_buf b;

    if (size > 65536)
        return 0;
    ea_scan_input_init(&in);
    ea_scan_input_bytes(&in, EA_STR("f"), ea_strn((const char *)data, size), true);
    ea_scan_index_init(&x, rules(), &in, true);
    ea_arena_init(&a, 64u << 20, 0);
    ea_buf_init(&b, 64u << 20);
    for (size_t i = 0; i < in.n && i < 64; i++) {
        struct ea_judge_opts o = {.floor = EA_HIGH, .trace = true, .lookup = &x.lookup};
        struct ea_subject s;
        struct ea_findings f;

        ea_arena_reset(&a);
        if (ea_scan_subject(&x, &in.v[i], &a, &s) < 0 || ea_judge(x.rs, &s, &o, &a, &f, NULL) < 0)
            continue;
        for (unsigned k = 0; k < f.n; k++) {
            ea_buf_clear(&b);
            CHECK(ea_finding_render(&b, &f.f[k], &s, &in.v[i].src) == 0);
            check_line(&a, ea_buf_str(&b));
        }
    }
    ea_buf_done(&b);
    ea_arena_done(&a);
    ea_scan_index_done(&x);
    ea_scan_input_done(&in);
    return 0;
}
