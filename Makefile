# Every target does its own set-up: it needs make and a Python from 3.11 to 3.13, and nothing else.

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
EXTRAS := airflow,celery,kubernetes,alerts,postgres,s3,evidently,demo,dev
FAST := tests/unit tests/contracts
PEERS := $(CURDIR)/.peers
FLOOR := $(CURDIR)/.venv-floor
FLOOR_READY := $(FLOOR)/.installed
FLOOR_EXTRAS := airflow,celery,kubernetes,alerts,postgres,s3,demo,dev
ALL_TESTS := $(FAST) tests/hostile tests/airflow tests/integration tests/e2e
IN_PARALLEL := -n auto --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo stop test check static fast format-check lint types imports docs-check models-check \
	test-floor compose-secrets format lock lock-floor bench docs-reference wheel clean chaos fuzz hostile knife simulate

help: ## Show the targets.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | \
		while IFS="$$(printf '\t')" read -r name what; do printf '  %-15s %s\n' "$$name" "$$what"; done

# --- What a newcomer runs ---------------------------------------------------------------------------

demo: $(READY) ## Backfill two models on real flights in the real Airflow; leave its UI running.
	@$(PY) -m evergreen.demo.run $(DEMO_ARGS)

stop: ## End the demo's Airflow, to the last process.
	@if [ -f $(READY) ]; then $(PY) -m evergreen.demo.run --stop $(DEMO_ARGS); \
	else echo "nothing to stop: nothing is installed here"; fi

test: $(READY) ## Run every test, quick ones first.
	$(PY) -m pytest $(ALL_TESTS) $(PYTEST_ARGS)

test-floor: $(FLOOR_READY) ## Run the tests of Airflow in the oldest Airflow that is supported.
	@$(FLOOR)/bin/python -c 'from importlib.metadata import version; print("Airflow", version("apache-airflow"))'
	PATH="$(FLOOR)/bin:$$PATH" $(FLOOR)/bin/python -m pytest tests/airflow tests/floor $(PYTEST_ARGS)

compose-secrets: ## Make the secret files that docker-compose.yaml wants (any Python 3; kept where there).
	@$(or $(PYTHON),python3) deploy/make_secrets.py

# --- What a change must pass ------------------------------------------------------------------------

check: static fast ## Format, lint, types, import contracts, generated docs, models, fast tests.

static: format-check lint types imports docs-check models-check ## All of check but the tests.

fast: $(READY) ## Unit and contract tests.
	$(PY) -m pytest $(IN_PARALLEL) $(FAST) $(PYTEST_ARGS)

format-check: $(READY)
	$(PY) -m ruff format --check .

lint: $(READY) ## Lint the code (afresh: whether an import is our own depends on files that a cache does not see).
	$(PY) -m ruff check --no-cache .

types: $(READY)
	$(PY) -m mypy

imports: $(READY)
	$(VENV)/bin/lint-imports

