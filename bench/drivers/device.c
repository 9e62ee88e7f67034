/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How near a device's matrix multiplications come to what it can do: decoding (one token) to its copy
 * bandwidth, prefill (512 tokens) to cuBLAS, where the device is NVIDIA's and a libcublas is there.
 * Prints figures and passes no verdict. Usage: bench-device DEVICE [SIZE [TOKENS]]
 *
 * DEVICE as `ashlar info` names it; weights are SIZE by SIZE (4096), prefill has TOKENS tokens (512).
 */
#include "bench/drivers/cublas.h"
#include "bench/drivers/repeat.h"
#include "drivers/drivers.h"
#include "kernels/matmul/matmul.h"
#include "runtime/config.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DEVICES = 64,
    MOST_COPIES = 64,
    KERNEL_BYTES = 48,
    FEW_TOKENS = 16, /* beyond that the arithmetic counts, and not where a weight comes from */
    COLD_BYTES = 256 << 20, /* weights are taken in turn from that much: no card's cache holds it */
};

/* ---- Copies ---- */

struct copying {
    struct ash_device *device;
    struct ash_buffer *buffer;
    size_t half_bytes;
};

static enum ash_status run_copies(void *context, int times)
{
    const struct copying *copying = context;
    struct ash_device *device = copying->device;
    struct ash_place to = { copying->buffer, 0 }, from = { copying->buffer, copying->half_bytes };
    struct ash_event done = { 0 };
    for (int i = 0; i < times; i++)
        ASH_TRY(device->driver->copy(device, to, from, copying->half_bytes, NULL, 0, &done));
    return device->driver->wait(device, done);
}

/* Bytes read and written. */
static enum ash_status measure_copies(struct ash_device *device, double *gbps)
{
    struct copying copying = { .device = device, .half_bytes = COLD_BYTES / 2 };
    double seconds = 0;
    ASH_TRY(device->driver->alloc(device, COLD_BYTES, ASH_MEMORY_STATE, &copying.buffer));
    enum ash_status status = repeat(run_copies, &copying, &seconds);
    device->driver->free(copying.buffer);
    ASH_TRY(status);
    *gbps = 2 * (double)copying.half_bytes / seconds / 1e9;
    return ASH_OK;
}

/* ---- A matmul ---- */

struct subject {
    struct ash_device *device;
    struct ash_args args;
    struct ash_loaded *loaded;
    struct ash_buffer *x, *weights, *out;
    struct ash_step step[MOST_COPIES];
    int copies;
    struct ash_program *program;
    struct ash_batch batch;
};

static enum ash_status shape(int64_t rows, int64_t columns, enum ash_type type,
    enum ash_extent extent, struct ash_tensor *out)
{
    ASH_TRY(ash_tensor_init(type, 2, (int64_t[]){ rows, columns }, out));
    out->extent = extent;
    return ASH_OK;
}

/* Plain small numbers in every type, as zeros and NaNs may go faster or slower. */
static enum ash_status fill(struct ash_tensor *tensor)
{
    size_t bytes = ash_tensor_bytes(tensor);
    uint16_t *values = ash_alloc(bytes);
    if (!values)
        return ash_fail_memory(bytes, "a weight");
    for (size_t i = 0; i < bytes / 2; i++)
        values[i] = 0x2c00 | (uint16_t)(i * 40503 & 0x83ff);
    tensor->data = values;
    return ASH_OK;
}

/* Room for `copies` of an input in the layout that its kernel wants, and what it shall hold. */
static enum ash_status place(struct subject *subject, int input, int copies,
    enum ash_memory_use use, size_t stride, struct ash_buffer **buffer)
{
    const struct ash_driver *driver = subject->device->driver;
    struct ash_tensor tensor = subject->args.in[input];
    ASH_TRY(driver->alloc(subject->device, stride * (size_t)copies, use, buffer));
    ASH_TRY(fill(&tensor));
    enum ash_status status = ASH_OK;
    for (int i = 0; i < copies && status == ASH_OK; i++)
        status = driver->upload(subject->device, subject->loaded, input, &tensor,
            (struct ash_place){ *buffer, (size_t)i * stride });
    ash_free(tensor.data);
    return status;
}

