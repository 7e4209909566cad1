#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define SERIES_MAX 4096u

static const uint64_t bounds_us[] = {50,     100,     250,     500,     1000,   2500,
                                     5000,   10000,   25000,   50000,   100000, 250000,
                                     500000, 1000000, 2500000, 10000000};
#define BUCKETS EA_COUNT(bounds_us)

struct ea_metric {
    enum ea_metric_kind kind;
    char *name, *help, *labels;
    _Atomic uint64_t count; /* counter, or observations */
    _Atomic uint64_t bits;  /* gauge: the double's bits; histogram: sum in microseconds */
    _Atomic uint64_t *buckets;
};

static struct ea_metric *series[SERIES_MAX];
static unsigned n_series;
static struct ea_metric dropped = {.kind = EA_COUNTER};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct ea_metric *find(const char *name, const char *labels)
{
    for (unsigned i = 0; i < n_series; i++) {
        if (strcmp(series[i]->name, name) == 0 && strcmp(series[i]->labels, labels) == 0)
            return series[i];
    }
    return NULL;
}

struct ea_metric *ea_metric(enum ea_metric_kind kind, const char *name, const char *help,
                            const char *labels)
{
    labels = labels ? labels : "";
    (void)pthread_mutex_lock(&lock);
    struct ea_metric *m = find(name, labels);

    if (!m && n_series == SERIES_MAX) {
        m = &dropped;
    } else if (!m) {
        m = ea_xalloc(sizeof(*m));
        m->kind = kind;
        m->name = ea_str_dupz(ea_str(name));
        m->help = ea_str_dupz(ea_str(help));
        m->labels = ea_str_dupz(ea_str(labels));
        if (kind == EA_HISTOGRAM)
            m->buckets = ea_xalloc(BUCKETS * sizeof(*m->buckets));
        series[n_series++] = m;
    }
    (void)pthread_mutex_unlock(&lock);
    return m;
}

void ea_metric_add(struct ea_metric *m, uint64_t by)
{
    atomic_fetch_add_explicit(&m->count, by, memory_order_relaxed);
}

void ea_metric_set(struct ea_metric *m, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    atomic_store_explicit(&m->bits, bits, memory_order_relaxed);
}

double ea_metric_get(const struct ea_metric *m)
{
    if (m->kind != EA_GAUGE)
        return (double)atomic_load_explicit(&m->count, memory_order_relaxed);
    uint64_t bits = atomic_load_explicit(&m->bits, memory_order_relaxed);
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

void ea_metric_observe_us(struct ea_metric *m, uint64_t us)
{
    if (!m->buckets)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        if (us <= bounds_us[i]) {
            atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
            break;
        }
    }
    atomic_fetch_add_explicit(&m->bits, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->count, 1, memory_order_relaxed);
}

void ea_metric_label(struct ea_buf *b, const char *key, struct ea_str value)
{
    ea_buf_addf(b, "%s%s=\"", b->n ? "," : "", key);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];

        if (c == '\n')
            ea_buf_addz(b, "\\n");
        else if (c == '"' || c == '\\')
            ea_buf_addf(b, "\\%c", c);
        else
            ea_buf_addc(b, c);
    }
    ea_buf_addc(b, '"');
}

static int by_name(const void *x, const void *y)
{
    const struct ea_metric *a = *(struct ea_metric *const *)x, *b = *(struct ea_metric *const *)y;
    int c = strcmp(a->name, b->name);

    return c ? c : strcmp(a->labels, b->labels);
}

static void print_number(struct ea_buf *b, double v)
{
    if (v == floor(v) && fabs(v) < 1e15)
        ea_buf_addf(b, "%lld\n", (long long)v);
    else
        ea_buf_addf(b, "%.17g\n", v);
}

static void print_histogram(struct ea_buf *b, const struct ea_metric *m)
{
    const char *comma = *m->labels ? "," : "";
    uint64_t sum = 0;
    uint64_t count = atomic_load_explicit(&m->count, memory_order_relaxed);

    for (size_t i = 0; i < BUCKETS; i++) {
        sum += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        ea_buf_addf(b, "%s_bucket{%s%sle=\"%g\"} %llu\n", m->name, m->labels, comma,
                    (double)bounds_us[i] / 1e6, (unsigned long long)sum);
    }
    count = EA_MAX(count, sum);
    ea_buf_addf(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", m->name, m->labels, comma,
                (unsigned long long)count);
    const char *open = *m->labels ? "{" : "", *close = *m->labels ? "}" : "";

    ea_buf_addf(b, "%s_sum%s%s%s %.6f\n", m->name, open, m->labels, close,
                (double)atomic_load_explicit(&m->bits, memory_order_relaxed) / 1e6);
    ea_buf_addf(b, "%s_count%s%s%s %llu\n", m->name, open, m->labels, close,
                (unsigned long long)count);
}

int ea_metrics_print(struct ea_buf *b)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};

    (void)pthread_mutex_lock(&lock);
    unsigned n = n_series;
    EA_AUTO_FREE struct ea_metric **all = ea_xalloc((n + 1) * sizeof(*all));

    if (n)
        memcpy(all, series, n * sizeof(*all));
    (void)pthread_mutex_unlock(&lock);
    qsort(all, n, sizeof(*all), by_name);
    for (unsigned i = 0; i < n; i++) {
        const struct ea_metric *m = all[i];

        if (i == 0 || strcmp(all[i - 1]->name, m->name) != 0)
            ea_buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                        kinds[m->kind]);
        if (m->kind == EA_HISTOGRAM) {
            print_histogram(b, m);
            continue;
        }
        if (*m->labels)
            ea_buf_addf(b, "%s{%s} ", m->name, m->labels);
        else
            ea_buf_addf(b, "%s ", m->name);
        print_number(b, ea_metric_get(m));
    }
    ea_buf_addf(b, "# HELP ea_metrics_dropped_total series beyond the limit\n# TYPE "
                   "ea_metrics_dropped_total counter\n");
    ea_buf_addf(b, "ea_metrics_dropped_total %llu\n",
                (unsigned long long)atomic_load(&dropped.count));
    return b->failed;
}
