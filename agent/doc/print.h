/* doc/print.h - printing documents.
 *
 * Thread:  [owner] of the buffer.
 * Limits:  the buffer's cap.
 */
#ifndef EA_DOC_PRINT_H
#define EA_DOC_PRINT_H

#include "base/buf.h"
#include "doc/val.h"

/* Compact JSON in source order. Doubles shortest round-trip. 0, -E2BIG, -EINVAL (no JSON value:
 * NaN, timestamp, non-string key). */
EA_MUST_CHECK int ea_json_print(struct ea_buf *b, const struct ea_val *v);
/* JCS, RFC 8785, in the profile of evidence: keys sorted by UTF-16 code units, no floats, integers
 * within +-(2^53-1). 0, -E2BIG, -EINVAL (a double, an integer out of range, a repeated key). */
EA_MUST_CHECK int ea_jcs_print(struct ea_buf *b, const struct ea_val *v);
/* The same, but numbers as RFC 8785 says (ECMAScript doubles): for digests of objects as received.
 */
EA_MUST_CHECK int ea_jcs_print_full(struct ea_buf *b, const struct ea_val *v);
/* Orders two keys by UTF-16 code units. */
int ea_jcs_cmp(struct ea_str a, struct ea_str b);

#endif
