/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/plan_measure.h"

#include "runtime/memory.h"
#include "scheduler/cost_file.h"
#include "scheduler/measure.h"

#include <stdio.h>

/* A token is learned from in rounds of a few repeats, then timed once more to compare: what has but one step in
 * a model gets several samples. A prompt takes longer, and one round. */
enum {
    TOKEN_ROUNDS = 5,
    TOKEN_REPEATS = 3,
    PROMPT_ROUNDS = 1,
    PROMPT_REPEATS = 1,
    PROMPT_TOKENS = 32
};

/* One sequence: `tokens` of it after `depth` others; the caller frees `zeros`. */
struct one_sequence {
    int32_t *zeros;
    struct ash_span span;
    struct ash_batch batch;
};

static enum ash_status make_batch(struct one_sequence *one, int32_t tokens, int32_t depth)
{
    size_t count = (size_t)tokens + (size_t)depth;
    one->zeros = ash_alloc_array(count, sizeof *one->zeros);
    if (!one->zeros)
        return ash_fail_memory(count * sizeof *one->zeros, "a batch");
    one->span = (struct ash_span){ 0, tokens, depth, one->zeros };
    one->batch = (struct ash_batch){ tokens, 1, 1, one->zeros, one->zeros, one->zeros, &one->span };
    return ASH_OK;
}

struct measured {
    double token_s, predicted_s, error;
};

/* How a batch is timed. */
struct rounds {
    int count, repeats;
};

/* Times a batch on a plan of one device and teaches its model; compares with a measurement of its own. */
static enum ash_status learn(struct ash_plan *plan, const struct ash_batch *batch,
    struct rounds rounds, struct ash_cost_model *costs, struct measured *out)
{
    struct ash_plan_summary summary;
    ash_plan_summary(plan, &summary);
    double replay_s, *seconds = ash_alloc_array((size_t)summary.steps, sizeof *seconds);
    if (!seconds)
        return ash_fail_memory((size_t)summary.steps * sizeof *seconds, "times");
    enum ash_status status = ASH_OK;
    for (int i = 0; i < rounds.count && status == ASH_OK; i++) {
        status = ash_plan_measure(plan, batch, rounds.repeats, seconds, &replay_s);
        if (status == ASH_OK)
            status = ash_plan_learn(plan, batch, seconds, &costs);
    }
    if (status == ASH_OK && out)
        status = ash_plan_measure(plan, batch, rounds.repeats, seconds, &out->token_s);
    if (status == ASH_OK && out)
        status = ash_plan_compare(plan, batch, &costs, seconds, &out->predicted_s, &out->error);
    ash_free(seconds);
    return status;
}

static enum ash_status measure_batch(struct ash_plan *plan, int32_t tokens, int32_t depth,
    struct rounds rounds, struct ash_cost_model *costs, struct measured *out)
{
    struct one_sequence one;
    ASH_TRY(make_batch(&one, tokens, depth));
    enum ash_status status = learn(plan, &one.batch, rounds, costs, out);
    ash_free(one.zeros);
    return status;
}

static enum ash_status measure_model(
    const struct ash_model *model, int32_t depth, const char *directory, struct measured *out)
{
    const struct rounds token = { TOKEN_ROUNDS, TOKEN_REPEATS };
    const struct rounds prompt = { PROMPT_ROUNDS, PROMPT_REPEATS };
    struct ash_device *device = model->devices.device[0];
    struct ash_cost_model *costs;
    bool known;
    int32_t most = model->batch_tokens < PROMPT_TOKENS ? model->batch_tokens : PROMPT_TOKENS;
    ASH_TRY(ash_costs_open(directory, device, &costs, &known));
    enum ash_status status = measure_batch(model->prompts, most, 0, prompt, costs, NULL);
    if (status == ASH_OK)
        status = measure_batch(model->plan, 1, depth, token, costs, out);
    if (status == ASH_OK)
        status = ash_device_learn_copies(device, costs);
    if (status == ASH_OK)
        status = ash_costs_save(directory, device, costs);
    ash_cost_model_destroy(costs);
    return status;
}

/* The runtime as if it had one device only. */
static struct ash_runtime with_one(const struct ash_runtime *runtime, int index)
{
    static char automatic[] = "auto";
    struct ash_runtime one = *runtime;
    one.device[0] = runtime->device[index];
    one.device_count = 1;
    one.config.split = automatic;
    return one;
}

static void report(const struct ash_device *device, const struct measured *measured, FILE *out)
{
    fprintf(out, "%s:%d measured: %.1f tokens/s, predicted %.1f, a step off by %.1f %% (median)\n",
        device->driver->name, device->info.index, 1 / measured->token_s, 1 / measured->predicted_s,
        100 * measured->error);
}

enum ash_status ash_measure_devices(
    struct ash_runtime *runtime, const char *path, int32_t depth, FILE *out)
{
    if (!runtime->config.cache_dir)
        return ash_fail(
            ASH_ERR_ARGUMENT, "what is measured is kept in cache_dir, and there is none");
    for (int i = 0; i < runtime->device_count; i++) {
        struct ash_runtime one = with_one(runtime, i);
        const struct ash_device *device = one.device[0];
        struct ash_model *model;
        struct measured measured;
        enum ash_status status =
            ash_model_open(&one, path, &(struct ash_model_options){ .plan_only = true }, &model);
        if (status == ASH_ERR_NO_MEMORY && out) {
            fprintf(out, "%s:%d not measured: %s\n", device->driver->name, device->info.index,
                ash_error());
            continue;
        }
        ASH_TRY(status);
        status = measure_model(model, depth, runtime->config.cache_dir, &measured);
        ash_model_destroy(model);
        ASH_TRY(status);
        if (out)
            report(device, &measured, out);
    }
    return ASH_OK;
}

/* ---- The plan that is shown ---- */

static enum ash_status run_plan(struct ash_plan *plan, const struct ash_batch *batch,
    struct ash_cost_model *const *models, bool known, bool measure, struct ash_plan_view *view)
{
    struct ash_plan_summary summary;
    ash_plan_summary(plan, &summary);
    double *seconds = ash_alloc_array((size_t)summary.steps, sizeof *seconds);
    if (!seconds)
        return ash_fail_memory((size_t)summary.steps * sizeof *seconds, "times");
    enum ash_status status = ASH_OK;
    if (measure)
        status = ash_plan_measure(plan, batch, TOKEN_REPEATS, seconds, &view->measured_s);
    if (status == ASH_OK && known)
        status = ash_plan_compare(
            plan, batch, models, measure ? seconds : NULL, &view->cost_s, &view->cost_error);
    ash_free(seconds);
    return status;
}

enum ash_status ash_measure_plan(
    const struct ash_model *model, struct ash_plan *plan, bool measure, struct ash_plan_view *view)
{
    struct ash_cost_model *models[ASH_MAX_DEVICES] = { NULL };
    const char *directory = model->runtime->config.cache_dir;
    enum ash_status status = ASH_OK;
    bool known = directory != NULL;
    for (int32_t i = 0; i < model->devices.count && known && status == ASH_OK; i++)
        status = ash_costs_open(directory, model->devices.device[i], &models[i], &known);
    if (status == ASH_OK)
        status = run_plan(plan, view->batch, models, known, measure, view);
    for (int32_t i = 0; i < model->devices.count; i++)
        ash_cost_model_destroy(models[i]);
    return status;
}
