/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/rope/rope.h"
#include "models/gguf.h"

/*
 * YaRN: a context stretched s times by turning fast pairs as before, slow ones s times slower, and those
 * between in part (Peng et al. 2023, arXiv 2309.00071, sections 3.1 to 3.4):
 *
 *   turns(i)   = original context * base^(-2i / dims) / 2 pi      how often pair i turns in there
 *   ramp(i)    = 0 where turns >= beta_fast, 1 where turns <= beta_slow; in between linear in i, from
 *                the whole number below to the one above, as the authors' code has it (the paper's is
 *                linear in turns) and everybody's after it: models were tuned with that
 *   factor(i)  = 1 / (1 - ramp + ramp / s)                        divides the pair's frequency
 *   q, k      *= attention factor * (0.1 ln s + 1)
 *
 * So it is rope's factors and, where all of a head turns, a scale of the attention.
 */
struct ash_yarn {
    bool used;
    float magnitude; /* what q and k are multiplied by */
    float factor[ASH_ROPE_MAX_DIMS / 2];
};

/*
 * Reads the ".rope.scaling." keys of a file whose type is yarn, and makes the factors of `dims` turning
 * elements (at most ASH_ROPE_MAX_DIMS) with this base (1 or more). ASH_ERR_FORMAT: missing or impossible
 * numbers; ASH_ERR_UNSUPPORTED: variants (an extrapolation factor, DeepSeek's multiplier).
 */
enum ash_status ash_yarn_read(
    const struct ash_gguf *file, int dims, float base, struct ash_yarn *out);
