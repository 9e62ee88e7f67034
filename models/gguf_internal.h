/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/gguf.h"

#include <time.h>

/* gguf.c opens and finds, gguf_parse.c checks, gguf_value.c reads values out. */
struct ash_gguf {
    char *path;
    const uint8_t *bytes;
    uint64_t size_bytes;
    int fd;                  /* -1: over memory of the caller's */
    struct timespec changed; /* the file's mtime when opened */
    uint32_t version;

    size_t value_count;
    struct ash_gguf_value *value;         /* in the file's order */
    struct ash_gguf_value **sorted_value; /* by key */

    size_t tensor_count;
    struct ash_gguf_tensor *tensor;         /* in the file's order */
    struct ash_gguf_tensor **sorted_tensor; /* by name */
    uint64_t tensor_bytes;
};

/*
 * Checks the whole file and fills everything from `version` down. On failure what was allocated stays
 * for ash_gguf_close().
 */
enum ash_status ash_gguf_parse(struct ash_gguf *gguf);

/*
 * ggml's element types, by the number files carry. Those without an ash_type are known by their size:
 * enough to check a file and to say what is in it.
 */
struct ash_ggml_type {
    const char *name;
    uint16_t block_elements, block_bytes;
    bool supported;
    enum ash_type type; /* where supported */
};

/* NULL for a number that was never given or was withdrawn. */
const struct ash_ggml_type *ash_ggml_type(uint32_t number);

/* The other way; false for types that files do not hold. */
bool ash_ggml_type_number(enum ash_type type, uint32_t *out);

/* Bytewise, a prefix first: the order of the sorted lists. */
int ash_gguf_string_compare(struct ash_gguf_string a, struct ash_gguf_string b);

bool ash_gguf_string_is_utf8(struct ash_gguf_string string);

/* Bytes of one item; 0 for strings and arrays. */
size_t ash_gguf_type_bytes(enum ash_gguf_type type);

/* NULL when the file has no such key. */
const struct ash_gguf_value *ash_gguf_find_value(const struct ash_gguf *gguf, const char *key);
