/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* A tiny checkpoint's tokens and logits, by a float64 reference (tests/models/llama/make_tiny.py). */
enum { GOLDEN_TOKENS = 512 };

struct golden {
    int32_t tokens, vocabulary;
    int32_t token[GOLDEN_TOKENS];
    float *logits; /* (tokens, vocabulary); the caller frees them */
};

/* "tied.gguf" in the folder of these checkpoints; valid until the next call. */
const char *golden_path(const char *file);

/* Fails the test where "<name>.logits" is missing or short. */
struct golden golden_read(const char *name);
