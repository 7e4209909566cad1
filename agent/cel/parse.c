/* A Pratt parser over the grammar of cel-spec doc/langdef.md. */
#include "base/limits.h"
#include "cel/lex.h"

/* Every way down comes through expr(), which counts. */
static struct ea_cel_node *expr(struct ea_cel_lexer *l);

static const char *const reserved[] = {
    "as",  "break", "const",   "continue",  "else",   "for", "function", "if",   "import",
    "let", "loop",  "package", "namespace", "return", "var", "void",     "while"};

static struct ea_cel_node *syntax(struct ea_cel_lexer *l, const char *what)
{
    if (l->tok == EA_TK_EOF)
        ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos,
                    "Syntax error: unexpected end of the expression, %s", what);
    else
        ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos, "Syntax error: unexpected '%.*s', %s",
                    (int)EA_MIN(l->end - l->pos, 40), l->s + l->pos, what);
    return NULL;
}

struct ea_cel_node *ea_cel_node_new(struct ea_cel_unit *u, enum ea_cel_node_kind kind, uint32_t pos)
{
    struct ea_cel_node *n = u->failed ? NULL : ea_arena_zalloc(u->a, sizeof *n);

    if (n == NULL) {
        ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, pos, "program too large");
        return NULL;
    }
    n->kind = (uint8_t)kind;
    n->pos = pos;
    n->depth = 1;
    n->slot = EA_CEL_NO_SLOT;
    return n;
}

/* Takes over the depth of a child; false when the tree is too deep. */
static bool below(struct ea_cel_unit *u, struct ea_cel_node *n, const struct ea_cel_node *child)
{
    if (child && child->depth >= n->depth)
        n->depth = (uint16_t)(child->depth + 1);
    if (n->depth <= EA_MAX_CEL_DEPTH)
        return true;
    ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, n->pos, "expression is nested too deeply (more than %u)",
                EA_MAX_CEL_DEPTH);
    return false;
}

static struct ea_cel_node *operator_node(struct ea_cel_unit *u, enum ea_cel_operator op,
                                         uint32_t pos, struct ea_cel_node *a, struct ea_cel_node *b,
                                         struct ea_cel_node *c)
{
    struct ea_cel_node *n = ea_cel_node_new(u, EA_N_OP, pos);

    if (n == NULL)
        return NULL;
    n->op = (uint8_t)op;
    n->n = c ? 3 : b ? 2 : 1;
    n->args = ea_arena_alloc(u->a, n->n * sizeof *n->args);
    if (n->args == NULL) {
        ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, pos, "program too large");
        return NULL;
    }
    n->args[0] = a;
    if (b)
        n->args[1] = b;
    if (c)
        n->args[2] = c;
    return below(u, n, a) && below(u, n, b) && below(u, n, c) ? n : NULL;
}

/* A growing list of nodes on the way to args. */
struct nodes {
    struct ea_cel_node **v;
    uint32_t n, size;
};

static bool nodes_add(struct ea_cel_unit *u, struct nodes *list, struct ea_cel_node *n)
{
    if (n == NULL)
        return false;
    if (list->n == list->size) {
        uint32_t size = list->size ? list->size * 2 : 4;
        struct ea_cel_node **v = ea_arena_alloc(u->a, size * sizeof *v);

        if (v == NULL) {
            ea_cel_fail(u, EA_CEL_E_PARSE, -E2BIG, n->pos, "program too large");
            return false;
        }
        if (list->n)
            memcpy(v, list->v, list->n * sizeof *v);
        list->v = v;
        list->size = size;
    }
    list->v[list->n++] = n;
    return true;
}

static bool take(struct ea_cel_lexer *l, enum ea_cel_tok tok)
{
    if (l->tok != tok)
        return false;
    ea_cel_lex_next(l);
    return true;
}

static bool adopt(struct ea_cel_unit *u, struct ea_cel_node *n, const struct nodes *list)
{
    uint32_t i;

    n->args = list->v;
    n->n = list->n;
    for (i = 0; i < list->n; i++) {
        if (!below(u, n, list->v[i]))
            return false;
    }
    return true;
}

