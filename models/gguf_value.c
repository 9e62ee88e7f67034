/* SPDX-License-Identifier: Apache-2.0 */
/* Reads values out of a checked file: the right type, within the right range, or a clear refusal. */
#include "models/gguf_internal.h"
#include "models/utf8.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t size_bytes;
    enum ash_gguf_kind kind;
} types[ASH_GGUF_TYPE_COUNT] = {
    [ASH_GGUF_U8] = { "u8", 1, ASH_GGUF_INTEGERS },
    [ASH_GGUF_I8] = { "i8", 1, ASH_GGUF_INTEGERS },
    [ASH_GGUF_U16] = { "u16", 2, ASH_GGUF_INTEGERS },
    [ASH_GGUF_I16] = { "i16", 2, ASH_GGUF_INTEGERS },
    [ASH_GGUF_U32] = { "u32", 4, ASH_GGUF_INTEGERS },
    [ASH_GGUF_I32] = { "i32", 4, ASH_GGUF_INTEGERS },
    [ASH_GGUF_F32] = { "f32", 4, ASH_GGUF_REALS },
    [ASH_GGUF_BOOL] = { "bool", 1, ASH_GGUF_BOOLS },
    [ASH_GGUF_STRING] = { "string", 0, ASH_GGUF_STRINGS },
    [ASH_GGUF_ARRAY] = { "array", 0, ASH_GGUF_STRINGS },
    [ASH_GGUF_U64] = { "u64", 8, ASH_GGUF_INTEGERS },
    [ASH_GGUF_I64] = { "i64", 8, ASH_GGUF_INTEGERS },
    [ASH_GGUF_F64] = { "f64", 8, ASH_GGUF_REALS },
};

static const char *const kind_names[] = {
    [ASH_GGUF_INTEGERS] = "an integer",
    [ASH_GGUF_REALS] = "a floating-point number",
    [ASH_GGUF_BOOLS] = "a bool",
    [ASH_GGUF_STRINGS] = "a string",
};

const char *ash_gguf_type_name(enum ash_gguf_type type)
{
    return (unsigned)type < ASH_GGUF_TYPE_COUNT ? types[type].name : "unknown";
}

size_t ash_gguf_type_bytes(enum ash_gguf_type type)
{
    return types[type].size_bytes;
}

