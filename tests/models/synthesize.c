/* SPDX-License-Identifier: Apache-2.0 */
/* Files of random weights: read back by our own reader, run by our own engine. */
#include "models/model.h"
#include "runtime/memory.h"
#include "tests/models/tiny_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char folder[64], path[128];
static struct ash_gguf *tokenizer; /* 96 tokens */

static void set_up(void)
{
    char from[1024];
    snprintf(folder, sizeof folder, "/tmp/ashlar-synthesize-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/made.gguf", folder);
    snprintf(from, sizeof from, "%s/models/llama/tied.gguf", getenv("ASHLAR_TEST_DATA"));
    cr_assert_eq(ash_gguf_open(from, &tokenizer), ASH_OK, "%s", ash_error());
}

static void tear_down(void)
{
    ash_gguf_close(tokenizer);
    unlink(path);
    cr_assert_eq(rmdir(folder), 0, "something was left behind in %s", folder);
}

TestSuite(synthesize, .init = set_up, .fini = tear_down, .timeout = 120);

static struct ash_synthesis tiny(enum ash_type type)
{
    return tiny_synthesis(type, tokenizer);
}

static struct ash_gguf *make(const struct ash_synthesis *what)
{
    struct ash_gguf *made;
    cr_assert_eq(ash_synthesize(what, path), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_gguf_open(path, &made), ASH_OK, "%s", ash_error());
    return made;
}

static const enum ash_type types[] = { ASH_F32, ASH_F16, ASH_BF16, ASH_Q8_0, ASH_Q4_0, ASH_Q4_1 };
enum { TYPES = sizeof types / sizeof types[0] };

/* ---- What the file holds ---- */

Test(synthesize, matrices_have_the_type_the_shape_and_the_spread_that_was_asked_for)
{
    for (size_t i = 0; i < TYPES; i++) {
        struct ash_synthesis what = tiny(types[i]);
        struct ash_gguf *made = make(&what);
        struct ash_tensor tensor;
        float value[96 * 64];
        double sum = 0, squares = 0;
        cr_assert_eq(ash_gguf_find_tensor(made, "blk.1.ffn_gate.weight", &tensor), ASH_OK);
        cr_assert_eq(tensor.type, types[i]);
        cr_assert(tensor.dim[0] == 96 && tensor.dim[1] == 64);
        cr_assert_eq(ash_to_float(types[i], tensor.data, 96 * 64, value), ASH_OK);
        for (int j = 0; j < 96 * 64; j++) {
            sum += (double)value[j];
            squares += (double)value[j] * (double)value[j];
        }
        cr_assert_lt(fabs(sum / (96 * 64)), 0.01);
        double deviation = sqrt(squares / (96 * 64));
        cr_assert(deviation > 0.115 && deviation < 0.135, "%s: %g, not 1/8",
            ash_type_info(types[i])->name, deviation);
        ash_gguf_close(made);
    }
}

Test(synthesize, an_output_matrix_of_its_own_has_its_own_type)
{
    struct ash_synthesis what = tiny(ASH_Q4_0);
    struct ash_tensor tensor;
    what.output_type = ASH_Q8_0;
    struct ash_gguf *made = make(&what);
    cr_assert_not(ash_gguf_has_tensor(made, "output.weight"));
    cr_assert_eq(ash_gguf_find_tensor(made, "token_embd.weight", &tensor), ASH_OK);
    cr_assert_eq(tensor.type, ASH_Q8_0);
    ash_gguf_close(made);
    what.shape.tied = false;
    made = make(&what);
    cr_assert_eq(ash_gguf_find_tensor(made, "token_embd.weight", &tensor), ASH_OK);
    cr_assert_eq(tensor.type, ASH_Q4_0);
    cr_assert_eq(ash_gguf_find_tensor(made, "output.weight", &tensor), ASH_OK);
    cr_assert_eq(tensor.type, ASH_Q8_0);
    cr_assert_eq(tensor.dim[0], 130);
    ash_gguf_close(made);
}

