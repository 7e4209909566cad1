/* audit/owner.c - does the owner of an object have the same failures already? (controllers rule of
 * admission) */
#include "audit/audit_priv.h"
#include "controls/manifest.h"

#define ARENA (8u << 20) /* bytes; one workload judged by one control */

/* A Pod's path and that of its owner's template mean the same: what precedes the pod is cut off. */
static struct ea_str below_template(struct ea_str path)
{
    static const char *const prefixes[] = {"spec.jobTemplate.spec.template.", "spec.template."};

    for (size_t i = 0; i < EA_COUNT(prefixes); i++) {
        struct ea_str p = ea_str(prefixes[i]);

        if (ea_str_starts(path, p))
            return ea_strn(path.p + p.n, path.n - p.n);
    }
    return path;
}

static struct ea_str place(const struct ea_failure *f)
{
    return below_template(f->key_path.n ? f->key_path : f->path);
}

/* Values are collected for updates alone; where one side has none, the place decides. */
static bool same_value(struct ea_str a, struct ea_str b)
{
    return !a.n || !b.n || ea_str_eq(a, b);
}

/* Every failure of f is one of the owner's, and f has not more of them, listed or not. */
static bool covers(const struct ea_finding *owner, const struct ea_finding *f)
{
    for (unsigned i = 0; i < f->n_failures; i++) {
        bool found = false;

        for (unsigned k = 0; k < owner->n_failures && !found; k++) {
            const struct ea_failure *x = &owner->failures[k], *y = &f->failures[i];

            found = x->validation == y->validation && ea_str_eq(place(x), place(y)) &&
                    same_value(x->value, y->value);
        }
        if (!found)
            return false;
    }
    return f->n_failures > 0 && f->n_failures + f->n_more <= owner->n_failures + owner->n_more;
}

/* The owner's finding for one control; false when it is not here or not of that kind. */
static bool owner_finding(struct ea_audit *a, struct ea_arena *arena, struct ea_object *o,
                          struct ea_str control, struct ea_ruleset *rules, struct ea_finding *ret)
{
    const struct ea_control *c = ea_control_find(rules, control);
    struct ea_judge_opts jo = {.lookup = &a->o.lookup,
                               .exemptions = NULL,
                               .now_us = ea_wall_now(),
                               .floor = a->o.floor,
                               .ignore_level = true,
                               .trace = true,
                               .all_failures = true};
    struct ea_subject s;
    struct ea_gvr known;
    struct ea_val doc, whole;

    if (!c || ea_object_parse(o, arena, &doc) < 0)
        return false;
    s = audit_subject(a, o, &doc);
    if (ea_manifest_complete(
            arena, &s.gvr, ea_builtin_kind(ea_val_get_str(&doc, "apiVersion"), s.gvr.kind, &known),
            EA_STR("default"), &doc, &whole) < 0)
        return false;
    s.object = whole;
    return ea_judge_one(rules, c, &s, &jo, arena, ret, NULL) == 0;
}

bool ea_audit_owner(void *arg, struct ea_str uid, struct ea_str kind, const struct ea_finding *f)
{
    struct ea_audit *a = arg;
    struct ea_object *o = NULL;
    struct ea_ruleset *rules;
    struct ea_finding of;
    struct ea_arena arena;
    struct entry *e;
    bool same = false;

    pthread_mutex_lock(&a->lock);
    e = entries_find(&a->entries, uid);
    if (e && !e->gone && ea_str_is(kind, ea_store_res(a->o.store, e->object->table)->kind)) {
        const struct verdict_entry *x = verdict_find(e->now, f->control->id);

        if (x && x->result == EA_FAIL)
            o = ea_object_ref(e->object);
    }
    rules = ea_ruleset_ref(a->o.rules);
    pthread_mutex_unlock(&a->lock);
    if (o) {
        ea_arena_init(&arena, ARENA, 0);
        same = owner_finding(a, &arena, o, f->control->id, rules, &of) && of.result == EA_FAIL &&
               covers(&of, f);
        ea_arena_done(&arena);
        ea_object_unref(o);
    }
    ea_ruleset_unref(rules);
    return same;
}
