/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/cpu/ranking_internal.h"

/* Figures of a listed ranking that make the last kernel of every operator and type the best for prompts, and for
 * answers too unless these are to have the first. */
void ranking_reverse(struct ash_ranking *ranking, bool answers_too);

/*
 * Leaves the ranking in a cache's folder, where the driver takes it for this build's own of the processor `name`: as
 * the device's info has it, which hangs on whether the topology is known. Fails the test where it cannot.
 */
void ranking_leave(const struct ash_ranking *ranking, const char *name, const char *folder);
