/* admission/answer.c - what leaves: the evidence body (JCS) and the AdmissionReview with message,
 * warnings and audit annotations. */
#include <stdio.h>

#include "admission/review.h"
#include "base/limits.h"

/* ---- evidence ---- */

/* U+2026, what a cut text ends with. */
static const char ellipsis[] = {'\xe2', '\x80', '\xa6'};

/* Literals and numbers without format parsing: this runs for every review. */
#define ADD(b, lit) (void)ea_buf_add((b), (lit), sizeof(lit) - 1)

static void add_number(struct ea_buf *b, unsigned n)
{
    char text[12];
    size_t at = sizeof(text);

    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    (void)ea_buf_add(b, text + at, sizeof(text) - at);
}

/* A word of our own that needs no escaping, in quotes. */
static void add_word(struct ea_buf *b, const char *word)
{
    (void)ea_buf_addc(b, '"');
    (void)ea_buf_addz(b, word);
    (void)ea_buf_addc(b, '"');
}

static void add_text(struct ea_buf *b, const char *key, struct ea_str s)
{
    (void)ea_buf_addz(b, key);
    (void)ea_buf_addc(b, ':');
    (void)ea_buf_add_json(b, s);
}

/* Outside text has no say in how large a record gets: a record that is refused for its size would
 * be a decision without evidence. */
static void add_capped(struct ea_buf *b, const char *key, struct ea_str s, size_t max)
{
    char cut[EA_MAX_RECORD_TEXT + 4];

    if (s.n > max) {
        while (max > 0 && ((unsigned char)s.p[max] & 0xc0) == 0x80)
            max--;
        memcpy(cut, s.p, max);
        memcpy(cut + max, ellipsis, sizeof(ellipsis));
        s = ea_strn(cut, max + sizeof(ellipsis));
    }
    (void)ea_buf_addz(b, key);
    (void)ea_buf_add_json(b, s);
}

static void record_control(struct ea_buf *b, const struct ea_finding *f, enum ea_effect effect)
{
    unsigned listed = EA_MIN(f->n_failures, EA_MAX_FAILURES),
             more = f->n_failures - listed + f->n_more;

    (void)ea_buf_addf(b, "{\"action\":\"%s\",", ea_action_names[f->action]);
    add_text(b, "\"control\"", f->control->id);
    (void)ea_buf_addf(b, ",\"effect\":\"%s\"", ea_effect_names[effect]);
    if (f->exemption)
        add_text(b, ",\"exemption\"", f->exemption->name);
    if (more)
        (void)ea_buf_addf(b, ",\"more\":%u", more);
    (void)ea_buf_addz(b, ",\"paths\":[");
    for (unsigned i = 0; i < listed; i++) {
        add_capped(b, i ? "," : "", f->failures[i].path.p ? f->failures[i].path : EA_STR(""),
                   EA_MAX_RECORD_TEXT);
    }
    (void)ea_buf_addf(b, "],\"severity\":\"%s\"}", ea_severity_names[f->control->severity]);
}

static void record_controls(struct ea_buf *b, const struct ea_review *rv, enum ea_result which)
{
    bool first = true;

    for (unsigned i = 0; i < rv->findings.n; i++) {
        const struct ea_finding *f = &rv->findings.f[i];

        if (f->result != which)
            continue;
        (void)ea_buf_addz(b, first ? "" : ",");
        first = false;
        if (which == EA_FAIL) {
            record_control(b, f, (enum ea_effect)rv->effects[i]);
        } else {
            add_text(b, "{\"control\"", f->control->id);
            (void)ea_buf_addf(b, ",\"effect\":\"%s\",\"reason\":\"%s\"}",
                              ea_effect_names[rv->effects[i]], ea_reason_names[f->reason]);
        }
    }
}

/* ---- finding bytes again: for the digest alone, so only when something failed ---- */

/* Past the string that begins at p. */
static const char *skip_string(const char *p, const char *end)
{
    const char *quote = p;

    while ((quote = memchr(quote + 1, '"', (size_t)(end - quote - 1))) != NULL) {
        const char *back = quote;

        while (back[-1] == '\\')
            back--;
        if ((quote - back) % 2 == 0)
            return quote + 1;
    }
    return end;
}

/* Past one value of JSON that a parser has accepted before. */
static const char *skip_value(const char *p, const char *end)
{
    unsigned depth = 0;

    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            if (depth == 0)
                return p;
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                return p; /* a number or word ended with its parent */
            if (--depth == 0)
                return p + 1;
            break;
        case ',':
            if (depth == 0)
                return p;
            break;
        default:
            break;
        }
        p++;
    }
    return p;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* Where the value of one member begins in the object at p; NULL when the key is absent or spelled
 * with escapes. */
