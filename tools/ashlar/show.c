/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/show.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

char *ash_show_bytes(uint64_t bytes, char out[ASH_SHOW_BYTES])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (bytes < 1024) {
        snprintf(out, ASH_SHOW_BYTES, "%u B", (unsigned)bytes);
        return out;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    for (; value >= 1023.95 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    snprintf(out, ASH_SHOW_BYTES, "%.*f %s", value < 99.95 ? 1 : 0, value, units[unit]);
    return out;
}

char *ash_show_seconds(double seconds, char out[ASH_SHOW_BYTES])
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(out, ASH_SHOW_BYTES, "-");
        return out;
    }
    unsigned whole = (unsigned)(seconds + 0.5), hours = whole / 3600, minutes = whole / 60 % 60;
    if (hours)
        snprintf(out, ASH_SHOW_BYTES, "%u:%02u:%02u", hours, minutes, whole % 60);
    else
        snprintf(out, ASH_SHOW_BYTES, "%u:%02u", minutes, whole % 60);
    return out;
}

static int width_in_locale(const char *text)
{
    int width = 0;
    mbstate_t state = { 0 };
    for (size_t left = strlen(text); left > 0;) {
        wchar_t letter;
        size_t bytes = mbrtowc(&letter, text, left, &state);
        int columns = 1;
        if (bytes == (size_t)-1 || bytes == (size_t)-2) {
            memset(&state, 0, sizeof state);
            bytes = 1;
        } else {
            columns = wcwidth(letter);
        }
        width += columns > 0 ? columns : 0;
        text += bytes;
        left -= bytes;
    }
    return width;
}

int ash_show_width(const char *text)
{
    /* glibc has C.UTF-8 built in; our texts are UTF-8 whatever the user's locale says. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return (int)strlen(text);
    locale_t before = uselocale(utf8);
    int width = width_in_locale(text);
    uselocale(before);
    freelocale(utf8);
    return width;
}
