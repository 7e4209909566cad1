/* The list of libraries, look-up by name, and the names of types. */
#include "cel/lib.h"

const struct ea_cel_fn *const ea_cel_libs[] = {
    ea_cel_lib_std,      ea_cel_lib_time,   ea_cel_lib_strings, ea_cel_lib_lists,
    ea_cel_lib_sets,     ea_cel_lib_regex,  ea_cel_lib_net,     ea_cel_lib_url,
    ea_cel_lib_quantity, ea_cel_lib_semver, ea_cel_lib_format,  NULL};

const struct ea_cel_fn *ea_cel_fn_find(struct ea_str name, bool k8s, unsigned minor)
{
    const struct ea_cel_fn *const *lib, *f;

    for (lib = ea_cel_libs; *lib; lib++) {
        for (f = *lib; f->sig; f++) {
            if (f->name.n == name.n && f->name.p[0] == name.p[0] &&
                memcmp(f->name.p, name.p, name.n) == 0)
                return k8s && f->since > minor ? NULL : f;
        }
    }
    return NULL;
}

bool ea_cel_type_value(struct ea_str name, bool k8s, unsigned minor, struct ea_val *ret)
{
    static const struct {
        const char *name;
        unsigned since;
    } types[] = {
        {"bool", 0},
        {"int", 0},
        {"uint", 0},
        {"double", 0},
        {"string", 0},
        {"bytes", 0},
        {"list", 0},
        {"map", 0},
        {"null_type", 0},
        {"type", 0},
        {"google.protobuf.Timestamp", 0},
        {"google.protobuf.Duration", 0},
        {"optional_type", 28},
        {"net.IP", 30},
        {"net.CIDR", 30},
        {"kubernetes.Quantity", 28},
        {"kubernetes.URL", 0},
        {"kubernetes.Semver", 33},
        {"kubernetes.NamedFormat", 31},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(types); i++) {
        if (ea_str_is(name, types[i].name) && !(k8s && types[i].since > minor)) {
            *ret = ea_cel_type_of(types[i].name);
            return true;
        }
    }
    return false;
}

/* ---- opaque values ---- */

const char *ea_cel_opaque_name(enum ea_cel_opaque kind)
{
    static const char *const names[] = {[EA_OPAQUE_NONE] = "opaque",
                                        [EA_OPAQUE_QUANTITY] = "kubernetes.Quantity",
                                        [EA_OPAQUE_IP] = "net.IP",
                                        [EA_OPAQUE_CIDR] = "net.CIDR",
                                        [EA_OPAQUE_URL] = "kubernetes.URL",
                                        [EA_OPAQUE_SEMVER] = "kubernetes.Semver",
                                        [EA_OPAQUE_FORMAT] = "kubernetes.NamedFormat"};

    return names[kind];
}

struct ea_str ea_cel_opaque_text(struct ea_arena *a, const struct ea_val *v)
{
    switch ((enum ea_cel_opaque)v->n) {
    case EA_OPAQUE_QUANTITY:
        return ea_cel_quantity_text(a, v);
    case EA_OPAQUE_IP:
    case EA_OPAQUE_CIDR:
        return ea_cel_ip_text(a, v);
    case EA_OPAQUE_SEMVER:
        return ea_cel_semver_text(a, v);
    case EA_OPAQUE_URL:
        return ea_cel_url_text(a, v);
    case EA_OPAQUE_FORMAT:
        return ea_cel_format_text(a, v);
    default:
        return ea_arena_str(a, ea_str(ea_cel_opaque_name((enum ea_cel_opaque)v->n)));
    }
}

bool ea_cel_opaque_equal(const struct ea_val *a, const struct ea_val *b)
{
    switch ((enum ea_cel_opaque)a->n) {
    case EA_OPAQUE_QUANTITY:
        return ea_cel_quantity_compare(a, b) == 0;
    case EA_OPAQUE_IP:
    case EA_OPAQUE_CIDR:
        return ea_cel_ip_equal(a, b);
    case EA_OPAQUE_SEMVER:
        return ea_cel_semver_compare(a, b) == 0;
    case EA_OPAQUE_URL:
        return ea_cel_url_equal(a, b);
    default:
        return a->ptr == b->ptr;
    }
}

struct ea_str ea_cel_to_text(struct ea_arena *a, const struct ea_val *v)
{
    struct ea_str s = EA_STR_NULL;
    struct ea_buf b;

    v = ea_val_force(v);
    if (v->type == EA_V_STRING)
        return ea_val_text(v);
    if (v->type == EA_V_OPAQUE)
        return ea_cel_opaque_text(a, v);
    ea_buf_init(&b, 1u << 20);
    if (ea_cel_add_text(&b, v) == 0)
        s = ea_arena_str(a, ea_buf_str(&b));
    ea_buf_done(&b);
    return s;
}

int ea_cel_opaque_parse(struct ea_cel_ctx *cx, struct ea_str type, struct ea_str text,
                        struct ea_val *ret)
{
    static const struct {
        const char *type, *function;
    } makers[] = {{"kubernetes.Quantity", "quantity"},
                  {"net.IP", "ip"},
                  {"net.CIDR", "cidr"},
                  {"kubernetes.URL", "url"},
                  {"kubernetes.Semver", "semver"}};
    struct ea_val arg = ea_val_str(text);
    const struct ea_cel_fn *fn;
    size_t i;

    for (i = 0; i < EA_COUNT(makers); i++) {
        if (!ea_str_is(type, makers[i].type))
            continue;
        fn = ea_cel_fn_find(ea_str(makers[i].function), false, 0);
        return fn ? fn->call(cx, &arg, 1, ret) : ea_cel_raise(cx, "unknown type");
    }
    return ea_cel_raise(cx, "unknown type");
}
