/* SPDX-License-Identifier: Apache-2.0 */
#include "models/model.h"

#include "kernels/attention/attention.h"
#include "models/lookup.h"
#include "models/registry.h"
#include "runtime/config.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>

/* A context nobody asked for is not given: a model trained for 128 K positions would reserve
 * gigabytes of address space, and plans for it would be drawn too pessimistically. */
enum { DEFAULT_CONTEXT = 8192, IN_PLACE_BYTES = 1 << 20 };

/* Rows of logits for guessed tokens, shared by all sequences: two of the longest guesses. */
enum { DRAFT_ROWS = 2 * ASH_DRAFT_TOKENS };

/* Of several devices: the clock knows nothing of what else those that share a processor or a bus do to each
 * other, so they must promise a tenth over the best alone. */
static const double worth = 0.9;

struct loading {
    struct ash_model *model;
    const struct ash_load_options *load;
};

static bool on_progress(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    const struct ash_load_options *load = ((struct loading *)context)->load;
    return !load->progress || load->progress(load->context, done_bytes, total_bytes);
}

static void on_release(void *context, const struct ash_tensor *weight)
{
    ash_gguf_release(((struct loading *)context)->model->file, weight);
}

/* Pages for every sequence's whole context, and one more each so that a cached prefix survives. */
static int64_t count_pages(const struct ash_model *model)
{
    int64_t each = ((int64_t)model->context + ASH_PAGE_POSITIONS - 1) / ASH_PAGE_POSITIONS + 1;
    return each * model->sequences;
}

/* The limits of this run, from the settings and what the model was trained for. */
static enum ash_status choose_limits(
    struct ash_model *model, const struct ash_model_options *options)
{
    const struct ash_config *config = &model->runtime->config;
    int64_t trained = model->shape.context;
    int64_t context =
        config->context ? config->context : (trained < DEFAULT_CONTEXT ? trained : DEFAULT_CONTEXT);
    if (context > trained)
        return ash_fail(ASH_ERR_LIMIT,
            "%s was trained for a context of %lld positions; %lld were asked for: lower --context",
            ash_gguf_path(model->file), (long long)trained, (long long)context);
    int32_t sequences = options->load.sessions ? options->load.sessions : 1;
    if (sequences < 1 || sequences > 4096)
        return ash_fail(ASH_ERR_ARGUMENT, "%d sessions at once; 1 to 4096 are possible", sequences);
    model->context = (int32_t)context;
    model->sequences = sequences;
    if (count_pages(model) > INT32_MAX)
        return ash_fail(ASH_ERR_LIMIT,
            "%d sessions of %lld positions need %lld pages of cache; at most %d can be counted: lower "
            "--context or take fewer sessions",
            sequences, (long long)context, (long long)count_pages(model), INT32_MAX);
    model->batch_tokens =
        (int32_t)(config->batch_tokens < context ? config->batch_tokens : context);
    if (model->batch_tokens < sequences)
        model->batch_tokens = sequences;
    int32_t guesses = config->speculate == ASH_SPECULATE_AUTO ? DRAFT_ROWS : 0;
    model->outputs = options->outputs ? options->outputs : sequences + guesses;
    if (model->outputs < sequences)
        model->outputs = sequences;
    if (model->outputs > model->batch_tokens)
        model->outputs = model->batch_tokens;
    return ASH_OK;
}

/* The list may be shorter than the embedding, which is padded; never longer: its ids become rows. */
static enum ash_status load_tokenizer(struct ash_model *model)
{
    ASH_TRY(ash_tokenizer_from_gguf(model->file, &model->tokenizer));
    int32_t tokens = ash_tokenizer_describe(model->tokenizer).token_count;
    if (tokens > model->shape.vocabulary)
        return ash_fail(ASH_ERR_FORMAT,
            "%s: the tokenizer has %d tokens, token_embd.weight only %lld rows",
            ash_gguf_path(model->file), tokens, (long long)model->shape.vocabulary);
    return ASH_OK;
}

