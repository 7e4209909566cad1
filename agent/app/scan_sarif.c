/* app/scan_sarif.c - SARIF 2.1.0 (OASIS sarif-v2.1.0): failures as results, unknown as `open`,
 * exempted failures suppressed.
 *
 * Passes and skips are not listed: viewers show every result as an alert.
 */
#include "app/scan_report.h"
#include "crypto/crypto.h"

static void key_str(struct ea_buf *b, const char *key, struct ea_str v)
{
    ea_buf_addf(b, "\"%s\":", key);
    ea_buf_add_json(b, v);
}

static const char *level_word(enum ea_action a)
{
    return a == EA_DENY ? "error" : a == EA_WARN ? "warning" : "note";
}

/* The score that code-scanning views sort by. */
static const char *security_severity(enum ea_severity s)
{
    static const char *const scores[EA_SEVERITY_COUNT] = {"0.0", "3.0", "5.5", "8.0", "9.5"};

    return scores[s];
}

static void add_rule(struct ea_buf *b, const struct ea_control *c)
{
    ea_buf_addz(b, "{");
    key_str(b, "id", c->id);
    ea_buf_addz(b, ",\"shortDescription\":{");
    key_str(b, "text", c->title.n ? c->title : c->id);
    ea_buf_addz(b, "},\"fullDescription\":{");
    key_str(b, "text", c->rationale.n ? c->rationale : c->id);
    ea_buf_addz(b, "},\"help\":{");
    key_str(b, "text", c->remediation.n ? c->remediation : c->id);
    ea_buf_addf(b, "},\"defaultConfiguration\":{\"level\":\"%s\"},\"relationships\":[",
                level_word(c->action));
    for (unsigned i = 0; i < c->n_requirements; i++) {
        ea_buf_addz(b, i ? ",{\"target\":{" : "{\"target\":{");
        key_str(b, "id", c->requirements[i]);
        ea_buf_addz(
            b, ",\"toolComponent\":{\"name\":\"EUCS\",\"index\":0}},\"kinds\":[\"relevant\"]}");
    }
    ea_buf_addf(b,
                "],\"properties\":{\"tags\":[\"security\",\"%s\"],\"security-severity\":\"%s\","
                "\"severity\":\"%s\",\"level\":\"%s\"}}",
                ea_perspective_names[c->perspective], security_severity(c->severity),
                ea_severity_names[c->severity], ea_level_names[c->level]);
}

static bool cited(const struct ea_ruleset *rs, struct ea_str requirement)
{
    for (unsigned i = 0; i < rs->n_controls; i++)
        for (unsigned k = 0; k < rs->controls[i].n_requirements; k++)
            if (ea_str_eq(rs->controls[i].requirements[k], requirement))
                return true;
    return false;
}

static void add_taxonomy(struct ea_buf *b, const struct ea_ruleset *rs)
{
    const struct ea_val *scheme = ea_val_path(&rs->catalogue.document, "spec.scheme");
    struct ea_str publisher = ea_val_get_str(scheme, "publisher"),
                  title = ea_val_get_str(scheme, "name");
    struct ea_str version = ea_val_get_str(scheme, "version");
    bool first = true;

    ea_buf_addz(b, "\"taxonomies\":[{\"name\":\"EUCS\"");
    if (version.n) {
        ea_buf_addz(b, ",");
        key_str(b, "version", version);
    }
    if (publisher.n) {
        ea_buf_addz(b, ",");
        key_str(b, "organization", publisher);
    }
    if (title.n) {
        ea_buf_addz(b, ",\"shortDescription\":{");
        key_str(b, "text", title);
        ea_buf_addz(b, "}");
    }
    ea_buf_addz(b, ",\"taxa\":[");
    for (unsigned i = 0; i < rs->catalogue.n_requirements; i++) {
        const struct ea_requirement *q = &rs->catalogue.requirements[i];

        if (!cited(rs, q->id))
            continue;
        ea_buf_addz(b, first ? "{" : ",{");
        first = false;
        key_str(b, "id", q->id);
        ea_buf_addz(b, ",\"shortDescription\":{");
        key_str(b, "text", q->gist.n ? q->gist : q->id);
        ea_buf_addz(b, "}}");
    }
    ea_buf_addz(b, "]}]");
}

