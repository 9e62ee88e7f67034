/* SPDX-License-Identifier: Apache-2.0 */
/* The ids of the reference, for every text of the golden set and every pre-tokenizer. */
#include "tests/models/tokenizer/golden.h"
#include "tests/models/tokenizer/vocab_file.h"

#include <criterion/criterion.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_directory(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/models/tokenizer", getenv("ASHLAR_TEST_DATA"));
    return path;
}

char *golden_file(const char *name, size_t *length)
{
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", golden_directory(), name);
    char *text = read_whole_file(path, length);
    cr_assert(text, "%s cannot be read", path);
    return text;
}

/* Undoes \n \r \t \\ \xHH in place; returns the length. */
static size_t unescape(char *line, size_t length)
{
    char *out = line;
    for (size_t i = 0; i < length; i++) {
        if (line[i] != '\\') {
            *out++ = line[i];
            continue;
        }
        char kind = line[++i];
        char hex[3] = { 0 };
        if (kind == 'x') {
            memcpy(hex, line + i + 1, 2);
            i += 2;
        }
        *out++ = kind == 'n'   ? '\n'
                 : kind == 'r' ? '\r'
                 : kind == 't' ? '\t'
                 : kind == 'x' ? (char)strtol(hex, NULL, 16)
                               : kind;
    }
    return (size_t)(out - line);
}

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    cr_assert(at, "'%c' is no digit of an id", c);
    return (int)(at - digits);
}

/* Compares with ids written as three digits each. */
static void expect(const struct ash_tokenizer *tokenizer, int number, const char *text,
    size_t length, unsigned flags, const char *ids, size_t ids_length)
{
    struct ash_tokens tokens = { 0 };
    cr_assert_eq(ash_tokenizer_encode(tokenizer, text, length, flags, &tokens), ASH_OK);
    cr_expect_eq(tokens.count, ids_length / 3, "line %d (%.*s), flags %u: %zu ids instead of %zu",
        number, (int)length, text, flags, tokens.count, ids_length / 3);
    for (size_t i = 0; i < tokens.count && i < ids_length / 3; i++) {
        int id = digit(ids[3 * i]) << 12 | digit(ids[3 * i + 1]) << 6 | digit(ids[3 * i + 2]);
        cr_assert_eq(tokens.id[i], id, "line %d (%.*s), flags %u: id %zu is %d, not %d", number,
            (int)length, text, flags, i, (int)tokens.id[i], id);
    }
    ash_tokens_free(&tokens);
}

int golden_compare(const struct ash_tokenizer *tokenizer, const char *ids_name)
{
    size_t length;
    char *texts = golden_file("texts.txt", &length), *ids = golden_file(ids_name, &length);
    char *text = texts, *id = ids;
    int count = 0;
    for (char *end; (end = strchr(text, '\n')); text = end + 1, count++) {
        size_t size = unescape(text, (size_t)(end - text));
        size_t line = strcspn(id, "\n"), plain = strcspn(id, "\t\n");
        bool same = plain == line;
        expect(tokenizer, count + 1, text, size, 0, id, plain);
        expect(tokenizer, count + 1, text, size, ASH_ENCODE_SPECIAL, same ? id : id + plain + 1,
            same ? plain : line - plain - 1);
        id += line + 1;
    }
    cr_expect_eq(*id, '\0', "%s has more lines than texts.txt", ids_name);
    free(texts);
    free(ids);
    return count;
}

Test(tokenizer_golden, ids_are_the_reference_s_with_every_pre_tokenizer)
{
    static const char *const names[] = { "smollm", "llama-bpe", "gpt-2", "qwen2" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct vocab_file file;
        struct ash_tokenizer *tokenizer;
        char ids[64];
        cr_assert(vocab_file_load(golden_directory(), names[i], &file));
        cr_assert_eq(ash_tokenizer_create(&file.source, &tokenizer), ASH_OK, "%s", ash_error());
        snprintf(ids, sizeof ids, "ids-%s.txt", names[i]);
        cr_expect_geq(golden_compare(tokenizer, ids), 1000);
        ash_tokenizer_destroy(tokenizer);
        vocab_file_free(&file);
    }
}
