/* cel/regex.h - RE2's regular expressions on PCRE2: a pattern is translated, and refused when RE2
 * lacks one of its constructs.
 *
 * Thread:  a compiled pattern is immutable, [any]; matching is [owner] of the arena.
 * Owns:    everything lies in the arena given.
 * Limits:  EA_MAX_CEL_PATTERN; match, depth and heap limits while matching: beyond them is an
 * error, never a hang. Source:  github.com/google/re2/wiki/Syntax, pcre2api(3).
 */
#ifndef EA_CEL_REGEX_H
#define EA_CEL_REGEX_H

#include "cel/prog.h"

struct ea_cel_regex;

/* 0, -EINVAL (*ret_why, static or in the arena), -E2BIG. */
EA_MUST_CHECK int ea_cel_regex_compile(struct ea_arena *a, struct ea_str pattern,
                                       const struct ea_cel_regex **ret, const char **ret_why);
/* As above for a pattern that is computed while running; the last few are kept. 0, EA_CEL_RAISED,
 * EA_CEL_FULL. */
EA_MUST_CHECK int ea_cel_regex_get(struct ea_cel_ctx *cx, struct ea_str pattern,
                                   const struct ea_cel_regex **ret);
/* Unanchored. 0, EA_CEL_RAISED, EA_CEL_FULL. */
EA_MUST_CHECK int ea_cel_regex_matches(struct ea_cel_ctx *cx, const struct ea_cel_regex *re,
                                       struct ea_str text, bool *ret);
/* First match at or after `from`: *ret_start = SIZE_MAX when there is none. */
EA_MUST_CHECK int ea_cel_regex_find(struct ea_cel_ctx *cx, const struct ea_cel_regex *re,
                                    struct ea_str text, size_t from, size_t *ret_start,
                                    size_t *ret_end);

#endif
