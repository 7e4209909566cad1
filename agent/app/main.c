/* The commands, and the way from argv to one of them. The order in which the agent starts stands in
 * app/run.c. */
#include "app/options.h"
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

extern const struct ea_cmd ea_cmd_run, ea_cmd_scan, ea_cmd_review, ea_cmd_cel_eval,
    ea_cmd_controls_list, ea_cmd_controls_show, ea_cmd_controls_lint, ea_cmd_controls_test,
    ea_cmd_controls_coverage, ea_cmd_evidence_verify, ea_cmd_evidence_export, ea_cmd_webhook_render,
    ea_cmd_sinks_list, ea_cmd_spool_init, ea_cmd_config_check, ea_cmd_config_doc;
static const struct ea_cmd cmd_version, cmd_completion, cmd_man;

/* Sub-commands of one word stand together: help and completion rely on it. */
static const struct ea_cmd *const commands[] = {
    &ea_cmd_run,
    &ea_cmd_scan,
    &ea_cmd_review,
    &ea_cmd_controls_list,
    &ea_cmd_controls_show,
    &ea_cmd_controls_lint,
    &ea_cmd_controls_test,
    &ea_cmd_controls_coverage,
    &ea_cmd_cel_eval,
    &ea_cmd_evidence_verify,
    &ea_cmd_evidence_export,
    &ea_cmd_webhook_render,
    &ea_cmd_sinks_list,
    &ea_cmd_config_check,
    &ea_cmd_config_doc,
    &ea_cmd_spool_init,
    &cmd_completion,
    &cmd_man,
    &cmd_version,
    NULL,
};

static int run_version(const struct ea_args *a)
{
    printf("eucs-agent %s\n", EA_VERSION);
    return fflush(stdout) ? 2 : 0;
}

static int run_completion(const struct ea_args *a)
{
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    ea_completion_render(&b, commands);
    return ea_print_out(&b, "completion");
}

static int run_man(const struct ea_args *a)
{
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    ea_man_render(&b, commands);
    return ea_print_out(&b, "man");
}

static const struct ea_cmd cmd_version = {
    .name = "version", .summary = "print the version", .run = run_version};
static const struct ea_cmd cmd_completion = {.name = "completion",
                                             .summary = "print the bash completion script",
                                             .text = "Example: source <(eucs-agent completion)",
                                             .run = run_completion};
static const struct ea_cmd cmd_man = {.name = "man",
                                      .summary = "print the man page",
                                      .text = "Example: eucs-agent man | man -l -",
                                      .run = run_man};

static void overview(FILE *f)
{
    fputs("eucs-agent - continuous EUCS evidence and admission control for Kubernetes\n\n"
          "Usage: eucs-agent COMMAND [options]\n\nCommands:\n",
          f);
    for (size_t i = 0; commands[i]; i++)
        fprintf(f, "  %-20s %s\n", commands[i]->name, commands[i]->summary);
    fputs("  help COMMAND         show options and examples of one command\n\n"
          "Exit status: 0 clean, 1 findings or a broken log, 2 usage or unreadable input.\n",
          f);
}

/* The command named by the first one or two words; *ret_used = words it takes. */
static const struct ea_cmd *command_of(int argc, char **argv, int *ret_used)
{
    for (size_t i = 0; commands[i]; i++) {
        struct ea_str rest, head = ea_str_cut(ea_str(commands[i]->name), ' ', &rest);

        if (argc < 1 || !ea_str_is(head, argv[0]))
            continue;
        if (!rest.p || (argc > 1 && ea_str_is(rest, argv[1]))) {
            *ret_used = rest.p ? 2 : 1;
            return commands[i];
        }
    }
    return NULL;
}

/* All commands whose first word is `word`; 0 when there are none. */
static unsigned list_group(FILE *f, const char *word)
{
    unsigned n = 0;

    for (size_t i = 0; commands[i]; i++) {
        struct ea_str rest, head = ea_str_cut(ea_str(commands[i]->name), ' ', &rest);

        if (!ea_str_is(head, word))
            continue;
        fprintf(f, "  eucs-agent %-20s %s\n", commands[i]->name, commands[i]->summary);
        n++;
    }
    return n;
}

static int show_help(const struct ea_cmd *c)
{
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    ea_cmd_help(&b, c);
    return ea_print_out(&b, "help");
}

static int no_such_command(int argc, char **argv)
{
    if (list_group(stderr, argv[0]) > 0)
        return 2;
    fprintf(stderr, "eucs-agent: unknown command '%s'\nTry 'eucs-agent help'.\n", argv[0]);
    (void)argc;
    return 2;
}

static int help(int argc, char **argv)
{
    int used;
    const struct ea_cmd *c = command_of(argc, argv, &used);

    if (argc == 0) {
        overview(stdout);
        return 0;
    }
    if (c)
        return show_help(c);
    return list_group(stdout, argv[0]) ? 0 : no_such_command(argc, argv);
}

int main(int argc, char **argv)
{
    struct ea_err err = {0};
    struct ea_args *args = NULL;
    int used = 0;

    argc--;
    argv++;
    if (argc == 0) {
        overview(stderr);
        return 2;
    }
    if (strcmp(argv[0], "help") == 0 || strcmp(argv[0], "--help") == 0 ||
        strcmp(argv[0], "-h") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[0], "--version") == 0)
        return run_version(NULL);
    const struct ea_cmd *c = command_of(argc, argv, &used);

    if (!c)
        return no_such_command(argc, argv);
    if (ea_args_parse(c, argc - used, argv + used, &args, &err))
        return ea_usage_error(c, "%s", ea_err_text(&err));
    int status = ea_opt_has(args, "help") ? show_help(c) : c->run(args);

    ea_args_free(args);
    return status;
}
