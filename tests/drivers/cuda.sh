#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tests of the HIP driver, unchanged, over the double of libcuda, which ASHLAR_TEST_CUDA names: found by itself
# under the name of NVIDIA's driver, as on a machine without libamdhip64; HIP's own suite by name.
# Usage: cuda.sh ASHLAR TEST-PROGRAM...
set -euo pipefail
ashlar=$1
shift
export OCL_ICD_VENDORS=/nonexistent ASHLAR_TEST_DRIVER=hip
if [[ $1 == *test-drivers ]]; then
    ASHLAR_HIP_LIBRARY=$ASHLAR_TEST_CUDA "$1" --filter 'hip/*'
fi

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
for program; do
    case $program in
    *test-drivers) "$program" --filter 'conformance/*' ;;
    *test-device-operators) "$program" --filter 'operators/*' ;;
    *test-device-models) "$program" --filter 'models/logits_are_the_references_on_every_device' ;;
    *) echo "no filter for $program" && exit 2 ;;
    esac
done
