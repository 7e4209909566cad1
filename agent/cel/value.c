#include "cel/value.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"
#include "cel/cel.h"
#include "doc/num.h"

/* Values are as deep as documents and expressions together allow; what is deeper equals nothing. */
#define DEPTH (8 * EA_MAX_DEPTH)
#define LINEAR 16u
/* aux of a map built here that has an index in front of its members */
#define INDEXED 1u

static bool is_number(const struct ea_val *v)
{
    return v->type == EA_V_INT || v->type == EA_V_UINT || v->type == EA_V_DOUBLE;
}

const char *ea_cel_value_type(const struct ea_val *v)
{
    static const char *const names[EA_V_COUNT] = {[EA_V_NULL] = "null_type",
                                                  [EA_V_BOOL] = "bool",
                                                  [EA_V_INT] = "int",
                                                  [EA_V_UINT] = "uint",
                                                  [EA_V_DOUBLE] = "double",
                                                  [EA_V_STRING] = "string",
                                                  [EA_V_BYTES] = "bytes",
                                                  [EA_V_LIST] = "list",
                                                  [EA_V_MAP] = "map",
                                                  [EA_V_RAW] = "map",
                                                  [EA_V_TYPE] = "type",
                                                  [EA_V_TIMESTAMP] = "google.protobuf.Timestamp",
                                                  [EA_V_ERROR] = "error",
                                                  [EA_V_OPTIONAL] = "optional_type",
                                                  [EA_V_DURATION] = "google.protobuf.Duration"};

    v = ea_val_force(v);
    if (v->type == EA_V_OPAQUE)
        return ea_cel_opaque_name((enum ea_cel_opaque)v->n);
    return names[v->type];
}

/* ---- order ---- */

#define SIGN(a, b) ((a) < (b) ? -1 : (a) > (b) ? 1 : 0)

/* As cel-go: beyond the range of the integer the double is the larger one, inside the integer is
 * compared as a double. */
static int int_double(int64_t i, double d)
{
    if (isnan(d))
        return 2;
    if (d < -9223372036854775808.0 || d > 9223372036854775808.0)
        return d < 0 ? 1 : -1;
    return SIGN((double)i, d);
}

static int uint_double(uint64_t u, double d)
{
    if (isnan(d))
        return 2;
    if (d < 0 || d > 18446744073709551616.0)
        return d < 0 ? 1 : -1;
    return SIGN((double)u, d);
}

static int flip(int c)
{
    return c == 2 ? 2 : -c;
}

static int numbers(const struct ea_val *a, const struct ea_val *b)
{
    switch (a->type * EA_V_COUNT + b->type) {
    case EA_V_INT *EA_V_COUNT + EA_V_INT:
        return SIGN(a->i, b->i);
    case EA_V_UINT *EA_V_COUNT + EA_V_UINT:
        return SIGN(a->u, b->u);
    case EA_V_DOUBLE *EA_V_COUNT + EA_V_DOUBLE:
        return isnan(a->d) || isnan(b->d) ? 2 : SIGN(a->d, b->d);
    case EA_V_INT *EA_V_COUNT + EA_V_UINT:
        return a->i < 0 ? -1 : SIGN((uint64_t)a->i, b->u);
    case EA_V_UINT *EA_V_COUNT + EA_V_INT:
        return b->i < 0 ? 1 : SIGN(a->u, (uint64_t)b->i);
    case EA_V_INT *EA_V_COUNT + EA_V_DOUBLE:
        return int_double(a->i, b->d);
    case EA_V_DOUBLE *EA_V_COUNT + EA_V_INT:
        return flip(int_double(b->i, a->d));
    case EA_V_UINT *EA_V_COUNT + EA_V_DOUBLE:
        return uint_double(a->u, b->d);
    default:
        return flip(uint_double(b->u, a->d));
    }
}

int ea_cel_compare(const struct ea_val *a, const struct ea_val *b, int *ret)
{
    int c;

    if (is_number(a) && is_number(b)) {
        *ret = numbers(a, b);
        return 0;
    }
    if (a->type != b->type)
        return -EINVAL;
    switch (a->type) {
    case EA_V_BOOL:
        *ret = (int)a->b - (int)b->b;
        return 0;
    case EA_V_STRING:
    case EA_V_BYTES:
        c = ea_str_cmp(ea_val_text(a), ea_val_text(b));
        *ret = SIGN(c, 0);
        return 0;
    case EA_V_TIMESTAMP:
        *ret = a->i != b->i ? SIGN(a->i, b->i) : SIGN(a->n, b->n);
        return 0;
    case EA_V_DURATION:
        *ret = SIGN(a->i, b->i);
        return 0;
    default:
        return -EINVAL;
    }
}

/* ---- equality ---- */

