/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/tensor.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_FLOATS = 256 };

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* What a half means, from the standard's own formula rather than from its bits. */
static double meaning_of(unsigned half)
{
    int exponent = (int)(half >> 10 & 31), fraction = (int)(half & 0x3FF);
    double magnitude =
        exponent ? ldexp(1024 + fraction, exponent - 15 - 10) : ldexp(fraction, -14 - 10);
    return half & 0x8000 ? -magnitude : magnitude;
}

Test(blocks, every_f16_has_its_meaning_and_comes_back)
{
    for (unsigned half = 0; half < 65536; half++) {
        float value = ash_f16_to_float((uint16_t)half);
        if ((half & 0x7C00) != 0x7C00) {
            cr_assert_eq((double)value, meaning_of(half), "0x%04x", half);
            cr_assert_eq(signbit(value) != 0, half >> 15, "0x%04x", half);
        } else if (half & 0x3FF) {
            cr_assert(isnan(value), "0x%04x", half);
        } else {
            cr_assert_eq(value, half >> 15 ? -INFINITY : INFINITY);
        }
        bool is_nan = (half & 0x7C00) == 0x7C00 && (half & 0x3FF);
        cr_assert_eq(ash_f16_from_float(value), is_nan ? half | 0x200 : half, "0x%04x", half);
    }
}

Test(blocks, a_float_between_two_f16_goes_to_the_nearer_and_from_the_middle_to_even)
{
    for (unsigned half = 0; half < 0x7C00; half++) {
        /* The step past the largest half leads to infinity, as if 65536 were one. */
        double low = meaning_of(half), high = half == 0x7BFF ? 65536 : meaning_of(half + 1);
        float middle = (float)((low + high) / 2); /* exact: it has one bit more than a half */
        unsigned even = half & 1 ? half + 1 : half;
        cr_assert_eq(ash_f16_from_float(middle), even, "0x%04x", half);
        cr_assert_eq(ash_f16_from_float(-middle), even | 0x8000, "0x%04x", half);
        cr_assert_eq(ash_f16_from_float(nextafterf(middle, 0)), half, "0x%04x", half);
        cr_assert_eq(ash_f16_from_float(nextafterf(middle, INFINITY)), half + 1, "0x%04x", half);
    }
    cr_assert_eq(ash_f16_from_float(3.4e38F), 0x7C00);
    cr_assert_eq(ash_f16_from_float(1e-45F), 0);
}

#if defined(__FLT16_MAX__) && !defined(__clang__) /* clang 14 has no _Float16 on plain x86-64 */
Test(blocks, f16_agrees_with_the_compiler_on_every_half_and_many_floats)
{
    for (unsigned half = 0; half < 65536; half++) {
        _Float16 value;
        uint16_t bits = (uint16_t)half;
        memcpy(&value, &bits, sizeof value);
        cr_assert_eq(bits_of((float)value), bits_of(ash_f16_to_float(bits)), "0x%04x", half);
    }
    for (uint64_t i = 0; i < 1U << 22; i++) {
        uint32_t from = (uint32_t)(i * 1021);
        float value;
        memcpy(&value, &from, sizeof value);
        _Float16 half = (_Float16)value;
        uint16_t bits;
        memcpy(&bits, &half, sizeof bits);
        cr_assert_eq(ash_f16_from_float(value), bits, "0x%08x", from);
    }
}
#endif

static const struct {
    uint32_t from;
    uint16_t expect;
} bf16_cases[] = {
    { 0x00000000, 0x0000 },
    { 0x80000000, 0x8000 },
    { 0x3F800000, 0x3F80 },
    { 0x3F808000, 0x3F80 }, /* the middle, to even */
    { 0x3F818000, 0x3F82 },
    { 0x3F808001, 0x3F81 },
    { 0x7F7FFFFF, 0x7F80 }, /* FLT_MAX rounds to infinity */
    { 0x7F800000, 0x7F80 },
    { 0x7F800001, 0x7FC0 }, /* a NaN with an empty upper half stays a NaN */
    { 0xFFFFFFFF, 0xFFFF },
    { 0x00000001, 0x0000 },
};

Test(blocks, bf16_rounds_to_even_and_keeps_nan)
{
    for (size_t i = 0; i < sizeof bf16_cases / sizeof bf16_cases[0]; i++) {
        float value;
        memcpy(&value, &bf16_cases[i].from, sizeof value);
        cr_assert_eq(
            ash_bf16_from_float(value), bf16_cases[i].expect, "0x%08x", bf16_cases[i].from);
    }
    for (unsigned half = 0; half < 65536; half++)
        cr_assert_eq(bits_of(ash_bf16_to_float((uint16_t)half)), half << 16);
}

