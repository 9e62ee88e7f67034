/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar run`: one answer to an argument or to standard input, or a conversation on a terminal. */
#include "tools/ashlar/run.h"

#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/trace.h"
#include "tools/ashlar/files.h"
#include "tools/ashlar/load.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { MAX_PROMPT_BYTES = 64 << 20, TRACE_SPANS = 1 << 16 };

#define OPTION(member) offsetof(struct ash_run_options, member)

static const struct ash_option options[] = {
    { "system", 's', ASH_OPTION_TEXT, OPTION(system), "TEXT",
        .help = "a system message to begin with" },
    { "max-tokens", 'n', ASH_OPTION_INTEGER, OPTION(max_tokens), "N", 0, INT32_MAX, .fallback = "0",
        .help = "the longest answer; 0 = until the model ends it or the context is full" },
    { "temperature", 'T', ASH_OPTION_REAL, OPTION(temperature), "X", .least_real = 0,
        .most_real = 100, .fallback = "0.8", .help = "0 = always the most probable token" },
    { "top-k", 'k', ASH_OPTION_INTEGER, OPTION(top_k), "K", 0, INT32_MAX, .fallback = "40",
        .help = "choose among the K most probable tokens; 0 = all" },
    { "top-p", 'p', ASH_OPTION_REAL, OPTION(top_p), "P", .least_real = 1e-6, .most_real = 1,
        .fallback = "0.95", .help = "among the fewest tokens that together have probability P" },
    { "min-p", 0, ASH_OPTION_REAL, OPTION(min_p), "P", .least_real = 0, .most_real = 1,
        .fallback = "0.05", .help = "among tokens at least P times as probable as the first" },
    { "typical-p", 0, ASH_OPTION_REAL, OPTION(typical_p), "P", .least_real = 1e-6, .most_real = 1,
        .fallback = "1", .help = "locally typical sampling; 1 = off" },
    { "repeat-penalty", 0, ASH_OPTION_REAL, OPTION(repeat_penalty), "X", .least_real = 0.01,
        .most_real = 100, .fallback = "1", .help = "makes repeated tokens less likely; 1 = off" },
    { "repeat-last-n", 0, ASH_OPTION_INTEGER, OPTION(penalty_last_n), "N", 0, 1 << 20,
        .fallback = "64", .help = "how far back the penalties look" },
    { "frequency-penalty", 0, ASH_OPTION_REAL, OPTION(frequency_penalty), "X", .least_real = -100,
        .most_real = 100, .fallback = "0", .help = "subtracted for every earlier use of a token" },
    { "presence-penalty", 0, ASH_OPTION_REAL, OPTION(presence_penalty), "X", .least_real = -100,
        .most_real = 100, .fallback = "0", .help = "subtracted once for a token used before" },
    { "stop", 0, ASH_OPTION_LIST, OPTION(stop), "TEXT",
        .help = "end the answer before this text; may be given several times" },
    { "raw", 'r', ASH_OPTION_SWITCH, OPTION(raw),
        .help = "continue the text as it is, without the model's chat template" },
    { "ignore-end", 0, ASH_OPTION_SWITCH, OPTION(ignore_end),
        .help = "go on after the model's end token" },
    { "json", 0, ASH_OPTION_SWITCH, OPTION(json),
        .help = "one JSON object when the answer is complete" },
    { "verbose", 'v', ASH_OPTION_SWITCH, OPTION(verbose),
        .help = "close with tokens and tokens/s" },
    { "trace", 0, ASH_OPTION_FILE, OPTION(trace), "FILE",
        .help = "write every step's span as a Chrome trace (ui.perfetto.dev opens it)" },
    { 0 },
};

/* ---- Ctrl-C ---- */

static struct ash_session *volatile interruptible;

static void on_interrupt(int signal)
{
    (void)signal;
    struct ash_session *session = interruptible;
    if (session)
        ash_session_cancel(session);
}

/* From here on Ctrl-C ends the answer, not the program; between answers it is the terminal's. */
static void catch_interrupt(struct ash_session *session, struct sigaction *before)
{
    interruptible = session;
    struct sigaction action = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &action, before);
}

static void release_interrupt(const struct sigaction *before)
{
    sigaction(SIGINT, before, NULL);
    interruptible = NULL;
}

/* ---- One answer ---- */

static enum ash_status stream(struct ash_run *run, enum ash_finish *out)
{
    struct ash_piece piece = { 0 };
    bool any = false, line_end = true;
    while (!piece.done) {
        ASH_TRY(ash_session_next(run->session, &piece));
        if (piece.length == 0)
            continue;
        if (fwrite(piece.text, 1, piece.length, stdout) != piece.length || fflush(stdout) != 0) {
            ash_session_cancel(run->session);
            return ash_fail(ASH_ERR_IO, "writing the answer: %s", strerror(errno));
        }
        any = true;
        line_end = piece.text[piece.length - 1] == '\n';
    }
    if (any && !line_end)
        putchar('\n');
    *out = piece.finish;
    return ASH_OK;
}

enum ash_status ash_run_answer(struct ash_run *run, enum ash_finish *out)
{
    struct sigaction before;
    catch_interrupt(run->session, &before);
    enum ash_status status = stream(run, out);
    release_interrupt(&before);
    return status;
}

static double rate(int32_t tokens, double seconds)
{
    return seconds > 0 ? tokens / seconds : 0;
}

void ash_run_print_usage(const struct ash_run *run)
{
    struct ash_usage usage;
    ash_session_usage(run->session, &usage);
    fprintf(stderr,
        "%d tokens in (%d cached) at %.1f tokens/s, %d out at %.1f tokens/s; %d of %d positions\n",
        usage.prompt_tokens, usage.cached_tokens,
        rate(usage.prompt_tokens - usage.cached_tokens, usage.prefill_s), usage.answer_tokens,
        rate(usage.answer_tokens - 1, usage.decode_s), usage.prompt_tokens + usage.answer_tokens,
        usage.context);
    if (usage.drafted_tokens > 0)
        fprintf(stderr, "%d of %d drafted tokens accepted: %d steps for %d tokens\n",
            usage.accepted_tokens, usage.drafted_tokens, usage.steps, usage.answer_tokens);
}

static const char *finish_name(enum ash_finish finish)
{
    static const char *const names[] = { "none", "end", "length", "context", "canceled" };
    return names[finish];
}

/* The whole answer as one JSON value; strings of it are valid UTF-8 by ash_session_next()'s word. */
static enum ash_status answer_json(struct ash_run *run, enum ash_finish *out)
{
    json_t *text = json_string("");
    struct ash_piece piece = { 0 };
    char *all = NULL;
    size_t used = 0, capacity = 0;
    enum ash_status status = ASH_OK;
    while (status == ASH_OK && !piece.done) {
        status = ash_session_next(run->session, &piece);
        while (status == ASH_OK && capacity < used + piece.length)
            status = ASH_GROW(all, capacity, capacity);
        if (status == ASH_OK && piece.length)
            memcpy(all + used, piece.text, piece.length);
        used += status == ASH_OK ? piece.length : 0;
    }
    if (status == ASH_OK && used)
        json_string_setn_nocheck(text, all, used);
    ash_free(all);
    struct ash_usage usage;
    ash_session_usage(run->session, &usage);
    json_t *object = json_pack("{s:s, s:o, s:s, s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i}, s:f, s:f}",
        "model", run->name, "answer", text, "finish", finish_name(piece.finish), "usage",
        "prompt_tokens", usage.prompt_tokens, "cached_tokens", usage.cached_tokens, "answer_tokens",
        usage.answer_tokens, "context", usage.context, "steps", usage.steps, "drafted_tokens",
        usage.drafted_tokens, "accepted_tokens", usage.accepted_tokens, "prefill_s",
        usage.prefill_s, "decode_s", usage.decode_s);
    if (status == ASH_OK && !object)
        status = ash_fail_memory(used, "the answer as JSON");
    if (status == ASH_OK && json_dumpf(object, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(object);
    *out = piece.finish;
    return status;
}

static enum ash_status one_answer(struct ash_run *run, const char *prompt, size_t length)
{
    if (run->options->raw)
        ASH_TRY(ash_session_prompt(run->session, prompt, length));
    else if (strlen(prompt) != length)
        return ash_fail(ASH_ERR_FORMAT, "the prompt has a zero byte at offset %zu; --raw takes any",
            strlen(prompt));
    else
        ASH_TRY(ash_session_add(run->session, "user", prompt));
    enum ash_finish finish;
    if (run->options->json) {
        struct sigaction before;
        catch_interrupt(run->session, &before);
        enum ash_status status = answer_json(run, &finish);
        release_interrupt(&before);
        ASH_TRY(status);
    } else {
        ASH_TRY(ash_run_answer(run, &finish));
    }
    if (run->options->verbose)
        ash_run_print_usage(run);
    if (finish == ASH_FINISH_CONTEXT)
        ash_log(ASH_LOG_WARN, "the answer was cut: the context of %d positions is full",
            run->model->context);
    return finish == ASH_FINISH_CANCELED ? ash_fail(ASH_ERR_CANCELED, "interrupted") : ASH_OK;
}

/* ---- The prompt ---- */

/* The words of the command line, joined by spaces; without any, standard input. */
static enum ash_status read_prompt(const struct ash_cli *cli, char **out, size_t *length_out)
{
    if (cli->argument_count == 0)
        return ash_file_read("-", MAX_PROMPT_BYTES, out, length_out);
    char *words = ash_strdup(cli->argument[0]);
    for (int i = 1; words && i < cli->argument_count; i++) {
        char *longer = ash_format("%s %s", words, cli->argument[i]);
        ash_free(words);
        words = longer;
    }
    if (!words)
        return ash_fail_memory(1, "the prompt");
    *out = words;
    *length_out = strlen(words);
    return ASH_OK;
}

/* ---- Setting up ---- */

static uint64_t draw_seed(const struct ash_config *config)
{
    uint64_t seed;
    if (config->seed >= 0)
        return (uint64_t)config->seed;
    return getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed ? seed : (uint64_t)ash_now_ns();
}

static enum ash_status make_session(struct ash_run *run)
{
    const struct ash_run_options *o = run->options;
    run->sampling = (struct ash_session_options){
        .max_tokens = (int32_t)o->max_tokens,
        .temperature = o->temperature,
        .top_k = (int)o->top_k,
        .top_p = o->top_p,
        .min_p = o->min_p,
        .typical_p = o->typical_p,
        .repeat_penalty = o->repeat_penalty,
        .frequency_penalty = o->frequency_penalty,
        .presence_penalty = o->presence_penalty,
        .penalty_last_n = (int)o->penalty_last_n,
        .seed = draw_seed(&run->runtime->config),
        .stop = o->stop.item,
        .stop_count = o->stop.count,
        .ignore_end = o->ignore_end,
    };
    ASH_TRY(ash_session_create(run->model, &run->sampling, &run->session));
    if (o->raw)
        return ASH_OK;
    if (run->model->chat_is_fallback)
        ash_log(ASH_LOG_WARN, "%s carries no chat template; ChatML is used", run->name);
    return o->system ? ash_session_add(run->session, "system", o->system) : ASH_OK;
}

static enum ash_status answer(struct ash_run *run, const char *prompt, size_t length)
{
    enum ash_status status = make_session(run);
    if (status == ASH_OK)
        status = prompt ? one_answer(run, prompt, length) : ash_run_chat(run);
    ash_session_destroy(run->session);
    return status;
}

static enum ash_status load_and_answer(
    struct ash_run *run, struct ash_trace *trace, const char *prompt, size_t length)
{
    struct ash_loaded_model loaded;
    ASH_TRY(ash_load(run->cli, &(struct ash_model_options){ .trace = trace }, &loaded));
    run->runtime = loaded.runtime;
    run->model = loaded.model;
    run->name = loaded.name;
    enum ash_status status = answer(run, prompt, length);
    if (trace && (status == ASH_OK || status == ASH_ERR_CANCELED)) {
        enum ash_status saved = ash_trace_save(trace, run->options->trace);
        status = status == ASH_OK ? saved : status;
    }
    ash_unload(&loaded); /* the trace shows the model's names until here */
    return status;
}

static enum ash_status with_trace(struct ash_run *run, const char *prompt, size_t length)
{
    struct ash_trace *trace = NULL;
    if (run->options->trace)
        ASH_TRY(ash_trace_create(TRACE_SPANS, &trace));
    /* Empty as yet: where it cannot be written is known now, not when the answer has been given. */
    enum ash_status status = trace ? ash_trace_save(trace, run->options->trace) : ASH_OK;
    if (status == ASH_OK)
        status = load_and_answer(run, trace, prompt, length);
    ash_trace_destroy(trace);
    return status;
}

static enum ash_status run(struct ash_cli *cli)
{
    struct ash_run run = { .cli = cli, .options = cli->options };
    bool chat = cli->argument_count == 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) &&
                !run.options->raw && !run.options->json;
    if (chat)
        return with_trace(&run, NULL, 0);
    char *prompt;
    size_t length;
    ASH_TRY(read_prompt(cli, &prompt, &length));
    enum ash_status status = length > 0 ? with_trace(&run, prompt, length)
                                        : ash_fail(ASH_ERR_ARGUMENT, "the prompt is empty");
    ash_free(prompt);
    return status;
}

static const char *const settings[] = { ASH_LOAD_SETTINGS, "context", "speculate", "seed", NULL };

static const struct ash_example examples[] = {
    { "ashlar run", "a conversation; /help tells what can be typed" },
    { "ashlar run \"Why is the sky blue?\"", "one answer" },
    { "ashlar run -m model.gguf -T 0 < question.txt", "a question from a file, the surest answer" },
    { "ashlar run --raw -n 50 \"Once upon a time\"", "continue a text" },
    { 0 },
};

const struct ash_command ash_command_run = {
    .name = "run",
    .summary = "answer a prompt, or hold a conversation",
    .arguments = "[PROMPT]...",
    .most_arguments = -1,
    .description =
        "Answers PROMPT, or standard input where there is none, and streams the answer. On a terminal "
        "without PROMPT it holds a conversation, with line editing and history; Ctrl-C ends the answer "
        "under way, Ctrl-D the conversation.\n\n"
        "Special tokens in a prompt are plain text, but with --raw. The same seed, model and prompt "
        "give the same answer, whatever the number of threads.",
    .options = options,
    .options_bytes = sizeof(struct ash_run_options),
    .settings = settings,
    .examples = examples,
    .run = run,
};