static bool equal(const struct ea_val *a, const struct ea_val *b, unsigned depth);

static bool lists_equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    uint32_t i;

    if (a->n != b->n)
        return false;
    for (i = 0; i < a->n; i++) {
        if (!equal(&a->items[i], &b->items[i], depth))
            return false;
    }
    return true;
}

static bool maps_equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    uint32_t i;

    if (a->n != b->n)
        return false;
    for (i = 0; i < a->n; i++) {
        const struct ea_val *other = ea_cel_map_find(b, &a->members[i].key);

        if (other == NULL || !equal(&a->members[i].val, other, depth))
            return false;
    }
    return true;
}

static bool optionals_equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    if (a->opt == NULL || b->opt == NULL)
        return a->opt == b->opt;
    return equal(a->opt, b->opt, depth);
}

static bool equal(const struct ea_val *a, const struct ea_val *b, unsigned depth)
{
    a = ea_val_force(a);
    b = ea_val_force(b);
    if (is_number(a) && is_number(b))
        return numbers(a, b) == 0;
    if (a->type != b->type || depth > DEPTH)
        return false;
    switch (a->type) {
    case EA_V_NULL:
        return true;
    case EA_V_BOOL:
        return a->b == b->b;
    case EA_V_STRING:
    case EA_V_BYTES:
    case EA_V_TYPE:
        return ea_str_eq(ea_val_text(a), ea_val_text(b));
    case EA_V_LIST:
        return lists_equal(a, b, depth + 1);
    case EA_V_MAP:
        return maps_equal(a, b, depth + 1);
    case EA_V_TIMESTAMP:
        return a->i == b->i && a->n == b->n;
    case EA_V_DURATION:
        return a->i == b->i;
    case EA_V_OPTIONAL:
        return optionals_equal(a, b, depth + 1);
    case EA_V_OPAQUE:
        return a->n == b->n && ea_cel_opaque_equal(a, b);
    default:
        return false;
    }
}

bool ea_cel_equal(const struct ea_val *a, const struct ea_val *b)
{
    return equal(a, b, 0);
}

bool ea_cel_list_has(const struct ea_val *list, const struct ea_val *v)
{
    uint32_t i;

    for (i = 0; i < list->n; i++) {
        const struct ea_val *x = &list->items[i];

        if (x->type == EA_V_STRING && v->type == EA_V_STRING) {
            if (x->n == v->n && (x->n == 0 || memcmp(x->s, v->s, x->n) == 0))
                return true;
        } else if (equal(x, v, 0)) {
            return true;
        }
    }
    return false;
}

/* ---- maps ---- */

/* Equal keys hash alike: numbers by their value, whatever their type. */
static uint32_t key_hash(const struct ea_val *key)
{
    uint64_t h;

    switch (key->type) {
    case EA_V_STRING:
        return (uint32_t)ea_hash(key->s, key->n);
    case EA_V_DOUBLE:
        h = key->d >= 0 && key->d < 18446744073709551616.0   ? (uint64_t)key->d
            : key->d < 0 && key->d >= -9223372036854775808.0 ? (uint64_t)(int64_t)key->d
                                                             : 0;
        break;
    case EA_V_BOOL:
        h = key->b ? 3 : 5;
        break;
    default:
        h = key->u;
        break;
    }
    return (uint32_t)ea_hash(&h, sizeof h);
}

static uint32_t index_size(uint32_t n)
{
    return 2u << (31 - __builtin_clz(n));
}

static const struct ea_val *find_indexed(const struct ea_val *map, const struct ea_val *key)
{
    uint32_t mask = index_size(map->n) - 1, at = key_hash(key) & mask;
    const uint32_t *slots = (const uint32_t *)(const void *)map->members - (mask + 1);

    for (; slots[at] != 0; at = (at + 1) & mask) {
        const struct ea_member *m = &map->members[slots[at] - 1];

        if (equal(&m->key, key, 0))
            return ea_val_force(&m->val);
    }
    return NULL;
}

const struct ea_val *ea_cel_map_find(const struct ea_val *map, const struct ea_val *key)
{
    uint32_t i;

    if (map->aux == INDEXED)
        return find_indexed(map, key);
    if (key->type == EA_V_STRING)
        return ea_val_get(map, ea_val_text(key));
    if (!(map->flags & EA_VF_CEL))
        return NULL; /* keys of documents are strings */
    for (i = 0; i < map->n; i++) {
        if (equal(&map->members[i].key, key, 0))
            return ea_val_force(&map->members[i].val);
    }
    return NULL;
}

