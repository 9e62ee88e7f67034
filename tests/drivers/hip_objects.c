/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the compiler made of the kernels for AMD's cards, by the notes in the objects (LLVM's "User Guide for
 * AMDGPU Backend", code object V5 metadata): nothing spilled to memory, and registers and local memory
 * left for at least two work-groups on a compute unit.
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
    cr_assert_leq(registers, strcmp(arch, "gfx906") == 0 ? MOST_OF_GFX906 : MOST_VECTOR_REGISTERS,
        "%s, %.*s: %llu vector registers", arch, length, text, (unsigned long long)registers);
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
