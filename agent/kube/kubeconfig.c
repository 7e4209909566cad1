/* kube/kubeconfig.c - a kubeconfig file into a configuration. */
#include "base/fd.h"
#include "base/limits.h"
#include "doc/print.h"
#include "doc/yaml.h"
#include "kube/config_priv.h"

#include <libgen.h>

#define KUBECONFIG_ARENA (32u << 20) /* bytes; nodes of a file of EA_MAX_KUBECONFIG */

static char *dup_member(const struct ea_val *v, const char *key)
{
    struct ea_str s = ea_val_get_str(v, key);

    return s.n ? ea_str_dupz(s) : NULL;
}

static char *dup_path(const struct ea_val *v, const char *key, const char *dir)
{
    struct ea_str s = ea_val_get_str(v, key);

    if (!s.n)
        return NULL;
    if (s.p[0] == '/' || !dir)
        return ea_str_dupz(s);
    return ea_xasprintf("%s/%.*s", dir, EA_STRF(s));
}

static int get_base64(const struct ea_val *v, const char *key, struct kube_blob *ret,
                      struct ea_err *err)
{
    struct ea_str s = ea_val_get_str(v, key);
    uint8_t *p;
    size_t n;

    if (!s.n)
        return 0;
    if (s.n > 2 * EA_MAX_CREDENTIAL)
        return ea_fail(err, -E2BIG, "%s is larger than %u bytes", key, EA_MAX_CREDENTIAL);
    if (ea_unbase64(s, &p, &n) < 0)
        return ea_fail(err, -EINVAL, "%s is not base64", key);
    *ret = kube_blob_dup(ea_strn((const char *)p, n));
    explicit_bzero(p, n);
    free(p);
    return 0;
}

/* The entry called `name` of a list of {name, <what>: {…}}. */
static int find_named(const struct ea_val *root, const char *list, const char *what,
                      struct ea_str name, const struct ea_val **ret, struct ea_err *err)
{
    const struct ea_val *l = ea_val_get(root, ea_str(list));

    for (size_t i = 0; l && l->type == EA_V_LIST && i < l->n; i++) {
        const struct ea_val *e = ea_val_at(l, i);

        if (ea_str_eq(ea_val_get_str(e, "name"), name)) {
            const struct ea_val *v = ea_val_get(e, ea_str(what));

            if (!ea_val_is(v, EA_V_MAP))
                return ea_fail(err, -EINVAL, "%s entry \"%.*s\" has no map \"%s\"", list,
                               EA_STRF(name), what);
            *ret = v;
            return 0;
        }
    }
    return ea_fail(err, -EINVAL, "%s has no entry \"%.*s\"", list, EA_STRF(name));
}

static int parse_cluster(struct ea_kube_config *c, const struct ea_val *v, const char *dir,
                         struct ea_err *err)
{
    struct ea_str server = ea_val_get_str(v, "server");

    if (!ea_str_starts(server, EA_STR("https://")) && !ea_str_starts(server, EA_STR("http://")))
        return ea_fail(err, -EINVAL, "cluster.server must be an http or https URL");
    while (server.n && server.p[server.n - 1] == '/')
        server.n--;
    for (size_t i = 0; i < server.n; i++) {
        if ((unsigned char)server.p[i] <= ' ' || (unsigned char)server.p[i] >= 127)
            return ea_fail(err, -EINVAL, "cluster.server holds a character that no URL may hold");
    }
    c->server = ea_str_dupz(server);
    c->insecure = ea_val_get_bool(v, "insecure-skip-tls-verify", false);
    c->tls_server_name = dup_member(v, "tls-server-name");
    c->proxy = dup_member(v, "proxy-url");
    c->ca.file = dup_path(v, "certificate-authority", dir);
    int rc = get_base64(v, "certificate-authority-data", &c->ca.data, err);
    if (rc == 0 && c->insecure && (c->ca.file || c->ca.data.p))
        rc = ea_fail(err, -EINVAL,
                     "cluster: a certificate authority together with insecure-skip-tls-verify "
                     "makes no sense");
    return rc;
}

