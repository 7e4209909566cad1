/* cel/cel.h - compile and run CEL (github.com/google/cel-spec, doc/langdef.md) in Kubernetes
 * flavour, under a cost budget.
 *
 * Thread:  environments and programs are immutable and [any]; a run is [owner].
 * Owns:    programs live in the arena they were compiled into; a run's values live in the run's
 * arena. Limits:  EA_MAX_CEL_SOURCE, _NESTING, _CODE at compile; EA_CEL_COST_CALL per evaluation
 * and the run's budget. Never:   does I/O, reads a clock, keeps globals, recurses on outside input
 * without a limit.
 */
#ifndef EA_CEL_CEL_H
#define EA_CEL_CEL_H

#include "base/arena.h"
#include "doc/val.h"

enum ea_cel_flavour {
    EA_CEL_CONFORMANCE, /* no checker, all functions, unknown names are run-time errors */
    EA_CEL_KUBERNETES   /* as ValidatingAdmissionPolicy: checker, functions by version */
};

#define EA_CEL_NEWEST_MINOR 37u /* newest Kubernetes 1.N whose environment is known here */
#define EA_CEL_NO_SLOT (-1)

/* A variable: its name may hold dots ("variables.podSpec"; the longest declared prefix of a
 * selection wins). */
struct ea_cel_var {
    struct ea_str name;
    const char *type; /* static type for the checker: NULL = dyn; "bool" "int" "string" "list" "map"
                         "request" "namespace" … */
    bool setting;     /* what nobody changes in the object: never a reason in ea_cel_why */
};

struct ea_cel_env {
    enum ea_cel_flavour flavour;
    unsigned minor;                /* Kubernetes 1.minor; 0 = newest */
    const struct ea_cel_var *vars; /* slot i of a run is vars[i] */
    unsigned n_vars;
    bool disable_macros;
};

/* What the result must be, as Kubernetes demands it at compile time (EA_CEL_KUBERNETES only). */
enum ea_cel_want { EA_CEL_WANT_ANY, EA_CEL_WANT_BOOL, EA_CEL_WANT_STRING };

enum ea_cel_errkind {
    EA_CEL_E_NONE,
    EA_CEL_E_PARSE,
    EA_CEL_E_CHECK,
    EA_CEL_E_EVAL,
    EA_CEL_E_COST,
    EA_CEL_E_DEADLINE
};

struct ea_cel_diag {
    enum ea_cel_errkind kind;
    unsigned line, column; /* 1-based, of the source; 0 = unknown */
    char text[256];        /* "no such key: privileged", "found no matching overload for …" */
};

struct ea_cel_prog;

/* Compiles. 0, -EINVAL (ret_diag says what and where), -E2BIG (a limit; ret_diag too). src is
 * copied into the arena. */
EA_MUST_CHECK int ea_cel_compile(struct ea_arena *a, struct ea_str src,
                                 const struct ea_cel_env *env, enum ea_cel_want want,
                                 const struct ea_cel_prog **ret, struct ea_cel_diag *ret_diag);
/* True when the program reads this slot (directly, not through another variable). */
bool ea_cel_prog_reads(const struct ea_cel_prog *p, unsigned slot);
struct ea_str ea_cel_prog_source(const struct ea_cel_prog *p);
/* Static type of the result for messages: "bool", "dyn", "string", … */
const char *ea_cel_prog_type(const struct ea_cel_prog *p);

/* ---- one run: bindings of one object for all expressions of one control ---- */

struct ea_cel_slot {
    enum {
        EA_CEL_UNBOUND,
        EA_CEL_VALUE,
        EA_CEL_LAZY,
        EA_CEL_DONE,
        EA_CEL_FAILED,
        EA_CEL_BUSY
    } state;
    struct ea_val val;
    const struct ea_cel_prog
        *prog; /* EA_CEL_LAZY: evaluated at first use, once; its cost is charged once */
    struct ea_cel_diag *diag; /* EA_CEL_FAILED */
};

