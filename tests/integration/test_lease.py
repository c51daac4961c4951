"""Leases on the database's clock, on both databases."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from builders import item
from mirror import Mirror
from sqlalchemy import update

from syncer.rules.schedule import Interval
from syncer.storage import database, lease
from syncer.storage.lease import LEASE, SILENCE, Acquired, Keeper, NotDue, UnderWay
from syncer.storage.tables import accounts, leases

HOURLY = Interval(timedelta(hours=1))


@pytest.fixture
def one(mirror: Mirror) -> Iterator[Keeper]:
    keeper = Keeper(mirror.engine)
    yield keeper
    keeper.release("default")


@pytest.fixture
def two(mirror: Mirror) -> Keeper:
    return Keeper(mirror.engine)


def shift(mirror: Mirror, by: timedelta) -> None:
    """As if that much time had passed since the lease was written."""
    (row,) = mirror.rows(leases)
    moved = {name: row[name] - by for name in ("started_at", "beat_at", "expires_at") if row[name] is not None}
    with database.writing(mirror.engine, "moving the lease") as connection:
        connection.execute(update(leases).values(moved))


def test_one_process_at_a_time_holds_an_account(one: Keeper, two: Keeper) -> None:
    assert Acquired() == one.acquire("default")

    outcome = two.acquire("default")

    assert isinstance(outcome, UnderWay)
    assert one.holder == outcome.holder
    assert 0 < outcome.seconds <= LEASE.total_seconds()


def held_back(mirror: Mirror, seconds: float) -> None:
    with database.writing(mirror.engine, "noting when to ask again") as connection:
        lease.hold_back(connection, "default", seconds)


def test_a_schedule_waits_until_the_upstream_may_be_asked_again(mirror: Mirror, one: Keeper) -> None:
    one.acquire("default")
    one.release("default")
    held_back(mirror, 30)

    outcome = one.acquire("default", HOURLY)

    assert isinstance(outcome, NotDue)
    assert 25 < outcome.seconds <= 30
    assert Acquired() == one.acquire("default")


@pytest.mark.parametrize("seconds", [7200, 10**9])
def test_it_waits_for_an_hour_at_most(mirror: Mirror, one: Keeper, seconds: float) -> None:
    one.acquire("default")
    one.release("default")
    held_back(mirror, seconds)

    outcome = one.acquire("default", HOURLY)

    assert isinstance(outcome, NotDue)
    assert 3590 < outcome.seconds <= 3600


def test_a_word_from_the_future_binds_nobody_and_an_accepted_answer_ends_it(mirror: Mirror, one: Keeper) -> None:
    mirror.observe([item()])
    with database.writing(mirror.engine, "a clock that was wrong") as connection:
        ahead = lease.database_now(connection) + timedelta(hours=2)
        connection.execute(update(accounts).values(held_back_until=ahead))
    assert Acquired() == one.acquire("default", HOURLY)
    one.release("default")

    held_back(mirror, 30)
    mirror.observe([item()])
    assert [row["held_back_until"] for row in mirror.rows(accounts)] == [None]


def test_accounts_do_not_stand_in_each_others_way(one: Keeper, two: Keeper) -> None:
    assert [Acquired(), Acquired()] == [one.acquire("default"), two.acquire("other")]
    two.release("other")


def test_a_lease_that_was_released_can_be_acquired(one: Keeper, two: Keeper) -> None:
    one.acquire("default")
    one.release("default")

    assert Acquired() == two.acquire("default")
    two.release("default")


def test_a_dead_holder_is_replaced_when_its_lease_has_ended(mirror: Mirror, one: Keeper, two: Keeper) -> None:
    one.acquire("default")
    shift(mirror, LEASE - timedelta(seconds=5))
    before = two.acquire("default")
    shift(mirror, timedelta(seconds=6))

    assert isinstance(before, UnderWay)
    assert Acquired() == two.acquire("default")
    assert two.holder == mirror.rows(leases)[0]["holder"]
    two.release("default")


def test_a_holder_of_this_host_that_is_gone_is_replaced_at_once(mirror: Mirror, two: Keeper) -> None:
    """Killed, so it could not release its lease."""
    program = (
        "import os, signal, sys\n"
        "from syncer.storage import database\n"
        "from syncer.storage.lease import Keeper\n"
        "Keeper(database.open_engine(database.parse_database_url(sys.argv[1]))).acquire('default')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    url = mirror.engine.url.render_as_string(hide_password=False)
    done = subprocess.run([sys.executable, "-c", program, url], check=False)
    (row,) = mirror.rows(leases)
    outcome = two.acquire("default")
    two.release("default")

    assert done.returncode == -signal.SIGKILL
    assert row["holder"] is not None
    assert Acquired() == outcome


@pytest.mark.parametrize("part", ["host", "place", "form"])
def test_a_process_of_elsewhere_is_not_taken_for_gone(part: str) -> None:
    host, _number, place, mark = lease.new_holder().split(":")
    gone = 2**22  # beyond the highest number of a process
    assert lease.is_gone(f"{host}:{gone}:{place}:{mark}")

    holders = {
        "host": f"other:{gone}:{place}:{mark}",
        "place": f"{host}:{gone}:0123456789ab:{mark}",
        "form": f"{host}:{gone}:{mark}",  # of an earlier syncer
    }
    assert not lease.is_gone(holders[part])
    assert not lease.is_gone(f"{host}:{os.getpid()}:{place}:{mark}")
    assert not lease.is_gone(f"{host}:1:{place}:{mark}")


def test_a_lease_that_was_lost_is_neither_renewed_nor_released_by_its_old_holder(
    mirror: Mirror, one: Keeper, two: Keeper
) -> None:
    one.acquire("default")
    shift(mirror, LEASE + timedelta(seconds=1))
    with database.writing(mirror.engine, "renewing") as connection:
        lease.beat(connection, one.holder)
    two.acquire("default")
    one.release("default")

    assert two.holder == mirror.rows(leases)[0]["holder"]
    two.release("default")


def test_a_beat_renews_the_lease(mirror: Mirror, one: Keeper) -> None:
    one.acquire("default")
    shift(mirror, LEASE / 2)
    (before,) = mirror.rows(leases)
    with database.writing(mirror.engine, "renewing") as connection:
        lease.beat(connection, one.holder)

    (after,) = mirror.rows(leases)
    assert after["expires_at"] - before["expires_at"] >= LEASE / 2


def test_the_keeper_beats_by_itself(mirror: Mirror, one: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", timedelta(milliseconds=50))
    one.acquire("default")
    (before,) = mirror.rows(leases)
    beaten = threading.Event()
    for _ in range(100):
        if mirror.rows(leases)[0]["beat_at"] > before["beat_at"]:
            beaten.set()
            break
        beaten.wait(0.05)

    assert beaten.is_set()


def test_an_account_is_not_run_before_it_is_due(mirror: Mirror, one: Keeper, two: Keeper) -> None:
    one.acquire("default", HOURLY)
    one.release("default")

    early = two.acquire("default", HOURLY)
    shift(mirror, timedelta(hours=1))
    late = two.acquire("default", HOURLY)

    assert isinstance(early, NotDue)
    assert 3590 < early.seconds <= 3600
    assert Acquired() == late
    two.release("default")


def test_the_first_run_of_a_process_is_due_at_once_where_no_other_daemon_lives(mirror: Mirror, one: Keeper) -> None:
    """One that was told to stop has taken back its word; one that died has been silent for too long."""
    for end in (stops, dies):
        before = Keeper(mirror.engine)
        before.acquire("default", HOURLY)
        before.release("default")
        assert isinstance(before.acquire("default", HOURLY), NotDue), "its second one waits"
        end(mirror, before)

        assert Acquired() == Keeper(mirror.engine).acquire("default", HOURLY)
        shift(mirror, LEASE + timedelta(seconds=1))
        end(mirror, before)
        age_words(mirror, timedelta(hours=2))

    one.acquire("default", HOURLY)
    one.release("default")
    assert isinstance(one.acquire("default", HOURLY), NotDue)


def stops(mirror: Mirror, daemon: Keeper) -> None:
    with database.writing(mirror.engine, "a stop") as connection:
        lease.take_back(connection, daemon.holder)


def dies(mirror: Mirror, _daemon: Keeper) -> None:
    age_words(mirror, SILENCE)


def age_words(mirror: Mirror, by: timedelta) -> None:
    """As if that much time had passed since the daemons last said anything."""
    with database.writing(mirror.engine, "moving the words") as connection:
        for row in connection.execute(leases.select().where(leases.c.daemon_beat_at.is_not(None))).all():
            moved = update(leases).where(leases.c.account == row.account)
            connection.execute(moved.values(daemon_beat_at=row.daemon_beat_at - by))


def test_a_daemon_lives_for_all_of_its_accounts_by_the_word_of_one(mirror: Mirror, one: Keeper, two: Keeper) -> None:
    for account in ("default", "other"):
        one.acquire(account, HOURLY)
        one.release(account)
    age_words(mirror, SILENCE)
    with database.writing(mirror.engine, "a beat") as connection:
        lease.say_living(connection, one.holder)

    assert ["NotDue", "NotDue"] == [type(two.acquire(name, HOURLY)).__name__ for name in ("default", "other")]


def test_of_daemons_that_start_together_one_runs_an_account(mirror: Mirror, one: Keeper, two: Keeper) -> None:
    """The other began before that run did, and knew of nobody; it does not count that the first says nothing more."""
    two.acquire("other", HOURLY)
    two.release("other")
    one.acquire("default", HOURLY)
    assert isinstance(two.acquire("default", HOURLY), UnderWay)
    one.release("default")
    age_words(mirror, SILENCE)

    assert isinstance(two.acquire("default", HOURLY), NotDue)


def test_a_first_run_beside_one_that_was_killed_waits_until_that_is_not_believed_any_more(mirror: Mirror) -> None:
    """A crash loop polls once a minute at most."""
    killed = Keeper(mirror.engine)
    killed.acquire("default", HOURLY)
    killed.release("default")
    host, _number, place, mark = killed.holder.split(":")
    with database.writing(mirror.engine, "a death") as connection:
        connection.execute(update(leases).values(daemon=f"{host}:{2**22}:{place}:{mark}"))
    age_words(mirror, timedelta(seconds=20))
    starts = Keeper(mirror.engine)

    outcome = starts.acquire("default", HOURLY)

    assert isinstance(outcome, NotDue)
    assert 35 < outcome.seconds <= 40


def test_a_first_run_is_held_back_by_the_upstream(mirror: Mirror, two: Keeper) -> None:
    before = Keeper(mirror.engine)
    before.acquire("default", HOURLY)
    before.release("default")
    stops(mirror, before)
    held_back(mirror, 30)

    outcome = two.acquire("default", HOURLY)

    assert isinstance(outcome, NotDue)
    assert 25 < outcome.seconds <= 30


def test_a_manual_run_need_not_be_due(one: Keeper, two: Keeper) -> None:
    one.acquire("default", HOURLY)
    one.release("default")

    assert Acquired() == two.acquire("default")
    two.release("default")


def test_a_manual_run_delays_no_scheduled_one(one: Keeper, two: Keeper) -> None:
    one.acquire("default")
    one.release("default")

    assert Acquired() == two.acquire("default", HOURLY)
    two.release("default")


def test_a_row_from_the_future_binds_nobody(mirror: Mirror, one: Keeper, two: Keeper) -> None:
    """It was written before the database's clock was set back."""
    one.acquire("default", HOURLY)
    shift(mirror, timedelta(hours=-2))

    assert Acquired() == two.acquire("default", HOURLY)
    two.release("default")
