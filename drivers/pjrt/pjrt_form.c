/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_internal.h"
#include "kernels/attention/attention.h"
#include "kernels/kv_cache.h"
#include "kernels/kv_write/kv_write.h"
#include "runtime/memory.h"

#include <string.h>

enum { BLOCK = 32 };

/* ---- Which form ---- */

static enum pjrt_type type_of(enum ash_type type)
{
    return type == ASH_F16    ? PJRT_F16
           : type == ASH_BF16 ? PJRT_BF16
           : type == ASH_I32  ? PJRT_S32
                              : PJRT_F32;
}

static bool is_quantised(enum ash_type type)
{
    return type == ASH_Q8_0 || type == ASH_Q4_0 || type == ASH_Q4_1;
}

static void form_planes(const struct ash_tensor *tensor, struct pjrt_form *out)
{
    int64_t columns = ash_tensor_columns(tensor), rows = ash_tensor_rows(tensor);
    *out = (struct pjrt_form){ .type = tensor->type, .planes = true };
    out->part[out->parts++] = tensor->type == ASH_Q8_0 ? PJRT_SHAPE(PJRT_S8, rows, columns)
                                                       : PJRT_SHAPE(PJRT_U8, rows, columns / 2);
    for (int factors = tensor->type == ASH_Q4_1 ? 2 : 1; factors > 0; factors--)
        out->part[out->parts++] = PJRT_SHAPE(PJRT_F16, rows, columns / BLOCK);
}

void pjrt_form_plain(const struct ash_tensor *tensor, struct pjrt_form *out)
{
    if (is_quantised(tensor->type)) {
        form_planes(tensor, out);
        return;
    }
    *out = (struct pjrt_form){ .type = tensor->type, .parts = 1 };
    out->part[0] = (struct pjrt_shape){ .type = type_of(tensor->type), .rank = tensor->rank };
    memcpy(out->part[0].dim, tensor->dim, sizeof tensor->dim);
}

/* As kernels/kv_cache.h has the bytes of a tile. */
static void form_cache(enum ash_kv_side side, const struct ash_tensor *cache, struct pjrt_form *out)
{
    int64_t pages = cache->dim[0], heads = cache->dim[1], size = cache->dim[3];
    bool by_channel = (side == ASH_KV_KEYS) == (cache->type != ASH_BF16);
    *out = (struct pjrt_form){ .type = cache->type, .parts = 1 };
    if (cache->type == ASH_Q8_0)
        out->part[0] =
            PJRT_SHAPE(PJRT_S8, pages, heads, size / BLOCK, ASH_KV_BLOCK_BYTES / BLOCK, BLOCK);
    else if (by_channel)
        out->part[0] = PJRT_SHAPE(type_of(cache->type), pages, heads, size, ASH_PAGE_POSITIONS);
    else
        out->part[0] = PJRT_SHAPE(type_of(cache->type), pages, heads, ASH_PAGE_POSITIONS, size);
}

void pjrt_form_of(
    const struct ash_op *op, const struct ash_args *args, int input, struct pjrt_form *out)
{
    const struct ash_tensor *tensor = input < 0 ? &args->out : &args->in[input];
    int keys = op == &ash_op_kv_write ? 2 : op == &ash_op_attention ? 1 : -1;
    if (keys > 0 && (input == keys || input == keys + 1))
        form_cache(input == keys ? ASH_KV_KEYS : ASH_KV_VALUES, tensor, out);
    else
        pjrt_form_plain(tensor, out);
}

bool pjrt_form_is(const struct pjrt_form *a, const struct pjrt_form *b)
{
    if (a->type != b->type || a->planes != b->planes || a->parts != b->parts)
        return false;
    for (int i = 0; i < a->parts; i++)
        if (!pjrt_shape_is(&a->part[i], &b->part[i]))
            return false;
    return true;
}

size_t pjrt_form_bytes(const struct pjrt_form *form)
{
    size_t bytes = 0;
    for (int i = 0; i < form->parts; i++)
        bytes += pjrt_shape_bytes(&form->part[i]);
    return bytes; /* planes are a rearrangement */
}

/* ---- Onto the device ---- */

