/* app/agent_web.h - what the web shows of the running agent, and who may see it.
 *
 * Thread:  fill and authorize run on the web server's thread; new and free are [owner].
 * Owns:    the token, the cached answers of the API server about other tokens, its own connection
 * to it. Limits:  EA_AGENT_WEB_CACHE answers kept, each for 60 s.
 */
#ifndef EA_APP_AGENT_WEB_H
#define EA_APP_AGENT_WEB_H

#include "app/agent.h"
#include "web/web.h"

struct ea_agent_web {
    struct ea_web *server;
    struct ea_health *health;
    ea_wall_us started;
    char token[129]; /* NUL-terminated */
    struct ea_agent_web_auth *auth;
};

struct ea_agent_web *ea_agent_web_new(void);
void ea_agent_web_free(struct ea_agent_web *w);
void ea_agent_web_fill(void *agent, struct ea_arena *arena, struct ea_web_snapshot *ret);
/* The agent's own token may do everything; with source kubernetes every other one is asked about by
 * TokenReview and SubjectAccessReview. */
unsigned ea_agent_web_authorize(void *agent, struct ea_str token, const char *verb,
                                struct ea_str path);

/* agent_serve.c */
unsigned ea_agent_checks(void *arg, bool ready, struct ea_health_check *c, unsigned cap);
/* Path of a file in the agent's TLS folder. */
const char *ea_agent_cert(const struct ea_agent *a, const char *name, char path[512]);
EA_MUST_CHECK int ea_agent_tls_ensure(struct ea_agent *a, struct ea_err *err);

#endif
