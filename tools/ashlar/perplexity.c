/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ashlar perplexity`: how well a model predicts a text, computed as llama.cpp's llama-perplexity does,
 * so that figures compare: the text is cut into chunks of --chunk tokens, each starting from nothing
 * (with the model's bos, where it wants one), and the second half of each chunk is scored.
 */
#include "models/replay.h"
#include "runtime/memory.h"
#include "tools/ashlar/cli.h"
#include "tools/ashlar/files.h"
#include "tools/ashlar/load.h"
#include "tools/ashlar/progress.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct options {
    int64_t chunk, chunks;
    bool json;
};

struct score {
    double sum, squares; /* of -log p */
    int64_t count;
};

/* Runs one chunk in pieces of a batch and scores the tokens after its middle. */
static enum ash_status score_chunk(struct ash_replay *replay, const struct ash_model *model,
    const int32_t *token, int32_t length, struct score *score)
{
    int32_t first = length / 2, vocabulary = (int32_t)model->shape.vocabulary;
    int32_t piece = model->outputs;
    for (int32_t at = 0; at < length; at += piece) {
        int32_t count = length - at < piece ? length - at : piece;
        int32_t from = at > first ? at : first; /* the first position whose logits count */
        int32_t outputs = at + count > from ? at + count - from : 0;
        const float *logits;
        ash_replay_begin(replay, true);
        ASH_TRY(ash_replay_add(replay, 0, at, token + at, count, outputs));
        ASH_TRY(ash_replay_run(replay, &logits));
        for (int32_t i = 0; i < outputs && from + i + 1 < length; i++) {
            double loss = -ash_logits_log_probability(
                logits + (int64_t)i * vocabulary, vocabulary, token[from + i + 1]);
            score->sum += loss;
            score->squares += loss * loss;
            score->count++;
        }
    }
    return ASH_OK;
}

static double perplexity(const struct score *score)
{
    return exp(score->sum / (double)score->count);
}

/* Of the perplexity, from the standard error of the mean loss (the delta method). */
static double uncertainty(const struct score *score)
{
    double n = (double)score->count, mean = score->sum / n;
    double variance = score->squares / n - mean * mean;
    return variance > 0 && n > 1 ? sqrt(variance / (n - 1)) * exp(mean) : 0;
}

static enum ash_status score_text(struct ash_cli *cli, struct ash_model *model,
    const struct ash_tokens *tokens, size_t text_bytes, struct score *score)
{
    const struct options *options = cli->options;
    int32_t length = (int32_t)options->chunk;
    int64_t chunks = (int64_t)tokens->count / length;
    if (options->chunks && chunks > options->chunks)
        chunks = options->chunks;
    if (chunks < 1)
        return ash_fail(ASH_ERR_ARGUMENT,
            "the text has %zu tokens; one chunk takes %d: give a longer "
            "text or a smaller --chunk",
            tokens->count, length);
    struct ash_tokenizer_info info = ash_tokenizer_describe(model->tokenizer);
    struct ash_replay *replay;
    ASH_TRY(ash_replay_create(model, 1, length, &replay));
    struct ash_progress progress;
    ash_progress_start(&progress, "scoring", text_bytes, 0, cli->quiet || options->json);
    enum ash_status status = ASH_OK;
    for (int64_t i = 0; i < chunks && status == ASH_OK; i++) {
        int32_t *chunk = tokens->id + i * length;
        if (info.add_bos)
            chunk[0] = info.bos;
        status = score_chunk(replay, model, chunk, length, score);
        ash_progress_update(&progress, text_bytes / (uint64_t)chunks * (uint64_t)(i + 1));
    }
    ash_progress_finish(&progress);
    ash_replay_destroy(replay);
    return status;
}

static enum ash_status print(const struct ash_cli *cli, const char *name, const struct score *score)
{
    const struct options *options = cli->options;
    if (!options->json) {
        printf("perplexity %.4f +/- %.4f (%lld tokens scored, chunks of %lld)\n", perplexity(score),
            uncertainty(score), (long long)score->count, (long long)options->chunk);
        return ASH_OK;
    }
    json_t *object = json_pack("{s:s, s:f, s:f, s:I, s:I}", "model", name, "perplexity",
        perplexity(score), "uncertainty", uncertainty(score), "tokens", (json_int_t)score->count,
        "chunk", (json_int_t)options->chunk);
    if (!object)
        return ash_fail_memory(256, "the result as JSON");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return ASH_OK;
}

static enum ash_status measure(
    struct ash_cli *cli, struct ash_model *model, const char *text, size_t length)
{
    struct ash_tokens tokens = { 0 };
    struct score score = { 0 };
    enum ash_status status =
        ash_tokenizer_encode(model->tokenizer, text, length, ASH_ENCODE_ADD_BOS, &tokens);
    if (status == ASH_OK)
        status = score_text(cli, model, &tokens, length, &score);
    ash_tokens_free(&tokens);
    if (status == ASH_OK && !isfinite(perplexity(&score)))
        status = ash_fail(ASH_ERR_FORMAT,
            "the perplexity is no finite number: the model gives none for some token of the text; its "
            "weights are damaged");
    return status == ASH_OK ? print(cli, ash_gguf_path(model->file), &score) : status;
}

static enum ash_status with_model(struct ash_cli *cli, const char *text, size_t length)
{
    const struct options *options = cli->options;
    struct ash_loaded_model loaded;
    cli->config.context = options->chunk;
    /* Logits of 64 positions at once: 64 V floats, instead of a chunk's. */
    ASH_TRY(ash_load(cli, &(struct ash_model_options){ .outputs = 64 }, &loaded));
    enum ash_status status = measure(cli, loaded.model, text, length);
    ash_unload(&loaded);
    return status;
}

static enum ash_status run(struct ash_cli *cli)
{
    char *text;
    size_t length;
    ASH_TRY(ash_file_read(cli->argument_count ? cli->argument[0] : "-", 1u << 30, &text, &length));
    enum ash_status status = with_model(cli, text, length);
    ash_free(text);
    return status;
}

static const struct ash_option options[] = {
    { "chunk", 'c', ASH_OPTION_INTEGER, offsetof(struct options, chunk), "TOKENS", 8, 1 << 20,
        .fallback = "512", .help = "tokens of a chunk; its second half is scored" },
    { "chunks", 0, ASH_OPTION_INTEGER, offsetof(struct options, chunks), "N", 0, INT32_MAX,
        .fallback = "0", .help = "how many at most; 0 = the whole text" },
    { "json", 0, ASH_OPTION_SWITCH, offsetof(struct options, json), .help = "print JSON" },
    { 0 },
};

static const char *const settings[] = { ASH_LOAD_SETTINGS, NULL };

static const struct ash_example examples[] = {
    { "ashlar perplexity -m smollm2 text.txt", "the default model on a text" },
    { 0 },
};

const struct ash_command ash_command_perplexity = {
    .name = "perplexity",
    .summary = "measure how well a model predicts a text",
    .arguments = "[FILE]",
    .most_arguments = 1,
    .description =
        "Reads FILE, or standard input, cuts it into chunks and prints the perplexity over the second "
        "halves of the chunks, with its uncertainty. Lower is better; compare models and formats on "
        "the same text and chunk size only. Computed as llama.cpp's llama-perplexity does.",
    .options = options,
    .options_bytes = sizeof(struct options),
    .settings = settings,
    .examples = examples,
    .run = run,
};
