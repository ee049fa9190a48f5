PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install run test check fmt lock clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: ## Make the virtual environment and install from the hashed lock
	@$(PYTHON) tools/install.py $(VENV)

run: install ## Run the whole stack here: PostgreSQL, Redis, token authority and polls
	@$(BIN)/pollgate up

test: install ## Run all tests against a real PostgreSQL and a real Redis
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: install ## Lint, check formatting, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: install ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Write the hashed locks anew from pyproject.toml
	$(BIN)/python tools/lock.py

clean: ## Remove the virtual environment and caches; data in .pollgate/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
