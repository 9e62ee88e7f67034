/* SPDX-License-Identifier: Apache-2.0 */
/* Micro-batches: the same numbers as part after part on one device, and devices that work side by side. */
#include "runtime/memory.h"
#include "tests/scheduler/rig.h"
#include "tests/support/clock_device.h"
#include "tests/support/lazy_device.h"

#include <criterion/criterion.h>
#include <string.h>

enum { NONE = ASH_NO_VALUE, MOST = 4, PLENTY = 1 << 30 };

/* ---- The numbers ---- */

/* Two sequences, cut anywhere; every third row's outputs are wanted, as far as there is room. */
struct mixed_batch {
    struct ash_batch batch;
    struct ash_span span[2];
    int32_t token[RIG_TOKENS], token_span[RIG_TOKENS], output[RIG_OUTPUTS], page[2][RIG_TOKENS];
};

static void mix(struct mixed_batch *out, int32_t tokens, int32_t first, int32_t outputs)
{
    *out = (struct mixed_batch){ .span = { { 0, first, 3, out->page[0] },
                                     { first, tokens - first, 0, out->page[1] } } };
    for (int32_t i = 0; i < tokens; i++) {
        out->token[i] = 7 * i % 11;
        out->token_span[i] = i >= first;
    }
    for (int32_t i = 0; i < outputs; i++)
        out->output[i] = 3 * i;
    out->batch = (struct ash_batch){ tokens, outputs, 2, out->token, out->token_span, out->output,
        out->span };
}

/* Rows [first, end) of a batch as a batch of its own. */
static void take_part(
    const struct mixed_batch *batch, int32_t first, int32_t end, struct mixed_batch *out)
{
    int32_t middle = batch->span[1].first_token, spans = 0;
    *out = (struct mixed_batch){ 0 };
    for (int s = 0; s < 2; s++) {
        int32_t from = s ? middle : 0, to = s ? batch->batch.tokens : middle;
        int32_t begin = from > first ? from : first;
        to = to < end ? to : end;
        if (begin >= to)
            continue;
        out->span[spans] = (struct ash_span){ begin - first, to - begin,
            batch->span[s].first_position + begin - from, batch->page[s] };
        for (int32_t t = begin; t < to; t++)
            out->token_span[t - first] = spans;
        spans++;
    }
    memcpy(out->token, batch->token + first, (size_t)(end - first) * sizeof *out->token);
    int32_t outputs = 0;
    for (int32_t i = 0; i < batch->batch.outputs; i++)
        if (batch->output[i] >= first && batch->output[i] < end)
            out->output[outputs++] = batch->output[i] - first;
    out->batch = (struct ash_batch){ end - first, outputs, spans, out->token, out->token_span,
        out->output, out->span };
}

/* One batch by `many`, and its parts one after the other by `one`, which has to come to the same. */
static void check_batch(struct ash_plan *one, struct ash_plan *many,
    const struct mixed_batch *batch, int32_t micro_tokens, const ash_value *outputs, int count)
{
    int32_t tokens = batch->batch.tokens, parts = (tokens + micro_tokens - 1) / micro_tokens;
    int32_t each = (tokens + parts - 1) / parts;
    cr_assert_eq(ash_plan_run(many, &batch->batch), ASH_OK, "%s", ash_error());
    for (int32_t first = 0, row = 0; first < tokens; first += each) {
        struct mixed_batch part;
        take_part(batch, first, first + each < tokens ? first + each : tokens, &part);
        cr_assert_eq(ash_plan_run(one, &part.batch), ASH_OK, "%s", ash_error());
        for (int i = 0; i < count; i++) {
            const struct ash_tensor *a = ash_plan_output(one, outputs[i]);
            const struct ash_tensor *b = ash_plan_output(many, outputs[i]);
            const bool rows_of_outputs = a->extent == ASH_EXTENT_OUTPUTS;
            cr_assert_eq(b->dim[0], rows_of_outputs ? batch->batch.outputs : tokens);
            if (a->dim[0] == 0)
                continue;
            size_t row_bytes = ash_tensor_bytes(a) / (size_t)a->dim[0];
            size_t at = (size_t)(rows_of_outputs ? row : first) * row_bytes;
            cr_assert_arr_eq(a->data, (const char *)b->data + at, ash_tensor_bytes(a),
                "output %d of tokens %d from %d, row %d of %d", i, tokens, first, row,
                micro_tokens);
        }
        row += part.batch.outputs;
    }
}

