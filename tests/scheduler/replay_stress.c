/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays random graphs on teams of several sizes: the bits must be those of the plainest plan on the
 * null driver, and no replay may allocate or lock. A plain program, so that it runs under
 * ThreadSanitizer too; counting calls of the C library is left to builds without a sanitizer.
 */
#include "kernels/add/add.h"
#include "kernels/matmul/matmul.h"
#include "runtime/memory.h"
#include "tests/scheduler/rig.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { COUNTS = 0 };
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum { COUNTS = 0 };
#else
#define COUNT_CALLS 1
enum { COUNTS = 1 };
#endif
#else
#define COUNT_CALLS 1
enum { COUNTS = 1 };
#endif

static atomic_bool counting;
static atomic_int allocations, locks;

#ifdef COUNT_CALLS
void *__libc_malloc(size_t size_bytes);
void *__libc_calloc(size_t count, size_t size_bytes);
void *__libc_realloc(void *memory, size_t size_bytes);

void *malloc(size_t size_bytes)
{
    allocations += counting;
    return __libc_malloc(size_bytes);
}

void *calloc(size_t count, size_t size_bytes)
{
    allocations += counting;
    return __libc_calloc(count, size_bytes);
}

void *realloc(void *memory, size_t size_bytes)
{
    allocations += counting;
    return __libc_realloc(memory, size_bytes);
}

static int (*real_lock)(pthread_mutex_t *mutex);

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks += counting;
    if (!real_lock)
        *(void **)&real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    return real_lock(mutex);
}
#endif

/* The counters count: or their silence would prove nothing. */
static void check_counters(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    if (!COUNTS)
        return;
    counting = true;
    void *volatile memory = malloc(1);
    free(memory);
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    counting = false;
    rig_must(allocations == 1 && locks == 1);
    allocations = locks = 0;
}

static void replay(struct ash_plan *plan, ash_value output, int32_t tokens, float *out)
{
    struct tiny_batch batch;
    tiny_batch_init(&batch, tokens, 1);
    ash_memory_fail_from(0);
    counting = true;
    enum ash_status status = ash_plan_run(plan, &batch.batch);
    counting = false;
    rig_must(ash_memory_fail_from(-1) == 0);
    rig_must(status == ASH_OK);
    rig_must(allocations == 0 && locks == 0);
    const struct ash_tensor *found = ash_plan_output(plan, output);
    memcpy(out, found->data, ash_tensor_bytes(found));
}

static void compare(struct ash_device *device, struct ash_device *null, uint32_t seed)
{
    struct ash_graph *graph = rig_graph();
    ash_value output;
    rig_random(graph, seed, 40, false, &output, 1);
    struct ash_plan_options plainest = { .no_fusion = true, .no_sharing = true };
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    struct ash_plan *expected = rig_plan(graph, null, &plainest);
    for (int32_t tokens = RIG_TOKENS; tokens > 0; tokens /= 2)
        for (int again = 0; again < 3; again++) {
            float found[RIG_TOKENS * RIG_COLUMNS], expect[RIG_TOKENS * RIG_COLUMNS];
            replay(plan, output, tokens, found);
            replay(expected, output, tokens, expect);
            size_t bytes = (size_t)tokens * RIG_COLUMNS * sizeof *found;
            rig_must(memcmp(found, expect, bytes) == 0);
        }
    ash_plan_destroy(plan);
    ash_plan_destroy(expected);
    ash_graph_destroy(graph);
}

enum { WIDE = 512, WIDE_LAYERS = 5 };

/* Matrices large enough to be shared out and called ahead: two of each phase in half of the phases. */
static struct ash_graph *wide_graph(float *numbers, ash_value *output)
{
    struct ash_graph *graph = rig_graph();
    struct tiny_source_params params = { WIDE };
    ash_value x = ash_graph_add(graph, "source", &tiny_source, NULL, 0, &params);
    struct ash_tensor weight;
    rig_must(ash_tensor_init(ASH_F32, 2, (int64_t[]){ WIDE, WIDE }, &weight) == ASH_OK);
    weight.data = numbers;
    tiny_fill(numbers, WIDE * WIDE, 1);
    ash_value w = ash_graph_weight(graph, "weight", &weight);
    for (int i = 0; i < WIDE_LAYERS; i++) {
        ash_value y = rig_add(graph, "matmul", &ash_op_matmul, x, w, ASH_NO_VALUE);
        ash_value z = i % 2 ? x : rig_add(graph, "matmul", &ash_op_matmul, x, w, ASH_NO_VALUE);
        x = rig_add(graph, "add", &ash_op_add, y, z, ASH_NO_VALUE);
    }
    ash_graph_mark_output(graph, x);
    *output = x;
    return graph;
}

/* One thread gives the bits that several must give, for batches whose sizes change with every replay. */
static void compare_wide(struct ash_device *device, struct ash_device *alone)
{
    static float numbers[WIDE * WIDE];
    static float found[RIG_TOKENS * WIDE], expect[RIG_TOKENS * WIDE];
    ash_value output;
    struct ash_graph *graph = wide_graph(numbers, &output);
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    struct ash_plan *expected = rig_plan(graph, alone, NULL);
    for (int32_t i = 0; i < 30; i++) {
        int32_t tokens = i % 10 == 9 ? RIG_TOKENS : 1 + i % 3;
        replay(plan, output, tokens, found);
        replay(expected, output, tokens, expect);
        rig_must(memcmp(found, expect, (size_t)tokens * WIDE * sizeof *found) == 0);
    }
    ash_plan_destroy(plan);
    ash_plan_destroy(expected);
    ash_graph_destroy(graph);
}

int main(void)
{
    check_counters();
    struct ash_device *alone = rig_open("cpu", 1);
    struct ash_device *null = rig_open("null", 1);
    for (int threads = 1; threads <= 4; threads++) {
        struct ash_device *device = rig_open("cpu", threads);
        for (uint32_t seed = 0; seed < 40; seed++)
            compare(device, null, seed);
        compare_wide(device, alone);
        device->driver->close(device);
    }
    alone->driver->close(alone);
    null->driver->close(null);
    return 0;
}
