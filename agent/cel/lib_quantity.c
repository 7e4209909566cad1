/* Quantities: apiserver pkg/cel/library/quantity.go over apimachinery's resource.Quantity. A
 * quantity is a number of nano units in 128 bits (Quantity itself keeps no more than nano, and caps
 * at 2^63-1), with the format it is printed in. Versions share the comparison functions, see
 * lib_semver.c. */
#include <math.h>
#include <stdio.h>

#include "cel/lib.h"

#define NANO ((__int128)1000000000)
/* binary quantities are capped at 2^63-1, decimal ones here where 128 bits hold no more */
#define CAP_BINARY ((__int128)INT64_MAX * NANO)
#define CAP_DECIMAL ((__int128)1000000000000000000 * 1000000000000000000 * 10)

enum format { DECIMAL_SI, BINARY_SI, DECIMAL_EXPONENT };

struct quantity {
    __int128 nano;
    enum format format;
    bool dec;           /* kept as a decimal of any size: such a one is never "an integer" there */
    int scale;          /* else an int64 times 10^scale: an integer from 0 on */
    struct ea_str text; /* as it was written, printed like that while it is canonical */
};

static const struct quantity *get(const struct ea_val *v)
{
    return v->ptr;
}

static bool is(const struct ea_val *v)
{
    return v->type == EA_V_OPAQUE && v->n == EA_OPAQUE_QUANTITY;
}

/* ---- reading ---- */

struct suffix {
    const char *text;
    int ten;     /* power of ten */
    uint8_t two; /* power of two */
};

static const struct suffix suffixes[] = {
    {"n", -9, 0},  {"u", -6, 0},  {"m", -3, 0},  {"", 0, 0},   {"k", 3, 0},   {"M", 6, 0},
    {"G", 9, 0},   {"T", 12, 0},  {"P", 15, 0},  {"E", 18, 0}, {"Ki", 0, 10}, {"Mi", 0, 20},
    {"Gi", 0, 30}, {"Ti", 0, 40}, {"Pi", 0, 50}, {"Ei", 0, 60}};

static const struct suffix *find_suffix(struct ea_str s)
{
    size_t i;

    for (i = 0; i < EA_COUNT(suffixes); i++) {
        if (ea_str_is(s, suffixes[i].text))
            return &suffixes[i];
    }
    return NULL;
}

/* What stands behind the digits. False when it is no suffix. */
static bool read_suffix(struct ea_str s, int *ten, unsigned *two, enum format *format)
{
    const struct suffix *f = find_suffix(s);
    int64_t e;

    *ten = 0;
    *two = 0;
    *format = DECIMAL_SI;
    if (f) {
        *ten = f->ten;
        *two = f->two;
        if (f->two)
            *format = BINARY_SI;
        return true;
    }
    if (s.n < 2 || (s.p[0] != 'e' && s.p[0] != 'E'))
        return false;
    *format = DECIMAL_EXPONENT;
    s = ea_strn(s.p + 1, s.n - 1);
    if (s.n > 1 && s.p[0] == '+')
        s = ea_strn(s.p + 1, s.n - 1);
    if (ea_str_to_i64(s, &e))
        return false;
    *ten = (int)EA_MAX(EA_MIN(e, 1000), -1000);
    return true;
}

/* The digits as mantissa × 10^-fraction; what would not fit is kept as "more", for rounding up. */
struct digits {
    unsigned __int128 mantissa;
    int scale; /* power of ten of the last digit kept */
    bool more;
    unsigned whole, fraction; /* digits before (without leading zeros) and behind the point */
};

static void read_digits(struct ea_str s, size_t *at, struct digits *d)
{
    bool point = false;

    for (; *at < s.n; ++*at) {
        char c = s.p[*at];

        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        if (point)
            d->fraction++;
        else if (d->whole > 0 || c != '0')
            d->whole++;
        if (d->mantissa > ((unsigned __int128)1 << 120)) {
            d->more |= c != '0';
            d->scale += !point;
            continue;
        }
        d->mantissa = d->mantissa * 10 + (unsigned)(c - '0');
        d->scale -= point;
    }
    d->whole = EA_MAX(d->whole, 1u);
}

/* mantissa × 10^ten × 2^two in nano units, rounded up, capped. */
static __int128 scale(const struct digits *d, int ten, unsigned two, __int128 cap)
{
    unsigned __int128 v = d->mantissa, most = (unsigned __int128)cap;
    bool more = d->more;

    ten += 9;
    if (v == 0 && !more)
        return 0;
    for (; ten < 0; ten++) {
        /* multiply by two first where that keeps digits */
        while (two > 0 && v < ((unsigned __int128)1 << 126)) {
            v *= 2;
            two--;
        }
        more |= v % 10 != 0;
        v /= 10;
    }
    for (; ten > 0; ten--) {
        if (v > most / 10)
            return cap;
        v *= 10;
    }
    for (; two > 0; two--) {
        if (v > most / 2)
            return cap;
        v *= 2;
    }
    v += more;
    return v > most ? cap : (__int128)v;
}

