/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cpu.h"

#include "runtime/cpu_internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define LEAF1   0x38001000u /* FMA, OSXSAVE, AVX, F16C */
#define AVX2    (1u << 5)
#define F_DQ    (1u << 16 | 1u << 17)
#define BW_VL   (1u << 30 | 1u << 31)
#define VNNI    (1u << 11)
#define AMX_ALL (1u << 22 | 1u << 24 | 1u << 25)
#define FP16    (1u << 23)
#define VEX_VNN (1u << 4)
#define BF16    (1u << 5)

/* Words as these processors give them, cut to the bits that matter here. */
static const struct {
    const char *name;
    struct ash_cpuid id;
    uint64_t expect;
} processors[] = {
    { "nothing", { 0 }, 0 },
    { "Ivy Bridge: F16C without FMA", { 0x38000000u, 0, 0, 0, 0, 7 }, 0 },
    { "Haswell", { LEAF1, AVX2, 0, 0, 0, 7 }, ASH_CPU_AVX2 },
    { "Haswell, the system saves no YMM", { LEAF1, AVX2, 0, 0, 0, 3 }, 0 },
    { "Haswell, no XSAVE at all", { LEAF1, AVX2, 0, 0, 0, 0 }, 0 },
    { "Knights Landing: F without BW and VL", { LEAF1, AVX2 | F_DQ, 0, 0, 0, 0xe7 }, ASH_CPU_AVX2 },
    { "Skylake-SP", { LEAF1, AVX2 | F_DQ | BW_VL, 0, 0, 0, 0xe7 }, ASH_CPU_AVX2 | ASH_CPU_AVX512 },
    { "Ice Lake, the system saves no ZMM", { LEAF1, AVX2 | F_DQ | BW_VL, VNNI, 0, 0, 7 },
        ASH_CPU_AVX2 },
    { "Alder Lake", { LEAF1, AVX2, 0, 0, VEX_VNN, 7 }, ASH_CPU_AVX2 | ASH_CPU_AVX_VNNI },
    { "Zen 4", { LEAF1, AVX2 | F_DQ | BW_VL, VNNI, 0, BF16, 0xe7 },
        ASH_CPU_AVX2 | ASH_CPU_AVX512 | ASH_CPU_AVX512_VNNI | ASH_CPU_AVX512_BF16 },
    { "Sapphire Rapids",
        { LEAF1, AVX2 | F_DQ | BW_VL, VNNI, AMX_ALL | FP16, VEX_VNN | BF16, 0x600e7 }, 0xff },
    { "Sapphire Rapids, a hypervisor without tiles",
        { LEAF1, AVX2 | F_DQ | BW_VL, VNNI, AMX_ALL | FP16, VEX_VNN | BF16, 0xe7 }, 0x3f },
};

Test(cpu, features_follow_from_the_processor_and_what_the_system_saves)
{
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        uint64_t found = ash_cpuid_features(&processors[i].id);
        cr_assert_eq(found, processors[i].expect, "%s: %#llx", processors[i].name,
            (unsigned long long)found);
    }
}

