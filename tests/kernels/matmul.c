/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/matmul/matmul.h"

#include "runtime/cpu.h"
#include "tests/support/check_op.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define WEIGHT(type) .types = { ASH_F32, (type) }

/* The tails of every kernel, once for each type of weight: rows 16 and 64, tokens 16, 12, 8, 6, 4 to 1;
 * from 48 tokens on AMX has them, but for a last tile of less than 12. */
#define SHAPES(name, type)                                                                         \
    { name " one block, one row", { { 1, 32 }, { 1, 32 } }, WEIGHT(type) },                        \
        { name " row tail", { { 3, 64 }, { 19, 64 } }, WEIGHT(type) },                             \
        { name " a tile and most of one", { { 31, 96 }, { 83, 96 } }, WEIGHT(type) },              \
        { name " a tile and 11", { { 27, 96 }, { 19, 96 } }, WEIGHT(type) },                       \
        { name " many tokens", { { 63, 96 }, { 83, 96 } }, WEIGHT(type) },                         \
        { name " many and 11", { { 59, 96 }, { 35, 96 } }, WEIGHT(type) },                         \
        { name " two tiles and a token", { { 33, 64 }, { 16, 64 } }, WEIGHT(type) },               \
        { name " 65 blocks", { { 5, 2080 }, { 17, 2080 } }, WEIGHT(type) },                        \
        { name " bias", { { 7, 64 }, { 35, 64 }, { 35 } }, WEIGHT(type) },                         \
        { name " residual", { { 18, 576 }, { 37, 576 }, { T, 37 } }, WEIGHT(type) },               \
        { name " batch", { { T, 160 }, { 48, 160 }, { T, 48 } }, WEIGHT(type),                     \
            .batch = { { 0, 1 }, { 0, 5 }, { 0, 17 }, { 0, 1 } } },                                \
        { name " decode", { { 1, 576 }, { 1536, 576 } }, WEIGHT(type), .bench = true },            \
    {                                                                                              \
        name " prefill", { { 64, 576 }, { 192, 576 } }, WEIGHT(type), .bench = true                \
    }

/* Sequences that decode together, and prompts. */
#define SPEED(name, type)                                                                          \
    { name " 16 sequences", { { 16, 576 }, { 1536, 576 } }, WEIGHT(type), .bench = true },         \
        { name " 64 x 1536 x 576", { { 64, 576 }, { 1536, 576 } }, WEIGHT(type), .bench = true },  \
    {                                                                                              \
        name " 64 x 2048 x 8192", { { 64, 8192 }, { 2048, 8192 } }, WEIGHT(type), .bench = true    \
    }

const struct ash_case ash_cases_matmul[] = {
    SHAPES("Q4_1", ASH_Q4_1),
    SHAPES("Q4_0", ASH_Q4_0),
    SHAPES("Q8_0", ASH_Q8_0),
    SHAPES("F32", ASH_F32),
    SHAPES("F16", ASH_F16),
    SHAPES("BF16", ASH_BF16),
    SPEED("Q4_1", ASH_Q4_1),
    SPEED("Q4_0", ASH_Q4_0),
    SPEED("Q8_0", ASH_Q8_0),
    { "Q4_1 1B decode", { { 1, 2048 }, { 8192, 2048 } }, WEIGHT(ASH_Q4_1), .bench = true },
    { "Q4_0 512 up", { { 512, 576 }, { 1536, 576 } }, WEIGHT(ASH_Q4_0), .bench = true },
    { "Q4_0 512 down", { { 512, 1536 }, { 576, 1536 } }, WEIGHT(ASH_Q4_0), .bench = true },
    { "Q4_0 512 1B up", { { 512, 2048 }, { 8192, 2048 } }, WEIGHT(ASH_Q4_0), .bench = true },
    { "Q4_0 512 1B down", { { 512, 8192 }, { 2048, 8192 } }, WEIGHT(ASH_Q4_0), .bench = true },
    { "Q4_1 135M down", { { 64, 1536 }, { 576, 1536 } }, WEIGHT(ASH_Q4_1), .bench = true },
    { "one element", { { 1, 1 }, { 1, 1 } } },
    { "an odd K", { { 9, 13 }, { 35, 13 } }, WEIGHT(ASH_F16) },
    { "A8 with F32", { { 2, 64 }, { 3, 64 } }, { ASH_A8 }, .reference_only = true },
    { "K differs", { { 1, 64 }, { 16, 32 } }, .expect = ASH_ERR_SHAPE },
    { "x of rank 3", { { 1, 2, 32 }, { 16, 32 } }, .expect = ASH_ERR_SHAPE },
    { "a weight of ids", { { 1, 32 }, { 16, 32 } }, WEIGHT(ASH_I32), .expect = ASH_ERR_SHAPE },
    { "BF16 with F32", { { 2, 64 }, { 3, 64 } }, { ASH_BF16 }, .reference_only = true },
    { "x in F16", { { 1, 32 }, { 16, 32 } }, { ASH_F16 }, .expect = ASH_ERR_SHAPE },
    { "no weight", { { 1, 32 } }, .expect = ASH_ERR_SHAPE },
    { "bias too short", { { 1, 32 }, { 16, 32 }, { 15 } }, .expect = ASH_ERR_SHAPE },
    { "residual of another T", { { 2, 32 }, { 16, 32 }, { 3, 16 } }, .expect = ASH_ERR_SHAPE },
    { "bias in F16", { { 1, 32 }, { 16, 32 }, { 16 } }, { ASH_F32, ASH_F32, ASH_F16 },
        .expect = ASH_ERR_SHAPE },
    { 0 },
};

