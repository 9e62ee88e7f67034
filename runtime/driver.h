/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/op.h"

struct ash_config;
struct ash_topology;
struct ash_trace;

/*
 * A compute backend: one struct of functions. drivers/null is the smallest complete one and the
 * template to copy; tests/drivers/conformance.c runs unchanged on every backend.
 *
 * Work is queued and the call returns. A device has three timelines: its steps run in the order they were
 * given, copies to it and copies from it in theirs, all beside each other where it can; between the three, and
 * between devices, only events order work. An event is a point on a timeline (as Vulkan's timeline semaphores): a plain value
 * that needs no release.
 *
 * Threads: one at a time per device. Errors: ASH_ERR_DEVICE when the device is lost (every later call
 * on it fails the same way), ASH_ERR_NO_MEMORY when its memory is exhausted (nothing was changed).
 */
struct ash_driver;

/* What a driver found; also the ones that cannot be used, with the reason. */
struct ash_device_info {
    const struct ash_driver *driver;
    int index;             /* "opencl:0": position among the driver's devices */
    char name[96];         /* as the maker calls it */
    char pci[16];          /* "0000:3b:00.0", or "" */
    uint64_t memory_bytes; /* its own memory; for a CPU, what this process may use */
    int numa_node;         /* hwloc logical index of the nearest node; -1 = unknown */
    bool is_card;          /* it computes on processors of its own, not by a detour on the host's */
    bool host_memory; /* its steps can read host memory where it lies (weights in a mapped file) */
    bool usable;
    char reason[192]; /* why not, and what to do: "libamdhip64.so not found: install ..." */
};

/* A device in use. Drivers put this first in a struct of their own. */
struct ash_device {
    const struct ash_driver *driver;
    struct ash_device_info info;
};

/* A block of a device's memory. Drivers put this first in a struct of their own. */
struct ash_buffer {
    struct ash_device *device;
    size_t size_bytes;
    void *host; /* where the host may read and write it directly, on pages of its own; else NULL */
};

enum ash_memory_use {
    ASH_MEMORY_WEIGHTS, /* written once, right away, then read by every step */
    ASH_MEMORY_ARENA, /* activations: written and read by every step; held as far as batches have reached */
    ASH_MEMORY_STATE, /* caches: zeroed; backed by real memory only as it is written */
};

/* A kernel that a driver may choose, and what it took in the driver's own measurement. */
struct ash_kernel_rank {
    const char *op, *type, *kernel; /* "matmul", "Q4_0", "amx"; the type of its weight or cache */
    int64_t token_ns, prefill_ns;
    const char *taken_for; /* "answers", "prompts", "both", "" */
};

/* Receives one after the other; what it points to is borrowed for the call. */
struct ash_kernel_ranks {
    void (*add)(void *context, const struct ash_kernel_rank *rank);
    void *context;
    int count;     /* filled: how many were added */
    char how[320]; /* filled: where the order comes from, "measured, kept in FILE" */
};

/* A point on a device's timeline; { NULL, 0 } has always happened. */
struct ash_event {
    struct ash_device *device;
    uint64_t value;
};

/* A place in a buffer. */
struct ash_place {
    struct ash_buffer *buffer;
    size_t offset_bytes;
};

/*
 * An operator made ready for given types, shapes and params. Drivers put this first in a struct of
 * their own. Filled by load():
 */
struct ash_loaded {
    const char *kernel; /* which kernel was chosen, for plans and traces; loads of one operator
                                 with the same kernel and packed_bytes pack a weight alike */
    enum ash_type activation; /* the type it reads in[0] in; the planner converts */
    bool fallback;            /* the reference, or a kernel that is no faster than need be */
    int packed_input;         /* the weight it wants in a layout of its own; 0 = none */
    size_t packed_bytes;      /* how much memory that takes */
    const struct ash_kernel
        *layout;       /* the layout, where others can read it row by row; else NULL */
    bool reads_packed; /* it reads in[0], a weight, in any such layout on its own device */
};

/* One step of a plan: what to run, on which shapes, on which memory. */
struct ash_step {
    const char *name; /* of the graph's node, for traces */
    const struct ash_op *op;
    struct ash_loaded *loaded;
    struct ash_args args; /* shapes and params; data too, where the host can reach it */
    struct ash_place in[ASH_MAX_INPUTS]; /* buffer NULL: none, or host memory at args.in[i].data */
    struct ash_place out;
    int32_t phase; /* steps of one phase do not depend on each other; phases run in order */
};

/* A compiled run of steps. Drivers put what they need behind it. */
struct ash_program;

struct ash_driver {
    const char *name; /* "cpu", "opencl", "hip" */

    /* copy() goes from a device to another of the driver's; both are in use while it is called. */
    bool copies_to_peers;

