#!/usr/bin/env bash
# What is too long for each change: nightly.sh SPLITS. Texts of all detectors, in so many random
# splits, against the oracle that shares no engine with the mask. Prints the seed, which
# PENSTOCK_SEED gives again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$repository"

export PENSTOCK_SPLITS=${1:-20000000}
export PENSTOCK_SEED=${PENSTOCK_SEED:-$(date +%s)}
[[ $PENSTOCK_SPLITS =~ ^[1-9][0-9]*$ ]] || fail "nightly.sh SPLITS"
echo "PENSTOCK_SEED=$PENSTOCK_SEED"
step "$PENSTOCK_SPLITS splits" cargo test --release -q -p penstock-mask --lib -- \
    --nocapture --exact channel::tests::catalogue::the_whole_catalogue_masks_any_split_as_the_oracle_masks_the_whole
