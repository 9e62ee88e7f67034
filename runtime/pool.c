/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pool.h"

#include "runtime/memory.h"
#include "runtime/pool_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { MOST_ALIGN = 4096, HUGE_BYTES = 2 << 20 };

struct ash_pool {
    char *memory;
    size_t mapped_bytes; /* the whole mapping, from `mapping` */
    void *mapping;
    struct ash_pool_info info;
};

/* ---- Nodes and pages ---- */

static enum ash_status check_node(int node)
{
    long long free_bytes;
    if (node == -1)
        return ASH_OK;
    if (numa_available() < 0) /* a kernel without NUMA, or a sandbox that hides it: one node, 0 */
        return node == 0
                   ? ASH_OK
                   : ash_fail(ASH_ERR_ARGUMENT, "no NUMA node %d: there is only node 0", node);
    if (node < 0 || node > numa_max_node() || numa_node_size64(node, &free_bytes) < 0)
        return ash_fail(ASH_ERR_ARGUMENT, "no NUMA node %d: the last one is %d (see `numactl -H`)",
            node, numa_max_node());
    return ASH_OK;
}

/* A node has figures of its own only where there are several. */
static bool several_nodes(void)
{
    return numa_available() >= 0 && numa_num_configured_nodes() > 1;
}

int64_t ash_pool_room(int numa_node)
{
    return ash_pool_room_below("", several_nodes() ? numa_node : -1).free;
}

int64_t ash_pool_most(void)
{
    return ash_pool_room_below("", -1).total;
}

static enum ash_status check_room(int node, size_t size_bytes, bool lazy)
{
    struct ash_pool_room room = ash_pool_room_below("", several_nodes() ? node : -1);
    int64_t limit = lazy ? room.total : room.free;
    if ((uint64_t)limit >= size_bytes)
        return ASH_OK;
    char where[48] = "the machine or its control group";
    if (node >= 0 && several_nodes())
        snprintf(where, sizeof where, "NUMA node %d", node);
    return ash_fail(ASH_ERR_NO_MEMORY, "a pool of %zu MiB: %s has %lld MiB%s", size_bytes >> 20,
        where, (long long)(limit >> 20), lazy ? "" : " free");
}

/* Free explicit huge pages of 2 MiB, on one node or (-1) on all. */
static long free_huge_pages(int node)
{
    char path[128], text[32];
    if (node < 0)
        snprintf(path, sizeof path, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    else
        snprintf(path, sizeof path,
            "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages", node);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    text[length < 0 ? 0 : length] = '\0';
    return strtol(text, NULL, 10);
}

/* Preferred, not bound: a bound mapping on a full node ends in the OOM killer or in SIGBUS. */
static void prefer_node(void *memory, size_t size_bytes, int node)
{
    enum { WORD_BITS = 8 * sizeof(unsigned long) };
    unsigned long mask[1024 / WORD_BITS] = { 0 };
    if (node < 0 || node >= 1024 || !several_nodes())
        return;
    mask[node / WORD_BITS] = 1ul << node % WORD_BITS;
    /* A refusal (a sandbox without mbind) costs speed, not correctness. */
    (void)mbind(memory, size_bytes, MPOL_PREFERRED, mask, 1024, 0);
}

/* Gives every page its memory now; false when there is not enough. */
static bool touch(char *memory, size_t size_bytes)
{
    if (madvise(memory, size_bytes, MADV_POPULATE_WRITE) == 0)
        return true;
    if (errno != EINVAL)
        return false;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < size_bytes; at += page)
        *(volatile char *)(memory + at) = 0;
    return true;
}

/* ---- Mappings ---- */

static bool map_huge(struct ash_pool *pool)
{
    const size_t size = (pool->info.size_bytes + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
    const int node = several_nodes() ? pool->info.numa_node : -1;
    if (pool->info.size_bytes < HUGE_BYTES || free_huge_pages(node) < (long)(size / HUGE_BYTES))
        return false;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);
    if (memory == MAP_FAILED)
        return false;
    prefer_node(memory, size, pool->info.numa_node);
    if (madvise(memory, size, MADV_POPULATE_WRITE) != 0) { /* touching could raise SIGBUS */
        munmap(memory, size);
        return false;
    }
    pool->mapping = pool->memory = memory;
    pool->mapped_bytes = size;
    pool->info.pages = ASH_POOL_PAGES_HUGE;
    return true;
}

