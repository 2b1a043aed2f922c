# SPDX-License-Identifier: Apache-2.0
# `make demo` shows what genevecap does, `make test` runs the tests, `make check` is the whole gate.
#
# An active virtual environment is used; without one, .venv is made. Targets are quick when
# nothing has changed: what is installed is remembered by stamp files in the environment.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := $(if $(VIRTUAL_ENV),$(VIRTUAL_ENV),.venv)
BIN := $(VENV)/bin
STAMPS := $(VENV)/.genevecap
SAMPLE := samples/ambient-iptables-geneve/node-a.pcapng

# Everything whose change needs a new installation. Other Python files are used where they stand.
INSTALL_FROM := pyproject.toml setup.py $(shell find genevecap -name '_kernel_*.py' -o -name '_kernel_*.pxd')
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Two workers suit the smallest machines; PYTEST_WORKERS=0 runs in one process.
PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=
PYTEST := $(BIN)/python -m pytest -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

.PHONY: help
help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: $(STAMPS)/run ## Install genevecap and show what it says about a sample.
	@echo '$$ genevecap inspect $(SAMPLE)'
	@$(BIN)/genevecap inspect $(SAMPLE)

.PHONY: test
test: $(STAMPS)/test system-packages ## Run the tests (the long ones apart).
	$(PYTEST)

.PHONY: check
check: check-static test ## Run the whole gate.

.PHONY: check-static
check-static: check-format check-lint check-types check-layers check-generated ## Run the part of the gate that runs no test.

.PHONY: check-format check-lint check-types check-layers check-generated
check-format: $(STAMPS)/dev
	$(BIN)/ruff format --check
check-lint: $(STAMPS)/dev
	$(BIN)/ruff check
check-types: $(STAMPS)/dev
	$(BIN)/mypy
check-layers: $(STAMPS)/dev
	$(BIN)/lint-imports
check-generated: $(STAMPS)/dev
	$(BIN)/python tools/generate_completions.py --check
	$(COG) --check --check-fail-msg='run: make docs' $(COGGED)

.PHONY: check-long
check-long: $(STAMPS)/test system-packages ## Run the long tests, and the property tests with many more examples.
	HYPOTHESIS_PROFILE=long $(PYTEST) -m 'long or hypothesis'

.PHONY: format
format: $(STAMPS)/dev ## Format the code and fix what ruff can fix.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

COG := $(BIN)/cog -P -I tools

# The pages that hold generated text. The text is what a command really prints.
COGGED := README.md docs/index.md docs/quickstart.md docs/cli-reference.md docs/findings.md

.PHONY: docs
docs: $(STAMPS)/dev ## Write the generated parts of the documentation anew.
	$(COG) -r $(COGGED)

.PHONY: completions
completions: $(STAMPS)/dev ## Write completions/ anew.
	$(BIN)/python tools/generate_completions.py

.PHONY: golden
golden: $(STAMPS)/test ## Write the golden outputs anew; review the difference.
	GENEVECAP_REWRITE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

.PHONY: samples
samples: $(STAMPS)/test system-packages ## Record samples/ anew in network namespaces (needs root).
	$(BIN)/python -m tests.lab.record_samples
	if [ -d ../shared/lab ]; then $(BIN)/python -m tests.lab.cut_samples ../shared/lab samples; fi

.PHONY: bench
bench: $(STAMPS)/test ## Measure speed, memory and start-up time.
	$(BIN)/python -m tests.benchmarks

.PHONY: kernels
kernels: $(STAMPS)/dev ## Compile the kernels in place, and say it where one does not compile.
	GENEVECAP_REQUIRE_KERNELS=1 $(BIN)/python setup.py --quiet build_ext --inplace

.PHONY: system-packages
system-packages:
	@tools/system_packages.sh

.PHONY: clean
clean: ## Remove what was built (not the virtual environment).
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis site
	find genevecap tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
	find genevecap -name '_kernel_*.so' -delete -o -name '_kernel_*.c' -delete
	rm -rf $(STAMPS)

# The virtual environment and what is installed in it. A larger set contains the smaller ones.

$(BIN)/python:
	@python=$$(tools/find_python.sh) && "$$python" -m venv $(VENV)

$(STAMPS)/run: $(INSTALL_FROM) | $(BIN)/python
	@echo 'installing genevecap in $(VENV)' >&2
	@$(PIP_INSTALL) --editable .
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/test: $(INSTALL_FROM) | $(BIN)/python
	@echo 'installing genevecap and what its tests need in $(VENV)' >&2
	@$(PIP_INSTALL) --editable '.[test]'
	@mkdir -p $(STAMPS) && touch $(STAMPS)/run $@

$(STAMPS)/dev: $(INSTALL_FROM) | $(BIN)/python
	@echo 'installing genevecap and what its gate needs in $(VENV)' >&2
	@$(PIP_INSTALL) --editable '.[test,dev]'
	@mkdir -p $(STAMPS) && touch $(STAMPS)/run $(STAMPS)/test $@