static void read_exactly(FILE *file, void *to, size_t size_bytes)
{
    cr_assert_eq(fread(to, 1, size_bytes, file), size_bytes, "blocks_golden.bin is too short");
}

/* See blocks_golden.py for where the numbers come from. */
Test(blocks, conversions_are_bit_exact_with_the_package_gguf)
{
    static const enum ash_type types[] = { ASH_F16, ASH_BF16, ASH_Q8_0, ASH_Q4_0, ASH_Q4_1 };
    char path[4096];
    snprintf(path, sizeof path, "%s/runtime/blocks_golden.bin", getenv("ASHLAR_TEST_DATA"));
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    float x[GOLDEN_FLOATS], expect[GOLDEN_FLOATS], got[GOLDEN_FLOATS];
    uint8_t packed[GOLDEN_FLOATS * 4], mine[GOLDEN_FLOATS * 4];
    read_exactly(file, x, sizeof x);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct ash_type_info *info = ash_type_info(types[i]);
        size_t bytes = (size_t)(GOLDEN_FLOATS / info->block_elements * info->block_bytes);
        for (int noise = 0; noise < 2; noise++) {
            read_exactly(file, packed, bytes);
            read_exactly(file, expect, sizeof expect);
            cr_assert_eq(ash_to_float(types[i], packed, GOLDEN_FLOATS, got), ASH_OK);
            cr_assert_arr_eq(got, expect, sizeof got, "%s to float", info->name);
            if (noise)
                continue;
            cr_assert_eq(ash_from_float(types[i], x, GOLDEN_FLOATS, mine), ASH_OK);
            cr_assert_arr_eq(mine, packed, bytes, "%s from float", info->name);
        }
    }
    cr_assert_eq(fgetc(file), EOF);
    fclose(file);
}

Test(blocks, a8_is_planar_and_rounds_ties_to_even)
{
    float x[64] = { 127, -127, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F };
    uint8_t row[64 + 2 * 4 + 2 * 4];
    cr_assert_eq(ash_from_float(ASH_A8, x, 64, row), ASH_OK);
    static const int8_t expect[64] = { 127, -127, 0, 2, 2, 0, -2 };
    cr_assert_arr_eq(row, expect, 64);
    float d[2];
    int32_t sum[2];
    memcpy(d, row + 64, sizeof d);
    memcpy(sum, row + 72, sizeof sum);
    cr_assert_eq(d[0], 1.0F);
    cr_assert_eq(d[1], 0.0F);
    cr_assert_eq(sum[0], 2);
    cr_assert_eq(sum[1], 0);
    float back[64];
    cr_assert_eq(ash_to_float(ASH_A8, row, 64, back), ASH_OK);
    cr_assert_eq(back[1], -127.0F);
    cr_assert_eq(back[3], 2.0F);
}

/* Under the sanitizers: no conversion of these is undefined. */
Test(blocks, extreme_floats_convert_to_something)
{
    static const float extremes[] = { NAN, -NAN, INFINITY, -INFINITY, 3.4e38F, -3.4e38F, 1e-45F,
        1.2e-38F, -0.0F };
    float x[32], back[32];
    uint8_t block[32 * 4 + 8];
    for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++)
        for (int other = 0; other < 2; other++)
            for (int type = 0; type < ASH_TYPE_COUNT; type++) {
                for (int k = 0; k < 32; k++)
                    x[k] = k == 7 ? extremes[i] : other ? extremes[k % 9] : 1.0F;
                if (type == ASH_I32)
                    continue;
                cr_assert_eq(ash_from_float((enum ash_type)type, x, 32, block), ASH_OK);
                cr_assert_eq(ash_to_float((enum ash_type)type, block, 32, back), ASH_OK);
            }
}

Test(blocks, what_does_not_convert_is_refused)
{
    float x[32] = { 0 };
    uint8_t block[64];
    cr_assert_eq(ash_from_float(ASH_I32, x, 4, block), ASH_ERR_UNSUPPORTED);
    cr_assert_eq(ash_to_float(ASH_I32, block, 4, x), ASH_ERR_UNSUPPORTED);
    cr_assert_eq(ash_to_float(ASH_Q4_0, block, 31, x), ASH_ERR_SHAPE);
    cr_assert_eq(ash_from_float(ASH_A8, x, -32, block), ASH_ERR_SHAPE);
}
