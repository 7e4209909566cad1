/* web/health.h - liveness and readiness for the kubelet: plain HTTP, no secrets, nothing to steal.
 *
 * Thread:  start and stop are [owner]; `checks` is called on the server's thread and must not
 * block. Source:  GET /livez, /readyz (200 or 503); ?verbose lists every check as the API server
 * does.
 */
#ifndef EA_WEB_HEALTH_H
#define EA_WEB_HEALTH_H

#include "net/server.h"

#define EA_MAX_HEALTH_CHECKS 32u

struct ea_health_check {
    const char *name; /* "rules", "caches", "certificate", … */
    bool ok;
    char why[200]; /* one sentence when not ok; shown with ?verbose */
};

struct ea_health_opts {
    struct ea_server_opts
        server; /* address and port; handle, arg and name are set here; never TLS */
    /* Fills at most cap checks, answers how many. ready: for /readyz, else for /livez. */
    unsigned (*checks)(void *arg, bool ready, struct ea_health_check *ret, unsigned cap);
    void *arg;
};

struct ea_health;
EA_MUST_CHECK int ea_health_start(const struct ea_health_opts *o, struct ea_health **ret,
                                  struct ea_err *err);
uint16_t ea_health_port(const struct ea_health *h);
void ea_health_stop(struct ea_health *h); /* NULL is fine */

#endif
