#include "node/facts.h"

/* Modes and owners of the control plane's and the kubelet's files. */
static int read_files(struct ea_fact_read *r, struct ea_val *ret)
{
    static const char *const trees[] = {"/etc/kubernetes/pki", "/etc/kubernetes/manifests",
                                        "/var/lib/kubelet/pki"};
    static const char *const singles[] = {"/etc/kubernetes/admin.conf",
                                          "/etc/kubernetes/super-admin.conf",
                                          "/etc/kubernetes/kubelet.conf",
                                          "/etc/kubernetes/scheduler.conf",
                                          "/etc/kubernetes/controller-manager.conf",
                                          "/var/lib/etcd"};
    struct ea_mapb m;

    ea_mapb_init(&m, r->arena);
    for (size_t i = 0; i < EA_COUNT(trees); i++) {
        struct ea_val v = ea_fact_tree(r, trees[i]);

        if (v.n)
            ea_mapb_put(&m, ea_str(trees[i]), v);
    }
    for (size_t i = 0; i < EA_COUNT(singles); i++) {
        struct ea_val v = ea_fact_stat(r, singles[i]);
        struct ea_listb one;

        if (v.type == EA_V_NULL)
            continue;
        ea_listb_init(&one, r->arena);
        ea_listb_add(&one, v);
        ea_mapb_put(&m, ea_str(singles[i]), ea_listb_end(&one));
    }
    *ret = ea_mapb_end(&m);
    return m.failed ? -E2BIG : 0;
}

const struct ea_fact ea_fact_files = {"files", read_files};
