#include "node/facts.h"

/* "net/ipv4/ip_forward" -> "net.ipv4.ip_forward", as sysctl(8) writes it. */
static struct ea_str dotted(struct ea_arena *a, const char *path)
{
    size_t n = strlen(path);
    char *p = ea_arena_alloc(a, n + 1);

    for (size_t i = 0; p && i < n; i++)
        p[i] = path[i] == '/' ? '.' : path[i];
    return ea_strn(p, p ? n : 0);
}

/* Release and the kernel settings that hardening guides name. */
static int read_kernel(struct ea_fact_read *r, struct ea_val *ret)
{
    static const char *const sysctls[] = {"kernel/kptr_restrict",
                                          "kernel/dmesg_restrict",
                                          "kernel/randomize_va_space",
                                          "kernel/unprivileged_bpf_disabled",
                                          "net/ipv4/ip_forward",
                                          "vm/overcommit_memory",
                                          "kernel/panic",
                                          "kernel/panic_on_oops"};
    struct ea_mapb m, values;
    struct ea_str release = ea_str_trim(ea_fact_text(r, "/proc/sys/kernel/osrelease"));

    ea_mapb_init(&m, r->arena);
    ea_mapb_init(&values, r->arena);
    if (release.n)
        ea_mapb_putz(&m, "release", ea_val_str(release));
    for (size_t i = 0; i < EA_COUNT(sysctls); i++) {
        struct ea_str path = ea_arena_printf(r->arena, "/proc/sys/%s", sysctls[i]);
        struct ea_str text = path.p ? ea_str_trim(ea_fact_text(r, path.p)) : EA_STR_NULL;

        if (!text.n)
            continue;
        ea_mapb_put(&values, dotted(r->arena, sysctls[i]), ea_val_str(text));
    }
    ea_mapb_putz(&m, "sysctl", ea_mapb_end(&values));
    *ret = ea_mapb_end(&m);
    return m.failed || values.failed ? -E2BIG : 0;
}

const struct ea_fact ea_fact_kernel = {"kernel", read_kernel};
