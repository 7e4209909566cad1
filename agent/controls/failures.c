/* controls/failures.c - where a validation failed: every failing element with its path, its name
 * and its value. */
#include "base/buf.h"
#include "base/limits.h"
#include "controls/judge_run.h"
#include "doc/print.h"

#define WHY_FIRST                                                                                  \
    (2 * EA_MAX_FAILURES) /* entries of the first try; a second one has room for all */

static struct ea_str canonical(struct ea_arena *a, const struct ea_val *v)
{
    struct ea_buf b;
    struct ea_str s;

    ea_buf_init(&b, EA_MAX_ADMISSION_BODY * 2);
    /* A value that is no JSON (a timestamp that CEL made) has its text. */
    if (ea_jcs_print_full(&b, v) == 0)
        s = ea_arena_str(a, ea_buf_str(&b));
    else
        s = ea_cel_to_text(a, v);
    ea_buf_done(&b);
    return s;
}

static int reserve(struct ea_job *j, struct ea_finding *f, size_t more)
{
    struct ea_failure *v = ea_arena_alloc(j->a, (f->n_failures + more) * sizeof(*v));

    if (!v)
        return -E2BIG;
    if (f->n_failures)
        memcpy(v, f->failures, f->n_failures * sizeof(*v));
    f->failures = v;
    return 0;
}

static int add_bare(struct ea_job *j, unsigned validation, struct ea_str message,
                    struct ea_finding *f)
{
    if (!j->o->all_failures && f->n_failures >= EA_MAX_FAILURES) {
        f->n_more++;
        return 0;
    }
    if (reserve(j, f, 1) < 0)
        return -E2BIG;
    f->failures[f->n_failures++] =
        (struct ea_failure){.validation = validation, .message = message};
    return 0;
}

/* All reasons that are wanted: the first few, or with all_failures every one. *ret_n counts also
 * what is not listed. */
static int ask_why(struct ea_job *j, const struct ea_cel_prog *p, struct ea_cel_run *r,
                   struct ea_cel_why **ret, size_t *ret_n)
{
    struct ea_cel_diag diag;
    size_t room = WHY_FIRST;
    int e;

    for (;;) {
        *ret_n = 0;
        *ret = ea_arena_alloc(j->a, room * sizeof(**ret));
        if (!*ret)
            return -E2BIG;
        e = ea_cel_why(r, p, *ret, room, ret_n, &diag);
        if (e < 0)
            *ret_n = 0; /* without a path the failure still stands */
        if (*ret_n <= room || !j->o->all_failures)
            return 0;
        room = *ret_n;
    }
}

int ea_failures_add(struct ea_job *j, const struct ea_control *c, unsigned validation,
                    struct ea_str message, struct ea_cel_run *r, struct ea_finding *f)
{
    struct ea_cel_why *w;
    size_t n, listed;

    if (!j->o->trace)
        return add_bare(j, validation, message, f);
    if (ask_why(j, c->validations[validation].expr, r, &w, &n) < 0)
        return -E2BIG;
    if (n == 0)
        return add_bare(j, validation, message, f);
    listed = n;
    if (!j->o->all_failures)
        listed = EA_MIN(n, EA_MAX_FAILURES - EA_MIN(EA_MAX_FAILURES, f->n_failures));
    if (reserve(j, f, listed) < 0)
        return -E2BIG;
    for (size_t i = 0; i < listed; i++) {
        struct ea_failure *x = &f->failures[f->n_failures++];

        *x = (struct ea_failure){.validation = validation,
                                 .message = message,
                                 .path = w[i].path,
                                 .key_path = w[i].key_path,
                                 .element = w[i].element,
                                 .root = w[i].root == EA_S_OBJECT ? 0 : 1};
        /* Only the repair rule compares values. */
        if (j->o->all_failures && w[i].has_value)
            x->value = canonical(j->a, &w[i].value);
    }
    f->n_more += (unsigned)(n - listed);
    return 0;
}
