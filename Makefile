# Every target works on a fresh clone: each makes .venv first when it is missing or older than the lock.
# Needs: make, Python >= 3.11 with venv, and a package index that pip can reach.

PYTHON ?= python3
VENV   := .venv
SDK    := .venv-sdk
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Spark 3.5, for the clusters that stop there: beside the Spark of $(VENV), and before it where SPARK=3.5 is said.
SPARK35 := .spark35
PYTEST := $(if $(filter 3.5,$(SPARK)),PYTHONPATH=$(CURDIR)/$(SPARK35)) $(BIN)/python -m pytest -n auto
# The tool that resolves the lock; it lives in a venv of its own and is never part of the project.
UV     := uv==0.13.9
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
# Spark comes as source that only has to be packed; all else comes as it is.
HASHED := --require-hashes --only-binary :all:
PACKED := $(HASHED) --no-binary pyspark --use-pep517 --no-build-isolation

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup spark spark35 test parity lint types format demo demo-aws bench docs sdk lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything in requirements.lock and ndr itself

$(STAMP): requirements.lock pyproject.toml
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "ndr needs Python 3.11 or later; '$(PYTHON)' is missing or older." >&2; \
	    echo "Install one, or name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "'$(PYTHON)' has no venv or no ensurepip, so $(VENV) cannot be made." >&2; \
	    echo "On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	  $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing requirements.lock into $(VENV) (about 400 MB the first time)" >&2
	@$(PIP) $(HASHED) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

spark: $(VENV)/.spark-installed ## add Spark 4.0 to .venv, for --engine spark and its tests; needs Java 17

$(VENV)/.spark-installed: requirements-spark.lock $(STAMP)
	@echo "installing requirements-spark.lock into $(VENV) (about 500 MB the first time)" >&2
	@$(PIP) $(PACKED) -r requirements-spark.lock
	@command -v "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" >/dev/null || { \
	  echo "Spark starts Java, of which there is none here: without it, what tests Spark skips." >&2; \
	  echo "On Debian or Ubuntu: apt-get install openjdk-17-jre-headless" >&2; }
	@touch $@

spark35: $(SPARK35)/.installed ## put Spark 3.5 into .spark35, for SPARK=3.5

$(SPARK35)/.installed: requirements-spark35.lock | $(STAMP)
	@rm -rf $(SPARK35)
	@echo "installing requirements-spark35.lock into $(SPARK35) (about 350 MB the first time)" >&2
	@$(PIP) $(PACKED) --no-deps --target $(SPARK35) -r requirements-spark35.lock
	@touch $@

test parity: setup spark $(if $(filter 3.5,$(SPARK)),spark35)

test: ## run the tests; ARGS='-k window' picks some, SPARK=3.5 takes that Spark
	@$(PYTEST) $(ARGS)

parity: ## hold Spark against DuckDB in full, cell by cell; SPARK=3.5 takes that Spark
	@$(PYTEST) tests/parity --parity=full $(ARGS)

lint: setup ## ruff: rules and formatting
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: setup ## mypy --strict over src
	@$(BIN)/mypy

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

demo: setup ## simulate a small network, run it, show who stands out
	@$(BIN)/ndr demo

demo-aws: setup ## the same on AWS: an account of local stand-ins, from nothing to scored batches
	@$(BIN)/python -m standins.demo

bench: setup ## print speed and memory; ARGS='--large --record' writes benchmarks/RESULTS.md
	@$(BIN)/python -m benchmarks $(ARGS)

docs: setup ## write docs/catalog.md and docs/aws/pipelines from the declarations
	@$(BIN)/ndr catalog --format markdown > docs/catalog.md.part
	@mv docs/catalog.md.part docs/catalog.md
	@$(BIN)/ndr pipelines render all --config docs/aws/pipelines/config.yaml --output docs/aws/pipelines

sdk: $(SDK)/.installed ## make .venv-sdk with AWS's SDK, which tests compare our pipelines with

$(SDK)/.installed: tests/aws/sdk/requirements.lock
	@$(PYTHON) -m venv --clear $(SDK)
	@echo "installing tests/aws/sdk/requirements.lock into $(SDK) (about 100 MB the first time)" >&2
	@$(SDK)/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
	  --require-hashes --only-binary :all: -r tests/aws/sdk/requirements.lock
	@touch $@

lock: ## resolve the locks afresh: ours, those of Spark, that of the containers, that of AWS's SDK
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch/venv"; \
	"$$scratch/venv/bin/pip" install --quiet --disable-pip-version-check '$(UV)'; \
	compile() { \
	  env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
	    "$$scratch/venv/bin/uv" --no-config --no-cache pip compile --python-version 3.11 \
	    --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
	    --custom-compile-command 'make lock' --output-file "$$scratch/new.lock" "$$@" >/dev/null; }; \
	compile pyproject.toml --extra dev; mv "$$scratch/new.lock" requirements.lock; \
	compile pyproject.toml --extra spark --constraint requirements.lock; mv "$$scratch/new.lock" requirements-spark.lock; \
	echo 'pyspark>=3.5,<3.6' > "$$scratch/in.txt"; compile "$$scratch/in.txt"; \
	mv "$$scratch/new.lock" requirements-spark35.lock; \
	compile pyproject.toml docker/requirements.in --extra aws --extra iceberg --constraint requirements.lock; \
	mv "$$scratch/new.lock" docker/requirements.lock; \
	compile tests/aws/sdk/requirements.in; mv "$$scratch/new.lock" tests/aws/sdk/requirements.lock

clean: ## remove everything that can be made again, .venv included
	@rm -rf $(VENV) $(SDK) $(SPARK35) build dist demo .pytest_cache .ruff_cache .mypy_cache .hypothesis src/*.egg-info docs/catalog.md.part
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
