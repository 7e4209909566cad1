/* app/webhook_config.h - the agent's configuration as options of the webhook configuration:
 * `webhook render` and the running agent share it.
 *
 * Thread:  [any]; strings are borrowed from the configuration and the environment.
 */
#ifndef EA_APP_WEBHOOK_CONFIG_H
#define EA_APP_WEBHOOK_CONFIG_H

#include "app/config.h"
#include "cluster/webhook.h"

/* Namespace of the release: seats.namespace, else the environment's POD_NAMESPACE, else `dflt` (may
 * be NULL: "eucs-agent"). Borrowed. */
const char *ea_release_namespace(const struct ea_config *c, const char *dflt);
/* Everything but ca_pem, token and owner_uid. fail: Fail unless webhook.breakGlass. */
void ea_webhook_from_config(const struct ea_config *c, const char *release_ns,
                            struct ea_webhook_opts *ret);

#endif
