/* Scalars of our own files: the core schema of YAML 1.2, less what two readers could take for two
 * things. */
#include "doc/num.h"
#include "doc/yaml_internal.h"

static bool is_any(struct ea_str s, const char *const *words)
{
    for (; *words; words++) {
        if (ea_str_is(s, *words))
            return true;
    }
    return false;
}

static bool all_digits(struct ea_str s, const char *digits)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr(digits, s.p[i]) == NULL)
            return false;
    }
    return s.n > 0;
}

/* 0o17 and 0xff; *ret_rc is 0 or -ERANGE. */
static bool based_int(struct ea_str s, struct ea_val *ret, int *ret_rc)
{
    bool hex = s.n > 2 && s.p[0] == '0' && s.p[1] == 'x',
         octal = s.n > 2 && s.p[0] == '0' && s.p[1] == 'o';
    struct ea_str digits = hex || octal ? ea_strn(s.p + 2, s.n - 2) : EA_STR_NULL;
    uint64_t v = 0;
    size_t i;

    if (!all_digits(digits, hex ? "0123456789abcdefABCDEF" : "01234567"))
        return false;
    *ret_rc = 0;
    for (i = 0; i < digits.n; i++) {
        int c = (unsigned char)digits.p[i];

        if (v >> (hex ? 59 : 60))
            *ret_rc = -ERANGE;
        v = v * (hex ? 16 : 8) + (uint64_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    *ret = ea_val_int((int64_t)v);
    return true;
}

static int number(struct ea_ybuild *b, const struct ea_ynode *n, struct ea_val *ret)
{
    static const char *const not_finite[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                             "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                             ".NaN",  ".NAN",  NULL};
    struct ea_str s = n->text, digits = s;
    int64_t i;
    double d;
    int rc;

    if (is_any(s, not_finite))
        return ea_yaml_fail(b, -EINVAL, n, "infinity and NaN are not allowed");
    if (based_int(s, ret, &rc))
        return rc ? ea_yaml_fail(b, -EINVAL, n, "the number is too large") : 0;
    rc = ea_num_parse(s, &d);
    if (rc == -EINVAL)
        return 0;
    if (rc)
        return ea_yaml_fail(b, -EINVAL, n, "the number is too large");
    if (s.p[0] == '-' || s.p[0] == '+')
        digits = ea_strn(s.p + 1, s.n - 1);
    if (digits.n > 1 && digits.p[0] == '0' && all_digits(digits, "0123456789"))
        return ea_yaml_fail(
            b, -EINVAL, n,
            "%.*s is octal to some readers and decimal to others: write 0o…, or quote it",
            EA_STRF(s));
    *ret = ea_val_double(d);
    if (all_digits(digits, "0123456789") && ea_str_to_i64(s.p[0] == '+' ? digits : s, &i) == 0)
        *ret = ea_val_int(i);
    return 0;
}

int ea_yaml_resolve_strict(struct ea_ybuild *b, const struct ea_ynode *n, struct ea_yscalar *ret)
{
    static const char *const null_words[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const true_words[] = {"true", "True", "TRUE", NULL};
    static const char *const false_words[] = {"false", "False", "FALSE", NULL};
    static const char *const unclear[] = {"y",  "Y",  "yes", "Yes", "YES", "n",   "N",   "no", "No",
                                          "NO", "on", "On",  "ON",  "off", "Off", "OFF", NULL};
    struct ea_str s = n->text;

    *ret = (struct ea_yscalar){.v = ea_val_str(s)};
    if (!n->implicit)
        return 0;
    if (is_any(s, null_words))
        ret->v = ea_val_null();
    else if (is_any(s, true_words) || is_any(s, false_words))
        ret->v = ea_val_bool(is_any(s, true_words));
    else if (is_any(s, unclear))
        return ea_yaml_fail(
            b, -EINVAL, n,
            "%.*s is true or false to some readers: write true or false, or quote it", EA_STRF(s));
    else if (strchr("+-.0123456789", s.p[0]))
        return number(b, n, &ret->v);
    return 0;
}
