/* SPDX-License-Identifier: Apache-2.0 */
/* Prefill and decoding of a model, by hand-made batches: no sampling, no text, nothing but the plan. */
#include "models/replay.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/trace.h"
#include "tools/ashlar/bench.h"
#include "tools/ashlar/load.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>

enum { WARM_UP_STEPS = 8 };

/* The work of one pass: what must come from memory, the arithmetic, and how long the units that do it would
 * take at their peaks (NAN where these are not known). */
struct work {
    double bytes, flops, busy_s;
};

struct bench {
    struct ash_cli *cli;
    const struct bench_options *options;
    struct bench_points points;
    struct ash_bandwidth roof;
    struct ash_loaded_model loaded;
    double load_s;
    int32_t *token;        /* (positions) random ids */
    int32_t *span_of;      /* (batch_tokens or sequences) of the batch at hand */
    struct ash_span *span; /* the same */
    double *sample_s;      /* (repeats) */
    struct ash_table *table;
    json_t *samples; /* an array of arrays, one for each row of the table */
};

/* ---- One pass ---- */

/* How far a prefill has come: all prompts before `sequence`, and its tokens before `at`. */
struct prefilled {
    int32_t sequence, at;
};

/*
 * The next batch of a prefill, as full as can be: what is left of a prompt, then the prompts that follow.
 * Fills bench->span and span_of; no spans when all prompts are done.
 */
static struct ash_batch next_batch(
    const struct bench *bench, const struct bench_point *point, struct prefilled *done)
{
    struct ash_batch batch = { .token_span = bench->span_of, .span = bench->span };
    int32_t room = bench->loaded.model->batch_tokens;
    while (room > 0 && done->sequence < point->sequences) {
        int32_t left = point->tokens - done->at, tokens = left < room ? left : room;
        bench->span[batch.spans] =
            (struct ash_span){ batch.tokens, tokens, point->depth + done->at, NULL };
        for (int32_t i = 0; i < tokens; i++)
            bench->span_of[batch.tokens + i] = batch.spans;
        batch.outputs += tokens == left;
        batch.tokens += tokens;
        batch.spans++;
        room -= tokens;
        done->at += tokens;
        if (tokens == left)
            *done = (struct prefilled){ done->sequence + 1, 0 };
    }
    return batch;
}

/* The tokens of every sequence, in pieces; the logits of each one's last token are computed. */
static enum ash_status prefill(
    const struct bench *bench, struct ash_replay *replay, const struct bench_point *point)
{
    struct prefilled done = { 0 };
    while (done.sequence < point->sequences) {
        int32_t first = done.sequence;
        struct ash_batch batch = next_batch(bench, point, &done);
        ash_replay_begin(replay, true);
        for (int32_t i = 0; i < batch.spans; i++) {
            const struct ash_span *span = &batch.span[i];
            int32_t from = span->first_position, end = from + span->tokens;
            ASH_TRY(ash_replay_add(replay, first + i, from, bench->token + from, span->tokens,
                end == point->depth + point->tokens));
        }
        ASH_TRY(ash_replay_run(replay, NULL));
    }
    return ASH_OK;
}

/* `steps` tokens of every sequence, all sequences in one batch. */
static enum ash_status decode(const struct bench *bench, struct ash_replay *replay,
    const struct bench_point *point, int32_t steps)
{
    for (int32_t at = point->depth; at < point->depth + steps; at++) {
        ash_replay_begin(replay, false);
        for (int32_t s = 0; s < point->sequences; s++)
            ASH_TRY(ash_replay_add(replay, s, at, bench->token + at, 1, 1));
        ASH_TRY(ash_replay_run(replay, NULL));
    }
    return ASH_OK;
}

static enum ash_status pass(
    const struct bench *bench, struct ash_replay *replay, const struct bench_point *point)
{
    return point->decode ? decode(bench, replay, point, point->tokens)
                         : prefill(bench, replay, point);
}

