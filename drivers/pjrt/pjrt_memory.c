/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/pjrt/pjrt_internal.h"
#include "runtime/memory.h"

#include <string.h>

static struct pjrt_device *device_of(const struct pjrt_buffer *buffer)
{
    return (struct pjrt_device *)buffer->base.device;
}

static size_t end_of(const struct pjrt_piece *piece)
{
    return piece->offset_bytes + piece->size_bytes;
}

/* ---- Buffers ---- */

enum ash_status pjrt_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    if (size_bytes > device->info.memory_bytes ||
        self->used_bytes > device->info.memory_bytes - size_bytes)
        return ash_fail(ASH_ERR_NO_MEMORY,
            "%s has %llu bytes of memory, %zu of them taken: there is no room for %zu more",
            self->who, (unsigned long long)device->info.memory_bytes, self->used_bytes, size_bytes);
    struct pjrt_buffer *buffer = ash_alloc_zero(sizeof *buffer);
    if (!buffer)
        return ash_fail_memory(sizeof *buffer, "a buffer");
    buffer->base = (struct ash_buffer){ .device = device, .size_bytes = size_bytes };
    buffer->is_arena = use == ASH_MEMORY_ARENA; /* nothing is held before it is written */
    self->used_bytes += size_bytes;
    *out = &buffer->base;
    return ASH_OK;
}

static void piece_finish(const struct pjrt_device *device, struct pjrt_piece *piece)
{
    pjrt_arrays_destroy(device, piece->array);
    ash_free(piece->host);
}

void pjrt_free(struct ash_buffer *base)
{
    struct pjrt_buffer *buffer = (struct pjrt_buffer *)base;
    if (!buffer)
        return;
    for (size_t i = 0; i < buffer->count; i++)
        piece_finish(device_of(buffer), &buffer->piece[i]);
    device_of(buffer)->used_bytes -= base->size_bytes;
    ash_free(buffer->piece);
    ash_free(buffer);
}

/* ---- Pieces ---- */

