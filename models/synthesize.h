/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/gguf.h"

/*
 * Model files with random weights: for measuring shapes that nobody has a file of at hand, or may pass
 * on. Such a model computes what a trained one of its shape computes, byte for byte the same work, and
 * answers nonsense.
 *
 * Matrices are normal around 0 with 1/sqrt(inputs), so that the stream keeps its size through the
 * layers and logits differ by about one; norms lie around 1, biases around 0. A file is a function of
 * shape, types, seed and tokenizer alone.
 */
struct ash_synthetic_shape {
    const char *name;         /* "llama-3.2-1b" */
    const char *architecture; /* "llama" or "qwen2" (Q, K and V with biases) */
    int64_t layers, channels, feed_forward, heads, kv_heads, head_size;
    int64_t vocabulary; /* 0 = the tokenizer's */
    int64_t context;
    double rope_base, norm_epsilon;
    bool tied; /* the output matrix is the embedding */
};

/* Shapes by name, ended by a NULL name. Source: each model's config.json. */
extern const struct ash_synthetic_shape ash_synthetic_shapes[];

/* NULL where there is none of this name. */
const struct ash_synthetic_shape *ash_synthetic_shape_find(const char *name);

struct ash_synthesis {
    struct ash_synthetic_shape shape;
    enum ash_type type;        /* of the layers' matrices, and of an embedding that is not tied */
    enum ash_type output_type; /* of the output matrix, or of the embedding where it is tied */
    uint64_t seed;
    const struct ash_gguf *tokenizer; /* whose tokenizer the file gets; unused tokens fill it up to
                                         shape.vocabulary */
    bool (*progress)(
        void *context, uint64_t done_bytes, uint64_t total_bytes); /* false = stop; NULL */
    void *context;
};

/*
 * Writes `path`, which appears whole or not at all; holds some hundred kilobytes and the tokenizer in
 * memory, whatever the file's size.
 *
 * ASH_ERR_ARGUMENT   no such shape: the message names the number
 * ASH_ERR_FORMAT     the tokenizer's file has none, or a larger one than the vocabulary
 * ASH_ERR_CANCELED   progress() said so
 * ASH_ERR_IO (a full disk among others), ASH_ERR_NO_MEMORY
 */
enum ash_status ash_synthesize(const struct ash_synthesis *what, const char *path);
