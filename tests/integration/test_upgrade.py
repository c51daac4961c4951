"""A database of any earlier version, with data, comes to the present one and back, and loses no row.

The tests go over the revisions as they find them: a new one is covered by being there.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from builders import item, paid
from mirror import Mirror, account
from sqlalchemy import Column, Engine, MetaData, Table, column, insert, inspect, select, text

from syncer.errors import ConfigurationError, DatabaseFailed
from syncer.storage import database, epoch, schema, timeline
from syncer.storage.receivers import begin as begin_receiver
from syncer.storage.receivers import note_told
from syncer.storage.schema import SchemaState
from syncer.storage.tables import BASE_IS_A_RUN, approvals, customers, metadata, tariff_rates
from syncer.storage.tokens import safe
from syncer.views import verify

Rows = dict[str, list[dict[str, Any]]]
EARLIER = schema.revisions()[:-1]
OF_RECOGNITION = {"hash_seed", "item_hash", "rest_hash", "content_hash", "quiet_answer", "body_digest"}
"""Columns that spare a second look at what is as it was; a revision may drop or void them."""
GONE = {"taken_by_run_id"}
"""What a revision has dropped for good."""
RENAMED = {("held_sets", "missing"): "ids", ("held_answers", "missing_sha256"): "ids_sha256"}
"""What older revisions called otherwise, by its present name."""


BORN = "2026-11-01T15:17:00"  # between two polls


def fill(mirror: Mirror) -> None:
    """At least one row in every table, written by production."""
    sealing = account()._replace(safe=safe(bytes(32)))
    sealing = sealing._replace(decoder=sealing.decoder._replace(keeps_tokens=True))
    mirror.observe([item(1), paid(2, isExpired=True), item(3), item(4), item(5), {"name": "no id"}], of=sealing)
    mirror.observe([item(1, name="Ёж"), paid(2), item(3, deleted=True), item(4), item(5)], of=sealing)
    mirror.observe([item(4), item(7)], of=sealing._replace(name="other"))  # claims one, owns the other
    born = item(6, timeCreated=BORN)
    mirror.observe([item(1, name="Ёж"), paid(2), item(3, deleted=True), item(4), item(5), born], of=sealing)
    held = mirror.observe([])
    mirror.approve(held.id)
    with database.writing(mirror.engine, "setting a rate") as connection:
        connection.execute(
            insert(tariff_rates).values(tariff="BUSINESS", currency="USD", daily_rate="0.5", valid_from=date(2026, 1, 1))
        )  # fmt: skip
        connection.execute(insert(customers).values(id_instance=9, customer="Ёлка", valid_from=date(2026, 1, 1)))
        if "leases" in metadata.tables:
            connection.execute(insert(metadata.tables["leases"]).values(account="default"))
        begin_receiver(connection, "crm")
        note_told(connection, "crm", (1, "vanished", mirror.now))
        epoch.begin(connection)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror of the present version with data, from which the older ones are filled."""
    made = Mirror(f"sqlite:///{tmp_path_factory.mktemp('source')}/syncer.db")
    fill(made)
    yield made
    made.engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = database.open_engine(database.parse_database_url(database_url))
    yield made
    made.dispose()


