/* cel/ast.h - the syntax tree between parser, checker and compiler.
 *
 * Thread:  [owner]; a tree lives in the arena of its compilation and dies with it.
 * Limits:  depth <= EA_MAX_CEL_DEPTH, so that the recursive passes have a bounded stack.
 */
#ifndef EA_CEL_AST_H
#define EA_CEL_AST_H

#include "cel/cel.h"
#include "cel/type.h"

enum ea_cel_node_kind {
    EA_N_LIT,    /* lit */
    EA_N_IDENT,  /* name; flags EA_NF_ABSOLUTE for ".x" */
    EA_N_SELECT, /* target.name */
    EA_N_INDEX,  /* target[args[0]] */
    EA_N_CALL,   /* name(args) or target.name(args) */
    EA_N_OP,     /* op over args: enum ea_cel_operator */
    EA_N_LIST,   /* args */
    EA_N_MAP,    /* args: key, value, key, value … */
    EA_N_STRUCT, /* name{…}: messages do not exist here; kept for a clear refusal */
    EA_N_COMP,   /* macro over target, variables name and name2, args[0..n) */
    /* made by the checker */
    EA_N_VAR,   /* slot */
    EA_N_LOCAL, /* local */
    EA_N_FAIL   /* an error at run time: name is its text */
};

enum ea_cel_operator {
    EA_OP_NOT,
    EA_OP_NEG,
    EA_OP_ADD,
    EA_OP_SUB,
    EA_OP_MUL,
    EA_OP_DIV,
    EA_OP_MOD,
    EA_OP_EQ,
    EA_OP_NE,
    EA_OP_LT,
    EA_OP_LE,
    EA_OP_GT,
    EA_OP_GE,
    EA_OP_IN,
    EA_OP_AND,
    EA_OP_OR,
    EA_OP_COND
};

enum ea_cel_macro {
    EA_MACRO_ALL,
    EA_MACRO_EXISTS,
    EA_MACRO_ONE,
    EA_MACRO_MAP,
    EA_MACRO_FILTER,
    EA_MACRO_TRANSFORM_LIST,
    EA_MACRO_TRANSFORM_MAP,
    EA_MACRO_TRANSFORM_ENTRY,
    EA_MACRO_SORT_BY,
    EA_MACRO_OPT_MAP,
    EA_MACRO_OPT_FLAT_MAP
};

#define EA_NF_ABSOLUTE 1u /* leading dot */
#define EA_NF_OPTIONAL 2u /* .?name, [?x] */
#define EA_NF_HAS 4u      /* has(target.name) */
#define EA_NF_TWO 8u      /* comprehension with two variables */
#define EA_NF_CHAIN 16u   /* part of an attribute: its base has been charged */
#define EA_NF_SEVERAL 64u /* call: several overloads fit what is known of the arguments */
#define EA_NF_ENTRY 32u   /* "?": entry of a list or map that may be absent */

struct ea_cel_fn;

struct ea_cel_node {
    uint8_t kind;  /* enum ea_cel_node_kind */
    uint8_t op;    /* enum ea_cel_operator or enum ea_cel_macro */
    uint8_t flags; /* EA_NF_… */
    uint16_t depth;
    uint16_t local; /* EA_N_LOCAL: frame index; EA_N_COMP: first frame index of its five */
    uint32_t pos;   /* byte offset into the source */
    uint32_t n;     /* number of args */
    int32_t slot;   /* EA_N_VAR */
    struct ea_cel_node **args;
    struct ea_cel_node *target;
    struct ea_str name;
    struct ea_str name2;
    struct ea_val lit;
    const struct ea_cel_fn *fn; /* EA_N_CALL, by the checker */
    const struct ea_cel_type *type;
};

/* One compilation. */
struct ea_cel_unit {
    struct ea_arena *a;
    struct ea_str src;
    const struct ea_cel_env *env;
    unsigned minor; /* of Kubernetes; the newest for the conformance flavour */
    bool k8s;
    struct ea_cel_diag *diag;
    int failed; /* 0, or the negative errno of the first failure (diag is filled) */
    unsigned nesting;
    unsigned n_locals;   /* frame size needed */
    unsigned cur_locals; /* frame index of the next free local */
    unsigned in_format;  /* inside the arguments of format(): literals may be mixed */
};

/* Fills diag with line and column of byte offset pos; keeps the first failure. Returns u->failed.
 */
int ea_cel_fail(struct ea_cel_unit *u, enum ea_cel_errkind kind, int code, uint32_t pos,
                const char *fmt, ...) EA_PRINTF(5, 6);
void ea_cel_locate(struct ea_str src, uint32_t pos, unsigned *ret_line, unsigned *ret_column);

/* parse.c: the whole source, or NULL (u->failed). */
struct ea_cel_node *ea_cel_parse(struct ea_cel_unit *u);
struct ea_cel_node *ea_cel_node_new(struct ea_cel_unit *u, enum ea_cel_node_kind kind,
                                    uint32_t pos);
/* macro.c: turns a call into a macro's node when it is one; returns the node to use (NULL on
 * failure). */
struct ea_cel_node *ea_cel_macro_expand(struct ea_cel_unit *u, struct ea_cel_node *call);
/* check.c: resolves names, types every node; in EA_CEL_KUBERNETES refuses what Kubernetes refuses.
 * 0 or u->failed. */
EA_MUST_CHECK int ea_cel_check(struct ea_cel_unit *u, struct ea_cel_node *root,
                               enum ea_cel_want want);

/* format.c: the clauses of a literal pattern against the types of a literal list of arguments, as
 * ext/formatting.go checks them. False when refused. */
bool ea_cel_check_format(struct ea_cel_unit *u, const struct ea_cel_node *call);

#endif
