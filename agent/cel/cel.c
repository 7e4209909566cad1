#include "cel/cel.h"

#include <stdio.h>

#include "base/limits.h"
#include "cel/ast.h"
#include "cel/prog.h"

void ea_cel_locate(struct ea_str src, uint32_t pos, unsigned *ret_line, unsigned *ret_column)
{
    uint32_t i;

    *ret_line = *ret_column = 1;
    for (i = 0; i < pos && i < src.n; i++) {
        if (src.p[i] == '\n') {
            ++*ret_line;
            *ret_column = 1;
        } else if (((unsigned char)src.p[i] & 0xC0) != 0x80) {
            ++*ret_column;
        }
    }
}

int ea_cel_fail(struct ea_cel_unit *u, enum ea_cel_errkind kind, int code, uint32_t pos,
                const char *fmt, ...)
{
    va_list ap;

    if (u->failed)
        return u->failed;
    u->failed = code;
    u->diag->kind = kind;
    ea_cel_locate(u->src, pos, &u->diag->line, &u->diag->column);
    va_start(ap, fmt);
    vsnprintf(u->diag->text, sizeof u->diag->text, fmt, ap);
    va_end(ap);
    return code;
}

int ea_cel_compile(struct ea_arena *a, struct ea_str src, const struct ea_cel_env *env,
                   enum ea_cel_want want, const struct ea_cel_prog **ret,
                   struct ea_cel_diag *ret_diag)
{
    struct ea_cel_diag none = {0};
    struct ea_cel_unit u = {.a = a, .src = src, .env = env, .diag = ret_diag ? ret_diag : &none};
    struct ea_cel_node *root;
    struct ea_cel_prog *p;

    *u.diag = (struct ea_cel_diag){0};
    u.k8s = env->flavour == EA_CEL_KUBERNETES;
    u.minor = u.k8s && env->minor ? env->minor : EA_CEL_NEWEST_MINOR;
    if (src.n > EA_MAX_CEL_SOURCE)
        return ea_cel_fail(&u, EA_CEL_E_PARSE, -E2BIG, 0, "expression is larger than %u bytes",
                           EA_MAX_CEL_SOURCE);
    if (!ea_utf8_valid(src.p ? src.p : "", src.n))
        return ea_cel_fail(&u, EA_CEL_E_PARSE, -EINVAL, 0, "expression is not valid UTF-8");
    u.src = ea_arena_str(a, src);
    p = u.src.p ? ea_arena_zalloc(a, sizeof *p) : NULL;
    if (p == NULL)
        return ea_cel_fail(&u, EA_CEL_E_PARSE, -E2BIG, 0, "program too large");
    root = ea_cel_parse(&u);
    if (root == NULL || ea_cel_check(&u, root, want) || ea_cel_compile_ast(&u, root, p))
        return u.failed;
    p->source = u.src;
    p->type = u.k8s ? ea_cel_type_text(a, root->type) : "dyn";
    p->k8s = u.k8s;
    p->minor = u.minor;
    *ret = p;
    return 0;
}

bool ea_cel_prog_reads(const struct ea_cel_prog *p, unsigned slot)
{
    uint32_t i;

    for (i = 0; i < p->n_reads; i++) {
        if (p->reads[i] == slot)
            return true;
    }
    return false;
}

struct ea_str ea_cel_prog_source(const struct ea_cel_prog *p)
{
    return p->source;
}

const char *ea_cel_prog_type(const struct ea_cel_prog *p)
{
    return p->type;
}

int ea_cel_run_init(struct ea_cel_run *r, struct ea_arena *a, const struct ea_cel_env *env)
{
    *r = (struct ea_cel_run){.arena = a, .env = env, .budget = EA_CEL_COST_CONTROL};
    r->slots = ea_arena_zalloc(a, (env->n_vars + 1) * sizeof *r->slots);
    return r->slots ? 0 : -E2BIG;
}

void ea_cel_run_bind(struct ea_cel_run *r, unsigned slot, struct ea_val v)
{
    r->slots[slot] = (struct ea_cel_slot){.state = EA_CEL_VALUE, .val = *ea_val_force(&v)};
}

void ea_cel_run_bind_lazy(struct ea_cel_run *r, unsigned slot, const struct ea_cel_prog *p)
{
    r->slots[slot] = (struct ea_cel_slot){.state = EA_CEL_LAZY, .prog = p};
}
