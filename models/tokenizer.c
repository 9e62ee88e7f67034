/* SPDX-License-Identifier: Apache-2.0 */
#include "models/tokenizer.h"

#include "models/template.h"
#include "models/tokenizer_internal.h"
#include "runtime/memory.h"

#include <sys/random.h>

/* Tokens that end an answer in models whose file names only one of several, or none. */
static const char *const endings[] = { "<|endoftext|>", "<|end_of_text|>", "<|im_end|>",
    "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>",
    "<end_of_utterance>", "</s>", "<EOT>", "[EOT]", "[EOS]" };

static enum ash_status check_counts(const struct ash_tokenizer_source *source)
{
    if (source->token_count < 1 || source->merge_count < 0)
        return ash_fail(ASH_ERR_FORMAT,
            "a vocabulary needs tokens and merges; it has %lld and %lld",
            (long long)source->token_count, (long long)source->merge_count);
    if (source->token_count > ASH_TOKENIZER_MAX_TOKENS ||
        source->merge_count > ASH_TOKENIZER_MAX_TOKENS)
        return ash_fail(ASH_ERR_LIMIT,
            "the vocabulary has %lld tokens and %lld merges; at most %d of each can be used",
            (long long)source->token_count, (long long)source->merge_count,
            ASH_TOKENIZER_MAX_TOKENS);
    return ASH_OK;
}

static enum ash_status read_id(
    const struct ash_tokenizer *tokenizer, const char *name, int64_t id, int32_t *out)
{
    *out = -1;
    if (id == -1)
        return ASH_OK;
    if (id < 0 || id >= tokenizer->count)
        return ash_fail(ASH_ERR_FORMAT, "the %s token is number %lld of a vocabulary of %d", name,
            (long long)id, (int)tokenizer->count);
    *out = (int32_t)id;
    tokenizer->flag[id] |= strcmp(name, "bos") ? ASH_FLAG_ENDS : 0;
    return ASH_OK;
}

/* Nothing here uses these two, and files with a number that is none are about. */
static int32_t id_or_none(const struct ash_tokenizer *tokenizer, int64_t id)
{
    return id >= 0 && id < tokenizer->count ? (int32_t)id : -1;
}

static enum ash_status load_ids(
    struct ash_tokenizer *tokenizer, const struct ash_tokenizer_source *source)
{
    ASH_TRY(read_id(tokenizer, "bos", source->bos, &tokenizer->bos));
    ASH_TRY(read_id(tokenizer, "eos", source->eos, &tokenizer->eos));
    ASH_TRY(read_id(tokenizer, "eot", source->eot, &tokenizer->eot));
    ASH_TRY(read_id(tokenizer, "eom", source->eom, &tokenizer->eom));
    tokenizer->unk = id_or_none(tokenizer, source->unk);
    tokenizer->pad = id_or_none(tokenizer, source->pad);
    bool add_bos = source->add_bos < 0 ? tokenizer->split->add_bos : source->add_bos > 0;
    tokenizer->add_bos = add_bos && tokenizer->bos >= 0;
    tokenizer->add_eos = source->add_eos > 0 && tokenizer->eos >= 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int32_t id = ash_tokenizer_find(tokenizer, endings[i], strlen(endings[i]));
        if (id >= 0)
            tokenizer->flag[id] |= ASH_FLAG_ENDS;
    }
    return ASH_OK;
}

/* The ids of a word's bytes before merging; `id` has room for `length`. */
static size_t spell(
    const struct ash_tokenizer *tokenizer, const char *bytes, size_t length, int32_t *id)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        id[count] = tokenizer->byte_token[(unsigned char)bytes[i]];
        count += id[count] >= 0;
    }
    return count;
}

