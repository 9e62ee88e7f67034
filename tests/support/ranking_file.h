/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "drivers/cpu/ranking_internal.h"

/* Figures that make the last kernel listed of every operator and type the best for prompts, and for answers
 * too unless these are to have the first. */
void ranking_reverse(struct ash_ranking *ranking, bool answers_too);

/* Leaves the ranking in a cache's folder, where the processor's driver takes it for this machine's and
 * build's own. Fails the test where it cannot. */
void ranking_leave(const struct ash_ranking *ranking, const char *folder);
