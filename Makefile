# The commands of a day: `make demo`, `make test`, `make check`. Everything is installed into .venv.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
# Much of a test is waiting: more workers than cores.
WORKERS ?= 4
# How long `make proof` runs in all, and from which seed.
PROOF_MINUTES ?= 20
SEED ?= 1
# How many faults `make mutants` plants.
COUNT ?= 40
# How many begin at once in `make start`.
ACCOUNTS ?= 200
# Options of the bench, for one: make bench BENCH="--sizes 1000 100000 1000000 --repeat 1"
BENCH ?=

.PHONY: help demo test check coverage audit sbom docs analysts pictures proof soak mutants view-faults world-faults replicas replicas-1000 replicas-10000 start bench bench-phases bench-imports bench-daemon bench-history bench-views format wheel release clean

demo: .venv/runnable  ## the product in one command, no token needed; it ends in a page to open
	@$(BIN)/syncer demo

test: .venv/installed  ## all tests, on real SQLite and real PostgreSQL
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist load --maxschedchunk 2

check: .venv/installed  ## lint, format, types, imports, schema and its reference
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_schema.py --check
	$(BIN)/python docs/generate_for_tools.py --check
	rm -f .venv/check.db && SYNCER_DATABASE_URL=sqlite:///.venv/check.db $(BIN)/alembic upgrade head
	SYNCER_DATABASE_URL=sqlite:///.venv/check.db $(BIN)/alembic check

coverage: .venv/installed  ## every branch of what decides is run by its own unit tests
	SYNCER_CORE_EXAMPLES=50 $(BIN)/coverage run -m pytest -q -p no:cacheprovider \
		tests/unit/test_core.py tests/unit/test_decisions.py tests/unit/test_guard.py tests/unit/test_item.py tests/unit/test_listing.py \
		tests/unit/test_redated.py tests/unit/test_run_result.py tests/unit/test_scrub.py tests/unit/test_spool.py tests/unit/test_stated.py \
		tests/unit/test_transitions.py tests/unit/test_zone.py
	$(BIN)/coverage report

audit: .venv/installed  ## known weaknesses of the versions that are pinned; skipped with a word where that cannot be asked
	.ci/audit

sbom: wheel  ## dist/syncer.cdx.json: what an installed syncer consists of, as CycloneDX
	.ci/sbom

docs: .venv/installed  ## write docs/schema.md, and what Datasette, DuckDB and Superset are given, anew from the views
	$(BIN)/python docs/generate_schema.py
	$(BIN)/python docs/generate_for_tools.py

analysts: .venv/analysts  ## pandas, DuckDB and Datasette (260 MB); the tests that need them are skipped without

replicas: .venv/installed  ## 3 daemons, 20 accounts, killed at random for two minutes
	$(BIN)/python tests/proof/replicas.py --replicas 3 --accounts 20 --interval 5 --seconds 120 --kill-every 4 --seed 1

replicas-1000: .venv/installed  ## 4 daemons keep 1,000 accounts on a schedule of five minutes
	$(BIN)/python tests/proof/replicas.py --replicas 4 --accounts 1000 --interval 300 --seconds 960 --kill-every 0 --seed 1

replicas-10000: .venv/installed  ## 4 daemons keep 10,000 accounts of 50 instances on a schedule of ten minutes
	$(BIN)/python tests/proof/replicas.py --replicas 4 --accounts 10000 --instances 50 --interval 600 --seconds 1500 --kill-every 0 --seed 1

start: .venv/installed  ## seconds until ACCOUNTS accounts that begin at once are served by one daemon, on each database
	$(BIN)/python bench/start.py --accounts $(ACCOUNTS)

bench-views: .venv/installed  ## CPU seconds per view and question on 100,000 instances with two years of life
	$(BIN)/python bench/views.py

bench: .venv/installed  ## floor, syncer and peers beside one another, as a Markdown table
	$(BIN)/python bench/run.py $(BENCH)

bench-phases: .venv/installed  ## where the seconds of a run go, phase by phase
	$(BIN)/python bench/phases.py

bench-imports: .venv/installed  ## what a cold start imports, by package
	$(BIN)/python bench/imports.py

bench-daemon: .venv/installed  ## CPU and bytes of a poll that changes nothing, in the running daemon
	$(BIN)/python bench/daemon.py --polls 1000

bench-history: .venv/installed  ## a run before and after the history has grown to 10,000,000 rows
	$(BIN)/python bench/history.py

proof: .venv/installed  ## the long proofs, each for its share of PROOF_MINUTES; their record is docs/proof/record.md
	$(BIN)/python tests/proof/all_proofs.py --minutes $(PROOF_MINUTES) --seed $(SEED)

soak: .venv/installed  ## two daemons, 10,000 instances, a poll a second, a third of the answers faulty, for PROOF_MINUTES
	$(BIN)/python tests/proof/soak.py --minutes $(PROOF_MINUTES) --seed $(SEED)

mutants: .venv/installed  ## COUNT faults planted in the core, one at a time, drawn by SEED; the tests must see each
	$(BIN)/python tests/proof/mutants.py --seed $(SEED) --count $(COUNT)

view-faults: .venv/installed  ## faults planted in the SQL of the views, one at a time; the figures' model must see each
	$(BIN)/python tests/proof/view_faults.py --seed $(SEED)

world-faults: .venv/installed  ## faults planted in production, one for each kind that the worlds know; a world must see each
	$(BIN)/python tests/proof/world_faults.py --seed $(SEED)

format: .venv/installed  ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: .venv/installed  ## dist/syncer-VERSION-py3-none-any.whl
	rm -rf dist && $(BIN)/python -m pip wheel -q --no-deps -w dist .

release: .venv/installed  ## a release, rehearsed: wheel and sdist, held against version, changes and checkout; tags nothing
	.ci/release

clean:  ## remove what was made: the environment, the wheel, the demo's database and page
	rm -rf .venv dist build demo.db demo.db-wal demo.db-shm demo.html

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*  ## /\1: /p' $(firstword $(MAKEFILE_LIST))

pictures: .venv/installed  ## docs/pictures anew: the demo in Chromium; of pandas, DuckDB and Datasette after make analysts
	$(BIN)/python docs/make_pictures.py

# What the program needs, and no development tools: that is all the demo waits for. What is imported is compiled then.
.venv/runnable: pyproject.toml .ci/constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer was found; install one, or: make PYTHON=/path/to/python3"; exit 1; }
	@echo "installing syncer into .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --no-compile --disable-pip-version-check -c .ci/constraints.txt -e .
	@touch $@

.venv/installed: .venv/runnable
	$(BIN)/python -m pip install -q --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@

.venv/analysts: .venv/installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -c .ci/constraints.txt -e '.[analysts]'
	@touch $@
