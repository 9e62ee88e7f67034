/* SPDX-License-Identifier: Apache-2.0 */

/* Generation and sessions on a tiny checkpoint: what is said does not depend on who else speaks. */
#include "models/model.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ash_runtime *runtime;
static struct ash_model *model;

static const char *tiny_path(void)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/models/llama/tied.gguf", getenv("ASHLAR_TEST_DATA"));
    return path;
}

static void open_model(const char *context, int32_t sessions)
{
    struct ash_setting_value settings[] = { { "device", "cpu" }, { "threads", "2" },
        { "context", context }, { "batch_tokens", "24" } };
    cr_assert_eq(ash_runtime_create(settings, 4, &runtime), ASH_OK, "%s", ash_error());
    struct ash_load_options options = { .sessions = sessions };
    cr_assert_eq(ash_model_load(runtime, tiny_path(), &options, &model), ASH_OK, "%s", ash_error());
}

static void close_model(void)
{
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
}

static struct ash_generate_options sampled(int32_t max_tokens, uint64_t seed)
{
    struct ash_generate_options options = {
        .sampler = ASH_SAMPLER_DEFAULTS, .max_tokens = max_tokens, .ignore_end = true
    };
    options.sampler.seed = seed;
    return options;
}

/* Steps until every generation has finished. */
static void run_all(void)
{
    bool busy = true;
    while (busy)
        cr_assert_eq(ash_engine_step(model->engine, &busy), ASH_OK, "%s", ash_error());
}

static char *take_all(struct ash_generation *generation)
{
    size_t length;
    const char *text = ash_generation_take(generation, &length);
    return strndup(text, length);
}

static void make_prompt(int which, int32_t *token, int32_t *count)
{
    *count = 3 + which * 5;
    for (int32_t i = 0; i < *count; i++)
        token[i] = (i * 7 + which * 13) % 90;
}

enum { CROWD = 8, LONGEST = 64 };

Test(generate, sequences_say_the_same_alone_and_in_a_crowd)
{
    char *alone[CROWD];
    int32_t token[LONGEST], count;
    open_model("256", 1);
    for (int i = 0; i < CROWD; i++) {
        struct ash_generation *generation;
        struct ash_generate_options options = sampled(30 + i, (uint64_t)i);
        make_prompt(i, token, &count);
        cr_assert_eq(ash_engine_add(model->engine, token, count, &options, &generation), ASH_OK);
        run_all();
        cr_assert_eq(ash_generation_finish(generation), ASH_FINISH_LENGTH);
        alone[i] = take_all(generation);
        cr_assert_geq(strlen(alone[i]), 20u);
        ash_generation_end(generation);
    }
    close_model();

    open_model("256", CROWD);
    struct ash_generation *generation[CROWD];
    for (int i = 0; i < CROWD; i++) {
        struct ash_generate_options options = sampled(30 + i, (uint64_t)i);
        make_prompt(i, token, &count);
        cr_assert_eq(ash_engine_add(model->engine, token, count, &options, &generation[i]), ASH_OK);
        bool busy;
        for (int step = 0; step < i; step++) /* they join one by one */
            cr_assert_eq(ash_engine_step(model->engine, &busy), ASH_OK);
    }
    run_all();
    for (int i = 0; i < CROWD; i++) {
        char *text = take_all(generation[i]);
        cr_assert_str_eq(text, alone[i], "sequence %d", i);
        ash_generation_end(generation[i]);
        free(text);
        free(alone[i]);
    }
    close_model();
}

Test(generate, a_cached_prefix_saves_the_prefill_and_changes_nothing)
{
    int32_t token[200], count = 150;
    for (int32_t i = 0; i < count; i++)
        token[i] = (i * 31) % 90;
    open_model("256", 2);
    char *text[2];
    struct ash_usage usage;
    for (int i = 0; i < 2; i++) {
        struct ash_generation *generation;
        struct ash_generate_options options = sampled(40, 3);
        cr_assert_eq(ash_engine_add(model->engine, token, count, &options, &generation), ASH_OK);
        run_all();
        ash_generation_usage(generation, &usage);
        cr_assert_eq(usage.cached_tokens, i ? 128 : 0);
        text[i] = take_all(generation);
        ash_generation_end(generation);
    }
    cr_assert_str_eq(text[0], text[1]);
    free(text[0]);
    free(text[1]);
    close_model();
}

