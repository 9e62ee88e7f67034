/* SPDX-License-Identifier: Apache-2.0 */
#include "models/gguf_writer.h"

#include "models/gguf_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ALIGNMENT = 32, VERSION = 3 };

/* Bytes that grow. */
struct section {
    uint8_t *data;
    size_t count, capacity;
};

struct ash_gguf_writer {
    char *path, *part; /* the file's name, and where it grows */
    FILE *file;
    enum ash_status status; /* the first failure ... */
    char *message;          /* ... and its words; NULL when there was no memory for them */
    bool finished;

    struct section values, tensors;
    uint64_t value_count;

    uint64_t *size_bytes; /* of each tensor */
    size_t tensor_count, tensor_capacity;
    uint64_t data_bytes; /* of all tensors so far, each padded */

    bool header_written;
    size_t current;         /* the tensor whose data is being written ... */
    uint64_t current_bytes; /* ... and how much of it is there */
};

static void keep_failure(struct ash_gguf_writer *writer, enum ash_status status)
{
    if (status == ASH_OK || writer->status != ASH_OK)
        return;
    writer->status = status;
    writer->message = ash_strdup(ash_error());
}

static uint64_t padding(uint64_t size_bytes)
{
    return (ALIGNMENT - size_bytes % ALIGNMENT) % ALIGNMENT;
}

static void append(
    struct ash_gguf_writer *writer, struct section *section, const void *bytes, size_t size_bytes)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < size_bytes && writer->status == ASH_OK; i++) {
        keep_failure(writer, ASH_GROW(section->data, section->capacity, section->count));
        if (writer->status == ASH_OK)
            section->data[section->count++] = from[i];
    }
}

static void append_u32(struct ash_gguf_writer *writer, struct section *section, uint32_t value)
{
    append(writer, section, &value, sizeof value);
}

static void append_u64(struct ash_gguf_writer *writer, struct section *section, uint64_t value)
{
    append(writer, section, &value, sizeof value);
}

static void append_view(
    struct ash_gguf_writer *writer, struct section *section, struct ash_gguf_string string)
{
    append_u64(writer, section, string.length);
    append(writer, section, string.text, string.length);
}

static void append_string(struct ash_gguf_writer *writer, struct section *section, const char *text)
{
    append_view(writer, section, (struct ash_gguf_string){ text, strlen(text) });
}

/* Begins a key of a type; false when the writer has failed or is past its metadata. */
static bool begin_view(
    struct ash_gguf_writer *writer, struct ash_gguf_string key, enum ash_gguf_type type)
{
    if (writer->header_written)
        keep_failure(writer, ash_fail(ASH_ERR_ARGUMENT, "metadata \"%.*s\" after the data",
                                 (int)(key.length < 128 ? key.length : 128), key.text));
    if (writer->status != ASH_OK)
        return false;
    append_view(writer, &writer->values, key);
    append_u32(writer, &writer->values, type);
    writer->value_count++;
    return true;
}

static bool begin_value(struct ash_gguf_writer *writer, const char *key, enum ash_gguf_type type)
{
    return begin_view(writer, (struct ash_gguf_string){ key, strlen(key) }, type);
}

static bool begin_array(
    struct ash_gguf_writer *writer, const char *key, enum ash_gguf_type type, size_t count)
{
    if (!begin_value(writer, key, ASH_GGUF_ARRAY))
        return false;
    append_u32(writer, &writer->values, type);
    append_u64(writer, &writer->values, count);
    return true;
}

void ash_gguf_write_u32(struct ash_gguf_writer *writer, const char *key, uint32_t value)
{
    if (begin_value(writer, key, ASH_GGUF_U32))
        append_u32(writer, &writer->values, value);
}

void ash_gguf_write_f32(struct ash_gguf_writer *writer, const char *key, float value)
{
    if (begin_value(writer, key, ASH_GGUF_F32))
        append(writer, &writer->values, &value, sizeof value);
}

void ash_gguf_write_bool(struct ash_gguf_writer *writer, const char *key, bool value)
{
    uint8_t byte = value;
    if (begin_value(writer, key, ASH_GGUF_BOOL))
        append(writer, &writer->values, &byte, sizeof byte);
}

void ash_gguf_write_string(struct ash_gguf_writer *writer, const char *key, const char *text)
{
    if (begin_value(writer, key, ASH_GGUF_STRING))
        append_string(writer, &writer->values, text);
}

