# `make` alone prints what can be done. Everything is installed into .venv, once, and again only when a pyproject.toml
# has changed. pip takes its settings (index, cache, certificates) from its own configuration.

PYTHON ?= python3
PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=
MUTANTS ?= --sample 37 --seed 1

BIN := .venv/bin
INSTALLED := .venv/.installed

# One thread in each process: the figures then do not depend on the machine, and the test workers share the cores.
one_thread := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo demo-imaging test test-faults test-fuzz test-mutants pytest lint types walls docs benchmarks clean

help:  ## print this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## install everything into .venv (nothing to do when it is there)

$(INSTALLED): pyproject.toml $(wildcard */pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Wardround needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## a centre and four hospitals, in processes of their own, train one model here
	@$(BIN)/wardround demo

demo-imaging: $(INSTALLED)  ## the same on images: synthetic CT series of four scanners, and a network that outlines lesions
	@$(BIN)/wardround demo imaging

test: $(INSTALLED) lint types walls pytest  ## lint, types, import contracts, and all tests (docs checks among them)

pytest: $(INSTALLED)
	$(one_thread) $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-faults: $(INSTALLED)  ## kill, freeze and starve real processes in every phase of a study (about an hour)
	$(one_thread) $(BIN)/python -m pytest -m "faults or kills" tests/processes tests/lab/demo

test-fuzz: $(INSTALLED)  ## ten thousand corrupt files through every reader, DICOM too; five thousand contracts beside pandera (some minutes)
	$(one_thread) $(BIN)/python -m pytest -m fuzz tests/silo_node/sources tests/silo_node/dicom tests/silo_node/imaging tests/silo_node/validation/test_oracle_contracts.py

test-mutants: $(INSTALLED)  ## leave out each rule of the check, then change its code here and there: the tests must notice (half an hour)
	$(BIN)/python tests/mutation/mutation_run.py $(MUTANTS)

lint: $(INSTALLED)  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)  ## mypy, strict
	$(BIN)/mypy

walls: $(INSTALLED)  ## import contracts: who may know whom
	$(BIN)/lint-imports

docs: $(INSTALLED)  ## write the pages and tables of docs/ that are made from the code
	$(BIN)/python docs/generate.py

benchmarks: $(INSTALLED)  ## floor and subject in one run, ratios printed
	@set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(one_thread) $(BIN)/python "$$script"; done

clean:  ## remove .venv and every cache
	rm -rf .venv .ci/out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
