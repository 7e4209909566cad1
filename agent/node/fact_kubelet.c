#include "doc/yaml.h"
#include "node/facts.h"

/* The kubelet's configuration file as it stands on the disk; flags and drop-ins may override it. */
static int read_kubelet(struct ea_fact_read *r, struct ea_val *ret)
{
    static const char path[] = "/var/lib/kubelet/config.yaml";
    struct ea_str text = ea_fact_text(r, path);
    struct ea_yaml_stream s = {0};
    struct ea_mapb m;

    if (!text.p)
        return 0;
    ea_mapb_init(&m, r->arena);
    ea_mapb_putz(&m, "file", ea_fact_stat(r, path));
    if (ea_yaml_parse(r->arena, text, EA_YAML_KUBERNETES, &s, NULL) == 0 && s.n == 1 &&
        s.docs[0].root.type == EA_V_MAP)
        ea_mapb_putz(&m, "config", s.docs[0].root);
    else
        ea_listb_add(r->unreadable, ea_val_str(ea_str(path)));
    *ret = ea_mapb_end(&m);
    return m.failed ? -E2BIG : 0;
}

const struct ea_fact ea_fact_kubelet = {"kubelet", read_kubelet};
