/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check_internal.h"

#include <math.h>

enum { WIDE_FACTOR = 64 };

void expected_finish(struct expected *expected)
{
    for (int i = 0; i <= ASH_MAX_INPUTS; i++) {
        free(expected->values[i]);
        free(expected->bound[i]);
    }
}

bool expected_near(float got, float want, float bound)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    if (isinf(want) || isinf(got))
        return got == want;
    return fabsf(got - want) <= bound;
}

static void run_reference(const struct problem *problem, float *values[1 + ASH_MAX_INPUTS])
{
    struct call call;
    struct selection all = selection_all(problem);
    call_init(&call, problem, &all, NULL, ASH_F32, 0, 0);
    problem->op->reference(&call.args);
    for (int input = -1; input < ASH_MAX_INPUTS; input++) {
        struct ash_tensor result = call_result(&call, problem->op, input);
        if (result.rank == 0)
            continue;
        values[1 + input] =
            calloc((size_t)ash_tensor_elements(&result) + 1, sizeof *values[1 + input]);
        call_values(problem->row, &result, input, values[1 + input]);
    }
    call_finish(&call);
}

/* The step between neighbouring values of a type, at |value| in a block that reaches `largest`. */
static double type_step(enum ash_type type, double value, double largest)
{
    if (type == ASH_F16)
        return fabs(value) * 0x1p-10 + 0x1p-24;
    if (type == ASH_BF16)
        return fabs(value) * 0x1p-7 + 0x1p-133;
    return type == ASH_Q8_0 ? largest / 127 * 1.02 : 0;
}

static void init_bounds(
    const struct ash_tensor *tensor, const float *values, double tolerance, float *bound)
{
    int64_t count = ash_tensor_elements(tensor);
    for (int64_t i = 0; i < count; i++) {
        double largest = 0;
        for (int64_t e = i / 32 * 32; tensor->type == ASH_Q8_0 && e < i / 32 * 32 + 32; e++)
            largest = fmax(largest, fabs((double)values[e]));
        bound[i] = (float)(tolerance * (1 + fabs((double)values[i])) +
                           type_step(tensor->type, (double)values[i], largest));
    }
}

/*
 * Far from 1, an element may be off by the tolerance of the largest in its row, or by as much as
 * rounding of the inputs alone would move the row.
 */
static void widen_bounds(const struct problem *problem, const struct ash_tensor *shape, int result,
    double tolerance, struct expected *expected)
{
    int64_t columns = ash_tensor_columns(shape), rows = ash_tensor_rows(shape);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct problem moved;
        problem_init(&moved, problem->op, problem->row, problem->kind, problem->rounded);
        problem_perturb(&moved, seed);
        float *values[1 + ASH_MAX_INPUTS] = { 0 };
        run_reference(&moved, values);
        for (int64_t r = 0; r < rows; r++) {
            const float *want = expected->values[result] + r * columns;
            float moved_most = 0, largest = 0, *bound = expected->bound[result] + r * columns;
            for (int64_t c = 0; c < columns; c++) {
                moved_most = fmaxf(moved_most, fabsf(values[result][r * columns + c] - want[c]));
                largest = fmaxf(largest, fabsf(want[c]));
            }
            float least = fmaxf(WIDE_FACTOR * moved_most, (float)tolerance * largest);
            for (int64_t c = 0; c < columns; c++)
                bound[c] = fmaxf(bound[c], least);
        }
        for (int i = 0; i <= ASH_MAX_INPUTS; i++)
            free(values[i]);
        problem_finish(&moved);
    }
}

void expected_init(struct expected *expected, const struct problem *problem, double tolerance)
{
    *expected = (struct expected){ .known = true, .tolerance = tolerance };
    run_reference(problem, expected->values);
    struct call call;
    struct selection all = selection_all(problem);
    call_init(&call, problem, &all, NULL, ASH_F32, 0, 0);
    for (int input = -1; input < ASH_MAX_INPUTS; input++) {
        struct ash_tensor result = call_result(&call, problem->op, input);
        if (result.rank == 0)
            continue;
        size_t count = (size_t)ash_tensor_elements(&result);
        expected->bound[1 + input] = calloc(count + 1, sizeof(float));
        if (result.type == ASH_I32)
            continue;
        init_bounds(&result, expected->values[1 + input], tolerance, expected->bound[1 + input]);
        if (problem->kind->wide)
            widen_bounds(problem, &result, 1 + input, tolerance, expected);
    }
    call_finish(&call);
}
