#include "base/clock.h"

#include <stdio.h>
#include <time.h>

ea_mono_us ea_mono_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

ea_wall_us ea_wall_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;

    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

void ea_rfc3339(ea_wall_us t, int digits, char out[32])
{
    int64_t s = t / 1000000, us = t % 1000000;

    if (us < 0) {
        us += 1000000;
        s--;
    }
    int64_t day = s / 86400, sec = s % 86400;

    if (sec < 0) {
        sec += 86400;
        day--;
    }
    int64_t y;
    unsigned m, d;

    civil_from_days(day, &y, &m, &d);
    y = EA_MAX((int64_t)0, EA_MIN(y, (int64_t)9999));
    int n = snprintf(out, 32, "%04d-%02u-%02uT%02d:%02d:%02d", (int)y, m, d, (int)(sec / 3600),
                     (int)(sec / 60 % 60), (int)(sec % 60));

    if (digits >= 6)
        n += snprintf(out + n, 32 - (size_t)n, ".%06d", (int)us);
    else if (digits >= 3)
        n += snprintf(out + n, 32 - (size_t)n, ".%03d", (int)(us / 1000));
    (void)snprintf(out + n, 32 - (size_t)n, "Z");
}

static int number(struct ea_str *s, unsigned width, unsigned max, unsigned *ret)
{
    unsigned v = 0;

    if (s->n < width)
        return -EINVAL;
    for (unsigned i = 0; i < width; i++) {
        unsigned c = (unsigned)(unsigned char)s->p[i] - '0';

        if (c > 9)
            return -EINVAL;
        v = v * 10 + c;
    }
    if (v > max)
        return -EINVAL;
    s->p += width;
    s->n -= width;
    *ret = v;
    return 0;
}

static int letter(struct ea_str *s, char a, char b)
{
    if (!s->n || (s->p[0] != a && s->p[0] != b))
        return -EINVAL;
    s->p++;
    s->n--;
    return 0;
}

static int offset(struct ea_str *s, int64_t *ret)
{
    unsigned h, m;

    if (!letter(s, 'Z', 'z')) {
        *ret = 0;
        return 0;
    }
    int64_t sign = s->n && s->p[0] == '-' ? -1 : 1;

    if (letter(s, '+', '-') || number(s, 2, 23, &h) || letter(s, ':', ':') || number(s, 2, 59, &m))
        return -EINVAL;
    *ret = sign * ((int64_t)h * 3600 + (int64_t)m * 60);
    return 0;
}

static bool date_exists(unsigned y, unsigned m, unsigned d)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] + (m == 2 && leap ? 1u : 0u);
}

/* YYYY-MM-DD as days since 1970-01-01. */
static int date(struct ea_str *s, int64_t *ret_days)
{
    unsigned y, m, d;

    if (number(s, 4, 9999, &y) || letter(s, '-', '-') || number(s, 2, 12, &m) ||
        letter(s, '-', '-') || number(s, 2, 31, &d) || !date_exists(y, m, d))
        return -EINVAL;
    *ret_days = days_from_civil(y, m, d);
    return 0;
}

/* HH:MM:SS as seconds since midnight; a leap second is refused. */
static int time_of_day(struct ea_str *s, int64_t *ret_seconds)
{
    unsigned h, m, sec;

    if (number(s, 2, 23, &h) || letter(s, ':', ':') || number(s, 2, 59, &m) ||
        letter(s, ':', ':') || number(s, 2, 59, &sec))
        return -EINVAL;
    *ret_seconds = (int64_t)h * 3600 + (int64_t)m * 60 + sec;
    return 0;
}

/* An optional fraction of 1 to 9 digits as microseconds, cut. */
static int fraction(struct ea_str *s, int64_t *ret_us)
{
    unsigned digits = 0;
    int64_t us = 0;

    *ret_us = 0;
    if (letter(s, '.', '.'))
        return 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->n--, digits++)
        us = digits < 6 ? us * 10 + (s->p[0] - '0') : us;
    if (digits == 0 || digits > 9)
        return -EINVAL;
    for (; digits < 6; digits++)
        us *= 10;
    *ret_us = us;
    return 0;
}

int ea_rfc3339_parse(struct ea_str s, ea_wall_us *ret)
{
    int64_t days, seconds, us, off;

    if (date(&s, &days) || letter(&s, 'T', 't') || time_of_day(&s, &seconds) || fraction(&s, &us) ||
        offset(&s, &off) || s.n)
        return -EINVAL;
    *ret = (days * 86400 + seconds - off) * 1000000 + us;
    return 0;
}

void ea_sleep_us(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

    (void)nanosleep(&t, NULL);
}
