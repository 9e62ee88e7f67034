/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/kv_layout.h"

#include "kernels/kv_cache.h"

/* Visits every position of a cache; values (pages, heads, positions, head size). */
static void walk(
    enum ash_kv_side side, const struct ash_tensor *cache, const float *from, float *to)
{
    for (int64_t page = 0; page < cache->dim[0]; page++)
        for (int64_t head = 0; head < cache->dim[1]; head++)
            for (int position = 0; position < ASH_PAGE_POSITIONS; position++) {
                void *tile = ash_kv_tile(cache, page, head);
                int64_t row = (page * cache->dim[1] + head) * ASH_PAGE_POSITIONS + position;
                if (from)
                    ash_kv_write(side, cache, tile, position, from + row * cache->dim[3]);
                else
                    ash_kv_read(side, cache, tile, position, to + row * cache->dim[3]);
            }
}

static void encode_write(const float *values, int input, struct ash_tensor *out)
{
    walk(input == 2 ? ASH_KV_KEYS : ASH_KV_VALUES, out, values, NULL);
}

static void decode_write(const struct ash_tensor *tensor, int input, float *values)
{
    walk(input == 2 ? ASH_KV_KEYS : ASH_KV_VALUES, tensor, NULL, values);
}

static void encode_read(const float *values, int input, struct ash_tensor *out)
{
    walk(input == 1 ? ASH_KV_KEYS : ASH_KV_VALUES, out, values, NULL);
}

static void decode_read(const struct ash_tensor *tensor, int input, float *values)
{
    walk(input == 1 ? ASH_KV_KEYS : ASH_KV_VALUES, tensor, NULL, values);
}

const struct ash_case_layout ash_kv_layout_write = { encode_write, decode_write };
const struct ash_case_layout ash_kv_layout_read = { encode_read, decode_read };
