"""A database, a server and a schema that others have set up and use, too."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from builders import item, paid
from conftest import RunSyncer
from mirror import Mirror
from postgres import Postgres
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.engine import make_url

from syncer.doctor.server_checks import server_findings
from syncer.errors import DatabaseFailed
from syncer.storage import database, grants, schema
from syncer.storage.database_errors import was_refused
from syncer.storage.tables import instances

EMOJI = "Ёж \U0001f994"


@pytest.fixture
def database_like(postgres: Postgres) -> Iterator[Callable[[str], str]]:
    """Makes a database by these options; gives its URL."""
    made = []

    def create(options: str) -> str:
        url = postgres.create_database()
        name = make_url(url).database
        postgres.drop_database(url)
        with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        made.append(url)
        return url

    yield create
    for url in made:
        postgres.drop_database(url)


def alter(url: str, *settings: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in settings:
            connection.execute(f"ALTER DATABASE {make_url(url).database} SET {setting}")


@pytest.mark.parametrize(
    "setting",
    [
        "DateStyle = 'German'",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'iso_8601'",
        "TimeZone = 'Asia/Kathmandu'",
        "client_encoding = 'WIN1251'",
        "client_encoding = 'SQL_ASCII'",
        "bytea_output = 'escape'",
        "standard_conforming_strings = off",
        "search_path = own",
        "statement_timeout = '30s'",
        "default_transaction_isolation = 'read committed'",
    ],
)
def test_what_somebody_set_for_every_session_changes_nothing(postgresql_url: str, setting: str) -> None:
    with psycopg.connect(postgresql_url) as connection:
        connection.execute("CREATE SCHEMA own")
    alter(postgresql_url, setting)
    mirror = Mirror(postgresql_url)
    mirror.observe([item(1), paid(2)])
    report = mirror.observe([item(1, name=EMOJI), paid(2, isExpired=True)])
    again = mirror.observe([item(1, name=EMOJI), paid(2, isExpired=True)])
    name, times = mirror.instance(1)["name"], mirror.runs()
    mirror.engine.dispose()
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {make_url(postgresql_url).database} RESET ALL")

    assert ("ok", "unchanged") == (str(report.status), str(again.status)), report.error
    assert name == EMOJI
    assert times[1]["started_at"] - times[0]["started_at"] == timedelta(minutes=5)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "WIN1251", "LATIN1"])
def test_a_database_that_cannot_hold_every_letter_is_refused_with_the_remedy(
    database_like: Callable[[str], str], encoding: str
) -> None:
    url = database_like(f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    engine = database.open_engine(database.parse_database_url(url))

    with pytest.raises(DatabaseFailed, match=f"encoding is {encoding}.*ENCODING 'UTF8'"):
        schema.upgrade(engine)
    assert schema.read_state(engine) is schema.SchemaState.EMPTY
    with pytest.raises(DatabaseFailed, match=f"encoding is {encoding}.*ENCODING 'UTF8'"):
        schema.require_current(engine)
    with engine.connect() as connection:
        told = [one for one in server_findings(connection, 1, 0) if one.check == "database.encoding"]
    assert [(str(one.level), "ENCODING 'UTF8'" in one.remedy) for one in told] == [("error", True)]
    engine.dispose()


@pytest.mark.parametrize(
    "theirs",
    [
        ("CREATE TABLE accounts (id int)",),
        ("CREATE TABLE bi_daily (id int)",),
        ("CREATE TABLE accounts (id int)", "CREATE TABLE alembic_version (version_num varchar(32))", "INSERT INTO alembic_version VALUES ('a1b2c3')"),
    ],
    ids=["a table", "a table like a view", "another program's migrations"],
)  # fmt: skip
def test_tables_of_another_program_are_named_as_what_they_are(database_url: str, theirs: tuple[str, ...]) -> None:
    engine = database.open_engine(database.parse_database_url(database_url))
    database.create_sqlite_file(engine.url) if engine.dialect.name == "sqlite" else None
    with engine.begin() as connection:
        for statement in theirs:
            connection.execute(text(statement))

    with pytest.raises(
        DatabaseFailed, match=r"has (accounts|bi_daily) already, of another program; give syncer a"
    ) as told:
        schema.ensure_current(engine, may_migrate=True)

    assert "newer" not in str(told.value)
    assert schema.read_state(engine) is schema.SchemaState.EMPTY
    engine.dispose()


def test_another_programs_version_table_is_left_alone(database_url: str) -> None:
    engine = database.open_engine(database.parse_database_url(database_url))
    database.create_sqlite_file(engine.url) if engine.dialect.name == "sqlite" else None
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0005')"))

    schema.upgrade(engine)
    schema.require_current(engine)
    schema.downgrade(engine, "0009")

    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0005"
    engine.dispose()


def test_a_schema_of_its_own_is_given_by_the_role(postgresql_url: str) -> None:
    """Two syncers in one database, each in the schema that its role's search_path names."""
    name = make_url(postgresql_url).database
    mirrors = []
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        for role in (f"one_{name}", f"two_{name}"):
            owner.execute(
                f"CREATE ROLE {role} LOGIN; CREATE SCHEMA {role} AUTHORIZATION {role}; ALTER ROLE {role} SET search_path = {role}"
            )
            mirrors.append(Mirror(make_url(postgresql_url).set(username=role).render_as_string(hide_password=False)))
        try:
            mirrors[0].observe([item(1), item(2)])
            mirrors[1].observe([item(3)])
            seen = [sorted(row["id_instance"] for row in mirror.rows(instances)) for mirror in mirrors]
            for place, expected in enumerate((2, 1)):
                asked = sql.SQL("SELECT count(*) FROM {}.estate_as_of('2100-01-01')").format(
                    sql.Identifier(mirrors[place].engine.url.username or "")
                )
                assert owner.execute(asked).fetchone() == (expected,)
            here = make_url(postgresql_url).set(username=f"two_{name}")
            owner.execute(
                f"ALTER ROLE two_{name} SET search_path = public, two_{name}; GRANT CREATE, USAGE ON SCHEMA public TO two_{name}"
            )
            both = database.open_engine(database.parse_database_url(here.render_as_string(hide_password=False)))
            with pytest.raises(
                DatabaseFailed, match=f"names the schema public first, and two_{name} has syncer's tables"
            ):
                schema.ensure_current(both, may_migrate=True)
            both.dispose()
        finally:
            for mirror in mirrors:
                mirror.engine.dispose()
            for role in (f"one_{name}", f"two_{name}"):
                owner.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")

    assert seen == [[1, 2], [3]]


