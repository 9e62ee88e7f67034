/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cpu.h"

#include "runtime/cpu_internal.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* In the order of the bits. `needs` comes earlier in the table, so that one pass closes a set. */
static const struct {
    const char *name;
    uint64_t needs;
} infos[ASH_CPU_FEATURE_COUNT] = {
    { "avx2", 0 },
    { "avx_vnni", ASH_CPU_AVX2 },
    { "avx512", ASH_CPU_AVX2 },
    { "avx512_vnni", ASH_CPU_AVX512 },
    { "avx512_bf16", ASH_CPU_AVX512 },
    { "avx512_fp16", ASH_CPU_AVX512 },
    { "amx_int8", ASH_CPU_AVX512_VNNI },
    { "amx_bf16", ASH_CPU_AVX512_BF16 },
    { "neon", 0 },
    { "neon_fp16", ASH_CPU_NEON },
    { "neon_dotprod", ASH_CPU_NEON },
    { "neon_i8mm", ASH_CPU_NEON_DOTPROD },
    { "neon_bf16", ASH_CPU_NEON },
    { "sve", ASH_CPU_NEON },
    { "sve2", ASH_CPU_SVE },
};

/* Drops what builds on something missing. */
static uint64_t without_orphans(uint64_t features)
{
    for (int i = 0; i < ASH_CPU_FEATURE_COUNT; i++)
        if (infos[i].needs & ~features)
            features &= ~(UINT64_C(1) << i);
    return features;
}

/* Adds what the members build on. */
static uint64_t with_needs(uint64_t features)
{
    for (int i = ASH_CPU_FEATURE_COUNT - 1; i >= 0; i--)
        if (features >> i & 1)
            features |= infos[i].needs;
    return features;
}

uint64_t ash_cpuid_features(const struct ash_cpuid *id)
{
    enum { YMM = 0x6, ZMM = 0xe6, TILES = 0x60000 }; /* the register files in XCR0 */
    const uint32_t fma_avx_f16c = 1u << 12 | 1u << 28 | 1u << 29;
    const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const bool ymm = (id->xcr0 & YMM) == YMM, zmm = (id->xcr0 & ZMM) == ZMM;
    const bool tiles = (id->xcr0 & TILES) == TILES && id->leaf7_edx >> 24 & 1;
    const bool avx = ymm && (id->leaf1_ecx & fma_avx_f16c) == fma_avx_f16c;
    uint64_t found = 0;
    if (avx && id->leaf7_ebx >> 5 & 1)
        found |= ASH_CPU_AVX2;
    if (id->leaf7_1_eax >> 4 & 1)
        found |= ASH_CPU_AVX_VNNI;
    if (zmm && (id->leaf7_ebx & f_dq_bw_vl) == f_dq_bw_vl)
        found |= ASH_CPU_AVX512;
    if (id->leaf7_ecx >> 11 & 1)
        found |= ASH_CPU_AVX512_VNNI;
    if (id->leaf7_1_eax >> 5 & 1)
        found |= ASH_CPU_AVX512_BF16;
    if (id->leaf7_edx >> 23 & 1)
        found |= ASH_CPU_AVX512_FP16;
    if (tiles && id->leaf7_edx >> 25 & 1)
        found |= ASH_CPU_AMX_INT8;
    if (tiles && id->leaf7_edx >> 22 & 1)
        found |= ASH_CPU_AMX_BF16;
    return without_orphans(found);
}

#if defined(__x86_64__)

static struct ash_cpuid read_cpuid(void)
{
    struct ash_cpuid id = { 0 };
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &id.leaf1_ecx, &edx) && id.leaf1_ecx >> 27 & 1) {
        uint32_t low, high; /* OSXSAVE: XGETBV may be executed */
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        id.xcr0 = (uint64_t)high << 32 | low;
    }
    if (__get_cpuid_count(7, 0, &eax, &id.leaf7_ebx, &id.leaf7_ecx, &id.leaf7_edx) && eax >= 1)
        __get_cpuid_count(7, 1, &id.leaf7_1_eax, &ebx, &ecx, &edx);
    return id;
}

static uint64_t detect(void)
{
    struct ash_cpuid id = read_cpuid();
    return ash_cpuid_features(&id);
}

