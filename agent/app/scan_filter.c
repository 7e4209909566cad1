/* app/scan_filter.c - selecting controls by id and by what they reference. */
#include "app/scan_filter.h"

static bool has_requirement(const struct ea_catalogue *cat, const struct ea_control *c,
                            struct ea_str part)
{
    for (unsigned i = 0; i < c->n_requirements; i++) {
        const struct ea_requirement *q = ea_requirement_find(cat, c->requirements[i]);

        if (part.n == 0 || ea_str_eq(c->requirements[i], part))
            return true;
        if (q && (ea_str_eq(q->control, part) || ea_str_eq(q->category, part)))
            return true;
    }
    return false;
}

bool ea_control_has_reference(const struct ea_catalogue *cat, const struct ea_control *c,
                              struct ea_str reference)
{
    struct ea_str part, framework = ea_str_cut(reference, ':', &part);

    if (ea_str_is(framework, "eucs"))
        return has_requirement(cat, c, part);
    for (unsigned i = 0; i < c->n_refs; i++) {
        if (!ea_str_eq(c->refs[i].framework, framework))
            continue;
        if (part.n == 0 || ea_str_eq(c->refs[i].part, part))
            return true;
        if (ea_str_is(framework, "pss") && ea_str_is(part, "restricted") &&
            ea_str_is(c->refs[i].part, "baseline"))
            return true;
    }
    return false;
}

bool ea_filter_wants(void *filter, const struct ea_control *c)
{
    const struct ea_filter *f = filter;
    bool named = f->n_controls == 0, referenced = f->n_references == 0;

    for (size_t i = 0; i < f->n_controls && !named; i++)
        named = ea_str_is(c->id, f->controls[i]);
    for (size_t i = 0; i < f->n_references && !referenced; i++)
        referenced = ea_control_has_reference(f->catalogue, c, ea_str(f->references[i]));
    return named && referenced;
}

int ea_filter_init(struct ea_filter *f, const struct ea_args *a, const struct ea_ruleset *rs,
                   struct ea_err *err)
{
    memset(f, 0, sizeof(*f));
    f->catalogue = &rs->catalogue;
    f->controls = ea_opt_list(a, "control", &f->n_controls);
    f->references = ea_opt_list(a, "reference", &f->n_references);
    for (size_t i = 0; i < f->n_controls; i++)
        if (!ea_control_find(rs, ea_str(f->controls[i])))
            return ea_fail(err, -EINVAL, "there is no control %s (see 'eucs-agent controls list')",
                           f->controls[i]);
    for (size_t i = 0; i < f->n_references; i++) {
        bool any = false;

        for (unsigned k = 0; k < rs->n_controls && !any; k++)
            any = ea_control_has_reference(&rs->catalogue, &rs->controls[k],
                                           ea_str(f->references[i]));
        if (!any)
            return ea_fail(err, -EINVAL,
                           "no control references %s (FRAMEWORK[:PART], for example pss:restricted "
                           "or cis:5.2.2)",
                           f->references[i]);
    }
    return 0;
}
