/* base/metrics.h - counters, gauges and histograms, printed as Prometheus text format 0.0.4.
 *
 * Thread:  [any]; updates are relaxed atomics, registration and printing take one lock.
 * Owns:    every metric for the life of the process.
 * Limits:  labels come from closed sets of the caller; 4096 series in all, further ones land in
 * `ea_metrics_dropped_total`.
 */
#ifndef EA_BASE_METRICS_H
#define EA_BASE_METRICS_H

#include "base/base.h"
#include "base/buf.h"

struct ea_metric;

enum ea_metric_kind { EA_COUNTER, EA_GAUGE, EA_HISTOGRAM };

/* Finds or makes the series. `name` without prefix is forbidden: eucs_agent_… ; `labels` is the
 * finished label text without braces (`result="fail",kind="Pod"`) or NULL, values escaped by the
 * caller (see ea_metric_label). Never NULL. */
struct ea_metric *ea_metric(enum ea_metric_kind kind, const char *name, const char *help,
                            const char *labels);
void ea_metric_add(struct ea_metric *m, uint64_t by);
void ea_metric_set(struct ea_metric *m, double v);
double ea_metric_get(const struct ea_metric *m);
/* Histogram in seconds; buckets 50 us … 10 s, fixed. */
void ea_metric_observe_us(struct ea_metric *m, uint64_t us);
/* Appends key="value" with \ " and newline escaped. */
void ea_metric_label(struct ea_buf *b, const char *key, struct ea_str value);
/* Whole exposition text; sorted by name, one HELP and TYPE per name. */
int ea_metrics_print(struct ea_buf *b);

#endif
