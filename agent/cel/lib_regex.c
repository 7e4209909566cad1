/* find() and findAll(): apiserver pkg/cel/library/regex.go. */
#include "cel/lib.h"
#include "cel/regex.h"

static int find(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    const struct ea_cel_regex *re;
    struct ea_str s = ea_val_text(&args[0]);
    size_t from, to;
    int rc;

    if (args[0].type != EA_V_STRING || args[1].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    rc = ea_cel_regex_get(cx, ea_val_text(&args[1]), &re);
    if (rc == 0)
        rc = ea_cel_regex_find(cx, re, s, 0, &from, &to);
    if (rc)
        return rc;
    *ret = ea_val_str(from == SIZE_MAX ? EA_STR("") : ea_strn(s.p + from, to - from));
    return 0;
}

/* Next place to look at: behind the match, or behind one character when it was empty. */
static size_t advance(struct ea_str s, size_t from, size_t to)
{
    if (to > from)
        return to;
    for (to++; to < s.n && ((unsigned char)s.p[to] & 0xC0) == 0x80; to++)
        ;
    return to;
}

static int collect(struct ea_cel_ctx *cx, const struct ea_cel_regex *re, struct ea_str s,
                   int64_t limit, struct ea_val *ret)
{
    struct ea_val *items = NULL;
    uint32_t n = 0, size = 0;
    size_t at = 0, from, to, last_end = SIZE_MAX;
    int rc = 0;

    while (at <= s.n && (limit < 0 || (int64_t)n < limit)) {
        rc = ea_cel_regex_find(cx, re, s, at, &from, &to);
        if (rc || from == SIZE_MAX)
            break;
        at = advance(s, from, to);
        /* an empty match right behind the one before does not count (Go, regexp.FindAll) */
        if (to == from && from == last_end)
            continue;
        last_end = to;
        if (n == size) {
            struct ea_val *p = ea_arena_alloc(cx->arena, (size_t)(size ? size * 2 : 8) * sizeof *p);

            if (p == NULL)
                return EA_CEL_FULL;
            if (n)
                memcpy(p, items, n * sizeof *p);
            items = p;
            size = size ? size * 2 : 8;
        }
        items[n++] = ea_val_str(ea_strn(s.p + from, to - from));
    }
    *ret = ea_val_list(items, n);
    return rc;
}

static int find_all(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    const struct ea_cel_regex *re;
    int rc;

    if (args[0].type != EA_V_STRING || args[1].type != EA_V_STRING ||
        (n > 2 && args[2].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    rc = ea_cel_regex_get(cx, ea_val_text(&args[1]), &re);
    return rc ? rc : collect(cx, re, ea_val_text(&args[0]), n > 2 ? args[2].i : -1, ret);
}

const struct ea_cel_fn ea_cel_lib_regex[] = {
    EA_FN("find", "s.s:s", find, 0, EA_COST_REGEX),
    EA_FN("findAll", "s.s:L s.si:L", find_all, 0, EA_COST_REGEX),
    EA_FN_END,
};
