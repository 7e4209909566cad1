/* controls/internal.h - what the files of this room share.
 *
 * Thread:  as ruleset.h; nothing here is used outside the room.
 */
#ifndef EA_CONTROLS_INTERNAL_H
#define EA_CONTROLS_INTERNAL_H

#include "base/map.h"
#include "controls/judge.h"
#include "doc/yaml.h"

#define EA_API_VERSION "eucs-agent.io/v1alpha1"

/* Slots of every control's environment; composed variables follow. */
enum ea_slot {
    EA_S_OBJECT,
    EA_S_OLD_OBJECT,
    EA_S_REQUEST,
    EA_S_PARAMS,
    EA_S_NAMESPACE_OBJECT,
    EA_S_AUTHORIZER,
    EA_S_CONTEXT,
    EA_S_NODE,
    EA_S_NOW,
    EA_S_LEVEL,
    EA_S_FIXED
};

/* One file of the set; bytes live as long as the set. */
struct ea_cfile {
    struct ea_str rel;  /* "pod/pod-privileged.yaml" */
    struct ea_str path; /* for messages: "controls/pod/pod-privileged.yaml" */
    struct ea_str bytes;
    struct ea_yaml_doc doc; /* root null when it does not parse */
    struct ea_str error;    /* why it does not parse */
    bool parsed;
    bool used; /* some control or the loader asked for it */
};

/* A join of spec.context. */
struct ea_join {
    struct ea_str name, api_version, kind;
    const struct ea_cel_prog *ns;       /* NULL = all namespaces */
    const struct ea_cel_prog *selector; /* map of labels, NULL = all */
    unsigned cap;
};

struct ea_control_priv {
    int family; /* controls with the same libraries share the values of the leading variables; -1 =
                   alone */
    unsigned n_shared; /* how many of the leading variables may be shared */
    unsigned index;    /* position in the set */
    unsigned ops;      /* union over the rules that are no exclusions */
    bool uses_request; /* reads any part of `request` */
    const struct ea_join *joins;
    unsigned n_joins;
    struct ea_str json_head; /* ,"severity":"…","level":"…" */
    struct ea_str json_tail; /* ,"remediation":"…","requirements":[…],"references":{…} */
    const struct ea_cfile *file;
};

/* Controls that may match one (group, resource, subresource), in order of id. */
struct ea_dispatch {
    unsigned n;
    struct {
        const struct ea_control *c;
        unsigned ops; /* of the rules that name this resource */
        bool plain;   /* no exclusions, scopes, names or versions: ops is all there is to know */
    } e[];
};

struct ea_ruleset_priv {
    struct ea_arena arena;
    unsigned refs;
    struct ea_map dispatch;   /* "group/resource/subresource" -> struct ea_dispatch */
    struct ea_dispatch *rest; /* controls with wildcards, for resources that no rule names */
    struct ea_map kinds;      /* "group/kind" of the catalogue -> struct ea_gvr */
    struct ea_cfile *files;   /* sorted by rel */
    unsigned n_files;
    const char *dir;
    unsigned n_families;
};

/* files.c: reads the folder or takes a table (NULL: the embedded one); fills files. */
struct ea_embedded_file;
EA_MUST_CHECK int ea_files_load(struct ea_ruleset_priv *p, const char *dir,
                                const struct ea_embedded_file *table, struct ea_err *err);
/* NULL when there is none. */
struct ea_cfile *ea_files_find(const struct ea_ruleset_priv *p, struct ea_str rel);

/* load.c: problems. */
struct ea_loader {
    struct ea_ruleset *rs;
    struct ea_ruleset_priv *priv;
    struct ea_arena *a;
    const struct ea_ruleset_opts *o;
    struct ea_problem *p;
    size_t n, size;
    struct ea_library *libs; /* library.c */
    unsigned n_libs;
    struct ea_family *families;
    unsigned n_families;
};
void ea_problem_add(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *at,
                    bool fatal, const char *fmt, ...) EA_PRINTF(5, 6);
/* Reports every member of map that is not in the NULL-terminated list; number of them. */
unsigned ea_unknown_fields(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *map,
                           const char *where, const char *const *known);

/* catalogue.c */
EA_MUST_CHECK int ea_catalogue_load(struct ea_loader *l, struct ea_err *err);

/* rules.c: matchConstraints. */
struct ea_rulesb {
    struct ea_match_rule *r;
    unsigned n, size;
};
/* Appends the rules of one matchConstraints; false after a problem. */
bool ea_rules_parse(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *constraints,
                    struct ea_rulesb *b);
/* Does this rule name the resource (operations apart)? */
bool ea_rule_names(const struct ea_match_rule *r, const struct ea_gvr *gvr, bool exact);
/* Operations of the rules that name the resource, exclusions taken off. */
unsigned ea_rules_ops(const struct ea_control *c, const struct ea_gvr *gvr, struct ea_str name);
EA_MUST_CHECK int ea_dispatch_build(struct ea_loader *l);
const struct ea_dispatch *ea_dispatch_find(const struct ea_ruleset *rs, const struct ea_gvr *gvr);
/* LabelSelector over the labels of an object (NULL object: no labels). */
bool ea_selector_valid(const struct ea_val *selector);
bool ea_selector_matches(const struct ea_val *selector, const struct ea_val *object);

/* library.c: spec.use, variables, environments. */
struct ea_library {
    struct ea_str name;
    const struct ea_cfile *file;
    const struct ea_val *constraints; /* may be NULL */
    const struct ea_val *variables;   /* may be NULL */
    bool used;
};
EA_MUST_CHECK int ea_libraries_load(struct ea_loader *l, struct ea_err *err);
struct ea_library *ea_library_find(struct ea_loader *l, struct ea_str name);
/* Variables of the libraries compiled once for all controls with the same `use` and version. */
struct ea_family {
    struct ea_str key;
    struct ea_cel_var *vars; /* fixed slots and the libraries' variables */
    unsigned n_vars;
    const struct ea_cel_prog **progs;
    unsigned n_progs;
    bool shareable;
    const char *error;
};
EA_MUST_CHECK int ea_family_get(struct ea_loader *l, const struct ea_str *use, unsigned n_use,
                                unsigned minor, struct ea_family **ret);
/* Compiles a list of variables behind those of fam; false after a problem was noted. */
bool ea_variables_compile(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *list,
                          struct ea_family *fam, unsigned minor);
/* Fixed slots; vars has room for EA_S_FIXED. */
void ea_env_fixed(struct ea_cel_var *vars);
/* Compiles the expression at node (a string) for a control or library file; NULL after a problem
 * was noted. */
const struct ea_cel_prog *ea_compile_at(struct ea_loader *l, const struct ea_cfile *f,
                                        const struct ea_val *node, const char *what,
                                        const struct ea_cel_env *env, enum ea_cel_want want);

/* parse.c: one control file. */
EA_MUST_CHECK int ea_control_parse(struct ea_loader *l, struct ea_cfile *f, struct ea_control *ret);
/* params.c */
bool ea_params_parse(struct ea_loader *l, const struct ea_cfile *f, const struct ea_val *spec,
                     struct ea_control *c);
/* Values over the defaults of the declared params; false when a required one is missing. detail:
 * its name. */
bool ea_params_merge(struct ea_arena *a, const struct ea_val *declared, const struct ea_val *values,
                     struct ea_val *ret, struct ea_str *ret_missing);
/* Does the value have the declared type? */
bool ea_param_type_ok(struct ea_str type, const struct ea_val *v);
/* lint.c */
void ea_lint_control(struct ea_loader *l, const struct ea_control *c);
void ea_lint_files(struct ea_loader *l);

#endif
