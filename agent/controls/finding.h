/* controls/finding.h - the one JSON rendering of a finding: scan, evidence, posture and the
 * dashboard print through it.
 *
 * Thread:  [any].
 * Source:  docs/SCAN.md (a contract that other tools rely on).
 */
#ifndef EA_CONTROLS_FINDING_H
#define EA_CONTROLS_FINDING_H

#include "base/buf.h"
#include "controls/judge.h"

struct ea_source {
    struct ea_str file; /* empty: no source (watch, webhook) -> "source":null */
    unsigned document, item, line;
    bool has_item;
};

/* One line of `scan --format jsonl` without the newline. 0 or -E2BIG. */
EA_MUST_CHECK int ea_finding_render(struct ea_buf *b, const struct ea_finding *f,
                                    const struct ea_subject *s, const struct ea_source *src);
/* One sentence for people: "pod-privileged (OPS-21.1B): container web is privileged at
 * spec.containers[0]…. Fix: …". */
EA_MUST_CHECK int ea_finding_sentence(struct ea_buf *b, const struct ea_finding *f);

#endif