/* ---- exec ---- */

static bool too_many(const struct ea_val *l)
{
    return l && l->type == EA_V_LIST && l->n > EA_MAX_EXEC_WORDS;
}

/* As client-go: a name without a slash is looked up in PATH, a relative path is taken from the
 * kubeconfig's folder. */
static char *exec_command(struct ea_str cmd, const char *dir)
{
    if (cmd.p[0] != '/' && memchr(cmd.p, '/', cmd.n) && dir)
        return ea_xasprintf("%s/%.*s", dir, EA_STRF(cmd));
    return ea_str_dupz(cmd);
}

static int exec_words(struct kube_exec *e, const struct ea_val *v, struct ea_err *err)
{
    const struct ea_val *args = ea_val_getz(v, "args"), *env = ea_val_getz(v, "env");
    size_t n = 0;

    if (too_many(args) || too_many(env))
        return ea_fail(err, -E2BIG, "exec: more than %u arguments or variables", EA_MAX_EXEC_WORDS);
    e->args = ea_xalloc((EA_MAX_EXEC_WORDS + 2) * sizeof(char *));
    e->env = ea_xalloc((EA_MAX_EXEC_WORDS + 1) * sizeof(char *));
    e->args[n++] = ea_str_dupz(ea_str(e->command));
    for (size_t i = 0; ea_val_is(args, EA_V_LIST) && i < args->n; i++) {
        const struct ea_val *a = ea_val_at(args, i);

        if (!ea_val_is(a, EA_V_STRING))
            return ea_fail(err, -EINVAL, "exec.args[%zu] is no string", i);
        e->args[n++] = ea_str_dupz(ea_val_text(a));
    }
    n = 0;
    for (size_t i = 0; ea_val_is(env, EA_V_LIST) && i < env->n; i++) {
        const struct ea_val *a = ea_val_at(env, i);
        struct ea_str name = ea_val_get_str(a, "name"), value = ea_val_get_str(a, "value");

        if (!name.n || memchr(name.p, '=', name.n))
            return ea_fail(err, -EINVAL, "exec.env[%zu] has no usable name", i);
        e->env[n++] = ea_xasprintf("%.*s=%.*s", EA_STRF(name), EA_STRF(value));
    }
    return 0;
}

static int exec_mode(const struct ea_val *v, bool v1beta1, struct ea_err *err)
{
    struct ea_str mode = ea_val_get_str(v, "interactiveMode");

    if (!mode.n && v1beta1)
        return 0; /* IfAvailable is the default there */
    if (!mode.n)
        return ea_fail(err, -EINVAL,
                       "exec.interactiveMode is required by client.authentication.k8s.io/v1");
    if (ea_str_is(mode, "Always"))
        return ea_fail(
            err, -EINVAL,
            "exec.interactiveMode is Always: a plugin that needs a terminal cannot be used here");
    if (!ea_str_is(mode, "Never") && !ea_str_is(mode, "IfAvailable"))
        return ea_fail(err, -EINVAL, "exec.interactiveMode must be Never, IfAvailable or Always");
    return 0;
}

/* The extension client.authentication.k8s.io/exec of the cluster, which plugins get as
 * spec.cluster.config. */
static const struct ea_val *cluster_extension(const struct ea_val *cluster)
{
    const struct ea_val *l = ea_val_getz(cluster, "extensions");

    for (size_t i = 0; ea_val_is(l, EA_V_LIST) && i < l->n; i++) {
        const struct ea_val *e = ea_val_at(l, i);

        if (ea_str_is(ea_val_get_str(e, "name"), "client.authentication.k8s.io/exec"))
            return ea_val_getz(e, "extension");
    }
    return NULL;
}

static void info_str(struct ea_buf *b, const char *key, struct ea_str s)
{
    if (!s.n)
        return;
    ea_buf_addf(b, ",\"%s\":", key);
    ea_buf_add_json(b, s);
}

