/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

#include <stdio.h>

/*
 * The one check engine for operators: a table of cases, run on every kernel of this machine.
 *
 * For every case that infer() lets pass, every kernel that this machine can run and that accepts it,
 * and every kind of input (random at several scales, zeros, huge, denormal, alternating, an outlier,
 * the largest quants), it holds that
 *   - the result is the reference's within the tolerance,
 *   - nothing outside the output and the inputs in op->updates is written,
 *   - any split of the rows at the kernel's grain, in any order, gives the same bits,
 *   - a sequence alone, among others or cut into chunks gives the same bits (batch invariance),
 *   - an output in A8 or BF16 is the same kernel's F32 output, made that,
 *   - an output that shares memory with an input of op->in_place has the same bits,
 *   - data at any address that suits its elements will do.
 * Infinities and NaNs go through for the sake of memory safety; results that are ids are compared.
 * That each instruction set has a kernel for the case is checked on any machine, with it or without.
 *
 * tests/kernels/<op>.c holds `const struct ash_case ash_cases_<op>[]`; the list of operators is that
 * of kernels/meson.build.
 */

/* As the first dimension of an input: tokens, or outputs, of the case's batch. */
enum { T = -1, O = -2 };

enum { ASH_CASE_SPANS = 16 };

/*
 * How to fill and read an input whose memory is not in rows of its type: a paged cache. Values are
 * (pages, heads, positions, head size). `input` is the input's number.
 */
struct ash_case_layout {
    void (*encode)(const float *values, int input, struct ash_tensor *out);
    void (*decode)(const struct ash_tensor *tensor, int input, float *values);
};

struct ash_case {
    const char *name;                          /* NULL ends a table */
    int64_t dim[ASH_MAX_INPUTS][ASH_MAX_RANK]; /* shapes; {0} = left out. in[0]'s first dimension
                                                   counts tokens where the operator takes no batch */
    enum ash_type types[ASH_MAX_INPUTS];       /* F32 where nothing is said */
    const void *params;
    struct {
        int32_t cached, tokens;
    } batch[ASH_CASE_SPANS];              /* ends with no tokens */
    bool all_outputs;                     /* logits of all tokens; else of each span's last */
    int32_t shared_pages;                 /* first pages that all spans have in common */
    const struct ash_case_layout *layout; /* of the inputs of rank 4 */
    unsigned positive;                    /* bit i: in[i] holds numbers from 1 to 100 */
    enum ash_status expect;               /* what infer() shall say */
    bool reference_only;                  /* no kernel accepts this; else each family's must */
    uint64_t needs;                       /* only kernels that need this (ASH_CPU_*) accept it */
    bool bench;                           /* timed; checked on plain random inputs only, and not
                                             at all beyond 10^8 operations */
};

/* Every operator of the build has a table, named by ASH_OP in tests/kernels/main.c. */
struct ash_op_cases {
    const struct ash_op *op;
    const struct ash_case *cases;
};

/* Runs all cases; prints what fails to `report`. Returns the number of failures. */
int ash_check_op(const struct ash_op *op, const struct ash_case *cases, FILE *report);

/*
 * Times the cases marked .bench whose "op/name" contains `filter` (NULL = all), on one thread, data as
 * warm as the caches keep it: nanoseconds a call (min, median, max), GB/s and GOP/s of op->cost() at
 * the median, one line for each kernel.
 */
void ash_bench_op(
    const struct ash_op *op, const struct ash_case *cases, const char *filter, FILE *report);
