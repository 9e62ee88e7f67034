/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/machine.h"

#include "runtime/json.h"
#include "runtime/memory.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Handing work from one socket to another, where the table says nothing. */
static const double host_latency_s = 1e-6;

enum { MOST_DEVICES = 256, MOST_FILE_BYTES = 1 << 20 };

/* ---- One device ---- */

/* A number of an entry and where it goes. */
struct field {
    const char *name;
    double least, most, unit;
    bool optional;
    size_t at;
};

#define AT(member) offsetof(struct ash_machine_device, member)
static const struct field fields[] = {
    { "memory_gib", 1e-3, 1e6, 1073741824.0, false, AT(memory_bytes) },
    { "read_gbps", 1e-3, 1e6, 1e9, false, AT(matmul.bytes_per_s) },
    { "matmul_gops", 1e-3, 1e9, 1e9, false, AT(matmul.flops_per_s) },
    { "vector_gops", 1e-3, 1e9, 1e9, false, AT(vector.flops_per_s) },
    { "launch_us", 0, 1e6, 1e-6, false, AT(matmul.launch_s) },
    { "link_gbps", 1e-3, 1e6, 1e9, true, AT(link_bytes_per_s) },
    { "link_us", 0, 1e6, 1e-6, true, AT(link_latency_s) },
};

static enum ash_status read_field(
    const json_t *json, const struct field *field, struct ash_machine_device *out)
{
    const json_t *number = json_object_get(json, field->name);
    if (!number && field->optional)
        return ASH_OK;
    double value = json_number_value(number);
    if (!json_is_number(number) || !(value >= field->least && value <= field->most))
        return ash_fail(ASH_ERR_FORMAT, "\"%s\" must be a number from %g to %g", field->name,
            field->least, field->most);
    value *= field->unit;
    memcpy((char *)out + field->at, &value, sizeof value);
    return ASH_OK;
}

/* So that a slip of the pen is not a default. */
static enum ash_status check_keys(const json_t *json)
{
    static const char *const others[] = { "name", "pci", "host", "numa_node", "peers" };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            known |= strcmp(key, others[i]) == 0;
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            known |= strcmp(key, fields[i].name) == 0;
        if (!known)
            return ash_fail(ASH_ERR_FORMAT, "a device has no \"%.40s\"", key);
    }
    return ASH_OK;
}

static enum ash_status read_text(
    const json_t *json, const char *key, char *out, size_t capacity, bool optional)
{
    const char *text = json_string_value(json_object_get(json, key));
    if (!text && optional && !json_object_get(json, key))
        return ASH_OK;
    if (!text || !*text || strlen(text) >= capacity)
        return ash_fail(
            ASH_ERR_FORMAT, "\"%s\" must be a text of 1 to %zu bytes", key, capacity - 1);
    snprintf(out, capacity, "%s", text);
    return ASH_OK;
}

static enum ash_status match_topology(
    const struct ash_topology *topology, struct ash_machine_device *device)
{
    if (!topology)
        return ASH_OK;
    if (device->numa_node >= topology->number[ASH_TOPOLOGY_MEMORY])
        return ash_fail(ASH_ERR_FORMAT, "NUMA node %d; the machine has %d", device->numa_node,
            topology->number[ASH_TOPOLOGY_MEMORY]);
    if (!device->pci[0])
        return ASH_OK;
    int at = ash_topology_find_pci(topology, device->pci);
    if (at < 0)
        return ash_fail(ASH_ERR_FORMAT, "the machine has no PCI device %s", device->pci);
    if (device->numa_node < 0)
        device->numa_node = ash_topology_near_memory(topology, at);
    return ASH_OK;
}

