/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sessions of ashlar.h: a conversation, its template, and one generation at a time on the model's
 * engine. Nothing here knows about devices or batches.
 */
#include "models/model.h"
#include "models/utf8.h"
#include "runtime/memory.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

struct message {
    char *role;
    char *text;
};

struct ash_session {
    struct ash_model *model;
    struct ash_session_options options; /* owns the stop texts */

    struct message *message;
    size_t messages, message_capacity;
    size_t first; /* messages before it (but a leading system message) no longer fit the context */
    bool waiting; /* something was added that has not been answered */

    char *prompt; /* instead of messages; NULL = a conversation */
    size_t prompt_bytes;

    struct ash_generation *generation; /* the answer under way, or the last one */
    bool answering;
    volatile sig_atomic_t cancel;
    uint64_t answers; /* given so far: every one draws its own random numbers */
    char *answer;     /* its text so far */
    size_t answer_bytes, answer_capacity;
};

struct ash_session_options ash_session_defaults(void)
{
    struct ash_sampler_options sampler = ASH_SAMPLER_DEFAULTS;
    return (struct ash_session_options){
        .temperature = sampler.temperature,
        .top_k = sampler.top_k,
        .top_p = sampler.top_p,
        .min_p = sampler.min_p,
        .typical_p = sampler.typical_p,
        .repeat_penalty = sampler.repeat_penalty,
        .frequency_penalty = sampler.frequency_penalty,
        .presence_penalty = sampler.presence_penalty,
        .penalty_last_n = sampler.penalty_last_n,
    };
}

/* ---- Options ---- */

static void free_stops(struct ash_session_options *options)
{
    for (size_t i = 0; i < options->stop_count; i++)
        ash_free((void *)(uintptr_t)options->stop[i]);
    ash_free((void *)(uintptr_t)options->stop);
    options->stop = NULL;
    options->stop_count = 0;
}

static enum ash_status copy_options(
    const struct ash_session_options *from, struct ash_session_options *out)
{
    struct ash_session_options copy = *from;
    const char **stops = ash_alloc_array(from->stop_count, sizeof *stops);
    if (!stops)
        return ash_fail_memory(from->stop_count * sizeof *stops, "the stop texts");
    copy.stop = stops;
    copy.stop_count = 0;
    for (size_t i = 0; i < from->stop_count; i++, copy.stop_count++) {
        stops[i] = ash_strdup(from->stop[i]);
        if (!stops[i]) {
            free_stops(&copy);
            return ash_fail_memory(strlen(from->stop[i]) + 1, "a stop text");
        }
    }
    *out = copy;
    return ASH_OK;
}

enum ash_status ash_session_set(
    struct ash_session *session, const struct ash_session_options *options)
{
    struct ash_session_options copy;
    ASH_TRY(copy_options(options, &copy));
    free_stops(&session->options);
    session->options = copy;
    return ASH_OK;
}

enum ash_status ash_session_create(
    struct ash_model *model, const struct ash_session_options *options, struct ash_session **out)
{
    struct ash_session_options defaults = ash_session_defaults();
    struct ash_session *session = ash_alloc_zero(sizeof *session);
    if (!session)
        return ash_fail_memory(sizeof *session, "a session");
    session->model = model;
    enum ash_status status = ash_session_set(session, options ? options : &defaults);
    if (status != ASH_OK) {
        ash_session_destroy(session);
        return status;
    }
    *out = session;
    return ASH_OK;
}

/* ---- The conversation ---- */

static void end_answer(struct ash_session *session)
{
    ash_generation_end(session->generation);
    session->generation = NULL;
    session->answering = false;
    session->answer_bytes = 0;
}

void ash_session_truncate(struct ash_session *session, size_t keep)
{
    end_answer(session);
    while (session->messages > keep) {
        struct message *last = &session->message[--session->messages];
        ash_free(last->role);
        ash_free(last->text);
    }
    if (session->first > session->messages)
        session->first = session->messages;
    ash_free(session->prompt);
    session->prompt = NULL;
    session->waiting = false;
}

void ash_session_destroy(struct ash_session *session)
{
    if (!session)
        return;
    ash_session_truncate(session, 0);
    free_stops(&session->options);
    ash_free(session->message);
    ash_free(session->answer);
    ash_free(session);
}

