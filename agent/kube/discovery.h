/* kube/discovery.h - what the API server serves: kinds, resources, verbs.
 *
 * Thread:  loading is [owner] of the client; a loaded discovery is immutable and [any].
 * Owns:    its arena.
 * Limits:  EA_MAX_API_REPLY a document, EA_MAX_DISCOVERY_GROUPS group versions.
 * Never:   fails for a group that cannot be reached (an aggregated API that is down): it is listed
 *          in `missing`.
 * Source:  Kubernetes API concepts, "API discovery" (/api, /apis and the documents of each group
 *          version).
 */
#ifndef EA_KUBE_DISCOVERY_H
#define EA_KUBE_DISCOVERY_H

#include "kube/client.h"

struct ea_api_resource {
    struct ea_str group, version, resource, kind;
    bool namespaced, preferred; /* preferred: of the group's preferred version */
    bool get, list, watch, create, update, delete_;
};

struct ea_discovery {
    struct ea_api_resource *r; /* no subresources; in the server's order */
    size_t n;
    struct ea_str *missing; /* "group/version" that could not be read */
    size_t n_missing;
    struct ea_arena arena;
};

/* 0, or the codes of ea_kube_call for /api and /apis. */
EA_MUST_CHECK int ea_discovery_load(struct ea_kube *k, struct ea_discovery **ret,
                                    struct ea_err *err);
void ea_discovery_free(struct ea_discovery *d);
/* By apiVersion and kind; NULL when not served. */
const struct ea_api_resource *ea_discovery_kind(const struct ea_discovery *d,
                                                struct ea_str api_version, struct ea_str kind);
/* By group and resource; version empty: the preferred one. NULL when not served. */
const struct ea_api_resource *ea_discovery_resource(const struct ea_discovery *d,
                                                    struct ea_str group, struct ea_str version,
                                                    struct ea_str resource);
/* For tests: adds one APIResourceList. 0, -EINVAL, -E2BIG. */
EA_MUST_CHECK int ea_discovery_add(struct ea_discovery *d, const struct ea_val *list,
                                   bool preferred, struct ea_err *err);

#endif
