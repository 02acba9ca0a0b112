# The commands of PushPilot. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# How many test processes: one per core.
JOBS ?= auto
# More for pytest, such as ARGS=--durations=30.
ARGS ?=

.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(VENV)/.app ## Everything for a first look: demo workspace, a real campaign, the running product (PORT=9000)
	@$(BIN)/python manage.py demo $(if $(PORT),--port $(PORT))

run: $(VENV)/.app ## Web server, worker and sandbox on this machine (PORT=9000)
	@$(BIN)/python manage.py run $(if $(PORT),--port $(PORT))

test: $(VENV)/.test ## The whole test suite, on SQLite; needs nothing else
	$(BIN)/python -m pytest -n $(JOBS) $(if $(filter covered,$(WITHOUT)),$(addprefix --ignore=,$(COVERED))) $(ARGS)

# What a third wall could break: every page and role, the tenants' verbs, whole journeys, the engine.
WALLED ?= tests/tenants tests/house tests/stories tests/campaigns/test_library.py tests/delivery/test_pipeline.py tests/delivery/test_direct.py tests/wiring/test_platform_pages.py
# WITHOUT=walled leaves to test-rowsecurity, which runs on PostgreSQL too, what it runs.
WITHOUT ?=

# Folders whose own tests say how much of the code they reach.
COVERED ?= tests/channels tests/campaigns tests/providers tests/delivery tests/reports
# WITHOUT=covered leaves to test-coverage what it runs.
test-coverage: $(VENV)/.test ## How much of campaigns, delivery and reports their own tests run, with branches
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) $(COVERED)
	$(BIN)/coverage combine -q
	@echo "Coverage of campaigns, delivery and reports by their own tests: $$($(BIN)/coverage report --format=total) %"

test-postgres: $(VENV)/.test ## All tests that touch the database, on PostgreSQL and Redis (DATABASE_URL and REDIS_URL say where)
	DATABASE_URL=$${DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres} \
	REDIS_URL=$${REDIS_URL:-redis://127.0.0.1:6379/9} $(BIN)/python -m pytest -n $(JOBS) -m "not once" \
		$(if $(filter walled,$(WITHOUT)),$(addprefix --ignore=,$(WALLED)))

test-rowsecurity: $(VENV)/.test ## The suite behind PostgreSQL's row-level security, as a role that owns nothing (WALLED=tests: all of it)
	DATABASE_URL=$${DATABASE_URL:-postgres://postgres@127.0.0.1:5432/postgres} \
	REDIS_URL=$${REDIS_URL:-redis://127.0.0.1:6379/9} ROW_SECURITY=1 $(BIN)/python -m pytest -n $(JOBS) -m "not once" $(WALLED)

test-js: ## The logic of the scripts, in Node.js; needs nothing else (apt-get install nodejs)
	node --test tests/javascript/*.test.mjs

test-browser: $(VENV)/.dev ## The browser tests; needs Chromium (apt-get install chromium)
	$(BIN)/python -m pytest -c tests/browser/pytest.ini tests/browser

test-contract: $(VENV)/.dev ## Requests made from the OpenAPI document, right ones and wrong ones (DATABASE_URL as above)
	$(BIN)/python -m pytest -c tests/contract/pytest.ini -n $(JOBS) tests/contract $(ARGS)

lint: $(VENV)/.dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy pushpilot tenants campaigns delivery reports

format: $(VENV)/.dev ## Put the code in its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults: $(VENV)/.test ## Hurt real sends and compare the sandbox's log with the ledger (python -m tests.faults --help)
	$(BIN)/python -m tests.faults

mutants: $(VENV)/.test ## Plant faults one at a time: which do the tests see? Takes hours (python -m tests.mutants --help)
	$(BIN)/python -m tests.mutants

benchmarks: $(VENV)/.test ## Compare the pipeline, the lists and the API with the usual way, each in one run
	$(BIN)/python -m tests.benchmarks.sending
	$(BIN)/python -m tests.benchmarks.lists
	$(BIN)/python -m tests.benchmarks.api

PIN = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	--custom-compile-command 'make requirements' pyproject.toml

requirements: $(VENV)/.dev ## Pin the dependencies of pyproject.toml again
	$(PIN) -o requirements/app.txt
	$(PIN) --group test -o requirements/test.txt
	$(PIN) --group dev -o requirements/dev.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "PushPilot needs Python 3.11 or newer; set PYTHON=…")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: requirements/%.txt | $(VENV)/bin/python
	@echo "Installing requirements/$*.txt …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.txt
	@touch $@

.PRECIOUS: $(VENV)/.%
.PHONY: help demo run test test-coverage test-postgres test-rowsecurity test-js test-browser test-contract lint format faults mutants benchmarks requirements
