/* SPDX-License-Identifier: Apache-2.0 */
/* Models shared out by rows: who gets which, and when that is the fastest way. */
#include "models/split.h"
#include "models/micro_batch.h"
#include "models/model.h"
#include "runtime/memory.h"
#include "tests/support/golden.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* ---- Shares ---- */

static struct ash_split random_split(uint32_t *seed)
{
    struct ash_split split = { 0 };
    *seed = *seed * 1664525u + 1013904223u;
    split.parts = 1 + (int32_t)((*seed >> 16) % 8);
    for (int32_t i = 0; i < split.parts; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        split.share[i] = (*seed >> 16) % 7 ? 1 + (*seed >> 20) % 100 : 1e-9;
    }
    return split;
}

/* One after the other, all of them, none empty, and each within a few of its share. */
static void check_rows(const struct ash_split *split, int64_t count, int64_t grain)
{
    double all = 0;
    int64_t next = 0;
    for (int32_t i = 0; i < split->parts; i++)
        all += split->share[i];
    for (int32_t i = 0; i < split->parts; i++) {
        struct ash_rows rows =
            grain == 0 ? ash_split_heads(split, i, count) : ash_split_rows(split, i, count);
        double wanted = split->share[i] / all * (double)count;
        cr_assert_eq(rows.first, next);
        cr_assert_geq(rows.count, 1);
        cr_assert_eq(rows.count % (grain ? grain : 1), 0);
        cr_assert_leq(__builtin_fabs((double)rows.count - wanted),
            (double)(split->parts * (grain ? grain : 1)));
        next += rows.count;
    }
    cr_assert_eq(next, count);
}

Test(split, any_shares_cover_all_rows_and_leave_no_part_empty)
{
    static const int64_t counts[] = { 8, 9, 31, 32, 100, 1000, 49153 };
    uint32_t seed = 5;
    for (int n = 0; n < 500; n++) {
        struct ash_split split = random_split(&seed);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            check_rows(&split, counts[i], 0);
        check_rows(&split, 576, 32);
        check_rows(&split, 49152, 32);
        check_rows(&split, 577, 1);
        check_rows(&split, 32 * (split.parts - 1) + 8, split.parts > 1 ? 1 : 8);
    }
}