/* Ordinary pages, started at a multiple of 2 MiB so that they can become huge ones. */
static bool map_plain(struct ash_pool *pool, bool touched)
{
    const size_t size = pool->info.size_bytes + HUGE_BYTES;
    const int reserve = pool->info.lazy ? MAP_NORESERVE : 0;
    void *mapping =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | reserve, -1, 0);
    if (mapping == MAP_FAILED)
        return false;
    pool->mapping = mapping;
    pool->mapped_bytes = size;
    pool->memory = (char *)(((uintptr_t)mapping + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES);
    prefer_node(pool->memory, pool->info.size_bytes, pool->info.numa_node);
    if (pool->info.lazy) {
        (void)madvise(mapping, size, MADV_NOHUGEPAGE); /* one byte must not become 2 MiB */
        return true;
    }
    if (pool->info.size_bytes >= HUGE_BYTES &&
        madvise(pool->memory, pool->info.size_bytes, MADV_HUGEPAGE) == 0)
        pool->info.pages = ASH_POOL_PAGES_TRANSPARENT;
    if (!touched || touch(pool->memory, pool->info.size_bytes))
        return true;
    munmap(mapping, size);
    return false;
}

static enum ash_status create(
    int node, size_t size_bytes, bool lazy, bool touched, struct ash_pool **out)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size_bytes == 0)
        return ash_fail(ASH_ERR_ARGUMENT, "a pool of 0 bytes");
    if (size_bytes > INT64_MAX - 2 * (size_t)HUGE_BYTES)
        return ash_fail_memory(size_bytes, "a pool");
    ASH_TRY(check_node(node));
    size_bytes = (size_bytes + page - 1) / page * page;
    ASH_TRY(check_room(node, size_bytes, lazy));
    struct ash_pool *pool = ash_alloc_zero(sizeof *pool);
    if (!pool)
        return ash_fail_memory(sizeof *pool, "a pool");
    pool->info = (struct ash_pool_info){
        .size_bytes = size_bytes, .numa_node = node, .lazy = lazy, .pages = ASH_POOL_PAGES_SMALL
    };
    /* Explicit huge pages are all touched here, and so on this thread's node: not if the owner is about to
     * do so from several. */
    const bool spread = !touched && node < 0 && several_nodes();
    if ((lazy || spread || !map_huge(pool)) && !map_plain(pool, touched)) {
        ash_free(pool);
        return ash_fail_memory(size_bytes, "a pool; the system refused the mapping");
    }
    *out = pool;
    return ASH_OK;
}

enum ash_status ash_pool_create(int numa_node, size_t size_bytes, struct ash_pool **out)
{
    return create(numa_node, size_bytes, false, true, out);
}

enum ash_status ash_pool_create_unfilled(int numa_node, size_t size_bytes, struct ash_pool **out)
{
    return create(numa_node, size_bytes, false, false, out);
}

enum ash_status ash_pool_create_lazy(int numa_node, size_t size_bytes, struct ash_pool **out)
{
    return create(numa_node, size_bytes, true, false, out);
}

void ash_pool_destroy(struct ash_pool *pool)
{
    if (!pool)
        return;
    munmap(pool->mapping, pool->mapped_bytes);
    ash_free(pool);
}

void *ash_pool_alloc(struct ash_pool *pool, size_t size_bytes, size_t align)
{
    assert(align && (align & (align - 1)) == 0 && align <= MOST_ALIGN);
    const size_t start = (pool->info.used_bytes + align - 1) & ~(align - 1);
    if (start > pool->info.size_bytes || size_bytes > pool->info.size_bytes - start) {
        (void)ash_fail(ASH_ERR_NO_MEMORY, "a pool of %zu bytes, %zu of them used, has no %zu more",
            pool->info.size_bytes, pool->info.used_bytes, size_bytes);
        return NULL;
    }
    pool->info.used_bytes = start + size_bytes;
    return pool->memory + start;
}

void ash_pool_reset(struct ash_pool *pool)
{
    if (pool->info.lazy)
        (void)madvise(pool->memory, pool->info.size_bytes, MADV_DONTNEED);
    pool->info.used_bytes = 0;
}

struct ash_pool_info ash_pool_info(const struct ash_pool *pool)
{
    return pool->info;
}