def test_no_lock_that_a_reader_may_take_stops_a_run(postgresql_url: str) -> None:
    mirror = Mirror(postgresql_url)
    mirror.observe([item(1)])
    role = f"reader_{mirror.engine.url.database}"
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN")
        with database.writing(mirror.engine, "granting") as connection:
            grants.grant_reader(connection, role)
        reader = psycopg.connect(make_url(postgresql_url).set(username=role).render_as_string(hide_password=False))
        try:
            for number in (database.UPGRADE_LOCK, *range(16)):
                reader.execute("SELECT pg_advisory_lock(%s)", [number])
            reader.execute("SELECT count(*) FROM instance_history")
            taken = []
            for table in ("leases", "accounts", "instances", "instance_history", "sync_runs", "syncer_version"):
                for mode in ("ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE"):
                    try:
                        with reader.transaction():
                            reader.execute(f"LOCK TABLE {table} IN {mode} MODE NOWAIT")
                            taken.append((table, mode))
                    except psycopg.errors.InsufficientPrivilege:
                        continue
            report = mirror.observe([item(1, name="b")])
        finally:
            reader.close()
            mirror.engine.dispose()
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert taken == []
    assert report.status == "ok"


def test_ids_of_history_become_visible_in_ascending_order(postgresql_url: str) -> None:
    """A second writer waits for the first: what it writes is not seen before."""
    mirror = Mirror(postgresql_url)
    with database.writing(mirror.engine, "writing first") as connection:
        database.become_sole_writer(connection)
        second = threading.Thread(target=lambda: mirror.observe([item(1)]))
        second.start()
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'leases'::regclass)"
            while not other.execute(waiting).fetchone() == (True,):  # noqa: SIM201
                assert second.is_alive()
        seen = mirror.words()
    second.join()

    assert (seen, mirror.words()) == ([], ["created"])
    mirror.engine.dispose()


