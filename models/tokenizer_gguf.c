/* SPDX-License-Identifier: Apache-2.0 */
/* The keys tokenizer.ggml.* of a model file as a source. */
#include "models/gguf.h"
#include "models/tokenizer.h"

#define KEY(name) "tokenizer.ggml." name

/* Strings are read in order only; the source's promise to ask in order is what allows it. */
struct reader {
    struct ash_gguf_strings tokens, merges;
    struct ash_gguf_value types;
};

static struct ash_tokenizer_text next_string(struct ash_gguf_strings *strings)
{
    struct ash_gguf_string string = { 0 };
    ash_gguf_strings_next(strings, &string);
    return (struct ash_tokenizer_text){ string.text, string.length };
}

static struct ash_tokenizer_text read_token(void *context, int64_t index)
{
    (void)index;
    return next_string(&((struct reader *)context)->tokens);
}

static struct ash_tokenizer_text read_merge(void *context, int64_t index)
{
    (void)index;
    return next_string(&((struct reader *)context)->merges);
}

static int64_t read_type(void *context, int64_t index)
{
    return ash_gguf_integer(&((struct reader *)context)->types, (uint64_t)index);
}

static enum ash_status check_model(const struct ash_gguf *gguf)
{
    struct ash_gguf_string model;
    ASH_TRY(ash_gguf_get_string(gguf, KEY("model"), &model));
    if (ash_gguf_string_is(model, "gpt2"))
        return ASH_OK;
    return ash_fail(ASH_ERR_UNSUPPORTED,
        "%s: " KEY("model") " is \"%.*s\"; known is \"gpt2\" (byte-level BPE)", ash_gguf_path(gguf),
        (int)(model.length < 60 ? model.length : 60), model.text);
}

static enum ash_status read_lists(
    const struct ash_gguf *gguf, struct reader *reader, struct ash_tokenizer_source *source)
{
    struct ash_gguf_value tokens, merges;
    ASH_TRY(ash_gguf_get_array(gguf, KEY("tokens"), ASH_GGUF_STRINGS, &tokens));
    ASH_TRY(ash_gguf_get_array(gguf, KEY("merges"), ASH_GGUF_STRINGS, &merges));
    source->token_count = (int64_t)tokens.count; /* a string takes 8 bytes or more of the file */
    source->merge_count = (int64_t)merges.count;
    reader->tokens = ash_gguf_strings(&tokens);
    reader->merges = ash_gguf_strings(&merges);
    if (!ash_gguf_has(gguf, KEY("token_type")))
        return ASH_OK;
    ASH_TRY(ash_gguf_get_array(gguf, KEY("token_type"), ASH_GGUF_INTEGERS, &reader->types));
    source->type = read_type;
    if (reader->types.count == tokens.count)
        return ASH_OK;
    return ash_fail(ASH_ERR_FORMAT, "%s: %llu tokens, but " KEY("token_type") " has %llu items",
        ash_gguf_path(gguf), (unsigned long long)tokens.count,
        (unsigned long long)reader->types.count);
}

static enum ash_status read_id(const struct ash_gguf *gguf, const char *key, int64_t *out)
{
    uint32_t id;
    *out = -1;
    if (!ash_gguf_has(gguf, key))
        return ASH_OK;
    ASH_TRY(ash_gguf_get_u32(gguf, key, 0, UINT32_MAX, &id));
    *out = id;
    return ASH_OK;
}

static enum ash_status read_flag(const struct ash_gguf *gguf, const char *key, int *out)
{
    bool flag;
    *out = -1;
    if (!ash_gguf_has(gguf, key))
        return ASH_OK;
    ASH_TRY(ash_gguf_get_bool(gguf, key, &flag));
    *out = flag;
    return ASH_OK;
}

static enum ash_status read_ids(const struct ash_gguf *gguf, struct ash_tokenizer_source *source)
{
    ASH_TRY(read_id(gguf, KEY("bos_token_id"), &source->bos));
    ASH_TRY(read_id(gguf, KEY("eos_token_id"), &source->eos));
    ASH_TRY(read_id(gguf, KEY("eot_token_id"), &source->eot));
    ASH_TRY(read_id(gguf, KEY("eom_token_id"), &source->eom));
    ASH_TRY(read_id(gguf, KEY("unknown_token_id"), &source->unk));
    ASH_TRY(read_id(gguf, KEY("padding_token_id"), &source->pad));
    ASH_TRY(read_flag(gguf, KEY("add_bos_token"), &source->add_bos));
    return read_flag(gguf, KEY("add_eos_token"), &source->add_eos);
}

/* The pre-tokenizer's name with a 0 behind it; cut where it is longer than any that is known. */
static enum ash_status read_pre(
    const struct ash_gguf *gguf, char name[64], struct ash_tokenizer_source *source)
{
    struct ash_gguf_string pre;
    ASH_TRY(ash_gguf_get_string_or(gguf, KEY("pre"), "default", &pre));
    size_t length = pre.length < 63 ? pre.length : 63;
    for (size_t i = 0; i < length; i++)
        name[i] = pre.text[i] ? pre.text[i] : '?';
    name[length] = '\0';
    source->pre = name;
    return ASH_OK;
}

static enum ash_status read_all(const struct ash_gguf *gguf, char pre[64], struct reader *reader,
    struct ash_tokenizer_source *source)
{
    ASH_TRY(check_model(gguf));
    ASH_TRY(read_pre(gguf, pre, source));
    ASH_TRY(read_lists(gguf, reader, source));
    return read_ids(gguf, source);
}

enum ash_status ash_tokenizer_from_gguf(const struct ash_gguf *gguf, struct ash_tokenizer **out)
{
    char pre[64];
    struct reader reader = { 0 };
    struct ash_tokenizer_source source = {
        .token = read_token,
        .merge = read_merge,
        .context = &reader,
    };
    enum ash_status status = read_all(gguf, pre, &reader, &source);
    if (status == ASH_ERR_NOT_FOUND)
        return ASH_ERR_FORMAT; /* what a file lacks is the file's fault */
    ASH_TRY(status);
    return ash_fail_in(ash_tokenizer_create(&source, out), "%s", ash_gguf_path(gguf));
}
