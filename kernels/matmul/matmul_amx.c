/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integer matmul with AMX: a tile of 16 tokens by 16 rows, one block of 32 elements at a time, as
 * every block has scales of its own. The tile unit gives the integer sums; vectors scale and add them
 * up by the operations and in the order of matmul_tile.inc, so the bits are the same. Few tokens
 * go to the VNNI kernel: a tile costs the same for 1 token as for 16, and unpacking as for 64.
 */
#include "kernels/amx.h"
#include "kernels/matmul/matmul_zmm.inc"

#include <string.h>

/* Sizes of what a call keeps on its stack: 54 KiB in all. */
enum {
    GROUP = ASH_MATMUL_GROUP,
    TILE_TOKENS = 16,
    MANY_TOKENS = 48,  /* from here on unpacked weights are used often enough to beat VNNI */
    LEAST_TOKENS = 12, /* and a last tile, from here on; both measured */
    PANEL_BLOCKS = 32, /* blocks of a group unpacked at once: 16 KiB */
    SLICE_TOKENS = 64, /* tokens that share an unpacked panel, and 16 KiB of factors */
    GROUPS = 4,        /* groups that share those factors; sums of all of them: 16 KiB */
    AHEAD = 3,         /* blocks that the tile unit works ahead of the vectors */
    RING = AHEAD + 1,
};

/* Tile registers: sums, activations, weights; and the first two again for the last, shorter tile. */
#define SUMS        0
#define TOKENS      1
#define WEIGHTS     2
#define SUMS_REST   3
#define TOKENS_REST 4

static void configure(int64_t rest)
{
    struct ash_amx_config config = { .palette = 1 };
    config.row_bytes[SUMS] = config.row_bytes[SUMS_REST] = config.row_bytes[WEIGHTS] = 64;
    config.row_bytes[TOKENS] = config.row_bytes[TOKENS_REST] = ASH_A8_BLOCK;
    config.rows[SUMS] = config.rows[TOKENS] = TILE_TOKENS;
    config.rows[SUMS_REST] = config.rows[TOKENS_REST] = (uint8_t)(rest > 0 ? rest : TILE_TOKENS);
    config.rows[WEIGHTS] = ASH_A8_BLOCK / 4;
    ASH_AMX_CONFIGURE(config);
}

/* A group's blocks, ready to multiply. */
struct weights {
    int8_t quants[PANEL_BLOCKS][8]
                 [64]; /* the layout of matmul_internal.h, but signed, one a byte */
    float scale[PANEL_BLOCKS][GROUP];
    float minimum[PANEL_BLOCKS][GROUP]; /* Q4_1 only */
} __attribute__((aligned(64)));

ASH_INLINE void unpack(const enum ash_type type, const uint8_t *group, int64_t blocks,
    int64_t first, int64_t count, struct weights *out)
{
    const int quant_bytes = type == ASH_Q8_0 ? 512 : 256, factor_bytes = type == ASH_Q4_1 ? 64 : 32;
    const uint8_t *quants = group + first * quant_bytes;
    const uint8_t *factors = group + blocks * quant_bytes + first * factor_bytes;
    const __m512i nibble = _mm512_set1_epi8(15), eight = _mm512_set1_epi8(8);
    for (int64_t b = 0; b < count; b++, quants += quant_bytes, factors += factor_bytes) {
        floats_store(out->scale[b], floats_from_halves(factors));
        if (type == ASH_Q4_1)
            floats_store(out->minimum[b], floats_from_halves(factors + 32));
        for (int i = 0; i < quant_bytes / 64; i++) {
            __m512i q = _mm512_load_si512(quants + 64 * i);
            if (type == ASH_Q8_0) {
                _mm512_store_si512(out->quants[b][i], _mm512_xor_si512(q, _mm512_set1_epi8(-128)));
                continue;
            }
            __m512i low = _mm512_and_si512(q, nibble);
            __m512i high = _mm512_and_si512(_mm512_srli_epi16(q, 4), nibble);
            bool centred = type == ASH_Q4_0;
            _mm512_store_si512(out->quants[b][i], centred ? _mm512_sub_epi8(low, eight) : low);
            _mm512_store_si512(
                out->quants[b][4 + i], centred ? _mm512_sub_epi8(high, eight) : high);
        }
    }
}

/* d_x and d_x * sum_x of a tile's tokens; zeros where there is no token. */
struct factors {
    float scale[TILE_TOKENS][PANEL_BLOCKS];
    float minimum[TILE_TOKENS][PANEL_BLOCKS]; /* Q4_1 only */
} __attribute__((aligned(64)));

