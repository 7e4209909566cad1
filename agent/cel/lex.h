/* cel/lex.h - tokens of CEL (cel-spec doc/langdef.md, Syntax).
 *
 * Thread:  [owner].
 * Limits:  the source is capped by the caller; a token is a slice of it.
 */
#ifndef EA_CEL_LEX_H
#define EA_CEL_LEX_H

#include "cel/ast.h"

enum ea_cel_tok {
    EA_TK_EOF,
    EA_TK_BAD,
    EA_TK_IDENT,
    EA_TK_QUOTED,
    EA_TK_INT,
    EA_TK_UINT,
    EA_TK_FLOAT,
    EA_TK_STRING,
    EA_TK_BYTES,
    EA_TK_TRUE,
    EA_TK_FALSE,
    EA_TK_NULL,
    EA_TK_IN,
    EA_TK_LPAREN,
    EA_TK_RPAREN,
    EA_TK_LBRACK,
    EA_TK_RBRACK,
    EA_TK_LBRACE,
    EA_TK_RBRACE,
    EA_TK_DOT,
    EA_TK_COMMA,
    EA_TK_QUESTION,
    EA_TK_COLON,
    EA_TK_NOT,
    EA_TK_MINUS,
    EA_TK_PLUS,
    EA_TK_STAR,
    EA_TK_SLASH,
    EA_TK_PERCENT,
    EA_TK_EQ,
    EA_TK_NE,
    EA_TK_LT,
    EA_TK_LE,
    EA_TK_GT,
    EA_TK_GE,
    EA_TK_AND,
    EA_TK_OR
};

struct ea_cel_lexer {
    struct ea_cel_unit *u;
    const char *s;
    uint32_t n;
    uint32_t at; /* where the next token is looked for */
    /* the current token */
    enum ea_cel_tok tok;
    uint32_t pos, end;
};

/* Reads the next token. A token that is none has failed the unit. */
void ea_cel_lex_next(struct ea_cel_lexer *l);
/* Value of the current string, bytes or number token. 0 or the unit's failure. */
EA_MUST_CHECK int ea_cel_lex_string(struct ea_cel_lexer *l, struct ea_val *ret);
EA_MUST_CHECK int ea_cel_lex_number(struct ea_cel_lexer *l, bool negative, struct ea_val *ret);

#endif
