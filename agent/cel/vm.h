/* cel/vm.h - what the machine's files share.
 *
 * Thread:  [owner] of the run.
 */
#ifndef EA_CEL_VM_H
#define EA_CEL_VM_H

#include "cel/ast.h"
#include "cel/prog.h"
#include "cel/trace.h"
#include "cel/value.h"

/* An evaluation error while it may still be absorbed. */
struct ea_cel_error {
    const char *text;
    uint32_t pos;
};

struct ea_cel_vm {
    struct ea_cel_run *run;
    const struct ea_cel_prog *prog;
    struct ea_cel_ctx cx;
    struct ea_cel_error *err; /* set when an instruction answers -EINVAL */
    uint64_t limit;
    uint64_t flushed; /* of the cost so far: already added to the run */
    uint32_t steps;
    int fatal; /* -E2BIG, -ETIME: ends the evaluation */
    enum ea_cel_errkind fatal_kind;
    const char *fatal_text;
    struct ea_cel_element element; /* trace */
};

#define EA_ITER_TWO 0x80u
#define EA_ITER_MACRO 0x0fu

/* All answer 0, -EINVAL (vm->err) or -E2BIG (vm->fatal). */
int ea_cel_vm_raise(struct ea_cel_vm *m, const char *fmt, ...) EA_PRINTF(2, 3);
int ea_cel_vm_full(struct ea_cel_vm *m);
int ea_cel_vm_overload(struct ea_cel_vm *m, const char *what, const struct ea_val *a,
                       const struct ea_val *b);
int ea_cel_vm_arith(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *a,
                    const struct ea_val *b, struct ea_val *ret);
int ea_cel_vm_negate(struct ea_cel_vm *m, const struct ea_val *a, struct ea_val *ret);
int ea_cel_vm_in(struct ea_cel_vm *m, const struct ea_val *x, const struct ea_val *range,
                 bool *ret);
int ea_cel_vm_select(struct ea_cel_vm *m, enum ea_cel_op op, const struct ea_val *v,
                     const struct ea_val *key, struct ea_val *ret);
int ea_cel_vm_index(struct ea_cel_vm *m, bool optional, const struct ea_val *v,
                    const struct ea_val *key, struct ea_val *ret);
int ea_cel_vm_list(struct ea_cel_vm *m, const struct ea_val *items, uint32_t n,
                   const struct ea_val *bits, struct ea_val *ret);
int ea_cel_vm_map(struct ea_cel_vm *m, const struct ea_val *items, uint32_t n,
                  const struct ea_val *bits, struct ea_val *ret);
int ea_cel_vm_iter(struct ea_cel_vm *m, const struct ea_val *range, struct ea_val *local);
int ea_cel_vm_collect(struct ea_cel_vm *m, struct ea_val *local, const struct ea_val *v);
int ea_cel_vm_collect_map(struct ea_cel_vm *m, struct ea_val *local, const struct ea_val *k,
                          const struct ea_val *v);
int ea_cel_vm_collect_entry(struct ea_cel_vm *m, struct ea_val *local, const struct ea_val *map);
int ea_cel_vm_var(struct ea_cel_vm *m, unsigned slot, struct ea_val *ret, uint64_t cost);
/* Charge of == and of ordered comparison and concatenation of strings. */
uint64_t ea_cel_cost_equal(const struct ea_val *a, const struct ea_val *b);
uint64_t ea_cel_cost_concat(const struct ea_val *a, const struct ea_val *b);
uint64_t ea_cel_cost_self_compare(const struct ea_val *list);
uint64_t ea_cel_cost_matches(const struct ea_val *text, const struct ea_val *pattern);

#endif
