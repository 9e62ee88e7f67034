/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to checked views. One cursor walks the file once; every length is compared with what is
 * left before it is used, and every product and sum is checked, so that nothing behind this file has
 * to trust a number in it. Allocations are bounded by the file's own size.
 */
#include "models/gguf_internal.h"

#include "runtime/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "GGUF files are little-endian; a big-endian host needs byte swaps here"
#endif

enum {
    DEFAULT_ALIGNMENT = 32, /* the format's, where general.alignment does not say */
    LEAST_ALIGNMENT = 8,    /* the format's rule, and what every element type is content with */
    MAX_KEY_BYTES = 65535,  /* the format's */
    MAX_NAME_BYTES = 127,   /* the format says 64, some converters write more */
    LEAST_VALUE_BYTES = 8 + 1 + 4 + 1,
    LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8,
};

struct cursor {
    const uint8_t *next;
    uint64_t left;
};

static enum ash_status truncated(const struct cursor *at, uint64_t wanted, const char *what)
{
    return ash_fail(ASH_ERR_FORMAT,
        "%s needs %" PRIu64 " bytes where the file has %" PRIu64
        " left; it is truncated or corrupt",
        what, wanted, at->left);
}

static enum ash_status take(
    struct cursor *at, uint64_t size_bytes, const char *what, const uint8_t **out)
{
    if (size_bytes > at->left)
        return truncated(at, size_bytes, what);
    *out = at->next;
    at->next += size_bytes;
    at->left -= size_bytes;
    return ASH_OK;
}

static enum ash_status take_u32(struct cursor *at, const char *what, uint32_t *out)
{
    const uint8_t *bytes = NULL;
    ASH_TRY(take(at, sizeof *out, what, &bytes));
    memcpy(out, bytes, sizeof *out);
    return ASH_OK;
}

static enum ash_status take_u64(struct cursor *at, const char *what, uint64_t *out)
{
    const uint8_t *bytes = NULL;
    ASH_TRY(take(at, sizeof *out, what, &bytes));
    memcpy(out, bytes, sizeof *out);
    return ASH_OK;
}

static enum ash_status take_string(struct cursor *at, const char *what, struct ash_gguf_string *out)
{
    uint64_t length = 0;
    const uint8_t *text = NULL;
    ASH_TRY(take_u64(at, what, &length));
    ASH_TRY(take(at, length, what, &text));
    *out = (struct ash_gguf_string){ (const char *)text, (size_t)length };
    return ASH_OK;
}

/* A string that will be printed and compared: not empty, not long, and nothing that moves a cursor. */
static enum ash_status take_name(
    struct cursor *at, const char *what, size_t max_bytes, struct ash_gguf_string *out)
{
    ASH_TRY(take_string(at, what, out));
    if (out->length == 0 || out->length > max_bytes)
        return ash_fail(ASH_ERR_FORMAT, "%s is %zu bytes long; expected 1 to %zu", what,
            out->length, max_bytes);
    bool printable = ash_gguf_string_is_utf8(*out);
    for (size_t i = 0; i < out->length; i++)
        printable = printable && (uint8_t)out->text[i] >= ' ' && out->text[i] != 0x7F;
    if (!printable)
        return ash_fail(ASH_ERR_FORMAT, "%s is not printable UTF-8", what);
    return ASH_OK;
}

static enum ash_status check_bools(const struct ash_gguf_value *value)
{
    for (uint64_t i = 0; i < value->count; i++)
        if (value->data[i] > 1)
            return ash_fail(ASH_ERR_FORMAT, "a bool is %d; expected 0 or 1", (int)value->data[i]);
    return ASH_OK;
}

static enum ash_status skip_strings(struct cursor *at, uint64_t count)
{
    struct ash_gguf_string string;
    for (uint64_t i = 0; i < count; i++)
        ASH_TRY(take_string(at, "a string in an array", &string));
    return ASH_OK;
}

static enum ash_status parse_items(struct cursor *at, struct ash_gguf_value *value)
{
    uint64_t size_bytes;
    value->data = at->next;
    if (value->type == ASH_GGUF_STRING)
        return skip_strings(at, value->count);
    if (__builtin_mul_overflow(value->count, ash_gguf_type_bytes(value->type), &size_bytes))
        return ash_fail(
            ASH_ERR_FORMAT, "an array of %" PRIu64 " items is larger than any file", value->count);
    ASH_TRY(take(at, size_bytes, "its value", &value->data));
    return value->type == ASH_GGUF_BOOL ? check_bools(value) : ASH_OK;
}