static void check_random_plan(struct ash_device *const *device, int devices, uint32_t seed)
{
    struct ash_graph *graph = rig_graph();
    ash_value outputs[8];
    int32_t placement[64];
    int count = rig_random(graph, seed, 40, false, outputs, 8);
    rig_place(graph, seed, devices, placement);
    struct ash_plan_options options = {
        .devices = device, .device_count = devices, .placement = placement
    };
    const int32_t micro_tokens = 5 + (int32_t)seed % 9;
    struct ash_plan *one = rig_plan(graph, device[0], NULL), *many = NULL;
    cr_assert_eq(ash_plan_create(graph, &options, &many), ASH_OK, "%s", ash_error());
    cr_assert_eq(
        ash_plan_add_micro(many, graph, &options, micro_tokens), ASH_OK, "%s", ash_error());
    cr_assert_eq(rig_summary(many).micro_tokens, micro_tokens);
    for (int32_t step = 0; step < 4; step++) {
        struct mixed_batch batch;
        int32_t tokens = step == 2 ? 3 : RIG_TOKENS - 5 * step;
        mix(&batch, tokens, tokens / 3, step == 2 ? 1 : RIG_OUTPUTS - step);
        check_batch(one, many, &batch, micro_tokens, outputs, count);
    }
    ash_plan_destroy(many);
    ash_plan_destroy(one);
    ash_graph_destroy(graph);
}

Test(micro, batches_over_any_placement_give_what_their_parts_give_on_one_device)
{
    for (uint32_t seed = 1; seed <= 120; seed++) {
        struct ash_device *device[MOST] = { rig_open("null", 1), lazy_open(0, PLENTY),
            rig_open("cpu", 2), lazy_open(1, PLENTY) };
        lazy_set_copying(device[1], (enum lazy_copying)(seed % 3));
        lazy_set_copying(device[3], (enum lazy_copying)(seed / 3 % 3));
        check_random_plan(device, MOST, seed);
        for (int i = 0; i < MOST; i++)
            device[i]->driver->close(device[i]);
    }
}

/* The first is ahead of the second by as much as events let it, as nothing comes back to it. */
Test(micro, what_a_card_sends_by_way_of_the_host_waits_there_until_the_other_has_it)
{
    struct ash_device *device[] = { lazy_open(0, PLENTY), lazy_open(1, PLENTY) };
    struct ash_graph *graph = rig_graph();
    ash_value out = rig_add(graph, "y", &tiny_reverse, rig_source(graph, "x"), NONE, NONE);
    ash_graph_mark_output(graph, out);
    struct ash_plan_options options = { device, 2, .placement = (int32_t[]){ 0, 1 } };
    struct ash_plan *one = rig_plan(graph, device[0], NULL), *many = NULL;
    struct mixed_batch batch;
    lazy_set_copying(device[0], LAZY_COPIES_EARLY);
    lazy_set_copying(device[1], LAZY_COPIES_LATE);
    mix(&batch, RIG_TOKENS, RIG_TOKENS / 3, 1);
    cr_assert_eq(ash_plan_create(graph, &options, &many), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_plan_add_micro(many, graph, &options, 5), ASH_OK, "%s", ash_error());
    check_batch(one, many, &batch, 5, &out, 1);
    ash_plan_destroy(many);
    ash_plan_destroy(one);
    ash_graph_destroy(graph);
    device[0]->driver->close(device[0]);
    device[1]->driver->close(device[1]);
}

/* ---- The time ---- */

enum {
    CHAIN = 4,
    MICRO = 8,
    PARTS = RIG_TOKENS / MICRO,
    MOST_STAGES = 3,
    LAYERS = 4,
    MOST_NODES = 64
};

/* On the clock a row takes any device as long, and its way from device to device four fifths of what a stage of
 * CHAIN operators takes for it. */
static const double row_s = 1e-3, stage_s = CHAIN * MICRO * 1e-3,
                    bytes_per_s = RIG_COLUMNS * sizeof(float) / (0.8 * CHAIN * 1e-3);

struct stream {
    const char *name;
    bool host[2];                   /* which of the two devices is the host; the others are cards */
    bool in_line;                   /* cards have one queue for all */
    bool rows;                      /* both devices work on every stage, and exchange results */
    int stages, stage[MOST_STAGES]; /* else: the device of each */
    int busiest;                    /* stages of the device with the most */
};

static const struct stream streams[] = {
    { "card, card", .stages = 2, .stage = { 0, 1 }, .busiest = 1 },
    { "card, host", { false, true }, .stages = 2, .stage = { 0, 1 }, .busiest = 1 },
    { "host, card", { true, false }, .stages = 2, .stage = { 0, 1 }, .busiest = 1 },
    { "host, card, host", { true, false }, .stages = 3, .stage = { 0, 1, 0 }, .busiest = 2 },
    { "rows", .rows = true, .stages = LAYERS, .busiest = LAYERS },
    { "cards of one queue", .in_line = true, .stages = 2, .stage = { 0, 1 }, .busiest = 1 },
};