static enum ash_status load(
    struct ash_tokenizer *tokenizer, const struct ash_tokenizer_source *source)
{
    tokenizer->split = ash_split_find(source->pre);
    if (!tokenizer->split)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "the pre-tokenizer \"%.100s\" is not known; known are %s", source->pre,
            ash_split_known());
    ASH_TRY(check_counts(source));
    tokenizer->count = (int32_t)source->token_count;
    tokenizer->merge_count = (int32_t)source->merge_count;
    if (getrandom(&tokenizer->seed, sizeof tokenizer->seed, GRND_NONBLOCK) < 0)
        tokenizer->seed = (uintptr_t)tokenizer; /* early at boot: where memory lies will do */
    ASH_TRY(ash_tokenizer_load_tokens(tokenizer, source));
    ASH_TRY(ash_tokenizer_load_merges(tokenizer, source));
    ASH_TRY(ash_tokenizer_load_markers(tokenizer));
    return load_ids(tokenizer, source);
}

enum ash_status ash_tokenizer_create(
    const struct ash_tokenizer_source *source, struct ash_tokenizer **out)
{
    struct ash_tokenizer *tokenizer = ash_alloc_zero(sizeof *tokenizer);
    if (!tokenizer)
        return ash_fail_memory(sizeof *tokenizer, "a tokenizer");
    enum ash_status status = load(tokenizer, source);
    if (status == ASH_OK)
        *out = tokenizer;
    else
        ash_tokenizer_destroy(tokenizer);
    return status;
}

void ash_tokenizer_destroy(struct ash_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    ash_free(tokenizer->offset);
    ash_free(tokenizer->bytes);
    ash_free(tokenizer->type);
    ash_free(tokenizer->flag);
    ash_free(tokenizer->words.slot);
    ash_free(tokenizer->merges.list);
    ash_free(tokenizer->merges.slot);
    ash_free(tokenizer->user.id);
    ash_free(tokenizer->special.id);
    ash_free(tokenizer);
}

void ash_tokens_free(struct ash_tokens *tokens)
{
    ash_free(tokens->id);
    *tokens = (struct ash_tokens){ 0 };
}

/* Room for `more` ids; doubles, so that a text costs a handful of allocations. */
static enum ash_status reserve(struct ash_tokens *tokens, size_t more)
{
    if (tokens->capacity - tokens->count >= more)
        return ASH_OK;
    size_t wanted = tokens->count + more;
    if (wanted < tokens->capacity * 2)
        wanted = tokens->capacity * 2;
    int32_t *grown = ash_realloc_array(tokens->id, wanted, sizeof *tokens->id);
    if (!grown)
        return ash_fail_memory(wanted * sizeof *tokens->id, "the ids of a text");
    tokens->id = grown;
    tokens->capacity = wanted;
    return ASH_OK;
}

static enum ash_status append(struct ash_tokens *tokens, int32_t id)
{
    ASH_TRY(reserve(tokens, 1));
    tokens->id[tokens->count++] = id;
    return ASH_OK;
}

/*
 * Most words of a text are one token. That merging arrives at a token for its bytes is remembered at
 * the first time, and the next one costs a look into the table and no merging. Two threads that find
 * it out at once write the same.
 */
static bool is_whole(const struct ash_tokenizer *tokenizer, int32_t id)
{
    return tokenizer->split->whole_words ||
           __atomic_load_n(&tokenizer->flag[id], __ATOMIC_RELAXED) & ASH_FLAG_WHOLE;
}

static enum ash_status encode_word(const struct ash_tokenizer *tokenizer,
    struct ash_bpe_scratch *scratch, const char *bytes, size_t length, struct ash_tokens *out)
{
    ASH_TRY(reserve(out, length));
    int32_t *id = out->id + out->count;
    int32_t word = ash_tokenizer_find_word(tokenizer, bytes, length);
    if (word >= 0 && is_whole(tokenizer, word)) {
        *id = word;
        out->count++;
        return ASH_OK;
    }
    size_t count = spell(tokenizer, bytes, length, id);
    out->dropped += length - count;
    ASH_TRY(ash_bpe_merge(tokenizer, scratch, id, &count));
    if (count == 1 && *id == word)
        __atomic_fetch_or(&tokenizer->flag[word], ASH_FLAG_WHOLE, __ATOMIC_RELAXED);
    out->count += count;
    return ASH_OK;
}

