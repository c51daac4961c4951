"""Tells others, in the database, that this daemon lives and when it runs each account next."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import NamedTuple

from sqlalchemy import Engine

from syncer.errors import DatabaseFailed
from syncer.storage import lease
from syncer.storage.database import writing
from syncer.storage.rows import batches

LONGEST_FAREWELL_SECONDS = 5.0  # a database that does not answer holds up no stop
PACE_SECONDS = 0.5  # between two words: of a thousand accounts some run at every moment
MOST_TOLD_AT_ONCE = 1000  # accounts in one transaction


class Plans(NamedTuple):
    """When each account is run next, None while that is not known, by which clock; and those of which that changed."""

    accounts: frozenset[str]
    next_run_at: Callable[[str], datetime | None]
    clock: Callable[[], datetime]
    changed: SimpleQueue[str]


@contextmanager
def told(engine: Engine, daemon: str, plans: Plans) -> Iterator[None]:
    """While the block runs, tell that the daemon lives, every `lease.BEAT`, and soon what changed; then take it back.

    What cannot be told now is told at a later beat. A beat writes one row, and each account that ran another.
    """
    is_over = threading.Event()

    def tell_until_over() -> None:
        untold: set[str] = set()
        next_beat = time.monotonic()
        while not is_over.is_set():
            news = _taken(plans.changed, next_beat - time.monotonic())
            untold |= news
            with suppress(DatabaseFailed):
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + lease.BEAT.total_seconds()
                    with writing(engine, "telling that the daemon lives") as connection:
                        its, free = lease.say_living(connection, daemon)
                    news |= untold & its | plans.accounts & free
                for names in batches(sorted(news), MOST_TOLD_AT_ONCE):
                    untold -= _tell(engine, daemon, plans, names)
            is_over.wait(PACE_SECONDS)
        with suppress(DatabaseFailed), writing(engine, "telling that the daemon ends") as connection:
            lease.take_back(connection, daemon)

    thread = threading.Thread(target=tell_until_over, name="daemon-presence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        plans.changed.put("")  # no account's name: it is only waited for
        thread.join(LONGEST_FAREWELL_SECONDS)


def _taken(changed: SimpleQueue[str], seconds: float) -> set[str]:
    """All that is there, or the first that comes within so long, and what has come with it."""
    taken: set[str] = set()
    with suppress(Empty):
        taken.add(changed.get(timeout=max(0.0, seconds)))
        while True:
            taken.add(changed.get_nowait())
    return taken


def _tell(engine: Engine, daemon: str, plans: Plans, names: list[str]) -> set[str]:
    now = plans.clock()
    next_runs = {name: at for name in names if (at := plans.next_run_at(name)) is not None}
    if not next_runs:
        return set()
    with writing(engine, "telling when the next runs are") as connection:
        return lease.tell(connection, daemon, {name: (at - now).total_seconds() for name, at in next_runs.items()})
