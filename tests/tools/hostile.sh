#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The program in hostile hands: hostile.sh PROGRAM MODEL.gguf VARIANTS.py. Whatever it is given, it ends
# with a documented exit code and one message, crashes nowhere and leaves nothing half written.
set -um # m: jobs in the background take SIGINT, too
ashlar=$1 model=$2 variants=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config
unset XDG_DATA_HOME XDG_CACHE_HOME "${!ASHLAR_@}"
failed=0 input=/dev/null code=0
# What can be limited or confined, and is not under a sanitizer, which reserves terabytes.
sanitized=$(grep -c __asan_init "$ashlar")

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=$((failed + 1))
}

# What a program said, without warnings and progress.
messages() { # FILE
    grep -E -v '^ashlar: warn: |^(loading|scoring|copying|verifying|downloading) ' "$1"
}

# runs WORD...: the program's exit code is in $code, its output in $out, its messages in $err.
runs() {
    "$ashlar" "$@" >"$scratch/out" 2>"$scratch/all" <"$input"
    code=$?
    out=$(tr -d '\0' <"$scratch/out")
    err=$(messages "$scratch/all")
}

# One message of one line where it failed, none where it did not.
check_message() {
    if [ "$code" -eq 0 ]; then
        [ -z "$err" ] || fail "$*: said, though it succeeded: $err"
    else
        [[ $err == "ashlar: "* && $err != *$'\n'* ]] || fail "$*: not one message: $err"
    fi
}

# exits CODE WORDS-OF-THE-MESSAGE WORD...
exits() {
    local want=$1 words=$2
    shift 2
    runs "$@"
    [ "$code" -eq "$want" ] || fail "$*: exit $code, not $want: $err"
    [[ $err == *"$words"* ]] || fail "$*: expected \"$words\" in: $err"
    check_message "$@"
}

# ---- Model files ----

python3 "$variants" "$model" "$scratch" >"$scratch/table" || fail "making the variants"
while IFS=$'\t' read -r name want words; do
    if [ "$want" -ge 0 ]; then
        exits "$want" "$words" run -m "$scratch/$name.gguf" -T 0 -n 2 Hello
    else
        runs run -m "$scratch/$name.gguf" -T 0 -n 2 Hello
        [ "$code" -le 10 ] || fail "$name: exit $code: $err"
        check_message "$name"
    fi
done <"$scratch/table"
[ "$(wc -l <"$scratch/table")" -gt 90 ] || fail "only $(wc -l <"$scratch/table") variants"

# The other commands go their own ways through a file.
seq 400 >"$scratch/numbers"
whole=$scratch/whole.gguf
exits 0 "" perplexity -m "$whole" -c 64 "$scratch/numbers"
[[ $out == "perplexity "[0-9]* ]] || fail "perplexity: $out"
exits 4 "finite" perplexity -m "$scratch/scales-nan.gguf" -c 64 --json "$scratch/numbers"
[ -z "$out" ] || fail "a result of what is none: $out"
exits 4 "146 tokens" perplexity -m "$scratch/vocabulary-larger.gguf" -c 64 "$scratch/numbers"
head -c 200 "$scratch/numbers" >"$scratch/short"
exits 2 "give a longer text" perplexity -m "$whole" -c 512 "$scratch/short"
for name in cut-at-1000 no-tensors vocabulary-missing layers-of-2^32 architecture-escape; do
    for words in "models show" "tokenize -m" "perplexity -m"; do
        read -ra list <<<"$words"
        input=$scratch/numbers runs "${list[@]}" "$scratch/$name.gguf"
        [ "$code" -le 10 ] || fail "$words $name: exit $code: $err"
        check_message "$words $name"
        [[ $out$err != *$'\e'* ]] || fail "$words $name: an escape sequence got through"
    done
done
for path in "$scratch" /dev/zero /dev/null /nowhere.gguf "$scratch/none/x.gguf"; do
    runs run -m "$path" Hello
    [ "$code" -eq 3 ] || [ "$code" -eq 4 ] || fail "-m $path: exit $code: $err"
    check_message "-m $path"
done
mkfifo "$scratch/pipe.gguf"
exits 4 "regular file" run -m "$scratch/pipe.gguf" Hello

# ---- Prompts and options ----

