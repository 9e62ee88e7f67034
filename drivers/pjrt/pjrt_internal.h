/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/pjrt/pjrt.h"
#include "drivers/pjrt/pjrt_api.h"
#include "drivers/pjrt/pjrt_text.h"

/* What the files of this driver know of each other. */

enum { PJRT_RING = 64, PJRT_MOST_PARTS = 3, PJRT_MOST_PATH = 4096 };

/* A plugin, and its one client, which all its devices share. */
struct pjrt_plugin {
    struct pjrt_plugin *next;
    char path[PJRT_MOST_PATH];
    struct pjrt_api api;
    struct pjrt_client *client; /* NULL without users */
    struct pjrt_chip *const *chip;
    size_t chips;
    int users; /* devices that are open */
};

struct pjrt_device {
    struct ash_device base;
    struct pjrt_plugin *plugin;
    const struct pjrt_api *api; /* its */
    struct pjrt_client *client; /* likewise */
    struct pjrt_chip *chip;
    char who[128];              /* for messages: "pjrt:0 (cpu)" */
    char options[80];           /* CompileOptionsProto: one copy of the program, on this chip; */
    size_t options_size;        /* and what not all plugins know, */
    size_t plain_size;          /* behind the rest */
    bool is_plain;              /* there is no more, or the plugin refused it */
    char *cache_dir, *identity; /* owned; NULL = programs are not kept */
    bool is_processor;          /* its compiler makes code for the processor */
    bool lost;
    size_t used_bytes;                  /* of all buffers */
    uint64_t queued, waited;            /* the timeline */
    struct pjrt_event *ring[PJRT_RING]; /* the last runs' ends, by their value; NULL = waited for */
    enum ash_status late; /* of work that the ring forgot and nobody has waited for yet */
    int32_t *batch;       /* the numbers of a batch on their way */
    size_t batch_capacity;
};

/*
 * How a tensor lies on the device: as one array, or, quantised weights, as planes: the quants of a row
 * side by side (of Q4_x a byte holds element i and element i + K / 2 of a row), then their factors.
 */
struct pjrt_form {
    enum ash_type type;
    bool planes;
    int parts;
    struct pjrt_shape part[PJRT_MOST_PARTS];
};

/* Bytes [offset, offset + size) of a buffer: arrays on the device, or (no parts) host memory. Arrays may have
 * more rows behind those bytes, of whatever: a batch's that were filled up. */
struct pjrt_piece {
    size_t offset_bytes, size_bytes;
    struct pjrt_form form;
    struct pjrt_array *array[PJRT_MOST_PARTS];
    char *host;
};

/* An array of a plugin has one type and shape for its life: a buffer is the pieces written so far, by
 * offset, none overlapping; what is between them is zero and takes no memory. */
struct pjrt_buffer {
    struct ash_buffer base;
    bool is_arena; /* what is overlapped there is dead */
    struct pjrt_piece *piece;
    size_t count, capacity;
};

/* pjrt_memory.c */
enum ash_status pjrt_alloc(
    struct ash_device *device, size_t size_bytes, enum ash_memory_use use, struct ash_buffer **out);
void pjrt_free(struct ash_buffer *buffer);
enum ash_status pjrt_upload(struct ash_device *device, const struct ash_loaded *loaded, int input,
    const struct ash_tensor *weight, struct ash_place to);
enum ash_status pjrt_copy(struct ash_device *device, struct ash_place to, struct ash_place from,
    size_t size_bytes, const struct ash_event *after, int after_count, struct ash_event *done);
/* Reads `size_bytes` at `from` into host memory; waits for whatever is to write them. */
enum ash_status pjrt_read(struct ash_place from, size_t size_bytes, void *out);
/* Whether anything was ever written there. */
bool pjrt_has_bytes(struct ash_place place, size_t size_bytes);
/* The piece that has a form's arrays for a place, or NULL. */
struct pjrt_piece *pjrt_piece_of(struct ash_place place, const struct pjrt_form *form);
/* Takes `piece` (its arrays too) in the place of all pieces that overlap it. */
enum ash_status pjrt_piece_put(struct pjrt_buffer *buffer, const struct pjrt_piece *piece);
/* Makes room, so that the next `more` puts allocate nothing. */
enum ash_status pjrt_piece_reserve(struct pjrt_buffer *buffer, size_t more);

/* pjrt_form.c */
size_t pjrt_form_bytes(const struct pjrt_form *form); /* as the tensor's own bytes */
bool pjrt_form_is(const struct pjrt_form *a, const struct pjrt_form *b);
/* The form of a weight or an activation. */
void pjrt_form_plain(const struct ash_tensor *tensor, struct pjrt_form *out);
/* The form of a step's input (of its output: input -1), whatever dim[0] is there. */
void pjrt_form_of(
    const struct ash_op *op, const struct ash_args *args, int input, struct pjrt_form *out);
/* Makes the arrays of a form from the tensor's bytes; `bytes` can go when it returns. */
enum ash_status pjrt_form_send(struct pjrt_device *device, const struct pjrt_form *form,
    const void *bytes, struct pjrt_array *out[PJRT_MOST_PARTS]);
void pjrt_arrays_destroy(
    const struct pjrt_device *device, struct pjrt_array *array[PJRT_MOST_PARTS]);

/* pjrt_queue.c: the timeline. note() puts `event` (taken over; may be NULL) behind its next value. */
enum ash_status pjrt_begin(
    struct pjrt_device *device, const struct ash_event *after, int after_count);
