/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler made of the kernels for AMD's cards, by the notes in the objects (LLVM's "User Guide for
 * AMDGPU Backend", code object V5 metadata): nothing spilled to memory, and registers and local memory
 * left for at least two work-groups on a compute unit. And that those which are for matrix cores use them, by
 * their code.
 */
#include "drivers/hip/hip_arch.h"
#include "kernels/device_layout.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_VECTOR_REGISTERS = 176, /* a lane has 512, from gfx10 on more, for two groups' waves */
    MOST_OF_GFX906 = 128,        /* which has 256 */
    MOST_OF_RDNA3 = 200,         /* of 1,024 or more for a lane of 32, which four waves share */
    MOST_SCALAR_SPILLS = 16,     /* into lanes of vector registers, never into memory */
    MOST_LOCAL_BYTES = 32 << 10, /* of 64 KiB; what drivers/opencl asks of any card, too */
    LEAST_KERNELS = 50,
    NOTE_METADATA = 32
};

struct most {
    uint64_t vector_registers, vector_spills, scalar_spills, local_bytes, scratch_bytes;
    int kernels;
};

static const msgpack_object *find(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (pair->key.type == MSGPACK_OBJECT_STR && pair->key.via.str.size == strlen(key) &&
            memcmp(pair->key.via.str.ptr, key, strlen(key)) == 0)
            return &pair->val;
    }
    cr_assert_fail("the notes have no %s", key);
    return NULL;
}

static uint64_t number(const msgpack_object *map, const char *key)
{
    const msgpack_object *value = find(map, key);
    cr_assert_eq(value->type, MSGPACK_OBJECT_POSITIVE_INTEGER, "%s is no number", key);
    return value->via.u64;
}

static void raise_to(uint64_t *most, uint64_t value)
{
    *most = value > *most ? value : *most;
}

static uint64_t most_registers(const char *arch)
{
    if (strcmp(arch, "gfx906") == 0)
        return MOST_OF_GFX906;
    return strncmp(arch, "gfx11", 5) == 0 ? MOST_OF_RDNA3 : MOST_VECTOR_REGISTERS;
}

static void check_kernel(const char *arch, const msgpack_object *kernel, struct most *most)
{
    const msgpack_object *name = find(kernel, ".name");
    int length = (int)name->via.str.size;
    const char *text = name->via.str.ptr;
    uint64_t registers = number(kernel, ".vgpr_count");
    uint64_t spills = number(kernel, ".vgpr_spill_count");
    uint64_t scalar_spills = number(kernel, ".sgpr_spill_count");
    uint64_t scratch = number(kernel, ".private_segment_fixed_size");
    uint64_t local = number(kernel, ".group_segment_fixed_size");
    cr_assert_leq(registers, most_registers(arch), "%s, %.*s: %llu vector registers", arch, length,
        text, (unsigned long long)registers);
    cr_assert(spills == 0 && scratch == 0, "%s, %.*s: %llu registers in %llu bytes of memory", arch,
        length, text, (unsigned long long)spills, (unsigned long long)scratch);
    cr_assert_leq(scalar_spills, MOST_SCALAR_SPILLS, "%s, %.*s", arch, length, text);
    cr_assert_leq(local, MOST_LOCAL_BYTES, "%s, %.*s: %llu bytes of local memory", arch, length,
        text, (unsigned long long)local);
    cr_assert_eq(
        number(kernel, ".max_flat_workgroup_size"), DEVICE_GROUP, "%s, %.*s", arch, length, text);
    raise_to(&most->vector_registers, registers);
    raise_to(&most->scalar_spills, scalar_spills);
    raise_to(&most->local_bytes, local);
    most->kernels++;
}

static void check_metadata(
    const char *arch, const char *bytes, size_t size_bytes, struct most *most)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    cr_assert_eq(msgpack_unpack_next(&unpacked, bytes, size_bytes, NULL), MSGPACK_UNPACK_SUCCESS,
        "%s", arch);
    const msgpack_object *kernels = find(&unpacked.data, "amdhsa.kernels");
    cr_assert_eq(kernels->type, MSGPACK_OBJECT_ARRAY);
    for (uint32_t i = 0; i < kernels->via.array.size; i++)
        check_kernel(arch, &kernels->via.array.ptr[i], most);
    msgpack_unpacked_destroy(&unpacked);
}

/* Finds the AMDGPU note of an object that this build has made itself. */
static void check_object(const struct hip_object *object, struct most *most)
{
    Elf64_Ehdr header;
    memcpy(&header, object->bytes, sizeof header);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, object->bytes + header.e_phoff + i * sizeof segment, sizeof segment);
        for (size_t at = 0;
             segment.p_type == PT_NOTE && at + sizeof(Elf64_Nhdr) <= segment.p_filesz;) {
            Elf64_Nhdr note;
            const unsigned char *from = object->bytes + segment.p_offset + at;
            memcpy(&note, from, sizeof note);
            size_t name_bytes = (note.n_namesz + 3u) / 4 * 4;
            if (note.n_type == NOTE_METADATA)
                check_metadata(object->arch, (const char *)from + sizeof note + name_bytes,
                    note.n_descsz, most);
            at += sizeof note + name_bytes + (note.n_descsz + 3u) / 4 * 4;
        }
    }
}

