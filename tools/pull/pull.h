/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "models/registry.h"

/*
 * Brings a model file into the models directory: whole and verified, or not at all.
 *
 * Everything lands in FILE.part beside its final name, is checked (size and SHA-256 where they are
 * known, that it is a sound GGUF file in any case), synced, and only then renamed. What an interrupted
 * download has is kept and gone on with by the next; what fails its check is removed. Two pulls of one
 * file wait for each other. Threads: one pull at a time in a process.
 */
enum ash_pull_phase {
    ASH_PULL_WAITING,     /* for another pull of the same file */
    ASH_PULL_DOWNLOADING, /* done and total: bytes of what travels */
    ASH_PULL_UNPACKING,
    ASH_PULL_COPYING,
    ASH_PULL_VERIFYING,
};

struct ash_pull {
    const struct ash_registry *registry;
    const char *models_dir; /* made when it does not exist */
    const char *sha256;     /* what the content of a URL or a file must have; NULL = anything */
    const char *file;       /* the name to give it; NULL = the registry's or the source's own */

    /* Called often, from this thread; `total` is 0 while unknown. Returns whether to go on. */
    bool (*progress)(void *context, enum ash_pull_phase phase, uint64_t done, uint64_t total);
    void *context;
};

struct ash_pull_result {
    char *path; /* the caller frees it */
    char sha256[65];
    uint64_t size_bytes;
    bool was_there; /* nothing had to be fetched */
};

/*
 * `what` is a URL (http, https, file), a name or alias of the registry, or the path of a file.
 *
 * ASH_ERR_NOT_FOUND    none of these; or the server has no such file
 * ASH_ERR_ARGUMENT     another scheme, or a name that no model file can have
 * ASH_ERR_NETWORK      the download failed or broke off; what there is of it is kept
 * ASH_ERR_IO           the directory cannot be written, or the disk is full: how much is missing
 * ASH_ERR_CHECKSUM     the content is not the pinned one
 * ASH_ERR_FORMAT, ASH_ERR_UNSUPPORTED  it is not a GGUF file, or not one this version reads
 * ASH_ERR_CANCELED     progress() said so
 * ASH_ERR_NO_MEMORY
 */
enum ash_status ash_pull(
    const struct ash_pull *pull, const char *what, struct ash_pull_result *out);

/*
 * Removes `file` from `models_dir`, with what an interrupted pull left of it; waits for a pull under way.
 * *freed_out: the bytes that were on the disk. ASH_ERR_NOT_FOUND: nothing of it is there. ASH_ERR_IO.
 */
enum ash_status ash_pull_remove(const char *models_dir, const char *file, uint64_t *freed_out);

/* Bytes of an interrupted pull of `file` that the next would go on with; 0 = none. */
uint64_t ash_pull_partial_bytes(const char *models_dir, const char *file);
