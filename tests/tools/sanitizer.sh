#!/usr/bin/env bash
# Runs the tests of the reactor, the one crate with unsafe code, under AddressSanitizer, leaks
# included. With `--cfg sanitized` there is one test more: that a use after free is seen.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$repository"

export LSAN_OPTIONS=suppressions=$repository/tests/tools/leaks.txt:print_suppressions=0
if cargo nextest --version >/dev/null 2>&1; then
    sanitized_cargo "--cfg sanitized" nextest run -p penstock-reactor --no-fail-fast
else
    sanitized_cargo "--cfg sanitized" test -p penstock-reactor --lib --tests --no-fail-fast
fi
