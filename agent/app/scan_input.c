/* app/scan_input.c - reads manifests: YAML streams, JSON streams, lists; one flat list of objects
 * with file, document and line. */
#include "app/scan_input.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/limits.h"
#include "doc/json.h"
#include "doc/yaml.h"

#define CHUNK_FULL (32u << 20) /* bytes after which the next file begins a new arena */
#define MAX_FOLDER_DEPTH 32u   /* folders below a folder; more is a loop of links */
#define MAX_LIST_DEPTH 4u      /* a List inside a List */

struct ea_scan_chunk {
    struct ea_arena arena;
    struct ea_scan_chunk *next;
};

void ea_scan_input_init(struct ea_scan_input *in)
{
    memset(in, 0, sizeof(*in));
}

void ea_scan_input_done(struct ea_scan_input *in)
{
    while (in->chunk) {
        struct ea_scan_chunk *c = in->chunk;

        in->chunk = c->next;
        ea_arena_done(&c->arena);
        free(c);
    }
    for (size_t i = 0; i < in->n_texts; i++)
        free(in->texts[i]);
    free(in->texts);
    free(in->v);
    ea_scan_input_init(in);
}

static struct ea_arena *arena_for(struct ea_scan_input *in)
{
    if (!in->chunk || in->chunk->arena.used > CHUNK_FULL) {
        struct ea_scan_chunk *c = ea_xalloc(sizeof(*c));

        ea_arena_init(&c->arena, EA_ARENA_SCAN, 1u << 20);
        c->next = in->chunk;
        in->chunk = c;
    }
    return &in->chunk->arena;
}

static void error_at(struct ea_scan_input *in, struct ea_str file, unsigned line, const char *text)
{
    in->n_errors++;
    if (in->on_error)
        in->on_error(in->arg, file, line, text);
}

/* The parsers say "line N" somewhere in their sentence. */
static unsigned line_of(const char *text)
{
    const char *at = strstr(text, "line ");
    unsigned line = 0;

    return at && sscanf(at, "line %u", &line) == 1 ? line : 0;
}

static void push(struct ea_scan_input *in, const struct ea_scan_object *o)
{
    if (in->n == in->size) {
        in->size = in->size ? in->size * 2 : 256;
        in->v = ea_xrealloc(in->v, in->size * sizeof(*in->v));
    }
    in->v[in->n++] = *o;
}

/* ---- one document ---- */

/* Where a node stands: from YAML's side table, or from the position of its first key in the JSON
 * text. */
struct place {
    const struct ea_yaml_doc *yaml;
    struct ea_str text;
    size_t at;     /* bytes of text that were counted */
    unsigned line; /* of text[at] */
};

static unsigned place_line(struct place *p, const struct ea_val *v, unsigned fallback)
{
    const char *s;
    size_t off;

    if (p->yaml) {
        unsigned line = ea_yaml_line(p->yaml, v);

        return line ? line : fallback;
    }
    if (v->type != EA_V_MAP || v->n == 0)
        return fallback;
    s = v->members[0].key.s;
    if (s < p->text.p || s >= p->text.p + p->text.n)
        return fallback; /* a key with escapes is a copy */
    off = (size_t)(s - p->text.p);
    while (off > 0 && p->text.p[off] != '{')
        off--;
    if (off < p->at) {
        p->at = 0;
        p->line = 1;
    }
    for (; p->at < off; p->at++)
        p->line += p->text.p[p->at] == '\n';
    return p->line;
}

struct document {
    struct ea_scan_input *in;
    struct ea_source src;
    struct place *place;
    bool named;
    unsigned items;
};

static bool is_list(const struct ea_val *v, struct ea_str kind)
{
    return ea_str_ends(kind, EA_STR("List")) && ea_val_is(ea_val_getz(v, "items"), EA_V_LIST);
}

static void add_object(struct document *d, const struct ea_val *v, struct ea_str api,
                       struct ea_str kind, unsigned depth)
{
    struct ea_str own_api = ea_val_get_str(v, "apiVersion"), own_kind = ea_val_get_str(v, "kind");
    struct ea_scan_object o = {.object = *v, .src = d->src};

