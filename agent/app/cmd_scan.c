/* app/cmd_scan.c - judges manifests offline: read everything, then one object at a time through the
 * evaluator that the webhook uses. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "app/rules.h"
#include "app/scan_filter.h"
#include "app/scan_input.h"
#include "app/scan_report.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"

#define PROGRESS_US                                                                                \
    2000000u /* silence after which progress is shown, and between two lines of it */

struct scan {
    struct ea_rules rules;
    struct ea_exemptions *exemptions; /* of --exemptions */
    struct ea_filter filter;
    struct ea_scan_input in;
    struct ea_scan_report report;
    ea_mono_us said; /* progress */
    int fail_on;     /* enum ea_action, or EA_ACTION_COUNT for never */
    bool fail_on_unknown, complete;
    size_t counted; /* findings that make the exit status 1 */
};

/* ---- messages ---- */

static void say_at(struct ea_str file, unsigned line, const char *text)
{
    /* "line 3, column 5: what" after "file:3:" would say the line twice. */
    const char *rest = strncmp(text, "line ", 5) == 0 ? strpbrk(text, ",:") : NULL;

    if (line && rest)
        (void)fprintf(stderr, "%.*s:%u: %s\n", EA_STRF(file), line, rest + strspn(rest, ",: "));
    else if (line)
        (void)fprintf(stderr, "%.*s:%u: %s\n", EA_STRF(file), line, text);
    else if (strncmp(text, file.p ? file.p : "", file.n) == 0)
        (void)fprintf(stderr, "%s\n", text);
    else
        (void)fprintf(stderr, "%.*s: %s\n", EA_STRF(file), text);
}

static void on_error(void *arg, struct ea_str file, unsigned line, const char *text)
{
    struct scan *s = arg;

    say_at(file, line, text);
    ea_scan_report_problem(&s->report, file, line, text);
}

static void on_warning(void *arg, struct ea_str file, unsigned line, const char *text)
{
    (void)arg;
    EA_AUTO_FREE char *full = ea_xasprintf(
        "warning: %s",
        strncmp(text, "line ", 5) == 0 && strchr(text, ':') ? strchr(text, ':') + 2 : text);

    say_at(file, line, full);
}

static void progress(struct scan *s, const char *what, size_t n, size_t of)
{
    ea_mono_us now = ea_mono_now();

    if (now - s->said < PROGRESS_US)
        return;
    s->said = now;
    if (of)
        (void)fprintf(stderr, "scan: %zu of %zu %s\n", n, of, what);
    else
        (void)fprintf(stderr, "scan: %zu %s\n", n, what);
}

static void on_progress(void *arg, const struct ea_scan_input *in)
{
    progress(arg, "files read", in->n_files, 0);
}

static int write_stdout(void *arg, const void *p, size_t n)
{
    (void)arg;
    return ea_write_all(STDOUT_FILENO, p, n);
}

/* ---- judging ---- */

static void count(struct scan *s, const struct ea_findings *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct ea_finding *x = &f->f[i];

        if (x->result == EA_FAIL)
            s->counted += !x->exemption && (int)x->action >= s->fail_on;
        else if (x->result == EA_UNKNOWN)
            s->counted += s->fail_on_unknown ||
                          (s->fail_on < EA_ACTION_COUNT && ea_finding_denies(x, EA_DENY));
    }
}

static int judge_all(struct scan *s, const struct ea_judge_opts *opts, struct ea_scan_index *index,
                     struct ea_err *err)
{
    struct ea_judge_opts o = *opts;
    struct ea_arena a;
    int r = 0;

