/* SPDX-License-Identifier: Apache-2.0 */
/* The merges: read from "left right", kept by the ids of the two, and checked against the tokens. */
#include "models/tokenizer_internal.h"
#include "runtime/memory.h"

/* Merge `index` in bytes: `left` bytes of the one, then `right` bytes of the other. */
struct spelling {
    int64_t left, right;
    char bytes[ASH_TOKENIZER_MAX_TOKEN_BYTES + 1];
};

static enum ash_status spell(
    int64_t index, struct ash_tokenizer_text text, struct spelling *spelling)
{
    if (text.length > ASH_TOKENIZER_MAX_TOKEN_BYTES + 1)
        return ash_fail(ASH_ERR_LIMIT, "merge %lld has %zu bytes; at most %d can be used",
            (long long)index, text.length, ASH_TOKENIZER_MAX_TOKEN_BYTES + 1);
    const char *space = text.length ? memchr(text.data, ' ', text.length) : NULL;
    size_t cut = space ? (size_t)(space - text.data) : text.length;
    spelling->left = ash_alphabet_decode(text.data, cut, spelling->bytes);
    spelling->right = -1;
    if (spelling->left > 0 && space)
        spelling->right =
            ash_alphabet_decode(space + 1, text.length - cut - 1, spelling->bytes + spelling->left);
    if (spelling->right > 0)
        return ASH_OK;
    return ash_fail(ASH_ERR_FORMAT,
        "merge %lld, \"%.*s\", must be two tokens in GPT-2's alphabet of bytes with a space between",
        (long long)index, (int)text.length, text.length ? text.data : "");
}

static enum ash_status find_part(const struct ash_tokenizer *tokenizer, int64_t index,
    const char *bytes, int64_t length, int32_t *out)
{
    *out = ash_tokenizer_find_word(tokenizer, bytes, (size_t)length);
    if (*out >= 0)
        return ASH_OK;
    return ash_fail(ASH_ERR_FORMAT,
        "merge %lld needs the token \"%.*s\", which is not a normal token of the vocabulary",
        (long long)index, (int)length, bytes);
}

static enum ash_status make_table(struct ash_tokenizer *tokenizer)
{
    struct ash_merge_table *merges = &tokenizer->merges;
    size_t count = (size_t)tokenizer->merge_count, slots = ash_table_slots(count);
    merges->list = ash_alloc_array(count ? count : 1, sizeof *merges->list);
    merges->slot = ash_alloc_array(slots, sizeof *merges->slot);
    if (!merges->list || !merges->slot)
        return ash_fail_memory(slots * sizeof *merges->slot, "the table of merges");
    merges->mask = slots - 1;
    memset(merges->slot, -1, slots * sizeof *merges->slot);
    return ASH_OK;
}

enum ash_status ash_tokenizer_load_merges(
    struct ash_tokenizer *tokenizer, const struct ash_tokenizer_source *source)
{
    ASH_TRY(make_table(tokenizer));
    struct spelling word;
    for (int32_t i = 0; i < tokenizer->merge_count; i++) {
        struct ash_merge merge;
        ASH_TRY(spell(i, source->merge(source->context, i), &word));
        ASH_TRY(find_part(tokenizer, i, word.bytes, word.left, &merge.left));
        ASH_TRY(find_part(tokenizer, i, word.bytes + word.left, word.right, &merge.right));
        ASH_TRY(find_part(tokenizer, i, word.bytes, word.left + word.right, &merge.result));
        tokenizer->merges.list[i] = merge;
        int32_t *slot = ash_merge_slot(tokenizer, merge.left, merge.right);
        if (*slot < 0)
            *slot = i;
    }
    return ASH_OK;
}
