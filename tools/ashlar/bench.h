/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/convert/convert.h"
#include "kernels/glu/glu.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "kernels/rope/rope.h"
#include "kernels/topk/topk.h"
#include "runtime/bandwidth.h"
#include "tools/ashlar/cli.h"
#include "tools/ashlar/table.h"

/*
 * What the two halves of `ashlar bench` share: bench_model.c runs a model, bench_ops.c single operators.
 * Figures are of several repeats, with how much of the processors others used meanwhile: on a machine
 * that others share, the smallest time says most, and a noisy median says nothing.
 */

enum { BENCH_MOST_REPEATS = 1000, BENCH_MOST_LIST = 16 };

struct bench_options {
    const char *prompt, *gen, *depth, *prompts, *sequences; /* lists, as written */
    int64_t repeats;
    bool no_warm_up, no_roof, ops, json;
};

/* ---- bench_measure.c ---- */

struct bench_summary {
    double min, median, max;
};

/* Of `count` >= 1 samples, which are sorted on the way. */
struct bench_summary bench_summarise(double *sample, int64_t count);

/* CPU time since some point, in seconds, over the processors this process may use. */
struct bench_cpu {
    double wall_s;
    double busy_s; /* of everybody, and what a hypervisor gave to other machines */
    double own_s;  /* of this process */
    int cpus;
};

/* Reads the counters. Where the system has none, busy_s stays NAN and so does what is made of it. */
void bench_cpu_read(struct bench_cpu *out);

/*
 * What others used between two readings, in percent of the processors' time. The counters tick in
 * hundredths of a second: short of a few tenths of a second this is NAN.
 */
double bench_foreign_percent(const struct bench_cpu *from, const struct bench_cpu *to);

/* The roof with as many threads as the settings say; all zero where it is not wanted. */
enum ash_status bench_roof(const struct ash_cli *cli, struct ash_bandwidth *out);

/* "  roof: 21.4 GB/s read, ..." and how noisy it was, below a table; the same as members of *object. */
void bench_print_conditions(const struct ash_bandwidth *roof, double foreign_percent, FILE *out);
int bench_json_conditions(json_t *object, const struct ash_bandwidth *roof, double foreign_percent);

/*
 * The peak of the unit that a kernel computes with: the tile unit's, where the kernel needs one
 * (`needs`, ASH_CPU_*); else that of int8 products for A8, and of floats. NAN where it is not measured.
 */
double bench_peak_gops(const struct ash_bandwidth *roof, uint64_t needs, enum ash_type activation,
    const char **unit_out);

/* 100 part / whole; NAN where the whole is not known (0). */
double bench_percent(double part, double whole);

/*
 * Bytes of a call that must come from memory: `cost` without what the operator before left in caches,
 * which is every input of a run-time extent. `args` are bound to the batch.
 */
double bench_memory_bytes(const struct ash_args *args, const struct ash_cost *cost);

/* Says on a terminal what is being measured, in place of what was said before; NULL wipes it. */
void bench_say(const struct ash_cli *cli, const char *what);

/* ---- bench_points.c ---- */

/* One measurement of a model: prompts of `tokens` each, or as many steps of decoding. */
struct bench_point {
    bool decode;
    int32_t tokens, depth, sequences;
};

struct bench_points {
    struct bench_point point[2 * BENCH_MOST_LIST * BENCH_MOST_LIST * BENCH_MOST_LIST];
    int32_t count;
    int32_t positions, sequences; /* the most that any of them needs */
};

/* Every combination of the lists. ASH_ERR_ARGUMENT: not such lists, or nothing to measure. */
enum ash_status bench_points_read(const struct bench_options *options, struct bench_points *out);

/*
 * Before anything is loaded: a context that is too short (ASH_ERR_LIMIT), or weights and caches that
 * do not fit (ASH_ERR_NO_MEMORY), is a message that says which numbers to change, not a machine that
 * begins to swap. Sets config->context to what is needed.
 */
enum ash_status bench_points_check(const struct bench_points *points, struct ash_config *config);

/* ---- bench_shapes.c ---- */

/* A model's sizes, by the letters of models/README.md. */
struct bench_shape {
    const char *name;
    int64_t vocabulary, channels, feed_forward, heads, kv_heads, head_size;
};
extern const struct bench_shape bench_shapes[]; /* ended by a NULL name */

/* What a model does: `spans` sequences, each with `tokens` after `cached` positions. */
struct bench_phase {
    const char *name;
    int32_t spans, cached, tokens;
    bool deep; /* only for rows that look back: attention */
};
extern const struct bench_phase bench_phases[]; /* ended by a NULL name */

/* Dimensions of a row's inputs: these letters, or a number. */
enum {
    BENCH_T = -1,  /* tokens of the batch */
    BENCH_O = -2,  /* rows of logits: one a span */
    BENCH_V = -3,  /* vocabulary */
    BENCH_C = -4,  /* channels */
    BENCH_F = -5,  /* feed forward */
    BENCH_Q = -6,  /* heads times head size */
    BENCH_K = -7,  /* KV heads times head size */
    BENCH_H = -8,  /* KV heads */
    BENCH_D = -9,  /* head size */
    BENCH_P = -10, /* pages that the spans hold */
    BENCH_S = -11, /* floats of attention's scratch */
};

union bench_params {
    struct ash_attention_params attention;
    struct ash_convert_params convert;
    struct ash_glu_params glu;
    struct ash_kv_write_params kv_write;
    struct ash_rmsnorm_params rmsnorm;
    struct ash_rope_params rope;
    struct ash_topk_params topk;
};

/* An operator where a model of the Llama family uses it. */
struct bench_row {
    const struct ash_op *op; /* NULL ends the table */
    const char *name;        /* as models/llama.c calls the node */
    int dim[ASH_MAX_INPUTS][ASH_MAX_RANK];
    unsigned typed;             /* bit i: in[i] takes each of `types` in turn; the rest are F32 */
    const enum ash_type *types; /* ended by ASH_F32; NULL = nothing is typed */
    void (*params)(const struct bench_shape *shape, union bench_params *out); /* NULL = none */
};
extern const struct bench_row bench_rows[];

/* ---- The halves ---- */

enum ash_status bench_model(struct ash_cli *cli);
enum ash_status bench_ops(struct ash_cli *cli, const char *filter); /* NULL = all */
