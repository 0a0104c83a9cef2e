# Everything a person needs here; `make` alone lists it. Set UV to use a uv of your own.
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
PYTHON ?= python3
UV ?= $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
MEMBERS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml dispatcher/pyproject.toml agent/pyproject.toml)
READY := .venv/.synced

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format bench engines clean

help: ## List these commands
	@while IFS= read -r line; do \
		[[ $$line =~ ^([a-z-]+):.*\#\#\ (.*) ]] && printf 'make %-9s %s\n' "$${BASH_REMATCH[@]:1}"; \
	done <Makefile; true

setup: $(READY) ## Make .venv with everything in it

demo: $(READY) ## Run one job on this machine, then the dispatcher with an agent
	@scripts/demo.sh

test: $(READY) ## Run all tests; suites without their engine are skipped and listed
	@scripts/test.sh

test-all: $(READY) ## Run all tests, also as with Docker only and on newer engines: more than an hour
	@scripts/test-all.sh

lint: $(READY) ## Check style, formatting, types and import rules
	@scripts/lint.sh

format: $(READY) ## Rewrite the sources in the project's format
	@.venv/bin/ruff check --fix-only --quiet . ; .venv/bin/ruff format .

bench: $(READY) ## Measure the figures that the project promises
	@scripts/bench.sh

engines: ## Install and start Docker and Redis (root on Debian), and a test cluster where one is known
	@scripts/engines.sh

clean: ## Remove what make made
	rm -rf .venv .venv-oldest .uv dist .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): pyproject.toml uv.lock $(MEMBERS) | $(UV)
	@$(UV) sync --quiet --locked --all-packages --all-extras
	@touch $@

.uv/bin/uv:
	@PYTHON="$(PYTHON)" scripts/bootstrap-uv.sh
