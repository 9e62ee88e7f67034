#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The HIP driver and its tests, unchanged, over the double of libcuda, which ASHLAR_TEST_CUDA names: found by
# itself under the name of NVIDIA's driver, as on a machine without libamdhip64; HIP's own suite by name.
# Usage: cuda.sh ASHLAR TEST-DRIVERS TEST-DEVICE-OPERATORS TEST-DEVICE-MODELS
set -euo pipefail
ashlar=$1 drivers=$2 operators=$3 models=$4
export OCL_ICD_VENDORS=/nonexistent
ASHLAR_HIP_LIBRARY=$ASHLAR_TEST_CUDA "$drivers" --filter 'hip/*'

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$ASHLAR_TEST_CUDA" "$folder/libcuda.so.1"
export LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ASHLAR_HIP_LIBRARY=
table=$("$ashlar" info)
if ! grep -q 'hip:0 .*NVIDIA.*(HIP on CUDA) .* yes ' <<<"$table"; then
    grep '^hip' <<<"$table"
    grep -q '^hip.*no kernels for NVIDIA' <<<"$table" || exit 1
    echo "this build has no kernels for NVIDIA's cards"
    exit 77
fi
"$drivers" --filter 'conformance/*'
"$operators" --filter 'operators/*'
"$models" --filter 'models/logits_are_the_references_on_every_device'
