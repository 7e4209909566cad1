/* IP addresses and ranges: apiserver pkg/cel/library/ip.go, cidr.go (Go's net/netip). */
#include <arpa/inet.h>
#include <stdio.h>

#include "cel/lib.h"

/* IPv4 lies in the last four bytes behind ::ffff, as in netip. */
struct addr {
    uint8_t b[16];
    bool v4;
    int bits; /* prefix length; -1 for an address */
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static const struct addr *get(const struct ea_val *v)
{
    return v->ptr;
}

static bool is(const struct ea_val *v, enum ea_cel_opaque kind)
{
    return v->type == EA_V_OPAQUE && v->n == (uint32_t)kind;
}

/* NULL, or why the text is no address. */
static const char *parse_addr(struct ea_str s, bool k8s, struct addr *ret)
{
    char z[64];

    if (s.n >= sizeof z || s.n == 0 || memchr(s.p, '\0', s.n))
        return "parse error during conversion from string";
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    ret->bits = -1;
    ret->v4 = !memchr(z, ':', s.n);
    if (!ret->v4 && memchr(z, '%', s.n))
        return "with zone value is not allowed";
    if (ret->v4) {
        memcpy(ret->b, mapped, sizeof mapped);
        return inet_pton(AF_INET, z, ret->b + 12) == 1
                   ? NULL
                   : "parse error during conversion from string";
    }
    if (inet_pton(AF_INET6, z, ret->b) != 1)
        return "parse error during conversion from string";
    /* the conformance files allow the hexadecimal spelling, the API server neither */
    if (memcmp(ret->b, mapped, sizeof mapped) == 0 && (k8s || memchr(z, '.', s.n)))
        return "is IPv4-mapped: IPv4-mapped IPv6 address is not allowed";
    return NULL;
}

static const char *parse_cidr(struct ea_str s, bool k8s, struct addr *ret)
{
    struct ea_str rest, head = ea_str_cut(s, '/', &rest);
    const char *why =
        rest.p ? parse_addr(head, k8s, ret) : "parse error during conversion from string";
    int bits = 0;
    size_t i;

    if (why)
        return why;
    if (rest.n == 0 || rest.n > 3 || (rest.n > 1 && rest.p[0] == '0'))
        return "parse error during conversion from string";
    for (i = 0; i < rest.n; i++) {
        if (rest.p[i] < '0' || rest.p[i] > '9')
            return "parse error during conversion from string";
        bits = bits * 10 + (rest.p[i] - '0');
    }
    if (bits > (ret->v4 ? 32 : 128))
        return "parse error during conversion from string";
    ret->bits = bits;
    return NULL;
}

static int made(struct ea_cel_ctx *cx, enum ea_cel_opaque kind, const struct addr *a,
                struct ea_val *ret)
{
    struct addr *copy = ea_arena_alloc(cx->arena, sizeof *copy);

