/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is asked of each control group between this process and the root; cgroups(7). */
struct ash_cgroup_question {
    const char *controller;               /* version 1's name: "cpu", "memory" */
    int64_t (*v1)(const char *directory); /* the limit there; INT64_MAX for none */
    int64_t (*v2)(const char *directory);
};

/*
 * The smallest answer of all groups that this process is in, INT64_MAX if there is none. `root` is
 * put before the system's paths: "" for the machine's own, a folder for a test's.
 */
int64_t ash_cgroup_least(const char *root, const struct ash_cgroup_question *question);

/* The start of the file directory/name as a string; false if it cannot be read. */
bool ash_cgroup_read(const char *directory, const char *name, char *text, size_t capacity);

/* The number that the file begins with; `otherwise` if there is none, as in "max". */
int64_t ash_cgroup_number(const char *directory, const char *name, int64_t otherwise);