int ea_cel_mapb_init(struct ea_cel_mapb *b, struct ea_arena *a, uint32_t n)
{
    uint32_t index = n > LINEAR ? index_size(n) : 0;
    char *p = ea_arena_alloc(a, index * sizeof(uint32_t) + (size_t)n * sizeof(struct ea_member));

    *b = (struct ea_cel_mapb){.a = a, .size = n};
    if (p == NULL)
        return -E2BIG;
    if (index) {
        b->slots = (uint32_t *)(void *)p;
        b->mask = index - 1;
        memset(p, 0, index * sizeof(uint32_t));
    }
    b->m = (struct ea_member *)(void *)(p + index * sizeof(uint32_t));
    return 0;
}

int ea_cel_mapb_add(struct ea_cel_mapb *b, const struct ea_val *key, const struct ea_val *v,
                    struct ea_val **ret_old)
{
    uint32_t i, at = 0;

    if (b->slots) {
        for (at = key_hash(key) & b->mask; b->slots[at] != 0; at = (at + 1) & b->mask) {
            if (equal(&b->m[b->slots[at] - 1].key, key, 0)) {
                *ret_old = &b->m[b->slots[at] - 1].val;
                return -EEXIST;
            }
        }
    } else {
        for (i = 0; i < b->n; i++) {
            if (equal(&b->m[i].key, key, 0)) {
                *ret_old = &b->m[i].val;
                return -EEXIST;
            }
        }
    }
    if (b->n == b->size)
        return -E2BIG;
    if (b->slots)
        b->slots[at] = b->n + 1;
    b->m[b->n++] = (struct ea_member){.key = *key, .val = *v};
    return 0;
}

struct ea_val ea_cel_mapb_end(struct ea_cel_mapb *b)
{
    struct ea_val v = ea_val_map(b->m, b->n);

    v.flags = EA_VF_CEL;
    /* the index is found by the number of members, so a map that stayed below its room goes
     * without: it is built again */
    if (b->slots && b->n > LINEAR) {
        if (index_size(b->n) - 1 != b->mask) {
            struct ea_cel_mapb again;
            struct ea_val *old;
            uint32_t i;

            if (ea_cel_mapb_init(&again, b->a, b->n))
                return v;
            for (i = 0; i < b->n; i++) {
                if (ea_cel_mapb_add(&again, &b->m[i].key, &b->m[i].val, &old))
                    return v;
            }
            v.members = again.m;
        }
        v.aux = INDEXED;
    }
    return v;
}

/* ---- sizes and zero ---- */

size_t ea_cel_utf8_len(const char *p, size_t n)
{
    size_t i = 0, rest = 0;

    /* Code points are the bytes that do not continue one (10xxxxxx). Eight at a time: every cost of
     * a string asks for this. */
    for (; i + 8 <= n; i += 8) {
        uint64_t w;

        memcpy(&w, p + i, sizeof w);
        w = (w >> 7) & ~(w >> 6) & 0x0101010101010101ull;
        rest += (w * 0x0101010101010101ull) >> 56;
    }
    for (; i < n; i++)
        rest += ((unsigned char)p[i] & 0xC0) == 0x80;
    return n - rest;
}

uint64_t ea_cel_size(const struct ea_val *v)
{
    switch (v->type) {
    case EA_V_STRING:
        return ea_cel_utf8_len(v->s, v->n);
    case EA_V_BYTES:
    case EA_V_LIST:
    case EA_V_MAP:
        return v->n;
    default:
        return 1;
    }
}

bool ea_cel_is_zero(const struct ea_val *v)
{
    v = ea_val_force(v);
    switch (v->type) {
    case EA_V_NULL:
        return true;
    case EA_V_BOOL:
        return !v->b;
    case EA_V_INT:
    case EA_V_UINT:
    case EA_V_DURATION:
        return v->i == 0;
    case EA_V_DOUBLE:
        return v->d == 0;
    case EA_V_STRING:
    case EA_V_BYTES:
    case EA_V_LIST:
    case EA_V_MAP:
        return v->n == 0;
    case EA_V_OPTIONAL:
        return v->opt == NULL;
    case EA_V_TIMESTAMP:
        /* Go's zero time is the first second of year 1 */
        return v->i == -62135596800 && v->n == 0;
    default:
        return false;
    }
}

/* ---- text ---- */

int ea_cel_parse_double(struct ea_str s, double *ret)
{
    struct ea_str t = s;
    double sign = 1;
    int rc;

    if (t.n && (t.p[0] == '-' || t.p[0] == '+')) {
        sign = t.p[0] == '-' ? -1 : 1;
        t = ea_strn(t.p + 1, t.n - 1);
    }
    if (t.n == 3 && strncasecmp(t.p, "nan", 3) == 0) {
        *ret = NAN;
        return 0;
    }
    if ((t.n == 3 && strncasecmp(t.p, "inf", 3) == 0) ||
        (t.n == 8 && strncasecmp(t.p, "infinity", 8) == 0)) {
        *ret = sign * INFINITY;
        return 0;
    }
    rc = ea_num_parse(s, ret);
    return rc == -EINVAL ? rc : 0;
}

