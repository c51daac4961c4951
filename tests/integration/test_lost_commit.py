"""A COMMIT whose acknowledgement is lost is looked up by its run, never repeated blindly (CONTRACT 4)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from builders import item
from mirror import Mirror
from sqlalchemy import Engine

from syncer.model import RunStatus
from syncer.storage import runs

APPLYING = 2  # the second COMMIT of a run; the first one notes its start


@contextmanager
def failing_commit(engine: Engine, which: int, *, after: bool) -> Iterator[None]:
    """The driver's COMMIT number `which` raises, after it was done or instead of it."""
    commit: Callable[[Any], None] = engine.dialect.do_commit
    commits = 0

    def do_commit(connection: Any) -> None:
        nonlocal commits
        commits += 1
        if commits != which or after:
            commit(connection)
        if commits == which:
            raise engine.dialect.loaded_dbapi.OperationalError("the connection was lost")

    engine.dialect.do_commit = do_commit  # type: ignore[method-assign]
    try:
        yield
    finally:
        engine.dialect.do_commit = commit  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "COMMIT_LOOKUP_PAUSE_SECONDS", 0.01)


def test_an_answer_whose_commit_arrived_is_accepted_once(mirror: Mirror) -> None:
    with failing_commit(mirror.engine, APPLYING, after=True):
        report = mirror.observe([item(1)])
    again = mirror.observe([item(1)])

    assert [report.status, again.status] == [RunStatus.OK, RunStatus.UNCHANGED]
    assert mirror.words() == ["created"]
    assert [run["status"] for run in mirror.runs()] == ["ok", "unchanged"]


def test_an_answer_whose_commit_did_not_arrive_is_not_accepted(mirror: Mirror) -> None:
    with failing_commit(mirror.engine, APPLYING, after=False):
        report = mirror.observe([item(1)])
    nothing = mirror.words()
    again = mirror.observe([item(1)])

    assert (report.status, report.exit_code) == (RunStatus.FAILED, 8)
    assert nothing == []
    assert again.status is RunStatus.OK
    assert [run["status"] for run in mirror.runs()] == ["failed", "ok"]


def test_a_held_answer_whose_commit_arrived_stays_held(mirror: Mirror) -> None:
    mirror.observe([item(number) for number in range(1, 10)])
    with failing_commit(mirror.engine, APPLYING, after=True):
        report = mirror.observe([])

    assert report.status is RunStatus.HELD
    assert mirror.runs()[-1]["status"] == "held"
