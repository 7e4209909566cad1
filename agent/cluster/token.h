/* cluster/token.h - the secret in the webhook's path: current and previous, rotated, kept in a
 * Secret or in a file.
 *
 * Thread:  [owner] of the client.
 * Owns:    nothing.
 * Limits:  64 hex digits (32 random bytes).
 * Never:   logs or prints a token. It proves knowledge of the URL, no more (docs/THREAT-MODEL.md).
 */
#ifndef EA_CLUSTER_TOKEN_H
#define EA_CLUSTER_TOKEN_H

#include "base/clock.h"
#include "kube/client.h"

struct ea_path_token {
    char current[65], previous[65]; /* previous: "" = none */
    ea_wall_us rotated;             /* when current was made */
};

struct ea_token_place {
    struct ea_kube *kube;    /* NULL: the file */
    const char *ns, *secret; /* of the Secret */
    const char *file;        /* mode 0600 */
};

/* Reads it, or makes it when there is none. 0, -EINVAL (what is there is no token of ours), codes
 * of kube/client.h, -errno. */
EA_MUST_CHECK int ea_token_load(const struct ea_token_place *p, struct ea_path_token *ret,
                                struct ea_err *err);
/* A new current one; the old becomes previous. When another pod was faster, theirs is taken. */
EA_MUST_CHECK int ea_token_rotate(const struct ea_token_place *p, struct ea_path_token *t,
                                  struct ea_err *err);

#endif
