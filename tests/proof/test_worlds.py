"""Worlds at their smallest: what was found by one, that each kind of fault is seen, and that a seed says everything."""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from canary import find_secrets
from postgres import Postgres
from world.flat import slope
from world.planted import IN_FIGURES, PLANTED, planted, real_of
from world.receivers import WAYS
from world.scene import World, laws
from world.shrinking import as_test, shrunk
from world.steps import (
    UNLINKED,
    Account,
    Answers,
    Approve,
    Backup,
    Billed,
    Born,
    Break,
    Clock,
    Dies,
    Drift,
    Kill,
    Late,
    Lost,
    Meet,
    Moved,
    Newer,
    Older,
    Pass,
    Priced,
    Purged,
    Read,
    Rename,
    Restore,
    Retire,
    Rotate,
    Setting,
    Sold,
    Step,
    Sync,
    Takes,
    Unlink,
    Upset,
    drawn,
)
from world.upstream import KINDS
from worlds import Places, failure_of, play

from syncer.errors import SyncerError

Play = Callable[..., World]

ONE = Setting((Account("a", "1d", 6),), processes=1)
TWO = Setting((Account("a", "1d", 6), Account("b", "1d", 4)), processes=1)
PAIR = Setting((Account("a", "1d", 6),), processes=2)
TOLD = ONE._replace(receivers=("events",))
DAY = Pass(1440)
LATE = Late(0, 170, stalls=False)


@pytest.fixture
def places(tmp_path: Path, sqlite_template: Path) -> Iterator[Places]:
    """Where worlds are; while they are, the network is theirs."""
    logging.disable()  # a fault that is planted may tell what production does not
    try:
        with laws():
            yield Places(tmp_path, with_server=False, template=sqlite_template)
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture(name="play")
def played(places: Places) -> Play:
    """Plays a script on SQLite; an `AssertionError` says what did not hold."""
    return lambda setting, script, **more: play(places.home(is_on_server=False), setting, list(script), **more)


def test_one_seed_says_all_that_happens(play: Play) -> None:
    setting, script = drawn(random.Random("one world"), list(KINDS), list(WAYS), 8)

    assert play(setting, script).trace == play(setting, script).trace


@pytest.mark.parametrize("name", PLANTED)
def test_every_planted_fault_stands_for_something_in_the_code(name: str) -> None:
    assert callable(real_of(PLANTED[name].target)[2])


