# What one does here every day. `make` alone tells. Written for GNU make 3.81 and later; any folder name will do.

# A caller's own Python settings must not reach our programs.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Commands find the tools of .venv; relative, because the folder's own path may hold spaces.
BIN := .venv/bin
PY := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help setup demo bench chaos reconcile test check lint e2e awake up down status logs reset lock format

help: ## this list
	@printf 'make demo    set up, then the whole flow on real Kafka and Postgres; TICKETS=file.csv and PACK=name to choose\n'
	@printf 'make test    set up, then every test\n'
	@printf 'make bench   how fast it is beside bare programs; NAME=hop for one, SECONDS=60 for longer parts\n'
	@printf 'make chaos   faults from a seed while tickets flow, and the oracle; MINUTES=10 SEED=1 RATE=50 (docs/reliability.md)\n\n'
	@printf 'make up      start Kafka, Postgres and all services here and leave them running\n'
	@printf 'make status  what runs, and where\n'
	@printf 'make reconcile  whether all that ran there adds up; OPTIONS="--closed --ledger FILE" and others\n'
	@printf 'make logs    the logs; SERVICE=intake for one\n'
	@printf 'make down    stop what `make up` started; the data stay\n'
	@printf 'make reset   stop, and delete all local data\n\n'
	@printf 'make check   ruff, formatting, mypy, import rules, and all tests but the end-to-end ones\n'
	@printf 'make lint    the part of it that needs no Kafka or Postgres\n'
	@printf 'make e2e     the end-to-end tests\n'
	@printf 'make awake   tests of chaos: the oracle notices each protection that is switched off\n'
	@printf 'make format  put the code into shape\n'
	@printf 'make lock    choose new versions of all packages and of Kafka'"'"'s jars\n'
	@printf 'make setup   only the virtual environment; PYTHON=/path/to/python3 to choose one\n'

setup:
	@PYTHON="$(PYTHON)" sh deploy/setup.sh

demo: setup
	@$(PY) -m demo $(if $(TICKETS),--tickets "$(TICKETS)") $(if $(PACK),--pack "$(PACK)")

bench: setup
	@$(PY) -m benchmarks $(NAME) $(if $(SECONDS),--seconds $(SECONDS)) $(foreach each,$(SET),--set $(each))

reconcile: setup
	@$(PY) -m deploy.local reconcile $(OPTIONS)

chaos: setup
	@$(PY) -m chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) \
		$(if $(TICKETS),--tickets $(TICKETS)) $(if $(OUTAGE),--outage $(OUTAGE)) $(foreach each,$(ONLY),--only $(each))

test: check e2e awake

check: lint
	$(PY) -m pytest -n 2 --dist loadfile tests/unit tests/integration tests/contract

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PY) -m mypy
	$(BIN)/lint-imports

e2e: setup
	$(PY) -m pytest tests/e2e

awake: setup
	$(PY) -m pytest tests/chaos

up down reset: setup
	@$(PY) -m deploy.local $@

status: setup
	@$(PY) -m deploy.local status || [ $$? -eq 3 ]

logs: setup
	@$(PY) -m deploy.local logs $(SERVICE)

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: setup
	sh deploy/lock.sh
