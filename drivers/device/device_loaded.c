/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_loaded.h"

#include <stdio.h>
#include <string.h>

/* What the planner reads. */
static void describe(struct ash_device_loaded *loaded)
{
    const struct ash_device_op *op = loaded->op;
    const struct ash_device_variant *variant = &loaded->variant;
    snprintf(loaded->name, sizeof loaded->name, "%s%s%s", variant->name,
        variant->layout[0] ? "-" : "", variant->layout);
    loaded->base = (struct ash_loaded){ .kernel = loaded->name,
        .activation = loaded->args.in[0].type,
        .reads_packed = op->reads_packed };
    if (!op->packed_input || loaded->args.in[op->packed_input].rank == 0)
        return;
    loaded->base.packed_input = op->packed_input;
    loaded->base.packed_bytes = (size_t)op->pieces(&loaded->args) * op->piece_bytes(&loaded->args);
    loaded->base.layout = op->layout;
}

const struct ash_device_op *ash_device_op_of(
    const struct ash_op *op, const struct ash_args *args, int matrix)
{
    const bool cores =
        args->prompts && matrix && op == ash_device_matrix.op && ash_device_matrix.accepts(args);
    return cores ? &ash_device_matrix : ash_device_op_find(op);
}

/* Fills out->op and out->variant; false if there is no kernel. */
static bool choose(const struct ash_op *op, int matrix, struct ash_device_loaded *out)
{
    const struct ash_args *args = &out->args;
    out->op = ash_device_op_of(op, args, matrix);
    if (!out->op || !out->op->accepts(args))
        return false;
    if (out->op == &ash_device_matrix)
        ash_device_matrix_choose(args, matrix, &out->variant);
    else
        out->op->choose(args, &out->variant);
    return true;
}

enum ash_status ash_device_loaded_init(
    const struct ash_op *op, const struct ash_args *args, int matrix, struct ash_device_loaded *out)
{
    struct ash_tensor result;
    ASH_TRY(ash_op_infer(op, args, &result));
    out->args = *args;
    if ((result.rank && result.type != args->out.type) || !choose(op, matrix, out))
        return ash_fail(
            ASH_ERR_UNSUPPORTED, "%s: there is no kernel for devices of these types", op->name);
    if (!out->variant.name[0])
        snprintf(out->variant.name, sizeof out->variant.name, "%s", op->name);
    describe(out);
    return ASH_OK;
}

bool ash_device_needs_table(const struct ash_device_loaded *loaded)
{
    return loaded->op->packed_input && !loaded->base.packed_input;
}

/* ---- Weights ---- */

enum { PLAIN_PIECE_BYTES = 1 << 16 };

struct ash_device_sending ash_device_send(const struct ash_device_loaded *loaded, int input,
    const struct ash_tensor *weight, size_t staging_bytes)
{
    struct ash_device_sending sending = {
        .loaded = loaded, .weight = weight, .packs = input > 0 && loaded->op->packed_input == input
    };
    if (sending.packs) {
        sending.pieces = loaded->op->pieces(&loaded->args);
        sending.piece_bytes = loaded->op->piece_bytes(&loaded->args);
        sending.total_bytes = (size_t)sending.pieces * sending.piece_bytes;
    } else {
        sending.total_bytes = ash_tensor_bytes(weight);
        sending.piece_bytes = PLAIN_PIECE_BYTES;
        sending.pieces =
            (int64_t)((sending.total_bytes + PLAIN_PIECE_BYTES - 1) / PLAIN_PIECE_BYTES);
    }
    sending.run_pieces = (int64_t)(staging_bytes / sending.piece_bytes);
    if (sending.run_pieces < 1)
        sending.run_pieces = 1;
    return sending;
}

bool ash_device_send_next(struct ash_device_sending *sending)
{
    int64_t left = sending->pieces - sending->last;
    sending->first = sending->last;
    sending->last += left < sending->run_pieces ? left : sending->run_pieces;
    sending->at_bytes = (size_t)sending->first * sending->piece_bytes;
    size_t end = (size_t)sending->last * sending->piece_bytes;
    sending->run_bytes =
        (end < sending->total_bytes ? end : sending->total_bytes) - sending->at_bytes;
    return left > 0;
}

void ash_device_send_fill(const struct ash_device_sending *sending, void *out)
{
    const struct ash_device_loaded *loaded = sending->loaded;
    if (sending->packs)
        loaded->op->pack(&loaded->args, sending->weight, sending->first, sending->last, out);
    else
        memcpy(out, (const char *)sending->weight->data + sending->at_bytes, sending->run_bytes);
}
