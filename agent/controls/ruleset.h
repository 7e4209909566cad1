/* controls/ruleset.h - control files loaded into an immutable, compiled rule set.
 *
 * Thread:  a loaded set is immutable and [any], reference-counted; loading is [owner].
 * Owns:    its arena: controls, programs, catalogue.
 * Limits:  EA_MAX_OWN_FILE a file, 4096 controls.
 * Never:   asks Kubernetes, reads a clock, logs. A control that does not compile stays in the set
 * with `compile_error` and is judged `unknown` (compile-error). Source:  docs/CONTROLS.md (file
 * format), admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy.
 */
#ifndef EA_CONTROLS_RULESET_H
#define EA_CONTROLS_RULESET_H

#include "cel/cel.h"
#include "doc/val.h"

enum ea_level { EA_BASIC, EA_SUBSTANTIAL, EA_HIGH, EA_LEVEL_COUNT };
enum ea_severity {
    EA_SEV_INFO,
    EA_SEV_LOW,
    EA_SEV_MEDIUM,
    EA_SEV_HIGH,
    EA_SEV_CRITICAL,
    EA_SEVERITY_COUNT
};
enum ea_action {
    EA_AUDIT,
    EA_WARN,
    EA_DENY,
    EA_ACTION_COUNT
}; /* ordered: the lower of two is the milder */
enum ea_fit { EA_FIT_DIRECT, EA_FIT_SUPPORTING, EA_FIT_WEAK, EA_FIT_COUNT };
enum ea_perspective { EA_FOR_WORKLOAD, EA_FOR_PLATFORM, EA_FOR_BOTH, EA_PERSPECTIVE_COUNT };
extern const char *const ea_level_names[EA_LEVEL_COUNT];
extern const char *const ea_severity_names[EA_SEVERITY_COUNT];
extern const char *const ea_action_names[EA_ACTION_COUNT];
extern const char *const ea_fit_names[EA_FIT_COUNT];
extern const char *const ea_perspective_names[EA_PERSPECTIVE_COUNT];
/* -1 when unknown. */
int ea_level_parse(struct ea_str s);
int ea_severity_parse(struct ea_str s);
int ea_action_parse(struct ea_str s);

enum ea_op { EA_OP_CREATE = 1, EA_OP_UPDATE = 2, EA_OP_DELETE = 4, EA_OP_CONNECT = 8 };
#define EA_OP_ALL 15u
/* One of the four words, or 0. */
unsigned ea_op_parse(struct ea_str s);
const char *ea_op_name(unsigned op);

/* One resource of one rule of matchConstraints, flattened: what a webhook or a watch must ask for.
 */
struct ea_match_rule {
    struct ea_str group, version, resource, subresource; /* "*" possible; subresource "" = none */
    unsigned ops;                                        /* EA_OP_… bits */
    bool exclude;
    char scope;                 /* 'N' namespaced only, 'C' cluster-scoped only, 0 = any */
    const struct ea_val *names; /* resourceNames: list of strings, NULL = any */
};

struct ea_validation {
    const struct ea_cel_prog *expr, *message_expr; /* message_expr may be NULL */
    struct ea_str source, message, reason;
    unsigned line; /* of the control file */
};

struct ea_ref {
    struct ea_str framework; /* "pss", "cis", … */
    struct ea_str part;
};

struct ea_control {
    struct ea_str id, group, title, rationale, remediation, file;
    enum ea_severity severity;
    enum ea_level level;
    enum ea_fit fit;
    enum ea_perspective perspective;
    enum ea_action action;
    bool fail_closed;    /* failurePolicy: Fail */
    unsigned kubernetes; /* minor: oldest 1.N that must compile it */
    const struct ea_str *requirements;
    unsigned n_requirements;
    const struct ea_ref *refs;
    unsigned n_refs;
    const struct ea_str *ratchet_grows;
    unsigned n_ratchet;
    const struct ea_match_rule *rules;
    unsigned n_rules;
    bool node; /* match: {node: true} */
    /* Directly or through a variable. reads_request: something that only a real request has
     * (userInfo); the rest can be made up. */
    bool needs_context, reads_old, reads_request, reads_namespace, reads_params, reads_now,
        reads_level, reads_authorizer;
    bool missing_param;   /* a required param is not set: unknown (not-configured) */
    struct ea_val params; /* defaults with the configuration's values over them */
    const struct ea_cel_env *env;
    const struct ea_cel_prog **variables; /* composed variables, slots follow the fixed ones */
    unsigned n_variables;
    const struct ea_cel_prog **match_conditions;
    unsigned n_match_conditions;
    const struct ea_validation *validations;
    unsigned n_validations;
    struct ea_val document;    /* the whole control file */
    const char *compile_error; /* NULL, or "file:line: …" */
    bool
        exact; /* matchPolicy: Exact (rule versions count); else Equivalent: versions are ignored */
    const struct ea_val *namespace_selector, *object_selector; /* LabelSelector or NULL = any */
    const struct ea_control_priv *priv;                        /* of this room */
};

