/* SPDX-License-Identifier: Apache-2.0 */
/* PJRT plugins that are of no use, by ASHLAR_TEST_PJRT_FAULT; tests/drivers/pjrt.c says what each is. */
#include "drivers/pjrt/pjrt_api.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct table {
    PJRT_HEAD;
    struct {
        PJRT_HEAD;
        int major, minor;
    } version;
    void *call[PJRT_TABLE];
};

struct pjrt_error {
    int code;
};

static struct pjrt_error exhausted = { PJRT_RESOURCE_EXHAUSTED }, internal = { 13 };

static void destroy(struct pjrt_error_destroy *args)
{
    (void)args;
}

static void message(struct pjrt_error_message *args)
{
    args->message = "all chips are taken";
    args->message_size = strlen(args->message);
}

static struct pjrt_error *code(struct pjrt_error_get_code *args)
{
    args->code = args->error->code;
    return NULL;
}

static struct pjrt_error *initialize(struct pjrt_plugin_initialize *args)
{
    (void)args;
    return NULL;
}

static struct pjrt_error *create(struct pjrt_client_create *args)
{
    (void)args;
    return strcmp(getenv("ASHLAR_TEST_PJRT_FAULT"), "exhausted") == 0 ? &exhausted : &internal;
}

__attribute__((visibility("default"))) const struct table *GetPjrtApi(void);

const struct table *GetPjrtApi(void)
{
    static struct table table = { .struct_size = sizeof table, .version = { .minor = 81 } };
    const char *fault = getenv("ASHLAR_TEST_PJRT_FAULT");
    if (strcmp(fault, "crash") == 0)
        raise(SIGSEGV);
    if (strcmp(fault, "null") == 0)
        return NULL;
    if (strcmp(fault, "old") == 0)
        table.version.minor = 3;
    if (strcmp(fault, "major") == 0)
        table.version.major = 1;
    if (strcmp(fault, "short") == 0)
        table.struct_size -= sizeof(void *);
    if (strcmp(fault, "hole") == 0)
        return &table;
    for (int i = 0; i < PJRT_TABLE; i++) /* none of the others is ever called */
        memcpy(&table.call[i], &(struct pjrt_error * (*[])(struct pjrt_client_create *)){ create },
            sizeof(void *));
    memcpy(&table.call[0], &(void (*[])(struct pjrt_error_destroy *)){ destroy }, sizeof(void *));
    memcpy(&table.call[1], &(void (*[])(struct pjrt_error_message *)){ message }, sizeof(void *));
    memcpy(&table.call[2], &(struct pjrt_error * (*[])(struct pjrt_error_get_code *)){ code },
        sizeof(void *));
    memcpy(&table.call[3],
        &(struct pjrt_error * (*[])(struct pjrt_plugin_initialize *)){ initialize },
        sizeof(void *));
    return &table;
}
