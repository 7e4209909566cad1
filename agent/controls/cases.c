/* controls/cases.c - runs the examples beside a control through the judge that everything else
 * uses. */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "controls/cases.h"
#include "controls/internal.h"
#include "controls/manifest.h"
#include "doc/build.h"

const char *const ea_case_fields[] = {
    "name",      "expect",      "message",  "path",    "element", "object",          "oldObject",
    "operation", "subResource", "userInfo", "request", "params",  "namespaceObject", "context",
    "node",      "now",         "level",    NULL};

struct runner {
    const struct ea_ruleset *rs;
    void (*say)(void *arg, const char *line);
    void *arg;
    struct ea_case_totals *totals;
    const struct ea_control *c;
    const struct ea_cfile *file;
    const struct ea_yaml_doc *doc;
    struct ea_arena *a;
};

static void failed(struct runner *r, const struct ea_val *at, struct ea_str name, const char *fmt,
                   ...) EA_PRINTF(4, 5);
static void failed(struct runner *r, const struct ea_val *at, struct ea_str name, const char *fmt,
                   ...)
{
    unsigned line = at ? ea_yaml_line(r->doc, at) : 1;
    struct ea_buf b;
    va_list ap;
    char text[2048];

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ea_buf_init(&b, 16384);
    ea_buf_addf(&b, "%.*s:%u: %.*s", EA_STRF(r->file->path), line ? line : 1, EA_STRF(r->c->id));
    if (name.n)
        ea_buf_addf(&b, ", %.*s", EA_STRF(name));
    ea_buf_addf(&b, ": %s", text);
    r->totals->failed++;
    if (r->say && ea_buf_addc(&b, 0) == 0)
        r->say(r->arg, b.p);
    ea_buf_done(&b);
}

/* Members of over replace those of base. */
static struct ea_val merge(struct ea_arena *a, const struct ea_val *base, const struct ea_val *over)
{
    struct ea_mapb b;

    ea_mapb_init(&b, a);
    for (size_t i = 0; ea_val_is(base, EA_V_MAP) && i < base->n; i++)
        if (!ea_val_get(over, ea_val_text(&base->members[i].key)))
            ea_mapb_put(&b, ea_val_text(&base->members[i].key), base->members[i].val);
    for (size_t i = 0; ea_val_is(over, EA_V_MAP) && i < over->n; i++)
        ea_mapb_put(&b, ea_val_text(&over->members[i].key), over->members[i].val);
    return ea_mapb_end(&b);
}

static struct ea_val gvk(struct ea_arena *a, const struct ea_gvr *g, const char *last,
                         struct ea_str value)
{
    struct ea_mapb b;

    ea_mapb_init(&b, a);
    ea_mapb_putz(&b, "group", ea_val_str(g->group.p ? g->group : EA_STR("")));
    ea_mapb_putz(&b, "version", ea_val_str(g->version.p ? g->version : EA_STR("")));
    ea_mapb_put(&b, ea_str(last), ea_val_str(value.p ? value : EA_STR("")));
    return ea_mapb_end(&b);
}

/* The AdmissionRequest of a case that names an operation: what it does not say follows from the
 * object. */
static void make_request(struct runner *r, const struct ea_val *k, struct ea_subject *s)
{
    const struct ea_val *given = ea_val_getz(k, "request"), *user = ea_val_getz(k, "userInfo");
    struct ea_val base, kind = gvk(r->a, &s->gvr, "kind", s->gvr.kind),
                        res = gvk(r->a, &s->gvr, "resource", s->gvr.resource);
    struct ea_mapb b;

    ea_mapb_init(&b, r->a);
    ea_mapb_putz(&b, "kind", kind);
    ea_mapb_putz(&b, "resource", res);
    ea_mapb_putz(&b, "requestKind", kind);
    ea_mapb_putz(&b, "requestResource", res);
    if (s->gvr.subresource.n)
        ea_mapb_putz(&b, "subResource", ea_val_str(s->gvr.subresource));
    ea_mapb_putz(&b, "name", ea_val_str(s->name.p ? s->name : EA_STR("")));
    ea_mapb_putz(&b, "namespace", ea_val_str(s->namespace_.p ? s->namespace_ : EA_STR("")));
    ea_mapb_putz(&b, "operation", ea_val_str(ea_str(ea_op_name(s->op))));
    ea_mapb_putz(&b, "userInfo", user ? *user : ea_val_map(NULL, 0));
    ea_mapb_putz(&b, "dryRun", ea_val_bool(false));
    base = ea_mapb_end(&b);
    s->request = merge(r->a, &base, given);
}

