/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/hip/hip_api.h"
#include "runtime/tensor.h"

/* NVIDIA's own matrix multiplication, to compare with: libcublas of CUDA 11 to 13, opened at run time. */
struct cublas {
    struct hip_api api; /* of libcuda */
    struct hip_stream *stream;
    struct cublas_handle *handle;
    int (*gemm)(struct cublas_handle *handle, int transpose_a, int transpose_b, int m, int n, int k,
        const void *alpha, const void *a, int a_type, int a_stride, const void *b, int b_type,
        int b_stride, const void *beta, void *c, int c_type, int c_stride, int compute_type,
        int algorithm);
};

/* On CUDA's card number `card`. ASH_ERR_NOT_FOUND where there is no libcuda or no libcublas. Nothing ends
 * it: it is for programs that measure and exit. */
enum ash_status cublas_open(int card, struct cublas *out);

/* Seconds that (tokens, columns) times (rows, columns) transposed takes, inputs in `type` (F32, F16 or
 * BF16), sums and results in F32, without TF32. */
enum ash_status cublas_measure(
    struct cublas *cublas, enum ash_type type, int tokens, int rows, int columns, double *seconds);
