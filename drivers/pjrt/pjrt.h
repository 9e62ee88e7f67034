/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "runtime/driver.h"

/*
 * TPUs, and any accelerator whose maker ships a PJRT plugin (openxla.org): the setting pjrt_plugin
 * names it, else libtpu.so. Steps are written as StableHLO and compiled by the plugin for a few sizes
 * of batches.
 */
extern const struct ash_driver ash_driver_pjrt;
