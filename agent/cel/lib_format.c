/* Named formats: apiserver pkg/cel/library/format.go over apimachinery's validation; the messages
 * are those of the API server. */
#include <stdio.h>

#include "cel/lib.h"

#define LABEL 63u
#define SUBDOMAIN 253u

struct errors {
    struct ea_cel_ctx *cx;
    struct ea_val v[4];
    uint32_t n;
};

struct format {
    const char *name, *text;
    void (*check)(struct errors *e, struct ea_str s);
    unsigned weight; /* a quarter of MaxRegexSize, rounded up */
};

static void add(struct errors *e, const char *prefix, const char *message)
{
    struct ea_str s = ea_arena_printf(e->cx->arena, "%s%s", prefix, message);

    if (s.p && e->n < EA_COUNT(e->v))
        e->v[e->n++] = ea_val_str(s);
}

static void too_long(struct errors *e, const char *prefix, unsigned max)
{
    struct ea_str s = ea_arena_printf(e->cx->arena, "%smust be no more than %u bytes", prefix, max);

    if (s.p && e->n < EA_COUNT(e->v))
        e->v[e->n++] = ea_val_str(s);
}

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool alnum(char c)
{
    return digit(c) || lower((char)(c | 0x20));
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, beginning with a letter for RFC 1035 */
static bool is_label(struct ea_str s, bool letter_first)
{
    size_t i;

    if (s.n == 0 || s.p[0] == '-' || s.p[s.n - 1] == '-' || (letter_first && !lower(s.p[0])))
        return false;
    for (i = 0; i < s.n; i++) {
        if (!lower(s.p[i]) && !digit(s.p[i]) && s.p[i] != '-')
            return false;
    }
    return true;
}

static bool is_subdomain(struct ea_str s)
{
    struct ea_str rest = s;

    do {
        if (!is_label(ea_str_cut(rest, '.', &rest), false))
            return false;
    } while (rest.p);
    return true;
}

/* A prefix may end in a dash, because something follows; cf. maskTrailingDash. */
static struct ea_str mask_dash(struct errors *e, struct ea_str s)
{
    struct ea_str copy;

    if (s.n < 2 || s.p[s.n - 1] != '-')
        return s;
    copy = ea_arena_str(e->cx->arena, s);
    if (copy.p == NULL)
        return s;
    ((char *)copy.p)[copy.n - 1] = 'a';
    if (copy.p[copy.n - 2] == '-')
        return s;
    return copy;
}

#define LABEL_1123                                                                                 \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and "                                                                              \
    "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "           \
    "validation is "                                                                               \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_1123                                                                             \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must "                                                                               \
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation " \
    "is "                                                                                          \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_1035                                                                                 \
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "   \
    "alphabetic "                                                                                  \
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex "     \
    "used for "                                                                                    \
    "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define QUALIFIED                                                                                  \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "    \
    "alphanumeric "                                                                                \
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "        \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE                                                                                \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "    \
    "'.', and must "                                                                               \
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "  \
    "regex used for "                                                                              \
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static void dns_label(struct errors *e, struct ea_str s)
{
    if (s.n > LABEL)
        too_long(e, "", LABEL);
    if (!is_label(s, false))
        add(e, "", is_subdomain(s) ? "must not contain dots" : LABEL_1123);
}

static void dns_subdomain_of(struct errors *e, const char *prefix, struct ea_str s)
{
    if (s.n > SUBDOMAIN)
        too_long(e, prefix, SUBDOMAIN);
    if (!is_subdomain(s))
        add(e, prefix, SUBDOMAIN_1123);
}

static void dns_subdomain(struct errors *e, struct ea_str s)
{
    dns_subdomain_of(e, "", s);
}

static void dns_1035(struct errors *e, struct ea_str s)
{
    if (s.n > LABEL)
        too_long(e, "", LABEL);
    if (!is_label(s, true))
        add(e, "", LABEL_1035);
}

static void dns_label_prefix(struct errors *e, struct ea_str s)
{
    dns_label(e, mask_dash(e, s));
}

static void dns_subdomain_prefix(struct errors *e, struct ea_str s)
{
    dns_subdomain(e, mask_dash(e, s));
}

static void dns_1035_prefix(struct errors *e, struct ea_str s)
{
    dns_1035(e, mask_dash(e, s));
}

static bool qualified_part(struct ea_str s)
{
    size_t i;

    if (s.n == 0 || !alnum(s.p[0]) || !alnum(s.p[s.n - 1]))
        return false;
    for (i = 0; i < s.n; i++) {
        if (!alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
            return false;
    }
    return true;
}

static void qualified_name(struct errors *e, struct ea_str s)
{
    struct ea_str rest, prefix = ea_str_cut(s, '/', &rest), name = prefix;

    if (rest.p && memchr(rest.p, '/', rest.n)) {
        add(e, "a valid label key ",
            QUALIFIED " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
        return;
    }
    if (rest.p) {
        name = rest;
        if (prefix.n == 0)
            add(e, "prefix part ", "must be non-empty");
        else
            dns_subdomain_of(e, "prefix part ", prefix);
    }
    if (name.n == 0)
        add(e, "name part ", "must be non-empty");
    else if (name.n > LABEL)
        too_long(e, "name part ", LABEL);
    if (!qualified_part(name))
        add(e, "name part ", QUALIFIED);
}

static void label_value(struct errors *e, struct ea_str s)
{
    if (s.n > LABEL)
        too_long(e, "", LABEL);
    if (s.n && !qualified_part(s))
        add(e, "", LABEL_VALUE);
}

static void uri(struct errors *e, struct ea_str s)
{
    const struct ea_cel_fn *f = ea_cel_fn_find(EA_STR("isURL"), false, 0);
    struct ea_val arg = ea_val_str(s), ok = ea_val_bool(false);
    struct ea_str why;

    if (f && f->call(e->cx, &arg, 1, &ok) == 0 && ok.b)
        return;
    why = ea_arena_printf(e->cx->arena, "parse \"%.*s\": %s", (int)EA_MIN(s.n, (size_t)200),
                          s.p ? s.p : "", s.n ? "invalid URI for request" : "empty url");
    if (why.p)
        e->v[e->n++] = ea_val_str(why);
}

static void uuid(struct errors *e, struct ea_str s)
{
    size_t i, digits = 0;

    /* the dashes are optional (strfmt's pattern) */
    for (i = 0; i < s.n; i++) {
        bool dash = s.p[i] == '-' &&
                    (digits == 8 || digits == 12 || digits == 16 || digits == 20) && i > 0 &&
                    s.p[i - 1] != '-';
        char c = (char)(s.p[i] | 0x20);

        if (!dash && !digit(s.p[i]) && !(c >= 'a' && c <= 'f'))
            break;
        digits += !dash;
    }
    if (i < s.n || digits != 32 || s.p[s.n - 1] == '-')
        add(e, "", "does not match the UUID format");
}

static void byte(struct errors *e, struct ea_str s)
{
    size_t i, pad = 0;

    while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
        pad++;
    for (i = 0; i + pad < s.n && (alnum(s.p[i]) || s.p[i] == '+' || s.p[i] == '/'); i++)
        ;
    if (i + pad != s.n || s.n % 4 != 0 || s.n == 0)
        add(e, "", "invalid base64");
}

static void date(struct errors *e, struct ea_str s)
{
    struct ea_str full =
        s.n == 10 ? ea_arena_printf(e->cx->arena, "%.*sT00:00:00Z", EA_STRF(s)) : EA_STR_NULL;
    struct ea_val t;

    if (full.p == NULL || ea_cel_timestamp_parse(full, &t) == -EINVAL)
        add(e, "", "invalid date");
}

static void datetime(struct errors *e, struct ea_str s)
{
    struct ea_val t;

    if (ea_cel_timestamp_parse(s, &t) == -EINVAL)
        add(e, "", "invalid datetime");
}

static const struct format formats[] = {
    {"dns1123Label", "DNS1123Label", dns_label, 8},
    {"dns1123Subdomain", "DNS1123Subdomain", dns_subdomain, 15},
    {"dns1035Label", "DNS1035Label", dns_1035, 8},
    {"qualifiedName", "QualifiedName", qualified_name, 15},
    {"dns1123LabelPrefix", "DNS1123LabelPrefix", dns_label_prefix, 8},
    {"dns1123SubdomainPrefix", "DNS1123SubdomainPrefix", dns_subdomain_prefix, 15},
    {"dns1035LabelPrefix", "DNS1035LabelPrefix", dns_1035_prefix, 8},
    {"labelValue", "LabelValue", label_value, 10},
    {"uri", "URI", uri, 276},
    {"uuid", "uuid", uuid, 18},
    {"byte", "byte", byte, 21},
    {"date", "date", date, 18},
    {"datetime", "datetime", datetime, 18},
};

uint64_t ea_cel_format_weight(const struct ea_val *v)
{
    return v->type == EA_V_OPAQUE && v->n == EA_OPAQUE_FORMAT
               ? ((const struct format *)v->ptr)->weight
               : 1;
}

struct ea_str ea_cel_format_text(struct ea_arena *a, const struct ea_val *v)
{
    return ea_arena_str(a, ea_str(((const struct format *)v->ptr)->text));
}

#define NAMED(function, index)                                                                     \
    static int function(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,              \
                        struct ea_val *ret)                                                        \
    {                                                                                              \
        *ret = ea_cel_opaque(EA_OPAQUE_FORMAT, &formats[index]);                                   \
        return 0;                                                                                  \
    }

NAMED(named_0, 0)
NAMED(named_1, 1)
NAMED(named_2, 2)
NAMED(named_3, 3)
NAMED(named_4, 4)
NAMED(named_5, 5)
NAMED(named_6, 6)
NAMED(named_7, 7)
NAMED(named_8, 8)
NAMED(named_9, 9)
NAMED(named_10, 10)
NAMED(named_11, 11)
NAMED(named_12, 12)

static int named(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_val *held;
    size_t i;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_cel_optional(NULL);
    for (i = 0; i < EA_COUNT(formats); i++) {
        if (!ea_str_is(ea_val_text(&args[0]), formats[i].name))
            continue;
        held = ea_arena_alloc(cx->arena, sizeof *held);
        if (held == NULL)
            return EA_CEL_FULL;
        *held = ea_cel_opaque(EA_OPAQUE_FORMAT, &formats[i]);
        *ret = ea_cel_optional(held);
    }
    return 0;
}

static int validate(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    struct errors e = {.cx = cx};
    struct ea_val *list;

    if (args[0].type != EA_V_OPAQUE || args[0].n != EA_OPAQUE_FORMAT || args[1].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    ((const struct format *)args[0].ptr)->check(&e, ea_val_text(&args[1]));
    *ret = ea_cel_optional(NULL);
    if (e.n == 0)
        return 0;
    list = ea_arena_alloc(cx->arena, (e.n + 1) * sizeof *list);
    if (list == NULL)
        return EA_CEL_FULL;
    memcpy(list + 1, e.v, e.n * sizeof *list);
    list[0] = ea_val_list(list + 1, e.n);
    *ret = ea_cel_optional(list);
    return 0;
}

const struct ea_cel_fn ea_cel_lib_format[] = {
    EA_FN("format.named", "s:G", named, 31, EA_COST_ONE),
    EA_FN("validate", "F.s:P", validate, 31, EA_COST_VALIDATE),
    EA_FN("format.dns1123Label", ":F", named_0, 31, EA_COST_ONE),
    EA_FN("format.dns1123Subdomain", ":F", named_1, 31, EA_COST_ONE),
    EA_FN("format.dns1035Label", ":F", named_2, 31, EA_COST_ONE),
    EA_FN("format.qualifiedName", ":F", named_3, 31, EA_COST_ONE),
    EA_FN("format.dns1123LabelPrefix", ":F", named_4, 31, EA_COST_ONE),
    EA_FN("format.dns1123SubdomainPrefix", ":F", named_5, 31, EA_COST_ONE),
    EA_FN("format.dns1035LabelPrefix", ":F", named_6, 31, EA_COST_ONE),
    EA_FN("format.labelValue", ":F", named_7, 31, EA_COST_ONE),
    EA_FN("format.uri", ":F", named_8, 31, EA_COST_ONE),
    EA_FN("format.uuid", ":F", named_9, 31, EA_COST_ONE),
    EA_FN("format.byte", ":F", named_10, 31, EA_COST_ONE),
    EA_FN("format.date", ":F", named_11, 31, EA_COST_ONE),
    EA_FN("format.datetime", ":F", named_12, 31, EA_COST_ONE),
    EA_FN_END,
};
