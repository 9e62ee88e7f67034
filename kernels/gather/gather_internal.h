/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/gather/gather.h"

void ash_gather_ref(const struct ash_args *args);
