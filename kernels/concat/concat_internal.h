/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/concat/concat.h"

void ash_concat_ref(const struct ash_args *args);