static int complete(struct runner *r, const struct ea_gvr *g, bool builtin, struct ea_str ns,
                    const struct ea_val *o, struct ea_val *ret)
{
    if (!ea_val_is(o, EA_V_MAP)) {
        *ret = ea_val_null();
        return 0;
    }
    return ea_manifest_complete(r->a, g, builtin, ns, o, ret);
}

/* Kind, resource and names. false: said why not. */
static bool name_subject(struct runner *r, const struct ea_val *k, const struct ea_val *o,
                         struct ea_str name, struct ea_subject *s)
{
    const struct ea_val *req = ea_val_getz(k, "request"), *resource = ea_val_getz(req, "resource");
    struct ea_str api = ea_val_get_str(o, "apiVersion"), kind = ea_val_get_str(o, "kind");

    if (!ea_ruleset_kind(r->rs, api, kind, &s->gvr)) {
        if (!resource) {
            failed(r, k, name, "unknown kind %.*s, %.*s: say request.resource", EA_STRF(api),
                   EA_STRF(kind));
            return false;
        }
        ea_api_version_split(api, &s->gvr.group, &s->gvr.version);
        s->gvr.kind = kind;
        s->gvr.namespaced = ea_val_get_str(req, "namespace").n > 0;
    }
    if (resource) {
        s->gvr.group = ea_val_get_str(resource, "group");
        s->gvr.version = ea_val_get_str(resource, "version");
        s->gvr.resource = ea_val_get_str(resource, "resource");
    }
    s->gvr.subresource = ea_val_get_str(k, "subResource");
    s->name = ea_val_getz(req, "name") ? ea_val_get_str(req, "name")
                                       : ea_val_path_str(o, "metadata.name");
    s->namespace_ = ea_val_getz(req, "namespace") ? ea_val_get_str(req, "namespace")
                                                  : ea_val_path_str(o, "metadata.namespace");
    if (s->namespace_.n == 0 && s->gvr.namespaced)
        s->namespace_ = EA_STR("default");
    return true;
}

/* What the case judges. false: said why not. */
static bool make_subject(struct runner *r, const struct ea_val *k, struct ea_str name,
                         struct ea_subject *s)
{
    const struct ea_val *object = ea_val_getz(k, "object"), *old = ea_val_getz(k, "oldObject");
    const struct ea_val *o = ea_val_is(object, EA_V_MAP) ? object : old;
    struct ea_str op = ea_val_get_str(k, "operation");
    struct ea_gvr ignored;
    bool builtin;

    memset(s, 0, sizeof(*s));
    s->op = op.n ? ea_op_parse(op) : EA_OP_CREATE;
    s->has_request = op.n > 0;
    s->namespace_object = ea_val_getz(k, "namespaceObject");
    s->context = ea_val_getz(k, "context");
    s->node = ea_val_getz(k, "node");
    if (!s->op) {
        failed(r, k, name, "unknown operation %.*s", EA_STRF(op));
        return false;
    }
    if (r->c->node)
        return true;
    if (!name_subject(r, k, o, name, s))
        return false;
    builtin = ea_builtin_kind(ea_val_get_str(o, "apiVersion"), ea_val_get_str(o, "kind"), &ignored);
    if (complete(r, &s->gvr, builtin, s->namespace_, object, &s->object) < 0 ||
        complete(r, &s->gvr, builtin, s->namespace_, old, &s->old_object) < 0) {
        failed(r, k, name, "the case is too large");
        return false;
    }
    if (s->has_request)
        make_request(r, k, s);
    return true;
}

/* The control with the case's params in place of the configured ones. */
static bool with_params(struct runner *r, const struct ea_val *k, struct ea_str name,
                        struct ea_control *ret)
{
    const struct ea_val *declared = ea_val_getz(ea_val_getz(&r->c->document, "spec"), "params");
    const struct ea_val *values = ea_val_getz(k, "params");
    struct ea_str missing;

