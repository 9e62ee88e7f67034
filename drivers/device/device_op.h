/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/device_layout.h"
#include "runtime/op.h"

/*
 * How an operator runs on devices: the host's side of kernels/<op>/<op>.cl, the same for every driver
 * that runs those (opencl, hip). A driver builds a program a variant, packs what the table says, and
 * for a step asks bind() which entry point to start with what.
 */

/* A build of an operator's source. */
struct ash_device_variant {
    char name[40];    /* "matmul-q4_1": of the program, and of its file in a kernel folder; "" = the
                         operator's */
    char options[40]; /* "-DWEIGHT=6"; "" = none */
    char layout[24];  /* tells apart what is packed by the operator's params; "" = by none */
};

/* One start of an entry point. */
struct ash_device_call {
    int entry;                   /* into entries[] */
    int64_t groups;              /* work-groups of DEVICE_GROUP items; 0 = nothing to do */
    int then_entry;              /* another one after it, with the same args */
    int64_t then_groups;         /* 0 = none */
    struct ash_device_args args; /* all but at[] and out_at */
};

struct ash_device_op {
    const struct ash_op *op;
    const unsigned char *source; /* the text of <op>.cl, with a 0 behind it */
    const char *const *entries;  /* at most DEVICE_MOST_ENTRIES; ends with NULL */

    /* Whether there is a variant for these types and shapes; infer() has let them pass. */
    bool (*accepts)(const struct ash_args *args);
    void (*choose)(const struct ash_args *args, struct ash_device_variant *out);

    /*
     * An input in a layout of its own (0 = none): pieces of the same size, written by pack() into
     * `out`, pieces [first, last) of it. Where that input is left out, the driver makes it all the
     * same, with a `weight` of NULL, and hands it to the kernel.
     */
    int packed_input;
    int64_t (*pieces)(const struct ash_args *args);
    size_t (*piece_bytes)(const struct ash_args *args);
    void (*pack)(const struct ash_args *args, const struct ash_tensor *weight, int64_t first,
        int64_t last, void *out);
    const struct ash_kernel *layout; /* others can read it row by row; NULL = they cannot */
    bool reads_packed;               /* in[0] may be in such a layout */

    void (*bind)(const struct ash_args *args, struct ash_device_call *out);

    /* Optional: as of struct ash_driver, which has it from here. */
    const char *(*round_up)(struct ash_args *args);
};

/* NULL if no device runs it. */
const struct ash_device_op *ash_device_op_find(const struct ash_op *op);

/*
 * Matrix cores, by MATRIX_* of kernels/device_layout.h: the word that programs for them have in their names
 * ("mfma"; NULL = there is no such kind), and which kind that is (0 = none).
 */
const char *ash_device_matrix_name(int kind);
int ash_device_matrix_find(const char *name);

/* The matmul on such cores, which rounds to BF16: for prompts. It has the other one's layout of weights, and in
 * place of its own choose() one that is told the kind. */
extern const struct ash_device_op ash_device_matrix;
void ash_device_matrix_choose(
    const struct ash_args *args, int kind, struct ash_device_variant *out);

/* What every source begins with, in this order; ends with NULL. */
extern const unsigned char *const ash_device_prelude[];

/* Fills `out` with a batch as kernels/device.h lays it out. *count = how many numbers that takes; where
 * it is more than `capacity`, nothing is written. */
void ash_device_batch(const struct ash_batch *batch, int32_t *out, size_t capacity, size_t *count);

/* The rows of the table; matmul.c and rope.c have the longer ones. */
extern const struct ash_device_op ash_device_matmul, ash_device_embedding, ash_device_rope,
    ash_device_kv_write, ash_device_attention;

/* For them: its elements are in F32; every dimension fits an int. */
bool ash_device_is_plain(const struct ash_tensor *tensor);
bool ash_device_fits(const struct ash_args *args);
