#include "app/lookup.h"

#include "doc/build.h"

static void unref(void *o)
{
    ea_object_unref(o);
}

/* The parsed document keeps slices of the object's bytes, so the arena holds the reference. */
static int parse_into(struct ea_arena *a, struct ea_object *o, struct ea_val *ret)
{
    int r = ea_arena_defer(a, unref, o);

    return r ? r : ea_object_parse(o, a, ret);
}

static const struct ea_val *namespace_of(void *arg, struct ea_arena *a, struct ea_str name)
{
    struct ea_store *store = arg;
    int table = ea_store_find_table(store, EA_STR("v1"), EA_STR("Namespace"));
    struct ea_object *o =
        table < 0 ? NULL : ea_store_find(store, (unsigned)table, EA_STR_NULL, name);

    if (!o)
        return NULL;
    struct ea_val *v = ea_arena_alloc(a, sizeof(*v));

    if (!v) {
        ea_object_unref(o);
        return NULL;
    }
    return parse_into(a, o, v) ? NULL : v;
}

static int list_of(void *arg, struct ea_arena *a, struct ea_str api_version, struct ea_str kind,
                   struct ea_str ns, size_t cap, struct ea_val *ret, bool *ret_complete)
{
    struct ea_store *store = arg;
    int table = ea_store_find_table(store, api_version, kind);
    struct ea_listb out;
    size_t n = 0;
    bool cut = false;
    int r = 0;

    ea_listb_init(&out, a);
    *ret_complete = false;
    if (table >= 0) {
        struct ea_object **found = ea_store_list(store, (unsigned)table, ns, cap, &n, &cut);

        for (size_t i = 0; i < n; i++) {
            struct ea_val v;

            if (r) {
                ea_object_unref(found[i]);
                continue;
            }
            r = parse_into(a, found[i], &v);
            if (!r)
                ea_listb_add(&out, v);
        }
        free(found);
        *ret_complete = !cut && ea_store_synced(store, (unsigned)table);
    }
    *ret = ea_listb_end(&out);
    return r ? r : out.failed;
}

void ea_lookup_from_store(struct ea_store *store, struct ea_lookup *ret)
{
    *ret = (struct ea_lookup){.arg = store, .namespace_ = namespace_of, .list = list_of};
}