static const char *find_member(const char *p, const char *end, const char *key)
{
    p = skip_space(p, end);
    if (p == end || *p != '{')
        return NULL;
    for (p = skip_space(p + 1, end); p < end && *p == '"'; p = skip_space(p + 1, end)) {
        const char *name = p + 1;
        struct ea_str found;

        p = skip_string(p, end);
        found = ea_strn(name, (size_t)(p - name - 1));
        p = skip_space(skip_space(p, end) + 1, end);
        if (ea_str_is(found, key))
            return p;
        p = skip_space(skip_value(p, end), end);
    }
    return NULL;
}

/* The bytes of request.object as they were received, or empty. */
static struct ea_str raw_object(struct ea_str body)
{
    const char *end = body.p + body.n, *at = find_member(body.p, end, "request");

    at = at ? find_member(at, end, "object") : NULL;
    return at ? ea_str_trim(ea_strn(at, (size_t)(skip_value(at, end) - at))) : EA_STR_NULL;
}

/* The digest's name decides where it stands among the keys: called for both places. */
static void record_digest(struct ea_buf *b, const struct ea_review_env *env,
                          const struct ea_review *rv, bool keyed)
{
    bool secret = rv->subject.gvr.group.n == 0 && ea_str_is(rv->subject.gvr.resource, "secrets");
    struct ea_str object;
    char hex[65];

    if (secret != keyed || !env->digest || (rv->n_fail == 0 && rv->allowed))
        return;
    object = raw_object(rv->body);
    if (object.n == 0 || ea_str_is(object, "null"))
        return;
    env->digest(env->digest_arg, secret, object, hex);
    (void)ea_buf_addf(b, ",\"%s\":\"%s\"", secret ? "hmacSha256" : "sha256", hex);
}

/* Keys in the order of JCS, all values text or small integers: no document is built for it. */
int ea_review_record(const struct ea_review_env *env, const struct ea_review *rv, struct ea_buf *b)
{
    const struct ea_subject *s = &rv->subject;
    const char *caller = ea_caller_names[env->caller];

    (void)ea_buf_addz(b, rv->allowed ? "{\"allowed\":true,\"caller\":"
                                     : "{\"allowed\":false,\"caller\":");
    add_word(b, caller ? caller : "unknown");
    ADD(b, ",\"counts\":{\"fail\":");
    add_number(b, rv->n_fail);
    ADD(b, ",\"pass\":");
    add_number(b, rv->n_pass);
    ADD(b, ",\"skip\":");
    add_number(b, rv->n_skip);
    ADD(b, ",\"unknown\":");
    add_number(b, rv->n_unknown);
    ADD(b, "},\"enforcement\":");
    add_word(b, ea_action_names[env->enforcement]);
    if (rv->exhausted)
        ADD(b, ",\"exhausted\":true");
    ADD(b, ",\"failed\":[");
    record_controls(b, rv, EA_FAIL);
    ADD(b, "],\"level\":");
    add_word(b, ea_level_names[env->floor]);
    add_capped(b, ",\"object\":{\"apiVersion\":", rv->api_version, EA_MAX_RECORD_TEXT);
    record_digest(b, env, rv, true);
    add_capped(b, ",\"kind\":", s->gvr.kind, EA_MAX_RECORD_TEXT);
    add_capped(b, ",\"name\":", s->name, EA_MAX_RECORD_TEXT);
    add_capped(b, ",\"namespace\":", s->namespace_, EA_MAX_RECORD_TEXT);
    add_capped(b, ",\"resource\":", s->gvr.resource, EA_MAX_RECORD_TEXT);
    record_digest(b, env, rv, false);
    add_capped(b, ",\"subResource\":", s->gvr.subresource, EA_MAX_RECORD_TEXT);
    add_capped(b, ",\"uid\":", rv->object_uid, EA_MAX_RECORD_TEXT);
    add_text(b, "},\"operation\"", rv->operation);
    add_capped(b, ",\"request\":", rv->uid, EA_MAX_RECORD_TEXT);
    ADD(b, ",\"ruleset\":");
    add_word(b, env->rules->sha256);
    ADD(b, ",\"unknown\":[");
    record_controls(b, rv, EA_UNKNOWN);
    add_capped(b, "],\"user\":", rv->user, EA_MAX_RECORD_TEXT);
    (void)ea_buf_addc(b, '}');
    return b->failed;
}

