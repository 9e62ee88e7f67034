/* SPDX-License-Identifier: Apache-2.0 */
#include "models/stop.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t find(const char *text, size_t length, const char *const *stops, size_t count)
{
    for (size_t end = 1; end <= length; end++) {
        size_t best = 0;
        for (size_t i = 0; i < count; i++) {
            size_t bytes = strlen(stops[i]);
            if (bytes <= end && bytes > best && !memcmp(text + end - bytes, stops[i], bytes))
                best = bytes;
        }
        if (best)
            return end - best;
    }
    return length;
}

/* Lines are stop strings up to an empty one; the rest is the stream, cut where its bytes say. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2000)
        return 0;
    char *input = calloc(size + 1, 1), *output = calloc(size + 1, 1), *rest = input;
    const char *stops[ASH_STOP_MAX_STRINGS];
    size_t count = 0, written = 0;
    memcpy(input, data, size);
    while (count < ASH_STOP_MAX_STRINGS && *rest && *rest != '\n') {
        stops[count++] = rest;
        rest += strcspn(rest, "\n");
        if (*rest)
            *rest++ = '\0';
    }
    size_t length = size - (size_t)(rest - input);
    struct ash_stop *stop;
    if (ash_stop_create(stops, count, &stop) == ASH_OK) {
        for (size_t fed = 0; fed <= length;) {
            size_t bytes = fed < length ? 1 + (unsigned char)rest[fed] % (length - fed) : 0;
            struct ash_stop_text text =
                bytes ? ash_stop_feed(stop, rest + fed, bytes) : ash_stop_finish(stop);
            memcpy(output + written, text.held, text.held_bytes);
            memcpy(output + written + text.held_bytes, text.fresh, text.fresh_bytes);
            written += text.held_bytes + text.fresh_bytes;
            fed += bytes ? bytes : 1;
        }
        if (written != find(rest, length, stops, count) || memcmp(output, rest, written))
            abort();
        ash_stop_destroy(stop);
    }
    free(input);
    free(output);
    return 0;
}
