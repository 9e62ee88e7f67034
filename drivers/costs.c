/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/costs.h"

#include "runtime/affinity.h"
#include "runtime/build.h"
#include "runtime/hash.h"
#include "runtime/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char *ash_costs_identity(const struct ash_device_info *info)
{
    char build[64];
    return ash_format("%s, %s, %d processors, build %s", info->driver->name, info->name,
        ash_affinity_usable(), ash_build_describe(build, sizeof build));
}

char *ash_costs_path(const char *directory, const struct ash_device_info *info)
{
    char *identity = ash_costs_identity(info);
    char *path = NULL;
    if (identity)
        path = ash_format("%s/costs-%s-%016llx", directory, info->driver->name,
            (unsigned long long)ash_hash(ASH_HASH_BEGIN, identity, strlen(identity)));
    ash_free(identity);
    return path;
}

bool ash_costs_has_driver(const char *directory, const char *driver)
{
    char prefix[64];
    bool found = false;
    size_t length = (size_t)snprintf(prefix, sizeof prefix, "costs-%s-", driver);
    DIR *folder = opendir(directory);
    if (!folder)
        return false;
    for (const struct dirent *entry; !found && (entry = readdir(folder));)
        found = strncmp(entry->d_name, prefix, length) == 0;
    closedir(folder);
    return found;
}

bool ash_costs_has(const char *directory, const struct ash_device_info *info)
{
    char *path = ash_costs_path(directory, info);
    bool has = path && access(path, R_OK) == 0;
    ash_free(path);
    return has;
}
