#include "doc/num.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

/* 768 significant digits decide every rounding of a double; what follows only says "a little more",
 * which one further digit keeps. */
#define SIG_DIGITS 780

struct decimal {
    char digits[SIG_DIGITS + 1]; /* without leading zeros */
    unsigned n;
    uint64_t mantissa; /* the first 19 digits */
    int64_t exp;       /* value = digits * 10^exp */
    bool neg;
    bool rest; /* a digit other than 0 was left out */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void add_digit(struct decimal *d, char c, bool fraction)
{
    if (d->n == 0 && c == '0') {
        d->exp -= fraction;
        return;
    }
    if (d->n < SIG_DIGITS) {
        if (d->n < 19)
            d->mantissa = d->mantissa * 10 + (uint64_t)(c - '0');
        d->digits[d->n++] = c;
        d->exp -= fraction;
        return;
    }
    d->exp += !fraction;
    d->rest |= c != '0';
}

/* Reads e[+-]digits at s.p[i]; the end must follow. */
static int read_exponent(struct ea_str s, size_t i, struct decimal *d)
{
    bool neg = false;
    int64_t e = 0;

    if (i == s.n)
        return 0;
    if (s.p[i] != 'e' && s.p[i] != 'E')
        return -EINVAL;
    i++;
    if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
        neg = s.p[i++] == '-';
    if (i == s.n)
        return -EINVAL;
    for (; i < s.n; i++) {
        if (!is_digit(s.p[i]))
            return -EINVAL;
        if (e < INT64_C(1000000000000))
            e = e * 10 + (s.p[i] - '0');
    }
    d->exp += neg ? -e : e;
    return 0;
}

static int read_decimal(struct ea_str s, struct decimal *d)
{
    size_t i = 0, seen = 0;

    d->n = 0;
    d->mantissa = 0;
    d->exp = 0;
    d->neg = false;
    d->rest = false;
    if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
        d->neg = s.p[i++] == '-';
    for (; i < s.n && is_digit(s.p[i]); i++, seen++)
        add_digit(d, s.p[i], false);
    if (i < s.n && s.p[i] == '.') {
        for (i++; i < s.n && is_digit(s.p[i]); i++, seen++)
            add_digit(d, s.p[i], true);
    }
    return seen ? read_exponent(s, i, d) : -EINVAL;
}

static double exact_pow10(int64_t e)
{
    static const double p[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                               1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                               1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

    return p[e];
}

/* Text without a decimal point means the same to strtod in every locale. */
static double round_decimal(struct decimal *d)
{
    char text[SIG_DIGITS + 32];

    if (d->rest)
        d->digits[d->n - 1] = d->digits[d->n - 1] == '0' ? '1' : d->digits[d->n - 1];
    snprintf(text, sizeof text, "%.*se%d", (int)d->n, d->digits, (int)d->exp);
    return strtod(text, NULL);
}

int ea_num_parse(struct ea_str s, double *ret)
{
    struct decimal d;
    double v;
    int rc = read_decimal(s, &d);

    if (rc)
        return rc;
    if (d.n == 0 || d.exp + d.n < -400) {
        v = 0;
    } else if (d.exp + d.n > 400) {
        v = INFINITY;
    } else if (d.n <= 19 && d.mantissa <= (UINT64_C(1) << 53) && d.exp >= -22 && d.exp <= 22) {
        /* both operands are exact, so one IEEE operation rounds correctly */
        v = d.exp < 0 ? (double)d.mantissa / exact_pow10(-d.exp)
                      : (double)d.mantissa * exact_pow10(d.exp);
    } else {
        v = round_decimal(&d);
    }
    *ret = d.neg ? -v : v;
    return isinf(v) ? -ERANGE : 0;
}

/* ---- printing ---- */

/* The digits of a number: 0.d1d2d3… * 10^point */
struct shortest {
    char digits[20];
    int n;
    int point;
};

/* The exponent that printf wrote: sign and two or three digits. */
static int read_small(const char *p)
{
    bool neg = *p == '-';
    int v = 0;

    for (p++; is_digit(*p); p++)
        v = v * 10 + (*p - '0');
    return neg ? -v : v;
}

static void take_digits(struct shortest *s, double d, int prec)
{
    char text[40];
    const char *p = text;

    snprintf(text, sizeof text, "%.*e", prec - 1, d);
    s->n = 0;
    /* the decimal point may be any bytes */
    for (; *p != 'e'; p++) {
        if (is_digit(*p))
            s->digits[s->n++] = *p;
    }
    s->point = 1 + read_small(p + 1);
}

static bool reads_back(const struct shortest *s, double d, bool single)
{
    char text[48];

    snprintf(text, sizeof text, "%.*se%d", s->n, s->digits, s->point - s->n);
    return single ? strtof(text, NULL) == (float)d : strtod(text, NULL) == d;
}

static void increment(struct shortest *s)
{
    int i = s->n - 1;

    while (i >= 0 && s->digits[i] == '9')
        s->digits[i--] = '0';
    if (i >= 0) {
        s->digits[i]++;
    } else {
        s->digits[0] = '1';
        s->point++;
    }
}

/* d > 0, finite. Up to 15 (float: 6) digits survive decimal -> binary -> decimal, so for normal
 * numbers the search starts there. */
static void find_shortest(struct shortest *s, double d, bool single)
{
    int max = single ? 9 : 17;
    int prec = d < (single ? (double)FLT_MIN : DBL_MIN) ? 1 : (single ? FLT_DIG : DBL_DIG);

    for (; prec <= max; prec++) {
        take_digits(s, d, prec);
        if (reads_back(s, d, single))
            break;
        /* above a power of two the interval is twice as wide: the neighbour further up may read
         * back where the nearest does not */
        increment(s);
        if (reads_back(s, d, single))
            break;
    }
    while (s->n > 1 && s->digits[s->n - 1] == '0')
        s->n--;
}

static unsigned put_exponent(char *out, size_t size, const struct shortest *s, int min_digits)
{
    int e = s->point - 1;

    return (unsigned)snprintf(out, size, "%c%s%.*se%c%0*d", s->digits[0], s->n > 1 ? "." : "",
                              s->n - 1, s->digits + 1, e < 0 ? '-' : '+', min_digits, abs(e));
}

static unsigned put_plain(char *out, size_t size, const struct shortest *s)
{
    static const char zeros[] = "000000000000000000000";
    int whole = s->point > 0 ? EA_MIN(s->point, s->n) : 0;

    if (s->n <= s->point)
        return (unsigned)snprintf(out, size, "%.*s%.*s", s->n, s->digits, s->point - s->n, zeros);
    return (unsigned)snprintf(out, size, "%.*s.%.*s%.*s", whole ? whole : 1,
                              whole ? s->digits : zeros, s->point < 0 ? -s->point : 0, zeros,
                              s->n - whole, s->digits + whole);
}

unsigned ea_num_print(double d, char out[EA_NUM_MAX])
{
    struct shortest s;
    unsigned n = 0;

    if (d == 0) {
        memcpy(out, "0", 2);
        return 1;
    }
    if (fabs(d) < 9007199254740992.0 && d == (double)(int64_t)d)
        return (unsigned)snprintf(out, EA_NUM_MAX, "%lld", (long long)d);
    if (d < 0)
        out[n++] = '-';
    find_shortest(&s, fabs(d), false);
    n += s.point > -6 && s.point <= 21 ? put_plain(out + n, EA_NUM_MAX - n, &s)
                                       : put_exponent(out + n, EA_NUM_MAX - n, &s, 1);
    return n;
}

unsigned ea_num_print_go32(double d, char out[EA_NUM_MAX])
{
    struct shortest s;
    unsigned n = 0;

    if (isnan(d) || isinf((float)d))
        return (unsigned)snprintf(out, EA_NUM_MAX, "%s",
                                  isnan(d) ? "NaN"
                                  : d < 0  ? "-Inf"
                                           : "+Inf");
    if (signbit(d))
        out[n++] = '-';
    if ((float)d == 0) {
        memcpy(out + n, "0", 2);
        return n + 1;
    }
    find_shortest(&s, fabs((double)(float)d), true);
    n += s.point > -4 && s.point <= 6 ? put_plain(out + n, EA_NUM_MAX - n, &s)
                                      : put_exponent(out + n, EA_NUM_MAX - n, &s, 2);
    return n;
}
