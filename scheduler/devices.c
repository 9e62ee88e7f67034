/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/devices.h"

#include "runtime/affinity.h"
#include "runtime/memory.h"
#include "scheduler/cost_file.h"

#include <stdio.h>
#include <string.h>

/* A kind's figures. Of a processor by thread: half of what two cores of a server were measured at. */
struct kind {
    struct ash_rates matmul, vector;
    double link_bytes_per_s, link_latency_s;
};

static const struct kind processor = { { 8e9, 50e9, 1e-6 }, { 8e9, 10e9, 1e-6 }, 8e9, 1e-6 };
static const struct kind card = { { 200e9, 5e12, 8e-6 }, { 200e9, 2e12, 8e-6 }, 10e9, 40e-6 };
/* Drivers that compute on the processor, with a queue between: slower than its own kernels. */
static const struct kind detour = { { 4e9, 5e9, 50e-6 }, { 2e9, 2e9, 50e-6 }, 4e9, 500e-6 };

static const struct kind *kind_of(const struct ash_device_info *info)
{
    if (info->is_card)
        return &card;
    return strcmp(info->driver->name, "cpu") == 0 ? &processor : &detour;
}

static struct ash_rates scaled(struct ash_rates rates, double threads)
{
    return (struct ash_rates){ rates.bytes_per_s * threads, rates.flops_per_s * threads,
        rates.launch_s };
}

struct ash_rates ash_device_rates(const struct ash_device_info *info)
{
    const struct kind *kind = kind_of(info);
    return scaled(kind->matmul, kind == &card ? 1 : ash_affinity_usable());
}

static void describe(
    const struct ash_device *device, double memory_bytes, struct ash_machine_device *out)
{
    const struct ash_device_info *info = &device->info;
    const struct kind *kind = kind_of(info);
    double threads = kind == &card ? 1 : ash_affinity_usable();
    *out = (struct ash_machine_device){ .host = info->host_memory,
        .numa_node = info->numa_node,
        .memory_bytes = memory_bytes,
        .matmul = scaled(kind->matmul, threads),
        .vector = scaled(kind->vector, threads),
        .link_bytes_per_s = kind->link_bytes_per_s,
        .link_latency_s = kind->link_latency_s };
    snprintf(out->name, sizeof out->name, "%s:%d", info->driver->name, info->index);
    snprintf(out->pci, sizeof out->pci, "%s", info->pci);
}

/* From a small copy and a large one. */
static void set_link(const struct ash_cost_model *model, struct ash_machine_device *device)
{
    enum { SMALL = 4096, LARGE = 4 << 20 };
    const struct ash_cost small = ash_copy_cost(SMALL), large = ash_copy_cost(LARGE);
    double small_s = ash_cost_model_predict(model, ASH_COPY_KEY, &small);
    double more_s = ash_cost_model_predict(model, ASH_COPY_KEY, &large) - small_s;
    device->link_latency_s = small_s;
    if (more_s > 0)
        device->link_bytes_per_s = (LARGE - SMALL) / more_s;
}

/* A link for each pair: over the host, so the latencies of both and the narrower way. */
static void add_links(struct ash_machine *machine)
{
    for (int32_t from = 0; from < machine->devices; from++)
        for (int32_t to = 0; to < machine->devices; to++) {
            const struct ash_machine_device *a = &machine->device[from], *b = &machine->device[to];
            bool narrow = a->link_bytes_per_s < b->link_bytes_per_s;
            machine->way[from * machine->devices + to] = machine->links;
            machine->link[machine->links++] =
                (struct ash_schedule_link){ a->link_latency_s + b->link_latency_s,
                    narrow ? a->link_bytes_per_s : b->link_bytes_per_s };
        }
}

enum ash_status ash_machine_of(struct ash_device *const *devices, int32_t count,
    struct ash_cost_model *const *models, const double *memory_bytes, struct ash_machine *out)
{
    size_t number = (size_t)count;
    struct ash_machine machine = { .devices = count,
        .device = ash_alloc_array(number, sizeof *machine.device),
        .link = ash_alloc_array(number * number, sizeof *machine.link),
        .way = ash_alloc_array(number * number, sizeof *machine.way) };
    if (!machine.device || !machine.link || !machine.way) {
        ash_machine_finish(&machine);
        return ash_fail_memory(number * number * sizeof *machine.link, "a machine");
    }
    for (int32_t i = 0; i < count; i++) {
        describe(devices[i], memory_bytes[i], &machine.device[i]);
        if (models[i])
            set_link(models[i], &machine.device[i]);
    }
    for (int32_t i = count - 1; i >= 0; i--)
        if (machine.device[i].host)
            machine.home = i;
    add_links(&machine);
    *out = machine;
    return ASH_OK;
}