static enum ash_status warm_up(
    const struct bench *bench, struct ash_replay *replay, const struct bench_point *point)
{
    if (!point->decode)
        return pass(bench, replay, point);
    int32_t steps = point->tokens < WARM_UP_STEPS ? point->tokens : WARM_UP_STEPS;
    return decode(bench, replay, point, steps);
}

/* ---- The work of a pass ---- */

/* What the kernel of a step needs to run; nothing for one that is not the processor's. */
static uint64_t needs_of(const struct ash_step *step)
{
    for (const struct ash_kernel *kernel = step->op->kernels; kernel && kernel->run; kernel++)
        if (strcmp(kernel->name, step->loaded->kernel) == 0)
            return kernel->needs;
    return 0;
}

static enum ash_status add_work(const struct bench *bench, const struct ash_plan *plan,
    const struct ash_batch *batch, double times, struct work *out)
{
    struct ash_plan_summary summary;
    ash_plan_summary(plan, &summary);
    for (int32_t i = 0; i < summary.steps; i++) {
        struct ash_plan_step step;
        const char *unit;
        ASH_TRY(ash_plan_step_at(plan, i, batch, &step));
        struct ash_args args = step.step->args;
        ash_args_bind(&args, batch);
        double gops = bench_peak_gops(&bench->roof, needs_of(step.step), args.in[0].type, &unit);
        out->bytes += times * bench_memory_bytes(&args, &step.cost);
        out->flops += times * step.cost.flops;
        out->busy_s += times * step.cost.flops * 1e-9 / gops;
    }
    return ASH_OK;
}

/* Decoding: the step in the middle stands for all, as what they read grows evenly. */
static enum ash_status decode_work(
    const struct bench *bench, const struct bench_point *point, struct work *out)
{
    for (int32_t i = 0; i < point->sequences; i++) {
        bench->span[i] = (struct ash_span){ i, 1, point->depth + (point->tokens - 1) / 2, NULL };
        bench->span_of[i] = i;
    }
    struct ash_batch batch = { .tokens = point->sequences,
        .outputs = point->sequences,
        .spans = point->sequences,
        .token_span = bench->span_of,
        .span = bench->span };
    return add_work(bench, bench->loaded.model->plan, &batch, point->tokens, out);
}

static enum ash_status prefill_work(
    const struct bench *bench, const struct bench_point *point, struct work *out)
{
    struct prefilled done = { 0 };
    while (done.sequence < point->sequences) {
        struct ash_batch batch = next_batch(bench, point, &done);
        ASH_TRY(add_work(bench, bench->loaded.model->prompts, &batch, 1, out));
    }
    return ASH_OK;
}

/* ---- One point ---- */

static void add_row(struct bench *bench, const struct bench_point *point, const struct work *work,
    const struct bench_summary *seconds, double foreign_percent)
{
    char name[64];
    const struct ash_bandwidth *roof = &bench->roof;
    double s = seconds->median, tokens = (double)point->tokens * point->sequences;
    double gbps = work->bytes / s * 1e-9;
    snprintf(name, sizeof name, "%s %d", point->decode ? "decode" : "prefill", point->tokens);
    ash_table_text(bench->table, name);
    ash_table_integer(bench->table, point->depth);
    ash_table_integer(bench->table, point->sequences);
    ash_table_real(bench->table, tokens / s, 1);
    ash_table_real(bench->table, tokens / seconds->max, 1);
    ash_table_real(bench->table, tokens / seconds->min, 1);
    ash_table_real(bench->table, s * 1e3 / (point->decode ? point->tokens : 1), 3);
    ash_table_real(bench->table, gbps, 2);
    ash_table_real(bench->table, bench_percent(gbps, roof->read_gbps), 0);
    ash_table_real(bench->table, work->flops / s * 1e-9, 1);
    ash_table_real(bench->table, 100 * work->busy_s / s, 0);
    ash_table_real(bench->table, foreign_percent, 0);
}

