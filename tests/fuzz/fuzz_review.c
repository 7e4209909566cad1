/* AdmissionReview bytes through decode, judge, decide, record and answer, by the built-in controls:
 * no crash, the uid comes back, the answer is JSON, the record is canonical and small, and what
 * denies also says why. */
#include <stdio.h>

#include "admission/review.h"
#include "base/limits.h"
#include "doc/json.h"
#include "doc/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

static void digest(void *arg, bool keyed, struct ea_str bytes, char ret_hex[65])
{
    (void)arg;
    CHECK(bytes.n > 1 && bytes.p[0] == '{' && bytes.p[bytes.n - 1] == '}');
    memset(ret_hex, keyed ? 'b' : 'a', 64);
    ret_hex[64] = 0;
}

static bool owner_fails(void *arg, struct ea_str uid, struct ea_str kind,
                        const struct ea_finding *f)
{
    (void)arg;
    return uid.n > 0 && kind.n > 0 && f->result == EA_FAIL;
}

static struct ea_ruleset *rules(void)
{
    static struct ea_ruleset *set;
    struct ea_ruleset_opts o = {0};

    if (!set)
        CHECK(ea_ruleset_load(&o, &set, NULL, NULL) == 0);
    return set;
}

static void check_answer(struct ea_arena *a, const struct ea_review *rv, struct ea_str answer)
{
    const struct ea_val *warnings;
    struct ea_val v;

    CHECK(ea_json_parse(a, answer, NULL, &v, NULL, NULL) == 0);
    CHECK(ea_str_eq(ea_val_path_str(&v, "response.uid"), rv->uid));
    CHECK(ea_val_path(&v, "response.allowed")->b == rv->allowed);
    CHECK(rv->allowed == (ea_val_path(&v, "response.status") == NULL));
    if (!rv->allowed)
        CHECK(ea_val_path_str(&v, "response.status.message").n > 0);
    warnings = ea_val_path(&v, "response.warnings");
    CHECK(!warnings || (warnings->n > 0 && warnings->n <= EA_MAX_WARNINGS));
    for (uint32_t i = 0; warnings && i < warnings->n; i++) {
        struct ea_str text = ea_val_text(ea_val_at(warnings, i));
        size_t chars = 0;

        for (size_t k = 0; k < text.n; k++)
            chars += ((unsigned char)text.p[k] & 0xc0) != 0x80;
        CHECK(chars <= EA_MAX_WARNING_LEN);
    }
}

static void check_record(struct ea_arena *a, const struct ea_review_env *env,
                         const struct ea_review *rv)
{
    struct ea_buf record, again;
    struct ea_val v;

    ea_buf_init(&record, EA_MAX_RECORD);
    ea_buf_init(&again, EA_MAX_RECORD);
    CHECK(ea_review_record(env, rv, &record) == 0);
    CHECK(ea_json_parse(a, ea_buf_str(&record), NULL, &v, NULL, NULL) == 0);
    CHECK(ea_jcs_print(&again, &v) == 0 && ea_str_eq(ea_buf_str(&record), ea_buf_str(&again)));
    ea_buf_done(&record);
    ea_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ea_owners owners = {.fails = owner_fails};
    struct ea_review_env env = {.rules = rules(),
                                .owners = &owners,
                                .enforcement = EA_DENY,
                                .floor = EA_HIGH,
                                .now = 1,
                                .digest = digest};
    struct ea_arena a, b;
    struct ea_review rv;
    struct ea_str answer;
    int rc;

    ea_arena_init(&a, 16u << 20, 0);
    ea_arena_init(&b, 64u << 20, 0);
    rc = ea_review(&env, &a, ea_strn((const char *)data, size), &rv, &answer, NULL);
    CHECK(rc == 0 || rc == -EINVAL || rc == -E2BIG);
    if (rc == 0) {
        check_answer(&b, &rv, answer);
        check_record(&b, &env, &rv);
    }
    ea_arena_done(&b);
    ea_arena_done(&a);
    return 0;
}
