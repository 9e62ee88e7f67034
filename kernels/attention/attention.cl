/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_cache.h"
#endif

/*
 * A group has eight queries (a head of a token each) that share a KV head, 32 items a query. An item
 * scores one of a page's 32 positions, then adds up every 32nd channel of the values; the pages are
 * gone through once (online softmax). Parts of ATTENTION_PART positions are summed each by itself, then
 * added up in order: by the same group or, where there are too few groups for a card (a.parts > 0), by a
 * group a part, which leaves its sums in the scratch, and by attention_join (Flash-Decoding, with parts at
 * absolute positions). A query's bits hang on nothing but itself and its cache.
 *
 * LANES is the number of an item's channels: the head size over 32, rounded up.
 */
#define QUERIES    ATTENTION_QUERIES
#define SIZE       (LANES * 32)
#define PART_PAGES (ATTENTION_PART / PAGE_POSITIONS)

/* Values that a query has seen, weighted: relative to the largest score, as its weights' sum is. */
struct sums {
    f32 most, total, value[LANES];
};

DEV struct sums sums_of_nothing(void)
{
    struct sums sums;
    sums.most = -DEVICE_INFINITY;
    sums.total = 0;
    UNROLL for (i32 i = 0; i < LANES; i++)
        sums.value[i] = 0;
    return sums;
}

/* Makes `most` what both are relative to. */
DEV void sums_scale(struct sums *sums, f32 most)
{
    f32 factor = device_exp(sums->most - most);
    sums->most = most;
    sums->total *= factor;
    UNROLL for (i32 i = 0; i < LANES; i++)
        sums->value[i] *= factor;
}

DEV void sums_add(struct sums *all, struct sums part)
{
    if (part.total == 0) /* it saw none of them */
        return;
    f32 most = part.most > all->most ? part.most : all->most;
    sums_scale(all, most);
    sums_scale(&part, most);
    all->total += part.total;
    UNROLL for (i32 i = 0; i < LANES; i++)
        all->value[i] += part.value[i];
}

/* Where the scratch has the sums of a part: (tokens, heads, parts, size + 2). */
#define PART_AT(token, head, part)                                                                 \
    (ATTENTION_COUNTERS +                                                                          \
        (((i64)(token) * a.heads + (head)) * a.parts + (part)) * (a.head_size + 2))

KERNEL(attention)
{
    LOCAL f32 q[QUERIES][SIZE], score[QUERIES][PAGE_POSITIONS];
    LOCAL i32 first_page[QUERIES], end_page[QUERIES];
    i32 parts = a.parts > 0 ? a.parts : 1, part = GID % parts, group = GID / parts;
    i32 row = LID / PAGE_POSITIONS, lane = LID % PAGE_POSITIONS, size = a.head_size;
    i32 shared = a.heads / a.kv_heads, kv_head = group % a.kv_heads;
    i32 query = group / a.kv_heads * QUERIES + row, used = query < a.tokens * shared;
    i32 token = used ? query / shared : 0, head = kv_head * shared + query % shared;
    i64 at = ((i64)token * a.heads + head) * size;
    i32 end = used ? BATCH_POSITION(token) + 1 : 0; /* attends to [first, end) */
    i32 first = a.window > 0 && end > a.window ? end - a.window : 0;
    GLOBAL const i32 *pages = BATCH_PAGES(token);

    for (i32 d = lane; used && d < size; d += PAGE_POSITIONS)
        q[row][d] = IN(f32, 0)[at + d];
    if (lane == 0) {
        first_page[row] = used ? first / PAGE_POSITIONS : 0x7fffffff;
        end_page[row] = (end + PAGE_POSITIONS - 1) / PAGE_POSITIONS;
    }
    BARRIER();
    i32 page = first_page[0], last = end_page[0];
    for (i32 i = 1; i < QUERIES; i++) {
        page = first_page[i] < page ? first_page[i] : page;
        last = end_page[i] > last ? end_page[i] : last;
    }
    if (a.parts > 0) {
        page = page < part * PART_PAGES ? part * PART_PAGES : page;
        last = last < (part + 1) * PART_PAGES ? last : (part + 1) * PART_PAGES;
    }

    struct sums all = sums_of_nothing(), sums = sums_of_nothing();
    for (; page < last; page++) {
        i32 base = page * PAGE_POSITIONS;
        i32 from = first > base ? first - base : 0;
        i32 to = end - base < PAGE_POSITIONS ? end - base : PAGE_POSITIONS;
        i64 tile = from < to ? ((i64)pages[page] * a.kv_heads + kv_head) * cache_tile_bytes(size) : 0;
        if (page % PART_PAGES == 0) {
            sums_add(&all, sums);
            sums = sums_of_nothing();
        }
        if (lane >= from && lane < to) {
            GLOBAL const u8 *keys = IN(u8, 1) + tile;
            f32 s = 0;
            for (i32 d = 0; d < size; d++)
                s = FMA(q[row][d], cache_key(keys, lane, d), s);
            s *= a.scale;
            score[row][lane] = a.softcap > 0 ? a.softcap * device_tanh(s / a.softcap) : s;
        }
        BARRIER();
        f32 most = sums.most;
        for (i32 p = from; p < to; p++)
            most = score[row][p] > most ? score[row][p] : most;
        f32 mine = lane >= from && lane < to ? device_exp(score[row][lane] - most) : 0;
        BARRIER();
        if (lane >= from && lane < to)
            score[row][lane] = mine;
        BARRIER();
        if (from < to) {
            GLOBAL const u8 *values = IN(u8, 2) + tile;
            sums_scale(&sums, most);
            for (i32 p = from; p < to; p++) {
                f32 weight = score[row][p];
                sums.total += weight;
                UNROLL for (i32 i = 0; i < LANES; i++)
                    if (lane + 32 * i < size)
                        sums.value[i] =
                            FMA(weight, cache_value(values, size, p, lane + 32 * i), sums.value[i]);
            }
        }
        BARRIER();
    }
    sums_add(&all, sums);
    GLOBAL f32 *to = a.parts > 0 ? UPDATED(f32, 3) + PART_AT(token, head, part) : OUT(f32) + at;
    f32 whole = a.parts > 0 ? 1 : all.total;
    UNROLL for (i32 i = 0; i < LANES; i++)
        if (used && lane + 32 * i < size)
            to[lane + 32 * i] = all.value[i] / whole;
    if (used && lane == 0 && a.parts > 0) {
        to[size] = all.most;
        to[size + 1] = all.total;
    }
}

/* A group has eight heads of a token each, 32 items a head. */
KERNEL(attention_join)
{
    i32 lane = LID % PAGE_POSITIONS, size = a.head_size;
    i64 row = (i64)GID * QUERIES + LID / PAGE_POSITIONS;
    i32 used = row < (i64)a.tokens * a.heads;
    struct sums all = sums_of_nothing();
    for (i32 part = 0; used && part < a.parts; part++) {
        GLOBAL const f32 *from = IN(f32, 3) + PART_AT(0, row, part);
        struct sums sums = sums_of_nothing();
        sums.most = from[size];
        sums.total = from[size + 1];
        UNROLL for (i32 i = 0; i < LANES; i++)
            if (lane + 32 * i < size)
                sums.value[i] = from[lane + 32 * i];
        sums_add(&all, sums);
    }
    UNROLL for (i32 i = 0; i < LANES; i++)
        if (used && lane + 32 * i < size)
            OUT(f32)[row * size + lane + 32 * i] = all.value[i] / all.total;
}