static enum ash_status append(
    struct ash_session *session, const char *role, const char *text, size_t length)
{
    ASH_TRY(ASH_GROW(session->message, session->message_capacity, session->messages));
    struct message message = { .role = ash_strdup(role), .text = ash_strndup(text, length) };
    if (!message.role || !message.text) {
        ash_free(message.role);
        ash_free(message.text);
        return ash_fail_memory(length, "a message");
    }
    session->message[session->messages++] = message;
    return ASH_OK;
}

static enum ash_status check_utf8(const char *text)
{
    size_t length = strlen(text), used;
    for (size_t at = 0; at < length; at += used) {
        uint32_t point;
        if (ash_utf8_next(text + at, length - at, &point, &used) != ASH_UTF8_VALID)
            return ash_fail(ASH_ERR_FORMAT,
                "the message is not UTF-8: byte 0x%02X at offset %zu; convert it first (iconv)",
                (unsigned char)text[at], at);
    }
    return ASH_OK;
}

enum ash_status ash_session_add(struct ash_session *session, const char *role, const char *text)
{
    if (session->answering)
        return ash_fail(ASH_ERR_ARGUMENT, "the answer before has not ended");
    ASH_TRY(check_utf8(text));
    ASH_TRY(append(session, role, text, strlen(text)));
    session->waiting = true;
    return ASH_OK;
}

enum ash_status ash_session_prompt(struct ash_session *session, const char *text, size_t length)
{
    if (session->answering)
        return ash_fail(ASH_ERR_ARGUMENT, "the answer before has not ended");
    char *copy = ash_alloc(length + 1);
    if (!copy)
        return ash_fail_memory(length, "the prompt");
    memcpy(copy, text, length);
    ash_session_truncate(session, 0);
    session->prompt = copy;
    session->prompt_bytes = length;
    session->waiting = true;
    return ASH_OK;
}

/* ---- From conversation to tokens ---- */

static char *token_text(const struct ash_tokenizer *tokenizer, int32_t id)
{
    size_t length;
    const char *text = ash_tokenizer_piece(tokenizer, id, &length);
    return ash_strndup(text, length);
}

static enum ash_status render(struct ash_session *session, const struct ash_chat_message *message,
    size_t count, struct ash_prompt *out)
{
    struct ash_model *model = session->model;
    if (!model->chat)
        return ash_fail(model->chat_status, "%s", model->chat_error);
    struct ash_tokenizer_info info = ash_tokenizer_describe(model->tokenizer);
    char *bos = token_text(model->tokenizer, info.bos);
    char *eos = token_text(model->tokenizer, info.eos);
    enum ash_status status = !bos || !eos ? ash_fail_memory(16, "the prompt") : ASH_OK;
    if (status == ASH_OK)
        status = ash_template_render(model->chat, message, count,
            &(struct ash_template_options){
                .add_generation_prompt = true,
                .bos_token = bos,
                .eos_token = eos,
            },
            out);
    ash_free(bos);
    ash_free(eos);
    return status;
}

/* The messages that still count: a leading system message, and those from `first` on. */
static size_t select_messages(const struct ash_session *session, struct ash_chat_message *out)
{
    size_t count = 0;
    for (size_t i = 0; i < session->messages; i++) {
        const struct message *message = &session->message[i];
        bool leads = i == 0 && strcmp(message->role, "system") == 0;
        if (i < session->first && !leads)
            continue;
        out[count++] = (struct ash_chat_message){
            .role = message->role,
            .content = message->text,
            .content_bytes = strlen(message->text),
        };
    }
    return count;
}

static enum ash_status encode_conversation(struct ash_session *session, struct ash_tokens *out)
{
    struct ash_chat_message *selected = ash_alloc_array(session->messages, sizeof *selected);
    if (!selected)
        return ash_fail_memory(session->messages * sizeof *selected, "the messages");
    size_t count = select_messages(session, selected);
    struct ash_prompt prompt;
    enum ash_status status = render(session, selected, count, &prompt);
    ash_free(selected);
    if (status != ASH_OK)
        return status;
    status = ash_tokenizer_encode_prompt(session->model->tokenizer, &prompt, out);
    ash_prompt_finish(&prompt);
    return status;
}

/* Moves `first` on by one exchange; false if the last user message alone is left. */
static bool drop_oldest(struct ash_session *session)
{
    size_t first = session->first;
    if (first == 0 && session->messages > 0 && strcmp(session->message[0].role, "system") == 0)
        first = 1;
    do
        first++;
    while (first < session->messages && strcmp(session->message[first].role, "user") != 0);
    if (first >= session->messages)
        return false;
    session->first = first;
    return true;
}

