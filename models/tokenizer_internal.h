/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/tokenizer.h"
#include "models/tokenizer_split.h"

#include <string.h>

/* tokenizer_unicode.c: what the expressions of the pre-tokenizers tell apart (\p{L}, \p{N}, \s). */
enum ash_char_class { ASH_CHAR_OTHER, ASH_CHAR_LETTER, ASH_CHAR_NUMBER, ASH_CHAR_SPACE };

enum ash_char_class ash_char_class(uint32_t point);

/* What is known of a token beside its type. */
enum ash_token_flag {
    ASH_FLAG_WORD = 1 << 0,  /* merging may use and make it */
    ASH_FLAG_WHOLE = 1 << 1, /* a word of these bytes was seen to become this one token */
    ASH_FLAG_ENDS = 1 << 2,  /* ends an answer */
};

/* (left, right) -> result; its place in the list is its rank: lower goes first. */
struct ash_merge {
    int32_t left, right, result;
};

/*
 * Open addressing, a power of two of slots, at most two thirds full. The seed is drawn at random for
 * each tokenizer, so that nobody can write a vocabulary whose entries all meet in one slot.
 */
struct ash_merge_table {
    struct ash_merge *list;
    int32_t *slot; /* places in list[], as most pairs that are asked for have no merge; -1: empty */
    size_t mask;
};

struct ash_word_slot {
    uint32_t hash; /* the half that did not choose the slot */
    int32_t id;    /* -1: an empty slot */
};

struct ash_word_table {
    struct ash_word_slot *slot;
    size_t mask;
};

/* Tokens that are looked for in the text itself: ids in the order of their bytes. */
struct ash_marker_set {
    int32_t *id;
    size_t start[257]; /* where those that begin with byte b are: start[b] .. start[b + 1] */
};

struct ash_tokenizer {
    const struct ash_split *split;
    uint64_t seed;
    int32_t count;
    int32_t merge_count;
    uint32_t *offset;        /* of token i's bytes; count + 1 of them */
    char *bytes;             /* every token's, one after the other */
    uint8_t *type;           /* enum ash_token_type */
    uint8_t *flag;           /* enum ash_token_flag; atomic once made */
    int32_t byte_token[256]; /* -1: none */
    struct ash_word_table words;
    struct ash_merge_table merges;
    struct ash_marker_set user;    /* found in every text */
    struct ash_marker_set special; /* and with ASH_ENCODE_SPECIAL: user-defined and control ones */
    int32_t bos, eos, eot, eom, unk, pad;
    bool add_bos, add_eos;
};

/* Working memory of one call of encode, for words too long for the stack. Start from { 0 }. */
struct ash_bpe_scratch {
    void *link;
    uint64_t *heap;
    size_t capacity;
};

void ash_bpe_scratch_free(struct ash_bpe_scratch *scratch);

/*
 * tokenizer_bpe.c: merges `count` ids in place and sets *count to how many are left.
 * Only words of more than ASH_BPE_SHORT ids allocate.
 */
enum { ASH_BPE_SHORT = 96 };
enum ash_status ash_bpe_merge(const struct ash_tokenizer *tokenizer,
    struct ash_bpe_scratch *scratch, int32_t *id, size_t *count);

/* tokenizer_vocab.c */
enum ash_status ash_tokenizer_load_tokens(
    struct ash_tokenizer *tokenizer, const struct ash_tokenizer_source *source);
int32_t ash_tokenizer_find_word(
    const struct ash_tokenizer *tokenizer, const char *bytes, size_t length);

/* tokenizer_merges.c */
enum ash_status ash_tokenizer_load_merges(
    struct ash_tokenizer *tokenizer, const struct ash_tokenizer_source *source);

/* tokenizer_markers.c: sorts the tokens to be found in texts; the one `text` begins with, or -1. */
enum ash_status ash_tokenizer_load_markers(struct ash_tokenizer *tokenizer);
int32_t ash_marker_match(const struct ash_tokenizer *tokenizer, const struct ash_marker_set *set,
    const char *text, size_t length);

/*
 * Turns GPT-2's alphabet back into bytes: `out` holds `length` bytes. Returns how many there are, or
 * -1 where the text has a character outside the alphabet.
 */
int64_t ash_alphabet_decode(const char *text, size_t length, char *out);

/* For slots: slots[hash & mask]; a size that keeps `count` entries below two thirds. */
static inline size_t ash_table_slots(size_t count)
{
    size_t slots = 16;
    while (slots / 3 < count / 2 + 1)
        slots *= 2;
    return slots;
}

/* A 64-bit product folded to 64 bits: one step of a hash (wyhash's). */
static inline uint64_t ash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The slot of a pair: its merge's, or the empty one where that would go. The hot loop of encoding. */
static inline int32_t *ash_merge_slot(
    const struct ash_tokenizer *tokenizer, int32_t left, int32_t right)
{
    const struct ash_merge_table *merges = &tokenizer->merges;
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t hash = ash_fold(pair ^ tokenizer->seed, 0x9E3779B97F4A7C15u);
    for (size_t i = hash & merges->mask;; i = (i + 1) & merges->mask) {
        int32_t *slot = &merges->slot[i];
        if (*slot < 0 || (merges->list[*slot].left == left && merges->list[*slot].right == right))
            return slot;
    }
}

static inline const char *ash_token_bytes(
    const struct ash_tokenizer *tokenizer, int32_t id, size_t *length)
{
    *length = tokenizer->offset[id + 1] - tokenizer->offset[id];
    return tokenizer->bytes + tokenizer->offset[id];
}
