#include "doc/json.h"

#include "base/buf.h"
#include "base/limits.h"
#include "doc/internal.h"
#include "doc/json_scan.h"
#include "doc/num.h"

/* The parser keeps the values of all open containers on one scratch stack. A container that closes
 * copies its part of it into the arena, contiguous, and becomes one value of the container around
 * it. A second instance of the same code (build = false) only checks: it keeps keys, to find those
 * that repeat, and no values. So what is left raw was held to exactly the same rules. */

#define SCRATCH_ON_STACK 512u /* nodes; what an ordinary object needs */

#define HOT static inline __attribute__((always_inline))
#define COLD static __attribute__((noinline, cold))

/* An open container. */
struct frame {
    uint64_t bloom; /* of the keys so far */
    uint32_t start; /* first node on the scratch stack */
    uint8_t type;   /* EA_V_LIST or EA_V_MAP */
};

struct parser {
    const char *text, *end;
    struct ea_arena *a;
    struct ea_val *st; /* scratch stack: first, or in heap */
    uint32_t top, size;
    struct ea_buf heap;
    uint32_t nodes;
    unsigned depth, max_depth;
    const char *const *lazy;
    uint64_t lazy_lens; /* bit n: a lazy name has n bytes (63: or more) */
    int rc;
    const char *what, *where; /* of the error */
    struct ea_str key;        /* that repeats, for the message */
    struct frame frames[EA_MAX_DEPTH];
    struct ea_val first[SCRATCH_ON_STACK];
};

/* What every step touches. It lives in registers: its address goes to inlined functions only. */
struct hot {
    const char *end;
    struct ea_val *top,
        *limit;     /* of the scratch stack; parser.top is written where somebody else needs it */
    struct frame f; /* the innermost container; frames[] holds those around it */
};

static const char *const review_lazy[] = {"managedFields", "oldObject", NULL};
const struct ea_json_opts ea_json_review_opts = {.lazy = review_lazy};

/* ---- nodes ---- */

/* A node in two registers. Built field by field in memory and then copied as a whole, it would be
 * stored in parts and loaded in one piece, for which the processor waits until the parts have left
 * its store buffer. */
struct node {
    uint64_t head; /* type and n, as they lie in struct ea_val */
    uint64_t body;
};
_Static_assert(sizeof(struct node) == sizeof(struct ea_val), "a node is copied word by word");

HOT uint64_t node_head(enum ea_vtype type, uint32_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint64_t)n << 32 | (uint64_t)type;
#else
    return (uint64_t)type << 56 | n;
#endif
}

HOT uint32_t node_n(const struct node *v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (uint32_t)(v->head >> 32);
#else
    return (uint32_t)v->head;
#endif
}

HOT struct node node_ptr(enum ea_vtype type, uint32_t n, const void *p)
{
#if UINTPTR_MAX == UINT64_MAX
    return (struct node){.head = node_head(type, n), .body = (uintptr_t)p};
#else
    struct ea_val v = {.type = type, .n = n, .ptr = p};
    struct node out;

    memcpy(&out, &v, sizeof out);
    return out;
#endif
}

HOT struct node node_int(int64_t i)
{
    return (struct node){.head = node_head(EA_V_INT, 0), .body = (uint64_t)i};
}

HOT struct node node_bool(bool b)
{
    struct node out = {.head = node_head(EA_V_BOOL, 0)};

    memcpy(&out.body, &b, sizeof b);
    return out;
}

HOT struct node node_of(const struct ea_val *v)
{
    struct node out;

    memcpy(&out, v, sizeof out);
    return out;
}

HOT struct ea_val node_val(const struct node *n)
{
    struct ea_val v;

    memcpy(&v, n, sizeof v);
    return v;
}

/* ---- errors: every step returns where it stopped reading, or NULL after one of these ---- */

COLD const char *fail(struct parser *p, int rc, const char *where, const char *what)
{
    p->rc = rc;
    p->what = what;
    p->where = where;
    return NULL;
}

COLD const char *fail_at(struct parser *p, const char *at, const char *expected)
{
    return fail(p, -EINVAL, at, at == p->end ? "the text ends too early" : expected);
}

/* ---- the scratch stack ---- */

COLD bool grow(struct parser *p)
{
    size_t old = (size_t)p->top * sizeof *p->st, size = (size_t)p->size * 4;

    if (size > 4 * (size_t)EA_MAX_JSON_NODES)
        return false;
    if (p->st == p->first && ea_buf_add(&p->heap, p->first, old))
        return false;
    p->heap.n = old;
    if (ea_buf_reserve(&p->heap, size * sizeof *p->st - old))
        return false;
    p->st = (struct ea_val *)(void *)p->heap.p;
    p->size = (uint32_t)size;
    return true;
}

