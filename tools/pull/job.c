/* SPDX-License-Identifier: Apache-2.0 */
/* One file on its way: its paths, its lock, room on the disk, and what is cleared away. */
#include "runtime/directory.h"
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_POLL_MS = 100 };

enum ash_status ash_pull_tick(
    const struct ash_pull_job *job, enum ash_pull_phase phase, uint64_t done, uint64_t total)
{
    const struct ash_pull *pull = job->pull;
    if (pull->progress && !pull->progress(pull->context, phase, done, total))
        return ash_fail(ASH_ERR_CANCELED, "stopped; the same command goes on from here");
    return ASH_OK;
}

enum ash_status ash_pull_fail_directory(const char *directory, int error)
{
    return ash_fail(error == ENOMEM ? ASH_ERR_NO_MEMORY : ASH_ERR_IO,
        "cannot write to the models directory %s: %s; choose another with models_dir "
        "(ASHLAR_MODELS_DIR)",
        directory, strerror(error));
}

/* Waits for the lock of an open file. */
static enum ash_status wait_for_lock(const struct ash_pull_job *job, int fd)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return ash_fail(ASH_ERR_IO, "cannot lock %s: %s", job->lock, strerror(errno));
        ASH_TRY(ash_pull_tick(job, ASH_PULL_WAITING, 0, 0));
        nanosleep(&(struct timespec){ .tv_nsec = LOCK_POLL_MS * 1000000L }, NULL);
    }
    return ASH_OK;
}

/* The holder removes the file before it lets go, so a lock counts only while the name leads to it. */
static enum ash_status take_lock(struct ash_pull_job *job)
{
    for (;;) {
        struct stat mine, named;
        int fd = open(job->lock, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
        if (fd < 0)
            return ash_pull_fail_directory(job->pull->models_dir, errno);
        enum ash_status status = wait_for_lock(job, fd);
        if (status != ASH_OK) {
            close(fd);
            return status;
        }
        if (fstat(fd, &mine) == 0 && stat(job->lock, &named) == 0 && mine.st_ino == named.st_ino) {
            job->lock_fd = fd;
            return ASH_OK;
        }
        close(fd);
    }
}

enum ash_status ash_pull_job_name(
    const struct ash_pull *pull, const char *file, struct ash_pull_job *out)
{
    const char *directory = pull->models_dir;
    *out = (struct ash_pull_job){ .pull = pull,
        .file = file,
        .path = ash_format("%s/%s", directory, file),
        .part = ash_format("%s/%s.part", directory, file),
        .tag = ash_format("%s/.%s.etag", directory, file),
        .work = ash_format("%s/.%s.wheel", directory, file),
        .lock = ash_format("%s/.%s.lock", directory, file),
        .lock_fd = -1 };
    if (!out->path || !out->part || !out->tag || !out->work || !out->lock)
        return ash_fail_memory(strlen(directory) + strlen(file), "the paths of a pull");
    return ASH_OK;
}

enum ash_status ash_pull_job_init(const struct ash_pull *pull, const char *file, const char *sha256,
    uint64_t size_bytes, struct ash_pull_job *out)
{
    ASH_TRY(ash_pull_job_name(pull, file, out));
    out->sha256 = sha256;
    out->size_bytes = size_bytes;
    int error = ash_directory_make(pull->models_dir, 0755);
    if (error)
        return ash_pull_fail_directory(pull->models_dir, error);
    return take_lock(out);
}

void ash_pull_job_finish(struct ash_pull_job *job)
{
    if (job->lock_fd >= 0) {
        unlink(job->lock);
        close(job->lock_fd);
    }
    ash_free(job->path);
    ash_free(job->part);
    ash_free(job->tag);
    ash_free(job->work);
    ash_free(job->lock);
}

enum ash_status ash_pull_check_space(const struct ash_pull_job *job, uint64_t needed)
{
    struct statvfs disk;
    if (statvfs(job->pull->models_dir, &disk) != 0)
        return ASH_OK; /* a disk that does not tell may still have room */
    uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (needed <= free_bytes)
        return ASH_OK;
    return ash_fail(ASH_ERR_IO,
        "%s needs %" PRIu64 " bytes more on the disk of %s, which has %" PRIu64
        " free; make room, or choose another models_dir",
        job->file, needed, job->pull->models_dir, free_bytes);
}

enum ash_status ash_pull_fail_write(
    const struct ash_pull_job *job, int error, uint64_t done, uint64_t total)
{
    if (error != ENOSPC && error != EDQUOT && error != EFBIG)
        return ash_pull_fail_directory(job->pull->models_dir, error);
    if (total > done)
        ASH_TRY(ash_pull_check_space(job, total - done));
    return ash_fail(ASH_ERR_IO,
        "%s: the disk is full after %" PRIu64 " of %" PRIu64
        " bytes (%s); make room and run the same command again",
        job->part, done, total, strerror(error));
}

int ash_pull_write(int fd, const void *bytes, size_t size_bytes)
{
    const char *from = bytes;
    while (size_bytes > 0) {
        ssize_t written = write(fd, from, size_bytes);
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            from += written;
            size_bytes -= (size_t)written;
        }
    }
    return 0;
}

void ash_pull_discard(const struct ash_pull_job *job)
{
    unlink(job->part);
    unlink(job->tag);
}

/* Calls `visit` for everything below `path`, contents before their folder; links are not followed. */
static void walk(const char *path, void (*visit)(const FTSENT *, void *), void *context)
{
    char *roots[] = { (char *)(uintptr_t)path, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; tree && (entry = fts_read(tree));)
        if (entry->fts_info != FTS_D)
            visit(entry, context);
    if (tree)
        fts_close(tree);
}

static void remove_one(const FTSENT *entry, void *context)
{
    (void)context;
    if (entry->fts_info == FTS_DP)
        rmdir(entry->fts_accpath);
    else
        unlink(entry->fts_accpath);
}

void ash_pull_remove_tree(const char *path)
{
    walk(path, remove_one, NULL);
}

static void add_one(const FTSENT *entry, void *context)
{
    if (entry->fts_info == FTS_F)
        *(uint64_t *)context += (uint64_t)entry->fts_statp->st_size;
}

uint64_t ash_pull_tree_bytes(const char *path)
{
    uint64_t total = 0;
    walk(path, add_one, &total);
    return total;
}
