/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Named shapes, and the metadata of a file with one. Keys: github.com/ggml-org/ggml, docs/gguf.md.
 */
#include "models/synthesize_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
const struct ash_synthetic_shape ash_synthetic_shapes[] = {
    /*                           L     C      F   H  Hkv   D       V  context     base   eps  tied */
    { "smollm2-135m",  "llama", 30,  576,  1536,  9,  3,  64,  49152,   8192, 100000, 1e-5, true },
    { "smollm2-360m",  "llama", 32,  960,  2560, 15,  5,  64,  49152,   8192, 100000, 1e-5, true },
    { "smollm2-1.7b",  "llama", 24, 2048,  8192, 32, 32,  64,  49152,   8192, 130000, 1e-5, true },
    { "llama-3.2-1b",  "llama", 16, 2048,  8192, 32,  8,  64, 128256, 131072, 500000, 1e-5, true },
    { "llama-3.2-3b",  "llama", 28, 3072,  8192, 24,  8, 128, 128256, 131072, 500000, 1e-5, true },
    { "llama-3-8b",    "llama", 32, 4096, 14336, 32,  8, 128, 128256,   8192, 500000, 1e-5, false },
    { "qwen2.5-0.5b",  "qwen2", 24,  896,  4864, 14,  2,  64, 151936,  32768, 1e6,    1e-6, true },
    { "qwen2.5-1.5b",  "qwen2", 28, 1536,  8960, 12,  2, 128, 151936,  32768, 1e6,    1e-6, true },
    { "qwen2.5-7b",    "qwen2", 28, 3584, 18944, 28,  4, 128, 152064,  32768, 1e6,    1e-6, false },
    { 0 },
};
/* clang-format on */

const struct ash_synthetic_shape *ash_synthetic_shape_find(const char *name)
{
    for (const struct ash_synthetic_shape *shape = ash_synthetic_shapes; shape->name; shape++)
        if (strcmp(shape->name, name) == 0)
            return shape;
    return NULL;
}

/* general.file_type, as llama.cpp's enum llama_ftype numbers what most of the file is. */
static uint32_t file_type(enum ash_type type)
{
    static const uint32_t number[ASH_TYPE_COUNT] = {
        [ASH_F16] = 1, [ASH_Q4_0] = 2, [ASH_Q4_1] = 3, [ASH_Q8_0] = 7, [ASH_BF16] = 32
    };
    return number[type];
}

/* "<architecture>.<key>" into `text`; returns it. */
static const char *key_of(const struct ash_synthetic_shape *shape, const char *key, char text[96])
{
    snprintf(text, 96, "%s.%s", shape->architecture, key);
    return text;
}

static void write_shape(
    const struct ash_synthetic_shape *shape, int64_t vocabulary, struct ash_gguf_writer *writer)
{
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {
        { "block_count", shape->layers },
        { "context_length", shape->context },
        { "embedding_length", shape->channels },
        { "feed_forward_length", shape->feed_forward },
        { "attention.head_count", shape->heads },
        { "attention.head_count_kv", shape->kv_heads },
        { "attention.key_length", shape->head_size },
        { "attention.value_length", shape->head_size },
        { "rope.dimension_count", shape->head_size },
        { "vocab_size", vocabulary },
    };
    char key[96];
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        ash_gguf_write_u32(writer, key_of(shape, counts[i].key, key), (uint32_t)counts[i].value);
    ash_gguf_write_f32(writer, key_of(shape, "rope.freq_base", key), (float)shape->rope_base);
    ash_gguf_write_f32(
        writer, key_of(shape, "attention.layer_norm_rms_epsilon", key), (float)shape->norm_epsilon);
}

