/* app/cmd_coverage.c - `controls coverage`: which requirements of the scheme have checks, how many,
 * and how well they fit. */
#include <stdio.h>

#include "app/rules.h"

struct tally {
    unsigned requirements, covered, checks;
    unsigned by_fit[EA_FIT_COUNT];
};

/* A check counts for every requirement that it names; its fit is stated for the first one and is
 * `supporting` at best for others. */
static enum ea_fit fit_for(const struct ea_control *c, unsigned position)
{
    return position == 0 ? c->fit : EA_MAX(c->fit, EA_FIT_SUPPORTING);
}

static unsigned checks_of(const struct ea_ruleset *rs, struct ea_str requirement,
                          unsigned by_fit[EA_FIT_COUNT])
{
    unsigned n = 0;

    memset(by_fit, 0, EA_FIT_COUNT * sizeof(*by_fit));
    for (unsigned i = 0; i < rs->n_controls; i++)
        for (unsigned k = 0; k < rs->controls[i].n_requirements; k++)
            if (ea_str_eq(rs->controls[i].requirements[k], requirement)) {
                by_fit[fit_for(&rs->controls[i], k)]++;
                n++;
            }
    return n;
}

static void add_requirement(const struct ea_ruleset *rs, const struct ea_requirement *q,
                            struct tally *t)
{
    unsigned by_fit[EA_FIT_COUNT], n = checks_of(rs, q->id, by_fit);

    t->requirements++;
    t->covered += n > 0;
    t->checks += n;
    for (int i = 0; i < EA_FIT_COUNT; i++)
        t->by_fit[i] += by_fit[i];
}

/* Over the requirements of one control of the scheme (control not empty), one category, or all. */
static void tally(const struct ea_ruleset *rs, struct ea_str category, struct ea_str control,
                  struct tally *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (unsigned i = 0; i < rs->catalogue.n_requirements; i++) {
        const struct ea_requirement *q = &rs->catalogue.requirements[i];

        if ((category.n == 0 || ea_str_eq(q->category, category)) &&
            (control.n == 0 || ea_str_eq(q->control, control)))
            add_requirement(rs, q, ret);
    }
}

static const struct ea_val *list_of(const struct ea_ruleset *rs, const char *path)
{
    const struct ea_val *v = ea_val_path(&rs->catalogue.document, path);
    static const struct ea_val none = {.type = EA_V_LIST};

    return ea_val_is(v, EA_V_LIST) ? v : &none;
}

static void add_checks(struct ea_buf *b, const struct ea_ruleset *rs, struct ea_str requirement,
                       const char *quote, const char *sep)
{
    bool first = true;

    for (unsigned i = 0; i < rs->n_controls; i++)
        for (unsigned k = 0; k < rs->controls[i].n_requirements; k++)
            if (ea_str_eq(rs->controls[i].requirements[k], requirement)) {
                ea_buf_addf(b, "%s%s%.*s%s", first ? "" : sep, quote, EA_STRF(rs->controls[i].id),
                            quote);
                first = false;
            }
}

/* ---- table and markdown: categories, then every requirement that has a check ---- */

static void rows(struct ea_buf *b, const struct ea_ruleset *rs, bool md)
{
    const struct ea_val *cats = list_of(rs, "spec.categories");
    struct tally t;

    ea_buf_addz(b, md ? "| category | requirements | with checks | direct | supporting | weak "
                        "|\n|---|---|---|---|---|---|\n"
                      : "category  requirements  with checks  direct  supporting  weak\n");
    for (size_t i = 0; i <= cats->n; i++) {
        struct ea_str id = i < cats->n ? ea_val_get_str(ea_val_at(cats, i), "id") : EA_STR("");

        tally(rs, id, EA_STR(""), &t);
        ea_buf_addf(
            b, md ? "| %.*s | %u | %u | %u | %u | %u |\n" : "%-8.*s  %12u  %11u  %6u  %10u  %4u\n",
            EA_STRF(id.n ? id : EA_STR("all")), t.requirements, t.covered, t.by_fit[EA_FIT_DIRECT],
            t.by_fit[EA_FIT_SUPPORTING], t.by_fit[EA_FIT_WEAK]);
    }
    ea_buf_addz(b, md ? "\n| requirement | level | automated | checks |\n|---|---|---|---|\n"
                      : "\nrequirement  level        checks\n");
    for (unsigned i = 0; i < rs->catalogue.n_requirements; i++) {
        const struct ea_requirement *q = &rs->catalogue.requirements[i];
        unsigned by_fit[EA_FIT_COUNT];

        if (checks_of(rs, q->id, by_fit) == 0)
            continue;
        if (md)
            ea_buf_addf(b, "| %.*s | %s | %s | ", EA_STRF(q->id), ea_level_names[q->level],
                        q->automated ? "yes" : "");
        else
            ea_buf_addf(b, "%-11.*s  %-11s  ", EA_STRF(q->id), ea_level_names[q->level]);
        add_checks(b, rs, q->id, "", ", ");
        ea_buf_addz(b, md ? " |\n" : "\n");
    }
}

