/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cgroup_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool ash_cgroup_read(const char *directory, const char *name, char *text, size_t capacity)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return false;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t length = read(file, text, capacity - 1);
    close(file);
    text[length < 0 ? 0 : length] = '\0';
    return length >= 0;
}

int64_t ash_cgroup_number(const char *directory, const char *name, int64_t otherwise)
{
    char text[64];
    int64_t number;
    return ash_cgroup_read(directory, name, text, sizeof text) &&
                   sscanf(text, "%" SCNd64, &number) == 1
               ? number
               : otherwise;
}

/* The smallest answer of `group` below `mount` and of all its parents. */
static int64_t least_on_path(
    const char *mount, const char *group, int64_t (*ask)(const char *directory))
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", mount, group) >= (int)sizeof path)
        return INT64_MAX;
    int64_t least = INT64_MAX;
    for (size_t end = strlen(path); end >= strlen(mount); end--) {
        if (path[end] != '/' && path[end] != '\0')
            continue;
        path[end] = '\0';
        int64_t here = ask(path);
        least = here < least ? here : least;
    }
    return least;
}

/* Is `name` one of the comma-separated controllers? "cpuset" and "cpuacct" are not "cpu". */
static bool lists(const char *controllers, const char *name)
{
    for (const char *at = controllers;; at++) {
        size_t length = strcspn(at, ",");
        if (length == strlen(name) && memcmp(at, name, length) == 0)
            return true;
        at += length;
        if (*at == '\0')
            return false;
    }
}

/* A line of /proc/self/cgroup, "id:controllers:/path"; cut in place. */
static int64_t least_of_line(
    const char *root, char *line, const struct ash_cgroup_question *question)
{
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return INT64_MAX;
    *group++ = '\0';
    controllers++;
    const bool v2 = *controllers == '\0';
    if (!v2 && !lists(controllers, question->controller))
        return INT64_MAX;
    char mount[PATH_MAX];
    int length =
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s%s", root, v2 ? "" : "/", controllers);
    if (length >= (int)sizeof mount)
        return INT64_MAX;
    return least_on_path(mount, group, v2 ? question->v2 : question->v1);
}

int64_t ash_cgroup_least(const char *root, const struct ash_cgroup_question *question)
{
    char directory[PATH_MAX], text[8192];
    if (snprintf(directory, sizeof directory, "%s/proc/self", root) >= (int)sizeof directory ||
        !ash_cgroup_read(directory, "cgroup", text, sizeof text))
        return INT64_MAX;
    int64_t least = INT64_MAX;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        int64_t here = least_of_line(root, line, question);
        least = here < least ? here : least;
    }
    return least;
}
