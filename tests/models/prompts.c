/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prompts with kernels of their own: what a sequence says hangs on its own tokens all the same. On the processor,
 * alone and beside another device, or on the device with matrix cores that ASHLAR_TEST_DEVICE names.
 *
 * Which kernels a processor has, and which of them are the fastest, differs from one to the next: a ranking is left
 * for it by which prompts have their own wherever there is a choice, and one place has what is measured.
 */
#include "kernels/matmul/matmul.h"
#include "models/model.h"
#include "runtime/cpu.h"
#include "tests/models/tiny_model.h"
#include "tests/support/lazy_device.h"
#include "tests/support/ranking_file.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/ashlar-prompts-XXXXXX", own_folder[64], path[64];
static struct ash_runtime *runtime;
static struct ash_model *model;

/* One device with kernels for prompts; the same and another, which has none; what the processor measures. */
static struct on {
    const char *device, *split;
    bool measures;
} places[] = { { "cpu", "auto" }, { "cpu,null", "1,1" }, { "null,cpu", "rows:1,1" },
    { "cpu", "auto", .measures = true } };
static int place_count = sizeof places / sizeof *places;
static struct on on;

/* Some device has several kernels for some operator of the model, for its matmul; a processor with AVX2 alone has
 * neither, one with AVX-512 alone the first. And whether the model that is open has a plan for prompts. */
static bool choice, matmul_choice, apart;

static void make_model(void)
{
    struct ash_gguf *tokenizer;
    char from[1024];
    snprintf(from, sizeof from, "%s/models/llama/tied.gguf", getenv("ASHLAR_TEST_DATA"));
    cr_assert_eq(ash_gguf_open(from, &tokenizer), ASH_OK, "%s", ash_error());
    struct ash_synthesis what = tiny_synthesis(ASH_Q8_0, tokenizer);
    cr_assert_eq(ash_synthesize(&what, path), ASH_OK, "%s", ash_error());
    ash_gguf_close(tokenizer);
}

/* A ranking by which the first kernel of a list is the best for answers, and the last for prompts. */
static void make_ranking(void)
{
    static struct ash_ranking ranking;
    struct ash_setting_value settings[] = { { "device", "cpu" }, { "kernels", "listed" } };
    ranking_list(&ranking, ash_cpu_features());
    choice = ranking.count > 0;
    for (int i = 0; i < ranking.count; i++)
        matmul_choice |= ranking.item[i].op == &ash_op_matmul && ranking.item[i].type == ASH_Q8_0;
    ranking_reverse(&ranking, false);
    cr_assert_eq(ash_runtime_create(settings, 2, &runtime), ASH_OK, "%s", ash_error());
    ranking_leave(&ranking, runtime->device[0]->info.name, folder);
    ash_runtime_destroy(runtime);
}

static void set_up(void)
{
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/made.gguf", folder);
    snprintf(own_folder, sizeof own_folder, "%s/measured", folder);
    make_model();
    const char *device = getenv("ASHLAR_TEST_DEVICE");
    if (device) {
        places[0].device = device;
        place_count = 1;
        choice = matmul_choice = true;
    } else {
        make_ranking();
    }
}