    o.lookup = &index->lookup;
    ea_arena_init(&a, EA_ARENA_OBJECT, 1u << 20);
    for (size_t i = 0; i < s->in.n; i++) {
        const struct ea_scan_object *obj = &s->in.v[i];
        struct ea_subject subject;
        struct ea_findings f = {0};
        struct ea_err e = {0};

        ea_arena_reset(&a);
        if (ea_scan_subject(index, obj, &a, &subject) < 0 ||
            ea_judge(s->rules.set, &subject, &o, &a, &f, &e) < 0) {
            on_error(s, obj->src.file, obj->src.line,
                     e.code ? e.text : "the object is too large to be judged");
            s->in.n_errors++;
            continue;
        }
        if (f.n == 0 && !ea_ruleset_asks_for(s->rules.set, &subject.gvr))
            ea_scan_report_not_judged(&s->report, obj->api_version, obj->kind);
        count(s, &f);
        ea_scan_report_object(&s->report, &subject, &obj->src, &f);
        if (s->report.write_error) {
            r = ea_fail(err, s->report.write_error, "writing to stdout: %s",
                        strerror(-s->report.write_error));
            break;
        }
        if ((i & 255) == 255)
            progress(s, "objects judged", i + 1, s->in.n);
    }
    ea_arena_done(&a);
    return r;
}

static void tell_not_judged(const struct scan *s)
{
    for (size_t i = 0; i < s->report.n_nj; i++) {
        const struct ea_not_judged *n = &s->report.nj[i];

        (void)fprintf(stderr, "not judged: %.*s, %.*s (%u document%s)\n", EA_STRF(n->api_version),
                      EA_STRF(n->kind), n->n, n->n == 1 ? "" : "s");
    }
    if (s->in.n_foreign)
        (void)fprintf(stderr, "not judged: %zu document%s without apiVersion and kind\n",
                      s->in.n_foreign, s->in.n_foreign == 1 ? "" : "s");
}

/* ---- options ---- */