/* A template that cannot be used spoils conversations only: the model can still continue a text. */
static enum ash_status load_template(struct ash_model *model)
{
    struct ash_gguf_string source = { ash_template_chatml, strlen(ash_template_chatml) };
    model->chat_is_fallback = !ash_gguf_has(model->file, "tokenizer.chat_template");
    enum ash_status status = ASH_OK;
    if (!model->chat_is_fallback)
        status = ash_gguf_get_string(model->file, "tokenizer.chat_template", &source);
    if (status == ASH_OK)
        status = ash_template_parse(source.text, source.length, &model->chat);
    if (status == ASH_OK || status == ASH_ERR_NO_MEMORY)
        return status;
    model->chat_status = status;
    snprintf(model->chat_error, sizeof model->chat_error, "%s: %s", ash_gguf_path(model->file),
        ash_error());
    return ASH_OK;
}

/* Whether the device has a kernel of attention that is made for a cache in BF16. */
static enum ash_status is_fast_with_bf16(
    const struct ash_model *model, struct ash_device *device, bool *out)
{
    const struct ash_model_shape *shape = &model->shape;
    struct ash_attention_params params = { .heads = (int)shape->heads, .scale = 1 };
    struct ash_args args = { .params = &params };
    int64_t q[] = { 1, shape->heads * shape->head_size };
    int64_t cache[] = { 1, shape->kv_heads, ASH_PAGE_POSITIONS, shape->head_size };
    ASH_TRY(ash_tensor_init(ASH_F32, 2, q, &args.in[0]));
    ASH_TRY(ash_tensor_init(ASH_BF16, 4, cache, &args.in[1]));
    args.in[2] = args.in[1];
    args.out = args.in[0];
    args.prompts = true; /* that is where it matters most */
    struct ash_loaded *loaded = NULL;
    enum ash_status status = device->driver->load(device, &ash_op_attention, &args, &loaded);
    *out = status == ASH_OK && !loaded->fallback;
    device->driver->unload(device, loaded);
    return status == ASH_ERR_NO_MEMORY ? status : ASH_OK;
}

static enum ash_status choose_kv_type(struct ash_model *model)
{
    bool fast = true;
    int wanted = model->runtime->config.kv_type;
    for (int32_t i = 0; i < model->devices.count && wanted == ASH_KV_AUTO && fast; i++)
        ASH_TRY(is_fast_with_bf16(model, model->devices.device[i], &fast));
    model->kv_type = wanted != ASH_KV_AUTO ? (enum ash_type)wanted : fast ? ASH_BF16 : ASH_F16;
    return ASH_OK;
}

static enum ash_status add_to_graph(
    const struct ash_model *model, const struct ash_split *split, struct ash_graph *graph)
{
    struct ash_build build = {
        .file = model->file,
        .shape = &model->shape,
        .graph = graph,
        .split = split,
        .kv_type = model->kv_type,
        .kv_pages = count_pages(model),
        .sequences = model->sequences,
        .scratch = ASH_NO_VALUE,
    };
    ash_value logits = model->arch->build(&build);
    ASH_TRY(ash_graph_status(graph));
    ash_graph_mark_output(graph, logits);
    return ASH_OK;
}

static enum ash_status build_graph(
    void *context, const struct ash_split *split, struct ash_graph **out)
{
    const struct ash_model *model = context;
    struct ash_graph *graph;
    ASH_TRY(ash_graph_create(model->batch_tokens, model->outputs, &graph));
    enum ash_status status = add_to_graph(model, split, graph);
    if (status == ASH_OK)
        *out = graph;
    else
        ash_graph_destroy(graph);
    return status;
}

struct ash_placing ash_model_placing(struct ash_model *model)
{
    return (struct ash_placing){
        .shape = &model->shape, .build = build_graph, .context = model, .worth = worth
    };
}

