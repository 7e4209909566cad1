/* doc/json.h - the parser for JSON that comes from the network and from files: one pass, arena,
 * limits.
 *
 * Thread:  [owner] of the arena.
 * Owns:    nothing; `text` is borrowed and must outlive the document (strings without escapes are
 * slices of it). Limits:  EA_MAX_DEPTH, EA_MAX_JSON_NODES, the arena's cap; the caller caps the
 * text. Refuses: duplicate keys, invalid UTF-8, lone surrogates, control characters in strings,
 * numbers that overflow to infinity, anything after the value but white space, a byte order mark.
 * RFC 8259, RFC 7493. Never:   changes the text, recurses without bound, logs.
 */
#ifndef EA_DOC_JSON_H
#define EA_DOC_JSON_H

#include "doc/val.h"

struct ea_json_opts {
    /* Members with one of these names, directly below any object, are left raw until touched:
     * checked for UTF-8, depth and balance and for everything else that the full parser refuses.
     * NULL-terminated list or NULL. */
    const char *const *lazy;
    unsigned max_depth; /* 0 = EA_MAX_DEPTH */
};

/* The members of an admission review that are seldom asked for: managedFields, oldObject. */
extern const struct ea_json_opts ea_json_review_opts;

/* Parses one value. ret_used may be NULL: then nothing but white space may follow; else it gets the
 * bytes read and trailing bytes are the caller's (watch streams). 0, -EINVAL (text says what and at
 * which line, column and byte), -E2BIG. */
EA_MUST_CHECK int ea_json_parse(struct ea_arena *a, struct ea_str text,
                                const struct ea_json_opts *opts, struct ea_val *ret,
                                size_t *ret_used, struct ea_err *err);
/* Builds every raw node below v, so that the tree may be shared between threads. 0 or -E2BIG. */
EA_MUST_CHECK int ea_doc_settle(const struct ea_val *v);

#endif
