/* SPDX-License-Identifier: Apache-2.0 */
#include "models/replay.h"

#include "runtime/memory.h"

#include <string.h>

struct ash_replay {
    struct ash_model *model;
    struct ash_plan *plan;      /* that the batch is for */
    struct ash_kv_sequence *kv; /* (sequences) */
    int32_t sequences;
    struct ash_batch batch; /* its arrays are the ones below */
    int32_t *token, *token_span, *output;
    struct ash_span *span;
};

static enum ash_status take_pages(struct ash_replay *replay, int32_t positions)
{
    for (int32_t i = 0; i < replay->sequences; i++) {
        int32_t none = -1, cached;
        struct ash_kv_cache *cache = replay->model->cache;
        ASH_TRY(ash_kv_begin(cache, &none, 1, &replay->kv[i], &cached));
        ASH_TRY(ash_kv_reserve(cache, &replay->kv[i], positions));
    }
    return ASH_OK;
}

enum ash_status ash_replay_create(
    struct ash_model *model, int32_t sequences, int32_t positions, struct ash_replay **out)
{
    if (sequences < 1 || positions < 1)
        return ash_fail(ASH_ERR_ARGUMENT, "a replay needs a sequence and a position");
    struct ash_replay *replay = ash_alloc_zero(sizeof *replay);
    if (!replay)
        return ash_fail_memory(sizeof *replay, "a replay");
    size_t tokens = (size_t)model->batch_tokens, outputs = (size_t)model->outputs;
    replay->model = model;
    replay->sequences = sequences;
    replay->kv = ash_alloc_array((size_t)sequences, sizeof *replay->kv);
    replay->token = ash_alloc_array(tokens, sizeof *replay->token);
    replay->token_span = ash_alloc_array(tokens, sizeof *replay->token_span);
    replay->output = ash_alloc_array(outputs, sizeof *replay->output);
    replay->span = ash_alloc_array((size_t)sequences, sizeof *replay->span);
    enum ash_status status = ASH_OK;
    if (!replay->kv || !replay->token || !replay->token_span || !replay->output || !replay->span)
        status = ash_fail_memory(tokens * 8, "a replay's batch");
    else
        status = take_pages(replay, positions);
    if (status != ASH_OK) {
        ash_replay_destroy(replay);
        return status;
    }
    replay->batch = (struct ash_batch){
        .token = replay->token,
        .token_span = replay->token_span,
        .output = replay->output,
        .span = replay->span,
    };
    *out = replay;
    return ASH_OK;
}

void ash_replay_destroy(struct ash_replay *replay)
{
    if (!replay)
        return;
    for (int32_t i = 0; replay->kv && i < replay->sequences; i++)
        ash_kv_end(replay->model->cache, &replay->kv[i]);
    ash_free(replay->kv);
    ash_free(replay->token);
    ash_free(replay->token_span);
    ash_free(replay->output);
    ash_free(replay->span);
    ash_free(replay);
}

void ash_replay_begin(struct ash_replay *replay, bool prompts)
{
    replay->plan = prompts ? replay->model->prompts : replay->model->plan;
    replay->batch.tokens = replay->batch.spans = replay->batch.outputs = 0;
}

enum ash_status ash_replay_add(struct ash_replay *replay, int32_t sequence, int32_t first_position,
    const int32_t *token, int32_t count, int32_t outputs)
{
    const struct ash_model *model = replay->model;
    struct ash_batch *batch = &replay->batch;
    if (sequence < 0 || sequence >= replay->sequences || batch->spans == replay->sequences ||
        count < 1 || outputs < 0 || outputs > count || first_position < 0)
        return ash_fail(ASH_ERR_ARGUMENT, "no such span: sequence %d, %d tokens, %d outputs",
            sequence, count, outputs);
    if (count > model->batch_tokens - batch->tokens || outputs > model->outputs - batch->outputs)
        return ash_fail(ASH_ERR_LIMIT, "a batch takes %d tokens and %d outputs",
            model->batch_tokens, model->outputs);
    const struct ash_kv_sequence *kv = &replay->kv[sequence];
    if (count > kv->pages * ASH_PAGE_POSITIONS - first_position)
        return ash_fail(ASH_ERR_LIMIT, "%d positions were set aside for a sequence",
            kv->pages * ASH_PAGE_POSITIONS);
    replay->span[batch->spans] =
        (struct ash_span){ batch->tokens, count, first_position, kv->page };
    memcpy(replay->token + batch->tokens, token, (size_t)count * sizeof *token);
    for (int32_t i = 0; i < count; i++)
        replay->token_span[batch->tokens + i] = batch->spans;
    for (int32_t i = count - outputs; i < count; i++)
        replay->output[batch->outputs++] = batch->tokens + i;
    batch->tokens += count;
    batch->spans++;
    return ASH_OK;
}

enum ash_status ash_replay_run(struct ash_replay *replay, const float **logits)
{
    ASH_TRY(ash_plan_run(replay->plan, &replay->batch));
    if (logits)
        *logits = ash_plan_output(replay->plan, replay->model->logits)->data;
    return ASH_OK;
}