/* Element i of a row of quants of 4 bits, in the file's order. */
static unsigned nibble(const unsigned char *row, size_t block_bytes, size_t factors, int64_t i)
{
    const unsigned char *block = row + (size_t)(i / BLOCK) * block_bytes + factors;
    int64_t at = i % BLOCK;
    return at < BLOCK / 2 ? block[at] & 15u : block[at - BLOCK / 2] >> 4;
}

static void write_quants(const struct pjrt_form *form, const unsigned char *row, unsigned char *out)
{
    int64_t count = form->part[0].dim[1];
    const struct ash_type_info *info = ash_type_info(form->type);
    size_t factors = 2 * ((size_t)form->parts - 1);
    for (int64_t i = 0; i < count; i++)
        if (form->type == ASH_Q8_0)
            out[i] = row[(size_t)(i / BLOCK) * (size_t)info->block_bytes + factors +
                         (size_t)(i % BLOCK)];
        else
            out[i] =
                (unsigned char)(nibble(row, (size_t)info->block_bytes, factors, i) |
                                nibble(row, (size_t)info->block_bytes, factors, i + count) << 4);
}

/* Plane `part` of a weight whose rows are in the file's blocks. */
static void write_plane(
    const struct pjrt_form *form, int part, const unsigned char *bytes, unsigned char *out)
{
    int64_t rows = form->part[0].dim[0], blocks = form->part[1].dim[1];
    size_t block_bytes = (size_t)ash_type_info(form->type)->block_bytes;
    size_t width = pjrt_shape_bytes(&form->part[part]) / (size_t)rows;
    for (int64_t r = 0; r < rows; r++) {
        const unsigned char *row = bytes + (size_t)(r * blocks) * block_bytes;
        if (part == 0)
            write_quants(form, row, out);
        for (int64_t b = 0; part > 0 && b < blocks; b++)
            memcpy(out + 2 * b, row + (size_t)b * block_bytes + 2 * (size_t)(part - 1), 2);
        out += width;
    }
}

static enum ash_status send(struct pjrt_device *device, const struct pjrt_shape *shape,
    const void *bytes, struct pjrt_array **out)
{
    struct pjrt_from_host call = { PJRT_ARGS(pjrt_from_host), .client = device->client,
        .data = bytes, .type = shape->type, .dim = shape->dim, .rank = (size_t)shape->rank,
        .semantics = PJRT_UNTIL_TRANSFER_COMPLETES, .chip = device->chip };
    ASH_TRY(pjrt_device_check(device, device->api->from_host(&call), "take memory"));
    *out = call.array;
    ASH_TRY(pjrt_device_finish(device, call.done, "take memory"));
    return *out ? ASH_OK : pjrt_device_fail(device, "take memory");
}

static enum ash_status send_plane(struct pjrt_device *device, const struct pjrt_form *form,
    int part, const void *bytes, struct pjrt_array **out)
{
    size_t size = pjrt_shape_bytes(&form->part[part]);
    unsigned char *plane = ash_alloc(size);
    if (!plane)
        return ash_fail_memory(size, "a weight on its way");
    write_plane(form, part, bytes, plane);
    enum ash_status status = send(device, &form->part[part], plane, out);
    ash_free(plane);
    return status;
}

enum ash_status pjrt_form_send(struct pjrt_device *device, const struct pjrt_form *form,
    const void *bytes, struct pjrt_array *out[PJRT_MOST_PARTS])
{
    enum ash_status status = ASH_OK;
    memset(out, 0, PJRT_MOST_PARTS * sizeof(struct pjrt_array *));
    for (int i = 0; i < form->parts && status == ASH_OK; i++)
        status = form->planes ? send_plane(device, form, i, bytes, &out[i])
                              : send(device, &form->part[i], bytes, &out[i]);
    if (status != ASH_OK)
        pjrt_arrays_destroy(device, out);
    return status;
}

void pjrt_arrays_destroy(
    const struct pjrt_device *device, struct pjrt_array *array[PJRT_MOST_PARTS])
{
    for (int i = 0; i < PJRT_MOST_PARTS; i++) {
        struct pjrt_array_destroy call = { PJRT_ARGS(pjrt_array_destroy), .array = array[i] };
        if (array[i])
            pjrt_drop(device->api, device->api->array_destroy(&call));
        array[i] = NULL;
    }
}