exits 4 "not UTF-8" run -m "$whole" $'caf\xe9'
exits 0 "" run -m "$whole" --raw -n 2 $'caf\xe9'
printf 'zero\0byte' >"$scratch/zero"
input=$scratch/zero exits 4 "zero byte at offset 4" run -m "$whole"
input=$scratch/zero exits 0 "" run -m "$whole" --raw -n 2
printf '\xff\xfe' >"$scratch/bytes"
input=$scratch/bytes exits 4 "0xFF at offset 0" run -m "$whole"
exits 2 "empty" run -m "$whole"
exits 2 "empty" run -m "$whole" --raw ""
exits 10 "shorten the prompt" run -m "$whole" "$(<"$scratch/numbers")"
input=$scratch/numbers exits 10 "the context holds 512" run -m "$whole" --raw
exits 0 "" run -m "$whole" -n 2147483647 --ignore-end -c 128 Hello
grep -q "context of 128 positions is full" "$scratch/all" || fail "no word of the full context"
exits 2 "2147483648" run -m "$whole" -n 2147483648 Hello
exits 0 "" run -m "$whole" -c 0 -n 2 Hello
exits 10 "context holds 1" run -m "$whole" -c 1 Hello
exits 10 "lower --context" run -m "$whole" -c 513 Hello
for words in "-T nan" "-T -1" "--top-p 0" "-k -1" "-t 4097" "-b 0" "-c -1" "--seed -2" "--kv-type q4"; do
    read -ra list <<<"$words"
    exits 2 "expected" run -m "$whole" "${list[@]}" Hello
done
exits 5 "kv_type" run -m "$whole" --kv-type q8_0 Hello # its heads have 8 channels
exits 3 "there is no device" run -m "$whole" -d cpu:99 Hello
for setting in THREADS=99999 CONTEXT=-1 BATCH_TOKENS=x KV_TYPE=q SEED=1e3 CPU=nonsense; do
    export "ASHLAR_$setting"
    exits 2 "ASHLAR_${setting%%=*}" run -m "$whole" Hello
    unset "ASHLAR_${setting%%=*}"
done

# ---- The same answer, however many processors ----

