/* cel/time.h - timestamps (0001-01-01T00:00:00Z … 9999-12-31T23:59:59.999999999Z) and durations
 * (int64 nanoseconds).
 *
 * Thread:  [any]; pure. No clock, no zone files: zones come from the table in tz.c.
 * Source:  cel-spec langdef "Timestamp and Duration", RFC 3339, Go time.ParseDuration.
 */
#ifndef EA_CEL_TIME_H
#define EA_CEL_TIME_H

#include "cel/value.h"

#define EA_CEL_TIME_MIN (-62135596800LL)
#define EA_CEL_TIME_MAX 253402300799LL

/* + and - over timestamps and durations. NULL, or why not (static text). */
const char *ea_cel_time_arith(bool minus, const struct ea_val *a, const struct ea_val *b,
                              struct ea_val *ret);
/* RFC 3339 with fraction and offset. 0, -EINVAL, -ERANGE. */
EA_MUST_CHECK int ea_cel_timestamp_parse(struct ea_str s, struct ea_val *ret);
/* Go duration: "1h15m30.918s", "-1.5h", "0". 0, -EINVAL, -ERANGE. */
EA_MUST_CHECK int ea_cel_duration_parse(struct ea_str s, struct ea_val *ret);

struct ea_cel_civil {
    int64_t year;
    int month, day, hour, minute, second; /* month 1…12, day 1…31 */
    int weekday, yearday;                 /* 0 = Sunday, 0 = 1 January */
};
/* Broken-down time `offset` seconds east of UTC. */
void ea_cel_civil(int64_t unix_s, int64_t offset, struct ea_cel_civil *ret);
int64_t ea_cel_days(int64_t year, int month, int day);
/* Offset of a zone ("Europe/Berlin", "+02:00", "-09:30", "02:00", "UTC") at a moment. 0 or -EINVAL
 * (unknown zone). */
EA_MUST_CHECK int ea_cel_tz_offset(struct ea_str zone, int64_t unix_s, int64_t *ret);

#endif
