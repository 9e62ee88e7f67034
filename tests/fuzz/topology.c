/* SPDX-License-Identifier: Apache-2.0 */
/* A topology file out of nowhere: loaded, drawn and written as JSON, or refused. */
#include "runtime/topology.h"

#include <hwloc.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* hwloc 2.9.0 and its libxml2 part lose some memory over certain broken files; we do not. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libhwloc.so\nleak:hwloc_xml_libxml.so\nleak:libxml2.so\n";
}

/* Keeps hwloc's plugins loaded: faster, and the names above can be found in a leak's stack. */
int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    static hwloc_topology_t kept;
    return hwloc_topology_init(&kept);
}

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