struct ea_requirement {
    struct ea_str id, control, category, gist;
    enum ea_level level;
    bool automated;
};
struct ea_catalogue {
    struct ea_val document;
    const struct ea_requirement *requirements; /* sorted by id */
    unsigned n_requirements, n_controls, n_categories;
};

struct ea_ruleset {
    const struct ea_control *controls; /* sorted by id */
    unsigned n_controls;
    struct ea_catalogue catalogue;
    char sha256[65]; /* hex, over the files' bytes in path order; filled by the caller through
                        ea_ruleset_set_digest */
    unsigned n_compile_errors;
    struct ea_ruleset_priv
        *priv; /* dispatch by (group, resource, subresource, operation), arena, references */
};

/* A problem found by the loader or by lint: "controls/pod/x.yaml:12: unknown requirement
 * OPS-99.1B". */
struct ea_problem {
    struct ea_str file;
    unsigned line;
    struct ea_str text;
    bool fatal; /* the control cannot be used */
};
struct ea_problems {
    struct ea_problem *p;
    size_t n;
};

struct ea_embedded_file; /* controls/embedded.h */
struct ea_ruleset_opts {
    const char *dir;             /* NULL: the embedded files */
    const struct ea_val *params; /* configuration: {control id: {param: value}} or NULL */
    const struct ea_embedded_file
        *files; /* a table in place of the embedded one (dir NULL); bytes must outlive the set */
    bool lint;  /* also report what is legal but wrong (unknown requirement, missing cases, …) */
};

/* Loads and compiles. 0 also when single controls do not compile (see problems); -ENOENT, -EINVAL
 * (catalogue or library unusable), -E2BIG. problems may be NULL; its memory belongs to the set. The
 * set starts with one reference. */
EA_MUST_CHECK int ea_ruleset_load(const struct ea_ruleset_opts *o, struct ea_ruleset **ret,
                                  struct ea_problems *ret_problems, struct ea_err *err);
struct ea_ruleset *ea_ruleset_ref(struct ea_ruleset *r);
void ea_ruleset_unref(struct ea_ruleset *r);
const struct ea_control *ea_control_find(const struct ea_ruleset *r, struct ea_str id);
const struct ea_requirement *ea_requirement_find(const struct ea_catalogue *c, struct ea_str id);
/* All files' bytes in path order, for the digest (controls/ has no hash function). Calls feed for
 * every file. */
void ea_ruleset_files(const struct ea_ruleset *r,
                      void (*feed)(void *arg, struct ea_str path, struct ea_str bytes), void *arg);
/* hex: 64 digits, the SHA-256 of what ea_ruleset_files feeds. Before the set is shared. */
void ea_ruleset_set_digest(struct ea_ruleset *r, const char hex[65]);

/* ---- offline names: kind -> resource for what needs no discovery ---- */

struct ea_gvr {
    struct ea_str group, version, resource, subresource, kind;
    bool namespaced;
};
/* By apiVersion and kind of a manifest; older served versions answer with today's (matchPolicy:
 * Equivalent offline). false = unknown kind (a custom resource): the caller pluralises or asks
 * discovery. */
bool ea_builtin_kind(struct ea_str api_version, struct ea_str kind, struct ea_gvr *ret);
/* The same, and the kinds of the catalogue (custom resources of known tools). Strings live as long
 * as the set. */
bool ea_ruleset_kind(const struct ea_ruleset *r, struct ea_str api_version, struct ea_str kind,
                     struct ea_gvr *ret);
/* True when some control's rules name this resource, whatever the operation and the level. */
bool ea_ruleset_asks_for(const struct ea_ruleset *r, const struct ea_gvr *gvr);
/* "apps/v1" -> group "apps", version "v1"; "v1" -> "", "v1". */
void ea_api_version_split(struct ea_str api_version, struct ea_str *ret_group,
                          struct ea_str *ret_version);

#endif
