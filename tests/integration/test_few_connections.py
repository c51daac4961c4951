"""Fewer connections than a process would make: its runs wait for one another, and no answer is lost to a limit."""

import copy
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from builders import body, item
from conftest import CHECKOUT
from mirror import Mirror, account, serving
from postgres import Postgres
from sqlalchemy import Engine, event, text
from waiting import wait_for

from syncer.doctor import server_checks
from syncer.errors import DatabaseFailed
from syncer.model import Answer, Read
from syncer.storage import connections, database
from syncer.views import verify


@pytest.fixture
def limited(postgres: Postgres) -> Iterator[Mirror]:
    """A mirror whose role may make one connection."""
    url = postgres.create_database()
    role = f"few_{url.rpartition('/')[2]}"
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1; GRANT ALL ON SCHEMA public TO {role}")
        made = Mirror(database.parse_database_url(url).set(username=role).render_as_string(hide_password=False))
        yield made
        made.engine.dispose()
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
            [role],
        )
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    postgres.drop_database(url)


def refusals(engine: Engine) -> list[str]:
    """What the server says to each connection too many, from now on."""
    heard: list[str] = []
    event.listen(engine, "handle_error", lambda context: heard.append(str(context.original_exception)))
    return heard


def only_connection(mirror: Mirror) -> psycopg.Connection[tuple[object, ...]]:
    """The one connection that the mirror's role may make; the server counts one that was closed until its end."""
    mirror.engine.dispose()
    url = mirror.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    made: list[psycopg.Connection[tuple[object, ...]]] = []

    def is_let_in() -> bool:
        try:
            made.append(psycopg.connect(url))
        except psycopg.OperationalError as refused:
            if "too many connections for role" not in str(refused):
                raise
        return bool(made)

    wait_for(is_let_in)
    return made[0]


def test_three_accounts_share_one_connection(limited: Mirror) -> None:
    """All three begin at once, so that two of them are refused before they wait."""
    limited.observe([item(1)])
    refused, together = refusals(limited.engine), threading.Barrier(3)

    def live(number: int) -> list[str]:
        mine = copy.copy(limited)
        estate = [item(100 * number + place) for place in range(3)]
        together.wait()
        said = []
        for step in range(4):
            estate[0]["name"] = f"step {step}"
            said.append(str(mine.observe(estate, of=account(f"account{number}")).status))
        return said

    with ThreadPoolExecutor(3) as threads:
        said = list(threads.map(live, (1, 2, 3)))

    assert said == [["ok"] * 4] * 3
    assert any("too many connections for role" in words for words in refused)
    assert verify.verify(limited.engine).holds


def test_a_connection_that_another_took_while_the_answer_came_is_waited_for(limited: Mirror) -> None:
    limited.observe([item(1)])
    after = serving(body([item(1, name="n")]))
    refused = refusals(limited.engine)
    taken: list[psycopg.Connection[tuple[object, ...]]] = []

    def fetch(read: Callable[[Iterable[bytes]], Read]) -> Answer[Read]:
        taken.append(only_connection(limited))
        threading.Timer(0.5, taken[0].close).start()
        return after(read)

    report = limited.observe([], after=timedelta(), fetch=fetch)

    assert (report.error, report.status, limited.words()) == (None, "ok", ["created", "changed"])
    assert refused


def test_a_connection_that_another_keeps_is_told_in_one_line_with_the_remedy(
    limited: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CROWD_TIMEOUT_SECONDS", 0.1)
    with (
        only_connection(limited),
        pytest.raises(DatabaseFailed) as failed,
        database.reading(limited.engine, "reading"),
    ):
        pass

    assert "PostgreSQL lets no further connection in" in str(failed.value)
    assert "raise the limit of connections" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_wrong_password_is_not_waited_for(limited: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many runs are refused at once: none takes another's attempt for a connection."""
    monkeypatch.setattr(connections, "POOL_TIMEOUT_SECONDS", 10_000)
    engine = database.open_engine(limited.engine.url.set(username="nobody_of_this_name"))
    together = threading.Barrier(8)

    def attempt(_number: int) -> str:
        together.wait()
        with pytest.raises(DatabaseFailed) as failed, database.reading(engine, "reading"):
            pass
        return str(failed.value)

    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(attempt, range(8)))

    assert all("nobody_of_this_name" in words for words in said)


def test_a_connection_that_is_gone_is_not_counted(postgres: Postgres) -> None:
    """A limit that only the dead would keep is none to wait for."""
    url = postgres.create_database()
    engine = database.open_engine(database.parse_database_url(url))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert len(engine.get_execution_options()[connections.OPEN]) == 1
    engine.dispose()

    assert not engine.get_execution_options()[connections.OPEN]
    postgres.drop_database(url)


def test_the_document_says_how_many_one_process_makes() -> None:
    document = (CHECKOUT / "docs/operating.md").read_text("utf-8")
    engine = database.open_engine(database.parse_database_url("postgresql://nobody@localhost/nothing"))

    assert f"One process makes at most {connections.MOST_CONNECTIONS} connections" in document
    assert (
        f"the smaller of {connections.MOST_CONNECTIONS} and accounts + receivers + {server_checks.ASIDE} " in document
    )
    assert f"waits {connections.CROWD_TIMEOUT_SECONDS} s, then ends with 8" in document
    assert (engine.pool.size(), engine.pool._max_overflow) == (  # type: ignore[attr-defined]  # of a queue's pool
        connections.KEPT_CONNECTIONS,
        connections.MOST_CONNECTIONS - connections.KEPT_CONNECTIONS,
    )
