/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/plan_measure.h"

#include "runtime/memory.h"
#include "runtime/trace.h"
#include "scheduler/cost_file.h"
#include "scheduler/measure.h"
#include "tools/ashlar/plan_batch.h"

#include <stdio.h>
#include <string.h>

/*
 * What is learned from: prompts and tokens, few and many, at shallow and at deep positions, so that what a
 * batch takes is known from its like. Prompts come first, as they write the positions that tokens read
 * (ash_plan_batch_prefill() says why). Larger ones of a kind come later: one that
 * would take too long by those before it is left out, as prompts of hundreds of tokens are on a device of ten
 * tokens a second.
 */
static const struct point {
    bool prompt;
    struct ash_plan_shape shape;
} points[] = {
    { true, { 1, 8, 0 } },
    { true, { 1, 32, 0 } },
    { true, { 1, 128, 0 } },
    { true, { 1, 512, 0 } },
    { true, { 1, 512, 512 } },
    { true, { 1, 32, 480 } },
    { false, { 1, 1, 0 } },
    { false, { 1, 1, 256 } },
    { false, { 1, 1, 1000 } },
    { false, { 4, 1, 64 } },
    { false, { 16, 1, 64 } },
    { false, { 1, 64, 0 } },
};
enum { POINTS = sizeof points / sizeof *points, SEQUENCES = 16, POSITIONS = 1024, REPEATS = 15 };
/* A replay may take so long; one that took so long is not measured again; what is spent on a point, on the last. */
static const double most_replay_s = 8, slow_s = 1, point_s = 0.3, token_s = 1;

struct measured {
    int points;
    double token_s, predicted_s, error, took_s;
};

/* A plan of one device, and the better of two measurements of each point: what else runs on the machine makes
 * it slower for a moment, and nothing makes it faster. */
enum { ROUNDS = 2, FITS = 10 };
struct learning {
    const struct ash_model *model;
    struct ash_cost_model *costs;
    struct ash_plan_shape token; /* the user's, the last point */
    int32_t steps;               /* in the larger of the two plans */
    double *seconds;             /* [point][step] */
    double replay_s[POINTS + 1]; /* of those; 0 = there was no room or no time */
    double *now_s;               /* [step] */
};

static const struct ash_plan_shape *shape_of(const struct learning *learning, int point)
{
    return point < POINTS ? &points[point].shape : &learning->token;
}

static struct ash_plan *plan_of(const struct learning *learning, int point)
{
    bool prompt = point < POINTS && points[point].prompt;
    return prompt ? learning->model->prompts : learning->model->plan;
}

/* Keeps what a point takes if that is less than before. */
static enum ash_status time_point(struct learning *learning, int point, double limit_s)
{
    struct ash_plan_batch batch;
    double replay_s = 0, *best_s = &learning->replay_s[point];
    ASH_TRY(ash_plan_batch_create(learning->model, shape_of(learning, point), &batch));
    enum ash_status status = ash_plan_measure(
        plan_of(learning, point), &batch.batch, REPEATS, limit_s, learning->now_s, &replay_s);
    ash_plan_batch_finish(&batch);
    if (status != ASH_OK || (*best_s > 0 && *best_s <= replay_s))
        return status;
    *best_s = replay_s;
    size_t steps = (size_t)learning->steps;
    memcpy(learning->seconds + (size_t)point * steps, learning->now_s, steps * sizeof(double));
    return ASH_OK;
}

/* The points there are room and time for, the user's the last. */
static enum ash_status time_points(struct learning *learning)
{
    double per_token_s = 0;
    for (int i = 0; i <= POINTS; i++) {
        const struct ash_plan_shape *shape = shape_of(learning, i);
        double tokens = (double)shape->sequences * shape->tokens;
        if (learning->replay_s[i] > slow_s ||
            ash_plan_batch_check(learning->model, shape) != ASH_OK ||
            tokens * per_token_s > most_replay_s)
            continue;
        ASH_TRY(time_point(learning, i, point_s));
        per_token_s = learning->replay_s[i] / tokens;
    }
    return ASH_OK;
}

/* First the steps of every point, then what each takes as a whole: see ash_plan_fit(). */
static enum ash_status teach_point(const struct learning *learning, int point, bool whole)
{
    struct ash_plan_batch batch;
    struct ash_plan *plan = plan_of(learning, point);
    const double *seconds = learning->seconds + (size_t)point * (size_t)learning->steps;
    ASH_TRY(ash_plan_batch_create(learning->model, shape_of(learning, point), &batch));
    enum ash_status status =
        whole ? ash_plan_fit(plan, &batch.batch, learning->replay_s[point], &learning->costs)
              : ash_plan_learn(plan, &batch.batch, seconds, &learning->costs);
    ash_plan_batch_finish(&batch);
    return status;
}

static enum ash_status teach(const struct learning *learning)
{
    for (int pass = 0; pass <= FITS; pass++)
        for (int i = 0; i <= POINTS; i++)
            if (learning->replay_s[i] > 0)
                ASH_TRY(teach_point(learning, i, pass > 0));
    return ASH_OK;
}

/* The user's token once more, against what is known now. */
static enum ash_status compare(const struct learning *learning, struct measured *out)
{
    struct ash_plan_batch batch;
    struct ash_plan *plan = learning->model->plan;
    ASH_TRY(ash_plan_batch_create(learning->model, &learning->token, &batch));
    enum ash_status status =
        ash_plan_measure(plan, &batch.batch, REPEATS, token_s, learning->now_s, &out->token_s);
    if (status == ASH_OK)
        status = ash_plan_compare(
            plan, &batch.batch, &learning->costs, learning->now_s, &out->predicted_s, &out->error);
    ash_plan_batch_finish(&batch);
    return status;
}

