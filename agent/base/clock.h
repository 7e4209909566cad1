/* base/clock.h - time.  Wall clock in Unix milliseconds or microseconds, monotonic in microseconds.
 *
 * Thread:  [any].
 */
#ifndef EA_BASE_CLOCK_H
#define EA_BASE_CLOCK_H

#include "base/base.h"

typedef uint64_t ea_mono_us; /* CLOCK_MONOTONIC, microseconds */
typedef int64_t ea_wall_us;  /* CLOCK_REALTIME, microseconds since 1970-01-01 */

ea_mono_us ea_mono_now(void);
ea_wall_us ea_wall_now(void);
/* RFC 3339 in UTC with `digits` (0..9 supported: 0, 3, 6) fraction digits and Z. out >= 32 bytes.
 */
void ea_rfc3339(ea_wall_us t, int digits, char out[32]);
/* RFC 3339 with any offset; fraction up to 9 digits (cut to us). 0 or -EINVAL. */
EA_MUST_CHECK int ea_rfc3339_parse(struct ea_str s, ea_wall_us *ret);
/* Sleeps; returns early on a signal. */
void ea_sleep_us(uint64_t us);

#endif
