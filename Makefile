# `make help` lists the targets. Nothing to install by hand: the environment is made on first use.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := VIRTUAL_ENV=$(VENV) $(BIN)/uv
SETUP := $(VENV)/.installed
EXTRAS := api ml airflow
# Arguments of `make demo`
MANIFEST ?=
NOISE ?=
PRESET ?= robust
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

.PHONY: setup
setup: $(SETUP) ## Make the virtual environment from the lock (again only when the lock changed)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "SPIRA needs Python 3.11 or 3.12; name one with: make PYTHON=python3.11 …"; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv

$(SETUP): $(BIN)/uv requirements/dev.txt setup.cfg
	@echo "installing the locked packages (5 GB with torch on the first run)"
	@$(UV) pip sync --system-certs --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --system-certs --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: $(BIN)/uv ## Resolve the dependencies again and write requirements/*.txt with hashes
	$(UV) pip compile --quiet --system-certs --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --all-extras setup.cfg --output-file requirements/dev.txt
	for extra in $(EXTRAS); do \
	  $(UV) pip compile --quiet --system-certs --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --extra $$extra --constraints requirements/dev.txt setup.cfg --output-file requirements/$$extra.txt || exit 1; \
	done

.PHONY: demo
demo: $(SETUP) ## Recordings → model → served answer (MANIFEST=rows.csv NOISE=noise.csv for real recordings)
	@$(BIN)/spira demo --preset $(PRESET) $(if $(MANIFEST),--manifest $(MANIFEST)) $(if $(NOISE),--noise $(NOISE)) $(DEMO_ARGS)

.PHONY: test
test: $(SETUP) check servers ## Everything: checks, then all tests, against real servers where they can be had
	@eval "$$($(BIN)/python tests/servers/servers.py env)"; \
	status=0; $(PYTEST) || status=$$?; $(PYTEST) tests/dags || status=$$?; \
	$(BIN)/python tests/servers/servers.py stop; exit $$status

.PHONY: test-unit
test-unit: $(SETUP) ## Milliseconds, in memory
	@$(PYTEST) tests/unit

.PHONY: test-integration
test-integration: $(SETUP) servers ## Contract suites and integration tests against real servers
	@eval "$$($(BIN)/python tests/servers/servers.py env)"; $(PYTEST) tests/contracts tests/integration

.PHONY: test-system
test-system: $(SETUP) ## Whole flows as processes
	@$(PYTEST) tests/system

.PHONY: test-dags
test-dags: $(SETUP) ## The DAGs and their pods, against a scripted cluster
	@$(PYTEST) tests/dags

.PHONY: check
check: $(SETUP) ## Format, lint, types and the import contracts
	@$(BIN)/ruff format --check --quiet src tests dags
	@$(BIN)/ruff check --quiet src tests dags
	@$(BIN)/mypy
	@mkdir -p var && $(BIN)/lint-imports --no-cache > var/lint-imports.log 2>&1 || { cat var/lint-imports.log; exit 1; }

.PHONY: servers
servers: $(SETUP) ## Start real Kafka, Mongo-protocol and S3 servers on loopback (built on first use: about 6 minutes)
	@$(BIN)/python tests/servers/servers.py start

.PHONY: servers-stop
servers-stop: ## Stop what `make servers` started
	@$(BIN)/python tests/servers/servers.py stop

.PHONY: dev
dev: $(SETUP) ## The environment for people: prints how to enter it
	@echo "source $(BIN)/activate"

.PHONY: up
up: $(SETUP) ## Start the whole platform as local processes (see ports it prints)
	@$(BIN)/spira up

.PHONY: down
down: $(SETUP) ## Stop what `make up` started
	@$(BIN)/spira down

.PHONY: images
images: $(SETUP) ## Build the container images (IMAGES="ml airflow"; IMAGE_TOOL, REGISTRY: see images/build.py)
	@$(BIN)/python images/build.py $(IMAGES)

.PHONY: airflow
airflow: $(SETUP) ## Airflow with our DAGs on this machine, on the cluster of KUBECONFIG (see images/airflow/standalone.py)
	@$(BIN)/python images/airflow/standalone.py

.PHONY: e2e-training
e2e-training: $(SETUP) ## The training DAG on the cluster of KUBECONFIG, from image to approval, killed pods included
	@$(BIN)/python tests/e2e/training.py $(E2E_ARGS)

.PHONY: bench
bench: $(SETUP) ## Speed beside the obvious alternatives, as ratios from one run
	@$(BIN)/spira bench features
	@$(BIN)/spira bench train

.PHONY: chaos-train
chaos-train: $(SETUP) ## kill -9 a fit at random batches and resume it: are the bits those of an unbroken one? (KILLS=50)
	@$(BIN)/python tests/chaos/train.py --kills $(or $(KILLS),50)

.PHONY: clean
clean: ## Remove what can be made again (not the virtual environment, not ./var)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