/* Tokens [from, to) that no text becomes, as converters of padded vocabularies name them. */
static enum ash_status write_padded_tokens(
    struct ash_gguf_writer *writer, const struct ash_gguf_value *tokens, uint64_t from, uint64_t to)
{
    enum { MOST = 8 + 32 };
    size_t used = 0;
    uint8_t *items = ash_alloc_array((size_t)(to - from), MOST);
    if (!items)
        return ash_fail_memory((size_t)(to - from) * MOST, "unused tokens");
    for (uint64_t i = from; i < to; i++) {
        char name[32];
        uint64_t length = (uint64_t)snprintf(name, sizeof name, "[PAD%llu]", (unsigned long long)i);
        memcpy(items + used, &length, sizeof length);
        memcpy(items + used + sizeof length, name, length);
        used += sizeof length + length;
    }
    ash_gguf_write_value(writer, tokens, (size_t)(to - from), items, used);
    ash_free(items);
    return ASH_OK;
}

/* The same of their types or scores: `pad` in each of four bytes. */
static enum ash_status write_padded_numbers(struct ash_gguf_writer *writer,
    const struct ash_gguf_value *numbers, uint64_t count, uint32_t pad)
{
    uint32_t *items = ash_alloc_array((size_t)count, sizeof *items);
    if (!items)
        return ash_fail_memory((size_t)count * sizeof *items, "unused tokens");
    for (uint64_t i = 0; i < count; i++)
        items[i] = pad;
    ash_gguf_write_value(writer, numbers, (size_t)count, items, (size_t)count * sizeof *items);
    ash_free(items);
    return ASH_OK;
}

/* One key of the tokenizer's: the lists with an item a token are filled up. */
static enum ash_status write_tokenizer_value(struct ash_gguf_writer *writer,
    const struct ash_gguf_value *value, uint64_t tokens, uint64_t vocabulary)
{
    enum { UNUSED = 5 }; /* tokenizer.ggml.token_type */
    uint64_t more = vocabulary - tokens;
    bool a_token = value->is_array && value->count == tokens && more > 0;
    bool numbers = value->type == ASH_GGUF_I32 || value->type == ASH_GGUF_U32;
    if (a_token && ash_gguf_string_is(value->key, "tokenizer.ggml.tokens"))
        return write_padded_tokens(writer, value, tokens, vocabulary);
    if (a_token && numbers && ash_gguf_string_is(value->key, "tokenizer.ggml.token_type"))
        return write_padded_numbers(writer, value, more, UNUSED);
    if (a_token && value->type == ASH_GGUF_F32 &&
        ash_gguf_string_is(value->key, "tokenizer.ggml.scores"))
        return write_padded_numbers(writer, value, more, 0);
    ash_gguf_write_value(writer, value, 0, NULL, 0);
    return ASH_OK;
}

static bool is_tokenizer_key(struct ash_gguf_string key)
{
    static const char prefix[] = "tokenizer.";
    return key.length >= sizeof prefix - 1 && memcmp(key.text, prefix, sizeof prefix - 1) == 0;
}

enum ash_status ash_synthesize_metadata(
    const struct ash_synthesis *what, int64_t vocabulary, struct ash_gguf_writer *writer)
{
    const struct ash_gguf *from = what->tokenizer;
    struct ash_gguf_value tokens;
    ASH_TRY(ash_gguf_get_array(from, "tokenizer.ggml.tokens", ASH_GGUF_STRINGS, &tokens));
    assert((uint64_t)vocabulary >= tokens.count);
    ash_gguf_write_string(writer, "general.architecture", what->shape.architecture);
    ash_gguf_write_string(writer, "general.name", what->shape.name);
    ash_gguf_write_string(writer, "general.description", "random weights, for measuring");
    ash_gguf_write_u32(writer, "general.file_type", file_type(what->type));
    ash_gguf_write_u32(writer, "general.quantization_version", 2);
    write_shape(&what->shape, vocabulary, writer);
    for (size_t i = 0; i < ash_gguf_value_count(from); i++) {
        const struct ash_gguf_value *value = ash_gguf_value_at(from, i);
        if (is_tokenizer_key(value->key))
            ASH_TRY(write_tokenizer_value(writer, value, tokens.count, (uint64_t)vocabulary));
    }
    return ASH_OK;
}
