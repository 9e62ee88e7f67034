/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers out of model files: written here, and the real one where it is at hand. */
#include "models/gguf.h"
#include "models/gguf_writer.h"
#include "tests/models/tokenizer/golden.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What to write; a NULL or negative field leaves its key out. */
struct keys {
    const char *model, *pre;
    bool no_merges;
    size_t types;
    int64_t eos;
    enum ash_status status;
    const char *message;
};

static void write_file(const char *path, const struct keys *keys)
{
    static const char *const tokens[] = { "a", "b", "ab", "<end>" }, *const merges[] = { "a b" };
    static const int32_t types[] = { 1, 1, 1, 3, 1 };
    struct ash_gguf_writer *writer;
    cr_assert_eq(ash_gguf_writer_create(path, &writer), ASH_OK);
    ash_gguf_write_string(writer, "general.architecture", "llama");
    if (keys->model)
        ash_gguf_write_string(writer, "tokenizer.ggml.model", keys->model);
    if (keys->pre)
        ash_gguf_write_string(writer, "tokenizer.ggml.pre", keys->pre);
    ash_gguf_write_strings(writer, "tokenizer.ggml.tokens", tokens, 4);
    if (!keys->no_merges)
        ash_gguf_write_strings(writer, "tokenizer.ggml.merges", merges, 1);
    if (keys->types)
        ash_gguf_write_i32s(writer, "tokenizer.ggml.token_type", types, keys->types);
    if (keys->eos >= 0)
        ash_gguf_write_u32(writer, "tokenizer.ggml.eos_token_id", (uint32_t)keys->eos);
    ash_gguf_write_bool(writer, "tokenizer.ggml.add_eos_token", true);
    cr_assert_eq(ash_gguf_writer_finish(writer), ASH_OK, "%s", ash_error());
    ash_gguf_writer_destroy(writer);
}

static enum ash_status load(const char *path, struct ash_tokenizer **out)
{
    struct ash_gguf *gguf;
    cr_assert_eq(ash_gguf_open(path, &gguf), ASH_OK, "%s", ash_error());
    enum ash_status status = ash_tokenizer_from_gguf(gguf, out);
    ash_gguf_close(gguf);
    return status;
}

Test(tokenizer_from_gguf, reads_the_keys_and_refuses_what_does_not_fit)
{
    static const struct keys cases[] = {
        { "gpt2", "smollm", false, 4, 3, ASH_OK, NULL },
        { "gpt2", NULL, false, 0, -1, ASH_OK, NULL },
        { NULL, "smollm", false, 4, 3, ASH_ERR_FORMAT, "tokenizer.ggml.model" },
        { "llama", "smollm", false, 4, 3, ASH_ERR_UNSUPPORTED, "\"llama\"" },
        { "gpt2", "mystery", false, 4, 3, ASH_ERR_UNSUPPORTED, "\"mystery\"" },
        { "gpt2", "smollm", true, 4, 3, ASH_ERR_FORMAT, "merges" },
        { "gpt2", "smollm", false, 3, 3, ASH_ERR_FORMAT, "token_type has 3" },
        { "gpt2", "smollm", false, 5, 3, ASH_ERR_FORMAT, "token_type has 5" },
        { "gpt2", "smollm", false, 4, 4, ASH_ERR_FORMAT, "number 4" },
    };
    char path[] = "/tmp/ashlar-tokenizer-XXXXXX";
    close(mkstemp(path));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_tokenizer *tokenizer = NULL;
        write_file(path, &cases[i]);
        cr_expect_eq(load(path, &tokenizer), cases[i].status, "case %zu: %s", i, ash_error());
        if (cases[i].message)
            cr_expect(strstr(ash_error(), cases[i].message), "case %zu: %s", i, ash_error());
        if (tokenizer)
            cr_expect_eq(ash_tokenizer_describe(tokenizer).add_eos, cases[i].eos >= 0);
        ash_tokenizer_destroy(tokenizer);
    }
    unlink(path);
}

Test(tokenizer_from_gguf, the_real_model_s_ids_are_the_reference_s)
{
    const char *path = getenv("ASHLAR_TEST_MODEL");
    if (!path || access(path, R_OK))
        cr_skip_test("ASHLAR_TEST_MODEL names no SmolLM2-135M-Instruct.Q4_1.gguf");
    struct ash_tokenizer *tokenizer;
    cr_assert_eq(load(path, &tokenizer), ASH_OK, "%s", ash_error());
    cr_expect_geq(golden_compare(tokenizer, "ids-smollm2.txt"), 1000);
    struct ash_tokenizer_info info = ash_tokenizer_describe(tokenizer);
    cr_expect_eq(info.token_count, 49152);
    cr_expect_eq(info.bos, 1);
    cr_expect_eq(info.eos, 2);
    cr_expect_not(info.add_bos);
    cr_expect_eq(info.missing_bytes, 21);
    cr_expect(ash_tokenizer_ends(tokenizer, 2) && ash_tokenizer_ends(tokenizer, 0));
    ash_tokenizer_destroy(tokenizer);
}
