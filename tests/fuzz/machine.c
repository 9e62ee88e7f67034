/* SPDX-License-Identifier: Apache-2.0 */
/* A device table of any bytes: a machine whose every pair has a link, or one message. */
#include "scheduler/machine.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct ash_machine *machine)
{
    if (machine->devices < 1 || machine->home < 0 || machine->home >= machine->devices ||
        !machine->device[machine->home].host)
        abort();
    for (int32_t i = 0; i < machine->devices * machine->devices; i++) {
        if (machine->way[i] < 0 || machine->way[i] >= machine->links)
            abort();
        const struct ash_schedule_link *link = &machine->link[machine->way[i]];
        if (!(link->bytes_per_s > 0) || !(link->latency_s >= 0))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ash_machine machine = { 0 };
    enum ash_status status = ash_machine_parse((const char *)data, size, "table", NULL, &machine);
    if (status == ASH_OK)
        check(&machine);
    else if (status != ASH_ERR_FORMAT || !*ash_error())
        abort();
    ash_machine_finish(&machine);
    return 0;
}
