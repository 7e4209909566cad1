/* sinks/sink.h - one folder per destination: bytes from the log, delivered.
 *
 * Thread:  a sink lives on its own thread; all its functions are [owner].
 * Owns:    its connection and files. Records are borrowed for the call.
 * Never:   retries by itself: the runner owns the clock, the cursor and the retry policy.
 */
#ifndef EA_SINKS_SINK_H
#define EA_SINKS_SINK_H

#include "base/base.h"
#include "doc/val.h"
#include "evidence/log.h"

enum ea_sink_answer {
    EA_SINK_SENT,   /* delivered up to the sink's own guarantee */
    EA_SINK_RETRY,  /* later, the same records again */
    EA_SINK_HOLD,   /* a human must mend it (401, 403, full disk): retry slowly, never drop */
    EA_SINK_REFUSED /* this very record is not wanted: dead letter */
};

struct ea_sink_option {
    const char *key, *type, *dflt, *help;
};

struct ea_sink;
struct ea_sink_ops {
    const char *name;                     /* = the folder */
    const char *summary;                  /* one line */
    const struct ea_sink_option *options; /* ends with key NULL */
    /* config: the sink's map of the configuration. 0, -EINVAL (err names the option). */
    int (*open)(const struct ea_val *config, struct ea_sink **ret, struct ea_err *err);
    enum ea_sink_answer (*send)(struct ea_sink *s, const struct ea_record_view *r,
                                struct ea_err *err);
    enum ea_sink_answer (*flush)(struct ea_sink *s, struct ea_err *err); /* end of a batch */
    void (*close)(struct ea_sink *s);
};

extern const struct ea_sink_ops *const ea_sinks[]; /* generated, ends with NULL */
const struct ea_sink_ops *ea_sink_find(struct ea_str name);

/* What every sink's map may hold besides its own options: name type start types retryBase retryMax.
 * Ends with key NULL. */
extern const struct ea_sink_option ea_sink_common_options[];
/* Options of a sink's map, with their defaults from its table. Values are strings, or scalars
 * written without quotes. */
struct ea_str ea_sink_opt(const struct ea_val *config, const struct ea_sink_option *options,
                          const char *key);
EA_MUST_CHECK int ea_sink_opt_bool(const struct ea_val *config,
                                   const struct ea_sink_option *options, const char *key, bool *ret,
                                   struct ea_err *err);
EA_MUST_CHECK int ea_sink_opt_bytes(const struct ea_val *config,
                                    const struct ea_sink_option *options, const char *key,
                                    uint64_t *ret, struct ea_err *err);

/* One runner per configured sink: a thread that follows the log from the sink's cursor (kept in the
 * log's folder, cur-<name>). */
struct ea_sink_runner;
EA_MUST_CHECK int ea_sink_start(struct ea_elog *log, const char *log_dir, const char *name,
                                const struct ea_sink_ops *ops, const struct ea_val *config,
                                struct ea_sink_runner **ret, struct ea_err *err);
struct ea_sink_stat {
    const char *name;
    /* From the sink's start: records appended = acked + filtered + dead + lost + pending. */
    uint64_t acked, filtered, dead, lost, pending, retries;
    bool holding;
    uint64_t epoch, seq_next; /* next record wanted */
    char error[256];          /* why the last delivery failed; "" after one that did not */
};
void ea_sink_stat(struct ea_sink_runner *r, struct ea_sink_stat *ret); /* [any] */
/* Delivers what is there for at most grace_us, writes the cursor, ends. Sinks stop before the log
 * is closed: log.closed is delivered after the next start. */
void ea_sink_stop(struct ea_sink_runner *r, uint64_t grace_us);

#endif
