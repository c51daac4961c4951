"""The schema: models and migrations agree, versions are respected, and nothing wrong can be written."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import item, paid
from mirror import START, Mirror
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from syncer.errors import DatabaseFailed
from syncer.storage import database, schema
from syncer.storage.schema import SchemaState
from syncer.storage.tables import metadata

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = database.open_engine(database.parse_database_url(database_url))
    yield made
    made.dispose()


def test_models_and_migrations_agree(engine: Engine) -> None:
    schema.upgrade(engine)

    with engine.connect() as connection:
        options = {"compare_type": True, "include_object": schema.is_in_metadata, "version_table": schema.VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_constraints_of_models_and_migrations_agree(engine: Engine) -> None:
    """Alembic compares no CHECK constraints; the database's own list does."""
    schema.upgrade(engine)
    declared = {str(one.name) for table in metadata.tables.values() for one in table.constraints if one.name}
    if engine.dialect.name == "postgresql":  # it has booleans of its own
        declared -= {
            name for name in declared if name.rpartition("_")[2] in {"deleted", "free", "partner", "expired", "missing"}
        }
        query = "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'"
    else:
        query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'alembic%'"
    with engine.connect() as connection:
        found = " ".join(connection.scalars(text(query)))

    assert set() == {name for name in declared if name not in found}


def test_every_constraint_has_a_name(engine: Engine) -> None:
    schema.upgrade(engine)
    seen = inspect(engine)

    for table in metadata.tables:
        constraints = [
            *seen.get_foreign_keys(table), *seen.get_unique_constraints(table), *seen.get_check_constraints(table)
        ]  # fmt: skip
        assert None not in {seen.get_pk_constraint(table)["name"], *(one["name"] for one in constraints)}, table


def test_the_views_are_those_of_the_files_and_a_missing_one_is_told(engine: Engine) -> None:
    schema.upgrade(engine)

    assert schema.view_names() == set(inspect(engine).get_view_names())
    schema.compare(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP VIEW bi_expiring")
    with pytest.raises(DatabaseFailed, match="the view bi_expiring is missing"):
        schema.compare(engine)


def test_the_head_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))

    assert ScriptDirectory.from_config(config).get_current_head() == schema.head()


def test_alembic_upgrades_checks_and_downgrades_from_the_checkout(
    database_url: str, syncer_environment: dict[str, str]
) -> None:
    environment = syncer_environment | {"SYNCER_DATABASE_URL": database_url}
    for arguments in (["upgrade", "head"], ["check"], ["downgrade", "base"], ["upgrade", "head"]):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_two_processes_may_upgrade_at_once(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(schema.upgrade, engine) for _ in range(4)]:
            done.result()

    assert SchemaState.CURRENT is schema.read_state(engine)


def test_an_empty_database_stays_empty_until_it_is_upgraded(engine: Engine) -> None:
    assert SchemaState.EMPTY is schema.read_state(engine)
    with pytest.raises(DatabaseFailed, match="run: syncer db upgrade"):
        schema.ensure_current(engine, may_migrate=False)

    schema.ensure_current(engine, may_migrate=True)

    assert SchemaState.CURRENT is schema.read_state(engine)


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE syncer_version SET version_num = '9999'"))

    for attempt in (lambda: schema.ensure_current(engine, may_migrate=True), lambda: schema.upgrade(engine)):
        with pytest.raises(DatabaseFailed, match="its schema is newer than this syncer"):
            attempt()


@pytest.mark.parametrize("table", ["instances", "instance_history"])
def test_sqlite_checks_a_row_without_an_index_made_for_it(sqlite_url: str, table: str) -> None:
    """A condition with a list of three words or more costs such an index: more than the row itself."""
    mirror = Mirror(sqlite_url)
    with mirror.engine.connect() as connection:
        values = ", ".join("?" for _ in metadata.tables[table].columns)
        plan = connection.exec_driver_sql(
            f"EXPLAIN INSERT INTO {table} VALUES ({values})", (None,) * len(metadata.tables[table].columns)
        )
        steps = {row.opcode for row in plan}

    assert "MakeRecord" in steps
    assert "OpenEphemeral" not in steps