struct ash_event pjrt_note(struct pjrt_device *device, struct pjrt_event *event);
enum ash_status pjrt_wait(struct ash_device *device, struct ash_event event);
/* Checks what a call of the device gave; a device that fails is lost. */
enum ash_status pjrt_device_check(
    struct pjrt_device *device, struct pjrt_error *error, const char *what);
/* Waits for an event, which it takes over, likewise. */
enum ash_status pjrt_device_finish(
    struct pjrt_device *device, struct pjrt_event *event, const char *what);
/* The plugin said that it did `what`, and gave NULL. */
enum ash_status pjrt_device_fail(struct pjrt_device *device, const char *what);
/* Whether it is a device of the same client, or itself. */
bool pjrt_is_sibling(const struct pjrt_device *device, const struct ash_device *other);

/* pjrt_plugin.c */

/* The path of the plugin that is configured, or the first that is found; without links. */
enum ash_status pjrt_find_plugin(char out[PJRT_MOST_PATH]);
/* The plugin with its client open, for one device more; to be given back by pjrt_plugin_release(), which takes
 * NULL. Threads: any. */
enum ash_status pjrt_plugin_take(const char *path, struct pjrt_plugin **out);
/* Likewise, where a device has it open already; else NULL. */
struct pjrt_plugin *pjrt_plugin_take_open(const char *path);
void pjrt_plugin_release(struct pjrt_plugin *plugin);
/* One that nobody shares, for a process that only looks; to be stopped if it started. */
enum ash_status pjrt_plugin_start(const char *path, struct pjrt_plugin *out);
void pjrt_plugin_stop(struct pjrt_plugin *plugin);

/* pjrt_probe.c */
enum ash_status pjrt_probe(
    const struct ash_topology *topology, struct ash_device_info *out, int capacity, int *count);
void pjrt_describe_chip(
    const struct pjrt_plugin *plugin, size_t index, struct ash_device_info *out);
bool pjrt_is_processor(const struct ash_device_info *info);
int pjrt_chip_number(const struct pjrt_api *api, struct pjrt_chip *chip);

/* ---- Programs ---- */

enum pjrt_argument_kind { PJRT_MEMORY, PJRT_BATCH, PJRT_TURNS };

/* An argument of a program: the arrays of a step's input, the numbers of the batch, or a table of
 * cosines and sines for the heads that a step turns. */
struct pjrt_argument {
    enum pjrt_argument_kind kind;
    int32_t step;
    int input;
    struct pjrt_form form;
    int id[PJRT_MOST_PARTS];
    int donated_to; /* the result that takes over its memory; -1 = none */
    float *table;   /* of PJRT_TURNS: room for it; owned */
    float *factor;  /* what a step's rope is given, read once where steps stay the same; owned */
};

/* A result: what a step writes (input -1), or a state that it updates. */
struct pjrt_result {
    int32_t step;
    int input;
    struct pjrt_form form; /* one part */
    int id;
};

/* Steps compiled for up to so many tokens, outputs and pages. */
struct pjrt_variant {
    struct pjrt_variant *next;
    int64_t tokens, outputs, pages;
    bool one_span; /* all tokens are of one sequence */
    struct pjrt_executable *executable;
    struct pjrt_argument *argument;
    size_t arguments, argument_capacity;
    struct pjrt_result *result;
    size_t results, result_capacity;
    struct pjrt_array **in, **out; /* room for a run's */
    bool *borrowed;                /* by `in`: it belongs to a buffer */
    size_t in_count;
};

/* Steps that run as one program, compiled for a few sizes of batches. */
struct pjrt_runner {
    struct pjrt_device *device;
    int64_t tokens, outputs; /* the most there can be */
    int64_t pages;           /* of the largest cache */
    bool needs_batch;
    bool shares_pages; /* one span's tokens can read its pages together */
    bool keeps_steps;  /* every run is of the same steps on the same memory */
    struct pjrt_variant *variant;
};

struct pjrt_loaded {
    struct ash_loaded base;
    struct pjrt_runner runner; /* of this one step */
};

/* pjrt_program.c: writes and compiles the program of `steps` for the sizes of `wanted`. */
enum ash_status pjrt_variant_make(struct pjrt_runner *runner, const struct ash_step *steps,
    int32_t count, const struct pjrt_variant *wanted);
void pjrt_runner_init(struct pjrt_runner *runner, struct pjrt_device *device,
    const struct ash_step *steps, int32_t count);
void pjrt_runner_finish(struct pjrt_runner *runner);

/* pjrt_cache.c: programs compiled, or found on disk where an earlier start has left them. */
enum ash_status pjrt_cache_open(struct pjrt_device *device, const struct ash_config *config);
enum ash_status pjrt_compile_text(
    struct pjrt_device *device, const struct pjrt_text *text, struct pjrt_executable **out);

/* pjrt_run.c */
enum ash_status pjrt_execute(struct pjrt_device *device, struct pjrt_executable *executable,
    struct pjrt_array **in, size_t in_count, struct pjrt_array **out, struct pjrt_event **done);
enum ash_status pjrt_launch(struct ash_device *device, const struct ash_step *step,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);
enum ash_status pjrt_compile(struct ash_device *device, const struct ash_step *steps, int32_t count,
    struct ash_trace *trace, struct ash_program **out);
enum ash_status pjrt_run(struct ash_device *device, struct ash_program *program,
    const struct ash_batch *batch, const struct ash_event *after, int after_count,
    struct ash_event *done);
void pjrt_discard(struct ash_device *device, struct ash_program *program);
