/* SPDX-License-Identifier: Apache-2.0 */
/* The settings in force, as a configuration that gives them again. */
#include "runtime/json.h"
#include "tools/ashlar/commands.h"

#include <stdlib.h>
#include <string.h>

struct options {
    bool json;
    bool defaults;
};

static const struct ash_option options[] = {
    { .name = "json",
        .offset = offsetof(struct options, json),
        .help = "write JSON, with where each value came from" },
    { .name = "defaults",
        .offset = offsetof(struct options, defaults),
        .help = "write the defaults instead: a configuration to start from" },
    { .name = NULL },
};

/* A YAML scalar of any text: double quoted, as JSON quotes. */
static void put_value(const struct ash_setting *setting, const char *text)
{
    char quoted[8192];
    if (setting->type == ASH_SETTING_TEXT || setting->type == ASH_SETTING_PATH)
        printf(
            "%s: %s\n", setting->name, ash_json_quote(text, strlen(text), quoted, sizeof quoted));
    else
        printf("%s: %s\n", setting->name, text);
}

static enum ash_status print_yaml(const struct ash_config *config, bool defaults)
{
    for (const struct ash_setting *setting = ash_settings(); setting->name; setting++) {
        char value[4096], variable[64];
        ash_config_describe(config, setting, value, sizeof value);
        printf("# %s\n# %s; %s\n", setting->help,
            ash_setting_variable(setting, variable, sizeof variable),
            defaults ? "the default" : ash_config_source_name(config, setting));
        put_value(setting, defaults ? setting->fallback : value);
        putchar('\n');
    }
    return ASH_OK;
}

static json_t *setting_json(const struct ash_config *config, const struct ash_setting *setting)
{
    char text[4096];
    ash_config_describe(config, setting, text, sizeof text);
    json_t *value = setting->type == ASH_SETTING_INTEGER
                        ? json_integer((json_int_t)strtoll(text, NULL, 10))
                        : ash_json_text(text, strlen(text));
    return json_pack(
        "{s:o, s:s}", "value", value, "source", ash_config_source_name(config, setting));
}

static enum ash_status print_json(const struct ash_config *config)
{
    json_t *object = json_object();
    for (const struct ash_setting *setting = ash_settings(); setting->name && object; setting++) {
        if (json_object_set_new(object, setting->name, setting_json(config, setting)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    enum ash_status status = ash_json_print(object, stdout);
    json_decref(object);
    return status;
}

static enum ash_status run(struct ash_cli *cli)
{
    const struct options *chosen = cli->options;
    if (chosen->json && chosen->defaults)
        return ash_fail(ASH_ERR_ARGUMENT, "config: --json and --defaults do not go together");
    return chosen->json ? print_json(&cli->config) : print_yaml(&cli->config, chosen->defaults);
}

static const struct ash_example examples[] = {
    { "ashlar config --defaults > ~/.config/ashlar/config.yaml", "Start a configuration." },
    { "ASHLAR_THREADS=2 ashlar config --json", "See what is in force, and why." },
    { NULL, NULL },
};

const struct ash_command ash_command_config = {
    .name = "config",
    .summary = "show the settings in force and where they come from",
    .description =
        "Reads the configuration as every command does and writes the result as YAML, which "
        "can be used as a configuration again.",
    .options = options,
    .options_bytes = sizeof(struct options),
    .examples = examples,
    .run = run,
};
