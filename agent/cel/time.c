#include "cel/time.h"

#include <stdio.h>

#define NS 1000000000LL

/* ---- calendar: days since 1970-01-01 of the proleptic Gregorian calendar, in eras of 400 years
 * ---- */

int64_t ea_cel_days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400, doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void ea_cel_civil(int64_t unix_s, int64_t offset, struct ea_cel_civil *ret)
{
    int64_t t = unix_s + offset, days = (t >= 0 ? t : t - 86399) / 86400, sec = t - days * 86400;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365,
            doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    ret->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    ret->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    ret->year = yoe + era * 400 + (ret->month <= 2);
    ret->hour = (int)(sec / 3600);
    ret->minute = (int)(sec / 60 % 60);
    ret->second = (int)(sec % 60);
    ret->weekday = (int)(((days + 4) % 7 + 7) % 7);
    ret->yearday = (int)(days - ea_cel_days(ret->year, 1, 1));
}

/* ---- arithmetic ---- */

static const char *shift(const struct ea_val *t, int64_t ns, bool minus, struct ea_val *ret)
{
    /* in 128 bits the difference of the smallest duration has no corner */
    __int128 total = (__int128)t->i * NS + t->n + (minus ? -(__int128)ns : (__int128)ns);
    int64_t s;

    if (total < (__int128)EA_CEL_TIME_MIN * NS || total > (__int128)EA_CEL_TIME_MAX * NS + NS - 1)
        return "timestamp overflow: out of range";
    s = (int64_t)(total / NS);
    if (total % NS < 0)
        s--;
    *ret = ea_cel_timestamp(s, (uint32_t)(total - (__int128)s * NS));
    return NULL;
}

const char *ea_cel_time_arith(bool minus, const struct ea_val *a, const struct ea_val *b,
                              struct ea_val *ret)
{
    __int128 diff;
    int64_t ns;

    if (a->type == EA_V_TIMESTAMP && b->type == EA_V_DURATION)
        return shift(a, b->i, minus, ret);
    if (a->type == EA_V_DURATION && b->type == EA_V_TIMESTAMP)
        return shift(b, a->i, false, ret);
    if (a->type == EA_V_TIMESTAMP) {
        diff = ((__int128)a->i - b->i) * NS + a->n - b->n;
        if (diff > INT64_MAX || diff < INT64_MIN)
            return "integer overflow: duration out of range";
        *ret = ea_cel_duration((int64_t)diff);
        return NULL;
    }
    if (minus ? __builtin_sub_overflow(a->i, b->i, &ns) : __builtin_add_overflow(a->i, b->i, &ns))
        return "integer overflow: duration out of range";
    *ret = ea_cel_duration(ns);
    return NULL;
}

/* ---- text ---- */

