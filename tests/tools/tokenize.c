/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar tokenize` over a model file of three tokens and a marker. */
#include "models/gguf_writer.h"
#include "tools/ashlar/cli.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/ashlar-tokenize-XXXXXX";

static void setup(void)
{
    static const char *const tokens[] = { "a", "b", "ab", "<end>", "Ċ", "Ã" }, *const merges[] = {
        "a b"
    };
    static const int32_t types[] = { 1, 1, 1, 3, 1, 1 };
    struct ash_gguf_writer *writer;
    close(mkstemp(path));
    cr_assert_eq(ash_gguf_writer_create(path, &writer), ASH_OK);
    ash_gguf_write_string(writer, "general.architecture", "llama");
    ash_gguf_write_string(writer, "tokenizer.ggml.model", "gpt2");
    ash_gguf_write_string(writer, "tokenizer.ggml.pre", "llama-bpe");
    ash_gguf_write_strings(writer, "tokenizer.ggml.tokens", tokens, 6);
    ash_gguf_write_strings(writer, "tokenizer.ggml.merges", merges, 1);
    ash_gguf_write_i32s(writer, "tokenizer.ggml.token_type", types, 6);
    ash_gguf_write_u32(writer, "tokenizer.ggml.bos_token_id", 3);
    cr_assert_eq(ash_gguf_writer_finish(writer), ASH_OK, "%s", ash_error());
    ash_gguf_writer_destroy(writer);
    cr_redirect_stdout();
    cr_redirect_stderr();
}

static void teardown(void)
{
    unlink(path);
}

TestSuite(tokenize, .init = setup, .fini = teardown);

/* Runs `ashlar tokenize -m FILE OPTION... TEXT`; returns the exit code. */
static int run(const char *first, const char *second, const char *text)
{
    char words[7][64];
    char *argv[8] = { 0 };
    const char *given[] = { "ashlar", "tokenize", "-m", path, first, second, text };
    int argc = 0;
    for (size_t i = 0; i < 7; i++) {
        if (!given[i])
            continue;
        snprintf(words[argc], sizeof words[argc], "%s", given[i]);
        argv[argc] = words[argc];
        argc++;
    }
    return ash_cli_main(argc, argv);
}

Test(tokenize, shows_ids_and_pieces)
{
    cr_expect_eq(run(NULL, NULL, "aba\n\xC3"), 0);
    fflush(stdout);
    cr_assert_stdout_eq_str(
        "      3  \"<end>\"\n      2  \"ab\"\n      0  \"a\"\n      4  \"\\n\"\n"
        "      5  \"\\xc3\"\n");
}

Test(tokenize, shows_ids_alone)
{
    cr_expect_eq(run("--ids", "--no-bos", "ab"), 0);
    fflush(stdout);
    cr_assert_stdout_eq_str("[2]\n");
}

Test(tokenize, takes_markers_only_when_told_to)
{
    cr_expect_eq(run("-sc", NULL, "a<end>b"), 0);
    cr_expect_eq(run("--count", NULL, "a<end>b"), 0);
    fflush(stdout);
    cr_assert_stdout_eq_str("4\n3\n");
}

Test(tokenize, writes_json)
{
    cr_expect_eq(run("--json", "--no-bos", "\xC3"), 0);
    fflush(stdout);
    cr_assert_stdout_eq_str(
        "{\n  \"count\": 1,\n  \"dropped_bytes\": 0,\n  \"pre\": \"llama-bpe\",\n"
        "  \"tokens\": [\n    {\n      \"id\": 5,\n      \"text\": \"\uFFFD\",\n"
        "      \"hex\": \"c3\",\n      \"type\": \"normal\"\n    }\n  ]\n}\n");
}

Test(tokenize, refuses_two_forms_at_once)
{
    cr_expect_eq(run("--ids", "--count", "x"), 2);
    fflush(stdout);
    cr_assert_stdout_eq_str("");
}
