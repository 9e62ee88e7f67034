/* SPDX-License-Identifier: Apache-2.0 */
#include "models/synthesize.h"

#include "models/synthesize_internal.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 1 << 15 }; /* elements that are made at a time; a multiple of every block */

/* The same bounds as models/llama.c sets for what it reads: no product leaves 63 bits. */
enum {
    MOST_LAYERS = 1024,
    MOST_CHANNELS = 1 << 20,
    MOST_FEED_FORWARD = 1 << 22,
    MOST_HEADS = 1 << 12,
    MOST_HEAD_SIZE = 1 << 10,
    MOST_CONTEXT = 1 << 28,
    MOST_VOCABULARY = 1 << 24,
};

/* A tensor of the file, and the distribution of its elements. */
struct weight {
    char name[64];
    enum ash_type type;
    int rank;
    int64_t dim[2];
    float mean, deviation;
};

struct maker {
    const struct ash_synthesis *what;
    struct ash_gguf_writer *writer;
    uint64_t done_bytes, total_bytes;
    float value[PIECE];
    uint8_t packed[PIECE * sizeof(float)];
};

/* ---- The tensors, in the order of the file ---- */

typedef enum ash_status visitor(struct maker *maker, const struct weight *weight);

static enum ash_status matrix(struct maker *maker, visitor *visit, enum ash_type type, int64_t rows,
    int64_t columns, const char *name)
{
    struct weight weight = { .type = type, .rank = 2, .dim = { rows, columns } };
    weight.deviation = 1 / sqrtf((float)columns);
    snprintf(weight.name, sizeof weight.name, "%s", name);
    return visit(maker, &weight);
}

static enum ash_status vector(
    struct maker *maker, visitor *visit, int64_t length, const char *name, float mean)
{
    struct weight weight = { .type = ASH_F32, .rank = 1, .dim = { length }, .mean = mean };
    weight.deviation = 0.05F;
    snprintf(weight.name, sizeof weight.name, "%s", name);
    return visit(maker, &weight);
}

/* What a layer holds; `rows` and `columns` are of its matrices, `columns` 0 makes a vector. */
static enum ash_status layer(struct maker *maker, visitor *visit, int64_t index)
{
    const struct ash_synthetic_shape *s = &maker->what->shape;
    bool biased = strcmp(s->architecture, "qwen2") == 0;
    int64_t q = s->heads * s->head_size, kv = s->kv_heads * s->head_size;
    const struct {
        const char *name;
        int64_t rows, columns;
        float mean;
        bool left_out;
    } parts[] = {
        { "attn_norm.weight", s->channels, 0, 1, false },
        { "attn_q.weight", q, s->channels, 0, false },
        { "attn_q.bias", q, 0, 0, !biased },
        { "attn_k.weight", kv, s->channels, 0, false },
        { "attn_k.bias", kv, 0, 0, !biased },
        { "attn_v.weight", kv, s->channels, 0, false },
        { "attn_v.bias", kv, 0, 0, !biased },
        { "attn_output.weight", s->channels, q, 0, false },
        { "ffn_norm.weight", s->channels, 0, 1, false },
        { "ffn_gate.weight", s->feed_forward, s->channels, 0, false },
        { "ffn_up.weight", s->feed_forward, s->channels, 0, false },
        { "ffn_down.weight", s->channels, s->feed_forward, 0, false },
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%lld.%s", (long long)index, parts[i].name);
        if (parts[i].left_out)
            continue;
        if (parts[i].columns)
            ASH_TRY(matrix(maker, visit, maker->what->type, parts[i].rows, parts[i].columns, name));
        else
            ASH_TRY(vector(maker, visit, parts[i].rows, name, parts[i].mean));
    }
    return ASH_OK;
}

static enum ash_status each_weight(struct maker *maker, int64_t vocabulary, visitor *visit)
{
    const struct ash_synthesis *what = maker->what;
    const struct ash_synthetic_shape *s = &what->shape;
    ASH_TRY(matrix(maker, visit, s->tied ? what->output_type : what->type, vocabulary, s->channels,
        "token_embd.weight"));
    for (int64_t i = 0; i < s->layers; i++)
        ASH_TRY(layer(maker, visit, i));
    ASH_TRY(vector(maker, visit, s->channels, "output_norm.weight", 1));
    if (!s->tied)
        ASH_TRY(matrix(maker, visit, what->output_type, vocabulary, s->channels, "output.weight"));
    return ASH_OK;
}

