#!/usr/bin/env bash
# Builds the programs and takes the tour. Usage: demo.sh real|simulated
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$repository"

model=${1:-real}
[[ $model == real || $model == simulated ]] || fail "MODEL is real or simulated, not $model"

step "programs (the first build takes some minutes)" cargo build --profile quick \
    -p penstock-gateway -p penstock-server -p penstock-cli -p penstock-loadtest --bins
exec "$PENSTOCK_PYTHON" tests/demo/tour.py --bin-dir "$target/quick" --model "$model"
