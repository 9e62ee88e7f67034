/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Ashlar as a library: a runtime (the machine), a model loaded on it, and sessions that talk to the
 * model. Link with `pkg-config --cflags --libs ashlar`. The program `ashlar` uses these same calls.
 *
 *     struct ash_runtime *runtime;
 *     struct ash_model *model;
 *     struct ash_session *session;
 *     ash_runtime_create(NULL, 0, &runtime);
 *     ash_model_load(runtime, "smollm2", NULL, &model);
 *     ash_session_create(model, NULL, &session);
 *     ash_session_add(session, "user", "Why is the sky blue?");
 *     struct ash_piece piece;
 *     while (ash_session_next(session, &piece) == ASH_OK && !piece.done)
 *         fwrite(piece.text, 1, piece.length, stdout);
 *
 * Every call that can fail returns an ash_status; ash_error() then has the message. On failure *out is
 * untouched. destroy() takes NULL; what was made last is destroyed first.
 *
 * Threads: a runtime, its models and their sessions belong to one thread at a time, save for
 * ash_session_cancel(), which any thread and any signal handler may call.
 */
struct ash_runtime;
struct ash_model;
struct ash_session;

/* ---- Runtime ---- */

/* A setting by its name in `ashlar config`: { "threads", "4" }. */
struct ash_setting_value {
    const char *name;
    const char *value;
};

/*
 * Discovers the machine and takes its devices into use. Settings come from the defaults, then the
 * configuration files, then the environment, then `settings` (count; may be NULL).
 */
ASH_API enum ash_status ash_runtime_create(
    const struct ash_setting_value *settings, size_t count, struct ash_runtime **out);
ASH_API void ash_runtime_destroy(struct ash_runtime *runtime);

/* ---- Model ---- */

struct ash_load_options {
    int32_t sessions; /* how many may generate at once; 0 = 1. Each has room for a whole context. */
    /* Called while weights are prepared, with bytes done of the total; false stops the loading, which
     * then fails with ASH_ERR_CANCELED. May be NULL. */
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t total_bytes);
    void *context;
};

/*
 * Loads a model: a name that `ashlar models` lists, or the path of a GGUF file. `options` may be NULL.
 *
 * ASH_ERR_NOT_FOUND    no such model here; the message says how to get it
 * ASH_ERR_FORMAT       the file is damaged
 * ASH_ERR_UNSUPPORTED  an architecture or format that this build does not know
 * ASH_ERR_NO_MEMORY    it does not fit; the message says how much it takes
 */
ASH_API enum ash_status ash_model_load(struct ash_runtime *runtime, const char *name,
    const struct ash_load_options *options, struct ash_model **out);
ASH_API void ash_model_destroy(struct ash_model *model);

/* ---- Session ---- */

struct ash_session_options {
    int32_t max_tokens;    /* of one answer; 0 = until the model ends it or the context is full */
    double temperature;    /* 0 = always the most probable token */
    int top_k;             /* 0 = off */
    double top_p;          /* 1 = off */
    double min_p;          /* 0 = off */
    double typical_p;      /* 1 = off */
    double repeat_penalty; /* 1 = off */
    double frequency_penalty; /* 0 = off */
    double presence_penalty;  /* 0 = off */
    int penalty_last_n;       /* tokens the penalties look back on */
    uint64_t seed;            /* the same seed and prompt give the same answer, on any machine */
    const char *const *stop;  /* the answer ends before any of these texts */
    size_t stop_count;
    bool ignore_end; /* go on after the model's end token: for benchmarks */
};

/* The defaults that users of llama.cpp know: 0.8, 40, 0.95, 0.05, 1, 1, 0, 0, 64; seed 0. */
ASH_API struct ash_session_options ash_session_defaults(void);

/* `options` may be NULL (the defaults); they and the texts in them are copied. */
ASH_API enum ash_status ash_session_create(
    struct ash_model *model, const struct ash_session_options *options, struct ash_session **out);
ASH_API void ash_session_destroy(struct ash_session *session);

/* Replaces the options for the answers to come. On failure the old ones stay. */
ASH_API enum ash_status ash_session_set(
    struct ash_session *session, const struct ash_session_options *options);

/*
 * Adds a message to the conversation: role "system", "user", "assistant" (or "tool"). Special tokens
 * in `text` are plain text. The next ash_session_next() answers; its answer is added by itself.
 *
 * When the conversation outgrows the context, its oldest messages are left out of the prompt (a leading
 * system message never), so that an eighth of the context is free for the answer.
 */
ASH_API enum ash_status ash_session_add(
    struct ash_session *session, const char *role, const char *text);

/* Instead of a conversation: continues `text` as it is, without a chat template. */
ASH_API enum ash_status ash_session_prompt(
    struct ash_session *session, const char *text, size_t length);

/* Forgets the conversation, or the messages after the first `keep`. */
ASH_API void ash_session_truncate(struct ash_session *session, size_t keep);

enum ash_finish {
    ASH_FINISH_NONE,     /* there is more to come */
    ASH_FINISH_END,      /* the model ended its answer, or a stop text came up */
    ASH_FINISH_LENGTH,   /* max_tokens */
    ASH_FINISH_CONTEXT,  /* the context is full */
    ASH_FINISH_CANCELED, /* ash_session_cancel() */
};

struct ash_piece {
    const char *text; /* valid UTF-8, not ended by 0; valid until the next call on this session */
    size_t length;
    bool done; /* nothing follows (text may still hold the last of it) */
    enum ash_finish finish;
};

/*
 * Computes until there is text to show. The other sessions of the model advance with it, in one batch.
 *
 * ASH_ERR_ARGUMENT  nothing to answer: no message was added since the last answer
 * ASH_ERR_LIMIT     the prompt does not fit the context; the message has both numbers
 */
ASH_API enum ash_status ash_session_next(struct ash_session *session, struct ash_piece *out);

/* Ends the answer at the next token; what was said stays in the conversation. Async-signal-safe. */
ASH_API void ash_session_cancel(struct ash_session *session);

/* Of the last answer, or of the one under way. */
struct ash_usage {
    int32_t prompt_tokens;
    int32_t cached_tokens; /* of those, how many were found in the cache */
    int32_t answer_tokens;
    int32_t context;            /* positions there are */
    int32_t forgotten_messages; /* from the conversation's beginning, for lack of room */
    double prefill_s;           /* from the first step to the first token */
    double decode_s;            /* from the first token to the last */
    int32_t steps;              /* that gave the answer's tokens: fewer where guesses were right */
    int32_t drafted_tokens;     /* guessed ahead (setting "speculate") */
    int32_t accepted_tokens;    /* of those, how many were right */
};
ASH_API void ash_session_usage(const struct ash_session *session, struct ash_usage *out);

#ifdef __cplusplus
}
#endif
