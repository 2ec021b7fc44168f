# What a person does with this repository: each target with a `##` line is in `make help`.
# Everything that is downloaded or installed for it lies outside the clone, in $PENSTOCK_CACHE.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MODEL ?= real
ROWS ?= decide
.DEFAULT_GOAL := help
.PHONY: help deps demo test bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what the machine lacks; quick when nothing is missing
	@tests/tools/deps.sh

demo: deps ## both planes in front of a real model, and a tour (MODEL=simulated: no real model)
	@tests/tools/demo.sh $(MODEL)

test: deps ## format, lints, every test, documentation tests
	@tests/tools/test.sh

bench: deps ## the named rows into bench/results/latest.jsonl (ROWS="decide")
	@tests/tools/deps.sh bench
	@bench/run $(ROWS)
