/* SPDX-License-Identifier: Apache-2.0 */
/* From hwloc's objects to the plain tree. Drawing is in topology_draw.c, JSON in topology_json.c. */
#include "runtime/topology.h"

#include "runtime/memory.h"
#include "runtime/topology_child_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
    MOST_FILE_BYTES = 64 << 20,
    MOST_NODES = 100000,
    MOST_DEPTH = 64,    /* of our tree */
    MOST_NESTING = 200, /* of elements in a file: hwloc and libxml2 recurse over them */
};

/* ---- Copying ---- */

struct copy {
    struct ash_topology *topology;
    size_t capacity;
    hwloc_const_cpuset_t allowed;
};

static int64_t saturate(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Is it shown as a node of its own? Bridges, memory-side caches and remarks are looked through. */
static bool kind_of(hwloc_obj_t object, enum ash_topology_kind *out)
{
    static const struct {
        hwloc_obj_type_t type;
        enum ash_topology_kind kind;
    } kinds[] = {
        { HWLOC_OBJ_MACHINE, ASH_TOPOLOGY_MACHINE },
        { HWLOC_OBJ_PACKAGE, ASH_TOPOLOGY_PACKAGE },
        { HWLOC_OBJ_DIE, ASH_TOPOLOGY_GROUP },
        { HWLOC_OBJ_GROUP, ASH_TOPOLOGY_GROUP },
        { HWLOC_OBJ_NUMANODE, ASH_TOPOLOGY_MEMORY },
        { HWLOC_OBJ_CORE, ASH_TOPOLOGY_CORE },
        { HWLOC_OBJ_PU, ASH_TOPOLOGY_PU },
        { HWLOC_OBJ_PCI_DEVICE, ASH_TOPOLOGY_PCI },
        { HWLOC_OBJ_OS_DEVICE, ASH_TOPOLOGY_DEVICE },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].type == object->type) {
            *out = kinds[i].kind;
            return true;
        }
    *out = ASH_TOPOLOGY_CACHE;
    return hwloc_obj_type_is_dcache(object->type);
}

static const char *info_of(hwloc_obj_t object, const char *key)
{
    const char *value = hwloc_obj_get_info_by_name(object, key);
    return value ? value : "";
}

