/* audit/dir_read.c - one manifest file into objects and events. */
#include "audit/dir_priv.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "doc/build.h"
#include "evidence/record.h"

#include <ctype.h>
#include <stdio.h>

#define RETRIES 2u /* an unreadable file may be one that is being written */

struct reading {
    struct ea_dir *d;
    struct dir_file *f;
    char **keys;
    size_t n_keys;
    bool shadowed;
    struct ea_err *err;
    const struct ea_yaml_doc *doc;
    struct dir_place place;
};

void dir_file_free(void *p)
{
    struct dir_file *f = p;

    for (size_t i = 0; i < f->n_keys; i++)
        free(f->keys[i]);
    free(f->keys);
    free(f->path);
    free(f);
}

int dir_table(struct ea_dir *d, const struct ea_gvr *g)
{
    EA_AUTO_FREE char *group = ea_str_dupz(g->group);
    EA_AUTO_FREE char *version = ea_str_dupz(g->version);
    EA_AUTO_FREE char *resource = ea_str_dupz(g->resource);
    EA_AUTO_FREE char *kind = ea_str_dupz(g->kind);
    struct ea_kube_res res = {group, version, resource, kind, g->namespaced};
    int t;

    for (unsigned i = 0; i < ea_store_tables(d->o.store); i++) {
        const struct ea_kube_res *r = ea_store_res(d->o.store, i);

        if (strcmp(r->group, group) == 0 && strcmp(r->resource, resource) == 0 &&
            strcmp(r->version, version) == 0)
            return (int)i;
    }
    t = ea_store_add(d->o.store, &res, true);
    if (t >= 0 && d->told_all) {
        struct ea_kube_event e = {.type = EA_KUBE_SYNCED,
                                  .res = ea_store_res(d->o.store, (unsigned)t)};

        ea_store_set_synced(d->o.store, (unsigned)t, true);
        d->o.event(d->o.arg, &e);
    }
    return t;
}

/* "box" -> "boxes", "policy" -> "policies", "gateway" -> "gateways" */
static struct ea_str plural(struct ea_arena *a, struct ea_str s)
{
    char last = s.n ? s.p[s.n - 1] : 0, before = s.n > 1 ? s.p[s.n - 2] : 0;

    if (last == 'y' && !strchr("aeiou", before))
        return ea_arena_printf(a, "%.*sies", (int)s.n - 1, s.p);
    if (last == 's' || last == 'x' || (last == 'h' && (before == 'c' || before == 's')))
        return ea_arena_printf(a, "%.*ses", EA_STRF(s));
    return ea_arena_printf(a, "%.*ss", EA_STRF(s));
}

/* Kinds that neither the API's table nor the catalogue knows: the plural as custom resources
 * usually have it. */
static void guess(struct ea_arena *a, struct ea_str api_version, struct ea_str kind,
                  bool namespaced, struct ea_gvr *g)
{
    struct ea_str lower = ea_arena_str(a, kind);

    memset(g, 0, sizeof(*g));
    for (size_t i = 0; i < lower.n; i++)
        ((char *)lower.p)[i] = (char)tolower((unsigned char)lower.p[i]);
    ea_api_version_split(api_version, &g->group, &g->version);
    g->resource = plural(a, lower);
    g->kind = kind;
    g->namespaced = namespaced;
}

/* One name, one life: the same object in another file or after a restart has the same uid. */
static struct ea_str make_uid(struct ea_arena *a, const struct ea_gvr *g, struct ea_str ns,
                              struct ea_str name)
{
    uint8_t h[EA_SHA256_LEN];
    char x[2 * EA_SHA256_LEN + 1];

    ea_leaf_hash(ea_arena_printf(a, "%.*s\n%.*s\n%.*s\n%.*s", EA_STRF(g->group),
                                 EA_STRF(g->resource), EA_STRF(ns), EA_STRF(name)),
                 h);
    h[6] = (uint8_t)((h[6] & 0x0f) | 0x80); /* RFC 9562 version 8: made by rules of our own */
    h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
    ea_hex(h, 16, x);
    return ea_arena_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", x, x + 8, x + 12, x + 16, x + 20);
}

static struct ea_str make_rv(struct ea_arena *a, struct ea_str json)
{
    uint8_t h[EA_SHA256_LEN];
    char x[2 * EA_SHA256_LEN + 1];

