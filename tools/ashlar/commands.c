/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/commands.h"

const struct ash_command *const ash_commands[] = {
    &ash_command_run,
    &ash_command_pull,
    &ash_command_models,
    &ash_command_plan,
    &ash_command_bench,
    &ash_command_perplexity,
    &ash_command_tokenize,
    &ash_command_synthesize,
    &ash_command_info,
    &ash_command_config,
    &ash_command_completion,
    &ash_command_help,
    NULL,
};
