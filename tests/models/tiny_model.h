/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/synthesize.h"

/* A model of random weights that runs in no time, with more tokens than the tokenizer of 96. */
static inline struct ash_synthesis tiny_synthesis(
    enum ash_type type, const struct ash_gguf *tokenizer)
{
    return (struct ash_synthesis){
        .shape = { .name = "tiny",
            .architecture = "llama",
            .layers = 2,
            .channels = 64,
            .feed_forward = 96,
            .heads = 4,
            .kv_heads = 2,
            .head_size = 16,
            .vocabulary = 130,
            .context = 256,
            .rope_base = 10000,
            .norm_epsilon = 1e-5,
            .tied = true },
        .type = type,
        .output_type = type,
        .seed = 7,
        .tokenizer = tokenizer,
    };
}
