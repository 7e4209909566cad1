/* app/options.h - parsing a command line against the option table of a command, and printing help
 * from it.
 *
 * Thread:  [init].
 */
#ifndef EA_APP_OPTIONS_H
#define EA_APP_OPTIONS_H

#include "app/cmd.h"
#include "base/buf.h"

/* Parses argv[0..argc) (after the command's name). 0 or -EINVAL (err says which option). The caller
 * frees with ea_args_free. */
EA_MUST_CHECK int ea_args_parse(const struct ea_cmd *c, int argc, char **argv, struct ea_args **ret,
                                struct ea_err *err);
void ea_args_free(struct ea_args *a);
/* `help NAME`. */
void ea_cmd_help(struct ea_buf *b, const struct ea_cmd *c);
/* bash completion and a man page (troff) for all commands. */
void ea_completion_render(struct ea_buf *b, const struct ea_cmd *const *cmds);
void ea_man_render(struct ea_buf *b, const struct ea_cmd *const *cmds);

#endif