/* Arguments up to ')'; the '(' has been taken. */
static bool arguments(struct ea_cel_lexer *l, struct ea_cel_node *call)
{
    struct nodes list = {0};

    call->kind = EA_N_CALL;
    if (!take(l, EA_TK_RPAREN)) {
        do {
            if (!nodes_add(l->u, &list, expr(l)))
                return false;
        } while (take(l, EA_TK_COMMA));
        if (!take(l, EA_TK_RPAREN)) {
            syntax(l, "expecting ',' or ')'");
            return false;
        }
    }
    return adopt(l->u, call, &list);
}

static struct ea_cel_node *list_literal(struct ea_cel_lexer *l)
{
    struct ea_cel_node *n = ea_cel_node_new(l->u, EA_N_LIST, l->pos), *e;
    struct nodes list = {0};

    ea_cel_lex_next(l);
    if (n && take(l, EA_TK_COMMA) && l->tok != EA_TK_RBRACK)
        return syntax(l, "expecting ']'");
    while (n && l->tok != EA_TK_RBRACK) {
        bool optional = take(l, EA_TK_QUESTION);

        e = expr(l);
        if (!nodes_add(l->u, &list, e))
            return NULL;
        if (optional)
            e->flags |= EA_NF_ENTRY;
        if (!take(l, EA_TK_COMMA))
            break;
    }
    if (n && l->tok != EA_TK_RBRACK)
        return syntax(l, "expecting ',' or ']'");
    ea_cel_lex_next(l);
    return n && adopt(l->u, n, &list) ? n : NULL;
}

/* Entries of a map literal, or the fields of a message when `fields`; the '{' is the current token.
 */
static bool entries(struct ea_cel_lexer *l, struct ea_cel_node *n, bool fields)
{
    struct nodes list = {0};
    struct ea_cel_node *key;

    ea_cel_lex_next(l);
    if (take(l, EA_TK_COMMA) && l->tok != EA_TK_RBRACE) {
        syntax(l, "expecting '}'");
        return false;
    }
    while (l->tok != EA_TK_RBRACE) {
        bool optional = take(l, EA_TK_QUESTION);

        if (fields) {
            if (l->tok != EA_TK_IDENT && l->tok != EA_TK_QUOTED) {
                syntax(l, "expecting a field name");
                return false;
            }
            key = ea_cel_node_new(l->u, EA_N_LIT, l->pos);
            ea_cel_lex_next(l);
        } else {
            key = expr(l);
        }
        if (!nodes_add(l->u, &list, key))
            return false;
        if (optional)
            key->flags |= EA_NF_ENTRY;
        if (!take(l, EA_TK_COLON)) {
            syntax(l, "expecting ':'");
            return false;
        }
        if (!nodes_add(l->u, &list, expr(l)))
            return false;
        if (!take(l, EA_TK_COMMA))
            break;
    }
    if (!take(l, EA_TK_RBRACE)) {
        syntax(l, "expecting ',' or '}'");
        return false;
    }
    return adopt(l->u, n, &list);
}

static bool is_reserved(struct ea_str w)
{
    size_t i;

    for (i = 0; i < EA_COUNT(reserved); i++) {
        if (ea_str_is(w, reserved[i]))
            return true;
    }
    return false;
}

static struct ea_cel_node *identifier(struct ea_cel_lexer *l)
{
    struct ea_cel_node *n = ea_cel_node_new(l->u, EA_N_IDENT, l->pos);