/* The tokenizer's own items come first and unchanged; 34 unused ones follow. */
Test(synthesize, the_tokenizer_is_taken_over_and_filled_up)
{
    struct ash_synthesis what = tiny(ASH_F32);
    struct ash_gguf *made = make(&what);
    struct ash_gguf_value was, tokens, kinds;
    struct ash_gguf_string a, b = { 0 };
    uint32_t end, count;
    cr_assert_eq(
        ash_gguf_get_array(tokenizer, "tokenizer.ggml.tokens", ASH_GGUF_STRINGS, &was), ASH_OK);
    cr_assert_eq(
        ash_gguf_get_array(made, "tokenizer.ggml.tokens", ASH_GGUF_STRINGS, &tokens), ASH_OK);
    cr_assert_eq(
        ash_gguf_get_array(made, "tokenizer.ggml.token_type", ASH_GGUF_INTEGERS, &kinds), ASH_OK);
    cr_assert(was.count == 96 && tokens.count == 130 && kinds.count == 130);
    struct ash_gguf_strings old = ash_gguf_strings(&was), all = ash_gguf_strings(&tokens);
    while (ash_gguf_strings_next(&old, &a)) {
        cr_assert(ash_gguf_strings_next(&all, &b));
        cr_assert(a.length == b.length && memcmp(a.text, b.text, a.length) == 0);
    }
    while (ash_gguf_strings_next(&all, &b))
        ;
    cr_assert(ash_gguf_string_is(b, "[PAD129]"), "%.*s", (int)b.length, b.text);
    cr_assert_eq(ash_gguf_integer(&kinds, 94), 1);
    cr_assert_eq(ash_gguf_integer(&kinds, 96), 5);
    cr_assert_eq(ash_gguf_integer(&kinds, 129), 5);
    cr_assert_eq(ash_gguf_get_u32(made, "tokenizer.ggml.eos_token_id", 0, 999, &end), ASH_OK);
    cr_assert_eq(end, 95u);
    cr_assert_eq(ash_gguf_get_u32(made, ".vocab_size", 0, 999, &count), ASH_OK);
    cr_assert_eq(count, 130u);
    ash_gguf_close(made);
}

Test(synthesize, without_a_number_the_vocabulary_is_the_tokenizers)
{
    struct ash_synthesis what = tiny(ASH_F32);
    struct ash_tensor tensor;
    what.shape.vocabulary = 0;
    struct ash_gguf *made = make(&what);
    cr_assert_eq(ash_gguf_find_tensor(made, "token_embd.weight", &tensor), ASH_OK);
    cr_assert_eq(tensor.dim[0], 96);
    ash_gguf_close(made);
}

Test(synthesize, qwen2_has_its_own_keys_and_biases)
{
    struct ash_synthesis what = tiny(ASH_Q8_0);
    uint32_t layers;
    struct ash_tensor tensor;
    what.shape.architecture = "qwen2";
    struct ash_gguf *made = make(&what);
    cr_assert_eq(ash_gguf_get_u32(made, "qwen2.block_count", 1, 9, &layers), ASH_OK);
    cr_assert_eq(layers, 2u);
    cr_assert_eq(ash_gguf_find_tensor(made, "blk.0.attn_k.bias", &tensor), ASH_OK);
    cr_assert(tensor.type == ASH_F32 && tensor.rank == 1 && tensor.dim[0] == 32);
    cr_assert_not(ash_gguf_has_tensor(made, "blk.0.attn_output.bias"));
    ash_gguf_close(made);
}