Test(generate, an_answer_ends_where_the_context_is_full)
{
    open_model("64", 1);
    int32_t token[64] = { 0 };
    struct ash_generation *generation;
    struct ash_generate_options options = sampled(0, 1);
    struct ash_usage usage;
    cr_assert_eq(ash_engine_add(model->engine, token, 60, &options, &generation), ASH_OK);
    run_all();
    cr_assert_eq(ash_generation_finish(generation), ASH_FINISH_CONTEXT);
    ash_generation_usage(generation, &usage);
    cr_assert_eq(usage.answer_tokens, 4);
    ash_generation_end(generation);
    cr_assert_eq(ash_engine_add(model->engine, token, 64, &options, &generation), ASH_ERR_LIMIT);
    cr_assert(strstr(ash_error(), "64 tokens") && strstr(ash_error(), "holds 64"));
    close_model();
}

Test(generate, bad_prompts_are_refused)
{
    open_model("64", 1);
    struct ash_generation *generation, *second;
    struct ash_generate_options options = sampled(0, 1);
    cr_assert_eq(ash_engine_add(model->engine, (int32_t[]){ 0 }, 0, &options, &generation),
        ASH_ERR_ARGUMENT);
    cr_assert_eq(ash_engine_add(model->engine, (int32_t[]){ 1, 96 }, 2, &options, &generation),
        ASH_ERR_ARGUMENT);
    cr_assert_eq(ash_engine_add(model->engine, (int32_t[]){ -1 }, 1, &options, &generation),
        ASH_ERR_ARGUMENT);
    cr_assert_eq(ash_engine_add(model->engine, (int32_t[]){ 1 }, 1, &options, &generation), ASH_OK);
    cr_assert_eq(
        ash_engine_add(model->engine, (int32_t[]){ 1 }, 1, &options, &second), ASH_ERR_LIMIT);
    ash_generation_end(generation);
    close_model();
}

Test(generate, stop_texts_and_cancelling_end_an_answer)
{
    open_model("128", 2);
    int32_t token[] = { 5, 6, 7 };
    struct ash_generation *whole, *stopped, *canceled;
    struct ash_generate_options options = sampled(50, 9);
    cr_assert_eq(ash_engine_add(model->engine, token, 3, &options, &whole), ASH_OK);
    run_all();
    char *text = take_all(whole);
    ash_generation_end(whole);

    char stop[3] = { text[20], text[21], 0 };
    const char *stops[] = { stop };
    options.stop = stops;
    options.stop_count = 1;
    cr_assert_eq(ash_engine_add(model->engine, token, 3, &options, &stopped), ASH_OK);
    options.stop_count = 0;
    cr_assert_eq(ash_engine_add(model->engine, token, 3, &options, &canceled), ASH_OK);
    bool busy;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(ash_engine_step(model->engine, &busy), ASH_OK);
    ash_generation_cancel(canceled);
    run_all();
    cr_assert_eq(ash_generation_finish(stopped), ASH_FINISH_END);
    cr_assert_eq(ash_generation_finish(canceled), ASH_FINISH_CANCELED);
    char *before = take_all(stopped);
    cr_assert_eq(strncmp(before, text, strlen(before)), 0);
    cr_assert_eq(strncmp(text + strlen(before), stop, 2), 0);
    free(before);
    free(text);
    ash_generation_end(stopped);
    ash_generation_end(canceled);
    close_model();
}

/* A conversation of two messages through the template, or a text as it is; *out is ended by the caller. */
static enum ash_status answer_once(bool chat, struct ash_session **out)
{
    struct ash_session_options options = ash_session_defaults();
    options.max_tokens = 8;
    options.stop = (const char *const[]){ "never said" };
    options.stop_count = 1;
    struct ash_piece piece = { 0 };
    ASH_TRY(ash_session_create(model, &options, out));
    if (chat) {
        ASH_TRY(ash_session_add(*out, "system", "Be brief."));
        ASH_TRY(ash_session_add(*out, "user", "Hello, stone"));
    } else {
        ASH_TRY(ash_session_prompt(*out, "Hello, stone", 12));
    }
    while (!piece.done)
        ASH_TRY(ash_session_next(*out, &piece));
    return ASH_OK;
}

