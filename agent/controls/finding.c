/* controls/finding.c - a finding as one line of JSON and as one sentence. */
#include "base/limits.h"
#include "controls/finding.h"
#include "controls/internal.h"

static void add_str_or_null(struct ea_buf *b, struct ea_str s)
{
    if (s.p && s.n)
        ea_buf_add_json(b, s);
    else
        ea_buf_addz(b, "null");
}

/* Literals without format parsing: this runs once for every object and control of a scan. */
#define ADD(b, lit) ea_buf_add((b), (lit), sizeof(lit) - 1)

static void add_object(struct ea_buf *b, const struct ea_subject *s)
{
    const struct ea_val *o = s->object.type == EA_V_MAP ? &s->object : &s->old_object;
    struct ea_str api = ea_val_get_str(o, "apiVersion"), kind = ea_val_get_str(o, "kind");

    ADD(b, ",\"object\":{\"apiVersion\":");
    if (api.n) {
        ea_buf_add_json(b, api);
    } else {
        EA_AUTO_FREE char *text = ea_xasprintf("%.*s%s%.*s", EA_STRF(s->gvr.group),
                                               s->gvr.group.n ? "/" : "", EA_STRF(s->gvr.version));

        ea_buf_add_json(b, ea_str(text));
    }
    ADD(b, ",\"kind\":");
    ea_buf_add_json(b, kind.n ? kind : s->gvr.kind);
    ADD(b, ",\"namespace\":");
    add_str_or_null(b, s->gvr.namespaced ? s->namespace_ : EA_STR_NULL);
    ADD(b, ",\"name\":");
    add_str_or_null(b, s->name);
    ADD(b, "}");
}

static void add_source(struct ea_buf *b, const struct ea_source *src)
{
    if (!src || src->file.n == 0) {
        ADD(b, ",\"source\":null");
        return;
    }
    ADD(b, ",\"source\":{\"file\":");
    ea_buf_add_json(b, src->file);
    if (src->has_item)
        ea_buf_addf(b, ",\"document\":%u,\"item\":%u,\"line\":%u}", src->document, src->item,
                    src->line);
    else
        ea_buf_addf(b, ",\"document\":%u,\"item\":null,\"line\":%u}", src->document, src->line);
}

static void add_failures(struct ea_buf *b, const struct ea_finding *f)
{
    unsigned listed = EA_MIN(f->n_failures, EA_MAX_FAILURES),
             more = f->n_more + f->n_failures - listed;

    if (f->result != EA_FAIL) {
        ADD(b, ",\"failures\":[]");
        return;
    }
    ADD(b, ",\"failures\":[");
    for (unsigned i = 0; i < listed; i++) {
        const struct ea_failure *x = &f->failures[i];

        ea_buf_addf(b, "%s{\"validation\":%u,\"path\":", i ? "," : "", x->validation);
        add_str_or_null(b, x->path);
        ADD(b, ",\"element\":");
        add_str_or_null(b, x->element);
        ADD(b, ",\"message\":");
        ea_buf_add_json(b, x->message);
        ADD(b, "}");
    }
    ADD(b, "]");
    if (more)
        ea_buf_addf(b, ",\"more\":%u", more);
}

int ea_finding_render(struct ea_buf *b, const struct ea_finding *f, const struct ea_subject *s,
                      const struct ea_source *src)
{
    const struct ea_control *c = f->control;
    struct ea_str message = f->result == EA_FAIL ? f->message : f->detail;

    ADD(b, "{\"control\":");
    ea_buf_add_json(b, c->id);
    ADD(b, ",\"result\":\"");
    ea_buf_addz(b, ea_result_names[f->result]);
    if (f->reason != EA_R_NONE) {
        ADD(b, "\",\"reason\":\"");
        ea_buf_addz(b, ea_reason_names[f->reason]);
        ADD(b, "\",\"action\":\"");
    } else {
        ADD(b, "\",\"reason\":null,\"action\":\"");
    }
    ea_buf_addz(b, ea_action_names[f->action]);
    ADD(b, "\"");
    ea_buf_adds(b, c->priv->json_head);
    add_object(b, s);
    add_source(b, src);
    ADD(b, ",\"path\":");
    add_str_or_null(b, f->result == EA_FAIL && f->n_failures ? f->failures[0].path : EA_STR_NULL);
    ADD(b, ",\"message\":");
    add_str_or_null(b, message);
    add_failures(b, f);
    ea_buf_adds(b, c->priv->json_tail);
    ADD(b, ",\"exemption\":");
    add_str_or_null(b, f->exemption ? f->exemption->name : EA_STR_NULL);
    ADD(b, "}");
    return b->failed ? -E2BIG : 0;
}

int ea_finding_sentence(struct ea_buf *b, const struct ea_finding *f)
{
    const struct ea_control *c = f->control;
    struct ea_str path = f->result == EA_FAIL && f->n_failures ? f->failures[0].path : EA_STR_NULL;
    unsigned more = f->n_failures ? f->n_failures - 1 + f->n_more : 0;

    ea_buf_addf(b, "%.*s", EA_STRF(c->id));
    if (c->n_requirements)
        ea_buf_addf(b, " (%.*s)", EA_STRF(c->requirements[0]));
    if (f->result != EA_FAIL) {
        ea_buf_addf(b, ": %s", ea_result_names[f->result]);
        if (f->reason != EA_R_NONE)
            ea_buf_addf(b, " (%s)", ea_reason_names[f->reason]);
        if (f->detail.n)
            ea_buf_addf(b, ": %.*s", EA_STRF(f->detail));
        return b->failed ? -E2BIG : 0;
    }
    ea_buf_addf(b, ": %.*s", EA_STRF(f->message));
    if (path.n)
        ea_buf_addf(b, " at %.*s", EA_STRF(path));
    if (more)
        ea_buf_addf(b, " and %u more", more);
    ea_buf_addf(b, ". Fix: %.*s", EA_STRF(c->remediation));
    return b->failed ? -E2BIG : 0;
}
