/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Element types, block formats, and a tensor: a typed, shaped view of memory that somebody else owns.
 *
 * Shapes are written outermost first, as (T, C): the last dimension is contiguous, and a block format
 * packs runs of 32 elements along it. (GGUF files write them the other way round.)
 */

/*
 * Q8_0, Q4_0, Q4_1: the block formats of GGUF, 32 elements each, byte for byte
 * (github.com/ggml-org/ggml, docs/gguf.md and ggml-common.h):
 *   Q8_0  { f16 d; int8 q[32] }             x = d * q
 *   Q4_0  { f16 d; uint8 q[16] }            x = d * (q - 8); low nibbles are elements 0..15
 *   Q4_1  { f16 d; f16 m; uint8 q[16] }     x = d * q + m
 * A8: activations on their way into an integer matmul; made and consumed inside a plan, never stored.
 *   A row of K elements is planar: int8 q[K]; float d[K/32]; int32 sum[K/32] (the sum of the block's
 *   q). x = d * q, d = max|x| / 127 (0 where that is below FLT_MIN), q = x * (1 / d) in floats, rounded
 *   to nearest, ties to even.
 */
enum ash_type {
    ASH_F32,
    ASH_F16,
    ASH_BF16,
    ASH_I32,
    ASH_Q8_0,
    ASH_Q4_0,
    ASH_Q4_1,
    ASH_A8,
    ASH_TYPE_COUNT
};

struct ash_type_info {
    const char *name;   /* "Q4_1" */
    int block_elements; /* 1 for plain types, 32 for block formats */
    int block_bytes;    /* bytes of one block; A8: 40, counted over a whole row */
};

/* Never NULL for a valid type. */
const struct ash_type_info *ash_type_info(enum ash_type type);

enum { ASH_MAX_RANK = 4 };

/* What dim[0] counts. A plan is made for the largest and replayed with the number at hand. */
enum ash_extent {
    ASH_EXTENT_FIXED,   /* dim[0] is what it says: weights, caches */
    ASH_EXTENT_TOKENS,  /* dim[0] = tokens of the batch at run time; the capacity while planning */
    ASH_EXTENT_OUTPUTS, /* dim[0] = rows of logits wanted at run time; likewise */
};

struct ash_kernel;

struct ash_tensor {
    enum ash_type type;
    enum ash_extent extent;
    int rank;                  /* 0 = no tensor (an optional input left out) */
    int64_t dim[ASH_MAX_RANK]; /* outermost first; unused ones are 1 */
    const struct ash_kernel
        *layout; /* whose pack() has laid data out; NULL = plain, as in a file */
    void *data;  /* borrowed; in whatever layout the kernel's pack() chose */
};

/*
 * Fills *out with a shape and no data. ASH_ERR_SHAPE: a rank outside 1..4, a dimension below 1, an
 * innermost dimension that is no multiple of the block, or a size that overflows 63 bits.
 */
enum ash_status ash_tensor_init(
    enum ash_type type, int rank, const int64_t dim[], struct ash_tensor *out);

/* Sizes of a tensor that ash_tensor_init() accepted; they cannot overflow. */
int64_t ash_tensor_elements(const struct ash_tensor *tensor);
size_t ash_tensor_bytes(const struct ash_tensor *tensor);
size_t ash_tensor_row_bytes(const struct ash_tensor *tensor); /* one innermost run */
int64_t ash_tensor_columns(const struct ash_tensor *tensor);  /* the innermost dimension */
int64_t ash_tensor_rows(const struct ash_tensor *tensor);     /* all the others multiplied */

/* "Q4_1 (576, 576)" into `text`, cut to `capacity` bytes; returns text. */
char *ash_tensor_describe(const struct ash_tensor *tensor, char *text, size_t capacity);

/*
 * `count` elements (a multiple of the block) between `type` and float. The definition of each format:
 * plain C, exact, no alignment asked for. From float: Q8_0 and Q4_x as ggml's reference quantisers
 * round, F16/BF16 to nearest even; a block with an infinity or NaN in it comes out as some block. A8 is
 * a layout of whole rows: `count` is then the row's length.
 * ASH_ERR_UNSUPPORTED for I32; ASH_ERR_SHAPE for a `count` that is no multiple of the block.
 */
enum ash_status ash_to_float(enum ash_type type, const void *in, int64_t count, float *out);
enum ash_status ash_from_float(enum ash_type type, const float *in, int64_t count, void *out);

/*
 * IEEE 754 binary16 and bfloat16, to nearest even; plain C, any machine. A NaN stays one and comes out
 * quiet with the upper bits of its payload, as from x86's vcvtph2ps and vcvtps2ph.
 */
float ash_f16_to_float(uint16_t half);
uint16_t ash_f16_from_float(float value);
float ash_bf16_to_float(uint16_t half);
uint16_t ash_bf16_from_float(float value);
