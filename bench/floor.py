"""The least that this work can cost: one list over loopback HTTP, streamed, into one table with a history of changes.

Nothing else of the contract: no runs, no guard, no times in UTC, no rejects, no rules. Usage: floor.py URL DATABASE
[hash|rows], where `hash` knows an unchanged body by its hash and `rows` compares every row.
"""

import http.client
import sys
from array import array
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import msgspec
from xxhash import xxh3_64_intdigest

BLOCK = 256 * 1024
KEYS = (
    "idInstance", "name", "typeInstance", "typeAccount", "partnerUserUiid", "timeCreated", "timeDeleted", "deleted",
    "tariff", "isFree", "isPartner", "expirationDate", "isExpired", "messenger",
)  # fmt: skip
COLUMNS = ("id", "name", "type", "account", "customer", "created", "gone", "deleted", "tariff", "free", "partner",
           "expires", "expired", "messenger", "hash")  # fmt: skip
Item = msgspec.defstruct("Item", [(key, Any) for key in KEYS], gc=False)
RAWS = msgspec.json.Decoder(list[msgspec.Raw])
ITEMS = msgspec.json.Decoder(list[Item])  # type: ignore[valid-type]  # made above
TABLES = """
CREATE TABLE IF NOT EXISTS estate (
    id BIGINT PRIMARY KEY, name TEXT, type TEXT, account TEXT, customer TEXT, created TEXT, gone TEXT, deleted BOOLEAN,
    tariff TEXT, free BOOLEAN, partner BOOLEAN, expires TEXT, expired BOOLEAN, messenger TEXT, hash BIGINT);
CREATE TABLE IF NOT EXISTS history (
    id BIGINT, change TEXT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, name TEXT, hash BIGINT);
CREATE TABLE IF NOT EXISTS last (body TEXT);
"""


def blocks(response: Any, digest: Any) -> Any:
    rest = b""
    first = True
    while chunk := response.read(BLOCK):
        digest.update(chunk)
        block = rest + chunk
        if first:
            block, first = block[1:], False
        end = block.rfind(b"},") + 1
        if not end:
            rest = block
            continue
        yield RAWS.decode(b"[%b]" % block[:end])
        rest = block[end + 1 :]
    yield RAWS.decode(b"[" + rest)


def signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def rows(raws: list[Any], numbers: list[int]) -> Iterator[tuple[Any, ...]]:
    items = ITEMS.decode(b"[%b]" % b",".join(raws))
    return ((*msgspec.structs.astuple(item), number) for item, number in zip(items, numbers, strict=True))


def open_response(url: str) -> Any:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", "/partner/getInstances/x")
    return connection.getresponse()


def main(url: str, database: str, how: str) -> None:
    store: Any = Sqlite(database) if database.startswith("sqlite") else Postgres(database)
    last = store.last()
    if how == "hash" and last:
        # The hash tells only at the end; a body that is not the same is asked for once more.
        digest = sha256()
        response = open_response(url)
        while chunk := response.read(BLOCK):
            digest.update(chunk)
        if digest.hexdigest() == last:
            return
    known_rows = store.known()
    digest = sha256()
    new, changed = [], []
    ids = None
    for raws in blocks(open_response(url), digest):
        hashes = [signed(xxh3_64_intdigest(raw)) for raw in raws]
        known = set(hashes)
        if known <= known_rows:
            continue
        if ids is None:
            ids = store.ids()
        differing = [at for at, number in enumerate(hashes) if number not in known_rows]
        for made in rows([raws[at] for at in differing], [hashes[at] for at in differing]):
            (changed if made[0] in ids else new).append(made)
        if len(new) >= 2000:
            store.insert(new)
            new.clear()
        if len(changed) >= 2000:
            store.update(changed)
            changed.clear()
    store.insert(new)
    store.update(changed)
    store.close(digest.hexdigest())


class Sqlite:
    def __init__(self, database: str) -> None:
        import sqlite3

        self.c = sqlite3.connect(database.removeprefix("sqlite:///"), isolation_level=None)
        self.c.execute("PRAGMA journal_mode=WAL")
        self.c.execute("PRAGMA synchronous=FULL")
        self.c.executescript(TABLES)
        self.c.execute("BEGIN")

    def last(self) -> str | None:
        found = self.c.execute("SELECT body FROM last").fetchone()
        return found and found[0]

    def known(self) -> set[int]:
        return {number for (number,) in self.c.execute("SELECT hash FROM estate")}

    def ids(self) -> set[int]:
        return {number for (number,) in self.c.execute("SELECT id FROM estate")}

    def insert(self, rows: list[Any]) -> None:
        self.c.executemany(f"INSERT INTO estate VALUES ({','.join('?' * 15)})", rows)
        self.c.executemany(
            "INSERT INTO history(id,change,name,hash) VALUES (?,'created',?,?)", [(r[0], r[1], r[-1]) for r in rows]
        )

    def update(self, rows: list[Any]) -> None:
        self.c.executemany(
            f"UPDATE estate SET {','.join(f'{name}=?' for name in COLUMNS[1:])} WHERE id=?",
            [(*r[1:], r[0]) for r in rows],
        )
        self.c.executemany(
            "INSERT INTO history(id,change,name,hash) VALUES (?,'changed',?,?)", [(r[0], r[1], r[-1]) for r in rows]
        )

    def close(self, body: str) -> None:
        self.c.execute("DELETE FROM last")
        self.c.execute("INSERT INTO last VALUES (?)", (body,))
        self.c.execute("COMMIT")


class Postgres:
    def __init__(self, database: str) -> None:
        import psycopg

        self.c = psycopg.connect(database.replace("+psycopg", ""))
        self.c.execute(TABLES)

    def last(self) -> str | None:
        found = self.c.execute("SELECT body FROM last").fetchone()
        return found and found[0]

    def _numbers(self, column: str) -> set[int]:
        found = self.c.execute(f"SELECT string_agg(int8send({column}), ''::bytea) FROM estate", binary=True).fetchone()
        numbers = array("q", (found and found[0]) or b"")
        numbers.byteswap()
        return set(numbers)

    def known(self) -> set[int]:
        return self._numbers("hash")

    def ids(self) -> set[int]:
        return self._numbers("id")

    def _copy(self, table: str, rows: Any) -> None:
        with self.c.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for one in rows:
                copy.write_row(one)

    def insert(self, rows: list[Any]) -> None:
        self._copy("estate", rows)
        self._copy("history(id,change,name,hash)", ((r[0], "created", r[1], r[-1]) for r in rows))

    def update(self, rows: list[Any]) -> None:
        if not rows:
            return
        self.c.execute("CREATE TEMPORARY TABLE IF NOT EXISTS t (LIKE estate) ON COMMIT DROP")
        self.c.execute("TRUNCATE t")
        self._copy("t", rows)
        self.c.execute(
            f"UPDATE estate e SET {','.join(f'{name}=t.{name}' for name in COLUMNS[1:])} FROM t WHERE t.id=e.id"
        )
        self._copy("history(id,change,name,hash)", ((r[0], "changed", r[1], r[-1]) for r in rows))

    def close(self, body: str) -> None:
        self.c.execute("DELETE FROM last")
        self.c.execute("INSERT INTO last VALUES (%s)", (body,))
        self.c.commit()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "rows")
