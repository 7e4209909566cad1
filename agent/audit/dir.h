/* audit/dir.h - the directory source: a folder of manifests, watched, told like the objects of a
 * cluster.
 *
 * Thread:  start, stop are [owner]; stat is [any]. One thread of its own reads files and sends
 *          events.
 * Owns:    its thread and inotify handle; the store is the caller's. Event contents are borrowed
 *          for the call.
 * Limits:  EA_MAX_DIR_FILES files, EA_MAX_DIR_DEPTH folders deep, EA_MAX_MANIFEST a file,
 *          EA_ARENA_SCAN a file's documents.
 * Never:   follows a hidden name (.git, ..data), ends because of a bad file: it is told as a gap
 *          `unreadable-file` of that file, with the line, and its objects of before stay until it
 *          can be read again.
 * Files:   *.yaml, *.yml, *.json, below each other; several documents; `List` and typed lists; the
 *          YAML profile of kubectl. An object that stands in two files counts once, from the file
 *          that sorts first.
 */
#ifndef EA_AUDIT_DIR_H
#define EA_AUDIT_DIR_H

#include "controls/ruleset.h"
#include "kube/watch.h"

struct ea_dir;

struct ea_dir_opts {
    const char *path;
    struct ea_store *store;   /* gets a table for each kind met, and one for namespaces */
    struct ea_ruleset *rules; /* for kinds (shared) */
    void (*event)(void *arg, const struct ea_kube_event *e);
    void *arg;
    unsigned debounce_ms; /* quiet time after a change before files are read; 0 = 100 */
};

/* Reads everything once before it returns (the events of that come on the caller's thread, ended by
 * EA_KUBE_SYNCED for each kind and one without a resource), then watches. 0, -ENOENT, -ENOTDIR,
 * -EMFILE (inotify), -errno. */
EA_MUST_CHECK int ea_dir_start(const struct ea_dir_opts *o, struct ea_dir **ret,
                               struct ea_err *err);
void ea_dir_stop(struct ea_dir *d);

struct ea_dir_stat {
    size_t files, objects, bad_files;
    uint64_t rounds; /* times the folder was looked through */
    char error[512]; /* the last unreadable file: "path:line: why"; empty when all can be read */
};
void ea_dir_stat(struct ea_dir *d, struct ea_dir_stat *ret);

#endif
