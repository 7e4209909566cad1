/* controls/manifest.h - an object as it stands in a file, made into what the API server would show
 * a webhook.
 *
 * Thread:  [owner] of the arena.
 * Owns:    nothing; what does not change is shared with the input.
 * Never:   invents what an administrator decides (no security context, no labels of his).
 * Source:  kubernetes/pkg/apis/<group>/v1/defaults.go; the table stands in manifest.c and serves
 * scan and watch alike.
 */
#ifndef EA_CONTROLS_MANIFEST_H
#define EA_CONTROLS_MANIFEST_H

#include "controls/ruleset.h"

/* For a built-in kind: null fields are absent; metadata.namespace is filled with `ns` when the kind
 * is namespaced and has none; the defaults that controls read are set. Other kinds come back as
 * they are. 0 or -E2BIG (arena). */
EA_MUST_CHECK int ea_manifest_complete(struct ea_arena *a, const struct ea_gvr *gvr, bool builtin,
                                       struct ea_str ns, const struct ea_val *object,
                                       struct ea_val *ret);

#endif
