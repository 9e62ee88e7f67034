/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/batch.h"
#include "runtime/tensor.h"

#include <stdbool.h>

/*
 * An operator: declared once, as one `const struct ash_op ash_op_<name>` in kernels/<name>/<name>.c,
 * and thereby tested (tests/kernels/), timed (`ashlar bench --ops`) and known to the planner.
 *
 * An operator computes one output tensor from its inputs, or updates some of its inputs in place (a
 * cache), or both. Its rows are the unit of parallel work: any split of [0, rows) into ranges, in any
 * order and on any number of threads, gives the same bits. Every output element has one fixed order
 * of reduction, whatever the number of tokens in the batch.
 */

enum { ASH_MAX_INPUTS = 6 };

/*
 * The arguments of one call. While planning, shapes are the largest and data is NULL; at run time
 * dim[0] of tensors with a run-time extent is the number at hand.
 */
struct ash_args {
    struct ash_tensor in[ASH_MAX_INPUTS]; /* rank 0 = optional input left out */
    struct ash_tensor out;                /* rank 0 = nothing but in-place updates */
    const void *params;                   /* struct ash_<op>_params of the operator, or NULL */
    const struct ash_batch *batch;        /* NULL while planning and for operators that need none */
    bool prompts; /* while planning: wanted for batches of prompts, else for token after token */
};

/* The work of one call, for the planner's cost model and the benchmark's roofline. */
struct ash_cost {
    double flops; /* multiply-add = 2; the arithmetic the formula needs, not what a kernel does */
    double bytes_read; /* each input byte once; caches: what the batch makes it read */
    double bytes_written;
};

/*
 * A CPU kernel: a pure function of its arguments. No allocation, no globals, no system call, at most
 * 256 KiB of stack. Vector tails are read and written within the tensor's bounds.
 */
struct ash_kernel {
    const char *name; /* "avx512_vnni": what it needs, in the file name's words */
    uint64_t needs;   /* ASH_CPU_* bits of runtime/cpu.h */

    /* ASH_A8 or ASH_BF16 where it reads in[0] in that type: the planner converts F32 to it (an
     * operator upstream that can write it does, else a `convert` step). ASH_F32: reads in[0] as
     * accepts() finds it. */
    enum ash_type activation;

    /* Whether it can run these types and shapes, in[0] being of `activation`, and write `out` in the
     * type it has there (the planner tries A8 or BF16 where every reader wants that). NULL = all that infer()
     * lets pass with F32 throughout. */
    bool (*accepts)(const struct ash_args *args);

    /* As ash_op.tolerance, where it is coarser than the operator's; 0 = the operator's. Kernels without
     * one of their own give the same bits as each other wherever that is promised. */
    double tolerance;
    /* It converts as it goes: there so that everything runs, not for its speed. */
    bool fallback;
    /* What it rounds in[0] to as it reads it, being F32; ASH_F32 = it does not. */
    enum ash_type rounds_to;

    /* Ranges given to run() begin at multiples of this and end at one or at the last row. >= 1. */
    int grain;

    void (*run)(const struct ash_args *args, int64_t first_row, int64_t last_row);

    /*
     * The layout of weights is the kernel's choice, made when a model loads. `packed_input` is the
     * input that is a weight to repack (never 0; 0 = none). pack() writes rows [first, last) of it,
     * split as `grain` says, into `out` of pack_bytes() bytes, 64-byte aligned. run() then sees the
     * tensor's type and shape with data in the packed layout.
     */
    int packed_input;
    size_t (*pack_bytes)(const struct ash_tensor *weight);
    void (*pack)(const struct ash_tensor *weight, int64_t first_row, int64_t last_row, void *out);

    /* Optional: gives back one row of a weight in the layout of pack(), exactly as ash_to_float() makes
     * it of the plain row; so that an embedding tied to the output matrix needs no second copy. */
    void (*unpack_row)(const struct ash_tensor *weight, int64_t row, float *out);
    /* It can read in[0], a weight, in any layout that has an unpack_row (ash_tensor.layout). */
    bool reads_packed;
};

