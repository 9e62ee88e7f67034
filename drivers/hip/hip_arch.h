/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { HIP_ARCH_BYTES = 16 };

/*
 * Finds the name of a card's instruction set ("gfx90a") in a hipDeviceProp_t, wherever in it this version of
 * the library has put it: it stands there alone or with features behind it ("gfx90a:sramecc+:xnack-"),
 * which are left out. False if there is none, or another one besides.
 */
bool hip_arch_find(const void *properties, size_t size_bytes, char out[HIP_ARCH_BYTES]);

/* The kernels built for one instruction set. */
struct hip_object {
    const char *arch;
    const unsigned char *bytes; /* an ELF file */
    const size_t *size_bytes;
};

/* All that this build has; ends with one whose arch is NULL. */
extern const struct hip_object hip_objects[];

/* NULL if there are none for `arch`. */
const struct hip_object *hip_object_find(const char *arch);

/* "gfx906 gfx90a" into `text`, cut to `capacity` bytes, "" without any; returns text. */
char *hip_objects_describe(char *text, size_t capacity);
