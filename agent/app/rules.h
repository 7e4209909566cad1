/* app/rules.h - the rule set that a command works with: built-in or from a folder, with the
 * settings of an agent's configuration.
 *
 * Thread:  [init].
 * Owns:    what it loaded; freed by ea_rules_close.
 */
#ifndef EA_APP_RULES_H
#define EA_APP_RULES_H

#include "app/cmd.h"
#include "app/config.h"
#include "controls/exempt.h"
#include "controls/ruleset.h"

/* Rows for a command's option table. */
#define EA_RULES_OPTIONS                                                                           \
    {.name = "controls",                                                                           \
     .kind = EA_OPT_VALUE,                                                                         \
     .arg = "DIR",                                                                                 \
     .help = "folder of control files instead of the built-in ones"},                              \
    {                                                                                              \
        .name = "config", .kind = EA_OPT_VALUE, .arg = "FILE",                                     \
        .help = "agent configuration: its controls, params and exemptions are used"                \
    }

struct ea_rules {
    struct ea_ruleset *set;
    struct ea_problems problems;      /* lives in set */
    struct ea_config *config;         /* NULL without --config */
    struct ea_exemptions *exemptions; /* of the configuration, may be NULL */
};

/* Loads what --controls and --config say. 0 or negative errno (err says file and line). */
EA_MUST_CHECK int ea_rules_open(const struct ea_args *a, bool lint, struct ea_rules *ret,
                                struct ea_err *err);
void ea_rules_close(struct ea_rules *r);
/* SHA-256 over the files in path order (path, NUL, length, NUL, bytes), set in the rule set. */
void ea_rules_digest(struct ea_ruleset *set);
/* Prints problems that keep a control from being used on stderr; number of them. */
unsigned ea_rules_warn(const struct ea_rules *r);

#endif
