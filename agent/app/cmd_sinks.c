#include "app/cmd.h"
#include "base/buf.h"
#include "sinks/sink.h"

#include <stdio.h>

static void table(struct ea_buf *b, const char *name, const char *summary,
                  const struct ea_sink_option *options)
{
    ea_buf_addf(b, "%s - %s\n", name, summary);
    for (const struct ea_sink_option *o = options; o && o->key; o++)
        ea_buf_addf(b, "    %-16s %-10s %s%s%s%s\n", o->key, o->type, o->help, o->dflt ? " [" : "",
                    o->dflt ? o->dflt : "", o->dflt ? "]" : "");
}

/* Types that are choices, "a|b", would end a cell. */
static void markdown_type(struct ea_buf *b, const char *type)
{
    for (; *type; type++) {
        if (*type == '|')
            ea_buf_addz(b, " or ");
        else
            ea_buf_addc(b, *type);
    }
}

static void markdown(struct ea_buf *b, const char *name, const char *summary,
                     const struct ea_sink_option *options)
{
    ea_buf_addf(b, "**%s**: %s\n", name, summary);
    if (options && options->key)
        ea_buf_addz(b, "\n| option | type | default | meaning |\n|---|---|---|---|\n");
    for (const struct ea_sink_option *o = options; o && o->key; o++) {
        ea_buf_addf(b, "| `%s` | ", o->key);
        markdown_type(b, o->type);
        ea_buf_addf(b, " | %s%s%s | %s |\n", o->dflt ? "`" : "", o->dflt ? o->dflt : "",
                    o->dflt ? "`" : "", o->help);
    }
    ea_buf_addc(b, '\n');
}

static int run_list(const struct ea_args *a)
{
    bool md = strcmp(ea_opt_get(a, "format"), "markdown") == 0;
    void (*add)(struct ea_buf *, const char *, const char *, const struct ea_sink_option *) =
        md ? markdown : table;
    struct ea_buf b;

    ea_buf_init(&b, 1u << 20);
    for (size_t i = 0; ea_sinks[i]; i++)
        add(&b, ea_sinks[i]->name, ea_sinks[i]->summary, ea_sinks[i]->options);
    add(&b, "every type", "options of each entry of `sinks`", ea_sink_common_options);
    return ea_print_out(&b, "sinks list");
}

static const struct ea_opt options[] = {
    {.name = "format",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "table",
     .choices = "table|markdown",
     .help = "what to print"},
    {.name = NULL},
};

const struct ea_cmd ea_cmd_sinks_list = {
    .name = "sinks list",
    .summary = "destinations for evidence that this binary knows, with their options",
    .text = "Example: eucs-agent sinks list",
    .options = options,
    .run = run_list,
};