/* ---- Their elements ---- */

/* splitmix64 (Steele, Lea, Flood 2014): any seed is a good one. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

/* A tensor's own stream: what it holds does not depend on what the file holds before it. */
static uint64_t stream_of(uint64_t seed, const char *name)
{
    uint64_t hash = ash_hash(ASH_HASH_BEGIN, name, strlen(name)) ^ seed;
    return next_random(&hash);
}

/*
 * Four 16-bit uniforms added: bounded at 3.46 deviations, close enough to normal, and the same on every
 * machine, as the integers are exact and only one product and one sum round.
 */
static void fill_normal(uint64_t *state, float mean, float deviation, float *out, int64_t count)
{
    const float unit = deviation * 1.7320508F / 65536;
    for (int64_t i = 0; i < count; i++) {
        uint64_t r = next_random(state);
        int32_t sum = (int32_t)((r & 0xFFFF) + (r >> 16 & 0xFFFF) + (r >> 32 & 0xFFFF) + (r >> 48));
        float scaled = (float)(sum - 2 * 0xFFFF) * unit;
        out[i] = scaled + mean;
    }
}

static enum ash_status describe(struct maker *maker, const struct weight *weight)
{
    ash_gguf_write_tensor(maker->writer, weight->name, weight->type, weight->rank, weight->dim);
    return ASH_OK;
}

static enum ash_status report(struct maker *maker, uint64_t size_bytes)
{
    const struct ash_synthesis *what = maker->what;
    maker->done_bytes += size_bytes;
    if (what->progress && !what->progress(what->context, maker->done_bytes, maker->total_bytes))
        return ash_fail(ASH_ERR_CANCELED, "stopped; nothing was kept");
    return ASH_OK;
}

static enum ash_status fill(struct maker *maker, const struct weight *weight)
{
    const struct ash_type_info *info = ash_type_info(weight->type);
    uint64_t state = stream_of(maker->what->seed, weight->name);
    int64_t count = weight->dim[0] * (weight->rank == 2 ? weight->dim[1] : 1);
    for (int64_t done = 0; done < count; done += PIECE) {
        int64_t piece = count - done < PIECE ? count - done : PIECE;
        size_t size_bytes = (size_t)(piece / info->block_elements * info->block_bytes);
        fill_normal(&state, weight->mean, weight->deviation, maker->value, piece);
        ASH_TRY(ash_from_float(weight->type, maker->value, piece, maker->packed));
        ash_gguf_write_data(maker->writer, maker->packed, size_bytes);
        ASH_TRY(ash_gguf_writer_status(maker->writer));
        ASH_TRY(report(maker, size_bytes));
    }
    return ASH_OK;
}

/* ---- What may be asked for ---- */

static enum ash_status check_number(const char *what, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return ASH_OK;
    return ash_fail(ASH_ERR_ARGUMENT, "%s is %lld; expected %lld to %lld", what, (long long)value,
        (long long)least, (long long)most);
}

/* Rows of a matrix are cut into blocks. */
static enum ash_status check_blocks(const char *what, int64_t value, enum ash_type type)
{
    int block = ash_type_info(type)->block_elements;
    if (value % block == 0)
        return ASH_OK;
    return ash_fail(ASH_ERR_ARGUMENT, "%s is %lld; %s packs blocks of %d", what, (long long)value,
        ash_type_info(type)->name, block);
}

static enum ash_status check_type(enum ash_type type)
{
    if (type < ASH_TYPE_COUNT && type != ASH_I32 && type != ASH_A8)
        return ASH_OK;
    return ash_fail(ASH_ERR_ARGUMENT, "%s holds no weights",
        type < ASH_TYPE_COUNT ? ash_type_info(type)->name : "an unknown type");
}

static enum ash_status check_heads(const struct ash_synthetic_shape *shape)
{
    ASH_TRY(check_number("heads", shape->heads, 1, MOST_HEADS));
    ASH_TRY(check_number("KV heads", shape->kv_heads, 1, shape->heads));
    ASH_TRY(check_number("the head size", shape->head_size, 2, MOST_HEAD_SIZE));
    if (shape->heads % shape->kv_heads != 0)
        return ash_fail(ASH_ERR_ARGUMENT, "%lld heads cannot share %lld KV heads evenly",
            (long long)shape->heads, (long long)shape->kv_heads);
    if (shape->head_size % 2 != 0)
        return ash_fail(ASH_ERR_ARGUMENT, "the head size is %lld; RoPE turns pairs",
            (long long)shape->head_size);
    return ASH_OK;
}

