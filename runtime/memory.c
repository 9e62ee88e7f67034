/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The test allocator's state: INT64_MAX = no allocation fails. */
static _Atomic int64_t fail_from = INT64_MAX;
static _Atomic int64_t asked;

static bool refused(void)
{
    int64_t from = atomic_load_explicit(&fail_from, memory_order_relaxed);
    if (from == INT64_MAX)
        return false;
    return atomic_fetch_add_explicit(&asked, 1, memory_order_relaxed) >= from;
}

int64_t ash_memory_fail_from(int64_t nth)
{
    /* A negative number still counts nothing: counting is on only while a limit is set. */
    atomic_store(&fail_from, nth < 0 ? INT64_MAX : nth);
    return atomic_exchange(&asked, 0);
}

void *ash_alloc(size_t size_bytes)
{
    return refused() ? NULL : malloc(size_bytes ? size_bytes : 1);
}

void *ash_alloc_zero(size_t size_bytes)
{
    return ash_alloc_array(size_bytes ? size_bytes : 1, 1);
}

void *ash_alloc_array(size_t count, size_t item_bytes)
{
    size_t size_bytes;
    if (count == 0 || item_bytes == 0)
        count = item_bytes = 1;
    /* calloc would check the product too, but AddressSanitizer's ends the program instead. */
    if (__builtin_mul_overflow(count, item_bytes, &size_bytes))
        return NULL;
    return refused() ? NULL : calloc(count, item_bytes);
}

void *ash_alloc_pages(size_t size_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole;
    if (__builtin_add_overflow(size_bytes ? size_bytes : 1, page - 1, &whole) || refused())
        return NULL;
    return aligned_alloc(page, whole / page * page);
}

void *ash_realloc_array(void *old, size_t count, size_t item_bytes)
{
    size_t size_bytes;
    if (__builtin_mul_overflow(count, item_bytes, &size_bytes) || refused())
        return NULL;
    return realloc(old, size_bytes ? size_bytes : 1);
}

char *ash_strndup(const char *text, size_t length)
{
    length = strnlen(text, length);
    char *copy = ash_alloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *ash_strdup(const char *text)
{
    return ash_strndup(text, strlen(text));
}

char *ash_format(const char *format, ...)
{
    va_list list, again;
    va_start(list, format);
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    char *text = length < 0 ? NULL : ash_alloc((size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void ash_free(void *memory)
{
    free(memory);
}

enum ash_status ash_grow(void **items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return ASH_OK;
    size_t wanted = *capacity ? *capacity : 8;
    if (*capacity && __builtin_mul_overflow(*capacity, 2, &wanted))
        return ash_fail_memory(SIZE_MAX, "a growing array");
    void *grown = ash_realloc_array(*items, wanted, item_bytes);
    if (!grown)
        return ash_fail_memory(wanted * item_bytes, "a growing array");
    *items = grown;
    *capacity = wanted;
    return ASH_OK;
}

enum ash_status ash_fail_memory(size_t size_bytes, const char *what)
{
    return ash_fail(ASH_ERR_NO_MEMORY, "no memory for %s (%zu bytes)", what, size_bytes);
}