/* The first piece that ends behind `offset_bytes`. */
static size_t find_piece(const struct pjrt_buffer *buffer, size_t offset_bytes)
{
    size_t low = 0, high = buffer->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (end_of(&buffer->piece[middle]) > offset_bytes)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* How many pieces from `first` on begin before `end_bytes`. */
static size_t count_pieces(const struct pjrt_buffer *buffer, size_t first, size_t end_bytes)
{
    size_t count = 0;
    while (first + count < buffer->count && buffer->piece[first + count].offset_bytes < end_bytes)
        count++;
    return count;
}

bool pjrt_has_bytes(struct ash_place place, size_t size_bytes)
{
    const struct pjrt_buffer *buffer = (const struct pjrt_buffer *)place.buffer;
    size_t first = find_piece(buffer, place.offset_bytes);
    return count_pieces(buffer, first, place.offset_bytes + size_bytes) > 0;
}

struct pjrt_piece *pjrt_piece_of(struct ash_place place, const struct pjrt_form *form)
{
    struct pjrt_buffer *buffer = (struct pjrt_buffer *)place.buffer;
    size_t at = find_piece(buffer, place.offset_bytes);
    bool found = at < buffer->count && buffer->piece[at].offset_bytes == place.offset_bytes &&
                 pjrt_form_is(&buffer->piece[at].form, form) &&
                 count_pieces(buffer, at, place.offset_bytes + pjrt_form_bytes(form)) == 1;
    return found ? &buffer->piece[at] : NULL;
}

enum ash_status pjrt_piece_reserve(struct pjrt_buffer *buffer, size_t more)
{
    if (buffer->count + more <= buffer->capacity)
        return ASH_OK;
    size_t capacity = 2 * buffer->capacity + more;
    struct pjrt_piece *piece = ash_realloc_array(buffer->piece, capacity, sizeof *piece);
    if (!piece)
        return ash_fail_memory(capacity * sizeof *piece, "a buffer's pieces");
    buffer->piece = piece;
    buffer->capacity = capacity;
    return ASH_OK;
}

enum ash_status pjrt_piece_put(struct pjrt_buffer *buffer, const struct pjrt_piece *piece)
{
    size_t first = find_piece(buffer, piece->offset_bytes);
    size_t over = count_pieces(buffer, first, end_of(piece));
    if (over == 0)
        ASH_TRY(pjrt_piece_reserve(buffer, 1));
    for (size_t i = first; i < first + over; i++)
        piece_finish(device_of(buffer), &buffer->piece[i]);
    memmove(&buffer->piece[first + 1], &buffer->piece[first + over],
        (buffer->count - first - over) * sizeof *piece);
    buffer->count = buffer->count + 1 - over;
    buffer->piece[first] = *piece;
    return ASH_OK;
}

/* ---- Bytes out of pieces ---- */

static enum ash_status fetch(
    struct pjrt_device *device, struct pjrt_array *array, const struct pjrt_shape *shape, void *to)
{
    int64_t order[PJRT_MAX_RANK];
    for (int i = 0; i < shape->rank; i++)
        order[i] = shape->rank - 1 - i;
    struct pjrt_layout layout = { PJRT_ARGS(pjrt_layout),
        .tiled = { PJRT_ARGS(pjrt_tiled), .minor_to_major = order, .rank = (size_t)shape->rank } };
    struct pjrt_to_host call = { PJRT_ARGS(pjrt_to_host), .array = array, .layout = &layout,
        .to = to, .to_size = pjrt_shape_bytes(shape) };
    ASH_TRY(pjrt_device_check(device, device->api->to_host(&call), "give memory back"));
    return pjrt_device_finish(device, call.done, "give memory back");
}

/* Bytes [first, first + size) of a piece on the device. */
static enum ash_status read_arrays(struct pjrt_device *device, const struct pjrt_piece *piece,
    size_t first, size_t size_bytes, char *out)
{
    const struct pjrt_shape *shape = &piece->form.part[0];
    size_t whole = pjrt_shape_bytes(shape);
    if (piece->form.planes)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "%s does not give back quantised weights: read them where they came from", device->who);
    if (first == 0 && size_bytes == whole)
        return fetch(device, piece->array[0], shape, out);
    char *all = ash_alloc(whole);
    if (!all)
        return ash_fail_memory(whole, "what comes from a device");
    enum ash_status status = fetch(device, piece->array[0], shape, all);
    if (status == ASH_OK)
        memcpy(out, all + first, size_bytes);
    ash_free(all);
    return status;
}

enum ash_status pjrt_read(struct ash_place from, size_t size_bytes, void *out)
{
    struct pjrt_buffer *buffer = (struct pjrt_buffer *)from.buffer;
    size_t begin = from.offset_bytes, end = begin + size_bytes;
    size_t first = find_piece(buffer, begin), count = count_pieces(buffer, first, end);
    memset(out, 0, count == 1 ? 0 : size_bytes);
    for (size_t i = first; i < first + count; i++) {
        const struct pjrt_piece *piece = &buffer->piece[i];
        size_t low = piece->offset_bytes > begin ? piece->offset_bytes : begin;
        size_t high = end_of(piece) < end ? end_of(piece) : end;
        char *to = (char *)out + (low - begin);
        if (count == 1 && high - low < size_bytes)
            memset(out, 0, size_bytes);
        if (piece->host)
            memcpy(to, piece->host + (low - piece->offset_bytes), high - low);
        else
            ASH_TRY(
                read_arrays(device_of(buffer), piece, low - piece->offset_bytes, high - low, to));
    }
    return ASH_OK;
}

/* ---- Bytes into pieces ---- */

