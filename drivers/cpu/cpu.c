/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu.h"

#include "drivers/cpu/cpu_internal.h"
#include "drivers/drivers.h"
#include "runtime/affinity.h"
#include "runtime/config.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "runtime/pool.h"
#include "runtime/topology.h"

#include <stdio.h>

/* The maker's name of the first package, where the machine is known. */
static const char *find_name(const struct ash_topology *topology)
{
    for (size_t i = 0; topology && i < topology->count; i++)
        if (topology->node[i].kind == ASH_TOPOLOGY_PACKAGE && topology->node[i].name[0])
            return topology->node[i].name;
    return "Processor";
}

static enum ash_status cpu_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count)
{
    *count = 1;
    if (capacity < 1)
        return ASH_OK;
    *out = (struct ash_device_info){ .driver = &ash_driver_cpu,
        .memory_bytes = (uint64_t)ash_pool_most(),
        .numa_node = -1,
        .host_memory = true,
        .usable = true };
    snprintf(out->name, sizeof out->name, "%s", find_name(topology));
    return ASH_OK;
}

static void cpu_close(struct ash_device *device)
{
    struct cpu_device *self = (struct cpu_device *)device;
    if (!self)
        return;
    ash_team_destroy(self->team);
    ash_free(self->ranking);
    ash_free(self->ahead);
    ash_free(self->node);
    ash_free(self);
}

static enum ash_status cpu_open(
    const struct ash_device_info *info, const struct ash_config *config, struct ash_device **out)
{
    struct cpu_device *self = ash_alloc_zero(sizeof *self);
    if (!self)
        return ash_fail_memory(sizeof *self, "a device");
    self->base = (struct ash_device){ .driver = &ash_driver_cpu, .info = *info };
    struct ash_team_options options = {
        .threads = config ? (int)config->threads : 0, .idle = cpu_ahead_idle, .idle_ctx = self
    };
    if (options.threads == 0)
        options.threads = ash_affinity_usable();
    self->ahead = ash_alloc_array((size_t)options.threads, sizeof *self->ahead);
    self->node = ash_alloc_array((size_t)options.threads, sizeof *self->node);
    enum ash_status status = self->ahead && self->node
                                 ? ash_team_create(&options, &self->team)
                                 : ash_fail_memory(sizeof *self->ahead, "a device");
    for (int i = 0; status == ASH_OK && i < options.threads; i++)
        self->node[i] = ash_team_node(self->team, i);
    if (status == ASH_OK && config && config->kernels != ASH_KERNELS_LISTED)
        status = ash_ranking_create(info->name, config->cache_dir, &self->ranking);
    if (status != ASH_OK) {
        cpu_close(&self->base);
        return status;
    }
    *out = &self->base;
    return ASH_OK;
}

/* Fills what the planner reads of a kernel that was chosen, or of the reference. */
static struct ash_loaded describe(const struct ash_kernel *kernel, const struct ash_args *args)
{
    struct ash_loaded loaded = { .kernel = "reference",
        .activation = args->in[0].type,
        .fallback = !kernel || kernel->fallback };
    if (!kernel)
        return loaded;
    loaded.kernel = kernel->name;
    if (kernel->activation != ASH_F32)
        loaded.activation = kernel->activation;
    loaded.reads_packed = kernel->reads_packed;
    if (kernel->packed_input) {
        loaded.packed_input = kernel->packed_input;
        loaded.packed_bytes = kernel->pack_bytes(&args->in[kernel->packed_input]);
        loaded.layout = kernel->unpack_row ? kernel : NULL;
    }
    return loaded;
}

static enum ash_status cpu_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    const struct cpu_device *self = (const struct cpu_device *)device;
    struct ash_tensor result;
    ASH_TRY(ash_op_infer(op, args, &result));
    const struct ash_kernel *kernel =
        ash_ranking_choose(self->ranking, op, args, ash_cpu_features());
    if (!kernel && result.rank && result.type != args->out.type)
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s: no kernel writes %s", op->name,
            ash_type_info(args->out.type)->name);
    struct cpu_loaded *loaded = ash_alloc_zero(sizeof *loaded);
    if (!loaded)
        return ash_fail_memory(sizeof *loaded, "a kernel");
    *loaded = (struct cpu_loaded){ .base = describe(kernel, args), .kernel = kernel };
    *out = &loaded->base;
    return ASH_OK;
}

static void cpu_unload(struct ash_device *device, struct ash_loaded *loaded)
{
    (void)device;
    ash_free(loaded);
}

static enum ash_status cpu_wait(struct ash_device *device, struct ash_event event)
{
    const struct cpu_device *self = (const struct cpu_device *)device;
    if (event.value > self->done)
        return ash_fail(ASH_ERR_ARGUMENT, "no work was queued under event %llu",
            (unsigned long long)event.value);
    return ASH_OK;
}

static enum ash_status cpu_rank(const struct ash_device_info *info, const struct ash_config *config,
    struct ash_kernel_ranks *out)
{
    struct ash_ranking *ranking;
    out->count = 0;
    snprintf(out->how, sizeof out->how, "as listed");
    if (config->kernels == ASH_KERNELS_LISTED)
        return ASH_OK;
    ASH_TRY(ash_ranking_create(info->name, config->cache_dir, &ranking));
    snprintf(out->how, sizeof out->how, "%s", ranking->how);
    out->count = ranking->count;
    for (int i = 0; i < ranking->count; i++) {
        const struct ash_ranked *item = &ranking->item[i];
        out->add(
            out->context, &(struct ash_kernel_rank){ item->op->name,
                              ash_type_info(item->type)->name, item->kernel->name, item->decode_ns,
                              item->prefill_ns, ash_ranked_use(ranking, item) });
    }
    ash_free(ranking);
    return ASH_OK;
}

const struct ash_driver ash_driver_cpu = {
    .name = "cpu",
    .probe = cpu_probe,
    .rank = cpu_rank,
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .load = cpu_load,
    .unload = cpu_unload,
    .settle = cpu_settle,
    .upload = cpu_upload,
    .launch = cpu_launch,
    .copy = cpu_copy,
    .wait = cpu_wait,
    .compile = cpu_compile,
    .run = cpu_run,
    .discard = cpu_discard,
};
