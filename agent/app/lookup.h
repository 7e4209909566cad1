/* app/lookup.h - the informer store as the evaluator's lookup (controls/judge.h) .
 *
 * Thread:  [any]; values live in the arena of each call.
 * Owns:    nothing.
 */
#ifndef EA_APP_LOOKUP_H
#define EA_APP_LOOKUP_H

#include "controls/judge.h"
#include "kube/store.h"

/* Answers from the store; a table that is not synced answers incomplete, an absent Namespace is
 * NULL. */
void ea_lookup_from_store(struct ea_store *store, struct ea_lookup *ret);

#endif
