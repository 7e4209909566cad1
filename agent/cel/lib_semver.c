/* Versions: apiserver pkg/cel/library/semverlib.go (Semantic Versioning 2.0.0,
 * github.com/blang/semver). */
#include <stdio.h>

#include "cel/lib.h"

struct semver {
    uint64_t part[3];
    struct ea_str pre, build; /* "alpha.1", "" = none */
};

static const struct semver *get(const struct ea_val *v)
{
    return v->ptr;
}

static bool is(const struct ea_val *v)
{
    return v->type == EA_V_OPAQUE && v->n == EA_OPAQUE_SEMVER;
}

static bool all_digits(struct ea_str s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n > 0;
}

/* Dot-separated identifiers of [0-9A-Za-z-]; numeric ones of a pre-release have no leading zero. */
static bool identifiers(struct ea_str s, bool pre)
{
    struct ea_str rest = s;
    size_t i;

    do {
        struct ea_str part = ea_str_cut(rest, '.', &rest);

        if (part.n == 0 || (pre && part.n > 1 && part.p[0] == '0' && all_digits(part)))
            return false;
        for (i = 0; i < part.n; i++) {
            char c = part.p[i];

            if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-'))
                return false;
        }
    } while (rest.p);
    return true;
}

/* Cuts the leading part up to one of two separators; what follows keeps its separator. */
static struct ea_str cut_at(struct ea_str *s, char x, char y)
{
    struct ea_str head;
    size_t i;

    for (i = 0; i < s->n && s->p[i] != x && s->p[i] != y; i++)
        ;
    head = ea_strn(s->p, i);
    *s = ea_strn(s->p + i, s->n - i);
    return head;
}

/* One of the three numbers. */
static bool read_number(struct ea_str number, bool normalize, uint64_t *ret)
{
    while (normalize && number.n > 1 && number.p[0] == '0')
        number = ea_strn(number.p + 1, number.n - 1);
    return all_digits(number) && !(number.n > 1 && number.p[0] == '0') &&
           ea_str_to_u64(number, ret) == 0;
}

static bool read_core(struct ea_str core, bool normalize, struct semver *ret)
{
    struct ea_str rest = core;
    size_t i;

    for (i = 0; i < 3; i++) {
        if (rest.p == NULL)
            return normalize && i > 0;
        if (!read_number(ea_str_cut(rest, '.', &rest), normalize, &ret->part[i]))
            return false;
    }
    return rest.p == NULL;
}

/* normalize: "v1.2" reads as 1.2.0, leading zeros are dropped. */
static bool parse(struct ea_str s, bool normalize, struct semver *ret)
{
    struct ea_str core;

    *ret = (struct semver){.pre = EA_STR(""), .build = EA_STR("")};
    if (normalize && s.n && s.p[0] == 'v')
        s = ea_strn(s.p + 1, s.n - 1);
    core = cut_at(&s, '-', '+');
    if (s.n && s.p[0] == '-') {
        s = ea_strn(s.p + 1, s.n - 1);
        ret->pre = cut_at(&s, '+', '+');
        if (!identifiers(ret->pre, true))
            return false;
    }
    if (s.n) {
        ret->build = ea_strn(s.p + 1, s.n - 1);
        if (!identifiers(ret->build, false))
            return false;
    }
    return read_core(core, normalize, ret);
}

/* Numeric identifiers come before the others and compare as numbers. */
static int compare_part(struct ea_str a, struct ea_str b)
{
    bool na = all_digits(a), nb = all_digits(b);
    int c;

    if (na != nb)
        return na ? -1 : 1;
    if (na && a.n != b.n)
        return a.n < b.n ? -1 : 1;
    c = ea_str_cmp(a, b);
    return c < 0 ? -1 : c > 0;
}

static int compare_pre(struct ea_str x, struct ea_str y)
{
    int c = 0;

    /* a version without pre-release comes after those with one */
    if (x.n == 0 || y.n == 0)
        return x.n == y.n ? 0 : x.n == 0 ? 1 : -1;
    while (x.p && y.p && c == 0)
        c = compare_part(ea_str_cut(x, '.', &x), ea_str_cut(y, '.', &y));
    return c ? c : x.p ? 1 : y.p ? -1 : 0;
}

int ea_cel_semver_compare(const struct ea_val *a, const struct ea_val *b)
{
    unsigned i;

    for (i = 0; i < 3; i++) {
        if (get(a)->part[i] != get(b)->part[i])
            return get(a)->part[i] < get(b)->part[i] ? -1 : 1;
    }
    return compare_pre(get(a)->pre, get(b)->pre);
}

struct ea_str ea_cel_semver_text(struct ea_arena *a, const struct ea_val *v)
{
    const struct semver *s = get(v);

    return ea_arena_printf(a, "%llu.%llu.%llu%s%.*s%s%.*s", (unsigned long long)s->part[0],
                           (unsigned long long)s->part[1], (unsigned long long)s->part[2],
                           s->pre.n ? "-" : "", EA_STRF(s->pre), s->build.n ? "+" : "",
                           EA_STRF(s->build));
}

static bool takes(const struct ea_val *args, unsigned n)
{
    return args[0].type == EA_V_STRING && (n < 2 || args[1].type == EA_V_BOOL);
}

static int semver(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct semver *s;

    if (!takes(args, n))
        return EA_CEL_NO_OVERLOAD;
    s = ea_arena_alloc(cx->arena, sizeof *s);
    if (s == NULL)
        return EA_CEL_FULL;
    if (!parse(ea_val_text(&args[0]), n > 1 && args[1].b, s))
        return ea_cel_raise(cx, "invalid semantic version '%.*s'", (int)EA_MIN(args[0].n, 60u),
                            args[0].s);
    *ret = ea_cel_opaque(EA_OPAQUE_SEMVER, s);
    return 0;
}

static int is_semver(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    struct semver s;

    if (!takes(args, n))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(parse(ea_val_text(&args[0]), n > 1 && args[1].b, &s));
    return 0;
}

static int part(const struct ea_val *v, unsigned i, struct ea_val *ret)
{
    if (!is(v))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_int((int64_t)get(v)->part[i]);
    return 0;
}

static int major_part(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    return part(&args[0], 0, ret);
}

static int minor_part(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    return part(&args[0], 1, ret);
}

static int patch_part(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    return part(&args[0], 2, ret);
}

const struct ea_cel_fn ea_cel_lib_semver[] = {
    EA_FN("semver", "s:V sb:V", semver, 33, EA_COST_ARG),
    EA_FN("isSemver", "s:b sb:b", is_semver, 33, EA_COST_ARG),
    EA_FN("major", "V.:i", major_part, 33, EA_COST_ONE),
    EA_FN("minor", "V.:i", minor_part, 33, EA_COST_ONE),
    EA_FN("patch", "V.:i", patch_part, 33, EA_COST_ONE),
    EA_FN_END,
};
