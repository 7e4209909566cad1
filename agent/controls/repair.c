/* controls/repair.c - the repair rule: what was wrong before must not stop anybody from changing
 * the rest.
 *
 * A failure is the tuple (control, validation, key path, value). An update is denied only for
 * tuples that the old object lacks.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "controls/internal.h"
#include "doc/print.h"

/* Members of a map that are equal in both, but for the named ones. */
static bool equal_but(const struct ea_val *a, const struct ea_val *b, const char *const *but)
{
    const struct ea_val *maps[2] = {a, b};

    if (!ea_val_is(a, EA_V_MAP) || !ea_val_is(b, EA_V_MAP))
        return false;
    for (int side = 0; side < 2; side++) {
        const struct ea_val *x = maps[side], *y = maps[!side];

        for (size_t i = 0; i < x->n; i++) {
            struct ea_str key = ea_val_text(&x->members[i].key);
            const struct ea_val *other;
            size_t k = 0;

            while (but[k] && !ea_str_is(key, but[k]))
                k++;
            if (but[k])
                continue;
            other = ea_val_get(y, key);
            if (!other || (side == 0 && !ea_val_equal(ea_val_force(&x->members[i].val), other)))
                return false;
        }
    }
    return true;
}

static const char *const but_metadata_and_status[] = {"metadata", "status", NULL};

static bool substance_unchanged(const struct ea_subject *s)
{
    return equal_but(&s->object, &s->old_object, but_metadata_and_status);
}

/* Both sides built: an old object that nobody has read yet is still raw. */
static struct ea_subject built(const struct ea_subject *s)
{
    struct ea_subject b = *s;

    b.object = *ea_val_force(&s->object);
    b.old_object = *ea_val_force(&s->old_object);
    return b;
}

bool ea_repair_always_allowed(const struct ea_subject *subject)
{
    /* What the API server itself changes with every write. */
    static const char *const but_finalizers[] = {"finalizers", "managedFields", "resourceVersion",
                                                 "generation", NULL};
    static const char *const but_book_keeping[] = {"managedFields", "resourceVersion", "generation",
                                                   NULL};
    const struct ea_subject both = built(subject), *s = &both;
    const struct ea_val *deleted = ea_val_path(&s->object, "metadata.deletionTimestamp");
    const struct ea_val *meta, *old_meta;

    if (s->op != EA_OP_UPDATE || s->object.type != EA_V_MAP || s->old_object.type != EA_V_MAP)
        return false;
    if (!substance_unchanged(s))
        return false;
    if (deleted && deleted->type != EA_V_NULL)
        return true;
    meta = ea_val_getz(&s->object, "metadata");
    old_meta = ea_val_getz(&s->old_object, "metadata");
    if (equal_but(meta, old_meta, but_book_keeping))
        return true; /* status only, or nothing at all */
    return ea_val_equal(ea_val_getz(&s->object, "status") ? ea_val_getz(&s->object, "status")
                                                          : &(struct ea_val){0},
                        ea_val_getz(&s->old_object, "status")
                            ? ea_val_getz(&s->old_object, "status")
                            : &(struct ea_val){0}) &&
           equal_but(meta, old_meta, but_finalizers);
}

/* Canonical bytes of an element; empty when it cannot be printed. */
static struct ea_str bytes_of(struct ea_buf *b, const struct ea_val *v)
{
    ea_buf_clear(b);
    return ea_jcs_print_full(b, v) == 0 ? ea_buf_str(b) : EA_STR("");
}

/* now has an element that was lacks. By a table, because both may have tens of thousands. */
static bool has_more(const struct ea_val *now, const struct ea_val *was)
{
    struct ea_map known;
    struct ea_buf b;
    bool more = false;

    ea_map_init(&known);
    ea_buf_init(&b, EA_MAX_ADMISSION_BODY * 2);
    for (size_t i = 0; ea_val_is(was, EA_V_LIST) && i < was->n; i++)
        ea_map_put(&known, bytes_of(&b, ea_val_at(was, i)), &known);
    for (size_t i = 0; i < now->n && !more; i++) {
        struct ea_str key = bytes_of(&b, ea_val_at(now, i));

        more = key.n == 0 || !ea_map_find(&known, key);
    }
    ea_buf_done(&b);
    ea_map_done(&known, NULL);
    return more;
}

/* A list that may only shrink has an element that it did not have. */
static bool grew(const struct ea_subject *s, const struct ea_control *c)
{
    for (unsigned i = 0; i < c->n_ratchet; i++) {
        EA_AUTO_FREE char *name = ea_str_dupz(c->ratchet_grows[i]);
        const struct ea_val *now = ea_val_path(&s->object, name);

        if (ea_val_is(now, EA_V_LIST) && has_more(now, ea_val_path(&s->old_object, name)))
            return true;
    }
    return false;
}

static int cmp_failures(const void *a, const void *b)
{
    const struct ea_failure *x = *(const struct ea_failure *const *)a,
                            *y = *(const struct ea_failure *const *)b;
    int c;

    if (x->validation != y->validation)
        return x->validation < y->validation ? -1 : 1;
    c = ea_str_cmp(x->key_path, y->key_path);
    return c ? c : ea_str_cmp(x->value, y->value);
}

/* The update's control saw a failure without a path before, too. */
static bool bare_before(const struct ea_finding *old, unsigned validation)
{
    for (unsigned i = 0; i < old->n_failures; i++)
        if (old->failures[i].validation == validation)
            return true;
    return false;
}

int ea_repair_compare(const struct ea_ruleset *rs, const struct ea_subject *subject,
                      const struct ea_judge_opts *o, const struct ea_finding *f, struct ea_arena *a,
                      unsigned *ret_new, struct ea_err *err)
{
    const struct ea_subject both = built(subject), *s = &both;
    struct ea_subject old = both;
    struct ea_judge_opts oo = *o;
    struct ea_finding was;
    const struct ea_failure **sorted;
    int r;

    *ret_new = f->n_failures + f->n_more;
    if (s->op != EA_OP_UPDATE || s->old_object.type != EA_V_MAP || *ret_new == 0)
        return 0;
    /* For a control that compares both sides, the old object followed itself. */
    old.object = s->old_object;
    oo.trace = true;
    oo.all_failures = true;
    oo.exemptions = NULL;
    r = ea_judge_one(rs, f->control, &old, &oo, a, &was, err);
    if (r < 0)
        return r;
    if (was.result != EA_FAIL || was.n_failures == 0 || grew(s, f->control))
        return 0;
    sorted = ea_arena_alloc(a, was.n_failures * sizeof(*sorted));
    if (!sorted)
        return ea_fail(err, -E2BIG, "no memory left to compare the failures of the old object");
    for (unsigned i = 0; i < was.n_failures; i++)
        sorted[i] = &was.failures[i];
    qsort(sorted, was.n_failures, sizeof(*sorted), cmp_failures);
    *ret_new = f->n_more;
    for (unsigned i = 0; i < f->n_failures; i++) {
        const struct ea_failure *x = &f->failures[i];
        bool excused;

        if (x->root != 0)
            excused = false;
        else if (x->key_path.n == 0)
            excused = substance_unchanged(s) && bare_before(&was, x->validation);
        else
            excused = bsearch(&x, sorted, was.n_failures, sizeof(*sorted), cmp_failures) != NULL;
        *ret_new += !excused;
    }
    return 0;
}