Test(split, settings_are_read)
{
    static const struct {
        const char *text;
        enum ash_split_how how;
        int64_t number[2]; /* {0} = none given */
    } cases[] = {
        { "auto", ASH_SPLIT_AUTO, { 0 } },
        { "10,20", ASH_SPLIT_LAYERS, { 10, 20 } },
        { "layers:30,0", ASH_SPLIT_LAYERS, { 30, 0 } },
        { "rows", ASH_SPLIT_ROWS, { 0 } },
        { "rows:50,1000000", ASH_SPLIT_ROWS, { 50, 1000000 } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_split_setting found;
        bool numbers = cases[i].number[0] + cases[i].number[1] > 0;
        cr_assert_eq(ash_split_read(cases[i].text, 2, 30, &found), ASH_OK, "%s", ash_error());
        cr_assert_eq(found.how, cases[i].how, "%s", cases[i].text);
        cr_assert_eq(found.numbers, numbers ? 2 : 0, "%s", cases[i].text);
        cr_assert_arr_eq(
            found.number, cases[i].number, sizeof cases[i].number, "%s", cases[i].text);
    }
}

Test(split, settings_that_say_something_else_are_refused)
{
    static const char *const bad[] = { "", "row", "rows:", "rows:1", "rows:1,2,3", "rows:1,",
        "rows:0,1", "rows:1,1000001", "rows:-1,2", "rows 1,2", "layers", "layers:", "layers:31,-1",
        "layers:10,10", "ROWS:1,2", "auto,1", "rows:1,99999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ash_split_setting found;
        cr_assert_eq(ash_split_read(bad[i], 2, 30, &found), ASH_ERR_ARGUMENT, "'%s'", bad[i]);
        cr_assert(strstr(ash_error(), "--split"), "'%s': %s", bad[i], ash_error());
        if (!strpbrk(bad[i], ":,"))
            cr_assert(strstr(ash_error(), "rows:60,40"), "'%s': %s", bad[i], ash_error());
    }
}

/* ---- Which way is the fastest ---- */

struct bench {
    struct ash_runtime *runtime;
    struct ash_model *model;
    struct ash_machine machine;
};

/* The tiny model, to be placed on two devices of these speeds and memories, `link_us` apart. */
static void open_bench(
    struct bench *out, double first_gbps, double second_gbps, double mib, double link_us)
{
    static const char table[] =
        "{\"devices\":["
        "{\"name\":\"cpu:0\",\"host\":true,\"memory_gib\":1,\"read_gbps\":%g,\"matmul_gops\":100,"
        "\"vector_gops\":100,\"launch_us\":0.001},"
        "{\"name\":\"hip:0\",\"memory_gib\":1,\"read_gbps\":%g,\"matmul_gops\":100,"
        "\"vector_gops\":100,\"launch_us\":0.001,\"link_gbps\":100,\"link_us\":%g}]}";
    char json[1024];
    struct ash_setting_value settings[] = { { "device", "null" }, { "context", "64" },
        { "batch_tokens", "16" }, { "kv_type", "f32" } };
    const struct ash_model_options options = { .shape_only = true };
    snprintf(json, sizeof json, table, first_gbps, second_gbps, link_us);
    cr_assert_eq(ash_runtime_create(settings, 4, &out->runtime), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_model_open(out->runtime, golden_path("parts.gguf"), &options, &out->model),
        ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_machine_parse(json, strlen(json), "table", NULL, &out->machine), ASH_OK, "%s",
        ash_error());
    for (int32_t i = 0; i < 2; i++)
        out->machine.device[i].memory_bytes = mib * (1 << 20);
}

static void close_bench(struct bench *bench)
{
    ash_machine_finish(&bench->machine);
    ash_model_destroy(bench->model);
    ash_runtime_destroy(bench->runtime);
}

static enum ash_status choose(
    const struct bench *bench, enum ash_split_how how, struct ash_placed *out)
{
    static const int32_t zeros[64];
    const struct ash_span span = { 0, 1, 32, zeros };
    const struct ash_batch batch = { 1, 1, 1, zeros, zeros, zeros, &span };
    const struct ash_placing placing = ash_model_placing(bench->model);
    return ash_placing_choose(
        &placing, how, &bench->machine, &(struct ash_place_options){ .batch = &batch }, out);
}

static int32_t parts_of(const struct ash_placed *placed)
{
    int32_t parts = 0;
    for (int32_t n = 0; n < ash_graph_nodes(placed->graph); n++)
        if (ash_graph_node_at(placed->graph, n)->part >= parts)
            parts = ash_graph_node_at(placed->graph, n)->part + 1;
    return parts;
}

Test(split, rows_are_taken_where_copies_cost_little)
{
    static const struct {
        double first_gbps, second_gbps, mib, link_us;
        enum ash_split_how how;
        int32_t parts; /* 0 = whole */
        bool both;     /* devices hold something */
    } cases[] = {
        { 0.01, 0.01, 100, 0.01, ASH_SPLIT_AUTO, 2, true },
        { 0.01, 0.01, 100, 100000, ASH_SPLIT_AUTO, 0, false },
        { 0.01, 0.01, 100, 100000, ASH_SPLIT_ROWS, 2, true },
        { 0.01, 0.01, 0.5, 100000, ASH_SPLIT_AUTO, 0, true }, /* fits on neither alone: layers */
        { 0.001, 1, 100, 0.01, ASH_SPLIT_AUTO, 0, false },    /* the slow one has nothing to give */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench bench;
        struct ash_placed placed;
        open_bench(
            &bench, cases[i].first_gbps, cases[i].second_gbps, cases[i].mib, cases[i].link_us);
        cr_assert_eq(choose(&bench, cases[i].how, &placed), ASH_OK, "%s", ash_error());
        cr_assert_eq(parts_of(&placed), cases[i].parts, "case %zu", i);
        const double *used = placed.placement.used_bytes;
        cr_assert_eq(used[0] > 100000 && used[1] > 100000, cases[i].both, "case %zu: %g and %g", i,
            used[0], used[1]);
        ash_placed_finish(&placed);
        close_bench(&bench);
    }
}

Test(split, what_fits_nowhere_is_refused)
{
    struct bench bench;
    struct ash_placed placed;
    open_bench(&bench, 1, 1, 0.1, 1);
    cr_assert_eq(choose(&bench, ASH_SPLIT_AUTO, &placed), ASH_ERR_NO_MEMORY);
    cr_assert_eq(choose(&bench, ASH_SPLIT_ROWS, &placed), ASH_ERR_NO_MEMORY);
    cr_assert(strstr(ash_error(), "more than 2 devices hold"), "%s", ash_error());
    close_bench(&bench);
}

Test(split, choosing_survives_every_failed_allocation)
{
    struct bench bench;
    open_bench(&bench, 0.01, 0.01, 100, 0.01);
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth += 1 + nth / 16) {
        struct ash_placed placed = { 0 };
        ash_memory_fail_from(nth);
        status = choose(&bench, ASH_SPLIT_AUTO, &placed);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        ash_placed_finish(&placed);
    }
    close_bench(&bench);
}