static int exec_cluster_info(struct ea_buf *b, const struct ea_kube_config *c,
                             const struct ea_val *cluster, struct ea_err *err)
{
    const struct ea_val *ext = cluster_extension(cluster);
    struct kube_blob ca = {NULL, 0};

    ea_buf_addz(b, ",\"cluster\":{\"server\":");
    ea_buf_add_json(b, ea_str(c->server));
    info_str(b, "tls-server-name", ea_str(c->tls_server_name));
    info_str(b, "proxy-url", ea_str(c->proxy));
    if (c->insecure)
        ea_buf_addz(b, ",\"insecure-skip-tls-verify\":true");
    if (ea_val_get_bool(cluster, "disable-compression", false))
        ea_buf_addz(b, ",\"disable-compression\":true");
    if (c->ca.data.p) {
        ca = kube_blob_dup(ea_strn(c->ca.data.p, c->ca.data.n));
    } else if (c->ca.file) {
        int rc = ea_read_file(c->ca.file, EA_MAX_CREDENTIAL, &ca.p, &ca.n, err);

        if (rc)
            return rc;
    }
    if (ca.p) {
        EA_AUTO_FREE char *enc = ea_base64((const uint8_t *)ca.p, ca.n);

        info_str(b, "certificate-authority-data", ea_str(enc));
        kube_blob_free(&ca);
    }
    if (ext) {
        ea_buf_addz(b, ",\"config\":");
        if (ea_json_print(b, ext) < 0)
            return ea_fail(err, -EINVAL, "the exec extension of the cluster cannot be printed");
    }
    return ea_buf_addc(b, '}');
}

static int exec_info(struct kube_exec *e, const struct ea_kube_config *c, const struct ea_val *v,
                     const struct ea_val *cluster, struct ea_err *err)
{
    struct ea_buf b;
    int rc = 0;

    ea_buf_init(&b, 4 * EA_MAX_CREDENTIAL);
    ea_buf_addf(&b,
                "{\"apiVersion\":\"client.authentication.k8s.io/"
                "%s\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false",
                e->v1beta1 ? "v1beta1" : "v1");
    if (ea_val_get_bool(v, "provideClusterInfo", false))
        rc = exec_cluster_info(&b, c, cluster, err);
    ea_buf_addz(&b, "}}");
    if (rc == 0 && b.failed)
        rc = ea_fail(err, -E2BIG, "the exec extension of the cluster is too large");
    if (rc == 0)
        e->info = ea_buf_take(&b);
    ea_buf_done(&b);
    return rc;
}

static int parse_exec(struct ea_kube_config *c, const struct ea_val *v,
                      const struct ea_val *cluster, const char *dir, struct ea_err *err)
{
    struct kube_exec *e = c->exec = ea_xalloc(sizeof(*e));
    struct ea_str version = ea_val_get_str(v, "apiVersion"), cmd = ea_val_get_str(v, "command");
    int rc;

    if (ea_str_is(version, "client.authentication.k8s.io/v1beta1"))
        e->v1beta1 = true;
    else if (!ea_str_is(version, "client.authentication.k8s.io/v1"))
        return ea_fail(err, -EINVAL,
                       "exec.apiVersion must be client.authentication.k8s.io/v1 or v1beta1");
    if (!cmd.n)
        return ea_fail(err, -EINVAL, "exec.command is missing");
    e->command = exec_command(cmd, dir);
    e->hint = dup_member(v, "installHint");
    rc = exec_mode(v, e->v1beta1, err);
    if (rc == 0)
        rc = exec_words(e, v, err);
    if (rc == 0)
        rc = exec_info(e, c, v, cluster, err);
    return rc;
}

/* ---- user ---- */

