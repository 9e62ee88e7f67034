/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/topology.h"

#include "runtime/affinity.h"
#include "runtime/memory.h"

#include <criterion/criterion.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

/*
 * libpciaccess, under hwloc's PCI plugin, loses 1 kB a discovery. The plugin has to stay loaded for its
 * name to be found in the leak's stack.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpciaccess.so\nleak:hwloc_pci.so\n";
}

static const int64_t GIB = INT64_C(1) << 30;

/* Recorded machines (tests/topologies/) and synthetic ones. */
static const struct {
    const char *source;
    int packages, numa_nodes, cores, pus, pci, devices;
    int64_t memory_gib, l3_mib; /* of the first L3; 0 = none */
    const char *drawn;          /* stands in text and SVG */
} machines[] = {
    { "laptop.xml", 1, 1, 4, 8, 0, 0, 16, 12, "i7-1165G7" },
    { "two-socket.xml", 2, 2, 112, 224, 0, 0, 512, 105, "... 53 more" },
    { "epyc-nps4.xml", 1, 4, 96, 192, 0, 0, 384, 32, "NUMA node 3: 96 GiB" },
    { "eight-gpu.xml", 2, 2, 96, 192, 10, 10, 2048, 105, "opencl0d7" },
    { "gpu-and-fpga.xml", 1, 1, 16, 32, 2, 2, 128, 32, "AMD/ATI Aqua Vanjaram [Instinct MI300X]" },
    { "ampere-arm.xml", 1, 1, 80, 80, 0, 0, 512, 0, "Ampere(R) Altra(R)" },
    { "synthetic:PU:1", 0, 1, 0, 1, 0, 0, 1, 0, "PU 0" },
    { "synthetic:Package:2 [NUMANode(memory=3GiB)] L3:2(size=8MiB) Core:4 PU:2", 2, 2, 16, 32, 0, 0,
        6, 8, "NUMA node 1: 3 GiB" },
};
enum { MACHINES = sizeof machines / sizeof *machines };

static struct ash_topology *load(const char *source)
{
    char path[512];
    struct ash_topology *topology = NULL;
    snprintf(path, sizeof path, "%s/topologies/%s", getenv("ASHLAR_TEST_DATA"), source);
    const char *from = strncmp(source, "synthetic:", 10) == 0 ? source : path;
    cr_assert_eq(ash_topology_load(from, 0, &topology), ASH_OK, "%s", ash_error());
    return topology;
}

static char *draw(const struct ash_topology *topology,
    enum ash_status (*how)(const struct ash_topology *, FILE *))
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    cr_assert_eq(how(topology, out), ASH_OK, "%s", ash_error());
    fclose(out);
    return text;
}

Test(topology, recorded_and_synthetic_machines_have_their_parts)
{
    for (size_t i = 0; i < MACHINES; i++) {
        struct ash_topology *topology = load(machines[i].source);
        const int *number = topology->number;
        cr_assert_eq(number[ASH_TOPOLOGY_PACKAGE], machines[i].packages);
        cr_assert_eq(number[ASH_TOPOLOGY_MEMORY], machines[i].numa_nodes);
        cr_assert_eq(number[ASH_TOPOLOGY_CORE], machines[i].cores, "%s", machines[i].source);
        cr_assert_eq(number[ASH_TOPOLOGY_PU], machines[i].pus);
        cr_assert_eq(number[ASH_TOPOLOGY_PCI], machines[i].pci);
        cr_assert_eq(number[ASH_TOPOLOGY_DEVICE], machines[i].devices);
        cr_assert_eq(topology->memory_bytes / GIB, machines[i].memory_gib);
        cr_assert_eq(topology->node[0].pus_allowed, machines[i].pus);
        cr_assert(!topology->live);
        int64_t l3 = 0;
        for (size_t n = 0; n < topology->count && !l3; n++)
            if (topology->node[n].cache_level == 3) {
                l3 = topology->node[n].bytes;
                cr_assert_gt(topology->node[n].pus, 1);
            }
        cr_assert_eq(l3 >> 20, machines[i].l3_mib, "%s", machines[i].source);
        ash_topology_destroy(topology);
    }
}

Test(topology, the_tree_is_linked_both_ways)
{
    for (size_t i = 0; i < MACHINES; i++) {
        struct ash_topology *topology = load(machines[i].source);
        size_t reached = 1;
        for (int n = 0; n < (int)topology->count; n++)
            for (int child = topology->node[n].first_child; child >= 0;
                 child = topology->node[child].next, reached++) {
                cr_assert_gt(child, n);
                cr_assert_eq(topology->node[child].parent, n);
            }
        cr_assert_eq(reached, topology->count);
        ash_topology_destroy(topology);
    }
}

