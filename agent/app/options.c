#include "app/options.h"

#include <stdio.h>
#include <unistd.h>

struct given {
    const struct ea_opt *opt;
    char **values; /* NULL-terminated */
    size_t n;
};

struct ea_args {
    const struct ea_cmd *cmd;
    struct given *given;
    size_t n_given;
    const char **words;
    size_t n_words;
};

static const struct ea_opt help_option = {"help", 'h',  EA_OPT_FLAG,     NULL,
                                          NULL,   NULL, "show this help"};

static const struct ea_opt *option_of(const struct ea_cmd *c, struct ea_str name, char letter)
{
    for (const struct ea_opt *o = c->options; o && o->name; o++) {
        if (name.n ? ea_str_is(name, o->name) : o->letter == letter)
            return o;
    }
    if (name.n ? ea_str_is(name, "help") : letter == 'h')
        return &help_option;
    return NULL;
}

static struct given *given_of(const struct ea_args *a, const char *name)
{
    for (size_t i = 0; i < a->n_given; i++) {
        if (strcmp(a->given[i].opt->name, name) == 0)
            return &a->given[i];
    }
    return NULL;
}

static int take(struct ea_args *a, const struct ea_opt *o, struct ea_str value, struct ea_err *err)
{
    struct given *g = given_of(a, o->name);

    if (o->choices && !ea_str_is_one_of(value, o->choices))
        return ea_fail(err, -EINVAL, "--%s takes %s, not '%.*s'", o->name, o->choices,
                       EA_STRF(value));
    if (g && o->kind != EA_OPT_LIST)
        return ea_fail(err, -EINVAL, "--%s is given twice", o->name);
    if (!g) {
        a->given = ea_xrealloc(a->given, (a->n_given + 1) * sizeof(*a->given));
        g = &a->given[a->n_given++];
        *g = (struct given){.opt = o};
    }
    g->values = ea_xrealloc(g->values, (g->n + 2) * sizeof(*g->values));
    g->values[g->n++] = ea_str_dupz(value);
    g->values[g->n] = NULL;
    return 0;
}

static int take_all(struct ea_args *a, const struct ea_opt *o, struct ea_str value,
                    struct ea_err *err)
{
    if (o->kind != EA_OPT_LIST)
        return take(a, o, value, err);
    struct ea_str rest = value;
    int r = 0;

    while (!r && rest.p) {
        struct ea_str one = ea_str_cut(rest, ',', &rest);

        if (one.n == 0)
            return ea_fail(err, -EINVAL, "--%s has an empty value", o->name);
        r = take(a, o, one, err);
    }
    return r;
}

/* Takes argv[*i], an option; may use the next word as its value. */
static int parse_option(struct ea_args *a, int argc, char **argv, int *i, struct ea_err *err)
{
    struct ea_str arg = ea_str(argv[*i]), value = EA_STR_NULL;
    const struct ea_opt *o;

    if (arg.p[1] == '-') {
        struct ea_str name = ea_str_cut(ea_strn(arg.p + 2, arg.n - 2), '=', &value);

        o = option_of(a->cmd, name, 0);
    } else {
        o = option_of(a->cmd, EA_STR_NULL, arg.p[1]);
        if (arg.n > 2)
            value = ea_strn(arg.p + 2, arg.n - 2);
    }
    if (!o)
        return ea_fail(err, -EINVAL, "unknown option '%.*s'", EA_STRF(arg));
    if (o->kind == EA_OPT_FLAG) {
        if (value.p)
            return ea_fail(err, -EINVAL, "--%s takes no value", o->name);
        return take(a, o, EA_STR("true"), err);
    }
    if (!value.p) {
        if (*i + 1 >= argc)
            return ea_fail(err, -EINVAL, "--%s needs a value (%s)", o->name,
                           o->arg ? o->arg : "VALUE");
        value = ea_str(argv[++*i]);
    }
    return take_all(a, o, value, err);
}

