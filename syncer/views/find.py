"""Instances by what people remember of them: a part of the name, or of the id."""

import unicodedata
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from syncer.storage.tables import instances
from syncer.views.estate import STATUS

BATCH_ROWS = 5_000


def folded(text: str) -> str:
    """Text as people compare it: without case, without the dots of ё, however its letters were put together."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")


def read_found(connection: Connection, wanted: str, account: str | None = None) -> list[dict[str, Any]]:
    """Every instance whose name or id contains the text; those that live first, then by id.

    Neither database can be asked: SQLite folds ASCII alone, and PostgreSQL what its locale knows.
    """
    looked_for = folded(wanted)
    columns = (
        instances.c.id_instance,
        instances.c.name,
        STATUS.label("status"),
        instances.c.account,
        instances.c.type_instance,
        instances.c.tariff,
        instances.c.expiration_date,
    )
    query = select(*columns).order_by(instances.c.id_instance)
    if account is not None:
        query = query.where(instances.c.account == account)
    rows = connection.execute(query.execution_options(yield_per=BATCH_ROWS))
    found = [dict(row._mapping) for row in rows if _contains(looked_for, (row.name, str(row.id_instance)))]
    return sorted(found, key=lambda one: one["status"] not in {"active", "expired"})


def _contains(looked_for: str, texts: Iterable[str | None]) -> bool:
    return any(looked_for in folded(text) for text in texts if text)