def create(engine: Engine, revision: str) -> None:
    """The schema as it was at a revision, made by the migrations up to it."""
    if engine.dialect.name == "sqlite":
        database.create_sqlite_file(engine.url)
        database.use_write_ahead_log(engine)
    config = Config()
    config.set_main_option("script_location", str(schema.migrations_folder()))
    with schema.locked(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision < schema.FIRST_WITH_OWN_NAME:
            connection.execute(text("ALTER TABLE syncer_version RENAME TO alembic_version"))


def old_tables(engine: Engine) -> list[Table]:
    """The tables that are there now, parents first, with types that read and write as production's do."""
    found = MetaData()
    found.reflect(engine)
    for table in found.tables.values():
        for one in table.columns:
            present = metadata.tables.get(table.name)
            if present is not None and present_name(one) in present.columns:
                one.type = present.columns[present_name(one)].type
    for table in found.tables.values():  # the base refers to a run, and a run to its account; it is checked at COMMIT
        for constraint in table.foreign_key_constraints:
            constraint.use_alter = constraint.name == BASE_IS_A_RUN
    return [table for table in found.sorted_tables if table.name not in {"syncer_version", "alembic_version"}]


def present_name(found: Column[Any]) -> str:
    """What the column is called now."""
    return RENAMED.get((found.table.name, found.name), found.name)


def kept(table: Table) -> list[Column[Any]]:
    return [one for one in table.columns if one.name not in OF_RECOGNITION | GONE]


def read(engine: Engine, tables: list[Table]) -> Rows:
    """Every row of these tables by the present names of their columns, each in the order of its text."""
    rows: Rows = {}
    with engine.connect() as connection:
        for table in tables:
            there = {one["name"] for one in inspect(connection).get_columns(table.name)}
            columns = [
                column(one.name if one.name in there else present_name(one), one.type).label(present_name(one))
                for one in kept(table)
            ]
            found = connection.execute(select(*columns).select_from(text(table.name)))
            rows[table.name] = sorted((dict(row._mapping) for row in found), key=repr)
    return rows


def copy(source: Engine, engine: Engine, tables: list[Table]) -> None:
    """The source's rows, with those columns that the older tables have, and the ids that they had."""
    counted = [(table.name, one.name) for table in tables for one in table.columns if one.identity is not None]
    with source.connect() as old, database.writing(engine, "filling the test's database") as connection:
        for counting, number in counted:
            connection.execute(text(f"ALTER TABLE {counting} ALTER COLUMN {number} SET GENERATED BY DEFAULT"))
        for table in tables:
            rows = [dict(row._mapping) for row in old.execute(select(metadata.tables[table.name]))]
            known = [
                {one.name: row[present_name(one)] for one in table.columns if present_name(one) in row} for row in rows
            ]
            connection.execute(insert(table), known)
        for counting, number in counted:
            connection.execute(text(f"ALTER TABLE {counting} ALTER COLUMN {number} SET GENERATED ALWAYS"))
            last = connection.execute(text(f"SELECT max({number}) FROM {counting}")).scalar_one()
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{counting}', '{number}'), {last})"))


def test_every_table_has_a_row_to_lose(source: Mirror) -> None:
    assert [] == [table.name for table in metadata.sorted_tables if not source.rows(table)]


@pytest.mark.parametrize("revision", EARLIER)
def test_an_earlier_database_is_upgraded_and_keeps_every_row(source: Mirror, engine: Engine, revision: str) -> None:
    create(engine, revision)
    tables = old_tables(engine)
    copy(source.engine, engine, tables)
    before = read(engine, tables)
    assert SchemaState.OLDER is schema.read_state(engine)

    schema.ensure_current(engine, may_migrate=True)

    assert before == read(engine, tables)
    assert all(before.values())
    schema.compare(engine)


BEFORE_REASONS = "0009"
BEFORE_CUSTOMERS = "0010"


def test_approvals_of_an_older_schema_lapse(source: Mirror, database_url: str) -> None:
    """They were given when fewer reasons were known; what they were given for is held anew."""
    engine = database.open_engine(database.parse_database_url(database_url))
    create(engine, BEFORE_REASONS)
    copy(source.engine, engine, old_tables(engine))
    engine.dispose()
    mirror = Mirror(database_url)
    mirror.now = source.now

    (approval,) = mirror.rows(approvals)
    assert (approval["closed_by_run_id"], approval["lapsed_at"] is None) == (None, False)
    assert mirror.observe([]).exit_code == 6
    with pytest.raises(ConfigurationError, match="lapsed"):
        mirror.approve(approval["run_id"])
    mirror.engine.dispose()


BEFORE_TIMELINE = "0007"


class Interrupted(Exception):
    """The process was killed."""


def test_an_upgrade_that_is_broken_off_goes_on_where_it_was(
    source: Mirror, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {name: source.rows(metadata.tables[name]) for name in ("past_versions", "ended_lives")}
    current = [*timeline.CURRENT_COLUMNS]
    monkeypatch.setattr(timeline, "BUILD_BATCH", 2)
    create(engine, BEFORE_TIMELINE)
    copy(source.engine, engine, old_tables(engine))
    heard: list[tuple[int, int]] = []

    def told(done: int, total: int) -> None:
        heard.append((done, total))
        if (done, total) == (2, 7):
            raise Interrupted

    with pytest.raises(Interrupted):
        schema.upgrade(engine, told)
    with pytest.raises(DatabaseFailed, match="its upgrade was broken off; run: syncer db upgrade"):
        schema.require_current(engine)
    assert [2] == [sum(row["valid_from"] is not None for row in rows_of(engine, "instances"))]
    schema.upgrade(engine, told)

    assert [(2, 7), (2, 5), (4, 5), (5, 5)] == heard
    for name, rows in kept.items():
        assert rows == rows_of(engine, name)
    assert [[row[name] for name in current] for row in source.rows(metadata.tables["instances"])] == [
        [row[name] for name in current] for row in rows_of(engine, "instances")
    ]
    assert verify.verify(engine).holds


def rows_of(engine: Engine, name: str) -> list[dict[str, Any]]:
    table = metadata.tables[name]
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)
def test_who_could_read_a_view_may_read_it_after_the_upgrade(mirror: Mirror) -> None:
    role = f"reader_{mirror.engine.url.database}"
    schema.downgrade(mirror.engine, BEFORE_TIMELINE)
    with mirror.engine.begin() as connection:
        connection.execute(text(f'CREATE ROLE "{role}"'))
        connection.execute(text(f'GRANT SELECT ON bi_daily TO "{role}"'))
    schema.upgrade(mirror.engine)
    with mirror.engine.begin() as connection:
        found = [
            connection.execute(text(f"SELECT has_table_privilege('{role}', '{view}', 'SELECT')")).scalar_one()
            for view in ("bi_daily", "bi_instances")
        ]
        connection.execute(text(f'DROP OWNED BY "{role}"'))
        connection.execute(text(f'DROP ROLE "{role}"'))

    assert [True, False] == found


@pytest.mark.parametrize("revision", EARLIER)
def test_an_upgraded_database_takes_the_next_answer(source: Mirror, database_url: str, revision: str) -> None:
    engine = database.open_engine(database.parse_database_url(database_url))
    create(engine, revision)
    copy(source.engine, engine, old_tables(engine))
    engine.dispose()
    mirror = Mirror(database_url)
    mirror.now = source.now
    words = mirror.words()

    listed = [item(1, name="Ёж"), paid(2), item(3, deleted=True), item(4), item(6, timeCreated=BORN)]
    report = mirror.observe(listed, after=timedelta(hours=1))

    assert report.error is None
    assert [*words, "vanished"] == mirror.words()
    mirror.engine.dispose()


@pytest.mark.parametrize("revision", EARLIER)
def test_the_way_back_keeps_the_rows_of_the_older_tables(mirror: Mirror, revision: str) -> None:
    fill(mirror)
    present = read(mirror.engine, old_tables(mirror.engine))

    schema.downgrade(mirror.engine, revision)

    tables = old_tables(mirror.engine)
    after = read(mirror.engine, tables)
    older = {
        table.name: sorted(
            (
                {present_name(one): row[present_name(one)] for one in kept(table)}
                for row in present[table.name]
            ),
            key=repr,
        )
        for table in tables
    }  # fmt: skip
    assert older == after
    with mirror.engine.connect() as connection:
        assert revision == schema.current(connection)
    schema.upgrade(mirror.engine)
    schema.compare(mirror.engine)
    assert older == {name: rows for name, rows in read(mirror.engine, tables).items() if name in older}


def test_the_first_revision_leaves_no_view_behind(mirror: Mirror) -> None:
    schema.downgrade(mirror.engine, schema.revisions()[0])

    assert [] == inspect(mirror.engine).get_view_names()


def test_a_downgrade_says_what_it_cannot_do(mirror: Mirror, sqlite_url: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no revision '7777'; known are: 0001"):
        schema.downgrade(mirror.engine, "7777")
    schema.downgrade(mirror.engine, EARLIER[0])
    with pytest.raises(DatabaseFailed, match="to go up, run: syncer db upgrade"):
        schema.downgrade(mirror.engine, schema.head())
    nothing = database.open_engine(database.parse_database_url(sqlite_url.replace("syncer.db", "none.db")))
    with pytest.raises(DatabaseFailed, match="no syncer tables yet"):
        schema.downgrade(nothing, EARLIER[0])


MOMENT = "2026-01-01 00:00:00.000000"
USERS_OWN = (
    "CREATE TABLE own_log (id_instance bigint)",
    "CREATE INDEX own_index ON instance_history (tariff)",
    "ALTER TABLE instances ADD COLUMN own_note text",
)
OWN_TRIGGER = {
    "sqlite": (
        "CREATE TRIGGER own_trigger AFTER INSERT ON instance_history BEGIN INSERT INTO own_log VALUES (new.id_instance); END",
    ),
    "postgresql": (
        "CREATE FUNCTION own_function() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO own_log VALUES (new.id_instance); RETURN new; END $$",
        "CREATE TRIGGER own_trigger AFTER INSERT ON instance_history FOR EACH ROW EXECUTE FUNCTION own_function()",
    ),
}


def test_a_table_of_somebody_elses_that_bears_a_new_ones_name_is_named_with_the_remedy(engine: Engine) -> None:
    create(engine, "0010")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE customers (name text)"))

    with pytest.raises(DatabaseFailed, match="a table customers already, of another program; rename it"):
        schema.upgrade(engine)

    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE customers RENAME TO own_customers"))
    schema.upgrade(engine)
    schema.compare(engine)


@pytest.mark.parametrize("revision", EARLIER)
def test_what_users_have_added_survives_an_upgrade_and_is_no_error(engine: Engine, revision: str) -> None:
    create(engine, revision)
    with engine.begin() as connection:
        for statement in (*USERS_OWN, *OWN_TRIGGER[engine.dialect.name]):
            connection.execute(text(statement))

    schema.upgrade(engine)
    schema.compare(engine)
    mirror = Mirror(engine.url.render_as_string(hide_password=False))
    mirror.observe([item(1), item(2)])

    with engine.connect() as connection:
        assert [1, 2] == sorted(connection.execute(text("SELECT id_instance FROM own_log")).scalars())
        assert "own_index" in {index["name"] for index in inspect(connection).get_indexes("instance_history")}
        assert "own_note" in {column["name"] for column in inspect(connection).get_columns("instances")}
    mirror.engine.dispose()


def test_a_table_of_somebody_elses_that_refers_to_the_history_is_in_no_upgrades_way(sqlite_url: str) -> None:
    """As notes on transitions would; nor is a column of the history that SQLite works out."""
    engine = database.open_engine(database.parse_database_url(sqlite_url))
    create(engine, "0003")
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO accounts (account) VALUES ('a')",
            f"INSERT INTO sync_runs (id, account, trigger, started_at, status) VALUES (1, 'a', 'manual', '{MOMENT}', 'running')",
            f"INSERT INTO instances (id_instance, account, deleted, is_expired, extra, first_seen_at, changed_at) VALUES (1, 'a', 0, 0, '{{}}', '{MOMENT}', '{MOMENT}')",
            f"INSERT INTO instance_history (id, id_instance, account, run_id, transition, occurred_at, time_source, observed_at, changes, deleted, is_expired, missing) VALUES (7, 1, 'a', 1, 'created', '{MOMENT}', 'observed', '{MOMENT}', '{{}}', 0, 0, 0)",
            "CREATE TABLE own_notes (history_id integer REFERENCES instance_history (id), note text)",
            "INSERT INTO own_notes VALUES (7, 'mine')",
            "ALTER TABLE instance_history ADD COLUMN own_column text AS (upper(transition))",
        ):
            connection.execute(text(statement))

    schema.upgrade(engine)
    schema.compare(engine)

    with engine.connect() as connection:
        query = "SELECT note, own_column FROM own_notes JOIN instance_history ON history_id = id"
        assert [("mine", "CREATED")] == list(connection.execute(text(query)))
        assert [] == list(connection.execute(text("PRAGMA foreign_key_check")))
    schema.downgrade(engine, "0003")
    schema.upgrade(engine)
    engine.dispose()


def test_a_trigger_of_a_view_survives_where_the_view_is_made_anew(sqlite_url: str) -> None:
    engine = database.open_engine(database.parse_database_url(sqlite_url))
    create(engine, "0004")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE own_log (x)"))
        connection.execute(
            text(
                "CREATE TRIGGER own_trigger INSTEAD OF INSERT ON bi_instances BEGIN INSERT INTO own_log VALUES (1); END"
            )
        )

    schema.upgrade(engine)

    with engine.begin() as connection:
        connection.execute(text("INSERT INTO bi_instances (id_instance) VALUES (1)"))
        assert connection.execute(text("SELECT count(*) FROM own_log")).scalar() == 1
    engine.dispose()


def test_what_users_have_put_on_a_view_survives_where_the_view_is_made_anew(postgresql_url: str) -> None:
    engine = database.open_engine(database.parse_database_url(postgresql_url))
    schema.upgrade(engine)
    statements = (
        "CREATE FUNCTION of_mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER mine INSTEAD OF INSERT ON bi_instances FOR EACH ROW EXECUTE FUNCTION of_mine()",
        "CREATE RULE mine AS ON DELETE TO bi_attention DO INSTEAD NOTHING",
        "COMMENT ON VIEW bi_instances IS '100 % mine'",
        "COMMENT ON COLUMN bi_instances.name IS '100 % of the name''s letters'",
        "GRANT SELECT (name, status) ON bi_instances TO PUBLIC",
    )
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))

    schema.downgrade(engine, BEFORE_CUSTOMERS)
    schema.upgrade(engine)

    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM pg_trigger WHERE tgname = 'mine'")).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM pg_rules WHERE rulename = 'mine'")).scalar() == 1
        told = connection.execute(text("SELECT obj_description('bi_instances'::regclass)")).scalar()
        assert told == "100 % mine"
        of_column = "SELECT col_description('bi_instances'::regclass, attnum) FROM pg_attribute WHERE attname = 'name' AND attrelid = 'bi_instances'::regclass"
        assert connection.execute(text(of_column)).scalar() == "100 % of the name's letters"
        may_read = "SELECT column_name FROM information_schema.column_privileges WHERE table_name = 'bi_instances' AND grantee = 'PUBLIC'"
        assert {"name", "status"} == set(connection.scalars(text(may_read)))
    engine.dispose()


