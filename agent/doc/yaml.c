#include "doc/yaml.h"

#include <stdio.h>
#include <yaml.h>

#include "base/limits.h"
#include "doc/json.h"
#include "doc/yaml_internal.h"

/* From bytes to events to a tree, one document at a time. The kubernetes profile splits a stream at
 * its --- lines before anything looks at it, as kubectl does, and takes the first document of every
 * piece. */

static const struct ea_str bom = {"\xef\xbb\xbf", 3};

struct anchor {
    struct anchor *next;
    struct ea_str name;
    struct ea_ynode *node;
};

/* One libyaml parser over one piece of the text. */
struct source {
    yaml_parser_t parser;
    yaml_event_t event;
    bool have_event;
    struct ea_str rest; /* of the text, not yet read */
    bool by_lines;      /* as kubectl reads */
    bool add_line_end;
    struct ea_arena *a, *tmp;
    struct ea_err *err;
    unsigned line; /* of the whole text where this piece starts, 0-based */
    struct anchor *anchors;
    struct ea_ynode *stack[EA_MAX_DEPTH];
    unsigned depth;
};

struct stream {
    struct ea_arena *a;
    struct ea_arena tmp;
    enum ea_yaml_profile profile;
    struct ea_yaml_stream *out;
    size_t docs_size, warnings_size;
    struct ea_err *err;
};

/* ---- messages ---- */

