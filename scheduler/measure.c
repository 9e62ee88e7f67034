/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/measure.h"

#include "drivers/drivers.h"
#include "runtime/memory.h"
#include "runtime/trace.h"
#include "scheduler/cost_file.h"
#include "scheduler/plan_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Times of one repeat after the other: [repeat][what]. */
struct timing {
    struct ash_plan *plan;
    const struct ash_batch *batch;
    int repeats; /* those that were asked for; then those that were taken */
    double limit_s;
    double *step, *segment, *replay;
    double *sorted; /* room for a median */
};

static double now_s(void)
{
    return 1e-9 * (double)ash_now_ns();
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *value, size_t count)
{
    qsort(value, count, sizeof *value, compare);
    return count % 2 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

/* Of the `what`-th of `count` things, over all repeats. */
static double median_of(const struct timing *timing, const double *value, size_t what, size_t count)
{
    for (int r = 0; r < timing->repeats; r++)
        timing->sorted[r] = value[(size_t)r * count + what];
    return median(timing->sorted, (size_t)timing->repeats);
}

static enum ash_status time_segments(struct timing *timing, double *out)
{
    struct ash_plan *plan = timing->plan;
    for (int32_t i = 0; i < plan->segments; i++) {
        double begin_s = now_s();
        ASH_TRY(plan_run_segment(plan, i, timing->batch));
        out[i] = now_s() - begin_s;
    }
    return ASH_OK;
}

/* A copy is a segment of one step, and is timed as that. */
static enum ash_status time_steps(struct timing *timing, double *out)
{
    struct ash_plan *plan = timing->plan;
    for (int32_t i = 0; i < plan->segments; i++)
        for (int32_t s = plan->segment[i].first; s < plan->segment[i].end; s++) {
            double begin_s = now_s();
            ASH_TRY(plan->segment[i].from >= 0 ? plan_run_segment(plan, i, timing->batch)
                                               : plan_run_step(plan, s, timing->batch));
            out[s] = now_s() - begin_s;
        }
    return ASH_OK;
}

/* The first replays do not count: memory is touched and programs are loaded. On a processor the fourth was
 * within a tenth of the later ones, the first took half as long again; of slow ones that must do. */
enum { WARM_UPS = 4 };
static const double slow_s = 0.1;

static enum ash_status time_all(struct timing *timing)
{
    size_t steps = (size_t)timing->plan->summary.steps, segments = (size_t)timing->plan->segments;
    double took_s = 0, first_s = now_s();
    for (int i = 0; i < WARM_UPS && took_s < slow_s; i++, took_s = now_s() - first_s)
        ASH_TRY(ash_plan_run(timing->plan, timing->batch));
    size_t done = 0;
    first_s = now_s();
    do {
        double begin_s = now_s();
        ASH_TRY(ash_plan_run(timing->plan, timing->batch));
        timing->replay[done] = now_s() - begin_s;
        ASH_TRY(time_segments(timing, timing->segment + done * segments));
        ASH_TRY(time_steps(timing, timing->step + done * steps));
    } while (++done < (size_t)timing->repeats && now_s() - first_s < timing->limit_s);
    timing->repeats = (int)done;
    return ASH_OK;
}

static void summarize(const struct timing *timing, double *seconds, double *replay_s)
{
    const struct ash_plan *plan = timing->plan;
    size_t steps = (size_t)plan->summary.steps, segments = (size_t)plan->segments;
    *replay_s = median_of(timing, timing->replay, 0, 1);
    for (int32_t i = 0; i < plan->segments; i++) {
        const struct plan_segment *segment = &plan->segment[i];
        double sum = 0, whole = median_of(timing, timing->segment, (size_t)i, segments);
        for (int32_t s = segment->first; s < segment->end; s++)
            sum += seconds[s] = median_of(timing, timing->step, (size_t)s, steps);
        for (int32_t s = segment->first; s < segment->end; s++)
            seconds[s] *= sum > 0 ? whole / sum : 1;
    }
}

enum ash_status ash_plan_measure(struct ash_plan *plan, const struct ash_batch *batch, int repeats,
    double limit_s, double *seconds, double *replay_s)
{
    size_t count = (size_t)repeats;
    struct timing timing = { .plan = plan,
        .batch = batch,
        .repeats = repeats,
        .limit_s = limit_s,
        .step = ash_alloc_array(count * (size_t)plan->summary.steps, sizeof(double)),
        .segment = ash_alloc_array(count * (size_t)plan->segments, sizeof(double)),
        .replay = ash_alloc_array(count, sizeof(double)),
        .sorted = ash_alloc_array(count, sizeof(double)) };
    enum ash_status status = ASH_OK;
    if (!timing.step || !timing.segment || !timing.replay || !timing.sorted)
        status = ash_fail_memory(count * (size_t)plan->summary.steps * sizeof(double), "times");
    if (status == ASH_OK)
        status = time_all(&timing);
    if (status == ASH_OK)
        summarize(&timing, seconds, replay_s);
    ash_free(timing.step);
    ash_free(timing.segment);
    ash_free(timing.replay);
    ash_free(timing.sorted);
    return status;
}

/* ---- Copies ---- */

enum { COPY_REPEATS = 5, MOST_COPY_BYTES = 4 << 20 };

/* There and back, waited for; the mean of the two, in the median. */
static enum ash_status time_copies(struct ash_device *device, struct ash_buffer *there,
    struct ash_buffer *here, size_t bytes, double *out)
{
    double took[COPY_REPEATS];
    for (int r = -1; r < COPY_REPEATS; r++) {
        struct ash_event done;
        double begin_s = now_s();
        for (int back = 0; back < 2; back++) {
            struct ash_place to = { back ? here : there, 0 }, from = { back ? there : here, 0 };
            ASH_TRY(device->driver->copy(device, to, from, bytes, NULL, 0, &done));
            ASH_TRY(device->driver->wait(device, done));
        }
        took[r < 0 ? 0 : r] = (now_s() - begin_s) / 2;
    }
    *out = median(took, COPY_REPEATS);
    return ASH_OK;
}

static enum ash_status learn_copies(struct ash_device *device, struct ash_buffer *there,
    struct ash_buffer *here, struct ash_cost_model *model)
{
    for (size_t bytes = 4096; bytes <= MOST_COPY_BYTES; bytes *= 32) {
        double seconds;
        const struct ash_cost cost = ash_copy_cost((double)bytes);
        ASH_TRY(time_copies(device, there, here, bytes, &seconds));
        ASH_TRY(ash_cost_model_learn(model, ASH_COPY_KEY, &cost, seconds));
    }
    return ASH_OK;
}

/* From and to pinned memory, as plans have it (plan_pin.c). */
enum ash_status ash_device_learn_copies(struct ash_device *device, struct ash_cost_model *model)
{
    struct ash_buffer here = { .size_bytes = MOST_COPY_BYTES,
        .host = ash_alloc_pages(MOST_COPY_BYTES) },
                      *there = NULL;
    if (!here.host)
        return ash_fail_memory(MOST_COPY_BYTES, "copies");
    memset(here.host, 0, MOST_COPY_BYTES);
    bool pinned = ash_host_pin(device, here.host, MOST_COPY_BYTES);
    enum ash_status status =
        device->driver->alloc(device, MOST_COPY_BYTES, ASH_MEMORY_WEIGHTS, &there);
    if (status == ASH_OK)
        status = learn_copies(device, there, &here, model);
    device->driver->free(there);
    if (pinned)
        ash_host_unpin(device, here.host);
    ash_free(here.host);
    return status;
}

/* ---- Models ---- */

struct looking {
    struct ash_cost_model *const *models;
    const double *seconds; /* [step]; NULL = none */
    double factor;         /* of those */
    double *predicted;     /* [step] */
};

/* Calls `look` with each step that has a model, as that knows it, in their order, until it fails. */
static enum ash_status for_each_step(const struct ash_plan *plan, const struct ash_batch *batch,
    const struct looking *looking,
    enum ash_status (*look)(const struct looking *looking, struct ash_cost_model *model, int32_t i,
        const struct ash_cost_call *call))
{
    for (int32_t i = 0; i < plan->summary.steps; i++) {
        const struct ash_step *step = &plan->step[i];
        int32_t device = plan->node[i].device;
        struct ash_cost_call call;
        if (!looking->models[device])
            continue;
        ash_cost_call_of(plan->device[device].device, step->op, &step->args, batch, &call);
        ASH_TRY(look(looking, looking->models[device], i, &call));
    }
    return ASH_OK;
}

static enum ash_status learn(const struct looking *looking, struct ash_cost_model *model, int32_t i,
    const struct ash_cost_call *call)
{
    double seconds = looking->seconds[i] * looking->factor;
    return seconds > 0 ? ash_cost_model_learn(model, call->key, &call->cost, seconds) : ASH_OK;
}

static enum ash_status predict(const struct looking *looking, struct ash_cost_model *model,
    int32_t i, const struct ash_cost_call *call)
{
    looking->predicted[i] = ash_cost_model_predict(model, call->key, &call->cost);
    return ASH_OK;
}

enum ash_status ash_plan_learn(const struct ash_plan *plan, const struct ash_batch *batch,
    const double *seconds, struct ash_cost_model *const *models)
{
    const struct looking looking = { .models = models, .seconds = seconds, .factor = 1 };
    return for_each_step(plan, batch, &looking, learn);
}

/* Of every step, into *out [steps], for the caller to ash_free(); their sum into *sum. */
static enum ash_status predict_all(const struct ash_plan *plan, const struct ash_batch *batch,
    struct ash_cost_model *const *models, double **out, double *sum)
{
    size_t steps = (size_t)plan->summary.steps;
    double *predicted = ash_alloc_array(steps, sizeof *predicted);
    if (!predicted)
        return ash_fail_memory(steps * sizeof *predicted, "predictions");
    const struct looking looking = { .models = models, .predicted = predicted };
    enum ash_status status = for_each_step(plan, batch, &looking, predict);
    if (status != ASH_OK) {
        ash_free(predicted);
        return status;
    }
    *sum = 0;
    for (size_t i = 0; i < steps; i++)
        *sum += predicted[i];
    *out = predicted;
    return ASH_OK;
}

enum ash_status ash_plan_fit(const struct ash_plan *plan, const struct ash_batch *batch,
    double replay_s, struct ash_cost_model *const *models)
{
    double *predicted = NULL, sum = 0;
    ASH_TRY(predict_all(plan, batch, models, &predicted, &sum));
    const struct looking looking = {
        .models = models, .seconds = predicted, .factor = sum > 0 ? replay_s / sum : 0
    };
    enum ash_status status = for_each_step(plan, batch, &looking, learn);
    ash_free(predicted);
    return status;
}

enum ash_status ash_plan_compare(const struct ash_plan *plan, const struct ash_batch *batch,
    struct ash_cost_model *const *models, const double *seconds, double *predicted_s,
    double *error_out)
{
    size_t counted = 0;
    double *error = NULL;
    *predicted_s = 0;
    ASH_TRY(predict_all(plan, batch, models, &error, predicted_s));
    for (int32_t i = 0; i < plan->summary.steps; i++)
        if (seconds && seconds[i] > 0)
            error[counted++] = fabs(error[i] - seconds[i]) / seconds[i];
    *error_out = counted ? median(error, counted) : 0;
    ash_free(error);
    return ASH_OK;
}