/* One line of printable ASCII, joined from the parts that are not empty. */
static char *join_name(const char *first, const char *second, const char *third)
{
    const char *const gap = *first && *second ? " " : "";
    const char *const gap2 = (*first || *second) && *third ? " " : "";
    char *name = ash_format("%.100s%s%.100s%s%.100s", first, gap, second, gap2, third);
    for (char *at = name; at && *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return name;
}

/* pci.ids ends long vendors in what they are called: "... Devices, Inc. [AMD/ATI]". */
static const char *short_vendor(const char *vendor, char *text, size_t capacity)
{
    const char *open = strrchr(vendor, '['), *close = open ? strchr(open, ']') : NULL;
    if (!close || close[1] != '\0')
        return vendor;
    snprintf(
        text, capacity, "%.*s", (int)(close - open - 1 < 64 ? close - open - 1 : 64), open + 1);
    return text;
}

static char *name_of(hwloc_obj_t object, enum ash_topology_kind kind)
{
    char address[32] = "", vendor[80];
    switch (kind) {
    case ASH_TOPOLOGY_MACHINE:
        return join_name(info_of(object, "DMIProductName"), "", "");
    case ASH_TOPOLOGY_PACKAGE:
        return join_name(info_of(object, "CPUModel"), "", "");
    case ASH_TOPOLOGY_GROUP:
        return join_name(object->type == HWLOC_OBJ_DIE ? "Die" : "Group",
            object->subtype ? object->subtype : "", "");
    case ASH_TOPOLOGY_DEVICE:
        return join_name(object->name ? object->name : "",
            short_vendor(info_of(object, "GPUVendor"), vendor, sizeof vendor),
            info_of(object, "GPUModel"));
    case ASH_TOPOLOGY_PCI:
        if (object->attr)
            snprintf(address, sizeof address, "%04x:%02x:%02x.%x", object->attr->pcidev.domain,
                object->attr->pcidev.bus, object->attr->pcidev.dev, object->attr->pcidev.func);
        return join_name(address, short_vendor(info_of(object, "PCIVendor"), vendor, sizeof vendor),
            *info_of(object, "PCIDevice") || !object->name ? info_of(object, "PCIDevice")
                                                           : object->name);
    default:
        return join_name("", "", "");
    }
}

static void fill_sizes(hwloc_obj_t object, struct ash_topology_node *node)
{
    if (node->kind == ASH_TOPOLOGY_CACHE && object->attr) {
        node->bytes = saturate(object->attr->cache.size);
        node->cache_level = (int)(object->attr->cache.depth & 0xf);
        node->cache_line_bytes = (int)(object->attr->cache.linesize & 0xffff);
    }
    if (node->kind == ASH_TOPOLOGY_MEMORY && object->attr)
        node->bytes = saturate(object->attr->numanode.local_memory);
    if (node->kind == ASH_TOPOLOGY_PCI && object->attr) {
        double gbps = (double)object->attr->pcidev.linkspeed;
        node->link_gbps = gbps > 0 && gbps < 1e6 ? gbps : 0;
    }
}

static void fill_pus(const struct copy *copy, hwloc_obj_t object, struct ash_topology_node *node)
{
    if (!object->cpuset)
        return;
    node->pus = hwloc_bitmap_weight(object->cpuset);
    if (node->pus < 0) /* "all of them, without end" in a hostile file */
        node->pus = 0;
    for (int pu = hwloc_bitmap_first(object->cpuset), left = node->pus; pu >= 0 && left > 0;
         pu = hwloc_bitmap_next(object->cpuset, pu), left--)
        node->pus_allowed += hwloc_bitmap_isset(copy->allowed, (unsigned)pu) != 0;
}

static enum ash_status append(
    struct copy *copy, hwloc_obj_t object, enum ash_topology_kind kind, int parent, int *last)
{
    struct ash_topology *topology = copy->topology;
    if (topology->count >= MOST_NODES)
        return ash_fail(ASH_ERR_LIMIT, "a machine of more than %d objects", MOST_NODES);
    ASH_TRY(ASH_GROW(topology->node, copy->capacity, topology->count));
    struct ash_topology_node node = { .kind = kind,
        .parent = parent,
        .first_child = -1,
        .next = -1,
        .index = topology->number[kind]++,
        .os_index = object->os_index > INT_MAX ? -1 : (int)object->os_index,
        .name = name_of(object, kind) };
    if (!node.name)
        return ash_fail_memory(0, "the name of a part of the machine");
    fill_sizes(object, &node);
    fill_pus(copy, object, &node);
    if (kind == ASH_TOPOLOGY_MEMORY)
        topology->memory_bytes = add(topology->memory_bytes, node.bytes);
    const int place = (int)topology->count;
    if (*last >= 0)
        topology->node[*last].next = place;
    else if (parent >= 0)
        topology->node[parent].first_child = place;
    topology->node[topology->count++] = node;
    *last = place;
    return ASH_OK;
}

static enum ash_status copy_object(
    struct copy *copy, hwloc_obj_t object, int parent, int *last, int depth);

static enum ash_status copy_list(
    struct copy *copy, hwloc_obj_t first, int parent, int *last, int depth)
{
    for (hwloc_obj_t object = first; object; object = object->next_sibling)
        ASH_TRY(copy_object(copy, object, parent, last, depth));
    return ASH_OK;
}

static enum ash_status copy_object(
    struct copy *copy, hwloc_obj_t object, int parent, int *last, int depth)
{
    enum ash_topology_kind kind;
    int inner_parent = parent, inner_last = -1, *after = last;
    if (depth > MOST_DEPTH)
        return ash_fail(ASH_ERR_LIMIT, "a machine nested deeper than %d", MOST_DEPTH);
    if (kind_of(object, &kind)) {
        ASH_TRY(append(copy, object, kind, parent, last));
        inner_parent = *last;
        after = &inner_last;
    }
    ASH_TRY(copy_list(copy, object->memory_first_child, inner_parent, after, depth + 1));
    ASH_TRY(copy_list(copy, object->first_child, inner_parent, after, depth + 1));
    return copy_list(copy, object->io_first_child, inner_parent, after, depth + 1);
}

static enum ash_status copy_machine(hwloc_topology_t hwloc, bool live, struct ash_topology **out)
{
    struct sysinfo system;
    struct ash_topology *topology = ash_alloc_zero(sizeof *topology);
    if (!topology)
        return ash_fail_memory(sizeof *topology, "the machine's topology");
    topology->live = live;
    if (live && sysinfo(&system) == 0)
        topology->kernel_bytes = (int64_t)system.totalram * system.mem_unit;
    struct copy copy = { .topology = topology,
        .allowed = hwloc_topology_get_allowed_cpuset(hwloc) };
    int last = -1;
    enum ash_status status = copy_object(&copy, hwloc_get_root_obj(hwloc), -1, &last, 0);
    if (status != ASH_OK) {
        ash_topology_destroy(topology);
        return status;
    }
    *out = topology;
    return ASH_OK;
}

/* ---- Loading ---- */

struct source {
    const char *xml; /* NULL = not this one */
    size_t length;
    const char *synthetic; /* NULL = not this one; both NULL: the live machine */
    const char *where;
    unsigned flags;
};

/* Components that load a vendor's driver, or talk to an X server. */
static void leave_drivers_out(hwloc_topology_t hwloc)
{
    static const char *const drivers[] = { "opencl", "cuda", "nvml", "rsmi", "levelzero", "gl" };
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        (void)hwloc_topology_set_components(
            hwloc, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, drivers[i]);
}

/* As plugins they load drivers, and crash with those, before they can be left out as components. What the user
 * leaves out stays out. Only the process that reads the machine gets this variable. */
static void leave_plugins_out(void)
{
    static const char name[] = "HWLOC_PLUGINS_BLACKLIST";
    char list[1024];
    const char *users = getenv(name);
    snprintf(list, sizeof list,
        "hwloc_opencl.so,hwloc_cuda.so,hwloc_nvml.so,hwloc_rsmi.so,hwloc_levelzero.so,hwloc_gl.so,%s",
        users ? users : "");
    (void)setenv(name, list, 1);
}

static enum ash_status set_up(hwloc_topology_t hwloc, const struct source *source)
{
    int failed = 0;
    if (source->xml) /* hwloc counts a terminating 0 */
        failed = hwloc_topology_set_xmlbuffer(hwloc, source->xml, (int)source->length + 1);
    else if (source->synthetic)
        failed = hwloc_topology_set_synthetic(hwloc, source->synthetic);
    else if (!(source->flags & ASH_TOPOLOGY_DRIVERS))
        leave_drivers_out(hwloc);
    /* What may not be used is part of the machine; it is shown as such. */
    hwloc_topology_set_flags(hwloc, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
    hwloc_topology_set_io_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    hwloc_topology_set_icache_types_filter(hwloc, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(hwloc, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    if (failed || hwloc_topology_load(hwloc) != 0)
        return ash_fail(ASH_ERR_FORMAT, "%s",
            source->synthetic ? "hwloc does not understand this synthetic machine; an example: "
                                "Package:2 NUMANode:1 L3:1 Core:8 PU:2"
            : source->xml     ? "hwloc reads no machine here; expected XML as `lstopo FILE.xml` "
                                "writes it"
                              : "hwloc cannot discover this machine (is /sys mounted?)");
    return ASH_OK;
}

static enum ash_status load_here(void *ctx, struct ash_topology **out)
{
    const struct source *source = ctx;
    hwloc_topology_t hwloc;
    if (!(source->flags & ASH_TOPOLOGY_DRIVERS))
        leave_plugins_out();
    if (hwloc_topology_init(&hwloc) != 0)
        return ash_fail_memory(0, "hwloc");
    enum ash_status status = set_up(hwloc, source);
    if (status == ASH_OK)
        status = copy_machine(hwloc, !source->xml && !source->synthetic, out);
    hwloc_topology_destroy(hwloc);
    return status;
}

/* What somebody wrote down, or a driver adds, may be broken: it is read in a process of its own. */
static enum ash_status load(struct source source, struct ash_topology **out)
{
    return ash_fail_in(ash_topology_in_child(load_here, &source, out), "%s", source.where);
}

/* The deepest nesting of elements, counted without understanding any; too deep rather than too low. */
static int nesting_of(const char *xml, size_t length)
{
    int depth = 0, deepest = 0;
    for (size_t i = 0; i + 1 < length; i++) {
        if (xml[i] == '<' && xml[i + 1] == '/')
            depth--;
        else if (xml[i] == '<' && xml[i + 1] != '?' && xml[i + 1] != '!')
            depth++;
        else if (xml[i] == '/' && xml[i + 1] == '>')
            depth--;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

/*
 * Past the declaration and the DOCTYPE. hwloc reads XML with libxml2 where that plugin is installed, else with a
 * reader of its own, which takes the two only on lines of their own; neither needs them.
 */
static const char *skip_header(const char *xml)
{
    for (;;) {
        xml += strspn(xml, " \t\r\n");
        const bool header = strncmp(xml, "<?xml ", 6) == 0 || strncmp(xml, "<!DOCTYPE ", 10) == 0;
        const char *end = header ? strchr(xml, '>') : NULL;
        if (!end)
            return xml;
        xml = end + 1;
    }
}

/* `xml` ends with a 0 at `length`. */
static enum ash_status load_text(
    const char *xml, size_t length, const char *where, struct ash_topology **out)
{
    if (memchr(xml, '\0', length) || !strstr(xml, "<topology"))
        return ash_fail(ASH_ERR_FORMAT,
            "%s: no <topology> here; expected XML as `lstopo FILE.xml` writes it", where);
    if (strstr(xml, "<!ENTITY"))
        return ash_fail(ASH_ERR_FORMAT, "%s: a topology defines no entities", where);
    if (nesting_of(xml, length) > MOST_NESTING)
        return ash_fail(ASH_ERR_LIMIT, "%s: elements nested deeper than %d", where, MOST_NESTING);
    const char *body = skip_header(xml);
    length -= (size_t)(body - xml);
    return load((struct source){ .xml = body, .length = length, .where = where }, out);
}

enum ash_status ash_topology_parse(
    const char *xml, size_t length, const char *where, struct ash_topology **out)
{
    if (length > MOST_FILE_BYTES)
        return ash_fail(ASH_ERR_LIMIT, "%s: larger than %d MiB", where, MOST_FILE_BYTES >> 20);
    char *copy = ash_alloc(length + 1);
    if (!copy)
        return ash_fail_memory(length, where);
    memcpy(copy, xml, length);
    copy[length] = '\0';
    enum ash_status status = load_text(copy, length, where, out);
    ash_free(copy);
    return status;
}

/* Reads up to `capacity` bytes; a pipe or a device may give fewer at a time. */
static ssize_t read_all(int file, char *text, size_t capacity)
{
    size_t used = 0;
    while (used < capacity) {
        ssize_t length = read(file, text + used, capacity - used);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return -1;
        if (length == 0)
            break;
        used += (size_t)length;
    }
    return (ssize_t)used;
}

static enum ash_status load_open_file(int file, const char *path, struct ash_topology **out)
{
    struct stat stat;
    if (fstat(file, &stat) != 0 || !S_ISREG(stat.st_mode))
        return ash_fail(ASH_ERR_IO, "%s is not a regular file", path);
    if (stat.st_size > MOST_FILE_BYTES)
        return ash_fail(ASH_ERR_LIMIT, "%s: larger than %d MiB", path, MOST_FILE_BYTES >> 20);
    char *text = ash_alloc((size_t)stat.st_size + 1);
    if (!text)
        return ash_fail_memory((size_t)stat.st_size, path);
    ssize_t length = read_all(file, text, (size_t)stat.st_size);
    enum ash_status status;
    if (length < 0) {
        status = ash_fail(ASH_ERR_IO, "%s: %s", path, strerror(errno));
    } else {
        text[length] = '\0';
        status = load_text(text, (size_t)length, path, out);
    }
    ash_free(text);
    return status;
}

static enum ash_status load_file(const char *path, struct ash_topology **out)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return ash_fail(
            errno == ENOENT ? ASH_ERR_NOT_FOUND : ASH_ERR_IO, "%s: %s", path, strerror(errno));
    enum ash_status status = load_open_file(file, path, out);
    close(file);
    return status;
}

enum ash_status ash_topology_load(const char *source, unsigned flags, struct ash_topology **out)
{
    static const char prefix[] = "synthetic:";
    const char *xml_file = getenv("HWLOC_XMLFILE"), *synthetic = getenv("HWLOC_SYNTHETIC");
    if (source && strncmp(source, prefix, sizeof prefix - 1) == 0)
        return load(
            (struct source){ .synthetic = source + sizeof prefix - 1, .where = source }, out);
    if (source)
        return load_file(source, out);
    if (xml_file && *xml_file)
        return ash_fail_in(load_file(xml_file, out), "HWLOC_XMLFILE");
    if (synthetic && *synthetic)
        return load((struct source){ .synthetic = synthetic, .where = "HWLOC_SYNTHETIC" }, out);
    return load((struct source){ .flags = flags, .where = "this machine" }, out);
}

void ash_topology_destroy(struct ash_topology *topology)
{
    if (!topology)
        return;
    for (size_t i = 0; i < topology->count; i++)
        ash_free(topology->node[i].name);
    ash_free(topology->node);
    ash_free(topology);
}

int ash_topology_find_pci(const struct ash_topology *topology, const char *address)
{
    size_t length = strlen(address);
    for (size_t i = 0; length > 0 && i < topology->count; i++) {
        const struct ash_topology_node *node = &topology->node[i];
        if (node->kind == ASH_TOPOLOGY_PCI && strncasecmp(node->name, address, length) == 0 &&
            (node->name[length] == ' ' || node->name[length] == '\0'))
            return (int)i;
    }
    return -1;
}

int ash_topology_near_memory(const struct ash_topology *topology, int at)
{
    for (int up = at; up >= 0; up = topology->node[up].parent)
        for (int child = topology->node[up].first_child; child >= 0;
             child = topology->node[child].next)
            if (topology->node[child].kind == ASH_TOPOLOGY_MEMORY)
                return topology->node[child].index;
    return -1;
}

const char *ash_topology_kind_name(enum ash_topology_kind kind)
{
    static const char *const names[ASH_TOPOLOGY_KINDS] = { "machine", "package", "group",
        "NUMA node", "cache", "core", "PU", "PCI", "device" };
    assert((unsigned)kind < ASH_TOPOLOGY_KINDS);
    return names[kind];
}