    /* Items of a typed list may leave out what the list says. */
    o.api_version = own_api.n ? own_api : api;
    o.kind = own_kind.n ? own_kind : kind;
    if (v->type != EA_V_MAP || o.api_version.n == 0 || o.kind.n == 0) {
        if (d->named || d->src.has_item)
            error_at(d->in, d->src.file, d->src.line,
                     v->type == EA_V_MAP ? "no Kubernetes object: apiVersion or kind is missing"
                                         : "no Kubernetes object: not a map");
        else
            d->in->n_foreign++;
        return;
    }
    if (is_list(v, o.kind)) {
        const struct ea_val *items = ea_val_getz(v, "items");
        struct ea_str item_kind = ea_strn(o.kind.p, o.kind.n - 4);
        unsigned line = d->src.line;

        if (depth >= MAX_LIST_DEPTH) {
            error_at(d->in, d->src.file, line, "lists inside lists inside lists");
            return;
        }
        for (size_t i = 0; i < items->n; i++) {
            const struct ea_val *item = ea_val_at(items, i);

            d->src.line = place_line(d->place, item, line);
            d->src.item = d->items;
            d->src.has_item = true;
            if (!(ea_val_is(item, EA_V_MAP) && is_list(item, ea_val_get_str(item, "kind"))))
                d->items++;
            add_object(d, item, item_kind.n ? o.api_version : EA_STR_NULL, item_kind, depth + 1);
        }
        d->src.line = line;
        return;
    }
    push(d->in, &o);
}

static void add_document(struct ea_scan_input *in, struct ea_str file, unsigned index,
                         unsigned line, struct place *p, bool named, const struct ea_val *root)
{
    struct document d = {.in = in,
                         .src = {.file = file, .document = index, .line = line},
                         .place = p,
                         .named = named};

    if (root->type != EA_V_NULL)
        add_object(&d, root, EA_STR_NULL, EA_STR_NULL, 0);
}

/* ---- one stream ---- */

/* json: what our JSON parser said about the same text before, or NULL. */
static void read_yaml(struct ea_scan_input *in, struct ea_str file, struct ea_str text, bool named,
                      const struct ea_err *json)
{
    struct ea_arena *a = arena_for(in);
    struct ea_yaml_stream s = {0};
    struct ea_err err = {0};

    if (ea_yaml_parse(a, text, EA_YAML_KUBERNETES, &s, &err) < 0) {
        const char *why = json ? json->text : err.text;

        error_at(in, file, line_of(why), why);
        return;
    }
    for (size_t i = 0; i < s.n_warnings; i++) {
        in->n_warnings++;
        if (in->on_warning)
            in->on_warning(in->arg, file, line_of(s.warnings[i]), s.warnings[i]);
    }
    for (size_t i = 0; i < s.n; i++) {
        struct place p = {.yaml = &s.docs[i]};

        add_document(in, file, (unsigned)i, s.docs[i].line, &p, named, &s.docs[i].root);
    }
}

struct json_value {
    struct ea_val root;
    unsigned line;
};

/* All values of a JSON stream. 0, -EINVAL, -E2BIG; *ret is heap memory either way. */
static int parse_json(struct ea_arena *a, struct ea_str text, struct json_value **ret,
                      size_t *ret_n, struct ea_err *err)
{
    size_t at = 0, size = 0;
    unsigned line = 1;

    for (;;) {
        size_t used = 0;
        int r;

        while (at < text.n && strchr(" \t\r\n", text.p[at]))
            line += text.p[at++] == '\n';
        if (at == text.n)
            return 0;
        if (*ret_n == EA_MAX_DOCUMENTS)
            return ea_fail(err, -E2BIG, "line %u: more than %u JSON values", line,
                           EA_MAX_DOCUMENTS);
        if (*ret_n == size) {
            size = size ? size * 2 : 16;
            *ret = ea_xrealloc(*ret, size * sizeof(**ret));
        }
        r = ea_json_parse(a, ea_strn(text.p + at, text.n - at), NULL, &(*ret)[*ret_n].root, &used,
                          err);
        if (r < 0)
            return r;
        (*ret)[(*ret_n)++].line = line;
        for (size_t i = 0; i < used; i++)
            line += text.p[at + i] == '\n';
        at += used;
    }
}

/* kubectl takes several JSON values one after the other. Negative: not JSON as we read it, and
 * nothing was added. */