    if (copy == NULL)
        return EA_CEL_FULL;
    *copy = *a;
    *ret = ea_cel_opaque(kind, copy);
    return 0;
}

static int make_ip(struct ea_cel_ctx *cx, struct ea_str s, struct ea_val *ret)
{
    struct addr a;
    const char *why = parse_addr(s, cx->k8s, &a);

    if (why)
        return ea_cel_raise(cx, "IP Address '%.*s' %s", (int)EA_MIN(s.n, (size_t)60), s.p, why);
    return made(cx, EA_OPAQUE_IP, &a, ret);
}

static int make_cidr(struct ea_cel_ctx *cx, struct ea_str s, struct ea_val *ret)
{
    struct addr a;
    const char *why = parse_cidr(s, cx->k8s, &a);

    if (why)
        return ea_cel_raise(cx, "network address '%.*s' %s", (int)EA_MIN(s.n, (size_t)60), s.p,
                            why);
    return made(cx, EA_OPAQUE_CIDR, &a, ret);
}

static int ip(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct addr a;

    if (args[0].type == EA_V_STRING)
        return make_ip(cx, ea_val_text(&args[0]), ret);
    if (!is(&args[0], EA_OPAQUE_CIDR))
        return EA_CEL_NO_OVERLOAD;
    a = *get(&args[0]);
    a.bits = -1;
    return made(cx, EA_OPAQUE_IP, &a, ret);
}

static int cidr(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return args[0].type == EA_V_STRING ? make_cidr(cx, ea_val_text(&args[0]), ret)
                                       : EA_CEL_NO_OVERLOAD;
}

static int is_ip(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct addr a;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(parse_addr(ea_val_text(&args[0]), cx->k8s, &a) == NULL);
    return 0;
}

static int is_cidr(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct addr a;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(parse_cidr(ea_val_text(&args[0]), cx->k8s, &a) == NULL);
    return 0;
}

/* ---- text: RFC 5952 ---- */

static void text(const struct addr *a, char out[64])
{
    unsigned w[8], i, run, best = 8, best_n = 1;
    size_t at = 0;

    if (a->v4 || memcmp(a->b, mapped, sizeof mapped) == 0) {
        snprintf(out, 64, "%s%u.%u.%u.%u", a->v4 ? "" : "::ffff:", a->b[12], a->b[13], a->b[14],
                 a->b[15]);
        return;
    }
    for (i = 0; i < 8; i++)
        w[i] = (unsigned)a->b[2 * i] << 8 | a->b[2 * i + 1];
    for (i = 0; i < 8; i++) {
        for (run = 0; i + run < 8 && w[i + run] == 0; run++)
            ;
        if (run > best_n) {
            best = i;
            best_n = run;
        }
    }
    for (i = 0; i < 8; i++) {
        if (i == best) {
            at += (size_t)snprintf(out + at, 64 - at, "::");
            i += best_n - 1;
            continue;
        }
        at += (size_t)snprintf(out + at, 64 - at, "%s%x", i > 0 && out[at - 1] != ':' ? ":" : "",
                               w[i]);
    }
    out[at] = '\0';
}

struct ea_str ea_cel_ip_text(struct ea_arena *arena, const struct ea_val *v)
{
    char s[64];

    text(get(v), s);
    return get(v)->bits < 0 ? ea_arena_str(arena, ea_str(s))
                            : ea_arena_printf(arena, "%s/%d", s, get(v)->bits);
}

bool ea_cel_ip_equal(const struct ea_val *a, const struct ea_val *b)
{
    return memcmp(get(a)->b, get(b)->b, 16) == 0 && get(a)->bits == get(b)->bits;
}

static int is_canonical(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                        struct ea_val *ret)
{
    struct ea_val v = ea_val_null();
    char s[64];
    int rc;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    rc = make_ip(cx, ea_val_text(&args[0]), &v);
    if (rc)
        return rc;
    text(get(&v), s);
    *ret = ea_val_bool(ea_str_is(ea_val_text(&args[0]), s));
    return 0;
}

/* ---- what kind of address ---- */

static bool unspecified(const struct addr *a)
{
    static const uint8_t zero[16];

    return a->v4 ? memcmp(a->b + 12, zero, 4) == 0 : memcmp(a->b, zero, 16) == 0;
}

static bool loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};

    return a->v4 ? a->b[12] == 127 : memcmp(a->b, one, 16) == 0;
}

static bool link_local_multicast(const struct addr *a)
{
    if (a->v4)
        return a->b[12] == 224 && a->b[13] == 0 && a->b[14] == 0;
    return a->b[0] == 0xff && (a->b[1] & 0x0f) == 2;
}

