#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tests of drivers over each PJRT plugin in ASHLAR_TEST_PJRT_PLUGINS (paths with colons between; ./check
# fetches two for the processor), with no other maker's library at hand. Operators only on small cases
# with plain numbers: each shape is a program that the plugin's compiler works on for a tenth of a second.
set -euo pipefail
drivers=$1 operators=$2 models=$3
if [ -z "${ASHLAR_TEST_PJRT_PLUGINS-}" ]; then
    echo "no plugins: ASHLAR_TEST_PJRT_PLUGINS is not set"
    exit 77
fi
export OCL_ICD_VENDORS=/nonexistent ASHLAR_HIP_LIBRARY=/nonexistent
export ASHLAR_PJRT_SPLIT=2 # two devices of one client
XDG_CACHE_HOME=$(mktemp -d) # nothing that an earlier run has left: everything is compiled once
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
IFS=: read -ra plugins <<<"$ASHLAR_TEST_PJRT_PLUGINS"
for plugin in "${plugins[@]}"; do
    export ASHLAR_PJRT_PLUGIN=$plugin
    echo "== $plugin"
    "$drivers" --filter 'conformance/*'
    "$drivers" --filter 'pjrt/*'
    ASHLAR_PJRT_SPLIT=1 ASHLAR_TEST_QUICK=pjrt "$operators" --filter 'operators/*'
    ASHLAR_PJRT_SPLIT=1 "$models" --filter 'models/logits_are_the_references_on_every_device'
    ASHLAR_PJRT_SPLIT=1 "$models" --filter 'models/logits_are_the_references_beside_the_processor'
    "$models" --filter 'models/logits_are_the_references_over_two_devices_of_a_driver'
done
