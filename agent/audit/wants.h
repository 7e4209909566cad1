/* audit/wants.h - which resources must be watched for a rule set.
 *
 * Thread:  [any]; pure.
 * Owns:    the result's strings live in the arena.
 * Never:   watches Events, Leases, reviews, or Secrets unless asked to.
 */
#ifndef EA_AUDIT_WANTS_H
#define EA_AUDIT_WANTS_H

#include "controls/ruleset.h"
#include "kube/discovery.h"
#include "kube/watch.h"

struct ea_wants_opts {
    bool secrets; /* secrets.watch: default rights have no verb on Secrets */
};

struct ea_wants {
    struct ea_kube_want *w; /* namespaces first */
    unsigned n;
    struct ea_str *missing; /* "resource.group" that a control names and this server does not serve with list and watch */
    unsigned n_missing;
};

/* Every resource that a rule for CREATE or UPDATE names (without subresource), in the version that the server prefers or, if that one has no
 * watch, the rule's. 0 or -E2BIG. */
EA_MUST_CHECK int ea_audit_wants(const struct ea_ruleset *rs, const struct ea_discovery *d, const struct ea_wants_opts *o, struct ea_arena *a,
                                 struct ea_wants *ret);

#endif