static void sarif_begin(struct ea_scan_report *r)
{
    struct ea_buf *b = &r->out;

    ea_buf_addz(b, "{\"$schema\":\"https://json.schemastore.org/"
                   "sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{"
                   "\"name\":\"eucs-agent\",");
    key_str(b, "version", EA_STR(EA_VERSION));
    ea_buf_addz(b, ",\"supportedTaxonomies\":[{\"name\":\"EUCS\",\"index\":0}],\"rules\":[");
    for (unsigned i = 0; i < r->rs->n_controls; i++) {
        ea_buf_addz(b, i ? ",\n" : "\n");
        add_rule(b, &r->rs->controls[i]);
    }
    ea_buf_addz(b, "\n]}},");
    add_taxonomy(b, r->rs);
    ea_buf_addz(b, ",\"results\":[");
}

static void add_uri(struct ea_buf *b, struct ea_str file)
{
    ea_buf_addz(b, "\"");
    if (file.n && file.p[0] == '/')
        ea_buf_addz(b, "file://");
    else if (ea_str_starts(file, EA_STR("./")))
        file = ea_strn(file.p + 2, file.n - 2);
    for (size_t i = 0; i < file.n; i++) {
        unsigned char c = (unsigned char)file.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~/", c);

        if (plain && c)
            ea_buf_addc(b, (char)c);
        else
            ea_buf_addf(b, "%%%02X", c);
    }
    ea_buf_addz(b, "\"");
}

static void add_location(struct ea_buf *b, const struct ea_subject *s, const struct ea_source *src,
                         struct ea_str path)
{
    EA_AUTO_FREE char *name =
        ea_xasprintf("%.*s%s%.*s/%.*s/%.*s%s%.*s", EA_STRF(s->gvr.group), s->gvr.group.n ? "/" : "",
                     EA_STRF(s->gvr.version), EA_STRF(s->gvr.kind), EA_STRF(s->namespace_),
                     s->namespace_.n ? "/" : "", EA_STRF(s->name));

