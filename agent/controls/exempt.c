/* controls/exempt.c - exemption files and the search for the one in force. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "controls/exempt.h"
#include "controls/internal.h"

#define EXEMPT_ARENA (64u << 20) /* bytes of all exemption files, parsed */
#define DAY_US (86400ll * 1000000)

struct ea_exemptions {
    struct ea_arena arena;
    struct ea_exemption *v;
    size_t n, size;
};

/* RFC 3339, or a bare date: its first instant as a start, its last day whole as an end. */
static int parse_time(struct ea_str s, bool end, int64_t *ret)
{
    char full[32];

    if (s.n != 10)
        return ea_rfc3339_parse(s, ret);
    snprintf(full, sizeof(full), "%.*sT00:00:00Z", EA_STRF(s));
    if (ea_rfc3339_parse(ea_str(full), ret) < 0)
        return -EINVAL;
    if (end)
        *ret += DAY_US;
    return 0;
}

static int bad(const struct ea_yaml_doc *d, const struct ea_val *at, const char *path,
               struct ea_err *err, const char *fmt, ...) EA_PRINTF(5, 6);
static int bad(const struct ea_yaml_doc *d, const struct ea_val *at, const char *path,
               struct ea_err *err, const char *fmt, ...)
{
    unsigned line = at ? ea_yaml_line(d, at) : 0;
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return ea_fail(err, -EINVAL, "%s:%u: %s", path, line ? line : d->line ? d->line : 1, text);
}

static int check_fields(const struct ea_yaml_doc *d, const struct ea_val *map,
                        const char *const *known, const char *where, const char *path,
                        struct ea_err *err)
{
    if (!ea_val_is(map, EA_V_MAP))
        return bad(d, map, path, err, "%s must be a map", where);
    for (size_t i = 0; i < map->n; i++) {
        struct ea_str key = ea_val_text(&map->members[i].key);
        size_t k = 0;

        while (known[k] && !ea_str_is(key, known[k]))
            k++;
        if (!known[k])
            return bad(d, &map->members[i].val, path, err, "unknown field %.*s in %s", EA_STRF(key),
                       where);
    }
    return 0;
}

static int need_text(const struct ea_yaml_doc *d, const struct ea_val *spec, const char *key,
                     const char *path, struct ea_str *ret, struct ea_err *err)
{
    *ret = ea_str_trim(ea_val_get_str(spec, key));
    if (ret->n)
        return 0;
    return bad(
        d, ea_val_get(spec, ea_str(key)) ? ea_val_get(spec, ea_str(key)) : spec, path, err,
        "spec.%s is missing: an exemption says control, reason, owner, approver, start and end",
        key);
}

static int parse_selector(const struct ea_yaml_doc *d, const struct ea_val *spec, const char *path,
                          struct ea_exemption *x, struct ea_err *err)
{
    static const char *const known[] = {"namespace", "kind", "name", NULL};
    const struct ea_val *s = ea_val_getz(spec, "selector");
    int r;

    if (!s)
        return bad(d, spec, path, err,
                   "spec.selector is missing: it names namespace, kind or name");
    r = check_fields(d, s, known, "spec.selector", path, err);
    if (r < 0)
        return r;
    x->ns = ea_val_get_str(s, "namespace");
    x->kind = ea_val_get_str(s, "kind");
    x->object = ea_val_get_str(s, "name");
    if (x->ns.n == 0 && x->kind.n == 0 && x->object.n == 0)
        return bad(d, s, path, err, "spec.selector is empty: it names namespace, kind or name");
    return 0;
}

static int parse_one(const struct ea_yaml_doc *d, const char *path, struct ea_exemption *x,
                     struct ea_err *err)
{
    static const char *const top[] = {"apiVersion", "kind", "metadata", "spec", "status", NULL};
    static const char *const known[] = {"control", "selector", "reason", "owner", "approver",
                                        "riskRef", "start",    "end",    NULL};
    const struct ea_val *spec = ea_val_getz(&d->root, "spec");
    struct ea_str start, end;
    int r;

