#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The portable device source compiles as C of the host and, where there is clang, as HIP for AMD's cards
# and as CUDA for NVIDIA's: every operator in the variants of the smallest and the widest types.
# Usage: device_sources.sh ROOT CC [CFLAGS...]
set -u
root=$1
shift
cd "$root" || exit 1
bad=0 count=0
hip="clang -x hip -nogpuinc -nogpulib --cuda-device-only --offload-arch=gfx906 -O1 -S -o /dev/null"
cuda="clang -x cuda -nocudainc -nocudalib --cuda-device-only -Xclang -target-feature -Xclang +ptx60 --offload-arch=sm_70 -O1 -S -o /dev/null"
command -v clang >/dev/null || hip=
for source in kernels/*/*.cl; do
    for variant in "-DWEIGHT=0 -DCACHE=0 -DLANES=1 -DMATRIX=1" "-DWEIGHT=1 -DCACHE=1 -DLANES=2 -DMATRIX=2" \
        "-DWEIGHT=4 -DCACHE=4 -DLANES=4 -DMATRIX=3" "-DWEIGHT=6 -DCACHE=1 -DLANES=16 -DMATRIX=4"; do
        count=$((count + 1))
        # shellcheck disable=SC2086 # several words each
        "$@" -std=gnu2x -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-parameter -I. $variant \
            -x c -fsyntax-only "$source" || bad=$((bad + 1))
        # shellcheck disable=SC2086
        [ -z "$hip" ] || { $hip -I. $variant "$source" && $cuda -I. $variant "$source"; } || bad=$((bad + 1))
    done
done
echo "$count variants, $bad do not compile${hip:+ (HIP and CUDA too)}"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
