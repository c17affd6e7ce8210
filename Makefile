# Everything runs on the Node of node_modules; the system's own (18 or newer) only installs it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# Generated files that `verify` regenerates and compares.
GENERATED := crds control-api/openapi.json control-api/schema.sql helm
INSTALLED := node_modules/.package-lock.json

.PHONY: help setup up down test verify fmt generate e2e faults chaos campaign restores ledger simulate acto mutants bench binaries images bundle images-docker clean

help: ## This list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

$(INSTALLED): package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node 18 or newer (https://nodejs.org, or apt-get install nodejs npm)" >&2; exit 1; }
	@# Newer npm refuses `ci` with a lock file that lacks optional packages of other platforms; `install` follows it too.
	@echo "Installing packages as package-lock.json names them …"
	@npm ci --no-audit --no-fund --silent || npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

setup: $(INSTALLED) ## Install packages and the pinned Node (runs by itself when the lock file changed)

up: setup ## The whole stack on this machine; orders a Postgres and queries it. NAME=dev names its state, which clones share; PROVIDER=auto|kind|nodes|kwok|existing, DATABASE_URL=
	@node dev/src/up/cli.ts up

down: setup ## Stop what `make up` started; PURGE=1 also removes its data
	@node dev/src/up/cli.ts down

test: setup ## All suites; the last line counts them. ARGS='--project unit' narrows
	@node dev/src/test-run.ts $(ARGS)

verify: setup ## Format, lint, types, boundaries; generated files regenerate to a clean tree
	biome check .
	oxlint --deny-warnings
	tsc -b
	node dev/src/boundaries/cli.ts
	npm run --silent generate
	@git diff --exit-code -- $(GENERATED) && test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))" \
		|| { git ls-files --others --exclude-standard -- $(GENERATED); echo "Generated files differ: commit what 'npm run generate' wrote." >&2; exit 1; }

fmt: setup ## Format, and fix what can be fixed
	biome check --write .

generate: setup ## CRDs, OpenAPI document and schema dump from their sources
	npm run --silent generate

e2e: setup ## Only the journeys through the whole stack. PROVIDER=
	@node dev/src/test-run.ts --project journeys $(ARGS)

faults: setup ## The fault catalogue: the cluster and the operator broken in every known way
	@node dev/src/test-run.ts --project chaos $(ARGS)

chaos: setup ## The four that follow, one after the other: hours
	@node dev/src/test-total.ts 'make simulate' 'make restores' 'make ledger' 'make campaign'

campaign: setup ## A fault at every write and every event, resumable. SAMPLE=300 PLAN=<id> ONLY=<scenario> LANES=3 SEED=1 FRESH=1
	@node e2e/chaos/campaign/cli.ts

restores: setup ## The database put back at random points, with a live operator. RESTORES=200 SEED=1
	@RESTORES=$(or $(RESTORES),200) SEED=$(or $(SEED),1) node dev/src/test-run.ts --project real operator/test/restored-database.test.ts

ledger: setup ## What tenants were told against what data planes did, while processes are killed. CHANGES=1000000 SEED=1
	@node e2e/ledger/main.ts --changes $(or $(CHANGES),1000000) --seed $(or $(SEED),1)

simulate: setup ## The link between a control plane and an operator on virtual time. RUNS=100000 SEED=1
	@RUNS=$(or $(RUNS),100000) SEED=$(or $(SEED),1) node dev/src/test-run.ts --project unit e2e/simulation

acto: setup ## Everything that can be asked of our kinds, and back. ARGS='--sample 250 --seed 2 --only <id> --results <file>'
	@node e2e/chaos/acto/main.ts $(ARGS)

mutants: setup ## Makes each known mistake in a copy of the operator; the test that should notice it must fail. ARGS=--unit
	@node e2e/chaos/mutants/main.ts $(ARGS)

bench: setup ## Latency of each hop; what the link takes; our operator beside one in Go; fairness. ARGS=<instances> of the latter two
	@node bench/src/loop.ts
	@node bench/src/link.ts --out bench/results-link.md
	@node bench/src/reconcile.ts $(ARGS)
	@node bench/src/fairness.ts $(ARGS)

binaries: setup ## Get etcd, Kubernetes, containerd, Helm, ... into the cache (done by itself where needed)
	@node dev/src/binaries/cli.ts fetch

images: setup ## Container images as archives, without Docker
	@node dev/src/images/cli.ts build

bundle: setup ## dist/: one file per program, for the Dockerfiles
	@node dev/src/images/cli.ts bundle

images-docker: bundle ## Container images with Docker
	for image in control-api operator web; do docker build -f dev/images/$$image/Dockerfile -t felucca/$$image:dev .; done
	docker build -f dev/images/postgres/Dockerfile -t felucca/postgres:18 .

clean: ## Remove build output (caches and data stay)
	rm -rf dist .tsbuild coverage
