/* SPDX-License-Identifier: Apache-2.0 */
#include "models/kv_cache.h"

#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { P = ASH_PAGE_POSITIONS };

static void count_up(int32_t *token, int32_t count, int32_t from)
{
    for (int32_t i = 0; i < count; i++)
        token[i] = from + i;
}

/* Begins, reserves and commits a sequence of `count` tokens; returns the positions found cached. */
static int32_t run(
    struct ash_kv_cache *cache, const int32_t *token, int32_t count, struct ash_kv_sequence *out)
{
    int32_t cached = -1;
    cr_assert_eq(ash_kv_begin(cache, token, count, out, &cached), ASH_OK);
    cr_assert_eq(ash_kv_reserve(cache, out, count), ASH_OK, "%s", ash_error());
    ash_kv_commit(cache, out, token, count);
    return cached;
}

Test(kv_cache, a_second_sequence_shares_the_full_pages_of_a_common_prefix)
{
    struct ash_kv_cache *cache;
    cr_assert_eq(ash_kv_cache_create(16, 8 * P, &cache), ASH_OK);
    int32_t token[4 * P];
    count_up(token, 4 * P, 0);
    struct ash_kv_sequence first, second, third;
    cr_assert_eq(run(cache, token, 3 * P + 5, &first), 0);
    token[2 * P] = 9999;
    cr_assert_eq(run(cache, token, 3 * P + 5, &second), 2 * P);
    cr_assert_eq(second.page[1], first.page[1]);
    cr_assert_neq(second.page[2], first.page[2]);
    /* The last token always has to run. */
    cr_assert_eq(run(cache, token, 2 * P, &third), P);
    struct ash_kv_usage usage;
    ash_kv_usage(cache, &usage);
    cr_assert_eq(usage.held, 4 + 2 + 1);
    ash_kv_end(cache, &first);
    ash_kv_end(cache, &second);
    ash_kv_end(cache, &third);
    ash_kv_usage(cache, &usage);
    cr_assert_eq(usage.held, 0);
    cr_assert_eq(usage.cached, 4, "3 full pages of the first, 1 of the second");
    ash_kv_cache_destroy(cache);
}

Test(kv_cache, a_prefix_that_was_let_go_is_found_until_its_memory_is_needed)
{
    struct ash_kv_cache *cache;
    cr_assert_eq(ash_kv_cache_create(4, 4 * P, &cache), ASH_OK);
    int32_t old[3 * P], other[2 * P];
    count_up(old, 3 * P, 0);
    count_up(other, 2 * P, 5000);
    struct ash_kv_sequence sequence;
    cr_assert_eq(run(cache, old, 3 * P, &sequence), 0);
    ash_kv_end(cache, &sequence);
    cr_assert_eq(run(cache, old, 3 * P, &sequence), 2 * P);
    ash_kv_end(cache, &sequence);
    /* Two pages for another: the free one and the old prefix's tail, not its beginning. */
    cr_assert_eq(run(cache, other, 2 * P, &sequence), 0);
    ash_kv_end(cache, &sequence);
    cr_assert_eq(run(cache, old, 3 * P, &sequence), 2 * P);
    ash_kv_end(cache, &sequence);
    ash_kv_cache_destroy(cache);
}

Test(kv_cache, a_full_cache_refuses_and_leaves_the_sequence_as_it_was)
{
    struct ash_kv_cache *cache;
    cr_assert_eq(ash_kv_cache_create(3, 64 * P, &cache), ASH_OK);
    int32_t token[3 * P], cached;
    count_up(token, 3 * P, 0);
    struct ash_kv_sequence first, second;
    run(cache, token, 2 * P, &first);
    cr_assert_eq(ash_kv_begin(cache, (int32_t[]){ 7 }, 1, &second, &cached), ASH_OK);
    cr_assert_eq(ash_kv_reserve(cache, &second, 2 * P), ASH_ERR_NO_MEMORY);
    cr_assert_eq(second.pages, 0);
    cr_assert_eq(ash_kv_reserve(cache, &second, P), ASH_OK);
    cr_assert_eq(ash_kv_reserve(cache, &second, 65 * P), ASH_ERR_LIMIT);
    ash_kv_end(cache, &second);
    ash_kv_end(cache, &first);
    ash_kv_cache_destroy(cache);
}