exits 0 "" run -m "$whole" -T 0 -n 24 -t 1 Hello
answer=$out
[ ${#answer} -ge 20 ] || fail "a short answer: $answer"
for threads in 2 8; do
    exits 0 "" run -m "$whole" -T 0 -n 24 -t $threads Hello
    [ "$out" = "$answer" ] || fail "$threads threads: $out, not $answer"
    out=$(taskset -c "$(taskset -cp $$ | grep -o '[0-9]*' | tail -1)" \
        "$ashlar" run -m "$whole" -T 0 -n 24 -t $threads Hello 2>/dev/null)
    [ "$out" = "$answer" ] || fail "$threads threads on one processor: $out, not $answer"
done
for family in none avx2 avx512; do # on this model; the bits of families are promised for none
    ASHLAR_CPU=$family exits 0 "" run -m "$whole" -T 0 -n 8 Hello
    [ ${#out} -ge 6 ] || fail "ASHLAR_CPU=$family answers: $out"
done

# ---- Output that does not arrive, places that cannot be written ----

for words in "run -n 2" "run --json -n 2" "tokenize" "tokenize --json" "models show --json"; do
    read -ra list <<<"$words"
    if [ "${list[0]}" = models ]; then list+=("$whole"); else list+=(-m "$whole" Hello); fi
    "$ashlar" "${list[@]}" >/dev/full 2>"$scratch/all" </dev/null
    code=$?
    err=$(messages "$scratch/all")
    [ "$code" -eq 7 ] || fail "$words on a full disk: exit $code: $err"
    check_message "$words on a full disk"
done
"$ashlar" run -m "$whole" -n 300 --ignore-end Hello 2>"$scratch/err" | head -c 5 >/dev/null
code=${PIPESTATUS[0]}
[ "$code" -eq 0 ] || [ "$code" -eq 141 ] || fail "closed pipe: exit $code: $(<"$scratch/err")"
"$ashlar" run -m "$whole" -n 2 Hello <&- >/dev/null 2>&- || fail "standard input and error closed"
for path in /nowhere/trace.json /dev/full "$scratch"; do
    exits 7 "trace" run -m "$whole" -n 2 --trace "$path" Hello
    [ -z "$out" ] || fail "--trace $path: found out only after the answer"
done
exits 0 "" run -m "$whole" -n 2 --trace "$scratch/trace.json" Hello
python3 -m json.tool "$scratch/trace.json" >/dev/null || fail "the trace is no JSON"

models=$scratch/models
export ASHLAR_MODELS_DIR=$models
(ulimit -f 40; "$ashlar" pull "$whole" >"$scratch/out" 2>"$scratch/err")
code=$?
err=$(<"$scratch/err")
[ "$code" -eq 7 ] || fail "pull on a full disk: exit $code: $err"
[[ $err == *"disk is full"* ]] || fail "pull on a full disk: $err"
[ -z "$(ls -A "$models")" ] || fail "left behind: $(ls -A "$models")"
mkdir "$scratch/small"
if mount -t tmpfs -o size=64k tmpfs "$scratch/small" 2>/dev/null; then # as root only
    ASHLAR_MODELS_DIR=$scratch/small exits 7 "make room" pull "$whole"
    [ -z "$(ls -A "$scratch/small")" ] || fail "left behind: $(ls -A "$scratch/small")"
    umount "$scratch/small"
fi
exits 4 "" pull "$scratch/cut-at-$(($(stat -c %s "$whole") / 2)).gguf"
ASHLAR_MODELS_DIR=/proc/none exits 7 "models_dir" pull "$whole"
env PATH=/nonexistent "$ashlar" pull smollm2 >/dev/null 2>"$scratch/all"
code=$?
err=$(messages "$scratch/all")
if [ "$code" -ne 3 ] || [[ $err != *"install python3"* ]]; then
    fail "no python3: exit $code: $err"
fi
check_message "no python3"
[ -z "$(ls -A "$models")" ] || fail "left behind: $(ls -A "$models")"
unset ASHLAR_MODELS_DIR

# ---- Signals ----

endless=$scratch/context-of-2^28.gguf
# started WORD...: in the background; waits until it has begun to answer.
started() {
    : >"$scratch/out"
    "$ashlar" run -m "$endless" -c 20000 --ignore-end "$@" >"$scratch/out" 2>"$scratch/err" &
    job=$!
    for _ in {1..200}; do
        [ ! -s "$scratch/out" ] || return
        sleep 0.05
    done
    fail "no answer began"
}
ended() { # CODE WORDS WHAT
    wait "$job" 2>/dev/null
    code=$?
    err=$(messages "$scratch/err")
    [ "$code" -eq "$1" ] || fail "$3: exit $code, not $1: $err"
    [[ $err == *"$2"* && $err != *$'\n'* ]] || fail "$3: $err"
}
started Hello
kill -INT "$job"
ended 130 "interrupted" "SIGINT in an answer"
[ "$(tail -c 1 "$scratch/out" | od -An -c | tr -d ' ')" = '\n' ] || fail "no line end after Ctrl-C"
started Hello
kill -TERM "$job"
ended 143 "" "SIGTERM in an answer"
started Hello
kill -BUS "$job" # what reading a mapped file raises that another program has cut short
ended 7 "cut short" "SIGBUS"
yes "a long story" | head -c 90000 >"$scratch/long"
"$ashlar" run -m "$endless" -c 100000 --raw -n 1 >"$scratch/out" 2>"$scratch/err" <"$scratch/long" &
job=$!
sleep 1 # in the prefill; on a slow machine still loading, which the signal ends as well
kill -INT "$job"
ended 130 "" "SIGINT in the prefill"

# ---- Memory that is not there ----

if [ "$sanitized" -eq 0 ]; then
    refused=0
    for kib in $(seq 20000 1500 50000); do
        (ulimit -v "$kib" && exec "$ashlar" --version) >/dev/null 2>&1 || continue # cannot even start
        (ulimit -v "$kib" && exec "$ashlar" run -m "$whole" -T 0 -n 24 -t 2 Hello) \
            >"$scratch/out" 2>"$scratch/all"
        code=$?
        err=$(messages "$scratch/all")
        check_message "with $kib KiB"
        case $code in
        0) [ "$(<"$scratch/out")" = "$answer" ] || fail "with $kib KiB: $(<"$scratch/out")" ;;
        6 | 7) refused=$((refused + 1)) ;; # 7: a system call (a thread, a mapping) had none
        *) fail "with $kib KiB: exit $code: $err" ;;
        esac
    done
    [ "$refused" -ge 1 ] || fail "memory never ran short"
    (ulimit -v 400000 && exec "$ashlar" run -m "$endless" -c 16777216 Hello) >/dev/null 2>"$scratch/all"
    code=$?
    err=$(messages "$scratch/all")
    [ "$code" -eq 6 ] || fail "a context beyond all memory: exit $code: $err"
    check_message "a context beyond all memory"
fi

[ "$failed" -eq 0 ] || exit 1