    memset(x, 0, sizeof(*x));
    if (!ea_str_is(ea_val_get_str(&d->root, "kind"), "Exemption") ||
        !ea_str_is(ea_val_get_str(&d->root, "apiVersion"), EA_API_VERSION))
        return bad(d, &d->root, path, err, "must be kind Exemption of " EA_API_VERSION);
    x->document = d->root;
    x->name = ea_val_path_str(&d->root, "metadata.name");
    if (x->name.n == 0)
        return bad(d, &d->root, path, err, "metadata.name is missing");
    if ((r = check_fields(d, &d->root, top, "an exemption", path, err)) < 0 ||
        (r = check_fields(d, spec, known, "spec", path, err)) < 0 ||
        (r = need_text(d, spec, "control", path, &x->control, err)) < 0 ||
        (r = need_text(d, spec, "reason", path, &x->reason, err)) < 0 ||
        (r = need_text(d, spec, "owner", path, &x->owner, err)) < 0 ||
        (r = need_text(d, spec, "approver", path, &x->approver, err)) < 0 ||
        (r = need_text(d, spec, "start", path, &start, err)) < 0 ||
        (r = need_text(d, spec, "end", path, &end, err)) < 0)
        return r;
    x->risk_ref = ea_str_trim(ea_val_get_str(spec, "riskRef"));
    if (parse_time(start, false, &x->start_us) < 0)
        return bad(d, ea_val_getz(spec, "start"), path, err,
                   "spec.start is no date (2026-01-31) and no RFC 3339 time");
    if (parse_time(end, true, &x->end_us) < 0)
        return bad(d, ea_val_getz(spec, "end"), path, err,
                   "spec.end is no date (2026-01-31) and no RFC 3339 time");
    if (x->end_us <= x->start_us)
        return bad(d, ea_val_getz(spec, "end"), path, err, "spec.end lies before spec.start");
    return parse_selector(d, spec, path, x, err);
}

static struct ea_exemption *grow(struct ea_exemptions *e)
{
    if (e->n == e->size) {
        e->size = e->size ? e->size * 2 : 16;
        e->v = ea_xrealloc(e->v, e->size * sizeof(*e->v));
    }
    return &e->v[e->n];
}

static int load_file(struct ea_exemptions *e, const char *path, struct ea_err *err)
{
    EA_AUTO_FREE char *bytes = NULL;
    struct ea_yaml_stream s = {0};
    struct ea_str text;
    size_t n;
    int r = ea_read_file(path, EA_MAX_OWN_FILE, &bytes, &n, err);

    if (r < 0)
        return r;
    text = ea_arena_str(&e->arena, ea_strn(bytes, n));
    if (!text.p)
        return ea_fail(err, -E2BIG, "%s: the exemptions are too large together", path);
    r = ea_yaml_parse(&e->arena, text, EA_YAML_STRICT, &s, err);
    if (r < 0)
        return ea_wrap(err, "%s", path);
    for (size_t i = 0; i < s.n; i++) {
        if (s.docs[i].root.type == EA_V_NULL)
            continue;
        r = parse_one(&s.docs[i], path, grow(e), err);
        if (r < 0)
            return r;
        for (size_t k = 0; k < e->n; k++)
            if (ea_str_eq(e->v[k].name, e->v[e->n].name))
                return bad(&s.docs[i], NULL, path, err, "exemption %.*s stands twice",
                           EA_STRF(e->v[k].name));
        e->n++;
    }
    return 0;
}

static int load_folder(struct ea_exemptions *e, const char *path, struct ea_err *err)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort), r = 0;

    if (n < 0)
        return ea_fail(err, -errno, "%s: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        struct ea_str s = ea_str(names[i]->d_name);

        if (r == 0 && s.p[0] != '.' &&
            (ea_str_ends(s, EA_STR(".yaml")) || ea_str_ends(s, EA_STR(".yml")))) {
            EA_AUTO_FREE char *full = ea_xasprintf("%s/%s", path, names[i]->d_name);

            r = load_file(e, full, err);
        }
        free(names[i]);
    }
    free(names);
    return r;
}

int ea_exemptions_load(const char *path, struct ea_exemptions **ret, struct ea_err *err)
{
    struct ea_exemptions *e = ea_xalloc(sizeof(*e));
    struct stat st;
    int r;

    ea_arena_init(&e->arena, EXEMPT_ARENA, 0);
    r = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? load_folder(e, path, err)
                                                    : load_file(e, path, err);
    if (r < 0) {
        ea_exemptions_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

void ea_exemptions_free(struct ea_exemptions *e)
{
    if (!e)
        return;
    ea_arena_done(&e->arena);
    free(e->v);
    free(e);
}

size_t ea_exemptions_list(const struct ea_exemptions *e, const struct ea_exemption **ret)
{
    *ret = e ? e->v : NULL;
    return e ? e->n : 0;
}

static bool fits(struct ea_str want, struct ea_str have)
{
    if (want.n == 0)
        return true;
    if (want.p[want.n - 1] == '*')
        return ea_str_starts(have, ea_strn(want.p, want.n - 1));
    return ea_str_eq(want, have);
}

const struct ea_exemption *ea_exemption_find(const struct ea_exemptions *e, struct ea_str control,
                                             struct ea_str kind, struct ea_str ns,
                                             struct ea_str name, int64_t now_us)
{
    for (size_t i = 0; e && i < e->n; i++) {
        const struct ea_exemption *x = &e->v[i];

        if (!ea_str_eq(x->control, control) || now_us < x->start_us || now_us >= x->end_us)
            continue;
        if ((x->ns.n && !ea_str_eq(x->ns, ns)) || (x->kind.n && !ea_str_eq(x->kind, kind)) ||
            !fits(x->object, name))
            continue;
        return x;
    }
    return NULL;
}
