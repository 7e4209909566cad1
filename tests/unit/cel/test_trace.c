/* Where a false verdict points to: paths, elements, values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/cel/cel_test.h"

static const char deployment[] =
    "{'metadata':{'labels':{'a.b/"
    "c':'x','plain':'y'}},'spec':{'hostPID':true,'replicas':1,'template':{'spec':{"
    "'containers':["
    "{'name':'app','image':'r/x:latest','securityContext':{'runAsNonRoot':true},"
    "'ports':[{'containerPort':1},{'containerPort':2},{'containerPort':3,'hostPort':99}]},"
    "{'name':'b'}],"
    "'initContainers':[{'name':'init-0'},{'name':'init-1','securityContext':{'privileged':true}}]}}"
    "}}";

static struct ea_cel_why why[16];

/* Number of reasons of a false verdict over the deployment. */
static size_t explain(const char *expr)
{
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;
    size_t n = 0;

    cel_run(&run, deployment);
    assert_int_equal(cel_eval(&run, expr, &v, &d), 0);
    assert_int_equal(v.type, EA_V_BOOL);
    assert_false(v.b);
    assert_int_equal(ea_cel_why(&run, cel_last, why, EA_COUNT(why), &n, &d), 0);
    return n;
}

static void is(size_t i, const char *path, const char *key_path, const char *element, bool has)
{
    assert_string_equal(cel_z(why[i].path), path);
    assert_string_equal(cel_z(why[i].key_path), key_path);
    assert_string_equal(cel_z(why[i].element), element);
    assert_int_equal(why[i].has_value, has);
    assert_int_equal(why[i].root, 0);
}

static void test_concatenated_lists(void **state)
{
    assert_int_equal(
        explain("variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"), 1);
    is(0, "spec.template.spec.initContainers[1].securityContext.privileged",
       "spec.template.spec.initContainers[name=\"init-1\"].securityContext.privileged", "init-1",
       true);
    assert_int_equal(why[0].value.type, EA_V_BOOL);
    assert_true(why[0].value.b);
}

static void test_all_failing_elements_and_missing_fields(void **state)
{
    assert_int_equal(
        explain("variables.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(false))"), 3);
    is(0, "spec.template.spec.containers[1].securityContext.runAsNonRoot",
       "spec.template.spec.containers[name=\"b\"].securityContext.runAsNonRoot", "b", false);
    is(1, "spec.template.spec.initContainers[0].securityContext.runAsNonRoot",
       "spec.template.spec.initContainers[name=\"init-0\"].securityContext.runAsNonRoot", "init-0",
       false);
    is(2, "spec.template.spec.initContainers[1].securityContext.runAsNonRoot",
       "spec.template.spec.initContainers[name=\"init-1\"].securityContext.runAsNonRoot", "init-1",
       false);
}

static void test_nested_loops_name_the_inner_element(void **state)
{
    assert_int_equal(explain("variables.containers.all(c, c.?ports.orValue([]).all(p, "
                             "p.?hostPort.orValue(0) == 0))"),
                     1);
    is(0, "spec.template.spec.containers[0].ports[2].hostPort",
       "spec.template.spec.containers[name=\"app\"].ports[{\"containerPort\":3,\"hostPort\":99}]."
       "hostPort",
       "", true);
    assert_int_equal(why[0].value.i, 99);
}

static void test_plain_selections(void **state)
{
    assert_int_equal(explain("!object.spec.?hostPID.orValue(false)"), 1);
    is(0, "spec.hostPID", "spec.hostPID", "", true);
    assert_int_equal(explain("has(object.spec.paused)"), 1);
    is(0, "spec.paused", "spec.paused", "", false);
    assert_int_equal(explain("object.metadata.labels['a.b/c'] == 'z'"), 1);
    is(0, "metadata.labels['a.b/c']", "metadata.labels['a.b/c']", "", true);
    assert_int_equal(explain("object.spec.replicas > 2 ? true : false"), 1);
    is(0, "spec.replicas", "spec.replicas", "", true);
    assert_int_equal(explain("!(object.spec.replicas in [1, 2])"), 1);
    is(0, "spec.replicas", "spec.replicas", "", true);
}

static void test_every_conjunct_is_looked_at(void **state)
{
    assert_int_equal(explain("!object.spec.?hostPID.orValue(false) && object.spec.replicas == 3"),
                     2);
    is(0, "spec.hostPID", "spec.hostPID", "", true);
    is(1, "spec.replicas", "spec.replicas", "", true);
    /* a guard that fails says less than the field behind it */
    assert_int_equal(
        explain(
            "has(object.spec.strategy) && object.spec.?strategy.?type.orValue('') == 'Recreate'"),
        1);
    is(0, "spec.strategy.type", "spec.strategy.type", "", false);
    /* an error behind a failed guard is no reason */
    assert_int_equal(
        explain("has(object.spec.strategy) && object.spec.strategy.type == 'Recreate'"), 1);
    is(0, "spec.strategy", "spec.strategy", "", false);
}

