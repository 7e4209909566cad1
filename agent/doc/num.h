/* doc/num.h - decimal text to doubles and back, whatever the locale says.
 *
 * Thread:  [any].
 * Source:  RFC 8259 §6, ECMA-262 §6.1.6.1.20 (Number::toString), which RFC 8785 §3.2.2.3
 * prescribes.
 */
#ifndef EA_DOC_NUM_H
#define EA_DOC_NUM_H

#include "base/base.h"

/* Bytes that ea_num_print may write, NUL included. */
#define EA_NUM_MAX 32

/* [+-]digits[.digits][e[+-]digits], a digit on either side of the point is enough; the whole
 * string, rounded correctly (to even). 0, -EINVAL (no such number), -ERANGE (overflows to infinity;
 * *ret is the signed infinity). Underflow gives 0 or a denormal. */
EA_MUST_CHECK int ea_num_parse(struct ea_str s, double *ret);
/* The shortest text that reads back as the same double, in the format of ECMAScript ("1e+21",
 * "0.000001", "-0" is "0"). d must be finite. Bytes written without the NUL. */
unsigned ea_num_print(double d, char out[EA_NUM_MAX]);
/* As ea_num_print for a value that was a float32 in Go (strconv.FormatFloat(d, 'g', -1, 32));
 * infinities and NaN as "+Inf" "-Inf" "NaN". The exponent has two digits at least and is used below
 * 1e-4 and from 1e6 on. */
unsigned ea_num_print_go32(double d, char out[EA_NUM_MAX]);

#endif
