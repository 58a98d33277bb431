# Everything a person types. Nothing but python3 (3.11 or newer, with venv) has to be there beforehand.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3## the Python that makes the virtual environments, 3.11 or newer
WORKERS ?= 2## how many tests run at once
PYTEST ?=## arguments of pytest, to run a part: make test PYTEST="tests/unit -k rules"; coverage is then not required
DEMO ?=## --fast does not pause, --keep leaves the cluster running, --no-lab runs without packets
LAB ?=## arguments of the lab: make lab LAB=--help
BENCH ?=## arguments of the bench: make bench BENCH=--help
UPGRADE ?=## make lock UPGRADE=--upgrade takes new versions of packages

#: KUBEBUILDER_ASSETS    a folder with etcd, kube-apiserver and the others, in place of those that are built
#: LAB_CNI               a kube-router binary that enforces policies in the lab, in place of the lab's own enforcer
#: CI                    true: a skipped test is a failure
PIP := -m pip install --quiet --disable-pip-version-check --require-virtualenv
# The lock is complete. Without --no-deps, pip also asks the index for `coverage[toml]` where the lock says `coverage`,
# and takes the newest, whose hash the lock does not have: the build would fail on the day of the next release.
LOCKED := --require-hashes --no-deps
VENV := .venv/.ready
ORACLE := .venv-oracle/.ready

.PHONY: help test unit lint binaries demo lab bench docs lock clean prerequisites

# The list is made from the comments behind the targets and the settings, so that it is complete.
help:
	@echo "make TARGET [SETTING=value …]"
	@echo
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
	@echo
	@echo "Settings:"
	@sed -nE 's/^([A-Z]+) \?=[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
	@echo
	@echo "Environment:"
	@sed -nE 's/^#: ([A-Z_]+) +(.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

prerequisites:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing. Debian: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), but 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "python3's venv module is missing. Debian: apt-get install python3-venv"; exit 1; }

$(VENV): requirements/dev.txt pyproject.toml | prerequisites
	@echo "python: .venv from requirements/dev.txt"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@.venv/bin/python $(PIP) $(LOCKED) -r requirements/dev.txt
	@.venv/bin/python $(PIP) --no-deps --no-build-isolation --editable .
	@.venv/bin/python -m pip check >/dev/null
	@touch $@

$(ORACLE): requirements/oracle.txt | prerequisites
	@echo "python: .venv-oracle from requirements/oracle.txt"
	@test -x .venv-oracle/bin/python || $(PYTHON) -m venv .venv-oracle
	@.venv-oracle/bin/python $(PIP) $(LOCKED) -r requirements/oracle.txt
	@touch $@

# In a step of its own, because pytest would swallow the progress line of a build that takes minutes.
binaries: $(VENV) ## builds the embedded cluster (etcd, Kubernetes, MetalLB) once; it is kept in ~/.cache/exposure-operator
	@.venv/bin/python -m tests.cluster.binaries
	@.venv/bin/python -m tests.lab.metallb.build

lint: $(VENV) ## ruff, mypy and the import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

unit: $(VENV) ## the tests that need no cluster: under a minute
	.venv/bin/python -m pytest -n $(WORKERS) --no-cov -m "not cluster and not lab" \
	  $(or $(PYTEST),tests/unit tests/scenarios tests/plan tests/flows tests/cli tests/docs tests/messages tests/style)

docs: $(VENV) ## writes the reference pages, the CRDs' lists and the table of messages from the data and the code
	.venv/bin/python -m tests.docs
	.venv/bin/python -m tests.messages

test: lint binaries $(ORACLE) ## lint, types, layers, and every test; the first run builds the binaries, which takes minutes
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup $(if $(PYTEST),--no-cov $(PYTEST),--cov --cov-report=term)

demo: binaries ## a walk through the product on an embedded cluster
	@.venv/bin/python -m tests.demo $(DEMO)

lab: binaries $(ORACLE) ## the packet lab: real connections; needs root; writes build/lab.json
	@.venv/bin/python -m tests.lab $(LAB)

bench: binaries ## measures against a program that only writes; writes build/bench.json
	@.venv/bin/python -m tests.bench $(BENCH)

# Exact versions with hashes for every platform and every Python from 3.11 on, naming no index host. UPGRADE=--upgrade
# takes what is new; without it only what pyproject.toml forces is moved.
COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-annotate --no-header $(UPGRADE)
lock: | prerequisites ## resolves requirements/*.txt anew from pyproject.toml
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python $(PIP) 'uv>=0.8'; }
	$(COMPILE) pyproject.toml -o requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(COMPILE) --group oracle -o requirements/oracle.txt

clean: ## removes what the other targets made in this folder
	rm -rf .venv .venv-oracle .venv-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find operator tests -name __pycache__ -prune -exec rm -rf {} +
