/* app/scan_junit.c - JUnit XML: one suite a requirement, one case a (control, object). */
#include "app/scan_report.h"
#include "base/clock.h"

#define SUITE_CAP (512u << 20) /* bytes of one suite's cases */

struct ea_junit_suite {
    struct ea_str requirement;
    struct ea_buf cases;
    size_t tests, failures, errors, skipped;
};

/* XML 1.0: the five entities, and none of the control characters that no document may hold. */
static void add_xml(struct ea_buf *b, struct ea_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        switch (c) {
        case '<':
            ea_buf_addz(b, "&lt;");
            break;
        case '>':
            ea_buf_addz(b, "&gt;");
            break;
        case '&':
            ea_buf_addz(b, "&amp;");
            break;
        case '"':
            ea_buf_addz(b, "&quot;");
            break;
        case '\n':
            ea_buf_addz(b, "&#10;");
            break;
        default:
            if (c >= 0x20 || c == '\t')
                ea_buf_addc(b, (char)c);
        }
    }
}

static struct ea_junit_suite *suite_of(struct ea_scan_report *r, const struct ea_control *c)
{
    struct ea_str q = c->n_requirements ? c->requirements[0] : EA_STR("none");
    struct ea_junit_suite *s;

    for (unsigned i = 0; i < r->n_suites; i++)
        if (ea_str_eq(r->suites[i].requirement, q))
            return &r->suites[i];
    r->suites = ea_xrealloc(r->suites, (r->n_suites + 1) * sizeof(*r->suites));
    s = &r->suites[r->n_suites++];
    memset(s, 0, sizeof(*s));
    s->requirement = q;
    ea_buf_init(&s->cases, SUITE_CAP);
    return s;
}

static void add_outcome(struct ea_junit_suite *u, const struct ea_finding *f)
{
    struct ea_buf *b = &u->cases, text;

    ea_buf_init(&text, 1u << 20);
    if (ea_finding_sentence(&text, f) < 0)
        ea_buf_clear(&text);
    if (f->result == EA_FAIL && !f->exemption) {
        u->failures++;
        ea_buf_addf(b, "<failure type=\"%s\" message=\"", ea_action_names[f->action]);
        add_xml(b, f->message);
        ea_buf_addz(b, "\">");
        add_xml(b, ea_buf_str(&text));
        ea_buf_addz(b, "</failure>");
    } else if (f->result == EA_UNKNOWN) {
        u->errors++;
        ea_buf_addf(b, "<error type=\"%s\" message=\"", ea_reason_names[f->reason]);
        add_xml(b, f->detail);
        ea_buf_addz(b, "\">");
        add_xml(b, ea_buf_str(&text));
        ea_buf_addz(b, "</error>");
    } else if (f->result != EA_PASS) {
        u->skipped++;
        ea_buf_addz(b, "<skipped message=\"");
        if (f->exemption) {
            ea_buf_addz(b, "exempted by ");
            add_xml(b, f->exemption->name);
        } else {
            add_xml(b, f->detail);
        }
        ea_buf_addz(b, "\"/>");
    }
    ea_buf_done(&text);
}

static void junit_object(struct ea_scan_report *r, const struct ea_subject *s,
                         const struct ea_source *src, const struct ea_findings *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        struct ea_junit_suite *u = suite_of(r, f->f[i].control);
        struct ea_buf *b = &u->cases;

        u->tests++;
        ea_buf_addz(b, "<testcase classname=\"");
        add_xml(b, f->f[i].control->id);
        ea_buf_addz(b, "\" name=\"");
        add_xml(b, s->gvr.kind);
        ea_buf_addc(b, ' ');
        if (s->namespace_.n) {
            add_xml(b, s->namespace_);
            ea_buf_addc(b, '/');
        }
        add_xml(b, s->name.n ? s->name : EA_STR("(generated name)"));
        ea_buf_addz(b, "\" file=\"");
        add_xml(b, src->file);
        ea_buf_addf(b, "\" line=\"%u\" time=\"0\">", src->line);
        add_outcome(u, &f->f[i]);
        ea_buf_addz(b, "</testcase>\n");
    }
}

static void junit_end(struct ea_scan_report *r)
{
    size_t tests = 0, failures = 0, errors = r->n_problems, skipped = 0;
    struct ea_buf *b = &r->out;
    char now[32];

    ea_rfc3339(r->now_us, 0, now);
    now[19] = 0; /* the schema that consumers use wants no zone */
    for (unsigned i = 0; i < r->n_suites; i++) {
        tests += r->suites[i].tests;
        failures += r->suites[i].failures;
        errors += r->suites[i].errors;
        skipped += r->suites[i].skipped;
    }
    ea_buf_addf(b,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"eucs-agent\" "
                "tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
                "skipped=\"%zu\" time=\"0\">\n",
                tests + r->n_problems, failures, errors, skipped);
    for (unsigned i = 0; i < r->n_suites; i++) {
        struct ea_junit_suite *u = &r->suites[i];

        if (u->cases.failed && r->write_error == 0)
            r->write_error = u->cases.failed; /* cut output must not look whole */
        ea_buf_addz(b, "<testsuite name=\"");
        add_xml(b, u->requirement);
        ea_buf_addf(b,
                    "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"0\" "
                    "timestamp=\"%s\">\n",
                    u->tests, u->failures, u->errors, u->skipped, now);
        ea_buf_adds(b, ea_buf_str(&u->cases));
        ea_buf_addz(b, "</testsuite>\n");
        ea_buf_done(&u->cases);
    }
    if (r->n_problems) {
        ea_buf_addf(b,
                    "<testsuite name=\"input\" tests=\"%zu\" failures=\"0\" errors=\"%zu\" "
                    "skipped=\"0\" time=\"0\" timestamp=\"%s\">\n",
                    r->n_problems, r->n_problems, now);
        for (size_t i = 0; i < r->n_problems; i++) {
            ea_buf_addz(b, "<testcase classname=\"input\" name=\"");
            add_xml(b, ea_str(r->problems[i].file));
            ea_buf_addz(b, "\" time=\"0\"><error type=\"unreadable\" message=\"");
            add_xml(b, ea_str(r->problems[i].text));
            ea_buf_addz(b, "\"/></testcase>\n");
        }
        ea_buf_addz(b, "</testsuite>\n");
    }
    ea_buf_addz(b, "</testsuites>\n");
    free(r->suites);
    r->suites = NULL;
    r->n_suites = 0;
}

const struct ea_scan_format ea_scan_junit = {
    .name = "junit", .object = junit_object, .end = junit_end};
