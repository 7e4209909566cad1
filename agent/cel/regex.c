#include "cel/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "base/limits.h"
#include "cel/value.h"

struct ea_cel_regex {
    pcre2_code *code;
};

#define CACHED 8u

/* Of one run: memory for matching and the patterns computed last. */
struct ea_cel_regex_cache {
    pcre2_match_data *match;
    pcre2_match_context *limits;
    unsigned hits; /* matches that ended at a limit */
    unsigned next;
    struct {
        struct ea_str pattern;
        const struct ea_cel_regex *re;
    } seen[CACHED];
};

static void *arena_malloc(size_t n, void *arena)
{
    return ea_arena_alloc(arena, n);
}

static void arena_free(void *p, void *arena)
{
    (void)p;
    (void)arena;
}

/* ---- translation: one pass that copies what both mean alike, rewrites what differs, refuses what
 * RE2 lacks ---- */

struct re {
    const char *p, *end;
    char *out; /* room for 8 bytes per byte of the pattern */
    const char *why;
};

static bool refuse(struct re *t, const char *why)
{
    t->why = why;
    return false;
}

static void put(struct re *t, const char *s)
{
    size_t n = strlen(s);

    memcpy(t->out, s, n);
    t->out += n;
}

/* A character by its number. */
static void put_hex(struct re *t, unsigned v)
{
    char s[16];

    snprintf(s, sizeof s, "\\x{%x}", v);
    put(t, s);
}

static int hexval(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* \x7F, \x{10FFFF} */
static bool hex_escape(struct re *t)
{
    unsigned v = 0, n = 0;
    bool braces = t->p < t->end && *t->p == '{';

    t->p += braces;
    for (; t->p < t->end && hexval(*t->p) >= 0 && (braces ? n < 8 : n < 2); t->p++, n++)
        v = v * 16 + (unsigned)hexval(*t->p);
    if (n == 0 || (!braces && n != 2) || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF))
        return refuse(t, "invalid escape sequence");
    if (braces) {
        if (t->p >= t->end || *t->p != '}')
            return refuse(t, "invalid escape sequence");
        t->p++;
    }
    put_hex(t, v);
    return true;
}

/* \123, \07: a single digit other than 0 would be a back-reference. */
static bool octal_escape(struct re *t, char first)
{
    unsigned v = (unsigned)(first - '0'), n;

    if (first != '0' && (t->p >= t->end || *t->p < '0' || *t->p > '7'))
        return refuse(t, "invalid escape sequence: back-references are not supported");
    for (n = 1; n < 3 && t->p < t->end && *t->p >= '0' && *t->p <= '7'; n++)
        v = v * 8 + (unsigned)(*t->p++ - '0');
    put_hex(t, v);
    return true;
}

/* \pN, \p{Greek}, \P{^Lu} */
static bool property(struct re *t, char kind)
{
    const char *close;

    if (t->p >= t->end)
        return refuse(t, "invalid character class range");
    *t->out++ = '\\';
    *t->out++ = kind;
    if (*t->p != '{') {
        *t->out++ = *t->p++;
        return true;
    }
    close = memchr(t->p, '}', (size_t)(t->end - t->p));
    if (close == NULL || close == t->p + 1)
        return refuse(t, "invalid character class range");
    memcpy(t->out, t->p, (size_t)(close + 1 - t->p));
    t->out += close + 1 - t->p;
    t->p = close + 1;
    return true;
}

/* Everything between \Q and \E is literal. */
static bool quotation(struct re *t)
{
    while (t->p < t->end) {
        if (*t->p == '\\' && t->p + 1 < t->end && t->p[1] == 'E') {
            t->p += 2;
            return true;
        }
        if ((unsigned char)*t->p < 0x80 && !((*t->p | 0x20) >= 'a' && (*t->p | 0x20) <= 'z') &&
            !(*t->p >= '0' && *t->p <= '9'))
            *t->out++ = '\\';
        *t->out++ = *t->p++;
    }
    return true;
}

