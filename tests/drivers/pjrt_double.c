/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/drivers/pjrt_double.h"

#include "drivers/pjrt/pjrt_api.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES = 80, CHIPS = 2, MOST_RESULTS = 8, INTERNAL = 13, UNAVAILABLE = 14 };

struct pjrt_error {
    int code;
    char words[64];
};
struct pjrt_event {
    int unused;
};
struct pjrt_chip {
    int id;
};
struct pjrt_client {
    bool is_open;
    struct pjrt_chip chip[CHIPS], *chips[CHIPS];
};
struct pjrt_array {
    const struct pjrt_chip *chip;
    size_t size_bytes;
    char bytes[];
};
struct pjrt_executable {
    size_t results, size_bytes[MOST_RESULTS], text_size;
    char text[]; /* first the number of the chip that it was compiled for */
};

__attribute__((visibility("default"))) struct pjrt_double pjrt_double_state = { .fail_at = -1,
    .nothing_at = -1 };
static struct pjrt_double *const state = &pjrt_double_state;
static struct pjrt_client client;

/* ---- What is given out ---- */

static void *give(size_t size_bytes)
{
    state->live++;
    return calloc(1, size_bytes);
}

static void take_back(void *object)
{
    state->live -= object != NULL;
    free(object);
}

static struct pjrt_error *fail(int code, const char *words)
{
    struct pjrt_error *error = give(sizeof *error);
    error->code = code;
    snprintf(error->words, sizeof error->words, "%s", words);
    return error;
}

/* False: the call returns *error and does nothing. */
static bool enter(struct pjrt_error **error)
{
    int64_t call = state->calls++;
    *error = call == state->fail_at ? fail(INTERNAL, "as it was told to") : NULL;
    return !*error && call != state->nothing_at;
}

#define ENTER()                                                                                    \
    struct pjrt_error *error;                                                                      \
    if (!enter(&error))                                                                            \
    return error

