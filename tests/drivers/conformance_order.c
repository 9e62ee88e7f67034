/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance, as conformance.c: the order of what a device is given, and whole runs of it. */
#include "drivers/drivers.h"
#include "kernels/add/add.h"
#include "kernels/gather/gather.h"
#include "runtime/memory.h"
#include "tests/drivers/rig.h"
#include "tests/support/tiny_ops.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- Order ---- */

/* x -> scale -> reverse -> scale, each on the last one's output: order decides the result. */
enum { CHAIN = 3 };

struct chain {
    struct rig rig[CHAIN];
    int count; /* of rigs; 0 where the device cannot run them */
};

static bool chain_init(struct ash_device *device, struct chain *chain)
{
    static const struct ash_op *const ops[CHAIN] = { &tiny_scale, &tiny_reverse, &tiny_scale };
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS),
        rig_shape(ASH_EXTENT_FIXED, 0, COLUMNS) };
    struct ash_tensor none = { 0 }, gain = inputs[1];
    for (chain->count = 0; chain->count < CHAIN; chain->count++) {
        int i = chain->count;
        struct rig *rig = &chain->rig[i];
        inputs[1] = ops[i] == &tiny_scale ? gain : none;
        if (!rig_init(device, ops[i], inputs, NULL, rig))
            break;
        rig->step.phase = i;
        if (i > 0) {
            rig->step.in[0] = chain->rig[i - 1].step.out;
            rig->step.args.in[0].data = chain->rig[i - 1].step.args.out.data;
        }
    }
    return chain->count == CHAIN;
}

static void chain_finish(struct chain *chain)
{
    for (int i = 0; i < chain->count; i++)
        rig_finish(&chain->rig[i]);
}

/* What the whole chain gives, by the references. */
static void chain_expect(const struct chain *chain, const struct ash_batch *batch, float *out)
{
    float between[2][TOKENS * COLUMNS];
    memcpy(between[0], chain->rig[0].host[0], sizeof between[0]);
    for (int i = 0; i < CHAIN; i++) {
        struct ash_args args = chain->rig[i].step.args;
        args.in[0].data = between[i % 2];
        args.in[1].data = chain->rig[i].host[1];
        args.out.data = between[(i + 1) % 2];
        ash_args_bind(&args, batch);
        chain->rig[i].step.op->reference(&args);
    }
    memcpy(out, between[CHAIN % 2], (size_t)batch->tokens * COLUMNS * sizeof *out);
}

static void check_order(struct ash_device *device)
{
    struct chain chain;
    if (chain_init(device, &chain)) {
        struct tiny_batch batch;
        tiny_batch_init(&batch, TOKENS, 1);
        struct ash_event done = { 0 }; /* has always happened */
        for (int i = 0; i < CHAIN; i++) {
            struct ash_event after = done;
            cr_assert_eq(
                device->driver->launch(device, &chain.rig[i].step, &batch.batch, &after, 1, &done),
                ASH_OK);
            cr_assert(i == 0 || done.value > after.value, "a timeline only goes forward");
        }
        float expect[TOKENS * COLUMNS], found[TOKENS * COLUMNS];
        struct ash_buffer host;
        struct ash_event copied;
        cr_assert_eq(device->driver->copy(device, rig_host_place(found, sizeof found, &host),
                         chain.rig[CHAIN - 1].step.out, sizeof found, &done, 1, &copied),
            ASH_OK);
        rig_wait(copied);
        rig_wait(done); /* the past has happened too */
        chain_expect(&chain, &batch.batch, expect);
        cr_assert_arr_eq(found, expect, sizeof expect, "%s", device->driver->name);
    }
    chain_finish(&chain);
}

Test(conformance, work_runs_in_the_order_of_its_events)
{
    rig_for_each_device(check_order);
}

/* ---- Steps and copies ---- */

enum { ROUNDS = 200, ROUND = TOKENS * COLUMNS }; /* more than any ring of events has room for */

/* Rounds in flight on one x and one sum: numbers up into x, sum = x + y, the sum down. */
struct traffic {
    struct rig rig;
    struct tiny_batch batch;
    float up[ROUNDS][ROUND], down[ROUNDS][ROUND];
    struct ash_buffer host_up, host_down;
    struct ash_event stepped, sent, fetched, first_step, first_copy;
};

