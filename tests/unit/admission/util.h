/* What the tests of admission/ share: the small rule set of rules/ and reviews made from text. */
#ifndef TEST_ADMISSION_UTIL_H
#define TEST_ADMISSION_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "admission/review.h"
#include "controls/ruleset.h"
#include "doc/json.h"
#include "doc/print.h"

static inline struct ea_ruleset *load_rules(void)
{
    struct ea_ruleset_opts o = {.dir = EA_TEST_DATA "/unit/admission/rules"};
    struct ea_problems problems = {0};
    struct ea_ruleset *rs = NULL;
    struct ea_err err = {0};

    if (ea_ruleset_load(&o, &rs, &problems, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < problems.n; i++)
        if (problems.p[i].fatal)
            fail_msg("%.*s:%u: %.*s", EA_STRF(problems.p[i].file), problems.p[i].line,
                     EA_STRF(problems.p[i].text));
    return rs;
}

#define META_POD                                                                                   \
    "\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web\",\"namespace\":"         \
    "\"shop\",\"uid\":\"u-1\"}"
#define POD(spec) "{" META_POD ",\"spec\":" spec "}"
#define PRIVILEGED(name)                                                                           \
    "{\"name\":\"" name "\",\"image\":\"a:1\",\"securityContext\":{\"privileged\":true}}"
#define PLAIN(name) "{\"name\":\"" name "\",\"image\":\"a:1\"}"

#define GVR_POD                                                                                    \
    "\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"resource\":{\"group\":\"\","  \
    "\"version\":\"v1\",\"resource\":\"pods\"}"
#define GVR_DEPLOYMENT                                                                             \
    "\"kind\":{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"},"                    \
    "\"resource\":{\"group\":\"apps\",\"version\":\"v1\",\"resource\":\"deployments\"}"
#define REVIEW(gvr, op, more)                                                                      \
    "{\"apiVersion\":\"admission.k8s.io/"                                                          \
    "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"r-1\"," gvr ",\"operation\":\"" op   \
    "\",\"namespace\":\"shop\",\"userInfo\":{\"username\":\"jane\",\"groups\":[\"dev\"]}," more    \
    "}}"
#define CREATE_POD(spec) REVIEW(GVR_POD, "CREATE", "\"object\":" POD(spec))
#define UPDATE_POD(spec, old)                                                                      \
    REVIEW(GVR_POD, "UPDATE", "\"name\":\"web\",\"object\":" POD(spec) ",\"oldObject\":" POD(old))

#define assert_has(text, part)                                                                     \
    do {                                                                                           \
        const char *t_ = (text);                                                                   \
        if (!strstr(t_, (part)))                                                                   \
            fail_msg("no \"%s\" in \"%s\"", (part), t_);                                           \
    } while (0)
#define assert_has_not(text, part)                                                                 \
    do {                                                                                           \
        const char *t_ = (text);                                                                   \
        if (strstr(t_, (part)))                                                                    \
            fail_msg("\"%s\" in \"%s\"", (part), t_);                                              \
    } while (0)

#endif
