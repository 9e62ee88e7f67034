/* SPDX-License-Identifier: Apache-2.0 */
/* A layout that gives rows back gives exactly the rows that went in. */
#include "kernels/ops.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 96 };

/* Whether the kernel takes weights of this type: x in what it reads, and weights by rows. */
static bool takes(
    const struct ash_op *op, const struct ash_kernel *kernel, const struct ash_tensor *weight)
{
    struct ash_args args = { 0 };
    cr_assert_eq(
        ash_tensor_init(kernel->activation, 2, (int64_t[]){ 1, COLUMNS }, &args.in[0]), ASH_OK);
    args.in[kernel->packed_input] = *weight;
    return ash_op_infer(op, &args, &args.out) == ASH_OK && kernel->accepts(&args);
}

static bool check_rows(
    const struct ash_op *op, const struct ash_kernel *kernel, enum ash_type type, int64_t rows)
{
    struct ash_tensor plain, packed;
    cr_assert_eq(ash_tensor_init(type, 2, (int64_t[]){ rows, COLUMNS }, &plain), ASH_OK);
    if (!takes(op, kernel, &plain))
        return false;
    packed = plain;
    uint8_t *bytes = malloc(ash_tensor_bytes(&plain));
    float values[COLUMNS], expected[COLUMNS], found[COLUMNS];
    for (int64_t r = 0; r < rows; r++) {
        for (int i = 0; i < COLUMNS; i++)
            values[i] = (float)(rand() % 2001 - 1000) / 77.0f;
        cr_assert_eq(
            ash_from_float(type, values, COLUMNS, bytes + (size_t)r * ash_tensor_row_bytes(&plain)),
            ASH_OK);
    }
    plain.data = bytes;
    packed.layout = kernel;
    packed.data = aligned_alloc(64, (kernel->pack_bytes(&plain) + 63) / 64 * 64);
    kernel->pack(&plain, 0, rows, packed.data);
    for (int64_t r = 0; r < rows; r++) {
        cr_assert_eq(
            ash_to_float(type, bytes + (size_t)r * ash_tensor_row_bytes(&plain), COLUMNS, expected),
            ASH_OK);
        memset(found, 0xFF, sizeof found);
        kernel->unpack_row(&packed, r, found);
        cr_assert_eq(memcmp(found, expected, sizeof found), 0, "%s, %s, row %lld", kernel->name,
            ash_type_info(type)->name, (long long)r);
    }
    free(packed.data);
    free(bytes);
    return true;
}

Test(unpack, rows_of_a_packed_weight_are_those_of_the_plain_one)
{
    static const enum ash_type types[] = { ASH_F32, ASH_F16, ASH_BF16, ASH_Q8_0, ASH_Q4_0,
        ASH_Q4_1 };
    int checked = 0;
    for (const struct ash_op *const *op = ash_ops; *op; op++)
        for (const struct ash_kernel *kernel = (*op)->kernels; kernel->run; kernel++)
            for (size_t t = 0; kernel->unpack_row && t < sizeof types / sizeof *types; t++)
                for (int64_t rows = 1; rows < 40; rows += 19)
                    checked += check_rows(*op, kernel, types[t], rows);
    cr_assert_gt(checked, 0);
}