static enum ash_status check_reals(const struct ash_synthetic_shape *shape)
{
    if (!(shape->rope_base >= 1 && shape->rope_base <= 1e12))
        return ash_fail(
            ASH_ERR_ARGUMENT, "RoPE's base is %g; expected 1 to 1e12", shape->rope_base);
    if (!(shape->norm_epsilon >= 1e-12 && shape->norm_epsilon <= 1))
        return ash_fail(
            ASH_ERR_ARGUMENT, "the norms' epsilon is %g; expected 1e-12 to 1", shape->norm_epsilon);
    return ASH_OK;
}

static enum ash_status check(const struct ash_synthesis *what)
{
    const struct ash_synthetic_shape *shape = &what->shape;
    ASH_TRY(check_type(what->type));
    ASH_TRY(check_type(what->output_type));
    if (strcmp(shape->architecture, "llama") != 0 && strcmp(shape->architecture, "qwen2") != 0)
        return ash_fail(
            ASH_ERR_ARGUMENT, "architecture \"%s\"; expected llama or qwen2", shape->architecture);
    ASH_TRY(check_number("the number of layers", shape->layers, 1, MOST_LAYERS));
    ASH_TRY(check_number("the width", shape->channels, 1, MOST_CHANNELS));
    ASH_TRY(check_number("the feed-forward width", shape->feed_forward, 1, MOST_FEED_FORWARD));
    ASH_TRY(check_number("the context", shape->context, 1, MOST_CONTEXT));
    ASH_TRY(check_number("the vocabulary", shape->vocabulary, 0, MOST_VOCABULARY));
    ASH_TRY(check_heads(shape));
    ASH_TRY(check_blocks("the width", shape->channels, what->type));
    ASH_TRY(check_blocks("the width", shape->channels, what->output_type));
    ASH_TRY(check_blocks("the feed-forward width", shape->feed_forward, what->type));
    ASH_TRY(check_blocks("heads times head size", shape->heads * shape->head_size, what->type));
    return check_reals(shape);
}

static enum ash_status choose_vocabulary(const struct ash_synthesis *what, int64_t *out)
{
    struct ash_gguf_value tokens;
    ASH_TRY(
        ash_gguf_get_array(what->tokenizer, "tokenizer.ggml.tokens", ASH_GGUF_STRINGS, &tokens));
    int64_t wanted = what->shape.vocabulary ? what->shape.vocabulary : (int64_t)tokens.count;
    if (tokens.count == 0 || tokens.count > (uint64_t)wanted || wanted > MOST_VOCABULARY)
        return ash_fail(ASH_ERR_FORMAT,
            "%s: a tokenizer of %llu tokens for a vocabulary of %lld; take a smaller tokenizer, or a "
            "larger vocabulary",
            ash_gguf_path(what->tokenizer), (unsigned long long)tokens.count, (long long)wanted);
    *out = wanted;
    return ASH_OK;
}

static enum ash_status make(struct maker *maker, int64_t vocabulary)
{
    ASH_TRY(ash_synthesize_metadata(maker->what, vocabulary, maker->writer));
    ASH_TRY(each_weight(maker, vocabulary, describe));
    maker->total_bytes = ash_gguf_writer_data_bytes(maker->writer);
    ASH_TRY(each_weight(maker, vocabulary, fill));
    return ash_gguf_writer_finish(maker->writer);
}

enum ash_status ash_synthesize(const struct ash_synthesis *what, const char *path)
{
    int64_t vocabulary = 0;
    ASH_TRY(check(what));
    ASH_TRY(choose_vocabulary(what, &vocabulary));
    struct maker *maker = ash_alloc_zero(sizeof *maker);
    if (!maker)
        return ash_fail_memory(sizeof *maker, "a maker of weights");
    maker->what = what;
    enum ash_status status = ash_gguf_writer_create(path, &maker->writer);
    if (status == ASH_OK)
        status = make(maker, vocabulary);
    ash_gguf_writer_destroy(maker->writer);
    ash_free(maker);
    return status;
}
