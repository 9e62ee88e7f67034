/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matmul with AMX in BF16, for prompts: sums over all of K stay in the tile registers, so that nothing
 * has to be done for each block of a sum. x is the first operand, as it lies in memory; a panel of weights
 * is expanded once for a slice of tokens, and the second.
 */
#include "kernels/amx.h"
#include "kernels/matmul/matmul_bf16.h"

enum {
    TILE = 16,          /* tokens */
    PANEL_GROUPS = 2,   /* of rows, expanded at a time */
    PANEL_BLOCKS = 48,  /* of K, at most: 96 KiB */
    SLICE_TOKENS = 512, /* that share a panel, at most: their sums take 64 KiB */
    LEAST_SLICE = 128,
    SLICE_BYTES = 1 << 20, /* of x, so that it stays in the second-level cache */
};

/* What all groups of a call share. */
struct job {
    const uint8_t *weight;
    const char *x;
    int64_t tokens, blocks, row_bytes, group_bytes;
    int64_t tile; /* tokens of one */
    struct ash_matmul_epilogue to;
};

/* A panel of `groups` groups from `row` on by blocks [first, first + count), and where its sums go. */
struct panel {
    uint32_t weight[PANEL_GROUPS][PANEL_BLOCKS][BLOCK_WORDS];
    float sums[SLICE_TOKENS][PANEL_GROUPS * GROUP];
    int64_t row, first, count;
};

/* Tiles: 0 to 3 are sums, 4 and 5 of x, 6 and 7 of weights. */
static void configure(int64_t tile)
{
    struct ash_amx_config config = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)(i < 6 ? tile : TILE);
        config.row_bytes[i] = 64;
    }
    ASH_AMX_CONFIGURE(config);
}

/* Writes one token's columns from `row` on, or as many of the 16 as there are, with the addend. */
ASH_INLINE void finish(const struct ash_matmul_epilogue *to, int64_t token, int64_t row, __m512 sum)
{
    int64_t left = to->columns - row;
    __mmask16 some = (__mmask16)(left < GROUP ? (1U << left) - 1 : 0xffff);
    if (to->addend)
        sum = _mm512_add_ps(
            sum, _mm512_maskz_loadu_ps(some, to->addend + token * to->addend_stride + row));
    _mm512_mask_storeu_ps(to->out + token * to->columns + row, some, sum);
}

#define START(tile, from)                                                                          \
    do {                                                                                           \
        if (begin)                                                                                 \
            ASH_AMX_ZERO(tile);                                                                    \
        else                                                                                       \
            ASH_AMX_LOAD(tile, from, stride);                                                      \
    } while (0)

/* `tiles` of tokens, where x begins for each, by `groups` of rows; sums[token][row], `stride` bytes apart. */
ASH_INLINE void multiply(const int tiles, const int groups, const struct job *job, const char *x[2],
    uint32_t weight[PANEL_GROUPS][PANEL_BLOCKS][BLOCK_WORDS], int64_t count, bool begin,
    float *sums[2], int64_t stride)
{
    START(0, sums[0]);
    if (groups > 1)
        START(1, sums[0] + GROUP);
    if (tiles > 1)
        START(2, sums[1]);
    if (tiles > 1 && groups > 1)
        START(3, sums[1] + GROUP);
    for (int64_t b = 0; b < count; b++) {
        ASH_AMX_LOAD(6, weight[0][b], 64);
        ASH_AMX_LOAD(4, x[0] + b * 2 * BLOCK, job->row_bytes);
        ASH_AMX_DOT_BF16(0, 4, 6);
        if (groups > 1) {
            ASH_AMX_LOAD(7, weight[1][b], 64);
            ASH_AMX_DOT_BF16(1, 4, 7);
        }
        if (tiles > 1) {
            ASH_AMX_LOAD(5, x[1] + b * 2 * BLOCK, job->row_bytes);
            ASH_AMX_DOT_BF16(2, 5, 6);
        }
        if (tiles > 1 && groups > 1)
            ASH_AMX_DOT_BF16(3, 5, 7);
    }
    ASH_AMX_STORE(0, sums[0], stride);
    if (groups > 1)
        ASH_AMX_STORE(1, sums[0] + GROUP, stride);
    if (tiles > 1)
        ASH_AMX_STORE(2, sums[1], stride);
    if (tiles > 1 && groups > 1)
        ASH_AMX_STORE(3, sums[1] + GROUP, stride);
}

/* Where the tile of token `token` begins: the last one takes some tokens of the one before again. */
ASH_INLINE int64_t tile_start(const struct job *job, int64_t token)
{
    return token + job->tile <= job->tokens ? token : job->tokens - job->tile;
}