    *ret = *r->c;
    for (size_t i = 0; ea_val_is(values, EA_V_MAP) && i < values->n; i++) {
        struct ea_str p = ea_val_text(&values->members[i].key);
        const struct ea_val *d = ea_val_get(declared, p),
                            *v = ea_val_force(&values->members[i].val);

        if (!d || !ea_param_type_ok(ea_val_get_str(d, "type"), v)) {
            failed(r, v, name,
                   d ? "params.%.*s has the wrong type" : "the control has no param %.*s",
                   EA_STRF(p));
            return false;
        }
    }
    ret->missing_param = !ea_params_merge(r->a, declared, values, &ret->params, &missing);
    return true;
}

/* One of the failures stands at the path and in the element that the case names. */
static bool found_where(struct runner *r, const struct ea_val *k, struct ea_str name,
                        const struct ea_finding *f)
{
    struct ea_str path = ea_val_get_str(k, "path"), element = ea_val_get_str(k, "element");
    struct ea_failure none = {0};
    const struct ea_failure *first = f->n_failures ? &f->failures[0] : &none;

    if (path.n == 0 && element.n == 0)
        return true;
    for (unsigned i = 0; i < f->n_failures; i++)
        if ((path.n == 0 || ea_str_eq(f->failures[i].path, path)) &&
            (element.n == 0 || ea_str_eq(f->failures[i].element, element)))
            return true;
    failed(r, path.n ? ea_val_getz(k, "path") : k, name,
           "expected a failure at %.*s%s%.*s, the first one is at %.*s (element \"%.*s\")",
           EA_STRF(path), element.n ? " of element " : "", EA_STRF(element), EA_STRF(first->path),
           EA_STRF(first->element));
    return false;
}

static bool as_expected(struct runner *r, const struct ea_val *k, struct ea_str name,
                        const struct ea_finding *f)
{
    struct ea_str reason, expect = ea_val_get_str(k, "expect"),
                          word = ea_str_cut(expect, ':', &reason);
    struct ea_str message = ea_val_get_str(k, "message");
    const char *have = f->reason == EA_R_NONE ? "" : ea_reason_names[f->reason];
    struct ea_str text = f->result == EA_FAIL ? f->message : f->detail;

    if (!ea_str_is(word, ea_result_names[f->result]) || (reason.p && !ea_str_is(reason, have))) {
        failed(r, k, name, "expected %.*s, got %s%s%s%s%.*s", EA_STRF(expect),
               ea_result_names[f->result], *have ? ":" : "", have, text.n ? ": " : "",
               EA_STRF(text));
        return false;
    }
    if (message.n && ea_str_find(text, message) < 0) {
        failed(r, ea_val_getz(k, "message"), name, "expected a message with \"%.*s\", got \"%.*s\"",
               EA_STRF(message), EA_STRF(text));
        return false;
    }
    return found_where(r, k, name, f);
}

static bool make_opts(struct runner *r, const struct ea_val *k, struct ea_str name,
                      struct ea_judge_opts *o)
{
    struct ea_str now = ea_val_get_str(k, "now"), level = ea_val_get_str(k, "level");
    ea_wall_us t =
        1767225600ll * 1000000; /* 2026-01-01T00:00:00Z: a case that says no time has a fixed one */
    int l = level.n ? ea_level_parse(level) : EA_HIGH;

    if (now.n && ea_rfc3339_parse(now, &t) < 0) {
        failed(r, ea_val_getz(k, "now"), name, "now is no RFC 3339 time");
        return false;
    }
    if (l < 0) {
        failed(r, ea_val_getz(k, "level"), name, "level is not basic, substantial or high");
        return false;
    }
    *o = (struct ea_judge_opts){
        .now_us = t, .floor = (enum ea_level)l, .ignore_level = true, .trace = true};
    return true;
}

static void run_case(struct runner *r, const struct ea_val *k)
{
    struct ea_str name = ea_val_get_str(k, "name");
    struct ea_control c;
    struct ea_subject s;
    struct ea_judge_opts o;
    struct ea_finding f;
    struct ea_err err = {0};
    unsigned ops;

    if (ea_val_get_str(k, "expect").n == 0) {
        failed(r, k, name, "expect is missing");
        return;
    }
    if (!make_subject(r, k, name, &s) || !with_params(r, k, name, &c) || !make_opts(r, k, name, &o))
        return;
    ops = c.node ? EA_OP_ALL : ea_rules_ops(&c, &s.gvr, s.name);
    if (s.has_request && !(ops & s.op)) {
        failed(r, k, name, "the control's rules do not ask for %s of %.*s%s%.*s", ea_op_name(s.op),
               EA_STRF(s.gvr.resource), s.gvr.subresource.n ? "/" : "", EA_STRF(s.gvr.subresource));
        return;
    }
    if (ea_judge_one(r->rs, &c, &s, &o, r->a, &f, &err) < 0) {
        failed(r, k, name, "%s", ea_err_text(&err));
        return;
    }
    if (as_expected(r, k, name, &f))
        r->totals->passed++;
}

