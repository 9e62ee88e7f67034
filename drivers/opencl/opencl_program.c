/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/program_cache.h"
#include "drivers/opencl/opencl_internal.h"
#include "runtime/file.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SOURCES = 12, MOST_BINARY = 256 << 20 };

/* ---- From source ---- */

struct sources {
    const char *text[MOST_SOURCES];
    cl_uint count;
};

static struct sources gather(const struct ash_device_op *op)
{
    struct sources sources = { 0 };
    for (const unsigned char *const *part = ash_device_prelude; *part; part++)
        sources.text[sources.count++] = (const char *)*part;
    sources.text[sources.count++] = (const char *)op->source;
    return sources;
}

/* The compiler's log, cut to its first lines, in an error. */
static enum ash_status fail_build(
    struct opencl_device *device, const char *name, cl_program program, cl_int code)
{
    char *log = NULL;
    size_t length = 0;
    cl_device_id id = device->entry.id;
    if (device->api.GetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, 0, NULL, &length) ==
            CL_SUCCESS &&
        length > 1 && length < 1 << 20 && (log = ash_alloc_zero(length + 1)))
        (void)device->api.GetProgramBuildInfo(program, id, CL_PROGRAM_BUILD_LOG, length, log, NULL);
    enum ash_status status = ash_fail(ASH_ERR_DEVICE,
        "opencl:%d (%s) cannot build the program %s (%s); its compiler says: %.300s",
        device->queue.base.info.index, device->queue.base.info.name, name, opencl_error_name(code),
        log && log[0] ? log : "nothing");
    ash_free(log);
    return status;
}

static enum ash_status build(struct opencl_device *device, const char *name, const char *options,
    cl_program program, cl_program *out)
{
    cl_int code = device->api.BuildProgram(program, 1, &device->entry.id, options, NULL, NULL);
    if (code == CL_SUCCESS) {
        *out = program;
        return ASH_OK;
    }
    enum ash_status status = code == CL_OUT_OF_HOST_MEMORY
                                 ? opencl_check(device, code, "build a program")
                                 : fail_build(device, name, program, code);
    device->api.ReleaseProgram(program);
    return status;
}

static enum ash_status build_source(struct opencl_device *device, const struct ash_device_op *op,
    const char *name, const char *options, cl_program *out)
{
    cl_int code;
    struct sources sources = gather(op);
    cl_program program = device->api.CreateProgramWithSource(
        device->context, sources.count, sources.text, NULL, &code);
    ASH_TRY(opencl_check(device, code, "take a program"));
    return build(device, name, options, program, out);
}

/* ---- From a binary ---- */

static enum ash_status build_binary(struct opencl_device *device, const char *name,
    const unsigned char *binary, size_t binary_bytes, cl_program *out)
{
    cl_int code, each = CL_SUCCESS;
    cl_program program = device->api.CreateProgramWithBinary(
        device->context, 1, &device->entry.id, &binary_bytes, &binary, &each, &code);
    if (code != CL_SUCCESS)
        return ash_fail(ASH_ERR_DEVICE, "opencl:%d (%s) refuses the binary of %s: %s",
            device->queue.base.info.index, device->queue.base.info.name, name,
            opencl_error_name(code));
    return build(device, name, "", program, out);
}

enum ash_status opencl_program_binary(
    struct opencl_device *device, cl_program program, unsigned char **out, size_t *out_bytes)
{
    size_t size = 0; /* of the one device that the program is for */
    cl_int code =
        device->api.GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL);
    if (code == CL_SUCCESS && (size == 0 || size > MOST_BINARY))
        return ash_fail(ASH_ERR_UNSUPPORTED, "opencl:%d (%s) gives no binary of a program",
            device->queue.base.info.index, device->queue.base.info.name);
    ASH_TRY(opencl_check(device, code, "give a program's binary"));
    unsigned char *binary = ash_alloc_zero(size);
    if (!binary)
        return ash_fail_memory(size, "a program's binary");
    code = device->api.GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
    if (code != CL_SUCCESS) {
        ash_free(binary);
        return opencl_check(device, code, "give a program's binary");
    }
    *out = binary;
    *out_bytes = size;
    return ASH_OK;
}