/* What `place` is for drivers that read host memory. */
static void *data_at(struct ash_place place)
{
    return place.buffer->host ? (char *)place.buffer->host + place.offset_bytes : NULL;
}

static struct ash_step make_step(const struct subject *subject, int index, size_t stride)
{
    struct ash_step step = { .name = "matmul",
        .op = &ash_op_matmul,
        .loaded = subject->loaded,
        .args = subject->args,
        .in = { { subject->x, 0 }, { subject->weights, (size_t)index * stride } },
        .out = { subject->out, 0 },
        .phase = index };
    for (int i = 0; i < 2; i++)
        step.args.in[i].data = data_at(step.in[i]);
    step.args.out.data = data_at(step.out);
    return step;
}

/* A list of steps, each with a weight of its own. */
static enum ash_status prepare(struct subject *subject)
{
    const struct ash_driver *driver = subject->device->driver;
    struct ash_args *args = &subject->args;
    ASH_TRY(driver->load(subject->device, &ash_op_matmul, args, &subject->loaded));
    if (subject->loaded->activation != ASH_F32)
        return ash_fail(ASH_ERR_UNSUPPORTED, "activations are converted: see ashlar bench --ops");
    size_t bytes = subject->loaded->packed_input ? subject->loaded->packed_bytes
                                                 : ash_tensor_bytes(&args->in[1]);
    size_t stride = (bytes + 63) / 64 * 64, count = COLD_BYTES / stride + 1;
    subject->copies = subject->batch.tokens > FEW_TOKENS ? 1
                      : count < MOST_COPIES              ? (int)count
                                                         : MOST_COPIES;
    ASH_TRY(place(subject, 0, 1, ASH_MEMORY_ARENA, ash_tensor_bytes(&args->in[0]), &subject->x));
    ASH_TRY(place(subject, 1, subject->copies, ASH_MEMORY_WEIGHTS, stride, &subject->weights));
    ASH_TRY(driver->alloc(
        subject->device, ash_tensor_bytes(&args->out), ASH_MEMORY_ARENA, &subject->out));
    for (int i = 0; i < subject->copies; i++)
        subject->step[i] = make_step(subject, i, stride);
    return driver->compile(
        subject->device, subject->step, subject->copies, NULL, &subject->program);
}

static void finish(struct subject *subject)
{
    const struct ash_driver *driver = subject->device->driver;
    driver->discard(subject->device, subject->program);
    driver->free(subject->out);
    driver->free(subject->weights);
    driver->free(subject->x);
    driver->unload(subject->device, subject->loaded);
}

static enum ash_status run_steps(void *context, int times)
{
    const struct subject *subject = context;
    struct ash_device *device = subject->device;
    struct ash_event done = { 0 };
    for (int i = 0; i < times; i++)
        ASH_TRY(device->driver->run(device, subject->program, &subject->batch, NULL, 0, &done));
    return device->driver->wait(device, done);
}

static enum ash_status measure_matmul(struct ash_device *device, enum ash_type type, int tokens,
    int size, double *seconds, char kernel[KERNEL_BYTES])
{
    struct subject subject = { .device = device, .batch = { .tokens = tokens } };
    struct ash_args *args = &subject.args;
    args->prompts = tokens > FEW_TOKENS; /* with matrix cores, where there are any */
    ASH_TRY(shape(tokens, size, ASH_F32, ASH_EXTENT_TOKENS, &args->in[0]));
    ASH_TRY(shape(size, size, type, ASH_EXTENT_FIXED, &args->in[1]));
    ASH_TRY(shape(tokens, size, ASH_F32, ASH_EXTENT_TOKENS, &args->out));
    enum ash_status status = prepare(&subject);
    if (status == ASH_OK)
        status = repeat(run_steps, &subject, seconds);
    *seconds /= subject.copies ? subject.copies : 1;
    snprintf(kernel, KERNEL_BYTES, "%s", subject.loaded ? subject.loaded->kernel : "");
    finish(&subject);
    return status;
}

/* ---- The table ---- */

struct bench {
    struct ash_device *device;
    double copy_gbps;
    struct cublas cublas;
    bool has_cublas;
};

