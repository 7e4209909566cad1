#include "node/facts.h"

static struct ea_str unquote(struct ea_str s)
{
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        return ea_strn(s.p + 1, s.n - 2);
    return s;
}

/* os-release(5): who made the system and which version. */
static int read_os(struct ea_fact_read *r, struct ea_val *ret)
{
    struct ea_str text = ea_fact_text(r, "/etc/os-release");
    struct ea_mapb m;

    if (!text.p)
        text = ea_fact_text(r, "/usr/lib/os-release");
    if (!text.p)
        return 0;
    ea_mapb_init(&m, r->arena);
    while (text.p) {
        struct ea_str value, line = ea_str_trim(ea_str_cut(text, '\n', &text)),
                             key = ea_str_cut(line, '=', &value);

        if (ea_str_is(key, "ID"))
            ea_mapb_putz(&m, "id", ea_val_str(unquote(value)));
        else if (ea_str_is(key, "VERSION_ID"))
            ea_mapb_putz(&m, "versionId", ea_val_str(unquote(value)));
    }
    *ret = ea_mapb_end(&m);
    return m.failed ? -E2BIG : 0;
}

const struct ea_fact ea_fact_os = {"os", read_os};