    ea_buf_addz(b, "{");
    if (!ea_str_is(src->file, "-") && src->file.n) {
        ea_buf_addz(b, "\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
        add_uri(b, src->file);
        ea_buf_addf(b, "},\"region\":{\"startLine\":%u}},", src->line ? src->line : 1);
    }
    ea_buf_addz(b, "\"logicalLocations\":[{");
    key_str(b, "fullyQualifiedName", ea_str(name));
    ea_buf_addz(b, ",\"kind\":\"resource\"}");
    if (path.n) {
        ea_buf_addz(b, ",{");
        key_str(b, "fullyQualifiedName", path);
        ea_buf_addz(b, ",\"kind\":\"member\"}");
    }
    ea_buf_addz(b, "]}");
}

/* The same finding in the next run has the same fingerprint: control and object, not file and line.
 */
static void add_fingerprint(struct ea_buf *b, const struct ea_finding *f,
                            const struct ea_subject *s, const struct ea_source *src)
{
    struct ea_str nul = ea_strn("", 1), unnamed = s->name.n ? EA_STR("") : src->file;
    struct ea_str v[] = {f->control->id, nul, s->gvr.group, nul, s->gvr.kind, nul,
                         s->namespace_,  nul, s->name,      nul, unnamed};
    struct ea_buf key;
    uint8_t sum[EA_SHA256_LEN];
    char hex[2 * EA_SHA256_LEN + 1];

    ea_buf_init(&key, 1u << 20);
    for (size_t i = 0; i < EA_COUNT(v); i++)
        ea_buf_adds(&key, v[i]);
    ea_sha256(key.p, key.n, sum);
    ea_buf_done(&key);
    ea_hex(sum, sizeof(sum), hex);
    ea_buf_addf(b, "\"partialFingerprints\":{\"eucsFindingUid/v1\":\"%s\"}", hex);
}

static void add_result(struct ea_scan_report *r, const struct ea_finding *f,
                       const struct ea_subject *s, const struct ea_source *src)
{
    struct ea_buf *b = &r->out;
    struct ea_buf text;

    ea_buf_init(&text, 1u << 20);
    if (ea_finding_sentence(&text, f) < 0)
        ea_buf_clear(&text);
    ea_buf_addz(b, r->findings++ ? ",\n{" : "\n{");
    key_str(b, "ruleId", f->control->id);
    ea_buf_addf(b, ",\"ruleIndex\":%u,\"kind\":\"%s\",\"level\":\"%s\",\"message\":{",
                (unsigned)(f->control - r->rs->controls), f->result == EA_FAIL ? "fail" : "open",
                f->result == EA_FAIL ? level_word(f->action) : "none");
    key_str(b, "text", text.n ? ea_buf_str(&text) : f->control->id);
    ea_buf_done(&text);
    ea_buf_addz(b, "},\"locations\":[");
    add_location(b, s, src,
                 f->result == EA_FAIL && f->n_failures ? f->failures[0].path : EA_STR_NULL);
    ea_buf_addz(b, "],");
    add_fingerprint(b, f, s, src);
    ea_buf_addz(b, ",\"taxa\":[");
    for (unsigned i = 0; i < f->control->n_requirements; i++) {
        ea_buf_addz(b, i ? ",{" : "{");
        key_str(b, "id", f->control->requirements[i]);
        ea_buf_addz(b, ",\"toolComponent\":{\"name\":\"EUCS\",\"index\":0}}");
    }
    ea_buf_addz(b, "]");
    if (f->exemption) {
        ea_buf_addz(b, ",\"suppressions\":[{\"kind\":\"external\",\"status\":\"accepted\",");
        key_str(b, "justification", f->exemption->reason);
        ea_buf_addz(b, "}]");
    }
    ea_buf_addz(b, "}");
}

static void sarif_object(struct ea_scan_report *r, const struct ea_subject *s,
                         const struct ea_source *src, const struct ea_findings *f)
{
    for (unsigned i = 0; i < f->n; i++)
        if (f->f[i].result == EA_FAIL || f->f[i].result == EA_UNKNOWN)
            add_result(r, &f->f[i], s, src);
}

static void add_notification(struct ea_buf *b, bool *first, const char *level, struct ea_str text)
{
    ea_buf_addf(b, "%s{\"level\":\"%s\",\"message\":{", *first ? "" : ",", level);
    *first = false;
    key_str(b, "text", text);
    ea_buf_addz(b, "}}");
}

static void sarif_end(struct ea_scan_report *r)
{
    struct ea_buf *b = &r->out;
    bool first = true;

    ea_buf_addf(b,
                "\n],\"invocations\":[{\"executionSuccessful\":%s,\"toolExecutionNotifications\":[",
                r->n_problems ? "false" : "true");
    for (size_t i = 0; i < r->n_problems; i++) {
        const struct ea_scan_problem *p = &r->problems[i];
        EA_AUTO_FREE char *text = p->line ? ea_xasprintf("%s:%u: %s", p->file, p->line, p->text)
                                          : ea_xasprintf("%s: %s", p->file, p->text);

        add_notification(b, &first, "error", ea_str(text));
    }
    for (size_t i = 0; i < r->n_nj; i++) {
        EA_AUTO_FREE char *text =
            ea_xasprintf("not judged: %.*s, %.*s (%u document%s)", EA_STRF(r->nj[i].api_version),
                         EA_STRF(r->nj[i].kind), r->nj[i].n, r->nj[i].n == 1 ? "" : "s");

        add_notification(b, &first, "note", ea_str(text));
    }
    ea_buf_addz(b, "]}]}]}\n");
}

const struct ea_scan_format ea_scan_sarif = {
    .name = "sarif", .begin = sarif_begin, .object = sarif_object, .end = sarif_end};
