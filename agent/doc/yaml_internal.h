/* doc/yaml_internal.h - what the yaml*.c files share: the tree that libyaml's events make, before
 * its scalars mean anything.
 *
 * Thread:  [owner].
 * Owns:    the tree lies in an arena of its own that goes when the document is built; texts lie in
 * the document's arena.
 */
#ifndef EA_DOC_YAML_INTERNAL_H
#define EA_DOC_YAML_INTERNAL_H

#include "doc/yaml.h"

enum ea_ykind { EA_Y_SCALAR, EA_Y_LIST, EA_Y_MAP, EA_Y_ALIAS };
enum ea_ystate { EA_Y_NEW, EA_Y_BUSY, EA_Y_DONE };

struct ea_ynode {
    uint8_t kind;
    uint8_t state;
    bool implicit;  /* plain scalar without a tag */
    uint8_t height; /* levels of containers, once built */
    uint32_t line;  /* 1-based */
    uint32_t column;
    uint32_t n;         /* children: items, or keys and values in turn */
    struct ea_str tag;  /* p NULL = none */
    struct ea_str text; /* scalar; name of an alias */
    struct ea_ynode *first, *last, *next;
    struct ea_ynode *target; /* of an alias */
    uint64_t weight;         /* nodes that sigs.k8s.io/yaml would decode for it, once built */
    struct ea_val built;
};

/* What a scalar means. As keys, numbers need their type still. */
struct ea_yscalar {
    struct ea_val v; /* null, bool, int, uint, double, string */
    bool binary;     /* string of !!binary, not yet text */
};

/* One document on its way from events to nodes. */
struct ea_ybuild {
    struct ea_arena *a;   /* of the document */
    struct ea_arena *tmp; /* of the tree */
    enum ea_yaml_profile profile;
    struct ea_yaml_stream *out; /* for warnings */
    struct ea_yaml_lines *lines;
    unsigned depth;
    unsigned aliases;
    unsigned in_alias;
    uint64_t decoded, decoded_by_alias;
    struct ea_err *err;
};

/* Resolves a scalar as sigs.k8s.io/yaml does (go.yaml.in/yaml/v2, resolve.go), or by the core
 * schema. 0, -EINVAL, -E2BIG. */
EA_MUST_CHECK int ea_yaml_resolve_kubernetes(struct ea_ybuild *b, const struct ea_ynode *n,
                                             struct ea_yscalar *ret);
EA_MUST_CHECK int ea_yaml_resolve_strict(struct ea_ybuild *b, const struct ea_ynode *n,
                                         struct ea_yscalar *ret);
/* The text of a scalar used as a key. 0, -EINVAL, -E2BIG. */
EA_MUST_CHECK int ea_yaml_key_text(struct ea_ybuild *b, const struct ea_ynode *n,
                                   const struct ea_yscalar *s, struct ea_str *ret);
/* A JSON value: whole doubles become integers as they do on their way through Go's JSON. 0, -EINVAL
 * (infinity, NaN), -E2BIG. */
EA_MUST_CHECK int ea_yaml_json_value(struct ea_ybuild *b, const struct ea_ynode *n,
                                     const struct ea_yscalar *s, struct ea_val *ret);
/* Builds the nodes of the tree under root. 0, -EINVAL, -E2BIG. */
EA_MUST_CHECK int ea_yaml_build(struct ea_ybuild *b, struct ea_ynode *root, struct ea_val *ret);

/* Fails with "line L, column C: …". */
int ea_yaml_fail(struct ea_ybuild *b, int code, const struct ea_ynode *n, const char *fmt, ...)
    EA_PRINTF(4, 5);
/* Notes "line L: …" for the reader; false = over the cap of the arena. */
bool ea_yaml_warn(struct ea_ybuild *b, unsigned line, const char *fmt, ...) EA_PRINTF(3, 4);

/* ---- the line table ---- */

/* NULL = over the cap. */
struct ea_yaml_lines *ea_yaml_lines_new(struct ea_arena *a);
/* Lines of the n entries of one array, `stride` bytes apart; `line` is copied. 0 or -E2BIG. */
EA_MUST_CHECK int ea_yaml_lines_add(struct ea_yaml_lines *l, const void *base, size_t stride,
                                    const uint32_t *line, uint32_t n);
/* To be called once, when all arrays are there. */
void ea_yaml_lines_seal(struct ea_yaml_lines *l);
/* For a document that the JSON parser made of `text`: lines from where its keys and strings lie,
 * from line `from` at text.p on. Whole doubles become integers, as everywhere in the kubernetes
 * profile. 0 or -E2BIG. */
EA_MUST_CHECK int ea_yaml_lines_of_json(struct ea_yaml_lines *l, struct ea_str text, unsigned from,
                                        struct ea_val *root);

#endif
