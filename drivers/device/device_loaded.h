/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/device/device_op.h"
#include "runtime/driver.h"

enum { DEVICE_MOST_ENTRIES = 4 };

/* An operator made ready on a device that runs the portable kernels. It does not move. */
struct ash_device_loaded {
    struct ash_loaded base;
    const struct ash_device_op *op;
    struct ash_args args;              /* as load() was given them */
    struct ash_device_variant variant; /* its name is the program's, and never "" */
    char name[96];                     /* base.kernel */
    void *entry[DEVICE_MOST_ENTRIES];  /* the driver's, of op->entries; NULL = none */
    void *table;                       /* its packed input, where the step has none */
};

/* Fills *out with what needs no device; prompts take the matrix cores of that kind (0 = none), where there is a
 * kernel for them. ASH_ERR_UNSUPPORTED where no device runs `op` on these types; or
 * what its infer() says. */
enum ash_status ash_device_loaded_init(const struct ash_op *op, const struct ash_args *args,
    int matrix, struct ash_device_loaded *out);

/* Those kernels; NULL where no device has any for the operator. Of types and shapes it asks only whether matrix
 * cores take them. */
const struct ash_device_op *ash_device_op_of(
    const struct ash_op *op, const struct ash_args *args, int matrix);

/* Whether its packed input is left out, so that the driver has to make one: a table of params alone. */
bool ash_device_needs_table(const struct ash_device_loaded *loaded);

/* A weight on its way to a device, in runs of pieces that fit into a staging buffer. */
struct ash_device_sending {
    const struct ash_device_loaded *loaded;
    const struct ash_tensor *weight; /* NULL = a table of params alone */
    bool packs;
    size_t piece_bytes, total_bytes;
    int64_t pieces, run_pieces; /* in all, and of a run */
    int64_t first, last;        /* the run at hand: pieces [first, last) */
    size_t at_bytes;            /* where that lies in the whole */
    size_t run_bytes;           /* and how much it is */
};

/* Plans to send input `input` in runs of `staging_bytes` or, where that is more, a piece. */
struct ash_device_sending ash_device_send(const struct ash_device_loaded *loaded, int input,
    const struct ash_tensor *weight, size_t staging_bytes);

/* Goes on to the next run, the first at first; false after the last. */
bool ash_device_send_next(struct ash_device_sending *sending);

/* Writes the run at hand, packed as the kernel wants it, to `out` of run_bytes. */
void ash_device_send_fill(const struct ash_device_sending *sending, void *out);
