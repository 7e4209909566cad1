/* cJSON as the oracle of our JSON parser: what we accept, cJSON accepts with the same values; what
 * only cJSON accepts, we refuse for a reason on the list of known differences. Shared by the unit
 * tests and the fuzz target. */
#ifndef EA_TESTS_DOC_ORACLE_H
#define EA_TESTS_DOC_ORACLE_H

#include <cjson/cJSON.h>

#include "doc/json.h"

/* cJSON keeps C strings, so a text ends at its first NUL there. */
static inline bool oracle_same_text(struct ea_str s, const char *z)
{
    size_t n = strlen(z);

    return n <= s.n && memcmp(s.p, z, n) == 0 && (n == s.n || s.p[n] == '\0');
}

static inline bool oracle_same(const struct ea_val *v, const cJSON *j)
{
    const cJSON *c = j->child;
    uint32_t i;

    v = ea_val_force(v);
    switch (v->type) {
    case EA_V_NULL:
        return cJSON_IsNull(j);
    case EA_V_BOOL:
        return v->b ? cJSON_IsTrue(j) : cJSON_IsFalse(j);
    case EA_V_INT:
        return cJSON_IsNumber(j) && (double)v->i == j->valuedouble;
    case EA_V_DOUBLE:
        return cJSON_IsNumber(j) && v->d == j->valuedouble;
    case EA_V_STRING:
        return cJSON_IsString(j) && oracle_same_text(ea_val_text(v), j->valuestring);
    case EA_V_LIST:
        for (i = 0; i < v->n && c && oracle_same(&v->items[i], c); i++)
            c = c->next;
        return cJSON_IsArray(j) && i == v->n && c == NULL;
    case EA_V_MAP:
        for (i = 0; i < v->n && c && oracle_same_text(ea_val_text(&v->members[i].key), c->string) &&
                    oracle_same(&v->members[i].val, c);
             i++)
            c = c->next;
        return cJSON_IsObject(j) && i == v->n && c == NULL;
    default:
        return false;
    }
}

/* Text that cJSON takes and we do not, on purpose. */
static inline bool oracle_known_difference(const char *message)
{
    static const char *const reasons[] = {
        "repeats",                        /* cJSON keeps both members */
        "UTF-8",                          /* not checked by cJSON */
        "surrogate",                      /* a high one before another escape */
        "control character",              /* raw in a string */
        "byte order mark",                /* skipped by cJSON */
        "a number wants a digit",         /* "1.", "1e", "-" go through strtod */
        "a number does not start with 0", /* "01" */
        "too large for a double",         /* 1e999 is infinity */
        "nested too deeply",              /* 128 here, 1000 there */
        "expected", /* bytes below the space are white space there, also \f and \0 */
        "more text after the value", /* the same */
        "hexadecimal",               /* \u wants digits; cJSON reads 0 for what is none */
        "ends too early",            /* white space of cJSON's kind at the end */
        "there is no value",
    };
    size_t i;

    for (i = 0; i < EA_COUNT(reasons); i++) {
        if (strstr(message, reasons[i]))
            return true;
    }
    return false;
}

#endif