/* Tails in all three, and more than one panel of every tile of every kernel. */
static const struct shape {
    int64_t tokens, rows, columns;
} shapes[] = { { 35, 83, 2112 }, { 15, 19, 8224 }, { 1, 35, 16416 }, { 3, 275, 64 } };

/* Values that `from` can hold, in `type`. */
static void make_weight(
    enum ash_type type, enum ash_type from, const struct shape *shape, struct ash_tensor *out)
{
    const int64_t count = shape->rows * shape->columns;
    cr_assert_eq(ash_tensor_init(type, 2, (int64_t[]){ shape->rows, shape->columns }, out), ASH_OK);
    float *values = malloc(sizeof *values * (size_t)count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)((i * 7919 + i / 31) % 257 - 128) / 64.0F;
    out->data = malloc((size_t)count * sizeof *values);
    cr_assert_eq(ash_from_float(from, values, count, out->data), ASH_OK);
    cr_assert_eq(ash_to_float(from, out->data, count, values), ASH_OK);
    if (type != from)
        cr_assert_eq(ash_from_float(type, values, count, out->data), ASH_OK);
    free(values);
}

static void make_x(enum ash_type type, const struct shape *shape, struct ash_tensor *out)
{
    cr_assert_eq(
        ash_tensor_init(type, 2, (int64_t[]){ shape->tokens, shape->columns }, out), ASH_OK);
    out->data = malloc(ash_tensor_bytes(out));
    float *row = malloc(sizeof *row * (size_t)shape->columns);
    for (int64_t t = 0; t < shape->tokens; t++) {
        for (int64_t k = 0; k < shape->columns; k++)
            row[k] = (float)((t * 131 + k * 6133) % 1021 - 510) / 77.0F;
        char *to = (char *)out->data + (size_t)t * ash_tensor_row_bytes(out);
        cr_assert_eq(ash_from_float(type, row, shape->columns, to), ASH_OK);
    }
    free(row);
}

/* What a kernel makes of such weights, to be freed; NULL where it cannot run them. */
static float *run(const struct ash_kernel *kernel, enum ash_type type, enum ash_type from,
    const struct shape *shape)
{
    struct ash_args args = { 0 };
    make_weight(type, from, shape, &args.in[1]);
    make_x(kernel->activation, shape, &args.in[0]);
    cr_assert_eq(ash_op_infer(&ash_op_matmul, &args, &args.out), ASH_OK);
    float *result = NULL;
    if ((kernel->needs & ~ash_cpu_features()) == 0 && kernel->accepts(&args)) {
        void *packed = aligned_alloc(64, kernel->pack_bytes(&args.in[1]));
        kernel->pack(&args.in[1], 0, shape->rows, packed);
        void *weight = args.in[1].data;
        args.in[1].data = packed;
        args.out.data = result = malloc(ash_tensor_bytes(&args.out));
        kernel->run(&args, 0, shape->rows);
        args.in[1].data = weight;
        free(packed);
    }
    free(args.in[0].data);
    free(args.in[1].data);
    return result;
}

