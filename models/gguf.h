/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"
#include "runtime/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A model file in the GGUF format, versions 2 and 3 (github.com/ggml-org/ggml, docs/gguf.md), mapped
 * into memory and checked whole when it is opened: afterwards no length, offset or type in it can lead
 * outside the file. Nothing large is copied; strings, arrays and tensors are views of the mapping and
 * live until ash_gguf_close().
 *
 * Refused beyond what the format says: names that are not UTF-8 or carry control characters, names
 * given twice, tensors that overlap, arrays of arrays, files of several parts, big-endian files.
 *
 * Threads: one opens and closes, any read. If another program shortens the file while it is mapped, a
 * read behind its new end raises SIGBUS, as with any mapping; ash_gguf_check_unchanged() narrows that
 * window, and `ashlar pull` only ever replaces a model by renaming, which leaves the mapping intact.
 */
struct ash_gguf;

/*
 * The caller owns *out and ends it with ash_gguf_close().
 *
 * ASH_ERR_NOT_FOUND, ASH_ERR_IO  there is no such file, or it cannot be read
 * ASH_ERR_FORMAT       not GGUF, truncated, or breaking its rules; the message says where
 * ASH_ERR_UNSUPPORTED  another version or byte order, several parts, or an unknown tensor type
 * ASH_ERR_NO_MEMORY
 * On failure *out is untouched.
 */
enum ash_status ash_gguf_open(const char *path, struct ash_gguf **out);

/* The same over bytes in memory, aligned to 8, borrowed until the close. `name` is for messages. */
enum ash_status ash_gguf_open_memory(
    const char *name, const void *bytes, size_t size_bytes, struct ash_gguf **out);

/* Takes NULL. */
void ash_gguf_close(struct ash_gguf *gguf);

/* ASH_ERR_IO when the file's size or time of change is not what it was when it was opened. */
enum ash_status ash_gguf_check_unchanged(const struct ash_gguf *gguf);

const char *ash_gguf_path(const struct ash_gguf *gguf);
uint32_t ash_gguf_version(const struct ash_gguf *gguf);
uint64_t ash_gguf_file_bytes(const struct ash_gguf *gguf);

/* ---- Metadata ---- */

/* As numbered in the file. */
enum ash_gguf_type {
    ASH_GGUF_U8,
    ASH_GGUF_I8,
    ASH_GGUF_U16,
    ASH_GGUF_I16,
    ASH_GGUF_U32,
    ASH_GGUF_I32,
    ASH_GGUF_F32,
    ASH_GGUF_BOOL, /* one byte, 0 or 1 (checked) */
    ASH_GGUF_STRING,
    ASH_GGUF_ARRAY,
    ASH_GGUF_U64,
    ASH_GGUF_I64,
    ASH_GGUF_F64,
    ASH_GGUF_TYPE_COUNT
};

/* "u32", "string" ... */
const char *ash_gguf_type_name(enum ash_gguf_type type);

/* What the reader makes of a type: integers of any width count as one kind. */
enum ash_gguf_kind { ASH_GGUF_INTEGERS, ASH_GGUF_REALS, ASH_GGUF_BOOLS, ASH_GGUF_STRINGS };

/* `length` bytes in the mapping; no 0 follows them. */
struct ash_gguf_string {
    const char *text;
    size_t length;
};

/* One key and its value: a scalar is an array of one. */
struct ash_gguf_value {
    struct ash_gguf_string key; /* valid UTF-8 without control characters, never empty */
    enum ash_gguf_type type;    /* of the items; never ASH_GGUF_ARRAY */
    bool is_array;
    uint64_t count;
    const uint8_t *data; /* packed, little-endian, at any address; strings with their lengths */
};

size_t ash_gguf_value_count(const struct ash_gguf *gguf);
const struct ash_gguf_value *ash_gguf_value_at(const struct ash_gguf *gguf, size_t index);

/*
 * In all that follow, a key that begins with '.' belongs to the model's architecture: ".block_count"
 * stands for "llama.block_count" where general.architecture is llama.
 */
bool ash_gguf_has(const struct ash_gguf *gguf, const char *key);

/*
 * One number, from any integer type (reals: F32 or F64, finite) and within [least, most].
 * Without "_or" the key must be there; with it a missing key gives `fallback`, which is not checked.
 *
 * ASH_ERR_NOT_FOUND  the key is missing
 * ASH_ERR_FORMAT     it has another type, or a value outside the range
 * On failure *out is untouched. Messages name the file and the key.
 */
