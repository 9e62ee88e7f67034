/* SPDX-License-Identifier: Apache-2.0 */
#include "models/gguf.h"

#include "models/gguf_writer.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[128];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/ashlar-gguf-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.gguf", folder);
}

static void remove_folder(void)
{
    unlink(path);
    cr_assert_eq(rmdir(folder), 0, "something was left behind in %s", folder);
}

TestSuite(gguf, .init = make_folder, .fini = remove_folder);

static const float norm[8] = { 1, -2, 3.5F, 0, 1e-6F, 7, 8, 9 };

static enum ash_status write_model(const char *to)
{
    struct ash_gguf_writer *writer = NULL;
    static const char *const tokens[] = { "<s>", "", "\xFF" };
    uint8_t matrix[2 * 20];
    memset(matrix, 0x5A, sizeof matrix);
    ASH_TRY(ash_gguf_writer_create(to, &writer));
    ash_gguf_write_string(writer, "general.architecture", "llama");
    ash_gguf_write_string(writer, "general.name", "tiny \xE4\xB8\xAD");
    ash_gguf_write_string(writer, "broken", "\xFF");
    ash_gguf_write_u32(writer, "llama.block_count", 30);
    ash_gguf_write_f32(writer, "llama.rope.freq_base", 1e5F);
    ash_gguf_write_f32(writer, "not_a_number", NAN);
    ash_gguf_write_bool(writer, "tokenizer.ggml.add_bos_token", true);
    ash_gguf_write_strings(writer, "tokenizer.ggml.tokens", tokens, 3);
    ash_gguf_write_i32s(writer, "tokenizer.ggml.token_type", (int32_t[]){ 3, -1, 6 }, 3);
    ash_gguf_write_f32s(writer, "tokenizer.ggml.scores", (float[]){ 0.5F, -1 }, 2);
    ash_gguf_write_tensor(writer, "z.weight", ASH_Q4_1, 2, (int64_t[]){ 2, 32 });
    ash_gguf_write_tensor(writer, "a.norm", ASH_F32, 1, (int64_t[]){ 8 });
    ash_gguf_write_data(writer, matrix, 7); /* in pieces */
    ash_gguf_write_data(writer, matrix + 7, sizeof matrix - 7);
    ash_gguf_write_data(writer, norm, sizeof norm);
    enum ash_status status = ash_gguf_writer_finish(writer);
    ash_gguf_writer_destroy(writer);
    return status;
}

static struct ash_gguf *open_model(void)
{
    struct ash_gguf *gguf = NULL;
    cr_assert_eq(write_model(path), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_gguf_open(path, &gguf), ASH_OK, "%s", ash_error());
    return gguf;
}

Test(gguf, what_was_written_is_read)
{
    struct ash_gguf *gguf = open_model();
    uint32_t blocks = 0;
    float base = 0;
    bool flag = false;
    struct ash_gguf_string name;
    cr_assert_eq(ash_gguf_version(gguf), 3u);
    cr_assert_eq(ash_gguf_value_count(gguf), 10u);
    cr_assert(ash_gguf_string_is(ash_gguf_value_at(gguf, 0)->key, "general.architecture"));
    cr_assert_eq(ash_gguf_get_u32(gguf, ".block_count", 1, 100, &blocks), ASH_OK);
    cr_assert_eq(ash_gguf_get_f32(gguf, ".rope.freq_base", 1, 1e9F, &base), ASH_OK);
    cr_assert_eq(ash_gguf_get_bool(gguf, "tokenizer.ggml.add_bos_token", &flag), ASH_OK);
    cr_assert_eq(ash_gguf_get_string(gguf, "general.name", &name), ASH_OK);
    cr_assert_eq(blocks, 30u);
    cr_assert_eq(base, 1e5F);
    cr_assert(flag);
    cr_assert(ash_gguf_string_is(name, "tiny \xE4\xB8\xAD"));
    ash_gguf_close(gguf);
}

Test(gguf, arrays_are_views)
{
    struct ash_gguf *gguf = open_model();
    struct ash_gguf_value tokens, types, scores;
    cr_assert_eq(
        ash_gguf_get_array(gguf, "tokenizer.ggml.tokens", ASH_GGUF_STRINGS, &tokens), ASH_OK);
    cr_assert_eq(
        ash_gguf_get_array(gguf, "tokenizer.ggml.token_type", ASH_GGUF_INTEGERS, &types), ASH_OK);
    cr_assert_eq(
        ash_gguf_get_array(gguf, "tokenizer.ggml.scores", ASH_GGUF_REALS, &scores), ASH_OK);
    static const char *const expect[] = { "<s>", "", "\xFF" };
    struct ash_gguf_strings strings = ash_gguf_strings(&tokens);
    size_t seen = 0;
    for (struct ash_gguf_string s; ash_gguf_strings_next(&strings, &s); seen++)
        cr_assert(ash_gguf_string_is(s, expect[seen]));
    cr_assert_eq(seen, 3u);
    cr_assert_eq(ash_gguf_integer(&types, 1), -1);
    cr_assert_eq(ash_gguf_real(&scores, 1), -1.0);
    ash_gguf_close(gguf);
}

