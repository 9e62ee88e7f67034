/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/plan_batch.h"

#include "runtime/memory.h"

enum ash_status ash_plan_batch_check(
    const struct ash_model *model, const struct ash_plan_shape *shape)
{
    if (shape->sequences > model->sequences)
        return ash_fail(ASH_ERR_LIMIT, "%d sequences are more than the %d that this was loaded for",
            shape->sequences, model->sequences);
    if (shape->tokens > model->batch_tokens / shape->sequences)
        return ash_fail(ASH_ERR_LIMIT,
            "a batch holds %d tokens (--batch-tokens); %d of each of %d sequences were asked for",
            model->batch_tokens, shape->tokens, shape->sequences);
    if (shape->depth > model->context - shape->tokens)
        return ash_fail(ASH_ERR_LIMIT, "%d tokens after %d do not fit a context of %d (--context)",
            shape->tokens, shape->depth, model->context);
    return ASH_OK;
}

enum ash_status ash_plan_batch_create(
    const struct ash_model *model, const struct ash_plan_shape *shape, struct ash_plan_batch *out)
{
    ASH_TRY(ash_plan_batch_check(model, shape));
    int32_t sequences = shape->sequences, tokens = sequences * shape->tokens;
    int32_t pages = (shape->depth + shape->tokens + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS;
    size_t numbers = 2 * (size_t)tokens + (size_t)sequences * (1 + (size_t)pages);
    *out = (struct ash_plan_batch){ .span = ash_alloc_array((size_t)sequences, sizeof *out->span),
        .numbers = ash_alloc_array(numbers, sizeof *out->numbers) };
    if (!out->span || !out->numbers) {
        ash_plan_batch_finish(out);
        return ash_fail_memory(numbers * sizeof *out->numbers, "a batch");
    }
    int32_t *token = out->numbers, *span_of = token + tokens, *output = span_of + tokens;
    int32_t *page = output + sequences;
    for (int32_t i = 0; i < tokens; i++)
        span_of[i] = i / shape->tokens;
    int32_t each = (model->context + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS;
    for (int32_t i = 0; i < sequences * pages; i++)
        page[i] = i / pages * each + i % pages;
    for (int32_t i = 0; i < sequences; i++) {
        output[i] = (i + 1) * shape->tokens - 1;
        out->span[i] = (struct ash_span){ i * shape->tokens, shape->tokens, shape->depth,
            page + (size_t)i * (size_t)pages };
    }
    out->batch =
        (struct ash_batch){ tokens, sequences, sequences, token, span_of, output, out->span };
    return ASH_OK;
}

void ash_plan_batch_finish(struct ash_plan_batch *batch)
{
    ash_free(batch->span);
    ash_free(batch->numbers);
    *batch = (struct ash_plan_batch){ 0 };
}

enum ash_status ash_plan_batch_prefill(
    const struct ash_model *model, const struct ash_plan_shape *shape)
{
    bool host = false;
    for (int32_t i = 0; i < model->devices.count; i++)
        host |= model->devices.device[i]->info.host_memory;
    int32_t room = model->batch_tokens / shape->sequences;
    for (int32_t at = 0; host && at < shape->depth; at += room) {
        int32_t left = shape->depth - at;
        const struct ash_plan_shape piece = { shape->sequences, left < room ? left : room, at };
        struct ash_plan_batch batch;
        ASH_TRY(ash_plan_batch_create(model, &piece, &batch));
        enum ash_status status = ash_plan_run(model->prompts, &batch.batch);
        ash_plan_batch_finish(&batch);
        ASH_TRY(status);
    }
    return ASH_OK;
}