struct ea_cel_run {
    struct ea_arena *arena;
    const struct ea_cel_env *env;
    struct ea_cel_slot *slots; /* env->n_vars */
    uint64_t cost;             /* spent so far by all evaluations of this run */
    uint64_t budget;           /* for the whole run, e.g. EA_CEL_COST_CONTROL */
    bool (*interrupted)(
        void *arg); /* asked every 100 loop steps; may be NULL; true ends with EA_CEL_E_DEADLINE */
    void *interrupted_arg;
    struct ea_cel_trace *trace;         /* NULL except inside ea_cel_why */
    struct ea_cel_regex_cache *regexes; /* match memory and computed patterns, made at first use */
    unsigned depth; /* programs running inside each other through lazy variables */
};

/* Makes slots (all unbound) in the arena. 0 or -E2BIG. */
EA_MUST_CHECK int ea_cel_run_init(struct ea_cel_run *r, struct ea_arena *a,
                                  const struct ea_cel_env *env);
void ea_cel_run_bind(struct ea_cel_run *r, unsigned slot, struct ea_val v);
void ea_cel_run_bind_lazy(struct ea_cel_run *r, unsigned slot, const struct ea_cel_prog *p);

/* Evaluates. 0 with *ret, or -EINVAL (evaluation error), -E2BIG (cost limit or arena full: kind
 * EA_CEL_E_COST), -ETIME (interrupted): ret_diag is filled on failure. */
EA_MUST_CHECK int ea_cel_eval(struct ea_cel_run *r, const struct ea_cel_prog *p, struct ea_val *ret,
                              struct ea_cel_diag *ret_diag);

/* ---- why it was false: trace mode ---- */

/* One failing element of the outermost all/exists (or the whole expression). */
struct ea_cel_why {
    struct ea_str path; /* "spec.template.spec.initContainers[1].securityContext.privileged", "" =
                           unknown; below slot `root` */
    struct ea_str key_path; /* the same with list elements named by content: containers[name="app"]
                             * (map key `name`, else the element's canonical JSON), for comparing an
                             * old and a new object */
    struct ea_str
        element; /* name of the failing element: its `name`, else the string itself, else "" */
    struct ea_val value; /* what is there; null and !has_value when the field is missing */
    bool has_value;
    unsigned root; /* slot that the path starts in, e.g. that of `object` */
};

/* Runs the program again after it gave false: the outermost all/exists does not stop at the first
 * element, and every value carries its origin, also through variables, list concatenation, filter
 * and map. At least one entry unless nothing could be traced. More than cap entries are counted in
 * *ret_n only. Same errors as ea_cel_eval. Charges no cost beyond a second budget of the same size.
 */
EA_MUST_CHECK int ea_cel_why(struct ea_cel_run *r, const struct ea_cel_prog *p,
                             struct ea_cel_why *ret, size_t cap, size_t *ret_n,
                             struct ea_cel_diag *ret_diag);

/* ---- values that documents do not have ---- */

/* Prints any CEL value as TAGGED JSON (docs/CEL.md): {"int":"5"}, {"timestamp":"…Z"}, … 0, -E2BIG.
 */
struct ea_buf;
EA_MUST_CHECK int ea_cel_print_tagged(struct ea_buf *b, const struct ea_val *v);
/* Reads TAGGED JSON or {"json": anything}. 0, -EINVAL, -E2BIG. */
EA_MUST_CHECK int ea_cel_parse_tagged(struct ea_arena *a, const struct ea_val *json,
                                      struct ea_val *ret, struct ea_err *err);
/* Text of a value for messages (strings as they are, others as CEL's string()). */
struct ea_str ea_cel_to_text(struct ea_arena *a, const struct ea_val *v);
/* CEL equality, ordering is not defined here. */
bool ea_cel_equal(const struct ea_val *a, const struct ea_val *b);

#endif
