/* audit/verdict.h - what was decided about one object, small: one entry a control, shared by all
 * objects with the same verdict.
 *
 * Thread:  [owner] (the audit's lock).
 * Owns:    interned verdicts, reference-counted inside their pool; rule sets live as long as the
 *          pool.
 * Limits:  65535 controls.
 */
#ifndef EA_AUDIT_VERDICT_H
#define EA_AUDIT_VERDICT_H

#include "controls/judge.h"

#define VERDICT_EXEMPT 1u

struct verdict_entry {
    uint16_t control; /* index in the rule set */
    uint8_t result, reason;
    uint8_t flags;
    uint8_t pad[3];
    uint64_t hash; /* of the failures or the detail; 0 = none */
};

struct verdict {
    uint32_t refs, n;
    uint64_t hash; /* over control ids, results, failures: the same in every process */
    const struct ea_ruleset *rules;
    struct verdict *next; /* same bucket */
    struct verdict_entry e[];
};

struct verdict_pool {
    struct verdict **buckets;
    size_t size, n, bytes;
};

void verdict_pool_init(struct verdict_pool *p);
void verdict_pool_done(struct verdict_pool *p);
/* The interned verdict of these findings, with a reference; NULL when there are none. */
struct verdict *verdict_take(struct verdict_pool *p, const struct ea_ruleset *rules,
                             const struct ea_findings *f, struct ea_arena *scratch);
struct verdict *verdict_ref(struct verdict *v);
void verdict_unref(struct verdict_pool *p, struct verdict *v);
static inline const struct ea_control *verdict_control(const struct verdict *v, uint32_t i)
{
    return &v->rules->controls[v->e[i].control];
}
/* The entry of a control by id, or NULL. v may be NULL. */
const struct verdict_entry *verdict_find(const struct verdict *v, struct ea_str control);
/* True when both entries say the same. Either may be NULL. */
bool verdict_entry_same(const struct verdict_entry *a, const struct verdict_entry *b);

#endif
