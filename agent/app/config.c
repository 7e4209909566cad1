#include "app/config.h"

#include "base/fd.h"
#include "base/limits.h"
#include "doc/build.h"
#include "doc/yaml.h"

#include <stdio.h>

enum kind { STR, BOOL, UINT, DURATION, BYTES, LIST, TREE };
static const char *const kind_names[] = {"string", "boolean",         "number",  "duration",
                                         "size",   "list of strings", "document"};

struct option {
    const char *path;
    size_t offset;
    enum kind kind;
    const char *dflt, *choices, *help;
};

static const struct option options[] = {
#define X(path, name, kind, dflt, choices, help)                                                   \
    {path, offsetof(struct ea_config, name), kind, dflt, choices, help},
    EA_CONFIG_OPTIONS(X)
#undef X
};

/* Scalars as the file or the default spells them. */
static int set_text(struct ea_config *c, const struct option *o, struct ea_str text,
                    struct ea_err *err)
{
    void *at = (char *)c + o->offset;
    int r = 0;

    switch (o->kind) {
    case STR:
        if (o->choices && !ea_str_is_one_of(text, o->choices))
            return ea_fail(err, -EINVAL, "%s is %s, not '%.*s'", o->path, o->choices,
                           EA_STRF(text));
        *(const char **)at = ea_arena_str(&c->arena, text).p;
        break;
    case BOOL:
        if (!ea_str_is(text, "true") && !ea_str_is(text, "false"))
            r = -EINVAL;
        *(bool *)at = ea_str_is(text, "true");
        break;
    case UINT:
        r = ea_str_to_u64(text, at);
        break;
    case DURATION:
        r = ea_str_to_duration_us(text, at);
        break;
    case BYTES:
        r = ea_str_to_bytes(text, at);
        break;
    case LIST: {
        static const char *const none[] = {NULL};

        *(const char *const **)at = none;
        break;
    }
    case TREE:
        *(struct ea_val *)at = ea_val_null();
        break;
    }
    return r ? ea_fail(err, -EINVAL, "%s is a %s, not '%.*s'", o->path, kind_names[o->kind],
                       EA_STRF(text))
             : 0;
}

static int set_list(struct ea_config *c, const struct option *o, const struct ea_val *v,
                    struct ea_err *err)
{
    if (v->type != EA_V_LIST)
        return ea_fail(err, -EINVAL, "%s is a list of strings", o->path);
    const char **list = ea_arena_alloc(&c->arena, (v->n + 1) * sizeof(*list));

    if (!list)
        return ea_fail(err, -E2BIG, "%s is too long", o->path);
    for (uint32_t i = 0; i < v->n; i++) {
        const struct ea_val *item = ea_val_at(v, i);

        if (!ea_val_is(item, EA_V_STRING))
            return ea_fail(err, -EINVAL, "%s is a list of strings", o->path);
        list[i] = ea_arena_str(&c->arena, ea_val_text(item)).p;
    }
    list[v->n] = NULL;
    *(const char *const **)((char *)c + o->offset) = list;
    return 0;
}

static int set_value(struct ea_config *c, const struct option *o, const struct ea_val *v,
                     struct ea_err *err)
{
    char number[32];

    if (o->kind == TREE)
        return ea_val_copy(&c->arena, v, (struct ea_val *)((char *)c + o->offset));
    if (o->kind == LIST)
        return set_list(c, o, v, err);
    if (v->type == EA_V_STRING && o->kind != BOOL && o->kind != UINT)
        return set_text(c, o, ea_val_text(v), err);
    if (v->type == EA_V_BOOL && o->kind == BOOL)
        return set_text(c, o, v->b ? EA_STR("true") : EA_STR("false"), err);
    if (v->type == EA_V_INT && (o->kind == UINT || o->kind == BYTES)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)v->i);
        return set_text(c, o, ea_str(number), err);
    }
    return ea_fail(err, -EINVAL, "%s is a %s, not a %s", o->path, kind_names[o->kind],
                   ea_val_type_name(v));
}

static const struct option *option_of(const char *path)
{
    for (size_t i = 0; i < EA_COUNT(options); i++) {
        if (strcmp(options[i].path, path) == 0)
            return &options[i];
    }
    return NULL;
}

static bool is_section(const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < EA_COUNT(options); i++) {
        if (strncmp(options[i].path, path, n) == 0 && options[i].path[n] == '.')
            return true;
    }
    return false;
}

struct reader {
    struct ea_config *c;
    const struct ea_yaml_doc *doc;
    const char *name;
};

static int set_by_path(struct ea_config *c, const char *path, const struct ea_val *v,
                       struct ea_err *err)
{
    const struct option *o = option_of(path);

    if (o)
        return set_value(c, o, v, err);
    if (is_section(path))
        return ea_fail(err, -EINVAL, "%s is a map of options", path);
    return ea_fail(err, -EINVAL, "unknown option %s (docs/CONFIG.md lists them)", path);
}

