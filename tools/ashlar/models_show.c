/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model file says of itself, for any architecture: what is missing or absurd is left out rather
 * than refused, so that a file that cannot run can still be looked at.
 */
#include "models/gguf.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "tools/ashlar/models.h"
#include "tools/ashlar/show.h"
#include "tools/ashlar/table.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FORMATS = 48, MOST = 1 << 28 };

struct format {
    const char *name;
    bool supported;
    uint64_t tensors, size_bytes;
};

struct facts {
    struct ash_gguf_string name, architecture, licence, tokenizer, splits;  /* "" = not said */
    uint32_t context, layers, width, heads, kv_heads, key_size, value_size; /* 0 = not said */
    uint64_t vocabulary, parameters, weight_bytes, file_bytes;
    uint64_t context_wanted, kv_bytes; /* 0 = cannot be told */
    struct format format[MAX_FORMATS];
    size_t format_count;
};

/* 0 where the file does not say, or says nonsense. */
static uint32_t number(const struct ash_gguf *gguf, const char *key, uint32_t fallback)
{
    uint32_t value = 0;
    return ash_gguf_get_u32_or(gguf, key, fallback, 0, MOST, &value) == ASH_OK ? value : 0;
}

static struct ash_gguf_string text(const struct ash_gguf *gguf, const char *key)
{
    struct ash_gguf_string value;
    if (ash_gguf_get_string_or(gguf, key, "", &value) != ASH_OK)
        value = (struct ash_gguf_string){ "", 0 };
    return value;
}

static uint64_t vocabulary(const struct ash_gguf *gguf)
{
    struct ash_gguf_value tokens;
    if (!ash_gguf_has(gguf, "tokenizer.ggml.tokens") ||
        ash_gguf_get_array(gguf, "tokenizer.ggml.tokens", ASH_GGUF_STRINGS, &tokens) != ASH_OK)
        return number(gguf, ".vocab_size", 0);
    return tokens.count;
}

static void count_formats(const struct ash_gguf *gguf, struct facts *facts)
{
    for (size_t i = 0; i < ash_gguf_tensor_count(gguf); i++) {
        const struct ash_gguf_tensor *tensor = ash_gguf_tensor_at(gguf, i);
        size_t k = 0;
        while (k < facts->format_count && strcmp(facts->format[k].name, tensor->type_name) != 0)
            k++;
        if (k == MAX_FORMATS)
            continue; /* more than there are types */
        if (k == facts->format_count)
            facts->format[facts->format_count++] =
                (struct format){ tensor->type_name, tensor->supported, 0, 0 };
        facts->format[k].tensors++;
        facts->format[k].size_bytes += tensor->size_bytes;
        facts->parameters += tensor->elements; /* each fits 63 bits and lies in the file */
    }
}

/* Saturating: the file's numbers may be anything up to MOST. */
static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* Keys and values of every layer, rows padded to whole blocks of the cache's type. */
static uint64_t kv_bytes(const struct facts *facts, int kv_type, uint64_t context)
{
    const struct ash_type_info *info =
        ash_type_info(kv_type == ASH_KV_AUTO ? ASH_F16 : (enum ash_type)kv_type);
    uint64_t block = (uint64_t)info->block_elements;
    uint64_t blocks =
        (facts->key_size + block - 1) / block + (facts->value_size + block - 1) / block;
    uint64_t token = times(times(blocks, (uint64_t)info->block_bytes), facts->kv_heads);
    return times(times(token, facts->layers), context);
}

