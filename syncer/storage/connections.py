"""How a process comes by its connections to PostgreSQL: a bounded number, waited for, by the URL as it is now."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from syncer.errors import ConfigurationError
from syncer.storage.database_errors import is_crowded, was_refused

KEPT_CONNECTIONS = 5
MOST_CONNECTIONS = 15  # of one process, however many accounts it has
CONNECT_TIMEOUT_SECONDS = 10
POOL_TIMEOUT_SECONDS = 120  # many accounts share few connections; none is kept while fetching
CROWD_TIMEOUT_SECONDS = 10  # where other programs have every connection, and none of ours can come free


OPEN = "syncer_open"


def count_connections(engine: Engine) -> None:
    """Know from now on which connections the engine has; a pool's own count has those that it is still trying."""
    is_open: set[int] = set()
    engine.update_execution_options(**{OPEN: is_open})
    event.listen(engine, "connect", lambda connection, _record: is_open.add(id(connection)))
    event.listen(engine, "close", lambda connection, _record: is_open.discard(id(connection)))


class Connecting:
    """Connects by the URL as it is now, where it is not any more what it was."""

    def __init__(self, url: URL, reread: Callable[[], URL]) -> None:
        self._url = url
        self._reread = reread

    def __call__(self, dialect: Any, _record: Any, args: list[Any], options: dict[str, Any]) -> Any:
        options |= dialect.create_connect_args(self._url)[1]
        try:
            return dialect.connect(*args, **options)
        except dialect.loaded_dbapi.OperationalError:
            with suppress(ConfigurationError):
                url = self._reread()
                if url != self._url:
                    self._url = url
                    return dialect.connect(*args, **options | dialect.create_connect_args(url)[1])
            raise


def connected(engine: Engine) -> Connection:
    """A connection, closed by whoever gets it.

    Where the server lets no further one in, wait for one of this process to come free, or a little while for one of
    another: a run that has its answer must not lose it to a limit.
    """
    began = time.monotonic()
    while True:
        try:
            return engine.connect()
        except DBAPIError as error:
            if time.monotonic() - began > _patience_seconds(engine, str(error.orig)):
                raise
            time.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - jitter


def _patience_seconds(engine: Engine, problem: str) -> float:
    """How long to wait after such a refusal.

    The server's words may be of any language. Where it has let others of ours in, what it refuses is one more.
    """
    if engine.dialect.name != "postgresql" or not was_refused(problem):
        return 0
    if engine.get_execution_options()[OPEN]:
        return POOL_TIMEOUT_SECONDS
    return CROWD_TIMEOUT_SECONDS if is_crowded(problem) else 0
