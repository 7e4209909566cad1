/* controls/names.c - the closed word lists of the room. */
#include "controls/judge.h"

const char *const ea_level_names[EA_LEVEL_COUNT] = {"basic", "substantial", "high"};
const char *const ea_severity_names[EA_SEVERITY_COUNT] = {"info", "low", "medium", "high",
                                                          "critical"};
const char *const ea_action_names[EA_ACTION_COUNT] = {"audit", "warn", "deny"};
const char *const ea_fit_names[EA_FIT_COUNT] = {"direct", "supporting", "weak"};
const char *const ea_perspective_names[EA_PERSPECTIVE_COUNT] = {"workload", "platform", "both"};
const char *const ea_result_names[EA_RESULT_COUNT] = {"pass", "fail", "skip", "unknown"};
const char *const ea_reason_names[EA_REASON_COUNT] = {NULL,
                                                      "evaluation-error",
                                                      "cost-limit",
                                                      "deadline",
                                                      "missing-context",
                                                      "not-observable",
                                                      "not-configured",
                                                      "no-request",
                                                      "compile-error"};

static int find_word(struct ea_str s, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (ea_str_is(s, words[i]))
            return i;
    return -1;
}

int ea_level_parse(struct ea_str s)
{
    return find_word(s, ea_level_names, EA_LEVEL_COUNT);
}

int ea_severity_parse(struct ea_str s)
{
    return find_word(s, ea_severity_names, EA_SEVERITY_COUNT);
}

int ea_action_parse(struct ea_str s)
{
    return find_word(s, ea_action_names, EA_ACTION_COUNT);
}

unsigned ea_op_parse(struct ea_str s)
{
    static const char *const words[] = {"CREATE", "UPDATE", "DELETE", "CONNECT"};
    int i = find_word(s, words, (int)EA_COUNT(words));

    return i < 0 ? 0 : 1u << i;
}

const char *ea_op_name(unsigned op)
{
    switch (op) {
    case EA_OP_CREATE:
        return "CREATE";
    case EA_OP_UPDATE:
        return "UPDATE";
    case EA_OP_DELETE:
        return "DELETE";
    case EA_OP_CONNECT:
        return "CONNECT";
    default:
        return "";
    }
}