static void gather(const struct ash_gguf *gguf, const struct ash_config *config, struct facts *out)
{
    *out = (struct facts){ .name = text(gguf, "general.name"),
        .architecture = text(gguf, "general.architecture"),
        .licence = text(gguf, "general.license"),
        .tokenizer = text(gguf, "tokenizer.ggml.model"),
        .splits = text(gguf, "tokenizer.ggml.pre"),
        .context = number(gguf, ".context_length", 0),
        .layers = number(gguf, ".block_count", 0),
        .width = number(gguf, ".embedding_length", 0),
        .heads = number(gguf, ".attention.head_count", 0),
        .vocabulary = vocabulary(gguf),
        .weight_bytes = ash_gguf_tensor_bytes(gguf),
        .file_bytes = ash_gguf_file_bytes(gguf) };
    out->kv_heads = number(gguf, ".attention.head_count_kv", out->heads);
    uint32_t head_size = out->heads ? out->width / out->heads : 0;
    out->key_size = number(gguf, ".attention.key_length", head_size);
    out->value_size = number(gguf, ".attention.value_length", head_size);
    out->context_wanted = config->context > 0 ? (uint64_t)config->context : out->context;
    out->kv_bytes = kv_bytes(out, config->kv_type, out->context_wanted);
    count_formats(gguf, out);
}

/* ---- for people ---- */

/* The text as it may be shown: what would move the cursor is escaped. */
static void put_text(const char *title, struct ash_gguf_string value)
{
    char quoted[1024];
    if (value.length == 0)
        return;
    ash_json_quote(value.text, value.length, quoted, sizeof quoted);
    quoted[strlen(quoted) - 1] = '\0';
    printf("%-14s%s\n", title, quoted + 1);
}

static void put_plain(const char *title, const char *value)
{
    put_text(title, (struct ash_gguf_string){ value, strlen(value) });
}

static void put_bytes(const char *title, uint64_t bytes, const char *more)
{
    char shown[ASH_SHOW_BYTES];
    if (bytes > 0 && bytes < UINT64_MAX)
        printf("%-14s%s%s\n", title, ash_show_bytes(bytes, shown), more);
}

static void put_shape(const struct facts *facts)
{
    if (facts->context)
        printf("%-14s%u tokens\n", "context", facts->context);
    if (facts->layers && facts->heads)
        printf("%-14s%u layers, %u wide, %u heads of %u, %u for keys and values\n", "shape",
            facts->layers, facts->width, facts->heads, facts->key_size, facts->kv_heads);
    if (facts->vocabulary)
        printf("%-14s%llu tokens\n", "vocabulary", (unsigned long long)facts->vocabulary);
    put_text("tokenizer", facts->tokenizer);
    put_text("splits", facts->splits);
}

static void put_formats(const struct facts *facts)
{
    for (size_t i = 0; i < facts->format_count; i++) {
        char size[ASH_SHOW_BYTES];
        const struct format *format = &facts->format[i];
        printf("%-14s%-8s%5llu tensors  %s%s\n", i ? "" : "formats", format->name,
            (unsigned long long)format->tensors, ash_show_bytes(format->size_bytes, size),
            format->supported ? "" : "  (not supported by this version)");
    }
}

static void put_memory(const struct facts *facts, const struct ash_config *config)
{
    char more[96];
    uint64_t sum = 0;
    put_bytes("weights", facts->weight_bytes, "");
    if (facts->kv_bytes == 0 || __builtin_add_overflow(facts->kv_bytes, facts->weight_bytes, &sum))
        return;
    snprintf(more, sizeof more, "  for %llu tokens in %s",
        (unsigned long long)facts->context_wanted,
        config->kv_type == ASH_KV_AUTO ? "F16 or BF16"
                                       : ash_type_info((enum ash_type)config->kv_type)->name);
    put_bytes("KV cache", facts->kv_bytes, more);
    put_bytes("memory", sum, "  at the least: weights and KV cache");
}

static void put_entry(const struct ash_model_entry *entry)
{
    put_plain("known as", entry->name);
    put_plain("about", entry->description);
    put_plain("licence", entry->licence);
    put_plain("SHA-256", entry->sha256);
    if (entry->url)
        put_plain("from", entry->url);
    else
        printf("%-14s%s %s of the Python index\n", "from", entry->package, entry->version);
}