    if (n == NULL)
        return NULL;
    if (take(l, EA_TK_DOT))
        n->flags |= EA_NF_ABSOLUTE;
    if (l->tok != EA_TK_IDENT)
        return syntax(l, "expecting an identifier");
    n->name = ea_strn(l->s + l->pos, l->end - l->pos);
    if (is_reserved(n->name)) {
        ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos, "reserved identifier: %.*s",
                    EA_STRF(n->name));
        return NULL;
    }
    ea_cel_lex_next(l);
    if (l->tok != EA_TK_LPAREN)
        return n;
    n->pos = l->pos; /* errors of a call point to its parenthesis, as in cel-go */
    ea_cel_lex_next(l);
    return arguments(l, n) ? ea_cel_macro_expand(l->u, n) : NULL;
}

static struct ea_cel_node *literal(struct ea_cel_lexer *l, bool negative)
{
    struct ea_cel_node *n = ea_cel_node_new(l->u, EA_N_LIT, l->pos);
    int rc = 0;

    if (n == NULL)
        return NULL;
    switch (l->tok) {
    case EA_TK_INT:
    case EA_TK_UINT:
    case EA_TK_FLOAT:
        rc = ea_cel_lex_number(l, negative, &n->lit);
        break;
    case EA_TK_STRING:
    case EA_TK_BYTES:
        rc = ea_cel_lex_string(l, &n->lit);
        break;
    case EA_TK_TRUE:
    case EA_TK_FALSE:
        n->lit = ea_val_bool(l->tok == EA_TK_TRUE);
        break;
    default:
        n->lit = ea_val_null();
        break;
    }
    ea_cel_lex_next(l);
    return rc ? NULL : n;
}

static struct ea_cel_node *primary(struct ea_cel_lexer *l)
{
    struct ea_cel_node *n;

    switch (l->tok) {
    case EA_TK_INT:
    case EA_TK_UINT:
    case EA_TK_FLOAT:
    case EA_TK_STRING:
    case EA_TK_BYTES:
    case EA_TK_TRUE:
    case EA_TK_FALSE:
    case EA_TK_NULL:
        return literal(l, false);
    case EA_TK_IDENT:
    case EA_TK_DOT:
        return identifier(l);
    case EA_TK_LBRACK:
        return list_literal(l);
    case EA_TK_LBRACE:
        n = ea_cel_node_new(l->u, EA_N_MAP, l->pos);
        return n && entries(l, n, false) ? n : NULL;
    case EA_TK_LPAREN:
        ea_cel_lex_next(l);
        n = expr(l);
        if (n && !take(l, EA_TK_RPAREN))
            return syntax(l, "expecting ')'");
        return n;
    default:
        return syntax(l, "expecting an expression");
    }
}

/* "a.b.C" of a pure chain of identifiers, for a message's name; false for anything else. */
static bool is_name(const struct ea_cel_node *n)
{
    while (n->kind == EA_N_SELECT && !(n->flags & EA_NF_OPTIONAL))
        n = n->target;
    return n->kind == EA_N_IDENT;
}

static struct ea_cel_node *dot(struct ea_cel_lexer *l, struct ea_cel_node *target)
{
    struct ea_cel_node *n = ea_cel_node_new(l->u, EA_N_SELECT, l->pos);
    bool quoted;

    if (n == NULL)
        return NULL;
    ea_cel_lex_next(l);
    if (take(l, EA_TK_QUESTION))
        n->flags |= EA_NF_OPTIONAL;
    quoted = l->tok == EA_TK_QUOTED;
    if (l->tok != EA_TK_IDENT && !quoted)
        return syntax(l, "expecting a field name");
    if (quoted && l->u->k8s) {
        ea_cel_fail(l->u, EA_CEL_E_PARSE, -EINVAL, l->pos, "unsupported syntax: '`'");
        return NULL;
    }
    n->name = quoted ? ea_strn(l->s + l->pos + 1, l->end - l->pos - 2)
                     : ea_strn(l->s + l->pos, l->end - l->pos);
    n->target = target;
    ea_cel_lex_next(l);
    if (!below(l->u, n, target))
        return NULL;
    if (l->tok == EA_TK_LPAREN && !quoted && !(n->flags & EA_NF_OPTIONAL)) {
        n->pos = l->pos;
        ea_cel_lex_next(l);
        return arguments(l, n) ? ea_cel_macro_expand(l->u, n) : NULL;
    }
    return n;
}

