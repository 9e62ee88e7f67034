/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Llama family: Llama 1 to 3, SmolLM, TinyLlama, Mistral and whatever else calls itself "llama".
 * Touvron et al. 2023 (arXiv 2302.13971, 2307.09288); grouped query attention: Ainslie et al. 2023
 * (arXiv 2305.13245). GGUF files of this family hold Q and K permuted, so that RoPE turns neighbouring
 * pairs (interleaved).
 */
#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather/gather.h"
#include "kernels/glu/glu.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "models/arch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Limits that no model of this family comes near; they keep every product far inside 63 bits. */
enum {
    MAX_LAYERS = 1024,
    MAX_CHANNELS = 1 << 20,
    MAX_FEED_FORWARD = 1 << 22,
    MAX_HEADS = 1 << 12,
    MAX_HEAD_SIZE = ASH_ROPE_MAX_DIMS,
    MAX_CONTEXT = 1 << 28,
    MAX_VOCABULARY = 1 << 24,
};

/* Relatives that call themselves "llama" too, and would be taken for incomplete files. */
static enum ash_status check_variant(const struct ash_gguf *file, uint32_t head_size)
{
    uint32_t experts, value_length;
    ASH_TRY(ash_gguf_get_u32_or(file, ".expert_count", 0, 0, UINT32_MAX, &experts));
    ASH_TRY(ash_gguf_get_u32_or(
        file, ".attention.value_length", head_size, 0, UINT32_MAX, &value_length));
    if (experts > 0)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s: a mixture of %u experts; this build knows dense models of this family",
            ash_gguf_path(file), experts);
    if (value_length != head_size)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s: value_length is %u, key_length %u; this build knows models where they are the same",
            ash_gguf_path(file), value_length, head_size);
    return ASH_OK;
}

static enum ash_status read_counts(const struct ash_gguf *file, struct ash_model_shape *shape)
{
    uint32_t layers, channels, feed_forward, heads, kv_heads, context, head_size;
    ASH_TRY(ash_gguf_get_u32(file, ".block_count", 1, MAX_LAYERS, &layers));
    ASH_TRY(ash_gguf_get_u32(file, ".embedding_length", 1, MAX_CHANNELS, &channels));
    ASH_TRY(ash_gguf_get_u32(file, ".feed_forward_length", 1, MAX_FEED_FORWARD, &feed_forward));
    ASH_TRY(ash_gguf_get_u32(file, ".context_length", 1, MAX_CONTEXT, &context));
    ASH_TRY(ash_gguf_get_u32(file, ".attention.head_count", 1, MAX_HEADS, &heads));
    ASH_TRY(ash_gguf_get_u32_or(file, ".attention.head_count_kv", heads, 1, MAX_HEADS, &kv_heads));
    ASH_TRY(ash_gguf_get_u32_or(
        file, ".attention.key_length", channels / heads, 1, MAX_HEAD_SIZE, &head_size));
    ASH_TRY(check_variant(file, head_size));
    if (heads % kv_heads != 0)
        return ash_fail(ASH_ERR_FORMAT, "%s: %u query heads cannot share %u key/value heads evenly",
            ash_gguf_path(file), heads, kv_heads);
    if (head_size < 2 || head_size > MAX_HEAD_SIZE)
        return ash_fail(ASH_ERR_FORMAT, "%s: heads of %u channels; expected 2 to %d",
            ash_gguf_path(file), head_size, MAX_HEAD_SIZE);
    shape->layers = layers;
    shape->channels = channels;
    shape->feed_forward = feed_forward;
    shape->context = context;
    shape->heads = heads;
    shape->kv_heads = kv_heads;
    shape->head_size = head_size;
    return ASH_OK;
}

/* The vocabulary is what the embedding holds: the tokenizer's list may be shorter (padding). */
static enum ash_status read_vocabulary(const struct ash_gguf *file, struct ash_model_shape *shape)
{
    struct ash_tensor table;
    ASH_TRY(ash_gguf_find_tensor(file, "token_embd.weight", &table));
    if (table.rank != 2 || table.dim[0] > MAX_VOCABULARY)
        return ash_fail(ASH_ERR_FORMAT, "%s: token_embd.weight is no (V, C) matrix with V <= %d",
            ash_gguf_path(file), MAX_VOCABULARY);
    shape->vocabulary = table.dim[0];
    return ASH_OK;
}