ASH_INLINE void fill_factors(const enum ash_type type, const void *x, int64_t columns,
    int64_t token, int64_t tokens, int64_t first, int64_t count, struct factors *out)
{
    for (int64_t t = 0; t < TILE_TOKENS; t++) {
        struct ash_a8_view row = ash_a8_view(x, columns, token + (t < tokens ? t : 0));
        for (int64_t b = 0; b < count; b += LANES) {
            __mmask16 some = (__mmask16)(t >= tokens         ? 0
                                         : count - b < LANES ? (1U << (count - b)) - 1
                                                             : 0xffff);
            __m512 scale = _mm512_maskz_loadu_ps(some, row.scale + first + b);
            floats_store(&out->scale[t][b], scale);
            if (type == ASH_Q4_1) {
                __m512i sum = _mm512_maskz_loadu_epi32(some, row.sum + first + b);
                floats_store(&out->minimum[t][b], floats_mul(scale, floats_from(sum)));
            }
        }
    }
}

/* The integer sums of one block. `x` is the first token's block. */
ASH_INLINE void multiply(
    const bool rest, const int8_t *x, int64_t row_bytes, const int8_t *w, int32_t *sums)
{
    ASH_AMX_LOAD(WEIGHTS, w, 64);
    if (rest) {
        ASH_AMX_ZERO(SUMS_REST);
        ASH_AMX_LOAD(TOKENS_REST, x, row_bytes);
        ASH_AMX_DOT_I8(SUMS_REST, TOKENS_REST, WEIGHTS);
        ASH_AMX_STORE(SUMS_REST, sums, 64);
    } else {
        ASH_AMX_ZERO(SUMS);
        ASH_AMX_LOAD(TOKENS, x, row_bytes);
        ASH_AMX_DOT_I8(SUMS, TOKENS, WEIGHTS);
        ASH_AMX_STORE(SUMS, sums, 64);
    }
}

/* Scales the integer sums of a block and adds them up. */
ASH_INLINE void add_block(const enum ash_type type, const struct weights *w,
    const struct factors *factors, int64_t b, int32_t sums[TILE_TOKENS][GROUP],
    floats acc[TILE_TOKENS])
{
    floats d = floats_load(w->scale[b]);
    floats m = type == ASH_Q4_1 ? floats_load(w->minimum[b]) : floats_zero();
    ASH_UNROLL
    for (int t = 0; t < TILE_TOKENS; t++) {
        floats scale = floats_mul(d, floats_set(factors->scale[t][b]));
        acc[t] = floats_fma(scale, floats_from(_mm512_load_si512(sums[t])), acc[t]);
        if (type == ASH_Q4_1)
            acc[t] = floats_fma(m, floats_set(factors->minimum[t][b]), acc[t]);
    }
}

/* Adds `count` blocks to a tile's sums in `total`. */
ASH_INLINE void add_blocks(const enum ash_type type, const bool rest, const int8_t *x,
    int64_t row_bytes, const struct weights *w, const struct factors *factors, int64_t count,
    float total[TILE_TOKENS][GROUP])
{
    int32_t sums[RING][TILE_TOKENS][GROUP] __attribute__((aligned(64)));
    if (rest) /* rows without a token: not stored by the tile unit, scaled by zero */
        memset(sums, 0, sizeof sums);
    floats acc[TILE_TOKENS];
    ASH_UNROLL
    for (int t = 0; t < TILE_TOKENS; t++)
        acc[t] = floats_load(total[t]);
    for (int64_t b = 0; b < count + AHEAD; b++) {
        if (b < count)
            multiply(rest, x + b * ASH_A8_BLOCK, row_bytes, w->quants[b][0], sums[b % RING][0]);
        if (b >= AHEAD)
            add_block(type, w, factors, b - AHEAD, sums[(b - AHEAD) % RING], acc);
    }
    ASH_UNROLL
    for (int t = 0; t < TILE_TOKENS; t++)
        floats_store(total[t], acc[t]);
}

/* What all groups of a call share. */
struct job {
    const uint8_t *weight;
    const int8_t *x;
    int64_t columns, row_bytes, group_bytes;
    struct ash_matmul_epilogue to;
};

/* What stays in L1 and L2 while the groups and tokens of a panel pass by. */
struct work {
    float total[GROUPS][SLICE_TOKENS][GROUP];
    struct factors factors[SLICE_TOKENS / TILE_TOKENS];
    struct weights w;
};

