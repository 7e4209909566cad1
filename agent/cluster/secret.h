/* cluster/secret.h - one Secret, read and written whole by name.
 *
 * Thread:  [owner] of the client.
 * Limits:  EA_MAX_API_REPLY.
 * Never:   logs contents.
 */
#ifndef EA_CLUSTER_SECRET_H
#define EA_CLUSTER_SECRET_H

#include "kube/client.h"

#define EA_SECRET_KEYS 8u

struct ea_secret_item {
    const char *key; /* "tls.crt" */
    struct ea_buf value;
};

struct ea_secret {
    struct ea_secret_item items[EA_SECRET_KEYS];
    unsigned n;
    char rv[256]; /* "" = does not exist yet */
};

void ea_secret_init(struct ea_secret *s);
void ea_secret_done(struct ea_secret *s); /* cleanses */
/* The value of a key, made when missing. NULL when there are too many. */
struct ea_buf *ea_secret_item(struct ea_secret *s, const char *key);
/* Reads the named keys (others are not kept). 0 also when there is none (rv is then empty). */
EA_MUST_CHECK int ea_secret_get(struct ea_kube *k, const char *ns, const char *name,
                                const char *const *keys, struct ea_secret *ret, struct ea_err *err);
/* Creates it, or replaces it if it is still what was read. 0, -EEXIST (somebody was faster: read
 * again), codes of kube/client.h. */
EA_MUST_CHECK int ea_secret_put(struct ea_kube *k, const char *ns, const char *name,
                                const char *type, struct ea_secret *s, struct ea_err *err);

#endif