static const struct ea_cfile *cases_file(const struct ea_ruleset *rs, const struct ea_control *c)
{
    struct ea_str stem = c->priv->file->rel;
    char rel[1024];
    int n;

    stem.n -= ea_str_ends(stem, EA_STR(".yml")) ? 4 : 5;
    n = snprintf(rel, sizeof(rel), "%.*s.cases.yaml", EA_STRF(stem));
    return n > 0 && (size_t)n < sizeof(rel) ? ea_files_find(rs->priv, ea_strn(rel, (size_t)n))
                                            : NULL;
}

static void run_file(const struct runner *control)
{
    struct runner with_file = *control, *r = &with_file;
    struct ea_arena file, work;
    struct ea_yaml_stream st = {0};
    struct ea_err err = {0};
    const struct ea_val *list;

    ea_arena_init(&file, EA_ARENA_OBJECT, 0);
    ea_arena_init(&work, EA_ARENA_OBJECT, 0);
    if (ea_yaml_parse(&file, r->file->bytes, EA_YAML_STRICT, &st, &err) < 0 || st.n == 0) {
        failed(r, NULL, EA_STR_NULL, "%s", err.code ? err.text : "no document");
        goto out;
    }
    r->doc = &st.docs[0];
    r->a = &work;
    list = ea_val_getz(&st.docs[0].root, "cases");
    if (!ea_val_is(list, EA_V_LIST) || list->n == 0) {
        failed(r, NULL, EA_STR_NULL, "there is no list `cases`");
        goto out;
    }
    for (size_t i = 0; i < list->n; i++) {
        run_case(r, ea_val_at(list, i));
        ea_arena_reset(&work);
    }
out:
    ea_arena_done(&work);
    ea_arena_done(&file);
}

static void run_control(struct runner *r, const struct ea_control *c)
{
    static const struct ea_yaml_doc none;

    r->c = c;
    r->file = cases_file(r->rs, c);
    r->doc = &none;
    if (!r->file) {
        r->file = c->priv->file;
        failed(r, NULL, EA_STR_NULL, "the control has no cases");
    } else if (c->compile_error) {
        r->file = c->priv->file;
        failed(r, NULL, EA_STR_NULL, "does not compile: %s", c->compile_error);
    } else {
        run_file(r);
    }
}

int ea_cases_run(const struct ea_ruleset *rs, struct ea_str id,
                 void (*say)(void *arg, const char *line), void *arg, struct ea_case_totals *totals,
                 struct ea_err *err)
{
    struct runner r = {.rs = rs, .say = say, .arg = arg, .totals = totals};
    const struct ea_control *c;

    if (id.n) {
        c = ea_control_find(rs, id);
        if (!c)
            return ea_fail(err, -ENOENT, "there is no control %.*s", EA_STRF(id));
        run_control(&r, c);
        return 0;
    }
    for (unsigned i = 0; i < rs->n_controls; i++)
        run_control(&r, &rs->controls[i]);
    return 0;
}

void ea_cases_count(const struct ea_ruleset *rs, const struct ea_control *c,
                    struct ea_case_counts *ret)
{
    const struct ea_cfile *f = cases_file(rs, c);
    struct ea_yaml_stream st = {0};
    struct ea_arena a;
    const struct ea_val *list;

    memset(ret, 0, sizeof(*ret));
    if (!f)
        return;
    ea_arena_init(&a, EA_ARENA_OBJECT, 0);
    if (ea_yaml_parse(&a, f->bytes, EA_YAML_STRICT, &st, NULL) == 0 && st.n) {
        list = ea_val_getz(&st.docs[0].root, "cases");
        for (size_t i = 0; ea_val_is(list, EA_V_LIST) && i < list->n; i++) {
            struct ea_str e = ea_val_get_str(ea_val_at(list, i), "expect");

            if (ea_str_is(e, "pass"))
                ret->pass++;
            else if (ea_str_is(e, "fail"))
                ret->fail++;
            else
                ret->other++;
        }
    }
    ea_arena_done(&a);
}
