/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the CPU device's memory lies on a machine of several NUMA nodes, asked of the kernel page by page:
 * numa_guest NODES. Runs in a virtual machine that numa.sh boots. Prints what it found, and what is wrong
 * as "FAILED: ..."; the exit status is 0 if nothing is.
 *
 * With --all-on-one the process is told to take its memory from node 0, which the device respects: then
 * everything about places must fail. That shows that this program can tell.
 */
#include "drivers/cpu/cpu.h"
#include "runtime/numa_node.h"
#include "runtime/thread.h"
#include "tests/scheduler/rig.h"

#include <numaif.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, MOST_NODES = 64 };

static int failures;

#define expect(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            printf("FAILED: " __VA_ARGS__);                                                        \
            putchar('\n');                                                                         \
        }                                                                                          \
    } while (0)

/* The node that a page lies on; negative if it has no memory yet. */
static int node_of(const void *at)
{
    void *page = (void *)((uintptr_t)at / PAGE_BYTES * PAGE_BYTES);
    int node = -1;
    return move_pages(0, 1, &page, NULL, &node, 0) == 0 ? node : -1;
}

static int node_of_this_thread(void)
{
    unsigned cpu, node;
    return syscall(SYS_getcpu, &cpu, &node, NULL) == 0 ? (int)node : -1;
}

