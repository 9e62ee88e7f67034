/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights from the file's order into groups of 16 rows (matmul_internal.h). A 16 x 4-byte transposition
 * is all there is to it: bytes of a block that stand together in the file are multiplied together.
 * Plain C: it runs at the speed of the memory (kernels/README.md).
 */
#include "kernels/matmul/matmul_internal.h"

#include <assert.h>
#include <string.h>

enum { GROUP = ASH_MATMUL_GROUP, MAX_BLOCK_BYTES = 34 };

/* Where each of a group's rows is read; the ones past N read the same zeros again and again. */
struct source {
    const uint8_t *row[GROUP];
    int64_t step[GROUP]; /* bytes from one block to the next */
};

static struct source source_of(const struct ash_tensor *weight, int64_t first_row, int64_t step)
{
    static const uint8_t zeros[MAX_BLOCK_BYTES];
    struct source from;
    int64_t rows = ash_tensor_rows(weight), row_bytes = (int64_t)ash_tensor_row_bytes(weight);
    for (int64_t i = 0; i < GROUP; i++) {
        bool is_row = first_row + i < rows;
        from.row[i] = is_row ? (const uint8_t *)weight->data + (first_row + i) * row_bytes : zeros;
        from.step[i] = is_row ? step : 0;
    }
    return from;
}

/* Moves `bytes` (a multiple of 4) at `offset` of a block of each row to words of 16 lanes. */
static inline void pack_words(
    const struct source *from, int64_t block, int64_t offset, int bytes, uint32_t *out)
{
    for (int row = 0; row < GROUP; row++) {
        const uint8_t *at = from->row[row] + block * from->step[row] + offset;
        for (int word = 0; word < bytes / 4; word++)
            memcpy(&out[word * GROUP + row], at + 4 * word, 4);
    }
}

static inline void pack_halves(
    const struct source *from, int64_t block, int64_t offset, uint16_t *out)
{
    for (int row = 0; row < GROUP; row++)
        memcpy(&out[row], from->row[row] + block * from->step[row] + offset, 2);
}

static void pack_q8_0(const struct source *from, int64_t blocks, uint8_t *quants, uint8_t *factors)
{
    for (int64_t block = 0; block < blocks; block++, quants += 512, factors += 32) {
        pack_halves(from, block, 0, (uint16_t *)(void *)factors);
        pack_words(from, block, 2, 32, (uint32_t *)(void *)quants);
        for (int i = 0; i < 512; i++)
            quants[i] ^= 0x80;
    }
}

static void pack_q4_0(const struct source *from, int64_t blocks, uint8_t *quants, uint8_t *factors)
{
    for (int64_t block = 0; block < blocks; block++, quants += 256, factors += 32) {
        pack_halves(from, block, 0, (uint16_t *)(void *)factors);
        pack_words(from, block, 2, 16, (uint32_t *)(void *)quants);
    }
}

static void pack_q4_1(const struct source *from, int64_t blocks, uint8_t *quants, uint8_t *factors)
{
    for (int64_t block = 0; block < blocks; block++, quants += 256, factors += 64) {
        pack_halves(from, block, 0, (uint16_t *)(void *)factors);
        pack_halves(from, block, 2, (uint16_t *)(void *)factors + GROUP);
        pack_words(from, block, 4, 16, (uint32_t *)(void *)quants);
    }
}

static void pack_group(const struct ash_tensor *weight, int64_t first_row, uint8_t *out)
{
    int64_t columns = ash_tensor_columns(weight), blocks = columns / ASH_A8_BLOCK;
    struct source from = source_of(weight, first_row, ash_type_info(weight->type)->block_bytes);
    uint8_t *factors = out + blocks * ash_matmul_quant_bytes(weight->type);
    switch (weight->type) {
    case ASH_Q8_0:
        pack_q8_0(&from, blocks, out, factors);
        break;
    case ASH_Q4_0:
        pack_q4_0(&from, blocks, out, factors);
        break;
    case ASH_Q4_1:
        pack_q4_1(&from, blocks, out, factors);
        break;
    case ASH_F32:
        for (int64_t k = 0; k < columns; k++)
            pack_words(&from, k, 0, 4, (uint32_t *)(void *)out + k * GROUP);
        break;
    default: /* F16, BF16 */
        for (int64_t k = 0; k < columns; k++)
            pack_halves(&from, k, 0, (uint16_t *)(void *)out + k * GROUP);
    }
}

size_t ash_matmul_pack_bytes(const struct ash_tensor *weight)
{
    int64_t groups = (ash_tensor_rows(weight) + GROUP - 1) / GROUP;
    return (size_t)(groups * ash_matmul_group_bytes(weight->type, ash_tensor_columns(weight)));
}

void ash_matmul_pack(
    const struct ash_tensor *weight, int64_t first_row, int64_t last_row, void *out)
{
    int64_t group_bytes = ash_matmul_group_bytes(weight->type, ash_tensor_columns(weight));
    int64_t bytes = (int64_t)ash_tensor_row_bytes(weight) * GROUP;
    for (int64_t row = first_row; row < last_row; row += GROUP) {
        uint8_t *group = (uint8_t *)out + row / GROUP * group_bytes;
        pack_group(weight, row, group);
        memset(group + bytes, 0, (size_t)(group_bytes - bytes));
    }
}

/* The block that the file had for one row, from the words and halves of its lane. */
static void gather_block(
    enum ash_type type, const uint8_t *quants, const uint8_t *factors, int64_t lane, uint8_t *block)
{
    int words = type == ASH_Q8_0 ? 8 : 4, halves = type == ASH_Q4_1 ? 2 : 1;
    for (int i = 0; i < halves; i++)
        memcpy(block + 2 * i, factors + 2 * (i * GROUP + lane), 2);
    for (int i = 0; i < words; i++)
        memcpy(block + 2 * halves + 4 * i, quants + 4 * (i * GROUP + lane), 4);
    for (int i = 0; type == ASH_Q8_0 && i < 32; i++)
        block[2 + i] ^= 0x80;
}

void ash_matmul_unpack_row(const struct ash_tensor *weight, int64_t row, float *out)
{
    const struct ash_type_info *info = ash_type_info(weight->type);
    const int64_t columns = ash_tensor_columns(weight), lane = row % GROUP;
    const int64_t blocks = columns / info->block_elements;
    const int64_t quant_bytes = ash_matmul_quant_bytes(weight->type);
    const int64_t factor_bytes = ash_matmul_factor_bytes(weight->type);
    const uint8_t *group =
        (const uint8_t *)weight->data + row / GROUP * ash_matmul_group_bytes(weight->type, columns);
    for (int64_t b = 0; b < blocks; b++) {
        uint8_t block[MAX_BLOCK_BYTES];
        if (info->block_elements == 1)
            memcpy(
                block, group + (b * GROUP + lane) * info->block_bytes, (size_t)info->block_bytes);
        else
            gather_block(weight->type, group + b * quant_bytes,
                group + blocks * quant_bytes + b * factor_bytes, lane, block);
        enum ash_status status =
            ash_to_float(weight->type, block, info->block_elements, out + b * info->block_elements);
        assert(status == ASH_OK); /* infer() has let the type pass */
        (void)status;
    }
}
