/* controls/library.c - libraries (`use`), their variables and the environment of every control.
 *
 * Controls with the same libraries and version form a family: the libraries' variables are compiled
 * once, so that a judge can evaluate them once for all controls of the family.
 */
#include <stdio.h>

#include "base/limits.h"
#include "controls/internal.h"

void ea_env_fixed(struct ea_cel_var *vars)
{
    static const struct ea_cel_var fixed[EA_S_FIXED] = {
        [EA_S_OBJECT] = {{"object", 6}, NULL},
        [EA_S_OLD_OBJECT] = {{"oldObject", 9}, NULL},
        [EA_S_REQUEST] = {{"request", 7}, "request"},
        [EA_S_PARAMS] = {{"params", 6}, NULL, true},
        [EA_S_NAMESPACE_OBJECT] = {{"namespaceObject", 15}, "namespace"},
        [EA_S_AUTHORIZER] = {{"authorizer", 10}, NULL},
        [EA_S_CONTEXT] = {{"context", 7}, NULL},
        [EA_S_NODE] = {{"node", 4}, NULL},
        [EA_S_NOW] = {{"now", 3}, "timestamp", true},
        [EA_S_LEVEL] = {{"level", 5}, "string", true},
    };

    memcpy(vars, fixed, sizeof(fixed));
}

const struct ea_cel_prog *ea_compile_at(struct ea_loader *l, const struct ea_cfile *f,
                                        const struct ea_val *node, const char *what,
                                        const struct ea_cel_env *env, enum ea_cel_want want)
{
    const struct ea_cel_prog *p = NULL;
    struct ea_cel_diag d = {0};
    int r;

    if (!ea_val_is(node, EA_V_STRING) || node->n == 0) {
        ea_problem_add(l, f, node, true, "%s must be a CEL expression", what);
        return NULL;
    }
    r = ea_cel_compile(l->a, ea_val_text(node), env, want, &p, &d);
    if (r < 0) {
        if (d.line > 1)
            ea_problem_add(l, f, node, true, "%s: %s (line %u, column %u of the expression)", what,
                           d.text, d.line, d.column);
        else
            ea_problem_add(l, f, node, true, "%s: %s (column %u of the expression)", what, d.text,
                           d.column);
        return NULL;
    }
    if (ea_cel_prog_reads(p, EA_S_AUTHORIZER)) {
        ea_problem_add(l, f, node, true,
                       "%s: authorizer is not offered here: it would ask the API server for a "
                       "SubjectAccessReview in the "
                       "middle of a decision",
                       what);
        return NULL;
    }
    return p;
}

static int load_one(struct ea_loader *l, struct ea_cfile *f, struct ea_library *ret)
{
    static const char *const top[] = {"apiVersion", "kind", "metadata", "spec", NULL};
    static const char *const known[] = {"matchConstraints", "variables", "description", NULL};
    const struct ea_val *spec = ea_val_getz(&f->doc.root, "spec");
    struct ea_str stem = ea_strn(f->rel.p + 4, f->rel.n - 4);
    const struct ea_val *v;

    stem.n -= ea_str_ends(stem, EA_STR(".yaml")) ? 5 : 4;
    f->used = true;
    ret->name = ea_val_path_str(&f->doc.root, "metadata.name");
    ret->file = f;
    if (!ea_str_is(ea_val_get_str(&f->doc.root, "kind"), "Library") ||
        !ea_str_is(ea_val_get_str(&f->doc.root, "apiVersion"), EA_API_VERSION) ||
        !ea_val_is(spec, EA_V_MAP)) {
        ea_problem_add(l, f, &f->doc.root, true,
                       "must be kind Library of " EA_API_VERSION " with a spec");
        return -EINVAL;
    }
    if (!ea_str_eq(ret->name, stem)) {
        ea_problem_add(l, f, &f->doc.root, true, "metadata.name must be the file's name, %.*s",
                       EA_STRF(stem));
        return -EINVAL;
    }
    if (ea_unknown_fields(l, f, &f->doc.root, "a library", top) +
        ea_unknown_fields(l, f, spec, "spec", known))
        return -EINVAL;
    v = ea_val_getz(spec, "variables");
    if (v && v->type != EA_V_LIST) {
        ea_problem_add(l, f, v, true, "spec.variables must be a list");
        return -EINVAL;
    }
    ret->variables = v;
    ret->constraints = ea_val_getz(spec, "matchConstraints");
    return 0;
}

int ea_libraries_load(struct ea_loader *l, struct ea_err *err)
{
    l->libs = ea_arena_zalloc(l->a, (l->priv->n_files + 1) * sizeof(*l->libs));
    if (!l->libs)
        return ea_fail(err, -E2BIG, "too many control files");
    for (unsigned i = 0; i < l->priv->n_files; i++) {
        struct ea_cfile *f = &l->priv->files[i];

        if (!ea_str_starts(f->rel, EA_STR("lib/")))
            continue;
        if (!f->parsed)
            return ea_fail(err, -EINVAL, "%.*s: %.*s", EA_STRF(f->path), EA_STRF(f->error));
        if (load_one(l, f, &l->libs[l->n_libs]) < 0) {
            const struct ea_problem *p = &l->p[l->n - 1];

            return ea_fail(err, -EINVAL, "%.*s:%u: %.*s", EA_STRF(p->file), p->line,
                           EA_STRF(p->text));
        }
        l->n_libs++;
    }
    return 0;
}