/* ---- message ---- */

static void say_requirements(struct ea_buf *b, const struct ea_control *c)
{
    for (unsigned i = 0; i < c->n_requirements; i++)
        (void)ea_buf_addf(b, "%s%.*s", i ? ", " : " (", EA_STRF(c->requirements[i]));
    if (c->n_requirements)
        (void)ea_buf_addc(b, ')');
}

static struct ea_str text_of(const struct ea_finding *f)
{
    if (f->result == EA_FAIL)
        return f->message;
    return f->detail.n ? f->detail : ea_str(f->reason ? ea_reason_names[f->reason] : "unknown");
}

static void say_failure(struct ea_buf *b, const struct ea_finding *f)
{
    const struct ea_control *c = f->control;
    unsigned listed = EA_MIN(f->n_failures, EA_MAX_FAILURES),
             more = f->n_failures - listed + f->n_more;

    (void)ea_buf_addf(b, "\n- %.*s", EA_STRF(c->id));
    say_requirements(b, c);
    (void)ea_buf_addf(b, " %s: %.*s", ea_severity_names[c->severity], EA_STRF(text_of(f)));
    if (f->result == EA_UNKNOWN && f->reason)
        (void)ea_buf_addf(b, " [not decided: %s]", ea_reason_names[f->reason]);
    if (listed && f->failures[0].path.n)
        (void)ea_buf_addf(b, " at %.*s", EA_STRF(f->failures[0].path));
    for (unsigned i = 1; i < listed; i++) {
        const struct ea_failure *x = &f->failures[i];

        (void)ea_buf_addz(b, "\n  and");
        if (!ea_str_eq(x->message, f->message))
            (void)ea_buf_addf(b, ": %.*s", EA_STRF(x->message));
        if (x->path.n)
            (void)ea_buf_addf(b, " at %.*s", EA_STRF(x->path));
    }
    if (more)
        (void)ea_buf_addf(b, "\n  and %u more", more);
    if (c->remediation.n)
        (void)ea_buf_addf(b, "\n  Fix: %.*s", EA_STRF(ea_str_trim(c->remediation)));
}

static void say_object(struct ea_buf *b, const struct ea_review *rv)
{
    const struct ea_subject *s = &rv->subject;

    (void)ea_buf_addf(b, "%.*s", EA_STRF(s->gvr.kind));
    if (s->namespace_.n || s->name.n)
        (void)ea_buf_addf(b, " %.*s%s%.*s", EA_STRF(s->namespace_), s->namespace_.n ? "/" : "",
                          EA_STRF(s->name.n ? s->name : EA_STR("(name not given yet)")));
}

/* All findings of one kind under a heading; those that no longer fit are counted. */
static void say_all(struct ea_buf *b, const struct ea_review *rv, bool denying)
{
    unsigned left = 0;

    for (unsigned i = 0; i < rv->findings.n; i++) {
        enum ea_effect e = (enum ea_effect)rv->effects[i];

        if (denying ? e != EA_EFFECT_DENY
                    : (e == EA_EFFECT_NONE || e == EA_EFFECT_DENY || e == EA_EFFECT_EXEMPT))
            continue;
        if (b->n > EA_MAX_DENIAL)
            left++;
        else
            say_failure(b, &rv->findings.f[i]);
    }
    if (left)
        (void)ea_buf_addf(b, "\n- and %u more", left);
}

static void make_message(struct ea_buf *b, const struct ea_review *rv)
{
    unsigned denying = 0, others = 0;

    for (unsigned i = 0; i < rv->findings.n; i++) {
        enum ea_effect e = (enum ea_effect)rv->effects[i];

        denying += e == EA_EFFECT_DENY;
        others += e != EA_EFFECT_DENY && e != EA_EFFECT_NONE && e != EA_EFFECT_EXEMPT;
    }
    say_object(b, rv);
    if (rv->exhausted)
        (void)ea_buf_addz(b, " is too large to be judged");
    if (denying)
        (void)ea_buf_addf(b, "%s %u control%s den%s it:", rv->exhausted ? "," : ":", denying,
                          denying == 1 ? "" : "s", denying == 1 ? "ies" : "y");
    say_all(b, rv, true);
    if (others) {
        (void)ea_buf_addf(b, "\nAlso found, not denied:");
        say_all(b, rv, false);
    }
}

