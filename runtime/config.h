/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/text.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The settings of a program: one plain struct, filled once and read-only afterwards.
 *
 * A setting is a member of struct ash_config and one row of the table in config.c, which carries its
 * default, range, unit and help. Everything else derives from the row: the YAML key (batch_tokens),
 * the environment variable (ASHLAR_BATCH_TOKENS), the flag (--batch-tokens), help, man page and
 * completions. What each setting means is said there and nowhere else: `ashlar help config`.
 *
 * Threads: filled by one, read by any.
 */

/* Where a value came from, weakest first: a value never replaces one from a stronger source. */
enum ash_config_source {
    ASH_SOURCE_DEFAULT,
    ASH_SOURCE_SYSTEM_FILE, /* /etc/ashlar/config.yaml */
    ASH_SOURCE_USER_FILE,   /* $XDG_CONFIG_HOME/ashlar/config.yaml, or the file named instead */
    ASH_SOURCE_ENVIRONMENT, /* ASHLAR_<NAME> */
    ASH_SOURCE_FLAG,        /* --<name> */
};

enum { ASH_KV_AUTO = -1 }; /* the device's choice between F16 and BF16 */

enum ash_speculate { ASH_SPECULATE_AUTO, ASH_SPECULATE_OFF };

/* How the CPU chooses among the kernels that it can run. */
enum ash_kernel_choice { ASH_KERNELS_MEASURED, ASH_KERNELS_LISTED };

enum ash_color { ASH_COLOR_AUTO, ASH_COLOR_ALWAYS, ASH_COLOR_NEVER };

enum { ASH_MAX_SETTINGS = 64 };

/* Texts are owned by the struct and never NULL once ash_config_init() succeeded. */
struct ash_config {
    char *model;
    char *device;
    char *split;
    char *device_memory;
    int64_t threads;
    int kernels; /* enum ash_kernel_choice */
    int64_t context;
    int64_t batch_tokens;
    int64_t micro_batch;
    int kv_type; /* enum ash_type, or ASH_KV_AUTO */

    int speculate; /* enum ash_speculate */
    int64_t seed;
    char *models_dir;
    char *registry;
    char *cache_dir;
    char *kernel_dir;
    char *pjrt_plugin;
    int log_level;  /* enum ash_log_level */
    int log_format; /* enum ash_log_format */
    int color;      /* enum ash_color */

    uint8_t source[ASH_MAX_SETTINGS]; /* enum ash_config_source, in the table's order */
};

enum ash_setting_type {
    ASH_SETTING_INTEGER, /* int64_t within [least, most] */
    ASH_SETTING_CHOICE,  /* int, one of `choices` */
    ASH_SETTING_TEXT,    /* char *, at least one byte */
    ASH_SETTING_PATH,    /* char *; a leading ~ or $XDG_{CONFIG,DATA,CACHE}_HOME is replaced */
};

struct ash_setting {
    const char *name; /* the member, and the YAML key */
    char letter;      /* short flag; 0 = none */
    enum ash_setting_type type;
    size_t offset;       /* of the member */
    int64_t least, most; /* integers */
    const struct ash_choice *choices;
    const char *fallback; /* the default, as a user would write it */
    const char *unit;     /* what the flag's argument is called in help: "TOKENS" */
    const char *help;     /* one line, lower case, no full stop */
};

/* The table, ended by a NULL name. */
const struct ash_setting *ash_settings(void);

/* The setting whose name is `name`, where '-' and '_' are the same letter; NULL when there is none. */
const struct ash_setting *ash_setting_find(const char *name);

/* "ASHLAR_BATCH_TOKENS" and "batch-tokens", cut to `capacity` bytes; return `text`. */
char *ash_setting_variable(const struct ash_setting *setting, char *text, size_t capacity);
char *ash_setting_flag(const struct ash_setting *setting, char *text, size_t capacity);

/* Fills *out with the defaults. ASH_ERR_NO_MEMORY: nothing to finish. */
enum ash_status ash_config_init(struct ash_config *out);

/* Frees the texts. Takes NULL. */
void ash_config_finish(struct ash_config *config);

/*
 * Gives a setting the value that `text` spells, unless a stronger source has given one; a bad spelling
 * is ASH_ERR_ARGUMENT in either case. On failure nothing changed.
 */
enum ash_status ash_config_set(struct ash_config *config, const struct ash_setting *setting,
    const char *text, enum ash_config_source source);

/*
 * Reads one YAML document: a mapping of setting names to plain values. Messages start with "name:line".
 * A failed read may leave the settings before the fault set. `name` is for messages.
 *
 * ASH_ERR_FORMAT  not YAML, not such a mapping, an unknown or repeated key, a value out of range
 * ASH_ERR_LIMIT   more than 64 KiB
 */
enum ash_status ash_config_read_text(struct ash_config *config, const char *name, const char *text,
    size_t length, enum ash_config_source source);
enum ash_status ash_config_read_file(
    struct ash_config *config, const char *path, enum ash_config_source source);

/* Reads every ASHLAR_<NAME> that is set and not empty. Other names are left alone: Kubernetes sets
 * ASHLAR_SERVICE_HOST and the like for a service called ashlar. */
enum ash_status ash_config_read_environment(struct ash_config *config);

/*
 * Reads the files and the environment into a config that ash_config_init() made and flags may already
 * have changed: `file` (it must exist), or the files of the two standard places that do.
 */
enum ash_status ash_config_load(struct ash_config *config, const char *file);

/* The value as a user would write it, cut to `capacity` bytes; returns `text`. */
char *ash_config_describe(const struct ash_config *config, const struct ash_setting *setting,
    char *text, size_t capacity);

/* "default", "environment"...: never NULL. */
const char *ash_config_source_name(
    const struct ash_config *config, const struct ash_setting *setting);
