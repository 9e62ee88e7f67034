/* SPDX-License-Identifier: Apache-2.0 */
/* The matmul and what reads its weights: kernels/device_layout.h has the packed layout. */
#include "drivers/device/device_op.h"
#include "kernels/device_source.h"
#include "kernels/embedding/embedding.h"
#include "kernels/matmul/matmul.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { FEW_TOKENS = 16 }; /* up to here a weight is read once for every four of them */

static bool is_weight(enum ash_type type)
{
    return type == ASH_F32 || type == ASH_F16 || type == ASH_BF16 || type == ASH_Q8_0 ||
           type == ASH_Q4_0 || type == ASH_Q4_1;
}

static void name_variant(
    const char *op, const struct ash_tensor *weight, struct ash_device_variant *out)
{
    snprintf(out->name, sizeof out->name, "%s-%s", op, ash_type_info(weight->type)->name);
    for (char *letter = out->name; *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    snprintf(out->options, sizeof out->options, "-DWEIGHT=%d", (int)weight->type);
}

/* ---- Packing ---- */

static int64_t count_groups(const struct ash_args *args)
{
    return (ash_tensor_rows(&args->in[1]) + WEIGHT_GROUP - 1) / WEIGHT_GROUP;
}

static size_t group_bytes(const struct ash_args *args)
{
    const struct ash_tensor *weight = &args->in[1];
    return (size_t)WEIGHT_GROUP_BYTES((int)weight->type, ash_tensor_columns(weight));
}

/* One row of a plain type: runs of 16 bytes, the last one filled up with zeros. */
static void pack_plain(
    const struct ash_tensor *weight, const unsigned char *from, int row, unsigned char *group)
{
    int64_t bytes = (int64_t)ash_tensor_row_bytes(weight);
    for (int64_t at = 0; at < bytes; at += 16) {
        size_t length = bytes - at < 16 ? (size_t)(bytes - at) : 16;
        memcpy(group + at / 16 * WEIGHT_SLAB_BYTES + row * 16, from + at, length);
    }
}

/* The 16 bytes of a file's Q4 block hold elements i and i + 16; here a byte holds 2 i and 2 i + 1. */
static void pack_nibbles(const unsigned char *from, unsigned char *to)
{
    for (int i = 0; i < 8; i++) {
        to[i] = (unsigned char)((from[2 * i] & 15) | (from[2 * i + 1] & 15) << 4);
        to[8 + i] = (unsigned char)(from[2 * i] >> 4 | (from[2 * i + 1] >> 4) << 4);
    }
}

static void pack_blocks(
    const struct ash_tensor *weight, const unsigned char *from, int row, unsigned char *group)
{
    const struct ash_type_info *info = ash_type_info(weight->type);
    int64_t steps = ash_tensor_columns(weight) / WEIGHT_STEP;
    int slabs = WEIGHT_SLABS((int)weight->type), header = weight->type == ASH_Q4_1 ? 4 : 2;
    unsigned char *factors = group + steps * slabs * WEIGHT_SLAB_BYTES;
    for (int64_t step = 0; step < steps; step++, from += info->block_bytes) {
        unsigned char *to = group + step * slabs * WEIGHT_SLAB_BYTES + row * 16;
        if (weight->type == ASH_Q8_0) {
            memcpy(to, from + header, 16);
            memcpy(to + WEIGHT_SLAB_BYTES, from + header + 16, 16);
        } else {
            pack_nibbles(from + header, to);
        }
        for (int factor = 0; factor < header / 2; factor++)
            memcpy(
                factors + ((factor * steps + step) * WEIGHT_GROUP + row) * 2, from + 2 * factor, 2);
    }
}

static void pack_matmul(const struct ash_args *args, const struct ash_tensor *weight, int64_t first,
    int64_t last, void *out)
{
    size_t bytes = group_bytes(args), row_bytes = ash_tensor_row_bytes(weight);
    int64_t rows = ash_tensor_rows(weight);
    memset(out, 0, (size_t)(last - first) * bytes);
    for (int64_t r = first * WEIGHT_GROUP; r < last * WEIGHT_GROUP && r < rows; r++) {
        const unsigned char *from = (const unsigned char *)weight->data + (size_t)r * row_bytes;
        unsigned char *group = (unsigned char *)out + (size_t)(r / WEIGHT_GROUP - first) * bytes;
        if (ash_type_info(weight->type)->block_elements > 1)
            pack_blocks(weight, from, (int)(r % WEIGHT_GROUP), group);
        else
            pack_plain(weight, from, (int)(r % WEIGHT_GROUP), group);
    }
}

/* ---- Matmul ---- */

static bool accepts_matmul(const struct ash_args *args)
{
    return ash_device_is_plain(&args->in[0]) && is_weight(args->in[1].type) &&
           (args->in[2].rank == 0 || ash_device_is_plain(&args->in[2])) &&
           ash_device_is_plain(&args->out) && ash_device_fits(args);
}

static void choose_matmul(const struct ash_args *args, struct ash_device_variant *out)
{
    name_variant("matmul", &args->in[1], out);
}

static int64_t divided(int64_t count, int64_t by)
{
    return (count + by - 1) / by;
}

enum { MATMUL_1, MATMUL_4, MATMUL_MANY };
static const char *const matmul_entries[] = { "matmul_1", "matmul_4", "matmul_tile", NULL };

static void bind_matmul(const struct ash_args *args, struct ash_device_call *out)
{
    int64_t tokens = args->out.dim[0], rows = args->out.dim[1];
    *out = (struct ash_device_call){ .args = { .rows = (int)rows,
                                         .columns = (int)args->in[0].dim[1],
                                         .has_addend = args->in[2].rank > 0,
                                         .stride = args->in[2].rank > 1 ? (int)rows : 0 } };
    if (tokens == 1) {
        out->entry = MATMUL_1;
        out->groups = divided(rows, WEIGHT_GROUP);
    } else if (tokens <= FEW_TOKENS) {
        out->entry = MATMUL_4;
        out->groups = divided(rows, WEIGHT_GROUP) * divided(tokens, 4);
    } else {
        out->entry = MATMUL_MANY;
        out->groups = divided(rows, MATMUL_TILE) * divided(tokens, MATMUL_TILE);
    }
    out->args.tokens = (int)tokens; /* rows of x, which may be of extent OUTPUTS */
}

/* Rows of the weight and tokens as whole tiles have them. */
static void fill_tiles(struct ash_args *args, int64_t tile)
{
    int64_t tokens = divided(args->out.dim[0], tile) * tile;
    int64_t rows = divided(args->out.dim[1], tile) * tile;
    args->in[0].dim[0] = args->out.dim[0] = tokens;
    args->in[1].dim[0] = args->out.dim[1] = rows;
}

/* Where they are few, those that a group lacks are passed over. */
static const char *round_up_matmul(struct ash_args *args)
{
    struct ash_device_call call;
    bind_matmul(args, &call);
    if (call.entry == MATMUL_MANY)
        fill_tiles(args, MATMUL_TILE);
    return matmul_entries[call.entry];
}

/* Marks memory in the matmul's layout; devices have kernels of their own to read it. */
static const struct ash_kernel layout = { .name = "device" };

const struct ash_device_op ash_device_matmul = {
    .op = &ash_op_matmul,
    .source = ash_source_matmul,
    .entries = matmul_entries,
    .accepts = accepts_matmul,
    .choose = choose_matmul,
    .packed_input = 1,
    .pieces = count_groups,
    .piece_bytes = group_bytes,
    .pack = pack_matmul,
    .layout = &layout,
    .bind = bind_matmul,
    .round_up = round_up_matmul,
};

/* ---- Matmul by matrix cores ---- */

enum { WIDE_GROUPS = 96 }; /* of the larger tile, so many that a card's compute units have work */

/* F32 stays F32: whoever keeps weights in that wants it. */
static bool accepts_matrix(const struct ash_args *args)
{
    return accepts_matmul(args) && args->in[1].type != ASH_F32 &&
           args->in[0].dim[1] % WEIGHT_STEP == 0;
}

static void bind_matrix(const struct ash_args *args, struct ash_device_call *out)
{
    int64_t tokens = args->out.dim[0], rows = args->out.dim[1];
    int64_t wide = divided(rows, MATMUL_WIDE_TILE) * divided(tokens, MATMUL_WIDE_TILE);
    bind_matmul(args, out);
    out->entry = tokens > MATMUL_TILE && wide >= WIDE_GROUPS;
    out->groups = out->entry ? wide : divided(rows, MATMUL_TILE) * divided(tokens, MATMUL_TILE);
}

static const char *const matrix_entries[] = { "matmul_matrix", "matmul_matrix_wide", NULL };

static const char *round_up_matrix(struct ash_args *args)
{
    struct ash_device_call call;
    bind_matrix(args, &call);
    fill_tiles(args, call.entry ? MATMUL_WIDE_TILE : MATMUL_TILE);
    return matrix_entries[call.entry];
}

/* As `layout`, and how far its results are from the reference's: as those of the processor's kernel that
 * rounds likewise. */
static const struct ash_kernel matrix_layout = {
    .name = "device matrix", .tolerance = 0.3, .rounds_to = ASH_BF16
};

static const char *const matrix_names[] = {
    [MATRIX_MFMA] = "mfma", [MATRIX_WMMA] = "wmma", [MATRIX_WMMA12] = "wmma12", [MATRIX_MMA] = "mma"
};
enum { MATRIX_KINDS = sizeof matrix_names / sizeof *matrix_names };

const char *ash_device_matrix_name(int kind)
{
    return kind > 0 && kind < MATRIX_KINDS ? matrix_names[kind] : NULL;
}

int ash_device_matrix_find(const char *name)
{
    int kind = MATRIX_KINDS - 1;
    while (kind > 0 && strcmp(matrix_names[kind], name) != 0)
        kind--;
    return kind;
}

void ash_device_matrix_choose(const struct ash_args *args, int kind, struct ash_device_variant *out)
{
    char name[32];
    snprintf(name, sizeof name, "matmul-%s", matrix_names[kind]);
    name_variant(name, &args->in[1], out);
    size_t used = strlen(out->options);
    snprintf(out->options + used, sizeof out->options - used, " -DMATRIX=%d", kind);
}

const struct ash_device_op ash_device_matrix = {
    .op = &ash_op_matmul,
    .source = ash_source_matmul_matrix,
    .entries = matrix_entries,
    .accepts = accepts_matrix,
    .packed_input = 1,
    .pieces = count_groups,
    .piece_bytes = group_bytes,
    .pack = pack_matmul,
    .layout = &matrix_layout,
    .bind = bind_matrix,
    .round_up = round_up_matrix,
};

/* ---- Embedding ---- */

static bool accepts_embedding(const struct ash_args *args)
{
    return is_weight(args->in[0].type) && ash_device_is_plain(&args->out) && ash_device_fits(args);
}

static void choose_embedding(const struct ash_args *args, struct ash_device_variant *out)
{
    name_variant("embedding", &args->in[0], out);
}

static void bind_embedding(const struct ash_args *args, struct ash_device_call *out)
{
    assert(!args->in[0].layout || args->in[0].layout == &layout ||
           args->in[0].layout == &matrix_layout);
    *out = (struct ash_device_call){ .groups = args->out.dim[0],
        .args = { .tokens = args->batch->tokens,
            .columns = (int)args->in[0].dim[1],
            .packed = args->in[0].layout != NULL } };
}

const struct ash_device_op ash_device_embedding = {
    .op = &ash_op_embedding,
    .source = ash_source_embedding,
    .entries = (const char *const[]){ "embedding", NULL },
    .accepts = accepts_embedding,
    .choose = choose_embedding,
    .reads_packed = true,
    .bind = bind_embedding,
};
