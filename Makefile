# The commands of a day: `make demo`, `make test`, `make check`. Everything is installed into .venv.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
WORKERS ?= 2

.PHONY: demo test check format wheel clean

demo: .venv/installed  ## the product in one command, no token needed
	$(BIN)/syncer demo

test: .venv/installed  ## all tests, on real SQLite and real PostgreSQL
	$(BIN)/python -m pytest -q -n $(WORKERS)

check: .venv/installed  ## lint, format, types, imports, schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -f .venv/check.db && SYNCER_DATABASE_URL=sqlite:///.venv/check.db $(BIN)/alembic upgrade head
	SYNCER_DATABASE_URL=sqlite:///.venv/check.db $(BIN)/alembic check

format: .venv/installed  ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: .venv/installed  ## dist/syncer-VERSION-py3-none-any.whl
	rm -rf dist && $(BIN)/python -m pip wheel -q --no-deps -w dist .

clean:
	rm -rf .venv dist build demo.db demo.db-wal demo.db-shm

.venv/installed: pyproject.toml .ci/constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer was found; install one, or: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@