Test(gguf, tensors_are_outermost_first_and_point_into_the_file)
{
    struct ash_gguf *gguf = open_model();
    struct ash_tensor matrix, vector;
    char text[64];
    cr_assert_eq(ash_gguf_find_tensor(gguf, "z.weight", &matrix), ASH_OK);
    cr_assert_str_eq(ash_tensor_describe(&matrix, text, sizeof text), "Q4_1 (2, 32)");
    cr_assert_eq(ash_gguf_find_tensor(gguf, "a.norm", &vector), ASH_OK);
    cr_assert_arr_eq(vector.data, norm, sizeof norm);
    cr_assert_eq((uintptr_t)matrix.data % 32, 0u);
    ash_gguf_release(gguf, &vector);
    cr_assert_arr_eq(vector.data, norm, sizeof norm, "released pages must come back");
    cr_assert_eq(ash_gguf_tensor_count(gguf), 2u);
    cr_assert(ash_gguf_string_is(ash_gguf_tensor_at(gguf, 0)->name, "z.weight"));
    cr_assert_eq(ash_gguf_tensor_bytes(gguf), 40u + 32u);
    cr_assert(ash_gguf_has_tensor(gguf, "a.norm") && !ash_gguf_has_tensor(gguf, "a.nor"));
    cr_assert_eq(ash_gguf_find_tensor(gguf, "output.weight", &matrix), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), "output.weight") && strstr(ash_error(), path));
    ash_gguf_close(gguf);
}

Test(gguf, a_wrong_type_or_range_is_refused_and_a_missing_key_falls_back)
{
    struct ash_gguf *gguf = open_model();
    uint32_t number = 7;
    float real = 7;
    bool flag = false;
    struct ash_gguf_string string = { "kept", 4 };
    struct ash_gguf_value array;
    cr_assert_eq(ash_gguf_get_u32(gguf, ".block_count", 1, 29, &number), ASH_ERR_FORMAT);
    cr_assert(strstr(ash_error(), "llama.block_count") && strstr(ash_error(), "30"));
    cr_assert_eq(ash_gguf_get_u32_or(gguf, ".block_count", 5, 31, 99, &number), ASH_ERR_FORMAT);
    cr_assert_eq(ash_gguf_get_u32(gguf, "general.name", 0, 9, &number), ASH_ERR_FORMAT);
    cr_assert_eq(
        ash_gguf_get_u32(gguf, "tokenizer.ggml.token_type", 0, 9, &number), ASH_ERR_FORMAT);
    cr_assert_eq(ash_gguf_get_u32(gguf, ".none", 0, 9, &number), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), "llama.none"));
    cr_assert_eq(ash_gguf_get_f32(gguf, "not_a_number", -1, 1, &real), ASH_ERR_FORMAT);
    cr_assert_eq(ash_gguf_get_bool(gguf, ".block_count", &flag), ASH_ERR_FORMAT);
    cr_assert_eq(ash_gguf_get_string(gguf, "broken", &string), ASH_ERR_FORMAT);
    cr_assert_eq(
        ash_gguf_get_array(gguf, "general.name", ASH_GGUF_STRINGS, &array), ASH_ERR_FORMAT);
    cr_assert_eq(number, 7u);
    cr_assert(ash_gguf_string_is(string, "kept"));
    cr_assert_eq(ash_gguf_get_u32_or(gguf, ".none", 42, 0, 9, &number), ASH_OK);
    cr_assert_eq(ash_gguf_get_f32_or(gguf, ".none", 0.5F, 0, 9, &real), ASH_OK);
    cr_assert_eq(ash_gguf_get_bool_or(gguf, ".none", true, &flag), ASH_OK);
    cr_assert_eq(ash_gguf_get_string_or(gguf, ".none", "default", &string), ASH_OK);
    cr_assert(number == 42 && real == 0.5F && flag && ash_gguf_string_is(string, "default"));
    ash_gguf_close(gguf);
}

