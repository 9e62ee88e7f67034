/* SPDX-License-Identifier: Apache-2.0 */
#include "models/kv_cache.h"

#include "runtime/memory.h"

#include <assert.h>
#include <string.h>

enum { NONE = -1, P = ASH_PAGE_POSITIONS };

/*
 * A page is free (unknown, nobody's), held (users > 0) or cached (known, nobody's). Free and cached
 * pages stand in one list, free ones at the front, then cached ones from the longest unused on; the
 * next page is always the list's first.
 */
struct page {
    int32_t users;
    int32_t next, previous; /* in the list of pages that nobody holds */
    int32_t chain;          /* the next known page with the same hash */
    uint64_t id;            /* of the prefix that ends with this page; 0 = not known */
    uint64_t parent;        /* id of the prefix before it; 0 = the beginning */
    int32_t token[P];       /* valid if known */
};

struct ash_kv_cache {
    int32_t pages, positions, held, known_idle;
    int32_t first, last; /* list of pages that nobody holds */
    uint64_t
        next_id; /* ids are never used twice, so a reused page can't pass for its former self */
    uint32_t bucket_mask;
    int32_t *bucket; /* heads of the chains */
    struct page *page;
};

static uint32_t bucket_of(const struct ash_kv_cache *cache, uint64_t parent, const int32_t *token)
{
    uint64_t hash = parent * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u;
    for (int i = 0; i < P; i++)
        hash = (hash ^ (uint32_t)token[i]) * 0xFF51AFD7ED558CCDu, hash ^= hash >> 32;
    return (uint32_t)hash & cache->bucket_mask;
}

static int32_t find(const struct ash_kv_cache *cache, uint64_t parent, const int32_t *token)
{
    int32_t at = cache->bucket[bucket_of(cache, parent, token)];
    while (at != NONE && (cache->page[at].parent != parent ||
                             memcmp(cache->page[at].token, token, sizeof cache->page[at].token)))
        at = cache->page[at].chain;
    return at;
}

static void list_remove(struct ash_kv_cache *cache, int32_t index)
{
    struct page *page = &cache->page[index];
    *(page->previous == NONE ? &cache->first : &cache->page[page->previous].next) = page->next;
    *(page->next == NONE ? &cache->last : &cache->page[page->next].previous) = page->previous;
}

static void list_insert(struct ash_kv_cache *cache, int32_t index, bool at_front)
{
    struct page *page = &cache->page[index];
    page->next = at_front ? cache->first : NONE;
    page->previous = at_front ? NONE : cache->last;
    *(page->previous == NONE ? &cache->first : &cache->page[page->previous].next) = index;
    *(page->next == NONE ? &cache->last : &cache->page[page->next].previous) = index;
}

static void forget(struct ash_kv_cache *cache, int32_t index)
{
    struct page *page = &cache->page[index];
    int32_t *at = &cache->bucket[bucket_of(cache, page->parent, page->token)];
    while (*at != index)
        at = &cache->page[*at].chain;
    *at = page->chain;
    page->id = 0;
}

static void hold(struct ash_kv_cache *cache, int32_t index)
{
    struct page *page = &cache->page[index];
    if (page->users++ > 0)
        return;
    list_remove(cache, index);
    cache->held++;
    cache->known_idle -= page->id != 0;
}

static void release(struct ash_kv_cache *cache, int32_t index)
{
    struct page *page = &cache->page[index];
    assert(page->users > 0);
    if (--page->users > 0)
        return;
    list_insert(cache, index, page->id == 0);
    cache->held--;
    cache->known_idle += page->id != 0;
}

/* The next page to write to, or NONE. Pages of a prefix that are cached are released from their end
 * on (see ash_kv_end), so that a prefix loses its tail before its beginning. */
static int32_t take(struct ash_kv_cache *cache)
{
    int32_t index = cache->first;
    if (index == NONE)
        return NONE;
    hold(cache, index);
    if (cache->page[index].id != 0)
        forget(cache, index);
    return index;
}

enum ash_status ash_kv_cache_create(int32_t pages, int32_t positions, struct ash_kv_cache **out)
{
    if (pages < 1 || positions < 1)
        return ash_fail(ASH_ERR_ARGUMENT, "a KV cache needs at least one page and one position");
    uint32_t buckets = 16;
    while (buckets < (uint32_t)pages)
        buckets *= 2;
    struct ash_kv_cache *cache = ash_alloc_zero(sizeof *cache);
    if (!cache)
        return ash_fail_memory(sizeof *cache, "the KV cache");
    cache->page = ash_alloc_array((size_t)pages, sizeof *cache->page);
    cache->bucket = ash_alloc_array(buckets, sizeof *cache->bucket);
    if (!cache->page || !cache->bucket) {
        ash_kv_cache_destroy(cache);
        return ash_fail_memory((size_t)pages * sizeof *cache->page, "the KV cache's page table");
    }
    cache->pages = pages;
    cache->positions = positions;
    cache->first = cache->last = NONE;
    cache->next_id = 1;
    cache->bucket_mask = buckets - 1;
    memset(cache->bucket, 0xFF, buckets * sizeof *cache->bucket);
    for (int32_t i = 0; i < pages; i++)
        list_insert(cache, i, false);
    *out = cache;
    return ASH_OK;
}

