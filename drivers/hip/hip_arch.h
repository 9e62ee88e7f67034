/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { HIP_ARCH_BYTES = 16 };

/*
 * Finds the name of a card's instruction set ("gfx90a", or "sm_80" of hip_cuda.h) in a hipDeviceProp_t, wherever in it this version of
 * the library has put it: it stands there alone or with features behind it ("gfx90a:sramecc+:xnack-"),
 * which are left out. False if there is none, or another one besides.
 */
bool hip_arch_find(const void *properties, size_t size_bytes, char out[HIP_ARCH_BYTES]);

/* The kernels built for one instruction set. */
struct hip_object {
    const char *arch;
    const unsigned char *bytes; /* an ELF file; of "sm_70" PTX, text that ends with a 0 */
    const size_t *size_bytes;
};

/* All that this build has; ends with one whose arch is NULL. */
extern const struct hip_object hip_objects[];

/* NULL if there are none for `arch`. What is of "sm_70" suits every later card of NVIDIA: their driver
 * translates it. */
const struct hip_object *hip_object_find(const char *arch);

/* "gfx906 gfx90a" into `text`, those that begin with `prefix`, cut to `capacity` bytes, "" without any;
 * returns text. */
char *hip_objects_describe(const char *prefix, char *text, size_t capacity);
