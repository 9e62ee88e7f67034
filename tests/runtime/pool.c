/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/pool.h"

#include "runtime/memory.h"
#include "runtime/pool_internal.h"
#include "tests/runtime/folder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static size_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_eq(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * From now on this process's system call `number` (with this third argument, if not -1) fails with
 * `error`, as on an older kernel or in a sandbox.
 */
static void refuse(int number, int third, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)third, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JA, third == -1 ? 0 : 1, 0, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(pool, pieces_are_aligned_apart_and_zero_until_the_pool_is_full)
{
    struct ash_pool *pool;
    cr_assert_eq(ash_pool_create(-1, 3 * MIB, &pool), ASH_OK, "%s", ash_error());
    char *first = ash_pool_alloc(pool, 5, 1);
    char *second = ash_pool_alloc(pool, 100, 64);
    char *third = ash_pool_alloc(pool, MIB, 4096);
    cr_assert(first && second && third);
    cr_assert_geq(second, first + 5);
    cr_assert_geq(third, second + 100);
    cr_assert_eq((uintptr_t)second % 64, 0u);
    cr_assert_eq((uintptr_t)third % 4096, 0u);
    for (int i = 0; i < MIB; i++)
        cr_assert_eq(third[i], 0);
    size_t used = ash_pool_info(pool).used_bytes;
    cr_assert_null(ash_pool_alloc(pool, 2 * MIB, 1));
    cr_assert(strstr(ash_error(), "pool of 3145728 bytes"), "%s", ash_error());
    cr_assert_null(ash_pool_alloc(pool, SIZE_MAX, 64));
    cr_assert_eq(ash_pool_info(pool).used_bytes, used);
    cr_assert_not_null(ash_pool_alloc(pool, 3 * MIB - used, 1));
    cr_assert_not_null(ash_pool_alloc(pool, 0, 1));
    cr_assert_null(ash_pool_alloc(pool, 1, 1));
    ash_pool_reset(pool);
    cr_assert_eq(ash_pool_alloc(pool, 1, 1), first);
    ash_pool_destroy(pool);
    ash_pool_destroy(NULL);
}

Test(pool, memory_is_touched_at_creation)
{
    struct ash_pool *pool;
    size_t before = resident_bytes();
    cr_assert_eq(ash_pool_create(0, 32 * MIB, &pool), ASH_OK, "%s", ash_error());
    if (ash_pool_info(pool).pages != ASH_POOL_PAGES_HUGE) /* those are counted apart */
        cr_assert_geq(resident_bytes(), before + 31 * MIB);
    ash_pool_destroy(pool);
    cr_assert_lt(resident_bytes(), before + 8 * MIB);
}

Test(pool, a_lazy_pool_grows_as_it_is_used_and_shrinks_when_reset)
{
#ifdef __SANITIZE_THREAD__
    cr_skip_test("ThreadSanitizer's shadow of the touched pages is resident, too");
#endif
    struct ash_pool *pool;
    size_t before = resident_bytes();
    cr_assert_eq(ash_pool_create_lazy(-1, 512 * MIB, &pool), ASH_OK, "%s", ash_error());
    char *piece = ash_pool_alloc(pool, 512 * MIB, 64);
    cr_assert_lt(resident_bytes(), before + 4 * MIB);
    memset(piece, 1, 16 * MIB);
    cr_assert_geq(resident_bytes(), before + 16 * MIB);
    cr_assert_lt(resident_bytes(), before + 24 * MIB);
    piece[400 * MIB] = 1; /* one page, not a huge one */
    cr_assert_lt(resident_bytes(), before + 24 * MIB);
    ash_pool_reset(pool);
    cr_assert_lt(resident_bytes(), before + 8 * MIB);
    piece = ash_pool_alloc(pool, 512 * MIB, 64);
    cr_assert_eq(piece[0], 0);
    cr_assert_eq(piece[400 * MIB], 0);
    ash_pool_destroy(pool);
}