/* The Q8_0 file of another shape in between: a tensor's elements depend on name and seed alone. */
Test(synthesize, the_same_seed_gives_the_same_weights_and_another_others)
{
    struct ash_synthesis what = tiny(ASH_F32);
    float value[3][32];
    for (int i = 0; i < 3; i++) {
        struct ash_tensor tensor;
        what.shape.layers = i == 1 ? 3 : 2;
        what.seed = i == 2 ? 8 : 7;
        struct ash_gguf *made = make(&what);
        cr_assert_eq(ash_gguf_find_tensor(made, "blk.1.attn_v.weight", &tensor), ASH_OK);
        memcpy(value[i], tensor.data, sizeof value[i]);
        ash_gguf_close(made);
    }
    cr_assert_eq(memcmp(value[0], value[1], sizeof value[0]), 0);
    cr_assert_neq(memcmp(value[0], value[2], sizeof value[0]), 0);
}

Test(synthesize, every_named_shape_is_one_that_can_be_made)
{
    for (const struct ash_synthetic_shape *shape = ash_synthetic_shapes; shape->name; shape++) {
        struct ash_synthesis what = {
            .shape = *shape, .type = ASH_Q4_0, .output_type = ASH_Q8_0, .tokenizer = tokenizer
        };
        cr_assert_eq(ash_synthetic_shape_find(shape->name), shape);
        what.shape.layers =
            0; /* the only thing wrong with it: hundreds of megabytes are not made */
        cr_assert_eq(ash_synthesize(&what, path), ASH_ERR_ARGUMENT);
        cr_assert(strstr(ash_error(), "layers"), "%s: %s", shape->name, ash_error());
        what.shape.layers = 1;
        what.shape.vocabulary = 96;
        if (shape->channels < 1000)
            ash_gguf_close(make(&what));
    }
}

/* ---- What it computes ---- */

static void run_model(enum ash_type type)
{
    struct ash_setting_value settings[] = { { "device", "cpu" }, { "threads", "1" },
        { "context", "64" } };
    struct ash_runtime *runtime;
    struct ash_model *model;
    int32_t token[8] = { 1, 2, 3, 4, 5, 6, 7, 129 }, span_of[8] = { 0 }, output[1] = { 7 },
            page[2] = { 0, 1 };
    struct ash_span span = { 0, 8, 0, page };
    struct ash_batch batch = { 8, 1, 1, token, span_of, output, &span };
    cr_assert_eq(ash_runtime_create(settings, 3, &runtime), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_model_open(runtime, path, NULL, &model), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_plan_run(model->plan, &batch), ASH_OK, "%s", ash_error());
    const float *logits = ash_plan_output(model->plan, model->logits)->data;
    double sum = 0, squares = 0;
    for (int i = 0; i < 130; i++) {
        cr_assert(isfinite(logits[i]), "logit %d is %g", i, (double)logits[i]);
        sum += (double)logits[i];
        squares += (double)logits[i] * (double)logits[i];
    }
    double deviation = sqrt(squares / 130 - (sum / 130) * (sum / 130));
    cr_assert(deviation > 0.3 && deviation < 3, "%s: logits differ by %g",
        ash_type_info(type)->name, deviation);
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
}

Test(synthesize, our_engine_gets_finite_logits_that_differ)
{
    for (size_t i = 0; i < TYPES; i++) {
        struct ash_synthesis what = tiny(types[i]);
        ash_gguf_close(make(&what));
        run_model(types[i]);
    }
}

/* ---- What goes wrong ---- */

