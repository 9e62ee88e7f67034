/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens: their bytes, one after the other, and a table from bytes back to ids. */
#include "models/tokenizer_internal.h"
#include "runtime/memory.h"

#include "models/utf8.h"

/*
 * GPT-2's alphabet: printable Latin-1 bytes are the characters of the same number; the other 68, in
 * their order, are U+0100 to U+0143 (openai/gpt-2, encoder.py, bytes_to_unicode).
 */
static int byte_of(uint32_t point)
{
    if ((point >= 0x21 && point <= 0x7E) || (point >= 0xA1 && point <= 0xFF && point != 0xAD))
        return (int)point;
    if (point >= 0x100 && point <= 0x120)
        return (int)point - 0x100;
    if (point >= 0x121 && point <= 0x142)
        return (int)point - 0x121 + 0x7F;
    return point == 0x143 ? 0xAD : -1;
}

int64_t ash_alphabet_decode(const char *text, size_t length, char *out)
{
    int64_t count = 0;
    size_t used;
    for (size_t at = 0; at < length; at += used) {
        uint32_t point;
        enum ash_utf8 kind = ash_utf8_next(text + at, length - at, &point, &used);
        int byte = kind == ASH_UTF8_VALID ? byte_of(point) : -1;
        if (byte < 0)
            return -1;
        out[count++] = (char)byte;
    }
    return count;
}

/* `length` < 8 bytes as a number. */
static uint64_t load_tail(const char *bytes, size_t length)
{
    uint32_t low, high;
    if (length >= 4) { /* two loads that overlap */
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + length - 4, 4);
        return (uint64_t)high << 32 | low;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static uint64_t hash_of(uint64_t seed, const char *bytes, size_t length)
{
    uint64_t hash = seed ^ length * 0xD6E8FEB86659FD93u, word;
    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        hash = ash_fold(hash ^ word, 0x9E3779B97F4A7C15u);
    }
    return ash_fold(hash ^ load_tail(bytes, length), 0x9E3779B97F4A7C15u ^ seed);
}

/* The slot of these bytes: theirs, or the empty one where they would go. */
static struct ash_word_slot *word_slot(
    const struct ash_tokenizer *tokenizer, const char *bytes, size_t length, uint64_t hash)
{
    const struct ash_word_table *words = &tokenizer->words;
    for (size_t i = hash & words->mask;; i = (i + 1) & words->mask) {
        struct ash_word_slot *slot = &words->slot[i];
        if (slot->id < 0)
            return slot;
        size_t size;
        const char *own = ash_token_bytes(tokenizer, slot->id, &size);
        if (slot->hash == hash >> 32 && size == length && memcmp(own, bytes, length) == 0)
            return slot;
    }
}

int32_t ash_tokenizer_find_word(
    const struct ash_tokenizer *tokenizer, const char *bytes, size_t length)
{
    uint64_t hash = hash_of(tokenizer->seed, bytes, length);
    return word_slot(tokenizer, bytes, length, hash)->id;
}

static enum ash_status add_word(struct ash_tokenizer *tokenizer, int32_t id)
{
    size_t length;
    const char *bytes = ash_token_bytes(tokenizer, id, &length);
    uint64_t hash = hash_of(tokenizer->seed, bytes, length);
    struct ash_word_slot *slot = word_slot(tokenizer, bytes, length, hash);
    if (slot->id >= 0)
        return ash_fail(ASH_ERR_FORMAT,
            "tokens %d and %d of the vocabulary are both \"%.*s\"; each must be there once",
            (int)slot->id, (int)id, (int)length, bytes);
    *slot = (struct ash_word_slot){ (uint32_t)(hash >> 32), id };
    if (length == 1)
        tokenizer->byte_token[(unsigned char)bytes[0]] = id;
    return ASH_OK;
}

static enum ash_status make_table(struct ash_tokenizer *tokenizer)
{
    size_t slots = ash_table_slots((size_t)tokenizer->count);
    tokenizer->words.slot = ash_alloc_array(slots, sizeof *tokenizer->words.slot);
    if (!tokenizer->words.slot)
        return ash_fail_memory(slots * sizeof *tokenizer->words.slot, "the table of tokens");
    tokenizer->words.mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        tokenizer->words.slot[i].id = -1;
    return ASH_OK;
}