    ea_leaf_hash(json, h);
    ea_hex(h, 8, x);
    return ea_arena_str(a, ea_str(x));
}

/* An object with generateName has no name yet; it is shown as "prefix*". */
static struct ea_val named(struct ea_arena *a, const struct ea_val *object, struct ea_str name)
{
    const struct ea_val *meta = ea_val_getz(object, "metadata");
    struct ea_mapb root, m;

    ea_mapb_init(&m, a);
    ea_mapb_putz(&m, "name", ea_val_str(ea_arena_printf(a, "%.*s*", EA_STRF(name))));
    for (uint32_t i = 0; i < meta->n; i++)
        if (!ea_str_is(ea_val_text(&meta->members[i].key), "name"))
            ea_mapb_put(&m, ea_val_text(&meta->members[i].key), meta->members[i].val);
    ea_mapb_init(&root, a);
    for (uint32_t i = 0; i < object->n; i++) {
        struct ea_str key = ea_val_text(&object->members[i].key);

        if (ea_str_is(key, "metadata"))
            ea_mapb_put(&root, key, ea_mapb_end(&m));
        else
            ea_mapb_put(&root, key, object->members[i].val);
    }
    return ea_mapb_end(&root);
}

static void keep_key(struct reading *r, struct ea_str key)
{
    if ((r->n_keys & (r->n_keys - 1)) == 0)
        r->keys = ea_xrealloc(r->keys, (r->n_keys ? 2 * r->n_keys : 1) * sizeof(*r->keys));
    r->keys[r->n_keys++] = ea_str_dupz(key);
}

/* False when another file, sorting before this one, holds the object. */
static bool claim(struct reading *r, struct ea_str key)
{
    struct dir_place *p = ea_map_find(&r->d->places, key);

    if (p && p->file && p->file != r->f && strcmp(p->file->path, r->f->path) < 0) {
        ea_log(EA_LOG_WARN, "object-in-two-files", EA_KV_Z("first", p->file->path),
               EA_KV_Z("second", r->f->path));
        r->shadowed = true;
        return false;
    }
    if (p && p->file && p->file != r->f)
        p->file->shadowed = true;
    if (!p) {
        p = ea_xalloc(sizeof(*p));
        (void)ea_map_put(&r->d->places, key, p);
    }
    *p = r->place;
    p->file = r->f;
    p->stamp = r->d->stamp;
    keep_key(r, key);
    return true;
}

static int store(struct reading *r, int table, const struct ea_object_in *in,
                 const struct ea_val *doc)
{
    struct ea_kube_event e = {.type = EA_KUBE_UPSERT,
                              .res = ea_store_res(r->d->o.store, (unsigned)table),
                              .key = in->uid,
                              .ns = in->ns,
                              .name = in->name,
                              .rv = in->rv,
                              .object = doc,
                              .initial = !r->d->told_all,
                              .file = ea_str(r->f->path),
                              .document = r->place.document,
                              .item = r->place.item,
                              .line = r->place.line,
                              .has_item = r->place.has_item};
    struct ea_object *old = NULL;
    bool changed = false;
    int rc = ea_store_put(r->d->o.store, (unsigned)table, in, &old, &changed);

    if (rc)
        return ea_fail(r->err, rc, "line %u: a name is longer than the API allows", r->place.line);
    if (old && !ea_str_eq(ea_object_uid(old), in->uid)) {
        struct ea_kube_event gone = {.type = EA_KUBE_DELETE,
                                     .res = e.res,
                                     .key = ea_object_uid(old),
                                     .ns = in->ns,
                                     .name = in->name};

        r->d->o.event(r->d->o.arg, &gone);
    }
    if (changed)
        r->d->o.event(r->d->o.arg, &e);
    ea_object_unref(old);
    return 0;
}

static int take(struct reading *r, const struct ea_val *object, struct ea_str api_version,
                struct ea_str kind)
{
    struct ea_arena *a = &r->d->arena;
    const struct ea_val *meta = ea_val_getz(object, "metadata");
    struct ea_str generate = ea_val_get_str(meta, "generateName");
    struct ea_object_in in;
    struct ea_kube_res res;
    struct ea_gvr g;
    struct ea_val whole = *object, doc;
    int table, rc;

