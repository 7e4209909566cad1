/* web/page.c - the HTML: one page that says how things stand, and the one that asks for a token.
 * Works without scripts and in print. */
#include "base/limits.h"
#include "web/render.h"

void web_escape(struct ea_buf *b, struct ea_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '&')
            (void)ea_buf_addz(b, "&amp;");
        else if (c == '<')
            (void)ea_buf_addz(b, "&lt;");
        else if (c == '>')
            (void)ea_buf_addz(b, "&gt;");
        else if (c == '"')
            (void)ea_buf_addz(b, "&quot;");
        else if (c == '\'')
            (void)ea_buf_addz(b, "&#39;");
        else if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
            (void)ea_buf_addz(b, "\xef\xbf\xbd");
        else
            (void)ea_buf_addc(b, (char)c);
    }
}

static void begin(struct ea_buf *b, const char *title)
{
    (void)ea_buf_addf(b,
                      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" "
                      "content=\"width=device-width,initial-scale=1\">\n<title>%s</title>\n"
                      "<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n",
                      title);
}

void web_login_page(struct ea_buf *b, const char *why)
{
    begin(b, "eucs-agent: sign in");
    (void)ea_buf_addz(b, "<main>\n<h1>eucs-agent</h1>\n<section>\n<h2>Sign in</h2>\n");
    if (why) {
        (void)ea_buf_addz(b, "<p class=\"bad\" role=\"alert\">");
        web_escape(b, ea_str(why));
        (void)ea_buf_addz(b, "</p>\n");
    }
    (void)ea_buf_addz(b, "<form method=\"post\" action=\"/login\">\n<label for=\"token\">Token: "
                         "the one printed at start, or a bearer token of "
                         "the cluster</label>\n<input id=\"token\" name=\"token\" "
                         "type=\"password\" autocomplete=\"current-password\" required "
                         "autofocus>\n<button type=\"submit\">Sign "
                         "in</button>\n</form>\n</section>\n</main>\n</body>\n</html>\n");
}

static void row(struct ea_buf *b, const char *name, struct ea_str value)
{
    if (!value.n)
        return;
    (void)ea_buf_addf(b, "<dt>%s</dt><dd>", name);
    web_escape(b, value);
    (void)ea_buf_addz(b, "</dd>\n");
}

static void row_number(struct ea_buf *b, const char *name, uint64_t n)
{
    (void)ea_buf_addf(b, "<dt>%s</dt><dd>%llu</dd>\n", name, (unsigned long long)n);
}

static void row_time(struct ea_buf *b, const char *name, ea_wall_us t)
{
    char text[32];

    if (!t)
        return;
    ea_rfc3339(t, 0, text);
    (void)ea_buf_addf(b, "<dt>%s</dt><dd><time datetime=\"%s\">%s</time></dd>\n", name, text, text);
}

static void row_state(struct ea_buf *b, const char *name, bool ok, const char *good,
                      const char *bad)
{
    (void)ea_buf_addf(b, "<dt>%s</dt><dd class=\"%s\">%s</dd>\n", name, ok ? "ok" : "bad",
                      ok ? good : bad);
}

static void header(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < s->n_checks; i++)
        bad += !s->checks[i].ok;
    begin(b, "eucs-agent");
    (void)ea_buf_addz(b, "<a class=\"skip\" href=\"#findings\">To the "
                         "findings</a>\n<header>\n<h1>eucs-agent</h1>\n");
    if (s->n_checks)
        (void)ea_buf_addf(b, "<span class=\"tag %s\">%s</span>\n", bad ? "bad" : "ok",
                          bad ? "not ready" : "ready");
    (void)ea_buf_addz(b, "<p>technical evidence for EUCS");
    if (s->source.n) {
        (void)ea_buf_addz(b, " from ");
        web_escape(b, s->source);
    }
    (void)ea_buf_addz(b, "</p>\n<nav aria-label=\"Other views\"><a href=\"/\">Refresh</a> · <a "
                         "href=\"/api/v1/status\">Status</a> · "
                         "<a href=\"/api/v1/findings\">Findings</a> · <a "
                         "href=\"/metrics\">Metrics</a> · <a href=\"/logout\">Sign out</a>"
                         "</nav>\n</header>\n<main>\n");
}

