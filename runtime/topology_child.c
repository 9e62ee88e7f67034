/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/topology_child_internal.h"

#include "runtime/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_NODES = 100000,
    MOST_NAME = 1000,
    MOST_SECONDS = 20, /* of processor time */
};

/* What goes over the pipe: this, and for each node the node and the letters of its name. */
struct header {
    enum ash_status status;
    char message[512];
    struct ash_topology topology; /* its pointer means nothing here */
};

struct wire_node {
    struct ash_topology_node node; /* likewise */
    size_t name_length;
};

/* ---- In the child ---- */

static bool send_bytes(int pipe_end, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t sent = write(pipe_end, at, length);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        length -= (size_t)sent;
    }
    return true;
}

static void send_result(int pipe_end, enum ash_status status, const struct ash_topology *topology)
{
    struct header header = { .status = status };
    memcpy(header.message, ash_error(), strnlen(ash_error(), sizeof header.message - 1));
    if (status == ASH_OK)
        header.topology = *topology;
    if (!send_bytes(pipe_end, &header, sizeof header) || status != ASH_OK)
        return;
    for (size_t i = 0; i < topology->count; i++) {
        const struct ash_topology_node *node = &topology->node[i];
        struct wire_node wire = { .node = *node, .name_length = strlen(node->name) };
        if (!send_bytes(pipe_end, &wire, sizeof wire) ||
            !send_bytes(pipe_end, node->name, wire.name_length))
            return;
    }
}

/* A crash in here is expected, and nobody else's business: no handler, no core, no words. */
static void keep_quiet(void)
{
    const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGPIPE };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    (void)setrlimit(RLIMIT_CPU, &(struct rlimit){ MOST_SECONDS, MOST_SECONDS });
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDERR_FILENO);
}

/* ---- In the parent ---- */

static bool receive_bytes(int pipe_end, void *bytes, size_t length)
{
    char *at = bytes;
    while (length > 0) {
        ssize_t received = read(pipe_end, at, length);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return false;
        at += received;
        length -= (size_t)received;
    }
    return true;
}

/* The order that every reader of the tree relies on, and that keeps recursion over it finite. */
static bool well_linked(const struct ash_topology_node *node, int place, int count)
{
    const bool child =
        node->first_child == -1 || (node->first_child > place && node->first_child < count);
    const bool next = node->next == -1 || (node->next > place && node->next < count);
    const bool parent = place == 0 ? node->parent == -1 : node->parent >= 0 && node->parent < place;
    return child && next && parent && (unsigned)node->kind < ASH_TOPOLOGY_KINDS;
}

static enum ash_status nonsense(void)
{
    return ash_fail(ASH_ERR_FORMAT, "hwloc breaks down over this; is it a file as "
                                    "`lstopo FILE.xml` writes it?");
}

static enum ash_status receive_node(int pipe_end, struct ash_topology *topology, size_t count)
{
    struct wire_node wire;
    if (!receive_bytes(pipe_end, &wire, sizeof wire) || wire.name_length > MOST_NAME ||
        !well_linked(&wire.node, (int)topology->count, (int)count))
        return nonsense();
    char *name = ash_alloc(wire.name_length + 1);
    if (!name)
        return ash_fail_memory(wire.name_length, "the name of a part of the machine");
    name[wire.name_length] = '\0';
    wire.node.name = name;
    topology->node[topology->count++] = wire.node; /* destroyed with the others from here on */
    return receive_bytes(pipe_end, name, wire.name_length) ? ASH_OK : nonsense();
}

static enum ash_status receive_topology(
    int pipe_end, const struct header *header, struct ash_topology *topology)
{
    const size_t count = header->topology.count;
    if (count < 1 || count > MOST_NODES)
        return nonsense();
    *topology = header->topology;
    topology->count = 0;
    topology->node = ash_alloc_array(count, sizeof *topology->node);
    if (!topology->node)
        return ash_fail_memory(count * sizeof *topology->node, "the machine's topology");
    while (topology->count < count)
        ASH_TRY(receive_node(pipe_end, topology, count));
    return ASH_OK;
}

static enum ash_status receive(int pipe_end, struct ash_topology **out)
{
    struct header header;
    if (!receive_bytes(pipe_end, &header, sizeof header))
        return nonsense();
    if (header.status != ASH_OK) {
        header.message[sizeof header.message - 1] = '\0';
        return (unsigned)header.status < ASH_STATUS_COUNT
                   ? ash_fail(header.status, "%s", header.message)
                   : nonsense();
    }
    struct ash_topology *topology = ash_alloc_zero(sizeof *topology);
    if (!topology)
        return ash_fail_memory(sizeof *topology, "the machine's topology");
    enum ash_status status = receive_topology(pipe_end, &header, topology);
    if (status == ASH_OK)
        *out = topology;
    else
        ash_topology_destroy(topology);
    return status;
}

enum ash_status ash_topology_in_child(enum ash_status (*make)(void *ctx, struct ash_topology **out),
    void *ctx, struct ash_topology **out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ash_fail(ASH_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        struct ash_topology *topology = NULL;
        keep_quiet();
        close(ends[0]);
        enum ash_status status = make(ctx, &topology);
        send_result(ends[1], status, topology);
        _exit(0);
    }
    const int error = errno;
    close(ends[1]);
    enum ash_status status =
        child < 0 ? ash_fail(ASH_ERR_IO, "cannot start a process: %s", strerror(error))
                  : receive(ends[0], out);
    close(ends[0]); /* a child that still sends gets SIGPIPE */
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return status;
}
