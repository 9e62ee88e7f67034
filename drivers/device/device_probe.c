/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/device/device_probe.h"

#include "runtime/memory.h"

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

static void run_child(int pipe_end, void (*fill)(void *report), char *report, size_t size_bytes)
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
    fill(report);
    while (size_bytes > 0) {
        ssize_t sent = write(pipe_end, report, size_bytes);
        if (sent <= 0)
            break;
        report += sent;
        size_bytes -= (size_t)sent;
    }
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

static bool ask(void (*fill)(void *report), void *report, size_t size_bytes, char *found)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0)
        run_child(ends[1], fill, report, size_bytes);
    close(ends[1]);
    bool done = child > 0 && receive(ends[0], found, size_bytes);
    close(ends[0]);
    if (child > 0)
        kill(child, SIGKILL); /* it has said what it had to say, or never will */
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return done;
}

bool ash_device_ask(void (*fill)(void *report), void *report, size_t size_bytes)
{
    char *found = ash_alloc(size_bytes);
    bool done = found && ask(fill, report, size_bytes, found);
    if (done)
        memcpy(report, found, size_bytes);
    ash_free(found);
    return done;
}

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

int ash_device_numa_node(const struct ash_topology *topology, const char *pci)
{
    if (!topology || !topology->live || !pci[0])
        return -1;
    int os_index = read_os_node(pci);
    for (size_t i = 0; os_index >= 0 && i < topology->count; i++)
        if (topology->node[i].kind == ASH_TOPOLOGY_MEMORY && topology->node[i].os_index == os_index)
            return topology->node[i].index;
    return -1;
}
