/* cel/prog.h - what the compiler hands to the virtual machine, and the table of functions.
 *
 * Thread:  a program is immutable once published, [any].
 */
#ifndef EA_CEL_PROG_H
#define EA_CEL_PROG_H

#include "cel/cel.h"

struct ea_cel_unit;
struct ea_cel_node;

enum ea_cel_op {
#define OP(name, operand, in, out, cost) EA_I_##name,
#include "cel/op.def"
#undef OP
    EA_I_COUNT
};

struct ea_cel_ins {
    uint8_t op;
    uint8_t a;  /* flags or small count */
    uint16_t b; /* frame index or count */
    int32_t c;  /* jump target, index of a constant, slot, function */
};

/* Errors raised at [start, end) continue at target with the stack cut to depth and the error
 * pushed. */
struct ea_cel_region {
    uint32_t start, end, target, depth;
    int32_t loop; /* first frame index of the innermost loop around target, or -1 */
};

struct ea_cel_regex;

struct ea_cel_prog {
    const struct ea_cel_ins *code;
    const struct ea_val *consts;
    const struct ea_cel_region *regions; /* innermost first */
    const struct ea_cel_fn *const *fns;
    const struct ea_cel_regex *const *regexes;
    const uint32_t *pos;  /* source offset of each instruction */
    const uint8_t *calls; /* calls around each instruction, up to the region: an error passes
                             through them, and each is charged */
    uint32_t n_code, n_consts, n_regions, n_fns, n_regexes;
    uint32_t n_locals, stack_max; /* frame and stack together: n_locals + stack_max values */
    const uint16_t *reads;
    uint32_t n_reads;
    struct ea_str source;
    const char *type;
    bool k8s;
    unsigned minor;
};

/* ---- functions ---- */

/* What a function may touch while it runs. */
struct ea_cel_ctx {
    struct ea_arena *arena;
    uint64_t *cost; /* of this evaluation */
    uint64_t limit;
    const char *error; /* set by ea_cel_raise */
    bool k8s;
    struct ea_cel_run *run; /* NULL while compiling */
};

/* Result codes of functions: 0, EA_CEL_RAISED (ctx->error says what), EA_CEL_NO_OVERLOAD,
 * EA_CEL_FULL (arena). */
#define EA_CEL_RAISED (-EINVAL)
#define EA_CEL_NO_OVERLOAD (-ENOSYS)
#define EA_CEL_FULL (-E2BIG)

typedef int ea_cel_call(struct ea_cel_ctx *cx, const struct ea_val *args, unsigned n,
                        struct ea_val *ret);

/* How a call is charged (apiserver pkg/cel/library/cost.go, cel-go interpreter/runtimecost.go). */
enum ea_cel_cost {
    EA_COST_ONE,
    EA_COST_ARG,       /* a tenth of the size of the first argument */
    EA_COST_ARG_TWICE, /* traversal plus the construction of a result of that size */
    EA_COST_RESULT_TWICE,
    EA_COST_REGEX,    /* a tenth of the text times a quarter of the pattern */
    EA_COST_CONTAINS, /* product of a tenth of each */
    EA_COST_TRAVERSE, /* every element, strings by a tenth of their bytes */
    EA_COST_SETS,     /* product of the two sizes */
    EA_COST_CONTAINS_IP,
    EA_COST_CONTAINS_CIDR,
    EA_COST_SETS_TWICE,
    EA_COST_ARG2,    /* a tenth of the size of the second argument */
    EA_COST_LIST,    /* a new list of the size of the result */
    EA_COST_FLATTEN, /* a new list of the size of the argument, times the depth */
    EA_COST_VALIDATE,
    EA_COST_BY_OVERLOAD, /* from here on: one, when it is not known at compile time which overload
                            is called */
    EA_COST_COMPARE = EA_COST_BY_OVERLOAD, /* every element with every other */
    EA_COST_CONVERT                        /* between strings and bytes: a tenth */
};

/* One function name; names are distinct over all libraries. `sig` lists its overloads, separated by
 * spaces: receiver, '.', arguments,
 * ':', result, and '@NN' when Kubernetes 1.NN brought it (255: never). One character a type: * dyn,
 * s string, y bytes, b bool, i int, u uint, d double, n null, T timestamp, D duration, t type, l
 * list, m map, o optional, Q quantity, I IP, C CIDR, U URL, V semver, F format; lists of one type:
 * L string, j int, v uint, k double, K duration, B bool, M timestamp, Y bytes, q list; z = list of
 * the type of the first argument's elements, e = such an element; as a result also E = what the
 * first argument holds, X = type of the first argument, W = optional of it, G = optional(format), P
 * = optional(list(string)), N = map(string, list(string)). */
struct ea_cel_fn {
    struct ea_str name;
    const char *sig;
    ea_cel_call *call;
    uint8_t since; /* Kubernetes 1.since; 0 = always; 255 = not in Kubernetes */
    uint8_t cost;  /* enum ea_cel_cost */
};

#define EA_FN(name_, sig_, call_, since_, cost_)                                                   \
    {                                                                                              \
        EA_STR(name_), sig_, call_, since_, cost_                                                  \
    }
#define EA_FN_END                                                                                  \
    {                                                                                              \
        EA_STR_NULL, NULL, NULL, 0, 0                                                              \
    }
#define EA_NOT_KUBERNETES 255u

/* Every library's table; NULL-terminated. */
extern const struct ea_cel_fn *const ea_cel_libs[];
/* Finds a function by name for the flavour and minor; NULL when there is none. Member style and
 * global style share a table. */
const struct ea_cel_fn *ea_cel_fn_find(struct ea_str name, bool k8s, unsigned minor);
/* Type value by its name ("int", "net.IP", …): true when known. */
bool ea_cel_type_value(struct ea_str name, bool k8s, unsigned minor, struct ea_val *ret);

/* Sorts list by keys of the same length, stable. The results of functions. */
EA_MUST_CHECK int ea_cel_sort_by(struct ea_cel_ctx *cx, const struct ea_val *list,
                                 const struct ea_val *keys, struct ea_val *ret);

/* Raises an error out of a function; the text lies in the arena. */
int ea_cel_raise(struct ea_cel_ctx *cx, const char *fmt, ...) EA_PRINTF(2, 3);
uint64_t ea_cel_call_cost(const struct ea_cel_fn *fn, const struct ea_val *args, unsigned n,
                          const struct ea_val *ret);

EA_MUST_CHECK int ea_cel_compile_ast(struct ea_cel_unit *u, struct ea_cel_node *root,
                                     struct ea_cel_prog *p);

#endif