static void expect_same_bits(enum ash_type type, const struct shape *shape)
{
    float *first = NULL;
    for (const struct ash_kernel *kernel = ash_op_matmul.kernels; kernel->run; kernel++) {
        float *result = kernel->tolerance > 0 ? NULL : run(kernel, type, type, shape);
        if (first && result)
            cr_assert_arr_eq(result, first, sizeof *result * (size_t)(shape->tokens * shape->rows),
                "%s with %s (%lld, %lld) differs from the first kernel", kernel->name,
                ash_type_info(type)->name, (long long)shape->rows, (long long)shape->columns);
        if (!first)
            first = result;
        else
            free(result);
    }
    cr_assert(first || ash_cpu_features() == 0);
    free(first);
}

Test(matmul, every_instruction_set_gives_the_same_bits)
{
    const enum ash_type types[] = { ASH_Q4_1, ASH_Q4_0, ASH_Q8_0, ASH_F32, ASH_F16, ASH_BF16 };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t j = 0; j < sizeof shapes / sizeof shapes[0]; j++)
            expect_same_bits(types[i], &shapes[j]);
}

/* With weights and x in BF16 there is nothing to round: the reference is met closely. */
static void expect_reference(const struct shape *shape, enum ash_type from, const float *found)
{
    struct ash_args args = { 0 };
    make_weight(ASH_BF16, from, shape, &args.in[1]);
    make_x(ASH_BF16, shape, &args.in[0]);
    cr_assert_eq(ash_op_infer(&ash_op_matmul, &args, &args.out), ASH_OK);
    float *wanted = args.out.data = malloc(ash_tensor_bytes(&args.out));
    ash_op_matmul.reference(&args);
    for (int64_t i = 0; i < shape->tokens * shape->rows; i++)
        cr_assert_float_eq((double)found[i], (double)wanted[i],
            1e-4 * (1 + __builtin_fabs((double)wanted[i])), "element %lld", (long long)i);
    free(wanted);
    free(args.in[0].data);
    free(args.in[1].data);
}

/* Of what a kernel makes of up to 512 tokens, `count` tokens get the same bits. */
static void expect_prefix(const struct ash_kernel *kernel, enum ash_type type, int64_t count,
    const struct shape *most, const float *all)
{
    struct shape shape = { count, most->rows, most->columns };
    float *some = run(kernel, type, type, &shape);
    cr_assert_arr_eq(some, all, sizeof *some * (size_t)(count * shape.rows),
        "%s with %s, %lld tokens", kernel->name, ash_type_info(type)->name, (long long)count);
    free(some);
}

Test(matmul, rounded_weights_are_bf16_weights_and_any_number_of_tokens_gives_the_same_bits)
{
    static const enum ash_type types[] = { ASH_Q4_1, ASH_Q4_0, ASH_Q8_0, ASH_BF16 };
    static const int64_t counts[] = { 1, 2, 7, 15, 16, 17, 31, 32, 33, 64, 511 };
    static const struct shape most[] = { { 512, 83, 64 }, { 515, 19, 3136 } };
    for (const struct ash_kernel *kernel = ash_op_matmul.kernels; kernel->run; kernel++)
        for (size_t i = 0; i < 8; i++) {
            const struct shape *shape = &most[i % 2];
            const enum ash_type type = types[i / 2];
            float *all = kernel->tolerance > 0 ? run(kernel, type, type, shape) : NULL;
            if (!all)
                continue;
            for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
                expect_prefix(kernel, type, counts[c], shape, all);
            float *plain = run(kernel, ASH_BF16, type, shape);
            cr_assert_arr_eq(plain, all, sizeof *all * (size_t)(shape->tokens * shape->rows),
                "%s with %s", kernel->name, ash_type_info(type)->name);
            expect_reference(shape, type, plain);
            free(plain);
            free(all);
        }
}
