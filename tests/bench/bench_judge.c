/* Evaluation of one Deployment against every control that matches it: microseconds an object,
 * beside the parse of the same review.
 *
 * Usage: bench_judge [review.json [seconds]]. One line a figure.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "controls/judge.h"
#include "doc/json.h"

struct subject_of {
    struct ea_val root;
    struct ea_subject s;
};

static int make_subject(struct ea_arena *a, struct ea_str text, struct subject_of *ret,
                        struct ea_err *err)
{
    int r = ea_json_parse(a, text, &ea_json_review_opts, &ret->root, NULL, err);
    const struct ea_val *req = r == 0 ? ea_val_getz(&ret->root, "request") : NULL;
    const struct ea_val *object = ea_val_getz(req, "object"), *old = ea_val_getz(req, "oldObject");

    if (r < 0)
        return r;
    if (!object || !ea_builtin_kind(ea_val_get_str(object, "apiVersion"),
                                    ea_val_get_str(object, "kind"), &ret->s.gvr))
        return ea_fail(err, -EINVAL, "the review holds no object of a built-in kind");
    ret->s.op = EA_OP_UPDATE;
    ret->s.has_request = true;
    ret->s.object = *object;
    if (old)
        ret->s.old_object = *old;
    ret->s.request = *req;
    ret->s.name = ea_val_get_str(req, "name");
    ret->s.namespace_ = ea_val_get_str(req, "namespace");
    return 0;
}

static double measure_judge(const struct ea_ruleset *rs, struct ea_str text, double seconds,
                            bool *ret_ok, unsigned *ret_n)
{
    struct ea_arena doc, work;
    struct subject_of o;
    struct ea_findings f = {0};
    struct ea_judge_opts opts = {.floor = EA_HIGH, .now_us = ea_wall_now()};
    struct ea_err err = {0};
    unsigned long rounds = 0;
    ea_mono_us start, end;

    memset(&o, 0, sizeof(o));
    ea_arena_init(&doc, EA_ARENA_REVIEW, 0);
    ea_arena_init(&work, EA_ARENA_REVIEW, 1u << 20);
    *ret_ok = make_subject(&doc, text, &o, &err) == 0;
    start = end = ea_mono_now();
    while (*ret_ok && (double)(end - start) < seconds * 1e6) {
        for (int i = 0; i < 64 && *ret_ok; i++, rounds++) {
            ea_arena_reset(&work);
            *ret_ok = ea_judge(rs, &o.s, &opts, &work, &f, &err) == 0;
        }
        end = ea_mono_now();
    }
    if (!*ret_ok)
        (void)fprintf(stderr, "bench_judge: %s\n", ea_err_text(&err));
    *ret_n = f.n;
    ea_arena_done(&work);
    ea_arena_done(&doc);
    return rounds ? (double)(end - start) / (double)rounds : 0;
}

static double measure_parse(struct ea_str text, double seconds)
{
    struct ea_arena doc;
    struct subject_of o;
    unsigned long rounds = 0;
    ea_mono_us start, end;

    ea_arena_init(&doc, EA_ARENA_REVIEW, 1u << 20);
    start = end = ea_mono_now();
    while ((double)(end - start) < seconds * 1e6) {
        for (int i = 0; i < 64; i++, rounds++) {
            ea_arena_reset(&doc);
            memset(&o, 0, sizeof(o));
            if (make_subject(&doc, text, &o, NULL) < 0)
                return 0;
        }
        end = ea_mono_now();
    }
    ea_arena_done(&doc);
    return rounds ? (double)(end - start) / (double)rounds : 0;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "tests/bench/data/review.json";
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 1.0, us, parse;
    struct ea_ruleset_opts o = {0};
    struct ea_ruleset *rs = NULL;
    struct ea_err err = {0};
    EA_AUTO_FREE char *text = NULL;
    size_t n;
    unsigned findings;
    bool ok;

    if (ea_read_file(path, EA_MAX_ADMISSION_BODY, &text, &n, &err) < 0 ||
        ea_ruleset_load(&o, &rs, NULL, &err) < 0) {
        (void)fprintf(stderr, "bench_judge: %s\n", ea_err_text(&err));
        return 1;
    }
    us = measure_judge(rs, ea_strn(text, n), seconds, &ok, &findings);
    parse = measure_parse(ea_strn(text, n), seconds / 2);
    if (ok)
        (void)printf("judge: %.2f us an object, %u controls (%.0f ns each), bar 25 us; parse of "
                     "the review %.2f us, ratio %.2f\n",
                     us, findings, findings ? us * 1000 / findings : 0, parse,
                     parse > 0 ? us / parse : 0);
    ea_ruleset_unref(rs);
    return ok ? 0 : 1;
}
