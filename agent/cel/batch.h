/* cel/batch.h - `cel eval --batch`: one JSON line in, one JSON line out.
 *
 * Thread:  [owner] of arena and buffer.
 * Limits:  the arena's cap; the caller caps the line.
 */
#ifndef EA_CEL_BATCH_H
#define EA_CEL_BATCH_H

#include "base/buf.h"
#include "cel/cel.h"

/* "cel", "kubernetes", "kubernetes:1.30". 0 or -EINVAL. */
EA_MUST_CHECK int ea_cel_env_parse(struct ea_str s, enum ea_cel_flavour *ret_flavour,
                                   unsigned *ret_minor);

/* Evaluates {"id","expr","bindings":{name:TAGGED},"disableMacros":false}; "env" in the line
 * overrides flavour and minor, "stats":true adds "cost" and the static "type" to the answer.
 * Appends
 * {"id","value":TAGGED} or {"id","error":"…","kind":"parse|check|eval|cost","line","column"} and a
 * newline. A line that is no such JSON is answered with kind "parse" and id null. 0; -E2BIG when
 * the buffer is full. */
EA_MUST_CHECK int ea_cel_batch_line(struct ea_arena *a, struct ea_str line,
                                    enum ea_cel_flavour flavour, unsigned minor,
                                    struct ea_buf *out);

#endif
