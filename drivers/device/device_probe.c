/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_MILLISECONDS = 10000 };

/* ---- In a process of its own ---- */

static void send(int pipe_end, const char *at, size_t left)
{
    while (left > 0) {
        ssize_t sent = write(pipe_end, at, left);
        if (sent <= 0)
            break;
        at += sent;
        left -= (size_t)sent;
    }
}

static void run_child(
    int pipe_end, ash_device_fill *fill, const void *context, struct ash_device_report *report)
{
    const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGPIPE };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    if (pipe_end < 3) /* of a program that began without standard streams */
        pipe_end = fcntl(pipe_end, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int stream = 0; null >= 0 && stream < 3; stream++)
        dup2(null, stream);
    ash_device_report_fill(fill, context, report);
    send(pipe_end, (const char *)report, sizeof *report);
    _exit(0);
}

static bool receive(int pipe_end, char *at, size_t left)
{
    while (left > 0) {
        struct pollfd ready = { .fd = pipe_end, .events = POLLIN };
        int polled = poll(&ready, 1, MOST_MILLISECONDS);
        if (polled < 0 && errno == EINTR)
            continue;
        ssize_t got = polled > 0 ? read(pipe_end, at, left) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        left -= (size_t)got;
    }
    return true;
}

static bool ask(ash_device_fill *fill, const void *context, struct ash_device_report *out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0)
        run_child(ends[1], fill, context, out);
    close(ends[1]);
    bool done = child > 0 && receive(ends[0], (char *)out, sizeof *out);
    close(ends[0]);
    if (child > 0)
        kill(child, SIGKILL); /* it has said what it had to say, or never will */
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return done;
}

/* Whatever the library did to the memory of its process. */
static bool is_sane(struct ash_device_report *report)
{
    report->reason[sizeof report->reason - 1] = '\0';
    for (int i = 0; i < ASH_DEVICE_MOST_REPORTED; i++) {
        struct ash_device_info *info = &report->info[i];
        info->name[sizeof info->name - 1] = info->pci[sizeof info->pci - 1] = '\0';
        info->reason[sizeof info->reason - 1] = '\0';
    }
    return report->count >= 0 && report->count <= ASH_DEVICE_MOST_REPORTED;
}

void ash_device_report_ask(
    ash_device_fill *fill, const void *context, const char *crashed, struct ash_device_report *out)
{
    if (ask(fill, context, out) && is_sane(out))
        return;
    *out = (struct ash_device_report){ .count = 0 };
    snprintf(out->reason, sizeof out->reason, "%s", crashed);
}

void ash_device_report_fill(
    ash_device_fill *fill, const void *context, struct ash_device_report *out)
{
    *out = (struct ash_device_report){ .count = 0 };
    if (fill(context, out) != ASH_OK)
        snprintf(out->reason, sizeof out->reason, "%s", ash_error());
}

/* ---- What is made of it ---- */

static int read_os_node(const char *pci)
{
    char path[64];
    int os_index = -1;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", pci);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    if (fscanf(file, "%d", &os_index) != 1)
        os_index = -1;
    fclose(file);
    return os_index;
}

/* hwloc's logical index of the node that the card at `pci` ("0000:3b:00.0") is at, by what the system says; -1 =
 * unknown, also where the topology is another machine's. */
static int find_numa_node(const struct ash_topology *topology, const char *pci)
{
    if (!topology || !topology->live || !pci[0])
        return -1;
    int os_index = read_os_node(pci);
    for (size_t i = 0; os_index >= 0 && i < topology->count; i++)
        if (topology->node[i].kind == ASH_TOPOLOGY_MEMORY && topology->node[i].os_index == os_index)
            return topology->node[i].index;
    return -1;
}

enum ash_status ash_device_report_list(const struct ash_device_report *report,
    const struct ash_driver *driver, const struct ash_topology *topology,
    struct ash_device_info *out, int capacity, int *count)
{
    *count = report->reason[0] ? 1 : report->count;
    for (int i = 0; i < *count && i < capacity; i++) {
        out[i] = report->info[i];
        if (report->reason[0])
            out[i] = (struct ash_device_info){ .usable = false };
        out[i].driver = driver;
        out[i].index = i;
        out[i].numa_node = find_numa_node(topology, out[i].pci);
        if (report->reason[0])
            memcpy(out[i].reason, report->reason, sizeof report->reason);
    }
    return ASH_OK;
}