/* Every integer type at both ends of its range, as an array of one each. */
Test(gguf, integers_of_every_width_keep_their_value)
{
    static const struct {
        enum ash_gguf_type type;
        uint64_t bits;
        int64_t expect;
    } integers[] = {
        { ASH_GGUF_U8, 255, 255 },
        { ASH_GGUF_I8, 255, -1 },
        { ASH_GGUF_U16, 65535, 65535 },
        { ASH_GGUF_I16, 0x8000, INT16_MIN },
        { ASH_GGUF_U32, UINT32_MAX, UINT32_MAX },
        { ASH_GGUF_I32, 0x80000000, INT32_MIN },
        { ASH_GGUF_U64, UINT64_MAX, INT64_MAX },
        { ASH_GGUF_I64, UINT64_MAX, -1 },
    };
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        struct ash_gguf_value value = {
            .type = integers[i].type, .count = 1, .data = (const uint8_t *)&integers[i].bits
        };
        cr_assert_eq(ash_gguf_integer(&value, 0), integers[i].expect, "%s",
            ash_gguf_type_name(integers[i].type));
    }
}

Test(gguf, open_survives_every_failed_allocation)
{
    cr_assert_eq(write_model(path), ASH_OK);
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_gguf *gguf = NULL;
        ash_memory_fail_from(nth);
        status = ash_gguf_open(path, &gguf);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        cr_assert_eq(gguf != NULL, status == ASH_OK);
        cr_assert_lt(nth, 100);
        ash_gguf_close(gguf);
    }
}

Test(gguf, the_writer_survives_every_failed_allocation_and_leaves_nothing)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        ash_memory_fail_from(nth);
        status = write_model(path);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        cr_assert_eq(access(path, F_OK) == 0, status == ASH_OK);
        cr_assert_lt(nth, 1000);
    }
}

Test(gguf, the_writer_refuses_misuse)
{
    for (int misuse = 0; misuse < 4; misuse++) {
        struct ash_gguf_writer *writer = NULL;
        cr_assert_eq(ash_gguf_writer_create(path, &writer), ASH_OK);
        if (misuse == 0) /* no such type in files */
            ash_gguf_write_tensor(writer, "w", ASH_A8, 1, (int64_t[]){ 32 });
        else
            ash_gguf_write_tensor(writer, "w", ASH_F32, 1, (int64_t[]){ 8 });
        if (misuse == 1)
            ash_gguf_write_data(writer, norm, sizeof norm + 1);
        if (misuse == 2) { /* metadata after the data */
            ash_gguf_write_data(writer, norm, sizeof norm);
            ash_gguf_write_u32(writer, "late", 1);
        } /* and 3: data missing */
        cr_assert_eq(ash_gguf_writer_finish(writer), ASH_ERR_ARGUMENT, "%d", misuse);
        ash_gguf_writer_destroy(writer);
        cr_assert_neq(access(path, F_OK), 0);
    }
}

Test(gguf, a_file_without_tensors_or_metadata_is_a_file)
{
    struct ash_gguf_writer *writer = NULL;
    struct ash_gguf *gguf = NULL;
    cr_assert_eq(ash_gguf_writer_create(path, &writer), ASH_OK);
    cr_assert_eq(ash_gguf_writer_finish(writer), ASH_OK, "%s", ash_error());
    ash_gguf_writer_destroy(writer);
    cr_assert_eq(ash_gguf_open(path, &gguf), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_gguf_tensor_count(gguf), 0u);
    cr_assert_eq(ash_gguf_value_count(gguf), 0u);
    cr_assert_not(ash_gguf_has(gguf, ".block_count"));
    ash_gguf_close(gguf);
}

Test(gguf, a_change_of_the_file_is_noticed)
{
    struct ash_gguf *gguf = open_model();
    cr_assert_eq(ash_gguf_check_unchanged(gguf), ASH_OK);
    cr_assert_eq(truncate(path, 100), 0);
    cr_assert_eq(ash_gguf_check_unchanged(gguf), ASH_ERR_IO);
    ash_gguf_close(gguf);
}

Test(gguf, what_is_no_regular_file_is_refused)
{
    struct ash_gguf *gguf = NULL;
    cr_assert_eq(ash_gguf_open(path, &gguf), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), path));
    cr_assert_eq(ash_gguf_open(folder, &gguf), ASH_ERR_FORMAT);
    cr_assert_eq(mkfifo(path, 0600), 0); /* opening must not wait for a writer */
    cr_assert_eq(ash_gguf_open(path, &gguf), ASH_ERR_FORMAT);
    unlink(path);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(ash_gguf_open(path, &gguf), ASH_ERR_FORMAT);
    cr_assert(strstr(ash_error(), "empty"));
    cr_assert_null(gguf);
}