static enum ash_status learn(struct learning *learning, struct measured *out)
{
    double begin_s = (double)ash_now_ns() * 1e-9;
    ASH_TRY(ash_plan_batch_check(learning->model, &learning->token));
    for (int i = 0; i < ROUNDS; i++)
        ASH_TRY(time_points(learning));
    for (int i = 0; i <= POINTS; i++)
        out->points += learning->replay_s[i] > 0;
    ASH_TRY(teach(learning));
    ASH_TRY(ash_device_learn_copies(learning->model->devices.device[0], learning->costs));
    ASH_TRY(compare(learning, out));
    out->took_s = (double)ash_now_ns() * 1e-9 - begin_s;
    return ASH_OK;
}

static enum ash_status learn_all(struct learning *learning, struct measured *out)
{
    struct ash_plan_summary answers, prompts;
    ash_plan_summary(learning->model->plan, &answers);
    ash_plan_summary(learning->model->prompts, &prompts);
    learning->steps = answers.steps > prompts.steps ? answers.steps : prompts.steps;
    size_t steps = (size_t)learning->steps;
    learning->seconds = ash_alloc_array(steps, (POINTS + 1) * sizeof(double));
    learning->now_s = ash_alloc_array(steps, sizeof(double));
    enum ash_status status = ASH_OK;
    if (!learning->seconds || !learning->now_s)
        status = ash_fail_memory(steps * (POINTS + 1) * sizeof(double), "times");
    if (status == ASH_OK)
        status = learn(learning, out);
    ash_free(learning->seconds);
    ash_free(learning->now_s);
    return status;
}

static enum ash_status measure_model(
    const struct ash_model *model, int32_t depth, const char *directory, struct measured *out)
{
    struct ash_device *device = model->devices.device[0];
    struct learning learning = { .model = model, .token = { 1, 1, depth } };
    bool known;
    *out = (struct measured){ 0 };
    ASH_TRY(ash_costs_open(directory, device, &learning.costs, &known));
    enum ash_status status = learn_all(&learning, out);
    if (status == ASH_OK)
        status = ash_costs_save(directory, device, learning.costs);
    ash_cost_model_destroy(learning.costs);
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
    fprintf(out,
        "%s:%d measured with %d batches in %.1f s: a token %.3f ms, predicted %.3f, a step off by "
        "%.1f %% (median)\n",
        device->driver->name, device->info.index, measured->points, measured->took_s,
        1e3 * measured->token_s, 1e3 * measured->predicted_s, 100 * measured->error);
}

static enum ash_status measure_device(struct ash_runtime *runtime, int index,
    const struct ash_measuring *measuring, struct measured *out)
{
    struct ash_runtime one = with_one(runtime, index);
    struct ash_model *model;
    int32_t positions = measuring->depth < POSITIONS ? POSITIONS : measuring->depth + 1;
    one.config.context = positions < measuring->context ? positions : measuring->context;
    ASH_TRY(ash_model_open(&one, measuring->path,
        &(struct ash_model_options){ .plan_only = true, .load = { .sessions = SEQUENCES } },
        &model));
    enum ash_status status = measure_model(model, measuring->depth, runtime->config.cache_dir, out);
    ash_model_destroy(model);
    return status;
}

enum ash_status ash_measure_devices(
    struct ash_runtime *runtime, const struct ash_measuring *measuring, FILE *out)
{
    if (!runtime->config.cache_dir)
        return ash_fail(
            ASH_ERR_ARGUMENT, "what is measured is kept in cache_dir, and there is none");
    for (int i = 0; i < runtime->device_count; i++) {
        const struct ash_device *device = runtime->device[i];
        struct measured measured;
        enum ash_status status = measure_device(runtime, i, measuring, &measured);
        if (status == ASH_ERR_NO_MEMORY && out)
            fprintf(out, "%s:%d not measured: %s\n", device->driver->name, device->info.index,
                ash_error());
        else if (status != ASH_OK)
            return status;
        else if (out)
            report(device, &measured, out);
    }
    return ASH_OK;
}

/* ---- The plan that is shown ---- */

static enum ash_status run_plan(struct ash_plan *plan, const struct ash_batch *batch,
    struct ash_cost_model *const *models, bool known, double *seconds, struct ash_plan_view *view)
{
    view->step_s = seconds;
    if (seconds)
        ASH_TRY(ash_plan_measure(plan, batch, REPEATS, token_s, seconds, &view->measured_s));
    if (known)
        ASH_TRY(ash_plan_compare(plan, batch, models, seconds, &view->cost_s, &view->cost_error));
    return ASH_OK;
}

enum ash_status ash_measure_plan(const struct ash_model *model, struct ash_plan *plan,
    double *seconds, struct ash_plan_view *view)
{
    struct ash_cost_model *models[ASH_MAX_DEVICES] = { NULL };
    const char *directory = model->runtime->config.cache_dir;
    enum ash_status status = ASH_OK;
    bool known = directory != NULL;
    for (int32_t i = 0; i < model->devices.count && known && status == ASH_OK; i++)
        status = ash_costs_open(directory, model->devices.device[i], &models[i], &known);
    if (status == ASH_OK)
        status = run_plan(plan, view->batch, models, known, seconds, view);
    for (int32_t i = 0; i < model->devices.count; i++)
        ash_cost_model_destroy(models[i]);
    return status;
}
