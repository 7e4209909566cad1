/* kube/config_priv.h - inside of a configuration: config.c, kubeconfig.c and exec.c share it.
 *
 * Thread:  as config.h; every field but the mutable ones at the end is fixed once parsed.
 */
#ifndef EA_KUBE_CONFIG_PRIV_H
#define EA_KUBE_CONFIG_PRIV_H

#include "base/clock.h"
#include "kube/config.h"

#include <pthread.h>
#include <stdatomic.h>

struct kube_blob {
    char *p; /* NUL-terminated, NULL = absent */
    size_t n;
};

/* One credential source: inline bytes win over the file, as in client-go. */
struct kube_source {
    struct kube_blob data;
    char *file;
};

struct kube_exec {
    bool v1beta1;
    char *command;
    char **args; /* NULL-terminated, args[0] = command */
    char **env;  /* NULL-terminated "NAME=value" to add */
    char *info;  /* KUBERNETES_EXEC_INFO */
    char *hint;  /* installHint, may be NULL */
};

struct ea_kube_creds {
    atomic_uint refs;
    uint64_t tls_generation;
    struct kube_blob ca, cert, key, token, basic; /* basic: "user:password" */
    ea_wall_us expires;                           /* 0 = never */
};

struct ea_kube_config {
    atomic_uint refs;
    char *server, *namespace_, *tls_server_name, *proxy;
    bool insecure, in_cluster;
    struct kube_source ca, cert, key, token;
    struct kube_blob basic;
    struct kube_exec *exec;

    pthread_mutex_t lock; /* what follows */
    struct ea_kube_creds *creds;
    uint64_t generation;
    ea_mono_us read_at, rejected_at;
    bool rejected;
};

struct ea_kube_config *kube_config_new(void);
void kube_blob_free(struct kube_blob *b); /* cleanses */
struct kube_blob kube_blob_dup(struct ea_str s);
void kube_exec_free(struct kube_exec *e);
/* Runs the plugin and fills token, certificate, key and expiry of k. */
int kube_exec_run(const struct kube_exec *e, struct ea_kube_creds *k, struct ea_err *err);
/* The plugin's standard output. 0, -EINVAL (what is wrong with it). */
int kube_exec_parse(bool v1beta1, struct ea_str text, struct ea_kube_creds *k, struct ea_err *err);

#endif
