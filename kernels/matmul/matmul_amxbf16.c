/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matmul with AMX in BF16: sums over all of K stay in the tile registers, so that nothing has to be
 * done for each block of a sum. Weights are rounded to BF16 on their way into the first-level cache.
 *
 * One instruction adds 16 x 16 products of 32 elements. Few tokens: the weights are its first operand,
 * expanded block by block while the tile unit works on those before; tokens are the second, 16 of them
 * at the price of one. Many tokens: they are the first operand, as they lie in memory; a panel of weights
 * is expanded and transposed once for all of them. The instruction adds up in the same order for either,
 * so the bits are the same.
 */
#include "kernels/matmul/matmul_bf16.h"

#include <string.h>

/* Sizes of what a call keeps on its stack. */
enum {
    TILE = 16,          /* tokens */
    FEW_BLOCKS = 32,    /* of K, whose tokens are transposed at once: 32 KiB */
    FEW_GROUPS = 16,    /* that share them, and keep sums: 16 KiB */
    AHEAD = 2,          /* blocks that are expanded ahead of the tile unit */
    RING = 4,           /* AHEAD < RING, a power of two */
    FETCH_BLOCKS = 8,   /* blocks of weights that are called into the cache ahead */
    PANEL_GROUPS = 2,   /* expanded for many tokens */
    PANEL_BLOCKS = 48,  /* at most: 96 KiB */
    SLICE_TOKENS = 512, /* that share a panel, and keep sums: 64 KiB */
};

/* ---- Tiles: 0 to 3 are sums, 4 and 5 first operands, 6 and 7 second ones ---- */

/* In assembler: GCC's intrinsics do not say which memory they read, so stores before them get lost. */
#define TILE_LOAD(tile, from, stride)                                                              \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     :                                                                             \
                     : "r"(from), "r"((int64_t)(stride))                                           \
                     : "memory")
#define TILE_STORE(tile, to, stride)                                                               \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"(to), "r"((int64_t)(stride))                                             \
                     : "memory")
