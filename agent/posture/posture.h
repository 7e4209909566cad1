/* posture/posture.h - findings rolled up: check -> requirement -> control -> category -> scheme.
 *
 * Thread:  ea_posture_make is [any] over its inputs; the result is immutable and lives in the
 * arena. Owns:    nothing. Never:   says "compliant": the words are conforming, deviating, unknown,
 * none, and they speak of technical evidence only. Source:  docs/ARCHITECTURE.md; MEDINA's chain
 * evidence, metric, assessment result, requirement, certificate state.
 */
#ifndef EA_POSTURE_POSTURE_H
#define EA_POSTURE_POSTURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "controls/judge.h"

enum ea_state {
    EA_STATE_NONE,       /* no check gave a verdict */
    EA_STATE_CONFORMING, /* every check that gave a verdict passes, at least one with direct or
                            supporting fit */
    EA_STATE_UNKNOWN,    /* nothing fails, and something could not be decided, or only weak evidence
                            passes */
    EA_STATE_DEVIATING,  /* a check fails that no exemption covers */
    EA_STATE_COUNT
};
extern const char *const ea_state_names[EA_STATE_COUNT];

/* What one check (control file) found over all objects. */
struct ea_check_counts {
    uint64_t pass, fail, unknown, exempted; /* objects; skipped ones are not counted */
};

struct ea_posture_item {
    struct ea_str id;
    enum ea_level level; /* requirements only */
    enum ea_state state;
    struct ea_check_counts counts;
    unsigned checks; /* checks that name it */
    unsigned
        states[EA_STATE_COUNT]; /* of the parts: a control's requirements, a category's controls */
};

struct ea_posture {
    enum ea_level level; /* requirements above it are left out */
    struct ea_posture_item *requirements, *controls, *categories;
    unsigned n_requirements, n_controls, n_categories;
    struct ea_posture_item whole;
};

/* counts[i] belongs to rs->controls[i]. 0 or -E2BIG. */
EA_MUST_CHECK int ea_posture_make(const struct ea_ruleset *rs, const struct ea_check_counts *counts,
                                  enum ea_level level, struct ea_arena *a, struct ea_posture *ret);
/* JSON:
 * {"level","summary":{…},"categories":[{"id","state","controls":[{"id","state","requirements":[…]}]}]}.
 * 0 or -E2BIG. */
EA_MUST_CHECK int ea_posture_render(struct ea_buf *b, const struct ea_posture *p);

#endif
