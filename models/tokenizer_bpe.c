/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging one word. Both ways join, again and again, the pair whose merge has the lowest rank, the
 * leftmost of several: a scan for words of everyday length, a heap for the others, so that a
 * megabyte without a space takes O(n log n).
 */
#include "models/tokenizer_internal.h"
#include "runtime/memory.h"

static const uint32_t none = UINT32_MAX; /* the rank of a pair that has no merge */

/* The rank of the pair (left, right), and its token. */
static inline uint32_t rank_of(
    const struct ash_tokenizer *tokenizer, int32_t left, int32_t right, int32_t *result)
{
    const int32_t rank = *ash_merge_slot(tokenizer, left, right);
    *result = rank < 0 ? -1 : tokenizer->merges.list[rank].result;
    return rank < 0 ? none : (uint32_t)rank;
}

static size_t merge_short(const struct ash_tokenizer *tokenizer, int32_t *id, size_t count)
{
    uint32_t rank[ASH_BPE_SHORT]; /* of the pair that begins at i; the last one's is none */
    int32_t result[ASH_BPE_SHORT];
    for (size_t i = 0; i + 1 < count; i++)
        rank[i] = rank_of(tokenizer, id[i], id[i + 1], &result[i]);
    while (count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == none)
            break;
        id[best] = result[best];
        count--;
        for (size_t i = best + 1; i < count; i++) {
            id[i] = id[i + 1];
            rank[i - 1] = rank[i];
            result[i - 1] = result[i];
        }
        if (best + 1 < count)
            rank[best] = rank_of(tokenizer, id[best], id[best + 1], &result[best]);
        if (best > 0)
            rank[best - 1] = rank_of(tokenizer, id[best - 1], id[best], &result[best - 1]);
    }
    return count;
}

/* A symbol of a long word, in a list that loses members; 0 ends it on the right, as 0 is leftmost. */
struct link {
    int32_t id;
    uint32_t left, right;
    uint32_t rank; /* of the pair that begins here */
    int32_t result;
};

/* Entries are rank << 32 | place: the order of merging. One is stale if its link's rank is another. */
struct heap {
    uint64_t *entry;
    size_t count;
};

static void sift_down(struct heap *heap, size_t at)
{
    uint64_t moved = heap->entry[at];
    for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && heap->entry[child + 1] < heap->entry[child])
            child++;
        if (moved <= heap->entry[child])
            break;
        heap->entry[at] = heap->entry[child];
    }
    heap->entry[at] = moved;
}

static void push(struct heap *heap, uint64_t entry)
{
    size_t at = heap->count++;
    for (; at > 0 && entry < heap->entry[(at - 1) / 2]; at = (at - 1) / 2)
        heap->entry[at] = heap->entry[(at - 1) / 2];
    heap->entry[at] = entry;
}

static uint64_t pop(struct heap *heap)
{
    uint64_t top = heap->entry[0];
    heap->entry[0] = heap->entry[--heap->count];
    if (heap->count)
        sift_down(heap, 0);
    return top;
}

/* Looks up the pair that begins at `at`; returns its entry, or `none` << 32 | at. */
static uint64_t pair_at(const struct ash_tokenizer *tokenizer, struct link *link, uint32_t at)
{
    link[at].rank = none;
    if (link[at].right)
        link[at].rank = rank_of(tokenizer, link[at].id, link[link[at].right].id, &link[at].result);
    return (uint64_t)link[at].rank << 32 | at;
}

static void renew(
    const struct ash_tokenizer *tokenizer, struct link *link, uint32_t at, struct heap *heap)
{
    uint64_t entry = pair_at(tokenizer, link, at);
    if (link[at].rank != none)
        push(heap, entry);
}

/* Joins `at` with its right neighbour, whose pair is no more. */
static void join(
    const struct ash_tokenizer *tokenizer, struct link *link, uint32_t at, struct heap *heap)
{
    uint32_t gone = link[at].right;
    link[at].id = link[at].result;
    link[at].right = link[gone].right;
    link[gone].rank = none;
    if (link[at].right)
        link[link[at].right].left = at;
    renew(tokenizer, link, at, heap);
    if (at > 0)
        renew(tokenizer, link, link[at].left, heap);
}

/* `heap` has room for 2 * count entries: each join takes one or more out and puts two in. */
static size_t merge_long(const struct ash_tokenizer *tokenizer, struct link *link,
    struct heap *heap, int32_t *id, size_t count)
{
    for (size_t i = 0; i < count; i++)
        link[i] = (struct link){ .id = id[i],
            .left = (uint32_t)(i ? i - 1 : 0),
            .right = (uint32_t)(i + 1 < count ? i + 1 : 0) };
    for (size_t i = 0; i + 1 < count; i++) {
        uint64_t entry = pair_at(tokenizer, link, (uint32_t)i);
        if (link[i].rank != none)
            heap->entry[heap->count++] = entry;
    }
    link[count - 1].rank = none;
    for (size_t i = heap->count / 2; i-- > 0;)
        sift_down(heap, i);
    while (heap->count) {
        uint64_t entry = pop(heap);
        if (link[(uint32_t)entry].rank == entry >> 32)
            join(tokenizer, link, (uint32_t)entry, heap);
    }
    size_t left = 0;
    uint32_t at = 0;
    do {
        id[left++] = link[at].id;
        at = link[at].right;
    } while (at);
    return left;
}

static enum ash_status make_room(struct ash_bpe_scratch *scratch, size_t count)
{
    if (count <= scratch->capacity)
        return ASH_OK;
    ash_bpe_scratch_free(scratch);
    scratch->link = ash_alloc(count * sizeof(struct link));
    scratch->heap = ash_alloc(count * 2 * sizeof *scratch->heap);
    if (!scratch->link || !scratch->heap)
        return ash_fail_memory(count * (sizeof(struct link) + 2 * sizeof *scratch->heap),
            "tokenizing a word without a space in it");
    scratch->capacity = count;
    return ASH_OK;
}

void ash_bpe_scratch_free(struct ash_bpe_scratch *scratch)
{
    ash_free(scratch->link);
    ash_free(scratch->heap);
    *scratch = (struct ash_bpe_scratch){ 0 };
}

enum ash_status ash_bpe_merge(const struct ash_tokenizer *tokenizer,
    struct ash_bpe_scratch *scratch, int32_t *id, size_t *count)
{
    if (*count <= ASH_BPE_SHORT) {
        *count = merge_short(tokenizer, id, *count);
        return ASH_OK;
    }
    ASH_TRY(make_room(scratch, *count));
    struct heap heap = { scratch->heap, 0 };
    *count = merge_long(tokenizer, scratch->link, &heap, id, *count);
    return ASH_OK;
}
