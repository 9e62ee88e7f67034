#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Memory and workers on a machine of four NUMA nodes, which QEMU is (without KVM: nested, that hangs on
# some hosts): numa.sh PROGRAM GUEST. GUEST (numa_guest.c) asks the kernel where each page lies; PROGRAM
# answers a prompt there with the same tokens as here. Says what failed; the exit status is the count, or
# 77 where something is missing (./check fetches it). ASHLAR_TEST_KERNEL=FILE names the kernel to boot.
set -u
ashlar=$1 guest=$2
tests=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d /tmp/ashlar-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config
nodes=4 cpus_each=2 node_mib=320
failed=0

skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

[ "$(uname -m)" = x86_64 ] || skip "the virtual machine is an x86-64, and this one is not"
for tool in qemu-system-x86_64 busybox cpio; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
kernel=${ASHLAR_TEST_KERNEL-}
for found in /boot/vmlinuz-*; do
    [ -n "$kernel" ] || { [ -r "$found" ] && kernel=$found; }
done
[ -r "$kernel" ] || skip "no Linux kernel to boot: ASHLAR_TEST_KERNEL=FILE names one"

# A file and the libraries it needs, at the same places as here.
put() { # FILE PATH-IN-THE-GUEST
    local library
    install -D -m 755 "$1" "$scratch/root$2"
    while read -r library; do
        [ -e "$scratch/root$library" ] || install -D -m 755 "$library" "$scratch/root$library"
    done < <(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+')
}

# Where the processors differ, results may, too: both take the kernels for the same instructions.
grep -qw avx2 /proc/cpuinfo && instructions=avx2 || instructions=none
export ASHLAR_CPU=$instructions ASHLAR_KERNELS=listed
prompt=(--device cpu --raw --ignore-end -T 0 -n 8 --context 256 --quiet --json "a b")
"$ashlar" synthesize llama-3.2-1b --layers 2 --width 256 --ffn 768 --heads 8 --kv-heads 4 --head-size 32 \
    --vocabulary 2048 --tokenizer "$tests/models/llama/tied.gguf" --output "$scratch/tiny.gguf" --quiet \
    >/dev/null || fail "synthesize"
"$ashlar" run --model "$scratch/tiny.gguf" "${prompt[@]}" >"$scratch/here" || fail "run, here"

mkdir -p "$scratch/root"/{proc,sys,dev,tmp,bin}
put "$(command -v busybox)" /bin/busybox
put "$ashlar" /bin/ashlar
put "$guest" /bin/guest
cp "$scratch/tiny.gguf" "$scratch/root/tiny.gguf"
cat >"$scratch/root/init" <<INIT
#!/bin/busybox sh
export PATH=/bin HOME=/tmp ASHLAR_CPU=$ASHLAR_CPU ASHLAR_KERNELS=$ASHLAR_KERNELS
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
part() {
    echo "[\$1]"
    shift
    "\$@" 2>&1
    echo "[status \$?]"
}
part guest guest $nodes
part broken guest $nodes --all-on-one
part info ashlar info
part run ashlar run --model /tiny.gguf ${prompt[*]@Q}
busybox poweroff -f
INIT
chmod +x "$scratch/root/init"
(cd "$scratch/root" && find . | cpio -o -H newc --quiet) >"$scratch/initrd"

machine=()
for ((node = 0; node < nodes; node++)); do
    first=$((node * cpus_each))
    machine+=(-object "memory-backend-ram,id=m$node,size=${node_mib}M"
        -numa "node,nodeid=$node,cpus=$first-$((first + cpus_each - 1)),memdev=m$node")
done
timeout 400 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp $((nodes * cpus_each)) \
    -m $((nodes * node_mib)) "${machine[@]}" -nodefaults -no-user-config -display none -serial stdio \
    -no-reboot -kernel "$kernel" -initrd "$scratch/initrd" -append "console=ttyS0 quiet panic=-1" \
    </dev/null 2>"$scratch/qemu" | tr -d '\r' >"$scratch/console"
[ "${PIPESTATUS[0]}" -eq 0 ] || fail "QEMU: $(tail -n 2 "$scratch/qemu")"

# What the guest wrote between [NAME] and [status N], to $text and $code.
part() {
    text=$(sed -n "/^\[$1\]/,/^\[status/{/^\[/d;p}" "$scratch/console")
    code=$(sed -n "/^\[$1\]/,/^\[status/s/^\[status \([0-9]*\)\]/\1/p" "$scratch/console" | head -n 1)
}

part guest
printf '%s\n' "$text"
[ "$code" = 0 ] || fail "places: exit ${code:-none}"
part broken
[[ $code = 1 && $(grep -c '^FAILED: phase' <<<"$text") -ge 2 ]] ||
    fail "with all memory from one node, the check of places found nothing: exit ${code:-none}: $text"
part info
[ "$code" = 0 ] || fail "info: exit ${code:-none}: $text"
for ((node = 0; node < nodes; node++)); do
    own="$((node * cpus_each))-$((node * cpus_each + cpus_each - 1))" # CPUs, and workers alike
    grep -qE "^ *$node +[0-9.]+ MiB +[0-9.]+ MiB +$own +$own " <<<"$text" ||
        fail "info, node $node: expected CPUs and workers $own in: $(grep -A 8 '^NODE' <<<"$text")"
done
part run
[ "$code" = 0 ] || fail "run, there: exit ${code:-none}: $text"
answer() { sed -n 's/^ *"answer": //p'; }
here=$(answer <"$scratch/here") there=$(answer <<<"$text")
[[ $here && $here = "$there" ]] || fail "the answer there, $there, is not the one here, $here"
[ $failed -eq 0 ] || tail -n 40 "$scratch/console"
exit $failed
