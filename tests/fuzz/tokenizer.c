/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokenizer under hostile texts and hostile vocabularies. The first byte chooses:
 * even  the rest is a text for a fixed vocabulary: it must come back from its ids byte for byte, and
 *       the ids must be those of merging done the slow way
 * odd   the rest is a vocabulary, one item after another with a 0 between, and a text
 */
#include "models/tokenizer.h"
#include "models/tokenizer_split.h"
#include "models/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) ((condition) ? (void)0 : abort())

enum { MOST_TEXT = 4096, MOST_ITEMS = 256 };

static const char *const pres[] = { "gpt-2", "smollm", "qwen2", "llama-bpe" };

/* ---- A text, and a vocabulary of all bytes and these merges ---- */

static const char *const merges[] = { "a a", "aa aa", "aaaa aaaa", "Ġ Ġ", "ĠĠ ĠĠ", "Ċ Ċ", "Ġ t",
    "h e", "Ġt he", "' s", "1 2", "2 3", "12 3", "ä ¸", "ä¸ Ń", "ð Ł", "ðŁ ĺ", "! !", "! Ċ", "b a",
    "a b", "ab ab", "e r", "t he", "the r", "ab a", "Ġthe r" };

enum { MERGES = sizeof merges / sizeof *merges, TOKENS = 256 + MERGES + 1 };

static struct {
    char text[TOKENS][64];
    int rank[TOKENS][TOKENS]; /* of the merge of two; -1 = none */
    struct ash_tokenizer *tokenizer[4];
} fixed;

static struct ash_tokenizer_text text_of(const char *text)
{
    return (struct ash_tokenizer_text){ text, strlen(text) };
}

static struct ash_tokenizer_text fixed_token(void *context, int64_t index)
{
    (void)context;
    return text_of(fixed.text[index]);
}

static struct ash_tokenizer_text fixed_merge(void *context, int64_t index)
{
    (void)context;
    return text_of(merges[index]);
}

static int64_t fixed_type(void *context, int64_t index)
{
    (void)context;
    return index == TOKENS - 1 ? ASH_TOKEN_CONTROL : ASH_TOKEN_NORMAL;
}

/* The alphabet: printable Latin-1 as it is, the others from U+0100 on. */
static void name_bytes(void)
{
    int other = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        int same = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        int point = same ? byte : other++;
        if (point < 0x80)
            fixed.text[byte][0] = (char)point;
        else
            snprintf(fixed.text[byte], 3, "%c%c", 0xC0 | point >> 6, 0x80 | (point & 0x3F));
    }
}

static int token_of(const char *text, size_t length)
{
    for (int id = 0; id < TOKENS; id++)
        if (strlen(fixed.text[id]) == length && memcmp(fixed.text[id], text, length) == 0)
            return id;
    abort();
}

/* A merge without its space is its token, whose number says its rank. */
static void add_merge(int rank)
{
    const char *left = merges[rank], *space = strchr(left, ' '), *right = space + 1;
    snprintf(fixed.text[256 + rank], 64, "%.*s%s", (int)(space - left), left, right);
    fixed.rank[token_of(left, (size_t)(space - left))][token_of(right, strlen(right))] = rank;
}

static void make_fixed(void)
{
    name_bytes();
    memset(fixed.rank, -1, sizeof fixed.rank);
    for (int i = 0; i < MERGES; i++)
        add_merge(i);
    strcpy(fixed.text[TOKENS - 1], "<|x|>");
    for (int i = 0; i < 4; i++) {
        struct ash_tokenizer_source source = { .pre = pres[i],
            .token_count = TOKENS,
            .merge_count = MERGES,
            .token = fixed_token,
            .type = fixed_type,
            .merge = fixed_merge,
            .bos = -1,
            .eos = -1,
            .eot = -1,
            .eom = -1 };
        CHECK(ash_tokenizer_create(&source, &fixed.tokenizer[i]) == ASH_OK);
    }
}

static size_t merge_slowly(int32_t *id, size_t count)
{
    for (;;) {
        int best = -1;
        size_t at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            int rank = fixed.rank[id[i]][id[i + 1]];
            if (rank >= 0 && (best < 0 || rank < best)) {
                best = rank;
                at = i;
            }
        }
        if (best < 0)
            return count;
        id[at] = 256 + best;
        memmove(id + at + 1, id + at + 2, (--count - at - 1) * sizeof *id);
    }
}

static void check_ids(int pre, const char *text, size_t length, const struct ash_tokens *tokens)
{
    static int32_t id[MOST_TEXT];
    const struct ash_split *split = ash_split_find(pres[pre]);
    size_t done = 0;
    for (size_t at = 0, used; at < length; at += used) {
        used = ash_split_next(split, text + at, length - at);
        CHECK(used >= 1 && used <= length - at);
        for (size_t i = 0; i < used; i++)
            id[i] = (unsigned char)text[at + i];
        size_t count = merge_slowly(id, used);
        CHECK(count <= tokens->count - done);
        CHECK(memcmp(id, tokens->id + done, count * sizeof *id) == 0);
        done += count;
    }
    CHECK(done == tokens->count);
}

static void check_round_trip(const struct ash_tokenizer *tokenizer, const struct ash_tokens *tokens,
    const char *text, size_t length)
{
    static char back[MOST_TEXT];
    size_t got =
        ash_tokenizer_decode(tokenizer, tokens->id, tokens->count, true, back, sizeof back);
    CHECK(got == length && memcmp(back, text, length) == 0);
}

