/* Benchmark of the JSON parser beside cJSON with malloc, on one admission review. Both sides run in
 * turns; medians. usage: bench_json [file]; one line per figure. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <time.h>

#include "base/arena.h"
#include "base/fd.h"
#include "doc/json.h"
#include "doc/print.h"

#define ROUNDS 201
#define PARSES 40 /* per round and side */

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof *v, by_value);
    return v[ROUNDS / 2];
}

static double time_ours(struct ea_arena *a, struct ea_str text, const struct ea_json_opts *opts)
{
    double start = now_us();
    struct ea_val v;
    int i;

    for (i = 0; i < PARSES; i++) {
        ea_arena_reset(a);
        if (ea_json_parse(a, text, opts, &v, NULL, NULL))
            exit(1);
    }
    return (now_us() - start) / PARSES;
}

static double time_cjson(struct ea_str text)
{
    double start = now_us();
    int i;

    for (i = 0; i < PARSES; i++) {
        cJSON *j = cJSON_ParseWithLength(text.p, text.n);

        if (j == NULL)
            exit(1);
        cJSON_Delete(j);
    }
    return (now_us() - start) / PARSES;
}

static double time_print(struct ea_arena *a, struct ea_buf *b, const struct ea_val *v,
                         int (*print)(struct ea_buf *, const struct ea_val *))
{
    double start = now_us();
    int i;

    for (i = 0; i < PARSES; i++) {
        ea_buf_clear(b);
        if (print(b, v))
            exit(1);
    }
    return (now_us() - start) / PARSES;
}

static double time_cjson_print(cJSON *j)
{
    double start = now_us();
    int i;

    for (i = 0; i < PARSES; i++)
        free(cJSON_PrintUnformatted(j));
    return (now_us() - start) / PARSES;
}

static void line(const char *name, size_t bytes, double us, double other, const char *bar)
{
    printf("%s: %.0f MB/s, %.2f us, ratio %.1f x cJSON (%s)\n", name, (double)bytes / us, us,
           other / us, bar);
}

int main(int argc, char **argv)
{
    static double lazy[ROUNDS], full[ROUNDS], cjson[ROUNDS], print[ROUNDS], jcs[ROUNDS],
        cprint[ROUNDS];
    const char *path = argc > 1 ? argv[1] : "tests/bench/data/review.json";
    struct ea_arena a, doc;
    struct ea_buf b;
    struct ea_str text;
    struct ea_val v;
    struct ea_err err = {0};
    char *p;
    size_t n;
    cJSON *j;
    int i;

    if (ea_read_file(path, 64u << 20, &p, &n, &err)) {
        fprintf(stderr, "bench_json: %s\n", ea_err_text(&err));
        return 2;
    }
    text = ea_strn(p, n);
    ea_arena_init(&a, 512u << 20, 64u << 10);
    ea_arena_init(&doc, 512u << 20, 64u << 10);
    ea_buf_init(&b, 64u << 20);
    if (ea_json_parse(&doc, text, NULL, &v, NULL, &err)) {
        fprintf(stderr, "bench_json: %s\n", ea_err_text(&err));
        return 2;
    }
    j = cJSON_ParseWithLength(text.p, text.n);
    for (i = 0; i < ROUNDS; i++) {
        lazy[i] = time_ours(&a, text, &ea_json_review_opts);
        cjson[i] = time_cjson(text);
        full[i] = time_ours(&a, text, NULL);
        print[i] = time_print(&a, &b, &v, ea_json_print);
        cprint[i] = time_cjson_print(j);
        jcs[i] = time_print(&a, &b, &v, ea_jcs_print_full);
    }
    line("json_parse_review", n, median(lazy), median(cjson), "bar 3, goal 5");
    line("json_parse_review_eager", n, median(full), median(cjson), "nothing left raw");
    line("json_print_review", n, median(print), median(cprint), "compact");
    line("jcs_print_review", n, median(jcs), median(cprint), "canonical");
    cJSON_Delete(j);
    ea_buf_done(&b);
    ea_arena_done(&doc);
    ea_arena_done(&a);
    free(p);
    return 0;
}
