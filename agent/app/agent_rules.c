/* app/agent_rules.c - the rule set and exemptions of the configuration, loaded at start and on
 * reload. */
#include "app/agent.h"
#include "app/rules.h"
#include "base/log.h"

int ea_agent_rules_load(const struct ea_config *c, struct ea_agent_rules **ret, struct ea_err *err)
{
    const struct ea_ruleset_opts o = {.dir = *c->controls_dir ? c->controls_dir : NULL,
                                      .params = c->params.type == EA_V_MAP ? &c->params : NULL};
    struct ea_agent_rules *rules = ea_xalloc(sizeof(*rules));
    struct ea_problems problems = {0};

    atomic_init(&rules->refs, 1);
    int r = ea_ruleset_load(&o, &rules->set, &problems, err);

    if (!r && *c->exemptions)
        r = ea_exemptions_load(c->exemptions, &rules->exemptions, err);
    if (r) {
        ea_agent_rules_unref(rules);
        return r;
    }
    for (size_t i = 0; i < problems.n; i++) {
        if (problems.p[i].fatal)
            ea_log(EA_LOG_WARN, "control-unusable", EA_KV_STR("file", problems.p[i].file),
                   EA_KV_U64("line", problems.p[i].line), EA_KV_STR("error", problems.p[i].text));
    }
    ea_rules_digest(rules->set);
    *ret = rules;
    return 0;
}

void ea_agent_rules_unref(void *p)
{
    struct ea_agent_rules *rules = p;

    if (!rules || atomic_fetch_sub(&rules->refs, 1) != 1)
        return;
    if (rules->set)
        ea_ruleset_unref(rules->set);
    if (rules->exemptions)
        ea_exemptions_free(rules->exemptions);
    free(rules);
}

struct ea_agent_rules *ea_agent_rules_get(struct ea_agent *a)
{
    (void)pthread_mutex_lock(&a->rules_lock);
    struct ea_agent_rules *rules = a->rules;

    atomic_fetch_add(&rules->refs, 1);
    (void)pthread_mutex_unlock(&a->rules_lock);
    return rules;
}

struct ea_agent_rules *ea_agent_rules_swap(struct ea_agent *a, struct ea_agent_rules *rules)
{
    (void)pthread_mutex_lock(&a->rules_lock);
    struct ea_agent_rules *old = a->rules;

    a->rules = rules;
    (void)pthread_mutex_unlock(&a->rules_lock);
    return old;
}