static int parse_user(struct ea_kube_config *c, const struct ea_val *v,
                      const struct ea_val *cluster, const char *dir, struct ea_err *err)
{
    static const char *const refused[] = {"as", "as-uid", "as-groups", "as-user-extra",
                                          "auth-provider"};
    const struct ea_val *exec = ea_val_getz(v, "exec");
    struct ea_str token = ea_val_get_str(v, "token"), name = ea_val_get_str(v, "username");
    int rc;

    for (size_t i = 0; i < EA_COUNT(refused); i++) {
        if (ea_val_get(v, ea_str(refused[i])))
            return ea_fail(err, -EINVAL, "user.%s is not supported", refused[i]);
    }
    c->cert.file = dup_path(v, "client-certificate", dir);
    c->key.file = dup_path(v, "client-key", dir);
    rc = get_base64(v, "client-certificate-data", &c->cert.data, err);
    if (rc == 0)
        rc = get_base64(v, "client-key-data", &c->key.data, err);
    if (rc)
        return rc;
    if ((c->cert.file || c->cert.data.p) != (c->key.file || c->key.data.p))
        return ea_fail(err, -EINVAL, "user: a client certificate and its key belong together");
    /* a token file wins over a token, as in client-go */
    c->token.file = dup_path(v, "tokenFile", dir);
    if (token.n && !c->token.file)
        c->token.data = kube_blob_dup(token);
    if (name.n) {
        struct ea_str pw = ea_val_get_str(v, "password");

        c->basic.p = ea_xasprintf("%.*s:%.*s", EA_STRF(name), EA_STRF(pw));
        c->basic.n = strlen(c->basic.p);
    }
    if (ea_val_is(exec, EA_V_MAP))
        rc = parse_exec(c, exec, cluster, dir, err);
    return rc;
}

static int parse_root(struct ea_kube_config *c, const struct ea_val *root, const char *dir,
                      const char *context, struct ea_err *err)
{
    struct ea_str name = context ? ea_str(context) : ea_val_get_str(root, "current-context");
    const struct ea_val *ctx = NULL, *cluster = NULL, *user = NULL;
    struct ea_str user_name;
    int rc;

    if (!ea_val_is(root, EA_V_MAP))
        return ea_fail(err, -EINVAL, "a kubeconfig is a map, this is %s", ea_val_type_name(root));
    if (!name.n)
        return ea_fail(err, -EINVAL, "current-context is not set and no context was named");
    rc = find_named(root, "contexts", "context", name, &ctx, err);
    if (rc == 0)
        rc = find_named(root, "clusters", "cluster", ea_val_get_str(ctx, "cluster"), &cluster, err);
    if (rc == 0)
        rc = parse_cluster(c, cluster, dir, err);
    if (rc)
        return rc;
    c->namespace_ = dup_member(ctx, "namespace");
    user_name = ea_val_get_str(ctx, "user");
    if (!user_name.n)
        return 0; /* anonymous */
    rc = find_named(root, "users", "user", user_name, &user, err);
    return rc ? rc : parse_user(c, user, cluster, dir, err);
}

int ea_kube_config_parse(struct ea_str text, const char *dir, const char *context,
                         struct ea_kube_config **ret, struct ea_err *err)
{
    struct ea_arena a;
    struct ea_yaml_stream ys;
    struct ea_kube_config *c = NULL;
    int rc;

    ea_arena_init(&a, KUBECONFIG_ARENA, 0);
    rc = ea_yaml_parse(&a, text, EA_YAML_KUBERNETES, &ys, err);
    if (rc == 0 && ys.n != 1)
        rc = ea_fail(err, -EINVAL, "a kubeconfig is one document, this file has %zu", ys.n);
    if (rc == 0) {
        c = kube_config_new();
        rc = parse_root(c, &ys.docs[0].root, dir, context, err);
    }
    ea_arena_done(&a);
    if (rc) {
        ea_kube_config_unref(c);
        return rc;
    }
    *ret = c;
    return 0;
}

int ea_kube_config_load(const char *path, const char *context, struct ea_kube_config **ret,
                        struct ea_err *err)
{
    EA_AUTO_FREE char *text = NULL;
    EA_AUTO_FREE char *real = realpath(path, NULL);
    size_t n;
    int rc = ea_read_file(path, EA_MAX_KUBECONFIG, &text, &n, err);

    if (rc)
        return rc;
    EA_AUTO_FREE char *copy = ea_str_dupz(ea_str(real ? real : path));
    rc = ea_kube_config_parse(ea_strn(text, n), dirname(copy), context, ret, err);
    explicit_bzero(text, n);
    if (rc)
        ea_wrap(err, "%s", path);
    return rc;
}