static enum ash_status read_device(
    const json_t *json, const struct ash_topology *topology, struct ash_machine_device *out)
{
    struct ash_machine_device device = { .numa_node = -1 };
    if (!json_is_object(json))
        return ash_fail(ASH_ERR_FORMAT, "expected {\"name\": ...}");
    ASH_TRY(check_keys(json));
    ASH_TRY(read_text(json, "name", device.name, sizeof device.name, false));
    ASH_TRY(read_text(json, "pci", device.pci, sizeof device.pci, true));
    const json_t *host = json_object_get(json, "host");
    if (host && !json_is_boolean(host))
        return ash_fail(ASH_ERR_FORMAT, "\"host\" must be true or false");
    device.host = json_is_true(host);
    const json_t *node = json_object_get(json, "numa_node");
    if (node &&
        (!json_is_integer(node) || json_integer_value(node) < 0 || json_integer_value(node) > 4095))
        return ash_fail(ASH_ERR_FORMAT, "\"numa_node\" must be a whole number from 0 to 4095");
    device.numa_node = node ? (int)json_integer_value(node) : -1;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        ASH_TRY(read_field(json, &fields[i], &device));
    device.vector.bytes_per_s = device.matmul.bytes_per_s;
    device.vector.launch_s = device.matmul.launch_s;
    if (!device.host && device.link_bytes_per_s <= 0)
        return ash_fail(ASH_ERR_FORMAT, "\"link_gbps\", its way to the host, is missing");
    if (device.host && device.link_bytes_per_s <= 0)
        device.link_bytes_per_s = device.matmul.bytes_per_s;
    if (device.host && !json_object_get(json, "link_us"))
        device.link_latency_s = host_latency_s;
    ASH_TRY(match_topology(topology, &device));
    *out = device;
    return ASH_OK;
}

/* ---- Links ---- */

static struct ash_machine_device *find(const struct ash_machine *machine, const char *name)
{
    for (int32_t i = 0; i < machine->devices; i++)
        if (strcmp(machine->device[i].name, name) == 0)
            return &machine->device[i];
    return NULL;
}

/*
 * Each pair has a link of its own in each direction, as fast as the slower of the two devices' ways to
 * the host, and as late as both together; a host's way, where the table says nothing, is its own memory.
 */
static void add_links(struct ash_machine *machine)
{
    for (int32_t from = 0; from < machine->devices; from++)
        for (int32_t to = 0; to < machine->devices; to++) {
            const struct ash_machine_device *a = &machine->device[from], *b = &machine->device[to];
            int32_t link = from * machine->devices + to;
            machine->way[link] = link;
            machine->link[link] = (struct ash_schedule_link){
                .latency_s = a->link_latency_s + b->link_latency_s,
                .bytes_per_s = fmin(a->link_bytes_per_s, b->link_bytes_per_s),
            };
        }
}

/* "peers": { "hip:1": 50 }: both directions. */
static enum ash_status read_peers(struct ash_machine *machine, int32_t index, const json_t *peers)
{
    const char *name;
    json_t *speed;
    if (!peers)
        return ASH_OK;
    if (!json_is_object(peers))
        return ash_fail(ASH_ERR_FORMAT, "\"peers\" must be as { \"hip:1\": 50 }");
    json_object_foreach((json_t *)(uintptr_t)peers, name, speed)
    {
        const struct ash_machine_device *peer = find(machine, name);
        double gbps = json_number_value(speed);
        if (!peer || peer == &machine->device[index])
            return ash_fail(ASH_ERR_FORMAT, "there is no other device \"%.40s\"", name);
        if (!json_is_number(speed) || !(gbps >= 1e-3 && gbps <= 1e6))
            return ash_fail(
                ASH_ERR_FORMAT, "the speed of \"%.40s\" must be 0.001 to 1e6 GB/s", name);
        int32_t other = (int32_t)(peer - machine->device);
        machine->link[index * machine->devices + other].bytes_per_s = gbps * 1e9;
        machine->link[other * machine->devices + index].bytes_per_s = gbps * 1e9;
    }
    return ASH_OK;
}

/* ---- The table ---- */