/* As a user would expect of a long conversation: its beginning is forgotten, the system message
 * never; an eighth of the context is kept for the answer. */
static enum ash_status encode(struct ash_session *session, struct ash_tokens *out)
{
    const struct ash_model *model = session->model;
    if (session->prompt)
        return ash_tokenizer_encode(model->tokenizer, session->prompt, session->prompt_bytes,
            ASH_ENCODE_SPECIAL | ASH_ENCODE_ADD_BOS, out);
    size_t room = (size_t)(model->context - model->context / 8);
    do {
        out->count = 0;
        ASH_TRY(encode_conversation(session, out));
    } while (out->count > room && drop_oldest(session));
    return ASH_OK;
}

/* ---- The answer ---- */

static enum ash_status begin_answer(struct ash_session *session)
{
    const struct ash_session_options *options = &session->options;
    struct ash_generate_options generate = {
        .sampler = {
            .temperature = options->temperature,
            .top_k = options->top_k,
            .typical_p = options->typical_p,
            .top_p = options->top_p,
            .min_p = options->min_p,
            .repeat_penalty = options->repeat_penalty,
            .frequency_penalty = options->frequency_penalty,
            .presence_penalty = options->presence_penalty,
            .penalty_last_n = options->penalty_last_n,
            .seed = options->seed + session->answers,
        },
        .max_tokens = options->max_tokens,
        .stop = options->stop,
        .stop_count = options->stop_count,
        .ignore_end = options->ignore_end,
    };
    if (!session->waiting)
        return ash_fail(ASH_ERR_ARGUMENT, "there is nothing to answer: add a message first");
    session->cancel =
        0; /* what is asked for from here on counts, also while a long prompt is encoded */
    end_answer(session);
    struct ash_tokens tokens = { 0 };
    enum ash_status status = encode(session, &tokens);
    if (status == ASH_OK && tokens.count > INT32_MAX)
        status = ash_fail(ASH_ERR_LIMIT, "the prompt has %zu tokens", tokens.count);
    if (status == ASH_OK)
        status = ash_engine_add(session->model->engine, tokens.id, (int32_t)tokens.count, &generate,
            &session->generation);
    ash_tokens_free(&tokens);
    session->answering = status == ASH_OK;
    return status;
}

/* The answer joins the conversation; its generation stays for ash_session_usage(). */
static enum ash_status complete_answer(struct ash_session *session)
{
    session->answering = false;
    session->waiting = false;
    session->answers++;
    if (session->prompt)
        return ASH_OK;
    return append(
        session, "assistant", session->answer ? session->answer : "", session->answer_bytes);
}

static enum ash_status keep_text(struct ash_session *session, const char *text, size_t length)
{
    while (session->answer_capacity < session->answer_bytes + length)
        ASH_TRY(ASH_GROW(session->answer, session->answer_capacity, session->answer_capacity));
    if (length)
        memcpy(session->answer + session->answer_bytes, text, length);
    session->answer_bytes += length;
    return ASH_OK;
}

static enum ash_status next(struct ash_session *session, struct ash_piece *out)
{
    struct ash_generation *generation = session->generation;
    do {
        bool busy;
        if (session->cancel)
            ash_generation_cancel(generation);
        ASH_TRY(ash_engine_step(session->model->engine, &busy));
        ASH_TRY(ash_generation_status(generation));
        out->text = ash_generation_take(generation, &out->length);
        out->finish = ash_generation_finish(generation);
        assert(busy || out->finish != ASH_FINISH_NONE);
    } while (out->length == 0 && out->finish == ASH_FINISH_NONE);
    out->done = out->finish != ASH_FINISH_NONE;
    ASH_TRY(keep_text(session, out->text, out->length));
    return out->done ? complete_answer(session) : ASH_OK;
}

enum ash_status ash_session_next(struct ash_session *session, struct ash_piece *out)
{
    if (!session->answering)
        ASH_TRY(begin_answer(session));
    struct ash_piece piece = { 0 };
    enum ash_status status = next(session, &piece);
    if (status != ASH_OK)
        end_answer(session);
    else
        *out = piece;
    return status;
}

void ash_session_cancel(struct ash_session *session)
{
    session->cancel = 1;
}

void ash_session_usage(const struct ash_session *session, struct ash_usage *out)
{
    *out = (struct ash_usage){ .context = session->model->context };
    if (session->generation)
        ash_generation_usage(session->generation, out);
    out->forgotten_messages = (int32_t)session->first;
}
