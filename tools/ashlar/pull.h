/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/ashlar/cli.h"

struct ash_pull_options {
    bool json;
    const char *sha256;
    const char *file;
};

/* In `ashlar`: becomes the program ashlar-pull. In that one: pulls. */
enum ash_status ash_pull_run(struct ash_cli *cli);