void ash_kv_cache_destroy(struct ash_kv_cache *cache)
{
    if (!cache)
        return;
    ash_free(cache->page);
    ash_free(cache->bucket);
    ash_free(cache);
}

enum ash_status ash_kv_begin(struct ash_kv_cache *cache, const int32_t *token, int32_t count,
    struct ash_kv_sequence *out, int32_t *cached)
{
    int32_t capacity = (cache->positions + P - 1) / P;
    struct ash_kv_sequence sequence = { .capacity = capacity };
    sequence.page = ash_alloc_array((size_t)capacity, sizeof *sequence.page);
    if (!sequence.page)
        return ash_fail_memory((size_t)capacity * sizeof *sequence.page, "a sequence's page table");
    while (sequence.pages < capacity && (sequence.pages + 1) * P < count) {
        int32_t index = find(cache, sequence.prefix, token + sequence.pages * P);
        if (index == NONE)
            break;
        hold(cache, index);
        sequence.prefix = cache->page[index].id;
        sequence.page[sequence.pages++] = index;
    }
    sequence.committed = sequence.pages;
    *cached = sequence.pages * P;
    *out = sequence;
    return ASH_OK;
}

enum ash_status ash_kv_reserve(
    struct ash_kv_cache *cache, struct ash_kv_sequence *sequence, int32_t positions)
{
    if (positions > cache->positions)
        return ash_fail(ASH_ERR_LIMIT, "%d positions asked for; the context holds %d", positions,
            cache->positions);
    int32_t before = sequence->pages;
    while (sequence->pages * P < positions) {
        int32_t index = take(cache);
        if (index == NONE) {
            while (sequence->pages > before)
                release(cache, sequence->page[--sequence->pages]);
            return ash_fail(ASH_ERR_NO_MEMORY,
                "all %d pages of the KV cache (%d positions each) are in use; wait for a sequence to "
                "end, or give the cache more pages",
                cache->pages, P);
        }
        sequence->page[sequence->pages++] = index;
    }
    return ASH_OK;
}

/* Makes a page known as the continuation of `parent` by its tokens. */
static int32_t learn(
    struct ash_kv_cache *cache, int32_t index, uint64_t parent, const int32_t *token)
{
    struct page *page = &cache->page[index];
    page->id = cache->next_id++;
    page->parent = parent;
    memcpy(page->token, token, sizeof page->token);
    int32_t *head = &cache->bucket[bucket_of(cache, parent, token)];
    page->chain = *head;
    *head = index;
    return index;
}

void ash_kv_commit(struct ash_kv_cache *cache, struct ash_kv_sequence *sequence,
    const int32_t *token, int32_t positions)
{
    for (; (sequence->committed + 1) * P <= positions; sequence->committed++) {
        const int32_t *tokens = token + sequence->committed * P;
        int32_t known = find(cache, sequence->prefix, tokens);
        if (known == NONE) /* else a twin was computed meanwhile: this copy stays private */
            known = learn(cache, sequence->page[sequence->committed], sequence->prefix, tokens);
        sequence->prefix = cache->page[known].id;
    }
}

void ash_kv_truncate(
    struct ash_kv_cache *cache, struct ash_kv_sequence *sequence, int32_t positions)
{
    assert(positions >= sequence->committed * P);
    while ((sequence->pages - 1) * P >= positions && sequence->pages > 0)
        release(cache, sequence->page[--sequence->pages]);
}

void ash_kv_drop(struct ash_kv_cache *cache, struct ash_kv_sequence *sequence)
{
    while (sequence->pages > 0)
        release(cache, sequence->page[--sequence->pages]);
    sequence->committed = 0;
    sequence->prefix = 0;
}

void ash_kv_end(struct ash_kv_cache *cache, struct ash_kv_sequence *sequence)
{
    ash_kv_drop(cache, sequence);
    ash_free(sequence->page);
    *sequence = (struct ash_kv_sequence){ 0 };
}

void ash_kv_forget(struct ash_kv_cache *cache)
{
    assert(cache->held == 0);
    for (int32_t i = 0; i < cache->pages; i++)
        if (cache->page[i].id != 0)
            forget(cache, i);
    cache->known_idle = 0;
}

void ash_kv_usage(const struct ash_kv_cache *cache, struct ash_kv_usage *out)
{
    *out = (struct ash_kv_usage){
        .pages = cache->pages,
        .held = cache->held,
        .cached = cache->known_idle,
    };
}
