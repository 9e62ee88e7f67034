/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two OpenCL devices, of a context each, whose work waits for the other's: the host waits for neither, and where
 * a driver will not have that, it waits after all. On PoCL; skipped where there are no two devices.
 */
#include "drivers/opencl/opencl.h"

#include "drivers/drivers.h"
#include "drivers/opencl/opencl_internal.h"
#include "kernels/add/add.h"
#include "tests/drivers/rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* HOPS: half of them are waits of one device, of which a relay has room for 64. */
enum { HOPS = 80, ROW = TOKENS * COLUMNS, TIMEOUT_S = 120 };

/* A row of numbers goes from device to device by way of the host; each adds y to it. */
struct relay_race {
    struct ash_device *device[2];
    struct rig rig[2];
    struct ash_event stepped[2], fetched;
    float row[HOPS + 1][ROW];
    struct ash_buffer host;
};

static struct relay_race race;

/* Of PoCL's devices `devices` has the names: what is seen of them in a process is always the same. */
static void open_both(const char *devices, int first)
{
    struct ash_device_info found[MAX_DEVICES];
    struct ash_tensor x = rig_shape(ASH_EXTENT_TOKENS, TOKENS, COLUMNS);
    struct ash_tensor inputs[ASH_MAX_INPUTS] = { x, x };
    int count;
    setenv("POCL_DEVICES", devices, 1);
    cr_assert_eq(ash_driver_opencl.probe(NULL, found, MAX_DEVICES, &count), ASH_OK);
    if (count < 2 || !found[0].usable || !found[1].usable)
        cr_skip_test("no two usable OpenCL devices: install pocl-opencl-icd");
    memset(&race, 0, sizeof race);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(
            ash_driver_opencl.open(&found[(first + i) % 2], NULL, &race.device[i]), ASH_OK);
        cr_assert(rig_init(race.device[i], &ash_op_add, inputs, NULL, &race.rig[i]));
    }
    memcpy(race.row[0], race.rig[0].host[0], sizeof race.row[0]);
}

static void close_both(void)
{
    for (int i = 0; i < 2; i++) {
        rig_finish(&race.rig[i]);
        ash_driver_opencl.close(race.device[i]);
    }
}

static struct opencl_device *opencl_of(int i)
{
    return (struct opencl_device *)race.device[i];
}

static struct ash_place row_place(int row)
{
    struct ash_place place = rig_host_place(race.row, sizeof race.row, &race.host);
    place.offset_bytes = (size_t)row * sizeof race.row[0];
    return place;
}

/* The row goes up to the device, y is added, and it comes down: all behind the other device's hop. */
static void hop(int number)
{
    int i = number % 2;
    struct ash_device *device = race.device[i];
    const struct ash_step *step = &race.rig[i].step;
    const struct ash_batch batch = { .tokens = TOKENS };
    const struct ash_event after[] = { race.fetched, race.stepped[i] };
    struct ash_event sent;
    cr_assert_eq(ash_driver_opencl.copy(
                     device, step->in[0], row_place(number), sizeof race.row[0], after, 2, &sent),
        ASH_OK, "%s", ash_error());
    cr_assert_eq(
        ash_driver_opencl.launch(device, step, &batch, &sent, 1, &race.stepped[i]), ASH_OK);
    cr_assert_eq(ash_driver_opencl.copy(device, row_place(number + 1), step->out,
                     sizeof race.row[0], &race.stepped[i], 1, &race.fetched),
        ASH_OK);
}

static void queue_race(void)
{
    for (int i = 0; i < HOPS; i++)
        hop(i);
}

static void check_race(void)
{
    rig_wait(race.fetched);
    for (int k = 0; k < ROW; k++) {
        float x = ((float *)race.rig[0].host[0])[k], y = ((float *)race.rig[0].host[1])[k];
        for (int i = 1; i <= HOPS; i++) {
            x += y;
            cr_assert_eq(race.row[i][k], x, "hop %d, element %d", i, k);
        }
    }
}

/* ---- The host waits for nothing ---- */