static void print_people(const char *path, const struct facts *facts,
    const struct ash_model_entry *entry, const struct ash_config *config)
{
    put_text("name", facts->name);
    put_plain("file", path);
    put_bytes("size", facts->file_bytes, "");
    put_text("architecture", facts->architecture);
    if (facts->parameters >= 1000000)
        printf("%-14s%.1f million\n", "parameters", (double)facts->parameters / 1e6);
    else
        printf("%-14s%llu\n", "parameters", (unsigned long long)facts->parameters);
    put_shape(facts);
    put_formats(facts);
    put_memory(facts, config);
    if (entry)
        put_entry(entry);
    else
        put_text("licence", facts->licence);
}

/* ---- for programs ---- */

static json_t *integer_or_null(uint64_t value)
{
    return value > 0 && value <= INT64_MAX ? json_integer((json_int_t)value) : json_null();
}

static json_t *text_or_null(struct ash_gguf_string value)
{
    return value.length ? ash_json_text(value.text, value.length) : json_null();
}

static json_t *plain_or_null(const char *value)
{
    return value && *value ? ash_json_text(value, strlen(value)) : json_null();
}

static json_t *formats_json(const struct facts *facts)
{
    json_t *list = json_array();
    for (size_t i = 0; i < facts->format_count; i++) {
        const struct format *format = &facts->format[i];
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:b}", "format", format->name, "tensors",
                      (json_int_t)format->tensors, "size_bytes", (json_int_t)format->size_bytes,
                      "supported", format->supported));
    }
    return list;
}

static json_t *entry_json(const struct ash_model_entry *entry)
{
    if (!entry)
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:s, s:I, s:o, s:o, s:o}", "name", entry->name, "description",
        plain_or_null(entry->description), "licence", plain_or_null(entry->licence), "sha256",
        entry->sha256, "size_bytes", (json_int_t)entry->size_bytes, "url",
        plain_or_null(entry->url), "package", plain_or_null(entry->package), "version",
        plain_or_null(entry->version));
}

static json_t *facts_json(
    const char *path, const struct facts *facts, const struct ash_model_entry *entry)
{
    json_t *shape = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "layers",
        integer_or_null(facts->layers), "width", integer_or_null(facts->width), "heads",
        integer_or_null(facts->heads), "kv_heads", integer_or_null(facts->kv_heads), "key_size",
        integer_or_null(facts->key_size), "value_size", integer_or_null(facts->value_size));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "path", plain_or_null(path), "name", text_or_null(facts->name), "architecture",
        text_or_null(facts->architecture), "parameters", integer_or_null(facts->parameters),
        "context", integer_or_null(facts->context), "shape", shape, "vocabulary",
        integer_or_null(facts->vocabulary), "tokenizer", text_or_null(facts->tokenizer), "splits",
        text_or_null(facts->splits), "formats", formats_json(facts), "size_bytes",
        integer_or_null(facts->file_bytes), "weight_bytes", integer_or_null(facts->weight_bytes),
        "kv_bytes", integer_or_null(facts->kv_bytes), "kv_tokens",
        integer_or_null(facts->context_wanted), "registry", entry_json(entry));
}

static enum ash_status print_json(json_t *json)
{
    enum ash_status status = ash_json_print(json, stdout);
    json_decref(json);
    return status;
}

static enum ash_status show_entry(const struct ash_model_entry *entry, bool json)
{
    if (json)
        return print_json(json_pack("{s:n, s:o}", "path", "registry", entry_json(entry)));
    put_entry(entry);
    put_bytes("size", entry->size_bytes, "");
    printf("%-14snot yet: ashlar pull %s\n", "here", entry->name);
    return ASH_OK;
}

enum ash_status ash_models_show(const char *path, const struct ash_model_entry *entry,
    const struct ash_config *config, bool json)
{
    struct ash_gguf *gguf = NULL;
    struct facts facts;
    enum ash_status status = ASH_OK;
    if (!path)
        return show_entry(entry, json);
    ASH_TRY(ash_gguf_open(path, &gguf));
    gather(gguf, config, &facts);
    if (json)
        status = print_json(facts_json(path, &facts, entry));
    else
        print_people(path, &facts, entry, config);
    ash_gguf_close(gguf);
    return status;
}
