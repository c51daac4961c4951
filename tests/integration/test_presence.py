"""What a daemon tells of itself in the database, and what is believed of it, on both databases."""

import threading
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from mirror import START, Mirror
from sqlalchemy import insert, update
from waiting import wait_for

from syncer.daemon import presence
from syncer.storage import database, lease
from syncer.storage.tables import accounts, leases
from syncer.terminal.daemons import daemon_lines
from syncer.views import estate
from syncer.words.language import Language
from syncer.words.terminal import terminal_words

ELSEWHERE = "web1:4242:0123456789ab:00000001"
OTHER = "web2:77:0123456789ab:00000002"


@pytest.fixture
def known(mirror: Mirror) -> Mirror:
    with mirror.engine.begin() as connection:
        for name in ("north", "south"):
            connection.execute(insert(accounts).values(account=name))
            connection.execute(insert(leases).values(account=name))
    return mirror


def tell(mirror: Mirror, daemon: str, **seconds: float) -> None:
    with database.writing(mirror.engine, "telling") as connection:
        lease.tell(connection, daemon, seconds)


def later(mirror: Mirror, by: timedelta) -> None:
    """As if that much time had passed since the daemons last told anything."""
    with database.writing(mirror.engine, "moving the clock") as connection:
        for row in connection.execute(leases.select()).all():
            moved = {name: getattr(row, name) for name in ("daemon_beat_at", "next_run_at")}
            moved = {name: moment and moment - by for name, moment in moved.items()}
            connection.execute(update(leases).where(leases.c.account == row.account).values(moved))


def plans(next_runs: dict[str, int]) -> presence.Plans:
    """In so many seconds each, by a clock that stands."""
    return presence.Plans(
        frozenset(next_runs),
        lambda name: START + timedelta(seconds=next_runs[name]),
        lambda: START,
        SimpleQueue(),
    )


def read(mirror: Mirror) -> list[dict[str, Any]]:
    with database.reading(mirror.engine, "reading the leases") as connection:
        return estate.read_leases(connection)


def lines(mirror: Mirror, *, beat_age: int = 0) -> list[str]:
    """What is said; a beat that is older, for time has passed since, counts as one of that age."""
    rows = read(mirror)
    for row in rows:
        if row["beat_age_seconds"] is not None:
            assert beat_age <= row["beat_age_seconds"] < lease.SILENCE.total_seconds()
            row["beat_age_seconds"] = beat_age
    return daemon_lines(terminal_words(Language.EN), rows)


def test_a_daemon_is_named_with_its_beat_and_its_next_runs(known: Mirror) -> None:
    tell(known, ELSEWHERE, north=3 * 3600 + 40, south=47 * 60 + 40)
    later(known, timedelta(seconds=3))

    assert ["daemon web1:4242, beat 3 s ago, next runs: south in 47 min, north in 3 h"] == lines(known, beat_age=3)


def test_the_only_account_needs_no_name(mirror: Mirror) -> None:
    mirror.observe([])
    with mirror.engine.begin() as connection:
        connection.execute(insert(leases).values(account="default"))
    tell(mirror, ELSEWHERE, default=47 * 60 + 40)

    assert ["daemon web1:4242, beat 0 s ago, next run in 47 min"] == lines(mirror)


def test_of_two_daemons_that_live_the_first_word_stays(known: Mirror) -> None:
    tell(known, ELSEWHERE, north=10)
    tell(known, OTHER, north=900, south=900)

    assert [ELSEWHERE, OTHER] == [row["daemon"] for row in read(known)]


def test_a_silent_daemon_is_not_believed_and_another_takes_its_place(known: Mirror) -> None:
    tell(known, ELSEWHERE, north=900, south=900)
    later(known, lease.SILENCE)
    assert ["no daemon is running"] == lines(known)

    tell(known, OTHER, north=940)

    assert ["daemon web2:77, beat 0 s ago, next runs: north in 15 min", "no daemon runs south"] == lines(known)


def test_a_word_of_the_future_is_not_believed_and_another_takes_its_place(known: Mirror) -> None:
    """It was told before the database's clock was set back."""
    tell(known, ELSEWHERE, north=900, south=900)
    later(known, timedelta(hours=-2))
    assert ["no daemon is running"] == lines(known)

    tell(known, OTHER, north=940)

    assert ["daemon web2:77, beat 0 s ago, next runs: north in 15 min", "no daemon runs south"] == lines(known)