SHOWN: dict[str, tuple[Setting, list[Step]]] = {
    "late and stalled": (
        PAIR,
        [Pass(1430), Late(0, 170, stalls=True), Meet(0, 60), Dies(0, 0), Pass(1), Sync(0), Pass(5)],
    ),
    "COMMIT whose acknowledgement is lost": (ONE, [Pass(60), Dies(0, 0), Break(0, "unheard", 3), DAY]),
    "COMMIT that is lost": (ONE, [Pass(60), Dies(0, 0), Break(0, "lost", 3), DAY]),
    "kill": (ONE, [Pass(60), Dies(0, 0), Kill(0, "statement", 43, 10), DAY]),
    "stale answer": (ONE, [DAY, DAY, Dies(0, 2), DAY, Answers(0, "an older one", 1), DAY]),
    "wrong clock": (ONE, [Pass(60), Clock(0, 4000), DAY, DAY]),
    "clock set back": (ONE, [Pass(60), Clock(0, -240), Pass(1383), Sync(0), Dies(0, 0), Pass(5)]),
    "clock that jumps": (ONE, [Pass(60), Clock(0, 90000 * 5), DAY, DAY]),
    "part of a list": (ONE, [Pass(60), Answers(0, "a part", 1), DAY]),
    "half a list, another's, or none": (ONE, [Pass(60), Answers(0, "empty", 1), DAY]),
    "approval of something else": (
        Setting((Account("a", "1d", 14),), 1),
        [Pass(60), Upset(0, "deletes"), DAY, Approve(0), Upset(0, "strips"), DAY],
    ),
    "many bad items": (Setting((Account("a", "1d", 14),), 1), [Pass(60), Answers(0, "with many bad items", 1), DAY]),
    "restore": (
        ONE,
        [Pass(60), Backup(), Pass(1370), LATE, LATE, Meet(0, 60), Restore(), Sync(0), Pass(9)],
    ),
    "move": (TWO, [Pass(60), Moved(0, 1, 1, stays=True), DAY, Lost(1, 0), Lost(1, 1), Lost(1, 2), Lost(1, 3), DAY]),
    "retired": (TWO, [Pass(60), Retire(0, hands_on=True), DAY]),
    "renamed": (
        Setting((Account("a", "1d", 6), Account("b", "1d", 0)), 1),
        [DAY, Retire(1, hands_on=False), Rename(0, "b"), DAY],
    ),
    "rotated token": (ONE, [Pass(60), Rotate(0, 30), DAY, DAY]),
    "message that is no yes": (TOLD, [Pass(60), Takes(0, "500", 1), Dies(0, 0), Dies(0, 0), DAY]),
    "message that fails": (TOLD._replace(receivers=("all",)), [Pass(60), Takes(0, "closed", 1), Dies(0, 0), DAY]),
    "many messages": (TOLD, [Pass(60), Dies(0, 0), Dies(0, 0), DAY]),
    "receiver that asks to wait": (TOLD, [Pass(60), Takes(0, "429", 1), Dies(0, 0), DAY]),
    "receiver of two processes": (
        TOLD._replace(processes=2),
        [Pass(60), Takes(0, "yes, slowly", 1), Dies(0, 0), DAY],
    ),
    "messages after a restore": (TOLD, [Pass(60), Backup(), Dies(0, 0), DAY, Restore(), DAY]),
    "death after a yes": (TOLD, [Pass(60), Kill(0, "told", 1, 10), Dies(0, 0), DAY]),
    "secret in a message": (TOLD, [Pass(60), Dies(0, 0), DAY]),
    "what needs attention": (TOLD._replace(receivers=("attention",)), [Pass(60), Lost(0, 0), DAY]),
    "sums": (TOLD._replace(receivers=("digest",)), [Pass(60), Dies(0, 0), DAY, Dies(0, 0), DAY, DAY]),
    "who reads amid a write": (ONE, [Pass(60), Dies(0, 0), Read(0, "statement", 40, "status", 0), DAY]),
    "two currencies in a month": (
        ONE,
        [Priced("BUSINESS", "12.5", "RUB", 0), Priced("BUSINESS", "1", "USD", 9)],
    ),
    "days that are sold twice": (
        ONE,
        [Sold(0, 0, "Nord", 0, None, "", "RUB"), Sold(0, 0, "ost", 9, None, "", "RUB")],
    ),
    "prices": (ONE, [DAY, Priced("BUSINESS", "12.5", "RUB", 0)]),
    "customers": (ONE, [DAY, Sold(0, 0, "Nord", 0, None, "19.99", "RUB")]),
    "newer schema": (ONE, [Pass(60), Newer(2000)]),
    "newer schema under a run": (ONE, [Pass(60), Dies(0, 0), LATE, Meet(0, 2000), Newer(30)]),
    "older schema": (ONE, [Pass(60), Dies(0, 0), DAY, Older("0010", 60, stops=True), DAY]),
    "clock that drifts": (ONE, [Drift(0, 300), Pass(1440 * 14)]),
    "descriptors": (ONE, [DAY]),
    "two processes": (PAIR, [Pass(1430), Late(0, 45, stalls=False), DAY]),
    "429 for long": (
        PAIR._replace(accounts=(Account("a", "12h", 6),)),
        [Pass(700), Answers(0, "429 for long", 1), Sync(0), Pass(60)],
    ),
    "tokens that are kept": (ONE._replace(keeps_tokens=True), [DAY]),
    "figures": (ONE, [DAY, Dies(0, 0), DAY]),
    "a token in what is said": (ONE, [Pass(60), Rotate(0, 5000), DAY, DAY]),
    "new and told to be expired": (ONE, [Pass(60), Born(0, 1, "PARTNER_23"), Sync(0)]),
    "nightly roll": (ONE, [Pass(60), DAY]),
    "purged": (ONE, [Pass(60), Dies(0, 0), DAY, Purged(0), DAY]),
}


