/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

const char *golden_path(const char *file)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/models/llama/%s", getenv("ASHLAR_TEST_DATA"), file);
    return path;
}

struct golden golden_read(const char *name)
{
    char file_name[64];
    struct golden golden;
    snprintf(file_name, sizeof file_name, "%s.logits", name);
    FILE *file = fopen(golden_path(file_name), "rb");
    cr_assert(file, "%s is missing", golden_path(file_name));
    cr_assert_eq(fread(&golden.tokens, 4, 1, file), 1u);
    cr_assert_eq(fread(&golden.vocabulary, 4, 1, file), 1u);
    cr_assert_leq(golden.tokens, GOLDEN_TOKENS);
    size_t count = (size_t)golden.tokens * (size_t)golden.vocabulary;
    cr_assert_eq(fread(golden.token, 4, (size_t)golden.tokens, file), (size_t)golden.tokens);
    golden.logits = malloc(count * sizeof *golden.logits);
    cr_assert_eq(fread(golden.logits, 4, count, file), count);
    fclose(file);
    return golden;
}
