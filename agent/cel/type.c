#include "cel/type.h"

#include "cel/value.h"

#define SIMPLE(id, kind_, name_)                                                                   \
    const struct ea_cel_type ea_cel_t_##id = {.kind = EA_T_##kind_, .name = name_}
SIMPLE(dyn, DYN, "dyn");
SIMPLE(null, NULL, "null");
SIMPLE(bool, BOOL, "bool");
SIMPLE(int, INT, "int");
SIMPLE(uint, UINT, "uint");
SIMPLE(double, DOUBLE, "double");
SIMPLE(string, STRING, "string");
SIMPLE(bytes, BYTES, "bytes");
SIMPLE(timestamp, TIMESTAMP, "google.protobuf.Timestamp");
SIMPLE(duration, DURATION, "google.protobuf.Duration");
SIMPLE(type, TYPE, "type");
SIMPLE(any, ANY_ELEM, "dyn");
const struct ea_cel_type ea_cel_t_list_dyn = {.kind = EA_T_LIST, .a = &ea_cel_t_dyn};
const struct ea_cel_type ea_cel_t_list_string = {.kind = EA_T_LIST, .a = &ea_cel_t_string};
const struct ea_cel_type ea_cel_t_map_dyn = {
    .kind = EA_T_MAP, .a = &ea_cel_t_dyn, .b = &ea_cel_t_dyn};

static const struct ea_cel_type map_string = {
    .kind = EA_T_MAP, .a = &ea_cel_t_string, .b = &ea_cel_t_string};
static const struct ea_cel_type map_strings = {
    .kind = EA_T_MAP, .a = &ea_cel_t_string, .b = &ea_cel_t_list_string};

/* apiserver pkg/admission/plugin/cel/compile.go: BuildRequestType and BuildNamespaceType */
static const struct ea_cel_field gvk_fields[] = {{"group", &ea_cel_t_string},
                                                 {"version", &ea_cel_t_string},
                                                 {"kind", &ea_cel_t_string},
                                                 {NULL, NULL}};
static const struct ea_cel_field gvr_fields[] = {{"group", &ea_cel_t_string},
                                                 {"version", &ea_cel_t_string},
                                                 {"resource", &ea_cel_t_string},
                                                 {NULL, NULL}};
static const struct ea_cel_field user_fields[] = {{"username", &ea_cel_t_string},
                                                  {"uid", &ea_cel_t_string},
                                                  {"groups", &ea_cel_t_list_string},
                                                  {"extra", &map_strings},
                                                  {NULL, NULL}};
static const struct ea_cel_type gvk = {
    .kind = EA_T_OBJECT, .name = "kubernetes.GroupVersionKind", .fields = gvk_fields};
static const struct ea_cel_type gvr = {
    .kind = EA_T_OBJECT, .name = "kubernetes.GroupVersionResource", .fields = gvr_fields};
static const struct ea_cel_type user = {
    .kind = EA_T_OBJECT, .name = "kubernetes.UserInfo", .fields = user_fields};
static const struct ea_cel_field request_fields[] = {{"kind", &gvk},
                                                     {"resource", &gvr},
                                                     {"subResource", &ea_cel_t_string},
                                                     {"requestKind", &gvk},
                                                     {"requestResource", &gvr},
                                                     {"requestSubResource", &ea_cel_t_string},
                                                     {"name", &ea_cel_t_string},
                                                     {"namespace", &ea_cel_t_string},
                                                     {"operation", &ea_cel_t_string},
                                                     {"userInfo", &user},
                                                     {"dryRun", &ea_cel_t_bool},
                                                     {"options", &ea_cel_t_dyn},
                                                     {NULL, NULL}};
static const struct ea_cel_type request = {
    .kind = EA_T_OBJECT, .name = "kubernetes.AdmissionRequest", .fields = request_fields};