def test_every_kind_of_fault_has_a_world_that_shows_it() -> None:
    assert SHOWN.keys() == PLANTED.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_a_fault_of_each_kind_is_seen(name: str, play: Play) -> None:
    """And without the fault the same world holds."""
    setting, script = SHOWN[name]
    with_figures = name in IN_FIGURES
    play(setting, script, with_figures=with_figures)

    with planted(PLANTED[name]), pytest.raises((AssertionError, SyncerError)):
        play(setting, script, with_figures=with_figures)


@pytest.mark.parametrize("way", UNLINKED)
@pytest.mark.parametrize("nth", [1, 3])
def test_a_connection_that_breaks_at_a_commit_costs_nothing_that_was_accepted(
    way: str, nth: int, postgres: Postgres, tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is that of the lease, the third that of the answer; and who takes a lost one for done is seen."""
    monkeypatch.setenv("SYNCER_TEST_PG_URL", postgres.admin_url)
    script = [Pass(60), Dies(0, 0), Unlink(0, way, "COMMIT", nth), DAY]
    with laws():
        places = Places(tmp_path, with_server=True, template=sqlite_template)

        world = play(places.home(is_on_server=True), TOLD, script)

        assert world.counted[f"struck link {way}"] == 1
        if nth == 3 and way in {"cut", "half sent"}:
            with planted(PLANTED["COMMIT that is lost"]):
                assert failure_of(places.home(is_on_server=True), TOLD, script)


def test_memory_that_grows_with_each_world_is_seen_and_noise_is_not() -> None:
    noise = [random.Random(place).randrange(3000) for place in range(40)]
    leaking = [kb + 2000 * place for place, kb in enumerate(noise)]

    assert slope(noise[:12]) is None
    assert [grown.is_flat for grown in (slope(noise), slope(leaking)) if grown] == [True, False]


def test_a_world_that_fails_becomes_a_script_of_a_few_steps(places: Places) -> None:
    setting, script = drawn(random.Random("small"), ["whole"], ["yes"], 3)
    script[len(script) // 2 : 0] = [Answers(0, "a part", 1), Pass(1440)]

    def fails(other: Setting, steps: Sequence[Step]) -> str | None:
        with planted(PLANTED["part of a list"]):
            return failure_of(places.home(is_on_server=False), other, list(steps))

    small, steps = shrunk(setting, script, fails)

    assert Answers(0, "a part", 1) in steps
    assert len(steps) <= 6
    assert "Answers(account=0, kind='a part', times=1)" in as_test(small, steps, "failed: so")
    assert find_secrets(as_test(small, steps, "failed: so").encode()) == []


def test_what_is_missing_goes_to_who_lists_it_doubled_and_differing(play: Play) -> None:
    """A claim by a rejected item left the owner's last body recognised, so nothing moved until that changed."""
    play(
        TWO,
        [
            Pass(minutes=700),
            Moved(account=0, nth=5, to=1, stays=False),
            Answers(account=1, kind="doubled, differing", times=4),
            Pass(minutes=5000),
            Billed(account=0, nth=0, tariff="BUSINESS"),
        ],
    )


def test_a_run_under_way_is_not_overtaken_by_the_end_of_an_account_that_it_has_nothing_to_do_with(play: Play) -> None:
    play(
        Setting((Account("a", "2d", 0), Account("b", "0 */12 * * *", 4)), processes=2),
        [Pass(700), Late(0, 170, stalls=False), Sync(0), Retire(1, hands_on=True)],
    )