static void send(struct traffic *traffic, int i)
{
    struct ash_device *device = traffic->rig.device;
    struct ash_place up = rig_host_place(traffic->up, sizeof traffic->up, &traffic->host_up);
    up.offset_bytes = (size_t)i * sizeof traffic->up[0];
    cr_assert_eq(device->driver->copy(device, traffic->rig.step.in[0], up, sizeof traffic->up[0],
                     &traffic->stepped, 1, &traffic->sent),
        ASH_OK);
}

static void fetch(struct traffic *traffic, int i)
{
    struct ash_device *device = traffic->rig.device;
    struct ash_place down =
        rig_host_place(traffic->down, sizeof traffic->down, &traffic->host_down);
    down.offset_bytes = (size_t)i * sizeof traffic->down[0];
    cr_assert_eq(device->driver->copy(device, down, traffic->rig.step.out, sizeof traffic->down[0],
                     &traffic->stepped, 1, &traffic->fetched),
        ASH_OK);
}

/* The next numbers are on their way up before or after the last sum is on its way down: so that the events
 * that matter are once those of who reads, and once of who writes over it. */
static void queue_round(struct traffic *traffic, int i)
{
    struct ash_device *device = traffic->rig.device;
    if (i % 2 == 0)
        send(traffic, i);
    if (i > 0)
        fetch(traffic, i - 1);
    if (i % 2 == 1)
        send(traffic, i);
    const struct ash_event after[] = { traffic->fetched, traffic->sent };
    cr_assert_eq(device->driver->launch(device, &traffic->rig.step, &traffic->batch.batch, after, 2,
                     &traffic->stepped),
        ASH_OK);
    if (i == 0) {
        traffic->first_copy = traffic->sent;
        traffic->first_step = traffic->stepped;
    }
}

static void check_traffic(struct ash_device *device)
{
    static struct traffic traffic;
    struct ash_tensor x = rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS);
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { x, x };
    memset(&traffic, 0, sizeof traffic);
    if (!rig_init(device, &ash_op_add, inputs, NULL, &traffic.rig))
        return;
    tiny_batch_init(&traffic.batch, TOKENS, 1);
    tiny_fill(traffic.up[0], (int64_t)ROUNDS * ROUND, 7);
    for (int i = 0; i < ROUNDS; i++)
        queue_round(&traffic, i);
    fetch(&traffic, ROUNDS - 1);
    rig_wait(traffic.fetched);
    rig_wait(traffic.first_step); /* the past has happened too */
    rig_wait(traffic.first_copy);
    const float *y = traffic.rig.host[1];
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < ROUND; k++)
            cr_assert_eq(traffic.down[i][k], traffic.up[i][k] + y[k], "%s:%d, round %d, element %d",
                device->driver->name, device->info.index, i, k);
    rig_finish(&traffic.rig);
}

Test(conformance, copies_and_steps_in_flight_are_ordered_by_their_events)
{
    rig_for_each_device(check_traffic);
}

/* ---- Batches ---- */

enum {
    BATCHES = 20,
    TURNS = 120
}; /* more batches than a device may hold the numbers of, often enough */

/* Which rows a batch wants; tokens and rows differ from batch to batch. */
static void init_batch(struct tiny_batch *batch, int number)
{
    tiny_batch_init(batch, TOKENS - number % 5 * 7, OUTPUTS);
    for (int32_t o = 0; o < OUTPUTS; o++)
        batch->output[o] = (number * 3 + o * 5) % batch->batch.tokens;
}

/* Queued one after the other, some again and again, some after many others: each turn gathers its own rows. */
static void check_batches(struct ash_device *device)
{
    static struct tiny_batch batch[BATCHES];
    static float found[TURNS][OUTPUTS][COLUMNS];
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS) };
    struct ash_buffer host;
    struct ash_event stepped = { 0 }, fetched = { 0 };
    struct rig rig;
    int number[TURNS];
    if (!rig_init(device, &ash_op_gather, inputs, NULL, &rig))
        return;
    for (int i = 0; i < BATCHES; i++)
        init_batch(&batch[i], i);
    for (int i = 0; i < TURNS; i++) {
        number[i] = i % 3 ? i * 7 % 4 : i % BATCHES;
        struct ash_place to = rig_host_place(found, sizeof found, &host);
        to.offset_bytes = (size_t)i * sizeof found[0];
        cr_assert_eq(device->driver->launch(
                         device, &rig.step, &batch[number[i]].batch, &fetched, 1, &stepped),
            ASH_OK, "%s", ash_error());
        cr_assert_eq(
            device->driver->copy(device, to, rig.step.out, sizeof found[0], &stepped, 1, &fetched),
            ASH_OK);
    }
    rig_wait(fetched);
    for (int i = 0; i < TURNS; i++)
        for (int o = 0; o < OUTPUTS; o++)
            cr_assert_arr_eq(found[i][o],
                (const float *)rig.host[0] + batch[number[i]].output[o] * COLUMNS,
                sizeof found[i][o], "%s:%d, turn %d, batch %d, row %d", device->driver->name,
                device->info.index, i, number[i], o);
    rig_finish(&rig);
}

