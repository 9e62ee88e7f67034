/* SPDX-License-Identifier: Apache-2.0 */
/* Copies a file of this machine; its own checksum, taken on the way, is what the copy must have. */
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20 };

struct copy {
    struct ash_pull_job *job;
    const char *path;
    int from, to;
    uint64_t total;
    EVP_MD_CTX *digest;
    char *chunk;
};

static enum ash_status copy_bytes(const struct copy *copy)
{
    for (uint64_t done = 0;;) {
        ssize_t got = read(copy->from, copy->chunk, CHUNK_BYTES);
        if (got < 0)
            return ash_fail(ASH_ERR_IO, "cannot read %s: %s", copy->path, strerror(errno));
        if (got == 0)
            return ASH_OK;
        EVP_DigestUpdate(copy->digest, copy->chunk, (size_t)got);
        int error = ash_pull_write(copy->to, copy->chunk, (size_t)got);
        if (error)
            return ash_pull_fail_write(copy->job, error, done, copy->total);
        done += (uint64_t)got;
        ASH_TRY(ash_pull_tick(copy->job, ASH_PULL_COPYING, done, copy->total));
    }
}

static enum ash_status pin_checksum(const struct copy *copy)
{
    struct ash_pull_job *job = copy->job;
    unsigned char sum[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(copy->digest, sum, NULL);
    for (int i = 0; i < 32; i++)
        snprintf(job->own_sha256 + 2 * i, 3, "%02x", sum[i]);
    if (job->sha256 && strcmp(job->sha256, job->own_sha256) != 0)
        return ash_fail(ASH_ERR_CHECKSUM, "%s: expected the SHA-256 %s, found %s", copy->path,
            job->sha256, job->own_sha256);
    job->sha256 = job->own_sha256;
    return ASH_OK;
}

static enum ash_status copy_open(struct copy *copy)
{
    struct stat info, present;
    if (fstat(copy->from, &info) != 0 || !S_ISREG(info.st_mode))
        return ash_fail(ASH_ERR_ARGUMENT, "%s is not a regular file", copy->path);
    if (stat(copy->job->path, &present) == 0 && present.st_dev == info.st_dev &&
        present.st_ino == info.st_ino)
        return ash_fail(ASH_ERR_ARGUMENT, "%s is in the models directory already", copy->path);
    copy->total = (uint64_t)info.st_size;
    ASH_TRY(ash_pull_check_space(copy->job, copy->total));
    copy->to = open(copy->job->part, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (copy->to < 0)
        return ash_pull_fail_write(copy->job, errno, 0, copy->total);
    copy->chunk = ash_alloc(CHUNK_BYTES);
    copy->digest = EVP_MD_CTX_new();
    if (!copy->chunk || !copy->digest || !EVP_DigestInit_ex(copy->digest, EVP_sha256(), NULL))
        return ash_fail_memory(CHUNK_BYTES, "a copy");
    ASH_TRY(copy_bytes(copy));
    return pin_checksum(copy);
}

enum ash_status ash_pull_from_file(struct ash_pull_job *job, const char *path)
{
    struct copy copy = { .job = job, .path = path, .to = -1 };
    copy.from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (copy.from < 0)
        return ash_fail(ASH_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum ash_status status = copy_open(&copy);
    close(copy.from);
    if (copy.to >= 0)
        close(copy.to);
    EVP_MD_CTX_free(copy.digest);
    ash_free(copy.chunk);
    if (status != ASH_OK && copy.to >= 0)
        ash_pull_discard(job); /* a copy is not gone on with */
    return status;
}