/* A stretch of text without markers. */
static enum ash_status encode_plain(const struct ash_tokenizer *tokenizer,
    struct ash_bpe_scratch *scratch, const char *text, size_t length, struct ash_tokens *out)
{
    for (size_t used; length; text += used, length -= used) {
        used = ash_split_next(tokenizer->split, text, length);
        ASH_TRY(encode_word(tokenizer, scratch, text, used, out));
    }
    return ASH_OK;
}

/* What is left of a prompt's segments: who may write special tokens. */
struct trust {
    const struct ash_prompt_segment *segment;
    size_t count;
};

/* How far from `at` on the text is trusted without a gap; moves the cursor along. */
static size_t trusted_from(struct trust *trust, size_t at)
{
    while (trust->count && trust->segment->start_bytes + trust->segment->length_bytes <= at)
        trust->segment++, trust->count--;
    if (!trust->count || !trust->segment->trusted)
        return 0;
    return trust->segment->start_bytes + trust->segment->length_bytes - at;
}

/* The longest marker at `at`: any where the text is trusted, else one that is a word of its own. */
static int32_t match_marker(const struct ash_tokenizer *tokenizer, const char *text, size_t length,
    size_t at, struct trust *trust)
{
    const struct ash_marker_set *special = &tokenizer->special, *user = &tokenizer->user;
    unsigned char byte = (unsigned char)text[at];
    int32_t id = -1;
    if (special->start[byte] < special->start[byte + 1]) {
        size_t trusted = trusted_from(trust, at);
        if (trusted)
            id = ash_marker_match(tokenizer, special, text + at, trusted);
    }
    if (id < 0 && user->start[byte] < user->start[byte + 1])
        id = ash_marker_match(tokenizer, user, text + at, length - at);
    return id;
}

static enum ash_status encode_text(const struct ash_tokenizer *tokenizer,
    struct ash_bpe_scratch *scratch, const char *text, size_t length, struct trust trust,
    struct ash_tokens *out)
{
    size_t plain = 0, at = 0; /* text[plain..at) has no marker in it */
    while (at < length && tokenizer->special.start[256]) {
        int32_t id = match_marker(tokenizer, text, length, at, &trust);
        if (id < 0) {
            at++;
            continue;
        }
        size_t size;
        ash_token_bytes(tokenizer, id, &size);
        ASH_TRY(encode_plain(tokenizer, scratch, text + plain, at - plain, out));
        ASH_TRY(append(out, id));
        plain = at += size;
    }
    return encode_plain(tokenizer, scratch, text + plain, length - plain, out);
}

static enum ash_status encode_all(const struct ash_tokenizer *tokenizer,
    struct ash_bpe_scratch *scratch, const char *text, size_t length, struct trust trust,
    unsigned flags, struct ash_tokens *out)
{
    if (flags & ASH_ENCODE_ADD_BOS && tokenizer->add_bos)
        ASH_TRY(append(out, tokenizer->bos));
    ASH_TRY(encode_text(tokenizer, scratch, text, length, trust, out));
    if (flags & ASH_ENCODE_ADD_EOS && tokenizer->add_eos)
        ASH_TRY(append(out, tokenizer->eos));
    return ASH_OK;
}