static enum ash_status print_matmul(struct bench *bench, enum ash_type type, int tokens, int size)
{
    struct ash_tensor weight;
    double seconds = 0, peer_s = 0;
    char kernel[KERNEL_BYTES];
    ASH_TRY(shape(size, size, type, ASH_EXTENT_FIXED, &weight));
    ASH_TRY(measure_matmul(bench->device, type, tokens, size, &seconds, kernel));
    double bytes = (double)ash_tensor_bytes(&weight) + 8.0 * tokens * size;
    double flops = 2.0 * tokens * size * size;
    printf("%-5s %6d  %-18s %10.3f %8.1f %7.1f%% %10.1f", ash_type_info(type)->name, tokens, kernel,
        seconds * 1e3, bytes / seconds / 1e9, 100 * bytes / seconds / 1e9 / bench->copy_gbps,
        flops / seconds / 1e9);
    if (bench->has_cublas && (type == ASH_F32 || type == ASH_F16 || type == ASH_BF16)) {
        ASH_TRY(cublas_measure(&bench->cublas, type, tokens, size, size, &peer_s));
        printf(" %10.1f %8.1f%%", flops / peer_s / 1e9, 100 * peer_s / seconds);
    }
    printf("\n");
    fflush(stdout);
    return ASH_OK;
}

static enum ash_status print_all(struct bench *bench, int size, int tokens)
{
    const enum ash_type types[] = { ASH_F32, ASH_F16, ASH_BF16, ASH_Q8_0, ASH_Q4_0, ASH_Q4_1 };
    ASH_TRY(measure_copies(bench->device, &bench->copy_gbps));
    printf("copies within it: %.1f GB/s, read and written\n", bench->copy_gbps);
    printf("matmul, weights of %d by %d\n", size, size);
    printf("%-5s %6s  %-18s %10s %8s %8s %10s%s\n", "TYPE", "TOKENS", "KERNEL", "MS", "GB/s",
        "OF COPY", "GFLOP/s", bench->has_cublas ? "     CUBLAS        OF" : "");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        enum ash_status status = print_matmul(bench, types[i], 1, size);
        if (status == ASH_OK)
            status = print_matmul(bench, types[i], tokens, size);
        if (status == ASH_ERR_UNSUPPORTED)
            printf("%-5s  %s\n", ash_type_info(types[i])->name, ash_error());
        else
            ASH_TRY(status);
    }
    return ASH_OK;
}

static enum ash_status measure(struct ash_device *device, int size, int tokens)
{
    struct bench bench = { .device = device };
    const char *name = device->info.name;
    printf("%s:%d  %s\n", device->driver->name, device->info.index, name);
    if (!device->driver->compile)
        return ash_fail(ASH_ERR_UNSUPPORTED, "this driver is the definition, and not to be fast");
    if (strstr(name, "NVIDIA") || strstr(name, "GeForce") || strstr(name, "Tesla")) {
        bench.has_cublas = cublas_open(device->info.index, &bench.cublas) == ASH_OK;
        printf("cuBLAS: %s\n", bench.has_cublas ? "beside it" : ash_error());
    }
    return print_all(&bench, size, tokens);
}

static enum ash_status run(const char *name, int size, int tokens)
{
    static struct ash_device_info found[MOST_DEVICES];
    const struct ash_device_info *info;
    struct ash_config config;
    struct ash_device *device;
    int count = 0;
    ASH_TRY(ash_devices_probe_for(NULL, name, found, MOST_DEVICES, &count));
    ASH_TRY(ash_device_find(found, count, name, &info));
    ASH_TRY(ash_config_init(&config));
    enum ash_status status = info->driver->open(info, &config, &device);
    if (status == ASH_OK) {
        status = measure(device, size, tokens);
        device->driver->close(device);
    }
    ash_config_finish(&config);
    return status;
}

int main(int count, char *arguments[])
{
    int size = count > 2 ? atoi(arguments[2]) : 4096, tokens = count > 3 ? atoi(arguments[3]) : 512;
    if (count < 2 || count > 4 || size < 32 || size > 1 << 15 || size % 32 || tokens < 1 ||
        tokens > 1 << 15) {
        fprintf(stderr, "usage: bench-device DEVICE [SIZE [TOKENS]]; SIZE a multiple of 32\n");
        return 2;
    }
    if (run(arguments[1], size, tokens) != ASH_OK) {
        fprintf(stderr, "bench-device: %s\n", ash_error());
        return 1;
    }
    return 0;
}
