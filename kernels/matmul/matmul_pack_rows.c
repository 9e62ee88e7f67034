/* SPDX-License-Identifier: Apache-2.0 */
/* Weights from the file's order into blocks of 16 rows by 32 elements (matmul_internal.h). */
#include "kernels/matmul/matmul_internal.h"

#include <assert.h>
#include <string.h>

enum { GROUP = ASH_MATMUL_GROUP, BLOCK = 32, MAX_BLOCK_BYTES = 64 };

/* How many F16 factors stand before the quants of a block in the file. */
static int64_t factors_of(enum ash_type type)
{
    return type == ASH_Q4_1 ? 2 : type == ASH_BF16 ? 0 : 1;
}

/* Bytes that 32 elements of one row take in the file. */
static int64_t block_bytes(enum ash_type type)
{
    const struct ash_type_info *info = ash_type_info(type);
    return BLOCK / info->block_elements * info->block_bytes;
}

/* Element i of the row's block is nibble `row` % 4 of word i, the words of four rows after each other. */
static void spread_nibbles(const uint8_t *file, int64_t row, uint8_t *quants)
{
    uint8_t *to = quants + row / 4 * 2 * BLOCK + row % 4 / 2;
    int shift = row % 2 * 4;
    for (int i = 0; i < BLOCK; i++) {
        int nibble = i < BLOCK / 2 ? file[i] & 15 : file[i - BLOCK / 2] >> 4;
        to[2 * i] = (uint8_t)((to[2 * i] & 0xf0 >> shift) | nibble << shift);
    }
}

static void gather_nibbles(const uint8_t *quants, int64_t row, uint8_t *file)
{
    const uint8_t *from = quants + row / 4 * 2 * BLOCK + row % 4 / 2;
    int shift = row % 2 * 4;
    for (int i = 0; i < BLOCK / 2; i++)
        file[i] = (uint8_t)((from[2 * i] >> shift & 15) | (from[2 * i + BLOCK] >> shift & 15) << 4);
}

/* Where a row's block has its quants and factors. */
struct place {
    uint8_t *quants;
    uint16_t *factors;
};

static struct place place_of(
    const struct ash_tensor *weight, int64_t row, int64_t block, void *base)
{
    int64_t columns = ash_tensor_columns(weight), factors = factors_of(weight->type);
    int64_t quant_bytes = ash_matmul_rows_quant_bytes(weight->type);
    uint8_t *group = (uint8_t *)base + row / GROUP * ash_matmul_group_bytes(weight->type, columns);
    uint8_t *plane = group + columns / BLOCK * quant_bytes;
    return (struct place){ group + block * quant_bytes,
        (uint16_t *)(void *)plane + block * factors * GROUP + row % GROUP };
}

/* `file` NULL: a row past the last one. */
static void pack_block(
    const struct ash_tensor *weight, int64_t row, int64_t block, const uint8_t *file, void *out)
{
    static const uint8_t zeros[MAX_BLOCK_BYTES];
    struct place to = place_of(weight, row, block, out);
    const uint8_t *from = file ? file : zeros;
    for (int64_t i = 0; i < factors_of(weight->type); i++, from += 2)
        memcpy(&to.factors[i * GROUP], from, 2);
    int64_t row_bytes = ash_matmul_rows_quant_bytes(weight->type) / GROUP;
    if (weight->type == ASH_Q4_0 || weight->type == ASH_Q4_1)
        spread_nibbles(from, row % GROUP, to.quants);
    else
        memcpy(to.quants + row % GROUP * row_bytes, from, (size_t)row_bytes);
}

void ash_matmul_pack_rows(
    const struct ash_tensor *weight, int64_t first_row, int64_t last_row, void *out)
{
    int64_t bytes = block_bytes(weight->type), end = (last_row + GROUP - 1) / GROUP * GROUP;
    int64_t columns = ash_tensor_columns(weight), rows = ash_tensor_rows(weight);
    const uint8_t *data = weight->data;
    for (int64_t row = first_row; row < end; row++)
        for (int64_t block = 0; block < columns / BLOCK; block++) {
            const uint8_t *file = data + (row * (columns / BLOCK) + block) * bytes;
            pack_block(weight, row, block, row < rows ? file : NULL, out);
        }
    int64_t group_bytes = ash_matmul_group_bytes(weight->type, columns);
    int64_t used = (int64_t)ash_tensor_row_bytes(weight) * GROUP;
    for (int64_t row = first_row; row < end; row += GROUP)
        memset((uint8_t *)out + row / GROUP * group_bytes + used, 0, (size_t)(group_bytes - used));
}

void ash_matmul_unpack_rows_row(const struct ash_tensor *weight, int64_t row, float *out)
{
    int64_t row_bytes = ash_matmul_rows_quant_bytes(weight->type) / GROUP;
    for (int64_t block = 0; block < ash_tensor_columns(weight) / BLOCK; block++) {
        uint8_t file[MAX_BLOCK_BYTES], *to = file;
        struct place from = place_of(weight, row, block, weight->data);
        for (int64_t i = 0; i < factors_of(weight->type); i++, to += 2)
            memcpy(to, &from.factors[i * GROUP], 2);
        if (weight->type == ASH_Q4_0 || weight->type == ASH_Q4_1)
            gather_nibbles(from.quants, row % GROUP, to);
        else
            memcpy(to, from.quants + row % GROUP * row_bytes, (size_t)row_bytes);
        enum ash_status status = ash_to_float(weight->type, file, BLOCK, out + block * BLOCK);
        assert(status == ASH_OK); /* infer() has let the type pass */
        (void)status;
    }
}