static const struct ea_scan_format *format_of(const char *name)
{
    static const struct ea_scan_format *const all[] = {
        &ea_scan_table, &ea_scan_json, &ea_scan_jsonl, &ea_scan_sarif, &ea_scan_junit};

    for (size_t i = 0; i < EA_COUNT(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return &ea_scan_table;
}

static const struct ea_opt options[] = {
    {.name = "format",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "table",
     .choices = "table|json|jsonl|sarif|junit",
     .help = "what to print on stdout"},
    {.name = "level",
     .kind = EA_OPT_VALUE,
     .arg = "LEVEL",
     .dflt = "high",
     .choices = "basic|substantial|high",
     .help = "assurance level; controls above it are left out"},
    {.name = "reference",
     .kind = EA_OPT_LIST,
     .arg = "FRAMEWORK[:PART]",
     .help = "only controls that reference it (pss:restricted, cis:5.2.2, eucs:OPS-21); the level "
             "does not filter then"},
    {.name = "control",
     .kind = EA_OPT_LIST,
     .arg = "ID",
     .help = "only these controls; the level does not filter then"},
    EA_RULES_OPTIONS,
    {.name = "exemptions",
     .kind = EA_OPT_VALUE,
     .arg = "FILE",
     .help = "file or folder of Exemption documents"},
    {.name = "fail-on",
     .kind = EA_OPT_VALUE,
     .arg = "ACTION",
     .dflt = "deny",
     .choices = "deny|warn|audit|never",
     .help = "exit 1 for failures of controls with this action or a stronger one"},
    {.name = "fail-on-unknown",
     .kind = EA_OPT_FLAG,
     .help = "exit 1 also when something could not be judged"},
    {.name = "complete",
     .kind = EA_OPT_FLAG,
     .help = "the input is the whole cluster: what is not in it does not exist"},
    {.name = "at",
     .kind = EA_OPT_VALUE,
     .arg = "TIME",
     .help = "judge as of this RFC 3339 time (exemptions, ages); not given: now"},
    {.name = NULL},
};

static int fail_on(const char *s)
{
    int a = ea_action_parse(ea_str(s));

    return a < 0 ? EA_ACTION_COUNT : a;
}

static int configure(struct scan *s, const struct ea_args *a, struct ea_judge_opts *o,
                     struct ea_err *err)
{
    const char *level = ea_opt_get(a, "level"), *at = ea_opt_get(a, "at"),
               *exemptions = ea_opt_get(a, "exemptions");
    int r = ea_rules_open(a, false, &s->rules, err);

    if (r < 0)
        return r;
    (void)ea_rules_warn(&s->rules);
    r = ea_filter_init(&s->filter, a, s->rules.set, err);
    if (r == 0 && exemptions)
        r = ea_exemptions_load(exemptions, &s->exemptions, err);
    if (r < 0)
        return r;
    if (s->rules.config && !ea_opt_has(a, "level"))
        level = s->rules.config->level;
    *o = (struct ea_judge_opts){.floor = (enum ea_level)ea_level_parse(ea_str(level)),
                                .now_us = ea_wall_now(),
                                .trace = true,
                                .exemptions = s->exemptions ? s->exemptions : s->rules.exemptions,
                                .ignore_level = s->filter.n_controls || s->filter.n_references};
    if (o->ignore_level) {
        o->wanted = ea_filter_wants;
        o->wanted_arg = &s->filter;
    }
    if (at && ea_rfc3339_parse(ea_str(at), &o->now_us) < 0)
        return ea_fail(err, -EINVAL, "--at %s is no RFC 3339 time (2026-01-31T12:00:00Z)", at);
    s->fail_on = fail_on(ea_opt_get(a, "fail-on"));
    s->fail_on_unknown = ea_opt_has(a, "fail-on-unknown");
    s->complete = ea_opt_has(a, "complete");
    ea_scan_report_init(&s->report, format_of(ea_opt_get(a, "format")), s->rules.set);
    s->report.write = write_stdout;
    s->report.level = o->floor;
    s->report.now_us = o->now_us;
    s->report.colour = ea_colour();
    return 0;
}

static void scan_done(struct scan *s)
{
    ea_scan_report_done(&s->report);
    ea_scan_input_done(&s->in);
    ea_exemptions_free(s->exemptions);
    ea_rules_close(&s->rules);
}

static int run(const struct ea_args *a)
{
    struct scan s = {.said = ea_mono_now()};
    struct ea_judge_opts o;
    struct ea_scan_index index;
    struct ea_err err = {0};
    size_t n;
    const char *const *paths = ea_args_words(a, &n);
    int r = configure(&s, a, &o, &err);
    bool bad;

    if (r < 0) {
        (void)fprintf(stderr, "eucs-agent scan: %s\n", ea_err_text(&err));
        scan_done(&s);
        return 2;
    }
    ea_scan_input_init(&s.in);
    s.in.on_error = on_error;
    s.in.on_warning = on_warning;
    s.in.on_progress = on_progress;
    s.in.arg = &s;
    for (size_t i = 0; i < n; i++)
        ea_scan_input_add(&s.in, paths[i]);
    ea_scan_index_init(&index, s.rules.set, &s.in, s.complete);
    ea_scan_report_begin(&s.report);
    r = judge_all(&s, &o, &index, &err);
    if (r == 0 && (r = ea_scan_report_end(&s.report)) < 0)
        r = ea_fail(&err, r, "writing to stdout: %s", strerror(-r));
    tell_not_judged(&s);
    if (r < 0)
        (void)fprintf(stderr, "eucs-agent scan: %s\n", ea_err_text(&err));
    bad = r < 0 || s.in.n_errors > 0;
    r = bad ? 2 : s.counted > 0;
    ea_scan_index_done(&index);
    scan_done(&s);
    return r;
}

const struct ea_cmd ea_cmd_scan = {
    .name = "scan",
    .summary = "judge manifests offline: files, folders, stdin",
    .usage = "PATH… | -",
    .text = "Reads YAML and JSON (several documents, Lists, folders with *.yaml, *.yml and *.json) "
            "and judges every object with the\n"
            "evaluator, controls, exemptions and clock that the webhook uses. Without a request, "
            "controls that judge one are skipped.\n\n"
            "Exit status: 0 nothing found, 1 findings at or above --fail-on, 2 usage or unreadable "
            "input (everything readable is still\n"
            "printed).\n\n"
            "Examples:\n"
            "  eucs-agent scan manifests/\n"
            "  kubectl get deploy -A -o yaml | eucs-agent scan - --format jsonl\n"
            "  eucs-agent scan deploy.yaml --reference pss:restricted --fail-on warn\n"
            "  eucs-agent scan . --format sarif > eucs.sarif",
    .options = options,
    .min_words = 1,
    .max_words = UINT_MAX,
    .run = run,
};
