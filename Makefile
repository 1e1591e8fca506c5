# `make demo` and `make test` each need Python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install demo docs test test-all test-fast lint clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "batchscale needs Python >= 3.11, got %s; set PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/batchscale sweep examples/digits.toml
	$(BIN)/batchscale analyze results/digits

docs: install
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install lint
	$(BIN)/pytest -n 2 --dist loadgroup -m 'not long'

test-all: install lint
	$(BIN)/pytest -n 2 --dist loadgroup

test-fast: install
	$(BIN)/pytest -n 2 --dist loadgroup -m 'not slow'

clean:
	rm -rf $(VENV) docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