static void add_causes(struct ea_buf *b, const struct ea_review *rv)
{
    bool first = true;

    (void)ea_buf_addz(b, ",\"details\":{\"causes\":[");
    for (unsigned i = 0; i < rv->findings.n && b->n < EA_MAX_REVIEW_ANSWER / 2; i++) {
        const struct ea_finding *f = &rv->findings.f[i];

        if (rv->effects[i] != EA_EFFECT_DENY)
            continue;
        (void)ea_buf_addz(b, first ? "{" : ",{");
        first = false;
        add_text(b, "\"reason\"", f->control->id);
        add_text(b, ",\"message\"", text_of(f));
        if (f->n_failures && f->failures[0].path.n)
            add_text(b, ",\"field\"", f->failures[0].path);
        (void)ea_buf_addc(b, '}');
    }
    (void)ea_buf_addz(b, "]}");
}

/* ---- warnings ---- */

/* The API server drops a warning with control characters without a word, so they become spaces; cut
 * to EA_MAX_WARNING_LEN characters. */
static void add_warning(struct ea_buf *b, unsigned n, const struct ea_buf *text)
{
    char line[EA_MAX_WARNING_LEN * 4 + 4];
    size_t out = 0, chars = 0, i = 0, keep = 0;

    while (i < text->n && chars < EA_MAX_WARNING_LEN) {
        unsigned char c = (unsigned char)text->p[i];
        size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (i + len > text->n)
            break;
        if (chars + 1 < EA_MAX_WARNING_LEN)
            keep = out + len;
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text->p[i + 1] < 0xa0)) {
            line[out++] = ' ';
            keep = EA_MIN(keep, out);
        } else {
            memcpy(line + out, text->p + i, len);
            out += len;
        }
        i += len;
        chars++;
    }
    if (i < text->n) {
        out = keep;
        memcpy(line + out, ellipsis, sizeof(ellipsis));
        out += sizeof(ellipsis);
    }
    (void)ea_buf_addc(b, n ? ',' : '[');
    (void)ea_buf_add_json(b, ea_strn(line, out));
}

static void warn_text(struct ea_buf *t, const struct ea_finding *f, enum ea_effect effect)
{
    ea_buf_clear(t);
    (void)ea_buf_addf(t, "%.*s", EA_STRF(f->control->id));
    if (f->control->n_requirements)
        (void)ea_buf_addf(t, " (%.*s)", EA_STRF(f->control->requirements[0]));
    if (effect == EA_EFFECT_EXISTING)
        (void)ea_buf_addz(t, " was there before");
    if (effect == EA_EFFECT_OWNER)
        (void)ea_buf_addz(t, " comes from its owner");
    (void)ea_buf_addf(t, ": %.*s", EA_STRF(text_of(f)));
    if (f->n_failures && f->failures[0].path.n)
        (void)ea_buf_addf(t, " at %.*s", EA_STRF(f->failures[0].path));
}

static bool warns(enum ea_effect e)
{
    return e == EA_EFFECT_WARN || e == EA_EFFECT_EXISTING || e == EA_EFFECT_OWNER;
}

/* Controls that would have a say and could not be judged. */
static bool undecided_text(struct ea_buf *t, const struct ea_review_env *env,
                           const struct ea_review *rv)
{
    unsigned n = 0;

    ea_buf_clear(t);
    for (unsigned i = 0; i < rv->findings.n; i++) {
        const struct ea_finding *f = &rv->findings.f[i];

        if (f->result != EA_UNKNOWN || EA_MIN(f->action, env->enforcement) == EA_AUDIT ||
            rv->effects[i] == EA_EFFECT_DENY ||
            (f->reason != EA_R_DEADLINE && f->reason != EA_R_COST_LIMIT &&
             f->reason != EA_R_EVALUATION_ERROR))
            continue;
        (void)ea_buf_addf(t, "%s%.*s (%s)", n++ ? ", " : "not decided: ", EA_STRF(f->control->id),
                          ea_reason_names[f->reason]);
    }
    if (rv->exhausted && rv->allowed)
        (void)ea_buf_addf(t, "%sthe object is too large to be judged", n++ ? "; " : "");
    return n > 0;
}

