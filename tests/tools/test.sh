#!/usr/bin/env bash
# Everything that a change must pass, cheapest first. Each step says how long it took.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$repository"

# nextest runs each test in a process of its own, and several at once; cargo's runner does as well.
run_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --no-fail-fast
    else
        cargo test --workspace --bins --lib --tests --no-fail-fast
    fi
}

step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets -- -D warnings
# The journeys start the programs, so those are built before any test runs.
step "programs" cargo build --workspace --bins
step "tests" run_tests
step "documentation tests" cargo test --workspace --doc -q
step "sanitizer" tests/tools/sanitizer.sh
step "fuzz" tests/tools/fuzz.sh 10
echo "test: all passed in $SECONDS s"
