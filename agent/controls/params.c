/* controls/params.c - typed settings of a control: declared in its file, set in the configuration,
 * seen as `params`. */
#include "controls/internal.h"
#include "doc/build.h"

/* "list(int)" -> inner "int"; "map(string, int)" -> inner "int". False when s is no such type. */
static bool inner_type(struct ea_str s, const char *prefix, struct ea_str *ret)
{
    size_t n = strlen(prefix);

    if (s.n <= n + 1 || memcmp(s.p, prefix, n) != 0 || s.p[s.n - 1] != ')')
        return false;
    *ret = ea_str_trim(ea_strn(s.p + n, s.n - n - 1));
    return true;
}

static bool type_known(struct ea_str s, unsigned depth)
{
    static const char *const types[] = {"string", "int", "double",  "bool",
                                        "list",   "map", "duration"};
    struct ea_str inner;

    for (size_t i = 0; i < EA_COUNT(types); i++)
        if (ea_str_is(s, types[i]))
            return true;
    return depth < 4 && ((inner_type(s, "list(", &inner) || inner_type(s, "map(string,", &inner)) &&
                         type_known(inner, depth + 1));
}

static bool elements_ok(struct ea_str type, const struct ea_val *v)
{
    struct ea_str inner;

    if (v->type == EA_V_LIST && inner_type(type, "list(", &inner)) {
        for (size_t i = 0; i < v->n; i++)
            if (!ea_param_type_ok(inner, ea_val_at(v, i)))
                return false;
        return true;
    }
    if (v->type == EA_V_MAP && inner_type(type, "map(string,", &inner)) {
        for (size_t i = 0; i < v->n; i++)
            if (!ea_param_type_ok(inner, ea_val_force(&v->members[i].val)))
                return false;
        return true;
    }
    return false;
}

bool ea_param_type_ok(struct ea_str type, const struct ea_val *v)
{
    switch (v->type) {
    case EA_V_STRING:
        return ea_str_is(type, "string") || ea_str_is(type, "duration");
    case EA_V_INT:
        return ea_str_is(type, "int") || ea_str_is(type, "double");
    case EA_V_DOUBLE:
        return ea_str_is(type, "double");
    case EA_V_BOOL:
        return ea_str_is(type, "bool");
    case EA_V_LIST:
        return ea_str_is(type, "list") || elements_ok(type, v);
    case EA_V_MAP:
        return ea_str_is(type, "map") || elements_ok(type, v);
    default:
        return false;
    }
}

bool ea_params_merge(struct ea_arena *a, const struct ea_val *declared, const struct ea_val *values,
                     struct ea_val *ret, struct ea_str *ret_missing)
{
    struct ea_mapb b;
    bool ok = true;

    ea_mapb_init(&b, a);
    for (size_t i = 0; declared && i < declared->n; i++) {
        struct ea_str name = ea_val_text(&declared->members[i].key);
        const struct ea_val *d = ea_val_force(&declared->members[i].val);
        const struct ea_val *v = ea_val_get(values, name);

        if (!v || v->type == EA_V_NULL)
            v = ea_val_getz(d, "default");
        if (v && v->type != EA_V_NULL) {
            ea_mapb_put(&b, name, *v);
        } else if (ea_val_get_bool(d, "required", false)) {
            *ret_missing = name;
            ok = false;
        }
    }
    *ret = ea_mapb_end(&b);
    return ok;
}

static bool check_declared(struct ea_loader *l, const struct ea_cfile *f,
                           const struct ea_val *declared)
{
    static const char *const known[] = {"type", "default", "required", "description", NULL};
    bool ok = true;

    for (size_t i = 0; i < declared->n; i++) {
        struct ea_str name = ea_val_text(&declared->members[i].key);
        const struct ea_val *d = ea_val_force(&declared->members[i].val);
        const struct ea_val *dflt = ea_val_getz(d, "default");
        struct ea_str type = ea_val_get_str(d, "type");

        if (!ea_val_is(d, EA_V_MAP) || !type_known(type, 0)) {
            ea_problem_add(l, f, d, true,
                           "params.%.*s: type must be string, int, double, bool, duration, list, "
                           "list(T), map or map(string, T)",
                           EA_STRF(name));
            ok = false;
            continue;
        }
        if (ea_unknown_fields(l, f, d, "a param", known))
            ok = false;
        if (dflt && !ea_param_type_ok(type, dflt)) {
            ea_problem_add(l, f, dflt, true, "params.%.*s: the default is no %.*s", EA_STRF(name),
                           EA_STRF(type));
            ok = false;
        }
        if (!dflt && !ea_val_get_bool(d, "required", false)) {
            ea_problem_add(l, f, d, true, "params.%.*s needs a default or required: true",
                           EA_STRF(name));
            ok = false;
        }
    }
    return ok;
}

/* Values come from the configuration: they have no line here. */
static bool check_values(struct ea_loader *l, const struct ea_cfile *f,
                         const struct ea_val *declared, const struct ea_val *values)
{
    if (values && values->type != EA_V_MAP) {
        ea_problem_add(l, f, NULL, true, "the configured params of this control must be a map");
        return false;
    }
    for (size_t i = 0; values && i < values->n; i++) {
        struct ea_str name = ea_val_text(&values->members[i].key);
        const struct ea_val *v = ea_val_force(&values->members[i].val),
                            *d = ea_val_get(declared, name);

        if (!d) {
            ea_problem_add(l, f, NULL, true,
                           "the configuration sets params.%.*s, which this control does not have",
                           EA_STRF(name));
            return false;
        }
        if (v->type != EA_V_NULL && !ea_param_type_ok(ea_val_get_str(d, "type"), v)) {
            ea_problem_add(l, f, NULL, true,
                           "the configuration sets params.%.*s to a %s, wanted %.*s", EA_STRF(name),
                           ea_val_type_name(v), EA_STRF(ea_val_get_str(d, "type")));
            return false;
        }
    }
    return true;
}

bool ea_params_parse(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                     struct ea_control *c)
{
    const struct ea_val *declared = ea_val_getz(spec, "params");
    const struct ea_val *values = l->o->params ? ea_val_get(l->o->params, c->id) : NULL;
    struct ea_val merged;
    struct ea_str missing;

    if (declared && declared->type != EA_V_MAP) {
        ea_problem_add(l, f, declared, true, "params must be a map");
        return false;
    }
    if ((declared && !check_declared(l, f, declared)) || !check_values(l, f, declared, values))
        return false;
    c->missing_param = !ea_params_merge(l->a, declared, values, &merged, &missing);
    /* The configuration may be freed before the set. */
    return ea_val_copy(l->a, &merged, &c->params) == 0;
}
