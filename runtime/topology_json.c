/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/topology.h"

#include "runtime/memory.h"

#include <string.h>

/* Sets a number that means something; false when there is no memory. */
static bool set_number(json_t *object, const char *key, int64_t value)
{
    return json_object_set_new(object, key, json_integer(value)) == 0;
}

static bool set_text(json_t *object, const char *key, const char *text)
{
    return json_object_set_new(object, key, ash_json_text(text, strlen(text))) == 0;
}

static bool describe(const struct ash_topology_node *node, json_t *object)
{
    return set_text(object, "kind", ash_topology_kind_name(node->kind)) &&
           set_number(object, "index", node->index) &&
           (node->os_index < 0 || set_number(object, "os_index", node->os_index)) &&
           (!*node->name || set_text(object, "name", node->name)) &&
           (!node->bytes || set_number(object, "bytes", node->bytes)) &&
           (!(node->link_gbps > 0) ||
               json_object_set_new(object, "link_gbps", json_real(node->link_gbps)) == 0) &&
           (!node->cache_level || set_number(object, "level", node->cache_level)) &&
           (!node->cache_line_bytes || set_number(object, "line_bytes", node->cache_line_bytes)) &&
           (!node->pus || (set_number(object, "pus", node->pus) &&
                              set_number(object, "pus_allowed", node->pus_allowed)));
}

/* The tree below a node: as deep as the loader allows, so recursion is bounded. */
static json_t *tree(const struct ash_topology *topology, int place)
{
    const struct ash_topology_node *node = &topology->node[place];
    json_t *object = json_object(), *children = NULL;
    if (!object || !describe(node, object))
        goto fail;
    if (node->first_child >= 0) {
        children = json_array();
        if (json_object_set_new(object, "children", children) != 0)
            goto fail;
    }
    for (int child = node->first_child; child >= 0; child = topology->node[child].next)
        if (json_array_append_new(children, tree(topology, child)) != 0)
            goto fail;
    return object;
fail:
    json_decref(object);
    return NULL;
}

static bool totals(const struct ash_topology *topology, json_t *object)
{
    const int *number = topology->number;
    return json_object_set_new(object, "live", json_boolean(topology->live)) == 0 &&
           set_number(object, "packages", number[ASH_TOPOLOGY_PACKAGE]) &&
           set_number(object, "numa_nodes", number[ASH_TOPOLOGY_MEMORY]) &&
           set_number(object, "cores", number[ASH_TOPOLOGY_CORE]) &&
           set_number(object, "pus", number[ASH_TOPOLOGY_PU]) &&
           set_number(object, "pus_allowed", topology->node[0].pus_allowed) &&
           set_number(object, "devices", number[ASH_TOPOLOGY_DEVICE]) &&
           set_number(object, "memory_bytes", topology->memory_bytes) &&
           (!topology->live || set_number(object, "kernel_memory_bytes", topology->kernel_bytes));
}

enum ash_status ash_topology_json(const struct ash_topology *topology, json_t **out)
{
    json_t *object = json_object();
    if (!object || !totals(topology, object) ||
        json_object_set_new(object, "tree", tree(topology, 0)) != 0) {
        json_decref(object);
        return ash_fail_memory(0, "the machine as JSON");
    }
    *out = object;
    return ASH_OK;
}
