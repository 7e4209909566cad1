/* controls/load.c - a folder or the embedded table into one immutable rule set. */
#include <stdio.h>

#include "base/limits.h"
#include "controls/internal.h"

#define RULESET_ARENA (256u << 20) /* bytes: 4096 controls of 64 KiB each, compiled */
#define MAX_PROBLEMS 4096u         /* problems that are listed; more say nothing new */

void ea_problem_add(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *at,
                    bool fatal, const char *fmt, ...)
{
    char text[1024];
    struct ea_problem *p;
    va_list ap;

    if (l->n == l->size) {
        size_t size = l->size ? l->size * 2 : 32;

        p = size > MAX_PROBLEMS ? NULL : ea_arena_alloc(l->a, size * sizeof(*p));
        if (!p)
            return;
        if (l->n)
            memcpy(p, l->p, l->n * sizeof(*p));
        l->p = p;
        l->size = size;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    p = &l->p[l->n++];
    p->file = f->path;
    p->line = at && f->parsed ? ea_yaml_line(&f->doc, at) : 0;
    if (p->line == 0)
        p->line = 1;
    p->text = ea_arena_str(l->a, ea_str(text));
    p->fatal = fatal;
}

unsigned ea_unknown_fields(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *map,
                           const char *where, const char *const *known)
{
    unsigned bad = 0;

    if (!ea_val_is(map, EA_V_MAP))
        return 0;
    for (size_t i = 0; i < map->n; i++) {
        struct ea_str key = ea_val_text(&map->members[i].key);
        size_t k = 0;

        while (known[k] && !ea_str_is(key, known[k]))
            k++;
        if (known[k])
            continue;
        ea_problem_add(l, f, &map->members[i].val, true, "unknown field %.*s in %s", EA_STRF(key),
                       where);
        bad++;
    }
    return bad;
}

static bool is_cases(struct ea_str rel)
{
    return ea_str_ends(rel, EA_STR(".cases.yaml")) || ea_str_ends(rel, EA_STR(".cases.yml"));
}

/* <group>/<id>.yaml, but for libraries and cases. */
static bool is_control(struct ea_str rel)
{
    return !ea_str_starts(rel, EA_STR("lib/")) && !is_cases(rel) &&
           memchr(rel.p, '/', rel.n) != NULL;
}

static void parse_file(struct ea_loader *l, struct ea_cfile *f)
{
    struct ea_yaml_stream s = {0};
    struct ea_err err = {0};
    int r;

    if (is_cases(f->rel) && !l->o->lint) {
        f->used = true; /* the cases runner parses them itself */
        return;
    }
    r = ea_yaml_parse(l->a, f->bytes, EA_YAML_STRICT, &s, &err);
    if (r == 0 && s.n != 1)
        r = ea_fail(&err, -EINVAL, "line 1: one document is wanted, here are %zu", s.n);
    if (r < 0) {
        unsigned line = 1;
        const char *at = strstr(err.text, "line ");

        if (at && sscanf(at, "line %u", &line) != 1)
            line = 1;
        f->error = ea_arena_str(l->a, ea_str(err.text));
        ea_problem_add(l, f, NULL, true, "%s", err.text);
        if (l->n)
            l->p[l->n - 1].line = line;
        return;
    }
    f->doc = s.docs[0];
    f->parsed = true;
}

static int cmp_controls(const void *a, const void *b)
{
    return ea_str_cmp(((const struct ea_control *)a)->id, ((const struct ea_control *)b)->id);
}

static int load_controls(struct ea_loader *l, struct ea_err *err)
{
    struct ea_ruleset *rs = l->rs;
    struct ea_control *v;
    unsigned n = 0;

    for (unsigned i = 0; i < l->priv->n_files; i++)
        n += is_control(l->priv->files[i].rel);
    if (n > 4096)
        return ea_fail(err, -E2BIG, "%u controls, at most 4096 are possible", n);
    v = ea_arena_zalloc(l->a, (n + 1) * sizeof(*v));
    if (!v)
        return ea_fail(err, -E2BIG, "the control files are too large together");
    n = 0;
    for (unsigned i = 0; i < l->priv->n_files; i++)
        if (is_control(l->priv->files[i].rel) &&
            ea_control_parse(l, &l->priv->files[i], &v[n++]) < 0)
            return ea_fail(err, -E2BIG, "the control files are too large together");
    qsort(v, n, sizeof(*v), cmp_controls);
    rs->controls = v;
    rs->n_controls = n;
    for (unsigned i = 0; i < n; i++) {
        ((struct ea_control_priv *)v[i].priv)->index = i;
        rs->n_compile_errors += v[i].compile_error != NULL;
        if (i && ea_str_eq(v[i - 1].id, v[i].id)) {
            ea_problem_add(l, v[i].priv->file, &v[i].document, true, "control %.*s is also in %.*s",
                           EA_STRF(v[i].id), EA_STRF(v[i - 1].file));
            return ea_fail(err, -EINVAL, "%.*s:1: control %.*s is also in %.*s", EA_STRF(v[i].file),
                           EA_STRF(v[i].id), EA_STRF(v[i - 1].file));
        }
    }
    return 0;
}

static int load_all(struct ea_loader *l, struct ea_err *err)
{
    int r = ea_files_load(l->priv, l->o->dir, l->o->files, err);

    if (r < 0)
        return r;
    l->families = ea_arena_zalloc(l->a, (l->priv->n_files + 1) * sizeof(*l->families));
    if (!l->families)
        return ea_fail(err, -E2BIG, "the control files are too large together");
    for (unsigned i = 0; i < l->priv->n_files; i++)
        parse_file(l, &l->priv->files[i]);
    r = ea_catalogue_load(l, err);
    if (r == 0)
        r = ea_libraries_load(l, err);
    if (r == 0)
        r = load_controls(l, err);
    if (r < 0)
        return r;
    if (ea_dispatch_build(l) < 0)
        return ea_fail(err, -E2BIG, "the control files are too large together");
    l->priv->n_families = l->n_families;
    if (l->o->lint) {
        for (unsigned i = 0; i < l->rs->n_controls; i++)
            ea_lint_control(l, &l->rs->controls[i]);
        ea_lint_files(l);
    }
    return 0;
}

static void free_set(struct ea_ruleset *rs)
{
    struct ea_ruleset_priv *p = rs->priv;

    ea_map_done(&p->dispatch, NULL);
    ea_map_done(&p->kinds, NULL);
    ea_arena_done(&p->arena);
    free(p);
    free(rs);
}

static int cmp_problems(const void *a, const void *b)
{
    const struct ea_problem *x = a, *y = b;
    int c = ea_str_cmp(x->file, y->file);

    return c ? c : x->line < y->line ? -1 : x->line > y->line;
}

int ea_ruleset_load(const struct ea_ruleset_opts *o, struct ea_ruleset **ret,
                    struct ea_problems *ret_problems, struct ea_err *err)
{
    struct ea_ruleset *rs = ea_xalloc(sizeof(*rs));
    struct ea_loader l = {.rs = rs, .o = o};
    int r;

    rs->priv = ea_xalloc(sizeof(*rs->priv));
    rs->priv->refs = 1;
    rs->priv->dir = o->dir;
    ea_arena_init(&rs->priv->arena, RULESET_ARENA, 1u << 20);
    ea_map_init(&rs->priv->dispatch);
    ea_map_init(&rs->priv->kinds);
    l.priv = rs->priv;
    l.a = &rs->priv->arena;
    r = load_all(&l, err);
    if (r < 0) {
        free_set(rs);
        return r;
    }
    if (l.n)
        qsort(l.p, l.n, sizeof(*l.p), cmp_problems);
    if (ret_problems)
        *ret_problems = (struct ea_problems){l.p, l.n};
    *ret = rs;
    return 0;
}

struct ea_ruleset *ea_ruleset_ref(struct ea_ruleset *r)
{
    __atomic_fetch_add(&r->priv->refs, 1, __ATOMIC_RELAXED);
    return r;
}

void ea_ruleset_unref(struct ea_ruleset *r)
{
    if (r && __atomic_fetch_sub(&r->priv->refs, 1, __ATOMIC_ACQ_REL) == 1)
        free_set(r);
}

const struct ea_control *ea_control_find(const struct ea_ruleset *r, struct ea_str id)
{
    size_t lo = 0, hi = r->n_controls;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = ea_str_cmp(r->controls[mid].id, id);

        if (c == 0)
            return &r->controls[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

void ea_ruleset_set_digest(struct ea_ruleset *r, const char hex[65])
{
    memcpy(r->sha256, hex, 64);
    r->sha256[64] = 0;
}
