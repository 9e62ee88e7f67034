/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tools/ashlar/cli.h"

/* Every command, one a file of its name; commands.c lists them in the order of the help. */
extern const struct ash_command ash_command_bench;
extern const struct ash_command ash_command_completion;
extern const struct ash_command ash_command_config;
extern const struct ash_command ash_command_help;
extern const struct ash_command ash_command_info;
extern const struct ash_command ash_command_models;
extern const struct ash_command ash_command_perplexity;
extern const struct ash_command ash_command_plan;
extern const struct ash_command ash_command_pull;
extern const struct ash_command ash_command_run;
extern const struct ash_command ash_command_synthesize;
extern const struct ash_command ash_command_tokenize;
