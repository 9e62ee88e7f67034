#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# NVIDIA's own assembler, which ASHLAR_TEST_PTXAS names (./check fetches it), takes the kernels that are built
# for NVIDIA's cards, for each generation that it knows: nothing spilled to memory, and registers and local
# memory left for two work-groups on a multiprocessor (but for the matmul's large tiles). No product and sum is left
# for it to fuse. Kernels for matrix cores have their instructions, from sm_80 on.
# Usage: ptx.sh FILE.ptx
set -euo pipefail
most_registers=128 most_local=$((32 << 10)) least_kernels=50
if [ ! -x "${ASHLAR_TEST_PTXAS-}" ]; then
    echo "no assembler: ASHLAR_TEST_PTXAS is not set"
    exit 77
fi
if grep -nE '\<(mul|add|sub|mad)\.(f32|f16|ftz)' "$1"; then
    echo "$1 leaves these to be fused"
    exit 1
fi
least=$(sed -n 's/^\.target sm_//p' "$1")
awk -v least="$least" '
    /^\.visible \.entry/ { entry = $3; cores += entry ~ /_matmul_matrix/ }
    /^\}/ {
        if (entry ~ /_matmul_matrix_wide/) bad += count != 32
        else bad += count != (entry ~ /_matmul_matrix/ ? 8 : 0)
        entry = ""; count = 0
    }
    /mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.bf16\.bf16\.f32/ { count++ }
    END { print cores + 0 " kernels for matrix cores"; exit bad > 0 || cores != (least >= 80 ? 10 : 0) }' "$1"
known=$("$ASHLAR_TEST_PTXAS" --help)
count=0
for card in sm_70 sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120; do
    [ "${card#sm_}" -ge "$least" ] || continue
    grep -q "'$card'" <<<"$known" || continue
    count=$((count + 1))
    "$ASHLAR_TEST_PTXAS" -v -arch="$card" -o /dev/null "$1" 2>&1 |
        awk -v card="$card" -v registers="$most_registers" -v local_bytes="$most_local" -v kernels="$least_kernels" '
            function bad(what) { print card ", " name ": " what; failed = 1 }
            /Compiling entry function/ { split($0, part, "\047"); name = part[2]; seen++ }
            /bytes stack frame/ && !/ 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads/ { bad($0) }
            / Used [0-9]+ registers/ {
                match($0, /Used [0-9]+/); used = substr($0, RSTART + 5, RLENGTH - 5) + 0
                shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) + 0 : 0
                if (used > registers && name !~ /_wide$/) bad(used " registers")
                if (shared > local_bytes) bad(shared " bytes of local memory")
                if (used > most) most = used
                if (shared > largest) largest = shared
                told++
            }
            END {
                printf "%s: %d kernels; at most %d registers, %d bytes of local memory\n", card, seen, most, largest
                exit failed || seen < kernels || told < seen
            }'
done
[ "$count" -ge 4 ]