/* Columns of the longest line; every UTF-8 character counts as one. */
static int columns_of(const char *text)
{
    int longest = 0, here = 0;
    for (; *text; text++) {
        here = *text == '\n' ? 0 : here + ((*text & 0xc0) != 0x80);
        longest = here > longest ? here : longest;
    }
    return longest;
}

Test(topology, drawings_name_what_is_there_and_fit_a_terminal)
{
    for (size_t i = 0; i < MACHINES; i++) {
        struct ash_topology *topology = load(machines[i].source);
        char *text = draw(topology, ash_topology_print), *svg = draw(topology, ash_topology_svg);
        cr_assert(strstr(text, machines[i].drawn), "%s", text);
        cr_assert(strstr(svg, machines[i].drawn) || strstr(machines[i].drawn, "more"));
        cr_assert_leq(columns_of(text), 100, "%s", text);
        cr_assert(strncmp(svg, "<svg ", 5) == 0 && strstr(svg, "</svg>\n"));
        free(text);
        free(svg);
        ash_topology_destroy(topology);
    }
}

Test(topology, a_small_machine_is_drawn_box_by_box)
{
    struct ash_topology *topology =
        load("synthetic:Package:1 [NUMANode(memory=4GiB)] L2:2(size=1MiB) Core:1 PU:1");
    char *text = draw(topology, ash_topology_print);
    cr_assert_str_eq(text, "┌───────────────────────────────┐\n"
                           "│ Machine, 4 GiB                │\n"
                           "│ ┌───────────────────────────┐ │\n"
                           "│ │ Package 0                 │ │\n"
                           "│ │ ┌────────────────────┐    │ │\n"
                           "│ │ │ NUMA node 0: 4 GiB │    │ │\n"
                           "│ │ └────────────────────┘    │ │\n"
                           "│ │ ┌──────────┐ ┌──────────┐ │ │\n"
                           "│ │ │ L2 1 MiB │ │ L2 1 MiB │ │ │\n"
                           "│ │ │ Core 0   │ │ Core 1   │ │ │\n"
                           "│ │ │ PU 0     │ │ PU 1     │ │ │\n"
                           "│ │ └──────────┘ └──────────┘ │ │\n"
                           "│ └───────────────────────────┘ │\n"
                           "└───────────────────────────────┘\n");
    free(text);
    ash_topology_destroy(topology);
}

Test(topology, what_may_not_be_used_is_in_brackets)
{
    struct ash_topology *topology = load("synthetic:Package:1 Core:2 PU:2");
    for (size_t i = 0; i < topology->count; i++)
        if (topology->node[i].kind == ASH_TOPOLOGY_PU && topology->node[i].os_index == 3)
            topology->node[i].pus_allowed = 0;
    char *text = draw(topology, ash_topology_print);
    cr_assert(strstr(text, "PU 2, (3)"), "%s", text);
    free(text);
    ash_topology_destroy(topology);
}

Test(topology, json_has_totals_and_the_whole_tree)
{
    struct ash_topology *topology = load("eight-gpu.xml");
    json_t *json = NULL;
    cr_assert_eq(ash_topology_json(topology, &json), ASH_OK);
    cr_assert_eq(json_integer_value(json_object_get(json, "cores")), 96);
    cr_assert_eq(json_integer_value(json_object_get(json, "devices")), 10);
    json_t *machine = json_object_get(json, "tree");
    cr_assert_str_eq(json_string_value(json_object_get(machine, "kind")), "machine");
    json_t *packages = json_object_get(machine, "children");
    cr_assert_eq(json_array_size(packages), 2u);
    json_t *memory = json_array_get(json_object_get(json_array_get(packages, 1), "children"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(memory, "kind")), "NUMA node");
    cr_assert_eq(json_integer_value(json_object_get(memory, "bytes")), 1024 * GIB);
    json_decref(json);
    ash_topology_destroy(topology);
}

Test(topology, this_machine_is_found)
{
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_SYNTHETIC");
    static hwloc_topology_t kept;
    hwloc_topology_init(&kept);
    struct ash_topology *topology = NULL;
    cr_assert_eq(ash_topology_load(NULL, 0, &topology), ASH_OK, "%s", ash_error());
    cr_assert(topology->live);
    cr_assert_gt(topology->kernel_bytes, 0);
    cr_assert_eq(topology->node[0].pus_allowed, ash_affinity_cpus(0, NULL));
    ash_topology_destroy(topology);
}

