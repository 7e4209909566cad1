/* cluster/webhook.h - a rule set into a ValidatingWebhookConfiguration.
 *
 * Thread:  [any]; pure.
 * Owns:    nothing.
 * Never:   writes `*` as group, resource or operation; covers leases, events, node status,
 *          reviews; enforces DELETE.
 * Source:  k8s.io/api/admissionregistration/v1; docs/WEBHOOK.md.
 *
 * Two webhooks: enforce.eucs-agent.io has what some control denies (left out when nothing denies),
 * advise.eucs-agent.io the rest, always with failurePolicy Ignore. Each (resource, subresource,
 * operation) stands in exactly one of them.
 */
#ifndef EA_CLUSTER_WEBHOOK_H
#define EA_CLUSTER_WEBHOOK_H

#include "base/buf.h"
#include "controls/ruleset.h"

#define EA_WEBHOOK_ENFORCE "enforce.eucs-agent.io"
#define EA_WEBHOOK_ADVISE "advise.eucs-agent.io"

struct ea_webhook_opts {
    const char *name; /* of the configuration */
    const char *url;  /* "https://host:port" of an agent outside of the cluster, or NULL */
    const char *service_ns, *service;     /* without url */
    unsigned service_port;                /* 0 = 443 */
    const char *token;                    /* in the path; NULL or "" = none */
    struct ea_str ca_pem;                 /* caBundle; empty = the API server's own roots */
    unsigned timeout_s;                   /* 1..30; 0 = 3 */
    const char *release_ns;               /* excluded, always; NULL = none */
    const char *const *exempt_namespaces; /* NULL-terminated, may be NULL */
    const char *owner_role,
        *owner_uid; /* ClusterRole of the release; no ownerReference unless both are set */
    enum ea_action enforcement; /* ceiling of every control's action */
    bool fail;                  /* failurePolicy of enforce: Fail, else Ignore */
};

/* Compact JSON. 0, -E2BIG, -EINVAL (neither url nor service). */
EA_MUST_CHECK int ea_webhook_render(const struct ea_ruleset *rs, const struct ea_webhook_opts *o,
                                    struct ea_buf *json, struct ea_err *err);

/* True when live has everything that `want` says and its lists have the same length: what others
 * added beside is no drift. where gets the dotted path of the first difference (may be NULL). */
bool ea_webhook_covers(const struct ea_val *want, const struct ea_val *live, struct ea_buf *where);

#endif