static const struct ea_cel_field ns_meta_fields[] = {{"name", &ea_cel_t_string},
                                                     {"generateName", &ea_cel_t_string},
                                                     {"namespace", &ea_cel_t_string},
                                                     {"labels", &map_string},
                                                     {"annotations", &map_string},
                                                     {"UID", &ea_cel_t_string},
                                                     {"creationTimestamp", &ea_cel_t_timestamp},
                                                     {"deletionGracePeriodSeconds", &ea_cel_t_int},
                                                     {"deletionTimestamp", &ea_cel_t_timestamp},
                                                     {"generation", &ea_cel_t_int},
                                                     {"resourceVersion", &ea_cel_t_string},
                                                     {"finalizers", &ea_cel_t_list_string},
                                                     {NULL, NULL}};
static const struct ea_cel_type ns_meta = {
    .kind = EA_T_OBJECT, .name = "kubernetes.NamespaceMetadata", .fields = ns_meta_fields};
static const struct ea_cel_field ns_condition_fields[] = {
    {"status", &ea_cel_t_string},
    {"type", &ea_cel_t_string},
    {"lastTransitionTime", &ea_cel_t_timestamp},
    {"message", &ea_cel_t_string},
    {"reason", &ea_cel_t_string},
    {NULL, NULL}};
static const struct ea_cel_type ns_condition = {
    .kind = EA_T_OBJECT, .name = "kubernetes.NamespaceCondition", .fields = ns_condition_fields};
static const struct ea_cel_type ns_conditions = {.kind = EA_T_LIST, .a = &ns_condition};
static const struct ea_cel_field ns_status_fields[] = {
    {"conditions", &ns_conditions}, {"phase", &ea_cel_t_string}, {NULL, NULL}};
static const struct ea_cel_type ns_status = {
    .kind = EA_T_OBJECT, .name = "kubernetes.NamespaceStatus", .fields = ns_status_fields};
static const struct ea_cel_field ns_spec_fields[] = {{"finalizers", &ea_cel_t_list_string},
                                                     {NULL, NULL}};
static const struct ea_cel_type ns_spec = {
    .kind = EA_T_OBJECT, .name = "kubernetes.NamespaceSpec", .fields = ns_spec_fields};
static const struct ea_cel_field namespace_fields[] = {
    {"metadata", &ns_meta}, {"spec", &ns_spec}, {"status", &ns_status}, {NULL, NULL}};
static const struct ea_cel_type namespace = {
    .kind = EA_T_OBJECT, .name = "kubernetes.Namespace", .fields = namespace_fields};

static const struct ea_cel_type opaques[] = {
    {.kind = EA_T_OPAQUE, .name = "kubernetes.Quantity"},
    {.kind = EA_T_OPAQUE, .name = "net.IP"},
    {.kind = EA_T_OPAQUE, .name = "net.CIDR"},
    {.kind = EA_T_OPAQUE, .name = "kubernetes.URL"},
    {.kind = EA_T_OPAQUE, .name = "kubernetes.Semver"},
    {.kind = EA_T_OPAQUE, .name = "kubernetes.NamedFormat"},
};

static const struct {
    const char *word;
    const struct ea_cel_type *type;
} words[] = {
    {"dyn", &ea_cel_t_dyn},
    {"null", &ea_cel_t_null},
    {"bool", &ea_cel_t_bool},
    {"int", &ea_cel_t_int},
    {"uint", &ea_cel_t_uint},
    {"double", &ea_cel_t_double},
    {"string", &ea_cel_t_string},
    {"bytes", &ea_cel_t_bytes},
    {"timestamp", &ea_cel_t_timestamp},
    {"google.protobuf.Timestamp", &ea_cel_t_timestamp},
    {"duration", &ea_cel_t_duration},
    {"google.protobuf.Duration", &ea_cel_t_duration},
    {"type", &ea_cel_t_type},
    {"list", &ea_cel_t_list_dyn},
    {"map", &ea_cel_t_map_dyn},
    {"request", &request},
    {"namespace", &namespace},
};