static bool escape(struct re *t, bool in_class)
{
    char c;

    if (t->p >= t->end)
        return refuse(t, "trailing backslash at end of expression");
    c = *t->p++;
    switch (c) {
    case 's': /* RE2 has no vertical tab here */
        put(t, in_class ? "\\t\\n\\f\\r " : "[\\t\\n\\f\\r ]");
        return true;
    case 'S':
        put(t, in_class ? "\\x{0}-\\x{8}\\x{b}\\x{e}-\\x{1f}!-\\x{10ffff}" : "[^\\t\\n\\f\\r ]");
        return true;
    case 'v':
        put(t, "\\x{b}");
        return true;
    case 'x':
        return hex_escape(t);
    case 'p':
    case 'P':
        return property(t, c);
    case 'Q':
        return in_class ? refuse(t, "invalid escape sequence") : quotation(t);
    case 'a':
    case 'f':
    case 'n':
    case 'r':
    case 't':
    case 'd':
    case 'D':
    case 'w':
    case 'W':
        break;
    case 'A':
    case 'z':
    case 'b':
    case 'B':
        if (in_class)
            return refuse(t, "invalid escape sequence");
        break;
    default:
        if (c >= '0' && c <= '7')
            return octal_escape(t, c);
        if ((unsigned char)c >= 0x80 || c == '_' || (c >= '0' && c <= '9') ||
            ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            return refuse(t, "invalid escape sequence");
        break;
    }
    *t->out++ = '\\';
    *t->out++ = c;
    return true;
}

/* [[:alpha:]] inside a class; false without a reason when it is none. */
static bool posix_class(struct re *t)
{
    static const char *const names[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                        "digit", "graph", "lower", "print", "punct",
                                        "space", "upper", "word",  "xdigit"};
    const char *p = t->p + 1, *name;
    size_t i;

    if (t->end - t->p < 4 || *p++ != ':')
        return false;
    if (*p == '^')
        p++;
    name = p;
    while (p < t->end && *p >= 'a' && *p <= 'z')
        p++;
    if (t->end - p < 2 || p[0] != ':' || p[1] != ']')
        return false;
    for (i = 0; i < EA_COUNT(names); i++) {
        if (ea_str_is(ea_strn(name, (size_t)(p - name)), names[i])) {
            memcpy(t->out, t->p, (size_t)(p + 2 - t->p));
            t->out += p + 2 - t->p;
            t->p = p + 2;
            return true;
        }
    }
    return refuse(t, "invalid character class range");
}

static bool class(struct re *t)
{
    bool first = true;

    *t->out++ = '[';
    if (t->p < t->end && *t->p == '^')
        *t->out++ = *t->p++;
    while (t->p < t->end && (*t->p != ']' || first)) {
        char c = *t->p;

        first = false;
        if (c == '[') {
            if (posix_class(t))
                continue;
            if (t->why)
                return false;
            put(t, "\\[");
            t->p++;
        } else if (c == '\\') {
            t->p++;
            if (!escape(t, true))
                return false;
        } else if (c == ']') {
            put(t, "\\]");
            t->p++;
        } else {
            *t->out++ = c;
            t->p++;
        }
    }
    if (t->p >= t->end)
        return refuse(t, "missing closing ]");
    t->p++;
    *t->out++ = ']';
    return true;
}

static bool word_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* "<name>" behind "(?" or "(?P"; NULL when it is none. */
static const char *skip_group_name(const struct re *t, const char *p)
{
    const char *name = p + 1;

    if (p >= t->end || *p != '<')
        return NULL;
    for (p = name; p < t->end && (*p == '_' || word_char(*p)); p++)
        ;
    return p > name && p < t->end && *p == '>' && p - name <= 32 ? p + 1 : NULL;
}

/* "im-s:" or "im-s)" behind "(?"; NULL when it is none. */
static const char *skip_flags(const struct re *t, const char *p)
{
    const char *from = p;

    while (p < t->end && ea_cel_one_of("imsU-", *p))
        p++;
    if (p >= t->end || (*p != ':' && *p != ')') || (*p == ')' && p == from))
        return NULL;
    return *p == ':' ? p + 1 : p;
}

/* "(?": flags i m s U, non-capturing and named groups; everything else is not RE2. */
static bool group(struct re *t)
{
    const char *p = t->p + 1;

    *t->out++ = *t->p++;
    if (p >= t->end)
        return refuse(t, "missing closing )");
    if (*p == '*')
        return refuse(t, "missing argument to repetition operator: verbs are not supported");
    if (*p != '?')
        return true;
    p++;
    if (p < t->end && *p == 'P')
        p = skip_group_name(t, p + 1);
    else
        p = p < t->end && *p == '<' ? skip_group_name(t, p) : skip_flags(t, p);
    if (p == NULL)
        return refuse(t, "invalid or unsupported Perl syntax");
    memcpy(t->out, t->p, (size_t)(p - t->p));
    t->out += p - t->p;
    t->p = p;
    return true;
}

/* Digits at *p, -1 = none. */
static long read_count(const struct re *t, const char **p)
{
    long v = -1;
    int n;

    for (n = 0; *p < t->end && **p >= '0' && **p <= '9' && n < 6; ++*p, n++)
        v = (v < 0 ? 0 : v) * 10 + (**p - '0');
    return v;
}

/* {n}, {n,}, {n,m} with at most 1000; anything else is a literal brace. Length of the repetition, 0
 * = literal, -1 = refused. */
static int repetition(struct re *t)
{
    const char *p = t->p + 1;
    long lo = read_count(t, &p), hi = lo;

    if (lo >= 0 && p < t->end && *p == ',') {
        p++;
        hi = read_count(t, &p);
    }
    if (lo < 0 || p >= t->end || *p != '}')
        return 0;
    if (lo > 1000 || hi > 1000 || (hi >= 0 && hi < lo)) {
        t->why = "invalid repeat count";
        return -1;
    }
    return (int)(p + 1 - t->p);
}

/* A repetition at the current place; what follows may make it lazy, never possessive or doubled. */
static bool repeat(struct re *t, bool after_atom, bool *was_repeat)
{
    char c = *t->p;
    int n = 1;

    if (c == '{') {
        n = repetition(t);
        if (n < 0)
            return false;
        if (n == 0) {
            put(t, "\\{");
            t->p++;
            *was_repeat = false;
            return true;
        }
    }
    if (!after_atom)
        return refuse(t, "missing argument to repetition operator");
    memcpy(t->out, t->p, (size_t)n);
    t->out += n;
    t->p += n;
    if (t->p < t->end && *t->p == '?')
        *t->out++ = *t->p++;
    if (t->p < t->end && (ea_cel_one_of("*+?", *t->p) || (*t->p == '{' && repetition(t) > 0)))
        return refuse(t, "invalid nested repetition operator");
    *was_repeat = true;
    return t->why == NULL;
}

static bool translate(struct re *t)
{
    bool atom = false; /* something stands before that may be repeated */

    while (t->p < t->end) {
        char c = *t->p;
        bool was_repeat = false;

        switch (c) {
        case '\\':
            t->p++;
            if (!escape(t, false))
                return false;
            atom = true;
            break;
        case '[':
            t->p++;
            if (!class(t))
                return false;
            atom = true;
            break;
        case '(':
            if (!group(t))
                return false;
            atom = false;
            break;
        case '|':
            *t->out++ = *t->p++;
            atom = false;
            break;
        case '*':
        case '+':
        case '?':
        case '{':
            if (!repeat(t, atom, &was_repeat))
                return false;
            atom = !was_repeat;
            break;
        default:
            *t->out++ = *t->p++;
            atom = true;
            break;
        }
    }
    return true;
}

static int compile(struct ea_arena *a, struct ea_str pattern, struct ea_cel_regex **ret,
                   const char **ret_why)
{
    struct re t = {.p = pattern.p, .end = pattern.p + pattern.n};
    pcre2_general_context *general;
    pcre2_compile_context *context;
    struct ea_cel_regex *re;
    unsigned char text[128];
    size_t where;
    int code;
    char *buf;

    if (pattern.n > EA_MAX_CEL_PATTERN) {
        *ret_why = "expression too large";
        return -EINVAL;
    }
    buf = ea_arena_alloc(a, pattern.n * 40 + 64);
    re = ea_arena_alloc(a, sizeof *re);
    general = pcre2_general_context_create(arena_malloc, arena_free, a);
    context = general ? pcre2_compile_context_create(general) : NULL;
    if (buf == NULL || re == NULL || context == NULL)
        return -E2BIG;
    t.out = buf;
    if (!translate(&t)) {
        *ret_why = t.why;
        return -EINVAL;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 250);
    re->code = pcre2_compile((PCRE2_SPTR)buf, (PCRE2_SIZE)(t.out - buf),
                             PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY |
                                 PCRE2_NEVER_BACKSLASH_C | PCRE2_DUPNAMES,
                             &code, &where, context);
    if (re->code == NULL) {
        struct ea_str s;

        if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
            return -E2BIG;
        pcre2_get_error_message(code, text, sizeof text);
        s = ea_arena_str(a, ea_str((const char *)text));
        *ret_why = s.p ? s.p : "invalid regular expression";
        return -EINVAL;
    }
    *ret = re;
    return 0;
}

static void free_code(void *code)
{
    pcre2_code_free(code);
}

int ea_cel_regex_compile(struct ea_arena *a, struct ea_str pattern, const struct ea_cel_regex **ret,
                         const char **ret_why)
{
    struct ea_cel_regex *re;
    int rc = compile(a, pattern, &re, ret_why);

    if (rc)
        return rc;
    /* Machine code is five times as fast. Where the system forbids it, the pattern is interpreted.
     * It lies outside the arena. */
    if (pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE) == 0 &&
        ea_arena_defer(a, free_code, re->code) < 0)
        return -E2BIG;
    *ret = re;
    return 0;
}

