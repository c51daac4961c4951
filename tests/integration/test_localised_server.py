"""A server that speaks Russian: what went wrong is told by SQLSTATE, never by its words."""

import locale
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from builders import item
from mirror import Mirror
from postgres import OwnServer, Postgres
from psycopg import sql
from sqlalchemy import event
from waiting import SOON_SECONDS, wait_for

from syncer.doctor.server_checks import connection_remedy
from syncer.errors import DatabaseFailed
from syncer.storage import database, schema

LANGUAGE = "ru_RU.UTF-8"
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
WORDS = [*Path("/usr/share/locale/ru/LC_MESSAGES").glob("postgres-*.mo")]


def _has_language() -> bool:
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, LANGUAGE)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_ALL, before)
    return True


@pytest.fixture(scope="module")
def russian() -> Iterator[Postgres]:
    if not BINARIES or not WORDS or not _has_language():
        pytest.skip("no PostgreSQL of the system that speaks Russian")
    server = OwnServer(BINARIES[-1], f"-c lc_messages={LANGUAGE}")
    yield Postgres(server.admin_url, server)
    server.remove()


def failure(url: str) -> str:
    engine = database.open_engine(database.parse_database_url(url))
    with pytest.raises(DatabaseFailed) as caught:
        schema.require_current(engine)
    engine.dispose()
    return str(caught.value)


def test_it_does_speak_russian(russian: Postgres) -> None:
    with psycopg.connect(russian.admin_url) as connection, pytest.raises(psycopg.Error, match="не существует"):
        connection.execute("SELECT 1 FROM nothing")


def test_a_mirror_is_kept_there(russian: Postgres) -> None:
    url = russian.create_database()
    mirror = Mirror(url)
    mirror.observe([item(1)])
    mirror.observe([item(1, name="n")])

    assert mirror.words() == ["created", "changed"]
    mirror.engine.dispose()


@pytest.mark.parametrize("what", ["database", "role"])
def test_a_connection_that_is_refused_is_told_as_such(russian: Postgres, what: str) -> None:
    parts = urlsplit(russian.admin_url)
    url = (
        parts._replace(path="/nowhere")
        if what == "database"
        else parts._replace(netloc=f"nobody@{parts.netloc.rpartition('@')[2]}")
    )

    told = failure(url.geturl())

    assert "PostgreSQL refused the connection" in told
    assert "не существует" in told
    assert "check user, password and database in SYNCER_DATABASE_URL" in told
    assert connection_remedy(told) == ""


def test_a_missing_right_and_a_missing_table_get_their_remedies(russian: Postgres) -> None:
    url = russian.create_database()
    with psycopg.connect(russian.admin_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
    Mirror(url).engine.dispose()
    parts = urlsplit(url)
    told = failure(parts._replace(netloc=f"reader@{parts.netloc.rpartition('@')[2]}").geturl())
    assert "42501" in told
    assert "grant the right to syncer's role" in told

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier("claims")))
    engine = database.open_engine(database.parse_database_url(url))
    with pytest.raises(DatabaseFailed, match="42P01") as caught, database.reading(engine, "reading the claims") as held:
        held.exec_driver_sql("SELECT 1 FROM claims")
    assert "run: syncer db upgrade" in str(caught.value)
    engine.dispose()


def test_a_run_waits_for_its_process_own_connection_whatever_the_server_says(russian: Postgres) -> None:
    """Its words for too many connections are not known: what lets others of ours in refuses one more."""
    url = russian.create_database()
    role = f"few_{urlsplit(url).path.removeprefix('/')}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
    parts = urlsplit(url)
    engine = database.open_engine(
        database.parse_database_url(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}").geturl())
    )
    refused: list[str] = []
    event.listen(engine, "handle_error", lambda context: refused.append(str(context.original_exception)))
    is_held = threading.Event()

    def hold() -> None:
        with database.reading(engine, "holding the only one") as connection:
            connection.exec_driver_sql("SELECT 1")
            is_held.set()
            wait_for(lambda: refused)

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(hold)
        is_held.wait(SOON_SECONDS)
        with database.reading(engine, "reading") as connection:
            connection.exec_driver_sql("SELECT 1")
        holding.result()
    engine.dispose()

    assert "слишком много" in refused[0]
