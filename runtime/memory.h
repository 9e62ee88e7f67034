/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The one way to the host heap, so that a test can make any allocation fail.
 *
 * Every module allocates small objects here and large, NUMA-placed ones from a pool (pool.h); none
 * calls malloc itself. Libraries that take allocation hooks (jansson, SQLite) are given these.
 * Threads: any. Ownership: the caller frees with ash_free().
 */

/* Uninitialised and zeroed memory; NULL when there is none. Zero bytes gives a unique pointer. */
void *ash_alloc(size_t size_bytes) __attribute__((malloc, alloc_size(1)));
void *ash_alloc_zero(size_t size_bytes) __attribute__((malloc, alloc_size(1)));

/* `count * item_bytes` with the product checked; zeroed. NULL on overflow as on exhaustion. */
void *ash_alloc_array(size_t count, size_t item_bytes) __attribute__((malloc, alloc_size(1, 2)));

/* Uninitialised pages of the system that hold nothing else, for what is done to memory by the page. */
void *ash_alloc_pages(size_t size_bytes) __attribute__((malloc, alloc_size(1)));

/* Resizes to `count * item_bytes`; on failure returns NULL and `old` stays valid and unchanged. */
void *ash_realloc_array(void *old, size_t count, size_t item_bytes);

/* Copies of a string; NULL when there is no memory. `text` need not end with 0 in the second. */
char *ash_strdup(const char *text) __attribute__((malloc));
char *ash_strndup(const char *text, size_t length) __attribute__((malloc));

/* printf into fresh memory; NULL when there is none. */
char *ash_format(const char *format, ...) __attribute__((malloc, format(printf, 1, 2)));

/* Takes NULL. */
void ash_free(void *memory);

/*
 * Makes room for one more item in a growing array: when `count` reaches `capacity`, doubles it.
 * `items` (any pointer type) and `capacity` (size_t) are replaced. On ASH_ERR_NO_MEMORY nothing
 * changed. Use: ASH_TRY(ASH_GROW(list->item, list->capacity, list->count));
 */
#define ASH_GROW(items, capacity, count)                                                           \
    ({                                                                                             \
        void *ash_grown = (items);                                                                 \
        enum ash_status ash_grow_status =                                                          \
            ash_grow(&ash_grown, &(capacity), (count), sizeof *(items));                           \
        (items) = ash_grown;                                                                       \
        ash_grow_status;                                                                           \
    })
enum ash_status ash_grow(void **items, size_t *capacity, size_t count, size_t item_bytes);

/* ASH_ERR_NO_MEMORY with a message that names what was wanted. */
enum ash_status ash_fail_memory(size_t size_bytes, const char *what);

/*
 * For tests: the allocation number `nth` from now (0 = the next) and all later ones fail, on every
 * thread; a negative number ends it. Returns how many allocations were asked for since the last
 * call, so that a test can walk through all of them.
 */
int64_t ash_memory_fail_from(int64_t nth);