static struct ea_cel_node *bracket(struct ea_cel_lexer *l, struct ea_cel_node *target)
{
    struct ea_cel_node *n = ea_cel_node_new(l->u, EA_N_INDEX, l->pos), *index;
    struct nodes list = {0};

    if (n == NULL)
        return NULL;
    ea_cel_lex_next(l);
    if (take(l, EA_TK_QUESTION))
        n->flags |= EA_NF_OPTIONAL;
    n->target = target;
    index = expr(l);
    if (index && !take(l, EA_TK_RBRACK))
        return syntax(l, "expecting ']'");
    return nodes_add(l->u, &list, index) && adopt(l->u, n, &list) && below(l->u, n, target) ? n
                                                                                            : NULL;
}

static struct ea_cel_node *member(struct ea_cel_lexer *l, struct ea_cel_node *n)
{
    while (n) {
        if (l->tok == EA_TK_DOT) {
            n = dot(l, n);
        } else if (l->tok == EA_TK_LBRACK) {
            n = bracket(l, n);
        } else if (l->tok == EA_TK_LBRACE && is_name(n)) {
            struct ea_cel_node *m = ea_cel_node_new(l->u, EA_N_STRUCT, n->pos);

            if (m == NULL)
                return NULL;
            m->target = n;
            n = below(l->u, m, n) && entries(l, m, true) ? m : NULL;
        } else {
            return n;
        }
    }
    return NULL;
}

static bool is_number_token(const struct ea_cel_lexer *l)
{
    return l->tok == EA_TK_INT || l->tok == EA_TK_FLOAT;
}

/* An even number of the same operator cancels out, whatever it stands before (cel-go, visitUnary).
 */
static struct ea_cel_node *unary(struct ea_cel_lexer *l)
{
    enum ea_cel_tok op = l->tok;
    uint32_t pos = l->pos;
    struct ea_cel_node *n;
    unsigned count = 0;

    if (op != EA_TK_NOT && op != EA_TK_MINUS)
        return member(l, primary(l));
    for (; l->tok == op; count++)
        ea_cel_lex_next(l);
    if (op == EA_TK_MINUS && count == 1 && is_number_token(l)) {
        n = literal(l, true);
        if (n)
            n->pos = pos;
        return member(l, n);
    }
    if (op == EA_TK_NOT && take(l, EA_TK_MINUS))
        n = is_number_token(l) ? member(l, literal(l, true)) : syntax(l, "expecting a number");
    else
        n = member(l, primary(l));
    if (n == NULL || count % 2 == 0)
        return n;
    return operator_node(l->u, op == EA_TK_NOT ? EA_OP_NOT : EA_OP_NEG, pos, n, NULL, NULL);
}

/* Binding power and operator of an infix token; 0 = none. */
static unsigned infix(enum ea_cel_tok tok, enum ea_cel_operator *op)
{
    static const struct {
        uint8_t tok, op, power;
    } table[] = {
        {EA_TK_EQ, EA_OP_EQ, 3},    {EA_TK_NE, EA_OP_NE, 3},     {EA_TK_LT, EA_OP_LT, 3},
        {EA_TK_LE, EA_OP_LE, 3},    {EA_TK_GT, EA_OP_GT, 3},     {EA_TK_GE, EA_OP_GE, 3},
        {EA_TK_IN, EA_OP_IN, 3},    {EA_TK_PLUS, EA_OP_ADD, 4},  {EA_TK_MINUS, EA_OP_SUB, 4},
        {EA_TK_STAR, EA_OP_MUL, 5}, {EA_TK_SLASH, EA_OP_DIV, 5}, {EA_TK_PERCENT, EA_OP_MOD, 5},
    };
    size_t i;

    for (i = 0; i < EA_COUNT(table); i++) {
        if (table[i].tok == tok) {
            *op = (enum ea_cel_operator)table[i].op;
            return table[i].power;
        }
    }
    return 0;
}