    if (!ea_ruleset_kind(r->d->o.rules, api_version, kind, &g))
        guess(a, api_version, kind, ea_val_get_str(meta, "namespace").n > 0, &g);
    if (ea_val_is(meta, EA_V_MAP) && !ea_val_get_str(meta, "name").n && generate.n)
        whole = named(a, object, generate);
    table = dir_table(r->d, &g);
    if (table < 0)
        return ea_fail(r->err, table, "line %u: more than %u kinds", r->place.line, EA_MAX_WATCHES);
    res = *ea_store_res(r->d->o.store, (unsigned)table);
    rc = ea_kube_compact(&whole, &res, a, &doc, &r->d->json, &in, r->err);
    if (rc)
        return ea_wrap(r->err, "line %u", r->place.line);
    if (!g.namespaced)
        in.ns = EA_STR_NULL;
    else if (!in.ns.n)
        in.ns = EA_STR("default");
    in.rv = make_rv(a, in.json);
    if (!in.uid.n)
        in.uid = make_uid(a, &g, in.ns, in.name);
    if (!claim(r, ea_arena_printf(a, "%d\t%.*s\t%.*s", table, EA_STRF(in.ns), EA_STRF(in.name))))
        return 0;
    return store(r, table, &in, &doc);
}

static struct ea_str or_else(struct ea_str a, struct ea_str b)
{
    return a.n ? a : b;
}

static int take_list(struct reading *r, const struct ea_val *items, struct ea_str api_version,
                     struct ea_str kind)
{
    int rc = 0;

    r->place.has_item = true;
    for (size_t i = 0; i < items->n && rc == 0; i++) {
        const struct ea_val *item = ea_val_at(items, i);
        struct ea_str v = or_else(ea_val_get_str(item, "apiVersion"), api_version),
                      k = or_else(ea_val_get_str(item, "kind"), kind);

        r->place.item = (unsigned)i;
        r->place.line = ea_yaml_line(r->doc, item);
        if (ea_val_is(item, EA_V_MAP) && v.n && k.n)
            rc = take(r, item, v, k);
    }
    return rc;
}

static int take_document(struct reading *r, unsigned n)
{
    const struct ea_val *root = &r->doc->root;
    struct ea_str v = ea_val_get_str(root, "apiVersion"), k = ea_val_get_str(root, "kind");
    const struct ea_val *items = ea_val_getz(root, "items");

    r->place = (struct dir_place){.document = n, .line = r->doc->line};
    if (!ea_val_is(root, EA_V_MAP) || !v.n || !k.n)
        return 0; /* values of a chart, a kustomization: no object of the API */
    if (ea_val_is(items, EA_V_LIST) && ea_str_ends(k, EA_STR("List"))) {
        bool typed = k.n > 4;

        return take_list(r, items, typed ? v : EA_STR_NULL,
                         typed ? ea_strn(k.p, k.n - 4) : EA_STR_NULL);
    }
    return take(r, root, v, k);
}

/* ---- keys let go ---- */

static void orphan(struct ea_dir *d, const struct dir_file *f, const char *key)
{
    struct dir_place *p = ea_map_find(&d->places, ea_str(key));

    if (!p || p->file != f)
        return; /* another file has it by now */
    p->file = NULL;
    if ((d->n_orphans & (d->n_orphans - 1)) == 0)
        d->orphans =
            ea_xrealloc(d->orphans, (d->n_orphans ? 2 * d->n_orphans : 1) * sizeof(*d->orphans));
    d->orphans[d->n_orphans++] = ea_str_dupz(ea_str(key));
}

static void delete_object(struct ea_dir *d, struct ea_str key)
{
    struct ea_str rest = key, table = ea_str_cut(rest, '\t', &rest),
                  ns = ea_str_cut(rest, '\t', &rest);
    int64_t t = 0;
    struct ea_object *o;

    if (ea_str_to_i64(table, &t) < 0)
        return;
    o = ea_store_del(d->o.store, (unsigned)t, ns, rest);
    if (o) {
        struct ea_kube_event e = {.type = EA_KUBE_DELETE,
                                  .res = ea_store_res(d->o.store, (unsigned)t),
                                  .key = ea_object_uid(o),
                                  .ns = ea_object_ns(o),
                                  .name = ea_object_name(o),
                                  .rv = ea_object_rv(o)};

        d->o.event(d->o.arg, &e);
    }
    ea_object_unref(o);
}

