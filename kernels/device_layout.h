/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ASH_KERNELS_DEVICE_LAYOUT_H /* not #pragma once: OpenCL is given this text, not this file */
#define ASH_KERNELS_DEVICE_LAYOUT_H

/* What the host and the kernels of kernels/<op>/<op>.cl must agree on, in words both understand. */

#define DEVICE_GROUP  256 /* items of a work-group */
#define DEVICE_INPUTS 5

/*
 * What a step is told besides its memory: the numbers that the operators need, one struct for all of
 * them, passed by value. A kernel reads the fields that its operator has (<op>.h) and no others.
 */
struct ash_device_args {
    long at[DEVICE_INPUTS]; /* where each input begins in its memory, in bytes; a multiple of 16 */
    long out_at;            /* and the output */
    int tokens, outputs;    /* T and O of the batch */
    int rows;               /* N of a matrix; rows of work of the others */
    int columns;            /* C or K: elements of a row */
    int stride; /* elements from one row of a second operand to the next; 0 = one for all */
    int has_addend;
    int heads, kv_heads, head_size;
    int mode;   /* the operator's own choice: an activation, a pairing of RoPE */
    int pairs;  /* that RoPE turns in a head */
    int window; /* positions that a token sees; 0 = all */
    int k;      /* ids wanted of a row */
    int packed; /* the table is in the matmul's layout */
    int parts;  /* of the positions, a group each; 0 = a group goes through all */
    float eps, scale, softcap;
};

/*
 * The packed layout of a weight (N, K): groups of 16 rows, so that 16 neighbouring items, a row each,
 * read 256 bytes that follow each other. K is cut into steps of 32 elements (the last one filled up with
 * zeros), a step into slabs of 16 bytes a row:
 *
 *   slabs    [step][slab][16 rows] 16 bytes: 32 elements of Q4_x, 16 of Q8_0, 8 of F16, 4 of F32, in
 *            their order from the lowest bits of the first word on
 *   factors  [step][16 rows] f16 d; Q4_1: then [step][16 rows] f16 m
 *
 * That is the size of the file's format, but for the rows and elements that fill it up. Types are enum
 * ash_type's numbers.
 */
#define WEIGHT_F32  0
#define WEIGHT_F16  1
#define WEIGHT_BF16 2
#define WEIGHT_Q8_0 4
#define WEIGHT_Q4_0 5
#define WEIGHT_Q4_1 6

#define WEIGHT_GROUP      16
#define WEIGHT_STEP       32
#define WEIGHT_SLAB_BYTES 256

/* Slabs of a step, and the bytes of a step's factors. */
#define WEIGHT_SLABS(type)                                                                         \
    ((type) == WEIGHT_F32                               ? 8                                        \
        : (type) == WEIGHT_F16 || (type) == WEIGHT_BF16 ? 4                                        \
        : (type) == WEIGHT_Q8_0                         ? 2                                        \
                                                        : 1)
#define WEIGHT_FACTOR_BYTES(type)                                                                  \
    ((type) == WEIGHT_Q4_1 ? 64 : (type) == WEIGHT_Q4_0 || (type) == WEIGHT_Q8_0 ? 32 : 0)
#define WEIGHT_STEPS(columns) (((columns) + WEIGHT_STEP - 1) / WEIGHT_STEP)
#define WEIGHT_GROUP_BYTES(type, columns)                                                          \
    ((long)WEIGHT_STEPS(columns) *                                                                 \
        (WEIGHT_SLABS(type) * WEIGHT_SLAB_BYTES + WEIGHT_FACTOR_BYTES(type)))

/* The paged cache is in the bytes of kernels/kv_cache.h. */
#define CACHE_F32  0
#define CACHE_F16  1
#define CACHE_Q8_0 4

/* Kinds of matrix cores (device_matrix.h). */
#define MATRIX_MFMA   1 /* AMD's CDNA, from gfx90a on */
#define MATRIX_WMMA   2 /* RDNA 3 */
#define MATRIX_WMMA12 3 /* RDNA 4 */
#define MATRIX_MMA    4 /* NVIDIA's, from compute capability 8.0 on */

/* The sizes of a tile of many tokens of matmul.cl and matmul_matrix.cl, and of the latter's larger one. */
#define MATMUL_TILE      64
#define MATMUL_WIDE_TILE 128

/* attention.cl: the queries of a group; the positions of a part, and how its scratch begins, as attention.h
 * has both. */
#define ATTENTION_QUERIES  8
#define ATTENTION_PART     128
#define ATTENTION_COUNTERS 1024

#endif
