/* app/cmd_controls.c - `controls list`, `show`, `lint`, `test`: work with control files. */
#include <stdio.h>

#include "app/rules.h"
#include "app/scan_filter.h"
#include "base/limits.h"
#include "controls/cases.h"
#include "doc/print.h"

static int failed(const char *command, const struct ea_err *err)
{
    (void)fprintf(stderr, "eucs-agent %s: %s\n", command, ea_err_text(err));
    return 2;
}

/* ---- list ---- */

static void add_words(struct ea_buf *b, const struct ea_str *v, unsigned n, const char *sep)
{
    for (unsigned i = 0; i < n; i++)
        ea_buf_addf(b, "%s%.*s", i ? sep : "", EA_STRF(v[i]));
}

static void list_json(struct ea_buf *b, const struct ea_control *c)
{
    const struct ea_val *refs = ea_val_path(&c->document, "spec.references");

    ea_buf_addz(b, "{\"id\":");
    ea_buf_add_json(b, c->id);
    ea_buf_addz(b, ",\"group\":");
    ea_buf_add_json(b, c->group);
    ea_buf_addz(b, ",\"title\":");
    ea_buf_add_json(b, c->title);
    ea_buf_addf(b,
                ",\"severity\":\"%s\",\"level\":\"%s\",\"action\":\"%s\",\"fit\":\"%s\","
                "\"perspective\":\"%s\",\"requirements\":[",
                ea_severity_names[c->severity], ea_level_names[c->level],
                ea_action_names[c->action], ea_fit_names[c->fit],
                ea_perspective_names[c->perspective]);
    for (unsigned i = 0; i < c->n_requirements; i++) {
        if (i)
            ea_buf_addc(b, ',');
        ea_buf_add_json(b, c->requirements[i]);
    }
    ea_buf_addz(b, "],\"references\":");
    if (!ea_val_is(refs, EA_V_MAP) || ea_json_print(b, refs) < 0)
        ea_buf_addz(b, "{}");
    ea_buf_addz(b, ",\"file\":");
    ea_buf_add_json(b, c->file);
    ea_buf_addf(b, ",\"configured\":%s,\"compileError\":", c->missing_param ? "false" : "true");
    if (c->compile_error)
        ea_buf_add_json(b, ea_str(c->compile_error));
    else
        ea_buf_addz(b, "null");
    ea_buf_addz(b, "}");
}

static void list_table(struct ea_buf *b, const struct ea_control *c)
{
    ea_buf_addf(b, "%-32.*s  %-8s  %-11s  %-5s  ", EA_STRF(c->id), ea_severity_names[c->severity],
                ea_level_names[c->level], ea_action_names[c->action]);
    ea_buf_addf(b, "%-10.*s  %.*s%s\n",
                EA_STRF(c->n_requirements ? c->requirements[0] : EA_STR("")), EA_STRF(c->title),
                c->compile_error   ? "  (does not compile)"
                : c->missing_param ? "  (a required param is not set)"
                                   : "");
}

static int run_list(const struct ea_args *a)
{
    const char *group = ea_opt_get(a, "group"), *level = ea_opt_get(a, "level");
    bool json = strcmp(ea_opt_get(a, "format"), "json") == 0;
    struct ea_rules rules;
    struct ea_filter filter;
    struct ea_err err = {0};
    struct ea_buf b;
    unsigned n = 0;

    if (ea_rules_open(a, false, &rules, &err) < 0)
        return failed("controls list", &err);
    if (ea_filter_init(&filter, a, rules.set, &err) < 0) {
        ea_rules_close(&rules);
        return failed("controls list", &err);
    }
    (void)ea_rules_warn(&rules);
    ea_buf_init(&b, 64u << 20);
    if (json)
        ea_buf_addz(&b, "[");
    for (unsigned i = 0; i < rules.set->n_controls; i++) {
        const struct ea_control *c = &rules.set->controls[i];

        if ((group && !ea_str_is(c->group, group)) ||
            (level && (int)c->level > ea_level_parse(ea_str(level))) ||
            !ea_filter_wants(&filter, c))
            continue;
        if (json)
            ea_buf_addz(&b, n ? ",\n" : "\n");
        n++;
        if (json)
            list_json(&b, c);
        else
            list_table(&b, c);
    }
    ea_buf_addf(&b, json ? "\n]\n" : "%u controls\n", n);
    ea_rules_close(&rules);
    return ea_print_out(&b, "controls list");
}

