/* app/scan_input.h - manifests from files, folders and stdin, as a flat list of objects with their
 * sources.
 *
 * Thread:  [owner].
 * Owns:    every text and tree that it read; freed by ea_scan_input_done.
 * Limits:  EA_MAX_MANIFEST a file, EA_ARENA_SCAN a group of files.
 */
#ifndef EA_APP_SCAN_INPUT_H
#define EA_APP_SCAN_INPUT_H

#include "base/map.h"
#include "controls/finding.h"

struct ea_scan_object {
    struct ea_val object; /* as written */
    struct ea_source src;
    struct ea_str api_version, kind; /* of the object, or of its typed list */
};

struct ea_scan_chunk;

struct ea_scan_input {
    struct ea_scan_object *v;
    size_t n, size;
    size_t n_files, n_errors, n_warnings;
    size_t n_foreign;            /* documents in folders that are no Kubernetes objects */
    struct ea_scan_chunk *chunk; /* newest memory */
    char **texts;                /* JSON texts that trees point into */
    size_t n_texts, size_texts;
    /* One sentence about something unreadable: "file:line: what". */
    void (*on_error)(void *arg, struct ea_str file, unsigned line, const char *text);
    /* The same for what is readable and odd. */
    void (*on_warning)(void *arg, struct ea_str file, unsigned line, const char *text);
    void *arg;
    /* Called after every file. */
    void (*on_progress)(void *arg, const struct ea_scan_input *in);
};

void ea_scan_input_init(struct ea_scan_input *in);
/* "-" is stdin. What cannot be read is told to on_error and counted; the rest is kept. */
void ea_scan_input_add(struct ea_scan_input *in, const char *path);
/* One stream of bytes under a name (tests, fuzzing). The text is copied when needed. named: given
 * by name, so that a document that is no Kubernetes object is an error. */
void ea_scan_input_bytes(struct ea_scan_input *in, struct ea_str file, struct ea_str text,
                         bool named);
void ea_scan_input_done(struct ea_scan_input *in);

/* Names, namespaces and joins over the whole input. */
struct ea_scan_index {
    const struct ea_ruleset *rs;
    const struct ea_scan_input *in;
    struct ea_map namespaces; /* name -> struct ea_val */
    struct ea_map crds;       /* group/kind -> struct ea_gvr */
    struct ea_arena arena;
    bool complete; /* the input is the whole cluster */
    struct ea_lookup lookup;
};
void ea_scan_index_init(struct ea_scan_index *x, const struct ea_ruleset *rs,
                        const struct ea_scan_input *in, bool complete);
void ea_scan_index_done(struct ea_scan_index *x);
/* What is judged for one object of the input; made in the arena. 0 or -E2BIG. */
EA_MUST_CHECK int ea_scan_subject(const struct ea_scan_index *x, const struct ea_scan_object *o,
                                  struct ea_arena *a, struct ea_subject *ret);

#endif