void ash_gguf_write_strings(
    struct ash_gguf_writer *writer, const char *key, const char *const text[], size_t count)
{
    if (begin_array(writer, key, ASH_GGUF_STRING, count))
        for (size_t i = 0; i < count; i++)
            append_string(writer, &writer->values, text[i]);
}

void ash_gguf_write_i32s(
    struct ash_gguf_writer *writer, const char *key, const int32_t value[], size_t count)
{
    if (begin_array(writer, key, ASH_GGUF_I32, count))
        append(writer, &writer->values, value, count * sizeof value[0]);
}

void ash_gguf_write_f32s(
    struct ash_gguf_writer *writer, const char *key, const float value[], size_t count)
{
    if (begin_array(writer, key, ASH_GGUF_F32, count))
        append(writer, &writer->values, value, count * sizeof value[0]);
}

static size_t value_bytes(const struct ash_gguf_value *value)
{
    if (value->type != ASH_GGUF_STRING)
        return (size_t)value->count * ash_gguf_type_bytes(value->type);
    struct ash_gguf_strings strings = ash_gguf_strings(value);
    for (struct ash_gguf_string string; ash_gguf_strings_next(&strings, &string);)
        ; /* its end is known when all were passed */
    return (size_t)(strings.next - value->data);
}

void ash_gguf_write_value(struct ash_gguf_writer *writer, const struct ash_gguf_value *value,
    size_t more, const void *more_items, size_t more_bytes)
{
    assert(more == 0 || value->is_array);
    if (!begin_view(writer, value->key, value->is_array ? ASH_GGUF_ARRAY : value->type))
        return;
    if (value->is_array) {
        append_u32(writer, &writer->values, value->type);
        append_u64(writer, &writer->values, value->count + more);
    }
    append(writer, &writer->values, value->data, value_bytes(value));
    append(writer, &writer->values, more_items, more_bytes);
}

static enum ash_status describe_tensor(struct ash_gguf_writer *writer, const char *name,
    enum ash_type type, int rank, const int64_t dim[])
{
    struct ash_tensor tensor;
    uint32_t number = 0;
    ASH_TRY(ash_tensor_init(type, rank, dim, &tensor));
    if (!ash_ggml_type_number(type, &number))
        return ash_fail(ASH_ERR_ARGUMENT, "%s is no type of a file", ash_type_info(type)->name);
    if (writer->header_written)
        return ash_fail(ASH_ERR_ARGUMENT, "described after the data");
    ASH_TRY(ASH_GROW(writer->size_bytes, writer->tensor_capacity, writer->tensor_count));
    append_string(writer, &writer->tensors, name);
    append_u32(writer, &writer->tensors, (uint32_t)rank);
    for (int i = rank - 1; i >= 0; i--) /* innermost first */
        append_u64(writer, &writer->tensors, (uint64_t)dim[i]);
    append_u32(writer, &writer->tensors, number);
    append_u64(writer, &writer->tensors, writer->data_bytes);
    uint64_t size_bytes = ash_tensor_bytes(&tensor);
    writer->size_bytes[writer->tensor_count++] = size_bytes;
    writer->data_bytes += size_bytes + padding(size_bytes);
    return ASH_OK;
}

void ash_gguf_write_tensor(struct ash_gguf_writer *writer, const char *name, enum ash_type type,
    int rank, const int64_t dim[])
{
    if (writer->status == ASH_OK)
        keep_failure(writer,
            ash_fail_in(describe_tensor(writer, name, type, rank, dim), "tensor \"%s\"", name));
}

static void put(struct ash_gguf_writer *writer, const void *bytes, size_t size_bytes)
{
    if (writer->status == ASH_OK && size_bytes > 0 &&
        fwrite(bytes, 1, size_bytes, writer->file) != size_bytes)
        keep_failure(
            writer, ash_fail(ASH_ERR_IO, "cannot write %s: %s", writer->part, strerror(errno)));
}

static void put_padding(struct ash_gguf_writer *writer, uint64_t size_bytes)
{
    static const uint8_t zeros[ALIGNMENT];
    put(writer, zeros, padding(size_bytes));
}

