/* app/config.h - the configuration: one table gives parsing, defaults, types, help and
 * docs/CONFIG.md.
 *
 * Thread:  a loaded configuration is immutable and [any].
 * Owns:    its arena; strings live as long as the configuration.
 * Limits:  EA_MAX_OWN_FILE.
 */
#ifndef EA_APP_CONFIG_H
#define EA_APP_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "doc/val.h"

#define EA_CONFIG_CHOICES_SOURCE "kubernetes|directory"
#define EA_CONFIG_CHOICES_LEVEL "basic|substantial|high"
#define EA_CONFIG_CHOICES_ACTION "audit|warn|deny"

/* X(path, C name, kind, default, choices, help): kinds are STR, BOOL, UINT, DURATION
 * (microseconds), BYTES, LIST (of strings), TREE (any document). An empty default of STR is "not
 * set". */
#define EA_CONFIG_OPTIONS(X)                                                                       \
    X("source.kind", source_kind, STR, "kubernetes", EA_CONFIG_CHOICES_SOURCE,                     \
      "where objects come from: the API server, or a folder of manifests watched for changes")     \
    X("source.path", source_path, STR, "", NULL, "the folder, with kind directory")                \
    X("source.kubeconfig", kubeconfig, STR, "", NULL,                                              \
      "kubeconfig file; not set: the pod's own service account")                                   \
    X("source.context", kube_context, STR, "", NULL,                                               \
      "context of the kubeconfig; not set: current")                                               \
    X("level", level, STR, "high", EA_CONFIG_CHOICES_LEVEL,                                        \
      "assurance level of cluster-scoped objects and unlabelled namespaces (the floor)")           \
    X("enforcement", enforcement, STR, "deny", EA_CONFIG_CHOICES_ACTION,                           \
      "the strongest thing a verdict may do at admission")                                         \
    X("existingWorkloads", existing_workloads, STR, "warn", "warn|deny",                           \
      "what a controller gets that renews a Pod of a workload which already had the failure")      \
    X("exemptNamespaces", exempt_namespaces, LIST, "", NULL,                                       \
      "namespaces that the webhook never sees, beside kube-system and its own (CNI, CSI)")         \
    X("controls.dir", controls_dir, STR, "", NULL,                                                 \
      "folder of control files; not set: the built-in ones")                                       \
    X("controls.params", params, TREE, "", NULL,                                                   \
      "settings of controls: {control id: {param: value}}")                                        \
    X("exemptions", exemptions, STR, "", NULL, "file of Exemption documents")                      \
    X("evidence.dir", evidence_dir, STR, "/var/lib/eucs-agent", NULL,                              \
      "folder of the evidence log")                                                                \
    X("evidence.domain", evidence_domain, STR, "eucs-agent.local", NULL,                           \
      "first part of the log's origin")                                                            \
    X("evidence.sync", evidence_sync, STR, "interval", "interval|always|os",                       \
      "when a record reaches the disk for good: every syncInterval, before the answer, or when "   \
      "the kernel likes")                                                                          \
    X("evidence.syncInterval", sync_interval, DURATION, "100ms", NULL, "with sync: interval")      \
    X("evidence.segmentSize", segment_size, BYTES, "16Mi", NULL, "size of one log file")           \
    X("evidence.diskLimit", disk_limit, BYTES, "1Gi", NULL, "most that the log may take")          \
    X("evidence.whenFull", when_full, STR, "evict-oldest", "evict-oldest|block",                   \
      "at the limit: drop the oldest records (counted and recorded), or refuse to decide")         \
    X("evidence.key", evidence_key, STR, "ed25519", "ed25519|ecdsa-p256",                          \
      "signature of checkpoints")                                                                  \
    X("sinks", sinks, TREE, "", NULL, "list of destinations, see `eucs-agent sinks list`")         \
    X("webhook.enabled", webhook_enabled, BOOL, "true", NULL, "serve admission reviews")           \
    X("webhook.address", webhook_address, STR, "::", NULL, "address to listen on")                 \
    X("webhook.port", webhook_port, UINT, "8443", NULL, "port to listen on, 0 = any free one")     \
    X("webhook.workers", webhook_workers, UINT, "1", NULL, "service threads")                      \
    X("webhook.certFile", webhook_cert, STR, "", NULL,                                             \
      "server certificate (PEM); not set: made by the agent")                                      \
    X("webhook.keyFile", webhook_key, STR, "", NULL, "its key (PEM)")                              \
    X("webhook.caFile", webhook_ca, STR, "", NULL,                                                 \
      "CA of certFile, put into the webhook configuration as caBundle")                            \
    X("webhook.clientCAFile", webhook_client_ca, STR, "", NULL,                                    \
      "CA of the API server's client certificate")                                                 \
    X("webhook.configure", webhook_configure, BOOL, "true", NULL,                                  \
      "with source kubernetes: make and keep the ValidatingWebhookConfiguration")                  \
    X("webhook.name", webhook_name, STR, "eucs-agent", NULL, "name of the webhook configuration")  \
    X("webhook.url", webhook_url, STR, "", NULL,                                                   \
      "https://host:port for an agent outside the cluster; not set: the service")                  \
    X("webhook.service", webhook_service, STR, "eucs-agent-webhook", NULL,                         \
      "Service in front of the webhook")                                                           \
    X("webhook.servicePort", webhook_service_port, UINT, "443", NULL, "its port")                  \
    X("webhook.timeoutSeconds", webhook_timeout, UINT, "3", NULL,                                  \
      "timeout that the API server grants, 1 to 30")                                               \
    X("webhook.ownerClusterRole", webhook_owner, STR, "", NULL,                                    \
      "ClusterRole of the release; the configuration goes with it")                                \
    X("webhook.breakGlass", break_glass, BOOL, "false", NULL,                                      \
      "emergency: failurePolicy Ignore everywhere")                                                \
    X("webhook.allowUnauthenticated", allow_unauthenticated, BOOL, "false", NULL,                  \
      "do not limit callers without the path token (directory source: always so)")                 \
    X("web.enabled", web_enabled, BOOL, "true", NULL, "serve the status page, API and metrics")    \
    X("web.address", web_address, STR, "::", NULL, "address to listen on")                         \
    X("web.port", web_port, UINT, "8444", NULL, "port to listen on, 0 = any free one")             \
    X("web.tokenFile", web_token_file, STR, "", NULL,                                              \
      "file with the bearer token; not set: made at start in the log's folder")                    \
    X("health.enabled", health_enabled, BOOL, "true", NULL, "serve /livez and /readyz")            \
    X("health.address", health_address, STR, "::", NULL, "address to listen on")                   \
    X("health.port", health_port, UINT, "8081", NULL,                                              \
      "port to listen on (plain HTTP), 0 = any free one")                                          \
    X("seats.count", seats_count, UINT, "1", NULL,                                                 \
      "pods that hold a seat (serve the webhook, watch the cluster)")                              \
    X("seats.namespace", seats_namespace, STR, "", NULL,                                           \
      "namespace of the Lease and the pods; not set: the pod's own")                               \
    X("seats.lease", seats_lease, STR, "eucs-agent-seat", NULL, "name of the Lease")               \
    X("seats.enabled", seats_enabled, BOOL, "true", NULL,                                          \
      "with source kubernetes: take a seat before serving")                                        \
    X("pod.name", pod_name, STR, "", NULL, "own pod; not set: environment POD_NAME")               \
    X("node.name", node_name, STR, "", NULL, "own node; not set: environment NODE_NAME")           \
    X("node.root", node_root, STR, "", NULL,                                                       \
      "root folder of the node's files for node facts; not set: no node facts")                    \
    X("log.level", log_level, STR, "info", "error|warn|info|debug",                                \
      "how much the agent says on stderr")                                                         \
    X("log.format", log_format, STR, "logfmt", "logfmt|json", "shape of its lines")