docs-check: $(READY)
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(PY) -m evergreen.cli.main schema --write "$$fresh" >/dev/null && \
	for file in "$$fresh"/*; do \
		cmp -s "$$file" "docs/reference/$${file##*/}" || \
		{ echo "docs/reference/$${file##*/} is not up to date: run 'make docs-reference'" >&2; exit 1; }; \
	done && echo "docs/reference is up to date"

models-check: $(READY)
	$(PY) -m evergreen.cli.main lint dags/models

format: $(READY) ## Format the code and mend what lint can mend.
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .

# --- What a maintainer runs -------------------------------------------------------------------------

lock: $(READY) ## Make constraints.txt from pyproject.toml, for every supported Python.
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate \
		--no-header --no-emit-index-url --no-emit-find-links --upgrade pyproject.toml -o constraints.txt

lock-floor: $(READY) ## Make constraints-floor.txt for the oldest Airflow that is supported.
	$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate \
		--no-header --no-emit-index-url --no-emit-find-links --upgrade \
		pyproject.toml constraints-floor.in -o constraints-floor.txt

bench: $(READY) ## Measure; figures go to docs/reference/*benchmarks.md.
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt dag-factory
	$(PY) -m tests.benchmarks.watch_peers --install $(PEERS)
	EVERGREEN_PEERS=$(PEERS) $(PY) -m tests.benchmarks $(BENCHMARKS)

SIMULATE_ARGS ?= --seed 7 --models 300 --years 3

simulate: $(READY) ## Simulate years of many models under a hostile scheduler; SIMULATE_ARGS says which.
	$(PY) -m tests.simulation $(SIMULATE_ARGS)

chaos: $(READY) ## Twenty models on a real Airflow under faults; CHAOS_ARGS="--seed 7 --minutes 45" says which.
	$(PY) -m tests.chaos $(CHAOS_ARGS)

knife: $(READY) ## Cut off every write of every step; KNIFE_ARGS="--scenario ledger --cut kill" bounds it.
	$(PY) -m tests.knife $(KNIFE_ARGS)

docs-reference: $(READY) ## Write the generated pages of docs/reference.
	$(PY) -m evergreen.cli.main schema --write docs/reference

wheel: $(READY) ## Build the wheel into dist/.
	$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean: stop ## Remove what the demo, the tests and the checks left (the virtual environment stays).
	rm -rf .chaos .demo .fuzz dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find dags docs include plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +

FUZZ_SECONDS ?= 600

fuzz: $(READY) ## Fuzz what reads model files, for FUZZ_SECONDS; findings are kept in .fuzz.
	$(PY) -m tests.hostile.fuzz $(FUZZ_SECONDS)

hostile: $(READY) ## Every hostile artefact through the child that scores, and 10,000 flips of stored bytes.
	EVERGREEN_HOSTILE=all $(PY) -m pytest $(IN_PARALLEL) tests/hostile $(PYTEST_ARGS)

# --- Set-up -----------------------------------------------------------------------------------------

PIPS_INDEX = index=$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(PY) -m pip config get global.index-url \
	2>/dev/null || true)}}; if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi

# uv installs in seconds what pip installs in minutes; where it cannot be had, or does not reach the
# packages, pip does it. An index that pip is configured for is handed on to uv.
$(READY): pyproject.toml constraints.txt
	@set -e; \
	suits() { "$$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }; \
	if ! suits $(PY); then \
		python=; bare=; \
		for candidate in $(PYTHON) python3 python3.12 python3.13 python3.11 python; do \
			suits "$$candidate" || continue; \
			if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python=$$candidate; break; fi; \
			bare=$$candidate; \
		done; \
		if [ -z "$$python" ] && [ -n "$$bare" ]; then \
			echo "$$bare cannot make virtual environments: its modules venv and ensurepip are missing." >&2; \
			echo "Install them (on Debian and Ubuntu: apt-get install python3-venv) and try again." >&2; \
			exit 1; \
		fi; \
		if [ -z "$$python" ]; then \
			echo "No Python from 3.11 to 3.13 was found (looked for python3, python3.11 to 3.13, python)." >&2; \
			echo "Install one, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$("$$python" --version) ..."; \
		rm -rf $(VENV); \
		"$$python" -m venv $(VENV); \
	fi; \
	echo "Installing Evergreen and what it needs (a few minutes the first time) ..."; \
	pip="$(PY) -m pip --disable-pip-version-check"; \
	$(PIPS_INDEX); \
	if $$pip install --quiet -c constraints.txt uv && \
		$(PY) -m uv pip install --quiet --python $(PY) --compile-bytecode \
			-c constraints.txt -e '.[$(EXTRAS)]'; then :; \
	else \
		echo "uv could not do it; pip tries (this takes longer) ..." >&2; \
		$$pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'; \
	fi; \
	touch $(READY)

$(FLOOR_READY): $(READY) constraints-floor.txt
	@set -e; $(PIPS_INDEX); \
	echo "Installing the oldest Airflow that is supported into $(notdir $(FLOOR)) ..."; \
	rm -rf $(FLOOR); \
	$(PY) -m uv venv --quiet --python $(PY) $(FLOOR); \
	$(PY) -m uv pip install --quiet --python $(FLOOR)/bin/python --compile-bytecode \
		-c constraints-floor.txt -e '.[$(FLOOR_EXTRAS)]'; \
	touch $(FLOOR_READY)
