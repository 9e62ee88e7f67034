/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/tokenizer.h"

/* Where the golden files are, and one of them, from malloc. */
const char *golden_directory(void);
char *golden_file(const char *name, size_t *length);

/* Encodes every line of texts.txt and compares with the ids of `ids_name`; how many lines. */
int golden_compare(const struct ash_tokenizer *tokenizer, const char *ids_name);