static unsigned __int128 power(unsigned n)
{
    unsigned __int128 v = 1;

    while (n-- > 0)
        v *= 10;
    return v;
}

/* Whether Quantity keeps it as an int64 and a scale, and whether it prints the text as it was
 * (ParseQuantity, the fast path). */
static void choose_form(struct quantity *q, const struct digits *d, int ten, unsigned two,
                        struct ea_str s)
{
    int scale = q->format == BINARY_SI ? 0 : ten - (int)d->fraction;
    __int128 value;
    bool canonical;

    q->dec = true;
    if (q->format == BINARY_SI ? d->fraction > 0 || d->whole + (unsigned)((float)two * 3 / 10) > 14
                               : d->whole + d->fraction > 18)
        return;
    value = (__int128)d->mantissa << two;
    if (scale < -9 || scale > 100 || value > INT64_MAX)
        return;
    q->dec = false;
    q->scale = scale;
    if (q->format == BINARY_SI)
        canonical = (d->mantissa & 7) != 0;
    else
        canonical = scale % 3 == 0 && d->mantissa % 1000 != 0 &&
                    d->mantissa >= power(d->whole + d->fraction - 1);
    if (canonical)
        q->text = s;
}

static bool parse(struct ea_str s, struct quantity *ret)
{
    struct digits d = {0};
    bool minus = false;
    unsigned two;
    size_t at = 0;
    int ten;

    *ret = (struct quantity){.text = EA_STR_NULL};
    if (s.n == 0)
        return false;
    if (s.p[0] == '-' || s.p[0] == '+')
        minus = s.p[at++] == '-';
    read_digits(s, &at, &d);
    if (!read_suffix(ea_strn(s.p + at, s.n - at), &ten, &two, &ret->format))
        return false;
    choose_form(ret, &d, ten, two, s);
    ret->nano = scale(&d, ten + d.scale, two, ret->format == BINARY_SI ? CAP_BINARY : CAP_DECIMAL);
    if (ret->dec && ret->format == BINARY_SI && ret->nano < NANO && ret->nano > 0)
        ret->format = DECIMAL_SI;
    if (minus)
        ret->nano = -ret->nano;
    return true;
}

/* ---- printing: the canonical form ---- */

static size_t print_int(__int128 v, char out[48])
{
    char s[48];
    size_t n = 0, i, sign = v < 0;
    unsigned __int128 u = v < 0 ? (unsigned __int128)-v : (unsigned __int128)v;

    do {
        s[n++] = (char)('0' + (int)(u % 10));
        u /= 10;
    } while (u);
    if (sign)
        s[n++] = '-';
    for (i = 0; i < n; i++)
        out[i] = s[n - 1 - i];
    out[n] = '\0';
    return n;
}

