# Each target is one thing a person types. `make demo` and `make test` set up all they need.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet install -c constraints.txt
ORACLE_PIP := .oracle/bin/pip --disable-pip-version-check --quiet install --no-deps

.PHONY: demo test test-slow check format oracle bench bench-recordio bench-loader clean

demo: .venv/run.stamp
	$(BIN)/facerec demo --out demo

# A process a core, with one thread each: threads of many processes wait for each other. Tests of threads set their own.
test: .venv/test.stamp
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

test-slow: .venv/test.stamp
	$(BIN)/pytest -m slow

check: .venv/check.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: .venv/check.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# recordio_tools against real mxnet 1.9.1, which lives in an environment of its own; tests/oracle says why.
oracle: .oracle/oracle.stamp
	.oracle/bin/python -m pytest tests/oracle

bench: .venv/test.stamp bench-recordio bench-loader
	$(BIN)/python benchmarks/build_longtail.py
	$(BIN)/python benchmarks/meta_embedding.py

bench-recordio: .oracle/bench.stamp
	PYTHONPATH=.oracle/bench .oracle/bin/python -m benchmarks.recordio

bench-loader: .oracle/loader.stamp
	OMP_NUM_THREADS=1 PYTHONPATH=.oracle/loader:.oracle/bench .oracle/bin/python -m benchmarks.loader

clean:
	rm -rf .venv .oracle demo dist build

# torch goes first, pinned and alone: pip then takes a CPU wheel that lies at hand, and nothing later replaces it.
.venv/run.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@echo "installing pinned dependencies into .venv (a few minutes the first time) ..."
	$(PIP) --upgrade pip
	$(PIP) torch
	$(PIP) --editable '.[demo,dlib]'
	touch $@

.venv/test.stamp: .venv/run.stamp
	$(PIP) --editable '.[export,encryption]' --group test
	touch $@

.venv/check.stamp: .venv/test.stamp
	$(PIP) --group check
	touch $@

.oracle/oracle.stamp: tests/oracle/requirements.txt
	$(PYTHON) -m venv .oracle
	@echo "installing mxnet 1.9.1 into .oracle (50 MB to download, 300 MB on the disk) ..."
	$(ORACLE_PIP) -r $<
	touch $@

.oracle/bench.stamp: tests/oracle/requirements-bench.txt .oracle/oracle.stamp
	$(ORACLE_PIP) --upgrade --target .oracle/bench -r $<
	touch $@

.oracle/loader.stamp: tests/oracle/requirements-loader.txt .oracle/bench.stamp
	@echo "installing torch into .oracle/loader (900 MB on the disk) ..."
	$(ORACLE_PIP) --upgrade --target .oracle/loader -r $<
	touch $@