HOT void save_top(struct parser *p, const struct hot *h)
{
    p->top = (uint32_t)(h->top - p->st);
}

HOT void load_top(const struct parser *p, struct hot *h)
{
    h->top = p->st + p->top;
    h->limit = p->st + p->size;
}

HOT const char *push(struct parser *p, struct hot *h, const char *at, struct node v)
{
    if (EA_UNLIKELY(h->top == h->limit)) {
        save_top(p, h);
        if (!grow(p))
            return fail(p, -E2BIG, at, "too many values for the memory allowed");
        load_top(p, h);
    }
    memcpy(h->top++, &v, sizeof v);
    return at;
}

/* ---- scalars ---- */

/* A string with escapes or with text that is not ASCII, or one that is wrong. */
COLD const char *string_slow(struct parser *p, const char *at, struct ea_val *ret, bool decode)
{
    const char *end;
    bool escapes;
    const char *what = ea_json_check_string(at, p->end, &end, &escapes);
    size_t n = (size_t)(end - 1 - at);
    char *out;

    if (what)
        return fail(p, -EINVAL, end, what);
    *ret = ea_val_str(ea_strn(at, n));
    if (!escapes || !decode)
        return end;
    out = ea_arena_alloc_aligned(p->a, n, 1);
    if (out == NULL)
        return fail(p, -E2BIG, at, "the document needs more memory than allowed");
    *ret = ea_val_str(ea_strn(out, ea_json_unescape(at, n, out)));
    return end;
}

/* `at` is behind the opening quote. */
HOT const char *string(struct parser *p, const struct hot *h, const char *at, struct node *ret,
                       const bool decode)
{
    const char *q = ea_json_scan_plain(at, h->end);
    struct ea_val v;

    if (EA_LIKELY(q < h->end && *q == '"')) {
        *ret = node_ptr(EA_V_STRING, (uint32_t)(q - at), at);
        return q + 1;
    }
    at = string_slow(p, at, &v, decode);
    if (at)
        *ret = node_of(&v);
    return at;
}

COLD const char *number_slow(struct parser *p, const char *at, struct ea_val *ret)
{
    const char *end;
    bool is_int;
    int64_t i;
    double d;
    const char *what = ea_json_check_number(at, p->end, &end, &is_int);

    if (what)
        return fail_at(p, end, what);
    if (is_int && ea_str_to_i64(ea_strn(at, (size_t)(end - at)), &i) == 0) {
        *ret = ea_val_int(i);
        return end;
    }
    if (ea_num_parse(ea_strn(at, (size_t)(end - at)), &d))
        return fail(p, -EINVAL, at, "the number is too large for a double");
    *ret = ea_val_double(d);
    return end;
}

/* Integers of up to 18 digits at once, everything else by the slow way. */
HOT const char *number(struct parser *p, const struct hot *h, const char *start, struct node *ret)
{
    const char *at = start + (*start == '-');
    const char *digits = at;
    struct ea_val slow;
    int64_t v = 0;

    while (at < h->end && (unsigned char)(*at - '0') < 10 && at - digits < 18)
        v = v * 10 + (*at++ - '0');
    if (EA_UNLIKELY(at == digits || (*digits == '0' && at - digits > 1) || at == h->end ||
                    (unsigned char)(*at - '0') < 10 || *at == '.' || (*at | 0x20) == 'e')) {
        at = number_slow(p, start, &slow);
        if (at)
            *ret = node_of(&slow);
        return at;
    }
    *ret = node_int(*start == '-' ? -v : v);
    return at;
}

COLD const char *fail_literal(struct parser *p, const char *at, const char *word, size_t n)
{
    size_t left = (size_t)(p->end - at);

    return fail_at(p, left < n && memcmp(at, word, left) == 0 ? p->end : at, "expected a value");
}

HOT const char *literal(struct parser *p, const struct hot *h, const char *at, const char *word,
                        size_t n)
{
    return EA_LIKELY((size_t)(h->end - at) >= n && memcmp(at, word, n) == 0)
               ? at + n
               : fail_literal(p, at, word, n);
}

/* ---- members ---- */

/* One of 64 bits for a key: length, first and last byte tell nearly all keys of an object apart.
 * The byte before an empty key and the one behind it are its quotes. */
HOT uint64_t bloom_bit(const char *s, uint32_t n)
{
    uint32_t h =
        (n << 16 ^ (uint32_t)(unsigned char)s[0] << 8 ^ (unsigned char)s[(ptrdiff_t)n - 1]);

    return UINT64_C(1) << ((h * UINT32_C(0x9e3779b1)) >> 26);
}

