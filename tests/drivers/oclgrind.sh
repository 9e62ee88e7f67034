#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Small cases of every operator on oclgrind, an interpreter that sees races between work-items, accesses
# out of bounds and calls that break OpenCL's rules. Usage: oclgrind.sh TEST-DEVICE-OPERATORS
set -u
for library in /usr/lib/oclgrind/liboclgrind-rt-icd.so /usr/lib/*/oclgrind/liboclgrind-rt-icd.so; do
    [ -f "$library" ] && break
done
if ! [ -f "$library" ]; then
    echo "skipped: oclgrind is not installed (apt-get install oclgrind)"
    exit 77
fi
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
echo "$library" >"$folder/oclgrind.icd"
# As the program `oclgrind` sets them, which would preload a loader of its own besides.
export OCL_ICD_VENDORS="$folder" XDG_CACHE_HOME="$folder"
export OCLGRIND_CHECK_API=1 OCLGRIND_DATA_RACES=1 OCLGRIND_LOG="$folder/log"
export OCLGRIND_LOCAL_MEM_SIZE=65536 # of a device; it adds up what all kernels of a program have
export ASHLAR_TEST_QUICK=opencl ASHLAR_OPENCL_MATRIX=mma
"$1" --filter 'operators/*' 2>"$folder/output"
status=$?
cat "$folder/output"
# `grep` finds nothing to run on where a test could not open the device.
for ran in 'cases,' 'cases on matrix cores'; do
    grep -q "matmul on opencl:0: [1-9][0-9]* $ran" "$folder/output" || { echo "no $ran" && exit 1; }
done
if [ -s "$folder/log" ]; then
    echo "oclgrind found:"
    head -n 60 "$folder/log"
    exit 1
fi
exit $status