Test(conformance, batches_in_turns_have_their_own_numbers)
{
    rig_for_each_device(check_batches);
}

/* ---- Errors ---- */

/* Another device, whose work failed. */
static enum ash_status broken_wait(struct ash_device *device, struct ash_event event)
{
    (void)device, (void)event;
    return ash_fail(ASH_ERR_DEVICE, "the other device is lost");
}

static void check_foreign_failure(struct ash_device *device)
{
    static const struct ash_driver broken_driver = { .name = "broken", .wait = broken_wait };
    struct ash_device broken = { .driver = &broken_driver };
    struct ash_event after = { &broken, 1 }, done = { 0 };
    struct ash_buffer *buffer = rig_allocate(device, 64, ASH_MEMORY_STATE);
    struct ash_place to = { buffer, 0 }, from = { buffer, 32 };
    enum ash_status status = device->driver->copy(device, to, from, 32, &after, 1, &done);
    if (status == ASH_OK)
        status = device->driver->wait(device, done);
    cr_assert_eq(status, ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "other device"), "%s", ash_error());
    rig_copy(device, to, from, 32); /* this device is as good as before, and the error told once */
    device->driver->free(buffer);
}

Test(conformance, a_failure_that_was_waited_for_is_reported_once)
{
    rig_for_each_device(check_foreign_failure);
}

static int waits;

static enum ash_status counting_wait(struct ash_device *device, struct ash_event event)
{
    (void)device;
    waits++;
    return event.value == 2 ? ash_fail(ASH_ERR_DEVICE, "event 2 failed") : ASH_OK;
}

Test(conformance, all_events_are_waited_for_also_those_after_one_that_failed)
{
    static const struct ash_driver driver = { .name = "counting", .wait = counting_wait };
    struct ash_device device = { .driver = &driver };
    const struct ash_event events[] = { { &device, 1 }, { NULL, 0 }, { &device, 2 },
        { &device, 3 } };
    cr_assert_eq(ash_events_wait(events, 4), ASH_ERR_DEVICE);
    cr_assert_eq(waits, 3);
    cr_assert(strstr(ash_error(), "event 2"), "%s", ash_error());
}

/* ---- Whole runs ---- */

static void run_compiled(struct chain *chain, struct ash_device *device, int32_t tokens)
{
    struct ash_step steps[CHAIN];
    for (int i = 0; i < CHAIN; i++)
        steps[i] = chain->rig[i].step;
    struct ash_program *program = NULL;
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        ash_memory_fail_from(nth);
        status = device->driver->compile(device, steps, CHAIN, NULL, &program);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !program));
    }
    for (; tokens > 0; tokens /= 3) {
        struct tiny_batch batch;
        tiny_batch_init(&batch, tokens, 1);
        float expect[TOKENS * COLUMNS], found[TOKENS * COLUMNS];
        size_t bytes = (size_t)tokens * COLUMNS * sizeof *found;
        struct ash_event done;
        ash_memory_fail_from(0); /* a run allocates nothing */
        status = device->driver->run(device, program, &batch.batch, NULL, 0, &done);
        cr_assert_eq(ash_memory_fail_from(-1), 0);
        cr_assert_eq(status, ASH_OK);
        rig_wait(done);
        chain_expect(chain, &batch.batch, expect);
        rig_read(steps[CHAIN - 1].out, bytes, found);
        cr_assert_arr_eq(found, expect, bytes, "%s", device->driver->name);
    }
    device->driver->discard(device, program);
}

static void check_compiled(struct ash_device *device)
{
    struct chain chain = { 0 };
    if (!device->driver->compile)
        return;
    device->driver->discard(device, NULL);
    if (chain_init(device, &chain))
        run_compiled(&chain, device, TOKENS);
    chain_finish(&chain);
}

Test(conformance, a_compiled_run_gives_what_single_launches_give)
{
    rig_for_each_device(check_compiled);
}