static const struct ea_cel_type *param(struct ea_arena *a, enum ea_cel_tkind kind,
                                       const struct ea_cel_type *x, const struct ea_cel_type *y)
{
    struct ea_cel_type *t = ea_arena_zalloc(a, sizeof *t);

    if (t == NULL)
        return NULL;
    t->kind = kind;
    t->a = x;
    t->b = y;
    return t;
}

const struct ea_cel_type *ea_cel_type_list(struct ea_arena *a, const struct ea_cel_type *elem)
{
    return elem->kind == EA_T_DYN ? &ea_cel_t_list_dyn : param(a, EA_T_LIST, elem, NULL);
}

const struct ea_cel_type *ea_cel_type_map(struct ea_arena *a, const struct ea_cel_type *k,
                                          const struct ea_cel_type *v)
{
    return k->kind == EA_T_DYN && v->kind == EA_T_DYN ? &ea_cel_t_map_dyn
                                                      : param(a, EA_T_MAP, k, v);
}

const struct ea_cel_type *ea_cel_type_optional(struct ea_arena *a, const struct ea_cel_type *v)
{
    return param(a, EA_T_OPTIONAL, v, NULL);
}

const struct ea_cel_type *ea_cel_type_opaque(const char *name)
{
    size_t i;

    for (i = 0; i < EA_COUNT(opaques); i++) {
        if (strcmp(opaques[i].name, name) == 0)
            return &opaques[i];
    }
    return NULL;
}

/* ---- text ---- */

/* Cuts the first top-level part off "A, B". */
static struct ea_str first_part(struct ea_str s, struct ea_str *rest)
{
    size_t i, depth = 0;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] == '(')
            depth++;
        else if (s.p[i] == ')' && depth)
            depth--;
        else if (s.p[i] == ',' && depth == 0) {
            *rest = ea_str_trim(ea_strn(s.p + i + 1, s.n - i - 1));
            return ea_strn(s.p, i);
        }
    }
    *rest = EA_STR_NULL;
    return s;
}

static const struct ea_cel_type *parse(struct ea_arena *a, struct ea_str s, unsigned depth);

/* "list(A)", "map(A, B)", "optional_type(A)"; NULL when it is none of them. */
static const struct ea_cel_type *parse_param(struct ea_arena *a, struct ea_str s, unsigned depth)
{
    const struct ea_cel_type *x, *y;
    struct ea_str inner, second;
    const char *open = memchr(s.p, '(', s.n);

    if (open == NULL || s.p[s.n - 1] != ')' || depth > 8)
        return NULL;
    inner = ea_strn(open + 1, (size_t)(s.p + s.n - open) - 2);
    s.n = (size_t)(open - s.p);
    x = parse(a, first_part(inner, &second), depth + 1);
    y = second.p ? parse(a, second, depth + 1) : &ea_cel_t_dyn;
    if (ea_str_is(s, "list"))
        return ea_cel_type_list(a, x);
    if (ea_str_is(s, "map"))
        return ea_cel_type_map(a, x, y);
    if (ea_str_is(s, "optional_type"))
        return ea_cel_type_optional(a, x);
    return ea_str_is(s, "type") ? &ea_cel_t_type : NULL;
}

static const struct ea_cel_type *parse(struct ea_arena *a, struct ea_str s, unsigned depth)
{
    const struct ea_cel_type *t;
    size_t i;

    s = ea_str_trim(s);
    for (i = 0; i < EA_COUNT(words); i++) {
        if (ea_str_is(s, words[i].word))
            return words[i].type;
    }
    for (i = 0; i < EA_COUNT(opaques); i++) {
        if (ea_str_is(s, opaques[i].name))
            return &opaques[i];
    }
    t = s.n ? parse_param(a, s, depth) : NULL;
    return t ? t : &ea_cel_t_dyn;
}

