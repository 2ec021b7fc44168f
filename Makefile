# What a person does with this repository: each target with a `##` line is in `make help`.
# Everything that is downloaded or installed for it lies outside the clone, in $PENSTOCK_CACHE.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MODEL ?= real
ROWS ?= all
ROUNDS ?= 5
SECONDS ?= 3
SPLITS ?= 20000000
.PHONY: help deps demo test fuzz nightly bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the machine lacks; quick when nothing is missing
	@tests/tools/deps.sh

demo: deps ## both planes in front of a real model, and a tour (MODEL=simulated: no real model)
	@tests/tools/demo.sh $(MODEL)

test: deps ## format, lints, every test, documentation tests, AddressSanitizer, 10 s of each fuzz target
	@tests/tools/test.sh

fuzz: SECONDS = 10
fuzz: deps ## each fuzz target for SECONDS=10
	@tests/tools/fuzz.sh $(SECONDS)

nightly: deps ## masked text in SPLITS=20000000 random splits against an oracle: hours
	@tests/tools/nightly.sh $(SPLITS)

bench: deps ## all rows, or ROWS="unary sse", into bench/results/latest.jsonl (ROUNDS=5 SECONDS=3)
	@bench/run --rounds $(ROUNDS) --seconds $(SECONDS) $(ROWS)
