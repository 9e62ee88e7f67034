/* SPDX-License-Identifier: Apache-2.0 */
/* Models placed on machines that are not here: recorded or synthetic topologies with device tables. */
#include "scheduler/place.h"

#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gather/gather.h"
#include "kernels/glu/glu.h"
#include "kernels/kv_write/kv_write.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rmsnorm/rmsnorm.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const machines[] = { "laptop", "two-socket", "epyc-nps4", "ampere-arm",
    "eight-gpu", "gpu-and-fpga", "desktop-gpu", "mixed-vendors", "four-mi250", "two-fpga" };
enum { MACHINES = sizeof machines / sizeof *machines };

/* ---- Graphs of the llama family, without data ---- */

struct shape {
    int64_t layers, c, heads, kv_heads, d, f, v;
    enum ash_type type;
};
static const struct shape small = { 30, 576, 9, 3, 64, 1536, 49152, ASH_Q4_0 };
static const struct shape large = { 80, 8192, 64, 8, 128, 28672, 128256, ASH_Q8_0 };

static ash_value weight(struct ash_graph *graph, enum ash_type type, int64_t rows, int64_t columns)
{
    struct ash_tensor tensor;
    int64_t dim[] = { rows, columns };
    cr_assert_eq(ash_tensor_init(type, columns ? 2 : 1, dim, &tensor), ASH_OK, "%s", ash_error());
    tensor.data = &tensor; /* something: placement reads no data */
    return ash_graph_weight(graph, "w", &tensor);
}

static ash_value cache(struct ash_graph *graph, const struct shape *s, int64_t pages)
{
    struct ash_tensor tensor;
    int64_t dim[] = { pages, s->kv_heads, ASH_PAGE_POSITIONS, s->d };
    cr_assert_eq(ash_tensor_init(ASH_F16, 4, dim, &tensor), ASH_OK);
    return ash_graph_state(graph, "cache", &tensor);
}

static ash_value project(
    struct ash_graph *graph, const struct shape *s, ash_value x, int64_t rows, int64_t columns)
{
    ash_value in[] = { x, weight(graph, s->type, rows, columns) };
    return ash_graph_add(graph, "matmul", &ash_op_matmul, in, 2, NULL);
}

static ash_value norm(struct ash_graph *graph, const struct shape *s, ash_value x)
{
    ash_value in[] = { x, weight(graph, ASH_F32, s->c, 0) };
    return ash_graph_add(
        graph, "norm", &ash_op_rmsnorm, in, 2, &(struct ash_rmsnorm_params){ .eps = 1e-5f });
}

static ash_value layer(struct ash_graph *graph, const struct shape *s, ash_value x)
{
    int64_t q_rows = s->heads * s->d, kv_rows = s->kv_heads * s->d;
    ash_value normed = norm(graph, s, x), keys = cache(graph, s, 64), values = cache(graph, s, 64);
    ash_value q = project(graph, s, normed, q_rows, s->c);
    ash_value k = project(graph, s, normed, kv_rows, s->c);
    ash_value v = project(graph, s, normed, kv_rows, s->c);
    struct ash_kv_write_params write = { .rope = { .heads = (int)s->kv_heads,
                                             .head_size = (int)s->d,
                                             .dims = (int)s->d,
                                             .base = 10000,
                                             .scale = 1 } };
    ash_graph_add(
        graph, "kv_write", &ash_op_kv_write, (ash_value[]){ k, v, keys, values }, 4, &write);
    struct ash_attention_params attention = { .heads = (int)s->heads, .scale = 0.125f };
    ash_value y = ash_graph_add(
        graph, "attention", &ash_op_attention, (ash_value[]){ q, keys, values }, 3, &attention);
    y = project(graph, s, y, s->c, q_rows);
    x = ash_graph_add(graph, "add", &ash_op_add, (ash_value[]){ x, y }, 2, NULL);
    normed = norm(graph, s, x);
    ash_value gate = project(graph, s, normed, s->f, s->c),
              up = project(graph, s, normed, s->f, s->c);
    y = ash_graph_add(graph, "glu", &ash_op_glu, (ash_value[]){ gate, up }, 2,
        &(struct ash_glu_params){ .activation = ASH_SILU });
    y = project(graph, s, y, s->c, s->f);
    return ash_graph_add(graph, "add", &ash_op_add, (ash_value[]){ x, y }, 2, NULL);
}

