/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/plan_internal.h"

#include "runtime/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool meet(const struct arena_block *a, const struct arena_block *b)
{
    return a->first_phase <= b->last_phase && b->first_phase <= a->last_phase;
}

/*
 * The start of the smallest gap that holds `block` among the placed ones it meets, which come in the
 * order of their offsets; after them all if there is none.
 */
static size_t find_gap(
    const struct arena_block *block, struct arena_block *const *placed, size_t count)
{
    size_t end = 0, best = SIZE_MAX, best_size = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const struct arena_block *other = placed[i];
        if (!meet(block, other))
            continue;
        if (other->offset_bytes >= end) {
            size_t gap = other->offset_bytes - end;
            if (gap >= block->size_bytes && gap < best_size) {
                best = end;
                best_size = gap;
            }
        }
        size_t other_end = other->offset_bytes + other->size_bytes;
        end = other_end > end ? other_end : end;
    }
    return best == SIZE_MAX ? end : best;
}

/* The largest first; then by when they are needed, so that the order does not hang on qsort's. */
static int compare_blocks(const void *left, const void *right)
{
    const struct arena_block *a = *(struct arena_block *const *)left;
    const struct arena_block *b = *(struct arena_block *const *)right;
    if (a->size_bytes != b->size_bytes)
        return a->size_bytes < b->size_bytes ? 1 : -1;
    if (a->first_phase != b->first_phase)
        return a->first_phase < b->first_phase ? -1 : 1;
    return a < b ? -1 : a > b;
}

size_t arena_lay_out(struct arena_block *block, size_t count, struct arena_block **order)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        order[i] = &block[i];
    qsort(order, count, sizeof *order, compare_blocks);
    for (size_t i = 0; i < count; i++) {
        struct arena_block *next = order[i];
        next->offset_bytes = find_gap(next, order, i);
        size_t end = next->offset_bytes + next->size_bytes, at = i;
        total = end > total ? end : total;
        while (at > 0 && order[at - 1]->offset_bytes > next->offset_bytes)
            at--;
        memmove(&order[at + 1], &order[at], (i - at) * sizeof *order);
        order[at] = next;
    }
    return total;
}

/* ---- In place ---- */

/* How often nodes of `phase` read a value; nodes are in the order of their phases. */
static int reads_in_phase(const struct ash_plan *plan, ash_value value, size_t node)
{
    int32_t phase = plan->node[node].phase;
    int reads = 0;
    while (node > 0 && plan->node[node - 1].phase == phase)
        node--;
    for (; node < plan->nodes && plan->node[node].phase == phase; node++)
        for (int i = 0; i < ASH_MAX_INPUTS; i++)
            reads += plan->node[node].in[i] == value;
    return reads;
}

/* Whether a node may write its result over its input i: it is the last to read it, element by element. */
static bool can_replace(const struct ash_plan *plan, size_t index, int i)
{
    const struct plan_node *node = &plan->node[index];
    if (!(node->op->in_place >> i & 1) || node->in[i] == ASH_NO_VALUE)
        return false;
    const struct plan_value *in = &plan->value[node->in[i]], *out = &plan->value[node->out];
    if (in->kind != ASH_VALUE_RESULT || in->output || in->last_phase != node->phase ||
        in->device != out->device || !plan_is_alike(&in->tensor, &out->tensor))
        return false;
    int reads = 0;
    for (int k = 0; k < ASH_MAX_INPUTS; k++) {
        bool same = node->in[k] == node->in[i];
        if (same && !(node->op->in_place >> k & 1))
            return false;
        reads += same;
    }
    return reads == reads_in_phase(plan, node->in[i], index);
}

static void replace_inputs(struct ash_plan *plan)
{
    for (size_t n = 0; n < plan->nodes; n++) {
        const struct plan_node *node = &plan->node[n];
        for (int i = 0; i < ASH_MAX_INPUTS && node->out != ASH_NO_VALUE; i++)
            if (can_replace(plan, n, i)) {
                plan->value[node->out].root = plan->value[node->in[i]].root;
                break;
            }
    }
}

/* ---- The arena of one device ---- */

/* The blocks of all results on a device, one for each root; `block_of[value]` finds them. */
static size_t gather(const struct ash_plan *plan, int32_t device, bool share,
    struct arena_block *block, int32_t *block_of)
{
    size_t count = 0;
    for (size_t n = 0; n < plan->nodes; n++) { /* makers come after the roots they take over */
        ash_value v = plan->node[n].out;
        if (v == ASH_NO_VALUE || plan->value[v].device != device)
            continue;
        const struct plan_value *value = &plan->value[v];
        if (value->root != v) {
            block_of[v] = block_of[value->root];
            block[block_of[v]].last_phase = value->last_phase;
            continue;
        }
        block_of[v] = (int32_t)count;
        block[count++] =
            (struct arena_block){ .size_bytes = plan_aligned(ash_tensor_bytes(&value->tensor)),
                .first_phase = share ? value->first_phase : 0,
                .last_phase = share ? value->last_phase : plan->summary.phases - 1 };
    }
    return count;
}

static void place_results(struct ash_plan *plan, struct plan_device *device, int32_t index,
    const struct arena_block *block, const int32_t *block_of)
{
    for (size_t n = 0; n < plan->nodes; n++) {
        ash_value v = plan->node[n].out;
        if (v == ASH_NO_VALUE || plan->value[v].device != index)
            continue;
        struct plan_value *value = &plan->value[v];
        value->place = (struct ash_place){ device->arena, block[block_of[v]].offset_bytes };
        if (device->arena->host)
            value->tensor.data = (char *)device->arena->host + value->place.offset_bytes;
        plan->summary.unshared_bytes += plan_aligned(ash_tensor_bytes(&value->tensor));
    }
}

static enum ash_status lay_out_device(struct ash_plan *plan, int32_t index, bool share,
    struct arena_block *block, struct arena_block **order, int32_t *block_of)
{
    struct plan_device *device = &plan->device[index];
    size_t count = gather(plan, index, share, block, block_of);
    if (count == 0)
        return ASH_OK;
    size_t bytes = arena_lay_out(block, count, order);
    ASH_TRY(
        ash_fail_in(plan_alloc(plan, index, bytes, ASH_MEMORY_ARENA, "activations", &device->arena),
            "activations of %lld tokens", (long long)plan->tokens));
    plan->summary.arena_bytes += bytes;
    place_results(plan, device, index, block, block_of);
    return ASH_OK;
}

enum ash_status plan_lay_out(struct ash_plan *plan, bool share)
{
    struct arena_block *block = ash_alloc_array(plan->values, sizeof *block);
    struct arena_block **order = ash_alloc_array(plan->values, sizeof *order);
    int32_t *block_of = ash_alloc_array(plan->values, sizeof *block_of);
    enum ash_status status = ASH_OK;
    if (!block || !order || !block_of)
        status = ash_fail_memory(plan->values * sizeof *block, "the arena's layout");
    else if (share)
        replace_inputs(plan);
    for (int32_t i = 0; i < plan->devices && status == ASH_OK; i++)
        status = lay_out_device(plan, i, share, block, order, block_of);
    ash_free(block);
    ash_free(order);
    ash_free(block_of);
    return status;
}