/* Its scale of q and k is applied to their product, which needs all of a head to turn. */
static enum ash_status read_yarn(
    const struct ash_gguf *file, uint32_t dims, float base, struct ash_model_shape *shape)
{
    if (dims != shape->head_size)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s: YaRN where %u of a head's %lld channels turn; this build knows it where all do",
            ash_gguf_path(file), dims, (long long)shape->head_size);
    if (ash_gguf_has_tensor(file, "rope_freqs.weight"))
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s: YaRN and rope_freqs.weight, either of which stretches the context, in one file",
            ash_gguf_path(file));
    return ash_yarn_read(file, (int)dims, base, &shape->yarn);
}

/* A window as wide as the context is none; Mistral's first models have one of 4,096. */
static enum ash_status read_window(const struct ash_gguf *file, struct ash_model_shape *shape)
{
    uint32_t window;
    ASH_TRY(ash_gguf_get_u32_or(file, ".attention.sliding_window", 0, 0, UINT32_MAX, &window));
    shape->window = window < shape->context ? (int)window : 0;
    return ASH_OK;
}

static enum ash_status read_rope(const struct ash_gguf *file, struct ash_model_shape *shape)
{
    uint32_t dims;
    float base, factor;
    struct ash_gguf_string scaling;
    ASH_TRY(ash_gguf_get_u32_or(file, ".rope.dimension_count", (uint32_t)shape->head_size, 2,
        (uint32_t)shape->head_size, &dims));
    ASH_TRY(ash_gguf_get_f32_or(file, ".rope.freq_base", 10000, 1, 1e12f, &base));
    ASH_TRY(ash_gguf_get_string_or(file, ".rope.scaling.type", "none", &scaling));
    ASH_TRY(ash_gguf_get_f32_or(file, ".rope.scaling.factor", 1, 1e-6f, 1e6f, &factor));
    if (dims % 2 != 0)
        return ash_fail(ASH_ERR_FORMAT, "%s: RoPE turns pairs; its %u dimensions are odd",
            ash_gguf_path(file), dims);
    bool linear = ash_gguf_string_is(scaling, "linear"), yarn = ash_gguf_string_is(scaling, "yarn");
    if (!linear && !yarn && !ash_gguf_string_is(scaling, "none"))
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s: RoPE scaling '%.*s'; this build knows none, linear, yarn", ash_gguf_path(file),
            (int)(scaling.length < 32 ? scaling.length : 32), scaling.text);
    if (yarn)
        ASH_TRY(read_yarn(file, dims, base, shape));
    shape->rope = (struct ash_rope_params){
        .head_size = (int)shape->head_size,
        .dims = (int)dims,
        .base = base,
        .scale = linear ? 1 / factor : 1,
        .mode = ASH_ROPE_INTERLEAVED,
    };
    return ASH_OK;
}

static enum ash_status read_shape(const struct ash_gguf *file, struct ash_model_shape *out)
{
    struct ash_model_shape shape = { 0 };
    ASH_TRY(read_counts(file, &shape));
    ASH_TRY(read_vocabulary(file, &shape));
    ASH_TRY(read_window(file, &shape));
    ASH_TRY(read_rope(file, &shape));
    ASH_TRY(ash_gguf_get_f32(
        file, ".attention.layer_norm_rms_epsilon", 1e-12f, 1, &shape.norm_epsilon));
    *out = shape;
    return ASH_OK;
}

/* A graph operation named "blk.<layer>.<what>". */
static ash_value add(struct ash_build *build, int64_t layer, const char *what,
    const struct ash_op *op, const ash_value *in, int count, const void *params)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%lld.%s", (long long)layer, what);
    return ash_graph_add(build->graph, name, op, in, count, params);
}

static ash_value norm(struct ash_build *build, int64_t layer, const char *what, ash_value x)
{
    ash_value weight = ash_build_weight(
        build, build->shape->channels, 0, "blk.%lld.%s.weight", (long long)layer, what);
    return add(build, layer, what, &ash_op_rmsnorm, (ash_value[]){ x, weight }, 2,
        &(struct ash_rmsnorm_params){ .eps = build->shape->norm_epsilon });
}

/* x W^T (+ bias, where the file has one), of W (rows, columns) the rows of `part`. */
static ash_value project(struct ash_build *build, int64_t layer, const char *what, ash_value x,
    struct ash_rows part, int64_t rows, int64_t columns)
{
    ash_value weight =
        ash_build_rows(build, part, rows, columns, "blk.%lld.%s.weight", (long long)layer, what);
    ash_value bias =
        ash_build_optional(build, part, rows, "blk.%lld.%s.bias", (long long)layer, what);
    return add(build, layer, what, &ash_op_matmul, (ash_value[]){ x, weight, bias }, 3, NULL);
}