static enum ash_status take_type(struct cursor *at, enum ash_gguf_type *out)
{
    uint32_t type;
    ASH_TRY(take_u32(at, "the type of a value", &type));
    if (type >= ASH_GGUF_TYPE_COUNT)
        return ash_fail(ASH_ERR_FORMAT, "value type %" PRIu32 " does not exist", type);
    *out = (enum ash_gguf_type)type;
    return ASH_OK;
}

static enum ash_status parse_typed(struct cursor *at, struct ash_gguf_value *value)
{
    value->count = 1;
    ASH_TRY(take_type(at, &value->type));
    value->is_array = value->type == ASH_GGUF_ARRAY;
    if (value->is_array) {
        ASH_TRY(take_type(at, &value->type));
        ASH_TRY(take_u64(at, "the length of an array", &value->count));
        if (value->type == ASH_GGUF_ARRAY)
            return ash_fail(ASH_ERR_UNSUPPORTED, "arrays of arrays are not supported");
    }
    return parse_items(at, value);
}

static int compare_keys(const void *a, const void *b)
{
    const struct ash_gguf_value *const *left = a, *const *right = b;
    return ash_gguf_string_compare((*left)->key, (*right)->key);
}

static enum ash_status sort_values(struct ash_gguf *gguf)
{
    for (size_t i = 0; i < gguf->value_count; i++)
        gguf->sorted_value[i] = &gguf->value[i];
    qsort(gguf->sorted_value, gguf->value_count, sizeof gguf->sorted_value[0], compare_keys);
    for (size_t i = 1; i < gguf->value_count; i++) {
        struct ash_gguf_string key = gguf->sorted_value[i]->key;
        if (ash_gguf_string_compare(gguf->sorted_value[i - 1]->key, key) == 0)
            return ash_fail(
                ASH_ERR_FORMAT, "the key \"%.*s\" is given twice", (int)key.length, key.text);
    }
    return ASH_OK;
}

static enum ash_status parse_values(struct cursor *at, uint64_t count, struct ash_gguf *gguf)
{
    if (count > at->left / LEAST_VALUE_BYTES)
        return ash_fail(ASH_ERR_FORMAT,
            "the header promises %" PRIu64 " keys where the file has %" PRIu64
            " bytes left; it is truncated or corrupt",
            count, at->left);
    gguf->value = ash_alloc_array(count, sizeof gguf->value[0]);
    gguf->sorted_value = ash_alloc_array(count, sizeof gguf->sorted_value[0]);
    if (!gguf->value || !gguf->sorted_value)
        return ash_fail_memory(count * sizeof gguf->value[0], "the model's metadata");
    for (; gguf->value_count < count; gguf->value_count++) {
        struct ash_gguf_value *value = &gguf->value[gguf->value_count];
        enum ash_status status = take_name(at, "the name of a key", MAX_KEY_BYTES, &value->key);
        if (status != ASH_OK)
            return ash_fail_in(status, "key %zu of %" PRIu64, gguf->value_count, count);
        status = parse_typed(at, value);
        if (status != ASH_OK)
            return ash_fail_in(status, "key \"%.*s\"", (int)value->key.length, value->key.text);
    }
    return sort_values(gguf);
}

static enum ash_status parse_shape(struct cursor *at, struct ash_gguf_tensor *tensor)
{
    uint32_t rank;
    ASH_TRY(take_u32(at, "the number of dimensions", &rank));
    if (rank < 1 || rank > ASH_MAX_RANK)
        return ash_fail(
            ASH_ERR_FORMAT, "it has %" PRIu32 " dimensions; expected 1 to %d", rank, ASH_MAX_RANK);
    tensor->rank = (int)rank;
    tensor->elements = 1;
    for (int i = 0; i < ASH_MAX_RANK; i++)
        tensor->dim[i] = 1;
    for (int i = tensor->rank - 1; i >= 0; i--) { /* the file has the innermost first */
        uint64_t dim;
        ASH_TRY(take_u64(at, "a dimension", &dim));
        if (dim == 0 || __builtin_mul_overflow(tensor->elements, dim, &tensor->elements) ||
            tensor->elements > INT64_MAX)
            return ash_fail(ASH_ERR_FORMAT,
                "a dimension is %" PRIu64 "; each must be at least 1 and their product below 2^63",
                dim);
        tensor->dim[i] = (int64_t)dim;
    }
    return ASH_OK;
}