Test(topology, the_environment_names_another_machine)
{
    struct ash_topology *topology = NULL;
    setenv("HWLOC_SYNTHETIC", "Package:3 Core:5 PU:1", 1);
    cr_assert_eq(ash_topology_load(NULL, 0, &topology), ASH_OK, "%s", ash_error());
    cr_assert_eq(topology->number[ASH_TOPOLOGY_CORE], 15);
    ash_topology_destroy(topology);
    char path[512];
    snprintf(path, sizeof path, "%s/topologies/laptop.xml", getenv("ASHLAR_TEST_DATA"));
    setenv("HWLOC_XMLFILE", path, 1);
    cr_assert_eq(ash_topology_load(NULL, 0, &topology), ASH_OK, "%s", ash_error());
    cr_assert_eq(topology->number[ASH_TOPOLOGY_CORE], 4);
    ash_topology_destroy(topology);
    setenv("HWLOC_XMLFILE", "/no/such/file", 1);
    cr_assert_eq(ash_topology_load(NULL, 0, &topology), ASH_ERR_NOT_FOUND);
    cr_assert(strstr(ash_error(), "HWLOC_XMLFILE"), "%s", ash_error());
}

/* hwloc's own reader, and libxml2 where hwloc's plugin for it is installed, must read the same of a file. */
static const char *const readers[] = { "0", "1" };

Test(topology, is_the_same_to_both_readers_of_xml)
{
    for (size_t i = 0; i < MACHINES; i++) {
        char *drawn[2];
        for (int r = 0; r < 2; r++) {
            setenv("HWLOC_LIBXML", readers[r], 1);
            struct ash_topology *topology = load(machines[i].source);
            drawn[r] = draw(topology, ash_topology_print);
            ash_topology_destroy(topology);
        }
        cr_expect_str_eq(drawn[0], drawn[1], "%s", machines[i].source);
        free(drawn[0]);
        free(drawn[1]);
    }
}

/* A machine of one processor after some header. */
#define SETS " cpuset=\"0x1\" complete_cpuset=\"0x1\" nodeset=\"0x1\" complete_nodeset=\"0x1\""
#define MACHINE                                                                                    \
    "<topology version=\"2.0\"><object type=\"Machine\" os_index=\"0\" gp_index=\"1\"" SETS        \
    " allowed_cpuset=\"0x1\" allowed_nodeset=\"0x1\">"                                             \
    "<object type=\"NUMANode\" os_index=\"0\" gp_index=\"2\"" SETS " local_memory=\"4096\"/>"      \
    "<object type=\"PU\" os_index=\"0\" gp_index=\"3\"" SETS "/></object></topology>"
#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define DOCTYPE     "<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">"

Test(topology, may_have_its_header_on_any_line)
{
    static const char *const texts[] = {
        DECLARATION "\n" DOCTYPE "\n" MACHINE,
        DECLARATION DOCTYPE MACHINE,
        DECLARATION "\r\n\r\n" DOCTYPE " " MACHINE "\n",
        DOCTYPE MACHINE,
        "\n" MACHINE,
        MACHINE,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int r = 0; r < 2; r++) {
            struct ash_topology *topology = NULL;
            setenv("HWLOC_LIBXML", readers[r], 1);
            cr_expect_eq(ash_topology_parse(texts[i], strlen(texts[i]), "made", &topology), ASH_OK,
                "%zu, reader %s: %s", i, readers[r], ash_error());
            cr_expect(topology && topology->number[ASH_TOPOLOGY_PU] == 1 &&
                          topology->memory_bytes == 4096,
                "%zu, reader %s", i, readers[r]);
            ash_topology_destroy(topology);
        }
}

static char *nested(int depth)
{
    char *text = malloc((size_t)depth * 8 + 64), *at = text;
    at += sprintf(at, "<topology>");
    for (int i = 0; i < depth; i++)
        at += sprintf(at, "<object>");
    return text;
}

