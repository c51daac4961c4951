"""Tells others, in the database, that this daemon lives and when it runs each account next."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from sqlalchemy import Engine

from syncer.errors import DatabaseFailed
from syncer.storage import lease
from syncer.storage.database import writing

LONGEST_FAREWELL_SECONDS = 5.0  # a database that does not answer holds up no stop


@contextmanager
def told(
    engine: Engine, daemon: str, next_runs: Callable[[], Mapping[str, float]], changed: threading.Event
) -> Iterator[None]:
    """Tell it now, every `lease.BEAT` and whenever `changed` is set, while the block runs; take it back at its end.

    `next_runs` says in how many seconds each account is run next. A database that cannot be told is told the next time.
    """
    is_over = threading.Event()

    def tell() -> None:
        while not is_over.is_set():
            with suppress(DatabaseFailed), writing(engine, "telling when the next runs are") as connection:
                lease.tell(connection, daemon, next_runs())
            changed.wait(lease.BEAT.total_seconds())
            changed.clear()
        with suppress(DatabaseFailed), writing(engine, "telling that the daemon ends") as connection:
            lease.take_back(connection, daemon)

    thread = threading.Thread(target=tell, name="daemon-presence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        changed.set()
        thread.join(LONGEST_FAREWELL_SECONDS)