static int read_map(const struct reader *rd, const struct ea_val *map, const char *prefix,
                    struct ea_err *err)
{
    for (uint32_t i = 0; i < map->n; i++) {
        const struct ea_val *v = &map->members[i].val;
        char path[128];

        (void)snprintf(path, sizeof(path), "%s%s%.*s", prefix, *prefix ? "." : "",
                       EA_STRF(ea_val_text(&map->members[i].key)));
        if (!*prefix && (strcmp(path, "apiVersion") == 0 || strcmp(path, "kind") == 0))
            continue;
        if (v->type == EA_V_NULL)
            continue; /* "webhook:" with nothing below keeps its defaults */
        int r = 0;

        if (v->type == EA_V_MAP && is_section(path))
            r = read_map(rd, v, path, err);
        else if (set_by_path(rd->c, path, v, err))
            r = ea_wrap(err, "%s:%u", rd->name, ea_yaml_line(rd->doc, v));
        if (r)
            return r;
    }
    return 0;
}

static int check_head(const struct ea_val *root, struct ea_err *err)
{
    struct ea_str kind = ea_val_get_str(root, "kind"), version = ea_val_get_str(root, "apiVersion");

    if (root->type != EA_V_MAP)
        return ea_fail(err, -EINVAL, "the configuration is a map of options");
    if ((kind.n && !ea_str_is(kind, "Configuration")) ||
        (version.n && !ea_str_is(version, "eucs-agent.io/v1alpha1")))
        return ea_fail(err, -EINVAL, "this is %.*s %.*s, not eucs-agent.io/v1alpha1 Configuration",
                       EA_STRF(version), EA_STRF(kind));
    return 0;
}

static int check_whole(const struct ea_config *c, struct ea_err *err)
{
    if (strcmp(c->source_kind, "directory") == 0 && !*c->source_path)
        return ea_fail(err, -EINVAL, "source.path is needed with source.kind directory");
    if (!*c->webhook_cert != !*c->webhook_key)
        return ea_fail(err, -EINVAL, "webhook.certFile and webhook.keyFile go together");
    if (c->webhook_timeout < 1 || c->webhook_timeout > 30)
        return ea_fail(err, -EINVAL, "webhook.timeoutSeconds is 1 to 30");
    if (c->webhook_port > 65535 || c->web_port > 65535 || c->health_port > 65535)
        return ea_fail(err, -EINVAL, "a port is at most 65535");
    if (c->webhook_workers < 1 || c->webhook_workers > 64)
        return ea_fail(err, -EINVAL, "webhook.workers is 1 to 64");
    if (c->segment_size < (1u << 20) + 65536 || c->segment_size > (64u << 20))
        return ea_fail(err, -EINVAL, "evidence.segmentSize is 2Mi to 64Mi");
    return 0;
}

int ea_config_parse(struct ea_str text, const char *name, struct ea_config **ret,
                    struct ea_err *err)
{
    struct ea_config *c = ea_xalloc(sizeof(*c));
    struct ea_yaml_stream s = {0};
    int r = 0;

    ea_arena_init(&c->arena, EA_MAX_OWN_FILE * 4, 0);
    for (size_t i = 0; i < EA_COUNT(options) && !r; i++)
        r = options[i].kind == STR && !*options[i].dflt
                ? (*(const char **)((char *)c + options[i].offset) = "", 0)
                : set_text(c, &options[i], ea_str(options[i].dflt), err);
    if (!r && text.n) {
        r = ea_yaml_parse(&c->arena, text, EA_YAML_STRICT, &s, err);
        if (r)
            (void)ea_wrap(err, "%s", name);
        else if (s.n != 1)
            r = ea_fail(err, -EINVAL, "%s: one document is wanted, there are %zu", name, s.n);
    }
    if (!r && s.n == 1) {
        const struct reader rd = {c, &s.docs[0], name};

        r = check_head(&s.docs[0].root, err);
        if (r)
            (void)ea_wrap(err, "%s", name);
        else
            r = read_map(&rd, &s.docs[0].root, "", err);
    }
    if (!r) {
        r = check_whole(c, err);
        if (r)
            (void)ea_wrap(err, "%s", name);
    }
    if (r) {
        ea_config_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

int ea_config_load(const char *path, struct ea_config **ret, struct ea_err *err)
{
    EA_AUTO_FREE char *text = NULL;
    size_t n = 0;

    if (path) {
        int r = ea_read_file(path, EA_MAX_OWN_FILE, &text, &n, err);

        if (r)
            return r;
    }
    return ea_config_parse(ea_strn(text, n), path ? path : "defaults", ret, err);
}

void ea_config_free(struct ea_config *c)
{
    if (!c)
        return;
    ea_arena_done(&c->arena);
    free(c);
}

void ea_config_doc(struct ea_buf *b)
{
    ea_buf_addz(b, "| option | type | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; i < EA_COUNT(options); i++) {
        const struct option *o = &options[i];
        struct ea_str rest = ea_str(o->choices ? o->choices : "");

        ea_buf_addf(b, "| `%s` | ", o->path);
        if (!o->choices)
            ea_buf_addz(b, kind_names[o->kind]);
        for (bool first = true; o->choices && rest.p; first = false) {
            struct ea_str one = ea_str_cut(rest, '|', &rest);

            ea_buf_addf(b, "%s`%.*s`", first ? "" : " ", EA_STRF(one));
        }
        ea_buf_addf(b, *o->dflt ? " | `%s` | %s |\n" : " | %s | %s |\n", o->dflt, o->help);
    }
}
