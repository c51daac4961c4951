"""Tells others, in the database, that this daemon lives and when it runs each account next."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Engine

from syncer.errors import DatabaseFailed
from syncer.storage import lease
from syncer.storage.database import writing

LONGEST_FAREWELL_SECONDS = 5.0  # a database that does not answer holds up no stop


class Plans(NamedTuple):
    """When each account is run next, by which clock, and what is set as soon as that changes."""

    next_runs: Callable[[], Mapping[str, datetime]]
    clock: Callable[[], datetime]
    changed: threading.Event


@contextmanager
def told(engine: Engine, daemon: str, plans: Plans) -> Iterator[None]:
    """While the block runs, tell all of it every `lease.BEAT` and what changed at once; take it back at its end.

    A database that cannot be told is told the next time.
    """
    is_over = threading.Event()

    def tell_until_over() -> None:
        known: dict[str, datetime] = {}
        beat_at = time.monotonic() - lease.BEAT.total_seconds()
        while not is_over.is_set():
            is_beat = time.monotonic() - beat_at >= lease.BEAT.total_seconds()
            next_runs, now = plans.next_runs(), plans.clock()
            news = {name: at for name, at in next_runs.items() if is_beat or known.get(name) != at}
            with suppress(DatabaseFailed):
                heard = _tell(engine, daemon, {name: (at - now).total_seconds() for name, at in news.items()})
                known |= {name: news[name] for name in heard}
            beat_at = time.monotonic() if is_beat else beat_at
            plans.changed.wait(max(0.0, beat_at + lease.BEAT.total_seconds() - time.monotonic()))
            plans.changed.clear()
        with suppress(DatabaseFailed), writing(engine, "telling that the daemon ends") as connection:
            lease.take_back(connection, daemon)

    thread = threading.Thread(target=tell_until_over, name="daemon-presence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        plans.changed.set()
        thread.join(LONGEST_FAREWELL_SECONDS)


def _tell(engine: Engine, daemon: str, seconds: Mapping[str, float]) -> list[str]:
    if not seconds:
        return []
    with writing(engine, "telling when the next runs are") as connection:
        return lease.tell(connection, daemon, seconds)
