/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"
#include "scheduler/machine.h"

/*
 * The devices in use as a machine for placement: the same struct that a device table gives, for
 * `ashlar plan` and for models that are shared out. Until a device has been measured (cost_file.h) its
 * figures are its kind's: those of a processor, of a card, or of a driver that computes on the processor by
 * a detour. They decide only where work goes, never what comes out.
 */

/* What a device is taken to do until it has been measured, all operators in one. */
struct ash_rates ash_device_rates(const struct ash_device_info *info);

/*
 * `models` [count]: what was measured, for the links; each may be NULL. `memory_bytes` [count]: what each may
 * be given. The home of input and output is the first that computes in host memory; where none does, the
 * first. The caller ends *out with ash_machine_finish(). ASH_ERR_NO_MEMORY.
 */
enum ash_status ash_machine_of(struct ash_device *const *devices, int32_t count,
    struct ash_cost_model *const *models, const double *memory_bytes, struct ash_machine *out);
