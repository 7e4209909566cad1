/* admission/decide.c - judging, and what of it denies.
 *
 * A denial must never stop a repair or the cluster: what an update did not make worse, and what a
 * controller only recreates, is a warning. */
#include "admission/review.h"
#include "base/limits.h"

const char *const ea_effect_names[EA_EFFECT_COUNT] = {"none",     "deny",  "warn",  "audit",
                                                      "existing", "owner", "exempt"};

/* ---- judge ---- */

static bool is_late(void *arg)
{
    return ea_mono_now() >= *(const ea_mono_us *)arg;
}

static struct ea_judge_opts judge_opts(const struct ea_review_env *env, const struct ea_review *rv)
{
    struct ea_judge_opts o = {.lookup = env->lookup,
                              .exemptions = env->exemptions,
                              .now_us = env->now,
                              .floor = env->floor,
                              .trace = true};

    if (env->deadline) {
        o.interrupted = is_late;
        o.interrupted_arg = (void *)&env->deadline;
    }
    o.all_failures = rv->subject.op == EA_OP_UPDATE;
    return o;
}

void ea_review_judge(const struct ea_review_env *env, struct ea_arena *a, struct ea_review *rv)
{
    struct ea_judge_opts o = judge_opts(env, rv);

    if (rv->nothing_judged)
        return;
    if (ea_judge(env->rules, &rv->subject, &o, a, &rv->findings, NULL))
        rv->exhausted = true;
    for (unsigned i = 0; i < rv->findings.n; i++) {
        enum ea_result r = rv->findings.f[i].result;

        rv->n_pass += r == EA_PASS;
        rv->n_fail += r == EA_FAIL;
        rv->n_skip += r == EA_SKIP;
        rv->n_unknown += r == EA_UNKNOWN;
    }
}

/* ---- who may recreate what was there before ---- */

/* The controller that makes objects on behalf of an owner of this kind. */
static bool is_controller_of(struct ea_str user, struct ea_str kind)
{
    static const char *const names[][2] = {
        {"Deployment", "deployment-controller"},
        {"ReplicaSet", "replicaset-controller"},
        {"DaemonSet", "daemon-set-controller"},
        {"StatefulSet", "statefulset-controller"},
        {"Job", "job-controller"},
        {"CronJob", "cronjob-controller"},
        {"ReplicationController", "replication-controller"},
    };
    struct ea_str prefix = EA_STR("system:serviceaccount:kube-system:");

    if (ea_str_is(user, "system:kube-controller-manager"))
        return true;
    if (!ea_str_starts(user, prefix))
        return false;
    for (size_t i = 0; i < EA_COUNT(names); i++)
        if (ea_str_is(kind, names[i][0]))
            return ea_str_is(ea_strn(user.p + prefix.n, user.n - prefix.n), names[i][1]);
    return false;
}

struct owner {
    struct ea_str uid, kind; /* uid empty: none */
};

/* The owner that this caller may make objects for. */
static struct owner find_owner(const struct ea_review_env *env, const struct ea_review *rv)
{
    const struct ea_val *refs = ea_val_path(&rv->subject.object, "metadata.ownerReferences");

    if (!env->owners || env->existing_deny || !ea_val_is(refs, EA_V_LIST))
        return (struct owner){0};
    for (size_t i = 0; i < refs->n; i++) {
        const struct ea_val *ref = ea_val_at(refs, i), *controller = ea_val_getz(ref, "controller");
        const struct owner o = {ea_val_get_str(ref, "uid"), ea_val_get_str(ref, "kind")};

        if (ea_val_is(controller, EA_V_BOOL) && controller->b && o.uid.n &&
            is_controller_of(rv->user, o.kind))
            return o;
    }
    return (struct owner){0};
}

/* ---- decide ---- */

static enum ea_effect first_effect(const struct ea_review_env *env, const struct ea_finding *f)
{
    enum ea_action action = EA_MIN(f->action, env->enforcement);

