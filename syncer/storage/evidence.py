"""Births between two polls that lay close together, and what they say of the upstream's offset (`rules.zone`)."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import Connection, insert, select, update

from syncer.model import Instance
from syncer.rules.zone import DECISIVE_BIRTHS, Birth, Window, is_birth, offset_text, suggested_offset
from syncer.storage.tables import accounts, births, instances


class Births:
    """Those that an answer shows so soon after the one before it that they tell of the upstream's offset."""

    def __init__(self, account: str, window: Window | None) -> None:
        self._account = account
        self._window = window
        self._ids: list[int] = []

    def note(self, first_sights: Iterable[Instance]) -> None:
        """Look for births among what was seen for the first time."""
        if self._window is None:
            return
        for instance in first_sights:
            if instance.time_created is not None and is_birth(instance.time_created, self._window):
                self._ids.append(instance.id_instance)

    def speak_against(self, connection: Connection, configured: timedelta) -> bool:
        """Keep them, and say whether the account's last births speak for another offset than the configured one."""
        if self._window is not None and self._ids:
            _keep(connection, self._account, self._window, self._ids)
        else:
            query = select(accounts.c.suggested_offset).where(
                accounts.c.account == self._account, accounts.c.upstream_offset == offset_text(configured)
            )
            if (row := connection.execute(query).one_or_none()) is not None:
                return row.suggested_offset is not None  # nothing has come to what was weighed before
        return _weigh(connection, self._account, configured) is not None


def _keep(connection: Connection, account: str, window: Window, ids: Sequence[int]) -> None:
    """Keep that these instances were born in the window."""
    row = {"account": account, "born_after": window.after, "born_before": window.before}
    connection.execute(insert(births), [{"id_instance": id_instance, **row} for id_instance in ids])


def _weigh(connection: Connection, account: str, configured: timedelta) -> str | None:
    """The offset that the account's last births speak for instead of the configured one; kept beside the account."""
    query = (
        select(instances.c.time_created, births.c.born_after, births.c.born_before)
        .join(instances, instances.c.id_instance == births.c.id_instance)
        .where(births.c.account == account, instances.c.time_created.is_not(None))
        .order_by(births.c.born_before.desc(), births.c.id_instance.desc())
        .limit(DECISIVE_BIRTHS)
    )
    last = [Birth(row.time_created, Window(row.born_after, row.born_before)) for row in connection.execute(query)]
    suggested = suggested_offset(configured, last)
    told = {
        "upstream_offset": offset_text(configured),
        "suggested_offset": None if suggested is None else offset_text(suggested),
    }
    differs = [accounts.c[name].is_distinct_from(value) for name, value in told.items()]
    connection.execute(update(accounts).where(accounts.c.account == account, differs[0] | differs[1]).values(told))
    return told["suggested_offset"]
