# Two commands do all the set-up: `make demo` and `make test`. Both need Python >= 3.10 with its venv module, no more.
PYTHON ?= python3
BIN := .venv/bin
# tests/conftest.py says which tests share a process.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadgroup --no-loadscope-reorder

.PHONY: demo test test-slow test-all test-nightly test-cuda-on-cpu lint docs clean

demo: .venv/installed
	$(BIN)/python examples/demo.py

test: .venv/installed-test
	$(PYTEST)

test-slow: .venv/installed-test
	$(PYTEST) -m "slow and not nightly"

# Both of the above at once: the slow ones first, so that no core waits for them in the end.
test-all: .venv/installed-test
	$(PYTEST) -m "not nightly"

test-nightly: .venv/installed-test
	$(PYTEST) -m nightly

# The tests of a CUDA card, for which the CPU stands: that they can run, not that a card passes them.
test-cuda-on-cpu: .venv/installed-test
	GANZOO_TEST_DEVICE=cpu $(PYTEST) tests/test_cuda.py

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Warnings are errors: a link that leads nowhere, a docstring that can't be read.
docs: .venv/installed-dev
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch .venv/installed $@

.venv/installed-dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch .venv/installed .venv/installed-test $@

clean:
	rm -rf .venv build dist pictures