#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile :::)
#define TILE_MULTIPLY(sums, first, second)                                                         \
    __asm__ volatile("tdpbf16ps %%tmm" #second ", %%tmm" #first ", %%tmm" #sums :::)

/* What LDTILECFG reads. */
struct tile_config {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Second operands and sums are `columns` wide. */
static void configure(int64_t columns)
{
    struct tile_config config = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        config.rows[i] = 16;
        config.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? 64 : 4 * columns);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

/* What all groups of a call share. */
struct job {
    const uint8_t *weight;
    const char *x;
    int64_t tokens, blocks, row_bytes, group_bytes;
    struct ash_matmul_epilogue to;
};

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

/* Transposes one block of up to 16 rows that lie `row_bytes` apart; the lanes past them hold anything. */
static void transpose_rows(const char *first, int64_t row_bytes, int64_t rows, uint32_t *out)
{
    const char *row[GROUP];
    for (int64_t i = 0; i < GROUP; i++)
        row[i] = first + (i < rows ? i : rows - 1) * row_bytes;
    transpose(row, out);
}

/* ---- Few tokens ---- */

struct few {
    uint32_t x[FEW_BLOCKS][BLOCK_WORDS];
    float sums[FEW_GROUPS][GROUP][TILE];
    __m512i ring[RING][GROUP];
};

/* The second operand: words of two elements; of one token they are that already. */
struct second {
    const char *block;
    int64_t block_bytes, stride;
};

static struct second take_tokens(
    const struct job *job, int64_t first, int64_t count, struct few *work)
{
    const char *x = job->x + first * 2 * BLOCK;
    if (job->tokens == 1)
        return (struct second){ x, 2 * BLOCK, 4 };
    for (int64_t b = 0; b < count; b++)
        transpose_rows(x + b * 2 * BLOCK, job->row_bytes, job->tokens, work->x[b]);
    return (struct second){ (const char *)work->x, sizeof work->x[0], 4 * TILE };
}

/* Calls what comes FETCH_BLOCKS later into the cache. */
ASH_INLINE void fetch(const enum ash_type type, const struct group *group, int64_t block)
{
    const char *at =
        (const char *)group->quants + (block + FETCH_BLOCKS) * ash_matmul_rows_quant_bytes(type);
    ASH_UNROLL
    for (int i = 0; i < ash_matmul_rows_quant_bytes(type); i += 64)
        _mm_prefetch(at + i, _MM_HINT_T0);
}

/* Blocks [first, first + count) of one group by up to 16 tokens; sums[row][token]. */
ASH_INLINE void multiply_few(const enum ash_type type, const struct group *group, int64_t first,
    int64_t count, struct second x, __m512i ring[RING][GROUP], float sums[GROUP][TILE])
{
    if (first > 0)
        TILE_LOAD(0, sums, 4 * TILE);
    else
        TILE_ZERO(0);
    for (int64_t b = 0; b < count + AHEAD; b++) {
        if (b < count) {
            fetch(type, group, first + b);
            expand(type, group, first + b, ring[b % RING]);
        }
        if (b >= AHEAD) {
            TILE_LOAD(4, ring[(b - AHEAD) % RING], 64);
            TILE_LOAD(6, x.block + (b - AHEAD) * x.block_bytes, x.stride);
            TILE_MULTIPLY(0, 4, 6);
        }
    }
    TILE_STORE(0, sums, 4 * TILE);
}

static void finish_few(const struct job *job, int64_t row, float sums[GROUP][TILE])
{
    uint32_t turned[BLOCK_WORDS];
    float *sum = (float *)(void *)turned;
    transpose_rows((const char *)sums, 4 * TILE, GROUP, turned);
    for (int64_t t = 0; t < job->tokens; t++)
        finish(&job->to, t, row, _mm512_loadu_ps(sum + t * GROUP));
}

ASH_INLINE void run_few(
    const enum ash_type type, const struct job *job, int64_t first_row, int64_t last_row)
{
    struct few work;
    struct second x = { 0 };
    int64_t ready = -1; /* which blocks x holds */
    for (int64_t row = first_row; row < last_row; row += FEW_GROUPS * GROUP) {
        int64_t end = last_row - row < FEW_GROUPS * GROUP ? last_row : row + FEW_GROUPS * GROUP;
        for (int64_t first = 0; first < job->blocks; first += FEW_BLOCKS) {
            int64_t left = job->blocks - first, count = left < FEW_BLOCKS ? left : FEW_BLOCKS;
            if (ready != first)
                x = take_tokens(job, first, count, &work);
            ready = first;
            for (int64_t r = row; r < end; r += GROUP) {
                struct group group =
                    group_at(type, job->weight + r / GROUP * job->group_bytes, job->blocks);
                multiply_few(
                    type, &group, first, count, x, work.ring, work.sums[(r - row) / GROUP]);
            }
        }
        for (int64_t r = row; r < end; r += GROUP)
            finish_few(job, r, work.sums[(r - row) / GROUP]);
    }
}

/* ---- Many tokens ---- */

struct many {
    uint32_t panel[PANEL_GROUPS][PANEL_BLOCKS][BLOCK_WORDS];
    float sums[SLICE_TOKENS][PANEL_GROUPS * GROUP];
    __m512i rows[GROUP];
};

/* Blocks [first, first + count) of a group, as second operands. */
ASH_INLINE void fill_panel(const enum ash_type type, const struct group *group, int64_t first,
    int64_t count, __m512i rows[GROUP], uint32_t panel[PANEL_BLOCKS][BLOCK_WORDS])
{
    for (int64_t b = 0; b < count; b++) {
        expand(type, group, first + b, rows);
        __asm__ volatile("" : : "r"(rows) : "memory");
        transpose_rows((const char *)rows, 64, GROUP, panel[b]);
    }
}

/* `tiles` of 16 tokens by `groups` of 16 rows; x is where the tiles begin; sums[token][row]. */
ASH_INLINE void multiply_many(const int tiles, const int groups, const char *x[2],
    int64_t row_bytes, uint32_t panel[PANEL_GROUPS][PANEL_BLOCKS][BLOCK_WORDS], int64_t count,
    bool begin, float sums[2 * TILE][PANEL_GROUPS * GROUP])
{
    enum { STRIDE = sizeof sums[0] };
    if (begin) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    } else {
        TILE_LOAD(0, sums[0], STRIDE);
        TILE_LOAD(1, sums[0] + GROUP, STRIDE);
        TILE_LOAD(2, sums[TILE], STRIDE);
        TILE_LOAD(3, sums[TILE] + GROUP, STRIDE);
    }
    for (int64_t b = 0; b < count; b++) {
        TILE_LOAD(6, panel[0][b], 64);
        TILE_LOAD(4, x[0] + b * 2 * BLOCK, row_bytes);
        TILE_MULTIPLY(0, 4, 6);
        if (groups > 1) {
            TILE_LOAD(7, panel[1][b], 64);
            TILE_MULTIPLY(1, 4, 7);
        }
        if (tiles > 1) {
            TILE_LOAD(5, x[1] + b * 2 * BLOCK, row_bytes);
            TILE_MULTIPLY(2, 5, 6);
        }
        if (tiles > 1 && groups > 1)
            TILE_MULTIPLY(3, 5, 7);
    }
    TILE_STORE(0, sums[0], STRIDE);
    TILE_STORE(1, sums[0] + GROUP, STRIDE);
    TILE_STORE(2, sums[TILE], STRIDE);
    TILE_STORE(3, sums[TILE] + GROUP, STRIDE);
}

/* Where the tile of token `token` begins: the last one takes some tokens of the one before again. */
ASH_INLINE int64_t tile_start(const struct job *job, int64_t token)
{
    return token + TILE <= job->tokens ? token : job->tokens - TILE;
}

/* Tokens [token, last) of a panel. */
ASH_INLINE void run_tokens(const int groups, const struct job *job, int64_t row, int64_t token,
    int64_t last, int64_t first, int64_t count, struct many *work)
{
    const bool only = count == job->blocks, end = first + count == job->blocks;
    for (int64_t t = token; t < last; t += 2 * TILE) {
        float(*sums)[PANEL_GROUPS * GROUP] = work->sums + (only ? 0 : t - token);
        int64_t start[2] = { tile_start(job, t), tile_start(job, t + TILE) };
        const char *x[2];
        for (int i = 0; i < 2; i++)
            x[i] = job->x + start[i] * job->row_bytes + first * 2 * BLOCK;
        if (last - t > TILE)
            multiply_many(2, groups, x, job->row_bytes, work->panel, count, first == 0, sums);
        else
            multiply_many(1, groups, x, job->row_bytes, work->panel, count, first == 0, sums);
        for (int64_t i = t; end && i < last && i < t + 2 * TILE; i++) {
            int64_t tile = (i - t) / TILE;
            for (int g = 0; g < groups; g++)
                finish(&job->to, i, row + g * GROUP,
                    _mm512_loadu_ps(sums[tile * TILE + i - start[tile]] + g * GROUP));
        }
    }
}

/* `groups` groups of rows by a slice of tokens. */
ASH_INLINE void run_panel(const enum ash_type type, const int groups, const struct job *job,
    int64_t row, int64_t token, int64_t last, struct many *work)
{
    int64_t parts = (job->blocks + PANEL_BLOCKS - 1) / PANEL_BLOCKS;
    int64_t part = (job->blocks + parts - 1) / parts;
    for (int64_t first = 0; first < job->blocks; first += part) {
        int64_t count = job->blocks - first < part ? job->blocks - first : part;
        for (int g = 0; g < groups; g++) {
            struct group group =
                group_at(type, job->weight + (row / GROUP + g) * job->group_bytes, job->blocks);
            fill_panel(type, &group, first, count, work->rows, work->panel[g]);
        }
        run_tokens(groups, job, row, token, last, first, count, work);
    }
}

ASH_INLINE void run_many(
    const enum ash_type type, const struct job *job, int64_t first_row, int64_t last_row)
{
    struct many work;
    for (int64_t token = 0; token < job->tokens; token += SLICE_TOKENS) {
        int64_t last = job->tokens - token < SLICE_TOKENS ? job->tokens : token + SLICE_TOKENS;
        int64_t row = first_row;
        for (; last_row - row > GROUP; row += PANEL_GROUPS * GROUP)
            run_panel(type, PANEL_GROUPS, job, row, token, last, &work);
        if (row < last_row)
            run_panel(type, 1, job, row, token, last, &work);
    }
}

ASH_INLINE void run_type(
    const enum ash_type type, const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    const struct ash_tensor *x = &args->in[0];
    const struct job job = {
        .weight = args->in[1].data,
        .x = x->data,
        .tokens = x->dim[0],
        .blocks = x->dim[1] / BLOCK,
        .row_bytes = x->dim[1] * 2,
        .group_bytes = ash_matmul_group_bytes(type, x->dim[1]),
        .to = ash_matmul_epilogue(args),
    };
    if (job.tokens > TILE)
        run_many(type, &job, first_row, last_row);
    else
        run_few(type, &job, first_row, last_row);
}

void ash_matmul_amxbf16(const struct ash_args *args, int64_t first_row, int64_t last_row)
{
    configure(args->in[0].dim[0] < TILE ? args->in[0].dim[0] : TILE);
    switch (args->in[1].type) {
    case ASH_Q8_0:
        run_type(ASH_Q8_0, args, first_row, last_row);
        break;
    case ASH_Q4_0:
        run_type(ASH_Q4_0, args, first_row, last_row);
        break;
    case ASH_Q4_1:
        run_type(ASH_Q4_1, args, first_row, last_row);
        break;
    default: /* accepts() lets nothing else pass but BF16 */
        run_type(ASH_BF16, args, first_row, last_row);
    }
    __asm__ volatile("tilerelease" :::);
}
