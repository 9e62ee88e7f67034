/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/batch.h"
#include "runtime/status.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The page table of a paged KV cache: who holds which page, and which pages hold which prefix.
 *
 * A page holds the keys and values of ASH_PAGE_POSITIONS positions of one sequence, in every layer; the
 * memory itself is the plan's (ash_plan_state), page p of it everywhere. Pages are counted, so that
 * sequences that begin with the same tokens share their full pages (PagedAttention, Kwon et al. 2023,
 * arXiv 2309.06180). A full page that no sequence holds any more is kept until its memory is needed,
 * the longest unused first, and found again by the exact tokens that lead up to it; never by a hash
 * alone.
 *
 * Everything is allocated when the cache is created. Threads: one at a time.
 */
struct ash_kv_cache;

/* The pages of one sequence; the caller's storage. Only kv_cache.c changes it. */
struct ash_kv_sequence {
    int32_t *page;     /* page of positions [32 i, 32 i + 32); borrowed by ash_span */
    int32_t pages;     /* how many it holds */
    int32_t capacity;  /* how many page[] has room for */
    int32_t committed; /* the first so many are full and will not be written again */
    uint64_t prefix;   /* the cache's name for the tokens in those; 0 = none */
};

/* A cache of `pages` pages for sequences of at most `positions` positions. */
enum ash_status ash_kv_cache_create(int32_t pages, int32_t positions, struct ash_kv_cache **out);
void ash_kv_cache_destroy(struct ash_kv_cache *cache); /* takes NULL; sequences must have ended */

/*
 * Starts a sequence and takes over the longest run of full pages that holds exactly the beginning of
 * `token` (count). *cached = positions that need no prefill: a multiple of the page, and less than
 * `count`, because the last token must run to give logits. The caller ends it with ash_kv_end().
 */
enum ash_status ash_kv_begin(struct ash_kv_cache *cache, const int32_t *token, int32_t count,
    struct ash_kv_sequence *out, int32_t *cached);

/*
 * Makes sure the sequence has pages for its first `positions` positions.
 * ASH_ERR_LIMIT      more than the cache was created for
 * ASH_ERR_NO_MEMORY  every page is held by a sequence; what it had before is unchanged
 */
enum ash_status ash_kv_reserve(
    struct ash_kv_cache *cache, struct ash_kv_sequence *sequence, int32_t positions);

/* Says that the first `positions` positions have been computed and which tokens they are (all of them,
 * from position 0), so that others can share the pages that are full. */
void ash_kv_commit(struct ash_kv_cache *cache, struct ash_kv_sequence *sequence,
    const int32_t *token, int32_t positions);

/* Gives back the pages beyond the first `positions` positions: the tail of a rejected draft. Not less
 * than what was committed. */
void ash_kv_truncate(
    struct ash_kv_cache *cache, struct ash_kv_sequence *sequence, int32_t positions);

/* Gives all pages back and frees the sequence's table. A zeroed sequence is fine. */
void ash_kv_end(struct ash_kv_cache *cache, struct ash_kv_sequence *sequence);

/*
 * After the memory behind the cache was lost: a sequence gives all its pages back, and is as at the
 * beginning, with nothing cached; once all have, ash_kv_forget() forgets what the pages held.
 */
void ash_kv_drop(struct ash_kv_cache *cache, struct ash_kv_sequence *sequence);
void ash_kv_forget(struct ash_kv_cache *cache);

struct ash_kv_usage {
    int32_t pages;  /* of the cache */
    int32_t held;   /* by sequences; a shared page counts once */
    int32_t cached; /* held by nobody, kept for its prefix */
};
void ash_kv_usage(const struct ash_kv_cache *cache, struct ash_kv_usage *out);