COLD const char *fail_repeated(struct parser *p, const char *where, struct ea_str key)
{
    p->key = key;
    return fail(p, -EINVAL, where, "the key repeats");
}

/* Keys lie `step` nodes apart on the scratch stack. Maps with more members are looked at when they
 * close. */
COLD bool repeats(const struct ea_val *first, const struct ea_val *top, const struct ea_val *key,
                  ptrdiff_t step)
{
    for (; first < top; first += step) {
        if (first->n == key->n && memcmp(first->s, key->s, key->n) == 0)
            return true;
    }
    return false;
}

/* Reads `"key" :` up to the value. */
HOT const char *key(struct parser *p, struct hot *h, const char *at, const bool build)
{
    const ptrdiff_t step = build ? 2 : 1;
    const char *start = at;
    struct node k;
    uint64_t bit;

    if (EA_UNLIKELY(at == h->end || *at != '"'))
        return fail_at(p, at, "expected a key in quotes");
    at = string(p, h, at + 1, &k, true);
    if (EA_UNLIKELY(at == NULL))
        return NULL;
    bit = bloom_bit(node_val(&k).s, node_n(&k));
    if (EA_UNLIKELY(h->f.bloom & bit)) {
        const struct ea_val *first = p->st + h->f.start, v = node_val(&k);

        if (h->top - first <= (ptrdiff_t)EA_MAP_LINEAR * step && repeats(first, h->top, &v, step))
            return fail_repeated(p, start, ea_val_text(&v));
    }
    h->f.bloom |= bit;
    at = ea_json_skip_ws(at, h->end);
    if (EA_UNLIKELY(at == h->end || *at != ':'))
        return fail_at(p, at, "expected ':' after the key");
    return push(p, h, ea_json_skip_ws(at + 1, h->end), k);
}

/* ---- containers ---- */

COLD bool is_lazy(const struct parser *p, struct ea_str name)
{
    const char *const *l;

    for (l = p->lazy; *l; l++) {
        if (ea_str_is(name, *l))
            return true;
    }
    return false;
}

/* Is the value that starts here one to be left raw? Its key is the newest node. */
HOT bool want_raw(const struct parser *p, const struct hot *h)
{
    const struct ea_val *k = h->top - 1;

    return h->f.type == EA_V_MAP && EA_UNLIKELY(p->lazy_lens >> EA_MIN(k->n, 63) & 1) &&
           is_lazy(p, ea_val_text(k));
}

static const char *run_check(struct parser *p, const char *at);

/* Checks what starts here; the node to keep instead is *ret. */
COLD const char *raw(struct parser *p, const char *at, struct ea_val *ret)
{
    struct ea_raw *r = ea_arena_alloc(p->a, sizeof *r);
    char *mark = p->a->at;
    struct ea_arena_block *block = p->a->block;
    const char *start = at;
    unsigned depth = p->depth;

    if (r == NULL)
        return fail(p, -E2BIG, at, "the document needs more memory than allowed");
    at = run_check(p, at);
    if (at == NULL)
        return NULL;
    /* keys with escapes and the indexes of large maps were only needed while checking */
    if (p->a->block == block)
        p->a->at = mark;
    *r = (struct ea_raw){
        .a = p->a, .text = start, .lazy = p->lazy, .max_depth = p->max_depth - depth};
    *ret = (struct ea_val){.type = EA_V_RAW, .n = (uint32_t)(at - start), .ptr = r};
    return at;
}

/* Many members: an index finds a repeated key as it is made. `first` is the first of their nodes.
 */
COLD const char *close_large(struct parser *p, const char *at, const struct ea_val *first,
                             uint32_t n, const bool build, struct ea_val *ret)
{
    struct ea_member *m = ea_map_alloc(p->a, n);
    ptrdiff_t dup;
    uint32_t i;

    if (m == NULL)
        return fail(p, -E2BIG, at, "the document needs more memory than allowed");
    if (build) {
        memcpy(m, first, (size_t)n * sizeof *m);
    } else {
        for (i = 0; i < n; i++)
            m[i].key = first[i];
    }
    dup = ea_map_index(m, n);
    if (dup >= 0) {
        const char *s = m[dup].key.s;

        return fail_repeated(p, s >= p->text && s < p->end ? s - 1 : at, ea_val_text(&m[dup].key));
    }
    *ret = ea_val_map(m, n);
    ret->flags = EA_VF_INDEXED;
    return at;
}