/* What a stream shows of a text in pieces is what it shows of the whole. */
static void check_stream(const char *text, size_t length)
{
    static char whole[ASH_UTF8_ROOM(MOST_TEXT)], parts[ASH_UTF8_ROOM(MOST_TEXT)];
    struct ash_utf8_stream one = { 0 }, many = { 0 };
    size_t count = ash_utf8_push(&one, text, length, whole), written = 0;
    CHECK(ash_utf8_whole(whole, count) == count);
    count += ash_utf8_finish(&one, whole + count);
    for (size_t i = 0; i < length; i++)
        written += ash_utf8_push(&many, text + i, 1, parts + written);
    written += ash_utf8_finish(&many, parts + written);
    CHECK(written == count && memcmp(whole, parts, count) == 0);
}

static void try_text(const char *text, size_t length)
{
    struct ash_tokens tokens = { 0 };
    if (!fixed.tokenizer[0])
        make_fixed();
    for (int pre = 0; pre < 4; pre++) {
        tokens.count = 0;
        CHECK(ash_tokenizer_encode(fixed.tokenizer[pre], text, length, 0, &tokens) == ASH_OK);
        check_round_trip(fixed.tokenizer[pre], &tokens, text, length);
        if (pre < 3) /* llama-bpe takes whole words, which the slow way does not know */
            check_ids(pre, text, length, &tokens);
        tokens.count = 0;
        CHECK(ash_tokenizer_encode(
                  fixed.tokenizer[pre], text, length, ASH_ENCODE_SPECIAL, &tokens) == ASH_OK);
        check_round_trip(fixed.tokenizer[pre], &tokens, text, length);
    }
    CHECK(tokens.dropped == 0);
    check_stream(text, length);
    ash_tokens_free(&tokens);
}

/* ---- A vocabulary ---- */

struct items {
    struct ash_tokenizer_text item[MOST_ITEMS];
    size_t count, tokens; /* the first `tokens` are tokens: a byte for the type, and the text */
};

static struct ash_tokenizer_text item_token(void *context, int64_t index)
{
    struct ash_tokenizer_text item = ((struct items *)context)->item[index];
    return item.length ? (struct ash_tokenizer_text){ item.data + 1, item.length - 1 } : item;
}

static int64_t item_type(void *context, int64_t index)
{
    struct ash_tokenizer_text item = ((struct items *)context)->item[index];
    return item.length ? item.data[0] & 7 : ASH_TOKEN_NORMAL;
}

static struct ash_tokenizer_text item_merge(void *context, int64_t index)
{
    struct items *items = context;
    return items->item[items->tokens + (size_t)index];
}

static void cut(const char *text, size_t length, struct items *items)
{
    const char *zero;
    for (; items->count < MOST_ITEMS && length && (zero = memchr(text, 0, length));
         items->count++) {
        size_t size = (size_t)(zero - text);
        items->item[items->count] = (struct ash_tokenizer_text){ text, size };
        text += size + 1;
        length -= size + 1;
    }
    items->item[items->count < MOST_ITEMS ? items->count++ : MOST_ITEMS - 1] =
        (struct ash_tokenizer_text){ text, length };
}

static void try_ids(
    const struct ash_tokenizer *tokenizer, struct ash_tokenizer_text text, unsigned flags)
{
    struct ash_tokens tokens = { 0 };
    CHECK(ash_tokenizer_encode(tokenizer, text.data, text.length, flags, &tokens) == ASH_OK);
    size_t bytes = ash_tokenizer_decode(tokenizer, tokens.id, tokens.count, true, NULL, 0);
    CHECK(bytes + tokens.dropped == text.length);
    for (size_t i = 0; i < tokens.count; i++) {
        CHECK(tokens.id[i] >= 0 && tokens.id[i] < ash_tokenizer_describe(tokenizer).token_count);
        enum ash_token_type type = ash_tokenizer_type(tokenizer, tokens.id[i]);
        CHECK(flags || (type != ASH_TOKEN_CONTROL && type != ASH_TOKEN_UNKNOWN));
    }
    ash_tokens_free(&tokens);
}

static void try_vocabulary(const char *data, size_t length)
{
    struct items items = { 0 };
    if (length < 3)
        return;
    cut(data + 2, length - 2, &items);
    struct ash_tokenizer_text text = items.item[--items.count];
    items.tokens = (unsigned char)data[0] < items.count ? (unsigned char)data[0] : items.count;
    struct ash_tokenizer_source source = { .pre = pres[data[1] & 3],
        .token_count = (int64_t)items.tokens,
        .merge_count = (int64_t)(items.count - items.tokens),
        .token = item_token,
        .type = item_type,
        .merge = item_merge,
        .context = &items,
        .bos = (data[1] >> 2) - 1,
        .eos = data[1] >> 4,
        .eot = -1,
        .eom = -1 };
    struct ash_tokenizer *tokenizer;
    if (ash_tokenizer_create(&source, &tokenizer) != ASH_OK)
        return;
    try_ids(tokenizer, text, 0);
    try_ids(tokenizer, text, ASH_ENCODE_SPECIAL);
    ash_tokenizer_destroy(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > MOST_TEXT)
        return 0;
    if (data[0] & 1)
        try_vocabulary((const char *)data + 1, size - 1);
    else
        try_text((const char *)data + 1, size - 1);
    return 0;
}