/* Everything that binds tighter than &&. */
static struct ea_cel_node *calc(struct ea_cel_lexer *l, unsigned least)
{
    struct ea_cel_node *left = unary(l), *right;
    enum ea_cel_operator op = EA_OP_EQ;
    unsigned power;

    while (left && (power = infix(l->tok, &op)) >= least && power > 0) {
        uint32_t pos = l->pos;

        ea_cel_lex_next(l);
        right = calc(l, power + 1);
        left = right ? operator_node(l->u, op, pos, left, right, NULL) : NULL;
    }
    return left;
}

/* A balanced tree over the operands of a chain of && or ||: the result is the same and the tree
 * stays shallow. */
static struct ea_cel_node *balance(struct ea_cel_unit *u, enum ea_cel_operator op,
                                   struct ea_cel_node **v, const uint32_t *pos, uint32_t n)
{
    uint32_t half = (n + 1) / 2;
    struct ea_cel_node *a, *b;

    if (n == 1)
        return v[0];
    a = balance(u, op, v, pos, half);
    b = a ? balance(u, op, v + half, pos + half, n - half) : NULL;
    return b ? operator_node(u, op, pos[half - 1], a, b, NULL) : NULL;
}

/* Operands joined by one logical operator. */
static struct ea_cel_node *logic(struct ea_cel_lexer *l, bool is_or)
{
    enum ea_cel_tok tok = is_or ? EA_TK_OR : EA_TK_AND;
    struct ea_cel_node *n = is_or ? logic(l, false) : calc(l, 1);
    struct nodes list = {0};
    uint32_t *pos = NULL;
    uint32_t size = 0;

    if (l->tok != tok || n == NULL)
        return n;
    if (!nodes_add(l->u, &list, n))
        return NULL;
    while (l->tok == tok) {
        if (list.n > size) {
            uint32_t *p = ea_arena_alloc(l->u->a, (size_t)list.size * 2 * sizeof *p);

            if (p == NULL)
                return syntax(l, "which makes the program too large");
            if (pos)
                memcpy(p, pos, size * sizeof *p);
            pos = p;
            size = list.size * 2;
        }
        EA_ASSERT(pos != NULL);
        pos[list.n - 1] = l->pos;
        ea_cel_lex_next(l);
        n = is_or ? logic(l, false) : calc(l, 1);
        if (!nodes_add(l->u, &list, n))
            return NULL;
    }
    return balance(l->u, is_or ? EA_OP_OR : EA_OP_AND, list.v, pos, list.n);
}

static struct ea_cel_node *expr(struct ea_cel_lexer *l)
{
    struct ea_cel_node *n, *a, *b;
    uint32_t pos;

    if (++l->u->nesting > EA_MAX_CEL_NESTING) {
        ea_cel_fail(l->u, EA_CEL_E_PARSE, -E2BIG, l->pos,
                    "expression is nested too deeply (more than %u)", EA_MAX_CEL_NESTING);
        return NULL;
    }
    n = logic(l, true);
    pos = l->pos;
    if (n && l->tok == EA_TK_QUESTION) {
        ea_cel_lex_next(l);
        a = logic(l, true);
        if (a && l->tok != EA_TK_COLON)
            return syntax(l, "expecting ':'");
        if (a)
            ea_cel_lex_next(l);
        b = a ? expr(l) : NULL;
        n = b ? operator_node(l->u, EA_OP_COND, pos, n, a, b) : NULL;
    }
    l->u->nesting--;
    return n;
}

struct ea_cel_node *ea_cel_parse(struct ea_cel_unit *u)
{
    struct ea_cel_lexer l = {.u = u, .s = u->src.p, .n = (uint32_t)u->src.n};
    struct ea_cel_node *n;

    ea_cel_lex_next(&l);
    n = expr(&l);
    if (n && l.tok != EA_TK_EOF)
        return syntax(&l, "expecting the end of the expression");
    return u->failed ? NULL : n;
}
