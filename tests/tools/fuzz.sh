#!/usr/bin/env bash
# Runs the fuzz targets of tests/fuzz: fuzz.sh SECONDS [TARGET...], all of them where none is named.
# One line a target; status 1 with a finding, 2 if the engine does not find the canary's bug.
#
# What the engine learns stays in $PENSTOCK_CACHE/fuzz/corpus, so the next run goes on from there. A
# finding stays in $PENSTOCK_CACHE/fuzz/findings, and fails every run until it is mended.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$repository"

seconds=${1:-10}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "fuzz.sh SECONDS [TARGET...]"
targets=("${@:2}")
corpora=$PENSTOCK_CACHE/fuzz/corpus
findings=$PENSTOCK_CACHE/fuzz/findings
fuzzer=$sanitized/$(host_triple)/checked/penstock-fuzz
# The bug takes some 10,000 runs to find, and is out of reach without what the engine learns.
canary_runs=1000000

# Counters of branches and comparisons for the engine, and AddressSanitizer for what the libraries
# do without the compiler's checks.
build() {
    local counters=(
        -Cpasses=sancov-module
        -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
        -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares
    )
    sanitized_cargo "${counters[*]}" build -q -p penstock-fuzz --features engine --profile checked
    [[ $(ASAN_OPTIONS=help=1 "$fuzzer" -help=1 2>&1) == *"flags for AddressSanitizer"* ]] ||
        fail "the fuzzer was built without AddressSanitizer"
}

# engine TARGET ARGUMENT...: no input may take a minute (on a machine that does other things too)
# or 2 GiB.
engine() {
    PENSTOCK_FUZZ_TARGET=$1 ASAN_OPTIONS=quarantine_size_mb=32 "$fuzzer" \
        -timeout=60 -rss_limit_mb=2048 -artifact_prefix="$findings/$1-" "${@:2}"
}

check_canary() {
    local folder=$findings/canary.$$ status=0
    mkdir -p "$folder/corpus"
    engine canary -seed=1 -runs="$canary_runs" -print_final_stats=1 \
        -exact_artifact_path="$folder/found" "$folder/corpus" tests/fuzz/corpus/canary \
        >"$folder/log" 2>&1 || status=$?
    if [[ $status == 0 ]] || ! grep -q 'the planted bug' "$folder/log"; then
        printf 'error: the planted bug was not found: %s\n' "$folder/log" >&2
        exit 2
    fi
    printf '%-9s found its bug after %s executions\n' canary "$(executions "$folder/log")"
    rm -r "$folder"
}

executions() {
    sed -n 's/^stat::number_of_executed_units: //p' "$1"
}

# What was found before: it fails again, or becomes a seed.
check_old_findings() {
    local target=$1 finding
    for finding in "$findings/$target"-*; do
        [[ -e $finding ]] || continue
        if engine "$target" "$finding" >"$findings/$target.log" 2>&1; then
            mv "$finding" "$corpora/$target"
        else
            report_finding "$target" "$finding"
            return 1
        fi
    done
}

report_finding() {
    printf '%-9s FINDING: %s\n' "$1" "$2"
    grep -m 1 -A 2 -E 'panicked at|^==.*ERROR' "$findings/$1.log" || tail -n 3 "$findings/$1.log"
    printf 'again with: PENSTOCK_FUZZ_TARGET=%s %s %s\n' "$1" "$fuzzer" "$2"
}

run_target() {
    local target=$1 log=$findings/$1.log status=0 options=(-max_len=1400)
    mkdir -p "$corpora/$target"
    check_old_findings "$target" || return 1
    # The second reader of streams takes the square of the length.
    [[ $target == sse ]] && options=(-max_len=256)
    [[ -e tests/fuzz/dictionaries/$target ]] && options+=(-dict="tests/fuzz/dictionaries/$target")
    engine "$target" -max_total_time="$seconds" -print_final_stats=1 "${options[@]}" \
        "$corpora/$target" "tests/fuzz/corpus/$target" >"$log" 2>&1 || status=$?
    if [[ $status != 0 ]]; then
        report_finding "$target" "$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
        return 1
    fi
    local coverage
    coverage=$(sed -n 's/^#.*DONE *cov: \([0-9]*\).*/\1/p' "$log")
    printf '%-9s %s executions, coverage %s, nothing found\n' \
        "$target" "$(executions "$log")" "$coverage"
}

# As many at once as there are processors; all take the same time.
run_targets() {
    local target processes=() status=0
    for target in "${targets[@]}"; do
        run_target "$target" &
        processes+=($!)
        if ((${#processes[@]} == $(nproc))); then
            wait_for "${processes[@]}" || status=1
            processes=()
        fi
    done
    wait_for "${processes[@]}" || status=1
    return "$status"
}

wait_for() {
    local process status=0
    for process in "$@"; do
        wait "$process" || status=1
    done
    return "$status"
}

if [[ ${#targets[@]} == 0 ]]; then
    mapfile -t targets < <(ls tests/fuzz/corpus | grep -v '^canary$')
fi
for target in "${targets[@]}"; do
    [[ -d tests/fuzz/corpus/$target ]] || fail "there is no target $target"
done
mkdir -p "$corpora" "$findings"
step "build of the fuzz targets" build
check_canary
run_targets