Test(topology, what_is_no_machine_gets_one_clear_message)
{
    char *deep = nested(100000);
    const struct {
        const char *xml;
        enum ash_status expect;
    } cases[] = {
        { "", ASH_ERR_FORMAT },
        { "not xml", ASH_ERR_FORMAT },
        { "<topology", ASH_ERR_FORMAT },
        { "<topology></topology>", ASH_ERR_FORMAT },
        { "<topology version=\"2.0\"><object type=\"Core\"/></topology>", ASH_ERR_FORMAT },
        { "<!DOCTYPE topology [<!ENTITY a \"b\">]><topology/>", ASH_ERR_FORMAT },
        { deep, ASH_ERR_LIMIT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_topology *topology = NULL;
        enum ash_status status =
            ash_topology_parse(cases[i].xml, strlen(cases[i].xml), "here.xml", &topology);
        cr_assert_eq(status, cases[i].expect, "%zu: %s", i, ash_error());
        cr_assert(strstr(ash_error(), "here.xml: "), "%s", ash_error());
        cr_assert_null(topology);
    }
    free(deep);
    struct ash_topology *topology = NULL;
    cr_assert_eq(ash_topology_load("synthetic:Nonsense:2", 0, &topology), ASH_ERR_FORMAT);
    cr_assert_eq(ash_topology_load("/dev/zero", 0, &topology), ASH_ERR_IO);
    cr_assert_eq(ash_topology_load("/", 0, &topology), ASH_ERR_IO);
    cr_assert_null(topology);
}

Test(topology, a_file_that_hwloc_crashes_over_is_refused)
{
    static const char *const files[] = { "hwloc-null-cpuset.xml", "hwloc-leak.xml" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        struct ash_topology *topology = NULL;
        snprintf(
            path, sizeof path, "%s/fuzz/corpus/topology/%s", getenv("ASHLAR_TEST_DATA"), files[i]);
        cr_assert_eq(ash_topology_load(path, 0, &topology), ASH_ERR_FORMAT, "%s", ash_error());
        cr_assert(strstr(ash_error(), files[i]), "%s", ash_error());
        cr_assert_null(topology);
    }
}

Test(topology, load_and_drawings_survive_every_failed_allocation)
{
    ash_json_init();
    for (int what = 0; what < 4; what++)
        for (int64_t nth = 0;; nth++) {
            struct ash_topology *topology = NULL, *whole = what ? load("laptop.xml") : NULL;
            json_t *json = NULL;
            FILE *out = fopen("/dev/null", "w");
            ash_memory_fail_from(nth);
            enum ash_status status = what == 0
                                         ? ash_topology_load("synthetic:Core:2 PU:2", 0, &topology)
                                     : what == 1 ? ash_topology_print(whole, out)
                                     : what == 2 ? ash_topology_svg(whole, out)
                                                 : ash_topology_json(whole, &json);
            ash_memory_fail_from(-1);
            fclose(out);
            json_decref(json);
            ash_topology_destroy(topology);
            ash_topology_destroy(whole);
            if (status == ASH_OK) {
                cr_assert_gt(nth, 0);
                break;
            }
            cr_assert_eq(status, ASH_ERR_NO_MEMORY, "%d, allocation %lld: %s", what, (long long)nth,
                ash_error());
        }
}

Test(topology, a_full_disk_is_reported)
{
    struct ash_topology *topology = load("laptop.xml");
    FILE *full = fopen("/dev/full", "w");
    cr_assert_eq(ash_topology_print(topology, full), ASH_ERR_IO);
    cr_assert_eq(ash_topology_svg(topology, full), ASH_ERR_IO);
    fclose(full);
    ash_topology_destroy(topology);
}

Test(topology, finds_cards_by_their_address_and_what_is_near_them)
{
    static const struct {
        const char *machine, *address;
        int numa_node; /* -1: there is no such card */
    } cases[] = {
        { "eight-gpu.xml", "0000:10:00.0", 0 },
        { "eight-gpu.xml", "0000:84:00.0", 1 },
        { "eight-gpu.xml", "0000:C0:00.0", 1 },
        { "eight-gpu.xml", "0000:c0:00.1", -1 },
        { "eight-gpu.xml", "0000:10:00", -1 },
        { "eight-gpu.xml", "", -1 },
        { "mixed-vendors.xml", "0000:05:00.0", 0 },
        { "laptop.xml", "0000:01:00.0", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ash_topology *topology = load(cases[i].machine);
        int at = ash_topology_find_pci(topology, cases[i].address);
        cr_expect_eq(at >= 0, cases[i].numa_node >= 0, "%s", cases[i].address);
        cr_expect_eq(
            ash_topology_near_memory(topology, at), cases[i].numa_node, "%s", cases[i].address);
        if (at >= 0)
            cr_expect_float_eq(
                topology->node[at].link_gbps, 31.5, 0.1, "%g", topology->node[at].link_gbps);
        ash_topology_destroy(topology);
    }
}