Test(pool, what_the_machine_cannot_give_is_refused_with_a_reason)
{
    static const struct {
        int node;
        size_t size_bytes;
        bool lazy;
        enum ash_status expect;
        const char *reason;
    } cases[] = {
        { -1, 0, false, ASH_ERR_ARGUMENT, "0 bytes" },
        { -2, 1, false, ASH_ERR_ARGUMENT, "node -2" },
        { 100000, 1, false, ASH_ERR_ARGUMENT, "node 100000" },
        { -1, SIZE_MAX, false, ASH_ERR_NO_MEMORY, "no memory" },
        { -1, SIZE_MAX, true, ASH_ERR_NO_MEMORY, "no memory" },
        { -1, (size_t)1 << 50, false, ASH_ERR_NO_MEMORY, "MiB free" },
        { 0, (size_t)1 << 50, true, ASH_ERR_NO_MEMORY, "MiB" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_pool *pool = NULL;
        enum ash_status status = (cases[i].lazy ? ash_pool_create_lazy : ash_pool_create)(
            cases[i].node, cases[i].size_bytes, &pool);
        cr_assert_eq(status, cases[i].expect, "%zu", i);
        cr_assert(strstr(ash_error(), cases[i].reason), "%s", ash_error());
        cr_assert_null(pool);
    }
}

Test(pool, create_survives_every_failed_allocation)
{
    for (int lazy = 0; lazy < 2; lazy++)
        for (int64_t nth = 0;; nth++) {
            struct ash_pool *pool = NULL;
            ash_memory_fail_from(nth);
            enum ash_status status = (lazy ? ash_pool_create_lazy : ash_pool_create)(-1, 1, &pool);
            ash_memory_fail_from(-1);
            if (status == ASH_OK) {
                cr_assert_gt(nth, 0);
                ash_pool_destroy(pool);
                break;
            }
            cr_assert_eq(status, ASH_ERR_NO_MEMORY);
            cr_assert_null(pool);
        }
}

Test(pool, a_kernel_without_numa_has_node_0)
{
    struct ash_pool *pool = NULL;
    refuse(SYS_get_mempolicy, -1, ENOSYS);
    refuse(SYS_mbind, -1, ENOSYS);
    cr_assert_eq(ash_pool_create(0, MIB, &pool), ASH_OK, "%s", ash_error());
    ash_pool_destroy(pool);
    cr_assert_eq(ash_pool_create(-1, MIB, &pool), ASH_OK, "%s", ash_error());
    ash_pool_destroy(pool);
    cr_assert_eq(ash_pool_create(1, MIB, &pool), ASH_ERR_ARGUMENT);
    cr_assert(strstr(ash_error(), "only node 0"), "%s", ash_error());
}

Test(pool, a_kernel_that_cannot_populate_has_its_pages_touched_one_by_one)
{
    struct ash_pool *pool;
    size_t before = resident_bytes();
    refuse(SYS_madvise, 23 /* MADV_POPULATE_WRITE */, EINVAL);
    cr_assert_eq(ash_pool_create(-1, 16 * MIB, &pool), ASH_OK, "%s", ash_error());
    cr_assert_geq(resident_bytes(), before + 15 * MIB);
    ash_pool_destroy(pool);
}

Test(pool, a_mapping_that_cannot_be_filled_is_given_back)
{
    struct ash_pool *pool = NULL;
    size_t before = resident_bytes();
    refuse(SYS_madvise, 23, ENOMEM);
    cr_assert_eq(ash_pool_create(-1, 64 * MIB, &pool), ASH_ERR_NO_MEMORY);
    cr_assert_null(pool);
    cr_assert_lt(resident_bytes(), before + 8 * MIB);
}

#define MEMINFO "MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable: 600000 kB\n"
#define NODE    "/sys/devices/system/node/node"
enum { K = 1000 * 1024 };

/* Machines as the system's files tell of them; sizes in units of 1,000 KiB. */
static const struct {
    const char *name;
    int node;
    int64_t total, free;
    struct ash_test_file file[5];
} machines[] = {
    { "nothing to read", -1, INT64_MAX, INT64_MAX, { { 0 } } },
    { "no control groups", -1, 1000, 600, { { "/proc/meminfo", MEMINFO } } },
    { "version 2", -1, 200, 150,
        { { "/proc/meminfo", MEMINFO }, { "/proc/self/cgroup", "0::/a\n" },
            { "/sys/fs/cgroup/a/memory.max", "204800000\n" },
            { "/sys/fs/cgroup/a/memory.current", "102400000\n" },
            { "/sys/fs/cgroup/a/memory.stat",
                "anon 1\ninactive_file 30720000\nactive_file 20480000\n" } } },
    { "version 2, no limit", -1, 1000, 600,
        { { "/proc/meminfo", MEMINFO }, { "/proc/self/cgroup", "0::/\n" },
            { "/sys/fs/cgroup/memory.max", "max\n" } } },
    { "version 1", -1, 300, 0,
        { { "/proc/meminfo", MEMINFO }, { "/proc/self/cgroup", "4:memory:/\n" },
            { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "307200000\n" },
            { "/sys/fs/cgroup/memory/memory.usage_in_bytes", "409600000\n" } } },
    { "version 1, no limit", -1, 1000, 600,
        { { "/proc/meminfo", MEMINFO }, { "/proc/self/cgroup", "4:memory:/\n" },
            { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n" } } },
    { "one of two nodes", 1, 500, 250,
        { { "/proc/meminfo", MEMINFO },
            { NODE "0/meminfo", "Node 0 MemTotal: 500000 kB\nNode 0 MemFree: 350000 kB\n" },
            { NODE "1/meminfo",
                "Node 1 MemTotal: 500000 kB\nNode 1 MemFree: 200000 kB\n"
                "Node 1 Active(file): 10000 kB\nNode 1 Inactive(file): 40000 kB\n" } } },
    { "nodes that report too little", 0, 800, 500,
        { { "/proc/meminfo", MEMINFO },
            { NODE "0/meminfo", "Node 0 MemTotal: 300000 kB\nNode 0 MemFree: 100000 kB\n" },
            { NODE "1/meminfo", "Node 1 MemTotal: 200000 kB\nNode 1 MemFree: 100000 kB\n" } } },
    { "numbers without sense", -1, INT64_MAX, INT64_MAX,
        { { "/proc/meminfo", "MemTotal: -5 kB\nMemAvailable: lots\n" } } },
};

Test(pool, room_is_what_the_kernel_the_nodes_and_the_control_groups_agree_on)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        char root[64];
        ash_test_folder_create(machines[i].file, 5, root, sizeof root);
        struct ash_pool_room room = ash_pool_room_below(root, machines[i].node);
        ash_test_folder_remove(root);
        int64_t total = machines[i].total == INT64_MAX ? INT64_MAX : machines[i].total * K;
        int64_t free = machines[i].free == INT64_MAX ? INT64_MAX : machines[i].free * K;
        cr_assert_eq(room.total, total, "%s: %lld", machines[i].name, (long long)room.total);
        cr_assert_eq(room.free, free, "%s: %lld", machines[i].name, (long long)room.free);
    }
}
