/* base/log.h - the agent's own log: one logfmt line per event on stderr (or JSON, by ea_log_init).
 *
 * Thread:  [any]; a line is one write().
 * Rule:    rooms return errors; one place per thread logs. No secret is ever a value.
 *
 *   ea_log(EA_LOG_WARN, "watch-restarted", EA_KV_STR("resource", gvr), EA_KV_U64("after_ms", ms));
 *
 * The first argument after the level is a stable, greppable slug. The same slug is printed at most
 * 20 times in 10 s, then a line "suppressed" with the count follows.
 */
#ifndef EA_BASE_LOG_H
#define EA_BASE_LOG_H

#include "base/base.h"

enum ea_log_level { EA_LOG_ERROR, EA_LOG_WARN, EA_LOG_INFO, EA_LOG_DEBUG };

struct ea_kv {
    const char *key;
    enum { EA_KV_T_STR, EA_KV_T_I64, EA_KV_T_U64 } type;
    struct ea_str s;
    int64_t i;
    uint64_t u;
};

#define EA_KV_STR(k, v) ((struct ea_kv){.key = (k), .type = EA_KV_T_STR, .s = (v)})
#define EA_KV_Z(k, z) ((struct ea_kv){.key = (k), .type = EA_KV_T_STR, .s = ea_str(z)})
#define EA_KV_I64(k, v) ((struct ea_kv){.key = (k), .type = EA_KV_T_I64, .i = (v)})
#define EA_KV_U64(k, v) ((struct ea_kv){.key = (k), .type = EA_KV_T_U64, .u = (v)})
#define ea_log(level, slug, ...)                                                                   \
    ea_log_kv(level, slug, (const struct ea_kv[]){{.key = NULL}, ##__VA_ARGS__},                   \
              sizeof((const struct ea_kv[]){{.key = NULL}, ##__VA_ARGS__}) / sizeof(struct ea_kv))

void ea_log_init(enum ea_log_level max, bool json);
bool ea_log_on(enum ea_log_level level);
void ea_log_kv(enum ea_log_level level, const char *slug, const struct ea_kv *kv, size_t n);
/* As ea_log with code and text of the error. */
void ea_log_err(enum ea_log_level level, const char *slug, const struct ea_err *e);

#endif