static int read_json(struct ea_scan_input *in, struct ea_str file, struct ea_str text, bool named,
                     struct ea_err *err)
{
    struct place p = {.text = text, .line = 1};
    EA_AUTO_FREE struct json_value *v = NULL;
    size_t n = 0;
    int r = parse_json(arena_for(in), text, &v, &n, err);

    for (size_t i = 0; r == 0 && i < n; i++)
        add_document(in, file, (unsigned)i, v[i].line, &p, named, &v[i].root);
    return r;
}

static bool looks_like_json(struct ea_str text)
{
    struct ea_str t = ea_str_trim(text);

    if (t.n == 0 || t.p[0] != '{')
        return false;
    t = ea_str_trim(ea_strn(t.p + 1, t.n - 1));
    return t.n == 0 || t.p[0] == '"' || t.p[0] == '}'; /* else a flow map of YAML */
}

/* text is heap memory of the input from here on. */
static void read_text(struct ea_scan_input *in, struct ea_str name, char *text, size_t n,
                      bool named)
{
    struct ea_str file = ea_arena_str(arena_for(in), name);
    struct ea_err err = {0};
    bool keep = false;

    in->n_files++;
    if (looks_like_json(ea_strn(text, n))) {
        /* What our parser refuses (a repeated key) may still be what the API tools accept: they
         * read JSON as YAML. */
        keep = read_json(in, file, ea_strn(text, n), named, &err) == 0;
        if (!keep)
            read_yaml(in, file, ea_strn(text, n), named, &err);
    } else {
        read_yaml(in, file, ea_strn(text, n), named, NULL);
    }
    if (!keep) {
        free(text);
    } else {
        if (in->n_texts == in->size_texts) {
            in->size_texts = in->size_texts ? in->size_texts * 2 : 64;
            in->texts = ea_xrealloc(in->texts, in->size_texts * sizeof(*in->texts));
        }
        in->texts[in->n_texts++] = text;
    }
    if (in->on_progress)
        in->on_progress(in->arg, in);
}

void ea_scan_input_bytes(struct ea_scan_input *in, struct ea_str file, struct ea_str text,
                         bool named)
{
    read_text(in, file, ea_str_dupz(text), text.n, named);
}

/* ---- files and folders ---- */

static void read_path(struct ea_scan_input *in, const char *path, bool named)
{
    struct ea_err err = {0};
    char *text = NULL;
    size_t n = 0;

    if (ea_read_file(path, EA_MAX_MANIFEST, &text, &n, &err) < 0) {
        error_at(in, ea_str(path), 0, err.text);
        return;
    }
    read_text(in, strcmp(path, "-") == 0 ? EA_STR("-") : ea_str(path), text, n, named);
}

static bool wanted_name(const char *name)
{
    struct ea_str s = ea_str(name);

    return ea_str_ends(s, EA_STR(".yaml")) || ea_str_ends(s, EA_STR(".yml")) ||
           ea_str_ends(s, EA_STR(".json"));
}

static void read_folder(struct ea_scan_input *in, const char *path, unsigned depth)
{
    struct dirent **names = NULL;
    int n = depth > MAX_FOLDER_DEPTH ? -1 : scandir(path, &names, NULL, alphasort);
    struct stat st;

    if (n < 0) {
        error_at(in, ea_str(path), 0,
                 depth > MAX_FOLDER_DEPTH ? "folders are nested too deep" : strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        EA_AUTO_FREE char *full = ea_xasprintf("%s/%s", path, names[i]->d_name);
        bool hidden = names[i]->d_name[0] == '.', yaml = wanted_name(names[i]->d_name);

        free(names[i]);
        if (hidden)
            continue;
        if (stat(full, &st) < 0) {
            if (yaml)
                error_at(in, ea_str(full), 0, strerror(errno));
        } else if (S_ISDIR(st.st_mode)) {
            read_folder(in, full, depth + 1);
        } else if (yaml) {
            read_path(in, full, false);
        }
    }
    free(names);
}

void ea_scan_input_add(struct ea_scan_input *in, const char *path)
{
    struct stat st;
    EA_AUTO_FREE char *clean = ea_str_dupz(ea_str(path));
    size_t n = strlen(clean);

    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        while (n > 1 && clean[n - 1] == '/')
            clean[--n] = 0;
        read_folder(in, clean, 0);
    } else {
        read_path(in, path, true);
    }
}