/* ---- matching ---- */

static struct ea_cel_regex_cache *cache(struct ea_cel_ctx *cx)
{
    struct ea_cel_regex_cache *c = cx->run->regexes;
    pcre2_general_context *general;

    if (c)
        return c;
    c = ea_arena_zalloc(cx->arena, sizeof *c);
    general = pcre2_general_context_create(arena_malloc, arena_free, cx->arena);
    if (c == NULL || general == NULL)
        return NULL;
    c->match = pcre2_match_data_create(1, general);
    c->limits = pcre2_match_context_create(general);
    if (c->match == NULL || c->limits == NULL)
        return NULL;
    pcre2_set_match_limit(c->limits, EA_CEL_MATCH_STEPS);
    pcre2_set_depth_limit(c->limits, EA_CEL_MATCH_STEPS);
    pcre2_set_heap_limit(c->limits, EA_CEL_MATCH_HEAP);
    cx->run->regexes = c;
    return c;
}

int ea_cel_regex_get(struct ea_cel_ctx *cx, struct ea_str pattern, const struct ea_cel_regex **ret)
{
    struct ea_cel_regex_cache *c = cache(cx);
    struct ea_cel_regex *re = NULL;
    const char *why = NULL;
    unsigned i;
    int rc;

    if (c == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < CACHED; i++) {
        if (c->seen[i].re && ea_str_eq(c->seen[i].pattern, pattern)) {
            *ret = c->seen[i].re;
            return 0;
        }
    }
    rc = compile(cx->arena, pattern, &re, &why); /* used a few times: not worth machine code */
    if (rc == -EINVAL)
        return ea_cel_raise(cx, "error parsing regexp: %s", why);
    if (rc)
        return EA_CEL_FULL;
    *ret = re;
    c->seen[c->next].pattern = pattern;
    c->seen[c->next].re = *ret;
    c->next = (c->next + 1) % CACHED;
    return 0;
}