static enum ash_status parse_tensor_type(struct cursor *at, struct ash_gguf_tensor *tensor)
{
    uint32_t number = 0;
    ASH_TRY(take_u32(at, "the type of a tensor", &number));
    const struct ash_ggml_type *type = ash_ggml_type(number);
    if (!type)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "its type is number %" PRIu32 ", which this version does not know", number);
    tensor->type_name = type->name;
    tensor->supported = type->supported;
    tensor->type = type->type;
    int64_t columns = tensor->dim[tensor->rank - 1], block = type->block_elements;
    if (columns % block != 0)
        return ash_fail(ASH_ERR_FORMAT,
            "%s packs %" PRId64 " elements to a block; rows of %" PRId64 " do not divide",
            tensor->type_name, block, columns);
    if (__builtin_mul_overflow(
            tensor->elements / (uint64_t)block, (uint64_t)type->block_bytes, &tensor->size_bytes))
        return ash_fail(ASH_ERR_FORMAT, "%" PRIu64 " elements of %s are larger than any file",
            tensor->elements, tensor->type_name);
    return ASH_OK;
}

/* Leaves the offset in `*offset`: where the data begins is known only after the last description. */
static enum ash_status parse_tensor(
    struct cursor *at, struct ash_gguf_tensor *tensor, uint64_t *offset)
{
    ASH_TRY(parse_shape(at, tensor));
    ASH_TRY(parse_tensor_type(at, tensor));
    return take_u64(at, "the offset of a tensor", offset);
}

static enum ash_status parse_alignment(const struct ash_gguf *gguf, uint64_t *out)
{
    uint32_t alignment;
    ASH_TRY(ash_gguf_get_u32_or(
        gguf, "general.alignment", DEFAULT_ALIGNMENT, LEAST_ALIGNMENT, UINT32_MAX, &alignment));
    if ((alignment & (alignment - 1)) != 0)
        return ash_fail(ASH_ERR_FORMAT,
            "general.alignment is %" PRIu32 "; expected a power of two from 8", alignment);
    *out = alignment;
    return ASH_OK;
}

/* `offset` counts from the start of the data, which follows the descriptions at `start`. */
static enum ash_status place_tensor(struct ash_gguf *gguf, uint64_t start, uint64_t alignment,
    uint64_t offset, struct ash_gguf_tensor *tensor)
{
    if (offset % alignment != 0)
        return ash_fail(ASH_ERR_FORMAT,
            "its offset %" PRIu64 " is no multiple of the alignment, %" PRIu64, offset, alignment);
    uint64_t room = start < gguf->size_bytes ? gguf->size_bytes - start : 0;
    if (offset > room || tensor->size_bytes > room - offset)
        return ash_fail(ASH_ERR_FORMAT,
            "it lies at %" PRIu64 " + %" PRIu64 " of %" PRIu64
            " data bytes; the file is truncated or corrupt",
            offset, tensor->size_bytes, room);
    tensor->data = gguf->bytes + start + offset;
    gguf->tensor_bytes +=
        tensor->size_bytes; /* cannot overflow once they are known not to overlap */
    return ASH_OK;
}

static int compare_addresses(const void *a, const void *b)
{
    const struct ash_gguf_tensor *const *left = a, *const *right = b;
    return ((*left)->data > (*right)->data) - ((*left)->data < (*right)->data);
}

static int compare_names(const void *a, const void *b)
{
    const struct ash_gguf_tensor *const *left = a, *const *right = b;
    return ash_gguf_string_compare((*left)->name, (*right)->name);
}

/* Overlaps and repeated names both show between neighbours of a sorted list. */
static enum ash_status sort_tensors(struct ash_gguf *gguf)
{
    struct ash_gguf_tensor **sorted = gguf->sorted_tensor;
    size_t count = gguf->tensor_count;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &gguf->tensor[i];
    qsort(sorted, count, sizeof sorted[0], compare_addresses);
    for (size_t i = 1; i < count; i++)
        if (sorted[i - 1]->data + sorted[i - 1]->size_bytes > sorted[i]->data)
            return ash_fail(ASH_ERR_FORMAT, "the tensors \"%.*s\" and \"%.*s\" overlap",
                (int)sorted[i - 1]->name.length, sorted[i - 1]->name.text,
                (int)sorted[i]->name.length, sorted[i]->name.text);
    qsort(sorted, count, sizeof sorted[0], compare_names);
    for (size_t i = 1; i < count; i++)
        if (ash_gguf_string_compare(sorted[i - 1]->name, sorted[i]->name) == 0)
            return ash_fail(ASH_ERR_FORMAT, "the tensor \"%.*s\" is given twice",
                (int)sorted[i]->name.length, sorted[i]->name.text);
    return ASH_OK;
}