/*
 * An operator that another can do on its way, as a matmul does the addition after it: `op` reads the
 * absorbing one's result as its input `result`, and has one more input, which becomes the absorbing
 * one's (optional) input `input`. The planner asks infer() whether the shapes allow it. The bits of
 * the result must not depend on whether it was done.
 */
struct ash_absorb {
    const struct ash_op *op; /* without params */
    int result;
    int input;
};

struct ash_op {
    const char *name;
    int inputs;       /* how many it takes at most */
    int optional;     /* how many of the last ones may be left out */
    unsigned updates; /* bit i: in[i] is written in place (a cache) */
    unsigned
        scratch; /* bit i: of those, one whose contents mean nothing between calls; it begins as
                            zeros, which a call may count on if it leaves them as it found them */
    unsigned in_place;   /* bit i: out may share memory with in[i] if that dies here */
    size_t params_bytes; /* sizeof its params struct; 0 = none */
    bool needs_batch;
    const struct ash_absorb *absorbs; /* ends with one whose op is NULL; NULL = none */

    /* Checks types, shapes and params; fills type, extent and shape of *out (rank 0 if it has none).
     * dim[0] of a run-time extent that no input tells may be left 1: the graph knows the largest.
     * Never reads data. ASH_ERR_SHAPE with a message naming input, expected and found. */
    enum ash_status (*infer)(const struct ash_args *args, struct ash_tensor *out);

    /* How many rows of work these arguments hold; may hang on the batch. NULL = the rows of out. */
    int64_t (*rows)(const struct ash_args *args);

    void (*cost)(const struct ash_args *args, struct ash_cost *out);

    /* The definition of correct: plain C, double accumulators, inputs in their unpacked layout.
     * Computes all rows; takes every type that infer() lets pass. */
    void (*reference)(const struct ash_args *args);

    /* |kernel - reference| <= tolerance * (1 + |reference|), for outputs in F32. */
    double tolerance;

    const struct ash_kernel *kernels; /* fastest first; ends with one whose run is NULL */
};

/* Rows of work of a call: op->rows or the rows of its output; none where there is nothing to write. */
static inline int64_t ash_op_rows(const struct ash_op *op, const struct ash_args *args)
{
    if (args->out.rank && args->out.dim[0] == 0)
        return 0;
    return op->rows ? op->rows(args) : ash_tensor_rows(&args->out);
}

/* Sets dim[0] of a tensor of a run-time extent to the batch's number. */
static inline void ash_tensor_bind(struct ash_tensor *tensor, const struct ash_batch *batch)
{
    if (tensor->extent == ASH_EXTENT_TOKENS)
        tensor->dim[0] = batch->tokens;
    else if (tensor->extent == ASH_EXTENT_OUTPUTS)
        tensor->dim[0] = batch->outputs;
}

/* Binds every tensor of a call, and sets args->batch. */
void ash_args_bind(struct ash_args *args, const struct ash_batch *batch);

/* Whether `kernel` runs on `features` (ASH_CPU_*) and accepts `args` once in[0] is of the kernel's own
 * activation type. */
bool ash_kernel_runs(
    const struct ash_kernel *kernel, const struct ash_args *args, uint64_t features);

/*
 * The first kernel of `op` that runs on `features` (ASH_CPU_*) and accepts `args` once in[0] is of
 * the kernel's own activation type; NULL if there is none (then only the reference can run it).
 */
const struct ash_kernel *ash_op_choose(
    const struct ash_op *op, const struct ash_args *args, uint64_t features);

/* Checks the number of inputs and params against the declaration, then calls infer(). */
enum ash_status ash_op_infer(
    const struct ash_op *op, const struct ash_args *args, struct ash_tensor *out);