int ea_cel_regex_find(struct ea_cel_ctx *cx, const struct ea_cel_regex *re, struct ea_str text,
                      size_t from, size_t *ret_start, size_t *ret_end)
{
    struct ea_cel_regex_cache *c = cache(cx);
    const PCRE2_SIZE *at;
    int rc;

    if (c == NULL)
        return EA_CEL_FULL;
    *ret_start = *ret_end = SIZE_MAX;
    rc = pcre2_match(re->code, (PCRE2_SPTR)(text.p ? text.p : ""), text.n, from, PCRE2_NO_UTF_CHECK,
                     c->match, c->limits);
    /* The stack of machine code is small; the interpreter has the limits set above. */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(re->code, (PCRE2_SPTR)(text.p ? text.p : ""), text.n, from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, c->match, c->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return EA_CEL_FULL;
    if (rc < 0) {
        /* errors may be absorbed, so that a bomb could be set off again and again: only so often */
        if (++c->hits > EA_CEL_MATCH_HITS)
            return EA_CEL_FULL;
        return ea_cel_raise(cx, "matching took too long: limit of backtracking reached");
    }
    at = pcre2_get_ovector_pointer(c->match);
    *ret_start = at[0];
    *ret_end = at[1];
    return 0;
}

int ea_cel_regex_matches(struct ea_cel_ctx *cx, const struct ea_cel_regex *re, struct ea_str text,
                         bool *ret)
{
    size_t start, end;
    int rc = ea_cel_regex_find(cx, re, text, 0, &start, &end);

    *ret = rc == 0 && start != SIZE_MAX;
    return rc;
}
