/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/tokenizer.h"

/*
 * A small vocabulary out of a text file (make_golden.py says how it is written), for tests, the fuzz
 * target and the replay of its corpus. Uses malloc, so that the library's allocations are counted
 * alone.
 */
struct vocab_file {
    char *text;
    struct ash_tokenizer_text *token;
    struct ash_tokenizer_text *merge;
    int64_t *type;
    struct ash_tokenizer_source source; /* its context is this struct, which must stay in place */
};

/* Reads DIRECTORY/vocab-NAME.txt; false if it is not there or not so written. */
bool vocab_file_load(const char *directory, const char *name, struct vocab_file *out);
void vocab_file_free(struct vocab_file *file);

/* A whole file with a 0 behind it, from malloc; NULL if it cannot be read. */
char *read_whole_file(const char *path, size_t *length);