static void tear_down(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(prompts, .init = set_up, .fini = tear_down, .timeout = 120);

static void open_runtime(const char *kernels, const char *batch_tokens)
{
    struct ash_setting_value settings[] = { { "device", on.device }, { "split", on.split },
        { "threads", "2" }, { "context", "256" }, { "batch_tokens", batch_tokens },
        { "cache_dir", on.measures ? own_folder : folder }, { "kernels", kernels } };
    cr_assert_eq(ash_runtime_create(settings, 7, &runtime), ASH_OK, "%s", ash_error());
}

/* A driver that takes a ranking for another machine's measures its own, and leaves that beside it. */
static void expect_our_ranking_only(void)
{
    char pattern[64];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/kernels-*", folder);
    cr_assert_eq(glob(pattern, 0, NULL, &found), 0);
    cr_assert_eq(found.gl_pathc, 1, "the ranking that was left is not the one that is read");
    globfree(&found);
}

static void load_model(int32_t sessions)
{
    struct ash_load_options options = { .sessions = sessions };
    cr_assert_eq(ash_model_load(runtime, path, &options, &model), ASH_OK, "%s", ash_error());
    apart = model->prompts != model->plan;
    if (!getenv("ASHLAR_TEST_DEVICE"))
        expect_our_ranking_only();
}

static void open_model(const char *kernels, const char *batch_tokens, int32_t sessions)
{
    open_runtime(kernels, batch_tokens);
    load_model(sessions);
    const bool listed = runtime->config.kernels == ASH_KERNELS_LISTED;
    if (listed || !on.measures)
        cr_assert_eq(apart, choice && !listed, "%s", on.device);
}

static void close_model(void)
{
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
}

enum { CROWD = 6, ANSWER = 60 };

/* What a sequence says after a prompt that `which` tells. */
struct said {
    int32_t token[256], prompt, count, cached;
};

static void make_prompt(int which, struct said *out)
{
    out->prompt = 1 + which * 13;
    for (int32_t i = 0; i < out->prompt; i++)
        out->token[i] = (i * 7 + which * 13) % 90;
}

static struct ash_generation *begin(const struct said *said)
{
    struct ash_generation *generation;
    struct ash_generate_options options = {
        .sampler = ASH_SAMPLER_DEFAULTS, .max_tokens = ANSWER, .ignore_end = true
    };
    options.sampler.seed = 11;
    cr_assert_eq(
        ash_engine_add(model->engine, said->token, said->prompt, &options, &generation), ASH_OK);
    return generation;
}

static void end(struct ash_generation *generation, struct said *said)
{
    struct ash_usage usage;
    bool busy = true;
    while (busy)
        cr_assert_eq(ash_engine_step(model->engine, &busy), ASH_OK, "%s", ash_error());
    const int32_t *token = ash_generation_tokens(generation, &said->count);
    memcpy(said->token, token, (size_t)said->count * sizeof *token);
    ash_generation_usage(generation, &usage);
    said->cached = usage.cached_tokens;
    ash_generation_end(generation);
}

static void expect_same(const struct said *a, const struct said *b, const char *what)
{
    cr_assert_eq(a->count, b->count, "%s", what);
    cr_assert_arr_eq(a->token, b->token, sizeof *a->token * (size_t)a->count, "%s", what);
}

static void check_plans(void)
{
    struct ash_plan_summary answers, prompts;
    open_model("measured", "24", 1);
    ash_plan_summary(model->plan, &answers);
    ash_plan_summary(model->prompts, &prompts);
    cr_expect_eq(prompts.weight_bytes, answers.weight_bytes, "%s", on.device);
    cr_expect_eq(prompts.state_bytes, answers.state_bytes, "%s", on.device);
    close_model();
    open_model("listed", "24", 1);
    close_model();
}

/* That they have one, or none where there is no choice, open_model() asks. */
Test(prompts, have_a_plan_of_their_own_that_holds_no_weight_again)
{
    for (int i = 0; i < place_count; i++) {
        on = places[i];
        check_plans();
    }
}

static void check_pieces(void)
{
    static const char *const pieces[] = { "6", "7", "32", "200" };
    static struct said alone[CROWD], crowd[CROWD];
    open_model("measured", "200", 1);
    for (int i = 0; i < CROWD; i++) {
        make_prompt(i, &alone[i]);
        end(begin(&alone[i]), &alone[i]);
    }
    close_model();
    for (int p = 0; p < 4; p++) {
        struct ash_generation *generation[CROWD];
        bool busy;
        open_model("measured", pieces[p], CROWD);
        for (int i = 0; i < CROWD; i++) {
            make_prompt(i, &crowd[i]);
            generation[i] = begin(&crowd[i]);
            cr_assert_eq(ash_engine_step(model->engine, &busy), ASH_OK); /* they join one by one */
        }
        for (int i = 0; i < CROWD; i++) {
            end(generation[i], &crowd[i]);
            expect_same(&crowd[i], &alone[i], pieces[p]);
        }
        close_model();
    }
}

Test(prompts, in_any_pieces_and_any_company_lead_to_the_same_answer)
{
    for (int i = 0; i < place_count; i++) {
        on = places[i];
        check_pieces();
    }
}

/* Of the second turn: with plans apart the first prompt's pages and no more, else the answer's, too. */
static int32_t most_cached(void)
{
    return (apart ? 66 : 125) / 32 * 32;
}

/* The second turn of a conversation: its prompt holds the first one and what was answered. */
static struct said second_turn(const char *kernels, bool after_the_first)
{
    static struct said first, second;
    open_model(kernels, "32", 1);
    make_prompt(5, &first);
    end(begin(&first), &first);
    second = first;
    second.prompt = first.count;
    if (!after_the_first) {
        close_model();
        open_model(kernels, "32", 1);
    }
    end(begin(&second), &second);
    close_model();
    return second;
}

static void check_turns(void)
{
    static struct said warm, cold;
    warm = second_turn("measured", true);
    cold = second_turn("measured", false);
    cr_expect_eq(warm.cached, most_cached(), "%s", on.device);
    expect_same(&warm, &cold, "with and without the first turn");
    warm = second_turn("listed", true);
    cr_expect_eq(warm.cached, most_cached(), "%s, one plan", on.device);
}

Test(prompts, that_repeat_an_answer_do_not_read_its_cache)
{
    for (int i = 0; i < place_count; i++) {
        on = places[i];
        check_turns();
    }
}

/* A model that the processor cannot hold alone, on a device whose memory runs out under its first prompt. */
Test(prompts, that_find_a_device_full_are_planned_again)
{
    enum { PLENTY = 1 << 30, LITTLE = 150 << 10 };
    static struct said said;
    on = places[0];
    open_runtime("measured", "32");
    struct ash_device *lazy = runtime->device[runtime->device_count++] = lazy_open(0, PLENTY);
    runtime->device[0]->info.memory_bytes = LITTLE;
    load_model(1);
    cr_assert(apart || !matmul_choice); /* attention may all lie on the other device */
    make_prompt(3, &said);
    lazy_fail(lazy, 0, ASH_ERR_NO_MEMORY);
    end(begin(&said), &said);
    cr_assert_eq(said.count, said.prompt + ANSWER);
    cr_assert_gt(model->devices.tries, 0);
    close_model();
}