static void numbers(struct ea_buf *b, const char *id, const char *title,
                    const struct ea_web_count *c, unsigned n, bool severities)
{
    (void)ea_buf_addf(
        b, "<section aria-labelledby=\"%s\">\n<h2 id=\"%s\">%s</h2>\n<ul class=\"big\">\n", id, id,
        title);
    for (unsigned i = 0; i < n; i++) {
        (void)ea_buf_addz(b, "<li><strong");
        if (severities && c[i].n) {
            (void)ea_buf_addz(b, " class=\"");
            web_escape(b, c[i].name);
            (void)ea_buf_addc(b, '"');
        }
        (void)ea_buf_addf(b, ">%llu</strong> <span>", (unsigned long long)c[i].n);
        web_escape(b, c[i].name);
        (void)ea_buf_addz(b, "</span></li>\n");
    }
    (void)ea_buf_addz(b, "</ul>\n</section>\n");
}

static void cards(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    (void)ea_buf_addz(b, "<div class=\"grid\">\n<section aria-labelledby=\"agent\">\n<h2 "
                         "id=\"agent\">Agent</h2>\n<dl>\n");
    row(b, "Version", s->version);
    row(b, "Role", s->role);
    row(b, "Node", s->node);
    row(b, "Cluster", s->cluster);
    row_time(b, "Started", s->started);
    row_time(b, "Seen", s->now);
    (void)ea_buf_addz(b, "</dl>\n</section>\n<section aria-labelledby=\"rules\">\n<h2 "
                         "id=\"rules\">Rule set</h2>\n<dl>\n");
    row_number(b, "Controls", s->controls);
    row(b, "Enforcement", s->enforcement);
    row(b, "Level", s->level);
    row_number(b, "Exemptions", s->exemptions);
    if (s->compile_errors)
        row_number(b, "Not compiled", s->compile_errors);
    row(b, "SHA-256", s->ruleset_sha256);
    (void)ea_buf_addz(b, "</dl>\n</section>\n<section aria-labelledby=\"evidence\">\n<h2 "
                         "id=\"evidence\">Evidence</h2>\n<dl>\n");
    row_state(b, "Log", s->evidence_healthy, "healthy", "cannot be written");
    (void)ea_buf_addf(b, "<dt>Position</dt><dd>epoch %llu, next %llu, synced to %llu</dd>\n",
                      (unsigned long long)s->epoch, (unsigned long long)s->next_seq,
                      (unsigned long long)s->synced_seq);
    row_number(b, "Signed up to", s->checkpoint_size);
    row_number(b, "Bytes", s->bytes);
    row_number(b, "Lost", s->lost);
    row(b, "Origin", s->origin);
    row(b, "Key", s->key);
    (void)ea_buf_addz(b, "</dl>\n</section>\n");
    if (s->admission) {
        (void)ea_buf_addz(
            b, "<section aria-labelledby=\"adm\">\n<h2 id=\"adm\">Admission</h2>\n<dl>\n");
        row_number(b, "Reviews", s->reviews);
        row_number(b, "Denied", s->denied);
        row_number(b, "Dry runs", s->dry_runs);
        (void)ea_buf_addz(b, "</dl>\n</section>\n");
    }
    (void)ea_buf_addz(b, "</div>\n");
}

static void one_finding(struct ea_buf *b, const struct ea_web_finding *f)
{
    (void)ea_buf_addz(b, "<tr><td><span class=\"tag ");
    web_escape(b, f->severity);
    (void)ea_buf_addz(b, "\">");
    web_escape(b, f->severity);
    (void)ea_buf_addz(b, "</span></td><td><code>");
    web_escape(b, f->control);
    (void)ea_buf_addz(b, "</code><br><span class=\"soft\">");
    web_escape(b, f->requirement);
    (void)ea_buf_addz(b, f->exempted ? " exempted" : "");
    (void)ea_buf_addz(b, "</span></td><td>");
    web_escape(b, f->kind);
    (void)ea_buf_addc(b, ' ');
    web_escape(b, f->ns);
    (void)ea_buf_addz(b, f->ns.n ? "/" : "");
    web_escape(b, f->name);
    (void)ea_buf_addz(b, "</td><td>");
    web_escape(b, f->message);
    if (f->path.n) {
        (void)ea_buf_addz(b, "<br><code>");
        web_escape(b, f->path);
        (void)ea_buf_addz(b, "</code>");
    }
    if (f->remediation.n) {
        (void)ea_buf_addz(b, "<br><span class=\"soft\">");
        web_escape(b, f->remediation);
        (void)ea_buf_addz(b, "</span>");
    }
    (void)ea_buf_addz(b, "</td></tr>\n");
}

