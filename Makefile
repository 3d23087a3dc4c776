# Needs python3 >= 3.11 with venv, and a PyPI client's network. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
# One stamp for each content of the lock: an install that was killed or is out of date is done again.
INSTALLED = .venv/.installed-$(firstword $(shell cksum < requirements.lock))
PYTEST = $(BIN)/python -m pytest -q


.PHONY: help demo up down status logs test lint types imports check-lock unit dags integration browser containers
.PHONY: lock new-project compose-secrets environment

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: environment ## Start the stack and play the whole story: ingest, train, deploy, drift, retrain
	@$(BIN)/python -m examples.story

up: environment ## Start the embedded stack and wait until every part answers
	@$(BIN)/python -m deploy.stack up

down: environment ## Stop every process of the embedded stack
	@$(BIN)/python -m deploy.stack down

status: environment ## Show every part: state, uptime, restarts, memory, address
	@$(BIN)/python -m deploy.stack status

logs: environment ## Follow the logs of all parts
	@$(BIN)/python -m deploy.stack logs

test: lint types imports check-lock unit dags integration ## Run every check and test below

lint: environment ## Check style and formatting (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: environment ## Check types (mypy --strict)
	@$(BIN)/mypy

imports: environment ## Check which layer imports which (import-linter)
	@PYTHONPATH=.:plugins $(BIN)/lint-imports

check-lock: environment ## Prove that requirements.txt, requirements.lock and the environment agree
	@$(BIN)/python -m deploy.check_lock

unit: environment ## Run the unit tests
	@$(PYTEST) tests --ignore=tests/dags --ignore=tests/integration

dags: environment ## Run the tests of the DAGs
	@$(PYTEST) tests/dags

integration: environment ## Run the tests on the real stack, with browser and containers where they can run
	@$(PYTEST) tests/integration

browser: environment ## Run only the tests that look at pages in a browser
	@$(PYTEST) tests/integration -m browser

containers: environment ## Run only the tests that need a container engine
	@$(PYTEST) tests/integration -m containers

lock: environment ## Resolve requirements.txt into requirements.lock
	@$(BIN)/uv pip compile requirements.txt --universal --python-version 3.11 --quiet -o requirements.lock

new-project: environment ## Write include/projects/NAME.yaml: make new-project NAME=...
	@$(BIN)/python -m deploy.new_project "$(NAME)"

compose-secrets: environment ## Generate the secrets of docker-compose.yml into files
	@$(BIN)/python -m deploy.containers.secrets

environment: $(INSTALLED)

# uv comes from PyPI in the version of the lock; one on PATH may make the environment, the locked one fills it.
$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Windhover needs Python 3.11 or newer, $(PYTHON) is %d.%d; choose another with `make PYTHON=...`" % sys.version_info[:2])'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; $(PYTHON) -m venv .venv; }
	@uv=$$(grep -E '^uv==' requirements.lock); \
	$(BIN)/uv --version 2>/dev/null | grep -q "^uv $${uv#uv==}\b" || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$uv"
	@rm -f .venv/.installed-*
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet requirements.lock
	@touch "$@"
