# Everything a person types. Nothing but python3 (3.11 or newer, with venv) has to be there beforehand.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
WORKERS ?= 2
DEMO ?=
PIP := -m pip install --quiet --disable-pip-version-check --require-virtualenv
VENV := .venv/.ready
ORACLE := .venv-oracle/.ready

.PHONY: help test lint binaries demo lab bench lock clean prerequisites

help:
	@echo "make test    lint, types, layers, and every test (the first run builds the embedded cluster, which takes minutes)"
	@echo "make demo    a walk through the product on an embedded cluster (DEMO=--fast does not pause)"
	@echo "make lab     the packet lab: real connections, needs root; writes build/lab.json"
	@echo "make bench   measures against a bare writer; writes build/bench.json"
	@echo "make lint    ruff, mypy, import contracts"
	@echo "make lock    resolves requirements/*.txt anew from pyproject.toml"
	@echo "make clean   removes what the other targets made in this folder (binaries stay in ~/.cache/exposure-operator)"

prerequisites:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing. Debian: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), but 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "python3's venv module is missing. Debian: apt-get install python3-venv"; exit 1; }

$(VENV): requirements/dev.txt pyproject.toml | prerequisites
	@echo "python: .venv from requirements/dev.txt"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP) --require-hashes -r requirements/dev.txt
	@.venv/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(ORACLE): requirements/oracle.txt | prerequisites
	@echo "python: .venv-oracle from requirements/oracle.txt"
	@test -x .venv-oracle/bin/python || $(PYTHON) -m venv .venv-oracle
	@.venv-oracle/bin/python $(PIP) --require-hashes -r requirements/oracle.txt
	@touch $@

# In a step of its own, because pytest would swallow the progress line of a build that takes minutes.
binaries: $(VENV)
	@.venv/bin/python -m tests.cluster.binaries
	@.venv/bin/python -m tests.lab.metallb.build

lint: $(VENV)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: lint binaries $(ORACLE)
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup $(if $(PYTEST),--no-cov $(PYTEST),--cov --cov-report=term)

demo: binaries
	@.venv/bin/python -m tests.demo $(DEMO)

lab: binaries $(ORACLE)
	@.venv/bin/python -m tests.lab $(LAB)

bench: binaries
	@.venv/bin/python -m tests.bench $(BENCH)

# Exact versions with hashes for every platform and every Python from 3.11 on, naming no index host. UPGRADE=--upgrade
# takes what is new; without it only what pyproject.toml forces is moved.
COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-annotate --no-header $(UPGRADE)
lock: | prerequisites
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python $(PIP) 'uv>=0.8'; }
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) --group oracle -o requirements/oracle.txt

clean:
	rm -rf .venv .venv-oracle .venv-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find operator tests -name __pycache__ -prune -exec rm -rf {} +
