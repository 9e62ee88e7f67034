/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * From logits to the next token: the sampler chain that users of llama.cpp and Ollama know.
 *
 * The steps, always in this order (llama.cpp's default order, common/common.h, without the steps
 * that are off by default); `x` is a logit, `p` the softmax of the candidates left so far:
 *
 *   bias         x += bias of the token; -INFINITY forbids it
 *   repeat       c = how often the token is among the last `penalty_last_n` accepted ones; if c > 0:
 *                x = x > 0 ? x / repeat_penalty : x * repeat_penalty      (CTRL, arXiv 1909.05858, 4.1)
 *   frequency,   x -= c * frequency_penalty + (c > 0) * presence_penalty  (OpenAI's API)
 *   presence
 *   top_k        the k largest x                                          (arXiv 1805.04833)
 *   typical_p    in order of |-log p - H|, H the entropy: the fewest whose sum of p exceeds typical_p
 *                                                                (Meister et al., arXiv 2202.00666)
 *   top_p        in order of p: the fewest whose sum of p reaches top_p
 *                                                                (Holtzman et al., arXiv 1904.09751)
 *   min_p        those with p >= min_p * largest p               (Nguyen et al., arXiv 2407.01082)
 *   temperature  x / temperature, then one token by its p; 0: the largest x, no step but bias and
 *                penalties before it
 *
 * Ties go to the lower token id everywhere. At least one candidate always remains.
 *
 * Exact: logits are float; everything after is double, in one order, with the four operations of
 * IEEE 754 and an exponential of our own made of them, never libm: the same seed and the same logits
 * give the same tokens on every machine. Random numbers: xoshiro256** (Blackman and Vigna, ACM TOMS
 * 47(4), 2021), seeded by splitmix64; each choice at a temperature above 0 takes exactly one.
 *
 * A logit that is NaN or -infinity is never chosen; +infinity counts as FLT_MAX.
 * Cost: O(V) for greedy and top_k, O(V + n log V) for the others, where n candidates are kept.
 * Threads: one at a time per sampler. Nothing is allocated after create.
 */
struct ash_sampler;

struct ash_logit_bias {
    int32_t token;
    float bias;
};

struct ash_sampler_options {
    double temperature;       /* >= 0; 0 = greedy */
    int top_k;                /* 0 = off */
    double typical_p;         /* (0, 1]; 1 = off */
    double top_p;             /* (0, 1]; 1 = off */
    double min_p;             /* [0, 1]; 0 = off */
    double repeat_penalty;    /* > 0; 1 = off */
    double frequency_penalty; /* 0 = off */
    double presence_penalty;  /* 0 = off */
    int penalty_last_n;       /* tokens remembered; 0 = no penalties */
    uint64_t seed;
    const struct ash_logit_bias *bias; /* several for one token add up */
    size_t bias_count;
};

/* llama.cpp's defaults, and seed 0: the caller draws one where the user gave none. */
#define ASH_SAMPLER_DEFAULTS                                                                       \
    ((struct ash_sampler_options){ .temperature = 0.8,                                             \
        .top_k = 40,                                                                               \
        .typical_p = 1,                                                                            \
        .top_p = 0.95,                                                                             \
        .min_p = 0.05,                                                                             \
        .repeat_penalty = 1,                                                                       \
        .penalty_last_n = 64 })

/* A token that could have been chosen. Natural logarithm. */
struct ash_candidate {
    int32_t token;
    double probability;
    double log_probability;
};

/*
 * For logits of `vocabulary` tokens. Copies the options. The caller owns *out and ends it with
 * ash_sampler_destroy(); on failure *out is untouched.
 *
 * ASH_ERR_ARGUMENT  an option outside its range, or a bias for a token that does not exist
 */
enum ash_status ash_sampler_create(
    const struct ash_sampler_options *options, int32_t vocabulary, struct ash_sampler **out);

/* Takes NULL. */
void ash_sampler_destroy(struct ash_sampler *sampler);

/* Forgets the accepted tokens and starts the random numbers again from `seed`. */
void ash_sampler_reset(struct ash_sampler *sampler, uint64_t seed);

/*
 * Remembers a token for the penalties: every one of the prompt, then every one chosen. Takes only
 * tokens of the vocabulary.
 */
void ash_sampler_accept(struct ash_sampler *sampler, int32_t token);

/*
 * Chooses from `logits` (V), which are not changed; does not accept the token. A grammar forbids
 * tokens by setting their logits to -INFINITY first.
 *
 * ASH_ERR_ARGUMENT  every logit is NaN or -infinity; nothing changed
 */
enum ash_status ash_sampler_choose(
    struct ash_sampler *sampler, const float *logits, int32_t *out_token);

/*
 * What the last choice was made from: up to `capacity` candidates, most probable first, with their
 * probabilities after the whole chain (greedy: the one). Returns how many were written.
 */
size_t ash_sampler_candidates(
    const struct ash_sampler *sampler, size_t capacity, struct ash_candidate *out);

/*
 * The model's own opinion, before any sampler: the `count` most probable of softmax(logits), most
 * probable first; fewer where fewer are possible. Returns how many were written. For small counts.
 */
size_t ash_logits_top(
    const float *logits, int32_t vocabulary, size_t count, struct ash_candidate *out);

/* log softmax(logits)[token]; -INFINITY where the token is impossible. */
double ash_logits_log_probability(const float *logits, int32_t vocabulary, int32_t token);