/* Most containers have a few nodes: a loop over words beats a call of memcpy, into which the
 * compiler would turn it without the barrier, and does not wait for words that were just stored. */
HOT void copy_nodes(struct ea_val *to, const struct ea_val *from, const struct ea_val *end)
{
    for (; from < end; from++, to++) {
        struct node n = node_of(from);

        __asm__("" : "+r"(n.head), "+r"(n.body) : : "memory");
        memcpy(to, &n, sizeof n);
    }
}

/* `at` is behind the closing bracket. */
HOT const char *close_container(struct parser *p, struct hot *h, const char *at, const bool build)
{
    struct ea_val *first = p->st + h->f.start;
    uint32_t count = (uint32_t)(h->top - first);
    uint32_t n = build && h->f.type == EA_V_MAP ? count / 2 : count;
    struct node v = {0};

    if (EA_UNLIKELY(p->nodes > EA_MAX_JSON_NODES))
        return fail(p, -E2BIG, at, "too many values");
    if (EA_UNLIKELY(n > EA_MAP_LINEAR && h->f.type == EA_V_MAP)) {
        struct ea_val large;

        if (close_large(p, at, first, n, build, &large) == NULL)
            return NULL;
        v = node_of(&large);
    } else if (build) {
        struct ea_val *items = ea_arena_alloc(p->a, (size_t)count * sizeof *items);

        if (EA_UNLIKELY(items == NULL))
            return fail(p, -E2BIG, at, "the document needs more memory than allowed");
        copy_nodes(items, first, h->top);
        v = node_ptr((enum ea_vtype)h->f.type, n, items);
    }
    h->top = first;
    h->f = p->frames[--p->depth];
    return build ? push(p, h, at, v) : at;
}

/* `at` is at '[' or '{'. *ret_open: a value is wanted next; else the container was empty and is
 * done. */
HOT const char *open_container(struct parser *p, struct hot *h, const char *at, const bool map,
                               bool *ret_open, const bool build)
{
    *ret_open = false;
    if (build && EA_UNLIKELY(want_raw(p, h))) {
        struct ea_val v;

        save_top(p, h);
        at = raw(p, at, &v);
        load_top(p, h);
        return at ? push(p, h, at, node_of(&v)) : NULL;
    }
    if (EA_UNLIKELY(p->depth == p->max_depth))
        return fail(p, -E2BIG, at, "nested too deeply");
    p->frames[p->depth++] = h->f;
    h->f = (struct frame){.start = (uint32_t)(h->top - p->st), .type = map ? EA_V_MAP : EA_V_LIST};
    at = ea_json_skip_ws(at + 1, h->end);
    if (at < h->end && *at == (map ? '}' : ']'))
        return close_container(p, h, at + 1, build);
    *ret_open = true;
    return map ? key(p, h, at, build) : at;
}

/* One scalar, or the start of a container. */
HOT const char *value(struct parser *p, struct hot *h, const char *at, bool *ret_open,
                      const bool build)
{
    struct node v = {0};

    *ret_open = false;
    if (EA_UNLIKELY(at == h->end))
        return fail_at(p, at, "expected a value");
    p->nodes++;
    switch (*at) {
    case '"':
        at = string(p, h, at + 1, &v, build);
        break;
    case '{':
        return open_container(p, h, at, true, ret_open, build);
    case '[':
        return open_container(p, h, at, false, ret_open, build);
    case 't':
        at = literal(p, h, at, "true", 4);
        v = node_bool(true);
        break;
    case 'f':
        at = literal(p, h, at, "false", 5);
        v = node_bool(false);
        break;
    case 'n':
        at = literal(p, h, at, "null", 4);
        v.head = node_head(EA_V_NULL, 0);
        break;
    default:
        if (*at != '-' && (unsigned char)(*at - '0') >= 10)
            return fail_at(p, at, "expected a value");
        at = number(p, h, at, &v);
    }
    return build && EA_LIKELY(at != NULL) ? push(p, h, at, v) : at;
}

/* A comma and, in a map, the next key; or the end of the container. */
HOT const char *after_value(struct parser *p, struct hot *h, const char *at, bool *ret_closed,
                            const bool build)
{
    bool map = h->f.type == EA_V_MAP;

    at = ea_json_skip_ws(at, h->end);
    *ret_closed = false;
    if (EA_LIKELY(at < h->end)) {
        if (*at == ',') {
            at = ea_json_skip_ws(at + 1, h->end);
            return map ? key(p, h, at, build) : at;
        }
        if (*at == (map ? '}' : ']')) {
            *ret_closed = true;
            return close_container(p, h, at + 1, build);
        }
    }
    return fail_at(p, at, map ? "expected ',' or '}'" : "expected ',' or ']'");
}