static void not_configured(struct ea_buf *b, const struct ea_ruleset *rs, bool md)
{
    for (unsigned i = 0; i < rs->n_controls; i++) {
        const struct ea_control *c = &rs->controls[i];

        if (c->missing_param)
            ea_buf_addf(
                b, "%snot configured: %.*s needs a param (see 'eucs-agent controls show %.*s')\n",
                md ? "\n" : "", EA_STRF(c->id), EA_STRF(c->id));
        if (c->compile_error)
            ea_buf_addf(b, "%sdoes not compile: %s\n", md ? "\n" : "", c->compile_error);
    }
}

/* ---- json ---- */

static void json_tally(struct ea_buf *b, const struct tally *t)
{
    ea_buf_addf(b,
                "\"requirements\":%u,\"covered\":%u,\"checks\":%u,\"direct\":%u,\"supporting\":%u,"
                "\"weak\":%u",
                t->requirements, t->covered, t->checks, t->by_fit[EA_FIT_DIRECT],
                t->by_fit[EA_FIT_SUPPORTING], t->by_fit[EA_FIT_WEAK]);
}

static void json_tallies(struct ea_buf *b, const struct ea_ruleset *rs, const char *path,
                         bool categories)
{
    const struct ea_val *list = list_of(rs, path);
    struct tally t;

    for (size_t i = 0; i < list->n; i++) {
        const struct ea_val *v = ea_val_at(list, i);
        struct ea_str id = ea_val_get_str(v, "id");

        tally(rs, categories ? id : EA_STR(""), categories ? EA_STR("") : id, &t);
        ea_buf_addz(b, i ? ",\n{\"id\":" : "\n{\"id\":");
        ea_buf_add_json(b, id);
        ea_buf_addz(b, ",\"title\":");
        ea_buf_add_json(b, ea_val_get_str(v, "title"));
        ea_buf_addc(b, ',');
        json_tally(b, &t);
        ea_buf_addc(b, '}');
    }
}

static void json_requirements(struct ea_buf *b, const struct ea_ruleset *rs)
{
    for (unsigned i = 0; i < rs->catalogue.n_requirements; i++) {
        const struct ea_requirement *q = &rs->catalogue.requirements[i];
        unsigned by_fit[EA_FIT_COUNT];

        (void)checks_of(rs, q->id, by_fit);
        ea_buf_addf(b,
                    "%s\n{\"id\":\"%.*s\",\"control\":\"%.*s\",\"category\":\"%.*s\",\"level\":\"%"
                    "s\",\"automatedMonitoring\":%s,",
                    i ? "," : "", EA_STRF(q->id), EA_STRF(q->control), EA_STRF(q->category),
                    ea_level_names[q->level], q->automated ? "true" : "false");
        ea_buf_addf(b, "\"direct\":%u,\"supporting\":%u,\"weak\":%u,\"checks\":[",
                    by_fit[EA_FIT_DIRECT], by_fit[EA_FIT_SUPPORTING], by_fit[EA_FIT_WEAK]);
        add_checks(b, rs, q->id, "\"", ",");
        ea_buf_addz(b, "]}");
    }
}

static void render_json(struct ea_buf *b, const struct ea_ruleset *rs)
{
    bool first = true;
    struct tally t;

    tally(rs, EA_STR(""), EA_STR(""), &t);
    ea_buf_addf(b, "{\"checks\":%u,\"total\":{", rs->n_controls);
    json_tally(b, &t);
    ea_buf_addz(b, "},\"categories\":[");
    json_tallies(b, rs, "spec.categories", true);
    ea_buf_addz(b, "\n],\"controls\":[");
    json_tallies(b, rs, "spec.controls", false);
    ea_buf_addz(b, "\n],\"requirements\":[");
    json_requirements(b, rs);
    ea_buf_addz(b, "\n],\"notConfigured\":[");
    for (unsigned i = 0; i < rs->n_controls; i++)
        if (rs->controls[i].missing_param) {
            ea_buf_addz(b, first ? "" : ",");
            ea_buf_add_json(b, rs->controls[i].id);
            first = false;
        }
    ea_buf_addz(b, "]}\n");
}

static int run(const struct ea_args *a)
{
    const char *format = ea_opt_get(a, "format");
    bool md = strcmp(format, "markdown") == 0;
    struct ea_rules rules;
    struct ea_err err = {0};
    struct ea_buf b;
    int r;

    if (ea_rules_open(a, false, &rules, &err) < 0) {
        (void)fprintf(stderr, "eucs-agent controls coverage: %s\n", ea_err_text(&err));
        return 2;
    }
    (void)ea_rules_warn(&rules);
    ea_buf_init(&b, 64u << 20);
    if (strcmp(format, "json") == 0) {
        render_json(&b, rules.set);
    } else {
        rows(&b, rules.set, md);
        not_configured(&b, rules.set, md);
    }
    r = ea_print_out(&b, "controls coverage");
    ea_rules_close(&rules);
    return r;
}

static const struct ea_opt options[] = {
    {.name = "format",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "table",
     .choices = "table|json|markdown",
     .help = "what to print"},
    EA_RULES_OPTIONS,
    {.name = NULL},
};

const struct ea_cmd ea_cmd_controls_coverage = {
    .name = "controls coverage",
    .summary = "which requirements have checks, and how well they fit",
    .text = "A check is technical evidence for a requirement, direct, supporting or weak; a "
            "requirement with checks is not thereby met.\n\n"
            "Example: eucs-agent controls coverage -o markdown",
    .options = options,
    .run = run,
};