int ash_gguf_string_compare(struct ash_gguf_string a, struct ash_gguf_string b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.text, b.text, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

bool ash_gguf_string_is(struct ash_gguf_string string, const char *text)
{
    return ash_gguf_string_compare(string, (struct ash_gguf_string){ text, strlen(text) }) == 0;
}

bool ash_gguf_string_is_utf8(struct ash_gguf_string string)
{
    uint32_t point;
    for (size_t at = 0, used; at < string.length; at += used)
        if (ash_utf8_next(string.text + at, string.length - at, &point, &used) != ASH_UTF8_VALID)
            return false;
    return true;
}

static const struct ash_gguf_value *find(const struct ash_gguf *gguf, struct ash_gguf_string key)
{
    size_t low = 0, high = gguf->value_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = ash_gguf_string_compare(gguf->sorted_value[middle]->key, key);
        if (order == 0)
            return gguf->sorted_value[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct ash_gguf_strings ash_gguf_strings(const struct ash_gguf_value *value)
{
    assert(value->type == ASH_GGUF_STRING);
    return (struct ash_gguf_strings){ value->data, value->count };
}

bool ash_gguf_strings_next(struct ash_gguf_strings *strings, struct ash_gguf_string *out)
{
    if (strings->left == 0)
        return false;
    uint64_t length;
    memcpy(&length, strings->next, sizeof length);
    *out = (struct ash_gguf_string){ (const char *)strings->next + sizeof length, (size_t)length };
    strings->next += sizeof length + length;
    strings->left--;
    return true;
}

static struct ash_gguf_string only_string(const struct ash_gguf_value *value)
{
    struct ash_gguf_strings strings = ash_gguf_strings(value);
    struct ash_gguf_string string = { "", 0 };
    ash_gguf_strings_next(&strings, &string);
    return string;
}

/* The full name of a key: ".block_count" becomes "llama.block_count". False when that is too long. */
static bool spell_key(const struct ash_gguf *gguf, const char *key, char *text, size_t capacity)
{
    struct ash_gguf_string architecture = { "", 0 };
    const struct ash_gguf_value *value =
        find(gguf, (struct ash_gguf_string){ "general.architecture", 20 });
    if (key[0] == '.' && value && value->type == ASH_GGUF_STRING && !value->is_array)
        architecture = only_string(value);
    if (architecture.length >= capacity)
        return false;
    int length =
        snprintf(text, capacity, "%.*s%s", (int)architecture.length, architecture.text, key);
    return length >= 0 && (size_t)length < capacity;
}

const struct ash_gguf_value *ash_gguf_find_value(const struct ash_gguf *gguf, const char *key)
{
    char full[256];
    if (!spell_key(gguf, key, full, sizeof full))
        return NULL;
    return find(gguf, (struct ash_gguf_string){ full, strlen(full) });
}

bool ash_gguf_has(const struct ash_gguf *gguf, const char *key)
{
    return ash_gguf_find_value(gguf, key) != NULL;
}

/* "the key llama.block_count" before the message, and the file before that once it is open. */
static enum ash_status at_key(enum ash_status status, const struct ash_gguf *gguf, const char *key)
{
    char full[256];
    if (!spell_key(gguf, key, full, sizeof full))
        snprintf(full, sizeof full, "%s", key);
    status = ash_fail_in(status, "key \"%s\"", full);
    return gguf->path ? ash_fail_in(status, "%s", gguf->path) : status;
}

/* The value of this kind, one or many. */
static enum ash_status find_kind(const struct ash_gguf *gguf, const char *key, bool is_array,
    enum ash_gguf_kind kind, const struct ash_gguf_value **out)
{
    const struct ash_gguf_value *value = ash_gguf_find_value(gguf, key);
    if (!value)
        return at_key(ash_fail(ASH_ERR_NOT_FOUND, "the model file does not have it"), gguf, key);
    if (value->is_array != is_array || types[value->type].kind != kind)
        return at_key(
            ash_fail(ASH_ERR_FORMAT, "expected %s%s, found %s%s", kind_names[kind],
                is_array ? " array" : "", types[value->type].name, value->is_array ? " array" : ""),
            gguf, key);
    *out = value;
    return ASH_OK;
}

int64_t ash_gguf_integer(const struct ash_gguf_value *value, uint64_t index)
{
    assert(types[value->type].kind == ASH_GGUF_INTEGERS && index < value->count);
    const size_t size_bytes = types[value->type].size_bytes;
    uint64_t bits = 0;
    memcpy(&bits, value->data + index * size_bytes, size_bytes);
    switch (value->type) {
    case ASH_GGUF_I8:
        return (int8_t)bits;
    case ASH_GGUF_I16:
        return (int16_t)bits;
    case ASH_GGUF_I32:
        return (int32_t)bits;
    case ASH_GGUF_U64:
        return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    default:
        return (int64_t)bits;
    }
}

double ash_gguf_real(const struct ash_gguf_value *value, uint64_t index)
{
    assert(types[value->type].kind == ASH_GGUF_REALS && index < value->count);
    float narrow;
    double wide;
    if (value->type == ASH_GGUF_F64) {
        memcpy(&wide, value->data + index * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, value->data + index * sizeof narrow, sizeof narrow);
    return (double)narrow;
}

bool ash_gguf_bool(const struct ash_gguf_value *value, uint64_t index)
{
    assert(value->type == ASH_GGUF_BOOL && index < value->count);
    return value->data[index] != 0;
}

enum ash_status ash_gguf_get_u32(
    const struct ash_gguf *gguf, const char *key, uint32_t least, uint32_t most, uint32_t *out)
{
    const struct ash_gguf_value *value = NULL;
    ASH_TRY(find_kind(gguf, key, false, ASH_GGUF_INTEGERS, &value));
    int64_t number = ash_gguf_integer(value, 0);
    if (number < least || number > most)
        return at_key(
            ash_fail(ASH_ERR_FORMAT, "expected %" PRIu32 " to %" PRIu32 ", found %" PRId64, least,
                most, number),
            gguf, key);
    *out = (uint32_t)number;
    return ASH_OK;
}

enum ash_status ash_gguf_get_u32_or(const struct ash_gguf *gguf, const char *key, uint32_t fallback,
    uint32_t least, uint32_t most, uint32_t *out)
{
    if (ash_gguf_has(gguf, key))
        return ash_gguf_get_u32(gguf, key, least, most, out);
    *out = fallback;
    return ASH_OK;
}

enum ash_status ash_gguf_get_f32(
    const struct ash_gguf *gguf, const char *key, float least, float most, float *out)
{
    const struct ash_gguf_value *value = NULL;
    ASH_TRY(find_kind(gguf, key, false, ASH_GGUF_REALS, &value));
    double number = ash_gguf_real(value, 0);
    if (!isfinite(number) || number < (double)least || number > (double)most)
        return at_key(ash_fail(ASH_ERR_FORMAT, "expected %g to %g, found %g", (double)least,
                          (double)most, number),
            gguf, key);
    *out = (float)number;
    return ASH_OK;
}

enum ash_status ash_gguf_get_f32_or(const struct ash_gguf *gguf, const char *key, float fallback,
    float least, float most, float *out)
{
    if (ash_gguf_has(gguf, key))
        return ash_gguf_get_f32(gguf, key, least, most, out);
    *out = fallback;
    return ASH_OK;
}

enum ash_status ash_gguf_get_bool(const struct ash_gguf *gguf, const char *key, bool *out)
{
    const struct ash_gguf_value *value = NULL;
    ASH_TRY(find_kind(gguf, key, false, ASH_GGUF_BOOLS, &value));
    *out = ash_gguf_bool(value, 0);
    return ASH_OK;
}

enum ash_status ash_gguf_get_bool_or(
    const struct ash_gguf *gguf, const char *key, bool fallback, bool *out)
{
    if (ash_gguf_has(gguf, key))
        return ash_gguf_get_bool(gguf, key, out);
    *out = fallback;
    return ASH_OK;
}

enum ash_status ash_gguf_get_string(
    const struct ash_gguf *gguf, const char *key, struct ash_gguf_string *out)
{
    const struct ash_gguf_value *value = NULL;
    ASH_TRY(find_kind(gguf, key, false, ASH_GGUF_STRINGS, &value));
    struct ash_gguf_string string = only_string(value);
    if (!ash_gguf_string_is_utf8(string))
        return at_key(ash_fail(ASH_ERR_FORMAT, "the string is not valid UTF-8"), gguf, key);
    *out = string;
    return ASH_OK;
}

enum ash_status ash_gguf_get_string_or(
    const struct ash_gguf *gguf, const char *key, const char *fallback, struct ash_gguf_string *out)
{
    if (ash_gguf_has(gguf, key))
        return ash_gguf_get_string(gguf, key, out);
    *out = (struct ash_gguf_string){ fallback, strlen(fallback) };
    return ASH_OK;
}

enum ash_status ash_gguf_get_array(const struct ash_gguf *gguf, const char *key,
    enum ash_gguf_kind kind, struct ash_gguf_value *out)
{
    const struct ash_gguf_value *value = NULL;
    ASH_TRY(find_kind(gguf, key, true, kind, &value));
    *out = *value;
    return ASH_OK;
}
