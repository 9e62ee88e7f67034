/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Pre-tokenizers: where a text is cut into words before merging.
 *
 * Each is defined by a regular expression in the model's tokenizer.json and written out by hand here:
 * an expression engine takes its character classes from whatever Unicode version is installed, stops
 * at broken UTF-8 and can be made to backtrack; ids must depend on none of that. Linear time, no
 * memory, cannot fail. A byte outside well-formed UTF-8 is one character, neither letter, number
 * nor space.
 *
 * gpt-2      's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * smollm     the same within the stretches between numbers, each \p{N} being a word by itself
 * llama-bpe  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
 *            | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * qwen2      the same with \p{N} for \p{N}{1,3}
 */
struct ash_split {
    const char *name;
    const char *also; /* other names of the same splits in GGUF files: ",a,b," */
    bool by_line; /* the second family of expressions, which keeps newlines with what is before */
    int digits;   /* most numbers in one word; 0: no limit */
    bool
        lone_digits; /* a number is not joined with a space before it, and ends the text before it */
    bool whole_words; /* a word that is a token is that token, whatever the merges say */
    bool add_bos;     /* usual where the file does not say */
};

/* By name or other name; NULL is "gpt-2". Returns NULL for an unknown one. */
const struct ash_split *ash_split_find(const char *name);

/* Every name and other name, separated by ", ". */
const char *ash_split_known(void);

/* The length of the first word of `text`; 1..length, for length >= 1. */
size_t ash_split_next(const struct ash_split *split, const char *text, size_t length);
