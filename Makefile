# `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(VENV)/.stamp: requirements/dev.txt protos/pyproject.toml node/pyproject.toml operator/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e ./protos -e ./node -e ./operator
	@touch $@

.PHONY: venv
venv: $(VENV)/.stamp ## Virtual environment with the three packages and the tools

.PHONY: protos
protos: venv ## Generate the stubs from the protocol buffers
	cd protos && ../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. \
		--plugin=protoc-gen-mypy=../$(BIN)/protoc-gen-mypy --mypy_out=quiet:. \
		--plugin=protoc-gen-mypy_grpc=../$(BIN)/protoc-gen-mypy_grpc --mypy_grpc_out=quiet:. \
		minga_protos/v1/*.proto

.PHONY: requirements
requirements: ## Pin every dependency with hashes (needs uv)
	cd node && uv -q pip compile --universal --python-version 3.11 --generate-hashes --no-header requirements.in -o requirements.txt
	cd operator && uv -q pip compile --universal --python-version 3.11 --generate-hashes --no-header requirements.in -o requirements.txt
	cd requirements && uv -q pip compile --universal --python-version 3.11 --generate-hashes --no-header dev.in -o dev.txt

.PHONY: lint
lint: venv ## ruff, mypy strict, the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy node/src operator/src tests
	$(BIN)/lint-imports

.PHONY: format
format: venv ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: unit
unit: venv ## Pure tests: seconds
	$(BIN)/pytest -q tests/unit

.PHONY: integration
integration: venv ## Real processes and a real RabbitMQ on loopback
	$(BIN)/pytest -q tests/integration

NODES ?= 1
.PHONY: cluster-up
cluster-up: venv ## A real Kubernetes for the end-to-end tests (NODES=1); docs/test-cluster.md
	$(BIN)/python -m tests.cluster up --nodes $(NODES)

.PHONY: cluster-down
cluster-down: venv ## Remove it with everything in it
	$(BIN)/python -m tests.cluster down
