/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/device.h"
#include "tests/drivers/hip_double/hip_double.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

enum { MOST_DEVICES = 8 };

/* hipError_t, as drivers/hip/hip_api.h has them; written again, as a double must not share mistakes. */
enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    NO_BINARY_FOR_GPU = 209,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    LAUNCH_OUT_OF_RESOURCES = 701,
    PEER_ACCESS_ALREADY_ENABLED = 704,
    HOST_MEMORY_ALREADY_REGISTERED = 712,
    HOST_MEMORY_NOT_REGISTERED = 713,
    LAUNCH_FAILURE = 719,
};

/* Whose cards these are: amd.c, or tests/drivers/cuda_double/nvidia.c. */
struct double_maker {
    const char *name, *arch; /* of the card, unless HIP_DOUBLE_ARCH says */
    int death;               /* the error of a kernel that dies */
    /* SUCCESS and its size if it is a module for these cards. */
    int (*check_image)(const char *image, size_t *bytes);
    bool (*has_entry)(const char *image, size_t bytes, const char *name);
};
extern const struct double_maker maker;

/* double.c */
extern _Thread_local int current; /* the thread's card */
const char *arch_name(void);
size_t card_bytes(void);

typedef void kernel_function(DEVICE_PARAMETERS);

/* double_run.c: a thread's 256 work-items, each with a stack of its own. */
struct crew;
struct crew *crew_create(void);
void crew_destroy(struct crew *crew);

struct job {
    kernel_function *kernel;
    i32 groups;
    u8 *memory[DEVICE_INPUTS + 1];
    const i32 *batch;
    struct ash_device_args args;
};
void crew_run(struct crew *crew, const struct job *job);

/* double_queue.c: work in its order, on a thread a stream. */
enum work_kind { WORK_COPY, WORK_SET, WORK_WAIT, WORK_RUN };

struct work {
    struct work *next;
    enum work_kind kind;
    char *to;
    const char *from;
    size_t bytes;
    int value;
    struct hip_stream *stream; /* WORK_WAIT: until its `done` reaches `point` */
    uint64_t point;
    struct job job;
};

struct hip_stream {
    int device;
    pthread_t thread;
    struct crew *crew;
    struct work *first, **last;
    uint64_t queued, done;
    bool ends;
};

struct hip_event {
    int device;
    struct hip_stream *stream; /* NULL = nothing was recorded */
    uint64_t point;
};

extern pthread_mutex_t lock; /* of all that follows and of every stream's and event's fields */
extern pthread_cond_t changed;
extern int card_error[MOST_DEVICES]; /* what killed it; SUCCESS = it lives */

int queue_add(struct hip_stream *stream, const struct work *work); /* under the lock */
int queue_wait(struct hip_stream *stream, uint64_t point);         /* the card's error */
int stream_start(int device, struct hip_stream **out);
void stream_end(struct hip_stream *stream);

/* double_stream.c. Queues work on a stream of the current card, if that lives; under the lock. */
int stream_add(struct hip_stream *stream, bool allowed, struct work work);
void stream_wait_all(int device);

/* double_memory.c; under the lock. */
bool is_on(const void *memory, size_t bytes, int device);
bool is_of_host(const void *memory); /* not in any card's */
bool is_pinned(const void *memory, size_t bytes);
int device_of(const void *memory); /* -1 = in none's */
/* Takes the lock itself, and waits for nothing. */
int remove_block(void *memory, bool of_host);

/* Counts occasions down; whether the fault happens now. */
bool happens(enum hip_double_fault fault);
extern int64_t live_count;
