#include "posture/posture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct ea_ruleset rs;
    struct ea_requirement req[4];
    struct ea_control c[3];
    struct ea_str r0[2], r1[1], r2[1];
    struct ea_arena a;
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){.rs = {0}};
    f->req[0] = (struct ea_requirement){EA_STR("CS-01.1B"), EA_STR("CS-01"), EA_STR("CS"),
                                        EA_STR("x"),        EA_BASIC,        false};
    f->req[1] = (struct ea_requirement){EA_STR("OPS-21.1B"), EA_STR("OPS-21"), EA_STR("OPS"),
                                        EA_STR("x"),         EA_BASIC,         false};
    f->req[2] = (struct ea_requirement){EA_STR("OPS-21.3H"), EA_STR("OPS-21"), EA_STR("OPS"),
                                        EA_STR("x"),         EA_HIGH,          true};
    f->req[3] = (struct ea_requirement){EA_STR("PSS-04.1B"), EA_STR("PSS-04"), EA_STR("PSS"),
                                        EA_STR("x"),         EA_BASIC,         false};
    f->r0[0] = EA_STR("OPS-21.1B");
    f->r0[1] = EA_STR("OPS-21.3H");
    f->r1[0] = EA_STR("OPS-21.1B");
    f->r2[0] = EA_STR("PSS-04.1B");
    f->c[0] = (struct ea_control){
        .id = EA_STR("a"), .fit = EA_FIT_DIRECT, .requirements = f->r0, .n_requirements = 2};
    f->c[1] = (struct ea_control){
        .id = EA_STR("b"), .fit = EA_FIT_WEAK, .requirements = f->r1, .n_requirements = 1};
    f->c[2] = (struct ea_control){
        .id = EA_STR("c"), .fit = EA_FIT_DIRECT, .requirements = f->r2, .n_requirements = 1};
    f->rs.catalogue.requirements = f->req;
    f->rs.catalogue.n_requirements = 4;
    f->rs.controls = f->c;
    f->rs.n_controls = 3;
    ea_arena_init(&f->a, 1u << 20, 0);
}

static const struct ea_posture_item *item(const struct ea_posture_item *items, unsigned n,
                                          const char *id)
{
    for (unsigned i = 0; i < n; i++) {
        if (ea_str_is(items[i].id, id))
            return &items[i];
    }
    return NULL;
}

static void test_roll_up(void **state)
{
    struct fixture f;
    struct ea_posture p;
    const struct ea_check_counts counts[3] = {{.pass = 3}, {.pass = 1}, {.pass = 2, .fail = 1}};

    setup(&f);
    assert_int_equal(ea_posture_make(&f.rs, counts, EA_SUBSTANTIAL, &f.a, &p), 0);
    assert_int_equal(p.n_requirements, 3); /* the High one is above the level */
    assert_int_equal(item(p.requirements, p.n_requirements, "OPS-21.1B")->state,
                     EA_STATE_CONFORMING);
    assert_int_equal(item(p.requirements, p.n_requirements, "OPS-21.1B")->checks, 2);
    assert_int_equal(item(p.requirements, p.n_requirements, "CS-01.1B")->state, EA_STATE_NONE);
    assert_int_equal(item(p.controls, p.n_controls, "PSS-04")->state, EA_STATE_DEVIATING);
    assert_int_equal(item(p.categories, p.n_categories, "OPS")->state, EA_STATE_CONFORMING);
    assert_int_equal(p.whole.state, EA_STATE_DEVIATING);
    struct ea_buf b;

    ea_buf_init(&b, 1u << 16);
    assert_int_equal(ea_posture_render(&b, &p), 0);
    char *text = ea_buf_take(&b);

    assert_non_null(strstr(text, "{\"id\":\"PSS-04.1B\",\"state\":\"deviating\",\"checks\":1,"
                                 "\"objects\":{\"pass\":2,\"fail\":1,"));
    free(text);
    ea_arena_done(&f.a);
}

static void test_unknown_and_weak(void **state)
{
    struct fixture f;
    struct ea_posture p;
    const struct ea_check_counts weak_alone[3] = {{0}, {.pass = 1}, {0}};
    const struct ea_check_counts unknown[3] = {{.pass = 5, .unknown = 1}, {.pass = 1}, {0}};
    const struct ea_check_counts exempted[3] = {{.exempted = 1}, {0}, {0}};

    setup(&f);
    assert_int_equal(ea_posture_make(&f.rs, weak_alone, EA_HIGH, &f.a, &p), 0);
    assert_int_equal(item(p.requirements, p.n_requirements, "OPS-21.1B")->state, EA_STATE_UNKNOWN);
    assert_int_equal(ea_posture_make(&f.rs, unknown, EA_HIGH, &f.a, &p), 0);
    assert_int_equal(item(p.requirements, p.n_requirements, "OPS-21.1B")->state, EA_STATE_UNKNOWN);
    assert_int_equal(ea_posture_make(&f.rs, exempted, EA_HIGH, &f.a, &p), 0);
    assert_int_equal(item(p.requirements, p.n_requirements, "OPS-21.1B")->state,
                     EA_STATE_CONFORMING);
    assert_int_equal(item(p.requirements, p.n_requirements, "OPS-21.3H")->state,
                     EA_STATE_CONFORMING);
    ea_arena_done(&f.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_roll_up),
                                       cmocka_unit_test(test_unknown_and_weak)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