static void test_exists_that_should_not(void **state)
{
    assert_int_equal(explain("!variables.containers.exists(c, has(c.securityContext) && "
                             "has(c.securityContext.privileged)"
                             " && c.securityContext.privileged == true)"),
                     1);
    is(0, "spec.template.spec.initContainers[1].securityContext.privileged",
       "spec.template.spec.initContainers[name=\"init-1\"].securityContext.privileged", "init-1",
       true);
    assert_int_equal(explain("variables.containers.exists(c, c.name == 'sidecar')"), 1);
    is(0, "spec.template.spec.containers", "spec.template.spec.containers", "", true);
}

static void test_filter_and_size(void **state)
{
    assert_int_equal(explain("variables.containers.filter(c, !has(c.image)).size() == 0"), 3);
    is(0, "spec.template.spec.containers[1]", "spec.template.spec.containers[name=\"b\"]", "b",
       true);
    is(2, "spec.template.spec.initContainers[1]",
       "spec.template.spec.initContainers[name=\"init-1\"]", "init-1", true);
    assert_int_equal(explain("size(variables.containers.filter(c, !has(c.image))) < 2"), 3);
}

static void test_map_keys_as_elements(void **state)
{
    assert_int_equal(explain("object.metadata.labels.all(k, !k.contains('/'))"), 1);
    is(0, "metadata.labels['a.b/c']", "metadata.labels['a.b/c']", "a.b/c", true);
}

static void test_mapped_lists_keep_their_place(void **state)
{
    assert_int_equal(
        explain("variables.containers.map(c, c.name).all(n, n.startsWith('i') || n == 'app')"), 1);
    is(0, "spec.template.spec.containers[1].name", "spec.template.spec.containers[name=\"b\"].name",
       "b", true);
}

static void test_either_place_may_satisfy(void **state)
{
    assert_int_equal(explain("object.spec.template.spec.?hostUsers.orValue(true) == false ||"
                             " variables.containers.all(c, has(c.image))"),
                     3);
    is(0, "spec.template.spec.containers[1].image",
       "spec.template.spec.containers[name=\"b\"].image", "b", false);
}

/* What lies in the element wins over what stands elsewhere, also when that is a set of reasons. */
static void test_the_element_wins(void **state)
{
    assert_int_equal(explain("variables.containers.all(c, (object.spec.hostPID == false && "
                             "object.spec.replicas == 2) || "
                             "!c.?securityContext.?privileged.orValue(false))"),
                     1);
    is(0, "spec.template.spec.initContainers[1].securityContext.privileged",
       "spec.template.spec.initContainers[name=\"init-1\"].securityContext.privileged", "init-1",
       true);
    assert_int_equal(explain("variables.containers.all(c, ['r/x:latest'].all(p, "
                             "c.?image.orValue('') != p))"),
                     1);
    is(0, "spec.template.spec.containers[0].image",
       "spec.template.spec.containers[name=\"app\"].image", "app", true);
}

static void test_true_and_errors_have_no_reasons(void **state)
{
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;
    size_t n = 7;

    cel_run(&run, deployment);
    assert_int_equal(cel_eval(&run, "object.spec.hostPID == true", &v, &d), 0);
    assert_int_equal(ea_cel_why(&run, cel_last, why, EA_COUNT(why), &n, &d), 0);
    assert_int_equal(n, 0);
    cel_run(&run, deployment);
    assert_int_equal(cel_eval(&run, "object.spec.nothing == true", &v, &d), -EINVAL);
    assert_int_equal(ea_cel_why(&run, cel_last, why, EA_COUNT(why), &n, &d), -EINVAL);
    assert_int_equal(n, 0);
}

static void test_more_reasons_than_room_are_counted(void **state)
{
    struct ea_cel_why one[1];
    struct ea_cel_run run;
    struct ea_cel_diag d;
    struct ea_val v;
    size_t n = 0;
    uint64_t cost;

    cel_run(&run, deployment);
    assert_int_equal(cel_eval(&run, "variables.containers.all(c, has(c.nothing))", &v, &d), 0);
    cost = run.cost;
    assert_int_equal(ea_cel_why(&run, cel_last, one, 1, &n, &d), 0);
    assert_int_equal(n, 4);
    assert_int_equal(run.cost, cost);
    assert_string_equal(cel_z(one[0].path), "spec.template.spec.containers[0].nothing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_concatenated_lists),
        cmocka_unit_test(test_all_failing_elements_and_missing_fields),
        cmocka_unit_test(test_nested_loops_name_the_inner_element),
        cmocka_unit_test(test_plain_selections),
        cmocka_unit_test(test_every_conjunct_is_looked_at),
        cmocka_unit_test(test_exists_that_should_not),
        cmocka_unit_test(test_filter_and_size),
        cmocka_unit_test(test_map_keys_as_elements),
        cmocka_unit_test(test_mapped_lists_keep_their_place),
        cmocka_unit_test(test_either_place_may_satisfy),
        cmocka_unit_test(test_the_element_wins),
        cmocka_unit_test(test_true_and_errors_have_no_reasons),
        cmocka_unit_test(test_more_reasons_than_room_are_counted),
    };

    return cmocka_run_group_tests(tests, cel_setup, cel_teardown);
}