/* Widens a piece to all that it overlaps: what is beside it stays, in one piece with it. */
static void widen(const struct pjrt_buffer *buffer, struct pjrt_piece *piece)
{
    size_t first = find_piece(buffer, piece->offset_bytes), end = end_of(piece);
    size_t count = count_pieces(buffer, first, end);
    if (count == 0)
        return;
    const struct pjrt_piece *last = &buffer->piece[first + count - 1];
    if (buffer->piece[first].offset_bytes < piece->offset_bytes)
        piece->offset_bytes = buffer->piece[first].offset_bytes;
    piece->size_bytes = (end_of(last) > end ? end_of(last) : end) - piece->offset_bytes;
}

/*
 * Writes host memory over whatever is there; on the host until a step wants it. In an arena what it overlaps
 * is dead: a piece of both would be taken for dead as well, as soon as something else is put over a part.
 */
static enum ash_status write(struct ash_place to, size_t size_bytes, const void *bytes)
{
    struct pjrt_buffer *buffer = (struct pjrt_buffer *)to.buffer;
    struct pjrt_piece piece = { .offset_bytes = to.offset_bytes, .size_bytes = size_bytes };
    if (!buffer->is_arena)
        widen(buffer, &piece);
    piece.host = ash_alloc(piece.size_bytes);
    if (!piece.host)
        return ash_fail_memory(piece.size_bytes, "what goes to a device");
    enum ash_status status = ASH_OK;
    if (piece.size_bytes > size_bytes)
        status = pjrt_read(
            (struct ash_place){ to.buffer, piece.offset_bytes }, piece.size_bytes, piece.host);
    memcpy(piece.host + (to.offset_bytes - piece.offset_bytes), bytes, size_bytes);
    if (status == ASH_OK)
        status = pjrt_piece_put(buffer, &piece);
    if (status != ASH_OK)
        ash_free(piece.host);
    return status;
}

enum ash_status pjrt_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    (void)loaded, (void)input; /* one form serves all */
    struct pjrt_piece piece = { .offset_bytes = to.offset_bytes,
        .size_bytes = ash_tensor_bytes(weight) };
    pjrt_form_plain(weight, &piece.form);
    ASH_TRY(pjrt_form_send(self, &piece.form, weight->data, piece.array));
    enum ash_status status = pjrt_piece_put((struct pjrt_buffer *)to.buffer, &piece);
    if (status != ASH_OK)
        pjrt_arrays_destroy(self, piece.array);
    return status;
}

/* ---- Between devices ---- */

/* Whether arrays may be put at a place as they are: nothing else that counts is overlapped. */
static bool can_put(struct ash_place to, size_t size_bytes)
{
    const struct pjrt_buffer *buffer = (const struct pjrt_buffer *)to.buffer;
    size_t end = to.offset_bytes + size_bytes, first = find_piece(buffer, to.offset_bytes);
    size_t count = count_pieces(buffer, first, end);
    return buffer->is_arena || count == 0 ||
           (buffer->piece[first].offset_bytes >= to.offset_bytes &&
               end_of(&buffer->piece[first + count - 1]) <= end);
}

/* The piece to copy as it is: all of it, or a batch's first rows. NULL = there is none. */
static const struct pjrt_piece *find_whole(
    struct ash_place to, struct ash_place from, size_t size_bytes)
{
    const struct pjrt_buffer *source = (const struct pjrt_buffer *)from.buffer;
    const struct pjrt_buffer *target = (const struct pjrt_buffer *)to.buffer;
    size_t at = find_piece(source, from.offset_bytes);
    const struct pjrt_piece *piece = at < source->count ? &source->piece[at] : NULL;
    if (!piece || piece->host || piece->offset_bytes != from.offset_bytes)
        return NULL;
    bool fits = piece->size_bytes == size_bytes ||
                (target->is_arena && !piece->form.planes && piece->size_bytes > size_bytes);
    return fits && can_put(to, size_bytes) ? piece : NULL;
}

