/* controls/files.c - the bytes of a rule set: a folder on disk or the table inside the binary. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/limits.h"
#include "controls/embedded.h"
#include "controls/internal.h"

struct names {
    char **v;
    size_t n, size;
};

static void names_free(struct names *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
}

static void names_add(struct names *s, char *name)
{
    if (s->n == s->size) {
        s->size = s->size ? s->size * 2 : 64;
        s->v = ea_xrealloc(s->v, s->size * sizeof(*s->v));
    }
    s->v[s->n++] = name;
}

static bool is_yaml(const char *name)
{
    struct ea_str s = ea_str(name);

    return ea_str_ends(s, EA_STR(".yaml")) || ea_str_ends(s, EA_STR(".yml"));
}

/* Files of dir/sub (sub "" = dir itself); folders are listed in ret_dirs. */
static int list_folder(const char *dir, const char *sub, struct names *files,
                       struct names *ret_dirs, struct ea_err *err)
{
    EA_AUTO_FREE char *path = ea_xasprintf("%s%s%s", dir, *sub ? "/" : "", sub);
    DIR *d = opendir(path);
    struct dirent *e;

    if (!d)
        return ea_fail(err, -errno, "%s: %s", path, strerror(errno));
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        char *rel = ea_xasprintf("%s%s%s", sub, *sub ? "/" : "", e->d_name);
        EA_AUTO_FREE char *full = ea_xasprintf("%s/%s", dir, rel);
        struct stat st;

        if (stat(full, &st) == 0 && S_ISDIR(st.st_mode) && ret_dirs)
            names_add(ret_dirs, rel);
        else if (is_yaml(e->d_name))
            names_add(files, rel);
        else
            free(rel);
    }
    closedir(d);
    return 0;
}

static int cmp_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_one(struct ea_ruleset_priv *p, const char *dir, const char *rel,
                    struct ea_cfile *ret, struct ea_err *err)
{
    EA_AUTO_FREE char *full = ea_xasprintf("%s/%s", dir, rel);
    EA_AUTO_FREE char *bytes = NULL;
    size_t n;
    int r = ea_read_file(full, EA_MAX_OWN_FILE, &bytes, &n, err);

    if (r < 0)
        return r;
    ret->rel = ea_arena_str(&p->arena, ea_str(rel));
    ret->path = ea_arena_str(&p->arena, ea_str(full));
    ret->bytes = ea_arena_str(&p->arena, ea_strn(bytes, n));
    if (!ret->rel.p || !ret->path.p || !ret->bytes.p)
        return ea_fail(err, -E2BIG, "%s: the control files are too large together", dir);
    return 0;
}

static int load_folder(struct ea_ruleset_priv *p, const char *dir, struct ea_err *err)
{
    struct names files = {0}, dirs = {0};
    int r = list_folder(dir, "", &files, &dirs, err);

    for (size_t i = 0; i < dirs.n && r == 0; i++)
        r = list_folder(dir, dirs.v[i], &files, NULL, err);
    if (r < 0)
        goto out;
    if (files.n == 0) {
        r = ea_fail(err, -ENOENT, "%s: no control files (*.yaml) here", dir);
        goto out;
    }
    qsort(files.v, files.n, sizeof(*files.v), cmp_names);
    p->files = ea_arena_zalloc(&p->arena, files.n * sizeof(*p->files));
    if (!p->files) {
        r = ea_fail(err, -E2BIG, "%s: too many control files", dir);
        goto out;
    }
    for (size_t i = 0; i < files.n && r == 0; i++, p->n_files++)
        r = read_one(p, dir, files.v[i], &p->files[i], err);
out:
    names_free(&files);
    names_free(&dirs);
    return r;
}

static int cmp_files(const void *a, const void *b)
{
    return ea_str_cmp(((const struct ea_cfile *)a)->rel, ((const struct ea_cfile *)b)->rel);
}

static int load_table(struct ea_ruleset_priv *p, const struct ea_embedded_file *table,
                      struct ea_err *err)
{
    size_t n = 0;

    while (table[n].path)
        n++;
    p->files = n ? ea_arena_zalloc(&p->arena, n * sizeof(*p->files)) : NULL;
    if (!p->files)
        return ea_fail(err, -ENOENT, "no control files are built in");
    for (size_t i = 0; i < n; i++) {
        const struct ea_embedded_file *e = &table[i];

        p->files[i].rel = ea_str(e->path);
        p->files[i].path = ea_arena_printf(&p->arena, "controls/%s", e->path);
        p->files[i].bytes = ea_strn(e->bytes, e->n);
        if (!p->files[i].path.p)
            return ea_fail(err, -E2BIG, "the control files are too large together");
    }
    p->n_files = (unsigned)n;
    qsort(p->files, n, sizeof(*p->files), cmp_files);
    return 0;
}

int ea_files_load(struct ea_ruleset_priv *p, const char *dir, const struct ea_embedded_file *table,
                  struct ea_err *err)
{
    int r =
        dir ? load_folder(p, dir, err) : load_table(p, table ? table : ea_embedded_controls, err);

    /* A folder whose names sort by bytes may still differ from the order by (folder, file): the
     * digest wants one order. */
    if (r == 0 && p->files && p->n_files > 1)
        qsort(p->files, p->n_files, sizeof(*p->files), cmp_files);
    return r;
}

struct ea_cfile *ea_files_find(const struct ea_ruleset_priv *p, struct ea_str rel)
{
    size_t lo = 0, hi = p->n_files;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = ea_str_cmp(p->files[mid].rel, rel);

        if (c == 0)
            return &p->files[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

void ea_ruleset_files(const struct ea_ruleset *r,
                      void (*feed)(void *arg, struct ea_str path, struct ea_str bytes), void *arg)
{
    for (unsigned i = 0; i < r->priv->n_files; i++)
        feed(arg, r->priv->files[i].rel, r->priv->files[i].bytes);
}