Test(kv_cache, twins_computed_side_by_side_keep_their_own_pages_and_go_on_sharing_later)
{
    struct ash_kv_cache *cache;
    cr_assert_eq(ash_kv_cache_create(16, 8 * P, &cache), ASH_OK);
    int32_t token[3 * P], cached;
    count_up(token, 3 * P, 0);
    struct ash_kv_sequence a, b, c;
    cr_assert_eq(ash_kv_begin(cache, token, 3 * P, &a, &cached), ASH_OK);
    cr_assert_eq(ash_kv_begin(cache, token, 3 * P, &b, &cached), ASH_OK);
    cr_assert_eq(cached, 0);
    cr_assert_eq(ash_kv_reserve(cache, &a, 3 * P), ASH_OK);
    cr_assert_eq(ash_kv_reserve(cache, &b, 3 * P), ASH_OK);
    ash_kv_commit(cache, &a, token, P);
    ash_kv_commit(cache, &b, token, 2 * P);
    cr_assert_eq(run(cache, token, 3 * P, &c), 2 * P);
    cr_assert_eq(c.page[0], a.page[0]);
    cr_assert_eq(c.page[1], b.page[1]);
    ash_kv_end(cache, &a);
    ash_kv_end(cache, &b);
    ash_kv_end(cache, &c);
    ash_kv_cache_destroy(cache);
}

Test(kv_cache, truncate_gives_back_the_tail_of_a_draft)
{
    struct ash_kv_cache *cache;
    cr_assert_eq(ash_kv_cache_create(8, 8 * P, &cache), ASH_OK);
    int32_t token[P], cached;
    count_up(token, P, 0);
    struct ash_kv_sequence sequence;
    cr_assert_eq(ash_kv_begin(cache, token, P, &sequence, &cached), ASH_OK);
    cr_assert_eq(ash_kv_reserve(cache, &sequence, 3 * P + 1), ASH_OK);
    ash_kv_commit(cache, &sequence, token, P);
    ash_kv_truncate(cache, &sequence, 2 * P);
    cr_assert_eq(sequence.pages, 2);
    ash_kv_truncate(cache, &sequence, P + 1);
    cr_assert_eq(sequence.pages, 2);
    ash_kv_truncate(cache, &sequence, P);
    cr_assert_eq(sequence.pages, 1);
    ash_kv_end(cache, &sequence);
    ash_kv_cache_destroy(cache);
}

/* Random sequences come, grow and go; a page must never be writable by one while another reads it. */
Test(kv_cache, no_page_is_ever_written_by_one_and_held_by_another)
{
    enum { SEQUENCES = 6, PAGES = 24 };
    struct ash_kv_cache *cache;
    cr_assert_eq(ash_kv_cache_create(PAGES, 8 * P, &cache), ASH_OK);
    struct ash_kv_sequence sequence[SEQUENCES] = { 0 };
    int32_t token[SEQUENCES][8 * P], length[SEQUENCES] = { 0 };
    srand(1);
    for (int round = 0; round < 20000; round++) {
        int s = rand() % SEQUENCES;
        if (!sequence[s].page) {
            count_up(token[s], 8 * P, 0);
            token[s][rand() % (4 * P)] = -1 - rand() % 3;
            int32_t cached;
            cr_assert_eq(ash_kv_begin(cache, token[s], 8 * P, &sequence[s], &cached), ASH_OK);
            length[s] = cached;
        } else if (length[s] >= 7 * P || rand() % 20 == 0) {
            ash_kv_end(cache, &sequence[s]);
            continue;
        }
        int32_t more = length[s] + 1 + rand() % P;
        if (ash_kv_reserve(cache, &sequence[s], more) != ASH_OK) {
            ash_kv_end(cache, &sequence[s]);
            continue;
        }
        for (int32_t p = length[s] / P; p < sequence[s].pages; p++)
            for (int o = 0; o < SEQUENCES; o++)
                for (int32_t q = 0; o != s && q < sequence[o].pages; q++)
                    cr_assert_neq(sequence[s].page[p], sequence[o].page[q]);
        ash_kv_commit(cache, &sequence[s], token[s], length[s] = more);
    }
    for (int s = 0; s < SEQUENCES; s++)
        ash_kv_end(cache, &sequence[s]);
    ash_kv_cache_destroy(cache);
}

Test(kv_cache, create_and_begin_survive_every_failed_allocation)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int n = 0; status != ASH_OK; n++) {
        struct ash_kv_cache *cache = NULL;
        struct ash_kv_sequence sequence = { 0 };
        int32_t cached;
        ash_memory_fail_from(n);
        status = ash_kv_cache_create(4, 4 * P, &cache);
        if (status == ASH_OK)
            status = ash_kv_begin(cache, (int32_t[]){ 1 }, 1, &sequence, &cached);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY);
        if (cache)
            ash_kv_end(cache, &sequence);
        ash_kv_cache_destroy(cache);
    }
}