static ash_value find_logits(const struct ash_graph *graph)
{
    ash_value value = 0;
    while (!ash_graph_value_at(graph, value)->output)
        value++;
    return value;
}

/* Prompts get a plan of their own where the devices have other kernels for them. */
static enum ash_status make_prompts(
    struct ash_model *model, const struct ash_graph *graph, struct ash_plan_options *options)
{
    struct ash_plan *prompts;
    model->prompts = model->plan;
    options->answers = model->plan;
    options->progress = NULL;
    ASH_TRY(ash_plan_create(graph, options, &prompts));
    if (ash_plan_is_same(prompts, model->plan))
        ash_plan_destroy(prompts);
    else
        model->prompts = prompts;
    return ASH_OK;
}

static void drop_plans(struct ash_model *model)
{
    if (model->prompts != model->plan)
        ash_plan_destroy(model->prompts);
    ash_plan_destroy(model->plan);
    model->plan = model->prompts = NULL;
}

static enum ash_status try_plans(
    struct ash_model *model, const struct ash_model_options *options, int32_t *failed)
{
    struct loading loading = { .model = model, .load = &options->load };
    const struct ash_placing placing = ash_model_placing(model);
    const struct ash_device_limits limits = { model->context, model->batch_tokens };
    struct ash_placed placed;
    ASH_TRY(
        ash_devices_place(&model->devices, &placing, &model->runtime->config, &limits, &placed));
    struct ash_plan_options plan = {
        .devices = model->devices.device,
        .device_count = model->devices.count,
        .placement = placed.placement.device,
        .failed_out = failed,
        .no_fusion = options->no_fusion,
        .in_place_bytes = IN_PLACE_BYTES,
        .trace = options->trace,
        .progress = on_progress,
        .release = on_release,
        .context = &loading,
    };
    model->logits = find_logits(placed.graph);
    enum ash_status status = ash_plan_create(placed.graph, &plan, &model->plan);
    if (status == ASH_OK)
        status = make_prompts(model, placed.graph, &plan);
    if (status == ASH_OK && placed.micro_tokens > 0)
        status = ash_plan_add_micro(model->prompts, placed.graph, &plan, placed.micro_tokens);
    if (status != ASH_OK)
        drop_plans(model);
    ash_placed_finish(&placed);
    return status;
}

/* Again without a device that fails, and with less on one that is full, as long as there is a way. */
static enum ash_status make_plans(struct ash_model *model, const struct ash_model_options *options)
{
    enum ash_status status;
    int32_t failed;
    do {
        failed = -1;
        status = try_plans(model, options, &failed);
    } while (status != ASH_OK && ash_devices_give_way(&model->devices, status, failed));
    return status;
}

static enum ash_status load_weights(
    struct ash_model *model, const struct ash_model_options *options)
{
    ASH_TRY(make_plans(model, options));
    ash_gguf_release_all(model->file);
    return ash_gguf_check_unchanged(model->file); /* half of it may be another model's */
}

/* The device that failed under the plan that ran last; -1 if it was none's. */
static int32_t find_failed(const struct ash_model *model)
{
    int32_t failed = ash_plan_failed(model->plan);
    return failed >= 0 ? failed : ash_plan_failed(model->prompts);
}

/* Another plan, for the devices that are left: load_weights() says whether there is one. */
static bool on_failure(void *context, enum ash_status failure, struct ash_engine_options *out)
{
    struct ash_model *model = context;
    const struct ash_model_options options = {
        .no_fusion = model->no_fusion, .trace = model->trace, .outputs = model->outputs
    };
    if (!model->plan || !ash_devices_give_way(&model->devices, failure, find_failed(model)))
        return false;
    drop_plans(model);
    enum ash_status status = load_weights(model, &options);
    if (status != ASH_OK)
        drop_plans(model);
    out->plan = model->plan;
    out->prompts = model->prompts;
    out->logits = model->logits;
    return status == ASH_OK;
}