/* Blocks [first, first + count) of one group by the tokens of a slice. */
ASH_INLINE void run_panel(const enum ash_type type, const struct job *job, const uint8_t *group,
    int64_t token, int64_t last, int64_t first, int64_t count, struct work *work,
    float total[SLICE_TOKENS][GROUP])
{
    unpack(type, group, job->columns / ASH_A8_BLOCK, first, count, &work->w);
    for (int64_t t = token; t < last; t += TILE_TOKENS) {
        const int8_t *x = job->x + t * job->row_bytes + first * ASH_A8_BLOCK;
        const struct factors *factors = &work->factors[(t - token) / TILE_TOKENS];
        if (last - t >= TILE_TOKENS)
            add_blocks(type, false, x, job->row_bytes, &work->w, factors, count, total + t - token);
        else
            add_blocks(type, true, x, job->row_bytes, &work->w, factors, count, total + t - token);
    }
}

/* Up to GROUPS groups from `row` on by the tokens of a slice. */
ASH_INLINE void run_groups(const enum ash_type type, const struct job *job, int64_t row,
    int64_t groups, int64_t token, int64_t last)
{
    struct work work;
    memset(work.total, 0, sizeof work.total[0] * (size_t)groups);
    int64_t blocks = job->columns / ASH_A8_BLOCK;
    for (int64_t first = 0; first < blocks; first += PANEL_BLOCKS) {
        int64_t count = blocks - first < PANEL_BLOCKS ? blocks - first : PANEL_BLOCKS;
        for (int64_t t = token; t < last; t += TILE_TOKENS)
            fill_factors(type, job->x, job->columns, t, last - t, first, count,
                &work.factors[(t - token) / TILE_TOKENS]);
        for (int64_t g = 0; g < groups; g++)
            run_panel(type, job, job->weight + (row / GROUP + g) * job->group_bytes, token, last,
                first, count, &work, work.total[g]);
    }
    for (int64_t t = token; t < last; t++)
        for (int64_t g = 0; g < groups; g++)
            finish(&job->to, t, row + g * GROUP, floats_load(work.total[g][t - token]));
}

/* Tokens [0, tokens) of rows [first_row, last_row). */
ASH_INLINE void run_type(const enum ash_type type, const struct ash_args *args, int64_t tokens,
    int64_t first_row, int64_t last_row)
{
    int64_t columns = args->in[0].dim[1];
    const struct job job = {
        .weight = args->in[1].data,
        .x = args->in[0].data,
        .columns = columns,
        .row_bytes = ash_a8_row_bytes(columns),
        .group_bytes = ash_matmul_group_bytes(type, columns),
        .to = ash_matmul_epilogue(args),
    };
    for (int64_t token = 0; token < tokens; token += SLICE_TOKENS) {
        int64_t last = tokens - token < SLICE_TOKENS ? tokens : token + SLICE_TOKENS;
        for (int64_t row = first_row; row < last_row; row += GROUPS * GROUP) {
            int64_t groups = (last_row - row + GROUP - 1) / GROUP;
            run_groups(type, &job, row, groups < GROUPS ? groups : GROUPS, token, last);
        }
    }
}

static void run_amx(
    const struct ash_args *args, int64_t tokens, int64_t first_row, int64_t last_row)
{
    configure(tokens % TILE_TOKENS);
    switch (args->in[1].type) {
    case ASH_Q8_0:
        run_type(ASH_Q8_0, args, tokens, first_row, last_row);
        break;
    case ASH_Q4_0:
        run_type(ASH_Q4_0, args, tokens, first_row, last_row);
        break;
    default: /* accepts() lets nothing else pass but Q4_1 */
        run_type(ASH_Q4_1, args, tokens, first_row, last_row);
    }
    ASH_AMX_RELEASE();
}

static void skip_rows(struct ash_tensor *tensor, int64_t rows)
{
    tensor->data = (char *)tensor->data + rows * (int64_t)ash_tensor_row_bytes(tensor);
    tensor->dim[0] -= rows;
}

void ash_matmul_amx(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    int64_t tokens = args->in[0].dim[0], rest = tokens % TILE_TOKENS;
    int64_t tiled = tokens < MANY_TOKENS ? 0 : rest < LEAST_TOKENS ? tokens - rest : tokens;
    if (tiled > 0)
        run_amx(args, tiled, first_row, last_row);
    if (tiled == tokens)
        return;
    struct ash_args others = *args;
    skip_rows(&others.in[0], tiled);
    skip_rows(&others.out, tiled);
    if (others.in[2].rank == 2)
        skip_rows(&others.in[2], tiled);
    ash_matmul_vnni(&others, first_row, last_row);
}
