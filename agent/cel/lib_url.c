/* URLs: apiserver pkg/cel/library/urls.go over Go's net/url: absolute URLs and absolute paths. */
#include "cel/lib.h"

struct url {
    struct ea_str text, scheme, host, path, query;
};

static const struct url *get(const struct ea_val *v)
{
    return v->ptr;
}

static bool is(const struct ea_val *v)
{
    return v->type == EA_V_OPAQUE && v->n == EA_OPAQUE_URL;
}

static bool alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
}

static bool escapes_are_good(struct ea_str s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0))
            return false;
    }
    return true;
}

/* "scheme:" off the front; false when a colon stands where none may. */
static bool take_scheme(struct ea_str *s, struct ea_str *scheme)
{
    size_t i;

    *scheme = EA_STR("");
    for (i = 0; i < s->n; i++) {
        char c = s->p[i];

        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            continue;
        if (((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.') && i > 0)
            continue;
        if (c != ':')
            return true;
        if (i == 0)
            return false;
        *scheme = ea_strn(s->p, i);
        *s = ea_strn(s->p + i + 1, s->n - i - 1);
        return true;
    }
    return true;
}

static bool port_is_good(struct ea_str s)
{
    size_t i;

    for (i = 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n == 0 || s.p[0] == ':';
}

static bool all_of(struct ea_str s, const char *others, bool high)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (!alnum(s.p[i]) && !ea_cel_one_of(others, s.p[i]) &&
            !(high && (unsigned char)s.p[i] >= 0x80))
            return false;
    }
    return true;
}

/* "host", "host:port", "[v6]:port" with a good port. */
static bool host_is_good(struct ea_str host)
{
    const char *close;
    size_t i;

    if (host.n && host.p[0] == '[') {
        close = memchr(host.p, ']', host.n);
        if (close == NULL)
            return false;
        return port_is_good(ea_strn(close + 1, (size_t)(host.p + host.n - close - 1)));
    }
    for (i = host.n; i > 0 && host.p[i - 1] != ':'; i--)
        ;
    return i == 0 || port_is_good(ea_strn(host.p + i - 1, host.n - i + 1));
}

/* userinfo@host:port; userinfo is dropped. */
static bool take_authority(struct ea_str a, struct ea_str *host)
{
    size_t i, last = 0;

    for (i = 0; i < a.n; i++) {
        if (a.p[i] == '@')
            last = i + 1;
    }
    if (last > 0 && !all_of(ea_strn(a.p, last - 1), "-._:~!$&'()*+,;=%@", false))
        return false;
    *host = ea_strn(a.p + last, a.n - last);
    return host_is_good(*host) && all_of(*host, "-_.~!$&'()*+,;=:[]<>\"%", true) &&
           escapes_are_good(*host);
}

/* "//authority/path" or "/path". */
static bool take_hierarchy(struct ea_str rest, struct url *u)
{
    size_t i;

    if (u->scheme.n && rest.n >= 2 && rest.p[1] == '/') {
        for (i = 2; i < rest.n && rest.p[i] != '/'; i++)
            ;
        if (!take_authority(ea_strn(rest.p + 2, i - 2), &u->host))
            return false;
        rest = ea_strn(rest.p + i, rest.n - i);
    }
    u->path = rest;
    return escapes_are_good(rest);
}

static bool parse(struct ea_str s, struct url *u)
{
    struct ea_str rest = s, tail;
    size_t i;

    *u = (struct url){.text = s, .path = EA_STR(""), .query = EA_STR(""), .host = EA_STR("")};
    for (i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    if (s.n == 0 || !take_scheme(&rest, &u->scheme))
        return false;
    rest = ea_str_cut(rest, '#', &tail);
    if (tail.p && !escapes_are_good(tail))
        return false;
    rest = ea_str_cut(rest, '?', &tail);
    if (tail.p)
        u->query = tail;
    if (rest.n == 0 || rest.p[0] != '/')
        return u->scheme.n > 0; /* opaque: "mailto:x" has neither host nor path */
    return take_hierarchy(rest, u);
}

static int url(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct url *u;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    u = ea_arena_alloc(cx->arena, sizeof *u);
    if (u == NULL)
        return EA_CEL_FULL;
    if (!parse(ea_val_text(&args[0]), u))
        return ea_cel_raise(cx,
                            "URL parse error during conversion from string: parse \"%.*s\": "
                            "invalid URI for request",
                            (int)EA_MIN(args[0].n, 80u), args[0].s);
    *ret = ea_cel_opaque(EA_OPAQUE_URL, u);
    return 0;
}

static int is_url(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct url u;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(parse(ea_val_text(&args[0]), &u));
    return 0;
}

struct ea_str ea_cel_url_text(struct ea_arena *a, const struct ea_val *v)
{
    return ea_arena_str(a, get(v)->text);
}

bool ea_cel_url_equal(const struct ea_val *a, const struct ea_val *b)
{
    return ea_str_eq(get(a)->text, get(b)->text);
}

/* ---- parts ---- */

/* %41 as A; plus as a space in queries. In the arena. */
static struct ea_str unescape(struct ea_arena *a, struct ea_str s, bool query)
{
    char *p = ea_arena_alloc_aligned(a, s.n + 1, 1);
    size_t i, n = 0;

    if (p == NULL)
        return EA_STR_NULL;
    for (i = 0; i < s.n; i++) {
        if (s.p[i] == '%') {
            p[n++] = (char)(hex(s.p[i + 1]) * 16 + hex(s.p[i + 2]));
            i += 2;
        } else {
            p[n++] = query && s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    return ea_strn(p, n);
}

static int text(struct ea_cel_ctx *cx, struct ea_str s, struct ea_val *ret)
{
    if (s.n && !ea_utf8_valid(s.p, s.n))
        return ea_cel_raise(cx, "URL holds bytes that are no UTF-8");
    *ret = ea_val_str(s);
    return 0;
}

static int scheme(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s;
    size_t i;

    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    s = ea_arena_str(cx->arena, get(&args[0])->scheme);
    if (s.p == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < s.n; i++) {
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            ((char *)s.p)[i] = (char)(s.p[i] + 32);
    }
    return text(cx, s, ret);
}

static int host(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str s;

    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    s = unescape(cx->arena, get(&args[0])->host, false);
    return s.p ? text(cx, s, ret) : EA_CEL_FULL;
}

/* Where the port's colon stands, or the length. */
static size_t port_at(struct ea_str h)
{
    size_t i;

    for (i = h.n; i > 0 && h.p[i - 1] != ':' && h.p[i - 1] != ']'; i--)
        ;
    return i > 0 && h.p[i - 1] == ':' ? i - 1 : h.n;
}

static int hostname(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    int rc = host(cx, args, n, ret);
    struct ea_str h;

    if (rc)
        return rc;
    h = ea_val_text(ret);
    h.n = port_at(h);
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = ea_strn(h.p + 1, h.n - 2);
    *ret = ea_val_str(h);
    return 0;
}

static int port(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str h;
    size_t at;

    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    h = get(&args[0])->host;
    at = port_at(h);
    *ret = ea_val_str(at < h.n ? ea_strn(h.p + at + 1, h.n - at - 1) : EA_STR(""));
    return 0;
}

/* A path that is well encoded stays as it is; else it is unescaped and escaped anew (Go,
 * URL.EscapedPath). */
static int escaped_path(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                        struct ea_val *ret)
{
    struct ea_str s, raw;
    char *p, *out;
    size_t i;

    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    s = get(&args[0])->path;
    for (i = 0; i < s.n && (alnum(s.p[i]) || ea_cel_one_of("-_.~!$&'()*+,;=:@[]/%", s.p[i])); i++)
        ;
    if (i == s.n) {
        *ret = ea_val_str(s);
        return 0;
    }
    raw = unescape(cx->arena, s, false);
    p = out = raw.p ? ea_arena_alloc_aligned(cx->arena, raw.n * 3 + 1, 1) : NULL;
    if (p == NULL)
        return EA_CEL_FULL;
    for (i = 0; i < raw.n; i++) {
        if (alnum(raw.p[i]) || ea_cel_one_of("-_.~$&+,/:;=@", raw.p[i])) {
            *out++ = raw.p[i];
        } else {
            *out++ = '%';
            *out++ = "0123456789ABCDEF"[(unsigned char)raw.p[i] >> 4];
            *out++ = "0123456789ABCDEF"[raw.p[i] & 15];
        }
    }
    return text(cx, ea_strn(p, (size_t)(out - p)), ret);
}

/* Appends a value to the list under its key. */
static int add_pair(struct ea_cel_ctx *cx, struct ea_cel_mapb *b, struct ea_str key,
                    struct ea_str value)
{
    struct ea_val k = ea_val_str(key), list = ea_val_list(NULL, 0), *old = &list, *items;
    int rc = ea_cel_mapb_add(b, &k, &list, &old);

    if (rc == -E2BIG)
        return EA_CEL_FULL;
    if (rc == 0)
        old = &b->m[b->n - 1].val;
    items = ea_arena_alloc(cx->arena, (old->n + 1) * sizeof *items);
    if (items == NULL)
        return EA_CEL_FULL;
    if (old->n)
        memcpy(items, old->items, old->n * sizeof *items);
    items[old->n] = ea_val_str(value);
    *old = ea_val_list(items, old->n + 1);
    return 0;
}

/* One "key=value" into the map; what is badly escaped or holds a semicolon is dropped, as in Go. */
static int add_part(struct ea_cel_ctx *cx, struct ea_cel_mapb *b, struct ea_str part)
{
    struct ea_str value, key = ea_str_cut(part, '=', &value);

    if (part.n == 0 || memchr(part.p, ';', part.n) || !escapes_are_good(key) ||
        (value.p && !escapes_are_good(value)))
        return 0;
    key = unescape(cx->arena, key, true);
    value = value.p ? unescape(cx->arena, value, true) : EA_STR("");
    if (key.p == NULL || value.p == NULL)
        return EA_CEL_FULL;
    if (!ea_utf8_valid(key.p, key.n) || !ea_utf8_valid(value.p, value.n))
        return 0;
    return add_pair(cx, b, key, value);
}

static int query(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct ea_str rest;
    struct ea_cel_mapb b;
    uint32_t pairs = 1;
    size_t i;
    int rc = 0;

    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    rest = get(&args[0])->query;
    for (i = 0; i < rest.n; i++)
        pairs += rest.p[i] == '&';
    if (ea_cel_mapb_init(&b, cx->arena, pairs))
        return EA_CEL_FULL;
    while (rest.p && rc == 0)
        rc = add_part(cx, &b, ea_str_cut(rest, '&', &rest));
    *ret = ea_cel_mapb_end(&b);
    return rc;
}

const struct ea_cel_fn ea_cel_lib_url[] = {
    EA_FN("url", "s:U", url, 0, EA_COST_ARG),
    EA_FN("isURL", "s:b", is_url, 0, EA_COST_ONE),
    EA_FN("getScheme", "U.:s", scheme, 0, EA_COST_ONE),
    EA_FN("getHost", "U.:s", host, 0, EA_COST_ONE),
    EA_FN("getHostname", "U.:s", hostname, 0, EA_COST_ONE),
    EA_FN("getPort", "U.:s", port, 0, EA_COST_ONE),
    EA_FN("getEscapedPath", "U.:s", escaped_path, 0, EA_COST_ONE),
    EA_FN("getQuery", "U.:N", query, 0, EA_COST_ONE),
    EA_FN_END,
};
