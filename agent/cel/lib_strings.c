/* Strings, version 2 of cel-go's extension (ext/strings.go): positions count code points. */
#include <stdio.h>

#include "base/limits.h"
#include "cel/lib.h"

static int out_of_range(struct ea_cel_ctx *cx, int64_t i)
{
    return ea_cel_raise(cx, "index out of range: %lld", (long long)i);
}

/* Byte offset of code point i (i <= length), by steps of whole characters. */
static size_t offset_of(struct ea_str s, int64_t i)
{
    size_t at = 0;

    while (at < s.n && i > 0) {
        for (at++; at < s.n && ((unsigned char)s.p[at] & 0xC0) == 0x80; at++)
            ;
        i--;
    }
    return at;
}

static int64_t length(struct ea_str s)
{
    return (int64_t)ea_cel_utf8_len(s.p, s.n);
}

static bool strings(const struct ea_val *args, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (args[i].type != EA_V_STRING)
            return false;
    }
    return true;
}

static int char_at(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]);
    size_t from, to;

    if (args[0].type != EA_V_STRING || args[1].type != EA_V_INT)
        return EA_CEL_NO_OVERLOAD;
    if (args[1].i < 0 || args[1].i > length(s))
        return out_of_range(cx, args[1].i);
    from = offset_of(s, args[1].i);
    to = from + offset_of(ea_strn(s.p + from, s.n - from), 1);
    *ret = ea_val_str(ea_strn(s.p + from, to - from));
    return 0;
}

/* ---- searching; lists have functions of the same names ---- */

static int list_index(const struct ea_val *args, bool last, struct ea_val *ret)
{
    uint32_t i;

    *ret = ea_val_int(-1);
    for (i = 0; i < args[0].n; i++) {
        if (!ea_cel_equal(&args[0].items[i], &args[1]))
            continue;
        *ret = ea_val_int(i);
        if (!last)
            break;
    }
    return 0;
}

static int index_of(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]), sub = ea_val_text(&args[1]);
    int64_t off = n > 2 ? args[2].i : 0, len;
    size_t from;
    ptrdiff_t at;

    if (args[0].type == EA_V_LIST && n == 2)
        return list_index(args, false, ret);
    if (!strings(args, 2) || (n > 2 && args[2].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_int(off);
    if (sub.n == 0 && cx->k8s)
        return 0;
    len = length(s);
    if (off < 0 || (off > len && !cx->k8s))
        return out_of_range(cx, off);
    if (sub.n == 0)
        return 0;
    *ret = ea_val_int(-1);
    if (off >= len)
        return 0;
    from = offset_of(s, off);
    at = ea_str_find(ea_strn(s.p + from, s.n - from), sub);
    if (at >= 0)
        *ret = ea_val_int(off + length(ea_strn(s.p + from, (size_t)at)));
    return 0;
}

/* Position of the last place of sub that begins at or before `off`; -1 when there is none. */
static int64_t find_last(struct ea_str s, struct ea_str sub, int64_t off)
{
    size_t at;

    if (sub.n > s.n)
        return -1;
    for (at = EA_MIN(offset_of(s, off), s.n - sub.n) + 1; at-- > 0;) {
        if (memcmp(s.p + at, sub.p, sub.n) == 0)
            return length(ea_strn(s.p, at));
    }
    return -1;
}

static int last_index_of(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                         struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]), sub = ea_val_text(&args[1]);
    int64_t len, off;
    bool inside;

    if (args[0].type == EA_V_LIST && n == 2)
        return list_index(args, true, ret);
    if (!strings(args, 2) || (n > 2 && args[2].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    len = length(s);
    off = n > 2 ? args[2].i : len;
    inside = off >= 0 && off <= len;
    /* Kubernetes asks nothing of a position past the end, nor of any when nothing is sought */
    if (cx->k8s)
        inside = off >= 0 || sub.n == 0;
    if (!inside)
        return out_of_range(cx, off);
    if (sub.n == 0)
        *ret = ea_val_int(off);
    else
        *ret = ea_val_int(n > 2 && off >= len ? -1 : find_last(s, sub, off));
    return 0;
}

/* ---- case, space, parts ---- */

static int map_ascii(struct ea_cel_ctx *cx, const struct ea_val *v, char from, char to,
                     struct ea_val *ret)
{
    struct ea_str s;
    size_t i;

    if (v->type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    s = ea_arena_str(cx->arena, ea_val_text(v));
    if (s.p == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < s.n; i++) {
        char *c = (char *)&s.p[i];

        if (*c >= from && *c <= from + 25)
            *c = (char)(*c - from + to);
    }
    *ret = ea_val_str(s);
    return 0;
}

static int lower_ascii(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    return map_ascii(cx, &args[0], 'A', 'a', ret);
}

static int upper_ascii(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    return map_ascii(cx, &args[0], 'a', 'A', ret);
}

/* Bytes of the white space (Unicode's White_Space) at p, 0 = none. */
static size_t space_at(const char *p, size_t n)
{
    /* U+2000…200A, 2028, 2029, 202F, 205F, 3000, 1680 in their three bytes */
    static const struct {
        uint8_t a, b, from, to;
    } wide[] = {{0xE1, 0x9A, 0x80, 0x80}, {0xE2, 0x80, 0x80, 0x8A}, {0xE2, 0x80, 0xA8, 0xA9},
                {0xE2, 0x80, 0xAF, 0xAF}, {0xE2, 0x81, 0x9F, 0x9F}, {0xE3, 0x80, 0x80, 0x80}};
    const unsigned char *u = (const unsigned char *)p;
    size_t i;

    if (n >= 1 && (u[0] == ' ' || (u[0] >= '\t' && u[0] <= '\r')))
        return 1;
    if (n >= 2 && u[0] == 0xC2 && (u[1] == 0x85 || u[1] == 0xA0))
        return 2;
    for (i = 0; n >= 3 && i < EA_COUNT(wide); i++) {
        if (u[0] == wide[i].a && u[1] == wide[i].b && u[2] >= wide[i].from && u[2] <= wide[i].to)
            return 3;
    }
    return 0;
}

static int trim(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]);
    size_t k;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    while ((k = space_at(s.p, s.n)) > 0)
        s = ea_strn(s.p + k, s.n - k);
    while (s.n) {
        for (k = 1; k < s.n && k < 4 && ((unsigned char)s.p[s.n - k] & 0xC0) == 0x80; k++)
            ;
        if (space_at(s.p + s.n - k, k) != k)
            break;
        s.n -= k;
    }
    *ret = ea_val_str(s);
    return 0;
}