    if (ea_finding_denies(f, env->enforcement))
        return EA_EFFECT_DENY;
    if (f->result != EA_FAIL)
        return EA_EFFECT_NONE;
    if (f->exemption)
        return EA_EFFECT_EXEMPT;
    return action == EA_AUDIT ? EA_EFFECT_AUDIT : EA_EFFECT_WARN;
}

/* What stands in for a denial, or EA_EFFECT_DENY. */
static enum ea_effect excuse(const struct ea_review_env *env, struct ea_arena *a,
                             const struct ea_review *rv, const struct ea_finding *f,
                             bool harmless_update, struct owner owner)
{
    struct ea_judge_opts o = judge_opts(env, rv);
    unsigned new_failures = 1;

    if (harmless_update)
        return EA_EFFECT_EXISTING;
    if (f->result != EA_FAIL)
        return EA_EFFECT_DENY;
    if (rv->subject.op == EA_OP_UPDATE &&
        ea_repair_compare(env->rules, &rv->subject, &o, f, a, &new_failures, NULL) == 0 &&
        new_failures == 0)
        return EA_EFFECT_EXISTING;
    if (owner.uid.n && env->owners->fails(env->owners->arg, owner.uid, owner.kind, f))
        return EA_EFFECT_OWNER;
    return EA_EFFECT_DENY;
}

static unsigned count_denials(const struct ea_review *rv)
{
    unsigned n = 0;

    for (unsigned i = 0; i < rv->findings.n; i++)
        n += rv->effects[i] == EA_EFFECT_DENY;
    return n;
}

/* An object too large to be judged must not buy its admission with that. */
static bool must_be_judged(const struct ea_review_env *env, const struct ea_review *rv)
{
    return rv->exhausted && env->enforcement == EA_DENY &&
           (rv->subject.op & (EA_OP_CREATE | EA_OP_UPDATE));
}

void ea_review_decide(const struct ea_review_env *env, struct ea_arena *a, struct ea_review *rv)
{
    bool harmless = false;
    struct owner owner = {0};
    unsigned denials;

    rv->effects = ea_arena_zalloc(a, rv->findings.n + 1);
    if (!rv->effects) {
        rv->exhausted = true;
        rv->findings.n = 0;
    }
    for (unsigned i = 0; i < rv->findings.n; i++)
        rv->effects[i] = (uint8_t)first_effect(env, &rv->findings.f[i]);
    denials = count_denials(rv);
    if (denials || rv->exhausted)
        harmless = rv->subject.op == EA_OP_UPDATE && ea_repair_always_allowed(&rv->subject);
    if (denials && !harmless)
        owner = find_owner(env, rv);
    for (unsigned i = 0; denials && i < rv->findings.n; i++)
        if (rv->effects[i] == EA_EFFECT_DENY)
            rv->effects[i] = (uint8_t)excuse(env, a, rv, &rv->findings.f[i], harmless, owner);
    rv->allowed = denials == 0 || count_denials(rv) == 0;
    rv->allowed &= harmless || !must_be_judged(env, rv);
}

int ea_review(const struct ea_review_env *env, struct ea_arena *a, struct ea_str body,
              struct ea_review *ret, struct ea_str *ret_answer, struct ea_err *err)
{
    struct ea_buf b;
    int rc = ea_review_decode(env, a, body, ret, err);

    if (rc)
        return rc;
    ea_review_judge(env, a, ret);
    ea_review_decide(env, a, ret);
    ea_buf_init(&b, EA_MAX_REVIEW_ANSWER);
    rc = ea_review_answer(env, ret, NULL, NULL, &b);
    *ret_answer = rc ? EA_STR_NULL : ea_arena_str(a, ea_buf_str(&b));
    ea_buf_done(&b);
    if (rc || !ret_answer->p)
        return ea_fail(err, -E2BIG, "the answer does not fit in memory");
    return 0;
}
