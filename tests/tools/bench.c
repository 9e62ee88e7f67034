/* SPDX-License-Identifier: Apache-2.0 */
/* `ashlar bench` on a tiny checkpoint: what it says is there and makes sense; how fast is no test. */
#include "tools/ashlar/bench.h"
#include "kernels/ops.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "tools/ashlar/bench_subject.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORDS = 24, LINE_BYTES = 1024 };

/* Runs `ashlar bench -m TINY LINE...`, words of the line parted by single blanks; "~" stands for a
 * blank. Returns the exit code. */
static int run(const char *line)
{
    char text[LINE_BYTES], *argv[MOST_WORDS] = { NULL }, *rest = text;
    int argc = 0;
    snprintf(text, sizeof text, "ashlar bench -m %s/models/llama/tied.gguf %s",
        getenv("ASHLAR_TEST_DATA"), line);
    for (char *word; (word = strsep(&rest, " ")) && argc < MOST_WORDS - 1; argc++) {
        for (char *at = word; (at = strchr(at, '~'));)
            *at = ' ';
        argv[argc] = word;
    }
    return ash_cli_main(argc, argv);
}

/* What it prints with --json. */
static json_t *run_json(const char *line)
{
    char whole[LINE_BYTES];
    snprintf(whole, sizeof whole, "--json %s", line);
    FILE *file = tmpfile();
    int before = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    int code = run(whole);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    cr_assert_eq(code, 0, "%s: %s", whole, ash_error());
    rewind(file);
    json_error_t error;
    json_t *object = json_loadf(file, 0, &error);
    cr_assert(object, "%s: line %d: %s", whole, error.line, error.text);
    fclose(file);
    return object;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    cr_assert(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

static void check_ordered(
    const json_t *row, const char *least, const char *median, const char *most)
{
    cr_expect_gt(number(row, least), 0);
    cr_expect_leq(number(row, least), number(row, median), "%s", least);
    cr_expect_leq(number(row, median), number(row, most), "%s", most);
}

Test(bench, every_combination_of_the_lists_is_measured)
{
    json_t *object = run_json(
        "-p 8,40 -n 3 --depth 0,33 --prompts 1,3 --sequences 1,4 -r 3 -t 2 --batch-tokens 16");
    json_t *rows = json_object_get(object, "results"), *row;
    cr_assert_eq(json_array_size(rows), 2u * (2 * 2 + 2));
    size_t index;
    json_array_foreach(rows, index, row)
    {
        check_ordered(row, "tokens_per_s_min", "tokens_per_s", "tokens_per_s_max");
        cr_expect_gt(number(row, "ms"), 0);
        cr_expect_gt(number(row, "gbps"), 0);
        cr_expect_gt(number(row, "gops"), 0);
        cr_expect_gt(number(row, "percent_of_read"), 0);
        cr_expect_gt(number(row, "percent_of_compute"), 0);
        cr_expect_eq(json_array_size(json_object_get(row, "samples_ms")), 3u);
    }
    row = json_array_get(rows, 9);
    cr_expect_str_eq(json_string_value(json_object_get(row, "test")), "prefill 40");
    cr_expect_eq(number(row, "sequences"), 3);
    row = json_array_get(rows, 11);
    cr_expect_str_eq(json_string_value(json_object_get(row, "test")), "decode 3");
    cr_expect_eq(number(row, "depth"), 33);
    cr_expect_eq(number(row, "sequences"), 4);
    cr_expect_eq(number(json_object_get(object, "roof"), "threads"), 2);
    cr_expect_gt(number(object, "load_ms"), 0);
    cr_expect_gt(number(object, "peak_rss_bytes"), 0);
    json_decref(object);
}

/* In batches of 16 tokens: 3 prompts of 8 take two, and 2 prompts of 16 what one of 32 takes but attention. */
Test(bench, prompts_share_batches)
{
    json_t *object =
        run_json("-p 8,16,32 -n 0 --prompts 1,2,3 -r 1 -t 1 --no-roof --batch-tokens 16");
    json_t *rows = json_object_get(object, "results");
    double bytes[9];
    for (size_t i = 0; i < 9; i++) {
        json_t *row = json_array_get(rows, i);
        bytes[i] = number(row, "gbps") * number(row, "ms");
    }
    cr_expect_float_eq(bytes[1] / bytes[0], 1, 0.1);
    cr_expect_float_eq(bytes[2] / bytes[0], 2, 0.2);
    cr_expect_float_eq(bytes[4] / bytes[3], 2, 0.2);
    cr_expect_float_eq(bytes[4] / bytes[6], 1, 0.2);
    json_decref(object);
}

/* More is read at depth, and arithmetic grows with sequences while weights do not. */
Test(bench, the_work_is_counted_by_what_the_batch_makes_it_read)
{
    json_t *object = run_json("-p 0 -n 4 --depth 0,64 --sequences 1,8 -r 1 -t 1 --no-roof");
    json_t *rows = json_object_get(object, "results");
    double bytes[4], flops[4];
    for (size_t i = 0; i < 4; i++) {
        json_t *row = json_array_get(rows, i);
        bytes[i] = number(row, "gbps") * number(row, "ms");
        flops[i] = number(row, "gops") * number(row, "ms");
        cr_expect(json_is_null(json_object_get(row, "percent_of_read")));
    }
    cr_expect_gt(bytes[2], bytes[0]);
    cr_expect_lt(bytes[1], 8 * bytes[0]);
    cr_expect_float_eq(flops[1], 8 * flops[0], flops[0] * 0.01);
    cr_expect(json_is_null(json_object_get(object, "roof")));
    json_decref(object);
}

/* What decoding takes of the small model: a row's name, and the type of its weight or cache. */
struct measured {
    const char *row, *name; /* "~" stands for a blank in the second, what the case is called */
    enum ash_type type;
};

/* The kernels that this processor has for it, each name followed by a blank. */
static void list_kernels(const struct measured *what, char *out)
{
    struct bench_subject subject = {
        .row = bench_rows, .shape = bench_shapes, .phase = bench_phases
    };
    while (strcmp(subject.row->name, what->row) != 0)
        subject.row++;
    cr_assert_eq(bench_subject_shape(&subject, what->type), ASH_OK, "%s", ash_error());
    *out = '\0';
    for (const struct ash_kernel *kernel = subject.row->op->kernels; kernel->run; kernel++)
        if (ash_kernel_runs(kernel, &subject.args, ash_cpu_features()))
            sprintf(out + strlen(out), "%s ", kernel->name);
}

/* The kernels that have a result of exactly this case, in turn: a filter may hold for others, too. */
static void check_results(
    const json_t *results, const struct measured *what, bool roofed, char *kernels)
{
    size_t index;
    json_t *row;
    *kernels = '\0';
    json_array_foreach(results, index, row)
    {
        check_ordered(row, "us_min", "us", "us_max");
        cr_expect_gt(number(row, "gbps"), 0);
        cr_expect_eq(json_is_string(json_object_get(row, "roof")), roofed);
        char name[64];
        snprintf(name, sizeof name, "%s", json_string_value(json_object_get(row, "case")));
        for (char *at = name; (at = strchr(at, ' '));)
            *at = '~';
        if (strcmp(name, what->name) == 0)
            sprintf(kernels + strlen(kernels), "%s ",
                json_string_value(json_object_get(row, "kernel")));
    }
}

Test(bench, operators_are_measured_with_every_kernel)
{
    static const struct measured all[] = {
        { "attn_k", "135M~attn_k~Q4_1~decode", ASH_Q4_1 },
        { "gather", "135M~gather~decode", ASH_F32 },
        { "kv_write", "135M~kv_write~F16~decode", ASH_F16 },
        { "attention", "135M~attention~F16~decode", ASH_F16 },
        { "attn_norm", "135M~attn_norm~decode", ASH_F32 },
        { "topk 40", "135M~topk~40~decode", ASH_F32 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char line[128], expected[256], found[256];
        const bool roofed = i == 0;
        snprintf(
            line, sizeof line, "--ops %s -r 2 -t 2%s", all[i].name, roofed ? "" : " --no-roof");
        list_kernels(&all[i], expected);
        if (*expected == '\0') { /* without AVX2, say */
            cr_expect_eq(run(line), 3, "%s", line);
            cr_expect(strstr(ash_error(), "none of its kernels runs here"), "%s", ash_error());
            continue;
        }
        json_t *object = run_json(line);
        check_results(json_object_get(object, "results"), &all[i], roofed, found);
        cr_expect_str_eq(found, expected, "%s: found %s", all[i].name, found);
        json_decref(object);
    }
}

Test(bench, every_operator_of_the_build_has_a_row)
{
    for (const struct ash_op *const *op = ash_ops; *op; op++) {
        const struct bench_row *row = bench_rows;
        while (row->op && row->op != *op)
            row++;
        cr_expect(row->op, "add a row for %s to tools/ashlar/bench_shapes.c", (*op)->name);
    }
}

Test(bench, what_cannot_be_measured_is_one_clear_error)
{
    static const struct {
        const char *line;
        int code;
        const char *says;
    } cases[] = {
        { "-p x", 2, "--prompt" },
        { "-p 1,,2", 2, "--prompt" },
        { "-p 1,", 2, "--prompt" },
        { "-p -1", 2, "--prompt" },
        { "-n 99999999999", 2, "--gen" },
        { "--depth 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", 2, "at most 16 numbers" },
        { "--depth 0000000000000000000000000000000000000001", 2, "--depth" },
        { "--prompts 0", 2, "--prompts" },
        { "--sequences 0", 2, "--sequences" },
        { "-r 0", 2, "--repeats" },
        { "-p 0 -n 0", 2, "nothing to measure" },
        { "matmul", 2, "--ops" },
        { "-p 10000000", 10, "lower --depth" },
        { "-p 64 -n 0 -c 32", 10, "raise --context" },
        { "--ops nonsense", 3, "rmsnorm" },
        { "--ops --device null", 5, "--device cpu" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[128];
        snprintf(line, sizeof line, "%s --no-roof", cases[i].line);
        cr_expect_eq(run(line), cases[i].code, "%s", cases[i].line);
        cr_expect(strstr(ash_error(), cases[i].says), "%s: %s", cases[i].line, ash_error());
    }
}

Test(bench, caches_that_do_not_fit_are_refused_before_anything_is_loaded)
{
    struct bench_points points = { .count = 1, .positions = 64, .sequences = INT32_MAX };
    struct ash_config config;
    char path[512];
    snprintf(path, sizeof path, "%s/models/llama/tied.gguf", getenv("ASHLAR_TEST_DATA"));
    cr_assert_eq(ash_config_init(&config), ASH_OK);
    cr_assert_eq(ash_config_set(&config, ash_setting_find("model"), path, ASH_SOURCE_FLAG), ASH_OK);
    cr_expect_eq(bench_points_check(&points, &config), ASH_ERR_NO_MEMORY);
    cr_expect(strstr(ash_error(), "lower --depth"), "%s", ash_error());
    points.sequences = 1;
    cr_expect_eq(bench_points_check(&points, &config), ASH_OK, "%s", ash_error());
    cr_expect_eq(config.context, 64);
    ash_config_finish(&config);
}

Test(bench, a_summary_is_least_median_and_most)
{
    struct bench_summary odd = bench_summarise((double[]){ 3, 1, 2 }, 3);
    cr_expect(odd.min == 1 && odd.median == 2 && odd.max == 3);
    struct bench_summary even = bench_summarise((double[]){ 4, 1, 2, 9 }, 4);
    cr_expect(even.min == 1 && even.median == 3 && even.max == 9);
}

Test(bench, noise_is_what_others_used_of_the_processors)
{
    struct bench_cpu from = { .wall_s = 10, .busy_s = 100, .own_s = 5, .cpus = 4 };
    struct bench_cpu to = { .wall_s = 12, .busy_s = 107, .own_s = 10, .cpus = 4 };
    cr_expect_float_eq(bench_foreign_percent(&from, &to), 25, 1e-9); /* 2 of 8 seconds */
    to.own_s = 13;                                                   /* the counters' grain */
    cr_expect_eq(bench_foreign_percent(&from, &to), 0);
    to.wall_s = 10.1;
    cr_expect(isnan(bench_foreign_percent(&from, &to)));
    bench_cpu_read(&from);
    cr_expect_gt(from.cpus, 0);
    cr_expect(isnan(from.busy_s) || from.busy_s > 0);
}

/* Every allocation fails in turn: an error each time, nothing lost, and at last a result. */
Test(bench, survives_every_failed_allocation)
{
    int code = -1;
    for (int64_t nth = 0; code != 0; nth++) {
        ash_memory_fail_from(nth);
        code = run("-p 4 -n 2 -r 1 -t 1 --no-roof -q");
        ash_memory_fail_from(-1);
        cr_assert(code == 0 || *ash_error(), "allocation %d: exit %d", (int)nth, code);
        cr_assert_lt(nth, 20000, "this is no failed allocation: %s", ash_error());
    }
}
