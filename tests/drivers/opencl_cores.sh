#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the OpenCL driver hands to NVIDIA's compiler for matrix cores, translated by clang in its stead: the
# instructions are there, and NVIDIA's assembler (ASHLAR_TEST_PTXAS), where it is at hand, takes them with
# nothing spilled to memory. Usage: opencl_cores.sh ROOT
set -euo pipefail
cd "$1"
if ! clang --print-targets 2>/dev/null | grep -q nvptx64; then
    echo "no clang for NVIDIA's cards: install clang"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# What OpenCL's library has, which clang has not for this target.
cat >"$folder/kernel.cl" - kernels/{device_layout,device,device_math,device_weight,device_cache,device_matrix}.h kernels/matmul/matmul_matrix.cl <<'TEXT'
#define get_local_id(d)    __nvvm_read_ptx_sreg_tid_x()
#define get_group_id(d)    __nvvm_read_ptx_sreg_ctaid_x()
#define get_num_groups(d)  __nvvm_read_ptx_sreg_nctaid_x()
#define barrier(what)      __syncthreads()
#define fma(a, b, c)       __builtin_fmaf(a, b, c)
#define vload_half(i, p)   __builtin_load_halff((p) + (i))
TEXT
for weight in 1 2 4 5 6; do
    clang -x cl -cl-std=CL1.2 -D__OPENCL_VERSION__=120 -O3 -target nvptx64-nvidia-nvcl -Xclang -target-cpu \
        -Xclang sm_80 -Xclang -target-feature -Xclang +ptx70 -DWEIGHT=$weight -DMATRIX=4 -DMATRIX_NATIVE \
        -Wall -Werror -Wno-unused-function -S -o "$folder/kernel.ptx" "$folder/kernel.cl"
    count=$(grep -c 'mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.bf16\.bf16\.f32' "$folder/kernel.ptx")
    echo "weights of type $weight: $count matrix instructions"
    [ "$count" -eq 40 ] # 8 a step, and 32 in the wide one
    [ -x "${ASHLAR_TEST_PTXAS-}" ] || continue
    for card in sm_80 sm_90; do
        "$ASHLAR_TEST_PTXAS" -v -arch=$card -o /dev/null "$folder/kernel.ptx" >"$folder/log" 2>&1 ||
            { cat "$folder/log" && exit 1; }
        grep -o 'Used [0-9]* registers' "$folder/log"
        if grep 'bytes stack frame' "$folder/log" | grep -v ' 0 bytes stack frame, 0 bytes spill'; then
            exit 1
        fi
    done
done
