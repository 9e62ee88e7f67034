/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

/*
 * Which kernel is the fastest on this processor: measured once, remembered in a file.
 *
 * Tables of kernels stand in the order of our experience, and processors differ: a bf16 dot product was
 * seen at half the rate of fp32 on one and at twice on another. So every kernel of the operators that
 * take nearly all of a model's time (matmul, attention) is run on two samples of work, a token with
 * weights or cache from memory and a piece of a prompt, with one thread. The first decides for answers,
 * the second for prompts: for batches of any size alike, as kernels may differ in the last bits.
 *
 * Threads: read-only once created.
 */
enum {
    ASH_RANKING_DEPTH = 512, /* positions of a sample's sequence */
    ASH_RANKING_PIECE = 256, /* tokens of the prefill sample */
    ASH_RANKING_MOST = 96,
};

/* A kernel that could be chosen. */
struct ash_ranked {
    const struct ash_op *op;
    enum ash_type type; /* of in[1]: the weight, the cache */
    const struct ash_kernel *kernel;
    int64_t decode_ns, prefill_ns; /* medians of a few runs of the two samples */
};

struct ash_ranking {
    char
        how[320]; /* "measured, kept in FILE", "read from FILE", "as listed: FILE: No space left" */
    int count;    /* 0 = take kernels as they are listed */
    struct ash_ranked
        item[ASH_RANKING_MOST]; /* the best of an operator and type for answers first */
};

/*
 * Reads the ranking of this machine and build from `cache_dir`, or measures it (about 0.1 s) and writes
 * it there. The file says which processor (`processor`: its maker's name), features and build it is of,
 * and carries a checksum; one that says something else or is damaged is made anew, and nothing in it
 * can do more than put kernels into a bad order. Where it cannot be kept (`cache_dir` may be NULL:
 * nowhere), kernels are taken as listed: measuring at every start could give one kernel today and
 * another tomorrow. *out->how says so.
 *
 * The caller owns *out (ash_free()). ASH_ERR_NO_MEMORY.
 */
enum ash_status ash_ranking_create(
    const char *processor, const char *cache_dir, struct ash_ranking **out);

/*
 * As ash_op_choose(), the best-ranked one first. For prompts (args->prompts): the one that is clearly
 * faster there than the one for answers and reads the same layout of weights, if there is one; so that
 * weights are held once. `ranking` may be NULL: as listed, for both alike.
 */
const struct ash_kernel *ash_ranking_choose(const struct ash_ranking *ranking,
    const struct ash_op *op, const struct ash_args *args, uint64_t features);

/* What an item is taken for, unless it does not take the shapes: "answers", "prompts", "both" or "". */
const char *ash_ranked_use(const struct ash_ranking *ranking, const struct ash_ranked *item);