Test(generate, every_failed_allocation_of_an_answer_is_survived)
{
    open_model("256", 1);
    for (int chat = 0; chat < 2; chat++) {
        enum ash_status status = ASH_ERR_NO_MEMORY;
        int failures = 0;
        for (int n = 0; status != ASH_OK; n++, failures++) {
            struct ash_session *session = NULL;
            ash_memory_fail_from(n);
            status = answer_once(chat, &session);
            ash_memory_fail_from(-1);
            cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
            ash_session_destroy(session);
            cr_assert_lt(n, 10000);
        }
        cr_assert_geq(failures, chat ? 20 : 5, "%d", failures);
    }
    close_model();
}

/* ---- Sessions ---- */

static char *converse(struct ash_session *session, const char *text)
{
    char answer[4096] = "";
    size_t length = 0;
    struct ash_piece piece = { 0 };
    cr_assert_eq(ash_session_add(session, "user", text), ASH_OK, "%s", ash_error());
    while (!piece.done) {
        cr_assert_eq(ash_session_next(session, &piece), ASH_OK, "%s", ash_error());
        memcpy(answer + length, piece.text, piece.length);
        length += piece.length;
    }
    return strndup(answer, length);
}

Test(session,
    a_conversation_forgets_its_beginning_when_the_context_is_full_but_not_the_system_message)
{
    open_model("512", 1);
    struct ash_session_options options = ash_session_defaults();
    options.max_tokens = 16;
    options.ignore_end = true;
    struct ash_session *session;
    cr_assert_eq(ash_session_create(model, &options, &session), ASH_OK);
    cr_assert_eq(ash_session_add(session, "system", "Be brief."), ASH_OK);
    struct ash_usage usage = { 0 };
    for (int i = 0; i < 12; i++) {
        free(converse(session, "A question of about forty characters, or so?"));
        ash_session_usage(session, &usage);
        cr_assert_leq(usage.prompt_tokens + usage.answer_tokens, 512);
        cr_assert_gt(usage.prompt_tokens, 50);
    }
    cr_assert_gt(usage.forgotten_messages, 0);
    cr_assert_gt(usage.cached_tokens, 0);
    ash_session_destroy(session);
    close_model();
}

Test(session, a_message_that_cannot_fit_is_refused_and_the_conversation_goes_on)
{
    open_model("256", 1);
    struct ash_session_options options = ash_session_defaults();
    options.max_tokens = 8;
    struct ash_session *session;
    cr_assert_eq(ash_session_create(model, &options, &session), ASH_OK);
    free(converse(session, "one"));
    char *huge = malloc(1001);
    memset(huge, 'x', 1000);
    huge[1000] = '\0';
    struct ash_piece piece;
    cr_assert_eq(ash_session_add(session, "user", huge), ASH_OK);
    cr_assert_eq(ash_session_next(session, &piece), ASH_ERR_LIMIT);
    ash_session_truncate(session, 2);
    free(converse(session, "two"));
    free(huge);
    ash_session_destroy(session);
    close_model();
}

Test(session, misuse_and_broken_text_get_a_clear_error)
{
    open_model("256", 1);
    struct ash_session *session;
    struct ash_piece piece;
    cr_assert_eq(ash_session_create(model, NULL, &session), ASH_OK);
    cr_assert_eq(ash_session_next(session, &piece), ASH_ERR_ARGUMENT);
    cr_assert_eq(ash_session_add(session, "user", "broken \xC3( here"), ASH_ERR_FORMAT);
    cr_assert(strstr(ash_error(), "offset 7"), "%s", ash_error());
    cr_assert_eq(ash_session_next(session, &piece), ASH_ERR_ARGUMENT);
    ash_session_destroy(session);
    close_model();
}

Test(session, the_same_seed_gives_the_same_answers)
{
    open_model("512", 2);
    struct ash_session_options options = ash_session_defaults();
    options.max_tokens = 24;
    options.seed = 77;
    char *answer[2][2];
    for (int i = 0; i < 2; i++) {
        struct ash_session *session;
        cr_assert_eq(ash_session_create(model, &options, &session), ASH_OK);
        answer[i][0] = converse(session, "first");
        answer[i][1] = converse(session, "second");
        ash_session_destroy(session);
    }
    cr_assert_str_eq(answer[0][0], answer[1][0]);
    cr_assert_str_eq(answer[0][1], answer[1][1]);
    for (int i = 0; i < 4; i++)
        free(answer[i / 2][i % 2]);
    close_model();
}
