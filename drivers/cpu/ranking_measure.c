/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/ranking_internal.h"

#include "kernels/attention/attention.h"
#include "kernels/matmul/matmul.h"
#include "runtime/memory.h"
#include "runtime/pool.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

/*
 * Shapes between those of a model of 135M and of 1B, small enough that all of it takes a tenth of a
 * second; a head size that everybody has. Bytes of 0x3c are numbers near 1 in F16, near 0.01 in the
 * other real types and 60 as an int8: nothing overflows, and nothing is subnormal, which is slow.
 */
enum {
    ROWS = 256,
    COLUMNS = 1024,
    HEADS = 8,
    KV_HEADS = 2,
    HEAD_SIZE = 64,
    PAGES = ASH_RANKING_DEPTH / ASH_PAGE_POSITIONS,
    FILLING = 0x3c,
    LINE_BYTES = 64,
    ROUNDS = 2, /* through everything: a neighbour is rarely busy at both times */
    TOKEN_RUNS =
        15, /* what memory takes wavers by a third, and has two modes: rarely 13, mostly 20 us */
    PREFILL_RUNS = 2,
    POOL_BYTES = 16 << 20, /* a sample plain and packed, in the widest type */
};
static const int64_t enough_ns = 2000000; /* of runs of one sample in one round */

static const enum ash_type weights[] = { ASH_Q4_0, ASH_Q4_1, ASH_Q8_0, ASH_F16, ASH_BF16, ASH_F32 };
static const enum ash_type caches[] = { ASH_F16, ASH_BF16, ASH_Q8_0, ASH_F32 };
static const struct ash_attention_params attention = { .heads = HEADS, .scale = 0.125F };

static const struct sample {
    const struct ash_op *op;
    const void *params;
    const enum ash_type *types;
    size_t type_count;
    int typed; /* inputs 1 to this one are of such a type */
    int64_t columns;
    int rank;
    int64_t dim[ASH_MAX_RANK]; /* of the typed inputs */
} samples[] = {
    { &ash_op_matmul, NULL, weights, sizeof weights / sizeof *weights, 1, COLUMNS, 2,
        { ROWS, COLUMNS } },
    { &ash_op_attention, &attention, caches, sizeof caches / sizeof *caches, 2, HEADS *HEAD_SIZE, 4,
        { PAGES, KV_HEADS, ASH_PAGE_POSITIONS, HEAD_SIZE } },
};

/* False where the operator does not know the type. */
static bool shape(
    const struct sample *sample, enum ash_type type, int64_t tokens, struct ash_args *out)
{
    *out = (struct ash_args){ .params = sample->params };
    int64_t dim[] = { tokens, sample->columns };
    bool good = ash_tensor_init(ASH_F32, 2, dim, &out->in[0]) == ASH_OK;
    out->in[0].extent = ASH_EXTENT_TOKENS;
    for (int i = 1; i <= sample->typed; i++)
        good = good && ash_tensor_init(type, sample->rank, sample->dim, &out->in[i]) == ASH_OK;
    return good && ash_op_infer(sample->op, out, &out->out) == ASH_OK;
}

/* ---- Candidates ---- */

static void list_type(
    struct ash_ranking *ranking, const struct sample *sample, enum ash_type type, uint64_t features)
{
    struct ash_args args;
    const int before = ranking->count;
    if (!shape(sample, type, ASH_RANKING_PIECE, &args))
        return;
    for (const struct ash_kernel *kernel = sample->op->kernels;
         kernel->run && ranking->count < ASH_RANKING_MOST; kernel++)
        if (ash_kernel_runs(kernel, &args, features))
            ranking->item[ranking->count++] =
                (struct ash_ranked){ .op = sample->op, .type = type, .kernel = kernel };
    if (ranking->count == before + 1)
        ranking->count = before; /* no choice */
}

void ranking_list(struct ash_ranking *ranking, uint64_t features)
{
    ranking->count = 0;
    for (size_t s = 0; s < sizeof samples / sizeof *samples; s++)
        for (size_t t = 0; t < samples[s].type_count; t++)
            list_type(ranking, &samples[s], samples[s].types[t], features);
}

/* ---- Figures ---- */

static void *take(struct ash_pool *pool, size_t bytes)
{
    void *memory = ash_pool_alloc(pool, bytes, LINE_BYTES);
    if (memory)
        memset(memory, FILLING, bytes);
    return memory;
}

/* Activations of 1 in whatever type a kernel reads: A8 holds sums that must be those of its numbers. */
static enum ash_status fill_activations(const struct ash_tensor *tensor)
{
    float row[COLUMNS];
    const int64_t columns = ash_tensor_columns(tensor);
    for (int64_t i = 0; i < columns; i++)
        row[i] = 1;
    for (int64_t r = 0; r < ash_tensor_rows(tensor); r++)
        ASH_TRY(ash_from_float(tensor->type, row, columns,
            (char *)tensor->data + (size_t)r * ash_tensor_row_bytes(tensor)));
    return ASH_OK;
}