/* The first device does not begin before the test says so: a host that waited for it would for ever. */
Test(opencl_order, devices_wait_for_each_other_and_the_host_for_neither, .timeout = TIMEOUT_S)
{
    cl_int code;
    open_both("pthread pthread", 0);
    struct opencl_device *self = opencl_of(0);
    cl_event gate = self->api.CreateUserEvent(self->context, &code);
    cr_assert_eq(code, CL_SUCCESS);
    cl_command_queue commands = self->commands[DEVICE_ARRIVALS];
    cr_assert_eq(self->api.EnqueueBarrierWithWaitList(commands, 1, &gate, NULL), CL_SUCCESS);
    queue_race();
    cr_assert_eq(race.row[HOPS][0], 0.0F, "nothing has come through the gate");
    cr_assert_eq(self->api.SetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    self->api.ReleaseEvent(gate);
    check_race();
    close_both();
}

static void race_often(const char *devices)
{
    for (int i = 0; i < 10; i++) {
        open_both(devices, i % 2);
        queue_race();
        check_race();
        close_both();
    }
}

Test(opencl_order, devices_of_a_kind_race_as_they_come, .timeout = TIMEOUT_S)
{
    race_often("pthread pthread");
}

/* PoCL's "basic" computes in the thread that gives it work, and waits for no event: for it the host does. */
Test(opencl_order, a_device_that_cannot_wait_is_waited_for, .timeout = TIMEOUT_S)
{
    race_often("pthread basic");
}

/* ---- Drivers that will not have it ---- */

static cl_event CL_API_CALL refuse_event(cl_context context, cl_int *code)
{
    (void)context;
    *code = CL_INVALID_OPERATION;
    return NULL;
}

Test(opencl_order, without_user_events_the_host_waits, .timeout = TIMEOUT_S)
{
    open_both("pthread pthread", 0);
    opencl_of(0)->api.CreateUserEvent = opencl_of(1)->api.CreateUserEvent = refuse_event;
    queue_race();
    check_race();
    close_both();
}

typedef void CL_CALLBACK callback_function(cl_event event, cl_int status, void *context);

static cl_int CL_API_CALL refuse_callback(
    cl_event event, cl_int when, callback_function *callback, void *context)
{
    (void)event, (void)when, (void)callback, (void)context;
    return CL_INVALID_OPERATION;
}

Test(opencl_order, without_callbacks_the_host_waits, .timeout = TIMEOUT_S)
{
    open_both("pthread pthread", 0);
    opencl_of(0)->api.SetEventCallback = opencl_of(1)->api.SetEventCallback = refuse_callback;
    queue_race();
    check_race();
    close_both();
}

/* Callbacks that come when it is too late, as a lost device's may. */
static struct {
    callback_function *callback;
    void *context;
} late[HOPS];
static int late_count;

static cl_int CL_API_CALL keep_callback(
    cl_event event, cl_int when, callback_function *callback, void *context)
{
    (void)event, (void)when;
    cr_assert_lt(late_count, HOPS);
    late[late_count].callback = callback;
    late[late_count++].context = context;
    return CL_SUCCESS;
}

/* Without the driver's knowledge, which would not have anybody wait for what it knows has happened. */
static void finish_copies(int i, enum ash_device_lane lane)
{
    cl_command_queue commands = opencl_of(i)->commands[lane];
    cr_assert_eq(opencl_of(i)->api.Finish(commands), CL_SUCCESS);
}

Test(opencl_order, callbacks_that_never_come_hold_nothing_up, .timeout = TIMEOUT_S)
{
    open_both("pthread pthread", 0);
    opencl_of(0)->api.SetEventCallback = opencl_of(1)->api.SetEventCallback = keep_callback;
    for (int i = 0; i < HOPS; i++) {
        hop(i);
        if (i < 4) /* between these the relay has nothing to do */
            finish_copies(i % 2, DEVICE_DEPARTURES);
    }
    check_race();
    cr_assert_gt(late_count, 0);
    close_both();
    for (int i = 0; i < late_count; i++)
        late[i].callback(NULL, CL_COMPLETE, late[i].context);
}

/* There is room for 64 whose callbacks may still come, also where they have happened; then the host waits. */
Test(opencl_order, without_room_for_another_wait_the_host_waits, .timeout = TIMEOUT_S)
{
    struct ash_event sent, done;
    open_both("pthread pthread", 0);
    opencl_of(1)->api.SetEventCallback = keep_callback;
    struct ash_place here = race.rig[0].step.in[0], there = race.rig[1].step.in[0];
    for (int i = 0; i < HOPS; i++) {
        cr_assert_eq(ash_driver_opencl.copy(race.device[0], row_place(i + 1), here,
                         sizeof race.row[0], NULL, 0, &sent),
            ASH_OK);
        cr_assert_eq(ash_driver_opencl.copy(race.device[1], there, row_place(i + 1),
                         sizeof race.row[0], &sent, 1, &done),
            ASH_OK);
        if (i == HOPS / 2)
            finish_copies(1, DEVICE_ARRIVALS);
    }
    cr_assert_eq(late_count, 64);
    rig_wait(done);
    static float found[ROW];
    rig_read(there, sizeof found, found);
    cr_assert_arr_eq(found, race.row[0], sizeof found);
    close_both();
    for (int i = 0; i < late_count; i++)
        late[i].callback(NULL, CL_COMPLETE, late[i].context);
}

/* ---- Errors ---- */

static cl_int CL_API_CALL lose_device(cl_uint count, const cl_event *events)
{
    (void)count, (void)events;
    return CL_OUT_OF_RESOURCES;
}

Test(
    opencl_order, the_other_devices_end_is_told_once_by_whoever_waited_for_it, .timeout = TIMEOUT_S)
{
    open_both("pthread pthread", 0);
    opencl_of(0)->api.WaitForEvents = lose_device;
    hop(0);
    hop(1);
    cr_assert_eq(ash_driver_opencl.wait(race.device[1], race.fetched), ASH_ERR_DEVICE);
    cr_assert(strstr(ash_error(), "opencl:0") && strstr(ash_error(), "lost"), "%s", ash_error());
    cr_assert_eq(ash_driver_opencl.wait(race.device[1], race.fetched), ASH_OK, "told once");
    rig_expect_lost(race.device[0], race.rig[0].in[0]);
    rig_copy(race.device[1], race.rig[1].step.in[0], row_place(0), sizeof race.row[0]);
    close_both();
}
