/* controls/kinds.c - built-in kinds by name, with the older versions that clusters have served.
 *
 * Rules name resources and manifests name kinds. Resource names of built-in kinds have been stable
 * since they exist, so a table is enough offline. Source: kubernetes/api, group packages; removed
 * versions: the deprecation guide.
 */
#include "controls/ruleset.h"

struct builtin {
    const char *group, *version, *kind, *resource;
    bool namespaced;
};

#define RBAC "rbac.authorization.k8s.io"
#define ADM "admissionregistration.k8s.io"
static const struct builtin builtins[] = {
    {"", "v1", "Binding", "bindings", true},
    {"", "v1", "ConfigMap", "configmaps", true},
    {"", "v1", "Endpoints", "endpoints", true},
    {"", "v1", "Event", "events", true},
    {"", "v1", "LimitRange", "limitranges", true},
    {"", "v1", "Namespace", "namespaces", false},
    {"", "v1", "Node", "nodes", false},
    {"", "v1", "PersistentVolume", "persistentvolumes", false},
    {"", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true},
    {"", "v1", "Pod", "pods", true},
    {"", "v1", "PodTemplate", "podtemplates", true},
    {"", "v1", "ReplicationController", "replicationcontrollers", true},
    {"", "v1", "ResourceQuota", "resourcequotas", true},
    {"", "v1", "Secret", "secrets", true},
    {"", "v1", "Service", "services", true},
    {"", "v1", "ServiceAccount", "serviceaccounts", true},
    {ADM, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false},
    {ADM, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false},
    {ADM, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false},
    {ADM, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false},
    {ADM, "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", false},
    {ADM, "v1", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", false},
    {"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false},
    {"apiregistration.k8s.io", "v1", "APIService", "apiservices", false},
    {"apps", "v1", "ControllerRevision", "controllerrevisions", true},
    {"apps", "v1", "DaemonSet", "daemonsets", true},
    {"apps", "v1", "Deployment", "deployments", true},
    {"apps", "v1", "ReplicaSet", "replicasets", true},
    {"apps", "v1", "StatefulSet", "statefulsets", true},
    {"autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true},
    {"batch", "v1", "CronJob", "cronjobs", true},
    {"batch", "v1", "Job", "jobs", true},
    {"certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", false},
    {"certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles", false},
    {"coordination.k8s.io", "v1", "Lease", "leases", true},
    {"discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true},
    {"events.k8s.io", "v1", "Event", "events", true},
    {"flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", false},
    {"flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration",
     "prioritylevelconfigurations", false},
    {"networking.k8s.io", "v1", "Ingress", "ingresses", true},
    {"networking.k8s.io", "v1", "IngressClass", "ingressclasses", false},
    {"networking.k8s.io", "v1", "IPAddress", "ipaddresses", false},
    {"networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true},
    {"networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", false},
    {"node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", false},
    {"policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true},
    {RBAC, "v1", "ClusterRole", "clusterroles", false},
    {RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", false},
    {RBAC, "v1", "Role", "roles", true},
    {RBAC, "v1", "RoleBinding", "rolebindings", true},
    {"resource.k8s.io", "v1", "DeviceClass", "deviceclasses", false},
    {"resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", true},
    {"resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates", true},
    {"resource.k8s.io", "v1", "ResourceSlice", "resourceslices", false},
    {"scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false},
    {"storage.k8s.io", "v1", "CSIDriver", "csidrivers", false},
    {"storage.k8s.io", "v1", "CSINode", "csinodes", false},
    {"storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities", true},
    {"storage.k8s.io", "v1", "StorageClass", "storageclasses", false},
    {"storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", false},
    {"storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", false},
};

/* extensions/v1beta1 was split over several groups; every other group kept its name. */
static const struct {
    const char *kind, *group;
} extensions[] = {
    {"DaemonSet", "apps"},
    {"Deployment", "apps"},
    {"ReplicaSet", "apps"},
    {"Ingress", "networking.k8s.io"},
    {"NetworkPolicy", "networking.k8s.io"},
};

void ea_api_version_split(struct ea_str api_version, struct ea_str *ret_group,
                          struct ea_str *ret_version)
{
    const char *slash = api_version.n ? memchr(api_version.p, '/', api_version.n) : NULL;

    if (!slash) {
        *ret_group = EA_STR("");
        *ret_version = api_version;
        return;
    }
    *ret_group = ea_strn(api_version.p, (size_t)(slash - api_version.p));
    *ret_version = ea_strn(slash + 1, api_version.n - ret_group->n - 1);
}

/* v1, v2beta1, v1alpha1: what a version may look like; anything else is no version that was ever
 * served. */
static bool served_version(struct ea_str v)
{
    size_t i = 1;

    if (v.n < 2 || v.p[0] != 'v')
        return false;
    while (i < v.n && v.p[i] >= '0' && v.p[i] <= '9')
        i++;
    if (i == 1)
        return false;
    if (i == v.n)
        return true;
    struct ea_str rest = ea_strn(v.p + i, v.n - i);
    size_t word = ea_str_starts(rest, EA_STR("beta"))    ? 4
                  : ea_str_starts(rest, EA_STR("alpha")) ? 5
                                                         : 0;

    if (word == 0 || word == rest.n)
        return false;
    for (i = word; i < rest.n; i++)
        if (rest.p[i] < '0' || rest.p[i] > '9')
            return false;
    return true;
}

bool ea_builtin_kind(struct ea_str api_version, struct ea_str kind, struct ea_gvr *ret)
{
    struct ea_str group, version;

    ea_api_version_split(api_version, &group, &version);
    if (!served_version(version) || (group.n == 0 && !ea_str_is(version, "v1")))
        return false;
    if (ea_str_is(group, "extensions")) {
        if (!ea_str_is(version, "v1beta1"))
            return false;
        group = EA_STR_NULL;
        for (size_t i = 0; i < EA_COUNT(extensions); i++)
            if (ea_str_is(kind, extensions[i].kind))
                group = ea_str(extensions[i].group);
        if (group.n == 0)
            return false;
    }
    for (size_t i = 0; i < EA_COUNT(builtins); i++) {
        const struct builtin *b = &builtins[i];

        if (!ea_str_is(kind, b->kind) || !ea_str_is(group, b->group))
            continue;
        *ret = (struct ea_gvr){.group = ea_str(b->group),
                               .version = ea_str(b->version),
                               .resource = ea_str(b->resource),
                               .subresource = EA_STR(""),
                               .kind = ea_str(b->kind),
                               .namespaced = b->namespaced};
        return true;
    }
    return false;
}