static enum ash_status add_samples(struct bench *bench)
{
    json_t *list = json_array();
    int failed = !list;
    for (int64_t i = 0; i < bench->options->repeats && !failed; i++)
        failed = json_array_append_new(list, json_real(bench->sample_s[i] * 1e3));
    if (failed) {
        json_decref(list);
        return ash_fail_memory(64, "the samples as JSON");
    }
    if (json_array_append_new(bench->samples, list) != 0)
        return ash_fail_memory(64, "the samples as JSON");
    return ASH_OK;
}

static enum ash_status repeat(
    struct bench *bench, struct ash_replay *replay, const struct bench_point *point)
{
    struct work work = { 0 };
    struct bench_cpu before, after;
    ASH_TRY(point->decode ? decode_work(bench, point, &work) : prefill_work(bench, point, &work));
    if (point->depth > 0)
        ASH_TRY(prefill(bench, replay,
            &(struct bench_point){ .tokens = point->depth, .sequences = point->sequences }));
    if (!bench->options->no_warm_up)
        ASH_TRY(warm_up(bench, replay, point));
    bench_cpu_read(&before);
    for (int64_t i = 0; i < bench->options->repeats; i++) {
        int64_t start_ns = ash_now_ns();
        ASH_TRY(pass(bench, replay, point));
        bench->sample_s[i] = (double)(ash_now_ns() - start_ns) * 1e-9;
    }
    bench_cpu_read(&after);
    ASH_TRY(add_samples(bench));
    struct bench_summary seconds = bench_summarise(bench->sample_s, bench->options->repeats);
    add_row(bench, point, &work, &seconds, bench_foreign_percent(&before, &after));
    return ASH_OK;
}

static enum ash_status measure_point(struct bench *bench, int32_t index)
{
    const struct bench_point *point = &bench->points.point[index];
    char what[128];
    snprintf(what, sizeof what, "%s of %d at %d, %d of %d", point->decode ? "decoding" : "prefill",
        point->tokens, point->depth, index + 1, bench->points.count);
    bench_say(bench->cli, what);
    struct ash_replay *replay;
    ASH_TRY(ash_replay_create(
        bench->loaded.model, point->sequences, point->depth + point->tokens, &replay));
    enum ash_status status = repeat(bench, replay, point);
    ash_replay_destroy(replay);
    return status;
}

/* ---- The result ---- */

static const struct ash_column columns[] = {
    { "TEST", "test", ASH_ALIGN_LEFT },
    { "DEPTH", "depth", ASH_ALIGN_RIGHT },
    { "SEQS", "sequences", ASH_ALIGN_RIGHT },
    { "TOKENS/S", "tokens_per_s", ASH_ALIGN_RIGHT },
    { "LEAST", "tokens_per_s_min", ASH_ALIGN_RIGHT },
    { "MOST", "tokens_per_s_max", ASH_ALIGN_RIGHT },
    { "MS", "ms", ASH_ALIGN_RIGHT },
    { "GB/S", "gbps", ASH_ALIGN_RIGHT },
    { "OF ROOF %", "percent_of_read", ASH_ALIGN_RIGHT },
    { "GOP/S", "gops", ASH_ALIGN_RIGHT },
    { "OF ROOF %", "percent_of_compute", ASH_ALIGN_RIGHT },
    { "NOISE %", "foreign_cpu_percent", ASH_ALIGN_RIGHT },
};

static int64_t peak_rss_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss * INT64_C(1024);
}

static json_t *describe(const struct bench *bench)
{
    const struct ash_model *model = bench->loaded.model;
    const struct ash_device *device = bench->loaded.runtime->device[0];
    struct ash_plan_summary plan;
    ash_plan_summary(model->plan, &plan);
    return json_pack("{s:o, s:s, s:s, s:s, s:I, s:s, s:i, s:i, s:I, s:I, s:I, s:f, s:I}", "model",
        ash_json_text(bench->loaded.name, strlen(bench->loaded.name)), "architecture",
        model->arch->name, "driver", device->driver->name, "device", device->info.name, "threads",
        (json_int_t)bench->loaded.runtime->config.threads, "kv_type",
        ash_type_info(model->kv_type)->name, "batch_tokens", model->batch_tokens, "context",
        model->context, "repeats", (json_int_t)bench->options->repeats, "weight_bytes",
        (json_int_t)(plan.weight_bytes + plan.mapped_bytes), "state_bytes",
        (json_int_t)plan.state_bytes, "load_ms", bench->load_s * 1e3, "peak_rss_bytes",
        (json_int_t)peak_rss_bytes());
}

