/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML config of any bytes: settings or one message, and the same twice. */
#include "runtime/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum ash_status status[2];
    char error[2][1024], text[256];
    for (int i = 0; i < 2; i++) {
        struct ash_config config;
        if (ash_config_init(&config) != ASH_OK)
            abort();
        status[i] =
            ash_config_read_text(&config, "c.yaml", (const char *)data, size, ASH_SOURCE_USER_FILE);
        strcpy(error[i], status[i] == ASH_OK ? "" : ash_error());
        for (const struct ash_setting *setting = ash_settings(); setting->name; setting++)
            if (!*ash_config_describe(&config, setting, text, sizeof text))
                abort();
        ash_config_finish(&config);
    }
    if (status[0] != status[1] || strcmp(error[0], error[1]) != 0)
        abort();
    return 0;
}