struct chain {
    struct ash_graph *graph;
    int32_t placement[MOST_NODES];
    int nodes;
};

static ash_value add(
    struct chain *chain, const struct ash_op *op, int32_t device, ash_value a, ash_value b)
{
    char name[16];
    snprintf(name, sizeof name, "x%d", chain->nodes);
    chain->placement[chain->nodes++] = device;
    return rig_add(chain->graph, name, op, a, b, NONE);
}

/* So many operators on a device, one after the other. */
static ash_value add_chain(struct chain *chain, int count, int32_t device, ash_value x)
{
    for (int i = 0; i < count; i++)
        x = add(chain, &tiny_reverse, device, x, NONE);
    return x;
}

static ash_value add_source(struct chain *chain, int32_t device)
{
    chain->placement[chain->nodes++] = device;
    return rig_source(chain->graph, device ? "source1" : "source0");
}

/* Each device has what the other has, and adds that to its own. */
static ash_value add_rows(struct chain *chain)
{
    ash_value x[2] = { add_source(chain, 0), add_source(chain, 1) };
    for (int layer = 0; layer < LAYERS; layer++) {
        ash_value y[2];
        for (int d = 0; d < 2; d++)
            y[d] = add_chain(chain, CHAIN - 1, d, x[d]);
        for (int d = 0; d < 2; d++)
            x[d] = add(chain, &tiny_add, d, y[0], y[1]);
    }
    return x[0];
}

static ash_value add_stages(struct chain *chain, const struct stream *stream)
{
    ash_value x = add_source(chain, stream->stage[0]);
    x = add_chain(chain, CHAIN - 1, stream->stage[0], x);
    for (int i = 1; i < stream->stages; i++)
        x = add_chain(chain, CHAIN, stream->stage[i], x);
    return x;
}

static struct ash_plan *plan_stream(
    const struct stream *stream, struct ash_device *const *device, int32_t micro_tokens)
{
    struct chain chain = { .graph = rig_graph() };
    ash_value x = stream->rows ? add_rows(&chain) : add_stages(&chain, stream);
    int32_t last = stream->rows ? 0 : stream->stage[stream->stages - 1];
    ash_graph_mark_output(chain.graph, add(&chain, &tiny_pick, last, x, NONE));
    struct ash_plan_options options = {
        .devices = device, .device_count = 2, .placement = chain.placement
    };
    struct ash_plan *plan;
    cr_assert_eq(ash_plan_create(chain.graph, &options, &plan), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_plan_add_micro(plan, chain.graph, &options, micro_tokens), ASH_OK);
    ash_graph_destroy(chain.graph);
    return plan;
}

static struct clock_report run_stream(const struct stream *stream, int32_t micro_tokens)
{
    struct clock_time *clock = clock_create();
    struct ash_device *device[2];
    struct mixed_batch batch;
    for (int i = 0; i < 2; i++)
        device[i] = clock_open(clock, i,
            &(struct clock_device_options){ .host = stream->host[i],
                .copies_in_line = stream->in_line,
                .row_s = row_s,
                .bytes_per_s = bytes_per_s });
    struct ash_plan *plan = plan_stream(stream, device, micro_tokens);
    mix(&batch, RIG_TOKENS, 5, 1);
    ash_memory_fail_from(0); /* a replay allocates nothing */
    cr_assert_eq(ash_plan_run(plan, &batch.batch), ASH_OK, "%s", ash_error());
    ash_memory_fail_from(-1);
    struct clock_report report = clock_read(clock);
    ash_plan_destroy(plan);
    for (int i = 0; i < 2; i++)
        device[i]->driver->close(device[i]);
    clock_destroy(clock);
    return report;
}

/* Without micro-batches a transfer has nothing to hide behind; with them the slowest device is hardly ever idle. */
Test(micro, of_a_stream_through_devices_nine_tenths_of_the_transfers_are_hidden)
{
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        const struct stream *stream = &streams[i];
        struct clock_report whole = run_stream(stream, 0), parts = run_stream(stream, MICRO);
        double ideal_s = (PARTS * stream->busiest + stream->stages - stream->busiest) * stage_s;
        cr_expect_float_eq(whole.exposed_s, whole.transfer_s, 1e-9, "%s", stream->name);
        cr_expect_lt(parts.total_s, 0.75 * whole.total_s, "%s: %g s, %g as a whole", stream->name,
            parts.total_s, whole.total_s);
        if (stream->in_line) /* a card that does not compute while it copies */
            continue;
        cr_expect_leq(parts.exposed_s, 0.1 * parts.transfer_s, "%s: %g of %g s exposed",
            stream->name, parts.exposed_s, parts.transfer_s);
        cr_expect_leq(parts.total_s, 1.2 * ideal_s, "%s: %g s, %g at best", stream->name,
            parts.total_s, ideal_s);
    }
}