def test_sqlite_files_are_for_their_owner_alone(sqlite_url: str, tmp_path: Path) -> None:
    mirror = Mirror(sqlite_url)
    with mirror.engine.connect() as connection:
        connection.execute(text("SELECT 1 FROM instances")).all()
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("syncer.db*")}

    assert {"0o600"} == set(modes.values())


HISTORY: dict[str, Any] = {
    "id_instance": 1,
    "account": "default",
    "run_id": 2,
    "transition": "changed",
    "occurred_at": str(START.replace(tzinfo=None)),
    "time_source": "observed",
    "observed_at": str(START.replace(tzinfo=None)),
    "changes": "{}",
    "deleted": False,
    "is_expired": False,
    "missing": False,
}
FORBIDDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "an unknown transition": ("transition_known", {"transition": "lost"}),
    "a transition in the future": ("occurred_before_observed", {"occurred_at": "2031-01-01 00:00:00.000000", "time_source": "upstream", "transition": "deleted", "deleted": True}),
    "an observed time that is not the observation's": ("observed_time_is_observed_at", {"occurred_at": "2020-01-01 00:00:00.000000"}),
    "an upstream time for what only syncer sees": ("upstream_tells_time_of", {"time_source": "upstream"}),
    "deleted, yet not deleted": ("deleted_is_deleted", {"transition": "deleted"}),
    "restored, yet deleted": ("restored_is_not_deleted", {"transition": "restored", "deleted": True}),
    "expired, yet not expired": ("expired_is_expired", {"transition": "expired"}),
    "renewed, yet expired": ("renewed_is_not_expired", {"transition": "renewed", "is_expired": True}),
    "vanished, yet listed": ("missing_when_gone", {"transition": "vanished"}),
    "missing without having gone": ("missing_when_gone", {"missing": True}),
    "vanished instead of purged": ("vanished_was_not_deleted", {"transition": "vanished", "missing": True, "deleted": True}),
    "purged instead of vanished": ("purged_was_deleted", {"transition": "purged", "missing": True}),
    "created twice": ("created_once|failed: instance_history.id_instance", {"transition": "created"}),
    "the same transition twice in a run": ("once_per_run|id_instance, instance_history.run_id", {"transition": "extended"}),
}  # fmt: skip


@pytest.mark.parametrize(("constraint", "values"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_database_refuses_what_must_never_be_written(
    mirror: Mirror, constraint: str, values: dict[str, Any]
) -> None:
    mirror.observe([paid(1, expirationDate="2026-12-03T00:00:00")])
    mirror.observe([paid(1)])
    row = HISTORY | values
    columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)

    with pytest.raises(IntegrityError, match=constraint), mirror.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO instance_history ({columns}) VALUES ({places})"), row)


@pytest.mark.parametrize(
    ("constraint", "statement"),
    [
        ("fingerprint_is_no_token", "UPDATE instances SET token_fingerprint = 'a whole token'"),
        ("changed_after_first_seen", "UPDATE instances SET changed_at = '2001-01-01 00:00:00'"),
        ("missing_after_first_seen", "UPDATE instances SET missing_since = '2001-01-01 00:00:00'"),
        ("id_positive", "UPDATE instances SET id_instance = 0"),
        ("status_known", "UPDATE sync_runs SET status = 'fine', error = 'e'"),
        ("finished_unless_running", "UPDATE sync_runs SET status = 'running'"),
        ("error_when_not_accepted", "UPDATE sync_runs SET status = 'failed'"),
        ("FOREIGN KEY|fk_sync_runs_account", "UPDATE sync_runs SET account = 'nobody'"),
    ],
)
def test_the_database_refuses_wrong_rows(mirror: Mirror, constraint: str, statement: str) -> None:
    mirror.observe([item(1)])

    with pytest.raises(IntegrityError, match=constraint), mirror.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_process_goes_on_with_the_revisions_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer syncer that is installed over it on the disk makes it no newer one."""
    known = schema.head()
    (tmp_path / "versions").mkdir()
    (tmp_path / "versions" / "9999_of_a_newer_syncer.py").touch()
    monkeypatch.setattr(schema, "migrations_folder", lambda: tmp_path)

    assert (known, schema.SchemaState.NEWER) == (schema.head(), schema.state_of("9999"))
