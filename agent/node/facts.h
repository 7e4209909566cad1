/* node/facts.h - facts about the node as one document that node controls judge (variable `node`).
 *
 * Thread:  [owner] of the arena.
 * Owns:    nothing; every string is copied into the arena.
 * Limits:  256 KiB a file, 512 entries a folder.
 * Never:   decides, writes, follows a link out of the root, runs a program. What cannot be read is
 * absent and named in `unreadable`. Source:
 * kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1, CIS Kubernetes Benchmark
 * sections 1.1 and 4.1.
 *
 * {"root":"/","unreadable":["…"],"kernel":{"release","sysctl":{…}},"os":{"id","versionId"},
 *  "files":{"/etc/kubernetes/pki":[{"path","mode":"0600","uid","gid","type":"file|dir|link"}]},
 *  "kubelet":{"config":{…KubeletConfiguration…},"file":{"path","mode","uid","gid"}}}
 */
#ifndef EA_NODE_FACTS_H
#define EA_NODE_FACTS_H

#include "base/arena.h"
#include "doc/build.h"
#include "doc/val.h"

/* One fact is one file node/fact_<name>.c exporting `const struct ea_fact ea_fact_<name>`; the list
 * stands in facts.c. */
struct ea_fact_read {
    struct ea_arena *arena;
    int root_fd;                 /* folder that stands for "/" */
    struct ea_listb *unreadable; /* paths that exist and could not be read */
};
struct ea_fact {
    const char *name; /* key in the document */
    /* null value = nothing known. 0 or -E2BIG. */
    int (*read)(struct ea_fact_read *r, struct ea_val *ret);
};

/* root: "/" or, for tests and the DaemonSet's mount, another folder. 0, -errno (root is not there),
 * -E2BIG. */
EA_MUST_CHECK int ea_node_facts(struct ea_arena *a, const char *root, struct ea_val *ret,
                                struct ea_err *err);

/* ---- for facts ---- */
/* Text of a file below the root, at most 256 KiB; p NULL when absent or unreadable. */
struct ea_str ea_fact_text(struct ea_fact_read *r, const char *path);
/* {"path","mode","uid","gid","type"} of a path below the root; null when absent. */
struct ea_val ea_fact_stat(struct ea_fact_read *r, const char *path);
/* The same for every entry below a folder, to depth 3. */
struct ea_val ea_fact_tree(struct ea_fact_read *r, const char *path);

#endif
