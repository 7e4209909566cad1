/* app/scan_report.c - counting, buffering, and the formats table, json and jsonl. */
#include "app/scan_report.h"

#include "base/clock.h"

#define OUT_CAP (256u << 20)   /* bytes of one object's output at the most */
#define OUT_FLUSH (256u << 10) /* bytes after which the buffer goes to stdout */

void ea_scan_report_init(struct ea_scan_report *r, const struct ea_scan_format *f,
                         const struct ea_ruleset *rs)
{
    memset(r, 0, sizeof(*r));
    r->format = f;
    r->rs = rs;
    ea_buf_init(&r->out, OUT_CAP);
}

void ea_scan_report_done(struct ea_scan_report *r)
{
    ea_buf_done(&r->out);
    for (size_t i = 0; i < r->n_problems; i++) {
        free(r->problems[i].file);
        free(r->problems[i].text);
    }
    free(r->problems);
    free(r->nj);
    memset(r, 0, sizeof(*r));
}

static void flush(struct ea_scan_report *r, size_t above)
{
    int e;

    if (r->out.failed && r->write_error == 0)
        r->write_error = r->out.failed;
    if (r->out.n <= above)
        return;
    e = r->write(r->write_arg, r->out.p, r->out.n);
    if (e < 0 && r->write_error == 0)
        r->write_error = e;
    ea_buf_clear(&r->out);
}

void ea_scan_report_problem(struct ea_scan_report *r, struct ea_str file, unsigned line,
                            const char *text)
{
    r->problems = ea_xrealloc(r->problems, (r->n_problems + 1) * sizeof(*r->problems));
    r->problems[r->n_problems++] =
        (struct ea_scan_problem){ea_str_dupz(file), ea_str_dupz(ea_str(text)), line};
}

void ea_scan_report_not_judged(struct ea_scan_report *r, struct ea_str api_version,
                               struct ea_str kind)
{
    for (size_t i = 0; i < r->n_nj; i++)
        if (ea_str_eq(r->nj[i].kind, kind) && ea_str_eq(r->nj[i].api_version, api_version)) {
            r->nj[i].n++;
            return;
        }
    r->nj = ea_xrealloc(r->nj, (r->n_nj + 1) * sizeof(*r->nj));
    r->nj[r->n_nj++] = (struct ea_not_judged){api_version, kind, 1};
}

void ea_scan_report_begin(struct ea_scan_report *r)
{
    if (r->format->begin)
        r->format->begin(r);
}

void ea_scan_report_object(struct ea_scan_report *r, const struct ea_subject *s,
                           const struct ea_source *src, const struct ea_findings *f)
{
    r->objects++;
    r->judged += f->n > 0;
    for (unsigned i = 0; i < f->n; i++) {
        r->results[f->f[i].result]++;
        if (f->f[i].result != EA_FAIL)
            continue;
        if (f->f[i].exemption)
            r->exempted++;
        else
            r->failed[f->f[i].action]++;
    }
    r->format->object(r, s, src, f);
    flush(r, OUT_FLUSH);
}

int ea_scan_report_end(struct ea_scan_report *r)
{
    if (r->format->end)
        r->format->end(r);
    flush(r, 0);
    return r->write_error;
}

/* ---- jsonl ---- */

static void jsonl_object(struct ea_scan_report *r, const struct ea_subject *s,
                         const struct ea_source *src, const struct ea_findings *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (ea_finding_render(&r->out, &f->f[i], s, src) < 0)
            return;
        ea_buf_addc(&r->out, '\n');
        flush(r, OUT_FLUSH);
    }
}

const struct ea_scan_format ea_scan_jsonl = {.name = "jsonl", .object = jsonl_object};

/* ---- json ---- */

static void json_begin(struct ea_scan_report *r)
{
    char now[32];

    ea_rfc3339(r->now_us, 0, now);
    ea_buf_addf(
        &r->out,
        "{\"version\":\"%s\",\"time\":\"%s\",\"level\":\"%s\",\"controls\":%u,\"findings\":[",
        EA_VERSION, now, ea_level_names[r->level], r->rs->n_controls);
}

static void json_object(struct ea_scan_report *r, const struct ea_subject *s,
                        const struct ea_source *src, const struct ea_findings *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        ea_buf_addz(&r->out, r->findings++ ? ",\n" : "\n");
        if (ea_finding_render(&r->out, &f->f[i], s, src) < 0)
            return;
        flush(r, OUT_FLUSH);
    }
}

static void json_end(struct ea_scan_report *r)
{
    struct ea_buf *b = &r->out;

    ea_buf_addz(b, "\n],\"notJudged\":[");
    for (size_t i = 0; i < r->n_nj; i++) {
        ea_buf_addf(b, "%s{\"apiVersion\":", i ? "," : "");
        ea_buf_add_json(b, r->nj[i].api_version);
        ea_buf_addz(b, ",\"kind\":");
        ea_buf_add_json(b, r->nj[i].kind);
        ea_buf_addf(b, ",\"documents\":%u}", r->nj[i].n);
    }
    ea_buf_addz(b, "],\"errors\":[");
    for (size_t i = 0; i < r->n_problems; i++) {
        ea_buf_addf(b, "%s{\"file\":", i ? "," : "");
        ea_buf_add_json(b, ea_str(r->problems[i].file));
        if (r->problems[i].line)
            ea_buf_addf(b, ",\"line\":%u,\"message\":", r->problems[i].line);
        else
            ea_buf_addz(b, ",\"line\":null,\"message\":");
        ea_buf_add_json(b, ea_str(r->problems[i].text));
        ea_buf_addz(b, "}");
    }
    ea_buf_addf(b,
                "],\"summary\":{\"objects\":%zu,\"pass\":%zu,\"fail\":%zu,\"skip\":%zu,\"unknown\":"
                "%zu,\"deny\":%zu,\"warn\":%zu,"
                "\"audit\":%zu,\"exempted\":%zu}}\n",
                r->objects, r->results[EA_PASS], r->results[EA_FAIL], r->results[EA_SKIP],
                r->results[EA_UNKNOWN], r->failed[EA_DENY], r->failed[EA_WARN], r->failed[EA_AUDIT],
                r->exempted);
}

