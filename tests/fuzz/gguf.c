/* SPDX-License-Identifier: Apache-2.0 */
/* What opens must be readable to its last byte: every value, every string, both ends of every tensor. */
#include "models/gguf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t seen; /* keeps the reads */

static void read_string(struct ash_gguf_string string)
{
    for (size_t i = 0; i < string.length; i++)
        seen += (uint8_t)string.text[i];
}

static void read_value(const struct ash_gguf_value *value)
{
    read_string(value->key);
    if (value->type == ASH_GGUF_STRING) {
        struct ash_gguf_strings strings = ash_gguf_strings(value);
        for (struct ash_gguf_string s; ash_gguf_strings_next(&strings, &s);)
            read_string(s);
        return;
    }
    for (uint64_t i = 0; i < value->count; i++) {
        if (value->type == ASH_GGUF_BOOL)
            seen += ash_gguf_bool(value, i);
        else if (value->type == ASH_GGUF_F32 || value->type == ASH_GGUF_F64)
            seen += ash_gguf_real(value, i) > 0;
        else
            seen += (uint64_t)ash_gguf_integer(value, i);
    }
}

static void read_named(const struct ash_gguf *gguf, const char *key)
{
    uint32_t number;
    float real;
    bool flag;
    struct ash_gguf_string string;
    struct ash_gguf_value array;
    seen += ash_gguf_get_u32(gguf, key, 0, 1U << 20, &number) == ASH_OK;
    seen += ash_gguf_get_f32(gguf, key, 0, 1, &real) == ASH_OK;
    seen += ash_gguf_get_bool(gguf, key, &flag) == ASH_OK;
    if (ash_gguf_get_string(gguf, key, &string) == ASH_OK)
        read_string(string);
    seen += ash_gguf_get_array(gguf, key, ASH_GGUF_STRINGS, &array) == ASH_OK;
}

static void read_tensor(const struct ash_gguf *gguf, const struct ash_gguf_tensor *tensor)
{
    char name[128] = { 0 };
    struct ash_tensor found;
    memcpy(name, tensor->name.text, tensor->name.length);
    seen += tensor->data[0] + tensor->data[tensor->size_bytes - 1];
    if ((ash_gguf_find_tensor(gguf, name, &found) == ASH_OK) != tensor->supported)
        abort();
    if (tensor->supported && ash_tensor_bytes(&found) != tensor->size_bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ash_gguf *gguf = NULL;
    void *exact = malloc(size ? size : 1); /* aligned, and watched right behind its end */
    if (!exact)
        return 0;
    if (size > 0)
        memcpy(exact, data, size);
    if (ash_gguf_open_memory("fuzz", exact, size, &gguf) == ASH_OK) {
        for (size_t i = 0; i < ash_gguf_value_count(gguf); i++)
            read_value(ash_gguf_value_at(gguf, i));
        for (size_t i = 0; i < ash_gguf_tensor_count(gguf); i++)
            read_tensor(gguf, ash_gguf_tensor_at(gguf, i));
        read_named(gguf, "general.architecture");
        read_named(gguf, ".block_count");
        read_named(gguf, "tokenizer.ggml.tokens");
    }
    ash_gguf_close(gguf);
    free(exact);
    return 0;
}
