/* Time zones without files and without the process's TZ: fixed offsets, and names by the table of
 * POSIX TZ rules (POSIX.1-2017 Base Definitions, 8.3: "CET-1CEST,M3.5.0,M10.5.0/3"). */
#include "cel/time.h"

#include "cel/tz_table.h"

static int fixed(struct ea_str s, int64_t *ret)
{
    int sign = 1, h, m;
    size_t i = 0, k;

    if (s.n && (s.p[0] == '+' || s.p[0] == '-'))
        sign = s.p[i++] == '-' ? -1 : 1;
    if (s.n - i != 5 || s.p[i + 2] != ':')
        return -EINVAL;
    for (k = 0; k < 5; k++) {
        if (k != 2 && (s.p[i + k] < '0' || s.p[i + k] > '9'))
            return -EINVAL;
    }
    h = (s.p[i] - '0') * 10 + s.p[i + 1] - '0';
    m = (s.p[i + 3] - '0') * 10 + s.p[i + 4] - '0';
    if (h > 23 || m > 59)
        return -EINVAL;
    *ret = sign * (h * 3600 + m * 60);
    return 0;
}

/* ---- POSIX TZ: texts come from the table, so they are well formed ---- */

static const char *skip_name(const char *p)
{
    if (*p == '<') {
        while (*p && *p++ != '>')
            ;
        return p;
    }
    while (*p && *p != ',' && *p != '-' && *p != '+' && !(*p >= '0' && *p <= '9'))
        p++;
    return p;
}

static const char *read_number(const char *p, int64_t *ret)
{
    for (*ret = 0; *p >= '0' && *p <= '9'; p++)
        *ret = *ret * 10 + (*p - '0');
    return p;
}

/* [+-]hh[:mm[:ss]] as seconds. */
static const char *read_time(const char *p, int64_t *ret)
{
    int64_t v = 0, unit = 3600, n;
    int sign = 1;

    if (*p == '-' || *p == '+')
        sign = *p++ == '-' ? -1 : 1;
    for (;; unit /= 60) {
        p = read_number(p, &n);
        v += n * unit;
        if (*p != ':' || unit == 1)
            break;
        p++;
    }
    *ret = sign * v;
    return p;
}

/* ",Mm.w.d[/time]" or ",Jn[/time]": seconds of local wall time since 1970 at which it happens in
 * that year. */
static const char *read_change(const char *p, int64_t year, int64_t *ret)
{
    int64_t day, time = 7200, m, w, d;

    p++;
    if (*p == 'M') {
        p = read_number(p + 1, &m);
        p = read_number(p + 1, &w);
        p = read_number(p + 1, &d);
        day = ea_cel_days(year, (int)m, 1);
        day += (d - (day + 4) % 7 + 7) % 7 + (w - 1) * 7;
        /* week 5 is the last one that lies in the month */
        while (day >= (m == 12 ? ea_cel_days(year + 1, 1, 1) : ea_cel_days(year, (int)m + 1, 1)))
            day -= 7;
    } else {
        p = read_number(p + 1, &d);
        day = ea_cel_days(year, 1, 1) + d - 1;
        if (d >= 60 && ea_cel_days(year, 3, 1) - ea_cel_days(year, 1, 1) == 60)
            day++;
    }
    if (*p == '/')
        p = read_time(p + 1, &time);
    *ret = day * 86400 + time;
    return p;
}

static int64_t rule_offset(const char *tz, int64_t unix_s)
{
    int64_t std, dst, begin, end, begin_utc, end_utc;
    struct ea_cel_civil c;
    const char *p = read_time(skip_name(tz), &std);

    std = -std;
    if (*p == '\0')
        return std;
    p = skip_name(p);
    dst = std + 3600;
    if (*p != ',') {
        p = read_time(p, &dst);
        dst = -dst;
    }
    ea_cel_civil(unix_s, std, &c);
    p = read_change(p, c.year, &begin);
    read_change(p, c.year, &end);
    begin_utc = begin - std;
    end_utc = end - dst;
    if (begin_utc < end_utc)
        return unix_s >= begin_utc && unix_s < end_utc ? dst : std;
    return unix_s >= end_utc && unix_s < begin_utc ? std : dst;
}

int ea_cel_tz_offset(struct ea_str zone, int64_t unix_s, int64_t *ret)
{
    size_t lo = 0, hi = EA_COUNT(tz_zones);

    *ret = 0;
    if (zone.n == 0 || ea_str_is(zone, "UTC"))
        return 0;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = ea_str_cmp(zone, ea_str(tz_zones[mid].name));

        if (c == 0) {
            *ret = rule_offset(tz_rules[tz_zones[mid].rule], unix_s);
            return 0;
        }
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return fixed(zone, ret);
}