/* Before the first byte of many: a disk that is too small is said at once. */
static void check_room(struct ash_gguf_writer *writer)
{
    struct statvfs disk;
    uint64_t needed = writer->values.count + writer->tensors.count + writer->data_bytes;
    if (writer->status != ASH_OK || fstatvfs(fileno(writer->file), &disk) != 0)
        return;
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (needed > room)
        keep_failure(writer,
            ash_fail(ASH_ERR_IO,
                "%s needs %llu MiB, and its disk has %llu MiB left; free some or write elsewhere",
                writer->path, (unsigned long long)(needed >> 20),
                (unsigned long long)(room >> 20)));
}

static void put_header(struct ash_gguf_writer *writer)
{
    check_room(writer);
    const uint32_t version = VERSION;
    const uint64_t counts[2] = { writer->tensor_count, writer->value_count };
    put(writer, "GGUF", 4);
    put(writer, &version, sizeof version);
    put(writer, counts, sizeof counts);
    put(writer, writer->values.data, writer->values.count);
    put(writer, writer->tensors.data, writer->tensors.count);
    put_padding(
        writer, 4 + sizeof version + sizeof counts + writer->values.count + writer->tensors.count);
    writer->header_written = true;
}

void ash_gguf_write_data(struct ash_gguf_writer *writer, const void *bytes, size_t size_bytes)
{
    if (!writer->header_written)
        put_header(writer);
    uint64_t room = writer->current < writer->tensor_count
                        ? writer->size_bytes[writer->current] - writer->current_bytes
                        : 0;
    if (size_bytes > room)
        keep_failure(writer, ash_fail(ASH_ERR_ARGUMENT,
                                 "more data than tensor %zu was described with", writer->current));
    if (writer->status != ASH_OK || size_bytes == 0)
        return;
    put(writer, bytes, size_bytes);
    writer->current_bytes += size_bytes;
    if (size_bytes == room) {
        put_padding(writer, writer->size_bytes[writer->current++]);
        writer->current_bytes = 0;
    }
}

enum ash_status ash_gguf_writer_status(const struct ash_gguf_writer *writer)
{
    if (writer->status == ASH_OK)
        return ASH_OK;
    return ash_fail(
        writer->status, "%s", writer->message ? writer->message : ash_status_name(writer->status));
}

enum ash_status ash_gguf_writer_finish(struct ash_gguf_writer *writer)
{
    if (!writer->header_written)
        put_header(writer);
    if (writer->current != writer->tensor_count)
        keep_failure(writer, ash_fail(ASH_ERR_ARGUMENT, "tensor %zu of %zu lacks data",
                                 writer->current, writer->tensor_count));
    if (writer->status == ASH_OK &&
        (fflush(writer->file) != 0 || fsync(fileno(writer->file)) != 0 ||
            rename(writer->part, writer->path) != 0))
        keep_failure(
            writer, ash_fail(ASH_ERR_IO, "cannot write %s: %s", writer->path, strerror(errno)));
    writer->finished = writer->status == ASH_OK;
    return ash_gguf_writer_status(writer);
}

uint64_t ash_gguf_writer_data_bytes(const struct ash_gguf_writer *writer)
{
    return writer->data_bytes;
}

enum ash_status ash_gguf_writer_create(const char *path, struct ash_gguf_writer **out)
{
    struct ash_gguf_writer *writer = ash_alloc_zero(sizeof *writer);
    if (!writer || !(writer->path = ash_strdup(path)) ||
        !(writer->part = ash_format("%s.part", path))) {
        ash_gguf_writer_destroy(writer);
        return ash_fail_memory(sizeof *writer, "a writer of model files");
    }
    writer->file = fopen(writer->part, "wbe");
    if (!writer->file) {
        enum ash_status status =
            ash_fail(ASH_ERR_IO, "cannot create %s: %s", writer->part, strerror(errno));
        ash_gguf_writer_destroy(writer);
        return status;
    }
    *out = writer;
    return ASH_OK;
}

void ash_gguf_writer_destroy(struct ash_gguf_writer *writer)
{
    if (!writer)
        return;
    if (writer->file) {
        fclose(writer->file);
        if (!writer->finished)
            unlink(writer->part);
    }
    ash_free(writer->values.data);
    ash_free(writer->tensors.data);
    ash_free(writer->size_bytes);
    ash_free(writer->message);
    ash_free(writer->part);
    ash_free(writer->path);
    ash_free(writer);
}