struct ea_library *ea_library_find(struct ea_loader *l, struct ea_str name)
{
    for (unsigned i = 0; i < l->n_libs; i++)
        if (ea_str_eq(l->libs[i].name, name))
            return &l->libs[i];
    return NULL;
}

/* A library's variables may be shared between controls only when nothing in them differs from
 * control to control. */
static bool reads_own(const struct ea_cel_prog *p)
{
    return ea_cel_prog_reads(p, EA_S_PARAMS) || ea_cel_prog_reads(p, EA_S_CONTEXT);
}

static bool variable_name_ok(struct ea_str s)
{
    if (s.n == 0 || s.n > 63 || (s.p[0] >= '0' && s.p[0] <= '9'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return true;
}

/* Compiles list into the family from position n_vars on; each variable sees only earlier ones. */
bool ea_variables_compile(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *list,
                          struct ea_family *fam, unsigned minor)
{
    static const char *const known[] = {"name", "expression", NULL};
    bool ok = true;

    for (size_t i = 0; list && i < list->n; i++) {
        const struct ea_val *v = ea_val_at(list, i);
        struct ea_str name = ea_val_get_str(v, "name");
        struct ea_cel_env env = {
            .flavour = EA_CEL_KUBERNETES, .minor = minor, .vars = fam->vars, .n_vars = fam->n_vars};
        const struct ea_cel_prog *p;
        char what[160];

        if (!ea_val_is(v, EA_V_MAP) || !variable_name_ok(name)) {
            ea_problem_add(l, f, v, true, "a variable needs a name that is a CEL identifier");
            return false;
        }
        if (ea_unknown_fields(l, f, v, "a variable", known))
            ok = false;
        struct ea_str full = ea_arena_printf(l->a, "variables.%.*s", EA_STRF(name));

        for (unsigned k = 0; k < fam->n_vars; k++)
            if (ea_str_eq(fam->vars[k].name, full)) {
                ea_problem_add(l, f, v, true, "variable %.*s is declared twice", EA_STRF(name));
                return false;
            }
        snprintf(what, sizeof(what), "variable %.*s", EA_STRF(name));
        p = ea_compile_at(l, f, ea_val_getz(v, "expression") ? ea_val_getz(v, "expression") : v,
                          what, &env, EA_CEL_WANT_ANY);
        if (!p || !full.p)
            return false;
        fam->vars[fam->n_vars++] = (struct ea_cel_var){full, ea_cel_prog_type(p)};
        fam->progs[fam->n_progs++] = p;
        fam->shareable = fam->shareable && !reads_own(p);
    }
    return ok;
}

int ea_family_get(struct ea_loader *l, const struct ea_str *use, unsigned n_use, unsigned minor,
                  struct ea_family **ret)
{
    struct ea_family *fam;
    struct ea_str key = ea_arena_printf(l->a, "%u", minor);
    unsigned n = EA_S_FIXED;

    for (unsigned i = 0; i < n_use; i++) {
        struct ea_library *lib = ea_library_find(l, use[i]);

        key = ea_arena_printf(l->a, "%.*s/%.*s", EA_STRF(key), EA_STRF(use[i]));
        n += lib->variables ? lib->variables->n : 0;
        lib->used = true;
    }
    for (unsigned i = 0; i < l->n_families; i++)
        if (ea_str_eq(l->families[i].key, key)) {
            *ret = &l->families[i];
            return l->families[i].error ? -EINVAL : 0;
        }
    if (l->n_families == l->priv->n_files)
        return -E2BIG;
    fam = &l->families[l->n_families++];
    *fam = (struct ea_family){.key = key, .n_vars = EA_S_FIXED, .shareable = true};
    fam->vars = ea_arena_zalloc(l->a, n * sizeof(*fam->vars));
    fam->progs = ea_arena_zalloc(l->a, n * sizeof(*fam->progs));
    if (!fam->vars || !fam->progs || !key.p)
        return -E2BIG;
    ea_env_fixed(fam->vars);
    *ret = fam;
    for (unsigned i = 0; i < n_use; i++) {
        struct ea_library *lib = ea_library_find(l, use[i]);

        if (!ea_variables_compile(l, lib->file, lib->variables, fam, minor)) {
            const struct ea_problem *p = &l->p[l->n - 1];
            struct ea_str e =
                ea_arena_printf(l->a, "%.*s:%u: %.*s", EA_STRF(p->file), p->line, EA_STRF(p->text));

            fam->error = e.p ? e.p : "library does not compile";
            return -EINVAL;
        }
    }
    return 0;
}
