/* SPDX-License-Identifier: Apache-2.0 */
#include "models/micro_batch.h"

#include "runtime/memory.h"

#include <math.h>

/* No smaller, as weights are read for each and matrix kernels compute by tiles of 64 tokens; cut in two, four, eight ... */
enum { LEAST_TOKENS = 64, MOST_PARTS = 64 };

/* What it must at most take, for the clock does not know all. */
static const double worth = 0.95;

static bool is_on_one_device(const struct ash_placed *placed)
{
    const int32_t *device = placed->placement.device;
    for (int32_t n = 1; n < ash_graph_nodes(placed->graph); n++)
        if (device[n] != device[0])
            return false;
    return true;
}

struct prompt {
    const struct ash_placed *placed;
    const struct ash_machine *machine;
    const struct ash_place_options *known;
    int32_t tokens;
    const int32_t *zeros; /* [tokens]: for any of a batch's lists */
};

/* In so many parts, each with `outputs` rows of logits; each is taken for the one in the middle, which has
 * half of the prompt before it. */
static enum ash_status predict(
    const struct prompt *prompt, int32_t parts, int32_t outputs, double *seconds_out)
{
    int32_t each = (prompt->tokens + parts - 1) / parts;
    struct ash_span span = { 0, each, (prompt->tokens - each) / 2, prompt->zeros };
    struct ash_batch batch = { each, outputs, 1, prompt->zeros, prompt->zeros, prompt->zeros,
        &span };
    struct ash_place_options options = { .batch = &batch,
        .cost_model = prompt->known->cost_model,
        .devices = prompt->known->devices,
        .unlimited = true };
    return ash_place_stream(prompt->placed->graph, prompt->machine, &options,
        prompt->placed->placement.device, parts, seconds_out);
}

static enum ash_status choose(const struct prompt *prompt, int32_t *tokens_out, double *seconds_out)
{
    double best_s, logits_s, limit_s;
    ASH_TRY(predict(prompt, 1, 1, &logits_s));
    ASH_TRY(predict(prompt, 1, 0, &best_s));
    logits_s -= best_s;
    limit_s = worth * best_s;
    *tokens_out = 0;
    for (int32_t parts = 2; parts <= MOST_PARTS && prompt->tokens / parts >= LEAST_TOKENS;
         parts *= 2) {
        double seconds;
        ASH_TRY(predict(prompt, parts, 0, &seconds));
        if (seconds >= fmin(best_s, limit_s))
            continue;
        best_s = seconds;
        *tokens_out = (prompt->tokens + parts - 1) / parts;
    }
    if (seconds_out)
        *seconds_out = best_s + logits_s;
    return ASH_OK;
}

enum ash_status ash_micro_batch_choose(const struct ash_placed *placed,
    const struct ash_machine *machine, const struct ash_place_options *known, int32_t tokens,
    int32_t *tokens_out, double *seconds_out)
{
    int32_t *zeros = ash_alloc_array((size_t)tokens, sizeof *zeros);
    const struct prompt prompt = { placed, machine, known, tokens, zeros };
    enum ash_status status;
    *tokens_out = 0;
    if (!zeros)
        return ash_fail_memory((size_t)tokens * sizeof *zeros, "a batch");
    if (is_on_one_device(placed))
        status = seconds_out ? predict(&prompt, 1, 1, seconds_out) : ASH_OK;
    else
        status = choose(&prompt, tokens_out, seconds_out);
    ash_free(zeros);
    return status;
}
