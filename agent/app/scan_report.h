/* app/scan_report.h - what a scan prints: one object's findings at a time into one of five formats.
 *
 * Thread:  [owner].
 * Owns:    its buffer and lists.
 * Limits:  the buffer is flushed to stdout as it fills; junit keeps its suites until the end.
 * Source:  docs/SCAN.md; SARIF 2.1.0; JUnit as Jenkins reads it.
 */
#ifndef EA_APP_SCAN_REPORT_H
#define EA_APP_SCAN_REPORT_H

#include "base/map.h"
#include "controls/finding.h"

struct ea_scan_report;

struct ea_scan_format {
    const char *name;
    void (*begin)(struct ea_scan_report *r);
    void (*object)(struct ea_scan_report *r, const struct ea_subject *s,
                   const struct ea_source *src, const struct ea_findings *f);
    void (*end)(struct ea_scan_report *r);
};
extern const struct ea_scan_format ea_scan_table, ea_scan_json, ea_scan_jsonl, ea_scan_sarif,
    ea_scan_junit;

/* A kind that no control matches, with the number of documents. */
struct ea_not_judged {
    struct ea_str api_version, kind;
    unsigned n;
};

struct ea_scan_problem {
    char *file, *text;
    unsigned line; /* 0 = unknown */
};

struct ea_scan_report {
    const struct ea_scan_format *format;
    struct ea_buf out;
    int (*write)(void *arg, const void *p, size_t n); /* 0 or negative errno; tests collect */
    void *write_arg;
    int write_error; /* of the first write that failed */
    const struct ea_ruleset *rs;
    enum ea_level level;
    int64_t now_us;
    bool colour;

    size_t objects, judged;
    size_t results[EA_RESULT_COUNT];
    size_t failed[EA_ACTION_COUNT]; /* by action, exempted ones apart */
    size_t exempted;
    size_t findings; /* lines so far */
    struct ea_not_judged *nj;
    size_t n_nj;
    struct ea_scan_problem *problems;
    size_t n_problems;
    struct ea_junit_suite *suites; /* junit only */
    unsigned n_suites;
};

void ea_scan_report_init(struct ea_scan_report *r, const struct ea_scan_format *f,
                         const struct ea_ruleset *rs);
/* Frees; ends nothing. */
void ea_scan_report_done(struct ea_scan_report *r);
void ea_scan_report_problem(struct ea_scan_report *r, struct ea_str file, unsigned line,
                            const char *text);
void ea_scan_report_not_judged(struct ea_scan_report *r, struct ea_str api_version,
                               struct ea_str kind);
/* Counts and prints. */
void ea_scan_report_object(struct ea_scan_report *r, const struct ea_subject *s,
                           const struct ea_source *src, const struct ea_findings *f);
void ea_scan_report_begin(struct ea_scan_report *r);
/* Prints what is left. 0 or the first write error. */
int ea_scan_report_end(struct ea_scan_report *r);

#endif