static int substring(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                     struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]);
    int64_t len, start, end;
    size_t from, to;

    if (args[0].type != EA_V_STRING || args[1].type != EA_V_INT ||
        (n > 2 && args[2].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    len = length(s);
    start = args[1].i;
    end = n > 2 ? args[2].i : len;
    if (n > 2 && start > end)
        return ea_cel_raise(cx, "invalid substring range. start: %lld, end: %lld", (long long)start,
                            (long long)end);
    if (start < 0 || start > len)
        return out_of_range(cx, start);
    if (end < 0 || end > len)
        return out_of_range(cx, end);
    from = offset_of(s, start);
    to = from + offset_of(ea_strn(s.p + from, s.n - from), end - start);
    *ret = ea_val_str(ea_strn(s.p + from, to - from));
    return 0;
}

/* ---- replace, split, join ---- */

/* The next place of `old` in s from byte `at`; an empty one fits before every character and at the
 * end. SIZE_MAX = none. */
static size_t next_match(struct ea_str s, struct ea_str old, size_t at, bool first)
{
    ptrdiff_t found;

    if (old.n == 0) {
        if (first)
            return 0;
        return at < s.n ? at + offset_of(ea_strn(s.p + at, s.n - at), 1) : SIZE_MAX;
    }
    found = ea_str_find(ea_strn(s.p + at, s.n - at), old);
    return found < 0 ? SIZE_MAX : at + (size_t)found;
}

static int replace(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]), old = ea_val_text(&args[1]),
                  with = ea_val_text(&args[2]);
    int64_t limit = n > 3 ? args[3].i : -1, count = 0;
    size_t at = 0, m, total;
    char *p, *out;

    if (!strings(args, 3) || (n > 3 && args[3].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    for (m = next_match(s, old, 0, true); m != SIZE_MAX && (limit < 0 || count < limit);
         m = next_match(s, old, m + old.n, false))
        count++;
    *ret = args[0];
    if (count == 0)
        return 0;
    total = s.n + (size_t)count * with.n - (size_t)count * old.n;
    p = out = total > UINT32_MAX ? NULL : ea_arena_alloc_aligned(cx->arena, total + 1, 1);
    if (p == NULL)
        return EA_CEL_FULL;
    for (m = next_match(s, old, 0, true); count-- > 0; m = next_match(s, old, m + old.n, false)) {
        memcpy(out, s.p + at, m - at);
        out += m - at;
        if (with.n)
            memcpy(out, with.p, with.n);
        out += with.n;
        at = m + old.n;
    }
    memcpy(out, s.p + at, s.n - at);
    *ret = ea_val_str(ea_strn(p, total));
    return 0;
}

/* End of the next part of a split from `at`, and where the one after it starts; SIZE_MAX when the
 * rest is the last part. */
static size_t part_end(struct ea_str s, struct ea_str sep, size_t at, size_t *next)
{
    ptrdiff_t found;

    if (sep.n == 0) {
        *next = at + offset_of(ea_strn(s.p + at, s.n - at), 1);
        return *next < s.n ? *next : SIZE_MAX;
    }
    found = ea_str_find(ea_strn(s.p + at, s.n - at), sep);
    if (found < 0)
        return SIZE_MAX;
    *next = at + (size_t)found + sep.n;
    return at + (size_t)found;
}

static int split(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]), sep = ea_val_text(&args[1]);
    int64_t limit = n > 2 ? args[2].i : -1;
    size_t at = 0, end, next = 0, parts = 1;
    struct ea_val *items;
    uint32_t k = 0;

    if (!strings(args, 2) || (n > 2 && args[2].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_list(NULL, 0);
    if (limit == 0 || (s.n == 0 && sep.n == 0))
        return 0;
    while (part_end(s, sep, at, &next) != SIZE_MAX && (limit < 0 || (int64_t)parts < limit)) {
        parts++;
        at = next;
    }
    items = ea_arena_alloc(cx->arena, parts * sizeof *items);
    if (items == NULL)
        return EA_CEL_FULL;
    for (at = 0; k + 1 < parts; at = next) {
        end = part_end(s, sep, at, &next);
        items[k++] = ea_val_str(ea_strn(s.p + at, end - at));
    }
    items[k++] = ea_val_str(ea_strn(s.p + at, s.n - at));
    *ret = ea_val_list(items, k);
    return 0;
}

static int join(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str sep = n > 1 ? ea_val_text(&args[1]) : EA_STR("");
    size_t total = 0;
    char *p, *out;
    uint32_t i;

    if (args[0].type != EA_V_LIST || (n > 1 && args[1].type != EA_V_STRING))
        return EA_CEL_NO_OVERLOAD;
    for (i = 0; i < args[0].n; i++) {
        const struct ea_val *v = ea_val_force(&args[0].items[i]);

        if (v->type != EA_V_STRING)
            return ea_cel_raise(cx, "join: invalid input: %s", ea_cel_value_type(v));
        total += v->n + (i ? sep.n : 0);
    }
    p = out = total > UINT32_MAX ? NULL : ea_arena_alloc_aligned(cx->arena, total + 1, 1);
    if (p == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < args[0].n; i++) {
        const struct ea_val *v = &args[0].items[i];

        if (i && sep.n) {
            memcpy(out, sep.p, sep.n);
            out += sep.n;
        }
        if (v->n)
            memcpy(out, v->s, v->n);
        out += v->n;
    }
    *ret = ea_val_str(ea_strn(p, total));
    return 0;
}

static int quote(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    static const char plain[] = "\a\b\f\n\r\t\v\\\"", escaped[] = "abfnrtv\\\"";
    char *p, *out;
    uint32_t i;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    p = out = ea_arena_alloc_aligned(cx->arena, (size_t)args[0].n * 2 + 2, 1);
    if (p == NULL)
        return EA_CEL_FULL;
    *out++ = '"';
    for (i = 0; i < args[0].n; i++) {
        const char *at = args[0].s[i] ? strchr(plain, args[0].s[i]) : NULL;

        if (at)
            *out++ = '\\';
        *out++ = at ? escaped[at - plain] : args[0].s[i];
    }
    *out++ = '"';
    *ret = ea_val_str(ea_strn(p, (size_t)(out - p)));
    return 0;
}

/* Strings by code point; lists by element. */
static int reverse(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s = ea_val_text(&args[0]);
    struct ea_val *items;
    char *p, *out;
    size_t k;
    uint32_t i;

    if (args[0].type == EA_V_LIST) {
        items = ea_arena_alloc(cx->arena, args[0].n * sizeof *items);
        for (i = 0; items && i < args[0].n; i++)
            items[i] = args[0].items[args[0].n - 1 - i];
        *ret = ea_val_list(items, args[0].n);
        return items ? 0 : EA_CEL_FULL;
    }
    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    p = out = ea_arena_alloc_aligned(cx->arena, s.n + 1, 1);
    if (p == NULL)
        return EA_CEL_FULL;
    for (out += s.n; s.n; s = ea_strn(s.p + k, s.n - k)) {
        k = offset_of(s, 1);
        out -= k;
        memcpy(out, s.p, k);
    }
    *ret = ea_val_str(ea_strn(p, args[0].n));
    return 0;
}

const struct ea_cel_fn ea_cel_lib_strings[] = {
    EA_FN("charAt", "s.i:s", char_at, 0, EA_COST_ONE),
    EA_FN("indexOf", "s.s:i s.si:i l.e:i", index_of, 0, EA_COST_TRAVERSE),
    EA_FN("lastIndexOf", "s.s:i s.si:i l.e:i", last_index_of, 0, EA_COST_TRAVERSE),
    EA_FN("lowerAscii", "s.:s", lower_ascii, 0, EA_COST_ARG),
    EA_FN("upperAscii", "s.:s", upper_ascii, 0, EA_COST_ARG),
    EA_FN("replace", "s.ss:s s.ssi:s", replace, 0, EA_COST_ARG_TWICE),
    EA_FN("split", "s.s:L s.si:L", split, 0, EA_COST_ARG_TWICE),
    EA_FN("substring", "s.i:s s.ii:s", substring, 0, EA_COST_ARG),
    EA_FN("trim", "s.:s", trim, 0, EA_COST_ARG),
    EA_FN("join", "L.:s L.s:s", join, 0, EA_COST_RESULT_TWICE),
    EA_FN("strings.quote", "s:s", quote, 29, EA_COST_ARG),
    EA_FN("format", "s.l:s", ea_cel_string_format, 29, EA_COST_ARG),
    EA_FN("reverse", "s.:s@255 l.:X", reverse, 34, EA_COST_LIST),
    EA_FN_END,
};
