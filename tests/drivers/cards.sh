#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a user hears of cards: cards.sh ASHLAR MODEL LAYER. The HIP double has two; under the layer, OpenCL's one
# device is the first of them.
set -u
ashlar=$1 model=$2
scratch=$(mktemp -d /tmp/ashlar-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
# shellcheck source=tests/tools/program_rig.sh
. "$(dirname "$0")/../tools/program_rig.sh"
export HOME=$scratch XDG_CACHE_HOME=$scratch/cache XDG_CONFIG_HOME=$scratch/config POCL_DEVICES=pthread
export OPENCL_LAYERS=$3 ASHLAR_KERNELS=listed

note() { # DEVICE: what `ashlar info` says of it
    "$ashlar" info --json | python3 -c 'import json, sys
for d in json.load(sys.stdin)["devices"]:
    if d["device"] == sys.argv[1]:
        print(d["reason"])' "$1"
}
short=(-m "$model" --raw -T 0 -n 2 a)
advice='auto takes it once it has been measured: ashlar plan --measure --device cpu'
hint='auto takes a card once it has been measured: ashlar plan --measure --device cpu'
if [[ $(note hip:0) == *"no kernels for AMD"* ]]; then
    echo "this build has no kernels for AMD's cards"
    exit 77
fi

# Nothing was measured: auto leaves both cards alone, and says so.
has "$(note hip:0)" "same card as opencl:0; $advice,hip:0"
[ "$(note opencl:0)" = 'same card as hip:0' ] || fail "opencl:0 is said to be: $(note opencl:0)"
[ "$(note hip:1)" = "$advice,hip:1" ] || fail "hip:1 is said to be: $(note hip:1)"
exits 0 run "${short[@]}"
has "$err" "not used: hip:0,hip:1; $hint,hip:0,hip:1"
words=$out
for silent in --quiet "--device cpu"; do
    # shellcheck disable=SC2086 # two words
    exits 0 run $silent "${short[@]}"
    [[ $err != *"not used"* ]] || fail "$silent: $err"
done
ASHLAR_HIP_LIBRARY='' OPENCL_LAYERS='' exits 0 run "${short[@]}"
[[ $err != *"not used"* ]] || fail "without a card: $err"

# A list that names one card twice is refused, in either order; two cards are taken.
for list in hip:0,opencl:0 opencl:0,hip:0 cpu,opencl:0,hip:0; do
    exits 2 run --device "$list" "${short[@]}"
    has "$err" 'are one card (PCI fffe:00:00.0), and would take its memory twice: name one of them'
done
exits 0 run --device opencl:0,hip:1 --split 1,1 "${short[@]}"

# Once it was measured one way, auto takes it that way.
exits 0 plan --measure -c 64 -b 8 --device opencl:0 -m "$model"
[ "$(note opencl:0)" = 'same card as hip:0' ] || fail "opencl:0, measured, is said to be: $(note opencl:0)"
[ "$(note hip:0)" = 'same card as opencl:0, which auto takes' ] || fail "hip:0 is said to be: $(note hip:0)"
exits 0 run "${short[@]}"
has "$err" "not used: hip:1; $hint,hip:1"
[ "$out" = "$words" ] || fail "other words with a card: $out, not $words"

# Both ways: the first that the list has; nothing is taken twice.
exits 0 plan --measure -c 64 -b 8 --device hip:0 -m "$model"
[ "$(note opencl:0)" = 'same card as hip:0, which auto takes' ] || fail "opencl:0 is said to be: $(note opencl:0)"
exits 0 plan --device auto --split 1,1 -m "$model" --json
has "$out" 'hip:0'
[[ $out != *opencl:0* ]] || fail "auto took one card twice: $out"
[ $failed -ne 0 ] || echo "cards are told of, and taken once"
exit $failed