static void findings(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    unsigned shown = EA_MIN(s->n_findings, EA_MAX_WEB_FINDINGS);
    uint64_t total = s->findings_total ? s->findings_total : s->n_findings;

    (void)ea_buf_addz(
        b, "<section aria-labelledby=\"findings\">\n<h2 id=\"findings\">Failing now</h2>\n");
    if (!shown) {
        (void)ea_buf_addz(b, "<p class=\"ok\">Nothing fails.</p>\n</section>\n");
        return;
    }
    (void)ea_buf_addf(
        b,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
        "aria-labelledby=\"findings\">\n<table>\n<caption>%u of %llu, "
        "gravest first</caption>\n<thead><tr><th scope=\"col\">Severity</th><th "
        "scope=\"col\">Control</th>"
        "<th scope=\"col\">Object</th><th scope=\"col\">Finding</th></tr></thead>\n<tbody>\n",
        shown, (unsigned long long)total);
    for (unsigned i = 0; i < shown; i++)
        one_finding(b, &s->findings[i]);
    (void)ea_buf_addz(b, "</tbody>\n</table>\n</div>\n</section>\n");
}

static void operations(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    (void)ea_buf_addz(b, "<div class=\"grid\">\n");
    if (s->n_checks) {
        (void)ea_buf_addz(
            b, "<section aria-labelledby=\"ready\">\n<h2 id=\"ready\">Readiness</h2>\n<dl>\n");
        for (unsigned i = 0; i < s->n_checks; i++) {
            (void)ea_buf_addz(b, "<dt>");
            web_escape(b, ea_str(s->checks[i].name));
            (void)ea_buf_addf(b, "</dt><dd class=\"%s\">", s->checks[i].ok ? "ok" : "bad");
            web_escape(b, s->checks[i].ok ? EA_STR("ok") : ea_str(s->checks[i].why));
            (void)ea_buf_addz(b, "</dd>\n");
        }
        (void)ea_buf_addz(b, "</dl>\n</section>\n");
    }
    if (s->n_listeners) {
        (void)ea_buf_addz(
            b, "<section aria-labelledby=\"listen\">\n<h2 id=\"listen\">Listeners</h2>\n<dl>\n");
        for (unsigned i = 0; i < s->n_listeners; i++) {
            (void)ea_buf_addz(b, "<dt>");
            web_escape(b, s->listeners[i].name);
            (void)ea_buf_addz(b, "</dt><dd><code>");
            web_escape(b, s->listeners[i].url);
            (void)ea_buf_addz(b, "</code></dd>\n");
        }
        (void)ea_buf_addz(b, "</dl>\n</section>\n");
    }
    if (s->n_sinks) {
        (void)ea_buf_addz(
            b, "<section aria-labelledby=\"sinks\">\n<h2 id=\"sinks\">Sinks</h2>\n<dl>\n");
        for (unsigned i = 0; i < s->n_sinks; i++) {
            const struct ea_web_sink *k = &s->sinks[i];

            (void)ea_buf_addz(b, "<dt>");
            web_escape(b, k->name);
            (void)ea_buf_addf(
                b, "</dt><dd class=\"%s\">%llu delivered, %llu waiting, %llu lost%s</dd>\n",
                k->holding || k->lost ? "bad" : "ok", (unsigned long long)k->acked,
                (unsigned long long)k->pending, (unsigned long long)k->lost,
                k->holding ? ", held until someone mends it" : "");
        }
        (void)ea_buf_addz(b, "</dl>\n</section>\n");
    }
    (void)ea_buf_addz(b, "</div>\n");
}

void web_page(struct ea_buf *b, const struct ea_web_snapshot *s)
{
    header(b, s);
    (void)ea_buf_addz(b, "<div class=\"grid\">\n");
    numbers(b, "results", "Verdicts", s->results, s->n_results, false);
    numbers(b, "severities", "Failing, by severity", s->severities, s->n_severities, true);
    (void)ea_buf_addf(b,
                      "<section aria-labelledby=\"objects\">\n<h2 id=\"objects\">Objects "
                      "judged</h2>\n<ul class=\"big\"><li><strong>%llu"
                      "</strong> <span>known now</span></li></ul>\n</section>\n</div>\n",
                      (unsigned long long)s->objects);
    findings(b, s);
    cards(b, s);
    operations(b, s);
    (void)ea_buf_addz(b, "</main>\n<footer>What cannot be seen is never a pass. Evidence says "
                         "conforming, deviating or unknown; it does not "
                         "certify.</footer>\n</body>\n</html>\n");
}
