#include "app/cmd.h"
#include "app/config.h"

#include <stdio.h>

static int run_check(const struct ea_args *a)
{
    struct ea_config *c = NULL;
    struct ea_err err = {0};

    if (ea_config_load(ea_args_words(a, NULL)[0], &c, &err)) {
        fprintf(stderr, "eucs-agent config check: %s\n", ea_err_text(&err));
        return 2;
    }
    ea_config_free(c);
    puts("ok");
    return fflush(stdout) ? 2 : 0;
}

static int run_doc(const struct ea_args *a)
{
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    ea_config_doc(&b);
    return ea_print_out(&b, "config doc");
}

const struct ea_cmd ea_cmd_config_check = {
    .name = "config check",
    .summary = "read a configuration and say what is wrong, with file and line",
    .usage = "FILE",
    .text = "Example: eucs-agent config check /etc/eucs-agent/config.yaml",
    .min_words = 1,
    .max_words = 1,
    .run = run_check,
};

const struct ea_cmd ea_cmd_config_doc = {
    .name = "config doc",
    .summary = "every option of the configuration as a Markdown table",
    .text = "Example: eucs-agent config doc | less",
    .run = run_doc,
};