static const struct ea_opt list_options[] = {
    {.name = "format",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "table",
     .choices = "table|json",
     .help = "what to print"},
    {.name = "group",
     .kind = EA_OPT_VALUE,
     .arg = "GROUP",
     .help = "only this folder of controls (pod, rbac, …)"},
    {.name = "level",
     .kind = EA_OPT_VALUE,
     .arg = "LEVEL",
     .choices = "basic|substantial|high",
     .help = "only controls that apply at this level"},
    {.name = "reference",
     .kind = EA_OPT_LIST,
     .arg = "FRAMEWORK[:PART]",
     .help = "only controls that reference it"},
    EA_RULES_OPTIONS,
    {.name = NULL},
};

const struct ea_cmd ea_cmd_controls_list = {
    .name = "controls list",
    .summary = "list the controls",
    .text = "Examples:\n  eucs-agent controls list --group pod\n  eucs-agent controls list "
            "--reference pss:restricted -o json",
    .options = list_options,
    .run = run_list,
};

/* ---- show ---- */

static void show_text(struct ea_buf *b, const char *key, struct ea_str v)
{
    if (v.n)
        ea_buf_addf(b, "%-14s %.*s\n", key, EA_STRF(v));
}

static void show_indented(struct ea_buf *b, const char *head, struct ea_str text)
{
    struct ea_str rest = ea_str_trim(text);

    ea_buf_addf(b, "%s\n", head);
    while (rest.n) {
        struct ea_str line = ea_str_cut(rest, '\n', &rest);

        ea_buf_addf(b, "    %.*s\n", EA_STRF(line));
    }
}

static void show_requirements(struct ea_buf *b, const struct ea_ruleset *rs,
                              const struct ea_control *c)
{
    for (unsigned i = 0; i < c->n_requirements; i++) {
        const struct ea_requirement *q = ea_requirement_find(&rs->catalogue, c->requirements[i]);

        ea_buf_addf(b, "%-14s %.*s", i ? "" : "requirements", EA_STRF(c->requirements[i]));
        if (q)
            ea_buf_addf(b, " (%s): %.*s", ea_level_names[q->level], EA_STRF(q->gist));
        ea_buf_addz(b, "\n");
    }
}

static void show_refs(struct ea_buf *b, const struct ea_control *c)
{
    for (unsigned i = 0; i < c->n_refs; i++) {
        bool first = i == 0 || !ea_str_eq(c->refs[i].framework, c->refs[i - 1].framework);

        if (first)
            ea_buf_addf(b, "%s%-14s %.*s: ", i ? "\n" : "", i ? "" : "references",
                        EA_STRF(c->refs[i].framework));
        ea_buf_addf(b, "%s%.*s", first ? "" : ", ", EA_STRF(c->refs[i].part));
    }
    if (c->n_refs)
        ea_buf_addz(b, "\n");
}

static void show_rules(struct ea_buf *b, const struct ea_control *c)
{
    if (c->node)
        ea_buf_addz(b, "judges         every node, from node facts\n");
    for (unsigned i = 0; i < c->n_rules; i++) {
        const struct ea_match_rule *r = &c->rules[i];
        const char *sep = "";

        ea_buf_addf(b, "%-14s %s%.*s%s%.*s%s%.*s on ", i ? "" : "judges", r->exclude ? "not " : "",
                    EA_STRF(r->group), r->group.n ? "/" : "", EA_STRF(r->resource),
                    r->subresource.n ? "/" : "", EA_STRF(r->subresource));
        for (unsigned op = 1; op <= EA_OP_CONNECT; op <<= 1)
            if (r->ops & op) {
                ea_buf_addf(b, "%s%s", sep, ea_op_name(op));
                sep = ", ";
            }
        ea_buf_addz(b, "\n");
    }
}