static struct ash_graph *llama(const struct shape *s)
{
    struct ash_graph *graph;
    cr_assert_eq(ash_graph_create(512, 1, &graph), ASH_OK);
    ash_value table = weight(graph, s->type, s->v, s->c);
    ash_value x = ash_graph_add(graph, "embedding", &ash_op_embedding, &table, 1, NULL);
    for (int64_t i = 0; i < s->layers; i++)
        x = layer(graph, s, x);
    x = ash_graph_add(graph, "gather", &ash_op_gather, &x, 1, NULL);
    x = norm(graph, s, x);
    x = ash_graph_add(graph, "output", &ash_op_matmul, (ash_value[]){ x, table }, 2, NULL);
    cr_assert_eq(ash_graph_status(graph), ASH_OK, "%s", ash_error());
    ash_graph_mark_output(graph, x);
    return graph;
}

/* ---- Machines ---- */

static void read_machine(const char *name, struct ash_machine *out)
{
    char path[512];
    struct ash_topology *topology;
    const char *folder = getenv("ASHLAR_TEST_DATA");
    snprintf(path, sizeof path, "%s/topologies/%s.xml", folder, name);
    cr_assert_eq(ash_topology_load(path, 0, &topology), ASH_OK, "%s", ash_error());
    snprintf(path, sizeof path, "%s/topologies/%s.json", folder, name);
    cr_assert_eq(ash_machine_read(path, topology, out), ASH_OK, "%s", ash_error());
    ash_topology_destroy(topology);
}

/* One token after 1,000 others. */
static const int32_t zeros[2048];
static const struct ash_span span = { 0, 1, 1000, zeros };
static const struct ash_batch decode = { 1, 1, 1, zeros, zeros, zeros, &span };

/* All nodes on one device of a machine, the return on the host; HUGE_VAL where it has not the memory. */
static double single_device(
    const struct ash_graph *graph, const struct ash_machine *machine, int32_t device)
{
    int32_t nodes = ash_graph_nodes(graph);
    int32_t *on = malloc((size_t)nodes * sizeof *on);
    double seconds = HUGE_VAL;
    struct ash_place_options options = { .batch = &decode };
    for (int32_t i = 0; i < nodes; i++)
        on[i] = device;
    if (ash_place_stream(graph, machine, &options, on, 1, &seconds) != ASH_OK)
        seconds = HUGE_VAL;
    free(on);
    return seconds;
}

/* What every placement must be: within memory, caches beside their readers, no slower than one device. */
static void expect_good(const char *name, const struct ash_graph *graph,
    const struct ash_machine *machine, const struct ash_placement *placement)
{
    for (int32_t d = 0; d < machine->devices; d++) {
        cr_expect_leq(placement->used_bytes[d], machine->device[d].memory_bytes, "%s", name);
        cr_expect_leq(placement->schedule.makespan_s, single_device(graph, machine, d) * 1.000001,
            "%s: %s alone is faster", name, machine->device[d].name);
    }
    for (int32_t i = 0; i < ash_graph_nodes(graph); i++) {
        const struct ash_graph_node *node = ash_graph_node_at(graph, i);
        if (node->op == &ash_op_attention) /* three nodes before it stands its kv_write */
            cr_expect_eq(placement->device[i], placement->device[i - 1], "%s: a cache apart", name);
    }
    int32_t nodes = ash_graph_nodes(graph);
    cr_expect_eq(placement->device[nodes], machine->home);
    cr_expect(machine->device[machine->home].host, "%s: %s is no host", name,
        machine->device[machine->home].name);
}

Test(machines, hold_a_small_model_no_slower_than_their_best_device)
{
    struct ash_graph *graph = llama(&small);
    for (int i = 0; i < MACHINES; i++) {
        struct ash_machine machine;
        struct ash_placement placement;
        read_machine(machines[i], &machine);
        struct ash_place_options options = { .batch = &decode, .effort = 2 };
        cr_assert_eq(ash_place_find(graph, &machine, &options, &placement), ASH_OK, "%s: %s",
            machines[i], ash_error());
        expect_good(machines[i], graph, &machine, &placement);
        options.heft = true;
        struct ash_placement heft;
        cr_assert_eq(ash_place_find(graph, &machine, &options, &heft), ASH_OK, "%s", ash_error());
        cr_expect_leq(placement.schedule.makespan_s, 1.05 * heft.schedule.makespan_s, "%s: HEFT %g",
            machines[i], heft.schedule.makespan_s);
        ash_placement_finish(&heft);
        ash_placement_finish(&placement);
        ash_machine_finish(&machine);
    }
    ash_graph_destroy(graph);
}

