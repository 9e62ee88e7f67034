#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tokenizer_unicode.c: which characters are letters, numbers and white space.

The pre-tokenizers are defined by regular expressions with \\p{L}, \\p{N} and \\s, so the authority is
the expression engine of the reference: the Python package `tokenizers` (0.23.3: Unicode 16.0).

    python3 tokenizer_unicode.py > tokenizer_unicode.c
"""
from tokenizers import Regex, pre_tokenizers

HEAD = """\
/* SPDX-License-Identifier: Apache-2.0 */
/* Made by tokenizer_unicode.py; change that. Unicode 16.0. */
#include "models/tokenizer_internal.h"

/* Where a run of characters of one class begins: its first character << 2 | the class. */
/* clang-format off */
static const uint32_t runs[] = {"""

TAIL = """\
};
/* clang-format on */

enum ash_char_class ash_char_class(uint32_t point)
{
    size_t low = 0, high = sizeof runs / sizeof *runs; /* runs[low] begins at or before `point` */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle] >> 2 <= point)
            low = middle;
        else
            high = middle;
    }
    return (enum ash_char_class)(runs[low] & 3);
}"""


def members(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    surrogates = range(0xD800, 0xE000)
    return {c for c in range(0x110000) if c not in surrogates and not split.pre_tokenize_str(chr(c))}


def main():
    classes = [members(r"\p{L}"), members(r"\p{N}"), members(r"\s")]
    runs, last = [], None
    for c in range(0x110000):
        now = next((i + 1 for i, m in enumerate(classes) if c in m), 0)
        if now != last:
            runs.append(f"0x{c << 2 | now:x},")
            last = now
    print(HEAD)
    line = "   "
    for word in runs:
        if len(line) + 1 + len(word) > 100:
            print(line)
            line = "   "
        line += " " + word
    print(line)
    print(TAIL)


main()