static enum ash_status copy_array(struct pjrt_device *device, struct pjrt_chip *chip,
    struct pjrt_array *array, struct pjrt_array **out)
{
    struct pjrt_array_copy call = { PJRT_ARGS(pjrt_array_copy), .array = array, .chip = chip };
    ASH_TRY(pjrt_check(device->api, device->api->array_copy(&call), device->who, "copy"));
    struct pjrt_array_ready when = { PJRT_ARGS(pjrt_array_ready), .array = call.copy };
    *out = call.copy;
    if (!call.copy)
        return ash_fail(ASH_ERR_DEVICE, "%s gives no copy", device->who);
    if (device->api->array_ready)
        ASH_TRY(pjrt_check(device->api, device->api->array_ready(&when), device->who, "copy"));
    (void)pjrt_note(device, when.ready);
    return ASH_OK;
}

/*
 * From a device to another of its client, which orders the copy itself: nobody waits. *done stays false where
 * that cannot be, or the plugin cannot do it: then it goes through the host.
 */
static enum ash_status copy_over(struct pjrt_device *device, struct ash_place to,
    struct ash_place from, size_t size_bytes, bool *done)
{
    struct pjrt_buffer *target = (struct pjrt_buffer *)to.buffer;
    const struct pjrt_piece *whole = find_whole(to, from, size_bytes);
    if (!whole || !device->api->array_copy)
        return ASH_OK;
    struct pjrt_piece piece = {
        .offset_bytes = to.offset_bytes, .size_bytes = size_bytes, .form = whole->form
    };
    enum ash_status status = ASH_OK;
    for (int i = 0; i < piece.form.parts && status == ASH_OK; i++)
        status = copy_array(device, device_of(target)->chip, whole->array[i], &piece.array[i]);
    if (status == ASH_OK)
        status = pjrt_piece_put(target, &piece);
    if (status != ASH_OK)
        pjrt_arrays_destroy(device, piece.array);
    *done = status == ASH_OK;
    return status == ASH_ERR_DEVICE ? ASH_OK : status;
}

/* ---- Copies ---- */

static enum ash_status copy_staged(struct ash_place to, struct ash_place from, size_t size_bytes)
{
    void *bytes = ash_alloc(size_bytes);
    if (!bytes)
        return ash_fail_memory(size_bytes, "a copy on its way");
    enum ash_status status = pjrt_read(from, size_bytes, bytes);
    if (status == ASH_OK)
        status = write(to, size_bytes, bytes);
    ash_free(bytes);
    return status;
}

/* Through the host, but from chip to chip: within a device, too, as its arrays cannot be written in part. */
static enum ash_status copy_now(
    struct pjrt_device *device, struct ash_place to, struct ash_place from, size_t size_bytes)
{
    const struct ash_device *target = to.buffer->device, *source = from.buffer->device;
    bool own_to = pjrt_is_sibling(device, target), own_from = pjrt_is_sibling(device, source);
    bool done = false;
    if (own_to && own_from && source != target)
        ASH_TRY(copy_over(device, to, from, size_bytes, &done));
    if (done)
        return ASH_OK;
    if (own_to && own_from)
        return copy_staged(to, from, size_bytes);
    if (own_to && from.buffer->host)
        return write(to, size_bytes, (const char *)from.buffer->host + from.offset_bytes);
    if (own_from && to.buffer->host)
        return pjrt_read(from, size_bytes, (char *)to.buffer->host + to.offset_bytes);
    return ash_fail(ASH_ERR_ARGUMENT,
        "a copy on %s needs buffers of its own, of its plugin's other devices or in host memory",
        device->who);
}

enum ash_status pjrt_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done)
{
    struct pjrt_device *self = (struct pjrt_device *)device;
    ASH_TRY(pjrt_begin(self, after, after_count));
    if (to.buffer->device != device && from.buffer->device != device)
        return ash_fail(ASH_ERR_ARGUMENT, "a copy on %s is of no buffer of its own", self->who);
    ASH_TRY(copy_now(self, to, from, size_bytes));
    *done = pjrt_note(self, NULL);
    return ASH_OK;
}