static enum ash_status describe_tensors(
    struct cursor *at, uint64_t count, struct ash_gguf *gguf, uint64_t *offset)
{
    for (; gguf->tensor_count < count; gguf->tensor_count++) {
        struct ash_gguf_tensor *tensor = &gguf->tensor[gguf->tensor_count];
        enum ash_status status = take_name(at, "its name", MAX_NAME_BYTES, &tensor->name);
        if (status != ASH_OK)
            return ash_fail_in(status, "tensor %zu of %" PRIu64, gguf->tensor_count, count);
        status = parse_tensor(at, tensor, &offset[gguf->tensor_count]);
        if (status != ASH_OK)
            return ash_fail_in(
                status, "tensor \"%.*s\"", (int)tensor->name.length, tensor->name.text);
    }
    return ASH_OK;
}

static enum ash_status place_tensors(
    struct ash_gguf *gguf, uint64_t described_bytes, const uint64_t *offset)
{
    uint64_t alignment = DEFAULT_ALIGNMENT;
    ASH_TRY(parse_alignment(gguf, &alignment));
    uint64_t start = (described_bytes + alignment - 1) / alignment * alignment;
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        struct ash_gguf_tensor *tensor = &gguf->tensor[i];
        enum ash_status status = place_tensor(gguf, start, alignment, offset[i], tensor);
        if (status != ASH_OK)
            return ash_fail_in(
                status, "tensor \"%.*s\"", (int)tensor->name.length, tensor->name.text);
    }
    return sort_tensors(gguf);
}

static enum ash_status parse_tensors(struct cursor *at, uint64_t count, struct ash_gguf *gguf)
{
    if (count > at->left / LEAST_TENSOR_BYTES)
        return ash_fail(ASH_ERR_FORMAT,
            "the header promises %" PRIu64 " tensors where the file has %" PRIu64
            " bytes left; it is truncated or corrupt",
            count, at->left);
    gguf->tensor = ash_alloc_array(count, sizeof gguf->tensor[0]);
    gguf->sorted_tensor = ash_alloc_array(count, sizeof gguf->sorted_tensor[0]);
    uint64_t *offset = ash_alloc_array(count, sizeof offset[0]);
    enum ash_status status;
    if (!gguf->tensor || !gguf->sorted_tensor || !offset)
        status = ash_fail_memory(count * sizeof gguf->tensor[0], "the list of tensors");
    else
        status = describe_tensors(at, count, gguf, offset);
    if (status == ASH_OK)
        status = place_tensors(gguf, gguf->size_bytes - at->left, offset);
    ash_free(offset);
    return status;
}

/* What people most often have instead of a model, told apart by how it begins. */
static enum ash_status refuse_magic(const struct ash_gguf *gguf)
{
    static const char lfs[] = "version https://git-lfs";
    const char *hint = "";
    if (gguf->size_bytes > sizeof lfs && memcmp(gguf->bytes, lfs, sizeof lfs - 1) == 0)
        hint = "; it is a Git LFS pointer: run `git lfs pull` for the file it stands for";
    else if (gguf->size_bytes > 0 && gguf->bytes[0] == '<')
        hint = "; it looks like a web page: was the download redirected?";
    return ash_fail(
        ASH_ERR_FORMAT, "this is no GGUF model file: it does not begin with GGUF%s", hint);
}

static enum ash_status check_version(uint32_t version)
{
    if (version == 2 || version == 3)
        return ASH_OK;
    if (version != 0 && (version & 0xFFFF) == 0)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "this GGUF file is big-endian; convert it (gguf-convert-endian of the package gguf)");
    return ash_fail(ASH_ERR_UNSUPPORTED,
        "this is GGUF version %" PRIu32 "; versions 2 and 3 are supported", version);
}

/* Parts lack most tensors; better one clear word now than a missing tensor later. */
static enum ash_status check_single(const struct ash_gguf *gguf)
{
    uint32_t parts;
    ASH_TRY(ash_gguf_get_u32_or(gguf, "split.count", 0, 0, UINT32_MAX, &parts));
    if (parts > 1)
        return ash_fail(ASH_ERR_UNSUPPORTED,
            "this is one of %" PRIu32 " parts; join them first (llama-gguf-split --merge)", parts);
    return ASH_OK;
}

enum ash_status ash_gguf_parse(struct ash_gguf *gguf)
{
    struct cursor at = { gguf->bytes, gguf->size_bytes };
    const uint8_t *magic;
    uint64_t tensors, values;
    if (at.left < 4 || memcmp(at.next, "GGUF", 4) != 0)
        return refuse_magic(gguf);
    ASH_TRY(take(&at, 4, "the header", &magic));
    ASH_TRY(take_u32(&at, "the header", &gguf->version));
    ASH_TRY(check_version(gguf->version));
    ASH_TRY(take_u64(&at, "the header", &tensors));
    ASH_TRY(take_u64(&at, "the header", &values));
    ASH_TRY(parse_values(&at, values, gguf));
    ASH_TRY(check_single(gguf));
    return parse_tensors(&at, tensors, gguf);
}