/* Reads one value; `at` is at its first byte. Its node is left on top of the scratch stack when
 * building. */
HOT const char *run(struct parser *p, const char *at, const bool build)
{
    struct hot h = {.end = p->end};
    unsigned base = p->depth;
    bool open, closed;

    load_top(p, &h);
    for (;;) {
        at = value(p, &h, at, &open, build);
        if (EA_UNLIKELY(at == NULL))
            return NULL;
        if (open)
            continue;
        do {
            if (p->depth == base)
                return at;
            at = after_value(p, &h, at, &closed, build);
            if (EA_UNLIKELY(at == NULL))
                return NULL;
        } while (closed);
    }
}

static __attribute__((noinline)) const char *run_check(struct parser *p, const char *at)
{
    return run(p, at, false);
}

static __attribute__((noinline)) const char *run_build(struct parser *p, const char *at)
{
    return run(p, at, true);
}

/* ---- entry points ---- */

static void parser_init(struct parser *p, struct ea_arena *a, struct ea_str text,
                        const char *const *lazy, unsigned max_depth)
{
    const char *const *l;

    p->text = text.p;
    p->end = text.p + text.n;
    p->a = a;
    p->st = p->first;
    p->top = 0;
    p->size = SCRATCH_ON_STACK;
    ea_buf_init(&p->heap, (4 * (size_t)EA_MAX_JSON_NODES + 1) * sizeof *p->st);
    p->nodes = 0;
    p->depth = 0;
    p->max_depth = max_depth;
    p->lazy = lazy;
    p->lazy_lens = 0;
    p->rc = 0;
    p->key = EA_STR_NULL;
    for (l = lazy; l && *l; l++)
        p->lazy_lens |= UINT64_C(1) << EA_MIN(strlen(*l), 63);
}

COLD int report(const struct parser *p, struct ea_err *err)
{
    const char *c, *line_start = p->text;
    size_t line = 1, column = 1;

    for (c = p->text; c < p->where; c++) {
        if (*c == '\n') {
            line++;
            line_start = c + 1;
        }
    }
    for (c = line_start; c < p->where; c++)
        column += ((unsigned char)*c & 0xc0) != 0x80;
    if (p->key.p)
        return ea_fail(
            err, p->rc, "invalid JSON at line %zu, column %zu (byte %zu): the key \"%.*s\" repeats",
            line, column, (size_t)(p->where - p->text), (int)EA_MIN(p->key.n, 100), p->key.p);
    return ea_fail(err, p->rc, "%s at line %zu, column %zu (byte %zu): %s",
                   p->rc == -EINVAL ? "invalid JSON" : "JSON refused", line, column,
                   (size_t)(p->where - p->text), p->what);
}

static const char *parse_text(struct parser *p, bool stream)
{
    const char *at = p->text;

    if (p->end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        return fail(p, -EINVAL, at, "a byte order mark is not allowed");
    at = ea_json_skip_ws(at, p->end);
    if (at == p->end)
        return fail(p, -EINVAL, at, "there is no value");
    at = run_build(p, at);
    if (at == NULL || stream)
        return at;
    at = ea_json_skip_ws(at, p->end);
    return at == p->end ? at : fail(p, -EINVAL, at, "there is more text after the value");
}

int ea_json_parse(struct ea_arena *a, struct ea_str text, const struct ea_json_opts *opts,
                  struct ea_val *ret, size_t *ret_used, struct ea_err *err)
{
    EA_UNINITIALIZED struct parser p;
    const char *at;
    unsigned depth = opts && opts->max_depth ? EA_MIN(opts->max_depth, EA_MAX_DEPTH) : EA_MAX_DEPTH;

    if (text.n > UINT32_MAX / 2)
        return ea_fail(err, -E2BIG, "JSON refused: %zu bytes are more than fit", text.n);
    parser_init(&p, a, text.p ? text : EA_STR(""), opts ? opts->lazy : NULL, depth);
    at = parse_text(&p, ret_used != NULL);
    if (at) {
        *ret = p.st[0];
        if (ret_used)
            *ret_used = (size_t)(at - p.text);
    }
    ea_buf_done(&p.heap);
    return at ? 0 : report(&p, err);
}

int ea_json_build_raw(struct ea_raw *r, size_t n)
{
    struct ea_json_opts opts = {.lazy = r->lazy, .max_depth = r->max_depth};

    return ea_json_parse(r->a, ea_strn(r->text, n), &opts, &r->built, NULL, NULL);
}