/* Linux 5.16 and later; older kernels refuse, and have no tile state to save either. */
static bool tiles_granted(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

#elif defined(__aarch64__)

static uint64_t detect(void)
{
    /* linux/arch/arm64/include/uapi/asm/hwcap.h; by number, as old headers lack the later ones. */
    static const struct {
        unsigned long type;
        int bit;
        uint64_t feature;
    } caps[] = {
        { AT_HWCAP, 1, ASH_CPU_NEON },
        { AT_HWCAP, 10, ASH_CPU_NEON_FP16 },
        { AT_HWCAP, 20, ASH_CPU_NEON_DOTPROD },
        { AT_HWCAP2, 13, ASH_CPU_NEON_I8MM },
        { AT_HWCAP2, 14, ASH_CPU_NEON_BF16 },
        { AT_HWCAP, 22, ASH_CPU_SVE },
        { AT_HWCAP2, 1, ASH_CPU_SVE2 },
    };
    uint64_t found = 0;
    for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
        if (getauxval(caps[i].type) >> caps[i].bit & 1)
            found |= caps[i].feature;
    return without_orphans(found);
}

static bool tiles_granted(void)
{
    return false;
}

#else

static uint64_t detect(void)
{
    return 0;
}

static bool tiles_granted(void)
{
    return false;
}

#endif

/* What the machine, the system and ASHLAR_CPU leave; KNOWN once it has been found. */
static const uint64_t KNOWN = UINT64_C(1) << 63;
static _Atomic uint64_t usable;
static _Atomic uint64_t limit = UINT64_MAX;

static uint64_t find_usable(void)
{
    const uint64_t amx = ASH_CPU_AMX_INT8 | ASH_CPU_AMX_BF16;
    uint64_t found = detect(), allowed;
    const char *wish = getenv("ASHLAR_CPU");
    if (wish && ash_cpu_parse(wish, &allowed) == ASH_OK)
        found &= allowed;
    if (found & amx && !tiles_granted())
        found &= ~amx;
    return found;
}

uint64_t ash_cpu_features(void)
{
    uint64_t word = atomic_load_explicit(&usable, memory_order_relaxed);
    if (!(word & KNOWN)) { /* two threads may both look; they find the same */
        word = find_usable() | KNOWN;
        atomic_store_explicit(&usable, word, memory_order_relaxed);
    }
    return word & ~KNOWN & atomic_load_explicit(&limit, memory_order_relaxed);
}

void ash_cpu_features_limit(uint64_t allowed)
{
    atomic_store_explicit(&limit, without_orphans(allowed), memory_order_relaxed);
}

enum ash_status ash_cpu_override_check(void)
{
    const char *wish = getenv("ASHLAR_CPU");
    uint64_t ignored;
    return wish ? ash_fail_in(ash_cpu_parse(wish, &ignored), "ASHLAR_CPU") : ASH_OK;
}

/* The set that one name stands for; false if there is no such name. */
static bool named_set(const char *name, size_t length, uint64_t *out)
{
    if (length == 4 && memcmp(name, "none", 4) == 0) {
        *out = 0;
        return true;
    }
    if (length == 3 && memcmp(name, "all", 3) == 0) {
        *out = (UINT64_C(1) << ASH_CPU_FEATURE_COUNT) - 1;
        return true;
    }
    for (int i = 0; i < ASH_CPU_FEATURE_COUNT; i++)
        if (strlen(infos[i].name) == length && memcmp(name, infos[i].name, length) == 0) {
            *out = UINT64_C(1) << i;
            return true;
        }
    return false;
}

enum ash_status ash_cpu_parse(const char *text, uint64_t *out)
{
    uint64_t set = 0, one;
    for (const char *at = text;; at++) {
        size_t length = strcspn(at, "+,");
        if (!named_set(at, length, &one)) {
            char names[256];
            return ash_fail(ASH_ERR_ARGUMENT,
                "no CPU feature is called \"%.*s\"; choose none, all, or some of: %s",
                length > 64 ? 64 : (int)length, at,
                ash_cpu_describe(UINT64_MAX, names, sizeof names));
        }
        set |= one;
        at += length;
        if (*at == '\0')
            break;
    }
    *out = with_needs(set);
    return ASH_OK;
}

const char *ash_cpu_feature_name(uint64_t feature)
{
    for (int i = 0; i < ASH_CPU_FEATURE_COUNT; i++)
        if (feature == UINT64_C(1) << i)
            return infos[i].name;
    return NULL;
}

char *ash_cpu_describe(uint64_t features, char *text, size_t capacity)
{
    snprintf(text, capacity, "none");
    size_t used = 0;
    for (int i = 0; i < ASH_CPU_FEATURE_COUNT && used < capacity; i++)
        if (features >> i & 1)
            used += (size_t)snprintf(
                text + used, capacity - used, "%s%s", used ? " " : "", infos[i].name);
    return text;
}