#define EA_CONFIG_T_STR const char *
#define EA_CONFIG_T_BOOL bool
#define EA_CONFIG_T_UINT uint64_t
#define EA_CONFIG_T_DURATION uint64_t
#define EA_CONFIG_T_BYTES uint64_t
#define EA_CONFIG_T_LIST const char *const *
#define EA_CONFIG_T_TREE struct ea_val

#define EA_CONFIG_FIELD(path, name, kind, dflt, choices, help) EA_CONFIG_T_##kind name;

struct ea_config {
    struct ea_arena arena;
    EA_CONFIG_OPTIONS(EA_CONFIG_FIELD)
};

/* Reads a YAML file (strict profile); path NULL = defaults alone. Unknown keys, wrong types and
 * wrong choices are errors with file and line. 0, -EINVAL, -errno. The caller frees with
 * ea_config_free. */
EA_MUST_CHECK int ea_config_load(const char *path, struct ea_config **ret, struct ea_err *err);
/* The same from text; `name` stands in messages. */
EA_MUST_CHECK int ea_config_parse(struct ea_str text, const char *name, struct ea_config **ret,
                                  struct ea_err *err);
void ea_config_free(struct ea_config *c);
/* docs/CONFIG.md: one Markdown table row per option. */
void ea_config_doc(struct ea_buf *b);

#endif