/* All or nothing: on failure *out is as before, but for its capacity. */
static enum ash_status encode(const struct ash_tokenizer *tokenizer, const char *text,
    size_t length, struct trust trust, unsigned flags, struct ash_tokens *out)
{
    if (length > ASH_TOKENIZER_MAX_TEXT_BYTES)
        return ash_fail(ASH_ERR_LIMIT, "a text of %zu bytes; at most %d can be tokenized at once",
            length, ASH_TOKENIZER_MAX_TEXT_BYTES);
    struct ash_bpe_scratch scratch = { 0 };
    size_t count = out->count;
    uint64_t dropped = out->dropped;
    enum ash_status status = encode_all(tokenizer, &scratch, text, length, trust, flags, out);
    ash_bpe_scratch_free(&scratch);
    if (status != ASH_OK) {
        out->count = count;
        out->dropped = dropped;
    }
    return status;
}

enum ash_status ash_tokenizer_encode(const struct ash_tokenizer *tokenizer, const char *text,
    size_t length, unsigned flags, struct ash_tokens *out)
{
    struct ash_prompt_segment all = { 0, length, flags & ASH_ENCODE_SPECIAL };
    return encode(tokenizer, text, length, (struct trust){ &all, 1 }, flags, out);
}

enum ash_status ash_tokenizer_encode_prompt(
    const struct ash_tokenizer *tokenizer, const struct ash_prompt *prompt, struct ash_tokens *out)
{
    struct trust trust = { prompt->segment, prompt->segment_count };
    return encode(tokenizer, prompt->text, prompt->length_bytes, trust, 0, out);
}

const char *ash_tokenizer_piece(const struct ash_tokenizer *tokenizer, int64_t id, size_t *length)
{
    *length = 0;
    if (id < 0 || id >= tokenizer->count)
        return "";
    return ash_token_bytes(tokenizer, (int32_t)id, length);
}

enum ash_token_type ash_tokenizer_type(const struct ash_tokenizer *tokenizer, int64_t id)
{
    bool known = id >= 0 && id < tokenizer->count;
    return known ? (enum ash_token_type)tokenizer->type[id] : ASH_TOKEN_UNUSED;
}

size_t ash_tokenizer_decode(const struct ash_tokenizer *tokenizer, const int32_t *ids, size_t count,
    bool special, char *out, size_t capacity)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        enum ash_token_type type = ash_tokenizer_type(tokenizer, ids[i]);
        if (!special && (type == ASH_TOKEN_CONTROL || type == ASH_TOKEN_UNKNOWN))
            continue;
        size_t length;
        const char *bytes = ash_tokenizer_piece(tokenizer, ids[i], &length);
        if (total < capacity)
            memcpy(out + total, bytes, length < capacity - total ? length : capacity - total);
        total += length;
    }
    return total;
}

int32_t ash_tokenizer_find(const struct ash_tokenizer *tokenizer, const char *text, size_t length)
{
    if (length == 0)
        return -1;
    size_t size = 0;
    int32_t id = ash_marker_match(tokenizer, &tokenizer->special, text, length);
    if (id >= 0)
        ash_token_bytes(tokenizer, id, &size);
    return size == length ? id : -1;
}

bool ash_tokenizer_ends(const struct ash_tokenizer *tokenizer, int64_t id)
{
    return id >= 0 && id < tokenizer->count &&
           __atomic_load_n(&tokenizer->flag[id], __ATOMIC_RELAXED) & ASH_FLAG_ENDS;
}

struct ash_tokenizer_info ash_tokenizer_describe(const struct ash_tokenizer *tokenizer)
{
    struct ash_tokenizer_info info = {
        .pre = tokenizer->split->name,
        .token_count = tokenizer->count,
        .merge_count = tokenizer->merge_count,
        .bos = tokenizer->bos,
        .eos = tokenizer->eos,
        .eot = tokenizer->eot,
        .eom = tokenizer->eom,
        .unk = tokenizer->unk,
        .pad = tokenizer->pad,
        .add_bos = tokenizer->add_bos,
        .add_eos = tokenizer->add_eos,
    };
    for (int byte = 0; byte < 256; byte++)
        info.missing_bytes += tokenizer->byte_token[byte] < 0;
    return info;
}