/* The rows of the present part, of as many as there are in all. */
static struct ash_rows own_rows(const struct ash_build *build, int64_t rows)
{
    return ash_split_rows(build->split, build->part, rows);
}

/* The rows of some heads. */
static struct ash_rows rows_of(struct ash_rows heads, int64_t head_size)
{
    return (struct ash_rows){ heads.first * head_size, heads.count * head_size };
}

/* x: (T, C), the stream before its norm; returns (T, H D) of the part's heads. */
static ash_value attend(struct ash_build *build, int64_t layer, ash_value x, ash_value factors)
{
    const struct ash_model_shape *shape = build->shape;
    int64_t c = shape->channels, d = shape->head_size, group = shape->heads / shape->kv_heads;
    struct ash_rows own = ash_split_heads(build->split, build->part, shape->kv_heads);
    struct ash_rows kv_rows = rows_of(own, d), q_rows = rows_of(own, group * d);
    ash_value normed = norm(build, layer, "attn_norm", x);
    ash_value q = project(build, layer, "attn_q", normed, q_rows, shape->heads * d, c);
    ash_value k = project(build, layer, "attn_k", normed, kv_rows, shape->kv_heads * d, c);
    ash_value v = project(build, layer, "attn_v", normed, kv_rows, shape->kv_heads * d, c);
    ash_value keys = ash_build_cache(build, own.count, "blk.%lld.keys", (long long)layer);
    ash_value values = ash_build_cache(build, own.count, "blk.%lld.values", (long long)layer);

    struct ash_rope_params rope = shape->rope;
    rope.heads = (int)(own.count * group);
    q = add(build, layer, "rope", &ash_op_rope, (ash_value[]){ q, factors }, 2, &rope);
    rope.heads = (int)own.count;
    add(build, layer, "kv_write", &ash_op_kv_write, (ash_value[]){ k, v, keys, values, factors }, 5,
        &(struct ash_kv_write_params){ .rope = rope });
    float magnitude = shape->yarn.used ? shape->yarn.magnitude : 1; /* of q and of k */
    ash_value scratch = ash_build_scratch(build);
    return add(build, layer, "attention", &ash_op_attention,
        (ash_value[]){ q, keys, values, scratch }, 4,
        &(struct ash_attention_params){ .heads = (int)(own.count * group),
            .scale = magnitude * magnitude / sqrtf((float)d),
            .window = shape->window });
}

/* x: (T, C), the stream before its norm; returns (T, F) of the part's rows. */
static ash_value feed(struct ash_build *build, int64_t layer, ash_value x)
{
    int64_t c = build->shape->channels, f = build->shape->feed_forward;
    struct ash_rows own = own_rows(build, f);
    ash_value normed = norm(build, layer, "ffn_norm", x);
    ash_value gate = project(build, layer, "ffn_gate", normed, own, f, c);
    ash_value up = project(build, layer, "ffn_up", normed, own, f, c);
    return add(build, layer, "ffn_act", &ash_op_glu, (ash_value[]){ gate, up }, 2,
        &(struct ash_glu_params){ .activation = ASH_SILU });
}

/* What the parts have of a row, side by side in each of them. */
static struct ash_parts join(
    struct ash_build *build, int64_t layer, const char *what, const struct ash_parts *parts)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%lld.%s", (long long)layer, what);
    return ash_build_join(build, name, parts);
}

/* x + (what `parts` have of a row) W^T, W (C, columns); each part has x, and gets all of the sum. */
static struct ash_parts add_projected(struct ash_build *build, int64_t layer,
    const char *const what[4], const struct ash_parts *parts, int64_t columns,
    const struct ash_parts *x)
{
    int64_t c = build->shape->channels;
    struct ash_parts whole = join(build, layer, what[0], parts), y;
    for (int32_t i = 0; i < build->split->parts; i++) {
        ash_build_part(build, i);
        y.of[i] = project(build, layer, what[1], whole.of[i], own_rows(build, c), c, columns);
    }
    y = join(build, layer, what[2], &y);
    for (int32_t i = 0; i < build->split->parts; i++) {
        ash_build_part(build, i);
        y.of[i] =
            add(build, layer, what[3], &ash_op_add, (ash_value[]){ y.of[i], x->of[i] }, 2, NULL);
    }
    return y;
}

