/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ash_affinity_quota() with the system's files below `root` ("" for the machine's own). */
int ash_affinity_quota_below(const char *root);