static enum ash_status read_devices(
    struct ash_machine *machine, const json_t *list, const struct ash_topology *topology)
{
    const json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        struct ash_machine_device *device = &machine->device[i];
        ASH_TRY(ash_fail_in(read_device(item, topology, device), "device %zu", i + 1));
        if (find(machine, device->name))
            return ash_fail(
                ASH_ERR_FORMAT, "device %zu: \"%s\" is there twice", i + 1, device->name);
        machine->devices++;
        if (device->host && machine->home < 0)
            machine->home = (int32_t)i;
    }
    if (machine->home < 0)
        return ash_fail(
            ASH_ERR_FORMAT, "no device has \"host\": true; one must compute on the host");
    add_links(machine);
    json_array_foreach(list, i, item) ASH_TRY(ash_fail_in(
        read_peers(machine, (int32_t)i, json_object_get(item, "peers")), "device %zu", i + 1));
    return ASH_OK;
}

static enum ash_status read_table(
    const json_t *root, const struct ash_topology *topology, struct ash_machine *out)
{
    const json_t *list = json_object_get(root, "devices");
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count < 1 || count > MOST_DEVICES || json_object_size(root) != 1)
        return ash_fail(ASH_ERR_FORMAT,
            "expected {\"devices\": [...]} with 1 to %d devices and nothing beside it",
            MOST_DEVICES);
    struct ash_machine machine = { .device = ash_alloc_array(count, sizeof *machine.device),
        .link = ash_alloc_array(count, count * sizeof *machine.link),
        .links = (int32_t)(count * count),
        .way = ash_alloc_array(count, count * sizeof *machine.way),
        .home = -1 };
    enum ash_status status = ASH_ERR_NO_MEMORY;
    if (machine.device && machine.link && machine.way)
        status = read_devices(&machine, list, topology);
    else
        status = ash_fail_memory(count * count * sizeof *machine.link, "a machine");
    if (status == ASH_OK)
        *out = machine;
    else
        ash_machine_finish(&machine);
    return status;
}

static enum ash_status use(json_t *root, const json_error_t *error, const char *where,
    const struct ash_topology *topology, struct ash_machine *out)
{
    if (!root && (json_error_code(error) == json_error_out_of_memory || !error->text[0]))
        return ash_fail_memory(1, "a device table");
    if (!root)
        return ash_fail(ASH_ERR_FORMAT, "%s: line %d: %s", where, error->line, error->text);
    enum ash_status status = ash_fail_in(read_table(root, topology, out), "%s", where);
    json_decref(root);
    return status;
}

enum ash_status ash_machine_parse(const char *json, size_t length, const char *where,
    const struct ash_topology *topology, struct ash_machine *out)
{
    json_error_t error = { 0 };
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &error);
    return use(root, &error, where, topology, out);
}

enum ash_status ash_machine_read(
    const char *path, const struct ash_topology *topology, struct ash_machine *out)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return ash_fail(errno == ENOENT ? ASH_ERR_NOT_FOUND : ASH_ERR_IO,
            "cannot open the device table %s: %s", path, strerror(errno));
    char *text = ash_alloc(MOST_FILE_BYTES + 1);
    size_t length = text ? fread(text, 1, MOST_FILE_BYTES + 1, file) : 0;
    enum ash_status status;
    if (!text)
        status = ash_fail_memory(MOST_FILE_BYTES + 1, "a device table");
    else if (ferror(file))
        status = ash_fail(ASH_ERR_IO, "cannot read %s: %s", path, strerror(errno));
    else if (length > MOST_FILE_BYTES)
        status = ash_fail(
            ASH_ERR_FORMAT, "%s: a device table of more than %d bytes", path, MOST_FILE_BYTES);
    else
        status = ash_machine_parse(text, length, path, topology, out);
    ash_free(text);
    fclose(file);
    return status;
}

void ash_machine_finish(struct ash_machine *machine)
{
    ash_free(machine->device);
    ash_free(machine->link);
    ash_free(machine->way);
    *machine = (struct ash_machine){ 0 };
}
