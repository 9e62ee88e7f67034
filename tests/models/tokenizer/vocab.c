/* SPDX-License-Identifier: Apache-2.0 */
/* Vocabularies that are odd, broken or hostile: each has its defined outcome. */
#include "runtime/memory.h"
#include "tests/models/tokenizer/golden.h"
#include "tests/models/tokenizer/vocab_file.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A vocabulary written out in a test: "TYPE TEXT" tokens and merges, each list ended by NULL. */
struct small {
    const char *token[12];
    const char *merge[8];
};

static struct ash_tokenizer_text token_at(void *context, int64_t index)
{
    const char *text = ((struct small *)context)->token[index] + 2;
    return (struct ash_tokenizer_text){ text, strlen(text) };
}

static int64_t type_at(void *context, int64_t index)
{
    return strtol(((struct small *)context)->token[index], NULL, 10);
}

static struct ash_tokenizer_text merge_at(void *context, int64_t index)
{
    const char *text = ((struct small *)context)->merge[index];
    return (struct ash_tokenizer_text){ text, strlen(text) };
}

static struct ash_tokenizer_source source_of(struct small *small)
{
    struct ash_tokenizer_source source = { .token = token_at,
        .type = type_at,
        .merge = merge_at,
        .context = small,
        .bos = -1,
        .eos = -1,
        .eot = -1,
        .eom = -1,
        .unk = -1,
        .pad = -1 };
    while (small->token[source.token_count])
        source.token_count++;
    while (small->merge[source.merge_count])
        source.merge_count++;
    return source;
}

Test(tokenizer_vocab, each_broken_vocabulary_has_its_error)
{
    static struct {
        struct small vocabulary;
        enum ash_status status;
        const char *message; /* part of it */
    } cases[] = {
        { { { NULL } }, ASH_ERR_FORMAT, "needs tokens" },
        { { { "1 a", "1 b", "1 a" } }, ASH_ERR_FORMAT, "tokens 0 and 2" },
        { { { "3 <x>", "3 <x>" } }, ASH_ERR_FORMAT, "tokens 0 and 1" },
        { { { "3 <x>", "4 <x>" } }, ASH_ERR_FORMAT, "both \"<x>\"" },
        { { { "7 a" } }, ASH_ERR_FORMAT, "of type 7" },
        { { { "0 a" } }, ASH_ERR_FORMAT, "of type 0" },
        { { { "1 a", "1 b" }, { "a b" } }, ASH_ERR_FORMAT, "needs the token \"ab\"" },
        { { { "1 a", "1 ab" }, { "a b" } }, ASH_ERR_FORMAT, "needs the token \"b\"" },
        { { { "1 a", "1 b", "3 ab" }, { "a b" } }, ASH_ERR_FORMAT, "not a normal token" },
        { { { "1 a", "1 b", "5 ab" }, { "a b" } }, ASH_ERR_FORMAT, "not a normal token" },
        { { { "1 a", "1 b", "1 ab" }, { "" } }, ASH_ERR_FORMAT, "merge 0" },
        { { { "1 a", "1 b", "1 ab" }, { "a b", " " } }, ASH_ERR_FORMAT, "merge 1" },
        { { { "1 a", "1 b", "1 ab" }, { "ab" } }, ASH_ERR_FORMAT, "space between" },
        { { { "1 a", "1 b", "1 ab" }, { "a  b" } }, ASH_ERR_FORMAT, "space between" },
        { { { "1 a", "1 b", "1 ab" }, { " ab" } }, ASH_ERR_FORMAT, "space between" },
        { { { "1 a", "1 b", "1 ab" }, { "ab " } }, ASH_ERR_FORMAT, "space between" },
        { { { "1 a", "1 b", "1 ab" }, { "a \xE4\xB8\xAD" } }, ASH_ERR_FORMAT, "alphabet" },
        { { { "1 a", "1 b", "1 ab" }, { "a \x80" } }, ASH_ERR_FORMAT, "alphabet" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_tokenizer *tokenizer = NULL;
        struct ash_tokenizer_source source = source_of(&cases[i].vocabulary);
        cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), cases[i].status, "case %zu", i);
        cr_expect(strstr(ash_error(), cases[i].message), "case %zu: %s", i, ash_error());
        cr_expect_null(tokenizer);
    }
}

Test(tokenizer_vocab, counts_and_ids_out_of_range_have_their_errors)
{
    static struct small vocabulary = { { "1 a" } };
    struct ash_tokenizer *tokenizer = NULL;
    static const int64_t counts[] = { INT64_MAX, (int64_t)1 << 31, (1 << 24) + 1 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct ash_tokenizer_source source = source_of(&vocabulary);
        source.token_count = counts[i];
        cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), ASH_ERR_LIMIT);
        source.token_count = 1;
        source.merge_count = counts[i];
        cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), ASH_ERR_LIMIT);
    }
    static const int64_t ids[] = { 1, -2, INT64_MAX, UINT32_MAX };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct ash_tokenizer_source source = source_of(&vocabulary);
        source.eos = ids[i];
        cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), ASH_ERR_FORMAT);
        source.eos = -1;
        source.pad = source.unk = ids[i];
        cr_assert_eq(ash_tokenizer_create(&source, &tokenizer), ASH_OK);
        cr_expect_eq(ash_tokenizer_describe(tokenizer).pad, -1);
        ash_tokenizer_destroy(tokenizer);
    }
}

