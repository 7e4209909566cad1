/* app/cmd.h - commands and their option tables: parsing, --help, shell completion and the man page
 * come from the same table.
 *
 * Thread:  [init].
 * A command is one file app/cmd_<name>.c exporting `const struct ea_cmd ea_cmd_<name>`; the list
 * stands in main.c.
 */
#ifndef EA_APP_CMD_H
#define EA_APP_CMD_H

#include "base/base.h"
#include "base/buf.h"

enum ea_opt_kind { EA_OPT_FLAG, EA_OPT_VALUE, EA_OPT_LIST /* repeatable, also a,b,c */ };

struct ea_opt {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* 0 = none */
    enum ea_opt_kind kind;
    const char *arg;     /* metavariable for help: "FILE" */
    const char *dflt;    /* shown in help and returned by ea_opt_get when absent; may be NULL */
    const char *choices; /* "a|b|c": checked; NULL = free */
    const char *help;
};

struct ea_args;
/* NULL when absent and without default. */
const char *ea_opt_get(const struct ea_args *a, const char *name);
bool ea_opt_has(const struct ea_args *a, const char *name); /* given on the command line */
/* Values of a list option; NULL-terminated array, *ret_n may be NULL. */
const char *const *ea_opt_list(const struct ea_args *a, const char *name, size_t *ret_n);
/* Words that are no options. */
const char *const *ea_args_words(const struct ea_args *a, size_t *ret_n);

struct ea_cmd {
    const char *name;    /* "scan"; "controls list" for a sub-command */
    const char *summary; /* one line for `help` */
    const char *usage;   /* "PATH… | -" */
    const char *text;    /* paragraphs and tried examples for `help NAME`, may be NULL */
    const struct ea_opt *options;
    unsigned min_words, max_words;       /* max 0 = none allowed, UINT_MAX = any */
    int (*run)(const struct ea_args *a); /* exit status 0, 1, 2 */
};

/* Prints "eucs-agent NAME: …" with a hint at help on stderr; returns 2. */
int ea_usage_error(const struct ea_cmd *c, const char *fmt, ...) EA_PRINTF(2, 3);
/* Prints and frees the buffer. The exit status: 0, or 2 when it overflowed or stdout failed (said
 * on stderr under the command's name). */
int ea_print_out(struct ea_buf *b, const char *command);
/* Colours allowed on stdout: a terminal, no NO_COLOR. */
bool ea_colour(void);

#endif
