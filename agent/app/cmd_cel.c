/* app/cmd_cel.c - `cel eval`: one expression over one object, or a stream of them. */
#include <stdio.h>
#include <unistd.h>

#include "app/cmd.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/limits.h"
#include "cel/batch.h"
#include "cel/cel.h"
#include "doc/json.h"
#include "doc/print.h"
#include "doc/yaml.h"

extern const struct ea_cmd ea_cmd_cel_eval;

/* Every line of stdin is one question; answers are flushed when stdin has nothing more for now. */
static int run_batch(const struct ea_cel_env *env, struct ea_err *err)
{
    EA_AUTO_FREE char *line = NULL;
    struct ea_arena arena;
    struct ea_buf out;
    size_t size = 0;
    ssize_t n;
    int r = 0;

    ea_arena_init(&arena, EA_ARENA_REVIEW, 0);
    ea_buf_init(&out, EA_ARENA_REVIEW);
    while (r == 0 && (n = getline(&line, &size, stdin)) >= 0) {
        struct ea_str text = ea_str_trim(ea_strn(line, (size_t)n));

        if (text.n == 0)
            continue;
        if (text.n > EA_MAX_MANIFEST) {
            r = ea_fail(err, -E2BIG, "a line of %zu bytes, at most %u are possible", text.n,
                        EA_MAX_MANIFEST);
            break;
        }
        ea_arena_reset(&arena);
        ea_buf_clear(&out);
        r = ea_cel_batch_line(&arena, text, env->flavour, env->minor, &out);
        if (r == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
            r = ea_fail(err, -EIO, "writing to stdout failed");
        else if (r < 0)
            (void)ea_fail(err, r, "an answer is larger than %u bytes", EA_ARENA_REVIEW);
    }
    if (r == 0 && (ferror(stdin) || fflush(stdout)))
        r = ea_fail(err, -EIO, "reading stdin or writing stdout failed");
    ea_buf_done(&out);
    ea_arena_done(&arena);
    return r;
}

static int read_object(struct ea_arena *a, const char *path, struct ea_val *ret, struct ea_err *err)
{
    struct ea_yaml_stream s = {0};
    EA_AUTO_FREE char *text = NULL;
    struct ea_str copy;
    size_t n;
    int r = ea_read_file(path, EA_MAX_MANIFEST, &text, &n, err);

    if (r < 0)
        return r;
    copy = ea_arena_str(a, ea_strn(text, n));
    if (!copy.p)
        return ea_fail(err, -E2BIG, "%s: too large", path);
    if (ea_json_parse(a, copy, NULL, ret, NULL, NULL) == 0)
        return 0;
    r = ea_yaml_parse(a, copy, EA_YAML_KUBERNETES, &s, err);
    if (r < 0)
        return ea_wrap(err, "%s", path);
    if (s.n != 1)
        return ea_fail(err, -EINVAL, "%s: %zu documents, one is wanted", path, s.n);
    *ret = s.docs[0].root;
    return 0;
}

static int print_value(struct ea_arena *a, const struct ea_val *v, bool tagged)
{
    struct ea_buf b;
    int r;

    ea_buf_init(&b, EA_ARENA_REVIEW);
    r = tagged ? ea_cel_print_tagged(&b, v) : ea_json_print(&b, v);
    if (r == -EINVAL) {
        /* A value that JSON lacks has its text. */
        ea_buf_clear(&b);
        r = ea_buf_add_json(&b, ea_cel_to_text(a, v));
    }
    ea_buf_addc(&b, '\n');
    if (r == 0 && (b.failed || fwrite(b.p, 1, b.n, stdout) != b.n || fflush(stdout) != 0))
        r = -EIO;
    ea_buf_done(&b);
    return r;
}

static const char *kind_word(enum ea_cel_errkind k)
{
    static const char *const words[] = {"", "parse", "check", "eval", "cost", "deadline"};

    return words[k];
}

static int failed(const struct ea_cel_diag *d)
{
    if (d->line)
        (void)fprintf(stderr, "eucs-agent cel eval: %s error at line %u, column %u: %s\n",
                      kind_word(d->kind), d->line, d->column, d->text);
    else
        (void)fprintf(stderr, "eucs-agent cel eval: %s error: %s\n", kind_word(d->kind), d->text);
    return d->kind == EA_CEL_E_PARSE || d->kind == EA_CEL_E_CHECK ? 2 : 1;
}

static int eval_one(const struct ea_args *a, const struct ea_cel_env *base, struct ea_arena *arena,
                    struct ea_err *err)
{
    const char *file = ea_opt_get(a, "object");
    const struct ea_cel_var vars[] = {{EA_STR("object"), NULL}};
    struct ea_cel_env env = *base;
    const struct ea_cel_prog *p;
    struct ea_cel_diag diag = {0};
    struct ea_cel_run run;
    struct ea_val object = ea_val_null(), value;
    int r;

    env.vars = vars;
    env.n_vars = file ? 1 : 0;
    if (file && (r = read_object(arena, file, &object, err)) < 0)
        return r;
    if (ea_cel_compile(arena, ea_str(ea_opt_get(a, "expr")), &env, EA_CEL_WANT_ANY, &p, &diag) < 0)
        return failed(&diag);
    if (ea_cel_run_init(&run, arena, &env) < 0)
        return ea_fail(err, -E2BIG, "not enough memory");
    run.budget = EA_CEL_COST_CONTROL;
    if (file)
        ea_cel_run_bind(&run, 0, object);
    if (ea_cel_eval(&run, p, &value, &diag) < 0)
        return failed(&diag);
    if (print_value(arena, &value, strcmp(ea_opt_get(a, "format"), "tagged") == 0) < 0)
        return ea_fail(err, -EIO, "the value cannot be printed");
    if (ea_opt_has(a, "cost"))
        (void)fprintf(stderr, "cost: %llu\n", (unsigned long long)run.cost);
    return 0;
}

static int run_eval(const struct ea_args *a)
{
    struct ea_cel_env env;
    struct ea_arena arena;
    struct ea_err err = {0};
    int r;

    memset(&env, 0, sizeof(env));
    if (ea_cel_env_parse(ea_str(ea_opt_get(a, "env")), &env.flavour, &env.minor) < 0)
        return ea_usage_error(&ea_cmd_cel_eval,
                              "--env %s is not cel or kubernetes[:1.NN] with 1.NN up to 1.%u",
                              ea_opt_get(a, "env"), EA_CEL_NEWEST_MINOR);
    if (ea_opt_has(a, "batch")) {
        r = run_batch(&env, &err);
    } else if (!ea_opt_get(a, "expr")) {
        return ea_usage_error(&ea_cmd_cel_eval, "--expr EXPRESSION or --batch is needed");
    } else {
        ea_arena_init(&arena, EA_ARENA_REVIEW, 0);
        r = eval_one(a, &env, &arena, &err);
        ea_arena_done(&arena);
    }
    if (r < 0)
        (void)fprintf(stderr, "eucs-agent cel eval: %s\n", ea_err_text(&err));
    return r < 0 ? 2 : r;
}

static const struct ea_opt options[] = {
    {.name = "expr",
     .letter = 'e',
     .kind = EA_OPT_VALUE,
     .arg = "EXPRESSION",
     .help = "the expression"},
    {.name = "object",
     .kind = EA_OPT_VALUE,
     .arg = "FILE",
     .help = "YAML or JSON document, seen as `object`; - is stdin"},
    {.name = "env",
     .kind = EA_OPT_VALUE,
     .arg = "ENV",
     .dflt = "cel",
     .help = "cel (as the conformance files) or kubernetes[:1.NN] (as ValidatingAdmissionPolicy)"},
    {.name = "format",
     .letter = 'o',
     .kind = EA_OPT_VALUE,
     .arg = "FORMAT",
     .dflt = "json",
     .choices = "json|tagged",
     .help = "how to print the value"},
    {.name = "cost", .kind = EA_OPT_FLAG, .help = "print the cost on stderr"},
    {.name = "batch",
     .kind = EA_OPT_FLAG,
     .help = "read JSON lines {id, expr, bindings} from stdin, write one result a line"},
    {.name = NULL},
};

const struct ea_cmd ea_cmd_cel_eval = {
    .name = "cel eval",
    .summary = "evaluate CEL, one expression or a stream",
    .text = "Exit status: 0 a value, 1 an evaluation error, 2 an expression that does not compile "
            "or unreadable input.\n\n"
            "Examples:\n"
            "  eucs-agent cel eval --expr '[1, 2, 3].map(x, x * 2)'\n"
            "  eucs-agent cel eval --expr 'object.spec.containers.all(c, has(c.image))' --object "
            "pod.yaml --env kubernetes",
    .options = options,
    .run = run_eval,
};
