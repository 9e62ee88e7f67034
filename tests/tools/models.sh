#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `ashlar pull` and `ashlar models` as a user meets them: models.sh PROGRAM MODEL.gguf SERVER.py
set -u
ashlar=$1 model=$2 server=$3
scratch=$(mktemp -d)
server_pid=
trap '[ -z "$server_pid" ] || kill "$server_pid"; rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config XDG_DATA_HOME=$scratch/data
unset XDG_CACHE_HOME "${!ASHLAR_@}"
models=$scratch/data/ashlar/models
# shellcheck source=tests/tools/program_rig.sh
. "$(dirname "$0")/program_rig.sh"

cp "$model" "$scratch/tiny.gguf"
sum=$(sha256sum "$scratch/tiny.gguf" | cut -d' ' -f1)

# What is known is listed before anything is here; looking makes no directory.
exits 0 models
has "$out" "smollm2"
has "$out" "known"
[ ! -e "$models" ] || fail "listing made $models"
exits 0 models show smollm2
has "$out" "ashlar pull smollm2"

# A file is taken in, listed, shown and removed by its name.
exits 0 pull "$scratch/tiny.gguf"
has "$out" "$models/tiny.gguf"
has "$out" "SHA-256 $sum"
exits 0 --quiet pull "$scratch/tiny.gguf" --json --as other.gguf
has "$out" "\"sha256\": \"$sum\""
[ -z "$err" ] || fail "progress in spite of --quiet: $err"
exits 0 models list
has "$out" "tiny "
has "$out" "other "
exits 0 models show tiny
has "$out" "architecture  llama"
has "$out" "Q4_1        1 tensors"
exits 0 models show "$scratch/tiny.gguf" --json
has "$out" '"architecture": "llama"'
has "$out" '"parameters": 68'
exits 0 models remove tiny
has "$out" "removed tiny.gguf"
[ ! -e "$models/tiny.gguf" ] || fail "tiny.gguf is still there"
exits 3 models remove tiny

# What is asked for wrongly changes nothing outside the models directory.
exits 2 models remove ../../../tiny.gguf
exits 2 models remove
exits 2 models frob
exits 2 pull "ftp://host/x.gguf"
exits 3 pull smolml2
has "$err" 'did you mean "smollm2"?'
[ -e "$scratch/tiny.gguf" ] || fail "a file outside the models directory was removed"

# The wrong content, no model at all, a broken list of models, a directory that cannot be made.
exits 4 pull "$scratch/tiny.gguf" --sha256 "${sum//[0-9]/0}"
printf 'not a model' >"$scratch/bad.gguf"
exits 4 pull "$scratch/bad.gguf"
exits 4 models show "$scratch/bad.gguf"
mkdir -p "$scratch/config/ashlar"
printf '{"models": 1}' >"$scratch/config/ashlar/models.json"
exits 4 models
has "$err" "models.json"
exits 7 pull "$scratch/tiny.gguf" --registry /nonexistent --models-dir "$scratch/tiny.gguf/models"
has "$err" "models_dir"
[ "$(ls -A "$models")" = other.gguf ] || fail "left in $models: $(ls -A "$models")"

# A user's own entry, from a server; Ctrl-C in the middle is exit 130, and the next pull goes on.
coproc python3 "$server" "$scratch"
server_pid=$COPROC_PID
read -r port <&"${COPROC[0]}"
head -c 2000000 /dev/zero >>"$scratch/tiny.gguf"
sum=$(sha256sum "$scratch/tiny.gguf" | cut -d' ' -f1)
size=$(stat -c %s "$scratch/tiny.gguf")
entry() { # HOW
    printf '{"models": [{"name": "tiny", "description": "", "licence": "MIT", "file": "t.gguf",
        "size_bytes": %s, "sha256": "%s", "url": "http://127.0.0.1:%s/%s/tiny.gguf"}]}' \
        "$size" "$sum" "$port" "$1" >"$scratch/config/ashlar/models.json"
}
entry hang
"$ashlar" pull tiny >"$scratch/out" 2>"$scratch/err" &
pull=$!
for _ in {1..100}; do
    [ "$(stat -c %s "$models/t.gguf.part" 2>/dev/null || echo 0)" -lt 100000 ] || break
    sleep 0.1
done
kill -INT "$pull"
wait "$pull"
code=$?
[ "$code" -eq 130 ] || fail "Ctrl-C: exit $code: $(<"$scratch/err")"
exits 0 models
has "$out" "partial"
entry good
exits 0 pull tiny
has "$out" "checksum verified"
grep -q 'bytes=100000-' "$scratch/requests" || fail "began again: $(<"$scratch/requests")"
exits 0 pull tiny
has "$out" "was there already"
exits 0 models remove tiny

[ "$failed" -eq 0 ] || exit 1
