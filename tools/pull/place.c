/* SPDX-License-Identifier: Apache-2.0 */
/* A file takes its place among the models whole and verified, or not at all. */
#include "models/gguf.h"
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 1 << 20 };

static enum ash_status digest_file(
    const struct ash_pull_job *job, int fd, uint64_t total, EVP_MD_CTX *digest, char *chunk)
{
    uint64_t done = 0;
    for (;;) {
        ssize_t got = read(fd, chunk, CHUNK_BYTES);
        if (got < 0)
            return ash_fail(ASH_ERR_IO, "cannot read %s: %s", job->file, strerror(errno));
        if (got == 0)
            return ASH_OK;
        EVP_DigestUpdate(digest, chunk, (size_t)got);
        done += (uint64_t)got;
        ASH_TRY(ash_pull_tick(job, ASH_PULL_VERIFYING, done, total));
    }
}

static enum ash_status sha256_file(
    const struct ash_pull_job *job, int fd, uint64_t total, char out[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char *chunk = ash_alloc(CHUNK_BYTES);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    enum ash_status status = ASH_OK;
    if (!chunk || !digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        status = ash_fail_memory(CHUNK_BYTES, "a checksum");
    if (status == ASH_OK)
        status = digest_file(job, fd, total, digest, chunk);
    if (status == ASH_OK) {
        EVP_DigestFinal_ex(digest, sum, NULL);
        for (int i = 0; i < 32; i++)
            snprintf(out + 2 * i, 3, "%02x", sum[i]);
    }
    EVP_MD_CTX_free(digest);
    ash_free(chunk);
    return status;
}

static enum ash_status verify_open(
    const struct ash_pull_job *job, const char *path, int fd, struct ash_pull_result *out)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return ash_fail(ASH_ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    out->size_bytes = (uint64_t)info.st_size;
    if (job->size_bytes && out->size_bytes != job->size_bytes)
        return ash_fail(ASH_ERR_CHECKSUM, "expected a file of %" PRIu64 " bytes, found %" PRIu64,
            job->size_bytes, out->size_bytes);
    ASH_TRY(sha256_file(job, fd, out->size_bytes, out->sha256));
    if (job->sha256 && strcmp(out->sha256, job->sha256) != 0)
        return ash_fail(
            ASH_ERR_CHECKSUM, "expected the SHA-256 %s, found %s", job->sha256, out->sha256);
    return ASH_OK;
}

enum ash_status ash_pull_verify(
    const struct ash_pull_job *job, const char *path, struct ash_pull_result *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ash_fail(errno == ENOENT ? ASH_ERR_NOT_FOUND : ASH_ERR_IO, "cannot open %s: %s",
            path, strerror(errno));
    enum ash_status status = verify_open(job, path, fd, out);
    close(fd);
    return status;
}

static enum ash_status sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    int error = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return error ? ash_fail(ASH_ERR_IO, "cannot sync %s: %s", path, strerror(error)) : ASH_OK;
}

/* The checksum says it is the right file; this says that it is a model at all. */
static enum ash_status check_model(const struct ash_pull_job *job)
{
    struct ash_gguf *gguf = NULL;
    ASH_TRY(ash_gguf_open(job->part, &gguf));
    ash_gguf_close(gguf);
    return ASH_OK;
}

enum ash_status ash_pull_place(const struct ash_pull_job *job, struct ash_pull_result *out)
{
    enum ash_status status = ash_pull_verify(job, job->part, out);
    if (status == ASH_OK)
        status = check_model(job);
    if (status == ASH_ERR_CHECKSUM || status == ASH_ERR_FORMAT || status == ASH_ERR_UNSUPPORTED)
        ash_pull_discard(job);
    ASH_TRY(status);
    ASH_TRY(sync_path(job->part, 0));
    if (rename(job->part, job->path) != 0)
        return ash_pull_fail_directory(job->pull->models_dir, errno);
    unlink(job->tag);
    ash_pull_remove_tree(job->work);
    return sync_path(job->pull->models_dir, O_DIRECTORY);
}