Test(cpu, this_machine_agrees_with_the_compiler)
{
    unsetenv("ASHLAR_CPU");
#if defined(__x86_64__)
    uint64_t found = ash_cpu_features();
    __builtin_cpu_init();
    cr_assert_eq(
        !!(found & ASH_CPU_AVX2), __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    cr_assert_eq(!!(found & ASH_CPU_AVX512), __builtin_cpu_supports("avx512bw") &&
                                                 __builtin_cpu_supports("avx512vl") &&
                                                 __builtin_cpu_supports("avx512dq"));
    cr_assert_eq(!!(found & ASH_CPU_AVX512_VNNI), !!__builtin_cpu_supports("avx512vnni"));
#elif defined(__aarch64__)
    cr_assert(ash_cpu_features() & ASH_CPU_NEON);
#endif
}

Test(cpu, the_environment_lowers_the_set_and_never_raises_it)
{
    unsetenv("ASHLAR_CPU");
    static const struct {
        const char *wish;
        uint64_t allowed;
    } wishes[] = {
        { "none", 0 },
        { "avx2", ASH_CPU_AVX2 },
        { "avx512", ASH_CPU_AVX2 | ASH_CPU_AVX512 },
        { "all", UINT64_MAX },
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        uint64_t allowed;
        cr_assert_eq(ash_cpu_parse(wishes[i].wish, &allowed), ASH_OK);
        cr_assert_eq(allowed & ~wishes[i].allowed, 0u, "%s", wishes[i].wish);
    }
    setenv("ASHLAR_CPU", "avx2", 1);
    cr_assert_eq(ash_cpu_override_check(), ASH_OK);
    cr_assert_eq(ash_cpu_features() & ~(uint64_t)ASH_CPU_AVX2, 0u);
}

Test(cpu, a_name_brings_what_it_builds_on)
{
    uint64_t set;
    cr_assert_eq(ash_cpu_parse("amx_int8,avx512_bf16", &set), ASH_OK);
    cr_assert_eq(set, (uint64_t)(ASH_CPU_AVX2 | ASH_CPU_AVX512 | ASH_CPU_AVX512_VNNI |
                                 ASH_CPU_AVX512_BF16 | ASH_CPU_AMX_INT8));
}

Test(cpu, a_name_nobody_knows_is_an_error_that_lists_the_names)
{
    const char *const wrong[] = { "", "avx", "avx2+", "+avx2", "AVX2", "avx2 avx512", "none,sse9" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint64_t set = 42;
        cr_assert_eq(ash_cpu_parse(wrong[i], &set), ASH_ERR_ARGUMENT, "%s", wrong[i]);
        cr_assert_eq(set, 42u);
        cr_assert(strstr(ash_error(), "avx512_vnni"), "%s", ash_error());
    }
    unsetenv("ASHLAR_CPU");
    uint64_t all = ash_cpu_features();
    setenv("ASHLAR_CPU", "fast", 1);
    cr_assert_eq(ash_cpu_override_check(), ASH_ERR_ARGUMENT);
    cr_assert(strstr(ash_error(), "ASHLAR_CPU"));
    cr_assert_eq(ash_cpu_features(), all);
}

Test(cpu, a_limit_takes_along_what_builds_on_it_and_can_be_lifted)
{
    uint64_t all = ash_cpu_features();
    ash_cpu_features_limit(~(uint64_t)ASH_CPU_AVX512);
    cr_assert_eq(ash_cpu_features(), all & (ASH_CPU_AVX2 | ASH_CPU_AVX_VNNI | 0x7f00));
    ash_cpu_features_limit(0);
    cr_assert_eq(ash_cpu_features(), 0u);
    ash_cpu_features_limit(UINT64_MAX);
    cr_assert_eq(ash_cpu_features(), all);
}

Test(cpu, names_and_descriptions)
{
    char text[64];
    cr_assert_str_eq(ash_cpu_feature_name(ASH_CPU_AVX512_VNNI), "avx512_vnni");
    cr_assert_null(ash_cpu_feature_name(ASH_CPU_AVX2 | ASH_CPU_AVX512));
    cr_assert_null(ash_cpu_feature_name(0));
    cr_assert_str_eq(ash_cpu_describe(0, text, sizeof text), "none");
    cr_assert_str_eq(
        ash_cpu_describe(ASH_CPU_AVX2 | ASH_CPU_AVX512, text, sizeof text), "avx2 avx512");
    cr_assert_str_eq(ash_cpu_describe(UINT64_MAX, text, 8), "avx2 av");
    for (int i = 0; i < ASH_CPU_FEATURE_COUNT; i++)
        cr_assert_not_null(ash_cpu_feature_name(UINT64_C(1) << i));
}
