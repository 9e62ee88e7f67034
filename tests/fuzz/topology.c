/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topology file out of nowhere: loaded, drawn and written as JSON, or refused. hwloc itself runs in a
 * child process, whose crashes are refusals.
 */
#include "runtime/topology.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ash_topology *topology;
    if (ash_topology_parse((const char *)data, size, "input", &topology) != ASH_OK)
        return 0;
    FILE *out = fopen("/dev/null", "w");
    if (!out)
        abort();
    (void)!ash_topology_print(topology, out);
    (void)!ash_topology_svg(topology, out);
    json_t *json;
    if (ash_topology_json(topology, &json) == ASH_OK)
        json_decref(json);
    fclose(out);
    ash_topology_destroy(topology);
    return 0;
}