static void add_warnings(struct ea_buf *b, const struct ea_review_env *env,
                         const struct ea_review *rv)
{
    unsigned due = 0, n = 0;
    struct ea_buf t;
    bool undecided;

    ea_buf_init(&t, 64u << 10);
    undecided = undecided_text(&t, env, rv);
    for (unsigned i = 0; i < rv->findings.n; i++)
        due += warns((enum ea_effect)rv->effects[i]);
    if (due || undecided)
        (void)ea_buf_addz(b, ",\"warnings\":");
    if (undecided)
        add_warning(b, n++, &t);
    for (unsigned i = 0; i < rv->findings.n && due; i++) {
        if (!warns((enum ea_effect)rv->effects[i]))
            continue;
        if (n == EA_MAX_WARNINGS - 1 && due > 1) {
            ea_buf_clear(&t);
            (void)ea_buf_addf(
                &t, "and %u more findings, see the evidence record or `eucs-agent scan`", due);
            due = 0;
        } else {
            warn_text(&t, &rv->findings.f[i], (enum ea_effect)rv->effects[i]);
            due--;
        }
        add_warning(b, n++, &t);
    }
    if (n)
        (void)ea_buf_addc(b, ']');
    ea_buf_done(&t);
}

/* ---- the answer ---- */

static void add_annotations(struct ea_buf *b, const struct ea_review *rv, const char *evidence,
                            const char *lost)
{
    unsigned n = 0;

    (void)ea_buf_addz(b, ",\"auditAnnotations\":{");
    if (evidence)
        add_text(b, "\"evidence\"", ea_str(evidence));
    if (lost)
        add_text(b, evidence ? ",\"evidence-lost\"" : "\"evidence-lost\"", ea_str(lost));
    for (unsigned i = 0; i < rv->findings.n && n < EA_MAX_FAILURES; i++) {
        if (rv->findings.f[i].result != EA_FAIL)
            continue;
        if (n == 0)
            (void)ea_buf_addf(b, "%s\"failed\":\"", evidence || lost ? "," : "");
        (void)ea_buf_addf(b, "%s%.*s", n++ ? "," : "", EA_STRF(rv->findings.f[i].control->id));
    }
    (void)ea_buf_addz(b, n ? "\"}" : "}");
}

/* brief: without anything that grows with the findings. */
static int render_answer(const struct ea_review_env *env, const struct ea_review *rv,
                         const char *evidence, const char *lost, bool brief, struct ea_buf *b)
{
    (void)ea_buf_addz(b, "{\"apiVersion\":\"admission.k8s.io/"
                         "v1\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
    (void)ea_buf_add_json(b, rv->uid);
    (void)ea_buf_addz(b, rv->allowed ? ",\"allowed\":true" : ",\"allowed\":false");
    if (!rv->allowed) {
        struct ea_buf m;

        ea_buf_init(&m, EA_MAX_REVIEW_ANSWER);
        if (brief)
            (void)ea_buf_addf(
                &m, "%u controls fail, more than a message can hold: see `eucs-agent scan`",
                rv->n_fail);
        else
            make_message(&m, rv);
        (void)ea_buf_addz(b, ",\"status\":{\"status\":\"Failure\",\"code\":403,\"reason\":"
                             "\"Forbidden\",\"message\":");
        (void)ea_buf_add_json(b, ea_buf_str(&m));
        if (!brief)
            add_causes(b, rv);
        (void)ea_buf_addc(b, '}');
        ea_buf_done(&m);
    }
    if (evidence || lost || rv->n_fail)
        add_annotations(b, rv, evidence, lost);
    if (!brief)
        add_warnings(b, env, rv);
    (void)ea_buf_addz(b, "}}");
    return b->failed;
}

int ea_review_answer(const struct ea_review_env *env, const struct ea_review *rv,
                     const char *evidence, const char *lost, struct ea_buf *b)
{
    size_t begin = b->n;

    if (render_answer(env, rv, evidence, lost, false, b) == 0)
        return 0;
    /* No answer would be an admission wherever the webhook is ignored when it fails. */
    b->failed = 0;
    b->n = begin;
    return render_answer(env, rv, evidence, lost, true, b);
}

int ea_review_failure(struct ea_buf *b, unsigned status, const char *text)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {{400, "BadRequest"},       {404, "NotFound"},
                   {405, "MethodNotAllowed"}, {415, "UnsupportedMediaType"},
                   {429, "TooManyRequests"},  {500, "InternalError"}};
    const char *reason = "Unknown";

    for (size_t i = 0; i < EA_COUNT(reasons); i++)
        if (reasons[i].status == status)
            reason = reasons[i].reason;
    (void)ea_buf_addz(
        b, "{\"apiVersion\":\"v1\",\"kind\":\"Status\",\"status\":\"Failure\",\"message\":");
    (void)ea_buf_add_json(b, ea_str(text));
    (void)ea_buf_addf(b, ",\"reason\":\"%s\",\"code\":%u}\n", reason, status);
    return b->failed;
}
