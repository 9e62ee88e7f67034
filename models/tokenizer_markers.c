/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control and user-defined tokens, found in the text itself: the leftmost first, the longest of
 * those that begin there (as the reference's automaton does).
 */
#include "models/tokenizer_internal.h"
#include "runtime/memory.h"

#include <stdlib.h>

static int by_bytes(const void *left, const void *right, void *context)
{
    size_t left_length, right_length;
    const char *a = ash_token_bytes(context, *(const int32_t *)left, &left_length);
    const char *b = ash_token_bytes(context, *(const int32_t *)right, &right_length);
    int order = memcmp(a, b, left_length < right_length ? left_length : right_length);
    return order ? order : (left_length > right_length) - (left_length < right_length);
}

static bool belongs(const struct ash_tokenizer *tokenizer, int32_t id, bool user_only)
{
    size_t length;
    ash_token_bytes(tokenizer, id, &length);
    int type = tokenizer->type[id];
    bool control = type == ASH_TOKEN_CONTROL || type == ASH_TOKEN_UNKNOWN;
    return length && (type == ASH_TOKEN_USER_DEFINED || (control && !user_only));
}

static enum ash_status check_distinct(
    struct ash_tokenizer *tokenizer, const struct ash_marker_set *set, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t length;
        const char *bytes = ash_token_bytes(tokenizer, set->id[i], &length);
        if (by_bytes(&set->id[i - 1], &set->id[i], tokenizer) == 0)
            return ash_fail(ASH_ERR_FORMAT,
                "tokens %d and %d of the vocabulary are both \"%.*s\"; each must be there once",
                (int)set->id[i - 1], (int)set->id[i], (int)length, bytes);
    }
    return ASH_OK;
}

static enum ash_status make_set(
    struct ash_tokenizer *tokenizer, bool user_only, struct ash_marker_set *set)
{
    size_t count = 0;
    for (int32_t id = 0; id < tokenizer->count; id++)
        count += belongs(tokenizer, id, user_only);
    set->id = ash_alloc_array(count, sizeof *set->id);
    if (!set->id)
        return ash_fail_memory(count * sizeof *set->id, "the list of special tokens");
    count = 0;
    for (int32_t id = 0; id < tokenizer->count; id++)
        if (belongs(tokenizer, id, user_only))
            set->id[count++] = id;
    qsort_r(set->id, count, sizeof *set->id, by_bytes, tokenizer);
    for (size_t i = 0; i < count; i++)
        set->start[(unsigned char)tokenizer->bytes[tokenizer->offset[set->id[i]]] + 1] = i + 1;
    for (size_t byte = 1; byte <= 256; byte++) /* no token begins with it: an empty range */
        if (set->start[byte] < set->start[byte - 1])
            set->start[byte] = set->start[byte - 1];
    return check_distinct(tokenizer, set, count);
}

enum ash_status ash_tokenizer_load_markers(struct ash_tokenizer *tokenizer)
{
    ASH_TRY(make_set(tokenizer, true, &tokenizer->user));
    return make_set(tokenizer, false, &tokenizer->special);
}

/* The first of id[low..high), which agree before byte `at`, whose byte there is `byte` or more. */
static size_t first_from(const struct ash_tokenizer *tokenizer, const int32_t *id, size_t low,
    size_t high, size_t at, int byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)tokenizer->bytes[tokenizer->offset[id[middle]] + at] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t ash_marker_match(const struct ash_tokenizer *tokenizer, const struct ash_marker_set *set,
    const char *text, size_t length)
{
    int32_t longest = -1;
    size_t low = set->start[(unsigned char)text[0]], high = set->start[(unsigned char)text[0] + 1];
    for (size_t at = 1; low < high; at++) {
        size_t size;
        ash_token_bytes(tokenizer, set->id[low], &size);
        if (size == at) /* the shortest of those that agree so far stands first */
            longest = set->id[low++];
        if (at == length)
            break;
        int byte = (unsigned char)text[at];
        low = first_from(tokenizer, set->id, low, high, at, byte);
        high = first_from(tokenizer, set->id, low, high, at, byte + 1);
    }
    return longest;
}
