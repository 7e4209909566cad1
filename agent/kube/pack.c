/* kube/pack.c - deflate, raw, fastest level, with a dictionary: objects of 600 bytes shrink to a
 * third, Pods to a fifth. */
#include "kube/pack.h"

#ifdef EA_HAVE_ZLIB

#include <pthread.h>
#include <zlib.h>

#define WINDOW (-15)  /* raw: no header, no check sum; the bytes never leave the process */
#define WORTH_IT 256u /* bytes; below, the envelope of an object outweighs the gain */

/* What is most common stands last, where references to it are shortest. */
static const char dictionary[] =
    "\"subjects\":[{\"kind\":\"ServiceAccount\",\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s."
    "io\",\"kind\":\"ClusterRole\","
    "\"rules\":[{\"apiGroups\":[\"\"],\"resources\":[\"verbs\":[\"get\",\"list\",\"watch\","
    "\"create\",\"update\",\"patch\",\"delete\"]"
    "\"kind\":\"ConfigMap\",\"data\":{\"kind\":\"Service\",\"clusterIP\":\"10.96."
    "\"internalTrafficPolicy\":\"Cluster\",\"ipFamilies\":[\"IPv4\"],"
    "\"sessionAffinity\":\"None\",\"type\":\"ClusterIP\"},\"status\":{\"loadBalancer\":{}}}"
    "\"replicas\":1,\"revisionHistoryLimit\":10,\"strategy\":"
    "{\"rollingUpdate\":{\"maxSurge\":\"25%\",\"maxUnavailable\":\"25%\"},\"type\":"
    "\"RollingUpdate\"},\"selector\":{\"matchLabels\":{\"app\":\""
    "\"progressDeadlineSeconds\":600,\"observedGeneration\":1,\"readyReplicas\":1,"
    "\"availableReplicas\":1,\"fullyLabeledReplicas\":1"
    "\"ownerReferences\":[{\"apiVersion\":\"apps/"
    "v1\",\"kind\":\"ReplicaSet\",\"name\":\"\",\"uid\":\"\",\"controller\":true,"
    "\"blockOwnerDeletion\":true}]"
    "\"volumes\":[{\"name\":\"kube-api-access-\",\"projected\":{\"sources\":[{"
    "\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},"
    "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca."
    "crt\"}]}},{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\","
    "\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.namespace\"}}]}}],"
    "\"defaultMode\":420}}],\"containers\":[{\"name\":\"\",\"image\":\"\","
    "\"command\":[\"args\":[\"ports\":[{\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[{"
    "\"name\":\"\",\"valueFrom\":{\"resources\":{\"limits\":{\"cpu\":\"100m\","
    "\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"volumeMounts\":[{\"name\":\"kube-api-access-\","
    "\"readOnly\":true,\"mountPath\":"
    "\"/var/run/secrets/kubernetes.io/"
    "serviceaccount\"}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/"
    "healthz\",\"port\":8080,\"scheme\":\"HTTP\"},"
    "\"readinessProbe\":{\"initialDelaySeconds\":10,\"timeoutSeconds\":1,\"periodSeconds\":10,"
    "\"successThreshold\":1,\"failureThreshold\":3},"
    "\"terminationMessagePath\":\"/dev/"
    "termination-log\",\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\","
    "\"securityContext\":"
    "{\"capabilities\":{\"drop\":[\"ALL\"]},\"privileged\":false,\"runAsNonRoot\":true,"
    "\"readOnlyRootFilesystem\":true,\"allowPrivilegeEscalation\":false,"
    "\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}}],\"restartPolicy\":\"Always\","
    "\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\","
    "\"serviceAccountName\":\"default\",\"serviceAccount\":\"default\",\"nodeName\":\"\","
    "\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":"
    "\"node.kubernetes.io/"
    "not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300},{"
    "\"key\":\"node.kubernetes.io/unreachable\","
    "\"priority\":0,\"enableServiceLinks\":true,\"preemptionPolicy\":\"PreemptLowerPriority\"},"
    "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":"
    "\"Initialized\",\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-"
    "\"type\":\"Ready\",\"ContainersReady\",\"PodScheduled\",\"hostIP\":\"10.\"podIP\":"
    "\"containerStatuses\":[{\"name\":\"state\":{\"running\":{\"startedAt\":\"lastState\":{},"
    "\"ready\":true,\"restartCount\":0,\"imageID\":\"containerID\":"
    "\"containerd://"
    "\",\"started\":true}],\"qosClass\":\"Burstable\"}}\"template\":{\"metadata\":{"
    "\"creationTimestamp\":null,\"labels\":{\"app.kubernetes.io/name\":"
    "\"annotations\":{\"kubectl.kubernetes.io/"
    "last-applied-configuration\":\"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":"
    "\"\",\"generateName\":"
    "\"namespace\":\"default\",\"uid\":\"\",\"resourceVersion\":\"\",\"generation\":1,"
    "\"creationTimestamp\":\"2026-\",\"labels\":{\"app\":\"\"},\"spec\":{";

struct kube_packer {
    pthread_mutex_t lock;
    z_stream z;
};

struct kube_packer *kube_packer_new(void)
{
    struct kube_packer *p = ea_xalloc(sizeof(*p));

    pthread_mutex_init(&p->lock, NULL);
    if (deflateInit2(&p->z, Z_BEST_SPEED, Z_DEFLATED, WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(p);
        return NULL;
    }
    return p;
}

void kube_packer_free(struct kube_packer *p)
{
    if (!p)
        return;
    (void)deflateEnd(&p->z);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int kube_pack(struct kube_packer *p, struct ea_str text, struct ea_buf *out)
{
    int rc = -ENODATA;

    if (!p || text.n < WORTH_IT || ea_buf_reserve(out, text.n) < 0)
        return rc;
    pthread_mutex_lock(&p->lock);
    if (deflateReset(&p->z) == Z_OK &&
        deflateSetDictionary(&p->z, (const Bytef *)dictionary, sizeof(dictionary) - 1) == Z_OK) {
        p->z.next_in = (Bytef *)text.p;
        p->z.avail_in = (uInt)text.n;
        p->z.next_out = (Bytef *)out->p + out->n;
        p->z.avail_out = (uInt)text.n - 1; /* as long as the text is no gain */
        if (deflate(&p->z, Z_FINISH) == Z_STREAM_END) {
            out->n += text.n - 1 - p->z.avail_out;
            rc = 0;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int kube_unpack(struct ea_str packed, char *text, size_t n)
{
    z_stream z = {0};
    int rc = -EBADMSG;

    if (inflateInit2(&z, WINDOW) != Z_OK)
        return rc;
    z.next_in = (Bytef *)packed.p;
    z.avail_in = (uInt)packed.n;
    z.next_out = (Bytef *)text;
    z.avail_out = (uInt)n;
    if (inflateSetDictionary(&z, (const Bytef *)dictionary, sizeof(dictionary) - 1) == Z_OK &&
        inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_out == 0)
        rc = 0;
    (void)inflateEnd(&z);
    return rc;
}

#else

struct kube_packer *kube_packer_new(void)
{
    return NULL;
}

void kube_packer_free(struct kube_packer *p)
{
    (void)p;
}

int kube_pack(struct kube_packer *p, struct ea_str text, struct ea_buf *out)
{
    return -ENODATA;
}

int kube_unpack(struct ea_str packed, char *text, size_t n)
{
    return -EBADMSG;
}

#endif
