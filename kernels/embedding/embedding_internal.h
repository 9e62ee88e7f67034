/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "kernels/embedding/embedding.h"

void ash_embedding_ref(const struct ash_args *args);
