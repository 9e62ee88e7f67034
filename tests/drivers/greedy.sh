#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real model (ASHLAR_TEST_MODEL) says the same, the likeliest token each time, on every device and shared
# out over the processor and each of them: greedy.sh PROGRAM TOKENS. PJRT runs over each plugin in
# ASHLAR_TEST_PJRT_PLUGINS, as in pjrt.sh. The exit status counts failures.
#
# As on the processor's plain C operators (ASHLAR_CPU=none): its fast ones round activations to 8 bits before
# quantised weights, no other device does, and so they may go on with other words. Of a model without such
# weights they must say the same, too. How far logits are apart, models.c measures.
set -u
ashlar=$1 tokens=$2
model=${ASHLAR_TEST_MODEL-}
if [ ! -f "$model" ]; then
    echo "skipped: ASHLAR_TEST_MODEL does not name a model file"
    exit 77
fi
layers=$("$ashlar" models show "$model" --json | sed -n 's/.*"layers": \([0-9]*\).*/\1/p')
half=$((layers / 2)) rest=$((layers - layers / 2))
failed=0 ran=0

answer() { # OPTION...
    "$ashlar" run -m "$model" --raw -T 0 -n "$tokens" --ignore-end --quiet --speculate off --kernels listed \
        --kv-type f32 -c 512 -b 64 "$@" "The state of the art in dry stone walling is" </dev/null
}

compare() { # NAME OPTION...: on that it says what is expected
    local name=$1 began=$SECONDS said
    shift
    said=$(answer "$@") || failed=$((failed + 1))
    ran=$((ran + 1))
    if [ "$said" = "$expected" ]; then
        echo "$name: the same ($((SECONDS - began)) s)"
    else
        printf 'FAILED: %s says\n%s\n' "$name" "$said"
        failed=$((failed + 1))
    fi
}

is_usable() { # DEVICE
    "$ashlar" info --kernels listed | grep -q "^$1 .* yes "
}

on_device() { # NAME DEVICE [rows]: by itself, and half of the layers; a third of the rows, too
    compare "$1" --device "$2"
    compare "$1 and the processor" --device "cpu,$2" --split "$half,$rest"
    [ -z "${3-}" ] || compare "$1 and the processor, by rows" --device "cpu,$2" --split rows:2,1
}

export ASHLAR_CPU=none
if ! expected=$(answer --device cpu) || [ -z "$expected" ]; then
    echo "FAILED: the processor says nothing"
    exit 1
fi
printf '%s tokens:\n%s\n' "$tokens" "$expected"
if [[ $(ASHLAR_CPU=all "$ashlar" plan -m "$model" --kernels listed --tokens 1 --json) != *A8* ]]; then
    ASHLAR_CPU=all compare "the processor's fast operators" --device cpu
fi
for device in opencl:0 hip:0; do
    if is_usable $device; then
        on_device $device $device rows
    else
        echo "$device: left out, not usable here"
    fi
done
IFS=: read -ra plugins <<<"${ASHLAR_TEST_PJRT_PLUGINS-}"
for plugin in "${plugins[@]}"; do
    export ASHLAR_PJRT_PLUGIN=$plugin
    on_device "pjrt:0 (${plugin##*/})" pjrt:0
done
[ "$ran" -gt 0 ] || { echo "skipped: no device but the processor" && exit 77; }
exit "$failed"
