/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar plan`: what runs when a model runs: steps, kernels, memory, and how long it should take. */
#include "runtime/bandwidth.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/thread.h"
#include "scheduler/draw.h"
#include "tools/ashlar/commands.h"
#include "tools/ashlar/load.h"
#include "tools/ashlar/plan_batch.h"
#include "tools/ashlar/plan_machine.h"
#include "tools/ashlar/plan_measure.h"

#include <errno.h>
#include <string.h>

struct options {
    int64_t tokens, sequences, depth;
    const char *dot, *svg, *machine, *table;
    bool json, measure;
};

/* Roofs for the predictions: before the runtime starts a team of its own. */
static enum ash_status measure(const struct ash_cli *cli, struct ash_plan_view *view)
{
    struct ash_team *team;
    struct ash_bandwidth one, all;
    struct ash_team_options options = { .threads = (int)cli->config.threads };
    ASH_TRY(ash_team_create(&options, &team));
    enum ash_status status = ash_bandwidth_measure(team, &one, &all);
    ash_team_destroy(team);
    if (status != ASH_OK)
        return status;
    view->bytes_per_s = all.read_gbps * 1e9;
    view->flops_per_s = all.int8_gops * 1e9;
    return ASH_OK;
}

/* Writes one drawing to a file, or to standard output for "-". */
static enum ash_status draw(const struct ash_plan_view *view, const char *path,
    enum ash_status (*print)(const struct ash_plan_view *view, FILE *out))
{
    if (strcmp(path, "-") == 0)
        return print(view, stdout);
    FILE *file = fopen(path, "we");
    if (!file)
        return ash_fail(ASH_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    enum ash_status status = print(view, file);
    if (fclose(file) != 0 && status == ASH_OK)
        status = ash_fail(ASH_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return status;
}

static enum ash_status show(const struct ash_cli *cli, const struct ash_plan_view *view)
{
    const struct options *options = cli->options;
    if (options->dot)
        ASH_TRY(draw(view, options->dot, ash_plan_print_dot));
    if (options->svg)
        ASH_TRY(draw(view, options->svg, ash_plan_print_svg));
    if (options->json) {
        json_t *json = ash_plan_json(view);
        if (!json)
            return ash_fail_memory(1, "the plan as JSON");
        enum ash_status status = ash_json_print(json, stdout);
        json_decref(json);
        return status;
    }
    return options->dot || options->svg ? ASH_OK : ash_plan_print_text(view, stdout);
}

static enum ash_status run_and_show(const struct ash_cli *cli, const struct ash_model *model,
    struct ash_plan *plan, struct ash_plan_view *view)
{
    const struct options *options = cli->options;
    struct ash_plan_summary summary;
    ash_plan_summary(plan, &summary);
    view->plan = plan;
    double *seconds = NULL;
    if (options->measure) {
        seconds = ash_alloc_array((size_t)summary.steps, sizeof *seconds);
        if (!seconds)
            return ash_fail_memory((size_t)summary.steps * sizeof *seconds, "times");
    }
    enum ash_status status = ash_measure_plan(model, plan, seconds, view);
    if (status == ASH_OK)
        status = show(cli, view);
    ash_free(seconds);
    return status;
}

/* The sequences' tokens, which are as many as fit unless the user says. */
static enum ash_status show_batch(
    const struct ash_cli *cli, struct ash_model *model, struct ash_plan_view *view)
{
    const struct options *options = cli->options;
    struct ash_plan_batch batch;
    struct ash_plan_shape shape = { (int32_t)options->sequences, (int32_t)options->tokens,
        (int32_t)options->depth };
    if (shape.tokens == 0)
        shape.tokens = model->batch_tokens / shape.sequences;
    ASH_TRY(ash_plan_batch_create(model, &shape, &batch));
    view->batch = &batch.batch;
    enum ash_status status = options->measure ? ash_plan_batch_prefill(model, &shape) : ASH_OK;
    if (status == ASH_OK)
        status =
            run_and_show(cli, model, options->tokens == 1 ? model->plan : model->prompts, view);
    ash_plan_batch_finish(&batch);
    return status;
}

/* Every device by itself, so that the placement which comes then knows them. */
static enum ash_status measure_devices(const struct ash_cli *cli, struct ash_loaded_model *loaded)
{
    const struct options *options = cli->options;
    bool words = !options->json && !options->dot && !options->svg && !cli->quiet;
    char *path;
    ASH_TRY(ash_model_find(&loaded->runtime->config, loaded->name, &path));
    const struct ash_measuring measuring = { path, loaded->model->context,
        (int32_t)options->depth };
    ash_model_destroy(loaded->model);
    loaded->model = NULL;
    enum ash_status status =
        ash_measure_devices(loaded->runtime, &measuring, words ? stdout : NULL);
    if (status == ASH_OK)
        status = ash_model_open(loaded->runtime, path,
            &(struct ash_model_options){
                .plan_only = true, .load = { .sessions = (int32_t)options->sequences } },
            &loaded->model);
    ash_free(path);
    return status;
}

/* What goes together, so that no wish is passed over in silence. */
static enum ash_status check(const struct options *options)
{
    if (options->machine && (options->measure || options->dot || options->svg))
        return ash_fail(ASH_ERR_ARGUMENT,
            "plan: --measure, --dot and --svg are for the machine at hand, not for --machine");
    if (options->table && !options->machine)
        return ash_fail(ASH_ERR_ARGUMENT,
            "plan: --device-table tells of the machine that --machine names: give both");
    return ASH_OK;
}

static enum ash_status run(struct ash_cli *cli)
{
    const struct options *options = cli->options;
    struct ash_plan_view view = { 0 };
    struct ash_loaded_model loaded;
    ASH_TRY(check(options));
    if (options->machine)
        return ash_plan_show_machine(cli, &(struct ash_machine_view){ .topology = options->machine,
                                              .table = options->table,
                                              .tokens = options->tokens,
                                              .depth = options->depth,
                                              .json = options->json });
    if (options->measure)
        ASH_TRY(measure(cli, &view));
    const struct ash_model_options model_options = { .plan_only = !options->measure,
        .shape_only = options->measure,
        .load = { .sessions = (int32_t)options->sequences } };
    ASH_TRY(ash_load(cli, &model_options, &loaded));
    enum ash_status status = options->measure ? measure_devices(cli, &loaded) : ASH_OK;
    view.title = loaded.name;
    if (status == ASH_OK)
        status = show_batch(cli, loaded.model, &view);
    ash_unload(&loaded);
    return status;
}

static const struct ash_option options[] = {
    { "tokens", 0, ASH_OPTION_INTEGER, offsetof(struct options, tokens), "N", 0, INT32_MAX,
        .fallback = "0",
        .help =
            "tokens of each sequence in the batch whose work is counted; 0 = the largest batch; 1 shows the plan of "
            "answers, more that of prompts" },
    { "sequences", 0, ASH_OPTION_INTEGER, offsetof(struct options, sequences), "N", 1, 4096,
        .fallback = "1", .help = "sequences that are in the batch, each with its --tokens" },
    { "depth", 0, ASH_OPTION_INTEGER, offsetof(struct options, depth), "N", 0, INT32_MAX,
        .fallback = "0", .help = "positions that are in the cache before it" },
    { "measure", 0, ASH_OPTION_SWITCH, offsetof(struct options, measure),
        .help = "measure this machine first, predict times, and keep what each device takes for "
                "placement" },
    { "dot", 0, ASH_OPTION_FILE, offsetof(struct options, dot), "FILE",
        .help = "write the graph for Graphviz; - = standard output" },
    { "svg", 0, ASH_OPTION_FILE, offsetof(struct options, svg), "FILE",
        .help = "draw how results share memory over time" },
    { "machine", 0, ASH_OPTION_FILE, offsetof(struct options, machine), "FILE",
        .help = "plan for the machine of this hwloc XML, not for this one" },
    { "device-table", 0, ASH_OPTION_FILE, offsetof(struct options, table), "FILE",
        .help = "what devices that machine has, and how fast they are (JSON)" },
    { "json", 0, ASH_OPTION_SWITCH, offsetof(struct options, json), .help = "print JSON" },
    { 0 },
};

static const char *const settings[] = { ASH_LOAD_SETTINGS, "context", NULL };

static const struct ash_example examples[] = {
    { "ashlar plan --tokens 1 --measure", "Show what decoding one token takes." },
    { "ashlar plan --svg plan.svg --dot plan.dot", "Draw the plan." },
    { "ashlar plan --machine server.xml --device-table server.json",
        "Plan for a server that is not here." },
    { 0 },
};

const struct ash_command ash_command_plan = {
    .name = "plan",
    .summary = "show the plan that a model runs by",
    .description =
        "Plans the model for this machine and prints its steps: operator, shapes, kernel, bytes, "
        "operations, and where in the arena the result lies.\n\n"
        "With --measure the memory's bandwidth and the processor's peak are measured, and each step's "
        "least time is predicted from them: no step can be faster than its bytes over the bandwidth, "
        "or its operations over the peak. The model then runs on each device of --device by itself; what "
        "every operator took is kept in cache_dir, and from then on decides what runs where.\n\n"
        "With --machine the model is placed on the devices of another machine: which operators run "
        "where, what each device holds, and how many tokens a second that should give. The machine is "
        "a file that lstopo wrote there (or synthetic:DESCRIPTION); --device-table says what its "
        "devices are and how fast (docs/machines.md).",
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = settings,
    .examples = examples,
    .run = run,
};