static const struct {
    size_t offset; /* of an int64_t in the shape */
    int64_t value;
    const char *says;
    enum ash_status expect;
} refused[] = {
#define SHAPE(field) offsetof(struct ash_synthetic_shape, field)
    { SHAPE(layers), 0, "layers", ASH_ERR_ARGUMENT },
    { SHAPE(layers), INT64_MAX, "layers", ASH_ERR_ARGUMENT },
    { SHAPE(channels), 48, "blocks of 32", ASH_ERR_ARGUMENT },
    { SHAPE(channels), INT64_MIN, "width", ASH_ERR_ARGUMENT },
    { SHAPE(feed_forward), 97, "feed-forward", ASH_ERR_ARGUMENT },
    { SHAPE(feed_forward), INT64_MAX - 31, "feed-forward", ASH_ERR_ARGUMENT },
    { SHAPE(heads), 0, "heads", ASH_ERR_ARGUMENT },
    { SHAPE(heads), 3, "share", ASH_ERR_ARGUMENT },
    { SHAPE(kv_heads), 0, "KV heads", ASH_ERR_ARGUMENT },
    { SHAPE(kv_heads), 8, "KV heads", ASH_ERR_ARGUMENT },
    { SHAPE(head_size), 17, "pairs", ASH_ERR_ARGUMENT },
    { SHAPE(head_size), 2, "blocks of 32", ASH_ERR_ARGUMENT },
    { SHAPE(context), 0, "context", ASH_ERR_ARGUMENT },
    { SHAPE(vocabulary), 95, "tokenizer of 96", ASH_ERR_FORMAT },
    { SHAPE(vocabulary), -1, "vocabulary", ASH_ERR_ARGUMENT },
    { SHAPE(vocabulary), INT64_MAX, "vocabulary", ASH_ERR_ARGUMENT },
#undef SHAPE
};

Test(synthesize, impossible_shapes_are_refused_and_leave_nothing)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct ash_synthesis what = tiny(ASH_Q4_0);
        memcpy((char *)&what.shape + refused[i].offset, &refused[i].value, sizeof(int64_t));
        cr_assert_eq(ash_synthesize(&what, path), refused[i].expect, "case %zu", i);
        cr_assert(strstr(ash_error(), refused[i].says), "case %zu: %s", i, ash_error());
    }
    struct ash_synthesis what = tiny(ASH_A8);
    cr_assert_eq(ash_synthesize(&what, path), ASH_ERR_ARGUMENT);
    what = tiny(ASH_F32);
    what.shape.architecture = "no/such";
    cr_assert_eq(ash_synthesize(&what, path), ASH_ERR_ARGUMENT);
    what = tiny(ASH_F32);
    what.shape.rope_base = nan("");
    cr_assert_eq(ash_synthesize(&what, path), ASH_ERR_ARGUMENT);
    cr_assert_neq(access(path, F_OK), 0);
}

static bool stop(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
    int *calls = context;
    cr_assert(done_bytes > 0 && done_bytes <= total_bytes);
    return ++*calls < 3;
}

Test(synthesize, a_stop_leaves_nothing)
{
    struct ash_synthesis what = tiny(ASH_F32);
    int calls = 0;
    what.progress = stop;
    what.context = &calls;
    cr_assert_eq(ash_synthesize(&what, path), ASH_ERR_CANCELED);
    cr_assert_eq(calls, 3);
    cr_assert_neq(access(path, F_OK), 0);
}

/* A file size limit stands in for a full disk: both fail a write in the middle. */
Test(synthesize, a_full_disk_is_an_error_and_leaves_nothing)
{
    struct ash_synthesis what = tiny(ASH_F32);
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 100000, limit.rlim_max });
    enum ash_status status = ash_synthesize(&what, path);
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert_eq(status, ASH_ERR_IO);
    cr_assert(strstr(ash_error(), "made.gguf"), "%s", ash_error());
    cr_assert_neq(access(path, F_OK), 0);
}

/* Terabytes; no disk here has them. */
Test(synthesize, a_disk_that_is_too_small_is_said_before_anything_is_written)
{
    struct ash_synthesis what = tiny(ASH_F32);
    what.shape.layers = 1000;
    what.shape.channels = 1 << 14;
    what.shape.feed_forward = 1 << 20;
    cr_assert_eq(ash_synthesize(&what, path), ASH_ERR_IO);
    cr_assert(strstr(ash_error(), "its disk has"), "%s", ash_error());
}

Test(synthesize, every_failed_allocation_is_survived)
{
    struct ash_synthesis what = tiny(ASH_Q8_0);
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        ash_memory_fail_from(nth);
        status = ash_synthesize(&what, path);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        cr_assert_lt(nth, 200);
        cr_assert(status == ASH_OK || access(path, F_OK) != 0);
    }
}