def test_what_was_put_on_a_column_that_goes_is_named_before_anything_is_touched(postgresql_url: str) -> None:
    engine = database.open_engine(database.parse_database_url(postgresql_url))
    create(engine, "0007")
    with engine.begin() as connection:
        connection.execute(text("COMMENT ON COLUMN bi_churn_monthly.restored IS 'mine'"))

    with pytest.raises(DatabaseFailed, match=r"comment on bi_churn_monthly.restored anew.*remove what refers to it"):
        schema.upgrade(engine)

    assert schema.read_state(engine) is SchemaState.OLDER
    with engine.begin() as connection:
        connection.execute(text("COMMENT ON COLUMN bi_churn_monthly.restored IS NULL"))
    schema.upgrade(engine)
    engine.dispose()


def test_no_lock_that_anybody_may_take_holds_an_upgrade_up(postgresql_url: str) -> None:
    engine = database.open_engine(database.parse_database_url(postgresql_url))
    create(engine, BEFORE_CUSTOMERS)
    with psycopg.connect(postgresql_url.replace("+psycopg", ""), autocommit=True) as anybody:
        anybody.execute("SELECT pg_advisory_lock(%s)", (schema.UPGRADE_LOCK,))

        schema.upgrade(engine)

    schema.require_current(engine)
    engine.dispose()


def test_a_view_that_others_made_of_ours_is_named_before_anything_is_touched(postgresql_url: str) -> None:
    engine = database.open_engine(database.parse_database_url(postgresql_url))
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW of_mine AS SELECT * FROM bi_daily"))

    with pytest.raises(DatabaseFailed, match=r"2BP01.*view of_mine depends on.*drop what others made of it"):
        schema.downgrade(engine, "0001")

    schema.require_current(engine)
    schema.compare(engine)
    engine.dispose()


def test_the_version_of_an_older_syncer_moves_to_a_table_of_our_own_and_back(engine: Engine) -> None:
    create(engine, "0008")
    assert schema.read_state(engine) is SchemaState.OLDER

    schema.upgrade(engine)
    with engine.connect() as connection:
        assert {"syncer_version"} == {"syncer_version", "alembic_version"} & set(inspect(connection).get_table_names())
    schema.require_current(engine)

    schema.downgrade(engine, "0008")
    with engine.connect() as connection:
        assert {"alembic_version"} == {"syncer_version", "alembic_version"} & set(inspect(connection).get_table_names())
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0008"
    assert schema.read_state(engine) is SchemaState.OLDER
