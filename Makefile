# Everything that a person does with this repository. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
CHOSEN := $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo $$p && break; done)

.PHONY: help run test tour lint environment migrations bench fuzz faults clocks screens lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/.run coordination/static/vendor/.done ## start everything: database, web, clock, worker
	@exec $(PY) -m coordination.cli run

test: .venv/.dev coordination/static/vendor/.done ## run every test, browser tests included
	@scripts/need-browser
	@$(PY) -m pytest -q -n 2 --dist loadfile $(ARGS)

tour: .venv/.run ## tell the whole story in the terminal, on a throw-away database
	@$(PY) -m coordination.cli tour

lint: .venv/.dev ## style, types and import contracts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy coordination notifications calendars scripts
	@.venv/bin/lint-imports

environment: .venv/.dev coordination/static/vendor/.done ## install everything, start nothing

migrations: .venv/.dev ## up, down, up and no difference to the models, on a throw-away PostgreSQL
	@PYTHONPATH=. $(PY) scripts/check_migrations.py

bench: .venv/.dev ## measure against peers and limits, candidates interleaved in one run
	@for f in benchmarks/[a-z]*.py; do echo "== $$f"; PYTHONPATH=. $(PY) $$f || exit 1; done

fuzz: .venv/.dev ## mutate calendar files against the importer (MINUTES=60 of CPU, SEED=1)
	@PYTHONPATH=. $(PY) scripts/fuzz_calendars.py --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

N ?= 10000
SEED ?= 1
faults: .venv/.dev ## send N=10000 messages, SEED=1, through kills, cuts and crashes; nobody lost, nobody twice
	@PYTHONPATH=. $(PY) -m tests.faults.run --n $(N) --seed $(SEED) $(ARGS)

clocks: .venv/.dev ## three clocks that jump by 90 minutes, N=100000 reminders, each exactly once
	@PYTHONPATH=. $(PY) -m tests.faults.clocks --n $(if $(filter command line,$(origin N)),$(N),100000) --seed $(SEED)

screens: .venv/.dev coordination/static/vendor/.done ## make docs/screens/ anew
	@scripts/need-browser
	@PYTHONPATH=. $(PY) scripts/screens.py

lock: ## resolve the dependencies again (needs uv)
	uv lock --upgrade
	uv export -q --no-dev --no-emit-project --no-header --format requirements-txt -o requirements.lock
	uv export -q --only-group dev --no-emit-project --no-header --format requirements-txt -o requirements-dev.lock

clean: ## remove the environment (not the data in instance/)
	rm -rf .venv node_modules coordination/static/vendor

.venv/bin/python:
	@test -n "$(CHOSEN)" || { echo "Python 3.11 to 3.13 is missing. On Debian 12: apt-get install python3 python3-venv" >&2; exit 1; }
	@echo "[1/3] Making the environment in .venv with $(CHOSEN)"
	@scripts/make-venv $(CHOSEN)

.venv/.run: requirements.lock scripts/coordination | .venv/bin/python
	@echo "[2/3] Installing about 90 packages with their hashes checked (about 250 MB, a minute or two)"
	@$(PY) -m pip install --require-hashes --no-deps --disable-pip-version-check --progress-bar on -r requirements.lock
	@install -m 755 scripts/coordination .venv/bin/coordination
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.run
	@echo "Installing what the tests need"
	@$(PY) -m pip install --require-hashes --no-deps --disable-pip-version-check --progress-bar on -r requirements-dev.lock
	@$(PY) -m pip --disable-pip-version-check check
	@touch $@

coordination/static/vendor/.done: package-lock.json | .venv/.run
	@echo "[3/3] Fetching front-end packages"
	@scripts/vendor