/* Up to two tiles from `token` on by a panel. Sums that need nothing more go where they belong. */
ASH_INLINE void run_tiles(const int tiles, const int groups, const struct job *job,
    struct panel *panel, int64_t token, int64_t slice, int64_t last)
{
    const struct ash_matmul_epilogue *to = &job->to;
    const bool begin = panel->first == 0, end = panel->first + panel->count == job->blocks;
    const bool direct = begin && end && !to->addend && panel->row + groups * GROUP <= to->columns;
    const int64_t start[2] = { tile_start(job, token), tile_start(job, token + TILE) };
    const char *x[2];
    float *sums[2];
    for (int i = 0; i < tiles; i++) {
        x[i] = job->x + start[i] * job->row_bytes + panel->first * 2 * BLOCK;
        sums[i] = direct ? to->out + start[i] * to->columns + panel->row
                         : panel->sums[token - slice + i * TILE];
    }
    multiply(tiles, groups, job, x, panel->weight, panel->count, begin, sums,
        direct ? to->columns * 4 : (int64_t)sizeof panel->sums[0]);
    for (int64_t t = token; end && !direct && t < last; t++) {
        int64_t i = (t - token) / TILE;
        const float *sum = sums[i] + (t - start[i]) * PANEL_GROUPS * GROUP;
        for (int g = 0; g < groups; g++)
            finish(to, t, panel->row + g * GROUP, _mm512_loadu_ps(sum + g * GROUP));
    }
}

/* Tokens [slice, last) by a panel. */
ASH_INLINE void run_tokens(
    const int groups, const struct job *job, struct panel *panel, int64_t slice, int64_t last)
{
    for (int64_t t = slice; t < last; t += 2 * TILE)
        if (last - t > TILE)
            run_tiles(2, groups, job, panel, t, slice, last - t > 2 * TILE ? t + 2 * TILE : last);
        else
            run_tiles(1, groups, job, panel, t, slice, last);
}

/* All of K, in parts of the same size. */
ASH_INLINE void run_groups(const enum ash_type type, const int groups, const struct job *job,
    struct panel *panel, int64_t slice, int64_t last)
{
    int64_t parts = (job->blocks + PANEL_BLOCKS - 1) / PANEL_BLOCKS;
    int64_t part = (job->blocks + parts - 1) / parts;
    for (panel->first = 0; panel->first < job->blocks; panel->first += part) {
        int64_t left = job->blocks - panel->first;
        panel->count = left < part ? left : part;
        for (int g = 0; g < groups; g++) {
            const uint8_t *group = job->weight + (panel->row / GROUP + g) * job->group_bytes;
            for (int64_t b = 0; b < panel->count; b++)
                expand(type, group, job->blocks, panel->first + b, panel->weight[g][b]);
        }
        run_tokens(groups, job, panel, slice, last);
    }
}

ASH_INLINE void run_rows(
    const enum ash_type type, const struct job *job, int64_t first_row, int64_t last_row)
{
    struct panel panel;
    int64_t most = SLICE_BYTES / job->row_bytes / (2 * TILE) * (2 * TILE);
    most = most > SLICE_TOKENS ? SLICE_TOKENS : most < LEAST_SLICE ? LEAST_SLICE : most;
    for (int64_t slice = 0; slice < job->tokens; slice += most) {
        int64_t last = job->tokens - slice < most ? job->tokens : slice + most;
        panel.row = first_row;
        for (; last_row - panel.row > GROUP; panel.row += PANEL_GROUPS * GROUP)
            run_groups(type, PANEL_GROUPS, job, &panel, slice, last);
        if (panel.row < last_row)
            run_groups(type, 1, job, &panel, slice, last);
    }
}

void ash_matmul_amxbf16(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_tensor *x = &args->in[0];
    const enum ash_type type = args->in[1].type;
    const struct job job = {
        .weight = args->in[1].data,
        .x = x->data,
        .tokens = x->dim[0],
        .blocks = x->dim[1] / BLOCK,
        .row_bytes = x->dim[1] * 2,
        .group_bytes = ash_matmul_group_bytes(type, x->dim[1]),
        .tile = x->dim[0] < TILE ? x->dim[0] : TILE,
        .to = ash_matmul_epilogue(args),
    };
    configure(job.tile);
    switch (type) {
    case ASH_Q8_0:
        run_rows(ASH_Q8_0, &job, first_row, last_row);
        break;
    case ASH_Q4_0:
        run_rows(ASH_Q4_0, &job, first_row, last_row);
        break;
    case ASH_Q4_1:
        run_rows(ASH_Q4_1, &job, first_row, last_row);
        break;
    default: /* accepts() lets nothing else pass but BF16 */
        run_rows(ASH_BF16, &job, first_row, last_row);
    }
    ASH_AMX_RELEASE();
}
