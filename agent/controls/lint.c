/* controls/lint.c - what is legal but wrong: checked by `controls lint` and in CI, never at run
 * time. */
#include "controls/cases.h"
#include "controls/internal.h"

static const struct ea_val *spec_at(const struct ea_control *c, const char *key)
{
    const struct ea_val *spec = ea_val_getz(&c->document, "spec");
    const struct ea_val *v = ea_val_get(spec, ea_str(key));

    return v ? v : spec;
}

#define LINT(l, c, at, ...) ea_problem_add((l), (c)->priv->file, (at), false, __VA_ARGS__)

static bool group_known(const struct ea_loader *l, struct ea_str group)
{
    const struct ea_val *groups = ea_val_path(&l->rs->catalogue.document, "spec.groups");

    for (size_t i = 0; groups && i < groups->n; i++)
        if (ea_str_eq(ea_val_get_str(ea_val_at(groups, i), "id"), group))
            return true;
    return false;
}

static void lint_names(struct ea_loader *l, const struct ea_control *c)
{
    struct ea_str stem = c->priv->file->rel, rest;

    ea_str_cut(stem, '/', &rest);
    rest.n -= ea_str_ends(rest, EA_STR(".yml")) ? 4 : 5;
    if (!ea_str_eq(rest, c->id))
        LINT(l, c, ea_val_path(&c->document, "metadata.name"),
             "metadata.name is %.*s, but the file's name says %.*s", EA_STRF(c->id), EA_STRF(rest));
    if (!group_known(l, c->group))
        LINT(l, c, NULL, "the folder %.*s is no group of the catalogue", EA_STRF(c->group));
    if (c->id.n > 63)
        LINT(l, c, NULL, "the id is longer than 63 characters");
}

static void lint_requirements(struct ea_loader *l, const struct ea_control *c)
{
    const struct ea_val *list = spec_at(c, "requirements");
    enum ea_level lowest = EA_HIGH;
    unsigned known = 0;

    for (unsigned i = 0; i < c->n_requirements; i++) {
        const struct ea_requirement *q = ea_requirement_find(&l->rs->catalogue, c->requirements[i]);

        if (!q) {
            LINT(l, c, list, "unknown requirement %.*s", EA_STRF(c->requirements[i]));
            continue;
        }
        lowest = EA_MIN(lowest, q->level);
        known++;
        for (unsigned k = 0; k < i; k++)
            if (ea_str_eq(c->requirements[k], c->requirements[i]))
                LINT(l, c, list, "requirement %.*s stands twice", EA_STRF(c->requirements[i]));
    }
    if (known && lowest > c->level)
        LINT(l, c, spec_at(c, "level"), "level is %s, but its requirements begin at %s",
             ea_level_names[c->level], ea_level_names[lowest]);
}

static void lint_references(struct ea_loader *l, const struct ea_control *c)
{
    static const char *const frameworks[] = {"pss",       "cis",  "iso27001", "c5_2020", "c5_2026",
                                             "nist80053", "soc2", "ccm4",     "app44"};
    const struct ea_val *refs = spec_at(c, "references");
    unsigned n_pss = 0;

    for (unsigned i = 0; i < c->n_refs; i++) {
        bool known = false;

        for (size_t k = 0; k < EA_COUNT(frameworks); k++)
            known = known || ea_str_is(c->refs[i].framework, frameworks[k]);
        if (!known)
            LINT(l, c, refs, "unknown framework %.*s in references", EA_STRF(c->refs[i].framework));
        if (!ea_str_is(c->refs[i].framework, "pss"))
            continue;
        n_pss++;
        if (!ea_str_is(c->refs[i].part, "baseline") && !ea_str_is(c->refs[i].part, "restricted"))
            LINT(l, c, refs, "references.pss must be exactly one word: baseline or restricted");
    }
    if (n_pss > 1)
        LINT(l, c, refs, "references.pss must be exactly one word: baseline or restricted");
}

static void lint_action(struct ea_loader *l, const struct ea_control *c)
{
    const struct ea_val *at = spec_at(c, "action");

    if ((c->needs_context || c->node) && c->action != EA_AUDIT)
        LINT(l, c, at, "action must be audit: the control needs %s",
             c->node ? "node facts" : "other objects");
    if (c->action != EA_DENY)
        return;
    if (c->severity < EA_SEV_HIGH)
        LINT(l, c, at, "action deny needs severity high or critical, not %s",
             ea_severity_names[c->severity]);
    if (c->fit != EA_FIT_DIRECT)
        LINT(l, c, at, "action deny needs fit direct, not %s", ea_fit_names[c->fit]);
    if (c->reads_now)
        LINT(l, c, at, "action deny must not depend on the time of day");
}

