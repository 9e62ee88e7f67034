#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makers' libraries that are broken in every way an installation can break: half_installed.sh PROGRAM. The
# program lists them as unusable, with a reason, and computes without them. The exit status counts failures.
set -u
ashlar=$1
tests=$(cd "$(dirname "$0")/.." && pwd)
scratch=$(mktemp -d /tmp/ashlar-XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config
unset XDG_DATA_HOME XDG_CACHE_HOME
names=(libOpenCL.so libOpenCL.so.1 libamdhip64.so libamdhip64.so.5 libamdhip64.so.6 libamdhip64.so.7
    libcuda.so.1)
whole=$(ldconfig -p | sed -n 's/.*libm\.so\.6 .*=> //p' | head -n 1) # any library
size=$(stat -Lc %s "$whole")
failed=0

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

# What a broken download, a full disk or a wrong package leaves behind.
damage() { # HOW FILE
    case $1 in
    empty) : >"$2" ;;
    text) echo '<html>404</html>' >"$2" ;;
    header) head -c 64 "$whole" >"$2" ;;
    page) head -c 4096 "$whole" >"$2" ;;
    half) head -c $((size / 2)) "$whole" >"$2" ;;
    most) head -c $((size - 4096)) "$whole" >"$2" ;;
    zeroed) head -c 8192 "$whole" >"$2" && truncate -s "$size" "$2" ;;
    other) cp "$whole" "$2" ;;
    folder) mkdir "$2" ;;
    nowhere) ln -s /nowhere "$2" ;;
    unreadable) cp "$whole" "$2" && chmod 0 "$2" ;;
    esac
}

for way in empty text header page half most zeroed other folder nowhere unreadable; do
    mkdir "$scratch/$way"
    for name in "${names[@]}"; do damage "$way" "$scratch/$way/$name"; done
    LD_LIBRARY_PATH=$scratch/$way "$ashlar" info --kernels listed --json >"$scratch/out" 2>"$scratch/err"
    code=$?
    [ $code -eq 0 ] || fail "$way: info: exit $code: $(<"$scratch/err")"
    python3 - "$scratch/out" <<'PY' || fail "$way: $(<"$scratch/out")"
import json, sys
devices = json.load(open(sys.argv[1]))["devices"]
cpu = [d for d in devices if d["device"] == "cpu:0" and d["usable"]]
unclear = [d for d in devices if not d["usable"] and not d["reason"]]
sys.exit(not cpu or bool(unclear))
PY
    LD_LIBRARY_PATH=$scratch/$way timeout 60 "$ashlar" run --kernels listed -m "$tests/models/llama/tied.gguf" \
        --raw -T 0 -n 2 --quiet a >/dev/null 2>"$scratch/err"
    code=$?
    [ $code -eq 0 ] || fail "$way: run: exit $code: $(<"$scratch/err")"
done
[ $failed -ne 0 ] || echo "the program does without broken libraries"
exit $failed
