#include "app/cmd.h"
#include "sinks/sink.h"

#include <stdio.h>

static int run_list(const struct ea_args *a)
{
    for (size_t i = 0; ea_sinks[i]; i++) {
        printf("%s - %s\n", ea_sinks[i]->name, ea_sinks[i]->summary);
        for (const struct ea_sink_option *o = ea_sinks[i]->options; o && o->key; o++)
            printf("    %-16s %-10s %s%s%s%s\n", o->key, o->type, o->help, o->dflt ? " [" : "",
                   o->dflt ? o->dflt : "", o->dflt ? "]" : "");
    }
    return fflush(stdout) ? 2 : 0;
}

const struct ea_cmd ea_cmd_sinks_list = {
    .name = "sinks list",
    .summary = "destinations for evidence that this binary knows, with their options",
    .text = "Example: eucs-agent sinks list",
    .run = run_list,
};
