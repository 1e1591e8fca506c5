# `make demo` and `make test` each need Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := install
.PHONY: help install demo docs lint doctest test test-all test-fast gpu clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-10s %s\n", $$1, $$2}'

install: $(VENV)/installed ## create .venv with the pinned packages (default)

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "batchscale needs Python >= 3.11, got %s; set PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install ## sweep examples/digits.toml, analyze it, and say what training costs
	$(BIN)/batchscale sweep examples/digits.toml
	$(BIN)/batchscale analyze results/digits
	$(BIN)/batchscale cost results/digits

docs: install ## the documentation, as pages under docs/_build/html
	$(BIN)/sphinx-build -E -W --keep-going -q docs docs/_build/html

lint: install ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

doctest: install ## the examples in the docstrings (trackers are extras, which need not be there)
	$(BIN)/pytest -q --doctest-modules --doctest-ignore-import-errors batchscale study analysis workloads

test: install ## lint, the examples in docstrings, then every test but the long ones
	$(MAKE) --no-print-directory --jobs 2 lint doctest
	$(PYTEST) --durations=10 -m 'not long'

test-all: install ## lint, the examples in docstrings, then every test, those of a GPU on the CPU
	$(MAKE) --no-print-directory --jobs 2 lint doctest
	BATCHSCALE_TEST_DEVICE=cpu $(PYTEST) --durations=10

test-fast: install ## the tests that take less than a few seconds each
	$(PYTEST) -m 'not slow'

gpu: ## every test and benchmark of a GPU, by $(PYTHON) and its torch; WHEELS=folder of what it lacks
	$(PYTHON) tests/gpu.py $(if $(WHEELS),--wheels $(WHEELS))

clean: ## remove .venv, the built documentation and the caches of the tools
	rm -rf $(VENV) build docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
