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
	@echo "Installing into $(VENV): a minute or two the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e ./protos -e ./node -e ./operator
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
	$(BIN)/mypy node/src operator/src charts tests docs
	$(BIN)/lint-imports
	$(BIN)/python -m docs.reference --check

.PHONY: docs
docs: venv ## Build the documentation into site/ (needs npm once); a warning or a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

.PHONY: format
format: venv ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: packages
packages: venv ## Debian packages that the tests use (as root; else names what is missing)
	$(BIN)/python -m tests.packages

.PHONY: unit
unit: venv ## Pure tests: seconds
	$(BIN)/pytest -q -n 2 tests/unit

.PHONY: integration
integration: venv packages ## Real processes and a real RabbitMQ on loopback
	$(BIN)/pytest -q -m "not slow" -n 4 --dist loadfile tests/integration tests/hostile

.PHONY: integration-slow
integration-slow: venv packages ## The long ones: the broker away for a minute, a node killed, sixteen nodes
	$(BIN)/pytest -q -m slow tests/integration tests/hostile

.PHONY: dashboards
dashboards: venv ## Write the Grafana dashboards into the chart from their source
	$(BIN)/python -m charts.dashboards

.PHONY: monitoring
monitoring: venv packages ## Dashboards and alerts against a real Prometheus and a network under load
	$(BIN)/pytest -q tests/monitoring

.PHONY: browser
browser: venv packages ## The page of a real network in a real Chromium; pictures in test-artifacts/
	$(BIN)/pytest -q -n 2 --dist loadfile tests/browser

# Apart from the tests: none of them should have to wait for it within its own time.
.PHONY: programs
programs: venv ## Kubernetes, Helm and kubectl for the tests, built once: ten minutes (docs/test-cluster.md)
	$(BIN)/python -m tests.cluster build

READY_CLUSTER = @[ "$${MINGA_TEST_CLUSTER:-}" = existing ] || { $(BIN)/python -m tests.cluster up --nodes 3 && $(BIN)/python -m tests.cluster load; }

.PHONY: e2e
e2e: venv packages programs ## A real Kubernetes: helm install, kubectl apply, files that cross the network
	$(READY_CLUSTER)
	$(BIN)/pytest -q -n 3 --dist loadfile -m "not slow and not alone" tests/e2e
	$(BIN)/pytest -q -m "not slow and alone" tests/e2e

.PHONY: e2e-slow
e2e-slow: venv packages programs ## The long ones: storms, rolls under a 1 GiB download, a lost node, a broker of three, releases
	$(READY_CLUSTER)
	$(BIN)/pytest -q -n 3 --dist loadfile -m "slow and not alone" tests/e2e
	$(BIN)/pytest -q -m "slow and alone" tests/e2e

# Each part runs, also after one that failed; the failed ones are named at the end.
PARTS := lint packages docs unit chart integration monitoring browser e2e
.PHONY: test
test: ## Everything: the one command
	@failed=(); \
	for part in $(PARTS); do $(MAKE) --no-print-directory "$$part" || failed+=("$$part"); done; \
	if (( $${#failed[@]} )); then echo "failed: $${failed[*]}" >&2; exit 1; fi; \
	echo "all parts passed: $(PARTS)"

NODES ?= 1
.PHONY: cluster-up
cluster-up: venv ## A real Kubernetes for the end-to-end tests (NODES=1); docs/test-cluster.md
	$(BIN)/python -m tests.cluster up --nodes $(NODES)

.PHONY: cluster-down
cluster-down: venv ## Remove it with everything in it
	$(BIN)/python -m tests.cluster down

.PHONY: crd
crd: venv ## Write the CustomResourceDefinition from the operator's model
	$(BIN)/python -m minga_operator.crd > charts/minga/crds/p2pnetworks.yaml

HELM := $(if $(shell command -v helm),,programs)
KUBECTL := $(if $(shell command -v kubectl),,programs)
.PHONY: manifests
ifdef IMAGE
manifests: venv $(HELM) ## Render manifests/ and the chart's README from the chart (IMAGE=REGISTRY TAG=… OUT=FILE: for your images)
	$(BIN)/python -m tests.chart.render --registry $(IMAGE) --tag "$(TAG)" --output $(or $(OUT),/dev/stdout)
else
manifests: crd $(HELM)
	$(BIN)/python -m tests.chart.render
endif

# docker or podman, whichever is there; both know these options.
BUILDER ?= $(if $(shell command -v docker),docker,podman)
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' node/pyproject.toml)
TAG ?= $(VERSION)
BASE ?= python:3.13-slim
.PHONY: images
images: ## Build both images (REGISTRY=host/team TAG=… BASE=…; PUSH=1 pushes them; needs Docker or Podman)
	@[ -n "$(REGISTRY)" ] || { echo "say where they belong: make images REGISTRY=registry.example.com/team [TAG=$(TAG)] [PUSH=1]" >&2; exit 2; }
	for part in node operator; do \
		$(BUILDER) build --build-arg BASE=$(BASE) -f $$part/Dockerfile -t $(REGISTRY)/minga-$$part:$(TAG) .; \
		[ -z "$(PUSH)" ] || $(BUILDER) push $(REGISTRY)/minga-$$part:$(TAG); \
	done

.PHONY: wheels
wheels: venv ## Build the three packages into dist/
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist ./protos ./node ./operator

.PHONY: release-check
release-check: venv ## Whether VERSION can be released: all parts have it, the changelog tells of it
	@$(BIN)/python -m tests.release check $(VERSION)

.PHONY: release-notes
release-notes: venv ## What the changelog says of VERSION
	@$(BIN)/python -m tests.release notes $(VERSION)

.PHONY: chart
chart: venv $(HELM) $(KUBECTL) ## Tests of the chart and of what is rendered from it
	$(BIN)/pytest -q tests/chart

KIND_CLUSTER ?= minga
.PHONY: kind-up
kind-up: ## A kind cluster with the operator and a first network (needs Docker, kind, helm and kubectl)
	kind create cluster --name $(KIND_CLUSTER) --config kind-config.yaml --wait 2m
	docker build -q -f node/Dockerfile -t minga-node:0.1.0 .
	docker build -q -f operator/Dockerfile -t minga-operator:0.1.0 .
	kind load docker-image --name $(KIND_CLUSTER) minga-node:0.1.0 minga-operator:0.1.0
	helm install minga charts/minga -n minga-system --create-namespace --wait
	kubectl apply -f manifests/samples/p2pnetwork.yaml
	kubectl wait p2pnetwork/library --for=condition=Ready --timeout=5m
	kubectl get p2pnetworks

.PHONY: kind-down
kind-down: ## Remove that cluster
	kind delete cluster --name $(KIND_CLUSTER)

.PHONY: up
up: venv ## A network on this machine: 1 seed, 3 peers, sample files
	@$(BIN)/minga up --file manifests/samples/p2pnetwork.yaml --directory .local/library --detach

.PHONY: down
down: venv ## End the network of `make up`
	@$(BIN)/minga down

.PHONY: reference
reference: venv ## Write docs/reference and the README's figures from the code
	$(BIN)/python -m docs.reference