void dir_settle(struct ea_dir *d)
{
    for (size_t i = 0; i < d->n_orphans; i++) {
        struct ea_str key = ea_str(d->orphans[i]);
        struct dir_place *p = ea_map_find(&d->places, key);

        if (p && !p->file) {
            delete_object(d, key);
            free(ea_map_del(&d->places, key));
        }
        free(d->orphans[i]);
    }
    free(d->orphans);
    d->orphans = NULL;
    d->n_orphans = 0;
}

/* ---- files ---- */

/* The number after "line " in a message of the parser. */
static unsigned line_of(const char *text)
{
    const char *at = strstr(text, "line ");
    unsigned n = 0;

    return at && sscanf(at, "line %u", &n) == 1 ? n : 0;
}

static void tell_bad(struct ea_dir *d, struct dir_file *f, const struct ea_err *err)
{
    struct ea_kube_event e = {.type = EA_KUBE_GAP_OPENED,
                              .reason = "unreadable-file",
                              .from = ea_wall_now(),
                              .file = ea_str(f->path),
                              .line = line_of(err->text)};

    pthread_mutex_lock(&d->lock);
    (void)snprintf(d->stat.error, sizeof(d->stat.error), "%.200s: %.300s", f->path, err->text);
    pthread_mutex_unlock(&d->lock);
    if (f->told_bad)
        return;
    f->told_bad = true;
    ea_log(EA_LOG_WARN, "unreadable-file", EA_KV_Z("file", f->path), EA_KV_Z("error", err->text));
    d->o.event(d->o.arg, &e);
}

static void tell_good(struct ea_dir *d, struct dir_file *f)
{
    struct ea_kube_event e = {.type = EA_KUBE_GAP_CLOSED, .file = ea_str(f->path)};

    f->bad = false;
    f->tries = 0;
    if (!f->told_bad)
        return;
    f->told_bad = false;
    d->o.event(d->o.arg, &e);
}

static int parse(struct reading *r, struct ea_str text)
{
    struct ea_yaml_stream ys;
    int rc = ea_yaml_parse(&r->d->arena, text, EA_YAML_KUBERNETES, &ys, r->err);

    for (size_t i = 0; i < ys.n && rc == 0; i++) {
        r->doc = &ys.docs[i];
        rc = take_document(r, (unsigned)i);
    }
    r->doc = NULL; /* its stream ends here */
    return rc;
}

/* The file's objects are those of the new list; what is no longer among them is let go. After an
 * error nothing is let go. */
static void replace_keys(struct reading *r, bool whole)
{
    struct dir_file *f = r->f;
    char **old = f->keys;
    size_t n = f->n_keys;

    for (size_t i = 0; i < n; i++) {
        const struct dir_place *p = ea_map_find(&r->d->places, ea_str(old[i]));

        if (p && p->file == f && p->stamp != r->d->stamp) {
            if (whole)
                orphan(r->d, f, old[i]);
            else
                keep_key(r, ea_str(old[i]));
        }
        free(old[i]);
    }
    free(old);
    f->keys = r->keys;
    f->n_keys = r->n_keys;
    f->shadowed = r->shadowed;
}

void dir_read(struct ea_dir *d, struct dir_file *f)
{
    EA_AUTO_FREE char *path = ea_xasprintf("%s/%s", d->path, f->path);
    EA_AUTO_FREE char *text = NULL;
    struct ea_err err = {0};
    struct reading r = {.d = d, .f = f, .err = &err};
    size_t n = 0;
    int rc = ea_read_file(path, EA_MAX_MANIFEST, &text, &n, &err);

    d->stamp++;
    ea_arena_reset(&d->arena);
    if (rc == 0)
        rc = parse(&r, ea_strn(text, n));
    replace_keys(&r, rc == 0);
    if (rc == 0) {
        tell_good(d, f);
        return;
    }
    f->bad = true;
    if (++f->tries < RETRIES && d->told_all)
        d->again = true;
    else
        tell_bad(d, f, &err);
}

void dir_drop(struct ea_dir *d, struct dir_file *f)
{
    for (size_t i = 0; i < f->n_keys; i++)
        orphan(d, f, f->keys[i]);
    tell_good(d, f);
}