int ea_args_parse(const struct ea_cmd *c, int argc, char **argv, struct ea_args **ret,
                  struct ea_err *err)
{
    struct ea_args *a = ea_xalloc(sizeof(*a));
    bool only_words = false;
    int r = 0;

    a->cmd = c;
    a->words = ea_xalloc(((size_t)argc + 1) * sizeof(*a->words));
    for (int i = 0; i < argc && !r; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (!only_words && argv[i][0] == '-' && argv[i][1])
            r = parse_option(a, argc, argv, &i, err);
        else
            a->words[a->n_words++] = argv[i];
    }
    if (!r && !ea_opt_has(a, "help") && (a->n_words < c->min_words || a->n_words > c->max_words))
        r = ea_fail(err, -EINVAL,
                    a->n_words < c->min_words ? "something is missing: %s" : "too many words: %s",
                    c->usage ? c->usage : "");
    if (r) {
        ea_args_free(a);
        return r;
    }
    *ret = a;
    return 0;
}

void ea_args_free(struct ea_args *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_given; i++) {
        for (size_t j = 0; j < a->given[i].n; j++)
            free(a->given[i].values[j]);
        free(a->given[i].values);
    }
    free(a->given);
    free(a->words);
    free(a);
}

const char *ea_opt_get(const struct ea_args *a, const char *name)
{
    const struct given *g = given_of(a, name);

    if (g)
        return g->values[0];
    const struct ea_opt *o = option_of(a->cmd, ea_str(name), 0);

    EA_ASSERT(o != NULL);
    return o->dflt;
}

bool ea_opt_has(const struct ea_args *a, const char *name)
{
    return given_of(a, name) != NULL;
}

const char *const *ea_opt_list(const struct ea_args *a, const char *name, size_t *ret_n)
{
    static const char *const none[] = {NULL};
    const struct given *g = given_of(a, name);

    if (ret_n)
        *ret_n = g ? g->n : 0;
    return g ? (const char *const *)g->values : none;
}

const char *const *ea_args_words(const struct ea_args *a, size_t *ret_n)
{
    if (ret_n)
        *ret_n = a->n_words;
    return a->words;
}

int ea_usage_error(const struct ea_cmd *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fprintf(stderr, "eucs-agent %s: %s\nTry 'eucs-agent help %s'.\n", c->name, text, c->name);
    return 2;
}

int ea_print_out(struct ea_buf *b, const char *command)
{
    bool bad =
        b->failed || fwrite(b->p ? b->p : "", 1, b->n, stdout) != b->n || fflush(stdout) != 0;

    ea_buf_done(b);
    if (bad)
        (void)fprintf(stderr, "eucs-agent %s: writing to stdout failed\n", command);
    return bad ? 2 : 0;
}

bool ea_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no && *no);
}

static void help_option_line(struct ea_buf *b, const struct ea_opt *o)
{
    char head[64];
    int n;

    if (o->letter)
        n = snprintf(head, sizeof(head), "  -%c, --%s", o->letter, o->name);
    else
        n = snprintf(head, sizeof(head), "      --%s", o->name);
    if (o->kind != EA_OPT_FLAG && n > 0 && (size_t)n < sizeof(head))
        (void)snprintf(head + n, sizeof(head) - (size_t)n, " %s", o->arg ? o->arg : "VALUE");
    ea_buf_addf(b, strlen(head) < 28 ? "%-28s %s" : "%s\n                             %s", head,
                o->help);
    if (o->choices)
        ea_buf_addf(b, " (%s)", o->choices);
    if (o->dflt)
        ea_buf_addf(b, " [%s]", o->dflt);
    ea_buf_addc(b, '\n');
}

void ea_cmd_help(struct ea_buf *b, const struct ea_cmd *c)
{
    bool any = c->options && c->options->name;

    ea_buf_addf(b, "eucs-agent %s - %s\n\nUsage: eucs-agent %s%s%s%s\n", c->name, c->summary,
                c->name, any ? " [options]" : "", c->usage ? " " : "", c->usage ? c->usage : "");
    ea_buf_addz(b, "\nOptions:\n");
    for (const struct ea_opt *o = c->options; o && o->name; o++)
        help_option_line(b, o);
    help_option_line(b, &help_option);
    if (c->text)
        ea_buf_addf(b, "\n%s\n", c->text);
}

