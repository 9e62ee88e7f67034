/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/log.h"
#include "runtime/json.h"
#include "runtime/text.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

enum {
    MESSAGE_BYTES = 1024,
    LINE_BYTES = 6 * MESSAGE_BYTES + 256, /* every byte escaped as \u00XX, and what surrounds it */
};

static struct ash_log_options log_sink = { .program = "ashlar", .level = ASH_LOG_WARN };

static const char *const level_names[] = {
    [ASH_LOG_OFF] = "off",
    [ASH_LOG_ERROR] = "error",
    [ASH_LOG_WARN] = "warn",
    [ASH_LOG_INFO] = "info",
    [ASH_LOG_DEBUG] = "debug",
};

void ash_log_open(const struct ash_log_options *options)
{
    log_sink = *options;
}

bool ash_log_on(enum ash_log_level level)
{
    return level != ASH_LOG_OFF && level <= log_sink.level;
}

/* "ashlar: message"; what is no error says its level, and a failure is red where that is wanted. */
static int format_text(enum ash_log_level level, const char *message, char *line, size_t capacity)
{
    char visible[4 * MESSAGE_BYTES];
    ash_text_visible(message, visible, sizeof visible);
    const char *color = !log_sink.color          ? ""
                        : level == ASH_LOG_ERROR ? "\033[31m"
                        : level == ASH_LOG_WARN  ? "\033[33m"
                                                 : "\033[2m";
    const char *name = level == ASH_LOG_ERROR ? "" : level_names[level];
    return snprintf(line, capacity, "%s%s: %s%s%s%s\n", color,
        log_sink.program ? log_sink.program : "ashlar", name, *name ? ": " : "", visible,
        log_sink.color ? "\033[0m" : "");
}

static int format_json(enum ash_log_level level, const char *message, char *line, size_t capacity)
{
    char quoted[6 * MESSAGE_BYTES + 3], second[32];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc);
    return snprintf(line, capacity, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":%s}\n",
        second, now.tv_nsec / 1000000, level_names[level],
        ash_json_quote(message, strlen(message), quoted, sizeof quoted));
}

void ash_log(enum ash_log_level level, const char *format, ...)
{
    if (!ash_log_on(level))
        return;
    char message[MESSAGE_BYTES], line[LINE_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    int length = log_sink.format == ASH_LOG_JSON ? format_json(level, message, line, sizeof line)
                                                 : format_text(level, message, line, sizeof line);
    FILE *sink = log_sink.sink ? log_sink.sink : stderr;
    if (length > 0)
        fwrite(line, 1, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1, sink);
    fflush(sink);
}
