/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A fixed block of memory on one NUMA node, handed out in pieces.
 *
 * Sized once when a model loads, so that decoding allocates nothing. Pieces go back all together
 * with ash_pool_reset(); there is no free of one piece.
 * Threads: one at a time per pool; two pools share nothing.
 */
struct ash_pool;

/*
 * Reserves `size_bytes` (rounded up to whole pages) near `numa_node` (as the system numbers nodes;
 * -1 = any), in explicit huge pages where enough of them are free, else in transparent ones where
 * the system has them. Pages are touched here: the cost is paid at load, not on the first token.
 * Should the node run full in spite of the check, the rest comes from another node. The memory is
 * zero. The caller owns *out and ends it with ash_pool_destroy(). On failure *out is untouched.
 *
 * ASH_ERR_ARGUMENT   no such node, or a size of 0
 * ASH_ERR_NO_MEMORY  the node, the machine or the control group has less than `size_bytes` free
 */
enum ash_status ash_pool_create(int numa_node, size_t size_bytes, struct ash_pool **out);

/*
 * The same for memory that its owner is about to write from end to end (weights): that touches it, and
 * until then it is not held. Where the machine runs out in between, the system ends the process, as it
 * does with any memory that was promised.
 */
enum ash_status ash_pool_create_unfilled(int numa_node, size_t size_bytes, struct ash_pool **out);

/*
 * The same without touching anything: address space only, in ordinary pages, so that the resident
 * set grows as pieces are used (a KV cache for the longest context). Zero where never written.
 *
 * ASH_ERR_NO_MEMORY  more than the machine or the control group could ever hold
 */
enum ash_status ash_pool_create_lazy(int numa_node, size_t size_bytes, struct ash_pool **out);

/* The bytes that ash_pool_create() would find free there now; INT64_MAX where nothing is known. */
int64_t ash_pool_room(int numa_node);

/* The bytes that pools could ever hold together in this process: the machine's memory or its control
 * group's limit; INT64_MAX where nothing is known. */
int64_t ash_pool_most(void);

/* Takes NULL. All pieces end with it. */
void ash_pool_destroy(struct ash_pool *pool);

/*
 * The next `size_bytes`, at a multiple of `align` (a power of two, up to 4096). Not cleared after an
 * ash_pool_reset(), except in a lazy pool. NULL, with a message for ash_error(), when the pool is
 * full; nothing has changed then.
 */
void *ash_pool_alloc(struct ash_pool *pool, size_t size_bytes, size_t align);

/* Takes all pieces back. A lazy pool also gives the pages back to the system, and reads as zero. */
void ash_pool_reset(struct ash_pool *pool);

enum ash_pool_pages {
    ASH_POOL_PAGES_SMALL,       /* ordinary pages */
    ASH_POOL_PAGES_TRANSPARENT, /* asked for transparent huge pages; the kernel gives what it can */
    ASH_POOL_PAGES_HUGE,        /* explicit huge pages (hugetlbfs) */
};

struct ash_pool_info {
    size_t size_bytes, used_bytes;
    int numa_node; /* -1 = any */
    enum ash_pool_pages pages;
    bool lazy;
};

struct ash_pool_info ash_pool_info(const struct ash_pool *pool);