#define DESTROYS(name, member)                                                                     \
    static struct pjrt_error *name(struct pjrt_##name *args)                                       \
    {                                                                                              \
        take_back(args->member);                                                                   \
        return NULL;                                                                               \
    }

/* ---- Errors and events ---- */

static struct pjrt_error *error_destroy(struct pjrt_error_destroy *args)
{
    take_back(args->error);
    return NULL;
}

static struct pjrt_error *error_message(struct pjrt_error_message *args)
{
    args->message = args->error->words;
    args->message_size = strlen(args->message);
    return NULL;
}

static struct pjrt_error *error_get_code(struct pjrt_error_get_code *args)
{
    args->code = args->error->code;
    return NULL;
}

DESTROYS(event_destroy, event)

static struct pjrt_error *event_await(struct pjrt_event_await *args)
{
    (void)args;
    ENTER();
    return NULL;
}

/* ---- The client and its chips ---- */

static struct pjrt_error *plugin_initialize(struct pjrt_plugin_initialize *args)
{
    (void)args;
    ENTER();
    return NULL;
}

static struct pjrt_error *client_create(struct pjrt_client_create *args)
{
    const char *fault = getenv("ASHLAR_TEST_PJRT_FAULT");
    ENTER();
    if (fault && strcmp(fault, "exhausted") == 0)
        return fail(PJRT_RESOURCE_EXHAUSTED, "all chips are taken");
    if (fault && strcmp(fault, "internal") == 0)
        return fail(INTERNAL, "all chips are taken");
    if (client.is_open)
        return fail(UNAVAILABLE, "there is a client already");
    for (int i = 0; i < CHIPS; i++) {
        client.chip[i].id = i;
        client.chips[i] = &client.chip[i];
    }
    state->live++;
    client.is_open = true;
    args->client = &client;
    return NULL;
}

static struct pjrt_error *client_destroy(struct pjrt_client_destroy *args)
{
    state->live -= args->client && args->client->is_open;
    client.is_open = false;
    return NULL;
}

static struct pjrt_error *client_platform_name(struct pjrt_client_text *args)
{
    ENTER();
    args->text = "double";
    args->text_size = 6;
    return NULL;
}

#define client_platform_version client_platform_name

static struct pjrt_error *client_devices(struct pjrt_client_devices *args)
{
    ENTER();
    args->chip = args->client->chips;
    args->count = CHIPS;
    return NULL;
}

static struct pjrt_error *describe(struct pjrt_describe *args)
{
    ENTER();
    args->description = (struct pjrt_chip_text *)args->chip;
    return NULL;
}

static struct pjrt_error *chip_id(struct pjrt_chip_id *args)
{
    ENTER();
    args->id = ((const struct pjrt_chip *)args->description)->id;
    return NULL;
}

static struct pjrt_error *chip_kind(struct pjrt_chip_kind *args)
{
    ENTER();
    args->text = "of a chip";
    args->text_size = strlen(args->text);
    return NULL;
}

static struct pjrt_error *memory_stats(struct pjrt_memory_stats *args)
{
    ENTER();
    args->limit.is_set = true;
    args->limit.value = 1 << 30;
    return NULL;
}

/* ---- Arrays ---- */

static size_t bytes_of(enum pjrt_type type)
{
    return type == PJRT_F16 || type == PJRT_BF16                      ? 2
           : type == PJRT_F32 || type == PJRT_S32 || type == PJRT_U32 ? 4
                                                                      : 1;
}

static struct pjrt_array *make_array(const struct pjrt_chip *chip, size_t size_bytes)
{
    struct pjrt_array *array = give(sizeof *array + size_bytes);
    array->chip = chip;
    array->size_bytes = size_bytes;
    return array;
}

static struct pjrt_error *from_host(struct pjrt_from_host *args)
{
    size_t size_bytes = bytes_of(args->type);
    ENTER();
    for (size_t i = 0; i < args->rank; i++)
        size_bytes *= (size_t)args->dim[i];
    args->array = make_array(args->chip, size_bytes);
    memcpy(args->array->bytes, args->data, size_bytes);
    args->done = give(sizeof *args->done);
    return NULL;
}

static struct pjrt_error *to_host(struct pjrt_to_host *args)
{
    ENTER();
    if (args->to_size != args->array->size_bytes)
        return fail(INTERNAL, "an array of another size");
    memcpy(args->to, args->array->bytes, args->to_size);
    args->done = give(sizeof *args->done);
    return NULL;
}

static struct pjrt_error *array_copy(struct pjrt_array_copy *args)
{
    ENTER();
    if (args->array->chip == args->chip)
        return fail(INTERNAL, "a copy to the same chip");
    args->copy = make_array(args->chip, args->array->size_bytes);
    memcpy(args->copy->bytes, args->array->bytes, args->array->size_bytes);
    state->copies++;
    return NULL;
}

static struct pjrt_error *array_ready(struct pjrt_array_ready *args)
{
    ENTER();
    args->ready = give(sizeof *args->ready);
    return NULL;
}

static struct pjrt_error *array_is_deleted(struct pjrt_array_is_deleted *args)
{
    ENTER();
    args->deleted = false;
    return NULL;
}

DESTROYS(array_destroy, array)

/* ---- Programs ---- */

/* "4x64xf32>": how many bytes. */
static size_t read_shape(const char *at)
{
    size_t bytes = 1;
    while (*at >= '0' && *at <= '9') {
        bytes *= strtoul(at, NULL, 10);
        at += strspn(at, "0123456789") + 1;
    }
    return bytes * ((strtoul(at + strcspn(at, "0123456789"), NULL, 10) + 7) / 8);
}

static struct pjrt_executable *read_program(const char *text, size_t text_size)
{
    struct pjrt_executable *executable = give(sizeof *executable + text_size + 1);
    memcpy(executable->text, text, text_size);
    executable->text_size = text_size;
    const char *at = strstr(executable->text + 1, "-> "), *end = at ? strchr(at, '{') : NULL;
    while (end && (at = strstr(at, "tensor<")) && at < end && executable->results < MOST_RESULTS)
        executable->size_bytes[executable->results++] = read_shape(at += strlen("tensor<"));
    return executable;
}

static struct pjrt_error *client_compile(struct pjrt_client_compile *args)
{
    ENTER();
    state->compiled++;
    char *text = give(args->code->text_size + 1);
    text[0] = args->options[args->options_size - 1]; /* what its device assignment ends with */
    memcpy(text + 1, args->code->text, args->code->text_size);
    args->executable = read_program(text, args->code->text_size + 1);
    take_back(text);
    return NULL;
}

static struct pjrt_error *execute(struct pjrt_execute *args)
{
    const struct pjrt_executable *executable = args->executable;
    ENTER();
    const struct pjrt_chip *chip = &client.chip[(int)executable->text[0]];
    for (size_t i = 0; i < args->in_count; i++)
        if (args->in[0][i]->chip != chip)
            return fail(INTERNAL, "an array of another chip");
    for (size_t i = 0; i < executable->results; i++)
        args->out[0][i] = make_array(chip, executable->size_bytes[i]);
    args->done[0] = give(sizeof *args->done[0]);
    return NULL;
}

DESTROYS(executable_destroy, executable)

static struct pjrt_error *get_built(struct pjrt_get_built *args)
{
    ENTER();
    args->built =
        (struct pjrt_built *)read_program(args->executable->text, args->executable->text_size);
    return NULL;
}

DESTROYS(built_destroy, built)

static void kept_destroy(struct pjrt_kept *kept)
{
    take_back(kept);
}

static struct pjrt_error *serialize(struct pjrt_serialize *args)
{
    const struct pjrt_executable *executable = (const struct pjrt_executable *)args->built;
    ENTER();
    char *bytes = give(executable->text_size);
    memcpy(bytes, executable->text, executable->text_size);
    args->bytes = bytes;
    args->size_bytes = executable->text_size;
    args->kept = (struct pjrt_kept *)bytes;
    args->destroy = kept_destroy;
    return NULL;
}

static struct pjrt_error *deserialize(struct pjrt_deserialize *args)
{
    ENTER();
    args->executable = read_program(args->bytes, args->size_bytes);
    return NULL;
}

/* ---- The table ---- */

struct table {
    PJRT_HEAD;
    struct {
        PJRT_HEAD;
        int major, minor;
    } version;
    void *call[PLACES];
};

static void fill(struct table *table)
{
#define PUT(name, place, args_)                                                                    \
    {                                                                                              \
        struct pjrt_error *(*call)(struct args_ *) = name;                                         \
        memcpy(&table->call[place], &call, sizeof call);                                           \
    }
    PJRT_CALLS(PUT)
    PJRT_MORE_CALLS(PUT)
#undef PUT
}

static void empty(struct table *table)
{
#define TAKE(name, place, args_) table->call[place] = NULL;
    PJRT_MORE_CALLS(TAKE)
#undef TAKE
}

__attribute__((visibility("default"))) const struct table *GetPjrtApi(void);

const struct table *GetPjrtApi(void)
{
    static struct table table;
    const char *set = getenv("ASHLAR_TEST_PJRT_FAULT"), *fault = set ? set : "";
    table = (struct table){ .struct_size = sizeof table, .version = { .minor = 81 } };
    if (strcmp(fault, "crash") == 0)
        raise(SIGSEGV);
    if (strcmp(fault, "null") == 0)
        return NULL;
    if (strcmp(fault, "old") == 0)
        table.version.minor = 3;
    if (strcmp(fault, "major") == 0)
        table.version.major = 1;
    if (strcmp(fault, "hole") != 0)
        fill(&table);
    if (strcmp(fault, "lacking") == 0)
        empty(&table);
    if (strcmp(fault, "lacking") == 0 || strcmp(fault, "short") == 0)
        table.struct_size -= (PLACES - PJRT_TABLE) * sizeof(void *);
    if (strcmp(fault, "short") == 0)
        table.struct_size -= sizeof(void *);
    return &table;
}