enum ash_status ash_gguf_get_u32(
    const struct ash_gguf *gguf, const char *key, uint32_t least, uint32_t most, uint32_t *out);
enum ash_status ash_gguf_get_u32_or(const struct ash_gguf *gguf, const char *key, uint32_t fallback,
    uint32_t least, uint32_t most, uint32_t *out);
enum ash_status ash_gguf_get_f32(
    const struct ash_gguf *gguf, const char *key, float least, float most, float *out);
enum ash_status ash_gguf_get_f32_or(const struct ash_gguf *gguf, const char *key, float fallback,
    float least, float most, float *out);
enum ash_status ash_gguf_get_bool(const struct ash_gguf *gguf, const char *key, bool *out);
enum ash_status ash_gguf_get_bool_or(
    const struct ash_gguf *gguf, const char *key, bool fallback, bool *out);

/* A string that is valid UTF-8 (ASH_ERR_FORMAT otherwise); it may hold zero bytes. */
enum ash_status ash_gguf_get_string(
    const struct ash_gguf *gguf, const char *key, struct ash_gguf_string *out);
enum ash_status ash_gguf_get_string_or(const struct ash_gguf *gguf, const char *key,
    const char *fallback, struct ash_gguf_string *out);

/* An array of this kind; *out is a view. Errors as above. Strings in arrays are any bytes. */
enum ash_status ash_gguf_get_array(const struct ash_gguf *gguf, const char *key,
    enum ash_gguf_kind kind, struct ash_gguf_value *out);

/*
 * Item `index` < count of a value of the matching kind, in O(1). Integers above INT64_MAX come out as
 * INT64_MAX.
 */
int64_t ash_gguf_integer(const struct ash_gguf_value *value, uint64_t index);
double ash_gguf_real(const struct ash_gguf_value *value, uint64_t index);
bool ash_gguf_bool(const struct ash_gguf_value *value, uint64_t index);

/*
 * Strings have no fixed size, so they are walked in order; whoever wants string i keeps the views:
 *     struct ash_gguf_strings strings = ash_gguf_strings(&tokens);
 *     for (struct ash_gguf_string s; ash_gguf_strings_next(&strings, &s);)
 */
struct ash_gguf_strings {
    const uint8_t *next;
    uint64_t left;
};
struct ash_gguf_strings ash_gguf_strings(const struct ash_gguf_value *value);
bool ash_gguf_strings_next(struct ash_gguf_strings *strings, struct ash_gguf_string *out);

/* Whether the view says exactly `text`. */
bool ash_gguf_string_is(struct ash_gguf_string string, const char *text);

/* ---- Tensors ---- */

/* One tensor as the file describes it, in types this build computes with or not. */
struct ash_gguf_tensor {
    struct ash_gguf_string name; /* valid UTF-8 without control characters, 1 to 127 bytes */
    const char *type_name;       /* "Q4_K" */
    bool supported;              /* whether ash_gguf_find_tensor() would give it */
    enum ash_type type;          /* where supported */
    int rank;                    /* 1..4 */
    int64_t dim[ASH_MAX_RANK];   /* outermost first, each at least 1; unused ones are 1 */
    uint64_t elements;
    uint64_t size_bytes;
    const uint8_t *data; /* inside the mapping, aligned to 8 */
};

/* In the file's order. */
size_t ash_gguf_tensor_count(const struct ash_gguf *gguf);
const struct ash_gguf_tensor *ash_gguf_tensor_at(const struct ash_gguf *gguf, size_t index);

/* The sum of all tensors' size_bytes. */
uint64_t ash_gguf_tensor_bytes(const struct ash_gguf *gguf);

bool ash_gguf_has_tensor(const struct ash_gguf *gguf, const char *name);

/*
 * Fills *out with the tensor's type and shape and its data in the mapping, which is read-only.
 *
 * ASH_ERR_NOT_FOUND    the file has no tensor of this name
 * ASH_ERR_UNSUPPORTED  its type is not one of enum ash_type; the message names both
 */
enum ash_status ash_gguf_find_tensor(
    const struct ash_gguf *gguf, const char *name, struct ash_tensor *out);

/*
 * Tells the kernel that the tensor's pages are not needed for now, after a kernel's pack() has copied
 * them, so that weights do not count twice in RSS. Reading them again stays correct. A tensor that was
 * made by an architecture instead of read is left alone.
 */
void ash_gguf_release(const struct ash_gguf *gguf, const struct ash_tensor *tensor);

/* The same for the whole file, once a model is loaded. */
void ash_gguf_release_all(const struct ash_gguf *gguf);