static void show_params(struct ea_buf *b, const struct ea_control *c)
{
    const struct ea_val *declared = ea_val_path(&c->document, "spec.params");

    for (size_t i = 0; ea_val_is(declared, EA_V_MAP) && i < declared->n; i++) {
        struct ea_str name = ea_val_text(&declared->members[i].key);
        const struct ea_val *d = ea_val_force(&declared->members[i].val),
                            *v = ea_val_get(&c->params, name);

        ea_buf_addf(b, "%-14s %.*s (%.*s) = ", i ? "" : "params", EA_STRF(name),
                    EA_STRF(ea_val_get_str(d, "type")));
        if (!v || ea_json_print(b, v) < 0)
            ea_buf_addz(b, "not set, required");
        if (ea_val_get_str(d, "description").n)
            ea_buf_addf(b, ": %.*s", EA_STRF(ea_val_get_str(d, "description")));
        ea_buf_addz(b, "\n");
    }
}

static void show_cel(struct ea_buf *b, const struct ea_control *c)
{
    char head[128];

    for (unsigned i = 0; i < c->n_match_conditions; i++)
        if (c->match_conditions[i])
            show_indented(b, "match condition", ea_cel_prog_source(c->match_conditions[i]));
    for (unsigned i = 0; c->env && i < c->n_variables; i++) {
        struct ea_str name = c->env->vars[c->env->n_vars - c->n_variables + i].name;

        (void)snprintf(head, sizeof(head), "%.*s =", EA_STRF(name));
        show_indented(b, head, ea_cel_prog_source(c->variables[i]));
    }
    for (unsigned i = 0; i < c->n_validations; i++) {
        (void)snprintf(head, sizeof(head), "validation %u (line %u)", i, c->validations[i].line);
        show_indented(b, head, c->validations[i].source);
        if (c->validations[i].message_expr)
            show_indented(b, "  message =", ea_cel_prog_source(c->validations[i].message_expr));
        else if (c->validations[i].message.n)
            ea_buf_addf(b, "  message: %.*s\n", EA_STRF(c->validations[i].message));
    }
}

static void show_control(struct ea_buf *b, const struct ea_ruleset *rs, const struct ea_control *c)
{
    struct ea_case_counts n;

    ea_cases_count(rs, c, &n);
    show_text(b, "id", c->id);
    show_text(b, "title", c->title);
    show_text(b, "group", c->group);
    show_text(b, "severity", ea_str(ea_severity_names[c->severity]));
    show_text(b, "level", ea_str(ea_level_names[c->level]));
    show_text(b, "action", ea_str(ea_action_names[c->action]));
    show_text(b, "failurePolicy", c->fail_closed ? EA_STR("Fail") : EA_STR("Ignore"));
    show_text(b, "fit", ea_str(ea_fit_names[c->fit]));
    show_text(b, "perspective", ea_str(ea_perspective_names[c->perspective]));
    show_requirements(b, rs, c);
    show_refs(b, c);
    show_text(b, "rationale", c->rationale);
    show_text(b, "remediation", c->remediation);
    if (c->kubernetes)
        ea_buf_addf(b, "%-14s 1.%u or newer\n", "kubernetes", c->kubernetes);
    show_rules(b, c);
    show_params(b, c);
    if (c->n_ratchet) {
        ea_buf_addf(b, "%-14s ", "may not grow");
        add_words(b, c->ratchet_grows, c->n_ratchet, ", ");
        ea_buf_addz(b, "\n");
    }
    ea_buf_addf(b, "%-14s %u pass, %u fail, %u other\n", "cases", n.pass, n.fail, n.other);
    show_text(b, "file", c->file);
    if (c->compile_error)
        show_text(b, "compile error", ea_str(c->compile_error));
    show_cel(b, c);
}

