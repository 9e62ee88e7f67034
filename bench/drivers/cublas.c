/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/drivers/cublas.h"

#include "bench/drivers/repeat.h"
#include "drivers/hip/hip_cuda.h"

#include <dlfcn.h>

/* Numbers of cuBLAS's manual: cublasOperation_t, cudaDataType_t, cublasComputeType_t, cublasGemmAlgo_t. */
enum { OP_N = 0, OP_T = 1, R_32F = 0, R_16F = 2, R_16BF = 14, COMPUTE_32F = 68, ALGO_DEFAULT = -1 };

static enum ash_status check(int code, const char *what)
{
    return code == 0 ? ASH_OK : ash_fail(ASH_ERR_DEVICE, "cuBLAS cannot %s: error %d", what, code);
}

static enum ash_status open_library(struct cublas *out)
{
    static const char *const names[] = { "libcublas.so.13", "libcublas.so.12", "libcublas.so.11" };
    int (*create)(struct cublas_handle **);
    int (*set_stream)(struct cublas_handle *, struct hip_stream *);
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library || !hip_symbol_find(library, "cublasCreate_v2", &create) ||
        !hip_symbol_find(library, "cublasSetStream_v2", &set_stream) ||
        !hip_symbol_find(library, "cublasGemmEx", &out->gemm))
        return ash_fail(ASH_ERR_NOT_FOUND, "no libcublas.so.13, .12 or .11 to compare with");
    ASH_TRY(check(create(&out->handle), "begin"));
    return check(set_stream(out->handle, out->stream), "take a stream");
}

enum ash_status cublas_open(int card, struct cublas *out)
{
    *out = (struct cublas){ 0 };
    ASH_TRY(hip_api_open(HIP_CUDA_LIBRARY, &out->api));
    ASH_TRY(check(out->api.Init(0), "begin"));
    ASH_TRY(check(out->api.SetDevice(card), "take the card"));
    ASH_TRY(
        check(out->api.StreamCreateWithFlags(&out->stream, HIP_STREAM_NON_BLOCKING), "take work"));
    return open_library(out);
}

/* ---- One shape ---- */

struct product {
    struct cublas *cublas;
    int type, tokens, rows, columns;
    void *memory[3]; /* x, weight, result */
};

/* Column-major as BLAS has it, the result's transpose is the weight times x transposed. */
static enum ash_status run(void *context, int times)
{
    const struct product *product = context;
    struct cublas *cublas = product->cublas;
    const float one = 1, zero = 0;
    for (int i = 0; i < times; i++)
        ASH_TRY(
            check(cublas->gemm(cublas->handle, OP_T, OP_N, product->rows, product->tokens,
                      product->columns, &one, product->memory[1], product->type, product->columns,
                      product->memory[0], product->type, product->columns, &zero,
                      product->memory[2], R_32F, product->rows, COMPUTE_32F, ALGO_DEFAULT),
                "multiply"));
    return check(cublas->api.StreamSynchronize(cublas->stream), "finish");
}

static enum ash_status measure(struct product *product, size_t element_bytes, double *seconds)
{
    const struct hip_api *api = &product->cublas->api;
    size_t columns = (size_t)product->columns, tokens = (size_t)product->tokens,
           rows = (size_t)product->rows;
    const size_t bytes[3] = { tokens * columns * element_bytes, rows * columns * element_bytes,
        tokens * rows * sizeof(float) };
    for (int i = 0; i < 3; i++) {
        ASH_TRY(check(api->Malloc(&product->memory[i], bytes[i]), "hold a matrix"));
        /* 0x2c2c...: plain small numbers in every type */
        ASH_TRY(check(api->MemsetAsync(product->memory[i], 0x2c, bytes[i], product->cublas->stream),
            "fill a matrix"));
    }
    return repeat(run, product, seconds);
}

enum ash_status cublas_measure(
    struct cublas *cublas, enum ash_type type, int tokens, int rows, int columns, double *seconds)
{
    struct product product = { .cublas = cublas,
        .type = type == ASH_F32   ? R_32F
                : type == ASH_F16 ? R_16F
                                  : R_16BF,
        .tokens = tokens,
        .rows = rows,
        .columns = columns };
    enum ash_status status = measure(&product, type == ASH_F32 ? 4 : 2, seconds);
    for (int i = 0; i < 3; i++)
        if (product.memory[i])
            (void)cublas->api.Free(product.memory[i]);
    return status;
}