static void lint_messages(struct ea_loader *l, const struct ea_control *c)
{
    const struct ea_val *list = ea_val_path(&c->document, "spec.policy.validations");

    for (unsigned i = 0; i < c->n_validations; i++)
        if (c->validations[i].message.n == 0 && !c->validations[i].message_expr)
            LINT(l, c, ea_val_at(list, i),
                 "validations[%u] has neither message nor messageExpression", i);
    if (c->title.n && memchr(c->title.p, '\n', c->title.n))
        LINT(l, c, spec_at(c, "title"), "title must be one line");
    if (c->title.n && c->title.p[c->title.n - 1] == '.')
        LINT(l, c, spec_at(c, "title"), "title must not end with a full stop");
}

static bool expect_known(struct ea_str s)
{
    struct ea_str reason, word = ea_str_cut(s, ':', &reason);

    for (int i = 0; i < EA_RESULT_COUNT; i++)
        if (ea_str_is(word, ea_result_names[i])) {
            if (!reason.p)
                return true;
            for (int k = 1; k < EA_REASON_COUNT; k++)
                if (ea_str_is(reason, ea_reason_names[k]))
                    return i == EA_UNKNOWN || i == EA_SKIP;
        }
    return false;
}

static bool says_missing(struct ea_str name)
{
    return ea_str_find(name, EA_STR("missing")) >= 0 || ea_str_find(name, EA_STR("Missing")) >= 0;
}

static void lint_case_list(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *list)
{
    bool pass = false, fail = false, missing = false;

    for (size_t i = 0; i < list->n; i++) {
        const struct ea_val *k = ea_val_at(list, i);
        struct ea_str expect = ea_val_get_str(k, "expect"), name = ea_val_get_str(k, "name");

        ea_unknown_fields(l, f, k, "a case", ea_case_fields);
        if (name.n == 0)
            ea_problem_add(l, f, k, false, "a case needs a name");
        if (!expect_known(expect))
            ea_problem_add(l, f, k, false,
                           "expect must be pass, fail, skip or unknown, with a reason behind a "
                           "colon where it is unknown");
        pass = pass || ea_str_is(expect, "pass");
        fail = fail || ea_str_is(expect, "fail");
        missing = missing || says_missing(name);
    }
    if (!pass || !fail || !missing)
        ea_problem_add(l, f, list, false,
                       "cases want one that passes, one that fails and one whose name says which "
                       "field is missing");
}

static void lint_cases(struct ea_loader *l, const struct ea_control *c)
{
    struct ea_str stem = c->priv->file->rel;
    struct ea_str rel;
    const struct ea_val *list;
    struct ea_cfile *f;

    stem.n -= ea_str_ends(stem, EA_STR(".yml")) ? 4 : 5;
    rel = ea_arena_printf(l->a, "%.*s.cases.yaml", EA_STRF(stem));
    f = ea_files_find(l->priv, rel);
    if (!f) {
        LINT(l, c, NULL, "%.*s is missing: every control has cases", EA_STRF(rel));
        return;
    }
    f->used = true;
    if (!f->parsed)
        return; /* said already */
    list = ea_val_getz(&f->doc.root, "cases");
    if (!ea_str_is(ea_val_get_str(&f->doc.root, "kind"), "Cases") ||
        !ea_str_eq(ea_val_path_str(&f->doc.root, "metadata.name"), c->id) ||
        !ea_val_is(list, EA_V_LIST)) {
        ea_problem_add(l, f, NULL, false,
                       "must be kind Cases with metadata.name %.*s and a list cases",
                       EA_STRF(c->id));
        return;
    }
    lint_case_list(l, f, list);
}

void ea_lint_control(struct ea_loader *l, const struct ea_control *c)
{
    if (!c->priv->file->parsed)
        return;
    lint_names(l, c);
    lint_requirements(l, c);
    lint_references(l, c);
    lint_cases(l, c);
    if (c->compile_error)
        return;
    lint_action(l, c);
    lint_messages(l, c);
}

void ea_lint_files(struct ea_loader *l)
{
    for (unsigned i = 0; i < l->priv->n_files; i++)
        if (!l->priv->files[i].used && l->priv->files[i].parsed)
            ea_problem_add(l, &l->priv->files[i], NULL, false, "belongs to no control");
    for (unsigned i = 0; i < l->n_libs; i++)
        if (!l->libs[i].used)
            ea_problem_add(l, l->libs[i].file, NULL, false, "no control uses this library");
}
