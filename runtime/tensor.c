/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/tensor.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct ash_type_info infos[ASH_TYPE_COUNT] = {
    [ASH_F32] = { "F32", 1, 4 },
    [ASH_F16] = { "F16", 1, 2 },
    [ASH_BF16] = { "BF16", 1, 2 },
    [ASH_I32] = { "I32", 1, 4 },
    [ASH_Q8_0] = { "Q8_0", 32, 34 },
    [ASH_Q4_0] = { "Q4_0", 32, 18 },
    [ASH_Q4_1] = { "Q4_1", 32, 20 },
    [ASH_A8] = { "A8", 32, 40 },
};

const struct ash_type_info *ash_type_info(enum ash_type type)
{
    assert((unsigned)type < ASH_TYPE_COUNT);
    return &infos[type];
}

enum ash_status ash_tensor_init(
    enum ash_type type, int rank, const int64_t dim[], struct ash_tensor *out)
{
    if ((unsigned)type >= ASH_TYPE_COUNT)
        return ash_fail(ASH_ERR_SHAPE, "unknown tensor type %d", (int)type);
    if (rank < 1 || rank > ASH_MAX_RANK)
        return ash_fail(
            ASH_ERR_SHAPE, "a tensor has 1 to %d dimensions, not %d", ASH_MAX_RANK, rank);
    struct ash_tensor tensor = { .type = type, .rank = rank, .dim = { 1, 1, 1, 1 } };
    int64_t bytes = infos[type].block_bytes;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 1)
            return ash_fail(
                ASH_ERR_SHAPE, "dimension %d is %lld; it must be at least 1", i, (long long)dim[i]);
        /* Over-counts block formats by their block, which only makes the check stricter. */
        if (__builtin_mul_overflow(bytes, dim[i], &bytes))
            return ash_fail(ASH_ERR_SHAPE, "the dimensions multiply to more than 2^63 bytes");
        tensor.dim[i] = dim[i];
    }
    if (dim[rank - 1] % infos[type].block_elements != 0)
        return ash_fail(ASH_ERR_SHAPE,
            "%s packs %d elements to a block; rows of %lld do not divide", infos[type].name,
            infos[type].block_elements, (long long)dim[rank - 1]);
    *out = tensor;
    return ASH_OK;
}

int64_t ash_tensor_columns(const struct ash_tensor *tensor)
{
    return tensor->rank ? tensor->dim[tensor->rank - 1] : 0;
}

int64_t ash_tensor_elements(const struct ash_tensor *tensor)
{
    return tensor->rank ? tensor->dim[0] * tensor->dim[1] * tensor->dim[2] * tensor->dim[3] : 0;
}

int64_t ash_tensor_rows(const struct ash_tensor *tensor)
{
    int64_t rows = tensor->rank ? 1 : 0;
    for (int i = 0; i < tensor->rank - 1; i++)
        rows *= tensor->dim[i];
    return rows;
}

size_t ash_tensor_row_bytes(const struct ash_tensor *tensor)
{
    const struct ash_type_info *info = ash_type_info(tensor->type);
    return (size_t)(ash_tensor_columns(tensor) / info->block_elements * info->block_bytes);
}

size_t ash_tensor_bytes(const struct ash_tensor *tensor)
{
    return (size_t)ash_tensor_rows(tensor) * ash_tensor_row_bytes(tensor);
}

char *ash_tensor_describe(const struct ash_tensor *tensor, char *text, size_t capacity)
{
    int used = snprintf(text, capacity, "%s (", ash_type_info(tensor->type)->name);
    for (int i = 0; i < tensor->rank && used >= 0 && (size_t)used < capacity; i++)
        used += snprintf(text + used, capacity - (size_t)used, "%s%lld", i ? ", " : "",
            (long long)tensor->dim[i]);
    if (used >= 0 && (size_t)used < capacity)
        snprintf(text + used, capacity - (size_t)used, ")");
    return text;
}
