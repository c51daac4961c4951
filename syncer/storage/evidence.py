"""Births between two polls that lay close together, and what they say of the upstream's offset (`rules.zone`)."""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection, insert, select, true, update

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
        """Keep them, and say whether the account's last births speak for another offset than the configured one.

        They are weighed each time: their dates may have been corrected, by whichever account has them now.
        """
        if self._window is not None and self._ids:
            row = {"account": self._account, "born_after": self._window.after, "born_before": self._window.before}
            connection.execute(insert(births), [{"id_instance": id_instance, **row} for id_instance in self._ids])
        return _weigh(connection, self._account, configured) is not None


def _weigh(connection: Connection, account: str, configured: timedelta) -> str | None:
    """The offset that the account's last births speak for instead of the configured one; kept beside the account."""
    last = (
        select(instances.c.time_created, births.c.born_after, births.c.born_before)
        .join(instances, instances.c.id_instance == births.c.id_instance)
        .where(births.c.account == account, instances.c.time_created.is_not(None))
        .order_by(births.c.born_before.desc(), births.c.id_instance.desc())
        .limit(DECISIVE_BIRTHS)
        .subquery()
    )
    query = select(accounts.c.upstream_offset, accounts.c.suggested_offset, last)
    found = connection.execute(query.outerjoin_from(accounts, last, true()).where(accounts.c.account == account)).all()
    born = [
        Birth(row.time_created, Window(row.born_after, row.born_before)) for row in found if row.born_after is not None
    ]
    suggested = suggested_offset(configured, born)
    told = offset_text(configured), None if suggested is None else offset_text(suggested)
    if told != found[0][:2]:
        values = dict(zip(("upstream_offset", "suggested_offset"), told, strict=True))
        connection.execute(update(accounts).where(accounts.c.account == account).values(values))
    return told[1]