static int run_show(const struct ea_args *a)
{
    const char *id = ea_args_words(a, NULL)[0];
    bool json = strcmp(ea_opt_get(a, "format"), "json") == 0;
    struct ea_rules rules;
    const struct ea_control *c;
    struct ea_err err = {0};
    struct ea_buf b;

    if (ea_rules_open(a, false, &rules, &err) < 0)
        return failed("controls show", &err);
    c = ea_control_find(rules.set, ea_str(id));
    if (!c) {
        (void)fprintf(
            stderr,
            "eucs-agent controls show: there is no control %s (see 'eucs-agent controls list')\n",
            id);
        ea_rules_close(&rules);
        return 2;
    }
    ea_buf_init(&b, 8u << 20);
    if (json) {
        if (ea_json_print(&b, &c->document) < 0)
            ea_buf_addz(&b, "null");
        ea_buf_addz(&b, "\n");
    } else {
        show_control(&b, rules.set, c);
    }
    ea_rules_close(&rules);
    return ea_print_out(&b, "controls show");
}

static const struct ea_opt show_options[] = {
    {.name = "format",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "text",
     .choices = "text|json",
     .help = "everything as text, or the control file as JSON"},
    EA_RULES_OPTIONS,
    {.name = NULL},
};

const struct ea_cmd ea_cmd_controls_show = {
    .name = "controls show",
    .summary = "show everything about one control",
    .usage = "ID",
    .text = "Example: eucs-agent controls show pod-privileged",
    .options = show_options,
    .min_words = 1,
    .max_words = 1,
    .run = run_show,
};

/* ---- lint ---- */

static int run_lint(const struct ea_args *a)
{
    struct ea_rules rules;
    struct ea_err err = {0};
    size_t n;

    if (ea_rules_open(a, true, &rules, &err) < 0) {
        /* A catalogue or library that cannot be used is a finding of lint, too. */
        (void)printf("%s\n1 problem\n", ea_err_text(&err));
        return err.code == -ENOENT || err.code == -EACCES ? 2 : 1;
    }
    for (size_t i = 0; i < rules.problems.n; i++) {
        const struct ea_problem *p = &rules.problems.p[i];

        (void)printf("%.*s:%u: %.*s\n", EA_STRF(p->file), p->line, EA_STRF(p->text));
    }
    n = rules.problems.n;
    (void)printf("%u controls, %zu problem%s\n", rules.set->n_controls, n, n == 1 ? "" : "s");
    ea_rules_close(&rules);
    return fflush(stdout) ? 2 : n > 0;
}

static const struct ea_opt lint_options[] = {EA_RULES_OPTIONS, {.name = NULL}};

const struct ea_cmd ea_cmd_controls_lint = {
    .name = "controls lint",
    .summary = "check control files: format, expressions, metadata, cases",
    .text = "Prints file:line: problem for everything that is wrong; exit 1 when there is "
            "something.\n\n"
            "Example: eucs-agent controls lint --controls controls/",
    .options = lint_options,
    .run = run_lint,
};

/* ---- test ---- */

static void say_line(void *arg, const char *line)
{
    (void)arg;
    (void)printf("%s\n", line);
}

static int run_test(const struct ea_args *a)
{
    const char *const *ids;
    struct ea_rules rules;
    struct ea_case_totals totals = {0};
    struct ea_err err = {0};
    size_t n;
    int r;

    if (ea_rules_open(a, false, &rules, &err) < 0)
        return failed("controls test", &err);
    ids = ea_opt_list(a, "control", &n);
    r = n ? 0 : ea_cases_run(rules.set, EA_STR_NULL, say_line, NULL, &totals, &err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = ea_cases_run(rules.set, ea_str(ids[i]), say_line, NULL, &totals, &err);
    ea_rules_close(&rules);
    if (r < 0)
        return failed("controls test", &err);
    (void)printf("%u passed, %u failed\n", totals.passed, totals.failed);
    return fflush(stdout) ? 2 : totals.failed > 0;
}

static const struct ea_opt test_options[] = {
    {.name = "control",
     .kind = EA_OPT_LIST,
     .arg = "ID",
     .help = "only the cases of these controls"},
    EA_RULES_OPTIONS,
    {.name = NULL},
};

const struct ea_cmd ea_cmd_controls_test = {
    .name = "controls test",
    .summary = "run the cases beside the controls",
    .text = "Prints file:line of every case that fails, then the totals; exit 1 when one fails.\n\n"
            "Example: eucs-agent controls test --controls controls/ --control pod-privileged",
    .options = test_options,
    .run = run_test,
};