/* Appends text to a buffer that is large enough by construction. */
static void put(char *out, size_t size, size_t *at, const char *s)
{
    size_t n = strlen(s);

    EA_ASSERT(*at + n < size);
    memcpy(out + *at, s, n + 1);
    *at += n;
}

static void put_char(char *out, size_t size, size_t *at, char c)
{
    EA_ASSERT(*at + 1 < size);
    out[(*at)++] = c;
    out[*at] = '\0';
}

/* The exponent behind an 'e'. */
static int exponent_of(const char *p)
{
    int v = 0, sign = 1;

    if (*p == '-' || *p == '+')
        sign = *p++ == '-' ? -1 : 1;
    for (; *p >= '0' && *p <= '9' && v < 10000; p++)
        v = v * 10 + (*p - '0');
    return sign * v;
}

/* Digits and decimal exponent (d.ddd × 10^exp) out of the ECMAScript text. */
static int digits_of(const char *es, char digits[24], int *exp)
{
    int n = 0, point = -1, e = 0, lead = 0;
    const char *p;

    for (p = es; *p && *p != 'e'; p++) {
        if (*p == '.') {
            point = n + lead;
        } else if (n == 0 && *p == '0') {
            lead++;
        } else if (*p >= '0' && *p <= '9' && n < 23) {
            digits[n++] = *p;
        }
    }
    if (*p == 'e')
        e = exponent_of(p + 1);
    if (point < 0)
        point = n + lead;
    *exp = point - lead - 1 + e;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return n;
}

/* digits × 10^exp with a point where it belongs. */
static void put_plain(char out[40], size_t *at, const char *digits, int n, int exp)
{
    int i;

    if (exp < 0) {
        put(out, 40, at, "0.");
        for (i = -1; i > exp; i--)
            put_char(out, 40, at, '0');
        put(out, 40, at, digits);
        return;
    }
    for (i = 0; i <= exp || i < n; i++) {
        if (i == exp + 1)
            put_char(out, 40, at, '.');
        put_char(out, 40, at, i < n ? digits[i] : '0');
    }
}

void ea_cel_double_text(double d, char out[40])
{
    char es[EA_NUM_MAX], digits[24], tail[16];
    size_t at = 0;
    int n, exp;

    out[0] = '\0';
    if (isnan(d) || isinf(d)) {
        put(out, 40, &at, isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (signbit(d))
        put_char(out, 40, &at, '-');
    if (d == 0) {
        put_char(out, 40, &at, '0');
        return;
    }
    es[ea_num_print(fabs(d), es)] = '\0';
    n = digits_of(es, digits, &exp);
    if (exp >= -4 && exp < 6) {
        put_plain(out, &at, digits, n, exp);
        return;
    }
    put_char(out, 40, &at, digits[0]);
    if (n > 1)
        put_char(out, 40, &at, '.');
    put(out, 40, &at, digits + 1);
    snprintf(tail, sizeof tail, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    put(out, 40, &at, tail);
}

/* Seconds with up to nine digits behind the point and no trailing zeros. */
void ea_cel_duration_text(int64_t ns, char out[40])
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    int at = snprintf(out, 40, "%s%llu", ns < 0 ? "-" : "", (unsigned long long)(u / 1000000000u));

    if (u % 1000000000u) {
        at += snprintf(out + at, 40 - (size_t)at, ".%09llu", (unsigned long long)(u % 1000000000u));
        while (out[at - 1] == '0')
            at--;
    }
    out[at] = 's';
    out[at + 1] = '\0';
}

int ea_cel_add_text(struct ea_buf *b, const struct ea_val *v)
{
    char text[64];

    switch (v->type) {
    case EA_V_NULL:
        return ea_buf_addz(b, "null");
    case EA_V_BOOL:
        return ea_buf_addz(b, v->b ? "true" : "false");
    case EA_V_INT:
        return ea_buf_addf(b, "%lld", (long long)v->i);
    case EA_V_UINT:
        return ea_buf_addf(b, "%llu", (unsigned long long)v->u);
    case EA_V_DOUBLE:
        ea_cel_double_text(v->d, text);
        return ea_buf_addz(b, text);
    case EA_V_STRING:
    case EA_V_BYTES:
    case EA_V_TYPE:
        return ea_buf_add(b, v->s, v->n);
    case EA_V_DURATION:
        ea_cel_duration_text(v->i, text);
        return ea_buf_addz(b, text);
    case EA_V_TIMESTAMP:
        ea_cel_timestamp_text(v->i, v->n, text);
        return ea_buf_addz(b, text);
    default:
        return -EINVAL;
    }
}