const struct ea_scan_format ea_scan_json = {
    .name = "json", .begin = json_begin, .object = json_object, .end = json_end};

/* ---- table ---- */

static const char *tint(const struct ea_scan_report *r, const char *code)
{
    return r->colour ? code : "";
}

/* What comes from manifests must not steer the terminal: control characters are shown, not sent. */
static void add_visible(struct ea_buf *b, struct ea_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c < 0x20 || c == 0x7f)
            ea_buf_addf(b, "\\x%02x", c);
        else
            ea_buf_addc(b, (char)c);
    }
}

static void table_header(struct ea_scan_report *r, const struct ea_subject *s,
                         const struct ea_source *src)
{
    struct ea_buf *b = &r->out;

    ea_buf_addz(b, tint(r, "\033[1m"));
    add_visible(b, s->gvr.kind);
    ea_buf_addc(b, ' ');
    if (s->namespace_.n) {
        add_visible(b, s->namespace_);
        ea_buf_addc(b, '/');
    }
    add_visible(b, s->name.n ? s->name : EA_STR("(generated name)"));
    ea_buf_addz(b, tint(r, "\033[0m"));
    ea_buf_addz(b, "  ");
    add_visible(b, src->file);
    ea_buf_addf(b, ":%u\n", src->line);
}

static const char *table_word(const struct ea_finding *f)
{
    if (f->result == EA_UNKNOWN)
        return "unknown";
    return f->exemption ? "exempt" : ea_action_names[f->action];
}

static void table_finding(struct ea_scan_report *r, const struct ea_finding *f)
{
    static const char *const colours[EA_ACTION_COUNT] = {"\033[36m", "\033[33m", "\033[31m"};
    struct ea_buf *b = &r->out;
    unsigned listed = EA_MIN(f->n_failures, 4u);

    ea_buf_addf(b, "  %s%-7s%s  %-8s  %.*s",
                tint(r, f->result == EA_FAIL ? colours[f->action] : "\033[35m"), table_word(f),
                tint(r, "\033[0m"), ea_severity_names[f->control->severity],
                EA_STRF(f->control->id));
    for (unsigned i = 0; i < f->control->n_requirements; i++)
        ea_buf_addf(b, "%s%.*s", i ? ", " : "  ", EA_STRF(f->control->requirements[i]));
    ea_buf_addz(b, "\n           ");
    if (f->result == EA_UNKNOWN) {
        ea_buf_addf(b, "%s: ", ea_reason_names[f->reason]);
        add_visible(b, f->detail);
        ea_buf_addz(b, "\n");
        return;
    }
    add_visible(b, f->message);
    ea_buf_addz(b, "\n");
    for (unsigned i = 0; i < listed; i++)
        if (f->failures[i].path.n) {
            ea_buf_addz(b, "           at ");
            add_visible(b, f->failures[i].path);
            ea_buf_addz(b, "\n");
        }
    if (f->n_failures + f->n_more > listed)
        ea_buf_addf(b, "           and %u more\n", f->n_failures + f->n_more - listed);
    if (f->exemption)
        ea_buf_addf(b, "           exempted by %.*s: %.*s\n", EA_STRF(f->exemption->name),
                    EA_STRF(f->exemption->reason));
    else
        ea_buf_addf(b, "           fix: %.*s\n", EA_STRF(f->control->remediation));
}

static void table_object(struct ea_scan_report *r, const struct ea_subject *s,
                         const struct ea_source *src, const struct ea_findings *f)
{
    bool header = false;

    for (unsigned i = 0; i < f->n; i++) {
        if (f->f[i].result != EA_FAIL && f->f[i].result != EA_UNKNOWN)
            continue;
        if (!header)
            table_header(r, s, src);
        header = true;
        table_finding(r, &f->f[i]);
    }
    if (header)
        ea_buf_addc(&r->out, '\n');
}

static void table_end(struct ea_scan_report *r)
{
    ea_buf_addf(&r->out,
                "%zu object%s, level %s: %zu pass, %zu fail (%zu deny, %zu warn, %zu audit, %zu "
                "exempted), %zu skip, %zu unknown\n",
                r->objects, r->objects == 1 ? "" : "s", ea_level_names[r->level],
                r->results[EA_PASS], r->results[EA_FAIL], r->failed[EA_DENY], r->failed[EA_WARN],
                r->failed[EA_AUDIT], r->exempted, r->results[EA_SKIP], r->results[EA_UNKNOWN]);
}

const struct ea_scan_format ea_scan_table = {
    .name = "table", .object = table_object, .end = table_end};