void ea_completion_render(struct ea_buf *b, const struct ea_cmd *const *cmds)
{
    ea_buf_addz(
        b,
        "# bash completion for eucs-agent: source <(eucs-agent completion)\n_eucs_agent() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} cmd=${COMP_WORDS[1]} sub=${COMP_WORDS[2]} words=\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words=\"help");
    struct ea_str last = EA_STR_NULL;

    for (size_t i = 0; cmds[i]; i++) {
        struct ea_str rest, head = ea_str_cut(ea_str(cmds[i]->name), ' ', &rest);

        if (!ea_str_eq(head, last))
            ea_buf_addf(b, " %.*s", EA_STRF(head));
        last = head;
    }
    ea_buf_addz(b, "\"\n    else\n        case \"$cmd $sub\" in\n");
    for (size_t i = 0; cmds[i]; i++) {
        bool sub = strchr(cmds[i]->name, ' ') != NULL;

        ea_buf_addf(b, "        %s\"%s\"%s) words=\"--help", "", cmds[i]->name, sub ? "" : "*");
        for (const struct ea_opt *o = cmds[i]->options; o && o->name; o++)
            ea_buf_addf(b, " --%s", o->name);
        ea_buf_addz(b, "\" ;;\n");
    }
    for (size_t i = 0; cmds[i]; i++) {
        struct ea_str rest, head = ea_str_cut(ea_str(cmds[i]->name), ' ', &rest);

        if (rest.p && (i == 0 || !ea_str_starts(ea_str(cmds[i - 1]->name), head))) {
            ea_buf_addf(b, "        \"%.*s \"*) words=\"", EA_STRF(head));
            for (size_t j = i; cmds[j] && ea_str_starts(ea_str(cmds[j]->name), head); j++)
                ea_buf_addf(b, "%s%s", j == i ? "" : " ", cmds[j]->name + head.n + 1);
            ea_buf_addz(b, "\" ;;\n");
        }
    }
    ea_buf_addz(b, "        esac\n    fi\n    mapfile -t COMPREPLY < <(compgen -W \"$words\" -f -- "
                   "\"$cur\")\n}\ncomplete -F _eucs_agent eucs-agent\n");
}

static void man_text(struct ea_buf *b, const char *text)
{
    bool bol = true;

    for (const char *p = text; *p; p++) {
        if (bol && (*p == '.' || *p == '\''))
            ea_buf_addz(b, "\\&");
        if (*p == '\\')
            ea_buf_addz(b, "\\e");
        else if (*p == '-')
            ea_buf_addz(b, "\\-");
        else
            ea_buf_addc(b, *p);
        bol = *p == '\n';
    }
}

void ea_man_render(struct ea_buf *b, const struct ea_cmd *const *cmds)
{
    ea_buf_addz(b, ".TH EUCS-AGENT 1\n.SH NAME\neucs\\-agent \\- continuous EUCS evidence and "
                   "admission control for Kubernetes\n"
                   ".SH SYNOPSIS\n.B eucs\\-agent\n.I COMMAND\n[options]\n.SH COMMANDS\n");
    for (size_t i = 0; cmds[i]; i++) {
        ea_buf_addf(b, ".SS %s %s\n", cmds[i]->name, cmds[i]->usage ? cmds[i]->usage : "");
        man_text(b, cmds[i]->summary);
        ea_buf_addz(b, "\n");
        for (const struct ea_opt *o = cmds[i]->options; o && o->name; o++) {
            ea_buf_addf(b, ".TP\n.B \\-\\-%s\n", o->name);
            man_text(b, o->help);
            ea_buf_addz(b, "\n");
        }
    }
    ea_buf_addz(
        b, ".SH EXIT STATUS\n0 clean, 1 findings or a broken log, 2 usage or unreadable input.\n");
}
