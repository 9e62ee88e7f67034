/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/build.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The linker's: where the program or library that holds this code begins in memory. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* Notes begin at multiples of 4: name and description are padded to that. */
static size_t padded(size_t bytes)
{
    return (bytes + 3) & ~(size_t)3;
}

/* The build ID among the notes, as digits into `text`; false if it is not there. */
static bool read_notes(const char *note, size_t left, char *text, size_t capacity)
{
    const size_t head = sizeof(ElfW(Nhdr));
    while (left >= head) {
        ElfW(Nhdr) info;
        memcpy(&info, note, head);
        size_t bytes = head + padded(info.n_namesz) + padded(info.n_descsz);
        if (bytes > left)
            return false;
        const char *name = note + head, *id = name + padded(info.n_namesz);
        if (info.n_type == NT_GNU_BUILD_ID && info.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            for (size_t i = 0; i < info.n_descsz && 2 * i + 3 <= capacity; i++)
                snprintf(text + 2 * i, 3, "%02x", (unsigned)(uint8_t)id[i]);
            return info.n_descsz > 0;
        }
        note += bytes;
        left -= bytes;
    }
    return false;
}

char *ash_build_describe(char *text, size_t capacity)
{
    const char *base = (const char *)&__ehdr_start;
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff), *load = NULL;
    for (int i = 0; i < __ehdr_start.e_phnum && !load; i++)
        if (segment[i].p_type == PT_LOAD)
            load = &segment[i];
    for (int i = 0; load && i < __ehdr_start.e_phnum; i++)
        if (segment[i].p_type == PT_NOTE && read_notes(base + (segment[i].p_vaddr - load->p_vaddr),
                                                segment[i].p_memsz, text, capacity))
            return text;
    snprintf(text, capacity, "%s", ASH_VERSION);
    return text;
}
