/* evidence/crc32c.h - CRC-32C (Castagnoli), reflected, as in RFC 3720 and SSE4.2.
 *
 * Thread:  [any].
 */
#ifndef EA_EVIDENCE_CRC32C_H
#define EA_EVIDENCE_CRC32C_H

#include "base/base.h"

/* crc of what came before (0 at the start) and n more bytes: crc(a||b) = ea_crc32c(ea_crc32c(0, a),
 * b). */
uint32_t ea_crc32c(uint32_t crc, const void *p, size_t n);
/* The two ways behind it, for tests; the hardware one answers false where the processor lacks it.
 */
uint32_t ea_crc32c_table(uint32_t crc, const void *p, size_t n);
bool ea_crc32c_hw(uint32_t crc, const void *p, size_t n, uint32_t *ret);

#endif
