/* SPDX-License-Identifier: Apache-2.0 */
/* Where the models of the Llama family use which operator, at two sizes and in four phases. */
#include "kernels/add/add.h"
#include "kernels/argmax/argmax.h"
#include "kernels/concat/concat.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather/gather.h"
#include "kernels/matmul/matmul.h"
#include "tools/ashlar/bench.h"

#include <math.h>

const struct bench_shape bench_shapes[] = {
    { "135M", 49152, 576, 1536, 9, 3, 64 },  /* SmolLM2-135M */
    { "1B", 128256, 2048, 8192, 32, 8, 64 }, /* Llama-3.2-1B */
    { 0 },
};

const struct bench_phase bench_phases[] = {
    { "decode", 1, 512, 1, false },
    { "decode at 4000", 1, 4000, 1, true },
    { "16 x decode", 16, 512, 1, false },
    { "prefill 512", 1, 0, 512, false },
    { 0 },
};

static void attention(const struct bench_shape *shape, union bench_params *out)
{
    out->attention = (struct ash_attention_params){ .heads = (int)shape->heads,
        .scale = 1 / sqrtf((float)shape->head_size) };
}

static struct ash_rope_params turn(const struct bench_shape *shape, int64_t heads)
{
    return (struct ash_rope_params){ .heads = (int)heads,
        .head_size = (int)shape->head_size,
        .dims = (int)shape->head_size,
        .base = 1e5F,
        .scale = 1,
        .mode = ASH_ROPE_INTERLEAVED };
}

static void rope(const struct bench_shape *shape, union bench_params *out)
{
    out->rope = turn(shape, shape->heads);
}

static void kv_write(const struct bench_shape *shape, union bench_params *out)
{
    out->kv_write = (struct ash_kv_write_params){ .rope = turn(shape, shape->kv_heads) };
}

static void rmsnorm(const struct bench_shape *shape, union bench_params *out)
{
    (void)shape;
    out->rmsnorm = (struct ash_rmsnorm_params){ .eps = 1e-5F };
}

static void glu(const struct bench_shape *shape, union bench_params *out)
{
    (void)shape;
    out->glu = (struct ash_glu_params){ .activation = ASH_SILU };
}

static void convert(const struct bench_shape *shape, union bench_params *out)
{
    (void)shape;
    out->convert = (struct ash_convert_params){ .to = ASH_A8 };
}

static void topk(const struct bench_shape *shape, union bench_params *out)
{
    (void)shape;
    out->topk = (struct ash_topk_params){ .k = 40 };
}

static const enum ash_type layer_types[] = { ASH_Q4_1, ASH_Q4_0, ASH_Q8_0, ASH_F16, ASH_F32 };
static const enum ash_type quantised[] = { ASH_Q4_1, ASH_Q4_0, ASH_Q8_0, ASH_F32 };
static const enum ash_type output_types[] = { ASH_Q8_0, ASH_F32 };
static const enum ash_type cache_types[] = { ASH_F16, ASH_BF16, ASH_Q8_0, ASH_F32 };

enum {
    T = BENCH_T,
    O = BENCH_O,
    V = BENCH_V,
    C = BENCH_C,
    F = BENCH_F,
    Q = BENCH_Q,
    K = BENCH_K,
};

#define WEIGHT(list) .typed = 1U << 1, .types = (list)
#define CACHE                                                                                      \
    {                                                                                              \
        BENCH_P, BENCH_H, ASH_PAGE_POSITIONS, BENCH_D                                              \
    }

const struct bench_row bench_rows[] = {
    { &ash_op_embedding, "token_embd", { { V, C } }, .typed = 1, .types = output_types },
    { &ash_op_rmsnorm, "attn_norm", { { T, C }, { C } }, .params = rmsnorm },
    { &ash_op_convert, "attn_norm to A8", { { T, C } }, .params = convert },
    { &ash_op_matmul, "attn_q", { { T, C }, { Q, C } }, WEIGHT(quantised) },
    { &ash_op_matmul, "attn_k", { { T, C }, { K, C } }, WEIGHT(quantised) },
    { &ash_op_rope, "rope", { { T, Q } }, .params = rope },
    { &ash_op_kv_write, "kv_write", { { T, K }, { T, K }, CACHE, CACHE }, .typed = 3U << 2,
        .types = cache_types, .params = kv_write },
    { &ash_op_attention, "attention", { { T, Q }, CACHE, CACHE, { BENCH_S } }, .typed = 3U << 1,
        .types = cache_types, .params = attention },
    { &ash_op_add, "attn_residual", { { T, C }, { T, C } } },
    { &ash_op_matmul, "ffn_gate", { { T, C }, { F, C } }, WEIGHT(layer_types) },
    { &ash_op_glu, "ffn_act", { { T, F }, { T, F } }, .params = glu },
    { &ash_op_matmul, "ffn_down", { { T, F }, { C, F } }, WEIGHT(quantised) },
    { &ash_op_concat, "ffn_down of two", { { T, C }, { T, C } } },
    { &ash_op_gather, "gather", { { T, C } } },
    { &ash_op_matmul, "output", { { O, C }, { V, C } }, WEIGHT(output_types) },
    { &ash_op_argmax, "argmax", { { O, V } } },
    { &ash_op_topk, "topk 40", { { O, V } }, .params = topk },
    { 0 },
};
