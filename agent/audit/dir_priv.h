/* audit/dir_priv.h - inside of the directory source: dir.c walks and watches, dir_read.c turns
 * files into objects.
 *
 * Thread:  the source's own (the caller's during start); stat under `lock`.
 */
#ifndef EA_AUDIT_DIR_PRIV_H
#define EA_AUDIT_DIR_PRIV_H

#include "audit/dir.h"
#include "base/map.h"
#include "doc/yaml.h"

#include <pthread.h>
#include <stdatomic.h>

struct dir_file {
    char *path; /* below the folder */
    uint64_t mtime_ns, size, inode;
    char **keys; /* objects of this file: "table TAB namespace TAB name" */
    size_t n_keys;
    bool bad, told_bad; /* unreadable; said so */
    bool due;           /* to be read in this round */
    bool shadowed;      /* holds an object that another file gave first */
    unsigned round;     /* the last one that met it */
    unsigned tries;     /* unreadable that often in a row */
};

/* Where an object stands. */
struct dir_place {
    struct dir_file *file; /* NULL: nobody's any more, deleted at the end of the round */
    uint64_t stamp;        /* the reading that met it last */
    unsigned document, item, line;
    bool has_item;
};

struct ea_dir {
    struct ea_dir_opts o;
    char *path;
    int inotify, wake;
    pthread_t thread;
    bool running, told_all, root_gone;
    _Atomic bool stopping;
    struct ea_map files;  /* path -> struct dir_file */
    struct ea_map places; /* key -> struct dir_place */
    char **orphans;       /* keys whose file let go of them in this round */
    size_t n_orphans;
    struct ea_arena arena; /* of one file */
    struct ea_buf json;
    unsigned round;
    uint64_t stamp; /* counts files read */
    bool again;     /* look once more soon: a file seems to be written just now */
    pthread_mutex_t lock;
    struct ea_dir_stat stat;
};

/* Reads one file and tells what changed in it. */
void dir_read(struct ea_dir *d, struct dir_file *f);
/* The file is gone: lets go of its objects, closes its gap. */
void dir_drop(struct ea_dir *d, struct dir_file *f);
/* Deletes what nobody claimed in this round. */
void dir_settle(struct ea_dir *d);
void dir_file_free(void *p);
/* Adds the table of a resource, or finds it. */
int dir_table(struct ea_dir *d, const struct ea_gvr *g);

#endif
