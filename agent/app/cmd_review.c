/* app/cmd_review.c - `review`: an AdmissionReview on stdin, the webhook's answer on stdout, by the
 * webhook's own code. */
#include <limits.h>
#include <stdio.h>

#include "admission/review.h"
#include "app/rules.h"
#include "app/scan_input.h"
#include "base/fd.h"
#include "base/limits.h"

static void on_error(void *arg, struct ea_str file, unsigned line, const char *text)
{
    (void)arg;
    (void)fprintf(stderr, "%.*s:%u: %s\n", EA_STRF(file), line, text);
}

/* Objects that stand for the cluster: namespaces and whatever controls join with. */
static void read_objects(const struct ea_args *a, const struct ea_ruleset *rs,
                         struct ea_scan_input *in, struct ea_scan_index *index)
{
    size_t n;
    const char *const *paths = ea_opt_list(a, "objects", &n);

    ea_scan_input_init(in);
    in->on_error = on_error;
    for (size_t i = 0; i < n; i++)
        ea_scan_input_add(in, paths[i]);
    ea_scan_index_init(index, rs, in, ea_opt_has(a, "complete"));
}

static int make_env(const struct ea_args *a, const struct ea_rules *rules,
                    struct ea_review_env *env, struct ea_err *err)
{
    const struct ea_config *c = rules->config;
    const char *level = c && !ea_opt_has(a, "level") ? c->level : ea_opt_get(a, "level");
    const char *enforcement =
        c && !ea_opt_has(a, "enforcement") ? c->enforcement : ea_opt_get(a, "enforcement");
    const char *at = ea_opt_get(a, "at");

    *env =
        (struct ea_review_env){.rules = rules->set,
                               .exemptions = rules->exemptions,
                               .enforcement = (enum ea_action)ea_action_parse(ea_str(enforcement)),
                               .floor = (enum ea_level)ea_level_parse(ea_str(level)),
                               .existing_deny = c && strcmp(c->existing_workloads, "deny") == 0,
                               .now = ea_wall_now()};
    if (at && ea_rfc3339_parse(ea_str(at), &env->now) < 0)
        return ea_fail(err, -EINVAL, "--at %s is no RFC 3339 time (2026-01-31T12:00:00Z)", at);
    return 0;
}

static int answer(const struct ea_args *a, struct ea_review_env *env, struct ea_arena *arena,
                  struct ea_err *err)
{
    size_t words;
    const char *const *paths = ea_args_words(a, &words);
    EA_AUTO_FREE char *body = NULL;
    struct ea_review rv;
    struct ea_str out = EA_STR_NULL;
    size_t n;
    int r = ea_read_file(words ? paths[0] : "-", EA_MAX_ADMISSION_BODY, &body, &n, err);

    if (r == 0)
        r = ea_review(env, arena, ea_strn(body, n), &rv, &out, err);
    if (r < 0)
        return r;
    if (fwrite(out.p, 1, out.n, stdout) != out.n || fputc('\n', stdout) == EOF || fflush(stdout))
        return ea_fail(err, -EIO, "writing to stdout failed");
    return ea_opt_has(a, "exit-code") && !rv.allowed;
}

static int run(const struct ea_args *a)
{
    const char *file = ea_opt_get(a, "exemptions");
    struct ea_rules rules;
    struct ea_exemptions *exemptions = NULL;
    struct ea_scan_input in;
    struct ea_scan_index index;
    struct ea_review_env env;
    struct ea_arena arena;
    struct ea_err err = {0};
    int r = ea_rules_open(a, false, &rules, &err);

    if (r < 0)
        goto said;
    (void)ea_rules_warn(&rules);
    r = make_env(a, &rules, &env, &err);
    if (r == 0 && file)
        r = ea_exemptions_load(file, &exemptions, &err);
    if (r == 0) {
        if (exemptions)
            env.exemptions = exemptions;
        read_objects(a, rules.set, &in, &index);
        env.lookup = in.n ? &index.lookup : NULL;
        ea_arena_init(&arena, EA_ARENA_REVIEW, 0);
        r = in.n_errors ? ea_fail(&err, -EINVAL, "--objects could not be read")
                        : answer(a, &env, &arena, &err);
        ea_arena_done(&arena);
        ea_scan_index_done(&index);
        ea_scan_input_done(&in);
    }
    ea_exemptions_free(exemptions);
    ea_rules_close(&rules);
said:
    if (r < 0)
        (void)fprintf(stderr, "eucs-agent review: %s\n", ea_err_text(&err));
    return r < 0 ? 2 : r;
}

static const struct ea_opt options[] = {
    EA_RULES_OPTIONS,
    {.name = "exemptions",
     .kind = EA_OPT_VALUE,
     .arg = "FILE",
     .help = "file or folder of Exemption documents"},
    {.name = "level",
     .kind = EA_OPT_VALUE,
     .arg = "LEVEL",
     .dflt = "high",
     .choices = "basic|substantial|high",
     .help = "assurance level (floor)"},
    {.name = "enforcement",
     .kind = EA_OPT_VALUE,
     .arg = "ACTION",
     .dflt = "deny",
     .choices = "audit|warn|deny",
     .help = "the strongest thing a verdict may do"},
    {.name = "objects",
     .kind = EA_OPT_LIST,
     .arg = "PATH",
     .help = "manifests that stand for the cluster (namespaces, joined objects)"},
    {.name = "complete", .kind = EA_OPT_FLAG, .help = "--objects is the whole cluster"},
    {.name = "at",
     .kind = EA_OPT_VALUE,
     .arg = "TIME",
     .help = "judge as of this RFC 3339 time; not given: now"},
    {.name = "exit-code", .kind = EA_OPT_FLAG, .help = "exit 1 when the request is denied"},
    {.name = NULL},
};

const struct ea_cmd ea_cmd_review = {
    .name = "review",
    .summary = "answer one AdmissionReview as the webhook would",
    .usage = "[FILE]",
    .text = "Reads an AdmissionReview (admission.k8s.io/v1) from FILE or stdin and prints the "
            "answer. No evidence is written, so the answer\n"
            "has no evidence position.\n\n"
            "Exit status: 0 answered, 1 denied with --exit-code, 2 usage or no readable review.\n\n"
            "Example: eucs-agent review --objects namespaces.yaml < review.json",
    .options = options,
    .min_words = 0,
    .max_words = 1,
    .run = run,
};