/* ---- What goes wrong ---- */

/* x on the first device, two readers on the second. */
struct two {
    struct ash_device *device[2];
    struct ash_graph *graph;
    struct ash_plan_options options;
    int32_t failed;
};

static const int32_t two_placement[] = { 0, 1, 1, 1 };

static void open_two(struct two *out, uint64_t memory_bytes)
{
    *out = (struct two){ .device = { rig_open("null", 1), lazy_open(1, memory_bytes) },
        .graph = rig_graph(),
        .failed = -1 };
    out->options = (struct ash_plan_options){ .devices = out->device,
        .device_count = 2,
        .placement = two_placement,
        .failed_out = &out->failed };
    ash_value x = rig_source(out->graph, "x");
    ash_value a = rig_add(out->graph, "a", &tiny_reverse, x, NONE, NONE);
    ash_value b = rig_add(out->graph, "b", &tiny_add, a, x, NONE);
    ash_graph_mark_output(out->graph, rig_add(out->graph, "y", &tiny_pick, b, NONE, NONE));
}

static void close_two(struct two *two)
{
    ash_graph_destroy(two->graph);
    for (int i = 0; i < 2; i++)
        two->device[i]->driver->close(two->device[i]);
}

static enum ash_status run_two(struct ash_plan *plan)
{
    struct mixed_batch batch;
    mix(&batch, RIG_TOKENS, 20, RIG_OUTPUTS);
    return ash_plan_run(plan, &batch.batch);
}

/* Whatever call fails: the error is told, the device named, and nothing leaks. */
static bool survives_failure(int64_t nth, enum ash_status with)
{
    struct two two;
    struct ash_plan *plan = NULL;
    open_two(&two, PLENTY);
    lazy_fail(two.device[1], nth, with);
    enum ash_status status = ash_plan_create(two.graph, &two.options, &plan);
    if (status == ASH_OK)
        status = ash_plan_add_micro(plan, two.graph, &two.options, MICRO);
    if (status == ASH_OK) {
        status = run_two(plan);
        two.failed = ash_plan_failed(plan);
    }
    cr_assert(status == ASH_OK || status == with, "%s", ash_error());
    cr_assert(status == ASH_OK || strstr(ash_error(), "lazy:1"), "%s", ash_error());
    cr_assert_eq(two.failed, status == ASH_OK ? -1 : 1);
    ash_plan_destroy(plan);
    lazy_fail(two.device[1], -1, with);
    close_two(&two);
    return status == ASH_OK;
}

Test(micro, a_failure_of_any_call_names_its_device)
{
    int64_t lost = 0, full = 0, fine = 0;
    while (!survives_failure(lost, ASH_ERR_DEVICE))
        cr_assert_lt(lost++, 200);
    cr_assert_gt(lost, 3 * PARTS, "every part has calls that fail");
    for (; fine < 4 && full < 200; full++) /* memory for parts is wanted and not needed */
        fine += survives_failure(full, ASH_ERR_NO_MEMORY);
    cr_assert_lt(full, 200);
}

Test(micro, without_memory_for_its_parts_a_batch_is_run_whole)
{
    struct two two;
    struct ash_plan *plan = NULL;
    for (uint64_t bytes = 0; !plan; bytes += 1024) { /* just enough for the plan */
        open_two(&two, bytes);
        if (ash_plan_create(two.graph, &two.options, &plan) != ASH_OK)
            close_two(&two);
    }
    cr_expect_eq(ash_plan_add_micro(plan, two.graph, &two.options, MICRO), ASH_OK);
    cr_expect_eq(rig_summary(plan).micro_tokens, 0);
    cr_expect_eq(rig_summary(plan).micro_bytes, 0u);
    cr_expect_eq(run_two(plan), ASH_OK, "%s", ash_error());
    ash_plan_destroy(plan);
    close_two(&two);
}

Test(micro, survive_every_failed_allocation)
{
    struct two two;
    struct ash_plan *plan;
    open_two(&two, PLENTY);
    cr_assert_eq(ash_plan_create(two.graph, &two.options, &plan), ASH_OK, "%s", ash_error());
    int64_t nth = 0;
    for (; rig_summary(plan).micro_tokens == 0; nth++) {
        cr_assert_lt(nth, 1000);
        ash_memory_fail_from(nth);
        enum ash_status status = ash_plan_add_micro(plan, two.graph, &two.options, MICRO);
        ash_memory_fail_from(-1);
        cr_assert_eq(status, ASH_OK, "%s", ash_error());
        cr_assert_eq(run_two(plan), ASH_OK, "%s", ash_error());
    }
    cr_assert_gt(nth, 20);
    ash_plan_destroy(plan);
    close_two(&two);
}
