/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: every block is known, so that a stray pointer is found. */
#include "tests/drivers/hip_double/double_hip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

/* Of AddressSanitizer, where the program has it. */
__attribute__((weak)) void *__asan_region_is_poisoned(void *memory, size_t bytes);

struct block {
    struct block *next;
    int device;      /* -1 = pinned memory of the host */
    bool is_foreign; /* that was registered */
    size_t bytes;
    char *memory;
};

static struct block *blocks;
static size_t used_bytes[MOST_DEVICES];

static struct block *find_block(const void *memory, size_t bytes)
{
    uintptr_t at = (uintptr_t)memory;
    for (struct block *block = blocks; block; block = block->next)
        if (at >= (uintptr_t)block->memory && at - (uintptr_t)block->memory < block->bytes &&
            block->bytes - (at - (uintptr_t)block->memory) >= bytes)
            return block;
    return NULL;
}

bool is_on(const void *memory, size_t bytes, int device)
{
    const struct block *block = find_block(memory, bytes);
    return block && block->device == device;
}

int device_of(const void *memory)
{
    const struct block *block = find_block(memory, 0);
    return block ? block->device : -1;
}

bool is_pinned(const void *memory, size_t bytes)
{
    return is_on(memory, bytes, -1);
}

bool is_of_host(const void *memory)
{
    const struct block *block = find_block(memory, 0);
    return memory && (!block || block->device < 0);
}

static int add_block(void **memory, size_t bytes, int device)
{
    int code = OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    bool fails = happens(HIP_DOUBLE_OUT_OF_MEMORY);
    struct block *block = NULL;
    if (!fails && (device < 0 || bytes <= card_bytes() - used_bytes[device]))
        block = calloc(1, sizeof *block);
    if (block && (block->memory = aligned_alloc(256, (bytes + 255) / 256 * 256))) {
        memset(block->memory, 0xa5, bytes); /* as it comes: never zeros by chance */
        block->device = device;
        block->bytes = bytes;
        block->next = blocks;
        blocks = block;
        if (device >= 0)
            used_bytes[device] += bytes;
        *memory = block->memory;
        live_count++;
        code = SUCCESS;
    } else {
        free(block);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int remove_block(void *memory, bool of_host)
{
    pthread_mutex_lock(&lock);
    for (struct block **at = &blocks; *at; at = &(*at)->next) {
        struct block *block = *at;
        if (block->memory != memory || (block->device < 0) != of_host || block->is_foreign)
            continue;
        *at = block->next;
        if (!of_host)
            used_bytes[block->device] -= block->bytes;
        live_count--;
        pthread_mutex_unlock(&lock);
        free(block->memory);
        free(block);
        return SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return INVALID_VALUE;
}

int hipMalloc(void **memory, size_t bytes)
{
    return card_error[current] ? card_error[current] : add_block(memory, bytes, current);
}

/* Waits for the card's work. */
int hipFree(void *memory)
{
    pthread_mutex_lock(&lock);
    int device = device_of(memory);
    pthread_mutex_unlock(&lock);
    if (device >= 0)
        stream_wait_all(device);
    return remove_block(memory, false);
}

int hipHostMalloc(void **memory, size_t bytes, unsigned flags)
{
    return flags ? INVALID_VALUE : add_block(memory, bytes, -1);
}

int hipHostFree(void *memory)
{
    return remove_block(memory, true);
}

/* ---- Memory of others ---- */

/* Whether two have a page in common: what the library does to one then is done to the other as well. */
static bool is_shared(const struct block *block, uintptr_t first, uintptr_t end)
{
    uintptr_t from = (uintptr_t)block->memory / PAGE,
              to = ((uintptr_t)block->memory + block->bytes - 1) / PAGE;
    return block->device < 0 && from <= (end - 1) / PAGE && to >= first / PAGE;
}

static int register_block(char *memory, size_t bytes)
{
    if (happens(HIP_DOUBLE_PIN))
        return OUT_OF_MEMORY;
    for (const struct block *block = blocks; block; block = block->next)
        if (is_shared(block, (uintptr_t)memory, (uintptr_t)memory + bytes))
            return HOST_MEMORY_ALREADY_REGISTERED;
    struct block *block = calloc(1, sizeof *block);
    *block = (struct block){
        .next = blocks, .device = -1, .is_foreign = true, .bytes = bytes, .memory = memory
    };
    blocks = block;
    live_count++;
    return SUCCESS;
}

/* Every card is to see it as registered, so that whoever means only its own has forgotten the others. */
int hipHostRegister(void *memory, size_t bytes, unsigned flags)
{
    if (!memory || bytes == 0 || flags != 1)
        return INVALID_VALUE;
    pthread_mutex_lock(&lock);
    int code = register_block(memory, bytes);
    pthread_mutex_unlock(&lock);
    return code;
}

static bool is_gone(const struct block *block)
{
    unsigned char is_there;
    uintptr_t end = (uintptr_t)block->memory + block->bytes;
    if (__asan_region_is_poisoned && __asan_region_is_poisoned(block->memory, block->bytes))
        return true;
    for (uintptr_t at = (uintptr_t)block->memory / PAGE * PAGE; at < end; at += PAGE)
        if (mincore((void *)at, PAGE, &is_there) != 0)
            return true;
    return false;
}

/* Ends the process if its owner has freed it: on a card, its pages would be someone else's by now. */
static void expect_memory(const struct block *block)
{
    if (!is_gone(block))
        return;
    fprintf(stderr, "%zu bytes were freed before they were unregistered\n", block->bytes);
    abort();
}

int hipHostUnregister(void *memory)
{
    pthread_mutex_lock(&lock);
    struct block **at = &blocks;
    while (*at && ((*at)->memory != memory || !(*at)->is_foreign))
        at = &(*at)->next;
    struct block *block = *at;
    if (block) {
        expect_memory(block);
        *at = block->next;
        live_count--;
    }
    pthread_mutex_unlock(&lock);
    free(block);
    return block ? SUCCESS : HOST_MEMORY_NOT_REGISTERED;
}
