/* kube/config.h - who we are at the API server: in-cluster credentials or a kubeconfig.
 *
 * Thread:  a configuration is [any] (one lock inside), reference-counted.
 * Owns:    copies of every credential; replaced ones live until their last connection is closed.
 * Limits:  EA_MAX_KUBECONFIG, EA_MAX_CREDENTIAL a file, EA_MAX_EXEC_OUTPUT and 30 s for an exec
 *          plugin.
 * Never:   logs, prints a credential, runs a shell. Files are read again every minute and after a
 *          401; an exec plugin runs again when its credential expires and after a 401.
 * Source:  kubernetes.io docs "Organizing Cluster Access Using kubeconfig Files", client-
 *          go/tools/clientcmd/api/v1, client.authentication.k8s.io/v1 and v1beta1.
 * Refused: impersonation, auth-provider (removed in Kubernetes 1.26), exec plugins that always
 *          want a terminal.
 */
#ifndef EA_KUBE_CONFIG_H
#define EA_KUBE_CONFIG_H

#include "base/base.h"
#include "net/client.h"

struct ea_kube_config;

/* From the service account that the kubelet mounts. root NULL:
 * /var/run/secrets/kubernetes.io/serviceaccount. 0, -ENOENT (KUBERNETES_SERVICE_HOST or a file is
 * missing), -E2BIG, -errno. */
EA_MUST_CHECK int ea_kube_config_in_cluster(const char *root, struct ea_kube_config **ret,
                                            struct ea_err *err);
/* A kubeconfig file; context NULL: current-context. 0, -ENOENT, -EINVAL (file and what is wrong),
 * -E2BIG, -errno. */
EA_MUST_CHECK int ea_kube_config_load(const char *path, const char *context,
                                      struct ea_kube_config **ret, struct ea_err *err);
/* The bytes of a kubeconfig; relative paths are taken from dir. Reads no file and runs nothing yet.
 */
EA_MUST_CHECK int ea_kube_config_parse(struct ea_str text, const char *dir, const char *context,
                                       struct ea_kube_config **ret, struct ea_err *err);
struct ea_kube_config *ea_kube_config_ref(struct ea_kube_config *c);
void ea_kube_config_unref(struct ea_kube_config *c);

const char *ea_kube_config_server(const struct ea_kube_config *c); /* "https://10.0.0.1:443" */
const char *ea_kube_config_namespace(
    const struct ea_kube_config *c); /* of the context or pod, "default" when unset */
bool ea_kube_config_is_in_cluster(const struct ea_kube_config *c);

/* ---- for client.c ---- */

struct ea_kube_creds; /* one immutable set: CA, certificate, key, token */
/* The credentials to use now; reads files or runs the plugin when due. The caller unrefs. 0,
 * -EACCES (no credential to be had), -ETIME (plugin too slow), -errno. */
EA_MUST_CHECK int ea_kube_config_creds(struct ea_kube_config *c, struct ea_kube_creds **ret,
                                       struct ea_err *err);
struct ea_kube_creds *ea_kube_creds_ref(struct ea_kube_creds *k);
void ea_kube_creds_unref(struct ea_kube_creds *k);
/* Counts up when the TLS side (CA, certificate, key) changed: a new connection is needed. */
uint64_t ea_kube_creds_tls_generation(const struct ea_kube_creds *k);
/* The Authorization header's value; nothing for certificates alone. */
int ea_kube_creds_authorize(const struct ea_kube_creds *k, struct ea_buf *b);
/* A client with these credentials. o: time-outs, max_response and user_agent are kept, the rest is
 * filled in; strings stay borrowed from c and k, both of which must outlive the client. */
void ea_kube_config_http(const struct ea_kube_config *c, const struct ea_kube_creds *k,
                         struct ea_http_opts *o);
/* The server said 401 to these credentials: get others next time (at most once in 10 s). */
void ea_kube_config_rejected(struct ea_kube_config *c, const struct ea_kube_creds *k);

#endif
