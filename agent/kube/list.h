/* kube/list.h - a whole collection, page by page, one object in memory at a time.
 *
 * Thread:  [owner] of the client.
 * Owns:    nothing; objects are borrowed for the call.
 * Limits:  pages of 500; EA_MAX_OBJECT an object (larger: `oversize`), EA_MAX_LIST_HEAD for the
 *          rest of a page, EA_MAX_LIST_PAGE a page.
 * Never:   combines continue with resourceVersion (the server refuses that).
 * Source:  Kubernetes API concepts, "Retrieving large results sets in chunks": an expired continue
 *          token (410) means one full list without pages, because the rest of the old list would
 *          be of another moment.
 */
#ifndef EA_KUBE_LIST_H
#define EA_KUBE_LIST_H

#include "kube/client.h"

struct ea_list_opts {
    const char *ns;             /* NULL = all namespaces */
    const char *label_selector; /* NULL = all */
    const char *field_selector;
    unsigned page; /* 0 = 500 */
    /* One object's bytes as sent (items of built-in kinds lack apiVersion and kind). A return other
     * than 0 ends the list with it. */
    int (*object)(void *arg, struct ea_str bytes);
    int (*oversize)(void *arg, struct ea_str head, uint64_t size);
    /* The list starts again from nothing (expired continue token): what was given so far may be
     * given again. May be NULL. */
    void (*restart)(void *arg);
    void *arg;
};

/* *ret_rv gets the collection's resourceVersion (opaque). 0, the codes of ea_kube_call, -EPIPE (cut
 * off), -EINVAL (no list), or what a callback returned. retry_after_ms: of a refusal, 0 = none was
 * named. */
EA_MUST_CHECK int ea_kube_list(struct ea_kube *k, const struct ea_kube_res *res,
                               const struct ea_list_opts *o, char ret_rv[256],
                               uint64_t *ret_retry_after_ms, struct ea_err *err);

#endif
