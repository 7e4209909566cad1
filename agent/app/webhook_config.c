/* app/webhook_config.c - configuration to webhook options. */
#include "app/webhook_config.h"

const char *ea_release_namespace(const struct ea_config *c, const char *dflt)
{
    const char *env = getenv("POD_NAMESPACE");

    if (c && *c->seats_namespace)
        return c->seats_namespace;
    if (env && *env)
        return env;
    return dflt ? dflt : "eucs-agent";
}

void ea_webhook_from_config(const struct ea_config *c, const char *release_ns,
                            struct ea_webhook_opts *ret)
{
    *ret = (struct ea_webhook_opts){
        .name = c->webhook_name,
        .url = *c->webhook_url ? c->webhook_url : NULL,
        .service_ns = release_ns,
        .service = c->webhook_service,
        .service_port = (unsigned)c->webhook_service_port,
        .timeout_s = (unsigned)c->webhook_timeout,
        .release_ns = release_ns,
        .exempt_namespaces = c->exempt_namespaces,
        .owner_role = *c->webhook_owner ? c->webhook_owner : NULL,
        .enforcement = (enum ea_action)ea_action_parse(ea_str(c->enforcement)),
        .fail = !c->break_glass,
    };
}
