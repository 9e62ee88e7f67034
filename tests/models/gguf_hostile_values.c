/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/models/gguf_hostile.h"

/* ---- The header ---- */

static void empty(struct bytes *b)
{
    (void)b;
}

static void four_bytes(struct bytes *b)
{
    bytes_put(b, "GGUF", 4);
}

static void wrong_magic(struct bytes *b)
{
    bytes_put(b, "GGML\3\0\0\0", 8);
    bytes_zeros(b, 64);
}

static void lfs_pointer(struct bytes *b)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\n";
    bytes_put(b, pointer, sizeof pointer - 1);
}

static void web_page(struct bytes *b)
{
    bytes_put(b, "<!DOCTYPE html>", 15);
}

static void version_of(struct bytes *b, uint32_t version)
{
    bytes_put(b, "GGUF", 4);
    bytes_u32(b, version);
    bytes_zeros(b, 64);
}

static void version_1(struct bytes *b)
{
    version_of(b, 1);
}

static void version_4(struct bytes *b)
{
    version_of(b, 4);
}

static void big_endian(struct bytes *b)
{
    version_of(b, 0x03000000);
}

static void header_cut(struct bytes *b)
{
    bytes_put(b, "GGUF\3\0\0\0\1\0\0", 11);
}

static void tensor_count_overflows(struct bytes *b)
{
    header(b, ALL_ONES / 40, 0); /* times the size of a description: wraps to almost nothing */
    bytes_zeros(b, 512);
}

static void tensor_count_is_negative(struct bytes *b)
{
    header(b, HUGE_COUNT, 0);
    bytes_zeros(b, 512);
}

static void value_count_overflows(struct bytes *b)
{
    header(b, 0, ALL_ONES / 48 + 2);
    bytes_zeros(b, 512);
}

static void value_count_beyond_file(struct bytes *b)
{
    header(b, 0, 1000000);
    bytes_zeros(b, 512);
}

/* ---- Keys and values ---- */

static void string_length_wraps(struct bytes *b)
{
    header(b, 0, 1);
    bytes_u64(b, ALL_ONES); /* + 1 for a terminating zero would be an allocation of 0 bytes */
    bytes_zeros(b, 64);
}

static void string_past_the_end(struct bytes *b)
{
    header(b, 0, 1);
    key(b, "general.name", STRING);
    bytes_u64(b, 1000);
    bytes_zeros(b, 64);
}

static void empty_key(struct bytes *b)
{
    header(b, 0, 1);
    u32_value(b, "", 1);
}

static void key_not_utf8(struct bytes *b)
{
    header(b, 0, 1);
    u32_value(b, "general.\xC0\x80", 1);
}

static void key_moves_the_cursor(struct bytes *b)
{
    header(b, 0, 1);
    u32_value(b, "general.\x1B[2J", 1);
}

static void key_too_long(struct bytes *b)
{
    header(b, 0, 1);
    bytes_u64(b, 70000);
    bytes_zeros(b, 64);
}

static void key_twice(struct bytes *b)
{
    header(b, 0, 3);
    u32_value(b, "llama.block_count", 1);
    u32_value(b, "general.file_type", 1);
    u32_value(b, "llama.block_count", 2);
}

static void value_type_out_of_range(struct bytes *b)
{
    header(b, 0, 1);
    u32_value(b, "x", 0);
    b->data[b->count - 8] = 13;
}

static void value_type_is_negative(struct bytes *b)
{
    header(b, 0, 1);
    key(b, "x", UINT32_MAX);
    bytes_zeros(b, 64);
}

static void value_cut(struct bytes *b)
{
    header(b, 0, 1);
    key(b, "general.name", U64);
    bytes_zeros(b, 5);
}

static void bool_of_two(struct bytes *b)
{
    header(b, 0, 1);
    key(b, "tokenizer.ggml.add_bos_token", BOOL);
    bytes_u8(b, 2);
}

static void bools_of_two(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "flags", BOOL, 3);
    bytes_put(b, "\1\0\2", 3);
}

static void array_of_2_63(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "tokenizer.ggml.scores", F32, HUGE_COUNT); /* times 4: wraps to 0 */
    bytes_zeros(b, 64);
}

static void array_product_wraps(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "tokenizer.ggml.token_type", U64, ALL_ONES / 8 + 2); /* times 8: wraps to 8 */
    bytes_zeros(b, 64);
}

static void array_past_the_end(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "tokenizer.ggml.token_type", U8, 1000);
    bytes_zeros(b, 64);
}

static void vocabulary_of_2_61(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "tokenizer.ggml.tokens", STRING, 1ULL << 61); /* times a pointer: wraps to 0 */
    bytes_zeros(b, 64);
}

static void vocabulary_string_wraps(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "tokenizer.ggml.tokens", STRING, 2);
    text(b, "a");
    bytes_u64(b, ALL_ONES - 8);
    bytes_zeros(b, 64);
}

static void array_type_out_of_range(struct bytes *b)
{
    header(b, 0, 1);
    array(b, "x", 99, 1);
    bytes_zeros(b, 64);
}

static void nested_arrays(struct bytes *b)
{
    header(b, 0, 1);
    key(b, "x", ARRAY);
    for (int depth = 0; depth < 500; depth++) { /* a recursive reader would use up its stack */
        bytes_u32(b, ARRAY);
        bytes_u64(b, 1);
    }
}