/* Programs that were built before: an FPGA's kernel folder. */
static enum ash_status read_prebuilt(
    struct opencl_device *device, const char *name, cl_program *out)
{
    char *binary;
    size_t size;
    char *path = ash_format("%s/%s.bin", device->kernel_dir, name);
    if (!path)
        return ash_fail_memory(strlen(device->kernel_dir), "a path");
    enum ash_status status = ash_whole_file_read(path, MOST_BINARY, &binary, &size);
    if (status == ASH_ERR_NOT_FOUND)
        status = ash_fail(ASH_ERR_UNSUPPORTED,
            "opencl:%d (%s) takes programs from a folder, and there is no %s: put it there, or name "
            "the folder that has it by kernel_dir",
            device->queue.base.info.index, device->queue.base.info.name, path);
    ash_free(path);
    ASH_TRY(status);
    status = build_binary(device, name, (const unsigned char *)binary, size, out);
    ash_free(binary);
    return status;
}

/* ---- The cache on disk ---- */

/* Everything that a binary depends on. */
static char *make_key(const struct opencl_device *device, const struct ash_device_op *op,
    const char *name, const char *options)
{
    uint64_t hash = ASH_HASH_BEGIN;
    struct sources sources = gather(op);
    for (cl_uint i = 0; i < sources.count; i++)
        hash = ash_hash(hash, sources.text[i], strlen(sources.text[i]));
    return ash_format(
        "%s\n%s\n%s\n%016llx\n", device->identity, name, options, (unsigned long long)hash);
}

static enum ash_status read_cached(
    struct opencl_device *device, const char *name, const char *key, cl_program *out)
{
    unsigned char *binary;
    size_t size;
    ASH_TRY(ash_program_cache_read(device->cache_dir, name, key, &binary, &size));
    enum ash_status status = build_binary(device, name, binary, size, out);
    ash_free(binary);
    return status;
}

/* A cache that cannot be written only costs the next start. */
static void keep(
    struct opencl_device *device, const char *name, const char *key, cl_program program)
{
    unsigned char *binary;
    size_t size;
    if (opencl_program_binary(device, program, &binary, &size) != ASH_OK)
        return;
    (void)ash_program_cache_write(device->cache_dir, name, key, binary, size);
    ash_free(binary);
}

static enum ash_status make(struct opencl_device *device, const struct ash_device_op *op,
    const struct ash_device_variant *variant, const char *name, cl_program *out)
{
    char options[160];
    if (device->kernel_dir)
        return read_prebuilt(device, name, out);
    snprintf(options, sizeof options, "%s %s", device->options, variant->options);
    char *key = make_key(device, op, name, options);
    if (!key)
        return ash_fail_memory(sizeof device->identity, "a program's key");
    enum ash_status status = ASH_ERR_NOT_FOUND;
    if (device->cache_dir)
        status = read_cached(device, name, key, out);
    if (status != ASH_OK) {
        status = build_source(device, op, name, options, out);
        if (status == ASH_OK && device->cache_dir)
            keep(device, name, key, *out);
    }
    ash_free(key);
    return status;
}

enum ash_status opencl_program_get(struct opencl_device *device, const struct ash_device_op *op,
    const struct ash_device_variant *variant, cl_program *out)
{
    const char *name = variant->name;
    for (struct opencl_program *program = device->programs; program; program = program->next)
        if (strcmp(program->name, name) == 0) {
            *out = program->program;
            return ASH_OK;
        }
    struct opencl_program *program = ash_alloc_zero(sizeof *program);
    if (!program)
        return ash_fail_memory(sizeof *program, "a program");
    enum ash_status status = make(device, op, variant, name, &program->program);
    if (status != ASH_OK) {
        ash_free(program);
        return status;
    }
    snprintf(program->name, sizeof program->name, "%s", name);
    program->next = device->programs;
    device->programs = program;
    *out = program->program;
    return ASH_OK;
}

void opencl_programs_release(struct opencl_device *device)
{
    for (struct opencl_program *program = device->programs, *next; program; program = next) {
        next = program->next;
        device->api.ReleaseProgram(program->program);
        ash_free(program);
    }
    device->programs = NULL;
}
