/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/avx_kernels.h"
#include "kernels/infer.h"
#include "kernels/topk/topk_internal.h"

#include <math.h>
#include <stddef.h>

static enum ash_status infer(const struct ash_args *args, struct ash_tensor *out)
{
    const struct ash_topk_params *params = args->params;
    const struct ash_tensor *x = &args->in[0];
    ASH_TRY(ash_infer_want(x, "x", ASH_F32, 2));
    if (x->dim[1] > INT32_MAX)
        return ash_fail(
            ASH_ERR_SHAPE, "rows of %lld have ids beyond 32 bits", (long long)x->dim[1]);
    if (params->k < 1 || params->k > ASH_TOPK_MAX || params->k > x->dim[1])
        return ash_fail(ASH_ERR_ARGUMENT, "k must be 1 to %d and at most V = %lld, is %d",
            ASH_TOPK_MAX, (long long)x->dim[1], params->k);
    *out = (struct ash_tensor){ ASH_I32, x->extent, 2, { x->dim[0], params->k, 1, 1 } };
    return ASH_OK;
}

static void cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){
        .flops = (double)ash_tensor_elements(&args->in[0]), /* one comparison each */
        .bytes_read = (double)ash_tensor_bytes(&args->in[0]),
        .bytes_written = (double)ash_tensor_bytes(&args->out),
    };
}

/* Whether entry a is the first to go: of the least value, and of equal ones the highest id. */
static bool worse(const struct ash_topk_heap *heap, int a, int b)
{
    return heap->value[a] < heap->value[b] ||
           (heap->value[a] == heap->value[b] && heap->id[a] > heap->id[b]);
}

static void swap(struct ash_topk_heap *heap, int a, int b)
{
    float value = heap->value[a];
    int32_t id = heap->id[a];
    heap->value[a] = heap->value[b];
    heap->id[a] = heap->id[b];
    heap->value[b] = value;
    heap->id[b] = id;
}

static void sift_up(struct ash_topk_heap *heap, int at)
{
    for (; at > 0 && worse(heap, at, (at - 1) / 2); at = (at - 1) / 2)
        swap(heap, at, (at - 1) / 2);
}

static void sift_down(struct ash_topk_heap *heap)
{
    for (int at = 0, child = 1; child < heap->count; at = child, child = 2 * at + 1) {
        if (child + 1 < heap->count && worse(heap, child + 1, child))
            child++;
        if (!worse(heap, child, at))
            return;
        swap(heap, at, child);
    }
}

void ash_topk_offer(struct ash_topk_heap *heap, float value, int32_t id)
{
    value = isnan(value) ? -INFINITY : value;
    bool full = heap->count == heap->k;
    if (full && !(value > heap->value[0]))
        return;
    int at = full ? 0 : heap->count++;
    heap->value[at] = value;
    heap->id[at] = id;
    if (full)
        sift_down(heap);
    else
        sift_up(heap, at);
}

void ash_topk_sort(struct ash_topk_heap *heap)
{
    while (heap->count > 1) {
        swap(heap, 0, --heap->count);
        sift_down(heap);
    }
}

static const struct ash_kernel kernels[] = ASH_AVX_KERNELS(topk, ash_infer_ids);

const struct ash_op ash_op_topk = {
    .name = "topk",
    .inputs = 1,
    .params_bytes = sizeof(struct ash_topk_params),
    .infer = infer,
    .cost = cost,
    .reference = ash_topk_ref,
    .tolerance = 0, /* ids */
    .kernels = kernels,
};