    /* Writes up to `capacity` devices and sets *count to how many there are. A missing library or
     * card is one unusable entry with a reason, not an error. Never crashes on half-installed
     * drivers. `topology` may be NULL. */
    enum ash_status (*probe)(
        const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count);

    /* Optional: the order of kernels by which load() will choose on this device; measures them where
     * nobody has yet. ASH_ERR_NO_MEMORY. */
    enum ash_status (*rank)(const struct ash_device_info *info, const struct ash_config *config,
        struct ash_kernel_ranks *out);

    /* Takes a device into use. `config` is borrowed until close(); NULL = the defaults. */
    enum ash_status (*open)(const struct ash_device_info *info, const struct ash_config *config,
        struct ash_device **out);
    void (*close)(struct ash_device *device); /* waits for its work; takes NULL */

    /* `size_bytes` >= 1; aligned to 64 bytes. More than there can be is ASH_ERR_NO_MEMORY too. */
    enum ash_status (*alloc)(struct ash_device *device, size_t size_bytes, enum ash_memory_use use,
        struct ash_buffer **out);
    void (*free)(struct ash_buffer *buffer); /* takes NULL */

    /* Optional, both or none: keeps the pages of [host, host + size_bytes) where they are, so that copies from
     * and to them by any of this driver's devices run beside the thread that queues them; for other memory the
     * maker's library may hold that thread until a copy is done. False: it cannot, copies are right all the same,
     * and there is nothing to undo. The memory stays its owner's, who calls unpin() with the same `host`
     * before it goes, when all copies are done. What is pinned at a time shares no page (ash_alloc_pages()). */
    bool (*pin)(struct ash_device *device, void *host, size_t size_bytes);
    void (*unpin)(struct ash_device *device, void *host);

    /* Chooses or compiles a kernel for these types and shapes (the largest they will have).
     * `args->params` is borrowed until unload(). ASH_ERR_UNSUPPORTED: place it elsewhere. Where
     * args->out is of another type than infer() gives (A8), a kernel that writes it is asked for. */
    enum ash_status (*load)(struct ash_device *device, const struct ash_op *op,
        const struct ash_args *args, struct ash_loaded **out);
    void (*unload)(struct ash_device *device, struct ash_loaded *loaded); /* takes NULL */

    /* Optional, for cost models: sets the sizes in `args`, as load() takes them or bound to a batch, to what the
     * device computes where these are asked for: a tile that is half full takes as long as a full one. Returns
     * which of its ways with the operator that is ("matmul_tile"), static text; NULL where it has one, or one for
     * prompts and one for answers. Nothing has to be loaded. Without round_up it computes what is asked for. */
    const char *(*round_up)(
        const struct ash_device *device, const struct ash_op *op, struct ash_args *args);

    /* Optional: told of a run of steps (as compile() is) once their weights have memory and before
     * those are written: says where in the machine that memory shall come from. */
    enum ash_status (*settle)(
        struct ash_device *device, const struct ash_step *steps, int32_t count);

    /* Writes a weight in host memory to `to`, in the layout `loaded` wants input `input` in (its
     * plain layout for any but the packed one). Done when the call returns. */
    enum ash_status (*upload)(struct ash_device *device, const struct ash_loaded *loaded, int input,
        const struct ash_tensor *weight, struct ash_place to);

    /* Queues one step after the device's other steps and the events in `after`, the device's own copies'
     * among them. `batch` is borrowed until *done. */
    enum ash_status (*launch)(struct ash_device *device, const struct ash_step *step,
        const struct ash_batch *batch, const struct ash_event *after, int after_count,
        struct ash_event *done);

    /* Queues a copy on `device` after its other copies to it, or from it, and the events in `after`, its own steps'
     * among them. The device owns one of the two buffers; the other is its own (a copy to it), has host memory or,
     * where the driver says so, is another of its devices'. ASH_ERR_ARGUMENT otherwise. */
    enum ash_status (*copy)(struct ash_device *device, struct ash_place to, struct ash_place from,
        size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done);

    /* Returns when `event`, of this device, has happened; then every error of work before it, on its
     * timeline and on those that this waits for, is reported, once. */
    enum ash_status (*wait)(struct ash_device *device, struct ash_event event);

    /* Optional, all three or none: a whole run of steps at once, where that beats step by step.
     * `steps` (ordered by phase) are borrowed until discard(). run() as launch(); it allocates
     * nothing. With a `trace` (NULL = none; borrowed likewise) run() records a span for each step and
     * worker. */
    enum ash_status (*compile)(struct ash_device *device, const struct ash_step *steps,
        int32_t count, struct ash_trace *trace, struct ash_program **out);
    enum ash_status (*run)(struct ash_device *device, struct ash_program *program,
        const struct ash_batch *batch, const struct ash_event *after, int after_count,
        struct ash_event *done);
    void (*discard)(struct ash_device *device, struct ash_program *program); /* takes NULL */
};