/* Makes room for `more` bytes at the end of the tokens' bytes. */
static enum ash_status reserve(
    struct ash_tokenizer *tokenizer, size_t count, size_t more, size_t *capacity)
{
    if (count + more > UINT32_MAX)
        return ash_fail(ASH_ERR_LIMIT, "the tokens of the vocabulary have more than 4 GiB of text");
    if (count + more <= *capacity)
        return ASH_OK;
    size_t wanted = (count + more) * 2;
    char *grown = ash_realloc_array(tokenizer->bytes, wanted, 1);
    if (!grown)
        return ash_fail_memory(wanted, "the text of the vocabulary");
    tokenizer->bytes = grown;
    *capacity = wanted;
    return ASH_OK;
}

static enum ash_status read_type(
    const struct ash_tokenizer_source *source, int64_t index, uint8_t *out)
{
    int64_t type = source->type ? source->type(source->context, index) : ASH_TOKEN_NORMAL;
    if (type < ASH_TOKEN_NORMAL || type > ASH_TOKEN_BYTE)
        return ash_fail(ASH_ERR_FORMAT,
            "token %lld of the vocabulary is of type %lld, not of 1 to 6", (long long)index,
            (long long)type);
    *out = (uint8_t)type;
    return ASH_OK;
}

static bool is_marker(int type)
{
    return type == ASH_TOKEN_UNKNOWN || type == ASH_TOKEN_CONTROL || type == ASH_TOKEN_USER_DEFINED;
}

static enum ash_status check_length(int64_t index, int type, size_t length)
{
    size_t most = is_marker(type) ? ASH_TOKENIZER_MAX_MARKER_BYTES : ASH_TOKENIZER_MAX_TOKEN_BYTES;
    if (length <= most)
        return ASH_OK;
    return ash_fail(ASH_ERR_LIMIT,
        "token %lld of the vocabulary has %zu bytes; at most %zu can be used", (long long)index,
        length, most);
}

/* Copies one token, in bytes where it is written in the alphabet and as it is where it is not. */
static enum ash_status read_token(struct ash_tokenizer *tokenizer,
    const struct ash_tokenizer_source *source, int32_t index, size_t *capacity)
{
    ASH_TRY(read_type(source, index, &tokenizer->type[index]));
    int type = tokenizer->type[index];
    struct ash_tokenizer_text text = source->token(source->context, index);
    ASH_TRY(check_length(index, type, text.length));
    uint32_t offset = tokenizer->offset[index];
    ASH_TRY(reserve(tokenizer, offset, text.length, capacity));
    int64_t length = -1;
    if (!is_marker(type) && type != ASH_TOKEN_UNUSED)
        length = ash_alphabet_decode(text.data, text.length, tokenizer->bytes + offset);
    if (length > 0)
        tokenizer->flag[index] = ASH_FLAG_WORD;
    if (length < 0) {
        length = (int64_t)text.length;
        if (length)
            memcpy(tokenizer->bytes + offset, text.data, text.length);
    }
    tokenizer->offset[index + 1] = offset + (uint32_t)length;
    return ASH_OK;
}

static enum ash_status make_arrays(struct ash_tokenizer *tokenizer)
{
    size_t count = (size_t)tokenizer->count;
    tokenizer->offset = ash_alloc_array(count + 1, sizeof *tokenizer->offset);
    tokenizer->type = ash_alloc_zero(count);
    tokenizer->flag = ash_alloc_zero(count);
    if (!tokenizer->offset || !tokenizer->type || !tokenizer->flag)
        return ash_fail_memory(count * 6, "the list of tokens");
    memset(tokenizer->byte_token, -1, sizeof tokenizer->byte_token);
    return ASH_OK;
}

enum ash_status ash_tokenizer_load_tokens(
    struct ash_tokenizer *tokenizer, const struct ash_tokenizer_source *source)
{
    ASH_TRY(make_arrays(tokenizer));
    size_t capacity = 0;
    ASH_TRY(reserve(tokenizer, 0, (size_t)tokenizer->count * 4, &capacity)); /* 8 bytes a token */
    for (int32_t i = 0; i < tokenizer->count; i++)
        ASH_TRY(read_token(tokenizer, source, i, &capacity));
    ASH_TRY(make_table(tokenizer));
    for (int32_t i = 0; i < tokenizer->count; i++)
        if (tokenizer->flag[i] & ASH_FLAG_WORD)
            ASH_TRY(add_word(tokenizer, i));
    return ASH_OK;
}