@pytest.mark.parametrize(
    ("problem", "refused"),
    [
        ('connection failed: connection to server at "::1", port 5432 failed: FATAL:  password authentication failed', True),
        ('connection failed: connection to server at "::1", port 5432 failed: ВАЖНО:  роль "x" не существует', True),
        ('connection failed: connection to server at "::1", port 5432 failed: Connection refused Is the server running', False),
        ("connection timeout expired", False),
    ],
)  # fmt: skip
def test_a_refusal_is_told_from_silence_in_any_language(problem: str, refused: bool) -> None:
    assert refused == was_refused(problem)


def test_a_password_that_was_changed_in_its_file_is_used(postgresql_url: str) -> None:
    """The server of the tests asks for no password, so a role that is renamed stands for one."""
    name = make_url(postgresql_url).database
    old, new = (
        make_url(postgresql_url).set(username=f"{word}_{name}", drivername="postgresql+psycopg")
        for word in ("old", "new")
    )
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE old_{name} LOGIN")
        engine = database.open_engine(old, lambda: new)
        try:
            with engine.connect() as connection:
                before = connection.execute(text("SELECT current_user")).scalar()
            engine.dispose()
            owner.execute(f"ALTER ROLE old_{name} RENAME TO new_{name}")
            with database.reading(engine, "reading") as connection:
                after = connection.execute(text("SELECT current_user")).scalar()
        finally:
            engine.dispose()
            owner.execute(f"DROP ROLE new_{name}")

    assert (before, after) == (f"old_{name}", f"new_{name}")


@pytest.fixture
def reader_of(postgresql_url: str) -> Iterator[tuple[Mirror, str, "psycopg.Connection[Any]"]]:
    """A mirror of one instance, the name of a role, and a superuser's connection; `<role>_other` is another role."""
    mirror = Mirror(postgresql_url)
    mirror.observe([item(1)])
    role = f"bi_{mirror.engine.url.database}"
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN; CREATE ROLE {role}_other LOGIN".encode())
        try:
            yield mirror, role, owner
        finally:
            mirror.engine.dispose()
            owner.execute(f"DROP OWNED BY {role}, {role}_other; DROP ROLE {role}, {role}_other".encode())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("GRANT SELECT ON instance_tokens TO PUBLIC", 'REVOKE SELECT ON "public"."instance_tokens" FROM PUBLIC'),
        (
            "GRANT SELECT (token_fingerprint) ON instances TO PUBLIC",
            'REVOKE SELECT ON "public"."instances" FROM PUBLIC',
        ),
        ("GRANT SELECT ON instance_tokens TO {0}_other; GRANT {0}_other TO {0}", 'REVOKE "{0}_other" FROM "{0}"'),
        ("GRANT pg_read_all_data TO {0}", 'REVOKE "pg_read_all_data" FROM "{0}"'),
    ],
    ids=["everybody", "a column to everybody", "another role", "a role of the server"],
)
def test_a_reader_that_can_read_a_secret_by_another_way_is_refused_until_that_ends(
    reader_of: tuple[Mirror, str, "psycopg.Connection[Any]"], given: str, told: str
) -> None:
    mirror, role, owner = reader_of
    owner.execute(given.format(role).encode())
    with pytest.raises(DatabaseFailed) as refused, database.writing(mirror.engine, "granting rights") as connection:
        grants.grant_reader(connection, role)
    owner.execute(str(refused.value).partition("run as the owner: ")[2].encode())
    with database.writing(mirror.engine, "granting rights") as connection:
        granted = grants.grant_reader(connection, role)

    assert str(refused.value).endswith(f"run as the owner: {told.format(role)}")
    assert "bi_instances" in granted.readable


def test_rights_that_postgresql_only_warns_of_are_not_told_as_granted(
    reader_of: tuple[Mirror, str, "psycopg.Connection[Any]"], run_syncer: RunSyncer
) -> None:
    mirror, role, owner = reader_of
    owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}_other".encode())
    url = mirror.engine.url.set(username=f"{role}_other").render_as_string(hide_password=False)
    done = run_syncer("db", "grant-reader", role, env={"SYNCER_DATABASE_URL": url})

    assert (8, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert "run it as the role that owns the tables" in done.stderr