static void nap(long us)
{
    nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

/* ---- Workers ---- */

struct visits {
    const struct ash_team *team;
    atomic_int astray, all, of_worker[256];
};

static int64_t open_visits(void *ctx, int64_t phase)
{
    (void)phase;
    const struct visits *visits = ctx;
    return 8 * (int64_t)ash_team_threads(visits->team);
}

static void visit(void *ctx, int64_t phase, int64_t chunk, int worker)
{
    (void)phase, (void)chunk;
    struct visits *visits = ctx;
    nap(500);
    visits->astray += node_of_this_thread() != ash_team_node(visits->team, worker);
    visits->of_worker[worker]++;
    visits->all++;
}

static void check_workers(int threads, int nodes)
{
    struct ash_team *team;
    rig_must(ash_team_create(&(struct ash_team_options){ .threads = threads }, &team) == ASH_OK);
    struct visits visits = { .team = team };
    for (int run = 0; run < 4; run++)
        ash_team_run(team, &(struct ash_team_work){ 4, open_visits, visit, &visits });
    const int count = ash_team_threads(team);
    expect(ash_team_nodes(team) == nodes, "%d threads lie on %d nodes, not %d", count,
        ash_team_nodes(team), nodes);
    for (int i = 1; i < count; i++)
        expect(ash_team_node(team, i) >= ash_team_node(team, i - 1),
            "worker %d is on node %d, after one on %d", i, ash_team_node(team, i),
            ash_team_node(team, i - 1));
    expect(visits.astray * 50 <= visits.all,
        "%d of %d chunks ran on another node than their worker's", visits.astray, visits.all);
    printf("workers: %d on %d nodes, %d of %d chunks astray\n", count, nodes, visits.astray,
        visits.all);
    ash_team_destroy(team);
}

/* ---- Weights ---- */

/* A row is a page, and a chunk takes as long as any other, however many CPUs there really are. */
enum { COLUMNS = PAGE_BYTES / sizeof(float), MOST_READS = 1 << 16 };

struct reading {
    const char *at;
    size_t size_bytes;
    int node; /* of the CPU that read it */
};
static struct reading readings[MOST_READS];
static atomic_int reading_count;

static enum ash_status reader_infer(const struct ash_args *args, struct ash_tensor *out)
{
    ASH_TRY(ash_tensor_init(
        ASH_F32, 2, (int64_t[]){ args->in[0].dim[0], ash_tensor_rows(&args->in[1]) }, out));
    out->extent = args->in[0].extent;
    return ASH_OK;
}

static void reader_cost(const struct ash_args *args, struct ash_cost *out)
{
    *out = (struct ash_cost){ .bytes_read = (double)ash_tensor_bytes(&args->in[1]) };
}

static int64_t reader_rows(const struct ash_args *args)
{
    return ash_tensor_rows(&args->in[1]);
}

static void reader_reference(const struct ash_args *args)
{
    (void)args;
    abort(); /* there is a kernel */
}

static void reader_run(const struct ash_args *args, int64_t first, int64_t last)
{
    const int index = reading_count++;
    nap(2000);
    if (index < MOST_READS)
        readings[index] = (struct reading){ (const char *)args->in[1].data + first * PAGE_BYTES,
            (size_t)(last - first) * PAGE_BYTES, node_of_this_thread() };
}

static void reader_pack(const struct ash_tensor *weight, int64_t first, int64_t last, void *out)
{
    memcpy((char *)out + first * PAGE_BYTES, (const char *)weight->data + first * PAGE_BYTES,
        (size_t)(last - first) * PAGE_BYTES);
}

static const struct ash_kernel reader_kernels[] = {
    { .name = "reader",
        .grain = 1,
        .run = reader_run,
        .packed_input = 1,
        .pack_bytes = tiny_pack_bytes,
        .pack = reader_pack },
    { 0 },
};

static const struct ash_op reader = {
    .name = "reader",
    .inputs = 2,
    .infer = reader_infer,
    .rows = reader_rows,
    .cost = reader_cost,
    .reference = reader_reference,
    .kernels = reader_kernels,
};

static float numbers[4096 * COLUMNS];

static ash_value add_reader(
    struct ash_graph *graph, const char *name, ash_value input, int64_t rows)
{
    struct ash_tensor weight;
    rig_must(ash_tensor_init(ASH_F32, 2, (int64_t[]){ rows, COLUMNS }, &weight) == ASH_OK);
    weight.data = numbers;
    ash_value in[2] = { input, ash_graph_weight(graph, name, &weight) };
    ash_value out = ash_graph_add(graph, name, &reader, in, 2, NULL);
    ash_graph_mark_output(graph, out);
    return out;
}

/* Phases as a layer has them: three weights side by side, one alone; 4 KiB and 2 MiB borders. */
static const struct {
    int phase;
    const char *name;
    int64_t rows;
} weights[] = { { 0, "q", 2048 }, { 0, "k", 500 }, { 0, "v", 500 }, { 1, "up", 4096 },
    { 2, "small", 130 } };
enum { WEIGHTS = sizeof weights / sizeof *weights, PHASES = 3 };

static struct ash_plan *plan_readers(struct ash_device *device)
{
    struct ash_graph *graph = rig_graph();
    ash_value phase_input[PHASES] = { rig_source(graph, "source") };
    for (int i = 0; i < WEIGHTS; i++) {
        ash_value out =
            add_reader(graph, weights[i].name, phase_input[weights[i].phase], weights[i].rows);
        if (weights[i].phase + 1 < PHASES)
            phase_input[weights[i].phase + 1] = out;
    }
    struct ash_plan *plan = rig_plan(graph, device, NULL);
    ash_graph_destroy(graph);
    return plan;
}

/*
 * The pages of a phase's weights, one after the other, belong to the workers in equal parts. Not looked
 * at: what is within a chunk (a sixteenth of a part) of the next node's.
 */
static void check_shares(const struct ash_plan *plan, int phase, const struct ash_team *team)
{
    const int threads = ash_team_threads(team);
    int64_t rows = 0, before = 0, checked = 0, wrong = 0, on[MOST_NODES] = { 0 };
    for (int i = 0; i < WEIGHTS; i++)
        rows += weights[i].phase == phase ? weights[i].rows : 0;
    const int64_t slack = rows / threads / 8 + 2;
    for (int i = 0; i < WEIGHTS; i++) {
        struct ash_plan_step step;
        if (weights[i].phase != phase)
            continue;
        rig_must(rig_step(plan, weights[i].name, &step) >= 0);
        for (int64_t row = 0; row < weights[i].rows; row++) {
            const int64_t at = before + row;
            const int64_t low = at > slack ? at - slack : 0;
            const int64_t high = at + slack < rows ? at + slack : rows - 1;
            const int want = ash_team_node(team, (int)(low * threads / rows));
            const int node =
                node_of((const char *)step.step->args.in[1].data + row * PAGE_BYTES + 64);
            if (node >= 0 && node < MOST_NODES)
                on[node]++;
            if (want != ash_team_node(team, (int)(high * threads / rows)))
                continue;
            checked++;
            wrong += node != want;
        }
        before += weights[i].rows;
    }
    expect(checked > rows / 2, "only %lld of %lld pages are far from a border", (long long)checked,
        (long long)rows);
    expect(wrong == 0,
        "phase %d: %lld of %lld pages lie on another node than the worker that reads them", phase,
        (long long)wrong, (long long)checked);
    printf("shares: phase %d, %lld pages, %lld looked at, %lld wrong; by node", phase,
        (long long)rows, (long long)checked, (long long)wrong);
    for (int node = 0; node < ash_team_nodes(team); node++)
        printf(" %lld", (long long)on[node]);
    putchar('\n');
}

/* Of the bytes that were read, how many lay on the reader's own node; a helper may come from another. */
static void check_readings(struct ash_plan *plan)
{
    struct tiny_batch batch;
    double best = 0;
    tiny_batch_init(&batch, 1, 1);
    for (int try = 0; try < 5 && best < 0.9; try++) {
        int64_t near = 0, all = 0;
        reading_count = 0;
        rig_must(ash_plan_run(plan, &batch.batch) == ASH_OK);
        for (int i = 0; i < reading_count && i < MOST_READS; i++)
            for (size_t at = 0; at < readings[i].size_bytes; at += PAGE_BYTES) {
                near += node_of(readings[i].at + at + 64) == readings[i].node;
                all++;
            }
        best = (double)near / (double)all > best ? (double)near / (double)all : best;
    }
    expect(best >= 0.8, "%.0f %% of what was read lay on the reader's node", 100 * best);
    printf("reads: %.1f %% on the reader's own node\n", 100 * best);
}

/* ---- Caches and activations ---- */

static void check_spread(
    struct ash_device *device, enum ash_memory_use use, const char *name, int nodes)
{
    enum { PAGES = 1024 };
    struct ash_buffer *buffer;
    int64_t on[MOST_NODES] = { 0 };
    rig_must(device->driver->alloc(device, PAGES * PAGE_BYTES, use, &buffer) == ASH_OK);
    memset(buffer->host, 1, buffer->size_bytes); /* all by this thread */
    for (int i = 0; i < PAGES; i++) {
        const int node = node_of((const char *)buffer->host + (size_t)i * PAGE_BYTES);
        if (node >= 0 && node < MOST_NODES)
            on[node]++;
    }
    printf("%s: %d pages; by node", name, PAGES);
    for (int node = 0; node < nodes; node++) {
        printf(" %lld", (long long)on[node]);
        expect(on[node] * nodes * 10 > PAGES * 8 && on[node] * nodes * 10 < PAGES * 12,
            "%s: node %d holds %lld of %d pages", name, node, (long long)on[node], PAGES);
    }
    putchar('\n');
    device->driver->free(buffer);
}

int main(int count, char **arguments)
{
    const int nodes = count > 1 ? atoi(arguments[1]) : 0;
    if (nodes < 1 || nodes > MOST_NODES) {
        fprintf(stderr, "usage: numa_guest NODES [--all-on-one]\n");
        return 2;
    }
    if (count > 2 && strcmp(arguments[2], "--all-on-one") == 0)
        rig_must(set_mempolicy(MPOL_BIND, &(unsigned long){ 1 }, 65) == 0);
    struct ash_numa *numa;
    rig_must(ash_numa_find(&numa) == ASH_OK);
    expect(numa->count == nodes, "%d nodes found, not %d", numa->count, nodes);
    check_workers(0, nodes);
    check_workers(nodes, nodes);
    struct ash_device *device = rig_open("cpu", 0);
    struct ash_plan *plan = plan_readers(device);
    struct ash_team *team; /* as the device's own */
    rig_must(ash_team_create(NULL, &team) == ASH_OK);
    for (int phase = 0; phase < PHASES; phase++)
        check_shares(plan, phase, team);
    check_readings(plan);
    check_spread(device, ASH_MEMORY_STATE, "cache", nodes);
    check_spread(device, ASH_MEMORY_ARENA, "activations", nodes);
    ash_team_destroy(team);
    ash_plan_destroy(plan);
    device->driver->close(device);
    ash_numa_destroy(numa);
    printf("%s\n", failures ? "numa_guest: failed" : "numa_guest: ok");
    return failures != 0;
}
