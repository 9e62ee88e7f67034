/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operator of kernels/meson.build against its table of cases, one Criterion test each.
 * `test-kernels bench [FILTER]` times the rows marked .bench whose "op/name" contains FILTER instead.
 */
#include "kernels/ops.h"
#include "runtime/cpu.h"
#include "tests/support/check_op.h"

#include <criterion/criterion.h>
#include <string.h>

#define ASH_OP(name)                                                                               \
    extern const struct ash_op ash_op_##name;                                                      \
    extern const struct ash_case ash_cases_##name[];                                               \
    Test(kernels, name)                                                                            \
    {                                                                                              \
        cr_assert_eq(ash_check_op(&ash_op_##name, ash_cases_##name, stderr), 0);                   \
    }
#include "kernels/ops.inc"
#undef ASH_OP

#define ASH_OP(name) { &ash_op_##name, ash_cases_##name },
static const struct ash_op_cases all[] = {
#include "kernels/ops.inc"
    { NULL, NULL },
};
#undef ASH_OP

Test(kernels, operators_are_found_by_their_names)
{
    for (const struct ash_op_cases *each = all; each->op; each++)
        cr_assert_eq(ash_op_find(each->op->name), each->op);
    cr_assert_null(ash_op_find("no such operator"));
}

static int bench(const char *filter)
{
    char features[256];
    printf("on one thread, with %s\n",
        ash_cpu_describe(ash_cpu_features(), features, sizeof features));
    printf("%-10s %-28s %-12s %11s %11s %11s %8s %8s\n", "operator", "case", "kernel", "min ns",
        "median ns", "max ns", "GB/s", "GOP/s");
    for (const struct ash_op_cases *each = all; each->op; each++)
        ash_bench_op(each->op, each->cases, filter, stdout);
    return 0;
}

/* Visible, as Criterion looks main up by name in the processes that run the tests. */
__attribute__((visibility("default"))) int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "bench") == 0)
        return bench(count > 2 ? arguments[2] : NULL);
    struct criterion_test_set *tests = criterion_initialize();
    int status =
        criterion_handle_args(count, arguments, true) ? !criterion_run_all_tests(tests) : 0;
    criterion_finalize(tests);
    return status;
}
