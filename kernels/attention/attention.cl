/* SPDX-License-Identifier: Apache-2.0 */
#ifndef __OPENCL_VERSION__
#include "kernels/device_cache.h"
#endif

/*
 * A group has eight queries (a head of a token each) that share a KV head, 32 items a query. An item
 * scores one of a page's 32 positions, then adds up every 32nd channel of the values; the pages are
 * gone through once (online softmax), each at its absolute position. A query's bits hang on nothing but
 * itself and its cache: what it does not attend to is left out.
 *
 * LANES is the number of an item's channels: the head size over 32, rounded up.
 */
#define QUERIES ATTENTION_QUERIES
#define SIZE    (LANES * 32)

KERNEL(attention)
{
    LOCAL f32 q[QUERIES][SIZE], score[QUERIES][PAGE_POSITIONS];
    LOCAL i32 first_page[QUERIES], end_page[QUERIES];
    i32 row = LID / PAGE_POSITIONS, lane = LID % PAGE_POSITIONS, size = a.head_size;
    i32 shared = a.heads / a.kv_heads, kv_head = GID % a.kv_heads;
    i32 query = GID / a.kv_heads * QUERIES + row, used = query < a.tokens * shared;
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

    f32 sums[LANES], most = -DEVICE_INFINITY, total = 0;
    UNROLL for (i32 i = 0; i < LANES; i++)
        sums[i] = 0;
    for (; page < last; page++) {
        i32 base = page * PAGE_POSITIONS;
        i32 from = first > base ? first - base : 0;
        i32 to = end - base < PAGE_POSITIONS ? end - base : PAGE_POSITIONS;
        i64 tile = from < to ? ((i64)pages[page] * a.kv_heads + kv_head) * cache_tile_bytes(size) : 0;
        if (lane >= from && lane < to) {
            GLOBAL const u8 *keys = IN(u8, 1) + tile;
            f32 s = 0;
            for (i32 d = 0; d < size; d++)
                s = FMA(q[row][d], cache_key(keys, lane, d), s);
            s *= a.scale;
            score[row][lane] = a.softcap > 0 ? a.softcap * device_tanh(s / a.softcap) : s;
        }
        BARRIER();
        f32 now = most;
        for (i32 p = from; p < to; p++)
            now = score[row][p] > now ? score[row][p] : now;
        f32 mine = lane >= from && lane < to ? device_exp(score[row][lane] - now) : 0;
        BARRIER();
        if (lane >= from && lane < to)
            score[row][lane] = mine;
        BARRIER();
        if (from < to) {
            GLOBAL const u8 *values = IN(u8, 2) + tile;
            f32 before = device_exp(most - now);
            most = now;
            total *= before;
            UNROLL for (i32 i = 0; i < LANES; i++)
                sums[i] *= before;
            for (i32 p = from; p < to; p++) {
                f32 weight = score[row][p];
                total += weight;
                UNROLL for (i32 i = 0; i < LANES; i++)
                    if (lane + 32 * i < size)
                        sums[i] = FMA(weight, cache_value(values, size, p, lane + 32 * i), sums[i]);
            }
        }
        BARRIER();
    }
    UNROLL for (i32 i = 0; i < LANES; i++)
        if (used && lane + 32 * i < size)
            OUT(f32)[at + lane + 32 * i] = sums[i] / total;
}