/* Exactly n digits at *p. */
static int digits(const char **p, const char *end, int n)
{
    int v = 0, i;

    for (i = 0; i < n; i++, (*p)++) {
        if (*p >= end || **p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static bool eat(const char **p, const char *end, char c)
{
    if (*p >= end || **p != c)
        return false;
    ++*p;
    return true;
}

static int month_days(int64_t y, int m)
{
    static const uint8_t n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) ? 29 : n[m - 1];
}

/* Fraction behind the seconds as nanoseconds; further digits are dropped. -1 when there is no
 * digit. */
static int64_t fraction(const char **p, const char *end)
{
    int64_t ns = 0, scale = NS / 10;
    const char *from = *p;

    for (; *p < end && **p >= '0' && **p <= '9'; ++*p, scale /= 10)
        ns += (**p - '0') * scale;
    return *p == from ? -1 : ns;
}

static int zone(const char **p, const char *end, int64_t *ret)
{
    int h, m, sign;

    *ret = 0;
    if (eat(p, end, 'Z') || eat(p, end, 'z'))
        return 0;
    if (*p >= end || (**p != '+' && **p != '-'))
        return -EINVAL;
    sign = *(*p)++ == '-' ? -1 : 1;
    h = digits(p, end, 2);
    if (h < 0 || !eat(p, end, ':'))
        return -EINVAL;
    m = digits(p, end, 2);
    if (m < 0 || h > 23 || m > 59)
        return -EINVAL;
    *ret = sign * (h * 3600LL + m * 60LL);
    return 0;
}

/* "2009-02-13" at *p as days since 1970. Years of five digits are no RFC 3339, but out of range
 * rather than malformed. */
static int read_date(const char **p, const char *end, int64_t *ret)
{
    const char *from = *p;
    int64_t year = 0;
    int month, day;

    while (*p < end && **p >= '0' && **p <= '9' && *p - from < 9)
        year = year * 10 + (*(*p)++ - '0');
    if (*p - from < 4 || !eat(p, end, '-'))
        return -EINVAL;
    month = digits(p, end, 2);
    if (month < 1 || month > 12 || !eat(p, end, '-'))
        return -EINVAL;
    day = digits(p, end, 2);
    if (day < 1 || day > month_days(year, month))
        return -EINVAL;
    *ret = ea_cel_days(year, month, day);
    return 0;
}

/* "23:31:30.5" at *p. */
static int read_clock(const char **p, const char *end, int64_t *seconds, int64_t *ns)
{
    int h = digits(p, end, 2), m, sec;

    if (h < 0 || h > 23 || !eat(p, end, ':'))
        return -EINVAL;
    m = digits(p, end, 2);
    if (m < 0 || m > 59 || !eat(p, end, ':'))
        return -EINVAL;
    sec = digits(p, end, 2);
    if (sec < 0 || sec > 59)
        return -EINVAL;
    *ns = eat(p, end, '.') ? fraction(p, end) : 0;
    *seconds = h * 3600 + m * 60 + sec;
    return *ns < 0 ? -EINVAL : 0;
}

int ea_cel_timestamp_parse(struct ea_str s, struct ea_val *ret)
{
    const char *p = s.p, *end = s.p + s.n;
    int64_t ns, offset, t, days, seconds;

    if (read_date(&p, end, &days) || !(eat(&p, end, 'T') || eat(&p, end, 't')) ||
        read_clock(&p, end, &seconds, &ns) || zone(&p, end, &offset) || p != end)
        return -EINVAL;
    t = days * 86400 + seconds - offset;
    if (t < EA_CEL_TIME_MIN || t > EA_CEL_TIME_MAX)
        return -ERANGE;
    *ret = ea_cel_timestamp(t, (uint32_t)ns);
    return 0;
}

void ea_cel_timestamp_text(int64_t s, uint32_t ns, char out[48])
{
    struct ea_cel_civil c;
    int at;

    ea_cel_civil(s, 0, &c);
    at = snprintf(out, 48, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)c.year, c.month, c.day,
                  c.hour, c.minute, c.second);
    if (ns) {
        at += snprintf(out + at, 48 - (size_t)at, ".%09u", ns);
        while (out[at - 1] == '0')
            at--;
    }
    out[at] = 'Z';
    out[at + 1] = '\0';
}

/* Unit at *p in nanoseconds, 0 = none. */
static int64_t unit(const char **p, const char *end)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1},       {"us", 1000}, {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
                 {"ms", 1000000}, {"s", NS},    {"m", 60 * NS},      {"h", 3600 * NS}};
    size_t i, n;

    for (i = 0; i < EA_COUNT(units); i++) {
        n = strlen(units[i].name);
        if ((size_t)(end - *p) >= n && memcmp(*p, units[i].name, n) == 0 &&
            (*p + n == end || (*p)[n] == '.' || ((*p)[n] >= '0' && (*p)[n] <= '9'))) {
            *p += n;
            return units[i].ns;
        }
    }
    return 0;
}

/* One "12.5h" at *p added to *total. */
static int duration_part(const char **p, const char *end, unsigned __int128 *total)
{
    unsigned __int128 whole = 0, part = 0, scale = 1;
    const char *from = *p;
    bool digit = false;
    int64_t u;

    for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
        digit = true;
        whole = whole * 10 + (unsigned)(**p - '0');
        if (*p - from > 20)
            return -ERANGE;
    }
    if (eat(p, end, '.')) {
        for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
            digit = true;
            if (scale < (unsigned __int128)NS * NS) {
                part = part * 10 + (unsigned)(**p - '0');
                scale *= 10;
            }
        }
    }
    u = digit ? unit(p, end) : 0;
    if (u == 0)
        return -EINVAL;
    *total += whole * (unsigned __int128)u + part * (unsigned __int128)u / scale;
    return *total > (unsigned __int128)INT64_MAX + 1 ? -ERANGE : 0;
}

int ea_cel_duration_parse(struct ea_str s, struct ea_val *ret)
{
    const char *p = s.p, *end = s.p + s.n;
    unsigned __int128 total = 0;
    bool minus = false;
    int rc = 0;

    if (s.n && (*p == '-' || *p == '+'))
        minus = *p++ == '-';
    if (p == end)
        return -EINVAL;
    if (end - p == 1 && *p == '0') {
        *ret = ea_cel_duration(0);
        return 0;
    }
    while (p < end && rc == 0)
        rc = duration_part(&p, end, &total);
    if (rc == 0 && !minus && total > INT64_MAX)
        rc = -ERANGE;
    if (rc == 0)
        *ret = ea_cel_duration(minus ? (int64_t)(0 - (uint64_t)total) : (int64_t)total);
    return rc;
}