int ea_yaml_fail(struct ea_ybuild *b, int code, const struct ea_ynode *n, const char *fmt, ...)
{
    char what[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ea_fail(b->err, code, "line %u, column %u: %s", n->line, n->column, what);
}

static bool add_warning(struct ea_arena *a, struct ea_yaml_stream *out, const char *text)
{
    const char **w = (const char **)out->warnings;
    struct ea_str copy;

    /* the array grows at powers of two, so its size need not be kept */
    if ((out->n_warnings & (out->n_warnings - 1)) == 0) {
        w = ea_arena_alloc(a, (out->n_warnings ? out->n_warnings * 2 : 1) * sizeof *w);
        if (w == NULL)
            return false;
        if (out->n_warnings)
            memcpy(w, out->warnings, out->n_warnings * sizeof *w);
        out->warnings = w;
    }
    copy = ea_arena_str(a, ea_str(text));
    if (copy.p == NULL)
        return false;
    w[out->n_warnings++] = copy.p;
    return true;
}

bool ea_yaml_warn(struct ea_ybuild *b, unsigned line, const char *fmt, ...)
{
    char what[300], text[340];
    va_list ap;

    if (b->out->n_warnings > EA_MAX_YAML_WARNINGS)
        return true;
    if (b->out->n_warnings == EA_MAX_YAML_WARNINGS)
        return add_warning(b->a, b->out, "there are more warnings");
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    snprintf(text, sizeof text, "line %u: %s", line, what);
    return add_warning(b->a, b->out, text);
}

static int out_of_room(struct ea_err *err)
{
    return ea_fail(err, -E2BIG, "the document needs more memory than allowed");
}

/* ---- events ---- */

static int parse_error(struct source *s)
{
    const yaml_parser_t *p = &s->parser;
    const char *what = p->problem ? p->problem : "this is no YAML";

    if (p->error == YAML_MEMORY_ERROR)
        return ea_fail(s->err, -E2BIG, "not enough memory to parse YAML");
    if (p->error == YAML_READER_ERROR)
        return ea_fail(s->err, -EINVAL, "line %zu: %s (byte %zu)", p->mark.line + 1 + s->line, what,
                       p->problem_offset);
    if (p->context && p->context_mark.line != p->problem_mark.line)
        return ea_fail(s->err, -EINVAL, "line %zu, column %zu: %s, %s that began on line %zu",
                       p->problem_mark.line + 1 + s->line, p->problem_mark.column + 1, what,
                       p->context, p->context_mark.line + 1 + s->line);
    return ea_fail(s->err, -EINVAL, "line %zu, column %zu: %s", p->problem_mark.line + 1 + s->line,
                   p->problem_mark.column + 1, what);
}

static int next_event(struct source *s)
{
    if (s->have_event)
        yaml_event_delete(&s->event);
    s->have_event = yaml_parser_parse(&s->parser, &s->event);
    return s->have_event ? 0 : parse_error(s);
}

/* Length of the next part that is taken as it is; kubectl's reader drops a CR before each LF. */
static size_t plain_part(struct ea_str rest, size_t size)
{
    size_t n = EA_MIN(size, rest.n), i = 0;
    const char *cr;

    while ((cr = memchr(rest.p + i, '\r', n - i))) {
        i = (size_t)(cr - rest.p);
        if (i + 1 < rest.n && cr[1] == '\n')
            return i;
        i++;
    }
    return n;
}

/* Hands out the text and, where the last line has no end, a line end: kubectl reads by lines. */
static int read_text(void *data, unsigned char *to, size_t size, size_t *ret_n)
{
    struct source *s = data;

    *ret_n = 0;
    while (*ret_n < size && s->rest.n) {
        size_t n =
            s->by_lines ? plain_part(s->rest, size - *ret_n) : EA_MIN(size - *ret_n, s->rest.n);

        memcpy(to + *ret_n, s->rest.p, n);
        *ret_n += n;
        n += n < s->rest.n && *ret_n < size; /* the CR */
        s->rest = ea_strn(s->rest.p + n, s->rest.n - n);
    }
    if (*ret_n < size && s->add_line_end) {
        to[(*ret_n)++] = '\n';
        s->add_line_end = false;
    }
    return 1;
}

static void source_open(struct source *s, struct ea_str text, bool by_lines)
{
    if (!yaml_parser_initialize(&s->parser))
        abort(); /* as ea_xalloc: not even the parser's own buffers */
    s->by_lines = by_lines;
    s->add_line_end = by_lines && text.n && text.p[text.n - 1] != '\n';
    if (ea_str_starts(text, bom))
        text = ea_strn(text.p + bom.n, text.n - bom.n);
    s->rest = text;
    yaml_parser_set_input(&s->parser, read_text, s);
    /* UTF-16 is refused as bad UTF-8: kubectl cuts it at bytes that look like line ends */
    yaml_parser_set_encoding(&s->parser, YAML_UTF8_ENCODING);
}

static void source_close(struct source *s)
{
    if (s->have_event)
        yaml_event_delete(&s->event);
    yaml_parser_delete(&s->parser);
    s->have_event = false;
}

/* ---- events to tree ---- */

static bool copy_text(struct ea_arena *a, const unsigned char *p, size_t n, struct ea_str *ret)
{
    *ret = EA_STR_NULL;
    if (p)
        *ret = ea_arena_str(a, ea_strn((const char *)p, n));
    return p == NULL || ret->p != NULL;
}

static bool copy_z(struct ea_arena *a, const unsigned char *z, struct ea_str *ret)
{
    return copy_text(a, z, z ? strlen((const char *)z) : 0, ret);
}

/* A later anchor of the same name hides the earlier one. */
static bool add_anchor(struct source *s, const unsigned char *name, struct ea_ynode *n)
{
    struct anchor *x;

    if (name == NULL)
        return true;
    x = ea_arena_alloc(s->tmp, sizeof *x);
    if (x == NULL || !copy_z(s->tmp, name, &x->name))
        return false;
    x->node = n;
    x->next = s->anchors;
    s->anchors = x;
    return true;
}

static int find_anchor(struct source *s, struct ea_ynode *n)
{
    const struct anchor *x = s->anchors;

    while (x && !ea_str_eq(x->name, n->text))
        x = x->next;
    if (x == NULL)
        return ea_fail(s->err, -EINVAL, "line %u, column %u: there is no anchor \"%.*s\"", n->line,
                       n->column, EA_STRF(n->text));
    n->target = x->node;
    return 0;
}

/* Fills n from the current event, which is one of the four that make a node. */
static int fill_node(struct source *s, struct ea_ynode *n)
{
    const yaml_event_t *e = &s->event;
    bool ok = false;

    switch (e->type) {
    case YAML_SCALAR_EVENT:
        n->kind = EA_Y_SCALAR;
        n->implicit = e->data.scalar.plain_implicit;
        ok = copy_text(s->a, e->data.scalar.value, e->data.scalar.length, &n->text) &&
             copy_z(s->tmp, e->data.scalar.tag, &n->tag) && add_anchor(s, e->data.scalar.anchor, n);
        break;
    case YAML_SEQUENCE_START_EVENT:
        n->kind = EA_Y_LIST;
        ok = copy_z(s->tmp, e->data.sequence_start.tag, &n->tag) &&
             add_anchor(s, e->data.sequence_start.anchor, n);
        break;
    case YAML_MAPPING_START_EVENT:
        n->kind = EA_Y_MAP;
        ok = copy_z(s->tmp, e->data.mapping_start.tag, &n->tag) &&
             add_anchor(s, e->data.mapping_start.anchor, n);
        break;
    default:
        n->kind = EA_Y_ALIAS;
        if (copy_z(s->tmp, e->data.alias.anchor, &n->text))
            return find_anchor(s, n);
    }
    return ok ? 0 : out_of_room(s->err);
}

static int add_node(struct source *s, struct ea_ynode **root)
{
    struct ea_ynode *n = ea_arena_zalloc(s->tmp, sizeof *n),
                    *parent = s->depth ? s->stack[s->depth - 1] : NULL;
    int rc;

    if (n == NULL)
        return out_of_room(s->err);
    n->line = (uint32_t)s->event.start_mark.line + 1 + s->line;
    n->column = (uint32_t)s->event.start_mark.column + 1;
    rc = fill_node(s, n);
    if (rc)
        return rc;
    if (parent == NULL) {
        *root = n;
    } else {
        if (parent->last)
            parent->last->next = n;
        else
            parent->first = n;
        parent->last = n;
        parent->n++;
    }
    if (n->kind == EA_Y_SCALAR || n->kind == EA_Y_ALIAS)
        return 0;
    if (s->depth == EA_MAX_DEPTH)
        return ea_fail(s->err, -E2BIG, "line %u, column %u: nested more than %u levels deep",
                       n->line, n->column, EA_MAX_DEPTH);
    s->stack[s->depth++] = n;
    return 0;
}

/* Reads the next document. *root is NULL at the end of the stream. */
static int read_document(struct source *s, struct ea_ynode **root, unsigned *ret_line)
{
    int rc;

    *root = NULL;
    s->anchors = NULL;
    s->depth = 0;
    for (;;) {
        rc = next_event(s);
        if (rc)
            return rc;
        switch (s->event.type) {
        case YAML_STREAM_START_EVENT:
            break;
        case YAML_DOCUMENT_START_EVENT:
            *ret_line = (unsigned)s->event.start_mark.line + 1 + s->line;
            break;
        case YAML_STREAM_END_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            return 0;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
            s->depth--;
            break;
        default:
            rc = add_node(s, root);
            if (rc)
                return rc;
        }
    }
}

/* ---- documents ---- */

static struct ea_yaml_doc *new_doc(struct stream *st, unsigned line)
{
    struct ea_yaml_stream *out = st->out;
    struct ea_yaml_doc *docs = out->docs;
    size_t size = st->docs_size ? st->docs_size * 2 : 4;

    if (out->n == EA_MAX_DOCUMENTS) {
        ea_fail(st->err, -E2BIG, "line %u: more than %u documents", line, EA_MAX_DOCUMENTS);
        return NULL;
    }
    if (out->n == st->docs_size) {
        docs = ea_arena_alloc(st->a, size * sizeof *docs);
        if (docs == NULL) {
            out_of_room(st->err);
            return NULL;
        }
        if (out->n)
            memcpy(docs, out->docs, out->n * sizeof *docs);
        out->docs = docs;
        st->docs_size = size;
    }
    docs += out->n++;
    *docs = (struct ea_yaml_doc){
        .root = ea_val_null(), .line = line, .lines = ea_yaml_lines_new(st->a)};
    if (docs->lines == NULL)
        out_of_room(st->err);
    return docs->lines ? docs : NULL;
}

static int build_document(struct stream *st, struct ea_ynode *root, unsigned line)
{
    struct ea_yaml_doc *doc = new_doc(st, root ? root->line : line);
    struct ea_ybuild b = {
        .a = st->a, .tmp = &st->tmp, .profile = st->profile, .out = st->out, .err = st->err};
    int rc;

    if (doc == NULL)
        return -E2BIG;
    if (root == NULL)
        return 0;
    b.lines = doc->lines;
    if (st->err)
        st->err->code = 0;
    rc = ea_yaml_build(&b, root, &doc->root);
    /* those who only ran out of memory leave the sentence to this place */
    return rc == -E2BIG && st->err && st->err->code == 0 ? out_of_room(st->err) : rc;
}

/* A whole stream in the hands of libyaml. */
static int parse_strict(struct stream *st, struct ea_str text)
{
    struct source s = {.a = st->a, .tmp = &st->tmp, .err = st->err};
    int rc = 0;

    source_open(&s, text, false);
    do {
        struct ea_ynode *root;
        unsigned line = 1;

        rc = read_document(&s, &root, &line);
        if (rc == 0 && s.event.type == YAML_DOCUMENT_END_EVENT)
            rc = build_document(st, root, line);
        ea_arena_reset(&st->tmp);
    } while (rc == 0 && s.event.type != YAML_STREAM_END_EVENT);
    source_close(&s);
    return rc;
}

/* What follows the first document of a piece is not looked at by kubectl; the reader should know.
 */
static int warn_of_rest(struct stream *st, struct source *s)
{
    struct ea_ybuild b = {.a = st->a, .out = st->out};
    unsigned line = (unsigned)s->event.end_mark.line + 1 + s->line;

    s->err = NULL;
    if (next_event(s) == 0 && s->event.type == YAML_STREAM_END_EVENT)
        return 0;
    return ea_yaml_warn(&b, line,
                        "text after the end of the document is ignored, as kubectl ignores it")
               ? 0
               : out_of_room(st->err);
}

/* Does one of the line ends of YAML stand just before p[at]? */
static bool behind_line_end(const char *p, size_t at)
{
    static const struct ea_str ends[] = {
        {"\n", 1}, {"\r", 1}, {"\xc2\x85", 2}, {"\xe2\x80\xa8", 3}, {"\xe2\x80\xa9", 3}};
    size_t i;

    for (i = 0; i < EA_COUNT(ends); i++) {
        if (ea_str_ends(ea_strn(p, at), ends[i]))
            return true;
    }
    return at == 0;
}

/* libyaml drops a byte order mark at the start of any line, Go keeps it as part of the text. */
static int refuse_inner_bom(struct stream *st, struct ea_str text, unsigned line)
{
    size_t from = ea_str_starts(text, bom) ? bom.n : 0, i;
    ptrdiff_t at;

    text = ea_strn(text.p + from, text.n - from);
    for (from = 0; (at = ea_str_find(ea_strn(text.p + from, text.n - from), bom)) >= 0;) {
        from += (size_t)at;
        if (behind_line_end(text.p, from))
            break;
        from += bom.n;
    }
    if (at < 0)
        return 0;
    for (i = 0; i < from; i++)
        line += text.p[i] == '\n';
    return ea_fail(st->err, -EINVAL, "line %u, column 1: a byte order mark inside the text",
                   line + 1);
}

/* `line` counts from 0. */
static int parse_piece(struct stream *st, struct ea_str text, unsigned line)
{
    struct source s = {.a = st->a, .tmp = &st->tmp, .err = st->err, .line = line};
    struct ea_ynode *root;
    unsigned start = line + 1;
    int rc = refuse_inner_bom(st, text, line);

    if (rc)
        return rc;
    source_open(&s, text, true);
    rc = read_document(&s, &root, &start);
    if (rc == 0)
        rc = build_document(st, root, start);
    if (rc == 0 && s.event.type == YAML_DOCUMENT_END_EVENT)
        rc = warn_of_rest(st, &s);
    source_close(&s);
    ea_arena_reset(&st->tmp);
    return rc;
}

static struct ea_str take_line(struct ea_str *rest)
{
    const char *nl = memchr(rest->p, '\n', rest->n);
    struct ea_str line = ea_strn(rest->p, nl ? (size_t)(nl + 1 - rest->p) : rest->n);

    *rest = ea_strn(rest->p + line.n, rest->n - line.n);
    return line;
}

/* Splits as apimachinery's YAMLReader does: at lines that begin with ---, behind which only a
 * comment may stand. */
static int parse_kubernetes(struct stream *st, struct ea_str text)
{
    struct ea_str rest = text, piece = ea_strn(text.p, 0);
    unsigned line = 0, piece_line = 0;
    int rc = 0;

    while (rest.n && rc == 0) {
        struct ea_str l = take_line(&rest);

        if (ea_str_starts(l, EA_STR("---"))) {
            struct ea_str behind = ea_str_trim(ea_strn(l.p + 3, l.n - 3));

            if (behind.n && behind.p[0] != '#')
                return ea_fail(st->err, -EINVAL,
                               "line %u: nothing but a comment may follow --- on its line",
                               line + 1);
            if (piece.n) {
                rc = parse_piece(st, piece, piece_line);
                piece = ea_strn(rest.p, 0);
                piece_line = ++line;
                continue;
            }
        }
        piece.n += l.n;
        line++;
    }
    if (rc == 0 && piece.n)
        rc = parse_piece(st, piece, piece_line);
    return rc;
}

/* ---- JSON ---- */

static bool looks_like_json(struct ea_str text)
{
    text = ea_str_trim(text);
    return text.n && text.p[0] == '{';
}

/* One JSON value after the other, as kubectl reads a file that begins with a brace. */
static int parse_json(struct stream *st, struct ea_str text)
{
    struct ea_str rest = text;
    unsigned line = 1;
    int rc = 0;

    while (rc == 0 && ea_str_trim(rest).n) {
        struct ea_yaml_doc *doc;
        struct ea_str skipped = rest;
        size_t used, i;

        while (rest.n && strchr(" \t\r\n", rest.p[0]))
            rest = ea_strn(rest.p + 1, rest.n - 1);
        for (i = 0; i < skipped.n - rest.n; i++)
            line += skipped.p[i] == '\n';
        doc = new_doc(st, line);
        if (doc == NULL)
            return -E2BIG;
        rc = ea_json_parse(st->a, rest, NULL, &doc->root, &used, st->err);
        if (rc)
            return rc;
        rc = ea_yaml_lines_of_json(doc->lines, ea_strn(rest.p, used), line, &doc->root);
        for (i = 0; i < used; i++)
            line += rest.p[i] == '\n';
        rest = ea_strn(rest.p + used, rest.n - used);
    }
    return rc;
}

int ea_yaml_parse(struct ea_arena *a, struct ea_str text, enum ea_yaml_profile profile,
                  struct ea_yaml_stream *ret, struct ea_err *err)
{
    struct stream st = {.a = a, .profile = profile, .out = ret, .err = err};
    int rc;

    *ret = (struct ea_yaml_stream){0};
    if (text.p == NULL)
        text = EA_STR("");
    if (text.n > UINT32_MAX / 2)
        return ea_fail(err, -E2BIG, "%zu bytes are more than fit", text.n);
    if (profile == EA_YAML_KUBERNETES && looks_like_json(text)) {
        if (parse_json(&st, text) == 0)
            return 0;
        *ret = (struct ea_yaml_stream){0};
        st.docs_size = 0;
    }
    ea_arena_init(&st.tmp, a->cap, 0);
    rc = profile == EA_YAML_STRICT ? parse_strict(&st, text) : parse_kubernetes(&st, text);
    ea_arena_done(&st.tmp);
    return rc;
}