const struct ea_cel_type *ea_cel_type_parse(struct ea_arena *a, const char *text)
{
    return text ? parse(a, ea_str(text), 0) : &ea_cel_t_dyn;
}

const char *ea_cel_type_text(struct ea_arena *a, const struct ea_cel_type *t)
{
    struct ea_str s;

    switch (t->kind) {
    case EA_T_LIST:
        s = ea_arena_printf(a, "list(%s)", ea_cel_type_text(a, t->a));
        break;
    case EA_T_MAP:
        s = ea_arena_printf(a, "map(%s, %s)", ea_cel_type_text(a, t->a), ea_cel_type_text(a, t->b));
        break;
    case EA_T_OPTIONAL:
        s = ea_arena_printf(a, "optional_type(%s)", ea_cel_type_text(a, t->a));
        break;
    case EA_T_OBJECT:
        return t == &request ? "request" : t == &namespace ? "namespace" : t->name;
    default:
        return t->name;
    }
    return s.p ? s.p : "dyn";
}

/* ---- relations ---- */

static bool loose(const struct ea_cel_type *t)
{
    return t->kind == EA_T_DYN || t->kind == EA_T_ANY_ELEM;
}

/* null stands for messages, which here are timestamps, durations, objects and opaque values (cel-go
 * checker/types.go) */
static bool takes_null(const struct ea_cel_type *t)
{
    return t->kind == EA_T_OPAQUE || t->kind == EA_T_OBJECT || t->kind == EA_T_TIMESTAMP ||
           t->kind == EA_T_DURATION || t->kind == EA_T_NULL;
}

bool ea_cel_type_fits(const struct ea_cel_type *to, const struct ea_cel_type *from)
{
    if (loose(to) || loose(from) || to == from)
        return true;
    if (from->kind == EA_T_NULL)
        return takes_null(to);
    if (to->kind != from->kind)
        return false;
    switch (to->kind) {
    case EA_T_LIST:
    case EA_T_OPTIONAL:
        return ea_cel_type_fits(to->a, from->a);
    case EA_T_MAP:
        return ea_cel_type_fits(to->a, from->a) && ea_cel_type_fits(to->b, from->b);
    case EA_T_OPAQUE:
    case EA_T_OBJECT:
        return strcmp(to->name, from->name) == 0;
    default:
        return true;
    }
}

bool ea_cel_type_same(const struct ea_cel_type *x, const struct ea_cel_type *y)
{
    if (x == y || x->kind == EA_T_ANY_ELEM || y->kind == EA_T_ANY_ELEM)
        return true;
    if (x->kind != y->kind)
        return false;
    if (x->kind == EA_T_LIST || x->kind == EA_T_OPTIONAL)
        return ea_cel_type_same(x->a, y->a);
    if (x->kind == EA_T_MAP)
        return ea_cel_type_same(x->a, y->a) && ea_cel_type_same(x->b, y->b);
    return x->name == y->name || (x->name && y->name && strcmp(x->name, y->name) == 0);
}

/* x says less than y, or the same, where both fit */
static bool vaguer(const struct ea_cel_type *x, const struct ea_cel_type *y)
{
    if (x->kind == EA_T_DYN)
        return true;
    if (x->kind == EA_T_ANY_ELEM || y->kind == EA_T_DYN || x->kind == EA_T_NULL)
        return false;
    if (x->kind == y->kind && (x->kind == EA_T_LIST || x->kind == EA_T_OPTIONAL))
        return vaguer(x->a, y->a);
    if (x->kind == y->kind && x->kind == EA_T_MAP)
        return vaguer(x->a, y->a) && vaguer(x->b, y->b);
    return true;
}

const struct ea_cel_type *ea_cel_type_join(const struct ea_cel_type *x, const struct ea_cel_type *y)
{
    if (!ea_cel_type_fits(x, y) && !ea_cel_type_fits(y, x))
        return NULL;
    return vaguer(x, y) ? x : y;
}
