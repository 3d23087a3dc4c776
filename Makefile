# Needs python3 >= 3.11 with venv, and a PyPI client's network. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest -q --durations=15


.PHONY: help demo up down status logs test checks lint types imports check-lock unit dags integration browser containers
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

test: checks unit dags integration ## Run every check and test below

checks: environment ## Check style, types, imports and the lock, two at a time
	@$(MAKE) --jobs=2 lint types imports check-lock

lint: environment ## Check style and formatting (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: environment ## Check types (mypy --strict)
	@$(BIN)/mypy

imports: environment ## Check which layer imports which (import-linter)
	@PYTHONPATH=.:plugins $(BIN)/lint-imports

check-lock: environment ## Prove that requirements.txt, requirements.lock and the environment agree
	@$(BIN)/python -m deploy.check_lock

unit: environment ## Run the unit tests, on every core
	@$(PYTEST) tests -n auto --dist loadfile --ignore=tests/dags --ignore=tests/integration

dags: environment ## Run the tests of the DAGs
	@$(PYTEST) tests/dags

integration: environment ## Run the tests on the real stack, with browser and containers where they can run
	@$(PYTEST) tests/integration

browser: environment ## Run only the tests that look at pages in a browser
	@$(PYTEST) tests/integration -m browser

containers: environment ## Run only the tests that need a container engine
	@$(PYTEST) tests/integration/containers

lock: environment ## Resolve requirements.txt into requirements.lock
	@$(BIN)/uv pip compile requirements.txt --universal --python-version 3.11 --quiet -o requirements.lock

new-project: environment ## Write include/projects/NAME.yaml: make new-project NAME=... [IMAGES=folder of class folders]
	@$(BIN)/python -m deploy.new_project "$(NAME)" $(if $(IMAGES),"$(IMAGES)")

compose-secrets: environment ## Generate the secrets of docker-compose.yml into files
	@$(BIN)/python -m deploy.containers.secrets

# Ends at once when requirements.lock has been installed.
environment:
	@$(PYTHON) deploy/environment.py