static enum ash_status print_json(const struct bench *bench, double foreign_percent)
{
    json_t *object = describe(bench), *rows = ash_table_json(bench->table);
    int failed = !object || !rows;
    for (size_t i = 0; !failed && i < json_array_size(rows); i++)
        failed = json_object_set(
            json_array_get(rows, i), "samples_ms", json_array_get(bench->samples, i));
    failed = failed || bench_json_conditions(object, &bench->roof, foreign_percent) ||
             json_object_set(object, "results", rows);
    json_decref(rows);
    enum ash_status status = ash_json_print(failed ? NULL : object, stdout);
    json_decref(object);
    return status;
}

static enum ash_status print(const struct bench *bench, double foreign_percent)
{
    bench_say(bench->cli, NULL);
    if (bench->options->json)
        return print_json(bench, foreign_percent);
    ASH_TRY(ash_table_print(bench->table, stdout));
    bench_print_conditions(&bench->roof, foreign_percent, stdout);
    return ASH_OK;
}

/* ---- All of it ---- */

static enum ash_status allocate(struct bench *bench)
{
    const struct ash_model *model = bench->loaded.model;
    size_t positions = (size_t)bench->points.positions, repeats = (size_t)bench->options->repeats;
    size_t batch =
        (size_t)(model->batch_tokens > bench->points.sequences ? model->batch_tokens
                                                               : bench->points.sequences);
    bench->token = ash_alloc_array(positions, sizeof *bench->token);
    bench->span_of = ash_alloc_array(batch, sizeof *bench->span_of);
    bench->span = ash_alloc_array(batch, sizeof *bench->span);
    bench->sample_s = ash_alloc_array(repeats, sizeof *bench->sample_s);
    bench->samples = json_array();
    if (!bench->token || !bench->span_of || !bench->span || !bench->sample_s || !bench->samples)
        return ash_fail_memory(positions * sizeof *bench->token, "the tokens to run");
    uint64_t state = 1; /* xorshift64*, Vigna 2016: the same tokens every time */
    for (size_t i = 0; i < positions; i++) {
        state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
        uint64_t number = state * 0x2545f4914f6cdd1du >> 33;
        bench->token[i] = (int32_t)(number % (uint64_t)model->shape.vocabulary);
    }
    return ash_table_create(columns, sizeof columns / sizeof *columns, &bench->table);
}

static enum ash_status measure(struct bench *bench)
{
    struct bench_cpu before, after;
    ASH_TRY(allocate(bench));
    bench_cpu_read(&before);
    for (int32_t i = 0; i < bench->points.count; i++)
        ASH_TRY(measure_point(bench, i));
    bench_cpu_read(&after);
    return print(bench, bench_foreign_percent(&before, &after));
}

enum ash_status bench_model(struct ash_cli *cli)
{
    struct bench bench = { .cli = cli, .options = cli->options };
    ASH_TRY(bench_points_read(bench.options, &bench.points));
    ASH_TRY(bench_points_check(&bench.points, &cli->config));
    ASH_TRY(bench_roof(cli, &bench.roof));
    struct ash_model_options options = { .load = { .sessions = bench.points.sequences } };
    int64_t start_ns = ash_now_ns();
    ASH_TRY(ash_load(cli, &options, &bench.loaded));
    bench.load_s = (double)(ash_now_ns() - start_ns) * 1e-9;
    enum ash_status status = measure(&bench);
    ash_table_destroy(bench.table);
    json_decref(bench.samples);
    ash_free(bench.token);
    ash_free(bench.span_of);
    ash_free(bench.span);
    ash_free(bench.sample_s);
    ash_unload(&bench.loaded);
    return status;
}