static struct ash_parts layer(
    struct ash_build *build, int64_t index, const struct ash_parts *before, ash_value factors)
{
    static const char *const mixing[] = { "attn_join", "attn_output", "attn_output_join",
        "attn_residual" };
    static const char *const feeding[] = { "ffn_join", "ffn_down", "ffn_down_join",
        "ffn_residual" };
    const struct ash_model_shape *shape = build->shape;
    struct ash_parts x, y;
    for (int32_t i = 0; i < build->split->parts; i++) {
        ash_build_part(build, i);
        y.of[i] = attend(build, index, before->of[i], factors);
    }
    x = add_projected(build, index, mixing, &y, shape->heads * shape->head_size, before);
    for (int32_t i = 0; i < build->split->parts; i++) {
        ash_build_part(build, i);
        y.of[i] = feed(build, index, x.of[i]);
    }
    return add_projected(build, index, feeding, &y, shape->feed_forward, &x);
}

static ash_value add_yarn_factors(struct ash_build *build)
{
    const struct ash_model_shape *shape = build->shape;
    struct ash_tensor factors;
    enum ash_status status =
        ash_tensor_init(ASH_F32, 1, (int64_t[]){ shape->rope.dims / 2 }, &factors);
    if (status != ASH_OK)
        return ash_graph_fail(build->graph, status);
    factors.data = (void *)(uintptr_t)shape->yarn.factor; /* weights are only read */
    return ash_graph_weight(build->graph, "yarn", &factors);
}

/* Turning divides by them: a file that holds a zero, a negative or no number is refused here. */
static ash_value add_factors(struct ash_build *build)
{
    int64_t count = build->shape->rope.dims / 2;
    if (build->shape->yarn.used)
        return add_yarn_factors(build);
    ash_value factors =
        ash_build_optional(build, (struct ash_rows){ 0, count }, count, "rope_freqs.weight");
    if (factors == ASH_NO_VALUE)
        return ASH_NO_VALUE;
    const struct ash_tensor *tensor = &ash_graph_value_at(build->graph, factors)->tensor;
    for (int64_t i = 0; tensor->type == ASH_F32 && i < count; i++) {
        float factor;
        memcpy(&factor, (const char *)tensor->data + 4 * i, sizeof factor);
        if (!(factor > 0 && factor < INFINITY))
            return ash_graph_fail(build->graph,
                ash_fail(ASH_ERR_FORMAT, "%s: rope_freqs.weight[%lld] is %g; expected more than 0",
                    ash_gguf_path(build->file), (long long)i, (double)factor));
    }
    return factors;
}

/* Only the rows whose logits are wanted go on; of those, the part's logits. */
static ash_value predict(struct ash_build *build, ash_value x, ash_value table)
{
    const struct ash_model_shape *shape = build->shape;
    x = ash_graph_add(build->graph, "gather", &ash_op_gather, (ash_value[]){ x }, 1, NULL);
    ash_value weight = ash_build_weight(build, shape->channels, 0, "output_norm.weight");
    x = ash_graph_add(build->graph, "output_norm", &ash_op_rmsnorm, (ash_value[]){ x, weight }, 2,
        &(struct ash_rmsnorm_params){ .eps = shape->norm_epsilon });
    bool tied = !ash_gguf_has_tensor(build->file, "output.weight");
    ash_value output =
        tied && build->split->parts == 1
            ? table
            : ash_build_rows(build, own_rows(build, shape->vocabulary), shape->vocabulary,
                  shape->channels, tied ? "token_embd.weight" : "output.weight");
    return ash_graph_add(
        build->graph, "output", &ash_op_matmul, (ash_value[]){ x, output }, 2, NULL);
}

static ash_value build_graph(struct ash_build *build)
{
    const struct ash_model_shape *shape = build->shape;
    ash_build_part(build, -1);
    ash_value table =
        ash_build_weight(build, shape->vocabulary, shape->channels, "token_embd.weight");
    ash_value factors = add_factors(build);
    struct ash_parts x;
    x.of[0] = ash_graph_add(
        build->graph, "token_embd", &ash_op_embedding, (ash_value[]){ table }, 1, NULL);
    for (int32_t i = 1; i < build->split->parts; i++)
        x.of[i] = x.of[0];
    for (int64_t i = 0; i < shape->layers; i++)
        x = layer(build, i, &x, factors);
    for (int32_t i = 0; i < build->split->parts; i++) {
        ash_build_part(build, i);
        x.of[i] = predict(build, x.of[i], table);
    }
    ash_build_part(build, -1);
    return ash_build_joined(build, "logits", &x);
}

const struct ash_arch ash_arch_llama = {
    .name = "llama",
    .read = read_shape,
    .build = build_graph,
};
