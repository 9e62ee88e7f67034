/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/gguf.h"
#include "runtime/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Writes a GGUF version 3 file: first all metadata and the descriptions of all tensors, then the
 * tensors' data in the order described, streamed, so that a file may be larger than memory.
 *
 * The first failure is kept and makes every later call do nothing: call straight through and look at
 * what ash_gguf_writer_finish() returns. The file appears under its name only then, whole; until then
 * it is `path`.part. Misuse (metadata after data, data beyond the last tensor, a type that files do not
 * hold) is ASH_ERR_ARGUMENT. Arguments are borrowed for the call. Threads: one per writer.
 */
struct ash_gguf_writer;

/* The caller owns *out and ends it with ash_gguf_writer_destroy(). ASH_ERR_IO, ASH_ERR_NO_MEMORY. */
enum ash_status ash_gguf_writer_create(const char *path, struct ash_gguf_writer **out);

/* Metadata. Keys given twice are the caller's mistake, and found when the file is opened. */
void ash_gguf_write_u32(struct ash_gguf_writer *writer, const char *key, uint32_t value);
void ash_gguf_write_f32(struct ash_gguf_writer *writer, const char *key, float value);
void ash_gguf_write_bool(struct ash_gguf_writer *writer, const char *key, bool value);
void ash_gguf_write_string(struct ash_gguf_writer *writer, const char *key, const char *text);
void ash_gguf_write_strings(
    struct ash_gguf_writer *writer, const char *key, const char *const text[], size_t count);
void ash_gguf_write_i32s(
    struct ash_gguf_writer *writer, const char *key, const int32_t value[], size_t count);
void ash_gguf_write_f32s(
    struct ash_gguf_writer *writer, const char *key, const float value[], size_t count);

/*
 * A value as a reader gave it, under its own key. Behind an array's own items come `more` of the same
 * type, packed as in a file into `more_bytes` (strings with their lengths); 0 and NULL for none.
 */
void ash_gguf_write_value(struct ash_gguf_writer *writer, const struct ash_gguf_value *value,
    size_t more, const void *more_items, size_t more_bytes);

/* Describes the next tensor; `dim` is outermost first. */
void ash_gguf_write_tensor(struct ash_gguf_writer *writer, const char *name, enum ash_type type,
    int rank, const int64_t dim[]);

/* The next bytes of the tensors' data, in pieces of any size within one tensor; padding is added. */
void ash_gguf_write_data(struct ash_gguf_writer *writer, const void *bytes, size_t size_bytes);

/* ASH_OK: the file lies complete and synced under its name. Otherwise the first failure. */
enum ash_status ash_gguf_writer_finish(struct ash_gguf_writer *writer);

/* The first failure so far, ASH_OK for none: what writes for long need not go on after one. */
enum ash_status ash_gguf_writer_status(const struct ash_gguf_writer *writer);

/* Bytes that all tensors described so far take in the file. */
uint64_t ash_gguf_writer_data_bytes(const struct ash_gguf_writer *writer);

/* Removes what was not finished. Takes NULL. */
void ash_gguf_writer_destroy(struct ash_gguf_writer *writer);