/* ---- How prompts are cut ---- */

/* Of a prompt as one batch. */
static double whole_time(const struct bench *bench, const struct ash_placed *placed, int32_t tokens)
{
    static const int32_t zeros[2048];
    const struct ash_span span = { 0, tokens, 0, zeros };
    const struct ash_batch batch = { tokens, 1, 1, zeros, zeros, zeros, &span };
    double seconds;
    cr_assert_eq(
        ash_place_stream(placed->graph, &bench->machine,
            &(struct ash_place_options){ .batch = &batch }, placed->placement.device, 1, &seconds),
        ASH_OK, "%s", ash_error());
    return seconds;
}

Test(split, prompts_go_in_micro_batches_where_devices_would_wait_for_each_other)
{
    static const struct {
        int64_t layers[2]; /* on each device */
        double link_us;
        int32_t tokens;
        bool cut;
    } cases[] = {
        { { 1, 2 }, 0.01, 2048, true }, { { 2, 1 }, 0.01, 2048, true },
        { { 1, 2 }, 0.01, 127, false },  /* parts would be smaller than is worth it */
        { { 1, 2 }, 1e6, 2048, false },  /* the way takes longer than the work */
        { { 3, 0 }, 0.01, 2048, false }, /* nobody waits */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_split_setting setting = { ASH_SPLIT_LAYERS, 2,
            { cases[i].layers[0], cases[i].layers[1] } };
        const struct ash_place_options nothing = { 0 };
        struct bench bench;
        struct ash_placed placed;
        int32_t tokens;
        double seconds;
        open_bench(&bench, 1, 1, 100, cases[i].link_us);
        const struct ash_placing placing = ash_model_placing(bench.model);
        cr_assert_eq(ash_placing_follow(&placing, &setting, 0, &placed), ASH_OK, "%s", ash_error());
        cr_assert_eq(ash_micro_batch_choose(
                         &placed, &bench.machine, &nothing, cases[i].tokens, &tokens, &seconds),
            ASH_OK, "%s", ash_error());
        cr_assert_eq(tokens > 0, cases[i].cut, "case %zu: %d tokens", i, tokens);
        cr_assert_lt(tokens, cases[i].tokens);
        cr_assert_eq(whole_time(&bench, &placed, cases[i].tokens) * 0.9 > seconds, cases[i].cut,
            "case %zu: %g s", i, seconds);
        ash_placed_finish(&placed);
        close_bench(&bench);
    }
}
