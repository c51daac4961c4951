"""Instances by what people remember of them: a part of the name, of the id, or of a customer."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from syncer.storage.tables import customers, instances
from syncer.views.estate import STATUS

BATCH_ROWS = 5_000


def folded(text: str) -> str:
    """Text as people compare it: without case, without the dots of ё, however its letters were put together."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")


def read_found(connection: Connection, wanted: str, account: str | None = None) -> list[dict[str, Any]]:
    """Every instance whose name, id or customer contains the text; those that live first, then by id.

    Whose customer an instance ever was counts; the last one is shown.
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
    whose = _customers_by_instance(connection)
    rows = connection.execute(query.execution_options(yield_per=BATCH_ROWS))
    found = [
        dict(row._mapping) | {"customer": next(reversed(whose[row.id_instance]), None)}
        for row in rows
        if _contains(looked_for, (row.name, str(row.id_instance), *whose.get(row.id_instance, ())))
    ]
    return sorted(found, key=lambda one: one["status"] not in {"active", "expired"})


def _customers_by_instance(connection: Connection) -> dict[int, list[str]]:
    """Everybody whose an instance was or will be, in that order."""
    whose: dict[int, list[str]] = defaultdict(list)
    query = select(customers.c.id_instance, customers.c.customer).order_by(customers.c.valid_from)
    for id_instance, customer in connection.execute(query.execution_options(yield_per=BATCH_ROWS)):
        whose[id_instance].append(customer)
    return whose


def _contains(looked_for: str, texts: Iterable[str | None]) -> bool:
    return any(looked_for in folded(text) for text in texts if text)
