/* doc/yaml.h - YAML streams through libyaml into the same nodes.
 *
 * Thread:  [owner] of the arena.
 * Owns:    nothing; copies every string into the arena.
 * Limits:  EA_MAX_DEPTH, EA_MAX_YAML_ALIASES, EA_MAX_YAML_NODES, EA_MAX_DOCUMENTS; the caller caps
 * the text. Profiles: strict      YAML 1.2 core schema for our own files: no tags, no duplicate
 * keys, and plain yes/no/on/off/y/n are refused. kubernetes  exactly as sigs.k8s.io/yaml resolves:
 * yes and on are true, 0644 is 420, merge keys, a repeated key: last wins with a warning, map keys
 * become strings as there. JSON is a subset and is accepted as such.
 */
#ifndef EA_DOC_YAML_H
#define EA_DOC_YAML_H

#include "doc/val.h"

enum ea_yaml_profile { EA_YAML_STRICT, EA_YAML_KUBERNETES };

struct ea_yaml_doc {
    struct ea_val root; /* null node for an empty document */
    unsigned line;      /* 1-based line where the document starts */
    struct ea_yaml_lines *lines;
};

struct ea_yaml_stream {
    struct ea_yaml_doc *docs;
    size_t n;
    const char **warnings; /* "line 12: key "a" repeats, the last one counts" */
    size_t n_warnings;
};

/* Parses a whole stream (documents split by ---). 0, -EINVAL (text with line and column), -E2BIG.
 * All in the arena. */
EA_MUST_CHECK int ea_yaml_parse(struct ea_arena *a, struct ea_str text,
                                enum ea_yaml_profile profile, struct ea_yaml_stream *ret,
                                struct ea_err *err);
/* Line of the key or item that holds this node: `node` must be the address of a node inside the
 * document (not a copy). 0 = unknown. */
unsigned ea_yaml_line(const struct ea_yaml_doc *d, const struct ea_val *node);

#endif
