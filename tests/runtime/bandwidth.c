/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bandwidth.h"

#include "runtime/bandwidth_internal.h"
#include "runtime/cpu.h"
#include "runtime/thread.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t features;
    const char *int8, *fp32;
} families[] = {
    { "nothing", 0, "plain", "plain" },
    { "avx2", ASH_CPU_AVX2, "avx2", "avx2" },
    { "avx_vnni", ASH_CPU_AVX2 | ASH_CPU_AVX_VNNI, "avx_vnni", "avx2" },
    { "avx512", ASH_CPU_AVX2 | ASH_CPU_AVX512, "avx2", "avx512" },
    { "avx512_vnni", ASH_CPU_AVX2 | ASH_CPU_AVX512 | ASH_CPU_AVX512_VNNI, "avx512_vnni", "avx512" },
};
enum { FAMILIES = sizeof families / sizeof *families };

static bool runs_here(uint64_t features)
{
    return (features & ~ash_cpu_features()) == 0;
}

Test(bandwidth, the_best_kernels_of_a_feature_set_are_chosen)
{
#if defined(__x86_64__)
    for (int i = 0; i < FAMILIES; i++) {
        struct ash_bandwidth_kernels kernels = ash_bandwidth_kernels(families[i].features);
        cr_assert_str_eq(kernels.int8.name, families[i].int8, "%s", families[i].name);
        cr_assert_str_eq(kernels.fp32.name, families[i].fp32, "%s", families[i].name);
    }
#endif
}

/* A kernel that leaves a part of the buffer out gives the same for two different buffers. */
Test(bandwidth, every_kernel_reads_every_cache_line)
{
    enum { BYTES = 8192 };
    uint64_t *data = aligned_alloc(64, BYTES);
    for (int i = 0; i < FAMILIES; i++) {
        if (!runs_here(families[i].features))
            continue;
        struct ash_bandwidth_kernels kernels = ash_bandwidth_kernels(families[i].features);
        memset(data, 0, BYTES);
        const uint64_t zero = kernels.read(data, BYTES);
        for (size_t word = 0; word < BYTES / sizeof *data; word++) {
            data[word] = 1;
            cr_assert_neq(kernels.read(data, BYTES), zero, "%s, word %zu", families[i].name, word);
            data[word] = 0;
        }
    }
    free(data);
}

/* Operations are counted from what the sums come to: each int8 product here is -6. */
Test(bandwidth, int8_kernels_do_the_operations_that_are_counted)
{
    for (int i = 0; i < FAMILIES; i++) {
        if (!runs_here(families[i].features))
            continue;
        struct ash_bandwidth_kernels kernels = ash_bandwidth_kernels(families[i].features);
        const int64_t rounds = 7;
        /* fold() adds pairs of int32 as one 64-bit word; undo that for equal negative sums. */
        const uint64_t folded = kernels.int8.run(rounds);
        const int64_t products = rounds * kernels.int8.per_round / 2;
        bool found = false;
        for (uint64_t words = 32; words <= 96 && !found; words += 16) {
            const int64_t each = -6 * products / (int64_t)(2 * words);
            const uint64_t word = (uint64_t)(uint32_t)each << 32 | (uint32_t)each;
            found = products % (int64_t)(2 * words) == 0 && word * words == folded;
        }
        cr_assert(found, "%s: %#llx", families[i].name, (unsigned long long)folded);
    }
}

Test(bandwidth, tile_kernels_do_the_operations_that_are_counted)
{
    struct ash_bandwidth_kernels kernels = ash_bandwidth_kernels(ash_cpu_features());
    const int64_t rounds = 7, lanes = 4 * 256;
    if (kernels.amx_int8.run) {
        const uint32_t each = (uint32_t)(-6 * rounds * kernels.amx_int8.per_round / 2 / lanes);
        const uint64_t word = (uint64_t)each << 32 | each;
        cr_assert_eq(kernels.amx_int8.run(rounds), word * (uint64_t)(lanes / 2));
    }
    if (kernels.amx_bf16.run) /* every product is 1 */
        cr_assert_eq(kernels.amx_bf16.run(rounds),
            (uint64_t)rounds * (uint64_t)kernels.amx_bf16.per_round / 2);
    if (!kernels.amx_int8.run && !kernels.amx_bf16.run)
        cr_skip_test("no tile unit here");
}

Test(bandwidth, figures_are_plausible_for_one_thread_and_for_the_team)
{
    struct ash_team *team;
    struct ash_bandwidth one, all;
    cr_assert_eq(ash_team_create(&(struct ash_team_options){ .threads = 2 }, &team), ASH_OK);
    cr_assert_eq(ash_bandwidth_measure(team, &one, &all), ASH_OK);
    ash_team_destroy(team);
    cr_assert_eq(one.threads, 1);
    cr_assert_eq(all.threads, 2);
    /* Any processor, however loaded; and none of today's comes near the upper ends. */
    const double figures[] = { one.read_gbps, one.fp32_gops, one.int8_gops, all.read_gbps,
        all.fp32_gops, all.int8_gops };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        cr_assert(figures[i] > 0.01 && figures[i] < 1e5, "%zu: %g", i, figures[i]);
}