static bool link_local_unicast(const struct addr *a)
{
    return a->v4 ? a->b[12] == 169 && a->b[13] == 254 : a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static bool multicast(const struct addr *a)
{
    return a->v4 ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

static bool global_unicast(const struct addr *a)
{
    static const uint8_t all[4] = {255, 255, 255, 255};

    return !(a->v4 && memcmp(a->b + 12, all, 4) == 0) && !unspecified(a) && !loopback(a) &&
           !multicast(a) && !link_local_unicast(a);
}

#define QUESTION(name, test)                                                                       \
    static int name(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,                  \
                    struct ea_val *ret)                                                            \
    {                                                                                              \
        if (!is(&args[0], EA_OPAQUE_IP))                                                           \
            return EA_CEL_NO_OVERLOAD;                                                             \
        *ret = ea_val_bool(test(get(&args[0])));                                                   \
        return 0;                                                                                  \
    }

QUESTION(is_unspecified, unspecified)
QUESTION(is_loopback, loopback)
QUESTION(is_link_local_multicast, link_local_multicast)
QUESTION(is_link_local_unicast, link_local_unicast)
QUESTION(is_global_unicast, global_unicast)

static int family(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    if (!is(&args[0], EA_OPAQUE_IP))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_int(get(&args[0])->v4 ? 4 : 6);
    return 0;
}

/* ---- ranges ---- */

static void mask(struct addr *a, int bits)
{
    int i, first = a->v4 ? 12 : 0;

    for (i = first; i < 16; i++, bits -= 8) {
        if (bits <= 0)
            a->b[i] = 0;
        else if (bits < 8)
            a->b[i] = (uint8_t)(a->b[i] & (0xff << (8 - bits)));
    }
}

/* Both lie in the same range of `bits`. */
static bool same_range(const struct addr *x, const struct addr *y, int bits)
{
    struct addr a = *x, b = *y;

    mask(&a, bits);
    mask(&b, bits);
    return x->v4 == y->v4 && memcmp(a.b, b.b, 16) == 0;
}

static int contains_ip(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    struct ea_val v = args[1];
    int rc = 0;

    if (!is(&args[0], EA_OPAQUE_CIDR))
        return EA_CEL_NO_OVERLOAD;
    if (v.type == EA_V_STRING)
        rc = make_ip(cx, ea_val_text(&args[1]), &v);
    else if (!is(&v, EA_OPAQUE_IP))
        return EA_CEL_NO_OVERLOAD;
    if (rc == 0)
        *ret = ea_val_bool(same_range(get(&args[0]), get(&v), get(&args[0])->bits));
    return rc;
}

static int contains_cidr(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                         struct ea_val *ret)
{
    struct ea_val v = args[1];
    const struct addr *own = args[0].ptr;
    int rc = 0;

    if (!is(&args[0], EA_OPAQUE_CIDR))
        return EA_CEL_NO_OVERLOAD;
    if (v.type == EA_V_STRING)
        rc = make_cidr(cx, ea_val_text(&args[1]), &v);
    else if (!is(&v, EA_OPAQUE_CIDR))
        return EA_CEL_NO_OVERLOAD;
    if (rc == 0)
        *ret = ea_val_bool(own->bits <= get(&v)->bits && same_range(own, get(&v), own->bits));
    return rc;
}

static int masked(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    struct addr a;

    if (!is(&args[0], EA_OPAQUE_CIDR))
        return EA_CEL_NO_OVERLOAD;
    a = *get(&args[0]);
    mask(&a, a.bits);
    return made(cx, EA_OPAQUE_CIDR, &a, ret);
}

static int prefix_length(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                         struct ea_val *ret)
{
    if (!is(&args[0], EA_OPAQUE_CIDR))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_int(get(&args[0])->bits);
    return 0;
}

const struct ea_cel_fn ea_cel_lib_net[] = {
    EA_FN("ip", "s:I C.:I", ip, 30, EA_COST_ARG),
    EA_FN("cidr", "s:C", cidr, 30, EA_COST_ARG),
    EA_FN("isIP", "s:b", is_ip, 30, EA_COST_ARG),
    EA_FN("isCIDR", "s:b", is_cidr, 30, EA_COST_ARG),
    EA_FN("ip.isCanonical", "s:b", is_canonical, 30, EA_COST_ARG_TWICE),
    EA_FN("family", "I.:i", family, 30, EA_COST_ONE),
    EA_FN("isUnspecified", "I.:b", is_unspecified, 30, EA_COST_ONE),
    EA_FN("isLoopback", "I.:b", is_loopback, 30, EA_COST_ONE),
    EA_FN("isLinkLocalMulticast", "I.:b", is_link_local_multicast, 30, EA_COST_ONE),
    EA_FN("isLinkLocalUnicast", "I.:b", is_link_local_unicast, 30, EA_COST_ONE),
    EA_FN("isGlobalUnicast", "I.:b", is_global_unicast, 30, EA_COST_ONE),
    EA_FN("containsIP", "C.I:b C.s:b", contains_ip, 30, EA_COST_CONTAINS_IP),
    EA_FN("containsCIDR", "C.C:b C.s:b", contains_cidr, 30, EA_COST_CONTAINS_CIDR),
    EA_FN("masked", "C.:C", masked, 30, EA_COST_ONE),
    EA_FN("prefixLength", "C.:i", prefix_length, 30, EA_COST_ONE),
    EA_FN_END,
};