Test(tokenizer_vocab, tokens_and_merges_beyond_the_limits_are_refused)
{
    static char text[ASH_TOKENIZER_MAX_TOKEN_BYTES + 8];
    memset(text, 'a', sizeof text - 1);
    static const char *const types = "134";
    for (const char *type = types; *type; type++) {
        struct small vocabulary = { { text } };
        text[0] = *type;
        struct ash_tokenizer *tokenizer;
        struct ash_tokenizer_source source = source_of(&vocabulary);
        cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), ASH_ERR_LIMIT, "%s", ash_error());
    }
    struct small vocabulary = { { "1 a" }, { text } };
    struct ash_tokenizer *tokenizer;
    struct ash_tokenizer_source source = source_of(&vocabulary);
    cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), ASH_ERR_LIMIT);
}

Test(tokenizer_vocab, an_unknown_pre_tokenizer_is_named_with_the_known_ones)
{
    static struct small vocabulary = { { "1 a" } };
    static const char *const unknown[] = { "mystery", "", ",", "smol", "smollm ",
        "llama3,llama-v3" };
    struct ash_tokenizer *tokenizer;
    struct ash_tokenizer_source source = source_of(&vocabulary);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        source.pre = unknown[i];
        cr_expect_eq(ash_tokenizer_create(&source, &tokenizer), ASH_ERR_UNSUPPORTED);
        cr_expect(strstr(ash_error(), unknown[i]) && strstr(ash_error(), "llama-bpe"));
    }
    static const char *const known[][2] = { { NULL, "gpt-2" }, { "default", "gpt-2" },
        { "llama3", "llama-bpe" }, { "mellum2", "smollm" }, { "deepseek-r1-qwen", "qwen2" } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        source.pre = known[i][0];
        cr_assert_eq(ash_tokenizer_create(&source, &tokenizer), ASH_OK);
        cr_expect_str_eq(ash_tokenizer_describe(tokenizer).pre, known[i][1]);
        ash_tokenizer_destroy(tokenizer);
    }
}

/* The ids of `text`, as text: "0 1 1". */
static const char *ids_of(struct small *vocabulary, const char *pre, const char *text)
{
    static char out[200];
    struct ash_tokenizer *tokenizer;
    struct ash_tokens tokens = { 0 };
    struct ash_tokenizer_source source = source_of(vocabulary);
    source.pre = pre;
    cr_assert_eq(ash_tokenizer_create(&source, &tokenizer), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_tokenizer_encode(tokenizer, text, strlen(text), 0, &tokens), ASH_OK);
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < tokens.count; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%d", i ? " " : "", (int)tokens.id[i]);
    if (tokens.dropped)
        snprintf(out + at, sizeof out - at, " -%d", (int)tokens.dropped);
    ash_tokens_free(&tokens);
    ash_tokenizer_destroy(tokenizer);
    return out;
}

Test(tokenizer_vocab, odd_vocabularies_do_what_the_header_says)
{
    static struct {
        const char *what;
        struct small vocabulary;
        const char *pre, *text, *ids; /* ids: and how many bytes were dropped, as -n */
    } cases[] = {
        { "no merges", { { "1 a", "1 b" } }, "gpt-2", "abba", "0 1 1 0" },
        { "a byte without a token", { { "1 a", "1 b" } }, "gpt-2", "axb", "0 1 -1" },
        { "an empty token", { { "1 a", "1 ", "3 ", "4 " } }, "gpt-2", "aa", "0 0" },
        { "the first of two equal merges",
            { { "1 a", "1 b", "1 ab", "1 ba" }, { "b a", "a b", "b a" } }, "gpt-2", "aba", "0 3" },
        { "lower ranks first", { { "1 a", "1 b", "1 ab", "1 ba" }, { "a b", "b a" } }, "gpt-2",
            "aba", "2 0" },
        { "the leftmost of equals", { { "1 a", "1 aa" }, { "a a" } }, "gpt-2", "aaa", "1 0" },
        { "a token no merge makes", { { "1 a", "1 b", "1 ab" } }, "gpt-2", "ab", "0 1" },
        { "is a word for llama-bpe", { { "1 a", "1 b", "1 ab" } }, "llama-bpe", "ab", "2" },
        { "but not if it is control", { { "1 a", "1 b", "3 ab" } }, "llama-bpe", "ab", "0 1" },
        { "nor if it is unused", { { "1 a", "1 b", "5 ab" } }, "llama-bpe", "ab", "0 1" },
        { "bytes count as normal", { { "6 a", "6 b", "1 ab" }, { "a b" } }, "gpt-2", "ab", "2" },
        { "outside the alphabet", { { "1 a", "1 \xE4\xB8\xAD" } }, "llama-bpe", "a\xE4\xB8\xAD",
            "0 -3" },
        { "user-defined is found raw", { { "1 a", "4 \xE4\xB8\xAD" } }, "gpt-2",
            "a\xE4\xB8\xAD"
            "a",
            "0 1 0" },
        { "a user-defined space", { { "1 a", "4  ", "4   " } }, "gpt-2", "a   a", "0 2 1 0" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_str_eq(ids_of(&cases[i].vocabulary, cases[i].pre, cases[i].text), cases[i].ids,
            "%s", cases[i].what);
}

Test(tokenizer_vocab, create_survives_every_failed_allocation)
{
    struct vocab_file file;
    cr_assert(vocab_file_load(golden_directory(), "qwen2", &file));
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t n = 0; status != ASH_OK; n++) {
        cr_assert_lt(n, 100);
        struct ash_tokenizer *tokenizer = NULL;
        ash_memory_fail_from(n);
        status = ash_tokenizer_create(&file.source, &tokenizer);
        ash_memory_fail_from(-1);
        cr_expect(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !tokenizer));
        ash_tokenizer_destroy(tokenizer);
    }
    vocab_file_free(&file);
}