/* 70B in Q8_0 takes 75 GB: more than one device of most machines has. */
Test(machines, split_a_large_model_over_devices_where_one_is_too_small)
{
    struct ash_graph *graph = llama(&large);
    static const struct {
        const char *name;
        bool fits;
        int32_t devices; /* that it takes at least */
    } cases[] = { { "laptop", false, 0 }, { "eight-gpu", true, 1 }, { "four-mi250", true, 2 },
        { "gpu-and-fpga", true, 1 }, { "desktop-gpu", true, 2 }, { "mixed-vendors", true, 2 },
        { "two-fpga", true, 2 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_machine machine;
        struct ash_placement placement;
        read_machine(cases[i].name, &machine);
        struct ash_place_options options = { .batch = &decode, .effort = 1 };
        enum ash_status status = ash_place_find(graph, &machine, &options, &placement);
        cr_expect_eq(status, cases[i].fits ? ASH_OK : ASH_ERR_NO_MEMORY, "%s: %s", cases[i].name,
            ash_error());
        int32_t used = 0;
        for (int32_t d = 0; status == ASH_OK && d < machine.devices; d++)
            used += placement.used_bytes[d] > 1e9;
        cr_expect_geq(used, cases[i].devices, "%s", cases[i].name);
        if (status == ASH_OK) {
            expect_good(cases[i].name, graph, &machine, &placement);
            ash_placement_finish(&placement);
        }
        ash_machine_finish(&machine);
    }
    ash_graph_destroy(graph);
}

Test(machines, are_refused_where_their_table_is_wrong)
{
#define NUMBERS                                                                                    \
    "\"memory_gib\": 1, \"read_gbps\": 1, \"matmul_gops\": 1, \"vector_gops\": 1, \"launch_us\": 1"
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"devices\": []}",
        "{\"devices\": [3]}",
        "{\"devices\": [{\"name\": \"a\"}]}",
        "{\"devices\": [{\"name\": \"a\", " NUMBERS ", \"link_gbps\": 1}]}", /* no host */
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS ", \"colour\": 1}]}",
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS "},"
        "{\"name\": \"a\", \"host\": true, " NUMBERS "}]}",
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS "},"
        "{\"name\": \"b\", " NUMBERS "}]}", /* no link */
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS ", \"peers\": {\"b\": 1}}]}",
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS ", \"numa_node\": -1}]}",
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS "},"
        "{\"name\": \"b\", \"host\": \"yes\", \"link_gbps\": 1, " NUMBERS "}]}",
        "{\"devices\": [{\"name\": \"a\", \"host\": true, " NUMBERS
        ", \"pci\": \"0000:99:00.0\"}]}",
    };
    struct ash_topology *topology;
    struct ash_machine machine;
    cr_assert_eq(ash_topology_load("synthetic:Package:1 Core:2 PU:1", 0, &topology), ASH_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(ash_machine_parse(bad[i], strlen(bad[i]), "table", topology, &machine),
            ASH_ERR_FORMAT, "%s", bad[i]);
    ash_topology_destroy(topology);
}

Test(machines, survive_every_failed_allocation)
{
    struct ash_machine machine;
    read_machine("mixed-vendors", &machine);
    static const struct shape tiny = { 2, 64, 2, 1, 32, 128, 256, ASH_Q4_0 };
    struct ash_graph *graph = llama(&tiny);
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        struct ash_placement placement;
        struct ash_place_options options = { .batch = &decode, .effort = 1 };
        ash_memory_fail_from(nth);
        status = ash_place_find(graph, &machine, &options, &placement);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        if (status == ASH_OK)
            ash_placement_finish(&placement);
        cr_assert_lt(nth, 200);
    }
    ash_graph_destroy(graph);
    ash_machine_finish(&machine);
}
