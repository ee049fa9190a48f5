PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# Tests wait about as much as they compute: three processes keep two cores busy, and a fourth saves no time.
MANY_AT_ONCE := -n 3 --dist worksteal
FEW_AT_ONCE := -n 2

.DEFAULT_GOAL := help
.PHONY: help install run test test-rest test-all test-unit fuzz faults mutants bench bench-revocation bench-tokens bench-scale bench-soak check fmt lock image sbom clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' Makefile

install: ## Make the virtual environment and install from the hashed lock
	@$(PYTHON) tools/install.py $(VENV)

run: install ## Run the whole stack here: PostgreSQL, Redis, token authority and polls
	@$(BIN)/pollgate up

test: install ## Run all tests that are not slow, against a real PostgreSQL and a real Redis
	@$(BIN)/python -m pytest $(MANY_AT_ONCE) -m "not slow" $(ARGS)

test-rest: install ## Run the slow tests: the fuzz, the fault run and most schedules of the simulation
	@$(BIN)/python -m pytest $(FEW_AT_ONCE) -m slow $(ARGS)

test-all: test test-rest ## Run all tests

test-unit: install ## Run the tests that need neither PostgreSQL nor Redis
	@$(BIN)/python -m pytest -n 0 --no-servers tests/unit tests/architecture $(ARGS)

fuzz: install ## Send each service FUZZ_CASES (50000) requests that its OpenAPI document allows or forbids
	@FUZZ_CASES=$${FUZZ_CASES:-50000} $(BIN)/python -m pytest -n 0 -s --show-capture=no tests/api/token_authority/test_openapi.py tests/api/polls/test_polls_openapi.py $(ARGS)

faults: install ## Break every part in turn under load, for FAULTS_SECONDS (600), and check what was promised
	@FAULTS_SECONDS=$${FAULTS_SECONDS:-600} $(BIN)/python -m pytest -n 0 -s tests/faults $(ARGS)

mutants: install ## Take out each piece that exactness rests on, and show that a test notices
	@$(BIN)/python tools/mutants.py

bench: install ## Measure what the guard costs, lists, a poll of a million ballots, and 100,000 ballots under kills
	@$(BIN)/python -m bench.polls $(ARGS)

bench-revocation: install ## Measure how long a revocation takes, with 1, 4 and 8 guards
	@$(BIN)/python -m bench.revocation $(ARGS)

bench-tokens: install ## Measure how long finding and reviewing tokens takes, among 100,000
	@$(BIN)/python -m bench.tokens $(ARGS)

bench-scale: install ## Measure an authority with 100, 300 and 1000 guards, and up to 100 revocations per second
	@$(BIN)/python -m bench.scale $(ARGS)

bench-soak: install ## Load everything for ten minutes among a million tokens, and show what grows (ARGS='--minutes 60')
	@$(BIN)/python -m bench.soak $(ARGS)

check: install ## Lint, check formatting, types, import rules and words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/words.py

fmt: install ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Write the hashed locks from pyproject.toml
	$(BIN)/python tools/lock.py

image: ## Build the image, labelled with this release and commit; ARGS='-t NAME --build-arg PYTHON_IMAGE=…'
	docker build --file deploy/Dockerfile --target pollgate --tag pollgate:$(VERSION) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$$(git rev-parse HEAD) $(ARGS) .

sbom: install ## Write dist/sbom.cdx.json: what the image has of Python packages, checked against the lock
	@$(BIN)/python tools/sbom.py requirements/services.lock dist/sbom.cdx.json

clean: ## Remove the virtual environment and caches; data in .pollgate/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
