/* SPDX-License-Identifier: Apache-2.0 */
/* What pulls have left behind: how much it is, and away with it. Needs nothing that downloads. */
#include "tools/pull/pull_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All that a pull keeps of a file, so long as it is not the file itself. */
static uint64_t partial_bytes(const struct ash_pull_job *job)
{
    struct stat info;
    uint64_t part = stat(job->part, &info) == 0 ? (uint64_t)info.st_size : 0;
    return part + ash_pull_tree_bytes(job->work);
}

uint64_t ash_pull_partial_bytes(const char *models_dir, const char *file)
{
    struct ash_pull_job job;
    struct ash_pull pull = { .models_dir = models_dir };
    uint64_t bytes = ash_pull_job_name(&pull, file, &job) == ASH_OK ? partial_bytes(&job) : 0;
    ash_pull_job_finish(&job);
    return bytes;
}

static enum ash_status remove_all(const struct ash_pull_job *job, uint64_t *freed_out)
{
    struct stat info;
    uint64_t freed = partial_bytes(job);
    bool there = stat(job->path, &info) == 0;
    if (!there && freed == 0)
        return ash_fail(ASH_ERR_NOT_FOUND, "there is no %s", job->path);
    if (there && unlink(job->path) != 0)
        return ash_fail(ASH_ERR_IO, "cannot remove %s: %s", job->path, strerror(errno));
    ash_pull_discard(job);
    ash_pull_remove_tree(job->work);
    *freed_out = freed + (there ? (uint64_t)info.st_size : 0);
    return ASH_OK;
}

enum ash_status ash_pull_remove(const char *models_dir, const char *file, uint64_t *freed_out)
{
    struct ash_pull_job job;
    struct ash_pull pull = { .models_dir = models_dir };
    struct stat info;
    ASH_TRY(ash_model_check_file_name(file));
    if (stat(models_dir, &info) != 0)
        return ash_fail(ASH_ERR_NOT_FOUND, "there is no directory %s", models_dir);
    enum ash_status status = ash_pull_job_init(&pull, file, NULL, 0, &job);
    if (status == ASH_OK)
        status = remove_all(&job, freed_out);
    ash_pull_job_finish(&job);
    return status;
}
