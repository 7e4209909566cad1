/* sinks/sink.c - finding a sink by name, reading the options of its map. */
#include "sinks/sink.h"

#include <stdio.h>

const struct ea_sink_option ea_sink_common_options[] = {
    {"name", "string", NULL, "names the cursor; letters, digits, '-', '_', '.'"},
    {"type", "string", NULL, "one of the destinations"},
    {"start", "now|oldest", "now", "where a sink without a cursor begins"},
    {"types", "list", NULL, "record types to deliver; all when absent"},
    {"retryBase", "duration", "1s", "first wait after a failed delivery, doubled each time"},
    {"retryMax", "duration", "60s", "longest wait"},
    {NULL},
};

const struct ea_sink_ops *ea_sink_find(struct ea_str name)
{
    for (size_t i = 0; ea_sinks[i]; i++)
        if (ea_str_is(name, ea_sinks[i]->name))
            return ea_sinks[i];
    return NULL;
}

struct ea_str ea_sink_opt(const struct ea_val *config, const struct ea_sink_option *options,
                          const char *key)
{
    const struct ea_val *v = ea_val_get(config, ea_str(key));

    if (ea_val_is(v, EA_V_STRING))
        return ea_val_text(v);
    for (const struct ea_sink_option *o = options; o && o->key; o++)
        if (strcmp(o->key, key) == 0 && o->dflt)
            return ea_str(o->dflt);
    return EA_STR_NULL;
}

int ea_sink_opt_bool(const struct ea_val *config, const struct ea_sink_option *options,
                     const char *key, bool *ret, struct ea_err *err)
{
    const struct ea_val *v = ea_val_get(config, ea_str(key));
    struct ea_str s = ea_sink_opt(config, options, key);

    if (ea_val_is(v, EA_V_BOOL)) {
        *ret = v->b;
        return 0;
    }
    if ((v && v->type != EA_V_STRING && v->type != EA_V_NULL) ||
        (!ea_str_is(s, "true") && !ea_str_is(s, "false")))
        return ea_fail(err, -EINVAL, "%s must be true or false", key);
    *ret = ea_str_is(s, "true");
    return 0;
}

int ea_sink_opt_bytes(const struct ea_val *config, const struct ea_sink_option *options,
                      const char *key, uint64_t *ret, struct ea_err *err)
{
    const struct ea_val *v = ea_val_get(config, ea_str(key));

    if (ea_val_is(v, EA_V_INT) && v->i >= 0) {
        *ret = (uint64_t)v->i;
        return 0;
    }
    if ((v && v->type != EA_V_STRING && v->type != EA_V_NULL) ||
        ea_str_to_bytes(ea_sink_opt(config, options, key), ret) < 0)
        return ea_fail(err, -EINVAL, "%s must be a number of bytes such as 64Mi", key);
    return 0;
}