/* Gives an input its data, in the kernel's layout where it has one for that. */
static enum ash_status place(
    struct ash_pool *pool, const struct ash_kernel *kernel, int input, struct ash_tensor *tensor)
{
    if (tensor->rank == 0)
        return ASH_OK;
    if (!(tensor->data = take(pool, ash_tensor_bytes(tensor))))
        return ASH_ERR_NO_MEMORY;
    if (input == 0)
        return fill_activations(tensor);
    if (kernel->packed_input != input)
        return ASH_OK;
    void *packed = take(pool, kernel->pack_bytes(tensor));
    if (!packed)
        return ASH_ERR_NO_MEMORY;
    kernel->pack(tensor, 0, ash_tensor_rows(tensor), packed);
    tensor->data = packed;
    return ASH_OK;
}

#ifdef __x86_64__
/* Lines need not leave one after the other, as they do with clflush (60 to 100 ns each). */
__attribute__((target("clflushopt"))) static void flush_at_once(const char *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES)
        _mm_clflushopt((void *)(uintptr_t)(data + at));
}

static void flush(const char *data, size_t bytes)
{
    unsigned eax, ebx, ecx, edx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && ebx & bit_CLFLUSHOPT)
        flush_at_once(data, bytes);
    else
        for (size_t at = 0; at < bytes; at += LINE_BYTES)
            _mm_clflush(data + at);
    _mm_mfence();
}
#else
static void flush(const char *data, size_t bytes) /* no choice of kernels there yet */
{
    (void)data, (void)bytes;
}
#endif

/* Puts weights or a cache out of all caches, as they are when a token's turn comes. */
static void make_cold(const struct ash_kernel *kernel, const struct ash_tensor *tensor, int input)
{
    flush(tensor->data,
        kernel->packed_input == input ? kernel->pack_bytes(tensor) : ash_tensor_bytes(tensor));
}

/* This thread's own time: what others take of the processor in between does not count. */
static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The median of a few runs, the first of which does not count; of two the lesser. */
static int64_t time_runs(const struct ash_op *op, const struct ash_kernel *kernel,
    const struct ash_args *args, int typed)
{
    int64_t rows = ash_op_rows(op, args), ns[TOKEN_RUNS], spent_ns = 0;
    bool cold = args->batch->tokens == 1;
    int runs = 0;
    kernel->run(args, 0, rows);
    for (; runs < (cold ? TOKEN_RUNS : PREFILL_RUNS) && spent_ns < enough_ns; runs++) {
        for (int in = 1; cold && in <= typed; in++)
            make_cold(kernel, &args->in[in], in);
        int64_t start_ns = now_ns();
        kernel->run(args, 0, rows);
        ns[runs] = now_ns() - start_ns;
        spent_ns += ns[runs];
    }
    qsort(ns, (size_t)runs, sizeof *ns, ascending);
    int64_t median_ns = ns[(runs - 1) / 2];
    return median_ns > 0 ? median_ns : 1;
}

/* `tokens` at the end of a sequence of ASH_RANKING_DEPTH positions. */
static enum ash_status measure_sample(struct ash_pool *pool, const struct sample *sample,
    const struct ash_ranked *item, int32_t tokens, int64_t *least_ns)
{
    int32_t page[PAGES], zero[ASH_RANKING_PIECE] = { 0 };
    for (int32_t p = 0; p < PAGES; p++)
        page[p] = p;
    struct ash_span span = { 0, tokens, ASH_RANKING_DEPTH - tokens, page };
    struct ash_batch batch = { tokens, 1, 1, zero, zero, zero, &span };
    struct ash_args args;
    shape(sample, item->type, tokens, &args); /* it was listed: the shape is good */
    if (item->kernel->activation != ASH_F32)
        args.in[0].type = item->kernel->activation;
    ash_pool_reset(pool);
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        ASH_TRY(place(pool, item->kernel, i, &args.in[i]));
    ASH_TRY(place(pool, item->kernel, 0, &args.out));
    ash_args_bind(&args, &batch);
    int64_t ns = time_runs(item->op, item->kernel, &args, sample->typed);
    if (*least_ns == 0 || ns < *least_ns)
        *least_ns = ns;
    return ASH_OK;
}

static enum ash_status measure_item(struct ash_pool *pool, struct ash_ranked *item)
{
    const struct sample *sample = samples;
    while (sample->op != item->op)
        sample++;
    ASH_TRY(measure_sample(pool, sample, item, 1, &item->decode_ns));
    return measure_sample(pool, sample, item, ASH_RANKING_PIECE, &item->prefill_ns);
}

enum ash_status ranking_measure(struct ash_ranking *ranking)
{
    struct ash_pool *pool;
    ASH_TRY(ash_pool_create_unfilled(-1, POOL_BYTES, &pool));
    enum ash_status status = ASH_OK;
    for (int i = 0; i < ROUNDS * ranking->count && status == ASH_OK; i++)
        status = measure_item(pool, &ranking->item[i % ranking->count]);
    ash_pool_destroy(pool);
    return status;
}