static void alignment_of(struct bytes *b, uint32_t alignment)
{
    header(b, 1, 1);
    u32_value(b, "general.alignment", alignment);
    tensor(b, "w", DIMS(8), GGML_F32, 0);
    bytes_zeros(b, 256);
}

static void alignment_0(struct bytes *b)
{
    alignment_of(b, 0);
}

static void alignment_24(struct bytes *b)
{
    alignment_of(b, 24);
}

static void alignment_1(struct bytes *b)
{
    alignment_of(b, 1);
}

static void alignment_2_31(struct bytes *b)
{
    alignment_of(b, 1U << 31); /* where the data would begin lies behind the file's end */
}

static void alignment_is_text(struct bytes *b)
{
    header(b, 1, 1);
    key(b, "general.alignment", STRING);
    text(b, "32");
    tensor(b, "w", DIMS(8), GGML_F32, 0);
    bytes_zeros(b, 256);
}

static void one_of_three_parts(struct bytes *b)
{
    header(b, 0, 1);
    u32_value(b, "split.count", 3);
}

const struct hostile_case hostile_values[] = {
    { "empty", empty, ASH_ERR_FORMAT, "GGUF" },
    { "four bytes (CVE-2024-39720)", four_bytes, ASH_ERR_FORMAT, "header" },
    { "wrong magic", wrong_magic, ASH_ERR_FORMAT, "GGUF" },
    { "Git LFS pointer", lfs_pointer, ASH_ERR_FORMAT, "git lfs pull" },
    { "web page", web_page, ASH_ERR_FORMAT, "web page" },
    { "version 1", version_1, ASH_ERR_UNSUPPORTED, "version 1" },
    { "version 4", version_4, ASH_ERR_UNSUPPORTED, "version 4" },
    { "big-endian", big_endian, ASH_ERR_UNSUPPORTED, "big-endian" },
    { "header cut", header_cut, ASH_ERR_FORMAT, "header" },
    { "n_tensors (CVE-2024-21836)", tensor_count_overflows, ASH_ERR_FORMAT, "tensors" },
    { "n_tensors < 0 (CVE-2024-25666)", tensor_count_is_negative, ASH_ERR_FORMAT, "tensors" },
    { "n_kv (CVE-2024-23605)", value_count_overflows, ASH_ERR_FORMAT, "keys" },
    { "n_kv (CVE-2024-25664)", value_count_beyond_file, ASH_ERR_FORMAT, "keys" },
    { "string length (CVE-2024-23496)", string_length_wraps, ASH_ERR_FORMAT, "key 0 of 1" },
    { "string (CVE-2024-25665)", string_past_the_end, ASH_ERR_FORMAT, "general.name" },
    { "empty key", empty_key, ASH_ERR_FORMAT, "0 bytes long" },
    { "key not UTF-8", key_not_utf8, ASH_ERR_FORMAT, "UTF-8" },
    { "key with an escape sequence", key_moves_the_cursor, ASH_ERR_FORMAT, "printable" },
    { "key too long", key_too_long, ASH_ERR_FORMAT, "key 0 of 1" },
    { "key twice", key_twice, ASH_ERR_FORMAT, "llama.block_count" },
    { "value type 13", value_type_out_of_range, ASH_ERR_FORMAT, "type 13" },
    { "value type -1", value_type_is_negative, ASH_ERR_FORMAT, "does not exist" },
    { "value cut (CVE-2024-32878)", value_cut, ASH_ERR_FORMAT, "general.name" },
    { "bool of 2", bool_of_two, ASH_ERR_FORMAT, "add_bos_token" },
    { "bools of 2", bools_of_two, ASH_ERR_FORMAT, "flags" },
    { "array of 2^63", array_of_2_63, ASH_ERR_FORMAT, "scores" },
    { "array product (CVE-2024-25667)", array_product_wraps, ASH_ERR_FORMAT, "token_type" },
    { "array (CVE-2025-0315)", array_past_the_end, ASH_ERR_FORMAT, "token_type" },
    { "vocabulary (CVE-2024-21825)", vocabulary_of_2_61, ASH_ERR_FORMAT, "tokens" },
    { "vocabulary (CVE-2024-25668)", vocabulary_string_wraps, ASH_ERR_FORMAT, "tokens" },
    { "array of type 99", array_type_out_of_range, ASH_ERR_FORMAT, "type 99" },
    { "nested arrays", nested_arrays, ASH_ERR_UNSUPPORTED, "arrays of arrays" },
    { "alignment 0 (CVE-2025-0317)", alignment_0, ASH_ERR_FORMAT, "general.alignment" },
    { "alignment 24", alignment_24, ASH_ERR_FORMAT, "power of two" },
    { "alignment 1", alignment_1, ASH_ERR_FORMAT, "general.alignment" },
    { "alignment 2^31", alignment_2_31, ASH_ERR_FORMAT, "\"w\"" },
    { "alignment is text", alignment_is_text, ASH_ERR_FORMAT, "general.alignment" },
    { "one of three parts", one_of_three_parts, ASH_ERR_UNSUPPORTED, "3 parts" },
    { 0 },
};