/* ---- Matrix cores ---- */

/* The upper halves of the instructions' first words: in LLVM's VOP3PInstructions.td, and in its disassembly.
 * A wave has 4 tiles of sums in matmul_matrix and 16 in the wide one if it has 64 lanes, else 2 and 8. */
static const struct cores {
    const char *arch, *program;
    unsigned instruction;
    int each, wide; /* instructions for a step of K */
} cores[] = {
    { "gfx90a", "matmul_mfma", 0xd3e7, 8, 32 },  /* v_mfma_f32_16x16x16_bf16_1k */
    { "gfx942", "matmul_mfma", 0xd3e1, 8, 32 },  /* v_mfma_f32_16x16x16_bf16 */
    { "gfx950", "matmul_mfma", 0xd3b5, 4, 16 },  /* v_mfma_f32_16x16x32_bf16 */
    { "gfx1100", "matmul_wmma", 0xcc41, 4, 16 }, /* v_wmma_f32_16x16x16_bf16 */
    { "gfx1151", "matmul_wmma", 0xcc41, 4, 16 },
    { "gfx1201", "matmul_wmma12", 0xcc41, 4, 16 },
};

enum { CORE_KERNELS = 10 }; /* two for each of five types of weights */

static int count_instructions(const unsigned char *code, size_t size_bytes, unsigned instruction)
{
    int count = 0;
    for (size_t at = 0; at + 4 <= size_bytes; at += 4)
        count += (unsigned)(code[at + 2] | code[at + 3] << 8) == instruction;
    return count;
}

static Elf64_Shdr read_section(const unsigned char *bytes, const Elf64_Ehdr *header, unsigned index)
{
    Elf64_Shdr section;
    memcpy(&section, bytes + header->e_shoff + index * sizeof section, sizeof section);
    return section;
}

/* Whether the symbol is a kernel for matrix cores; then it must have as many instructions as it has tiles. */
static bool check_symbol(const struct hip_object *object, const struct cores *expected,
    const Elf64_Ehdr *header, const Elf64_Sym *symbol, const char *name)
{
    const size_t length = strlen(name);
    const bool wide = length > 5 && strcmp(name + length - 5, "_wide") == 0;
    if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || !strstr(name, "_matmul_matrix"))
        return false;
    cr_assert(expected, "%s has %s", object->arch, name);
    cr_assert(strncmp(name, expected->program, strlen(expected->program)) == 0, "%s has %s",
        object->arch, name);
    Elf64_Shdr code = read_section(object->bytes, header, symbol->st_shndx);
    int count = count_instructions(object->bytes + code.sh_offset + symbol->st_value - code.sh_addr,
        symbol->st_size, expected->instruction);
    cr_assert_eq(count, wide ? expected->wide : expected->each, "%s, %s: %d matrix instructions",
        object->arch, name, count);
    return true;
}

static void check_cores(const struct hip_object *object)
{
    const struct cores *expected = NULL;
    Elf64_Ehdr header;
    int found = 0;
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcmp(cores[i].arch, object->arch) == 0)
            expected = &cores[i];
    memcpy(&header, object->bytes, sizeof header);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr table = read_section(object->bytes, &header, i);
        if (table.sh_type != SHT_DYNSYM)
            continue;
        Elf64_Shdr names = read_section(object->bytes, &header, table.sh_link);
        for (size_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            memcpy(&symbol, object->bytes + table.sh_offset + at, sizeof symbol);
            found += check_symbol(object, expected, &header, &symbol,
                (const char *)object->bytes + names.sh_offset + symbol.st_name);
        }
    }
    cr_assert_eq(found, expected ? CORE_KERNELS : 0, "%s: %d kernels", object->arch, found);
}

Test(hip_objects, kernels_for_matrix_cores_are_made_of_their_instructions)
{
    if (!hip_objects[0].arch)
        cr_skip_test(
            "no kernels for AMD's cards: install clang-22 and lld-22, set the build up anew");
    for (const struct hip_object *object = hip_objects; object->arch; object++)
        if (strncmp(object->arch, "gfx", 3) == 0)
            check_cores(object);
}

Test(hip_objects, kernels_fit_the_cards_that_they_are_for)
{
    if (!hip_objects[0].arch)
        cr_skip_test(
            "no kernels for AMD's cards: install clang-22 and lld-22, set the build up anew");
    for (const struct hip_object *object = hip_objects; object->arch; object++) {
        struct most most = { 0 };
        if (strncmp(object->arch, "gfx", 3) != 0)
            continue; /* ptx.sh */
        check_object(object, &most);
        cr_assert_geq(most.kernels, LEAST_KERNELS, "%s: %d kernels", object->arch, most.kernels);
        fprintf(stderr,
            "%s: %d kernels; at most %llu vector registers, %llu scalar ones spilled to "
            "vectors, %llu bytes of local memory; none spilled to memory\n",
            object->arch, most.kernels, (unsigned long long)most.vector_registers,
            (unsigned long long)most.scalar_spills, (unsigned long long)most.local_bytes);
    }
}
