/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/double_device.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct double_buffer {
    struct ash_buffer base;
    char *memory;
};

struct ash_buffer *double_alloc(struct ash_device *device, size_t size_bytes, bool host)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct double_buffer *buffer = calloc(1, sizeof *buffer);
    assert(buffer);
    buffer->memory = aligned_alloc(page, (size_bytes + page - 1) / page * page);
    assert(buffer->memory);
    memset(buffer->memory, 0, size_bytes);
    buffer->base = (struct ash_buffer){
        .device = device, .size_bytes = size_bytes, .host = host ? buffer->memory : NULL
    };
    return &buffer->base;
}

void double_free(struct ash_buffer *buffer)
{
    if (buffer)
        free(((struct double_buffer *)buffer)->memory);
    free(buffer);
}

char *double_at(struct ash_place place)
{
    const struct ash_buffer *buffer = place.buffer;
    char *memory = buffer->host ? buffer->host : ((const struct double_buffer *)buffer)->memory;
    return memory + place.offset_bytes;
}

enum ash_status double_load(struct ash_device *device, const struct ash_op *op,
    const struct ash_args *args, struct ash_loaded **out)
{
    struct ash_tensor result;
    (void)device;
    ASH_TRY(ash_op_infer(op, args, &result));
    if (result.rank && result.type != args->out.type)
        return ash_fail(ASH_ERR_UNSUPPORTED, "%s: another type than infer()'s", op->name);
    struct ash_loaded *loaded = calloc(1, sizeof *loaded);
    assert(loaded);
    *loaded = (struct ash_loaded){ .kernel = "reference", .activation = args->in[0].type };
    *out = loaded;
    return ASH_OK;
}

void double_unload(struct ash_device *device, struct ash_loaded *loaded)
{
    (void)device;
    free(loaded);
}

int64_t double_run(const struct ash_step *step, const struct ash_batch *batch)
{
    struct ash_args args = step->args;
    for (int i = 0; i < ASH_MAX_INPUTS; i++)
        if (step->in[i].buffer)
            args.in[i].data = double_at(step->in[i]);
    if (step->out.buffer)
        args.out.data = double_at(step->out);
    ash_args_bind(&args, batch);
    if (ash_op_rows(step->op, &args) > 0)
        step->op->reference(&args);
    return args.out.rank ? args.out.dim[0] : batch->tokens;
}
