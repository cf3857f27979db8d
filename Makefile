# Stopbank's commands. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 20
ARGS ?=

RUNTIME := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
# What benchmarks compare with; its dependencies and ours exclude each other.
PEERS_VENV := .venv-bench
PEERS := $(PEERS_VENV)/.installed
LOCK := $(BIN)/uv pip compile --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format-check types format lock bench bench-pipeline bench-gateway bench-detection bench-backtest bench-profile bench-scale bench-hot-key bench-two-workers chaos clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 20

demo: $(RUNTIME) ## Watch purchases being decided, on an embedded broker (about a minute)
	@$(BIN)/stopbank demo $(ARGS)

test: $(DEV) ## Run the tests (on a real Kafka where Java and Maven are installed)
	$(BIN)/pytest $(ARGS)

check: format-check lint types test ## All that must hold before a change goes in

format-check: $(DEV) ## Is the code formatted?
	$(BIN)/ruff format --check --quiet .

lint: $(DEV) ## Is the code clean?
	$(BIN)/ruff check --quiet .

types: $(DEV) ## Do the types hold?
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(DEV) ## Format the code, and mend what can be mended
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

lock: $(DEV) ## Pin the dependencies anew (ARGS=--upgrade for newer ones)
	$(LOCK) pyproject.toml --extra embedded --group build -o requirements.txt $(ARGS)
	$(LOCK) pyproject.toml --extra embedded --group build --group dev -c requirements.txt -o requirements-dev.txt $(ARGS)
	$(LOCK) --group bench -o requirements-bench.txt $(ARGS)

bench: bench-pipeline bench-gateway bench-detection bench-backtest ## Run every benchmark

bench-pipeline: $(DEV) ## Throughput, latency and state, beside Quix Streams (ARGS="--quick --json")
	@$(MAKE) --no-print-directory $(PEERS) || echo "Quix Streams can't be installed here: the rest is measured." >&2
	$(BIN)/python -m bench.pipeline $(ARGS)

bench-gateway: $(DEV) ## Latency over HTTP at fixed rates of arrival (ARGS="--quick --json")
	$(BIN)/python -m bench.gateway $(ARGS)

bench-detection: $(DEV) ## How well fraud is told apart (ARGS="--quick --json")
	$(BIN)/python -m bench.detection $(ARGS)

bench-backtest: $(DEV) ## Backtests by rows and by columns, sweeps, detection by rules (ARGS="--quick --json")
	$(BIN)/python -m bench.backtest $(ARGS)

bench-profile: $(DEV) ## Where a worker's processor time goes, by part (ARGS="--quick --json")
	$(BIN)/python -m bench.profile_worker $(ARGS)

bench-scale: $(DEV) ## Cost, memory and recovery by the number of accounts (ARGS="--quick --json")
	$(BIN)/python -m bench.scale $(ARGS)

bench-hot-key: $(DEV) ## A merchant with 30 % of all purchases, beside none (ARGS="--quick --json")
	$(BIN)/python -m bench.hot_key $(ARGS)

bench-two-workers: $(DEV) ## Two workers beside one (ARGS="--quick --json")
	$(BIN)/python -m bench.two_workers $(ARGS)

chaos: $(DEV) ## Kill and join workers (SEEDS=20 runs)
	$(BIN)/pytest -m chaos --chaos-seeds $(SEEDS) $(ARGS)

clean: ## Remove what was installed, fetched and built
	rm -rf $(VENV) $(PEERS_VENV) .build .pytest_cache .ruff_cache .hypothesis dist
	find models rules streams tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Stopbank needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

$(PEERS): requirements-bench.txt
	$(PYTHON) -m venv --clear $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@