struct ea_str ea_cel_quantity_text(struct ea_arena *a, const struct ea_val *v)
{
    static const char *const ten[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
    static const char *const two[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    const struct quantity *q = get(v);
    __int128 m = q->nano;
    char s[48];
    unsigned i = 0;

    if (q->text.p)
        return ea_arena_str(a, q->text);
    if (m == 0)
        return ea_arena_str(a, EA_STR("0"));
    if (q->format == BINARY_SI && m % NANO == 0 && (m / NANO >= 1024 || m / NANO <= -1024)) {
        for (m /= NANO; m % 1024 == 0 && i < 6; i++)
            m /= 1024;
        print_int(m, s);
        return ea_arena_printf(a, "%s%s", s, two[i]);
    }
    for (; m % 1000 == 0 && (i < 9 || q->format == DECIMAL_EXPONENT); i++)
        m /= 1000;
    print_int(m, s);
    if (q->format == DECIMAL_EXPONENT && i != 3)
        return ea_arena_printf(a, "%se%d", s, ((int)i - 3) * 3);
    return ea_arena_printf(a, "%s%s", s, ten[i]);
}

int ea_cel_quantity_compare(const struct ea_val *a, const struct ea_val *b)
{
    return get(a)->nano < get(b)->nano ? -1 : get(a)->nano > get(b)->nano;
}

/* ---- functions ---- */

static int made(struct ea_cel_ctx *cx, const struct quantity *q, struct ea_val *ret)
{
    struct quantity *copy = ea_arena_alloc(cx->arena, sizeof *copy);

    if (copy == NULL)
        return EA_CEL_FULL;
    *copy = *q;
    *ret = ea_cel_opaque(EA_OPAQUE_QUANTITY, copy);
    return 0;
}

static int quantity(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    struct quantity q;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    if (!parse(ea_val_text(&args[0]), &q))
        return ea_cel_raise(cx, "quantities must match the regular expression "
                                "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    return made(cx, &q, ret);
}

static int is_quantity(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    struct quantity q;

    if (args[0].type != EA_V_STRING)
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(parse(ea_val_text(&args[0]), &q));
    return 0;
}

static int sign(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_int(get(&args[0])->nano < 0 ? -1 : get(&args[0])->nano > 0);
    return 0;
}

/* Quantity.AsInt64: only the small form converts, and only without decimals. */
static bool whole(const struct quantity *q)
{
    return !q->dec && q->scale >= 0 && q->nano % NANO == 0 && q->nano / NANO <= INT64_MAX &&
           q->nano / NANO >= INT64_MIN;
}

static int is_integer(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_bool(whole(get(&args[0])));
    return 0;
}

static int as_integer(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    if (!whole(get(&args[0])))
        return ea_cel_raise(cx, "cannot convert value to integer");
    *ret = ea_val_int((int64_t)(get(&args[0])->nano / NANO));
    return 0;
}

static double approximate(__int128 nano)
{
    __int128 whole_part = nano / NANO;

    return nano % NANO == 0 ? (double)whole_part : (double)nano / 1e9;
}

static int as_float(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                    struct ea_val *ret)
{
    const struct quantity *q = args[0].ptr;

    if (!is(&args[0]))
        return EA_CEL_NO_OVERLOAD;
    *ret = ea_val_double(approximate(q->nano));
    return 0;
}

/* The small form of a sum: the smaller scale, unless one side is zero or the value no longer fits.
 */
static void sum_form(struct quantity *q, const struct quantity *x, const struct quantity *y)
{
    int scale = EA_MIN(x->scale, y->scale);
    __int128 value;

    if (y->nano == 0)
        scale = x->scale;
    else if (x->nano == 0)
        scale = y->scale;
    q->dec = x->dec || y->dec;
    if (q->dec)
        return;
    value = scale > -9 ? q->nano / (__int128)power((unsigned)(scale + 9)) : q->nano;
    q->dec = value > INT64_MAX || value < INT64_MIN;
    q->scale = scale;
}

static int add_or_sub(struct ea_cel_ctx *cx, const struct ea_val *args, int direction,
                      struct ea_val *ret)
{
    struct quantity q, other = {.format = DECIMAL_EXPONENT};
    const struct quantity *x = args[0].ptr;

    if (!is(&args[0]) || (!is(&args[1]) && args[1].type != EA_V_INT))
        return EA_CEL_NO_OVERLOAD;
    if (is(&args[1]))
        other = *get(&args[1]);
    else
        other.nano = (__int128)args[1].i * NANO;
    q = (struct quantity){.nano = x->nano + direction * other.nano,
                          .format = x->nano == 0 ? other.format : x->format};
    if (q.nano > CAP_DECIMAL || q.nano < -CAP_DECIMAL)
        return ea_cel_raise(cx, "quantity out of range");
    sum_form(&q, x, &other);
    return made(cx, &q, ret);
}

static int add(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return add_or_sub(cx, args, 1, ret);
}

static int sub(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    return add_or_sub(cx, args, -1, ret);
}

/* Quantities and versions compare alike. */
static int compare(const struct ea_val *args, int *c)
{
    if (args[0].type != EA_V_OPAQUE || args[1].type != EA_V_OPAQUE || args[0].n != args[1].n)
        return EA_CEL_NO_OVERLOAD;
    if (args[0].n == EA_OPAQUE_QUANTITY)
        *c = ea_cel_quantity_compare(&args[0], &args[1]);
    else if (args[0].n == EA_OPAQUE_SEMVER)
        *c = ea_cel_semver_compare(&args[0], &args[1]);
    else
        return EA_CEL_NO_OVERLOAD;
    return 0;
}

static int is_greater(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    int c = 0, rc = compare(args, &c);

    *ret = ea_val_bool(c > 0);
    return rc;
}

static int is_less(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n, struct ea_val *ret)
{
    int c = 0, rc = compare(args, &c);

    *ret = ea_val_bool(c < 0);
    return rc;
}

static int compare_to(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                      struct ea_val *ret)
{
    int c = 0, rc = compare(args, &c);

    *ret = ea_val_int(c);
    return rc;
}

const struct ea_cel_fn ea_cel_lib_quantity[] = {
    EA_FN("quantity", "s:Q", quantity, 28, EA_COST_ARG),
    EA_FN("isQuantity", "s:b", is_quantity, 28, EA_COST_ARG),
    EA_FN("sign", "Q:i", sign, 28, EA_COST_ONE),
    EA_FN("isInteger", "Q.:b", is_integer, 28, EA_COST_ONE),
    EA_FN("asInteger", "Q.:i", as_integer, 28, EA_COST_ONE),
    EA_FN("asApproximateFloat", "Q.:d", as_float, 28, EA_COST_ONE),
    EA_FN("add", "Q.Q:Q Q.i:Q", add, 28, EA_COST_ONE),
    EA_FN("sub", "Q.Q:Q Q.i:Q", sub, 28, EA_COST_ONE),
    EA_FN("isGreaterThan", "Q.Q:b V.V:b@33", is_greater, 28, EA_COST_ONE),
    EA_FN("isLessThan", "Q.Q:b V.V:b@33", is_less, 28, EA_COST_ONE),
    EA_FN("compareTo", "Q.Q:i V.V:i@33", compare_to, 28, EA_COST_ONE),
    EA_FN_END,
};
