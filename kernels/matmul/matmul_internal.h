/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/a8.h"
#include "kernels/matmul/matmul.h"

/*
 * The packed layout, one for all x86 kernels: groups of 16 weight rows, so that a vector's lane is a
 * row and nothing is summed across lanes. Rows past N are zeros.
 *
 * F32, F16, BF16: w[k][row], K times 16 elements.
 * Block formats: the quants of all blocks of 32, then their factors; padded to 64 bytes.
 *   quants   Q8_0: 8 vectors of 64 bytes; vector j holds elements 4j..4j+3 of the 16 rows, + 128.
 *            Q4_x: 4 vectors; low nibbles are elements 4j..4j+3, high ones 16 + 4j..16 + 4j+3.
 *   factors  16 scales in F16; Q4_1: then 16 minima in F16.
 * That is the size of the file's format.
 */
enum { ASH_MATMUL_GROUP = 16, ASH_MATMUL_ALIGNMENT = 64 };

size_t ash_matmul_pack_bytes(const struct ash_tensor *weight);
void ash_matmul_pack(
    const struct ash_tensor *weight, int64_t first_row, int64_t last_row, void *out);
void ash_matmul_unpack_row(const struct ash_tensor *weight, int64_t row, float *out);

static inline int64_t ash_matmul_quant_bytes(enum ash_type type)
{
    return type == ASH_Q8_0 ? 512 : 256;
}

static inline int64_t ash_matmul_factor_bytes(enum ash_type type)
{
    return type == ASH_Q4_1 ? 64 : 32;
}

/* Bytes of one group of 16 rows with `columns` elements each. */
static inline int64_t ash_matmul_group_bytes(enum ash_type type, int64_t columns)
{
    const struct ash_type_info *info = ash_type_info(type);
    int64_t bytes = columns / info->block_elements * info->block_bytes * ASH_MATMUL_GROUP;
    return (bytes + ASH_MATMUL_ALIGNMENT - 1) / ASH_MATMUL_ALIGNMENT * ASH_MATMUL_ALIGNMENT;
}

/* Row n of a (T, N) addend starts at addend + t * addend_stride; 0 for a (N) one; NULL if none. */
struct ash_matmul_epilogue {
    float *out;
    const float *addend;
    int64_t columns; /* N, which is also out's stride */
    int64_t addend_stride;
};

static inline struct ash_matmul_epilogue ash_matmul_epilogue(const struct ash_args *args)
{
    const struct ash_tensor *addend = &args->in[2];
    return (struct ash_matmul_epilogue){
        .out = args->out.data,
        .addend = addend->rank > 0 ? addend->data : NULL,
        .columns = args->out.dim[1],
        .addend_stride = addend->rank > 1 ? args->out.dim[1] : 0,
    };
}

void ash_matmul_ref(const struct ash_args *args);

/* x in BF16. */
void ash_matmul_amxbf16(const struct ash_args *args, int64_t first_row, int64_t last_row);

/* Quantised weights, x in A8. */
void ash_matmul_amx(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_matmul_vnni(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_matmul_avxvnni(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_matmul_avx2(const struct ash_args *args, int64_t first_row, int64_t last_row);

/* F32, F16 and BF16 weights, x in F32. */
void ash_matmul_avx512_float(const struct ash_args *args, int64_t first_row, int64_t last_row);
void ash_matmul_avx2_float(const struct ash_args *args, int64_t first_row, int64_t last_row);
