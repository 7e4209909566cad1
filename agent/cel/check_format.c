/* format() of a literal pattern with a literal list of arguments, judged at compile time. */
#include "cel/check.h"

static bool refuse(struct ea_cel_unit *u, uint32_t pos, const char *what,
                   const struct ea_cel_type *t)
{
    ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, pos, "error during formatting: %s, was given %s", what,
                ea_cel_type_text(u->a, t));
    return false;
}

static bool takes(struct ea_cel_unit *u, const struct ea_cel_node *arg, const char *kinds,
                  const char *what)
{
    static const char letter[] = {[EA_T_BOOL] = 'b',   [EA_T_INT] = 'i',    [EA_T_UINT] = 'u',
                                  [EA_T_DOUBLE] = 'd', [EA_T_STRING] = 's', [EA_T_BYTES] = 'y'};
    enum ea_cel_tkind k = arg->type->kind;

    if (k == EA_T_DYN || k == EA_T_ANY_ELEM ||
        ((size_t)k < sizeof letter && letter[k] && strchr(kinds, letter[k])))
        return true;
    return refuse(u, arg->pos, what, arg->type);
}

/* Everything printable, through literals of lists and maps. */
static bool takes_text(struct ea_cel_unit *u, const struct ea_cel_node *arg)
{
    enum ea_cel_tkind k = arg->type->kind;
    uint32_t i;

    if (k == EA_T_OPTIONAL || k == EA_T_OPAQUE || k == EA_T_OBJECT)
        return refuse(u, arg->pos,
                      "string clause can only be used on strings, bools, bytes, ints, doubles, "
                      "maps, lists, types, durations, and timestamps",
                      arg->type);
    for (i = 0; (arg->kind == EA_N_LIST || arg->kind == EA_N_MAP) && i < arg->n; i++) {
        if (!takes_text(u, arg->args[i]))
            return false;
    }
    return true;
}

static bool clause_takes(struct ea_cel_unit *u, const struct ea_cel_node *call, char c,
                         const struct ea_cel_node *arg)
{
    switch (c) {
    case 's':
        return takes_text(u, arg);
    case 'd':
        return takes(u, arg, "iu", "decimal clause can only be used on integers");
    case 'f':
        return takes(u, arg, "d", "fixed-point clause can only be used on doubles");
    case 'e':
        return takes(u, arg, "d", "scientific clause can only be used on doubles");
    case 'b':
        return takes(u, arg, "iub", "only integers and bools can be formatted as binary");
    case 'o':
        return takes(u, arg, "iu", "octal clause can only be used on integers");
    case 'x':
    case 'X':
        return takes(u, arg, "iusy",
                     "only integers, byte buffers, and strings can be formatted as hex");
    default:
        ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, call->pos,
                    "could not parse formatting clause: unrecognized formatting clause \"%c\"",
                    (unsigned char)c < 0x80 ? c : '?');
        return false;
    }
}

/* The clause behind a '%' at *pp: its letter, or 0 after a refusal or for "%%". */
static char next_clause(struct ea_cel_unit *u, const struct ea_cel_node *call, const char **pp,
                        const char *end)
{
    const char *p = *pp;

    if (p < end && *p == '%') {
        *pp = p + 1;
        return 0;
    }
    if (p < end && *p == '.') {
        for (p++; p < end && *p >= '0' && *p <= '9'; p++)
            ;
    }
    if (p == end) {
        ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, call->pos, "unexpected end of string");
        return 0;
    }
    *pp = p + 1;
    return *p;
}

static bool check_pattern(struct ea_cel_unit *u, const struct ea_cel_node *call,
                          struct ea_str pattern, const struct ea_cel_node *list)
{
    const char *p = pattern.p, *end = p + pattern.n;
    uint32_t used = 0;
    char c;

    while (p < end && !u->failed) {
        if (*p++ != '%')
            continue;
        c = next_clause(u, call, &p, end);
        if (c == 0)
            continue;
        if (used >= list->n)
            ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, call->pos, "index %u out of range", used);
        else if (!clause_takes(u, call, c, list->args[used++]))
            return false;
    }
    if (used < list->n)
        ea_cel_fail(u, EA_CEL_E_CHECK, -EINVAL, call->pos,
                    "too many arguments supplied to string.format (expected %u, got %u)", used,
                    list->n);
    return !u->failed;
}

bool ea_cel_check_format(struct ea_cel_unit *u, const struct ea_cel_node *call)
{
    const struct ea_cel_node *list = call->n == 1 ? call->args[0] : NULL, *target = call->target;

    if (list == NULL || list->kind != EA_N_LIST || target == NULL || target->kind != EA_N_LIT ||
        target->lit.type != EA_V_STRING)
        return true;
    return check_pattern(u, call, ea_val_text(&target->lit), list);
}