static enum ash_status make_engine(struct ash_model *model)
{
    ASH_TRY(ash_kv_cache_create((int32_t)count_pages(model), model->context, &model->cache));
    return ash_engine_create(
        &(struct ash_engine_options){
            .recover = on_failure,
            .recover_context = model,
            .plan = model->plan,
            .prompts = model->prompts,
            .logits = model->logits,
            .tokenizer = model->tokenizer,
            .cache = model->cache,
            .vocabulary = (int32_t)model->shape.vocabulary,
            .context = model->context,
            .batch_tokens = model->batch_tokens,
            .sequences = model->sequences,
            .outputs = model->outputs,
            .speculate = model->runtime->config.speculate == ASH_SPECULATE_AUTO,
        },
        &model->engine);
}

/* Everything after the file is open. */
static enum ash_status load(struct ash_model *model, const struct ash_model_options *options)
{
    ASH_TRY(ash_arch_find(model->file, &model->arch));
    ASH_TRY(model->arch->read(model->file, &model->shape));
    ASH_TRY(choose_limits(model, options));
    ASH_TRY(choose_kv_type(model));
    bool whole = !options->plan_only && !options->shape_only;
    if (whole)
        ASH_TRY(load_tokenizer(model));
    if (whole)
        ASH_TRY(load_template(model));
    if (!options->shape_only)
        ASH_TRY(load_weights(model, options));
    return whole ? make_engine(model) : ASH_OK;
}

enum ash_status ash_model_open(struct ash_runtime *runtime, const char *path,
    const struct ash_model_options *options, struct ash_model **out)
{
    struct ash_gguf *file;
    ASH_TRY(ash_gguf_open(path, &file));
    return ash_model_open_file(runtime, file, options, out);
}

enum ash_status ash_model_open_file(struct ash_runtime *runtime, struct ash_gguf *file,
    const struct ash_model_options *options, struct ash_model **out)
{
    static const struct ash_model_options defaults;
    struct ash_model *model = ash_alloc_zero(sizeof *model);
    if (!model) {
        ash_gguf_close(file);
        return ash_fail_memory(sizeof *model, "a model");
    }
    model->runtime = runtime;
    model->file = file;
    options = options ? options : &defaults;
    model->no_fusion = options->no_fusion;
    model->trace = options->trace;
    ash_devices_begin(runtime, &model->devices);
    enum ash_status status = load(model, options);
    if (status == ASH_ERR_NOT_FOUND)
        status = ASH_ERR_FORMAT; /* what a file lacks is the file's fault: the model is here */
    if (status != ASH_OK) {
        ash_model_destroy(model);
        return status;
    }
    *out = model;
    return ASH_OK;
}

enum ash_status ash_model_find(const struct ash_config *config, const char *name, char **path_out)
{
    struct ash_registry *registry;
    ASH_TRY(ash_registry_load(config->registry, &registry));
    enum ash_status status = ash_model_locate(registry, config->models_dir, name, path_out);
    ash_registry_destroy(registry);
    return status;
}

enum ash_status ash_model_load(struct ash_runtime *runtime, const char *name,
    const struct ash_load_options *options, struct ash_model **out)
{
    struct ash_model_options all = { 0 };
    if (options)
        all.load = *options;
    char *path;
    ASH_TRY(ash_model_find(&runtime->config, name, &path));
    enum ash_status status = ash_model_open(runtime, path, &all, out);
    ash_free(path);
    return status;
}

void ash_model_destroy(struct ash_model *model)
{
    if (!model)
        return;
    ash_engine_destroy(model->engine);
    ash_kv_cache_destroy(model->cache);
    drop_plans(model);
    ash_template_destroy(model->chat);
    ash_tokenizer_destroy(model->tokenizer);
    ash_gguf_close(model->file);
    ash_free(model);
}
