/* timestamp(), duration() and what can be asked of them. Without a zone, UTC. */
#include "cel/lib.h"

static int to_timestamp(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                        struct ea_val *ret)
{
    int rc;

    switch (args[0].type) {
    case EA_V_TIMESTAMP:
        *ret = args[0];
        return 0;
    case EA_V_INT:
        if (args[0].i < EA_CEL_TIME_MIN || args[0].i > EA_CEL_TIME_MAX)
            return ea_cel_raise(cx, "timestamp overflow: out of range");
        *ret = ea_cel_timestamp(args[0].i, 0);
        return 0;
    case EA_V_STRING:
        rc = ea_cel_timestamp_parse(ea_val_text(&args[0]), ret);
        if (rc == -ERANGE)
            return ea_cel_raise(cx, "timestamp overflow: out of range");
        return rc ? ea_cel_raise(cx, "invalid timestamp: '%.*s'", (int)EA_MIN(args[0].n, 60u),
                                 args[0].s)
                  : 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

static int to_duration(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                       struct ea_val *ret)
{
    int rc;

    switch (args[0].type) {
    case EA_V_DURATION:
        *ret = args[0];
        return 0;
    case EA_V_INT:
        *ret = ea_cel_duration(args[0].i);
        return 0;
    case EA_V_STRING:
        rc = ea_cel_duration_parse(ea_val_text(&args[0]), ret);
        if (rc == -ERANGE)
            return ea_cel_raise(cx, "range error: duration out of range");
        return rc ? ea_cel_raise(cx, "invalid duration: '%.*s'", (int)EA_MIN(args[0].n, 60u),
                                 args[0].s)
                  : 0;
    default:
        return EA_CEL_NO_OVERLOAD;
    }
}

/* Broken-down time in the zone given, or UTC. */
static int civil(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                 struct ea_cel_civil *c)
{
    int64_t offset = 0;

    if (args[0].type != EA_V_TIMESTAMP || (n > 1 && args[1].type != EA_V_STRING))
        return EA_CEL_NO_OVERLOAD;
    if (n > 1 && ea_cel_tz_offset(ea_val_text(&args[1]), args[0].i, &offset))
        return ea_cel_raise(cx, "unknown time zone %.*s", (int)EA_MIN(args[1].n, 60u), args[1].s);
    ea_cel_civil(args[0].i, offset, c);
    return 0;
}

#define ACCESSOR(name, expression)                                                                 \
    static int name(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,                  \
                    struct ea_val *ret)                                                            \
    {                                                                                              \
        struct ea_cel_civil c = {0};                                                               \
        int rc = civil(cx, args, n, &c);                                                           \
                                                                                                   \
        if (rc == 0)                                                                               \
            *ret = ea_val_int(expression);                                                         \
        return rc;                                                                                 \
    }

ACCESSOR(full_year, c.year)
ACCESSOR(month, c.month - 1)
ACCESSOR(date, c.day)
ACCESSOR(day_of_month, c.day - 1)
ACCESSOR(day_of_week, c.weekday)
ACCESSOR(day_of_year, c.yearday)
ACCESSOR(time_hours, c.hour)
ACCESSOR(time_minutes, c.minute)
ACCESSOR(time_seconds, c.second)

/* Durations convert as a whole, but for the milliseconds: those are the rest of the second in the
 * conformance files, the whole in cel-go. */
#define UNIT(name, of_time, ns)                                                                    \
    static int name(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,                  \
                    struct ea_val *ret)                                                            \
    {                                                                                              \
        if (args[0].type != EA_V_DURATION)                                                         \
            return of_time(cx, args, n, ret);                                                      \
        if (n > 1)                                                                                 \
            return EA_CEL_NO_OVERLOAD;                                                             \
        *ret = ea_val_int(args[0].i / (ns));                                                       \
        return 0;                                                                                  \
    }

UNIT(hours, time_hours, 3600000000000LL)
UNIT(minutes, time_minutes, 60000000000LL)
UNIT(seconds, time_seconds, 1000000000LL)

static int milliseconds(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                        struct ea_val *ret)
{
    struct ea_cel_civil c;
    int rc;

    if (args[0].type == EA_V_DURATION) {
        if (n > 1)
            return EA_CEL_NO_OVERLOAD;
        *ret = ea_val_int(cx->k8s ? args[0].i / 1000000 : args[0].i % 1000000000 / 1000000);
        return 0;
    }
    rc = civil(cx, args, n, &c); /* for the zone's sake */
    if (rc == 0)
        *ret = ea_val_int(args[0].n / 1000000);
    return rc;
}

const struct ea_cel_fn ea_cel_lib_time[] = {
    EA_FN("timestamp", "s:T i:T T:T", to_timestamp, 0, EA_COST_ONE),
    EA_FN("duration", "s:D D:D i:D@255", to_duration, 0, EA_COST_ONE),
    EA_FN("getFullYear", "T.:i T.s:i", full_year, 0, EA_COST_ONE),
    EA_FN("getMonth", "T.:i T.s:i", month, 0, EA_COST_ONE),
    EA_FN("getDate", "T.:i T.s:i", date, 0, EA_COST_ONE),
    EA_FN("getDayOfMonth", "T.:i T.s:i", day_of_month, 0, EA_COST_ONE),
    EA_FN("getDayOfWeek", "T.:i T.s:i", day_of_week, 0, EA_COST_ONE),
    EA_FN("getDayOfYear", "T.:i T.s:i", day_of_year, 0, EA_COST_ONE),
    EA_FN("getHours", "T.:i T.s:i D.:i", hours, 0, EA_COST_ONE),
    EA_FN("getMinutes", "T.:i T.s:i D.:i", minutes, 0, EA_COST_ONE),
    EA_FN("getSeconds", "T.:i T.s:i D.:i", seconds, 0, EA_COST_ONE),
    EA_FN("getMilliseconds", "T.:i T.s:i D.:i", milliseconds, 0, EA_COST_ONE),
    EA_FN_END,
};
