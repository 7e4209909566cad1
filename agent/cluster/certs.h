/* cluster/certs.h - the webhook's serving certificate and its CA, kept in one Secret, laid out as
 * files for the server.
 *
 * Thread:  [owner] of the client.
 * Owns:    the files ca.crt, tls.crt, tls.key in its folder (keys 0600).
 * Limits:  CA ten years, server certificate one year; renewed when a third of the life is left, or
 *          when the names changed. A new CA goes into the bundle before the old one, which stays
 *          there as long as the Secret holds it.
 * Never:   lets the CA's key touch the disk.
 */
#ifndef EA_CLUSTER_CERTS_H
#define EA_CLUSTER_CERTS_H

#include "kube/client.h"

struct ea_certs_opts {
    const char *ns, *secret;
    const char *const *names; /* NULL-terminated: svc, svc.ns, svc.ns.svc */
    const char *dir;          /* made when missing, mode 0700 */
};

/* Reads the Secret, makes or renews what is missing, writes the files when they differ. ca_bundle
 * gets the PEM bundle for caBundle. *ret_changed: files were written. 0, codes of kube/client.h,
 * -errno. */
EA_MUST_CHECK int ea_certs_ensure(struct ea_kube *k, const struct ea_certs_opts *o,
                                  struct ea_buf *ca_bundle, bool *ret_changed, struct ea_err *err);

#endif
