/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/models/gguf_hostile.h"

static void one_tensor(
    struct bytes *b, uint32_t rank, const uint64_t dim[], uint32_t type, uint64_t offset)
{
    header(b, 1, 0);
    tensor(b, "w", rank, dim, type, offset);
    bytes_zeros(b, 256);
}

static void rank_0(struct bytes *b)
{
    one_tensor(b, 0, NULL, GGML_F32, 0);
}

static void rank_5(struct bytes *b)
{
    one_tensor(b, DIMS(1, 1, 1, 1, 8), GGML_F32, 0);
}

static void rank_is_negative(struct bytes *b)
{
    header(b, 1, 0);
    text(b, "w");
    bytes_u32(b, UINT32_MAX);
    bytes_zeros(b, 256);
}

static void dimension_0(struct bytes *b)
{
    one_tensor(b, DIMS(32, 0), GGML_F32, 0);
}

static void dimension_is_negative(struct bytes *b)
{
    one_tensor(b, DIMS(ALL_ONES), GGML_F32, 0);
}

static void dimensions_wrap_to_0(struct bytes *b)
{
    one_tensor(b, DIMS(1ULL << 32, 1ULL << 32), GGML_F32, 0);
}

static void dimensions_wrap_to_small(struct bytes *b)
{
    one_tensor(b, DIMS(32, (1ULL << 59) + 1), GGML_F32, 0); /* 2^64 + 32 elements */
}

static void dimension_times_two(struct bytes *b)
{
    one_tensor(b, DIMS(INT64_MAX, 2), GGML_F32, 0);
}

static void bytes_wrap(struct bytes *b)
{
    one_tensor(b, DIMS(1ULL << 62), GGML_F32, 0); /* times 4 bytes: 2^64 */
}

static void larger_than_the_file(struct bytes *b)
{
    one_tensor(b, DIMS(1024, 1024), GGML_F32, 0);
}

static void one_byte_short(struct bytes *b)
{
    header(b, 1, 0);
    tensor(b, "w", DIMS(8), GGML_F32, 0);
    bytes_zeros(b, (32 - b->count % 32) % 32 + 31);
}

static void sizes_sum_past_2_64(struct bytes *b)
{
    header(b, 2, 0);
    tensor(b, "a", DIMS(1ULL << 61), GGML_F32, 0);
    tensor(b, "b", DIMS(1ULL << 61), GGML_F32, 32);
    bytes_zeros(b, 256);
}

static void type_out_of_range(struct bytes *b)
{
    one_tensor(b, DIMS(32), 1000, 0);
}

static void type_is_negative(struct bytes *b)
{
    one_tensor(b, DIMS(32), UINT32_MAX, 0);
}

static void type_withdrawn(struct bytes *b)
{
    one_tensor(b, DIMS(32), GGML_Q4_2_WITHDRAWN, 0); /* block size 0: a division by zero */
}

static void broken_block(struct bytes *b)
{
    one_tensor(b, DIMS(33), GGML_Q4_0, 0);
}

static void offset_wraps(struct bytes *b)
{
    one_tensor(b, DIMS(32), GGML_F32, ALL_ONES - 31);
}

static void offset_past_the_end(struct bytes *b)
{
    one_tensor(b, DIMS(8), GGML_F32, 4096);
}

static void offset_unaligned(struct bytes *b)
{
    one_tensor(b, DIMS(8), GGML_F32, 4);
}

static void tensors_overlap(struct bytes *b)
{
    header(b, 2, 0);
    tensor(b, "a", DIMS(16), GGML_F32, 0);
    tensor(b, "b", DIMS(16), GGML_F32, 32);
    bytes_zeros(b, 256);
}

static void tensors_share_data(struct bytes *b)
{
    header(b, 2, 0);
    tensor(b, "a", DIMS(16), GGML_F32, 0);
    tensor(b, "b", DIMS(16), GGML_F32, 0);
    bytes_zeros(b, 256);
}

static void tensor_twice(struct bytes *b)
{
    header(b, 2, 0);
    tensor(b, "a", DIMS(8), GGML_F32, 0);
    tensor(b, "a", DIMS(8), GGML_F32, 32);
    bytes_zeros(b, 256);
}

static void tensor_name_too_long(struct bytes *b)
{
    char name[200] = { 0 };
    memset(name, 'n', sizeof name - 1);
    header(b, 1, 0);
    tensor(b, name, DIMS(8), GGML_F32, 0);
    bytes_zeros(b, 256);
}

static void description_cut(struct bytes *b)
{
    header(b, 1, 0);
    text(b, "output_norm.weight");
    bytes_u32(b, 2);
    bytes_u64(b, 32);
    bytes_u64(b, 1);
}

static void no_data_at_all(struct bytes *b)
{
    header(b, 1, 0);
    tensor(b, "w", DIMS(8), GGML_F32, 0);
}

const struct hostile_case hostile_tensors[] = {
    { "rank 0", rank_0, ASH_ERR_FORMAT, "0 dimensions" },
    { "rank 5 (CVE-2024-21802)", rank_5, ASH_ERR_FORMAT, "5 dimensions" },
    { "rank -1 (CVE-2024-21802)", rank_is_negative, ASH_ERR_FORMAT, "dimensions" },
    { "dimension 0", dimension_0, ASH_ERR_FORMAT, "dimension" },
    { "dimension -1", dimension_is_negative, ASH_ERR_FORMAT, "dimension" },
    { "dimensions 2^64 (CVE-2026-33298)", dimensions_wrap_to_0, ASH_ERR_FORMAT, "2^63" },
    { "dimensions 2^64 + 32", dimensions_wrap_to_small, ASH_ERR_FORMAT, "2^63" },
    { "dimensions 2^63 * 2", dimension_times_two, ASH_ERR_FORMAT, "2^63" },
    { "bytes 2^64", bytes_wrap, ASH_ERR_FORMAT, "larger than any file" },
    { "size (CVE-2026-7482)", larger_than_the_file, ASH_ERR_FORMAT, "\"w\"" },
    { "one byte short", one_byte_short, ASH_ERR_FORMAT, "\"w\"" },
    { "sum (CVE-2025-53630, CVE-2026-27940)", sizes_sum_past_2_64, ASH_ERR_FORMAT, "\"a\"" },
    { "type 1000", type_out_of_range, ASH_ERR_UNSUPPORTED, "1000" },
    { "type -1", type_is_negative, ASH_ERR_UNSUPPORTED, "4294967295" },
    { "type with blocks of 0", type_withdrawn, ASH_ERR_UNSUPPORTED, "number 4" },
    { "broken block", broken_block, ASH_ERR_FORMAT, "Q4_0" },
    { "offset wraps", offset_wraps, ASH_ERR_FORMAT, "\"w\"" },
    { "offset past the end", offset_past_the_end, ASH_ERR_FORMAT, "4096" },
    { "offset unaligned", offset_unaligned, ASH_ERR_FORMAT, "alignment" },
    { "tensors overlap", tensors_overlap, ASH_ERR_FORMAT, "overlap" },
    { "tensors share data", tensors_share_data, ASH_ERR_FORMAT, "overlap" },
    { "tensor twice", tensor_twice, ASH_ERR_FORMAT, "twice" },
    { "tensor name too long", tensor_name_too_long, ASH_ERR_FORMAT, "199 bytes" },
    { "description cut", description_cut, ASH_ERR_FORMAT, "tensor" },
    { "no data at all", no_data_at_all, ASH_ERR_FORMAT, "\"w\"" },
    { 0 },
};