@pytest.mark.parametrize("ahead", [timedelta(), lease.LEASE * 2])
def test_who_runs_an_account_is_believed_until_its_lease_ends(known: Mirror, ahead: timedelta) -> None:
    with database.writing(known.engine, "a lease") as connection:
        ends = lease.database_now(connection) + lease.LEASE / 2 + ahead
        connection.execute(update(leases).values(holder=ELSEWHERE, expires_at=ends))
    holders = [None, None] if ahead else [ELSEWHERE, ELSEWHERE]

    assert holders == [row["holder"] for row in read(known)]


def test_a_daemon_that_ends_takes_back_what_it_told(known: Mirror) -> None:
    with presence.told(known.engine, ELSEWHERE, plans({"north": 900})):
        wait_for(lambda: read(known)[0]["daemon"] == ELSEWHERE)

    assert [None, None] == [row["next_run_at"] for row in read(known)]
    assert ["no daemon is running"] == lines(known)


def test_what_changed_is_told_at_once(known: Mirror) -> None:
    next_runs = {"north": 900, "south": 900}
    told = plans(next_runs)
    with presence.told(known.engine, ELSEWHERE, told):
        wait_for(lambda: {row["daemon"] for row in read(known)} == {ELSEWHERE})
        (_, before) = known.rows(leases)
        next_runs["north"] = 9000
        told.changed.put("north")
        wait_for(lambda: (read(known)[0]["next_run_in_seconds"] or 0) > 1000)
        (_, after) = known.rows(leases)

    assert before == after, "of a thousand accounts, one that ran is no reason to write all"


def test_one_row_says_that_a_daemon_lives_for_all_of_its_accounts(known: Mirror) -> None:
    tell(known, ELSEWHERE, north=940, south=940)
    later(known, lease.SILENCE)
    with database.writing(known.engine, "a beat") as connection:
        assert ({"north", "south"}, set()) == lease.say_living(connection, ELSEWHERE)

    assert ["daemon web1:4242, beat 0 s ago, next runs: north in 14 min, south in 14 min"] == lines(known)
    beats = [row["daemon_beat_at"] for row in known.rows(leases)]
    assert beats[0] > beats[1], "a thousand accounts are no thousand rows every ten seconds"


def test_what_a_silent_daemon_had_is_taken_at_the_next_beat(known: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", timedelta(seconds=0.1))
    tell(known, OTHER, north=900, south=900)
    with presence.told(known.engine, ELSEWHERE, plans({"north": 900, "south": 900})):
        later(known, lease.SILENCE)
        wait_for(lambda: {row["daemon"] for row in read(known)} == {ELSEWHERE})


def test_a_daemon_beside_one_that_speaks_for_all_accounts_tries_what_ran_alone(known: Mirror) -> None:
    """Of four replicas, three had tried again for all accounts at each run of one."""
    tell(known, OTHER, north=900, south=900)
    tried: list[str] = []

    def next_run_at(name: str) -> datetime:
        tried.append(name)
        return START

    told = plans({"north": 900, "south": 900})._replace(next_run_at=next_run_at)
    with presence.told(known.engine, ELSEWHERE, told):
        for name in ("north", "south", "north"):
            told.changed.put(name)
            wait_for(lambda: told.changed.empty() and tried[-1:] == [name])  # noqa: B023 - it is called at once

    assert ["north", "south", "north"] == tried
    assert {OTHER} == {row["daemon"] for row in read(known)}


@pytest.mark.parametrize("mirror", ["postgresql"], indirect=True)  # SQLite locks no rows
def test_a_row_that_somebody_holds_is_passed_by(known: Mirror) -> None:
    with known.engine.begin() as connection:
        connection.execute(leases.select().where(leases.c.account == "north").with_for_update())
        tell(known, ELSEWHERE, north=900, south=900)

    assert [None, ELSEWHERE] == [row["daemon"] for row in read(known)]


def test_a_database_that_is_not_there_holds_up_neither_start_nor_end() -> None:
    engine = database.open_engine(database.parse_database_url("sqlite:////nowhere/syncer.db"))
    with presence.told(engine, ELSEWHERE, plans({"north": 900})):
        pass

    assert "daemon-presence" not in {thread.name for thread in threading.enumerate()}
